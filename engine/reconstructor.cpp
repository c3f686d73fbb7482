#include "engine/reconstructor.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "engine/device_memory.h"
#include "engine/forward_model.h"
#include "engine/frame_range.h"
#include "engine/frame_stage.h"
#include "engine/loader.h"
#include "engine/refine.h"
#include "engine/refine_output.h"
#include "engine/scan_set.h"
#include "engine/stitch.h"
#include "engine/train_options.h"
#include "engine/trainer.h"
#include "engine/training_set.h"

namespace ptyfuse {
namespace {

using Clock = std::chrono::steady_clock;

// Share of the host memory that one canvas may take.
constexpr int64_t canvas_share = 2;

// The network's configuration as the checkpoint states it: nothing in it is "auto" any more.
GeneratorConfig stored_network(const TrainConfig& c, PrecisionChoice precision, const Device& device) {
  TrainConfig decided = c;
  if (precision != PrecisionChoice::automatic) decided.precision = precision;
  return resolve_network(decided, c.side_px, 0, device, {});
}

int64_t image_count(const io::ScanInfo& info) {
  int64_t images = std::max<int64_t>(1, info.object.depth);
  for (const int32_t i : info.object_index) images = std::max<int64_t>(images, i + 1);
  return images;
}

}  // namespace

OptionTable reconstruct_options(ReconstructConfig& c) {
  OptionTable t;
  t.choice("stitch", c.stitch, {{"probe", StitchRule::probe}, {"crop", StitchRule::crop}},
           "probe: average weighted by the probe's intensity; crop: plain average of central squares");
  t.integer("crop", c.crop_px, "side of the central square that is stitched, in pixels (even); 0: chosen by the rule",
            0, 256);
  add_frames_option(t, c.frames);
  t.integer("polish", c.polish_sweeps, "sweeps of iterative refinement (refine) after the network");
  t.flag("patches", c.patches, "keep every object patch in the output");
  t.integer("batch", c.batch, "groups at a time; fewer where --device-memory asks for it", 1, 65536);
  t.choice("precision", c.precision,
           {{"auto", PrecisionChoice::automatic}, {"fp32", PrecisionChoice::fp32}, {"bf16", PrecisionChoice::bf16}},
           "arithmetic of the convolutions; auto: as trained");
  t.bytes("host-memory", c.host_memory_bytes, "most memory for frames on the host; 0: no limit");
  t.bytes("device-memory", c.device_memory_bytes,
          "most memory on the device; batch and canvas shrink to it, with the same object; 0: no limit");
  t.seed("seed", c.seed, "of groups and of the sweeps' order");
  return t;
}

struct Reconstructor::Impl {
  Impl(const Device& on, const io::Checkpoint& from, const ReconstructConfig& wanted)
      : device(on),
        stream(on),
        config(wanted),
        train(parse_train_config(from.config, "checkpoint")),
        model_probe(from.probe),
        normalisation(from.normalisation),
        log_scale(from.log_scale) {
    const GeneratorConfig shape = stored_network(train, config.precision, device);
    supervised = train.method == Method::supervised;
    network = supervised ? UNet::supervised(shape) : UNet::generator(shape);
    const std::vector<float> values = flatten_weights(network, from.weights, false);
    parameters = Tensor<float>(device, {network.parameter_count()}, "parameters");
    copy_to_device(stream, parameters.view(), values.data(), parameters.elements());
    if (!supervised) {
      const std::vector<float> w = merge_weight(shape, train.merge_weight, train.merge_border, model_probe);
      weight = Tensor<float>(device, {shape.side_px, shape.side_px}, "merge weight");
      copy_to_device(stream, weight.view(), w.data(), weight.elements());
    }
    if (config.crop_px % 2 != 0 || config.crop_px > shape.side_px)
      throw UsageError(fmt::format("--crop {}: expected an even number up to {}", config.crop_px, shape.side_px));
  }

  InferenceGraph make_graph(const Device& on, int64_t batch) {
    InferenceSettings s;
    s.batch = batch;
    if (!supervised) s.weight = std::as_const(weight).view();
    return InferenceGraph(on, network, parameters.view(), s);
  }
  InferenceGraph& graph(int64_t batch) {
    const auto found = graphs.find(batch);
    if (found != graphs.end()) return found->second;
    return graphs.emplace(batch, make_graph(device, batch)).first->second;
  }

