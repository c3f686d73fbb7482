#include "engine/loader.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>
#include <span>
#include <stop_token>
#include <thread>
#include <utility>

#include "kernels/device/error.h"

namespace ptyfuse {
namespace {

// One read call's share: large enough to be quick, small enough to stop between calls.
constexpr int64_t piece_bytes = int64_t{16} << 20;
// A block's: frames that neighbouring groups share lie near each other in the file, so that larger blocks would spare
// few reads, and a scan of any length is served from the same memory.
constexpr int64_t block_bytes = int64_t{64} << 20;

// Bytes held by all buffers of a loader, and the most there were.
class HeldBytes {
 public:
  void change(int64_t bytes) {
    const int64_t now = held_.fetch_add(bytes) + bytes;
    int64_t peak = peak_.load();
    while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
    }
  }
  int64_t peak() const { return peak_.load(); }

 private:
  std::atomic<int64_t> held_{0}, peak_{0};
};

// Uninitialised floats that grow but keep no contents when they do.
class FrameBuffer {
 public:
  explicit FrameBuffer(HeldBytes& account) : account_(account) {}
  FrameBuffer(const FrameBuffer&) = delete;
  FrameBuffer& operator=(const FrameBuffer&) = delete;
  ~FrameBuffer() { release(); }
  void reserve(int64_t elements) {
    if (elements <= capacity_) return;
    release();
    data_ = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(elements));
    capacity_ = elements;
    account_.change(capacity_ * static_cast<int64_t>(sizeof(float)));
  }
  void swap(FrameBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
  }
  float* data() const { return data_.get(); }

 private:
  void release() {
    account_.change(-capacity_ * static_cast<int64_t>(sizeof(float)));
    data_.reset();
    capacity_ = 0;
  }

  HeldBytes& account_;
  std::unique_ptr<float[]> data_;
  int64_t capacity_ = 0;
};

// The frames of some consecutive batches, each once.
struct Block {
  explicit Block(HeldBytes& account) : amplitude(account) {}
  size_t end_batch = 0;         // the batches before this one are served, once the former block's are
  std::vector<int64_t> frames;  // ascending
  FrameBuffer amplitude;        // [frames,N,N]
};

}  // namespace

struct Loader::Impl {
  Impl(std::unique_ptr<io::ScanReader> r, std::vector<int64_t> chosen, const Settings& s)
      : reader(std::move(r)), frames(std::move(chosen)), settings(s) {
    if (settings.host_memory_bytes == 0) settings.host_memory_bytes = std::numeric_limits<int64_t>::max();
    const io::ScanInfo& info = reader->info();
    frame_elements = info.side_px * info.side_px;
    slot.assign(static_cast<size_t>(info.frames), -1);
    for (size_t i = 0; i < frames.size(); ++i) {
      if (frames[i] < 0 || frames[i] >= info.frames)
        throw_shape_error("Loader", "frame " + std::to_string(frames[i]) + " of a scan with " +
                                        std::to_string(info.frames) + " frames");
      if (i > 0 && frames[i] <= frames[i - 1]) throw_shape_error("Loader", "frames must ascend");
      slot[static_cast<size_t>(frames[i])] = static_cast<int64_t>(i);
    }
    marked.assign(slot.size(), 0);
    resident = bytes_of(static_cast<int64_t>(frames.size())) <= settings.host_memory_bytes / 2;
    if (resident) {
      store.reserve(static_cast<int64_t>(frames.size()) * frame_elements);
      read(frames, store.data(), {});
    }
  }
  ~Impl() { stop_reading(); }

  int64_t bytes_of(int64_t count) const { return count * frame_elements * static_cast<int64_t>(sizeof(float)); }

  void check_known(std::span<const int64_t> wanted) const {
    for (int64_t f : wanted)
      if (f < 0 || f >= static_cast<int64_t>(slot.size()) || slot[static_cast<size_t>(f)] < 0)
        throw_shape_error("Loader", "frame " + std::to_string(f) + " is not among the " +
                                        std::to_string(frames.size()) + " frames chosen");
  }

  // Ascending frames to out, piece by piece. False when stopped.
  bool read(std::span<const int64_t> wanted, float* out, const std::stop_token& stop) {
    const auto most = static_cast<size_t>(std::max<int64_t>(1, piece_bytes / std::max<int64_t>(1, bytes_of(1))));
    for (size_t begin = 0; begin < wanted.size(); begin += most) {
      if (stop.stop_requested()) return false;
      const std::span<const int64_t> piece = wanted.subspan(begin, std::min(most, wanted.size() - begin));
      reader->read_frames(piece, {out + static_cast<int64_t>(begin) * frame_elements,
                                  piece.size() * static_cast<size_t>(frame_elements)});
    }
    return true;
  }

