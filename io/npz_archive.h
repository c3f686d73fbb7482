#pragma once
#include <zip.h>

#include <complex>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/npy.h"
#include "io/scan.h"

namespace ptyfuse::io {

/// One array of an NPZ: its header, and its bytes read forward.
class NpzStream {
 public:
  const NpyHeader& header() const { return header_; }
  const std::string& key() const { return key_; }
  /// Where the next read starts, counted from the array's first byte.
  int64_t position() const { return position_; }
  /// Whether a jump costs nothing (the entry is stored, not deflated).
  bool seekable() const { return seekable_; }
  /// Jumps; in a deflated entry this reads up to there, from the start where it lies behind.
  void seek(int64_t position);
  /// FileError: the entry ends too soon, is damaged (its checksum is compared at its end) or cannot be read.
  void read(void* to, int64_t bytes);

 private:
  friend class NpzArchive;
  struct CloseEntry {
    void operator()(zip_file_t* file) const { zip_fclose(file); }
  };
  NpzStream(std::string path, std::string key, zip_t* archive, zip_uint64_t index);
  void reopen();
  void read_raw(void* to, int64_t bytes);

  std::string path_, key_;
  zip_t* archive_;
  zip_uint64_t index_;
  std::unique_ptr<zip_file_t, CloseEntry> entry_;
  NpyHeader header_;
  int64_t position_ = 0;
  bool seekable_ = false, forward_only_so_far_ = true;
};

/// numpy's NPZ: a zip of .npy arrays, stored or deflated.
class NpzArchive {
 public:
  /// FileError: cannot be opened, not a zip, truncated.
  explicit NpzArchive(const std::string& path);

  const std::string& path() const { return path_; }
  bool has(const std::string& key) const;
  /// "diff3d, probeGuess, xcoords"
  std::string keys() const;
  /// The archive must outlive the stream. FileError: absent, not an array, a header that claims other bytes than the
  /// archive holds.
  NpzStream stream(const std::string& key) const;

  /// Whole small arrays, converted, in C order. FileError as stream(), and a type that does not convert.
  std::vector<double> reals(const std::string& key, std::vector<int64_t>& shape) const;
  /// [H,W] or [n,H,W], also with trailing axes of one element. FileError: another rank; a value that is not finite.
  ComplexImage image(const std::string& key) const;

 private:
  struct CloseArchive {
    void operator()(zip_t* archive) const { zip_discard(archive); }
  };
  int64_t index_of(const std::string& key) const;

  std::string path_;
  std::unique_ptr<zip_t, CloseArchive> archive_;
};

}  // namespace ptyfuse::io
