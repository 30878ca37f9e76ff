/*
 * service.c -- see service.h.
 *
 * A task or read ends in one of three ways: the engine says so, its call ends early, or
 * its member is lost. Whichever is first makes it "over"; the service's thread then frees
 * what the engine has of it, since that may wait for a callback that is just running.
 */
#include "cluster/service.h"

#include <stdatomic.h>

#include "arrow/ipc_encode.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/pool.h"
#include "base/thread.h"
#include "cluster/files.h"
#include "cluster/worker_messages.h"
#include "engine/cluster.h"
#include "wire/flight_data.h"

/* Lists and names of one request: each entry is larger than it was on the wire. */
#define ARENA_BYTES_MAX (4 * IG_CLUSTER_FILES_BYTES_MAX)

enum kind { TASK, READ };

/* Who calls, while it has tasks or reads here. */
struct member {
  struct member *next;
  char id[IG_MEMBER_ID_BYTES];
  uint32_t now[2]; /* by kind */
};

/* A task or read. One reference is the call's, whose state it is, one the service's. */
struct work {
  struct work *previous, *next; /* of the service's list, guarded by its mu */
  struct work *next_over;       /* guarded by the service's mu */
  bool is_dropped;              /* guarded by the service's mu: its member is lost */
  ig_worker_service *service;
  struct member *member; /* guarded by the service's mu */
  enum kind kind;
  ig_rpc_call *call; /* a handle, until it is freed */
  atomic_uint references;
  pthread_mutex_t mu;   /* before the service's; under it the engine's waker is called */
  uint32_t holds;       /* guarded by mu: who uses what the engine has of it */
  bool is_over;         /* guarded by mu */
  bool is_queued;       /* guarded by mu: for the service's thread */
  bool is_told;         /* guarded by mu: there was room before anybody waited */
  ig_cluster_wake wake; /* guarded by mu; NULL: nobody waits */
  void *wake_ctx;
  ig_engine_task *task; /* set once, under a hold */
  ig_engine_read *read;
  bool has_plan;           /* of a task: its input's thread only */
  ig_ipc_encoder *encoder; /* of a read: the engine's thread only */
};

struct ig_worker_service {
  ig_cluster *cluster; /* borrowed */
  ig_engine *engine;   /* shared */
  struct ig_rpc_method methods[3];
  ig_pool *pool; /* for files */
  pthread_t thread;
  bool has_thread;
  pthread_mutex_t mu; /* a leaf lock */
  pthread_cond_t changed;
  struct work *works;            /* guarded by mu, as the rest */
  struct work *over, *over_last; /* to be freed, in this order */
  struct member *members;
  size_t now[2];
  bool is_draining, ends;
};

/* --- life of a task or read */

static void unref_work(void *state) {
  struct work *work = state;
  /* acq_rel: the last one sees what the others did before they left. */
  if (atomic_fetch_sub_explicit(&work->references, 1, memory_order_acq_rel) > 1) return;
  ig_mutex_done(&work->mu);
  ig_free(work);
}

/* For the service's thread, once nobody uses it. */
static void queue_if_over_locked(struct work *work) {
  if (!work->is_over || work->holds > 0 || work->is_queued) return;
  work->is_queued = true;
  ig_worker_service *service = work->service;
  IG_LOCK_SCOPE(&service->mu);
  if (service->over_last)
    service->over_last->next_over = work;
  else
    service->over = work;
  service->over_last = work;
  ig_cond_broadcast(&service->changed);
}

/* False where it is over: what the engine has of it is not to be used. */
static bool hold(struct work *work) {
  IG_LOCK_SCOPE(&work->mu);
  if (work->is_over) return false;
  work->holds++;
  return true;
}

static void let_go(struct work *work) {
  IG_LOCK_SCOPE(&work->mu);
  work->holds--;
  queue_if_over_locked(work);
}

/* Returns false where it was over already. */
static bool make_over(struct work *work) {
  IG_LOCK_SCOPE(&work->mu);
  if (work->is_over) return false;
  work->is_over = true;
  work->wake = NULL;
  queue_if_over_locked(work);
  return true;
}

