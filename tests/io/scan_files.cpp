// Scan files: what is read is what was written, whatever types, chunks, DC place and origin.
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/io/scan_fixture.h"
#include "tests/support/compare.h"
#include "tests/support/source_folder.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse::tests {
namespace {

const std::string star_path = source_folder() / "tests/data/siemens_star.h5";

TEST(scan_files, a_small_file_by_hand) {
  const TemporaryFolder folder;
  ScanFile scan;
  scan.extra = [](io::h5::File& file) {
    file.set_number("energy_eV", 8000);
    file.set_number("detector_distance_m", 1.5);
    file.set_number("detector_pixel_m", NAN);  // not known
    file.set_number("photons_per_pattern", 1e6);
    file.set_text("unknown", "kept out of the way");
    file.write<double>("unknown_data", {2}, std::vector<double>{1, 2});
    file.write<Complex>("object", {2, 1, 3}, std::vector<Complex>{1, 2, 3, 4, 5, Complex(0, 6)})
        .set_text("kind", "truth");
    file.write<int32_t>("object_index", {3}, std::vector<int32_t>{1, 0, 1});
    file.write<int64_t>("groups", {1, 3}, std::vector<int64_t>{2, 0, 1});
  };
  scan.write(folder.file("scan.h5"));
  const auto reader = io::open_scan(folder.file("scan.h5"));
  const io::ScanInfo& info = reader->info();
  EXPECT_EQ(info.format, "ptyfuse-scan");
  EXPECT_EQ(info.frames, 3);
  EXPECT_EQ(info.side_px, 4);
  EXPECT_EQ(info.frame_type, "uint16");
  EXPECT_EQ(info.domain, io::Domain::counts);
  EXPECT_EQ(info.positions_px, (std::vector<std::array<double, 2>>{{2, 3}, {4, 5.5}, {6, 7}}));  // corner + N/2
  EXPECT_EQ(info.probe.depth, 1);
  EXPECT_EQ(info.probe.data, scan.probe);
  EXPECT_TRUE(info.mask.empty());
  EXPECT_EQ(info.object.depth, 2);
  EXPECT_EQ(info.object.width, 3);
  EXPECT_EQ(info.object.data[5], Complex(0, 6));
  EXPECT_EQ(info.object_kind, "truth");
  EXPECT_EQ(info.object_index, (std::vector<int32_t>{1, 0, 1}));
  EXPECT_EQ(info.groups, (std::vector<int64_t>{2, 0, 1}));
  EXPECT_EQ(info.group_members, 3);
  EXPECT_EQ(info.energy_ev, 8000);
  EXPECT_EQ(info.detector_distance_m, 1.5);
  EXPECT_FALSE(info.detector_pixel_m);
  EXPECT_FALSE(info.pixel_size_m);
  EXPECT_EQ(info.photons_per_pattern, 1e6);
  const std::vector<float> amplitude = read_all(*reader);
  for (int i = 0; i < 48; ++i) EXPECT_EQ(amplitude[static_cast<size_t>(i)], static_cast<float>(i));
}

TEST(scan_files, corner_frames_move_to_the_centre) {
  const TemporaryFolder folder;
  for (int64_t side : {1, 4, 5}) {
    SCOPED_TRACE(side);
    ScanFile scan;
    scan.dc = "corner";
    scan.origin = "centre";
    scan.frame_shape = {3, side, side};
    scan.omit = {"probe"};
    scan.counts.assign(static_cast<size_t>(3 * side * side), 0);
    for (size_t i = 0; i < scan.counts.size(); ++i) scan.counts[i] = static_cast<float>(i * i);
    scan.write(folder.file("corner.h5"));
    const auto reader = io::open_scan(folder.file("corner.h5"));
    const std::vector<float> amplitude = read_all(*reader);
    EXPECT_EQ(reader->info().positions_px[1], (std::array<double, 2>{2, 3.5}));
    for (int64_t f = 0; f < 3; ++f)
      for (int64_t y = 0; y < side; ++y)
        for (int64_t x = 0; x < side; ++x) {
          const int64_t to = (f * side + (y + side / 2) % side) * side + (x + side / 2) % side;
          EXPECT_EQ(amplitude[static_cast<size_t>(to)], static_cast<float>((f * side + y) * side + x));
        }
  }
}

template <class T>
void expect_type_reads(const TemporaryFolder& folder, const char* name) {
  ScanFile scan;
  scan.omit = {"diffraction"};
  scan.extra = [](io::h5::File& file) {
    std::vector<T> counts(48);
    for (size_t i = 0; i < counts.size(); ++i) counts[i] = static_cast<T>(i % 11 * (i % 11));
    io::h5::Dataset data = file.write<T>("diffraction", {3, 4, 4}, counts);
    data.set_text("domain", "counts");
    data.set_text("dc", "centre");
  };
  scan.write(folder.file("type.h5"));
  const auto reader = io::open_scan(folder.file("type.h5"));
  EXPECT_EQ(reader->info().frame_type, name);
  const std::vector<float> amplitude = read_all(*reader);
  for (size_t i = 0; i < amplitude.size(); ++i) ASSERT_EQ(amplitude[i], static_cast<float>(i % 11)) << name;
}

TEST(scan_files, every_number_type) {
  const TemporaryFolder folder;
  expect_type_reads<uint8_t>(folder, "uint8");
  expect_type_reads<uint16_t>(folder, "uint16");
  expect_type_reads<uint32_t>(folder, "uint32");
  expect_type_reads<uint64_t>(folder, "uint64");
  expect_type_reads<int8_t>(folder, "int8");
  expect_type_reads<int16_t>(folder, "int16");
  expect_type_reads<int32_t>(folder, "int32");
  expect_type_reads<int64_t>(folder, "int64");
  expect_type_reads<float>(folder, "float32");
  expect_type_reads<double>(folder, "float64");
}

TEST(scan_files, chunks_of_any_shape_and_pieces_of_any_size) {
  const TemporaryFolder folder;
  const io::h5::Storage storages[] = {{}, {{1, 64, 64}, 0}, {{1, 64, 64}, 1}, {{7, 16, 64}, 4}, {{40, 9, 5}, 9}};
  ScanFile scan;
  scan.frames = 300;
  scan.frame_shape = {300, 64, 64};
  scan.positions.assign(600, 1.0);
  scan.positions_shape = {300, 2};
  scan.omit = {"probe"};
  scan.counts.resize(300 * 64 * 64);
  for (size_t i = 0; i < scan.counts.size(); ++i) scan.counts[i] = static_cast<float>(i * 2654435761u >> 16 & 0xfff);
  for (const auto& storage : storages) {
    scan.storage = storage;
    scan.write(folder.file("chunks.h5"));
    const auto reader = io::open_scan(folder.file("chunks.h5"));
    for (int64_t piece : {300, 7}) {
      std::vector<float> out(static_cast<size_t>(piece * 64 * 64));
      for (int64_t first = 0; first + piece <= 300; first += piece) {
        reader->read_amplitude(first, piece, out);
        for (size_t i = 0; i < out.size(); ++i)
          ASSERT_EQ(out[i], std::sqrt(scan.counts[static_cast<size_t>(first * 4096) + i]));
      }
    }
  }
}

TEST(scan_files, written_and_read_again) {
  const TemporaryFolder folder;
  io::ScanInfo info;
  info.frames = 5;
  info.side_px = 6;
  for (int s = 0; s < 5; ++s) info.positions_px.push_back({3.25 * s, 40.0 - s});
  info.probe = {2, 6, 6, std::vector<Complex>(72, Complex(0.5f, -1))};
  info.mask.assign(36, 1);
  info.mask[7] = 0;
  info.object = {2, 3, 4, std::vector<Complex>(24, Complex(1, 0.25f))};
  info.object_kind = "reference";
  info.object_index = {0, 1, 1, 0, 1};
  info.groups = {0, 1, 2, 3};
  info.group_members = 2;
  info.energy_ev = 8333;
  info.detector_distance_m = 2;
  info.detector_pixel_m = 75e-6;
  info.pixel_size_m = 1.25e-8;
  info.photons_per_pattern = 1e5;
  std::vector<float> amplitude(5 * 36);
  for (size_t i = 0; i < amplitude.size(); ++i) amplitude[i] = std::sqrt(static_cast<float>(i * 37 % 1009));
  std::vector<float> masked = amplitude;
  for (size_t f = 0; f < 5; ++f) masked[f * 36 + 7] = 0;

  struct Case {
    io::Domain domain;
    bool as_integers, compress;
    double tolerance;
  };
  for (const Case& c : {Case{io::Domain::counts, true, true, 0}, Case{io::Domain::counts, false, false, 2e-6},
                        Case{io::Domain::amplitude, false, true, 0}}) {
    io::ScanWriter writer(folder.file("out.h5"), info, c.domain, c.as_integers, c.compress, true);
    writer.append_amplitude(std::span(amplitude).first(72));
    writer.append_amplitude(std::span(amplitude).subspan(72));
    writer.commit();
    const auto reader = io::open_scan(folder.file("out.h5"));
    const io::ScanInfo& back = reader->info();
    EXPECT_EQ(back.domain, c.domain);
    EXPECT_EQ(back.frame_type, c.as_integers ? "uint32" : "float32");
    EXPECT_EQ(back.positions_px, info.positions_px);
    EXPECT_EQ(back.probe.depth, 2);
    EXPECT_EQ(back.probe.data, info.probe.data);
    EXPECT_EQ(back.mask, info.mask);
    EXPECT_EQ(back.object.depth, 2);
    EXPECT_EQ(back.object.data, info.object.data);
    EXPECT_EQ(back.object_kind, "reference");
    EXPECT_EQ(back.object_index, info.object_index);
    EXPECT_EQ(back.groups, info.groups);
    EXPECT_EQ(back.group_members, 2);
    EXPECT_EQ(back.energy_ev, info.energy_ev);
    EXPECT_EQ(back.detector_distance_m, info.detector_distance_m);
    EXPECT_EQ(back.detector_pixel_m, info.detector_pixel_m);
    EXPECT_EQ(back.pixel_size_m, info.pixel_size_m);
    EXPECT_EQ(back.photons_per_pattern, info.photons_per_pattern);
    EXPECT_WITHIN(max_difference(read_all(*reader).data(), masked.data(), 180), c.tolerance);
  }
  EXPECT_EQ(folder.names(), std::set<std::string>{"out.h5"});
}

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return (std::ostringstream() << in.rdbuf()).str();
}

