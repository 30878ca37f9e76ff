/* outside.c -- dialects as a shared library brings them: one good, three that are not. */
#include <igloo/connector.h>

static void append(struct igloo_text *text, const char *part) {
  size_t length = 0;
  while (part[length]) length++;
  if (text) text->append(text->ctx, part, length);
}

/* Columns are pushed exactly; constants get an answer that is none, and text with it. */
static enum igloo_push conjunct(const struct igloo_table *table,
                                const struct igloo_expr *expr, struct igloo_text *text,
                                const char **ret_reason) {
  if (text) append(text, expr->kind == IGLOO_EXPR_COLUMN ? "yes" : "rubbish");
  (void)table;
  (void)ret_reason;
  if (expr->kind == IGLOO_EXPR_COLUMN) return IGLOO_PUSH_EXACT;
  return expr->kind == IGLOO_EXPR_LITERAL ? (enum igloo_push)7 : IGLOO_PUSH_INEXACT;
}

static bool sorts(const struct igloo_table *table, const struct igloo_sort *sort,
                  size_t sort_count, const char **ret_reason) {
  (void)table;
  (void)sort;
  *ret_reason = "never";
  return sort_count > 99;
}

static void write_select(const struct igloo_table *table, const struct igloo_select *what,
                         struct igloo_text *text) {
  (void)what;
  append(text, table->name);
}

static bool split(const struct igloo_table *table, uint32_t index, uint32_t count,
                  struct igloo_text *text) {
  (void)table;
  append(text, "");
  return index > count;
}

static void plain(const char *name, struct igloo_text *text) {
  append(text, name);
}

static const struct igloo_dialect dialect = {
#ifdef OUTSIDE_OTHER_VERSION
    .abi_version = IGLOO_CONNECTOR_ABI_VERSION + 1,
#else
    .abi_version = IGLOO_CONNECTOR_ABI_VERSION,
#endif
    .struct_size = sizeof(struct igloo_dialect),
#ifdef OUTSIDE_TAKEN_NAME
    .name = "SQLite",
#else
    .name = "outside",
#endif
    .conjunct = conjunct,
    .sorts = sorts,
    .select = write_select,
    .split = split,
    .identifier = plain,
    .literal = plain,
};

#ifndef OUTSIDE_SILENT
__attribute__((visibility("default"))) const struct igloo_dialect *igloo_dialect_init(
    uint32_t abi_version);

const struct igloo_dialect *igloo_dialect_init(uint32_t abi_version) {
  return abi_version == IGLOO_CONNECTOR_ABI_VERSION ? &dialect : NULL;
}
#else
const struct igloo_dialect *igloo_dialect_unused(void);

const struct igloo_dialect *igloo_dialect_unused(void) {
  return &dialect;
}
#endif
