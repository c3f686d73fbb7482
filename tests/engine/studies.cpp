// What the studies declare: their arms, what the arms depend on, and the small tools that they share.
#include "engine/studies/study.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <complex>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <set>

#include "engine/probe.h"
#include "engine/studies/jobs.h"
#include "engine/studies/over_seeds.h"
#include "engine/studies/probe_errors.h"
#include "engine/studies/subject.h"
#include "io/file_error.h"
#include "tests/support/compare.h"
#include "tests/support/scans.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse::studies {
namespace {

using Names = std::vector<std::string>;

Names arms_of(const Study& study) {
  Names names;
  for (const Arm& arm : study.arms) names.push_back(arm.name);
  return names;
}

std::string setting(const Study& study, const std::string& arm, const std::string& name) {
  for (const Arm& a : study.arms)
    if (a.name == arm)
      for (const auto& [key, value] : a.settings)
        if (key == name) return value;
  return "(none)";
}

StudyConfig quick() {
  StudyConfig config;
  config.quick = true;
  return config;
}

TEST(studies, arms_of_each_study) {
  EXPECT_EQ(arms_of(make_study("sim-lines", quick())), (Names{"gs1_ideal_seed0", "gs2_ideal_seed0"}));
  EXPECT_EQ(arms_of(make_study("dose", quick())),
            (Names{"nll_1e+03_seed0", "mae_1e+03_seed0", "nll_1e+04_seed0", "mae_1e+04_seed0", "nll_1e+05_seed0",
                   "mae_1e+05_seed0", "nll_1e+09_seed0", "mae_1e+09_seed0"}));
  EXPECT_EQ(arms_of(make_study("overlap", quick())), (Names{"gs1_1of1_seed0", "gs1_1of4_seed0", "gs1_1of16_seed0",
                                                            "gs2_1of1_seed0", "gs2_1of4_seed0", "gs2_1of16_seed0"}));
  EXPECT_EQ(arms_of(make_study("sparse", quick())),
            (Names{"flat_1", "network_1_seed0", "flat_4", "network_4_seed0", "flat_16", "network_16_seed0"}));
  EXPECT_EQ(arms_of(make_study("probe", quick())), (Names{"none_0_seed0", "defocus_1_seed0", "defocus_4_seed0",
                                                          "amplitude_0.1_seed0", "amplitude_0.4_seed0"}));
  EXPECT_EQ(arms_of(make_study("positions", quick())),
            (Names{"flat_0px", "gs1_0px_seed0", "gs2_0px_seed0", "flat_1px", "gs1_1px_seed0", "gs2_1px_seed0",
                   "flat_4px", "gs1_4px_seed0", "gs2_4px_seed0"}));
  EXPECT_EQ(arms_of(make_study("data", quick())),
            (Names{"pinn_128_seed0", "pinn_512_seed0", "pinn_2048_seed0", "supervised_128_seed0",
                   "supervised_512_seed0", "supervised_2048_seed0"}));
  for (const StudyEntry& entry : study_entries()) {
    if (std::string(entry.name) == "compare") continue;
    const Study whole = entry.make({});
    EXPECT_GE(whole.arms.size(), arms_of(entry.make(quick())).size()) << entry.name;
    const Names names = arms_of(whole);
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size()) << entry.name;
    EXPECT_EQ(whole.name, entry.name);
  }
}

TEST(studies, seeds_add_arms_and_change_none) {
  StudyConfig more = quick();
  more.seeds = 2;
  const Study one = make_study("sim-lines", quick()), two = make_study("sim-lines", more);
  EXPECT_EQ(arms_of(two), (Names{"gs1_ideal_seed0", "gs1_ideal_seed1", "gs2_ideal_seed0", "gs2_ideal_seed1"}));
  EXPECT_EQ(one.arms[0].settings, two.arms[0].settings);
  EXPECT_NE(two.arms[0].settings, two.arms[1].settings);
}

