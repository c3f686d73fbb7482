#include "io/checkpoint.h"

#include <fmt/format.h>

#include <cstring>
#include <sstream>

#include "io/atomic_file.h"
#include "io/file_error.h"
#include "io/hdf5.h"
#include "io/scan_parts.h"

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

void write_tensors(h5::File& file, const std::string& group, const std::vector<NamedTensor>& tensors) {
  std::string names;
  for (const NamedTensor& tensor : tensors) {
    file.write<float>(group + "/" + tensor.name, tensor.shape, tensor.data);
    names += tensor.name + "\n";
  }
  file.write_text(group + "_names", names);
}

std::vector<NamedTensor> read_tensors(const h5::File& file, const std::string& group) {
  std::vector<NamedTensor> tensors;
  std::istringstream names(file.dataset(group + "_names").read_text());
  for (std::string name; std::getline(names, name);) {
    const h5::Dataset dataset = file.dataset(group + "/" + name);
    tensors.push_back({name, dataset.shape(), dataset.read_all<float>()});
  }
  return tensors;
}

double needed(const h5::File& file, const char* attribute) {
  const std::optional<double> value = file.number(attribute);
  if (!value)
    throw FileError(file.path(), std::string("attribute '") + attribute + "' is missing; the checkpoint is damaged");
  return *value;
}

int64_t needed_integer(const h5::File& file, const char* attribute) {
  return static_cast<int64_t>(needed(file, attribute));
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
  file.write_text("config", c.config);
  write_tensors(file, "weights", c.weights);
  write_tensors(file, "adam_m", c.adam_m);
  write_tensors(file, "adam_v", c.adam_v);
  file.write<uint64_t>("random_state", {static_cast<int64_t>(c.random_state.size())}, c.random_state);
  file.write<double>("trainer_state", {static_cast<int64_t>(c.trainer_state.size())}, c.trainer_state);
  if (!c.probe.empty()) write_hdf5_image(file, "probe", c.probe);
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
    throw FileError(path, fmt::format("checkpoint of version {}; this program reads version 1", version));

  Checkpoint c;
  c.step = needed_integer(file, "step");
  c.epoch = needed_integer(file, "epoch");
  c.step_in_epoch = needed_integer(file, "step_in_epoch");
  c.canvas = needed_integer(file, "canvas_px");
  c.normalisation = needed(file, "normalisation");
  c.log_scale = needed(file, "log_scale");
  c.measured_scale = needed(file, "measured_scale");
  c.learning_rate = needed(file, "learning_rate");
  c.config = file.dataset("config").read_text();
  c.weights = read_tensors(file, "weights");
  c.adam_m = read_tensors(file, "adam_m");
  c.adam_v = read_tensors(file, "adam_v");
  c.random_state = file.dataset("random_state").read_all<uint64_t>();
  c.trainer_state = file.dataset("trainer_state").read_all<double>();
  if (file.has("probe")) c.probe = read_hdf5_image(file.dataset("probe"));
  const std::string stated = file.text("checksum").value_or(""), found = checksum_of(c);
  if (stated != found)
    throw FileError(path, "its contents do not match its checksum (" + stated + " stated, " + found +
                              " found); the file was changed or damaged, use another checkpoint");
  return c;
}

}  // namespace ptyfuse::io
