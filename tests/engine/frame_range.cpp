#include "engine/frame_range.h"

#include <gtest/gtest.h>

#include "kernels/device/error.h"

namespace ptyfuse {
namespace {

using Frames = std::vector<int64_t>;

struct Case {
  const char* text;
  int64_t count;
  Frames expected;
};

TEST(frame_range, names_what_a_python_slice_names) {
  const Case cases[] = {
      {"", 3, {0, 1, 2}},
      {":", 3, {0, 1, 2}},
      {"1:3", 5, {1, 2}},
      {"1:", 3, {1, 2}},
      {":2", 3, {0, 1}},
      {"::2", 5, {0, 2, 4}},
      {"1::2", 4, {1, 3}},
      {"::2", 4, {0, 2}},
      {"-2:", 5, {3, 4}},
      {":-2", 5, {0, 1, 2}},
      {"0:99", 3, {0, 1, 2}},
      {"-99:1", 3, {0}},
      {"2:9:4", 8, {2, 6}},
      {"::", 2, {0, 1}},
      {"0:1:1", 1, {0}},
      {"-3:-1", 5, {2, 3}},
      {"1:2:9223372036854775807", 5, {1}},
  };
  for (const Case& c : cases) EXPECT_EQ(parse_frame_range(c.text, c.count), c.expected) << '"' << c.text << '"';
}

TEST(frame_range, refuses_other_forms_and_shows_the_right_one) {
  for (const char* text :
       {"5", "a:b", "1:2:3:4", "1:2:0", "1:2:-1", "3:3", "4:2", "1.5:", " :", "9:", "1:99999999999999999999"}) {
    try {
      parse_frame_range(text, 5);
      ADD_FAILURE() << '"' << text << "\" was taken";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::shape);
      EXPECT_NE(std::string(e.what()).find("A:B:STEP"), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace ptyfuse
