#pragma once
// Images [B,C,N,N] of any strides, as kernels take them.
#include "kernels/device/launch.cuh"
#include "kernels/device/tensor_view.h"

namespace ptyfuse::ops::cuda {

template <class T>
struct StridedImages {
  T* data;  ///< null: none
  int64_t image, channel;
  int row, pixel;
  __device__ __forceinline__ T* at(int64_t b, int64_t c, int y, int x) const {
    return data + b * image + c * channel + static_cast<int64_t>(y) * row + static_cast<int64_t>(x) * pixel;
  }
};

/// Error(shape): pixels or rows 2^31 elements apart or more.
template <class T>
StridedImages<T> strided_images(const char* operation, const TensorView<T>& view) {
  const int64_t row = view.stride(2), pixel = view.stride(3), most = int64_t{1} << 31;
  if (row >= most || pixel >= most || row <= -most || pixel <= -most)
    throw_shape_error(operation, "rows or pixels of " + view.shape().str() + " lie 2^31 elements or more apart");
  return {view.data(), view.stride(0), view.stride(1), static_cast<int>(row), static_cast<int>(pixel)};
}

/// Four channels of a pixel lie side by side, where one access of 16 bytes reaches them.
template <class T>
bool four_channels_together(const TensorView<T>& view) {
  return view.extent(1) == 4 && view.stride(1) == 1 && view.stride(0) % 4 == 0 && view.stride(2) % 4 == 0 &&
         view.stride(3) % 4 == 0 && reinterpret_cast<uintptr_t>(view.data()) % 16 == 0;
}

}  // namespace ptyfuse::ops::cuda
