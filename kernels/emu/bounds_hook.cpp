// The function that g++ -fsanitize=bounds calls where an index leaves an array whose length the compiler knows: a
// thread's own arrays, which are registers or local memory and not watched otherwise, and arrays in structs. The
// sanitizer's own runtime is not linked.
#include <cstdint>
#include <string>

#include "kernels/emu/block_runner.h"
#include "kernels/emu/monitor.h"

namespace {

// As g++ lays them out (libsanitizer/ubsan/ubsan_value.h names the fields).
struct Type {
  uint16_t kind, info;  // of an integer: 2 * log2(bits), + 1 where it is signed
  char name[1];         // "'float [4]'"
};
struct OutOfBounds {
  const char* file;
  uint32_t line, column;
  const Type *array, *index;
};

std::string text_of(const Type& type, uintptr_t value) {
  if ((type.info & 1) == 0) return std::to_string(value);
  const int unused = 64 - (1 << (type.info >> 1));
  return std::to_string(static_cast<int64_t>(value << unused) >> unused);
}

}  // namespace

extern "C" void __ubsan_handle_out_of_bounds(const void* data, uintptr_t index) {
  using namespace ptyfuse::emu;
  BlockRunner* const runner = BlockRunner::active();
  if (runner == nullptr) __builtin_trap();  // host code of the same file
  const auto& d = *static_cast<const OutOfBounds*>(data);
  watch(nullptr);
  runner->fault(Fault(FindingKind::out_of_bounds,
                      runner->witness(runner->rank(), reinterpret_cast<uintptr_t>(__builtin_return_address(0))),
                      "takes element " + text_of(*d.index, index) + " of " + static_cast<const char*>(d.array->name)));
}
