/* remote.c -- tables of other databases in the bridge's words. The structs of both sides
 * have one layout each, proved here: pointers are passed through. */
#include "base/clock.h"
#include "engine/bridge.h"

SAME_SIZE(igb_expr, igloo_expr);
SAME_FIELD(igb_expr, igloo_expr, op);
SAME_FIELD(igb_expr, igloo_expr, flags);
SAME_FIELD(igb_expr, igloo_expr, column);
SAME_FIELD(igb_expr, igloo_expr, type);
SAME_FIELD(igb_expr, igloo_expr, value);
SAME_FIELD(igb_expr, igloo_expr, name);
SAME_FIELD(igb_expr, igloo_expr, name_length);
SAME_FIELD(igb_expr, igloo_expr, escape);
SAME_FIELD(igb_expr, igloo_expr, children);
SAME_FIELD(igb_expr, igloo_expr, children_count);
SAME_SIZE(igb_sort, igloo_sort);
SAME_FIELD(igb_sort, igloo_sort, descending);
SAME_FIELD(igb_sort, igloo_sort, nulls_first);
SAME_SIZE(igb_scan_request, ig_scan_request);
SAME_FIELD(igb_scan_request, ig_scan_request, columns_count);
SAME_FIELD(igb_scan_request, ig_scan_request, filters);
SAME_FIELD(igb_scan_request, ig_scan_request, filters_count);
SAME_FIELD(igb_scan_request, ig_scan_request, limit);
SAME_FIELD(igb_scan_request, ig_scan_request, sort);
SAME_FIELD(igb_scan_request, ig_scan_request, sort_count);
SAME_FIELD(igb_scan_request, ig_scan_request, parts_wanted);
SAME_SIZE(igb_part, ig_remote_part);
SAME_FIELD(igb_part, ig_remote_part, text);
SAME_FIELD(igb_part, ig_remote_part, rows);
SAME_SIZE(igb_decision, ig_remote_decision);
SAME_FIELD(igb_decision, ig_remote_decision, reason);
static_assert(sizeof(enum igloo_push) == sizeof(int32_t), "one layout");

SAME_VALUE(IGB_EXPR_COLUMN, IGLOO_EXPR_COLUMN);
SAME_VALUE(IGB_EXPR_LITERAL, IGLOO_EXPR_LITERAL);
SAME_VALUE(IGB_EXPR_CAST, IGLOO_EXPR_CAST);
SAME_VALUE(IGB_EXPR_COMPARE, IGLOO_EXPR_COMPARE);
SAME_VALUE(IGB_EXPR_AND, IGLOO_EXPR_AND);
SAME_VALUE(IGB_EXPR_OR, IGLOO_EXPR_OR);
SAME_VALUE(IGB_EXPR_NOT, IGLOO_EXPR_NOT);
SAME_VALUE(IGB_EXPR_IS_NULL, IGLOO_EXPR_IS_NULL);
SAME_VALUE(IGB_EXPR_IN_LIST, IGLOO_EXPR_IN_LIST);
SAME_VALUE(IGB_EXPR_BETWEEN, IGLOO_EXPR_BETWEEN);
SAME_VALUE(IGB_EXPR_LIKE, IGLOO_EXPR_LIKE);
SAME_VALUE(IGB_EXPR_ARITHMETIC, IGLOO_EXPR_ARITHMETIC);
SAME_VALUE(IGB_EXPR_FUNCTION, IGLOO_EXPR_FUNCTION);
SAME_VALUE(IGB_EXPR_CASE, IGLOO_EXPR_CASE);
SAME_VALUE(IGB_EXPR_OPAQUE, IGLOO_EXPR_OPAQUE);
SAME_VALUE(IGB_OP_NONE, IGLOO_OP_NONE);
SAME_VALUE(IGB_OP_EQ, IGLOO_OP_EQ);
SAME_VALUE(IGB_OP_NE, IGLOO_OP_NE);
SAME_VALUE(IGB_OP_LT, IGLOO_OP_LT);
SAME_VALUE(IGB_OP_LE, IGLOO_OP_LE);
SAME_VALUE(IGB_OP_GT, IGLOO_OP_GT);
SAME_VALUE(IGB_OP_GE, IGLOO_OP_GE);
SAME_VALUE(IGB_OP_DISTINCT, IGLOO_OP_DISTINCT);
SAME_VALUE(IGB_OP_NOT_DISTINCT, IGLOO_OP_NOT_DISTINCT);
SAME_VALUE(IGB_OP_ADD, IGLOO_OP_ADD);
SAME_VALUE(IGB_OP_SUBTRACT, IGLOO_OP_SUBTRACT);
SAME_VALUE(IGB_OP_MULTIPLY, IGLOO_OP_MULTIPLY);
SAME_VALUE(IGB_OP_DIVIDE, IGLOO_OP_DIVIDE);
SAME_VALUE(IGB_OP_MODULO, IGLOO_OP_MODULO);
SAME_VALUE(IGB_EXPR_NEGATED, IGLOO_EXPR_NEGATED);
SAME_VALUE(IGB_EXPR_IGNORE_CASE, IGLOO_EXPR_IGNORE_CASE);
SAME_VALUE(IGB_EXPR_TRY, IGLOO_EXPR_TRY);
SAME_VALUE(IGB_EXPR_HAS_OPERAND, IGLOO_EXPR_HAS_OPERAND);
SAME_VALUE(IGB_EXPR_HAS_ELSE, IGLOO_EXPR_HAS_ELSE);
SAME_VALUE(IGB_REACH_HERE, IG_REACH_HERE);
SAME_VALUE(IGB_REACH_HOST, IG_REACH_HOST);
SAME_VALUE(IGB_REACH_ANYWHERE, IG_REACH_ANYWHERE);
SAME_VALUE(IGB_PUSH_NO, IGLOO_PUSH_NO);
SAME_VALUE(IGB_PUSH_INEXACT, IGLOO_PUSH_INEXACT);
SAME_VALUE(IGB_PUSH_EXACT, IGLOO_PUSH_EXACT);

