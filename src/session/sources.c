/* sources.c -- ATTACH, DETACH, REFRESH CATALOG, CREATE and DROP SECRET, USE. */
#include <sodium.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/sensitive.h"
#include "session/private.h"
#include "sql/option.h"
#include "sql/quote.h"
#include "sql/token.h"

/* Names and options of one statement. */
#define ARENA_BYTES (4 * IG_MIB)

/* ---- what several statements need -------------------------------------------------- */

static igloo_status check_right(const ig_session *session, const char *what,
                                struct igloo_error *reterr) {
  struct ig_identity who;
  IG_TRY(ig_session_right(session, &who, reterr));
  if (who.superuser) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_PERMISSION_DENIED, "permission denied to %s", what);
  ig_error_hint(reterr, "A superuser can, and until there is GRANT no one else.");
  return IGLOO_PERMISSION_DENIED;
}

static void unlock(ig_attached **attached) {
  if (*attached) ig_attached_unlock(*attached);
}
#define LOCKED_SCOPE(attached)                                                \
  ig_attached *locked_ __attribute__((cleanup(unlock), unused)) = (attached); \
  ig_attached_lock(locked_)

/* An error at an option: where it stands in the text. */
static igloo_status at_option(const struct ig_guarded *guarded, struct ig_str option,
                              igloo_status status, struct igloo_error *reterr) {
  struct ig_str text = {guarded->params.text, guarded->params.text_len};
  int32_t line, column;
  ig_sql_position_at(text, (size_t)(option.data - text.data), &line, &column);
  ig_error_position(reterr, line, column);
  return status;
}

/* There is no source of this name: none was attached, or it cannot be asked. */
igloo_status ig_fail_catalog(const ig_session *session, struct ig_str name,
                             struct igloo_error *reterr) {
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(session->parts.catalog);
  if (!ig_attached_has(session->parts.attached, snapshot, name))
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "3D000",
                         "catalog \"%.*s\" does not exist", IG_STR_ARG(name));
  (void)ig_fail(reterr, IGLOO_FAILED_PRECONDITION, "catalog \"%.*s\" is not available",
                IG_STR_ARG(name));
  ig_error_hint(reterr,
                "igloo.system.catalogs tells why; REFRESH CATALOG tries it again.");
  return IGLOO_FAILED_PRECONDITION;
}

igloo_status ig_fail_of_source(const ig_source *source, const char *what,
                               struct igloo_error *reterr) {
  (void)ig_fail(reterr, IGLOO_UNSUPPORTED, "cannot %s in catalog \"%s\"", what,
                ig_source_name(source));
  ig_error_hint(reterr,
                "It is a source of type %s: INSERT and CREATE TABLE AS write to it; do "
                "anything else there.",
                ig_source_type(source));
  return IGLOO_UNSUPPORTED;
}

static igloo_status refuse_configured(const ig_attached *attached, struct ig_str name,
                                      struct igloo_error *reterr) {
  if (!ig_attached_configured(attached, name)) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_FAILED_PRECONDITION,
                "catalog \"%.*s\" is attached by the configuration", IG_STR_ARG(name));
  ig_error_hint(reterr, "Change the keys \"catalog.%.*s\" and restart.",
                IG_STR_ARG(name));
  return IGLOO_FAILED_PRECONDITION;
}

/* ---- ATTACH ------------------------------------------------------------------------ */

/* An attachment while its options are read; texts lie in the arena. */
struct reading {
  ig_arena *arena;
  const struct ig_guarded *guarded;
  struct ig_attachment attachment;
  struct ig_pair *options;
};

/* The value's text in the arena; "" where there is none. */
static igloo_status option_text(struct reading *reading,
                                const struct ig_sql_option *option, const char **ret_text,
                                struct igloo_error *reterr) {
  IG_AUTO_CHAR *value = NULL;
  if (option->value.len) IG_TRY(ig_sql_option_value(option, &value, reterr));
  *ret_text = ig_arena_strdup(reading->arena, ig_str_from_cstr(value ? value : ""));
  return *ret_text ? IGLOO_OK : ig_arena_fail(reading->arena, reterr);
}

static igloo_status need_value(const struct ig_sql_option *option, const char *key,
                               struct igloo_error *reterr) {
  if (option->value.len) return IGLOO_OK;
  return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "option \"%s\" needs a value", key);
}

