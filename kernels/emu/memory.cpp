#include "kernels/emu/memory.h"

#include <cstring>
#include <map>
#include <mutex>
#include <optional>

#include "kernels/device/error.h"

namespace ptyfuse::emu {
namespace {

constexpr int64_t guard_bytes = 512;  // a multiple of the alignment promised

// What a driver keeps of a GPU's memory.
struct Registry {
  std::mutex mutex;
  std::map<uintptr_t, Allocation> live;

  const Allocation* find(const void* memory) const {
    const auto address = reinterpret_cast<uintptr_t>(memory);
    auto next = live.upper_bound(address);
    if (next == live.begin()) return nullptr;
    const Allocation& a = std::prev(next)->second;
    return address - a.begin < static_cast<uintptr_t>(a.bytes) ? &a : nullptr;
  }
};

Registry& registry() {
  static Registry all;
  return all;
}

uint8_t poison_byte(uintptr_t address) {
  return static_cast<uint8_t>(address % 2 == 0 ? poison & 0xff : poison >> 8);
}

// Address of the first byte that is not poison; the compare of a range with itself, shifted by one unit, is quick.
std::optional<uintptr_t> first_damage(uintptr_t begin, int64_t bytes) {
  const auto* p = reinterpret_cast<const uint8_t*>(begin);
  uint16_t first;
  std::memcpy(&first, p, 2);
  if (first == poison && std::memcmp(p, p + 2, static_cast<size_t>(bytes) - 2) == 0) return std::nullopt;
  for (int64_t i = 0; i < bytes; ++i)
    if (p[i] != poison_byte(begin + static_cast<uintptr_t>(i))) return begin + static_cast<uintptr_t>(i);
  return std::nullopt;
}

// The guard behind starts at the last byte's end, which may be odd, and fills up to the next multiple of two first.
struct Guards {
  explicit Guards(const Allocation& a)
      : front(a.begin - guard_bytes), back(a.begin + static_cast<uintptr_t>((a.bytes + 1) / 2 * 2)) {}
  uintptr_t front, back;
};

std::optional<GuardDamage> check(const Allocation& a) {
  const Guards guards(a);
  std::optional<uintptr_t> at = first_damage(guards.front, guard_bytes);
  if (!at && a.bytes % 2 != 0 && *reinterpret_cast<const uint8_t*>(guards.back - 1) != poison_byte(guards.back - 1))
    at = guards.back - 1;
  if (!at) at = first_damage(guards.back, guard_bytes);
  if (!at) return std::nullopt;
  fill_poison(reinterpret_cast<void*>(guards.front), guard_bytes);
  fill_poison(reinterpret_cast<void*>(guards.back), guard_bytes);
  if (a.bytes % 2 != 0) *reinterpret_cast<uint8_t*>(guards.back - 1) = poison_byte(guards.back - 1);
  return GuardDamage{a, static_cast<int64_t>(*at) - static_cast<int64_t>(a.begin)};
}

void require_inside(const char* what, const void* memory, int64_t bytes) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const Allocation* a = all.find(memory);
  if (a != nullptr && static_cast<int64_t>(reinterpret_cast<uintptr_t>(memory) - a->begin) + bytes <= a->bytes) return;
  throw Error(ErrorKind::device,
              std::string(what) + ": " + std::to_string(bytes) + " bytes " +
                  (a ? "run over the end of buffer '" + a->name + "'" : std::string("do not lie in device memory")));
}

}  // namespace

void fill_poison(void* memory, int64_t bytes) {
  auto* p = static_cast<uint8_t*>(memory);
  const auto n = static_cast<size_t>(bytes);
  // Doubling copies: quicker than a loop over units.
  for (size_t i = 0; i < n && i < 2; ++i) p[i] = poison_byte(i);
  for (size_t done = 2; done < n; done *= 2) std::memcpy(p + done, p, done < n - done ? done : n - done);
}

void* allocate(int64_t bytes, std::string name) {
  if (bytes < 0) throw Error(ErrorKind::memory, "buffer '" + name + "': negative size");
  const int64_t whole = guard_bytes + bytes + 1 + guard_bytes;
  const DeviceAccess access;
  auto* base = static_cast<uint8_t*>(take_from_arena(whole));
  if (base == nullptr)
    throw Error(ErrorKind::memory, "out of memory: buffer '" + name + "' needs " + std::to_string(bytes) + " bytes");
  fill_poison(base, whole);
  uint8_t* memory = base + guard_bytes;
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  all.live[begin] = {begin, bytes, std::move(name)};
  return memory;
}

std::string release(void* memory) {
  if (memory == nullptr) return "";
  Registry& all = registry();
  std::optional<GuardDamage> damage;
  {
    const DeviceAccess access;
    const std::lock_guard lock(all.mutex);
    const auto found = all.live.find(reinterpret_cast<uintptr_t>(memory));
    if (found == all.live.end()) throw Error(ErrorKind::device, "release: not an allocation of the emulated device");
    damage = check(found->second);
    all.live.erase(found);
  }
  give_to_arena(static_cast<uint8_t*>(memory) - guard_bytes);
  if (!damage) return "";
  return "buffer '" + damage->allocation.name + "' of " + std::to_string(damage->allocation.bytes) +
         " bytes: guard byte at offset " + std::to_string(damage->offset_bytes) + " was overwritten";
}

void copy_to_device(void* device_memory, const void* host_memory, int64_t bytes) {
  if (bytes <= 0) return;
  require_inside("copy to device", device_memory, bytes);
  const DeviceAccess access;
  std::memcpy(device_memory, host_memory, static_cast<size_t>(bytes));
}

void copy_to_host(void* host_memory, const void* device_memory, int64_t bytes) {
  if (bytes <= 0) return;
  require_inside("copy to host", device_memory, bytes);
  const DeviceAccess access;
  std::memcpy(host_memory, device_memory, static_cast<size_t>(bytes));
}

void copy_on_device(void* to, const void* from, int64_t bytes) {
  if (bytes <= 0) return;
  require_inside("copy on the device, to", to, bytes);
  require_inside("copy on the device, from", from, bytes);
  const DeviceAccess access;
  std::memmove(to, from, static_cast<size_t>(bytes));
}

void fill_bytes(void* device_memory, uint8_t value, int64_t bytes) {
  if (bytes <= 0) return;
  require_inside("fill", device_memory, bytes);
  const DeviceAccess access;
  std::memset(device_memory, value, static_cast<size_t>(bytes));
}

std::vector<Allocation> allocations() {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  std::vector<Allocation> list;
  list.reserve(all.live.size());
  for (const auto& [begin, a] : all.live) list.push_back(a);
  return list;
}

std::vector<GuardDamage> check_guards() {
  const DeviceAccess access;
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  std::vector<GuardDamage> damages;
  for (const auto& [begin, a] : all.live)
    if (auto damage = check(a)) damages.push_back(*damage);
  return damages;
}

}  // namespace ptyfuse::emu
