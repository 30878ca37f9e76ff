/* writer.c -- see writer.h. */
#include "arrow/writer.h"

#include "arrow/numtext.h"

static const char *const format_names[] = {
    [IG_OUTPUT_BOX] = "box",     [IG_OUTPUT_CSV] = "csv",
    [IG_OUTPUT_TSV] = "tsv",     [IG_OUTPUT_JSON] = "json",
    [IG_OUTPUT_JSONL] = "jsonl", [IG_OUTPUT_MARKDOWN] = "markdown",
    [IG_OUTPUT_ARROW] = "arrow", [IG_OUTPUT_PARQUET] = "parquet",
    [IG_OUTPUT_QUIET] = "quiet",
};

bool ig_output_format_parse(struct ig_str name, enum ig_output_format *ret_format) {
  for (size_t i = 0; i < IG_ARRAY_LEN(format_names); i++) {
    if (!ig_str_eq_cstr_ci(name, format_names[i])) continue;
    *ret_format = (enum ig_output_format)i;
    return true;
  }
  return false;
}

const char *ig_output_format_name(enum ig_output_format format) {
  return (size_t)format < IG_ARRAY_LEN(format_names) ? format_names[format] : "expanded";
}

bool ig_output_format_of_file(struct ig_str path, enum ig_output_format *ret_format) {
  static const struct {
    struct ig_str ending;
    enum ig_output_format format;
  } endings[] = {
      {IG_STR(".csv"), IG_OUTPUT_CSV},      {IG_STR(".tsv"), IG_OUTPUT_TSV},
      {IG_STR(".json"), IG_OUTPUT_JSON},    {IG_STR(".jsonl"), IG_OUTPUT_JSONL},
      {IG_STR(".ndjson"), IG_OUTPUT_JSONL}, {IG_STR(".md"), IG_OUTPUT_MARKDOWN},
      {IG_STR(".arrow"), IG_OUTPUT_ARROW},  {IG_STR(".parquet"), IG_OUTPUT_PARQUET},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(endings); i++) {
    if (!ig_str_ends_ci(path, endings[i].ending)) continue;
    *ret_format = endings[i].format;
    return true;
  }
  return false;
}

void ig_text_grouped(struct ig_buf *dst, int64_t count) {
  IG_AUTO_DONE(ig_buf) digits = IG_BUF_INIT(32);
  ig_text_i64(&digits, count);
  ig_buf_fail_with(dst, &digits);
  for (size_t i = 0; i < digits.len; i++) {
    size_t left = digits.len - i;
    if (i > 0 && left % 3 == 0 && digits.data[i - 1] != '-') ig_buf_append_char(dst, ',');
    ig_buf_append_char(dst, digits.data[i]);
  }
}

/* Controls, what changes the direction of writing, and what is no character (-1). */
static bool steers(int32_t code_point) {
  return code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0) ||
         (code_point >= 0x202A && code_point <= 0x202E) ||
         (code_point >= 0x2066 && code_point <= 0x2069);
}

/* Append one character in a form that is safe to show; returns its columns. */
static size_t append_printable(struct ig_buf *dst, struct ig_str text, size_t *at) {
  size_t start = *at;
  int32_t code_point = ig_utf8_decode(text, at);
  if (code_point < 0) {
    ig_buf_append_cstr(dst, "\xEF\xBF\xBD");
    return 1;
  }
  size_t before = dst->len;
  switch (code_point) {
    case '\n':
      ig_buf_append_cstr(dst, "\\n");
      return 2;
    case '\r':
      ig_buf_append_cstr(dst, "\\r");
      return 2;
    case '\t':
      ig_buf_append_cstr(dst, "\\t");
      return 2;
    default:
      break;
  }
  if (steers(code_point)) {
    ig_buf_append_fmt(dst, "\\%c%0*x", code_point < 0x80 ? 'x' : 'u',
                      code_point < 0x80 ? 2 : 4, (unsigned)code_point);
    return dst->len - before;
  }
  ig_buf_append(dst, text.data + start, *at - start);
  return (size_t)ig_utf8_char_width((uint32_t)code_point);
}

void ig_text_printable(struct ig_buf *dst, struct ig_str text, size_t columns_max) {
  size_t width = 0,
         fits_len = dst->len; /* what would still leave room for the ellipsis */
  for (size_t at = 0; at < text.len;) {
    width += append_printable(dst, text, &at);
    if (columns_max > 0 && width > columns_max) {
      ig_buf_truncate(dst, fits_len);
      ig_buf_append_cstr(dst, "…");
      return;
    }
    if (width < columns_max) fits_len = dst->len;
  }
}

bool ig_text_is_printable(struct ig_str text) {
  for (size_t at = 0; at < text.len;)
    if (steers(ig_utf8_decode(text, &at))) return false;
  return true;
}

/* ---- formats of few lines ---------------------------------------------------------- */

static igloo_status drain(struct ig_batches *result, int64_t *ret_rows,
                          struct igloo_error *reterr) {
  for (bool more = true; more; *ret_rows += result->batch_rows)
    IG_TRY(ig_batches_next(result, &more, reterr));
  return IGLOO_OK;
}

