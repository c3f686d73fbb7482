#pragma once
// What nvcc says about kernels, and how many of their blocks fit on a GPU of compute capability 9.0.
#include <istream>
#include <map>
#include <string>
#include <vector>

#include "perf/kernel_report/row.h"

namespace ptyfuse::perf {

struct Resources {
  // Of a thread, a thread (stores and loads) and a block, for sm_90a.
  int registers = 0;
  int spill_bytes = 0;
  int static_shared_bytes = 0;
  int spill_bytes_elsewhere = 0;  ///< the most of the other architectures compiled for
};

/// Kernels by plain_kernel_name, from what `ptxas -v` wrote.
std::map<std::string, Resources> read_ptxas(std::istream& in);

/// Blocks that a multiprocessor holds at once: 64 Ki registers, 64 warps, 32 blocks, 228 KiB of shared memory of which
/// the system takes 1 KiB for each block.
int blocks_per_multiprocessor(const Resources& kernel, int threads, int dynamic_shared_bytes);

/// Fills in nvcc's columns, and adds a row without counters for each kernel that no workload measured.
void add_resources(std::vector<Row>& rows, const std::map<std::string, Resources>& kernels);
/// The same where there is no nvcc: from the rows of an earlier report.
std::map<std::string, Resources> resources_of(const std::vector<Row>& rows);

}  // namespace ptyfuse::perf
