#pragma once
// What the operations of rpie.h and rpie_waves.h ask of their arguments.
#include <string>

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/rpie.h"

namespace ptyfuse::ops {

// [b,K,N,N], or [K,N,N] for one axis less.
inline void check_stack(const char* operation, const char* name, const TensorView<const complex64>& view, int rank) {
  const Shape& s = view.shape();
  if (view.rank() != rank || s[rank - 1] != s[rank - 2] || s[rank - 3] < 1 || s[rank - 1] < 1)
    throw_shape_error(operation, std::string(name) + " is " + s.str() + ", expected " +
                                     (rank == 4 ? "[b,K,N,N]" : "[K,N,N]") + " with K and N at least 1");
  require_contiguous(operation, name, view);
}

inline void check_object(const char* operation, const TensorView<const complex64>& object) {
  require_rank(operation, "object", object, 2);
  require_contiguous(operation, "object", object);
}

inline void check_batch(const char* operation, const RpieBatch& batch, int64_t count) {
  require_dense(operation, "corner", batch.corner, {count, 2});
  require_dense(operation, "probe_index", batch.probe_index, {count});
}

inline void check_probes(const char* operation, const TensorView<const complex64>& probes, const Shape& waves) {
  require_rank(operation, "probes", probes, 4);
  require_dense(operation, "probes", probes, {probes.extent(0), waves[1], waves[2], waves[3]});
}

inline void check_measured(const char* operation, const TensorView<const float>& amplitude,
                           const TensorView<const uint8_t>& mask, const Shape& spectra) {
  require_dense(operation, "amplitude", amplitude, {spectra[0], spectra[2], spectra[3]});
  if (mask) require_dense(operation, "mask", mask, {spectra[2], spectra[3]});
}

}  // namespace ptyfuse::ops
