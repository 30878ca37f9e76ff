/* Tests of src/cluster/channel.c and service.c: tasks and partitions between two members.
 */
#include "cluster/two_members.h"

static void partition_arrives_whole_and_in_order(void **state) {
  (void)state;
  struct two two;
  struct waker waker;
  two_open(&two, &(struct two_options){0});
  waker_open(&waker);
  /* of one message, of several, of few rows, of none; the last is cut into messages */
  static const struct {
    const char *head;
    uint64_t rows;
  } cases[] = {{"1 10", 10},
               {"40 1000", 40000},
               {"300 1", 300},
               {"0 0", 0},
               {"2 700000", 1400000}};
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    void *read = open_read(&two, cases[i].head);
    assert_int_equal(read_rows(&two, read, &waker), cases[i].rows);
    two.coordinator.table->read_free(read);
  }
  wait_until(&made.reads_freed, IG_ARRAY_LEN(cases));
  const struct ig_member_figures *sent = ig_cluster_figures(two.worker.cluster);
  const struct ig_member_figures *came = ig_cluster_figures(two.coordinator.cluster);
  assert_int_equal(sent->rows_out, 10 + 40000 + 300 + 1400000);
  assert_int_equal(sent->bytes_out, came->bytes_in);
  assert_true(sent->bytes_out > 8 * sent->rows_out);
  waker_close(&waker);
  two_close(&two);
}

static void partition_knows_its_schema(void **state) {
  (void)state;
  struct two two;
  struct waker waker;
  two_open(&two, &(struct two_options){0});
  waker_open(&waker);
  void *read = open_read(&two, "2 5");
  struct ArrowSchema schema = {0};
  assert_fails(two.coordinator.table->read_schema(read, &schema, &test_err),
               IGLOO_INTERNAL, "XX000");
  IG_AUTO_ARRAY batch = {0};
  assert_int_equal(next_batch(&two, read, &waker, &batch), IG_CLUSTER_POLL_READY);
  assert_ok(two.coordinator.table->read_schema(read, &schema, &test_err));
  assert_string_equal(schema.format, "+s");
  assert_string_equal(schema.children[0]->name, "n");
  schema.release(&schema);
  two.coordinator.table->read_free(read);
  /* A batch lives without its read. */
  assert_int_equal(((const int64_t *)batch.children[0]->buffers[1])[4], 4);
  waker_close(&waker);
  two_close(&two);
}

/* A partition that nobody reads holds its producer up, and none of the others. */
static void unread_partition_stalls_itself_alone(void **state) {
  (void)state;
  enum { READS = 16, BATCHES = 64 };
  struct two two;
  struct waker wakers[READS];
  void *reads[READS];
  two_open(&two, &(struct two_options){0});
  for (int i = 0; i < READS; i++) {
    waker_open(&wakers[i]);
    reads[i] = open_read(&two, "64 20000"); /* 160 kB each */
  }
  for (int i = 1; i < READS; i++)
    assert_int_equal(read_rows(&two, reads[i], &wakers[i]), BATCHES * 20000);
  int produced;
  {
    IG_LOCK_SCOPE(&made.mu);
    produced = made.batches - (READS - 1) * BATCHES;
  }
  assert_true(produced < BATCHES); /* window, queue and sockets are smaller */
  assert_int_equal(read_rows(&two, reads[0], &wakers[0]), BATCHES * 20000);
  for (int i = 0; i < READS; i++) {
    two.coordinator.table->read_free(reads[i]);
    waker_close(&wakers[i]);
  }
  two_close(&two);
}

static void freed_read_frees_the_worker_within_a_second(void **state) {
  (void)state;
  struct two two;
  struct waker waker;
  two_open(&two, &(struct two_options){0});
  waker_open(&waker);
  for (int i = 0; i < 20; i++) {
    void *read = open_read(&two, "1000000 1000");
    IG_AUTO_ARRAY batch = {0};
    if (i % 2)
      assert_int_equal(next_batch(&two, read, &waker, &batch), IG_CLUSTER_POLL_READY);
    wait_until(&made.reads, i + 1);
    int64_t began_us = ig_now_us();
    two.coordinator.table->read_free(read);
    wait_until(&made.reads_freed, i + 1);
    assert_true(ig_now_us() - began_us < IG_US_PER_S);
  }
  waker_close(&waker);
  two_close(&two);
}

