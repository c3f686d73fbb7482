#include "io/study_files.h"

#include <fmt/format.h>

#include "io/crc32.h"
#include "io/json_text.h"
#include "tests/fuzz/targets.h"

namespace ptyfuse::fuzz {
namespace {

/// A JSON object with the layout's number and digest put right: changes at random reach what stands behind the two.
std::string put_right(Input input) {
  nlohmann::ordered_json json;
  const std::string text(input.begin(), input.end());
  if (!accepts([&] { json = io::parse_json("the input", text); }) || !json.is_object()) return text;
  json["format"] = "ptyfuse-study-arm";
  json["format_version"] = 3;
  json.erase("digest");
  const std::string digested = json.dump();
  json["digest"] = fmt::format("{:08x}", io::crc32(digested.data(), digested.size()));
  return json.dump();
}

bool reads(Input input) {
  const MemoryFile file(input);
  io::ArmResult arm;
  if (!accepts([&] { arm = io::read_arm_result(file.path()); })) return false;
  std::string csv = io::rows_csv(arm.rows);
  csv += io::study_json({}, {arm});
  promise(!csv.empty(), "nothing to write");
  return true;
}

}  // namespace

bool read_as_arm(Input input) {
  reads(input);
  const std::string text = put_right(input);
  return reads({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

void feed_arm(Input input) {
  read_as_arm(input);
}

}  // namespace ptyfuse::fuzz
