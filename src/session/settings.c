/* settings.c -- see settings.h. */
#include "session/settings.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "catalog/catalog.h"
#include "sql/quote.h"

struct setting {
  const char *name, *fallback, *doc;
  igloo_status (*set)(struct ig_settings *, struct ig_str, struct igloo_error *);
  void (*get)(const struct ig_settings *, struct ig_buf *); /* NULL: not built */
  void (*reset)(struct ig_settings *); /* where the configuration has the default */
};

/* ---- time_zone --------------------------------------------------------------------- */

static igloo_status set_time_zone(struct ig_settings *settings, struct ig_str value,
                                  struct igloo_error *reterr) {
  if (value.len == 0)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "invalid value for \"time_zone\": \"\"");
  char *text = ig_str_dup(value);
  if (!text) return ig_fail_oom(reterr);
  ig_free(settings->time_zone);
  settings->time_zone = text;
  return IGLOO_OK;
}

static void get_time_zone(const struct ig_settings *settings, struct ig_buf *out) {
  ig_buf_append_cstr(out, settings->time_zone);
}

/* ---- search_path ------------------------------------------------------------------- */

static void free_text(const char *text) {
  ig_free((char *)(uintptr_t)text);
}

static void free_path(struct ig_pair *path, size_t count) {
  for (size_t i = 0; i < count; i++) {
    free_text(path[i].key);
    free_text(path[i].value);
  }
  ig_free(path);
}

/* The length of the first name of a list: up to a comma outside quotes. */
static size_t first_name_len(struct ig_str list) {
  bool quoted = false;
  size_t at = 0;
  for (; at < list.len && (quoted || list.data[at] != ','); at++)
    if (list.data[at] == '"') quoted = !quoted;
  return at;
}

/* "public, \"My Schema\", pg.sales": names as in SQL, separated by commas, of schemas of
 * Igloo's own catalog or, with a dot, of another. */
static igloo_status parse_path(struct ig_str value, struct ig_pair *path, size_t *count,
                               struct igloo_error *reterr) {
  for (;;) {
    if (*count == IG_SEARCH_PATH_MAX)
      return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                           "cannot have more than %d schemas in search_path",
                           IG_SEARCH_PATH_MAX);
    size_t len = first_name_len(value);
    IG_AUTO_DONE(ig_sql_name) name = {.len = 0};
    IG_TRY(ig_sql_name_parse(ig_str_sub(value, 0, len), 2, &name, reterr));
    struct ig_pair *entry = &path[(*count)++];
    entry->key = name.len == 2 ? IG_TAKE(name.parts[0]) : ig_strdup(IG_CATALOG_NAME);
    entry->value = IG_TAKE(name.parts[name.len - 1]);
    if (!entry->key) return ig_fail_oom(reterr);
    if (len == value.len) return IGLOO_OK;
    value = ig_str_sub(value, len + 1, value.len);
  }
}

static igloo_status set_search_path(struct ig_settings *settings, struct ig_str value,
                                    struct igloo_error *reterr) {
  struct ig_pair *path = ig_calloc(IG_SEARCH_PATH_MAX, sizeof(*path));
  if (!path) return ig_fail_oom(reterr);
  size_t count = 0;
  igloo_status status = parse_path(value, path, &count, reterr);
  if (status != IGLOO_OK) {
    free_path(path, count);
    return status;
  }
  free_path(settings->search_path, settings->search_path_count);
  settings->search_path = path;
  settings->search_path_count = count;
  return IGLOO_OK;
}

static void get_search_path(const struct ig_settings *settings, struct ig_buf *out) {
  for (size_t i = 0; i < settings->search_path_count; i++) {
    if (i) ig_buf_append_cstr(out, ", ");
    const struct ig_pair *entry = &settings->search_path[i];
    if (strcmp(entry->key, IG_CATALOG_NAME) != 0) {
      ig_sql_append_name(out, ig_str_from_cstr(entry->key));
      ig_buf_append_char(out, '.');
    }
    ig_sql_append_name(out, ig_str_from_cstr(entry->value));
  }
}

/* ---- statement_timeout ------------------------------------------------------------- */

