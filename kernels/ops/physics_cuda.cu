#include "kernels/ops/physics_cuda.h"

#include <algorithm>

#include "kernels/ops/fft2_shared.cuh"
#include "kernels/ops/merge.h"
#include "kernels/ops/physics_shared.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int64_t shared_bytes_of_system = 1024;  // for each block
constexpr int64_t sums_bytes = 512;

// Samples between a region's rows: an odd number, so that rows 8 apart meet different banks.
__host__ __device__ constexpr int region_pitch(int region_side) {
  return region_side | 1;
}

struct FusedArgs {
  PhysicsCall call;
  bool four_channels;          // heads lie side by side in amplitude, phase and their gradients
  bool four_measured;          // and so do members in the measured data
  bool hold_probe;             // in shared memory, behind the kept planes
  int kept_planes;             // of a group's amplitudes and phases, in shared memory
  float* inverse_denominator;  // of each block
  float2* regions;             // of each block: region and its gradient; null where they lie in shared memory
  double* used;
  double* sums;  // of each group
};

// How a launch treats its groups.
enum class Way {
  single,  // one pattern each, one mode: no region where the pattern is alone at its patch's origin
  shared,  // the region and its gradient lie in shared memory
  scratch  // they lie in device memory, in the block's own part of it, which caches keep
};

// One block's way through a group. Its threads own pixels and frequencies of the transform (fft2_shared.cuh). The
// losses' sums are its own until the group's end.
//
// Where a group is one pattern with the probe at its patch's origin, the patch goes from device memory through the
// transform's registers and back. Otherwise the members' patches are put, one after another, into the transform's
// shared memory and gathered into the region (make_region); each pattern's patch is gathered from there, and its
// gradient, put into the transform's shared memory, is gathered into the region's gradient; this one is gathered into
// the members' patches. Amplitudes and phases are kept in shared memory, as many as fit; others are read again.
template <int kSide, Way kWay>
class GroupStep {
  using Fft = SharedFft2<kSide>;
  static constexpr int threads = Fft::threads, pixels = Fft::pixels, slots = Fft::slots;
  // Measured amplitudes of four members in registers, read as 16 bytes.
  static constexpr bool can_hold_measured = kWay == Way::shared;
  static constexpr bool several_heads = kWay != Way::single;
  static constexpr int unroll = kWay == Way::shared ? 2 : 1;

 public:
  static constexpr int64_t fixed_bytes = Fft::shared_bytes + sums_bytes;

  __device__ __forceinline__ GroupStep(const FusedArgs& args, unsigned char* shared)
      : args_(args),
        call_(args.call),
        backward_(args.call.grad_amplitude.data != nullptr),
        region_side_(args.call.merged ? args.call.canvas : kSide),
        pad_((region_side_ - kSide) / 2),
        pitch_(region_pitch(region_side_)),
        fft_(shared) {
    parts_ = reinterpret_cast<double*>(shared + Fft::shared_bytes);
    slopes_ = reinterpret_cast<LossSlopes*>(parts_ + 3 * threads / 32);
    auto* next = reinterpret_cast<float2*>(shared + fixed_bytes);
    if constexpr (kWay == Way::shared) {
      shared_region_ = next;
      next += 2 * region_side_ * pitch_;
    }
    if constexpr (kWay == Way::single) {
      held_probe_ = next;
      if (args.hold_probe) next += pixels;
    }
    kept_ = reinterpret_cast<float*>(next);
    read_mask();
    if constexpr (kWay == Way::single)
      if (args.hold_probe)
        fft_.template each_pixel<4>(
            [&](int y, int x, int slot) { held_probe_[slot * threads + fft_.thread()] = call_.probe[y * kSide + x]; });
  }

  __device__ __forceinline__ void run(int64_t group) {
    if (kWay == Way::single && alone_at_origin(group))
      single_pattern(group);
    else
      merged_patterns(group);
    store_sums(group);
  }

 private:
  __device__ __forceinline__ const float* offset_px(int64_t group, int member) const {
    return call_.offsets_px + 2 * (group * call_.members + member);
  }
  __device__ __forceinline__ bool alone_at_origin(int64_t group) const {
    return offset_px(group, 0)[0] == 0.0F && offset_px(group, 0)[1] == 0.0F;
  }
  static __device__ __forceinline__ int shifted(int frequency) { return (frequency + kSide / 2) % kSide; }

