#include "kernels/device/event.h"

#ifdef PTYFUSE_CUDA
#include "kernels/device/gpu.h"
#endif

namespace ptyfuse {

#ifdef PTYFUSE_CUDA
Event::Event(const Device& device) : device_(device) {
  if (device.kind() == DeviceKind::cpu) return;
  const int index = device.index();
  native_ = std::shared_ptr<void>(gpu::make_event(index), [index](void* event) { gpu::destroy_event(index, event); });
}
void Event::record(Stream& stream) {
  if (native_ != nullptr) gpu::record(device_.index(), native_.get(), stream.native_handle());
}
void Event::hold_back(Stream& stream) const {
  if (native_ != nullptr) gpu::hold_back(device_.index(), stream.native_handle(), native_.get());
}
void Event::synchronise() const {
  if (native_ != nullptr) gpu::synchronise_event(device_.index(), native_.get());
}
#else
Event::Event(const Device& device) : device_(device) {}
void Event::record(Stream&) {}
void Event::hold_back(Stream&) const {}
void Event::synchronise() const {}
#endif

}  // namespace ptyfuse
