/* writer_box.c -- the table for the terminal; see writer.h.
 *
 * Cells are made printable and cut once, when they are kept. A kept row is one text:
 * its cells, each ended by NUL, NULL written as the one control character that a
 * printable cell cannot hold. */
#include <errno.h>

#include "arrow/schema.h"
#include "arrow/writer.h"
#include "base/limits.h"

#define NULL_CELL "\x01"
#define NULL_TEXT "NULL"
#define WIDTH_MIN                                                       \
  ((size_t)22) /* cut down to this, a timestamp, before one is left out \
                */
#define TYPE_WIDTH_MAX ((size_t)16) /* a type's name alone widens its column this far */
#define BORDER_WIDTH ((size_t)3)    /* of one column: " │ " */
#define ELLIPSIS "…"

struct box_column {
  size_t width;      /* of its widest cell; then as shown */
  size_t natural;    /* before it was cut */
  char *name, *type; /* owned, printable, cut */
  bool number;
  bool hidden;
};

struct box {
  struct ig_batches *result;
  struct ig_box_limits limits;
  struct box_column *columns;
  char **head, **tail; /* owned rows; tail is a ring */
  size_t head_max, tail_max;
  size_t head_count;
  int64_t rows; /* of the whole result */
  FILE *spool;  /* instead of both, where all rows are wanted */
  struct ig_buf line, cell;
};

static void box_done(struct box *box) {
  for (size_t i = 0; box->columns && i < box->result->columns_count; i++) {
    ig_free(box->columns[i].name);
    ig_free(box->columns[i].type);
  }
  ig_free(box->columns);
  for (size_t i = 0; box->head && i < box->head_max; i++) ig_free(box->head[i]);
  for (size_t i = 0; box->tail && i < box->tail_max; i++) ig_free(box->tail[i]);
  ig_free(box->head);
  ig_free(box->tail);
  if (box->spool) (void)fclose(box->spool);
  ig_buf_done(&box->line);
  ig_buf_done(&box->cell);
}

static size_t max_size(size_t a, size_t b) {
  return a > b ? a : b;
}
static size_t min_size(size_t a, size_t b) {
  return a < b ? a : b;
}

static igloo_status column_init(struct box *box, size_t i, struct igloo_error *reterr) {
  struct box_column *column = &box->columns[i];
  ig_text_printable(&box->cell, box->result->columns[i].name, box->limits.columns_max);
  IG_TRY(ig_buf_steal(&box->cell, &column->name, reterr));
  column->number = box->result->columns[i].number;
  column->width = ig_utf8_width(ig_str_from_cstr(column->name));
  if (box->limits.bare) return IGLOO_OK;
  IG_AUTO_CHAR *type = NULL;
  IG_TRY(ig_arrow_type_name_dup(box->result->schema.children[i], &type, reterr));
  ig_text_printable(&box->cell, ig_str_from_cstr(type), box->limits.columns_max);
  IG_TRY(ig_buf_steal(&box->cell, &column->type, reterr));
  size_t type_width = ig_utf8_width(ig_str_from_cstr(column->type));
  size_t type_width_max = box->limits.columns_max == 0 ? type_width : TYPE_WIDTH_MAX;
  column->width = max_size(column->width, min_size(type_width, type_width_max));
  return IGLOO_OK;
}

static igloo_status box_init(struct box *box, struct igloo_error *reterr) {
  box->columns = ig_calloc(box->result->columns_count, sizeof(*box->columns));
  if (!box->columns) return ig_fail_oom(reterr);
  for (size_t i = 0; i < box->result->columns_count; i++)
    IG_TRY(column_init(box, i, reterr));
  if (box->limits.rows_max == 0) {
    box->spool = tmpfile();
    if (!box->spool)
      return ig_fail_errno(reterr, errno, "could not make a temporary file");
    return IGLOO_OK;
  }
  box->head_max = (box->limits.rows_max + 1) / 2;
  box->tail_max = box->limits.rows_max - box->head_max;
  box->head = ig_calloc(box->head_max, sizeof(*box->head));
  box->tail = ig_calloc(box->tail_max + 1, sizeof(*box->tail));
  return box->head && box->tail ? IGLOO_OK : ig_fail_oom(reterr);
}

/* ---- keeping rows ------------------------------------------------------------------ */

