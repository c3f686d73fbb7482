#pragma once
// Seeded random inputs and the message of an error, for operations' tests.
#include <complex>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/device/error.h"
#include "kernels/device/tensor_view.h"

namespace ptyfuse::tests {

/// Independent normal real and imaginary parts of variance 1.
inline std::vector<complex64> random_complex(int64_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<complex64> out(static_cast<size_t>(count));
  for (complex64& v : out) {
    const float real = normal(engine);
    v = {real, normal(engine)};
  }
  return out;
}

/// Uniform in [low, high).
inline std::vector<float> random_floats(int64_t count, double low, double high, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  std::vector<float> out(static_cast<size_t>(count));
  for (float& v : out) v = static_cast<float>(uniform(engine));
  return out;
}

/// What an Error that `call` throws says; "no error" where it throws none.
template <class Call>
std::string error_message(Call&& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace ptyfuse::tests