  Groups scan_groups(const io::ScanInfo& info, const std::vector<int64_t>& frames) const {
    GroupingConfig grouping;
    grouping.members = network.config().members();
    grouping.neighbors = train.neighbors;
    grouping.exclude_seed = train.exclude_seed;
    grouping.seed = config.seed;
    return make_scan_groups(info, frames, grouping);
  }

  // The probe that the result is said to go with: the model's, or the scan's for a supervised network (it has none).
  const io::ComplexImage& probe_for(const io::ScanInfo& info) const { return supervised ? info.probe : model_probe; }

  // Without a probe (a supervised network on a scan that has none) every pixel of the central square counts alike.
  std::vector<float> weights_for_stitching(const io::ScanInfo& info) const {
    const io::ComplexImage& probe = probe_for(info);
    if (!probe.empty())
      return stitch_weight(config.stitch, config.crop_px, probe, !supervised && network.config().pad_object);
    const io::ComplexImage side_only{.depth = 0, .height = info.side_px, .width = info.side_px, .data = {}};
    return stitch_weight(StitchRule::crop, config.crop_px, side_only, false);
  }

  Stitcher make_stitcher(const io::ScanInfo& info, const Groups& groups) const {
    try {
      return Stitcher(device, groups.centre_px, info.side_px, weights_for_stitching(info),
                      config.host_memory_bytes / canvas_share);
    } catch (const Error& e) {
      throw Error(e.kind(), info.path + ": positions_px: " + e.what());
    }
  }

  // A pass over a scan: the groups of each image in batches of at most `batch`.
  struct Pass {
    std::vector<std::vector<int64_t>> by_image;
    int64_t batch = 0;
    std::unique_ptr<FrameStage> stage;

    int64_t largest_image() const {
      size_t most = 0;
      for (const auto& list : by_image) most = std::max(most, list.size());
      return static_cast<int64_t>(most);
    }
    std::span<const int64_t> batch_at(const std::vector<int64_t>& list, size_t first) const {
      return std::span(list).subspan(first, std::min(list.size() - first, static_cast<size_t>(batch)));
    }
    std::set<int64_t> batch_sizes() const {
      std::set<int64_t> sizes;
      for (const auto& list : by_image) add_batch_sizes(static_cast<int64_t>(list.size()), batch, sizes);
      return sizes;
    }
  };

  // The stage of the pass before where that was as large: pinned memory is slow to come by.
  std::unique_ptr<FrameStage> make_stage(int64_t batch) {
    if (spare_stage && spare_stage_batch == batch) return std::move(spare_stage);
    spare_stage.reset();
    return std::make_unique<FrameStage>(device, network.config(), batch);
  }

  // All memory of the device that a pass takes. What comes first gives way last: the canvas stays whole as long as a
  // batch of one group fits beside it.
  void take_memory(Pass& pass, Stitcher& stitcher, const RunControl& control) {
    const int64_t wanted = std::min(config.batch, pass.largest_image());
    pass.batch = wanted;
    std::erase_if(graphs, [sizes = pass.batch_sizes()](const auto& entry) { return !sizes.contains(entry.first); });
    std::string why;
    for (const CanvasOnDevice canvas : {CanvasOnDevice::whole, CanvasOnDevice::band})
      for (pass.batch = wanted; pass.batch > 0; pass.batch /= 2) try {
          for (const int64_t size : pass.batch_sizes()) graph(size);
          pass.stage = make_stage(pass.batch);
          stitcher.begin(stream, canvas);
          if (pass.batch < wanted)
            control.say(fmt::format("the device's memory holds batches of {} groups, not {}", pass.batch, wanted));
          if (stitcher.band_rows() < stitcher.height())
            control.say(fmt::format("the device's memory holds {} of the canvas's {} rows at a time",
                                    stitcher.band_rows(), stitcher.height()));
          return;
        } catch (const Error& e) {
          if (e.kind() != ErrorKind::memory) throw;
          why = e.what();
          pass.stage.reset();
          spare_stage.reset();
          graphs.clear();
        }
    const std::optional<int64_t> needed = memory_needed_bytes(device, [&](const Device& on) {
      const InferenceGraph one = make_graph(on, 1);
      const FrameStage frames(on, network.config(), 1);
      const Buffer canvas(on, stitcher.least_bytes(), "canvas");
    });
    throw Error(ErrorKind::memory,
                "one group at a time and a band of the canvas are too much for the device: " + without_advice(why) +
                    (needed ? fmt::format(". The least that works is --device-memory {}",
                                          size_option(device.memory_in_use_bytes() + *needed))
                            : ""));
  }

