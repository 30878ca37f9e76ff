/* plan.c -- what of a scan the source does, and the texts that ask it to. */
#include "arrow/schema.h"
#include "base/buf.h"
#include "base/limits.h"
#include "connector/internal.h"

struct ig_remote_scan {
  ig_remote_table *table; /* shared */
  ig_remote_run *run;     /* shared */
  struct ig_run_source *slot;
  struct ArrowSchema schema;
  struct ig_remote_part *parts; /* texts and bytes are owned */
  size_t parts_count;
  struct ig_remote_decision *decisions;
  char *decided; /* the same as text, for the log */
  bool planned;  /* the run knows of the parts */
  bool limit_done, sort_done;
  bool few; /* rows are expected */
};

/* ---- classifying ----------------------------------------------------------------------
 */

/* A query whose columns share names can only be read as it is. */
static bool is_opaque(const ig_remote_table *table) {
  return !table->facts->named_once;
}

static enum igloo_push decide(const ig_remote_table *table,
                              const struct igloo_expr *conjunct, struct ig_buf *text,
                              const char **ret_reason) {
  if (is_opaque(table)) {
    *ret_reason = "two columns have the same name";
    return IGLOO_PUSH_NO;
  }
  return ig_dialect_conjunct(table->source->dialect, &table->facts->meta, conjunct, text,
                             ret_reason);
}

void ig_remote_table_classify(const ig_remote_table *table,
                              const struct igloo_expr *const *conjuncts, size_t count,
                              enum igloo_push *ret_push) {
  const char *reason = "";
  for (size_t i = 0; i < count; i++)
    ret_push[i] = decide(table, conjuncts[i], NULL, &reason);
}

bool ig_remote_table_sorts(const ig_remote_table *table, const struct igloo_sort *sort,
                           size_t count) {
  const char *reason = "";
  const struct igloo_dialect *dialect = table->source->dialect;
  return !is_opaque(table) && dialect->limits &&
         dialect->sorts(&table->facts->meta, sort, count, &reason);
}

/* ---- filters --------------------------------------------------------------------------
 */

/* What planning finds out on its way. */
struct plan {
  ig_remote_table *table;
  const struct ig_scan_request *request;
  const struct ig_remote_settings *settings;
  struct ig_buf where;  /* what is pushed */
  struct ig_buf group;  /* the last of it, not yet in `where` */
  uint32_t group_count; /* conjuncts in the group */
  bool all_exact;
  bool narrow; /* an index of the source may find the rows */
  bool keyed;  /* by equality, so they are few */
};

/* True where the conjunct compares a column that the source can look up: dividing the
 * table by ranges would then read all of it in place of a few rows. */
static bool looks_up(const struct ig_facts *facts, const struct igloo_expr *expr) {
  if (expr->kind == IGLOO_EXPR_COLUMN)
    return expr->column >= 0 && (size_t)expr->column < facts->meta.columns_count &&
           facts->indexed[expr->column];
  bool negated = expr->flags & IGLOO_EXPR_NEGATED;
  switch ((enum igloo_expr_kind)expr->kind) {
    case IGLOO_EXPR_COMPARE:
      if (expr->op == IGLOO_OP_NE || expr->op == IGLOO_OP_DISTINCT) return false;
      break;
    case IGLOO_EXPR_IS_NULL:
    case IGLOO_EXPR_IN_LIST:
    case IGLOO_EXPR_BETWEEN:
    case IGLOO_EXPR_LIKE:
      if (negated) return false;
      break;
    case IGLOO_EXPR_CAST:
    case IGLOO_EXPR_AND:
      break;
    case IGLOO_EXPR_COLUMN:
    case IGLOO_EXPR_LITERAL:
    case IGLOO_EXPR_OR:
    case IGLOO_EXPR_NOT:
    case IGLOO_EXPR_ARITHMETIC:
    case IGLOO_EXPR_FUNCTION:
    case IGLOO_EXPR_CASE:
    case IGLOO_EXPR_OPAQUE:
    default:
      return false;
  }
  for (size_t i = 0; i < expr->children_count; i++)
    if (looks_up(facts, expr->children[i])) return true;
  return false;
}

