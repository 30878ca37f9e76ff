/* statement.c -- see statement.h. A hand-written parser over the tokens, two
 * of them in sight, that looks only into statements of our own. */
#include "sql/statement.h"

#include "base/buf.h"
#include "base/limits.h"
#include "sql/quote.h"
#include "sql/token.h"

struct parser {
  struct ig_tokenizer tokens; /* over the statement without its semicolons */
  struct ig_token token;      /* the one at hand */
  size_t last_end;            /* end of the token before it */
  struct ig_sql_statement *st;
  struct igloo_error *reterr;
  bool hides_strings; /* errors do not tell them: they may be passwords */
};

/* ---- the token at hand ------------------------------------------------------------- */

static igloo_status next(struct parser *p) {
  p->last_end = p->token.offset + p->token.len;
  return ig_token_next(&p->tokens, &p->token, p->reterr);
}

static bool at(const struct parser *p, const char *keyword) {
  return ig_token_is(&p->tokens, &p->token, keyword);
}

static bool at_symbol(const struct parser *p, const char *symbol) {
  return ig_token_is_symbol(&p->tokens, &p->token, symbol);
}

static bool at_end(const struct parser *p) {
  return p->token.kind == IG_TOKEN_END;
}

static bool at_name(const struct parser *p) {
  return p->token.kind == IG_TOKEN_WORD || p->token.kind == IG_TOKEN_QUOTED_NAME;
}

static igloo_status fail_here(struct parser *p) {
  struct ig_str text = ig_token_text(&p->tokens, &p->token);
  text.len = ig_utf8_cut(text, 64);
  if (at_end(p))
    return ig_fail_at(p->reterr, IGLOO_SYNTAX_ERROR, NULL, p->token.line, p->token.column,
                      "syntax error at end of input");
  if (p->hides_strings && p->token.kind == IG_TOKEN_STRING) text = IG_STR("'...'");
  return ig_fail_at(p->reterr, IGLOO_SYNTAX_ERROR, NULL, p->token.line, p->token.column,
                    "syntax error at or near \"%.*s\"", IG_STR_ARG(text));
}

/* Is the token `keyword`? If so, *ret_found and go on. */
static igloo_status accept(struct parser *p, const char *keyword, bool *ret_found) {
  *ret_found = at(p, keyword);
  return *ret_found ? next(p) : IGLOO_OK;
}

static igloo_status expect(struct parser *p, const char *keyword) {
  return at(p, keyword) ? next(p) : fail_here(p);
}

static igloo_status expect_symbol(struct parser *p, const char *symbol) {
  return at_symbol(p, symbol) ? next(p) : fail_here(p);
}

static igloo_status expect_end(struct parser *p) {
  return at_end(p) ? IGLOO_OK : fail_here(p);
}

static struct ig_str span(const struct parser *p, size_t from, size_t to) {
  return ig_str_sub(p->tokens.text, from, to - from);
}

/* ---- parts of statements ----------------------------------------------------------- */

/* Up to `parts_max` names with dots between them. */
static igloo_status parse_name(struct parser *p, size_t parts_max,
                               struct ig_str *ret_name) {
  size_t from = p->token.offset, parts = 0;
  for (;;) {
    if (!at_name(p) || parts == parts_max) return fail_here(p);
    parts++;
    IG_TRY(next(p));
    if (p->token.kind != IG_TOKEN_DOT) break;
    IG_TRY(next(p));
  }
  *ret_name = span(p, from, p->last_end);
  return IGLOO_OK;
}

static igloo_status parse_last_name(struct parser *p, size_t parts_max) {
  IG_TRY(parse_name(p, parts_max, &p->st->name));
  return expect_end(p);
}

/* The text inside the parentheses at hand. */
static igloo_status parse_parenthesised(struct parser *p, struct ig_str *ret_inside) {
  IG_TRY(expect_symbol(p, "("));
  size_t from = p->last_end, depth = 1;
  for (;;) {
    if (at_end(p)) return fail_here(p);
    if (p->token.kind == IG_TOKEN_OPEN) depth++;
    if (p->token.kind == IG_TOKEN_CLOSE && --depth == 0) break;
    IG_TRY(next(p));
  }
  *ret_inside = ig_str_trim(span(p, from, p->token.offset));
  return next(p);
}

static void take_inner(struct parser *p) {
  p->st->inner = span(p, p->token.offset, p->tokens.text.len);
  p->st->inner_offset = p->token.offset;
}

static igloo_status parse_inner_statement(struct parser *p) {
  if (at_end(p)) return fail_here(p);
  take_inner(p);
  return IGLOO_OK;
}

