// Right kernels: results in every order of threads, counters, no findings.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/emu/recorder.h"
#include "tests/emu/device_array.h"
#include "tests/emu/kernels.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

const emu::Mode every_mode[] = {
    {.order = emu::Order::mixed, .counted = false},    {.order = emu::Order::forward, .counted = false},
    {.order = emu::Order::reversed, .counted = false}, {.order = emu::Order::shuffled, .counted = false},
    {.order = emu::Order::mixed, .counted = true},     {.order = emu::Order::forward, .counted = true},
    {.order = emu::Order::reversed, .counted = true},  {.order = emu::Order::shuffled, .counted = true},
};

/// Runs `check` in every mode, with a recorder that throws on findings.
template <class Check>
void in_every_mode(Check&& check) {
  const Stream stream(test_device());
  for (const emu::Mode& mode : every_mode) {
    SCOPED_TRACE("order " + std::to_string(static_cast<int>(mode.order)) + (mode.counted ? ", counted" : ""));
    emu::Recorder recorder(mode);
    check(stream);
  }
}

std::vector<uint16_t> to_bf16(const std::vector<float>& values) {
  std::vector<uint16_t> out;
  for (const float v : values) out.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(v) >> 16));
  return out;
}
double from_bf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

class Transpose {
 public:
  static constexpr int side = 128;
  Transpose() {
    for (size_t i = 0; i < host.size(); ++i) host[i] = static_cast<float>(i);
    emu::copy_to_device(in.data(), host.data(), static_cast<int64_t>(host.size() * sizeof(float)));
  }
  void expect_result() const {
    const std::vector<float> result = out.host();
    int wrong = 0;
    for (size_t y = 0; y < side; ++y)
      for (size_t x = 0; x < side; ++x) wrong += result[x * side + y] != host[y * side + x];
    EXPECT_EQ(wrong, 0);
  }
  std::vector<float> host = std::vector<float>(side * side);
  DeviceArray<float> in{side * side, "in"}, out{side * side, "out"};
};

TEST(emu_kernels, transposes_are_right_in_every_order) {
  in_every_mode([](const Stream& stream) {
    for (const int kind : {0, 1, 2}) {
      const Transpose t;
      if (kind == 0) transpose_naive(stream, t.in.data(), t.out.data(), t.side);
      if (kind != 0) transpose_tile(stream, t.in.data(), t.out.data(), t.side, kind == 2);
      t.expect_result();
    }
  });
}

TEST(emu_kernels, transposes_show_sectors_and_bank_conflicts) {
  const Stream stream(test_device());
  const Transpose t;
  constexpr uint64_t elements = Transpose::side * Transpose::side, requests = elements / 32;
  emu::Recorder recorder;
  transpose_naive(stream, t.in.data(), t.out.data(), t.side);
  transpose_tile(stream, t.in.data(), t.out.data(), t.side, false);
  transpose_tile(stream, t.in.data(), t.out.data(), t.side, true);
  const std::vector<emu::LaunchReport>& launches = recorder.launches();
  ASSERT_EQ(launches.size(), 3U);
  EXPECT_EQ(launches[0].kernel, "naive");
  EXPECT_EQ(launches[1].kernel, "through_tile<0>");
  EXPECT_EQ(launches[2].kernel, "through_tile<1>");
  for (const emu::LaunchReport& l : launches) {
    SCOPED_TRACE(l.text());
    const emu::Counters& c = l.counters;
    EXPECT_EQ(c.blocks, 16U);
    EXPECT_EQ(c.threads, elements);
    EXPECT_EQ(c.global_read.requests, requests);
    EXPECT_EQ(c.global_read.bytes, elements * 4);
    EXPECT_EQ(c.global_read.cost_per_request(), 4);
    EXPECT_EQ(c.global_write.requests, requests);
    EXPECT_EQ(c.global_write.bytes, elements * 4);
    EXPECT_EQ(c.global_write.ideal, requests * 4);
    EXPECT_EQ(c.footprint_read_bytes, elements * 4);
    EXPECT_EQ(c.footprint_write_bytes, elements * 4);
    EXPECT_TRUE(l.findings.empty());
  }
  const emu::Counters &naive = launches[0].counters, &unpadded = launches[1].counters, &padded = launches[2].counters;
  EXPECT_EQ(naive.global_write.cost_per_request(), 32);
  EXPECT_EQ(naive.shared_read.requests + naive.shared_write.requests + naive.block_barriers, 0U);
  EXPECT_EQ(unpadded.global_write.cost_per_request(), 4);
  EXPECT_EQ(padded.global_write.cost_per_request(), 4);
  EXPECT_EQ(unpadded.block_barriers, 16U);
  EXPECT_EQ(unpadded.shared_write.cost_per_request(), 1);
  EXPECT_EQ(unpadded.shared_read.cost_per_request(), 32);
  EXPECT_EQ(unpadded.shared_read.cost_over_ideal(), 32);
  EXPECT_EQ(padded.shared_write.cost_per_request(), 1);
  EXPECT_EQ(padded.shared_read.cost_per_request(), 1);
  EXPECT_EQ(recorder.total("through_tile").launches, 2U);
  EXPECT_EQ(recorder.total("through_tile").shared_read.requests, 2 * requests);
  // The costliest instruction is named by its line.
  EXPECT_NE(launches[0].instructions.at(0).where.find("tests/emu/transpose.cu:"), std::string::npos)
      << launches[0].text();
  EXPECT_EQ(launches[0].instructions.at(0).traffic.cost, requests * 32);
}

