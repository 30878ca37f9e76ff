/* ingest.c -- bulk writes: a table made from the rows' schema, and one prepared INSERT,
 * in one transaction. */
#include <string.h>

#include "sqlite/sqlite.h"

#define SQL_BYTES_MAX ((size_t)1024 * 1024)

/* What SQLite's REAL keeps of a decimal number. */
enum { REAL_DIGITS = 15 };

struct ingest {
  struct igs_connection *connection;
  const struct igd_statement *statement;
  struct igd_rows rows;
  bool *numeric; /* owned; by column: what goes in as digits becomes a REAL */
};

static void append_target(const struct ingest *ingest, struct ig_buf *sql) {
  const struct igd_statement *statement = ingest->statement;
  const char *schema = statement->ingest_schema;
  if (!schema || !*schema) schema = statement->ingest_catalog;
  if (statement->ingest_temporary) schema = "temp";
  igs_append_name(sql, schema && *schema ? schema : "main");
  ig_buf_append_char(sql, '.');
  igs_append_name(sql, statement->ingest_table);
}

/* ---- making the table ----------------------------------------------------------------
 */

static igloo_status append_type(struct ig_buf *sql, const struct igd_rows_column *column,
                                struct igd_error *reterr) {
  const struct ArrowSchemaView *type = &column->type;
  switch ((int)type->type) {
    case NANOARROW_TYPE_BOOL:
      ig_buf_append_cstr(sql, "BOOLEAN");
      return IGLOO_OK;
    case NANOARROW_TYPE_INT8:
    case NANOARROW_TYPE_INT16:
    case NANOARROW_TYPE_INT32:
    case NANOARROW_TYPE_INT64:
    case NANOARROW_TYPE_UINT8:
    case NANOARROW_TYPE_UINT16:
    case NANOARROW_TYPE_UINT32:
    case NANOARROW_TYPE_UINT64:
      ig_buf_append_cstr(sql, "INTEGER");
      return IGLOO_OK;
    case NANOARROW_TYPE_HALF_FLOAT:
    case NANOARROW_TYPE_FLOAT:
    case NANOARROW_TYPE_DOUBLE:
      ig_buf_append_cstr(sql, "REAL");
      return IGLOO_OK;
    case NANOARROW_TYPE_NA:
    case NANOARROW_TYPE_STRING:
    case NANOARROW_TYPE_LARGE_STRING:
    case NANOARROW_TYPE_STRING_VIEW:
      ig_buf_append_cstr(sql, "TEXT");
      return IGLOO_OK;
    case NANOARROW_TYPE_BINARY:
    case NANOARROW_TYPE_LARGE_BINARY:
    case NANOARROW_TYPE_BINARY_VIEW:
    case NANOARROW_TYPE_FIXED_SIZE_BINARY:
      ig_buf_append_cstr(sql, "BLOB");
      return IGLOO_OK;
    case NANOARROW_TYPE_DATE32:
    case NANOARROW_TYPE_DATE64:
      ig_buf_append_cstr(sql, "DATE");
      return IGLOO_OK;
    case NANOARROW_TYPE_TIME32:
    case NANOARROW_TYPE_TIME64:
      ig_buf_append_cstr(sql, "TIME");
      return IGLOO_OK;
    case NANOARROW_TYPE_TIMESTAMP:
      ig_buf_append_cstr(sql,
                         type->timezone && *type->timezone ? "TIMESTAMPTZ" : "TIMESTAMP");
      return IGLOO_OK;
    case NANOARROW_TYPE_DECIMAL32:
    case NANOARROW_TYPE_DECIMAL64:
    case NANOARROW_TYPE_DECIMAL128:
      if (type->decimal_scale < 0) break;
      /* More digits than a REAL keeps are kept as text, under a name that says so. */
      ig_buf_append_fmt(sql, "%s(%d, %d)",
                        type->decimal_precision > REAL_DIGITS ? "DECIMALTEXT" : "DECIMAL",
                        type->decimal_precision, type->decimal_scale);
      return IGLOO_OK;
    default:
      break;
  }
  return ig_fail(&reterr->base, IGLOO_UNSUPPORTED,
                 "column \"%s\" has values of type %s, which SQLite cannot store",
                 column->name, ArrowTypeString(type->type));
}

