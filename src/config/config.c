/*
 * config.c -- see config.h. keys.def becomes a table of offsets into struct
 * ig_config; one function sets a key, whoever asks for it.
 */
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/sensitive.h"
#include "config/ini.h"
#include "config/machine.h"

#define SYSTEM_FILE "/etc/igloo/igloo.conf"
#define PREFIX "IGLOO_"
#define BUILT true
#define LATER false

enum type { TEXT, PATH, SECRET, WORD, BOOL, COUNT, SIZE, TIME };

static const char *const type_names[] = {
    [TEXT] = "text", [PATH] = "path",   [SECRET] = "secret", [WORD] = "word",
    [BOOL] = "bool", [COUNT] = "count", [SIZE] = "size",     [TIME] = "time"};

struct key {
  const char *name;     /* "engine.threads" */
  const char *variable; /* "engine_threads"; upper case and prefixed in the environment */
  const char *fallback; /* of keys.def, with its "=" */
  const char *doc;
  uint64_t min;
  uint64_t max;
  size_t offset;
  enum type type;
  bool built;
};

static const struct key keys[] = {
#define IG_KEY(section, key, type_, fallback_, min_, max_, state, doc_) \
  {.name = #section "." #key,                                           \
   .variable = #section "_" #key,                                       \
   .fallback = fallback_,                                               \
   .doc = doc_,                                                         \
   .min = min_,                                                         \
   .max = max_,                                                         \
   .offset = offsetof(struct ig_config, section##_##key),               \
   .type = type_,                                                       \
   .built = state},
#include "config/keys.def"
#undef IG_KEY
};

#define KEYS_COUNT IG_ARRAY_LEN(keys)

/* Beside each field: its text, and where it came from. */
struct ig_config_origins {
  struct {
    char *value;  /* owned; the text fields of struct ig_config point to it */
    char *origin; /* owned; NULL is "default" */
    enum ig_config_source source;
  } keys[KEYS_COUNT];
};

/* One parsed value. */
struct value {
  bool flag;
  uint64_t number;
  int64_t time_us;
};

/* ---- names ----------------------------------------------------------------------------
 */

static const struct key *find_key(struct ig_str name) {
  for (size_t i = 0; i < KEYS_COUNT; i++)
    if (ig_str_eq_cstr(name, keys[i].name)) return &keys[i];
  return NULL;
}

static void hint_nearest(struct ig_str name, struct igloo_error *reterr) {
  const char *names[KEYS_COUNT];
  for (size_t i = 0; i < KEYS_COUNT; i++) names[i] = keys[i].name;
  const char *nearest = ig_str_nearest(name, names, KEYS_COUNT);
  if (nearest)
    ig_error_hint(reterr, "Did you mean \"%s\"?", nearest);
  else
    ig_error_hint(reterr, "\"igloo config show\" lists every key.");
}

static igloo_status fail_unknown(struct ig_str name, struct igloo_error *reterr) {
  igloo_status status =
      ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unknown key \"%.*s\"", IG_STR_ARG(name));
  hint_nearest(name, reterr);
  return status;
}

/* True if `text` is one of the words before the colon of the key's doc. */
static bool is_word_of(const struct key *key, struct ig_str text) {
  struct ig_str words, word, rest;
  (void)ig_str_split(ig_str_from_cstr(key->doc), ':', &words, &rest);
  bool more = true;
  while (more) {
    more = ig_str_split(words, ',', &word, &words);
    if (ig_str_eq(ig_str_trim(word), text)) return true;
  }
  return false;
}

/* ---- values ------------------------------------------------------------------------ */

static igloo_status fail_word(const struct key *key, struct ig_str text,
                              struct igloo_error *reterr) {
  struct ig_str words, rest;
  (void)ig_str_split(ig_str_from_cstr(key->doc), ':', &words, &rest);
  igloo_status status =
      ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "\"%.*s\" is not a value of %s",
              IG_STR_ARG(text), key->name);
  ig_error_hint(reterr, "It is one of: %.*s.", IG_STR_ARG(words));
  return status;
}