/* Put the row's cells into box->line and widen the columns. */
static igloo_status take_row(struct box *box, int64_t row, struct igloo_error *reterr) {
  ig_buf_clear(&box->line);
  for (size_t i = 0; i < box->result->columns_count; i++) {
    const ig_value_printer *printer = box->result->columns[i].printer;
    size_t start = box->line.len;
    if (ig_value_is_null(printer, row)) {
      ig_buf_append_cstr(&box->line, NULL_CELL);
      box->columns[i].width = max_size(box->columns[i].width, sizeof(NULL_TEXT) - 1);
    } else {
      ig_buf_clear(&box->cell);
      ig_value_text(printer, row, &box->cell);
      ig_buf_fail_with(&box->line, &box->cell); /* the next one clears it */
      ig_text_printable(&box->line, ig_buf_str(&box->cell), box->limits.columns_max);
      struct ig_str shown = ig_str_sub(ig_buf_str(&box->line), start, SIZE_MAX);
      box->columns[i].width = max_size(box->columns[i].width, ig_utf8_width(shown));
    }
    ig_buf_append_char(&box->line, '\0');
  }
  return ig_buf_check(&box->line, reterr);
}

static igloo_status spool_row(struct box *box, struct igloo_error *reterr) {
  size_t len = box->line.len;
  bool ok = fwrite(&len, sizeof(len), 1, box->spool) == 1 &&
            fwrite(box->line.data, 1, len, box->spool) == len;
  return ok ? IGLOO_OK : ig_fail_errno(reterr, errno, "could not write a temporary file");
}

static igloo_status keep_row(struct box *box, int64_t row, struct igloo_error *reterr) {
  IG_TRY(take_row(box, row, reterr));
  if (box->spool) return spool_row(box, reterr);
  char **place =
      box->head_count < box->head_max
          ? &box->head[box->head_count++]
          : &box->tail[(size_t)(box->rows - (int64_t)box->head_max) % box->tail_max];
  ig_free(*place);
  *place = ig_malloc(box->line.len);
  if (!*place) return ig_fail_oom(reterr);
  memcpy(*place, box->line.data, box->line.len);
  return IGLOO_OK;
}

/* Of each batch only rows that can still be among the first or the last are looked at. */
static igloo_status keep_batch(struct box *box, struct igloo_error *reterr) {
  int64_t count = box->result->batch_rows;
  for (int64_t i = 0; i < count; i++, box->rows++) {
    bool wanted = box->spool || box->head_count < box->head_max ||
                  count - i <= (int64_t)box->tail_max;
    if (wanted) IG_TRY(keep_row(box, box->result->batch_first + i, reterr));
  }
  return IGLOO_OK;
}

/* ---- fitting the columns ----------------------------------------------------------- */

static size_t total_width(const struct box *box, size_t cap) {
  size_t total = 1;
  for (size_t i = 0; i < box->result->columns_count; i++)
    total += min_size(box->columns[i].width, cap) + BORDER_WIDTH;
  return total;
}

static void cap_widths(struct box *box, size_t cap) {
  for (size_t i = 0; i < box->result->columns_count; i++) {
    box->columns[i].natural = box->columns[i].width;
    box->columns[i].width = min_size(box->columns[i].width, cap);
  }
}

/* Give what is left of the line to columns that were cut. */
static void grow_shown(struct box *box, size_t left) {
  for (size_t i = 0; i < box->result->columns_count; i++) {
    struct box_column *column = &box->columns[i];
    if (column->hidden) continue;
    size_t more = min_size(column->natural - column->width, left);
    column->width += more;
    left -= more;
  }
}

/* Show columns from the outside in while they fit beside the column of ellipses. */
static void hide_middle(struct box *box) {
  size_t count = box->result->columns_count, low = 0, high = count;
  size_t left =
      box->limits.columns_max - min_size(box->limits.columns_max, 1 + 1 + BORDER_WIDTH);
  for (bool from_left = true; low < high; from_left = !from_left) {
    size_t i = from_left ? low : high - 1;
    size_t need = box->columns[i].width + BORDER_WIDTH;
    if (i == 0 && need > left) {
      box->columns[0].width = left > BORDER_WIDTH ? left - BORDER_WIDTH : 1;
      need = left;
    }
    if (need > left) break;
    left -= need;
    if (from_left) {
      low++;
    } else {
      high--;
    }
  }
  for (size_t i = low; i < high; i++) box->columns[i].hidden = true;
  grow_shown(box, left);
}

