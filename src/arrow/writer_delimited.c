/* writer_delimited.c -- csv, tsv and markdown; see writer.h. */
#include "arrow/writer.h"

static void append_csv(struct ig_buf *dst, struct ig_str text) {
  bool quote = text.len == 0;
  for (size_t i = 0; i < text.len && !quote; i++) {
    char c = text.data[i];
    quote = c == ',' || c == '"' || c == '\n' || c == '\r';
  }
  if (!quote) {
    ig_buf_append_str(dst, text);
    return;
  }
  ig_buf_append_char(dst, '"');
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] == '"') ig_buf_append_char(dst, '"');
    ig_buf_append_char(dst, text.data[i]);
  }
  ig_buf_append_char(dst, '"');
}

static void append_tsv(struct ig_buf *dst, struct ig_str text) {
  for (size_t i = 0; i < text.len; i++) {
    switch (text.data[i]) {
      case '\t':
        ig_buf_append_cstr(dst, "\\t");
        break;
      case '\n':
        ig_buf_append_cstr(dst, "\\n");
        break;
      case '\r':
        ig_buf_append_cstr(dst, "\\r");
        break;
      case '\\':
        ig_buf_append_cstr(dst, "\\\\");
        break;
      default:
        ig_buf_append_char(dst, text.data[i]);
    }
  }
}

static void append_markdown(struct ig_buf *dst, struct ig_str text) {
  for (size_t i = 0; i < text.len; i++) {
    switch (text.data[i]) {
      case '|':
        ig_buf_append_cstr(dst, "\\|");
        break;
      case '\n':
        ig_buf_append_cstr(dst, "<br>");
        break;
      case '\r':
        break;
      default:
        ig_buf_append_char(dst, text.data[i]);
    }
  }
}

/* What stands where in a line of the format. */
struct shape {
  const char *before, *between, *after;
  const char *null;
  void (*append)(struct ig_buf *dst, struct ig_str text);
};

static const struct shape csv_shape = {"", ",", "\n", "", append_csv};
static const struct shape tsv_shape = {"", "\t", "\n", "\\N", append_tsv};
static const struct shape markdown_shape = {"| ", " | ", " |\n", "NULL", append_markdown};

static void append_header(const struct ig_batches *result, const struct shape *shape,
                          struct ig_buf *dst) {
  for (size_t i = 0; i < result->columns_count; i++) {
    ig_buf_append_cstr(dst, i == 0 ? shape->before : shape->between);
    shape->append(dst, result->columns[i].name);
  }
  ig_buf_append_cstr(dst, shape->after);
}

static void append_row(const struct ig_batches *result, const struct shape *shape,
                       int64_t row, struct ig_buf *dst, struct ig_buf *cell) {
  for (size_t i = 0; i < result->columns_count; i++) {
    const ig_value_printer *printer = result->columns[i].printer;
    ig_buf_append_cstr(dst, i == 0 ? shape->before : shape->between);
    if (ig_value_is_null(printer, row)) {
      ig_buf_append_cstr(dst, shape->null);
      continue;
    }
    ig_buf_clear(cell);
    ig_value_text(printer, row, cell);
    ig_buf_fail_with(dst, cell); /* the next one clears it */
    shape->append(dst, ig_buf_str(cell));
  }
  ig_buf_append_cstr(dst, shape->after);
}

igloo_status ig_write_delimited(struct ig_batches *result, enum ig_output_format format,
                                struct ig_out *out, int64_t *ret_rows,
                                struct igloo_error *reterr) {
  const struct shape *shape = format == IG_OUTPUT_CSV   ? &csv_shape
                              : format == IG_OUTPUT_TSV ? &tsv_shape
                                                        : &markdown_shape;
  append_header(result, shape, &out->text);
  if (format == IG_OUTPUT_MARKDOWN) {
    for (size_t i = 0; i < result->columns_count; i++)
      ig_buf_append_cstr(&out->text, result->columns[i].number ? "|---:" : "|---");
    ig_buf_append_cstr(&out->text, "|\n");
  }
  IG_AUTO_DONE(ig_buf) cell = IG_BUF_INIT(out->text.max);
  for (bool more = true; more; *ret_rows += result->batch_rows) {
    IG_TRY(ig_batches_next(result, &more, reterr));
    for (int64_t i = 0; i < result->batch_rows; i++) {
      append_row(result, shape, result->batch_first + i, &out->text, &cell);
      IG_TRY(ig_out_relieve(out, reterr));
    }
  }
  return IGLOO_OK;
}
