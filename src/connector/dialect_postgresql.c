/* dialect_postgresql.c -- what PostgreSQL can do as the engine does it.
 *
 * Its types are known by their names as the driver tells them (format_type). Text is
 * equal where its bytes are, under every collation that is deterministic, and ordered by
 * them under "C", provided that the database's encoding is UTF-8: the driver tells no
 * collation where it is not. Literals do not lean on standard_conforming_strings: a text
 * with a backslash is written as E'…'. */
#include <math.h>

#include "arrow/numtext.h"
#include "arrow/timetext.h"
#include "connector/dialect_core.h"

/* ctid ranges are read by range from here on; older servers read all for each part. */
#define TID_RANGE_VERSION 140000

#define DAY_SECONDS INT64_C(86400)
/* The years 1 to 9999, which all notations of dates have in common. */
#define SECONDS_MIN INT64_C(-62135596800)
#define SECONDS_MAX INT64_C(253402300799)

#define BLANKS "character(n) ignores blanks at the end"
#define FLOATS "-0.0 and 0.0 are one value there"
#define COLLATIONS "the collation is not deterministic"

/* Questions: =, <>, <, IS NULL, LIKE, truth, ORDER BY. */
static const struct ig_rule rules[] = {
    {IG_CLASS_BOOL, "boolean", NULL, "EEEE-EE", "", NULL},
    {IG_CLASS_INT, "smallint", NULL, "EEEE--E", "", NULL},
    {IG_CLASS_INT, "integer", NULL, "EEEE--E", "", NULL},
    {IG_CLASS_INT, "bigint", NULL, "EEEE--E", "", NULL},
    {IG_CLASS_FLOAT, "real", NULL, "EEEE---", "", FLOATS},
    {IG_CLASS_FLOAT, "double precision", NULL, "EEEE---", "", FLOATS},
    {IG_CLASS_DECIMAL, "numeric", NULL, "EEEE--E", "", NULL},
    {IG_CLASS_TEXT, "text", "C", "EEEEE-E", "", NULL},
    {IG_CLASS_TEXT, "text", "deterministic", "EECEE-C", "", NULL},
    {IG_CLASS_TEXT, "text", "nondeterministic", "ICCEC-C", "", COLLATIONS},
    {IG_CLASS_TEXT, "character varying", "C", "EEEEE-E", "", NULL},
    {IG_CLASS_TEXT, "character varying", "deterministic", "EECEE-C", "", NULL},
    {IG_CLASS_TEXT, "character varying", "nondeterministic", "ICCEC-C", "", COLLATIONS},
    {IG_CLASS_TEXT, "name", "C", "EEEEE-E", "::text", NULL},
    {IG_CLASS_TEXT, "character", "C", "I--E---", "::bpchar", BLANKS},
    {IG_CLASS_TEXT, "character", "deterministic", "I--E---", "::bpchar", BLANKS},
    {IG_CLASS_TEXT, "bpchar", "C", "I--E---", "::bpchar", BLANKS},
    {IG_CLASS_TEXT, "bpchar", "deterministic", "I--E---", "::bpchar", BLANKS},
    {IG_CLASS_BYTES, "bytea", NULL, "EEEE--E", "::bytea", NULL},
    {IG_CLASS_BYTES, "uuid", NULL, "EEEE--E", "::uuid", NULL},
    {IG_CLASS_DATE, "date", NULL, "EEEE--E", "", NULL},
    {IG_CLASS_TIME, "time without time zone", NULL, "EEEE--E", "", NULL},
    {IG_CLASS_TIMESTAMP, "timestamp without time zone", NULL, "EEEE--E", "", NULL},
    {IG_CLASS_INSTANT, "timestamp with time zone", NULL, "EEEE--E", "", NULL},
};

static const struct ig_rule other_type = {
    .answers = "---E---", .reason = "values of the type compare by other rules there"};
static const struct ig_rule unknown_type = {
    .answers = "-------", .reason = "the driver does not tell the column's type"};
static const struct ig_rule unknown_collation = {
    .answers = "---E---", .reason = "the driver does not tell the column's collation"};

/* "timestamp(3) with time zone" is "timestamp with time zone". */
static bool same_type(struct ig_str type, const char *name) {
  size_t open = ig_str_find_char(type, '(');
  if (open == IG_STR_NONE) return ig_str_eq_cstr(type, name);
  size_t close = ig_str_find_char(type, ')');
  struct ig_str head = ig_str_sub(type, 0, open), tail = {NULL, 0};
  if (close != IG_STR_NONE) tail = ig_str_sub(type, close + 1, type.len);
  struct ig_str expected = ig_str_from_cstr(name);
  return expected.len == head.len + tail.len && ig_str_starts(expected, head) &&
         ig_str_ends(expected, tail);
}

