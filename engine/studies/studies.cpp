// The studies there are, and their settings.
#include "engine/evaluation.h"
#include "engine/probe.h"
#include "engine/studies/study.h"

namespace ptyfuse::studies {

OptionTable study_options(StudyConfig& c) {
  OptionTable t;
  t.heading("Study");
  t.flag("quick", c.quick, "minutes on two cores: narrower networks, smaller scans, fewer epochs and arms");
  t.flag("as-published", c.as_published, "sim-lines, dose: the reference's settings instead of our recipe");
  t.heading("Scan and truth");
  t.text("scan", c.scan, "compare, sparse, probe, positions: this scan; without it all but compare simulate one",
         "FILE");
  t.text("truth", c.truth, "what to compare with, where it is not the scan's own object", "FILE[:DATASET]");
  t.text("crop", c.crop, "region to compare, in pixels of the truth; empty: where the scan reaches", "Y0:Y1,X0:X1");
  t.text("probe", c.probe, "sim-lines: the measured probe of its experimental cases; else: instead of the scan's",
         "FILE[:DATASET]");
  t.text("probe-pipeline", c.probe_pipeline, "sim-lines: steps that the measured probe goes through");
  t.heading("Networks and simulations");
  t.integer("seeds", c.seeds, "trainings of each network, from --seed on: tables have mean and spread", 1, 1000);
  t.integer("sweeps", c.sweeps, "sparse, probe: sweeps of refinement after the network", 1, 10000);
  t.real("filters-scale", c.filters_scale, "width of the networks; 0: the study's own", 0, 4);
  t.integer("epochs", c.epochs, "passes over the groups; 0: the study's own");
  t.integer("groups", c.groups, "sim-lines, dose, probe, positions: groups to train on; 0: the study's own");
  t.integer("batch", c.batch, "groups in a step; 0: the study's own", 0, 65536);
  t.integer("size", c.size_px, "side of simulated objects in pixels; 0: the study's own", 0, 16384);
  t.integer("images", c.images, "sim-lines: images to train on, and as many to test on; 0: 2, with --quick 1", 0, 1024);
  t.integer("patterns", c.patterns, "patterns of simulated random scans; 0: the study's own");
  t.seed("seed", c.seed, "of the first training of each network");
  return t;
}

const std::vector<StudyEntry>& study_entries() {
  static const std::vector<StudyEntry> entries = {
      {"sim-lines",
       "the published table: gridsize 1 and 2, ideal and measured probe, on simulated lines",
       {"quick", "as-published", "probe", "probe-pipeline", "seeds", "filters-scale", "epochs", "groups", "batch",
        "size", "images"},
       make_sim_lines},
      {"dose",
       "Poisson likelihood against amplitude error over 1e3 to 1e9 photons",
       {"quick", "as-published", "seeds", "filters-scale", "epochs", "groups", "batch", "size", "patterns"},
       make_dose},
      {"overlap",
       "quality over the overlap of neighbours, gridsize 1 and 2",
       {"quick", "seeds", "filters-scale", "epochs", "batch", "size", "patterns"},
       make_overlap},
      {"compare",
       "several reconstructions of one scan side by side (--scan, --inputs)",
       {"scan", "truth", "crop", "inputs"},
       make_compare},
      {"sparse",
       "network, iteration or both, over the number of frames",
       {"quick", "scan", "truth", "crop", "probe", "seeds", "sweeps", "filters-scale", "epochs", "batch", "size",
        "patterns"},
       make_sparse},
      {"probe",
       "how wrong the probe may be: defocus, amplitude",
       {"quick", "scan", "truth", "crop", "probe", "seeds", "sweeps", "filters-scale", "epochs", "groups", "batch",
        "size", "patterns"},
       make_probe_errors},
      {"positions",
       "how wrong the positions may be",
       {"quick", "scan", "truth", "crop", "probe", "seeds", "filters-scale", "epochs", "groups", "batch", "size",
        "patterns"},
       make_position_errors},
      {"data",
       "how much training data it takes, with physics or with labels",
       {"quick", "seeds", "filters-scale", "epochs", "batch", "size", "patterns"},
       make_data_amounts},
  };
  return entries;
}

namespace {

/// What a parser of the engine says against an option's text, as wrong usage.
template <class F>
void check_option(const char* option, F&& parse) {
  try {
    parse();
  } catch (const Error& e) {
    throw UsageError(std::string(option) + ": " + e.what());
  }
}

}  // namespace

Study make_study(const std::string& name, const StudyConfig& config) {
  if (!config.crop.empty()) check_option("--crop", [&] { parse_crop(config.crop); });
  check_option("--probe-pipeline", [&] { parse_probe_pipeline(config.probe_pipeline); });
  std::string all;
  for (const StudyEntry& entry : study_entries()) {
    if (entry.name == name) {
      Study study = entry.make(config);
      if (config.seeds > 1)
        study.notes.push_back(
            "± is the standard deviation over the networks' seeds; objects, noise and whatever else is drawn at random "
            "are the same for all of them.");
      return study;
    }
    all += (all.empty() ? "" : ", ") + std::string(entry.name);
  }
  throw UsageError("'" + name + "' is not a study; there are " + all);
}

}  // namespace ptyfuse::studies
