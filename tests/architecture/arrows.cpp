// Reads every #include of the sources and fails on an arrow that points back (docs/architecture.md).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::set<std::string>> allowed = {
    // A device and its emulation are one floor.
    {"kernels/device", {"kernels/device", "kernels/emu"}},
    {"kernels/emu", {"kernels/emu", "kernels/device"}},
    {"kernels/ops", {"kernels/ops", "kernels/device"}},
    {"autodiff", {"autodiff", "kernels/ops", "kernels/device"}},
    {"io", {"io"}},
    {"engine", {"engine", "autodiff", "kernels/ops", "kernels/device", "io"}},
    {"bin", {"bin", "engine", "io", "kernels/device"}},
};

std::string room_of(const std::string& path) {
  if (path.rfind("kernels/device/", 0) == 0) return "kernels/device";
  if (path.rfind("kernels/emu/", 0) == 0) return "kernels/emu";
  if (path.rfind("kernels/ops/", 0) == 0) return "kernels/ops";
  return path.substr(0, path.find('/'));
}

TEST(architecture, arrows_point_one_way) {
  const fs::path root = PTYFUSE_SOURCE_DIR;
  const std::regex include("^\\s*#\\s*include\\s+\"([^\"]+)\"");
  int files = 0;
  for (const char* top : {"kernels", "autodiff", "io", "engine", "bin"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      const std::string extension = entry.path().extension();
      if (extension != ".cpp" && extension != ".h" && extension != ".cu" && extension != ".cuh") continue;
      ++files;
      const std::string self = fs::relative(entry.path(), root).string();
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) {
        std::smatch match;
        if (!std::regex_search(line, match, include)) continue;
        const std::string target = match[1];
        ASSERT_TRUE(fs::exists(root / target))
            << self << " includes " << target << ", which is not a path from the root";
        EXPECT_TRUE(allowed.at(room_of(self)).count(room_of(target))) << self << " must not include " << target;
      }
    }
  }
  EXPECT_GT(files, 20);
}

}  // namespace
