// PtychoPINN's and Ptychodus' NPZ: zips made by hand.
#include <zip.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "io/npy.h"
#include "io/npz.h"
#include "tests/io/scan_fixture.h"
#include "tests/support/compare.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse::tests {
namespace {

/// A .npy file's bytes.
template <class T>
std::string npy(const std::string& descr, const std::string& shape, const std::vector<T>& data, bool fortran = false,
                char version = 1) {
  std::string dict =
      "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }\n";
  std::string text = std::string("\x93NUMPY") + version + '\0' + static_cast<char>(dict.size()) + '\0';
  if (version > 1) text += std::string(2, '\0');
  text += dict;
  return text + std::string(reinterpret_cast<const char*>(data.data()), data.size() * sizeof(T));
}

struct Npz {
  std::vector<std::pair<std::string, std::string>> entries;
  bool stored = false;

  std::string& operator[](const std::string& key) {
    for (auto& [name, bytes] : entries)
      if (name == key) return bytes;
    return entries.emplace_back(key, "").second;
  }
  void write(const std::string& path) const {
    zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
    ASSERT_NE(archive, nullptr);
    for (const auto& [name, bytes] : entries) {
      if (bytes.empty()) continue;
      zip_source_t* source = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
      const zip_int64_t index = zip_file_add(archive, (name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
      ASSERT_GE(index, 0);
      zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), stored ? ZIP_CM_STORE : ZIP_CM_DEFLATE, 0);
    }
    ASSERT_EQ(zip_close(archive), 0);
  }
};

std::vector<float> ramp(int n) {
  std::vector<float> values;
  for (int i = 0; i < n; ++i) values.push_back(static_cast<float>(i));
  return values;
}

/// Three frames of 4 x 4, amplitude = running number.
Npz small() {
  Npz npz;
  npz["diff3d"] = npy<float>("<f4", "(3, 4, 4)", ramp(48));
  npz["xcoords"] = npy<double>("<f8", "(3,)", {10, 11, 12.5});
  npz["ycoords"] = npy<double>("<f8", "(3,)", {20, 21, 22});
  npz["probeGuess"] = npy<Complex>("<c8", "(4, 4)", std::vector<Complex>(16, Complex(1, -1)));
  npz["objectGuess"] = npy<std::complex<double>>("<c16", "(1, 2)", {{1, 2}, {3, 4}});
  npz["_metadata"] = npy<char>("|O", "()", {'\x80', '\x04', 'N', '.'});
  return npz;
}

const io::ScanHints amplitude{.domain = io::Domain::amplitude};

TEST(npz, read_by_hand) {
  const TemporaryFolder folder;
  for (bool stored : {true, false}) {
    Npz npz = small();
    npz.stored = stored;
    npz.write(folder.file("scan.npz"));
    const auto reader = io::open_scan(folder.file("scan.npz"), amplitude);
    const io::ScanInfo& info = reader->info();
    EXPECT_EQ(info.format, "ptychopinn-npz");
    EXPECT_EQ(info.frame_type, "float32");
    EXPECT_EQ(info.domain, io::Domain::amplitude);
    EXPECT_EQ(info.positions_px, (std::vector<std::array<double, 2>>{{20, 10}, {21, 11}, {22, 12.5}}));
    EXPECT_EQ(info.probe.data[3], Complex(1, -1));
    EXPECT_EQ(info.object.data, (std::vector<Complex>{Complex(1, 2), Complex(3, 4)}));
    EXPECT_EQ(read_all(*reader), ramp(48));
    std::vector<float> one(16);
    for (int64_t f : {2, 0, 1, 0, 2, 1, 0, 2, 0}) {
      reader->read_amplitude(f, 1, one);
      EXPECT_EQ(one[5], static_cast<float>(16 * f + 5)) << "frame " << f << ", stored " << stored;
    }
  }
}

TEST(npz, frames_in_every_layout) {
  const TemporaryFolder folder;
  const auto expect_ramp = [&](const std::string& bytes, const io::ScanHints& hints) {
    Npz npz = small();
    npz["diff3d"] = "";
    npz["diffraction"] = bytes;
    npz.write(folder.file("scan.npz"));
    const auto reader = io::open_scan(folder.file("scan.npz"), hints);
    EXPECT_EQ(read_all(*reader), ramp(48));
    std::vector<float> two(32);
    reader->read_amplitude(1, 2, two);
    EXPECT_EQ(two[0], 16.0f);
  };
  std::vector<float> fortran(48), last(48);
  for (size_t f = 0; f < 3; ++f)
    for (size_t y = 0; y < 4; ++y)
      for (size_t x = 0; x < 4; ++x) {
        const auto value = static_cast<float>((f * 4 + y) * 4 + x);
        fortran[f + 3 * (y + 4 * x)] = value;
        last[(y * 4 + x) * 3 + f] = value;
      }
  expect_ramp(npy<float>("<f4", "(3, 4, 4, 1)", ramp(48)), amplitude);
  expect_ramp(npy<float>("<f4", "(3, 4, 4)", fortran, true), amplitude);
  expect_ramp(npy<float>("<f4", "(4, 4, 3)", last), amplitude);
  expect_ramp(npy<float>("<f4", "(3, 4, 4)", ramp(48), false, 2), amplitude);
  expect_ramp(npy<float>("<f4", "(3, 4, 4)", ramp(48), false, 3), amplitude);
  const std::vector<float> values = ramp(48);
  expect_ramp(npy<double>("<f8", "(3, 4, 4)", std::vector<double>(values.begin(), values.end())), amplitude);
  std::vector<uint16_t> counts;
  for (float v : values) counts.push_back(static_cast<uint16_t>(v * v));
  expect_ramp(npy<uint16_t>("<u2", "(3, 4, 4)", counts), {});
  expect_ramp(npy<int32_t>("<i4", "(3, 4, 4)", std::vector<int32_t>(counts.begin(), counts.end())),
              {.domain = io::Domain::counts});
}

TEST(npz, origin_of_ptychodus_is_half_a_pixel_off) {
  const TemporaryFolder folder;
  Npz npz = small();
  std::vector<uint8_t> bad(16, 0);
  bad[5] = 1;
  npz["bad_pixels"] = npy<uint8_t>("|b1", "(4, 4)", bad);
  npz["probeGuess"] = npy<Complex>("<c8", "(2, 4, 4)", std::vector<Complex>(32, Complex(1, -1)));
  npz.write(folder.file("scan.npz"));
  const auto reader = io::open_scan(folder.file("scan.npz"), amplitude);
  EXPECT_EQ(reader->info().format, "ptychodus-npz");
  EXPECT_EQ(reader->info().positions_px[2], (std::array<double, 2>{22.5, 13}));
  EXPECT_EQ(reader->info().probe.depth, 2);
  const std::vector<float> frames = read_all(*reader);
  EXPECT_EQ(frames[5], 0.0f);
  EXPECT_EQ(frames[6], 6.0f);
  io::ScanHints hints = amplitude;
  hints.origin = io::Origin::centre;
  EXPECT_EQ(io::open_scan(folder.file("scan.npz"), hints)->info().positions_px[2], (std::array<double, 2>{22, 12.5}));
  hints.origin = io::Origin::corner;
  EXPECT_EQ(io::open_scan(folder.file("scan.npz"), hints)->info().positions_px[2], (std::array<double, 2>{24, 14.5}));
}

struct BadNpz {
  const char* name;
  std::function<void(Npz&)> spoil;
  std::vector<std::string> message;
  io::ScanHints hints = amplitude;
};

const BadNpz bad_npz[] = {
    {"domain_open", [](Npz&) {}, {"diff3d", "float32", "--domain amplitude", "--domain counts"}, {}},
    {"integers_are_counts",
     [](Npz& n) { n["diff3d"] = npy<uint8_t>("|u1", "(3, 4, 4)", std::vector<uint8_t>(48)); },
     {"diff3d", "uint8", "--domain amplitude"}},
    {"no_frames", [](Npz& n) { n["diff3d"] = ""; }, {"diff3d", "is missing", "diffraction", "xcoords"}},
    {"no_coordinates", [](Npz& n) { n["ycoords"] = ""; }, {"ycoords", "is missing"}},
    {"unequal_coordinates",
     [](Npz& n) {
       n["ycoords"] = npy<double>("<f8", "(2,)", {1, 2});
     },
     {"ycoords", "2 values, xcoords has 3"}},
    {"other_number_of_frames",
     [](Npz& n) {
       n["xcoords"] = npy<double>("<f8", "(2,)", {1, 2});
       n["ycoords"] = npy<double>("<f8", "(2,)", {1, 2});
     },
     {"diff3d", "[3, 4, 4]", "2 positions"}},
    {"not_square",
     [](Npz& n) { n["diff3d"] = npy<float>("<f4", "(3, 2, 8)", ramp(48)); },
     {"diff3d", "2 x 8", "square"}},
    {"rank_2", [](Npz& n) { n["diff3d"] = npy<float>("<f4", "(3, 16)", ramp(48)); }, {"diff3d", "[3, 16]"}},
    {"big_endian", [](Npz& n) { n["diff3d"] = npy<float>(">f4", "(3, 4, 4)", ramp(48)); }, {"diff3d", "big-endian"}},
    {"objects",
     [](Npz& n) {
       n["diff3d"] = npy<char>("|O", "(3,)", {'N', '.'});
     },
     {"diff3d", "pickled"}},
    {"records",
     [](Npz& n) {
       n["diff3d"] = "\x93NUMPY\x01" + std::string("\0\x40\0", 3) +
                     "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)} \n";
     },
     {"diff3d", "structured"}},
    {"no_array", [](Npz& n) { n["diff3d"] = "something else"; }, {"diff3d", "is not a numpy array"}},
    {"half_precision",
     [](Npz& n) { n["diff3d"] = npy<uint16_t>("<f2", "(3, 4, 4)", std::vector<uint16_t>(48)); },
     {"diff3d", "float16"}},
    {"three_bytes_a_number",
     [](Npz& n) { n["diff3d"] = npy<uint8_t>("<u3", "(3, 4, 4)", std::vector<uint8_t>(144), true); },
     {"diff3d", "uint24", "integers, float32 or float64"}},
    {"no_bytes_a_number",
     [](Npz& n) { n["diff3d"] = npy<uint8_t>("|i0", "(3, 4, 4)", {}); },
     {"diff3d", "int0", "integers, float32 or float64"}},
    {"more_axes_than_numpy_has",
     [](Npz& n) {
       std::string ones;
       for (int i = 0; i < 65; ++i) ones += "1,";
       n["xcoords"] = npy<double>("<f8", "(" + ones + "3)", {1, 2, 3});
     },
     {"xcoords", "66 axes"}},
    {"claims_too_much",
     [](Npz& n) { n["diff3d"] = npy<float>("<f4", "(3000000, 4000, 4)", ramp(48)); },
     {"diff3d", "claims 192000000", "truncated or damaged"}},
    {"claims_the_impossible",
     [](Npz& n) { n["diff3d"] = npy<float>("<f4", "(4000000000, 4000000000, 4)", ramp(48)); },
     {"diff3d", "more bytes than can exist"}},
    {"claims_too_little",
     [](Npz& n) { n["diff3d"] = npy<float>("<f4", "(3, 4, 4)", ramp(47)); },
     {"diff3d", "truncated or damaged"}},
    {"coordinate_nan",
     [](Npz& n) {
       n["xcoords"] = npy<double>("<f8", "(3,)", {1, NAN, 2});
     },
     {"xcoords", "position 1"}},
    {"probe_of_another_size",
     [](Npz& n) { n["probeGuess"] = npy<Complex>("<c8", "(2, 2)", std::vector<Complex>(4, 1)); },
     {"probeGuess", "2 x 2", "4 x 4"}},
    {"probe_zero",
     [](Npz& n) { n["probeGuess"] = npy<Complex>("<c8", "(4, 4)", std::vector<Complex>(16)); },
     {"probeGuess", "zero everywhere"}},
    {"probe_infinite",
     [](Npz& n) { n["probeGuess"] = npy<float>("<f4", "(4, 4)", std::vector<float>(16, INFINITY)); },
     {"probeGuess", "finite"}},
    {"order_named",
     [](Npz&) {},
     {"xcoords", "--order xy"},
     {.domain = io::Domain::amplitude, .order = io::AxisOrder::xy}},
};

TEST(npz, bad_files_are_named) {
  const TemporaryFolder folder;
  for (const BadNpz& bad : bad_npz) {
    SCOPED_TRACE(bad.name);
    Npz npz = small();
    bad.spoil(npz);
    const std::string path = folder.file(std::string(bad.name) + ".npz");
    npz.write(path);
    const std::string message = file_error_of([&] { io::open_scan(path, bad.hints); });
    expect_parts(message, {path});
    expect_parts(message, bad.message);
  }
}

TEST(npz, bad_values_name_frame_and_pixel) {
  const TemporaryFolder folder;
  Npz npz = small();
  std::vector<float> values = ramp(48);
  values[16 + 4 * 2 + 1] = NAN;
  npz["diff3d"] = npy<float>("<f4", "(3, 4, 4)", values);
  npz.write(folder.file("scan.npz"));
  const auto reader = io::open_scan(folder.file("scan.npz"), amplitude);
  expect_parts(file_error_of([&] { read_all(*reader); }),
               {folder.file("scan.npz"), "diff3d", "frame 1, pixel [2, 1] is NaN"});
}

TEST(npz, truncated_or_altered) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.npz");
  Npz npz = small();
  npz.stored = true;
  npz.write(path);
  const auto bytes = std::filesystem::file_size(path);
  std::filesystem::resize_file(path, bytes / 2);
  expect_parts(file_error_of([&] { io::open_scan(path, amplitude); }), {path, "truncated or damaged"});

