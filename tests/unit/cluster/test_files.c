/* Tests of src/cluster/files.c: which member has which files. */
#include "cluster/two_members.h"

static struct ig_cluster_file listed(const char *relative) {
  static char paths[4][512];
  static int next;
  char *path = paths[next++ % 4];
  struct stat found;
  (void)snprintf(path, sizeof(paths[0]), "%s", in_scratch(relative));
  assert_int_equal(stat(path, &found), 0);
  return (struct ig_cluster_file){
      .path = ig_str_from_cstr(path),
      .size = (uint64_t)found.st_size,
      .mtime_ns = found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec,
      .inode = 1}; /* of another host */
}

/* Ask both members; says whether the worker has them, and keeps the reason. */
static char reason[512];
static bool worker_has(struct two *two, const struct ig_cluster_file *files,
                       size_t count) {
  const struct ig_cluster_channel *table = two->coordinator.table;
  struct ig_cluster_member members[] = {
      {.id = ig_str_from_cstr(two->coordinator.id), .is_self = true},
      {.id = ig_str_from_cstr(two->worker.id)}};
  IG_AUTO(ig_files_asker) *asker = NULL;
  IG_AUTO_CHAR *why = NULL;
  bool has[2] = {false, false};
  (void)table;
  assert_ok(ig_files_asker_new(two->coordinator.channels, &asker, &test_err));
  assert_ok(ig_files_ask(asker, members, 2, files, count, has, &why, &test_err));
  assert_true(has[0]);
  assert_int_equal(has[1], why == NULL);
  (void)snprintf(reason, sizeof(reason), "%s", why ? why : "");
  return has[1];
}

static void assert_reason(const struct two *two, const char *lacks,
                          const struct ig_cluster_file *file) {
  char expected[512];
  (void)snprintf(expected, sizeof(expected), "worker \"%s\" %s file \"%.*s\"",
                 two->worker.id, lacks, IG_STR_ARG(file->path));
  assert_string_equal(reason, expected);
}

static void member_has_files_of_the_same_size_and_time_only(void **state) {
  (void)state;
  struct two two;
  two_open(&two, &(struct two_options){0});
  put_file("in/a.csv", "1\n");
  put_file("in/b.csv", "22\n");
  put_file("out/c.csv", "3\n");
  IG_AUTO(ig_roots) *roots = NULL;
  assert_ok(ig_roots_new(ig_str_from_cstr(in_scratch("in")), &roots, &test_err));
  made.roots = roots;
  struct ig_cluster_file files[] = {listed("in/a.csv"), listed("in/b.csv")};
  struct ig_cluster_file outside = listed("out/c.csv");
  assert_true(worker_has(&two, files, 0));
  assert_true(worker_has(&two, files, 2));
  files[1].size++;
  assert_false(worker_has(&two, files, 2));
  assert_reason(&two, "has another", &files[1]);
  files[1].size--;
  files[1].mtime_ns++;
  assert_false(worker_has(&two, files, 2));
  assert_reason(&two, "has another", &files[1]);
  files[1].mtime_ns--;
  assert_int_equal(unlink(in_scratch("in/b.csv")), 0);
  assert_false(worker_has(&two, files, 2));
  assert_reason(&two, "has no", &files[1]);
  assert_false(worker_has(&two, &outside, 1));
  assert_reason(&two, "may not read", &outside);
  assert_int_equal(mkdir(in_scratch("in/b.csv"), 0700), 0);
  assert_false(worker_has(&two, files, 2));
  assert_reason(&two, "cannot read", &files[1]);
  files[0].path = IG_STR("a\0b");
  assert_false(worker_has(&two, files, 1)); /* the worker refuses to look */
  made.roots = NULL;
  two_close(&two);
}

static void member_that_cannot_be_asked_has_none(void **state) {
  (void)state;
  struct two two;
  two_open(&two, &(struct two_options){0});
  put_file("in/a.csv", "1\n");
  struct ig_cluster_file file = listed("in/a.csv");
  node_kill(&two.worker);
  assert_false(worker_has(&two, &file, 1));
  assert_non_null(strstr(reason, "did not answer"));
  two_close(&two);
}

