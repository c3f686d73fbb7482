#pragma once
#include <span>
#include <string>

#include "engine/evaluation.h"
#include "io/figure.h"
#include "io/reconstruction_file.h"

namespace ptyfuse {

/// Amplitude and phase of the reconstruction, cut to what is covered, image by image (at most four), and the residual
/// where it has several values.
io::Figure reconstruction_page(const std::string& title, const io::Reconstruction& reconstruction);

/// Truth, reconstruction and error side by side, of the amplitude and of the phase as compare() takes them, on common
/// scales, and the Fourier ring correlation.
io::Figure evaluation_page(const std::string& title, const Evaluation& evaluation);

/// Loss and validation loss over epochs, and the learning rate. Spans of one length; validation_loss may be empty, NaN
/// where there is none.
io::Figure learning_page(const std::string& title, std::span<const double> epochs, std::span<const double> loss,
                         std::span<const double> validation_loss, std::span<const double> learning_rate);

}  // namespace ptyfuse
