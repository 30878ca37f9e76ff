/* reader.c -- rows of a statement as Arrow batches.
 *
 * Values go straight into the buffers of a batch. A value fits a column when it has the
 * storage class that README.md names for the column's type and is in range; what to do
 * with another is the option's business. */
#include <math.h>
#include <string.h>

#include "arrow/stream.h"
#include "sqlite/sqlite.h"

#define US_PER_SECOND INT64_C(1000000)
#define SECONDS_PER_DAY INT64_C(86400)

/* Years 0000 to 9999, what SQLite's own functions know. */
#define UNIX_MIN INT64_C(-62167219200)
#define UNIX_MAX INT64_C(253402300799)

struct builder {
  struct ArrowBuffer values;  /* numbers, days, bits, or the bytes of texts */
  struct ArrowBuffer offsets; /* of texts and blobs */
  struct ArrowBitmap valid;   /* empty while there is no NULL */
  int64_t nulls;
};

struct reader {
  struct igd_reader base;
  struct igs_statement *statement; /* borrowed: the stream keeps it */
  struct ArrowSchema schema;
  struct builder *builders;
  int64_t rows;  /* in the batch being built */
  int64_t bytes; /* in its texts and blobs */
  bool has_row;  /* the handle stands on a row that is not yet read */
  bool has_parameters;
  struct igd_rows parameters; /* what is bound for the next executions */
};

/* ---- appending -----------------------------------------------------------------------
 */

static igloo_status check(int code, struct igd_error *reterr) {
  return code == NANOARROW_OK ? IGLOO_OK : ig_fail_oom(&reterr->base);
}

static bool is_variable(enum igs_kind kind) {
  return kind == IGS_TEXT || kind == IGS_LOOSE || kind == IGS_BINARY;
}

static size_t value_bytes(enum igs_kind kind) {
  switch (kind) {
    case IGS_DECIMAL:
      return 16;
    case IGS_DATE:
      return 4;
    case IGS_BOOL:
      return 1; /* as a byte; packed when the batch is finished */
    case IGS_INT64:
    case IGS_DOUBLE:
    case IGS_TIME:
    case IGS_TIMESTAMP:
    case IGS_TIMESTAMP_UTC:
      return 8;
    case IGS_LOOSE:
    case IGS_TEXT:
    case IGS_BINARY:
      break;
  }
  return 0;
}

static int append_fixed(struct builder *builder, const void *value, size_t bytes) {
  return ArrowBufferAppend(&builder->values, value, (int64_t)bytes);
}

/* The bytes of a text or blob; offsets are written at the end of each value. */
static int append_bytes(struct reader *reader, struct builder *builder, const void *bytes,
                        size_t count) {
  NANOARROW_RETURN_NOT_OK(
      ArrowBufferAppend(&builder->values, count > 0 ? bytes : "", (int64_t)count));
  reader->bytes += (int64_t)count;
  return NANOARROW_OK;
}

static int end_bytes(struct builder *builder) {
  return ArrowBufferAppendInt32(&builder->offsets, (int32_t)builder->values.size_bytes);
}

static int note_valid(struct builder *builder) {
  return builder->nulls == 0 ? NANOARROW_OK : ArrowBitmapAppend(&builder->valid, 1, 1);
}

static int append_null(struct reader *reader, struct builder *builder,
                       enum igs_kind kind) {
  static const char zeros[16];
  if (builder->nulls++ == 0)
    NANOARROW_RETURN_NOT_OK(ArrowBitmapAppend(&builder->valid, 1, reader->rows));
  NANOARROW_RETURN_NOT_OK(ArrowBitmapAppend(&builder->valid, 0, 1));
  return is_variable(kind) ? end_bytes(builder)
                           : append_fixed(builder, zeros, value_bytes(kind));
}

/* ---- values as they fit --------------------------------------------------------------
 */

/* NULL data: SQLite had no memory to make the text; check_memory() tells. */
static struct ig_str text_of(sqlite3_value *value) {
  const unsigned char *text = sqlite3_value_text(value);
  return ig_str_make((const char *)text, (size_t)sqlite3_value_bytes(value));
}

