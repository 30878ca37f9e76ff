/* statement.c -- see statement.h. */
#include "shell/statement.h"

#include "sql/token.h"

static bool next_word(struct ig_tokenizer *tokenizer, struct ig_str *ret_word) {
  struct ig_token token;
  if (ig_token_next(tokenizer, &token, NULL) != IGLOO_OK || token.kind != IG_TOKEN_WORD)
    return false;
  *ret_word = ig_token_text(tokenizer, &token);
  return true;
}

static bool is_one_of(struct ig_str word, const char *const *words) {
  for (; *words; words++)
    if (ig_str_eq_cstr_ci(word, *words)) return true;
  return false;
}

static void append_upper(struct ig_buf *dst, struct ig_str word) {
  for (size_t i = 0; i < word.len; i++)
    ig_buf_append_char(dst, ig_ascii_upper(word.data[i]));
}

bool ig_statement_is_explain(struct ig_str sql) {
  struct ig_tokenizer tokenizer;
  struct ig_str word;
  ig_tokenizer_init(&tokenizer, sql);
  return next_word(&tokenizer, &word) && ig_str_eq_cstr_ci(word, "EXPLAIN");
}

void ig_statement_tag(struct ig_str sql, struct ig_buf *dst) {
  static const char *const with_object[] = {"CREATE", "DROP", "ALTER", NULL};
  static const char *const skipped[] = {"OR",       "REPLACE",   "TEMP", "TEMPORARY",
                                        "EXTERNAL", "UNBOUNDED", NULL};
  struct ig_tokenizer tokenizer;
  struct ig_str word;
  ig_tokenizer_init(&tokenizer, sql);
  if (!next_word(&tokenizer, &word)) return;
  if (ig_str_eq_cstr_ci(word, "WITH")) word = IG_STR("INSERT");
  append_upper(dst, word);
  if (!is_one_of(word, with_object)) return;
  do {
    if (!next_word(&tokenizer, &word)) return;
  } while (is_one_of(word, skipped));
  ig_buf_append_char(dst, ' ');
  append_upper(dst, word);
}

bool ig_statement_has_secret(struct ig_str sql) {
  static const char *const words[] = {"password", "passwd", "secret", "token",
                                      "credential"};
  for (size_t i = 0; i < sql.len; i++)
    for (size_t w = 0; w < IG_ARRAY_LEN(words); w++)
      if (ig_str_starts_ci(ig_str_sub(sql, i, SIZE_MAX), ig_str_from_cstr(words[w])))
        return true;
  return false;
}
