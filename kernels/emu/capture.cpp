#include "kernels/emu/capture.h"

#include <utility>

#include "kernels/device/error.h"

namespace ptyfuse::emu {
namespace {

struct Capture {
  const void* stream = nullptr;
  std::unique_ptr<Graph> graph;
  const char* broken_by = nullptr;
};

// As a GPU's driver keeps it: cudaStreamCaptureModeThreadLocal.
thread_local Capture capture;

[[noreturn]] void fail(const std::string& message) {
  throw Error(ErrorKind::device, "cuda:0: " + message);
}
std::string forbidden(const char* call) {
  return std::string(call) + ": operation not permitted when stream is capturing";
}

}  // namespace

void begin_capture(const void* native_stream) {
  if (capture.graph != nullptr) fail("beginning a graph: this thread captures a stream already");
  capture = {native_stream, std::make_unique<Graph>(), nullptr};
}

std::unique_ptr<Graph> end_capture(const void* native_stream) {
  if (capture.graph == nullptr || capture.stream != native_stream) fail("ending a graph: the stream is not capturing");
  Capture ended = std::exchange(capture, {});
  if (ended.broken_by != nullptr) fail("ending a graph: the capture was broken by " + forbidden(ended.broken_by));
  return std::move(ended.graph);
}

void abandon_capture() noexcept {
  capture = {};
}

bool captured(const void* native_stream, std::function<void()> work) {
  if (capture.graph == nullptr || capture.stream != native_stream) return false;
  capture.graph->push_back(std::move(work));
  return true;
}

void forbid_in_capture(const char* call) {
  if (capture.graph == nullptr) return;
  break_capture(call);
  fail(forbidden(call));
}

void forbid_on_captured(const void* native_stream, const char* call) {
  if (capture.stream == native_stream) forbid_in_capture(call);
}

void break_capture(const char* call) noexcept {
  if (capture.graph != nullptr && capture.broken_by == nullptr) capture.broken_by = call;
}

}  // namespace ptyfuse::emu
