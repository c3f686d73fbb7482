#include "engine/evaluation.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/random.h"
#include "kernels/device/error.h"
#include "tests/support/compare.h"

namespace ptyfuse::tests {
namespace {

/// Smooth waves and a grain of single pixels, which registration by phases lives on.
std::complex<float> object_at(int64_t y, int64_t x) {
  const double grain = 0.2 * Random(static_cast<uint64_t>((y + 1000) * 5000 + x)).uniform();
  const auto v = static_cast<double>(y), u = static_cast<double>(x);
  return std::complex<float>(std::polar(1 + grain + 0.3 * std::sin(0.31 * u + 0.2 * v) * std::cos(0.17 * v),
                                        0.6 * std::sin(0.23 * u) + 0.3 * std::cos(0.4 * v - 0.1 * u)));
}

/// The object's pixels [top, top+height) x [left, left+width).
io::ComplexImage window(int64_t top, int64_t left, int64_t height, int64_t width) {
  io::ComplexImage out{1, height, width, {}};
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) out.data.push_back(object_at(top + y, left + x));
  }
  return out;
}

io::Reconstruction reconstruction(int64_t top, int64_t left, int64_t height, int64_t width) {
  io::Reconstruction out;
  out.object = window(top, left, height, width);
  out.origin_px = {top, left};
  return out;
}

template <class F>
std::string message_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(evaluation, origin_places_the_reconstruction_in_the_truth) {
  const io::ComplexImage truth = window(0, 0, 60, 70);
  for (const auto& [top, left] : {std::pair<int64_t, int64_t>{11, 7}, {-5, 12}, {30, -9}}) {
    const Evaluation got = evaluate(reconstruction(top, left, 45, 50), truth, {});
    EXPECT_EQ(got.aligned_by, "overlap");
    EXPECT_EQ(got.region.y0, std::max<int64_t>(0, top));
    EXPECT_EQ(got.region.y1, std::min<int64_t>(60, top + 45));
    EXPECT_EQ(got.region.x0, std::max<int64_t>(0, left));
    EXPECT_EQ(got.region.x1, std::min<int64_t>(70, left + 50));
    EXPECT_EQ(*got.comparison.amplitude.mae.value, 0);
    EXPECT_WITHIN(1 - *got.comparison.contrast.value, 1e-9);
  }
}

TEST(evaluation, says_how_much_no_patch_reaches) {
  io::Reconstruction r = reconstruction(-5, 12, 45, 50);
  r.weight.assign(45 * 50, 1.0F);
  EXPECT_EQ(evaluate(r, window(0, 0, 60, 70), {}).uncovered, 0);
  for (int64_t x = 0; x < 50; ++x)
    r.weight[static_cast<size_t>(2 * 50 + x)] = r.weight[static_cast<size_t>(44 * 50 + x)] = 0;
  // Row 2 lies outside of the truth, row 44 inside.
  EXPECT_WITHIN(std::abs(evaluate(r, window(0, 0, 60, 70), {}).uncovered - 1.0 / 40), 1e-12);
}

TEST(evaluation, one_pixel_off_shows) {
  io::Reconstruction wrong = reconstruction(11, 7, 45, 50);
  wrong.origin_px[1] += 1;
  EXPECT_LT(*evaluate(wrong, window(0, 0, 60, 70), {}).comparison.contrast.value, 0.99);
}

TEST(evaluation, the_scan_chooses_the_region) {
  io::Reconstruction made = reconstruction(2, 3, 55, 60);
  made.positions_px = {{20.7, 25.2}, {41.9, 30}, {33, 44.99}};
  const Evaluation got = evaluate(made, window(0, 0, 60, 70), {});
  EXPECT_EQ(got.aligned_by, "scan");
  EXPECT_EQ(got.region.y0, 10);
  EXPECT_EQ(got.region.y1, 51);
  EXPECT_EQ(got.region.x0, 15);
  EXPECT_EQ(got.region.x1, 54);
  EXPECT_EQ(*got.comparison.amplitude.mae.value, 0);

  made.positions_px.push_back({70, 80});
  const Evaluation clipped = evaluate(made, window(0, 0, 60, 70), {});
  EXPECT_EQ(clipped.region.y1, 57) << "clipped to the reconstruction";
  EXPECT_EQ(clipped.region.x1, 63);

  EvaluationConfig config;
  config.crop = parse_crop("20:40,30:50");
  const Evaluation cropped = evaluate(made, window(0, 0, 60, 70), config);
  EXPECT_EQ(cropped.aligned_by, "crop");
  EXPECT_EQ(cropped.truth.height, 20);
  EXPECT_EQ(cropped.region.x0, 30);
}

TEST(evaluation, regions_that_do_not_fit_are_refused) {
  const io::ComplexImage truth = window(0, 0, 60, 70);
  EvaluationConfig config;
  config.crop = parse_crop("0:40,30:50");
  EXPECT_NE(message_of([&] { evaluate(reconstruction(11, 7, 45, 50), truth, config); }).find("11:56,7:57"),
            std::string::npos);
  EXPECT_NE(message_of([&] { evaluate(reconstruction(100, 0, 5, 5), truth, {}); }).find("no pixel in common"),
            std::string::npos);
  io::Reconstruction elsewhere = reconstruction(0, 0, 20, 20);
  elsewhere.positions_px = {{45, 50}};
  EXPECT_NE(message_of([&] { evaluate(elsewhere, truth, {}); }).find("--crop"), std::string::npos);
  config = {};
  config.image = 1;
  EXPECT_NE(message_of([&] { evaluate(elsewhere, truth, config); }).find("image 1"), std::string::npos);
  for (const char* text :
       {"", "1:2", "1:2,3", "a:b,c:d", "5:5,0:3", "0:5,0:5 ", "-1:5,0:5", "0:5;0:5", "1:2,3:4,5:6"}) {
    EXPECT_NE(message_of([&] { parse_crop(text); }).find("Y0:Y1,X0:X1"), std::string::npos) << text;
  }
}

