#include "engine/studies/simulated_pair.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "engine/scan_plan.h"
#include "engine/simulate_options.h"
#include "io/reconstruction_file.h"

namespace ptyfuse::studies {
namespace {

/// Section 9's object of the dose script, as a file that simulate() reads.
void write_raised_lines(const std::string& path, int64_t size_px, uint64_t object_seed) {
  constexpr int64_t lines = 130;
  const std::vector<double> image = lines_images(size_px, 1, object_seed, lines).front();
  const double highest = *std::max_element(image.begin(), image.end());
  io::Reconstruction file;
  file.object = {1, size_px, size_px, {}};
  for (const double value : image) file.object.data.emplace_back(static_cast<float>(0.5 + value / highest), 0.0f);
  file.weight.assign(file.object.data.size(), 1.0f);
  io::write_reconstruction(path, file, true);
}

SimulateConfig with_object(const ArmContext& context, SimulateConfig config, bool raised_lines,
                           const std::string& name) {
  if (!raised_lines) return config;
  config.object = ObjectKind::file;
  config.object_file = context.data(name + "-object.h5");
  write_raised_lines(config.object_file, config.size_px, config.object_seed);
  return config;
}

std::string name_of(const Settings& settings) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const auto& [name, value] : settings)
    for (const char c : name + "=" + value + "\n") hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return fmt::format("{:016x}", hash);
}

}  // namespace

Settings settings_of(const SimulateConfig& config, const std::string& prefix) {
  const int64_t least = smallest_object_px(config);
  if (config.size_px < least)
    throw UsageError(
        fmt::format("--size {}: an object of this side does not hold what one group's patterns of {} px "
                    "show; expected at least {}",
                    config.size_px, config.side_px, least));
  SimulateConfig copy = config;
  Settings out = settings_of(simulate_options(copy), prefix);
  if (config.probe != "disk") out.emplace_back(prefix + ".probe-fingerprint", file_fingerprint(config.probe));
  return out;
}

SimulatedPair two_objects(const SimulateConfig& train) {
  SimulatedPair pair{.train = train, .test = train};
  pair.test.object_seed = train.object_seed + 1;
  pair.test.seed = train.seed + 1;
  return pair;
}

Settings settings_of(const SimulatedPair& pair) {
  Settings out = settings_of(pair.train, "simulate.train") + settings_of(pair.test, "simulate.test");
  if (pair.raised_lines) out.emplace_back("simulate.raised-lines", "true");
  return out;
}

PairFiles simulate_pair(const ArmContext& context, const SimulatedPair& pair) {
  const std::string name = name_of(settings_of(pair));
  const PairFiles files{context.data(name + "-train.h5"), context.data(name + "-test.h5")};
  const std::lock_guard lock(context.data_lock);
  // The test scan is written last, and each whole or not at all.
  std::error_code error;
  if (std::filesystem::exists(files.train, error) && std::filesystem::exists(files.test, error)) return files;
  const SimulateConfig train = with_object(context, pair.train, pair.raised_lines, name + "-train");
  SimulateConfig test = with_object(context, pair.test, pair.raised_lines, name + "-test");
  test.intensity_scale = simulate(context.device, train, files.train, true, context.control).intensity_scale;
  simulate(context.device, test, files.test, true, context.control);
  return files;
}

std::string simulate_scan(const ArmContext& context, const SimulateConfig& config) {
  const std::string path = context.data(name_of(settings_of(config, "simulate")) + ".h5");
  const std::lock_guard lock(context.data_lock);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) simulate(context.device, config, path, true, context.control);
  return path;
}

ScanOpener opener(const std::string& path) {
  return [path] { return io::open_scan(path); };
}

io::ComplexImage truth_of(const std::string& scan_path) {
  return io::read_complex_image(scan_path, "object");
}

}  // namespace ptyfuse::studies