/* TYPE and SECRET are names: folded unless they stand in quotes. */
static igloo_status read_name_option(struct reading *reading,
                                     const struct ig_sql_option *option, const char *key,
                                     const char **name, struct igloo_error *reterr) {
  IG_TRY(need_value(option, key, reterr));
  if (*name)
    return ig_fail(reterr, IGLOO_SYNTAX_ERROR, "conflicting or redundant options");
  IG_AUTO_CHAR *value = NULL;
  char first = option->value.data[0];
  if (ig_ascii_is_alpha(first) && option->value.data[option->value.len - 1] != '\'')
    IG_TRY(ig_sql_identifier_value(option->value, &value, reterr));
  else
    IG_TRY(ig_sql_option_value(option, &value, reterr));
  *name = ig_arena_strdup(reading->arena, ig_str_from_cstr(value));
  return *name ? IGLOO_OK : ig_arena_fail(reading->arena, reterr);
}

static igloo_status read_only_option(struct reading *reading,
                                     const struct ig_sql_option *option,
                                     struct igloo_error *reterr) {
  const char *value = "";
  reading->attachment.read_only = true;
  if (!option->value.len) return IGLOO_OK;
  IG_TRY(option_text(reading, option, &value, reterr));
  if (ig_parse_bool(ig_str_from_cstr(value), &reading->attachment.read_only, NULL) ==
      IGLOO_OK)
    return IGLOO_OK;
  return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "option \"read_only\" is on or off");
}

static igloo_status read_option(struct reading *reading,
                                const struct ig_sql_option *option,
                                struct igloo_error *reterr) {
  struct ig_attachment *attachment = &reading->attachment;
  IG_AUTO_CHAR *key = NULL;
  IG_TRY(ig_sql_option_key(option, &key, reterr));
  if (strcmp(key, "type") == 0)
    return read_name_option(reading, option, key, &attachment->type, reterr);
  if (strcmp(key, "secret") == 0)
    return read_name_option(reading, option, key, &attachment->secret, reterr);
  if (strcmp(key, "read_only") == 0) return read_only_option(reading, option, reterr);
  if (ig_key_is_sensitive(ig_str_from_cstr(key))) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "option \"%s\" belongs in a secret",
                  key);
    ig_error_hint(reterr,
                  "CREATE SECRET s (TYPE ..., %s '...'), and attach with SECRET s.", key);
    return IGLOO_INVALID_ARGUMENT;
  }
  if (attachment->options_count == IG_SOURCE_OPTIONS_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "a catalog cannot have more than %d options",
                         IG_SOURCE_OPTIONS_MAX);
  for (size_t i = 0; i < attachment->options_count; i++)
    if (strcmp(key, reading->options[i].key) == 0)
      return ig_fail(reterr, IGLOO_SYNTAX_ERROR, "conflicting or redundant options");
  struct ig_pair *pair = &reading->options[attachment->options_count];
  pair->key = ig_arena_strdup(reading->arena, ig_str_from_cstr(key));
  if (!pair->key) return ig_arena_fail(reading->arena, reterr);
  /* A word alone switches on. */
  if (!option->value.len)
    pair->value = "true";
  else
    IG_TRY(option_text(reading, option, &pair->value, reterr));
  attachment->options_count++;
  return IGLOO_OK;
}

/* Read the statement into reading->attachment. */
static igloo_status read_attachment(struct reading *reading, struct ig_str name,
                                    struct igloo_error *reterr) {
  const struct ig_sql_statement *parsed = &reading->guarded->parsed;
  struct ig_attachment *attachment = &reading->attachment;
  IG_AUTO_CHAR *uri = NULL;
  IG_TRY(ig_sql_string_value(parsed->pattern, &uri, reterr));
  reading->options = ig_arena_alloc_array(reading->arena, IG_SOURCE_OPTIONS_MAX,
                                          sizeof(*reading->options));
  attachment->options = reading->options;
  attachment->name = ig_arena_strdup(reading->arena, name);
  attachment->uri = ig_arena_strdup(reading->arena, ig_str_from_cstr(uri));
  sodium_memzero(uri, strlen(uri));
  if (!reading->options || !attachment->name || !attachment->uri)
    return ig_arena_fail(reading->arena, reterr);
  struct ig_str rest = parsed->options;
  struct ig_sql_option option;
  while (ig_sql_option_next(&rest, &option)) {
    igloo_status status = read_option(reading, &option, reterr);
    if (status != IGLOO_OK)
      return at_option(reading->guarded, option.key, status, reterr);
  }
  return IGLOO_OK;
}

