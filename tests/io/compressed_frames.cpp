// Frames that are decoded outside of the HDF5 library are those that the library gives, whatever the filters, the
// chunks and the number of threads; damaged ones are one clear error.
#include <hdf5.h>
#include <lz4.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>
#include <random>
#include <stdexcept>

#include "io/chunk_filters.h"
#include "io/hdf5_chunks.h"
#include "io/hdf5_types.h"
#include "io/team.h"
#include "tests/io/scan_fixture.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse::tests {
namespace {

using Bytes = std::vector<std::byte>;
using io::ChunkDecoder;
using io::ChunkFilter;

constexpr int gzip = 1, shuffle = 2, fletcher = 3, lzf = 32000, bitshuffle = 32008;

// ---- what files are made with -------------------------------------------------------------------------------------

struct Chunked {
  std::vector<hsize_t> shape{11, 6, 6}, chunk{1, 6, 6};
  std::function<void(hid_t creation)> filters = [](hid_t) {};
};

/// Sparse counts, as scans hold them.
template <class T>
std::vector<T> counts_of(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<T> out(n);
  for (T& v : out) v = random() % 4 == 0 ? static_cast<T>(random() % 100) : T{0};
  return out;
}

/// A scan whose `diffraction` is made by create(); fill(dataset) writes it.
void write_scan(const std::string& path, hid_t type, const Chunked& how, const std::function<void(hid_t data)>& fill) {
  ScanFile scan;
  scan.frames = static_cast<int64_t>(how.shape[0]);
  scan.omit = {"diffraction", "probe"};
  scan.positions.assign(2 * how.shape[0], 1.0);
  scan.positions_shape = {scan.frames, 2};
  scan.write(path);
  const io::h5::Lock lock;
  const io::h5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
  const io::h5::Handle space(H5Screate_simple(3, how.shape.data(), nullptr), H5Sclose);
  const io::h5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_chunk(creation.get(), 3, how.chunk.data());
  how.filters(creation.get());
  const io::h5::Handle data(
      H5Dcreate2(file.get(), "diffraction", type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT), H5Dclose);
  ASSERT_TRUE(data.valid());
  fill(data.get());
}

const io::ScanHints plain{.domain = io::Domain::counts, .dc = io::DcPlace::centre};

template <class T>
std::vector<float> amplitude_of(const std::vector<T>& counts) {
  std::vector<float> out;
  for (const T v : counts) out.push_back(std::sqrt(static_cast<float>(v)));
  return out;
}

/// Whole, in pieces and by lists, with one and with three threads.
void expect_frames(const std::string& path, const std::vector<float>& expected) {
  for (const int threads : {1, 3}) {
    SCOPED_TRACE(threads);
    const auto scan = io::open_scan(path, plain, threads);
    ASSERT_EQ(read_all(*scan), expected);
    const auto pixels = static_cast<size_t>(scan->info().side_px * scan->info().side_px);
    const auto frame = [&](int64_t f) {
      const auto at = expected.begin() + f * static_cast<int64_t>(pixels);
      return std::vector<float>(at, at + static_cast<std::ptrdiff_t>(pixels));
    };
    std::mt19937 random(3);
    for (int list = 0; list < 30; ++list) {
      std::vector<int64_t> frames(1 + random() % 6);
      for (int64_t& f : frames) f = static_cast<int64_t>(random() % static_cast<unsigned>(scan->info().frames));
      if (list % 3 != 0) std::sort(frames.begin(), frames.end());
      std::vector<float> got(frames.size() * pixels), wanted;
      for (const int64_t f : frames) {
        const std::vector<float> one = frame(f);
        wanted.insert(wanted.end(), one.begin(), one.end());
      }
      scan->read_frames(frames, got);
      ASSERT_EQ(got, wanted);
    }
    std::vector<float> got(3 * pixels);
    for (int64_t first = 0; first + 3 <= scan->info().frames; ++first) {
      scan->read_amplitude(first, 3, got);
      for (int64_t f = 0; f < 3; ++f)
        ASSERT_TRUE(std::equal(got.begin() + f * static_cast<int64_t>(pixels),
                               got.begin() + (f + 1) * static_cast<int64_t>(pixels), frame(first + f).begin()));
    }
  }
}

/// Whether the program decodes this file's frames itself.
template <class T>
bool decoded_here(const std::string& path) {
  const io::h5::File file = io::h5::File::open(path);
  const io::h5::Dataset data = file.dataset("diffraction");
  return io::h5::ChunkReader::of<T>(data).has_value();
}

// ---- the library's own filters ------------------------------------------------------------------------------------

template <class T>
void expect_as_library(const TemporaryFolder& folder, hid_t stored) {
  struct Pipeline {
    const char* name;
    std::function<void(hid_t)> set;
    bool here;
  };
  const Pipeline pipelines[] = {
      {"none", [](hid_t) {}, true},
      {"gzip", [](hid_t c) { H5Pset_deflate(c, 4); }, true},
      {"shuffle and gzip", [](hid_t c) { H5Pset_shuffle(c), H5Pset_deflate(c, 1); }, true},
      {"gzip and shuffle", [](hid_t c) { H5Pset_deflate(c, 9), H5Pset_shuffle(c); }, true},
      {"shuffle", [](hid_t c) { H5Pset_shuffle(c); }, true},
      {"checksum, by the library", [](hid_t c) { H5Pset_deflate(c, 1), H5Pset_fletcher32(c); }, false},
  };
  for (const Pipeline& p : pipelines)
    for (const std::vector<hsize_t>& chunk :
         {std::vector<hsize_t>{1, 6, 6}, {4, 6, 6}, {11, 6, 6}, {1, 4, 6}, {3, 4, 5}, {2, 1, 1}}) {
      SCOPED_TRACE(std::string(p.name) + ", chunk " + std::to_string(chunk[0]) + " x " + std::to_string(chunk[1]) +
                   " x " + std::to_string(chunk[2]));
      const std::string path = folder.file("scan.h5");
      const std::vector<T> counts = counts_of<T>(11 * 36, 5);
      write_scan(path, stored, {.chunk = chunk, .filters = p.set}, [&](hid_t data) {
        ASSERT_GE(H5Dwrite(data, io::h5::native_number<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, counts.data()), 0);
      });
      EXPECT_EQ(decoded_here<T>(path), p.here);
      std::vector<T> by_library(counts.size());
      io::h5::File::open(path).dataset("diffraction").read_rows<T>(0, 11, by_library);
      ASSERT_EQ(by_library, counts);
      expect_frames(path, amplitude_of(counts));
    }
}

TEST(compressed_frames, are_those_that_the_library_gives) {
  const TemporaryFolder folder;
  expect_as_library<uint16_t>(folder, H5T_STD_U16LE);
  expect_as_library<float>(folder, H5T_IEEE_F32LE);
}

TEST(compressed_frames, of_every_type_of_number) {
  const TemporaryFolder folder;
  const auto one = [&]<class T>(T, hid_t stored, bool here) {
    const std::string path = folder.file("scan.h5");
    const std::vector<T> counts = counts_of<T>(11 * 36, 6);
    write_scan(path, stored, {.chunk = {2, 6, 6}, .filters = [](hid_t c) { H5Pset_shuffle(c), H5Pset_deflate(c, 1); }},
               [&](hid_t data) {
                 ASSERT_GE(H5Dwrite(data, io::h5::native_number<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, counts.data()), 0);
               });
    EXPECT_EQ(decoded_here<T>(path), here);
    expect_frames(path, amplitude_of(counts));
  };
  one(uint8_t{}, H5T_STD_U8LE, true);
  one(int8_t{}, H5T_STD_I8LE, true);
  one(int16_t{}, H5T_STD_I16LE, true);
  one(uint32_t{}, H5T_STD_U32LE, true);
  one(int32_t{}, H5T_STD_I32LE, true);
  one(uint64_t{}, H5T_STD_U64LE, true);
  one(int64_t{}, H5T_STD_I64LE, true);
  one(double{}, H5T_IEEE_F64LE, true);
  one(uint16_t{}, H5T_STD_U16BE, false);  // of another byte order: by the library
}

TEST(compressed_frames, chunks_never_written_hold_the_fill_value) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  for (const std::vector<hsize_t>& chunk : {std::vector<hsize_t>{1, 6, 6}, {2, 4, 6}}) {
    const std::vector<uint16_t> some = counts_of<uint16_t>(36, 7);
    const auto filters = [](hid_t c) {
      const uint16_t fill = 9;
      H5Pset_fill_value(c, H5T_NATIVE_UINT16, &fill), H5Pset_deflate(c, 1);
    };
    write_scan(path, H5T_STD_U16LE, {.chunk = chunk, .filters = filters}, [&](hid_t data) {
      const io::h5::Handle file_space(H5Dget_space(data), H5Sclose);
      const hsize_t start[3] = {4, 0, 0}, count[3] = {1, 6, 6};
      const io::h5::Handle memory(H5Screate_simple(3, count, nullptr), H5Sclose);
      H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, start, nullptr, count, nullptr);
      ASSERT_GE(H5Dwrite(data, H5T_NATIVE_UINT16, memory.get(), file_space.get(), H5P_DEFAULT, some.data()), 0);
    });
    ASSERT_TRUE(decoded_here<uint16_t>(path));
    std::vector<uint16_t> counts(11 * 36, 9);
    std::copy(some.begin(), some.end(), counts.begin() + 4 * 36);
    expect_frames(path, amplitude_of(counts));
  }
}

