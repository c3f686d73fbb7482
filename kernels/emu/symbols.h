#pragma once
// Names for addresses of this program's code, from its symbols and line tables; private to this room.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ptyfuse::emu {

struct Symbol {
  std::string function;  ///< "transpose<1, true>": without return type, namespaces and parameters
  std::string place;     ///< "kernels/ops/x_cuda.cu:12"
};

/// What was looked up so far.
class Symbols {
 public:
  /// Asks addr2line (binutils) for all addresses that are new; one of which it knows nothing gets "0x..." for both.
  void look_up(const std::vector<uintptr_t>& addresses);
  const Symbol& at(uintptr_t address) const { return known_.at(address); }

 private:
  std::map<uintptr_t, Symbol> known_;
};

/// "void ns::(anonymous namespace)::f<int>(float*)" -> "f<int>"
std::string short_function_name(const std::string& demangled);

}  // namespace ptyfuse::emu
