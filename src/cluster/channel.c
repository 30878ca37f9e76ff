/* channel.c -- see channel.h. */
#include "cluster/channel.h"

#include <stdatomic.h>
#include <time.h>

#include "arrow/schema.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "cluster/address.h"
#include "cluster/files.h"
#include "cluster/lease.h"
#include "cluster/local.h"
#include "cluster/tasks.h"
#include "cluster/worker_messages.h"
#include "rpc/inbox.h"
#include "wire/flight_data.h"

/* One other member. It leaves the list when it is lost and nobody calls it. */
struct peer {
  struct peer *next;
  char id[IG_MEMBER_ID_BYTES];
  uint32_t users;          /* guarded by the channels' mu: calls, and whoever connects */
  bool is_lost;            /* guarded by the channels' mu; `why` is set then */
  struct igloo_error why;  /* of the last failure; guarded by the channels' mu */
  int64_t retry_us;        /* guarded by the channels' mu: no attempt before */
  ig_rpc_channel *channel; /* guarded by the channels' mu; NULL: none yet */
  bool is_doubted;         /* guarded by the channels' mu: its connection is lost */
  pthread_mutex_t opening; /* one connects, others wait; before the channels' mu */
};

struct ig_channels {
  ig_cluster *cluster; /* borrowed */
  struct ig_cluster_channel table;
  ig_files_asker *files;
  ig_pool *pool;      /* frees calls of this process to itself */
  pthread_mutex_t mu; /* after a peer's `opening`, before a connection's */
  struct peer *peers; /* guarded by mu */
  size_t remotes;     /* guarded by mu: tasks and reads that are not freed */
  pthread_cond_t changed;
};

/* --- members as the engine sees them */

struct snapshot {
  struct ig_member_list *list;
  char **reasons; /* given to the engine, until the release */
  size_t reasons_len;
  size_t count;
  struct ig_cluster_member members[];
};

static void release_members(void *ctx, void *snapshot) {
  (void)ctx;
  struct snapshot *taken = snapshot;
  if (!taken) return;
  for (size_t i = 0; i < taken->reasons_len; i++) ig_free(taken->reasons[i]);
  ig_free(taken->reasons);
  (void)ig_member_list_unref(taken->list);
  ig_free(taken);
}

/* A peer whose connection was lost since it was looked at last. */
static bool find_lost_peer(struct ig_channels *channels,
                           char ret_id[IG_MEMBER_ID_BYTES]) {
  IG_LOCK_SCOPE(&channels->mu);
  for (struct peer *peer = channels->peers; peer; peer = peer->next) {
    bool was_doubted = peer->is_doubted;
    peer->is_doubted = peer->channel && ig_rpc_channel_is_lost(peer->channel);
    if (!peer->is_doubted || was_doubted || peer->is_lost) continue;
    memcpy(ret_id, peer->id, sizeof(peer->id));
    return true;
  }
  return false;
}

/* A member that has just died shall not be given the next task. */
static void doubt_lost_peers(struct ig_channels *channels) {
  char id[IG_MEMBER_ID_BYTES];
  while (find_lost_peer(channels, id))
    ig_members_doubt(ig_cluster_members(channels->cluster), ig_str_from_cstr(id));
}

static const struct ig_member *find_self(const struct ig_member_list *list) {
  for (size_t i = 0; i < list->count; i++)
    if (list->members[i].is_self) return &list->members[i];
  return NULL;
}

static bool is_near(const struct ig_member *self, const struct ig_member *member) {
  return self && self->host[0] && strcmp(self->host, member->host) == 0;
}

/* The first member of its host; itself where its host is not known. */
static uint32_t find_host(const struct ig_member_list *list, size_t at) {
  const char *host = list->members[at].host;
  size_t i = 0;
  while (i < at && (!host[0] || strcmp(list->members[i].host, host) != 0)) i++;
  return (uint32_t)i;
}

/* What it asks this process comes by the cluster's TLS or by this one's Unix socket. */
static bool is_private(const struct ig_channels *channels, const struct ig_member *self,
                       const struct ig_member *member) {
  return ig_cluster_tls(channels->cluster) ||
         (is_near(self, member) && self->told_unix_path[0]);
}

