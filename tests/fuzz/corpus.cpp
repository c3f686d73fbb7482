// The fuzzers' targets as ordinary tests: over the kept corpus, which holds the input of every finding, and over inputs
// made from it at random.
#include <gtest/gtest.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/targets.h"

namespace ptyfuse::fuzz {
namespace {

namespace fs = std::filesystem;

using Bytes = std::vector<uint8_t>;

std::vector<fs::path> corpus_of(const std::string& target) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(fs::path(PTYFUSE_SOURCE_DIR) / "tests/fuzz/corpus" / target))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

Bytes bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Corpus : public testing::TestWithParam<Target> {
 protected:
  static void feed(const Bytes& input, const std::string& what) {
    try {
      GetParam().feed(input);
    } catch (const std::exception& e) {
      ADD_FAILURE() << GetParam().name << ", " << what << ": " << e.what();
    }
  }
};

TEST_P(Corpus, every_kept_input_is_read_or_refused_in_words) {
  const std::vector<fs::path> files = corpus_of(GetParam().name);
  ASSERT_FALSE(files.empty());
  for (const fs::path& path : files) feed(bytes_of(path), path.filename().string());
  feed({}, "no bytes at all");
}

TEST_P(Corpus, inputs_changed_at_random_are_read_or_refused_in_words) {
  // A damaged HDF5 file may stop the HDF5 library itself; what is cut short it refuses.
  const bool cut_only = std::string(GetParam().name) == "hdf5_bytes";
  std::mt19937 random(20261121);
  const auto below = [&random](size_t n) { return static_cast<size_t>(random()) % n; };
  const std::vector<fs::path> files = corpus_of(GetParam().name);
  for (int i = 0; i < 200; ++i) {
    Bytes input = bytes_of(files[below(files.size())]);
    if (input.empty()) continue;
    if (cut_only || i % 4 == 0) {
      input.resize(below(input.size()));
    } else {
      for (size_t changes = 1 + below(4); changes > 0; --changes)
        input[below(input.size())] = static_cast<uint8_t>(random());
    }
    feed(input, "input " + std::to_string(i));
  }
}

TEST(CorpusOfArms, whole_is_accepted_and_odd_ones_are_refused) {
  std::vector<std::string> accepted;
  for (const fs::path& path : corpus_of("arm"))
    if (read_as_arm(bytes_of(path))) accepted.push_back(path.filename().string());
  EXPECT_EQ(accepted, (std::vector<std::string>{"no_rows", "whole"}));
}

std::string name_of(const testing::TestParamInfo<Target>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(fuzz, Corpus, testing::ValuesIn(targets), name_of);

}  // namespace
}  // namespace ptyfuse::fuzz
