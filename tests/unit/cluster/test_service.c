/* Tests of src/cluster/service.c: who may ask, for how much, and with which bytes. */
#include "cluster/two_members.h"

/* A connection that shows what the test wants it to show. */
static ig_rpc_channel *open_channel(const struct two *two) {
  IG_AUTO_DONE(ig_address) address = {0};
  struct ig_rpc_channel_options options = {0};
  ig_rpc_channel *channel = NULL;
  assert_ok(ig_address_parse(ig_str_from_cstr(two->worker.address), &address, &test_err));
  ig_address_options(&address, NULL, &options);
  assert_ok(ig_rpc_channel_open(&options, NULL, &channel, &test_err));
  return channel;
}

/* Call `path` with the proof of `as` (NULL: none); the messages are of len bytes each.
 * Returns what the call ended with. */
static igloo_status call(struct two *two, ig_rpc_channel *channel, const char *path,
                         const struct node *as, struct ig_str message, int messages) {
  struct ig_cluster_credentials credentials;
  if (as) ig_cluster_credentials(as->cluster, two->worker.id, path, &credentials);
  const struct ig_rpc_call_options options = {.path = path,
                                              .metadata = as ? &credentials.header : NULL,
                                              .metadata_len = as ? 1 : 0,
                                              .deadline_us = ig_deadline_in(PATIENCE_US)};
  IG_AUTO(ig_rpc_call) *made_call = NULL;
  IG_TRY(ig_rpc_call_start(channel, &options, &made_call, &test_err));
  for (int i = 0; i < messages; i++)
    (void)!ig_rpc_call_post_bytes(made_call, message.data, message.len, NULL);
  ig_rpc_call_half_close(made_call);
  for (bool got = true; got;) {
    struct ig_rpc_message answer = {0};
    IG_TRY(ig_rpc_call_receive(made_call, &answer, &got, &test_err));
    ig_rpc_message_done(&answer);
  }
  return IGLOO_OK;
}

static const char *const paths[] = {IG_WORKER_RUN_TASK, IG_WORKER_READ_PARTITION,
                                    IG_WORKER_CHECK_FILES};

static void nobody_but_members_is_let_in(void **state) {
  (void)state;
  struct two two;
  two_open(&two, &(struct two_options){0});
  IG_AUTO(ig_rpc_channel) *channel = open_channel(&two);
  for (size_t i = 0; i < IG_ARRAY_LEN(paths); i++)
    assert_fails(call(&two, channel, paths[i], NULL, IG_STR("x"), 1),
                 IGLOO_UNAUTHENTICATED, "28000");
  /* A proof is for one method of one member. */
  struct ig_cluster_credentials credentials;
  ig_cluster_credentials(two.coordinator.cluster, two.worker.id, paths[0], &credentials);
  struct ig_rpc_call_options options = {.path = paths[1],
                                        .metadata = &credentials.header,
                                        .metadata_len = 1,
                                        .deadline_us = ig_deadline_in(PATIENCE_US)};
  struct ig_rpc_message answer = {0};
  struct ig_buf empty = IG_BUF_INIT(1);
  struct ig_pieces pieces = {0};
  assert_ok(ig_pieces_of_buf(&empty, &pieces, &test_err));
  assert_fails(ig_rpc_unary(channel, &options, &pieces, &answer, NULL, &test_err),
               IGLOO_UNAUTHENTICATED, "28000");
  assert_int_equal(made.tasks + made.reads, 0);
  channel = ig_rpc_channel_free(channel);
  two_close(&two);
}

static void tasks_are_given_by_coordinators(void **state) {
  (void)state;
  struct two two;
  two_open(&two, &(struct two_options){0});
  IG_AUTO(ig_rpc_channel) *channel = open_channel(&two);
  assert_fails(call(&two, channel, IG_WORKER_RUN_TASK, &two.worker, IG_STR("x"), 1),
               IGLOO_PERMISSION_DENIED, "42501");
  channel = ig_rpc_channel_free(channel);
  two_close(&two);
}

static void bytes_that_are_no_message_end_the_call_alone(void **state) {
  (void)state;
  struct two two;
  struct waker waker;
  two_open(&two, &(struct two_options){0});
  waker_open(&waker);
  IG_AUTO(ig_rpc_channel) *channel = open_channel(&two);
  static const struct ig_str wrong[] = {IG_STR("\xff\xff\xff\xff\xff"),
                                        IG_STR("\x0a\x7f"), IG_STR("\x0a\x01x"),
                                        IG_STR("\x0b")};
  for (size_t i = 0; i < IG_ARRAY_LEN(paths); i++)
    for (size_t j = 0; j < IG_ARRAY_LEN(wrong); j++)
      assert_fails(call(&two, channel, paths[i], &two.coordinator, wrong[j], 1),
                   IGLOO_INVALID_ARGUMENT, "08P01");
  for (size_t i = 0; i < 2; i++) /* no message at all */
    assert_fails(call(&two, channel, paths[i], &two.coordinator, IG_STR(""), 0),
                 IGLOO_INVALID_ARGUMENT, "08P01");

  IG_AUTO_DONE(ig_buf) plan = IG_BUF_INIT(IG_KIB);
  ig_run_task_write(&(struct ig_cluster_task_plan){.task = a_task, .tasks_count = 1},
                    &plan);
  assert_fails(
      call(&two, channel, IG_WORKER_RUN_TASK, &two.coordinator, ig_buf_str(&plan), 2),
      IGLOO_INVALID_ARGUMENT, "08P01"); /* a second plan */
  channel = ig_rpc_channel_free(channel);
  void *read = open_read(&two, "3 10");
  assert_int_equal(read_rows(&two, read, &waker), 30);
  two.coordinator.table->read_free(read);
  waker_close(&waker);
  two_close(&two);
}

