#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/config.h"
#include "engine/run_control.h"
#include "engine/unet.h"
#include "io/checkpoint.h"
#include "io/scan.h"
#include "kernels/device/device.h"

namespace ptyfuse {

/// A row of history.csv. Losses are means over groups; seconds since the start of training, over all resumes.
struct HistoryRow {
  int64_t epoch = 0, step = 0;  ///< finished epochs; steps taken
  double seconds = 0, loss = 0;
  double val_loss = 0;  ///< NaN without validation
  double learning_rate = 0, patterns_per_s = 0;
};

/// A network's weights from named tensors into one flat buffer [parameter_count()], with_scale: and the intensity scale
/// a behind it. Error(shape): a tensor is missing or has another shape.
std::vector<float> flatten_weights(const UNet& network, const std::vector<io::NamedTensor>& tensors, bool with_scale);

/// Trains one model on one scan (or several joined). A value of its own: any number may live in one process.
/// Equal configuration, scan and threads give equal bits, also across a checkpoint and resume at any step.
class Trainer {
 public:
  /// Reads the scan's power once, makes groups, scales and the network with its initial weights.
  /// Errors: everything the settings or the scan make impossible, by name; Error(memory) says which batch fits, and
  /// what the one wanted takes.
  Trainer(const Device& device, const TrainConfig& config, std::unique_ptr<io::ScanReader> scan,
          const RunControl& control);
  ~Trainer();
  Trainer(Trainer&&) noexcept;
  Trainer& operator=(Trainer&&) noexcept;

  /// The configuration with everything `auto` decided.
  const TrainConfig& config() const;
  const UNet& network() const;
  int64_t group_count() const;
  int64_t steps_per_epoch() const;
  bool finished() const;
  /// Epochs that ended, oldest first.
  const std::vector<HistoryRow>& history() const;

  /// Everything needed to go on from here. Error(numeric): a step since the last look was not finite.
  io::Checkpoint checkpoint() const;
  /// Goes on from a checkpoint. Error(shape): it belongs to another network or to other patterns.
  void restore(const io::Checkpoint& checkpoint);

  /// Trains to the end. A GPU is given a step while it works on the one before. `save` is called before the first step,
  /// every checkpoint_every epochs, at the end, and before Error(cancelled). Error(numeric): loss or gradient not
  /// finite; that step and later ones changed nothing, and nothing is saved.
  void run(const std::function<void(const Trainer&)>& save);

  /// One step on the next batch, for benchmarks and tests; returns its loss.
  double step();
  /// The same as run() takes it: a GPU is given the step when the one before the last is done, and works on it after
  /// the return.
  void advance();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ptyfuse
