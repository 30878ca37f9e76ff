/*
 * options.h -- settings by name and value, for clients that do not write SET.
 *
 * Owns: nothing. Threads: thread-safe. Blocks: never for long (a plan context is made).
 */
#ifndef IG_SESSION_OPTIONS_H
#define IG_SESSION_OPTIONS_H

#include "session/session.h"
#include "session/settings.h"

/* `catalog`, `schema` and the settings of SET. */
#define IG_SESSION_OPTIONS_MAX ((size_t)16)

/* Change one; `value` data NULL: its default. `catalog` knows one value; `schema` is the
 * first of search_path. Errors as those of SET and USE: NOT_FOUND 42704 or UNSUPPORTED
 * for the name, INVALID_ARGUMENT for the value. */
IG_NODISCARD igloo_status ig_session_set_option(ig_session *session, struct ig_str name,
                                                struct ig_str value,
                                                struct igloo_error *reterr);

/* The setting igloo.compression of now. */
enum ig_ipc_codec ig_session_compression(ig_session *session);

enum ig_session_option_type {
  IG_SESSION_OPTION_TEXT,
  IG_SESSION_OPTION_BOOL,
  IG_SESSION_OPTION_INT64, /* statement_timeout: milliseconds, as SET takes a number */
  IG_SESSION_OPTION_NAMES,
};
struct ig_session_option_text {
  const char *name;
  enum ig_session_option_type type;
  struct ig_str text;
  int64_t number;
  const char *const *names;
  size_t names_count;
};

/* Call `each` for every one; the option is borrowed for the call. */
IG_NODISCARD igloo_status ig_session_each_option(
    ig_session *session,
    igloo_status (*each)(void *ctx, const struct ig_session_option_text *option,
                         struct igloo_error *reterr),
    void *ctx, struct igloo_error *reterr);

#endif
