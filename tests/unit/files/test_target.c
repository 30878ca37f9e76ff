/* test_target.c -- files that appear whole or not at all. */
#include "files/target.h"

#include <signal.h>
#include <sys/resource.h>

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

static igloo_status new_copy(const char *path, enum ig_copy_shape shape, bool overwrite,
                             ig_copy_target **ret_target) {
  return ig_copy_target_new(roots, path, shape, overwrite, ret_target, &test_err);
}

/* Write one file of `text` through the function table. */
static void write_one(const struct ig_write_target *table, const char *partition,
                      const char *text) {
  void *file = NULL;
  assert_ok(table->create(table->ctx, ig_str_from_cstr(partition), IG_STR("csv"), &file,
                          &test_err));
  assert_ok(table->write(table->ctx, file, text, strlen(text) / 2, &test_err));
  assert_ok(table->write(table->ctx, file, text + strlen(text) / 2,
                         strlen(text) - strlen(text) / 2, &test_err));
  assert_ok(table->finish(table->ctx, file, 1, &test_err));
}

static void a_copied_file_appears_at_commit(void **state) {
  (void)state;
  IG_AUTO(ig_copy_target) *target = NULL;
  put_file("out/other.csv", "");
  assert_ok(new_copy(in_scratch("out/a.csv"), IG_COPY_FILE, false, &target));
  assert_int_equal(count_entries("out"), 1);
  write_one(ig_copy_target_table(target), "", "hello\n");
  assert_null(get_file("out/a.csv"));
  assert_ok(ig_copy_target_commit(target, &test_err));
  assert_string_equal(get_file("out/a.csv"), "hello\n");
  target = ig_copy_target_free(target);
  assert_int_equal(count_entries("out"), 2);
}

static void an_aborted_copy_leaves_nothing(void **state) {
  (void)state;
  ig_copy_target *target = NULL;
  void *file = NULL;
  put_file("out/other.csv", "");
  assert_ok(new_copy(in_scratch("out/a.csv"), IG_COPY_FILE, false, &target));
  write_one(ig_copy_target_table(target), "", "hello\n");
  ig_copy_target_free(target);
  assert_int_equal(count_entries("out"), 1);

  assert_ok(new_copy(in_scratch("out/b.csv"), IG_COPY_FILE, false, &target));
  const struct ig_write_target *table = ig_copy_target_table(target);
  assert_ok(table->create(table->ctx, IG_STR(""), IG_STR("csv"), &file, &test_err));
  table->abandon(table->ctx, file);
  ig_copy_target_free(target);
  assert_int_equal(count_entries("out"), 1);
}

static void an_existing_file_is_replaced_only_when_asked(void **state) {
  (void)state;
  ig_copy_target *target = NULL;
  put_file("a.csv", "old");
  assert_fails(new_copy(in_scratch("a.csv"), IG_COPY_FILE, false, &target),
               IGLOO_ALREADY_EXISTS, "58P02");
  assert_ok(new_copy(in_scratch("a.csv"), IG_COPY_FILE, true, &target));
  write_one(ig_copy_target_table(target), "", "new");
  assert_string_equal(get_file("a.csv"), "old");
  assert_ok(ig_copy_target_commit(target, &test_err));
  ig_copy_target_free(target);
  assert_string_equal(get_file("a.csv"), "new");
  assert_int_equal(count_entries("."), 1);
}

static void a_file_that_someone_else_made_meanwhile_stays(void **state) {
  (void)state;
  ig_copy_target *target = NULL;
  assert_ok(new_copy(in_scratch("a.csv"), IG_COPY_FILE, false, &target));
  write_one(ig_copy_target_table(target), "", "ours");
  put_file("a.csv", "theirs");
  assert_fails(ig_copy_target_commit(target, &test_err), IGLOO_ALREADY_EXISTS, "58P02");
  ig_copy_target_free(target);
  assert_string_equal(get_file("a.csv"), "theirs");
  assert_int_equal(count_entries("."), 1);
}