// ---- filters that the library of Debian lacks ----------------------------------------------------------------------

template <class T>
Bytes bytes_of(const std::vector<T>& values) {
  Bytes out(values.size() * sizeof(T));
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

/// LZF by its description: matches of the 3 or more bytes found farthest back within reach, else literals.
Bytes to_lzf(const Bytes& in) {
  Bytes out;
  const auto put = [&](size_t v) { out.push_back(static_cast<std::byte>(v)); };
  size_t literal = 0;
  const auto flush = [&](size_t end) {
    while (literal < end) {
      const size_t n = std::min<size_t>(32, end - literal);
      put(n - 1);
      out.insert(out.end(), in.begin() + static_cast<std::ptrdiff_t>(literal),
                 in.begin() + static_cast<std::ptrdiff_t>(literal + n));
      literal += n;
    }
  };
  for (size_t at = 0; at < in.size();) {
    size_t best = 0, from = 0;
    for (size_t start = at > 8192 ? at - 8192 : 0; start < at; ++start) {
      size_t n = 0;
      while (at + n < in.size() && n < 264 && in[start + n] == in[at + n]) ++n;
      if (n > best) best = n, from = start;
    }
    if (best < 3) {
      ++at;
      continue;
    }
    flush(at);
    const size_t distance = at - from - 1, length = best - 2;
    put(std::min<size_t>(length, 7) << 5 | distance >> 8);
    if (length >= 7) put(length - 7);
    put(distance & 255);
    at += best;
    literal = at;
  }
  flush(in.size());
  return out;
}

/// Bit by bit; `block` elements at a time.
Bytes to_bitshuffle(const Bytes& in, size_t width, size_t block, bool lz4) {
  Bytes out;
  const auto big_endian = [&](uint64_t v, int bytes) {
    for (int b = bytes - 1; b >= 0; --b) out.push_back(static_cast<std::byte>(v >> (8 * b)));
  };
  if (lz4) big_endian(in.size(), 8), big_endian(block * width, 4);
  const size_t whole = in.size() / width / 8 * 8;
  for (size_t first = 0; first < whole; first += block) {
    const size_t n = std::min(block, whole - first);
    Bytes bits(n * width);
    for (size_t e = 0; e < n; ++e)
      for (size_t bit = 0; bit < 8 * width; ++bit)
        if ((in[(first + e) * width + bit / 8] >> (bit % 8) & std::byte{1}) != std::byte{0})
          bits[bit * (n / 8) + e / 8] |= std::byte{1} << (e % 8);
    if (lz4) {
      std::vector<char> packed(static_cast<size_t>(LZ4_compressBound(static_cast<int>(bits.size()))));
      const int size = LZ4_compress_default(reinterpret_cast<const char*>(bits.data()), packed.data(),
                                            static_cast<int>(bits.size()), static_cast<int>(packed.size()));
      big_endian(static_cast<uint64_t>(size), 4);
      for (int i = 0; i < size; ++i) out.push_back(static_cast<std::byte>(packed[static_cast<size_t>(i)]));
    } else {
      out.insert(out.end(), bits.begin(), bits.end());
    }
  }
  out.insert(out.end(), in.begin() + static_cast<std::ptrdiff_t>(whole * width), in.end());
  return out;
}

struct Encoded {
  const char* name;
  ChunkFilter filter;
  std::function<Bytes(const Bytes&)> encode;
};
const Encoded foreign[] = {
    {"LZF", {lzf, {4, 0x105, 72}}, to_lzf},
    {"bitshuffle", {bitshuffle, {0, 4, 2, 8, 0}}, [](const Bytes& b) { return to_bitshuffle(b, 2, 8, false); }},
    {"bitshuffle, LZ4", {bitshuffle, {0, 4, 2, 16, 2}}, [](const Bytes& b) { return to_bitshuffle(b, 2, 16, true); }},
    {"bitshuffle, LZ4, blocks of its choice",
     {bitshuffle, {0, 4, 2, 0, 2}},
     [](const Bytes& b) { return to_bitshuffle(b, 2, 4096, true); }},
};

TEST(compressed_frames, of_lzf_and_bitshuffle) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  for (const Encoded& e : foreign)
    for (const hsize_t rows : {hsize_t{1}, hsize_t{4}}) {
      SCOPED_TRACE(e.name);
      std::vector<uint16_t> counts = counts_of<uint16_t>(11 * 36, 8);
      const auto filters = [&](hid_t c) {
        H5Pset_filter(c, e.filter.id, H5Z_FLAG_OPTIONAL, e.filter.values.size(), e.filter.values.data());
      };
      write_scan(path, H5T_STD_U16LE, {.chunk = {rows, 6, 6}, .filters = filters}, [&](hid_t data) {
        for (hsize_t first = 0; first < 11; first += rows) {
          std::vector<uint16_t> chunk(rows * 36);
          std::copy_n(counts.begin() + static_cast<std::ptrdiff_t>(first * 36), std::min<size_t>(rows, 11 - first) * 36,
                      chunk.begin());
          // As a filter that does not pay, or fails, leaves a chunk: the mask says so.
          const uint32_t left_out = first == 4 ? 1 : 0;
          const Bytes stored = left_out ? bytes_of(chunk) : e.encode(bytes_of(chunk));
          const hsize_t at[3] = {first, 0, 0};
          ASSERT_GE(H5Dwrite_chunk(data, H5P_DEFAULT, left_out, at, stored.size(), stored.data()), 0);
        }
      });
      ASSERT_TRUE(decoded_here<uint16_t>(path));
      expect_frames(path, amplitude_of(counts));
    }
}

