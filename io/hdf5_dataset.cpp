// Attributes and datasets.
#include <sys/stat.h>

#include <algorithm>
#include <limits>

#include "io/hdf5.h"
#include "io/hdf5_links.h"
#include "io/hdf5_types.h"

namespace ptyfuse::io::h5 {

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

bool bits_fit(hid_t type) {
  const size_t bytes = H5Tget_size(type), bits = 8 * bytes;
  constexpr size_t most_bytes = 64;
  switch (H5Tget_class(type)) {
    case H5T_FLOAT: {
      size_t sign = 0, exponent = 0, exponent_bits = 0, mantissa = 0, mantissa_bits = 0;
      if (H5Tget_fields(type, &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits) < 0) return false;
      if (bytes > most_bytes || sign >= bits || exponent > bits || exponent_bits > bits - exponent || mantissa > bits ||
          mantissa_bits > bits - mantissa)
        return false;
      [[fallthrough]];
    }
    case H5T_INTEGER: {
      const int offset = H5Tget_offset(type);
      const size_t precision = H5Tget_precision(type);
      return bytes > 0 && bytes <= most_bytes && offset >= 0 && precision > 0 && precision <= bits &&
             static_cast<size_t>(offset) <= bits - precision;
    }
    case H5T_ENUM:
      return bits_fit(Handle(H5Tget_super(type), H5Tclose).get());
    case H5T_COMPOUND: {
      const int members = H5Tget_nmembers(type);
      for (int m = 0; m < members; ++m) {
        const Handle member(H5Tget_member_type(type, static_cast<unsigned>(m)), H5Tclose);
        const size_t at = H5Tget_member_offset(type, static_cast<unsigned>(m)), size = H5Tget_size(member.get());
        if (at > bytes || size > bytes - at || !bits_fit(member.get())) return false;
      }
      return true;
    }
    default:
      return true;
  }
}

std::vector<double> Node::numbers(const std::string& attribute) const {
  Lock lock;
  if (H5Aexists(handle_.get(), attribute.c_str()) <= 0) return {};
  Handle a(H5Aopen(handle_.get(), attribute.c_str(), H5P_DEFAULT), H5Aclose);
  if (!a.valid()) fail("attribute '" + attribute + "' cannot be read: " + library_message());
  Handle type(H5Aget_type(a.get()), H5Tclose), space(H5Aget_space(a.get()), H5Sclose);
  const H5T_class_t cls = H5Tget_class(type.get());
  if (cls != H5T_INTEGER && cls != H5T_FLOAT) fail("attribute '" + attribute + "' is not a number");
  if (!bits_fit(type.get())) fail("attribute '" + attribute + "' has a type that cannot be; the file is damaged");
  const hssize_t count = std::max<hssize_t>(0, H5Sget_simple_extent_npoints(space.get()));
  constexpr hssize_t most = 1 << 16;
  if (count > most)
    fail("attribute '" + attribute + "' holds " + std::to_string(count) + " numbers; a few were expected");
  std::vector<double> values(static_cast<size_t>(count));
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

namespace {

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

}  // namespace

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
  if (!bits_fit(type.get())) fail("its type cannot be; the file is damaged");
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
  uint64_t in_all = 0;
  if (const std::string why = refusal_of_storage(path_, handle_.get(), in_all); !why.empty()) fail(why);
  const bool elsewhere = H5Pget_layout(created.get()) == H5D_VIRTUAL || has_raw_files(created.get());
  if (elements_ == 0) return;

  // Deflate, the densest of the usual filters, shrinks at most 1032-fold: a header that claims more was made up.
  constexpr int64_t densest = 1100, free_bytes = 1 << 20;
  int64_t claimed = 0;
  if (__builtin_mul_overflow(elements_, element_bytes_, &claimed))
    fail("its header claims more bytes than can exist; the file is damaged");
  if (elsewhere) {
    if (claimed > free_bytes && static_cast<uint64_t>(claimed / densest) > in_all)
      fail("its header claims " + std::to_string(claimed) + " bytes but its sources store only " +
           std::to_string(in_all) + "; it is incomplete or damaged");
    return;
  }
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

/// The first of a dataset's filters (compressions) that this library lacks, "" where it has them all.
std::string missing_filter(hid_t dataset) {
  const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  const int filters = H5Pget_nfilters(creation.get());
  for (int f = 0; f < filters; ++f) {
    unsigned flags = 0, config = 0;
    size_t values = 0;
    char name[64] = "";
    const H5Z_filter_t filter = H5Pget_filter2(creation.get(), static_cast<unsigned>(f), &flags, &values, nullptr,
                                               sizeof(name) - 1, name, &config);
    if (filter >= 0 && H5Zfilter_avail(filter) <= 0)
      return "'" + std::string(name) + "' (filter " + std::to_string(filter) + ")";
  }
  return "";
}

}  // namespace

bool was_cut(hid_t object) {
  const Handle file(H5Iget_file_id(object), H5Fclose);
  hsize_t opened_bytes = 0;
  void* descriptor = nullptr;
  struct stat status {};
  if (H5Fget_filesize(file.get(), &opened_bytes) < 0 || H5Fget_vfd_handle(file.get(), H5P_DEFAULT, &descriptor) < 0 ||
      descriptor == nullptr || ::fstat(*static_cast<const int*>(descriptor), &status) != 0)
    return false;
  return static_cast<hsize_t>(status.st_size) < opened_bytes;
}

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
  if (H5Dread(handle_.get(), memory.get(), memory_space.get(), file_space.get(), H5P_DEFAULT, out.data()) < 0 ||
      was_cut(handle_.get())) {
    const std::string reason = library_message(), filter = missing_filter(handle_.get());
    if (!filter.empty())
      fail("is compressed with " + filter +
           ", which this HDF5 library cannot undo; store it with gzip, as `h5repack -f GZIP=4 IN OUT` does where the "
           "filter is installed");
    fail("cannot be read (rows " + std::to_string(first) + " to " + std::to_string(first + count - 1) +
         "); the file is truncated or damaged, or was changed while in use: " + reason);
  }
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

void Dataset::flush() {
  Lock lock;
  if (H5Dflush(handle_.get()) < 0) fail("cannot be written: " + library_message());
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

#define PTYFUSE_INSTANTIATE(T)                                               \
  template void Dataset::read<T>(std::span<T>) const;                        \
  template void Dataset::read_rows<T>(int64_t, int64_t, std::span<T>) const; \
  template void Dataset::write_rows<T>(int64_t, int64_t, std::span<const T>);
PTYFUSE_FOR_EACH_ELEMENT(PTYFUSE_INSTANTIATE)
#undef PTYFUSE_INSTANTIATE

}  // namespace ptyfuse::io::h5