static void a_copy_without_rows_makes_an_empty_file(void **state) {
  (void)state;
  IG_AUTO(ig_copy_target) *target = NULL;
  assert_ok(new_copy(in_scratch("a.csv"), IG_COPY_FILE, false, &target));
  assert_ok(ig_copy_target_commit(target, &test_err));
  assert_string_equal(get_file("a.csv"), "");
}

static void a_folder_with_partitions_appears_at_commit(void **state) {
  (void)state;
  ig_copy_target *target = NULL;
  assert_ok(new_copy(in_scratch("out/"), IG_COPY_FOLDER, false, &target));
  write_one(ig_copy_target_table(target), "year=2023", "a");
  write_one(ig_copy_target_table(target), "year=2024/month=1", "b");
  write_one(ig_copy_target_table(target), "", "c");
  assert_int_equal(count_entries("out"), -1);
  assert_ok(ig_copy_target_commit(target, &test_err));
  ig_copy_target_free(target);
  assert_string_equal(get_file("out/year=2023/data-0.csv"), "a");
  assert_string_equal(get_file("out/year=2024/month=1/data-1.csv"), "b");
  assert_string_equal(get_file("out/data-2.csv"), "c");
  assert_int_equal(count_entries("."), 1);

  assert_fails(new_copy(in_scratch("out"), IG_COPY_FOLDER, false, &target),
               IGLOO_ALREADY_EXISTS, "58P02");
  assert_ok(new_copy(in_scratch("out"), IG_COPY_FOLDER, true, &target));
  write_one(ig_copy_target_table(target), "", "new");
  assert_ok(ig_copy_target_commit(target, &test_err));
  ig_copy_target_free(target);
  assert_string_equal(get_file("out/data-0.csv"), "new");
  assert_int_equal(count_entries("out"), 1);
  assert_int_equal(count_entries("."), 1);
}

static void tricks_with_paths_are_refused(void **state) {
  (void)state;
  ig_copy_target *target = NULL;
  void *file = NULL;
  char text[128];
  static const char *const bad[] = {"..", "a/../../b", "/etc", "a//b", "."};
  assert_ok(new_copy(in_scratch("out"), IG_COPY_FOLDER, false, &target));
  const struct ig_write_target *table = ig_copy_target_table(target);
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++)
    assert_fails(table->create(table->ctx, ig_str_from_cstr(bad[i]), IG_STR("csv"), &file,
                               &test_err),
                 IGLOO_INTERNAL, "XX000");
  ig_copy_target_free(target);

  put_file("t/x", "");
  assert_int_equal(symlink("/tmp", in_scratch("t/out")), 0);
  assert_fails(new_copy(in_scratch("none/a.csv"), IG_COPY_FILE, false, &target),
               IGLOO_NOT_FOUND, "58P01");
  assert_fails(new_copy("/dev/null", IG_COPY_FILE, true, &target), IGLOO_INVALID_ARGUMENT,
               "42809");
  assert_fails(new_copy("/", IG_COPY_FILE, true, &target), IGLOO_INVALID_ARGUMENT,
               "42809");
  assert_fails(new_copy(in_scratch("t"), IG_COPY_FILE, true, &target),
               IGLOO_INVALID_ARGUMENT, "42809");

  IG_AUTO(ig_roots) *narrow = NULL;
  snprintf(text, sizeof(text), "%s/t:rw", scratch);
  assert_ok(ig_roots_new(ig_str_from_cstr(text), &narrow, &test_err));
  assert_fails(ig_copy_target_new(narrow, in_scratch("t/out/a.csv"), IG_COPY_FILE, false,
                                  &target, &test_err),
               IGLOO_PERMISSION_DENIED, "42501");
  assert_fails(ig_copy_target_new(narrow, in_scratch("a.csv"), IG_COPY_FILE, false,
                                  &target, &test_err),
               IGLOO_PERMISSION_DENIED, "42501");
}

