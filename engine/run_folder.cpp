#include "engine/run_folder.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <memory>

#include "engine/pictures.h"
#include "engine/train_options.h"
#include "io/atomic_file.h"
#include "io/file_error.h"

namespace ptyfuse {
namespace {

namespace fs = std::filesystem;

std::string history_csv(const std::vector<HistoryRow>& history) {
  std::string text = "epoch,step,seconds,loss,val_loss,learning_rate,patterns_per_s\n";
  for (const HistoryRow& r : history)
    text += fmt::format("{},{},{:.3f},{:.9g},{},{:.6g},{:.1f}\n", r.epoch, r.step, r.seconds, r.loss,
                        std::isfinite(r.val_loss) ? fmt::format("{:.9g}", r.val_loss) : "", r.learning_rate,
                        r.patterns_per_s);
  return text;
}

// Removes what a killed run left of its unfinished files: ".NAME.*.tmp" of the names that a run writes.
void remove_leftovers(const std::string& folder) {
  std::error_code error;
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    for (const char* ours : {"config.toml", "model.h5", "best.h5", "history.csv", "history.png"})
      if (name.starts_with(fmt::format(".{}.", ours)) && name.ends_with(".tmp")) leftovers.push_back(entry.path());
  }
  for (const fs::path& path : leftovers) fs::remove(path, error);
}

std::string best_path(const std::string& folder) {
  return folder + "/best.h5";
}

// Unlike fs::exists, true where the disk fails to say.
bool may_exist(const std::string& path) {
  std::error_code error;
  return fs::symlink_status(path, error).type() != fs::file_type::not_found;
}

// By the validation loss; an epoch without a finite one is worse than one with it.
bool better(const HistoryRow& row, const HistoryRow& other) {
  const bool judged = std::isfinite(row.val_loss);
  if (judged != std::isfinite(other.val_loss)) return judged;
  return judged ? row.val_loss < other.val_loss : row.loss < other.loss;
}

// Whether the last epoch is better than the one kept; `kept` beyond the history is of another past.
bool is_best(const std::vector<HistoryRow>& history, std::optional<int64_t> kept) {
  if (history.empty()) return false;
  if (!kept || *kept < 1 || *kept > static_cast<int64_t>(history.size())) return true;
  return better(history.back(), history[static_cast<size_t>(*kept - 1)]);
}

// What to do about a checkpoint of a run that cannot be read: in words, where the other one can.
std::string other_checkpoint(const std::string& unreadable) {
  const fs::path path(unreadable);
  const bool is_best_one = path.filename() == "best.h5";
  if (!is_best_one && path.filename() != "model.h5") return "";
  const std::string other = (path.parent_path() / (is_best_one ? "model.h5" : "best.h5")).string();
  try {
    const int64_t epoch = io::read_checkpoint(other).epoch;
    const std::string whole =
        fmt::format("; {} is whole, after epoch {}: 'ptyfuse reconstruct {}' takes it", other, epoch, other);
    return is_best_one ? whole
                       : whole + fmt::format(", and after 'cp {} {}' --resume goes on from there", other, unreadable);
  } catch (const std::exception&) {  // whatever the other suffers from, this one's fault is what counts
    return "; no other checkpoint that is whole lies beside it";
  }
}

void write_history_picture(const std::vector<HistoryRow>& history, const std::string& path) {
  std::vector<double> epoch, loss, validation, rate;
  for (const HistoryRow& r : history) {
    epoch.push_back(static_cast<double>(r.epoch));
    loss.push_back(r.loss);
    validation.push_back(r.val_loss);
    rate.push_back(r.learning_rate);
  }
  learning_page("Training", epoch, loss, validation, rate).write_png(path, true);
}

}  // namespace

RunFolder::RunFolder(const std::string& path, bool resume) : path_(path) {
  std::error_code error;
  if (fs::is_directory(path, error)) lock_ = io::FolderLock(path);
  if (!resume) refuse_second_run();
  if (resume && !fs::exists(path + "/config.toml", error))
    throw io::FileError(path, "holds no training run to resume (config.toml is missing)");
  if (fs::exists(path, error) && !fs::is_directory(path, error))
    throw io::FileError(path, "is not a folder; -o names the folder of the run");
}

bool RunFolder::holds_checkpoint() const {
  return may_exist(model_path()) || may_exist(best_path(path_));
}

void RunFolder::refuse_second_run() const {
  if (holds_checkpoint())
    throw io::FileError(path_, "holds a training run already; go on with --resume or choose another folder");
}

void RunFolder::write_config(const Trainer& trainer, const std::string& surroundings) {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) throw io::FileError(path_, "cannot make this folder: " + error.message());
  if (!lock_.held()) {  // the folder was missing; another process may have made it meanwhile
    lock_ = io::FolderLock(path_);
    refuse_second_run();
  }
  remove_leftovers(path_);
  TrainConfig config = trainer.config();
  io::write_whole_file(path_ + "/config.toml",
                       "# Every setting of this run; 'ptyfuse train --config config.toml -o NEW' repeats it.\n" +
                           surroundings + train_options(config).to_toml(),
                       true);
}

void RunFolder::save(const Trainer& trainer) const {
  const io::Checkpoint now = trainer.checkpoint();
  // best.h5 is a file of its own, not a link: damage to one checkpoint leaves the other. It comes first: a run that is
  // killed between the two repeats the epoch and ends with the same files.
  if (now.step_in_epoch == 0) {
    const std::optional<int64_t> kept = best_epoch(path_);
    if (!kept && may_exist(best_path(path_)))
      log("best.h5 cannot be read and is kept as it is");
    else if (is_best(trainer.history(), kept))
      io::write_checkpoint(best_path(path_), now);
  }
  io::write_checkpoint(model_path(), now);
  io::write_whole_file(path_ + "/history.csv", history_csv(trainer.history()), true);
  if (!trainer.history().empty()) write_history_picture(trainer.history(), path_ + "/history.png");
}

void RunFolder::log(const std::string& line) const {
  // A log that cannot be written must not end a run. A link is not followed: it would lead out of the folder; nor is a
  // pipe's reader waited for.
  const int descriptor =
      ::open((path_ + "/log.txt").c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(descriptor < 0 ? nullptr : ::fdopen(descriptor, "ab"),
                                                             std::fclose);
  if (file) fmt::print(file.get(), "{:%Y-%m-%d %H:%M:%S} {}\n", fmt::localtime(std::time(nullptr)), line);
}

io::Checkpoint read_model(const std::string& run_or_file) {
  std::error_code error;
  if (!fs::exists(run_or_file, error)) throw io::FileError(run_or_file, "no such run folder");
  const bool is_run = fs::is_directory(run_or_file, error);
  const std::string model = is_run ? run_or_file + "/model.h5" : run_or_file;
  if (is_run && !may_exist(model) && !may_exist(best_path(run_or_file)))
    throw io::FileError(run_or_file, "no model.h5 in it: not the folder of a training run (ptyfuse train SCAN -o RUN)");
  try {
    return io::read_checkpoint(model);
  } catch (const io::FileError& e) {
    const std::string said = e.what();  // "PATH: what is wrong"
    throw io::FileError(e.path(), said.substr(e.path().size() + 2) + other_checkpoint(model));
  }
}

std::optional<int64_t> best_epoch(const std::string& run) {
  return io::checkpoint_epoch(best_path(run));
}

}  // namespace ptyfuse
