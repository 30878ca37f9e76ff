/* test_roots.c -- paths and roots: what opens, what is refused, and as what. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "files/roots.h"
#include "support-files.h"

static char *absolute(const char *text) {
  char *path = NULL;
  assert_ok(ig_path_absolute(ig_str_from_cstr(text), &path, &test_err));
  return path;
}

static void assert_absolute(const char *text, const char *expected) {
  char *path = absolute(text);
  assert_string_equal(path, expected);
  ig_free(path);
}

static void paths_become_absolute_and_plain(void **state) {
  (void)state;
  assert_absolute("/a/b", "/a/b");
  assert_absolute("/a//b/./c", "/a/b/c");
  assert_absolute("/a/b/../c", "/a/c");
  assert_absolute("/../../etc", "/etc");
  assert_absolute("/a/b/", "/a/b/");
  assert_absolute("/..", "/");
  assert_absolute("/", "/");
  assert_absolute("/a/...", "/a/...");
  assert_absolute("/a/..b", "/a/..b");
}

static void relative_paths_start_in_the_working_folder(void **state) {
  (void)state;
  char folder[512], expected[600];
  assert_non_null(getcwd(folder, sizeof(folder)));
  snprintf(expected, sizeof(expected), "%s/x.csv", folder);
  assert_absolute("x.csv", expected);
  assert_absolute("./y/../x.csv", expected);
}

static void file_urls_are_decoded(void **state) {
  (void)state;
  assert_absolute("file:///a%20b/c.csv", "/a b/c.csv");
  assert_absolute("file://localhost/a", "/a");
  assert_absolute("FILE:///a", "/a");
  assert_absolute("file:/a/b", "/a/b");
  assert_absolute("file:///a/%2e%2e/b", "/b"); /* dots in disguise are dots */
  assert_absolute("/a%20b", "/a%20b");         /* no URL: a name like any other */
}

