#include "io/json_text.h"

#include "io/file_error.h"
#include "io/file_kind.h"

namespace ptyfuse::io {

nlohmann::ordered_json parse_json(const std::string& path, const std::string& text) {
  using Json = nlohmann::ordered_json;
  constexpr int deepest = 64;
  try {
    return Json::parse(text, [&path](int depth, Json::parse_event_t, Json&) {
      if (depth >= deepest) throw FileError(path, "is JSON nested more than " + std::to_string(deepest) + " deep");
      return true;
    });
  } catch (const Json::exception& e) {
    throw FileError(path, std::string("is no JSON, or damaged: ") + e.what());
  }
}

nlohmann::ordered_json read_json(const std::string& path) {
  constexpr int64_t most_bytes = int64_t{1} << 28;  // thousands of curves
  return parse_json(path, read_whole(path, most_bytes));
}

}  // namespace ptyfuse::io
