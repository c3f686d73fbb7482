#pragma once
#include <cstdint>
#include <string>

#include "kernels/ops/conv3x3.h"

namespace ptyfuse {

enum class Network { grouped, shared };
enum class AmplitudeActivation { sigmoid, swish, softplus, relu };
enum class BorderActivation { same, swish };
enum class MergeWeight { probe, square };
/// Of the first weights. he: as wide as keeps the signal's strength behind a ReLU, heads a tenth of Glorot's, so that
/// training starts from an even object and every layer learns at once. glorot: Keras' and the reference's.
enum class Initialisation { he, glorot };
enum class Toggle { off, on, automatic };
enum class Method { pinn, supervised };
enum class Schedule { constant, plateau, cosine, exponential };
enum class Clip { none, norm, value, agc };
enum class PrecisionChoice { automatic, fp32, bf16 };
enum class StitchRule { crop, probe };

/// The generator's shape (section 3 of the method). Values are final: nothing is "auto" here.
struct GeneratorConfig {
  int64_t side_px = 64;  ///< N: 64, 128 or 256
  int gridsize = 2;      ///< g; a group has g*g members
  double filters_scale = 2;
  Network network = Network::grouped;
  bool object_big = true;
  bool probe_big = true;
  bool pad_object = true;
  AmplitudeActivation amplitude = AmplitudeActivation::sigmoid;
  BorderActivation border = BorderActivation::same;
  ops::Precision precision = ops::Precision::fp32;

  int64_t members() const { return int64_t{gridsize} * gridsize; }
  int64_t input_channels() const { return network == Network::shared ? 1 : members(); }
  /// Channels of each head of one network application.
  int64_t head_channels() const { return object_big && network == Network::grouped ? members() : 1; }
  /// Object patches that the network gives for one group: members(), or 1 where members share an object.
  int64_t heads() const { return object_big ? members() : 1; }
};

/// What a user sets for training; names are those of the command line (--filters-scale is filters_scale).
struct TrainConfig {
  std::string scans;    ///< files, separated by ':'
  int64_t side_px = 0;  ///< N; 0: the scan's
  Method method = Method::pinn;
  int64_t gridsize = 2;
  double filters_scale = 2;
  int64_t epochs = 50;
  int64_t batch = 16;     ///< groups of a step
  std::string frames;     ///< "A:B:STEP", as Python slices; empty: all
  int64_t groups = 0;     ///< 0: as many as frames (gridsize 1: all frames)
  int64_t subsample = 0;  ///< frames drawn before grouping; 0: all
  int64_t neighbors = 4;  ///< K
  bool oversample = false;
  bool exclude_seed = false;
  double nll_weight = 1, mae_weight = 0;
  double tv_weight = 0;  ///< of the region's squared forward differences, summed over pixels
  double learning_rate = 1e-3;
  Schedule schedule = Schedule::plateau;
  Clip clip = Clip::none;
  double clip_at = 0;  ///< limit (norm, value) or factor (agc); 0: 1, for agc 0.01; unused by none
  Network network = Network::grouped;
  bool object_big = true, probe_big = true;
  Toggle pad_object = Toggle::automatic;
  MergeWeight merge_weight = MergeWeight::probe;
  double merge_border = 0.02;  ///< added to |P|^2/max, or the weight outside the central square
  BorderActivation border_activation = BorderActivation::same;
  AmplitudeActivation amplitude = AmplitudeActivation::sigmoid;
  Initialisation initialisation = Initialisation::he;
  bool probe_mask = false;
  double probe_scale = 0;    ///< p_s; 0: an object of amplitude 0.65 explains the mean counts
  std::string probe;         ///< FILE[:DATASET]; empty: the scan's
  double photons = 0;        ///< mean counts of a pattern, for amplitude data; 0: measured (counts) or asked for
  bool train_scale = false;  ///< make the intensity scale a trainable
  double validation = 0.05;
  bool early_stopping = true;
  PrecisionChoice precision = PrecisionChoice::automatic;
  Toggle recompute = Toggle::automatic;  ///< of the network's stages on the way back
  int64_t host_memory_bytes = int64_t{4} << 30;
  int64_t device_memory_bytes = 0;
  int64_t checkpoint_every = 1;  ///< epochs
  uint64_t seed = 0;
};

}  // namespace ptyfuse