static igloo_status not_built(struct parser *p, const char *feature) {
  p->st->kind = IG_SQL_NOT_BUILT;
  p->st->feature = feature;
  return IGLOO_OK;
}

/* Families that later issues build, by their words. */
struct family {
  const char *words[3];
  const char *feature;
};

static const struct family create_families[] = {
    {{"ROLE"}, "CREATE ROLE"},
    {{"MASK"}, "CREATE MASK"},
    {{"ROW", "FILTER"}, "CREATE ROW FILTER"},
};
static const struct family alter_families[] = {
    {{"SECRET"}, "ALTER SECRET"},
    {{"ROLE"}, "ALTER ROLE"},
};
static const struct family drop_families[] = {
    {{"ROLE"}, "DROP ROLE"},
    {{"MASK"}, "DROP MASK"},
    {{"ROW", "FILTER"}, "DROP ROW FILTER"},
};
static const struct family show_families[] = {
    {{"CACHE"}, "SHOW CACHE"},
    {{"GRANTS"}, "SHOW GRANTS"},
};
static const struct family set_families[] = {
    {{"LOCAL"}, "SET LOCAL"},
    {{"ROLE"}, "SET ROLE"},
    {{"TRANSACTION"}, "SET TRANSACTION"},
    {{"CONSTRAINTS"}, "SET CONSTRAINTS"},
    {{"NAMES"}, "SET NAMES"},
    {{"SESSION", "AUTHORIZATION"}, "SET SESSION AUTHORIZATION"},
    {{"SESSION", "CHARACTERISTICS"}, "SET SESSION CHARACTERISTICS"},
};

/* The feature of the first family whose words stand here, or NULL. The parser
 * does not move. */
static const char *find_family(const struct parser *p, const struct family *families,
                               size_t count) {
  for (size_t i = 0; i < count; i++) {
    struct parser ahead = *p;
    ahead.reterr = NULL;
    size_t word = 0;
    while (word < 3 && families[i].words[word] && at(&ahead, families[i].words[word])) {
      if (next(&ahead) != IGLOO_OK) return NULL;
      word++;
    }
    if (word == 3 || !families[i].words[word]) return families[i].feature;
  }
  return NULL;
}
#define FIND_FAMILY(p, families) find_family(p, families, IG_ARRAY_LEN(families))

/* ---- SHOW -------------------------------------------------------------------------- */

static igloo_status parse_like(struct parser *p) {
  bool found;
  IG_TRY(accept(p, "LIKE", &found));
  if (!found) return expect_end(p);
  if (p->token.kind != IG_TOKEN_STRING) return fail_here(p);
  p->st->pattern = ig_token_text(&p->tokens, &p->token);
  IG_TRY(next(p));
  return expect_end(p);
}

/* [FROM|IN name] [LIKE 'pattern'] */
static igloo_status parse_from_like(struct parser *p, size_t parts_max, bool needs_from) {
  if (at(p, "FROM") || at(p, "IN")) {
    IG_TRY(next(p));
    IG_TRY(parse_name(p, parts_max, &p->st->name));
  } else if (needs_from) {
    return fail_here(p);
  }
  return parse_like(p);
}

/* A dotted name, or TIME ZONE, which is the name time_zone. */
static igloo_status parse_setting_name(struct parser *p, bool *ret_time_zone) {
  struct parser ahead = *p;
  *ret_time_zone = false;
  if (at(p, "TIME")) {
    IG_TRY(next(&ahead));
    *ret_time_zone = at(&ahead, "ZONE");
  }
  /* However long: the list of settings tells better what is wrong than the grammar. */
  if (!*ret_time_zone) return parse_name(p, SIZE_MAX, &p->st->name);
  *p = ahead;
  p->st->name = IG_STR("time_zone");
  return next(p);
}

static igloo_status parse_show_create(struct parser *p) {
  if (!at(p, "TABLE") && !at(p, "VIEW")) return fail_here(p);
  IG_TRY(next(p));
  p->st->kind = IG_SQL_SHOW_CREATE_TABLE;
  return parse_last_name(p, 3);
}

static const struct {
  const char *word;
  size_t from_parts_max; /* of FROM name; 0: there is no FROM */
  enum ig_sql_kind kind;
  bool needs_from;
} show_lists[] = {
    {"TABLES", 2, IG_SQL_SHOW_TABLES, false},
    {"SCHEMAS", 1, IG_SQL_SHOW_SCHEMAS, false},
    {"CATALOGS", 0, IG_SQL_SHOW_CATALOGS, false},
    {"DATABASES", 0, IG_SQL_SHOW_CATALOGS, false},
    {"COLUMNS", 3, IG_SQL_SHOW_COLUMNS, true},
    {"FUNCTIONS", 0, IG_SQL_SHOW_FUNCTIONS, false},
    {"SECRETS", 0, IG_SQL_SHOW_SECRETS, false},
};

