#pragma once
// The generator and the physics behind it in plain double loops, written from the method's description: slow, and easy
// to check by eye. One group at a time.
#include <cmath>
#include <complex>
#include <map>
#include <string>
#include <vector>

#include "engine/unet.h"

namespace ptyfuse::tests {

/// An image [side,side,channels] in double, channel-last.
struct PlainImage {
  int64_t side = 0, channels = 0;
  std::vector<double> v;
  PlainImage(int64_t s, int64_t c) : side(s), channels(c), v(static_cast<size_t>(s * s * c), 0.0) {}
  double& operator()(int64_t y, int64_t x, int64_t c) { return v[static_cast<size_t>((y * side + x) * channels + c)]; }
  double operator()(int64_t y, int64_t x, int64_t c) const {
    return v[static_cast<size_t>((y * side + x) * channels + c)];
  }
};

class ReferenceNetwork {
 public:
  ReferenceNetwork(const UNet& unet, const std::vector<double>& parameters)
      : config_(unet.config()), supervised_(unet.is_supervised()), parameters_(parameters) {
    for (const ParameterEntry& e : unet.parameters()) entries_[e.name] = e;
  }

  struct Output {
    PlainImage amplitude, phase;
  };
  Output run(PlainImage h) const {
    for (int stage = 0; has("enc." + std::to_string(stage) + ".conv0"); ++stage)
      h = pool(pair("enc." + std::to_string(stage), h));
    return {decode("amp", h), decode("phase", h)};
  }

 private:
  bool has(const std::string& layer) const { return entries_.count(layer + "/kernel") > 0; }

  PlainImage conv(const std::string& layer, const PlainImage& in) const {
    const ParameterEntry &kernel = entries_.at(layer + "/kernel"), &bias = entries_.at(layer + "/bias");
    EXPECT_EQ(kernel.shape[2], in.channels) << layer;
    const int64_t outs = kernel.shape[3];
    PlainImage out(in.side, outs);
    for (int64_t y = 0; y < in.side; ++y)
      for (int64_t x = 0; x < in.side; ++x) {
        double* const sum = &out(y, x, 0);
        for (int64_t o = 0; o < outs; ++o) sum[o] = parameters_[static_cast<size_t>(bias.offset + o)];
        for (int64_t ky = 0; ky < 3; ++ky)
          for (int64_t kx = 0; kx < 3; ++kx) {
            const int64_t sy = y + ky - 1, sx = x + kx - 1;
            if (sy < 0 || sy >= in.side || sx < 0 || sx >= in.side) continue;
            for (int64_t i = 0; i < in.channels; ++i) {
              const double value = in(sy, sx, i);
              const double* const w = parameters_.data() + kernel.offset + ((ky * 3 + kx) * in.channels + i) * outs;
              for (int64_t o = 0; o < outs; ++o) sum[o] += value * w[o];
            }
          }
      }
    return out;
  }
  static PlainImage relu(PlainImage image) {
    for (double& v : image.v) v = std::max(v, 0.0);
    return image;
  }
  PlainImage pair(const std::string& prefix, const PlainImage& in) const {
    return relu(conv(prefix + ".conv1", relu(conv(prefix + ".conv0", in))));
  }
  static PlainImage pool(const PlainImage& in) {
    PlainImage out(in.side / 2, in.channels);
    for (int64_t y = 0; y < out.side; ++y)
      for (int64_t x = 0; x < out.side; ++x)
        for (int64_t c = 0; c < out.channels; ++c)
          out(y, x, c) = std::max(std::max(in(2 * y, 2 * x, c), in(2 * y, 2 * x + 1, c)),
                                  std::max(in(2 * y + 1, 2 * x, c), in(2 * y + 1, 2 * x + 1, c)));
    return out;
  }
  static PlainImage up(const PlainImage& in) {
    PlainImage out(in.side * 2, in.channels);
    for (int64_t y = 0; y < out.side; ++y)
      for (int64_t x = 0; x < out.side; ++x)
        for (int64_t c = 0; c < out.channels; ++c) out(y, x, c) = in(y / 2, x / 2, c);
    return out;
  }
  static PlainImage channels(const PlainImage& in, int64_t begin, int64_t end) {
    PlainImage out(in.side, end - begin);
    for (int64_t y = 0; y < in.side; ++y)
      for (int64_t x = 0; x < in.side; ++x)
        for (int64_t c = begin; c < end; ++c) out(y, x, c - begin) = in(y, x, c);
    return out;
  }
  double activate(const std::string& kind, double v) const {
    if (kind == "phase") return M_PI * std::tanh(v);
    const double sigmoid = 1 / (1 + std::exp(-v));
    switch (config_.amplitude) {
      case AmplitudeActivation::sigmoid:
        return sigmoid;
      case AmplitudeActivation::swish:
        return v * sigmoid;
      case AmplitudeActivation::softplus:
        return std::log1p(std::exp(v));
      case AmplitudeActivation::relu:
        return std::max(v, 0.0);
    }
    return NAN;
  }