/* A double that is a whole number of int64; casting another is undefined. */
static bool whole_number(double value, int64_t *ret_value) {
  if (!(value >= -9223372036854775808.0 && value < 9223372036854775808.0) ||
      value != trunc(value))
    return false;
  *ret_value = (int64_t)value;
  return true;
}

static bool fit_int64(sqlite3_value *value, int class, int64_t *ret_value) {
  if (class == SQLITE_INTEGER) {
    *ret_value = sqlite3_value_int64(value);
    return true;
  }
  return class == SQLITE_FLOAT && whole_number(sqlite3_value_double(value), ret_value);
}

static bool fit_double(sqlite3_value *value, int class, double *ret_value) {
  if (class != SQLITE_FLOAT && class != SQLITE_INTEGER) return false;
  *ret_value = sqlite3_value_double(value);
  int64_t back = 0;
  return class == SQLITE_FLOAT ||
         (whole_number(*ret_value, &back) && back == sqlite3_value_int64(value));
}

/* Seconds since 1970 as microseconds; of the Julian day, to the millisecond that it can
 * hold. */
static bool fit_instant(sqlite3_value *value, int class, enum igs_datetime datetime,
                        int64_t *ret_us) {
  if (datetime == IGS_DATETIME_UNIX) {
    int64_t seconds = class == SQLITE_INTEGER ? sqlite3_value_int64(value) : 0;
    if (class != SQLITE_INTEGER || seconds < UNIX_MIN || seconds > UNIX_MAX) return false;
    *ret_us = seconds * US_PER_SECOND;
    return true;
  }
  double day = sqlite3_value_double(value) - 2440587.5; /* 1970-01-01 */
  if (class != SQLITE_FLOAT && class != SQLITE_INTEGER) return false;
  double ms = round(day * 86400000.0);
  if (!(ms >= (double)UNIX_MIN * 1000 && ms <= (double)UNIX_MAX * 1000 + 999))
    return false;
  *ret_us = (int64_t)ms * 1000;
  return true;
}

static int64_t floor_div(int64_t value, int64_t by) {
  return value / by - (value % by < 0);
}

static bool fit_timestamp(sqlite3_value *value, int class, enum igs_kind kind,
                          enum igs_datetime datetime, int64_t *ret_us) {
  if (datetime != IGS_DATETIME_TEXT) return fit_instant(value, class, datetime, ret_us);
  return class == SQLITE_TEXT &&
         igs_parse_timestamp(text_of(value), kind == IGS_TIMESTAMP_UTC, ret_us);
}

static bool fit_date(sqlite3_value *value, int class, enum igs_datetime datetime,
                     int32_t *ret_days) {
  int64_t us = 0;
  if (datetime == IGS_DATETIME_TEXT)
    return class == SQLITE_TEXT && igs_parse_date(text_of(value), ret_days);
  if (!fit_instant(value, class, datetime, &us)) return false;
  int64_t days = floor_div(us, SECONDS_PER_DAY * US_PER_SECOND);
  *ret_days = (int32_t)days;
  return days * SECONDS_PER_DAY * US_PER_SECOND == us; /* midnight */
}

/* In numbers, a time of day is seconds or a part of a day. */
static bool fit_time(sqlite3_value *value, int class, enum igs_datetime datetime,
                     int64_t *ret_us) {
  if (datetime == IGS_DATETIME_TEXT)
    return class == SQLITE_TEXT && igs_parse_time(text_of(value), ret_us);
  if (datetime == IGS_DATETIME_UNIX) {
    int64_t seconds = sqlite3_value_int64(value);
    *ret_us = class == SQLITE_INTEGER && seconds >= 0 && seconds < SECONDS_PER_DAY
                  ? seconds * US_PER_SECOND
                  : -1;
    return *ret_us >= 0;
  }
  double part = sqlite3_value_double(value);
  if ((class != SQLITE_FLOAT && class != SQLITE_INTEGER) || !(part >= 0 && part < 1))
    return false;
  double ms = round(part * 86400000.0);
  *ret_us = (int64_t)ms * 1000;
  return *ret_us < SECONDS_PER_DAY * US_PER_SECOND;
}

/* A REAL means the decimal number that SQLite shows for it: of 15 digits. No two of those
 * have one nearest double, so the number is found where going there and back ends where
 * it began; true if it was. */
