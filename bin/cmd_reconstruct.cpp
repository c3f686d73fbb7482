#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>

#include "bin/command.h"
#include "bin/printable.h"
#include "bin/scan_hints.h"
#include "engine/pictures.h"
#include "engine/reconstructor.h"
#include "engine/run_folder.h"
#include "io/atomic_file.h"
#include "io/file_error.h"

namespace ptyfuse::cli {
namespace {

namespace fs = std::filesystem;

// The same control, whose messages and progress begin with `label`.
RunControl labelled(const RunControl& shown, const std::string& label) {
  RunControl control = shown;
  control.notice = [shown, label](const std::string& line) { shown.say(label + ": " + line); };
  control.progress = [shown, label](const ProgressEvent& event) {
    const std::string task = label + ": " + std::string(event.task);
    ProgressEvent named = event;
    named.task = task;
    if (!event.message.empty()) named.message = label + ": " + event.message;
    shown.report(named);
  };
  return control;
}

// "FILE: what was wrong" on one line.
std::string one_line(const std::string& file, const std::string& what) {
  std::string line = what.starts_with(file) ? what : file + ": " + what;
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

// A folder for results: there, or to be made in one that is there. Before any work.
void check_folder(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return;
  if (fs::exists(fs::symlink_status(path, error)))
    throw io::FileError(path, "is a file; several scans need a folder, which gets a file for each");
  if (const std::string ending = fs::path(path).extension().string(); ending == ".h5" || ending == ".png")
    throw UsageError(path + ": several scans were named, whose results go into a folder, as STEM" + ending +
                     "; give a name without '" + ending + "'");
  io::check_output_path(path, false);
}

class ReconstructCommand : public Command {
 public:
  const char* name() const override { return "reconstruct"; }
  const char* summary() const override { return "Reconstruct the object of a scan with a trained network."; }
  const char* lesson() const override {
    return "The network gives a patch for every group of patterns; the patches are stitched. --polish K adds K sweeps "
           "of\n"
           "iterative refinement, which suits dense scans. R, printed at the end, is the share of the measured "
           "amplitude\n"
           "that the result does not explain (0.05 to 0.2 is usual; lower is better). Ctrl-C during the sweeps writes\n"
           "the object so far.\n"
           "Several scans: OUT is a folder, and each result OUT/STEM.h5, STEM being the scan's name without its "
           "ending;\n"
           "--png names a folder too, which may be the same. The model is read once, and what was set up for one scan\n"
           "serves the next. A scan that fails is said so, and the others go on. Ctrl-C keeps what is finished.\n\n"
           "Examples:\n"
           "  ptyfuse reconstruct RUN SCAN.h5 -o RECON.h5 --png RECON.png\n"
           "  ptyfuse reconstruct RUN SCAN.h5 -o RECON.h5 --polish 2\n"
           "  ptyfuse reconstruct RUN SCAN.h5 -o RECON.h5 --frames 0:500:2   # every second of the first 500 frames\n"
           "  ptyfuse reconstruct RUN scan_*.h5 -o RESULTS --png RESULTS\n";
  }
  void declare(CLI::App& app) override {
    app.add_option("RUN", model_, "folder of a training run, or its model.h5")->required()->type_name("FOLDER");
    app.add_option("SCAN", scans_, "scan files")->required()->type_name("FILE");
    add_output(app, output_, force_, "reconstruction file (HDF5); of several scans the folder of STEM.h5");
    app.add_option("--png", picture_, "picture of amplitude and phase; of several scans the folder of STEM.png")
        ->type_name("FILE");
    add_table(app, scan_hint_options(hints_), scan_hint_group);
    add_table(app, reconstruct_options(config_));
  }
  int run() override { return scans_.size() == 1 ? run_one() : run_several(); }

 private:
  struct Job {
    std::string scan, output, picture;
  };

  int run_one() {
    const Job job{scans_.front(), output_, picture_};
    check_outputs({job.output, job.picture}, force_, {job.scan, model_});
    const io::Checkpoint model = read_model(model_);
    const Device device = make_device(config_.device_memory_bytes);
    Reconstructor reconstructor(device, model, config_);
    const io::Reconstruction result = reconstruct(reconstructor, job, make_control());
    if (const std::string failure = write(job, result); !failure.empty()) throw Error(ErrorKind::shape, failure);
    if (stopped_in_sweeps(result)) {
      const size_t sweeps = whole_sweeps(result);
      throw Error(ErrorKind::cancelled, fmt::format("{} holds {}, after {} of {} polishing sweep{}", output_,
                                                    sweeps > 0 ? "the polished object" : "the network's object", sweeps,
                                                    config_.polish_sweeps, config_.polish_sweeps == 1 ? "" : "s"));
    }
    print(job, result);
    return 0;
  }

  int run_several() {
    for (std::string* folder : {&output_, &picture_})
      while (folder->size() > 1 && folder->ends_with('/')) folder->pop_back();
    const std::vector<Job> jobs = checked_jobs();
    const io::Checkpoint model = read_model(model_);
    const Device device = make_device(config_.device_memory_bytes);
    Reconstructor reconstructor(device, model, config_);
    make_folders();
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::string> failed, without_picture;
    try {
      for (size_t i = 0; i < jobs.size(); ++i) {
        const std::string label = fmt::format("scan {} of {}", i + 1, jobs.size());
        const Failure failure = try_job(reconstructor, jobs[i], label, i - failed.size());
        if (failure.why.empty()) continue;
        std::fprintf(stderr, "ptyfuse: %s%s: %s\n", label.c_str(), failure.has_result ? "" : " failed",
                     printable(failure.why).c_str());
        (failure.has_result ? without_picture : failed).push_back(jobs[i].scan);
      }
    } catch (...) {
      remove_empty_folders();
      throw;
    }
    remove_empty_folders();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%s: %zu of %zu scans reconstructed in %.2f s\n", output_.c_str(), jobs.size() - failed.size(),
                jobs.size(), seconds);
    if (failed.empty() && without_picture.empty()) return 0;
    std::string what;
    if (!failed.empty())
      what = fmt::format("{} of {} scans failed: {}{}", failed.size(), jobs.size(), fmt::join(failed, ", "),
                         failed.size() < jobs.size() ? "; the results of the others are kept" : "");
    if (!without_picture.empty())
      what += fmt::format("{}{} of {} pictures failed, whose results are whole: {}", what.empty() ? "" : "; ",
                          without_picture.size(), jobs.size(), fmt::join(without_picture, ", "));
    throw Error(ErrorKind::shape, what);
  }

  // What the scans become, once nothing that can be known before the work stands in the way.
  std::vector<Job> checked_jobs() const {
    check_folder(output_);
    if (!picture_.empty()) check_folder(picture_);
    std::vector<Job> jobs;
    std::map<std::string, std::string> scan_of_stem;
    for (const std::string& scan : scans_) {
      const std::string stem = fs::path(scan).stem().string();
      const auto [known, fresh] = scan_of_stem.emplace(stem, scan);
      if (!fresh)
        throw UsageError(
            fmt::format("{} and {} would both become {}/{}.h5; reconstruct them one by one, or give one "
                        "of them another name",
                        known->second, scan, output_, stem));
      jobs.push_back({scan, (fs::path(output_) / (stem + ".h5")).string(),
                      picture_.empty() ? "" : (fs::path(picture_) / (stem + ".png")).string()});
    }
    std::vector<std::string> inputs = scans_;
    inputs.push_back(model_);
    for (const Job& job : jobs)
      for (const std::string& path : {job.output, job.picture}) refuse_replacing(inputs, path);
    for (const Job& job : jobs)
      for (const std::string& path : {job.output, job.picture})
        if (std::error_code error; !path.empty() && fs::is_directory(fs::path(path).parent_path(), error))
          io::check_output_path(path, force_);
    return jobs;
  }

  // Why there is no result, or no picture of it; empty: all is there.
  struct Failure {
    std::string why;
    bool has_result = false;
  };

  // Error(cancelled): asked to stop.
  Failure try_job(Reconstructor& reconstructor, const Job& job, const std::string& label, size_t done) {
    try {
      RunControl control = make_control();
      control.say(label + ": " + job.scan);
      if (control.stop_requested()) throw Error(ErrorKind::cancelled, "");
      const io::Reconstruction result = reconstruct(reconstructor, job, labelled(control, label));
      // In a folder of results each is whole.
      if (stopped_in_sweeps(result)) throw Error(ErrorKind::cancelled, "");
      control = {};
      const std::string failure = write(job, result);
      print(job, result);
      return {failure, true};
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::cancelled)
        throw Error(ErrorKind::cancelled,
                    fmt::format("{}, {}, was not finished; {} holds the results of {} before it; to go on, name the "
                                "scans from it on",
                                label, job.scan, output_, done));
      return {one_line(job.scan, e.what())};
    } catch (const std::bad_alloc&) {
      return {one_line(job.scan, "out of memory; use a smaller --batch or --host-memory")};
    } catch (const std::exception& e) {
      return {one_line(job.scan, e.what())};
    }
  }

