#include "engine/studies/jobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>

#include "engine/frame_range.h"
#include "engine/pictures.h"
#include "engine/probe.h"
#include "engine/refine_options.h"
#include "engine/refine_output.h"
#include "engine/train_options.h"
#include "io/file_error.h"
#include "io/scan.h"
#include "kernels/device/error.h"

namespace ptyfuse::studies {
namespace {

using Clock = std::chrono::steady_clock;

/// Settings that alter no result, or that the study gives by other names.
const std::set<std::string> without_effect = {"scans",     "host-memory", "device-memory", "checkpoint-every",
                                              "recompute", "probe",       "start"};

/// A permutation of 64 bits in which every one of them reaches all others: the finaliser of SplitMix64 (Steele, Lea and
/// Flood 2014) with Stafford's 13th constants. A multiplication alone moves changes upwards only, and one in the
/// highest bit (the sign of every other float) nowhere.
uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

io::Reconstruction sweeps(const ArmContext& context, const RefineConfig& config, io::ScanReader& scan,
                          RefineState state) {
  const auto start = Clock::now();
  refine(context.device, scan, config, state, context.control);
  io::Reconstruction out;
  out.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  for (const int64_t f : parse_frame_range(config.frames, scan.info().frames))
    out.positions_px.push_back(scan.info().positions_px[static_cast<size_t>(f)]);
  out.pattern_count = static_cast<int64_t>(out.positions_px.size());
  place_refined(state, out);
  return out;
}

}  // namespace

void take_given(const StudyConfig& config, TrainConfig& network) {
  if (config.epochs > 0) network.epochs = config.epochs;
  if (config.groups > 0) network.groups = config.groups;
  if (config.batch > 0) network.batch = config.batch;
  if (config.filters_scale > 0) network.filters_scale = config.filters_scale;
}

Training train(const ArmContext& context, const TrainConfig& config, const ScanOpener& open) {
  TrainConfig quiet = config;
  quiet.checkpoint_every = config.epochs;
  const auto start = Clock::now();
  Trainer trainer(context.device, quiet, open(), context.control);
  trainer.run([](const Trainer&) {});
  Training out;
  out.model = trainer.checkpoint();
  out.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  out.groups = trainer.group_count();
  out.history = trainer.history();
  return out;
}

io::Reconstruction reconstruct(const ArmContext& context, const io::Checkpoint& model, const ReconstructConfig& config,
                               const ScanOpener& open) {
  io::Reconstruction out = Reconstructor(context.device, model, config).run(open, context.control);
  if (context.control.stop_requested()) throw Error(ErrorKind::cancelled, "stopped in the sweeps");
  return out;
}

io::Reconstruction refine_flat(const ArmContext& context, const RefineConfig& config, const io::ComplexImage& probe,
                               const ScanOpener& open) {
  const std::unique_ptr<io::ScanReader> scan = open();
  const double counts = mean_counts(context.device, *scan, config.frames, context.control);
  return sweeps(context, config, *scan,
                flat_start(scan->info(), probe.empty() ? choose_probe("", scan->info()) : probe, counts));
}

io::Reconstruction refine_on(const ArmContext& context, const RefineConfig& config, const io::Reconstruction& start,
                             const ScanOpener& open) {
  const std::unique_ptr<io::ScanReader> scan = open();
  const double counts = mean_counts(context.device, *scan, config.frames, context.control);
  return sweeps(context, config, *scan, start_from_object(scan->info(), start_of(start), counts));
}

Evaluation evaluate_widened(const io::Reconstruction& reconstruction, const io::ComplexImage& truth,
                            const EvaluationConfig& config) {
  const io::ComplexImage& object = reconstruction.object;
  const auto [top, left] = reconstruction.origin_px;
  const Rectangle region = config.crop.value_or(Rectangle{top, top, left, left});
  const Rectangle whole{std::min(top, region.y0), std::max(top + object.height, region.y1), std::min(left, region.x0),
                        std::max(left + object.width, region.x1)};
  if (object.depth != 1 || (whole.height() == object.height && whole.width() == object.width))
    return evaluate(reconstruction, truth, config);
  io::Reconstruction wide = reconstruction;
  wide.origin_px = {whole.y0, whole.x0};
  wide.object = {1, whole.height(), whole.width(), {}};
  wide.object.data.resize(static_cast<size_t>(whole.height() * whole.width()));
  wide.weight.assign(wide.object.data.size(), 0.0f);
  for (int64_t y = 0; y < object.height; ++y)
    for (int64_t x = 0; x < object.width; ++x) {
      const auto from = static_cast<size_t>(y * object.width + x);
      const auto to = static_cast<size_t>((y + top - whole.y0) * whole.width() + x + left - whole.x0);
      wide.object.data[to] = object.data[from];
      wide.weight[to] = reconstruction.weight.empty() ? 1.0f : reconstruction.weight[from];
    }
  return evaluate(wide, truth, config);
}

io::Row metric_cells(const Evaluation& evaluation) {
  constexpr std::pair<const char*, Measure ChannelMetrics::*> figures[] = {
      {"ssim", &ChannelMetrics::ssim},
      {"ms_ssim", &ChannelMetrics::ms_ssim},
      {"psnr_255", &ChannelMetrics::psnr_255},
      {"psnr", &ChannelMetrics::psnr},
      {"mae", &ChannelMetrics::mae},
      {"mse", &ChannelMetrics::mse},
      {"pearson", &ChannelMetrics::pearson},
      {"frc50_bin", &ChannelMetrics::frc50_bin},
      {"frc50_per_px", &ChannelMetrics::frc50_per_px},
      {"frc1over7_bin", &ChannelMetrics::frc1over7_bin}};
  io::Row row;
  for (const auto& [channel, metrics] :
       {std::pair{"amplitude_", &evaluation.comparison.amplitude}, std::pair{"phase_", &evaluation.comparison.phase}})
    for (const auto& [name, figure] : figures)
      row.emplace_back(std::string(channel) + name, cell((metrics->*figure).value));
  row.emplace_back("complex_correlation", cell(evaluation.comparison.complex_correlation.value));
  row.emplace_back("contrast", cell(evaluation.comparison.contrast.value));
  row.emplace_back("residual", cell(evaluation.residual.value));
  row.emplace_back("uncovered", evaluation.uncovered);
  row.emplace_back("height_px", static_cast<double>(evaluation.truth.height));
  row.emplace_back("width_px", static_cast<double>(evaluation.truth.width));
  if (evaluation.registration_px) {
    row.emplace_back("registration_offset_dy", (*evaluation.registration_px)[0]);
    row.emplace_back("registration_offset_dx", (*evaluation.registration_px)[1]);
  }
  return row;
}

io::NpzArray npz_array(std::string key, const FieldImage& image) {
  return {std::move(key),
          {image.height, image.width},
          std::vector<std::complex<float>>(image.data.begin(), image.data.end())};
}

void record_losses(const Training& training, ArmOutcome& outcome) {
  std::vector<double> losses, validation;
  for (const HistoryRow& row : training.history) {
    losses.push_back(row.loss);
    if (std::isfinite(row.val_loss)) validation.push_back(row.val_loss);
  }
  outcome.curves.emplace_back("train_loss", losses);
  if (validation.size() == losses.size()) outcome.curves.emplace_back("val_loss", validation);
}

void record(const ArmContext& context, ArmOutcome& outcome, io::Row labels, const Evaluation& evaluation,
            const std::string& suffix) {
  const io::Row metrics = metric_cells(evaluation);
  labels.insert(labels.end(), metrics.begin(), metrics.end());
  outcome.rows.push_back(std::move(labels));
  outcome.curves.emplace_back("amplitude_frc" + suffix, evaluation.comparison.amplitude.frc);
  outcome.curves.emplace_back("phase_frc" + suffix, evaluation.comparison.phase.frc);
  const std::array arrays{
      npz_array("truth", evaluation.truth),
      npz_array("reconstruction", align_complex(evaluation.reconstruction, evaluation.truth, true))};
  io::write_npz(context.product(suffix + ".npz"), arrays, true);
  outcome.products.push_back(suffix + ".npz");
  evaluation_page(context.arm + suffix, evaluation).write_png(context.product(suffix + ".png"), true);
}

Settings settings_of(const OptionTable& table, const std::string& prefix) {
  Settings out;
  for (const Option& option : table.options())
    if (!without_effect.contains(option.name)) out.emplace_back(prefix + "." + option.name, option.get());
  return out;
}

Settings settings_of(const TrainConfig& config) {
  TrainConfig copy = config;
  return settings_of(train_options(copy), "train");
}

Settings settings_of(const ReconstructConfig& config) {
  ReconstructConfig copy = config;
  return settings_of(reconstruct_options(copy), "reconstruct");
}

Settings settings_of(const RefineConfig& config) {
  RefineSetup setup;
  setup.sweeps = config;
  return settings_of(refine_options(setup), "refine");
}

std::string file_fingerprint(const std::string& file_and_dataset) {
  const auto [path, dataset] = io::split_dataset(file_and_dataset);
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) throw io::FileError(path, "no such file");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) throw io::FileError(path, "cannot be opened");
  // Words of eight bytes, the last one filled up with zeros; their length tells such zeros from stored ones.
  uint64_t hash = 0, length = 0;
  std::vector<char> piece(1 << 20);
  for (size_t n = 0; (n = std::fread(piece.data(), 1, piece.size(), file.get())) > 0; length += n) {
    std::fill(piece.begin() + static_cast<std::ptrdiff_t>(n), piece.end(), '\0');
    for (size_t i = 0; i < n; i += 8) {
      uint64_t word = 0;
      std::memcpy(&word, piece.data() + i, 8);
      hash = mixed(hash ^ word);
    }
  }
  hash = mixed(hash ^ length);
  if (std::ferror(file.get())) throw io::FileError(path, "cannot be read");
  return fmt::format("{:016x}{}", hash, dataset.empty() ? "" : ":" + dataset);
}

}  // namespace ptyfuse::studies
