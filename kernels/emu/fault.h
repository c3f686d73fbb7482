#pragma once
// A finding as the world records it inside a block, before names are looked up; private to this room.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kernels/emu/recorder.h"
#include "kernels/emu/vector_types.h"

namespace ptyfuse::emu {

/// A thread and the instruction (a return address, 0: unknown) it was at.
struct Witness {
  explicit Witness(uint3 block_ = {}, uint3 thread_ = {}) : block(block_), thread(thread_) {}
  uint3 block, thread;
  uintptr_t pc = 0;
  std::string place;  ///< "file.cu:12" where the call told it; else `pc` is looked up
};

/// Who did it: Fault::first; or some thread of its block; or some thread of the launch.
enum class Culprit { thread, block, launch };

struct Fault {
  /// `what`: what `first` did: "writes 4 bytes of shared memory at byte 64".
  Fault(FindingKind kind_, Witness first_, std::string what_, Culprit culprit_ = Culprit::thread)
      : kind(kind_), culprit(culprit_), first(std::move(first_)), what(std::move(what_)) {}
  /// `did`: what `by` did: "wrote them with no barrier between".
  void add_second(Witness by, std::string did) {
    has_second = true;
    second = std::move(by);
    second_what = std::move(did);
  }

  FindingKind kind;
  Culprit culprit;
  Witness first;
  std::string what;
  bool has_second = false;
  Witness second;
  std::string second_what;
  uint64_t count = 1;
};

/// Collects faults; equal kinds at equal places count once.
class FaultList {
 public:
  void add(const Fault& fault);
  /// Counts a fault that is known already, by instructions; false where it is new.
  bool count_again(FindingKind kind, uintptr_t first_pc, uintptr_t second_pc);
  const std::vector<Fault>& all() const { return faults_; }
  bool empty() const { return faults_.empty(); }

 private:
  static constexpr size_t most = 64;  // more places than a person reads
  std::vector<Fault> faults_;
};

}  // namespace ptyfuse::emu
