#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "io/scan.h"

namespace ptyfuse::io {

/// One named tensor of a model, host memory.
struct NamedTensor {
  std::string name;  ///< "enc.0.conv0/kernel"
  std::vector<int64_t> shape;
  std::vector<float> data;
};

/// model.h5 of a run folder: all that a run needs to go on bit for bit, and a reconstruction needs to start.
struct Checkpoint {
  std::string config;                ///< TOML, every setting in force
  std::vector<NamedTensor> weights;  ///< stored under weights/NAME
  std::vector<NamedTensor> adam_m, adam_v;
  int64_t step = 0, epoch = 0;  ///< steps taken; whole epochs done
  int64_t step_in_epoch = 0;
  std::vector<uint64_t> random_state;
  double normalisation = 0;   ///< X = normalisation * amplitude
  double log_scale = 0;       ///< a
  double measured_scale = 0;  ///< s
  double learning_rate = 0;
  std::vector<double> trainer_state;  ///< callbacks' state: see engine/trainer.cpp
  int64_t canvas = 0;
  ComplexImage probe;  ///< as used in training, [modes,N,N]
};

/// Atomic replace of path. FileError as AtomicFile.
void write_checkpoint(const std::string& path, const Checkpoint& checkpoint);
/// FileError: not a checkpoint, another version, a tensor missing or of another shape than its data.
Checkpoint read_checkpoint(const std::string& path);

}  // namespace ptyfuse::io