static bool fit_real(double value, int32_t scale, __int128 limit, __int128 *ret_value) {
  static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  if (scale >= (int32_t)IG_ARRAY_LEN(powers)) return false;
  double scaled = nearbyint(value * powers[scale]);
  if (!(fabs(scaled) < 1e15) || scaled / powers[scale] != value) return false;
  *ret_value = (int64_t)scaled;
  return *ret_value<limit && * ret_value> - limit;
}

static __int128 power_of_ten(int32_t exponent) {
  __int128 power = 1;
  for (; exponent > 0; exponent--) power *= 10;
  return power;
}

static bool fit_whole(int64_t value, int32_t scale, __int128 limit, __int128 *ret_value) {
  __int128 power = power_of_ten(scale);
  if (value >= limit / power || value <= -(limit / power)) return false;
  *ret_value = value * power;
  return true;
}

static bool fit_decimal(sqlite3_value *value, int class, const struct igs_type *type,
                        __int128 *ret_value) {
  char digits[40];
  __int128 limit = power_of_ten(type->precision);
  struct ig_str text = {digits, 0};
  if (class == SQLITE_INTEGER)
    return fit_whole(sqlite3_value_int64(value), type->scale, limit, ret_value);
  if (class == SQLITE_BLOB) return false;
  if (class == SQLITE_FLOAT) {
    double real = sqlite3_value_double(value);
    if (fit_real(real, type->scale, limit, ret_value)) return true;
    /* SQLite's own printf: no locale of the host changes the point. */
    (void)sqlite3_snprintf(sizeof(digits), digits, "%!.15g", real);
    text.len = strlen(digits);
  } else {
    text = text_of(value);
  }
  return igs_parse_decimal(text, type->precision, type->scale, ret_value);
}

/* ---- values that do not fit
 * ------------------------------------------------------------
 */

static const char *class_name(int class) {
  switch (class) {
    case SQLITE_INTEGER:
      return "an integer";
    case SQLITE_FLOAT:
      return "a real";
    case SQLITE_TEXT:
      return "a text";
    default:
      return "a blob";
  }
}

static igloo_status fail_misfit(const struct igs_column *column, int class,
                                struct igd_error *reterr) {
  const char *name = column->origin ? column->origin : column->name;
  igloo_status status = ig_fail_state(
      &reterr->base, IGLOO_DATA_ERROR, "22P02",
      "column \"%s\"%s%s%s holds %s value that does not fit type %s", name,
      column->table ? " of table \"" : "", column->table ? column->table : "",
      column->table ? "\"" : "", class_name(class), igs_kind_name(column->type.kind));
  ig_error_hint(
      &reterr->base,
      "With the option igloo.sqlite.misfit, such values are NULL (\"null\"), or "
      "the column is text (\"text\").");
  return status;
}

/* Text with what is no UTF-8 replaced by U+FFFD. */
static int append_repaired(struct reader *reader, struct builder *builder,
                           struct ig_str text) {
  for (size_t at = 0; at < text.len;) {
    size_t start = at;
    bool good = ig_utf8_decode(text, &at) >= 0;
    NANOARROW_RETURN_NOT_OK(append_bytes(reader, builder,
                                         good ? text.data + start : "\xef\xbf\xbd",
                                         good ? at - start : 3));
  }
  return NANOARROW_OK;
}

static int append_hex(struct reader *reader, struct builder *builder,
                      struct ig_str bytes) {
  static const char digits[] = "0123456789abcdef";
  NANOARROW_RETURN_NOT_OK(append_bytes(reader, builder, "\\x", 2));
  for (size_t i = 0; i < bytes.len; i++) {
    unsigned char byte = (unsigned char)bytes.data[i];
    char pair[2] = {digits[byte >> 4], digits[byte & 15]};
    NANOARROW_RETURN_NOT_OK(append_bytes(reader, builder, pair, 2));
  }
  return NANOARROW_OK;
}

/* A value that SQLite had to convert and could not is no misfit. */
static igloo_status check_memory(sqlite3_stmt *handle, struct igd_error *reterr) {
  sqlite3 *db = sqlite3_db_handle(handle);
  return (sqlite3_errcode(db) & 0xff) == SQLITE_NOMEM ? ig_fail_oom(&reterr->base)
                                                      : IGLOO_OK;
}

