#include "kernels/emu/launch.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "kernels/emu/block_runner.h"
#include "kernels/emu/capture.h"
#include "kernels/emu/memory.h"
#include "kernels/emu/monitor.h"
#include "kernels/emu/recorder.h"
#include "kernels/emu/symbols.h"

namespace ptyfuse::emu {
namespace {

// Limits of compute capability 9.0.
constexpr int64_t most_threads = 1024, most_shared_bytes = 227 * 1024;

std::string triple(const dim3& d) {
  return std::string("(") + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")";
}
std::string triple(const uint3& d) {
  return triple(dim3(d.x, d.y, d.z));
}

std::string kernel_name(const KernelCall& kernel) {
  const auto address = reinterpret_cast<uintptr_t>(kernel.kernel);
  Symbols symbols;
  symbols.look_up({address});
  return symbols.at(address).function;
}

/// For a launch without a Recorder: 0, or as PTYFUSE_EMU_WATCHED_THREADS asks, the step at which blocks are watched so
/// that about so many threads are, and one block at least.
int64_t step_of_watched(int64_t blocks, int64_t threads_of_block) {
  const char* const wanted = std::getenv("PTYFUSE_EMU_WATCHED_THREADS");
  const int64_t threads = wanted == nullptr ? 0 : std::atoll(wanted);
  if (threads <= 0) return 0;
  const int64_t most_blocks = std::max<int64_t>(threads / threads_of_block, 1);
  return (blocks + most_blocks - 1) / most_blocks;
}

void check(const LaunchConfig& c, const KernelCall& kernel) {
  const uint64_t threads = uint64_t{c.block.x} * c.block.y * c.block.z;
  std::string fault;
  if (threads == 0 || threads > most_threads || c.block.x > 1024 || c.block.y > 1024 || c.block.z > 64)
    fault = std::string("block ") + triple(c.block) + " is not 1 to 1024 threads, z at most 64";
  else if (c.grid.x > 0x7fffffffU || c.grid.y > 65535 || c.grid.z > 65535)
    fault = std::string("grid ") + triple(c.grid) + " exceeds (2^31 - 1, 65535, 65535)";
  else if (c.shared_bytes < 0 || c.shared_bytes > most_shared_bytes)
    fault = std::to_string(c.shared_bytes) + " bytes of shared memory; a block has at most " +
            std::to_string(most_shared_bytes);
  if (!fault.empty()) throw Error(ErrorKind::device, "launch of " + kernel_name(kernel) + ": " + fault);
}

const char* name_of(FindingKind kind) {
  switch (kind) {
    case FindingKind::race:
      return "race";
    case FindingKind::out_of_bounds:
      return "out of bounds";
    case FindingKind::unaligned:
      return "unaligned access";
    case FindingKind::divergent_barrier:
      return "divergent barrier";
    case FindingKind::divergent_collective:
      return "divergent warp collective";
    case FindingKind::uninitialised_shared:
      return "uninitialised shared memory";
    case FindingKind::stray_write:
      return "stray write";
    case FindingKind::async_copy:
      return "asynchronous copy";
    case FindingKind::trap:
      return "trap";
    case FindingKind::stack_overflow:
      return "stack overflow";
  }
  return "";
}

// Turns faults and traffic into a report; looks all addresses up at once.
LaunchReport make_report(const LaunchConfig& config, const KernelCall& kernel, const FaultList& faults,
                         const Monitor* monitor, Symbols& symbols) {
  const auto kernel_address = reinterpret_cast<uintptr_t>(kernel.kernel);
  std::vector<uintptr_t> addresses{kernel_address};
  std::vector<PlaceTraffic> places;
  if (monitor != nullptr) places = monitor->places();
  std::erase_if(places, [](const PlaceTraffic& p) { return p.traffic.requests == 0; });
  // A return address belongs to the instruction before it.
  for (const PlaceTraffic& p : places) addresses.push_back(p.pc - 1);
  for (const Fault& f : faults.all()) {
    if (f.first.pc != 0) addresses.push_back(f.first.pc - 1);
    if (f.second.pc != 0) addresses.push_back(f.second.pc - 1);
  }
  symbols.look_up(addresses);

  LaunchReport report;
  report.kernel = symbols.at(kernel_address).function;
  std::copy_n(&config.grid.x, 3, report.grid);
  std::copy_n(&config.block.x, 3, report.block);
  report.shared_bytes = config.shared_bytes;
  if (monitor != nullptr) report.counters = monitor->counters();
  report.counters.launches = 1;

  for (const PlaceTraffic& p : places) {
    const std::string where = symbols.at(p.pc - 1).place;
    auto same = std::find_if(report.instructions.begin(), report.instructions.end(), [&](const Instruction& i) {
      return i.where == where && i.shared == p.shared && i.write == p.write;
    });
    if (same == report.instructions.end())
      report.instructions.push_back({where, p.shared, p.write, p.traffic});
    else
      same->traffic.add(p.traffic);
  }
  std::stable_sort(report.instructions.begin(), report.instructions.end(),
                   [](const Instruction& a, const Instruction& b) { return a.traffic.cost > b.traffic.cost; });

  const auto place = [&](const Witness& w) {
    if (!w.place.empty()) return std::string(" at ") + w.place;
    return w.pc != 0 ? std::string(" at ") + symbols.at(w.pc - 1).place : std::string();
  };
  for (const Fault& f : faults.all()) {
    std::string message = std::string(name_of(f.kind)) + " in " + report.kernel;
    switch (f.culprit) {
      case Culprit::thread:
        message += ", block " + triple(f.first.block) + ": thread " + triple(f.first.thread) + place(f.first);
        break;
      case Culprit::block:
        message += ", block " + triple(f.first.block) + ": a thread";
        break;
      case Culprit::launch:
        message += ": a thread";
        break;
    }
    message += " " + f.what;
    if (f.has_second) {
      message += "; thread " + triple(f.second.thread);
      if (triple(f.second.block) != triple(f.first.block)) message += " of block " + triple(f.second.block);
      message += place(f.second) + " " + f.second_what;
    }
    if (f.count > 1) message += "; " + std::to_string(f.count) + " times here";
    report.findings.push_back({f.kind, std::move(message), f.count});
  }
  return report;
}

// A kernel with a copy of its arguments, which are plain data.
class KeptCall {
 public:
  explicit KeptCall(const KernelCall& kernel)
      : kernel_(kernel), closure_((kernel.closure_bytes + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t)) {
    std::memcpy(closure_.data(), kernel.closure, kernel.closure_bytes);
  }
  KernelCall call() const { return {kernel_.kernel, kernel_.call, closure_.data(), kernel_.closure_bytes}; }

