/* params.c -- see params.h. One walk that copies the text and notes each edit. */
#include "sql/params.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/parse.h"
#include "sql/redact.h"
#include "sql/token.h"

#define EDITS_MAX (2 * IG_SQL_BYTES_LIMIT) /* each takes at least one byte of text */

struct rewriter {
  struct ig_tokenizer tokens;
  struct ig_token token;
  struct ig_sql_params *params; /* what is being made */
  struct ig_buf text;
  struct ig_map numbers; /* of names: the value is the number, as a pointer */
  size_t copied;         /* bytes of the old text that are done with */
};

static enum ig_sql_params_style style_of(enum ig_token_kind kind) {
  if (kind == IG_TOKEN_PARAM_NUMBER) return IG_PARAMS_NUMBERS;
  if (kind == IG_TOKEN_PARAM_MARK) return IG_PARAMS_MARKS;
  return kind == IG_TOKEN_PARAM_NAME ? IG_PARAMS_NAMES : IG_PARAMS_NONE;
}

static igloo_status fail_at_token(const struct rewriter *w, igloo_status status,
                                  const char *sqlstate, const char *text,
                                  struct igloo_error *reterr) {
  struct ig_str token = ig_token_text(&w->tokens, &w->token);
  if (ig_sql_has_secret(w->tokens.text)) token = IG_STR("...");
  return ig_fail_at(reterr, status, sqlstate, w->token.line, w->token.column,
                    "%s at or near \"%.*s\"", text, IG_STR_ARG(token));
}

static igloo_status fail_too_many(const struct rewriter *w, struct igloo_error *reterr) {
  return ig_fail_at(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000", w->token.line,
                    w->token.column, "statement has more than %d parameters",
                    IG_SQL_PARAMETERS_MAX);
}

/* Copy the old text up to `offset`. */
static void copy_until(struct rewriter *w, size_t offset) {
  ig_buf_append_str(&w->text, ig_str_sub(w->tokens.text, w->copied, offset - w->copied));
  w->copied = offset;
}

/* Note that the old text goes on at `copied` where the new one ends now. */
static igloo_status note_edit(struct rewriter *w, struct igloo_error *reterr) {
  struct ig_sql_params *params = w->params;
  IG_TRY(IG_RESERVE(params->edits, params->edits_cap, params->edits_len + 1, EDITS_MAX,
                    "edits", reterr));
  params->edits[params->edits_len++] =
      (struct ig_sql_edit){.new_offset = w->text.len, .old_offset = w->copied};
  return IGLOO_OK;
}

static igloo_status insert(struct rewriter *w, const char *text,
                           struct igloo_error *reterr) {
  ig_buf_append_cstr(&w->text, text);
  return note_edit(w, reterr);
}

static igloo_status number_of_digits(const struct rewriter *w, uint32_t *ret_number,
                                     struct igloo_error *reterr) {
  struct ig_str digits = ig_token_text(&w->tokens, &w->token);
  uint64_t value = 0;
  if (ig_parse_u64(ig_str_sub(digits, 1, digits.len), &value, NULL) != IGLOO_OK ||
      value > IG_SQL_PARAMETERS_MAX)
    return fail_too_many(w, reterr);
  if (value == 0)
    return ig_fail_at(reterr, IGLOO_NOT_FOUND, "42P02", w->token.line, w->token.column,
                      "there is no parameter $0");
  *ret_number = (uint32_t)value;
  return IGLOO_OK;
}

static igloo_status number_of_name(struct rewriter *w, struct ig_str name,
                                   uint32_t *ret_number, struct igloo_error *reterr) {
  struct ig_sql_params *params = w->params;
  *ret_number = (uint32_t)(uintptr_t)ig_map_get(&w->numbers, name);
  if (*ret_number > 0) return IGLOO_OK;
  if (params->count == IG_SQL_PARAMETERS_MAX) return fail_too_many(w, reterr);
  IG_TRY(IG_RESERVE(params->names, params->names_cap, params->count + 1,
                    IG_SQL_PARAMETERS_MAX, "parameters", reterr));
  uint32_t number = params->count + 1;
  char *copy = ig_str_dup(name);
  if (!copy) return ig_fail_oom(reterr);
  params->names[params->count] = copy;
  params->count = number;
  IG_TRY(ig_map_put(&w->numbers, name, (void *)(uintptr_t)number, reterr));
  *ret_number = number;
  return IGLOO_OK;
}

static igloo_status number_of_param(struct rewriter *w, uint32_t *ret_number,
                                    struct igloo_error *reterr) {
  struct ig_sql_params *params = w->params;
  enum ig_sql_params_style style = style_of(w->token.kind);
  if (params->style != IG_PARAMS_NONE && params->style != style) {
    igloo_status status = fail_at_token(w, IGLOO_SYNTAX_ERROR, NULL,
                                        "parameters of two styles are mixed", reterr);
    ig_error_hint(reterr, "Use one of $1, ? and :name in a statement.");
    return status;
  }
  params->style = style;
  struct ig_str text = ig_token_text(&w->tokens, &w->token);
  if (style == IG_PARAMS_NUMBERS) return number_of_digits(w, ret_number, reterr);
  if (style == IG_PARAMS_NAMES)
    return number_of_name(w, ig_str_sub(text, 1, text.len), ret_number, reterr);
  if (params->count == IG_SQL_PARAMETERS_MAX) return fail_too_many(w, reterr);
  *ret_number = params->count + 1;
  return IGLOO_OK;
}

