#pragma once
#include <cmath>

namespace ptyfuse::io {

/// Whether a number of a file can count something: whole, from 0 to 2^53, beyond which a double holds no longer every
/// whole number.
inline bool is_count(double value) {
  return value >= 0 && value <= 0x1p53 && value == std::floor(value);
}

}  // namespace ptyfuse::io
