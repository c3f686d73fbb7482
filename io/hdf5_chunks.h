#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "io/chunk_filters.h"
#include "io/hdf5.h"

namespace ptyfuse::io::h5 {

/// Chunks as the file stores them, and room to decode them.
struct StoredBands {
  struct Chunk {
    size_t begin = 0, bytes = 0;  ///< of `stored`
    uint32_t mask = 0;
  };
  std::vector<int64_t> bands;
  std::vector<Chunk> chunks;  ///< of each band in turn
  std::vector<std::byte> stored, chunk;
  size_t used = 0;
  ChunkScratch scratch;
};

/// Reads a chunked dataset [S,H,W] around the library's own filters: fetch() takes the bytes from the file, under the
/// library's lock, and decode(), on any number of threads, makes frames of them. The frames that one row of chunks
/// holds are a band: frames band*band_rows() and following.
class ChunkReader {
 public:
  /// nullopt where the library must read the dataset itself: not chunked, not of T as this machine holds it, filters
  /// that ChunkDecoder does not know, bands too large to hold several of. The dataset must outlive the reader.
  template <class T>
  static std::optional<ChunkReader> of(const Dataset& dataset);

  int64_t band_rows() const { return chunk_[0]; }
  size_t band_bytes() const;
  /// Memory that a band as stored takes in StoredBands, by and large: its chunks may be padded, or tiny and many.
  size_t held_bytes() const;

  /// Some bands' stored bytes; the room of `into` is used again. FileError: cannot be read, sizes that cannot be.
  void fetch(std::span<const int64_t> bands, StoredBands& into) const;
  /// Their elements to out [bands, band_rows, H, W]; rows behind the last frame are unspecified. FileError: stored
  /// bytes that are no chunk.
  void decode(StoredBands& from, std::byte* out) const;

 private:
  ChunkReader(const Dataset& dataset, std::vector<int64_t> chunk, std::vector<ChunkFilter> filters,
              int64_t element_bytes, hid_t (*type)());
  int64_t chunks_along(size_t axis) const;
  /// The elements of a chunk without filters, that was never written, or that nothing but the library can read. Why it
  /// could not, "" where it could.
  std::string read_by_library(const hsize_t at[3], std::byte* out) const;
  [[noreturn]] void fail(int64_t band, const std::string& why) const;

  const Dataset* dataset_;
  std::vector<int64_t> chunk_;  // [3]
  int64_t element_bytes_;
  hid_t (*type_)();  // in memory
  size_t chunk_bytes_;
  bool filtered_;
  int64_t file_bytes_ = 0;
  ChunkDecoder decoder_;
};

}  // namespace ptyfuse::io::h5
