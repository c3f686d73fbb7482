#include "bin/scan_hints.h"

#include <memory>

namespace ptyfuse::cli {

OptionTable scan_hint_options(io::ScanHints& hints) {
  OptionTable t;
  t.choice("domain", hints.domain,
           {{"auto", std::nullopt}, {"counts", io::Domain::counts}, {"amplitude", io::Domain::amplitude}},
           "what the frames hold");
  t.choice("dc", hints.dc, {{"auto", std::nullopt}, {"centre", io::DcPlace::centre}, {"corner", io::DcPlace::corner}},
           "where the zero frequency lies");
  t.choice("origin", hints.origin,
           {{"auto", std::nullopt}, {"corner", io::Origin::corner}, {"centre", io::Origin::centre}},
           "what a position points at");
  t.choice("order", hints.order, {{"auto", std::nullopt}, {"yx", io::AxisOrder::yx}, {"xy", io::AxisOrder::xy}},
           "order of a position's two numbers");

  constexpr double smallest_m = 1e-15;
  const auto metres = std::make_shared<double>(0);
  OptionTable number;
  number.real_or_auto("pixel-size-m", *metres, 0, "size of an object pixel in metres", smallest_m);
  Option pixel_size = number.options().front();
  pixel_size.set = [&hints, metres, parse = pixel_size.set](const std::string& text) {
    parse(text);
    hints.pixel_size_m = *metres > 0 ? std::optional<double>(*metres) : std::nullopt;
  };
  t.custom(std::move(pixel_size));
  return t;
}

}  // namespace ptyfuse::cli
