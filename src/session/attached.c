/* attached.c -- see attached.h. */
#include "session/attached.h"

#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/map.h"
#include "base/parse.h"
#include "base/sensitive.h"
#include "base/thread.h"

/* Attachments of the configuration: short texts. */
#define ARENA_BYTES (4 * IG_MIB)

struct ig_attached {
  struct ig_attached_parts parts;
  ig_arena *arena;                  /* texts of `configured` */
  struct ig_attachment *configured; /* in the arena */
  size_t configured_count;
  pthread_mutex_t changes; /* ig_attached_lock() */
  pthread_mutex_t mu;      /* a leaf lock */
  struct ig_map failures;  /* guarded by mu: catalog to struct igloo_error, owned */
};

/* ---- types ------------------------------------------------------------------------- */

/* All that SURFACE names; those that are not built are refused by name. */
static const struct type {
  const char *name;
  bool built;
  bool is_file; /* the URI is the path of one file */
} types[] = {
    {"postgresql", true, false}, {"sqlite", true, true},      {"adbc", true, false},
    {"mysql", false, false},     {"mongodb", false, false},   {"cassandra", false, false},
    {"bigquery", false, false},  {"snowflake", false, false}, {"flightsql", false, false},
    {"parquet", false, false},   {"csv", false, false},       {"json", false, false},
};

static igloo_status fail_type(const char *word, struct igloo_error *reterr) {
  const char *names[IG_ARRAY_LEN(types)];
  struct ig_str shown = ig_str_from_cstr(word);
  for (size_t i = 0; i < IG_ARRAY_LEN(types); i++) names[i] = types[i].name;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unknown type of a source: \"%.*s\"",
                IG_STR_ARG(ig_str_sub(shown, 0, ig_utf8_cut(shown, 64))));
  const char *near = ig_str_nearest(shown, names, IG_ARRAY_LEN(names));
  if (near)
    ig_error_hint(reterr, "Perhaps you meant \"%s\".", near);
  else
    ig_error_hint(reterr, "The types are postgresql, sqlite and adbc.");
  return IGLOO_INVALID_ARGUMENT;
}

static igloo_status find_type(const char *word, const struct type **ret_type,
                              struct igloo_error *reterr) {
  if (!word) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "the type of the source is missing");
    ig_error_hint(reterr, "Add (TYPE postgresql), sqlite or adbc.");
    return IGLOO_INVALID_ARGUMENT;
  }
  for (size_t i = 0; i < IG_ARRAY_LEN(types); i++) {
    if (!ig_str_eq_cstr_ci(ig_str_from_cstr(word), types[i].name)) continue;
    *ret_type = &types[i];
    if (types[i].built) return IGLOO_OK;
    (void)ig_fail(reterr, IGLOO_UNSUPPORTED, "feature not supported: ATTACH of TYPE %s",
                  types[i].name);
    ig_error_hint(reterr, "It comes with a later version of Igloo.");
    return IGLOO_UNSUPPORTED;
  }
  return fail_type(word, reterr);
}

igloo_status ig_attached_check_type(const char *word, struct igloo_error *reterr) {
  const struct type *type;
  return find_type(word, &type, reterr);
}

/* ---- what may be attached ---------------------------------------------------------- */

static igloo_status refuse_password(const char *where, struct igloo_error *reterr) {
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "%s holds a password", where);
  ig_error_detail(reterr, "It would be kept and shown in plain text.");
  ig_error_hint(reterr,
                "CREATE SECRET s (TYPE ..., user '...', password '...'), and attach with "
                "SECRET s.");
  return IGLOO_INVALID_ARGUMENT;
}

/* A database in one file: inside files.roots, regular, and there. */
static igloo_status check_file(const ig_roots *roots, struct ig_str uri, bool read_only,
                               char **ret_path, struct igloo_error *reterr) {
  IG_AUTO_CHAR *path = NULL;
  IG_AUTO_FD fd = -1;
  IG_TRY(ig_path_absolute(uri, &path, reterr));
  IG_TRY(ig_roots_check(roots, path, IG_ACCESS_READ, reterr));
  if (!read_only) {
    igloo_status status = ig_roots_check(roots, path, IG_ACCESS_WRITE, reterr);
    if (status != IGLOO_OK)
      ig_error_hint(reterr,
                    "Attach it READ_ONLY, or allow its folder in files.roots "
                    "with \":rw\".");
    IG_TRY(status);
  }
  IG_TRY(ig_roots_open(roots, path, IG_ACCESS_READ, &fd, NULL, reterr));
  *ret_path = IG_TAKE(path);
  return IGLOO_OK;
}

