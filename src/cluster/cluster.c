/* cluster.c -- see cluster.h. */
#include "cluster/cluster.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "cluster/certificate.h"
#include "cluster/channel.h"
#include "cluster/coordinator.h"
#include "cluster/join.h"
#include "cluster/lease.h"
#include "cluster/node.h"
#include "cluster/service.h"
#include "rpc/inbox.h"

struct ig_cluster {
  enum ig_member_role role;
  int64_t heartbeat_us;
  char *coordinator; /* of a worker */
  char node[IG_MEMBER_ID_BYTES], host[IG_NODE_HOST_BYTES];
  char *build;
  uint32_t threads, processors, host_members;
  uint64_t memory_bytes, local_bytes;
  ig_tls *tls; /* NULL: plaintext */
  ig_prover *prover;
  ig_members *members;
  ig_engine *engine;          /* borrowed; NULL before serve */
  ig_channels *channels;      /* to other members */
  ig_worker_service *service; /* for them; NULL once stopped */
  ig_sources *sources;        /* borrowed; NULL: none */
  ig_leases *leases;          /* of a coordinator with sources; NULL once stopped */
  struct ig_rpc_method *methods;
  size_t methods_count, methods_cap;
  struct ig_member_figures figures; /* atomic fields */
  ig_task_log *tasks;

  ig_joiner *joiner; /* of a worker, from start to stop */
  pthread_t watcher; /* of a coordinator */
  bool has_watcher;
  pthread_mutex_t mu; /* a leaf lock */
  pthread_cond_t changed;
  bool is_ending;   /* guarded by mu */
  int64_t quiet_us; /* the draining thread's: since when there is no task; 0: there is */
};

/* Tasks of statements that were being planned when the coordinator heard that this worker
 * drains still come, and still run. */
#define QUIET_US (200 * IG_US_PER_MS)

/* ---- life -------------------------------------------------------------------------- */

static bool is_text(const char *text) {
  return text && text[0];
}

static igloo_status make_tls(ig_cluster *cluster,
                             const struct ig_cluster_options *options,
                             struct igloo_error *reterr) {
  struct ig_tls_client_options files = {.ca_file = options->tls_ca,
                                        .cert_file = options->tls_cert,
                                        .key_file = options->tls_key};
  if (!is_text(options->tls_cert)) return IGLOO_OK;
  if (!is_text(options->tls_ca)) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                  "a cluster with TLS needs tls.client_ca");
    ig_error_hint(reterr,
                  "Set it to the authority that signed the members' certificates; "
                  "`igloo cert dev DIR` makes one.");
    return IGLOO_INVALID_ARGUMENT;
  }
  IG_TRY(ig_tls_new_client(&files, &cluster->tls, reterr));
  return ig_certificate_check_role(options->tls_cert, cluster->role, reterr);
}

/* This process but for its id, and where it is. */
static struct ig_member_info describe(const ig_cluster *cluster) {
  return (struct ig_member_info){.node = ig_str_from_cstr(cluster->node),
                                 .host = ig_str_from_cstr(cluster->host),
                                 .build = ig_str_from_cstr(cluster->build),
                                 .plan_version = IG_CLUSTER_PLAN_VERSION,
                                 .threads = cluster->threads,
                                 .processors = cluster->processors,
                                 .memory_bytes = cluster->memory_bytes};
}

static igloo_status make_members(ig_cluster *cluster, struct igloo_error *reterr) {
  char id[IG_MEMBER_ID_BYTES];
  ig_node_id(cluster->node, id);
  struct ig_members_options options = {.role = cluster->role,
                                       .heartbeat_us = cluster->heartbeat_us,
                                       .self = describe(cluster)};
  options.self.id = ig_str_from_cstr(id);
  return ig_members_new(&options, &cluster->members, reterr);
}

/* Calls of whoever is gone are not looked at any more. */
static void forget_caller(void *ctx, const char *id,
                          const struct igloo_error *why IG_UNUSED) {
  ig_prover_forget(((ig_cluster *)ctx)->prover, id);
}

