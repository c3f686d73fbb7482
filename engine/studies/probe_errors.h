#pragma once
#include <cstdint>

#include "io/scan.h"

namespace ptyfuse::studies {

/// The probe seen from elsewhere along the beam: each mode's spectrum times exp(i phase_rad q^2 / <q^2>), q the spatial
/// frequency and <q^2> its mean over the mode's power. Power is kept.
io::ComplexImage defocused(const io::ComplexImage& probe, double phase_rad);

/// |P| times 1 + noise of this rms (never below 0), smooth over 2 px, the same for every mode.
io::ComplexImage with_amplitude_error(const io::ComplexImage& probe, double rms, uint64_t seed);

/// Relative L2 distance after the best complex factor: 0 equal, 1 unlike.
double relative_difference(const io::ComplexImage& probe, const io::ComplexImage& exact);

}  // namespace ptyfuse::studies
