// The functions that g++ -fsanitize=thread calls at every memory access of a kernel. The sanitizer's own runtime is not
// linked: these are the emu world's eyes.
#include <atomic>
#include <cstdint>

#include "kernels/emu/monitor.h"

namespace {

// Null unless a counted kernel runs on this host thread, so that an access costs a test otherwise.
[[gnu::tls_model("initial-exec")]] thread_local ptyfuse::emu::Monitor* watching = nullptr;

// The monitor itself may call instrumented copies of library templates: nothing watches meanwhile.
[[gnu::noinline]] void tell(ptyfuse::emu::Monitor* monitor, void* address, uint32_t bytes,
                            ptyfuse::emu::AccessKind kind, void* pc) {
  watching = nullptr;
  monitor->access(reinterpret_cast<uintptr_t>(address), bytes, kind, reinterpret_cast<uintptr_t>(pc));
  watching = monitor;
}

// A copy of a struct: the pieces that its alignment allows.
[[gnu::noinline]] void tell_range(ptyfuse::emu::Monitor* monitor, void* address, uint64_t bytes,
                                  ptyfuse::emu::AccessKind kind, void* pc) {
  auto at = reinterpret_cast<uintptr_t>(address);
  const uintptr_t end = at + bytes;
  while (at < end) {
    uint32_t piece = 16;
    while (at % piece != 0 || at + piece > end) piece /= 2;
    tell(monitor, reinterpret_cast<void*>(at), piece, kind, pc);
    at += piece;
  }
}

}  // namespace

void ptyfuse::emu::watch(Monitor* monitor) {
  watching = monitor;
}

#define PTYFUSE_ACCESS(bytes)                                                                             \
  void __tsan_read##bytes(void* p) {                                                                      \
    if (watching) tell(watching, p, bytes, ptyfuse::emu::AccessKind::read, __builtin_return_address(0));  \
  }                                                                                                       \
  void __tsan_write##bytes(void* p) {                                                                     \
    if (watching) tell(watching, p, bytes, ptyfuse::emu::AccessKind::write, __builtin_return_address(0)); \
  }

// Host code in the same files may use atomics (reference counts); kernels use the shim's functions instead.
#define PTYFUSE_ATOMIC(bits, T)                                                             \
  T __tsan_atomic##bits##_load(const volatile T* p, int) {                                  \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                            \
  }                                                                                         \
  void __tsan_atomic##bits##_store(volatile T* p, T v, int) {                               \
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                               \
  }                                                                                         \
  T __tsan_atomic##bits##_exchange(volatile T* p, T v, int) {                               \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                     \
  }                                                                                         \
  T __tsan_atomic##bits##_fetch_add(volatile T* p, T v, int) {                              \
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                      \
  }                                                                                         \
  T __tsan_atomic##bits##_fetch_sub(volatile T* p, T v, int) {                              \
    return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST);                                      \
  }                                                                                         \
  T __tsan_atomic##bits##_fetch_or(volatile T* p, T v, int) {                               \
    return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST);                                       \
  }                                                                                         \
  T __tsan_atomic##bits##_fetch_and(volatile T* p, T v, int) {                              \
    return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST);                                      \
  }                                                                                         \
  T __tsan_atomic##bits##_fetch_xor(volatile T* p, T v, int) {                              \
    return __atomic_fetch_xor(p, v, __ATOMIC_SEQ_CST);                                      \
  }                                                                                         \
  bool __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* c, T v, int, int) {  \
    return __atomic_compare_exchange_n(p, c, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }                                                                                         \
  bool __tsan_atomic##bits##_compare_exchange_weak(volatile T* p, T* c, T v, int, int) {    \
    return __atomic_compare_exchange_n(p, c, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
PTYFUSE_ACCESS(1)
PTYFUSE_ACCESS(2)
PTYFUSE_ACCESS(4)
PTYFUSE_ACCESS(8)
PTYFUSE_ACCESS(16)
void __tsan_read_range(void* p, uint64_t bytes) {
  if (watching) tell_range(watching, p, bytes, ptyfuse::emu::AccessKind::read, __builtin_return_address(0));
}
void __tsan_write_range(void* p, uint64_t bytes) {
  if (watching) tell_range(watching, p, bytes, ptyfuse::emu::AccessKind::write, __builtin_return_address(0));
}
PTYFUSE_ATOMIC(8, uint8_t)
PTYFUSE_ATOMIC(16, uint16_t)
PTYFUSE_ATOMIC(32, uint32_t)
PTYFUSE_ATOMIC(64, uint64_t)
void __tsan_atomic_thread_fence(int) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
void __tsan_atomic_signal_fence(int) {
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
}