  // --- The region, its gradient and what the merge divides by; of this block.

  __device__ __forceinline__ float2* region() const {
    if constexpr (kWay == Way::shared)
      return shared_region_;
    else
      return args_.regions + static_cast<int64_t>(blockIdx.x) * 2 * region_side_ * pitch_;
  }
  __device__ __forceinline__ float2* grad_region() const { return region() + region_side_ * pitch_; }
  __device__ __forceinline__ float* inverse_denominator() const {
    return args_.inverse_denominator + static_cast<int64_t>(blockIdx.x) * region_side_ * region_side_;
  }

  // --- The mask, as one bit for each frequency of the thread, and how many pixels of a pattern it leaves.

  __device__ __forceinline__ void read_mask() {
    mask_bits_ = 0;
    for (int p = 0; p < Fft::second_passes; ++p)
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        const int at = shifted(fft_.row_frequency(p, k)) * kSide + shifted(fft_.column_frequency());
        const bool use = call_.mask == nullptr || call_.mask[at] != 0.0F;
        mask_bits_ |= (use ? 1U : 0U) << (8 * p + k);
      }
    const int used = block_sum(__popc(mask_bits_), reinterpret_cast<int*>(parts_));
    // Read by others behind the transform's barriers.
    if (fft_.thread() == 0) *slopes_ = loss_slopes(call_, used);
    if (blockIdx.x == 0 && fft_.thread() == 0) *args_.used = used;
  }

  // --- Amplitudes and phases: plane 2*head is the amplitude, 2*head + 1 the phase. Kept ones are this thread's own.

  __device__ __forceinline__ float read_plane(int64_t group, int plane, int y, int x) const {
    const StridedImages<const float>& images = plane % 2 == 0 ? call_.amplitude : call_.phase;
    return *images.at(group, plane / 2, y, x);
  }
  __device__ __forceinline__ float& kept(int plane, int slot) const {
    return kept_[plane * pixels + slot * threads + fft_.thread()];
  }

  // --- Losses and their way into the spectrum.

  __device__ __forceinline__ float measured(int64_t group, int member, int p, int k) const {
    return __ldcs(
        call_.measured.at(group, member, shifted(fft_.row_frequency(p, k)), shifted(fft_.column_frequency())));
  }
  __device__ __forceinline__ float compare(int p, int k, float intensity, float data, LossSums& sums) const {
    if ((mask_bits_ >> (8 * p + k) & 1U) == 0) return 0.0F;
    return compare_pixel(call_, *slopes_, intensity, data, sums);
  }

  // Puts what this thread has counted to its warp's part of the group's sums.
  __device__ __forceinline__ void add_sums(const LossSums& sums, bool first) const {
    const double nll = warp_sum(sums.nll), mae = warp_sum(sums.mae), slope = warp_sum(sums.slope);
    if (lane_in_warp() != 0) return;
    double* const part = parts_ + 3 * warp_in_block();
    part[0] = first ? nll : part[0] + nll;
    part[1] = first ? mae : part[1] + mae;
    part[2] = first ? slope : part[2] + slope;
  }
  __device__ __forceinline__ void store_sums(int64_t group) const {
    __syncthreads();
    if (fft_.thread() < 3) {
      double sum = 0;
      for (int warp = 0; warp < threads / 32; ++warp) sum += parts_[3 * warp + fft_.thread()];
      args_.sums[3 * group + fft_.thread()] = sum;
    }
    // The next group's sums are written behind its transform's barriers.
  }

  // --- One pattern whose patch is the network's, times the merge's gain.

  __device__ __forceinline__ float gain(int y, int x) const {
    if (!call_.merged) return 1.0F;
    const float weight = call_.weight[y * kSide + x];
    return (call_.unmasked_numerator ? 1.0F : weight) / (weight + merge_epsilon);
  }
  __device__ __forceinline__ float2 probe_of_slot(int y, int x, int slot) const {
    return args_.hold_probe ? held_probe_[slot * threads + fft_.thread()] : call_.probe[y * kSide + x];
  }
  __device__ __forceinline__ void single_pattern(int64_t group) {
    fft_.template each_pixel<4>([&](int y, int x, int slot) {
      const float amplitude = read_plane(group, 0, y, x), phase = read_plane(group, 1, y, x);
      if (args_.kept_planes > 0) kept(0, slot) = amplitude;
      if (args_.kept_planes > 1) kept(1, slot) = phase;
      fft_.at(y, x) = multiply(probe_of_slot(y, x, slot), polar(gain(y, x) * amplitude, phase));
    });
    fft_.begin_forward([&](int y, int x, int) { return fft_.at(y, x); });
    LossSums sums;
#pragma unroll 1
    for (int p = 0; p < Fft::second_passes; ++p) {
      float data[8];
#pragma unroll
      for (int k = 0; k < 8; ++k) data[k] = measured(group, 0, p, k);
      float2 v[8];
      fft_.load_spectrum(p, v);
#pragma unroll
      for (int k = 0; k < 8; ++k) v[k] = scale(compare(p, k, squared_magnitude(v[k]), data[k], sums), v[k]);
      if (backward_) fft_.store_spectrum(p, v);
    }
    add_sums(sums, true);
    if (!backward_) return;
    fft_.end_backward([&](int y, int x, int, float2 value) { fft_.at(y, x) = value; });
    fft_.template each_pixel<4>([&](int y, int x, int slot) {
      const float amplitude = args_.kept_planes > 0 ? kept(0, slot) : read_plane(group, 0, y, x);
      const float phase = args_.kept_planes > 1 ? kept(1, slot) : read_plane(group, 1, y, x);
      const float2 grad_patch = scale(gain(y, x), multiply_conjugate(probe_of_slot(y, x, slot), fft_.at(y, x)));
      const float2 grad = polar_gradient(amplitude, phase, grad_patch);
      *call_.grad_amplitude.at(group, 0, y, x) = grad.x;
      *call_.grad_phase.at(group, 0, y, x) = grad.y;
    });
  }

  // --- Any group.

  // Calls body(y, x) for this thread's pixels of the region: a warp takes runs of a row.
  template <class Body>
  __device__ __forceinline__ void each_region_pixel(const Body& body) const {
    for (int y = fft_.thread() / 32; y < region_side_; y += threads / 32)
      for (int x = fft_.thread() % 32; x < region_side_; x += 32) body(y, x);
  }

  // The planes of four heads, read as 16 bytes; those that are not kept wait in the memory of the region's gradient
  // behind the weight, as long as the region is made.
  __device__ __forceinline__ int planes_at_hand() const {
    if (!args_.four_channels || kWay != Way::shared) return 0;
    return args_.kept_planes + (2 * region_side_ * pitch_ - pixels) / pixels;
  }
  __device__ __forceinline__ float& plane_at_hand(int plane, int slot) const {
    if (plane < args_.kept_planes) return kept(plane, slot);
    return reinterpret_cast<float*>(
        grad_region())[(1 + plane - args_.kept_planes) * pixels + slot * threads + fft_.thread()];
  }
  __device__ __forceinline__ void read_four_heads(int64_t group) const {
    const int at_hand = planes_at_hand();
#pragma unroll(unroll)
    for (int slot = 0; slot < slots; ++slot) {
      const int pixel = slot * threads + fft_.thread(), y = pixel / kSide, x = pixel % kSide;
      const float4 a = *reinterpret_cast<const float4*>(call_.amplitude.at(group, 0, y, x));
      const float4 p = *reinterpret_cast<const float4*>(call_.phase.at(group, 0, y, x));
      const float values[8] = {a.x, p.x, a.y, p.y, a.z, p.z, a.w, p.w};
#pragma unroll
      for (int plane = 0; plane < 8; ++plane)
        if (plane < at_hand) plane_at_hand(plane, slot) = values[plane];
    }
  }
  __device__ __forceinline__ float first_plane_value(int64_t group, int plane, int slot, int y, int x) const {
    if (plane < planes_at_hand()) return plane_at_hand(plane, slot);
    const float value = read_plane(group, plane, y, x);
    if (plane < args_.kept_planes) kept(plane, slot) = value;
    return value;
  }
  __device__ __forceinline__ float plane_value(int64_t group, int plane, int slot, int y, int x) const {
    return plane < args_.kept_planes ? kept(plane, slot) : read_plane(group, plane, y, x);
  }

  __device__ __forceinline__ void make_region(int64_t group) {
    const float* weight = call_.weight;
    if constexpr (kWay == Way::shared) {
      float* const shared_weight = reinterpret_cast<float*>(grad_region());
      if (call_.merged)
        for (int i = fft_.thread(); i < pixels; i += threads) shared_weight[i] = call_.weight[i];
      weight = shared_weight;
    }
    if (planes_at_hand() > 0) read_four_heads(group);
    for (int head = 0; head < call_.heads; ++head) {
#pragma unroll(unroll)
      for (int slot = 0; slot < slots; ++slot) {
        const int pixel = slot * threads + fft_.thread(), y = pixel / kSide, x = pixel % kSide;
        const float amplitude = first_plane_value(group, 2 * head, slot, y, x);
        const float2 patch = polar(amplitude, first_plane_value(group, 2 * head + 1, slot, y, x));
        if (!call_.merged)
          region()[y * pitch_ + x] = patch;
        else
          // The weight in shared memory may be another thread's yet: this thread stored this pixel itself.
          fft_.at(y, x) = call_.unmasked_numerator ? patch : scale(weight[pixel], patch);
      }
      __syncthreads();
      if (!call_.merged) continue;
      const Placement place = merge_placement(offset_px(group, head), pad_);
      each_region_pixel([&](int y, int x) {
        float2 sum = translated(place, y, x, kSide, [&](int sy, int sx) { return fft_.at(sy, sx); });
        float2& value = region()[y * pitch_ + x];
        float& inverse = inverse_denominator()[y * region_side_ + x];
        if (head > 0) sum = add(value, sum);
        if (head == 0) {
          float all = merge_epsilon;
          for (int member = 0; member < call_.members; ++member)
            all += translated_real(merge_placement(offset_px(group, member), pad_), y, x, kSide,
                                   [&](int sy, int sx) { return weight[sy * kSide + sx]; });
          inverse = 1.0F / all;
        }
        value = head + 1 == call_.heads ? scale(inverse, sum) : sum;
      });
      __syncthreads();
    }
  }

  // A member's pattern through all modes, and its gradient into that of the region. The intensities of the modes are
  // added up first, in the plane behind the kept ones; then the last mode goes back, and the others, transformed again.
  __device__ __forceinline__ void pattern(int64_t group, int member, const float4 (&held)[8]) {
    const int modes = call_.modes, steps = backward_ ? 2 * modes - 1 : modes;
    for (int step = 0; step < steps; ++step) {
      const float2* const probe = call_.probe + (step < modes ? step : step - modes) * pixels;
      extract_patch(group, member, probe);
      fft_.begin_forward([&](int y, int x, int) { return fft_.at(y, x); });
      const bool returns = backward_ && step + 1 >= modes;
      LossSums sums;
#pragma unroll 1
      for (int p = 0; p < Fft::second_passes; ++p) {
        float2 v[8];
        fft_.load_spectrum(p, v);
#pragma unroll
        for (int k = 0; k < 8; ++k) {
          float by = step > 0 ? kept(args_.kept_planes, 8 * p + k) : 0.0F;
          if (step < modes) by += squared_magnitude(v[k]);
          if (step + 1 == modes) by = compare(p, k, by, data_of(group, member, p, k, held), sums);
          if (modes > 1) kept(args_.kept_planes, 8 * p + k) = by;
          v[k] = scale(by, v[k]);
        }
        if (returns) fft_.store_spectrum(p, v);
      }
      if (step + 1 == modes) add_sums(sums, member == 0);
      if (returns) {
        fft_.end_backward(
            [&](int y, int x, int, float2 value) { fft_.at(y, x) = multiply_conjugate(probe[y * kSide + x], value); });
        __syncthreads();
        add_to_region_gradient(group, member, member == 0 && step + 1 == modes);
      }
      __syncthreads();
    }
  }
  __device__ __forceinline__ void extract_patch(int64_t group, int member, const float2* probe) const {
    const Placement place = extract_placement(offset_px(group, member), pad_);
    fft_.template each_pixel<unroll>([&](int y, int x, int) {
      const float2 patch =
          translated(place, y, x, region_side_, [&](int sy, int sx) { return region()[sy * pitch_ + sx]; });
      fft_.at(y, x) = multiply(probe[y * kSide + x], patch);
    });
  }
  __device__ __forceinline__ void add_to_region_gradient(int64_t group, int member, bool first) const {
    const Placement back = transposed(extract_placement(offset_px(group, member), pad_));
    each_region_pixel([&](int y, int x) {
      float2& grad = grad_region()[y * pitch_ + x];
      const float2 sum = translated(back, y, x, kSide, [&](int sy, int sx) { return fft_.at(sy, sx); });
      grad = first ? sum : add(grad, sum);
    });
  }
  __device__ __forceinline__ float data_of(int64_t group, int member, int p, int k, const float4 (&held)[8]) const {
    if constexpr (can_hold_measured)
      if (args_.four_measured) {
        const float4& four = held[k];  // a single pass
        return member == 0 ? four.x : member == 1 ? four.y : member == 2 ? four.z : four.w;
      }
    return measured(group, member, p, k);
  }

  __device__ __forceinline__ float2 object_gradient(int64_t group, int head, int slot, int y, int x) const {
    const float amplitude = plane_value(group, 2 * head, slot, y, x);
    const float phase = plane_value(group, 2 * head + 1, slot, y, x);
    float2 grad;
    if (call_.merged) {
      grad = translated(transposed(merge_placement(offset_px(group, head), pad_)), y, x, region_side_,
                        [&](int sy, int sx) { return grad_region()[sy * pitch_ + sx]; });
      if (!call_.unmasked_numerator) grad = scale(call_.weight[y * kSide + x], grad);
    } else {
      grad = grad_region()[y * pitch_ + x];
    }
    return polar_gradient(amplitude, phase, grad);
  }

  __device__ __forceinline__ void merged_patterns(int64_t group) {
    make_region(group);
    float4 held[8];
    if constexpr (can_hold_measured)
      if (args_.four_measured) {
#pragma unroll
        for (int k = 0; k < 8; ++k)
          held[k] = *reinterpret_cast<const float4*>(
              call_.measured.at(group, 0, shifted(fft_.row_frequency(0, k)), shifted(fft_.column_frequency())));
      }
    for (int member = 0; member < call_.members; ++member) pattern(group, member, held);
    if (!backward_) return;
    if (call_.merged) {
      each_region_pixel([&](int y, int x) {
        float2& grad = grad_region()[y * pitch_ + x];
        grad = scale(inverse_denominator()[y * region_side_ + x], grad);
      });
      __syncthreads();
    }
#pragma unroll 1
    for (int slot = 0; slot < slots; ++slot) {
      const int pixel = slot * threads + fft_.thread(), y = pixel / kSide, x = pixel % kSide;
      if constexpr (several_heads)
        if (args_.four_channels) {
          const float2 g0 = object_gradient(group, 0, slot, y, x), g1 = object_gradient(group, 1, slot, y, x);
          const float2 g2 = object_gradient(group, 2, slot, y, x), g3 = object_gradient(group, 3, slot, y, x);
          *reinterpret_cast<float4*>(call_.grad_amplitude.at(group, 0, y, x)) = make_float4(g0.x, g1.x, g2.x, g3.x);
          *reinterpret_cast<float4*>(call_.grad_phase.at(group, 0, y, x)) = make_float4(g0.y, g1.y, g2.y, g3.y);
          continue;
        }
      for (int head = 0; head < call_.heads; ++head) {
        const float2 grad = object_gradient(group, head, slot, y, x);
        *call_.grad_amplitude.at(group, head, y, x) = grad.x;
        *call_.grad_phase.at(group, head, y, x) = grad.y;
      }
    }
  }

  const FusedArgs& args_;
  const PhysicsCall& call_;
  const bool backward_;
  const int region_side_, pad_, pitch_;
  Fft fft_;
  double* parts_;  // of the group's sums, 3 for each warp
  LossSlopes* slopes_;
  float2 *shared_region_ = nullptr, *held_probe_ = nullptr;
  float* kept_;
  unsigned mask_bits_;
};

