#include "engine/frame_range.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "kernels/device/error.h"

namespace ptyfuse {
namespace {

[[noreturn]] void refuse(const std::string& text, const std::string& why) {
  throw Error(ErrorKind::shape,
              "frames \"" + text + "\": " + why +
                  "; expected A:B or A:B:STEP with whole numbers, each of which may be left out, such "
                  "as 0:500, ::2 or -100: (counted from the end)");
}

/// A, B and STEP; nothing where they are left out.
std::vector<std::optional<int64_t>> parse_slice(const std::string& text) {
  std::vector<std::optional<int64_t>> parts;
  for (size_t begin = 0; !text.empty();) {
    const size_t end = std::min(text.find(':', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    std::optional<int64_t> value;
    if (!part.empty()) {
      int64_t number = 0;
      const auto [stop, fault] = std::from_chars(part.data(), part.data() + part.size(), number);
      if (fault != std::errc{} || stop != part.data() + part.size())
        refuse(text, "\"" + part + "\" is no whole number");
      value = number;
    }
    parts.push_back(value);
    if (end == text.size()) break;
    begin = end + 1;
  }
  if (parts.size() == 1) refuse(text, "a colon is missing");
  if (parts.size() > 3) refuse(text, "too many colons");
  parts.resize(3);
  if (parts[2].value_or(1) < 1) refuse(text, "STEP must be 1 or more");
  return parts;
}

}  // namespace

void add_frames_option(OptionTable& table, std::string& field) {
  Option o;
  o.name = "frames";
  o.help = "frames in use, as Python slices; empty: all";
  o.placeholder = "A:B:STEP";
  o.set = [&field](const std::string& text) {
    try {
      parse_slice(text);
    } catch (const Error& e) {
      throw UsageError(std::string("--") + e.what());
    }
    field = text;
  };
  o.get = [&field] { return field; };
  table.custom(std::move(o));
}

std::vector<int64_t> parse_frame_range(const std::string& text, int64_t count) {
  const std::vector<std::optional<int64_t>> parts = parse_slice(text);
  const int64_t step = parts[2].value_or(1);
  const auto bound = [count](std::optional<int64_t> value, int64_t fallback) {
    if (!value) return fallback;
    return std::clamp(*value < 0 ? *value + count : *value, int64_t{0}, count);
  };
  const int64_t first = bound(parts[0], 0), last = bound(parts[1], count);
  if (first >= last) refuse(text, "nothing is left of " + std::to_string(count) + " frames");

  std::vector<int64_t> frames;
  frames.reserve(static_cast<size_t>((last - first - 1) / step + 1));
  for (int64_t frame = first; frame < last; frame += std::min(step, last - frame)) frames.push_back(frame);
  return frames;
}

}  // namespace ptyfuse
