/* copy_command.c -- see copy_command.h. */
#include "shell/copy_command.h"

#include "sql/quote.h"
#include "sql/token.h"

#define USAGE "Use \\copy (query) TO 'file' [format], or \\copy table TO 'file' [format]."

void ig_copy_command_done(struct ig_copy_command *command) {
  ig_free(command->sql);
  ig_free(command->path);
  *command = (struct ig_copy_command){0};
}

static igloo_status fail_usage(struct igloo_error *reterr, const char *what) {
  (void)ig_fail(reterr, IGLOO_SYNTAX_ERROR, "%s", what);
  ig_error_hint(reterr, USAGE);
  return IGLOO_SYNTAX_ERROR;
}

/* What stands before the TO that is in no brackets: a query in brackets or a name. */
static igloo_status take_source(struct ig_tokenizer *tokenizer, struct ig_str *ret_source,
                                struct igloo_error *reterr) {
  size_t depth = 0, start = IG_STR_NONE, end = 0;
  for (;;) {
    struct ig_token token;
    IG_TRY(ig_token_next(tokenizer, &token, reterr));
    if (token.kind == IG_TOKEN_END) return fail_usage(reterr, "TO is missing");
    if (depth == 0 && ig_token_is(tokenizer, &token, "TO")) break;
    if (token.kind == IG_TOKEN_OPEN) depth++;
    if (token.kind == IG_TOKEN_CLOSE && depth > 0) depth--;
    if (start == IG_STR_NONE) start = token.offset;
    end = token.offset + token.len;
  }
  if (start == IG_STR_NONE) return fail_usage(reterr, "a query or a table is missing");
  *ret_source = ig_str_sub(tokenizer->text, start, end - start);
  return IGLOO_OK;
}

static igloo_status take_format(struct ig_tokenizer *tokenizer, const char *path,
                                enum ig_output_format *ret_format,
                                struct igloo_error *reterr) {
  struct ig_token token;
  enum ig_output_format format;
  IG_TRY(ig_token_next(tokenizer, &token, reterr));
  if (token.kind == IG_TOKEN_END) {
    if (!ig_output_format_of_file(ig_str_from_cstr(path), &format)) {
      (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                    "the name \"%s\" does not say in which format to write", path);
      ig_error_hint(reterr,
                    "Add one of csv, tsv, json, jsonl, markdown, arrow, parquet.");
      return IGLOO_INVALID_ARGUMENT;
    }
  } else {
    struct ig_str word = ig_token_text(tokenizer, &token);
    if (!ig_output_format_parse(word, &format) || format == IG_OUTPUT_QUIET)
      return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unknown format \"%.*s\"",
                     IG_STR_ARG(word));
    IG_TRY(ig_token_next(tokenizer, &token, reterr));
    if (token.kind != IG_TOKEN_END)
      return fail_usage(reterr, "something follows the format");
  }
  *ret_format = format;
  return IGLOO_OK;
}

igloo_status ig_copy_command_parse(struct ig_str text,
                                   struct ig_copy_command *ret_command,
                                   struct igloo_error *reterr) {
  struct ig_copy_command command __attribute__((cleanup(ig_copy_command_done))) = {0};
  struct ig_tokenizer tokenizer;
  struct ig_token token;
  struct ig_str source;
  while (ig_str_ends(text, IG_STR(";")))
    text = ig_str_trim(ig_str_sub(text, 0, text.len - 1));
  ig_tokenizer_init(&tokenizer, text);
  IG_TRY(take_source(&tokenizer, &source, reterr));
  IG_TRY(ig_token_next(&tokenizer, &token, reterr));
  if (token.kind != IG_TOKEN_STRING)
    return fail_usage(reterr, "the file's name in quotes is missing after TO");
  IG_TRY(ig_sql_string_value(ig_token_text(&tokenizer, &token), &command.path, reterr));
  IG_TRY(take_format(&tokenizer, command.path, &command.format, reterr));
  bool is_query = source.data[0] == '(';
  command.sql = is_query ? ig_str_dup(ig_str_sub(source, 1, source.len - 2))
                         : ig_asprintf("SELECT * FROM %.*s", IG_STR_ARG(source));
  if (!command.sql) return ig_fail_oom(reterr);
  *ret_command = (struct ig_copy_command){.sql = IG_TAKE(command.sql),
                                          .path = IG_TAKE(command.path),
                                          .format = command.format};
  return IGLOO_OK;
}
