#pragma once
// Nodes of plain arithmetic on the host, simple enough to be their own reference: they exercise the tape alone.
#include <utility>

#include "autodiff/tape.h"

namespace ptyfuse::tests {

using autodiff::Node;
using autodiff::Tape;
using autodiff::ValueId;

/// The device of tapes that hold such nodes, whatever device is under test.
inline Device host_device() {
  return Device::cpu({.threads = 2});
}

/// [rows, channels] element by element, through strides.
template <class F>
void for_each_element(const Shape& shape, F&& f) {
  for (int64_t r = 0; r < shape[0]; ++r)
    for (int64_t c = 0; c < shape[1]; ++c) f(r, c);
}

inline void give(TensorView<float> gradient, bool add, int64_t r, int64_t c, float g) {
  gradient(r, c) = add ? gradient(r, c) + g : g;
}

/// out[r,c] = factor * in[r, c mod width]; every output channel is summed back.
class Tile final : public Node {
 public:
  Tile(ValueId in, ValueId out, float factor) : in_(in), out_(out), factor_(factor) {}
  const char* name() const override { return "tile"; }
  std::vector<ValueId> inputs() const override { return {in_}; }
  std::vector<ValueId> outputs() const override { return {out_}; }
  std::vector<ValueId> backward_reads() const override { return {}; }
  void forward(Stream&, const Tape& tape) override {
    const TensorView<float> in = tape.value(in_), out = tape.value(out_);
    for_each_element(out.shape(), [&](int64_t r, int64_t c) { out(r, c) = factor_ * in(r, c % in.extent(1)); });
  }
  void backward(Stream&, const Tape& tape) override {
    if (!tape.wants_gradient(in_)) return;
    const TensorView<float> gradient = tape.gradient(in_), g = tape.gradient(out_);
    const bool add = tape.accumulates(*this, in_);
    for_each_element(gradient.shape(), [&](int64_t r, int64_t c) {
      float sum = 0;
      for (int64_t k = c; k < g.extent(1); k += gradient.extent(1)) sum += factor_ * g(r, k);
      give(gradient, add, r, c, sum);
    });
  }

 private:
  ValueId in_, out_;
  float factor_;
};

/// out = a * b elementwise; backward reads both.
class Product final : public Node {
 public:
  Product(ValueId a, ValueId b, ValueId out) : a_(a), b_(b), out_(out) {}
  const char* name() const override { return "product"; }
  std::vector<ValueId> inputs() const override { return {a_, b_}; }
  std::vector<ValueId> outputs() const override { return {out_}; }
  std::vector<ValueId> backward_reads() const override { return {a_, b_}; }
  void forward(Stream&, const Tape& tape) override {
    const TensorView<float> a = tape.value(a_), b = tape.value(b_), out = tape.value(out_);
    for_each_element(out.shape(), [&](int64_t r, int64_t c) { out(r, c) = a(r, c) * b(r, c); });
  }
  void backward(Stream&, const Tape& tape) override {
    const TensorView<float> g = tape.gradient(out_);
    for (const auto& [to, other] : {std::pair{a_, b_}, std::pair{b_, a_}}) {
      if (!tape.wants_gradient(to)) continue;
      const TensorView<float> gradient = tape.gradient(to), factor = tape.value(other);
      const bool add = tape.accumulates(*this, to);
      for_each_element(g.shape(), [&](int64_t r, int64_t c) { give(gradient, add, r, c, g(r, c) * factor(r, c)); });
    }
  }

 private:
  ValueId a_, b_, out_;
};

/// loss = sum in^2 / 2.
class HalfSquare final : public Node {
 public:
  HalfSquare(ValueId in, double* loss) : in_(in), loss_(loss) {}
  const char* name() const override { return "half_square"; }
  std::vector<ValueId> inputs() const override { return {in_}; }
  std::vector<ValueId> outputs() const override { return {}; }
  std::vector<ValueId> backward_reads() const override { return {in_}; }
  void forward(Stream&, const Tape& tape) override {
    const TensorView<float> in = tape.value(in_);
    *loss_ = 0;
    for_each_element(in.shape(), [&](int64_t r, int64_t c) { *loss_ += 0.5 * in(r, c) * in(r, c); });
  }
  void backward(Stream&, const Tape& tape) override {
    const TensorView<float> in = tape.value(in_), gradient = tape.gradient(in_);
    const bool add = tape.accumulates(*this, in_);
    for_each_element(in.shape(), [&](int64_t r, int64_t c) { give(gradient, add, r, c, in(r, c)); });
  }

 private:
  ValueId in_;
  double* loss_;
};

inline ValueId tile(Tape& tape, ValueId in, int64_t channels, float factor) {
  const ValueId out = tape.intermediate({tape.shape(in)[0], channels}, "tile of " + tape.name(in));
  tape.add(std::make_unique<Tile>(in, out, factor));
  return out;
}
inline ValueId product(Tape& tape, ValueId a, ValueId b) {
  const ValueId out = tape.intermediate(tape.shape(a), "product");
  tape.add(std::make_unique<Product>(a, b, out));
  return out;
}
inline void half_square(Tape& tape, ValueId in, double* loss) {
  tape.add(std::make_unique<HalfSquare>(in, loss));
}

}  // namespace ptyfuse::tests
