#pragma once
#include <vector>

#include "kernels/ops/physics.h"
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

  Device device_;
  PhysicsSpec spec_;
  int64_t plane_, canvas_plane_;  // floats from one plane [N,N] or [Q,Q] to the next
  SplitFft2 fft_;
  Tensor<float> scratch_;        // [threads, floats of a worker]
  Tensor<float> probe_;          // [modes, 2, plane]
  Tensor<float> mask_;           // [N,N] of 0 and 1, zero frequency at the origin
  Tensor<float> gain_;           // [N,N] what the merge does to a single pattern at the origin
  std::vector<GroupSums> sums_;  // [batch]
};

}  // namespace ptyfuse::ops::cpu
