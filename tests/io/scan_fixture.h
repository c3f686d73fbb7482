#pragma once
// Small scan files, whole or with one thing wrong.
#include <gtest/gtest.h>

#include <complex>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "io/file_error.h"
#include "io/hdf5.h"
#include "io/scan.h"

namespace ptyfuse::tests {

using Complex = std::complex<float>;

/// A scan of three frames of 4 x 4 counts, complete and legal; a test changes what it is about.
struct ScanFile {
  int64_t frames = 3, side = 4;
  std::vector<int64_t> frame_shape{3, 4, 4};
  std::vector<float> counts;  ///< stored as float32 when `as_float`, else as uint16
  bool as_float = false;
  std::optional<std::string> domain = "counts", dc = "centre", origin = "corner", format = "ptyfuse-scan";
  std::vector<double> positions{0, 1, 2, 3.5, 4, 5};
  std::vector<int64_t> positions_shape{3, 2};
  std::vector<Complex> probe = std::vector<Complex>(16, Complex(1, 2));
  std::vector<int64_t> probe_shape{4, 4};
  std::set<std::string> omit;
  io::h5::Storage storage;
  std::function<void(io::h5::File&)> extra;

  ScanFile() {
    for (int i = 0; i < 48; ++i) counts.push_back(static_cast<float>(i * i));
  }

  void write(const std::string& path) const {
    io::h5::File file = io::h5::File::create(path, path);
    if (format) file.set_text("format", *format);
    if (!omit.count("diffraction")) {
      io::h5::Dataset data = as_float
                                 ? file.write<float>("diffraction", frame_shape, counts, storage)
                                 : file.write<uint16_t>("diffraction", frame_shape,
                                                        std::vector<uint16_t>(counts.begin(), counts.end()), storage);
      if (domain) data.set_text("domain", *domain);
      if (dc) data.set_text("dc", *dc);
    }
    if (!omit.count("positions_px")) {
      io::h5::Dataset data = file.write<double>("positions_px", positions_shape, positions);
      if (origin) data.set_text("origin", *origin);
    }
    if (!omit.count("probe")) file.write<Complex>("probe", probe_shape, probe);
    if (extra) extra(file);
    file.close();
  }
};

/// The message of the FileError that `body` throws, "" where it throws none; also fails when anything went to stderr,
/// as the HDF5 library's error stack would.
inline std::string file_error_of(const std::function<void()>& body) {
  testing::internal::CaptureStderr();
  std::string message;
  try {
    body();
  } catch (const io::FileError& error) {
    message = error.what();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  return message;
}

inline void expect_parts(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' is not in '" << message << "'";
}

inline std::vector<float> read_all(io::ScanReader& scan) {
  const io::ScanInfo& info = scan.info();
  std::vector<float> out(static_cast<size_t>(info.frames * info.side_px * info.side_px));
  scan.read_amplitude(0, info.frames, out);
  return out;
}

}  // namespace ptyfuse::tests