/* SQLite counts each AND as a level of its depth, and takes 1,000: many conjuncts go in
 * groups of so many. */
#define GROUP_MAX 100

static void close_group(struct plan *plan) {
  if (plan->group.len == 0) return;
  bool alone = plan->where.len == 0 && plan->group_count < GROUP_MAX;
  if (plan->where.len) ig_buf_append_cstr(&plan->where, " AND ");
  if (!alone) ig_buf_append_char(&plan->where, '(');
  ig_buf_append_str(&plan->where, ig_buf_str(&plan->group));
  if (!alone) ig_buf_append_char(&plan->where, ')');
  ig_buf_fail_with(&plan->where, &plan->group);
  ig_buf_clear(&plan->group);
  plan->group_count = 0;
}

static igloo_status add_filter(struct plan *plan, const struct igloo_expr *filter,
                               struct ig_remote_decision *ret_decision,
                               struct igloo_error *reterr) {
  *ret_decision = (struct ig_remote_decision){.push = IGLOO_PUSH_NO,
                                              .reason = "igloo.pushdown is off"};
  plan->all_exact = plan->all_exact && plan->settings->pushdown;
  if (!plan->settings->pushdown) return IGLOO_OK;

  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_DIALECT_TEXT_MAX);
  ret_decision->reason = "";
  ret_decision->push = decide(plan->table, filter, &text, &ret_decision->reason);
  bool too_long = text.failed == IGLOO_RESOURCE_EXHAUSTED ||
                  plan->where.len + plan->group.len + text.len > IG_DIALECT_TEXT_MAX / 2;
  if (too_long) {
    ret_decision->push = IGLOO_PUSH_NO;
    ret_decision->reason = "the statement would be too long";
  } else {
    IG_TRY(ig_buf_check(&text, reterr));
  }
  if (ret_decision->push != IGLOO_PUSH_EXACT) plan->all_exact = false;
  if (ret_decision->push == IGLOO_PUSH_NO) return IGLOO_OK;
  if (plan->group_count) ig_buf_append_cstr(&plan->group, " AND ");
  ig_buf_append_str(&plan->group, ig_buf_str(&text));
  if (looks_up(plan->table->facts, filter)) {
    plan->narrow = true;
    if (filter->kind == IGLOO_EXPR_COMPARE && filter->op == IGLOO_OP_EQ)
      plan->keyed = true;
  }
  IG_TRY(ig_buf_check(&plan->group, reterr));
  if (++plan->group_count == GROUP_MAX) close_group(plan);
  return ig_buf_check(&plan->where, reterr);
}

static igloo_status add_filters(struct plan *plan, ig_remote_scan *scan,
                                struct igloo_error *reterr) {
  static const char *const words[] = {"no", "inexact", "exact"};
  size_t count = plan->request->filters_count;
  scan->decisions = ig_calloc(count + 1, sizeof(*scan->decisions));
  if (!scan->decisions) return ig_fail_oom(reterr);
  IG_AUTO_DONE(ig_buf) decided = IG_BUF_INIT(IG_DIALECT_TEXT_MAX);
  for (size_t i = 0; i < count; i++) {
    struct ig_remote_decision *decision = &scan->decisions[i];
    IG_TRY(add_filter(plan, plan->request->filters[i], decision, reterr));
    ig_buf_append_fmt(&decided, "%s%s%s%s", i ? "\n" : "", words[decision->push],
                      *decision->reason ? ": " : "", decision->reason);
  }
  close_group(plan);
  IG_TRY(ig_buf_check(&plan->where, reterr));
  return ig_buf_steal(&decided, &scan->decided, reterr);
}

/* ---- limits ---------------------------------------------------------------------------
 */

static void choose_limit(const struct plan *plan, ig_remote_scan *scan) {
  const struct ig_scan_request *request = plan->request;
  if (request->limit < 0 || !plan->all_exact || !plan->settings->pushdown ||
      !plan->table->source->dialect->limits || is_opaque(plan->table))
    return;
  bool sorted = request->sort_count > 0;
  if (sorted && !ig_remote_table_sorts(plan->table, request->sort, request->sort_count))
    return;
  scan->limit_done = true;
  scan->sort_done = sorted;
}

