#pragma once
#include <CLI/CLI.hpp>
#include <string>

#include "io/scan.h"

namespace ptyfuse::cli {

/// What a user says about an input that does not say it itself; empty: unsaid.
struct ScanHintTexts {
  std::string domain, dc, origin, order, pixel_size_m;
};

/// --domain, --dc, --origin, --order, --pixel-size-m
void add_scan_hints(CLI::App& app, ScanHintTexts& texts);
/// UsageError: a word that is not one of the choices.
io::ScanHints scan_hints(const ScanHintTexts& texts);

}  // namespace ptyfuse::cli
