/* statement.c -- queries: preparing, binding, running. */
#include "arrow/stream.h"
#include "sqlite/sqlite.h"

void igs_statement_reset(struct igd_statement *base) {
  struct igs_statement *statement = (struct igs_statement *)base;
  igs_columns_forget(statement);
  igs_finalize(&statement->handle);
}

/* ---- preparing -----------------------------------------------------------------------
 */

/* What follows a statement may only be space and comments. */
static igloo_status check_tail(struct igs_connection *connection, const char *tail,
                               struct igd_error *reterr) {
  while (tail && *tail) {
    IGS_AUTO_STMT *handle = NULL;
    int code = sqlite3_prepare_v2(connection->db, tail, -1, &handle, &tail);
    if (code != SQLITE_OK || handle)
      return ig_fail(&reterr->base, IGLOO_SYNTAX_ERROR,
                     "cannot run multiple statements in one");
  }
  return IGLOO_OK;
}

/* Where a statement went wrong, in SQLite's count of bytes; -1: unknown. */
static void tell_position(sqlite3 *db, const char *query, struct igd_error *reterr) {
  int offset = sqlite3_error_offset(db);
  int32_t line = 1, column = 1;
  if (offset < 0) return;
  for (int i = 0; i < offset && query[i]; i++) {
    if (query[i] == '\n') {
      line++;
      column = 1;
    } else if (((unsigned char)query[i] & 0xc0) != 0x80) {
      column++;
    }
  }
  ig_error_position(&reterr->base, line, column);
}

static igloo_status prepare_handle(struct igs_statement *statement,
                                   struct igd_error *reterr) {
  struct igs_connection *connection = igs_connection_of(statement);
  const char *tail = NULL;
  IGS_AUTO_STMT *handle = NULL;
  int code = sqlite3_prepare_v3(connection->db, statement->base.query, -1,
                                SQLITE_PREPARE_PERSISTENT, &handle, &tail);
  if (code != SQLITE_OK) {
    igloo_status status = igs_fail(connection->db, code, reterr);
    tell_position(connection->db, statement->base.query, reterr);
    return status;
  }
  if (!handle)
    return ig_fail(&reterr->base, IGLOO_SYNTAX_ERROR, "the query has no statement");
  IG_TRY(check_tail(connection, tail, reterr));
  statement->handle = IG_TAKE(handle);
  return IGLOO_OK;
}

static igloo_status check_read_only(const struct igs_statement *statement,
                                    struct igd_error *reterr) {
  if (!statement->read_only || sqlite3_stmt_readonly(statement->handle)) return IGLOO_OK;
  return ig_fail_state(&reterr->base, IGLOO_PERMISSION_DENIED, "25006",
                       "cannot execute a statement that writes in read-only mode");
}

static igloo_status ensure_prepared(struct igs_statement *statement,
                                    struct igd_error *reterr) {
  struct igs_connection *connection = igs_connection_of(statement);
  igs_begin_work(connection);
  if (!statement->handle) IG_TRY(prepare_handle(statement, reterr));
  return check_read_only(statement, reterr);
}

igloo_status igs_prepare_query(struct igd_statement *base, struct igd_error *reterr) {
  return ensure_prepared((struct igs_statement *)base, reterr);
}

igloo_status igs_schema(struct igd_statement *base, struct ArrowSchema *ret_schema,
                        struct igd_error *reterr) {
  struct igs_statement *statement = (struct igs_statement *)base;
  IG_TRY(ensure_prepared(statement, reterr));
  IG_TRY(igs_columns_find(statement, reterr));
  return igs_columns_schema(statement, ret_schema, reterr);
}

/* SQLite does not know what its parameters will be. */
igloo_status igs_parameters(struct igd_statement *base, struct ArrowSchema *ret_schema,
                            struct igd_error *reterr) {
  struct igs_statement *statement = (struct igs_statement *)base;
  IG_TRY(ensure_prepared(statement, reterr));
  int count = sqlite3_bind_parameter_count(statement->handle);
  struct ArrowSchema schema;
  ArrowSchemaInit(&schema);
  int code = ArrowSchemaSetTypeStruct(&schema, count);
  for (int i = 0; i < count && code == NANOARROW_OK; i++) {
    const char *name = sqlite3_bind_parameter_name(statement->handle, i + 1);
    code = ArrowSchemaSetType(schema.children[i], NANOARROW_TYPE_NA);
    if (code == NANOARROW_OK)
      code = ArrowSchemaSetName(schema.children[i], name ? name : "");
  }
  if (code != NANOARROW_OK) {
    ArrowSchemaRelease(&schema);
    return ig_fail_oom(&reterr->base);
  }
  ArrowSchemaMove(&schema, ret_schema);
  return IGLOO_OK;
}

/* ---- running -------------------------------------------------------------------------
 */

igloo_status igs_step_query(struct igs_statement *statement, bool *ret_row,
                            struct igd_error *reterr) {
  struct igs_connection *connection = igs_connection_of(statement);
  /* Preparing asked in the connection's name; from here cancelling the statement counts.
   * What runs inside a reader's fetch may be another statement of the connection. */
  const struct igd_statement *outer = connection->running;
  connection->running = &statement->base;
  igloo_status status = igs_step(connection, statement->handle, ret_row, reterr);
  connection->running = outer;
  return status;
}

