#pragma once
#include <complex>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "io/scan.h"

namespace ptyfuse::io {

/// Writes a scan as PtychoPINN's NPZ: diff3d [S,N,N] float32 amplitude, DC at the centre; xcoords, ycoords [S] float64
/// of each patch's index N/2; probeGuess [N,N] complex64 ([modes,N,N] where there are several); objectGuess [H,W]
/// complex64. Frames stream through a few megabytes, deflated. Atomic as AtomicFile. FileError: the scan holds several
/// objects; whatever its reader or the disk reports.
void write_ptychopinn_npz(const std::string& path, ScanReader& scan, bool force);

/// An array of an NPZ: float32 or complex64, row-major.
struct NpzArray {
  std::string key;
  std::vector<int64_t> shape;
  std::variant<std::vector<float>, std::vector<std::complex<float>>> data;
};
/// Writes arrays as numpy's NPZ, deflated, whole or not at all. FileError: an array whose values do not fit its shape,
/// and as AtomicFile.
void write_npz(const std::string& path, std::span<const NpzArray> arrays, bool force);

}  // namespace ptyfuse::io