TEST(compressed_frames, decode_known_streams) {
  io::ChunkScratch scratch;
  const auto text = [](const char* s, size_t n) {
    Bytes b(n);
    std::memcpy(b.data(), s, n);
    return b;
  };
  // LZF: "a" as it is, then 10 bytes from 1 back (7 and 1 more, and 2), then "bc".
  Bytes out(13);
  EXPECT_EQ(ChunkDecoder({{lzf, {}}}, 13)
                .decode(text("\x00"
                             "a\xE0\x01\x00\x01"
                             "bc",
                             8),
                        0, out, scratch),
            "");
  EXPECT_EQ(out, text("aaaaaaaaaaabc", 13));
  // Bitshuffle of eight bytes 1, 2, 4, ..., 128: their bits are the unit matrix; of 0, 0, 255, ...: bit 2 of each row.
  Bytes eight(8);
  const ChunkDecoder bits({{bitshuffle, {0, 4, 1, 8, 0}}}, 8);
  EXPECT_EQ(bits.decode(text("\x01\x02\x04\x08\x10\x20\x40\x80", 8), 0, eight, scratch), "");
  EXPECT_EQ(eight, text("\x01\x02\x04\x08\x10\x20\x40\x80", 8));
  EXPECT_EQ(bits.decode(text("\x04\x04\x04\x04\x04\x04\x04\x05", 8), 0, eight, scratch), "");
  EXPECT_EQ(eight, text("\x80\x00\xFF\x00\x00\x00\x00\x00", 8));
  // Shuffle of elements of 2 bytes, and a byte that is left over.
  Bytes five(5);
  EXPECT_EQ(ChunkDecoder({{shuffle, {2}}}, 5).decode(text("acbde", 5), 0, five, scratch), "");
  EXPECT_EQ(five, text("abcde", 5));
}

