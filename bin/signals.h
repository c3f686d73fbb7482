#pragma once

namespace ptyfuse::cli {

/// From now on SIGINT, SIGTERM and SIGHUP ask for a stop; a second one ends the process at once. A file that grows
/// beyond the user's limit and a pipe that nobody reads any more end nothing: what writes to them is told.
void catch_signals();
bool stop_signal_received();

}  // namespace ptyfuse::cli
