#pragma once
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/option_table.h"
#include "engine/run_control.h"
#include "io/figure.h"
#include "io/study_files.h"
#include "kernels/device/device.h"

namespace ptyfuse::studies {

using Settings = std::vector<std::pair<std::string, std::string>>;

/// What a user sets for a study. 0 or empty: as the study has it.
struct StudyConfig {
  bool quick = false;         ///< minutes on two cores: smaller networks, scans, fewer epochs and arms
  bool as_published = false;  ///< sim-lines, dose: the reference's settings, section 9's [P]
  std::string scan;           ///< scan file instead of a simulation
  std::string truth, crop;    ///< as `evaluate` takes them
  std::string probe;          ///< sim-lines: the experimental probe, FILE[:DATASET]
  std::string probe_pipeline = "pad_extrapolate:64|smooth:0.5";
  std::vector<std::string> inputs;  ///< compare: [NAME=]FILE
  int64_t seeds = 1;                ///< trainings of each network, for mean and spread
  uint64_t seed = 0;                ///< of the first
  int64_t sweeps = 5;               ///< of refinement after the network
  int64_t epochs = 0, groups = 0, batch = 0, size_px = 0, images = 0, patterns = 0;
  double filters_scale = 0;
};

/// The settings of `study`, bound to `config`; the inputs are no option of the table.
OptionTable study_options(StudyConfig& config);

/// Where an arm works.
struct ArmContext {
  const Device& device;
  const RunControl& control;
  std::string folder;     ///< of the study
  std::string arm;        ///< name of the arm
  std::mutex& data_lock;  ///< held while simulated scans are made: other arms at work may want the same

  /// arms/NAME + ending: products of this arm.
  std::string product(const std::string& ending) const { return product_of(arm, ending); }
  std::string product_of(const std::string& other_arm, const std::string& ending) const {
    return folder + "/arms/" + other_arm + ending;
  }
  /// Simulated scans, shared by the arms and removed when the study is complete.
  std::string data(const std::string& name) const { return folder + "/data/" + name; }
};

/// What an arm found: rows of the table, and curves for the figures.
struct ArmOutcome {
  std::vector<io::Row> rows;
  std::vector<std::pair<std::string, std::vector<double>>> curves;
  std::vector<std::string> products = {};  ///< endings of its files (ArmContext::product) that reports read
};

/// One piece of a study's work: done once, then remembered.
struct Arm {
  std::string name;   ///< letters, digits, '_', '-', '.': a file's name
  Settings settings;  ///< all that the outcome depends on
  std::function<ArmOutcome(const ArmContext&)> run;
};

struct StudyFigure {
  std::string file, caption;
  io::Figure figure;
};

/// What a study says about its arms: the table for people, sentences, figures. Further files by name and content.
struct StudyReport {
  std::string table;  ///< Markdown
  std::vector<std::string> notes;
  std::vector<StudyFigure> figures;
  std::vector<std::pair<std::string, std::string>> files;
};

/// A study is a list of arms and what to say about them.
struct Study {
  std::string name, title;
  std::vector<std::string> notes;  ///< what was done, said before anything is known of the outcome
  std::vector<Arm> arms;
  /// Of the arms that are done, in order; some may be missing.
  std::function<StudyReport(const std::vector<io::ArmResult>&, const std::string& folder)> report;
};

/// The studies there are, by name.
struct StudyEntry {
  const char *name, *summary;
  std::vector<std::string> options;  ///< those beside --seed that mean something to it
  Study (*make)(const StudyConfig&);
};
const std::vector<StudyEntry>& study_entries();

/// UsageError: no such study, or settings that no arm of it can work with; FileError: an input that is not there.
Study make_study(const std::string& name, const StudyConfig& config);

Study make_sim_lines(const StudyConfig& config);
Study make_dose(const StudyConfig& config);
Study make_overlap(const StudyConfig& config);
Study make_compare(const StudyConfig& config);
Study make_sparse(const StudyConfig& config);
Study make_probe_errors(const StudyConfig& config);
Study make_position_errors(const StudyConfig& config);
Study make_data_amounts(const StudyConfig& config);

}  // namespace ptyfuse::studies