 private:
  KernelCall kernel_;
  std::vector<std::max_align_t> closure_;
};

}  // namespace

void run(const Stream& stream, const LaunchConfig& config, const KernelCall& kernel) {
  if (config.grid.x == 0 || config.grid.y == 0 || config.grid.z == 0) return;
  check(config, kernel);
  if (captured(stream.native_handle(), [stream, config, kept = KeptCall(kernel)] { run(stream, config, kept.call()); }))
    return;
  stream.synchronise();  // the kernel runs at once, behind the stream's copies
  Recorder* const recorder = Recorder::current();
  const Mode mode = recorder ? recorder->mode() : Mode{.counted = false};
  const int64_t blocks = int64_t{config.grid.x} * config.grid.y * config.grid.z;

  // Every step-th block is watched, counted back from the last: the edges of data are there.
  const int64_t step = mode.counted ? 1
                       : recorder == nullptr
                           ? step_of_watched(blocks, int64_t{config.block.x} * config.block.y * config.block.z)
                           : 0;
  const auto watched = [&](int64_t b) { return step != 0 && (blocks - 1 - b) % step == 0; };

  FaultList faults;
  std::unique_ptr<Monitor> monitor;
  std::atomic<bool> stop{false};
  const DeviceAccess access;
  if (step != 0) {
    monitor = std::make_unique<Monitor>(config, kernel);
    BlockRunner runner(config, kernel, mode, monitor.get());
    for (int64_t b = (blocks - 1) % step; b < blocks && !stop; b += step)
      if (!runner.run(static_cast<uint64_t>(b))) stop = true;
    runner.check_stacks();
    for (const Fault& f : runner.faults().all()) faults.add(f);
  }
  if (step != 1) {
    std::mutex mutex;
    stream.device().parallel_for(blocks, 1, [&](int64_t begin, int64_t end, int) {
      BlockRunner runner(config, kernel, mode, nullptr);
      for (int64_t b = begin; b < end && !stop; ++b)
        if (!watched(b) && !runner.run(static_cast<uint64_t>(b))) stop = true;
      runner.check_stacks();
      const std::lock_guard lock(mutex);
      for (const Fault& f : runner.faults().all()) faults.add(f);
    });
  }
  for (const GuardDamage& d : check_guards()) {
    faults.add(Fault(FindingKind::stray_write, Witness(),
                     "wrote over the end or beginning of buffer '" + d.allocation.name + "' of " +
                         std::to_string(d.allocation.bytes) + " bytes, at byte " + std::to_string(d.offset_bytes),
                     Culprit::launch));
  }

  if (recorder == nullptr && faults.empty()) return;
  Symbols once;
  LaunchReport report = make_report(config, kernel, faults, monitor.get(), recorder ? recorder->symbols() : once);
  std::string message;
  for (const Finding& f : report.findings) message += (message.empty() ? "" : "\n") + f.message;
  const bool failed = !report.findings.empty() && mode.throw_on_finding;
  if (recorder != nullptr) recorder->add(std::move(report));
  if (failed) throw Error(ErrorKind::device, message);
}

}  // namespace ptyfuse::emu