igloo_status ig_cluster_new(const struct ig_cluster_options *options,
                            ig_cluster **ret_cluster, struct igloo_error *reterr) {
  IG_AUTO(ig_cluster) *cluster = ig_calloc(1, sizeof(*cluster));
  if (!cluster) return ig_fail_oom(reterr);
  ig_mutex_init(&cluster->mu);
  ig_cond_init(&cluster->changed);
  cluster->role = options->role;
  cluster->heartbeat_us = options->heartbeat_us;
  cluster->threads = options->threads;
  cluster->processors = options->processors;
  cluster->memory_bytes = options->memory_bytes;
  cluster->local_bytes = options->local_bytes;
  cluster->host_members = options->host_members;
  cluster->sources = options->sources;
  cluster->build = ig_strdup(options->build ? options->build : ig_cluster_build());
  cluster->coordinator = ig_strdup(options->coordinator ? options->coordinator : "");
  if (!cluster->build || !cluster->coordinator) return ig_fail_oom(reterr);
  IG_TRY(ig_prover_new(options->token, &cluster->prover, reterr));
  IG_TRY(make_tls(cluster, options, reterr));
  IG_TRY(ig_node_name(options->role, options->data_dir, cluster->node, reterr));
  ig_node_host(cluster->host);
  IG_TRY(make_members(cluster, reterr));
  IG_TRY(ig_task_log_new(&cluster->tasks, reterr));
  struct ig_member_listener listener = {.lost = forget_caller, .ctx = cluster};
  ig_members_listen(cluster->members, &listener);
  *ret_cluster = IG_TAKE(cluster);
  return IGLOO_OK;
}

ig_cluster *ig_cluster_free(ig_cluster *cluster) {
  if (!cluster) return NULL;
  ig_cluster_stop(cluster);
  (void)ig_channels_free(cluster->channels);
  (void)ig_task_log_free(cluster->tasks);
  (void)ig_members_free(cluster->members);
  (void)ig_prover_free(cluster->prover);
  (void)ig_tls_unref(cluster->tls);
  ig_free(cluster->methods);
  ig_free(cluster->coordinator);
  ig_free(cluster->build);
  ig_cond_done(&cluster->changed);
  ig_mutex_done(&cluster->mu);
  ig_free(cluster);
  return NULL;
}

/* ---- serving ----------------------------------------------------------------------- */

static igloo_status add_methods(ig_cluster *cluster, const struct ig_rpc_method *methods,
                                size_t count, struct igloo_error *reterr) {
  size_t before = cluster->methods_count;
  IG_TRY(IG_RESERVE(cluster->methods, cluster->methods_cap, before + count,
                    IG_RPC_METHODS_MAX, "methods", reterr));
  memcpy(cluster->methods + before, methods, count * sizeof *methods);
  cluster->methods_count += count;
  return IGLOO_OK;
}

igloo_status ig_cluster_serve(ig_cluster *cluster, ig_engine *engine,
                              struct igloo_error *reterr) {
  const struct ig_rpc_method *methods;
  size_t count;
  IG_ASSERT(!cluster->engine && cluster->methods_count == 0);
  if (cluster->role == IG_MEMBER_COORDINATOR) {
    struct ig_rpc_method own[IG_COORDINATOR_METHODS];
    ig_coordinator_methods(cluster, own);
    IG_TRY(add_methods(cluster, own, IG_COORDINATOR_METHODS, reterr));
  }
  if (cluster->role == IG_MEMBER_COORDINATOR && cluster->sources) {
    IG_TRY(ig_leases_new(cluster, cluster->sources, &cluster->leases, reterr));
    struct ig_rpc_method lease = ig_leases_method(cluster->leases);
    IG_TRY(add_methods(cluster, &lease, 1, reterr));
  }
  IG_TRY(ig_worker_service_new(cluster, engine, &cluster->service, reterr));
  methods = ig_worker_service_methods(cluster->service, &count);
  IG_TRY(add_methods(cluster, methods, count, reterr));
  IG_TRY(ig_channels_new(cluster, &cluster->channels, reterr));
  struct ig_cluster_channel table = *ig_channels_table(cluster->channels);
  table.local_bytes = cluster->local_bytes;
  table.host_members = cluster->host_members;
  ig_engine_set_cluster(engine, &table);
  cluster->engine = engine;
  return IGLOO_OK;
}

const struct ig_rpc_method *ig_cluster_methods(const ig_cluster *cluster,
                                               size_t *ret_count) {
  *ret_count = cluster->methods_count;
  return cluster->methods;
}

