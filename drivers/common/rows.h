/*
 * rows.h -- walk rows that a caller bound or wants ingested.
 *
 *     for (bool more = true;;) {
 *       IG_TRY(igd_rows_next(&rows, &more, reterr));
 *       if (!more) break;
 *       ... igd_rows_cell(&rows, column) ...
 *     }
 *
 * The rows come from a stranger's stream: each batch is checked in full before a cell of
 * it is read.
 *
 * Owns:    the stream, its schema and the batch at hand.
 * Threads: one thread at a time.
 * Blocks:  as the stream.
 */
#ifndef IGD_COMMON_ROWS_H
#define IGD_COMMON_ROWS_H

#include <nanoarrow/nanoarrow.h>

#include "base/mem.h"
#include "base/str.h"
#include "common/error.h"

struct igd_rows_column {
  const char *name;                 /* "" where it has none */
  struct ArrowSchemaView type;      /* of the values; of a dictionary's values */
  const struct ArrowSchema *schema; /* the field, or the dictionary's values */
  bool dictionary;
};

struct igd_rows {
  struct ArrowArrayStream stream;
  struct ArrowSchema schema;
  struct igd_rows_column *columns;
  int64_t columns_count;
  struct ArrowArray batch;
  struct ArrowArrayView view;
  int64_t at;    /* the row in the batch; -1 before the first */
  int64_t count; /* rows passed so far, the one at hand included */
};

/* One value: row `index` of `view`. */
struct igd_cell {
  const struct ArrowArrayView *view;
  const struct ArrowSchemaView *type;
  int64_t index;
};

/* Take the stream (also on failure) and read its schema: a struct. `rows` may hold
 * anything before; igd_rows_done() also after a failure. */
IG_NODISCARD igloo_status igd_rows_open(struct ArrowArrayStream *stream,
                                        struct igd_rows *rows, struct igd_error *reterr);
void igd_rows_done(struct igd_rows *rows);

/* Move to the next row, or batch with at least one row. *ret_more is false at the end. */
IG_NODISCARD igloo_status igd_rows_next(struct igd_rows *rows, bool *ret_more,
                                        struct igd_error *reterr);
IG_NODISCARD igloo_status igd_rows_next_batch(struct igd_rows *rows, bool *ret_more,
                                              struct igd_error *reterr);

/* The value of a column in the row at hand, or in row `row` of the batch at hand; of a
 * dictionary the value meant. */
struct igd_cell igd_rows_cell(const struct igd_rows *rows, int64_t column);
struct igd_cell igd_rows_cell_at(const struct igd_rows *rows, int64_t column,
                                 int64_t row);

bool igd_cell_is_null(struct igd_cell cell);
/* Of utf8, binary and their large and view forms and fixed_size_binary. Borrowed. */
struct ig_str igd_cell_bytes(struct igd_cell cell);

/* Append the value as text, as PostgreSQL writes it ("2020-01-31 12:00:00+00", "1.50",
 * bytes as \x00ff). Returns UNSUPPORTED 0A000 for nested types, naming the type. */
struct ig_buf;
IG_NODISCARD igloo_status igd_cell_text(struct igd_cell cell, struct ig_buf *ret_text,
                                        struct igd_error *reterr);

#endif