TEST(compressed_frames, pipelines_that_are_left_to_the_library) {
  EXPECT_TRUE(ChunkDecoder::knows({}));
  EXPECT_TRUE(ChunkDecoder::knows({{shuffle, {2}}, {lzf, {}}}));
  EXPECT_FALSE(ChunkDecoder::knows({{gzip, {1}}, {fletcher, {}}}));
  EXPECT_FALSE(ChunkDecoder::knows({{gzip, {1}}, {gzip, {1}}}));
  EXPECT_FALSE(ChunkDecoder::knows({{bitshuffle, {0, 4, 2, 0, 3}}}));  // with Zstandard
  EXPECT_FALSE(ChunkDecoder::knows({{32015, {}}}));
}

// ---- damage ---------------------------------------------------------------------------------------------------------

TEST(compressed_frames, damaged_bytes_are_reported_or_decoded_never_more) {
  std::mt19937 random(9);
  io::ChunkScratch scratch;
  const Bytes chunk = bytes_of(counts_of<uint16_t>(300, 10));
  for (const Encoded& e : foreign) {
    SCOPED_TRACE(e.name);
    const ChunkDecoder decoder({e.filter}, chunk.size());
    const Bytes good = e.encode(chunk);
    Bytes out(chunk.size());
    ASSERT_EQ(decoder.decode(good, 0, out, scratch), "");
    ASSERT_EQ(out, chunk);
    EXPECT_NE(decoder.decode({}, 0, out, scratch), "");
    EXPECT_NE(decoder.decode(std::span(good).first(good.size() - 1), 0, out, scratch), "");
    EXPECT_NE(decoder.decode(good, 1, out, scratch) == "", good.size() != chunk.size());  // said to be left out
    int reported = 0;
    for (int i = 0; i < 3000; ++i) {
      Bytes bad = good;
      for (unsigned n = 1 + random() % 4; n > 0; --n) bad[random() % bad.size()] = static_cast<std::byte>(random());
      if (random() % 3 == 0) bad.resize(random() % bad.size());
      // An allocation of its own, of the stored size, so that a sanitizer sees reads behind it.
      reported += !decoder.decode(bad, 0, out, scratch).empty();
    }
    EXPECT_GT(reported, 500);
  }
}

