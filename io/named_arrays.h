#pragma once
#include <complex>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace ptyfuse::io {

/// A named array on the host, for files that other programs read.
struct NamedArray {
  std::string name;            ///< "inputs/x": groups by slashes
  std::vector<int64_t> shape;  ///< outermost first
  std::variant<std::vector<float>, std::vector<double>, std::vector<int64_t>, std::vector<std::complex<float>>> data;
};

/// An HDF5 file of these arrays with the text attribute `config` (JSON). Appears whole or not at all. FileError: as
/// AtomicFile; data that do not fill their shape, two arrays of one name.
void write_named_arrays(const std::string& path, const std::string& config, std::span<const NamedArray> arrays,
                        bool force);

/// What such a file was made with. FileError.
std::string named_arrays_config(const std::string& path);

}  // namespace ptyfuse::io