/* Returns the number of columns shown. */
static size_t fit_columns(struct box *box) {
  size_t count = box->result->columns_count, width = box->limits.columns_max;
  if (width == 0 || total_width(box, SIZE_MAX / 2) <= width) return count;
  size_t cap = width, cap_min = count == 1 ? 1 : WIDTH_MIN;
  while (cap > cap_min && total_width(box, cap) > width) cap--;
  cap_widths(box, cap);
  if (total_width(box, cap) <= width) return count;
  hide_middle(box);
  size_t shown = 0;
  for (size_t i = 0; i < count; i++) shown += box->columns[i].hidden ? 0 : 1;
  return shown;
}

/* ---- drawing ----------------------------------------------------------------------- */

/* Call draw for each shown column, and once with NULL where some are left out. */
typedef void (*draw_column)(struct box *box, const struct box_column *column,
                            size_t index, struct ig_buf *dst, const void *ctx);

static void draw_line(struct box *box, const char *const borders[3], draw_column draw,
                      struct ig_buf *dst, const void *ctx) {
  ig_buf_append_cstr(dst, borders[0]);
  bool first = true;
  for (size_t i = 0; i < box->result->columns_count; i++) {
    const struct box_column *column = &box->columns[i];
    if (column->hidden && i > 0 && box->columns[i - 1].hidden) continue;
    if (!first) ig_buf_append_cstr(dst, borders[1]);
    first = false;
    draw(box, column->hidden ? NULL : column, i, dst, ctx);
  }
  ig_buf_append_cstr(dst, borders[2]);
  ig_buf_append_char(dst, '\n');
}

static void draw_rule(struct box *box, const struct box_column *column, size_t index,
                      struct ig_buf *dst, const void *ctx) {
  (void)box, (void)index, (void)ctx;
  size_t width = (column ? column->width : 1) + 2;
  for (size_t i = 0; i < width; i++) ig_buf_append_cstr(dst, "─");
}

static void draw_padded(struct ig_buf *dst, struct ig_str text,
                        const struct box_column *column, bool dim) {
  IG_AUTO_DONE(ig_buf) cut = IG_BUF_INIT(IG_GIB);
  if (ig_utf8_width(text) > column->width) {
    ig_buf_append_str(&cut,
                      ig_str_sub(text, 0, ig_utf8_cut_width(text, column->width - 1)));
    ig_buf_append_cstr(&cut, ELLIPSIS);
    ig_buf_fail_with(dst, &cut);
    text = ig_buf_str(&cut);
  }
  size_t width = min_size(ig_utf8_width(text), column->width);
  ig_buf_append_char(dst, ' ');
  if (column->number) ig_buf_append_repeat(dst, ' ', column->width - width);
  if (dim) ig_buf_append_cstr(dst, "\x1b[2m");
  ig_buf_append_str(dst, text);
  if (dim) ig_buf_append_cstr(dst, "\x1b[0m");
  if (!column->number) ig_buf_append_repeat(dst, ' ', column->width - width);
  ig_buf_append_char(dst, ' ');
}

static void draw_name(struct box *box, const struct box_column *column, size_t index,
                      struct ig_buf *dst, const void *ctx) {
  (void)box, (void)index, (void)ctx;
  if (column) {
    draw_padded(dst, ig_str_from_cstr(column->name), column, false);
  } else {
    ig_buf_append_cstr(dst, " " ELLIPSIS " ");
  }
}

static void draw_type(struct box *box, const struct box_column *column, size_t index,
                      struct ig_buf *dst, const void *ctx) {
  (void)index, (void)ctx;
  if (column) {
    draw_padded(dst, ig_str_from_cstr(column->type), column, box->limits.color);
  } else {
    ig_buf_append_cstr(dst, " " ELLIPSIS " ");
  }
}

static void draw_cell(struct box *box, const struct box_column *column, size_t index,
                      struct ig_buf *dst, const void *ctx) {
  if (!column) {
    ig_buf_append_cstr(dst, " " ELLIPSIS " ");
    return;
  }
  const char *cell = ctx;
  for (size_t i = 0; i < index; i++) cell += strlen(cell) + 1;
  bool null = strcmp(cell, NULL_CELL) == 0;
  draw_padded(dst, null ? IG_STR(NULL_TEXT) : ig_str_from_cstr(cell), column,
              null && box->limits.color);
}

static void draw_omission(struct box *box, const struct box_column *column, size_t index,
                          struct ig_buf *dst, const void *ctx) {
  (void)box, (void)index, (void)ctx;
  if (column) {
    draw_padded(dst, IG_STR("·"), column, false);
  } else {
    ig_buf_append_cstr(dst, " · ");
  }
}