/* An option that the source does not know, at its place in the text. */
static igloo_status place_error(const struct reading *reading, igloo_status status,
                                struct igloo_error *reterr) {
  if (status != IGLOO_INVALID_ARGUMENT || !reterr || reterr->line) return status;
  struct ig_str rest = reading->guarded->parsed.options, message;
  struct ig_sql_option option;
  message = ig_str_from_cstr(reterr->message);
  while (ig_sql_option_next(&rest, &option)) {
    IG_AUTO_CHAR *key = NULL;
    if (ig_sql_option_key(&option, &key, NULL) != IGLOO_OK) break;
    IG_AUTO_CHAR *quoted = ig_asprintf("\"%s\"", key);
    if (quoted && ig_str_find(message, ig_str_from_cstr(quoted)) != IG_STR_NONE)
      return at_option(reading->guarded, option.key, status, reterr);
  }
  return status;
}

static igloo_status attach_locked(ig_session *session, const struct ig_attachment *made,
                                  const struct ig_sql_statement *parsed,
                                  struct igloo_error *reterr) {
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_AUTO(ig_snapshot) *snapshot = NULL;
  struct ig_str name = ig_str_from_cstr(made->name);
  IG_TRY(ig_catalog_begin(session->parts.catalog, &change, reterr));
  if (parsed->if_not_exists && ig_catalog_change_find_attachment(change, name))
    return IGLOO_OK;
  if (made->secret) {
    /* It may have been dropped since the source was tried. */
    bool has;
    IG_TRY(ig_secrets_has(ig_attached_secrets(session->parts.attached),
                          ig_catalog_change_tx(change), ig_str_from_cstr(made->secret),
                          &has, reterr));
    if (!has)
      return ig_fail(reterr, IGLOO_NOT_FOUND, "secret \"%s\" does not exist",
                     made->secret);
  }
  IG_TRY(ig_catalog_attach(change, made, parsed->or_replace, reterr));
  IG_TRY(ig_session_commit(session, IG_TAKE(change), &snapshot, reterr));
  return ig_attached_take_up(session->parts.attached,
                             ig_snapshot_find_attachment(snapshot, name), reterr);
}

/* True if IF NOT EXISTS has nothing to do. Fails early where the name is taken: nobody
 * should wait for a connection only to be told so. */
static igloo_status check_name(ig_session *session, struct ig_str name,
                               const struct ig_sql_statement *parsed, bool *ret_exists,
                               struct igloo_error *reterr) {
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(session->parts.catalog);
  *ret_exists = false;
  IG_TRY(ig_catalog_check_attachment_name(name, reterr));
  if (ig_attached_configured(session->parts.attached, name)) {
    *ret_exists = parsed->if_not_exists;
    return *ret_exists ? IGLOO_OK
                       : refuse_configured(session->parts.attached, name, reterr);
  }
  if (!ig_snapshot_find_attachment(snapshot, name) || parsed->or_replace) return IGLOO_OK;
  *ret_exists = parsed->if_not_exists;
  if (*ret_exists) return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_ALREADY_EXISTS, "42P04",
                       "catalog \"%.*s\" already exists", IG_STR_ARG(name));
}

static igloo_status attach(ig_session *session, ig_cancel *cancel,
                           const struct ig_guarded *guarded, struct ig_str name,
                           struct igloo_error *reterr) {
  const struct ig_sql_statement *parsed = &guarded->parsed;
  bool exists;
  IG_TRY(check_right(session, "attach a source", reterr));
  IG_TRY(check_name(session, name, parsed, &exists, reterr));
  if (exists) return IGLOO_OK;
  IG_AUTO(ig_arena) *arena = ig_arena_new(ARENA_BYTES);
  IG_AUTO_CHAR *uri = NULL;
  if (!arena) return ig_fail_oom(reterr);
  struct reading reading = {.arena = arena, .guarded = guarded};
  struct ig_attachment *made = &reading.attachment;
  IG_TRY(read_attachment(&reading, name, reterr));
  igloo_status status =
      ig_attached_validate(session->parts.attached, made, &made->type, &uri, reterr);
  made->uri = uri;
  if (status == IGLOO_OK)
    status = ig_attached_check(session->parts.attached, made, cancel, reterr);
  if (status != IGLOO_OK) return place_error(&reading, status, reterr);
  LOCKED_SCOPE(session->parts.attached);
  return attach_locked(session, made, parsed, reterr);
}

