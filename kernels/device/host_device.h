#pragma once
// What is compiled for the host and, in CUDA sources, for the GPU.
#ifdef __CUDACC__
#define PTYFUSE_HOST_DEVICE __host__ __device__
#else
#define PTYFUSE_HOST_DEVICE
#endif
