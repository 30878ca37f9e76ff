/* plan.c -- see plan.h. Whatever may take long runs as a task on a planning thread. */
#include "engine/plan.h"

#include "arrow/schema.h"
#include "base/limits.h"
#include "engine/bridge.h"
#include "engine/plan_private.h"

/* ---- context ----------------------------------------------------------------------- */

igloo_status ig_plan_context_new(ig_engine *engine,
                                 const struct ig_plan_settings *settings,
                                 ig_plan_context **ret_context,
                                 struct igloo_error *reterr) {
  ig_plan_context *context = ig_calloc(1, sizeof(*context));
  if (!context) return ig_fail_oom(reterr);
  context->refs = 1;
  struct igb_session_options options = {
      .time_zone = ig_to_igb_cstr(settings->time_zone),
      .views = settings->views,
      .user = ig_to_igb_cstr(settings->user),
      .catalog = ig_to_igb_cstr(settings->catalog),
      .schema = ig_to_igb_cstr(settings->schema),
  };
  igloo_status status =
      (igloo_status)igb_session_new(ig_engine_peek_bridge(engine), &options,
                                    &context->session, ig_to_igb_error(reterr));
  if (status != IGLOO_OK) {
    ig_free(context);
    return status;
  }
  context->engine = ig_engine_ref(engine);
  context->sources = settings->sources ? ig_sources_ref(settings->sources) : NULL;
  context->remote = settings->remote;
  *ret_context = context;
  return IGLOO_OK;
}

ig_plan_context *ig_plan_context_ref(ig_plan_context *context) {
  (void)__atomic_add_fetch(&context->refs, 1, __ATOMIC_RELAXED);
  return context;
}

ig_plan_context *ig_plan_context_unref(ig_plan_context *context) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!context || __atomic_sub_fetch(&context->refs, 1, __ATOMIC_ACQ_REL) > 0)
    return NULL;
  igb_session_free(context->session);
  (void)ig_sources_unref(context->sources);
  (void)ig_engine_unref(context->engine);
  ig_free(context);
  return NULL;
}

/* ---- plans ------------------------------------------------------------------------- */

static ig_plan *new_plan(ig_plan_context *context) {
  static uint64_t numbers; /* atomic */
  ig_plan *plan = ig_calloc(1, sizeof(*plan));
  if (!plan) return NULL;
  plan->refs = 1;
  plan->number = __atomic_add_fetch(&numbers, 1, __ATOMIC_RELAXED);
  plan->context = ig_plan_context_ref(context);
  return plan;
}

/* A plan around `bridge` (taken, also on failure). */
static igloo_status wrap_plan(ig_plan_context *context, struct igb_plan *bridge,
                              ig_plan **ret_plan, struct igloo_error *reterr) {
  IG_AUTO(ig_plan) *plan = new_plan(context);
  if (!plan) {
    igb_plan_free(bridge);
    return ig_fail_oom(reterr);
  }
  plan->bridge = bridge;
  IG_TRY(ig_lookup_new(bridge, &plan->lookup, reterr));
  *ret_plan = IG_TAKE(plan);
  return IGLOO_OK;
}

/* The bridge's plan: its values for parameters are not in it. */
static igb_plan *bridge_of(const ig_plan *plan) {
  return plan->of ? plan->of->bridge : plan->bridge;
}

ig_plan *ig_plan_ref(ig_plan *plan) {
  (void)__atomic_add_fetch(&plan->refs, 1, __ATOMIC_RELAXED);
  return plan;
}

ig_plan *ig_plan_unref(ig_plan *plan) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!plan || __atomic_sub_fetch(&plan->refs, 1, __ATOMIC_ACQ_REL) > 0) return NULL;
  for (size_t i = 0; i < IG_PLAN_PLACES; i++)
    if (plan->kept[i].thing) plan->kept[i].free(plan->kept[i].thing);
  (void)ig_lookup_free(plan->lookup);
  igb_plan_free(plan->bridge);
  (void)ig_lookup_values_free(plan->values);
  (void)ig_plan_unref(plan->of);
  (void)ig_plan_context_unref(plan->context);
  ig_free(plan);
  return NULL;
}

uint64_t ig_plan_number(const ig_plan *plan) {
  return plan->number;
}

void *ig_plan_peek_kept(const ig_plan *plan, enum ig_plan_place place) {
  if (plan->of && place == IG_PLAN_FORMAT) plan = plan->of; /* whatever the values */
  return __atomic_load_n(&plan->kept[place].thing, __ATOMIC_ACQUIRE);
}

