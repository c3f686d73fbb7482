// Every bad input is refused with one message that names the file, the dataset and what mends it, and the HDF5 library
// prints nothing.
#include <hdf5.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <tuple>

#include "tests/io/scan_fixture.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse::tests {
namespace {

const float nan_value = std::numeric_limits<float>::quiet_NaN();
const float infinity = std::numeric_limits<float>::infinity();

struct BadScan {
  const char* name;
  std::function<void(ScanFile&)> spoil;
  std::vector<std::string> message;
  io::ScanHints hints = {};
};

void write_bytes(io::h5::File& file, const std::string& name, const std::vector<int64_t>& shape, uint8_t value) {
  int64_t n = 1;
  for (int64_t e : shape) n *= e;
  file.write<uint8_t>(name, shape, std::vector<uint8_t>(static_cast<size_t>(n), value));
}

const BadScan bad_scans[] = {
    {"no_frames",
     [](ScanFile& s) { s.omit = {"diffraction"}; },
     {"diffraction", "is missing", "positions_px, probe", "convert"}},
    {"no_positions", [](ScanFile& s) { s.omit = {"positions_px"}; }, {"positions_px", "is missing", "[S,2]"}},
    {"frames_not_square",
     [](ScanFile& s) {
       s.frame_shape = {3, 2, 8};
     },
     {"diffraction", "[3, 2, 8]", "[S,N,N]"}},
    {"frames_rank_2",
     [](ScanFile& s) {
       s.frame_shape = {12, 4};
     },
     {"diffraction", "[12, 4]", "[S,N,N]"}},
    {"positions_short",
     [](ScanFile& s) {
       s.positions = {0, 1, 2, 3};
       s.positions_shape = {2, 2};
     },
     {"positions_px", "[2, 2]", "[3, 2]"}},
    {"positions_transposed",
     [](ScanFile& s) {
       s.positions_shape = {2, 3};
     },
     {"positions_px", "[2, 3]", "[3, 2]"}},
    {"position_nan", [](ScanFile& s) { s.positions[3] = NAN; }, {"positions_px", "position 1", "finite"}},
    {"position_infinite", [](ScanFile& s) { s.positions[4] = INFINITY; }, {"positions_px", "position 2", "finite"}},
    {"position_beyond_any_scan",
     [](ScanFile& s) { s.positions[4] = -1.5e300; },
     {"positions_px", "position 2", "-1.5e+300", "pixels of the object"}},
    {"domain_missing",
     [](ScanFile& s) { s.domain.reset(); },
     {"diffraction", "'domain' is missing", "--domain counts", "--domain amplitude"}},
    {"domain_unknown",
     [](ScanFile& s) { s.domain = "intensity"; },
     {"diffraction", "'intensity'", "'counts' or 'amplitude'", "--domain"}},
    {"domain_contradicted",
     [](ScanFile&) {},
     {"diffraction", "'counts'", "--domain amplitude"},
     {.domain = io::Domain::amplitude}},
    {"dc_missing", [](ScanFile& s) { s.dc.reset(); }, {"diffraction", "'dc' is missing", "--dc centre", "--dc corner"}},
    {"dc_unknown", [](ScanFile& s) { s.dc = "middle"; }, {"diffraction", "'middle'", "--dc"}},
    {"dc_contradicted", [](ScanFile&) {}, {"diffraction", "'centre'", "--dc corner"}, {.dc = io::DcPlace::corner}},
    {"origin_missing",
     [](ScanFile& s) { s.origin.reset(); },
     {"positions_px", "'origin' is missing", "--origin corner", "--origin centre"}},
    {"origin_unknown", [](ScanFile& s) { s.origin = "edge"; }, {"positions_px", "'edge'", "--origin"}},
    {"origin_contradicted",
     [](ScanFile&) {},
     {"positions_px", "'corner'", "--origin centre"},
     {.origin = io::Origin::centre}},
    {"order_contradicted",
     [](ScanFile& s) { s.extra = [](io::h5::File& f) { f.dataset("positions_px").set_text("order", "y,x"); }; },
     {"positions_px", "'yx'", "--order xy"},
     {.order = io::AxisOrder::xy}},
    {"pixel_size_contradicted",
     [](ScanFile& s) { s.extra = [](io::h5::File& f) { f.set_number("pixel_size_m", 2e-8); }; },
     {"2e-08", "--pixel-size-m 3e-08"},
     {.pixel_size_m = 3e-8}},
    {"pixel_size_negative",
     [](ScanFile& s) { s.extra = [](io::h5::File& f) { f.set_number("pixel_size_m", -1); }; },
     {"'pixel_size_m' is -1", "positive"}},
    {"another_format",
     [](ScanFile& s) { s.format = "ptyfuse-reconstruction"; },
     {"'ptyfuse-reconstruction'", "'ptyfuse-scan'"}},
    {"another_version",
     [](ScanFile& s) { s.extra = [](io::h5::File& f) { f.set_integer("version", 7); }; },
     {"version 7", "version 1"}},
    {"probe_of_another_size",
     [](ScanFile& s) {
       s.probe.resize(4);
       s.probe_shape = {2, 2};
     },
     {"probe", "2 x 2", "4 x 4"}},
    {"probe_rank_1", [](ScanFile& s) { s.probe_shape = {16}; }, {"probe", "[16]", "[H,W]"}},
    {"probe_zero", [](ScanFile& s) { s.probe.assign(16, Complex()); }, {"probe", "zero everywhere"}},
    {"probe_nan", [](ScanFile& s) { s.probe[6] = Complex(0, nan_value); }, {"probe", "[0, 1, 2]", "finite"}},
    {"mask_of_another_size",
     [](ScanFile& s) { s.extra = [](io::h5::File& f) {
                         write_bytes(f, "mask", {3, 3}, 1);
                       }; },
     {"mask", "[3, 3]", "[4, 4]"}},
    {"mask_all_zero",
     [](ScanFile& s) { s.extra = [](io::h5::File& f) {
                         write_bytes(f, "mask", {4, 4}, 0);
                       }; },
     {"mask", "every pixel"}},
    {"mask_of_twos",
     [](ScanFile& s) { s.extra = [](io::h5::File& f) {
                         write_bytes(f, "mask", {4, 4}, 2);
                       }; },
     {"mask", "holds 2"}},
    {"object_infinite",
     [](ScanFile& s) {
       s.extra = [](io::h5::File& f) { f.write<Complex>("object", {1, 2}, std::vector<Complex>{1, infinity}); };
     },
     {"object", "[0, 0, 1]", "finite"}},
    {"several_objects_without_index",
     [](ScanFile& s) {
       s.extra = [](io::h5::File& f) { f.write<Complex>("object", {2, 1, 1}, std::vector<Complex>(2, 1)); };
     },
     {"object_index", "is missing", "2 images"}},
    {"object_index_out_of_range",
     [](ScanFile& s) {
       s.extra = [](io::h5::File& f) {
         f.write<Complex>("object", {2, 1, 1}, std::vector<Complex>(2, 1));
         f.write<int32_t>("object_index", {3}, std::vector<int32_t>{0, 1, 2});
       };
     },
     {"object_index", "entry 2 is 2", "0 to 1"}},
    {"object_index_short",
     [](ScanFile& s) {
       s.extra = [](io::h5::File& f) { f.write<int32_t>("object_index", {2}, std::vector<int32_t>{0, 0}); };
     },
     {"object_index", "2 entries for 3 frames"}},
    {"group_out_of_range",
     [](ScanFile& s) {
       s.extra = [](io::h5::File& f) { f.write<int64_t>("groups", {2, 2}, std::vector<int64_t>{0, 1, 2, 3}); };
     },
     {"groups", "group 1 names frame 3", "0 to 2"}},
    {"group_negative",
     [](ScanFile& s) {
       s.extra = [](io::h5::File& f) { f.write<int64_t>("groups", {1, 2}, std::vector<int64_t>{-1, 1}); };
     },
     {"groups", "group 0 names frame -1"}},
    {"groups_rank_1",
     [](ScanFile& s) {
       s.extra = [](io::h5::File& f) { f.write<int64_t>("groups", {2}, std::vector<int64_t>{0, 1}); };
     },
     {"groups", "[2]", "[groups, members]"}},
    {"frames_of_complex",
     [](ScanFile& s) {
       s.omit = {"diffraction"};
       s.extra = [](io::h5::File& f) { f.write<Complex>("diffraction", {3, 4, 4}, std::vector<Complex>(48)); };
     },
     {"diffraction", "complex64", "integers or reals"}},
    {"frames_never_written",
     [](ScanFile& s) {
       s.omit = {"diffraction"};
       s.extra = [](io::h5::File& f) {
         f.create_dataset<uint16_t>("diffraction", {100000, 1024, 1024}, {{1, 1024, 1024}, 1});
       };
     },
     {"diffraction", "no data was ever written"}},
    {"frames_mostly_claimed",
     [](ScanFile& s) {
       s.omit = {"diffraction"};
       s.extra = [](io::h5::File& f) {
         io::h5::Dataset data = f.create_dataset<uint16_t>("diffraction", {100000, 64, 64}, {{1, 64, 64}, 1});
         data.write_rows<uint16_t>(0, 1, std::vector<uint16_t>(4096, 1));
       };
     },
     {"diffraction", "claims 819200000 bytes", "incomplete or damaged"}},
    {"no_frames_at_all",
     [](ScanFile& s) {
       s.counts.clear();
       s.frame_shape = {0, 4, 4};
     },
     {"diffraction", "[0, 4, 4]"}},
};

TEST(scan_errors, opening_names_file_dataset_and_remedy) {
  const TemporaryFolder folder;
  for (const BadScan& bad : bad_scans) {
    SCOPED_TRACE(bad.name);
    const std::string path = folder.file(std::string(bad.name) + ".h5");
    ScanFile scan;
    bad.spoil(scan);
    scan.write(path);
    const std::string message = file_error_of([&] { io::open_scan(path, bad.hints); });
    expect_parts(message, {path});
    expect_parts(message, bad.message);
  }
}

TEST(scan_errors, hints_supply_what_a_file_leaves_open) {
  const TemporaryFolder folder;
  ScanFile scan;
  scan.domain.reset();
  scan.dc.reset();
  scan.origin.reset();
  scan.format.reset();
  scan.write(folder.file("bare.h5"));
  const io::ScanHints hints{.domain = io::Domain::amplitude,
                            .dc = io::DcPlace::centre,
                            .order = io::AxisOrder::xy,
                            .origin = io::Origin::centre,
                            .pixel_size_m = 1e-8};
  const auto reader = io::open_scan(folder.file("bare.h5"), hints);
  EXPECT_EQ(reader->info().domain, io::Domain::amplitude);
  EXPECT_EQ(reader->info().positions_px[1], (std::array<double, 2>{3.5, 2}));
  EXPECT_EQ(reader->info().pixel_size_m, 1e-8);
}

TEST(scan_errors, the_order_of_positions_is_the_users_where_the_file_does_not_state_it) {
  const TemporaryFolder folder;
  ScanFile scan;
  scan.origin = "centre";
  const auto first_of = [&](const std::string& name, std::optional<io::AxisOrder> order) {
    scan.write(folder.file(name));
    return io::open_scan(folder.file(name), {.order = order})->info().positions_px[1];
  };
  using Position = std::array<double, 2>;
  const Position as_stored{2, 3.5}, exchanged{3.5, 2};
  EXPECT_EQ(first_of("a.h5", {}), as_stored);
  EXPECT_EQ(first_of("b.h5", io::AxisOrder::yx), as_stored);
  EXPECT_EQ(first_of("c.h5", io::AxisOrder::xy), exchanged);
  scan.extra = [](io::h5::File& f) { f.dataset("positions_px").set_text("order", "x,y"); };
  EXPECT_EQ(first_of("d.h5", {}), exchanged);
}

struct BadValue {
  const char* name;
  float value;
  const char* domain;
  std::vector<std::string> message;
};
const BadValue bad_values[] = {
    {"nan", nan_value, "counts", {"frame 2, pixel [1, 3] is NaN", "count"}},
    {"infinite", infinity, "counts", {"frame 2, pixel [1, 3] is infinite"}},
    {"negative", -1, "counts", {"frame 2, pixel [1, 3] is negative (-1)"}},
    {"nan_amplitude", nan_value, "amplitude", {"frame 2, pixel [1, 3] is NaN", "amplitude"}},
    {"infinite_amplitude", infinity, "amplitude", {"frame 2, pixel [1, 3] is infinite"}},
    {"negative_amplitude", -0.5f, "amplitude", {"frame 2, pixel [1, 3] is negative (-0.5)"}},
};

TEST(scan_errors, reading_names_frame_and_pixel_as_the_file_has_them) {
  const TemporaryFolder folder;
  for (const BadValue& bad : bad_values)
    for (const char* dc : {"centre", "corner"}) {
      SCOPED_TRACE(std::string(bad.name) + " " + dc);
      const std::string path = folder.file(std::string(bad.name) + dc + ".h5");
      ScanFile scan;
      scan.as_float = true;
      scan.domain = bad.domain;
      scan.dc = dc;
      scan.counts[2 * 16 + 1 * 4 + 3] = bad.value;
      scan.write(path);
      const auto reader = io::open_scan(path);
      const std::string message = file_error_of([&] { read_all(*reader); });
      expect_parts(message, {path, "diffraction"});
      expect_parts(message, bad.message);
      std::vector<float> two(32);
      reader->read_amplitude(0, 2, two);
      const float raw = dc == std::string("centre") ? 25 : 225;
      EXPECT_EQ(two[5], bad.domain == std::string("counts") ? std::sqrt(raw) : raw);
    }
}

TEST(scan_errors, a_masked_pixel_may_hold_anything) {
  const TemporaryFolder folder;
  ScanFile scan;
  scan.as_float = true;
  scan.dc = "corner";
  scan.counts[16 + 0 * 4 + 1] = nan_value;
  scan.extra = [](io::h5::File& f) {
    std::vector<uint8_t> mask(16, 1);
    mask[1] = 0;
    f.write<uint8_t>("mask", {4, 4}, mask);
  };
  scan.write(folder.file("masked.h5"));
  const auto reader = io::open_scan(folder.file("masked.h5"));
  const std::vector<float> amplitude = read_all(*reader);
  EXPECT_EQ(reader->info().mask[2 * 4 + 3], 0);
  EXPECT_EQ(amplitude[16 + 2 * 4 + 3], 0.0f);
  EXPECT_EQ(amplitude[16 + 2 * 4 + 2], 16.0f);
}

TEST(scan_errors, a_mask_of_other_numbers) {
  const TemporaryFolder folder;
  for (const auto& [value, shown] :
       {std::pair{0.5, "holds 0.5"}, {1.5, "holds 1.5"}, {-1.0, "holds -1"}, {NAN, "holds nan"}}) {
    ScanFile scan;
    scan.extra = [&](io::h5::File& f) {
      std::vector<double> mask(16, 1);
      mask[3] = value;
      f.write<double>("mask", {4, 4}, mask);
    };
    const std::string path = folder.file("mask.h5");
    scan.write(path);
    expect_parts(file_error_of([&] { io::open_scan(path); }), {"mask", shown, "1 (use) or 0"});
    std::filesystem::remove(path);
  }
}

TEST(scan_errors, a_mask_of_truth_values) {
  const TemporaryFolder folder;
  const std::string path = folder.file("bool.h5");
  ScanFile().write(path);
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), truth = H5Tenum_create(H5T_STD_I8LE);
  const hsize_t shape[2] = {4, 4};
  const hid_t space = H5Screate_simple(2, shape, nullptr);
  for (const auto& [name, value] : {std::pair<const char*, int8_t>{"FALSE", 0}, {"TRUE", 1}})
    EXPECT_GE(H5Tenum_insert(truth, name, &value), 0);
  const hid_t data = H5Dcreate2(file, "mask", truth, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  std::vector<int8_t> mask(16, 1);
  mask[3] = 0;
  EXPECT_GE(H5Dwrite(data, truth, H5S_ALL, H5S_ALL, H5P_DEFAULT, mask.data()), 0);
  H5Sclose(space), H5Tclose(truth), H5Dclose(data), H5Fclose(file);
  const auto reader = io::open_scan(path);
  EXPECT_TRUE(std::equal(mask.begin(), mask.end(), reader->info().mask.begin(), reader->info().mask.end()));
}

TEST(scan_errors, a_compression_that_the_library_lacks_is_named) {
  constexpr H5Z_filter_t number = 307;  // in the range for testing
  const auto keep = [](unsigned, size_t, const unsigned[], size_t bytes, size_t*, void**) { return bytes; };
  const H5Z_class2_t filter{H5Z_CLASS_T_VERS, number, 1, 1, "rare", nullptr, nullptr, keep};
  ASSERT_GE(H5Zregister(&filter), 0);
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  ScanFile scan;
  scan.omit = {"diffraction"};
  scan.write(path);
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), creation = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t shape[3] = {3, 4, 4};
  const hid_t space = H5Screate_simple(3, shape, nullptr), text = H5Tcopy(H5T_C_S1), scalar = H5Screate(H5S_SCALAR);
  H5Pset_chunk(creation, 3, shape);
  H5Pset_filter(creation, number, 0, 0, nullptr);
  const hid_t data = H5Dcreate2(file, "diffraction", H5T_STD_U16LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  const std::vector<uint16_t> counts(48, 5);
  EXPECT_GE(H5Dwrite(data, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, counts.data()), 0);
  H5Tset_size(text, 6);
  for (const auto& [name, value] : {std::pair{"domain", "counts"}, {"dc", "centre"}}) {
    const hid_t attribute = H5Acreate2(data, name, text, scalar, H5P_DEFAULT, H5P_DEFAULT);
    EXPECT_GE(H5Awrite(attribute, text, value), 0);
    H5Aclose(attribute);
  }
  H5Sclose(scalar), H5Sclose(space), H5Tclose(text), H5Dclose(data), H5Pclose(creation), H5Fclose(file);
  EXPECT_EQ(read_all(*io::open_scan(path))[0], std::sqrt(5.0f));
  ASSERT_GE(H5Zunregister(number), 0);
  const auto reader = io::open_scan(path);
  expect_parts(file_error_of([&] { read_all(*reader); }), {path, "diffraction", "'rare'", "307", "gzip"});
}

TEST(scan_errors, a_number_whose_bits_leave_its_bytes_is_damage) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  ScanFile().write(path);
  std::ifstream in(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  // A little-endian 64-bit float: class and version, bit field, size 8, bit offset 0, precision 64.
  const std::string float64("\x11\x20\x3f\0\x08\0\0\0\0\0\x40\0", 12);
  const size_t at = bytes.find(float64);
  ASSERT_NE(at, std::string::npos);
  bytes[at + 11] = '\x40';  // a precision of 16,448 bits
  std::ofstream(path, std::ios::binary) << bytes;
  expect_parts(file_error_of([&] { read_all(*io::open_scan(path)); }), {path, "damaged"});
}

TEST(scan_errors, frames_outside_the_scan) {
  const TemporaryFolder folder;
  ScanFile().write(folder.file("scan.h5"));
  const auto reader = io::open_scan(folder.file("scan.h5"));
  std::vector<float> out(32);
  expect_parts(file_error_of([&] { reader->read_amplitude(2, 2, out); }), {"2 frames from 2", "0 to 2"});
  expect_parts(file_error_of([&] { reader->read_amplitude(-1, 2, out); }), {"from -1"});
  expect_parts(file_error_of([&] { reader->read_amplitude(0, 3, out); }), {"room for 32 values", "3 frames"});
}

TEST(scan_errors, what_is_not_a_scan_file) {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& name) {
    return file_error_of([&] { io::open_scan(folder.file(name)); });
  };
  std::ofstream(folder.file("text.h5")) << "frames: none, this is a text\n";
  std::ofstream(folder.file("empty.h5"));
  std::filesystem::create_directory(folder.file("folder"));
  std::filesystem::create_directory(folder.file("run"));
  std::ofstream(folder.file("run/model.h5"));
  expect_parts(message("text.h5"), {folder.file("text.h5"), "neither an HDF5 scan file nor an NPZ"});
  expect_parts(message("empty.h5"), {folder.file("empty.h5"), "is empty"});
  expect_parts(message("folder"), {folder.file("folder"), "is a folder"});
  expect_parts(message("run"), {"is a run folder"});
  expect_parts(message("absent.h5"), {folder.file("absent.h5"), "no such file"});
}

