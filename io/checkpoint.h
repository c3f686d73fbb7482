#pragma once
#include <array>
#include <cstdint>
#include <optional>
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

/// Atomic replace of path, with a checksum of every dataset and one over everything. FileError as AtomicFile.
void write_checkpoint(const std::string& path, const Checkpoint& checkpoint);
/// FileError: not a checkpoint, another version, something missing, without a checksum; bytes that do not match
/// theirs, and which dataset holds them.
Checkpoint read_checkpoint(const std::string& path);
/// Its number of whole epochs, read without the rest; nullopt where there is no checkpoint that can be opened.
std::optional<int64_t> checkpoint_epoch(const std::string& path);

/// CRC-32 of the tensors' values, one tensor behind the other.
uint32_t crc32(const std::vector<NamedTensor>& tensors);

}  // namespace ptyfuse::io