igloo_status ig_attached_validate(const ig_attached *attached,
                                  const struct ig_attachment *attachment,
                                  const char **ret_type, char **ret_uri,
                                  struct igloo_error *reterr) {
  const struct type *type;
  IG_TRY(find_type(attachment->type, &type, reterr));
  *ret_type = type->name;
  for (size_t i = 0; i < attachment->options_count; i++) {
    const char *key = attachment->options[i].key;
    if (ig_key_is_sensitive(ig_str_from_cstr(key)))
      return refuse_password("an option", reterr);
  }
  if (type->is_file)
    return check_file(attached->parts.roots, ig_str_from_cstr(attachment->uri),
                      attachment->read_only, ret_uri, reterr);
  if (ig_uri_has_password(ig_str_from_cstr(attachment->uri)))
    return refuse_password("the URI", reterr);
  *ret_uri = ig_strdup(attachment->uri);
  return *ret_uri ? IGLOO_OK : ig_fail_oom(reterr);
}

/* ---- secrets ----------------------------------------------------------------------- */

/* Open the attachment's secret; *ret_secret stays NULL where it has none. */
static igloo_status open_secret(ig_attached *attached,
                                const struct ig_attachment *attachment,
                                ig_secret **ret_secret, struct igloo_error *reterr) {
  IG_AUTO(ig_secret) *secret = NULL;
  IG_AUTO(ig_tx) *tx = NULL;
  if (!attachment->secret) return IGLOO_OK;
  IG_TRY(ig_tx_begin(ig_catalog_store(attached->parts.catalog), &tx, reterr));
  IG_TRY(ig_secrets_get(attached->parts.secrets, tx, ig_str_from_cstr(attachment->secret),
                        &secret, reterr));
  if (!ig_str_eq_cstr_ci(ig_str_from_cstr(secret->type), attachment->type))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "secret \"%s\" is of type %s, the source of type %s",
                   attachment->secret, secret->type, attachment->type);
  *ret_secret = IG_TAKE(secret);
  return IGLOO_OK;
}

/* ---- taking up --------------------------------------------------------------------- */

static igloo_status attach_to(ig_sources *sources, const struct ig_attachment *attachment,
                              const ig_secret *secret, struct igloo_error *reterr) {
  struct ig_source_option options[IG_SOURCE_OPTIONS_MAX];
  for (size_t i = 0; i < attachment->options_count; i++)
    options[i] = (struct ig_source_option){attachment->options[i].key,
                                           attachment->options[i].value};
  /* The pointers to a secret's items lie in locked memory and stay there. */
  static_assert(sizeof(struct ig_source_option) == sizeof(struct ig_secret_item), "same");
  struct ig_source_definition definition = {
      .name = attachment->name,
      .type = attachment->type,
      .uri = attachment->uri,
      .read_only = attachment->read_only,
      .options = options,
      .options_count = attachment->options_count,
      .secrets =
          secret ? (const struct ig_source_option *)(const void *)secret->items : NULL,
      .secrets_count = secret ? secret->count : 0,
      .version = attachment->version,
  };
  return ig_sources_attach(sources, &definition, reterr);
}

static void remember_failure(ig_attached *attached, const char *name,
                             const struct igloo_error *error) {
  struct ig_str key = ig_str_from_cstr(name);
  IG_LOCK_SCOPE(&attached->mu);
  (void)ig_map_remove(&attached->failures, key);
  struct igloo_error *copy = error ? ig_malloc(sizeof(*copy)) : NULL;
  if (!copy) return;
  *copy = *error;
  /* Without memory to remember it, it is only known that it is not there. */
  igloo_status status IG_UNUSED = ig_map_put(&attached->failures, key, copy, NULL);
}

static igloo_status take_up(ig_attached *attached, const struct ig_attachment *attachment,
                            struct igloo_error *reterr) {
  IG_AUTO_CHAR *uri = NULL;
  IG_AUTO(ig_secret) *secret = NULL;
  struct ig_attachment checked = *attachment;
  /* The roots, or the file, may be others than when it was attached. */
  IG_TRY(ig_attached_validate(attached, attachment, &checked.type, &uri, reterr));
  checked.uri = uri;
  IG_TRY(open_secret(attached, attachment, &secret, reterr));
  return attach_to(attached->parts.sources, &checked, secret, reterr);
}

igloo_status ig_attached_take_up(ig_attached *attached,
                                 const struct ig_attachment *attachment,
                                 struct igloo_error *reterr) {
  struct igloo_error error;
  igloo_status status = take_up(attached, attachment, &error);
  if (status == IGLOO_OK) {
    remember_failure(attached, attachment->name, NULL);
    return IGLOO_OK;
  }
  (void)ig_sources_detach(attached->parts.sources, ig_str_from_cstr(attachment->name));
  remember_failure(attached, attachment->name, &error);
  if (reterr) *reterr = error;
  return status;
}

