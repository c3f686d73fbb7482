// Outputs appear whole or not at all.
#include "io/atomic_file.h"

#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "tests/io/scan_fixture.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse::tests {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return (std::ostringstream() << in.rdbuf()).str();
}

void put(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

TEST(atomic_file, appears_on_commit_only) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out.txt");
  {
    io::AtomicFile file(path, false);
    EXPECT_EQ(std::filesystem::path(file.temporary_path()).parent_path(), folder.path());
    EXPECT_EQ(folder.names().size(), 1u);
    put(file.temporary_path(), "whole");
    EXPECT_FALSE(std::filesystem::exists(path));
    file.commit();
    EXPECT_EQ(text_of(path), "whole");
  }
  EXPECT_EQ(folder.names(), std::set<std::string>{"out.txt"});
}

TEST(atomic_file, without_commit_the_old_file_stays_and_nothing_else) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out.txt");
  put(path, "old");
  try {
    io::AtomicFile file(path, true);
    put(file.temporary_path(), "half");
    throw std::runtime_error("stopped");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(text_of(path), "old");
  EXPECT_EQ(folder.names(), std::set<std::string>{"out.txt"});
}

TEST(atomic_file, force_replaces) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out.txt");
  io::write_whole_file(path, "one", false);
  expect_parts(file_error_of([&] { io::write_whole_file(path, "two", false); }), {path, "exists already", "--force"});
  EXPECT_EQ(text_of(path), "one");
  io::write_whole_file(path, "two", true);
  EXPECT_EQ(text_of(path), "two");
  EXPECT_EQ(folder.names(), std::set<std::string>{"out.txt"});
}

TEST(atomic_file, a_file_that_appears_meanwhile_is_kept) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out.txt");
  {
    io::AtomicFile file(path, false);
    put(path, "another program's");
    expect_parts(file_error_of([&] { file.commit(); }), {path, "appeared", "--force"});
  }
  EXPECT_EQ(text_of(path), "another program's");
  EXPECT_EQ(folder.names(), std::set<std::string>{"out.txt"});
}

TEST(atomic_file, two_at_once_do_not_meet) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out.txt");
  io::AtomicFile a(path, true), b(path, true);
  EXPECT_NE(a.temporary_path(), b.temporary_path());
  put(a.temporary_path(), "a");
  put(b.temporary_path(), "b");
  a.commit();
  b.commit();
  EXPECT_EQ(text_of(path), "b");
}

TEST(atomic_file, permissions_are_those_of_an_ordinary_file) {
  const TemporaryFolder folder;
  io::write_whole_file(folder.file("a"), "x", false);
  put(folder.file("b"), "x");
  struct stat a {
  }, b{};
  ASSERT_EQ(::stat(folder.file("a").c_str(), &a), 0);
  ASSERT_EQ(::stat(folder.file("b").c_str(), &b), 0);
  EXPECT_EQ(a.st_mode, b.st_mode);
}

TEST(atomic_file, paths_that_cannot_be_written) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.file("dir"));
  const auto message = [&](const std::string& path) {
    return file_error_of([&] { io::check_output_path(path, true); });
  };
  expect_parts(message(folder.file("dir")), {folder.file("dir"), "is a folder"});
  expect_parts(message(folder.file("none/out")), {folder.file("none/out"), folder.file("none"), "does not exist"});
  expect_parts(message(""), {"an output path is needed"});
  EXPECT_EQ(message(folder.file("fine")), "");
  ASSERT_EQ(::mkfifo(folder.file("pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink("pipe", folder.file("link"));
  for (const char* name : {"pipe", "link"})
    expect_parts(message(folder.file(name)), {folder.file(name), "is a device, pipe or socket", "ordinary file"});
  expect_parts(file_error_of([&] { io::AtomicFile(folder.file("none/out"), true); }), {"does not exist"});
}

}  // namespace
}  // namespace ptyfuse::tests
