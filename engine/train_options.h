#pragma once
#include "engine/config.h"
#include "engine/option_table.h"

namespace ptyfuse {

/// The settings of `train`, bound to `config`; see INTERFACE of the command line in docs/user_guide.md.
OptionTable train_options(TrainConfig& config);

/// A configuration from stored TOML (a checkpoint's, config.toml).
TrainConfig parse_train_config(const std::string& toml, const std::string& origin);

}  // namespace ptyfuse
