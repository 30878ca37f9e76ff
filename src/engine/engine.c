/* engine.c -- see engine.h. Files go to the disk through the callbacks below only. */
#include "engine/engine.h"

#include <igloo/igloo.h>

#include "base/clock.h"
#include "base/limits.h"
#include "engine/bridge.h"
#include "files/read.h"

/* Shares of engine.memory_limit (DESIGN 4): the rest is for buffers in C. */
#define POOL_PERCENT 75
#define CACHE_PERCENT 10
/* A pool below this cannot hold one batch per operator. */
#define MEMORY_BYTES_MIN (16 * (uint64_t)IG_MIB)
#define CHANNEL_BYTES (8 * (uint64_t)IG_MIB)
#define IO_THREADS 2
/* Most abandoned plans see their cancel token within this time. */
#define CLOSE_WAIT_US IG_US_PER_S
/* Blocking reads and callbacks side by side: each holds a stack, few are ever needed. */
#define BLOCKING_THREADS 64

struct ig_engine {
  int32_t refs;
  igb_engine *bridge;
  ig_planners *planners;
  const ig_roots *roots; /* borrowed */
};

/* ---- files: called by the bridge on its blocking threads ----------------------------
 */

static int32_t file_open(void *ctx, struct igb_str path, const struct igb_file_id *id,
                         void **ret_file, struct igb_file_id *ret_id,
                         struct igb_error *ret_error) {
  const ig_engine *engine = ctx;
  struct igloo_error *reterr = ig_from_igb_error(ret_error);
  IG_AUTO_CHAR *name = ig_str_dup(ig_from_igb_str(path));
  if (!name) return (int32_t)ig_fail_oom(reterr);
  struct ig_file_id expected = {0};
  if (id)
    expected = (struct ig_file_id){
        .size = id->size, .mtime_ns = id->mtime_ns, .inode = id->inode};
  ig_reader *reader = NULL;
  struct ig_file_id found;
  igloo_status status = ig_reader_open(engine->roots, name, IG_ACCESS_ENGINE,
                                       id ? &expected : NULL, &reader, &found, reterr);
  if (status != IGLOO_OK) return (int32_t)status;
  if (ret_id)
    *ret_id = (struct igb_file_id){
        .size = found.size, .mtime_ns = found.mtime_ns, .inode = found.inode};
  *ret_file = reader;
  return IGLOO_OK;
}

static int32_t file_pread(void *ctx IG_UNUSED, void *file, uint64_t offset,
                          uint8_t *ret_bytes, size_t len, struct igb_error *ret_error) {
  return (int32_t)ig_reader_pread(file, offset, ret_bytes, len,
                                  ig_from_igb_error(ret_error));
}

static void file_close(void *ctx IG_UNUSED, void *file) {
  (void)ig_reader_close(file);
}

/* ---- life -------------------------------------------------------------------------- */

static igloo_status check_config(const struct ig_engine_config *config,
                                 struct igloo_error *reterr) {
  if (config->memory_bytes >= MEMORY_BYTES_MIN) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                "engine.memory_limit is too small: %llu bytes",
                (unsigned long long)config->memory_bytes);
  ig_error_hint(reterr, "The smallest memory limit is 16MiB.");
  return IGLOO_INVALID_ARGUMENT;
}

igloo_status ig_engine_new(const struct ig_engine_config *config, const ig_roots *roots,
                           ig_engine **ret_engine, struct igloo_error *reterr) {
  IG_TRY(check_config(config, reterr));
  IG_AUTO(ig_engine) *engine = ig_calloc(1, sizeof(*engine));
  if (!engine) return ig_fail_oom(reterr);
  engine->refs = 1;
  engine->roots = roots;
  IG_TRY(ig_planners_new(config->running, config->queued, &engine->planners, reterr));
  struct igb_engine_options options = {
      .abi_version = IGB_ABI_VERSION,
      .cpu_threads = config->threads,
      .io_threads = IO_THREADS,
      .blocking_threads = BLOCKING_THREADS,
      .memory_bytes = config->memory_bytes,
      .owns_process = ig_process_is_own(),
      .pool_bytes = config->memory_bytes / 100 * POOL_PERCENT,
      .cache_bytes = config->memory_bytes / 100 * CACHE_PERCENT,
      .channel_bytes = CHANNEL_BYTES,
      .spill_dir = ig_to_igb_cstr(config->spill_dir),
      .spill_bytes = config->spill_bytes,
      .batch_rows = config->batch_rows,
      .plan_nodes = config->plan_nodes,
      .sql_nesting = config->sql_nesting,
      .version = ig_to_igb_cstr("Igloo " IGLOO_VERSION),
  };
  struct igb_files files = {engine, file_open, file_pread, file_close};
  IG_TRY((igloo_status)igb_engine_new(&options, &files, &engine->bridge,
                                      ig_to_igb_error(reterr)));
  *ret_engine = IG_TAKE(engine);
  return IGLOO_OK;
}

const ig_roots *ig_engine_roots(const ig_engine *engine) {
  return engine->roots;
}

ig_engine *ig_engine_ref(ig_engine *engine) {
  (void)__atomic_add_fetch(&engine->refs, 1, __ATOMIC_RELAXED);
  return engine;
}

bool ig_engine_close(ig_engine *engine) {
  return ig_planners_close(engine->planners, ig_deadline_in(CLOSE_WAIT_US));
}

ig_engine *ig_engine_unref(ig_engine *engine) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!engine || __atomic_sub_fetch(&engine->refs, 1, __ATOMIC_ACQ_REL) > 0) return NULL;
  IG_ASSERT(!ig_planners_on_thread());
  (void)ig_planners_free(engine->planners);
  if (engine->bridge) igb_engine_free(engine->bridge);
  ig_free(engine);
  return NULL;
}

void ig_engine_stats_get(const ig_engine *engine, struct ig_engine_stats *ret_stats) {
  struct igb_engine_stats stats = {0};
  igb_engine_stats_get(engine->bridge, &stats);
  *ret_stats = (struct ig_engine_stats){
      .pool_used_bytes = stats.pool_used_bytes,
      .pool_limit_bytes = stats.pool_limit_bytes,
      .spilled_bytes = stats.spilled_bytes_now,
      .cache_used_bytes = stats.cache_used_bytes,
  };
}

struct igb_engine *ig_engine_peek_bridge(ig_engine *engine) {
  return engine->bridge;
}

ig_planners *ig_engine_peek_planners(ig_engine *engine) {
  return engine->planners;
}