static const char *const inner[3] = {"│", "│", "│"};

static igloo_status draw_spooled(struct box *box, struct ig_out *out,
                                 struct igloo_error *reterr) {
  rewind(box->spool);
  size_t len = 0;
  while (fread(&len, sizeof(len), 1, box->spool) == 1) {
    IG_AUTO_CHAR *row = ig_malloc(len);
    if (!row) return ig_fail_oom(reterr);
    if (fread(row, 1, len, box->spool) != len)
      return ig_fail_errno(reterr, errno, "could not read a temporary file");
    draw_line(box, inner, draw_cell, &out->text, row);
    IG_TRY(ig_out_relieve(out, reterr));
  }
  return IGLOO_OK;
}

/* Returns the number of rows drawn. */
static int64_t draw_kept(struct box *box, struct ig_buf *dst) {
  for (size_t i = 0; i < box->head_count; i++)
    draw_line(box, inner, draw_cell, dst, box->head[i]);
  int64_t rest = box->rows - (int64_t)box->head_count;
  if (rest > (int64_t)box->tail_max) {
    draw_line(box, inner, draw_omission, dst, NULL);
    rest = (int64_t)box->tail_max;
  }
  for (int64_t i = rest; i > 0; i--) {
    int64_t number =
        box->rows - (int64_t)box->head_max - i; /* within the rows after head */
    draw_line(box, inner, draw_cell, dst, box->tail[(size_t)number % box->tail_max]);
  }
  return (int64_t)box->head_count + rest;
}

static void draw_footer(const struct box *box, int64_t rows_shown, size_t columns_shown,
                        struct ig_buf *dst) {
  size_t columns = box->result->columns_count;
  bool cut_rows = rows_shown < box->rows, cut_columns = columns_shown < columns;
  ig_buf_append_char(dst, '(');
  ig_text_grouped(dst, box->rows);
  ig_buf_append_cstr(dst, box->rows == 1 ? " row" : " rows");
  if (cut_columns) ig_buf_append_fmt(dst, ", %zu columns", columns);
  if (cut_rows) {
    ig_buf_append_cstr(dst, "; ");
    ig_text_grouped(dst, rows_shown);
    ig_buf_append_cstr(dst, cut_columns ? " rows" : " shown");
  }
  if (cut_columns)
    ig_buf_append_fmt(dst, "%s%zu column%s shown", cut_rows ? " and " : "; ",
                      columns_shown, columns_shown == 1 ? "" : "s");
  ig_buf_append_cstr(dst, ")\n");
}

static igloo_status draw(struct box *box, struct ig_out *out,
                         struct igloo_error *reterr) {
  static const char *const top[3] = {"┌", "┬", "┐"};
  static const char *const middle[3] = {"├", "┼", "┤"};
  static const char *const bottom[3] = {"└", "┴", "┘"};
  size_t columns_shown = fit_columns(box);
  draw_line(box, top, draw_rule, &out->text, NULL);
  draw_line(box, inner, draw_name, &out->text, NULL);
  if (!box->limits.bare) draw_line(box, inner, draw_type, &out->text, NULL);
  draw_line(box, middle, draw_rule, &out->text, NULL);
  int64_t rows_shown = box->rows;
  if (box->spool) {
    IG_TRY(draw_spooled(box, out, reterr));
  } else {
    rows_shown = draw_kept(box, &out->text);
  }
  draw_line(box, bottom, draw_rule, &out->text, NULL);
  if (!box->limits.bare) draw_footer(box, rows_shown, columns_shown, &out->text);
  return IGLOO_OK;
}

igloo_status ig_write_box(struct ig_batches *result, const struct ig_box_limits *limits,
                          struct ig_out *out, int64_t *ret_rows,
                          struct igloo_error *reterr) {
  struct box box __attribute__((cleanup(box_done))) = {
      .result = result,
      .limits = *limits,
      .line = IG_BUF_INIT(out->text.max),
      .cell = IG_BUF_INIT(out->text.max),
  };
  IG_TRY(box_init(&box, reterr));
  for (bool more = true; more;) {
    IG_TRY(ig_batches_next(result, &more, reterr));
    IG_TRY(keep_batch(&box, reterr));
  }
  *ret_rows = box.rows;
  return draw(&box, out, reterr);
}
