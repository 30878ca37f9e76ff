/*
 * config.h -- file, environment and flags become one validated, immutable struct.
 *
 * Every key stands in keys.def, once: its type, default, bounds and what it
 * does; the struct's fields, the checks, `igloo config show` and
 * docs/configuration.md all come from there. A flag wins over the environment
 * variable IGLOO_SECTION_KEY, that over the file, that over the default.
 *
 * Owns:    struct ig_config owns its texts.
 * Threads: immutable once loaded; loading reads the environment.
 * Blocks:  only ig_config_load, in reading the file.
 */
#ifndef IG_CONFIG_CONFIG_H
#define IG_CONFIG_CONFIG_H

#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#define IG_CONFIG_TEXT_FIELD const char *
#define IG_CONFIG_PATH_FIELD const char *
#define IG_CONFIG_SECRET_FIELD const char *
#define IG_CONFIG_WORD_FIELD const char *
#define IG_CONFIG_BOOL_FIELD bool
#define IG_CONFIG_COUNT_FIELD uint64_t
#define IG_CONFIG_SIZE_FIELD uint64_t
#define IG_CONFIG_TIME_FIELD int64_t

/* A section [catalog.NAME]: a source that is attached at start. */
struct ig_config_catalog_item {
  const char *key, *value;
  const char *origin; /* "file /x:12" */
};
struct ig_config_catalog {
  const char *name;
  struct ig_config_catalog_item *items; /* in order; keys are different */
  size_t items_count, items_cap;
};

/* One field for each key: `config->engine_memory_limit`. Texts are never NULL. */
struct ig_config {
#define IG_KEY(section, name, type, fallback, min, max, state, doc) \
  IG_CONFIG_##type##_FIELD section##_##name;
#include "config/keys.def"
#undef IG_KEY
  struct ig_config_origins *origins; /* see ig_config_each */
  struct ig_config_catalog *catalogs;
  size_t catalogs_count, catalogs_cap;
};

struct ig_config_override {
  const char *key; /* "engine.threads"; borrowed for the call */
  const char *value;
};

/* Load. `path` is the value of --config, or NULL: then $IGLOO_CONFIG, then
 * /etc/igloo/igloo.conf if it exists. `overrides` are flags or options, in order; the key
 * "config" stands for `path`. Gives *ret_config (free: ig_config_free). Returns
 * INVALID_ARGUMENT 22023 for an unknown key (hint: the nearest name) or a bad value, with
 * "FILE:LINE: " or the variable's name before the message; UNSUPPORTED 0A000 for a key
 * that is not built yet; INVALID_ARGUMENT for a secret among the overrides, and for a
 * password in catalog.NAME; NOT_FOUND 58P01, PERMISSION_DENIED, IO_ERROR for a file that
 * was asked for and cannot be read. */
IG_NODISCARD igloo_status ig_config_load(const char *path,
                                         const struct ig_config_override *overrides,
                                         size_t overrides_count,
                                         struct ig_config **ret_config,
                                         struct igloo_error *reterr);

struct ig_config *ig_config_free(struct ig_config *config);
IG_DEFINE_AUTO_STRUCT(ig_config, ig_config_free)

enum ig_config_source {
  IG_CONFIG_DEFAULT,
  IG_CONFIG_FILE,
  IG_CONFIG_ENVIRONMENT,
  IG_CONFIG_FLAG,
};

struct ig_config_entry {
  const char *key;   /* "engine.threads" */
  const char *value; /* as text that would load again; "********" for a set secret */
  const char
      *type;       /* "size", "time", "count", "bool", "text", "path", "word", "secret" */
  const char *doc; /* one sentence or two */
  const char *fallback; /* the default as text */
  const char *origin;   /* "default", "file /x:12", "environment IGLOO_X_Y", "flag" */
  enum ig_config_source source;
  bool built; /* false: refused unless default */
};

/* Call `each` for every key in the order of keys.def, then those of catalogs; the entry
 * is borrowed for the call. Stops at the first failure and returns it. */
IG_NODISCARD igloo_status ig_config_each(
    const struct ig_config *config,
    igloo_status (*each)(void *ctx, const struct ig_config_entry *, struct igloo_error *),
    void *ctx, struct igloo_error *reterr);

/* True if the key was set anywhere; false for its default and for unknown keys. */
bool ig_config_is_set(const struct ig_config *config, const char *key);

/* docs/configuration.md, made from keys.def alone. Returns IO_ERROR. */
IG_NODISCARD igloo_status ig_config_write_markdown(FILE *out, struct igloo_error *reterr);

#endif
