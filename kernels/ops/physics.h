#pragma once
#include <memory>

#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

struct PhysicsSpec {
  int64_t batch = 0;        ///< largest number of groups B
  int64_t members = 1;      ///< patterns of a group, C
  int64_t heads = 1;        ///< object patches of a group: C where members are merged, 1 where they share one object
  int64_t side = 0;         ///< N
  int64_t canvas = 0;       ///< Q
  int64_t probe_modes = 1;  ///< K
  bool unmasked_numerator = false;  ///< see merge.h
};

struct PhysicsInputs {
  TensorView<const float> amplitude, phase;  ///< [B,heads,N,N] float32, any strides
  TensorView<const float> offsets_px;        ///< [B,C,2] [y,x]
  TensorView<const float> measured;   ///< [B,C,N,N] float32, any strides: normalised amplitude X, DC at the centre
  TensorView<const complex64> probe;  ///< [K,N,N]
  /// [N,N] merge weight w, of a single member too (at offset 0 its region is w*O / (w + merge_epsilon)). Ignored where
  /// heads != members, may be empty where heads == members == 1: the region is then the patch, zero-padded.
  TensorView<const float> weight;
  TensorView<const float> mask;                 ///< [N,N] of 0 and 1 (1 = use) or empty
  float log_scale = 0;                          ///< a: lambda = e^(2a) sum_k |F_k|^2
  TensorView<const float> log_scale_in_memory;  ///< [1]: a, read in stream order in place of log_scale; or empty
  float measured_scale = 1;                     ///< s: measured counts n = (s*X)^2
  double nll_weight = 1, mae_weight = 0;
};

struct PhysicsResult {
  double loss = 0, nll = 0, mae = 0;  ///< loss = nll_weight*nll + mae_weight*mae, means over used elements
  double grad_log_scale = 0;          ///< d loss / d a
};

/// The fused physics step: complex patch, merge, extract, illuminate, far field, counts, likelihood, and the way back
/// to the gradients of amplitude and phase [B,heads,N,N] (any strides, overwritten; both empty: forward only). Equal to
/// the composition of complex_patch, merge (heads == members; heads == 1 with members > 1: the patch zero-padded),
/// extract, illuminate, fft2, detector_counts, poisson_nll, amplitude_mae to rounding. B may be 0 to spec.batch. No
/// allocation in a call. Bitwise repeatable for equal threads(). Errors as in the parts. Bytes per pattern: amplitude,
/// phase, measured read once, two gradients written once.
class Physics {
 public:
  Physics(const Device& device, const PhysicsSpec& spec);
  ~Physics();
  Physics(Physics&&) noexcept;
  Physics& operator=(Physics&&) noexcept;

  const PhysicsSpec& spec() const;
  PhysicsResult run(Stream& stream, const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
                    TensorView<float> grad_phase);

  /// run() without its wait: the result stays in the device's memory. grad_log_scale [1] (may be empty) is overwritten
  /// with d loss / d a, rounded to float32.
  void enqueue(Stream& stream, const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
               TensorView<float> grad_phase, TensorView<float> grad_log_scale = {});
  /// [4]: loss, nll, mae, grad_log_scale of the last call, in stream order; the memory stays where it is.
  TensorView<const double> result() const;
  static PhysicsResult read(Stream& stream, TensorView<const double> result);

  static Cost cost(const PhysicsSpec& spec);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ptyfuse::ops
