/* test_read.c -- reading, and noticing that a file changed. */
#include "files/read.h"

#include "support-files.h"

static ig_roots *roots;

static int group_setup(void **state) {
  (void)state;
  return ig_roots_new_everything(&roots, NULL) == IGLOO_OK ? 0 : -1;
}

static int group_teardown(void **state) {
  (void)state;
  roots = ig_roots_free(roots);
  return 0;
}

static igloo_status open_expecting(const struct ig_file_id *expected,
                                   struct ig_file_id *ret_id) {
  IG_AUTO(ig_reader) *reader = NULL;
  return ig_reader_open(roots, in_scratch("a.csv"), IG_ACCESS_READ, expected, &reader,
                        ret_id, &test_err);
}

static void any_part_of_a_file_can_be_read(void **state) {
  (void)state;
  IG_AUTO(ig_reader) *reader = NULL;
  char bytes[8] = "";
  put_file("a.csv", "0123456789");
  assert_ok(ig_reader_open(roots, in_scratch("a.csv"), IG_ACCESS_READ, NULL, &reader,
                           NULL, &test_err));
  assert_int_equal(ig_reader_size(reader), 10);
  assert_ok(ig_reader_pread(reader, 3, bytes, 4, &test_err));
  assert_string_equal(bytes, "3456");
  assert_ok(ig_reader_pread(reader, 10, bytes, 0, &test_err));
  assert_fails(ig_reader_pread(reader, 8, bytes, 3, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  assert_fails(ig_reader_pread(reader, UINT64_MAX, bytes, 3, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
}

static void a_file_that_shrinks_is_an_error_not_a_short_answer(void **state) {
  (void)state;
  IG_AUTO(ig_reader) *reader = NULL;
  char bytes[8];
  put_file("a.csv", "0123456789");
  assert_ok(ig_reader_open(roots, in_scratch("a.csv"), IG_ACCESS_READ, NULL, &reader,
                           NULL, &test_err));
  assert_int_equal(truncate(in_scratch("a.csv"), 5), 0);
  assert_fails(ig_reader_pread(reader, 3, bytes, 4, &test_err), IGLOO_FAILED_PRECONDITION,
               "55000");
  assert_message_has("changed during the query");
}

static void a_changed_file_is_noticed_when_it_is_opened(void **state) {
  (void)state;
  struct ig_file_id id, other;
  put_file("a.csv", "01234");
  assert_ok(open_expecting(NULL, &id));
  assert_ok(open_expecting(&id, &other));

  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000}};
  assert_int_equal(utimensat(AT_FDCWD, in_scratch("a.csv"), times, 0), 0);
  assert_fails(open_expecting(&id, NULL), IGLOO_FAILED_PRECONDITION, "55000");

  assert_ok(open_expecting(NULL, &id));
  put_file("b.csv", "56789"); /* same size and time, another inode */
  assert_int_equal(utimensat(AT_FDCWD, in_scratch("b.csv"), times, 0), 0);
  assert_int_equal(rename(in_scratch("b.csv"), in_scratch("a.csv")), 0);
  assert_fails(open_expecting(&id, NULL), IGLOO_FAILED_PRECONDITION, "55000");

  id.inode = 0; /* now another file of that size and time will do */
  assert_ok(open_expecting(&id, NULL));
  times[1].tv_sec = 2000;
  assert_int_equal(utimensat(AT_FDCWD, in_scratch("a.csv"), times, 0), 0);
  assert_fails(open_expecting(&id, NULL), IGLOO_FAILED_PRECONDITION, "55000");
  id.mtime_ns = 0; /* now only the size counts */
  assert_ok(open_expecting(&id, NULL));
  put_file("a.csv", "0123456");
  assert_fails(open_expecting(&id, NULL), IGLOO_FAILED_PRECONDITION, "55000");

  assert_int_equal(unlink(in_scratch("a.csv")), 0);
  assert_fails(open_expecting(&id, NULL), IGLOO_FAILED_PRECONDITION, "55000");
  assert_fails(open_expecting(NULL, NULL), IGLOO_NOT_FOUND, "58P01");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      scratch_test(any_part_of_a_file_can_be_read),
      scratch_test(a_file_that_shrinks_is_an_error_not_a_short_answer),
      scratch_test(a_changed_file_is_noticed_when_it_is_opened),
  };
  return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
