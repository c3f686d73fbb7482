#pragma once
#include "kernels/ops/rpie.h"

namespace ptyfuse::ops::cpu {

void shift_spectra(const Device& device, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                   TensorView<complex64> out);
void sum_shifted_back(const Device& device, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                      TensorView<complex64> out);
void exit_waves(const Device& device, TensorView<const complex64> object, const RpieBatch& batch,
                TensorView<const complex64> probes, TensorView<complex64> waves);
void modulus_difference(const Device& device, TensorView<const float> amplitude, TensorView<const uint8_t> mask,
                        TensorView<complex64> spectra);
void modulus_residual(const Device& device, TensorView<const complex64> spectra, TensorView<const float> amplitude,
                      TensorView<const uint8_t> mask, TensorView<double> sums);
void update_object(const Device& device, TensorView<const complex64> differences, const RpieBatch& batch,
                   TensorView<const complex64> probes, const ObjectRule& rule, TensorView<complex64> object);
void add_to_step(const Device& device, TensorView<const complex64> differences, const RpieBatch& batch,
                 TensorView<const complex64> probes, const ObjectStep& step);
void apply_step(const Device& device, const ObjectStep& step, const ObjectRule& rule, TensorView<complex64> object);
void weigh_by_object(const Device& device, TensorView<const complex64> object, const RpieBatch& batch,
                     TensorView<const complex64> differences, TensorView<complex64> out);
void add_scaled(const Device& device, TensorView<const complex64> in, float factor, TensorView<complex64> sum);
float peak_power(const Device& device, TensorView<const complex64> probe);
float peak_window_power(const Device& device, TensorView<const complex64> object, const RpieBatch& batch,
                        int64_t side_px);

}  // namespace ptyfuse::ops::cpu
