/* guard.c -- see guard.h. One walk over the tokens with four counters. */
#include "sql/guard.h"

#include "base/limits.h"
#include "sql/token.h"

struct guard {
  struct ig_tokenizer tokens;
  struct ig_sql_limits limits;
  struct ig_token token;
  enum ig_token_kind before;              /* kind of the token before; END at the start */
  bool before_is_operand;                 /* a value ended there: a sign now is binary */
  bool before_opens_type;                 /* ARRAY, STRUCT or MAP */
  uint32_t tokens_len;                    /* these six are of the statement at hand */
  uint32_t operators;                     /* their weights together */
  uint32_t weight;                        /* of the last operator made of symbols */
  uint32_t prefixes;                      /* signs and NOTs in a row just before */
  uint32_t type_depth;                    /* open '<' of ARRAY<…> */
  uint32_t depth;                         /* entries of `open` */
  char open[IG_SQL_NESTING_LIMIT + 2];    /* ( [ { and C for CASE */
  bool in_from[IG_SQL_NESTING_LIMIT + 2]; /* a comma here is a join */
};

struct ig_sql_limits ig_sql_limits_default(void) {
  return (struct ig_sql_limits){.bytes_max = IG_SQL_BYTES_MAX,
                                .nesting_max = IG_SQL_NESTING_MAX,
                                .operators_max = IG_SQL_OPERATORS_MAX,
                                .tokens_max = IG_SQL_TOKENS_MAX};
}

static igloo_status check_bytes(struct ig_str sql, const struct ig_sql_limits *limits,
                                struct igloo_error *reterr) {
  if (sql.len > limits->bytes_max) {
    ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                  "statement text of %zu bytes is longer than limits.sql_bytes (%zu)",
                  sql.len, limits->bytes_max);
    ig_error_hint(reterr, "Split the statement, or load the data from a file.");
    return IGLOO_RESOURCE_EXHAUSTED;
  }
  size_t bad = ig_str_find_char(sql, '\0');
  const char *what = "a NUL byte";
  if (bad == IG_STR_NONE) {
    if (ig_utf8_valid(sql, &bad)) return IGLOO_OK;
    what = "an invalid byte sequence for UTF-8";
  }
  ig_fail_state(reterr, IGLOO_DATA_ERROR, "22021", "statement text has %s", what);
  int32_t line, column;
  ig_sql_position_at(sql, bad, &line, &column);
  ig_error_position(reterr, line, column);
  return IGLOO_DATA_ERROR;
}

static igloo_status fail_limit(struct guard *g, const char *sqlstate, const char *what,
                               const char *setting, uint32_t max,
                               struct igloo_error *reterr) {
  ig_fail_at(reterr, IGLOO_RESOURCE_EXHAUSTED, sqlstate, g->token.line, g->token.column,
             "statement has more than %u %s (%s)", max, what, setting);
  ig_error_hint(reterr, "Simplify the statement, or split it into several.");
  return IGLOO_RESOURCE_EXHAUSTED;
}

static bool is_any(const struct guard *g, const char *const *words, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (ig_token_is(&g->tokens, &g->token, words[i])) return true;
  return false;
}

/* Words after which no value stands: a sign that follows is a prefix. Words
 * that are missing here only make a sign count as an operator. */
static const char *const leads_to_value[] = {
    "SELECT", "WHERE",   "AND",    "OR",        "NOT",   "WHEN",  "THEN",
    "ELSE",   "CASE",    "ON",     "BY",        "IN",    "LIKE",  "ILIKE",
    "VALUES", "BETWEEN", "HAVING", "RETURNING", "LIMIT", "OFFSET"};

/* What an operator counts: planning takes the square of the length of a chain,
 * and these make a chain of each kind that the default admits take half a second. */
#define WEIGHT_TEST 1    /* AND, OR, comparisons and their kin, casts */
#define WEIGHT_COMPUTE 5 /* arithmetic, text, subscripts, set operations */
#define WEIGHT_JOIN 10

static const char *const operator_words[] = {
    "AND",     "OR",      "NOT",     "IS",     "IN",   "LIKE",    "ILIKE",
    "SIMILAR", "BETWEEN", "COLLATE", "ISNULL", "WHEN", "NOTNULL", "OVERLAPS"};

static const char *const set_words[] = {"UNION", "INTERSECT", "EXCEPT"};

static const char *const tests[] = {"=", "<", ">", "<=", ">=", "<>", "!=", "==", "::"};

static const char *const type_words[] = {"ARRAY", "STRUCT", "MAP"};

/* Words that end the list of a FROM. */
static const char *const ends_from[] = {"SELECT", "WHERE",  "GROUP", "HAVING",
                                        "ORDER",  "WINDOW", "UNION", "INTERSECT",
                                        "EXCEPT", "LIMIT"};

/* Push a level: never past the arrays, since check_counts follows each token
 * and no limit is above IG_SQL_NESTING_LIMIT. */
static void open_level(struct guard *g, char what) {
  g->open[g->depth++] = what;
  g->in_from[g->depth] = false;
}

/* Pop a bracket and what was left open in it; END pops a CASE only. */
static void close_level(struct guard *g, bool is_end) {
  if (g->depth == 0) return;
  if (is_end) {
    if (g->open[g->depth - 1] == 'C') g->depth--;
    return;
  }
  while (g->depth > 0 && g->open[g->depth - 1] == 'C') g->depth--;
  if (g->depth > 0) g->depth--;
}

static bool is_test(struct ig_str text) {
  for (size_t i = 0; i < IG_ARRAY_LEN(tests); i++)
    if (ig_str_eq_cstr(text, tests[i])) return true;
  return false;
}