  io::Reconstruction reconstruct(Reconstructor& reconstructor, const Job& job, const RunControl& control) const {
    return reconstructor.run([&] { return open_scan(job.scan, hints_); }, control);
  }
  // Why the picture failed, when the result is there already; empty: it is there, or was not asked for.
  std::string write(const Job& job, const io::Reconstruction& result) const {
    io::write_reconstruction(job.output, result, force_);
    try {
      if (!job.picture.empty()) reconstruction_page(job.scan, result).write_png(job.picture, force_);
      return "";
    } catch (const std::exception& e) {
      return fmt::format("the picture failed: {}; {} is whole", one_line(job.picture, e.what()), job.output);
    }
  }
  static size_t whole_sweeps(const io::Reconstruction& result) {
    return std::max<size_t>(result.residual.size(), 1) - 1;
  }
  bool stopped_in_sweeps(const io::Reconstruction& result) const {
    return static_cast<int64_t>(whole_sweeps(result)) < config_.polish_sweeps;
  }
  static void print(const Job& job, const io::Reconstruction& result) {
    std::printf("%s: object of %lld x %lld pixels from %lld patterns in %.2f s (%.0f patterns/s)\n", job.output.c_str(),
                static_cast<long long>(result.object.height), static_cast<long long>(result.object.width),
                static_cast<long long>(result.pattern_count), result.seconds,
                static_cast<double>(result.pattern_count) / result.seconds);
    if (!result.residual.empty()) {
      std::printf("R of the network's object: %.4f\n", result.residual.front());
      if (result.residual.size() > 1)
        std::printf("R after %zu polishing sweep%s: %.4f\n", whole_sweeps(result), whole_sweeps(result) == 1 ? "" : "s",
                    result.residual.back());
    }
    std::fflush(stdout);
  }
  void make_folders() {
    for (const std::string& folder : {output_, picture_}) {
      std::error_code error;
      if (folder.empty() || fs::is_directory(folder, error)) continue;
      // Somebody else may make it meanwhile.
      if (fs::create_directory(folder, error)) made_folders_.push_back(folder);
      if (error) throw io::FileError(folder, "the folder cannot be made: " + error.message());
    }
  }
  // Where every scan failed.
  void remove_empty_folders() const {
    for (const std::string& folder : made_folders_)
      if (std::error_code error; fs::is_empty(folder, error)) fs::remove(folder, error);
  }

  std::string model_, output_, picture_;
  std::vector<std::string> scans_, made_folders_;
  bool force_ = false;
  io::ScanHints hints_;
  ReconstructConfig config_;
};

}  // namespace

std::unique_ptr<Command> make_reconstruct_command() {
  return std::make_unique<ReconstructCommand>();
}

}  // namespace ptyfuse::cli
