#pragma once
#include <cstddef>
#include <cstdint>

namespace ptyfuse::io {

/// CRC-32 as zlib, PNG and zip compute it (polynomial 0xEDB88320 reflected): every change within 32 bits in a row
/// shows. Python: zlib.crc32(data, former). `former`: that of the bytes before these.
uint32_t crc32(const void* data, size_t bytes, uint32_t former = 0);

}  // namespace ptyfuse::io