TEST(studies, published_settings_of_sim_lines) {
  StudyConfig config;
  config.as_published = true;
  const Study study = make_study("sim-lines", config);
  const struct {
    const char *name, *gs1, *gs2;
  } expected[] = {{"train.mae-weight", "1", "0"},
                  {"train.nll-weight", "0", "1"},
                  {"train.object-big", "off", "off"},
                  {"train.probe-big", "on", "on"},
                  {"train.probe-mask", "off", "off"},
                  {"train.filters-scale", "2", "2"},
                  {"train.epochs", "60", "60"},
                  {"train.batch", "16", "16"},
                  {"train.probe-scale", "4", "4"},
                  {"train.border-activation", "swish", "swish"},
                  {"train.init", "glorot", "glorot"},
                  {"train.schedule", "constant", "constant"},
                  {"train.validation", "0", "0"},
                  {"simulate.train.images", "2", "2"},
                  {"simulate.train.size", "392", "392"},
                  {"simulate.train.photons", "1000000000", "1000000000"},
                  {"simulate.train.object-seed", "1", "1"},
                  {"simulate.test.object-seed", "2", "2"},
                  {"simulate.test.step-px", "10", "10"},
                  {"reconstruct.stitch", "crop", "crop"},
                  {"reconstruct.crop", "10", "10"}};
  for (const auto& e : expected) {
    const auto number = [](const std::string& text) {
      const double value = std::strtod(text.c_str(), nullptr);
      return value != 0 ? std::to_string(value) : text;
    };
    EXPECT_EQ(number(setting(study, "gs1_ideal_seed0", e.name)), number(e.gs1)) << e.name;
    EXPECT_EQ(number(setting(study, "gs2_ideal_seed0", e.name)), number(e.gs2)) << e.name;
  }
}

TEST(studies, below_ten_thousand_groups_the_published_rate_decays) {
  StudyConfig config;
  config.as_published = true;
  const auto schedule = [&] {
    const Study study = make_study("sim-lines", config);
    return setting(study, "gs2_ideal_seed0", "train.schedule") + " " +
           setting(study, "gs2_ideal_seed0", "train.validation");
  };
  config.groups = 10001;
  EXPECT_EQ(schedule(), "constant 0");
  config.groups = 10000;
  EXPECT_EQ(schedule(), "plateau 0.05");
  config.groups = 0;
  config.images = 1;  // 6,724 groups
  EXPECT_EQ(schedule(), "plateau 0.05");
  config.images = 2;
  EXPECT_EQ(schedule(), "constant 0");
}

TEST(studies, all_that_refinement_does_is_among_an_arms_settings) {
  for (const auto& [study, arm] : {std::pair{"sparse", "flat_1"},
                                   {"sparse", "network_1_seed0"},
                                   {"probe", "none_0_seed0"},
                                   {"positions", "flat_0px"}})
    for (const char* name : {"refine.sweeps", "refine.beta", "refine.batch", "refine.steps", "refine.seed"})
      EXPECT_NE(setting(make_study(study, quick()), arm, name), "(none)") << study << " " << arm << " " << name;
  for (const auto& [study, arm] : {std::pair{"sparse", "network_4_seed0"},
                                   {"probe", "none_0_seed0"},
                                   {"positions", "gs1_0px_seed0"},
                                   {"overlap", "gs1_1of4_seed0"},
                                   {"data", "pinn_512_seed0"}})
    EXPECT_EQ(setting(make_study(study, quick()), arm, "reconstruct.stitch"), "probe") << study << " " << arm;
  EXPECT_EQ(setting(make_study("sparse", quick()), "network_4_seed0", "reconstruct.frames"), "::4");
}

