#include "kernels/device/graph.h"

#ifdef PTYFUSE_CUDA
#include "kernels/device/gpu.h"
#endif

namespace ptyfuse {
#ifdef PTYFUSE_CUDA
namespace {

std::shared_ptr<void> record(int index, Stream& stream, const std::function<void(Stream&)>& work) {
  void* const native = stream.native_handle();
  gpu::begin_capture(index, native);
  try {
    work(stream);
  } catch (...) {
    gpu::abandon_capture(index, native);
    throw;
  }
  return {gpu::end_capture(index, native), [index](void* graph) { gpu::destroy_graph(index, graph); }};
}

}  // namespace
#endif

Graph::Graph(const Device& device, std::function<void(Stream&)> work)
    : work_(std::move(work)), index_(device.index()) {}

void Graph::run(Stream& stream) {
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      work_(stream);
      return;
#ifdef PTYFUSE_CUDA
    case DeviceKind::cuda:
      if (stream.device().index() != index_)
        throw Error(ErrorKind::device,
                    "a graph of cuda:" + std::to_string(index_) + " was given a stream of " + stream.device().name());
      if (!done_before_) {
        work_(stream);
        done_before_ = true;
        return;
      }
      if (native_ == nullptr) native_ = record(index_, stream, work_);
      gpu::launch_graph(index_, stream.native_handle(), native_.get());
      return;
#endif
  }
}

}  // namespace ptyfuse
