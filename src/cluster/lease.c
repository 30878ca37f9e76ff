/* lease.c -- see lease.h. */
#include "cluster/lease.h"

#include <stdatomic.h>

#include "base/limits.h"
#include "base/pool.h"
#include "base/protobuf.h"
#include "base/thread.h"

struct wish {
  struct ig_str query_id; /* 16 bytes */
  struct ig_str bytes;    /* of the part */
};
static const struct ig_protobuf_field wish_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, wish, query_id),
    IG_PROTOBUF_FIELD(2, BYTES, wish, bytes),
};
static const struct ig_protobuf_message wish_message =
    IG_PROTOBUF_MESSAGE("igloo.cluster.v1.Lease", wish, wish_fields);

/* A worker that asks, and then has. One reference is the call's, whose state it is, one
 * the list's, until it is over, one the job's; the latter two have one of the call. The
 * job begins with the request: who only begins a call keeps no thread. */
struct holder {
  struct ig_pool_job job;
  ig_leases *leases;
  struct holder *next; /* guarded by the leases' mu */
  char member[IG_MEMBER_ID_BYTES];
  ig_rpc_call *call; /* a handle, until it is over */
  /* The next two belong to who receives: one thread at a time. */
  struct ig_rpc_message request;
  bool has_asked;
  ig_lease *lease; /* guarded by the leases' mu, as the next; NULL: not yet, or ended */
  bool is_over;
  atomic_uint references;
};

struct ig_leases {
  ig_cluster *cluster; /* borrowed, as the next */
  ig_sources *sources;
  ig_pool *pool;
  pthread_mutex_t mu; /* a leaf lock */
  struct holder *holders;
};

static void unref_holder(void *state) {
  struct holder *holder = state;
  /* acq_rel: the last one sees what the others did before they left. */
  if (atomic_fetch_sub_explicit(&holder->references, 1, memory_order_acq_rel) > 1) return;
  ig_rpc_message_done(&holder->request);
  ig_free(holder);
}

/* The call is over, for whatever reason: the lease comes back. The first time counts. */
static void end_holder(struct holder *holder, const struct igloo_error *why) {
  ig_leases *leases = holder->leases;
  ig_mutex_lock(&leases->mu);
  struct holder **at = &leases->holders;
  while (*at && *at != holder) at = &(*at)->next;
  bool was_there = *at != NULL;
  if (was_there) *at = holder->next;
  ig_lease *lease = IG_TAKE(holder->lease);
  holder->is_over = true;
  ig_mutex_unlock(&leases->mu);
  (void)ig_lease_end(lease);
  if (!was_there) return;
  ig_rpc_call_finish(holder->call, why);
  (void)ig_rpc_call_unref(holder->call);
  unref_holder(holder);
}

static void on_cancel(void *state, ig_rpc_call *call IG_UNUSED) {
  end_holder(state, NULL);
}

/* The worker says what it read: its connection is closed. */
static igloo_status hear(struct holder *holder, const struct ig_rpc_message *message,
                         struct igloo_error *reterr) {
  ig_mutex_lock(&holder->leases->mu);
  IG_AUTO(ig_lease) *lease = IG_TAKE(holder->lease);
  ig_mutex_unlock(&holder->leases->mu);
  if (!lease) return IGLOO_OK;
  return ig_lease_told(lease, ig_str_make((const char *)message->data, message->len),
                       reterr);
}

/* What comes once the worker was answered. */
static void listen(struct holder *holder) {
  struct igloo_error error;
  enum ig_rpc_poll poll = IG_RPC_READY;
  ig_error_reset(&error);
  while (poll == IG_RPC_READY) {
    struct ig_rpc_message message = {0};
    igloo_status status = ig_rpc_call_poll_receive(holder->call, &poll, &message, &error);
    if (status == IGLOO_OK && poll == IG_RPC_READY)
      status = hear(holder, &message, &error);
    ig_rpc_message_done(&message);
    if (status == IGLOO_OK && poll != IG_RPC_END) continue;
    end_holder(holder, status == IGLOO_OK ? NULL : &error);
    return;
  }
}

