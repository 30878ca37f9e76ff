/* sources.c -- what is attached, by name; and a source's life. See source.h. */
#include "base/clock.h"
#include "base/limits.h"
#include "connector/internal.h"

struct ig_sources {
  atomic_uint refs;
  char **folders; /* owned */
  size_t folders_count;
  uint32_t connections_max;
  ig_pushdown_log *log;

  pthread_mutex_t mu;     /* a leaf lock */
  struct ig_map by_name;  /* guarded by mu; each value holds a reference */
  uint64_t attached;      /* guarded by mu: how many there were so far */
  ig_remote_run *offered; /* guarded by mu: a list, of no references */
};

/* At the end of a process: drivers that do not come back are not waited for longer. */
#define DRAIN_US INT64_C(5000000)

/* ---- a source ------------------------------------------------------------------------
 */

static void facts_unref(void *value) {
  ig_facts_unref(value);
}

static void source_unref(void *value) {
  ig_source_unref(value);
}

ig_source *ig_source_ref(ig_source *source) {
  atomic_fetch_add(&source->refs, 1);
  return source;
}

ig_source *ig_source_unref(ig_source *source) {
  if (!source || atomic_fetch_sub(&source->refs, 1) != 1) return NULL;
  if (source->pool) ig_links_close(source->pool);
  ig_links_unref(source->pool);
  ig_buf_done(&source->definition);
  ig_map_done(&source->tables);
  ig_listing_unref(source->listing);
  ig_pushdown_log_unref(source->log);
  ig_mutex_done(&source->mu);
  ig_free(source->name);
  ig_free(source->default_schema);
  ig_free(source);
  return NULL;
}

const char *ig_source_name(const ig_source *source) {
  return source->name;
}

const char *ig_source_type(const ig_source *source) {
  return source->type->name;
}

int64_t ig_source_version(const ig_source *source) {
  return source->version;
}

bool ig_source_is_read_only(const ig_source *source) {
  return source->read_only;
}

uint32_t ig_source_readers_max(const ig_source *source) {
  return ig_links_readers_max(source->pool);
}

enum ig_source_reach ig_source_reach(const ig_source *source) {
  if (source->type->any_option || !ig_source_has_snapshots(source)) return IG_REACH_HERE;
  return source->is_near ? IG_REACH_HOST : IG_REACH_ANYWHERE;
}

const char *ig_source_default_schema(const ig_source *source) {
  return source->default_schema;
}

void ig_source_stats_get(ig_source *source, struct ig_source_stats *ret_stats) {
  *ret_stats = (struct ig_source_stats){
      .statements = source->statements, .rows = source->rows, .bytes = source->bytes};
  ig_links_stats(source->pool, ret_stats);
}

static igloo_status run_nothing(ig_link *link, struct ig_call *call IG_UNUSED,
                                struct igloo_error *reterr) {
  return ig_link_run_text(link, "SELECT 1", reterr);
}

igloo_status ig_source_check(ig_source *source, ig_cancel *cancel,
                             struct igloo_error *reterr) {
  struct ig_call *call = ig_call_new(sizeof(*call), run_nothing, NULL);
  if (!call) return ig_fail_oom(reterr);
  struct ig_waits waits = {.cancel = cancel, .deadline_us = IG_NEVER_US};
  igloo_status status = ig_links_call(source->pool, call, &waits, reterr);
  ig_call_unref(call);
  return status;
}

/* ---- the list -------------------------------------------------------------------------
 */

static igloo_status copy_folders(ig_sources *sources,
                                 const struct ig_sources_settings *settings,
                                 struct igloo_error *reterr) {
  sources->folders =
      ig_calloc(settings->driver_paths_count + 1, sizeof(*sources->folders));
  if (!sources->folders) return ig_fail_oom(reterr);
  for (size_t i = 0; i < settings->driver_paths_count; i++) {
    sources->folders[i] = ig_strdup(settings->driver_paths[i]);
    if (!sources->folders[i]) return ig_fail_oom(reterr);
    sources->folders_count++;
  }
  return IGLOO_OK;
}

igloo_status ig_sources_new(const struct ig_sources_settings *settings,
                            ig_sources **ret_sources, struct igloo_error *reterr) {
  uint32_t connections = settings->max_connections;
  if (connections < 1 || connections > IG_CONNECTOR_CONNECTIONS_LIMIT)
    return ig_fail_range(reterr, NULL, "federation.max_connections", connections, 1,
                         IG_CONNECTOR_CONNECTIONS_LIMIT);
  IG_AUTO(ig_sources) *sources = ig_calloc(1, sizeof(*sources));
  if (!sources) return ig_fail_oom(reterr);
  atomic_init(&sources->refs, 1);
  ig_mutex_init(&sources->mu);
  ig_map_init(&sources->by_name, IG_ATTACHMENTS_MAX, source_unref);
  sources->connections_max = connections;
  sources->log = ig_pushdown_log_new();
  if (!sources->log) return ig_fail_oom(reterr);
  IG_TRY(copy_folders(sources, settings, reterr));
  *ret_sources = IG_TAKE(sources);
  return IGLOO_OK;
}