TEST(studies, recipe_and_images_of_sim_lines) {
  StudyConfig config;
  const Study whole = make_study("sim-lines", config);
  EXPECT_EQ(setting(whole, "gs1_ideal_seed0", "simulate.train.images"), "2");
  EXPECT_EQ(setting(whole, "gs1_ideal_seed0", "train.object-big"), "on");
  EXPECT_EQ(setting(whole, "gs2_ideal_seed0", "train.object-big"), "off");
  EXPECT_EQ(setting(whole, "gs2_ideal_seed0", "train.schedule"), "cosine");
  EXPECT_EQ(setting(whole, "gs2_ideal_seed0", "train.init"), "he");
  EXPECT_EQ(setting(whole, "gs1_ideal_seed0", "train.mae-weight"), "1");
  EXPECT_EQ(setting(whole, "gs2_ideal_seed0", "train.nll-weight"), "1");
  EXPECT_EQ(setting(make_study("sim-lines", quick()), "gs1_ideal_seed0", "simulate.train.images"), "1");
  config.images = 3;
  for (const char* which : {"simulate.train.images", "simulate.test.images"})
    EXPECT_EQ(setting(make_study("sim-lines", config), "gs2_ideal_seed0", which), "3");
  config.quick = true;
  EXPECT_EQ(setting(make_study("sim-lines", config), "gs1_ideal_seed0", "simulate.train.images"), "3");
}

TEST(studies, published_settings_of_dose) {
  StudyConfig config;
  config.as_published = true;
  const Study study = make_study("dose", config);
  ASSERT_EQ(study.arms.size(), 14U);
  const std::pair<const char*, const char*> expected[] = {{"train.gridsize", "2"},
                                                          {"train.filters-scale", "2"},
                                                          {"train.epochs", "60"},
                                                          {"train.batch", "16"},
                                                          {"train.object-big", "on"},
                                                          {"train.probe-big", "off"},
                                                          {"train.probe-mask", "on"},
                                                          {"train.probe-scale", "10"},
                                                          {"train.pad-object", "on"},
                                                          {"train.merge-weight", "square"},
                                                          {"train.merge-border", "0"},
                                                          {"train.init", "glorot"},
                                                          {"train.border-activation", "swish"},
                                                          {"simulate.train.object", "lines"},
                                                          {"simulate.train.scan", "grid"},
                                                          {"simulate.train.N", "128"},
                                                          {"simulate.train.images", "2"},
                                                          {"simulate.test.images", "2"},
                                                          {"simulate.train.probe-scale", "10"},
                                                          {"simulate.test.step-px", "10"},
                                                          {"reconstruct.stitch", "crop"},
                                                          {"reconstruct.crop", "10"}};
  for (const char* arm : {"nll_1e+04_seed0", "mae_1e+09_seed0"})
    for (const auto& [name, value] : expected) EXPECT_EQ(setting(study, arm, name), value) << name;
  EXPECT_EQ(setting(study, "nll_1e+04_seed0", "train.mae-weight"), "0");
  EXPECT_EQ(setting(study, "mae_1e+04_seed0", "train.nll-weight"), "0");
  // Our recipe stitches by the probe.
  EXPECT_EQ(setting(make_study("dose", {}), "nll_1e+04_seed0", "reconstruct.stitch"), "probe");
}

TEST(studies, settings_hold_what_matters_and_nothing_else) {
  const Study study = make_study("sparse", quick());
  EXPECT_EQ(setting(study, "network_4_seed0", "train.frames"), "::4");
  EXPECT_EQ(setting(study, "network_4_seed0", "train.epochs"), "32");  // as many steps as 8 epochs of all frames
  for (const char* absent : {"train.host-memory", "train.checkpoint-every", "train.scans"})
    EXPECT_EQ(setting(study, "network_4_seed0", absent), "(none)");
  StudyConfig other = quick();
  other.filters_scale = 0.25;
  EXPECT_NE(study.arms[1].settings, make_study("sparse", other).arms[1].settings);
  EXPECT_EQ(study.arms[0].settings, make_study("sparse", other).arms[0].settings);
}

TEST(studies, wrong_usage) {
  EXPECT_THROW(make_study("everything", {}), UsageError);
  EXPECT_THROW(make_study("compare", {}), UsageError);
  StudyConfig config;
  config.inputs = {"a.h5"};
  EXPECT_THROW(make_study("compare", config), UsageError);  // nothing to compare with
  config.scan = "no such file.h5";
  EXPECT_THROW(make_study("compare", config), io::FileError);
  config.size_px = 100;
  EXPECT_THROW(make_study("sparse", config), UsageError);
}