static igloo_status parse_show(struct parser *p) {
  bool found;
  const char *feature = FIND_FAMILY(p, show_families);
  if (feature) return not_built(p, feature);
  IG_TRY(accept(p, "CREATE", &found));
  if (found) return parse_show_create(p);
  IG_TRY(accept(p, "ALL", &found));
  if (found) {
    p->st->kind = IG_SQL_SHOW_ALL;
    return expect_end(p);
  }
  IG_TRY(accept(p, "QUERIES", &found));
  if (found) {
    p->st->kind = IG_SQL_SHOW_QUERIES;
    return expect_end(p);
  }
  for (size_t i = 0; i < IG_ARRAY_LEN(show_lists); i++) {
    IG_TRY(accept(p, show_lists[i].word, &found));
    if (!found) continue;
    p->st->kind = show_lists[i].kind;
    if (show_lists[i].from_parts_max == 0) return parse_like(p);
    return parse_from_like(p, show_lists[i].from_parts_max, show_lists[i].needs_from);
  }
  p->st->kind = IG_SQL_SHOW_SETTING;
  IG_TRY(parse_setting_name(p, &found));
  return expect_end(p);
}

/* ---- DESCRIBE, SUMMARIZE, EXPLAIN -------------------------------------------------- */

static bool starts_query(const struct parser *p) {
  return at(p, "SELECT") || at(p, "WITH") || at(p, "VALUES") || at(p, "FROM") ||
         at(p, "TABLE") || at_symbol(p, "(");
}

/* A name alone goes to `name`; what else may follow FROM only to `inner`. */
static igloo_status parse_relation(struct parser *p, enum ig_sql_kind kind) {
  p->st->kind = kind;
  IG_TRY(parse_inner_statement(p));
  p->st->inner_is_query = starts_query(p);
  if (p->st->inner_is_query) return IGLOO_OK;
  if (p->token.kind == IG_TOKEN_STRING) {
    IG_TRY(next(p));
    return expect_end(p);
  }
  struct ig_str name;
  IG_TRY(parse_name(p, 3, &name));
  if (at_symbol(p, "(")) {
    struct ig_str arguments;
    IG_TRY(parse_parenthesised(p, &arguments));
  } else {
    p->st->name = name;
  }
  return expect_end(p);
}

static igloo_status parse_describe(struct parser *p) {
  return parse_relation(p, IG_SQL_DESCRIBE);
}

static igloo_status parse_summarize(struct parser *p) {
  return parse_relation(p, IG_SQL_SUMMARIZE);
}

static igloo_status parse_explain_format(struct parser *p) {
  struct ig_str word = ig_token_text(&p->tokens, &p->token);
  if (p->token.kind == IG_TOKEN_STRING)
    word = ig_str_sub(word, 1, word.len - 2);
  else if (!at_name(p))
    return fail_here(p);
  if (ig_str_eq_cstr_ci(word, "tree") || ig_str_eq_cstr_ci(word, "text")) {
    p->st->explain_format = IG_EXPLAIN_TREE;
  } else if (ig_str_eq_cstr_ci(word, "json")) {
    p->st->explain_format = IG_EXPLAIN_JSON;
  } else {
    ig_fail_at(p->reterr, IGLOO_INVALID_ARGUMENT, NULL, p->token.line, p->token.column,
               "unrecognized value for EXPLAIN option FORMAT: \"%.*s\"",
               IG_STR_ARG(ig_str_sub(word, 0, ig_utf8_cut(word, 64))));
    ig_error_hint(p->reterr, "The formats are tree and json.");
    return IGLOO_INVALID_ARGUMENT;
  }
  return next(p);
}

/* [true|false|on|off|1|0] after an option's name. */
static igloo_status parse_option_flag(struct parser *p, bool *ret_flag) {
  *ret_flag = true;
  if (at_symbol(p, ",") || at_symbol(p, ")")) return IGLOO_OK;
  struct ig_str word = ig_token_text(&p->tokens, &p->token);
  bool is_one = ig_str_eq_cstr(word, "1"), is_zero = ig_str_eq_cstr(word, "0");
  if (at(p, "FALSE") || at(p, "OFF") || is_zero)
    *ret_flag = false;
  else if (!at(p, "TRUE") && !at(p, "ON") && !is_one)
    return fail_here(p);
  return next(p);
}

static igloo_status parse_explain_option(struct parser *p) {
  bool found;
  IG_TRY(accept(p, "FORMAT", &found));
  if (found) return parse_explain_format(p);
  IG_TRY(accept(p, "ANALYZE", &found));
  if (found) return parse_option_flag(p, &p->st->explain_analyze);
  IG_TRY(accept(p, "VERBOSE", &found));
  if (found) return parse_option_flag(p, &p->st->explain_verbose);
  return fail_here(p);
}

