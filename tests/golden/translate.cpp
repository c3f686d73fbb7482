// translate.h5: recorded bilinear translations and projective warps, with their vector-Jacobian products.
#include "kernels/ops/translate.h"

#include "kernels/ops/projective.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/golden.h"

namespace ptyfuse {
namespace {

using namespace tests;
using complex128 = std::complex<double>;

/// Images and results of one group, [n,H,W,1] in the file.
struct Recorded {
  Shape images, outputs;
  std::vector<complex64> image, cotangent;
  std::vector<complex128> output, gradient;  // in double
  std::vector<complex64> output_single, gradient_single;

  Recorded(const GoldenFile& file, const std::string& group)
      : images(shape(file, group + "/image")),
        outputs(shape(file, group + "/output")),
        image(file.read<complex64>(group + "/image")),
        cotangent(file.read<complex64>(group + "/cotangent")),
        output(file.read<complex128>(group + "/output_f64")),
        gradient(file.read<complex128>(group + "/grad_image_f64")),
        output_single(file.read<complex64>(group + "/output")),
        gradient_single(file.read<complex64>(group + "/grad_image")) {}

  static Shape shape(const GoldenFile& file, const std::string& dataset) {
    const auto s = file.shape(dataset);
    return {s.at(0), s.at(1), s.at(2)};
  }
};

TEST(golden, translate) {
  SKIP_WITHOUT_GOLDEN("translate.h5");
  const GoldenFile file("translate.h5");
  const Recorded r(file, "translate");
  const auto shift_xy = file.read<float>("translate/shift_xy");
  std::vector<float> shift_yx;
  for (size_t n = 0; n < shift_xy.size(); n += 2) shift_yx.insert(shift_yx.end(), {shift_xy[n + 1], shift_xy[n]});
  Stream stream(test_device());
  const auto image = upload<complex64>(stream, r.images, r.image);
  const auto cotangent = upload<complex64>(stream, r.outputs, r.cotangent);
  const auto shift = upload<float>(stream, {r.images[0], 2}, shift_yx);
  Tensor<complex64> output(stream.device(), r.outputs, "output"), gradient(stream.device(), r.images, "gradient");
  ops::translate(stream, image.view(), shift.view(), output.view());
  ops::translate_adjoint(stream, cotangent.view(), shift.view(), gradient.view());
  EXPECT_WITHIN(max_difference(output.data(), r.output.data(), r.outputs.elements()), 1e-6);
  EXPECT_WITHIN(max_difference(output.data(), r.output_single.data(), r.outputs.elements()), 1e-6);
  EXPECT_WITHIN(max_difference(gradient.data(), r.gradient.data(), r.images.elements()), 1e-6);
  EXPECT_WITHIN(max_difference(gradient.data(), r.gradient_single.data(), r.images.elements()), 1e-6);
}

TEST(golden, projective) {
  SKIP_WITHOUT_GOLDEN("translate.h5");
  const GoldenFile file("translate.h5");
  const Recorded r(file, "projective");
  Stream stream(test_device());
  const auto image = upload<complex64>(stream, r.images, r.image);
  const auto cotangent = upload<complex64>(stream, r.outputs, r.cotangent);
  const auto matrix = upload<double>(stream, {r.images[0], 3, 3}, file.read<double>("projective/matrix"));
  Tensor<complex64> output(stream.device(), r.outputs, "output"), gradient(stream.device(), r.images, "gradient");
  ops::projective(stream, image.view(), matrix.view(), output.view());
  ops::projective_adjoint(stream, cotangent.view(), matrix.view(), gradient.view());
  // Coordinates are in double here: the double record binds closer than the recorded single precision allows.
  EXPECT_WITHIN(max_difference(output.data(), r.output.data(), r.outputs.elements()), 2e-6);
  EXPECT_WITHIN(max_difference(output.data(), r.output_single.data(), r.outputs.elements()), 5e-5);
  EXPECT_WITHIN(max_difference(gradient.data(), r.gradient.data(), r.images.elements()), 2e-6);
  EXPECT_WITHIN(max_difference(gradient.data(), r.gradient_single.data(), r.images.elements()), 5e-5);
}

}  // namespace
}  // namespace ptyfuse