static void append_record(struct ig_batches *result, int64_t row, int64_t number,
                          size_t name_width, struct ig_buf *dst, struct ig_buf *cell) {
  ig_buf_append_fmt(dst, "─[ row %lld ]", (long long)number);
  for (size_t i = 0; i < name_width; i++) ig_buf_append_cstr(dst, "─");
  ig_buf_append_char(dst, '\n');
  for (size_t i = 0; i < result->columns_count; i++) {
    const struct ig_batches_column *column = &result->columns[i];
    ig_text_printable(dst, column->name, 0);
    ig_buf_clear(cell);
    ig_text_printable(cell, column->name, 0);
    ig_buf_fail_with(dst, cell);
    ig_buf_append_repeat(dst, ' ', name_width - ig_utf8_width(ig_buf_str(cell)));
    ig_buf_append_cstr(dst, " │ ");
    ig_buf_clear(cell);
    ig_value_text(column->printer, row, cell);
    if (ig_value_is_null(column->printer, row)) ig_buf_append_cstr(cell, "NULL");
    ig_buf_fail_with(dst, cell);
    ig_text_printable(dst, ig_buf_str(cell), 0);
    ig_buf_append_char(dst, '\n');
  }
}

static igloo_status write_expanded(struct ig_batches *result, struct ig_out *out,
                                   int64_t *ret_rows, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) cell = IG_BUF_INIT(out->text.max);
  size_t name_width = 0;
  for (size_t i = 0; i < result->columns_count; i++) {
    ig_buf_clear(&cell);
    ig_text_printable(&cell, result->columns[i].name, 0);
    ig_buf_fail_with(&out->text, &cell);
    size_t width = ig_utf8_width(ig_buf_str(&cell));
    if (width > name_width) name_width = width;
  }
  for (bool more = true; more;) {
    IG_TRY(ig_batches_next(result, &more, reterr));
    for (int64_t i = 0; i < result->batch_rows; i++) {
      append_record(result, result->batch_first + i, ++*ret_rows, name_width, &out->text,
                    &cell);
      IG_TRY(ig_out_relieve(out, reterr));
    }
  }
  ig_buf_append_char(&out->text, '(');
  ig_text_grouped(&out->text, *ret_rows);
  ig_buf_append_fmt(&out->text, " row%s)\n", *ret_rows == 1 ? "" : "s");
  return IGLOO_OK;
}

/* Values under each other, a tab between those of a row; line breaks stay. */
static igloo_status write_plain(struct ig_batches *result, struct ig_out *out,
                                int64_t *ret_rows, struct igloo_error *reterr) {
  for (bool more = true; more; *ret_rows += result->batch_rows) {
    IG_TRY(ig_batches_next(result, &more, reterr));
    for (int64_t i = 0; i < result->batch_rows; i++) {
      for (size_t c = 0; c < result->columns_count; c++) {
        if (c > 0) ig_buf_append_char(&out->text, '\t');
        ig_value_text(result->columns[c].printer, result->batch_first + i, &out->text);
      }
      if (out->text.len > 0 && out->text.data[out->text.len - 1] != '\n')
        ig_buf_append_char(&out->text, '\n');
      IG_TRY(ig_out_relieve(out, reterr));
    }
  }
  return IGLOO_OK;
}

static igloo_status write_text(struct ig_batches *result, enum ig_output_format format,
                               const struct ig_box_limits *limits, struct ig_out *out,
                               int64_t *ret_rows, struct igloo_error *reterr) {
  switch (format) {
    case IG_OUTPUT_CSV:
    case IG_OUTPUT_TSV:
    case IG_OUTPUT_MARKDOWN:
      return ig_write_delimited(result, format, out, ret_rows, reterr);
    case IG_OUTPUT_JSON:
      return ig_write_json(result, false, out, ret_rows, reterr);
    case IG_OUTPUT_JSONL:
      return ig_write_json(result, true, out, ret_rows, reterr);
    case IG_OUTPUT_EXPANDED:
      return write_expanded(result, out, ret_rows, reterr);
    case IG_OUTPUT_PLAIN:
      return write_plain(result, out, ret_rows, reterr);
    case IG_OUTPUT_QUIET:
      return drain(result, ret_rows, reterr);
    case IG_OUTPUT_BOX:
    case IG_OUTPUT_ARROW:
    case IG_OUTPUT_PARQUET:
      break;
  }
  IG_ASSERT(format == IG_OUTPUT_BOX);
  return ig_write_box(result, limits, out, ret_rows, reterr);
}

igloo_status ig_write_result(struct ig_batches *result, enum ig_output_format format,
                             const struct ig_box_limits *limits, struct ig_out *out,
                             int64_t *ret_rows, struct igloo_error *reterr) {
  int64_t rows = 0;
  IG_TRY(write_text(result, format, limits, out, &rows, reterr));
  IG_TRY(ig_out_flush(out, reterr));
  *ret_rows = rows;
  return IGLOO_OK;
}
