#pragma once
// An array in the emulated device's memory; its guards are checked when it goes.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/emu/memory.h"

namespace ptyfuse::tests {

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(int64_t elements, const std::string& name = "array") : elements_(elements) {
    data_ = static_cast<T*>(emu::allocate(elements * static_cast<int64_t>(sizeof(T)), name));
  }
  explicit DeviceArray(const std::vector<T>& host, const std::string& name = "array")
      : DeviceArray(static_cast<int64_t>(host.size()), name) {
    emu::copy_to_device(data_, host.data(), elements_ * static_cast<int64_t>(sizeof(T)));
  }
  ~DeviceArray() { EXPECT_EQ(emu::release(data_), ""); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  std::vector<T> host() const {
    std::vector<T> out(static_cast<size_t>(elements_));
    emu::copy_to_host(out.data(), data_, elements_ * static_cast<int64_t>(sizeof(T)));
    return out;
  }

 private:
  int64_t elements_;
  T* data_ = nullptr;
};

}  // namespace ptyfuse::tests