/* The parenthesis may as well open the query: only an option name decides. */
static igloo_status at_explain_options(const struct parser *p, bool *ret_found) {
  struct parser ahead = *p;
  *ret_found = false;
  if (!at_symbol(p, "(")) return IGLOO_OK;
  IG_TRY(next(&ahead));
  bool is_query = starts_query(&ahead);
  *ret_found = ahead.token.kind == IG_TOKEN_WORD && !is_query;
  return IGLOO_OK;
}

static igloo_status parse_explain_options(struct parser *p) {
  do {
    IG_TRY(next(p)); /* the parenthesis or a comma */
    IG_TRY(parse_explain_option(p));
  } while (at_symbol(p, ","));
  return expect_symbol(p, ")");
}

static igloo_status parse_explain(struct parser *p) {
  bool found;
  p->st->kind = IG_SQL_EXPLAIN;
  if (at(p, "PRIVILEGES")) return not_built(p, "EXPLAIN PRIVILEGES");
  IG_TRY(accept(p, "ANALYZE", &p->st->explain_analyze));
  IG_TRY(accept(p, "VERBOSE", &p->st->explain_verbose));
  IG_TRY(accept(p, "FORMAT", &found));
  if (found) IG_TRY(parse_explain_format(p));
  IG_TRY(at_explain_options(p, &found));
  if (found) IG_TRY(parse_explain_options(p));
  if (at(p, "EXPLAIN")) return fail_here(p);
  return parse_inner_statement(p);
}

/* ---- settings ---------------------------------------------------------------------- */

static igloo_status parse_use(struct parser *p) {
  p->st->kind = IG_SQL_USE;
  return parse_last_name(p, 2);
}

static igloo_status parse_reset(struct parser *p) {
  bool found;
  p->st->kind = IG_SQL_RESET_ALL;
  IG_TRY(accept(p, "ALL", &found));
  if (found) return expect_end(p);
  p->st->kind = IG_SQL_RESET;
  IG_TRY(parse_setting_name(p, &found));
  return expect_end(p);
}

/* One of a SET's values: a name, perhaps with a dot, a string, or a number with its sign.
 */
static igloo_status parse_set_element(struct parser *p) {
  bool has_sign = at_symbol(p, "-") || at_symbol(p, "+");
  if (has_sign) IG_TRY(next(p));
  struct ig_str name;
  if (!has_sign && at_name(p)) return parse_name(p, 2, &name);
  bool is_value =
      p->token.kind == IG_TOKEN_NUMBER || (!has_sign && p->token.kind == IG_TOKEN_STRING);
  return is_value ? next(p) : fail_here(p);
}

static igloo_status parse_set_values(struct parser *p) {
  size_t from = p->token.offset;
  IG_TRY(parse_set_element(p));
  while (at_symbol(p, ",")) {
    IG_TRY(next(p));
    IG_TRY(parse_set_element(p));
  }
  p->st->value = span(p, from, p->last_end);
  return expect_end(p);
}

static igloo_status parse_set(struct parser *p) {
  bool found, is_time_zone;
  const char *feature = FIND_FAMILY(p, set_families);
  if (feature) return not_built(p, feature);
  IG_TRY(accept(p, "SESSION", &found));
  p->st->kind = IG_SQL_SET;
  IG_TRY(parse_setting_name(p, &is_time_zone));
  if (!is_time_zone) {
    if (!at_symbol(p, "=") && !at(p, "TO")) return fail_here(p);
    IG_TRY(next(p));
  }
  if (!at(p, "DEFAULT") && !(is_time_zone && at(p, "LOCAL"))) return parse_set_values(p);
  p->st->kind = IG_SQL_RESET;
  IG_TRY(next(p));
  return expect_end(p);
}

/* ---- prepared statements ----------------------------------------------------------- */

static igloo_status parse_prepare(struct parser *p) {
  p->st->kind = IG_SQL_PREPARE;
  IG_TRY(parse_name(p, 1, &p->st->name));
  if (at_symbol(p, "(")) IG_TRY(parse_parenthesised(p, &p->st->types));
  IG_TRY(expect(p, "AS"));
  return parse_inner_statement(p);
}

static igloo_status parse_execute(struct parser *p) {
  p->st->kind = IG_SQL_EXECUTE;
  IG_TRY(parse_name(p, 1, &p->st->name));
  if (at_symbol(p, "(")) IG_TRY(parse_parenthesised(p, &p->st->arguments));
  return expect_end(p);
}

