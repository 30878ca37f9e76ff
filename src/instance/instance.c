/* instance.c -- see instance.h. */
#include "instance/instance.h"

#include "arrow/stream.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "config/machine.h"
#include "engine/query.h"
#include "files/tmpdir.h"
#include "instance/cluster_tables.h"
#include "instance/driver_paths.h"
#include "instance/gauges.h"
#include "instance/heartbeat.h"
#include "instance/source_tables.h"
#include "instance/system_tables.h"

/* In the data folder, where secrets.key_file does not say another place. */
#define KEY_FILE "secrets.key"

struct ig_instance {
  int32_t refs;
  struct ig_config *config;
  ig_roots *roots;
  ig_tmpdir *spill;
  ig_catalog *catalog;
  ig_engine *engine;
  ig_cluster *cluster; /* NULL: it is alone */
  struct ig_cluster_tables cluster_tables;
  ig_users *users;
  ig_tokens *tokens;
  ig_logins *logins;
  ig_system_tables *system;
  ig_registry *registry;
  ig_sources *sources;
  ig_secrets *secrets;
  ig_attached *attached;
  struct ig_driver_paths driver_paths;
  ig_admission *admission;
  ig_heartbeat *heartbeat; /* NULL: nobody watches */
  ig_plan_context *beats;  /* what it plans with */
  pthread_mutex_t mu;      /* a leaf lock */
  uint64_t sessions_open;  /* guarded by mu, <= limits.sessions */
  int64_t sessions_made;   /* guarded by mu: numbers sessions */
};

/* ---- opening ----------------------------------------------------------------------- */

static igloo_status open_roots(ig_instance *instance, struct igloo_error *reterr) {
  const struct ig_config *config = instance->config;
  if (!ig_config_is_set(config, "files.roots"))
    return ig_roots_new_everything(&instance->roots, reterr);
  igloo_status status =
      ig_roots_new(ig_str_from_cstr(config->files_roots), &instance->roots, reterr);
  if (status != IGLOO_OK) ig_error_prefix(reterr, "files.roots");
  return status;
}

/* Spilled data of killed processes goes first: it may be what fills the disk. Where a
 * temporary catalog will lie beside it, that sweeps: once is enough. */
static igloo_status open_spill(ig_instance *instance, struct igloo_error *reterr) {
  const char *folder = instance->config->engine_spill_dir;
  if (folder[0] || instance->config->server_data_dir[0]) ig_tmpdir_sweep(folder, NULL);
  IG_TRY(ig_tmpdir_new(folder, &instance->spill, reterr));
  return ig_roots_add_private(instance->roots, ig_tmpdir_path(instance->spill), reterr);
}

static igloo_status open_catalog(ig_instance *instance, struct igloo_error *reterr) {
  const char *folder = instance->config->server_data_dir;
  IG_TRY(ig_catalog_open(folder[0] ? folder : NULL, &instance->catalog, reterr));
  /* Its files are the engine's to read, never a statement's to name. */
  return ig_roots_add_private(instance->roots, ig_catalog_folder(instance->catalog),
                              reterr);
}

static igloo_status open_engine(ig_instance *instance, struct igloo_error *reterr) {
  const struct ig_config *config = instance->config;
  struct ig_engine_config from = {
      .memory_bytes = config->engine_memory_limit,
      .spill_dir = ig_tmpdir_path(instance->spill),
      .spill_bytes = config->engine_spill_limit,
      .threads = (uint32_t)config->engine_threads,
      .batch_rows = (uint32_t)config->engine_batch_rows,
      .running = (uint32_t)config->limits_running,
      .queued = (uint32_t)config->limits_queued,
      .plan_nodes = (uint32_t)config->limits_plan_nodes,
      .sql_nesting = (uint32_t)config->limits_sql_nesting,
  };
  return ig_engine_new(&from, instance->roots, &instance->engine, reterr);
}

/* A coordinator is one by its token; a worker that has none is refused. */
static igloo_status open_cluster(ig_instance *instance, enum ig_instance_role role,
                                 struct igloo_error *reterr) {
  const struct ig_config *config = instance->config;
  bool is_worker = role == IG_INSTANCE_WORKER;
  if (role == IG_INSTANCE_ALONE || (!is_worker && !config->cluster_join_token[0]))
    return IGLOO_OK;
  struct ig_cluster_options options = {
      .role = is_worker ? IG_MEMBER_WORKER : IG_MEMBER_COORDINATOR,
      .token = ig_str_from_cstr(config->cluster_join_token),
      .heartbeat_us = config->cluster_heartbeat,
      .coordinator = config->cluster_coordinator,
      .data_dir = config->server_data_dir,
      .threads = (uint32_t)config->engine_threads,
      .processors = ig_machine_processors(),
      .memory_bytes = config->engine_memory_limit,
      .local_bytes = config->cluster_local_bytes,
      .host_members = (uint32_t)config->cluster_host_members,
      .sources = instance->sources,
      .tls_cert = config->tls_cert,
      .tls_key = config->tls_key,
      .tls_ca = config->tls_client_ca};
  IG_TRY(ig_cluster_new(&options, &instance->cluster, reterr));
  instance->cluster_tables.cluster = instance->cluster;
  return ig_cluster_serve(instance->cluster, instance->engine, reterr);
}

