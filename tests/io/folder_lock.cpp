// One process at a time in a folder.
#include "io/folder_lock.h"

#include "tests/io/scan_fixture.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse::tests {
namespace {

TEST(folder_lock, keeps_others_out_for_as_long_as_a_copy_lives) {
  const TemporaryFolder folder, other;
  EXPECT_FALSE(io::FolderLock().held());
  io::FolderLock copy;
  {
    const io::FolderLock lock(folder.path());
    EXPECT_TRUE(lock.held());
    copy = lock;
  }
  expect_parts(file_error_of([&] { io::FolderLock(folder.path()); }), {folder.path(), "at work in this folder"});
  EXPECT_TRUE(io::FolderLock(other.path()).held());
  copy = io::FolderLock();
  EXPECT_TRUE(io::FolderLock(folder.path()).held());
  EXPECT_TRUE(folder.names().empty());
}

TEST(folder_lock, names_a_folder_that_is_missing) {
  const TemporaryFolder folder;
  expect_parts(file_error_of([&] { io::FolderLock(folder.file("none")); }), {folder.file("none"), "cannot be opened"});
}

}  // namespace
}  // namespace ptyfuse::tests
