#include "bin/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "bin/printable.h"
#include "engine/clock_text.h"

namespace ptyfuse::cli {
namespace {

constexpr int bar_width = 28;

std::string describe(const ProgressEvent& event) {
  std::string text = fmt::format("{:.0f}/{:.0f} {}", event.done, event.total, event.unit);
  if (event.rate > 0) text += fmt::format(", {:.{}f}/s", event.rate, event.rate < 10 ? 1 : 0);
  if (std::isfinite(event.seconds_left) && event.done < event.total)
    text += ", " + clock_text(event.seconds_left) + " left";
  return text;
}

}  // namespace

ProgressMeter::ProgressMeter() : terminal_(isatty(STDERR_FILENO) == 1), last_(std::chrono::steady_clock::now()) {}
ProgressMeter::~ProgressMeter() {
  clear_bar();
}

void ProgressMeter::clear_bar() {
  if (bar_shown_) std::fputs("\r\033[K", stderr);
  bar_shown_ = false;
}

void ProgressMeter::line(const std::string& text) {
  clear_bar();
  std::fprintf(stderr, "%s\n", printable(text).c_str());
}

void ProgressMeter::show(const ProgressEvent& event) {
  const auto now = std::chrono::steady_clock::now();
  if (!event.message.empty()) {
    line(event.message);
    last_ = now;
    return;
  }
  if (terminal_) {
    if (now - last_ < std::chrono::milliseconds(100) && event.done < event.total) return;
    const double part = event.total > 0 ? std::clamp(event.done / event.total, 0.0, 1.0) : 0;
    const int filled = static_cast<int>(part * bar_width);
    const std::string bar =
        std::string(static_cast<size_t>(filled), '#') + std::string(static_cast<size_t>(bar_width - filled), '.');
    std::fprintf(stderr, "\r\033[K%s [%s] %3.0f%% %s", std::string(event.task).c_str(), bar.c_str(), 100 * part,
                 describe(event).c_str());
    std::fflush(stderr);
    bar_shown_ = true;
    last_ = now;
  } else if (now - last_ >= std::chrono::seconds(10)) {
    std::fprintf(stderr, "%s: %s\n", std::string(event.task).c_str(), describe(event).c_str());
    last_ = now;
  }
}

}  // namespace ptyfuse::cli