static struct ig_str blob_of(sqlite3_value *value) {
  const void *bytes = sqlite3_value_blob(value);
  return ig_str_make(bytes, (size_t)sqlite3_value_bytes(value));
}

/* With misfit = text: every value has a form. */
static igloo_status append_as_text(struct reader *reader, int index, sqlite3_value *value,
                                   int class, struct igd_error *reterr) {
  struct builder *builder = &reader->builders[index];
  enum igs_kind kind = reader->statement->columns[index].type.kind;
  int code = NANOARROW_OK;
  if (kind == IGS_BINARY) {
    struct ig_str bytes = blob_of(value);
    code = append_bytes(reader, builder, bytes.data, bytes.len);
  } else if (class == SQLITE_BLOB) {
    code = append_hex(reader, builder, blob_of(value));
  } else {
    code = append_repaired(reader, builder, text_of(value));
  }
  if (code == NANOARROW_OK) code = end_bytes(builder);
  if (code == NANOARROW_OK) code = note_valid(builder);
  return check(code, reterr);
}

static igloo_status append_misfit(struct reader *reader, int index, sqlite3_value *value,
                                  int class, struct igd_error *reterr) {
  struct igs_statement *statement = reader->statement;
  const struct igs_column *column = &statement->columns[index];
  int misfit = igs_database_of(igs_connection_of(statement))->misfit;
  IG_TRY(check_memory(statement->handle, reterr));
  if (misfit == IGS_MISFIT_ERROR) return fail_misfit(column, class, reterr);
  if (misfit == IGS_MISFIT_TEXT && is_variable(column->type.kind))
    return append_as_text(reader, index, value, class, reterr);
  return check(append_null(reader, &reader->builders[index], column->type.kind), reterr);
}

/* ---- rows ----------------------------------------------------------------------------
 */

/* Most texts are ASCII, which is seen eight bytes at a time. */
static bool is_utf8(struct ig_str text) {
  uint64_t word, high = 0;
  size_t at = 0;
  for (; at + sizeof(word) <= text.len; at += sizeof(word)) {
    memcpy(&word, text.data + at, sizeof(word));
    high |= word;
  }
  for (; at < text.len; at++) high |= (uint64_t)(unsigned char)text.data[at];
  return (high & UINT64_C(0x8080808080808080)) == 0 || ig_utf8_valid(text, NULL);
}

/* Of texts and blobs; false where it does not fit. */
static bool find_bytes(sqlite3_value *value, int class, enum igs_kind kind,
                       struct ig_str *ret_bytes) {
  if (kind == IGS_BINARY) {
    *ret_bytes = class == SQLITE_BLOB ? blob_of(value) : (struct ig_str){0};
    return class == SQLITE_BLOB;
  }
  if (class == SQLITE_BLOB || (kind == IGS_TEXT && class != SQLITE_TEXT)) return false;
  *ret_bytes = text_of(value);
  return class != SQLITE_TEXT || is_utf8(*ret_bytes);
}

static igloo_status append_variable(struct reader *reader, int index,
                                    sqlite3_value *value, int class,
                                    struct igd_error *reterr) {
  struct builder *builder = &reader->builders[index];
  struct ig_str bytes = {0};
  if (!find_bytes(value, class, reader->statement->columns[index].type.kind, &bytes))
    return append_misfit(reader, index, value, class, reterr);
  if (!bytes.data) IG_TRY(check_memory(reader->statement->handle, reterr));
  int code = append_bytes(reader, builder, bytes.data, bytes.len);
  if (code == NANOARROW_OK) code = end_bytes(builder);
  if (code == NANOARROW_OK) code = note_valid(builder);
  return check(code, reterr);
}

