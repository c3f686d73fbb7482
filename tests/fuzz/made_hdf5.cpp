#include "tests/fuzz/made_hdf5.h"

#include <cmath>
#include <limits>

#include "io/hdf5.h"
#include "tests/fuzz/byte_source.h"

namespace ptyfuse::fuzz {
namespace {

using io::h5::Handle;

enum class Type {
  u8,
  u16,
  u32,
  u64,
  i8,
  i16,
  i32,
  i64,
  f32,
  f64,
  f80,
  f32_big,
  u16_big,
  odd_bits,
  f16,
  truth,
  complex32,
  complex64,
  complex_integers,
  complex_re_im,
  complex_swapped,
  nested,
  array,
  opaque,
  bits,
  reference,
  text,
  text_padded,
  text_any,
  list
};
constexpr size_t type_count = static_cast<size_t>(Type::list) + 1;

Handle type_of(hid_t made) {
  return Handle(made, H5Tclose);
}

Handle pair_of(const char* first, hid_t one, const char* second, hid_t two) {
  Handle type = type_of(H5Tcreate(H5T_COMPOUND, H5Tget_size(one) + H5Tget_size(two)));
  H5Tinsert(type.get(), first, 0, one);
  H5Tinsert(type.get(), second, H5Tget_size(one), two);
  return type;
}

Handle make_type(Type type, size_t length) {
  constexpr hsize_t two = 2;
  switch (type) {
    case Type::u8:
      return type_of(H5Tcopy(H5T_STD_U8LE));
    case Type::u16:
      return type_of(H5Tcopy(H5T_STD_U16LE));
    case Type::u32:
      return type_of(H5Tcopy(H5T_STD_U32LE));
    case Type::u64:
      return type_of(H5Tcopy(H5T_STD_U64LE));
    case Type::i8:
      return type_of(H5Tcopy(H5T_STD_I8LE));
    case Type::i16:
      return type_of(H5Tcopy(H5T_STD_I16LE));
    case Type::i32:
      return type_of(H5Tcopy(H5T_STD_I32LE));
    case Type::i64:
      return type_of(H5Tcopy(H5T_STD_I64LE));
    case Type::f32:
      return type_of(H5Tcopy(H5T_IEEE_F32LE));
    case Type::f64:
      return type_of(H5Tcopy(H5T_IEEE_F64LE));
    case Type::f80:
      return type_of(H5Tcopy(H5T_NATIVE_LDOUBLE));
    case Type::f32_big:
      return type_of(H5Tcopy(H5T_IEEE_F32BE));
    case Type::u16_big:
      return type_of(H5Tcopy(H5T_STD_U16BE));
    case Type::odd_bits: {
      Handle made = type_of(H5Tcopy(H5T_STD_U32LE));
      H5Tset_precision(made.get(), 1 + length % 32);
      H5Tset_offset(made.get(), length / 32 % 32);
      return made;
    }
    case Type::f16: {
      Handle made = type_of(H5Tcopy(H5T_IEEE_F32LE));
      H5Tset_fields(made.get(), 15, 10, 5, 0, 10);
      H5Tset_precision(made.get(), 16);
      H5Tset_size(made.get(), 2);
      return made;
    }
    case Type::truth: {
      Handle made = type_of(H5Tenum_create(H5T_STD_I8LE));
      const int8_t values[] = {0, 1};
      H5Tenum_insert(made.get(), "FALSE", &values[0]);
      H5Tenum_insert(made.get(), "TRUE", &values[1]);
      return made;
    }
    case Type::complex32:
      return pair_of("r", H5T_IEEE_F32LE, "i", H5T_IEEE_F32LE);
    case Type::complex64:
      return pair_of("r", H5T_IEEE_F64LE, "i", H5T_IEEE_F64LE);
    case Type::complex_integers:
      return pair_of("real", H5T_STD_I32LE, "imag", H5T_STD_U8LE);
    case Type::complex_re_im:
      return pair_of("re", H5T_IEEE_F32LE, "im", H5T_IEEE_F64LE);
    case Type::complex_swapped:
      return pair_of("i", H5T_IEEE_F32LE, "r", H5T_IEEE_F32LE);
    case Type::nested: {
      const Handle inner = pair_of("r", H5T_IEEE_F32LE, "i", H5T_IEEE_F32LE);
      return pair_of("r", inner.get(), "i", inner.get());
    }
    case Type::array:
      return type_of(H5Tarray_create2(H5T_IEEE_F32LE, 1, &two));
    case Type::opaque:
      return type_of(H5Tcreate(H5T_OPAQUE, 1 + length));
    case Type::bits:
      return type_of(H5Tcopy(H5T_STD_B32LE));
    case Type::reference:
      return type_of(H5Tcopy(H5T_STD_REF_OBJ));
    case Type::text:
    case Type::text_padded: {
      Handle made = type_of(H5Tcopy(H5T_C_S1));
      H5Tset_size(made.get(), 1 + length);
      if (type == Type::text_padded) H5Tset_strpad(made.get(), H5T_STR_SPACEPAD);
      return made;
    }
    case Type::text_any: {
      Handle made = type_of(H5Tcopy(H5T_C_S1));
      H5Tset_size(made.get(), H5T_VARIABLE);
      return made;
    }
    case Type::list:
      break;
  }
  return type_of(H5Tvlen_create(H5T_STD_I32LE));
}

bool is_text(Type type) {
  return type == Type::text || type == Type::text_padded || type == Type::text_any;
}
bool is_complex(Type type) {
  return type >= Type::complex32 && type <= Type::complex_swapped;
}

/// A scalar, a list or nothing, of words or numbers.
struct Attribute {
  std::string name;
  Type type = Type::f64;
  int64_t count = -1;  ///< -1: a scalar; -2: a null dataspace
  std::string text = {};
  double value = 0;
};

enum class Fill { values, nothing, first_row, raw_chunk };
enum class Place { dataset, group, named_type, soft_link, hard_link, external_link, missing };

struct Item {
  std::string name;
  std::vector<hsize_t> extent;
  Type type = Type::f32;
  std::string text = {};
  double first = 1, step = 0;
  std::vector<Attribute> attributes = {};
  Fill fill = Fill::values;
  Place place = Place::dataset;
  std::string target = {};  ///< of links
  bool compact = false, growing = false;
  std::vector<hsize_t> chunk = {};
  unsigned filters = 0;  ///< 1 gzip, 2 shuffle, 4 checksum, 8 nbit, 16 scale-offset
  size_t length = 8;     ///< of texts and opaque things
};

struct Plan {
  MadeKind kind = MadeKind::scan;
  std::vector<Attribute> root;
  std::vector<Item> items;
  bool newest_format = false;
};

Attribute words(const char* name, const char* text) {
  return {.name = name, .type = Type::text_any, .text = text};
}
Attribute number(const char* name, double value) {
  return {.name = name, .type = Type::f64, .value = value};
}

Plan legal(MadeKind kind) {
  Plan plan;
  plan.kind = kind;
  switch (kind) {
    case MadeKind::scan:
      plan.root = {words("format", "ptyfuse-scan"), number("version", 1), number("energy_eV", 8000)};
      plan.items = {
          {.name = "diffraction",
           .extent = {3, 4, 4},
           .type = Type::u16,
           .step = 1,
           .attributes = {words("domain", "counts"), words("dc", "centre")}},
          {.name = "positions_px",
           .extent = {3, 2},
           .type = Type::f64,
           .step = 1.5,
           .attributes = {words("origin", "corner")}},
          {.name = "probe", .extent = {4, 4}, .type = Type::complex32},
          {.name = "mask", .extent = {4, 4}, .type = Type::u8},
          {.name = "object", .extent = {9, 9}, .type = Type::complex32, .attributes = {words("kind", "truth")}},
          {.name = "object_index", .extent = {3}, .type = Type::i32, .first = 0},
          {.name = "groups", .extent = {2, 1}, .type = Type::i64, .step = 1}};
      break;
    case MadeKind::reconstruction:
      plan.root = {words("format", "ptyfuse-reconstruction"), number("format_version", 1), number("patterns", 3),
                   number("seconds", 2), words("device", "cpu")};
      plan.items = {{.name = "object",
                     .extent = {12, 12},
                     .type = Type::complex32,
                     .step = 0.25,
                     .attributes = {{.name = "origin_px", .type = Type::i64, .count = 2, .value = 1},
                                    number("pixel_size_m", 1e-8)}},
                    {.name = "weight", .extent = {12, 12}, .type = Type::f32},
                    {.name = "probe", .extent = {4, 4}, .type = Type::complex32},
                    {.name = "positions_px",
                     .extent = {3, 2},
                     .type = Type::f64,
                     .step = 1.5,
                     .attributes = {words("origin", "centre")}},
                    {.name = "residual", .extent = {2}, .type = Type::f64},
                    {.name = "patches", .extent = {3, 4, 4}, .type = Type::complex32}};
      break;
    case MadeKind::checkpoint:
      plan.root = {words("format", "ptyfuse-checkpoint"),
                   number("version", 1),
                   number("step", 7),
                   number("epoch", 1),
                   number("step_in_epoch", 0),
                   number("canvas_px", 64),
                   number("normalisation", 0.5),
                   number("log_scale", 0),
                   number("measured_scale", 1),
                   number("learning_rate", 1e-3),
                   words("checksum", "fnv1a64:0000000000000000")};
      plan.items = {{.name = "config", .extent = {}, .type = Type::text, .text = "epochs = 3\n", .length = 16},
                    {.name = "weights_names", .extent = {}, .type = Type::text, .text = "a\nb\n", .length = 16},
                    {.name = "adam_m_names", .extent = {}, .type = Type::text, .text = "a\n", .length = 16},
                    {.name = "adam_v_names", .extent = {}, .type = Type::text, .text = "a\n", .length = 16},
                    {.name = "weights/a", .extent = {2, 3}, .type = Type::f32},
                    {.name = "weights/b", .extent = {5}, .type = Type::f32},
                    {.name = "adam_m/a", .extent = {2, 3}, .type = Type::f32},
                    {.name = "adam_v/a", .extent = {2, 3}, .type = Type::f32},
                    {.name = "random_state", .extent = {4}, .type = Type::u64},
                    {.name = "trainer_state", .extent = {9}, .type = Type::f64},
                    {.name = "probe", .extent = {4, 4}, .type = Type::complex32}};
  }
  return plan;
}

constexpr const char* item_names[] = {"diffraction",   "positions_px", "probe",     "mask",          "object",
                                      "object_index",  "groups",       "weight",    "residual",      "patches",
                                      "config",        "weights/a",    "weights/b", "weights_names", "random_state",
                                      "trainer_state", "probe/inner",  "other"};
constexpr const char* attribute_names[] = {"format",
                                           "version",
                                           "format_version",
                                           "domain",
                                           "dc",
                                           "origin",
                                           "order",
                                           "kind",
                                           "step",
                                           "origin_px",
                                           "energy_eV",
                                           "pixel_size_m",
                                           "detector_distance_m",
                                           "patterns",
                                           "checksum"};
constexpr const char* word_list[] = {"counts",
                                     "amplitude",
                                     "centre",
                                     "corner",
                                     "yx",
                                     "xy",
                                     "y,x",
                                     "x,y",
                                     "truth",
                                     "",
                                     "ptyfuse-scan",
                                     "ptyfuse-reconstruction",
                                     "ptyfuse-checkpoint"};
constexpr const char* targets_of_links[] = {"/probe", "/diffraction", "/", "/object", "/nowhere", "object/x"};
constexpr const char* files_of_links[] = {"beside.h5", "../above.h5", "/etc/passwd", "folder/below.h5", ""};
constexpr hsize_t extents[] = {0,          1,          2,          3,          4,
                               5,          9,          12,         16,         64,
                               300,        1 << 12,    1 << 16,    1ull << 20, 1ull << 31,
                               1ull << 32, 1ull << 40, 1ull << 62, 1ull << 63, std::numeric_limits<hsize_t>::max() - 1};
constexpr double values[] = {0,   1,   -1,   0.5,  2,     3,    7,     255,    1e5,
                             1e9, 2e9, 1e18, 1e19, -1e19, 1e39, 1e300, -1e300, 1e-300};

double value_of(ByteSource& source) {
  const size_t which = source.below(std::size(values) + 3);
  if (which < std::size(values)) return values[which];
  if (which == std::size(values)) return std::nan("");
  if (which == std::size(values) + 1) return std::numeric_limits<double>::infinity();
  return source.take<double>();
}

std::vector<hsize_t> extents_of(ByteSource& source) {
  std::vector<hsize_t> out(source.below(6));
  for (hsize_t& e : out) e = source.pick(extents);
  return out;
}

Type type_from(ByteSource& source) {
  return static_cast<Type>(source.below(type_count));
}

void change(Attribute& a, ByteSource& source) {
  switch (source.below(5)) {
    case 0:
      a.name = source.pick(attribute_names);
      break;
    case 1:
      a.type = type_from(source);
      break;
    case 2:
      a.count = static_cast<int64_t>(source.below(8)) - 2;
      break;
    case 3:
      a.text = source.flip() ? source.pick(word_list) : source.text(20);
      break;
    default:
      a.value = value_of(source);
  }
}

void change(std::vector<Attribute>& list, ByteSource& source) {
  const uint8_t which = source.take<uint8_t>();
  if (which >= 250 && !list.empty()) {
    list.pop_back();
  } else if (which >= 240 || list.empty()) {
    if (list.size() < 24) list.push_back({.name = source.pick(attribute_names)});
  } else {
    change(list[which % list.size()], source);
  }
}

void change(Item& item, ByteSource& source) {
  switch (source.below(13)) {
    case 0:
      item.name = source.pick(item_names);
      break;
    case 1:
      item.extent = extents_of(source);
      break;
    case 2:
      if (!item.extent.empty()) source.pick(item.extent) = source.pick(extents);
      break;
    case 3:
      item.type = type_from(source);
      break;
    case 4:
      item.first = value_of(source);
      break;
    case 5:
      item.step = value_of(source);
      break;
    case 6:
      item.fill = static_cast<Fill>(source.below(4));
      break;
    case 7:
      item.place = static_cast<Place>(source.below(7));
      item.target = source.pick(targets_of_links);
      break;
    case 8:
      item.compact = !item.compact;
      break;
    case 9:
      item.chunk = extents_of(source);
      item.growing = source.flip();
      break;
    case 10:
      item.filters = source.take<uint8_t>() % 32;
      break;
    case 11:
      item.text = source.text(60);
      item.length = source.below(64);
      break;
    default:
      change(item.attributes, source);
  }
}

Plan plan_of(std::span<const uint8_t> input) {
  ByteSource source(input);
  const uint8_t start = source.take<uint8_t>();
  Plan plan = legal(static_cast<MadeKind>(start % 3));
  plan.newest_format = start >= 128;
  for (int changes = 0; changes < 24 && !source.empty(); ++changes) {
    const uint8_t which = source.take<uint8_t>();
    if (which >= 250 && plan.items.size() > 1) {
      plan.items.pop_back();
    } else if (which >= 240 && plan.items.size() < 16) {
      plan.items.push_back({.name = source.pick(item_names), .extent = {2}});
    } else if (which >= 220) {
      change(plan.root, source);
    } else {
      change(plan.items[which % plan.items.size()], source);
    }
  }
  return plan;
}

constexpr int64_t most_elements = 1 << 12;  // that are written

/// Elements, or more than most_elements.
int64_t elements_of(const std::vector<hsize_t>& extent) {
  int64_t n = 1;
  for (const hsize_t e : extent) {
    if (e > static_cast<hsize_t>(most_elements)) return e == 0 ? 0 : most_elements + 1;
    n = std::min(n * static_cast<int64_t>(e), most_elements + 1);
  }
  return n;
}

/// `count` elements to write, and the type that they have in memory.
struct Data {
  Handle type;
  std::vector<char> bytes;
  std::vector<const char*> texts = {};
  std::vector<hvl_t> lists = {};
  const void* pointer() const {
    return !texts.empty()   ? static_cast<const void*>(texts.data())
           : !lists.empty() ? static_cast<const void*>(lists.data())
                            : bytes.data();
  }
};

Data data_of(Type type, hid_t stored, size_t count, double first, double step, const std::string& text) {
  if (type == Type::text_any) return {type_of(H5Tcopy(stored)), {}, std::vector<const char*>(count, text.c_str())};
  if (type == Type::list) return {type_of(H5Tcopy(stored)), {}, {}, std::vector<hvl_t>(count, {0, nullptr})};
  const size_t size = H5Tget_size(stored);
  if (is_text(type)) {
    Data data{type_of(H5Tcopy(stored)), std::vector<char>(count * size)};
    for (size_t i = 0; i < count; ++i) text.copy(data.bytes.data() + i * size, size);
    return data;
  }
  if (type > Type::truth && !is_complex(type))
    return {type_of(H5Tcopy(stored)), std::vector<char>(count * size, type == Type::reference ? '\0' : '\x3f')};
  // Numbers are converted by the library.
  const size_t numbers = is_complex(type) ? 2 * count : count;
  std::vector<char> bytes(numbers * sizeof(double));
  for (size_t i = 0; i < numbers; ++i) {
    const double value = first + (step != 0 ? step * static_cast<double>(i) : 0.0);
    std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
  }
  if (type == Type::truth) return {type_of(H5Tcopy(stored)), std::vector<char>(count, first > 0 ? '\1' : '\0')};
  if (!is_complex(type)) return {type_of(H5Tcopy(H5T_NATIVE_DOUBLE)), std::move(bytes)};
  char* const names[] = {H5Tget_member_name(stored, 0), H5Tget_member_name(stored, 1)};
  Data data{pair_of(names[0], H5T_NATIVE_DOUBLE, names[1], H5T_NATIVE_DOUBLE), std::move(bytes)};
  for (char* name : names) H5free_memory(name);
  return data;
}

Handle space_of(const std::vector<hsize_t>& extent, bool growing) {
  if (extent.empty()) return Handle(H5Screate(H5S_SCALAR), H5Sclose);
  const std::vector<hsize_t> unlimited(extent.size(), H5S_UNLIMITED);
  return Handle(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), growing ? unlimited.data() : nullptr),
                H5Sclose);
}

