// Scans, products and checkpoints.
#include <cmath>

#include "engine/evaluation.h"
#include "io/checkpoint.h"
#include "io/file_kind.h"
#include "io/hdf5.h"
#include "io/reconstruction_file.h"
#include "tests/fuzz/made_hdf5.h"
#include "tests/fuzz/targets.h"

namespace ptyfuse::fuzz {
namespace {

void read_as_reconstruction(const std::string& path) {
  io::Reconstruction read;
  if (!accepts([&] { read = io::read_reconstruction(path); })) return;
  const auto elements = static_cast<size_t>(read.object.depth * read.object.height * read.object.width);
  promise(elements > 0 && read.object.data.size() == elements && read.weight.size() == elements,
          "an object or weights that are not filled");
  for (const float w : read.weight) promise(w >= 0 && std::isfinite(w), "a weight that is none");
  promise(read.pattern_count >= 0, "a negative number of patterns");
  constexpr int64_t small_px = 64;
  if (read.object.height > small_px || read.object.width > small_px) return;
  EvaluationConfig config;
  accepts([&] { evaluate(read, read.object, config); });
  config.registered = true;
  accepts([&] { evaluate(read, read.object, config); });
}

/// The library keeps the memory of closed files for the next ones: by far most of the time went into page faults.
void keep_memory() {
  const io::h5::Lock lock;
  H5set_free_list_limits(-1, -1, -1, -1, -1, -1);
}

void read_as_checkpoint(const std::string& path) {
  accepts([&] { io::read_checkpoint(path); });
}

}  // namespace

void feed_hdf5(Input input) {
  keep_memory();
  const MadeFile made = made_hdf5(input);
  if (made.bytes.empty()) return;
  const MemoryFile file(made.bytes);
  io::file_kind(file.path());
  switch (made.kind) {
    case MadeKind::scan:
      read_as_scan(file.path());
      read_as_image(file.path());
      break;
    case MadeKind::reconstruction:
      read_as_reconstruction(file.path());
      break;
    case MadeKind::checkpoint:
      read_as_checkpoint(file.path());
  }
}

void feed_hdf5_bytes(Input input) {
  keep_memory();
  const MemoryFile file(input);
  io::file_kind(file.path());
  read_as_scan(file.path());
  read_as_image(file.path());
  read_as_reconstruction(file.path());
  read_as_checkpoint(file.path());
}

}  // namespace ptyfuse::fuzz
