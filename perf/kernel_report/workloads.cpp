#include "perf/kernel_report/workloads.h"

namespace ptyfuse::perf {

std::vector<Workload> workloads() {
  std::vector<Workload> list;
  list_physics(list);
  list_convolutions(list);
  list_generator(list);
  list_object(list);
  return list;
}

std::vector<Row> measure(const Workload& workload) {
  Bench bench;
  workload.measure(bench);
  std::vector<Row> rows = bench.take_rows();
  for (Row& row : rows) row.workload = workload.name;
  return rows;
}

}  // namespace ptyfuse::perf
