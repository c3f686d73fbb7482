// What does arms, remembers them and goes on.
#include "engine/studies/runner.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <map>
#include <span>
#include <sstream>
#include <thread>

#include "io/file_error.h"
#include "kernels/device/error.h"
#include "tests/support/device.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse::studies {
namespace {

/// A study of three arms whose rows hold their settings; counts what is done.
struct Counted {
  std::vector<std::string> done;
  std::string failing;  ///< an arm that throws
  std::string setting = "1";

  Study study() {
    Study out;
    out.name = "counted";
    out.title = "Three arms";
    out.notes = {"A note."};
    for (const char* arm : {"a", "b", "c"})
      out.arms.push_back({arm, {{"setting", setting}, {"arm", arm}}, [this](const ArmContext& context) -> ArmOutcome {
                            done.push_back(context.arm);
                            if (context.arm == failing) throw Error(ErrorKind::numeric, "its loss is not finite");
                            std::ofstream(context.product(".txt")) << context.arm;
                            std::ofstream(context.data(context.arm)) << "scan";
                            return {{{{"value", setting + context.arm}, {"third", 1.0 / 3}}}, {{"curve", {1, 2}}}};
                          }});
    out.report = [](const std::vector<io::ArmResult>& arms, const std::string&) {
      StudyReport report;
      for (const io::ArmResult& arm : arms) report.table += arm.arm + ";";
      report.notes = {"Found something."};
      report.files = {{"more.csv", "x\n"}};
      io::Figure figure("A curve");
      figure.add(io::CurvePanel{.title = "c", .x_label = "x", .y_label = "y", .curves = {{"", {0, 1}, {0, 1}}}});
      report.figures.push_back({"figure.png", "A caption.", figure});
      return report;
    };
    return out;
  }
};

std::string text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

using Names = std::vector<std::string>;

class study_runner : public testing::Test {
 protected:
  RunOutcome run(Counted& counted, bool force = false, const RunControl& control = {}) const {
    return run_study(counted.study(), folder.file("DIR"), force, one_device, control);
  }
  tests::TemporaryFolder folder;
  const std::vector<Device> one_device{tests::test_device()};
  const std::vector<Device> two_devices{Device::cpu({.threads = 1}), Device::cpu({.threads = 1})};
};

/// Whether the condition came true before ten seconds were over.
bool wait_for(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// A study named "counted" of arms a, b, c that all do this.
Study three_arms(const std::function<ArmOutcome(const ArmContext&)>& run) {
  Counted counted;
  Study out = counted.study();
  for (Arm& arm : out.arms) arm.run = run;
  return out;
}

ArmOutcome outcome_of(const std::string& arm) {
  return {{{{"value", "1" + arm}, {"third", 1.0 / 3}}}, {{"curve", {1, 2}}}};
}

TEST_F(study_runner, writes_tables_figures_and_arms) {
  Counted counted;
  const RunOutcome outcome = run(counted);
  EXPECT_EQ(counted.done, (Names{"a", "b", "c"}));
  ASSERT_EQ(outcome.arms.size(), 3U);
  EXPECT_EQ(outcome.report.table, "a;b;c;");
  EXPECT_EQ(text(folder.file("DIR/results.csv")),
            "arm,value,third\na,1a,0.3333333333333333\nb,1b,0.3333333333333333\nc,1c,0.3333333333333333\n");
  const std::string report = text(folder.file("DIR/report.md"));
  for (const char* part :
       {"# Three arms", "a;b;c;", "A note.", "Found something.", "3 of 3 arms", "(figure.png)", "A caption."})
    EXPECT_NE(report.find(part), std::string::npos) << part << "\n" << report;
  EXPECT_NE(text(folder.file("DIR/results.json")).find("\"complete\": true"), std::string::npos);
  EXPECT_EQ(text(folder.file("DIR/figure.png")).substr(1, 3), "PNG");
  EXPECT_EQ(text(folder.file("DIR/more.csv")), "x\n");
  EXPECT_EQ(text(folder.file("DIR/arms/b.txt")), "b");
  EXPECT_FALSE(std::filesystem::exists(folder.file("DIR/data")));  // simulated scans are not kept
}

TEST_F(study_runner, a_second_call_does_nothing_again_and_gives_the_same_tables) {
  Counted first, second, forced;
  run(first);
  const std::string table = text(folder.file("DIR/results.csv"));
  run(second);
  EXPECT_EQ(second.done, Names());
  EXPECT_EQ(text(folder.file("DIR/results.csv")), table);
  std::ofstream(folder.file("DIR/arms/stale.json")) << "{}";
  run(forced, true);
  EXPECT_EQ(forced.done, (Names{"a", "b", "c"}));
  EXPECT_FALSE(std::filesystem::exists(folder.file("DIR/arms/stale.json")));
  EXPECT_EQ(text(folder.file("DIR/results.csv")), table);
}

TEST_F(study_runner, an_arm_whose_files_are_damaged_is_done_again) {
  Counted first;
  Study study = first.study();
  for (Arm& arm : study.arms)
    arm.run = [run = arm.run](const ArmContext& context) {
      ArmOutcome out = run(context);
      out.products = {".txt"};
      return out;
    };
  const auto again = [&](std::string* said) {
    RunControl control;
    control.notice = [said](const std::string& line) {
      if (said != nullptr) *said += line + "\n";
    };
    first.done.clear();
    run_study(study, folder.file("DIR"), false, one_device, control);
    return first.done;
  };
  EXPECT_EQ(again(nullptr), (Names{"a", "b", "c"}));
  const std::string whole = text(folder.file("DIR/arms/a.json"));
  const struct {
    const char* file;
    std::string content, said;
  } cases[] = {{"arms/a.json", "{", "arms/a.json: is no JSON"},
               {"arms/a.json", std::string(whole).replace(whole.find("0.33"), 4, "0.34"), "arms/a.json: was changed"},
               {"arms/b.txt", "x", "arms/b.txt: was changed"},
               {"arms/c.txt", "", "arms/c.txt: no such file"}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.said);
    if (c.content.empty())
      std::filesystem::remove(folder.file(std::string("DIR/") + c.file));
    else
      std::ofstream(folder.file(std::string("DIR/") + c.file)) << c.content;
    std::string said;
    EXPECT_EQ(again(&said), Names{std::string(1, c.file[5])});
    EXPECT_NE(said.find(c.said), std::string::npos) << said;
    EXPECT_NE(said.find("; the arm is done again"), std::string::npos) << said;
    EXPECT_EQ(again(nullptr), Names());
  }
}

TEST_F(study_runner, forced_arms_replace_the_former_ones_once_all_are_done) {
  Counted before, stopped, after;
  run(before);
  RunControl control;
  control.cancelled = [&] { return stopped.done.size() == 1; };
  stopped.setting = after.setting = "2";
  for (int times = 0; times < 2; ++times) {
    stopped.done.clear();
    EXPECT_THROW(run(stopped, true, control), Error);
    EXPECT_EQ(text(folder.file("DIR/former-arms/c.txt")), "c");
    EXPECT_FALSE(std::filesystem::exists(folder.file("DIR/arms/c.txt")));
    EXPECT_TRUE(std::filesystem::exists(folder.file("DIR/figure.png")));
    EXPECT_EQ(std::filesystem::exists(folder.file("DIR/former-arms-2")), times == 1);
  }
  EXPECT_EQ(text(folder.file("DIR/former-arms-2/a.txt")), "a");  // of the first forced run
  run(after);                                                    // goes on with the second one
  EXPECT_EQ(after.done, (Names{"b", "c"}));
  EXPECT_FALSE(std::filesystem::exists(folder.file("DIR/former-arms")));
  EXPECT_FALSE(std::filesystem::exists(folder.file("DIR/former-arms-2")));
  EXPECT_NE(text(folder.file("DIR/results.csv")).find("2a"), std::string::npos);
}

TEST_F(study_runner, former_arms_that_are_renamed_give_the_former_report) {
  Counted before, stopped, restored;
  run(before);
  const std::string table = text(folder.file("DIR/results.csv"));
  RunControl control;
  control.cancelled = [&] { return stopped.done.size() == 2; };
  std::string said;
  control.notice = [&](const std::string& line) { said += line + "\n"; };
  stopped.setting = "2";
  EXPECT_THROW(run(stopped, true, control), Error);
  EXPECT_NE(said.find("DIR/former-arms: the arms that were done"), std::string::npos) << said;
  std::filesystem::remove_all(folder.file("DIR/arms"));
  std::filesystem::rename(folder.file("DIR/former-arms"), folder.file("DIR/arms"));
  std::filesystem::remove(folder.file("DIR/results.csv"));
  run(restored);
  EXPECT_EQ(restored.done, Names());
  EXPECT_EQ(text(folder.file("DIR/results.csv")), table);
}

TEST_F(study_runner, forced_without_a_finished_arm_puts_nothing_aside) {
  Counted before, stopped, after;
  run(before);
  for (const auto& entry : std::filesystem::directory_iterator(folder.file("DIR/arms")))
    if (entry.path().extension() == ".json") std::filesystem::remove(entry.path());
  run(after, true);
  EXPECT_EQ(after.done.size(), 3U);
  RunControl control;
  control.cancelled = [] { return true; };
  for (int times = 0; times < 2; ++times) EXPECT_THROW(run(stopped, true, control), Error);
  EXPECT_EQ(text(folder.file("DIR/former-arms/c.txt")), "c");
  EXPECT_FALSE(std::filesystem::exists(folder.file("DIR/former-arms-2")));
}

TEST_F(study_runner, a_former_report_stays_where_every_arm_fails) {
  Counted before;
  run(before);
  std::map<std::string, std::string> files;
  for (const char* name : {"results.csv", "results.json", "report.md", "figure.png", "more.csv"})
    files[name] = text(folder.file(std::string("DIR/") + name));
  Study study = before.study();
  for (Arm& arm : study.arms)
    arm.run = [](const ArmContext&) -> ArmOutcome { throw Error(ErrorKind::memory, "no memory is left"); };
  std::string said;
  RunControl control;
  control.notice = [&](const std::string& line) { said += line + "\n"; };
  const RunOutcome outcome = run_study(study, folder.file("DIR"), true, one_device, control);
  EXPECT_EQ(outcome.failed.size(), 3U);
  EXPECT_TRUE(outcome.arms.empty());
  EXPECT_NE(said.find("no arm is done"), std::string::npos) << said;
  for (const auto& [name, content] : files) EXPECT_EQ(text(folder.file("DIR/" + name)), content) << name;
  EXPECT_TRUE(std::filesystem::exists(folder.file("DIR/former-arms/a.json")));
}

TEST_F(study_runner, an_arm_of_another_versions_layout_is_refused_and_kept) {
  Counted before, again;
  run(before);
  const std::string path = folder.file("DIR/arms/b.json");
  std::string stored = text(path);
  const std::string layout = "\"format_version\": ";
  stored.replace(stored.find(layout) + layout.size(), 1, "2");
  std::ofstream(path) << stored;
  const std::string message = message_of([&] { run(again); });
  for (const char* part : {"arms/b.json: was written by another version", "layout 2", "another folder", "--force"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_EQ(again.done, Names());
  EXPECT_EQ(text(path), stored);
  run(again, true);
  EXPECT_EQ(again.done.size(), 3U);
}

TEST_F(study_runner, an_arm_without_a_row_is_no_result) {
  Counted counted;
  Study study = counted.study();
  study.arms[1].run = [](const ArmContext&) -> ArmOutcome { return {}; };
  const RunOutcome outcome = run_study(study, folder.file("DIR"), false, one_device, {});
  ASSERT_EQ(outcome.failed.size(), 1U);
  EXPECT_NE(outcome.failed[0].second.find("nothing that a table could hold"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder.file("DIR/arms/b.json")));
  // A file of such an arm, whose digest is right.
  io::ArmResult empty = io::read_arm_result(folder.file("DIR/arms/a.json"));
  empty.rows.clear();
  io::write_arm_result(folder.file("DIR/arms/a.json"), empty);
  counted.done.clear();
  std::string said;
  RunControl control;
  control.notice = [&](const std::string& line) { said += line + "\n"; };
  run(counted, false, control);
  EXPECT_EQ(counted.done, (Names{"a", "b"}));
  EXPECT_NE(said.find("arms/a.json: has no row; the arm is done again"), std::string::npos) << said;
}

TEST_F(study_runner, only_pictures_that_are_files_go_with_an_earlier_report) {
  Counted counted;
  run(counted);
  std::filesystem::create_directory(folder.file("DIR/folder.png"));
  std::ofstream(folder.file("mine.png")) << "mine";
  std::filesystem::create_symlink(folder.file("mine.png"), folder.file("DIR/link.png"));
  std::ofstream(folder.file("DIR/old.png")) << "old";
  std::ofstream(folder.file("DIR/notes.txt")) << "mine";
  std::ofstream(folder.file("DIR/.png")) << "mine";
  std::ofstream(folder.file("DIR/results.json")) << R"({"figures": ["study", "report.md", "results.csv", "more.csv",
      "notes.txt", "folder.png", "link.png", "old.png", "figure.png", ".png", "arms", "..", "", "../mine.png", 5]})";
  run(counted);
  for (const char* kept : {"study", "report.md", "results.csv", "more.csv", "notes.txt", "folder.png", "link.png",
                           "figure.png", ".png", "arms", "../mine.png"})
    EXPECT_TRUE(std::filesystem::exists(folder.file(std::string("DIR/") + kept))) << kept;
  EXPECT_FALSE(std::filesystem::exists(folder.file("DIR/old.png")));
  EXPECT_EQ(text(folder.file("DIR/study")), "counted\n");
}

