/*
 * options.c -- what TYPE of ATTACH means, and what its options and secrets become.
 *
 * A password is an option of the driver's database and never a part of the URI.
 */

#include "base/buf.h"
#include "base/limits.h"
#include "connector/internal.h"

static const struct ig_source_type types[] = {
    {.name = "postgresql",
     .driver = "igloo_postgresql",
     .default_schema = "public",
     .hidden = ",pg_catalog,information_schema,pg_toast,",
     .schemas = true,
     .page_bytes = 8192,
     .few_option = "adbc.postgresql.use_copy",
     .stops = true},
    {.name = "sqlite",
     .driver = "igloo_sqlite",
     .default_schema = "main",
     .hidden = "",
     .schemas = false,
     .page_bytes = 4096},
    {.name = "adbc",
     .default_schema = "main",
     .hidden = ",pg_catalog,information_schema,pg_toast,",
     .schemas = true,
     .any_option = true,
     .page_bytes = 8192},
};

const struct ig_source_type *ig_source_type_find(const char *name) {
  for (size_t i = 0; i < IG_ARRAY_LEN(types); i++)
    if (ig_str_eq_cstr_ci(ig_str_from_cstr(name), types[i].name)) return &types[i];
  return NULL;
}

/* What an option is for. */
enum use {
  USE_OWN,    /* of the source: driver, entrypoint, schema, dialect */
  USE_OPTION, /* of the driver, by the name beside it */
  USE_URI,    /* a connection parameter, which the URI gets */
};

static const struct option {
  const char *type; /* NULL: every type */
  const char *key;
  enum use use;
  const char *name; /* for the driver, or in the URI */
} options[] = {
    {NULL, "driver", USE_OWN, NULL},
    {NULL, "entrypoint", USE_OWN, NULL},
    {NULL, "schema", USE_OWN, NULL},
    {"adbc", "dialect", USE_OWN, NULL},
    {"postgresql", "user", USE_OPTION, "username"},
    {"postgresql", "username", USE_OPTION, "username"},
    {"postgresql", "password", USE_OPTION, "password"},
    {"postgresql", "host", USE_URI, "host"},
    {"postgresql", "hostaddr", USE_URI, "hostaddr"},
    {"postgresql", "port", USE_URI, "port"},
    {"postgresql", "dbname", USE_URI, "dbname"},
    {"postgresql", "database", USE_URI, "dbname"},
    {"postgresql", "sslmode", USE_URI, "sslmode"},
    {"postgresql", "sslrootcert", USE_URI, "sslrootcert"},
    {"postgresql", "sslcert", USE_URI, "sslcert"},
    {"postgresql", "sslkey", USE_URI, "sslkey"},
    {"postgresql", "options", USE_URI, "options"},
    {"postgresql", "application_name", USE_OPTION, "igloo.postgresql.application_name"},
    {"sqlite", "misfit", USE_OPTION, "igloo.sqlite.misfit"},
    {"sqlite", "datetime", USE_OPTION, "igloo.sqlite.datetime"},
    {"sqlite", "busy_timeout_ms", USE_OPTION, "igloo.sqlite.busy_timeout_ms"},
};

static bool is_of(const struct option *option, const struct ig_source_type *type) {
  return !option->type || strcmp(option->type, type->name) == 0;
}

static const struct option *find_option(const struct ig_source_type *type,
                                        struct ig_str key) {
  for (size_t i = 0; i < IG_ARRAY_LEN(options); i++)
    if (is_of(&options[i], type) && ig_str_eq_cstr_ci(key, options[i].key))
      return &options[i];
  return NULL;
}

const char *ig_source_own_option(const struct ig_source_definition *definition,
                                 const char *key) {
  for (size_t i = 0; i < definition->options_count; i++)
    if (ig_str_eq_cstr_ci(ig_str_from_cstr(definition->options[i].key), key))
      return definition->options[i].value;
  return NULL;
}

static igloo_status fail_unknown(const struct ig_source_type *type, const char *key,
                                 struct igloo_error *reterr) {
  const char *names[IG_ARRAY_LEN(options)];
  size_t count = 0;
  for (size_t i = 0; i < IG_ARRAY_LEN(options); i++)
    if (is_of(&options[i], type)) names[count++] = options[i].key;
  ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "type %s has no option \"%s\"", type->name,
          key);
  const char *nearest = ig_str_nearest(ig_str_from_cstr(key), names, count);
  if (nearest) ig_error_hint(reterr, "Did you mean \"%s\"?", nearest);
  return IGLOO_INVALID_ARGUMENT;
}

/* ---- the URI -------------------------------------------------------------------------
 */

static bool is_uri(struct ig_str text) {
  return ig_str_starts(text, IG_STR("postgresql://")) ||
         ig_str_starts(text, IG_STR("postgres://"));
}

/* As a URI has it in its query. */
static void append_percent(struct ig_buf *out, const char *value) {
  for (const char *at = value; *at; at++) {
    bool plain = ig_ascii_is_alpha(*at) || ig_ascii_is_digit(*at) || strchr("-._~", *at);
    if (plain)
      ig_buf_append_char(out, *at);
    else
      ig_buf_append_fmt(out, "%%%02X", (unsigned)(uint8_t)*at);
  }
}

