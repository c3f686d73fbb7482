#include "io/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cstring>
#include <string_view>

#include "io/file_error.h"

namespace ptyfuse::io {

static_assert(std::endian::native == std::endian::little, "arrays are read as they lie in memory");

int64_t NpyHeader::elements() const {
  int64_t n = 1;
  for (int64_t e : shape) n *= e;
  return n;
}

namespace {

/// "516, 128, 128"
std::string comma_separated(const std::vector<int64_t>& shape) {
  std::string text;
  for (int64_t e : shape) text += (text.empty() ? "" : ", ") + std::to_string(e);
  return text;
}

}  // namespace

std::string NpyHeader::shape_text() const {
  return fmt::format("[{}]", comma_separated(shape));
}

std::string NpyHeader::type_name() const {
  const int64_t bits = 8 * element_bytes;
  switch (kind) {
    case 'u':
      return fmt::format("uint{}", bits);
    case 'i':
      return fmt::format("int{}", bits);
    case 'f':
      return fmt::format("float{}", bits);
    case 'c':
      return fmt::format("complex{}", bits);
    case 'b':
      return "bool";
    case 'O':
      return "pickled Python objects";
    default:
      return fmt::format("numpy type '{}{}'", kind, element_bytes);
  }
}

namespace {

/// A numpy header is a Python dict literal with the keys descr, fortran_order and shape.
class HeaderText {
 public:
  HeaderText(const std::string& path, const std::string& key, std::string text)
      : path_(path), key_(key), text_(std::move(text)) {}

