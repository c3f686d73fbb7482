#pragma once
#include "engine/option_table.h"
#include "engine/simulator.h"

namespace ptyfuse {

/// The settings of `simulate`, bound to `config`.
OptionTable simulate_options(SimulateConfig& config);

}  // namespace ptyfuse
