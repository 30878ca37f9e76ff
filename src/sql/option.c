/* option.c -- see option.h. */
#include "sql/option.h"

#include "base/buf.h"
#include "base/limits.h"
#include "sql/quote.h"
#include "sql/token.h"

bool ig_sql_option_next(struct ig_str *options, struct ig_sql_option *ret_option) {
  struct ig_tokenizer tokens;
  struct ig_token token;
  struct ig_sql_option option = {{0}, {0}};
  bool in_key = true;
  ig_tokenizer_init(&tokens, *options);
  for (;;) {
    if (ig_token_next(&tokens, &token, NULL) != IGLOO_OK) return false;
    if (token.kind == IG_TOKEN_END || token.kind == IG_TOKEN_COMMA) break;
    if (ig_token_is_symbol(&tokens, &token, "=")) {
      in_key = false;
      continue;
    }
    struct ig_str *part = &option.key;
    struct ig_str text = ig_token_text(&tokens, &token);
    /* A key goes on only behind a dot. */
    bool more = option.key.len &&
                (token.kind == IG_TOKEN_DOT || options->data[token.offset - 1] == '.');
    if (!in_key || (option.key.len && !more)) part = &option.value;
    if (part == &option.value) in_key = false;
    if (!part->data) *part = text;
    part->len = (size_t)(text.data + text.len - part->data);
  }
  *options = ig_str_sub(*options, token.offset + token.len, SIZE_MAX);
  *ret_option = option;
  return option.key.len > 0;
}

igloo_status ig_sql_option_key(const struct ig_sql_option *option, char **ret_key,
                               struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_sql_name) name = {.len = 0};
  IG_AUTO_DONE(ig_buf) key = IG_BUF_INIT(IG_SETTING_BYTES_MAX);
  IG_TRY(ig_sql_name_parse(option->key, IG_SQL_NAME_PARTS_MAX, &name, reterr));
  for (size_t i = 0; i < name.len; i++) {
    if (i) ig_buf_append_char(&key, '.');
    ig_buf_append_cstr(&key, name.parts[i]);
  }
  return ig_buf_steal(&key, ret_key, reterr);
}

igloo_status ig_sql_option_value(const struct ig_sql_option *option, char **ret_value,
                                 struct igloo_error *reterr) {
  struct ig_tokenizer tokens;
  struct ig_token token;
  ig_tokenizer_init(&tokens, option->value);
  IG_TRY(ig_token_next(&tokens, &token, reterr));
  if (token.kind == IG_TOKEN_STRING)
    return ig_sql_string_value(option->value, ret_value, reterr);
  if (token.kind == IG_TOKEN_QUOTED_NAME)
    return ig_sql_identifier_value(option->value, ret_value, reterr);
  *ret_value = ig_str_dup(option->value);
  return *ret_value ? IGLOO_OK : ig_fail_oom(reterr);
}
