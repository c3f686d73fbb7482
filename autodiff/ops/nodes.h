#pragma once
// The nodes a generator and its likelihood are made of; each function records one node and returns its output.
#include "autodiff/tape.h"
#include "kernels/ops/conv3x3.h"
#include "kernels/ops/head.h"
#include "kernels/ops/physics.h"

namespace ptyfuse::autodiff {

/// Convolutions pack their weights at the first forward() and whenever tape.parameters_changed() was called since.
/// out = act(conv(in) + bias); in [B,H,W,Cin] (or half size when input_upsampled), weights and bias are parameters.
ValueId conv3x3(Tape& tape, ValueId in, ValueId weights, ValueId bias, ops::ConvActivation activation,
                ops::Precision precision, bool input_upsampled = false);
ValueId max_pool2(Tape& tape, ValueId in);
ValueId upsample2(Tape& tape, ValueId in);
/// border.index < 0: none.
ValueId head(Tape& tape, const ops::HeadSpec& spec, ValueId centre, ValueId border);

/// The supervised loss: mean |a - target_a| + mean |b - target_b| over all elements; inputs of equal shape.
struct AbsoluteErrorLoss {
  double value = 0;
};
void absolute_error(Tape& tape, ValueId amplitude, ValueId amplitude_target, ValueId phase, ValueId phase_target,
                    AbsoluteErrorLoss* result);

/// The unsupervised loss: ops::Physics over amplitude and phase [B,N,N,heads]. The caller owns `binding`, fills its
/// inputs (all but amplitude and phase) before each forward(), and reads its result after. In inference mode no gradient is computed.
struct PhysicsBinding {
  ops::PhysicsSpec spec;
  ops::PhysicsInputs inputs;
  ops::PhysicsResult result;
};
/// members_as_images: amplitude and phase are [B*C,N,N,1] (a shared network applied to each member).
void physics_loss(Tape& tape, ValueId amplitude, ValueId phase, PhysicsBinding* binding, bool members_as_images);

}  // namespace ptyfuse::autodiff