/* Through the engine's table: an answer counts for a while, of one list of files. */
static void answer_is_kept_and_the_reason_lives_as_long_as_the_snapshot(void **state) {
  (void)state;
  struct two two;
  two_open(&two, &(struct two_options){0});
  put_file("in/a.csv", "1\n");
  put_file("in/b.csv", "1\n");
  IG_AUTO(ig_roots) *roots = NULL;
  assert_ok(ig_roots_new(ig_str_from_cstr(in_scratch("in")), &roots, &test_err));
  made.roots = roots;
  struct ig_cluster_file a = listed("in/a.csv"), b = listed("in/b.csv");
  const struct ig_cluster_channel *table = two.coordinator.table;
  const struct ig_cluster_member *members;
  size_t count = 0;
  int64_t deadline_us = ig_deadline_in(PATIENCE_US);
  void *snapshot = NULL;
  while (count < 2) {
    assert_true(ig_deadline_left_us(deadline_us) > 0);
    if (snapshot) table->members_release(table->ctx, snapshot);
    snapshot = table->members(table->ctx, &members, &count);
  }
  bool has[2];
  struct ig_str why = {0}, why_b = {0};
  assert_ok(table->files(table->ctx, snapshot, &a, 1, has, &why, &test_err));
  assert_true(has[0] && has[1]);
  assert_int_equal(why.len, 0);
  assert_int_equal(unlink(in_scratch("in/a.csv")), 0);
  assert_int_equal(unlink(in_scratch("in/b.csv")), 0);
  assert_ok(table->files(table->ctx, snapshot, &a, 1, has, &why, &test_err));
  assert_true(has[1]); /* as it was a moment ago */
  assert_ok(table->files(table->ctx, snapshot, &b, 1, has, &why_b, &test_err));
  assert_false(has[1]);
  struct ig_cluster_file both[] = {a, b};
  assert_ok(table->files(table->ctx, snapshot, both, 2, has, &why, &test_err));
  assert_false(has[1]);
  assert_true(ig_str_ends(why_b, IG_STR("b.csv\"")));
  assert_true(ig_str_ends(why, IG_STR("a.csv\"")));
  table->members_release(table->ctx, snapshot);
  made.roots = NULL;
  two_close(&two);
}

struct asking {
  struct two *two;
  struct ig_cluster_file file;
};

static igloo_status ask(void *ctx, struct igloo_error *reterr) {
  struct asking *asking = ctx;
  struct ig_cluster_member members[] = {{.id = ig_str_from_cstr(asking->two->worker.id)}};
  IG_AUTO(ig_files_asker) *asker = NULL;
  IG_AUTO_CHAR *why = NULL;
  bool has = true;
  IG_TRY(ig_files_asker_new(asking->two->coordinator.channels, &asker, reterr));
  IG_TRY(ig_files_ask(asker, members, 1, &asking->file, 1, &has, &why, reterr));
  assert_int_equal(has, why == NULL);
  /* Whoever could not be asked for want of memory has none. */
  return has ? IGLOO_OK : ig_fail_oom(reterr);
}

static void failed_allocation_is_an_answer_too(void **state) {
  (void)state;
  struct two two;
  two_open(&two, &(struct two_options){0});
  put_file("in/a.csv", "1\n");
  IG_AUTO(ig_roots) *roots = NULL;
  assert_ok(ig_roots_new(ig_str_from_cstr(in_scratch("in")), &roots, &test_err));
  made.roots = roots;
  struct asking asking = {&two, listed("in/a.csv")};
  assert_ok(ask(&asking, &test_err)); /* connects */
  /* A connection that was lost with an allocation is tried again after a while. */
  int64_t deadline_us = ig_deadline_in(PATIENCE_US);
  int whole = 0;
  for (int64_t n = 0; whole < 3; n++) {
    ig_mem_fail_after(n);
    igloo_status status = ask(&asking, &test_err);
    bool has_failed = ig_mem_fail_stop();
    whole = has_failed || status != IGLOO_OK ? 0 : whole + 1;
    assert_true(ig_deadline_left_us(deadline_us) > 0);
  }
  made.roots = NULL;
  two_close(&two);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      scratch_test(member_has_files_of_the_same_size_and_time_only),
      scratch_test(member_that_cannot_be_asked_has_none),
      scratch_test(answer_is_kept_and_the_reason_lives_as_long_as_the_snapshot),
      scratch_test(failed_allocation_is_an_answer_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
