#pragma once
#include <hdf5.h>

#include <cstdint>
#include <string>

namespace ptyfuse::io::h5 {

/// Why `target`, a file that `from` names (in an external link, as a virtual dataset's source or as raw storage), is
/// not opened; "" where it may be. It must be there, in the folder of `from` or below it, with every symbolic link
/// resolved; HDF5's own search goes on to the working folder and to folders that environment variables name, so that
/// those must not be set.
std::string refusal_of(const std::string& from, const std::string& target);

/// What H5Pset_elink_cb() takes: refuses links by refusal_of() and leaves the reason in `reason`, a std::string.
herr_t refuse_link(const char* parent_file, const char* parent_group, const char* child_file, const char* child_object,
                   unsigned* flags, hid_t access, void* reason);

/// Whether a dataset of these creation properties has its elements in files of raw data, which are not HDF5.
bool has_raw_files(hid_t created);

/// For a dataset just opened from the file `path`: why its virtual sources or raw storage are not read, "" where they
/// may be. Sources are opened and checked in turn, links in them and virtual datasets of them too, and virtual sources
/// of virtual sources up to a number. stored_bytes: that all files hold of it, each source once. Callers hold a Lock.
std::string refusal_of_storage(const std::string& path, hid_t dataset, uint64_t& stored_bytes);

}  // namespace ptyfuse::io::h5
