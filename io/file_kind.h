#pragma once
#include <cstdint>
#include <string>

namespace ptyfuse::io {

/// What a path holds, by its content: HDF5 files of ours name themselves in the attribute `format`.
enum class FileKind { folder, reconstruction, checkpoint, named_arrays, scan_or_other };

/// FileError: nothing of that name.
FileKind file_kind(const std::string& path);

/// Up to eight bytes from an input file's beginning. FileError: nothing of that name, a folder, a pipe, empty or not
/// readable; `expected` says what it should be ("a scan file (HDF5) or NPZ").
std::string first_bytes(const std::string& path, const std::string& expected);

/// The whole of a file that is read at once. FileError: nothing of that name, no ordinary file (a pipe would be waited
/// for, a device may never end), larger than `most_bytes`, or not readable.
std::string read_whole(const std::string& path, int64_t most_bytes);

}  // namespace ptyfuse::io