TEST(studies, what_no_arm_can_work_with_is_wrong_usage) {
  const auto refused = [](const char* study, const std::function<void(StudyConfig&)>& set) -> std::string {
    StudyConfig config = quick();
    set(config);
    try {
      make_study(study, config);
    } catch (const UsageError& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_NE(refused("sparse", [](StudyConfig& c) { c.crop = "0:5"; }).find("--crop: "), std::string::npos);
  EXPECT_NE(refused("sim-lines", [](StudyConfig& c) { c.probe_pipeline = "polish:3"; }).find("--probe-pipeline: "),
            std::string::npos);
  for (const char* study : {"sim-lines", "dose", "overlap", "sparse", "probe", "positions", "data"}) {
    EXPECT_NE(refused(study, [](StudyConfig& c) { c.size_px = 63; }).find("--size 63: "), std::string::npos) << study;
    EXPECT_EQ(refused(study, [](StudyConfig& c) { c.size_px = 128; }), "") << study;
  }
}

TEST(studies, too_few_patterns_are_refused) {
  const auto message = [](const std::function<void()>& make) -> std::string {
    try {
      make();
    } catch (const UsageError& e) {
      return e.what();
    }
    return "";
  };
  const auto with = [&](const char* study, int64_t patterns) {
    StudyConfig config = quick();
    config.patterns = patterns;
    return message([&] { make_study(study, config); });
  };
  EXPECT_NE(with("sparse", 15).find("expected 16 or more"), std::string::npos);
  EXPECT_EQ(with("sparse", 16), "");
  EXPECT_NE(with("overlap", 63).find("expected 64 or more"), std::string::npos);
  EXPECT_EQ(with("overlap", 64), "");
}

TEST(studies, names_of_compared_inputs) {
  const tests::TemporaryFolder folder;
  std::ofstream(folder.file("truth.h5")) << "x";
  std::ofstream(folder.file("a.h5")) << "x";
  StudyConfig config;
  config.truth = folder.file("truth.h5");
  const std::string file = folder.file("a.h5");
  const auto make = [&](const Names& inputs) {
    config.inputs = inputs;
    return make_study("compare", config);
  };
  EXPECT_EQ(arms_of(make({"a_b-1.5=" + file, file})), (Names{"a_b-1.5", "a"}));
  EXPECT_EQ(make({file}).title, "Comparison of 1 reconstruction");
  EXPECT_EQ(make({file, "b=" + file}).title, "Comparison of 2 reconstructions");
  for (const std::string& wrong :
       {"../x=" + file, ".x=" + file, "a+=" + file, "a b=" + file, std::string("a="), std::string("="), std::string()})
    EXPECT_THROW(make({wrong}), UsageError) << wrong;
}

TEST(studies, a_files_fingerprint_follows_its_bytes) {
  const tests::TemporaryFolder folder;
  const auto write = [&](const std::string& text) { std::ofstream(folder.file("f")) << text; };
  write("123456789");
  const std::string first = file_fingerprint(folder.file("f"));
  EXPECT_EQ(file_fingerprint(folder.file("f") + ":object"), first + ":object");
  write("12345678:");
  EXPECT_NE(file_fingerprint(folder.file("f")), first);
  write("123456789");
  EXPECT_EQ(file_fingerprint(folder.file("f")), first);
  EXPECT_THROW(file_fingerprint(folder.file("absent")), io::FileError);
}

TEST(studies, fingerprints_of_files_that_differ_in_signs_or_in_zeros_at_the_end_differ) {
  const tests::TemporaryFolder folder;
  const auto of = [&](const std::string& bytes) {
    std::ofstream(folder.file("f"), std::ios::binary) << bytes;
    return file_fingerprint(folder.file("f"));
  };
  constexpr size_t values = 16;
  const auto of_values = [&](const std::array<std::complex<float>, values>& object) {
    std::string bytes(sizeof object, '\0');
    std::memcpy(bytes.data(), object.data(), sizeof object);
    return of(bytes);
  };
  std::array<std::complex<float>, values> object;
  for (size_t i = 0; i < values; ++i) object[i] = {0.5f + static_cast<float>(i), 1.5f - static_cast<float>(i % 5)};
  std::set<std::string> found{of_values(object)};
  EXPECT_EQ(found.count(of_values(object)), 1U);
  const auto is_new = [&](const std::string& fingerprint) { return found.insert(fingerprint).second; };
  // Two values conjugated, negated, or one of each: signs are the highest bits of a word and of its lower half.
  for (size_t i = 0; i < values; ++i)
    for (size_t j = i + 1; j < values; ++j)
      for (const int how : {0, 1, 2}) {
        auto changed = object;
        changed[i] = how == 1 ? -changed[i] : std::conj(changed[i]);
        changed[j] = how == 0 ? std::conj(changed[j]) : -changed[j];
        EXPECT_TRUE(is_new(of_values(changed))) << i << " " << j << " " << how;
      }
  auto conjugated = object;
  for (auto& value : conjugated) value = std::conj(value);
  EXPECT_TRUE(is_new(of_values(conjugated)));
  auto exchanged = object;
  std::swap(exchanged[3], exchanged[4]);
  EXPECT_TRUE(is_new(of_values(exchanged)));
  // Zeros cut from the end, one by one: within a word, a whole one, across the pieces that are read.
  for (const size_t length : {size_t{0}, size_t{1}, size_t{7}, size_t{8}, size_t{9}, size_t{15}, size_t{16}, size_t{17},
                              (size_t{1} << 20) - 1, size_t{1} << 20, (size_t{1} << 20) + 1})
    EXPECT_TRUE(is_new(of(std::string(length, '\0')))) << length;
}

TEST(studies, an_arm_without_a_row_has_no_place_in_a_table) {
  io::ArmResult full, empty;
  full.arm = "full";
  full.rows = {{{"model", std::string("x")}}};
  empty.arm = "empty";
  try {
    over_seeds({full, empty}, {"model"});
    ADD_FAILURE() << "was taken";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("arm empty: its result has no row"), std::string::npos) << e.what();
  }
  StudyConfig config;
  const tests::TemporaryFolder folder;
  std::ofstream(folder.file("x")) << "x";
  config.truth = folder.file("x");
  config.inputs = {folder.file("x")};
  EXPECT_THROW(make_study("compare", config).report({empty}, folder.path()), Error);
}

TEST(studies, rows_of_several_seeds_become_mean_and_spread) {
  io::ArmResult a, b, c;
  a.arm = "a";
  a.rows = {{{"case", std::string("x")}, {"ssim", 0.1}, {"why", std::string("no number")}}};
  b.rows = {{{"case", std::string("x")}, {"ssim", 0.3}}};
  c.rows = {{{"case", std::string("y")}, {"ssim", io::Cell()}}, {{"case", std::string("z")}, {"ssim", 0.25}}};
  const std::vector<SeedGroup> groups = over_seeds({a, b, c}, {"case"});
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[0].label("case"), "x");
  EXPECT_EQ(groups[0].arm(), "a");
  EXPECT_NEAR(groups[0].mean("ssim"), 0.2, 1e-12);
  EXPECT_EQ(groups[0].text("ssim", 3), "0.200 ± 0.141");
  EXPECT_EQ(groups[0].text("why", 3), "-");
  EXPECT_TRUE(std::isnan(groups[1].mean("ssim")));
  EXPECT_EQ(groups[1].text("ssim", 3), "-");
  EXPECT_EQ(groups[2].text("ssim", 2), "0.25");
  EXPECT_NEAR(groups[0].deviation("ssim"), 0.1 * std::sqrt(2), 1e-12);
  EXPECT_EQ(groups[2].deviation("ssim"), 0);
  EXPECT_EQ(groups[0].first_text("ssim", 2), "0.10");
  EXPECT_EQ(groups[1].first_text("ssim", 2), "-");
}

