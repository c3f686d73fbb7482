#pragma once
// The checks every operation makes of its arguments; each throws Error(shape) that names the operation and the
// argument.
#include <cmath>
#include <string>

#include "kernels/device/error.h"
#include "kernels/device/tensor_view.h"

namespace ptyfuse::ops {

template <class T>
void require_shape(const char* operation, const char* name, const TensorView<T>& view, const Shape& expected) {
  if (!(view.shape() == expected))
    throw_shape_error(operation, std::string(name) + " is " + view.shape().str() + ", expected " + expected.str());
}

template <class T>
void require_contiguous(const char* operation, const char* name, const TensorView<T>& view) {
  if (!view.contiguous())
    throw_shape_error(operation, std::string(name) + " " + view.shape().str() + " is not contiguous");
}

template <class T>
void require_dense(const char* operation, const char* name, const TensorView<T>& view, const Shape& expected) {
  require_shape(operation, name, view, expected);
  require_contiguous(operation, name, view);
}

template <class T>
void require_rank(const char* operation, const char* name, const TensorView<T>& view, int rank) {
  if (view.rank() != rank)
    throw_shape_error(operation,
                      std::string(name) + " is " + view.shape().str() + ", expected " + std::to_string(rank) + " axes");
}

/// Every element is finite: Error(numeric) names the first that is not. For contiguous views in host memory, so in the
/// CPU device's branch only.
inline void require_finite(const char* operation, const char* name, const TensorView<const float>& view) {
  for (int64_t i = 0; i < view.elements(); ++i)
    if (!std::isfinite(view.data()[i]))
      throw Error(ErrorKind::numeric, std::string(operation) + ": " + name + " is not finite at element " +
                                          std::to_string(i) + " of " + view.shape().str());
}

}  // namespace ptyfuse::ops
