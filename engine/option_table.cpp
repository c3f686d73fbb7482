#include "engine/option_table.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace ptyfuse {
namespace {

[[noreturn]] void bad_value(const std::string& name, const std::string& text, const std::string& expected) {
  throw UsageError("--" + name + ": '" + text + "' is not " + expected);
}

template <class T>
bool parse_whole(const std::string& text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

/// Whether TOML may hold the text.
bool is_utf8(const std::string& text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  for (size_t i = 0; i < text.size();) {
    const int first = byte(i);
    const int more = first < 0x80 ? 0 : first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    int code = more == 0 ? first : first & (0x3f >> more);
    for (int k = 1; k <= more; ++k) {
      if ((byte(i + static_cast<size_t>(k)) & 0xc0) != 0x80) return false;
      code = code << 6 | (byte(i + static_cast<size_t>(k)) & 0x3f);
    }
    constexpr int least[] = {0, 0x80, 0x800, 0x10000};
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    if ((first >= 0x80 && first < 0xc0) || first >= 0xf8 || code < least[more] || code > 0x10ffff || surrogate)
      return false;
    i += static_cast<size_t>(more) + 1;
  }
  return true;
}

// Shortest text that reads back to the same number.
std::string real_text(double value) {
  return fmt::format("{}", value);
}

// File names in values have dots, as many as there are files; those of keys are what counts.
int64_t dots_outside_of_strings(const std::string& toml) {
  // Strings of several lines, which settings are not, would put the quotes out of step: there all dots count.
  if (toml.find("\"\"\"") != std::string::npos || toml.find("'''") != std::string::npos)
    return std::count(toml.begin(), toml.end(), '.');
  int64_t dots = 0;
  char quote = 0;  // what ends the string that a character lies in
  for (size_t i = 0; i < toml.size(); ++i) {
    const char c = toml[i];
    if (c == '\n')
      quote = 0;
    else if (quote == '"' && c == '\\')
      ++i;
    else if (quote != 0)
      quote = c == quote ? 0 : quote;
    else if (c == '"' || c == '\'')
      quote = c;
    else
      dots += c == '.';
  }
  return dots;
}

}  // namespace

int64_t parse_bytes(const std::string& option, const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit(error == std::errc() ? std::string(end, text.data() + text.size()) : "?");
  unit.erase(std::remove(unit.begin(), unit.end(), ' '), unit.end());
  for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  constexpr std::pair<const char*, double> units[] = {
      {"", 1},       {"b", 1},      {"kib", 0x1p10}, {"mib", 0x1p20}, {"gib", 0x1p30}, {"tib", 0x1p40}, {"k", 0x1p10},
      {"m", 0x1p20}, {"g", 0x1p30}, {"t", 0x1p40},   {"kb", 1e3},     {"mb", 1e6},     {"gb", 1e9},     {"tb", 1e12}};
  for (const auto& [name, factor] : units) {
    if (unit != name) continue;
    const double bytes = number * factor;
    if (!(bytes >= 0 && bytes < 0x1p60)) break;
    return static_cast<int64_t>(std::ceil(bytes));  // what is little is not "no limit"
  }
  bad_value(option, text, "a size; write it like 4GiB, 512MiB or 0 for no limit");
}

void OptionTable::add(Option option) {
  option.group = group_;
  options_.push_back(std::move(option));
}

void OptionTable::integer(std::string name, int64_t& field, std::string help, int64_t low, int64_t high) {
  Option o;
  o.name = std::move(name);
  o.help = std::move(help);
  o.kind = OptionKind::integer;
  o.set = [&field, low, high, key = o.name](const std::string& text) {
    int64_t value = 0;
    if (!parse_whole(text, value)) bad_value(key, text, "a whole number");
    if (value < low || value > high) {
      const bool open = high == std::numeric_limits<int64_t>::max();
      bad_value(key, text, open ? fmt::format("at least {}", low) : fmt::format("between {} and {}", low, high));
    }
    field = value;
  };
  o.get = [&field] { return std::to_string(field); };
  add(std::move(o));
}

void OptionTable::seed(std::string name, uint64_t& field, std::string help) {
  Option o;
  o.name = std::move(name);
  o.help = std::move(help);
  o.kind = OptionKind::integer;
  o.set = [&field, key = o.name](const std::string& text) {
    uint64_t value = 0;
    if (!parse_whole(text, value) || value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      bad_value(key, text, "a whole number, 0 or more");
    field = value;
  };
  o.get = [&field] { return std::to_string(field); };
  add(std::move(o));
}

void OptionTable::real(std::string name, double& field, std::string help, double low, double high) {
  Option o;
  o.name = std::move(name);
  o.help = std::move(help);
  o.kind = OptionKind::real;
  o.set = [&field, low, high, key = o.name](const std::string& text) {
    double value = 0;
    if (!parse_whole(text, value) || !std::isfinite(value)) bad_value(key, text, "a number");
    if (!(value >= low && value <= high))
      bad_value(key, text,
                std::isinf(high) ? fmt::format("at least {}", low) : fmt::format("between {} and {}", low, high));
    field = value;
  };
  o.get = [&field] { return real_text(field); };
  add(std::move(o));
}

void OptionTable::real_or_auto(std::string name, double& field, double automatic, std::string help, double low) {
  real(std::move(name), field, std::move(help), low);
  Option& o = options_.back();
  o.set = [&field, automatic, number = o.set](const std::string& text) {
    if (text == "auto")
      field = automatic;
    else
      number(text);
  };
  o.get = [&field, automatic] { return field == automatic ? std::string("auto") : real_text(field); };
}

void OptionTable::bytes(std::string name, int64_t& field, std::string help) {
  Option o;
  o.name = std::move(name);
  o.help = std::move(help);
  o.placeholder = "SIZE";
  o.set = [&field, key = o.name](const std::string& text) { field = parse_bytes(key, text); };
  o.get = [&field] {
    constexpr int64_t gib = int64_t{1} << 30, mib = int64_t{1} << 20;
    if (field != 0 && field % gib == 0) return std::to_string(field / gib) + "GiB";
    if (field != 0 && field % mib == 0) return std::to_string(field / mib) + "MiB";
    return std::to_string(field);
  };
  add(std::move(o));
}

void OptionTable::toggle(std::string name, bool& field, std::string help) {
  choice(std::move(name), field, {{"on", true}, {"off", false}}, std::move(help));
}

void OptionTable::flag(std::string name, bool& field, std::string help) {
  Option o;
  o.name = std::move(name);
  o.help = std::move(help);
  o.kind = OptionKind::flag;
  o.set = [&field, key = o.name](const std::string& text) {
    if (text != "true" && text != "false") bad_value(key, text, "true or false");
    field = text == "true";
  };
  o.get = [&field]() -> std::string { return field ? "true" : "false"; };
  add(std::move(o));
}

void OptionTable::text(std::string name, std::string& field, std::string help, std::string placeholder) {
  Option o;
  o.placeholder = std::move(placeholder);
  o.name = std::move(name);
  o.help = std::move(help);
  o.set = [&field](const std::string& text) { field = text; };
  o.get = [&field] { return field; };
  add(std::move(o));
}

void OptionTable::required_text(std::string name, std::string& field, std::string help, std::string placeholder) {
  text(std::move(name), field, std::move(help), std::move(placeholder));
  options_.back().must_be_given = true;
}

void OptionTable::apply(const std::vector<std::pair<std::string, std::string>>& values) const {
  for (const auto& value : values) {
    const std::string& name = value.first;
    if (!is_utf8(value.second))
      throw UsageError("--" + name + ": '" + value.second +
                       "' is not UTF-8, in which settings are kept; rename the file");
    const bool known = std::any_of(options_.begin(), options_.end(), [&](const Option& o) { return o.name == name; });
    if (!known) throw UsageError("'" + name + "' is not a setting of this command; --help lists them");
  }
  for (const Option& option : options_)
    for (const auto& [name, value] : values)
      if (name == option.name) option.set(value);
}

std::vector<std::pair<std::string, std::string>> OptionTable::parse_toml(const std::string& text,
                                                                         const std::string& origin) {
  std::vector<std::pair<std::string, std::string>> values;
  // Each dot may be a table inside another, and the library takes those apart by recursion.
  constexpr int64_t most_dots = 10000;
  if (dots_outside_of_strings(text) > most_dots)
    throw UsageError(origin + ": holds more than " + std::to_string(most_dots) +
                     " dots, which settings do not; lines of NAME = VALUE were expected");
  try {
    const toml::table table = toml::parse(text, origin);
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      if (const auto* s = node.as_string())
        values.emplace_back(name, s->get());
      else if (const auto* i = node.as_integer())
        values.emplace_back(name, std::to_string(i->get()));
      else if (const auto* f = node.as_floating_point())
        values.emplace_back(name, real_text(f->get()));
      else if (const auto* b = node.as_boolean())
        values.emplace_back(name, b->get() ? "true" : "false");
      else
        throw UsageError(origin + ": '" + name + "' must be a number, a string, true or false");
    }
  } catch (const toml::parse_error& error) {
    throw UsageError(
        fmt::format("{}: line {}: not TOML: {}", origin, error.source().begin.line, std::string(error.description())));
  }
  return values;
}

std::vector<std::pair<std::string, std::string>> OptionTable::read_toml_file(const std::string& path) {
  std::error_code error;
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path, error))
    throw UsageError(path + ": cannot be read (--config takes a TOML file)");
  return parse_toml({std::istreambuf_iterator<char>(file), {}}, path);
}

std::string OptionTable::to_toml() const {
  std::string out;
  for (const Option& option : options_) {
    const std::string value = option.get();
    const bool bare = (option.kind == OptionKind::integer || option.kind == OptionKind::flag ||
                       (option.kind == OptionKind::real && value != "auto"));
    std::string quoted;
    for (const char c : value) {
      if (c == '"' || c == '\\')
        quoted += std::string("\\") + c;
      else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
        quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      else
        quoted += c;
    }
    out += option.name + " = " + (bare ? value : "\"" + quoted + "\"") + "\n";
  }
  return out;
}

}  // namespace ptyfuse
