#pragma once
// Where the project's own files lie: the folder named by PTYFUSE_SOURCE (bin/bundle's tests run far from the sources),
// else the source tree the tests were built from.
#include <cstdlib>
#include <filesystem>

namespace ptyfuse::tests {

inline std::filesystem::path source_folder() {
  const char* named = std::getenv("PTYFUSE_SOURCE");
  return named && *named ? std::filesystem::path(named) : std::filesystem::path(PTYFUSE_SOURCE_DIR);
}

}  // namespace ptyfuse::tests