static igloo_status set_timeout(struct ig_settings *settings, struct ig_str value,
                                struct igloo_error *reterr) {
  int64_t us;
  if (ig_parse_duration(value, IG_US_PER_MS, &us, NULL) != IGLOO_OK) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                  "invalid value for \"statement_timeout\": \"%.*s\"", IG_STR_ARG(value));
    ig_error_hint(
        reterr,
        "Give a number of milliseconds, or a time as in '30 s' or '5 min'; 0 is "
        "no limit.");
    return IGLOO_INVALID_ARGUMENT;
  }
  settings->statement_timeout_us = us;
  return IGLOO_OK;
}

static void reset_timeout(struct ig_settings *settings) {
  settings->statement_timeout_us = settings->defaults.statement_timeout_us;
}

static void get_timeout(const struct ig_settings *settings, struct ig_buf *out) {
  int64_t us = settings->statement_timeout_us;
  if (us == 0)
    ig_buf_append_cstr(out, "0");
  else if (us % IG_US_PER_S == 0)
    ig_buf_append_fmt(out, "%llds", (long long)(us / IG_US_PER_S));
  else if (us % IG_US_PER_MS == 0)
    ig_buf_append_fmt(out, "%lldms", (long long)(us / IG_US_PER_MS));
  else
    ig_buf_append_fmt(out, "%lldus", (long long)us);
}

/* ---- igloo.views, igloo.pushdown, igloo.strict_pushdown ------------------------------
 */

static igloo_status set_flag(const char *name, bool *flag, struct ig_str value,
                             struct igloo_error *reterr) {
  if (ig_parse_bool(value, flag, NULL) == IGLOO_OK) return IGLOO_OK;
  return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "invalid value for \"%s\": \"%.*s\"",
                 name, IG_STR_ARG(value));
}

static void get_flag(bool flag, struct ig_buf *out) {
  ig_buf_append_cstr(out, flag ? "on" : "off");
}

static igloo_status set_views(struct ig_settings *settings, struct ig_str value,
                              struct igloo_error *reterr) {
  return set_flag("igloo.views", &settings->views, value, reterr);
}

static void get_views(const struct ig_settings *settings, struct ig_buf *out) {
  get_flag(settings->views, out);
}

static igloo_status set_pushdown(struct ig_settings *settings, struct ig_str value,
                                 struct igloo_error *reterr) {
  return set_flag("igloo.pushdown", &settings->pushdown, value, reterr);
}

static void get_pushdown(const struct ig_settings *settings, struct ig_buf *out) {
  get_flag(settings->pushdown, out);
}

static igloo_status set_strict(struct ig_settings *settings, struct ig_str value,
                               struct igloo_error *reterr) {
  return set_flag("igloo.strict_pushdown", &settings->strict_pushdown, value, reterr);
}

static void reset_strict(struct ig_settings *settings) {
  settings->strict_pushdown = settings->defaults.strict_pushdown;
}

static void get_strict(const struct ig_settings *settings, struct ig_buf *out) {
  get_flag(settings->strict_pushdown, out);
}

/* ---- igloo.strict_pushdown_bytes -----------------------------------------------------
 */

static igloo_status set_strict_bytes(struct ig_settings *settings, struct ig_str value,
                                     struct igloo_error *reterr) {
  uint64_t bytes;
  if (ig_parse_size(value, &bytes, NULL) == IGLOO_OK && bytes <= INT64_MAX) {
    settings->strict_pushdown_bytes = (int64_t)bytes;
    return IGLOO_OK;
  }
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                "invalid value for \"igloo.strict_pushdown_bytes\": \"%.*s\"",
                IG_STR_ARG(value));
  ig_error_hint(reterr, "Give a number of bytes, or a size as in '64 MiB'.");
  return IGLOO_INVALID_ARGUMENT;
}

static void reset_strict_bytes(struct ig_settings *settings) {
  settings->strict_pushdown_bytes = settings->defaults.strict_pushdown_bytes;
}

static void get_strict_bytes(const struct ig_settings *settings, struct ig_buf *out) {
  ig_buf_append_fmt(out, "%lld", (long long)settings->strict_pushdown_bytes);
}

/* ---- igloo.compression ------------------------------------------------------------- */

static const char *const codec_names[] = {
    [IG_IPC_PLAIN] = "none", [IG_IPC_LZ4] = "lz4", [IG_IPC_ZSTD] = "zstd"};

const char *ig_settings_codec_name(enum ig_ipc_codec codec) {
  return codec_names[codec];
}