TEST_F(study_runner, a_figure_that_a_report_no_longer_has_goes) {
  Counted counted;
  run(counted);
  Study other = counted.study();
  other.report = [](const std::vector<io::ArmResult>&, const std::string&) { return StudyReport(); };
  run_study(other, folder.file("DIR"), false, one_device, {});
  EXPECT_FALSE(std::filesystem::exists(folder.file("DIR/figure.png")));
}

TEST_F(study_runner, goes_on_after_a_kill_between_arms) {
  Counted whole, killed, rest;
  run_study(whole.study(), folder.file("WHOLE"), false, one_device, {});
  RunControl control;
  control.cancelled = [&] { return killed.done.size() == 2; };
  try {
    run(killed, false, control);
    ADD_FAILURE() << "was not stopped";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::cancelled);
    EXPECT_NE(std::string(e.what()).find("2 of 3 arms"), std::string::npos) << e.what();
  }
  // A file that a kill left half written, and scans that are still there.
  std::ofstream(folder.file("DIR/arms/.c.json.1-2.tmp")) << "{";
  EXPECT_TRUE(std::filesystem::exists(folder.file("DIR/data/a")));
  run(rest);
  EXPECT_EQ(rest.done, Names{"c"});
  EXPECT_EQ(text(folder.file("DIR/results.csv")), text(folder.file("WHOLE/results.csv")));
  EXPECT_FALSE(std::filesystem::exists(folder.file("DIR/arms/.c.json.1-2.tmp")));
}

