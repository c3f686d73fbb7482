#pragma once
#include <string>

#include "io/reconstruction_file.h"

namespace ptyfuse::cli {

/// The picture of a reconstruction's first image: amplitude, phase, and the residual over sweeps where there are any.
void write_reconstruction_picture(const std::string& path, const std::string& title, const io::Reconstruction& result,
                                  bool force);

}  // namespace ptyfuse::cli
