#ifdef PTYFUSE_CUDA
#include "kernels/device/scratch.h"

#include "kernels/device/gpu.h"

namespace ptyfuse {

ScratchBytes::ScratchBytes(const Stream& stream, int64_t bytes, const char* name) : stream_(stream) {
  if (bytes == 0) return;
  native_stream_ = stream_.native_handle();
  data_ = gpu::allocate_in_stream(stream_.device().index(), native_stream_, bytes, name);
  if (data_ == nullptr)
    throw Error(ErrorKind::memory, "out of memory on " + stream_.device().name() + ": scratch '" + name + "' needs " +
                                       std::to_string(bytes) + " bytes; use a smaller batch");
}

ScratchBytes::~ScratchBytes() {
  if (data_ != nullptr) gpu::release_in_stream(stream_.device().index(), native_stream_, data_);
}

}  // namespace ptyfuse
#endif
