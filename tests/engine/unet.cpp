#include "engine/unet.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

GeneratorConfig config_of(int64_t side, int gridsize, double filters, bool probe_big, bool object_big = true) {
  GeneratorConfig c;
  c.side_px = side;
  c.gridsize = gridsize;
  c.filters_scale = filters;
  c.probe_big = probe_big;
  c.object_big = object_big;
  return c;
}

struct Count {
  GeneratorConfig config;
  int64_t parameters;
};

// The table of section 3.
const std::vector<Count> counts = {
    {config_of(64, 1, 1, false), 563802},         {config_of(64, 1, 1, true), 585244},
    {config_of(64, 1, 2, false), 2252026},        {config_of(64, 1, 2, true), 2331772},
    {config_of(64, 2, 1, false), 566184},         {config_of(64, 2, 1, true), 589360},
    {config_of(64, 2, 2, false), 2257000},        {config_of(64, 2, 2, true), 2340208},
    {config_of(64, 2, 1, false, false), 564666},  {config_of(64, 2, 1, true, false), 586108},
    {config_of(64, 2, 2, false, false), 2253754}, {config_of(64, 2, 2, true, false), 2333500},
    {config_of(128, 1, 2, false), 4639770},       {config_of(128, 1, 2, true), 4661212},
    {config_of(256, 1, 2, false), 12906154},      {config_of(256, 1, 2, true), 12912268},
};

TEST(unet, parameter_counts_are_those_of_the_method) {
  for (const Count& c : counts) {
    const UNet unet = UNet::generator(c.config);
    EXPECT_EQ(unet.parameter_count(), c.parameters)
        << "N " << c.config.side_px << " gridsize " << c.config.gridsize << " filters " << c.config.filters_scale
        << " probe_big " << c.config.probe_big << " object_big " << c.config.object_big;
  }
}

TEST(unet, a_shared_network_is_that_of_gridsize_1) {
  GeneratorConfig c = config_of(64, 2, 1, true);
  c.network = Network::shared;
  EXPECT_EQ(UNet::generator(c).parameter_count(), 585244);
}

TEST(unet, without_padding_the_head_takes_all_channels_at_full_size) {
  GeneratorConfig c = config_of(64, 1, 1, true);
  c.pad_object = false;
  // The encoder and decoder stages, and for each decoder two convolutions of width 32 and a head, all from 32 channels.
  const int64_t stages = 563802 - 2 * (9 * 28 + 1);
  EXPECT_EQ(UNet::generator(c).parameter_count(), stages + 2 * (2 * (9 * 32 * 32 + 32) + 9 * 32 + 1));
  std::set<std::string> names;
  const UNet unet = UNet::generator(c);
  for (const ParameterEntry& e : unet.parameters()) names.insert(e.name);
  EXPECT_EQ(names.count("amp.head/kernel"), 0U);
  EXPECT_EQ(names.count("phase.border.head/kernel"), 1U);
}

TEST(unet, parameters_lie_in_order_of_computation_without_gaps) {
  const UNet unet = UNet::generator(config_of(64, 2, 1, true));
  std::vector<std::string> layers;
  for (const char* stage : {"enc.0", "enc.1", "enc.2"})
    for (const char* conv : {".conv0", ".conv1"}) layers.push_back(std::string(stage) + conv);
  for (const std::string decoder : {"amp", "phase"})
    for (const char* layer : {".dec.0.conv0", ".dec.0.conv1", ".dec.1.conv0", ".dec.1.conv1", ".head", ".border.conv0",
                              ".border.conv1", ".border.head"})
      layers.push_back(decoder + layer);
  ASSERT_EQ(unet.parameters().size(), 2 * layers.size());
  int64_t offset = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    const ParameterEntry &kernel = unet.parameters()[2 * i], &bias = unet.parameters()[2 * i + 1];
    EXPECT_EQ(kernel.name, layers[i] + "/kernel");
    EXPECT_EQ(bias.name, layers[i] + "/bias");
    EXPECT_EQ(kernel.offset, offset);
    offset += kernel.shape.elements();
    EXPECT_EQ(bias.offset, offset);
    EXPECT_EQ(bias.shape, (Shape{kernel.shape[3]}));
    offset += bias.shape.elements();
  }
  EXPECT_EQ(offset, unet.parameter_count());
  EXPECT_EQ(unet.parameters()[0].shape, (Shape{3, 3, 4, 32}));
}

