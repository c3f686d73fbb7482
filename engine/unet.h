#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "autodiff/tape.h"
#include "engine/config.h"
#include "engine/random.h"

namespace ptyfuse {

/// One tensor of a network in the flat parameter buffer.
struct ParameterEntry {
  std::string name;    ///< "enc.0.conv0/kernel", the names of section 3's layers as the golden files have them
  Shape shape;         ///< [3,3,in,out] or [out]
  int64_t offset = 0;  ///< elements from the buffer's start
};

/// What a network consists of, without memory: the layout of its parameters and how to record it on a tape.
class UNet {
 public:
  /// PtychoPINN's generator, section 3. Error(shape): N not 64, 128 or 256; gridsize not 1 or 2; filters_scale that
  /// gives no whole, positive widths (0.25 to 4 in quarters is fine for every N); a shared network for a group whose
  /// members share one object (gridsize 2, object_big off).
  static UNet generator(const GeneratorConfig& config);
  /// The supervised baseline of section 5: 1 channel, two decoders with linear outputs. Takes side_px, filters_scale
  /// and precision of config; its own config() then says gridsize 1, object_big off.
  static UNet supervised(const GeneratorConfig& config);

  /// Whether there is a network for patterns of this side.
  static bool takes_side(int64_t side_px) { return side_px == 64 || side_px == 128 || side_px == 256; }

  const GeneratorConfig& config() const { return config_; }
  bool is_supervised() const { return supervised_; }
  const std::vector<ParameterEntry>& parameters() const { return parameters_; }
  int64_t parameter_count() const { return parameter_count_; }

  /// Uniform kernels, zero biases, into values [parameter_count()]. A kernel's bound is sqrt(6/(9 in + 9 out)) by
  /// Glorot; by He sqrt(6/(9 in)), and for the heads a tenth of Glorot's. Source: He et al. 2015.
  void initialise(Random& random, Initialisation how, std::span<float> values) const;

  /// Every convolution for so many images at a time (groups, or their members where the network is shared), in order of
  /// computation: what a cost is counted from.
  std::vector<ops::Conv3x3Spec> convolutions(int64_t images) const;

  /// Amplitude and phase of x [images,N,N,input channels]: [images,N,N,head channels] each.
  struct Output {
    autodiff::ValueId amplitude, phase;
  };
  /// parameters, gradients [parameter_count()] in the device's memory; gradients may be empty for inference. Each stage
  /// of encoder and decoders is a segment of the tape.
  Output record(autodiff::Tape& tape, autodiff::ValueId x, TensorView<float> parameters,
                TensorView<float> gradients) const;

 private:
  GeneratorConfig config_;
  bool supervised_ = false;
  std::vector<ParameterEntry> parameters_;
  int64_t parameter_count_ = 0;
};

}  // namespace ptyfuse
