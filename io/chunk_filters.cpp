#include "io/chunk_filters.h"

#include <libdeflate.h>
#include <lz4.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace ptyfuse::io {

namespace {

using Bytes = std::span<const std::byte>;
using Room = std::span<std::byte>;

constexpr int gzip = 1, shuffle = 2, lzf = 32000, bitshuffle = 32008;
// What a bitshuffle filter's fifth value says of the compression behind it.
constexpr unsigned without_compression = 0, with_lz4 = 2;

unsigned value_of(const ChunkFilter& filter, size_t i) {
  return i < filter.values.size() ? filter.values[i] : 0;
}

bool compresses(const ChunkFilter& filter) {
  return filter.id == gzip || filter.id == lzf || (filter.id == bitshuffle && value_of(filter, 4) == with_lz4);
}

uint64_t big_endian(Bytes in, size_t at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value = value << 8 | std::to_integer<uint64_t>(in[at + i]);
  return value;
}

/// Shuffle: first byte 0 of every element, then byte 1 of every element, ...; bytes behind the last whole element
/// follow as they are.
template <size_t width>
void unshuffle(const std::byte* in, size_t elements, std::byte* out) {
  for (size_t i = 0; i < elements; ++i)
    for (size_t b = 0; b < width; ++b) out[i * width + b] = in[b * elements + i];
}

void unshuffle(Bytes in, size_t width, Room out) {
  // Elements larger than all there is are none; a loop over their bytes would still take its time.
  if (width == 0 || width > in.size()) width = 1;
  const size_t elements = in.size() / width, whole = elements * width;
  switch (width) {
    case 2:
      unshuffle<2>(in.data(), elements, out.data());
      break;
    case 4:
      unshuffle<4>(in.data(), elements, out.data());
      break;
    case 8:
      unshuffle<8>(in.data(), elements, out.data());
      break;
    default:
      for (size_t b = 0; b < width; ++b)
        for (size_t i = 0; i < elements; ++i) out[i * width + b] = in[b * elements + i];
  }
  std::copy(in.begin() + static_cast<std::ptrdiff_t>(whole), in.end(),
            out.begin() + static_cast<std::ptrdiff_t>(whole));
}

/// LZF (LibLZF): a control byte below 32 stands before so many bytes and one more, copied as they are; any other holds
/// the length less 2 in its upper 3 bits (7: a byte with the rest follows) and the distance less 1 in its lower 5 and
/// the byte behind. False: not such a stream, or not of out's size.
bool expand_lzf(Bytes in, Room out) {
  size_t from = 0, to = 0;
  while (from < in.size()) {
    const auto control = std::to_integer<size_t>(in[from++]);
    if (control < 32) {
      const size_t length = control + 1;
      if (length > in.size() - from || length > out.size() - to) return false;
      std::memcpy(out.data() + to, in.data() + from, length);
      from += length;
      to += length;
      continue;
    }
    size_t length = control >> 5;
    if (length == 7) {
      if (from == in.size()) return false;
      length += std::to_integer<size_t>(in[from++]);
    }
    length += 2;
    if (from == in.size()) return false;
    const size_t distance = ((control & 31) << 8 | std::to_integer<size_t>(in[from++])) + 1;
    if (distance > to || length > out.size() - to) return false;
    for (size_t i = 0; i < length; ++i, ++to) out[to] = out[to - distance];  // may overlap: a run repeats itself
  }
  return to == out.size();
}

/// The transpose of 8 x 8 bits: bit c of byte r becomes bit r of byte c.
uint64_t transpose_bits(uint64_t x) {
  uint64_t t = (x ^ (x >> 7)) & 0x00AA00AA00AA00AA;
  x ^= t ^ (t << 7);
  t = (x ^ (x >> 14)) & 0x0000CCCC0000CCCC;
  x ^= t ^ (t << 14);
  t = (x ^ (x >> 28)) & 0x00000000F0F0F0F0;
  return x ^ t ^ (t << 28);
}

/// Bitshuffle of one block: first bit 0 of byte 0 of every element, eight elements a byte, lowest first, then bit 1,
/// ... in.size(): a multiple of 8 * width.
void unshuffle_bits(Bytes in, size_t width, std::byte* out) {
  const size_t row = in.size() / (8 * width);  // bytes that hold one bit of every element
  for (size_t b = 0; b < width; ++b)
    for (size_t i = 0; i < row; ++i) {
      uint64_t bits = 0;
      for (size_t bit = 0; bit < 8; ++bit) bits |= std::to_integer<uint64_t>(in[(8 * b + bit) * row + i]) << (8 * bit);
      bits = transpose_bits(bits);
      for (size_t e = 0; e < 8; ++e) out[(8 * i + e) * width + b] = static_cast<std::byte>(bits >> (8 * e));
    }
}

/// Bitshuffle (https://github.com/kiyo-masui/bitshuffle): the chunk in blocks of so many elements, the last whole
/// eights of elements in a shorter one, what is left over as it is. With LZ4 the total bytes (8) and a block's bytes
/// (4) stand in front, and its compressed size (4) before each block; big-endian.
std::string expand_bitshuffle(const ChunkFilter& filter, Bytes in, Room out, std::vector<std::byte>& block) {
  const size_t width = value_of(filter, 2);
  if (width == 0) return "a bitshuffle filter of elements of 0 bytes";
  const bool compressed = compresses(filter);
  // The filter's own choice, where neither file nor block says: about 8 KiB, a multiple of 8, at least 128 elements.
  size_t elements = value_of(filter, 3) != 0 ? value_of(filter, 3) : std::max<size_t>(8192 / width / 8 * 8, 128);
  size_t from = 0;
  if (compressed) {
    if (in.size() < 12) return "bitshuffled data that end within their header";
    if (big_endian(in, 0, 8) != out.size())
      return "bitshuffled data of " + std::to_string(big_endian(in, 0, 8)) + " bytes for a chunk of " +
             std::to_string(out.size());
    elements = big_endian(in, 8, 4) / width;
    from = 12;
  }
  if (elements == 0 || elements % 8 != 0) return "bitshuffled data in blocks that are no eights of elements";
  for (size_t left = out.size() / width / 8 * 8, to = 0; left > 0;) {
    const size_t now = std::min(left, elements), bytes = now * width;
    Bytes shuffled;
    if (compressed) {
      if (in.size() - from < 4) return "bitshuffled data that end too early";
      const auto stored = static_cast<size_t>(big_endian(in, from, 4));
      from += 4;
      if (stored > in.size() - from) return "bitshuffled data that end too early";
      block.resize(std::max(block.size(), bytes));
      if (LZ4_decompress_safe(reinterpret_cast<const char*>(in.data() + from), reinterpret_cast<char*>(block.data()),
                              static_cast<int>(stored), static_cast<int>(bytes)) != static_cast<int>(bytes))
        return "LZ4 data that do not decompress";
      shuffled = Bytes(block).first(bytes);
      from += stored;
    } else {
      shuffled = in.subspan(from, bytes);  // as long as out: undo() has seen to it
      from += bytes;
    }
    unshuffle_bits(shuffled, width, out.data() + to);
    to += bytes;
    left -= now;
  }
  const size_t rest = out.size() % (8 * width);
  if (in.size() - from != rest) return "bitshuffled data of another length";
  std::copy(in.end() - static_cast<std::ptrdiff_t>(rest), in.end(), out.end() - static_cast<std::ptrdiff_t>(rest));
  return "";
}

}  // namespace