constexpr int blocks_of_multiprocessor(int64_t side, Way way) {
  return side == 64 && way == Way::single ? 2 : 1;
}

// As many blocks as fit the GPU at once, 512 threads each; a block takes every gridDim-th group. store_sums' barriers
// part two groups.
template <int kSide, Way kWay>
__global__ void __launch_bounds__(512, blocks_of_multiprocessor(kSide, kWay)) fused_physics(const FusedArgs args) {
  GroupStep<kSide, kWay> step(args, dynamic_smem<unsigned char>());
  for (int64_t group = blockIdx.x; group < args.call.groups; group += gridDim.x) step.run(group);
}

// Of the region and its gradient.
int64_t region_samples(const PhysicsSpec& spec) {
  const int side = static_cast<int>(spec.heads == spec.members ? spec.canvas : spec.side);
  return 2 * int64_t{side} * region_pitch(side);
}

int64_t plane_bytes(const PhysicsSpec& spec) {
  return spec.side * spec.side * static_cast<int64_t>(sizeof(float));
}

// How a group's data lie in shared memory.
struct SharedPlan {
  Way way;
  bool hold_probe;
  int64_t fixed_bytes;  // without the kept planes
  int64_t room_bytes;   // for a block
};

SharedPlan plan_of(const PhysicsSpec& spec, const gpu::Multiprocessors& multiprocessors) {
  SharedPlan plan{};
  plan.fixed_bytes =
      spec.side == 64 ? GroupStep<64, Way::single>::fixed_bytes : GroupStep<128, Way::single>::fixed_bytes;
  if (spec.probe_modes > 1) plan.fixed_bytes += plane_bytes(spec);  // intensities
  plan.room_bytes = multiprocessors.shared_bytes - shared_bytes_of_system;
  if (spec.members == 1 && spec.probe_modes == 1) {
    plan.way = Way::single;
    plan.room_bytes =
        multiprocessors.shared_bytes / blocks_of_multiprocessor(spec.side, plan.way) - shared_bytes_of_system;
    plan.hold_probe = spec.side == 64;
    if (plan.hold_probe) plan.fixed_bytes += 2 * plane_bytes(spec);
  } else if (spec.side == 64 && plan.fixed_bytes + 8 * region_samples(spec) <= plan.room_bytes) {
    plan.way = Way::shared;
    plan.fixed_bytes += 8 * region_samples(spec);
  } else {
    plan.way = Way::scratch;
  }
  return plan;
}

