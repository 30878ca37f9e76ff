/*
 * bridge.h -- what the files of engine/ share about the bridge; nobody else includes it.
 *
 * struct igb_error is struct igloo_error under the bridge's name: the layouts are proved
 * equal here, and pointers are passed through.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_ENGINE_BRIDGE_H
#define IG_ENGINE_BRIDGE_H

#include <igloo/arrow.h>
#include <igloo_bridge.h>

#include "base/cancel.h"
#include "base/error.h"
#include "base/str.h"
#include "engine/engine.h"
#include "engine/planners.h"
#include "scan/resolver.h"

/* What proves that a struct or list of the bridge's is one of ours. */
#define SAME_FIELD(bridges, ours, field)                                         \
  static_assert(offsetof(struct bridges, field) == offsetof(struct ours, field), \
                "one layout")
#define SAME_SIZE(bridges, ours) \
  static_assert(sizeof(struct bridges) == sizeof(struct ours), "one layout")

#define SAME_VALUE(bridges, ours) static_assert((int)(bridges) == (int)(ours), "one list")

SAME_SIZE(igb_str, ig_str);
SAME_SIZE(igb_error, igloo_error);
SAME_FIELD(igb_error, igloo_error, sqlstate);
SAME_FIELD(igb_error, igloo_error, line);
SAME_FIELD(igb_error, igloo_error, message);
SAME_FIELD(igb_error, igloo_error, hint);

static inline struct igb_error *ig_to_igb_error(struct igloo_error *error) {
  return (struct igb_error *)(void *)error;
}

static inline struct igloo_error *ig_from_igb_error(struct igb_error *error) {
  return (struct igloo_error *)(void *)error;
}

static inline struct igb_str ig_to_igb_str(struct ig_str text) {
  return (struct igb_str){(const uint8_t *)text.data, text.len};
}

static inline struct igb_str ig_to_igb_cstr(const char *text) {
  return ig_to_igb_str(ig_str_from_cstr(text));
}

static inline struct ig_str ig_from_igb_str(struct igb_str text) {
  return (struct ig_str){(const char *)text.data, text.len};
}

/* The bridge's view of a token, borrowed. NULL is never cancelled. */
struct igb_cancel ig_to_igb_cancel(ig_cancel *cancel);

/* The bridge's view of the resolver, borrowed for one planning call. `ctx` holds it. */
struct ig_names_ctx {
  ig_resolver *resolver;
  ig_cancel *cancel;
};
struct igb_names ig_to_igb_names(struct ig_names_ctx *ctx);

/* The bridge's description of a table. Shares the table: the bridge gives that reference
 * back through `release`. Arrays lie in the table's arena. */
IG_NODISCARD igloo_status ig_to_igb_table(ig_scan_table *table,
                                          struct igb_table *ret_table,
                                          struct igloo_error *reterr);

/* The part of it that is a table of another database. */
void ig_to_igb_remote(const ig_scan_table *table, struct igb_table *out);

/* Its functions. */
const struct igb_remote *ig_igb_remote(void);

/* The bridge's view of a run, borrowed, made in *space; NULL for NULL. */
const struct igb_execution *ig_to_igb_execution(ig_remote_run *run,
                                                struct igb_execution *space);

/* Of an engine, borrowed. */
struct igb_engine *ig_engine_peek_bridge(ig_engine *engine);
ig_planners *ig_engine_peek_planners(ig_engine *engine);

#endif