/* ---- planning ---------------------------------------------------------------------- */

static void classify(void *remote_ctx, const struct igb_expr *const *conjuncts,
                     size_t count, int32_t *ret_push) {
  const ig_scan_table *table = remote_ctx;
  ig_remote_table_classify(table->remote,
                           (const struct igloo_expr *const *)(const void *)conjuncts,
                           count, (enum igloo_push *)(void *)ret_push);
}

static bool sorts(void *remote_ctx, const struct igb_sort *sort, size_t count) {
  const ig_scan_table *table = remote_ctx;
  return ig_remote_table_sorts(table->remote,
                               (const struct igloo_sort *)(const void *)sort, count);
}

static const char *scan_snapshot(void *ctx) {
  return ig_remote_scan_snapshot(ctx);
}

static void release_scan(void *ctx) {
  (void)ig_remote_scan_free(ctx);
}

static int32_t plan_scan(void *remote_ctx, const struct igb_scan_request *request,
                         void *execution, struct igb_scan *ret_scan,
                         struct igb_error *ret_error) {
  const ig_scan_table *table = remote_ctx;
  ig_remote_scan *scan = NULL;
  igloo_status status = ig_remote_table_plan(
      table->remote, (const struct ig_scan_request *)(const void *)request, execution,
      &scan, ig_from_igb_error(ret_error));
  if (status != IGLOO_OK) return (int32_t)status;
  ig_source *source = ig_remote_table_peek_source(table->remote);
  size_t parts_count = 0;
  const struct ig_remote_part *parts = ig_remote_scan_parts(scan, &parts_count);
  *ret_scan = (struct igb_scan){
      .parts = (const struct igb_part *)(const void *)parts,
      .parts_count = parts_count,
      .decisions =
          (const struct igb_decision *)(const void *)ig_remote_scan_decisions(scan),
      .snapshot = scan_snapshot,
      .limit_done = ig_remote_scan_limit_done(scan),
      .sort_done = ig_remote_scan_sort_done(scan),
      .source = source,
      .open_max = ig_source_readers_max(source),
      .reach = (int32_t)ig_source_reach(source),
      .schema = ig_remote_scan_schema(scan),
      .ctx = scan,
      .release = release_scan,
  };
  return IGLOO_OK;
}

/* ---- reading ----------------------------------------------------------------------- */

static void *new_stop(void) {
  ig_cancel *stop = NULL;
  return ig_cancel_new(IG_NEVER_US, &stop, NULL) == IGLOO_OK ? stop : NULL;
}

static void set_stop(void *stop) {
  ig_cancel_set(stop);
}

static void free_stop(void *stop) {
  (void)ig_cancel_unref(stop);
}

static int32_t open_part(void *execution, struct igb_str part, void *stop,
                         struct ArrowArrayStream *ret_stream,
                         struct igb_error *ret_error) {
  return (int32_t)ig_remote_open(execution, ig_from_igb_str(part), stop, ret_stream,
                                 ig_from_igb_error(ret_error));
}

static int32_t tell_error(struct ArrowArrayStream *stream, struct igb_error *ret_error) {
  return (int32_t)ig_stream_error(stream, ig_from_igb_error(ret_error));
}

static const struct igb_remote remote = {
    .classify = classify,
    .sorts = sorts,
    .plan = plan_scan,
    .stop_new = new_stop,
    .stop_set = set_stop,
    .stop_free = free_stop,
    .open = open_part,
    .stream_error = tell_error,
};

const struct igb_remote *ig_igb_remote(void) {
  return &remote;
}

void ig_to_igb_remote(const ig_scan_table *table, struct igb_table *out) {
  out->kind = IGB_TABLE_REMOTE;
  out->columns = ig_remote_table_schema(table->remote);
  out->remote = &remote;
  out->remote_ctx = (void *)(uintptr_t)table;
  out->remote_rows = ig_remote_table_rows(table->remote);
  out->remote_bytes = ig_remote_table_bytes(table->remote);
}

/* ---- executions -------------------------------------------------------------------- */

static void share_run(void *ctx) {
  (void)ig_remote_run_ref(ctx);
}

static void release_run(void *ctx) {
  (void)ig_remote_run_unref(ctx);
}

const struct igb_execution *ig_to_igb_execution(ig_remote_run *run,
                                                struct igb_execution *space) {
  if (!run) return NULL;
  *space = (struct igb_execution){run, share_run, release_run};
  return space;
}
