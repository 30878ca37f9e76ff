/*
 * engine.h -- the C face of the engine: one per database, made once.
 *
 * Holds the bridge's engine (runtimes, memory pool, spill files, footer cache) and the
 * planning threads. Plans and queries (plan.h, query.h) share it.
 *
 * Owns:    itself, counted; the spill folder stays the caller's.
 * Threads: all functions are thread-safe.
 * Blocks:  ig_engine_close(), for a second at most; the last ig_engine_unref().
 */
#ifndef IG_ENGINE_ENGINE_H
#define IG_ENGINE_ENGINE_H

#include "base/error.h"
#include "base/mem.h"
#include "files/roots.h"

typedef struct ig_engine ig_engine;

struct ig_engine_config {
  uint64_t memory_bytes; /* engine.memory_limit: pool, caches and C buffers together */
  const char *spill_dir; /* exists, private to this engine, outlives it */
  uint64_t spill_bytes;
  uint32_t threads;    /* engine.threads: worker threads and partitions */
  uint32_t batch_rows; /* rows of a batch */
  uint32_t running;    /* limits.running: planning threads */
  uint32_t queued;     /* limits.queued */
  uint32_t plan_nodes; /* limits.plan_nodes */
  uint32_t sql_nesting;
};

/* Start an engine that opens files through `roots` (borrowed until the engine ends).
 * Gives one reference. RESOURCE_EXHAUSTED where threads or memory are not to be had;
 * INVALID_ARGUMENT for a limit that is too small to work with. */
IG_NODISCARD igloo_status ig_engine_new(const struct ig_engine_config *config,
                                        const ig_roots *roots, ig_engine **ret_engine,
                                        struct igloo_error *reterr);
ig_engine *ig_engine_ref(ig_engine *engine);
ig_engine *ig_engine_unref(ig_engine *engine); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_engine, ig_engine_unref)

/* Its roots, borrowed. */
const ig_roots *ig_engine_roots(const ig_engine *engine);

/* Wait, but not for long, for planning threads that finish abandoned plans. Call before
 * the last unref, when nobody plans any more. Returns false if some still work: the
 * engine and what it borrows must then stay for as long as the process. */
IG_NODISCARD bool ig_engine_close(ig_engine *engine);

struct ig_engine_stats {
  uint64_t pool_used_bytes, pool_limit_bytes, spilled_bytes, cache_used_bytes;
};
void ig_engine_stats_get(const ig_engine *engine, struct ig_engine_stats *ret_stats);

#endif
