#pragma once
#include <cctype>
#include <string>

namespace ptyfuse::tests {

/// A case's words as GoogleTest has them in a test's name: letters, digits and underscores.
inline std::string case_name(std::string words) {
  for (char& c : words)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return words;
}

}  // namespace ptyfuse::tests
