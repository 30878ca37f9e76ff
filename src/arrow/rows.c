/* rows.c -- see rows.h. */
#include "arrow/rows.h"

#include <errno.h>
#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"
#include "arrow/stream.h"

struct ig_rows {
  struct ArrowSchema schema;
  struct ArrowArray array;
  enum ig_cell *types; /* owned */
  size_t columns_count;
  size_t at;    /* column of the next cell */
  size_t count; /* full rows */
  int failed;   /* errno of the first failure */
};

static const enum ArrowType arrow_types[] = {
    [IG_CELL_TEXT] = NANOARROW_TYPE_STRING, [IG_CELL_BINARY] = NANOARROW_TYPE_BINARY,
    [IG_CELL_BOOL] = NANOARROW_TYPE_BOOL,   [IG_CELL_INT32] = NANOARROW_TYPE_INT32,
    [IG_CELL_INT64] = NANOARROW_TYPE_INT64, [IG_CELL_DOUBLE] = NANOARROW_TYPE_DOUBLE};

ig_rows *ig_rows_free(ig_rows *rows) {
  if (!rows) return NULL;
  ig_schema_done(&rows->schema);
  ig_array_done(&rows->array);
  ig_free(rows->types);
  ig_free(rows);
  return NULL;
}

static int set_column(struct ArrowSchema *field, const struct ig_rows_column *column) {
  if (column->type == IG_CELL_TIMESTAMP)
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetTypeDateTime(field, NANOARROW_TYPE_TIMESTAMP,
                                                       NANOARROW_TIME_UNIT_MICRO, "UTC"));
  else
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetType(field, arrow_types[column->type]));
  if (column->required) field->flags &= ~(int64_t)ARROW_FLAG_NULLABLE;
  return ArrowSchemaSetName(field, column->name);
}

igloo_status ig_rows_new(const struct ig_rows_column *columns, size_t columns_count,
                         ig_rows **ret_rows, struct igloo_error *reterr) {
  IG_AUTO(ig_rows) *rows = ig_calloc(1, sizeof(*rows));
  if (!rows) return ig_fail_oom(reterr);
  rows->types = ig_calloc(columns_count, sizeof(*rows->types));
  if (!rows->types) return ig_fail_oom(reterr);
  rows->columns_count = columns_count;

  IG_TRY(ig_schema_new_struct(columns_count, &rows->schema, reterr));
  for (size_t i = 0; i < columns_count; i++) {
    rows->types[i] = columns[i].type;
    if (set_column(rows->schema.children[i], &columns[i]) != 0)
      return ig_fail_oom(reterr);
  }
  if (ArrowArrayInitFromSchema(&rows->array, &rows->schema, NULL) != 0 ||
      ArrowArrayStartAppending(&rows->array) != 0)
    return ig_fail_oom(reterr);
  *ret_rows = IG_TAKE(rows);
  return IGLOO_OK;
}

/* The array of the next cell; NULL after a failure. `may` are the types it may have. */
static struct ArrowArray *next_cell(ig_rows *rows, unsigned may) {
  IG_ASSERT(may & (1u << rows->types[rows->at]));
  return rows->failed ? NULL : rows->array.children[rows->at];
}

/* The cell was appended with this result. */
static void end_cell(ig_rows *rows, int code) {
  if (rows->failed) return;
  rows->failed = code;
  if (code != 0 || ++rows->at < rows->columns_count) return;
  rows->failed = ArrowArrayFinishElement(&rows->array);
  rows->at = 0;
  rows->count++;
}

void ig_rows_null(ig_rows *rows) {
  IG_ASSERT(rows->schema.children[rows->at]->flags & ARROW_FLAG_NULLABLE);
  if (!rows->failed)
    end_cell(rows, ArrowArrayAppendNull(rows->array.children[rows->at], 1));
}

void ig_rows_text(ig_rows *rows, struct ig_str text) {
  if (!text.data) {
    ig_rows_null(rows);
    return;
  }
  struct ArrowArray *cell = next_cell(rows, 1u << IG_CELL_TEXT | 1u << IG_CELL_BINARY);
  struct ArrowBufferView bytes = {.data.as_char = text.data,
                                  .size_bytes = (int64_t)text.len};
  if (cell) end_cell(rows, ArrowArrayAppendBytes(cell, bytes));
}

void ig_rows_cstr(ig_rows *rows, const char *text) {
  ig_rows_text(rows, ig_str_from_cstr(text));
}

void ig_rows_i64(ig_rows *rows, int64_t value) {
  struct ArrowArray *cell = next_cell(
      rows, 1u << IG_CELL_INT32 | 1u << IG_CELL_INT64 | 1u << IG_CELL_TIMESTAMP);
  if (!cell) return;
  IG_ASSERT(rows->types[rows->at] != IG_CELL_INT32 ||
            (value >= INT32_MIN && value <= INT32_MAX));
  end_cell(rows, ArrowArrayAppendInt(cell, value));
}

void ig_rows_double(ig_rows *rows, double value) {
  struct ArrowArray *cell = next_cell(rows, 1u << IG_CELL_DOUBLE);
  if (cell) end_cell(rows, ArrowArrayAppendDouble(cell, value));
}

void ig_rows_bool(ig_rows *rows, bool value) {
  struct ArrowArray *cell = next_cell(rows, 1u << IG_CELL_BOOL);
  if (cell) end_cell(rows, ArrowArrayAppendInt(cell, value));
}

size_t ig_rows_count(const ig_rows *rows) {
  return rows->count;
}

igloo_status ig_rows_schema(const ig_rows *rows, struct ArrowSchema *ret_schema,
                            struct igloo_error *reterr) {
  return ig_schema_copy(&rows->schema, ret_schema, reterr);
}

igloo_status ig_rows_finish(ig_rows *rows, struct ArrowArrayStream *ret_stream,
                            struct igloo_error *reterr) {
  IG_ASSERT(rows->failed || rows->at == 0);
  if (rows->failed == 0)
    rows->failed = ArrowArrayFinishBuildingDefault(&rows->array, NULL);
  if (rows->failed == ENOMEM) return ig_fail_oom(reterr);
  if (rows->failed != 0)
    return ig_fail_errno(reterr, rows->failed, "could not build the result");
  if (rows->count == 0) ig_array_done(&rows->array);
  return ig_stream_new_batch(&rows->schema, &rows->array, ret_stream, reterr);
}
