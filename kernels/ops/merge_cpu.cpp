#include "kernels/ops/merge_cpu.h"

#include <vector>

#include "kernels/ops/two_tap_cpu.h"

namespace ptyfuse::ops::cpu {
namespace {

// The two axes of T_{-o} from a patch to the canvas around it.
struct Placement {
  Placement(const float* offset_px, int64_t pad)
      : y(moved(translation_axis(-static_cast<double>(offset_px[0])), -pad)),
        x(moved(translation_axis(-static_cast<double>(offset_px[1])), -pad)) {}
  BilinearAxis y, x;
};

// One group's canvas and what it takes to fill it.
class GroupMerge {
 public:
  GroupMerge(const MergeArgs& args, int64_t members, int64_t side, int64_t canvas)
      : args_(args),
        members_(members),
        side_(side),
        canvas_(canvas),
        pad_((canvas - side) / 2),
        denominator_(static_cast<size_t>(canvas * canvas)),
        image_(static_cast<size_t>(2 * std::max(side * side, canvas * canvas))),
        row_(static_cast<size_t>(translated_row_floats(canvas, 2))) {}

  void merge(int64_t group, const float* patches, float* region) {
    sum_weights(group);
    std::fill_n(region, 2 * canvas_ * canvas_, 0.0F);
    const int64_t pixels = side_ * side_;
    for (int64_t c = 0; c < members_; ++c) {
      const float* patch = patches + 2 * c * pixels;
      if (!args_.unmasked_numerator) patch = weighted(patch);
      const Placement place(offset(group, c), pad_);
      add_translated<2>(patch, side_, place.y, place.x, region, canvas_, row_.data());
    }
    for (int64_t i = 0; i < canvas_ * canvas_; ++i) {
      region[2 * i] /= denominator_[static_cast<size_t>(i)];
      region[2 * i + 1] /= denominator_[static_cast<size_t>(i)];
    }
  }

  void merge_adjoint(int64_t group, const float* grad_region, float* grad_patches) {
    sum_weights(group);
    for (int64_t i = 0; i < canvas_ * canvas_; ++i) {
      image_[static_cast<size_t>(2 * i)] = grad_region[2 * i] / denominator_[static_cast<size_t>(i)];
      image_[static_cast<size_t>(2 * i + 1)] = grad_region[2 * i + 1] / denominator_[static_cast<size_t>(i)];
    }
    const int64_t pixels = side_ * side_;
    for (int64_t c = 0; c < members_; ++c) {
      float* patch = grad_patches + 2 * c * pixels;
      std::fill_n(patch, 2 * pixels, 0.0F);
      const Placement place(offset(group, c), pad_);
      add_translated<2>(image_.data(), canvas_, transposed(place.y), transposed(place.x), patch, side_, row_.data());
      if (args_.unmasked_numerator) continue;
      for (int64_t i = 0; i < pixels; ++i) {
        patch[2 * i] *= args_.weight.data()[i];
        patch[2 * i + 1] *= args_.weight.data()[i];
      }
    }
  }

 private:
  const float* offset(int64_t group, int64_t member) const {
    return args_.offsets_px.data() + 2 * (group * members_ + member);
  }
  void sum_weights(int64_t group) {
    std::fill(denominator_.begin(), denominator_.end(), merge_epsilon);
    for (int64_t c = 0; c < members_; ++c) {
      const Placement place(offset(group, c), pad_);
      add_translated<1>(args_.weight.data(), side_, place.y, place.x, denominator_.data(), canvas_, row_.data());
    }
  }
  const float* weighted(const float* patch) {
    for (int64_t i = 0; i < side_ * side_; ++i) {
      image_[static_cast<size_t>(2 * i)] = patch[2 * i] * args_.weight.data()[i];
      image_[static_cast<size_t>(2 * i + 1)] = patch[2 * i + 1] * args_.weight.data()[i];
    }
    return image_.data();
  }

  const MergeArgs& args_;
  int64_t members_, side_, canvas_, pad_;
  std::vector<float> denominator_, image_, row_;
};

}  // namespace

void merge(const Device& device, const MergeArgs& args, TensorView<const complex64> patches,
           TensorView<complex64> region) {
  const int64_t members = patches.extent(1), side = patches.extent(2), canvas = region.extent(1);
  device.parallel_for(patches.extent(0), 1, [&](int64_t begin, int64_t end, int) {
    GroupMerge groups(args, members, side, canvas);
    for (int64_t b = begin; b < end; ++b)
      groups.merge(b, reinterpret_cast<const float*>(patches.data() + b * members * side * side),
                   reinterpret_cast<float*>(region.data() + b * canvas * canvas));
  });
}

void merge_adjoint(const Device& device, const MergeArgs& args, TensorView<const complex64> grad_region,
                   TensorView<complex64> grad_patches) {
  const int64_t members = grad_patches.extent(1), side = grad_patches.extent(2), canvas = grad_region.extent(1);
  device.parallel_for(grad_patches.extent(0), 1, [&](int64_t begin, int64_t end, int) {
    GroupMerge groups(args, members, side, canvas);
    for (int64_t b = begin; b < end; ++b)
      groups.merge_adjoint(b, reinterpret_cast<const float*>(grad_region.data() + b * canvas * canvas),
                           reinterpret_cast<float*>(grad_patches.data() + b * members * side * side));
  });
}

}  // namespace ptyfuse::ops::cpu
