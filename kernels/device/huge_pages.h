#pragma once
#include <cstdint>

namespace ptyfuse {

/// Asks the system for large pages where memory[0, bytes) holds whole ones: a fresh block of many megabytes then costs
/// one page fault for every 2 MiB and not for every 4 KiB. A hint: nothing changes where the system has none, and no
/// page beyond the block is touched. For memory of the host that has not been written yet.
void prefer_huge_pages(void* memory, int64_t bytes);

}  // namespace ptyfuse
