#pragma once
#include <memory>
#include <optional>
#include <string>

#include "engine/trainer.h"
#include "io/folder_lock.h"

namespace ptyfuse {

/// A training run's folder: config.toml, model.h5, best.h5, history.csv, history.png, log.txt (docs/file_formats.md).
/// Every file but the log is replaced whole; the log only grows. It belongs to one process at a time.
class RunFolder {
 public:
  /// Makes nothing yet. FileError: it holds a run already and !resume; it holds none and resume; it is a file; another
  /// run is at work in it.
  RunFolder(const std::string& path, bool resume);

  const std::string& path() const { return path_; }
  std::string model_path() const { return path_ + "/model.h5"; }
  /// Whether a checkpoint lies in it, sound or not.
  bool holds_checkpoint() const;
  /// Makes the folder where it is missing, and removes temporary files that a killed run left in it. `surroundings`:
  /// further lines of config.toml that belong to the run (device, threads). FileError: another run has begun in it.
  void write_config(const Trainer& trainer, const std::string& surroundings);
  /// model.h5; best.h5 where the epoch that has just ended is the best so far; history.csv and history.png. Best:
  /// lowest validation loss, without validation lowest loss, of the epochs that were saved.
  void save(const Trainer& trainer) const;
  /// One line into log.txt, with the time; nothing before write_config() made the folder.
  void log(const std::string& line) const;

 private:
  /// FileError where there is a run already.
  void refuse_second_run() const;

  std::string path_;
  io::FolderLock lock_;
};

/// model.h5 of a run folder, or the checkpoint file itself. FileError; of one of a run's two checkpoints it says
/// whether the other one is sound, and what to do with it.
io::Checkpoint read_model(const std::string& run_or_file);
/// The epoch of a run folder's best.h5; nullopt where there is none.
std::optional<int64_t> best_epoch(const std::string& run);

}  // namespace ptyfuse