/* Look who is late, for as long as the coordinator lives. */
static void *watch(void *ctx) {
  ig_cluster *cluster = ctx;
  for (;;) {
    int64_t now_us = ig_now_us();
    int64_t next_us = ig_members_tick(cluster->members, now_us);
    (void)ig_rpc_blocks_tidy(now_us);
    /* Those who join in the meantime are not late before the next look. */
    int64_t soon_us = now_us + cluster->heartbeat_us;
    if (next_us > soon_us) next_us = soon_us;
    ig_mutex_lock(&cluster->mu);
    while (!cluster->is_ending && ig_now_us() < next_us)
      (void)ig_cond_wait_until(&cluster->changed, &cluster->mu, next_us);
    bool is_ending = cluster->is_ending;
    ig_mutex_unlock(&cluster->mu);
    if (is_ending) return NULL;
  }
}

static void read_figures(void *ctx, struct ig_member_figures *ret_figures) {
  ig_cluster *cluster = ctx;
  struct ig_member_figures *own = &cluster->figures;
  struct ig_engine_stats stats = {0};
  if (cluster->engine) ig_engine_stats_get(cluster->engine, &stats);
  *ret_figures = (struct ig_member_figures){
      .tasks_now = __atomic_load_n(&own->tasks_now, __ATOMIC_RELAXED),
      .tasks = __atomic_load_n(&own->tasks, __ATOMIC_RELAXED),
      .tasks_failed = __atomic_load_n(&own->tasks_failed, __ATOMIC_RELAXED),
      .rows_out = __atomic_load_n(&own->rows_out, __ATOMIC_RELAXED),
      .bytes_out = __atomic_load_n(&own->bytes_out, __ATOMIC_RELAXED),
      .bytes_in = __atomic_load_n(&own->bytes_in, __ATOMIC_RELAXED),
      .memory_used_bytes_now = stats.pool_used_bytes};
}

static igloo_status start_joining(ig_cluster *cluster, struct ig_str address,
                                  struct ig_str unix_path, struct igloo_error *reterr) {
  struct ig_joiner_options options = {.coordinator = cluster->coordinator,
                                      .tls = cluster->tls,
                                      .heartbeat_us = cluster->heartbeat_us,
                                      .self = describe(cluster),
                                      .figures = read_figures,
                                      .ctx = cluster};
  options.self.address = address;
  options.self.unix_path = unix_path;
  return ig_joiner_new(&options, cluster->members, cluster->prover, &cluster->joiner,
                       reterr);
}

igloo_status ig_cluster_start(ig_cluster *cluster, const char *address,
                              const char *unix_path, struct igloo_error *reterr) {
  struct ig_str at = ig_str_from_cstr(address), socket = ig_str_from_cstr(unix_path);
  IG_TRY(ig_members_set_self(cluster->members, at, socket, reterr));
  if (cluster->role == IG_MEMBER_WORKER)
    return start_joining(cluster, at, socket, reterr);
  IG_TRY(ig_thread_start("ig-members", 0, watch, cluster, &cluster->watcher, reterr));
  cluster->has_watcher = true;
  return IGLOO_OK;
}

void ig_cluster_stop(ig_cluster *cluster) {
  cluster->joiner = ig_joiner_free(cluster->joiner);
  cluster->service = ig_worker_service_free(cluster->service);
  if (cluster->has_watcher) {
    ig_mutex_lock(&cluster->mu);
    cluster->is_ending = true;
    ig_cond_broadcast(&cluster->changed);
    ig_mutex_unlock(&cluster->mu);
    (void)ig_thread_join(cluster->watcher);
    cluster->has_watcher = false;
  }
  cluster->leases = ig_leases_free(cluster->leases);
}

/* ---- a worker's end ---------------------------------------------------------------- */

void ig_cluster_drain(ig_cluster *cluster) {
  ig_members_drain_self(cluster->members);
  if (cluster->joiner) ig_joiner_drain(cluster->joiner);
}

bool ig_cluster_shall_drain(ig_cluster *cluster) {
  return cluster->joiner && ig_joiner_shall_drain(cluster->joiner);
}

bool ig_cluster_is_drained(ig_cluster *cluster) {
  if (cluster->role == IG_MEMBER_COORDINATOR)
    return ig_task_log_running(cluster->tasks) == 0;
  bool is_quiet = !cluster->joiner || ig_joiner_drain_is_told(cluster->joiner);
  if (cluster->service && ig_worker_service_tasks_now(cluster->service) > 0)
    is_quiet = false;
  if (!is_quiet || !cluster->quiet_us) cluster->quiet_us = is_quiet ? ig_now_us() : 0;
  return is_quiet && ig_now_us() - cluster->quiet_us >= QUIET_US;
}

