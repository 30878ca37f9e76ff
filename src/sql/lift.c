/* lift.c -- see lift.h. */
#include "sql/lift.h"

#include "base/buf.h"
#include "base/parse.h"
#include "sql/quote.h"
#include "sql/token.h"

/* Longer statements are no lookups, and to walk them costs. */
#define TEXT_BYTES_MAX 4096

void ig_sql_lifted_done(struct ig_sql_lifted *lifted) {
  for (uint32_t i = 0; i < lifted->count; i++) ig_free(lifted->values[i].text);
  ig_free(lifted->text);
  *lifted = (struct ig_sql_lifted){0};
}

struct lifting {
  struct ig_tokenizer tokens;
  struct ig_token token;
  struct ig_sql_lifted *lifted;
  struct ig_buf text;
  size_t copied;     /* bytes of the old text that are done with */
  bool equal;        /* the last token was `=`, or a minus behind one */
  size_t minus;      /* where that minus is; IG_STR_NONE: there is none */
  igloo_status fail; /* of memory */
};

static bool lift_number(const struct lifting *l, struct ig_str token,
                        int64_t *ret_number) {
  char sign = l->minus == IG_STR_NONE ? '+' : '-';
  for (size_t i = 0; i < token.len; i++)
    if (!ig_ascii_is_digit(token.data[i])) return false;
  uint64_t number = 0;
  if (ig_parse_u64(token, &number, NULL) != IGLOO_OK || number > INT64_MAX) return false;
  *ret_number = sign == '-' ? -(int64_t)number : (int64_t)number;
  return true;
}

/* Put $n in place of the value at hand; false where it is none that is lifted. */
static bool lift_value(struct lifting *l) {
  struct ig_sql_lifted *lifted = l->lifted;
  struct ig_sql_literal value = {0};
  struct ig_str token = ig_token_text(&l->tokens, &l->token);
  if (!l->equal || lifted->count == IG_SQL_LIFTED_MAX) return false;
  if (l->token.kind == IG_TOKEN_NUMBER) {
    if (!lift_number(l, token, &value.number)) return false;
  } else {
    if (token.data[0] != '\'' || l->minus != IG_STR_NONE) return false;
    l->fail = ig_sql_string_value(token, &value.text, NULL);
    if (l->fail != IGLOO_OK) return false;
  }
  lifted->values[lifted->count++] = value;
  size_t start = l->minus == IG_STR_NONE ? l->token.offset : l->minus;
  ig_buf_append_str(&l->text, ig_str_sub(l->tokens.text, l->copied, start - l->copied));
  ig_buf_append_fmt(&l->text, "$%u", lifted->count);
  l->copied = l->token.offset + l->token.len;
  return true;
}

/* True while the text may be lifted. */
static bool walk_token(struct lifting *l) {
  size_t minus = IG_STR_NONE;
  bool equal = false;
  switch (l->token.kind) {
    case IG_TOKEN_NUMBER:
    case IG_TOKEN_STRING:
      if (!lift_value(l)) return false;
      break;
    case IG_TOKEN_PARAM_NUMBER:
    case IG_TOKEN_PARAM_MARK:
    case IG_TOKEN_PARAM_NAME:
      return false;
    case IG_TOKEN_OPERATOR:
      equal = ig_token_is_symbol(&l->tokens, &l->token, "=");
      if (l->equal && l->minus == IG_STR_NONE &&
          ig_token_is_symbol(&l->tokens, &l->token, "-")) {
        equal = true;
        minus = l->token.offset;
      }
      break;
    case IG_TOKEN_END:
    case IG_TOKEN_WORD:
    case IG_TOKEN_QUOTED_NAME:
    case IG_TOKEN_OPEN:
    case IG_TOKEN_CLOSE:
    case IG_TOKEN_COMMA:
    case IG_TOKEN_DOT:
    case IG_TOKEN_SEMICOLON:
    case IG_TOKEN_COLON:
    case IG_TOKEN_OTHER:
      break;
  }
  l->equal = equal;
  l->minus = minus;
  return true;
}

/* False where the text cannot be lifted, or memory was short. */
static bool walk(struct lifting *l) {
  if (ig_token_next(&l->tokens, &l->token, NULL) != IGLOO_OK ||
      !ig_token_is(&l->tokens, &l->token, "SELECT"))
    return false;
  do {
    if (ig_token_next(&l->tokens, &l->token, NULL) != IGLOO_OK) return false;
    if (!walk_token(l)) return false;
  } while (l->token.kind != IG_TOKEN_END);
  return l->lifted->count > 0;
}

igloo_status ig_sql_lift(struct ig_str sql, struct ig_sql_lifted *ret_lifted,
                         struct igloo_error *reterr) {
  *ret_lifted = (struct ig_sql_lifted){0};
  if (sql.len > TEXT_BYTES_MAX) return IGLOO_OK;
  /* "$8" takes the place of at least one byte. */
  struct lifting l = {.lifted = ret_lifted,
                      .text = IG_BUF_INIT(TEXT_BYTES_MAX + 2 * IG_SQL_LIFTED_MAX),
                      .minus = IG_STR_NONE};
  ig_tokenizer_init(&l.tokens, sql);
  bool lifted = walk(&l);
  if (lifted) ig_buf_append_str(&l.text, ig_str_sub(sql, l.copied, sql.len));
  igloo_status status = ig_buf_check(&l.text, NULL);
  if (l.fail == IGLOO_OUT_OF_MEMORY) status = l.fail;
  if (lifted && status == IGLOO_OK) {
    ret_lifted->text_len = l.text.len;
    status = ig_buf_steal(&l.text, &ret_lifted->text, reterr);
  }
  ig_buf_done(&l.text);
  if (!lifted || status != IGLOO_OK) ig_sql_lifted_done(ret_lifted);
  return status == IGLOO_OK ? status : ig_fail_oom(reterr);
}
