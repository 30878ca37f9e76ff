/* dialect_sqlite.c -- what SQLite can do as the engine does it.
 *
 * A declared type says what a column prefers to hold (its affinity), not what it holds:
 * the driver reads values of its Arrow type and deals with others by its policy, so each
 * rule holds for the values that fit, and for others the walk sees to what the policy
 * makes of them.
 *
 * Names stand in backticks: what stands in double quotes and names no column is a text in
 * SQLite, and a column that was dropped would be read as its own name. */
#include <math.h>
#include <stdlib.h>

#include "arrow/numtext.h"
#include "arrow/timetext.h"
#include "connector/dialect_core.h"

/* GLOB tries every place for every star. */
#define STARS_MAX 4
#define PATTERN_BYTES_MAX 10000 /* SQLite takes 50,000 */

#define CODE_POINT_MAX 0x10FFFF

#define DAY_SECONDS INT64_C(86400)
#define DAYS_MIN INT64_C(-719162) /* 0001-01-01 */
#define DAYS_MAX INT64_C(2932896) /* 9999-12-31 */

#define COLLATION "the collation takes different texts for one"
#define SPELLINGS "a time is written there in more than one way"
#define DECIMALS "a decimal is a binary number there"
#define FLOATS "-0.0 and 0.0 are one value there"

enum affinity {
  AFFINITY_ANY = 0,
  AFFINITY_BLOB,
  AFFINITY_TEXT,
  AFFINITY_NUMERIC,
  AFFINITY_INTEGER,
  AFFINITY_REAL,
};

/* `collation` is, for dates and times, what table->datetime must be.
 *
 * Questions: =, <>, <, IS NULL, LIKE, truth, ORDER BY. */
static const struct {
  enum affinity affinity;
  struct ig_rule rule;
} rules[] = {
    {AFFINITY_INTEGER, {IG_CLASS_INT, NULL, NULL, "EEEE--E", "", NULL}},
    {AFFINITY_NUMERIC, {IG_CLASS_INT, NULL, NULL, "EEEE--E", "", NULL}},
    {AFFINITY_REAL, {IG_CLASS_FLOAT, NULL, NULL, "EEEE---", "", FLOATS}},
    {AFFINITY_NUMERIC, {IG_CLASS_FLOAT, NULL, NULL, "EEEE---", "", FLOATS}},
    {AFFINITY_NUMERIC, {IG_CLASS_DECIMAL, NULL, NULL, "I-IE---", "", DECIMALS}},
    {AFFINITY_TEXT, {IG_CLASS_TEXT, NULL, "BINARY", "EEEEE-E", "", NULL}},
    {AFFINITY_TEXT, {IG_CLASS_TEXT, NULL, "NOCASE", "ICCEC-C", "", COLLATION}},
    {AFFINITY_TEXT, {IG_CLASS_TEXT, NULL, "RTRIM", "ICCEC-C", "", COLLATION}},
    {AFFINITY_BLOB, {IG_CLASS_BYTES, NULL, NULL, "EEEE--E", "", NULL}},
    {AFFINITY_NUMERIC, {IG_CLASS_BYTES, NULL, NULL, "EEEE--E", "", NULL}},
    {AFFINITY_NUMERIC, {IG_CLASS_BOOL, NULL, NULL, "EEEE-EE", "", NULL}},
    {AFFINITY_NUMERIC, {IG_CLASS_DATE, NULL, "text", "EEEE--E", "", NULL}},
    {AFFINITY_NUMERIC, {IG_CLASS_TIMESTAMP, NULL, "text", "I-IE---", "", SPELLINGS}},
    {AFFINITY_NUMERIC, {IG_CLASS_INSTANT, NULL, "text", "I-IE---", "", SPELLINGS}},
};

static const struct ig_rule other_type = {
    .answers = "---E---", .reason = "values of the type compare by other rules there"};
static const struct ig_rule unknown_type = {
    .answers = "-------", .reason = "the driver does not tell the column's type"};
static const struct ig_rule unknown_collation = {.answers = "---E---",
                                                 .reason = "the collation is not known"};

static const struct ig_rule other_datetime = {
    .answers = "---E---", .reason = "dates and times are not texts there"};

