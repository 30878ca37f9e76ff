/* quote.c -- see quote.h. */
#include "sql/quote.h"

#include "sql/token.h"

/* Words that PostgreSQL reserves or keeps for functions and types, and those
 * that end a clause for the engine; sorted. */
static const char *const reserved[] = {
    "all",
    "analyse",
    "analyze",
    "and",
    "anti",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "binary",
    "both",
    "case",
    "cast",
    "check",
    "cluster",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "distribute",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "minus",
    "natural",
    "not",
    "notnull",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "outer",
    "over",
    "overlaps",
    "partition",
    "pivot",
    "placing",
    "position",
    "primary",
    "qualify",
    "references",
    "returning",
    "right",
    "sample",
    "select",
    "semi",
    "session_user",
    "set",
    "similar",
    "some",
    "sort",
    "struct",
    "substring",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "to",
    "top",
    "trailing",
    "trim",
    "true",
    "union",
    "unique",
    "unnest",
    "unpivot",
    "user",
    "using",
    "values",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
};

bool ig_sql_is_reserved(struct ig_str word) {
  size_t low = 0, high = IG_ARRAY_LEN(reserved);
  char lower[32];
  if (word.len >= sizeof(lower)) return false;
  for (size_t i = 0; i < word.len; i++) lower[i] = ig_ascii_lower(word.data[i]);
  struct ig_str key = ig_str_make(lower, word.len);
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = ig_str_cmp(key, ig_str_from_cstr(reserved[middle]));
    if (order == 0) return true;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return false;
}

static bool means_itself(struct ig_str name) {
  if (name.len == 0 || ig_ascii_is_digit(name.data[0])) return false;
  for (size_t i = 0; i < name.len; i++) {
    char c = name.data[i];
    if (!((c >= 'a' && c <= 'z') || c == '_' || ig_ascii_is_digit(c))) return false;
  }
  return !ig_sql_is_reserved(name);
}

static void append_doubling(struct ig_buf *buf, struct ig_str text, char quote) {
  ig_buf_append_char(buf, quote);
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] == quote) ig_buf_append_char(buf, quote);
    ig_buf_append_char(buf, text.data[i]);
  }
  ig_buf_append_char(buf, quote);
}

void ig_sql_append_name(struct ig_buf *buf, struct ig_str name) {
  if (means_itself(name))
    ig_buf_append_str(buf, name);
  else
    ig_sql_append_quoted_name(buf, name);
}

void ig_sql_append_quoted_name(struct ig_buf *buf, struct ig_str name) {
  append_doubling(buf, name, '"');
}

void ig_sql_append_literal(struct ig_buf *buf, struct ig_str text) {
  append_doubling(buf, text, '\'');
}

void ig_sql_append_dotted_name(struct ig_buf *buf, const struct ig_sql_name *name) {
  for (size_t i = 0; i < name->len; i++) {
    if (i > 0) ig_buf_append_char(buf, '.');
    ig_sql_append_name(buf, ig_str_from_cstr(name->parts[i]));
  }
}

/* Append the text between two quotes, a doubled quote once. */
static void append_undoubled(struct ig_buf *buf, struct ig_str inside, char quote) {
  for (size_t i = 0; i < inside.len; i++) {
    ig_buf_append_char(buf, inside.data[i]);
    if (inside.data[i] == quote) i++;
  }
}

static igloo_status value_of_name_token(struct ig_str token, enum ig_token_kind kind,
                                        char **ret_name, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) buf = IG_BUF_INIT(IG_IDENTIFIER_BYTES_MAX);
  if (kind == IG_TOKEN_QUOTED_NAME)
    append_undoubled(&buf, ig_str_sub(token, 1, token.len - 2), '"');
  else
    for (size_t i = 0; i < token.len; i++)
      ig_buf_append_char(&buf, ig_ascii_lower(token.data[i]));
  if (buf.failed == IGLOO_RESOURCE_EXHAUSTED)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42622",
                         "identifier is longer than %d bytes", IG_IDENTIFIER_BYTES_MAX);
  IG_TRY(ig_buf_check(&buf, reterr));
  if (buf.len == 0)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42602",
                         "zero-length delimited identifier");
  if (ig_str_find_char(ig_buf_str(&buf), '\0') != IG_STR_NONE)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42602",
                         "identifier contains a NUL character");
  return ig_buf_steal(&buf, ret_name, reterr);
}

static igloo_status fail_name(struct ig_str text, struct igloo_error *reterr) {
  struct ig_str shown = ig_str_sub(text, 0, ig_utf8_cut(text, IG_IDENTIFIER_BYTES_MAX));
  return ig_fail(reterr, IGLOO_SYNTAX_ERROR, "invalid name \"%.*s\"", IG_STR_ARG(shown));
}

static igloo_status parse_parts(struct ig_str text, size_t parts_max,
                                struct ig_sql_name *name, struct igloo_error *reterr) {
  struct ig_tokenizer tokens;
  struct ig_token token;
  ig_tokenizer_init(&tokens, text);
  do {
    IG_TRY(ig_token_next(&tokens, &token, reterr));
    bool is_name = token.kind == IG_TOKEN_WORD || token.kind == IG_TOKEN_QUOTED_NAME;
    if (!is_name) return fail_name(text, reterr);
    if (name->len == parts_max)
      return ig_fail(reterr, IGLOO_SYNTAX_ERROR,
                     "improper qualified name (too many dotted names): %.*s",
                     IG_STR_ARG(text));
    IG_TRY(value_of_name_token(ig_token_text(&tokens, &token), token.kind,
                               &name->parts[name->len], reterr));
    name->len++;
    IG_TRY(ig_token_next(&tokens, &token, reterr));
  } while (token.kind == IG_TOKEN_DOT);
  return token.kind == IG_TOKEN_END ? IGLOO_OK : fail_name(text, reterr);
}

igloo_status ig_sql_name_parse(struct ig_str text, size_t parts_max,
                               struct ig_sql_name *ret_name, struct igloo_error *reterr) {
  struct ig_sql_name name = {.len = 0};
  if (parts_max > IG_SQL_NAME_PARTS_MAX) parts_max = IG_SQL_NAME_PARTS_MAX;
  igloo_status status = parse_parts(text, parts_max, &name, reterr);
  if (status == IGLOO_OK)
    *ret_name = name;
  else
    ig_sql_name_done(&name);
  return status;
}

void ig_sql_name_done(struct ig_sql_name *name) {
  for (size_t i = 0; i < name->len; i++) ig_free(name->parts[i]);
  *name = (struct ig_sql_name){.len = 0};
}

igloo_status ig_sql_identifier_value(struct ig_str token, char **ret_name,
                                     struct igloo_error *reterr) {
  struct ig_sql_name name = {.len = 0};
  IG_TRY(ig_sql_name_parse(token, 1, &name, reterr));
  *ret_name = name.parts[0];
  return IGLOO_OK;
}