ig_sources *ig_sources_ref(ig_sources *sources) {
  atomic_fetch_add(&sources->refs, 1);
  return sources;
}

/* What is parked ends, so that no thread of ours is left when the process goes. */
static void end_all(ig_sources *sources) {
  int64_t until = ig_deadline_in(DRAIN_US);
  size_t at = 0;
  void *value = NULL;
  while (ig_map_next(&sources->by_name, &at, NULL, &value))
    ig_links_close(((ig_source *)value)->pool);
  at = 0;
  while (ig_map_next(&sources->by_name, &at, NULL, &value))
    ig_links_drain(((ig_source *)value)->pool, until);
}

ig_sources *ig_sources_unref(ig_sources *sources) {
  if (!sources || atomic_fetch_sub(&sources->refs, 1) != 1) return NULL;
  end_all(sources);
  ig_map_done(&sources->by_name);
  ig_pushdown_log_unref(sources->log);
  for (size_t i = 0; i < sources->folders_count; i++) ig_free(sources->folders[i]);
  ig_free(sources->folders);
  ig_mutex_done(&sources->mu);
  ig_free(sources);
  return NULL;
}

ig_pushdown_log *ig_sources_peek_log(ig_sources *sources) {
  return sources->log;
}

struct ig_sources_settings ig_sources_settings_of(const ig_sources *sources) {
  return (struct ig_sources_settings){
      .driver_paths = (const char *const *)sources->folders,
      .driver_paths_count = sources->folders_count,
      .max_connections = sources->connections_max};
}

void ig_sources_offer(ig_sources *sources, ig_remote_run *run,
                      const uint8_t id[IG_RUN_OFFER_BYTES]) {
  IG_LOCK_SCOPE(&sources->mu);
  if (!ig_run_begin_offer(run, id)) return;
  *ig_run_next_offered(run) = sources->offered;
  sources->offered = run;
}

void ig_sources_withdraw(ig_sources *sources, ig_remote_run *run) {
  IG_LOCK_SCOPE(&sources->mu);
  for (ig_remote_run **at = &sources->offered; *at; at = ig_run_next_offered(*at)) {
    if (*at != run) continue;
    *at = *ig_run_next_offered(run);
    return;
  }
}

ig_remote_run *ig_sources_find_offer(ig_sources *sources,
                                     const uint8_t id[IG_RUN_OFFER_BYTES]) {
  IG_LOCK_SCOPE(&sources->mu);
  for (ig_remote_run *run = sources->offered; run; run = *ig_run_next_offered(run))
    if (ig_run_is_offer(run, id)) return run;
  return NULL;
}

ig_source *ig_sources_find(ig_sources *sources, struct ig_str name) {
  IG_LOCK_SCOPE(&sources->mu);
  ig_source *source = ig_map_get(&sources->by_name, name);
  return source ? ig_source_ref(source) : NULL;
}

bool ig_sources_detach(ig_sources *sources, struct ig_str name) {
  ig_mutex_lock(&sources->mu);
  ig_source *source = ig_map_steal(&sources->by_name, name);
  ig_mutex_unlock(&sources->mu);
  if (!source) return false;
  ig_links_close(source->pool);
  ig_source_unref(source);
  return true;
}

/* ---- attaching ----------------------------------------------------------------------
 */

/* A driver of others may speak a language that is known. */
static igloo_status find_dialect(const ig_sources *sources,
                                 const struct ig_source_definition *definition,
                                 ig_source *source, struct igloo_error *reterr) {
  const char *name =
      source->type->any_option ? ig_source_own_option(definition, "dialect") : NULL;
  if (!name) name = source->type->name;
  return ig_dialect_find_in(ig_str_from_cstr(name), (const char *const *)sources->folders,
                            sources->folders_count, &source->dialect, reterr);
}

