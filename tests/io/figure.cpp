#include "io/figure.h"

#include <gtest/gtest.h>
#include <png.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <numbers>
#include <optional>

#include "io/axis.h"
#include "io/colour_map.h"
#include "io/file_error.h"

namespace ptyfuse::io {
namespace {

namespace fs = std::filesystem;
constexpr double pi = std::numbers::pi;
const float nan = std::numeric_limits<float>::quiet_NaN();

class figure : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(::testing::TempDir()) / (std::string("ptyfuse_figure_") + test->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path() const { return (folder_ / "page.png").string(); }
  fs::path folder_;
};

struct Page {
  int64_t width = 0, height = 0;
  std::vector<uint32_t> rgb;
  std::map<uint32_t, int64_t> colours;
};

Page read_page(const std::string& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_file(&image, path.c_str())) throw std::runtime_error(image.message);
  image.format = PNG_FORMAT_RGB;
  std::vector<uint8_t> bytes(PNG_IMAGE_SIZE(image));
  if (!png_image_finish_read(&image, nullptr, bytes.data(), 0, nullptr)) throw std::runtime_error(image.message);
  Page page{image.width, image.height, {}, {}};
  for (size_t i = 0; i + 2 < bytes.size(); i += 3) {
    page.rgb.push_back(static_cast<uint32_t>(bytes[i]) << 16 | static_cast<uint32_t>(bytes[i + 1]) << 8 | bytes[i + 2]);
    ++page.colours[page.rgb.back()];
  }
  return page;
}

ImagePanel grey(int64_t height, int64_t width, std::vector<float> values) {
  return {.title = "grey", .height = height, .width = width, .values = std::move(values), .low = 0, .high = 1};
}

uint32_t packed(const Colour& c) {
  const auto byte = [](double v) { return static_cast<uint32_t>(std::lround(255 * v)); };
  return byte(c.red) << 16 | byte(c.green) << 8 | byte(c.blue);
}

TEST_F(figure, pixels_are_sharp_squares_in_their_places) {
  // Two rows of three, enlarged 160-fold: 480 x 320 pixels, without a mixed colour in between.
  Figure page("Title");
  page.add(grey(2, 3, {0.1f, 0.3f, 0.5f, 0.7f, 0.9f, nan}));
  page.write_png(path(), false);
  const Page got = read_page(path());
  const ColourTable table = colour_table(ColourMap::grey);
  const int64_t square = 160 * 160;
  std::vector<int64_t> first;
  for (const double value : {0.1, 0.3, 0.5, 0.7, 0.9}) {
    const uint32_t colour = packed(table[static_cast<size_t>(value * 256)]);
    ASSERT_TRUE(got.colours.count(colour)) << value;
    EXPECT_GE(got.colours.at(colour), square) << value;
    // The first row in which this colour fills a whole square's width.
    int64_t run = 0;
    for (size_t i = 0; i < got.rgb.size(); ++i) {
      run = got.rgb[i] == colour && i % got.width != 0 ? run + 1 : 0;
      if (run == 160) {
        first.push_back(static_cast<int64_t>(i) - 159);
        break;
      }
    }
  }
  ASSERT_EQ(first.size(), 5u);
  EXPECT_EQ(first[1] - first[0], 160);
  EXPECT_EQ(first[2] - first[0], 320);
  EXPECT_EQ(first[3] - first[0], 160 * got.width);
  EXPECT_EQ(first[4] - first[3], 160);
  EXPECT_GE(got.colours.at(0xededed), square) << "NaN is background";
  EXPECT_EQ(got.rgb.front(), 0xffffffu);
}

TEST_F(figure, large_images_are_thinned) {
  Figure page;
  page.add(grey(3000, 10, std::vector<float>(30000, 0.5f)));
  page.write_png(path(), false);
  const Page got = read_page(path());
  EXPECT_LT(got.height, 1500);
  EXPECT_GE(got.colours.at(packed(colour_table(ColourMap::grey)[128])), 1000 * 4);
}

TEST_F(figure, an_existing_file_stays_unless_forced) {
  std::ofstream(path()) << "mine";
  Figure page;
  page.add(grey(1, 1, {0.5f}));
  EXPECT_THROW(page.write_png(path(), false), FileError);
  EXPECT_EQ(fs::file_size(path()), 4u);
  page.write_png(path(), true);
  EXPECT_GT(read_page(path()).width, 480);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator{}), 1) << "a temporary file is left";
  EXPECT_THROW(page.write_png((folder_ / "missing" / "page.png").string(), false), FileError);
}

