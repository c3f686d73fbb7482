// .npy and .npz.
#include <cmath>
#include <cstring>

#include "io/file_error.h"
#include "io/npy.h"
#include "tests/fuzz/made_npz.h"
#include "tests/fuzz/targets.h"

namespace ptyfuse::fuzz {

void feed_npy(Input input) {
  accepts([&] {
    Input left = input;
    const io::NpyHeader header = io::read_npy_header("FILE", "KEY", [&left](void* to, int64_t bytes) {
      if (bytes > static_cast<int64_t>(left.size())) throw io::FileError("FILE", "KEY", "ends too soon");
      std::memcpy(to, left.data(), static_cast<size_t>(bytes));
      left = left.subspan(static_cast<size_t>(bytes));
    });
    promise(header.header_bytes == static_cast<int64_t>(input.size() - left.size()), "data that starts elsewhere");
    promise(header.elements() >= 0 && header.data_bytes() >= 0, "a negative size");
    promise(!header.type_name().empty() && !header.shape_text().empty(), "no words for a header");
    if (!header.numeric() || header.data_bytes() > static_cast<int64_t>(left.size())) return;
    const std::span<const char> raw(reinterpret_cast<const char*>(left.data()),
                                    static_cast<size_t>(header.data_bytes()));
    accepts([&] {
      promise(static_cast<int64_t>(io::npy_to_double("FILE", "KEY", header, raw).size()) == header.elements(),
              "numbers lost");
    });
    promise(static_cast<int64_t>(io::npy_to_complex("FILE", "KEY", header, raw).size()) == header.elements(),
            "numbers lost");
  });
}

namespace {

void read_npz(Input bytes) {
  const MemoryFile file(bytes);
  read_as_scan(file.path());
  read_as_image(file.path());
}

}  // namespace

void feed_npz(Input input) {
  const std::string bytes = made_npz(input);
  read_npz({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

void feed_npz_bytes(Input input) {
  read_npz(input);
}

}  // namespace ptyfuse::fuzz