static igloo_status append_value(struct reader *reader, int index,
                                 struct igd_error *reterr) {
  struct builder *builder = &reader->builders[index];
  const struct igs_type *type = &reader->statement->columns[index].type;
  /* Once for all that is asked of it. Such a value wants the connection's mutex held, and
   * this connection has none but ours. */
  sqlite3_value *stored = sqlite3_column_value(reader->statement->handle, index);
  int class = sqlite3_value_type(stored);
  if (class == SQLITE_NULL)
    return check(append_null(reader, builder, type->kind), reterr);

  enum igs_datetime datetime =
      (enum igs_datetime)igs_database_of(igs_connection_of(reader->statement))->datetime;
  union {
    int64_t number;
    double real;
    int32_t days;
    uint8_t truth;
    __int128 decimal;
  } value = {.decimal = 0};
  bool fits = false;
  switch (type->kind) {
    case IGS_LOOSE:
    case IGS_TEXT:
    case IGS_BINARY:
      return append_variable(reader, index, stored, class, reterr);
    case IGS_INT64:
      fits = fit_int64(stored, class, &value.number);
      break;
    case IGS_DOUBLE:
      fits = fit_double(stored, class, &value.real);
      break;
    case IGS_BOOL:
      fits = fit_int64(stored, class, &value.number) && value.number >= 0 &&
             value.number <= 1;
      value.truth = (uint8_t)value.number;
      break;
    case IGS_DATE:
      fits = fit_date(stored, class, datetime, &value.days);
      break;
    case IGS_TIME:
      fits = fit_time(stored, class, datetime, &value.number);
      break;
    case IGS_TIMESTAMP:
    case IGS_TIMESTAMP_UTC:
      fits = fit_timestamp(stored, class, type->kind, datetime, &value.number);
      break;
    case IGS_DECIMAL:
      fits = fit_decimal(stored, class, type, &value.decimal);
      break;
  }
  if (!fits) return append_misfit(reader, index, stored, class, reterr);
  int code = append_fixed(builder, &value, value_bytes(type->kind));
  if (code == NANOARROW_OK) code = note_valid(builder);
  return check(code, reterr);
}

/* ---- batches -------------------------------------------------------------------------
 */

static void reset_builder(struct builder *builder) {
  ArrowBufferReset(&builder->values);
  ArrowBufferReset(&builder->offsets);
  ArrowBitmapReset(&builder->valid);
  builder->nulls = 0;
}

static igloo_status begin_batch(struct reader *reader, struct igd_error *reterr) {
  reader->rows = 0;
  reader->bytes = 0;
  for (int i = 0; i < reader->statement->columns_count; i++) {
    reset_builder(&reader->builders[i]);
    if (is_variable(reader->statement->columns[i].type.kind))
      IG_TRY(check(ArrowBufferAppendInt32(&reader->builders[i].offsets, 0), reterr));
  }
  return IGLOO_OK;
}

/* Booleans were gathered as bytes; Arrow wants bits. */
static int pack_bits(struct ArrowBuffer *values) {
  struct ArrowBitmap bits;
  ArrowBitmapInit(&bits);
  NANOARROW_RETURN_NOT_OK(ArrowBitmapReserve(&bits, values->size_bytes));
  ArrowBitmapAppendInt8Unsafe(&bits, (const int8_t *)values->data, values->size_bytes);
  ArrowBufferReset(values);
  ArrowBufferMove(&bits.buffer, values);
  return NANOARROW_OK;
}

static int finish_column(struct builder *builder, enum igs_kind kind, int64_t rows,
                         struct ArrowArray *array) {
  if (kind == IGS_BOOL) NANOARROW_RETURN_NOT_OK(pack_bits(&builder->values));
  if (builder->nulls > 0) ArrowArraySetValidityBitmap(array, &builder->valid);
  int at = 1;
  if (is_variable(kind))
    NANOARROW_RETURN_NOT_OK(ArrowArraySetBuffer(array, at++, &builder->offsets));
  NANOARROW_RETURN_NOT_OK(ArrowArraySetBuffer(array, at, &builder->values));
  array->length = rows;
  array->null_count = builder->nulls;
  return NANOARROW_OK;
}