TEST(studies, a_mean_says_how_many_seeds_it_lacks) {
  const auto row = [](const char* name, double seed, const io::Cell& ssim) {
    io::ArmResult arm;
    arm.rows = {{{"case", std::string(name)}, {"seed", seed}, {"ssim", ssim}}};
    return arm;
  };
  io::ArmResult flat;  // one for all seeds
  flat.rows = {{{"case", std::string("flat")}, {"ssim", 0.5}}};
  const std::vector<SeedGroup> groups =
      over_seeds({row("x", 0, 0.1), row("x", 1, 0.3), row("x", 2, io::Cell()), row("y", 0, 0.2), flat}, {"case"});
  EXPECT_EQ(groups[0].text("ssim", 1), "0.2 ± 0.1 (2 of 3)");
  EXPECT_EQ(groups[1].text("ssim", 1), "0.2 (1 of 3)");
  EXPECT_EQ(groups[2].text("ssim", 1), "0.5");
}

/// What the dose study says of FRC50 rings (one for each seed) of NLL and MAE at 1e4 and of MAE at 1e5 photons.
std::string dose_verdict(const std::vector<double>& nll, const std::vector<double>& mae,
                         const std::vector<double>& mae_ten) {
  const tests::TemporaryFolder folder;
  std::filesystem::create_directory(folder.file("arms"));
  std::vector<io::ArmResult> arms;
  const auto add = [&](const char* loss, double photons, const std::vector<double>& rings) {
    for (size_t seed = 0; seed < rings.size(); ++seed) {
      io::ArmResult& arm = arms.emplace_back();
      arm.arm = std::string(loss) + std::to_string(photons) + std::to_string(seed);
      arm.rows = {{{"loss", std::string(loss)},
                   {"photons", photons},
                   {"seed", static_cast<double>(seed)},
                   {"amplitude_frc50_bin", rings[seed]}}};
      const FieldImage image{2, 2, std::vector<std::complex<double>>(4, 1.0)};
      const std::array arrays{npz_array("truth", image), npz_array("reconstruction", image)};
      io::write_npz(folder.file("arms/" + arm.arm + ".npz"), arrays, true);
    }
  };
  add("nll", 1e4, nll);
  add("mae", 1e4, mae);
  add("mae", 1e5, mae_ten);
  StudyConfig config;
  config.seeds = static_cast<int64_t>(nll.size());
  return make_study("dose", config).report(arms, folder.path()).notes.front();
}

