#include "engine/pattern_model.h"

#include <algorithm>
#include <cmath>

#include "engine/object_patch.h"
#include "engine/part_progress.h"

namespace ptyfuse {

PatternModel::PatternModel(const Device& device, const io::ComplexImage& objects, const io::ComplexImage& probe,
                           int64_t largest_piece)
    : device_(device),
      stream_(device),
      objects_(&objects),
      probe_(&probe),
      transform_(device, probe.width, probe.width) {
  take_memory(largest_piece);
  patches_host_.resize(static_cast<size_t>(fields_.elements()));
  fields_host_.resize(patches_host_.size());
}

void PatternModel::take_memory(int64_t largest_piece) {
  for (int64_t piece = largest_piece;; piece = (piece + 1) / 2) {
    try {
      fields_ = Tensor<complex64>(device_, {piece, probe_->width, probe_->width}, "exit waves");
      return;
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::memory || piece <= 1) throw;
    }
  }
}

void PatternModel::amplitudes(std::span<const std::array<double, 2>> positions_px,
                              std::span<const int32_t> object_index, std::span<float> out) {
  const size_t frames = positions_px.size(), pixels = static_cast<size_t>(probe_->width * probe_->width);
  if (object_index.size() != frames || out.size() != frames * pixels)
    throw_shape_error("pattern model", std::to_string(frames) + " frames, " + std::to_string(object_index.size()) +
                                           " object indices and " + std::to_string(out.size()) + " pixels do not fit");
  for (size_t first = 0; first < frames; first += static_cast<size_t>(fields_.shape()[0])) {
    const size_t count = std::min(frames - first, static_cast<size_t>(fields_.shape()[0]));
    piece_amplitudes(positions_px.subspan(first, count), object_index.subspan(first, count),
                     out.subspan(first * pixels, count * pixels));
  }
}

void PatternModel::piece_amplitudes(std::span<const std::array<double, 2>> positions_px,
                                    std::span<const int32_t> object_index, std::span<float> out) {
  const int64_t pixels = probe_->width * probe_->width;
  const auto frames = static_cast<int64_t>(positions_px.size());
  const TensorView<complex64> fields = fields_.view().slice(0, 0, frames);
  for (int64_t mode = 0; mode < probe_->depth; ++mode) {
    const complex64* probe = probe_->data.data() + mode * pixels;
    device_.parallel_for(frames, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t n = begin; n < end; ++n) {
        complex64* patch = patches_host_.data() + n * pixels;
        complex64* field = fields_host_.data() + n * pixels;
        const auto frame = static_cast<size_t>(n);
        if (mode == 0)
          cut_patch(*objects_, object_index[frame], positions_px[frame], probe_->width,
                    std::span(patch, static_cast<size_t>(pixels)));
        for (int64_t i = 0; i < pixels; ++i) field[i] = patch[i] * probe[i];
      }
    });
    copy_to_device(stream_, fields, fields_host_.data(), frames * pixels);
    transform_.run(stream_, ops::FftDirection::forward, fields, fields);
    copy_to_host<complex64>(stream_, fields_host_.data(), fields, frames * pixels);
    const bool first = mode == 0, last = mode + 1 == probe_->depth;
    device_.parallel_for(frames, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin * pixels; i < end * pixels; ++i) {
        const auto at = static_cast<size_t>(i);
        const float intensity = std::norm(fields_host_[at]) + (first ? 0.0f : out[at]);
        out[at] = last ? std::sqrt(intensity) : intensity;
      }
    });
  }
}

double PatternModel::mean_power(std::span<const std::array<double, 2>> positions_px,
                                std::span<const int32_t> object_index, const RunControl& control) const {
  const int64_t pixels = probe_->width * probe_->width;
  const auto frames = static_cast<int64_t>(positions_px.size());
  if (frames == 0) return 0;
  std::vector<double> illumination(static_cast<size_t>(pixels), 0);
  for (size_t i = 0; i < probe_->data.size(); ++i)
    illumination[i % illumination.size()] += std::norm(std::complex<double>(probe_->data[i]));
  std::vector<double> power(static_cast<size_t>(frames));
  constexpr int64_t pixels_between_looks = 1 << 24;
  const int64_t between_looks = std::max<int64_t>(pixels_between_looks / pixels, 1);
  PartProgress progress(control, "% of the mean counts", static_cast<double>(frames));
  for (int64_t first = 0; first < frames; first += between_looks) {
    const int64_t count = std::min(between_looks, frames - first);
    device_.parallel_for(count, 1, [&](int64_t begin, int64_t end, int) {
      std::vector<complex64> patch(static_cast<size_t>(pixels));
      for (int64_t n = first + begin; n < first + end; ++n) {
        const auto frame = static_cast<size_t>(n);
        cut_patch(*objects_, object_index[frame], positions_px[frame], probe_->width, patch);
        double sum = 0;
        for (size_t i = 0; i < patch.size(); ++i) sum += illumination[i] * std::norm(std::complex<double>(patch[i]));
        power[frame] = sum;
      }
    });
    progress.advance(static_cast<double>(count));
  }
  double sum = 0;
  for (double p : power) sum += p;
  return sum / static_cast<double>(frames);
}

}  // namespace ptyfuse
