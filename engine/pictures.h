#pragma once
#include <span>
#include <string>
#include <vector>

#include "engine/evaluation.h"
#include "io/figure.h"
#include "io/reconstruction_file.h"

namespace ptyfuse {

/// Amplitude and phase of the reconstruction, cut to what is covered, image by image (at most four), with a scale bar;
/// the probe's modes as probe_panels() has them, where there is a probe; the residual where it has several values.
io::Figure reconstruction_page(const std::string& title, const io::Reconstruction& reconstruction);

/// Amplitude and phase of each mode [modes,N,N], of the first three at most, with its share of the power of all modes
/// where there are several. The phase is about its mean and cyclic, shown where the amplitude is at least a tenth of
/// the mode's largest, elsewhere NaN.
std::vector<io::ImagePanel> probe_panels(const io::ComplexImage& probe);

/// Truth, reconstruction and error side by side, of the amplitude and of the phase as compare() takes them, on common
/// scales with a scale bar in pixels, and the Fourier ring correlation.
io::Figure evaluation_page(const std::string& title, const Evaluation& evaluation);

/// Loss and validation loss over epochs, and the learning rate. Spans of one length; validation_loss may be empty, NaN
/// where there is none.
io::Figure learning_page(const std::string& title, std::span<const double> epochs, std::span<const double> loss,
                         std::span<const double> validation_loss, std::span<const double> learning_rate);

}  // namespace ptyfuse
