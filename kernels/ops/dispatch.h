#pragma once
// An operation's switch over DeviceKind ends with PTYFUSE_ON_CUDA(body): its case in builds with CUDA, nothing in
// others. An operation without it does not compile with CUDA, for the switch has no default.
#ifdef PTYFUSE_CUDA
#define PTYFUSE_ON_CUDA(...) \
  case DeviceKind::cuda:     \
    return __VA_ARGS__
#else
#define PTYFUSE_ON_CUDA(...) static_assert(true)
#endif
