/* test_tmpdir.c -- private folders, their locks and the sweep. */
#include "files/tmpdir.h"

#include <signal.h>
#include <sys/wait.h>

#include "support-files.h"

static void a_folder_is_private_and_vanishes(void **state) {
  (void)state;
  IG_AUTO(ig_tmpdir) *tmpdir = NULL;
  struct stat st;
  char file[600];
  assert_ok(ig_tmpdir_new(scratch, &tmpdir, &test_err));
  assert_int_equal(stat(ig_tmpdir_path(tmpdir), &st), 0);
  assert_int_equal(st.st_mode & 0777, 0700);
  snprintf(file, sizeof(file), "%s/x", ig_tmpdir_path(tmpdir));
  assert_int_equal(mkdir(file, 0700), 0);
  put_file("keep/me", "yes");
  snprintf(file, sizeof(file), "%s/x/link", ig_tmpdir_path(tmpdir));
  assert_int_equal(symlink(in_scratch("keep"), file), 0);
  tmpdir = ig_tmpdir_free(tmpdir);
  assert_int_equal(count_entries("."), 1);
  assert_string_equal(get_file("keep/me"), "yes"); /* the link went, not what it names */
}

/* A child makes a folder and is killed. */
static void leave_one_behind(void) {
  int ready[2];
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    ig_tmpdir *tmpdir = NULL;
    char c = ig_tmpdir_new(scratch, &tmpdir, NULL) == IGLOO_OK ? 'y' : 'n';
    if (write(ready[1], &c, 1) == 1) pause();
    _exit(0);
  }
  char c = 'n';
  assert_int_equal(read(ready[0], &c, 1), 1);
  assert_int_equal(c, 'y');
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  close(ready[0]);
  close(ready[1]);
}

static void the_sweep_removes_only_what_nobody_holds(void **state) {
  (void)state;
  IG_AUTO(ig_tmpdir) *alive = NULL;
  size_t removed = 0;
  assert_ok(ig_tmpdir_new(scratch, &alive, &test_err));
  leave_one_behind();
  leave_one_behind();
  put_file("igloo-notours/lock", "");
  put_file("igloo-0123456789abcdef/data", ""); /* no lock file yet: it is being made */
  assert_int_equal(count_entries("."), 5);
  ig_tmpdir_sweep(scratch, &removed);
  assert_int_equal(removed, 2);
  assert_int_equal(count_entries("."), 3);
  assert_int_equal(access(ig_tmpdir_path(alive), F_OK), 0);
}

static void folders_without_a_lock_go_when_they_are_old_or_empty(void **state) {
  (void)state;
  size_t removed = 0;
  assert_int_equal(mkdir(in_scratch("igloo-00000000000000ff"), 0700), 0);
  put_file("igloo-00000000000000fe/data", "");
  ig_tmpdir_sweep(scratch, &removed);
  assert_int_equal(removed, 1);
  assert_int_equal(access(in_scratch("igloo-00000000000000fe/data"), F_OK), 0);
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000}};
  put_file("igloo-0123456789abcdef/data", "");
  assert_int_equal(utimensat(AT_FDCWD, in_scratch("igloo-0123456789abcdef"), times, 0),
                   0);
  ig_tmpdir_sweep(scratch, &removed);
  assert_int_equal(removed, 1);
  ig_tmpdir_sweep("/no such folder", &removed);
  assert_int_equal(removed, 0);
}

static void a_lock_is_held_once_and_names_its_holder(void **state) {
  (void)state;
  int fd = -1, other = -1;
  char pid[32];
  assert_ok(ig_lock_file(in_scratch("x.lock"), "data folder", "/x", &fd, &test_err));
  assert_fails(ig_lock_file(in_scratch("x.lock"), "data folder", "/x", &other, &test_err),
               IGLOO_FAILED_PRECONDITION, "55006");
  snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
  assert_message_has(pid);
  close(fd);
  assert_ok(ig_lock_file(in_scratch("x.lock"), "data folder", "/x", &other, &test_err));
  close(other);
}

static void a_missing_parent_is_an_error(void **state) {
  (void)state;
  ig_tmpdir *tmpdir = NULL;
  assert_fails(ig_tmpdir_new(in_scratch("none"), &tmpdir, &test_err), IGLOO_NOT_FOUND,
               "58P01");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      scratch_test(a_folder_is_private_and_vanishes),
      scratch_test(the_sweep_removes_only_what_nobody_holds),
      scratch_test(folders_without_a_lock_go_when_they_are_old_or_empty),
      scratch_test(a_lock_is_held_once_and_names_its_holder),
      scratch_test(a_missing_parent_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
