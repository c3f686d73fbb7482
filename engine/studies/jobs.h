#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/evaluation.h"
#include "engine/reconstructor.h"
#include "engine/refine.h"
#include "engine/studies/study.h"
#include "engine/trainer.h"
#include "io/checkpoint.h"
#include "io/npz.h"

// What arms are made of: train, reconstruct, refine, compare; in this process, from values to values.
namespace ptyfuse::studies {

using ScanOpener = std::function<std::unique_ptr<io::ScanReader>()>;

/// Epochs, groups, batch and width as the user gave them, where given.
void take_given(const StudyConfig& config, TrainConfig& network);

/// A network trained on a scan.
struct Training {
  io::Checkpoint model;
  std::vector<HistoryRow> history;  ///< epoch by epoch; at least one
  double seconds = 0;
  int64_t groups = 0;

  int64_t epochs() const { return static_cast<int64_t>(history.size()); }
};
/// Errors as Trainer.
Training train(const ArmContext& context, const TrainConfig& config, const ScanOpener& open);

/// Errors as Reconstructor; Error(cancelled) also where it stopped within the sweeps.
io::Reconstruction reconstruct(const ArmContext& context, const io::Checkpoint& model, const ReconstructConfig& config,
                               const ScanOpener& open);

/// Refinement from a flat object with `probe`, or the scan's where it is empty. seconds: the sweeps alone.
io::Reconstruction refine_flat(const ArmContext& context, const RefineConfig& config, const io::ComplexImage& probe,
                               const ScanOpener& open);
/// Refinement from a reconstruction, whose probe it takes.
io::Reconstruction refine_on(const ArmContext& context, const RefineConfig& config, const io::Reconstruction& start,
                             const ScanOpener& open);

/// evaluate() where the region may reach beyond the reconstruction, as with few frames: what it leaves out is 0 there,
/// and `uncovered` counts it.
Evaluation evaluate_widened(const io::Reconstruction& reconstruction, const io::ComplexImage& truth,
                            const EvaluationConfig& config);

/// Every figure of an evaluation as cells: amplitude_ssim, phase_ssim, ..., contrast, residual, uncovered, height_px,
/// width_px; undefined ones are empty.
io::Row metric_cells(const Evaluation& evaluation);

/// Empty where there is no figure.
inline io::Cell cell(const std::optional<double>& figure) {
  return figure ? io::Cell(*figure) : io::Cell();
}
/// [H,W] complex64.
io::NpzArray npz_array(std::string key, const FieldImage& image);

/// Curves train_loss and val_loss of the outcome, a value for each epoch; validation's are missing where there is none.
void record_losses(const Training& training, ArmOutcome& outcome);

/// A row of `labels` and metrics, the FRC curves (amplitude_frc, phase_frc, each with `suffix`) and, as products of the
/// arm, NAME + suffix + .npz with the compared region: `truth` and `reconstruction` (fitted to the truth by a global
/// phase, scale and ramp), complex64; and .png with both side by side.
void record(const ArmContext& context, ArmOutcome& outcome, io::Row labels, const Evaluation& evaluation,
            const std::string& suffix = "");

/// The settings of a table as "prefix.name" and value, without those that no result depends on (memory, checkpoints).
Settings settings_of(const OptionTable& table, const std::string& prefix);
/// All that a network's outcome depends on beside its scan.
Settings settings_of(const TrainConfig& config);
Settings settings_of(const ReconstructConfig& config);
Settings settings_of(const RefineConfig& config);

inline Settings operator+(Settings a, const Settings& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// A number of the bytes and the length of the file that FILE[:DATASET] names, and ":DATASET": what an arm's settings
/// say of a file, whose name alone says nothing. A change within eight bytes always shows, any other but for one in
/// 2^64. It is against accidents: who wants two files of one number can make them. FileError: it cannot be read.
std::string file_fingerprint(const std::string& file_and_dataset);

}  // namespace ptyfuse::studies
