/* ini.c -- see ini.h. One line at a time, no state but the section. */
#include "config/ini.h"

#include "base/buf.h"

struct parser {
  const char *file_name; /* may be NULL */
  int32_t line;
  struct ig_buf section;
  struct ig_buf value; /* of the line at hand */
  igloo_status (*each)(void *, const struct ig_ini_entry *, struct igloo_error *);
  void *ctx;
};

/* Put "FILE:LINE: " before the message and the line into the error. */
static igloo_status at_line(const struct parser *parser, igloo_status status,
                            struct igloo_error *reterr) {
  ig_error_position(reterr, parser->line, 1);
  if (parser->file_name)
    ig_error_prefix(reterr, "%s:%d", parser->file_name, (int)parser->line);
  return status;
}

#define FAIL(parser, reterr, ...) \
  at_line(parser, ig_fail(reterr, IGLOO_INVALID_ARGUMENT, __VA_ARGS__), reterr)

/* Letters, digits, `_`, `-` and `.`, which names of catalogs and options have. */
static bool is_name(struct ig_str name) {
  if (name.len == 0 || name.len > IG_INI_NAME_BYTES_MAX) return false;
  for (size_t i = 0; i < name.len; i++) {
    char c = name.data[i];
    if (!ig_ascii_is_alpha(c) && !ig_ascii_is_digit(c) && c != '_' && c != '-' &&
        c != '.')
      return false;
  }
  return true;
}

static igloo_status read_section(struct parser *parser, struct ig_str line,
                                 struct igloo_error *reterr) {
  struct ig_str name = ig_str_trim(ig_str_sub(line, 1, line.len - 2));
  if (line.len < 2 || line.data[line.len - 1] != ']' || !is_name(name))
    return FAIL(parser, reterr, "\"%.*s\" is not a section like [engine]",
                IG_STR_ARG(line));
  ig_buf_clear(&parser->section);
  ig_buf_append_str(&parser->section, name);
  return ig_buf_check(&parser->section, reterr);
}

/* `text` starts with a quote: unescape up to the quote that ends it, the end of the line.
 */
static igloo_status read_quoted(struct parser *parser, struct ig_str text,
                                struct igloo_error *reterr) {
  size_t i = 1;
  for (; i < text.len && text.data[i] != '"'; i++) {
    char c = text.data[i];
    if (c == '\\') {
      char escape = ++i < text.len ? text.data[i] : '\0';
      if (!memchr("\"\\nt", escape, 4))
        return FAIL(parser, reterr, "a backslash in quotes may stand before %s only",
                    "\", \\, n and t");
      c = escape == 'n' ? '\n' : escape == 't' ? '\t' : escape;
    }
    ig_buf_append_char(&parser->value, c);
  }
  if (i >= text.len) return FAIL(parser, reterr, "the quoted value does not end");
  if (i + 1 != text.len) return FAIL(parser, reterr, "text follows the quoted value");
  return IGLOO_OK;
}

static igloo_status read_plain(struct parser *parser, struct ig_str text,
                               struct igloo_error *reterr) {
  for (size_t i = 1; i < text.len; i++)
    if ((text.data[i] == '#' || text.data[i] == ';') &&
        ig_ascii_is_space(text.data[i - 1])) {
      igloo_status status = FAIL(parser, reterr, "the value holds a comment sign");
      ig_error_hint(reterr,
                    "Put the value in quotes, or the comment on a line of its own.");
      return status;
    }
  ig_buf_append_str(&parser->value, text);
  return IGLOO_OK;
}

static igloo_status read_entry(struct parser *parser, struct ig_str line,
                               struct igloo_error *reterr) {
  struct ig_str key, text;
  if (!ig_str_split(line, '=', &key, &text))
    return FAIL(parser, reterr, "\"%.*s\" is neither a section nor key = value",
                IG_STR_ARG(line));
  key = ig_str_trim(key);
  text = ig_str_trim(text);
  if (!is_name(key))
    return FAIL(parser, reterr, "\"%.*s\" is not the name of a key", IG_STR_ARG(key));
  if (parser->section.len == 0)
    return FAIL(parser, reterr, "\"%.*s\" stands before the first section",
                IG_STR_ARG(key));

  ig_buf_clear(&parser->value);
  if (text.len > 0 && text.data[0] == '"')
    IG_TRY(read_quoted(parser, text, reterr));
  else
    IG_TRY(read_plain(parser, text, reterr));
  IG_TRY(ig_buf_check(&parser->value, reterr));
  struct ig_ini_entry entry = {.section = ig_buf_str(&parser->section),
                               .key = key,
                               .value = ig_buf_str(&parser->value),
                               .line = parser->line};
  igloo_status status = parser->each(parser->ctx, &entry, reterr);
  return status == IGLOO_OK ? IGLOO_OK : at_line(parser, status, reterr);
}

static igloo_status read_line(struct parser *parser, struct ig_str line,
                              struct igloo_error *reterr) {
  size_t bad;
  if (line.len > IG_INI_LINE_BYTES_MAX)
    return FAIL(parser, reterr, "the line is longer than %d bytes",
                IG_INI_LINE_BYTES_MAX);
  if (!ig_utf8_valid(line, &bad))
    return FAIL(parser, reterr, "byte %zu of the line is not valid UTF-8", bad + 1);
  if (line.len > 0 && memchr(line.data, '\0', line.len))
    return FAIL(parser, reterr, "the line holds a NUL byte");
  line = ig_str_trim(line); /* a CR before the LF goes with it */
  if (line.len == 0 || line.data[0] == '#' || line.data[0] == ';') return IGLOO_OK;
  if (line.data[0] == '[') return read_section(parser, line, reterr);
  return read_entry(parser, line, reterr);
}

static igloo_status read_lines(struct parser *parser, struct ig_str text,
                               struct igloo_error *reterr) {
  struct ig_str line;
  bool more = true;
  if (text.len > IG_INI_BYTES_MAX)
    return FAIL(parser, reterr, "the file is longer than %d bytes", IG_INI_BYTES_MAX);
  if (ig_str_starts(text, IG_STR("\xef\xbb\xbf"))) text = ig_str_sub(text, 3, SIZE_MAX);
  while (more) {
    parser->line++;
    more = ig_str_split(text, '\n', &line, &text);
    IG_TRY(read_line(parser, line, reterr));
  }
  return IGLOO_OK;
}

igloo_status ig_ini_parse(struct ig_str text, const char *file_name,
                          igloo_status (*each)(void *ctx, const struct ig_ini_entry *,
                                               struct igloo_error *),
                          void *ctx, struct igloo_error *reterr) {
  struct parser parser = {.file_name = file_name,
                          .each = each,
                          .ctx = ctx,
                          .section = IG_BUF_INIT(IG_INI_NAME_BYTES_MAX),
                          .value = IG_BUF_INIT(IG_INI_LINE_BYTES_MAX)};
  igloo_status status = read_lines(&parser, text, reterr);
  ig_buf_done(&parser.section);
  ig_buf_done(&parser.value);
  return status;
}
