#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "io/file_error.h"

namespace ptyfuse {

/// A setting that is unknown, malformed or out of its range; the command line exits with 2.
class UsageError : public std::runtime_error {
 public:
  explicit UsageError(const std::string& message) : std::runtime_error(io::without_nul(message)) {}
};

enum class OptionKind { integer, real, flag, text };

/// One setting by its command-line name: what it means, how to set it from text and how to print it.
struct Option {
  std::string name;  ///< "filters-scale"
  std::string help;
  OptionKind kind = OptionKind::text;
  std::vector<std::string> choices;  ///< empty: free
  std::string placeholder = {};      ///< of a text, what --help shows for it: "FILE[:DATASET]"; empty: any text
  bool must_be_given = false;        ///< a text that must not stay empty
  std::string group = {};            ///< heading in --help; empty: the command's own
  std::function<void(const std::string&)> set;
  std::function<std::string()> get;
};

/// The settings of one command, bound to the fields of its configuration: the one table from which the command line,
/// the help text, TOML input and the stored config.toml are made. Values apply in the table's order. The bound fields
/// must outlive the table.
class OptionTable {
 public:
  /// The heading in --help of the settings that follow.
  void heading(std::string group) { group_ = std::move(group); }
  void integer(std::string name, int64_t& field, std::string help, int64_t low = 0,
               int64_t high = std::numeric_limits<int64_t>::max());
  void seed(std::string name, uint64_t& field, std::string help);
  void real(std::string name, double& field, std::string help, double low = 0,
            double high = std::numeric_limits<double>::infinity());
  /// A real number where one value means "decide for me" and is written "auto".
  void real_or_auto(std::string name, double& field, double automatic, std::string help, double low = 0);
  /// "4GiB", "512MiB", "1000000"; 0: no limit.
  void bytes(std::string name, int64_t& field, std::string help);
  /// on | off
  void toggle(std::string name, bool& field, std::string help);
  /// Off unless named: --oversample
  void flag(std::string name, bool& field, std::string help);
  void text(std::string name, std::string& field, std::string help, std::string placeholder = {});
  /// A text that must not stay empty.
  void required_text(std::string name, std::string& field, std::string help, std::string placeholder);
  /// One of several words.
  template <class E>
  void choice(std::string name, E& field, std::initializer_list<std::pair<const char*, E>> words, std::string help) {
    std::vector<std::pair<std::string, E>> list(words.begin(), words.end());
    Option o;
    o.name = std::move(name);
    o.help = std::move(help);
    for (const auto& [word, value] : list) o.choices.push_back(word);
    o.set = [&field, list, key = o.name](const std::string& text) {
      for (const auto& [word, value] : list) {
        if (word != text) continue;
        field = value;
        return;
      }
      std::string all;
      for (const auto& [word, value] : list) all += (all.empty() ? "" : ", ") + word;
      throw UsageError("--" + key + ": '" + text + "' is not one of " + all);
    };
    o.get = [&field, list]() -> std::string {
      for (const auto& [word, value] : list)
        if (value == field) return word;
      return {};
    };
    add(std::move(o));
  }
  void custom(Option option) { add(std::move(option)); }

  const std::vector<Option>& options() const { return options_; }

  /// Sets values in the table's order. UsageError: a name that is not in the table, a value that does not fit.
  void apply(const std::vector<std::pair<std::string, std::string>>& values) const;

  /// Reads a flat TOML file, keys as on the command line. UsageError: no such file, not TOML, an unknown key.
  static std::vector<std::pair<std::string, std::string>> read_toml_file(const std::string& path);
  static std::vector<std::pair<std::string, std::string>> parse_toml(const std::string& text,
                                                                     const std::string& origin);
  /// Every setting in force, one a line.
  std::string to_toml() const;

 private:
  void add(Option option);

  std::vector<Option> options_;
  std::string group_;
};

/// "4GiB", "512 MiB", "1e9"; UsageError names `option`.
int64_t parse_bytes(const std::string& option, const std::string& text);

}  // namespace ptyfuse
