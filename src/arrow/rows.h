/*
 * rows.h -- build a small result table row by row.
 *
 * For SHOW, DESCRIBE, information_schema and system tables. Cells are given in
 * column order; a full row starts the next one. The first failure (no memory)
 * sticks and is told by ig_rows_finish(), so that callers read as a list.
 *
 * Owns:    the rows until ig_rows_finish() gives them away.
 * Threads: one thread at a time.
 * Blocks:  never.
 */
#ifndef IG_ARROW_ROWS_H
#define IG_ARROW_ROWS_H

#include <igloo/arrow.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

typedef struct ig_rows ig_rows;

enum ig_cell {
  IG_CELL_TEXT,      /* utf8 */
  IG_CELL_BINARY,    /* binary */
  IG_CELL_BOOL,      /* bool */
  IG_CELL_INT32,     /* int32 */
  IG_CELL_INT64,     /* int64 */
  IG_CELL_DOUBLE,    /* float64 */
  IG_CELL_TIMESTAMP, /* timestamp[us, UTC] */
};

struct ig_rows_column {
  const char *name; /* copied */
  enum ig_cell type;
  bool required; /* the field is not nullable: ig_rows_null() is a broken invariant */
};

/* Give a builder (free: ig_rows_free). OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_rows_new(const struct ig_rows_column *columns,
                                      size_t columns_count, ig_rows **ret_rows,
                                      struct igloo_error *reterr);
ig_rows *ig_rows_free(ig_rows *rows);
IG_DEFINE_AUTO(ig_rows, ig_rows_free)

/* The next cell. Giving it to a column of another type is a broken invariant; an i64 fits
 * INT32 (in its range), INT64 and TIMESTAMP (microseconds). */
void ig_rows_text(ig_rows *rows,
                  struct ig_str text);              /* TEXT and BINARY; data NULL: NULL */
void ig_rows_cstr(ig_rows *rows, const char *text); /* NULL: SQL NULL */
void ig_rows_i64(ig_rows *rows, int64_t value);
void ig_rows_double(ig_rows *rows, double value);
void ig_rows_bool(ig_rows *rows, bool value);
void ig_rows_null(ig_rows *rows);

size_t ig_rows_count(const ig_rows *rows); /* full rows so far */

/* Give the schema of the columns. */
IG_NODISCARD igloo_status ig_rows_schema(const ig_rows *rows,
                                         struct ArrowSchema *ret_schema,
                                         struct igloo_error *reterr);

/* Give the rows as one batch in a stream (no batch where there are none); the builder is
 * then empty and only to be freed. An unfinished row is a broken invariant. */
IG_NODISCARD igloo_status ig_rows_finish(ig_rows *rows,
                                         struct ArrowArrayStream *ret_stream,
                                         struct igloo_error *reterr);

#endif