static igloo_status fail_bounds(const struct key *key, struct ig_str text,
                                struct igloo_error *reterr) {
  igloo_status status =
      ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "%s is out of range: \"%.*s\"", key->name,
              IG_STR_ARG(text));
  const char *unit = key->type == SIZE   ? " bytes"
                     : key->type == TIME ? " microseconds"
                                         : "";
  if (key->max < INT64_MAX)
    ig_error_hint(reterr, "It is at least %llu and at most %llu%s.",
                  (unsigned long long)key->min, (unsigned long long)key->max, unit);
  else
    ig_error_hint(reterr, "It is at least %llu%s.", (unsigned long long)key->min, unit);
  return status;
}

/* Parse `text` for the key; the texts themselves need nothing but a NUL-free form. */
static igloo_status parse_value(const struct key *key, struct ig_str text,
                                struct value *ret_value, struct igloo_error *reterr) {
  struct value value = {0};
  igloo_status status = IGLOO_OK;
  bool in_range = true;
  switch (key->type) {
    case TEXT:
    case PATH:
    case SECRET:
      break;
    case WORD:
      if (!is_word_of(key, text)) return fail_word(key, text, reterr);
      break;
    case BOOL:
      status = ig_parse_bool(text, &value.flag, reterr);
      break;
    case COUNT:
    case SIZE:
      status = key->type == COUNT ? ig_parse_u64(text, &value.number, reterr)
                                  : ig_parse_size(text, &value.number, reterr);
      in_range = value.number >= key->min && value.number <= key->max;
      break;
    case TIME:
      status = ig_parse_duration(text, 1000, &value.time_us, reterr);
      in_range =
          (uint64_t)value.time_us >= key->min && (uint64_t)value.time_us <= key->max;
      break;
  }
  if (status != IGLOO_OK) {
    struct igloo_error inner;
    if (reterr) inner = *reterr;
    status = ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "\"%.*s\" is not a %s for %s",
                     IG_STR_ARG(text), type_names[key->type], key->name);
    if (reterr) ig_error_detail(reterr, "Parsing it gave: %s.", inner.message);
    return status;
  }
  if (!in_range) return fail_bounds(key, text, reterr);
  *ret_value = value;
  return IGLOO_OK;
}

static void *field_of(struct ig_config *config, const struct key *key) {
  return (char *)config + key->offset;
}

static void store_value(struct ig_config *config, const struct key *key,
                        const struct value *value, const char *text) {
  void *field = field_of(config, key);
  switch (key->type) {
    case TEXT:
    case PATH:
    case SECRET:
    case WORD:
      memcpy(field, &text, sizeof(text));
      break;
    case BOOL:
      memcpy(field, &value->flag, sizeof(value->flag));
      break;
    case COUNT:
    case SIZE:
      memcpy(field, &value->number, sizeof(value->number));
      break;
    case TIME:
      memcpy(field, &value->time_us, sizeof(value->time_us));
      break;
  }
}

/* True if the key's field has this value already. */
static bool has_value(struct ig_config *config, const struct key *key,
                      const struct value *value, struct ig_str text) {
  const void *field = field_of(config, key);
  switch (key->type) {
    case BOOL:
      return memcmp(field, &value->flag, sizeof(value->flag)) == 0;
    case COUNT:
    case SIZE:
      return memcmp(field, &value->number, sizeof(value->number)) == 0;
    case TIME:
      return memcmp(field, &value->time_us, sizeof(value->time_us)) == 0;
    case TEXT:
    case PATH:
    case SECRET:
    case WORD:
      break;
  }
  return ig_str_eq_cstr(text, config->origins->keys[key - keys].value);
}