TEST(studies, the_verdict_on_dose_follows_the_rings) {
  const auto says = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  std::string text = dose_verdict({12}, {8}, {11});
  EXPECT_TRUE(says(text, "So here the claim holds.")) << text;
  EXPECT_TRUE(says(text, "MAE reaches that ring at none of the doses.")) << text;
  text = dose_verdict({9.5}, {8}, {11});
  EXPECT_TRUE(says(text, "So here the claim does not hold.")) << text;
  // Halfway between the rings of 1e4 and 1e5 photons, along the logarithm of the dose: 1e4.5.
  EXPECT_TRUE(says(text, "at 3.2e+04 photons, 3.2 times the dose")) << text;
  EXPECT_TRUE(says(dose_verdict({12}, {8}, {8.9}), "the claim is not tested")) << text;
  // Seeds that spread by more than the difference say less.
  EXPECT_TRUE(says(dose_verdict({9, 11}, {5, 5}, {10, 11}), "holds within the spread of the seeds")) << text;
  EXPECT_TRUE(says(dose_verdict({9, 9.1}, {5, 5}, {10.9, 11}), "does not hold")) << text;
  EXPECT_TRUE(says(dose_verdict({9, 9}, {2, 12}, {8, 13}), "the claim is not tested")) << text;
}

double power(const io::ComplexImage& probe) {
  return total_power(probe);
}