static const struct ig_rule *rule(const struct igloo_table *table,
                                  const struct igloo_column *column,
                                  const struct ig_type *type) {
  (void)table;
  struct ig_str source_type = ig_str_from_cstr(column->source_type);
  struct ig_str collation = ig_str_from_cstr(column->collation);
  const struct ig_rule *found = source_type.len > 0 ? &other_type : &unknown_type;
  for (size_t i = 0; i < IG_ARRAY_LEN(rules); i++) {
    if (rules[i].class != type->class || !same_type(source_type, rules[i].source_type))
      continue;
    if (!rules[i].collation || ig_str_eq_cstr(collation, rules[i].collation))
      return &rules[i];
    found = &unknown_collation;
  }
  return found;
}

/* Infinity, NaN. */
static bool may_misfit(const struct igloo_column *column, enum ig_class class) {
  (void)column;
  return class == IG_CLASS_DECIMAL || class == IG_CLASS_DATE ||
         class == IG_CLASS_TIMESTAMP || class == IG_CLASS_INSTANT;
}

/* ---- names and literals ---------------------------------------------------------------
 */

static void identifier(const char *name, struct igloo_text *text) {
  ig_text_append_quoted(text, ig_str_from_cstr(name), '"');
}

/* In E'…' backslashes and quotes are doubled, in '…' quotes. */
static void write_string(struct igloo_text *text, struct ig_str value) {
  if (ig_str_find_char(value, '\\') == IG_STR_NONE) {
    ig_text_append_quoted(text, value, '\'');
    return;
  }
  ig_text_append_cstr(text, "E'");
  size_t start = 0;
  for (size_t i = 0; i < value.len; i++) {
    if (value.data[i] != '\\' && value.data[i] != '\'') continue;
    ig_text_append(text, ig_str_sub(value, start, i + 1 - start));
    start = i;
  }
  ig_text_append(text, ig_str_sub(value, start, value.len));
  ig_text_append_cstr(text, "'");
}

static void literal_of_text(const char *text_value, struct igloo_text *text) {
  write_string(text, ig_str_from_cstr(text_value));
}

static bool refuse(struct ig_walk *walk, const char *reason) {
  walk->reason = reason;
  return false;
}

/* Append through walk, so that bytes are counted. */
static void walk_string(struct ig_walk *walk, struct ig_str value) {
  walk->bytes += value.len + 3;
  if (walk->text) write_string(walk->text, value);
}

static bool append_text(struct ig_walk *walk, struct ig_str value) {
  if (!ig_utf8_valid(value, NULL) || ig_str_find_char(value, '\0') != IG_STR_NONE)
    return refuse(walk, "the text has no form there");
  walk_string(walk, value);
  return true;
}

static bool append_bytes(struct ig_walk *walk, const struct ig_rule *rule_of_column,
                         struct ig_str value) {
  bool uuid = ig_str_eq_cstr(ig_str_from_cstr(rule_of_column->suffix), "::uuid");
  if (uuid && value.len != 16) return refuse(walk, "the constant has no form there");
  ig_walk_append_cstr(walk, uuid ? "'" : "E'\\\\x");
  ig_walk_append_hex(walk, value);
  ig_walk_append_cstr(walk, "'");
  return true;
}

static void append_quoted(struct ig_walk *walk, const struct ig_buf *value,
                          const char *suffix) {
  ig_walk_append_cstr(walk, "'");
  ig_walk_append(walk, ig_buf_str(value));
  ig_walk_append_cstr(walk, "'");
  ig_walk_append_cstr(walk, suffix);
}

static bool append_number(struct ig_walk *walk, const struct ig_value *value) {
  IG_SMALL_TEXT(number);
  __int128 whole = value->whole;
  if (ig_walk_only_asks(walk)) return true;
  if (value->type.class == IG_CLASS_FLOAT) {
    if (value->type.bits == 64)
      ig_text_double(&number, value->number);
    else
      ig_text_float(&number, (float)value->number);
    append_quoted(walk, &number, value->type.bits == 64 ? "::float8" : "::float4");
    return true;
  }
  int32_t scale = value->type.class == IG_CLASS_DECIMAL ? value->type.scale : 0;
  ig_text_decimal(&number, &whole, sizeof(whole), scale);
  /* Without its sign the smallest bigint is none. */
  if (scale == 0 && whole == INT64_MIN)
    append_quoted(walk, &number, "::int8");
  else
    ig_walk_append(walk, ig_buf_str(&number));
  return true;
}