ChunkScratch::ChunkScratch() = default;
ChunkScratch::~ChunkScratch() = default;
ChunkScratch::ChunkScratch(ChunkScratch&&) noexcept = default;
ChunkScratch& ChunkScratch::operator=(ChunkScratch&&) noexcept = default;
void ChunkScratch::Free::operator()(libdeflate_decompressor* d) const {
  libdeflate_free_decompressor(d);
}

ChunkDecoder::ChunkDecoder(std::vector<ChunkFilter> pipeline, size_t chunk_bytes)
    : pipeline_(std::move(pipeline)), chunk_bytes_(chunk_bytes) {}

bool ChunkDecoder::knows(const std::vector<ChunkFilter>& pipeline) {
  constexpr size_t mask_bits = 32;
  return pipeline.size() <= mask_bits && std::count_if(pipeline.begin(), pipeline.end(), compresses) <= 1 &&
         std::all_of(pipeline.begin(), pipeline.end(), [](const ChunkFilter& f) {
           if (f.id == bitshuffle) return value_of(f, 4) == without_compression || value_of(f, 4) == with_lz4;
           return f.id == gzip || f.id == shuffle || f.id == lzf;
         });
}

std::string ChunkDecoder::undo(const ChunkFilter& filter, Bytes in, Room out, ChunkScratch& scratch) const {
  if (!compresses(filter) && in.size() != out.size())
    return std::to_string(in.size()) + " bytes for a chunk of " + std::to_string(out.size());
  if (filter.id == gzip) {
    if (!scratch.inflater_) scratch.inflater_.reset(libdeflate_alloc_decompressor());
    if (!scratch.inflater_) throw std::bad_alloc();
    const libdeflate_result result =
        libdeflate_zlib_decompress(scratch.inflater_.get(), in.data(), in.size(), out.data(), out.size(), nullptr);
    return result == LIBDEFLATE_SUCCESS ? "" : "gzip data that do not decompress to a chunk";
  }
  if (filter.id == lzf) return expand_lzf(in, out) ? "" : "LZF data that do not decompress to a chunk";
  if (filter.id == bitshuffle) return expand_bitshuffle(filter, in, out, scratch.block_);
  unshuffle(in, value_of(filter, 0), out);
  return "";
}

std::string ChunkDecoder::decode(Bytes stored, uint32_t mask, Room out, ChunkScratch& scratch) const {
  size_t left = 0;
  for (size_t f = 0; f < pipeline_.size(); ++f) left += (mask >> f & 1) == 0;
  if (left == 0) {
    if (stored.size() != chunk_bytes_)
      return std::to_string(stored.size()) + " bytes for a chunk of " + std::to_string(chunk_bytes_);
    std::copy(stored.begin(), stored.end(), out.begin());
    return "";
  }
  Bytes in = stored;
  for (size_t f = pipeline_.size(); f-- > 0;) {
    if ((mask >> f & 1) != 0) continue;
    std::vector<std::byte>& between = scratch.between_[left % 2];
    --left;
    // What was compressed before this filter came is as long as it is until it is decompressed.
    bool packed = false;
    for (size_t earlier = 0; earlier < f; ++earlier)
      packed = packed || ((mask >> earlier & 1) == 0 && compresses(pipeline_[earlier]));
    const size_t bytes = packed ? in.size() : chunk_bytes_;
    if (left > 0) between.resize(std::max(between.size(), bytes));
    const Room to = left == 0 ? out : Room(between).first(bytes);
    if (std::string wrong = undo(pipeline_[f], in, to, scratch); !wrong.empty()) return wrong;
    in = to;
  }
  return "";
}

}  // namespace ptyfuse::io
