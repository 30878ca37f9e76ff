/* query.c -- see query.h. */
#include "engine/query.h"

#include "engine/bridge.h"
#include "engine/lookup.h"
#include "engine/plan_private.h"

struct ig_query {
  ig_plan *plan;
  ig_cancel *cancel; /* may be NULL */
  /* Its rows come from one of: */
  igb_query *bridge; /* owned */
  ig_looked *looked; /* shared with its stream */
  bool is_small;
};

/* ---- starting ---------------------------------------------------------------------- */

struct start_task {
  struct ig_task task;
  ig_plan *plan;
  ig_cancel *cancel;
  ig_remote_run *run; /* or NULL */
  igb_query *query;   /* output */
};

static void free_start_task(struct ig_task *base) {
  struct start_task *task = (struct start_task *)base;
  if (task->query) igb_query_free(task->query);
  (void)ig_remote_run_unref(task->run);
  (void)ig_plan_unref(task->plan);
  (void)ig_cancel_unref(task->cancel);
  ig_free(task);
}

static igloo_status run_start(struct ig_task *base, struct igloo_error *reterr) {
  struct start_task *task = (struct start_task *)base;
  struct igb_cancel cancel = ig_to_igb_cancel(task->cancel);
  struct igb_execution space;
  return (igloo_status)igb_query_start(task->plan->bridge, &cancel,
                                       ig_to_igb_execution(task->run, &space),
                                       &task->query, ig_to_igb_error(reterr));
}

/* What is done in microseconds is done here: another thread would take longer to wake.
 * query->bridge stays NULL for all else. */
static igloo_status start_small(ig_query *query, struct igloo_error *reterr) {
  struct igb_cancel cancel = ig_to_igb_cancel(query->cancel);
  return (igloo_status)igb_query_start_small(query->plan->bridge, &cancel, &query->bridge,
                                             ig_to_igb_error(reterr));
}

/* So is one statement of a source. Both stay NULL for all else. */
static igloo_status look_up(ig_query *query, struct igloo_error *reterr) {
  ig_plan *plan = query->plan;
  const ig_lookup *lookup = plan->of ? plan->of->lookup : plan->lookup;
  if (!lookup) return IGLOO_OK;
  IG_TRY(
      ig_lookup_start(lookup, plan, plan->values, query->cancel, &query->looked, reterr));
  query->is_small = query->looked && ig_looked_is_whole(query->looked);
  return IGLOO_OK;
}

static igloo_status start(ig_query *query, struct igloo_error *reterr) {
  IG_AUTO(ig_plan) *plan = NULL;
  ig_cancel *cancel = query->cancel;
  IG_AUTO(ig_remote_run) *run = NULL;
  IG_TRY(ig_plan_whole(query->plan, &plan, reterr));
  IG_TRY(ig_plan_new_run(plan, cancel, &run, reterr));
  struct start_task *task = ig_calloc(1, sizeof(*task));
  if (!task) return ig_fail_oom(reterr);
  task->task = (struct ig_task){.run = run_start, .free = free_start_task};
  task->plan = ig_plan_ref(plan);
  task->cancel = cancel ? ig_cancel_ref(cancel) : NULL;
  task->run = IG_TAKE(run);
  struct ig_task *done = NULL;
  IG_TRY(ig_planners_run(ig_engine_peek_planners(plan->context->engine), &task->task,
                         cancel, true, &done, reterr));
  query->bridge = IG_TAKE(((struct start_task *)done)->query);
  done->free(done);
  return IGLOO_OK;
}

igloo_status ig_query_start(ig_plan *plan, ig_cancel *cancel, ig_query **ret_query,
                            struct igloo_error *reterr) {
  IG_AUTO(ig_query) *query = ig_calloc(1, sizeof(*query));
  if (!query) return ig_fail_oom(reterr);
  query->plan = ig_plan_ref(plan);
  query->cancel = cancel ? ig_cancel_ref(cancel) : NULL;
  IG_TRY(look_up(query, reterr));
  if (!query->looked && !plan->of) IG_TRY(start_small(query, reterr));
  if (query->bridge) query->is_small = true;
  if (!query->bridge && !query->looked) IG_TRY(start(query, reterr));
  *ret_query = IG_TAKE(query);
  return IGLOO_OK;
}

ig_query *ig_query_free(ig_query *query) {
  if (!query) return NULL;
  if (query->bridge) igb_query_free(query->bridge);
  (void)ig_looked_unref(query->looked);
  (void)ig_cancel_unref(query->cancel);
  (void)ig_plan_unref(query->plan);
  ig_free(query);
  return NULL;
}

igloo_status ig_query_stream(ig_query *query, struct ArrowArrayStream *ret_rows,
                             struct igloo_error *reterr) {
  if (query->looked) return ig_looked_stream(query->looked, ret_rows, reterr);
  return (igloo_status)igb_query_stream(query->bridge, ret_rows, ig_to_igb_error(reterr));
}

bool ig_query_is_small(const ig_query *query) {
  return query->is_small;
}

bool ig_query_is_fixed(const ig_query *query) {
  return query->is_small && !query->looked;
}

igloo_status ig_query_error(const ig_query *query, struct igloo_error *reterr) {
  if (query->looked) return ig_looked_error(query->looked, reterr);
  return (igloo_status)igb_query_error(query->bridge, ig_to_igb_error(reterr));
}