static void *give_members(void *ctx, const struct ig_cluster_member **ret_members,
                          size_t *ret_count) {
  struct ig_channels *channels = ctx;
  doubt_lost_peers(channels);
  IG_AUTO_STRUCT(ig_member_list) *list =
      ig_members_list(ig_cluster_members(channels->cluster));
  struct snapshot *snapshot =
      ig_calloc(1, sizeof(*snapshot) + list->count * sizeof(snapshot->members[0]));
  if (!snapshot) return NULL;
  /* A coordinator that is being stopped sends nothing out any more. */
  const struct ig_member *self = find_self(list);
  bool is_draining = self && self->state == IG_MEMBER_DRAINING;
  for (size_t i = 0; i < list->count; i++) {
    const struct ig_member *member = &list->members[i];
    bool takes_tasks = member->state == IG_MEMBER_ACTIVE && !is_draining;
    if (!takes_tasks && !member->is_self) continue;
    snapshot->members[snapshot->count++] =
        (struct ig_cluster_member){.id = ig_str_from_cstr(member->id),
                                   .is_self = member->is_self,
                                   .threads = member->threads,
                                   .is_private = is_private(channels, self, member),
                                   .is_near = is_near(self, member),
                                   .host = find_host(list, i),
                                   .processors = member->processors};
  }
  snapshot->list = IG_TAKE(list);
  *ret_members = snapshot->members;
  *ret_count = snapshot->count;
  return snapshot;
}

/* Takes the text. */
static igloo_status keep_reason(struct snapshot *snapshot, char *reason,
                                struct igloo_error *reterr) {
  size_t len = snapshot->reasons_len;
  char **reasons = ig_realloc(snapshot->reasons, (len + 1) * sizeof(*reasons));
  if (!reasons) {
    ig_free(reason);
    return ig_fail_oom(reterr);
  }
  reasons[len] = reason;
  snapshot->reasons = reasons;
  snapshot->reasons_len++;
  return IGLOO_OK;
}

static int32_t ask_files(void *ctx, void *taken, const struct ig_cluster_file *files,
                         size_t count, bool *ret_has, struct ig_str *ret_reason,
                         struct igloo_error *reterr) {
  struct ig_channels *channels = ctx;
  struct snapshot *snapshot = taken;
  char *reason = NULL;
  igloo_status status = ig_files_ask(channels->files, snapshot->members, snapshot->count,
                                     files, count, ret_has, &reason, reterr);
  if (status == IGLOO_OK && reason) status = keep_reason(snapshot, reason, reterr);
  if (status == IGLOO_OK) *ret_reason = ig_str_from_cstr(reason);
  return (int32_t)status;
}

/* --- peers */

static void free_peer(struct peer *peer) {
  (void)ig_rpc_channel_free(peer->channel);
  ig_mutex_done(&peer->opening);
  ig_free(peer);
}

/* Take out those that have no users and are lost, or were never reached. */
static struct peer *sweep_locked(struct ig_channels *channels) {
  struct peer *gone = NULL;
  int64_t now_us = ig_now_us();
  for (struct peer **at = &channels->peers; *at;) {
    struct peer *peer = *at;
    bool is_of_use = !peer->is_lost && (peer->channel != NULL || peer->retry_us > now_us);
    if (is_of_use || peer->users > 0) {
      at = &peer->next;
      continue;
    }
    *at = peer->next;
    peer->next = gone;
    gone = peer;
  }
  return gone;
}

static struct peer *find_locked(const struct ig_channels *channels, struct ig_str id) {
  for (struct peer *peer = channels->peers; peer; peer = peer->next)
    if (ig_str_eq_cstr(id, peer->id)) return peer;
  return NULL;
}

/* The peer with a user more, new where it was not there. On a thread that may block. */
static igloo_status use_peer(struct ig_channels *channels, struct ig_str id,
                             struct peer **ret_peer, struct igloo_error *reterr) {
  ig_mutex_lock(&channels->mu);
  struct peer *gone = sweep_locked(channels);
  struct peer *peer = find_locked(channels, id);
  if (!peer && (peer = ig_calloc(1, sizeof(*peer)))) {
    (void)snprintf(peer->id, sizeof(peer->id), "%.*s", IG_STR_ARG(id));
    ig_mutex_init(&peer->opening);
    peer->next = channels->peers;
    channels->peers = peer;
  }
  if (peer) peer->users++;
  ig_mutex_unlock(&channels->mu);
  while (gone) {
    struct peer *next = gone->next;
    free_peer(gone);
    gone = next;
  }
  if (!peer) return ig_fail_oom(reterr);
  *ret_peer = peer;
  return IGLOO_OK;
}

