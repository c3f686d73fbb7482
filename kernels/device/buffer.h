#pragma once
#include <cstdint>
#include <string>
#include <utility>

#include "kernels/device/device.h"
#include "kernels/device/tensor_view.h"

namespace ptyfuse {

/// Memory of a device, aligned to 64 bytes at least, not initialised; counted in the device's account while it lives.
/// Error(memory): over the device's limit or not to be had; the message names the buffer, its size, what is in use and
/// the limit.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Device& device, int64_t bytes, std::string name);
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer(std::move(other)).swap(*this);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  const std::string& name() const { return name_; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(state_, other.state_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(name_, other.name_);
  }
  std::shared_ptr<Device::State> state_;
  void* data_ = nullptr;
  int64_t bytes_ = 0;
  std::string name_;
};

/// A Buffer with an element type and a shape. Not initialised; fill_zero() clears it.
template <class T>
class Tensor {
 public:
  Tensor() = default;
  Tensor(const Device& device, const Shape& shape, std::string name)
      : buffer_(device, shape.elements() * static_cast<int64_t>(sizeof(T)), std::move(name)), shape_(shape) {}
  TensorView<T> view() { return TensorView<T>(data(), shape_); }
  TensorView<const T> view() const { return TensorView<const T>(data(), shape_); }
  T* data() { return static_cast<T*>(buffer_.data()); }
  const T* data() const { return static_cast<const T*>(buffer_.data()); }
  const Shape& shape() const { return shape_; }
  int64_t elements() const { return shape_.elements(); }
  const Buffer& buffer() const { return buffer_; }

 private:
  Buffer buffer_;
  Shape shape_;
};

/// Sets every byte of a contiguous view to zero / copies between a device's memory and the host's, in stream order.
/// When a copy returns, host memory may be used again: what came from the device is there, what goes to it has been
/// read. Error(shape): a view that is not contiguous, or element counts that differ.
void fill_zero_bytes(Stream& stream, void* data, int64_t bytes);
void copy_bytes_to_device(Stream& stream, void* device_memory, const void* host_memory, int64_t bytes);
void copy_bytes_to_host(Stream& stream, void* host_memory, const void* device_memory, int64_t bytes);

template <class T>
void fill_zero(Stream& stream, TensorView<T> out) {
  if (!out.contiguous()) throw_shape_error("fill_zero", "view of " + out.shape().str() + " is not contiguous");
  fill_zero_bytes(stream, out.data(), out.elements() * static_cast<int64_t>(sizeof(T)));
}
template <class T>
void copy_to_device(Stream& stream, TensorView<T> out, const T* host, int64_t elements) {
  if (!out.contiguous() || out.elements() != elements)
    throw_shape_error("copy_to_device", std::to_string(elements) + " elements into " + out.shape().str());
  copy_bytes_to_device(stream, out.data(), host, elements * static_cast<int64_t>(sizeof(T)));
}
template <class T>
void copy_to_host(Stream& stream, T* host, TensorView<const T> in, int64_t elements) {
  if (!in.contiguous() || in.elements() != elements)
    throw_shape_error("copy_to_host", in.shape().str() + " into " + std::to_string(elements) + " elements");
  copy_bytes_to_host(stream, host, in.data(), elements * static_cast<int64_t>(sizeof(T)));
}

}  // namespace ptyfuse
