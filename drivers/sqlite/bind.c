/* bind.c -- Arrow's values as SQLite's. What would change on the way is an error. */
#include <math.h>

#include "sqlite/sqlite.h"

static igloo_status check(sqlite3_stmt *handle, int code, struct igd_error *reterr) {
  return code == SQLITE_OK ? IGLOO_OK : igs_fail(sqlite3_db_handle(handle), code, reterr);
}

static igloo_status bind_uint(sqlite3_stmt *handle, int index, uint64_t value,
                              const char *name, struct igd_error *reterr) {
  if (value > INT64_MAX)
    return ig_fail_state(
        &reterr->base, IGLOO_DATA_ERROR, "22003",
        "value %llu of column \"%s\" is out of range for SQLite's INTEGER",
        (unsigned long long)value, name);
  return check(handle, sqlite3_bind_int64(handle, index, (int64_t)value), reterr);
}

/* SQLite stores NaN as NULL. */
static igloo_status bind_double(sqlite3_stmt *handle, int index, double value,
                                const char *name, struct igd_error *reterr) {
  if (isnan(value))
    return ig_fail_state(&reterr->base, IGLOO_DATA_ERROR, "22003",
                         "column \"%s\" has a NaN, which SQLite cannot store", name);
  return check(handle, sqlite3_bind_double(handle, index, value), reterr);
}

/* Finer than a microsecond cannot be read back. */
static igloo_status check_fraction(struct igd_cell cell, const char *name,
                                   struct igd_error *reterr) {
  if (cell.type->time_unit != NANOARROW_TIME_UNIT_NANO ||
      ArrowArrayViewGetIntUnsafe(cell.view, cell.index) % 1000 == 0)
    return IGLOO_OK;
  return ig_fail_state(&reterr->base, IGLOO_DATA_ERROR, "22008",
                       "column \"%s\" has a time finer than a microsecond", name);
}

static igloo_status bind_as_text(sqlite3_stmt *handle, int index, struct igd_cell cell,
                                 const char *suffix, struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(4096);
  IG_TRY(igd_cell_text(cell, &text, reterr));
  ig_buf_append_cstr(&text, suffix);
  IG_TRY(ig_buf_check(&text, &reterr->base));
  return check(handle,
               sqlite3_bind_text64(handle, index, text.data, text.len, SQLITE_TRANSIENT,
                                   SQLITE_UTF8),
               reterr);
}

/* "…+00" as ISO 8601 has it: "…+00:00". */
static igloo_status bind_timestamp(sqlite3_stmt *handle, int index, struct igd_cell cell,
                                   const char *name, struct igd_error *reterr) {
  IG_TRY(check_fraction(cell, name, reterr));
  bool zone = cell.type->timezone && *cell.type->timezone;
  return bind_as_text(handle, index, cell, zone ? ":00" : "", reterr);
}

/* A whole number that INTEGER holds goes as one; another as its digits, which SQLite
 * turns into what the column's affinity wants. */
static igloo_status bind_decimal(sqlite3_stmt *handle, int index, struct igd_cell cell,
                                 struct igd_error *reterr) {
  if (cell.type->decimal_scale == 0 && cell.type->decimal_precision <= 18) {
    struct ArrowDecimal value;
    ArrowDecimalInit(&value, cell.type->decimal_bitwidth, cell.type->decimal_precision,
                     0);
    ArrowArrayViewGetDecimalUnsafe(cell.view, cell.index, &value);
    int64_t number = cell.type->decimal_bitwidth == 32 ? (int32_t)value.words[0]
                                                       : (int64_t)value.words[0];
    return check(handle, sqlite3_bind_int64(handle, index, number), reterr);
  }
  return bind_as_text(handle, index, cell, "", reterr);
}

static igloo_status bind_bytes(sqlite3_stmt *handle, int index, struct igd_cell cell,
                               bool text, struct igd_error *reterr) {
  /* The batch outlives the step that reads it. */
  struct ig_str bytes = igd_cell_bytes(cell);
  const char *data = bytes.len > 0 ? bytes.data : "";
  int code = text ? sqlite3_bind_text64(handle, index, data, bytes.len, SQLITE_STATIC,
                                        SQLITE_UTF8)
                  : sqlite3_bind_blob64(handle, index, data, bytes.len, SQLITE_STATIC);
  return check(handle, code, reterr);
}

igloo_status igs_bind_cell(sqlite3_stmt *handle, int index, struct igd_cell cell,
                           const char *name, struct igd_error *reterr) {
  if (igd_cell_is_null(cell))
    return check(handle, sqlite3_bind_null(handle, index), reterr);
  switch ((int)cell.type->type) {
    case NANOARROW_TYPE_BOOL:
    case NANOARROW_TYPE_INT8:
    case NANOARROW_TYPE_INT16:
    case NANOARROW_TYPE_INT32:
    case NANOARROW_TYPE_INT64:
      return check(handle,
                   sqlite3_bind_int64(handle, index,
                                      ArrowArrayViewGetIntUnsafe(cell.view, cell.index)),
                   reterr);
    case NANOARROW_TYPE_UINT8:
    case NANOARROW_TYPE_UINT16:
    case NANOARROW_TYPE_UINT32:
    case NANOARROW_TYPE_UINT64:
      return bind_uint(handle, index, ArrowArrayViewGetUIntUnsafe(cell.view, cell.index),
                       name, reterr);
    case NANOARROW_TYPE_HALF_FLOAT:
    case NANOARROW_TYPE_FLOAT:
    case NANOARROW_TYPE_DOUBLE:
      return bind_double(handle, index,
                         ArrowArrayViewGetDoubleUnsafe(cell.view, cell.index), name,
                         reterr);
    case NANOARROW_TYPE_STRING:
    case NANOARROW_TYPE_LARGE_STRING:
    case NANOARROW_TYPE_STRING_VIEW:
      return bind_bytes(handle, index, cell, true, reterr);
    case NANOARROW_TYPE_BINARY:
    case NANOARROW_TYPE_LARGE_BINARY:
    case NANOARROW_TYPE_BINARY_VIEW:
    case NANOARROW_TYPE_FIXED_SIZE_BINARY:
      return bind_bytes(handle, index, cell, false, reterr);
    case NANOARROW_TYPE_DECIMAL32:
    case NANOARROW_TYPE_DECIMAL64:
    case NANOARROW_TYPE_DECIMAL128:
    case NANOARROW_TYPE_DECIMAL256:
      return bind_decimal(handle, index, cell, reterr);
    case NANOARROW_TYPE_DATE32:
    case NANOARROW_TYPE_DATE64:
      return bind_as_text(handle, index, cell, "", reterr);
    case NANOARROW_TYPE_TIME32:
    case NANOARROW_TYPE_TIME64:
      IG_TRY(check_fraction(cell, name, reterr));
      return bind_as_text(handle, index, cell, "", reterr);
    case NANOARROW_TYPE_TIMESTAMP:
      return bind_timestamp(handle, index, cell, name, reterr);
    default:
      break;
  }
  return ig_fail(&reterr->base, IGLOO_UNSUPPORTED,
                 "column \"%s\" has values of type %s, which SQLite cannot store", name,
                 ArrowTypeString(cell.type->type));
}

igloo_status igs_bind_row(sqlite3_stmt *handle, const struct igd_rows *rows,
                          struct igd_error *reterr) {
  for (int64_t i = 0; i < rows->columns_count; i++)
    IG_TRY(igs_bind_cell(handle, (int)i + 1, igd_rows_cell(rows, i),
                         rows->columns[i].name, reterr));
  return IGLOO_OK;
}