void make(hid_t on, const Attribute& a) {
  const Handle type = make_type(a.type, std::max<size_t>(a.text.size(), 1));
  const std::vector<hsize_t> extent = a.count < 0 ? std::vector<hsize_t>() : std::vector<hsize_t>{hsize_t(a.count)};
  const Handle space = a.count == -2 ? Handle(H5Screate(H5S_NULL), H5Sclose) : space_of(extent, false);
  const Handle made(H5Acreate2(on, a.name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (!made.valid() || a.count == -2) return;
  const size_t count = a.count < 0 ? 1 : static_cast<size_t>(a.count);
  if (count == 0) return;
  const Data data = data_of(a.type, type.get(), count, a.value, 0, a.text);
  H5Awrite(made.get(), data.type.get(), data.pointer());
}

void write(const Item& item, hid_t dataset, hid_t type) {
  switch (item.fill) {
    case Fill::nothing:
      return;
    case Fill::values: {
      const int64_t count = elements_of(item.extent);
      if (count == 0 || count > most_elements) return;
      const Data data = data_of(item.type, type, static_cast<size_t>(count), item.first, item.step, item.text);
      H5Dwrite(dataset, data.type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, data.pointer());
      return;
    }
    case Fill::first_row: {  // the rest of chunked data is never written
      if (item.chunk.empty() || item.extent.empty()) return;
      const std::vector<hsize_t> start(item.extent.size(), 0), one(item.extent.size(), 1);
      const Handle file(H5Dget_space(dataset), H5Sclose), memory(H5Screate(H5S_SCALAR), H5Sclose);
      H5Sselect_hyperslab(file.get(), H5S_SELECT_SET, start.data(), nullptr, one.data(), nullptr);
      const Data data = data_of(item.type, type, 1, item.first, item.step, item.text);
      H5Dwrite(dataset, data.type.get(), memory.get(), file.get(), H5P_DEFAULT, data.pointer());
      return;
    }
    case Fill::raw_chunk: {  // bytes that no filter made
      if (item.chunk.empty()) return;
      const std::vector<hsize_t> start(item.extent.size(), 0);
      H5Dwrite_chunk(dataset, H5P_DEFAULT, item.filters == 0 ? 0 : item.filters % 4, start.data(), item.text.size(),
                     item.text.data());
    }
  }
}

void make_dataset(hid_t file, const Item& item, hid_t links) {
  const Handle type = make_type(item.type, std::max(item.length, item.text.size()));
  const Handle space = space_of(item.extent, item.growing && !item.chunk.empty());
  const Handle created(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_obj_track_times(created.get(), false);
  H5Pset_alloc_time(created.get(), H5D_ALLOC_TIME_LATE);
  if (item.compact) {
    H5Pset_layout(created.get(), H5D_COMPACT);
    if (elements_of(item.extent) > most_elements) return;  // the library makes room for them
  } else if (!item.chunk.empty() && item.chunk.size() == item.extent.size()) {
    H5Pset_chunk(created.get(), static_cast<int>(item.chunk.size()), item.chunk.data());
    // A written chunk takes its whole size here: large ones are for the reader alone.
    if (item.fill != Fill::raw_chunk && item.fill != Fill::nothing && elements_of(item.chunk) > most_elements) return;
    if (item.filters & 8) H5Pset_nbit(created.get());
    if (item.filters & 16) H5Pset_scaleoffset(created.get(), H5Z_SO_INT, 0);
    if (item.filters & 2) H5Pset_shuffle(created.get());
    if (item.filters & 1) H5Pset_deflate(created.get(), 1);
    if (item.filters & 4) H5Pset_fletcher32(created.get());
  }
  const Handle dataset(H5Dcreate2(file, item.name.c_str(), type.get(), space.get(), links, created.get(), H5P_DEFAULT),
                       H5Dclose);
  if (!dataset.valid()) return;
  write(item, dataset.get(), type.get());
  for (const Attribute& a : item.attributes) make(dataset.get(), a);
}

void make(hid_t file, const Item& item) {
  const Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links.get(), 1);
  const char* const name = item.name.c_str();
  switch (item.place) {
    case Place::dataset:
      make_dataset(file, item, links.get());
      break;
    case Place::group: {
      const Handle group(H5Gcreate2(file, name, links.get(), H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
      break;
    }
    case Place::named_type: {
      const Handle type = make_type(item.type, item.length);
      H5Tcommit2(file, name, type.get(), links.get(), H5P_DEFAULT, H5P_DEFAULT);
      break;
    }
    case Place::soft_link:
      H5Lcreate_soft(item.target.c_str(), file, name, links.get(), H5P_DEFAULT);
      break;
    case Place::hard_link:
      H5Lcreate_hard(file, item.target.c_str(), file, name, links.get(), H5P_DEFAULT);
      break;
    case Place::external_link:
      H5Lcreate_external(files_of_links[item.length % std::size(files_of_links)], item.target.c_str(), file, name,
                         links.get(), H5P_DEFAULT);
      break;
    case Place::missing:
      break;
  }
}

}  // namespace

MadeFile made_hdf5(std::span<const uint8_t> input) {
  const io::h5::Lock lock;
  const Plan plan = plan_of(input);
  MadeFile out{.kind = plan.kind, .bytes = {}};
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fapl_core(access.get(), 1 << 16, false);
  if (plan.newest_format) H5Pset_libver_bounds(access.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
  const Handle file(H5Fcreate("made", H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose);
  if (!file.valid()) return out;
  for (const Attribute& a : plan.root) make(file.get(), a);
  for (const Item& item : plan.items) make(file.get(), item);
  H5Fflush(file.get(), H5F_SCOPE_LOCAL);
  const ssize_t bytes = H5Fget_file_image(file.get(), nullptr, 0);
  if (bytes <= 0) return out;
  out.bytes.resize(static_cast<size_t>(bytes));
  H5Fget_file_image(file.get(), out.bytes.data(), out.bytes.size());
  return out;
}

}  // namespace ptyfuse::fuzz