void ig_cluster_leave(ig_cluster *cluster, int64_t deadline_us) {
  if (cluster->role == IG_MEMBER_COORDINATOR) return;
  if (cluster->service) ig_worker_service_drain(cluster->service);
  if (cluster->joiner) ig_joiner_leave(cluster->joiner, deadline_us);
}

igloo_status ig_cluster_wait_joined(ig_cluster *cluster, int64_t deadline_us,
                                    struct igloo_error *reterr) {
  return ig_joiner_wait(cluster->joiner, deadline_us, reterr);
}

bool ig_cluster_is_refused(ig_cluster *cluster, struct igloo_error *reterr) {
  return cluster->joiner && ig_joiner_is_refused(cluster->joiner, reterr);
}

/* ---- proofs of calls --------------------------------------------------------------- */

igloo_status ig_cluster_check_certificate(const ig_rpc_call *call,
                                          enum ig_member_role role,
                                          struct igloo_error *reterr) {
  const struct ig_rpc_peer *peer = ig_rpc_call_peer(call);
  const char *name = ig_member_name(role);
  if (peer->transport != IG_RPC_TLS) return IGLOO_OK;
  for (size_t i = 0; i < peer->names_len; i++)
    if (strcmp(peer->names[i], name) == 0) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_UNAUTHENTICATED,
                "the caller shows no certificate of a member");
  ig_error_hint(reterr, "It must name %s, signed by an authority of tls.client_ca.",
                name);
  return IGLOO_UNAUTHENTICATED;
}

static bool find_proof(ig_rpc_call *call, struct ig_str *ret_proof) {
  const struct ig_rpc_metadata *metadata = ig_rpc_call_metadata(call);
  size_t found = 0;
  for (size_t i = 0; i < metadata->len; i++) {
    if (!ig_str_eq_cstr(metadata->items[i].name, IG_MEMBER_HEADER)) continue;
    *ret_proof = metadata->items[i].value;
    found++;
  }
  return found == 1;
}

igloo_status ig_cluster_authorize(ig_cluster *cluster, ig_rpc_call *call,
                                  struct ig_caller *ret_caller,
                                  struct igloo_error *reterr) {
  struct ig_str proof = {0};
  struct ig_caller caller = {0};
  char self[IG_MEMBER_ID_BYTES];
  if (!find_proof(call, &proof))
    return ig_fail(reterr, IGLOO_UNAUTHENTICATED,
                   "this method is for members of the cluster");
  ig_members_self_id(cluster->members, self);
  igloo_status status =
      ig_prover_check(cluster->prover, proof, self,
                      ig_str_from_cstr(ig_rpc_call_path(call)), &caller, reterr);
  /* The coordinator knows why it is gone, and what it should do about it. */
  if (status != IGLOO_OK && caller.id[0] && cluster->role == IG_MEMBER_COORDINATOR)
    status =
        ig_members_fail_stranger(cluster->members, ig_str_from_cstr(caller.id), reterr);
  if (status != IGLOO_OK) return status;
  IG_TRY(ig_cluster_check_certificate(call, caller.role, reterr));
  ig_rpc_call_set_member(call);
  *ret_caller = caller;
  return IGLOO_OK;
}

void ig_cluster_credentials(ig_cluster *cluster, const char *callee, const char *path,
                            struct ig_cluster_credentials *ret_credentials) {
  char self[IG_MEMBER_ID_BYTES];
  ig_members_self_id(cluster->members, self);
  size_t len = ig_prover_prove(cluster->prover, self, cluster->role, callee, path,
                               ret_credentials->bytes);
  ret_credentials->header =
      (struct ig_rpc_header){.name = IG_STR(IG_MEMBER_HEADER),
                             .value = {(const char *)ret_credentials->bytes, len}};
}

/* ---- parts ------------------------------------------------------------------------- */

ig_members *ig_cluster_members(ig_cluster *cluster) {
  return cluster->members;
}

ig_prover *ig_cluster_prover(ig_cluster *cluster) {
  return cluster->prover;
}

ig_engine *ig_cluster_engine(ig_cluster *cluster) {
  return cluster->engine;
}

ig_sources *ig_cluster_sources(ig_cluster *cluster) {
  return cluster->sources;
}