void ig_attached_forget(ig_attached *attached, const char *name) {
  (void)ig_sources_detach(attached->parts.sources, ig_str_from_cstr(name));
  remember_failure(attached, name, NULL);
}

igloo_status ig_attached_check(ig_attached *attached,
                               const struct ig_attachment *attachment, ig_cancel *cancel,
                               struct igloo_error *reterr) {
  IG_AUTO(ig_sources) *apart = NULL;
  IG_AUTO(ig_source) *source = NULL;
  IG_AUTO(ig_secret) *secret = NULL;
  IG_TRY(open_secret(attached, attachment, &secret, reterr));
  IG_TRY(ig_sources_new(&attached->parts.settings, &apart, reterr));
  IG_TRY(attach_to(apart, attachment, secret, reterr));
  source = ig_sources_find(apart, ig_str_from_cstr(attachment->name));
  IG_ASSERT(source); /* nobody else has this list */
  return ig_source_check(source, cancel, reterr);
}

/* ---- the configuration ---------------------------------------------------------------
 */

static igloo_status read_flag(const struct ig_config_catalog_item *item, bool *ret_flag,
                              struct igloo_error *reterr) {
  if (ig_parse_bool(ig_str_from_cstr(item->value), ret_flag, NULL) == IGLOO_OK)
    return IGLOO_OK;
  return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "%s: \"%s\" is not a bool for %s",
                 item->origin, item->value, item->key);
}

/* The texts stay the configuration's. */
static igloo_status read_catalog(const struct ig_config_catalog *catalog, ig_arena *arena,
                                 struct ig_attachment *ret_attachment,
                                 struct igloo_error *reterr) {
  struct ig_pair *options =
      ig_arena_alloc_array(arena, catalog->items_count + 1, sizeof(*options));
  if (!options) return ig_arena_fail(arena, reterr);
  struct ig_attachment made = {.name = catalog->name, .options = options};
  for (size_t i = 0; i < catalog->items_count; i++) {
    const struct ig_config_catalog_item *item = &catalog->items[i];
    struct ig_str key = ig_str_from_cstr(item->key);
    if (ig_str_eq_cstr(key, "type"))
      made.type = item->value;
    else if (ig_str_eq_cstr(key, "uri"))
      made.uri = item->value;
    else if (ig_str_eq_cstr(key, "secret"))
      made.secret = item->value[0] ? item->value : NULL;
    else if (ig_str_eq_cstr(key, "read_only"))
      IG_TRY(read_flag(item, &made.read_only, reterr));
    else
      options[made.options_count++] = (struct ig_pair){item->key, item->value};
  }
  if (!made.type || !made.uri)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "key \"catalog.%s.%s\" is missing",
                   catalog->name, made.type ? "uri" : "type");
  *ret_attachment = made;
  return IGLOO_OK;
}

static igloo_status read_configuration(ig_attached *attached,
                                       struct igloo_error *reterr) {
  const struct ig_config *config = attached->parts.config;
  attached->configured = ig_arena_alloc_array(attached->arena, config->catalogs_count + 1,
                                              sizeof(*attached->configured));
  if (!attached->configured) return ig_arena_fail(attached->arena, reterr);
  for (size_t i = 0; i < config->catalogs_count; i++) {
    struct ig_attachment *attachment = &attached->configured[i];
    IG_TRY(ig_catalog_check_attachment_name(ig_str_from_cstr(config->catalogs[i].name),
                                            reterr));
    IG_TRY(read_catalog(&config->catalogs[i], attached->arena, attachment, reterr));
    attached->configured_count++;
  }
  return IGLOO_OK;
}

const struct ig_attachment *ig_attached_configured_at(const ig_attached *attached,
                                                      size_t index) {
  return index < attached->configured_count ? &attached->configured[index] : NULL;
}

const struct ig_attachment *ig_attached_configured(const ig_attached *attached,
                                                   struct ig_str name) {
  for (size_t i = 0; i < attached->configured_count; i++)
    if (ig_str_eq_cstr(name, attached->configured[i].name))
      return &attached->configured[i];
  return NULL;
}

bool ig_attached_has(const ig_attached *attached, const ig_snapshot *snapshot,
                     struct ig_str name) {
  return ig_snapshot_find_attachment(snapshot, name) ||
         ig_attached_configured(attached, name);
}

/* ---- the start -----------------------------------------------------------------------
 */

/* What went wrong with one catalog stops no other. */
static void start_one(ig_attached *attached, const struct ig_attachment *attachment) {
  struct igloo_error error;
  if (ig_attached_take_up(attached, attachment, &error) == IGLOO_OK) return;
  ig_log(IG_LOG_WARN, "catalog.unavailable", IG_LOG_STR("catalog", attachment->name),
         IG_LOG_STR("error", error.message), IG_LOG_STR("sqlstate", error.sqlstate));
}

