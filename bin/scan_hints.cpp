#include "bin/scan_hints.h"

#include "engine/option_table.h"

namespace ptyfuse::cli {
namespace {

// The word's value, or nothing where it was left out.
template <class E>
std::optional<E> choose(const char* option, const std::string& text, const char* first, E first_value,
                        const char* second, E second_value) {
  if (text.empty()) return std::nullopt;
  if (text == first) return first_value;
  if (text == second) return second_value;
  throw UsageError(std::string(option) + ": '" + text + "' is not one of " + first + ", " + second);
}

}  // namespace

void add_scan_hints(CLI::App& app, ScanHintTexts& texts) {
  const char* group = "What the scan file leaves open";
  app.add_option("--domain", texts.domain, "what the frames hold")->type_name("counts|amplitude")->group(group);
  app.add_option("--dc", texts.dc, "where the zero frequency lies")->type_name("centre|corner")->group(group);
  app.add_option("--origin", texts.origin, "what a position points at")->type_name("corner|centre")->group(group);
  app.add_option("--order", texts.order, "order of a position's two numbers")->type_name("yx|xy")->group(group);
  app.add_option("--pixel-size-m", texts.pixel_size_m, "size of an object pixel in metres")
      ->type_name("REAL")
      ->group(group);
}

io::ScanHints scan_hints(const ScanHintTexts& texts) {
  io::ScanHints hints;
  hints.domain = choose("--domain", texts.domain, "counts", io::Domain::counts, "amplitude", io::Domain::amplitude);
  hints.dc = choose("--dc", texts.dc, "centre", io::DcPlace::centre, "corner", io::DcPlace::corner);
  hints.origin = choose("--origin", texts.origin, "corner", io::Origin::corner, "centre", io::Origin::centre);
  hints.order = choose("--order", texts.order, "yx", io::AxisOrder::yx, "xy", io::AxisOrder::xy);
  if (!texts.pixel_size_m.empty()) {
    double value = 0;
    OptionTable table;
    table.real("pixel-size-m", value, "", 1e-15);
    table.apply({{"pixel-size-m", texts.pixel_size_m}});
    hints.pixel_size_m = value;
  }
  return hints;
}

}  // namespace ptyfuse::cli