/* Set a key; `origin` says from where, NULL for the default. */
static igloo_status set_key(struct ig_config *config, const struct key *key,
                            struct ig_str text, enum ig_config_source source,
                            const char *origin, struct igloo_error *reterr) {
  struct value value;
  text = ig_str_trim(text);
  if (text.len > 0 && memchr(text.data, '\0', text.len))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "the value of %s holds a NUL byte",
                   key->name);
  IG_TRY(parse_value(key, text, &value, reterr));
  if (!key->built && source != IG_CONFIG_DEFAULT) {
    if (has_value(config, key, &value, text)) return IGLOO_OK;
    igloo_status status =
        ig_fail(reterr, IGLOO_UNSUPPORTED, "key \"%s\" is not supported yet", key->name);
    ig_error_hint(reterr, "Leave it out: what it is for is not built yet.");
    return status;
  }

  IG_AUTO_CHAR *copy = ig_str_dup(text);
  IG_AUTO_CHAR *origin_copy = origin ? ig_strdup(origin) : NULL;
  if (!copy || (origin && !origin_copy)) return ig_fail_oom(reterr);
  size_t index = (size_t)(key - keys);
  ig_free(config->origins->keys[index].value);
  ig_free(config->origins->keys[index].origin);
  store_value(config, key, &value, copy);
  config->origins->keys[index].value = IG_TAKE(copy);
  config->origins->keys[index].origin = IG_TAKE(origin_copy);
  config->origins->keys[index].source = source;
  return IGLOO_OK;
}

/* ---- catalogs ---------------------------------------------------------------------- */

#define CATALOG_PREFIX "catalog."

static igloo_status find_catalog(struct ig_config *config, struct ig_str name,
                                 struct ig_config_catalog **ret_catalog,
                                 struct igloo_error *reterr) {
  for (size_t i = 0; i < config->catalogs_count; i++)
    if (ig_str_eq_cstr(name, config->catalogs[i].name)) {
      *ret_catalog = &config->catalogs[i];
      return IGLOO_OK;
    }
  IG_TRY(IG_RESERVE(config->catalogs, config->catalogs_cap, config->catalogs_count + 1,
                    IG_ATTACHMENTS_MAX, "catalogs", reterr));
  struct ig_config_catalog *made = &config->catalogs[config->catalogs_count];
  made->name = ig_str_dup(name);
  if (!made->name) return ig_fail_oom(reterr);
  config->catalogs_count++;
  *ret_catalog = made;
  return IGLOO_OK;
}

static igloo_status refuse_password(struct ig_str name, struct igloo_error *reterr) {
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "key \"%.*s\" holds a password",
                IG_STR_ARG(name));
  ig_error_hint(
      reterr,
      "Make a secret by CREATE SECRET, and name it by the key \"secret\" of the "
      "catalog.");
  return IGLOO_INVALID_ARGUMENT;
}

static void free_item(struct ig_config_catalog_item *item) {
  ig_free((char *)(uintptr_t)item->key);
  ig_free((char *)(uintptr_t)item->value);
  ig_free((char *)(uintptr_t)item->origin);
}

/* "catalog.NAME.key": the last of equal keys counts. Which keys there are, the type of
 * the source decides. */
static igloo_status set_catalog_key(struct ig_config *config, struct ig_str name,
                                    struct ig_str text, const char *origin,
                                    struct igloo_error *reterr) {
  struct ig_str rest = ig_str_sub(name, sizeof(CATALOG_PREFIX) - 1, SIZE_MAX);
  size_t dot = ig_str_find_char(rest, '.');
  struct ig_str catalog_name = ig_str_sub(rest, 0, dot);
  struct ig_str key =
      dot == IG_STR_NONE ? IG_STR("") : ig_str_sub(rest, dot + 1, SIZE_MAX);
  struct ig_config_catalog *catalog = NULL;
  text = ig_str_trim(text);
  if (!catalog_name.len || !key.len) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unknown key \"%.*s\"",
                  IG_STR_ARG(name));
    ig_error_hint(reterr, "Catalogs have sections of their own: [catalog.NAME].");
    return IGLOO_INVALID_ARGUMENT;
  }
  if (memchr(text.data ? text.data : "", 0, text.len))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "the value of %.*s holds a NUL byte",
                   IG_STR_ARG(name));
  bool names_secret = ig_str_eq_cstr(key, "secret");
  if ((!names_secret && ig_key_is_sensitive(key)) ||
      (ig_str_eq_cstr(key, "uri") && ig_uri_has_password(text)))
    return refuse_password(name, reterr);
  IG_TRY(find_catalog(config, catalog_name, &catalog, reterr));
  struct ig_config_catalog_item item = {ig_str_dup(key), ig_str_dup(text),
                                        ig_strdup(origin)};
  igloo_status status =
      item.key && item.value && item.origin ? IGLOO_OK : ig_fail_oom(reterr);
  if (status == IGLOO_OK)
    status = IG_RESERVE(catalog->items, catalog->items_cap, catalog->items_count + 1,
                        IG_SOURCE_OPTIONS_MAX, "keys of one catalog", reterr);
  if (status != IGLOO_OK) {
    free_item(&item);
    return status;
  }
  for (size_t i = 0; i < catalog->items_count; i++) {
    if (!ig_str_eq_cstr(key, catalog->items[i].key)) continue;
    free_item(&catalog->items[i]);
    catalog->items[i] = item;
    return IGLOO_OK;
  }
  catalog->items[catalog->items_count++] = item;
  return IGLOO_OK;
}

