#include "kernels/ops/extract_cpu.h"

#include <vector>

#include "kernels/ops/two_tap_cpu.h"

namespace ptyfuse::ops::cpu {
namespace {

// The two axes of T_{+o} from the canvas to the patch in its middle.
struct Placement {
  Placement(const float* offset_px, int64_t pad)
      : y(moved(translation_axis(offset_px[0]), pad)), x(moved(translation_axis(offset_px[1]), pad)) {}
  BilinearAxis y, x;
};

}  // namespace

void extract(const Device& device, TensorView<const complex64> region, TensorView<const float> offsets_px,
             TensorView<complex64> patches) {
  const int64_t members = patches.extent(1), side = patches.extent(2), canvas = region.extent(1);
  device.parallel_for(patches.extent(0) * members, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> row(static_cast<size_t>(translated_row_floats(canvas, 2)));
    for (int64_t i = begin; i < end; ++i) {
      const Placement place(offsets_px.data() + 2 * i, (canvas - side) / 2);
      float* patch = reinterpret_cast<float*>(patches.data() + i * side * side);
      std::fill_n(patch, 2 * side * side, 0.0F);
      add_translated<2>(reinterpret_cast<const float*>(region.data() + i / members * canvas * canvas), canvas, place.y,
                        place.x, patch, side, row.data());
    }
  });
}

void extract_adjoint(const Device& device, TensorView<const complex64> grad_patches, TensorView<const float> offsets_px,
                     TensorView<complex64> grad_region) {
  const int64_t members = grad_patches.extent(1), side = grad_patches.extent(2), canvas = grad_region.extent(1);
  device.parallel_for(grad_patches.extent(0), 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> row(static_cast<size_t>(translated_row_floats(side, 2)));
    for (int64_t b = begin; b < end; ++b) {
      float* out = reinterpret_cast<float*>(grad_region.data() + b * canvas * canvas);
      std::fill_n(out, 2 * canvas * canvas, 0.0F);
      for (int64_t i = b * members; i < (b + 1) * members; ++i) {
        const Placement place(offsets_px.data() + 2 * i, (canvas - side) / 2);
        add_translated<2>(reinterpret_cast<const float*>(grad_patches.data() + i * side * side), side,
                          transposed(place.y), transposed(place.x), out, canvas, row.data());
      }
    }
  });
}

}  // namespace ptyfuse::ops::cpu
