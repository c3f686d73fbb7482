// Configurations and the texts of options.
#include <cmath>

#include "engine/evaluation.h"
#include "engine/frame_range.h"
#include "engine/option_table.h"
#include "engine/probe.h"
#include "engine/refine_options.h"
#include "engine/scan_set.h"
#include "engine/simulate_options.h"
#include "engine/train_options.h"
#include "tests/fuzz/byte_source.h"
#include "tests/fuzz/targets.h"

namespace ptyfuse::fuzz {
namespace {

std::string text_of(Input input) {
  return {reinterpret_cast<const char*>(input.data()), input.size()};
}

/// What a table took it writes, and what it wrote it takes again to the same effect.
void survive(const OptionTable& table) {
  const std::string written = table.to_toml();
  table.apply(OptionTable::parse_toml(written, "what was written"));
  promise(table.to_toml() == written, "settings that change when they are written and read");
}

void take(const OptionTable& table, const std::vector<std::pair<std::string, std::string>>& values) {
  if (!accepts([&] { table.apply(values); })) return;
  survive(table);
}

/// One option of a command, by its number.
template <class Config>
void take_one(OptionTable (*options)(Config&), size_t number, const std::string& text) {
  Config config;
  const OptionTable table = options(config);
  take(table, {{table.options()[number % table.options().size()].name, text}});
}

}  // namespace

void feed_toml(Input input) {
  std::vector<std::pair<std::string, std::string>> values;
  if (!accepts([&] { values = OptionTable::parse_toml(text_of(input), "FILE"); })) return;
  TrainConfig train;
  RefineSetup refine;
  SimulateConfig simulate;
  take(train_options(train), values);
  take(refine_options(refine), values);
  take(simulate_options(simulate), values);
}

void feed_values(Input input) {
  ByteSource source(input);
  const size_t which = source.below(8);
  const uint16_t number = source.take<uint16_t>();
  const std::string text = text_of(source.rest());
  switch (which) {
    case 0:
      accepts([&] {
        const int64_t count = 1 + number % 1000;
        const std::vector<int64_t> frames = parse_frame_range(text, count);
        promise(!frames.empty() && static_cast<int64_t>(frames.size()) <= count, "frames that are not there");
        for (size_t i = 0; i < frames.size(); ++i)
          promise(frames[i] >= 0 && frames[i] < count && (i == 0 || frames[i] > frames[i - 1]),
                  "frames out of range or order");
      });
      break;
    case 1:
      accepts([&] {
        const Rectangle r = parse_crop(text);
        promise(r.y0 >= 0 && r.x0 >= 0 && r.height() > 0 && r.width() > 0, "an empty region");
      });
      break;
    case 2:
      accepts([&] { promise(parse_bytes("size", text) >= 0, "a negative size"); });
      break;
    case 3:
      accepts([&] {
        for (const ProbeStep& step : parse_probe_pipeline(text))
          promise(std::isfinite(step.value) && step.value >= 0, "a step's value out of range");
      });
      break;
    case 4: {
      const std::vector<std::string> files = files_of_list(text);
      promise(files_of_list(file_list(files)) == files, "a list of files that changes when it is written and read");
      break;
    }
    case 5:
      take_one(train_options, number, text);
      break;
    case 6:
      take_one(refine_options, number, text);
      break;
    default:
      take_one(simulate_options, number, text);
  }
}

}  // namespace ptyfuse::fuzz
