#pragma once
// Everything that the program reads, one target for each kind of input: libfuzzer/entry.cpp hands them a fuzzer's
// bytes, corpus.cpp those of the kept files.
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace ptyfuse::fuzz {

using Input = std::span<const uint8_t>;

/// Each hands the input to readers and lets pass what they are documented to throw (FileError, UsageError, Error). All
/// else is a finding: another exception escapes, std::logic_error where a reader let through what it promises to
/// refuse.
void feed_npy(Input input);         ///< a numpy array's bytes
void feed_npz(Input input);         ///< a zip of arrays, made as the input says: see made_npz.h
void feed_npz_bytes(Input input);   ///< a zip's bytes
void feed_toml(Input input);        ///< a configuration's text, applied to every command's settings
void feed_values(Input input);      ///< texts of options: slices, sizes, regions, lists of files, probe pipelines
void feed_arm(Input input);         ///< arms/NAME.json of a study's folder
void feed_hdf5(Input input);        ///< scan, product or checkpoint, made as the input says: see made_hdf5.h
void feed_hdf5_bytes(Input input);  ///< an HDF5 file's bytes
void feed_chunk(Input input);       ///< a stored chunk and the filters it went through
void feed_picture(Input input);     ///< a PNG's bytes

struct Target {
  const char* name;
  void (*feed)(Input input);
};
inline constexpr Target targets[] = {
    {"npy", feed_npy},       {"npz", feed_npz},        {"npz_bytes", feed_npz_bytes}, {"toml", feed_toml},
    {"values", feed_values}, {"arm", feed_arm},        {"hdf5", feed_hdf5},           {"hdf5_bytes", feed_hdf5_bytes},
    {"chunk", feed_chunk},   {"picture", feed_picture}};

/// A nameless file in memory with these bytes; readers find it at path().
class MemoryFile {
 public:
  explicit MemoryFile(Input bytes);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const;

 private:
  int file_ = -1;
};

/// Runs body; true where it came to its end, false where it refused the input in words.
bool accepts(const std::function<void()>& body);

/// std::logic_error unless `holds`.
void promise(bool holds, const char* what);

/// Reads as an arm's result, as it is and, where it is a JSON object, with the layout's number and the digest put
/// right; true where the latter was accepted.
bool read_as_arm(Input input);

/// Opens as a scan, with and without hints, and reads frames; as a complex image.
void read_as_scan(const std::string& path);
void read_as_image(const std::string& path);

}  // namespace ptyfuse::fuzz