static igloo_status create_table(const struct ingest *ingest, struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(SQL_BYTES_MAX);
  bool lenient = ingest->statement->ingest_mode == IGD_INGEST_CREATE_APPEND;
  ig_buf_append_cstr(&sql, lenient ? "CREATE TABLE IF NOT EXISTS " : "CREATE TABLE ");
  append_target(ingest, &sql);
  for (int64_t i = 0; i < ingest->rows.columns_count; i++) {
    ig_buf_append_cstr(&sql, i > 0 ? ", " : " (");
    igs_append_name(&sql, ingest->rows.columns[i].name);
    ig_buf_append_char(&sql, ' ');
    IG_TRY(append_type(&sql, &ingest->rows.columns[i], reterr));
    if (!(ingest->rows.schema.children[i]->flags & ARROW_FLAG_NULLABLE))
      ig_buf_append_cstr(&sql, " NOT NULL");
  }
  ig_buf_append_char(&sql, ')');
  IG_TRY(ig_buf_check(&sql, &reterr->base));
  return igs_run(ingest->connection, sql.data, reterr);
}

static igloo_status drop_table(const struct ingest *ingest, struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(SQL_BYTES_MAX);
  ig_buf_append_cstr(&sql, "DROP TABLE IF EXISTS ");
  append_target(ingest, &sql);
  IG_TRY(ig_buf_check(&sql, &reterr->base));
  return igs_run(ingest->connection, sql.data, reterr);
}

static igloo_status make_table(const struct ingest *ingest, struct igd_error *reterr) {
  if (ingest->statement->ingest_mode == IGD_INGEST_APPEND) return IGLOO_OK;
  if (ingest->statement->ingest_mode == IGD_INGEST_REPLACE)
    IG_TRY(drop_table(ingest, reterr));
  return create_table(ingest, reterr);
}

/* ---- filling it ----------------------------------------------------------------------
 */

static bool is_decimal(const struct ArrowSchemaView *type) {
  return type->type == NANOARROW_TYPE_DECIMAL32 ||
         type->type == NANOARROW_TYPE_DECIMAL64 ||
         type->type == NANOARROW_TYPE_DECIMAL128 ||
         type->type == NANOARROW_TYPE_DECIMAL256;
}

/* The INSERT, and what its columns do to decimals: the affinity of the table's columns
 * says. */
static igloo_status prepare_insert(struct ingest *ingest, sqlite3_stmt **ret_insert,
                                   struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) names = IG_BUF_INIT(SQL_BYTES_MAX);
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(SQL_BYTES_MAX);
  for (int64_t i = 0; i < ingest->rows.columns_count; i++) {
    if (i > 0) ig_buf_append_cstr(&names, ", ");
    igs_append_name(&names, ingest->rows.columns[i].name);
  }
  IG_TRY(ig_buf_check(&names, &reterr->base));
  ig_buf_append_cstr(&sql, "SELECT ");
  ig_buf_append_str(&sql, ig_buf_str(&names));
  ig_buf_append_cstr(&sql, " FROM ");
  append_target(ingest, &sql);
  IG_TRY(ig_buf_check(&sql, &reterr->base));
  IGS_AUTO_STMT *columns = NULL;
  IG_TRY(igs_prepare(ingest->connection, sql.data, &columns, reterr));
  for (int i = 0; i < ingest->rows.columns_count; i++) {
    enum igs_affinity affinity = igs_affinity_of(sqlite3_column_decltype(columns, i));
    ingest->numeric[i] = is_decimal(&ingest->rows.columns[i].type) &&
                         affinity != IGS_AFFINITY_TEXT && affinity != IGS_AFFINITY_NONE;
  }

  ig_buf_clear(&sql);
  ig_buf_append_cstr(&sql, "INSERT INTO ");
  append_target(ingest, &sql);
  ig_buf_append_cstr(&sql, " (");
  ig_buf_append_str(&sql, ig_buf_str(&names));
  ig_buf_append_cstr(&sql, ") VALUES (");
  for (int64_t i = 0; i < ingest->rows.columns_count; i++)
    ig_buf_append_cstr(&sql, i > 0 ? ", ?" : "?");
  ig_buf_append_char(&sql, ')');
  IG_TRY(ig_buf_check(&sql, &reterr->base));
  return igs_prepare(ingest->connection, sql.data, ret_insert, reterr);
}

