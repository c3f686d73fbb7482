#include "engine/pictures.h"

#include <gtest/gtest.h>

#include <cmath>
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

/// Gaussians that carry the given shares of the power, the first one turned by 2 rad.
io::ComplexImage gaussian_probe(const std::vector<float>& shares) {
  constexpr int64_t side = 32;
  io::ComplexImage out{static_cast<int64_t>(shares.size()), side, side, {}};
  for (const float share : shares) {
    for (int64_t i = 0; i < side * side; ++i) {
      const auto y = static_cast<float>(i / side - side / 2), x = static_cast<float>(i % side - side / 2);
      out.data.push_back(std::polar(std::sqrt(share) * std::exp(-(y * y + x * x) / 32), 2.f + 0.1f * x));
    }
  }
  return out;
}

TEST(pictures, the_probe_gets_a_row_for_each_of_its_first_three_modes) {
  io::Reconstruction made = reconstruction(1, 60);
  int64_t height = page_size(reconstruction_page("t", made))[1];
  for (const size_t modes : {1, 2, 3}) {
    made.probe = gaussian_probe(std::vector<float>(modes, 1.f));
    const int64_t taller = page_size(reconstruction_page("t", made))[1];
    EXPECT_GT(taller, height + 480) << modes;
    height = taller;
  }
  made.probe = gaussian_probe({1, 1, 1, 1});
  EXPECT_EQ(page_size(reconstruction_page("t", made))[1], height);
}

TEST(pictures, probe_panels_say_what_share_a_mode_has_and_hide_the_phase_of_the_dark) {
  const std::vector<io::ImagePanel> panels = probe_panels(gaussian_probe({8, 1, 0.5f, 0.5f}));
  ASSERT_EQ(panels.size(), 6u);
  EXPECT_EQ(panels[0].title, "Probe, mode 1 (80.0 % of the power)");
  EXPECT_EQ(panels[1].title, "Probe, mode 1, phase");
  EXPECT_EQ(panels[2].title, "Probe, mode 2 (10.0 % of the power)");
  EXPECT_EQ(panels[4].title, "Probe, mode 3 (5.0 % of the power)");
  EXPECT_DOUBLE_EQ(panels[0].low, 0);
  EXPECT_NEAR(panels[0].high, std::sqrt(8), 1e-5);
  EXPECT_EQ(panels[1].map, io::ColourMap::cyclic);
  // A tenth of the peak is at 8.58 pixels from the middle.
  const auto& phase = panels[1].values;
  EXPECT_NEAR(phase[16 * 32 + 16 + 8], 0.8, 1e-4) << "about its mean";
  EXPECT_TRUE(std::isnan(phase[16 * 32 + 16 + 9]));
  EXPECT_TRUE(std::isnan(phase[0]));

  const std::vector<io::ImagePanel> one = probe_panels(gaussian_probe({2}));
  ASSERT_EQ(one.size(), 2u);
  EXPECT_EQ(one[0].title, "Probe");
  EXPECT_EQ(one[1].title, "Probe, phase");
  EXPECT_TRUE(probe_panels({}).empty());
  const std::vector<io::ImagePanel> dark = probe_panels(gaussian_probe({0, 0}));
  ASSERT_EQ(dark.size(), 4u);
  EXPECT_EQ(dark[0].title, "Probe, mode 1");
  EXPECT_TRUE(std::isnan(dark[1].values[0]));
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
