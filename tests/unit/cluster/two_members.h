/*
 * two_members.h -- a coordinator and a worker in one process, with an engine of our own.
 *
 * Everything between the engines is real: registries, proofs, servers, sockets. The
 * engine is not, since a test wants to hold, break and delay what it makes: it stands
 * here, and service.c and local.c are compiled over it. A read makes what its head says:
 * "BATCHES ROWS" of one column of numbers, and then ends, or fails where the stage is
 * FAILING.
 */
#ifndef IG_TESTS_CLUSTER_TWO_MEMBERS_H
#define IG_TESTS_CLUSTER_TWO_MEMBERS_H

#include <stdio.h>

#include "arrow/rows.h"
#include "arrow/stream.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/thread.h"
#include "cluster/address.h"
#include "cluster/channel.h"
#include "cluster/coordinator.h"
#include "engine/cluster.h"
#include "rpc/budget.h"
#include "support-files.h"
#include "support.h"

#define PATIENCE_US (10 * IG_US_PER_S)
#define TOKEN "0123456789abcdef0123456789abcdef"
#define FAILING 13 /* a stage whose reads fail after their batches */

/* --- the engine */

/* What it does is seen here. */
static struct {
  pthread_mutex_t mu;
  pthread_cond_t changed;
  struct made_task *task; /* the newest, guarded by mu as the rest */
  int tasks, tasks_freed, finished, reads, reads_freed, batches;
  const ig_roots *roots;
} made = {.mu = PTHREAD_MUTEX_INITIALIZER};

struct made_task {
  struct ig_cluster_task_events events;
  char plan[64], setting[64];
};

struct made_read {
  struct ig_cluster_sink sink;
  uint64_t batches, rows;
  bool fails;
  pthread_t thread;
  pthread_mutex_t mu;
  pthread_cond_t changed;
  bool stops, is_woken; /* guarded by mu */
};

static void see(int *counter) {
  IG_LOCK_SCOPE(&made.mu);
  ++*counter;
  ig_cond_broadcast(&made.changed);
}

static IG_UNUSED void wait_until(const int *counter, int count) {
  IG_LOCK_SCOPE(&made.mu);
  int64_t deadline_us = ig_deadline_in(PATIENCE_US);
  while (*counter < count)
    assert_true(ig_cond_wait_until(&made.changed, &made.mu, deadline_us));
}

static ig_engine *made_engine(ig_engine *engine) {
  return engine;
}
static const ig_roots *made_roots(const ig_engine *engine) {
  (void)engine;
  return made.roots;
}

static igloo_status made_task_start(ig_engine *engine,
                                    const struct ig_cluster_task_plan *plan,
                                    const struct ig_cluster_task_events *events,
                                    ig_engine_task **ret_task,
                                    struct igloo_error *reterr) {
  (void)engine;
  if (ig_str_eq_cstr(plan->plan, "bad"))
    return ig_fail(reterr, IGLOO_INTERNAL, "the plan cannot be read");
  struct made_task *task = calloc(1, sizeof(*task));
  if (!task) return ig_fail_oom(reterr);
  task->events = *events;
  (void)snprintf(task->plan, sizeof(task->plan), "%.*s", IG_STR_ARG(plan->plan));
  if (plan->settings_count > 0)
    (void)snprintf(task->setting, sizeof(task->setting), "%.*s=%.*s",
                   IG_STR_ARG(plan->settings[0].key),
                   IG_STR_ARG(plan->settings[0].value));
  IG_LOCK_SCOPE(&made.mu);
  made.task = task;
  made.tasks++;
  ig_cond_broadcast(&made.changed);
  *ret_task = (ig_engine_task *)task;
  return IGLOO_OK;
}

static void made_task_finish(ig_engine_task *task) {
  (void)task;
  see(&made.finished);
}

static ig_engine_task *made_task_free(ig_engine_task *task) {
  if (!task) return NULL;
  free(task);
  see(&made.tasks_freed);
  return NULL;
}

