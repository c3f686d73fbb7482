#pragma once
// Reader of the recorded results: the folder named by PTYFUSE_GOLDEN, else tests/data/golden of the source tree.
#include <gtest/gtest.h>
#include <hdf5.h>

#include <array>
#include <complex>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/support/source_folder.h"

namespace ptyfuse::tests {

inline std::filesystem::path golden_folder() {
  const char* named = std::getenv("PTYFUSE_GOLDEN");
  return named && *named ? std::filesystem::path(named) : source_folder() / "tests" / "data" / "golden";
}

/// One recorded file, open for reading. Every failure throws std::runtime_error that names file and item.
class GoldenFile {
 public:
  explicit GoldenFile(const std::string& name) : path_((golden_folder() / name).string()) {
    file_ = Handle(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, *this, "not an HDF5 file");
  }

  static bool exists(const std::string& name) { return std::filesystem::exists(golden_folder() / name); }

  /// "group/item" exists.
  bool has(const std::string& item) const {
    bool found = true;
    // A path through a dataset is an error to HDF5, which would print it.
    H5E_BEGIN_TRY {
      for (size_t slash = 0; found && slash != std::string::npos;) {
        slash = item.find('/', slash + 1);
        found = H5Lexists(file_.id, item.substr(0, slash).c_str(), H5P_DEFAULT) > 0;
      }
    }
    H5E_END_TRY;
    return found;
  }

  /// Names in a group ("/" for the root), in alphabetical order.
  std::vector<std::string> children(const std::string& group = "/") const {
    const Handle at(H5Gopen2(file_.id, group.c_str(), H5P_DEFAULT), H5Gclose, *this, group);
    H5G_info_t info{};
    if (H5Gget_info(at.id, &info) < 0) fail(group);
    std::vector<std::string> names;
    for (hsize_t i = 0; i < info.nlinks; ++i) {
      std::array<char, 256> name{};
      if (H5Lget_name_by_idx(at.id, ".", H5_INDEX_NAME, H5_ITER_INC, i, name.data(), name.size(), H5P_DEFAULT) < 0) {
        fail(group);
      }
      names.emplace_back(name.data());
    }
    return names;
  }

  std::vector<int64_t> shape(const std::string& dataset) const {
    const Handle at(H5Dopen2(file_.id, dataset.c_str(), H5P_DEFAULT), H5Dclose, *this, dataset);
    return extents(Handle(H5Dget_space(at.id), H5Sclose, *this, dataset), dataset);
  }

  /// T: float, double, int64_t, int32_t, uint8_t, std::complex<float> or std::complex<double>; HDF5 converts.
  template <class T>
  std::vector<T> read(const std::string& dataset) const {
    const Handle at(H5Dopen2(file_.id, dataset.c_str(), H5P_DEFAULT), H5Dclose, *this, dataset);
    std::vector<T> out(count(extents(Handle(H5Dget_space(at.id), H5Sclose, *this, dataset), dataset)));
    const Handle type = memory_type<T>();
    if (!out.empty() && H5Dread(at.id, type.id, H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data()) < 0) fail(dataset);
    return out;
  }

  /// An attribute of a group or dataset ("/" for the file's own).
  template <class T>
  std::vector<T> attribute(const std::string& item, const std::string& name) const {
    const Handle at = open_attribute(item, name);
    std::vector<T> out(count(extents(Handle(H5Aget_space(at.id), H5Sclose, *this, name), name)));
    const Handle type = memory_type<T>();
    if (H5Aread(at.id, type.id, out.data()) < 0) fail(item + "@" + name);
    return out;
  }

  /// A text attribute, of fixed or variable length.
  std::string text_attribute(const std::string& item, const std::string& name) const {
    const Handle at = open_attribute(item, name);
    const Handle type(H5Aget_type(at.id), H5Tclose, *this, name);
    if (H5Tis_variable_str(type.id) > 0) {
      char* text = nullptr;
      if (H5Aread(at.id, type.id, &text) < 0 || !text) fail(item + "@" + name);
      std::string out(text);
      H5free_memory(text);
      return out;
    }
    std::string out(H5Tget_size(type.id), '\0');
    if (H5Aread(at.id, type.id, out.data()) < 0) fail(item + "@" + name);
    return out.substr(0, out.find('\0'));
  }

  bool has_attribute(const std::string& item, const std::string& name) const {
    return H5Aexists_by_name(file_.id, item.c_str(), name.c_str(), H5P_DEFAULT) > 0;
  }

 private:
  struct Handle {
    hid_t id = -1;
    herr_t (*close)(hid_t) = nullptr;
    Handle() = default;
    Handle(hid_t opened, herr_t (*closer)(hid_t), const GoldenFile& owner, const std::string& what)
        : id(opened), close(closer) {
      if (id < 0) owner.fail(what);
    }
    Handle(Handle&& other) noexcept : id(other.id), close(other.close) { other.id = -1; }
    Handle& operator=(Handle&& other) noexcept {
      std::swap(id, other.id);
      std::swap(close, other.close);
      return *this;
    }
    ~Handle() {
      if (id >= 0 && close) close(id);
    }
  };

  [[noreturn]] void fail(const std::string& what) const { throw std::runtime_error(path_ + ": " + what); }

  Handle open_attribute(const std::string& item, const std::string& name) const {
    return Handle(H5Aopen_by_name(file_.id, item.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose, *this,
                  item + "@" + name);
  }

  std::vector<int64_t> extents(const Handle& space, const std::string& what) const {
    const int rank = H5Sget_simple_extent_ndims(space.id);
    if (rank < 0) fail(what);
    std::vector<hsize_t> sizes(static_cast<size_t>(rank));
    if (rank > 0) H5Sget_simple_extent_dims(space.id, sizes.data(), nullptr);
    return {sizes.begin(), sizes.end()};
  }

  static size_t count(const std::vector<int64_t>& shape) {
    size_t n = 1;
    for (const int64_t extent : shape) n *= static_cast<size_t>(extent);
    return n;
  }

  template <class T>
  Handle memory_type() const {
    if constexpr (std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>) {
      using Part = typename T::value_type;
      const hid_t part = std::is_same_v<Part, float> ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE;
      Handle type(H5Tcreate(H5T_COMPOUND, sizeof(T)), H5Tclose, *this, "complex type");
      if (H5Tinsert(type.id, "r", 0, part) < 0 || H5Tinsert(type.id, "i", sizeof(Part), part) < 0) fail("complex type");
      return type;
    } else {
      hid_t native = H5T_NATIVE_INT64;
      if constexpr (std::is_same_v<T, float>) native = H5T_NATIVE_FLOAT;
      if constexpr (std::is_same_v<T, double>) native = H5T_NATIVE_DOUBLE;
      if constexpr (std::is_same_v<T, int32_t>) native = H5T_NATIVE_INT32;
      if constexpr (std::is_same_v<T, uint8_t>) native = H5T_NATIVE_UINT8;
      return Handle(H5Tcopy(native), H5Tclose, *this, "number type");
    }
  }

  std::string path_;
  Handle file_;
};

}  // namespace ptyfuse::tests

/// Skips the test, naming file and variable, when a recorded file that the project does not carry is absent.
#define SKIP_WITHOUT_GOLDEN(name)                                              \
  if (!::ptyfuse::tests::GoldenFile::exists(name))                             \
  GTEST_SKIP() << (name) << " is not in " << ::ptyfuse::tests::golden_folder() \
               << "; set PTYFUSE_GOLDEN to the folder that holds it"
