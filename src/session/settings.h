/*
 * settings.h -- what SET, RESET and SHOW know: an allow-list, nothing else.
 *
 * One table lists the settings. A name that is not in it is refused, those of the engine
 * too, so that no statement changes limits, folders or object stores.
 *
 * Owns:    struct ig_settings owns its texts.
 * Threads: one thread at a time.
 * Blocks:  never.
 */
#ifndef IG_SESSION_SETTINGS_H
#define IG_SESSION_SETTINGS_H

#include "arrow/ipc_encode.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "catalog/catalog.h"
#include "config/config.h"

/* Schemas of one search path. */
#define IG_SEARCH_PATH_MAX 64

/* What a configuration gives the settings of a session. */
struct ig_settings_defaults {
  int64_t statement_timeout_us;
  bool strict_pushdown;
  int64_t strict_pushdown_bytes;
};

struct ig_settings {
  char *time_zone;
  struct ig_pair *search_path; /* catalog and schema; texts owned */
  size_t search_path_count;
  int64_t statement_timeout_us; /* 0: none */
  bool views;
  enum ig_ipc_codec compression; /* of results that go out as Arrow IPC */
  /* For tables of attached sources (connector/source.h). */
  bool pushdown;
  bool strict_pushdown;
  int64_t strict_pushdown_bytes;
  struct ig_settings_defaults defaults;
};

struct ig_settings_defaults ig_settings_defaults_of(const struct ig_config *config);

/* Defaults. OUT_OF_MEMORY. Free: ig_settings_done. */
IG_NODISCARD igloo_status ig_settings_init(struct ig_settings *settings,
                                           const struct ig_settings_defaults *defaults,
                                           struct igloo_error *reterr);
void ig_settings_done(struct ig_settings *settings);

/* The catalog that USE chose: that of the first schema of the search path. */
const char *ig_settings_catalog(const struct ig_settings *settings);

/* Give a copy. OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_settings_copy(const struct ig_settings *settings,
                                           struct ig_settings *ret_copy,
                                           struct igloo_error *reterr);

/* Names are as SQL writes them: in any case, their parts in double quotes or not. */

/* Change one from its text as SET has it (`value` data NULL: the default). Returns
 * NOT_FOUND 42704 for a name that is not in the list (hint: the nearest);
 * INVALID_ARGUMENT 22023 for a bad value; UNSUPPORTED for one that is not built yet. */
IG_NODISCARD igloo_status ig_settings_set(struct ig_settings *settings,
                                          struct ig_str name, struct ig_str value,
                                          struct igloo_error *reterr);

/* The value as text. Gives *ret_value (free: ig_free). Errors as ig_settings_set. */
IG_NODISCARD igloo_status ig_settings_get(const struct ig_settings *settings,
                                          struct ig_str name, char **ret_value,
                                          struct igloo_error *reterr);

/* The name by which the list has the setting (static). Errors as ig_settings_set. */
IG_NODISCARD igloo_status ig_settings_name(struct ig_str text, const char **ret_name,
                                           struct igloo_error *reterr);

/* The codec that a value of "igloo.compression" names. INVALID_ARGUMENT 22023. */
IG_NODISCARD igloo_status ig_settings_codec(struct ig_str value,
                                            enum ig_ipc_codec *ret_codec,
                                            struct igloo_error *reterr);
const char *ig_settings_codec_name(enum ig_ipc_codec codec);

/* Name and one sentence about setting `index`; false past the last one. */
bool ig_settings_at(size_t index, const char **ret_name, const char **ret_doc);

#endif
