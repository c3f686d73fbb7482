#pragma once
#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/option_table.h"
#include "engine/run_control.h"
#include "io/scan.h"
#include "kernels/device/device.h"

namespace ptyfuse::cli {

/// What every command takes.
struct GlobalOptions {
  std::string device = "auto";
  int64_t threads = 0;
  uint64_t seed = 0;  ///< of commands that draw no random numbers: taken, so that one --config serves all
  bool quiet = false, verbose = false;
};

/// One command of the program: declares its arguments, then runs. Results go to stdout, all else to stderr.
class Command {
 public:
  virtual ~Command() = default;
  virtual const char* name() const = 0;
  virtual const char* summary() const = 0;
  /// Explanation and examples, shown below the options by --help.
  virtual const char* lesson() const = 0;
  /// Positional arguments and what no configuration file may hold (-o, --force, ...), then the tables. Whatever of the
  /// former takes a value names something: "" is refused.
  virtual void declare(CLI::App& app) = 0;
  virtual int run() = 0;
  /// Whether --device may name several, between commas.
  virtual bool takes_several_devices() const { return false; }

  const GlobalOptions& globals() const { return globals_; }

  /// Called by main around the parse: declares the globals too; applies --config, then the command line, and with
  /// --verbose prints what is then in force.
  void declare_all(CLI::App& app);
  void apply_options();

 protected:
  /// Adds every setting of a table as an option; the table must outlive the command.
  void add_table(CLI::App& app, OptionTable table, const std::string& group = "");
  /// Before long work starts: none of the outputs that were asked for (empty: not) is in the way, no two are one, and
  /// none would replace what the command reads: `inputs`, FILE[:DATASET] or run folders. FileError, UsageError.
  static void check_outputs(const std::vector<std::string>& paths, bool force,
                            const std::vector<std::string>& inputs = {});
  static void refuse_replacing(const std::vector<std::string>& inputs, const std::string& output);
  /// -o FILE and --force
  void add_output(CLI::App& app, std::string& path, bool& force, const std::string& what);

  /// Why "auto" takes no GPU of this build, whatever the machine has; empty: it takes the first that is usable.
  static std::string auto_takes_no_gpu();
  /// The device of --device, --threads; says which one "auto" took. UsageError: no such device in this build.
  Device make_device(int64_t memory_limit_bytes = 0) const;
  /// The same of every name in --device, between commas, for a command that works on several at once; --threads, or
  /// all, are shared out among them.
  std::vector<Device> make_devices() const;
  /// io::open_scan() with --threads.
  std::unique_ptr<io::ScanReader> open_scan(const std::string& path, const io::ScanHints& hints) const;
  /// Cancellation by signals, progress on stderr, notices.
  RunControl make_control() const;
  /// True when the command line itself (not --config) named this setting.
  bool was_given(const std::string& option) const;
  /// Applies stored settings where the command line does not name them; names that no table has are left out.
  void apply_unless_given(const std::vector<std::pair<std::string, std::string>>& values) const;
  /// The settings of all tables but the common one as TOML, for outputs that record them.
  std::string settings_toml() const;

 private:
  Device make_device(const std::string& wanted, int threads, int64_t memory_limit_bytes) const;
  /// The names in --device. UsageError: there is no such device, or the command takes one alone.
  std::vector<std::string> device_names() const;

  GlobalOptions globals_;
  std::string config_file_;
  std::vector<OptionTable> tables_;
  struct Given {
    std::string text;
    bool flag = false;
    CLI::Option* option = nullptr;
  };
  std::map<std::string, std::unique_ptr<Given>> given_;
};

std::unique_ptr<Command> make_train_command();
std::unique_ptr<Command> make_reconstruct_command();
std::unique_ptr<Command> make_refine_command();
std::unique_ptr<Command> make_simulate_command();
std::unique_ptr<Command> make_evaluate_command();
std::unique_ptr<Command> make_info_command();
std::unique_ptr<Command> make_convert_command();
std::unique_ptr<Command> make_study_command();
std::unique_ptr<Command> make_bench_command();
std::unique_ptr<Command> make_devices_command();

}  // namespace ptyfuse::cli