TEST_F(figure, same_page_same_bytes) {
  const auto bytes = [&] {
    Figure page("twice");
    page.add(grey(2, 2, {0, 1, 0.2f, 0.4f}));
    page.add(CurvePanel{.title = "c", .curves = {{.label = "a", .x = {1, 2}, .y = {3, 4}}}});
    page.write_png(path(), true);
    std::ifstream in(path(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  EXPECT_EQ(bytes(), bytes());
}

TEST_F(figure, curves_are_drawn_in_their_colours) {
  Figure page;
  page.add(CurvePanel{
      .title = "FRC",
      .x_label = "x",
      .y_label = "y",
      .curves = {{.label = "one", .x = {0, 1, 2}, .y = {0, 1, 0}}, {.label = "two", .x = {0, 2}, .y = {1, 1}}},
      .horizontal_lines = {{0.5, "1/2"}}});
  page.write_png(path(), false);
  const Page got = read_page(path());
  EXPECT_GT(got.colours.at(0x0072b2), 500);
  EXPECT_GT(got.colours.at(0xd55e00), 500);
}

/// Every longest run of a colour in a row: [row, column, length].
std::vector<std::array<int64_t, 3>> runs(const Page& page, uint32_t colour) {
  std::vector<std::array<int64_t, 3>> out;
  for (int64_t y = 0; y < page.height; ++y) {
    for (int64_t x = 0; x < page.width; ++x) {
      if (page.rgb[y * page.width + x] != colour) continue;
      const int64_t first = x;
      while (x + 1 < page.width && page.rgb[y * page.width + x + 1] == colour) ++x;
      out.push_back({y, first, x + 1 - first});
    }
  }
  return out;
}

TEST_F(figure, a_scale_bar_is_as_long_as_it_says) {
  // 20 columns, enlarged 24-fold: 5 px, 5 pixels of 20 nm for 100 nm, 3 1/3 of 30 nm for as much.
  struct Case {
    bool drawn;
    std::optional<double> pixel_size_m;
    int64_t length;
  };
  for (const Case& c : {Case{true, {}, 120}, Case{true, 20e-9, 120}, Case{true, 30e-9, 80}, Case{false, 20e-9, 0}}) {
    Figure page;
    ImagePanel panel = grey(20, 20, std::vector<float>(400, 0.5f));
    panel.scale_bar = c.drawn;
    panel.pixel_size_m = c.pixel_size_m;
    page.add(panel);
    page.write_png(path(), true);
    const Page got = read_page(path());
    const uint32_t ground = packed(colour_table(ColourMap::grey)[128]);
    const auto image = runs(got, ground);
    ASSERT_FALSE(image.empty());
    const int64_t left = image.front()[1], bottom = image.back()[0];
    std::vector<std::array<int64_t, 3>> bar;
    for (const auto& run : runs(got, 0xffffff)) {
      const auto [y, x, length] = run;
      if (y <= bottom && y > bottom - 40 && x > left && x < left + 60 && length > 20) bar.push_back(run);
    }
    ASSERT_EQ(bar.size(), c.drawn ? 6u : 0u);
    for (const auto& [y, x, length] : bar) {
      EXPECT_EQ(length, c.length);
      EXPECT_EQ(got.rgb[y * got.width + x - 1], 0x000000u) << "a rim that is seen on white";
      EXPECT_EQ(got.rgb[y * got.width + x + length], 0x000000u);
    }
  }
}

TEST_F(figure, a_legend_stands_above_a_plot_that_has_no_free_corner) {
  const std::vector<Curve> curves{{.label = "one", .x = {0, 1, 2, 3}, .y = {0, 1, 0, 1}},
                                  {.label = "two", .x = {0, 1, 2, 3}, .y = {1, 0, 1, 0}}};
  for (const bool free_corner : {false, true}) {
    Figure page;
    page.add(CurvePanel{.title = std::string(80, 'w'), .curves = curves});
    if (free_corner) {
      page = Figure();
      page.add(CurvePanel{.title = std::string(80, 'w'), .curves = {{.label = "one", .x = {0, 3}, .y = {0, 1}}}});
    }
    page.write_png(path(), true);
    const Page got = read_page(path());
    int64_t frame = 0, sample = 0;
    for (const auto& [y, x, length] : runs(got, 0x404040)) {
      if (length > 400 && frame == 0) frame = y;
    }
    for (const auto& [y, x, length] : runs(got, 0x0072b2)) {
      if (length == 34 && sample == 0) sample = y;
    }
    ASSERT_GT(frame, 0);
    ASSERT_GT(sample, 0);
    if (free_corner) {
      EXPECT_GT(sample, frame);
    } else {
      EXPECT_LT(sample, frame);
    }
  }
}

TEST_F(figure, pages_without_much_to_show) {
  const std::vector<Curve> curves[] = {
      {},
      {{.label = "empty"}},
      {{.label = "nan", .x = {1, 2}, .y = {NAN, NAN}}},
      {{.label = "one", .x = {3}, .y = {0}}},
      {{.label = "negative", .x = {-1, -2}, .y = {-5, -6}}},
      {{.label = "infinite", .x = {1, 2, INFINITY}, .y = {1, INFINITY, 2}}},
      {{.label = "flat", .x = {1, 2}, .y = {7, 7}}},
      {{.label = "uneven", .x = {1, 2, 3}, .y = {7}}},
      {{.label = "wide", .x = {1e-300, 1e300}, .y = {1e-200, 1e250}}},
  };
  for (const bool logarithmic : {false, true}) {
    Figure page("Curves that have nothing, too little or too much to show");
    for (const auto& some : curves) {
      page.add(CurvePanel{.title = "t", .log_x = logarithmic, .log_y = logarithmic, .curves = some});
    }
    page.new_row();
    page.new_row();
    page.add(grey(2, 2, {nan, nan, nan, nan}));
    ImagePanel flat = grey(1, 2, {3, 3});
    flat.low = flat.high = 3;
    page.add(flat);
    page.write_png(path(), true);
    EXPECT_GT(read_page(path()).height, 1100);
  }
  Figure("").write_png(path(), true);
  EXPECT_GT(read_page(path()).width, 0);
}

TEST_F(figure, values_that_do_not_fit_are_refused) {
  Figure page;
  EXPECT_THROW(page.add(grey(2, 2, {1, 2, 3})), std::invalid_argument);
  const std::vector<std::complex<float>> object(6);
  EXPECT_THROW(amplitude_panel("", 2, 2, object, {}), std::invalid_argument);
  EXPECT_THROW(phase_panel("", 2, 3, object, std::vector<float>(5)), std::invalid_argument);
}

TEST(panels, amplitude_scale_ignores_outliers_and_what_is_not_covered) {
  std::vector<std::complex<float>> object(1001);
  std::vector<float> weight(1001, 1);
  for (int i = 0; i < 1000; ++i) object[i] = std::polar(1 + 0.001f * static_cast<float>(i), 0.3f);
  object[1000] = 1e6f;
  weight[1000] = 0;
  const ImagePanel panel = amplitude_panel("a", 7, 143, object, weight);
  EXPECT_NEAR(panel.low, 1.005, 2e-3);
  EXPECT_NEAR(panel.high, 1.994, 2e-3);
  EXPECT_TRUE(std::isnan(panel.values[1000]));
  EXPECT_NEAR(panel.values[500], 1.5, 1e-6);
}

TEST(panels, phase_is_relative_to_the_covered_mean) {
  const std::vector<std::complex<float>> object{std::polar(1.f, 3.0f), std::polar(1.f, 3.2f), std::polar(50.f, 0.f)};
  const std::vector<float> weight{1, 2, 0};
  const ImagePanel panel = phase_panel("p", 1, 3, object, weight);
  EXPECT_NEAR(panel.values[0], -0.1, 1e-6);
  EXPECT_NEAR(panel.values[1], 0.1, 1e-6);
  EXPECT_TRUE(std::isnan(panel.values[2]));
  EXPECT_NEAR(panel.low, -0.1, 1e-6);
  EXPECT_NEAR(panel.high, 0.1, 1e-6);
}

/// A dim rim of enormous values round 1000 pixels of amplitude 1..2 and phase -0.5..0.5.
struct Rimmed {
  std::vector<std::complex<float>> object;
  std::vector<float> weight;
};
Rimmed rimmed(float rim_weight) {
  Rimmed out;
  for (int i = 0; i < 1000; ++i) {
    const float at = static_cast<float>(i) / 999;
    out.object.push_back(std::polar(1 + at, (i % 2 == 0 ? at : -at) / 2));
    out.weight.push_back(3);
  }
  for (int i = 0; i < 400; ++i) {
    out.object.push_back(std::polar(40.f, i % 2 == 0 ? 3.f : 1.f));
    out.weight.push_back(rim_weight);
  }
  return out;
}

TEST(panels, a_dim_rim_sets_no_scale_but_is_drawn) {
  const Rimmed dim = rimmed(0.29f), lit = rimmed(0.31f);
  const ImagePanel amplitude = amplitude_panel("a", 14, 100, dim.object, dim.weight);
  EXPECT_NEAR(amplitude.low, 1.005, 2e-3);
  EXPECT_NEAR(amplitude.high, 1.995, 2e-3);
  EXPECT_FLOAT_EQ(amplitude.values[1200], 40);
  const ImagePanel phase = phase_panel("p", 14, 100, dim.object, dim.weight);
  EXPECT_EQ(phase.map, ColourMap::viridis);
  EXPECT_NEAR(phase.low, -0.495, 3e-3);
  EXPECT_NEAR(phase.high, 0.495, 3e-3);
  EXPECT_DOUBLE_EQ(phase.low, -phase.high);
  EXPECT_NEAR(phase.values[1200], 3, 1e-2) << "the rim does not turn the mean either";
  // A tenth of the largest weight and it counts; without weights all do.
  EXPECT_NEAR(amplitude_panel("a", 14, 100, lit.object, lit.weight).high, 40, 1e-4);
  EXPECT_NEAR(amplitude_panel("a", 14, 100, dim.object, {}).high, 40, 1e-4);
}

TEST(panels, a_phase_that_may_wrap_stays_cyclic) {
  std::vector<std::complex<float>> vortex;
  for (int y = -20; y < 20; ++y) {
    for (int x = -20; x < 20; ++x) vortex.push_back({static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f});
  }
  const ImagePanel panel = phase_panel("v", 40, 40, vortex, {});
  EXPECT_EQ(panel.map, ColourMap::cyclic);
  EXPECT_DOUBLE_EQ(panel.low, -pi);
  EXPECT_DOUBLE_EQ(panel.high, pi);
  // One phase throughout: no scale of rounding errors.
  const ImagePanel flat = phase_panel("f", 1, 3, std::vector<std::complex<float>>(3, std::polar(1.f, 1.f)), {});
  EXPECT_EQ(flat.map, ColourMap::viridis);
  EXPECT_DOUBLE_EQ(flat.high, 1e-3);
}

TEST(colours, lightness_rises_evenly) {
  for (const ColourMap map : {ColourMap::grey, ColourMap::viridis}) {
    const ColourTable table = colour_table(map);
    const double step = (lightness(table[255]) - lightness(table[0])) / 255;
    EXPECT_GT(step, 0.0025);
    for (size_t i = 1; i < table.size(); ++i) {
      EXPECT_NEAR(lightness(table[i]) - lightness(table[i - 1]), step, 0.05 * step) << i;
    }
  }
  EXPECT_EQ(packed(colour_table(ColourMap::grey)[0]), 0x000000u);
  EXPECT_EQ(packed(colour_table(ColourMap::grey)[255]), 0xffffffu);
}

TEST(colours, the_cyclic_map_closes_smoothly) {
  const ColourTable table = colour_table(ColourMap::cyclic);
  const auto apart = [](const Colour& a, const Colour& b) {
    return std::hypot(a.red - b.red, a.green - b.green, a.blue - b.blue);
  };
  for (size_t i = 0; i < table.size(); ++i) {
    const double step = apart(table[i], table[(i + 1) % table.size()]);
    EXPECT_LT(step, 0.025) << i;
    EXPECT_GT(step, 0.002) << i;
    // Half a turn apart looks different.
    EXPECT_GT(apart(table[i], table[(i + 128) % table.size()]), 0.25) << i;
    for (const double part : {table[i].red, table[i].green, table[i].blue}) {
      EXPECT_GE(part, 0);
      EXPECT_LE(part, 1);
    }
  }
}

std::string labels(const Axis& axis) {
  std::string out;
  for (const Tick& tick : axis.ticks) {
    if (!tick.label.empty()) out += tick.label + " ";
  }
  return out + axis.factor;
}

TEST(axes, ticks_are_round_numbers) {
  EXPECT_EQ(labels(linear_axis(0, 1, 5)), "0.0 0.2 0.4 0.6 0.8 1.0 ");
  EXPECT_EQ(labels(linear_axis(-0.3, 0.4, 4)), "\u22120.2 0.0 0.2 0.4 ");
  EXPECT_EQ(labels(linear_axis(1, 20, 8)), "2 4 6 8 10 12 14 16 18 20 ");
  EXPECT_EQ(labels(linear_axis(0, 3e6, 3)), "0 1 2 3 ×10⁶");
  EXPECT_EQ(labels(linear_axis(0, 4e-5, 4)), "0 1 2 3 4 ×10⁻⁵");
  EXPECT_EQ(labels(linear_axis(-812340, -812310, 3)), "\u22128.1234 \u22128.1233 \u22128.1232 \u22128.1231 ×10⁵");
  EXPECT_EQ(labels(logarithmic_axis(1e-5, 1, 5)), "10⁻⁵ 10⁻⁴ 10⁻³ 10⁻² 10⁻¹ 10⁰ ");
  EXPECT_EQ(labels(logarithmic_axis(0.15, 0.55, 5)), "0.2 0.3 0.4 0.5 ");
  EXPECT_EQ(labels(logarithmic_axis(1, 20, 5)), "1 2 5 10 20 ");
  EXPECT_EQ(labels(logarithmic_axis(0.1597, 0.1657, 3)), "0.160 0.162 0.164 ") << "a range without such a number";
  EXPECT_EQ(power_of_ten(-120), "10⁻¹²⁰");
}

TEST(axes, whole_numbers_have_whole_ticks) {
  EXPECT_EQ(labels(linear_axis(0.96, 3.04, 5)), "1.0 1.5 2.0 2.5 3.0 ");
  EXPECT_EQ(labels(linear_axis(0.96, 3.04, 5, true)), "1 2 3 ");
  EXPECT_EQ(labels(linear_axis(2, 2, 5, true)), "2 ");
  EXPECT_EQ(labels(linear_axis(-1, 21, 5, true)), "0 5 10 15 20 ");
  EXPECT_EQ(labels(logarithmic_axis(20.9, 24.1, 8, true)), "21 22 23 24 ");
}

TEST(axes, scale_bars_are_round) {
  const auto label = [](int64_t width_px, std::optional<double> pixel_size_m) {
    const std::optional<ScaleBar> bar = scale_bar(width_px, pixel_size_m);
    return bar ? bar->label : "none";
  };
  EXPECT_EQ(label(256, {}), "50 px");
  EXPECT_EQ(label(6, {}), "1 px");
  EXPECT_EQ(label(4, {}), "none");
  EXPECT_EQ(label(256, 10e-9), "500 nm");
  EXPECT_EQ(label(512, 20e-9), "2 µm");
  EXPECT_EQ(label(500, 10e-9), "1 µm");
  EXPECT_EQ(label(500, 1e-13), "10 pm");
  EXPECT_EQ(label(500, 0.1), "10 m");
  EXPECT_EQ(label(256, 0.0), "50 px");
  EXPECT_DOUBLE_EQ(scale_bar(512, 20e-9)->length_px, 100);
  EXPECT_DOUBLE_EQ(scale_bar(256, {})->length_px, 50);
  for (int64_t width = 5; width < 3000; ++width) {
    const double share = scale_bar(width, 7.3e-9)->length_px / static_cast<double>(width);
    EXPECT_GT(share, 0.12) << width;
    EXPECT_LT(share, 0.33) << width;
  }
}

TEST(axes, fractions) {
  const Axis linear = linear_axis(2, 6, 4), decades = logarithmic_axis(1, 1000, 4);
  EXPECT_DOUBLE_EQ(linear.fraction(3), 0.25);
  EXPECT_DOUBLE_EQ(decades.fraction(10), 1.0 / 3);
  EXPECT_TRUE(std::isnan(decades.fraction(0)));
  EXPECT_TRUE(std::isnan(decades.fraction(-1)));
  EXPECT_DOUBLE_EQ(linear_axis(3, 3, 4).fraction(3), 0.5) << "equal ends are widened";
}

}  // namespace
}  // namespace ptyfuse::io
