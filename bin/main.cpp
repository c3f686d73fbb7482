// The command line: arguments -> configuration -> engine -> io. No maths here.
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <new>

#include "bin/command.h"
#include "bin/printable.h"
#include "bin/signals.h"
#include "bin/suggestion.h"
#include "io/file_error.h"
#include "kernels/device/error.h"

namespace {

using namespace ptyfuse;

constexpr int exit_failed = 1, exit_usage = 2, exit_stopped = 130;

int fail(const char* what, int code) {
  std::fprintf(stderr, "ptyfuse: error: %s\n", cli::printable(what).c_str());
  return code;
}

// What was wrong where no command was found among the arguments.
std::string no_command(int argc, char** argv, const std::vector<std::unique_ptr<cli::Command>>& commands) {
  std::string all;
  std::vector<std::string> names;
  for (const auto& command : commands) {
    names.emplace_back(command->name());
    all += (all.empty() ? "" : ", ") + names.back();
  }
  for (int i = 1; i < argc; ++i)
    if (argv[i][0] != '-')
      return "'" + std::string(argv[i]) + "' is not a command; there are " + all + cli::suggestion(argv[i], names);
  return "a command is needed, with its options behind it: " + all;
}

// What was wrong with an option that the command does not have.
std::string unknown_option(const CLI::App& command, const std::string& given) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  const std::string bare = given.substr(0, given.find('='));
  return "The following argument was not expected: " + given + cli::suggestion(bare, names);
}

bool reader_has_gone() {
  pollfd out{STDOUT_FILENO, POLLOUT, 0};
  return ::poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

// What needs less memory, of the options that a command has.
std::string out_of_memory(const CLI::App& app) {
  std::string options;
  for (const char* name : {"--size", "--images", "--patterns", "--N", "--batch", "--host-memory"})
    if (app.get_option_no_throw(name) != nullptr) options += (options.empty() ? "" : ", ") + std::string(name);
  return "out of memory" + (options.empty() ? "" : "; less needs less: " + options);
}

int run_guarded(cli::Command& command, const CLI::App& app) {
  try {
    command.apply_options();
    const int code = command.run();
    // What a full disk swallowed is no success; a reader who has gone, as 'head' does, wanted no more.
    if ((std::fflush(stdout) != 0 || std::ferror(stdout) != 0) && !reader_has_gone())
      return fail("standard output: the result cannot be written", exit_failed);
    return code;
  } catch (const UsageError& e) {
    return fail(e.what(), exit_usage);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::cancelled) return fail(e.what(), exit_failed);
    std::fprintf(stderr, "ptyfuse: stopped: %s\n", cli::printable(e.what()).c_str());
    return exit_stopped;
  } catch (const std::bad_alloc&) {
    return fail(out_of_memory(app).c_str(), exit_failed);
  } catch (const std::exception& e) {
    return fail(e.what(), exit_failed);
  }
}

}  // namespace

int main(int argc, char** argv) {
  cli::catch_signals();
  CLI::App app("ptyfuse reconstructs objects from ptychographic scans: simulate, train, reconstruct, refine, evaluate.",
               "ptyfuse");
  app.set_version_flag("--version", std::string("ptyfuse ") + PTYFUSE_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Start here:\n"
      "  ptyfuse info SCAN.h5                       what is in a scan, and whether it is sound\n"
      "  ptyfuse train SCAN.h5 -o RUN               learn to invert its diffraction patterns\n"
      "  ptyfuse reconstruct RUN SCAN.h5 -o R.h5 --png R.png --polish 2\n"
      "  ptyfuse evaluate R.h5 --truth SCAN.h5 -o METRICS.json\n"
      "'ptyfuse COMMAND --help' explains each with examples.");
  std::vector<std::unique_ptr<cli::Command>> commands;
  commands.push_back(cli::make_simulate_command());
  commands.push_back(cli::make_info_command());
  commands.push_back(cli::make_train_command());
  commands.push_back(cli::make_reconstruct_command());
  commands.push_back(cli::make_refine_command());
  commands.push_back(cli::make_evaluate_command());
  commands.push_back(cli::make_convert_command());
  commands.push_back(cli::make_study_command());
  commands.push_back(cli::make_bench_command());
  commands.push_back(cli::make_devices_command());
  for (const auto& command : commands) command->declare_all(*app.add_subcommand(command->name()));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    std::string where = "ptyfuse";
    for (const CLI::App* sub : app.get_subcommands()) where += " " + sub->get_name();
    std::string what = app.get_subcommands().empty() ? no_command(argc, argv, commands) : e.what();
    // What is unknown comes before what is missing: it may be the missing one, misspelt.
    for (const CLI::App* sub : app.get_subcommands())
      for (const std::string& left : sub->remaining())
        if (left.starts_with('-')) what = unknown_option(*sub, left);
    std::fprintf(stderr, "ptyfuse: error: %s\nSee '%s --help'.\n", cli::printable(what).c_str(), where.c_str());
    return exit_usage;
  }
  for (const auto& command : commands)
    if (app.got_subcommand(command->name())) return run_guarded(*command, *app.get_subcommand(command->name()));
  return exit_usage;
}
