/* redact.c -- see redact.h. */
#include "sql/redact.h"

#include "base/buf.h"
#include "sql/token.h"

#define MASK "'********'"

/* What was seen so far of a text, from its start. */
struct watch {
  bool makes;  /* CREATE or ALTER */
  bool secret; /* strings from here on are secrets */
  bool next;   /* whatever comes next is one: its quotes may be forgotten */
  bool items;  /* CREATE SECRET: in the parentheses whatever is no key is one */
  bool inside; /* those parentheses were opened */
  bool key;    /* the next word is a key */
  bool type;   /* the last key was TYPE, which is none */
};

static bool is_any(const struct ig_tokenizer *tokens, const struct ig_token *token,
                   const char *const *words, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (ig_token_is(tokens, token, words[i])) return true;
  return false;
}

/* The token is inside the parentheses of CREATE SECRET. */
static bool watch_item(struct watch *watch, const struct ig_tokenizer *tokens,
                       const struct ig_token *token) {
  bool was_key = watch->key;
  watch->key = token->kind == IG_TOKEN_COMMA;
  if (watch->key || token->kind == IG_TOKEN_CLOSE) return false;
  if (was_key && token->kind == IG_TOKEN_WORD) {
    watch->type = ig_token_is(tokens, token, "TYPE");
    return false;
  }
  if (ig_token_is_symbol(tokens, token, "=")) return false;
  return !watch->type || token->kind == IG_TOKEN_STRING;
}

/* Look at the next token; true if it is a secret. */
static bool watch_token(struct watch *watch, const struct ig_tokenizer *tokens,
                        const struct ig_token *token) {
  static const char *const makers[] = {"CREATE", "ALTER"};
  static const char *const secrets[] = {"PASSWORD", "USER", "ROLE", "SECRET"};
  bool is_secret = watch->next || (watch->secret && token->kind == IG_TOKEN_STRING);
  if (is_any(tokens, token, makers, IG_ARRAY_LEN(makers))) watch->makes = true;
  if (ig_token_is(tokens, token, "ATTACH") ||
      (watch->makes && is_any(tokens, token, secrets, IG_ARRAY_LEN(secrets))))
    watch->secret = true;
  watch->next = watch->secret && ig_token_is(tokens, token, "PASSWORD");
  if (watch->makes && ig_token_is(tokens, token, "SECRET")) watch->items = true;
  if (token->kind == IG_TOKEN_SEMICOLON) {
    *watch = (struct watch){0};
    return false;
  }
  if (watch->inside) return watch_item(watch, tokens, token) || is_secret;
  watch->inside = watch->key = watch->items && token->kind == IG_TOKEN_OPEN;
  return is_secret;
}

bool ig_sql_has_secret(struct ig_str sql) {
  struct ig_tokenizer tokens;
  struct watch watch = {0};
  ig_tokenizer_init(&tokens, sql);
  for (;;) {
    struct ig_token token;
    if (ig_token_next(&tokens, &token, NULL) != IGLOO_OK) return watch.secret;
    if (token.kind == IG_TOKEN_END) return false;
    if (watch_token(&watch, &tokens, &token)) return true;
  }
}

igloo_status ig_sql_redact(struct ig_str sql, size_t bytes_max, char **ret_text,
                           struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(sql.len + bytes_max + sizeof MASK);
  struct ig_tokenizer tokens;
  struct watch watch = {0};
  size_t done = 0;
  ig_tokenizer_init(&tokens, sql);
  while (out.len <= bytes_max) {
    struct ig_token token;
    if (ig_token_next(&tokens, &token, NULL) != IGLOO_OK) {
      /* An open string, perhaps: nothing more of it where it may be a secret. */
      if (!watch.secret) break;
      ig_buf_append_cstr(&out, MASK);
      done = sql.len;
      break;
    }
    if (token.kind == IG_TOKEN_END) break;
    bool is_secret = watch_token(&watch, &tokens, &token);
    ig_buf_append_str(&out, ig_str_sub(sql, done, token.offset - done));
    done = token.offset + token.len;
    if (is_secret)
      ig_buf_append_cstr(&out, MASK);
    else
      ig_buf_append_str(&out, ig_token_text(&tokens, &token));
  }
  if (out.len <= bytes_max) ig_buf_append_str(&out, ig_str_sub(sql, done, bytes_max + 1));
  IG_TRY(ig_buf_check(&out, reterr));
  ig_buf_truncate(&out, ig_utf8_cut(ig_buf_str(&out), bytes_max));
  return ig_buf_steal(&out, ret_text, reterr);
}
