#include "io/hdf5.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <type_traits>

namespace ptyfuse::io::h5 {

namespace {

// The HDF5 library of common distributions is built without thread safety: two threads inside it at once corrupt it,
// even on different files. It is one library per process, so it has one mutex per process, and that cannot be a member
// of anything.
std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

/// The innermost message of the library's error stack.
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
  return message.empty() ? "no reason given" : message;
}

Handle property_list(hid_t cls) {
  return Handle(H5Pcreate(cls), H5Pclose);
}

template <class T>
struct IsComplex : std::false_type {};
template <class T>
struct IsComplex<std::complex<T>> : std::true_type {};

template <class T>
hid_t native_number() {
  if constexpr (std::is_same_v<T, uint8_t>) return H5T_NATIVE_UINT8;
  if constexpr (std::is_same_v<T, int8_t>) return H5T_NATIVE_INT8;
  if constexpr (std::is_same_v<T, uint16_t>) return H5T_NATIVE_UINT16;
  if constexpr (std::is_same_v<T, int16_t>) return H5T_NATIVE_INT16;
  if constexpr (std::is_same_v<T, uint32_t>) return H5T_NATIVE_UINT32;
  if constexpr (std::is_same_v<T, int32_t>) return H5T_NATIVE_INT32;
  if constexpr (std::is_same_v<T, uint64_t>) return H5T_NATIVE_UINT64;
  if constexpr (std::is_same_v<T, int64_t>) return H5T_NATIVE_INT64;
  if constexpr (std::is_same_v<T, float>) return H5T_NATIVE_FLOAT;
  if constexpr (std::is_same_v<T, double>) return H5T_NATIVE_DOUBLE;
}

/// A compound of two reals of type T under the given member names.
template <class T>
Handle compound(const std::string& real, const std::string& imaginary) {
  Handle type(H5Tcreate(H5T_COMPOUND, sizeof(std::complex<T>)), H5Tclose);
  H5Tinsert(type.get(), real.c_str(), 0, native_number<T>());
  H5Tinsert(type.get(), imaginary.c_str(), sizeof(T), native_number<T>());
  return type;
}

/// Type in memory for T, and in files that this program writes.
template <class T>
Handle memory_type() {
  if constexpr (IsComplex<T>::value) {
    return compound<typename T::value_type>("r", "i");
  } else {
    return Handle(H5Tcopy(native_number<T>()), H5Tclose);
  }
}

/// Names of a complex compound's two members; empty where the type is none.
std::pair<std::string, std::string> complex_members(hid_t type) {
  if (H5Tget_class(type) != H5T_COMPOUND || H5Tget_nmembers(type) != 2) return {};
  std::string name[2];
  for (unsigned m = 0; m < 2; ++m) {
    if (H5Tget_member_class(type, m) != H5T_FLOAT && H5Tget_member_class(type, m) != H5T_INTEGER) return {};
    if (char* text = H5Tget_member_name(type, m)) {
      name[m] = text;
      H5free_memory(text);
    }
  }
  for (const auto& [real, imaginary] :
       {std::pair("r", "i"), std::pair("re", "im"), std::pair("real", "imag"), std::pair("Re", "Im")})
    if (name[0] == real && name[1] == imaginary) return {name[0], name[1]};
  return {};
}

/// True for a file name that stays in the folder or below it.
bool stays_inside(const std::string& file) {
  const std::filesystem::path target(file);
  if (target.is_absolute()) return false;
  return std::none_of(target.begin(), target.end(), [](const auto& part) { return part == ".."; });
}

/// Called by the library before it follows an external link; -1 refuses and leaves the target's name in `data`.
herr_t refuse_climbing_link(const char*, const char*, const char* child_file, const char*, unsigned*, hid_t,
                            void* data) {
  if (stays_inside(child_file)) return 0;
  *static_cast<std::string*>(data) = child_file;
  return -1;
}

std::string no_outside(const std::string& file) {
  return "leads to the file '" + file +
         "' outside this file's folder, which is refused; copy the data into the file or put the other file beside it";
}

}  // namespace

