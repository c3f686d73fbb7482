#pragma once
// A line of perf/kernels.csv: what one kernel did in one operation, and what nvcc made of it. docs/emu_world.md says
// how to read it.
#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include "kernels/emu/recorder.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::perf {

/// Ceilings of the GPU that the project tunes for, an H200: copying and bfloat16 tensor products as assumed, float32
/// by its makers.
inline constexpr double copy_bytes_per_s = 4.3e12, tensor_flop_per_s = 790e12, float_flop_per_s = 67e12;

/// NaN, an empty cell: not known, or of no meaning for this kernel.
struct Row {
  std::string workload;   ///< of perf/kernel_report/workloads.h; empty: compiled by nvcc, but measured by none
  std::string operation;  ///< and its direction
  std::string shape;
  std::string kernel;  ///< with template arguments, without namespaces

  double images, launches, blocks;  ///< blocks of all launches together
  double threads, shared_bytes;     ///< of a block: most of all launches; shared memory as the launch asks for it
  double read_bytes, write_bytes;   ///< asked for by all threads
  double footprint_read_bytes, footprint_write_bytes;
  double read_sectors_per_request, write_sectors_per_request;
  double read_over_ideal, write_over_ideal;                ///< sectors
  double shared_read_over_ideal, shared_write_over_ideal;  ///< cycles: above 1 are bank conflicts
  double mma_flop, barriers, races, findings;
  double contract_bytes, footprint_over_contract;
  double allowed_us;  ///< by the ceilings
  double registers, spill_bytes, static_shared_bytes, spill_bytes_elsewhere;
  double blocks_per_multiprocessor, warps_per_multiprocessor;  ///< that fit at once

  Row();
  double footprint_bytes() const { return footprint_read_bytes + footprint_write_bytes; }
};

struct Column {
  const char* name;
  double Row::*value;
  bool measured;  ///< in the emu world; false: from nvcc
};
/// All numbers of a row, in the file's order.
const std::vector<Column>& columns();

/// The row of launches of one kernel. `contract` of all of them; nothing in it: none is named.
Row make_row(const std::vector<const emu::LaunchReport*>& launches, const ops::Cost& contract);

/// A function's name as the emu world and nvcc demangle it, without namespaces, result and parameters.
std::string plain_kernel_name(const std::string& demangled);

/// The cells of a line; quotes hold a cell with commas together.
std::vector<std::string> csv_cells(const std::string& line);
void write_csv(std::ostream& out, const std::vector<Row>& rows);
/// Error(shape): a line that does not have the file's columns.
std::vector<Row> read_csv(std::istream& in);

}  // namespace ptyfuse::perf