/* SQLite's own rules, in its order. */
static enum affinity affinity_of(struct ig_str declared) {
  static const struct {
    const char *word;
    enum affinity affinity;
  } words[] = {
      {"INT", AFFINITY_INTEGER}, {"CHAR", AFFINITY_TEXT}, {"CLOB", AFFINITY_TEXT},
      {"TEXT", AFFINITY_TEXT},   {"BLOB", AFFINITY_BLOB}, {"REAL", AFFINITY_REAL},
      {"FLOA", AFFINITY_REAL},   {"DOUB", AFFINITY_REAL},
  };
  if (declared.len == 0) return AFFINITY_ANY;
  for (size_t i = 0; i < IG_ARRAY_LEN(words); i++)
    for (size_t at = 0; at < declared.len; at++)
      if (ig_str_starts_ci(ig_str_sub(declared, at, declared.len),
                           ig_str_from_cstr(words[i].word)))
        return words[i].affinity;
  return AFFINITY_NUMERIC;
}

static const struct ig_rule *rule(const struct igloo_table *table,
                                  const struct igloo_column *column,
                                  const struct ig_type *type) {
  struct ig_str declared = ig_str_from_cstr(column->source_type);
  const struct ig_rule *found = declared.len > 0 ? &other_type : &unknown_type;
  enum affinity affinity = affinity_of(declared);
  for (size_t i = 0; i < IG_ARRAY_LEN(rules); i++) {
    const struct ig_rule *candidate = &rules[i].rule;
    if (candidate->class != type->class || rules[i].affinity != affinity) continue;
    bool text = type->class == IG_CLASS_TEXT;
    struct ig_str told = ig_str_from_cstr(text ? column->collation : table->datetime);
    if (!candidate->collation || ig_str_eq_cstr_ci(told, candidate->collation))
      return candidate;
    found = text ? &unknown_collation : &other_datetime;
  }
  return found;
}

/* No declaration keeps a text from not being UTF-8. */
static bool may_misfit(const struct igloo_column *column, enum ig_class class) {
  return !column->fits || class == IG_CLASS_TEXT;
}

/* ---- names and literals ---------------------------------------------------------------
 */

static void identifier(const char *name, struct igloo_text *text) {
  ig_text_append_quoted(text, ig_str_from_cstr(name), '`');
}

static void literal_of_text(const char *text_value, struct igloo_text *text) {
  ig_text_append_quoted(text, ig_str_from_cstr(text_value), '\'');
}

static bool refuse(struct ig_walk *walk, const char *reason) {
  walk->reason = reason;
  return false;
}

static bool append_text(struct ig_walk *walk, struct ig_str value) {
  if (!ig_utf8_valid(value, NULL) || ig_str_find_char(value, '\0') != IG_STR_NONE)
    return refuse(walk, "the text has no form there");
  walk->bytes += value.len + 2;
  if (walk->text) ig_text_append_quoted(walk->text, value, '\'');
  return true;
}

static bool append_blob(struct ig_walk *walk, struct ig_str value) {
  ig_walk_append_cstr(walk, "x'");
  ig_walk_append_hex(walk, value);
  ig_walk_append_cstr(walk, "'");
  return true;
}

static bool append_int(struct ig_walk *walk, __int128 whole) {
  IG_SMALL_TEXT(number);
  if (whole > INT64_MAX) return refuse(walk, "the number has no form there");
  if (ig_walk_only_asks(walk)) return true;
  ig_text_i64(&number, (int64_t)whole);
  ig_walk_append(walk, ig_buf_str(&number));
  return true;
}

/* A whole number below 2^62 with a point: read without rounding. */
static void append_whole(struct ig_walk *walk, int64_t whole) {
  IG_SMALL_TEXT(number);
  ig_text_i64(&number, whole);
  ig_buf_append_cstr(&number, ".0");
  ig_walk_append(walk, ig_buf_str(&number));
}

/* SQLite does not read every decimal to the last bit. What it reads so are whole numbers
 * and decimals of few digits that are no approximation; others are written as a whole
 * number by a power of two, which it divides or multiplies without rounding. */
