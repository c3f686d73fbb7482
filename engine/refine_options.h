#pragma once
#include "engine/option_table.h"
#include "engine/refine.h"

namespace ptyfuse {

/// What `refine` takes beside RefineConfig.
struct RefineSetup {
  RefineConfig sweeps;
  std::string start = "flat";  ///< "flat" or a reconstruction file
  std::string probe;           ///< FILE[:DATASET]; empty: the start's, or the scan's
  int64_t device_memory_bytes = 0;
};

/// The settings of `refine`, bound to `setup`.
OptionTable refine_options(RefineSetup& setup);

}  // namespace ptyfuse