/* As a text of keywords and values has it. */
static void append_quoted(struct ig_buf *out, const char *value) {
  ig_buf_append_char(out, '\'');
  for (const char *at = value; *at; at++) {
    if (*at == '\'' || *at == '\\') ig_buf_append_char(out, '\\');
    ig_buf_append_char(out, *at);
  }
  ig_buf_append_char(out, '\'');
}

static void append_parameter(struct ig_buf *uri, const char *name, const char *value) {
  if (is_uri(ig_buf_str(uri))) {
    bool first = ig_str_find_char(ig_buf_str(uri), '?') == IG_STR_NONE;
    ig_buf_append_fmt(uri, "%c%s=", first ? '?' : '&', name);
    append_percent(uri, value);
  } else {
    ig_buf_append_fmt(uri, "%s%s=", uri->len ? " " : "", name);
    append_quoted(uri, value);
  }
}

/* ---- settings and secrets ------------------------------------------------------------
 */

/* Kept in a secret, but no secret: messages may say them. */
static bool is_public(const char *key) {
  static const char *const keys[] = {"user",   "username", "host",    "hostaddr", "port",
                                     "dbname", "database", "sslmode", "schema"};
  for (size_t i = 0; i < IG_ARRAY_LEN(keys); i++)
    if (ig_str_eq_cstr_ci(ig_str_from_cstr(key), keys[i])) return true;
  return false;
}

/* Room for both lists is there: every option and secret makes at most one of each. */
static igloo_status put_setting(struct ig_target *target, const char *key,
                                const char *value, struct igloo_error *reterr) {
  struct ig_setting *setting = &target->settings[target->settings_count];
  setting->key = ig_strdup(key);
  setting->value = ig_strdup(value);
  target->settings_count++;
  return setting->key && setting->value ? IGLOO_OK : ig_fail_oom(reterr);
}

static igloo_status put_secret(struct ig_target *target, size_t *count,
                               struct ig_str text, struct igloo_error *reterr) {
  if (text.len == 0) return IGLOO_OK;
  target->secrets[*count] = ig_str_dup(text);
  if (!target->secrets[*count]) return ig_fail_oom(reterr);
  (*count)++;
  return IGLOO_OK;
}

/* The password that somebody wrote into a URI all the same: user:THIS@host. */
static struct ig_str password_of(const char *uri) {
  struct ig_str text = ig_str_from_cstr(uri), left, right;
  size_t scheme = ig_str_find(text, IG_STR("://"));
  if (scheme == IG_STR_NONE) return (struct ig_str){0};
  text = ig_str_sub(text, scheme + 3, text.len);
  ig_str_split(text, '/', &text, &right);
  size_t at = text.len;
  while (at > 0 && text.data[at - 1] != '@') at--;
  if (at == 0) return (struct ig_str){0};
  if (!ig_str_split(ig_str_sub(text, 0, at - 1), ':', &left, &right))
    return (struct ig_str){0};
  return right;
}

static igloo_status put_option(const struct ig_source_type *type,
                               const struct ig_source_option *option,
                               struct ig_target *target, struct ig_buf *uri,
                               struct igloo_error *reterr) {
  const struct option *known = find_option(type, ig_str_from_cstr(option->key));
  if (!known && !type->any_option) return fail_unknown(type, option->key, reterr);
  if (!known) return put_setting(target, option->key, option->value, reterr);
  if (known->use == USE_OPTION)
    return put_setting(target, known->name, option->value, reterr);
  if (known->use == USE_URI) append_parameter(uri, known->name, option->value);
  return IGLOO_OK;
}

igloo_status ig_source_settings(const struct ig_source_type *type,
                                const struct ig_source_definition *definition,
                                struct ig_target *target, struct igloo_error *reterr) {
  size_t count = definition->options_count + definition->secrets_count;
  target->settings = ig_calloc(count + 1, sizeof(*target->settings));
  target->secrets = ig_calloc(definition->secrets_count + 4, sizeof(*target->secrets));
  if (!target->settings || !target->secrets) return ig_fail_oom(reterr);

  IG_AUTO_DONE(ig_buf)
  uri = IG_BUF_INIT_WIPED(IG_SOURCE_OPTIONS_MAX * IG_SECRET_BYTES_MAX);
  ig_buf_append_cstr(&uri, definition->uri ? definition->uri : "");
  for (size_t i = 0; i < definition->options_count; i++)
    IG_TRY(put_option(type, &definition->options[i], target, &uri, reterr));
  size_t hidden = 0;
  for (size_t i = 0; i < definition->secrets_count; i++) {
    const struct ig_source_option *secret = &definition->secrets[i];
    IG_TRY(put_option(type, secret, target, &uri, reterr));
    if (is_public(secret->key)) continue;
    IG_TRY(put_secret(target, &hidden, ig_str_from_cstr(secret->value), reterr));
  }
  IG_TRY(ig_buf_check(&uri, reterr));
  IG_TRY(put_secret(target, &hidden, ig_buf_str(&uri), reterr));
  IG_TRY(put_secret(target, &hidden, ig_str_from_cstr(definition->uri), reterr));
  if (definition->uri)
    IG_TRY(put_secret(target, &hidden, password_of(definition->uri), reterr));
  if (uri.len == 0) return IGLOO_OK;
  return put_setting(target, ADBC_OPTION_URI, uri.data, reterr);
}