static bool append_real(struct ig_walk *walk, double value) {
  if (isinf(value)) {
    ig_walk_append_cstr(walk, value < 0 ? "-9e999" : "9e999");
    return true;
  }
  int exponent = 0;
  double fraction = frexp(fabs(value), &exponent);
  int64_t whole = (int64_t)ldexp(fraction, 53);
  exponent -= 53;
  for (; whole != 0 && whole % 2 == 0; exponent++) whole /= 2;
  if (whole == 0) exponent = 0;
  if (exponent < -124 || exponent > 62)
    return refuse(walk, "the number has no exact form there");
  if (ig_walk_only_asks(walk)) return true;

  int64_t digits = whole; /* as a decimal: times 5 for each place */
  for (int i = exponent; i < 0 && digits < INT64_C(1000000000000000); i++) digits *= 5;
  if (exponent < 0 && digits < INT64_C(1000000000000000)) {
    IG_SMALL_TEXT(number);
    ig_text_double(&number, value);
    ig_walk_append(walk, ig_buf_str(&number));
    return true;
  }
  ig_walk_append_cstr(walk, signbit(value) && whole != 0 ? "-" : "");
  if (exponent >= 0 && fabs(value) < 0x1p62) {
    append_whole(walk, (int64_t)fabs(value));
    return true;
  }
  ig_walk_append_cstr(walk, "(");
  append_whole(walk, whole);
  for (int left = abs(exponent); left > 0; left -= 61) {
    ig_walk_append_cstr(walk, exponent < 0 ? " / " : " * ");
    append_whole(walk, INT64_C(1) << (left < 61 ? left : 61));
  }
  ig_walk_append_cstr(walk, ")");
  return true;
}

/* Dates stand as texts of ten bytes: their order is that of time. */
static bool append_date(struct ig_walk *walk, int64_t days) {
  IG_SMALL_TEXT(date);
  if (days < DAYS_MIN || days > DAYS_MAX)
    return refuse(walk, "the year is not 1 to 9999");
  if (ig_walk_only_asks(walk)) return true;
  ig_text_date(&date, days);
  return append_text(walk, ig_buf_str(&date));
}

static bool literal(struct ig_walk *walk, const struct ig_rule *rule_of_column,
                    const struct ig_value *value) {
  (void)rule_of_column;
  switch (value->type.class) {
    case IG_CLASS_INT:
      return append_int(walk, value->whole);
    case IG_CLASS_FLOAT:
      return append_real(walk, value->number);
    case IG_CLASS_TEXT:
      return append_text(walk, value->bytes);
    case IG_CLASS_BYTES:
      return append_blob(walk, value->bytes);
    case IG_CLASS_BOOL:
      return append_int(walk, value->whole);
    case IG_CLASS_DATE:
      return append_date(walk, (int64_t)value->whole);
    case IG_CLASS_DECIMAL:
    case IG_CLASS_TIME:
    case IG_CLASS_TIMESTAMP:
    case IG_CLASS_INSTANT:
    case IG_CLASS_OTHER:
      break;
  }
  return refuse(walk, "the constant has no form there");
}

static int64_t floor_div(int64_t value, int64_t by) {
  return value / by - (value % by < 0);
}

static void write_day(struct ig_buf *dst, int64_t day) {
  ig_buf_append_char(dst, '\'');
  ig_text_date(dst, day);
  ig_buf_append_char(dst, '\'');
}

/* One moment has many spellings, but each begins with its day, in UTC or, with an offset,
 * at most a day from it: the source is asked for whole days. */
static enum ig_form compare_moment(struct ig_walk *walk, const struct ig_operand *operand,
                                   int32_t op, const struct ig_value *value) {
  IG_SMALL_TEXT(low);
  IG_SMALL_TEXT(high);
  int64_t around = value->type.class == IG_CLASS_INSTANT ? 1 : 0;
  int64_t day = floor_div((int64_t)value->whole, DAY_SECONDS * value->type.unit);
  if (day - around < DAYS_MIN || day + around + 1 > DAYS_MAX) {
    walk->reason = "the year is not 1 to 9999";
    return IG_FORM_NO;
  }
  write_day(&low, day - around);
  write_day(&high, day + around + 1);
  ig_walk_append_bounds(walk, operand, op, &low, " >= ", &high, " < ");
  walk->reason = SPELLINGS;
  return IG_FORM_MORE;
}