/* A moment in parts of a second; finer than a microsecond there is nothing. */
static bool append_moment(struct ig_walk *walk, const struct ig_value *value) {
  IG_SMALL_TEXT(moment);
  int64_t unit = value->type.unit, at = (int64_t)value->whole;
  if (unit > 1000000 && at % (unit / 1000000) != 0)
    return refuse(walk, "it is finer than a microsecond");
  if (value->type.class == IG_CLASS_TIME) {
    if (at < 0 || at >= DAY_SECONDS * unit)
      return refuse(walk, "the constant has no form there");
    if (ig_walk_only_asks(walk)) return true;
    ig_text_time(&moment, at, unit);
    append_quoted(walk, &moment, "::time");
    return true;
  }
  __int128 low = (__int128)SECONDS_MIN * unit, high = (__int128)(SECONDS_MAX + 1) * unit;
  if (at < low || at >= high) return refuse(walk, "the year is not 1 to 9999");
  if (ig_walk_only_asks(walk)) return true;
  ig_text_timestamp(&moment, at, unit, NULL, IG_TIME_SQL);
  bool instant = value->type.class == IG_CLASS_INSTANT;
  if (instant) ig_buf_append_cstr(&moment, "+00");
  append_quoted(walk, &moment, instant ? "::timestamptz" : "::timestamp");
  return true;
}

static bool append_date(struct ig_walk *walk, int64_t days) {
  IG_SMALL_TEXT(date);
  if (days < SECONDS_MIN / DAY_SECONDS || days > SECONDS_MAX / DAY_SECONDS)
    return refuse(walk, "the year is not 1 to 9999");
  if (ig_walk_only_asks(walk)) return true;
  ig_text_date(&date, days);
  append_quoted(walk, &date, "::date");
  return true;
}

static bool literal(struct ig_walk *walk, const struct ig_rule *rule_of_column,
                    const struct ig_value *value) {
  switch (value->type.class) {
    case IG_CLASS_BOOL:
      ig_walk_append_cstr(walk, value->whole ? "true" : "false");
      return true;
    case IG_CLASS_INT:
    case IG_CLASS_DECIMAL:
    case IG_CLASS_FLOAT:
      return append_number(walk, value);
    case IG_CLASS_TEXT:
      if (!append_text(walk, value->bytes)) return false;
      ig_walk_append_cstr(walk, rule_of_column->suffix);
      return true;
    case IG_CLASS_BYTES:
      if (!append_bytes(walk, rule_of_column, value->bytes)) return false;
      ig_walk_append_cstr(walk, rule_of_column->suffix);
      return true;
    case IG_CLASS_DATE:
      return append_date(walk, (int64_t)value->whole);
    case IG_CLASS_TIME:
    case IG_CLASS_TIMESTAMP:
    case IG_CLASS_INSTANT:
      return append_moment(walk, value);
    case IG_CLASS_OTHER:
      break;
  }
  return refuse(walk, "the constant has no form there");
}

static void write_bound(struct ig_buf *dst, double bound) {
  ig_buf_append_char(dst, '\'');
  ig_text_double(dst, bound);
  ig_buf_append_cstr(dst, "'::float8");
}

/* A float that is compared as a decimal: by bounds. */
static enum ig_form compare(struct ig_walk *walk, const struct ig_operand *operand,
                            int32_t op, const struct ig_value *value, bool *ret_written) {
  *ret_written = operand->is_rounded;
  if (!operand->is_rounded) return IG_FORM_SAME;
  walk->reason = "a float is compared as a decimal";
  if (op == IGLOO_OP_NE || op == IGLOO_OP_DISTINCT) return IG_FORM_NO;
  IG_SMALL_TEXT(low);
  IG_SMALL_TEXT(high);
  double low_bound, high_bound;
  ig_bounds_of_decimal(operand, value, &low_bound, &high_bound);
  write_bound(&low, low_bound);
  write_bound(&high, high_bound);
  ig_walk_append_bounds(walk, operand, op, &low, " >= ", &high, " <= ");
  return IG_FORM_MORE;
}

/* The pattern with ! as its escape: a backslash may mean two things in a literal. Bytes
 * between the wildcards go out as they are. */
static void append_pattern(struct ig_walk *walk, const struct ig_pattern *pattern) {
  struct ig_str part = {NULL, 0};
  enum ig_pattern_item item;
  bool backslash = ig_str_find_char(pattern->text, '\\') != IG_STR_NONE;
  ig_walk_append_cstr(walk, backslash ? "E'" : "'");
  for (size_t at = 0; (item = ig_pattern_next(pattern, &at, &part)) != IG_PATTERN_END;) {
    if (item != IG_PATTERN_CHAR) {
      ig_walk_append_cstr(walk, item == IG_PATTERN_MANY ? "%" : "_");
      continue;
    }
    char c = part.data[0];
    if (c == '%' || c == '_' || c == '!') ig_walk_append_cstr(walk, "!");
    if (c == '\'' || c == '\\') ig_walk_append(walk, part);
    ig_walk_append(walk, part);
  }
  ig_walk_append_cstr(walk, "' ESCAPE '!'");
}