TEST(emu_kernels, block_sums_by_shuffles) {
  constexpr int rows = 5, length = 1000;
  const std::vector<float> host = random_floats(rows * length, -1, 1, 1);
  const DeviceArray<float> in(host, "in");
  in_every_mode([&](const Stream& stream) {
    const DeviceArray<float> sums(rows, "sums");
    row_sums(stream, in.data(), sums.data(), rows, length);
    for (size_t r = 0; r < rows; ++r) {
      const auto begin = host.begin() + static_cast<int64_t>(r) * length;
      EXPECT_WITHIN(std::abs(sums.host()[r] - std::accumulate(begin, begin + length, 0.0)), 1e-4);
    }
  });
}

TEST(emu_kernels, atomic_sums_over_blocks_on_several_host_threads) {
  constexpr int length = 10000;
  std::vector<float> host(length);
  std::iota(host.begin(), host.end(), 0.0F);
  for (float& v : host) v = std::fmod(v, 16.0F);  // sums of integers are exact in any order
  const DeviceArray<float> in(host, "in");
  in_every_mode([&](const Stream& stream) {
    const DeviceArray<float> total(std::vector<float>{0.0F}, "total");
    sum_atomically(stream, in.data(), total.data(), length);
    EXPECT_EQ(total.host()[0], std::accumulate(host.begin(), host.end(), 0.0F));
  });
}

TEST(emu_kernels, shuffles_move_values_as_cuda_defines) {
  in_every_mode([](const Stream& stream) {
    const DeviceArray<int> out(6 * 32, "out");
    shuffles(stream, out.data());
    const std::vector<int> got = out.host();
    for (int lane = 0; lane < 32; ++lane) {
      const auto at = [&](int row) { return got[static_cast<size_t>(row * 32 + lane)]; };
      EXPECT_EQ(at(0), 100 + (lane >= 3 ? lane - 3 : lane));
      EXPECT_EQ(at(1), 100 + (lane + 5 < 32 ? lane + 5 : lane));
      EXPECT_EQ(at(2), 100 + (lane ^ 7));
      EXPECT_EQ(at(3), 100 + lane / 2);
      EXPECT_EQ(at(4), 100 + (lane % 8 >= 2 ? lane - 2 : lane));
      EXPECT_EQ(static_cast<unsigned>(at(5)), 0x49249249U);
    }
  });
}

TEST(emu_kernels, vectors_make_one_request) {
  constexpr int n = 100;
  const std::vector<float> host = random_floats(4 * n, 0, 1, 2);
  const DeviceArray<float> in(host, "in"), out(n, "out");
  const Stream stream(test_device());
  emu::Recorder recorder;
  sum_float4(stream, in.data(), out.data(), n);
  const emu::Counters c = recorder.total("sum_vectors");
  EXPECT_EQ(c.global_read.requests, 4U) << recorder.text();  // 100 threads: three warps and a part
  EXPECT_EQ(c.global_read.bytes, n * 16U);
  EXPECT_EQ(c.global_read.cost, n * 16U / 32);
  EXPECT_EQ(c.global_write.requests, 4U);
  EXPECT_EQ(c.global_write.cost, 13U);
  for (size_t i = 0; i < n; ++i)
    EXPECT_WITHIN(std::abs(out.host()[i] - host[4 * i] - host[4 * i + 1] - host[4 * i + 2] - host[4 * i + 3]), 0.01);
}

/// d of a row-major [16,k] times b column-major [8,k], plus 1.
std::vector<double> plain_product(const std::vector<double>& a, const std::vector<double>& b, size_t k) {
  std::vector<double> d(16 * 8, 1.0);
  for (size_t row = 0; row < 16; ++row)
    for (size_t column = 0; column < 8; ++column)
      for (size_t i = 0; i < k; ++i) d[row * 8 + column] += a[row * k + i] * b[column * k + i];
  return d;
}

