#pragma once
#include "kernels/ops/rpie.h"

namespace ptyfuse::ops::cuda {

// Arguments are checked but for what lies in the device's memory: a frame whose window leaves the object, or whose
// probe is not there, is taken for zeros and adds nothing.

void shift_spectra(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                   TensorView<complex64> out);
void sum_shifted_back(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                      TensorView<complex64> out);
void exit_waves(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                TensorView<const complex64> probes, TensorView<complex64> waves);
void modulus_difference(Stream& stream, TensorView<const float> amplitude, TensorView<const uint8_t> mask,
                        TensorView<complex64> spectra);
void modulus_residual(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> amplitude,
                      TensorView<const uint8_t> mask, TensorView<double> sums);
void update_object(Stream& stream, TensorView<const complex64> differences, const RpieBatch& batch,
                   TensorView<const complex64> probes, const ObjectRule& rule, TensorView<complex64> object);
void add_to_step(Stream& stream, TensorView<const complex64> differences, const RpieBatch& batch,
                 TensorView<const complex64> probes, const ObjectStep& step);
void apply_step(Stream& stream, const ObjectStep& step, const ObjectRule& rule, TensorView<complex64> object);
void weigh_by_object(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                     TensorView<const complex64> differences, TensorView<complex64> out);
void add_scaled(Stream& stream, TensorView<const complex64> in, float factor, TensorView<complex64> sum);
float peak_power(Stream& stream, TensorView<const complex64> probe);
float peak_window_power(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch, int64_t side_px);

}  // namespace ptyfuse::ops::cuda