static bool may_glue(char c) {
  return ig_ascii_is_alpha(c) || ig_ascii_is_digit(c) || c == '_' || c == '$' ||
         c == '.' || (unsigned char)c >= 0x80;
}

/* Write $n instead of the token, apart from names and numbers beside it. */
static igloo_status rewrite_param(struct rewriter *w, struct igloo_error *reterr) {
  struct ig_str sql = w->tokens.text;
  uint32_t number = 0;
  IG_TRY(number_of_param(w, &number, reterr));
  if (number > w->params->count) w->params->count = number;
  if (w->token.kind == IG_TOKEN_PARAM_NUMBER) return IGLOO_OK;

  size_t end = w->token.offset + w->token.len;
  copy_until(w, w->token.offset);
  if (w->text.len > 0 && may_glue(w->text.data[w->text.len - 1]))
    IG_TRY(insert(w, " ", reterr));
  ig_buf_append_fmt(&w->text, "$%u", number);
  if (end < sql.len && sql.data[end] != '.' && may_glue(sql.data[end]))
    ig_buf_append_char(&w->text, ' ');
  w->copied = end;
  return note_edit(w, reterr);
}

/* What the engine might read as something else than a comment. */
static igloo_status part_comments(struct rewriter *w, size_t before_end,
                                  enum ig_token_kind before, struct igloo_error *reterr) {
  struct ig_str sql = w->tokens.text;
  /* An operator directly before `--` or a block comment would swallow it. */
  bool touches = before == IG_TOKEN_OPERATOR && before_end < w->token.offset &&
                 !ig_ascii_is_space(sql.data[before_end]);
  if (!touches) return IGLOO_OK;
  copy_until(w, before_end);
  return insert(w, " ", reterr);
}

static igloo_status rewrite(struct rewriter *w, struct igloo_error *reterr) {
  size_t before_end = 0;
  enum ig_token_kind before = IG_TOKEN_END;
  do {
    IG_TRY(ig_token_next(&w->tokens, &w->token, reterr));
    IG_TRY(part_comments(w, before_end, before, reterr));
    if (style_of(w->token.kind) != IG_PARAMS_NONE) IG_TRY(rewrite_param(w, reterr));
    before = w->token.kind;
    before_end = w->token.offset + w->token.len;
  } while (before != IG_TOKEN_END);
  copy_until(w, w->tokens.text.len);
  w->params->text_len = w->text.len;
  return ig_buf_steal(&w->text, &w->params->text, reterr);
}

igloo_status ig_sql_params_rewrite(struct ig_str sql, struct ig_sql_params *ret_params,
                                   struct igloo_error *reterr) {
  /* A parameter is two bytes with its comma and becomes at most eight. */
  size_t text_max = sql.len * 8 + 16;
  struct ig_sql_params params = {.text = NULL};
  struct rewriter w = {.params = &params, .text = IG_BUF_INIT_WIPED(text_max)};
  ig_tokenizer_init(&w.tokens, sql);
  ig_map_init(&w.numbers, IG_SQL_PARAMETERS_MAX, NULL);
  igloo_status status = rewrite(&w, reterr);
  ig_map_done(&w.numbers);
  ig_buf_done(&w.text);
  if (status != IGLOO_OK) {
    ig_sql_params_done(&params);
    return status;
  }
  *ret_params = params;
  return IGLOO_OK;
}

void ig_sql_params_done(struct ig_sql_params *params) {
  ig_free_wiped(params->text);
  if (params->names)
    for (uint32_t i = 0; i < params->count; i++) ig_free(params->names[i]);
  ig_free(params->names);
  ig_free(params->edits);
  *params = (struct ig_sql_params){.text = NULL};
}

uint32_t ig_sql_params_number(const struct ig_sql_params *params, struct ig_str name) {
  if (!params->names) return 0;
  for (uint32_t i = 0; i < params->count; i++)
    if (ig_str_eq_cstr(name, params->names[i])) return i + 1;
  return 0;
}

size_t ig_sql_params_old_offset(const struct ig_sql_params *params, size_t new_offset) {
  struct ig_sql_edit last = {0, 0};
  size_t low = 0, high = params->edits_len;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (params->edits[middle].new_offset <= new_offset)
      low = middle + 1;
    else
      high = middle;
  }
  if (low > 0) last = params->edits[low - 1];
  size_t old_offset = last.old_offset + (new_offset - last.new_offset);

  /* Inside a $n that took the place of something shorter. */
  if (low < params->edits_len && old_offset >= params->edits[low].old_offset)
    old_offset = params->edits[low].old_offset - (params->edits[low].old_offset > 0);
  return old_offset;
}

void ig_sql_params_fix_error(const struct ig_sql_params *params, struct ig_str sql,
                             struct igloo_error *error) {
  if (!error || error->line < 1 || params->edits_len == 0) return;
  struct ig_str text = ig_str_make(params->text, params->text_len);
  size_t offset = ig_sql_offset_at(text, error->line, error->column);
  bool has_column = error->column > 0;
  ig_sql_position_at(sql, ig_sql_params_old_offset(params, offset), &error->line,
                     &error->column);
  if (!has_column) error->column = 0;
}