static void leave_peer(struct ig_channels *channels, struct peer *peer) {
  IG_LOCK_SCOPE(&channels->mu);
  peer->users--;
}

/* The registry: it is gone. */
static void on_lost(void *ctx, const char *id, const struct igloo_error *why) {
  struct ig_channels *channels = ctx;
  IG_LOCK_SCOPE(&channels->mu);
  struct peer *peer = find_locked(channels, ig_str_from_cstr(id));
  if (!peer || peer->is_lost) return;
  peer->is_lost = true;
  peer->why = *why;
  if (peer->channel) ig_rpc_channel_shut(peer->channel, why);
}

/* What a call ends with whose member does not answer. `why` is what the connection said,
 * and may be *reterr. */
static igloo_status fail_lost(struct ig_channels *channels, const struct peer *peer,
                              const struct igloo_error *why, struct igloo_error *reterr) {
  struct igloo_error said = *why;
  {
    IG_LOCK_SCOPE(&channels->mu);
    if (peer->is_lost) {
      if (reterr) *reterr = peer->why;
      return peer->why.status;
    }
  }
  ig_members_doubt(ig_cluster_members(channels->cluster), ig_str_from_cstr(peer->id));
  return ig_member_fail_lost(reterr, peer->id, said.message);
}

/* --- connecting */

static bool was_lost(struct ig_channels *channels, const struct peer *peer) {
  IG_LOCK_SCOPE(&channels->mu);
  return peer->is_lost;
}

/* The list with the peer in it. Of one that has just joined a worker hears with its next
 * heartbeat only, while the coordinator gives it tasks already: so it is waited for.
 * NULL: it is gone, or did not come in the time to connect. */
static struct ig_member_list *wait_for_list(struct ig_channels *channels,
                                            const struct peer *peer) {
  bool asks_nobody = ig_cluster_role(channels->cluster) == IG_MEMBER_COORDINATOR;
  int64_t deadline_us = ig_deadline_in(IG_CLUSTER_CONNECT_US);
  for (;;) {
    IG_AUTO_STRUCT(ig_member_list) *list =
        ig_members_list(ig_cluster_members(channels->cluster));
    if (ig_member_list_find(list, ig_str_from_cstr(peer->id))) return IG_TAKE(list);
    if (asks_nobody || was_lost(channels, peer) || ig_now_us() > deadline_us) return NULL;
    struct timespec pause = {.tv_nsec = 10000000};
    (void)nanosleep(&pause, NULL);
  }
}

static igloo_status open_channel(struct ig_channels *channels, const struct peer *peer,
                                 ig_rpc_channel **ret_channel,
                                 struct igloo_error *reterr) {
  IG_AUTO_STRUCT(ig_member_list) *list = wait_for_list(channels, peer);
  if (!list) return ig_member_fail_lost(reterr, peer->id, NULL);
  const struct ig_member *member = ig_member_list_find(list, ig_str_from_cstr(peer->id));
  IG_AUTO_DONE(ig_address) address = {0};
  struct ig_rpc_channel_options options = {0};
  if (member->unix_path[0] != '\0') {
    options.unix_path = member->unix_path;
  } else {
    IG_TRY(ig_address_parse(ig_str_from_cstr(member->address), &address, reterr));
    ig_address_options(&address, ig_cluster_tls(channels->cluster), &options);
  }
  options.connect_us = IG_CLUSTER_CONNECT_US;
  options.keepalive_us = IG_CLUSTER_KEEPALIVE_US;
  options.is_member = true;
  return ig_rpc_channel_open(&options, NULL, ret_channel, reterr);
}

/* The outcome of an attempt; false where a lost member is not to be tried again. */
static bool note_attempt(struct ig_channels *channels, struct peer *peer,
                         ig_rpc_channel *channel, const struct igloo_error *why) {
  IG_LOCK_SCOPE(&channels->mu);
  if (peer->is_lost) return false;
  peer->channel = channel;
  peer->retry_us = channel ? 0 : ig_deadline_in(IG_CLUSTER_RETRY_US);
  if (!channel) peer->why = *why;
  return true;
}