static struct ArrowArray make_batch(uint64_t from, uint64_t rows,
                                    struct ArrowSchema *ret_schema) {
  static const struct ig_rows_column column = {"n", IG_CELL_INT64, false};
  ig_rows *builder = NULL;
  struct ArrowArray batch = {0};
  struct ArrowArrayStream stream;
  if (ig_rows_new(&column, 1, &builder, NULL) != IGLOO_OK) return batch;
  for (uint64_t i = 0; i < rows; i++) ig_rows_i64(builder, (int64_t)(from + i));
  if (ig_rows_finish(builder, &stream, NULL) == IGLOO_OK) {
    if (ret_schema) (void)!ig_stream_schema(&stream, ret_schema, NULL);
    (void)!ig_stream_next(&stream, &batch, NULL);
    stream.release(&stream);
  }
  (void)ig_rows_free(builder);
  return batch;
}

static void wake_read(void *ctx) {
  struct made_read *read = ctx;
  IG_LOCK_SCOPE(&read->mu);
  read->is_woken = true;
  ig_cond_broadcast(&read->changed);
}

static bool wait_woken(struct made_read *read, bool is_pending) {
  IG_LOCK_SCOPE(&read->mu);
  while (is_pending && !read->is_woken && !read->stops)
    (void)ig_cond_wait_until(&read->changed, &read->mu, IG_NEVER_US);
  read->is_woken = false;
  return !read->stops;
}

/* Give the batches; false where it is to stop. */
static bool give_batches(struct made_read *read, struct igloo_error *error) {
  struct ArrowSchema schema = {0};
  struct ArrowArray batch = make_batch(0, read->rows ? read->rows : 1, &schema);
  ig_array_done(&batch);
  if (!schema.release) return ig_fail_oom(error) == IGLOO_OK;
  int32_t status = read->sink.schema(read->sink.ctx, &schema, error);
  schema.release(&schema);
  if (status != IGLOO_OK) return false;
  for (uint64_t i = 0; i < read->batches; i++) {
    batch = make_batch(i * read->rows, read->rows, NULL);
    if (!batch.release) return ig_fail_oom(error) == IGLOO_OK;
    int32_t poll = read->sink.batch(read->sink.ctx, &batch, wake_read, read, error);
    if (poll == IG_CLUSTER_POLL_FAILED) return false;
    see(&made.batches);
    if (!wait_woken(read, poll == IG_CLUSTER_POLL_PENDING)) {
      (void)ig_fail(error, IGLOO_CANCELLED, "stopped");
      return false;
    }
  }
  return true;
}

static void *run_read(void *ctx) {
  struct made_read *read = ctx;
  struct igloo_error error;
  ig_error_reset(&error);
  if (give_batches(read, &error) && read->fails) {
    (void)ig_fail_state(&error, IGLOO_UNAVAILABLE, "08006",
                        "worker \"w-deeper-1\" was lost");
    ig_error_hint(&error, "A hint.");
  }
  bool is_good = error.status == IGLOO_OK;
  read->sink.ended(read->sink.ctx, error.status, is_good ? NULL : &error);
  return NULL;
}

static igloo_status made_read_start(ig_engine *engine, const struct ig_cluster_task *task,
                                    uint32_t partition, struct ig_str head,
                                    const struct ig_cluster_sink *sink,
                                    ig_engine_read **ret_read,
                                    struct igloo_error *reterr) {
  (void)engine;
  (void)partition;
  struct ig_str batches, rows;
  (void)ig_str_split(head, ' ', &batches, &rows);
  struct made_read *read = calloc(1, sizeof(*read));
  if (!read) return ig_fail_oom(reterr);
  read->sink = *sink;
  read->fails = task->stage == FAILING;
  ig_mutex_init(&read->mu);
  ig_cond_init(&read->changed);
  igloo_status status = ig_parse_u64(batches, &read->batches, reterr);
  if (status == IGLOO_OK) status = ig_parse_u64(rows, &read->rows, reterr);
  if (status == IGLOO_OK)
    status = ig_thread_start("made-read", 0, run_read, read, &read->thread, reterr);
  if (status != IGLOO_OK) {
    free(read);
    return status;
  }
  *ret_read = (ig_engine_read *)read;
  see(&made.reads);
  return IGLOO_OK;
}

static ig_engine_read *made_read_free(ig_engine_read *given) {
  struct made_read *read = (struct made_read *)given;
  if (!read) return NULL;
  ig_mutex_lock(&read->mu);
  read->stops = true;
  ig_cond_broadcast(&read->changed);
  ig_mutex_unlock(&read->mu);
  (void)ig_thread_join(read->thread);
  ig_cond_done(&read->changed);
  ig_mutex_done(&read->mu);
  free(read);
  see(&made.reads_freed);
  return NULL;
}

