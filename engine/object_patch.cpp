#include "engine/object_patch.h"

#include <algorithm>
#include <string>

#include "engine/patch_corner.h"
#include "kernels/device/tensor_view.h"

namespace ptyfuse {

void cut_patch(const io::ComplexImage& objects, int64_t image_index, std::array<double, 2> position_px, int64_t side,
               std::span<complex64> out) {
  if (static_cast<int64_t>(out.size()) != side * side)
    throw_shape_error("cut_patch", std::to_string(out.size()) + " pixels for a patch of side " + std::to_string(side));
  if (image_index < 0 || image_index >= objects.depth)
    throw_shape_error("cut_patch",
                      "image " + std::to_string(image_index) + " of a stack of " + std::to_string(objects.depth));
  const int64_t height = objects.height, width = objects.width;
  const complex64* image = objects.data.data() + image_index * height * width;
  const PatchCorner corner = patch_corner(position_px, side);
  const auto [y0, x0] = corner.whole;
  const auto [ty, tx] = corner.fraction;
  const bool between = ty != 0 || tx != 0;
  const int64_t reach = between ? side + 1 : side;
  if (y0 >= 0 && x0 >= 0 && y0 + reach <= height && x0 + reach <= width) {
    for (int64_t y = 0; y < side; ++y) {
      const complex64* row = image + (y0 + y) * width + x0;
      complex64* to = out.data() + y * side;
      if (!between) {
        std::copy_n(row, side, to);
        continue;
      }
      for (int64_t x = 0; x < side; ++x)
        to[x] = (1 - ty) * ((1 - tx) * row[x] + tx * row[x + 1]) +
                ty * ((1 - tx) * row[width + x] + tx * row[width + x + 1]);
    }
    return;
  }
  const auto at = [image, height, width](int64_t y, int64_t x) {
    return y >= 0 && y < height && x >= 0 && x < width ? image[y * width + x] : complex64();
  };
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x)
      out[static_cast<size_t>(y * side + x)] =
          (1 - ty) * ((1 - tx) * at(y0 + y, x0 + x) + tx * at(y0 + y, x0 + x + 1)) +
          ty * ((1 - tx) * at(y0 + y + 1, x0 + x) + tx * at(y0 + y + 1, x0 + x + 1));
}

}  // namespace ptyfuse