/* Its channel, opened where it is not. Borrowed while the peer has a user. */
static igloo_status connect_peer(struct ig_channels *channels, struct peer *peer,
                                 ig_rpc_channel **ret_channel,
                                 struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&peer->opening);
  ig_mutex_lock(&channels->mu);
  ig_rpc_channel *channel = peer->channel;
  bool is_lost = peer->is_lost || peer->retry_us > ig_now_us();
  if (is_lost && reterr) *reterr = peer->why;
  igloo_status status = is_lost ? peer->why.status : IGLOO_OK;
  ig_mutex_unlock(&channels->mu);
  if (status != IGLOO_OK || channel) {
    *ret_channel = channel;
    return status;
  }
  struct igloo_error why;
  ig_error_reset(&why);
  status = open_channel(channels, peer, &channel, &why);
  if (status == IGLOO_CANCELLED || status == IGLOO_OUT_OF_MEMORY) {
    if (reterr) *reterr = why;
    return status;
  }
  if (status != IGLOO_OK) status = fail_lost(channels, peer, &why, &why);
  if (!note_attempt(channels, peer, channel, &why)) {
    (void)ig_rpc_channel_free(channel);
    status = fail_lost(channels, peer, &why, &why);
  }
  if (status != IGLOO_OK) {
    if (reterr) *reterr = why;
    return status;
  }
  *ret_channel = channel;
  return IGLOO_OK;
}

/* --- calls */

/* A task or a read. The rpc call has a share of it, as its state. */
struct remote {
  struct ig_channels *channels;
  ig_local *local;   /* of this process; NULL: of another, and then the rest is there */
  bool is_counted;   /* a task of this process */
  struct peer *peer; /* a user of it, until it is freed */
  ig_rpc_call *call; /* its only handle */
  atomic_uint references;
  pthread_mutex_t mu;   /* a leaf lock, but for the engine's waker */
  ig_cluster_wake wake; /* guarded by mu, as the next two; NULL: nobody waits */
  void *wake_ctx;
  bool is_told; /* it was worth asking again before anybody waited */
  /* one thread at a time */
  uint64_t log_number;           /* of a task, in the log; 0: none; atomic */
  struct ig_rpc_message message; /* of a task: what was given last */
  ig_ipc_decoder *decoder;       /* of a read */
};

static void unref_remote(void *state) {
  struct remote *remote = state;
  /* acq_rel: the last one sees what the others did before they left. */
  if (atomic_fetch_sub_explicit(&remote->references, 1, memory_order_acq_rel) > 1) return;
  ig_mutex_done(&remote->mu);
  ig_free(remote);
}

static void on_input(void *state, ig_rpc_call *call) {
  (void)call;
  struct remote *remote = state;
  IG_LOCK_SCOPE(&remote->mu);
  ig_cluster_wake wake = IG_TAKE(remote->wake);
  remote->is_told = wake == NULL;
  if (wake) wake(remote->wake_ctx);
}

/* The sender of a task sends once. */
static void on_room(void *state, ig_rpc_call *call) {
  (void)state;
  (void)call;
}

/* Begin a call of `path` to the peer; its message is taken, also on failure. */
static igloo_status start_call(struct ig_channels *channels, struct peer *peer,
                               const char *path, int64_t deadline_us,
                               ig_rpc_call **ret_call, struct igloo_error *reterr) {
  ig_rpc_channel *channel = NULL;
  IG_TRY(connect_peer(channels, peer, &channel, reterr));
  struct ig_cluster_credentials credentials;
  ig_cluster_credentials(channels->cluster, peer->id, path, &credentials);
  const struct ig_rpc_call_options options = {.path = path,
                                              .metadata = &credentials.header,
                                              .metadata_len = 1,
                                              .deadline_us = deadline_us};
  struct igloo_error why;
  igloo_status status = ig_rpc_call_start(channel, &options, ret_call, &why);
  if (status == IGLOO_OK) return IGLOO_OK;
  if (status == IGLOO_UNAVAILABLE || status == IGLOO_DEADLINE_EXCEEDED ||
      status == IGLOO_UNAUTHENTICATED)
    return fail_lost(channels, peer, &why, reterr);
  if (reterr) *reterr = why;
  return status;
}