  void stop_reading() {
    if (!thread.joinable()) return;
    thread.request_stop();
    thread.join();
    thread = {};
    ready = false;
    failure = nullptr;
  }
  void end_walk() {
    stop_reading();
    batches.clear();
    at = 0;
    current.end_batch = 0;
    current.frames.clear();
  }

  // The batch's frames, gathered from `from` by place(frame).
  template <class Place>
  std::span<const float> gather(const std::vector<int64_t>& batch, const float* from, const Place& place) {
    batch_buffer.reserve(static_cast<int64_t>(batch.size()) * frame_elements);
    float* out = batch_buffer.data();
    for (int64_t f : batch) {
      std::copy_n(from + place(f) * frame_elements, frame_elements, out);
      out += frame_elements;
    }
    return {batch_buffer.data(), batch.size() * static_cast<size_t>(frame_elements)};
  }

  std::span<const float> serve_resident(const std::vector<int64_t>& batch) {
    const auto place = [this](int64_t f) { return slot[static_cast<size_t>(f)]; };
    for (size_t i = 1; i < batch.size(); ++i)
      if (place(batch[i]) != place(batch[i - 1]) + 1) return gather(batch, store.data(), place);
    // neighbours already: no copy
    const int64_t first = batch.empty() ? 0 : place(batch.front());
    return {store.data() + first * frame_elements, batch.size() * static_cast<size_t>(frame_elements)};
  }
  std::span<const float> serve_block(const std::vector<int64_t>& batch) {
    if (at >= current.end_batch) advance_block();
    return gather(batch, current.amplitude.data(), [this](int64_t f) {
      return std::lower_bound(current.frames.begin(), current.frames.end(), f) - current.frames.begin();
    });
  }

  // How many frames a block may hold, within half of the memory; all of it at most for a batch that needs it.
  void plan(const std::vector<std::vector<int64_t>>& wanted) {
    int64_t largest = 0;
    for (const auto& batch : wanted) largest = std::max(largest, static_cast<int64_t>(batch.size()));
    const int64_t memory = settings.host_memory_bytes, one = bytes_of(largest);
    if (2 * one > memory)
      throw Error(ErrorKind::memory, "Loader: a batch of " + std::to_string(largest) + " frames takes " +
                                         std::to_string(one) + " bytes and is held twice, but --host-memory allows " +
                                         std::to_string(memory) + "; raise it or lower --batch");
    ahead = settings.read_ahead && 3 * one <= memory;
    const int64_t half = std::min((memory / 2 - one) / (ahead ? 2 : 1), block_bytes);
    most_frames = std::max(largest, half / std::max<int64_t>(1, bytes_of(1)));
  }

  // Reads what comes next into `block`: as many batches as `limit` frames allow, at least one. False when stopped.
  bool fill(Block& block, size_t first_batch, int64_t limit, const std::stop_token& stop) {
    block.frames.clear();
    block.end_batch = first_batch;  // nothing to serve, should the reader throw
    size_t end = first_batch;
    ++mark;
    while (end < batches.size()) {
      const size_t before = block.frames.size();
      for (int64_t f : batches[end])
        if (auto& m = marked[static_cast<size_t>(f)]; m != mark) {
          m = mark;
          block.frames.push_back(f);
        }
      if (end > first_batch && static_cast<int64_t>(block.frames.size()) > limit) {
        block.frames.resize(before);
        break;
      }
      ++end;
    }
    std::sort(block.frames.begin(), block.frames.end());
    block.amplitude.reserve(static_cast<int64_t>(block.frames.size()) * frame_elements);
    if (!read(block.frames, block.amplitude.data(), stop)) return false;
    block.end_batch = end;
    return true;
  }

  // The walk begins with a small block, so that the first batch is soon there.
  int64_t next_limit(const Block& former) const {
    return std::min(most_frames, 2 * static_cast<int64_t>(former.frames.size()));
  }

  void read_ahead(const std::stop_token& stop) {
    size_t batch = 0;
    int64_t limit = 1;
    while (batch < batches.size()) {
      {
        std::unique_lock lock(mutex);
        if (!changed.wait(lock, stop, [&] { return !ready; })) return;
      }
      std::exception_ptr met;
      try {
        if (!fill(coming, batch, limit, stop)) return;
        batch = coming.end_batch;
        limit = next_limit(coming);
      } catch (...) {
        met = std::current_exception();
      }
      {
        std::lock_guard lock(mutex);
        failure = met;
        ready = true;
      }
      changed.notify_all();
      if (met) return;
    }
  }

