/* dialect_adbc.c -- a driver whose language is not known: the names of standard SQL, the
 * columns that are wanted, and nothing else. */
#include "connector/dialect_core.h"

static void identifier(const char *name, struct igloo_text *text) {
  ig_text_append_quoted(text, ig_str_from_cstr(name), '"');
}

static void literal(const char *text_value, struct igloo_text *text) {
  ig_text_append_quoted(text, ig_str_from_cstr(text_value), '\'');
}

static enum igloo_push conjunct(const struct igloo_table *table,
                                const struct igloo_expr *expr, struct igloo_text *text,
                                const char **ret_reason) {
  (void)table;
  (void)expr;
  (void)text;
  *ret_reason = "the source's language is not known";
  return IGLOO_PUSH_NO;
}

static bool sorts(const struct igloo_table *table, const struct igloo_sort *sort,
                  size_t sort_count, const char **ret_reason) {
  (void)table;
  (void)sort;
  (void)sort_count;
  *ret_reason = "the source's language is not known";
  return false;
}

static const struct ig_language names_only = {.identifier = identifier};

static void select_part(const struct igloo_table *table, const struct igloo_select *what,
                        struct igloo_text *text) {
  ig_write_columns(&names_only, table, what, " 1", text);
  ig_text_append_cstr(text, " FROM ");
  if (table->kind == IGLOO_TABLE_QUERY) {
    ig_text_append_cstr(text, "(\n");
    ig_text_append_cstr(text, table->name);
    ig_text_append_cstr(text, "\n) \"query\"");
    return;
  }
  const char *const path[] = {table->catalog, table->schema};
  for (size_t i = 0; i < IG_ARRAY_LEN(path); i++) {
    if (!path[i] || !*path[i]) continue;
    identifier(path[i], text);
    ig_text_append_cstr(text, ".");
  }
  identifier(table->name, text);
}

static bool split(const struct igloo_table *table, uint32_t index, uint32_t count,
                  struct igloo_text *text) {
  (void)table;
  (void)index;
  (void)count;
  (void)text;
  return false;
}

const struct igloo_dialect ig_dialect_adbc = {
    .abi_version = IGLOO_CONNECTOR_ABI_VERSION,
    .struct_size = sizeof(struct igloo_dialect),
    .name = "adbc",
    .conjunct = conjunct,
    .sorts = sorts,
    .select = select_part,
    .split = split,
    .identifier = identifier,
    .literal = literal,
};