/* The bounds leave room, for what SQLite makes of their texts as well. */
static enum ig_form compare_decimal(struct ig_walk *walk,
                                    const struct ig_operand *operand, int32_t op,
                                    const struct ig_value *value) {
  IG_SMALL_TEXT(low);
  IG_SMALL_TEXT(high);
  double low_bound, high_bound;
  ig_bounds_of_decimal(operand, value, &low_bound, &high_bound);
  ig_text_double(&low, low_bound);
  ig_text_double(&high, high_bound);
  ig_walk_append_bounds(walk, operand, op, &low, " >= ", &high, " <= ");
  walk->reason = operand->is_rounded ? "a float is compared as a decimal" : DECIMALS;
  return IG_FORM_MORE;
}

static enum ig_form compare(struct ig_walk *walk, const struct ig_operand *operand,
                            int32_t op, const struct ig_value *value, bool *ret_written) {
  enum ig_class class = value->type.class;
  *ret_written = class == IG_CLASS_TIMESTAMP || class == IG_CLASS_INSTANT ||
                 class == IG_CLASS_DECIMAL;
  if (!*ret_written) return IG_FORM_SAME;
  /* The rule of a whole-number column under a cast would allow it. */
  if (op == IGLOO_OP_NE || op == IGLOO_OP_DISTINCT) {
    walk->reason = DECIMALS;
    return IG_FORM_NO;
  }
  return class == IG_CLASS_DECIMAL ? compare_decimal(walk, operand, op, value)
                                   : compare_moment(walk, operand, op, value);
}

/* True for the values that README.md of the driver says fit, false or NULL for others. */
static void guard(struct ig_walk *walk, const struct ig_operand *operand) {
  static const char *const forms[][3] = {
      [IG_CLASS_INT] = {"", " = CAST(", " AS INTEGER)"},
      [IG_CLASS_FLOAT] = {"", " = CAST(", " AS REAL)"},
      [IG_CLASS_TEXT] = {"typeof(", ") = 'text'", NULL},
      [IG_CLASS_BYTES] = {"typeof(", ") = 'blob'", NULL},
      [IG_CLASS_BOOL] = {"", " IN (0, 1)", NULL},
      [IG_CLASS_DATE] = {"", " = date(", ", '+0 days')"}, /* not as it stands: Feb 30 */
      [IG_CLASS_INSTANT] = {NULL}, /* others are never kept unseen */
  };
  const char *const *form = forms[operand->rule->class];
  if (!form[0]) return;
  ig_walk_append_cstr(walk, " AND ");
  ig_walk_append_cstr(walk, form[0]);
  ig_walk_append_name(walk, operand->column);
  ig_walk_append_cstr(walk, form[1]);
  if (!form[2]) return;
  ig_walk_append_name(walk, operand->column);
  ig_walk_append_cstr(walk, form[2]);
}

/* ---- patterns -------------------------------------------------------------------------
 *
 * LIKE folds ASCII letters here, and GLOB sees a text end at a NUL. So a pattern becomes
 * what is the same: a comparison, a range, a search; or GLOB, which is asked for the
 * texts with a NUL as well.
 */

enum shape { SHAPE_EQUAL, SHAPE_PREFIX, SHAPE_CONTAINS, SHAPE_OTHER };

static enum shape shape_of(const struct ig_pattern *pattern, size_t *ret_stars) {
  struct ig_str part = {NULL, 0};
  enum ig_pattern_item item, first = IG_PATTERN_END, last = IG_PATTERN_END;
  size_t stars = 0, ones = 0;
  for (size_t at = 0; (item = ig_pattern_next(pattern, &at, &part)) != IG_PATTERN_END;) {
    if (first == IG_PATTERN_END) first = item;
    last = item;
    stars += item == IG_PATTERN_MANY;
    ones += item == IG_PATTERN_ONE;
  }
  *ret_stars = stars;
  if (ones > 0) return SHAPE_OTHER;
  if (stars == 0) return SHAPE_EQUAL;
  if (stars == 1 && last == IG_PATTERN_MANY) return SHAPE_PREFIX;
  if (stars == 2 && first == IG_PATTERN_MANY && last == IG_PATTERN_MANY)
    return SHAPE_CONTAINS;
  return SHAPE_OTHER;
}

static void append_char(struct ig_walk *walk, struct ig_str c) {
  if (c.data[0] == '\'') ig_walk_append(walk, c);
  ig_walk_append(walk, c);
}

