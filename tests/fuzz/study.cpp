#include "io/study_files.h"

#include "tests/fuzz/targets.h"

namespace ptyfuse::fuzz {

void feed_arm(Input input) {
  const MemoryFile file(input);
  io::ArmResult arm;
  if (!accepts([&] { arm = io::read_arm_result(file.path()); })) return;
  std::string csv = io::rows_csv(arm.rows);
  csv += io::study_json({}, {arm});
  promise(!csv.empty(), "nothing to write");
}

}  // namespace ptyfuse::fuzz