static void free_catalogs(struct ig_config *config) {
  for (size_t i = 0; i < config->catalogs_count; i++) {
    struct ig_config_catalog *catalog = &config->catalogs[i];
    for (size_t j = 0; j < catalog->items_count; j++) free_item(&catalog->items[j]);
    ig_free(catalog->items);
    ig_free((char *)(uintptr_t)catalog->name);
  }
  ig_free(config->catalogs);
}

static igloo_status each_catalog_key(const struct ig_config *config,
                                     igloo_status (*each)(void *ctx,
                                                          const struct ig_config_entry *,
                                                          struct igloo_error *),
                                     void *ctx, struct igloo_error *reterr) {
  for (size_t i = 0; i < config->catalogs_count; i++) {
    const struct ig_config_catalog *catalog = &config->catalogs[i];
    for (size_t j = 0; j < catalog->items_count; j++) {
      const struct ig_config_catalog_item *item = &catalog->items[j];
      IG_AUTO_CHAR *name = ig_asprintf(CATALOG_PREFIX "%s.%s", catalog->name, item->key);
      if (!name) return ig_fail_oom(reterr);
      struct ig_config_entry entry = {
          .key = name,
          .value = item->value,
          .type = type_names[TEXT],
          .doc = "What is attached at start under this name, as ATTACH says it.",
          .fallback = "",
          .origin = item->origin,
          .source = ig_str_starts(ig_str_from_cstr(item->origin), IG_STR("file "))
                        ? IG_CONFIG_FILE
                        : IG_CONFIG_FLAG,
          .built = true};
      IG_TRY(each(ctx, &entry, reterr));
    }
  }
  return IGLOO_OK;
}

/* ---- defaults ---------------------------------------------------------------------- */

/* The text of a default that keys.def marks with "=". */
static char *computed_default(const struct key *key) {
  if (strcmp(key->name, "engine.memory_limit") == 0) {
    uint64_t bytes = ig_machine_memory_bytes() / 4 * 3;
    if (bytes < key->min) bytes = key->min;
    return ig_asprintf("%lluMiB", (unsigned long long)(bytes / IG_MIB));
  }
  if (strcmp(key->name, "engine.threads") == 0) {
    uint64_t count = ig_machine_processors();
    return ig_asprintf("%llu", (unsigned long long)(count < key->max ? count : key->max));
  }
  if (strcmp(key->name, "engine.spill_dir") == 0) {
    const char *folder = getenv("TMPDIR");
    return ig_strdup(folder && folder[0] == '/' ? folder : "/tmp");
  }
  IG_ASSERT(strcmp(key->name, "files.roots") == 0); /* whoever opens the files decides */
  return ig_strdup("");
}

static igloo_status set_defaults(struct ig_config *config, struct igloo_error *reterr) {
  for (size_t i = 0; i < KEYS_COUNT; i++) {
    bool computed = keys[i].fallback[0] == '=';
    IG_AUTO_CHAR *text =
        computed ? computed_default(&keys[i]) : ig_strdup(keys[i].fallback);
    if (!text) return ig_fail_oom(reterr);
    IG_TRY(set_key(config, &keys[i], ig_str_from_cstr(text), IG_CONFIG_DEFAULT, NULL,
                   reterr));
  }
  return IGLOO_OK;
}

/* ---- the file ---------------------------------------------------------------------- */

