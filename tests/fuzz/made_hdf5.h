#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ptyfuse::fuzz {

enum class MadeKind { scan, reconstruction, checkpoint };

/// A file of ours in memory, which starts legal and is changed as the input says: names, ranks, extents, number types,
/// how datasets are stored and filled, attributes, and links in their place. No input: a legal scan.
struct MadeFile {
  MadeKind kind = MadeKind::scan;
  std::vector<uint8_t> bytes;  ///< empty where the library would not make it
};
MadeFile made_hdf5(std::span<const uint8_t> input);

}  // namespace ptyfuse::fuzz
