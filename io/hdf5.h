#pragma once
// HDF5 for this room: handles that close themselves, typed reads and writes, FileError for everything that goes wrong.
#include <hdf5.h>

#include <complex>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "io/file_error.h"

namespace ptyfuse::io::h5 {

/// Holds the process's one HDF5 mutex and keeps the library from printing its error stack, both while it lives.
/// Every member below takes it; take it yourself only round direct calls of the HDF5 API. May be nested.
class Lock {
 public:
  Lock();
  ~Lock();
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  std::unique_lock<std::recursive_mutex> guard_;
  H5E_auto2_t print_ = nullptr;
  void* print_data_ = nullptr;
};

/// Owns one identifier of the library.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle() = default;
  Handle(hid_t id, Close closing) : id_(id), close_(closing) {}
  Handle(Handle&& other) noexcept { swap(other); }
  Handle& operator=(Handle&& other) noexcept {
    Handle(std::move(other)).swap(*this);
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle();
  hid_t get() const { return id_; }
  bool valid() const { return id_ >= 0; }
  /// Closes now; false where the library says that it could not.
  bool close();

 private:
  void swap(Handle& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
  }
  hid_t id_ = -1;
  Close close_ = nullptr;
};

/// A dataset's element type.
enum class Kind { integer, real, complex, text, other };

/// What attributes hang on: the file's root or a dataset.
class Node {
 public:
  const std::string& path() const { return path_; }
  const std::string& name() const { return name_; }

  /// Text of a scalar string attribute, fixed or variable length; nullopt where absent. FileError: not text.
  std::optional<std::string> text(const std::string& attribute) const;
  /// A scalar numeric attribute (also of one element); nullopt where absent. FileError: not a number.
  std::optional<double> number(const std::string& attribute) const;
  /// A numeric attribute of any length; empty where absent. FileError: not numbers.
  std::vector<double> numbers(const std::string& attribute) const;

  void set_text(const std::string& attribute, const std::string& value);
  void set_number(const std::string& attribute, double value);
  void set_integer(const std::string& attribute, int64_t value);
  void set_integers(const std::string& attribute, std::span<const int64_t> values);

 protected:
  Node() = default;
  Node(std::string path, std::string name, Handle handle)
      : path_(std::move(path)), name_(std::move(name)), handle_(std::move(handle)) {}
  [[noreturn]] void fail(const std::string& what) const;

  std::string path_, name_;
  Handle handle_;
};

class ChunkReader;

class Dataset : public Node {
 public:
  Dataset() = default;
  const std::vector<int64_t>& shape() const { return shape_; }
  int rank() const { return static_cast<int>(shape_.size()); }
  /// Product of the extents; FileError where it does not fit 63 bits.
  int64_t elements() const { return elements_; }
  Kind kind() const { return kind_; }
  /// "uint16", "float32", "complex64", ...
  const std::string& type_name() const { return type_name_; }
  /// "[516, 128, 128]"
  std::string shape_text() const;
  /// Whether a plain integer type has a sign; false for others.
  bool is_signed() const { return signed_; }
  int64_t element_bytes() const { return element_bytes_; }
  /// Rows along axis 0 that one chunk holds; 1 for unchunked data.
  int64_t chunk_rows() const { return chunk_rows_; }

  /// The whole dataset as T: any integer or real type; std::complex<float> takes complex and real types. FileError: the
  /// stored type does not convert, out.size() != elements(), a read that fails.
  template <class T>
  void read(std::span<T> out) const;
  template <class T>
  std::vector<T> read_all() const {
    std::vector<T> out(static_cast<size_t>(elements()));
    read(std::span<T>(out));
    return out;
  }
  /// Rows [first, first+count) of axis 0.
  template <class T>
  void read_rows(int64_t first, int64_t count, std::span<T> out) const;
  /// Rows as they would be read whole, written instead.
  template <class T>
  void write_rows(int64_t first, int64_t count, std::span<const T> in);
  /// What was written reaches the file now. FileError where it cannot: a dataset that is closed says nothing.
  void flush();
  /// A scalar text dataset.
  std::string read_text() const;

 private:
  friend class File;
  friend class ChunkReader;
  Dataset(const std::string& path, const std::string& name, Handle handle);
  /// FileError when the header claims more than the stored bytes can hold, or when data lies where it is not followed
  /// to (hdf5_links.h).
  void check_storage() const;

  std::vector<int64_t> shape_;
  int64_t elements_ = 1, element_bytes_ = 0, chunk_rows_ = 1;
  Kind kind_ = Kind::other;
  bool signed_ = false;
  std::string type_name_;
};

/// How a dataset is stored.
struct Storage {
  std::vector<int64_t> chunk;  ///< empty: contiguous
  int gzip_level = 0;          ///< 0: not compressed; otherwise with shuffle, needs `chunk`
};

class File : public Node {
 public:
  File() = default;
  /// For reading. FileError: no such file, a folder, empty, not HDF5, truncated or damaged, no permission.
  static File open(const std::string& path);
  /// Creates `file_path` or empties it; messages name `path` (the final name).
  static File create(const std::string& file_path, const std::string& path);

  /// Whether a link of that name exists (a link that leads outside exists; opening it is what fails).
  bool has(const std::string& dataset) const;
  /// Opens for reading; sizes are checked against what the file stores before anybody takes memory, and what
  /// leads out of the file's folder is refused (hdf5_links.h). FileError: absent (the message ends in `needed`), not a
  /// dataset, damaged.
  Dataset dataset(const std::string& name, const std::string& needed = "") const;
  /// Names in the root, at most `limit`.
  std::vector<std::string> names(int limit) const;

  template <class T>
  Dataset create_dataset(const std::string& name, const std::vector<int64_t>& shape, const Storage& storage = {});
  template <class T>
  Dataset write(const std::string& name, const std::vector<int64_t>& shape, std::span<const T> data,
                const Storage& storage = {});
  Dataset write_text(const std::string& name, const std::string& value);
  /// Flushes and closes; FileError where the disk is full or the write fails.
  void close();

 private:
  bool link_exists(const std::string& name, std::string& refused) const;
};

}  // namespace ptyfuse::io::h5
