#pragma once
#include <string>

#include "io/scan.h"

namespace ptyfuse::io {

/// Writes a scan as PtychoPINN's NPZ: diff3d [S,N,N] float32 amplitude, DC at the centre; xcoords, ycoords [S] float64
/// of each patch's index N/2; probeGuess [N,N] complex64 ([modes,N,N] where there are several); objectGuess [H,W]
/// complex64. Frames stream through a few megabytes, deflated. Atomic as AtomicFile. FileError: the scan holds several
/// objects; whatever its reader or the disk reports.
void write_ptychopinn_npz(const std::string& path, ScanReader& scan, bool force);

}  // namespace ptyfuse::io
