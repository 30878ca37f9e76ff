/* Tests of src/shell/output_file.c. */
#include "shell/output_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

/* A folder with a file `there` that holds "before". */
struct place {
  char folder[32];
  char *there, *fresh; /* owned paths */
};

static int place_make(void **state) {
  struct place *place = ig_calloc(1, sizeof(*place));
  if (!place) return -1;
  memcpy(place->folder, "/tmp/igloo-test-XXXXXX", sizeof("/tmp/igloo-test-XXXXXX"));
  if (!mkdtemp(place->folder)) return -1;
  place->there = ig_asprintf("%s/there", place->folder);
  place->fresh = ig_asprintf("%s/fresh", place->folder);
  int fd = open(place->there, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, "before", 6) != 6 || close(fd) != 0) return -1;
  *state = place;
  return 0;
}

static int place_done(void **state) {
  struct place *place = *state;
  (void)unlink(place->there);
  (void)unlink(place->fresh);
  int left = rmdir(place->folder); /* fails where a temporary file was left */
  ig_free(place->there);
  ig_free(place->fresh);
  ig_free(place);
  return left;
}

static void holds(const char *path, const char *expected) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(1000);
  assert_ok(ig_read_whole(path, &text, &test_err));
  assert_string_equal(ig_buf_str(&text).data, expected);
}

static void a_file_appears_when_it_is_complete(void **state) {
  struct place *place = *state;
  struct ig_output_file output = {.fd = STDOUT_FILENO};
  assert_ok(ig_output_file_open(&output, place->fresh, false, &test_err));
  assert_int_equal(write(output.fd, "text", 4), 4);
  assert_int_equal(access(place->fresh, F_OK), -1);
  assert_ok(ig_output_file_commit(&output, &test_err));
  assert_int_equal(output.fd, STDOUT_FILENO);
  holds(place->fresh, "text");
}

static void a_file_is_replaced_whole_or_stays(void **state) {
  struct place *place = *state;
  struct ig_output_file output = {.fd = STDOUT_FILENO};
  assert_ok(ig_output_file_open(&output, place->there, true, &test_err));
  assert_int_equal(write(output.fd, "half", 4), 4);
  holds(place->there, "before");
  ig_output_file_discard(&output);
  holds(place->there, "before");
  assert_ok(ig_output_file_open(&output, place->there, true, &test_err));
  assert_int_equal(write(output.fd, "after", 5), 5);
  assert_ok(ig_output_file_commit(&output, &test_err));
  holds(place->there, "after");
}

static void what_is_there_is_not_replaced_unasked(void **state) {
  struct place *place = *state;
  struct ig_output_file output = {.fd = STDOUT_FILENO};
  assert_fails(ig_output_file_open(&output, place->there, false, &test_err),
               IGLOO_ALREADY_EXISTS, "58P02");
  /* nor where it came in between */
  assert_ok(ig_output_file_open(&output, place->fresh, false, &test_err));
  assert_int_equal(link(place->there, place->fresh), 0);
  assert_fails(ig_output_file_commit(&output, &test_err), IGLOO_ALREADY_EXISTS, "58P02");
  holds(place->fresh, "before");
}

static void devices_are_written_directly(void **state) {
  (void)state;
  struct ig_output_file output = {.fd = STDOUT_FILENO};
  assert_ok(ig_output_file_open(&output, "/dev/null", false, &test_err));
  assert_null(output.unfinished);
  assert_ok(ig_output_file_commit(&output, &test_err));
  assert_int_equal(access("/dev/null", F_OK), 0);
}

static void a_folder_that_is_missing_is_said(void **state) {
  (void)state;
  struct ig_output_file output = {.fd = STDOUT_FILENO};
  assert_fails(ig_output_file_open(&output, "/nonexistent/file", true, &test_err),
               IGLOO_NOT_FOUND, "58P01");
  assert_int_equal(output.fd, STDOUT_FILENO);
  assert_null(output.path);
}

static void files_are_copied_to_a_descriptor(void **state) {
  struct place *place = *state;
  int fd = open(place->fresh, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  bool gone = true;
  assert_ok(ig_output_copy(place->there, fd, &gone, &test_err));
  assert_false(gone);
  assert_int_equal(close(fd), 0);
  holds(place->fresh, "before");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_file_appears_when_it_is_complete, place_make,
                                      place_done),
      cmocka_unit_test_setup_teardown(a_file_is_replaced_whole_or_stays, place_make,
                                      place_done),
      cmocka_unit_test_setup_teardown(what_is_there_is_not_replaced_unasked, place_make,
                                      place_done),
      cmocka_unit_test(devices_are_written_directly),
      cmocka_unit_test(a_folder_that_is_missing_is_said),
      cmocka_unit_test_setup_teardown(files_are_copied_to_a_descriptor, place_make,
                                      place_done),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