TEST(emu_kernels, mma_bf16_is_the_plain_product) {
  constexpr int k = 48;
  const std::vector<uint16_t> a = to_bf16(random_floats(16 * k, -1, 1, 3)), b = to_bf16(random_floats(8 * k, -1, 1, 4));
  std::vector<double> da, db;
  for (const uint16_t v : a) da.push_back(from_bf16(v));
  for (const uint16_t v : b) db.push_back(from_bf16(v));
  std::vector<uint16_t> b_rows(b.size());  // row-major [k,8]
  for (size_t i = 0; i < k; ++i)
    for (size_t column = 0; column < 8; ++column) b_rows[i * 8 + column] = b[column * k + i];
  const std::vector<double> expected = plain_product(da, db, k);
  const DeviceArray<uint16_t> device_a(a, "a"), device_b(b, "b"), device_b_rows(b_rows, "b by rows");
  in_every_mode([&](const Stream& stream) {
    for (const int kind : {0, 1, 2}) {
      const DeviceArray<float> d(16 * 8, "d");
      if (kind == 0) product_bf16(stream, device_a.data(), device_b.data(), d.data(), k);
      if (kind == 1) product_ldmatrix(stream, device_a.data(), device_b.data(), d.data(), k, false);
      if (kind == 2) product_ldmatrix(stream, device_a.data(), device_b_rows.data(), d.data(), k, true);
      SCOPED_TRACE(kind);
      EXPECT_WITHIN(max_difference(d.host().data(), expected.data(), 16 * 8), 1e-5);
    }
  });
}

TEST(emu_kernels, mma_flop_and_ldmatrix_bank_cycles_are_counted) {
  constexpr int k = 32;
  const DeviceArray<uint16_t> a(std::vector<uint16_t>(16 * k), "a"), b(std::vector<uint16_t>(8 * k), "b");
  const DeviceArray<float> d(16 * 8, "d");
  const Stream stream(test_device());
  emu::Recorder recorder;
  product_ldmatrix(stream, a.data(), b.data(), d.data(), k, false);
  const emu::Counters c = recorder.total();
  EXPECT_EQ(c.mma_flop, 2U * 16 * 8 * k);
  // Per step of 16: four matrices of 128 bytes of a, two of b, each read twice; the pad keeps rows in different banks.
  EXPECT_EQ(c.shared_read.requests, 2U * k / 16);
  EXPECT_EQ(c.shared_read.cost, 6U * k / 16);
  EXPECT_EQ(c.shared_read.cost_over_ideal(), 1) << recorder.text();
}

TEST(emu_kernels, ldmatrix_gives_each_lane_its_elements) {
  in_every_mode([](const Stream& stream) {
    for (const bool transposed : {false, true}) {
      std::vector<uint16_t> host(4 * 64);
      std::iota(host.begin(), host.end(), uint16_t{1000});
      const DeviceArray<uint16_t> in(host, "in");
      const DeviceArray<uint32_t> out(32 * 4, "out");
      load_matrices(stream, in.data(), out.data(), transposed);
      const std::vector<uint32_t> got = out.host();
      for (int lane = 0; lane < 32; ++lane)
        for (int m = 0; m < 4; ++m) {
          const int i = lane / 4, j = lane % 4 * 2;
          const auto element = [&](int row, int column) {
            return static_cast<uint32_t>(1000 + m * 64 + row * 8 + column);
          };
          const uint32_t low = transposed ? element(j, i) : element(i, j),
                         high = transposed ? element(j + 1, i) : element(i, j + 1);
          EXPECT_EQ(got[static_cast<size_t>(lane * 4 + m)], low | high << 16) << "lane " << lane << ", matrix " << m;
        }
    }
  });
}

TEST(emu_kernels, pipeline_of_asynchronous_copies) {
  constexpr int padded = 512 * 7, length = padded - 300;
  const std::vector<float> host = random_floats(padded, -1, 1, 7);
  const DeviceArray<float> in(host, "in");
  in_every_mode([&](const Stream& stream) {
    const DeviceArray<float> out(padded, "out");
    doubled_through_pipeline(stream, in.data(), out.data(), padded, length);
    const std::vector<float> got = out.host();
    for (size_t i = 0; i < padded; ++i) EXPECT_EQ(got[i], i < length ? 2 * host[i] : 0.0F) << i;
  });
}

TEST(emu_kernels, asynchronous_copies_that_are_not_valid_fill_with_zero) {
  constexpr int length = 256;
  const std::vector<float> host = random_floats(length, 1, 2, 8);
  const DeviceArray<float> in(host, "in");
  in_every_mode([&](const Stream& stream) {
    const DeviceArray<float> out(length, "out");
    copied_in_pieces(stream, in.data(), out.data(), length);
    const std::vector<float> got = out.host();
    for (size_t i = 0; i < length; ++i) EXPECT_EQ(got[i], i / 4 % 3 != 0 ? host[i] : 0.0F) << i;
  });
}

}  // namespace
}  // namespace ptyfuse::tests
