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

static void free_path(char **path, size_t count) {
  for (size_t i = 0; i < count; i++) ig_free(path[i]);
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

/* "public, \"My Schema\"": names as in SQL, separated by commas. */
static igloo_status parse_path(struct ig_str value, char **path, size_t *count,
                               struct igloo_error *reterr) {
  for (;;) {
    if (*count == IG_SEARCH_PATH_MAX)
      return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                           "cannot have more than %d schemas in search_path",
                           IG_SEARCH_PATH_MAX);
    size_t len = first_name_len(value);
    struct ig_sql_name name;
    IG_TRY(ig_sql_name_parse(ig_str_sub(value, 0, len), 1, &name, reterr));
    path[(*count)++] = IG_TAKE(name.parts[0]);
    ig_sql_name_done(&name);
    if (len == value.len) return IGLOO_OK;
    value = ig_str_sub(value, len + 1, value.len);
  }
}

static igloo_status set_search_path(struct ig_settings *settings, struct ig_str value,
                                    struct igloo_error *reterr) {
  char **path = ig_calloc(IG_SEARCH_PATH_MAX, sizeof(*path));
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
    ig_sql_append_name(out, ig_str_from_cstr(settings->search_path[i]));
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

/* ---- igloo.views ------------------------------------------------------------------- */

static igloo_status set_views(struct ig_settings *settings, struct ig_str value,
                              struct igloo_error *reterr) {
  if (ig_parse_bool(value, &settings->views, NULL) == IGLOO_OK) return IGLOO_OK;
  return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                 "invalid value for \"igloo.views\": \"%.*s\"", IG_STR_ARG(value));
}

static void get_views(const struct ig_settings *settings, struct ig_buf *out) {
  ig_buf_append_cstr(out, settings->views ? "on" : "off");
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
    {"igloo.cache", NULL, "Whether scans use and fill the cache.", NULL, NULL},
    {"igloo.compression", "none",
     "How results over Flight SQL are compressed: none, lz4 or zstd.", set_compression,
     get_compression},
    {"igloo.strict_pushdown", NULL, "Refuse conditions that a source cannot take.", NULL,
     NULL},
    {"igloo.strict_pushdown_bytes", NULL,
     "Bytes from which igloo.strict_pushdown refuses.", NULL, NULL},
    {"igloo.views", "off", "Whether results keep the view types of text and binary.",
     set_views, get_views},
    {"search_path", IG_CATALOG_DEFAULT_SCHEMA,
     "Schemas in which unqualified names are looked up.", set_search_path,
     get_search_path},
    {"statement_timeout", NULL, "Longest time for one statement; 0 is no limit.",
     set_timeout, get_timeout},
    {"time_zone", "UTC", "Time zone in which timestamps are read and shown.",
     set_time_zone, get_time_zone},
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

igloo_status ig_settings_init(struct ig_settings *settings, int64_t statement_timeout_us,
                              struct igloo_error *reterr) {
  *settings = (struct ig_settings){.statement_timeout_us = statement_timeout_us,
                                   .statement_timeout_default_us = statement_timeout_us};
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
  copy.search_path = ig_calloc(settings->search_path_count + 1, sizeof(char *));
  bool whole = copy.time_zone && copy.search_path;
  copy.search_path_count = 0;
  for (size_t i = 0; whole && i < settings->search_path_count; i++) {
    copy.search_path[i] = ig_strdup(settings->search_path[i]);
    whole = copy.search_path[i] != NULL;
    if (whole) copy.search_path_count++;
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
  settings->statement_timeout_us = settings->statement_timeout_default_us;
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
