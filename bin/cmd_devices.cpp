#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "bin/command.h"

namespace ptyfuse::cli {
namespace {

class DevicesCommand : public Command {
 public:
  const char* name() const override { return "devices"; }
  const char* summary() const override {
    return "List the devices, their memory and abilities, and which one is chosen.";
  }
  const char* lesson() const override { return "Example:\n  ptyfuse devices\n"; }
  void declare(CLI::App&) override {}
  int run() override {
    const Device cpu = Device::cpu({.threads = static_cast<int>(globals().threads)});
    const double memory_gib =
        static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 0x1p30;
    const CpuFeatures& f = cpu.cpu_features();
    std::printf("cpu  %s\n     memory %.1f GiB; AVX2 yes, AVX-512 %s, AMX bf16 %s; convolutions in %s\n",
                cpu.description().c_str(), memory_gib, f.avx512 ? "yes" : "no", f.amx_bf16 ? "yes" : "no",
                f.amx_bf16 ? "bf16 (--precision auto)" : "fp32 (--precision auto)");
    std::string why_none, chosen = "cpu";
    const std::vector<GpuDescription> gpus = list_gpus(why_none);
    for (const GpuDescription& g : gpus) {
      std::string free;  // where the driver tells it without putting the GPU to use
      if (g.free_bytes > 0) free = fmt::format(", {:.1f} GiB free", static_cast<double>(g.free_bytes) / 0x1p30);
      std::printf(
          "cuda:%d  %s\n     compute capability %d.%d, %d multiprocessors, memory %.1f GiB%s; convolutions in "
          "bf16 (--precision auto)\n",
          g.index, g.name.c_str(), g.major, g.minor, g.multiprocessors, static_cast<double>(g.memory_bytes) / 0x1p30,
          free.c_str());
      if (!g.unusable.empty()) std::printf("     not usable: %s\n", g.unusable.c_str());
      if (g.unusable.empty() && chosen == "cpu" && auto_takes_no_gpu().empty())
        chosen = "cuda:" + std::to_string(g.index);
    }
    if (gpus.empty()) std::printf("cuda none: %s\n", why_none.c_str());
    std::printf("auto chooses %s\n", chosen.c_str());
    return 0;
  }
};

}  // namespace

std::unique_ptr<Command> make_devices_command() {
  return std::make_unique<DevicesCommand>();
}

}  // namespace ptyfuse::cli