TEST(studies, defocus_keeps_power_and_is_undone_by_its_opposite) {
  const io::ComplexImage probe = default_probe(64);
  const io::ComplexImage away = defocused(probe, 2), back = defocused(away, -2);
  EXPECT_NEAR(power(away) / power(probe), 1, 1e-5);
  EXPECT_GT(relative_difference(away, probe), 0.3);
  EXPECT_WITHIN(tests::relative_l2(back.data.data(), probe.data.data(), 64 * 64), 1e-5);
  EXPECT_WITHIN(tests::relative_l2(defocused(probe, 0).data.data(), probe.data.data(), 64 * 64), 1e-5);
  EXPECT_GT(relative_difference(defocused(probe, 4), probe), relative_difference(away, probe));
}

TEST(studies, amplitude_error_has_the_size_asked_for) {
  io::ComplexImage flat{1, 64, 64, std::vector<std::complex<float>>(64 * 64, {0, 2})};
  const io::ComplexImage wrong = with_amplitude_error(flat, 0.1, 3);
  double squares = 0;
  for (size_t i = 0; i < flat.data.size(); ++i) {
    EXPECT_EQ(wrong.data[i].real(), 0);
    squares += std::norm(wrong.data[i] - flat.data[i]) / 4;
  }
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(flat.data.size())), 0.1, 1e-4);
}

TEST(studies, a_probes_relative_difference) {
  io::ComplexImage a{1, 1, 2, {{1, 0}, {0, 0}}}, b{1, 1, 2, {{0, 0}, {1, 0}}}, c{1, 1, 2, {{0, 3}, {0, 0}}};
  EXPECT_NEAR(relative_difference(a, b), 1, 1e-12);
  EXPECT_NEAR(relative_difference(a, c), 0, 1e-12);  // up to a complex factor
}

TEST(studies, the_inner_region_is_an_eighth_smaller_at_each_side) {
  const Rectangle region = inner_region({{10, 100}, {90, 180}, {50, 120}});
  EXPECT_EQ(region.y0, 20);
  EXPECT_EQ(region.y1, 81);
  EXPECT_EQ(region.x0, 110);
  EXPECT_EQ(region.x1, 171);
}

TEST(studies, a_region_beyond_the_reconstruction_counts_as_uncovered) {
  io::ComplexImage truth{1, 20, 20, {}};
  for (int i = 0; i < 400; ++i) truth.data.emplace_back(1 + 0.1f * static_cast<float>(i % 7), 0.0f);
  io::Reconstruction part;
  part.origin_px = {4, 0};
  part.object = {1, 16, 20, {truth.data.begin() + 80, truth.data.end()}};
  part.weight.assign(320, 1.0f);
  EvaluationConfig config;
  config.crop = Rectangle{2, 18, 1, 19};
  const Evaluation wide = evaluate_widened(part, truth, config);
  EXPECT_NEAR(wide.uncovered, 2.0 / 16, 1e-12);
  EXPECT_EQ(wide.reconstruction.data[0], std::complex<double>(0));
  for (size_t i = 2 * 18; i < wide.truth.data.size(); ++i) ASSERT_EQ(wide.reconstruction.data[i], wide.truth.data[i]);
  config.crop = Rectangle{4, 20, 1, 19};
  EXPECT_EQ(evaluate_widened(part, truth, config).uncovered, 0);
}

TEST(studies, a_scan_with_other_positions_keeps_its_frames) {
  io::ScanInfo info = tests::small_scan(4, 16, 1)->info();
  info.positions_px[2] = {1, 2};
  const auto scan = with_info(tests::small_scan(4, 16, 1), info);
  EXPECT_EQ(scan->info().positions_px[2][1], 2);
  std::vector<float> changed(2 * 16 * 16), plain(changed.size());
  scan->read_amplitude(1, 2, changed);
  tests::small_scan(4, 16, 1)->read_amplitude(1, 2, plain);
  EXPECT_EQ(changed, plain);
}

}  // namespace
}  // namespace ptyfuse::studies