static igloo_status open_auth(ig_instance *instance, struct igloo_error *reterr) {
  ig_store *store = ig_catalog_store(instance->catalog);
  IG_TRY(ig_users_open(store, &instance->users, reterr));
  IG_TRY(ig_tokens_open(store, instance->users, &instance->tokens, reterr));
  return ig_logins_new(instance->users, instance->tokens, &instance->logins, reterr);
}

static igloo_status open_secrets(ig_instance *instance, struct igloo_error *reterr) {
  const char *configured = instance->config->secrets_key_file;
  IG_AUTO_CHAR *beside =
      ig_asprintf("%s/" KEY_FILE, ig_catalog_folder(instance->catalog));
  if (!beside) return ig_fail_oom(reterr);
  return ig_secrets_open(ig_catalog_store(instance->catalog),
                         configured[0] ? configured : beside, &instance->secrets, reterr);
}

/* Drivers are loaded, files looked at; nothing is connected to. */
static igloo_status open_sources(ig_instance *instance, struct igloo_error *reterr) {
  const struct ig_config *config = instance->config;
  IG_TRY(open_secrets(instance, reterr));
  IG_TRY(ig_driver_paths_find(config->federation_driver_paths, &instance->driver_paths,
                              reterr));
  struct ig_sources_settings settings = {
      .driver_paths = (const char *const *)instance->driver_paths.folders,
      .driver_paths_count = instance->driver_paths.count,
      .max_connections = (uint32_t)config->federation_max_connections};
  IG_TRY(ig_sources_new(&settings, &instance->sources, reterr));
  struct ig_attached_parts parts = {.catalog = instance->catalog,
                                    .secrets = instance->secrets,
                                    .sources = instance->sources,
                                    .settings = settings,
                                    .roots = instance->roots,
                                    .config = config};
  return ig_attached_new(&parts, &instance->attached, reterr);
}

static igloo_status open_system(ig_instance *instance, struct igloo_error *reterr) {
  ig_system_tables *system;
  size_t count;
  IG_TRY(ig_registry_new(instance->config->limits_session_idle, &instance->registry,
                         reterr));
  IG_TRY(ig_system_tables_new(instance->sources, &instance->system, reterr));
  system = instance->system;
  const struct ig_system_table *tables = ig_instance_tables(&count);
  IG_TRY(ig_system_tables_add(system, tables, count, instance->config, reterr));
  tables = ig_instance_source_tables(&count);
  IG_TRY(ig_system_tables_add(system, tables, count, instance->attached, reterr));
  tables = ig_instance_driver_tables(&count);
  IG_TRY(ig_system_tables_add(system, tables, count, &instance->driver_paths, reterr));
  tables = ig_instance_user_tables(&count);
  IG_TRY(ig_system_tables_add(system, tables, count, instance->users, reterr));
  instance->cluster_tables.config = instance->config;
  tables = ig_instance_cluster_tables(&count);
  IG_TRY(ig_system_tables_add(system, tables, count, &instance->cluster_tables, reterr));
  tables = ig_registry_tables(&count);
  return ig_system_tables_add(system, tables, count, instance->registry, reterr);
}

static igloo_status open_admission(ig_instance *instance, struct igloo_error *reterr) {
  const struct ig_config *config = instance->config;
  struct ig_admission_limits limits = {.running = (uint32_t)config->limits_running,
                                       .queued = (uint32_t)config->limits_queued,
                                       .queue_wait_us = config->limits_queue_wait};
  return ig_admission_new(&limits, &instance->admission, reterr);
}

static igloo_status open_state(ig_instance *instance, struct igloo_error *reterr) {
  IG_TRY(open_catalog(instance, reterr));
  IG_TRY(open_auth(instance, reterr));
  IG_TRY(open_sources(instance, reterr));
  IG_TRY(open_system(instance, reterr));
  return open_admission(instance, reterr);
}

struct engine_start {
  ig_instance *instance;
  igloo_status status;
  struct igloo_error error;
};

