/* report.c -- see report.h. */
#include "shell/report.h"

#include <unistd.h>

#include "arrow/out.h"
#include "arrow/writer.h"
#include "base/limits.h"
#include "shell/terminal.h"

#define EXIT_USAGE 2

/* Line `number` (from 1) of a text, without its end. */
static struct ig_str line_of(struct ig_str text, int32_t number) {
  struct ig_str line = {0}, rest = text;
  for (; number > 0; number--) (void)ig_str_split(rest, '\n', &line, &rest);
  if (line.len > 0 && line.data[line.len - 1] == '\r') line.len--;
  return line;
}

/* Byte offset of character `count` (from 0), or the end. */
static size_t offset_of(struct ig_str line, int32_t count) {
  size_t at = 0;
  while (count-- > 0 && at < line.len) (void)ig_utf8_decode(line, &at);
  return at;
}

/* A control becomes a blank: a tab would move the caret. */
static void append_blanked(struct ig_buf *dst, struct ig_str text) {
  for (size_t at = 0; at < text.len;) {
    size_t start = at;
    (void)ig_utf8_decode(text, &at);
    struct ig_str one = ig_str_sub(text, start, at - start);
    ig_buf_append_str(dst, ig_text_is_printable(one) ? one : IG_STR(" "));
  }
}

/* The longest end of a text that takes at most `columns` columns. */
static struct ig_str end_of_width(struct ig_str text, size_t columns) {
  size_t width = ig_utf8_width(text), at = 0;
  while (width > columns) {
    size_t start = at;
    (void)ig_utf8_decode(text, &at);
    width -= ig_utf8_width(ig_str_sub(text, start, at - start));
  }
  return ig_str_sub(text, at, SIZE_MAX);
}

static void append_caret(const struct igloo_error *error, struct ig_str sql,
                         int32_t first_line, size_t columns_max, struct ig_buf *dst) {
  IG_AUTO_DONE(ig_buf) blanked = IG_BUF_INIT(IG_SQL_BYTES_LIMIT);
  append_blanked(&blanked, line_of(sql, error->line));
  ig_buf_fail_with(dst, &blanked);
  struct ig_str line = ig_buf_str(&blanked);
  size_t caret = offset_of(line, error->column - 1);
  size_t start = dst->len;
  ig_buf_append_fmt(dst, "LINE %d: ", first_line + error->line - 1);
  size_t indent = dst->len - start;

  /* Of a long line the part around the caret is shown. */
  size_t room = columns_max > indent + 20 ? columns_max - indent - 8 : 20;
  struct ig_str before = ig_str_sub(line, 0, caret);
  struct ig_str after = ig_str_sub(line, caret, SIZE_MAX);
  bool cut_before = ig_utf8_width(line) > room && ig_utf8_width(before) > room / 2;
  if (cut_before) {
    before = end_of_width(before, room / 2);
    ig_buf_append_cstr(dst, "...");
    indent += 3;
  }
  indent += ig_utf8_width(before);
  size_t fits = ig_utf8_cut_width(after, room - ig_utf8_width(before));
  ig_buf_append_str(dst, before);
  ig_buf_append_str(dst, ig_str_sub(after, 0, fits));
  if (fits < after.len) ig_buf_append_cstr(dst, "...");
  ig_buf_append_char(dst, '\n');
  ig_buf_append_repeat(dst, ' ', indent);
  ig_buf_append_cstr(dst, "^\n");
}

/* Messages may quote data: nothing in them reaches the terminal unescaped. */
static void append_field(struct ig_buf *dst, const char *label, const char *text) {
  struct ig_str line = {0}, rest = ig_str_from_cstr(text);
  ig_buf_append_cstr(dst, label);
  for (bool more = true, first = true; more; first = false) {
    more = ig_str_split(rest, '\n', &line, &rest);
    if (!first) ig_buf_append_cstr(dst, "  ");
    ig_text_printable(dst, line, 0);
    ig_buf_append_char(dst, '\n');
  }
}

void ig_report_text(const struct igloo_error *error, struct ig_str sql,
                    int32_t first_line, size_t columns_max, struct ig_buf *dst) {
  if (error->line > 0 && error->column > 0 && sql.len > 0)
    append_caret(error, sql, first_line, columns_max, dst);
  append_field(dst, "error: ", error->message);
  if (error->detail[0]) append_field(dst, "detail: ", error->detail);
  if (error->hint[0]) append_field(dst, "hint: ", error->hint);
  append_field(dst, "sqlstate: ", error->sqlstate);
}

/* Where even stderr fails there is nobody left to tell. */
static igloo_status print(struct ig_out *out) {
  igloo_status status = ig_out_flush(out, NULL);
  ig_out_done(out);
  return status;
}

void ig_report(const struct igloo_error *error, struct ig_str sql, int32_t first_line) {
  struct ig_out out;
  ig_out_init(&out, STDERR_FILENO);
  ig_report_text(error, sql, first_line, ig_terminal_columns(STDERR_FILENO), &out.text);
  if (print(&out) != IGLOO_OUT_OF_MEMORY) return;
  static const char text[] = "error: out of memory while an error was reported\n";
  ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
  (void)ignored;
}

int ig_report_failure(const struct igloo_error *error) {
  ig_report(error, IG_STR(""), 1);
  return ig_status_exit_code(error->status);
}

int ig_report_usage(const struct igloo_error *error) {
  ig_report(error, IG_STR(""), 1);
  return EXIT_USAGE;
}

void ig_report_note(const char *fmt, ...) {
  struct ig_out out;
  ig_out_init(&out, STDERR_FILENO);
  va_list args;
  va_start(args, fmt);
  ig_buf_append_va(&out.text, fmt, args);
  va_end(args);
  igloo_status ignored = print(&out);
  (void)ignored;
}
