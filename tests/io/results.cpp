// Reconstruction files, checkpoints, and images of other files.
#include <png.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "io/checkpoint.h"
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
  expect_parts(file_error_of([&] { io::read_checkpoint(path); }), {path, "checksum", "damaged"});

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