/* The engine may read a run of symbols as one operator each. */
static void count_operator(struct guard *g, struct ig_str text) {
  bool opens_type = g->before_opens_type && text.data[0] == '<';
  bool closes_type = g->type_depth > 0 && text.data[0] == '>';
  if (opens_type) g->type_depth++;
  if (closes_type)
    g->type_depth -= text.len < g->type_depth ? (uint32_t)text.len : g->type_depth;
  uint32_t count = text.len > 2 ? (uint32_t)text.len : 1;
  bool is_sign = text.len == 1 && !g->before_is_operand; /* or the star of a list */
  bool computes = !is_sign && !is_test(text);
  g->weight = count * (computes ? WEIGHT_COMPUTE : WEIGHT_TEST);
  g->operators += g->weight;
  g->prefixes = g->before_is_operand ? 0 : g->prefixes + 1;
}

static void count_word(struct guard *g) {
  if (g->before == IG_TOKEN_DOT) return; /* t.case is a name */
  if (ig_token_is(&g->tokens, &g->token, "CASE")) open_level(g, 'C');
  if (ig_token_is(&g->tokens, &g->token, "END")) close_level(g, true);
  if (is_any(g, operator_words, IG_ARRAY_LEN(operator_words)))
    g->operators += WEIGHT_TEST;
  if (is_any(g, set_words, IG_ARRAY_LEN(set_words))) g->operators += WEIGHT_COMPUTE;
  if (ig_token_is(&g->tokens, &g->token, "JOIN")) g->operators += WEIGHT_JOIN;
  if (is_any(g, ends_from, IG_ARRAY_LEN(ends_from))) g->in_from[g->depth] = false;
  if (ig_token_is(&g->tokens, &g->token, "FROM")) g->in_from[g->depth] = true;
  g->prefixes = ig_token_is(&g->tokens, &g->token, "NOT") ? g->prefixes + 1 : 0;
}

static void start_statement(struct guard *g) {
  g->tokens_len = g->operators = g->weight = g->prefixes = g->type_depth = g->depth = 0;
  g->in_from[0] = false;
}

static void count_token(struct guard *g) {
  struct ig_str text = ig_token_text(&g->tokens, &g->token);
  enum ig_token_kind kind = g->token.kind;
  bool is_sign = g->before == IG_TOKEN_OPERATOR && g->prefixes > 0;
  g->tokens_len++;
  /* A sign and its number are a negative number; a longer run of symbols is not. */
  if (kind == IG_TOKEN_NUMBER && is_sign && g->weight == WEIGHT_TEST)
    g->operators -= WEIGHT_TEST;
  if (kind != IG_TOKEN_OPERATOR && kind != IG_TOKEN_WORD) g->prefixes = 0;
  if (kind == IG_TOKEN_OPERATOR) count_operator(g, text);
  if (kind == IG_TOKEN_WORD) count_word(g);
  if (kind == IG_TOKEN_OPEN) {
    if (text.data[0] == '[' && g->before_is_operand) g->operators += WEIGHT_COMPUTE;
    open_level(g, text.data[0]);
  }
  if (kind == IG_TOKEN_CLOSE) close_level(g, false);
  if (kind == IG_TOKEN_COMMA && g->in_from[g->depth]) g->operators += WEIGHT_JOIN;
  if (kind == IG_TOKEN_SEMICOLON) start_statement(g);

  bool is_keyword =
      kind == IG_TOKEN_WORD && is_any(g, leads_to_value, IG_ARRAY_LEN(leads_to_value));
  g->before_is_operand =
      kind == IG_TOKEN_CLOSE ||
      (kind >= IG_TOKEN_WORD && kind <= IG_TOKEN_PARAM_NAME && !is_keyword);
  g->before_opens_type =
      kind == IG_TOKEN_WORD && is_any(g, type_words, IG_ARRAY_LEN(type_words));
  g->before = kind;
}

static igloo_status check_counts(struct guard *g, struct igloo_error *reterr) {
  const struct ig_sql_limits *limits = &g->limits;
  if (g->tokens_len > limits->tokens_max)
    return fail_limit(g, "54000", "tokens", "a fixed limit", limits->tokens_max, reterr);
  if (g->operators > limits->operators_max) {
    (void)fail_limit(g, "54001", "operators", "limits.sql_operators",
                     limits->operators_max, reterr);
    ig_error_detail(
        reterr,
        "A join counts as %d operators, arithmetic, text and set operations as "
        "%d each.",
        WEIGHT_JOIN, WEIGHT_COMPUTE);
    return IGLOO_RESOURCE_EXHAUSTED;
  }
  if (g->depth + g->prefixes + g->type_depth > limits->nesting_max)
    return fail_limit(g, "54001", "levels of nesting", "limits.sql_nesting",
                      limits->nesting_max, reterr);
  return IGLOO_OK;
}

igloo_status ig_sql_guard(struct ig_str sql, const struct ig_sql_limits *limits,
                          struct igloo_error *reterr) {
  IG_TRY(check_bytes(sql, limits, reterr));
  struct guard g = {.limits = *limits, .before = IG_TOKEN_END};
  if (g.limits.nesting_max > IG_SQL_NESTING_LIMIT)
    g.limits.nesting_max = IG_SQL_NESTING_LIMIT;
  ig_tokenizer_init(&g.tokens, sql);
  for (;;) {
    IG_TRY(ig_token_next(&g.tokens, &g.token, reterr));
    if (g.token.kind == IG_TOKEN_END) return IGLOO_OK;
    count_token(&g);
    IG_TRY(check_counts(&g, reterr));
  }
}