static void on_lost(void *ctx, const char *id, const struct igloo_error *why) {
  ig_leases *leases = ctx;
  for (;;) {
    ig_mutex_lock(&leases->mu);
    struct holder *holder = leases->holders;
    while (holder && strcmp(holder->member, id) != 0) holder = holder->next;
    if (holder) atomic_fetch_add(&holder->references, 1);
    ig_mutex_unlock(&leases->mu);
    if (!holder) return;
    end_holder(holder, why);
    unref_holder(holder);
  }
}

static igloo_status take(struct holder *holder, ig_lease **ret_lease,
                         struct igloo_error *reterr) {
  struct wish wish = {0};
  struct ig_str bytes =
      ig_str_make((const char *)holder->request.data, holder->request.len);
  IG_TRY(ig_protobuf_decode(&wish_message, bytes, NULL, &wish, reterr));
  if (wish.query_id.len != IG_RUN_OFFER_BYTES)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "this is no request for a lease");
  return ig_lease_take(holder->leases->sources, (const uint8_t *)wish.query_id.data,
                       wish.bytes, ig_rpc_call_token(holder->call), ret_lease, reterr);
}

/* Before it is told: a worker that is told has it. False: it is gone already. */
static bool keep(struct holder *holder, ig_lease *lease) {
  IG_LOCK_SCOPE(&holder->leases->mu);
  if (holder->is_over) return false;
  holder->lease = lease;
  return true;
}

/* As ig_rpc_call_post_bytes, but nothing of it is left in memory. */
static igloo_status post_wiped(ig_rpc_call *call, struct ig_str bytes,
                               struct igloo_error *reterr) {
  struct iovec *part = ig_malloc(sizeof(*part) + bytes.len);
  if (!part) return ig_fail_oom(reterr);
  memcpy(part + 1, bytes.data, bytes.len);
  *part = (struct iovec){part + 1, bytes.len};
  struct ig_pieces message = {.parts = part,
                              .parts_len = 1,
                              .bytes = bytes.len,
                              .release = ig_free_wiped,
                              .owner = part};
  return ig_rpc_call_post(call, &message, reterr);
}

static igloo_status answer(struct holder *holder, struct igloo_error *reterr) {
  ig_lease *lease = NULL;
  IG_AUTO_DONE(ig_buf) said = IG_BUF_INIT_WIPED(IG_LEASE_BYTES_MAX);
  igloo_status status = take(holder, &lease, reterr);
  ig_rpc_message_done(&holder->request);
  if (status != IGLOO_OK) return status;
  ig_lease_write(lease, &said);
  if (!keep(holder, lease)) {
    (void)ig_lease_end(lease);
    return IGLOO_OK;
  }
  IG_TRY(ig_buf_check(&said, reterr));
  return post_wiped(holder->call, ig_buf_str(&said), reterr);
}

static void leave_job(struct holder *holder) {
  (void)ig_rpc_call_unref(holder->call);
  unref_holder(holder);
}

static void run_answer(struct ig_pool_job *job) {
  struct holder *holder = (struct holder *)((char *)job - offsetof(struct holder, job));
  struct igloo_error error;
  ig_error_reset(&error);
  if (answer(holder, &error) == IGLOO_OK)
    listen(holder);
  else
    end_holder(holder, &error);
  leave_job(holder);
}

/* The job's references; false where the holder is over. */
static bool enter_job(struct holder *holder) {
  IG_LOCK_SCOPE(&holder->leases->mu);
  if (holder->is_over) return false;
  (void)ig_rpc_call_ref(holder->call);
  atomic_fetch_add(&holder->references, 1);
  return true;
}

/* The request, if it is there. After it the job receives. */
static igloo_status hear_request(struct holder *holder, struct igloo_error *reterr) {
  enum ig_rpc_poll poll;
  IG_TRY(ig_rpc_call_poll_receive(holder->call, &poll, &holder->request, reterr));
  if (poll == IG_RPC_PENDING) return IGLOO_OK;
  if (poll == IG_RPC_END)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "a request for a lease is empty");
  holder->has_asked = true;
  if (!enter_job(holder)) return IGLOO_OK;
  igloo_status status = ig_pool_submit(holder->leases->pool, &holder->job, reterr);
  if (status != IGLOO_OK) leave_job(holder);
  return status;
}

