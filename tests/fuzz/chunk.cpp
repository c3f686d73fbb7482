// Stored chunks of compressed frames, as they are decoded around the HDF5 library.
#include <vector>

#include "io/chunk_filters.h"
#include "tests/fuzz/byte_source.h"
#include "tests/fuzz/targets.h"

namespace ptyfuse::fuzz {

void feed_chunk(Input input) {
  ByteSource source(input);
  constexpr int ids[] = {1, 2, 32000, 32008, 3};
  constexpr unsigned values[] = {0, 1, 2, 3, 4, 8, 16, 64, 1024, 1u << 31, ~0u};
  std::vector<io::ChunkFilter> pipeline(source.below(4));
  for (io::ChunkFilter& filter : pipeline) {
    filter.id = source.pick(ids);
    filter.values.resize(source.below(6));
    for (unsigned& value : filter.values) value = source.pick(values);
  }
  const size_t chunk_bytes = 1 + source.take<uint16_t>() % 4096;
  const uint32_t mask = source.take<uint8_t>();
  if (!io::ChunkDecoder::knows(pipeline)) return;
  const io::ChunkDecoder decoder(pipeline, chunk_bytes);
  io::ChunkScratch scratch;
  // Exactly as large as they are said to be, so that a byte outside of them is noticed.
  const std::vector<uint8_t> stored(source.rest().begin(), source.rest().end());
  std::vector<std::byte> out(chunk_bytes);
  for (int times = 0; times < 2; ++times) decoder.decode(std::as_bytes(std::span(stored)), mask, out, scratch);
}

}  // namespace ptyfuse::fuzz