/* The parameters of one execution: one row, or none where it takes none. */
static igloo_status bind_first(struct igs_statement *statement, struct igd_rows *rows,
                               bool *ret_bound, struct igd_error *reterr) {
  int count = sqlite3_bind_parameter_count(statement->handle);
  *ret_bound = true;
  if (!rows) {
    if (count == 0) return IGLOO_OK;
    return ig_fail_state(&reterr->base, IGLOO_INVALID_ARGUMENT, "08P01",
                         "the statement takes %d parameters, and none is bound", count);
  }
  if (rows->columns_count != count)
    return ig_fail_state(&reterr->base, IGLOO_INVALID_ARGUMENT, "08P01",
                         "the statement takes %d parameters, and %lld are bound", count,
                         (long long)rows->columns_count);
  IG_TRY(igd_rows_next(rows, ret_bound, reterr));
  return *ret_bound ? igs_bind_row(statement->handle, rows, reterr) : IGLOO_OK;
}

/* Drain one execution and count what it changed. */
static igloo_status run_once(struct igs_statement *statement, int64_t *affected,
                             struct igd_error *reterr) {
  sqlite3 *db = igs_connection_of(statement)->db;
  int64_t before = sqlite3_total_changes64(db);
  for (bool row = true; row;) IG_TRY(igs_step_query(statement, &row, reterr));
  if (sqlite3_total_changes64(db) != before) *affected += sqlite3_changes64(db);
  (void)sqlite3_reset(statement->handle);
  return IGLOO_OK;
}

static igloo_status run_all(struct igs_statement *statement, struct igd_rows *rows,
                            int64_t *ret_affected, struct igd_error *reterr) {
  int64_t affected = 0;
  bool more = false;
  IG_TRY(bind_first(statement, rows, &more, reterr));
  while (more) {
    IG_TRY(run_once(statement, &affected, reterr));
    if (!rows) break;
    IG_TRY(igd_rows_next(rows, &more, reterr));
    if (more) IG_TRY(igs_bind_row(statement->handle, rows, reterr));
  }
  *ret_affected = affected;
  return IGLOO_OK;
}

/* Many rows are one change: all of them or none. */
static igloo_status run_many(struct igs_statement *statement, struct igd_rows *rows,
                             int64_t *ret_affected, struct igd_error *reterr) {
  struct igs_connection *connection = igs_connection_of(statement);
  if (!rows || sqlite3_stmt_readonly(statement->handle))
    return run_all(statement, rows, ret_affected, reterr);
  IG_TRY(igs_run(connection, "SAVEPOINT igloo_rows", reterr));
  igloo_status status = run_all(statement, rows, ret_affected, reterr);
  (void)sqlite3_reset(statement->handle);
  if (status != IGLOO_OK)
    igs_undo(connection, "ROLLBACK TO igloo_rows; RELEASE igloo_rows");
  else
    status = igs_run(connection, "RELEASE igloo_rows", reterr);
  return status;
}

/* Take the first row, so that what fails at once fails here, and the moment of reading is
 * now; SQLite may have prepared the query anew for it, with other columns. */
static igloo_status start_reading(struct igs_statement *statement, struct igd_rows *rows,
                                  struct igd_result *ret_result,
                                  struct igd_error *reterr) {
  bool bound = false, row = false;
  IG_TRY(bind_first(statement, rows, &bound, reterr));
  if (bound) IG_TRY(igs_step_query(statement, &row, reterr));
  if (sqlite3_stmt_status(statement->handle, SQLITE_STMTSTATUS_REPREPARE, 0) !=
      statement->reprepared)
    igs_columns_forget(statement);
  IG_TRY(igs_columns_find(statement, reterr));
  return igs_columns_schema(statement, &ret_result->schema, reterr);
}

static igloo_status read_query(struct igs_statement *statement, struct igd_rows *rows,
                               struct igd_result *ret_result, struct igd_error *reterr) {
  IG_TRY(igs_columns_find(statement, reterr));
  igloo_status status = start_reading(statement, rows, ret_result, reterr);
  bool row = status == IGLOO_OK && sqlite3_data_count(statement->handle) > 0;
  if (status == IGLOO_OK) {
    struct igd_rows taken = rows ? *rows : (struct igd_rows){0};
    if (rows) *rows = (struct igd_rows){0};
    status =
        igs_reader_new(statement, row, rows ? &taken : NULL, &ret_result->reader, reterr);
  }
  if (status != IGLOO_OK) {
    (void)sqlite3_reset(statement->handle);
    if (ret_result->schema.release) ArrowSchemaRelease(&ret_result->schema);
  }
  return status;
}

igloo_status igs_execute(struct igd_statement *base, struct ArrowArrayStream *bound,
                         bool want_rows, struct igd_result *ret_result,
                         struct igd_error *reterr) {
  struct igs_statement *statement = (struct igs_statement *)base;
  struct igd_rows rows = {0};
  igloo_status status = ensure_prepared(statement, reterr);
  if (status == IGLOO_OK && bound) status = igd_rows_open(bound, &rows, reterr);
  if (status == IGLOO_OK) {
    (void)sqlite3_reset(statement->handle);
    if (want_rows && sqlite3_column_count(statement->handle) > 0)
      status = read_query(statement, bound ? &rows : NULL, ret_result, reterr);
    else
      status = run_many(statement, bound ? &rows : NULL, &ret_result->affected, reterr);
  }
  if (bound) igd_rows_done(&rows);
  return status;
}
