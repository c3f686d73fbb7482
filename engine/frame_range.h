#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace ptyfuse {

/// The frames that "A:B:STEP" names of `count` frames, as Python slices with a positive step do; empty text: all.
/// Error(shape): not of that form, step < 1, or nothing left; the message shows the form.
std::vector<int64_t> parse_frame_range(const std::string& text, int64_t count);

}  // namespace ptyfuse
