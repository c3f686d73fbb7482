#pragma once
// What the HDF5 sources of this room share: types in memory, and words for failures. Callers hold a Lock.
#include <complex>
#include <string>
#include <type_traits>

#include "io/hdf5.h"

namespace ptyfuse::io::h5 {

/// The innermost message of the library's error stack.
std::string library_message();

/// Whether a stored number's bits lie within its bytes: the library converts numbers of damaged files without asking.
/// Of a compound or an enumeration: whether those of all its members do.
bool bits_fit(hid_t type);

/// Whether the file of an object has become shorter than it was when it was opened: the library reads what is gone as
/// zeros and says nothing.
bool was_cut(hid_t object);

template <class T>
struct IsComplex : std::false_type {};
template <class T>
struct IsComplex<std::complex<T>> : std::true_type {};

/// DO(T) for every element type that datasets are read and written as.
// clang-format off
#define PTYFUSE_FOR_EACH_ELEMENT(DO)                                                             \
  DO(uint8_t) DO(int8_t) DO(uint16_t) DO(int16_t) DO(uint32_t) DO(int32_t) DO(uint64_t) DO(int64_t) \
  DO(float) DO(double) DO(std::complex<float>)
// clang-format on

/// The library's type for a plain number.
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

}  // namespace ptyfuse::io::h5
