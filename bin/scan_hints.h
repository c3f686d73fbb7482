#pragma once
#include "engine/option_table.h"
#include "io/scan.h"

namespace ptyfuse::cli {

constexpr const char* scan_hint_group = "What the scan file leaves open";

/// --domain, --dc, --origin, --order, --pixel-size-m: what a user says about an input that does not say it itself,
/// bound to `hints`; auto: as the file says.
OptionTable scan_hint_options(io::ScanHints& hints);

}  // namespace ptyfuse::cli
