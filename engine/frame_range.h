#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/option_table.h"

namespace ptyfuse {

/// The frames that "A:B:STEP" names of `count` frames, as Python slices with a positive step do; empty text: all.
/// Error(shape): not of that form, step < 1, or nothing left; the message shows the form.
std::vector<int64_t> parse_frame_range(const std::string& text, int64_t count);

/// The option --frames; a text of another form is a UsageError.
void add_frames_option(OptionTable& table, std::string& field);

}  // namespace ptyfuse