static void *start_engine(void *ctx) {
  struct engine_start *start = ctx;
  start->status = open_engine(start->instance, &start->error);
  return NULL;
}

/* Side by side: they take as long as each other, and together most of the time that a
 * small query takes. The engine keeps the roots and reads the configuration, no more. */
static igloo_status open_engine_and_state(ig_instance *instance,
                                          struct igloo_error *reterr) {
  struct engine_start start = {.instance = instance};
  pthread_t thread;
  IG_TRY(ig_thread_start("igloo-start", 0, start_engine, &start, &thread, reterr));
  igloo_status status = open_state(instance, reterr);
  (void)ig_thread_join(thread);
  IG_TRY(status);
  if (start.status != IGLOO_OK && reterr) *reterr = start.error;
  return start.status;
}

static void start_log(const struct ig_config *config) {
  enum ig_log_level level = IG_LOG_WARN;
  (void)ig_log_level_parse(ig_str_from_cstr(config->log_level),
                           &level); /* checked before */
  ig_log_set_level(level);
  ig_log_set_format(strcmp(config->log_format, "json") == 0 ? IG_LOG_JSON : IG_LOG_TEXT);
}

igloo_status ig_instance_open(struct ig_config *config, ig_instance **ret_instance,
                              struct igloo_error *reterr) {
  return ig_instance_open_as(IG_INSTANCE_ALONE, config, ret_instance, reterr);
}

igloo_status ig_instance_open_as(enum ig_instance_role role, struct ig_config *config,
                                 ig_instance **ret_instance, struct igloo_error *reterr) {
  ig_instance *made = ig_calloc(1, sizeof(*made));
  if (!made) {
    (void)ig_config_free(config);
    return ig_fail_oom(reterr);
  }
  made->refs = 1;
  made->config = config;
  ig_mutex_init(&made->mu);
  IG_AUTO(ig_instance) *instance = made;
  start_log(config);
  IG_TRY(open_roots(instance, reterr));
  IG_TRY(open_spill(instance, reterr));
  IG_TRY(open_engine_and_state(instance, reterr));
  IG_TRY(open_cluster(instance, role, reterr));
  *ret_instance = IG_TAKE(instance);
  return IGLOO_OK;
}

ig_instance *ig_instance_unref(ig_instance *instance) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!instance || __atomic_sub_fetch(&instance->refs, 1, __ATOMIC_ACQ_REL) > 0)
    return NULL;
  (void)ig_heartbeat_free(instance->heartbeat);
  if (instance->cluster) ig_cluster_stop(instance->cluster);
  (void)ig_plan_context_unref(instance->beats);
  /* A plan that cannot be stopped must not keep its process from ending: the data folder
   * is given back, and what that thread still reads is left where it is. */
  bool ended = !instance->engine || ig_engine_close(instance->engine);
  if (ended) {
    (void)ig_engine_unref(instance->engine);
    (void)ig_cluster_free(instance->cluster);
    (void)ig_system_tables_unref(instance->system);
  }
  (void)ig_logins_free(instance->logins);
  (void)ig_tokens_free(instance->tokens);
  if (ended) { /* system tables read them */
    (void)ig_registry_free(instance->registry);
    (void)ig_users_free(instance->users);
    (void)ig_attached_free(instance->attached);
    (void)ig_sources_unref(instance->sources);
    (void)ig_secrets_free(instance->secrets);
    ig_driver_paths_done(&instance->driver_paths);
  }
  (void)ig_catalog_close(instance->catalog);
  (void)ig_tmpdir_free(instance->spill);
  if (!ended) return NULL;
  (void)ig_admission_free(instance->admission);
  (void)ig_roots_free(instance->roots);
  (void)ig_config_free(instance->config);
  ig_mutex_done(&instance->mu);
  ig_free(instance);
  return NULL;
}

/* ---- sessions -------------------------------------------------------------------- */

static void session_ended(void *ctx) {
  ig_instance *instance = ctx;
  ig_mutex_lock(&instance->mu);
  instance->sessions_open--;
  ig_mutex_unlock(&instance->mu);
  (void)ig_instance_unref(instance);
}

static igloo_status count_session(ig_instance *instance, int64_t *ret_id,
                                  struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&instance->mu);
  if (instance->sessions_open >= instance->config->limits_sessions) {
    (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53300",
                        "too many sessions: limits.sessions is %llu",
                        (unsigned long long)instance->config->limits_sessions);
    ig_error_hint(reterr, "Close sessions, or raise limits.sessions.");
    return IGLOO_RESOURCE_EXHAUSTED;
  }
  instance->sessions_open++;
  *ret_id = ++instance->sessions_made;
  return IGLOO_OK;
}