/* ---- DETACH, REFRESH CATALOG ---------------------------------------------------------
 */

static igloo_status detach(ig_session *session, struct ig_str name, bool if_exists,
                           struct igloo_error *reterr) {
  IG_TRY(check_right(session, "detach a source", reterr));
  IG_TRY(refuse_configured(session->parts.attached, name, reterr));
  if (ig_str_eq_cstr(name, IG_CATALOG_NAME))
    return ig_fail_state(reterr, IGLOO_FAILED_PRECONDITION, "2BP01",
                         "cannot detach catalog \"%s\"", IG_CATALOG_NAME);
  LOCKED_SCOPE(session->parts.attached);
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_TRY(ig_catalog_begin(session->parts.catalog, &change, reterr));
  if (if_exists && !ig_catalog_change_find_attachment(change, name)) return IGLOO_OK;
  IG_AUTO_CHAR *text = ig_str_dup(name);
  if (!text) return ig_fail_oom(reterr);
  IG_TRY(ig_catalog_detach(change, name, reterr));
  IG_TRY(ig_session_commit(session, IG_TAKE(change), NULL, reterr));
  ig_attached_forget(session->parts.attached, text);
  return IGLOO_OK;
}

/* What is remembered of a source goes; one that could not be taken up is tried again. */
static igloo_status refresh(ig_session *session, struct ig_str name,
                            struct igloo_error *reterr) {
  ig_attached *attached = session->parts.attached;
  if (ig_str_eq_cstr(name, IG_CATALOG_NAME)) return IGLOO_OK;
  IG_AUTO(ig_source) *source = ig_sources_find(ig_attached_sources(attached), name);
  if (source) {
    ig_source_refresh(source);
    return IGLOO_OK;
  }
  LOCKED_SCOPE(attached);
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(session->parts.catalog);
  const struct ig_attachment *attachment = ig_attached_configured(attached, name);
  if (!attachment) attachment = ig_snapshot_find_attachment(snapshot, name);
  if (!attachment) return ig_fail_catalog(session, name, reterr);
  return ig_attached_take_up(attached, attachment, reterr);
}

/* ---- secrets ----------------------------------------------------------------------- */

/* The items of CREATE SECRET: values lie in memory that is wiped. */
struct items {
  char *keys[IG_SOURCE_OPTIONS_MAX], *values[IG_SOURCE_OPTIONS_MAX];
  struct ig_secret_item items[IG_SOURCE_OPTIONS_MAX];
  size_t count;
  char *type;
};

static void items_done(struct items *items) {
  for (size_t i = 0; i < items->count; i++) {
    if (items->values[i]) sodium_memzero(items->values[i], strlen(items->values[i]));
    ig_free(items->values[i]);
    ig_free(items->keys[i]);
  }
  ig_free(items->type);
}

static igloo_status read_item(struct items *items, const struct ig_sql_option *option,
                              struct igloo_error *reterr) {
  IG_AUTO_CHAR *key = NULL;
  IG_TRY(ig_sql_option_key(option, &key, reterr));
  if (strcmp(key, "type") == 0) {
    if (items->type)
      return ig_fail(reterr, IGLOO_SYNTAX_ERROR, "conflicting or redundant options");
    IG_TRY(ig_sql_option_value(option, &items->type, reterr));
    for (char *c = items->type; *c; c++) *c = ig_ascii_lower(*c);
    return IGLOO_OK;
  }
  for (size_t i = 0; i < items->count; i++)
    if (strcmp(key, items->keys[i]) == 0)
      return ig_fail(reterr, IGLOO_SYNTAX_ERROR, "conflicting or redundant options");
  if (items->count == IG_SOURCE_OPTIONS_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "a secret cannot have more than %d items",
                         IG_SOURCE_OPTIONS_MAX);
  size_t at = items->count++;
  items->keys[at] = IG_TAKE(key);
  igloo_status status = ig_sql_option_value(option, &items->values[at], reterr);
  if (status != IGLOO_OK && status != IGLOO_OUT_OF_MEMORY)
    /* What is wrong with the string would tell it. */
    return ig_fail(reterr, status, "item \"%s\" of the secret is not a valid string",
                   items->keys[at]);
  items->items[at] = (struct ig_secret_item){items->keys[at], items->values[at]};
  return status;
}

