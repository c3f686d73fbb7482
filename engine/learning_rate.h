#pragma once
#include <cstdint>
#include <vector>

#include "engine/config.h"

namespace ptyfuse {

/// The learning rate over a run (section 5): constant; plateau (halved when the validation loss has not dropped by 1e-4
/// for 2 epochs, not below 1e-4 or the start if that is lower); cosine (linear warm-up over the first 2 % of the steps,
/// then down to a twentieth); exponential (times .95 an epoch).
class LearningRate {
 public:
  LearningRate(Schedule schedule, double start, int64_t epochs, int64_t steps_per_epoch);
  /// Of the step with this number (from 0), in the epoch with this number (from 0).
  double at(int64_t step, int64_t epoch) const;
  /// After an epoch: its loss to watch (validation, or training where there is none).
  void epoch_ended(double watched_loss);

  /// What plateau remembers, for checkpoints.
  std::vector<double> state() const { return {current_, best_, static_cast<double>(waited_)}; }
  void set_state(const std::vector<double>& state);

 private:
  Schedule schedule_;
  double start_, current_, best_;
  int64_t waited_ = 0, total_steps_;
};

/// Stops when the training loss has not improved for `patience` epochs.
class EarlyStopping {
 public:
  explicit EarlyStopping(int64_t patience = 3);
  /// True when it is time to stop.
  bool epoch_ended(double training_loss);
  std::vector<double> state() const { return {best_, static_cast<double>(waited_)}; }
  void set_state(const std::vector<double>& state);

 private:
  int64_t patience_, waited_ = 0;
  double best_;
};

}  // namespace ptyfuse
