#pragma once
#include <memory>
#include <vector>

#include "kernels/device/fft.h"
#include "kernels/device/multiprocessors.h"
#include "kernels/ops/physics.h"

namespace ptyfuse::ops::cuda {

/// What the kernels leave for the host to add up in order: the number of used pixels of a pattern, then for each run of
/// patterns (a group, or one pattern) the sums of negative log-likelihood, absolute error and slope along log_scale.
class PhysicsSums {
 public:
  PhysicsSums(const Device& device, int64_t runs)
      : values_(device, {1 + 3 * runs}, "physics sums"), host_(static_cast<size_t>(values_.elements())) {}
  double* used() { return values_.data(); }
  double* of_runs() { return values_.data() + 1; }
  /// Waits for the stream.
  PhysicsResult total(Stream& stream, const PhysicsInputs& inputs, int64_t runs, int64_t patterns);

 private:
  Tensor<double> values_;
  std::vector<double> host_;
};

/// The physics step; images of 64 x 64 and 128 x 128 in one launch (FusedPhysics) where a block has the shared memory
/// for it, others by parts (PhysicsParts).
class Physics {
 public:
  virtual ~Physics() = default;
  /// Arguments have been checked.
  virtual PhysicsResult run(Stream& stream, const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
                            TensorView<float> grad_phase) = 0;
};
std::unique_ptr<Physics> make_physics(const Device& device, const PhysicsSpec& spec);

/// A group at a time in the shared memory of each block.
class FusedPhysics : public Physics {
 public:
  static bool fits(const PhysicsSpec& spec, const gpu::Multiprocessors& multiprocessors);
  FusedPhysics(const Device& device, const PhysicsSpec& spec, const gpu::Multiprocessors& multiprocessors);
  PhysicsResult run(Stream& stream, const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
                    TensorView<float> grad_phase) override;

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
  PhysicsResult run(Stream& stream, const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
                    TensorView<float> grad_phase) override;

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
