#pragma once

namespace ptyfuse::cli {

/// From now on SIGINT and SIGTERM ask for a stop; a second one ends the process at once.
void catch_stop_signals();
bool stop_signal_received();

}  // namespace ptyfuse::cli
