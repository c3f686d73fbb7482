#pragma once
// What the report measures: every operation that has kernels, at the shapes of training and reconstruction, with
// seeded data. A shape that the emu world would take minutes for is smaller, and its text says so.
#include <string>
#include <vector>

#include "perf/kernel_report/bench.h"

namespace ptyfuse::perf {

struct Workload {
  const char* name;
  bool quick;  ///< a second or less: tests run it anew
  void (*measure)(Bench& bench);
};

/// A file of workloads for each part of a reconstruction.
void list_convolutions(std::vector<Workload>& list);  ///< of the generator
void list_generator(std::vector<Workload>& list);     ///< what surrounds them, and the optimiser
void list_physics(std::vector<Workload>& list);
void list_object(std::vector<Workload>& list);  ///< stitching, registration, refinement

std::vector<Workload> workloads();
/// Rows of one workload, named.
std::vector<Row> measure(const Workload& workload);

}  // namespace ptyfuse::perf