struct file_context {
  struct ig_config *config;
  const char *path;
  struct {
    int32_t line; /* where the key was set; 0 not yet */
  } seen[KEYS_COUNT];
};

static igloo_status set_from_file(void *ctx, const struct ig_ini_entry *entry,
                                  struct igloo_error *reterr) {
  struct file_context *file = ctx;
  IG_AUTO_CHAR *name =
      ig_asprintf("%.*s.%.*s", IG_STR_ARG(entry->section), IG_STR_ARG(entry->key));
  IG_AUTO_CHAR *origin = ig_asprintf("file %s:%d", file->path, (int)entry->line);
  if (!name || !origin) return ig_fail_oom(reterr);
  if (ig_str_starts(ig_str_from_cstr(name), IG_STR(CATALOG_PREFIX)))
    return set_catalog_key(file->config, ig_str_from_cstr(name), entry->value, origin,
                           reterr);
  const struct key *key = find_key(ig_str_from_cstr(name));
  if (!key) return fail_unknown(ig_str_from_cstr(name), reterr);
  int32_t *line = &file->seen[key - keys].line;
  if (*line != 0)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "key \"%s\" was set on line %d already", name, (int)*line);
  *line = entry->line;
  return set_key(file->config, key, entry->value, IG_CONFIG_FILE, origin, reterr);
}

static igloo_status read_file(const char *path, bool optional, struct ig_buf *text,
                              struct igloo_error *reterr) {
  IG_AUTO(FILE) *file = fopen(path, "re");
  if (!file && optional && errno == ENOENT) return IGLOO_OK;
  if (!file)
    return ig_fail_errno(reterr, errno, "could not open configuration file \"%s\"", path);
  for (;;) {
    char bytes[4096];
    size_t n = fread(bytes, 1, sizeof(bytes), file);
    ig_buf_append(text, bytes, n);
    if (n < sizeof(bytes)) break;
  }
  if (ferror(file))
    return ig_fail_errno(reterr, errno, "could not read configuration file \"%s\"", path);
  if (text->failed == IGLOO_RESOURCE_EXHAUSTED)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "configuration file \"%s\" is longer than %d bytes", path,
                   IG_INI_BYTES_MAX);
  return ig_buf_check(text, reterr);
}

static igloo_status load_file(struct ig_config *config, const char *path,
                              struct igloo_error *reterr) {
  const char *variable = getenv("IGLOO_CONFIG");
  bool optional = false;
  if (!path && variable && *variable) path = variable;
  if (!path) {
    path = SYSTEM_FILE;
    optional = true;
  }
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_INI_BYTES_MAX);
  IG_TRY(read_file(path, optional, &text, reterr));
  struct file_context file = {.config = config, .path = path};
  return ig_ini_parse(ig_buf_str(&text), path, set_from_file, &file, reterr);
}

/* ---- the environment --------------------------------------------------------------- */

/* True if `upper` is `lower` in upper case. */
static bool is_upper_of(struct ig_str upper, const char *lower) {
  if (upper.len != strlen(lower)) return false;
  for (size_t i = 0; i < upper.len; i++)
    if (upper.data[i] != ig_ascii_upper(lower[i])) return false;
  return true;
}

/* "ENGINE_THREDS" starts like a key's section: a slip, not another program's variable. */
static bool names_a_section(struct ig_str rest) {
  if (ig_str_starts(rest, IG_STR("CATALOG_"))) return true;
  for (size_t i = 0; i < KEYS_COUNT; i++) {
    size_t len = strcspn(keys[i].name, ".");
    if (rest.len > len && rest.data[len] == '_' &&
        ig_str_eq_ci(ig_str_sub(rest, 0, len), ig_str_make(keys[i].name, len)))
      return true;
  }
  return false;
}

static igloo_status fail_variable(struct ig_str name, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) key = IG_BUF_INIT(IG_INI_NAME_BYTES_MAX);
  bool dotted = false;
  for (size_t i = sizeof(PREFIX) - 1; i < name.len; i++) {
    bool dot = name.data[i] == '_' && !dotted;
    dotted |= dot;
    ig_buf_append_char(&key, dot ? '.' : ig_ascii_lower(name.data[i]));
  }
  igloo_status status = fail_unknown(ig_buf_str(&key), reterr);
  ig_error_prefix(reterr, "environment variable %.*s", IG_STR_ARG(name));
  return status;
}

