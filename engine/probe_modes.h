#pragma once
#include "io/scan.h"

namespace ptyfuse {

/// The probe with this many modes and the same total power. Fewer: the first ones. More: the new ones are the first
/// mode times 1, x, y, xy, .. about its centre (as Hermite-Gauss modes are), made orthogonal to those before, and share
/// 10 % of the power evenly. Error(shape): modes < 1, or more than the probe's pixels can tell apart.
io::ComplexImage with_modes(io::ComplexImage probe, int64_t modes);

}  // namespace ptyfuse