/* The first end counts: a query that has ended well does not wait for its tasks. */
static void log_end(struct remote *remote, enum ig_task_state state) {
  uint64_t number = __atomic_exchange_n(&remote->log_number, 0, __ATOMIC_RELAXED);
  ig_task_log_end(ig_cluster_tasks(remote->channels->cluster), number, state,
                  ig_wall_us());
}

/* Its own tasks are figures of this process as those that others give it. */
static void count_local_task(const struct remote *remote, uint64_t more, uint64_t now) {
  struct ig_member_figures *figures = ig_cluster_figures(remote->channels->cluster);
  (void)__atomic_fetch_add(&figures->tasks, more, __ATOMIC_RELAXED);
  (void)__atomic_fetch_add(&figures->tasks_now, now, __ATOMIC_RELAXED);
}

static void free_remote(void *given) {
  struct remote *remote = given;
  if (!remote) return;
  if (remote->log_number > 0) log_end(remote, IG_TASK_CANCELLED);
  ig_mutex_lock(&remote->mu);
  remote->wake = NULL;
  ig_mutex_unlock(&remote->mu);
  remote->local = ig_local_free(remote->local);
  if (remote->is_counted) count_local_task(remote, 0, UINT64_MAX); /* one less */
  ig_rpc_message_done(&remote->message);
  remote->decoder = ig_ipc_decoder_free(remote->decoder);
  ig_channels *channels = remote->channels;
  if (remote->peer) leave_peer(channels, remote->peer);
  /* Resets the call where it has not ended; its state goes with its last reference. */
  (void)ig_rpc_call_unref(remote->call);
  unref_remote(remote);
  IG_LOCK_SCOPE(&channels->mu);
  channels->remotes--;
  ig_cond_broadcast(&channels->changed);
}
IG_DEFINE_AUTO_STRUCT(remote, free_remote)

/* An error of the connection, not of what the worker did, is a lost worker. */
static igloo_status explain(struct remote *remote, igloo_status status,
                            struct igloo_error *error) {
  struct ig_str unused;
  ig_rpc_call *call = remote->call;
  /* Where nothing was sent before, status and trailers come as headers. */
  bool is_workers =
      ig_rpc_metadata_get(ig_rpc_call_trailers(call), IG_WORKER_TRAILER, &unused) ||
      ig_rpc_metadata_get(ig_rpc_call_metadata(call), IG_WORKER_TRAILER, &unused);
  bool is_lost =
      ig_rpc_call_is_lost(call) || (status == IGLOO_UNAVAILABLE && !is_workers);
  return is_lost ? fail_lost(remote->channels, remote->peer, error, error) : status;
}

/* A worker may have refused the call before it has read the message. */
static igloo_status send(struct remote *remote, struct ig_buf *message,
                         struct igloo_error *reterr) {
  struct ig_pieces pieces = {0};
  struct igloo_error error;
  bool has_room = false;
  IG_TRY(ig_pieces_of_buf(message, &pieces, reterr));
  igloo_status status = ig_rpc_call_poll_send(remote->call, &pieces, &has_room, &error);
  if (status == IGLOO_OK) return IGLOO_OK;
  status = explain(remote, status, &error);
  if (reterr) *reterr = error;
  return status;
}

/* NULL: no memory. */
static struct remote *new_remote(struct ig_channels *channels) {
  struct remote *remote = ig_calloc(1, sizeof(*remote));
  if (!remote) return NULL;
  atomic_init(&remote->references, 1);
  ig_mutex_init(&remote->mu);
  remote->channels = channels;
  IG_LOCK_SCOPE(&channels->mu);
  channels->remotes++;
  return remote;
}

static bool is_self(const struct ig_channels *channels, struct ig_str id) {
  char self[IG_MEMBER_ID_BYTES];
  ig_members_self_id(ig_cluster_members(channels->cluster), self);
  return ig_str_eq_cstr(id, self);
}

/* Begin a call and send its first message. */
static igloo_status start_remote(struct ig_channels *channels, struct ig_str id,
                                 const char *path, struct ig_buf *message,
                                 bool has_batches, struct remote **ret_remote,
                                 struct igloo_error *reterr) {
  IG_TRY(ig_buf_check(message, reterr));
  IG_AUTO_STRUCT(remote) *remote = new_remote(channels);
  if (!remote) return ig_fail_oom(reterr);
  IG_TRY(use_peer(channels, id, &remote->peer, reterr));
  if (has_batches) IG_TRY(ig_ipc_decoder_new(NULL, &remote->decoder, reterr));
  IG_TRY(start_call(channels, remote->peer, path, 0, &remote->call, reterr));
  atomic_fetch_add_explicit(&remote->references, 1, memory_order_relaxed);
  ig_rpc_call_set_state(remote->call, remote, NULL, unref_remote);
  ig_rpc_call_set_wakes(remote->call, on_input, on_room);
  IG_TRY(send(remote, message, reterr));
  *ret_remote = IG_TAKE(remote);
  return IGLOO_OK;
}