  void network_pass(std::unique_ptr<io::ScanReader> reader, const std::vector<int64_t>& frames, io::Reconstruction& out,
                    const RunControl& control) {
    const io::ScanInfo info = reader->info();
    const Groups groups = scan_groups(info, frames);
    std::vector<int64_t> used = groups.index;
    std::sort(used.begin(), used.end());
    used.erase(std::unique(used.begin(), used.end()), used.end());
    Loader loader(std::move(reader), std::move(used), {.host_memory_bytes = config.host_memory_bytes});

    Pass pass;
    pass.by_image.resize(static_cast<size_t>(image_count(info)));
    for (int64_t g = 0; g < groups.count(); ++g) {
      const auto frame = static_cast<size_t>(groups.index[static_cast<size_t>(g * groups.members)]);
      pass.by_image[info.object_index.empty() ? 0 : static_cast<size_t>(info.object_index[frame])].push_back(g);
    }
    Stitcher stitcher = make_stitcher(info, groups);
    take_memory(pass, stitcher, control);

    std::vector<std::vector<int64_t>> walk;
    for (const auto& list : pass.by_image)
      for (size_t first = 0; first < list.size(); first += static_cast<size_t>(pass.batch)) {
        const std::span<const int64_t> batch = pass.batch_at(list, first);
        walk.push_back(frames_of(groups, {batch.begin(), batch.end()}));
      }
    size_t staged = 0;
    const auto stage_next = [&] {
      if (staged == walk.size()) return;
      pass.stage->put(loader.next(), static_cast<float>(normalisation));
      ++staged;
    };
    loader.start(walk);
    stage_next();

    const auto start = Clock::now();
    int64_t done = 0;
    const int64_t total = groups.count() * groups.members;
    for (const auto& list : pass.by_image) {
      if (&list != &pass.by_image.front()) stitcher.begin(stream);
      for (size_t first = 0; first < list.size(); first += static_cast<size_t>(pass.batch)) {
        if (control.stop_requested()) throw Error(ErrorKind::cancelled, "reconstruction stopped; nothing was written");
        const std::span<const int64_t> batch = pass.batch_at(list, first);
        const auto count = static_cast<int64_t>(batch.size());
        InferenceGraph& g = graph(count);
        pass.stage->take(stream, g.x());
        std::vector<PositionPx> centres;
        std::vector<float> offsets;
        for (const int64_t group : batch) {
          centres.push_back(groups.centre_px[static_cast<size_t>(group)]);
          const auto o = groups.offsets_px.begin() + group * groups.members * 2;
          offsets.insert(offsets.end(), o, o + groups.members * 2);
        }
        if (!supervised) copy_to_device(stream, g.offsets(), offsets.data(), static_cast<int64_t>(offsets.size()));
        g.run(stream);
        stage_next();  // while a GPU runs the network; the stitching uploads its lists, and waits
        stitcher.add(stream, g.objects(), centres);
        if (config.patches) keep_patches(g.objects(), out);
        done += count * groups.members;
        const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
        const double rate = static_cast<double>(done) / std::max(seconds, 1e-9);
        control.report({.task = "reconstruct",
                        .done = static_cast<double>(done),
                        .total = static_cast<double>(total),
                        .unit = "patterns",
                        .rate = rate,
                        .seconds_left = static_cast<double>(total - done) / rate,
                        .message = {}});
      }
      append_image(stitcher, out);
    }
    spare_stage = std::move(pass.stage);
    spare_stage_batch = pass.batch;
    out.pattern_count = static_cast<int64_t>(loader.frames().size());
    out.positions_px = groups.centre_px;
    out.pixel_size_m = info.pixel_size_m;
  }

  void keep_patches(TensorView<const complex64> objects, io::Reconstruction& out) {
    out.patches.height = objects.extent(1);
    out.patches.width = objects.extent(2);
    out.patches.depth += objects.extent(0);
    const size_t before = out.patches.data.size();
    out.patches.data.resize(before + static_cast<size_t>(objects.elements()));
    copy_to_host(stream, out.patches.data.data() + before, objects, objects.elements());
  }

  // All images share one canvas, so they stack.
  void append_image(Stitcher& stitcher, io::Reconstruction& out) {
    io::Reconstruction one;
    stitcher.finish(stream, one);
    out.origin_px = one.origin_px;
    out.object.height = one.object.height;
    out.object.width = one.object.width;
    out.object.depth += 1;
    out.object.data.insert(out.object.data.end(), one.object.data.begin(), one.object.data.end());
    out.weight.insert(out.weight.end(), one.weight.begin(), one.weight.end());
  }

