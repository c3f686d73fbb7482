#pragma once
// The device under test, the same for a whole run: PTYFUSE_TEST_DEVICE (cpu, cuda or cuda:K), else the CPU.
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

}  // namespace ptyfuse::tests