static struct ig_member_figures *figures_of(const struct work *work) {
  return ig_cluster_figures(work->service->cluster);
}

#define COUNT(figure, n) (void)__atomic_fetch_add(&(figure), (n), __ATOMIC_RELAXED)
#define UNCOUNT(figure, n) (void)__atomic_fetch_sub(&(figure), (n), __ATOMIC_RELAXED)

static struct work *ref_work(struct work *work) {
  atomic_fetch_add_explicit(&work->references, 1, memory_order_relaxed);
  return work;
}

/* The end as the work itself came to it; NULL: a good one. The service's thread may have
 * freed the rest of it before this returns. */
static void end_work(struct work *work, const struct igloo_error *error) {
  (void)ref_work(work);
  if (error && work->kind == TASK) COUNT(figures_of(work)->tasks_failed, 1);
  /* Without it UNAVAILABLE would be taken for the connection's; at worst it is. */
  if (error)
    (void)!ig_rpc_call_add_trailer(work->call, IG_WORKER_TRAILER, IG_STR("1"), NULL);
  ig_rpc_call_finish(work->call, error);
  (void)make_over(work);
  unref_work(work);
}

static void on_cancel(void *state, ig_rpc_call *call) {
  ig_rpc_call_finish(call, NULL); /* that is all it is owed */
  (void)make_over(state);
}

/* --- who calls */

static struct member *find_member_locked(ig_worker_service *service, const char *id) {
  for (struct member *member = service->members; member; member = member->next)
    if (strcmp(member->id, id) == 0) return member;
  struct member *member = ig_calloc(1, sizeof(*member));
  if (!member) return NULL;
  memcpy(member->id, id, strlen(id) + 1);
  member->next = service->members;
  service->members = member;
  return member;
}

static void forget_member_locked(ig_worker_service *service, struct member *gone) {
  struct member **at = &service->members;
  while (*at != gone) at = &(*at)->next;
  *at = gone->next;
  ig_free(gone);
}

static igloo_status fail_full(struct igloo_error *reterr, enum kind kind, uint32_t max) {
  (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53300",
                      "a member has %u %s here already", max,
                      kind == TASK ? "tasks" : "partitions");
  ig_error_hint(reterr, "Run fewer statements at the same time.");
  if (reterr) reterr->retryable = 1;
  return IGLOO_RESOURCE_EXHAUSTED;
}

static igloo_status enter_locked(ig_worker_service *service, struct work *work,
                                 const char *caller, struct igloo_error *reterr) {
  if (work->kind == TASK && service->is_draining)
    return ig_fail(reterr, IGLOO_UNAVAILABLE, "the worker is draining");
  struct member *member = find_member_locked(service, caller);
  if (!member) return ig_fail_oom(reterr);
  uint32_t max = work->kind == TASK ? IG_CLUSTER_TASKS_PER_MEMBER_MAX
                                    : IG_CLUSTER_READS_PER_MEMBER_MAX;
  if (member->now[work->kind] == max) return fail_full(reterr, work->kind, max);
  member->now[work->kind]++;
  service->now[work->kind]++;
  work->member = member;
  work->next = service->works;
  if (work->next) work->next->previous = work;
  service->works = work;
  return IGLOO_OK;
}

static void leave(struct work *work) {
  ig_worker_service *service = work->service;
  IG_LOCK_SCOPE(&service->mu);
  if (work->previous)
    work->previous->next = work->next;
  else
    service->works = work->next;
  if (work->next) work->next->previous = work->previous;
  service->now[work->kind]--;
  if (--work->member->now[work->kind] == 0 && work->member->now[!work->kind] == 0)
    forget_member_locked(service, work->member);
  ig_cond_broadcast(&service->changed);
}

