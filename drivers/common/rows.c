/* rows.c -- see rows.h. */
#include "common/rows.h"

#include <string.h>

#include "arrow/numtext.h"
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "arrow/timetext.h"
#include "base/buf.h"

/* Columns of one stream: SQLite takes up to 32,766 parameters, PostgreSQL 65,535. */
enum { COLUMNS_MAX = 65535 };

static igloo_status describe_columns(struct igd_rows *rows, struct igd_error *reterr) {
  struct ArrowError error = {{0}};
  rows->columns_count = rows->schema.n_children;
  if (rows->columns_count == 0) return IGLOO_OK;
  rows->columns = ig_calloc((size_t)rows->columns_count, sizeof(*rows->columns));
  if (!rows->columns) return ig_fail_oom(&reterr->base);
  for (int64_t i = 0; i < rows->columns_count; i++) {
    const struct ArrowSchema *field = rows->schema.children[i];
    struct igd_rows_column *column = &rows->columns[i];
    column->name = field->name ? field->name : "";
    column->dictionary = field->dictionary != NULL;
    column->schema = field->dictionary ? field->dictionary : field;
    int code = ArrowSchemaViewInit(&column->type, column->schema, &error);
    if (code != NANOARROW_OK)
      return igd_fail_arrow(reterr, code, "could not read a column's type",
                            error.message);
  }
  return IGLOO_OK;
}

igloo_status igd_rows_open(struct ArrowArrayStream *stream, struct igd_rows *rows,
                           struct igd_error *reterr) {
  *rows = (struct igd_rows){.at = -1};
  ArrowArrayViewInitFromType(&rows->view, NANOARROW_TYPE_UNINITIALIZED);
  ArrowArrayStreamMove(stream, &rows->stream);
  IG_TRY(ig_stream_schema(&rows->stream, &rows->schema, &reterr->base));
  if (!rows->schema.format || strcmp(rows->schema.format, "+s") != 0)
    return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT,
                   "rows to bind must be a struct of columns");
  if (rows->schema.n_children > COLUMNS_MAX)
    return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT,
                   "rows to bind have more than %d columns", COLUMNS_MAX);
  IG_TRY(describe_columns(rows, reterr));
  struct ArrowError error = {{0}};
  int code = ArrowArrayViewInitFromSchema(&rows->view, &rows->schema, &error);
  if (code != NANOARROW_OK)
    return igd_fail_arrow(reterr, code, "could not read the rows' schema", error.message);
  return IGLOO_OK;
}

void igd_rows_done(struct igd_rows *rows) {
  ArrowArrayViewReset(&rows->view);
  ig_array_done(&rows->batch);
  ig_schema_done(&rows->schema);
  ig_stream_done(&rows->stream);
  ig_free(rows->columns);
  *rows = (struct igd_rows){0};
}

/* Indices outside of their dictionary are not among what a view checks. */
static igloo_status check_indices(const struct igd_rows *rows, struct igd_error *reterr) {
  for (int64_t i = 0; i < rows->columns_count; i++) {
    const struct ArrowArrayView *view = rows->view.children[i];
    if (!rows->columns[i].dictionary) continue;
    for (int64_t row = 0; row < view->length; row++) {
      if (ArrowArrayViewIsNull(view, row)) continue;
      int64_t index = ArrowArrayViewGetIntUnsafe(view, row);
      if (index < 0 || index >= view->dictionary->length)
        return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT,
                       "rows to bind have an index outside of their dictionary");
    }
  }
  return IGLOO_OK;
}

