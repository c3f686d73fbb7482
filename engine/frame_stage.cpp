#include "engine/frame_stage.h"

#include <algorithm>

namespace ptyfuse {
namespace {

// Long enough for the bus to be quick, short enough that arranging and copying overlap.
constexpr int64_t chunk_bytes = int64_t{4} << 20;

bool copies_by_itself(const Device& device) {
  return device.kind() != DeviceKind::cpu;
}

}  // namespace

void arrange_frames(const Device& device, std::span<const float> frames, int64_t channels, int64_t pixels, float factor,
                    float* out) {
  const auto images = static_cast<int64_t>(frames.size()) / (channels * pixels);
  device.parallel_for(images, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t image = begin; image < end; ++image) {
      const float* const in = frames.data() + image * channels * pixels;
      float* const channel_last = out + image * channels * pixels;
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t p = 0; p < pixels; ++p) channel_last[p * channels + c] = factor * in[c * pixels + p];
    }
  });
}

FrameStage::FrameStage(const Device& device, const GeneratorConfig& network, int64_t largest_groups)
    : channels_(network.input_channels()),
      pixels_(network.side_px * network.side_px),
      largest_images_(largest_groups * network.members() / channels_),
      copies_(device),
      copied_{Event(device), Event(device)},
      taken_(device) {
  const int64_t bytes = largest_images_ * channels_ * pixels_ * static_cast<int64_t>(sizeof(float));
  if (copies_by_itself(device)) device_ = Buffer(device, bytes, "frames of the next batch");
  for (PinnedBuffer& slot : host_) slot = PinnedBuffer(device, bytes, "frames of a batch");
}

FrameStage::~FrameStage() {
  try {
    copies_.synchronise();  // before the slots go
  } catch (const Error&) {
    // A GPU that failed says so where its results are asked for.
  }
}

void FrameStage::put(std::span<const float> frames, float factor) {
  const int64_t image = channels_ * pixels_, images = static_cast<int64_t>(frames.size()) / image;
  if (images * image != static_cast<int64_t>(frames.size()) || images < 1 || images > largest_images_)
    throw_shape_error("frame stage", std::to_string(frames.size()) + " values; expected 1 to " +
                                         std::to_string(largest_images_) + " images of " + std::to_string(image));
  staged_images_ = 0;
  turn_ = 1 - turn_;
  copied_[turn_].synchronise();
  taken_.hold_back(copies_);
  const Device& device = copies_.device();
  auto* const slot = static_cast<float*>(host_[turn_].data());
  const int64_t image_bytes = image * static_cast<int64_t>(sizeof(float)),
                chunk = copies_by_itself(device) ? std::max<int64_t>(1, chunk_bytes / image_bytes) : images;
  for (int64_t begin = 0; begin < images; begin += chunk) {
    const int64_t count = std::min(chunk, images - begin);
    arrange_frames(device, frames.subspan(static_cast<size_t>(begin * image), static_cast<size_t>(count * image)),
                   channels_, pixels_, factor, slot + begin * image);
    if (copies_by_itself(device))
      enqueue_copy_to_device(copies_, static_cast<char*>(device_.data()) + begin * image_bytes, host_[turn_],
                             begin * image_bytes, count * image_bytes);
  }
  copied_[turn_].record(copies_);
  staged_images_ = images;
}

void FrameStage::take(Stream& stream, TensorView<float> x) {
  const int64_t elements = staged_images_ * channels_ * pixels_, bytes = elements * static_cast<int64_t>(sizeof(float));
  if (staged_images_ == 0 || x.elements() != elements || !x.contiguous())
    throw_shape_error("frame stage", std::to_string(staged_images_) + " images of " +
                                         std::to_string(channels_ * pixels_) + " values are there for " +
                                         x.shape().str());
  if (copies_by_itself(stream.device())) {
    copied_[turn_].hold_back(stream);
    enqueue_copy_on_device(stream, x.data(), device_.data(), bytes);
  } else {
    enqueue_copy_to_device(stream, x.data(), host_[turn_], 0, bytes);
  }
  taken_.record(stream);
  staged_images_ = 0;
}

}  // namespace ptyfuse
