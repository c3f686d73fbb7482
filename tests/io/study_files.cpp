// Tables and the files of studies.
#include "io/study_files.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "io/crc32.h"
#include "io/file_error.h"
#include "io/file_kind.h"
#include "io/json_text.h"
#include "io/npz.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse::tests {
namespace {

TEST(table, csv_has_every_column_in_the_order_of_its_first_row) {
  const std::vector<io::Row> rows{{{"case", std::string("a,b")}, {"ssim", 0.1}},
                                  {{"case", std::string("c")}, {"why", std::string("say \"no\"")}, {"ssim", 1e-12}},
                                  {{"case", io::Cell()}, {"ssim", std::nan("")}}};
  EXPECT_EQ(io::rows_csv(rows), "case,ssim,why\n\"a,b\",0.1,\nc,1e-12,\"say \"\"no\"\"\"\n,,\n");
  EXPECT_EQ(io::rows_csv({}), "\n");
}

TEST(table, markdown_is_padded_and_keeps_its_columns) {
  EXPECT_EQ(io::markdown_table({"case", "±"}, {{"a|b", "0.5 ± 0.1"}, {"c"}}),
            "| case | ±         |\n"
            "|------|-----------|\n"
            "| a/b  | 0.5 ± 0.1 |\n"
            "| c    |           |\n");
}

io::ArmResult some_result() {
  return {.study = "dose",
          .arm = "nll_1e4",
          .settings = {{"train.epochs", "8"}, {"crop", ""}},
          .version = "1",
          .device = "cpu",
          .seconds = 1.5,
          .rows = {{{"loss", std::string("nll")}, {"ssim", 0.1 + 0.2}, {"frc", io::Cell()}}, {{"loss", std::nan("")}}},
          .curves = {{"frc", {1, 1.0 / 3, std::nan("")}}, {"none", {}}},
          .products = {{"nll_1e4.npz", "00ff"}}};
}

TEST(study_files, an_arms_result_survives_its_file_digit_by_digit) {
  const TemporaryFolder folder;
  const io::ArmResult before = some_result();
  io::write_arm_result(folder.file("a.json"), before);
  const io::ArmResult after = io::read_arm_result(folder.file("a.json"));
  EXPECT_EQ(after.study, before.study);
  EXPECT_EQ(after.arm, before.arm);
  EXPECT_EQ(after.settings, before.settings);
  EXPECT_EQ(after.version, before.version);
  EXPECT_EQ(after.device, before.device);
  EXPECT_EQ(after.seconds, before.seconds);
  ASSERT_EQ(after.rows.size(), 2U);
  EXPECT_EQ(after.rows[0], before.rows[0]);
  EXPECT_EQ(after.rows[1], (io::Row{{"loss", io::Cell()}}));  // not finite: undefined
  ASSERT_EQ(after.curves.size(), 2U);
  EXPECT_EQ(after.curves[0].first, "frc");
  EXPECT_EQ(after.curves[0].second[1], 1.0 / 3);
  EXPECT_TRUE(std::isnan(after.curves[0].second[2]));
  EXPECT_TRUE(after.curves[1].second.empty());
  EXPECT_EQ(after.products, before.products);
}

TEST(study_files, a_result_that_was_edited_is_found) {
  const TemporaryFolder folder;
  io::write_arm_result(folder.file("a.json"), some_result());
  std::ifstream file(folder.file("a.json"));
  const auto whole = nlohmann::ordered_json::parse(file);
  using Json = nlohmann::ordered_json;
  const std::function<void(Json&)> edits[] = {
      [](Json& j) { j["rows"] = 5; },
      [](Json& j) { j["rows"] = Json::array(); },
      [](Json& j) { j["rows"][0]["ssim"] = "0.3"; },
      [](Json& j) { j["rows"][0]["ssim"] = 0.9; },
      [](Json& j) { j["curves"]["frc"] = "none"; },
      [](Json& j) { j["seconds"] = 1; },
      [](Json& j) { j["products"].clear(); },
      [](Json& j) { j["digest"] = "0"; },
      [](Json& j) { j.erase("digest"); },
  };
  for (const auto& edit : edits) {
    Json changed = whole;
    edit(changed);
    SCOPED_TRACE(changed.dump());
    std::ofstream(folder.file("b.json")) << changed;
    EXPECT_THROW(io::read_arm_result(folder.file("b.json")), io::FileError);
  }
  std::ofstream(folder.file("b.json")) << whole;  // other spaces change nothing
  EXPECT_EQ(io::read_arm_result(folder.file("b.json")).rows, io::read_arm_result(folder.file("a.json")).rows);
}

TEST(study_files, a_damaged_result_is_named) {
  const TemporaryFolder folder;
  for (const char* content : {"", "{", "[]", "{\"format\": \"other\"}", "{\"format\": \"ptyfuse-study-arm\"}",
                              "{\"format\": \"ptyfuse-study-arm\", \"format_version\": 3}",
                              "{\"format\": \"ptyfuse-study-arm\", \"format_version\": 1e300}"}) {
    SCOPED_TRACE(content);
    std::ofstream(folder.file("a.json")) << content;
    try {
      io::read_arm_result(folder.file("a.json"));
      ADD_FAILURE() << "was read";
    } catch (const io::FileError& e) {
      EXPECT_NE(std::string(e.what()).find("a.json"), std::string::npos);
    }
  }
}

TEST(study_files, a_layout_that_is_none_is_refused_though_its_digest_is_right) {
  using Json = nlohmann::ordered_json;
  const TemporaryFolder folder;
  io::write_arm_result(folder.file("a.json"), some_result());
  const Json whole = io::read_json(folder.file("a.json"));
  const auto message_of = [&](Json changed) -> std::string {
    changed.erase("digest");
    const std::string digested = changed.dump();
    changed["digest"] = fmt::format("{:08x}", io::crc32(digested.data(), digested.size()));
    std::ofstream(folder.file("b.json")) << changed;
    try {
      io::read_arm_result(folder.file("b.json"));
    } catch (const io::FileError& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(message_of(whole), "");
  const struct {
    std::function<void(Json&)> edit;
    const char* said;
  } cases[] = {
      {[](Json& j) { j["rows"] = 5; }, "rows: is a JSON number, not an array"},
      {[](Json& j) { j["rows"] = "none"; }, "rows: is a JSON string, not an array"},
      {[](Json& j) {
         j["rows"] = Json::object({{"a", {{"ssim", 1}}}});
       },
       "rows: is a JSON object, not an array"},
      {[](Json& j) { j["rows"] = nullptr; }, "rows: is a JSON null, not an array"},
      {[](Json& j) {
         j["rows"][1] = {1, 2};
       },
       "rows: hold a JSON array"},
      {[](Json& j) { j["rows"][0] = "x"; }, "rows: hold a JSON string"},
      {[](Json& j) { j["rows"][0]["ssim"] = {1}; }, "ssim: is a JSON array, not a number, a text or null"},
      {[](Json& j) { j["rows"][0]["ssim"] = true; }, "ssim: is a JSON boolean, not a number, a text or null"},
      {[](Json& j) { j["curves"] = Json::array(); }, "curves: is a JSON array, not an object"},
      {[](Json& j) { j["curves"]["frc"] = "none"; }, "frc: is a JSON string, not an array"},
      {[](Json& j) {
         j["curves"]["frc"] = Json::object({{"a", 1}});
       },
       "frc: is a JSON object, not an array"},
      {[](Json& j) { j["curves"]["frc"][0] = "1"; }, "frc: holds a JSON string, not numbers"},
      {[](Json& j) { j["products"] = Json::array(); }, "products: is a JSON array, not an object"},
      {[](Json& j) { j["products"] = nullptr; }, "products: is a JSON null, not an object"},
      {[](Json& j) { j["products"]["a.npz"] = 5; }, "damaged"},
      {[](Json& j) { j["products"]["../a.npz"] = "00"; }, "lies elsewhere"},
      {[](Json& j) { j["settings"] = Json::array({"a"}); }, "settings: is a JSON array, not an object"},
      {[](Json& j) { j["seconds"] = "long"; }, "damaged"},
      {[](Json& j) { j.erase("curves"); }, "damaged"},
  };
  for (const auto& c : cases) {
    Json changed = whole;
    c.edit(changed);
    const std::string message = message_of(changed);
    EXPECT_NE(message.find("b.json: "), std::string::npos) << changed;
    EXPECT_NE(message.find(c.said), std::string::npos) << message << "\n" << changed;
  }
}

TEST(study_files, a_whole_result_of_another_layout_is_told_from_a_damaged_one) {
  const TemporaryFolder folder;
  std::ofstream(folder.file("a.json")) << R"({"format": "ptyfuse-study-arm", "format_version": 2})";
  EXPECT_THROW(io::read_arm_result(folder.file("a.json")), io::OtherLayout);
  for (const char* damaged : {R"({"format": "ptyfuse-study-arm", "format_version": 3})",
                              R"({"format": "ptyfuse-study-arm", "format_version": "2"})"}) {
    std::ofstream(folder.file("a.json")) << damaged;
    try {
      io::read_arm_result(folder.file("a.json"));
      ADD_FAILURE() << "was read";
    } catch (const io::OtherLayout& e) {
      ADD_FAILURE() << e.what();
    } catch (const io::FileError&) {
    }
  }
}

TEST(study_files, the_figures_of_a_study_are_plain_names_of_pictures) {
  const TemporaryFolder folder;
  const auto figures = [&](const char* content) {
    std::ofstream(folder.file("results.json")) << content;
    return io::figures_of_study(folder.file("results.json"));
  };
  EXPECT_EQ(
      figures(R"({"figures": ["a.png", "study", "report.md", "../b.png", "/c.png", ".png", "", 5, null, "d.png"]})"),
      (std::vector<std::string>{"a.png", "d.png"}));
  EXPECT_TRUE(figures(R"({"figures": "a.png"})").empty());
  EXPECT_TRUE(figures(R"(["a.png"])").empty());
}

TEST(study_files, json_nested_without_end_is_refused) {
  const TemporaryFolder folder;
  const auto nested = [](size_t deep) { return std::string(deep, '[') + std::string(deep, ']'); };
  for (const size_t deep : {size_t{65}, size_t{200000}}) {
    EXPECT_THROW(io::parse_json("x.json", nested(deep)), io::FileError);
    std::ofstream(folder.file("a.json"))
        << R"({"format": "ptyfuse-study-arm", "format_version": 3, "digest": "", "x": )" << nested(deep) << "}";
    EXPECT_THROW(io::read_arm_result(folder.file("a.json")), io::FileError);
    EXPECT_TRUE(io::figures_of_study(folder.file("a.json")).empty());
  }
  EXPECT_EQ(io::parse_json("x.json", nested(64)).size(), 1U);
}

TEST(study_files, what_is_no_ordinary_file_is_neither_waited_for_nor_read_without_end) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo(folder.file("pipe.json").c_str(), 0600), 0);
  std::filesystem::create_symlink("/dev/zero", folder.file("zeros.json"));
  std::filesystem::create_directory(folder.file("folder.json"));
  std::ofstream(folder.file("large.json")) << "{}";
  std::filesystem::resize_file(folder.file("large.json"), uintmax_t{1} << 30);
  for (const char* name : {"pipe.json", "zeros.json", "folder.json", "large.json"}) {
    SCOPED_TRACE(name);
    EXPECT_THROW(io::read_arm_result(folder.file(name)), io::FileError);
  }
  std::ofstream(folder.file("text")) << "12345";
  EXPECT_EQ(io::read_whole(folder.file("text"), 5), "12345");
  EXPECT_THROW(io::read_whole(folder.file("text"), 4), io::FileError);
  EXPECT_THROW(io::read_whole(folder.file("nothing"), 4), io::FileError);
}

TEST(study_files, the_summary_holds_all_arms) {
  io::StudySummary summary;
  summary.study = "dose";
  summary.failed = {{"mae_1e4", "no photons"}};
  summary.notes = {"one"};
  const auto json = nlohmann::json::parse(io::study_json(summary, {some_result(), some_result()}));
  EXPECT_EQ(json["study"], "dose");
  EXPECT_EQ(json["complete"], false);
  EXPECT_EQ(json["failed"]["mae_1e4"], "no photons");
  ASSERT_EQ(json["arms"].size(), 2U);
  EXPECT_EQ(json["arms"][1]["rows"][0]["ssim"], 0.1 + 0.2);
  EXPECT_TRUE(json["arms"][1]["rows"][0]["frc"].is_null());
}

TEST(npz, arrays_written_are_read_again) {
  const TemporaryFolder folder;
  const std::vector<io::NpzArray> arrays{{"real", {2, 3}, std::vector<float>{0, 1, 2, 3, 4, 5}},
                                         {"complex", {1, 2}, std::vector<std::complex<float>>{{1, -2}, {0.5f, 3}}}};
  io::write_npz(folder.file("a.npz"), arrays, false);
  const io::ComplexImage real = io::read_complex_image(folder.file("a.npz") + ":real", "real");
  EXPECT_EQ(real.height, 2);
  EXPECT_EQ(real.width, 3);
  EXPECT_EQ(real.data[4], std::complex<float>(4, 0));
  EXPECT_EQ(io::read_complex_image(folder.file("a.npz") + ":complex", "complex").data,
            std::get<std::vector<std::complex<float>>>(arrays[1].data));
  EXPECT_THROW(io::write_npz(folder.file("a.npz"), arrays, false), io::FileError);
  const std::vector<io::NpzArray> wrong{{"real", {7}, std::vector<float>(6)}};
  EXPECT_THROW(io::write_npz(folder.file("b.npz"), wrong, false), io::FileError);
  EXPECT_EQ(folder.names(), std::set<std::string>{"a.npz"});
}

}  // namespace
}  // namespace ptyfuse::tests
