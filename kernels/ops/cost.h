#pragma once

namespace ptyfuse::ops {

/// The work of one call by its contract: floating-point operations, and the fewest bytes of device memory it can move
/// (each input read once, each output written once). Tests name them, benchmarks divide by them.
struct Cost {
  double flop = 0;
  double bytes = 0;
};

}  // namespace ptyfuse::ops