Lock::Lock() : guard_(library_mutex()) {
  H5Eget_auto2(H5E_DEFAULT, &print_, &print_data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}
Lock::~Lock() {
  H5Eset_auto2(H5E_DEFAULT, print_, print_data_);
}

Handle::~Handle() {
  if (id_ < 0) return;
  Lock lock;
  close_(id_);
}

// ---- attributes ----

void Node::fail(const std::string& what) const {
  if (name_.empty()) throw FileError(path_, what);
  throw FileError(path_, name_, what);
}

std::optional<std::string> Node::text(const std::string& attribute) const {
  Lock lock;
  if (H5Aexists(handle_.get(), attribute.c_str()) <= 0) return std::nullopt;
  Handle a(H5Aopen(handle_.get(), attribute.c_str(), H5P_DEFAULT), H5Aclose);
  if (!a.valid()) fail("attribute '" + attribute + "' cannot be read: " + library_message());
  Handle type(H5Aget_type(a.get()), H5Tclose), space(H5Aget_space(a.get()), H5Sclose);
  if (H5Tget_class(type.get()) != H5T_STRING || H5Sget_simple_extent_npoints(space.get()) != 1)
    fail("attribute '" + attribute + "' is not a text");
  std::string value;
  if (H5Tis_variable_str(type.get()) > 0) {
    Handle memory(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(memory.get(), H5T_VARIABLE);
    H5Tset_cset(memory.get(), H5Tget_cset(type.get()));
    char* text = nullptr;
    if (H5Aread(a.get(), memory.get(), &text) < 0)
      fail("attribute '" + attribute + "' cannot be read: " + library_message());
    if (text) {
      value = text;
      H5free_memory(text);
    }
  } else {
    std::vector<char> bytes(H5Tget_size(type.get()) + 1, '\0');
    if (H5Aread(a.get(), type.get(), bytes.data()) < 0)
      fail("attribute '" + attribute + "' cannot be read: " + library_message());
    value = bytes.data();
    if (H5Tget_strpad(type.get()) == H5T_STR_SPACEPAD) value.erase(value.find_last_not_of(' ') + 1);
  }
  return value;
}

std::vector<double> Node::numbers(const std::string& attribute) const {
  Lock lock;
  if (H5Aexists(handle_.get(), attribute.c_str()) <= 0) return {};
  Handle a(H5Aopen(handle_.get(), attribute.c_str(), H5P_DEFAULT), H5Aclose);
  if (!a.valid()) fail("attribute '" + attribute + "' cannot be read: " + library_message());
  Handle type(H5Aget_type(a.get()), H5Tclose), space(H5Aget_space(a.get()), H5Sclose);
  const H5T_class_t cls = H5Tget_class(type.get());
  if (cls != H5T_INTEGER && cls != H5T_FLOAT) fail("attribute '" + attribute + "' is not a number");
  std::vector<double> values(static_cast<size_t>(std::max<hssize_t>(0, H5Sget_simple_extent_npoints(space.get()))));
  if (!values.empty() && H5Aread(a.get(), H5T_NATIVE_DOUBLE, values.data()) < 0)
    fail("attribute '" + attribute + "' cannot be read: " + library_message());
  return values;
}

std::optional<double> Node::number(const std::string& attribute) const {
  const std::vector<double> values = numbers(attribute);
  if (values.empty()) return std::nullopt;
  if (values.size() != 1) fail("attribute '" + attribute + "' holds several numbers, one was expected");
  return values[0];
}

void Node::set_text(const std::string& attribute, const std::string& value) {
  Lock lock;
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose), space(H5Screate(H5S_SCALAR), H5Sclose);
  H5Tset_size(type.get(), H5T_VARIABLE);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  Handle a(H5Acreate2(handle_.get(), attribute.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  const char* text = value.c_str();
  if (!a.valid() || H5Awrite(a.get(), type.get(), &text) < 0)
    fail("attribute '" + attribute + "' cannot be written: " + library_message());
}

void Node::set_number(const std::string& attribute, double value) {
  Lock lock;
  Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  Handle a(H5Acreate2(handle_.get(), attribute.c_str(), H5T_IEEE_F64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT),
           H5Aclose);
  if (!a.valid() || H5Awrite(a.get(), H5T_NATIVE_DOUBLE, &value) < 0)
    fail("attribute '" + attribute + "' cannot be written: " + library_message());
}

void Node::set_integers(const std::string& attribute, std::span<const int64_t> values) {
  Lock lock;
  const hsize_t n = values.size();
  Handle space(n == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &n, nullptr), H5Sclose);
  Handle a(H5Acreate2(handle_.get(), attribute.c_str(), H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT),
           H5Aclose);
  if (!a.valid() || H5Awrite(a.get(), H5T_NATIVE_INT64, values.data()) < 0)
    fail("attribute '" + attribute + "' cannot be written: " + library_message());
}

void Node::set_integer(const std::string& attribute, int64_t value) {
  set_integers(attribute, std::span(&value, 1));
}

// ---- datasets ----

Dataset::Dataset(const std::string& path, const std::string& name, Handle handle)
    : Node(path, name, std::move(handle)) {
  Handle space(H5Dget_space(handle_.get()), H5Sclose), type(H5Dget_type(handle_.get()), H5Tclose);
  const int rank = space.valid() ? H5Sget_simple_extent_ndims(space.get()) : -1;
  if (rank < 0 || !type.valid()) fail("its header cannot be read: " + library_message());
  if (H5Sget_simple_extent_type(space.get()) == H5S_NULL) fail("is empty (a null dataspace)");
  std::vector<hsize_t> extent(static_cast<size_t>(rank));
  H5Sget_simple_extent_dims(space.get(), extent.data(), nullptr);
  for (hsize_t e : extent) {
    int64_t product = 0;
    if (e > static_cast<hsize_t>(std::numeric_limits<int64_t>::max()) ||
        __builtin_mul_overflow(elements_, static_cast<int64_t>(e), &product))
      fail("its header claims more elements than can exist; the file is damaged");
    elements_ = product;
    shape_.push_back(static_cast<int64_t>(e));
  }
  element_bytes_ = static_cast<int64_t>(H5Tget_size(type.get()));
  const std::string bits = std::to_string(8 * element_bytes_);
  switch (H5Tget_class(type.get())) {
    case H5T_INTEGER:
      kind_ = Kind::integer;
      signed_ = H5Tget_sign(type.get()) != H5T_SGN_NONE;
      type_name_ = (signed_ ? "int" : "uint") + bits;
      break;
    case H5T_FLOAT:
      kind_ = Kind::real;
      type_name_ = "float" + bits;
      break;
    case H5T_STRING:
      kind_ = Kind::text;
      type_name_ = "text";
      break;
    case H5T_COMPOUND:
      kind_ = complex_members(type.get()).first.empty() ? Kind::other : Kind::complex;
      type_name_ = kind_ == Kind::complex ? "complex" + bits : "a compound";
      break;
    case H5T_ENUM: {  // h5py's bool
      kind_ = Kind::integer;
      type_name_ = "bool";
      break;
    }
    default:
      type_name_ = "a type without numbers";
  }
  Handle created(H5Dget_create_plist(handle_.get()), H5Pclose);
  if (H5Pget_layout(created.get()) == H5D_CHUNKED && rank > 0) {
    std::vector<hsize_t> chunk(static_cast<size_t>(rank));
    H5Pget_chunk(created.get(), rank, chunk.data());
    chunk_rows_ = static_cast<int64_t>(chunk[0]);
  }
}

void Dataset::check_storage() const {
  Handle created(H5Dget_create_plist(handle_.get()), H5Pclose);
  const H5D_layout_t layout = H5Pget_layout(created.get());
  std::vector<std::string> files;
  if (layout == H5D_VIRTUAL) {
    size_t sources = 0;
    H5Pget_virtual_count(created.get(), &sources);
    for (size_t i = 0; i < sources; ++i) {
      std::string file(static_cast<size_t>(std::max<ssize_t>(0, H5Pget_virtual_filename(created.get(), i, nullptr, 0))),
                       '\0');
      H5Pget_virtual_filename(created.get(), i, file.data(), file.size() + 1);
      files.push_back(file);
    }
  }
  const int external = layout == H5D_CONTIGUOUS ? H5Pget_external_count(created.get()) : 0;
  for (int i = 0; i < external; ++i) {
    char file[4096] = {};
    H5Pget_external(created.get(), static_cast<unsigned>(i), sizeof(file) - 1, file, nullptr, nullptr);
    files.push_back(file);
  }
  for (const std::string& file : files)
    if (!stays_inside(file)) fail(no_outside(file));
  if (!files.empty() || elements_ == 0) return;

  // Deflate, the densest of the usual filters, shrinks at most 1032-fold: a header that claims more was made up.
  constexpr int64_t densest = 1100, free_bytes = 1 << 20;
  int64_t claimed = 0;
  if (__builtin_mul_overflow(elements_, element_bytes_, &claimed))
    fail("its header claims more bytes than can exist; the file is damaged");
  const auto stored = static_cast<int64_t>(H5Dget_storage_size(handle_.get()));
  Handle file(H5Iget_file_id(handle_.get()), H5Fclose);
  hsize_t file_bytes = 0;
  H5Fget_filesize(file.get(), &file_bytes);
  if (stored > static_cast<int64_t>(file_bytes))
    fail("its header claims " + std::to_string(stored) + " stored bytes, the file has " + std::to_string(file_bytes) +
         "; the file is truncated or damaged");
  if (stored == 0)
    fail(shape_text() + " is declared but no data was ever written; the program that made it did not finish");
  if (claimed > free_bytes && claimed / densest > stored)
    fail("its header claims " + std::to_string(claimed) + " bytes but the file stores only " + std::to_string(stored) +
         " for it; the file is incomplete or damaged");
}

std::string Dataset::shape_text() const {
  std::string text = "[";
  for (size_t a = 0; a < shape_.size(); ++a) text += (a ? ", " : "") + std::to_string(shape_[a]);
  return text + "]";
}

namespace {

/// The type to read `dataset` with into T; invalid where the stored type does not convert.
template <class T>
Handle conversion_type(hid_t dataset, Kind kind) {
  if constexpr (IsComplex<T>::value) {
    if (kind != Kind::complex) return Handle();
    Handle type(H5Dget_type(dataset), H5Tclose);
    const auto [real, imaginary] = complex_members(type.get());
    return compound<typename T::value_type>(real, imaginary);
  } else {
    if (kind != Kind::integer && kind != Kind::real) return Handle();
    return memory_type<T>();
  }
}

}  // namespace

template <class T>
void Dataset::read_rows(int64_t first, int64_t count, std::span<T> out) const {
  Lock lock;
  if (rank() < 1 || first < 0 || count < 0 || first + count > shape_[0]) fail("rows outside " + shape_text());
  const int64_t row = shape_[0] > 0 ? elements_ / shape_[0] : 0;
  if (static_cast<int64_t>(out.size()) != row * count)
    fail(std::to_string(row * count) + " elements into room for " + std::to_string(out.size()));
  if (out.empty()) return;
  if constexpr (IsComplex<T>::value) {
    if (kind_ == Kind::real || kind_ == Kind::integer) {
      std::vector<typename T::value_type> real(out.size());
      read_rows(first, count, std::span<typename T::value_type>(real));
      std::copy(real.begin(), real.end(), out.begin());
      return;
    }
  }
  Handle memory = conversion_type<T>(handle_.get(), kind_);
  if (!memory.valid())
    fail("holds " + type_name_ + ", " + (IsComplex<T>::value ? "complex or real" : "real") + " numbers were expected");
  std::vector<hsize_t> start(shape_.size(), 0), extent(shape_.begin(), shape_.end());
  start[0] = static_cast<hsize_t>(first);
  extent[0] = static_cast<hsize_t>(count);
  Handle file_space(H5Dget_space(handle_.get()), H5Sclose);
  Handle memory_space(H5Screate_simple(rank(), extent.data(), nullptr), H5Sclose);
  H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr);
  if (H5Dread(handle_.get(), memory.get(), memory_space.get(), file_space.get(), H5P_DEFAULT, out.data()) < 0)
    fail("cannot be read (rows " + std::to_string(first) + " to " + std::to_string(first + count - 1) +
         "); the file is truncated or damaged, or was changed while in use: " + library_message());
}

template <class T>
void Dataset::read(std::span<T> out) const {
  Lock lock;
  if (rank() > 0) {
    read_rows(0, shape_[0], out);
    return;
  }
  Handle memory = conversion_type<T>(handle_.get(), kind_);
  if (!memory.valid() || out.size() != 1 ||
      H5Dread(handle_.get(), memory.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data()) < 0)
    fail("cannot be read as one number");
}

template <class T>
void Dataset::write_rows(int64_t first, int64_t count, std::span<const T> in) {
  Lock lock;
  Handle memory = memory_type<T>();
  if (rank() == 0 || in.empty()) {
    if (!in.empty() && H5Dwrite(handle_.get(), memory.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, in.data()) < 0)
      fail("cannot be written: " + library_message());
    return;
  }
  std::vector<hsize_t> start(shape_.size(), 0), extent(shape_.begin(), shape_.end());
  start[0] = static_cast<hsize_t>(first);
  extent[0] = static_cast<hsize_t>(count);
  Handle file_space(H5Dget_space(handle_.get()), H5Sclose);
  Handle memory_space(H5Screate_simple(rank(), extent.data(), nullptr), H5Sclose);
  if (H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr) < 0 ||
      H5Dwrite(handle_.get(), memory.get(), memory_space.get(), file_space.get(), H5P_DEFAULT, in.data()) < 0)
    fail("cannot be written: " + library_message());
}

