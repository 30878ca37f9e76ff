/*
 * lookup.c -- looking up by key: what of the plan is the same for all values is made
 * once, and the one part is opened without being bytes.
 */
#include "arrow/schema.h"
#include "base/limits.h"
#include "connector/internal.h"

struct ig_remote_lookup {
  atomic_uint refs;
  ig_remote_table *table; /* shared */
  int32_t *columns;       /* as the statement asks for them: in the table's order */
  int32_t *places;        /* of the result's columns among those; NULL: the same */
  size_t columns_count;
  int32_t keys[IG_LOOKUP_KEYS_MAX];
  size_t keys_count;
  struct ArrowSchema schema; /* of the result */
};

ig_remote_lookup *ig_remote_lookup_ref(ig_remote_lookup *lookup) {
  atomic_fetch_add(&lookup->refs, 1);
  return lookup;
}

ig_remote_lookup *ig_remote_lookup_unref(ig_remote_lookup *lookup) {
  if (!lookup || atomic_fetch_sub(&lookup->refs, 1) != 1) return NULL;
  ig_schema_done(&lookup->schema);
  ig_free(lookup->columns);
  ig_free(lookup->places);
  ig_remote_table_unref(lookup->table);
  ig_free(lookup);
  return NULL;
}

/* ---- making -------------------------------------------------------------------------
 */

/* A key that the source has an index for finds few rows, and what the driver casts it
 * does not give in its way for few. */
static bool is_quick(const ig_remote_table *table, const int32_t *columns,
                     size_t columns_count, const int32_t *keys, size_t keys_count) {
  const struct ig_facts *facts = table->facts;
  if (!table->source->is_ours || !facts->named_once || facts->is_query ||
      columns_count == 0 || keys_count == 0 || keys_count > IG_LOOKUP_KEYS_MAX)
    return false;
  for (size_t i = 0; i < columns_count; i++)
    if (facts->casts[columns[i]]) return false;
  for (size_t i = 0; i < keys_count; i++)
    if (facts->indexed[keys[i]]) return true;
  return false;
}

/* The columns in the table's order, as a scan of the same statement asks for them. */
static igloo_status order_columns(ig_remote_lookup *lookup, const int32_t *columns,
                                  size_t count, struct igloo_error *reterr) {
  lookup->columns = ig_calloc(count, sizeof(*lookup->columns));
  lookup->places = ig_calloc(count, sizeof(*lookup->places));
  if (!lookup->columns || !lookup->places) return ig_fail_oom(reterr);
  lookup->columns_count = count;
  bool same = true;
  for (size_t i = 0; i < count; i++) {
    size_t place = 0;
    for (size_t j = 0; j < count; j++)
      if (columns[j] < columns[i]) place++;
    lookup->columns[place] = columns[i];
    lookup->places[i] = (int32_t)place;
    same = same && place == i;
  }
  if (!same) return IGLOO_OK;
  ig_free(lookup->places);
  lookup->places = NULL;
  return IGLOO_OK;
}

static igloo_status make_schema(ig_remote_lookup *lookup, const int32_t *columns,
                                struct igloo_error *reterr) {
  const struct ArrowSchema *all = &lookup->table->facts->schema;
  IG_TRY(ig_schema_new_struct(lookup->columns_count, &lookup->schema, reterr));
  for (size_t i = 0; i < lookup->columns_count; i++) {
    ig_schema_done(lookup->schema.children[i]);
    IG_TRY(ig_schema_copy(all->children[columns[i]], lookup->schema.children[i], reterr));
  }
  return IGLOO_OK;
}

static bool are_columns(const ig_remote_table *table, const int32_t *columns,
                        size_t count) {
  for (size_t i = 0; i < count; i++)
    if (columns[i] < 0 || columns[i] >= table->facts->schema.n_children) return false;
  return true;
}

igloo_status ig_remote_lookup_new(ig_remote_table *table, const int32_t *columns,
                                  size_t columns_count, const int32_t *keys,
                                  size_t keys_count, ig_remote_lookup **ret_lookup,
                                  struct igloo_error *reterr) {
  if (!are_columns(table, columns, columns_count) ||
      !are_columns(table, keys, keys_count))
    return ig_fail(reterr, IGLOO_INTERNAL, "\"%s\" has no such column",
                   table->facts->label);
  *ret_lookup = NULL;
  if (!is_quick(table, columns, columns_count, keys, keys_count)) return IGLOO_OK;
  IG_AUTO(ig_remote_lookup) *lookup = ig_calloc(1, sizeof(*lookup));
  if (!lookup) return ig_fail_oom(reterr);
  atomic_init(&lookup->refs, 1);
  lookup->table = ig_remote_table_ref(table);
  memcpy(lookup->keys, keys, keys_count * sizeof(*keys));
  lookup->keys_count = keys_count;
  IG_TRY(order_columns(lookup, columns, columns_count, reterr));
  IG_TRY(make_schema(lookup, columns, reterr));
  *ret_lookup = IG_TAKE(lookup);
  return IGLOO_OK;
}

