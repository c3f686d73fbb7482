// What a user is told about inputs and outputs that cannot be used; nothing is left behind.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/cli/cli_test.h"
#include "tests/io/scan_fixture.h"

namespace ptyfuse::tests {
namespace {

using cli_bad_inputs = CliTest;

/// A sound scan of 12 patterns, for a test to spoil.
ScanFile sound_scan(int64_t side_px = 64) {
  ScanFile scan;
  const int64_t frames = 12;
  scan.frames = frames;
  scan.side = side_px;
  scan.frame_shape = {frames, side_px, side_px};
  scan.as_float = true;
  scan.positions_shape = {frames, 2};
  scan.positions.clear();
  scan.probe_shape = {side_px, side_px};
  scan.probe.clear();
  scan.counts.clear();
  for (int64_t f = 0; f < frames; ++f)
    for (const int64_t step : {f / 4, f % 4}) scan.positions.push_back(static_cast<double>(4 * step));
  const auto distance = [&](int64_t i) {
    return std::hypot(static_cast<double>(i / side_px % side_px - side_px / 2),
                      static_cast<double>(i % side_px - side_px / 2));
  };
  for (int64_t i = 0; i < side_px * side_px; ++i)
    scan.probe.push_back(distance(i) < static_cast<double>(side_px) / 4 ? 1.0F : 0.0F);
  for (int64_t i = 0; i < frames * side_px * side_px; ++i)
    scan.counts.push_back(static_cast<float>(std::round(50 * std::exp(-distance(i) / 6))));
  return scan;
}

/// Commands that must refuse a scan.
enum Refusing { by_info = 1, by_train = 2, by_refine = 4, by_reconstruct = 8, by_convert = 16, by_all = 31 };

struct BadScan {
  const char* name;
  int refusing;
  std::function<void(ScanFile&)> spoil;
  std::vector<std::string> message;
};

void set_pixel(ScanFile& scan, float value) {
  scan.counts[static_cast<size_t>((3 * 64 + 5) * 64 + 6)] = value;
}

const BadScan bad_scans[] = {
    {"no_frames", by_all, [](ScanFile& s) { s.omit = {"diffraction"}; }, {"diffraction: is missing", "[S,N,N]"}},
    {"no_positions", by_all, [](ScanFile& s) { s.omit = {"positions_px"}; }, {"positions_px: is missing", "[S,2]"}},
    {"no_probe",
     by_train | by_refine,
     [](ScanFile& s) { s.omit = {"probe"}; },
     {"probe: there is none", "--probe FILE[:DATASET]"}},
    {"frames_not_square",
     by_all,
     [](ScanFile& s) {
       s.frame_shape = {12, 32, 128};
     },
     {"diffraction", "[12, 32, 128]"}},
    {"positions_too_few",
     by_all,
     [](ScanFile& s) {
       s.positions.resize(20);
       s.positions_shape = {10, 2};
     },
     {"positions_px", "[10, 2]", "[12, 2] was expected"}},
    {"domain_unknown", by_all, [](ScanFile& s) { s.domain = "photons"; }, {"diffraction", "'photons'", "--domain"}},
    {"domain_missing", by_all, [](ScanFile& s) { s.domain.reset(); }, {"diffraction", "'domain'", "--domain counts"}},
    {"dc_missing", by_all, [](ScanFile& s) { s.dc.reset(); }, {"diffraction", "'dc'", "--dc centre"}},
    {"dc_unknown", by_all, [](ScanFile& s) { s.dc = "edge"; }, {"diffraction", "'edge'", "--dc"}},
    {"origin_missing", by_all, [](ScanFile& s) { s.origin.reset(); }, {"positions_px", "'origin'", "--origin corner"}},
    {"origin_unknown", by_all, [](ScanFile& s) { s.origin = "left"; }, {"positions_px", "'left'", "--origin"}},
    {"nan", by_all, [](ScanFile& s) { set_pixel(s, NAN); }, {"diffraction: frame 3, pixel [5, 6] is NaN", "mask"}},
    {"infinite", by_all, [](ScanFile& s) { set_pixel(s, INFINITY); }, {"frame 3, pixel [5, 6] is infinite", "mask"}},
    {"negative", by_all, [](ScanFile& s) { set_pixel(s, -2); }, {"frame 3, pixel [5, 6] is negative (-2)", "mask"}},
    {"all_dark",
     by_train | by_refine | by_reconstruct,
     [](ScanFile& s) { s.counts.assign(s.counts.size(), 0); },
     {"diffraction", "hold no counts at all", "--frames"}},
    {"position_not_finite", by_all, [](ScanFile& s) { s.positions[4] = NAN; }, {"positions_px", "must be finite"}},
    {"position_huge", by_all, [](ScanFile& s) { s.positions[4] = -1e300; }, {"positions_px: position 2", "pixels"}},
    {"positions_too_far_apart",
     by_refine | by_reconstruct,
     [](ScanFile& s) { s.positions[0] = 5e8, s.positions[1] = -5e8; },
     {"positions_px", "5000000", "pixels"}},
    {"probe_of_another_size",
     by_all,
     [](ScanFile& s) {
       s.probe.resize(32 * 32);
       s.probe_shape = {32, 32};
     },
     {"probe: is 32 x 32 pixels, the frames are 64 x 64"}},
    {"probe_zero", by_all, [](ScanFile& s) { s.probe.assign(s.probe.size(), 0); }, {"probe: is zero everywhere"}},
    {"group_out_of_range",
     by_all,
     [](ScanFile& s) {
       s.extra = [](io::h5::File& f) { f.write<int64_t>("groups", {1, 4}, std::vector<int64_t>{0, 1, 2, 12}); };
     },
     {"groups: group 0 names frame 12; expected 0 to 11"}},
    {"object_index_out_of_range",
     by_all,
     [](ScanFile& s) {
       s.extra = [](io::h5::File& f) {
         f.write<Complex>("object", {2, 90, 90}, std::vector<Complex>(2 * 8100, 1));
         f.write<int32_t>("object_index", {12}, std::vector<int32_t>(12, 2));
       };
     },
     {"object_index: entry 0 is 2; expected 0 to 1"}},
    {"object_index_beyond_memory",
     by_all,
     [](ScanFile& s) {
       s.extra = [](io::h5::File& f) {
         f.write<int32_t>("object_index", {12}, std::vector<int32_t>(12, std::numeric_limits<int32_t>::max()));
       };
     },
     {"object_index: entry 0 is 2147483647; expected 0 to 11"}},
    {"patterns_of_another_size",
     by_train | by_reconstruct,
     [](ScanFile& s) { s = sound_scan(32); },
     {"diffraction: patterns of 32 pixels"}},
};

TEST_F(cli_bad_inputs, scans_with_one_thing_wrong) {
  sound_scan().write(folder.file("sound.h5"));
  train("RUN", "1", "sound.h5");
  for (const BadScan& bad : bad_scans) {
    SCOPED_TRACE(bad.name);
    const std::string file = std::string(bad.name) + ".h5";
    ScanFile scan = sound_scan();
    bad.spoil(scan);
    scan.write(folder.file(file));
    std::vector<std::string> message = bad.message;
    message.push_back(file);
    const auto check = [&](Refusing who, const Arguments& arguments) {
      if (bad.refusing & who) expect_failure(arguments, 1, message);
    };
    check(by_info, {"info", file});
    check(by_train, Arguments{"train", file, "-o", "NEW"} + tiny_training("1"));
    check(by_refine, {"refine", file, "-o", "r.h5", "--sweeps", "1"});
    check(by_reconstruct, {"reconstruct", "RUN", file, "-o", "r.h5", "--png", "r.png"});
    check(by_convert, {"convert", file, "-o", "c.h5"});
    if (bad.refusing == by_all) check(by_convert, {"convert", file, "-o", "c.npz"});
  }
}

TEST_F(cli_bad_inputs, a_few_dark_frames_are_a_notice) {
  ScanFile scan = sound_scan();
  std::fill_n(scan.counts.begin(), 2 * 64 * 64, 0.0F);
  scan.write(folder.file("dusk.h5"));
  const CommandResult trained =
      run_well(Arguments{"train", "dusk.h5", "-o", "RUN", "--validation", "0"} + tiny_training("1"));
  EXPECT_NE(trained.err.find("2 of 12 training frames hold no counts at all"), std::string::npos) << trained.err;
  const CommandResult refined = run_well({"refine", "dusk.h5", "-o", "r.h5", "--sweeps", "1"});
  EXPECT_NE(refined.err.find("2 of 12 frames hold no counts at all"), std::string::npos) << refined.err;
}

TEST_F(cli_bad_inputs, options_supply_what_a_scan_leaves_open_and_runs_remember) {
  ScanFile scan = sound_scan();
  scan.domain.reset();
  scan.dc.reset();
  scan.origin.reset();
  scan.write(folder.file("open.h5"));
  const Arguments hints{"--domain", "counts", "--dc", "centre", "--origin", "corner"};
  run_well(Arguments{"train", "open.h5", "-o", "RUN"} + tiny_training("1") + hints);
  run_well({"train", "-o", "RUN", "--resume", "--epochs", "2"});
  EXPECT_EQ(io::read_checkpoint(folder.file("RUN/model.h5")).epoch, 2);
  run_well({"train", "-o", "AGAIN", "--config", "RUN/config.toml"});
  expect_same_model("RUN", "AGAIN");
  expect_failure({"reconstruct", "RUN", "open.h5", "-o", "r.h5"}, 1, {"open.h5", "--domain"});
  run_well(Arguments{"reconstruct", "RUN", "open.h5", "-o", "r.h5"} + hints);
}

TEST_F(cli_bad_inputs, files_that_are_no_scans) {
  sound_scan().write(folder.file("sound.h5"));
  train("RUN", "1", "sound.h5");
  write("text.h5", "frames: none, this is a text\n");
  write("empty.h5", "");
  std::filesystem::create_directory(folder.file("folder"));
  ASSERT_EQ(mkfifo(folder.file("pipe").c_str(), 0600), 0);
  std::filesystem::copy_file(folder.file("sound.h5"), folder.file("cut.h5"));
  std::filesystem::resize_file(folder.file("cut.h5"), std::filesystem::file_size(folder.file("cut.h5")) / 2);
  run_well({"refine", "sound.h5", "-o", "recon.h5", "--sweeps", "1"});
  struct Case {
    const char* file;
    std::vector<std::string> message;
  };
  const Case cases[] = {
      {"text.h5", {"text.h5: is neither an HDF5 scan file nor an NPZ"}},
      {"empty.h5", {"empty.h5: is empty"}},
      {"folder", {"folder"}},
      {"absent.h5", {"absent.h5: no such file"}},
      {"cut.h5", {"cut.h5", "truncated"}},
      {"recon.h5", {"recon.h5: attribute 'format' is 'ptyfuse-reconstruction'; a scan file"}},
      {"RUN/model.h5", {"RUN/model.h5: attribute 'format' is 'ptyfuse-checkpoint'; a scan file"}},
      {"pipe", {"pipe: is a pipe; a scan file"}},
      {"RUN", {"RUN: is a run folder; a scan file (HDF5) or NPZ was expected"}},
  };
  for (const Case& c : cases) {
    expect_failure(Arguments{"train", c.file, "-o", "NEW"} + tiny_training("1"), 1, c.message);
    expect_failure({"refine", c.file, "-o", "r.h5"}, 1, c.message);
    expect_failure({"reconstruct", "RUN", c.file, "-o", "r.h5"}, 1, c.message);
    expect_failure({"convert", c.file, "-o", "c.h5"}, 1, c.message);
  }
  expect_failure({"evaluate", "recon.h5", "--truth", "pipe", "-o", "m.json"}, 1, {"pipe: is a pipe; HDF5"});
  for (const char* file : {"text.h5", "empty.h5", "folder", "absent.h5", "cut.h5"}) {
    expect_failure({"info", file}, 1, {file});
    expect_failure({"evaluate", "recon.h5", "--truth", file, "-o", "m.json"}, 1, {file});
    expect_failure({"evaluate", file, "--truth", "recon.h5", "-o", "m.json"}, 1, {file});
    expect_failure({"reconstruct", file, "sound.h5", "-o", "r.h5"}, 1, {file});
    expect_failure({"refine", "sound.h5", "-o", "r.h5", "--start", file}, 1, {file});
    expect_failure({"refine", "sound.h5", "-o", "r.h5", "--probe", file}, 1, {file});
  }
}

TEST_F(cli_bad_inputs, the_right_file_in_the_wrong_place) {
  sound_scan().write(folder.file("sound.h5"));
  sound_scan(128).write(folder.file("larger.h5"));
  train("RUN", "1", "sound.h5");
  run_well({"refine", "sound.h5", "-o", "recon.h5", "--sweeps", "1"});
  struct Case {
    Arguments arguments;
    std::vector<std::string> message;
  };
  const Case cases[] = {
      {{"reconstruct", "sound.h5", "sound.h5", "-o", "r.h5"}, {"sound.h5: is not a checkpoint", "model.h5"}},
      {{"reconstruct", "recon.h5", "sound.h5", "-o", "r.h5"}, {"recon.h5: is not a checkpoint"}},
      {{"reconstruct", ".", "sound.h5", "-o", "r.h5"}, {"no model.h5 in it", "ptyfuse train"}},
      {{"reconstruct", "RUN", "larger.h5", "-o", "r.h5"}, {"larger.h5", "128 pixels", "trained on 64"}},
      {{"refine", "sound.h5", "-o", "r.h5", "--start", "sound.h5"}, {"sound.h5", "a reconstruction file", "expected"}},
      {{"refine", "sound.h5", "-o", "r.h5", "--probe", "recon.h5:object"}, {"the probe has", "--probe FILE[:DATASET]"}},
      {{"refine", "sound.h5", "-o", "r.h5", "--probe", "recon.h5:lens"}, {"recon.h5: lens", "the file holds", "probe"}},
      {{"train", "sound.h5", "-o", "NEW", "--probe", "larger.h5"}, {"larger.h5", "128 x 128", "64 x 64", "--probe"}},
      {{"train", "sound.h5", "-o", "NEW", "--N", "128"}, {"--N 128", "64 pixels"}},
      {{"train", "sound.h5", "larger.h5", "-o", "NEW"}, {"larger.h5: patterns of 128", "sound.h5 has 64"}},
      {{"train", "sound.h5", "-o", "NEW", "--frames", "20:"}, {"nothing is left of 12 frames"}},
      {{"train", "sound.h5", "-o", "NEW", "--subsample", "13"}, {"--subsample 13", "12 frames"}},
      {{"train", "sound.h5", "-o", "NEW", "--groups", "13"}, {"13 groups", "--oversample"}},
      {{"train", "sound.h5", "-o", "NEW", "--method", "supervised"}, {"sound.h5: object", "supervised"}},
      {{"train", "-o", "NEW", "--resume"}, {"NEW: holds no training run to resume"}},
      {{"train", "sound.h5", "-o", "RUN"}, {"RUN: holds a training run already", "--resume"}},
      {{"train", "sound.h5", "-o", "sound.h5"}, {"sound.h5: is not a folder"}},
      {{"evaluate", "recon.h5", "--truth", "recon.h5:nothing", "-o", "m.json"}, {"recon.h5: nothing", "object"}},
      {{"evaluate", "recon.h5", "--truth", "recon.h5", "-o", "m.json", "--image", "1"}, {"image 1"}},
  };
  for (const Case& c : cases) expect_failure(c.arguments, 1, c.message);
  for (const char* crop : {"21", "66"})
    expect_failure({"reconstruct", "RUN", "sound.h5", "-o", "r.h5", "--crop", crop}, 2,
                   {std::string("--crop ") + crop + ": expected an even number up to 64"});
  expect_failure({"train", "-o", "RUN", "--resume", "--lr", "0.5"}, 2, {"--lr 0.5", "was started with 0.001"});
}

TEST_F(cli_bad_inputs, words_of_a_file_do_not_reach_the_terminal_as_commands) {
  const std::string clear = "\x1b[2J\x1b]0;title\x07", controlled =
                                                           "\xc2\x9b"
                                                           "31m";
  {
    io::h5::File file = io::h5::File::create(folder.file("product.h5"), "product.h5");
    file.set_text("format", "ptyfuse-reconstruction");
    file.set_text("device", "cpu" + clear + controlled);
    file.set_text("version", "no utf-8: \xff");
    file.write<std::complex<float>>("object", {1, 2}, std::vector<std::complex<float>>(2, 1));
    file.close();
  }
  {
    io::h5::File file = io::h5::File::create(folder.file("other.h5"), "other.h5");
    file.set_text("format", clear);
    file.close();
  }
  const CommandResult told = run_well({"info", "product.h5"});
  EXPECT_EQ(told.out.find('\x1b'), std::string::npos) << told.out;
  EXPECT_EQ(told.out.find("\xc2\x9b"), std::string::npos) << told.out;
  EXPECT_NE(told.out.find("cpu\\x1b[2J\\x1b]0;title\\x07\\x9b31m"), std::string::npos) << told.out;
  EXPECT_NE(run_well({"info", "product.h5", "--json"}).out.find("no utf-8: \xef\xbf\xbd"), std::string::npos);
  const CommandResult refused = run({"info", "other.h5"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_EQ(refused.err.find('\x1b'), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("\\x1b[2J"), std::string::npos) << refused.err;
  std::filesystem::create_directory(folder.file("STUDY"));
  write("STUDY/study", std::string("sparse\0more\n", 12));
  expect_failure({"study", "sparse", "-o", "STUDY", "--quick"}, 1,
                 {"holds 'study sparse\\x00more', not 'study sparse'; choose another folder\n"});
}

TEST_F(cli_bad_inputs, a_run_folder_s_pipes_and_links) {
  sound_scan().write(folder.file("sound.h5"));
  train("RUN", "1", "sound.h5");
  write("mine.txt", "mine");
  std::filesystem::remove(folder.file("RUN/log.txt"));
  std::filesystem::create_symlink("../mine.txt", folder.file("RUN/log.txt"));
  run_well({"train", "sound.h5", "-o", "RUN", "--resume", "--epochs", "2", "--threads", "2"});
  EXPECT_EQ(text("mine.txt"), "mine");
  for (const char* name : {"config.toml", "model.h5"}) {
    std::filesystem::rename(folder.file(std::string("RUN/") + name), folder.file("kept"));
    ASSERT_EQ(::mkfifo(folder.file(std::string("RUN/") + name).c_str(), 0600), 0);
    expect_failure({"train", "-o", "RUN", "--resume"}, 1, {name});
    std::filesystem::rename(folder.file("kept"), folder.file(std::string("RUN/") + name));
  }
}

TEST_F(cli_bad_inputs, outputs_that_are_in_the_way_or_cannot_be_written) {
  sound_scan().write(folder.file("sound.h5"));
  train("RUN", "1", "sound.h5");
  run_well({"refine", "sound.h5", "-o", "recon.h5", "--sweeps", "1"});
  write("there", "precious");
  std::filesystem::create_directory(folder.file("folder"));
  const Arguments commands[] = {{"simulate", "--size", "128", "-o"},
                                {"refine", "sound.h5", "-o"},
                                {"reconstruct", "RUN", "sound.h5", "-o"},
                                {"convert", "sound.h5", "-o"},
                                {"evaluate", "recon.h5", "--truth", "recon.h5", "-o"},
                                {"refine", "sound.h5", "-o", "r.h5", "--png"},
                                {"reconstruct", "RUN", "sound.h5", "-o", "r.h5", "--png"},
                                {"evaluate", "recon.h5", "--truth", "recon.h5", "-o", "m.json", "--png"},
                                {"evaluate", "recon.h5", "--truth", "recon.h5", "-o", "m.json", "--csv"},
                                {"bench", "--case", "fft2", "--N", "64", "--repeats", "1", "--json"}};
  for (const Arguments& command : commands) {
    expect_failure(command + Arguments{"there"}, 1, {"there: exists already; pass --force to replace it"});
    expect_failure(command + Arguments{"folder", "--force"}, 1, {"folder: is a folder"});
    expect_failure(command + Arguments{"none/x"}, 1, {"none/x: its folder 'none' does not exist"});
  }
  // Not even the superuser can write here.
  expect_failure({"simulate", "--size", "128", "-o", "/proc/x.h5"}, 1, {"/proc/x.h5"});
  expect_failure(Arguments{"train", "sound.h5", "-o", "/proc/RUN"} + tiny_training("1"), 1, {"/proc/RUN"});
  EXPECT_EQ(text("there"), "precious");
  run_well({"simulate", "--size", "128", "-o", "there", "--force"});
  run_well({"info", "there"});
}

TEST_F(cli_bad_inputs, no_output_replaces_what_the_command_reads) {
  sound_scan().write(folder.file("sound.h5"));
  train("RUN", "1", "sound.h5");
  run_well({"refine", "sound.h5", "-o", "recon.h5", "--sweeps", "1"});
  std::filesystem::create_symlink("sound.h5", folder.file("link.h5"));
  const std::pair<Arguments, std::string> commands[] = {
      {{"refine", "sound.h5", "-o", "sound.h5"}, "sound.h5"},
      {{"refine", "sound.h5", "-o", "./sound.h5"}, "sound.h5"},
      {{"refine", "link.h5", "-o", "sound.h5"}, "link.h5"},
      {{"refine", "sound.h5", "-o", "r.h5", "--png", "sound.h5"}, "sound.h5"},
      {{"refine", "sound.h5", "--start", "recon.h5", "-o", "recon.h5"}, "recon.h5"},
      {{"refine", "sound.h5", "--probe", "recon.h5:probe", "-o", "recon.h5"}, "recon.h5"},
      {{"reconstruct", "RUN", "sound.h5", "-o", "sound.h5"}, "sound.h5"},
      {{"reconstruct", "RUN", "sound.h5", "-o", "RUN/model.h5"}, "RUN/model.h5"},
      {{"reconstruct", "RUN/model.h5", "sound.h5", "-o", "r.h5", "--png", "RUN/model.h5"}, "RUN/model.h5"},
      {{"evaluate", "recon.h5", "--truth", "sound.h5", "-o", "sound.h5"}, "sound.h5"},
      {{"evaluate", "recon.h5", "--truth", "sound.h5:object", "-o", "m.json", "--png", "recon.h5"}, "recon.h5"},
      {{"simulate", "--probe", "sound.h5:probe", "-o", "sound.h5"}, "sound.h5"}};
  const std::string sound = text("sound.h5"), model = text("RUN/model.h5"), recon = text("recon.h5");
  for (const auto& [command, read] : commands)
    expect_failure(command + Arguments{"--force"}, 2, {": the output would replace " + read});
  EXPECT_EQ(text("sound.h5"), sound);
  EXPECT_EQ(text("RUN/model.h5"), model);
  EXPECT_EQ(text("recon.h5"), recon);
}

TEST_F(cli_bad_inputs, names_that_are_too_long_are_refused_before_the_work) {
  sound_scan().write(folder.file("sound.h5"));
  expect_failure({"refine", "sound.h5", "--sweeps", "1000000", "-o", std::string(230, 'x')}, 1,
                 {"the name is longer than 229 bytes"});
}

TEST_F(cli_bad_inputs, a_file_larger_than_the_users_limit_is_an_error_like_a_full_disk) {
  sound_scan().write(folder.file("sound.h5"));
  const Arguments limited{"/bin/sh", "-c", "ulimit -f 8; exec \"$@\"", "sh"};
  expect_failure_under(limited, {"refine", "sound.h5", "--sweeps", "1", "-o", "r.h5"}, 1, {"r.h5: "});
  expect_failure_under(limited, {"convert", "sound.h5", "-o", "s.npz"}, 1, {"s.npz: "});
}

TEST_F(cli_bad_inputs, one_position_far_away_takes_no_memory) {
  ScanFile scan = sound_scan();
  scan.positions[0] = scan.positions[1] = 3e4;
  scan.write(folder.file("stray.h5"));
  expect_failure({"refine", "stray.h5", "-o", "r.h5"}, 1,
                 {"the positions span", "more than fit into --host-memory", "positions_px of stray.h5"});
}

TEST_F(cli_bad_inputs, a_scan_that_is_cut_while_it_trains) {
  // Frames of 3 MiB: more than the program may keep, and than HDF5 keeps for itself.
  run_well({"simulate", "-o", "sound.h5", "--size", "192", "--scan", "random", "--patterns", "200"});
  RunningCommand training =
      start(Arguments{"train", "sound.h5", "-o", "RUN", "--host-memory", "2MiB", "--early-stopping", "off"} +
            tiny_training("100000"));
  ASSERT_TRUE(training.wait_for_message("epoch 1/")) << training.finish().err;
  std::filesystem::resize_file(folder.file("sound.h5"), 3000);
  const CommandResult result = training.finish();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("ptyfuse: error: sound.h5: diffraction: "), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find("HDF5-DIAG"), std::string::npos);
  EXPECT_GT(io::read_checkpoint(folder.file("RUN/model.h5")).step, 0);
  std::filesystem::remove(folder.file("sound.h5"));
  expect_failure({"train", "-o", "RUN", "--resume"}, 1, {"sound.h5: no such file"});
}

}  // namespace
}  // namespace ptyfuse::tests