/* Take the call in: it is authorised and counted. On failure it is answered. */
static struct work *take_call(ig_worker_service *service, ig_rpc_call *call,
                              enum kind kind, const struct ig_caller *caller) {
  struct igloo_error error;
  struct work *work = ig_calloc(1, sizeof(*work));
  igloo_status status = work ? IGLOO_OK : ig_fail_oom(&error);
  if (work) {
    *work = (struct work){.service = service, .kind = kind, .call = call, .holds = 1};
    atomic_init(&work->references, 2);
    ig_mutex_init(&work->mu);
    IG_LOCK_SCOPE(&service->mu);
    status = enter_locked(service, work, caller->id, &error);
  }
  if (status == IGLOO_OK) {
    ig_rpc_call_set_state(call, work, on_cancel, unref_work);
    return work;
  }
  if (work) ig_mutex_done(&work->mu);
  ig_free(work);
  (void)!ig_rpc_call_add_trailer(call, IG_WORKER_TRAILER, IG_STR("1"), NULL);
  ig_rpc_call_finish(call, &error);
  (void)ig_rpc_call_unref(call);
  return NULL;
}

/* The first thing of every method; false: it was answered. */
static bool authorize(ig_worker_service *service, ig_rpc_call *call,
                      bool takes_coordinator_only, struct ig_caller *ret_caller) {
  struct igloo_error error;
  igloo_status status = ig_cluster_authorize(service->cluster, call, ret_caller, &error);
  if (status == IGLOO_OK && takes_coordinator_only &&
      ret_caller->role != IG_MEMBER_COORDINATOR)
    status = ig_fail(&error, IGLOO_PERMISSION_DENIED, "only a coordinator gives tasks");
  if (status == IGLOO_OK) return true;
  ig_rpc_call_finish(call, &error);
  (void)ig_rpc_call_unref(call);
  return false;
}

/* --- the service's thread: what is over is freed */

static void free_work(struct work *work) {
  work->task = ig_engine_task_free(work->task);
  work->read = ig_engine_read_free(work->read);
  work->encoder = ig_ipc_encoder_free(work->encoder);
  if (work->kind == TASK) UNCOUNT(figures_of(work)->tasks_now, 1);
  ig_rpc_call *call = work->call;
  leave(work);
  (void)ig_rpc_call_unref(call);
  unref_work(work);
}

static void *run_thread(void *ctx) {
  ig_worker_service *service = ctx;
  ig_mutex_lock(&service->mu);
  for (;;) {
    struct work *work = service->over;
    if (!work && service->ends && !service->works) break;
    if (!work) {
      (void)ig_cond_wait_until(&service->changed, &service->mu, IG_NEVER_US);
      continue;
    }
    service->over = work->next_over;
    if (!service->over) service->over_last = NULL;
    ig_mutex_unlock(&service->mu);
    free_work(work);
    ig_mutex_lock(&service->mu);
  }
  ig_mutex_unlock(&service->mu);
  return NULL;
}

/* One of its works that is not dropped yet, with references; NULL: none. */
static struct work *pick_lost(ig_worker_service *service, const char *id,
                              ig_rpc_call **ret_call) {
  IG_LOCK_SCOPE(&service->mu);
  for (struct work *work = service->works; work; work = work->next) {
    if (work->is_dropped || strcmp(work->member->id, id) != 0) continue;
    work->is_dropped = true;
    *ret_call = ig_rpc_call_ref(work->call);
    return ref_work(work);
  }
  return NULL;
}

/* Nobody is left who would reset the calls of a lost member. */
static void on_lost(void *ctx, const char *id, const struct igloo_error *why) {
  ig_rpc_call *call = NULL;
  for (struct work *work; (work = pick_lost(ctx, id, &call));) {
    ig_rpc_call_abort(call, why);
    (void)make_over(work);
    (void)ig_rpc_call_unref(call);
    unref_work(work);
  }
}

/* --- tasks */

static void on_task_message(void *ctx, struct ig_str message) {
  struct work *work = ctx;
  struct igloo_error error;
  igloo_status status =
      ig_rpc_call_post_bytes(work->call, message.data, message.len, &error);
  if (status != IGLOO_OK) end_work(work, &error);
}

static void on_ended(void *ctx, int32_t status, const struct igloo_error *error) {
  end_work(ctx, status == IGLOO_OK ? NULL : error);
}

