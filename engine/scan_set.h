#pragma once
#include <memory>
#include <string>
#include <vector>

#include "io/scan.h"

namespace ptyfuse {

/// Several scans as one: frames follow each other in the order given, and object_index tells scans and their images
/// apart (each scan's images count on from the former's), so that groups never mix them. The probe is the first scan's;
/// objects are kept when all have one of equal size; the mask uses the pixels that every scan uses. A single scan is
/// returned as it is. Error(shape): no scan, patterns of different sides, counts beside amplitudes.
std::unique_ptr<io::ScanReader> join_scans(std::vector<std::unique_ptr<io::ScanReader>> scans);

/// File names as one setting: separated by ':', a ':' within a name written '\:'.
std::string file_list(const std::vector<std::string>& files);
/// The names of such a setting; empty ones are left out.
std::vector<std::string> files_of_list(const std::string& list);

/// The frames of each image of a scan among `frames`: segments in ascending order of object_index.
struct Segment {
  int32_t image = 0;
  std::vector<int64_t> frames;
};
std::vector<Segment> segments_of(const io::ScanInfo& info, const std::vector<int64_t>& frames);

}  // namespace ptyfuse