static void task_runs_tells_and_ends_with_its_query(void **state) {
  (void)state;
  struct two two;
  struct waker waker;
  two_open(&two, &(struct two_options){0});
  waker_open(&waker);
  void *task = NULL;
  assert_ok(start_a_task(&two, "a plan", &task));
  wait_until(&made.tasks, 1);
  assert_string_equal(made.task->plan, "a plan");
  assert_string_equal(made.task->setting, "time_zone=Europe/Berlin");
  assert_int_equal(ig_worker_service_tasks_now(two.worker.service), 1);
  struct ig_str message = {0};
  assert_int_equal(
      two.coordinator.table->task_poll(task, wake, &waker, &message, &test_err),
      IG_CLUSTER_POLL_PENDING);
  made.task->events.message(made.task->events.ctx, IG_STR("metrics"));
  assert_int_equal(next_message(&two, task, &waker, &message), IG_CLUSTER_POLL_READY);
  assert_str_eq(message, "metrics");
  two.coordinator.table->task_finish(task);
  wait_until(&made.finished, 1);
  made.task->events.message(made.task->events.ctx, IG_STR(""));
  made.task->events.ended(made.task->events.ctx, IGLOO_OK, NULL);
  assert_int_equal(next_message(&two, task, &waker, &message), IG_CLUSTER_POLL_READY);
  assert_int_equal(message.len, 0);
  assert_int_equal(next_message(&two, task, &waker, &message), IG_CLUSTER_POLL_END);
  wait_until(&made.tasks_freed, 1);
  two.coordinator.table->task_free(task);

  struct ig_task_view *views = NULL;
  size_t count = 0;
  assert_ok(ig_task_log_view(ig_cluster_tasks(two.coordinator.cluster), &views, &count,
                             &test_err));
  assert_int_equal(count, 1);
  assert_int_equal(views[0].state, IG_TASK_DONE);
  assert_string_equal(views[0].member, two.worker.id);
  ig_free(views);
  waker_close(&waker);
  two_close(&two);
}

static void freed_task_is_freed_on_the_worker(void **state) {
  (void)state;
  struct two two;
  two_open(&two, &(struct two_options){0});
  void *task = NULL;
  assert_ok(start_a_task(&two, "a plan", &task));
  wait_until(&made.tasks, 1);
  two.coordinator.table->task_free(task);
  wait_until(&made.tasks_freed, 1);
  two_close(&two);
}

/* What a task ended with comes as it was said, also that of another hop. */
static void errors_cross_whole(void **state) {
  (void)state;
  struct two two;
  struct waker waker;
  two_open(&two, &(struct two_options){0});
  waker_open(&waker);
  void *read = NULL;
  assert_ok(start_a_read(&two, "3 10", FAILING, &read));
  for (int i = 0; i < 3; i++) {
    IG_AUTO_ARRAY batch = {0};
    assert_int_equal(next_batch(&two, read, &waker, &batch), IG_CLUSTER_POLL_READY);
  }
  IG_AUTO_ARRAY none = {0};
  assert_int_equal(next_batch(&two, read, &waker, &none), IG_CLUSTER_POLL_FAILED);
  assert_int_equal(test_err.status, IGLOO_UNAVAILABLE);
  assert_string_equal(test_err.message, "worker \"w-deeper-1\" was lost");
  assert_string_equal(test_err.hint, "A hint.");
  two.coordinator.table->read_free(read);

  void *task = NULL;
  struct ig_str message;
  assert_ok(start_a_task(&two, "bad", &task));
  assert_int_equal(next_message(&two, task, &waker, &message), IG_CLUSTER_POLL_FAILED);
  assert_int_equal(test_err.status, IGLOO_INTERNAL);
  assert_string_equal(test_err.message, "the plan cannot be read");
  two.coordinator.table->task_free(task);
  waker_close(&waker);
  two_close(&two);
}

/* --- loss */

