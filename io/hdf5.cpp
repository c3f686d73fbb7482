#include "io/hdf5.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "io/hdf5_links.h"
#include "io/hdf5_types.h"

namespace ptyfuse::io::h5 {

namespace {

// The HDF5 library of common distributions is built without thread safety: two threads inside it at once corrupt it,
// even on different files. It is one library per process, so it has one mutex per process, and that cannot be a member
// of anything.
std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

Handle property_list(hid_t cls) {
  return Handle(H5Pcreate(cls), H5Pclose);
}

}  // namespace

std::string library_message() {
  std::string message;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned, const H5E_error2_t* error, void* data) -> herr_t {
        auto* text = static_cast<std::string*>(data);
        if (text->empty() && error->desc) *text = error->desc;
        return 0;
      },
      &message);
  std::erase(message, '\n');  // one error is one line
  // "file write failed: time = ..., error message = 'No space left on device', buf = ..." and eight numbers more.
  constexpr std::string_view said = "error message = '";
  if (const size_t reason = message.find(said); reason != std::string::npos) {
    const size_t begin = reason + said.size(), end = message.find('\'', begin);
    message = message.substr(0, message.find_first_of(":,")) + ": " + message.substr(begin, end - begin);
  }
  return message.empty() ? "no reason given" : message;
}

Lock::Lock() : guard_(library_mutex()) {
  // Takes effect before the library starts. Our handles close all they open; objects that the library itself leaks when
  // it refuses a damaged file would make its clean-up at exit print to stderr.
  H5dont_atexit();
  H5Eget_auto2(H5E_DEFAULT, &print_, &print_data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}
Lock::~Lock() {
  H5Eset_auto2(H5E_DEFAULT, print_, print_data_);
}

Handle::~Handle() {
  close();
}

bool Handle::close() {
  if (id_ < 0) return true;
  Lock lock;
  return close_(std::exchange(id_, -1)) >= 0;
}

File File::open(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status))
    throw FileError(path, error && error != std::errc::no_such_file_or_directory ? error.message() : "no such file");
  if (std::filesystem::is_directory(status)) throw FileError(path, "is a folder; an HDF5 file was expected");
  if (std::filesystem::is_fifo(status))
    throw FileError(path,
                    "is a pipe; an HDF5 file was expected (it is read in any order, which a pipe does not allow)");
  if (std::filesystem::is_regular_file(status) && std::filesystem::file_size(path, error) == 0)
    throw FileError(path, "is empty (0 bytes); an HDF5 file was expected");
  Lock lock;
  Handle access = property_list(H5P_FILE_ACCESS);
  // Locks guard against a writer that is still at work; file systems without them are read all the same.
  H5Pset_file_locking(access.get(), true, true);
  File file;
  file.path_ = path;
  file.handle_ = Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
  if (!file.handle_.valid()) {
    const std::string reason = library_message();
    if (reason.starts_with("unable to lock file"))
      throw FileError(path,
                      "another program is writing this file (it holds a lock on it); wait for it, or copy the file");
    if (FILE* readable = std::fopen(path.c_str(), "rb")) {
      std::fclose(readable);
    } else {
      throw FileError(path, std::string("cannot be opened: ") + std::strerror(errno));
    }
    if (reason.starts_with("unable to open file: ") || reason.starts_with("file read failed: "))
      throw FileError(path, "cannot be read: " + reason);
    if (H5Fis_hdf5(path.c_str()) > 0)
      throw FileError(path, "is an HDF5 file but truncated, damaged or still being written (" + reason +
                                "); copy or make it again");
    throw FileError(path, "is not an HDF5 file");
  }
  return file;
}