static enum ig_form like(struct ig_walk *walk, const struct ig_operand *operand,
                         const char *collate, const struct ig_pattern *pattern,
                         bool negated) {
  ig_walk_append_name(walk, operand->column);
  ig_walk_append_cstr(walk, collate);
  ig_walk_append_cstr(walk, negated ? " NOT LIKE " : " LIKE ");
  append_pattern(walk, pattern);
  return IG_FORM_SAME;
}

/* NULLs in a value of a row type do not make it NULL here. */
static const struct ig_language language = {
    .rule = rule,
    .may_misfit = may_misfit,
    .identifier = identifier,
    .literal = literal,
    .compare = compare,
    .like = like,
    .truths = {" = false", ""},
    .collate = " COLLATE \"C\"",
    .distinct = " IS DISTINCT FROM ",
    .not_distinct = " IS NOT DISTINCT FROM ",
    .is_null_of_any = " IS NOT DISTINCT FROM NULL",
    .is_not_null_of_any = " IS DISTINCT FROM NULL",
};

/* ---- the dialect ----------------------------------------------------------------------
 */

static enum igloo_push conjunct(const struct igloo_table *table,
                                const struct igloo_expr *expr, struct igloo_text *text,
                                const char **ret_reason) {
  return ig_walk_conjunct(&language, table, expr, text, ret_reason);
}

static bool sorts(const struct igloo_table *table, const struct igloo_sort *sort,
                  size_t sort_count, const char **ret_reason) {
  return ig_walk_sorts(&language, table, sort, sort_count, ret_reason);
}

/* A query's columns take their names by place: they may have none of their own. */
static void write_from_query(const struct igloo_table *table, struct igloo_text *text) {
  ig_text_append_cstr(text, " FROM (\n");
  ig_text_append_cstr(text, table->name);
  ig_text_append_cstr(text, "\n) AS \"query\"");
  for (size_t i = 0; i < table->columns_count; i++) {
    ig_text_append_cstr(text, i == 0 ? " (" : ", ");
    identifier(table->columns[i].name, text);
  }
  if (table->columns_count > 0) ig_text_append_cstr(text, ")");
}

static void select_part(const struct igloo_table *table, const struct igloo_select *what,
                        struct igloo_text *text) {
  ig_write_columns(&language, table, what, "", text);
  if (table->kind == IGLOO_TABLE_QUERY) {
    write_from_query(table, text);
  } else {
    ig_text_append_cstr(text, " FROM ");
    if (table->schema && *table->schema) {
      identifier(table->schema, text);
      ig_text_append_cstr(text, ".");
    }
    identifier(table->name, text);
  }
  ig_write_clauses(&language, table, what, text);
}

/* By pages. Their number is an estimate: the last part has no end. */
static bool split(const struct igloo_table *table, uint32_t index, uint32_t count,
                  struct igloo_text *text) {
  if (table->kind != IGLOO_TABLE_BASE || table->server_version < TID_RANGE_VERSION ||
      table->pages < 1 || table->pages > UINT32_MAX || count < 2 || index >= count)
    return false;
  for (uint32_t end = 0; end < 2; end++) {
    uint32_t boundary = index + end;
    if (boundary == 0 || boundary == count) continue;
    IG_SMALL_TEXT(page);
    ig_text_i64(&page, ig_split_boundary(0, table->pages - 1, boundary, count));
    ig_text_append_cstr(text, end == 0 ? "ctid >= '(" : "ctid < '(");
    ig_text_append(text, ig_buf_str(&page));
    ig_text_append_cstr(text, ",0)'::tid");
    if (end == 0 && boundary + 1 < count) ig_text_append_cstr(text, " AND ");
  }
  return true;
}

/* What literals and the driver's formats lean on. */
static const char *const session_init[] = {
    "SET client_encoding = 'UTF8'",
    "SET standard_conforming_strings = on",
    "SET datestyle = 'ISO, YMD'",
    "SET timezone = 'UTC'",
    NULL,
};

const struct igloo_dialect ig_dialect_postgresql = {
    .abi_version = IGLOO_CONNECTOR_ABI_VERSION,
    .struct_size = sizeof(struct igloo_dialect),
    .name = "postgresql",
    .snapshot_begin = "SELECT pg_export_snapshot()",
    .snapshot_join = "SET TRANSACTION SNAPSHOT %s",
    .session_init = session_init,
    .conjunct = conjunct,
    .sorts = sorts,
    .select = select_part,
    .split = split,
    .identifier = identifier,
    .literal = literal_of_text,
    .limits = true,
};
