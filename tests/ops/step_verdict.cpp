#include "kernels/ops/step_verdict.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>

#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse {
namespace {

using namespace tests;

struct Judge {
  Stream stream{test_device()};
  Tensor<double> verdict = upload<double>(stream, {3}, {-1, -1, 1});

  std::vector<double> step(double first, std::optional<double> second, double weight, double squares) {
    const auto a = upload<double>(stream, {1}, {first}), b = upload<double>(stream, {1}, {second.value_or(0)}),
               s = upload<double>(stream, {1}, {squares});
    ops::LossTerms loss{a.view(), {}, weight};
    if (second) loss.second = b.view();
    ops::judge_step(stream, loss, s.view(), verdict.view());
    return download(stream, verdict);
  }
};

TEST(judge_step, by_hand) {
  Judge judge;
  EXPECT_EQ(judge.step(2, 3, 0.5, 16), (std::vector<double>{3.5, 4, 1}));
  EXPECT_EQ(judge.step(-7, {}, 5, 0), (std::vector<double>{-7, 0, 1}));
}

TEST(judge_step, what_is_not_finite_ends_it_for_good) {
  const double bad[][3] = {{NAN, 1, 1}, {1, INFINITY, 1}, {-INFINITY, 1, 1}, {1, 1, NAN}, {1, 1, INFINITY}};
  for (const auto& [first, second, squares] : bad) {
    Judge judge;
    EXPECT_EQ(judge.step(1, 1, 1, 1).back(), 1);
    EXPECT_EQ(judge.step(first, second, 1, squares).back(), 0) << first << " " << second << " " << squares;
    EXPECT_EQ(judge.step(1, 1, 1, 1), (std::vector<double>{2, 1, 0}));
  }
}

TEST(judge_step, says_what_does_not_fit) {
  Judge judge;
  const auto one = upload<double>(judge.stream, {1}, {0}), two = upload<double>(judge.stream, {2}, {0, 0});
  const auto said = [&](const ops::LossTerms& loss, TensorView<const double> squares, TensorView<double> verdict) {
    return error_message([&] { ops::judge_step(judge.stream, loss, squares, verdict); });
  };
  EXPECT_EQ(said({two.view(), {}, 0}, one.view(), judge.verdict.view()), "judge_step: first is [2], expected [1]");
  EXPECT_EQ(said({one.view(), two.view(), 0}, one.view(), judge.verdict.view()),
            "judge_step: second is [2], expected [1]");
  EXPECT_EQ(said({one.view(), {}, 0}, {}, judge.verdict.view()), "judge_step: squares is [], expected [1]");
  EXPECT_EQ(said({one.view(), {}, 0}, one.view(), judge.verdict.view().slice(0, 0, 2)),
            "judge_step: verdict is [2], expected [3]");
}

}  // namespace
}  // namespace ptyfuse
