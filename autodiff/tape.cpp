#include "autodiff/tape.h"

#include <algorithm>
#include <array>
#include <deque>
#include <unordered_map>
#include <utility>

#include "autodiff/memory_plan.h"
#include "kernels/ops/conv3x3.h"

namespace ptyfuse::autodiff {
namespace {

[[noreturn]] void fail(const std::string& message) {
  throw_shape_error("tape", message);
}

enum class Kind { input, parameter, intermediate, channels };

struct Value {
  Kind kind = Kind::intermediate;
  std::string name;
  Shape shape;
  int root = -1;                // the value whose memory this is; itself unless a run of channels
  int64_t channel = 0;          // first channel within the root
  bool kept = false;            // of roots
  bool wants_gradient = false;  // of roots and parameters, once planned
  bool recomputed = false;      // of roots: written again before the way back through its segment
  int producer = -1;            // node that writes it
  TensorView<float> value, gradient;
};

/// A node's reading of one value.
struct Reading {
  ValueId value;
  bool accumulates = false;
};

struct Step {
  std::unique_ptr<Node> node;
  std::vector<Reading> reads;
  int segment = -1;
  bool runs_backward = false;
  bool runs_again = false;      // before the way back through its segment
  std::vector<int> zero_first;  // roots whose gradient is cleared before this node's backward (or forward, of a loss)
};

bool contains(const std::vector<ValueId>& values, ValueId v) {
  return std::find(values.begin(), values.end(), v) != values.end();
}

}  // namespace

struct Tape::Impl {
  explicit Impl(Device d) : device(std::move(d)), convolution_scratch(std::make_shared<ops::Conv3x3Scratch>(device)) {}

  Device device;
  std::shared_ptr<ops::Conv3x3Scratch> convolution_scratch;
  std::deque<Value> values;  // shapes and names stay where they are while more is recorded
  std::vector<Step> steps;
  std::unordered_map<const Node*, int> step_of;
  bool planned = false;
  TapeMode mode = TapeMode::inference;
  int64_t version = 0;
  int segments = 0;
  bool in_segment = false;
  struct Positions {
    int64_t forward = 0, again = 0, backward = 0;
  };
  std::vector<Positions> positions;  // of steps in the schedule, once planned
  int64_t schedule_length = 0;
  Buffer buffer;

  Value& at(ValueId id) { return values[checked(id)]; }
  const Value& at(ValueId id) const { return values[checked(id)]; }
  Value& root(ValueId id) { return values[static_cast<size_t>(at(id).root)]; }

  size_t checked(ValueId id) const {
    if (id.index < 0 || id.index >= static_cast<int>(values.size()))
      fail("value " + std::to_string(id.index) + " is not one of its " + std::to_string(values.size()) + " values");
    return static_cast<size_t>(id.index);
  }
  ValueId push(Value v) {
    require_recording();
    const int index = static_cast<int>(values.size());
    if (v.root < 0) v.root = index;
    values.push_back(std::move(v));
    return {index};
  }
  void require_recording() const {
    if (planned) fail("it is planned: values and nodes are recorded before plan()");
  }
  void require_run(const Stream& stream) const {
    if (!planned) fail("plan() comes before forward() and backward()");
    if (!(stream.device() == device)) fail("the stream belongs to another device");
  }

  int64_t forward_position(size_t step) const { return positions[step].forward; }
  int64_t backward_position(size_t step) const { return positions[step].backward; }
  bool ends_segment(size_t step) const {
    return steps[step].segment >= 0 && (step + 1 == steps.size() || steps[step + 1].segment != steps[step].segment);
  }
  template <class F>
  void for_each_of_segment(size_t last, F&& f) {
    size_t first = last;
    while (first > 0 && steps[first - 1].segment == steps[last].segment) --first;
    for (size_t s = first; s <= last; ++s) f(s);
  }
  /// When a node writes its inputs' gradients: a loss from its forward on.
  int64_t gradient_position(size_t step) const {
    return steps[step].node->outputs().empty() ? forward_position(step) : backward_position(step);
  }

