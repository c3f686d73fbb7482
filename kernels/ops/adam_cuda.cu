#include "kernels/ops/adam_cuda.h"

#include "kernels/ops/elementwise.cuh"

namespace ptyfuse::ops::cuda {
namespace {

struct AdamArgs {
  float keep1, take1, keep2, take2, epsilon;
  AdamRate rate;
  const float* gradient;
  float *weights, *m, *v;

  __device__ bool going() const { return rate.going == nullptr || *rate.going != 0; }
  __device__ float rate_now() const { return rate.in_memory == nullptr ? rate.value : *rate.in_memory; }
  __device__ void step(float by, float g, float& w, float& first, float& second) const {
    first = keep1 * first + take1 * g;
    second = keep2 * second + take2 * g * g;
    w -= by * first / (sqrtf(second) + epsilon);
  }

  struct Loaded {
    float4 g, w, m, v;
  };
  __device__ Loaded load4(int64_t i) const {
    if (!going()) return {};
    return {four(gradient, i), four(weights, i), four(m, i), four(v, i)};
  }
  __device__ void store4(int64_t i, Loaded l) const {
    if (!going()) return;
    const float by = rate_now();
    step(by, l.g.x, l.w.x, l.m.x, l.v.x);
    step(by, l.g.y, l.w.y, l.m.y, l.v.y);
    step(by, l.g.z, l.w.z, l.m.z, l.v.z);
    step(by, l.g.w, l.w.w, l.m.w, l.v.w);
    four(weights, i) = l.w;
    four(m, i) = l.m;
    four(v, i) = l.v;
  }
  __device__ void apply1(int64_t i) const {
    if (going()) step(rate_now(), gradient[i], weights[i], m[i], v[i]);
  }
};

}  // namespace

void adam(Stream& stream, const AdamSettings& settings, const AdamRate& rate, TensorView<const float> gradient,
          TensorView<float> weights, TensorView<float> m, TensorView<float> v) {
  const AdamArgs args{static_cast<float>(settings.beta1),
                      static_cast<float>(1 - settings.beta1),
                      static_cast<float>(settings.beta2),
                      static_cast<float>(1 - settings.beta2),
                      static_cast<float>(settings.epsilon),
                      rate,
                      gradient.data(),
                      weights.data(),
                      m.data(),
                      v.data()};
  launch_elementwise<1>(stream, args,
                        split_fours(gradient.elements(), {gradient.data(), weights.data(), m.data(), v.data()}));
}

}  // namespace ptyfuse::ops::cuda
