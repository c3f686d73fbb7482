// Reconstruction files, checkpoints, and images of other files.
#include <png.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "io/checkpoint.h"
#include "io/crc32.h"
#include "io/reconstruction_file.h"
#include "tests/io/scan_fixture.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse::tests {
namespace {

io::Reconstruction reconstruction(int64_t images) {
  io::Reconstruction r;
  r.object = {images, 3, 4, {}};
  for (int i = 0; i < 12 * images; ++i) {
    r.object.data.emplace_back(static_cast<float>(i), -0.5f);
    r.weight.push_back(static_cast<float>(i % 3));
  }
  r.origin_px = {-7, 20};
  r.pixel_size_m = 1e-8;
  r.probe = {2, 2, 2, std::vector<Complex>(8, Complex(1, 2))};
  r.positions_px = {{1.5, 2}, {3, 4}};
  r.residual = {0.5, 0.25};
  r.patches = {2, 2, 2, std::vector<Complex>(8, Complex(3, 4))};
  r.pattern_count = 100;
  r.seconds = 4;
  r.device = "cpu";
  r.precision = "fp32";
  r.config = "[train]\nseed = 1 # µ\n";
  r.version = "0.1.0";
  return r;
}

TEST(reconstruction_file, written_and_read_again) {
  const TemporaryFolder folder;
  for (int64_t images : {1, 2}) {
    const io::Reconstruction r = reconstruction(images);
    const std::string path = folder.file("recon.h5");
    io::write_reconstruction(path, r, true);
    const io::Reconstruction back = io::read_reconstruction(path);
    EXPECT_EQ(back.object.depth, images);
    EXPECT_EQ(back.object.height, 3);
    EXPECT_EQ(back.object.width, 4);
    EXPECT_EQ(back.object.data, r.object.data);
    EXPECT_EQ(back.weight, r.weight);
    EXPECT_EQ(back.origin_px, r.origin_px);
    EXPECT_EQ(back.pixel_size_m, r.pixel_size_m);
    EXPECT_EQ(back.probe.depth, 2);
    EXPECT_EQ(back.probe.data, r.probe.data);
    EXPECT_EQ(back.positions_px, r.positions_px);
    EXPECT_EQ(back.residual, r.residual);
    EXPECT_EQ(back.patches.data, r.patches.data);
    EXPECT_EQ(back.pattern_count, 100);
    EXPECT_EQ(back.seconds, 4);
    EXPECT_EQ(back.device, "cpu");
    EXPECT_EQ(back.precision, "fp32");
    EXPECT_EQ(back.config, r.config);
    EXPECT_EQ(back.version, "0.1.0");
    const io::h5::File file = io::h5::File::open(path);
    EXPECT_EQ(file.number("patterns_per_second"), 25);
    EXPECT_EQ(file.dataset("object").rank(), images == 1 ? 2 : 3);
    EXPECT_EQ(file.dataset("positions_px").text("origin"), "centre");
  }
}

TEST(reconstruction_file, errors) {
  const TemporaryFolder folder;
  const std::string path = folder.file("recon.h5");
  io::Reconstruction r = reconstruction(1);
  io::write_reconstruction(path, r, false);
  expect_parts(file_error_of([&] { io::write_reconstruction(path, r, false); }), {path, "--force"});
  r.weight.pop_back();
  expect_parts(file_error_of([&] { io::write_reconstruction(path, r, true); }), {path, "weight", "11 values for 12"});
  EXPECT_EQ(io::read_reconstruction(path).weight.size(), 12u);
  ScanFile().write(folder.file("scan.h5"));
  expect_parts(file_error_of([&] { io::read_reconstruction(folder.file("scan.h5")); }),
               {"'ptyfuse-scan'", "'ptyfuse-reconstruction'"});
  ScanFile bare;
  bare.format.reset();
  bare.write(folder.file("bare.h5"));
  expect_parts(file_error_of([&] { io::read_reconstruction(folder.file("bare.h5")); }), {"object", "is missing"});
  expect_parts(file_error_of([&] { io::read_reconstruction(folder.file("none.h5")); }), {"none.h5", "no such file"});
}

/// A legal product with one number of its header replaced.
std::string spoilt_product(const std::string& path, const std::function<void(io::h5::File&)>& spoil) {
  io::h5::File file = io::h5::File::create(path, path);
  file.set_text("format", "ptyfuse-reconstruction");
  spoil(file);
  if (!file.has("object")) file.write<Complex>("object", {1, 2}, std::vector<Complex>(2, 1));
  file.close();
  return file_error_of([&] { io::read_reconstruction(path); });
}

TEST(reconstruction_file, numbers_that_no_count_and_no_place_can_be) {
  const TemporaryFolder folder;
  const std::string path = folder.file("recon.h5");
  EXPECT_EQ(spoilt_product(path, [](io::h5::File&) {}), "");
  for (const double patterns : {double(NAN), double(INFINITY), -1.0, 1e300})
    expect_parts(spoilt_product(path, [=](io::h5::File& f) { f.set_number("patterns", patterns); }),
                 {path, "'patterns'", "a number of patterns was expected"});
  for (const int64_t origin : {int64_t{1} << 62, -(int64_t{1} << 62)})
    expect_parts(
        spoilt_product(path,
                       [=](io::h5::File& f) {
                         const int64_t at[] = {0, origin};
                         f.write<Complex>("object", {1, 2}, std::vector<Complex>(2, 1)).set_integers("origin_px", at);
                       }),
        {path, "object", "'origin_px'", "at most 1e9"});
  for (const double far : {double(NAN), double(INFINITY), 2e9})
    expect_parts(spoilt_product(path,
                                [=](io::h5::File& f) {
                                  f.write<double>("positions_px", {2, 2}, std::vector<double>{1, 2, far, 3});
                                }),
                 {path, "positions_px", "position 1", "at most 1e9"});
}

TEST(reconstruction_file, an_attribute_of_a_million_numbers_is_refused) {
  const TemporaryFolder folder;
  const std::string path = folder.file("recon.h5");
  const io::h5::Lock lock;
  {
    // So large an attribute needs the newest format of the library.
    const io::h5::Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    H5Pset_libver_bounds(access.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    const io::h5::Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose);
    const hsize_t count = 1 << 20;
    const io::h5::Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
    const io::h5::Handle attribute(
        H5Acreate2(file.get(), "patterns", H5T_STD_U8LE, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    const std::vector<uint8_t> zeros(count);
    ASSERT_GE(H5Awrite(attribute.get(), H5T_NATIVE_UINT8, zeros.data()), 0);
  }
  const io::h5::File file = io::h5::File::open(path);
  expect_parts(file_error_of([&] { file.number("patterns"); }), {path, "'patterns'", "1048576 numbers"});
}

io::Checkpoint checkpoint() {
  io::Checkpoint c;
  c.config = "N = 64\n";
  c.weights = {{"enc.0.conv0/kernel", {2, 3}, {1, 2, 3, 4, 5, 6}},
               {"enc.0.conv0/bias", {3}, {7, 8, 9}},
               {"log_scale", {}, {10}}};
  c.adam_m = {{"enc.0.conv0/kernel", {6}, {6, 5, 4, 3, 2, 1}}};
  c.adam_v = {{"enc.0.conv0/kernel", {6}, {0, 0, 0, 0, 0, 1e-30f}}};
  c.step = (int64_t{1} << 40) + 3;
  c.epoch = 7;
  c.step_in_epoch = 11;
  c.random_state = {0xffffffffffffffffu, 5};
  c.normalisation = 0.1;
  c.log_scale = 6.9;
  c.measured_scale = 1.0 / 3;
  c.learning_rate = 1e-3;
  c.trainer_state = {INFINITY, 1, 2.5};
  c.canvas = 74;
  c.probe = {1, 2, 2, std::vector<Complex>(4, Complex(1, 2))};
  return c;
}

TEST(checkpoint, written_and_read_again_bit_for_bit) {
  const TemporaryFolder folder;
  const std::string path = folder.file("model.h5");
  const io::Checkpoint c = checkpoint();
  io::write_checkpoint(path, c);
  io::write_checkpoint(path, c);
  const io::Checkpoint back = io::read_checkpoint(path);
  EXPECT_EQ(back.config, c.config);
  ASSERT_EQ(back.weights.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(back.weights[i].name, c.weights[i].name);
    EXPECT_EQ(back.weights[i].shape, c.weights[i].shape);
    EXPECT_EQ(back.weights[i].data, c.weights[i].data);
  }
  EXPECT_EQ(back.adam_m.at(0).data, c.adam_m[0].data);
  EXPECT_EQ(back.adam_v.at(0).data, c.adam_v[0].data);
  EXPECT_EQ(back.step, c.step);
  EXPECT_EQ(back.epoch, 7);
  EXPECT_EQ(back.step_in_epoch, 11);
  EXPECT_EQ(back.random_state, c.random_state);
  EXPECT_EQ(back.normalisation, 0.1);
  EXPECT_EQ(back.log_scale, 6.9);
  EXPECT_EQ(back.measured_scale, c.measured_scale);
  EXPECT_EQ(back.learning_rate, 1e-3);
  EXPECT_EQ(back.trainer_state, c.trainer_state);
  EXPECT_EQ(back.canvas, 74);
  EXPECT_EQ(back.probe.data, c.probe.data);
  EXPECT_EQ(folder.names(), std::set<std::string>{"model.h5"});

  io::write_checkpoint(path, io::Checkpoint());
  EXPECT_TRUE(io::read_checkpoint(path).weights.empty());
}

TEST(checkpoint, refuses_what_is_not_whole) {
  const TemporaryFolder folder;
  const std::string path = folder.file("model.h5");
  io::Checkpoint c = checkpoint();
  c.weights[0].data.assign(6, 1234.5f);
  io::write_checkpoint(path, c);
  // One bit of one weight.
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  const float value = 1234.5f;
  const size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&value), 4));
  ASSERT_NE(at, std::string::npos);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(static_cast<char>(bytes[at] ^ 1));
  file.close();
  expect_parts(file_error_of([&] { io::read_checkpoint(path); }),
               {path, "weights/enc.0.conv0/kernel", "checksum", "damaged"});

