#include "io/hdf5_links.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <utility>

#include "io/hdf5.h"
#include "io/hdf5_types.h"

namespace ptyfuse::io::h5 {

namespace fs = std::filesystem;

namespace {

// A virtual dataset of virtual datasets: nobody stacks more, and one that leads back to itself never ends. The library
// opens each source as often as it is named, so that a few datasets of a few sources each, stacked, are millions.
constexpr int deepest = 8, most_nested = 10000;

/// Whether `file`, resolved, lies in `folder`, resolved, or below it.
bool lies_in(const fs::path& file, const fs::path& folder) {
  const auto [end, unused] = std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
  return end == folder.end();
}

std::string name_of_file(hid_t file) {
  std::string name(static_cast<size_t>(std::max<ssize_t>(0, H5Fget_name(file, nullptr, 0))), '\0');
  H5Fget_name(file, name.data(), name.size() + 1);
  return name;
}

/// From a dataset to all that its elements come from.
class StorageWalk {
 public:
  /// Why a dataset that `path`, or a file linked to, holds is not read; "" where it may be.
  std::string refusal(const std::string& path, hid_t dataset, int depth);
  uint64_t stored_bytes() const { return stored_bytes_; }

 private:
  std::string of_virtual(const std::string& path, hid_t dataset, hid_t created, int depth);
  std::string of_source(const std::string& path, hid_t own_file, const std::string& source, const std::string& dataset,
                        int depth);
  std::string of_raw(const std::string& path, hid_t dataset, hid_t created);
  void add(uint64_t bytes) {
    if (__builtin_add_overflow(stored_bytes_, bytes, &stored_bytes_)) stored_bytes_ = UINT64_MAX;
  }