#define ig_engine_ref made_engine
#define ig_engine_unref made_engine
#define ig_engine_roots made_roots
#define ig_engine_task_start made_task_start
#define ig_engine_task_finish made_task_finish
#define ig_engine_task_free made_task_free
#define ig_engine_read_start made_read_start
#define ig_engine_read_free made_read_free
#include "cluster/service.c" /* over that engine */
#define on_ended on_local_ended
#include "cluster/local.c"
#undef on_ended
#undef ig_engine_ref
#undef ig_engine_unref

/* --- the members */

struct node {
  ig_cluster *cluster;
  ig_worker_service *service;
  ig_rpc_server *server;
  ig_channels *channels;
  const struct ig_cluster_channel *table;
  char address[32];
  char id[IG_MEMBER_ID_BYTES];
};

struct two {
  struct node coordinator, worker;
};

struct two_options {
  const char *worker_socket; /* a Unix socket of the worker's; NULL: TCP */
};

static IG_UNUSED void node_open(struct node *node, enum ig_member_role role,
                                const char *coordinator, const char *socket) {
  *node = (struct node){0};
  const struct ig_cluster_options options = {.role = role,
                                             .token = IG_STR(TOKEN),
                                             .heartbeat_us = 200 * IG_US_PER_MS,
                                             .coordinator = coordinator,
                                             .threads = 2,
                                             .processors = 2,
                                             .memory_bytes = IG_GIB,
                                             .build = "1"};
  assert_ok(ig_cluster_new(&options, &node->cluster, &test_err));
  assert_ok(ig_channels_new(node->cluster, &node->channels, &test_err));
  node->table = ig_channels_table(node->channels);
  assert_ok(ig_worker_service_new(node->cluster, NULL, &node->service, &test_err));

  struct ig_rpc_method methods[IG_COORDINATOR_METHODS + 3];
  size_t count = 0;
  memcpy(methods, ig_worker_service_methods(node->service, &count),
         3 * sizeof(methods[0]));
  if (role == IG_MEMBER_COORDINATOR) {
    ig_coordinator_methods(node->cluster, methods + count);
    count += IG_COORDINATOR_METHODS;
  }
  const struct ig_rpc_server_options server = {
      .methods = methods, .methods_len = count, .io_threads = 2};
  uint16_t port = 0;
  assert_ok(ig_rpc_server_new(&server, &node->server, &test_err));
  assert_ok(
      ig_rpc_server_listen_tcp(node->server, "127.0.0.1:0", NULL, &port, &test_err));
  if (socket) assert_ok(ig_rpc_server_listen_unix(node->server, socket, 0600, &test_err));
  assert_ok(ig_rpc_server_start(node->server, &test_err));
  (void)snprintf(node->address, sizeof(node->address), "127.0.0.1:%u", port);
  assert_ok(
      ig_cluster_start(node->cluster, node->address, socket ? socket : "", &test_err));
}

/* Everything of it that others can reach is gone: its process was killed. */
static IG_UNUSED void node_kill(struct node *node) {
  node->server = ig_rpc_server_free(node->server);
}

static IG_UNUSED void node_close(struct node *node) {
  node->server = ig_rpc_server_free(node->server);
  node->service = ig_worker_service_free(node->service);
  ig_cluster_stop(node->cluster);
  node->channels = ig_channels_free(node->channels);
  node->cluster = ig_cluster_free(node->cluster);
}

static IG_UNUSED void two_open(struct two *two, const struct two_options *options) {
  static bool is_ready;
  if (!is_ready) ig_cond_init(&made.changed);
  is_ready = true;
  made.tasks = made.tasks_freed = made.finished = 0;
  made.reads = made.reads_freed = made.batches = 0;
  node_open(&two->coordinator, IG_MEMBER_COORDINATOR, NULL, NULL);
  node_open(&two->worker, IG_MEMBER_WORKER, two->coordinator.address,
            options->worker_socket);
  assert_ok(ig_cluster_wait_joined(two->worker.cluster, ig_deadline_in(PATIENCE_US),
                                   &test_err));
  ig_members_self_id(ig_cluster_members(two->coordinator.cluster), two->coordinator.id);
  ig_members_self_id(ig_cluster_members(two->worker.cluster), two->worker.id);
}

