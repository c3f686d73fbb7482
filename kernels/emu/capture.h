#pragma once
// Stream capture of the emulated GPU: what a stream is given is kept instead of done, and done each time the graph is
// launched.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/device/device.h"

namespace ptyfuse::emu {

/// Kernels, copies and fills in the order in which they were given.
using Graph = std::vector<std::function<void()>>;

/// Captures `native_stream` (Stream::native_handle) on behalf of this thread. Error(device): the thread captures
/// already; another stream can be captured by another thread.
void begin_capture(const void* native_stream);
/// Error(device): nothing is captured, or a forbidden call has broken the capture.
std::unique_ptr<Graph> end_capture(const void* native_stream);
void abandon_capture() noexcept;

/// Whether this thread captures the stream: then `work` is kept, and must not be done.
bool captured(const void* native_stream, std::function<void()> work);

/// For calls that a GPU does not allow to a thread that captures: breaks its capture, and throws Error(device) that
/// names the call. Where the thread captures nothing, nothing happens.
void forbid_in_capture(const char* call);
/// The same for a call that is not allowed on the captured stream alone.
void forbid_on_captured(const void* native_stream, const char* call);
/// The same where nothing may be thrown: end_capture() tells.
void break_capture(const char* call) noexcept;

}  // namespace ptyfuse::emu