TEST(evaluation, registration_undoes_a_misplaced_origin) {
  io::Reconstruction wrong = reconstruction(10, 10, 70, 64);
  wrong.origin_px = {12, 9};
  EvaluationConfig config;
  const io::ComplexImage truth = window(0, 0, 90, 90);
  const double before = *evaluate(wrong, truth, config).comparison.contrast.value;
  config.registered = true;
  const Evaluation got = evaluate(wrong, truth, config);
  ASSERT_TRUE(got.registration_px);
  EXPECT_WITHIN(std::abs((*got.registration_px)[0] + 2), 0.1);
  EXPECT_WITHIN(std::abs((*got.registration_px)[1] - 1), 0.1);
  EXPECT_GT(*got.comparison.contrast.value, before);
  EXPECT_EQ(got.truth.height, got.region.height() - 4);
  EXPECT_EQ(got.truth.width, got.region.width() - 4);
}

TEST(evaluation, stacks) {
  io::Reconstruction stack = reconstruction(0, 0, 30, 30);
  const io::ComplexImage second = window(40, 3, 30, 30);
  stack.object.depth = 2;
  stack.object.data.insert(stack.object.data.end(), second.data.begin(), second.data.end());
  EvaluationConfig config;
  config.image = 1;
  EXPECT_EQ(*evaluate(stack, stack.object, config).comparison.amplitude.mae.value, 0);
  EXPECT_EQ(*evaluate(stack, second, config).comparison.amplitude.mae.value, 0);
  config.image = 0;
  EXPECT_GT(*evaluate(stack, second, config).comparison.amplitude.mae.value, 0.01);
}

TEST(evaluation, report_has_every_key_and_says_why) {
  io::Reconstruction made = reconstruction(0, 0, 40, 40);
  io::ComplexImage truth = window(0, 0, 40, 40);
  for (auto& value : truth.data) value = std::abs(value);
  const auto json =
      nlohmann::json::parse(io::metrics_json(metrics_report(evaluate(made, truth, {}), "a.h5", "b.h5:x")));
  for (const char* channel : {"amplitude", "phase"}) {
    for (const char* key :
         {"mae", "mse", "psnr", "psnr_255", "ssim", "ms_ssim", "pearson", "frc50_bin", "frc50_per_px"}) {
      ASSERT_TRUE(json.at(channel).contains(key)) << channel << " " << key;
      const auto& value = json.at(channel).at(key);
      if (value.is_null()) {
        EXPECT_FALSE(json.at(channel).at("why").at(key).get<std::string>().empty());
      } else {
        EXPECT_TRUE(value.is_number());
      }
    }
  }
  EXPECT_TRUE(json.at("phase").at("pearson").is_null()) << "the truth's phase is flat";
  EXPECT_TRUE(json.at("phase").at("mae").is_number());
  EXPECT_TRUE(json.at("residual").is_null());
  EXPECT_TRUE(json.at("why").contains("residual"));
  EXPECT_TRUE(json.at("registration_px").is_null());
  EXPECT_TRUE(json.at("complex_correlation").is_number());
  EXPECT_TRUE(json.at("contrast").is_number());
  EXPECT_EQ(json.at("shape"), nlohmann::json({40, 40}));
  EXPECT_EQ(json.at("aligned_by"), "overlap");
  EXPECT_EQ(json.at("reconstruction"), "a.h5");
  EXPECT_EQ(json.at("truth"), "b.h5:x");

  made.residual = {0.5, 0.2};
  EvaluationConfig config;
  config.registered = true;
  config.phase_align = PhaseAlign::mean;
  const auto registered =
      nlohmann::json::parse(io::metrics_json(metrics_report(evaluate(made, truth, config), "", "")));
  EXPECT_EQ(registered.at("residual"), 0.2);
  EXPECT_EQ(registered.at("registration_px").size(), 2u);
  EXPECT_EQ(registered.at("phase_align"), "mean");
  EXPECT_EQ(registered.at("shape"), nlohmann::json({36, 36}));
}

TEST(evaluation, tables) {
  io::MetricsReport report;
  report.amplitude.mae = {0.12345678, ""};
  report.phase.mae = {1.25e-5, ""};
  report.contrast = {0.5, ""};
  report.amplitude.frc = {1, 0.5, 0.25};
  report.phase.frc = {1, 0.75};
  const std::string csv = io::metrics_csv(report, "a,\"b\"");
  EXPECT_EQ(csv.substr(0, csv.find('\n')), "model,metric,amplitude,phase,value");
  EXPECT_NE(csv.find("\n\"a,\"\"b\"\"\",mae,0.123457,1.250000e-05,\n"), std::string::npos) << csv;
  EXPECT_NE(csv.find(",contrast,,,0.500000\n"), std::string::npos) << csv;
  EXPECT_NE(csv.find(",registration_offset_dy,,,\n"), std::string::npos) << csv;
  EXPECT_EQ(io::frc_csv(report, "m"),
            "model,frequency_bin,amplitude_frc,phase_frc\nm,0,1.000000,1.000000\nm,1,0.500000,0.750000\n"
            "m,2,0.250000,\n");
}

}  // namespace
}  // namespace ptyfuse::tests