igloo_status ig_settings_codec(struct ig_str value, enum ig_ipc_codec *ret_codec,
                               struct igloo_error *reterr) {
  for (size_t i = 0; i < IG_ARRAY_LEN(codec_names); i++) {
    if (!ig_str_eq_cstr_ci(value, codec_names[i])) continue;
    *ret_codec = (enum ig_ipc_codec)i;
    return IGLOO_OK;
  }
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                "invalid value for \"igloo.compression\": \"%.*s\"", IG_STR_ARG(value));
  ig_error_hint(reterr, "Give none, lz4 or zstd.");
  return IGLOO_INVALID_ARGUMENT;
}

static igloo_status set_compression(struct ig_settings *settings, struct ig_str value,
                                    struct igloo_error *reterr) {
  return ig_settings_codec(value, &settings->compression, reterr);
}

static void get_compression(const struct ig_settings *settings, struct ig_buf *out) {
  ig_buf_append_cstr(out, ig_settings_codec_name(settings->compression));
}

/* ---- the list ---------------------------------------------------------------------- */

static const struct setting list[] = {
    {"igloo.cache", NULL, "Whether scans use and fill the cache.", NULL, NULL, NULL},
    {"igloo.compression", "none",
     "How results over Flight SQL are compressed: none, lz4 or zstd.", set_compression,
     get_compression, NULL},
    {"igloo.pushdown", "on",
     "Whether sources filter, sort and limit; off reads whole tables.", set_pushdown,
     get_pushdown, NULL},
    {"igloo.strict_pushdown", NULL,
     "Refuse a query that would read more of a source's table than "
     "igloo.strict_pushdown_bytes because a condition stayed local.",
     set_strict, get_strict, reset_strict},
    {"igloo.strict_pushdown_bytes", NULL,
     "Bytes from which igloo.strict_pushdown refuses.", set_strict_bytes,
     get_strict_bytes, reset_strict_bytes},
    {"igloo.views", "off", "Whether results keep the view types of text and binary.",
     set_views, get_views, NULL},
    {"search_path", IG_CATALOG_DEFAULT_SCHEMA,
     "Schemas in which unqualified names are looked up.", set_search_path,
     get_search_path, NULL},
    {"statement_timeout", NULL, "Longest time for one statement; 0 is no limit.",
     set_timeout, get_timeout, reset_timeout},
    {"time_zone", "UTC", "Time zone in which timestamps are read and shown.",
     set_time_zone, get_time_zone, NULL},
};

/* The name that `text` writes, as in  igloo."views" ; what is longer than any of ours, or
 * no name at all, stands for itself and is found nowhere. */
static igloo_status read_name(struct ig_str text, char **ret_name,
                              struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_sql_name) name = {0};
  IG_AUTO_DONE(ig_buf) plain = IG_BUF_INIT(IG_SETTING_BYTES_MAX);
  igloo_status status = ig_sql_name_parse(text, IG_SQL_NAME_PARTS_MAX, &name, reterr);
  if (status == IGLOO_OUT_OF_MEMORY) return status;
  for (size_t i = 0; status == IGLOO_OK && i < name.len; i++) {
    if (i) ig_buf_append_char(&plain, '.');
    ig_buf_append_cstr(&plain, name.parts[i]);
  }
  if (status != IGLOO_OK) ig_buf_append_str(&plain, text);
  return ig_buf_steal(&plain, ret_name, reterr);
}

static igloo_status find(struct ig_str text, const struct setting **ret_setting,
                         struct igloo_error *reterr) {
  IG_AUTO_CHAR *plain = NULL;
  IG_TRY(read_name(text, &plain, reterr));
  struct ig_str name = ig_str_from_cstr(plain);
  if (ig_str_eq_cstr_ci(name, "timezone")) name = IG_STR("time_zone");
  const char *names[IG_ARRAY_LEN(list)];
  for (size_t i = 0; i < IG_ARRAY_LEN(list); i++) {
    names[i] = list[i].name;
    if (!ig_str_eq_cstr_ci(name, list[i].name)) continue;
    if (!list[i].get) {
      (void)ig_fail(reterr, IGLOO_UNSUPPORTED, "setting \"%s\" is not supported yet",
                    list[i].name);
      ig_error_hint(reterr, "It comes with a later version of Igloo.");
      return IGLOO_UNSUPPORTED;
    }
    *ret_setting = &list[i];
    return IGLOO_OK;
  }
  (void)ig_fail(reterr, IGLOO_NOT_FOUND, "unrecognized configuration parameter \"%.*s\"",
                IG_STR_ARG(name));
  const char *near = ig_str_nearest(name, names, IG_ARRAY_LEN(list));
  if (near)
    ig_error_hint(reterr, "Perhaps you meant \"%s\".", near);
  else
    ig_error_hint(reterr, "SHOW ALL lists the settings of a session.");
  return IGLOO_NOT_FOUND;
}