File File::create(const std::string& file_path, const std::string& path) {
  Lock lock;
  File file;
  file.path_ = path;
  file.handle_ = Handle(H5Fcreate(file_path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
  if (!file.handle_.valid()) throw FileError(path, "cannot be created: " + library_message());
  return file;
}

bool File::link_exists(const std::string& name, std::string& refused) const {
  Handle access = property_list(H5P_LINK_ACCESS);
  H5Pset_elink_cb(access.get(), refuse_link, &refused);
  for (size_t end = name.find('/', 1);; end = name.find('/', end + 1)) {
    const htri_t there = H5Lexists(handle_.get(), name.substr(0, end).c_str(), access.get());
    if (const std::string reason = there < 0 ? library_message() : ""; reason.starts_with("file read failed: "))
      throw FileError(path_, name, "cannot be looked for: " + reason);  // that is not to say that it is missing
    if (there <= 0) return false;
    if (end == std::string::npos) return true;
  }
}

bool File::has(const std::string& dataset) const {
  Lock lock;
  std::string refused;
  return !dataset.empty() && (link_exists(dataset, refused) || !refused.empty());
}

std::vector<std::string> File::names(int limit) const {
  Lock lock;
  std::vector<std::string> names;
  H5G_info_t info{};
  if (H5Gget_info(handle_.get(), &info) < 0) return names;
  for (hsize_t i = 0; i < info.nlinks && static_cast<int>(names.size()) < limit; ++i) {
    char name[256] = {};
    if (H5Lget_name_by_idx(handle_.get(), ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof(name) - 1, H5P_DEFAULT) >= 0)
      names.emplace_back(name);
  }
  return names;
}

Dataset File::dataset(const std::string& name, const std::string& needed) const {
  Lock lock;
  if (!has(name)) throw FileError(path_, name, "is missing" + (needed.empty() ? "" : "; " + needed));
  Handle access = property_list(H5P_DATASET_ACCESS);
  std::string refused;
  H5Pset_elink_cb(access.get(), refuse_link, &refused);
  Handle handle(H5Oopen(handle_.get(), name.c_str(), access.get()), H5Oclose);
  const std::string reason = handle.valid() ? "" : library_message();
  if (!refused.empty()) throw FileError(path_, name, "an external link " + refused);
  if (!handle.valid()) throw FileError(path_, name, "cannot be opened (a broken link or a damaged file): " + reason);
  if (H5Iget_type(handle.get()) != H5I_DATASET) throw FileError(path_, name, "is not a dataset");

  Handle created(H5Dget_create_plist(handle.get()), H5Pclose);
  const bool chunked = H5Pget_layout(created.get()) == H5D_CHUNKED, raw = has_raw_files(created.get());
  if (chunked) {
    // A chunk may cover many rows; rows are read a few at a time, in order. With a cache that holds every chunk of one
    // band of rows each chunk is decompressed once.
    const Dataset plain(path_, name, std::move(handle));
    const int64_t rows = plain.shape_.empty() ? 1 : std::max<int64_t>(1, plain.shape_[0]);
    const double band_bytes = static_cast<double>(plain.elements_) / static_cast<double>(rows) *
                              static_cast<double>(plain.element_bytes_ * plain.chunk_rows_);
    constexpr double most_bytes = 256.0 * (1 << 20), least_bytes = 1 << 20;
    // Without filters nothing is to be kept. The cache would take a chunk to be as long as the file's index says, and
    // read behind its end where a damaged file says too little; without a cache the library reads what is asked for.
    const bool filtered = H5Pget_nfilters(created.get()) > 0;
    H5Pset_chunk_cache(access.get(), 12421,
                       filtered ? static_cast<size_t>(std::clamp(1.25 * band_bytes, least_bytes, most_bytes)) : 0, 1.0);
  }
  // Files of raw data lie in this file's folder, where else the library would look in the working one.
  if (raw) H5Pset_efile_prefix(access.get(), "${ORIGIN}");
  if (chunked || raw) {
    handle = Handle();  // two openings at once must agree
    handle = Handle(H5Dopen2(handle_.get(), name.c_str(), access.get()), H5Dclose);
    if (!handle.valid()) throw FileError(path_, name, "cannot be opened: " + library_message());
  }
  Dataset dataset(path_, name, std::move(handle));
  dataset.check_storage();
  return dataset;
}

template <class T>
Dataset File::create_dataset(const std::string& name, const std::vector<int64_t>& shape, const Storage& storage) {
  Lock lock;
  Handle links = property_list(H5P_LINK_CREATE), created = property_list(H5P_DATASET_CREATE);
  H5Pset_create_intermediate_group(links.get(), 1);
  // Times of creation would make two equal runs differ.
  H5Pset_obj_track_times(created.get(), false);
  if (!storage.chunk.empty()) {
    const std::vector<hsize_t> chunk(storage.chunk.begin(), storage.chunk.end());
    H5Pset_chunk(created.get(), static_cast<int>(chunk.size()), chunk.data());
    if (storage.gzip_level > 0) {
      H5Pset_shuffle(created.get());
      H5Pset_deflate(created.get(), static_cast<unsigned>(storage.gzip_level));
    }
  }
  const std::vector<hsize_t> extent(shape.begin(), shape.end());
  Handle space(
      shape.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr),
      H5Sclose);
  Handle type = memory_type<T>();
  Handle handle(
      H5Dcreate2(handle_.get(), name.c_str(), type.get(), space.get(), links.get(), created.get(), H5P_DEFAULT),
      H5Dclose);
  if (!handle.valid()) throw FileError(path_, name, "cannot be created: " + library_message());
  return Dataset(path_, name, std::move(handle));
}

template <class T>
Dataset File::write(const std::string& name, const std::vector<int64_t>& shape, std::span<const T> data,
                    const Storage& storage) {
  Lock lock;
  Dataset dataset = create_dataset<T>(name, shape, storage);
  if (static_cast<int64_t>(data.size()) != dataset.elements())
    throw FileError(path_, name, std::to_string(data.size()) + " values do not fill the shape " + dataset.shape_text());
  dataset.write_rows(0, shape.empty() ? 1 : shape[0], data);
  dataset.flush();
  return dataset;
}

Dataset File::write_text(const std::string& name, const std::string& value) {
  Lock lock;
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose), space(H5Screate(H5S_SCALAR), H5Sclose);
  H5Tset_size(type.get(), value.size() + 1);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  Handle created = property_list(H5P_DATASET_CREATE);
  H5Pset_obj_track_times(created.get(), false);
  Handle handle(
      H5Dcreate2(handle_.get(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, created.get(), H5P_DEFAULT),
      H5Dclose);
  if (!handle.valid() || H5Dwrite(handle.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, value.c_str()) < 0)
    throw FileError(path_, name, "cannot be written: " + library_message());
  Dataset dataset(path_, name, std::move(handle));
  dataset.flush();
  return dataset;
}

void File::close() {
  Lock lock;
  bool written = H5Fflush(handle_.get(), H5F_SCOPE_GLOBAL) >= 0;
  std::string reason = written ? "" : library_message();
  if (!handle_.close() && written) {
    written = false;
    reason = library_message();
  }
  if (!written) throw FileError(path_, "cannot be written: " + reason);
}

#define PTYFUSE_INSTANTIATE(T)                                                                               \
  template Dataset File::create_dataset<T>(const std::string&, const std::vector<int64_t>&, const Storage&); \
  template Dataset File::write<T>(const std::string&, const std::vector<int64_t>&, std::span<const T>, const Storage&);
PTYFUSE_FOR_EACH_ELEMENT(PTYFUSE_INSTANTIATE)
#undef PTYFUSE_INSTANTIATE

}  // namespace ptyfuse::io::h5