static igloo_status check_strict(const struct plan *plan, const ig_remote_scan *scan,
                                 struct igloo_error *reterr) {
  if (!plan->settings->strict || plan->where.len || scan->limit_done) return IGLOO_OK;
  int64_t bytes = ig_remote_table_bytes(plan->table);
  if (bytes >= 0 && bytes <= plan->settings->strict_bytes) return IGLOO_OK;
  const char *label = plan->table->facts->label;
  if (bytes < 0)
    ig_fail(reterr, IGLOO_FAILED_PRECONDITION,
            "the query would read all of \"%s\", whose size is not known", label);
  else
    ig_fail(reterr, IGLOO_FAILED_PRECONDITION,
            "the query would read all of \"%s\", up to about %lld bytes", label,
            (long long)bytes);
  ig_error_detail(reterr, "igloo.strict_pushdown is on, and allows %lld bytes.",
                  (long long)plan->settings->strict_bytes);
  ig_error_hint(reterr,
                "Filter it by what EXPLAIN shows as pushed, or raise "
                "igloo.strict_pushdown_bytes.");
  return IGLOO_FAILED_PRECONDITION;
}

/* ---- parts ---------------------------------------------------------------------------
 */

/* Parts that read the table at different moments could tell a row twice, or never. */
static uint32_t choose_parts(const struct plan *plan, const ig_remote_scan *scan) {
  const ig_remote_table *table = plan->table;
  if (plan->narrow || scan->limit_done || is_opaque(table) || table->facts->is_query ||
      !ig_source_has_snapshots(table->source))
    return 1;
  uint32_t count = plan->request->parts_wanted;
  uint32_t places = ig_links_readers_max(table->source->pool);
  int64_t bytes = ig_remote_table_bytes(table);
  if (count > IG_CONNECTOR_PARTS_MAX) count = IG_CONNECTOR_PARTS_MAX;
  if (count > places) count = places;
  if (bytes / IG_CONNECTOR_PART_BYTES < (int64_t)count)
    count = bytes < 0 ? 1 : (uint32_t)(bytes / IG_CONNECTOR_PART_BYTES);
  if (count < 2) return 1;
  bool splits = table->source->dialect->split(&table->facts->meta, 0, count, NULL);
  return splits ? count : 1;
}

static igloo_status write_text(const struct plan *plan, const ig_remote_scan *scan,
                               uint32_t index, uint32_t count, char **ret_text,
                               struct igloo_error *reterr) {
  const struct igloo_dialect *dialect = plan->table->source->dialect;
  const struct ig_scan_request *request = plan->request;
  const struct igloo_table *meta = &plan->table->facts->meta;
  if (is_opaque(plan->table)) {
    *ret_text = ig_strdup(meta->name);
    return *ret_text ? IGLOO_OK : ig_fail_oom(reterr);
  }
  IG_AUTO_DONE(ig_buf) split = IG_BUF_INIT(IG_DIALECT_TEXT_MAX);
  struct igloo_text split_text = ig_dialect_text(&split);
  if (count > 1 && !dialect->split(meta, index, count, &split_text))
    return ig_fail(reterr, IGLOO_INTERNAL, "part %u of \"%s\" cannot be written", index,
                   plan->table->facts->label);
  IG_TRY(ig_buf_check(&split, reterr));
  struct igloo_select select = {
      .struct_size = sizeof(select),
      .columns = request->columns,
      .columns_count = request->columns_count,
      .where = plan->where.len ? plan->where.data : NULL,
      .split = split.len ? split.data : NULL,
      .sort = scan->sort_done ? request->sort : NULL,
      .sort_count = scan->sort_done ? request->sort_count : 0,
      .limit = scan->limit_done ? request->limit : -1,
  };
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(2 * IG_DIALECT_TEXT_MAX);
  struct igloo_text out = ig_dialect_text(&text);
  dialect->select(meta, &select, &out);
  return ig_buf_steal(&text, ret_text, reterr);
}