TEST(compressed_frames, a_damaged_chunk_is_one_error_that_names_it) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  const std::vector<uint16_t> counts = counts_of<uint16_t>(11 * 36, 11);
  const auto filters = [](hid_t c) { H5Pset_deflate(c, 1); };
  struct Damage {
    const char* what;
    Bytes stored;
    const char* message;
  };
  const Damage damages[] = {{"no gzip data", Bytes(40, std::byte{0x55}), "gzip"},
                            {"more bytes than a chunk can take", Bytes(9000, std::byte{1}), "9000"}};
  for (const Damage& d : damages)
    for (const int threads : {1, 4}) {
      SCOPED_TRACE(d.what);
      write_scan(path, H5T_STD_U16LE, {.filters = filters}, [&](hid_t data) {
        ASSERT_GE(H5Dwrite(data, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, counts.data()), 0);
        for (const hsize_t frame : {6, 8}) {
          const hsize_t at[3] = {frame, 0, 0};
          ASSERT_GE(H5Dwrite_chunk(data, H5P_DEFAULT, 0, at, d.stored.size(), d.stored.data()), 0);
        }
      });
      const auto scan = io::open_scan(path, plain, threads);
      std::vector<float> out(11 * 36);
      for (int again = 0; again < 2; ++again)
        expect_parts(file_error_of([&] { scan->read_amplitude(0, 11, out); }),
                     {path, "diffraction", "rows 6 to 6", d.message});
      scan->read_amplitude(0, 6, std::span(out).first(6 * 36));  // what is whole can still be read
      EXPECT_EQ(std::vector<float>(out.begin(), out.begin() + 6 * 36),
                amplitude_of(std::vector<uint16_t>(counts.begin(), counts.begin() + 6 * 36)));
    }
}