static void bad_paths_are_refused(void **state) {
  (void)state;
  char *path = NULL;
  assert_fails(ig_path_absolute(IG_STR(""), &path, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  assert_fails(ig_path_absolute(ig_str_make("/a\0b", 4), &path, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_fails(ig_path_absolute(IG_STR("file:///a%00b"), &path, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_fails(ig_path_absolute(IG_STR("file:///a%zz"), &path, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_fails(ig_path_absolute(IG_STR("file:///a%2"), &path, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_fails(ig_path_absolute(IG_STR("file://other/a"), &path, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_fails(ig_path_absolute(IG_STR("/a\xff"), &path, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_fails(ig_path_absolute(IG_STR("s3://bucket/key"), &path, &test_err),
               IGLOO_UNSUPPORTED, "0A000");
  char longest[5000];
  memset(longest, 'a', sizeof(longest));
  longest[0] = '/';
  assert_fails(ig_path_absolute(ig_str_make(longest, sizeof(longest)), &path, &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "54000");
  assert_null(path);
}

/* Roots "SCRATCH/ro:ro, SCRATCH/rw:rw". */
static ig_roots *two_roots(void) {
  char text[256];
  ig_roots *roots = NULL;
  put_file("ro/a.csv", "inside\n");
  put_file("rw/b.csv", "inside\n");
  put_file("secret.csv", "secret\n");
  snprintf(text, sizeof(text), "%s/ro, %s/rw:rw", scratch, scratch);
  assert_ok(ig_roots_new(ig_str_from_cstr(text), &roots, &test_err));
  return roots;
}

static igloo_status open_path(const ig_roots *roots, const char *text,
                              enum ig_access access) {
  char *path = absolute(text);
  int fd = -1;
  igloo_status status = ig_roots_open(roots, path, access, &fd, NULL, &test_err);
  if (status == IGLOO_OK) close(fd);
  ig_free(path);
  return status;
}

static void files_in_a_root_open_and_others_do_not(void **state) {
  (void)state;
  IG_AUTO(ig_roots) *roots = two_roots();
  assert_ok(open_path(roots, in_scratch("ro/a.csv"), IG_ACCESS_READ));
  assert_ok(open_path(roots, in_scratch("rw/b.csv"), IG_ACCESS_READ));
  assert_fails(open_path(roots, in_scratch("secret.csv"), IG_ACCESS_READ),
               IGLOO_PERMISSION_DENIED, "42501");
  assert_fails(open_path(roots, in_scratch("ro/../secret.csv"), IG_ACCESS_READ),
               IGLOO_PERMISSION_DENIED, "42501");
  assert_fails(open_path(roots, in_scratch("rox"), IG_ACCESS_READ),
               IGLOO_PERMISSION_DENIED, "42501");
  assert_fails(open_path(roots, in_scratch("ro/none.csv"), IG_ACCESS_READ),
               IGLOO_NOT_FOUND, "58P01");
  assert_fails(open_path(roots, in_scratch("ro"), IG_ACCESS_READ), IGLOO_INVALID_ARGUMENT,
               "42809");
  assert_fails(open_path(roots, in_scratch("ro/a.csv/x"), IG_ACCESS_READ),
               IGLOO_NOT_FOUND, "58P01");
}

static void missing_and_existing_files_outside_look_the_same(void **state) {
  (void)state;
  IG_AUTO(ig_roots) *roots = two_roots();
  struct igloo_error exists;
  assert_fails(open_path(roots, "/etc/passwd", IG_ACCESS_READ), IGLOO_PERMISSION_DENIED,
               "42501");
  exists = test_err;
  assert_fails(open_path(roots, "/etc/passwx", IG_ACCESS_READ), IGLOO_PERMISSION_DENIED,
               "42501");
  assert_string_equal(exists.hint, test_err.hint);
  assert_string_equal(exists.detail, test_err.detail);
  strrchr(exists.message, 'd')[0] = 'x';
  assert_string_equal(exists.message, test_err.message);
}

static void writing_needs_an_rw_root(void **state) {
  (void)state;
  IG_AUTO(ig_roots) *roots = two_roots();
  assert_ok(ig_roots_check(roots, in_scratch("rw/new.csv"), IG_ACCESS_WRITE, &test_err));
  assert_fails(
      ig_roots_check(roots, in_scratch("ro/new.csv"), IG_ACCESS_WRITE, &test_err),
      IGLOO_PERMISSION_DENIED, "42501");
  assert_fails(ig_roots_check(roots, "/new.csv", IG_ACCESS_WRITE, &test_err),
               IGLOO_PERMISSION_DENIED, "42501");
}

static void links_out_of_a_root_are_refused(void **state) {
  (void)state;
  IG_AUTO(ig_roots) *roots = two_roots();
  assert_int_equal(symlink("../secret.csv", in_scratch("ro/up.csv")), 0);
  assert_int_equal(symlink(in_scratch("secret.csv"), in_scratch("ro/abs.csv")), 0);
  assert_int_equal(symlink("..", in_scratch("ro/parent")), 0);
  assert_int_equal(symlink("loop", in_scratch("ro/loop")), 0);
  assert_int_equal(symlink("a.csv", in_scratch("ro/good.csv")), 0);
  assert_ok(open_path(roots, in_scratch("ro/good.csv"), IG_ACCESS_READ));
  const char *bad[] = {"ro/up.csv", "ro/abs.csv", "ro/parent/secret.csv", "ro/loop"};
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++)
    assert_fails(open_path(roots, in_scratch(bad[i]), IG_ACCESS_READ),
                 IGLOO_PERMISSION_DENIED, "42501");
}

static void magic_links_are_refused_even_where_everything_is_allowed(void **state) {
  (void)state;
  IG_AUTO(ig_roots) *roots = NULL;
  char path[64];
  assert_ok(ig_roots_new_everything(&roots, &test_err));
  put_file("a.csv", "x\n");
  int fd = open(in_scratch("a.csv"), O_RDONLY);
  snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  assert_fails(open_path(roots, path, IG_ACCESS_READ), IGLOO_PERMISSION_DENIED, "42501");
  assert_fails(open_path(roots, "/proc/self/root/etc/passwd", IG_ACCESS_READ),
               IGLOO_PERMISSION_DENIED, "42501");
  assert_fails(open_path(roots, "/proc/self/cwd/CMakeLists.txt", IG_ACCESS_READ),
               IGLOO_PERMISSION_DENIED, "42501");
  assert_ok(open_path(roots, in_scratch("a.csv"), IG_ACCESS_READ));
  close(fd);
}

static void only_regular_files_open_and_none_of_the_others_blocks(void **state) {
  (void)state;
  IG_AUTO(ig_roots) *roots = NULL;
  assert_ok(ig_roots_new_everything(&roots, &test_err));
  assert_int_equal(mkfifo(in_scratch("fifo.csv"), 0600), 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof(address.sun_path), "%s", in_scratch("socket.csv"));
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
  const char *bad[] = {in_scratch("fifo.csv"), in_scratch("socket.csv"), "/dev/zero",
                       "/dev/tty0000", "/tmp"};
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++) {
    igloo_status status = open_path(roots, bad[i], IG_ACCESS_READ);
    if (strcmp(bad[i], "/dev/tty0000") == 0)
      assert_int_equal(status, IGLOO_NOT_FOUND);
    else
      assert_fails(open_path(roots, bad[i], IG_ACCESS_READ), IGLOO_INVALID_ARGUMENT,
                   "42809");
  }
  close(fd);
}

static void a_private_root_is_the_engines_alone(void **state) {
  (void)state;
  IG_AUTO(ig_roots) *roots = NULL;
  put_file("data/tables/x.parquet", "x");
  assert_int_equal(symlink("data", in_scratch("alias")), 0);
  assert_ok(ig_roots_new_everything(&roots, &test_err));
  assert_ok(ig_roots_add_private(roots, in_scratch("alias"), &test_err));
  assert_ok(open_path(roots, in_scratch("data/tables/x.parquet"), IG_ACCESS_ENGINE));
  assert_fails(open_path(roots, in_scratch("data/tables/x.parquet"), IG_ACCESS_READ),
               IGLOO_PERMISSION_DENIED, "42501");
  assert_fails(open_path(roots, in_scratch("alias/tables/x.parquet"), IG_ACCESS_READ),
               IGLOO_PERMISSION_DENIED, "42501");
  assert_fails(ig_roots_check(roots, in_scratch("data/y"), IG_ACCESS_WRITE, &test_err),
               IGLOO_PERMISSION_DENIED, "42501");
}

static void no_link_inside_a_root_leads_into_a_private_one(void **state) {
  (void)state;
  IG_AUTO(ig_roots) *roots = NULL;
  char text[256];
  put_file("root/data/tables/x.parquet", "x");
  put_file("root/public/x.parquet", "x");
  assert_int_equal(symlink("data", in_scratch("root/link")), 0);
  assert_int_equal(symlink("data/tables/x.parquet", in_scratch("root/x.parquet")), 0);
  assert_int_equal(symlink("public", in_scratch("root/good")), 0);
  assert_int_equal(symlink(".", in_scratch("root/self")), 0);
  snprintf(text, sizeof(text), "%s/root:rw", scratch);
  assert_ok(ig_roots_new(ig_str_from_cstr(text), &roots, &test_err));
  assert_ok(ig_roots_add_private(roots, in_scratch("root/data"), &test_err));

  static const char *const bad[] = {"root/link/tables/x.parquet", "root/x.parquet",
                                    "root/self/data/tables/x.parquet",
                                    "root/self/self/link/tables/x.parquet"};
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++) {
    assert_fails(open_path(roots, in_scratch(bad[i]), IG_ACCESS_READ),
                 IGLOO_PERMISSION_DENIED, "42501");
    assert_ok(open_path(roots, in_scratch(bad[i]), IG_ACCESS_ENGINE));
  }
  assert_ok(open_path(roots, in_scratch("root/good/x.parquet"), IG_ACCESS_READ));
  assert_true(ig_roots_is_private(roots, in_scratch("root/data/tables")));
  assert_false(ig_roots_is_private(roots, in_scratch("root/data2")));

  int fd = -1;
  const char *folder = in_scratch("root/self/self");
  assert_ok(ig_roots_open_folder(roots, folder, IG_ACCESS_WRITE, &fd, &test_err));
  assert_fails(ig_roots_check_entry(roots, fd, "data", folder, &test_err),
               IGLOO_PERMISSION_DENIED, "42501");
  assert_ok(ig_roots_check_entry(roots, fd, "data2", folder, &test_err));
  assert_ok(ig_roots_check_entry(roots, fd, "dat", folder, &test_err));
  close(fd);
  fd = open(scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
  assert_true(fd >= 0);
  assert_fails(ig_roots_check_entry(roots, fd, "root", "root", &test_err),
               IGLOO_PERMISSION_DENIED, "42501"); /* it would go with what holds it */
  close(fd);
}

static void roots_are_read_from_text(void **state) {
  (void)state;
  put_file("a,b:c/x.csv", "x");
  char text[256];
  IG_AUTO(ig_roots) *roots = NULL;
  snprintf(text, sizeof(text), "%s/a\\,b\\:c : rw ,", scratch);
  assert_ok(ig_roots_new(ig_str_from_cstr(text), &roots, &test_err));
  assert_ok(open_path(roots, in_scratch("a,b:c/x.csv"), IG_ACCESS_READ));
  assert_ok(ig_roots_check(roots, in_scratch("a,b:c/y"), IG_ACCESS_WRITE, &test_err));

  IG_AUTO(ig_roots) *none = NULL;
  assert_ok(ig_roots_new(IG_STR("  "), &none, &test_err));
  assert_fails(open_path(none, "/etc/passwd", IG_ACCESS_READ), IGLOO_PERMISSION_DENIED,
               "42501");

  ig_roots *bad = NULL;
  assert_fails(ig_roots_new(IG_STR("/tmp:rx"), &bad, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  assert_fails(ig_roots_new(IG_STR("tmp"), &bad, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  assert_fails(ig_roots_new(IG_STR("/tmp/no such folder"), &bad, &test_err),
               IGLOO_NOT_FOUND, "58P01");
  assert_fails(ig_roots_new(IG_STR("/:rw, /tmp:ro"), &bad, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
}

/* One thread swaps a folder with a link that leads out, as fast as it can. */
static atomic_bool stop_swapping;

static void *swap_folders(void *ctx) {
  (void)ctx;
  char a[128], b[128];
  snprintf(a, sizeof(a), "%s/root/sub", scratch);
  snprintf(b, sizeof(b), "%s/link", scratch);
  while (!atomic_load(&stop_swapping))
    syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */);
  return NULL;
}

static void a_link_that_is_swapped_in_meanwhile_never_leads_out(void **state) {
  (void)state;
  put_file("root/sub/a.csv", "inside");
  put_file("outside/a.csv", "secret");
  assert_int_equal(symlink(in_scratch("outside"), in_scratch("link")), 0);
  IG_AUTO(ig_roots) *roots = NULL;
  assert_ok(ig_roots_new(ig_str_from_cstr(in_scratch("root")), &roots, &test_err));
  pthread_t thread;
  atomic_store(&stop_swapping, false);
  assert_int_equal(pthread_create(&thread, NULL, swap_folders, NULL), 0);
  int opened = 0, refused = 0;
  for (int i = 0; i < 20000; i++) {
    int fd = -1;
    igloo_status status = ig_roots_open(roots, in_scratch("root/sub/a.csv"),
                                        IG_ACCESS_READ, &fd, NULL, NULL);
    if (status != IGLOO_OK) {
      refused++;
      continue;
    }
    char text[8] = "";
    opened++;
    if (read(fd, text, 6) != 6 || strcmp(text, "inside") != 0)
      fail_msg("read \"%s\" through a link that leads out", text);
    close(fd);
  }
  atomic_store(&stop_swapping, true);
  pthread_join(thread, NULL);
  print_message("opened %d, refused %d\n", opened, refused);
  assert_int_equal(opened + refused, 20000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(paths_become_absolute_and_plain),
      cmocka_unit_test(relative_paths_start_in_the_working_folder),
      cmocka_unit_test(file_urls_are_decoded),
      cmocka_unit_test(bad_paths_are_refused),
      scratch_test(files_in_a_root_open_and_others_do_not),
      scratch_test(missing_and_existing_files_outside_look_the_same),
      scratch_test(writing_needs_an_rw_root),
      scratch_test(links_out_of_a_root_are_refused),
      scratch_test(magic_links_are_refused_even_where_everything_is_allowed),
      scratch_test(only_regular_files_open_and_none_of_the_others_blocks),
      scratch_test(a_private_root_is_the_engines_alone),
      scratch_test(no_link_inside_a_root_leads_into_a_private_one),
      scratch_test(roots_are_read_from_text),
      scratch_test(a_link_that_is_swapped_in_meanwhile_never_leads_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
