#pragma once
// The device under test, the same for a whole run: PTYFUSE_TEST_DEVICE (cpu, cuda or cuda:K), else the CPU.
#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/device/buffer.h"

namespace ptyfuse::tests {

inline Device test_device(int threads = 2) {
  const char* wanted = std::getenv("PTYFUSE_TEST_DEVICE");
  const std::string name = wanted == nullptr ? "cpu" : wanted;
  if (name == "cpu") return Device::cpu({.threads = threads});
  if (name == "cuda") return Device::cuda({.threads = threads});
  if (name.rfind("cuda:", 0) == 0) return Device::cuda({.index = std::stoi(name.substr(5)), .threads = threads});
  throw Error(ErrorKind::device, "PTYFUSE_TEST_DEVICE: '" + name + "' is not cpu, cuda or cuda:K");
}

/// Whether the device's kernels take host memory for theirs: the CPU and the emulated GPU do.
inline bool reads_host_memory([[maybe_unused]] const Device& device) {
#ifdef PTYFUSE_EMU
  return true;
#else
  return device.kind() == DeviceKind::cpu;
#endif
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

/// A copy of a tensor, or of the memory under a view in whatever strides, in host memory: to look at by index and to
/// compare.
template <class T>
class HostCopy {
 public:
  HostCopy(Stream& stream, const TensorView<const T>& view) : shape_(view.shape()), strides_(view.strides()) {
    int64_t span = view.empty() ? 0 : 1;
    for (int a = 0; a < view.rank() && !view.empty(); ++a) span += (view.extent(a) - 1) * view.stride(a);
    memory_.resize(static_cast<size_t>(span));
    copy_bytes_to_host(stream, memory_.data(), view.data(), span * static_cast<int64_t>(sizeof(T)));
  }
  HostCopy(Stream& stream, const Tensor<T>& tensor) : HostCopy(stream, tensor.view()) {}
  TensorView<const T> view() const { return {memory_.data(), shape_, strides_}; }
  template <class... I>
  const T& operator()(I... index) const {
    return view()(index...);
  }
  const T* data() const { return memory_.data(); }
  int64_t elements() const { return shape_.elements(); }

 private:
  Shape shape_;
  std::array<int64_t, Shape::max_rank> strides_;
  std::vector<T> memory_;
};

}  // namespace ptyfuse::tests
