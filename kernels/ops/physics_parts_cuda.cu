// The physics step by parts, for images that do not fit the fused one.
#include <algorithm>

#include "kernels/ops/merge.h"
#include "kernels/ops/physics_shared.cuh"

namespace ptyfuse::ops::cuda {
namespace {

struct PartsArgs {
  PhysicsCall call;
  int64_t first_group, groups;  // of the batch, at work now
  float2* objects;              // [groups,heads,N,N]
  float2* region;               // [groups,Q,Q], then its gradient
  float* inverse_denominator;   // [groups,Q,Q]
  float2* patches;              // [groups,C,N,N], gradients
  float2* waves;                // [groups,C,K,N,N]
  double* used;
  double* sums;  // of each pattern of the batch
};

// Element i of images [.., side, side]: which image, and where in it.
struct Pixel {
  int64_t image;
  int y, x;
};
__device__ __forceinline__ Pixel pixel_of(int64_t i, int side) {
  const int64_t row = i / side, image = row / side;
  return {image, static_cast<int>(row - image * side), static_cast<int>(i - row * side)};
}
__device__ __forceinline__ const float* offset_px(const PartsArgs& args, int64_t patch) {
  return args.call.offsets_px + 2 * (args.first_group * args.call.members + patch);
}
__device__ __forceinline__ int canvas_pad(const PhysicsCall& call) {
  return (call.canvas - call.side) / 2;
}

// Element i of the network's patches, the heads of a pixel side by side: whether these lie so, too, or image by image,
// a warp's accesses fill their sectors.
struct HeadPixel {
  int64_t group;
  int head, y, x;
};
__device__ __forceinline__ HeadPixel head_pixel_of(int64_t i, const PhysicsCall& call) {
  const int64_t pixel = i / call.heads;
  const Pixel p = pixel_of(pixel, call.side);
  return {p.image, static_cast<int>(i - pixel * call.heads), p.y, p.x};
}

// A thread for each pixel of the network's patches.
__global__ void make_objects(const PartsArgs args) {
  const PhysicsCall& call = args.call;
  const int64_t i = pixel_index();
  if (i >= args.groups * call.heads * call.side * call.side) return;
  const HeadPixel p = head_pixel_of(i, call);
  const float2 object = polar(*call.amplitude.at(args.first_group + p.group, p.head, p.y, p.x),
                              *call.phase.at(args.first_group + p.group, p.head, p.y, p.x));
  const bool weighted = call.merged && !call.unmasked_numerator;
  args.objects[((p.group * call.heads + p.head) * call.side + p.y) * call.side + p.x] =
      weighted ? scale(call.weight[p.y * call.side + p.x], object) : object;
}

// A thread for each pixel of the regions gathers from all members, in their order.
__global__ void make_regions(const PartsArgs args) {
  const PhysicsCall& call = args.call;
  const int64_t i = pixel_index();
  if (i >= args.groups * call.canvas * call.canvas) return;
  const Pixel p = pixel_of(i, call.canvas);
  float2 sum = make_float2(0.0F, 0.0F);
  float weight = merge_epsilon;
  for (int64_t patch = p.image * call.members; patch < (p.image + 1) * call.members; ++patch) {
    const Placement place = merge_placement(offset_px(args, patch), canvas_pad(call));
    const float2* const object = args.objects + patch * call.side * call.side;
    sum = add(sum, translated(place, p.y, p.x, call.side, [&](int y, int x) { return object[y * call.side + x]; }));
    weight += translated_real(place, p.y, p.x, call.side, [&](int y, int x) { return call.weight[y * call.side + x]; });
  }
  args.inverse_denominator[i] = 1.0F / weight;
  args.region[i] = scale(1.0F / weight, sum);
}

// A thread for each pixel of a pattern's patch, through all modes.
__global__ void illuminate_members(const PartsArgs args) {
  const PhysicsCall& call = args.call;
  const int64_t i = pixel_index(), pixels = static_cast<int64_t>(call.side) * call.side;
  if (i >= args.groups * call.members * pixels) return;
  const Pixel p = pixel_of(i, call.side);
  const int side = call.merged ? call.canvas : call.side;
  const float2* const region = (call.merged ? args.region : args.objects) + p.image / call.members * side * side;
  const Placement place = extract_placement(offset_px(args, p.image), (side - call.side) / 2);
  const float2 patch = translated(place, p.y, p.x, side, [&](int y, int x) { return region[y * side + x]; });
  const int64_t pixel = i - p.image * pixels;
  for (int k = 0; k < call.modes; ++k)
    args.waves[(p.image * call.modes + k) * pixels + pixel] = multiply(call.probe[k * pixels + pixel], patch);
}

// One block.
__global__ void count_used_pixels(const PartsArgs args) {
  const int64_t pixels = static_cast<int64_t>(args.call.side) * args.call.side;
  double used = 0;
  for (int64_t i = threadIdx.x; i < pixels; i += pixel_threads)
    used += args.call.mask == nullptr || args.call.mask[i] != 0.0F ? 1 : 0;
  used = block_sum(used, dynamic_smem<double>());
  if (threadIdx.x == 0) *args.used = used;
}

// A block for each pattern: losses, and the loss's gradient in place of the far field.
__global__ void compare_patterns(const PartsArgs args) {
  const PhysicsCall& call = args.call;
  const int64_t pattern = blockIdx.x, group = args.first_group + pattern / call.members;
  const int64_t member = pattern % call.members;
  const int side = call.side, half = side / 2, pixels = side * side;
  const LossSlopes slopes = loss_slopes(call, *args.used);
  float2* const waves = args.waves + pattern * call.modes * pixels;
  LossSums sums;
  for (int i = threadIdx.x; i < pixels; i += pixel_threads) {
    const int y = (i / side + half) % side, x = (i % side + half) % side;
    const bool use = call.mask == nullptr || call.mask[y * side + x] != 0.0F;
    float intensity = 0.0F;
    for (int k = 0; k < call.modes; ++k) intensity += squared_magnitude(waves[static_cast<int64_t>(k) * pixels + i]);
    const float by = use ? compare_pixel(call, slopes, intensity, *call.measured.at(group, member, y, x), sums) : 0.0F;
    for (int k = 0; k < call.modes; ++k) {
      float2& wave = waves[static_cast<int64_t>(k) * pixels + i];
      wave = scale(by, wave);
    }
  }
  store_sums(sums, dynamic_smem<double>(), args.sums + 3 * (args.first_group * call.members + pattern));
}

// A thread for each pixel of a pattern's patch, through all modes.
__global__ void gather_modes(const PartsArgs args) {
  const PhysicsCall& call = args.call;
  const int64_t i = pixel_index(), pixels = static_cast<int64_t>(call.side) * call.side;
  if (i >= args.groups * call.members * pixels) return;
  const int64_t pattern = i / pixels, pixel = i - pattern * pixels;
  float2 sum = make_float2(0.0F, 0.0F);
  for (int k = 0; k < call.modes; ++k)
    sum = add(sum, multiply_conjugate(call.probe[k * pixels + pixel],
                                      args.waves[(pattern * call.modes + k) * pixels + pixel]));
  args.patches[i] = sum;
}

// The gradient of a region of `side` samples at (y, x), gathered from all members, in their order.
__device__ __forceinline__ float2 region_gradient(const PartsArgs& args, int64_t group, int side, int y, int x) {
  const PhysicsCall& call = args.call;
  float2 sum = make_float2(0.0F, 0.0F);
  for (int64_t patch = group * call.members; patch < (group + 1) * call.members; ++patch) {
    const float2* const grad = args.patches + patch * call.side * call.side;
    const Placement place = transposed(extract_placement(offset_px(args, patch), (side - call.side) / 2));
    sum = add(sum, translated(place, y, x, call.side, [&](int sy, int sx) { return grad[sy * call.side + sx]; }));
  }
  return sum;
}

// A thread for each pixel of the regions.
__global__ void make_region_gradients(const PartsArgs args) {
  const PhysicsCall& call = args.call;
  const int64_t i = pixel_index();
  if (i >= args.groups * call.canvas * call.canvas) return;
  const Pixel p = pixel_of(i, call.canvas);
  args.region[i] = scale(args.inverse_denominator[i], region_gradient(args, p.image, call.canvas, p.y, p.x));
}

// A thread for each pixel of the network's patches.
__global__ void object_gradients(const PartsArgs args) {
  const PhysicsCall& call = args.call;
  const int64_t i = pixel_index();
  if (i >= args.groups * call.heads * call.side * call.side) return;
  const HeadPixel p = head_pixel_of(i, call);
  const int64_t b = args.first_group + p.group;
  float2 grad;
  if (call.merged) {
    const float2* const region = args.region + p.group * call.canvas * call.canvas;
    const float* const offset = offset_px(args, p.group * call.heads + p.head);
    const Placement place = transposed(merge_placement(offset, canvas_pad(call)));
    grad = translated(place, p.y, p.x, call.canvas, [&](int y, int x) { return region[y * call.canvas + x]; });
    if (!call.unmasked_numerator) grad = scale(call.weight[p.y * call.side + p.x], grad);
  } else {
    grad = region_gradient(args, p.group, call.side, p.y, p.x);
  }
  grad = polar_gradient(*call.amplitude.at(b, p.head, p.y, p.x), *call.phase.at(b, p.head, p.y, p.x), grad);
  *call.grad_amplitude.at(b, p.head, p.y, p.x) = grad.x;
  *call.grad_phase.at(b, p.head, p.y, p.x) = grad.y;
}

// So many groups that their waves take some 64 MiB.
int64_t groups_at_once(const PhysicsSpec& spec) {
  constexpr int64_t bytes = 64 << 20;
  const int64_t of_group =
      spec.members * spec.probe_modes * spec.side * spec.side * static_cast<int64_t>(sizeof(complex64));
  return std::min(spec.batch, std::max<int64_t>(1, bytes / of_group));
}

}  // namespace

PhysicsParts::PhysicsParts(const Device& device, const PhysicsSpec& spec)
    : spec_(spec),
      groups_(groups_at_once(spec)),
      objects_(device, {groups_, spec.heads, spec.side, spec.side}, "physics objects"),
      region_(device, {groups_, spec.canvas, spec.canvas}, "physics regions"),
      inverse_denominator_(device, region_.shape(), "physics denominators"),
      patches_(device, {groups_, spec.members, spec.side, spec.side}, "physics patches"),
      waves_(device, {groups_, spec.members, spec.probe_modes, spec.side, spec.side}, "physics waves"),
      fft_(device, std::max<int64_t>(1, groups_ * spec.members * spec.probe_modes), spec.side, spec.side),
      sums_(device, spec.batch * spec.members) {}

void PhysicsParts::enqueue(Stream& stream, const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
                           TensorView<float> grad_phase, double* result, float* grad_log_scale) {
  constexpr int64_t reduction_bytes = 8 * pixel_threads / 32;
  const int64_t batch = inputs.amplitude.extent(0), pixels = spec_.side * spec_.side;
  PartsArgs args{.call = physics_call(spec_, inputs, grad_amplitude, grad_phase, sums_),
                 .first_group = 0,
                 .groups = 0,
                 .objects = device_pointer(objects_.data()),
                 .region = device_pointer(region_.data()),
                 .inverse_denominator = inverse_denominator_.data(),
                 .patches = device_pointer(patches_.data()),
                 .waves = device_pointer(waves_.data()),
                 .used = sums_.used(),
                 .sums = sums_.of_runs()};
  sums_.begin(stream, inputs, spec_.side);
  if (batch > 0) launch(count_used_pixels, dim3(1), dim3(pixel_threads), reduction_bytes, stream)(args);
  for (; args.first_group < batch; args.first_group += groups_) {
    args.groups = std::min(groups_, batch - args.first_group);
    const int64_t objects = args.groups * spec_.heads, patterns = args.groups * spec_.members;
    const int64_t region_pixels = args.groups * spec_.canvas * spec_.canvas;
    launch_pixels(make_objects, objects * pixels, stream, args);
    if (args.call.merged) launch_pixels(make_regions, region_pixels, stream, args);
    launch_pixels(illuminate_members, patterns * pixels, stream, args);
    fft_.run(stream, false, waves_.data(), patterns * spec_.probe_modes);
    launch(compare_patterns, dim3(static_cast<unsigned>(patterns)), dim3(pixel_threads), reduction_bytes, stream)(args);
    if (!grad_amplitude) continue;
    fft_.run(stream, true, waves_.data(), patterns * spec_.probe_modes);
    launch_pixels(gather_modes, patterns * pixels, stream, args);
    if (args.call.merged) launch_pixels(make_region_gradients, region_pixels, stream, args);
    launch_pixels(object_gradients, objects * pixels, stream, args);
  }
  sums_.total(stream, inputs, batch * spec_.members, batch * spec_.members, result, grad_log_scale);
}

}  // namespace ptyfuse::ops::cuda
