#pragma once
#include <array>
#include <complex>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "kernels/device/error.h"

namespace ptyfuse {

using complex64 = std::complex<float>;

/// Extents of a tensor, outermost first; rank 0 is a scalar. At most five axes.
class Shape {
 public:
  static constexpr int max_rank = 5;
  Shape() = default;
  Shape(std::initializer_list<int64_t> extents) {
    if (extents.size() > max_rank) throw Error(ErrorKind::shape, "Shape: more than 5 axes");
    for (int64_t e : extents) push_back(e);
  }
  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return extent_[static_cast<size_t>(axis)]; }
  int64_t& operator[](int axis) { return extent_[static_cast<size_t>(axis)]; }
  void push_back(int64_t extent) {
    if (extent < 0) throw Error(ErrorKind::shape, "Shape: negative extent " + std::to_string(extent));
    extent_[static_cast<size_t>(rank_++)] = extent;
  }
  /// Product of the extents, in 64 bits; 1 for a scalar.
  int64_t elements() const {
    int64_t n = 1;
    for (int a = 0; a < rank_; ++a) n *= (*this)[a];
    return n;
  }
  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i)
      if (a[i] != b[i]) return false;
    return true;
  }
  /// "[16, 64, 64, 4]"
  std::string str() const {
    std::string s = "[";
    for (int a = 0; a < rank_; ++a) s += (a ? ", " : "") + std::to_string((*this)[a]);
    return s + "]";
  }

 private:
  std::array<int64_t, max_rank> extent_{};
  int rank_ = 0;
};

/// A view of a tensor in a device's memory: pointer, shape and strides (in elements). Owns nothing.
/// Images are row-major [.., y, x]; generator activations are channel-last [B, y, x, C] (NHWC), and a run of channels
/// is a view whose pixel stride exceeds its channel count.
template <class T>
class TensorView {
 public:
  TensorView() = default;
  /// Contiguous, row-major.
  TensorView(T* data, const Shape& shape) : data_(data), shape_(shape) {
    int64_t step = 1;
    for (int a = shape.rank() - 1; a >= 0; --a) {
      stride_[static_cast<size_t>(a)] = step;
      step *= shape[a];
    }
  }
  TensorView(T* data, const Shape& shape, const std::array<int64_t, Shape::max_rank>& strides)
      : data_(data), shape_(shape), stride_(strides) {}
  /// TensorView<T> converts to TensorView<const T>.
  template <class U, std::enable_if_t<std::is_same_v<const U, T>, int> = 0>
  TensorView(const TensorView<U>& other) : data_(other.data()), shape_(other.shape()), stride_(other.strides()) {}

  T* data() const { return data_; }
  const Shape& shape() const { return shape_; }
  const std::array<int64_t, Shape::max_rank>& strides() const { return stride_; }
  int rank() const { return shape_.rank(); }
  int64_t extent(int axis) const { return shape_[axis]; }
  int64_t stride(int axis) const { return stride_[static_cast<size_t>(axis)]; }
  int64_t elements() const { return shape_.elements(); }
  bool empty() const { return elements() == 0; }
  explicit operator bool() const { return data_ != nullptr; }

  /// True when the elements lie row-major without gaps.
  bool contiguous() const {
    int64_t step = 1;
    for (int a = rank() - 1; a >= 0; --a) {
      if (extent(a) != 1 && stride(a) != step) return false;
      step *= extent(a);
    }
    return true;
  }

  /// Element at (i, j, ..); host memory only, no bounds check.
  template <class... I>
  T& operator()(I... index) const {
    const std::array<int64_t, sizeof...(I)> at{static_cast<int64_t>(index)...};
    int64_t offset = 0;
    for (size_t a = 0; a < at.size(); ++a) offset += at[a] * stride_[a];
    return data_[offset];
  }

  /// Elements [begin, end) of one axis, same memory.
  TensorView slice(int axis, int64_t begin, int64_t end) const {
    if (axis < 0 || axis >= rank() || begin < 0 || end < begin || end > extent(axis))
      throw_shape_error("slice", "axis " + std::to_string(axis) + " range [" + std::to_string(begin) + ", " +
                                     std::to_string(end) + ") of " + shape_.str());
    TensorView out = *this;
    out.data_ += begin * stride(axis);
    out.shape_[axis] = end - begin;
    return out;
  }

  /// The same memory with axes in another order: axis a of the result is axis order[a] of this.
  TensorView permute(std::initializer_list<int> order) const {
    if (static_cast<int>(order.size()) != rank()) throw_shape_error("permute", "order does not fit " + shape_.str());
    TensorView out = *this;
    int a = 0;
    for (int source : order) {
      out.shape_[a] = extent(source);
      out.stride_[static_cast<size_t>(a)] = stride(source);
      ++a;
    }
    return out;
  }

  /// The same elements under another shape of equal size; contiguous views only.
  TensorView reshape(const Shape& shape) const {
    if (!contiguous() || shape.elements() != elements())
      throw_shape_error("reshape", shape_.str() + " to " + shape.str());
    return TensorView(data_, shape);
  }

 private:
  T* data_ = nullptr;
  Shape shape_;
  std::array<int64_t, Shape::max_rank> stride_{};
};

}  // namespace ptyfuse