static igloo_status start_task(struct work *work, const struct ig_rpc_message *message,
                               struct igloo_error *reterr) {
  IG_AUTO(ig_arena) *arena = ig_arena_new(ARENA_BYTES_MAX);
  if (!arena) return ig_fail_oom(reterr);
  struct ig_cluster_task_plan plan;
  IG_TRY(ig_run_task_read(ig_str_make((const char *)message->data, message->len), arena,
                          &plan, reterr));
  char self[IG_MEMBER_ID_BYTES];
  ig_members_self_id(ig_cluster_members(work->service->cluster), self);
  plan.member = ig_str_from_cstr(self);
  const struct ig_cluster_task_events events = {
      .ctx = work, .message = on_task_message, .ended = on_ended};
  return ig_engine_task_start(work->service->engine, &plan, &events, &work->task, reterr);
}

/* A message of the coordinator's: the plan, and nothing after it. */
static igloo_status take_plan(struct work *work, struct ig_rpc_message *message,
                              struct igloo_error *reterr) {
  igloo_status status = work->has_plan
                            ? ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                                            "a task takes one message")
                            : start_task(work, message, reterr);
  work->has_plan = true;
  ig_rpc_message_done(message);
  return status;
}

/* The half-close: the query has ended. */
static igloo_status take_end(struct work *work, struct igloo_error *reterr) {
  if (!work->has_plan)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "a task without a plan");
  ig_engine_task_finish(work->task);
  return IGLOO_OK;
}

/* Take what has come; on the thread that found it. */
static void take_input(struct work *work) {
  struct igloo_error error;
  enum ig_rpc_poll poll = IG_RPC_READY;
  igloo_status status = IGLOO_OK;
  while (status == IGLOO_OK && poll == IG_RPC_READY) {
    struct ig_rpc_message message;
    /* What fails here has ended the call: on_cancel is told. */
    if (ig_rpc_call_poll_receive(work->call, &poll, &message, NULL) != IGLOO_OK) return;
    if (poll == IG_RPC_READY) status = take_plan(work, &message, &error);
    if (poll == IG_RPC_END) status = take_end(work, &error);
  }
  if (status != IGLOO_OK) end_work(work, &error);
}

static void on_input(void *state, ig_rpc_call *call) {
  (void)call;
  struct work *work = state;
  if (!hold(work)) return;
  take_input(work);
  let_go(work);
}

static void on_room(void *state, ig_rpc_call *call) {
  (void)call;
  struct work *work = state;
  IG_LOCK_SCOPE(&work->mu);
  ig_cluster_wake wake = IG_TAKE(work->wake);
  work->is_told = wake == NULL;
  if (wake) wake(work->wake_ctx);
}

static void begin_task(void *ctx, ig_rpc_call *call) {
  ig_worker_service *service = ctx;
  struct ig_caller caller;
  if (!authorize(service, call, true, &caller)) return;
  struct work *work = take_call(service, call, TASK, &caller);
  if (!work) return;
  COUNT(figures_of(work)->tasks, 1);
  COUNT(figures_of(work)->tasks_now, 1);
  ig_rpc_call_set_wakes(call, on_input, on_room);
  take_input(work);
  let_go(work);
}

/* --- partitions */

/* Takes the message, also on failure. */
static igloo_status send(struct work *work, struct ig_ipc_message *message,
                         bool *ret_has_room, struct igloo_error *reterr) {
  igloo_status status = ig_flight_data_frame(message, reterr);
  if (status != IGLOO_OK) {
    ig_ipc_message_done(message);
    return status;
  }
  COUNT(figures_of(work)->bytes_out, message->pieces.bytes);
  return ig_rpc_call_poll_send(work->call, &message->pieces, ret_has_room, reterr);
}

static igloo_status begin_stream(struct work *work, const struct ArrowSchema *schema,
                                 struct igloo_error *reterr) {
  struct ig_ipc_message message = {0};
  bool has_room = false;
  IG_TRY(ig_ipc_encoder_new(schema, NULL, &work->encoder, reterr));
  IG_TRY(ig_ipc_encoder_schema(work->encoder, &message, reterr));
  return send(work, &message, &has_room, reterr);
}