/// A scan of chunks without filters whose index says that chunk 0 is `said` bytes long, not 72.
std::vector<uint16_t> write_with_wrong_length(const std::string& path, const Chunked& how, uint32_t said) {
  const std::vector<uint16_t> counts = counts_of<uint16_t>(11 * 36, 12);
  write_scan(path, H5T_STD_U16LE, how, [&](hid_t data) {
    ASSERT_GE(H5Dwrite(data, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, counts.data()), 0);
  });
  std::ifstream in(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  // A key of a version 1 B-tree: length, mask, offsets 0, 0, 0 and that of the element's bytes.
  const std::string key = std::string("\x48\0\0\0\0\0\0\0", 8) + std::string(32, '\0');
  const size_t at = bytes.find(key, bytes.find("TREE\x01"));
  EXPECT_NE(at, std::string::npos);
  if (at != std::string::npos) std::memcpy(bytes.data() + at, &said, sizeof(said));
  std::ofstream(path, std::ios::binary) << bytes;
  return counts;
}

TEST(compressed_frames, lengths_in_the_file_do_not_pass_the_room_for_a_chunk) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  for (const uint32_t said : {72U, 3000U, 3U, 0U}) {
    SCOPED_TRACE(said);
    const std::vector<uint16_t> counts = write_with_wrong_length(path, {}, said);
    ASSERT_TRUE(decoded_here<uint16_t>(path));
    expect_frames(path, amplitude_of(counts));
    std::vector<uint16_t> by_library(counts.size());
    io::h5::File::open(path).dataset("diffraction").read_rows<uint16_t>(0, 11, by_library);
    EXPECT_EQ(by_library, counts);
  }
}

TEST(compressed_frames, padded_and_tiny_chunks_count_as_what_they_take) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  const std::vector<uint16_t> counts = counts_of<uint16_t>(36, 13);
  const auto held = [&](const std::vector<hsize_t>& chunk) -> size_t {
    ScanFile scan;
    scan.omit = {"diffraction"};
    scan.frames = 11;
    scan.positions.assign(22, 1.0);
    scan.positions_shape = {11, 2};
    scan.write(path);
    const io::h5::Lock lock;
    const hsize_t shape[3] = {11, 6, 6}, most[3] = {H5S_UNLIMITED, H5S_UNLIMITED, H5S_UNLIMITED};
    const io::h5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    const io::h5::Handle space(H5Screate_simple(3, shape, most), H5Sclose);
    const io::h5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_chunk(creation.get(), 3, chunk.data()), H5Pset_deflate(creation.get(), 1);
    {
      const io::h5::Handle data(
          H5Dcreate2(file.get(), "data", H5T_STD_U16LE, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
          H5Dclose);
      const hsize_t first[3] = {0, 0, 0}, one[3] = {1, 6, 6};
      const io::h5::Handle frame(H5Screate_simple(3, one, nullptr), H5Sclose);
      H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, first, nullptr, one, nullptr);
      EXPECT_GE(H5Dwrite(data.get(), H5T_NATIVE_UINT16, frame.get(), space.get(), H5P_DEFAULT, counts.data()), 0);
    }
    const io::h5::File opened = io::h5::File::open(path);
    const io::h5::Dataset data = opened.dataset("data");
    const auto reader = io::h5::ChunkReader::of<uint16_t>(data);
    return reader ? reader->held_bytes() : 0;
  };
  EXPECT_GE(held({1, 600, 500}), 600u * 500 * 2);  // frames of 72 bytes in chunks of 600,000
  EXPECT_LE(held({1, 600, 500}), 600u * 500 * 2 + 200);
  EXPECT_GE(held({1, 1, 1}), 36u * (2 + sizeof(io::h5::StoredBands::Chunk)));
  EXPECT_GE(held({2, 5, 6}), 2u * 10 * 6 * 2);
  EXPECT_EQ(held({1, 3000, 3000}), 0u);  // 18 MB a frame: by the library
}