igloo_status ig_scan_write_whole(ig_remote_table *table,
                                 const struct ig_scan_request *request,
                                 const struct ig_remote_settings *settings,
                                 char **ret_text, char **ret_decisions,
                                 struct igloo_error *reterr) {
  struct plan plan = {
      .table = table, .request = request, .settings = settings, .all_exact = true};
  ig_remote_scan scan = {.table = table};
  ig_buf_init(&plan.where, IG_DIALECT_TEXT_MAX);
  ig_buf_init(&plan.group, IG_DIALECT_TEXT_MAX);
  char *text = NULL;
  igloo_status status = add_filters(&plan, &scan, reterr);
  if (status == IGLOO_OK && plan.all_exact)
    status = write_text(&plan, &scan, 0, 1, &text, reterr);
  ig_buf_done(&plan.where);
  ig_buf_done(&plan.group);
  ig_free(scan.decisions);
  if (!text) { /* failed, or not whole */
    ig_free(scan.decided);
    scan.decided = NULL;
  }
  if (status != IGLOO_OK) return status;
  *ret_text = text;
  *ret_decisions = scan.decided;
  return IGLOO_OK;
}

/* Filters keep some of the rows; how many is the source's secret. */
static int64_t estimate_rows(const struct plan *plan, const ig_remote_scan *scan,
                             uint32_t count) {
  int64_t rows = plan->table->facts->meta.rows;
  if (rows < 0) return scan->limit_done ? plan->request->limit : -1;
  rows /= count;
  return scan->limit_done && plan->request->limit < rows ? plan->request->limit : rows;
}

#define FEW_ROWS 1000

/* A guess that is wrong costs time and nothing else. */
static bool expects_few(const struct plan *plan, const ig_remote_scan *scan) {
  const struct ig_facts *facts = plan->table->facts;
  if (!plan->keyed && (!scan->limit_done || plan->request->limit > FEW_ROWS))
    return false;
  for (size_t i = 0; i < plan->request->columns_count; i++)
    if (facts->casts[plan->request->columns[i]]) return false;
  return !facts->is_query;
}

static igloo_status make_part(const struct plan *plan, ig_remote_scan *scan,
                              uint32_t index, uint32_t count, struct ig_str expected,
                              struct igloo_error *reterr) {
  struct ig_remote_part *out = &scan->parts[index];
  const struct ig_facts *facts = plan->table->facts;
  char *text = NULL, *bytes = NULL;
  IG_TRY(write_text(plan, scan, index, count, &text, reterr));
  out->text = text;
  scan->parts_count = index + 1;
  struct ig_part part = {
      .source = ig_str_from_cstr(plan->table->source->name),
      .version = plan->table->source->version,
      .schema = ig_str_from_cstr(facts->schema_name),
      .table = ig_str_from_cstr(facts->name),
      .label = ig_str_from_cstr(facts->label),
      .text = ig_str_from_cstr(text),
      .expected = expected,
      .counts = plan->request->columns_count == 0,
      .part = (int32_t)index + 1,
      .parts = (int32_t)count,
      .decisions = ig_str_from_cstr(scan->decided),
      .few = scan->few,
  };
  IG_AUTO_CHAR *columns = NULL;
  if (is_opaque(plan->table) && !part.counts) {
    size_t columns_bytes = plan->request->columns_count * sizeof(int32_t);
    columns = ig_malloc(columns_bytes);
    if (!columns) return ig_fail_oom(reterr);
    memcpy(columns, plan->request->columns, columns_bytes);
    part.columns.items = (int32_t *)(void *)columns;
    part.columns.len = plan->request->columns_count;
  }
  IG_TRY(ig_part_encode(&part, &bytes, &out->bytes.len, reterr));
  out->bytes.data = bytes;
  out->rows = estimate_rows(plan, scan, count);
  return IGLOO_OK;
}

static igloo_status make_parts(const struct plan *plan, ig_remote_scan *scan,
                               struct igloo_error *reterr) {
  uint32_t count = choose_parts(plan, scan);
  scan->few = expects_few(plan, scan);
  scan->parts = ig_calloc(count, sizeof(*scan->parts));
  if (!scan->parts) return ig_fail_oom(reterr);
  IG_AUTO_CHAR *expected = NULL;
  size_t len = 0;
  IG_TRY(ig_schema_to_text(&scan->schema, &expected, &len, reterr));
  for (uint32_t i = 0; i < count; i++)
    IG_TRY(make_part(plan, scan, i, count, ig_str_make(expected, len), reterr));
  IG_TRY(ig_run_plan(scan->run, plan->table->source, count, &scan->slot, reterr));
  scan->planned = true;
  return IGLOO_OK;
}

