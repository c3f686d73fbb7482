#pragma once
// The device under test, the same for a whole run: the CPU with two threads.
#include <vector>

#include "kernels/device/buffer.h"

namespace ptyfuse::tests {

inline Device test_device(int threads = 2) {
  return Device::cpu({.threads = threads});
}

template <class T>
Tensor<T> upload(Stream& stream, const Shape& shape, const std::vector<std::remove_const_t<T>>& host) {
  Tensor<T> out(stream.device(), shape, "test");
  copy_to_device(stream, out.view(), host.data(), static_cast<int64_t>(host.size()));
  return out;
}
template <class T>
std::vector<T> download(Stream& stream, const Tensor<T>& tensor) {
  std::vector<T> host(static_cast<size_t>(tensor.elements()));
  copy_to_host(stream, host.data(), tensor.view(), tensor.elements());
  return host;
}

}  // namespace ptyfuse::tests