static igloo_status read_items(const struct ig_guarded *guarded, struct items *items,
                               struct igloo_error *reterr) {
  struct ig_str rest = guarded->parsed.options;
  struct ig_sql_option option;
  while (ig_sql_option_next(&rest, &option)) {
    igloo_status status = read_item(items, &option, reterr);
    if (status != IGLOO_OK) return at_option(guarded, option.key, status, reterr);
  }
  if (items->type) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "the type of the secret is missing");
  ig_error_hint(reterr, "Add TYPE postgresql, or what else the source is of.");
  return IGLOO_INVALID_ARGUMENT;
}

static void renew_source(ig_attached *attached, const struct ig_attachment *attachment) {
  struct igloo_error error;
  if (ig_attached_take_up(attached, attachment, &error) == IGLOO_OK) return;
  ig_log(IG_LOG_WARN, "catalog.unavailable", IG_LOG_STR("catalog", attachment->name),
         IG_LOG_STR("error", error.message), IG_LOG_STR("sqlstate", error.sqlstate));
}

/* Sources with this secret connect anew from now on. */
static void renew_sources(ig_session *session, const ig_snapshot *snapshot,
                          struct ig_str secret) {
  ig_attached *attached = session->parts.attached;
  const struct ig_attachment *configured;
  for (size_t i = 0; i < ig_snapshot_attachments_count(snapshot); i++) {
    const struct ig_attachment *attachment = ig_snapshot_attachment(snapshot, i);
    if (ig_attached_configured(attached, ig_str_from_cstr(attachment->name))) continue;
    if (attachment->secret && ig_str_eq_cstr(secret, attachment->secret))
      renew_source(attached, attachment);
  }
  for (size_t i = 0; (configured = ig_attached_configured_at(attached, i)); i++) {
    if (!configured->secret || !ig_str_eq_cstr(secret, configured->secret)) continue;
    struct ig_attachment renewed = *configured;
    renewed.version = ig_snapshot_version(snapshot);
    renew_source(attached, &renewed);
  }
}

static igloo_status create_secret(ig_session *session, const struct ig_guarded *guarded,
                                  struct ig_str name, struct igloo_error *reterr) {
  const struct ig_sql_statement *parsed = &guarded->parsed;
  ig_secrets *secrets = ig_attached_secrets(session->parts.attached);
  struct items items __attribute__((cleanup(items_done))) = {.count = 0};
  IG_TRY(check_right(session, "create a secret", reterr));
  IG_TRY(read_items(guarded, &items, reterr));
  IG_TRY(ig_attached_check_type(items.type, reterr));
  LOCKED_SCOPE(session->parts.attached);
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_AUTO(ig_snapshot) *snapshot = NULL;
  bool exists;
  IG_TRY(ig_catalog_begin(session->parts.catalog, &change, reterr));
  ig_tx *tx = ig_catalog_change_tx(change);
  IG_TRY(ig_secrets_has(secrets, tx, name, &exists, reterr));
  if (exists && parsed->if_not_exists) return IGLOO_OK;
  IG_TRY(ig_secrets_put(secrets, tx, name, ig_str_from_cstr(items.type), items.items,
                        items.count, parsed->or_replace, reterr));
  if (exists) IG_TRY(ig_catalog_renew_secret(change, name, reterr));
  IG_TRY(ig_session_commit(session, IG_TAKE(change), &snapshot, reterr));
  renew_sources(session, snapshot, name);
  return IGLOO_OK;
}

static igloo_status fail_in_use(struct ig_str secret, const char *catalog,
                                struct igloo_error *reterr) {
  (void)ig_fail_state(reterr, IGLOO_FAILED_PRECONDITION, "2BP01",
                      "cannot drop secret \"%.*s\" because catalogs depend on it",
                      IG_STR_ARG(secret));
  ig_error_detail(reterr, "Catalog \"%s\" uses it.", catalog);
  ig_error_hint(reterr, "DETACH the catalog first, or CREATE OR REPLACE the secret.");
  return IGLOO_FAILED_PRECONDITION;
}