/* The next message, or why there is none now. */
static enum ig_cluster_poll poll_message(struct remote *remote, ig_cluster_wake wake,
                                         void *wake_ctx, struct ig_rpc_message *ret,
                                         struct igloo_error *reterr) {
  for (;;) {
    enum ig_rpc_poll poll = IG_RPC_PENDING;
    struct igloo_error error;
    igloo_status status = ig_rpc_call_poll_receive(remote->call, &poll, ret, &error);
    if (status != IGLOO_OK) {
      (void)explain(remote, status, &error);
      if (reterr) *reterr = error;
      return IG_CLUSTER_POLL_FAILED;
    }
    if (poll == IG_RPC_READY) return IG_CLUSTER_POLL_READY;
    if (poll == IG_RPC_END) return IG_CLUSTER_POLL_END;
    IG_LOCK_SCOPE(&remote->mu);
    if (!remote->is_told) {
      remote->wake = wake;
      remote->wake_ctx = wake_ctx;
      return IG_CLUSTER_POLL_PENDING;
    }
    remote->is_told = false; /* it changed in between */
  }
}

/* --- tasks */

static igloo_status send_task(struct ig_channels *channels,
                              const struct ig_cluster_task_plan *plan,
                              struct remote **ret_remote, struct igloo_error *reterr) {
  if (is_self(channels, plan->member)) {
    IG_AUTO_STRUCT(remote) *remote = new_remote(channels);
    if (!remote) return ig_fail_oom(reterr);
    IG_TRY(ig_local_task(ig_cluster_engine(channels->cluster), channels->pool, plan,
                         &remote->local, reterr));
    count_local_task(remote, 1, 1);
    remote->is_counted = true;
    *ret_remote = IG_TAKE(remote);
    return IGLOO_OK;
  }
  IG_AUTO_DONE(ig_buf) message = IG_BUF_INIT(IG_CLUSTER_PLAN_BYTES_MAX);
  ig_run_task_write(plan, &message);
  return start_remote(channels, plan->member, IG_WORKER_RUN_TASK, &message, false,
                      ret_remote, reterr);
}

static int32_t start_task(void *ctx, const struct ig_cluster_task_plan *plan,
                          void *execution, void **ret_task, struct igloo_error *reterr) {
  struct remote *remote = NULL;
  igloo_status status = IGLOO_OK;
  if (plan->offers && execution)
    status = ig_remote_run_offer(execution, plan->task.query_id, reterr);
  if (status == IGLOO_OK) status = send_task(ctx, plan, &remote, reterr);
  if (status != IGLOO_OK) return (int32_t)status;
  remote->log_number = ig_task_log_begin(ig_cluster_tasks(remote->channels->cluster),
                                         &plan->task, plan->member, ig_wall_us());
  *ret_task = remote;
  return IGLOO_OK;
}

static int32_t poll_task(void *task, ig_cluster_wake wake, void *wake_ctx,
                         struct ig_str *ret_message, struct igloo_error *reterr) {
  struct remote *remote = task;
  struct ig_rpc_message message = {0};
  enum ig_cluster_poll poll =
      remote->local
          ? ig_local_poll_message(remote->local, wake, wake_ctx, ret_message, reterr)
          : poll_message(remote, wake, wake_ctx, &message, reterr);
  if (poll == IG_CLUSTER_POLL_END) log_end(remote, IG_TASK_DONE);
  if (poll == IG_CLUSTER_POLL_FAILED) log_end(remote, IG_TASK_FAILED);
  if (poll != IG_CLUSTER_POLL_READY || remote->local) return (int32_t)poll;
  ig_rpc_message_done(&remote->message);
  remote->message = message;
  *ret_message = ig_str_make((const char *)message.data, message.len);
  return (int32_t)poll;
}