const struct ArrowSchema *ig_remote_lookup_schema(const ig_remote_lookup *lookup) {
  return &lookup->schema;
}

const struct ArrowSchema *ig_remote_lookup_key(const ig_remote_lookup *lookup,
                                               size_t index) {
  return lookup->table->facts->schema.children[lookup->keys[index]];
}

/* ---- looking up ---------------------------------------------------------------------
 */

/* column = value, as the engine tells it. */
struct test {
  struct igloo_expr column, value, equal;
  const struct igloo_expr *sides[2];
};

static void make_test(const ig_remote_lookup *lookup, size_t index,
                      const struct ArrowArray *value, struct test *ret_test) {
  static const struct ArrowSchema is_true = {.format = "b", .name = ""};
  const struct ArrowSchema *type = ig_remote_lookup_key(lookup, index);
  ret_test->column = (struct igloo_expr){.kind = IGLOO_EXPR_COLUMN,
                                         .column = lookup->keys[index],
                                         .type = type,
                                         .name = type->name,
                                         .name_length = strlen(type->name)};
  ret_test->value = (struct igloo_expr){
      .kind = IGLOO_EXPR_LITERAL, .column = -1, .type = type, .value = value};
  ret_test->sides[0] = &ret_test->column;
  ret_test->sides[1] = &ret_test->value;
  ret_test->equal = (struct igloo_expr){.kind = IGLOO_EXPR_COMPARE,
                                        .op = IGLOO_OP_EQ,
                                        .column = -1,
                                        .type = &is_true,
                                        .children = ret_test->sides,
                                        .children_count = 2};
}

/* Gives NULL where the source leaves something to test. */
static igloo_status write_statement(const ig_remote_lookup *lookup,
                                    const struct ArrowArray *const *values,
                                    const struct ig_remote_settings *settings,
                                    char **ret_text, char **ret_decisions,
                                    struct igloo_error *reterr) {
  struct test tests[IG_LOOKUP_KEYS_MAX];
  const struct igloo_expr *filters[IG_LOOKUP_KEYS_MAX];
  for (size_t i = 0; i < lookup->keys_count; i++) {
    make_test(lookup, i, values[i], &tests[i]);
    filters[i] = &tests[i].equal;
  }
  struct ig_scan_request request = {.columns = lookup->columns,
                                    .columns_count = lookup->columns_count,
                                    .filters = filters,
                                    .filters_count = lookup->keys_count,
                                    .limit = -1,
                                    .parts_wanted = 1};
  return ig_scan_write_whole(lookup->table, &request, settings, ret_text, ret_decisions,
                             reterr);
}

static struct ig_open_part *make_part(ig_remote_lookup *lookup, char *text,
                                      char *decisions) {
  struct ig_open_part *open = ig_calloc(1, sizeof(*open));
  if (!open) return NULL;
  const struct ig_facts *facts = lookup->table->facts;
  const ig_source *source = lookup->table->source;
  atomic_init(&open->refs, 1);
  open->part = (struct ig_part){
      .source = ig_str_from_cstr(source->name),
      .version = source->version,
      .schema = ig_str_from_cstr(facts->schema_name),
      .table = ig_str_from_cstr(facts->name),
      .label = ig_str_from_cstr(facts->label),
      .text = ig_str_from_cstr(text),
      .columns = {lookup->places, lookup->places ? lookup->columns_count : 0},
      .part = 1,
      .parts = 1,
      .few = true,
  };
  open->source = source->name;
  open->schema = facts->schema_name;
  open->table = facts->name;
  open->shown = facts->label + strlen(source->name) + 1;
  open->expected = &lookup->schema;
  open->lookup = ig_remote_lookup_ref(lookup);
  open->text = open->own_text = text;
  open->decisions = open->own_answer = decisions;
  return open;
}

igloo_status ig_remote_lookup_open(ig_remote_lookup *lookup,
                                   const struct ArrowArray *const *values,
                                   ig_remote_run *run, struct ArrowArrayStream *ret_rows,
                                   struct igloo_error *reterr) {
  IG_AUTO_CHAR *text = NULL;
  IG_AUTO_CHAR *decisions = NULL;
  IG_TRY(
      write_statement(lookup, values, ig_run_settings(run), &text, &decisions, reterr));
  ret_rows->release = NULL;
  if (!text) return IGLOO_OK;
  IG_AUTO_STRUCT(ig_open_part) *part = make_part(lookup, text, decisions);
  if (!part) return ig_fail_oom(reterr);
  text = decisions = NULL; /* the part's */
  struct ig_run_source *slot = NULL;
  IG_TRY(ig_run_plan(run, lookup->table->source, 1, &slot, reterr));
  return ig_rows_open(run, IG_TAKE(part), NULL, ret_rows, reterr);
}