static igloo_status parse_deallocate(struct parser *p) {
  bool found;
  IG_TRY(accept(p, "PREPARE", &found));
  p->st->kind = IG_SQL_DEALLOCATE_ALL;
  IG_TRY(accept(p, "ALL", &found));
  if (found) return expect_end(p);
  p->st->kind = IG_SQL_DEALLOCATE;
  return parse_last_name(p, 1);
}

/* ---- users --------------------------------------------------------------------------
 */

static igloo_status fail_repeated(struct parser *p) {
  return ig_fail_at(p->reterr, IGLOO_SYNTAX_ERROR, NULL, p->token.line, p->token.column,
                    "conflicting or redundant options");
}

/* One of SUPERUSER, NOSUPERUSER, PASSWORD '…'; each once. */
static igloo_status parse_user_option(struct parser *p) {
  struct ig_sql_user *user = &p->st->user;
  bool yes = at(p, "SUPERUSER"), no = at(p, "NOSUPERUSER");
  if (yes || no) {
    if (user->superuser || user->nosuperuser) return fail_repeated(p);
    user->superuser = yes;
    user->nosuperuser = no;
    return next(p);
  }
  if (!at(p, "PASSWORD")) {
    if (p->token.kind != IG_TOKEN_WORD) return fail_here(p);
    struct ig_str word = ig_token_text(&p->tokens, &p->token);
    return ig_fail_at(p->reterr, IGLOO_SYNTAX_ERROR, NULL, p->token.line, p->token.column,
                      "unrecognized user option \"%.*s\"",
                      IG_STR_ARG(ig_str_sub(word, 0, ig_utf8_cut(word, 64))));
  }
  if (user->password.len) return fail_repeated(p);
  IG_TRY(next(p));
  if (p->token.kind != IG_TOKEN_STRING) {
    /* Not by its text: it may be a password without its quotes. */
    (void)ig_fail_at(p->reterr, IGLOO_SYNTAX_ERROR, NULL, p->token.line, p->token.column,
                     "syntax error after \"PASSWORD\"");
    ig_error_hint(p->reterr, "The password is a string in single quotes.");
    return IGLOO_SYNTAX_ERROR;
  }
  user->password = ig_token_text(&p->tokens, &p->token);
  return next(p);
}

/* name [WITH] option …: at least one, and for a new user a password. */
static igloo_status parse_user(struct parser *p, enum ig_sql_kind kind) {
  bool found;
  p->st->kind = kind;
  p->st->feature = kind == IG_SQL_CREATE_USER ? "CREATE USER" : "ALTER USER";
  p->hides_strings = true;
  IG_TRY(next(p)); /* USER */
  IG_TRY(parse_name(p, 1, &p->st->name));
  IG_TRY(accept(p, "WITH", &found));
  if (at_end(p)) return fail_here(p);
  while (!at_end(p)) IG_TRY(parse_user_option(p));
  if (kind == IG_SQL_ALTER_USER || p->st->user.password.len) return IGLOO_OK;
  (void)fail_here(p);
  ig_error_hint(p->reterr, "A new user needs a PASSWORD.");
  return IGLOO_SYNTAX_ERROR;
}

static igloo_status parse_drop_user(struct parser *p) {
  p->st->kind = IG_SQL_DROP_USER;
  p->st->feature = "DROP USER";
  p->hides_strings = true;
  IG_TRY(next(p)); /* USER */
  IG_TRY(accept(p, "IF", &p->st->if_exists));
  if (p->st->if_exists) IG_TRY(expect(p, "EXISTS"));
  return parse_last_name(p, 1);
}

/* KILL QUERY|SESSION 'id' */
static igloo_status parse_kill(struct parser *p) {
  bool query = at(p, "QUERY");
  if (!query && !at(p, "SESSION")) return fail_here(p);
  p->st->kind = query ? IG_SQL_KILL_QUERY : IG_SQL_KILL_SESSION;
  p->st->feature = "KILL";
  IG_TRY(next(p));
  if (p->token.kind != IG_TOKEN_STRING) {
    (void)fail_here(p);
    if (!at_end(p)) ig_error_hint(p->reterr, "The id stands in single quotes.");
    return IGLOO_SYNTAX_ERROR;
  }
  p->st->pattern = ig_token_text(&p->tokens, &p->token);
  IG_TRY(next(p));
  return expect_end(p);
}

/* DRAIN WORKER 'id' */
static igloo_status parse_drain(struct parser *p) {
  p->st->kind = IG_SQL_DRAIN_WORKER;
  p->st->feature = "DRAIN WORKER";
  IG_TRY(expect(p, "WORKER"));
  if (p->token.kind != IG_TOKEN_STRING) return fail_here(p);
  p->st->pattern = ig_token_text(&p->tokens, &p->token);
  IG_TRY(next(p));
  return expect_end(p);
}