  void advance_block() {
    if (!ahead) {
      fill(current, at, next_limit(current), {});
      return;
    }
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return ready; });
      if (failure) std::rethrow_exception(failure);
      std::swap(current.end_batch, coming.end_batch);
      std::swap(current.frames, coming.frames);
      current.amplitude.swap(coming.amplitude);
      ready = false;
    }
    changed.notify_all();
  }

  std::unique_ptr<io::ScanReader> reader;
  std::vector<int64_t> frames;
  Settings settings;
  int64_t frame_elements = 0;
  std::vector<int64_t> slot;  // [S] place among `frames`, or -1
  bool resident = false;
  HeldBytes held;
  FrameBuffer store{held}, batch_buffer{held};

  std::vector<std::vector<int64_t>> batches;
  size_t at = 0;
  bool ahead = false;
  int64_t most_frames = 0;
  std::vector<uint64_t> marked;  // [S] the last block that took the frame
  uint64_t mark = 0;
  Block current{held}, coming{held};

  std::mutex mutex;
  std::condition_variable_any changed;
  bool ready = false;  // `coming` is filled, or `failure` says why not
  std::exception_ptr failure;
  std::jthread thread;
};

Loader::Loader(std::unique_ptr<io::ScanReader> reader, std::vector<int64_t> frames, const Settings& settings)
    : impl_(std::make_unique<Impl>(std::move(reader), std::move(frames), settings)) {}
Loader::~Loader() = default;

const io::ScanInfo& Loader::info() const {
  return impl_->reader->info();
}
const std::vector<int64_t>& Loader::frames() const {
  return impl_->frames;
}
bool Loader::resident() const {
  return impl_->resident;
}
int64_t Loader::held_bytes() const {
  return impl_->held.peak();
}

void Loader::start(std::vector<std::vector<int64_t>> batches) {
  Impl& m = *impl_;
  for (const auto& batch : batches) m.check_known(batch);
  m.end_walk();
  if (!m.resident) m.plan(batches);
  m.batches = std::move(batches);
  if (!m.resident && m.ahead && !m.batches.empty())
    m.thread = std::jthread([&m](const std::stop_token& stop) { m.read_ahead(stop); });
}

std::span<const float> Loader::next() {
  Impl& m = *impl_;
  if (m.at >= m.batches.size())
    throw_shape_error("Loader",
                      "the walk's " + std::to_string(m.batches.size()) + " batches are served; start another");
  const auto& batch = m.batches[m.at];
  const std::span<const float> out = m.resident ? m.serve_resident(batch) : m.serve_block(batch);
  ++m.at;
  return out;
}

Loader::Statistics Loader::statistics(std::span<const int64_t> frames) {
  Impl& m = *impl_;
  m.check_known(frames);
  if (!m.resident) m.end_walk();
  std::vector<int64_t> sorted(frames.begin(), frames.end());
  std::sort(sorted.begin(), sorted.end());

  Statistics out;
  out.mean_amplitude.assign(static_cast<size_t>(m.frame_elements), 0.0);
  const auto take = [&](const float* x, double times) {
    double power = 0;
    for (int64_t i = 0; i < m.frame_elements; ++i) {
      power += static_cast<double>(x[i]) * x[i];
      out.mean_amplitude[static_cast<size_t>(i)] += times * x[i];
    }
    out.sum_of_squares += times * power;
    if (power == 0) ++out.all_zero_frames;
  };
  std::vector<int64_t> distinct = sorted;
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  const int64_t memory = std::min(piece_bytes, m.settings.host_memory_bytes / 4);
  const auto most = static_cast<size_t>(std::max<int64_t>(1, memory / std::max<int64_t>(1, m.bytes_of(1))));
  auto repeat = sorted.begin();
  for (size_t begin = 0; begin < distinct.size(); begin += most) {
    const std::span<const int64_t> piece(distinct.data() + begin, std::min(most, distinct.size() - begin));
    if (!m.resident) {
      m.current.amplitude.reserve(static_cast<int64_t>(piece.size()) * m.frame_elements);
      m.read(piece, m.current.amplitude.data(), {});
    }
    for (size_t i = 0; i < piece.size(); ++i) {
      const auto first = repeat;
      while (repeat != sorted.end() && *repeat == piece[i]) ++repeat;
      const float* x = m.resident ? m.store.data() + m.slot[static_cast<size_t>(piece[i])] * m.frame_elements
                                  : m.current.amplitude.data() + static_cast<int64_t>(i) * m.frame_elements;
      take(x, static_cast<double>(repeat - first));
    }
  }
  for (double& v : out.mean_amplitude) v /= std::max<double>(1, static_cast<double>(sorted.size()));
  return out;
}

}  // namespace ptyfuse
