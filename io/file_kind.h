#pragma once
#include <string>

namespace ptyfuse::io {

/// What a path holds, by its content: HDF5 files of ours name themselves in the attribute `format`.
enum class FileKind { folder, reconstruction, checkpoint, scan_or_other };

/// FileError: nothing of that name.
FileKind file_kind(const std::string& path);

}  // namespace ptyfuse::io