std::string Dataset::read_text() const {
  Lock lock;
  Handle type(H5Dget_type(handle_.get()), H5Tclose);
  if (kind_ != Kind::text || elements_ != 1 || H5Tis_variable_str(type.get()) > 0)
    fail("is not a text of fixed length");
  std::string value(H5Tget_size(type.get()), '\0');
  if (H5Dread(handle_.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, value.data()) < 0)
    fail("cannot be read: " + library_message());
  return value.substr(0, value.find('\0'));
}

// ---- files ----

File File::open(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status))
    throw FileError(path, error && error != std::errc::no_such_file_or_directory ? error.message() : "no such file");
  if (std::filesystem::is_directory(status)) throw FileError(path, "is a folder; an HDF5 file was expected");
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
    if (FILE* readable = std::fopen(path.c_str(), "rb")) {
      std::fclose(readable);
    } else {
      throw FileError(path, std::string("cannot be opened: ") + std::strerror(errno));
    }
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

bool File::link_exists(const std::string& name, std::string& outside) const {
  Handle access = property_list(H5P_LINK_ACCESS);
  H5Pset_elink_cb(access.get(), refuse_climbing_link, &outside);
  for (size_t end = name.find('/', 1);; end = name.find('/', end + 1)) {
    if (H5Lexists(handle_.get(), name.substr(0, end).c_str(), access.get()) <= 0) return false;
    if (end == std::string::npos) return true;
  }
}