igloo_status ig_instance_connect(ig_instance *instance, const struct ig_session_who *who,
                                 ig_session **ret_session, struct igloo_error *reterr) {
  int64_t id;
  IG_TRY(count_session(instance, &id, reterr));
  (void)__atomic_add_fetch(&instance->refs, 1, __ATOMIC_RELAXED);
  struct ig_session_parts parts = {
      .engine = instance->engine,
      .catalog = instance->catalog,
      .roots = instance->roots,
      .system = instance->system,
      .admission = instance->admission,
      .config = instance->config,
      .users = instance->users,
      .registry = instance->registry,
      .attached = instance->attached,
      .cluster = instance->cluster,
      .id = id,
      .on_end = session_ended,
      .ctx = instance,
  };
  igloo_status status = ig_session_new(&parts, who, ret_session, reterr);
  if (status != IGLOO_OK) session_ended(instance);
  return status;
}

/* ---- watching ---------------------------------------------------------------------- */

#define BEAT_EVERY_US (1 * IG_US_PER_S)

/* Planning threads, runtimes and channels all take part; places of limits.running do not:
 * a busy engine is not stuck. */
static igloo_status beat(void *ctx, ig_cancel *cancel, struct igloo_error *reterr) {
  ig_instance *instance = ctx;
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(instance->catalog);
  IG_AUTO(ig_session_tables) *own = NULL;
  IG_AUTO(ig_resolver) *resolver = NULL;
  IG_AUTO(ig_plan) *plan = NULL;
  IG_AUTO(ig_query) *query = NULL;
  IG_TRY(ig_session_tables_new(&own, reterr));
  struct ig_resolver_parts parts = {.snapshot = snapshot,
                                    .roots = instance->roots,
                                    .system = instance->system,
                                    .own = own};
  IG_TRY(ig_resolver_new(&parts, &resolver, reterr));
  IG_TRY(
      ig_plan_sql(instance->beats, IG_STR("SELECT 1"), resolver, cancel, &plan, reterr));
  IG_TRY(ig_query_start(plan, cancel, &query, reterr));
  IG_AUTO_STREAM rows = {0};
  IG_TRY(ig_query_stream(query, &rows, reterr));
  for (;;) {
    IG_AUTO_ARRAY batch = {0};
    IG_TRY(ig_stream_next(&rows, &batch, reterr));
    if (!batch.release) return IGLOO_OK;
  }
}

igloo_status ig_instance_watch(ig_instance *instance, struct igloo_error *reterr) {
  struct ig_plan_settings settings = {
      .time_zone = "UTC", .user = "", .catalog = IG_CATALOG_NAME, .schema = ""};
  struct ig_heartbeat_config config = {beat, instance, BEAT_EVERY_US,
                                       IG_HEARTBEAT_STUCK_US};
  IG_ASSERT(!instance->heartbeat);
  IG_TRY(ig_plan_context_new(instance->engine, &settings, &instance->beats, reterr));
  return ig_heartbeat_new(&config, &instance->heartbeat, reterr);
}

bool ig_instance_is_stuck(const ig_instance *instance) {
  return instance->heartbeat && ig_heartbeat_is_stuck(instance->heartbeat);
}

void ig_instance_collect(ig_instance *instance) {
  struct ig_instance_numbers numbers = {.stuck = ig_instance_is_stuck(instance)};
  ig_registry_counts(instance->registry, &numbers.sessions, &numbers.statements);
  ig_admission_counts(instance->admission, &numbers.running, &numbers.queued);
  ig_engine_stats_get(instance->engine, &numbers.engine);
  struct ig_attached_numbers sources;
  ig_attached_count(instance->attached, &sources);
  numbers.sources = sources.sources;
  numbers.sources_broken = sources.broken;
  numbers.source = sources.stats;
  ig_instance_show_numbers(&numbers);
  if (instance->cluster) ig_cluster_collect(instance->cluster);
}

/* ---- parts ------------------------------------------------------------------------- */

const struct ig_config *ig_instance_config(const ig_instance *instance) {
  return instance->config;
}

ig_users *ig_instance_users(ig_instance *instance) {
  return instance->users;
}

ig_tokens *ig_instance_tokens(ig_instance *instance) {
  return instance->tokens;
}

ig_logins *ig_instance_logins(ig_instance *instance) {
  return instance->logins;
}

ig_registry *ig_instance_registry(ig_instance *instance) {
  return instance->registry;
}

ig_cluster *ig_instance_cluster(ig_instance *instance) {
  return instance->cluster;
}