// One thread of one block works.
__global__ void set_intensity_scale(const float* in_memory, float log_scale, double of_pixel, float* out) {
  if (threadIdx.x > 0) return;
  *out = static_cast<float>(exp(2.0 * static_cast<double>(in_memory == nullptr ? log_scale : *in_memory)) * of_pixel);
}

struct AddLossesArgs {
  const double* used;  // pixels of a pattern
  const double* sums;  // [runs,3]
  int64_t runs, patterns;
  double nll_weight, mae_weight;
  double* result;
  float* grad_log_scale;
};

constexpr int adding_threads = 192;  // whole warps, and a multiple of three: a thread's values are all of one kind

// One block; a thread takes every 192nd value.
__global__ void __launch_bounds__(adding_threads) add_losses(const AddLossesArgs args) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < 3 * args.runs; i += adding_threads) sum += args.sums[i];
  double totals[3];
#pragma unroll
  for (unsigned kind = 0; kind < 3; ++kind)
    totals[kind] = block_sum(threadIdx.x % 3 == kind ? sum : 0.0, dynamic_smem<double>());
  if (threadIdx.x > 0) return;
  const double used = args.patterns == 0 ? 0 : *args.used * static_cast<double>(args.patterns),
               per_pixel = used == 0 ? 0 : 1 / used;
  const double nll = totals[0] * per_pixel, mae = totals[1] * per_pixel, slope = 2 * totals[2];
  args.result[0] = args.nll_weight * nll + args.mae_weight * mae;
  args.result[1] = nll;
  args.result[2] = mae;
  args.result[3] = slope;
  if (args.grad_log_scale != nullptr) *args.grad_log_scale = static_cast<float>(slope);
}

}  // namespace

