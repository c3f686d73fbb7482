#include "bin/signals.h"

#include <csignal>
#include <initializer_list>

namespace ptyfuse::cli {
namespace {

// A signal handler has no other way to speak to its program.
volatile std::sig_atomic_t stop_received = 0;

extern "C" void on_stop_signal(int signal) {
  stop_received = 1;
  std::signal(signal, SIG_DFL);
}

// What whoever started the program wants ignored (nohup, a shell's background) stays so.
void catch_unless_ignored(int signal) {
  if (std::signal(signal, on_stop_signal) == SIG_IGN) std::signal(signal, SIG_IGN);
}

}  // namespace

void catch_signals() {
  for (const int stop : {SIGINT, SIGTERM, SIGHUP}) catch_unless_ignored(stop);
  // Writing then fails with an error code, and the error goes the way of a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
}

bool stop_signal_received() {
  return stop_received != 0;
}

}  // namespace ptyfuse::cli