ig_tls *ig_cluster_tls(ig_cluster *cluster) {
  return cluster->tls;
}

enum ig_member_role ig_cluster_role(const ig_cluster *cluster) {
  return cluster->role;
}

struct ig_member_figures *ig_cluster_figures(ig_cluster *cluster) {
  return &cluster->figures;
}

ig_task_log *ig_cluster_tasks(ig_cluster *cluster) {
  return cluster->tasks;
}

void ig_cluster_reload(ig_cluster *cluster) {
  struct igloo_error error; /* told in the log by rpc/ */
  bool reloaded;
  if (cluster->tls) (void)!ig_tls_reload_if_changed(cluster->tls, &reloaded, &error);
}

igloo_status ig_cluster_view(ig_cluster *cluster, struct ig_member_view **ret_views,
                             size_t *ret_count, struct igloo_error *reterr) {
  IG_TRY(ig_members_view(cluster->members, ret_views, ret_count, reterr));
  for (size_t i = 0; i < *ret_count; i++) {
    struct ig_member_view *view = &(*ret_views)[i];
    if (view->is_self) read_figures(cluster, &view->figures);
  }
  return IGLOO_OK;
}

/* ---- metrics ----------------------------------------------------------------------- */

#define MEMBERS_HELP "Members of the cluster as this one sees them, by their state."
static struct ig_metric members_now[] = {
    [IG_MEMBER_JOINING] =
        IG_GAUGE("igloo_cluster_members", "state=\"joining\"", MEMBERS_HELP),
    [IG_MEMBER_ACTIVE] =
        IG_GAUGE("igloo_cluster_members", "state=\"active\"", MEMBERS_HELP),
    [IG_MEMBER_SUSPECT] =
        IG_GAUGE("igloo_cluster_members", "state=\"suspect\"", MEMBERS_HELP),
    [IG_MEMBER_DRAINING] =
        IG_GAUGE("igloo_cluster_members", "state=\"draining\"", MEMBERS_HELP),
};

enum { TASKS_NOW, TASKS, TASKS_FAILED, ROWS_OUT, BYTES_OUT, BYTES_IN };
static struct ig_metric counted[] = {
    [TASKS_NOW] = IG_GAUGE("igloo_cluster_tasks", NULL,
                           "Tasks of distributed statements that this member has."),
    [TASKS] = IG_COUNTER("igloo_cluster_tasks_total", NULL,
                         "Tasks of distributed statements that were sent here."),
    [TASKS_FAILED] = IG_COUNTER("igloo_cluster_tasks_failed_total", NULL,
                                "Tasks of distributed statements that failed here."),
    [ROWS_OUT] = IG_COUNTER("igloo_cluster_rows_sent_total", NULL,
                            "Rows that other members read here."),
    [BYTES_OUT] = IG_COUNTER("igloo_cluster_sent_bytes_total", NULL,
                             "Bytes of batches that other members read here."),
    [BYTES_IN] = IG_COUNTER("igloo_cluster_received_bytes_total", NULL,
                            "Bytes of batches that this member read from others."),
};

static void count_to(struct ig_metric *metric, uint64_t value) {
  ig_metric_add(metric, (int64_t)value - ig_metric_value(metric));
}

void ig_cluster_collect(ig_cluster *cluster) {
  IG_AUTO_STRUCT(ig_member_list) *list = ig_members_list(cluster->members);
  struct ig_member_figures figures;
  int64_t states[IG_MEMBER_DEAD + 1] = {0}; /* no list has dead ones */
  ig_metrics_register(members_now, IG_ARRAY_LEN(members_now));
  ig_metrics_register(counted, IG_ARRAY_LEN(counted));
  for (size_t i = 0; i < list->count; i++) states[list->members[i].state]++;
  for (size_t i = 0; i < IG_ARRAY_LEN(members_now); i++)
    ig_metric_set(&members_now[i], states[i]);
  read_figures(cluster, &figures);
  ig_metric_set(&counted[TASKS_NOW], (int64_t)figures.tasks_now);
  count_to(&counted[TASKS], figures.tasks);
  count_to(&counted[TASKS_FAILED], figures.tasks_failed);
  count_to(&counted[ROWS_OUT], figures.rows_out);
  count_to(&counted[BYTES_OUT], figures.bytes_out);
  count_to(&counted[BYTES_IN], figures.bytes_in);
}