TEST(scan_errors, truncated_anywhere) {
  const TemporaryFolder folder;
  const std::string whole = folder.file("whole.h5"), cut = folder.file("cut.h5");
  ScanFile scan;
  scan.frames = 40;
  scan.frame_shape = {40, 64, 64};
  scan.positions.assign(80, 1.0);
  scan.positions_shape = {40, 2};
  scan.counts.assign(40 * 64 * 64, 3);
  scan.omit = {"probe"};
  scan.write(whole);
  const auto bytes = static_cast<int64_t>(std::filesystem::file_size(whole));
  for (int64_t keep : {int64_t{9}, int64_t{64}, int64_t{600}, bytes / 2, bytes - 1}) {
    SCOPED_TRACE(keep);
    std::filesystem::copy_file(whole, cut, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(cut, static_cast<uintmax_t>(keep));
    expect_parts(file_error_of([&] { read_all(*io::open_scan(cut)); }), {cut});
  }
}

TEST(scan_errors, a_file_cut_while_open_fails_in_words) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  ScanFile scan;
  scan.frames = 40;
  scan.frame_shape = {40, 64, 64};
  scan.positions.assign(80, 1.0);
  scan.positions_shape = {40, 2};
  scan.counts.assign(40 * 64 * 64, 3);
  scan.omit = {"probe"};
  // Frames that are not compressed would read as zeros.
  for (const io::h5::Storage& storage : {io::h5::Storage{{1, 64, 64}, 1}, io::h5::Storage{{1, 64, 64}, 0}, {}}) {
    scan.storage = storage;
    scan.write(path);
    const auto reader = io::open_scan(path);
    std::filesystem::resize_file(path, 3000);
    expect_parts(file_error_of([&] { read_all(*reader); }),
                 {path, "diffraction", "cannot be read", "truncated or damaged"});
  }
}