/* ---- sources and secrets -------------------------------------------------------------
 */

static igloo_status parse_if_not_exists(struct parser *p) {
  IG_TRY(accept(p, "IF", &p->st->if_not_exists));
  if (!p->st->if_not_exists) return IGLOO_OK;
  IG_TRY(expect(p, "NOT"));
  return expect(p, "EXISTS");
}

static igloo_status parse_if_exists(struct parser *p) {
  IG_TRY(accept(p, "IF", &p->st->if_exists));
  return p->st->if_exists ? expect(p, "EXISTS") : IGLOO_OK;
}

/* Not by its text: it may be a password without its quotes. */
static igloo_status fail_secret_value(struct parser *p) {
  (void)ig_fail_at(p->reterr, IGLOO_SYNTAX_ERROR, NULL, p->token.line, p->token.column,
                   "syntax error in the items of a secret");
  ig_error_hint(p->reterr,
                "Write (TYPE t, key 'value', ...) with each value in single quotes.");
  return IGLOO_SYNTAX_ERROR;
}

/* A string, word or number with its sign, or nothing. */
static igloo_status parse_option_value(struct parser *p) {
  if (at_symbol(p, "=")) IG_TRY(next(p));
  if (at_symbol(p, ",") || at_symbol(p, ")")) return IGLOO_OK;
  if (p->token.kind == IG_TOKEN_STRING || at_name(p)) return next(p);
  if (at_symbol(p, "-") || at_symbol(p, "+")) IG_TRY(next(p));
  return p->token.kind == IG_TOKEN_NUMBER ? next(p) : fail_here(p);
}

/* TYPE t, or key 'value'. */
static igloo_status parse_secret_item(struct parser *p) {
  if (!at_name(p)) return fail_secret_value(p);
  bool is_type = at(p, "TYPE");
  IG_TRY(next(p));
  if (at_symbol(p, "=")) IG_TRY(next(p));
  if (p->token.kind != IG_TOKEN_STRING && !(is_type && at_name(p)))
    return fail_secret_value(p);
  IG_TRY(next(p));
  return at_symbol(p, ",") || at_symbol(p, ")") ? IGLOO_OK : fail_secret_value(p);
}

static igloo_status parse_attach_option(struct parser *p) {
  struct ig_str key;
  IG_TRY(parse_name(p, SIZE_MAX, &key));
  return parse_option_value(p);
}

/* (option, option ...) */
static igloo_status parse_option_list(struct parser *p,
                                      igloo_status (*parse_one)(struct parser *p)) {
  IG_TRY(expect_symbol(p, "("));
  size_t from = p->token.offset;
  for (;;) {
    IG_TRY(parse_one(p));
    if (!at_symbol(p, ",")) break;
    IG_TRY(next(p));
  }
  p->st->options = span(p, from, p->last_end);
  return expect_symbol(p, ")");
}

/* [OR REPLACE] [IF NOT EXISTS] 'uri' AS name [(options)] */
static igloo_status parse_attach(struct parser *p) {
  bool found;
  p->st->kind = IG_SQL_ATTACH;
  p->st->feature = "ATTACH";
  p->hides_strings = true;
  IG_TRY(accept(p, "OR", &p->st->or_replace));
  if (p->st->or_replace) IG_TRY(expect(p, "REPLACE"));
  IG_TRY(accept(p, "DATABASE", &found));
  IG_TRY(parse_if_not_exists(p));
  if (p->token.kind != IG_TOKEN_STRING) return fail_here(p);
  p->st->pattern = ig_token_text(&p->tokens, &p->token);
  IG_TRY(next(p));
  IG_TRY(expect(p, "AS"));
  IG_TRY(parse_name(p, 1, &p->st->name));
  if (at_symbol(p, "(")) IG_TRY(parse_option_list(p, parse_attach_option));
  return expect_end(p);
}

static igloo_status parse_detach(struct parser *p) {
  bool found;
  p->st->kind = IG_SQL_DETACH;
  p->st->feature = "DETACH";
  IG_TRY(accept(p, "DATABASE", &found));
  IG_TRY(parse_if_exists(p));
  return parse_last_name(p, 1);
}

static igloo_status parse_refresh(struct parser *p) {
  if (at(p, "CACHE")) return not_built(p, "REFRESH CACHE");
  IG_TRY(expect(p, "CATALOG"));
  p->st->kind = IG_SQL_REFRESH_CATALOG;
  p->st->feature = "REFRESH CATALOG";
  return parse_last_name(p, 1);
}

