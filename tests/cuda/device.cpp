// A GPU as a device: what it is called, its memory's account, and its errors.
#include <gtest/gtest.h>

#include <numeric>

#include "kernels/device/buffer.h"
#include "tests/support/device.h"

namespace ptyfuse {
namespace {

std::string error_of(ErrorKind kind, const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind);
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(cuda_device, says_what_it_is) {
  const Device device = Device::cuda();
  EXPECT_EQ(device.kind(), DeviceKind::cuda);
  EXPECT_EQ(device.name(), "cuda:0");
  EXPECT_NE(device.description().find("multiprocessors"), std::string::npos) << device.description();
}

TEST(cuda_device, an_index_that_is_not_there_is_named) {
  const std::string said = error_of(ErrorKind::device, [] { Device::cuda({.index = 99}); });
  EXPECT_NE(said.find("cuda:99: there is no such GPU; this machine has cuda:0"), std::string::npos) << said;
}

TEST(cuda_device, memory_beyond_the_limit_is_refused_by_name) {
  const Device device = Device::cuda({.memory_limit_bytes = 1 << 20});
  const Buffer first(device, 1 << 19, "first");
  EXPECT_EQ(device.memory_in_use_bytes(), 1 << 19);
  const std::string said = error_of(ErrorKind::memory, [&] { Buffer(device, (1 << 19) + 1, "second"); });
  EXPECT_NE(said.find("second"), std::string::npos) << said;
  EXPECT_NE(said.find("the limit is 1048576 bytes"), std::string::npos) << said;
  EXPECT_EQ(device.memory_in_use_bytes(), 1 << 19);
}

TEST(cuda_device, what_is_copied_there_comes_back) {
  Stream stream(Device::cuda());
  std::vector<float> values(100003);
  std::iota(values.begin(), values.end(), 0.0F);
  const Tensor<float> tensor = tests::upload<float>(stream, {100003}, values);
  EXPECT_EQ(tests::download(stream, tensor), values);
}

}  // namespace
}  // namespace ptyfuse