  npz.write(path);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(30 + 11 + 10 + 70 + 100);  // inside the first entry's data
    file.put('\x41');
  }
  expect_parts(file_error_of([&] { read_all(*io::open_scan(path, amplitude)); }), {path, "diff3d", "is damaged"});

  std::ofstream(path, std::ios::binary) << npy<float>("<f4", "(3, 4, 4)", ramp(48));
  expect_parts(file_error_of([&] { io::open_scan(path, amplitude); }), {path, "single numpy array"});
}

TEST(npz, written_and_read_again) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out.npz");
  io::ScanInfo info;
  info.frames = 300;
  info.side_px = 64;
  for (int s = 0; s < 300; ++s) info.positions_px.push_back({2.0 * s, 1000 - 0.5 * s});
  info.probe = {1, 64, 64, std::vector<Complex>(4096, Complex(2, 3))};
  info.object = {1, 5, 7, std::vector<Complex>(35, Complex(1, 0.5f))};
  std::vector<float> frames(300 * 4096);
  for (size_t i = 0; i < frames.size(); ++i) frames[i] = static_cast<float>(i * 2654435761u >> 20 & 0xff);
  const auto scan = io::scan_from_memory(info, frames);
  io::write_ptychopinn_npz(path, *scan, false);
  expect_parts(file_error_of([&] { io::write_ptychopinn_npz(path, *scan, false); }), {path, "--force"});
  const auto reader = io::open_scan(path, amplitude);
  EXPECT_EQ(reader->info().positions_px, info.positions_px);
  EXPECT_EQ(reader->info().probe.data, info.probe.data);
  EXPECT_EQ(reader->info().object.width, 7);
  EXPECT_EQ(read_all(*reader), frames);
  // Walking about unpacks the array to disk; what is read stays the same.
  std::vector<float> one(4096);
  for (int64_t f : {299, 200, 290, 100, 280, 50, 270, 10}) {
    reader->read_amplitude(f, 1, one);
    EXPECT_TRUE(std::equal(one.begin(), one.end(), frames.begin() + f * 4096)) << f;
  }
  EXPECT_EQ(folder.names(), std::set<std::string>{"out.npz"});
}

/// A reader that fails half way.
class Failing final : public io::ScanReader {
 public:
  explicit Failing(io::ScanInfo info) : info_(std::move(info)) {}
  const io::ScanInfo& info() const override { return info_; }
  void read_amplitude(int64_t, int64_t, std::span<float>) override { throw io::FileError("source.h5", "went away"); }

 private:
  io::ScanInfo info_;
};

TEST(npz, a_failed_write_leaves_nothing) {
  const TemporaryFolder folder;
  io::ScanInfo info;
  info.frames = 2;
  info.side_px = 4;
  info.positions_px = {{1, 2}, {3, 4}};
  Failing failing(info);
  expect_parts(file_error_of([&] { io::write_ptychopinn_npz(folder.file("out.npz"), failing, false); }),
               {"source.h5", "went away"});
  EXPECT_TRUE(folder.names().empty());
  info.object = {2, 1, 1, std::vector<Complex>(2)};
  info.object_index = {0, 1};
  const auto several = io::scan_from_memory(info, std::vector<float>(32));
  expect_parts(file_error_of([&] { io::write_ptychopinn_npz(folder.file("out.npz"), *several, false); }),
               {"object", "2 images"});
}

}  // namespace
}  // namespace ptyfuse::tests