  void parse(NpyHeader& header) {
    expect('{');
    while (!accept('}')) {
      const std::string name = quoted();
      expect(':');
      if (name == "descr") {
        parse_descr(header);
      } else if (name == "fortran_order") {
        header.fortran_order = word() == "True";
      } else if (name == "shape") {
        parse_shape(header);
      } else {
        fail();
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (header.kind == 0 || !has_shape_) fail();
  }

 private:
  [[noreturn]] void fail() const {
    throw FileError(path_, key_, "its numpy header cannot be understood: " + text_.substr(0, 120));
  }
  void blanks() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  bool accept(char c) {
    blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail();
  }
  std::string quoted() {
    const char quote = accept('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const size_t end = text_.find(quote, at_);
    if (end == std::string::npos) fail();
    std::string value = text_.substr(at_, end - at_);
    at_ = end + 1;
    return value;
  }
  std::string word() {
    blanks();
    const size_t begin = at_;
    while (at_ < text_.size() && std::isalnum(static_cast<unsigned char>(text_[at_]))) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  void parse_descr(NpyHeader& header) {
    blanks();
    if (at_ < text_.size() && text_[at_] == '[')
      throw FileError(path_, key_, "holds records (a structured numpy type); plain numbers were expected");
    const std::string descr = quoted();
    if (descr.size() < 2 || descr.size() > 10) fail();
    header.kind = descr[1];
    header.element_bytes = 0;
    for (char c : descr.substr(2)) {
      if (!std::isdigit(static_cast<unsigned char>(c))) break;  // a unit follows, as in <M8[ns]
      header.element_bytes = 10 * header.element_bytes + (c - '0');
    }
    if (descr[0] == '>' && header.element_bytes > 1)
      throw FileError(path_, key_, "holds big-endian numbers ('" + descr + "'); save it again as little-endian");
  }
  void parse_shape(NpyHeader& header) {
    expect('(');
    header.shape.clear();
    while (!accept(')')) {
      const std::string number = word();
      int64_t extent = 0;
      if (number.empty()) fail();
      for (char c : number) {
        if (c == 'L') break;  // Python 2 wrote 10L
        if (!std::isdigit(static_cast<unsigned char>(c)) || __builtin_mul_overflow(extent, 10, &extent) ||
            __builtin_add_overflow(extent, c - '0', &extent))
          fail();
      }
      header.shape.push_back(extent);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    has_shape_ = true;
  }

  const std::string& path_;
  const std::string& key_;
  const std::string text_;
  size_t at_ = 0;
  bool has_shape_ = false;
};

/// raw's elements as To, in C order whatever the order stored.
template <class From, class To>
std::vector<To> in_c_order(const NpyHeader& header, std::span<const char> raw) {
  std::vector<To> out(static_cast<size_t>(header.elements()));
  const size_t rank = header.shape.size();
  std::vector<int64_t> stride(rank), index(rank, 0);
  for (size_t a = 0, step = 1; a < rank; ++a) {
    const size_t axis = header.fortran_order ? a : rank - 1 - a;
    stride[axis] = static_cast<int64_t>(step);
    step *= static_cast<size_t>(header.shape[axis]);
  }
  for (To& value : out) {
    int64_t offset = 0;
    for (size_t a = 0; a < rank; ++a) offset += index[a] * stride[a];
    From stored;
    std::memcpy(&stored, raw.data() + offset * static_cast<int64_t>(sizeof(From)), sizeof(From));
    if constexpr (std::is_constructible_v<To, From>) {
      value = static_cast<To>(stored);
    } else {
      value = To(static_cast<float>(stored));
    }
    for (size_t a = rank; a-- > 0;) {
      if (++index[a] < header.shape[a]) break;
      index[a] = 0;
    }
  }
  return out;
}

template <class To>
std::vector<To> real_numbers(const std::string& path, const std::string& key, const NpyHeader& header,
                             std::span<const char> raw) {
  const int64_t bytes = header.element_bytes;
  switch (header.kind) {
    case 'b':
    case 'u':
      if (bytes == 1) return in_c_order<uint8_t, To>(header, raw);
      if (bytes == 2) return in_c_order<uint16_t, To>(header, raw);
      if (bytes == 4) return in_c_order<uint32_t, To>(header, raw);
      if (bytes == 8) return in_c_order<uint64_t, To>(header, raw);
      break;
    case 'i':
      if (bytes == 1) return in_c_order<int8_t, To>(header, raw);
      if (bytes == 2) return in_c_order<int16_t, To>(header, raw);
      if (bytes == 4) return in_c_order<int32_t, To>(header, raw);
      if (bytes == 8) return in_c_order<int64_t, To>(header, raw);
      break;
    case 'f':
      if (bytes == 4) return in_c_order<float, To>(header, raw);
      if (bytes == 8) return in_c_order<double, To>(header, raw);
      break;
    default:
      break;
  }
  throw FileError(path, key, "holds " + header.type_name() + "; numbers of at most 64 bits were expected");
}

}  // namespace

NpyHeader read_npy_header(const std::string& path, const std::string& key, const ByteReader& read) {
  unsigned char head[8];
  read(head, sizeof head);
  if (std::memcmp(head, "\x93NUMPY", 6) != 0) throw FileError(path, key, "is not a numpy array");
  const int version = head[6];
  if (version < 1 || version > 3)
    throw FileError(path, key, fmt::format("numpy format version {} is unknown", version));
  const int64_t length_bytes = version == 1 ? 2 : 4;
  unsigned char length_field[4] = {};
  read(length_field, length_bytes);
  const int64_t length =
      length_field[0] | length_field[1] << 8 | length_field[2] << 16 | static_cast<int64_t>(length_field[3]) << 24;
  constexpr int64_t longest = 1 << 20;
  if (length > longest) throw FileError(path, key, fmt::format("its numpy header claims {} bytes", length));
  std::string text(static_cast<size_t>(length), '\0');
  read(text.data(), length);

  NpyHeader header;
  HeaderText(path, key, std::move(text)).parse(header);
  header.header_bytes = 8 + length_bytes + length;
  constexpr size_t most_axes = 64;  // numpy's own limit
  if (header.shape.size() > most_axes)
    throw FileError(
        path, key,
        fmt::format("its numpy header claims {} axes; at most {} are possible", header.shape.size(), most_axes));
  int64_t bytes = std::max<int64_t>(1, header.element_bytes);
  for (int64_t e : header.shape)
    if (__builtin_mul_overflow(bytes, std::max<int64_t>(1, e), &bytes))
      throw FileError(path, key, "its numpy header claims more bytes than can exist");
  return header;
}

std::string npy_header_text(const std::string& descr, const std::vector<int64_t>& shape) {
  std::string dict = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descr,
                                 comma_separated(shape), shape.size() == 1 ? "," : "");
  constexpr size_t prefix = 10, alignment = 64;
  dict.append((alignment - (prefix + dict.size() + 1) % alignment) % alignment, ' ');
  dict += '\n';
  std::string text = "\x93NUMPY";
  text += '\x01';
  text += '\0';
  text += static_cast<char>(dict.size() & 0xff);
  text += static_cast<char>(dict.size() >> 8);
  return text + dict;
}

std::vector<double> npy_to_double(const std::string& path, const std::string& key, const NpyHeader& header,
                                  std::span<const char> raw) {
  return real_numbers<double>(path, key, header, raw);
}

std::vector<std::complex<float>> npy_to_complex(const std::string& path, const std::string& key,
                                                const NpyHeader& header, std::span<const char> raw) {
  if (header.kind == 'c' && header.element_bytes == 8)
    return in_c_order<std::complex<float>, std::complex<float>>(header, raw);
  if (header.kind == 'c' && header.element_bytes == 16)
    return in_c_order<std::complex<double>, std::complex<float>>(header, raw);
  return real_numbers<std::complex<float>>(path, key, header, raw);
}

}  // namespace ptyfuse::io
