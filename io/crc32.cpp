#include "io/crc32.h"

#include <libdeflate.h>

namespace ptyfuse::io {

uint32_t crc32(const void* data, size_t bytes, uint32_t former) {
  // An empty vector's data may be null, for which the library begins a new sum.
  return bytes == 0 ? former : libdeflate_crc32(former, data, bytes);
}

}  // namespace ptyfuse::io