/* [IF NOT EXISTS] name (TYPE t, key 'value', ...) */
static igloo_status parse_create_secret(struct parser *p, bool or_replace) {
  p->st->kind = IG_SQL_CREATE_SECRET;
  p->st->feature = "CREATE SECRET";
  p->st->or_replace = or_replace;
  p->hides_strings = true;
  IG_TRY(next(p)); /* SECRET */
  IG_TRY(parse_if_not_exists(p));
  IG_TRY(parse_name(p, 1, &p->st->name));
  IG_TRY(parse_option_list(p, parse_secret_item));
  return at_end(p) ? IGLOO_OK : fail_secret_value(p);
}

static igloo_status parse_drop_secret(struct parser *p) {
  p->st->kind = IG_SQL_DROP_SECRET;
  p->st->feature = "DROP SECRET";
  IG_TRY(next(p)); /* SECRET */
  IG_TRY(parse_if_exists(p));
  return parse_last_name(p, 1);
}

/* ---- schemas and what begins like them --------------------------------------------- */

static igloo_status parse_create(struct parser *p) {
  bool found, or_replace;
  struct parser start = *p;
  IG_TRY(accept(p, "OR", &or_replace));
  if (or_replace) {
    IG_TRY(accept(p, "REPLACE", &found));
    if (!found) *p = start;
  }
  const char *feature = FIND_FAMILY(p, create_families);
  if (feature) return not_built(p, feature);
  if (at(p, "USER")) return or_replace ? fail_here(p) : parse_user(p, IG_SQL_CREATE_USER);
  if (at(p, "SECRET")) return parse_create_secret(p, or_replace);
  if (or_replace || !at(p, "SCHEMA")) return IGLOO_OK; /* the engine's */
  IG_TRY(next(p));
  p->st->kind = IG_SQL_CREATE_SCHEMA;
  IG_TRY(parse_if_not_exists(p));
  return parse_last_name(p, 2);
}

static igloo_status parse_alter(struct parser *p) {
  const char *feature = FIND_FAMILY(p, alter_families);
  if (at(p, "USER")) return parse_user(p, IG_SQL_ALTER_USER);
  return feature ? not_built(p, feature) : IGLOO_OK;
}

static igloo_status parse_drop(struct parser *p) {
  bool found;
  const char *feature = FIND_FAMILY(p, drop_families);
  if (feature) return not_built(p, feature);
  if (at(p, "USER")) return parse_drop_user(p);
  if (at(p, "SECRET")) return parse_drop_secret(p);
  IG_TRY(accept(p, "SCHEMA", &found));
  if (!found) return IGLOO_OK; /* the engine's */
  p->st->kind = IG_SQL_DROP_SCHEMA;
  IG_TRY(accept(p, "IF", &p->st->if_exists));
  if (p->st->if_exists) IG_TRY(expect(p, "EXISTS"));
  IG_TRY(parse_name(p, 2, &p->st->name));
  IG_TRY(accept(p, "CASCADE", &p->st->cascade));
  if (!p->st->cascade) IG_TRY(accept(p, "RESTRICT", &found));
  return expect_end(p);
}

/* ---- which statement it is --------------------------------------------------------- */

static const struct {
  const char *word;
  igloo_status (*parse)(struct parser *p); /* after the word */
} own_statements[] = {
    {"SHOW", parse_show},
    {"DESCRIBE", parse_describe},
    {"DESC", parse_describe},
    {"SUMMARIZE", parse_summarize},
    {"EXPLAIN", parse_explain},
    {"USE", parse_use},
    {"SET", parse_set},
    {"RESET", parse_reset},
    {"PREPARE", parse_prepare},
    {"EXECUTE", parse_execute},
    {"DEALLOCATE", parse_deallocate},
    {"CREATE", parse_create},
    {"ALTER", parse_alter},
    {"DROP", parse_drop},
    {"KILL", parse_kill},
    {"DRAIN", parse_drain},
    {"ATTACH", parse_attach},
    {"DETACH", parse_detach},
    {"REFRESH", parse_refresh},
};

/* First words that say enough. */
static const struct {
  const char *word;
  enum ig_sql_kind kind;
  const char *feature;
} first_words[] = {
    {"BEGIN", IG_SQL_TRANSACTION, "BEGIN"},
    {"START", IG_SQL_TRANSACTION, "START TRANSACTION"},
    {"COMMIT", IG_SQL_TRANSACTION, "COMMIT"},
    {"END", IG_SQL_TRANSACTION, "END"},
    {"ROLLBACK", IG_SQL_TRANSACTION, "ROLLBACK"},
    {"ABORT", IG_SQL_TRANSACTION, "ABORT"},
    {"SAVEPOINT", IG_SQL_TRANSACTION, "SAVEPOINT"},
    {"RELEASE", IG_SQL_TRANSACTION, "RELEASE SAVEPOINT"},
    {"CACHE", IG_SQL_NOT_BUILT, "CACHE"},
    {"UNCACHE", IG_SQL_NOT_BUILT, "UNCACHE"},
    {"CLEAR", IG_SQL_NOT_BUILT, "CLEAR CACHE"},
    {"GRANT", IG_SQL_NOT_BUILT, "GRANT"},
    {"REVOKE", IG_SQL_NOT_BUILT, "REVOKE"},
};

