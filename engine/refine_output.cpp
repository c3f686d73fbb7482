#include "engine/refine_output.h"

#include "engine/illumination.h"

namespace ptyfuse {

void place_refined(const RefineState& state, io::Reconstruction& out) {
  out.object = state.object;
  out.origin_px = state.origin_px;
  out.probe = state.probe;
  out.mean_counts = state.mean_counts;
  out.residual = state.residual;
  out.weight = illumination(state.probe, out.positions_px, state.origin_px, state.object.height, state.object.width);
}

ObjectStart start_of(const io::Reconstruction& reconstruction) {
  return {reconstruction.object, reconstruction.weight, reconstruction.origin_px, reconstruction.probe,
          reconstruction.mean_counts};
}

}  // namespace ptyfuse
