#include "engine/option_table.h"

#include <gtest/gtest.h>

#include "engine/train_options.h"

namespace ptyfuse {
namespace {

std::string error_of(const std::vector<std::pair<std::string, std::string>>& values) {
  TrainConfig config;
  try {
    train_options(config).apply(values);
  } catch (const UsageError& e) {
    return e.what();
  }
  return "no error";
}

TEST(option_table, toml_of_a_configuration_reads_back_to_the_same) {
  TrainConfig a;
  train_options(a).apply({{"scans", "a \"quoted\" \\ name.h5"},
                          {"lr", "0.00037"},
                          {"batch", "7"},
                          {"network", "shared"},
                          {"pad-object", "off"},
                          {"probe-scale", "4"},
                          {"oversample", "true"},
                          {"host-memory", "512MiB"},
                          {"loss", "mae"}});
  const std::string toml = train_options(a).to_toml();
  TrainConfig b = parse_train_config(toml, "test");
  EXPECT_EQ(train_options(b).to_toml(), toml);
  EXPECT_EQ(b.scans, "a \"quoted\" \\ name.h5");
  EXPECT_EQ(b.learning_rate, 0.00037);
  EXPECT_EQ(b.batch, 7);
  EXPECT_EQ(b.network, Network::shared);
  EXPECT_EQ(b.pad_object, Toggle::off);
  EXPECT_EQ(b.probe_scale, 4);
  EXPECT_TRUE(b.oversample);
  EXPECT_EQ(b.host_memory_bytes, int64_t{512} << 20);
  EXPECT_EQ(b.nll_weight, 0);
  EXPECT_EQ(b.mae_weight, 1);
}

TEST(option_table, weights_win_over_the_shorthand) {
  TrainConfig c;
  train_options(c).apply({{"nll-weight", "0.5"}, {"loss", "mae"}});
  EXPECT_EQ(c.nll_weight, 0.5);
  EXPECT_EQ(c.mae_weight, 1);
}

TEST(option_table, wrong_values_are_named_with_what_was_expected) {
  EXPECT_EQ(error_of({{"batch", "0"}}), "--batch: '0' is not between 1 and 65536");
  EXPECT_EQ(error_of({{"batch", "many"}}), "--batch: 'many' is not a whole number");
  EXPECT_EQ(error_of({{"batch", "1.5"}}), "--batch: '1.5' is not a whole number");
  EXPECT_NE(error_of({{"clip-at", "0"}}).find("--clip-at: '0' is not at least"), std::string::npos);
  EXPECT_EQ(error_of({{"clip-at", "auto"}}), "no error");
  EXPECT_EQ(error_of({{"lr", "nan"}}), "--lr: 'nan' is not a number");
  EXPECT_EQ(error_of({{"epochs", "99999999999999999999"}}), "--epochs: '99999999999999999999' is not a whole number");
  EXPECT_EQ(error_of({{"network", "big"}}), "--network: 'big' is not one of grouped, shared");
  EXPECT_NE(error_of({{"batchsize", "3"}}).find("batchsize"), std::string::npos);
  EXPECT_EQ(error_of({{"host-memory", "4XiB"}}),
            "--host-memory: '4XiB' is not a size; write it like 4GiB, 512MiB or 0 for no limit");
  EXPECT_NE(error_of({{"host-memory", "-1"}}).find("--host-memory"), std::string::npos);
}

TEST(option_table, toml_errors_name_file_and_line) {
  try {
    OptionTable::parse_toml("batch = 3\nlr = = 2\n", "x.toml");
    FAIL();
  } catch (const UsageError& e) {
    EXPECT_NE(std::string(e.what()).find("x.toml: line 2"), std::string::npos) << e.what();
  }
  EXPECT_THROW(OptionTable::parse_toml("batch = [1, 2]\n", "x.toml"), UsageError);
  EXPECT_THROW(OptionTable::read_toml_file("/nonexistent/file.toml"), UsageError);
  EXPECT_THROW(OptionTable::read_toml_file("/"), UsageError);
}

TEST(option_table, every_text_that_is_taken_can_be_kept) {
  TrainConfig config;
  const OptionTable table = train_options(config);
  std::string controls;
  for (int c = 1; c < 0x80; ++c) controls += static_cast<char>(c);
  for (const std::string& text : {controls, std::string("µm/ångström-日本-😀.h5")}) {
    table.apply({{"probe", text}});
    EXPECT_EQ(parse_train_config(table.to_toml(), "x.toml").probe, text);
  }
  for (const char* text : {"\xff", "a\x80", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"})
    EXPECT_NE(error_of({{"probe", text}}).find("is not UTF-8"), std::string::npos) << text;
}

TEST(option_table, tables_within_tables_without_end_are_refused) {
  std::string dots;
  for (int i = 0; i < 300000; ++i) dots += "a.";
  for (const std::string& text : {dots + "a = 1", "[" + dots + "a]", "a = {" + dots + "a = 1}"})
    EXPECT_THROW(OptionTable::parse_toml(text, "x.toml"), UsageError);
  // as many as are taken are taken apart without harm
  EXPECT_THROW(OptionTable::parse_toml(dots.substr(0, 20000) + "a = 1", "x.toml"), UsageError);
  // Those of file names count for nothing, whatever quotes stand in them.
  std::string files;
  for (int k = 0; k < 20000; ++k) files += "../it's/s1.h5:";
  EXPECT_EQ(OptionTable::parse_toml("scans = \"" + files + "\"", "x.toml").at(0).second, files);
  EXPECT_EQ(OptionTable::parse_toml("scans = \"\\\"" + files + "\"", "x.toml").at(0).second, "\"" + files);
  EXPECT_THROW(OptionTable::parse_toml("# it's\n" + dots.substr(0, 30000) + "a = 1", "x.toml"), UsageError);
}

TEST(option_table, sizes) {
  EXPECT_EQ(parse_bytes("x", "4GiB"), int64_t{4} << 30);
  EXPECT_EQ(parse_bytes("x", "1.5 MiB"), 3 << 19);
  EXPECT_EQ(parse_bytes("x", "0"), 0);
  EXPECT_EQ(parse_bytes("x", "2GB"), 2000000000);
  EXPECT_EQ(parse_bytes("x", "3 kb"), 3000);
  EXPECT_EQ(parse_bytes("x", "2t"), int64_t{2} << 40);
  EXPECT_EQ(parse_bytes("x", "0.4"), 1);  // 0 would be no limit
}

}  // namespace
}  // namespace ptyfuse