/* A task that is refused: sooner or later. */
static void assert_refused(struct two *two, struct waker *waker) {
  void *task = NULL;
  struct ig_str message;
  if (start_a_task(two, "a plan", &task) != IGLOO_OK) return;
  assert_int_equal(next_message(two, task, waker, &message), IG_CLUSTER_POLL_FAILED);
  two->coordinator.table->task_free(task);
}

static void member_has_no_more_than_so_many_tasks(void **state) {
  (void)state;
  struct two two;
  struct waker waker;
  static void *tasks[IG_CLUSTER_TASKS_PER_MEMBER_MAX];
  two_open(&two, &(struct two_options){0});
  waker_open(&waker);
  for (size_t i = 0; i < IG_ARRAY_LEN(tasks); i++)
    assert_ok(start_a_task(&two, "a plan", &tasks[i]));
  wait_until(&made.tasks, IG_ARRAY_LEN(tasks));
  assert_refused(&two, &waker);
  assert_int_equal(test_err.status, IGLOO_RESOURCE_EXHAUSTED);
  assert_string_equal(test_err.sqlstate, "53300");
  assert_int_equal(test_err.retryable, 1);
  for (size_t i = 0; i < IG_ARRAY_LEN(tasks); i++)
    two.coordinator.table->task_free(tasks[i]);
  wait_until(&made.tasks_freed, IG_ARRAY_LEN(tasks));
  void *more = NULL;
  assert_ok(start_a_task(&two, "a plan", &more));
  wait_until(&made.tasks, IG_ARRAY_LEN(tasks) + 1);
  two.coordinator.table->task_free(more);
  waker_close(&waker);
  two_close(&two);
}

static void draining_worker_takes_no_task_and_ends_what_it_has(void **state) {
  (void)state;
  struct two two;
  struct waker waker;
  two_open(&two, &(struct two_options){0});
  waker_open(&waker);
  void *task = NULL;
  struct ig_str message;
  assert_ok(start_a_task(&two, "a plan", &task));
  wait_until(&made.tasks, 1);
  ig_worker_service_drain(two.worker.service);
  assert_refused(&two, &waker);
  assert_int_equal(test_err.status, IGLOO_UNAVAILABLE);
  assert_string_equal(test_err.message, "the worker is draining");
  void *read = open_read(&two, "3 10"); /* of the task that it has */
  assert_int_equal(read_rows(&two, read, &waker), 30);
  two.coordinator.table->read_free(read);
  two.coordinator.table->task_finish(task);
  wait_until(&made.finished, 1);
  made.task->events.ended(made.task->events.ctx, IGLOO_OK, NULL);
  assert_int_equal(next_message(&two, task, &waker, &message), IG_CLUSTER_POLL_END);
  wait_until(&made.tasks_freed, 1);
  two.coordinator.table->task_free(task);
  waker_close(&waker);
  two_close(&two);
}

/* Many at a time, freed in the middle of everything. */
static void calls_may_end_at_any_moment(void **state) {
  (void)state;
  enum { READS = 200 };
  struct two two;
  struct waker waker;
  void *reads[READS], *tasks[READS];
  two_open(&two, &(struct two_options){0});
  waker_open(&waker);
  for (int i = 0; i < READS; i++) {
    assert_ok(start_a_task(&two, "a plan", &tasks[i]));
    reads[i] = open_read(&two, i % 3 ? "1000 100" : "0 0");
    if (i >= 20) two.coordinator.table->read_free(reads[i - 20]);
    if (i >= 20) two.coordinator.table->task_free(tasks[i - 20]);
    if (i % 7) continue;
    IG_AUTO_ARRAY batch = {0};
    (void)two.coordinator.table->read_poll(reads[i], wake, &waker, &batch, &test_err);
  }
  for (int i = READS - 20; i < READS; i++) {
    two.coordinator.table->read_free(reads[i]);
    two.coordinator.table->task_free(tasks[i]);
  }
  waker_close(&waker);
  two_close(&two);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nobody_but_members_is_let_in),
      cmocka_unit_test(tasks_are_given_by_coordinators),
      cmocka_unit_test(bytes_that_are_no_message_end_the_call_alone),
      cmocka_unit_test(member_has_no_more_than_so_many_tasks),
      cmocka_unit_test(draining_worker_takes_no_task_and_ends_what_it_has),
      cmocka_unit_test(calls_may_end_at_any_moment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
