/* type_info.c -- GetXdbcTypeInfo: the types of SQL as ODBC and JDBC number them. */
#include <nanoarrow/nanoarrow.h>

#include "flight/private.h"

#define NONE INT32_MIN /* no value: NULL */

/* Numbers of the specification. */
enum {
  XDBC_NUMERIC = 2,
  XDBC_INTEGER = 4,
  XDBC_SMALLINT = 5,
  XDBC_REAL = 7,
  XDBC_DOUBLE = 8,
  XDBC_DATETIME = 9,
  XDBC_INTERVAL = 10,
  XDBC_VARCHAR = 12,
  XDBC_DATE = 91,
  XDBC_TIME = 92,
  XDBC_TIMESTAMP = 93,
  XDBC_VARBINARY = -3,
  XDBC_BIGINT = -5,
  XDBC_TINYINT = -6,
  XDBC_BIT = -7,
};
enum {
  SUBCODE_DATE = 1,
  SUBCODE_TIME,
  SUBCODE_TIMESTAMP,
  SUBCODE_TIME_TZ,
  SUBCODE_TIMESTAMP_TZ,
  SUBCODE_INTERVAL = 110 /* day to second */
};
enum { SEARCHABLE_BASIC = 2, SEARCHABLE_FULL = 3 };

struct type {
  const char *name;
  int32_t data_type, sql_data_type, subcode;
  int32_t size, radix, scale_min, scale_max;
  const char *quote;  /* before and after a literal */
  const char *params; /* of CREATE TABLE, separated by a comma */
  bool is_number, is_unsigned;
  int32_t searchable;
};

#define WHOLE(name, number, digits, is_unsigned)                                 \
  {                                                                              \
    name, number, number, NONE, digits, 10, 0, 0, NULL, NULL, true, is_unsigned, \
        SEARCHABLE_BASIC                                                         \
  }
#define TIMES(name, number, subcode, digits)                                          \
  {                                                                                   \
    name, number, XDBC_DATETIME, subcode, digits, NONE, NONE, NONE, "'", NULL, false, \
        false, SEARCHABLE_BASIC                                                       \
  }

/* Sorted by number, then name. */
static const struct type types[] = {
    {"boolean", XDBC_BIT, XDBC_BIT, NONE, 1, NONE, NONE, NONE, NULL, NULL, false, false,
     SEARCHABLE_BASIC},
    WHOLE("tinyint", XDBC_TINYINT, 3, false),
    WHOLE("tinyint unsigned", XDBC_TINYINT, 3, true),
    WHOLE("bigint", XDBC_BIGINT, 19, false),
    WHOLE("bigint unsigned", XDBC_BIGINT, 20, true),
    {"bytea", XDBC_VARBINARY, XDBC_VARBINARY, NONE, NONE, NONE, NONE, NONE, "'", NULL,
     false, false, SEARCHABLE_BASIC},
    {"numeric", XDBC_NUMERIC, XDBC_NUMERIC, NONE, 76, 10, 0, 76, NULL, "precision,scale",
     true, false, SEARCHABLE_BASIC},
    WHOLE("integer", XDBC_INTEGER, 10, false),
    WHOLE("integer unsigned", XDBC_INTEGER, 10, true),
    WHOLE("smallint", XDBC_SMALLINT, 5, false),
    WHOLE("smallint unsigned", XDBC_SMALLINT, 5, true),
    {"real", XDBC_REAL, XDBC_REAL, NONE, 24, 2, NONE, NONE, NULL, NULL, true, false,
     SEARCHABLE_BASIC},
    {"double precision", XDBC_DOUBLE, XDBC_DOUBLE, NONE, 53, 2, NONE, NONE, NULL, NULL,
     true, false, SEARCHABLE_BASIC},
    {"interval", XDBC_INTERVAL, XDBC_INTERVAL, SUBCODE_INTERVAL, NONE, NONE, NONE, NONE,
     "'", NULL, false, false, SEARCHABLE_BASIC},
    {"text", XDBC_VARCHAR, XDBC_VARCHAR, NONE, NONE, NONE, NONE, NONE, "'", NULL, false,
     false, SEARCHABLE_FULL},
    TIMES("date", XDBC_DATE, SUBCODE_DATE, 10),
    TIMES("time", XDBC_TIME, SUBCODE_TIME, 15),
    TIMES("timestamp", XDBC_TIMESTAMP, SUBCODE_TIMESTAMP, 29),
    TIMES("timestamp with time zone", XDBC_TIMESTAMP, SUBCODE_TIMESTAMP_TZ, 35),
};

/* ---- rows -------------------------------------------------------------------------- */

/* The columns are given in order. */
struct row {
  struct ArrowArray *rows;
  int64_t column;
  int code; /* the first failure */
};

static struct ArrowArray *next_column(struct row *row) {
  return row->rows->children[row->column++];
}
static void put(struct row *row, int code) {
  if (row->code == NANOARROW_OK) row->code = code;
}
static void put_text(struct row *row, const char *text) {
  struct ArrowArray *column = next_column(row);
  put(row, text ? ArrowArrayAppendString(column, ArrowCharView(text))
                : ArrowArrayAppendNull(column, 1));
}
static void put_number(struct row *row, int32_t number) {
  struct ArrowArray *column = next_column(row);
  put(row, number == NONE ? ArrowArrayAppendNull(column, 1)
                          : ArrowArrayAppendInt(column, number));
}
static void put_null(struct row *row) {
  put(row, ArrowArrayAppendNull(next_column(row), 1));
}

static void put_params(struct row *row, const char *params) {
  if (!params) {
    put_null(row);
    return;
  }
  struct ArrowArray *column = next_column(row);
  struct ig_str one, rest = ig_str_from_cstr(params);
  while (rest.len) {
    (void)ig_str_split(rest, ',', &one, &rest);
    struct ArrowStringView view = {one.data, (int64_t)one.len};
    put(row, ArrowArrayAppendString(column->children[0], view));
  }
  put(row, ArrowArrayFinishElement(column));
}

static int append_type(const struct type *type, struct ArrowArray *rows) {
  struct row row = {.rows = rows};
  bool is_text = type->data_type == XDBC_VARCHAR;
  put_text(&row, type->name);
  put_number(&row, type->data_type);
  put_number(&row, type->size);
  put_text(&row, type->quote);
  put_text(&row, type->quote);
  put_params(&row, type->params);
  put_number(&row, 1); /* may be NULL */
  put_number(&row, is_text);
  put_number(&row, type->searchable);
  put_number(&row, type->is_number ? type->is_unsigned : NONE);
  put_number(&row, false); /* no money type */
  put_number(&row, type->is_number ? false : NONE);
  put_text(&row, type->name);
  put_number(&row, type->scale_min);
  put_number(&row, type->scale_max);
  put_number(&row, type->sql_data_type);
  put_number(&row, type->subcode);
  put_number(&row, type->radix);
  put_null(&row); /* interval_precision */
  put(&row, ArrowArrayFinishElement(rows));
  return row.code;
}

igloo_status ig_flight_fill_type_info(const struct ig_command_get_xdbc_type_info *command,
                                      struct ArrowArray *rows,
                                      struct igloo_error *reterr) {
  for (size_t i = 0; i < IG_ARRAY_LEN(types); i++) {
    if (command->has_data_type && types[i].data_type != command->data_type) continue;
    if (append_type(&types[i], rows) != NANOARROW_OK) return ig_fail_oom(reterr);
  }
  return IGLOO_OK;
}