static void assert_lost(const struct two *two) {
  char expected[128];
  (void)snprintf(expected, sizeof(expected), "worker \"%s\" was lost", two->worker.id);
  assert_int_equal(test_err.status, IGLOO_UNAVAILABLE);
  assert_string_equal(test_err.sqlstate, "08006");
  assert_int_equal(test_err.retryable, 1);
  assert_string_equal(test_err.message, expected);
}

static void killed_worker_ends_its_calls_at_once(void **state) {
  (void)state;
  struct two two;
  struct waker waker;
  two_open(&two, &(struct two_options){0});
  waker_open(&waker);
  void *read = open_read(&two, "1000000 1000");
  void *task = NULL;
  struct ig_str message;
  IG_AUTO_ARRAY batch = {0}, next = {0};
  assert_ok(start_a_task(&two, "a plan", &task));
  assert_int_equal(next_batch(&two, read, &waker, &batch), IG_CLUSTER_POLL_READY);
  wait_until(&made.tasks, 1);
  int64_t began_us = ig_now_us();
  node_kill(&two.worker);
  int32_t poll;
  while ((poll = next_batch(&two, read, &waker, &next)) == IG_CLUSTER_POLL_READY)
    ig_array_done(&next);
  assert_int_equal(poll, IG_CLUSTER_POLL_FAILED);
  assert_lost(&two);
  assert_int_equal(next_message(&two, task, &waker, &message), IG_CLUSTER_POLL_FAILED);
  assert_lost(&two);
  void *other = NULL;
  assert_fails(start_a_read(&two, "1 1", 1, &other), IGLOO_UNAVAILABLE, "08006");
  assert_lost(&two);
  assert_true(ig_now_us() - began_us < 2 * IG_US_PER_S);
  two.coordinator.table->read_free(read);
  two.coordinator.table->task_free(task);
  waker_close(&waker);
  two_close(&two);
}

/* The registry knows first: a worker that says good-bye, or whose heartbeats stop. */
static void member_that_is_gone_ends_its_calls(void **state) {
  (void)state;
  struct two two;
  struct waker waker;
  two_open(&two, &(struct two_options){0});
  waker_open(&waker);
  void *read = open_read(&two, "1000000 1000");
  IG_AUTO_ARRAY batch = {0}, next = {0};
  assert_int_equal(next_batch(&two, read, &waker, &batch), IG_CLUSTER_POLL_READY);
  ig_members_leave(ig_cluster_members(two.coordinator.cluster),
                   ig_str_from_cstr(two.worker.id), ig_now_us());
  int32_t poll;
  while ((poll = next_batch(&two, read, &waker, &next)) == IG_CLUSTER_POLL_READY)
    ig_array_done(&next);
  assert_int_equal(poll, IG_CLUSTER_POLL_FAILED);
  assert_lost(&two);
  wait_until(&made.reads_freed, 1);
  two.coordinator.table->read_free(read);
  void *other = NULL;
  assert_fails(start_a_read(&two, "1 1", 1, &other), IGLOO_UNAVAILABLE, "08006");
  waker_close(&waker);
  two_close(&two);
}

/* The other way round: a worker that is cut off frees what its coordinator gave it. */
static void worker_without_coordinator_frees_its_tasks(void **state) {
  (void)state;
  struct two two;
  two_open(&two, &(struct two_options){0});
  void *read = open_read(&two, "1000000 1000");
  void *task = NULL;
  assert_ok(start_a_task(&two, "a plan", &task));
  wait_until(&made.tasks, 1);
  wait_until(&made.reads, 1);
  ig_members_cut_off(ig_cluster_members(two.worker.cluster),
                     "No heartbeat was answered.");
  wait_until(&made.tasks_freed, 1);
  wait_until(&made.reads_freed, 1);
  two.coordinator.table->read_free(read);
  two.coordinator.table->task_free(task);
  two_close(&two);
}

/* --- ways */