static igloo_status finish_batch(struct reader *reader, struct ArrowArray *ret_batch,
                                 struct igd_error *reterr) {
  IG_AUTO_ARRAY batch = {0};
  IG_TRY(check(ArrowArrayInitFromSchema(&batch, &reader->schema, NULL), reterr));
  for (int i = 0; i < reader->statement->columns_count; i++)
    IG_TRY(
        check(finish_column(&reader->builders[i], reader->statement->columns[i].type.kind,
                            reader->rows, batch.children[i]),
              reterr));
  batch.length = reader->rows;
  IG_TRY(check(ArrowArrayFinishBuilding(&batch, NANOARROW_VALIDATION_LEVEL_NONE, NULL),
               reterr));
  ArrowArrayMove(&batch, ret_batch);
  return IGLOO_OK;
}

/* Stand on the next row: of this execution, or of one with the next row of parameters. */
static igloo_status advance(struct reader *reader, struct igd_error *reterr) {
  struct igs_statement *statement = reader->statement;
  IG_TRY(igs_step_query(statement, &reader->has_row, reterr));
  while (!reader->has_row && reader->has_parameters) {
    bool more = false;
    IG_TRY(igd_rows_next(&reader->parameters, &more, reterr));
    if (!more) return IGLOO_OK;
    (void)sqlite3_reset(statement->handle);
    IG_TRY(igs_bind_row(statement->handle, &reader->parameters, reterr));
    IG_TRY(igs_step_query(statement, &reader->has_row, reterr));
  }
  return IGLOO_OK;
}

static igloo_status next_batch(struct igd_reader *base, struct ArrowArray *ret_batch,
                               struct igd_error *reterr) {
  struct reader *reader = (struct reader *)base;
  const struct igs_statement *statement = reader->statement;
  int64_t row_bytes = 0;
  if (!reader->has_row) return IGLOO_OK;
  for (int i = 0; i < statement->columns_count; i++)
    row_bytes += is_variable(statement->columns[i].type.kind)
                     ? 4
                     : (int64_t)value_bytes(statement->columns[i].type.kind);
  IG_TRY(begin_batch(reader, reterr));
  while (reader->has_row && reader->rows < statement->batch_rows &&
         reader->bytes + reader->rows * row_bytes < statement->batch_bytes) {
    for (int i = 0; i < statement->columns_count; i++)
      IG_TRY(append_value(reader, i, reterr));
    reader->rows++;
    IG_TRY(advance(reader, reterr));
  }
  return finish_batch(reader, ret_batch, reterr);
}

static void free_reader(struct igd_reader *base) {
  struct reader *reader = (struct reader *)base;
  if (reader->statement->handle) {
    (void)sqlite3_reset(reader->statement->handle);
    (void)sqlite3_clear_bindings(reader->statement->handle);
  }
  if (reader->has_parameters) igd_rows_done(&reader->parameters);
  for (int i = 0; reader->builders && i < reader->statement->columns_count; i++)
    reset_builder(&reader->builders[i]);
  ig_free(reader->builders);
  if (reader->schema.release) ArrowSchemaRelease(&reader->schema);
  ig_free(reader);
}

static const struct igd_reader_class reader_class = {.next = next_batch,
                                                     .free = free_reader};

igloo_status igs_reader_new(struct igs_statement *statement, bool has_row,
                            struct igd_rows *rows, struct igd_reader **ret_reader,
                            struct igd_error *reterr) {
  struct reader *reader = ig_calloc(1, sizeof(*reader));
  if (!reader) {
    if (rows) igd_rows_done(rows);
    return ig_fail_oom(&reterr->base);
  }
  reader->base.class = &reader_class;
  reader->statement = statement;
  reader->has_row = has_row;
  if (rows) {
    reader->parameters = *rows;
    reader->has_parameters = true;
  }
  reader->builders =
      ig_calloc((size_t)statement->columns_count + 1, sizeof(*reader->builders));
  igloo_status status = reader->builders
                            ? igs_columns_schema(statement, &reader->schema, reterr)
                            : ig_fail_oom(&reterr->base);
  for (int i = 0; status == IGLOO_OK && i < statement->columns_count; i++) {
    ArrowBufferInit(&reader->builders[i].values);
    ArrowBufferInit(&reader->builders[i].offsets);
    ArrowBitmapInit(&reader->builders[i].valid);
  }
  if (status != IGLOO_OK) {
    ig_free(reader->builders);
    reader->builders = NULL;
    free_reader(&reader->base);
    return status;
  }
  *ret_reader = &reader->base;
  return IGLOO_OK;
}
