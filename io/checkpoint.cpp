#include "io/checkpoint.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "io/atomic_file.h"
#include "io/crc32.h"
#include "io/file_error.h"
#include "io/hdf5.h"
#include "io/scan_parts.h"
#include "io/whole_number.h"

namespace ptyfuse::io {

namespace {

constexpr const char* format_name = "ptyfuse-checkpoint";

/// FNV-1a, 64 bits, over little-endian 64-bit words; the tail is filled with zeros and each item's length goes first.
class Checksum {
 public:
  void add(const void* data, size_t bytes) {
    word(bytes);
    const auto* from = static_cast<const char*>(data);
    for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t), from += sizeof(uint64_t)) {
      uint64_t value;
      std::memcpy(&value, from, sizeof value);
      word(value);
    }
    uint64_t tail = 0;
    if (bytes > 0) std::memcpy(&tail, from, bytes);
    if (bytes > 0) word(tail);
  }
  template <class T>
  void add(const std::vector<T>& values) {
    add(values.data(), values.size() * sizeof(T));
  }
  void add(const std::string& text) { add(text.data(), text.size()); }
  template <class T>
  void add_number(T value) {
    add(&value, sizeof value);
  }
  std::string text() const { return fmt::format("fnv1a64:{:016x}", state_); }

 private:
  void word(uint64_t value) { state_ = (state_ ^ value) * 0x100000001b3u; }
  uint64_t state_ = 0xcbf29ce484222325u;
};

std::string checksum_of(const Checkpoint& c) {
  Checksum sum;
  sum.add(c.config);
  for (const auto* tensors : {&c.weights, &c.adam_m, &c.adam_v})
    for (const NamedTensor& tensor : *tensors) {
      sum.add(tensor.name);
      sum.add(tensor.shape);
      sum.add(tensor.data);
    }
  for (int64_t value : {c.step, c.epoch, c.step_in_epoch, c.canvas}) sum.add_number(value);
  for (double value : {c.normalisation, c.log_scale, c.measured_scale, c.learning_rate}) sum.add_number(value);
  sum.add(c.random_state);
  sum.add(c.trainer_state);
  for (int64_t value : {c.probe.depth, c.probe.height, c.probe.width}) sum.add_number(value);
  sum.add(c.probe.data);
  return sum.text();
}

// A sum of each dataset says which one is damaged; the one over all holds for attributes and for what is missing, too.
constexpr const char* crc_name = "crc32";

template <class T>
uint32_t crc_of(const std::vector<T>& data) {
  return crc32(data.data(), data.size() * sizeof(T));
}

void write_text(h5::File& file, const std::string& name, const std::string& text) {
  file.write_text(name, text).set_integer(crc_name, crc32(text.data(), text.size()));
}

template <class T>
void write_array(h5::File& file, const std::string& name, const std::vector<int64_t>& shape,
                 const std::vector<T>& data) {
  file.write<T>(name, shape, data).set_integer(crc_name, crc_of(data));
}

void write_tensors(h5::File& file, const std::string& group, const std::vector<NamedTensor>& tensors) {
  std::string names;
  for (const NamedTensor& tensor : tensors) {
    write_array(file, group + "/" + tensor.name, tensor.shape, tensor.data);
    names += tensor.name + "\n";
  }
  write_text(file, group + "_names", names);
}

// Files of before the sums of single datasets have that over all alone.
void check_crc(const h5::Dataset& dataset, uint32_t found) {
  const std::optional<double> stated = dataset.number(crc_name);
  if (stated && *stated != found)
    throw FileError(dataset.path(), dataset.name(),
                    fmt::format("its bytes do not match their checksum (CRC-32 {:.0f} stated, {} found); the file was "
                                "changed or damaged: use another checkpoint",
                                *stated, found));
}

std::string read_text(const h5::File& file, const std::string& name) {
  const h5::Dataset dataset = file.dataset(name);
  std::string text = dataset.read_text();
  check_crc(dataset, crc32(text.data(), text.size()));
  return text;
}

template <class T>
std::vector<T> read_array(const h5::Dataset& dataset) {
  std::vector<T> data = dataset.read_all<T>();
  check_crc(dataset, crc_of(data));
  return data;
}

/// `room` elements are left for tensors and become fewer: names may repeat, and links make many names of one dataset.
std::vector<NamedTensor> read_tensors(const h5::File& file, const std::string& group, int64_t& room) {
  std::vector<NamedTensor> tensors;
  std::istringstream names(read_text(file, group + "_names"));
  for (std::string name; std::getline(names, name);) {
    const h5::Dataset dataset = file.dataset(group + "/" + name);
    room -= dataset.elements() + 1;
    if (room < 0)
      throw FileError(file.path(), group + "_names", "names more tensors than the file can hold; it is damaged");
    tensors.push_back({name, dataset.shape(), read_array<float>(dataset)});
  }
  return tensors;
}