static int32_t send_schema(void *ctx, const struct ArrowSchema *schema,
                           struct igloo_error *reterr) {
  return (int32_t)begin_stream(ctx, schema, reterr);
}

/* All messages of a batch, whatever waits: a stream may always hold one batch. */
static igloo_status send_messages(struct work *work, struct ArrowArray *batch,
                                  bool *ret_has_room, struct igloo_error *reterr) {
  COUNT(figures_of(work)->rows_out, (uint64_t)batch->length);
  IG_TRY(ig_ipc_encoder_batch(work->encoder, batch, reterr));
  for (bool more = true; more;) {
    struct ig_ipc_message message = {0};
    IG_TRY(ig_ipc_encoder_next(work->encoder, &message, &more, reterr));
    if (more) IG_TRY(send(work, &message, ret_has_room, reterr));
  }
  return IGLOO_OK;
}

static int32_t send_batch(void *ctx, struct ArrowArray *batch, ig_cluster_wake wake,
                          void *wake_ctx, struct igloo_error *reterr) {
  struct work *work = ctx;
  bool has_room = true;
  {
    IG_LOCK_SCOPE(&work->mu);
    work->is_told = false;
  }
  if (send_messages(work, batch, &has_room, reterr) != IGLOO_OK)
    return IG_CLUSTER_POLL_FAILED;
  if (has_room) return IG_CLUSTER_POLL_READY;
  IG_LOCK_SCOPE(&work->mu);
  if (work->is_told || work->is_over) return IG_CLUSTER_POLL_READY;
  work->wake = wake;
  work->wake_ctx = wake_ctx;
  return IG_CLUSTER_POLL_PENDING;
}

static igloo_status start_read(struct work *work, struct igloo_error *reterr) {
  struct ig_rpc_message message = {0};
  bool got = false;
  IG_TRY(ig_rpc_call_receive(work->call, &message, &got, reterr));
  struct ig_cluster_task task;
  uint32_t partition = 0;
  struct ig_str head;
  igloo_status status =
      ig_read_partition_read(ig_str_make((const char *)message.data, message.len), &task,
                             &partition, &head, reterr);
  const struct ig_cluster_sink sink = {
      .ctx = work, .schema = send_schema, .batch = send_batch, .ended = on_ended};
  if (status == IGLOO_OK)
    status = ig_engine_read_start(work->service->engine, &task, partition, head, &sink,
                                  &work->read, reterr);
  ig_rpc_message_done(&message);
  return status;
}

static void begin_read(void *ctx, ig_rpc_call *call) {
  ig_worker_service *service = ctx;
  struct ig_caller caller;
  if (!authorize(service, call, false, &caller)) return;
  struct work *work = take_call(service, call, READ, &caller);
  if (!work) return;
  ig_rpc_call_set_wakes(call, on_input, on_room);
  struct igloo_error error;
  if (start_read(work, &error) != IGLOO_OK) end_work(work, &error);
  let_go(work);
}

/* --- files */

struct looking {
  struct ig_pool_job job;
  ig_worker_service *service;
  ig_rpc_call *call;
};

static igloo_status look(struct looking *looking, const struct ig_rpc_message *message,
                         struct igloo_error *reterr) {
  IG_AUTO(ig_arena) *arena = ig_arena_new(ARENA_BYTES_MAX);
  if (!arena) return ig_fail_oom(reterr);
  struct ig_check_files request;
  IG_TRY(ig_check_files_read(ig_str_make((const char *)message->data, message->len),
                             arena, &request, reterr));
  struct ig_check_files_answer answer =
      ig_files_look(ig_engine_roots(looking->service->engine), &request);
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(IG_KIB);
  ig_check_files_answer_write(&answer, &bytes);
  IG_TRY(ig_buf_check(&bytes, reterr));
  return ig_rpc_call_post_bytes(looking->call, bytes.data, bytes.len, reterr);
}

