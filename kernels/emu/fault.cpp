#include "kernels/emu/fault.h"

namespace ptyfuse::emu {

bool FaultList::count_again(FindingKind kind, uintptr_t first_pc, uintptr_t second_pc) {
  for (Fault& known : faults_)
    if (known.kind == kind && known.first.pc == first_pc && known.second.pc == second_pc) {
      ++known.count;
      return true;
    }
  return false;
}

void FaultList::add(const Fault& fault) {
  for (Fault& known : faults_)
    if (known.kind == fault.kind && known.first.pc == fault.first.pc && known.first.place == fault.first.place &&
        known.has_second == fault.has_second && known.second.pc == fault.second.pc) {
      known.count += fault.count;
      return;
    }
  if (faults_.size() < most) faults_.push_back(fault);
}

}  // namespace ptyfuse::emu
