#include "tests/fuzz/made_npz.h"

#include <zlib.h>

#include <vector>

#include "tests/fuzz/byte_source.h"

namespace ptyfuse::fuzz {
namespace {

struct Member {
  std::string name, descr, order = "False", shape;
  std::string data;
  std::string header = {};  ///< instead of one made of the above
  bool deflated = false;
  int64_t claimed_more = 0;  ///< what the directory says of the size, beyond the truth
};

template <class T>
std::string data_of(size_t count, T first, T step) {
  std::string out;
  for (size_t i = 0; i < count; ++i) {
    const T value = static_cast<T>(first + step * static_cast<T>(i));
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return out;
}

void append(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(i < 8 ? value >> (8 * i) & 0xff : 0);
}

std::string array_of(const Member& m) {
  std::string dict = m.header;
  if (dict.empty())
    dict = "{'descr': '" + m.descr + "', 'fortran_order': " + m.order + ", 'shape': (" + m.shape + "), }\n";
  std::string out = "\x93NUMPY";
  append(out, 1, 2);
  append(out, dict.size(), 2);
  return out + dict + m.data;
}

std::string deflated(const std::string& in) {
  std::string out(in.size() + 64, '\0');
  z_stream stream{};
  deflateInit2(&stream, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zip_of(const std::vector<Member>& members) {
  std::string out, directory;
  for (const Member& m : members) {
    const std::string name = m.name + ".npy", array = array_of(m), stored = m.deflated ? deflated(array) : array;
    std::string common;  // what local header and directory share
    append(common, 20, 2);
    append(common, 0, 2);
    append(common, m.deflated ? 8 : 0, 2);
    append(common, 0, 4);
    append(common, crc32(0, reinterpret_cast<const Bytef*>(array.data()), static_cast<uInt>(array.size())), 4);
    append(common, stored.size(), 4);
    append(common, array.size() + static_cast<uint64_t>(m.claimed_more), 4);
    append(common, name.size(), 2);
    append(common, 0, 2);
    directory += "PK\1\2";
    append(directory, 20, 2);
    directory += common;
    append(directory, 0, 10);
    append(directory, out.size(), 4);
    directory += name;
    out += "PK\3\4" + common + name + stored;
  }
  const size_t at = out.size();
  out += directory + "PK\5\6";
  append(out, 0, 4);
  append(out, members.size(), 2);
  append(out, members.size(), 2);
  append(out, directory.size(), 4);
  append(out, at, 4);
  append(out, 0, 2);
  return out;
}

void change(Member& m, ByteSource& source) {
  static constexpr const char* names[] = {"diff3d",      "diffraction", "xcoords", "ycoords",   "probeGuess",
                                          "objectGuess", "bad_pixels",  "probe",   "../outside"};
  static constexpr const char* types[] = {"<f4", "<f8", "<u2", "|u1", "<i4", "<i8", "<u8",  "<c8", "<c16",
                                          "|b1", "<u3", "<f2", "|O",  "|S5", ">f8", "<f16", "|u0", "<M8[ns]"};
  static constexpr const char* extents[] = {
      "0", "1", "2", "3", "4", "5", "16", "48", "65536", "4294967296", "4611686018427387904", "9223372036854775807"};
  switch (source.below(9)) {
    case 0:
      m.name = source.pick(names);
      break;
    case 1:
      m.descr = source.pick(types);
      break;
    case 2:
      m.order = source.flip() ? "True" : "False";
      break;
    case 3: {
      m.shape.clear();
      for (size_t rank = source.below(6); rank > 0; --rank) m.shape += std::string(source.pick(extents)) + ",";
      break;
    }
    case 4: {  // other values
      const std::string pattern = source.text(16);
      for (size_t i = 0; !pattern.empty() && i < m.data.size(); ++i) m.data[i] = pattern[i % pattern.size()];
      break;
    }
    case 5:  // fewer or more of them
      m.data.resize(source.take<uint16_t>() % 2048, '\1');
      break;
    case 6:
      m.header = source.text(120);
      break;
    case 7:
      m.deflated = !m.deflated;
      break;
    default:
      m.claimed_more = source.take<int32_t>();
  }
}

}  // namespace

std::string made_npz(std::span<const uint8_t> input) {
  std::vector<Member> members = {{"diff3d", "<f4", "False", "3,4,4", data_of<float>(48, 0, 1)},
                                 {"xcoords", "<f8", "False", "3,", data_of<double>(3, 10, 1.5)},
                                 {"ycoords", "<f8", "False", "3,", data_of<double>(3, 20, 2)},
                                 {"probeGuess", "<c8", "False", "4,4", data_of<float>(32, 1, 0)},
                                 {"objectGuess", "<c16", "False", "2,3", data_of<double>(12, 1, 1)}};
  ByteSource source(input);
  for (int changes = 0; changes < 16 && !source.empty(); ++changes) {
    const uint8_t which = source.take<uint8_t>();
    if (which == 255 && members.size() > 1) {
      members.pop_back();
    } else if (which == 254 && members.size() < 8) {
      members.push_back({"bad_pixels", "|b1", "False", "4,4", data_of<uint8_t>(16, 0, 0)});
    } else {
      change(members[which % members.size()], source);
    }
  }
  return zip_of(members);
}

}  // namespace ptyfuse::fuzz