TEST(scan_files, equal_scans_are_equal_files) {
  const TemporaryFolder folder;
  io::ScanInfo info;
  info.frames = 2;
  info.side_px = 3;
  info.positions_px = {{1, 2}, {3, 4}};
  for (const char* name : {"a.h5", "b.h5"}) {
    io::ScanWriter writer(folder.file(name), info, io::Domain::counts, true, true, false);
    writer.append_amplitude(std::vector<float>(18, 2));
    writer.commit();
  }
  EXPECT_EQ(bytes_of(folder.file("a.h5")), bytes_of(folder.file("b.h5")));
  EXPECT_GT(bytes_of(folder.file("a.h5")).size(), 1000u);
}

TEST(scan_files, a_writer_without_commit_leaves_nothing) {
  const TemporaryFolder folder;
  io::ScanInfo info;
  info.frames = 2;
  info.side_px = 3;
  info.positions_px = {{1, 2}, {3, 4}};
  const std::string path = folder.file("scan.h5");
  {
    io::ScanWriter writer(path, info, io::Domain::counts, true, false, false);
    writer.append_amplitude(std::vector<float>(9, 2));
    EXPECT_EQ(folder.names().size(), 1u);
    EXPECT_FALSE(std::filesystem::exists(path));
    expect_parts(file_error_of([&] { writer.commit(); }), {path, "1 of 2 frames"});
    expect_parts(file_error_of([&] { writer.append_amplitude(std::vector<float>(18, 1)); }), {path, "do not fit"});
    expect_parts(file_error_of([&] { writer.append_amplitude(std::vector<float>(9, -1)); }),
                 {path, "frame 1", "negative"});
    expect_parts(file_error_of([&] { writer.append_amplitude(std::vector<float>(9, 1e6f)); }), {path, "largest count"});
  }
  EXPECT_TRUE(folder.names().empty());
  expect_parts(file_error_of([&] { io::ScanWriter(path, info, io::Domain::amplitude, true, false, false); }),
               {path, "cannot be stored as integers"});
  info.positions_px[0][1] = NAN;
  expect_parts(file_error_of([&] { io::ScanWriter(path, info, io::Domain::counts, true, false, false); }),
               {path, "position 0"});
  EXPECT_TRUE(folder.names().empty());
}

