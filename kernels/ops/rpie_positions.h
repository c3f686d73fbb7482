#pragma once
#include "kernels/ops/rpie.h"

namespace ptyfuse::ops {

/// How the change G of an exit wave with its window's position is taken, by differences D+ O = O(+1) - O and
/// D- O = O - O(-1) of the object along an axis, 0 beyond the window's rim.
enum class PositionGradient {
  /// G = P (D+ O + D- O) / 2: finds from farther off, but rests beside the true place where the object is sharp.
  wide,
  /// G = (P(+1) D+ O + P(-1) D- O) / 2: since any central difference of the exit wave is orthogonal to a difference of
  /// moduli, as good as the change by a moved probe; rests where the amplitudes agree best, the true place or another.
  exact,
};

/// steps[n] = (y, x): how far frame n's window would have to move, in pixels, for its exit waves to change as the
/// measured amplitudes ask, to first order: the real (y, x) that makes
///   sum_k,pixels |differences[n,k] - y G_y,k - x G_x,k|^2 + ridge (y^2 + x^2)
/// least, with P_k the frame's probe of batch.probe_index and ridge a thousandth of sum |G_y|^2 + |G_x|^2, so that a
/// frame does not wander along lines of an object that changes across them only. (0, 0) where that sum is 0 or
/// something is not finite. object [H,W], probes [S,K,N,N], differences [b,K,N,N] of the exit waves, steps [b,2].
/// Shapes, layouts, errors and frames that do not fit as in rpie.h (a GPU does not move such a frame); an empty batch
/// is legal; the same bits whatever the number of threads. Source: Odstrcil et al., Opt. Express 26 (2018) 3108 and
/// Dwivedi et al., Ultramicroscopy 192 (2018) 29 for `wide`.
void position_steps(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                    TensorView<const complex64> probes, TensorView<const complex64> differences,
                    PositionGradient gradient, TensorView<double> steps);

}  // namespace ptyfuse::ops
