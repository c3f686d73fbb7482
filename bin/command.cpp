#include "bin/command.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>

#include "bin/progress.h"
#include "bin/signals.h"
#include "bin/suggestion.h"
#include "io/atomic_file.h"

namespace ptyfuse::cli {

namespace {

// What is declared outside of a table names something, a file or folder mostly, and "" names none.
void forbid_empty_names(CLI::App& app, const std::set<const CLI::Option*>& settings) {
  for (CLI::Option* option : app.get_options()) {
    const bool is_flag = option->get_items_expected_max() == 0;
    if (settings.contains(option) || is_flag) continue;
    option->check(
        CLI::Validator([](std::string& text) { return std::string(text.empty() ? "\"\" is no name" : ""); }, ""));
  }
}

// The nearest of the words that an option takes, where the text is none of them.
std::string nearest_choice(const Option& option, const std::string& text) {
  if (std::find(option.choices.begin(), option.choices.end(), text) != option.choices.end()) return {};
  return suggestion(text, option.choices);
}

// K of cuda:K, 0 of cuda; none of auto and cpu.
std::optional<int> gpu_index(const std::string& device) {
  if (device == "auto" || device == "cpu") return std::nullopt;
  if (device == "cuda") return 0;
  int index = 0;
  const char* const end = device.data() + device.size();
  constexpr std::string_view prefix = "cuda:";
  if (device.starts_with(prefix)) {
    const auto [rest, error] = std::from_chars(device.data() + prefix.size(), end, index);
    if (error == std::errc() && rest == end && index >= 0) return index;
  }
  throw UsageError("--device: '" + device + "' is not one of auto, cpu, cuda, cuda:K");
}

}  // namespace

void Command::declare_all(CLI::App& app) {
  app.description(std::string(summary()));
  app.footer(lesson());
  declare(app);
  app.add_option("--config", config_file_, "TOML file with any of these settings; the command line wins")
      ->group("Common")
      ->type_name("FILE");
  std::set<const CLI::Option*> settings;
  for (const auto& [name, given] : given_) settings.insert(given->option);
  forbid_empty_names(app, settings);
  OptionTable common;
  if (takes_several_devices())
    common.text("device", globals_.device, "where to compute; several, between commas, share the work",
                "auto|cpu|cuda:K[,...]");
  else
    common.text("device", globals_.device, "where to compute", "auto|cpu|cuda|cuda:K");
  common.integer("threads", globals_.threads, "host threads; 0: all", 0, 1024);
  if (given_.count("seed") == 0) common.seed("seed", globals_.seed, "without effect here: nothing is drawn at random");
  common.flag("quiet", globals_.quiet, "no progress and notices: results and errors only");
  common.flag("verbose", globals_.verbose, "print every setting in force first");
  add_table(app, std::move(common), "Common");
}

void Command::add_table(CLI::App& app, OptionTable table, const std::string& group) {
  for (const Option& option : table.options()) {
    auto given = std::make_unique<Given>();
    if (option.kind == OptionKind::flag) {
      given->option = app.add_flag("--" + option.name, given->flag, option.help);
    } else {
      std::string help = option.help;
      given->option = app.add_option("--" + option.name, given->text, help);
      std::string words;
      for (const std::string& word : option.choices) words += (words.empty() ? "" : "|") + word;
      std::string type = option.kind == OptionKind::integer ? "INT" : option.kind == OptionKind::real ? "REAL" : "TEXT";
      if (!words.empty()) type = words;
      if (!option.placeholder.empty()) type = option.placeholder;
      given->option->type_name(option.must_be_given ? type + " REQUIRED" : type);
      const std::string value = option.get();
      if (!value.empty()) given->option->default_str(value);
    }
    if (const std::string& heading = group.empty() ? option.group : group; !heading.empty())
      given->option->group(heading);
    given_[option.name] = std::move(given);
  }
  tables_.push_back(std::move(table));
}

void Command::add_output(CLI::App& app, std::string& path, bool& force, const std::string& what) {
  app.add_option("-o,--output", path, what)->required()->type_name("FILE");
  app.add_flag("--force", force, "replace the output if it exists");
}

void Command::apply_options() {
  if (!config_file_.empty()) {
    for (const auto& entry : OptionTable::read_toml_file(config_file_)) {
      bool used = false;
      for (const OptionTable& table : tables_) {
        for (const Option& option : table.options()) used = used || option.name == entry.first;
        if (used) {
          table.apply({entry});
          break;
        }
      }
      if (used) continue;
      std::vector<std::string> names;
      for (const OptionTable& table : tables_)
        for (const Option& option : table.options()) names.push_back(option.name);
      throw UsageError(config_file_ + ": '" + entry.first + "' is not a setting of 'ptyfuse " + name() + "'" +
                       suggestion(entry.first, names));
    }
  }
  for (const OptionTable& table : tables_) {
    std::vector<std::pair<std::string, std::string>> values;
    for (const Option& option : table.options()) {
      const Given& given = *given_.at(option.name);
      if (given.option->count() == 0) continue;
      values.emplace_back(option.name, option.kind == OptionKind::flag ? (given.flag ? "true" : "false") : given.text);
      if (const std::string nearest = nearest_choice(option, given.text); !nearest.empty()) try {
          table.apply({values.back()});
        } catch (const UsageError& e) {
          throw UsageError(e.what() + nearest);
        }
    }
    table.apply(values);
    for (const Option& option : table.options())
      if (option.must_be_given && option.get().empty())
        throw UsageError("--" + option.name + " " + option.placeholder + " is needed: " + option.help);
  }
  device_names();  // also where nothing is computed
  if (globals_.verbose)
    std::fprintf(stderr, "ptyfuse %s %s\n%s%s", PTYFUSE_VERSION, name(), settings_toml().c_str(),
                 tables_.back().to_toml().c_str());
}

void Command::apply_unless_given(const std::vector<std::pair<std::string, std::string>>& values) const {
  for (const OptionTable& table : tables_)
    for (const Option& option : table.options())
      for (const auto& [key, value] : values)
        if (key == option.name && !was_given(key)) option.set(value);
}

void Command::refuse_replacing(const std::vector<std::string>& inputs, const std::string& output) {
  for (const std::string& input : inputs) {
    const std::string file = io::split_dataset(input).file;
    for (const std::string& read : {file, file + "/model.h5", file + "/best.h5"})
      if (std::error_code error; std::filesystem::equivalent(output, read, error))
        throw UsageError(output + ": the output would replace " + read +
                         ", which the command reads; give it another name or folder");
  }
}

void Command::check_outputs(const std::vector<std::string>& paths, bool force, const std::vector<std::string>& inputs) {
  std::vector<std::filesystem::path> seen;
  for (const std::string& path : paths) {
    if (path.empty()) continue;
    refuse_replacing(inputs, path);
    io::check_output_path(path, force);
    std::error_code error;
    seen.push_back(std::filesystem::weakly_canonical(std::filesystem::absolute(path), error));
    for (size_t i = 0; i + 1 < seen.size(); ++i)
      if (!error && seen[i] == seen.back()) throw UsageError(path + ": two outputs have this name; give each its own");
  }
}

bool Command::was_given(const std::string& option) const {
  const auto found = given_.find(option);
  return found != given_.end() && found->second->option->count() > 0;
}

std::string Command::settings_toml() const {
  std::string text;
  for (const OptionTable& table : tables_)
    if (&table != &tables_.back()) text += table.to_toml();  // the last table is the common one
  return text;
}

std::string Command::auto_takes_no_gpu() {
#ifdef PTYFUSE_EMU
  return "this build emulates one; --device cuda computes there";
#else
  return "";
#endif
}

std::vector<std::string> Command::device_names() const {
  std::vector<std::string> names;
  std::istringstream text(globals_.device);
  for (std::string name; std::getline(text, name, ',');) {
    gpu_index(name);
    names.push_back(name);
  }
  if (names.empty() || globals_.device.ends_with(',')) gpu_index("");
  if (names.size() > 1 && !takes_several_devices())
    throw UsageError("--device: '" + globals_.device + "' names several devices, 'ptyfuse " + name() +
                     "' works on one; expected auto, cpu, cuda, cuda:K");
  return names;
}

Device Command::make_device(int64_t memory_limit_bytes) const {
  return make_device(globals_.device, static_cast<int>(globals_.threads), memory_limit_bytes);
}

std::vector<Device> Command::make_devices() const {
  const std::vector<std::string> names = device_names();
  const auto count = static_cast<int>(names.size());
  int threads = static_cast<int>(globals_.threads);
  if (count > 1) threads = std::max(1, (threads > 0 ? threads : Device::cpu().threads()) / count);
  std::vector<Device> out;
  for (const std::string& name : names) out.push_back(make_device(name, threads, 0));
  return out;
}

Device Command::make_device(const std::string& wanted, int threads, int64_t memory_limit_bytes) const {
  const auto cuda = [&](int index) {
    return Device::cuda({.index = index, .threads = threads, .memory_limit_bytes = memory_limit_bytes});
  };
  if (const auto index = gpu_index(wanted)) return cuda(*index);
  std::string why_none = auto_takes_no_gpu();
  std::vector<GpuDescription> gpus;
  if (wanted == "auto" && why_none.empty()) gpus = list_gpus(why_none);
  for (const GpuDescription& gpu : gpus) {
    why_none = gpu.name + ": " + gpu.unusable;
    if (!gpu.unusable.empty()) continue;
    try {
      const Device device = cuda(gpu.index);
      if (!globals_.quiet) std::fprintf(stderr, "using %s (%s)\n", device.name().c_str(), device.description().c_str());
      return device;
    } catch (const Error& e) {
      why_none += e.what();  // the driver refuses it now
    }
  }
  Device device = Device::cpu({.threads = threads, .memory_limit_bytes = memory_limit_bytes});
  if (wanted == "auto" && !globals_.quiet)
    std::fprintf(stderr, "no usable GPU (%s): using the CPU (%s)\n", why_none.c_str(), device.description().c_str());
  return device;
}

std::unique_ptr<io::ScanReader> Command::open_scan(const std::string& path, const io::ScanHints& hints) const {
  return io::open_scan(path, hints, static_cast<int>(globals_.threads));
}

RunControl Command::make_control() const {
  RunControl control;
  control.cancelled = [] { return stop_signal_received(); };
  if (!globals_.quiet) {
    auto meter = std::make_shared<ProgressMeter>();
    control.progress = [meter](const ProgressEvent& event) { meter->show(event); };
    control.notice = [meter](const std::string& line) { meter->line(line); };
  }
  return control;
}

}  // namespace ptyfuse::cli
