#include "io/scan_parts.h"

#include <algorithm>
#include <cmath>

namespace ptyfuse::io {

void check_finite(const std::string& path, const std::string& dataset, const ComplexImage& image) {
  for (size_t i = 0; i < image.data.size(); ++i) {
    if (std::isfinite(image.data[i].real()) && std::isfinite(image.data[i].imag())) continue;
    const auto at = static_cast<int64_t>(i), pixels = image.height * image.width;
    throw FileError(path, dataset,
                    fmt::format("element [{}, {}, {}] is NaN or infinite; every element must be finite", at / pixels,
                                at % pixels / image.width, at % image.width));
  }
}

namespace {

void check_sizes(const ScanInfo& info, const PartNames& names) {
  constexpr int64_t largest_side_px = 16384;
  const auto count = static_cast<int64_t>(info.positions_px.size());
  if (info.frames < 1 || info.side_px < 1) throw FileError(info.path, names.frames, "holds no frames");
  if (info.side_px > largest_side_px)
    throw FileError(info.path, names.frames,
                    fmt::format("frames of {} pixels a side; at most {} are possible", info.side_px, largest_side_px));
  if (count != info.frames)
    throw FileError(info.path, names.positions,
                    fmt::format("{} positions for {} frames; each frame needs one", count, info.frames));
}

void check_positions(const ScanInfo& info, const PartNames& names) {
  // Far beyond any scan, and near enough that doubles and whole numbers still hold each position exactly.
  constexpr double farthest_px = 1e9;
  for (size_t s = 0; s < info.positions_px.size(); ++s)
    for (double p : info.positions_px[s])
      if (!std::isfinite(p) || std::abs(p) > farthest_px)
        throw FileError(
            info.path, names.positions,
            fmt::format("position {} is [{:.6g}, {:.6g}]; positions must be {}", s, info.positions_px[s][0],
                        info.positions_px[s][1], std::isfinite(p) ? "pixels of the object, at most 1e9" : "finite"));
}

void check_probe(const ScanInfo& info, const PartNames& names) {
  const ComplexImage& probe = info.probe;
  if (probe.empty()) return;
  if (probe.height != info.side_px || probe.width != info.side_px)
    throw FileError(info.path, names.probe,
                    fmt::format("is {} x {} pixels, the frames are {} x {}; a probe must have the frames' size",
                                probe.height, probe.width, info.side_px, info.side_px));
  check_finite(info.path, names.probe, probe);
  if (std::all_of(probe.data.begin(), probe.data.end(), [](auto p) { return p == std::complex<float>(); }))
    throw FileError(info.path, names.probe, "is zero everywhere; remove it from the file or store a real one");
}

void check_mask(const ScanInfo& info, const PartNames& names) {
  if (info.mask.empty()) return;
  if (static_cast<int64_t>(info.mask.size()) != info.side_px * info.side_px)
    throw FileError(info.path, names.mask,
                    fmt::format("does not have the frames' shape [{}, {}]", info.side_px, info.side_px));
  if (std::none_of(info.mask.begin(), info.mask.end(), [](uint8_t m) { return m != 0; }))
    throw FileError(info.path, names.mask, "excludes every pixel (0 everywhere); 1 means use");
}

void check_object_index(const ScanInfo& info, const PartNames& names) {
  const int64_t images = info.object.empty() ? 0 : info.object.depth;
  if (info.object_index.empty()) {
    if (images > 1)
      throw FileError(info.path, "object_index",
                      fmt::format("is missing; '{}' holds {} images, so each frame must say which is its own",
                                  names.object, images));
    return;
  }
  if (static_cast<int64_t>(info.object_index.size()) != info.frames)
    throw FileError(
        info.path, "object_index",
        fmt::format("{} entries for {} frames; each frame needs one", info.object_index.size(), info.frames));
  const int64_t limit = images > 0 ? images : info.frames;  // no more images than frames
  for (size_t s = 0; s < info.object_index.size(); ++s)
    if (info.object_index[s] < 0 || info.object_index[s] >= limit)
      throw FileError(info.path, "object_index",
                      fmt::format("entry {} is {}; expected 0 to {}", s, info.object_index[s], limit - 1));
}

void check_groups(const ScanInfo& info) {
  const auto entries = static_cast<int64_t>(info.groups.size());
  if (entries == 0) return;
  if (info.group_members < 1 || entries % info.group_members != 0)
    throw FileError(info.path, "groups", fmt::format("{} entries are not groups of {}", entries, info.group_members));
  for (int64_t i = 0; i < entries; ++i) {
    const int64_t frame = info.groups[static_cast<size_t>(i)];
    if (frame < 0 || frame >= info.frames)
      throw FileError(
          info.path, "groups",
          fmt::format("group {} names frame {}; expected 0 to {}", i / info.group_members, frame, info.frames - 1));
  }
}

}  // namespace

void check_parts(const ScanInfo& info, const PartNames& names) {
  check_sizes(info, names);
  check_positions(info, names);
  check_probe(info, names);
  check_mask(info, names);
  check_finite(info.path, names.object, info.object);
  check_object_index(info, names);
  check_groups(info);
}

void check_frame_range(const ScanInfo& info, const std::string& dataset, int64_t first, int64_t count, size_t room) {
  if (first < 0 || count < 0 || first > info.frames - count)
    throw FileError(
        info.path, dataset,
        fmt::format("{} frames from {} on were asked for; it holds frames 0 to {}", count, first, info.frames - 1));
  if (static_cast<int64_t>(room) != count * info.side_px * info.side_px)
    throw FileError(info.path, dataset, fmt::format("room for {} values does not fit {} frames", room, count));
}

ComplexImage read_hdf5_image(const h5::Dataset& dataset) {
  const auto& shape = dataset.shape();
  if ((shape.size() != 2 && shape.size() != 3) || dataset.elements() == 0)
    throw FileError(dataset.path(), dataset.name(),
                    "has the shape " + dataset.shape_text() + "; an image [H,W] or a stack [n,H,W] was expected");
  ComplexImage image;
  image.depth = shape.size() == 3 ? shape[0] : 1;
  image.height = shape[shape.size() - 2];
  image.width = shape[shape.size() - 1];
  image.data = dataset.read_all<std::complex<float>>();
  check_finite(dataset.path(), dataset.name(), image);
  return image;
}

h5::Dataset write_hdf5_image(h5::File& file, const std::string& name, const ComplexImage& image) {
  std::vector<int64_t> shape = {image.depth, image.height, image.width};
  if (image.depth == 1) shape.erase(shape.begin());
  return file.write<std::complex<float>>(name, shape, image.data);
}

std::optional<double> settle_pixel_size(const std::string& path, std::optional<double> stated,
                                        std::optional<double> hint) {
  if (hint && !(*hint > 0 && std::isfinite(*hint)))
    throw FileError(path, fmt::format("--pixel-size-m {} was given; a positive number of metres was expected", *hint));
  if (stated && hint && std::abs(*stated - *hint) > 1e-6 * *stated)
    throw FileError(path, fmt::format("states a pixel size of {} m but --pixel-size-m {} was given; leave the option "
                                      "out, or correct the file if it is wrong",
                                      *stated, *hint));
  return stated ? stated : hint;
}

}  // namespace ptyfuse::io
