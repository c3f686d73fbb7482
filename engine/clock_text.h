#pragma once
#include <string>

namespace ptyfuse {

/// A length of time for people, whole seconds: "1:05", "2:03:10".
std::string clock_text(double seconds);

}  // namespace ptyfuse