static void finish_task(void *task) {
  struct remote *remote = task;
  log_end(remote, IG_TASK_DONE);
  if (remote->local)
    ig_local_finish(remote->local);
  else
    ig_rpc_call_half_close(remote->call);
}

/* --- partitions */

static igloo_status ask_partition(struct ig_channels *channels, struct ig_str member,
                                  const struct ig_cluster_task *task, uint32_t partition,
                                  struct ig_str head, struct remote **ret_remote,
                                  struct igloo_error *reterr) {
  if (is_self(channels, member)) {
    IG_AUTO_STRUCT(remote) *remote = new_remote(channels);
    if (!remote) return ig_fail_oom(reterr);
    IG_TRY(ig_local_read(ig_cluster_engine(channels->cluster), channels->pool, task,
                         partition, head, &remote->local, reterr));
    *ret_remote = IG_TAKE(remote);
    return IGLOO_OK;
  }
  IG_AUTO_DONE(ig_buf) message = IG_BUF_INIT(IG_RPC_MESSAGE_BYTES_MAX);
  ig_read_partition_write(task, partition, head, &message);
  IG_TRY(start_remote(channels, member, IG_WORKER_READ_PARTITION, &message, true,
                      ret_remote, reterr));
  ig_rpc_call_half_close((*ret_remote)->call);
  return IGLOO_OK;
}

static int32_t start_read(void *ctx, struct ig_str member,
                          const struct ig_cluster_task *task, uint32_t partition,
                          struct ig_str head, void *execution, void **ret_read,
                          struct igloo_error *reterr) {
  (void)execution;
  struct remote *remote = NULL;
  igloo_status status =
      ask_partition(ctx, member, task, partition, head, &remote, reterr);
  if (status == IGLOO_OK) *ret_read = remote;
  return (int32_t)status;
}

/* Takes the message. */
static igloo_status decode(struct remote *remote, struct ig_rpc_message *message,
                           struct ArrowArray *ret_batch, bool *ret_got,
                           struct igloo_error *reterr) {
  struct ig_flight_data data;
  struct ig_member_figures *figures = ig_cluster_figures(remote->channels->cluster);
  __atomic_fetch_add(&figures->bytes_in, message->len, __ATOMIC_RELAXED);
  igloo_status status = ig_flight_data_unpack(
      ig_str_make((const char *)message->data, message->len), &data, reterr);
  if (status != IGLOO_OK) {
    ig_rpc_message_done(message);
    return status;
  }
  struct ig_ipc_input input = ig_flight_data_input(message, &data);
  enum ig_ipc_kind kind = IG_IPC_SCHEMA;
  IG_TRY(ig_ipc_decoder_message(remote->decoder, &input, &kind, ret_batch, reterr));
  *ret_got = kind == IG_IPC_BATCH;
  return IGLOO_OK;
}

static int32_t poll_read(void *read, ig_cluster_wake wake, void *wake_ctx,
                         struct ArrowArray *ret_batch, struct igloo_error *reterr) {
  struct remote *remote = read;
  if (remote->local)
    return (int32_t)ig_local_poll_batch(remote->local, wake, wake_ctx, ret_batch, reterr);
  for (bool got = false; !got;) {
    struct ig_rpc_message message = {0};
    enum ig_cluster_poll poll = poll_message(remote, wake, wake_ctx, &message, reterr);
    if (poll != IG_CLUSTER_POLL_READY) return (int32_t)poll;
    if (decode(remote, &message, ret_batch, &got, reterr) == IGLOO_OK) continue;
    ig_rpc_call_cancel(remote->call); /* what is still to come is of no use */
    return IG_CLUSTER_POLL_FAILED;
  }
  return IG_CLUSTER_POLL_READY;
}

static int32_t give_schema(void *read, struct ArrowSchema *ret_schema,
                           struct igloo_error *reterr) {
  struct remote *remote = read;
  const struct ArrowSchema *schema = remote->local
                                         ? ig_local_schema(remote->local)
                                         : ig_ipc_decoder_schema(remote->decoder);
  if (!schema) return (int32_t)ig_fail(reterr, IGLOO_INTERNAL, "no batch has come yet");
  return (int32_t)ig_schema_copy(schema, ret_schema, reterr);
}

/* --- parts of databases */

