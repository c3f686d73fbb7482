#include "engine/pictures.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace ptyfuse::tests {
namespace {

namespace fs = std::filesystem;

/// Width and height of a PNG, from its header.
std::array<int64_t, 2> page_size(const io::Figure& figure) {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const fs::path path = fs::path(::testing::TempDir()) / (std::string("ptyfuse_pictures_") + test->name() + ".png");
  figure.write_png(path.string(), true);
  std::array<unsigned char, 24> head{};
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(head.data()), head.size());
  fs::remove(path);
  const auto number = [&](size_t at) {
    return int64_t{head[at]} << 24 | int64_t{head[at + 1]} << 16 | int64_t{head[at + 2]} << 8 | head[at + 3];
  };
  EXPECT_EQ(std::string(reinterpret_cast<char*>(head.data()) + 1, 3), "PNG");
  return {number(16), number(20)};
}

io::Reconstruction reconstruction(int64_t images, int64_t side) {
  io::Reconstruction out;
  out.object = {images, side, side, {}};
  for (int64_t i = 0; i < images * side * side; ++i) {
    const auto at = static_cast<float>(i);
    out.object.data.push_back(std::polar(1 + 0.1f * std::sin(at / 7), 0.5f * std::cos(at / 11)));
    out.weight.push_back(i % side < side / 2 ? 1.f : 0.f);
  }
  return out;
}

TEST(pictures, reconstruction_is_cut_to_what_is_covered) {
  io::Reconstruction one = reconstruction(1, 240);
  const auto half = page_size(reconstruction_page("half", one));
  one.weight.clear();
  const auto whole = page_size(reconstruction_page("whole", one));
  EXPECT_GT(whole[0] - half[0], 400) << "two panels of 240 columns against 120, drawn twice as large";
  EXPECT_EQ(whole[1], half[1]);
}

TEST(pictures, every_image_and_the_residual_get_a_row) {
  io::Reconstruction made = reconstruction(2, 60);
  const int64_t two = page_size(reconstruction_page("t", made))[1];
  made.residual = {0.5, 0.3, 0.2};
  EXPECT_GT(page_size(reconstruction_page("t", made))[1], two + 300);
  EXPECT_GT(two, page_size(reconstruction_page("t", reconstruction(1, 60)))[1] + 300);
  // Nothing covered at all.
  std::fill(made.weight.begin(), made.weight.end(), 0.f);
  EXPECT_GT(page_size(reconstruction_page("t", made))[1], two);
}

TEST(pictures, evaluation_has_three_rows_also_where_figures_are_undefined) {
  const io::Reconstruction made = reconstruction(1, 60);
  const auto good = page_size(evaluation_page("e", evaluate(made, made.object, {})));
  io::ComplexImage flat = made.object;
  for (auto& value : flat.data) value = 1;
  const auto undefined = page_size(evaluation_page("e", evaluate(made, flat, {})));
  EXPECT_GT(good[0], 1500);
  EXPECT_GT(good[1], 1500);
  EXPECT_GT(undefined[1], 1500);
}

TEST(pictures, learning) {
  const std::vector<double> epochs{1, 2, 3}, loss{-5, -6, -6.5}, none{NAN, NAN, NAN}, rate{1e-3, 1e-3, 5e-4};
  const auto with_rate = page_size(learning_page("run", epochs, loss, none, rate));
  const auto without = page_size(learning_page("run", epochs, loss, loss, {}));
  EXPECT_GT(with_rate[0], without[0] + 500);
  EXPECT_GT(page_size(learning_page("run", {}, {}, {}, {}))[0], 500) << "before the first epoch";
}

}  // namespace
}  // namespace ptyfuse::tests