  int nested_ = 0;
  uint64_t stored_bytes_ = 0;
  std::set<std::pair<std::string, haddr_t>> counted_;
};

/// Of one source of a virtual dataset.
std::string StorageWalk::of_source(const std::string& path, hid_t own_file, const std::string& source,
                                   const std::string& dataset, int depth) {
  const bool itself = source == ".";
  if (!itself)
    if (std::string why = refusal_of(path, source); !why.empty()) return why;
  const std::string file_path = itself ? path : (fs::path(path).parent_path() / source).string();
  Handle file;
  if (!itself) {
    file = Handle(H5Fopen(file_path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    if (!file.valid()) return "leads to the file '" + source + "', which cannot be opened: " + library_message();
  }
  const Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
  std::string reason;
  H5Pset_elink_cb(access.get(), refuse_link, &reason);
  const Handle data(H5Dopen2(itself ? own_file : file.get(), dataset.c_str(), access.get()), H5Dclose);
  if (!reason.empty()) return reason;
  if (!data.valid())
    return "leads to '" + dataset + "' in the file '" + source + "', which is missing there or cannot be opened";
  return refusal(file_path, data.get(), depth + 1);
}

std::string StorageWalk::of_virtual(const std::string& path, hid_t dataset, hid_t created, int depth) {
  if (depth > deepest)
    return "is a virtual dataset of virtual datasets, " + std::to_string(deepest) +
           " deep and more; it leads back to "
           "itself, or should be copied into one file";
  const Handle own_file(H5Iget_file_id(dataset), H5Fclose);
  size_t count = 0;
  H5Pget_virtual_count(created, &count);
  const auto name_of = [&](auto ask, size_t i) {
    std::string name(static_cast<size_t>(std::max<ssize_t>(0, ask(created, i, nullptr, 0))), '\0');
    ask(created, i, name.data(), name.size() + 1);
    return name;
  };
  std::set<std::pair<std::string, std::string>> sources;
  for (size_t i = 0; i < count; ++i)
    sources.emplace(name_of(H5Pget_virtual_filename, i), name_of(H5Pget_virtual_dsetname, i));
  for (const auto& [source, name] : sources) {
    if (source.find('%') != std::string::npos || name.find('%') != std::string::npos)
      return "is a virtual dataset whose sources are named by a pattern ('" + source + "', '" + name +
             "'), which is refused; name each file, or copy the data into one";
    if (depth > 0 && ++nested_ > most_nested)
      return "is a virtual dataset of virtual datasets with more than " + std::to_string(most_nested) +
             " sources in all, which is refused; copy the data into one file";
    if (std::string why = of_source(path, own_file.get(), source, name, depth); !why.empty()) return why;
  }
  return "";
}

/// Raw data in files that are not HDF5.
std::string StorageWalk::of_raw(const std::string& path, hid_t dataset, hid_t created) {
  const int count = H5Pget_external_count(created);
  uint64_t held = 0;
  for (int i = 0; i < count; ++i) {
    char name[4096] = {};
    off_t offset = 0;
    hsize_t bytes = 0;
    H5Pget_external(created, static_cast<unsigned>(i), sizeof(name) - 1, name, &offset, &bytes);
    if (std::string why = refusal_of(path, name); !why.empty()) return why;
    std::error_code error;
    const uintmax_t there = fs::file_size(fs::path(path).parent_path() / name, error);
    const uintmax_t behind = error || offset < 0 || static_cast<uintmax_t>(offset) > there ? 0 : there - offset;
    if (bytes != H5F_UNLIMITED && bytes > behind)
      return "takes " + std::to_string(bytes) + " bytes from " + std::to_string(offset) + " on of the file '" + name +
             "', which has " + std::to_string(there) + "; it is truncated";
    if (__builtin_add_overflow(held, std::min<uint64_t>(bytes, behind), &held)) held = UINT64_MAX;
  }
  const Handle space(H5Dget_space(dataset), H5Sclose), type(H5Dget_type(dataset), H5Tclose);
  uint64_t wanted = 0;
  if (__builtin_mul_overflow(static_cast<uint64_t>(std::max<hssize_t>(0, H5Sget_simple_extent_npoints(space.get()))),
                             static_cast<uint64_t>(H5Tget_size(type.get())), &wanted) ||
      held < wanted)
    return "takes its elements from files of raw data, which hold " + std::to_string(held) +
           " bytes of them, fewer than its header claims; they are truncated";
  add(held);
  return "";
}

std::string StorageWalk::refusal(const std::string& path, hid_t dataset, int depth) {
  const Handle created(H5Dget_create_plist(dataset), H5Pclose);
  const H5D_layout_t layout = H5Pget_layout(created.get());
  // The file that holds the dataset: a link may have led from `path` to another.
  const Handle file(H5Iget_file_id(dataset), H5Fclose);
  const std::string holder = name_of_file(file.get());
  const std::string& where = holder.empty() ? path : holder;
  if (layout == H5D_VIRTUAL) return of_virtual(where, dataset, created.get(), depth);
  const bool raw = has_raw_files(created.get());
  if (raw && depth > 0)
    return "is a virtual dataset that leads to raw data outside of HDF5 files, which the library would look for in the "
           "working folder and which is refused; copy the data into the file";
  if (depth == 0 && !raw) return "";
  H5O_info_t info{};
  std::error_code error;
  const bool known = H5Oget_info2(dataset, &info, H5O_INFO_BASIC) >= 0;
  if (known && !counted_.emplace(fs::weakly_canonical(where, error).string(), info.addr).second) return "";
  if (raw) return of_raw(where, dataset, created.get());
  hsize_t file_bytes = 0;
  H5Fget_filesize(file.get(), &file_bytes);
  add(std::min<uint64_t>(H5Dget_storage_size(dataset), file_bytes));
  return "";
}

}  // namespace

std::string refusal_of(const std::string& from, const std::string& target) {
  const fs::path named(target);
  const bool climbs = std::any_of(named.begin(), named.end(), [](const auto& part) { return part == ".."; });
  const std::string outside = "leads to the file '" + target +
                              "' outside this file's folder, which is refused; copy the data into the file or put the "
                              "other file beside it";
  if (named.empty() || named.is_absolute() || climbs) return outside;
  for (const char* variable : {"HDF5_EXT_PREFIX", "HDF5_VDS_PREFIX", "HDF5_EXTFILE_PREFIX"})
    if (const char* value = std::getenv(variable); value != nullptr && *value != '\0')
      return "leads to the file '" + target + "', and the environment variable " + variable +
             " sends such files elsewhere, which is refused; unset it";
  std::error_code error;
  const fs::path folder = fs::path(from).has_parent_path() ? fs::path(from).parent_path() : fs::path(".");
  const fs::path found = fs::canonical(folder / named, error);
  if (error)
    return "leads to the file '" + target + "', which cannot be opened in this file's folder (" + error.message() +
           "); put it there";
  // A file that is itself a symbolic link has two folders: where it was found, and where it is.
  return lies_in(found, fs::canonical(folder, error)) || lies_in(found, fs::canonical(from, error).parent_path())
             ? ""
             : outside;
}

herr_t refuse_link(const char* parent_file, const char*, const char* child_file, const char*, unsigned*, hid_t,
                   void* reason) {
  std::string why = refusal_of(parent_file, child_file);
  if (why.empty()) {
    // The library goes on to the working folder where what lies here is no HDF5 file.
    const std::string found = (fs::path(parent_file).parent_path() / child_file).string();
    const Handle file(H5Fopen(found.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    if (file.valid()) return 0;
    why = std::string("leads to the file '") + child_file + "', which cannot be opened: " + library_message();
  }
  *static_cast<std::string*>(reason) = std::move(why);
  return -1;
}

bool has_raw_files(hid_t created) {
  return H5Pget_layout(created) == H5D_CONTIGUOUS && H5Pget_external_count(created) > 0;
}

std::string refusal_of_storage(const std::string& path, hid_t dataset, uint64_t& stored_bytes) {
  StorageWalk walk;
  std::string why = walk.refusal(path, dataset, 0);
  stored_bytes = walk.stored_bytes();
  return why;
}

}  // namespace ptyfuse::io::h5