TEST(scan_errors, a_file_that_vanishes) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  ScanFile().write(path);
  std::filesystem::remove(path);
  expect_parts(file_error_of([&] { io::open_scan(path); }), {path, "no such file"});
}

/// Links `name` in the file to `dataset` of another file.
void link_to(const std::string& path, const std::string& name, const std::string& target, const std::string& dataset) {
  const io::h5::Lock lock;
  const io::h5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
  ASSERT_GE(H5Lcreate_external(target.c_str(), dataset.c_str(), file.get(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), 0);
}

TEST(scan_errors, external_links_stay_in_the_folder) {
  const TemporaryFolder folder;
  ScanFile().write(folder.file("data.h5"));
  std::filesystem::create_directory(folder.file("below"));
  const std::string path = folder.file("below/scan.h5"), beside = folder.file("beside.h5");
  for (const std::string& target : {folder.file("data.h5"), std::string("../data.h5")}) {
    SCOPED_TRACE(target);
    ScanFile scan;
    scan.omit = {"diffraction"};
    scan.write(path);
    link_to(path, "diffraction", target, "diffraction");
    expect_parts(file_error_of([&] { io::open_scan(path); }),
                 {path, "diffraction", "external link", target, "refused"});
  }
  ScanFile scan;
  scan.omit = {"diffraction"};
  scan.write(beside);
  link_to(beside, "diffraction", "data.h5", "diffraction");
  EXPECT_EQ(read_all(*io::open_scan(beside))[7], 7.0f);

  // A chain: the first link is harmless, the second climbs.
  scan.write(path);
  link_to(path, "diffraction", "other.h5", "linked");
  ScanFile().write(folder.file("below/other.h5"));
  link_to(folder.file("below/other.h5"), "linked", "../data.h5", "diffraction");
  expect_parts(file_error_of([&] { io::open_scan(path); }), {path, "diffraction", "../data.h5", "refused"});

  scan.write(path);
  link_to(path, "diffraction", "absent.h5", "diffraction");
  expect_parts(file_error_of([&] { io::open_scan(path); }), {path, "diffraction", "cannot be opened"});
}

TEST(scan_errors, virtual_datasets_stay_in_the_folder) {
  const TemporaryFolder folder;
  ScanFile().write(folder.file("data.h5"));
  for (const std::string& target : {folder.file("data.h5"), std::string("data.h5")}) {
    const std::string path = folder.file("scan.h5");
    ScanFile scan;
    scan.omit = {"diffraction"};
    scan.write(path);
    {
      const io::h5::Lock lock;
      const hsize_t extent[3] = {3, 4, 4};
      const io::h5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
      const io::h5::Handle space(H5Screate_simple(3, extent, nullptr), H5Sclose);
      const io::h5::Handle created(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
      ASSERT_GE(H5Pset_virtual(created.get(), space.get(), target.c_str(), "diffraction", space.get()), 0);
      const io::h5::Handle data(
          H5Dcreate2(file.get(), "diffraction", H5T_STD_U16LE, space.get(), H5P_DEFAULT, created.get(), H5P_DEFAULT),
          H5Dclose);
      ASSERT_TRUE(data.valid());
    }
    const io::ScanHints hints{.domain = io::Domain::counts, .dc = io::DcPlace::centre};
    if (target == "data.h5") {
      EXPECT_EQ(read_all(*io::open_scan(path, hints))[7], 7.0f);
    } else {
      expect_parts(file_error_of([&] { io::open_scan(path, hints); }), {path, "diffraction", target, "refused"});
    }
  }
}

/// Makes `name` of the file a virtual dataset of `sources`, a frame each: frame 0 of their dataset `of`.
void make_virtual(const std::string& path, const std::string& name, const std::vector<std::string>& sources,
                  const std::string& of) {
  const io::h5::Lock lock;
  const hsize_t extent[3] = {3, 4, 4}, one[3] = {1, 4, 4};
  const io::h5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
  const io::h5::Handle space(H5Screate_simple(3, extent, nullptr), H5Sclose),
      from(H5Screate_simple(3, extent, nullptr), H5Sclose);
  const io::h5::Handle created(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  for (size_t i = 0; i < sources.size(); ++i) {
    const hsize_t to[3] = {i, 0, 0}, first[3] = {0, 0, 0};
    H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, to, nullptr, one, nullptr);
    H5Sselect_hyperslab(from.get(), H5S_SELECT_SET, first, nullptr, one, nullptr);
    ASSERT_GE(H5Pset_virtual(created.get(), space.get(), sources[i].c_str(), of.c_str(), from.get()), 0);
  }
  const io::h5::Handle data(
      H5Dcreate2(file.get(), name.c_str(), H5T_STD_U16LE, space.get(), H5P_DEFAULT, created.get(), H5P_DEFAULT),
      H5Dclose);
  ASSERT_TRUE(data.valid());
}

/// The working folder, for a while.
struct WorkingFolder {
  explicit WorkingFolder(const std::string& folder) : before(std::filesystem::current_path()) {
    std::filesystem::current_path(folder);
  }
  ~WorkingFolder() { std::filesystem::current_path(before); }
  std::filesystem::path before;
};

const io::ScanHints plain_counts{.domain = io::Domain::counts, .dc = io::DcPlace::centre};

TEST(scan_errors, links_are_not_looked_for_in_the_working_folder) {
  const TemporaryFolder folder, elsewhere;
  const std::string path = folder.file("scan.h5");
  ScanFile().write(elsewhere.file("data.h5"));
  ScanFile scan;
  scan.omit = {"diffraction"};
  const WorkingFolder there(elsewhere.path());
  const std::vector<std::string> names{path, "diffraction", "data.h5", "this file's folder"};
  scan.write(path);
  link_to(path, "diffraction", "data.h5", "diffraction");
  expect_parts(file_error_of([&] { io::open_scan(path); }), names);
  scan.write(path);
  make_virtual(path, "diffraction", {"data.h5"}, "diffraction");
  expect_parts(file_error_of([&] { io::open_scan(path, plain_counts); }), names);
}

TEST(scan_errors, symbolic_links_are_resolved) {
  const TemporaryFolder folder, elsewhere;
  const std::string path = folder.file("scan.h5");
  ScanFile().write(elsewhere.file("data.h5"));
  std::filesystem::create_symlink(elsewhere.file("data.h5"), folder.file("data.h5"));
  ScanFile scan;
  scan.omit = {"diffraction"};
  scan.write(path);
  link_to(path, "diffraction", "data.h5", "diffraction");
  expect_parts(file_error_of([&] { io::open_scan(path); }), {path, "diffraction", "data.h5", "outside", "refused"});
  // A folder of symbolic links to files that lie together.
  scan.write(elsewhere.file("scan.h5"));
  link_to(elsewhere.file("scan.h5"), "diffraction", "data.h5", "diffraction");
  std::filesystem::remove(path);
  std::filesystem::create_symlink(elsewhere.file("scan.h5"), path);
  EXPECT_EQ(read_all(*io::open_scan(path))[7], 7.0f);
}

TEST(scan_errors, a_virtual_dataset_needs_all_its_sources) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  for (const char* name : {"a.h5", "b.h5"}) ScanFile().write(folder.file(name));
  ScanFile scan;
  scan.omit = {"diffraction"};
  struct Case {
    std::vector<std::string> sources;
    const char* of;
    std::vector<std::string> message;  // empty: it is read
  };
  const Case cases[] = {{{"a.h5", "b.h5", "a.h5"}, "diffraction", {}},
                        {{"a.h5", "gone.h5"}, "diffraction", {"gone.h5", "cannot be opened"}},
                        {{"a.h5", "b.h5"}, "other", {"'other'", "a.h5", "missing"}},
                        {{"../a.h5"}, "diffraction", {"../a.h5", "refused"}},
                        {{"."}, "diffraction", {"leads back to itself"}}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.sources.back());
    scan.write(path);
    make_virtual(path, "diffraction", c.sources, c.of);
    if (c.message.empty()) {
      EXPECT_EQ(read_all(*io::open_scan(path, plain_counts))[2 * 16 + 7], 7.0f);
    } else {
      const std::string message = file_error_of([&] { io::open_scan(path, plain_counts); });
      expect_parts(message, {path, "diffraction"});
      expect_parts(message, c.message);
    }
  }
}

