#include "engine/refine_options.h"

#include "engine/frame_range.h"

namespace ptyfuse {

OptionTable refine_options(RefineSetup& s) {
  OptionTable t;
  t.text("start", s.start, "flat, or a reconstruction file to start from", "flat|FILE");
  add_frames_option(t, s.sweeps.frames);
  t.integer("sweeps", s.sweeps.sweeps, "passes over the frames");
  t.flag("update-probe", s.sweeps.update_probe, "refine the probe too, from the second sweep on");
  t.flag("update-positions", s.sweeps.update_positions,
         "correct the frames' positions too, from the third sweep on: for scans whose positions are in doubt");
  t.integer("modes", s.sweeps.modes, "probe modes (incoherent); 0: as many as the probe has", 0, 64);
  t.real("beta", s.sweeps.beta, "regularisation of the object's step: 0 bold, 1 careful", 0, 1);
  t.choice("steps", s.sweeps.steps, {{"shortening", StepRule::shortening}, {"whole", StepRule::whole}},
           "shortening: as the sweeps go on, so that batches average; whole: the published method's");
  t.integer("batch", s.sweeps.batch, "frames of a step", 1, 65536);
  t.text("probe", s.probe, "probe to use instead of the scan's", "FILE[:DATASET]");
  t.bytes("host-memory", s.sweeps.host_memory_bytes, "most memory for frames on the host; 0: no limit");
  t.bytes("device-memory", s.device_memory_bytes,
          "most memory on the device; a batch is worked on in parts to keep to it; 0: no limit");
  t.seed("seed", s.sweeps.seed, "of the frames' order");
  return t;
}

}  // namespace ptyfuse
