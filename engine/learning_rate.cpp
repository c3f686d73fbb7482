#include "engine/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace ptyfuse {
namespace {

constexpr double plateau_factor = 0.5, plateau_least_drop = 1e-4, plateau_floor = 1e-4;
constexpr int64_t plateau_patience = 2;
constexpr double warm_up_share = 0.02, cosine_end = 0.05, exponential_rate = 0.95;

}  // namespace

LearningRate::LearningRate(Schedule schedule, double start, int64_t epochs, int64_t steps_per_epoch)
    : schedule_(schedule),
      start_(start),
      current_(start),
      best_(std::numeric_limits<double>::infinity()),
      total_steps_(std::max<int64_t>(1, epochs * steps_per_epoch)) {}

double LearningRate::at(int64_t step, int64_t epoch) const {
  switch (schedule_) {
    case Schedule::constant:
      return start_;
    case Schedule::plateau:
      return current_;
    case Schedule::exponential:
      return start_ * std::pow(exponential_rate, static_cast<double>(epoch));
    case Schedule::cosine:
      break;
  }
  const double total = static_cast<double>(total_steps_), done = static_cast<double>(step);
  const double warm = std::min(1.0, (done + 1) / std::max(1.0, warm_up_share * total));
  const double fall = 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, done / total)));
  return start_ * warm * (cosine_end + (1 - cosine_end) * fall);
}

void LearningRate::epoch_ended(double watched_loss) {
  if (watched_loss < best_ - plateau_least_drop) {
    best_ = watched_loss;
    waited_ = 0;
  } else if (++waited_ >= plateau_patience) {
    current_ = std::max(plateau_factor * current_, std::min(start_, plateau_floor));
    waited_ = 0;
  }
}

void LearningRate::set_state(const std::vector<double>& state) {
  current_ = state.at(0);
  best_ = state.at(1);
  waited_ = static_cast<int64_t>(state.at(2));
}

EarlyStopping::EarlyStopping(int64_t patience) : patience_(patience), best_(std::numeric_limits<double>::infinity()) {}

bool EarlyStopping::epoch_ended(double training_loss) {
  if (training_loss < best_) {
    best_ = training_loss;
    waited_ = 0;
    return false;
  }
  return ++waited_ >= patience_;
}

void EarlyStopping::set_state(const std::vector<double>& state) {
  best_ = state.at(0);
  waited_ = static_cast<int64_t>(state.at(1));
}

}  // namespace ptyfuse