TEST(compressed_frames, an_illegal_count_is_named_whatever_the_threads) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  const hsize_t frames = 400;  // several tasks
  std::vector<float> counts(frames * 64 * 64, 1.0f);
  for (const size_t bad : {170, 171, 390}) counts[bad * 64 * 64 + 5] = -1;
  write_scan(path, H5T_IEEE_F32LE, {.shape = {frames, 64, 64}, .chunk = {1, 64, 64}}, [&](hid_t data) {
    ASSERT_GE(H5Dwrite(data, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, counts.data()), 0);
  });
  for (const int threads : {1, 4}) {
    const auto scan = io::open_scan(path, plain, threads);
    expect_parts(file_error_of([&] { read_all(*scan); }), {path, "frame 170, pixel [0, 5]", "negative"});
  }
}

// ---- the team -------------------------------------------------------------------------------------------------------

TEST(team, fetches_in_order_and_works_on_each_once) {
  for (const int threads : {1, 2, 5}) {
    io::Team team(threads);
    for (const int64_t count : {0, 1, 2, 3, 100}) {
      std::vector<int64_t> fetched;
      std::vector<std::atomic<int>> worked(static_cast<size_t>(count));
      std::vector<int64_t> slot_of(static_cast<size_t>(team.slots()), -1);
      team.run(
          count,
          [&](int64_t task, int slot) {
            fetched.push_back(task);
            slot_of[static_cast<size_t>(slot)] = task;
          },
          [&](int64_t task, int slot) {
            EXPECT_EQ(slot_of[static_cast<size_t>(slot)], task);
            ++worked[static_cast<size_t>(task)];
          });
      std::vector<int64_t> order(static_cast<size_t>(count));
      std::iota(order.begin(), order.end(), int64_t{0});
      EXPECT_EQ(fetched, order);
      for (const auto& times : worked) EXPECT_EQ(times, 1);
    }
  }
}

TEST(team, the_first_failure_is_the_one_that_is_told) {
  for (const int threads : {1, 2, 5}) {
    io::Team team(threads);
    for (const int bad_fetch : {1000, 30, 12}) {
      std::string told;
      try {
        team.run(
            100,
            [&](int64_t task, int) {
              if (task == bad_fetch) throw std::runtime_error("fetch " + std::to_string(task));
            },
            [&](int64_t task, int) {
              if (task >= 20 && task % 2 == 0) throw std::runtime_error("work " + std::to_string(task));
            });
      } catch (const std::runtime_error& e) {
        told = e.what();
      }
      EXPECT_EQ(told, bad_fetch == 12 ? "fetch 12" : "work 20");
    }
    int64_t worked = 0;
    team.run(
        1, [](int64_t, int) {}, [&](int64_t, int) { ++worked; });  // usable again
    EXPECT_EQ(worked, 1);
  }
}

}  // namespace
}  // namespace ptyfuse::tests