static igloo_status check_unused(const ig_session *session, struct ig_str secret,
                                 struct igloo_error *reterr) {
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(session->parts.catalog);
  const struct ig_attachment *attachment;
  for (size_t i = 0; i < ig_snapshot_attachments_count(snapshot); i++) {
    attachment = ig_snapshot_attachment(snapshot, i);
    if (attachment->secret && ig_str_eq_cstr(secret, attachment->secret))
      return fail_in_use(secret, attachment->name, reterr);
  }
  for (size_t i = 0; (attachment = ig_attached_configured_at(session->parts.attached, i));
       i++)
    if (attachment->secret && ig_str_eq_cstr(secret, attachment->secret))
      return fail_in_use(secret, attachment->name, reterr);
  return IGLOO_OK;
}

static igloo_status drop_secret(ig_session *session, struct ig_str name, bool if_exists,
                                struct igloo_error *reterr) {
  ig_secrets *secrets = ig_attached_secrets(session->parts.attached);
  IG_TRY(check_right(session, "drop a secret", reterr));
  LOCKED_SCOPE(session->parts.attached);
  IG_TRY(check_unused(session, name, reterr));
  IG_AUTO(ig_catalog_change) *change = NULL;
  bool exists;
  IG_TRY(ig_catalog_begin(session->parts.catalog, &change, reterr));
  ig_tx *tx = ig_catalog_change_tx(change);
  IG_TRY(ig_secrets_has(secrets, tx, name, &exists, reterr));
  if (!exists && if_exists) return IGLOO_OK;
  IG_TRY(ig_secrets_drop(secrets, tx, name, reterr));
  return ig_session_commit(session, IG_TAKE(change), NULL, reterr);
}

igloo_status ig_secrets_show(ig_session *session, ig_rows **ret_rows,
                             struct igloo_error *reterr) {
  static const struct ig_rows_column columns[] = {
      {"name", IG_CELL_TEXT, true},
      {"type", IG_CELL_TEXT, true},
      {"created_at", IG_CELL_TIMESTAMP, true}};
  IG_AUTO(ig_rows) *rows = NULL;
  IG_AUTO(ig_tx) *tx = NULL;
  struct ig_secret_name *list = NULL;
  size_t count = 0;
  IG_TRY(check_right(session, "list secrets", reterr));
  IG_TRY(ig_rows_new(columns, IG_ARRAY_LEN(columns), &rows, reterr));
  IG_TRY(ig_tx_begin(ig_catalog_store(session->parts.catalog), &tx, reterr));
  IG_TRY(ig_secrets_list(ig_attached_secrets(session->parts.attached), tx, &list, &count,
                         reterr));
  for (size_t i = 0; i < count; i++) {
    ig_rows_cstr(rows, list[i].name);
    ig_rows_cstr(rows, list[i].type);
    ig_rows_i64(rows, list[i].created_us);
  }
  ig_secret_names_free(list, count);
  *ret_rows = IG_TAKE(rows);
  return IGLOO_OK;
}

/* ---- USE --------------------------------------------------------------------------- */

/* The schema of Igloo's own catalog is there. */
static igloo_status check_own_schema(const ig_session *session, struct ig_str schema,
                                     struct igloo_error *reterr) {
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(session->parts.catalog);
  if (ig_snapshot_has_schema(snapshot, schema) ||
      ig_str_eq_cstr(schema, IG_SCHEMA_INFORMATION) ||
      ig_str_eq_cstr(schema, IG_SCHEMA_SYSTEM))
    return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_NOT_FOUND, "3F000", "schema \"%.*s\" does not exist",
                       IG_STR_ARG(schema));
}

igloo_status ig_session_use(ig_session *session, struct ig_str catalog,
                            struct ig_str schema, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) path = IG_BUF_INIT(IG_SETTING_BYTES_MAX);
  IG_AUTO(ig_source) *source = NULL;
  if (ig_str_eq_cstr(catalog, IG_CATALOG_NAME)) {
    if (!schema.len) schema = IG_STR(IG_CATALOG_DEFAULT_SCHEMA);
    IG_TRY(check_own_schema(session, schema, reterr));
  } else {
    source = ig_sources_find(ig_attached_sources(session->parts.attached), catalog);
    if (!source) return ig_fail_catalog(session, catalog, reterr);
    if (!schema.len) schema = ig_str_from_cstr(ig_source_default_schema(source));
    ig_sql_append_name(&path, catalog);
    ig_buf_append_char(&path, '.');
  }
  ig_sql_append_name(&path, schema);
  IG_TRY(ig_buf_check(&path, reterr));
  return ig_session_change(session, IG_STR("search_path"), ig_buf_str(&path), reterr);
}