  PlainImage decode(const std::string& kind, PlainImage h) const {
    for (int stage = 0; has(kind + ".dec." + std::to_string(stage) + ".conv0"); ++stage)
      h = up(pair(kind + ".dec." + std::to_string(stage), h));
    if (supervised_) return conv(kind + ".head", h);
    const std::string border = kind + ".border";
    if (!config_.pad_object) {
      PlainImage out = conv(border + ".head", up(pair(border, h)));
      for (double& v : out.v) v = activate(kind, v);
      return out;
    }
    const PlainImage centre = conv(kind + ".head", channels(h, 0, h.channels - 4));
    const int64_t n = config_.side_px;
    PlainImage out(n, centre.channels);
    if (config_.probe_big) {
      out = conv(border + ".head", up(pair(border, channels(h, h.channels - 4, h.channels))));
      for (double& v : out.v)
        v = config_.border == BorderActivation::swish ? v / (1 + std::exp(-v)) : activate(kind, v);
    }
    for (int64_t y = 0; y < n / 2; ++y)
      for (int64_t x = 0; x < n / 2; ++x)
        for (int64_t c = 0; c < out.channels; ++c) out(y + n / 4, x + n / 4, c) = activate(kind, centre(y, x, c));
    return out;
  }

  GeneratorConfig config_;
  bool supervised_;
  const std::vector<double>& parameters_;
  std::map<std::string, ParameterEntry> entries_;
};

/// A complex image [side,side] in double.
struct PlainField {
  int64_t side = 0;
  std::vector<std::complex<double>> v;
  explicit PlainField(int64_t s) : side(s), v(static_cast<size_t>(s * s)) {}
  std::complex<double>& operator()(int64_t y, int64_t x) { return v[static_cast<size_t>(y * side + x)]; }
  std::complex<double> operator()(int64_t y, int64_t x) const { return v[static_cast<size_t>(y * side + x)]; }
  std::complex<double> zero_outside(int64_t y, int64_t x) const {
    return y < 0 || x < 0 || y >= side || x >= side ? 0.0 : (*this)(y, x);
  }
};

inline PlainField padded(const PlainField& in, int64_t side) {
  PlainField out(side);
  const int64_t margin = (side - in.side) / 2;
  for (int64_t y = 0; y < in.side; ++y)
    for (int64_t x = 0; x < in.side; ++x) out(y + margin, x + margin) = in(y, x);
  return out;
}
inline PlainField central(const PlainField& in, int64_t side) {
  PlainField out(side);
  const int64_t margin = (in.side - side) / 2;
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x) out(y, x) = in(y + margin, x + margin);
  return out;
}
/// T_t: content moves by (ty, tx).
inline PlainField translated(const PlainField& in, double ty, double tx) {
  PlainField out(in.side);
  for (int64_t y = 0; y < in.side; ++y)
    for (int64_t x = 0; x < in.side; ++x) {
      const double sy = static_cast<double>(y) - ty, sx = static_cast<double>(x) - tx;
      const auto iy = static_cast<int64_t>(std::floor(sy)), ix = static_cast<int64_t>(std::floor(sx));
      const double fy = sy - static_cast<double>(iy), fx = sx - static_cast<double>(ix);
      out(y, x) = (1 - fy) * ((1 - fx) * in.zero_outside(iy, ix) + fx * in.zero_outside(iy, ix + 1)) +
                  fy * ((1 - fx) * in.zero_outside(iy + 1, ix) + fx * in.zero_outside(iy + 1, ix + 1));
    }
  return out;
}
/// |DFT|^2 / N^2 with zero frequency at N/2, by one sum per row and column.
inline std::vector<double> far_field_power(const PlainField& in) {
  const int64_t n = in.side;
  std::vector<std::complex<double>> turn(static_cast<size_t>(n));
  for (int64_t k = 0; k < n; ++k)
    turn[static_cast<size_t>(k)] = std::polar(1.0, -2 * M_PI * static_cast<double>(k) / static_cast<double>(n));
  PlainField rows(n), out(n);
  for (int64_t y = 0; y < n; ++y)
    for (int64_t k = 0; k < n; ++k)
      for (int64_t x = 0; x < n; ++x) rows(y, k) += in(y, x) * turn[static_cast<size_t>(x * (k + n / 2) % n)];
  for (int64_t k = 0; k < n; ++k)
    for (int64_t y = 0; y < n; ++y)
      for (int64_t x = 0; x < n; ++x) out(k, x) += rows(y, x) * turn[static_cast<size_t>(y * (k + n / 2) % n)];
  std::vector<double> power(out.v.size());
  for (size_t i = 0; i < power.size(); ++i) power[i] = std::norm(out.v[i]) / static_cast<double>(n * n);
  return power;
}

