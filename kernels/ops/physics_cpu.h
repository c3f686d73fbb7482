#pragma once
#include <vector>

#include "kernels/ops/physics.h"
#include "kernels/ops/physics_rows_cpu.h"
#include "kernels/ops/split_fft2_cpu.h"

namespace ptyfuse::ops::cpu {

/// One group at a time on each worker, everything between the network's patches and their gradients in its cache.
class Physics {
 public:
  Physics(const Device& device, const PhysicsSpec& spec);
  /// Arguments have been checked.
  PhysicsResult run(const PhysicsInputs& inputs, TensorView<float> grad_amplitude, TensorView<float> grad_phase);

 private:
  /// What a group adds to the sums over the batch.
  struct GroupSums {
    double nll = 0, mae = 0, slope = 0;
  };
  struct Call;
  class Worker;

  void prepare(const PhysicsInputs& inputs);
  static const float* plane(const Tensor<float>& planes) { return planes.data() + PlaneShape::lead; }

  Device device_;
  PhysicsSpec spec_;
  PlaneShape patch_, canvas_;
  SplitFft2 fft_;
  // Planes of patch_, from its lead on: whatever lies between their rows stays 0.
  Tensor<float> scratch_;        // [threads, floats of a worker]
  Tensor<float> probe_;          // [modes, 2, plane]
  Tensor<float> weight_, gain_;  // of the merge, and what it does to a single pattern at the origin
  Tensor<float> mask_;           // [N,N] of 0 and 1, zero frequency at the origin
  std::vector<GroupSums> sums_;  // [batch]
};

}  // namespace ptyfuse::ops::cpu
