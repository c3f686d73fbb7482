#pragma once
#include "engine/refine.h"
#include "io/reconstruction_file.h"

namespace ptyfuse {

/// Puts a refined state into a reconstruction: object, origin, probe, residual, and as weight the probe's intensity
/// summed over out.positions_px (whole pixels), 0 where no patch reaches.
void place_refined(const RefineState& state, io::Reconstruction& out);

/// A reconstruction, which must outlive it, as a start.
ObjectStart start_of(const io::Reconstruction& reconstruction);

}  // namespace ptyfuse
