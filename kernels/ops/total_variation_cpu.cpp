#include "kernels/ops/total_variation_cpu.h"

#include <vector>

namespace ptyfuse::ops::cpu {

double total_variation(const Device& device, TensorView<const complex64> fields, double weight,
                       TensorView<complex64> grad_fields) {
  const int64_t images = fields.extent(0), height = fields.extent(1), width = fields.extent(2);
  const float slope = static_cast<float>(2 * weight);
  std::vector<double> sums(static_cast<size_t>(images));
  device.parallel_for(images, 4096 / (height * width + 1) + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t n = begin; n < end; ++n) {
      const complex64* f = fields.data() + n * height * width;
      complex64* g = grad_fields ? grad_fields.data() + n * height * width : nullptr;
      double sum = 0;
      for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x) {
          const complex64* at = f + y * width + x;
          complex64 down{}, right{}, up{}, left{};
          if (y + 1 < height) down = at[width] - at[0];
          if (x + 1 < width) right = at[1] - at[0];
          sum += static_cast<double>(std::norm(down)) + static_cast<double>(std::norm(right));
          if (g == nullptr) continue;
          if (y > 0) up = at[0] - at[-width];
          if (x > 0) left = at[0] - at[-1];
          g[y * width + x] = slope * ((up - down) + (left - right));
        }
      sums[static_cast<size_t>(n)] = sum;
    }
  });
  double total = 0;
  for (double s : sums) total += s;
  return total;
}

}  // namespace ptyfuse::ops::cpu
