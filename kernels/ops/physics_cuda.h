#pragma once
#include <memory>

#include "kernels/device/fft.h"
#include "kernels/device/multiprocessors.h"
#include "kernels/ops/physics.h"

namespace ptyfuse::ops::cuda {

/// What the kernels of a call share: the scale of intensities, the number of used pixels of a pattern, and for each run
/// of patterns (a group, or one pattern) the sums of negative log-likelihood, absolute error and slope along log_scale.
class PhysicsSums {
 public:
  PhysicsSums(const Device& device, int64_t runs)
      : values_(device, {first_run + 3 * runs}, "physics sums"), intensity_scale_(device, {1}, "physics scale") {}
  double* used() { return values_.data(); }
  double* of_runs() { return values_.data() + first_run; }
  const float* intensity_scale() const { return intensity_scale_.data(); }
  /// Before the kernels.
  void begin(Stream& stream, const PhysicsInputs& inputs, int64_t side);
  /// Behind them: adds up to `result` and grad_log_scale (null: not wanted).
  void total(Stream& stream, const PhysicsInputs& inputs, int64_t runs, int64_t patterns, double* result,
             float* grad_log_scale);

 private:
  static constexpr int64_t first_run = 4;  // aligned to 32 bytes
  Tensor<double> values_;
  Tensor<float> intensity_scale_;
};

/// The physics step; images of 64 x 64 and 128 x 128 in one launch (FusedPhysics) where a block has the shared memory
/// for it, others by parts (PhysicsParts).
class Physics {
 public:
  virtual ~Physics() = default;
  /// Arguments have been checked. result [4] and grad_log_scale (null: not wanted) as Physics::enqueue has them.
  virtual void enqueue(Stream& stream, const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
                       TensorView<float> grad_phase, double* result, float* grad_log_scale) = 0;
};
std::unique_ptr<Physics> make_physics(const Device& device, const PhysicsSpec& spec);

/// A group at a time in the shared memory of each block.
class FusedPhysics : public Physics {
 public:
  static bool fits(const PhysicsSpec& spec, const gpu::Multiprocessors& multiprocessors);
  FusedPhysics(const Device& device, const PhysicsSpec& spec, const gpu::Multiprocessors& multiprocessors);
  void enqueue(Stream& stream, const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
               TensorView<float> grad_phase, double* result, float* grad_log_scale) override;

 private:
  PhysicsSpec spec_;
  gpu::Multiprocessors multiprocessors_;
  int64_t blocks_ = 0;
  int64_t fixed_bytes_ = 0;  // of shared memory, without the kept planes
  int64_t kept_planes_ = 0;  // of a group's amplitudes and phases
  bool hold_probe_ = false;
  Tensor<float> inverse_denominator_;  // [blocks,Q,Q]
  Tensor<complex64> region_;  // [blocks,samples of a region and its gradient]; none where they lie in shared memory
  PhysicsSums sums_;
};

/// Small kernels with the library's Fourier transform between them, some groups at a time.
class PhysicsParts : public Physics {
 public:
  PhysicsParts(const Device& device, const PhysicsSpec& spec);
  void enqueue(Stream& stream, const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
               TensorView<float> grad_phase, double* result, float* grad_log_scale) override;

 private:
  PhysicsSpec spec_;
  int64_t groups_;                     // at a time
  Tensor<complex64> objects_;          // [groups,heads,N,N]
  Tensor<complex64> region_;           // [groups,Q,Q], then its gradient
  Tensor<float> inverse_denominator_;  // [groups,Q,Q]
  Tensor<complex64> patches_;          // [groups,C,N,N]: the gradient
  Tensor<complex64> waves_;            // [groups,C,K,N,N]
  gpu::FftPlan fft_;
  PhysicsSums sums_;
};

}  // namespace ptyfuse::ops::cuda