/* A mistake in the configuration does stop the start; a file or key that is missing does
 * not. */
static igloo_status start_configured(ig_attached *attached, int64_t version,
                                     struct igloo_error *reterr) {
  for (size_t i = 0; i < attached->configured_count; i++) {
    struct igloo_error error;
    attached->configured[i].version = version;
    start_one(attached, &attached->configured[i]);
    if (!ig_attached_failure(attached, attached->configured[i].name, &error)) continue;
    if (error.status != IGLOO_INVALID_ARGUMENT && error.status != IGLOO_UNSUPPORTED)
      continue;
    if (reterr) *reterr = error;
    ig_error_prefix(reterr, "catalog.%s", attached->configured[i].name);
    return error.status;
  }
  return IGLOO_OK;
}

static igloo_status start(ig_attached *attached, struct igloo_error *reterr) {
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(attached->parts.catalog);
  IG_TRY(read_configuration(attached, reterr));
  for (size_t i = 0; i < ig_snapshot_attachments_count(snapshot); i++) {
    const struct ig_attachment *attachment = ig_snapshot_attachment(snapshot, i);
    /* The configuration is the newer word. */
    if (!ig_attached_configured(attached, ig_str_from_cstr(attachment->name)))
      start_one(attached, attachment);
  }
  return start_configured(attached, ig_snapshot_version(snapshot), reterr);
}

igloo_status ig_attached_new(const struct ig_attached_parts *parts,
                             ig_attached **ret_attached, struct igloo_error *reterr) {
  IG_AUTO(ig_attached) *attached = ig_calloc(1, sizeof(*attached));
  if (!attached) return ig_fail_oom(reterr);
  attached->parts = *parts;
  ig_mutex_init(&attached->changes);
  ig_mutex_init(&attached->mu);
  ig_map_init(&attached->failures, (size_t)2 * IG_ATTACHMENTS_MAX, ig_free);
  attached->arena = ig_arena_new(ARENA_BYTES);
  if (!attached->arena) return ig_fail_oom(reterr);
  IG_TRY(start(attached, reterr));
  *ret_attached = IG_TAKE(attached);
  return IGLOO_OK;
}

ig_attached *ig_attached_free(ig_attached *attached) {
  if (!attached) return NULL;
  ig_map_done(&attached->failures);
  ig_mutex_done(&attached->mu);
  ig_mutex_done(&attached->changes);
  ig_arena_free(attached->arena);
  ig_free(attached);
  return NULL;
}

ig_sources *ig_attached_sources(const ig_attached *attached) {
  return attached->parts.sources;
}

ig_secrets *ig_attached_secrets(const ig_attached *attached) {
  return attached->parts.secrets;
}

static void count_one(ig_attached *attached, const char *name,
                      struct ig_attached_numbers *numbers) {
  struct ig_source_stats one, *all = &numbers->stats;
  IG_AUTO(ig_source) *source =
      ig_sources_find(attached->parts.sources, ig_str_from_cstr(name));
  if (!source) return;
  ig_source_stats_get(source, &one);
  numbers->sources++;
  numbers->broken += one.broken;
  all->connections += one.connections;
  all->busy += one.busy;
  all->waiting += one.waiting;
  all->statements += one.statements;
  all->rows += one.rows;
  all->bytes += one.bytes;
  all->failures += one.failures;
  all->refused += one.refused;
}

void ig_attached_count(ig_attached *attached, struct ig_attached_numbers *ret_numbers) {
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(attached->parts.catalog);
  *ret_numbers = (struct ig_attached_numbers){.sources = 0};
  for (size_t i = 0; i < ig_snapshot_attachments_count(snapshot); i++) {
    const char *name = ig_snapshot_attachment(snapshot, i)->name;
    if (!ig_attached_configured(attached, ig_str_from_cstr(name)))
      count_one(attached, name, ret_numbers);
  }
  for (size_t i = 0; i < attached->configured_count; i++)
    count_one(attached, attached->configured[i].name, ret_numbers);
}

bool ig_attached_failure(ig_attached *attached, const char *name,
                         struct igloo_error *ret_error) {
  IG_LOCK_SCOPE(&attached->mu);
  const struct igloo_error *error =
      ig_map_get(&attached->failures, ig_str_from_cstr(name));
  if (error) *ret_error = *error;
  return error != NULL;
}

void ig_attached_lock(ig_attached *attached) {
  ig_mutex_lock(&attached->changes);
}

void ig_attached_unlock(ig_attached *attached) {
  ig_mutex_unlock(&attached->changes);
}
