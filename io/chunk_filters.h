#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

struct libdeflate_decompressor;

namespace ptyfuse::io {

/// A filter of an HDF5 dataset: its registered number and the values that were stored with it.
struct ChunkFilter {
  int id = 0;
  std::vector<unsigned> values;
};

/// Working memory of one thread that decodes.
class ChunkScratch {
 public:
  ChunkScratch();
  ~ChunkScratch();
  ChunkScratch(ChunkScratch&&) noexcept;
  ChunkScratch& operator=(ChunkScratch&&) noexcept;

 private:
  friend class ChunkDecoder;
  struct Free {
    void operator()(libdeflate_decompressor* d) const;
  };
  std::vector<std::byte> between_[2], block_;
  std::unique_ptr<libdeflate_decompressor, Free> inflater_;
};

/// Undoes the filters of stored chunks without the HDF5 library, so that several threads can: gzip (1), shuffle (2),
/// LZF (32000) and bitshuffle (32008), alone or with LZ4. https://docs.hdfgroup.org/hdf5/v1_14/_f_i_l_t_e_r.html lists
/// the numbers; each format is described at its decoder.
class ChunkDecoder {
 public:
  /// pipeline: in the order of writing. chunk_bytes: of a whole chunk, decoded.
  ChunkDecoder(std::vector<ChunkFilter> pipeline, size_t chunk_bytes);

  /// Whether this class can undo such a pipeline: known filters, at most one of which changes the size.
  static bool knows(const std::vector<ChunkFilter>& pipeline);

  /// The chunk's bytes to out [chunk_bytes]. mask: bit f says that filter f was left out for this chunk. Returns "", or
  /// what is wrong with the stored bytes; out is then unspecified. Never reads or writes outside of the spans.
  std::string decode(std::span<const std::byte> stored, uint32_t mask, std::span<std::byte> out,
                     ChunkScratch& scratch) const;

 private:
  std::string undo(const ChunkFilter& filter, std::span<const std::byte> in, std::span<std::byte> out,
                   ChunkScratch& scratch) const;

  std::vector<ChunkFilter> pipeline_;
  size_t chunk_bytes_;
};

}  // namespace ptyfuse::io
