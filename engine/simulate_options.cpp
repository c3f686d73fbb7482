#include "engine/simulate_options.h"

namespace ptyfuse {
namespace {

// --object lines|grf|siemens|FILE[:DATASET]
Option object_option(SimulateConfig& c) {
  Option o;
  o.name = "object";
  o.help = "lines, grf (Gaussian random field), siemens (star), or FILE[:DATASET]";
  o.set = [&c](const std::string& text) {
    c.object_file.clear();
    if (text == "lines")
      c.object = ObjectKind::lines;
    else if (text == "grf")
      c.object = ObjectKind::grf;
    else if (text == "siemens")
      c.object = ObjectKind::siemens;
    else if (text.empty())
      throw UsageError("--object: expected lines, grf, siemens or FILE[:DATASET]");
    else {
      c.object = ObjectKind::file;
      c.object_file = text;
    }
  };
  o.get = [&c]() -> std::string {
    switch (c.object) {
      case ObjectKind::lines:
        return "lines";
      case ObjectKind::grf:
        return "grf";
      case ObjectKind::siemens:
        return "siemens";
      case ObjectKind::file:
        break;
    }
    return c.object_file;
  };
  return o;
}

}  // namespace

OptionTable simulate_options(SimulateConfig& c) {
  OptionTable t;
  t.custom(object_option(c));
  t.integer("size", c.size_px, "side of the object in pixels", 16, 16384);
  t.integer("images", c.images, "objects, each scanned alike", 1, 4096);
  t.choice("phase", c.phase, {{"none", PhaseKind::none}, {"tanh", PhaseKind::tanh}},
           "phase of the object: none, or made from its amplitude");
  t.choice("scan", c.scan, {{"grid", ScanKind::grid}, {"random", ScanKind::random}},
           "positions on a raster or at random");
  t.integer("patterns", c.patterns, "patterns of a random scan, shared out among the objects", 1, most_patterns);
  t.real_or_auto("step-px", c.step_px, 0, "step of a grid scan in pixels; auto: 4");
  t.real_or_auto("margin-px", c.margin_px, -1,
                 "least distance of random positions to the object's edge; auto: .35 of its side");
  t.integer("N", c.side_px, "side of a pattern in pixels", 16, 1024);
  t.integer("gridsize", c.gridsize, "2: a grid scan's patterns come in groups of four", 1, 2);
  t.text("probe", c.probe, "disk: the ideal probe, or a measured one", "disk|FILE[:DATASET]");
  t.text("probe-pipeline", c.probe_pipeline, "steps for a probe from a file, as 'pad_extrapolate:64|smooth:0.5'");
  t.real("probe-scale", c.probe_scale, "sum |mask*P| = N*N/scale", 1e-3);
  t.real("photons", c.photons, "mean counts of a pattern", 1e-3);
  t.choice("noise", c.poisson_noise, {{"poisson", true}, {"none", false}}, "photon noise");
  t.real_or_auto("intensity-scale", c.intensity_scale, 0,
                 "amplitude scale of another simulation to repeat (a test set takes its training set's)");
  t.seed("object-seed", c.object_seed, "of the object");
  t.seed("seed", c.seed, "of positions and noise");
  return t;
}

}  // namespace ptyfuse
