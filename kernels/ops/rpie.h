#pragma once
#include "kernels/device/buffer.h"

namespace ptyfuse::ops {

// The steps of batched rPIE (regularised ptychographic iterative engine, Maiden et al. 2017; section 0.13 of the
// method) that lie between its Fourier transforms. b frames of side N, K probe modes; complex64 and contiguous
// throughout; an empty batch is legal. Every sum over frames runs in the batch's order, so results repeat bit for bit
// whatever the number of threads. Error(shape): shapes that do not fit; on the CPU also a window outside the object and
// a probe that is not there. A GPU does not look back from its kernels: there such a frame is zeros and adds nothing.

/// Where each frame of a batch takes its object window and its probe from.
struct RpieBatch {
  TensorView<const int64_t> corner;       ///< [b,2] [y,x] of the window's element [0,0] in the object
  TensorView<const int64_t> probe_index;  ///< [b] its place in `probes`
  int64_t count() const { return corner.extent(0); }
};

/// Probes moved by shift_px [b,2] (content by +shift, [y,x]), in Fourier space:
/// out[n,k,i,j] = spectra[k,i,j] * exp(-2*pi*i*(shift_y*(i - N/2) + shift_x*(j - N/2))/N), spectra [K,N,N] with the
/// zero frequency at N/2, out [b,K,N,N].
void shift_spectra(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                   TensorView<complex64> out);
/// Its adjoint: out[k] = sum_n spectra[n,k] * exp(+...), spectra [b,K,N,N], out [K,N,N].
void sum_shifted_back(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                      TensorView<complex64> out);

/// waves[n,k] = probes[probe_index[n],k] * window of frame n; object [H,W], probes [S,K,N,N], waves [b,K,N,N].
void exit_waves(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                TensorView<const complex64> probes, TensorView<complex64> waves);

/// Keeps a pixel whose modelled amplitude is 0 from being divided by.
inline constexpr float modulus_floor = 1e-6F;

/// spectra[n,k] *= amplitude[n] / (sqrt(sum_k |spectra[n,k]|^2) + modulus_floor) - 1: what the measured amplitude adds
/// to the model. mask [N,N], 1 = use, or empty for all: pixels of 0 keep the model (their difference is 0).
void modulus_difference(Stream& stream, TensorView<const float> amplitude, TensorView<const uint8_t> mask,
                        TensorView<complex64> spectra);
/// sums[n] = { sum | sqrt(sum_k |spectra[n,k]|^2) - amplitude[n] |, sum amplitude[n] } over the pixels in use; [b,2].
void modulus_residual(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> amplitude,
                      TensorView<const uint8_t> mask, TensorView<double> sums);

/// How far the object moves.
struct ObjectRule {
  float beta = 0;    ///< 0 to 1
  float peak = 0;    ///< > 0: max over pixels of the probe's sum_k |P_k|^2
  float length = 1;  ///< of the step, finite
};
/// object += length * sum conj(P) difference / ((1-beta) sum |P|^2 + beta max(sum |P|^2, peak)), sums over frames and
/// modes that cover a pixel, unchanged where the divisor is 0; differences [b,K,N,N] of the exit waves.
void update_object(Stream& stream, TensorView<const complex64> differences, const RpieBatch& batch,
                   TensorView<const complex64> probes, const ObjectRule& rule, TensorView<complex64> object);

/// The two sums over a batch's frames that update_object() works out, for a batch that comes in parts. [H,W] each.
struct ObjectStep {
  TensorView<complex64> numerator;  ///< sum conj(P) difference
  TensorView<float> power;          ///< sum |P|^2
};
/// Adds a part of a batch to the sums, which are zero at first.
void add_to_step(Stream& stream, TensorView<const complex64> differences, const RpieBatch& batch,
                 TensorView<const complex64> probes, const ObjectStep& step);
/// The object's step from the sums: with the parts in the batch's order update_object() of the whole batch, to
/// rounding.
void apply_step(Stream& stream, const ObjectStep& step, const ObjectRule& rule, TensorView<complex64> object);

/// out[n,k] = conj(window of frame n) * differences[n,k]; may be the same memory.
void weigh_by_object(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                     TensorView<const complex64> differences, TensorView<complex64> out);

/// sum += factor * in, of equal shape.
void add_scaled(Stream& stream, TensorView<const complex64> in, float factor, TensorView<complex64> sum);

/// max over pixels of sum_k |probe[k]|^2, probe [K,N,N]; host result.
float peak_power(Stream& stream, TensorView<const complex64> probe);
/// max over a window's pixels of sum_n |window of frame n|^2; host result.
float peak_window_power(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch, int64_t side_px);

}  // namespace ptyfuse::ops