/* Whether the source has the schema: a look into its listing. */
static igloo_status check_source_schema(ig_source *source, struct ig_str schema,
                                        ig_cancel *cancel, struct igloo_error *reterr) {
  const struct ig_source_listing *tables;
  size_t count;
  void *hold = NULL;
  if (ig_str_eq_cstr(schema, ig_source_default_schema(source))) return IGLOO_OK;
  IG_TRY(ig_source_list(source, cancel, &tables, &count, &hold, reterr));
  bool found = false;
  for (size_t i = 0; i < count && !found; i++)
    found = ig_str_eq_cstr(schema, tables[i].schema);
  ig_source_list_free(hold);
  if (found) return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_NOT_FOUND, "3F000",
                       "schema \"%.*s\" does not exist in catalog \"%s\"",
                       IG_STR_ARG(schema), ig_source_name(source));
}

/* USE catalog, USE schema (of the catalog in use) or USE catalog.schema. */
static igloo_status use(ig_session *session, ig_cancel *cancel, struct ig_str text,
                        struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_sql_name) name = {.len = 0};
  IG_AUTO(ig_source) *source = NULL;
  IG_AUTO(ig_session_state) *state = ig_session_state_get(session);
  ig_sources *sources = ig_attached_sources(session->parts.attached);
  IG_TRY(ig_sql_name_parse(text, 2, &name, reterr));
  struct ig_str first = ig_str_from_cstr(name.parts[0]);
  if (name.len == 2) {
    struct ig_str schema = ig_str_from_cstr(name.parts[1]);
    source = ig_sources_find(sources, first);
    if (source) IG_TRY(check_source_schema(source, schema, cancel, reterr));
    return ig_session_use(session, first, schema, reterr);
  }
  /* One name: a schema of the catalog in use before a catalog, as in a query. */
  const char *catalog = ig_settings_catalog(&state->settings);
  source = ig_sources_find(sources, ig_str_from_cstr(catalog));
  if (source && check_source_schema(source, first, cancel, NULL) == IGLOO_OK)
    return ig_session_use(session, ig_str_from_cstr(catalog), first, reterr);
  if (check_own_schema(session, first, NULL) == IGLOO_OK)
    return ig_session_use(session, IG_STR(IG_CATALOG_NAME), first, reterr);
  if (ig_str_eq_cstr(first, IG_CATALOG_NAME))
    return ig_session_use(session, first, IG_STR(""), reterr);
  IG_AUTO(ig_source) *named = ig_sources_find(sources, first);
  if (named) return ig_session_use(session, first, IG_STR(""), reterr);
  /* What is no catalog either is a schema that is missing. */
  igloo_status status = ig_fail_catalog(session, first, reterr);
  return status == IGLOO_NOT_FOUND ? check_own_schema(session, first, reterr) : status;
}

/* ---- entry ------------------------------------------------------------------------- */

static igloo_status run_named(ig_session *session, ig_cancel *cancel,
                              const struct ig_guarded *guarded, struct ig_str name,
                              struct igloo_error *reterr) {
  const struct ig_sql_statement *parsed = &guarded->parsed;
  if (parsed->kind == IG_SQL_ATTACH)
    return attach(session, cancel, guarded, name, reterr);
  if (parsed->kind == IG_SQL_DETACH)
    return detach(session, name, parsed->if_exists, reterr);
  if (parsed->kind == IG_SQL_CREATE_SECRET)
    return create_secret(session, guarded, name, reterr);
  if (parsed->kind == IG_SQL_DROP_SECRET)
    return drop_secret(session, name, parsed->if_exists, reterr);
  return refresh(session, name, reterr);
}

igloo_status ig_source_run(ig_session *session, ig_cancel *cancel,
                           const struct ig_guarded *guarded, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_sql_name) name = {.len = 0};
  const struct ig_sql_statement *parsed = &guarded->parsed;
  if (parsed->kind == IG_SQL_USE) return use(session, cancel, parsed->name, reterr);
  IG_TRY(ig_sql_name_parse(parsed->name, 1, &name, reterr));
  struct ig_str text = ig_str_from_cstr(name.parts[0]);
  IG_TRY(run_named(session, cancel, guarded, text, reterr));
  ig_log(IG_LOG_INFO, "catalog.change", IG_LOG_STR("statement", parsed->feature),
         IG_LOG_VIEW("name", text));
  return IGLOO_OK;
}
