#pragma once
#include <string>
#include <vector>

namespace ptyfuse::cli {

/// "; did you mean 'WORD'?" with the nearest of the words, where one is near enough to be a slip of the finger: at most
/// one letter in three added, left out, changed, or swapped with its neighbour. Else empty.
std::string suggestion(const std::string& given, const std::vector<std::string>& words);

}  // namespace ptyfuse::cli
