#include "kernels/emu/recorder.h"

#include <array>
#include <cstdio>

#include "kernels/device/error.h"
#include "kernels/emu/symbols.h"

namespace ptyfuse::emu {
namespace {

thread_local Recorder* installed = nullptr;

template <class... T>
std::string format(const char* pattern, T... values) {
  std::array<char, 512> text;
  std::snprintf(text.data(), text.size(), pattern, values...);
  return text.data();
}

std::string line(const char* name, const char* unit, const Traffic& t) {
  if (t.requests == 0) return "";
  return format("  %-14s %10llu requests  %12llu bytes  %6.2f %s per request  %5.2f x ideal\n", name,
                static_cast<unsigned long long>(t.requests), static_cast<unsigned long long>(t.bytes),
                t.cost_per_request(), unit, t.cost_over_ideal());
}

}  // namespace

void Traffic::add(const Traffic& o) {
  requests += o.requests;
  bytes += o.bytes;
  cost += o.cost;
  ideal += o.ideal;
}

void Counters::add(const Counters& o) {
  launches += o.launches;
  blocks += o.blocks;
  threads += o.threads;
  block_barriers += o.block_barriers;
  warp_collectives += o.warp_collectives;
  mma_flop += o.mma_flop;
  atomics += o.atomics;
  global_read.add(o.global_read);
  global_write.add(o.global_write);
  shared_read.add(o.shared_read);
  shared_write.add(o.shared_write);
  footprint_read_bytes += o.footprint_read_bytes;
  footprint_write_bytes += o.footprint_write_bytes;
}

std::string LaunchReport::text() const {
  const Counters& c = counters;
  const auto count = [](uint64_t n) { return static_cast<unsigned long long>(n); };
  std::string out =
      format("%s  grid (%u, %u, %u)  block (%u, %u, %u)  shared memory %lld bytes\n", kernel.c_str(), grid[0], grid[1],
             grid[2], block[0], block[1], block[2], static_cast<long long>(shared_bytes));
  if (c.blocks != 0) {
    out += line("global read", "sectors", c.global_read) + line("global write", "sectors", c.global_write) +
           line("shared read", "cycles", c.shared_read) + line("shared write", "cycles", c.shared_write);
    out += format("  footprint      %llu bytes read, %llu bytes written\n", count(c.footprint_read_bytes),
                  count(c.footprint_write_bytes));
    out += format("  barriers %llu  warp collectives %llu  atomics %llu  mma FLOP %llu\n", count(c.block_barriers),
                  count(c.warp_collectives), count(c.atomics), count(c.mma_flop));
  }
  for (const Instruction& i : instructions)
    out += format("    %-44s %s %-5s %10llu requests  %6.2f %s per request  %5.2f x ideal\n", i.where.c_str(),
                  i.shared ? "shared" : "global", i.write ? "write" : "read", count(i.traffic.requests),
                  i.traffic.cost_per_request(), i.shared ? "cycles" : "sectors", i.traffic.cost_over_ideal());
  for (const Finding& f : findings) out += "  " + f.message + "\n";
  return out;
}

Recorder::Recorder(const Mode& mode) : mode_(mode), outer_(installed), symbols_(std::make_unique<Symbols>()) {
  installed = this;
}

Recorder::~Recorder() {
  installed = outer_;
}

Recorder* Recorder::current() {
  return installed;
}

Counters Recorder::total(const std::string& kernel) const {
  Counters sum;
  bool launched = kernel.empty();
  for (const LaunchReport& l : launches_) {
    if (l.kernel.rfind(kernel, 0) != 0) continue;
    sum.add(l.counters);
    launched = true;
  }
  if (!launched)
    throw Error(ErrorKind::device,
                "no kernel whose name begins with '" + kernel + "' was launched (PTYFUSE_TEST_DEVICE=cuda set?)");
  return sum;
}

int Recorder::findings(FindingKind kind) const {
  int n = 0;
  for (const LaunchReport& l : launches_)
    for (const Finding& f : l.findings) n += f.kind == kind;
  return n;
}

std::string Recorder::text() const {
  std::string out;
  for (const LaunchReport& l : launches_) out += l.text();
  return out;
}

}  // namespace ptyfuse::emu