TEST(scan_files, a_scan_in_memory) {
  io::ScanInfo info;
  info.frames = 2;
  info.side_px = 2;
  info.positions_px = {{1, 2}, {3, 4}};
  info.mask = {1, 0, 1, 1};
  const auto scan = io::scan_from_memory(info, {1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(scan->info().domain, io::Domain::counts);
  EXPECT_EQ(read_all(*scan), (std::vector<float>{1, 0, 3, 4, 5, 0, 7, 8}));
  std::vector<float> one(4);
  scan->read_amplitude(1, 1, one);
  EXPECT_EQ(one, (std::vector<float>{5, 0, 7, 8}));
  expect_parts(file_error_of([&] { scan->read_amplitude(2, 1, one); }), {"frames 0 to 1"});
  expect_parts(file_error_of([&] { io::scan_from_memory(info, std::vector<float>(7)); }), {"7 values"});
  expect_parts(file_error_of([&] { io::scan_from_memory(info, {1, 2, 3, 4, 5, NAN, 7, 8}); }), {"frame 1"});
  info.positions_px.pop_back();
  expect_parts(file_error_of([&] { io::scan_from_memory(info, std::vector<float>(8)); }), {"1 positions for 2 frames"});
}

TEST(scan_files, the_measured_star) {
  const auto reader = io::open_scan(star_path);
  const io::ScanInfo& info = reader->info();
  EXPECT_EQ(info.frames, 516);
  EXPECT_EQ(info.side_px, 128);
  EXPECT_EQ(info.frame_type, "uint16");
  EXPECT_EQ(info.object.height, 468);
  EXPECT_EQ(info.object.width, 465);
  EXPECT_EQ(info.object_kind, "reference");
  double counts = 0;
  for (float a : read_all(*reader)) counts += static_cast<double>(a) * static_cast<double>(a);
  EXPECT_WITHIN(std::abs(counts / 237985853 - 1), 1e-8);  // whole counts, so their sum is known
}

TEST(scan_files, two_threads_read_one_file) {
  std::vector<float> read[2];
  std::thread threads[2];
  for (int t = 0; t < 2; ++t)
    threads[t] = std::thread([&, t] {
      const auto reader = io::open_scan(star_path);
      std::vector<float> piece(16 * 128 * 128);
      for (int64_t first = 0; first < 256; first += 16) {
        reader->read_amplitude(first, 16, piece);
        read[t].insert(read[t].end(), piece.begin(), piece.end());
      }
    });
  for (auto& thread : threads) thread.join();
  std::vector<float> expected(256 * 128 * 128);
  io::open_scan(star_path)->read_amplitude(0, 256, expected);
  EXPECT_EQ(read[0], expected);
  EXPECT_EQ(read[1], expected);
}

TEST(scan_files, one_thread_reads_while_another_writes) {
  const TemporaryFolder folder;
  std::thread writer([&] {
    for (int i = 0; i < 20; ++i) ScanFile().write(folder.file("written.h5"));
  });
  const auto reader = io::open_scan(star_path);
  std::vector<float> piece(8 * 128 * 128);
  double sum = 0;
  for (int64_t first = 0; first < 64; first += 8) {
    reader->read_amplitude(first, 8, piece);
    for (float a : piece) sum += static_cast<double>(a) * static_cast<double>(a);
  }
  writer.join();
  EXPECT_GT(sum, 1e6);
  EXPECT_EQ(read_all(*io::open_scan(folder.file("written.h5")))[47], 47.0f);
}

}  // namespace
}  // namespace ptyfuse::tests