static igloo_status parse_own(struct parser *p) {
  for (size_t i = 0; i < IG_ARRAY_LEN(first_words); i++) {
    if (!at(p, first_words[i].word)) continue;
    p->st->kind = first_words[i].kind;
    p->st->feature = first_words[i].feature;
    return IGLOO_OK;
  }
  for (size_t i = 0; i < IG_ARRAY_LEN(own_statements); i++) {
    if (!at(p, own_statements[i].word)) continue;
    IG_TRY(next(p));
    return own_statements[i].parse(p);
  }
  return IGLOO_OK;
}

/* Find where the one statement starts and ends; refuse a second one. */
static igloo_status find_statement(struct ig_str sql, struct ig_sql_statement *st,
                                   struct ig_tokenizer *ret_start,
                                   struct igloo_error *reterr) {
  struct ig_tokenizer tokens;
  ig_tokenizer_init(&tokens, sql);
  size_t end = 0;
  bool ended = false;
  for (;;) {
    struct ig_tokenizer before = tokens;
    struct ig_token token;
    IG_TRY(ig_token_next(&tokens, &token, reterr));
    if (token.kind == IG_TOKEN_END) break;
    if (token.kind == IG_TOKEN_SEMICOLON) {
      ended = end > 0;
      continue;
    }
    if (ended)
      return ig_fail_at(reterr, IGLOO_SYNTAX_ERROR, NULL, token.line, token.column,
                        "cannot run multiple commands as one statement");
    if (end == 0) {
      *ret_start = before;
      st->offset = token.offset;
    }
    end = token.offset + token.len;
  }
  st->kind = end == 0 ? IG_SQL_EMPTY : IG_SQL_ENGINE;
  if (end > 0) st->text = ig_str_sub(sql, st->offset, end - st->offset);
  return IGLOO_OK;
}

igloo_status ig_sql_statement_parse(struct ig_str sql,
                                    struct ig_sql_statement *ret_statement,
                                    struct igloo_error *reterr) {
  struct ig_sql_statement st = {.kind = IG_SQL_EMPTY};
  struct parser p = {.st = &st, .reterr = reterr};
  IG_TRY(find_statement(sql, &st, &p.tokens, reterr));
  if (st.kind == IG_SQL_ENGINE) {
    /* Positions still count from the start of `sql`, semicolons are cut off. */
    p.tokens.text = ig_str_sub(sql, 0, st.offset + st.text.len);
    IG_TRY(next(&p));
    IG_TRY(parse_own(&p));
  }
  *ret_statement = st;
  return IGLOO_OK;
}

/* ---- the value of SET -------------------------------------------------------------- */

static igloo_status append_set_element(struct ig_buf *buf, struct ig_str text,
                                       enum ig_token_kind kind, bool is_list,
                                       struct igloo_error *reterr) {
  if (kind != IG_TOKEN_STRING) {
    ig_buf_append_str(buf, text);
    return IGLOO_OK;
  }
  IG_AUTO_CHAR *value = NULL;
  IG_TRY(ig_sql_string_value(text, &value, reterr));
  if (is_list)
    ig_sql_append_name(buf, ig_str_from_cstr(value));
  else
    ig_buf_append_cstr(buf, value);
  return IGLOO_OK;
}

igloo_status ig_sql_set_value(const struct ig_sql_statement *statement, char **ret_value,
                              struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) buf = IG_BUF_INIT(IG_SETTING_BYTES_MAX);
  struct ig_tokenizer tokens;
  struct ig_token token, first;
  ig_tokenizer_init(&tokens, statement->value);
  IG_TRY(ig_token_next(&tokens, &first, reterr));
  bool is_list = first.len < statement->value.len && first.kind != IG_TOKEN_OPERATOR;
  for (token = first; token.kind != IG_TOKEN_END;) {
    struct ig_str text = ig_token_text(&tokens, &token);
    if (token.kind == IG_TOKEN_COMMA)
      ig_buf_append_cstr(&buf, ", ");
    else
      IG_TRY(append_set_element(&buf, text, token.kind, is_list, reterr));
    IG_TRY(ig_token_next(&tokens, &token, reterr));
  }
  return ig_buf_steal(&buf, ret_value, reterr);
}
