#pragma once
// The generator of a recorded file: its settings and its weights.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/unet.h"
#include "tests/support/golden.h"

namespace ptyfuse::tests {

/// From the file's attribute `config`; the recorded border is the reference's unbounded swish.
inline GeneratorConfig golden_config(const GoldenFile& file) {
  const nlohmann::json j = nlohmann::json::parse(file.text_attribute("/", "config"));
  GeneratorConfig c;
  c.side_px = j.at("N");
  c.gridsize = j.at("gridsize");
  c.filters_scale = j.at("n_filters_scale");
  c.object_big = j.at("object_big");
  c.probe_big = j.at("probe_big");
  c.pad_object = j.value("pad_object", true);
  if (j.value("amp_activation", "sigmoid") != "sigmoid") throw std::runtime_error("recorded with another activation");
  c.border = BorderActivation::swish;
  return c;
}

/// A tensor of the network for each of the file's, by name, all of them used.
inline std::vector<float> golden_weights(const GoldenFile& file, const UNet& unet) {
  std::vector<float> flat(static_cast<size_t>(unet.parameter_count()));
  for (const ParameterEntry& e : unet.parameters()) {
    const std::vector<float> tensor = file.read<float>("weights/" + e.name);
    EXPECT_EQ(static_cast<int64_t>(tensor.size()), e.shape.elements()) << e.name;
    std::copy(tensor.begin(), tensor.end(), flat.begin() + e.offset);
  }
  EXPECT_EQ(2 * file.children("weights").size(), unet.parameters().size());
  return flat;
}

/// Names in the golden folder that begin with `prefix` and are not among `known`.
inline std::vector<std::string> other_golden_files(const std::string& prefix, const std::vector<std::string>& known) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder())) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(prefix, 0) == 0 && entry.path().extension() == ".h5" &&
        std::find(known.begin(), known.end(), name) == known.end())
      names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace ptyfuse::tests