static void a_write_that_does_not_fit_is_53100_and_leaves_nothing(void **state) {
  (void)state;
  ig_copy_target *target = NULL;
  void *file = NULL;
  static const char bytes[8192];
  struct rlimit old, small;
  assert_ok(new_copy(in_scratch("a.csv"), IG_COPY_FILE, false, &target));
  const struct ig_write_target *table = ig_copy_target_table(target);
  assert_ok(table->create(table->ctx, IG_STR(""), IG_STR("csv"), &file, &test_err));

  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  small = old;
  small.rlim_cur = 4096;
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  igloo_status status = table->write(table->ctx, file, bytes, sizeof(bytes), &test_err);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  signal(SIGXFSZ, handler);
  assert_int_equal(status, IGLOO_RESOURCE_EXHAUSTED);
  assert_string_equal(test_err.sqlstate, "53100");

  table->abandon(table->ctx, file);
  ig_copy_target_free(target);
  assert_int_equal(count_entries("."), 0);
}

static void a_tables_files_are_listed_and_removed_unless_kept(void **state) {
  (void)state;
  for (int keep = 0; keep < 2; keep++) {
    ig_table_target *target = NULL;
    const struct ig_table_file *files = NULL;
    size_t count = 0;
    void *file = NULL;
    char folder[IG_RANDOM_NAME_BYTES];
    assert_ok(ig_random_name(folder, &test_err));
    assert_ok(ig_table_target_new(scratch, folder, &target, &test_err));
    const struct ig_write_target *table = ig_table_target_table(target);
    assert_int_equal(count_entries("."), 0);
    write_one(table, "", "12345");
    write_one(table, "", "123");
    assert_ok(table->create(table->ctx, IG_STR(""), IG_STR("parquet"), &file, &test_err));
    assert_ok(table->finish(table->ctx, file, 0, &test_err)); /* no rows: no file */
    ig_table_target_files(target, &files, &count);
    assert_int_equal(count, 2);
    assert_int_equal(files[0].size, 5);
    assert_int_equal(files[1].size, 3);
    assert_int_equal(files[0].rows, 1);
    assert_string_equal(get_file(files[0].name), "12345");
    assert_int_equal(count_entries(folder), 2);
    if (keep) ig_table_target_keep(target);
    ig_table_target_free(target);
    assert_int_equal(count_entries(folder), keep ? 2 : -1);
  }
}

static igloo_status copy_with_failures(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_copy_target) *target = NULL;
  void *file = NULL;
  IG_TRY(
      ig_copy_target_new(roots, in_scratch("a"), IG_COPY_FOLDER, true, &target, reterr));
  const struct ig_write_target *table = ig_copy_target_table(target);
  IG_TRY(table->create(table->ctx, IG_STR("x=1"), IG_STR("csv"), &file, reterr));
  IG_TRY(table->finish(table->ctx, file, 1, reterr));
  return ig_copy_target_commit(target, reterr);
}

static void targets_survive_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(copy_with_failures, NULL);
  assert_int_equal(count_entries("."), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      scratch_test(a_copied_file_appears_at_commit),
      scratch_test(an_aborted_copy_leaves_nothing),
      scratch_test(an_existing_file_is_replaced_only_when_asked),
      scratch_test(a_file_that_someone_else_made_meanwhile_stays),
      scratch_test(a_copy_without_rows_makes_an_empty_file),
      scratch_test(a_folder_with_partitions_appears_at_commit),
      scratch_test(tricks_with_paths_are_refused),
      scratch_test(a_write_that_does_not_fit_is_53100_and_leaves_nothing),
      scratch_test(a_tables_files_are_listed_and_removed_unless_kept),
      scratch_test(targets_survive_failed_allocations),
  };
  return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
