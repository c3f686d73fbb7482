#pragma once
#include <array>
#include <complex>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ptyfuse::io {

enum class Domain { counts, amplitude };
enum class DcPlace { centre, corner };
enum class Origin { corner, centre };
enum class AxisOrder { yx, xy };

/// A complex image or a stack of them, row-major [depth, height, width]; depth 1 for a single image.
struct ComplexImage {
  int64_t depth = 0, height = 0, width = 0;
  std::vector<std::complex<float>> data;
  bool empty() const { return data.empty(); }
};
/// Whether no pixel is infinite or NaN.
bool all_finite(const ComplexImage& image);

/// What an input may leave open, as the user said it; a file's own statement and the user's must not contradict
/// (FileError names both).
struct ScanHints {
  std::optional<Domain> domain = {};
  std::optional<DcPlace> dc = {};
  std::optional<AxisOrder> order = {};
  std::optional<Origin> origin = {};
  std::optional<double> pixel_size_m = {};
};

/// Everything of a scan but its frames. Positions are of each patch's index N/2, [y,x], in pixels of `object`.
struct ScanInfo {
  std::string path, format;  ///< "ptyfuse-scan", "ptychopinn-npz"
  int64_t frames = 0;        ///< S
  int64_t side_px = 0;       ///< N
  std::string frame_type;    ///< "uint16", ...
  Domain domain = Domain::counts;
  DcPlace dc = DcPlace::centre;
  std::vector<std::array<double, 2>> positions_px;  ///< [S]
  ComplexImage probe;                               ///< [modes,N,N]; empty where absent
  std::vector<uint8_t> mask;                        ///< [N*N], 1 = use, DC at the centre; empty: all
  ComplexImage object;                              ///< [images,H,W]; empty where absent
  std::string object_kind;                          ///< "truth", "reference" or ""
  std::vector<int32_t> object_index;                ///< [S]; empty: all 0
  std::vector<int64_t> groups;                      ///< [G*members] or empty
  int64_t group_members = 0;
  std::optional<double> energy_ev, detector_distance_m, detector_pixel_m, pixel_size_m, photons_per_pattern;
};

/// An open scan: frames are read in pieces into the caller's memory, never as a whole. One object is used by one thread
/// at a time; several objects may read one file.
class ScanReader {
 public:
  virtual ~ScanReader() = default;
  virtual const ScanInfo& info() const = 0;

  /// Frames first, first+1, ... as amplitude sqrt(counts) (0 where the mask says so), DC at the centre, into
  /// out [count,N,N]. FileError: a range outside the scan, a read that fails, a count or amplitude that is negative,
  /// NaN or infinite (frame and pixel are named).
  virtual void read_amplitude(int64_t first, int64_t count, std::span<float> out) = 0;

  /// The same of frames in any order, repeats allowed; quickest where they ascend. By runs of read_amplitude() unless
  /// the reader can do better.
  virtual void read_frames(std::span<const int64_t> frames, std::span<float> out);
};

/// Opens a scan file (HDF5, docs/file_formats.md) or a PtychoPINN NPZ, by content. Checks everything but the frames'
/// values. FileError: what is wrong, in which dataset, what was expected and which option mends it.
/// threads: that decode and convert the frames of an HDF5 file, the calling one included; 0: as many as this process
/// may run on. The frames are the same with any number.
std::unique_ptr<ScanReader> open_scan(const std::string& path, const ScanHints& hints = {}, int threads = 0);

/// A scan in memory, for simulations and tests: amplitude [S,N,N], DC at the centre; info's frames, side_px and
/// positions must fit. FileError otherwise.
std::unique_ptr<ScanReader> scan_from_memory(ScanInfo info, std::vector<float> amplitude);

/// Writes a scan file piece by piece to a temporary name; commit() makes it appear. Not committed: nothing is left.
/// Frames are chunked frame by frame; `compress` is gzip level 1 with shuffle.
class ScanWriter {
 public:
  /// info: all but frame_type, which follows `as_integers` (counts rounded to uint32) or is float32. `dc` is centre in
  /// the file.
  ScanWriter(const std::string& path, const ScanInfo& info, Domain domain, bool as_integers, bool compress, bool force);
  ~ScanWriter();
  ScanWriter(const ScanWriter&) = delete;
  ScanWriter& operator=(const ScanWriter&) = delete;
  /// amplitude [count,N,N], the next frames.
  void append_amplitude(std::span<const float> amplitude);
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// FILE or FILE:DATASET, whose dataset is else empty; a file whose own name holds a colon is found first.
struct FileAndDataset {
  std::string file, dataset;
};
FileAndDataset split_dataset(const std::string& file_and_dataset);

/// A complex image [H,W] or stack named FILE[:DATASET] ("probe" or "object" are the default datasets, by `fallback`);
/// real images are taken as amplitude with phase 0. HDF5, NPZ and PNG (grey value as amplitude 0..1).
ComplexImage read_complex_image(const std::string& file_and_dataset, const std::string& fallback);

}  // namespace ptyfuse::io
