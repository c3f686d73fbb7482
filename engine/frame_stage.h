#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "engine/config.h"
#include "kernels/device/buffer.h"
#include "kernels/device/event.h"
#include "kernels/device/pinned_buffer.h"

namespace ptyfuse {

/// X = factor * frames as a network takes it: frames [images*channels,pixels] amplitudes, image by image, its channels
/// in order, to out [images,pixels,channels] on the host.
void arrange_frames(const Device& device, std::span<const float> frames, int64_t channels, int64_t pixels, float factor,
                    float* out);

/// The way of a network's input to the device: the next batch travels while the present one computes.
///
///   stage.put(loader.next(), factor);        // batch 0
///   for (each batch k) {
///     stage.take(stream, graph.x());         // x is batch k
///     graph.run(stream);                     // on a GPU: launched, not done
///     stage.put(loader.next(), factor);      // batch k+1, where there is one
///     ... wait for what batch k gives ...
///   }
///
/// On a GPU put() arranges the frames in one of two pinned slots, chunk by chunk, and each chunk is copied on a stream
/// of its own while the next is arranged and the kernels of batch k run. The device has one slot: the copy begins when
/// the kernels have taken batch k, and take() lets the kernels' stream begin behind the copy by an event. The host
/// waits in put() alone, and only where the slot's former copy, of two batches ago, is still in flight. So put()
/// belongs behind the launch of batch k and before anything that waits for it. On the CPU nothing runs at the same
/// time: put() and take() are the two halves of one copy. Not thread-safe.
class FrameStage {
 public:
  /// For batches of at most largest_groups groups. Error(memory).
  FrameStage(const Device& device, const GeneratorConfig& network, int64_t largest_groups);
  FrameStage(const FrameStage&) = delete;
  FrameStage& operator=(const FrameStage&) = delete;
  ~FrameStage();

  /// frames as arrange_frames() takes them; may change after the return. What was put before and not taken is dropped.
  /// Error(shape): not whole images, or more than the stage was made for.
  void put(std::span<const float> frames, float factor);
  /// The batch put last to x [images,N,N,channels] contiguous, in stream order. Error(shape): another number of images,
  /// or nothing was put since.
  void take(Stream& stream, TensorView<float> x);

 private:
  int64_t channels_ = 0, pixels_ = 0, largest_images_ = 0;
  Stream copies_;
  std::array<PinnedBuffer, 2> host_;
  Buffer device_;                // of a GPU
  std::array<Event, 2> copied_;  // the host slot has been read
  Event taken_;                  // the device's slot has been read
  size_t turn_ = 0;              // the host slot in use
  int64_t staged_images_ = 0;
};

}  // namespace ptyfuse