/* A decimal that a REAL would round. */
static igloo_status check_digits(const struct ingest *ingest, int64_t column,
                                 struct igd_error *reterr) {
  struct igd_cell cell = igd_rows_cell(&ingest->rows, column);
  if (!ingest->numeric[column] || igd_cell_is_null(cell)) return IGLOO_OK;
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(256);
  IG_TRY(igd_cell_text(cell, &text, reterr));
  int digits = 0, zeros = 0;
  bool point = false;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.data[i];
    point = point || c == '.';
    if (!ig_ascii_is_digit(c) || (digits == 0 && c == '0')) continue;
    digits++;
    zeros = c == '0' ? zeros + 1 : 0;
  }
  bool whole = !point && digits <= 18; /* an INTEGER */
  if (whole || digits - zeros <= REAL_DIGITS) return IGLOO_OK;
  (void)ig_fail_state(
      &reterr->base, IGLOO_DATA_ERROR, "22003",
      "a value of column \"%s\" has more than %d digits, which its type in "
      "SQLite does not keep",
      ingest->rows.columns[column].name, REAL_DIGITS);
  ig_error_hint(&reterr->base, "A column declared DECIMALTEXT(p, s) keeps all digits.");
  return reterr->base.status;
}

static igloo_status insert_rows(struct ingest *ingest, struct igd_error *reterr) {
  IGS_AUTO_STMT *insert = NULL;
  IG_TRY(prepare_insert(ingest, &insert, reterr));
  for (bool more = true;;) {
    bool row = false;
    if (igd_statement_is_cancelled(ingest->statement)) return igd_fail_cancelled(reterr);
    IG_TRY(igd_rows_next(&ingest->rows, &more, reterr));
    if (!more) return IGLOO_OK;
    for (int64_t i = 0; i < ingest->rows.columns_count; i++)
      IG_TRY(check_digits(ingest, i, reterr));
    IG_TRY(igs_bind_row(insert, &ingest->rows, reterr));
    IG_TRY(igs_step(ingest->connection, insert, &row, reterr));
    (void)sqlite3_reset(insert);
  }
}

/* ---- all or nothing ------------------------------------------------------------------
 */

static igloo_status write_all(struct ingest *ingest, struct igd_error *reterr) {
  struct igs_connection *connection = ingest->connection;
  if (ingest->rows.columns_count == 0)
    return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT, "the rows have no columns");
  ingest->numeric =
      ig_calloc((size_t)ingest->rows.columns_count, sizeof(*ingest->numeric));
  if (!ingest->numeric) return ig_fail_oom(&reterr->base);
  IG_TRY(igs_run(connection, "SAVEPOINT igloo_ingest", reterr));
  igloo_status status = make_table(ingest, reterr);
  if (status == IGLOO_OK) status = insert_rows(ingest, reterr);
  if (status == IGLOO_OK) status = igs_run(connection, "RELEASE igloo_ingest", reterr);
  if (status != IGLOO_OK) {
    igs_undo(connection, "ROLLBACK TO igloo_ingest; RELEASE igloo_ingest");
  }
  return status;
}

igloo_status igs_ingest(struct igd_statement *statement, struct ArrowArrayStream *bound,
                        int64_t *ret_affected, struct igd_error *reterr) {
  struct ingest ingest = {.connection = (struct igs_connection *)statement->connection,
                          .statement = statement};
  igs_begin_work(ingest.connection);
  ingest.connection->running = statement;
  igloo_status status = igd_rows_open(bound, &ingest.rows, reterr);
  if (status == IGLOO_OK) status = write_all(&ingest, reterr);
  if (status == IGLOO_OK) *ret_affected = ingest.rows.count;
  ingest.connection->running = NULL;
  igd_rows_done(&ingest.rows);
  ig_free(ingest.numeric);
  return status;
}
