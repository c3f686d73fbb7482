#include "bin/signals.h"

#include <csignal>

namespace ptyfuse::cli {
namespace {

// A signal handler has no other way to speak to its program.
volatile std::sig_atomic_t stop_received = 0;

extern "C" void on_stop_signal(int signal) {
  stop_received = 1;
  std::signal(signal, SIG_DFL);
}

}  // namespace

void catch_stop_signals() {
  std::signal(SIGINT, on_stop_signal);
  std::signal(SIGTERM, on_stop_signal);
}

bool stop_signal_received() {
  return stop_received != 0;
}

}  // namespace ptyfuse::cli