/* ---- scans ----------------------------------------------------------------------------
 */

static igloo_status make_schema(const struct plan *plan, struct ArrowSchema *ret_schema,
                                struct igloo_error *reterr) {
  const struct ArrowSchema *all = &plan->table->facts->schema;
  size_t count = plan->request->columns_count;
  IG_TRY(ig_schema_new_struct(count, ret_schema, reterr));
  for (size_t i = 0; i < count; i++) {
    int32_t column = plan->request->columns[i];
    if (column < 0 || column >= all->n_children)
      return ig_fail(reterr, IGLOO_INTERNAL, "\"%s\" has no column %d",
                     plan->table->facts->label, (int)column);
    ig_schema_done(ret_schema->children[i]);
    IG_TRY(ig_schema_copy(all->children[column], ret_schema->children[i], reterr));
  }
  return IGLOO_OK;
}

igloo_status ig_remote_table_plan(ig_remote_table *table,
                                  const struct ig_scan_request *request,
                                  ig_remote_run *run, ig_remote_scan **ret_scan,
                                  struct igloo_error *reterr) {
  IG_AUTO(ig_remote_scan) *scan = ig_calloc(1, sizeof(*scan));
  if (!scan) return ig_fail_oom(reterr);
  scan->table = ig_remote_table_ref(table);
  scan->run = ig_remote_run_ref(run);
  struct plan plan = {
      .table = table,
      .request = request,
      .settings = ig_run_settings(run),
      .all_exact = true,
  };
  ig_buf_init(&plan.where, IG_DIALECT_TEXT_MAX);
  ig_buf_init(&plan.group, IG_DIALECT_TEXT_MAX);
  igloo_status status = make_schema(&plan, &scan->schema, reterr);
  if (status == IGLOO_OK) status = add_filters(&plan, scan, reterr);
  if (status == IGLOO_OK) {
    choose_limit(&plan, scan);
    status = check_strict(&plan, scan, reterr);
  }
  if (status == IGLOO_OK) status = make_parts(&plan, scan, reterr);
  ig_buf_done(&plan.where);
  ig_buf_done(&plan.group);
  if (status == IGLOO_OK) *ret_scan = IG_TAKE(scan);
  return status;
}

ig_remote_scan *ig_remote_scan_free(ig_remote_scan *scan) {
  if (!scan) return NULL;
  if (scan->planned) ig_run_unplan(scan->run, scan->slot, (uint32_t)scan->parts_count);
  for (size_t i = 0; i < scan->parts_count; i++) {
    ig_free((char *)(uintptr_t)scan->parts[i].text);
    ig_free((char *)(uintptr_t)scan->parts[i].bytes.data);
  }
  ig_free(scan->parts);
  ig_free(scan->decisions);
  ig_free(scan->decided);
  ig_schema_done(&scan->schema);
  ig_remote_run_unref(scan->run);
  ig_remote_table_unref(scan->table);
  ig_free(scan);
  return NULL;
}

const struct ig_remote_part *ig_remote_scan_parts(const ig_remote_scan *scan,
                                                  size_t *ret_count) {
  *ret_count = scan->parts_count;
  return scan->parts;
}

const struct ig_remote_decision *ig_remote_scan_decisions(const ig_remote_scan *scan) {
  return scan->decisions;
}

const char *ig_remote_scan_snapshot(const ig_remote_scan *scan) {
  return ig_run_snapshot(scan->run, scan->slot);
}

bool ig_remote_scan_limit_done(const ig_remote_scan *scan) {
  return scan->limit_done;
}

bool ig_remote_scan_sort_done(const ig_remote_scan *scan) {
  return scan->sort_done;
}

const struct ArrowSchema *ig_remote_scan_schema(const ig_remote_scan *scan) {
  return &scan->schema;
}
