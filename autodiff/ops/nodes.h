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
/// max_pool2(conv3x3(...)), pooled by the convolution as it goes.
ValueId conv3x3_and_pool(Tape& tape, ValueId in, ValueId weights, ValueId bias, ops::ConvActivation activation,
                         ops::Precision precision);
ValueId upsample2(Tape& tape, ValueId in);
/// padded: centre is [B,N/2,N/2,C] and the output [B,N,N,C], with border [B,N,N,C] round the central square or zeros
/// where border.index < 0. Not padded: centre is [B,N,N,C] and there is no border.
ValueId head(Tape& tape, const ops::HeadSpec& spec, ValueId centre, ValueId border, bool padded);

/// The supervised loss: mean |a - target_a| + mean |b - target_b| over all elements; inputs of equal shape.
struct AbsoluteErrorLoss {
  /// [1] each: the loss is their sum. Of the last forward(), in the device's memory; from plan() on.
  TensorView<const double> amplitude, phase;
};
void absolute_error(Tape& tape, ValueId amplitude, ValueId amplitude_target, ValueId phase, ValueId phase_target,
                    AbsoluteErrorLoss* result);

/// The unsupervised loss: ops::Physics over amplitude and phase [B,N,N,heads]. The caller owns `binding`, fills its
/// inputs (all but amplitude and phase) before each forward(), and reads its result after. In inference mode no
/// gradient is computed.
struct PhysicsBinding {
  ops::PhysicsSpec spec;
  ops::PhysicsInputs inputs;
  TensorView<float> grad_log_scale;  ///< [1], written where forward() makes gradients; or empty
  TensorView<const double> result;   ///< [4], ops::Physics::result() of the last forward(); from plan() on
  bool loss_only = false;            ///< forward() computes no gradient: a backward() after it is an Error(shape)
};
/// members_as_images: amplitude and phase are [B*C,N,N,1] (a shared network applied to each member).
void physics_loss(Tape& tape, ValueId amplitude, ValueId phase, PhysicsBinding* binding, bool members_as_images);

/// A smoothness term beside it: weight * ops::total_variation of the merged region's central N x N (of the patch where
/// nothing is merged). Takes spec, offsets_px and weight from `binding`; whether there is a weight must be settled.
struct TotalVariationLoss {
  double weight = 0;
  TensorView<const double> value;  ///< [1], not weighted, of the last forward(), in the device's memory; from plan() on
};
void total_variation(Tape& tape, ValueId amplitude, ValueId phase, const PhysicsBinding* binding,
                     bool members_as_images, TotalVariationLoss* loss);

}  // namespace ptyfuse::autodiff
