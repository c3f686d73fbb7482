#include "io/reconstruction_file.h"

#include <cmath>

#include "io/atomic_file.h"
#include "io/scan_parts.h"
#include "io/whole_number.h"

namespace ptyfuse::io {

namespace {

constexpr const char* format_name = "ptyfuse-reconstruction";

void check_writable(const std::string& path, const Reconstruction& r) {
  const auto elements = static_cast<size_t>(r.object.depth * r.object.height * r.object.width);
  if (r.object.empty() || r.object.data.size() != elements)
    throw FileError(path, "object",
                    fmt::format("{} values do not fill {} x {} x {}", r.object.data.size(), r.object.depth,
                                r.object.height, r.object.width));
  if (r.weight.size() != elements)
    throw FileError(path, "weight", fmt::format("{} values for {} of the object", r.weight.size(), elements));
}

std::vector<int64_t> shape_like(const ComplexImage& image) {
  if (image.depth == 1) return {image.height, image.width};
  return {image.depth, image.height, image.width};
}

/// Far beyond any scan, and near enough that sums of such numbers stay exact.
constexpr double farthest_px = 1e9;

std::array<int64_t, 2> whole_origin(const h5::Dataset& object) {
  const std::vector<double> origin = object.numbers("origin_px");
  if (origin.empty()) return {0, 0};
  const auto whole = [](double v) { return v == std::round(v) && std::abs(v) <= farthest_px; };
  if (origin.size() != 2 || !whole(origin[0]) || !whole(origin[1]))
    throw FileError(object.path(), object.name(),
                    "attribute 'origin_px' must hold two whole numbers, [y,x], at most 1e9");
  return {static_cast<int64_t>(origin[0]), static_cast<int64_t>(origin[1])};
}

std::vector<float> read_weight(const h5::File& file, const ComplexImage& object) {
  if (!file.has("weight")) return std::vector<float>(object.data.size(), 1.0f);
  const h5::Dataset dataset = file.dataset("weight");
  if (dataset.shape() != shape_like(object) && dataset.elements() != static_cast<int64_t>(object.data.size()))
    throw FileError(file.path(), "weight", "has the shape " + dataset.shape_text() + "; the object's was expected");
  std::vector<float> weight = dataset.read_all<float>();
  for (float w : weight)
    if (!(w >= 0 && std::isfinite(w)))
      throw FileError(file.path(), "weight", fmt::format("holds {}; weights must be finite and not negative", w));
  return weight;
}

std::vector<std::array<double, 2>> read_positions(const h5::File& file) {
  const h5::Dataset dataset = file.dataset("positions_px");
  if (dataset.rank() != 2 || dataset.shape()[1] != 2)
    throw FileError(file.path(), "positions_px", "has the shape " + dataset.shape_text() + "; [S,2] was expected");
  if (dataset.text("origin").value_or("centre") != "centre")
    throw FileError(file.path(), "positions_px", "attribute 'origin' must be 'centre' in a reconstruction file");
  const std::vector<double> values = dataset.read_all<double>();
  std::vector<std::array<double, 2>> positions(values.size() / 2);
  for (size_t s = 0; s < positions.size(); ++s) {
    positions[s] = {values[2 * s], values[2 * s + 1]};
    for (const double p : positions[s])
      if (!(std::abs(p) <= farthest_px))
        throw FileError(file.path(), "positions_px",
                        fmt::format("position {} is [{:.6g}, {:.6g}]; finite numbers of at most 1e9 were expected", s,
                                    positions[s][0], positions[s][1]));
  }
  return positions;
}

int64_t read_pattern_count(const h5::File& file) {
  const double count = file.number("patterns").value_or(0);
  if (!is_count(count))
    throw FileError(file.path(), fmt::format("attribute 'patterns' is {}; a number of patterns was expected", count));
  return static_cast<int64_t>(count);
}

}  // namespace

void write_reconstruction(const std::string& path, const Reconstruction& r, bool force) {
  check_writable(path, r);
  AtomicFile output(path, force);
  h5::File file = h5::File::create(output.temporary_path(), path);
  file.set_text("format", format_name);
  file.set_integer("format_version", 1);
  file.set_integer("patterns", r.pattern_count);
  file.set_number("seconds", r.seconds);
  if (r.seconds > 0) file.set_number("patterns_per_second", static_cast<double>(r.pattern_count) / r.seconds);
  file.set_text("device", r.device);
  file.set_text("precision", r.precision);
  file.set_text("version", r.version);
  file.set_text("config", r.config);

  {
    h5::Dataset object = write_hdf5_image(file, "object", r.object);
    object.set_integers("origin_px", r.origin_px);
    if (r.pixel_size_m) object.set_number("pixel_size_m", *r.pixel_size_m);
  }
  file.write<float>("weight", shape_like(r.object), r.weight);
  if (!r.probe.empty()) {
    h5::Dataset probe = write_hdf5_image(file, "probe", r.probe);
    if (r.mean_counts > 0) probe.set_number("mean_counts", r.mean_counts);
  }
  if (!r.positions_px.empty()) {
    std::vector<double> positions;
    for (const auto& p : r.positions_px) positions.insert(positions.end(), p.begin(), p.end());
    h5::Dataset dataset =
        file.write<double>("positions_px", {static_cast<int64_t>(r.positions_px.size()), 2}, positions);
    dataset.set_text("origin", "centre");
    if (r.positions_corrected) dataset.set_integer("corrected", 1);
  }
  if (!r.residual.empty()) file.write<double>("residual", {static_cast<int64_t>(r.residual.size())}, r.residual);
  if (!r.patches.empty())
    file.write<std::complex<float>>("patches", {r.patches.depth, r.patches.height, r.patches.width}, r.patches.data);
  file.close();
  output.commit();
}

Reconstruction read_reconstruction(const std::string& path) {
  const h5::File file = h5::File::open(path);
  const std::string format = file.text("format").value_or(format_name);
  if (format != format_name)
    throw FileError(
        path, "attribute 'format' is '" + format + "'; a reconstruction file ('" + format_name + "') was expected");
  const double version = file.number("format_version").value_or(1);
  if (version != 1)
    throw FileError(path, fmt::format("reconstruction file of version {}; this program reads version 1", version));

  Reconstruction r;
  const h5::Dataset object = file.dataset("object", "a reconstruction file holds its image there, [H,W]");
  r.object = read_hdf5_image(object);
  r.origin_px = whole_origin(object);
  r.pixel_size_m = object.number("pixel_size_m");
  r.weight = read_weight(file, r.object);
  if (file.has("probe")) {
    const h5::Dataset probe = file.dataset("probe");
    r.probe = read_hdf5_image(probe);
    r.mean_counts = probe.number("mean_counts").value_or(0);
    if (!(r.mean_counts >= 0) || !std::isfinite(r.mean_counts))
      throw FileError(path, "probe",
                      fmt::format("attribute 'mean_counts' is {}, expected a positive number", r.mean_counts));
  }
  if (file.has("positions_px")) {
    r.positions_px = read_positions(file);
    r.positions_corrected = file.dataset("positions_px").number("corrected").value_or(0) != 0;
  }
  if (file.has("residual")) r.residual = file.dataset("residual").read_all<double>();
  if (file.has("patches")) r.patches = read_hdf5_image(file.dataset("patches"));
  r.pattern_count = read_pattern_count(file);
  r.seconds = file.number("seconds").value_or(0);
  r.device = file.text("device").value_or("");
  r.precision = file.text("precision").value_or("");
  r.version = file.text("version").value_or("");
  r.config = file.text("config").value_or("");
  return r;
}

}  // namespace ptyfuse::io