void PhysicsSums::begin(Stream& stream, const PhysicsInputs& inputs, int64_t side) {
  launch(set_intensity_scale, dim3(1), dim3(32), 0, stream)(inputs.log_scale_in_memory.data(), inputs.log_scale,
                                                            1 / static_cast<double>(side * side),
                                                            intensity_scale_.data());
}

void PhysicsSums::total(Stream& stream, const PhysicsInputs& inputs, int64_t runs, int64_t patterns, double* result,
                        float* grad_log_scale) {
  launch(add_losses, dim3(1), dim3(adding_threads), adding_threads / 32 * sizeof(double), stream)(
      AddLossesArgs{used(), of_runs(), runs, patterns, inputs.nll_weight, inputs.mae_weight, result, grad_log_scale});
}

std::unique_ptr<Physics> make_physics(const Device& device, const PhysicsSpec& spec) {
  if (const gpu::Multiprocessors multiprocessors = gpu::multiprocessors(device);
      FusedPhysics::fits(spec, multiprocessors))
    return std::make_unique<FusedPhysics>(device, spec, multiprocessors);
  return std::make_unique<PhysicsParts>(device, spec);
}

bool FusedPhysics::fits(const PhysicsSpec& spec, const gpu::Multiprocessors& multiprocessors) {
  if (spec.side != 64 && spec.side != 128) return false;
  const SharedPlan plan = plan_of(spec, multiprocessors);
  return plan.fixed_bytes <= plan.room_bytes;
}