igloo_status igd_rows_next_batch(struct igd_rows *rows, bool *ret_more,
                                 struct igd_error *reterr) {
  do {
    ig_array_done(&rows->batch);
    IG_TRY(ig_stream_next(&rows->stream, &rows->batch, &reterr->base));
    if (!rows->batch.release) {
      *ret_more = false;
      return IGLOO_OK;
    }
  } while (rows->batch.length == 0);

  struct ArrowError error = {{0}};
  int code = ArrowArrayViewSetArray(&rows->view, &rows->batch, &error);
  if (code == NANOARROW_OK)
    code = ArrowArrayViewValidate(&rows->view, NANOARROW_VALIDATION_LEVEL_FULL, &error);
  if (code != NANOARROW_OK)
    return igd_fail_arrow(reterr, code, "could not read the rows", error.message);
  if (ArrowArrayViewComputeNullCount(&rows->view) > 0)
    return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT,
                   "rows to bind are NULL as a whole");
  IG_TRY(check_indices(rows, reterr));
  rows->at = -1;
  *ret_more = true;
  return IGLOO_OK;
}

igloo_status igd_rows_next(struct igd_rows *rows, bool *ret_more,
                           struct igd_error *reterr) {
  *ret_more = true;
  if (!rows->batch.release || rows->at + 1 >= rows->batch.length)
    IG_TRY(igd_rows_next_batch(rows, ret_more, reterr));
  if (*ret_more) {
    rows->at++;
    rows->count++;
  }
  return IGLOO_OK;
}

struct igd_cell igd_rows_cell_at(const struct igd_rows *rows, int64_t column,
                                 int64_t row) {
  struct igd_cell cell = {.view = rows->view.children[column],
                          .type = &rows->columns[column].type,
                          .index = row + rows->view.offset};
  if (!rows->columns[column].dictionary) return cell;
  /* A NULL index stays what says so; else the value that it means. */
  if (ArrowArrayViewIsNull(cell.view, cell.index)) return cell;
  cell.index = ArrowArrayViewGetIntUnsafe(cell.view, cell.index);
  cell.view = cell.view->dictionary;
  return cell;
}

struct igd_cell igd_rows_cell(const struct igd_rows *rows, int64_t column) {
  return igd_rows_cell_at(rows, column, rows->at);
}

bool igd_cell_is_null(struct igd_cell cell) {
  return cell.type->type == NANOARROW_TYPE_NA ||
         ArrowArrayViewIsNull(cell.view, cell.index);
}

struct ig_str igd_cell_bytes(struct igd_cell cell) {
  struct ArrowBufferView bytes = ArrowArrayViewGetBytesUnsafe(cell.view, cell.index);
  return ig_str_make(bytes.data.data, (size_t)bytes.size_bytes);
}

/* ---- as text -------------------------------------------------------------------------
 */

static void append_decimal(struct ig_buf *text, struct igd_cell cell) {
  struct ArrowDecimal value;
  ArrowDecimalInit(&value, cell.type->decimal_bitwidth, cell.type->decimal_precision,
                   cell.type->decimal_scale);
  ArrowArrayViewGetDecimalUnsafe(cell.view, cell.index, &value);
  ig_text_decimal(text, value.words, (size_t)cell.type->decimal_bitwidth / 8,
                  cell.type->decimal_scale);
}

static void append_interval(struct ig_buf *text, struct igd_cell cell) {
  struct ArrowInterval value;
  ArrowIntervalInit(&value, cell.type->type);
  ArrowArrayViewGetIntervalUnsafe(cell.view, cell.index, &value);
  int64_t ns = cell.type->type == NANOARROW_TYPE_INTERVAL_DAY_TIME
                   ? (int64_t)value.ms * 1000000
                   : value.ns;
  ig_text_interval(text, value.months, value.days, ns);
}

/* Instants are written in UTC, whatever zone their type shows them in. */
static igloo_status append_timestamp(struct ig_buf *text, struct igd_cell cell,
                                     struct igd_error *reterr) {
  IG_AUTO(ig_zone) *utc = NULL;
  if (cell.type->timezone && *cell.type->timezone)
    IG_TRY(ig_zone_open(IG_STR("UTC"), &utc, &reterr->base));
  ig_text_timestamp(text, ArrowArrayViewGetIntUnsafe(cell.view, cell.index),
                    ig_time_unit_of(cell.type->time_unit), utc, IG_TIME_SQL);
  return IGLOO_OK;
}