TEST(scan_errors, sources_named_by_a_pattern_are_refused) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  ScanFile scan;
  scan.omit = {"diffraction"};
  scan.write(path);
  {
    const io::h5::Lock lock;
    const hsize_t extent[3] = {3, 4, 4}, most[3] = {H5S_UNLIMITED, 4, 4}, one[3] = {1, 4, 4}, first[3] = {0, 0, 0},
                  times[3] = {H5S_UNLIMITED, 1, 1};
    const io::h5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    const io::h5::Handle space(H5Screate_simple(3, extent, most), H5Sclose),
        from(H5Screate_simple(3, one, nullptr), H5Sclose);
    const io::h5::Handle created(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, first, one, times, one);
    ASSERT_GE(H5Pset_virtual(created.get(), space.get(), "%b.h5", "diffraction", from.get()), 0);
    const io::h5::Handle data(
        H5Dcreate2(file.get(), "diffraction", H5T_STD_U16LE, space.get(), H5P_DEFAULT, created.get(), H5P_DEFAULT),
        H5Dclose);
    ASSERT_TRUE(data.valid());
  }
  expect_parts(file_error_of([&] { io::open_scan(path, plain_counts); }), {path, "diffraction", "%b.h5", "pattern"});
}

TEST(scan_errors, sources_of_sources_stay_in_the_folder) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.file("below"));
  ScanFile().write(folder.file("data.h5"));
  const std::string path = folder.file("below/scan.h5"), inner = folder.file("below/inner.h5");
  ScanFile scan;
  scan.omit = {"diffraction"};
  scan.write(path);
  make_virtual(path, "diffraction", {"inner.h5"}, "diffraction");
  scan.write(inner);
  make_virtual(inner, "diffraction", {folder.file("data.h5")}, "diffraction");
  expect_parts(file_error_of([&] { io::open_scan(path, plain_counts); }), {path, folder.file("data.h5"), "refused"});
  scan.write(inner);
  link_to(inner, "diffraction", "../data.h5", "diffraction");
  expect_parts(file_error_of([&] { io::open_scan(path, plain_counts); }), {path, "../data.h5", "refused"});
}

