// Compiled once for each target: PTYFUSE_FUZZ_TARGET names its function.
#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ptyfuse::fuzz::PTYFUSE_FUZZ_TARGET({data, size});
  return 0;
}