static void on_input(void *state, ig_rpc_call *call IG_UNUSED) {
  struct holder *holder = state;
  struct igloo_error error;
  ig_error_reset(&error);
  if (holder->has_asked)
    listen(holder);
  else if (hear_request(holder, &error) != IGLOO_OK)
    end_holder(holder, &error);
}

static igloo_status check_caller(ig_leases *leases, ig_rpc_call *call,
                                 struct ig_caller *ret_caller,
                                 struct igloo_error *reterr) {
  IG_TRY(ig_cluster_authorize(leases->cluster, call, ret_caller, reterr));
  if (ret_caller->role != IG_MEMBER_WORKER)
    return ig_fail(reterr, IGLOO_PERMISSION_DENIED, "this is for workers");
  if (ig_rpc_call_peer(call)->transport != IG_RPC_TCP) return IGLOO_OK;
  return ig_fail(reterr, IGLOO_PERMISSION_DENIED,
                 "secrets of sources are told over TLS or a Unix socket only");
}

static void refuse(ig_rpc_call *call, const struct igloo_error *error) {
  ig_rpc_call_finish(call, error);
  (void)ig_rpc_call_unref(call);
}

static void begin_lease(void *ctx, ig_rpc_call *call) {
  ig_leases *leases = ctx;
  struct ig_caller caller;
  struct igloo_error error;
  if (check_caller(leases, call, &caller, &error) != IGLOO_OK) {
    refuse(call, &error);
    return;
  }
  struct holder *holder = ig_calloc(1, sizeof(*holder));
  if (!holder) {
    (void)ig_fail_oom(&error);
    refuse(call, &error);
    return;
  }
  *holder = (struct holder){.job = {.run = run_answer}, .leases = leases, .call = call};
  memcpy(holder->member, caller.id, sizeof(holder->member));
  atomic_init(&holder->references, 2);
  IG_AUTO(ig_rpc_call) *held = ig_rpc_call_ref(call); /* on_lost may end the list's */
  ig_mutex_lock(&leases->mu);
  holder->next = leases->holders;
  leases->holders = holder;
  ig_mutex_unlock(&leases->mu);
  ig_rpc_call_set_state(call, holder, on_cancel, unref_holder);
  ig_rpc_call_set_wakes(call, on_input, NULL);
  on_input(holder, held);
}

igloo_status ig_leases_new(ig_cluster *cluster, ig_sources *sources,
                           ig_leases **ret_leases, struct igloo_error *reterr) {
  IG_AUTO(ig_leases) *leases = ig_calloc(1, sizeof(*leases));
  if (!leases) return ig_fail_oom(reterr);
  ig_mutex_init(&leases->mu);
  leases->cluster = cluster;
  leases->sources = sources;
  const struct ig_pool_options pool = {.name = "ig-lease",
                                       .threads_max = IG_CLUSTER_LEASE_THREADS,
                                       .waiting_max = IG_CLUSTER_LEASES_WAITING_MAX,
                                       .hint = "Run fewer statements at the same time."};
  IG_TRY(ig_pool_new(&pool, &leases->pool, reterr));
  const struct ig_member_listener listener = {.lost = on_lost, .ctx = leases};
  ig_members_listen(ig_cluster_members(cluster), &listener);
  *ret_leases = IG_TAKE(leases);
  return IGLOO_OK;
}

ig_leases *ig_leases_free(ig_leases *leases) {
  if (!leases) return NULL;
  (void)ig_pool_free(leases->pool);
  IG_ASSERT(!leases->holders);
  ig_mutex_done(&leases->mu);
  ig_free(leases);
  return NULL;
}

struct ig_rpc_method ig_leases_method(ig_leases *leases) {
  return (struct ig_rpc_method){.path = IG_COORDINATOR_LEASE,
                                .shape = IG_RPC_STREAM_REQUEST,
                                .message_bytes_max = IG_CONNECTOR_PART_ENCODED_MAX,
                                .begin = begin_lease,
                                .ctx = leases};
}

/* ---- a worker ---------------------------------------------------------------------- */

