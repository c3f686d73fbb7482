// Probes and objects of other files.
#include <png.h>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <filesystem>

#include "io/file_kind.h"
#include "io/npz_archive.h"
#include "io/scan.h"
#include "io/scan_parts.h"

namespace ptyfuse::io {

namespace {

namespace fs = std::filesystem;

/// A PNG being read. libpng reports errors by longjmp, so the functions that call it hold no C++ objects of their own.
class PngFile {
 public:
  explicit PngFile(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "rb")) {
    if (!file_) throw FileError(path, "cannot be opened");
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png_) info_ = png_create_info_struct(png_);
  }
  ~PngFile() {
    png_destroy_read_struct(&png_, &info_, nullptr);
    std::fclose(file_);
  }
  PngFile(const PngFile&) = delete;
  PngFile& operator=(const PngFile&) = delete;

  /// Grey values 0..1.
  ComplexImage read() {
    if (!info_ || !read_header()) fail();
    std::error_code error;
    const auto file_bytes = static_cast<int64_t>(fs::file_size(path_, error));
    const int64_t pixels = int64_t{width_} * height_;
    constexpr int64_t densest = 1100 * 8, free_pixels = 1 << 20;  // one-bit pixels, deflated
    if (pixels > free_pixels && pixels / densest > file_bytes)
      throw FileError(
          path_, fmt::format("claims {} x {} pixels in {} bytes; the file is damaged", width_, height_, file_bytes));
    bytes_.resize(static_cast<size_t>(pixels * depth_ / 8));
    rows_.resize(height_);
    for (size_t y = 0; y < rows_.size(); ++y) rows_[y] = bytes_.data() + y * width_ * static_cast<size_t>(depth_) / 8;
    if (!read_rows()) fail();
    ComplexImage image{1, height_, width_, std::vector<std::complex<float>>(static_cast<size_t>(pixels))};
    for (size_t i = 0; i < image.data.size(); ++i)
      image.data[i] = depth_ == 16 ? static_cast<float>(bytes_[2 * i] << 8 | bytes_[2 * i + 1]) / 65535.0f
                                   : static_cast<float>(bytes_[i]) / 255.0f;
    return image;
  }

 private:
  static void on_error(png_structp png, png_const_charp message) {
    std::snprintf(static_cast<PngFile*>(png_get_error_ptr(png))->message_, sizeof message_, "%s", message);
    png_longjmp(png, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}
  [[noreturn]] void fail() const { throw FileError(path_, std::string("cannot be read as PNG: ") + message_); }

  bool read_header() {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_init_io(png_, file_);
    png_read_info(png_, info_);
    const int colour = png_get_color_type(png_, info_);
    if (colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
    if (colour == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png_);
    if (colour & (PNG_COLOR_MASK_COLOR | PNG_COLOR_MASK_PALETTE)) png_set_rgb_to_gray_fixed(png_, 1, -1, -1);
    if (colour & PNG_COLOR_MASK_ALPHA) png_set_strip_alpha(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    width_ = png_get_image_width(png_, info_);
    height_ = png_get_image_height(png_, info_);
    depth_ = png_get_bit_depth(png_, info_);
    return png_get_channels(png_, info_) == 1;
  }
  bool read_rows() {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_read_image(png_, rows_.data());
    png_read_end(png_, nullptr);
    return true;
  }

  std::string path_;
  std::FILE* file_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  png_uint_32 width_ = 0, height_ = 0;
  int depth_ = 8;
  char message_[128] = "an unusual kind of PNG";
  std::vector<unsigned char> bytes_;
  std::vector<png_bytep> rows_;
};

}  // namespace

bool all_finite(const ComplexImage& image) {
  return std::all_of(image.data.begin(), image.data.end(),
                     [](const auto& v) { return std::isfinite(v.real()) && std::isfinite(v.imag()); });
}

FileAndDataset split_dataset(const std::string& file_and_dataset) {
  std::error_code error;
  const size_t colon = file_and_dataset.rfind(':');
  if (fs::exists(file_and_dataset, error) || colon == std::string::npos) return {file_and_dataset, ""};
  return {file_and_dataset.substr(0, colon), file_and_dataset.substr(colon + 1)};
}

ComplexImage read_complex_image(const std::string& file_and_dataset, const std::string& fallback) {
  const auto [file, dataset] = split_dataset(file_and_dataset);
  const std::string bytes = first_bytes(file, "HDF5, NPZ or PNG");
  if (bytes.starts_with("\x89PNG")) {
    if (!dataset.empty()) throw FileError(file, "is a PNG, which has no dataset '" + dataset + "'");
    return PngFile(file).read();
  }
  if (bytes.starts_with("PK")) {
    const NpzArchive archive(file);
    const std::string key = !dataset.empty() ? dataset : archive.has(fallback) ? fallback : fallback + "Guess";
    return archive.image(key);
  }
  const h5::File opened = h5::File::open(file);
  const std::string wanted = dataset.empty() ? fallback : dataset;
  std::string found;
  for (const std::string& name : opened.names(12)) found += (found.empty() ? "" : ", ") + name;
  return read_hdf5_image(opened.dataset(
      wanted, "name another dataset as FILE:DATASET; the file holds " + (found.empty() ? "nothing" : found)));
}

}  // namespace ptyfuse::io