/// Makes `name` of the file [3,4,4] counts in files of raw data, `bytes` from `offset` on of each.
void make_raw(const std::string& path, const std::string& name, const std::vector<std::string>& files, off_t offset,
              hsize_t bytes) {
  const io::h5::Lock lock;
  const hsize_t extent[3] = {3, 4, 4};
  const io::h5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
  const io::h5::Handle space(H5Screate_simple(3, extent, nullptr), H5Sclose);
  const io::h5::Handle created(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  for (const std::string& raw : files) ASSERT_GE(H5Pset_external(created.get(), raw.c_str(), offset, bytes), 0);
  const io::h5::Handle data(
      H5Dcreate2(file.get(), name.c_str(), H5T_STD_U16LE, space.get(), H5P_DEFAULT, created.get(), H5P_DEFAULT),
      H5Dclose);
  ASSERT_TRUE(data.valid());
}

TEST(scan_errors, raw_data_beside_the_file) {
  const TemporaryFolder folder, elsewhere;
  const std::string path = folder.file("scan.h5");
  const WorkingFolder there(elsewhere.path());
  for (const auto& [name, bytes, message] :
       {std::tuple{"frames.raw", 96, ""}, {"frames.raw", 95, "truncated"}, {"/etc/hostname", 96, "refused"}}) {
    SCOPED_TRACE(message);
    {
      std::vector<uint16_t> counts(48, 49);
      std::ofstream(folder.file("frames.raw"), std::ios::binary)
          .write(reinterpret_cast<const char*>(counts.data()), bytes);
    }
    ScanFile scan;
    scan.omit = {"diffraction"};
    scan.write(path);
    make_raw(path, "diffraction", {name}, 0, 96);
    if (*message == '\0') {
      EXPECT_EQ(read_all(*io::open_scan(path, plain_counts))[47], 7.0f);
    } else {
      expect_parts(file_error_of([&] { io::open_scan(path, plain_counts); }), {path, "diffraction", name, message});
    }
  }
}

TEST(scan_errors, raw_data_behind_a_virtual_dataset_are_refused) {
  const TemporaryFolder folder, elsewhere;
  const std::string path = folder.file("scan.h5"), inner = folder.file("inner.h5");
  const std::vector<uint16_t> here(48, 49), decoy(48, 9801);
  for (const auto& [name, counts] :
       {std::pair(folder.file("frames.raw"), &here), {elsewhere.file("frames.raw"), &decoy}})
    std::ofstream(name, std::ios::binary).write(reinterpret_cast<const char*>(counts->data()), 96);
  ScanFile scan;
  scan.omit = {"diffraction"};
  scan.write(path);
  scan.write(inner);
  make_raw(inner, "diffraction", {"frames.raw"}, 0, 96);
  make_virtual(path, "diffraction", {"inner.h5"}, "diffraction");
  const WorkingFolder there(elsewhere.path());
  expect_parts(file_error_of([&] { io::open_scan(path, plain_counts); }),
               {path, "diffraction", "raw data", "working folder", "refused"});
}

TEST(scan_errors, raw_data_that_end_too_early) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  const std::vector<uint16_t> counts(48, 49);
  ScanFile scan;
  scan.omit = {"diffraction"};
  struct Case {
    size_t bytes;
    off_t offset;
    hsize_t said;
    const char* message;
  };
  for (const Case& c : {Case{96, 0, H5F_UNLIMITED, ""},
                        {16, 0, H5F_UNLIMITED, "hold 16 bytes"},
                        {96, 1, H5F_UNLIMITED, "hold 95 bytes"},
                        {16, 20, H5F_UNLIMITED, "hold 0 bytes"},
                        {96, 8, H5F_UNLIMITED - 4, "truncated"}}) {
    SCOPED_TRACE(c.message);
    std::ofstream(folder.file("frames.raw"), std::ios::binary)
        .write(reinterpret_cast<const char*>(counts.data()), static_cast<std::streamsize>(c.bytes));
    scan.write(path);
    make_raw(path, "diffraction", {"frames.raw"}, c.offset, c.said);
    if (*c.message == '\0') {
      EXPECT_EQ(read_all(*io::open_scan(path, plain_counts))[47], 7.0f);
    } else {
      expect_parts(file_error_of([&] { io::open_scan(path, plain_counts); }), {path, "diffraction", c.message});
    }
  }
}