void ig_query_progress(const ig_query *query, struct ig_query_progress *ret_progress) {
  if (query->looked) {
    ig_looked_progress(query->looked, ret_progress);
    return;
  }
  struct igb_progress progress = {0};
  igb_query_progress(query->bridge, &progress);
  *ret_progress = (struct ig_query_progress){
      .rows_scanned = progress.rows_scanned,
      .bytes_scanned = progress.bytes_scanned,
      .bytes_total = progress.bytes_total,
      .rows_returned = progress.rows_returned,
      .spilled_bytes = progress.spilled_bytes,
  };
}

/* ---- writing ----------------------------------------------------------------------- */

static int32_t target_create(void *ctx, struct igb_str partition,
                             struct igb_str extension, void **ret_file,
                             struct igb_error *ret_error) {
  const struct ig_write_target *target = ctx;
  return (int32_t)target->create(target->ctx, ig_from_igb_str(partition),
                                 ig_from_igb_str(extension), ret_file,
                                 ig_from_igb_error(ret_error));
}

static int32_t target_write(void *ctx, void *file, const uint8_t *data, size_t len,
                            struct igb_error *ret_error) {
  const struct ig_write_target *target = ctx;
  return (int32_t)target->write(target->ctx, file, data, len,
                                ig_from_igb_error(ret_error));
}

static int32_t target_finish(void *ctx, void *file, int64_t rows,
                             struct igb_error *ret_error) {
  const struct ig_write_target *target = ctx;
  return (int32_t)target->finish(target->ctx, file, rows, ig_from_igb_error(ret_error));
}

static void target_abandon(void *ctx, void *file) {
  const struct ig_write_target *target = ctx;
  target->abandon(target->ctx, file);
}

/* The target is the caller's: the task is never abandoned, and borrows everything. */
struct write_task {
  struct ig_task task;
  ig_plan *plan; /* or NULL, and then: */
  ig_engine *engine;
  struct ArrowArrayStream *rows;
  const struct ig_write_options *options;
  const struct ig_write_target *target;
  ig_cancel *cancel;
  ig_remote_run *run;   /* borrowed, or NULL */
  int64_t rows_written; /* output */
};

static void free_write_task(struct ig_task *base) {
  ig_free(base);
}

static igloo_status run_write(struct ig_task *base, struct igloo_error *reterr) {
  struct write_task *task = (struct write_task *)base;
  const struct ig_write_options *from = task->options;
  struct igb_write_options options = {
      .format = (int32_t)from->format,
      .options = (const struct igb_pair *)(const void *)from->options,
      .options_count = from->options_count,
      .partition_columns = (const struct igb_str *)(const void *)from->partition_columns,
      .partition_columns_count = from->partition_columns_count,
      .files_max = from->files_max,
  };
  /* The bridge's table has room for a context of its own: ours is the target's table. */
  union {
    const struct ig_write_target *from;
    void *to;
  } ctx = {.from = task->target};
  struct igb_target target = {ctx.to, target_create, target_write, target_finish,
                              target_abandon};
  struct igb_cancel cancel = ig_to_igb_cancel(task->cancel);
  struct igb_execution space;
  if (task->plan)
    return (igloo_status)igb_query_write(task->plan->bridge, &options, &target, &cancel,
                                         ig_to_igb_execution(task->run, &space),
                                         &task->rows_written, ig_to_igb_error(reterr));
  return (igloo_status)igb_stream_write(ig_engine_peek_bridge(task->engine), task->rows,
                                        &options, &target, &cancel, &task->rows_written,
                                        ig_to_igb_error(reterr));
}

static igloo_status write_rows(const struct write_task *values, int64_t *ret_rows,
                               struct igloo_error *reterr) {
  struct write_task *task = ig_calloc(1, sizeof(*task));
  if (!task) return ig_fail_oom(reterr);
  *task = *values;
  task->task = (struct ig_task){.run = run_write, .free = free_write_task};
  struct ig_task *done = NULL;
  IG_TRY(ig_planners_run(ig_engine_peek_planners(task->engine), &task->task, task->cancel,
                         false, &done, reterr));
  *ret_rows = ((struct write_task *)done)->rows_written;
  ig_free(done);
  return IGLOO_OK;
}

igloo_status ig_query_write(ig_plan *plan, const struct ig_write_options *options,
                            const struct ig_write_target *target, ig_cancel *cancel,
                            int64_t *ret_rows, struct igloo_error *reterr) {
  IG_AUTO(ig_remote_run) *run = NULL;
  IG_TRY(ig_plan_new_run(plan, cancel, &run, reterr));
  return write_rows(&(struct write_task){.plan = plan,
                                         .engine = plan->context->engine,
                                         .options = options,
                                         .target = target,
                                         .cancel = cancel,
                                         .run = run},
                    ret_rows, reterr);
}

igloo_status ig_query_write_rows(ig_engine *engine, struct ArrowArrayStream *rows,
                                 const struct ig_write_options *options,
                                 const struct ig_write_target *target, ig_cancel *cancel,
                                 int64_t *ret_rows, struct igloo_error *reterr) {
  igloo_status status = write_rows(&(struct write_task){.engine = engine,
                                                        .rows = rows,
                                                        .options = options,
                                                        .target = target,
                                                        .cancel = cancel},
                                   ret_rows, reterr);
  if (rows->release) rows->release(rows); /* not taken: the task never ran */
  return status;
}
