#include "io/study_files.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "io/atomic_file.h"
#include "io/crc32.h"
#include "io/file_error.h"
#include "io/json_text.h"

namespace ptyfuse::io {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* arm_format = "ptyfuse-study-arm";
constexpr int arm_version = 3;  // 2: fingerprints of products and inputs were those of another hash

// Changes with any value of a result: a table is not to hold what no arm has found.
std::string digest(const Json& json) {
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return fmt::format("{:08x}", crc32(text.data(), text.size()));
}

Json cell_json(const Cell& cell) {
  if (const auto* number = std::get_if<double>(&cell)) return std::isfinite(*number) ? Json(*number) : Json(nullptr);
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  return nullptr;
}

/// What is neither null nor a number nor a text is of no kind that a cell can be.
Cell cell_of(const std::string& path, const std::string& name, const Json& json) {
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (!json.is_null())
    throw FileError(path, name, std::string("is a JSON ") + json.type_name() + ", not a number, a text or null");
  return {};
}

/// The member of that name, which must be of that kind (Json::value_t): others could be iterated too, as something
/// else.
const Json& member(const std::string& path, const Json& json, const char* name, Json::value_t kind) {
  const Json& value = json.at(name);
  if (value.type() != kind)
    throw FileError(path, name, std::string("is a JSON ") + value.type_name() + ", not an " + Json(kind).type_name());
  return value;
}

Json pairs_json(const std::vector<std::pair<std::string, std::string>>& pairs) {
  Json out = Json::object();
  for (const auto& [name, value] : pairs) out[name] = value;
  return out;
}

Json arm_json(const ArmResult& result) {
  Json rows = Json::array(), curves = Json::object();
  for (const Row& row : result.rows) {
    Json one = Json::object();
    for (const auto& [name, cell] : row) one[name] = cell_json(cell);
    rows.push_back(std::move(one));
  }
  for (const auto& [name, values] : result.curves) {
    Json list = Json::array();
    for (const double value : values) list.push_back(cell_json(value));
    curves[name] = std::move(list);
  }
  return {{"study", result.study},     {"arm", result.arm},           {"settings", pairs_json(result.settings)},
          {"version", result.version}, {"device", result.device},     {"seconds", result.seconds},
          {"rows", std::move(rows)},   {"curves", std::move(curves)}, {"products", pairs_json(result.products)}};
}

std::string text(const Json& json) {
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

void write_arm_result(const std::string& path, const ArmResult& result) {
  Json out{{"format", arm_format}, {"format_version", arm_version}};
  out.update(arm_json(result));
  out["digest"] = digest(out);
  write_whole_file(path, text(out), true);
}

ArmResult read_arm_result(const std::string& path) {
  try {
    Json json = read_json(path);
    if (json.at("format") != arm_format) throw FileError(path, "is no result of a study's arm");
    const Json& version = json.at("format_version");
    if (!version.is_number_integer()) throw FileError(path, "format_version", "is no whole number");
    if (version != arm_version)
      throw OtherLayout(path, fmt::format("was written by another version of the program (layout {}, this one's is {})",
                                          version.get<int64_t>(), arm_version));
    const std::string stated = json.at("digest");
    json.erase("digest");
    if (digest(json) != stated) throw FileError(path, "was changed since the arm was done");
    ArmResult out;
    out.study = json.at("study");
    out.arm = json.at("arm");
    out.version = json.at("version");
    out.device = json.at("device");
    out.seconds = json.at("seconds");
    using Kind = Json::value_t;
    for (const auto& [name, value] : member(path, json, "settings", Kind::object).items())
      out.settings.emplace_back(name, value);
    for (const Json& row : member(path, json, "rows", Kind::array)) {
      if (!row.is_object()) throw FileError(path, "rows", std::string("hold a JSON ") + row.type_name());
      Row& one = out.rows.emplace_back();
      for (const auto& [name, value] : row.items()) one.emplace_back(name, cell_of(path, name, value));
    }
    const Json& curves = member(path, json, "curves", Kind::object);
    for (const auto& [name, list] : curves.items()) {
      std::vector<double>& curve = out.curves.emplace_back(name, std::vector<double>()).second;
      for (const Json& value : member(path, curves, name.c_str(), Kind::array)) {
        if (!value.is_number() && !value.is_null())
          throw FileError(path, name, std::string("holds a JSON ") + value.type_name() + ", not numbers");
        curve.push_back(value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN());
      }
    }
    for (const auto& [name, fingerprint] : member(path, json, "products", Kind::object).items()) {
      // They lie beside the arm's result: a name that is a path would be looked up elsewhere.
      if (name.find('/') != std::string::npos) throw FileError(path, "names '" + name + "', which lies elsewhere");
      out.products.emplace_back(name, fingerprint);
    }
    return out;
  } catch (const Json::exception& e) {
    throw FileError(path, std::string("is no result of a study's arm, or damaged (") + e.what() + ")");
  }
}

std::vector<std::string> figures_of_study(const std::string& path) {
  std::vector<std::string> out;
  Json json;
  try {
    json = read_json(path);
  } catch (const FileError&) {
    return out;
  }
  if (!json.is_object() || !json.contains("figures") || !json["figures"].is_array()) return out;
  for (const Json& name : json["figures"]) {
    if (!name.is_string()) continue;
    const std::string file = name;
    if (file.find('/') == std::string::npos && file.size() > 4 && file.ends_with(".png")) out.push_back(file);
  }
  return out;
}

std::string study_json(const StudySummary& summary, const std::vector<ArmResult>& arms) {
  Json out{{"format", "ptyfuse-study"},    {"format_version", 1},
           {"study", summary.study},       {"title", summary.title},
           {"version", summary.version},   {"device", summary.device},
           {"complete", summary.complete}, {"failed", pairs_json(summary.failed)},
           {"notes", summary.notes},       {"figures", summary.figures},
           {"arms", Json::array()}};
  for (const ArmResult& arm : arms) out["arms"].push_back(arm_json(arm));
  return text(out);
}

}  // namespace ptyfuse::io