static void members_of_one_host_meet_at_a_unix_socket(void **state) {
  (void)state;
  struct two two;
  struct waker waker;
  two_open(&two, &(struct two_options){.worker_socket = in_scratch("worker.sock")});
  waker_open(&waker);
  IG_AUTO_STRUCT(ig_member_list) *list =
      ig_members_list(ig_cluster_members(two.coordinator.cluster));
  const struct ig_member *worker =
      ig_member_list_find(list, ig_str_from_cstr(two.worker.id));
  assert_string_equal(worker->unix_path, in_scratch("worker.sock"));
  void *read = open_read(&two, "50 1000");
  assert_int_equal(read_rows(&two, read, &waker), 50000);
  two.coordinator.table->read_free(read);
  waker_close(&waker);
  two_close(&two);
}

static void engine_sees_members_in_order_with_itself(void **state) {
  (void)state;
  struct two two;
  two_open(&two, &(struct two_options){0});
  const struct ig_cluster_channel *table = two.coordinator.table;
  const struct ig_cluster_member *members = NULL;
  size_t count = 0;
  int64_t deadline_us = ig_deadline_in(PATIENCE_US);
  void *snapshot = NULL;
  while (count < 2) { /* joined, and then active with its first heartbeat */
    assert_true(ig_deadline_left_us(deadline_us) > 0);
    if (snapshot) table->members_release(table->ctx, snapshot);
    snapshot = table->members(table->ctx, &members, &count);
    assert_non_null(snapshot);
  }
  assert_true(members[0].is_self);
  assert_str_eq(members[0].id, two.coordinator.id);
  assert_false(members[1].is_self);
  assert_str_eq(members[1].id, two.worker.id);
  assert_int_equal(members[1].threads, 2);
  assert_int_equal(members[1].processors, 2);
  assert_int_equal(members[1].host, members[0].host);
  table->members_release(table->ctx, snapshot);
  two_close(&two);
}

/* --- without memory */

/* The nth allocation of either side fails: the read ends whole or with an error. */
static void failed_allocation_never_shortens_a_partition(void **state) {
  (void)state;
  struct two two;
  two_open(&two, &(struct two_options){0});
  struct waker waker;
  waker_open(&waker);
  ig_array_done(&(struct ArrowArray){0});
  void *warm = open_read(&two, "1 10"); /* the connection is there */
  assert_int_equal(read_rows(&two, warm, &waker), 10);
  two.coordinator.table->read_free(warm);
  int whole = 0;
  for (int64_t n = 0; n < 400 && whole < 3; n++) {
    void *read = NULL;
    uint64_t rows = 0;
    ig_mem_fail_after(n);
    igloo_status status = start_a_read(&two, "4 1000", 1, &read);
    int32_t poll = status == IGLOO_OK ? IG_CLUSTER_POLL_READY : IG_CLUSTER_POLL_FAILED;
    while (poll == IG_CLUSTER_POLL_READY) {
      IG_AUTO_ARRAY batch = {0};
      poll = next_batch(&two, read, &waker, &batch);
      if (poll == IG_CLUSTER_POLL_READY) rows += (uint64_t)batch.length;
    }
    bool has_failed = ig_mem_fail_stop();
    if (poll == IG_CLUSTER_POLL_END) assert_int_equal(rows, 4000);
    whole = has_failed ? 0 : whole + 1;
    two.coordinator.table->read_free(read);
    if (status == IGLOO_OK) continue;
    /* An address that was not reached is tried again only after a while. */
    IG_LOCK_SCOPE(&waker.mu);
    waker.told = 0;
  }
  waker_close(&waker);
  two_close(&two);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(partition_arrives_whole_and_in_order),
      cmocka_unit_test(partition_knows_its_schema),
      cmocka_unit_test(unread_partition_stalls_itself_alone),
      cmocka_unit_test(freed_read_frees_the_worker_within_a_second),
      cmocka_unit_test(task_runs_tells_and_ends_with_its_query),
      cmocka_unit_test(freed_task_is_freed_on_the_worker),
      cmocka_unit_test(errors_cross_whole),
      cmocka_unit_test(killed_worker_ends_its_calls_at_once),
      cmocka_unit_test(member_that_is_gone_ends_its_calls),
      cmocka_unit_test(worker_without_coordinator_frees_its_tasks),
      scratch_test(members_of_one_host_meet_at_a_unix_socket),
      cmocka_unit_test(engine_sees_members_in_order_with_itself),
      cmocka_unit_test(failed_allocation_never_shortens_a_partition),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
