#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernels/device/buffer.h"

namespace ptyfuse::ops {
class Conv3x3Scratch;
}

namespace ptyfuse::autodiff {

/// A float32 tensor of a tape: an input, a parameter, what a node produced, or a run of channels of another value.
struct ValueId {
  int index = -1;
  friend bool operator==(ValueId a, ValueId b) { return a.index == b.index; }
};

/// What a tape is planned for: `inference` keeps values only until their last reader, and has no gradients.
enum class TapeMode { inference, training };

/// What a training tape does with the values that only a segment's own nodes read: keeps them for the way back, or runs
/// the segment's nodes again there, with the same bits.
enum class SegmentValues { kept, recomputed };

class Tape;

/// One operation of a tape with its way back. A node names its values at construction; the tape hands it their memory.
/// (An operation whose inner tensors are complex keeps them to itself.)
class Node {
 public:
  virtual ~Node() = default;
  virtual const char* name() const = 0;
  virtual std::vector<ValueId> inputs() const = 0;
  virtual std::vector<ValueId> outputs() const = 0;
  /// Values (inputs or outputs) whose contents backward reads; they are kept until then.
  virtual std::vector<ValueId> backward_reads() const = 0;
  /// Outputs of later nodes that this one's forward() writes already.
  virtual std::vector<ValueId> early_outputs() const { return {}; }
  /// Takes the node's own memory; called once, at the end of Tape::plan().
  virtual void prepare(const Tape& /*tape*/) {}
  virtual void forward(Stream& stream, const Tape& tape) = 0;
  /// Writes the gradient of every input that tape.wants_gradient(): adds to it where tape.accumulates(*this, input),
  /// else overwrites it. Parameters' gradients are always overwritten (a parameter belongs to one node).
  virtual void backward(Stream& stream, const Tape& tape) = 0;
};

/// A small reverse-mode tape over a fixed graph: values and nodes are recorded once, plan() lays all intermediates out
/// in one Buffer by their lifetimes, and forward() and backward() then run any number of times without allocating.
/// Not thread-safe; any number of tapes may live in one process.
class Tape {
 public:
  explicit Tape(Device device);
  Tape(Tape&&) noexcept;
  Tape& operator=(Tape&&) noexcept;
  ~Tape();

  const Device& device() const;

  // -- recording
  /// Filled by the caller through value() before each forward(); has no gradient.
  ValueId input(const Shape& shape, std::string name);
  /// Lives in the caller's memory (a slice of the flat parameter buffer), as does its gradient (empty in inference).
  ValueId parameter(TensorView<float> value, TensorView<float> gradient, std::string name);
  /// Produced by a node; called by the functions that add nodes.
  ValueId intermediate(const Shape& shape, std::string name);
  /// The run [begin, end) of the last axis (channels) of a value, same memory. If gradients flow, runs of one value
  /// that different nodes read must be equal or disjoint; channels that no node reads have gradient zero.
  ValueId channels(ValueId value, int64_t begin, int64_t end);
  void add(std::unique_ptr<Node> node);
  /// Nodes added between the two are one segment (see SegmentValues). Segments do not nest. Their nodes must write
  /// equal bits when their forward() runs again.
  void begin_segment();
  void end_segment();
  /// Keeps a value's memory (and gradient) from being reused, so that the caller may read it after
  /// forward()/backward().
  void keep(ValueId value);

  // -- planning: once, after recording; takes all memory. Error(shape): a value that is read before it is produced,
  // produced twice, or read twice by one node; where gradients flow, a parameter that two nodes read or runs of
  // channels that overlap.
  void plan(TapeMode mode, SegmentValues segments = SegmentValues::kept);
  TapeMode mode() const;
  int64_t planned_bytes() const;

  // -- running
  /// Tells nodes that prepare parameters (packed weights) to do so again; call after each update and after loading.
  void parameters_changed();
  /// Grows with each parameters_changed().
  int64_t parameters_version() const;
  void forward(Stream& stream);
  /// From the nodes without outputs (losses) back to the parameters; gradients of several losses add up. A loss may
  /// write its inputs' gradients in its forward() already, where it does not add. Error(shape): planned for inference.
  void backward(Stream& stream);

  /// A value's shape and name stay valid for the tape's life, whatever else is recorded.
  const Shape& shape(ValueId value) const;
  const std::string& name(ValueId value) const;
  TensorView<float> value(ValueId value) const;
  TensorView<float> gradient(ValueId value) const;
  bool wants_gradient(ValueId value) const;
  bool accumulates(const Node& node, ValueId input) const;
  /// Nodes of one tape never run at the same time, so its convolutions share their working memory.
  std::shared_ptr<ops::Conv3x3Scratch> convolution_scratch() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ptyfuse::autodiff
