#pragma once
// What the scan readers of this room share.
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>

#include "io/file_error.h"
#include "io/hdf5.h"
#include "io/scan.h"

namespace ptyfuse::io {

std::unique_ptr<ScanReader> open_hdf5_scan(const std::string& path, const ScanHints& hints, int threads);
std::unique_ptr<ScanReader> open_npz_scan(const std::string& path, const ScanHints& hints);

/// Datasets [H,W] or [depth,H,W], complex or real. FileError: another rank, an empty axis, a value that is not finite.
ComplexImage read_hdf5_image(const h5::Dataset& dataset);

/// One image is written [H,W], a stack [depth,H,W].
h5::Dataset write_hdf5_image(h5::File& file, const std::string& name, const ComplexImage& image);

/// What the parts of a scan are called in its file, for messages.
struct PartNames {
  const char* frames = "diffraction";
  const char* positions = "positions_px";
  const char* probe = "probe";
  const char* mask = "mask";
  const char* object = "object";
};

/// FileError unless frames, positions, probe, mask, object, object_index and groups of `info` fit together and are
/// finite.
void check_parts(const ScanInfo& info, const PartNames& names);

/// FileError unless frames [first, first+count) exist and `room` values hold them.
void check_frame_range(const ScanInfo& info, const std::string& dataset, int64_t first, int64_t count, size_t room);

/// FileError: a value that is not finite (it is named).
void check_finite(const std::string& path, const std::string& dataset, const ComplexImage& image);

/// What a file states about an item against what the user said (--option). `words` names the values. FileError: neither
/// says, they contradict, or the file's word is none of the known ones; every message names the option.
template <class E>
struct Choice {
  std::string path, dataset, attribute, option;
  std::string words[2];
  E values[2];

  E settle(const std::optional<std::string>& stated, const std::optional<E>& hint) const {
    const std::string either = fmt::format("--{} {} or --{} {}", option, words[0], option, words[1]);
    std::optional<E> value;
    for (int i = 0; stated && i < 2; ++i)
      if (*stated == words[i]) value = values[i];
    if (!value && hint) return *hint;
    if (!stated) throw FileError(path, dataset, fmt::format("attribute '{}' is missing; say {}", attribute, either));
    if (!value)
      throw FileError(path, dataset,
                      fmt::format("attribute '{}' is '{}'; expected '{}' or '{}'; say {}", attribute, *stated, words[0],
                                  words[1], either));
    if (hint && *hint != *value)
      throw FileError(path, dataset,
                      fmt::format("attribute '{}' is '{}' but --{} {} was given; leave the option out, or correct the "
                                  "file if it is wrong",
                                  attribute, *stated, option, *hint == values[0] ? words[0] : words[1]));
    return *value;
  }
};

inline Choice<Domain> domain_choice(const std::string& path, const std::string& dataset) {
  return {path, dataset, "domain", "domain", {"counts", "amplitude"}, {Domain::counts, Domain::amplitude}};
}
inline Choice<DcPlace> dc_choice(const std::string& path, const std::string& dataset) {
  return {path, dataset, "dc", "dc", {"centre", "corner"}, {DcPlace::centre, DcPlace::corner}};
}
inline Choice<Origin> origin_choice(const std::string& path, const std::string& dataset) {
  return {path, dataset, "origin", "origin", {"corner", "centre"}, {Origin::corner, Origin::centre}};
}
inline Choice<AxisOrder> order_choice(const std::string& path, const std::string& dataset) {
  return {path, dataset, "order", "order", {"yx", "xy"}, {AxisOrder::yx, AxisOrder::xy}};
}

/// The file's pixel size and the user's: whichever is known. FileError: they differ by more than a part in a million.
std::optional<double> settle_pixel_size(const std::string& path, std::optional<double> stated,
                                        std::optional<double> hint);

}  // namespace ptyfuse::io