static igloo_status find_type(const ig_sources *sources,
                              const struct ig_source_definition *definition,
                              ig_source *source, struct igloo_error *reterr) {
  source->type = ig_source_type_find(definition->type);
  if (source->type) return find_dialect(sources, definition, source, reterr);
  ig_fail_state(reterr, IGLOO_NOT_FOUND, "58P01", "there is no source of type \"%s\"",
                definition->type);
  static const char *const names[] = {"postgresql", "sqlite", "adbc"};
  const char *nearest =
      ig_str_nearest(ig_str_from_cstr(definition->type), names, IG_ARRAY_LEN(names));
  ig_error_hint(reterr, "Types are postgresql, sqlite and adbc%s%s%s.",
                nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                nearest ? "\"" : "");
  return IGLOO_NOT_FOUND;
}

static igloo_status find_driver(const ig_sources *sources,
                                const struct ig_source_definition *definition,
                                ig_source *source, struct igloo_error *reterr) {
  const char *name = ig_source_own_option(definition, "driver");
  source->is_ours = !name && source->type->driver;
  if (!name) name = source->type->driver;
  if (!name) {
    ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "type %s needs the option \"driver\"",
            source->type->name);
    ig_error_hint(reterr, "It is the name of a driver in federation.driver_paths.");
    return IGLOO_INVALID_ARGUMENT;
  }
  return ig_driver_load(
      name, (const char *const *)sources->folders, sources->folders_count,
      ig_source_own_option(definition, "entrypoint"), &source->driver, reterr);
}

/* Options are looked at before a library is loaded for them. */
static igloo_status make_pool(ig_sources *sources,
                              const struct ig_source_definition *definition,
                              ig_source *source, struct igloo_error *reterr) {
  IG_AUTO_STRUCT(ig_target) *target = ig_calloc(1, sizeof(*target));
  if (!target) return ig_fail_oom(reterr);
  atomic_init(&target->refs, 1);
  target->read_only = definition->read_only;
  target->statements = source->dialect->session_init;
  target->source = ig_strdup(definition->name);
  if (!target->source) return ig_fail_oom(reterr);
  IG_TRY(ig_source_settings(source->type, definition, target, reterr));
  IG_TRY(find_driver(sources, definition, source, reterr));
  target->driver = source->driver;
  const char *uri = NULL;
  for (size_t i = 0; i < target->settings_count && !uri; i++)
    if (strcmp(target->settings[i].key, ADBC_OPTION_URI) == 0)
      uri = target->settings[i].value;
  source->is_near = ig_uri_is_near(uri ? uri : "");
  return ig_links_new(target, sources->connections_max, &source->pool, reterr);
}

static igloo_status make_source(ig_sources *sources,
                                const struct ig_source_definition *definition,
                                ig_source **ret_source, struct igloo_error *reterr) {
  IG_AUTO(ig_source) *source = ig_calloc(1, sizeof(*source));
  if (!source) return ig_fail_oom(reterr);
  atomic_init(&source->refs, 1);
  ig_mutex_init(&source->mu);
  ig_map_init(&source->tables, IG_CONNECTOR_TABLES_MAX, facts_unref);
  source->log = ig_pushdown_log_ref(sources->log);
  source->version = definition->version;
  source->read_only = definition->read_only;
  IG_TRY(find_type(sources, definition, source, reterr));
  const char *schema = ig_source_own_option(definition, "schema");
  source->any_schema = !schema && source->type->any_option;
  source->name = ig_strdup(definition->name);
  source->default_schema = ig_strdup(schema ? schema : source->type->default_schema);
  if (!source->name || !source->default_schema) return ig_fail_oom(reterr);
  IG_TRY(make_pool(sources, definition, source, reterr));
  source->definition = (struct ig_buf)IG_BUF_INIT_WIPED(IG_SOURCE_BYTES_MAX);
  IG_TRY(ig_definition_encode(definition, &source->definition, reterr));
  *ret_source = IG_TAKE(source);
  return IGLOO_OK;
}

igloo_status ig_sources_attach(ig_sources *sources,
                               const struct ig_source_definition *definition,
                               struct igloo_error *reterr) {
  ig_source *source = NULL;
  IG_TRY(make_source(sources, definition, &source, reterr));
  struct ig_str name = ig_str_from_cstr(definition->name);
  ig_mutex_lock(&sources->mu);
  source->order = ++sources->attached;
  ig_source *old = ig_map_steal(&sources->by_name, name);
  igloo_status status = ig_map_put(&sources->by_name, name, source, reterr);
  /* The old one stays where there is no memory for the new one: its place is free. */
  if (status != IGLOO_OK && old &&
      ig_map_put(&sources->by_name, name, ig_source_ref(old), NULL) != IGLOO_OK)
    status = ig_fail_oom(reterr);
  ig_mutex_unlock(&sources->mu);
  if (old && status == IGLOO_OK) ig_links_close(old->pool);
  ig_source_unref(old);
  return status;
}