TEST(unet, supervised_baseline_has_three_stages_each_way) {
  GeneratorConfig c = config_of(64, 2, 2, true);
  const UNet unet = UNet::supervised(c);
  EXPECT_TRUE(unet.is_supervised());
  EXPECT_EQ(unet.config().members(), 1);
  EXPECT_EQ(unet.config().heads(), 1);
  const std::vector<std::pair<int64_t, int64_t>> encoder = {{1, 64},    {64, 64},   {64, 128},
                                                            {128, 128}, {128, 256}, {256, 256}};
  const std::vector<std::pair<int64_t, int64_t>> decoder = {{256, 256}, {256, 256}, {256, 128}, {128, 128},
                                                            {128, 64},  {64, 64},   {64, 1}};
  int64_t expected = 0;
  for (const auto& [in, out] : encoder) expected += 9 * in * out + out;
  for (const auto& [in, out] : decoder) expected += 2 * (9 * in * out + out);
  EXPECT_EQ(unet.parameter_count(), expected);
}

TEST(unet, quarters_of_filters_fit_every_side) {
  for (const int64_t side : {64, 128, 256})
    for (double f = 0.25; f <= 4; f += 0.25)
      EXPECT_GT(UNet::generator(config_of(side, 2, f, true)).parameter_count(), 0);
}

class unet_initialises : public testing::TestWithParam<Initialisation> {};

TEST_P(unet_initialises, kernels_uniformly_and_biases_with_zero) {
  const UNet unet = UNet::generator(config_of(64, 2, 1, true));
  std::vector<float> values(static_cast<size_t>(unet.parameter_count()), NAN), again = values, other = values;
  Random random(5), same(5), different(6);
  unet.initialise(random, GetParam(), values);
  unet.initialise(same, GetParam(), again);
  unet.initialise(different, GetParam(), other);
  EXPECT_EQ(values, again);
  EXPECT_NE(values, other);
  for (const ParameterEntry& e : unet.parameters()) {
    SCOPED_TRACE(e.name);
    double bound = e.shape.rank() == 4 ? std::sqrt(6.0 / static_cast<double>(9 * (e.shape[2] + e.shape[3]))) : 0.0;
    if (bound > 0 && GetParam() == Initialisation::he) {
      const bool head = e.name.find(".head") != std::string::npos;
      bound *= head ? 0.1 : std::sqrt(1 + static_cast<double>(e.shape[3]) / static_cast<double>(e.shape[2]));
    }
    double square = 0, largest = 0;
    const auto count = static_cast<double>(e.shape.elements());
    for (int64_t i = e.offset; i < e.offset + e.shape.elements(); ++i) {
      const double v = values[static_cast<size_t>(i)];
      largest = std::max(largest, std::abs(v));
      square += v * v;
    }
    EXPECT_LE(largest, bound * (1 + 1e-6));
    // A uniform distribution's variance is a third of the bound's square; 5 standard deviations of its estimate.
    EXPECT_NEAR(square / count, bound * bound / 3, bound * bound * 5 * std::sqrt(4.0 / 45 / count));
  }
  EXPECT_NE(error_message([&] { unet.initialise(random, GetParam(), std::span(values).first(3)); }).find("3 values"),
            std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(ways, unet_initialises, testing::Values(Initialisation::he, Initialisation::glorot));

TEST(unet, says_what_is_wrong_with_a_configuration) {
  GeneratorConfig shared = config_of(64, 2, 1, true, false);
  shared.network = Network::shared;
  const std::vector<std::pair<GeneratorConfig, std::string>> cases = {
      {config_of(96, 1, 1, true), "96 px; expected 64, 128 or 256"},
      {config_of(64, 3, 1, true), "gridsize 3; expected 1 or 2"},
      {config_of(64, 1, 0.3, true), "whole, positive widths"},
      {config_of(64, 1, 1e-30, true),
       "--filters-scale 1e-30 turns a width of 32 channels into 3.2e-29; whole, positive widths come of 0.03125 and "
       "its "
       "multiples, such as 0.25, 0.5, 1, 2 or 4"},
      {config_of(64, 1, 0, true), "whole, positive widths"},
      {config_of(64, 1, NAN, true), "whole, positive widths"},
      {config_of(256, 1, 0.0625, true), "whole, positive widths come of 0.125"},
      {shared, "switch object_big on"},
  };
  for (const auto& [config, expected] : cases) {
    const std::string message = error_message([&] { UNet::generator(config); });
    EXPECT_NE(message.find(expected), std::string::npos) << "expected '" << expected << "' in: " << message;
  }
  EXPECT_NE(error_message([&] { UNet::supervised(config_of(60, 1, 1, true)); }).find("multiple of 8"),
            std::string::npos);
}

}  // namespace
}  // namespace ptyfuse::tests