TEST_F(study_runner, a_stop_within_an_arm_keeps_the_others) {
  Counted counted;
  Study study = counted.study();
  study.arms[1].run = [](const ArmContext&) -> ArmOutcome { throw Error(ErrorKind::cancelled, "stopped"); };
  EXPECT_NE(message_of([&] { run_study(study, folder.file("DIR"), false, one_device, {}); }).find("1 of 3"),
            std::string::npos);
  EXPECT_EQ(counted.done, Names{"a"});
  EXPECT_FALSE(std::filesystem::exists(folder.file("DIR/results.csv")));
}

TEST_F(study_runner, a_changed_setting_is_refused_by_name_and_redone_with_force) {
  Counted before, after;
  run(before);
  after.setting = "2";
  const std::string message = message_of([&] { run(after); });
  for (const char* part : {"arms/a.json", "setting: 1, now 2", "--force"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_EQ(after.done, Names());
  EXPECT_NE(text(folder.file("DIR/results.csv")).find("1a"), std::string::npos);
  run(after, true);
  EXPECT_EQ(after.done.size(), 3U);
  EXPECT_NE(text(folder.file("DIR/results.csv")).find("2a"), std::string::npos);
}

TEST_F(study_runner, a_failing_arm_is_said_and_the_others_are_kept) {
  Counted counted, again;
  counted.failing = "b";
  std::vector<std::string> said;
  RunControl control;
  control.notice = [&](const std::string& line) { said.push_back(line); };
  const RunOutcome outcome = run(counted, false, control);
  EXPECT_EQ(counted.done, (Names{"a", "b", "c"}));
  ASSERT_EQ(outcome.failed.size(), 1U);
  EXPECT_EQ(outcome.failed[0].first, "b");
  EXPECT_EQ(outcome.failed[0].second, "its loss is not finite");
  EXPECT_EQ(outcome.arms.size(), 2U);
  EXPECT_EQ(outcome.report.table, "a;c;");
  EXPECT_NE(text(folder.file("DIR/report.md")).find("**Failed**: b: its loss is not finite"), std::string::npos);
  EXPECT_NE(text(folder.file("DIR/results.json")).find("\"complete\": false"), std::string::npos);
  ASSERT_EQ(said.size(), 3U);
  EXPECT_NE(said[1].find("arm 2/3 b failed (its loss is not finite)"), std::string::npos) << said[1];
  run(again);
  EXPECT_EQ(again.done, Names{"b"});
  EXPECT_EQ(text(folder.file("DIR/report.md")).find("Failed"), std::string::npos);
}

TEST_F(study_runner, a_wrong_setting_ends_the_study) {
  Counted counted;
  Study study = counted.study();
  study.arms[0].run = [](const ArmContext&) -> ArmOutcome { throw UsageError("--crop 3: odd"); };
  EXPECT_THROW(run_study(study, folder.file("DIR"), false, one_device, {}), UsageError);
}

TEST_F(study_runner, a_folder_that_is_not_its_own_is_left_alone) {
  Counted counted;
  std::filesystem::create_directory(folder.file("OTHER"));
  std::ofstream(folder.file("OTHER/notes.txt")) << "mine";
  EXPECT_THROW(run_study(counted.study(), folder.file("OTHER"), true, one_device, {}), io::FileError);
  EXPECT_THROW(run_study(counted.study(), folder.file("OTHER/notes.txt"), true, one_device, {}), io::FileError);
  run(counted);
  Study other = counted.study();
  other.name = "another";
  EXPECT_NE(message_of([&] { run_study(other, folder.file("DIR"), true, one_device, {}); }).find("study counted"),
            std::string::npos);
  EXPECT_EQ(counted.done.size(), 3U);
}

TEST_F(study_runner, links_to_other_folders_are_not_followed) {
  Counted counted;
  std::filesystem::create_directory(folder.file("MINE"));
  std::ofstream(folder.file("MINE/notes.txt")) << "mine";
  for (const char* part : {"arms", "data"}) {
    SCOPED_TRACE(part);
    const std::string study = folder.file(std::string("DIR_") + part);
    std::filesystem::create_directory(study);
    std::ofstream(study + "/study") << "counted\n";
    std::filesystem::create_directory_symlink(folder.file("MINE"), study + "/" + part);
    EXPECT_NE(message_of([&] { run_study(counted.study(), study, true, one_device, {}); }).find("is a link"),
              std::string::npos);
    EXPECT_EQ(text(folder.file("MINE/notes.txt")), "mine");
  }
  EXPECT_TRUE(counted.done.empty());
}

TEST_F(study_runner, an_owner_that_is_no_file_is_not_waited_for) {
  Counted counted;
  std::filesystem::create_directory(folder.file("DIR"));
  ASSERT_EQ(::mkfifo(folder.file("DIR/study").c_str(), 0600), 0);
  EXPECT_NE(message_of([&] { run(counted); }).find("no ordinary file"), std::string::npos);
}

TEST_F(study_runner, an_arms_progress_carries_its_number) {
  Counted counted;
  Study study = counted.study();
  study.arms[0].run = [](const ArmContext& context) -> ArmOutcome {
    ProgressEvent event;
    event.task = "train";
    event.message = "epoch 1";
    context.control.report(event);
    return {};
  };
  std::string task, message;
  RunControl control;
  control.progress = [&](const ProgressEvent& event) {
    task = event.task;
    message = event.message;
  };
  run_study(study, folder.file("DIR"), false, one_device, control);
  EXPECT_EQ(task, "arm 1/3 a: train");
  EXPECT_EQ(message, "arm 1/3 a: train: epoch 1");
}

TEST_F(study_runner, a_report_names_the_devices_that_did_the_arms) {
  Counted counted, later;
  Study first = counted.study();
  first.arms.pop_back();
  run_study(first, folder.file("DIR"), false, one_device, {});
  const std::string made_on = one_device[0].description();
  const Device other = Device::cpu({.threads = one_device[0].threads() + 1});
  EXPECT_NE(text(folder.file("DIR/report.md")).find(" on " + made_on + "."), std::string::npos);
  run_study(first, folder.file("DIR"), false, std::span(&other, 1), {});  // does nothing
  EXPECT_NE(text(folder.file("DIR/report.md")).find(" on " + made_on + "."), std::string::npos);
  run_study(later.study(), folder.file("DIR"), false, std::span(&other, 1), {});
  const std::string report = text(folder.file("DIR/report.md"));
  EXPECT_NE(report.find(" on " + made_on + "; " + other.description() + "."), std::string::npos) << report;
  EXPECT_NE(report.find("on several devices: their times do not compare"), std::string::npos) << report;
}

TEST_F(study_runner, what_stands_where_a_file_goes_is_said_before_any_work) {
  Counted counted, again;
  run(counted);
  std::filesystem::remove(folder.file("DIR/arms/b.json"));
  std::filesystem::create_directory(folder.file("DIR/arms/b.json"));
  EXPECT_NE(message_of([&] { run(again); }).find("arms/b.json: is no ordinary file"), std::string::npos);
  std::filesystem::remove(folder.file("DIR/arms/b.json"));
  std::filesystem::remove(folder.file("DIR/results.json"));
  std::filesystem::create_directory(folder.file("DIR/results.json"));
  EXPECT_NE(message_of([&] { run(again); }).find("results.json: is a folder"), std::string::npos);
  std::filesystem::remove(folder.file("DIR/results.json"));
  std::filesystem::remove(folder.file("DIR/study"));
  const std::string message = message_of([&] { run(again); });
  for (const char* part : {"DIR/study: is missing", "write 'counted' into it"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_EQ(again.done, Names());
  std::ofstream(folder.file("DIR/study")) << "counted";
  run(again);
  EXPECT_EQ(again.done, (Names{"b"}));
}

TEST_F(study_runner, several_devices_do_an_arm_each_at_a_time) {
  std::atomic<int> at_work = 0, most = 0, met = 0;
  const Study study = three_arms([&](const ArmContext& context) {
    const int now = ++at_work;
    if (now > most) most = now;
    if (context.arm != "c" && wait_for([&] { return most == 2; })) ++met;
    EXPECT_TRUE(context.device == two_devices[0] || context.device == two_devices[1]);
    --at_work;
    return outcome_of(context.arm);
  });
  const RunOutcome outcome = run_study(study, folder.file("DIR"), false, two_devices, {});
  EXPECT_EQ(met, 2);  // a and b were under way together
  EXPECT_EQ(most, 2);
  EXPECT_EQ(outcome.report.table, "a;b;c;");
  EXPECT_EQ(text(folder.file("DIR/results.csv")),
            "arm,value,third\na,1a,0.3333333333333333\nb,1b,0.3333333333333333\nc,1c,0.3333333333333333\n");
}

TEST_F(study_runner, on_several_devices_the_caller_is_called_by_one_thread_at_a_time) {
  std::atomic<int> inside = 0, met = 0;
  std::atomic<bool> two = false;
  const auto called = [&] {
    if (++inside > 1) two = true;
    std::this_thread::yield();
    --inside;
  };
  std::map<std::string, int> messages, bars;  // not atomic: the sanitizers see a second thread
  RunControl control;
  control.cancelled = [&] {
    called();
    return false;
  };
  control.notice = [&](const std::string&) { called(); };
  control.progress = [&](const ProgressEvent& event) {
    called();
    ++(event.message.empty() ? bars : messages)[std::string(event.task)];
  };
  const Study study = three_arms([&](const ArmContext& context) {
    ++met;
    EXPECT_TRUE(wait_for([&] { return met >= 2; }));
    for (int i = 0; i < 500; ++i) {
      ProgressEvent event;
      event.task = "train";
      context.control.report(event);
      context.control.say("so far");
      EXPECT_FALSE(context.control.stop_requested());
    }
    ProgressEvent event;
    event.task = "train";
    event.message = "done";
    context.control.report(event);
    return outcome_of(context.arm);
  });
  run_study(study, folder.file("DIR"), false, two_devices, control);
  EXPECT_FALSE(two);
  EXPECT_EQ(messages,
            (std::map<std::string, int>{{"arm 1/3 a: train", 1}, {"arm 2/3 b: train", 1}, {"arm 3/3 c: train", 1}}));
  EXPECT_EQ(bars["arm 1/3 a: train"], 500);  // the first under way is shown, whatever the others do
}

TEST_F(study_runner, on_several_devices_a_stop_ends_every_arm) {
  std::atomic<int> under_way = 0;
  RunControl control;
  control.cancelled = [&] { return under_way == 2; };
  const Study study = three_arms([&](const ArmContext& context) -> ArmOutcome {
    ++under_way;
    EXPECT_TRUE(wait_for([&] { return context.control.stop_requested(); }));
    throw Error(ErrorKind::cancelled, "stopped");
  });
  const std::string message = message_of([&] { run_study(study, folder.file("DIR"), false, two_devices, control); });
  for (const char* part : {"arm 1/3 a", "arm 2/3 b", "0 of 3 arms are done"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_EQ(under_way, 2);  // c did not begin

  // What went wrong in one arm's settings ends the others, too; a failure does not.
  const Study wrong = three_arms([&](const ArmContext& context) -> ArmOutcome {
    if (context.arm == "a") throw UsageError("no such loss");
    EXPECT_TRUE(wait_for([&] { return context.control.stop_requested(); }));
    throw Error(ErrorKind::cancelled, "stopped");
  });
  EXPECT_THROW(run_study(wrong, folder.file("DIR"), false, two_devices, {}), UsageError);
  const Study failing = three_arms([&](const ArmContext& context) -> ArmOutcome {
    if (context.arm == "a") throw Error(ErrorKind::numeric, "its loss is not finite");
    return outcome_of(context.arm);
  });
  const RunOutcome outcome = run_study(failing, folder.file("DIR"), false, two_devices, {});
  EXPECT_EQ(outcome.report.table, "b;c;");
  ASSERT_EQ(outcome.failed.size(), 1U);
  EXPECT_EQ(outcome.failed[0].second, "its loss is not finite");
  EXPECT_THROW(run_study(failing, folder.file("DIR"), false, {}, {}), Error);
}

}  // namespace
}  // namespace ptyfuse::studies
