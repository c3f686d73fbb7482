#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace ptyfuse::fuzz {

/// A zip of numpy arrays that starts as a scan's and is changed as the input says: members' names, types, orders and
/// shapes, how many bytes follow a header and what they hold, what the directory says of them. No input: a legal scan.
std::string made_npz(std::span<const uint8_t> input);

}  // namespace ptyfuse::fuzz