static IG_UNUSED void two_close(struct two *two) {
  node_close(&two->worker);
  node_close(&two->coordinator);
  assert_int_equal(made.tasks, made.tasks_freed);
  assert_int_equal(made.reads, made.reads_freed);
  assert_int_equal(ig_rpc_budget_used(), 0);
}

/* --- who polls */

struct waker {
  pthread_mutex_t mu;
  pthread_cond_t changed;
  int told; /* guarded by mu */
};

static IG_UNUSED void waker_open(struct waker *waker) {
  *waker = (struct waker){0};
  ig_mutex_init(&waker->mu);
  ig_cond_init(&waker->changed);
}

static IG_UNUSED void waker_close(struct waker *waker) {
  ig_cond_done(&waker->changed);
  ig_mutex_done(&waker->mu);
}

static IG_UNUSED void wake(void *ctx) {
  struct waker *waker = ctx;
  IG_LOCK_SCOPE(&waker->mu);
  waker->told++;
  ig_cond_broadcast(&waker->changed);
}

static IG_UNUSED void wait_told(struct waker *waker) {
  IG_LOCK_SCOPE(&waker->mu);
  int64_t deadline_us = ig_deadline_in(PATIENCE_US);
  while (waker->told == 0)
    assert_true(ig_cond_wait_until(&waker->changed, &waker->mu, deadline_us));
  waker->told--;
}

/* --- calls */

static const struct ig_cluster_task a_task = {.query_id = "0123456789abcde", .stage = 1};

static IG_UNUSED igloo_status start_a_read(struct two *two, const char *head,
                                           uint32_t stage, void **ret_read) {
  struct ig_cluster_task task = a_task;
  task.stage = stage;
  return two->coordinator.table->read_start(
      two->coordinator.table->ctx, ig_str_from_cstr(two->worker.id), &task, 7,
      ig_str_from_cstr(head), NULL, ret_read, &test_err);
}

static IG_UNUSED void *open_read(struct two *two, const char *head) {
  void *read = NULL;
  assert_ok(start_a_read(two, head, 1, &read));
  return read;
}

static IG_UNUSED igloo_status start_a_task(struct two *two, const char *plan,
                                           void **ret_task) {
  const struct ig_cluster_pair setting = {IG_STR("time_zone"), IG_STR("Europe/Berlin")};
  const struct ig_cluster_task_plan message = {.task = a_task,
                                               .tasks_count = 1,
                                               .member = ig_str_from_cstr(two->worker.id),
                                               .plan = ig_str_from_cstr(plan),
                                               .settings = &setting,
                                               .settings_count = 1,
                                               .started_ns = 5};
  return two->coordinator.table->task_start(two->coordinator.table->ctx, &message, NULL,
                                            ret_task, &test_err);
}

/* Poll to the next batch, the end or an error. */
static IG_UNUSED int32_t next_batch(struct two *two, void *read, struct waker *waker,
                                    struct ArrowArray *ret_batch) {
  int32_t poll;
  do {
    poll = two->coordinator.table->read_poll(read, wake, waker, ret_batch, &test_err);
    if (poll == IG_CLUSTER_POLL_PENDING) wait_told(waker);
  } while (poll == IG_CLUSTER_POLL_PENDING);
  return poll;
}

static IG_UNUSED int32_t next_message(struct two *two, void *task, struct waker *waker,
                                      struct ig_str *ret_message) {
  int32_t poll;
  do {
    poll = two->coordinator.table->task_poll(task, wake, waker, ret_message, &test_err);
    if (poll == IG_CLUSTER_POLL_PENDING) wait_told(waker);
  } while (poll == IG_CLUSTER_POLL_PENDING);
  return poll;
}

/* Read to the end; the rows, whose numbers count up. */
static IG_UNUSED uint64_t read_rows(struct two *two, void *read, struct waker *waker) {
  uint64_t rows = 0;
  for (;;) {
    IG_AUTO_ARRAY batch = {0};
    int32_t poll = next_batch(two, read, waker, &batch);
    if (poll == IG_CLUSTER_POLL_FAILED) fail_msg("%s", test_err.message);
    if (poll == IG_CLUSTER_POLL_END) return rows;
    assert_int_equal(batch.n_children, 1);
    const int64_t *numbers = batch.children[0]->buffers[1];
    for (int64_t i = 0; i < batch.length; i++)
      assert_int_equal(numbers[i + batch.children[0]->offset], rows++);
  }
}

#endif
