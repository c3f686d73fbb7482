#pragma once
#include "kernels/device/tensor_view.h"

namespace ptyfuse::autodiff {

/// A generator's output as the physics reads it, [B,heads,N,N]: of [B,N,N,heads], or of [B*C,N,N,1] where each member
/// is an image of its own (members = C). Empty stays empty.
template <class T>
TensorView<T> patch_view(TensorView<T> output, int64_t members, bool members_as_images) {
  if (output.data() == nullptr) return output;
  if (!members_as_images) return output.permute({0, 3, 1, 2});
  return output.reshape({output.extent(0) / members, members, output.extent(1), output.extent(2)});
}

}  // namespace ptyfuse::autodiff