bool File::has(const std::string& dataset) const {
  Lock lock;
  std::string outside;
  return !dataset.empty() && (link_exists(dataset, outside) || !outside.empty());
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
  std::string outside;
  H5Pset_elink_cb(access.get(), refuse_climbing_link, &outside);
  Handle handle(H5Oopen(handle_.get(), name.c_str(), access.get()), H5Oclose);
  const std::string reason = handle.valid() ? "" : library_message();
  if (!outside.empty()) throw FileError(path_, name, "an external link " + no_outside(outside));
  if (!handle.valid()) throw FileError(path_, name, "cannot be opened (a broken link or a damaged file): " + reason);
  if (H5Iget_type(handle.get()) != H5I_DATASET) throw FileError(path_, name, "is not a dataset");

  // A chunk may cover many rows; rows are read a few at a time, in order. With a cache that holds every chunk of one
  // band of rows each chunk is decompressed once.
  Handle created(H5Dget_create_plist(handle.get()), H5Pclose);
  if (H5Pget_layout(created.get()) == H5D_CHUNKED) {
    const Dataset plain(path_, name, std::move(handle));
    const int64_t rows = plain.shape_.empty() ? 1 : std::max<int64_t>(1, plain.shape_[0]);
    const double band_bytes = static_cast<double>(plain.elements_) / static_cast<double>(rows) *
                              static_cast<double>(plain.element_bytes_ * plain.chunk_rows_);
    constexpr double most_bytes = 256.0 * (1 << 20), least_bytes = 1 << 20;
    H5Pset_chunk_cache(access.get(), 12421, static_cast<size_t>(std::clamp(1.25 * band_bytes, least_bytes, most_bytes)),
                       1.0);
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
  return dataset;
}

void File::write_text(const std::string& name, const std::string& value) {
  Lock lock;
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose), space(H5Screate(H5S_SCALAR), H5Sclose);
  H5Tset_size(type.get(), value.size() + 1);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  Handle created = property_list(H5P_DATASET_CREATE);
  H5Pset_obj_track_times(created.get(), false);
  Handle dataset(
      H5Dcreate2(handle_.get(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, created.get(), H5P_DEFAULT),
      H5Dclose);
  if (!dataset.valid() || H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, value.c_str()) < 0)
    throw FileError(path_, name, "cannot be written: " + library_message());
}