void *ig_plan_keep(ig_plan *plan, enum ig_plan_place place, void *thing,
                   void (*thing_free)(void *thing)) {
  if (plan->of && place == IG_PLAN_FORMAT) plan = plan->of;
  void *kept = NULL;
  if (__atomic_compare_exchange_n(&plan->kept[place].thing, &kept, thing, false,
                                  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    /* Read by the last unref only, which sees what this thread did before its own. */
    plan->kept[place].free = thing_free;
    return thing;
  }
  thing_free(thing);
  return kept;
}

igloo_status ig_plan_new_run(const ig_plan *plan, ig_cancel *cancel,
                             ig_remote_run **ret_run, struct igloo_error *reterr) {
  const ig_plan_context *context = plan->context;
  if (!context->sources) return IGLOO_OK;
  struct ig_remote_settings settings = context->remote;
  settings.query_id = ig_cancel_id(cancel);
  return ig_remote_run_new(context->sources, cancel, &settings, ret_run, reterr);
}

/* ---- tasks ------------------------------------------------------------------------- */

/* What all tasks below hold: an abandoned one outlives its caller. */
struct plan_task {
  struct ig_task task;
  ig_plan_context *context;
  ig_cancel *cancel;
  /* planning */
  ig_resolver *resolver;
  char *sql;
  size_t sql_len;
  igb_plan *plan; /* output */
  /* inferring, explaining */
  ig_scan_table *table;
  ig_plan *explained;
  uint32_t explain_flags;
  ig_remote_run *run;        /* or NULL */
  struct ArrowSchema schema; /* output */
  char *text;                /* output */
};

static void free_plan_task(struct ig_task *base) {
  struct plan_task *task = (struct plan_task *)base;
  if (task->plan) igb_plan_free(task->plan);
  if (task->schema.release) task->schema.release(&task->schema);
  if (task->text) igb_text_free(task->text);
  (void)ig_plan_unref(task->explained);
  (void)ig_remote_run_unref(task->run);
  (void)ig_scan_table_unref(task->table);
  (void)ig_resolver_unref(task->resolver);
  (void)ig_cancel_unref(task->cancel);
  (void)ig_plan_context_unref(task->context);
  ig_free(task->sql);
  ig_free(task);
}

static igloo_status new_plan_task(ig_plan_context *context, ig_cancel *cancel,
                                  igloo_status (*run)(struct ig_task *,
                                                      struct igloo_error *),
                                  struct plan_task **ret_task,
                                  struct igloo_error *reterr) {
  struct plan_task *task = ig_calloc(1, sizeof(*task));
  if (!task) return ig_fail_oom(reterr);
  task->task.run = run;
  task->task.free = free_plan_task;
  task->context = ig_plan_context_ref(context);
  task->cancel = cancel ? ig_cancel_ref(cancel) : NULL;
  *ret_task = task;
  return IGLOO_OK;
}

/* Run the task to its end or until the statement is cancelled; gives it back. */
static igloo_status run_to_end(struct plan_task *task, struct plan_task **ret_done,
                               struct igloo_error *reterr) {
  ig_planners *planners = ig_engine_peek_planners(task->context->engine);
  /* The token must outlive an abandoned task; the caller's reference may not. */
  IG_AUTO(ig_cancel) *cancel = task->cancel ? ig_cancel_ref(task->cancel) : NULL;
  struct ig_task *done = NULL;
  igloo_status status =
      ig_planners_run(planners, &task->task, cancel, true, &done, reterr);
  if (status == IGLOO_OK) *ret_done = (struct plan_task *)done;
  return status;
}

/* ---- planning ---------------------------------------------------------------------- */

static igloo_status run_plan(struct ig_task *base, struct igloo_error *reterr) {
  struct plan_task *task = (struct plan_task *)base;
  struct ig_names_ctx ctx = {task->resolver, task->cancel};
  struct igb_names names = ig_to_igb_names(&ctx);
  struct igb_cancel cancel = ig_to_igb_cancel(task->cancel);
  struct igb_str sql = {(const uint8_t *)task->sql, task->sql_len};
  return (igloo_status)igb_plan_sql(task->context->session, sql, &names, &cancel,
                                    &task->plan, ig_to_igb_error(reterr));
}

igloo_status ig_plan_sql(ig_plan_context *context, struct ig_str sql,
                         ig_resolver *resolver, ig_cancel *cancel, ig_plan **ret_plan,
                         struct igloo_error *reterr) {
  struct plan_task *task = NULL;
  IG_TRY(new_plan_task(context, cancel, run_plan, &task, reterr));
  IG_ASSERT(task);
  task->resolver = ig_resolver_ref(resolver);
  task->sql = ig_str_dup(sql);
  task->sql_len = sql.len;
  if (!task->sql) {
    free_plan_task(&task->task);
    return ig_fail_oom(reterr);
  }
  struct plan_task *done = NULL;
  IG_TRY(run_to_end(task, &done, reterr));
  igb_plan *bridge = IG_TAKE(done->plan);
  free_plan_task(&done->task);
  return wrap_plan(context, bridge, ret_plan, reterr);
}

/* ---- what a plan tells ------------------------------------------------------------- */

static_assert(sizeof(struct igb_str) == sizeof(struct ig_str) &&
                  offsetof(struct igb_str, len) == offsetof(struct ig_str, len),
              "arrays of texts are passed through");
static_assert(sizeof(struct igb_pair) == sizeof(struct ig_plan_pair), "likewise");

static const struct ig_str *pass_texts(const struct igb_str *texts) {
  return (const struct ig_str *)(const void *)texts;
}

void ig_plan_describe(const ig_plan *plan, struct ig_plan_description *ret_description) {
  /* By IGB_KIND_*. */
  static const enum ig_plan_kind kinds[] = {
      [IGB_KIND_QUERY] = IG_PLAN_QUERY,
      [IGB_KIND_INSERT] = IG_PLAN_INSERT,
      [IGB_KIND_COPY] = IG_PLAN_COPY,
      [IGB_KIND_CREATE_TABLE_AS] = IG_PLAN_CREATE_TABLE_AS,
      [IGB_KIND_CREATE_TABLE] = IG_PLAN_CREATE_TABLE,
      [IGB_KIND_CREATE_VIEW] = IG_PLAN_CREATE_VIEW,
      [IGB_KIND_CREATE_EXTERNAL_TABLE] = IG_PLAN_CREATE_EXTERNAL_TABLE,
      [IGB_KIND_DROP_TABLE] = IG_PLAN_DROP_TABLE,
      [IGB_KIND_DROP_VIEW] = IG_PLAN_DROP_VIEW,
  };
  struct igb_description from = {0};
  int32_t status = igb_plan_describe(bridge_of(plan), &from, NULL);
  IG_ASSERT(status == IGLOO_OK && from.kind >= IGB_KIND_QUERY &&
            from.kind <= IGB_KIND_DROP_VIEW);
  *ret_description = (struct ig_plan_description){
      .kind = kinds[from.kind],
      .flags = from.flags, /* the bits are the same */
      .target = pass_texts(from.target),
      .target_parts = from.target_parts,
      .definition = ig_from_igb_str(from.definition),
      .view_columns = pass_texts(from.view_columns),
      .view_columns_count = from.view_columns_count,
      .location = ig_from_igb_str(from.location),
      .format = ig_from_igb_str(from.format),
      .partition_columns = pass_texts(from.partition_columns),
      .partition_columns_count = from.partition_columns_count,
      .options = (const struct ig_plan_pair *)(const void *)from.options,
      .options_count = from.options_count,
      .has_columns = from.has_columns,
      .insert_columns = pass_texts(from.insert_columns),
      .insert_columns_count = from.insert_columns_count,
  };
}
static_assert((int)IG_PLAN_IF_NOT_EXISTS == (int)IGB_FLAG_IF_NOT_EXISTS &&
                  (int)IG_PLAN_IF_EXISTS == (int)IGB_FLAG_IF_EXISTS &&
                  (int)IG_PLAN_OR_REPLACE == (int)IGB_FLAG_OR_REPLACE &&
                  (int)IG_PLAN_TEMPORARY == (int)IGB_FLAG_TEMPORARY &&
                  (int)IG_PLAN_CASCADE == (int)IGB_FLAG_CASCADE &&
                  (int)IG_PLAN_OVERWRITE == (int)IGB_FLAG_OVERWRITE,
              "flags are passed through");

bool ig_plan_access_at(const ig_plan *plan, size_t index,
                       struct ig_plan_access *ret_access) {
  static_assert((int)IG_PLAN_READS_TABLE == (int)IGB_ACCESS_TABLE &&
                    (int)IG_PLAN_READS_PATH == (int)IGB_ACCESS_PATH_READ &&
                    (int)IG_PLAN_WRITES_PATH == (int)IGB_ACCESS_PATH_WRITE &&
                    (int)IG_PLAN_CALLS_FUNCTION == (int)IGB_ACCESS_FUNCTION &&
                    (int)IG_PLAN_WRITES_TABLE == (int)IGB_ACCESS_TABLE_WRITE,
                "kinds are passed through");
  const struct igb_access *accesses = NULL;
  size_t count = 0;
  int32_t status = igb_plan_accesses(bridge_of(plan), &accesses, &count, NULL);
  IG_ASSERT(status == IGLOO_OK);
  if (index >= count) return false;
  *ret_access = (struct ig_plan_access){
      .kind = (enum ig_plan_access_kind)accesses[index].kind,
      .catalog = ig_from_igb_str(accesses[index].catalog),
      .schema = ig_from_igb_str(accesses[index].schema),
      .name = ig_from_igb_str(accesses[index].name),
  };
  return true;
}

bool ig_plan_is_lasting(const ig_plan *plan) {
  return igb_plan_lasts(bridge_of(plan));
}

bool ig_plan_looks_up(const ig_plan *plan) {
  return plan->lookup && ig_lookup_is_complete(plan->lookup);
}

igloo_status ig_plan_schema(const ig_plan *plan, struct ArrowSchema *ret_schema,
                            struct igloo_error *reterr) {
  const ig_lookup *lookup = plan->of ? plan->of->lookup : plan->lookup;
  if (lookup) return ig_schema_copy(ig_lookup_schema(lookup), ret_schema, reterr);
  return (igloo_status)igb_plan_schema(plan->bridge, ret_schema, ig_to_igb_error(reterr));
}

igloo_status ig_plan_parameters(const ig_plan *plan, struct ArrowSchema *ret_schema,
                                struct igloo_error *reterr) {
  if (plan->of) return ig_schema_new_struct(0, ret_schema, reterr);
  return (igloo_status)igb_plan_parameters(plan->bridge, ret_schema,
                                           ig_to_igb_error(reterr));
}

igloo_status ig_plan_functions(ig_plan_context *context,
                               struct ArrowArrayStream *ret_rows,
                               struct igloo_error *reterr) {
  return (igloo_status)igb_functions(context->session, ret_rows, ig_to_igb_error(reterr));
}

/* ---- binding ----------------------------------------------------------------------- */

/* Not cancellable, so that the borrowed values outlive the task. */
struct bind_task {
  struct ig_task task;
  ig_plan *plan;                    /* borrowed */
  const struct ArrowArray *values;  /* borrowed */
  const struct ArrowSchema *schema; /* borrowed */
  int64_t row;
  igb_plan *bound; /* output */
};

static void free_bind_task(struct ig_task *base) {
  ig_free(base);
}

static igloo_status run_bind(struct ig_task *base, struct igloo_error *reterr) {
  struct bind_task *task = (struct bind_task *)base;
  return (igloo_status)igb_plan_bind(task->plan->bridge, task->values, task->schema,
                                     task->row, &task->bound, ig_to_igb_error(reterr));
}

static igloo_status bind_whole(ig_plan *plan, const struct ArrowArray *values,
                               const struct ArrowSchema *schema, int64_t row,
                               ig_plan **ret_plan, struct igloo_error *reterr) {
  struct bind_task *task = ig_calloc(1, sizeof(*task));
  if (!task) return ig_fail_oom(reterr);
  *task = (struct bind_task){.task = {.run = run_bind, .free = free_bind_task},
                             .plan = plan,
                             .values = values,
                             .schema = schema,
                             .row = row};
  struct ig_task *done = NULL;
  if (ig_plan_is_lasting(plan)) { /* and so of a size that any stack bears */
    igloo_status status = run_bind(&task->task, reterr);
    igb_plan *made = task->bound;
    ig_free(task);
    return status == IGLOO_OK ? wrap_plan(plan->context, made, ret_plan, reterr) : status;
  }
  IG_TRY(ig_planners_run(ig_engine_peek_planners(plan->context->engine), &task->task,
                         NULL, false, &done, reterr));
  igb_plan *bound = ((struct bind_task *)done)->bound;
  ig_free(done);
  return wrap_plan(plan->context, bound, ret_plan, reterr);
}

igloo_status ig_plan_whole(ig_plan *plan, ig_plan **ret_plan,
                           struct igloo_error *reterr) {
  if (!plan->of) {
    *ret_plan = ig_plan_ref(plan);
    return IGLOO_OK;
  }
  struct ig_lookup_row row;
  ig_lookup_values_row(plan->of->lookup, plan->values, &row);
  return bind_whole(plan->of, &row.row, &row.schema, 0, ret_plan, reterr);
}

igloo_status ig_plan_bind_lookup(ig_plan *plan, const struct ArrowArray *values,
                                 const struct ArrowSchema *schema, int64_t row,
                                 ig_plan **ret_plan, struct igloo_error *reterr) {
  IG_AUTO_STRUCT(ig_lookup_values) *taken = NULL;
  *ret_plan = NULL;
  if (!plan->lookup) return IGLOO_OK;
  IG_TRY(ig_lookup_bind(plan->lookup, values, schema, row, &taken, reterr));
  if (!taken) return IGLOO_OK;
  ig_plan *bound = new_plan(plan->context);
  if (!bound) return ig_fail_oom(reterr);
  bound->of = ig_plan_ref(plan);
  bound->values = IG_TAKE(taken);
  *ret_plan = bound;
  return IGLOO_OK;
}

igloo_status ig_plan_bind(ig_plan *plan, const struct ArrowArray *values,
                          const struct ArrowSchema *schema, int64_t row,
                          ig_plan **ret_plan, struct igloo_error *reterr) {
  ig_plan *bound = NULL;
  IG_TRY(ig_plan_bind_lookup(plan, values, schema, row, &bound, reterr));
  if (!bound) return bind_whole(plan, values, schema, row, ret_plan, reterr);
  *ret_plan = bound;
  return IGLOO_OK;
}

/* ---- explaining and inferring ------------------------------------------------------ */

static igloo_status run_explain(struct ig_task *base, struct igloo_error *reterr) {
  struct plan_task *task = (struct plan_task *)base;
  struct igb_cancel cancel = ig_to_igb_cancel(task->cancel);
  struct igb_execution space;
  return (igloo_status)igb_plan_explain(task->explained->bridge, task->explain_flags,
                                        &cancel, ig_to_igb_execution(task->run, &space),
                                        &task->text, ig_to_igb_error(reterr));
}

igloo_status ig_plan_explain(ig_plan *plan, struct ig_explain how, ig_cancel *cancel,
                             char **ret_text, struct igloo_error *reterr) {
  IG_AUTO(ig_remote_run) *run = NULL;
  IG_TRY(ig_plan_new_run(plan, cancel, &run, reterr));
  struct plan_task *task = NULL;
  IG_TRY(new_plan_task(plan->context, cancel, run_explain, &task, reterr));
  IG_ASSERT(task);
  igloo_status status = ig_plan_whole(plan, &task->explained, reterr);
  if (status != IGLOO_OK) {
    free_plan_task(&task->task);
    return status;
  }
  task->run = IG_TAKE(run);
  task->explain_flags = (how.json ? IGB_EXPLAIN_JSON : IGB_EXPLAIN_TREE) |
                        (how.verbose ? (uint32_t)IGB_EXPLAIN_VERBOSE : 0) |
                        (how.analyze ? (uint32_t)IGB_EXPLAIN_ANALYZE : 0);
  struct plan_task *done = NULL;
  IG_TRY(run_to_end(task, &done, reterr));
  char *text = ig_strdup(done->text);
  free_plan_task(&done->task);
  if (!text) return ig_fail_oom(reterr);
  *ret_text = text;
  return IGLOO_OK;
}

static igloo_status run_infer(struct ig_task *base, struct igloo_error *reterr) {
  struct plan_task *task = (struct plan_task *)base;
  struct igb_cancel cancel = ig_to_igb_cancel(task->cancel);
  struct igb_table table;
  IG_TRY(ig_to_igb_table(task->table, &table, reterr));
  return (igloo_status)igb_table_infer(task->context->session, &table, &cancel,
                                       &task->schema, ig_to_igb_error(reterr));
}

igloo_status ig_plan_infer(ig_plan_context *context, ig_scan_table *table,
                           ig_cancel *cancel, struct ArrowSchema *ret_schema,
                           struct igloo_error *reterr) {
  struct plan_task *task = NULL;
  IG_TRY(new_plan_task(context, cancel, run_infer, &task, reterr));
  IG_ASSERT(task);
  task->table = ig_scan_table_ref(table);
  struct plan_task *done = NULL;
  IG_TRY(run_to_end(task, &done, reterr));
  *ret_schema = done->schema;
  done->schema.release = NULL; /* moved out */
  free_plan_task(&done->task);
  return IGLOO_OK;
}