/* The pattern's characters as a literal, without wildcards; at most `count`. */
static size_t append_chars(struct ig_walk *walk, const struct ig_pattern *pattern,
                           size_t count) {
  struct ig_str part = {NULL, 0};
  enum ig_pattern_item item;
  size_t chars = 0;
  for (size_t at = 0; (item = ig_pattern_next(pattern, &at, &part)) != IG_PATTERN_END;) {
    if (item != IG_PATTERN_CHAR || chars == count) continue;
    append_char(walk, part);
    chars++;
  }
  return chars;
}

/* The last character that has one above it: *ret_kept characters stand before it, and
 * *ret_next is that one. False where there is none. */
static bool next_prefix(const struct ig_pattern *pattern, size_t *ret_kept,
                        uint32_t *ret_next) {
  struct ig_str part = {NULL, 0};
  enum ig_pattern_item item;
  size_t chars = 0;
  bool found = false;
  for (size_t at = 0; (item = ig_pattern_next(pattern, &at, &part)) != IG_PATTERN_END;) {
    if (item != IG_PATTERN_CHAR) continue;
    size_t start = 0;
    uint32_t code = (uint32_t)ig_utf8_decode(part, &start);
    if (code < CODE_POINT_MAX) {
      found = true;
      *ret_kept = chars;
      *ret_next = code == 0xD7FF ? 0xE000 : code + 1; /* past the surrogates */
    }
    chars++;
  }
  return found;
}

/* Texts that begin so are those from the prefix to before the next one. */
static enum ig_form like_prefix(struct ig_walk *walk, const struct ig_operand *operand,
                                const char *collate, const struct ig_pattern *pattern,
                                bool negated) {
  size_t kept = 0;
  uint32_t next = 0;
  char bytes[4];
  if (!next_prefix(pattern, &kept, &next)) {
    walk->reason = "the pattern has no form there";
    return IG_FORM_NO;
  }
  bool guarded = negated && ig_walk_begin_guarded(walk, operand);
  ig_walk_append_cstr(walk, "(");
  ig_walk_append_name(walk, operand->column);
  ig_walk_append_cstr(walk, collate);
  ig_walk_append_cstr(walk, negated ? " < '" : " >= '");
  (void)append_chars(walk, pattern, SIZE_MAX);
  ig_walk_append_cstr(walk, negated ? "' OR " : "' AND ");
  ig_walk_append_name(walk, operand->column);
  ig_walk_append_cstr(walk, collate);
  ig_walk_append_cstr(walk, negated ? " >= '" : " < '");
  (void)append_chars(walk, pattern, kept);
  append_char(walk, ig_str_make(bytes, ig_utf8_encode(next, bytes)));
  ig_walk_append_cstr(walk, "')");
  ig_walk_end_guarded(walk, operand, guarded);
  return IG_FORM_SAME;
}

static enum ig_form like_glob(struct ig_walk *walk, const struct ig_operand *operand,
                              const struct ig_pattern *pattern, bool negated) {
  struct ig_str part = {NULL, 0};
  enum ig_pattern_item item;
  walk->reason = "a text with a NUL ends there for GLOB";
  ig_walk_append_cstr(walk, "(");
  ig_walk_append_name(walk, operand->column);
  ig_walk_append_cstr(walk, negated ? " NOT GLOB '" : " GLOB '");
  for (size_t at = 0; (item = ig_pattern_next(pattern, &at, &part)) != IG_PATTERN_END;) {
    if (item != IG_PATTERN_CHAR) {
      ig_walk_append_cstr(walk, item == IG_PATTERN_MANY ? "*" : "?");
      continue;
    }
    bool special = part.data[0] == '*' || part.data[0] == '?' || part.data[0] == '[';
    ig_walk_append_cstr(walk, special ? "[" : "");
    append_char(walk, part);
    ig_walk_append_cstr(walk, special ? "]" : "");
  }
  ig_walk_append_cstr(walk, "' OR instr(");
  ig_walk_append_name(walk, operand->column);
  ig_walk_append_cstr(walk, ", char(0)) > 0)");
  return IG_FORM_MORE;
}