static igloo_status set_from_variable(struct ig_config *config, struct ig_str variable,
                                      struct igloo_error *reterr) {
  /* Names of SURFACE that are no keys; IGLOO_TLS_CA would read like one. */
  static const char *const others[] = {"IGLOO_URI", "IGLOO_USER", "IGLOO_PASSWORD",
                                       "IGLOO_TLS_CA", "IGLOO_CONFIG"};
  struct ig_str name, value;
  (void)ig_str_split(variable, '=', &name, &value);
  if (!ig_str_starts(name, IG_STR(PREFIX)) || value.len == 0) return IGLOO_OK;
  for (size_t i = 0; i < IG_ARRAY_LEN(others); i++)
    if (ig_str_eq_cstr(name, others[i])) return IGLOO_OK;

  struct ig_str rest = ig_str_sub(name, sizeof(PREFIX) - 1, SIZE_MAX);
  for (size_t i = 0; i < KEYS_COUNT; i++) {
    if (!is_upper_of(rest, keys[i].variable)) continue;
    IG_AUTO_CHAR *origin = ig_asprintf("environment %.*s", IG_STR_ARG(name));
    if (!origin) return ig_fail_oom(reterr);
    igloo_status status =
        set_key(config, &keys[i], value, IG_CONFIG_ENVIRONMENT, origin, reterr);
    if (status != IGLOO_OK)
      ig_error_prefix(reterr, "environment variable %.*s", IG_STR_ARG(name));
    return status;
  }
  return names_a_section(rest) ? fail_variable(name, reterr) : IGLOO_OK;
}

/* A list of processes shows command lines to everybody. */
static igloo_status fail_secret(const struct key *key, struct igloo_error *reterr) {
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "\"%s\" cannot be given as a flag",
                key->name);
  ig_error_hint(reterr, "Set it in the configuration file or in the environment.");
  return IGLOO_INVALID_ARGUMENT;
}

/* ---- loading --------------------------------------------------------------------- */

static igloo_status load_all(struct ig_config *config, const char *path,
                             const struct ig_config_override *overrides,
                             size_t overrides_count, struct igloo_error *reterr) {
  IG_TRY(set_defaults(config, reterr));
  for (size_t i = 0; i < overrides_count; i++)
    if (strcmp(overrides[i].key, "config") == 0) path = overrides[i].value;
  IG_TRY(load_file(config, path, reterr));
  for (char **variable = environ; variable && *variable; variable++)
    IG_TRY(set_from_variable(config, ig_str_from_cstr(*variable), reterr));
  for (size_t i = 0; i < overrides_count; i++) {
    if (strcmp(overrides[i].key, "config") == 0) continue;
    struct ig_str name = ig_str_from_cstr(overrides[i].key);
    if (ig_str_starts(name, IG_STR(CATALOG_PREFIX))) {
      IG_TRY(set_catalog_key(config, name, ig_str_from_cstr(overrides[i].value), "flag",
                             reterr));
      continue;
    }
    const struct key *key = find_key(name);
    if (!key) return fail_unknown(ig_str_from_cstr(overrides[i].key), reterr);
    if (key->type == SECRET && overrides[i].value[0]) return fail_secret(key, reterr);
    IG_TRY(set_key(config, key, ig_str_from_cstr(overrides[i].value), IG_CONFIG_FLAG,
                   "flag", reterr));
  }
  return IGLOO_OK;
}

struct ig_config *ig_config_free(struct ig_config *config) {
  if (!config) return NULL;
  for (size_t i = 0; config->origins && i < KEYS_COUNT; i++) {
    ig_free(config->origins->keys[i].value);
    ig_free(config->origins->keys[i].origin);
  }
  ig_free(config->origins);
  free_catalogs(config);
  ig_free(config);
  return NULL;
}

