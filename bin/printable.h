#pragma once
#include <string>
#include <string_view>

namespace ptyfuse::cli {

/// A text that may hold words out of a file, for a terminal: control characters, by which a file could move its cursor,
/// set its title or hide what was said, are written as \x1b. New lines and tabs stay.
std::string printable(std::string_view text);

}  // namespace ptyfuse::cli