FusedPhysics::FusedPhysics(const Device& device, const PhysicsSpec& spec, const gpu::Multiprocessors& multiprocessors)
    : spec_(spec), multiprocessors_(multiprocessors), sums_(device, spec.batch) {
  const SharedPlan plan = plan_of(spec, multiprocessors);
  blocks_ = std::min<int64_t>(multiprocessors.count * blocks_of_multiprocessor(spec.side, plan.way), spec.batch);
  inverse_denominator_ = Tensor<float>(device, {blocks_, spec.canvas, spec.canvas}, "physics denominators");
  if (plan.way != Way::shared) region_ = Tensor<complex64>(device, {blocks_, region_samples(spec)}, "physics regions");
  hold_probe_ = plan.hold_probe;
  fixed_bytes_ = plan.fixed_bytes;
  kept_planes_ =
      std::max<int64_t>(0, std::min(2 * spec.heads, (plan.room_bytes - plan.fixed_bytes) / plane_bytes(spec)));
}

void FusedPhysics::enqueue(Stream& stream, const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
                           TensorView<float> grad_phase, double* result, float* grad_log_scale) {
  const int64_t groups = inputs.amplitude.extent(0);
  const FusedArgs args{.call = physics_call(spec_, inputs, grad_amplitude, grad_phase, sums_),
                       .four_channels = spec_.heads == 4 && four_channels_together(inputs.amplitude) &&
                                        four_channels_together(inputs.phase) &&
                                        (!grad_amplitude || four_channels_together(grad_amplitude)) &&
                                        (!grad_phase || four_channels_together(grad_phase)),
                       .four_measured = four_channels_together(inputs.measured),
                       .hold_probe = hold_probe_,
                       .kept_planes = static_cast<int>(kept_planes_),
                       .inverse_denominator = inverse_denominator_.data(),
                       .regions = device_pointer(region_.data()),
                       .used = sums_.used(),
                       .sums = sums_.of_runs()};
  const int64_t bytes = fixed_bytes_ + kept_planes_ * plane_bytes(spec_);
  const dim3 grid(static_cast<unsigned>(std::min(blocks_, groups))), block(SharedFft2<64>::threads);
  const auto start = [&](auto* kernel) { launch(kernel, grid, block, bytes, stream)(args); };
  const Way way = plan_of(spec_, multiprocessors_).way;
  sums_.begin(stream, inputs, spec_.side);
  if (spec_.side == 64)
    start(way == Way::single   ? fused_physics<64, Way::single>
          : way == Way::shared ? fused_physics<64, Way::shared>
                               : fused_physics<64, Way::scratch>);
  else
    start(way == Way::single ? fused_physics<128, Way::single> : fused_physics<128, Way::scratch>);
  sums_.total(stream, inputs, groups, groups * spec_.members, result, grad_log_scale);
}

}  // namespace ptyfuse::ops::cuda