  // Before the network's work, which a refusal would waste.
  void require_polishable(const io::ScanInfo& info) const {
    if (config.polish_sweeps == 0) return;
    if (probe_for(info).empty())
      throw Error(ErrorKind::shape, info.path +
                                        ": --polish needs a probe, and neither the supervised model nor the scan has "
                                        "one; add the dataset 'probe' to the scan, or leave --polish out");
    if (image_count(info) > 1)
      throw Error(ErrorKind::shape, fmt::format("{}: --polish works on scans of one image, this one has {}; give it a "
                                                "scan file for each image, or leave --polish out",
                                                info.path, image_count(info)));
  }

  // R of the network's object, and the sweeps that were asked for.
  void polish(const std::function<std::unique_ptr<io::ScanReader>()>& open_scan, io::Reconstruction& out,
              const RunControl& control) {
    RefineConfig sweeps;
    sweeps.sweeps = config.polish_sweeps;
    sweeps.frames = config.frames;
    sweeps.seed = config.seed;
    sweeps.host_memory_bytes = config.host_memory_bytes;
    if (out.probe.empty() || out.object.depth > 1 || (config.polish_sweeps == 0 && !config.report_residual)) return;
    const std::unique_ptr<io::ScanReader> scan = open_scan();
    RefineState state =
        start_from_object(scan->info(), start_of(out), mean_counts(device, *scan, sweeps.frames, control));
    if (config.polish_sweeps == 0) {
      try {
        out.residual = {residual(device, *scan, sweeps, state)};
      } catch (const Error& e) {
        if (e.kind() != ErrorKind::memory) throw;
        control.say(std::string("R is left out: ") + e.what());
      }
      return;
    }
    try {
      refine(device, *scan, sweeps, state, control);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::cancelled) throw;
    }
    if (state.residual.size() <= 1) {
      out.residual = state.residual;
      return;
    }
    const io::ScanInfo& info = scan->info();
    out.positions_px.clear();
    for (const int64_t f : parse_frame_range(config.frames, info.frames))
      out.positions_px.push_back(info.positions_px[static_cast<size_t>(f)]);
    place_refined(state, out);
  }

  Device device;
  Stream stream;
  ReconstructConfig config;
  TrainConfig train;
  io::ComplexImage model_probe;
  double normalisation, log_scale;
  bool supervised = false;
  UNet network;
  Tensor<float> parameters, weight;
  std::map<int64_t, InferenceGraph> graphs;
  std::unique_ptr<FrameStage> spare_stage;
  int64_t spare_stage_batch = 0;
};

Reconstructor::Reconstructor(const Device& device, const io::Checkpoint& model, const ReconstructConfig& config)
    : impl_(std::make_unique<Impl>(device, model, config)) {}
Reconstructor::~Reconstructor() = default;
Reconstructor::Reconstructor(Reconstructor&&) noexcept = default;
Reconstructor& Reconstructor::operator=(Reconstructor&&) noexcept = default;

const GeneratorConfig& Reconstructor::network() const {
  return impl_->network.config();
}

io::Reconstruction Reconstructor::run(const std::function<std::unique_ptr<io::ScanReader>()>& open_scan,
                                      const RunControl& control) {
  const auto start = Clock::now();
  std::unique_ptr<io::ScanReader> scan = open_scan();
  const io::ScanInfo info = scan->info();
  if (info.side_px != network().side_px)
    throw Error(ErrorKind::shape,
                fmt::format("{}: diffraction: patterns of {} pixels, but the model was trained on {}; train "
                            "one on such patterns",
                            info.path, info.side_px, network().side_px));
  impl_->require_polishable(info);
  io::Reconstruction out;
  out.device = impl_->device.name();
  out.precision = network().precision == ops::Precision::bf16 ? "bf16" : "fp32";
  out.version = PTYFUSE_VERSION;
  ReconstructConfig settings = impl_->config;
  out.config = reconstruct_options(settings).to_toml();
  impl_->network_pass(std::move(scan), parse_frame_range(impl_->config.frames, info.frames), out, control);
  out.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  out.probe = impl_->probe_for(info);
  const auto scale = static_cast<float>(std::exp(impl_->log_scale));  // from normalised units to counts
  if (!impl_->supervised)
    for (auto& p : out.probe.data) p *= scale;
  if (impl_->device.memory_limit_bytes() > 0) {  // the sweeps need the memory
    impl_->graphs.clear();
    impl_->spare_stage.reset();
  }
  impl_->polish(open_scan, out, control);
  return out;
}

}  // namespace ptyfuse
