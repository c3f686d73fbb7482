#pragma once
// The constraint map, diffraction and losses in double, each written as its formula stands.
#include <cmath>
#include <complex>
#include <cstdint>
#include <numbers>
#include <vector>

namespace ptyfuse::tests {

using Field = std::vector<std::complex<double>>;

/// T_t of an image [n,n]: the four corners of (y - ty, x - tx), those outside count as 0.
inline Field translated(const Field& in, int64_t n, double ty, double tx) {
  Field out(in.size());
  for (int64_t y = 0; y < n; ++y)
    for (int64_t x = 0; x < n; ++x) {
      const double sy = static_cast<double>(y) - ty, sx = static_cast<double>(x) - tx;
      for (int64_t dy = 0; dy < 2; ++dy)
        for (int64_t dx = 0; dx < 2; ++dx) {
          const double cy = std::floor(sy) + static_cast<double>(dy), cx = std::floor(sx) + static_cast<double>(dx);
          const double weight = (1 - std::abs(sy - cy)) * (1 - std::abs(sx - cx));
          if (cy < 0 || cx < 0 || cy >= static_cast<double>(n) || cx >= static_cast<double>(n)) continue;
          out[static_cast<size_t>(y * n + x)] +=
              weight * in[static_cast<size_t>(static_cast<int64_t>(cy) * n + static_cast<int64_t>(cx))];
        }
    }
  return out;
}

/// An image [n,n] in the middle of zeros [q,q], and the middle [n,n] of an image [q,q].
inline Field padded(const Field& in, int64_t n, int64_t q) {
  Field out(static_cast<size_t>(q * q));
  const int64_t m = (q - n) / 2;
  for (int64_t y = 0; y < n; ++y)
    for (int64_t x = 0; x < n; ++x) out[static_cast<size_t>((y + m) * q + x + m)] = in[static_cast<size_t>(y * n + x)];
  return out;
}
inline Field cropped(const Field& in, int64_t q, int64_t n) {
  Field out(static_cast<size_t>(n * n));
  const int64_t m = (q - n) / 2;
  for (int64_t y = 0; y < n; ++y)
    for (int64_t x = 0; x < n; ++x) out[static_cast<size_t>(y * n + x)] = in[static_cast<size_t>((y + m) * q + x + m)];
  return out;
}

/// One group's region [q,q] from its patches; offsets_px [c][y,x].
inline Field merged(const std::vector<Field>& patches, const std::vector<double>& offsets_px,
                    const std::vector<double>& weight, bool unmasked_numerator, int64_t n, int64_t q) {
  Field numerator(static_cast<size_t>(q * q)), denominator(numerator.size(), 1e-3);
  const Field weights(weight.begin(), weight.end());
  for (size_t c = 0; c < patches.size(); ++c) {
    Field patch = patches[c];
    if (!unmasked_numerator)
      for (size_t i = 0; i < patch.size(); ++i) patch[i] *= weight[i];
    const Field o = translated(padded(patch, n, q), q, -offsets_px[2 * c], -offsets_px[2 * c + 1]);
    const Field w = translated(padded(weights, n, q), q, -offsets_px[2 * c], -offsets_px[2 * c + 1]);
    for (size_t i = 0; i < o.size(); ++i) {
      numerator[i] += o[i];
      denominator[i] += w[i];
    }
  }
  for (size_t i = 0; i < numerator.size(); ++i) numerator[i] /= denominator[i];
  return numerator;
}

/// The orthonormal Fourier transform of [h,w] with the zero frequency at [h/2,w/2]; sign -1 forward.
inline Field fourier(const Field& in, int64_t h, int64_t w, int sign = -1) {
  const auto turns = [sign](int64_t n) {
    Field all(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i)
      all[static_cast<size_t>(i)] =
          std::polar(1.0, sign * 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n));
    return all;
  };
  const Field turns_y = turns(h), turns_x = turns(w);
  const auto phase = [](const Field& all, int64_t k, int64_t x) {
    const auto n = static_cast<int64_t>(all.size());
    return all[static_cast<size_t>((k + n - n / 2) * x % n)];
  };
  Field rows(in.size()), out(in.size());
  for (int64_t y = 0; y < h; ++y)
    for (int64_t k = 0; k < w; ++k)
      for (int64_t x = 0; x < w; ++x)
        rows[static_cast<size_t>(y * w + k)] += in[static_cast<size_t>(y * w + x)] * phase(turns_x, k, x);
  const double scale = 1 / std::sqrt(static_cast<double>(h * w));
  for (int64_t k = 0; k < h; ++k)
    for (int64_t y = 0; y < h; ++y) {
      const std::complex<double> turn = scale * phase(turns_y, k, y);
      for (int64_t x = 0; x < w; ++x)
        out[static_cast<size_t>(k * w + x)] += rows[static_cast<size_t>(y * w + x)] * turn;
    }
  return out;
}

inline double poisson_loss(double predicted, double measured) {
  return predicted - measured * std::log(std::max(predicted, 1e-8));
}
inline double amplitude_loss(double predicted, double measured) {
  return std::abs(std::sqrt(measured) - std::sqrt(predicted + 1e-8));
}

}  // namespace ptyfuse::tests