TEST(scan_errors, a_linked_file_that_is_none_is_not_looked_for_elsewhere) {
  const TemporaryFolder folder, elsewhere;
  const std::string path = folder.file("scan.h5");
  ScanFile().write(elsewhere.file("data.h5"));
  std::ofstream(folder.file("data.h5")) << "no HDF5";
  ScanFile scan;
  scan.omit = {"diffraction"};
  scan.write(path);
  link_to(path, "diffraction", "data.h5", "diffraction");
  const WorkingFolder there(elsewhere.path());
  expect_parts(file_error_of([&] { io::open_scan(path); }), {path, "diffraction", "data.h5", "cannot be opened"});
}

/// Makes `name` of a file a virtual dataset of `extent` elements, one of which is somewhere.
void claim(const std::string& path, const std::string& name, const std::vector<hsize_t>& extent, hid_t type) {
  const io::h5::Lock lock;
  const io::h5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
  const std::vector<hsize_t> one(extent.size(), 1), first(extent.size(), 0);
  const int rank = static_cast<int>(extent.size());
  const io::h5::Handle small(H5Screate_simple(rank, one.data(), nullptr), H5Sclose),
      large(H5Screate_simple(rank, extent.data(), nullptr), H5Sclose);
  const int64_t zero[2] = {0, 0};
  const io::h5::Handle source(
      H5Dcreate2(file.get(), "source", type, small.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Dclose);
  ASSERT_GE(H5Dwrite(source.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, zero), 0);
  H5Sselect_hyperslab(large.get(), H5S_SELECT_SET, first.data(), nullptr, one.data(), nullptr);
  const io::h5::Handle created(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  ASSERT_GE(H5Pset_virtual(created.get(), large.get(), ".", "source", small.get()), 0);
  const io::h5::Handle data(
      H5Dcreate2(file.get(), name.c_str(), type, large.get(), H5P_DEFAULT, created.get(), H5P_DEFAULT), H5Dclose);
  ASSERT_TRUE(data.valid());
}

TEST(scan_errors, virtual_datasets_claim_no_more_than_their_sources_hold) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  ScanFile().write(path);
  claim(path, "groups", {1000000000, 4}, H5T_NATIVE_INT64);
  expect_parts(file_error_of([&] { io::open_scan(path); }), {path, "groups", "claims 32000000000 bytes", "only 8"});
  ScanFile().write(path);
  claim(path, "object_index", {100000}, H5T_NATIVE_INT32);  // as much as a small one may claim
  expect_parts(file_error_of([&] { io::open_scan(path); }), {path, "object_index", "100000 entries for 3 frames"});
}

TEST(scan_errors, virtual_datasets_that_multiply_are_refused) {
  const TemporaryFolder folder;
  const std::string path = folder.file("scan.h5");
  constexpr int wide = 30, high = 5;
  ScanFile scan;
  scan.omit = {"diffraction"};
  scan.extra = [](io::h5::File& f) { f.write<uint16_t>("layer0", {1}, std::vector<uint16_t>{1}); };
  scan.write(path);
  {
    const io::h5::Lock lock;
    const io::h5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    const hsize_t extent = wide, one = 1;
    const io::h5::Handle row(H5Screate_simple(1, &extent, nullptr), H5Sclose),
        from(H5Screate_simple(1, &one, nullptr), H5Sclose);
    for (int layer = 1; layer <= high; ++layer) {
      const io::h5::Handle created(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
      for (hsize_t i = 0; i < extent; ++i) {
        H5Sselect_hyperslab(row.get(), H5S_SELECT_SET, &i, nullptr, &one, nullptr);
        // Many names of one dataset.
        const std::string below = std::string(i + 1, '/') + "layer" + std::to_string(layer - 1);
        ASSERT_GE(H5Pset_virtual(created.get(), row.get(), ".", below.c_str(), from.get()), 0);
      }
      const std::string name = layer == high ? "diffraction" : "layer" + std::to_string(layer);
      const io::h5::Handle data(
          H5Dcreate2(file.get(), name.c_str(), H5T_STD_U16LE, row.get(), H5P_DEFAULT, created.get(), H5P_DEFAULT),
          H5Dclose);
      ASSERT_TRUE(data.valid());
    }
  }
  expect_parts(file_error_of([&] { io::open_scan(path, plain_counts); }), {path, "diffraction", "10000 sources"});
}

}  // namespace
}  // namespace ptyfuse::tests