static void run_looking(struct ig_pool_job *job) {
  struct looking *looking =
      (struct looking *)((char *)job - offsetof(struct looking, job));
  struct igloo_error error;
  struct ig_rpc_message message = {0};
  bool got = false;
  igloo_status status = ig_rpc_call_receive(looking->call, &message, &got, &error);
  if (status == IGLOO_OK) status = look(looking, &message, &error);
  ig_rpc_message_done(&message);
  ig_rpc_call_finish(looking->call, status == IGLOO_OK ? NULL : &error);
  (void)ig_rpc_call_unref(looking->call);
  ig_free(looking);
}

static void begin_files(void *ctx, ig_rpc_call *call) {
  ig_worker_service *service = ctx;
  struct ig_caller caller;
  if (!authorize(service, call, false, &caller)) return;
  struct igloo_error error;
  struct looking *looking = ig_calloc(1, sizeof(*looking));
  igloo_status status = looking ? IGLOO_OK : ig_fail_oom(&error);
  if (looking) {
    *looking = (struct looking){{.run = run_looking}, service, call};
    status = ig_pool_submit(service->pool, &looking->job, &error);
  }
  if (status == IGLOO_OK) return;
  ig_free(looking);
  ig_rpc_call_finish(call, &error);
  (void)ig_rpc_call_unref(call);
}

/* --- the service */

igloo_status ig_worker_service_new(ig_cluster *cluster, ig_engine *engine,
                                   ig_worker_service **ret_service,
                                   struct igloo_error *reterr) {
  IG_AUTO(ig_worker_service) *service = ig_calloc(1, sizeof(*service));
  if (!service) return ig_fail_oom(reterr);
  ig_mutex_init(&service->mu);
  ig_cond_init(&service->changed);
  service->cluster = cluster;
  service->engine = ig_engine_ref(engine);
  const struct ig_rpc_method methods[] = {
      {IG_WORKER_RUN_TASK, IG_RPC_STREAM_REQUEST, IG_CLUSTER_PLAN_BYTES_MAX, begin_task,
       service},
      {IG_WORKER_READ_PARTITION, IG_RPC_SINGLE_REQUEST, 0, begin_read, service},
      {IG_WORKER_CHECK_FILES, IG_RPC_STREAM_REQUEST, IG_CLUSTER_FILES_BYTES_MAX,
       begin_files, service},
  };
  memcpy(service->methods, methods, sizeof(methods));
  const struct ig_pool_options pool = {.name = "ig-files",
                                       .threads_max = IG_CLUSTER_FILES_THREADS,
                                       .waiting_max = IG_CLUSTER_FILES_WAITING_MAX,
                                       .hint = "Try again later."};
  IG_TRY(ig_pool_new(&pool, &service->pool, reterr));
  IG_TRY(ig_thread_start("ig-worker", 0, run_thread, service, &service->thread, reterr));
  service->has_thread = true;
  const struct ig_member_listener listener = {.lost = on_lost, .ctx = service};
  ig_members_listen(ig_cluster_members(cluster), &listener);
  *ret_service = IG_TAKE(service);
  return IGLOO_OK;
}

ig_worker_service *ig_worker_service_free(ig_worker_service *service) {
  if (!service) return NULL;
  (void)ig_pool_free(service->pool);
  if (service->has_thread) {
    ig_mutex_lock(&service->mu);
    service->ends = true;
    ig_cond_broadcast(&service->changed);
    ig_mutex_unlock(&service->mu);
    (void)ig_thread_join(service->thread);
  }
  (void)ig_engine_unref(service->engine);
  ig_cond_done(&service->changed);
  ig_mutex_done(&service->mu);
  ig_free(service);
  return NULL;
}

const struct ig_rpc_method *ig_worker_service_methods(const ig_worker_service *service,
                                                      size_t *ret_count) {
  *ret_count = IG_ARRAY_LEN(service->methods);
  return service->methods;
}

void ig_worker_service_drain(ig_worker_service *service) {
  IG_LOCK_SCOPE(&service->mu);
  service->is_draining = true;
}

size_t ig_worker_service_tasks_now(ig_worker_service *service) {
  IG_LOCK_SCOPE(&service->mu);
  return service->now[TASK];
}
