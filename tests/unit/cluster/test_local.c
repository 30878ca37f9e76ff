/* Tests of src/cluster/local.c: what a member asks of itself, over an engine of our own.
 */
#include "cluster/two_members.h"

static ig_pool *open_pool(void) {
  const struct ig_pool_options options = {
      .name = "local", .threads_max = 1, .waiting_max = 1000};
  ig_pool *pool = NULL;
  static bool is_ready;
  if (!is_ready) ig_cond_init(&made.changed);
  is_ready = true;
  made.tasks = made.tasks_freed = made.finished = 0;
  made.reads = made.reads_freed = made.batches = 0;
  assert_ok(ig_pool_new(&options, &pool, &test_err));
  return pool;
}

static enum ig_cluster_poll next_of(ig_local *local, struct waker *waker,
                                    struct ArrowArray *ret_batch) {
  enum ig_cluster_poll poll;
  while ((poll = ig_local_poll_batch(local, wake, waker, ret_batch, &test_err)) ==
         IG_CLUSTER_POLL_PENDING)
    wait_told(waker);
  return poll;
}

static void batches_change_hands_in_order(void **state) {
  (void)state;
  struct waker waker;
  ig_pool *pool = open_pool();
  waker_open(&waker);
  ig_local *local = NULL;
  assert_ok(ig_local_read(NULL, pool, &a_task, 0, IG_STR("200 10"), &local, &test_err));
  int64_t rows = 0;
  for (;;) {
    IG_AUTO_ARRAY batch = {0};
    enum ig_cluster_poll poll = next_of(local, &waker, &batch);
    if (poll == IG_CLUSTER_POLL_END) break;
    assert_int_equal(poll, IG_CLUSTER_POLL_READY);
    const struct ArrowSchema *schema = ig_local_schema(local);
    assert_non_null(schema);
    if (schema) assert_string_equal(schema->children[0]->name, "n");
    assert_int_equal(((const int64_t *)batch.children[0]->buffers[1])[9], rows + 9);
    rows += batch.length;
  }
  assert_int_equal(rows, 2000);
  (void)ig_local_free(local);
  pool = ig_pool_free(pool); /* waits for it */
  assert_int_equal(made.reads_freed, 1);
  waker_close(&waker);
}

static void unread_partition_holds_few_batches(void **state) {
  (void)state;
  ig_pool *pool = open_pool();
  ig_local *local = NULL;
  assert_ok(ig_local_read(NULL, pool, &a_task, 0, IG_STR("1000 10"), &local, &test_err));
  wait_until(&made.batches, IG_CLUSTER_LOCAL_BATCHES_MAX);
  (void)ig_local_free(local);
  pool = ig_pool_free(pool);
  assert_int_equal(made.reads_freed, 1);
  assert_int_equal(made.batches, IG_CLUSTER_LOCAL_BATCHES_MAX);
}

static void task_tells_and_ends_and_errors_stay_whole(void **state) {
  (void)state;
  struct waker waker;
  ig_pool *pool = open_pool();
  waker_open(&waker);
  struct ig_cluster_task_plan plan = {
      .task = a_task, .tasks_count = 1, .plan = IG_STR("bad")};
  ig_local *local = NULL;
  struct ig_str message;
  assert_fails(ig_local_task(NULL, pool, &plan, &local, &test_err), IGLOO_INTERNAL,
               "XX000");
  plan.plan = IG_STR("a plan");
  assert_ok(ig_local_task(NULL, pool, &plan, &local, &test_err));
  assert_int_equal(ig_local_poll_message(local, wake, &waker, &message, &test_err),
                   IG_CLUSTER_POLL_PENDING);
  made.task->events.message(made.task->events.ctx, IG_STR("one"));
  made.task->events.message(made.task->events.ctx, IG_STR(""));
  wait_told(&waker);
  assert_int_equal(ig_local_poll_message(local, wake, &waker, &message, &test_err),
                   IG_CLUSTER_POLL_READY);
  assert_str_eq(message, "one");
  assert_int_equal(ig_local_poll_message(local, wake, &waker, &message, &test_err),
                   IG_CLUSTER_POLL_READY);
  assert_int_equal(message.len, 0);
  ig_local_finish(local);
  struct igloo_error error;
  (void)ig_fail_state(&error, IGLOO_DATA_ERROR, "22012", "division by zero");
  made.task->events.ended(made.task->events.ctx, (int32_t)error.status, &error);
  assert_int_equal(ig_local_poll_message(local, wake, &waker, &message, &test_err),
                   IG_CLUSTER_POLL_FAILED);
  assert_string_equal(test_err.sqlstate, "22012");
  (void)ig_local_free(local);
  pool = ig_pool_free(pool);
  assert_int_equal(made.tasks_freed, 1);
  waker_close(&waker);
}

static igloo_status read_all(void *ctx, struct igloo_error *reterr) {
  ig_local *local = NULL;
  struct waker waker;
  IG_TRY(ig_local_read(NULL, ctx, &a_task, 0, IG_STR("3 10"), &local, reterr));
  waker_open(&waker);
  enum ig_cluster_poll poll = IG_CLUSTER_POLL_READY;
  int64_t rows = 0;
  while (poll == IG_CLUSTER_POLL_READY) {
    IG_AUTO_ARRAY batch = {0};
    poll = next_of(local, &waker, &batch);
    rows += batch.length;
  }
  (void)ig_local_free(local);
  waker_close(&waker);
  if (poll == IG_CLUSTER_POLL_FAILED) return ig_fail_oom(reterr);
  assert_int_equal(rows, 30);
  return IGLOO_OK;
}

static void failed_allocation_never_shortens_a_partition(void **state) {
  (void)state;
  ig_pool *pool = open_pool();
  assert_survives_failed_allocations(read_all, pool);
  pool = ig_pool_free(pool);
  assert_int_equal(made.reads, made.reads_freed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(batches_change_hands_in_order),
      cmocka_unit_test(unread_partition_holds_few_batches),
      cmocka_unit_test(task_tells_and_ends_and_errors_stay_whole),
      cmocka_unit_test(failed_allocation_never_shortens_a_partition),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