static enum ig_form like(struct ig_walk *walk, const struct ig_operand *operand,
                         const char *collate, const struct ig_pattern *pattern,
                         bool negated) {
  size_t stars = 0;
  enum shape shape = shape_of(pattern, &stars);
  if (shape == SHAPE_PREFIX) return like_prefix(walk, operand, collate, pattern, negated);
  if (shape == SHAPE_OTHER && stars <= STARS_MAX &&
      pattern->text.len <= PATTERN_BYTES_MAX)
    return like_glob(walk, operand, pattern, negated);
  if (shape == SHAPE_OTHER) {
    walk->reason = "the pattern is too large";
    return IG_FORM_NO;
  }
  bool contains = shape == SHAPE_CONTAINS;
  bool guarded = (contains || negated) && ig_walk_begin_guarded(walk, operand);
  ig_walk_append_cstr(walk, contains ? "instr(" : "");
  ig_walk_append_name(walk, operand->column);
  ig_walk_append_cstr(walk, contains ? ", '" : collate);
  if (!contains) ig_walk_append_cstr(walk, negated ? " <> '" : " = '");
  (void)append_chars(walk, pattern, SIZE_MAX);
  ig_walk_append_cstr(walk, !contains ? "'" : negated ? "') = 0" : "') > 0");
  ig_walk_end_guarded(walk, operand, guarded);
  return IG_FORM_SAME;
}

static const struct ig_language language = {
    .rule = rule,
    .may_misfit = may_misfit,
    .guard = guard,
    .identifier = identifier,
    .literal = literal,
    .compare = compare,
    .like = like,
    .truths = {" = 0", " = 1"},
    .collate = " COLLATE BINARY",
    .distinct = " IS NOT ",
    .not_distinct = " IS ",
    .is_null_of_any = " IS NULL",
    .is_not_null_of_any = " IS NOT NULL",
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

/* A query's columns take their names by place: what it calls them by itself, SQLite does
 * not promise. */
static void write_query(const struct igloo_table *table, struct igloo_text *text) {
  ig_text_append_cstr(text, "WITH `query`");
  for (size_t i = 0; i < table->columns_count; i++) {
    ig_text_append_cstr(text, i == 0 ? " (" : ", ");
    identifier(table->columns[i].name, text);
  }
  ig_text_append_cstr(text, table->columns_count > 0 ? ") AS (\n" : " AS (\n");
  ig_text_append_cstr(text, table->name);
  ig_text_append_cstr(text, "\n) ");
}

static void select_part(const struct igloo_table *table, const struct igloo_select *what,
                        struct igloo_text *text) {
  bool query = table->kind == IGLOO_TABLE_QUERY;
  const char *schema = table->schema && *table->schema ? table->schema : table->catalog;
  if (query) write_query(table, text);
  ig_write_columns(&language, table, what, " NULL", text);
  ig_text_append_cstr(text, " FROM ");
  if (!query && schema && *schema) {
    identifier(schema, text);
    ig_text_append_cstr(text, ".");
  }
  identifier(query ? "query" : table->name, text);
  ig_write_clauses(&language, table, what, text);
}

/* By the rowid, which is never NULL. The ends that were seen may have moved since: the
 * first and the last part have none. */
static bool split(const struct igloo_table *table, uint32_t index, uint32_t count,
                  struct igloo_text *text) {
  if (table->kind != IGLOO_TABLE_BASE || !table->key || table->key_min > table->key_max ||
      count < 2 || index >= count)
    return false;
  for (uint32_t end = 0; end < 2; end++) {
    uint32_t boundary = index + end;
    if (boundary == 0 || boundary == count) continue;
    IG_SMALL_TEXT(key);
    ig_text_i64(&key, ig_split_boundary(table->key_min, table->key_max, boundary, count));
    identifier(table->key, text);
    ig_text_append_cstr(text, end == 0 ? " >= " : " < ");
    ig_text_append(text, ig_buf_str(&key));
    if (end == 0 && boundary + 1 < count) ig_text_append_cstr(text, " AND ");
  }
  return true;
}

const struct igloo_dialect ig_dialect_sqlite = {
    .abi_version = IGLOO_CONNECTOR_ABI_VERSION,
    .struct_size = sizeof(struct igloo_dialect),
    .name = "sqlite",
    .conjunct = conjunct,
    .sorts = sorts,
    .select = select_part,
    .split = split,
    .identifier = identifier,
    .literal = literal_of_text,
    .limits = true,
};
