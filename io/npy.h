#pragma once
#include <complex>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace ptyfuse::io {

/// What precedes the bytes of one numpy array (.npy, format versions 1 to 3).
struct NpyHeader {
  char kind = 0;  ///< numpy's: 'u', 'i', 'f', 'c', 'b'; 'O', 'U', 'S' and others hold no numbers
  int64_t element_bytes = 0;
  bool fortran_order = false;
  std::vector<int64_t> shape;
  int64_t header_bytes = 0;  ///< where the data starts

  bool numeric() const { return kind == 'u' || kind == 'i' || kind == 'f' || kind == 'c' || kind == 'b'; }
  int64_t elements() const;
  int64_t data_bytes() const { return elements() * element_bytes; }
  /// "uint16", "complex64", ...
  std::string type_name() const;
  std::string shape_text() const;
};

/// Reads exactly so many bytes into a place; throws where they are not to be had.
using ByteReader = std::function<void(void* to, int64_t bytes)>;

/// FileError: not a .npy array, an unknown version, a header that does not parse, big-endian or structured data,
/// more than 64 axes, sizes that do not fit 63 bits.
NpyHeader read_npy_header(const std::string& path, const std::string& key, const ByteReader& read);

/// Header text of version 1 for a C-order array; descr as numpy writes it ("<f4").
std::string npy_header_text(const std::string& descr, const std::vector<int64_t>& shape);

/// Whole small arrays in C order, converted: raw holds header.data_bytes(). FileError: the type does not convert.
std::vector<double> npy_to_double(const std::string& path, const std::string& key, const NpyHeader& header,
                                  std::span<const char> raw);
std::vector<std::complex<float>> npy_to_complex(const std::string& path, const std::string& key,
                                                const NpyHeader& header, std::span<const char> raw);

}  // namespace ptyfuse::io