  c.weights[0].shape = {7};
  expect_parts(file_error_of([&] { io::write_checkpoint(path, c); }), {path, "weights/enc.0.conv0/kernel", "[7]"});
  ScanFile().write(path);
  expect_parts(file_error_of([&] { io::read_checkpoint(path); }), {path, "not a checkpoint", "'ptyfuse-scan'"});
  ScanFile other;
  other.format = "ptyfuse-checkpoint";
  other.extra = [](io::h5::File& f) { f.set_integer("version", 2); };
  other.write(path);
  expect_parts(file_error_of([&] { io::read_checkpoint(path); }), {path, "version 2"});
  std::filesystem::resize_file(path, 700);
  expect_parts(file_error_of([&] { io::read_checkpoint(path); }), {path, "truncated"});
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

void put_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(crc32, is_that_of_zlib_and_goes_on_where_it_stopped) {
  const std::string digits = "123456789";
  EXPECT_EQ(io::crc32(digits.data(), 9), 0xCBF43926u);
  EXPECT_EQ(io::crc32(nullptr, 0), 0u);
  std::string text;
  for (int i = 0; i < 100; ++i) text += static_cast<char>(i * i);
  const uint32_t whole = io::crc32(text.data(), text.size());
  EXPECT_EQ(whole,
            0x23baa30du);  // python3 -c "import zlib; print(hex(zlib.crc32(bytes(i*i % 256 for i in range(100)))))"
  for (size_t at = 0; at <= text.size(); ++at)
    EXPECT_EQ(io::crc32(text.data() + at, text.size() - at, io::crc32(text.data(), at)), whole) << at;
}

TEST(checkpoint, one_flipped_bit_in_any_dataset_is_refused_and_the_dataset_named) {
  const TemporaryFolder folder;
  const std::string path = folder.file("model.h5");
  const io::Checkpoint c = checkpoint();
  io::write_checkpoint(path, c);
  const std::string whole = bytes_of(path);
  const auto pattern = []<class T>(const std::vector<T>& data) {
    return std::string(reinterpret_cast<const char*>(data.data()), data.size() * sizeof(T));
  };
  const std::pair<const char*, std::string> datasets[] = {
      {"config", c.config},
      {"weights_names", "enc.0.conv0/kernel\nenc.0.conv0/bias\nlog_scale\n"},
      {"weights/enc.0.conv0/kernel", pattern(c.weights[0].data)},
      {"weights/enc.0.conv0/bias", pattern(c.weights[1].data)},
      {"adam_m/enc.0.conv0/kernel", pattern(c.adam_m[0].data)},
      {"adam_v/enc.0.conv0/kernel", pattern(c.adam_v[0].data)},
      {"random_state", pattern(c.random_state)},
      {"trainer_state", pattern(c.trainer_state)},
      {"probe", pattern(c.probe.data)},
  };
  for (const auto& [name, data] : datasets) {
    SCOPED_TRACE(name);
    const size_t at = whole.find(data);
    ASSERT_NE(at, std::string::npos);
    ASSERT_EQ(whole.find(data, at + 1), std::string::npos);
    for (size_t i = 0; i < data.size(); ++i) {
      std::string damaged = whole;
      damaged[at + i] = static_cast<char>(damaged[at + i] ^ 1 << i % 8);
      put_bytes(path, damaged);
      const std::string said = file_error_of([&] { io::read_checkpoint(path); });
      EXPECT_NE(said.find(path + ": " + name + ": "), std::string::npos) << i << " " << said;
    }
  }
}

TEST(checkpoint, one_flipped_bit_in_an_attribute_is_refused) {
  const TemporaryFolder folder;
  const std::string path = folder.file("model.h5");
  const io::Checkpoint c = checkpoint();
  io::write_checkpoint(path, c);
  const std::string whole = bytes_of(path);
  for (const double value : {c.normalisation, c.log_scale, c.measured_scale, c.learning_rate}) {
    SCOPED_TRACE(value);
    const size_t at = whole.find(std::string(reinterpret_cast<const char*>(&value), sizeof value));
    ASSERT_NE(at, std::string::npos);
    for (size_t i = 0; i < sizeof value; ++i) {
      std::string damaged = whole;
      damaged[at + i] = static_cast<char>(damaged[at + i] ^ 1 << i % 8);
      put_bytes(path, damaged);
      expect_parts(file_error_of([&] { io::read_checkpoint(path); }), {path, "do not match its checksum", "damaged"});
    }
  }
}

TEST(checkpoint, without_sums_of_single_datasets_is_read_and_without_any_refused) {
  const TemporaryFolder folder;
  const std::string path = folder.file("model.h5");
  io::write_checkpoint(path, checkpoint());
  const auto remove = [&](const char* object, const char* attribute) {
    const io::h5::Lock lock;
    const io::h5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    ASSERT_GE(H5Adelete_by_name(file.get(), object, attribute, H5P_DEFAULT), 0) << object;
  };
  for (const char* name : {"config", "weights_names", "weights/enc.0.conv0/kernel", "probe"}) remove(name, "crc32");
  EXPECT_EQ(io::read_checkpoint(path).weights.at(0).data, checkpoint().weights[0].data);
  std::string damaged = bytes_of(path);
  const std::vector<float> weights = checkpoint().weights[0].data;
  damaged[damaged.find(std::string(reinterpret_cast<const char*>(weights.data()), 24))] ^= 1;
  put_bytes(path, damaged);
  expect_parts(file_error_of([&] { io::read_checkpoint(path); }), {path, "do not match its checksum", "fnv1a64:"});

  io::write_checkpoint(path, checkpoint());
  remove("/", "checksum");
  expect_parts(file_error_of([&] { io::read_checkpoint(path); }), {path, "no attribute 'checksum'", "nothing proves"});
}

TEST(checkpoint, its_epoch_is_read_alone) {
  const TemporaryFolder folder;
  EXPECT_EQ(io::checkpoint_epoch(folder.file("none.h5")), std::nullopt);
  io::write_checkpoint(folder.file("model.h5"), checkpoint());
  EXPECT_EQ(io::checkpoint_epoch(folder.file("model.h5")), 7);
  ScanFile().write(folder.file("scan.h5"));
  EXPECT_EQ(io::checkpoint_epoch(folder.file("scan.h5")), std::nullopt);
}

TEST(checkpoint, counters_that_are_no_whole_numbers) {
  const TemporaryFolder folder;
  const std::string path = folder.file("model.h5");
  for (const double step : {double(NAN), double(INFINITY), -1.0, 0.5, 1e300}) {
    io::h5::File file = io::h5::File::create(path, path);
    file.set_text("format", "ptyfuse-checkpoint");
    file.set_integer("version", 1);
    file.set_text("checksum", "");
    file.set_number("step", step);
    file.close();
    expect_parts(file_error_of([&] { io::read_checkpoint(path); }), {path, "'step'", "whole number"});
  }
}

TEST(checkpoint, one_tensor_under_a_million_names_takes_no_memory) {
  const TemporaryFolder folder;
  const std::string path = folder.file("model.h5");
  io::Checkpoint c = checkpoint();
  c.weights = {{"a", {1000}, std::vector<float>(1000, 1)}};
  io::write_checkpoint(path, c);
  const auto bytes = static_cast<int64_t>(std::filesystem::file_size(path));
  {
    const io::h5::Lock lock;
    const io::h5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    H5Ldelete(file.get(), "weights_names", H5P_DEFAULT);
    std::string names;
    for (int64_t i = 0; i < bytes; ++i) names += "a\n";  // they would be a thousand times the file
    const io::h5::Handle type(H5Tcopy(H5T_C_S1), H5Tclose), space(H5Screate(H5S_SCALAR), H5Sclose);
    H5Tset_size(type.get(), names.size());
    const io::h5::Handle dataset(
        H5Dcreate2(file.get(), "weights_names", type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
        H5Dclose);
    ASSERT_GE(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, names.data()), 0);
  }
  expect_parts(file_error_of([&] { io::read_checkpoint(path); }),
               {path, "weights_names", "more tensors than the file can hold"});
}

void write_png(const std::string& path, uint32_t width, uint32_t height, uint32_t format,
               const std::vector<uint8_t>& pixels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = format;
  ASSERT_NE(png_image_write_to_file(&image, path.c_str(), 0, pixels.data(), 0, nullptr), 0);
}

TEST(complex_image, of_hdf5_and_png) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a:b.h5");
  ScanFile scan;
  scan.extra = [](io::h5::File& f) {
    f.write<double>("deep/real", {2, 1, 2}, std::vector<double>{1, 2, 3, 4});
    f.write<Complex>("nan", {1, 1}, std::vector<Complex>{Complex(NAN, 0)});
  };
  scan.write(path);
  EXPECT_EQ(io::read_complex_image(path, "probe").data, scan.probe);
  EXPECT_EQ(io::read_complex_image(path + ":probe", "object").data, scan.probe);
  const io::ComplexImage real = io::read_complex_image(path + ":deep/real", "probe");
  EXPECT_EQ(real.depth, 2);
  EXPECT_EQ(real.height, 1);
  EXPECT_EQ(real.data, (std::vector<Complex>{1, 2, 3, 4}));
  expect_parts(file_error_of([&] { io::read_complex_image(path, "object"); }),
               {path, "object", "FILE:DATASET", "probe"});
  expect_parts(file_error_of([&] { io::read_complex_image(path + ":none", "object"); }), {path, "none", "is missing"});
  expect_parts(file_error_of([&] { io::read_complex_image(path + ":deep", "object"); }),
               {path, "deep", "not a dataset"});
  expect_parts(file_error_of([&] { io::read_complex_image(path + ":nan", "object"); }), {path, "nan", "finite"});
  expect_parts(file_error_of([&] { io::read_complex_image(folder.file("none.h5:x"), "object"); }),
               {"none.h5", "no such file"});

  const std::string grey = folder.file("grey.png"), colour = folder.file("colour.png");
  write_png(grey, 3, 1, PNG_FORMAT_GRAY, {0, 51, 255});
  const io::ComplexImage image = io::read_complex_image(grey, "object");
  EXPECT_EQ(image.width, 3);
  EXPECT_EQ(image.data, (std::vector<Complex>{0, 51 / 255.0f, 1}));
  write_png(colour, 1, 2, PNG_FORMAT_RGBA, {255, 255, 255, 0, 0, 0, 0, 255});
  EXPECT_EQ(io::read_complex_image(colour, "object").data, (std::vector<Complex>{1, 0}));
  expect_parts(file_error_of([&] { io::read_complex_image(grey + ":x", "object"); }), {grey, "no dataset 'x'"});
  std::filesystem::resize_file(grey, 50);
  expect_parts(file_error_of([&] { io::read_complex_image(grey, "object"); }), {grey, "PNG"});
}

}  // namespace
}  // namespace ptyfuse::tests
