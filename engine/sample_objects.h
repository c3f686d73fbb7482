#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/run_control.h"

// What the makers of sample objects share.
namespace ptyfuse {

/// Rows of an object that are drawn between two looks at whether to stop: a tenth of a second's work where it is large.
inline constexpr int64_t rows_between_looks = 16;
inline constexpr std::string_view objects_drawn = "% of the objects";

/// lines_images() one by one, so that no more than one is held. Error(cancelled) beside its errors.
void draw_lines_images(int64_t size_px, int64_t count, uint64_t seed, int64_t lines, const RunControl& control,
                       const std::function<void(std::vector<double>)>& take);

/// tanh_phase() of one amplitude of a stack. Error(numeric): the stack has no mean above 0.
class TanhPhase {
 public:
  explicit TanhPhase(std::span<const double> stack);
  double operator()(double amplitude) const;

 private:
  double half_maximum_ = 0, scale_ = 1;
};

}  // namespace ptyfuse