void File::close() {
  Lock lock;
  const bool flushed = H5Fflush(handle_.get(), H5F_SCOPE_GLOBAL) >= 0;
  const std::string reason = flushed ? "" : library_message();
  handle_ = Handle();
  if (!flushed) throw FileError(path_, "cannot be written (is the disk full?): " + reason);
}

#define PTYFUSE_INSTANTIATE(T)                                                                               \
  template void Dataset::read<T>(std::span<T>) const;                                                        \
  template void Dataset::read_rows<T>(int64_t, int64_t, std::span<T>) const;                                 \
  template void Dataset::write_rows<T>(int64_t, int64_t, std::span<const T>);                                \
  template Dataset File::create_dataset<T>(const std::string&, const std::vector<int64_t>&, const Storage&); \
  template Dataset File::write<T>(const std::string&, const std::vector<int64_t>&, std::span<const T>, const Storage&);
PTYFUSE_INSTANTIATE(uint8_t)
PTYFUSE_INSTANTIATE(int8_t)
PTYFUSE_INSTANTIATE(uint16_t)
PTYFUSE_INSTANTIATE(int16_t)
PTYFUSE_INSTANTIATE(uint32_t)
PTYFUSE_INSTANTIATE(int32_t)
PTYFUSE_INSTANTIATE(uint64_t)
PTYFUSE_INSTANTIATE(int64_t)
PTYFUSE_INSTANTIATE(float)
PTYFUSE_INSTANTIATE(double)
PTYFUSE_INSTANTIATE(std::complex<float>)
#undef PTYFUSE_INSTANTIATE

}  // namespace ptyfuse::io::h5
