#include <algorithm>
#include <cmath>
#include <limits>

#include "io/atomic_file.h"
#include "io/hdf5.h"
#include "io/scan.h"
#include "io/scan_parts.h"

namespace ptyfuse::io {

namespace {

void write_attributes(h5::File& file, const ScanInfo& info) {
  file.set_text("format", "ptyfuse-scan");
  file.set_integer("version", 1);
  const std::pair<const char*, std::optional<double>> numbers[] = {{"energy_eV", info.energy_ev},
                                                                   {"detector_distance_m", info.detector_distance_m},
                                                                   {"detector_pixel_m", info.detector_pixel_m},
                                                                   {"pixel_size_m", info.pixel_size_m},
                                                                   {"photons_per_pattern", info.photons_per_pattern}};
  for (const auto& [name, value] : numbers)
    if (value) file.set_number(name, *value);
}

void write_parts(h5::File& file, const ScanInfo& info) {
  std::vector<double> positions;
  for (const auto& p : info.positions_px) positions.insert(positions.end(), p.begin(), p.end());
  h5::Dataset written = file.write<double>("positions_px", {info.frames, 2}, positions);
  written.set_text("origin", "centre");
  written.set_text("order", "y,x");
  if (!info.probe.empty()) write_hdf5_image(file, "probe", info.probe);
  if (!info.mask.empty()) file.write<uint8_t>("mask", {info.side_px, info.side_px}, info.mask);
  if (!info.object.empty()) {
    h5::Dataset object = write_hdf5_image(file, "object", info.object);
    if (!info.object_kind.empty()) object.set_text("kind", info.object_kind);
  }
  if (!info.object_index.empty()) file.write<int32_t>("object_index", {info.frames}, info.object_index);
  if (!info.groups.empty())
    file.write<int64_t>("groups", {static_cast<int64_t>(info.groups.size()) / info.group_members, info.group_members},
                        info.groups);
}

}  // namespace

struct ScanWriter::Impl {
  Impl(const std::string& output_path, const ScanInfo& info, Domain stored_domain, bool integers, bool compress,
       bool force)
      : path(output_path),
        frames(info.frames),
        pixels(info.side_px * info.side_px),
        domain(stored_domain),
        as_integers(integers),
        output(output_path, force),
        file(h5::File::create(output.temporary_path(), output_path)) {
    write_attributes(file, info);
    const std::vector<int64_t> shape = {frames, info.side_px, info.side_px};
    const h5::Storage storage = {{1, info.side_px, info.side_px}, compress ? 1 : 0};
    dataset = integers ? file.create_dataset<uint32_t>("diffraction", shape, storage)
                       : file.create_dataset<float>("diffraction", shape, storage);
    dataset.set_text("domain", domain == Domain::counts ? "counts" : "amplitude");
    dataset.set_text("dc", "centre");
    write_parts(file, info);
  }

  [[noreturn]] void refuse(size_t at, double value) const {
    throw FileError(path, "diffraction",
                    fmt::format("frame {} would hold {}; {}", written + static_cast<int64_t>(at) / pixels, value,
                                value > 0 ? "the largest count is 4294967295" : "it must be finite and not negative"));
  }

  void append_integers(std::span<const float> amplitude) {
    std::vector<uint32_t> counts(amplitude.size());
    for (size_t i = 0; i < counts.size(); ++i) {
      const double count = std::round(static_cast<double>(amplitude[i]) * static_cast<double>(amplitude[i]));
      if (!(amplitude[i] >= 0 && count <= std::numeric_limits<uint32_t>::max()))
        refuse(i, amplitude[i] < 0 ? -1 : count);
      counts[i] = static_cast<uint32_t>(count);
    }
    dataset.write_rows<uint32_t>(written, static_cast<int64_t>(counts.size()) / pixels, counts);
  }

  void append_reals(std::span<const float> amplitude) {
    std::vector<float> values(amplitude.size());
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = domain == Domain::counts ? amplitude[i] * amplitude[i] : amplitude[i];
      if (!(amplitude[i] >= 0 && std::isfinite(values[i]))) refuse(i, amplitude[i] < 0 ? amplitude[i] : NAN);
    }
    dataset.write_rows<float>(written, static_cast<int64_t>(values.size()) / pixels, values);
  }

  std::string path;
  int64_t frames, pixels, written = 0;
  Domain domain;
  bool as_integers;
  AtomicFile output;  // outlives the open HDF5 file, which is closed before its temporary name goes
  h5::File file;
  h5::Dataset dataset;
};

ScanWriter::ScanWriter(const std::string& path, const ScanInfo& info, Domain domain, bool as_integers, bool compress,
                       bool force) {
  if (as_integers && domain == Domain::amplitude)
    throw FileError(path, "diffraction", "amplitudes cannot be stored as integers; store counts instead");
  ScanInfo named = info;
  named.path = path;
  check_parts(named, {});
  impl_ = std::make_unique<Impl>(path, info, domain, as_integers, compress, force);
}

ScanWriter::~ScanWriter() = default;

void ScanWriter::append_amplitude(std::span<const float> amplitude) {
  const auto count = static_cast<int64_t>(amplitude.size()) / impl_->pixels;
  if (static_cast<int64_t>(amplitude.size()) != count * impl_->pixels || impl_->written + count > impl_->frames)
    throw FileError(impl_->path, "diffraction",
                    fmt::format("{} values after frame {} do not fit {} frames of {} pixels", amplitude.size(),
                                impl_->written, impl_->frames, impl_->pixels));
  if (impl_->as_integers) {
    impl_->append_integers(amplitude);
  } else {
    impl_->append_reals(amplitude);
  }
  impl_->written += count;
}

void ScanWriter::commit() {
  if (impl_->written != impl_->frames)
    throw FileError(impl_->path, "diffraction",
                    fmt::format("{} of {} frames were written", impl_->written, impl_->frames));
  impl_->dataset.flush();
  impl_->dataset = h5::Dataset();
  impl_->file.close();
  impl_->output.commit();
}

}  // namespace ptyfuse::io
