#include "tests/fuzz/targets.h"

namespace ptyfuse::fuzz {

void feed_picture(Input input) {
  const MemoryFile file(input);
  read_as_image(file.path());
}

}  // namespace ptyfuse::fuzz