  void link();
  void mark_gradients();
  void mark_recomputed();
  void schedule();
  void order_gradient_writers();
  void place();
};

/// Finds every value's producer and checks that the record can run in order.
void Tape::Impl::link() {
  for (size_t s = 0; s < steps.size(); ++s) {
    const Node& node = *steps[s].node;
    for (const ValueId v : node.inputs()) {
      const Value& source = root(v);
      if (source.kind == Kind::intermediate && source.producer < 0)
        fail(std::string(node.name()) + " reads '" + at(v).name + "' before a node has produced it");
      for (const Reading& r : steps[s].reads)
        if (r.value == v) fail(std::string(node.name()) + " reads '" + at(v).name + "' twice");
      steps[s].reads.push_back({v, false});
    }
    for (const ValueId v : node.outputs()) {
      Value& out = at(v);
      if (out.kind != Kind::intermediate)
        fail(std::string(node.name()) + " writes '" + out.name + "', which is not an intermediate value");
      if (out.producer >= 0) fail("'" + out.name + "' is produced by two nodes");
      out.producer = static_cast<int>(s);
    }
  }
}

/// A value has a gradient if it depends on a parameter that has one, and a loss depends on it.
void Tape::Impl::mark_gradients() {
  if (mode != TapeMode::training) return;
  for (Value& v : values) v.wants_gradient = v.kind == Kind::parameter && v.gradient.data() != nullptr;
  for (Step& step : steps) {
    bool depends = false;
    for (const Reading& r : step.reads) depends = depends || root(r.value).wants_gradient;
    for (const ValueId v : step.node->outputs()) at(v).wants_gradient = depends;
  }
  std::vector<bool> leads_to_loss(values.size(), false);
  for (size_t s = steps.size(); s-- > 0;) {
    const std::vector<ValueId> outputs = steps[s].node->outputs();
    bool leads = outputs.empty();
    for (const ValueId v : outputs) leads = leads || leads_to_loss[static_cast<size_t>(v.index)];
    for (const Reading& r : steps[s].reads) {
      if (leads) leads_to_loss[static_cast<size_t>(at(r.value).root)] = true;
      steps[s].runs_backward = steps[s].runs_backward || (leads && root(r.value).wants_gradient);
    }
  }
  for (size_t i = 0; i < values.size(); ++i) values[i].wants_gradient = values[i].wants_gradient && leads_to_loss[i];
}

/// Values that only their own segment reads are written again, and by which nodes.
void Tape::Impl::mark_recomputed() {
  std::vector<bool> local(values.size(), false);
  for (size_t i = 0; i < values.size(); ++i) {
    const Value& v = values[i];
    local[i] = v.kind == Kind::intermediate && v.producer >= 0 && !v.kept &&
               steps[static_cast<size_t>(v.producer)].segment >= 0;
  }
  for (const Step& step : steps)
    for (const Reading& r : step.reads) {
      const Value& source = root(r.value);
      if (source.producer >= 0 && steps[static_cast<size_t>(source.producer)].segment != step.segment)
        local[static_cast<size_t>(at(r.value).root)] = false;
    }
  for (size_t last = steps.size(); last-- > 0;) {
    if (!ends_segment(last)) continue;
    const auto need = [&](ValueId v) {
      Value& source = root(v);
      source.recomputed = source.recomputed || local[static_cast<size_t>(at(v).root)];
    };
    for_each_of_segment(last, [&](size_t s) {
      if (!steps[s].runs_backward) return;
      for (const ValueId v : steps[s].node->backward_reads()) need(v);
    });
    for (size_t s = last + 1; s-- > 0 && steps[s].segment == steps[last].segment;) {
      const std::array written{steps[s].node->outputs(), steps[s].node->early_outputs()};
      for (const auto& values_written : written)
        for (const ValueId v : values_written) steps[s].runs_again = steps[s].runs_again || root(v).recomputed;
      if (!steps[s].runs_again) continue;
      // What it writes beside, and nobody reads then, is no longer needed in between either.
      for (const auto& values_written : written)
        for (const ValueId v : values_written) need(v);
      for (const Reading& r : steps[s].reads) need(r.value);
    }
  }
}

/// Forward through all nodes, then back: through a segment once the nodes that run again have done so.
void Tape::Impl::schedule() {
  positions.assign(steps.size(), {});
  schedule_length = 0;
  for (Positions& p : positions) p.forward = schedule_length++;
  for (size_t s = steps.size(); s-- > 0;) {
    if (ends_segment(s))
      for_each_of_segment(s, [&](size_t t) {
        if (steps[t].runs_again) positions[t].again = schedule_length++;
      });
    positions[s].backward = schedule_length++;
  }
}

/// Backward visits a value's readers last to first: the first to write a run overwrites, later ones add.
void Tape::Impl::order_gradient_writers() {
  struct Run {
    int64_t begin = 0, end = 0;
  };
  std::vector<std::vector<Run>> written(values.size());
  std::vector<int> first_writer(values.size(), -1);  // the earliest: a loss writes in its forward already
  for (size_t s = steps.size(); s-- > 0;) {
    if (!steps[s].runs_backward) continue;
    for (Reading& r : steps[s].reads) {
      const Value& v = at(r.value);
      const size_t owner = static_cast<size_t>(v.root);
      if (!values[owner].wants_gradient) continue;
      if (values[owner].kind == Kind::parameter) {
        if (first_writer[owner] >= 0) fail("'" + v.name + "' is a parameter that two nodes read");
        first_writer[owner] = static_cast<int>(s);
        written[owner].push_back({0, v.shape.rank() == 0 ? 1 : v.shape[v.shape.rank() - 1]});
        continue;
      }
      const int64_t width = v.shape.rank() == 0 ? 1 : v.shape[v.shape.rank() - 1];
      const Run run{v.channel, v.channel + width};
      for (const Run& other : written[owner]) {
        if (other.begin == run.begin && other.end == run.end)
          r.accumulates = true;
        else if (other.begin < run.end && run.begin < other.end)
          fail("channels [" + std::to_string(run.begin) + ", " + std::to_string(run.end) + ") and [" +
               std::to_string(other.begin) + ", " + std::to_string(other.end) + ") of '" + values[owner].name +
               "' overlap; gradients need runs that are equal or disjoint");
      }
      if (!r.accumulates) written[owner].push_back(run);
      int& first = first_writer[owner];
      if (first < 0 || gradient_position(s) < gradient_position(static_cast<size_t>(first)))
        first = static_cast<int>(s);
    }
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (first_writer[i] < 0) continue;
    const Shape& shape = values[i].shape;
    int64_t covered = 0;
    for (const Run& run : written[i]) covered += run.end - run.begin;
    if (covered < (shape.rank() == 0 ? 1 : shape[shape.rank() - 1]))
      steps[static_cast<size_t>(first_writer[i])].zero_first.push_back(static_cast<int>(i));
  }
}

/// Lays values and gradients out in one buffer.
void Tape::Impl::place() {
  const int64_t training_end = mode == TapeMode::training ? schedule_length : static_cast<int64_t>(steps.size());
  constexpr int64_t never = -1;
  std::vector<Lifetime> value_life(values.size(), {0, never, never}), gradient_life(values.size(), {0, never, never});
  const auto touch = [](Lifetime& life, int64_t position) {
    life.begin = life.begin == never ? position : std::min(life.begin, position);
    life.end = std::max(life.end, position);
  };
  // On the way back a value that is written again lives a second time.
  const auto touch_on_way_back = [&](size_t value, int64_t position) {
    Lifetime& life = value_life[value];
    if (!values[value].recomputed) return touch(life, position);
    life.begin_again = life.begin_again == never ? position : std::min(life.begin_again, position);
    life.end_again = std::max(life.end_again, position);
  };
  for (size_t s = 0; s < steps.size(); ++s) {
    const Node& node = *steps[s].node;
    const std::vector<ValueId> outputs = node.outputs(), saved = node.backward_reads();
    for (const ValueId v : outputs) touch(value_life[static_cast<size_t>(v.index)], forward_position(s));
    for (const ValueId v : node.early_outputs()) touch(value_life[static_cast<size_t>(v.index)], forward_position(s));
    for (const Reading& r : steps[s].reads)
      touch(value_life[static_cast<size_t>(at(r.value).root)], forward_position(s));
    if (steps[s].runs_again) {
      const int64_t again = positions[s].again;
      for (const ValueId v : outputs) touch_on_way_back(static_cast<size_t>(v.index), again);
      for (const ValueId v : node.early_outputs()) touch_on_way_back(static_cast<size_t>(v.index), again);
      for (const Reading& r : steps[s].reads) touch_on_way_back(static_cast<size_t>(at(r.value).root), again);
    }
    if (!steps[s].runs_backward) continue;
    for (const ValueId v : saved) {
      bool known = contains(outputs, v);
      for (const Reading& r : steps[s].reads) known = known || r.value == v;
      if (!known)
        fail(std::string(node.name()) + " reads a value in backward that is neither its input nor its output");
      touch_on_way_back(static_cast<size_t>(at(v).root), backward_position(s));
    }
    for (const Reading& r : steps[s].reads) {
      touch(gradient_life[static_cast<size_t>(at(r.value).root)], gradient_position(s));
      touch(gradient_life[static_cast<size_t>(at(r.value).root)], backward_position(s));
    }
    for (const ValueId v : outputs) touch(gradient_life[static_cast<size_t>(v.index)], backward_position(s));
  }

  struct Placement {
    size_t value;
    bool gradient;
  };
  std::vector<Lifetime> lifetimes;
  std::vector<Placement> placements;
  for (size_t i = 0; i < values.size(); ++i) {
    const Value& v = values[i];
    if (v.kind != Kind::input && v.kind != Kind::intermediate) continue;
    const int64_t bytes = v.shape.elements() * static_cast<int64_t>(sizeof(float));
    Lifetime life = value_life[i];
    if (v.kind == Kind::input || v.kept || life.begin == never) life = {bytes, 0, training_end};
    life.bytes = bytes;
    lifetimes.push_back(life);
    placements.push_back({i, false});
    if (!v.wants_gradient) continue;
    Lifetime gradient = gradient_life[i];
    gradient.bytes = bytes;
    if (v.kept) gradient.end = training_end;
    lifetimes.push_back(gradient);
    placements.push_back({i, true});
  }
  const MemoryPlan plan = plan_memory(lifetimes);
  buffer = Buffer(device, std::max(plan.total_bytes, plan_alignment_bytes), "the tape's values");
  for (size_t p = 0; p < placements.size(); ++p) {
    Value& v = values[placements[p].value];
    auto* memory = reinterpret_cast<float*>(static_cast<char*>(buffer.data()) + plan.offset_bytes[p]);
    (placements[p].gradient ? v.gradient : v.value) = TensorView<float>(memory, v.shape);
  }
  for (Value& v : values) {
    if (v.kind != Kind::channels) continue;
    const Value& owner = values[static_cast<size_t>(v.root)];
    const int axis = v.shape.rank() - 1;
    const int64_t end = v.channel + v.shape[axis];
    v.value = owner.value.slice(axis, v.channel, end);
    if (owner.gradient.data() != nullptr) v.gradient = owner.gradient.slice(axis, v.channel, end);
    v.wants_gradient = owner.wants_gradient;
  }
}

Tape::Tape(Device device) : impl_(std::make_unique<Impl>(std::move(device))) {}
Tape::Tape(Tape&&) noexcept = default;
Tape& Tape::operator=(Tape&&) noexcept = default;
Tape::~Tape() = default;

const Device& Tape::device() const {
  return impl_->device;
}

ValueId Tape::input(const Shape& shape, std::string name) {
  Value v;
  v.kind = Kind::input;
  v.name = std::move(name);
  v.shape = shape;
  return impl_->push(std::move(v));
}

ValueId Tape::parameter(TensorView<float> value, TensorView<float> gradient, std::string name) {
  if (gradient.data() != nullptr && !(gradient.shape() == value.shape()))
    fail("parameter '" + name + "' has shape " + value.shape().str() + ", its gradient " + gradient.shape().str());
  Value v;
  v.kind = Kind::parameter;
  v.name = std::move(name);
  v.shape = value.shape();
  v.value = value;
  v.gradient = gradient;
  return impl_->push(std::move(v));
}

ValueId Tape::intermediate(const Shape& shape, std::string name) {
  Value v;
  v.name = std::move(name);
  v.shape = shape;
  return impl_->push(std::move(v));
}

ValueId Tape::channels(ValueId value, int64_t begin, int64_t end) {
  const Value& whole = impl_->at(value);
  const int axis = whole.shape.rank() - 1;
  if (axis < 0 || begin < 0 || end <= begin || end > whole.shape[axis])
    fail("channels [" + std::to_string(begin) + ", " + std::to_string(end) + ") of '" + whole.name + "' " +
         whole.shape.str());
  if (whole.kind == Kind::parameter) fail("'" + whole.name + "' is a parameter: it has no runs of channels");
  Value v;
  v.kind = Kind::channels;
  v.name = whole.name + "[" + std::to_string(begin) + ":" + std::to_string(end) + "]";
  v.shape = whole.shape;
  v.shape[axis] = end - begin;
  v.root = whole.root;
  v.channel = whole.channel + begin;
  return impl_->push(std::move(v));
}

void Tape::add(std::unique_ptr<Node> node) {
  impl_->require_recording();
  for (const ValueId v : node->inputs()) impl_->checked(v);
  for (const ValueId v : node->outputs()) impl_->checked(v);
  for (const ValueId v : node->early_outputs()) impl_->checked(v);
  impl_->step_of[node.get()] = static_cast<int>(impl_->steps.size());
  Step step;
  step.node = std::move(node);
  step.segment = impl_->in_segment ? impl_->segments - 1 : -1;
  impl_->steps.push_back(std::move(step));
}

void Tape::begin_segment() {
  impl_->require_recording();
  if (impl_->in_segment) fail("a segment begins within another");
  impl_->in_segment = true;
  ++impl_->segments;
}

void Tape::end_segment() {
  impl_->require_recording();
  if (!impl_->in_segment) fail("a segment ends that has not begun");
  impl_->in_segment = false;
}

void Tape::keep(ValueId value) {
  impl_->require_recording();
  impl_->root(value).kept = true;
}

void Tape::plan(TapeMode mode, SegmentValues segments) {
  impl_->require_recording();
  if (impl_->in_segment) fail("a segment has not ended");
  impl_->mode = mode;
  impl_->planned = true;
  impl_->link();
  impl_->mark_gradients();
  if (mode == TapeMode::training && segments == SegmentValues::recomputed) impl_->mark_recomputed();
  impl_->schedule();
  impl_->order_gradient_writers();
  impl_->place();
  for (Step& step : impl_->steps) step.node->prepare(*this);
}

TapeMode Tape::mode() const {
  return impl_->mode;
}
int64_t Tape::planned_bytes() const {
  return impl_->buffer.bytes();
}

void Tape::parameters_changed() {
  ++impl_->version;
}
int64_t Tape::parameters_version() const {
  return impl_->version;
}

void Tape::forward(Stream& stream) {
  impl_->require_run(stream);
  for (Step& step : impl_->steps) {
    if (step.runs_backward && step.node->outputs().empty())
      for (const int v : step.zero_first) fill_zero(stream, impl_->values[static_cast<size_t>(v)].gradient);
    step.node->forward(stream, *this);
  }
}

void Tape::backward(Stream& stream) {
  impl_->require_run(stream);
  if (impl_->mode != TapeMode::training) fail("it was planned for inference: backward() needs TapeMode::training");
  for (size_t s = impl_->steps.size(); s-- > 0;) {
    Step& step = impl_->steps[s];
    if (impl_->ends_segment(s))
      impl_->for_each_of_segment(s, [&](size_t t) {
        if (impl_->steps[t].runs_again) impl_->steps[t].node->forward(stream, *this);
      });
    if (!step.runs_backward) continue;
    if (!step.node->outputs().empty())
      for (const int v : step.zero_first) fill_zero(stream, impl_->values[static_cast<size_t>(v)].gradient);
    step.node->backward(stream, *this);
  }
}

const Shape& Tape::shape(ValueId value) const {
  return impl_->at(value).shape;
}
const std::string& Tape::name(ValueId value) const {
  return impl_->at(value).name;
}
TensorView<float> Tape::value(ValueId value) const {
  return impl_->at(value).value;
}
TensorView<float> Tape::gradient(ValueId value) const {
  return impl_->at(value).gradient;
}
bool Tape::wants_gradient(ValueId value) const {
  return impl_->at(value).wants_gradient;
}

std::shared_ptr<ops::Conv3x3Scratch> Tape::convolution_scratch() const {
  return impl_->convolution_scratch;
}

bool Tape::accumulates(const Node& node, ValueId input) const {
  const auto found = impl_->step_of.find(&node);
  if (found == impl_->step_of.end()) fail("accumulates() of a node that is not on this tape");
  for (const Reading& r : impl_->steps[static_cast<size_t>(found->second)].reads)
    if (r.value == input) return r.accumulates;
  fail(std::string(node.name()) + " does not read '" + name(input) + "'");
}

}  // namespace ptyfuse::autodiff