const char *ig_settings_catalog(const struct ig_settings *settings) {
  return settings->search_path_count ? settings->search_path[0].key : IG_CATALOG_NAME;
}

struct ig_settings_defaults ig_settings_defaults_of(const struct ig_config *config) {
  return (struct ig_settings_defaults){
      .statement_timeout_us = config->limits_statement_timeout,
      .strict_pushdown = config->federation_strict_pushdown,
      .strict_pushdown_bytes = (int64_t)config->federation_strict_pushdown_bytes};
}

igloo_status ig_settings_init(struct ig_settings *settings,
                              const struct ig_settings_defaults *defaults,
                              struct igloo_error *reterr) {
  *settings = (struct ig_settings){.defaults = *defaults};
  for (size_t i = 0; i < IG_ARRAY_LEN(list); i++)
    if (list[i].reset) list[i].reset(settings);
  for (size_t i = 0; i < IG_ARRAY_LEN(list); i++) {
    if (!list[i].set || !list[i].fallback) continue;
    igloo_status status =
        list[i].set(settings, ig_str_from_cstr(list[i].fallback), reterr);
    if (status == IGLOO_OK) continue;
    ig_settings_done(settings);
    return status;
  }
  return IGLOO_OK;
}

void ig_settings_done(struct ig_settings *settings) {
  ig_free(settings->time_zone);
  free_path(settings->search_path, settings->search_path_count);
  *settings = (struct ig_settings){0};
}

igloo_status ig_settings_copy(const struct ig_settings *settings,
                              struct ig_settings *ret_copy, struct igloo_error *reterr) {
  struct ig_settings copy = *settings;
  copy.time_zone = ig_strdup(settings->time_zone);
  copy.search_path =
      ig_calloc(settings->search_path_count + 1, sizeof(*copy.search_path));
  bool whole = copy.time_zone && copy.search_path;
  copy.search_path_count = 0;
  for (size_t i = 0; whole && i < settings->search_path_count; i++) {
    struct ig_pair *entry = &copy.search_path[copy.search_path_count++];
    entry->key = ig_strdup(settings->search_path[i].key);
    entry->value = ig_strdup(settings->search_path[i].value);
    whole = entry->key && entry->value;
  }
  if (!whole) {
    ig_settings_done(&copy);
    return ig_fail_oom(reterr);
  }
  *ret_copy = copy;
  return IGLOO_OK;
}

igloo_status ig_settings_set(struct ig_settings *settings, struct ig_str name,
                             struct ig_str value, struct igloo_error *reterr) {
  const struct setting *setting;
  IG_TRY(find(name, &setting, reterr));
  if (value.data) return setting->set(settings, value, reterr);
  if (setting->fallback)
    return setting->set(settings, ig_str_from_cstr(setting->fallback), reterr);
  setting->reset(settings);
  return IGLOO_OK;
}

igloo_status ig_settings_get(const struct ig_settings *settings, struct ig_str name,
                             char **ret_value, struct igloo_error *reterr) {
  const struct setting *setting;
  IG_TRY(find(name, &setting, reterr));
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(IG_SETTING_BYTES_MAX * IG_SEARCH_PATH_MAX);
  setting->get(settings, &out);
  return ig_buf_steal(&out, ret_value, reterr);
}

igloo_status ig_settings_name(struct ig_str text, const char **ret_name,
                              struct igloo_error *reterr) {
  const struct setting *setting;
  IG_TRY(find(text, &setting, reterr));
  *ret_name = setting->name;
  return IGLOO_OK;
}

bool ig_settings_at(size_t index, const char **ret_name, const char **ret_doc) {
  for (size_t i = 0; i < IG_ARRAY_LEN(list); i++) {
    if (!list[i].get || index-- > 0) continue;
    *ret_name = list[i].name;
    *ret_doc = list[i].doc;
    return true;
  }
  return false;
}
