#include "io/named_arrays.h"

#include <gtest/gtest.h>

#include "io/file_error.h"
#include "io/hdf5.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse::tests {
namespace {

TEST(named_arrays, are_read_back_by_name) {
  const TemporaryFolder folder;
  const std::string path = folder.file("arrays.h5");
  const std::vector<io::NamedArray> arrays{{"inputs/x", {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6}},
                                           {"inputs/centres", {1, 2}, std::vector<double>{0.25, -3}},
                                           {"outputs/deep/er", {2}, std::vector<int64_t>{-7, int64_t{1} << 40}},
                                           {"object", {1}, std::vector<std::complex<float>>{{1, -2}}}};
  io::write_named_arrays(path, R"({"case":"x"})", arrays, false);
  const io::h5::File file = io::h5::File::open(path);
  EXPECT_EQ(file.text("config"), R"({"case":"x"})");
  EXPECT_EQ(file.dataset("inputs/x").shape(), (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file.dataset("inputs/x").read_all<float>(), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(file.dataset("inputs/centres").read_all<double>(), (std::vector<double>{0.25, -3}));
  EXPECT_EQ(file.dataset("outputs/deep/er").read_all<int64_t>(), (std::vector<int64_t>{-7, int64_t{1} << 40}));
  EXPECT_EQ(file.dataset("object").read_all<std::complex<float>>()[0], std::complex<float>(1, -2));
  EXPECT_THROW(io::write_named_arrays(path, "", arrays, false), io::FileError);
}

TEST(named_arrays, that_do_not_fit_leave_nothing) {
  const TemporaryFolder folder;
  const std::vector<io::NamedArray> short_one{{"x", {3}, std::vector<float>{1, 2}}};
  EXPECT_THROW(io::write_named_arrays(folder.file("a.h5"), "", short_one, false), io::FileError);
  const std::vector<io::NamedArray> twice{{"x", {1}, std::vector<float>{1}}, {"x", {1}, std::vector<float>{2}}};
  EXPECT_THROW(io::write_named_arrays(folder.file("a.h5"), "", twice, false), io::FileError);
  EXPECT_TRUE(folder.names().empty());
}

}  // namespace
}  // namespace ptyfuse::tests