static int32_t open_part(void *ctx, const uint8_t query_id[IG_RUN_OFFER_BYTES],
                         struct ig_str part, ig_cancel *stop,
                         struct ArrowArrayStream *ret_rows, struct igloo_error *reterr) {
  struct ig_channels *channels = ctx;
  ig_sources *sources = ig_cluster_sources(channels->cluster);
  if (!sources) return (int32_t)ig_fail(reterr, IGLOO_INTERNAL, "there are no sources");
  return (int32_t)ig_leases_open(channels, channels->cluster, sources, query_id, part,
                                 stop, ret_rows, reterr);
}

/* --- a call of one message, for files.c */

igloo_status ig_channels_call(ig_channels *channels, struct ig_str id, const char *path,
                              int64_t deadline_us, struct ig_buf *message, bool is_all,
                              ig_rpc_call **ret_call, struct igloo_error *reterr) {
  struct ig_pieces pieces = {0};
  IG_TRY(ig_pieces_of_buf(message, &pieces, reterr));
  struct peer *peer = NULL;
  IG_AUTO(ig_rpc_call) *call = NULL;
  igloo_status status = use_peer(channels, id, &peer, reterr);
  if (status == IGLOO_OK) {
    status = start_call(channels, peer, path, deadline_us, &call, reterr);
    leave_peer(channels, peer); /* the call is a handle of its own */
  }
  if (status != IGLOO_OK) {
    ig_pieces_done(&pieces);
    return status;
  }
  IG_TRY(ig_rpc_call_send(call, &pieces, reterr));
  if (is_all) ig_rpc_call_half_close(call);
  *ret_call = IG_TAKE(call);
  return IGLOO_OK;
}

/* --- life */

igloo_status ig_channels_new(ig_cluster *cluster, ig_channels **ret_channels,
                             struct igloo_error *reterr) {
  IG_AUTO(ig_channels) *channels = ig_calloc(1, sizeof(*channels));
  if (!channels) return ig_fail_oom(reterr);
  ig_mutex_init(&channels->mu);
  ig_cond_init(&channels->changed);
  channels->cluster = cluster;
  channels->table = (struct ig_cluster_channel){.ctx = channels,
                                                .members = give_members,
                                                .members_release = release_members,
                                                .files = ask_files,
                                                .task_start = start_task,
                                                .task_poll = poll_task,
                                                .task_finish = finish_task,
                                                .task_free = free_remote,
                                                .read_start = start_read,
                                                .read_poll = poll_read,
                                                .read_schema = give_schema,
                                                .read_free = free_remote,
                                                .part_open = open_part};
  const struct ig_pool_options pool = {
      .name = "ig-local", .threads_max = 1, .waiting_max = UINT32_MAX / 2};
  IG_TRY(ig_pool_new(&pool, &channels->pool, reterr));
  IG_TRY(ig_files_asker_new(channels, &channels->files, reterr));
  const struct ig_member_listener listener = {.lost = on_lost, .ctx = channels};
  ig_members_listen(ig_cluster_members(cluster), &listener);
  ig_rpc_blocks_keep(IG_RPC_MEMBER_KEPT_BYTES_MAX);
  *ret_channels = IG_TAKE(channels);
  return IGLOO_OK;
}

/* What the engine drops while it ends may still be on its way. */
static bool wait_for_remotes(ig_channels *channels) {
  int64_t deadline_us = ig_deadline_in(IG_CLUSTER_CLOSE_US);
  bool in_time = true;
  IG_LOCK_SCOPE(&channels->mu);
  while (channels->remotes > 0 && in_time)
    in_time = ig_cond_wait_until(&channels->changed, &channels->mu, deadline_us);
  return channels->remotes == 0;
}

ig_channels *ig_channels_free(ig_channels *channels) {
  if (!channels) return NULL;
  if (!wait_for_remotes(channels)) return NULL; /* as the engine that has them */
  (void)ig_pool_free(channels->pool);
  while (channels->peers) {
    struct peer *peer = channels->peers;
    IG_ASSERT(peer->users == 0);
    channels->peers = peer->next;
    free_peer(peer);
  }
  (void)ig_files_asker_free(channels->files);
  ig_cond_done(&channels->changed);
  ig_mutex_done(&channels->mu);
  ig_free(channels);
  return NULL;
}

const struct ig_cluster_channel *ig_channels_table(const ig_channels *channels) {
  return &channels->table;
}