/* Its coordinator, where what that says is for this process alone. */
static igloo_status find_coordinator(ig_cluster *cluster, char ret_id[IG_MEMBER_ID_BYTES],
                                     struct igloo_error *reterr) {
  IG_AUTO_STRUCT(ig_member_list) *list = ig_members_list(ig_cluster_members(cluster));
  for (size_t i = 0; i < list->count; i++) {
    const struct ig_member *member = &list->members[i];
    if (member->role != IG_MEMBER_COORDINATOR) continue;
    if (member->unix_path[0] == '\0' && !ig_cluster_tls(cluster)) break;
    (void)snprintf(ret_id, IG_MEMBER_ID_BYTES, "%s", member->id);
    return IGLOO_OK;
  }
  return ig_fail_state(reterr, IGLOO_UNAVAILABLE, "08006",
                       "there is no coordinator to ask for a lease");
}

/* The lease has ended where the coordinator says so. */
static void wait_end(void *state IG_UNUSED, ig_rpc_call *call) {
  enum ig_rpc_poll poll = IG_RPC_READY;
  while (poll == IG_RPC_READY) {
    struct ig_rpc_message message = {0};
    if (ig_rpc_call_poll_receive(call, &poll, &message, NULL) != IGLOO_OK)
      poll = IG_RPC_END;
    ig_rpc_message_done(&message);
  }
  if (poll == IG_RPC_END) (void)ig_rpc_call_unref(call);
}

/* The connection is closed. */
static void give_back(void *ctx, struct ig_str read) {
  ig_rpc_call *call = ctx;
  if (ig_rpc_call_post_bytes(call, read.data, read.len, NULL) != IGLOO_OK)
    ig_rpc_call_cancel(call);
  ig_rpc_call_half_close(call);
  wait_end(NULL, call);
}

static igloo_status ask(ig_channels *channels, ig_cluster *cluster,
                        const uint8_t query_id[IG_RUN_OFFER_BYTES], struct ig_str part,
                        ig_cancel *stop, ig_rpc_call **ret_call,
                        struct ig_rpc_message *ret_said, struct igloo_error *reterr) {
  char id[IG_MEMBER_ID_BYTES];
  bool got = false;
  IG_TRY(find_coordinator(cluster, id, reterr));
  struct wish wish = {.query_id = {(const char *)query_id, IG_RUN_OFFER_BYTES},
                      .bytes = part};
  IG_AUTO_DONE(ig_buf) message = IG_BUF_INIT(IG_CONNECTOR_PART_ENCODED_MAX + IG_KIB);
  ig_protobuf_encode(&wish_message, &wish, &message);
  IG_TRY(ig_buf_check(&message, reterr));
  IG_AUTO(ig_rpc_call) *call = NULL;
  IG_TRY(ig_channels_call(channels, ig_str_from_cstr(id), IG_COORDINATOR_LEASE, 0,
                          &message, false, &call, reterr));
  ig_rpc_call_set_wakes(call, wait_end, NULL);
  ig_rpc_call_watch(call, stop);
  IG_TRY(ig_rpc_call_receive(call, ret_said, &got, reterr));
  if (!got) return ig_fail_state(reterr, IGLOO_UNAVAILABLE, "08006", "a lease has ended");
  ig_rpc_call_watch(call, NULL);
  *ret_call = IG_TAKE(call);
  return IGLOO_OK;
}

igloo_status ig_leases_open(ig_channels *channels, ig_cluster *cluster,
                            ig_sources *sources,
                            const uint8_t query_id[IG_RUN_OFFER_BYTES],
                            struct ig_str part, ig_cancel *stop,
                            struct ArrowArrayStream *ret_rows,
                            struct igloo_error *reterr) {
  struct ig_rpc_message said = {0};
  ig_rpc_call *call = NULL;
  IG_TRY(ask(channels, cluster, query_id, part, stop, &call, &said, reterr));
  igloo_status status =
      ig_lease_open(sources, ig_str_make((const char *)said.data, said.len), part, stop,
                    give_back, call, ret_rows, reterr);
  explicit_bzero((void *)(uintptr_t)said.data, said.len);
  ig_rpc_message_done(&said);
  if (status == IGLOO_UNAVAILABLE) {
    char self[IG_MEMBER_ID_BYTES];
    ig_members_self_id(ig_cluster_members(cluster), self);
    ig_error_hint(reterr,
                  "Worker \"%s\" reads parts of the table, and must reach it too.", self);
  }
  return status;
}