/// What the physics of one group needs beside amplitude and phase.
struct PlainPhysics {
  int64_t canvas = 0;
  bool merged = true;
  std::vector<PlainField> probe;       // modes
  std::vector<double> weight, mask;    // [N*N]
  std::vector<double> offsets;         // [C*2], [y,x]
  std::vector<std::vector<double>> x;  // [C][N*N]
  double log_scale = 0, measured_scale = 1;

  struct Result {
    double nll_sum = 0, mae_sum = 0, total_variation = 0;  // sums over used pixels
    PlainField object;
  };
  /// heads: one patch for each member, or one that they share.
  Result run(const std::vector<PlainField>& heads) const {
    const int64_t n = heads[0].side;
    PlainField region = padded(heads[0], canvas);
    if (merged) {
      PlainField numerator(canvas), denominator(canvas);
      for (size_t c = 0; c < heads.size(); ++c) {
        PlainField weighted(n), alone(n);
        for (size_t i = 0; i < weight.size(); ++i) {
          weighted.v[i] = weight[i] * heads[c].v[i];
          alone.v[i] = weight[i];
        }
        const PlainField a = translated(padded(weighted, canvas), -offsets[2 * c], -offsets[2 * c + 1]);
        const PlainField b = translated(padded(alone, canvas), -offsets[2 * c], -offsets[2 * c + 1]);
        for (size_t i = 0; i < a.v.size(); ++i) {
          numerator.v[i] += a.v[i];
          denominator.v[i] += b.v[i];
        }
      }
      for (size_t i = 0; i < region.v.size(); ++i) region.v[i] = numerator.v[i] / (denominator.v[i] + 1e-3);
    }
    Result r{0, 0, 0, central(region, n)};
    for (int64_t y = 0; y < n; ++y)
      for (int64_t xx = 0; xx < n; ++xx) {
        if (y + 1 < n) r.total_variation += std::norm(r.object(y + 1, xx) - r.object(y, xx));
        if (xx + 1 < n) r.total_variation += std::norm(r.object(y, xx + 1) - r.object(y, xx));
      }
    for (size_t c = 0; c < x.size(); ++c) {
      const PlainField patch = central(translated(region, offsets[2 * c], offsets[2 * c + 1]), n);
      std::vector<double> rate(patch.v.size(), 0.0);
      for (const PlainField& mode : probe) {
        PlainField exit_wave = patch;
        for (size_t i = 0; i < exit_wave.v.size(); ++i) exit_wave.v[i] *= mode.v[i];
        const std::vector<double> power = far_field_power(exit_wave);
        for (size_t i = 0; i < rate.size(); ++i) rate[i] += std::exp(2 * log_scale) * power[i];
      }
      for (size_t i = 0; i < rate.size(); ++i) {
        const double amplitude = measured_scale * x[c][i], counts = amplitude * amplitude;
        r.nll_sum += mask[i] * (rate[i] - counts * std::log(std::max(rate[i], 1e-8)));
        r.mae_sum += mask[i] * std::abs(amplitude - std::sqrt(rate[i] + 1e-8));
      }
    }
    return r;
  }
};

}  // namespace ptyfuse::tests