igloo_status ig_config_load(const char *path, const struct ig_config_override *overrides,
                            size_t overrides_count, struct ig_config **ret_config,
                            struct igloo_error *reterr) {
  IG_AUTO_STRUCT(ig_config) *config = ig_calloc(1, sizeof(*config));
  if (!config) return ig_fail_oom(reterr);
  config->origins = ig_calloc(1, sizeof(*config->origins));
  if (!config->origins) return ig_fail_oom(reterr);
  IG_TRY(load_all(config, path, overrides, overrides_count, reterr));
  *ret_config = IG_TAKE(config);
  return IGLOO_OK;
}

/* ---- showing --------------------------------------------------------------------- */

igloo_status ig_config_each(const struct ig_config *config,
                            igloo_status (*each)(void *ctx,
                                                 const struct ig_config_entry *,
                                                 struct igloo_error *),
                            void *ctx, struct igloo_error *reterr) {
  for (size_t i = 0; i < KEYS_COUNT; i++) {
    const char *value = config->origins->keys[i].value;
    const char *origin = config->origins->keys[i].origin;
    struct ig_config_entry entry = {
        .key = keys[i].name,
        .value = keys[i].type == SECRET && *value ? "********" : value,
        .type = type_names[keys[i].type],
        .doc = keys[i].doc,
        .fallback = keys[i].fallback + (keys[i].fallback[0] == '='),
        .origin = origin ? origin : "default",
        .source = config->origins->keys[i].source,
        .built = keys[i].built};
    IG_TRY(each(ctx, &entry, reterr));
  }
  return each_catalog_key(config, each, ctx, reterr);
}

bool ig_config_is_set(const struct ig_config *config, const char *key_name) {
  const struct key *key = find_key(ig_str_from_cstr(key_name));
  return key && config->origins->keys[key - keys].source != IG_CONFIG_DEFAULT;
}

igloo_status ig_config_write_markdown(FILE *out, struct igloo_error *reterr) {
  fputs(
      "# Configuration\n\n"
      "One INI file (`--config FILE`, else `$IGLOO_CONFIG`, else `" SYSTEM_FILE
      "` where it\n"
      "exists), environment variables `IGLOO_SECTION_KEY`, and flags: a flag wins over "
      "the\n"
      "environment, that over the file, that over the default. An unknown key or a bad "
      "value\n"
      "is an error. Sizes take `B KiB MiB GiB TiB`, times `us ms s min h d`; a time "
      "without\n"
      "a unit is in milliseconds. An empty variable counts as not set. `igloo config "
      "show`\n"
      "prints every key, its value and where it came from.\n\n"
      "A comment begins with `#` or `;` and has a line of its own; a value with one of "
      "these\n"
      "after a space stands in double quotes, in which `\\\"`, `\\\\`, `\\n` and `\\t` "
      "are\n"
      "escapes. This page is made from `src/config/keys.def`.\n\n"
      "A section `[catalog.NAME]` attaches a source at start, as `ATTACH` does: `type`, "
      "`uri`,\n"
      "`secret` (the name of one made by `CREATE SECRET`), `read_only`, and the options "
      "of "
      "its\n"
      "type. See `sources.md`.\n",
      out);
  size_t section_len = 0;
  const char *section = "";
  for (size_t i = 0; i < KEYS_COUNT; i++) {
    size_t len = strcspn(keys[i].name, ".");
    if (len != section_len || strncmp(section, keys[i].name, len) != 0) {
      section = keys[i].name;
      section_len = len;
      fprintf(out,
              "\n## [%.*s]\n\n| key | type | default | meaning |\n|---|---|---|---|\n",
              (int)len, section);
    }
    bool computed = keys[i].fallback[0] == '=';
    const char *quote = computed || !keys[i].fallback[0] ? "" : "`";
    fprintf(out, "| `%s` | %s | %s%s%s | %s%s |\n", keys[i].name + len + 1,
            type_names[keys[i].type], quote, keys[i].fallback + computed, quote,
            keys[i].doc,
            keys[i].built ? "" : " *Not built yet: refused unless default.*");
  }
  if (ferror(out)) return ig_fail(reterr, IGLOO_IO_ERROR, "could not write the page");
  return IGLOO_OK;
}