/// Elements of tensors that a file may hold. Our own are stored plainly, at four bytes each; a copy that h5repack made
/// smaller, with moments that are still zero, holds several times that. Small files may hold what they like.
int64_t room_for_tensors(const std::string& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  constexpr int64_t least = 1 << 20, densest = 16 / static_cast<int64_t>(sizeof(float));
  return least + (error ? 0 : static_cast<int64_t>(bytes) * densest);
}

double needed(const h5::File& file, const char* attribute) {
  const std::optional<double> value = file.number(attribute);
  if (!value)
    throw FileError(file.path(), std::string("attribute '") + attribute + "' is missing; the checkpoint is damaged");
  return *value;
}

int64_t needed_integer(const h5::File& file, const char* attribute) {
  const double value = needed(file, attribute);
  if (!is_count(value))
    throw FileError(
        file.path(),
        fmt::format("attribute '{}' is {}; a whole number was expected, the checkpoint is damaged", attribute, value));
  return static_cast<int64_t>(value);
}

}  // namespace

void write_checkpoint(const std::string& path, const Checkpoint& c) {
  AtomicFile output(path, true);
  h5::File file = h5::File::create(output.temporary_path(), path);
  file.set_text("format", format_name);
  file.set_integer("version", 1);
  file.set_text("checksum", checksum_of(c));
  file.set_integer("step", c.step);
  file.set_integer("epoch", c.epoch);
  file.set_integer("step_in_epoch", c.step_in_epoch);
  file.set_integer("canvas_px", c.canvas);
  file.set_number("normalisation", c.normalisation);
  file.set_number("log_scale", c.log_scale);
  file.set_number("measured_scale", c.measured_scale);
  file.set_number("learning_rate", c.learning_rate);
  write_text(file, "config", c.config);
  write_tensors(file, "weights", c.weights);
  write_tensors(file, "adam_m", c.adam_m);
  write_tensors(file, "adam_v", c.adam_v);
  write_array(file, "random_state", {static_cast<int64_t>(c.random_state.size())}, c.random_state);
  write_array(file, "trainer_state", {static_cast<int64_t>(c.trainer_state.size())}, c.trainer_state);
  if (!c.probe.empty()) {
    h5::Dataset probe = write_hdf5_image(file, "probe", c.probe);
    probe.set_integer(crc_name, crc_of(c.probe.data));
  }
  file.close();
  output.commit();
}

Checkpoint read_checkpoint(const std::string& path) {
  const h5::File file = h5::File::open(path);
  const std::string format = file.text("format").value_or("");
  if (format != format_name)
    throw FileError(path, "is not a checkpoint (attribute 'format' is '" + format + "', expected '" + format_name +
                              "'); name the model.h5 of a run folder");
  const double version = needed(file, "version");
  if (version != 1)
    throw FileError(path, fmt::format("checkpoint of version {}; this program reads version 1: use the ptyfuse that "
                                      "wrote it, or a newer one",
                                      version));
  const std::optional<std::string> stated = file.text("checksum");
  if (!stated)
    throw FileError(path,
                    "has no attribute 'checksum', so that nothing proves it whole: another program wrote it, or it is "
                    "damaged");

  Checkpoint c;
  c.step = needed_integer(file, "step");
  c.epoch = needed_integer(file, "epoch");
  c.step_in_epoch = needed_integer(file, "step_in_epoch");
  c.canvas = needed_integer(file, "canvas_px");
  c.normalisation = needed(file, "normalisation");
  c.log_scale = needed(file, "log_scale");
  c.measured_scale = needed(file, "measured_scale");
  c.learning_rate = needed(file, "learning_rate");
  c.config = read_text(file, "config");
  int64_t room = room_for_tensors(path);
  c.weights = read_tensors(file, "weights", room);
  c.adam_m = read_tensors(file, "adam_m", room);
  c.adam_v = read_tensors(file, "adam_v", room);
  c.random_state = read_array<uint64_t>(file.dataset("random_state"));
  c.trainer_state = read_array<double>(file.dataset("trainer_state"));
  if (file.has("probe")) {
    const h5::Dataset probe = file.dataset("probe");
    c.probe = read_hdf5_image(probe);
    check_crc(probe, crc_of(c.probe.data));
  }
  if (const std::string found = checksum_of(c); *stated != found)
    throw FileError(path, "its attributes, or which datasets it holds, do not match its checksum (" + *stated +
                              " stated, " + found + " found); the file was changed or damaged: use another checkpoint");
  return c;
}

std::optional<int64_t> checkpoint_epoch(const std::string& path) {
  try {
    const h5::File file = h5::File::open(path);
    if (file.text("format") != format_name) return std::nullopt;
    return needed_integer(file, "epoch");
  } catch (const FileError&) {
    return std::nullopt;
  }
}

uint32_t crc32(const std::vector<NamedTensor>& tensors) {
  uint32_t sum = 0;
  for (const NamedTensor& tensor : tensors) sum = crc32(tensor.data.data(), tensor.data.size() * sizeof(float), sum);
  return sum;
}

}  // namespace ptyfuse::io