static igloo_status fail_type(struct igd_cell cell, struct igd_error *reterr) {
  return ig_fail(&reterr->base, IGLOO_UNSUPPORTED,
                 "values of type %s cannot be written as text",
                 ArrowTypeString(cell.type->type));
}

igloo_status igd_cell_text(struct igd_cell cell, struct ig_buf *ret_text,
                           struct igd_error *reterr) {
  const struct ArrowArrayView *view = cell.view;
  switch ((int)cell.type->type) {
    case NANOARROW_TYPE_BOOL:
      ig_buf_append_cstr(ret_text,
                         ArrowArrayViewGetIntUnsafe(view, cell.index) ? "true" : "false");
      break;
    case NANOARROW_TYPE_INT8:
    case NANOARROW_TYPE_INT16:
    case NANOARROW_TYPE_INT32:
    case NANOARROW_TYPE_INT64:
      ig_text_i64(ret_text, ArrowArrayViewGetIntUnsafe(view, cell.index));
      break;
    case NANOARROW_TYPE_UINT8:
    case NANOARROW_TYPE_UINT16:
    case NANOARROW_TYPE_UINT32:
    case NANOARROW_TYPE_UINT64:
      ig_text_u64(ret_text, ArrowArrayViewGetUIntUnsafe(view, cell.index));
      break;
    case NANOARROW_TYPE_HALF_FLOAT:
    case NANOARROW_TYPE_FLOAT:
      ig_text_float(ret_text, (float)ArrowArrayViewGetDoubleUnsafe(view, cell.index));
      break;
    case NANOARROW_TYPE_DOUBLE:
      ig_text_double(ret_text, ArrowArrayViewGetDoubleUnsafe(view, cell.index));
      break;
    case NANOARROW_TYPE_DECIMAL32:
    case NANOARROW_TYPE_DECIMAL64:
    case NANOARROW_TYPE_DECIMAL128:
    case NANOARROW_TYPE_DECIMAL256:
      append_decimal(ret_text, cell);
      break;
    case NANOARROW_TYPE_STRING:
    case NANOARROW_TYPE_LARGE_STRING:
    case NANOARROW_TYPE_STRING_VIEW:
      ig_buf_append_str(ret_text, igd_cell_bytes(cell));
      break;
    case NANOARROW_TYPE_BINARY:
    case NANOARROW_TYPE_LARGE_BINARY:
    case NANOARROW_TYPE_BINARY_VIEW:
    case NANOARROW_TYPE_FIXED_SIZE_BINARY:
      ig_text_bytes(ret_text, igd_cell_bytes(cell));
      break;
    case NANOARROW_TYPE_DATE32:
      ig_text_date(ret_text, ArrowArrayViewGetIntUnsafe(view, cell.index));
      break;
    case NANOARROW_TYPE_DATE64: {
      int64_t ms = ArrowArrayViewGetIntUnsafe(view, cell.index);
      ig_text_date(ret_text, ms / 86400000 - (ms % 86400000 < 0));
      break;
    }
    case NANOARROW_TYPE_TIME32:
    case NANOARROW_TYPE_TIME64:
      ig_text_time(ret_text, ArrowArrayViewGetIntUnsafe(view, cell.index),
                   ig_time_unit_of(cell.type->time_unit));
      break;
    case NANOARROW_TYPE_TIMESTAMP:
      IG_TRY(append_timestamp(ret_text, cell, reterr));
      break;
    case NANOARROW_TYPE_DURATION:
      ig_text_duration(ret_text, ArrowArrayViewGetIntUnsafe(view, cell.index),
                       ig_time_unit_of(cell.type->time_unit));
      break;
    case NANOARROW_TYPE_INTERVAL_MONTHS:
    case NANOARROW_TYPE_INTERVAL_DAY_TIME:
    case NANOARROW_TYPE_INTERVAL_MONTH_DAY_NANO:
      append_interval(ret_text, cell);
      break;
    default:
      return fail_type(cell, reterr);
  }
  return ig_buf_check(ret_text, &reterr->base);
}
