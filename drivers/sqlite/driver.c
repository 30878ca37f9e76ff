/* driver.c -- the backend: options, opening a database, transactions. */
#include <string.h>

#include "base/parse.h"
#include "common/driver.h"
#include "sqlite/sqlite.h"

/* Between two looks at a cancel flag: about 10 microseconds of SQLite's machine. */
enum { PROGRESS_STEPS = 1000 };

/* A lock of another process is looked at so often. */
enum { BUSY_POLL_MS = 5 };

static const char *const modes[] = {[IGS_MODE_READ_WRITE] = "rw",
                                    [IGS_MODE_READ_ONLY] = "ro",
                                    [IGS_MODE_CREATE] = "rwc",
                                    NULL};
static const char *const misfits[] = {[IGS_MISFIT_ERROR] = "error",
                                      [IGS_MISFIT_NULL] = "null",
                                      [IGS_MISFIT_TEXT] = "text",
                                      NULL};
static const char *const datetimes[] = {[IGS_DATETIME_TEXT] = "text",
                                        [IGS_DATETIME_UNIX] = "unix",
                                        [IGS_DATETIME_JULIAN] = "julian",
                                        NULL};

static const struct igd_option database_options[] = {
    {.key = ADBC_OPTION_URI,
     .kind = IGD_OPTION_TEXT,
     .flags = IGD_OPTION_EARLY,
     .offset = offsetof(struct igs_database, uri)},
    {.key = "igloo.sqlite.mode",
     .kind = IGD_OPTION_CHOICE,
     .flags = IGD_OPTION_EARLY,
     .offset = offsetof(struct igs_database, mode),
     .choices = modes},
    {.key = "igloo.sqlite.misfit",
     .kind = IGD_OPTION_CHOICE,
     .flags = IGD_OPTION_EARLY,
     .offset = offsetof(struct igs_database, misfit),
     .choices = misfits},
    {.key = "igloo.sqlite.datetime",
     .kind = IGD_OPTION_CHOICE,
     .flags = IGD_OPTION_EARLY,
     .offset = offsetof(struct igs_database, datetime),
     .choices = datetimes},
    {.key = "igloo.sqlite.busy_timeout_ms",
     .kind = IGD_OPTION_INT,
     .flags = IGD_OPTION_EARLY,
     .offset = offsetof(struct igs_database, busy_timeout_ms),
     .initial = "5000",
     .min = 0,
     .max = 3600000},
    {.key = NULL},
};

static igloo_status get_schema_name(void *object, struct ig_buf *ret_value,
                                    struct igd_error *reterr) {
  (void)object;
  ig_buf_append_cstr(ret_value, "main");
  return ig_buf_check(ret_value, &reterr->base);
}

/* A text of our own, which may do what on_statement() keeps from others. */
static igloo_status run_trusted(struct igs_connection *connection, const char *sql,
                                struct igd_error *reterr) {
  connection->trusted = true;
  igloo_status status = igs_run(connection, sql, reterr);
  connection->trusted = false;
  return status;
}

static igloo_status apply_read_only(void *object, const char *value,
                                    struct igd_error *reterr) {
  bool wanted = false;
  IG_TRY(ig_parse_bool(ig_str_from_cstr(value), &wanted, &reterr->base));
  return run_trusted(object, wanted ? "PRAGMA query_only = 1" : "PRAGMA query_only = 0",
                     reterr);
}

static const struct igd_option connection_options[] = {
    {.key = ADBC_CONNECTION_OPTION_READ_ONLY,
     .kind = IGD_OPTION_BOOL,
     .offset = offsetof(struct igs_connection, read_only),
     .initial = ADBC_OPTION_VALUE_DISABLED,
     .apply = apply_read_only},
    {.key = ADBC_CONNECTION_OPTION_CURRENT_DB_SCHEMA,
     .kind = IGD_OPTION_TEXT,
     .flags = IGD_OPTION_READ_ONLY,
     .offset = IGD_NOT_STORED,
     .get = get_schema_name},
    {.key = NULL},
};

static const struct igd_option statement_options[] = {
    {.key = "igloo.batch_bytes",
     .kind = IGD_OPTION_INT,
     .offset = offsetof(struct igs_statement, batch_bytes),
     .initial = "4194304",
     .min = 1,
     .max = 1 << 30},
    {.key = "igloo.batch_rows",
     .kind = IGD_OPTION_INT,
     .offset = offsetof(struct igs_statement, batch_rows),
     .initial = "65536",
     .min = 1,
     .max = 1 << 24},
    {.key = "igloo.read_only",
     .kind = IGD_OPTION_BOOL,
     .offset = offsetof(struct igs_statement, read_only)},
    {.key = NULL},
};

/* ---- small queries -------------------------------------------------------------------
 */

igloo_status igs_prepare(struct igs_connection *connection, const char *sql,
                         sqlite3_stmt **ret_handle, struct igd_error *reterr) {
  int code = sqlite3_prepare_v2(connection->db, sql, -1, ret_handle, NULL);
  return code == SQLITE_OK ? IGLOO_OK : igs_fail(connection->db, code, reterr);
}

igloo_status igs_bind_text(sqlite3_stmt *handle, int index, const char *text,
                           struct igd_error *reterr) {
  int code = text ? sqlite3_bind_text(handle, index, text, -1, SQLITE_STATIC)
                  : sqlite3_bind_null(handle, index);
  return code == SQLITE_OK ? IGLOO_OK : igs_fail(sqlite3_db_handle(handle), code, reterr);
}

igloo_status igs_step(struct igs_connection *connection, sqlite3_stmt *handle,
                      bool *ret_row, struct igd_error *reterr) {
  int code = sqlite3_step(handle);
  if (code != SQLITE_ROW && code != SQLITE_DONE)
    return igs_fail(connection->db, code, reterr);
  *ret_row = code == SQLITE_ROW;
  return IGLOO_OK;
}

igloo_status igs_run(struct igs_connection *connection, const char *sql,
                     struct igd_error *reterr) {
  int code = sqlite3_exec(connection->db, sql, NULL, NULL, NULL);
  return code == SQLITE_OK ? IGLOO_OK : igs_fail(connection->db, code, reterr);
}

void igs_undo(struct igs_connection *connection, const char *sql) {
  igs_begin_work(connection);
  (void)sqlite3_exec(connection->db, sql, NULL, NULL, NULL);
}

void igs_finalize(sqlite3_stmt **handle) {
  (void)sqlite3_finalize(*handle);
  *handle = NULL;
}

const char *igs_text(sqlite3_stmt *handle, int column) {
  const unsigned char *text = sqlite3_column_text(handle, column);
  return text ? (const char *)text : "";
}

void igs_append_name(struct ig_buf *sql, const char *name) {
  ig_buf_append_char(sql, '"');
  for (; *name; name++) {
    if (*name == '"') ig_buf_append_char(sql, '"');
    ig_buf_append_char(sql, *name);
  }
  ig_buf_append_char(sql, '"');
}

void igs_begin_work(struct igs_connection *connection) {
  connection->running = NULL;
  connection->cancels_seen = atomic_load(&connection->base.cancels);
}

/* ---- opening -------------------------------------------------------------------------
 */

static igloo_status init_database(struct igd_database *base, struct igd_error *reterr) {
  const struct igs_database *database = (const struct igs_database *)base;
  if (database->uri && *database->uri) return IGLOO_OK;
  (void)ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT, "the option \"uri\" is missing");
  ig_error_hint(&reterr->base,
                "It is a path, \"file:…\" as SQLite reads it, or \":memory:\".");
  return reterr->base.status;
}

static bool is_cancelled(struct igs_connection *connection) {
  return connection->running
             ? igd_statement_is_cancelled(connection->running)
             : igd_connection_is_cancelled(&connection->base, connection->cancels_seen);
}

static int on_progress(void *ctx) {
  return is_cancelled(ctx);
}

/* Wait for another's lock, as long as the option allows and nobody cancels. */
static int on_busy(void *ctx, int tries) {
  struct igs_connection *connection = ctx;
  int64_t limit_ms = igs_database_of(connection)->busy_timeout_ms;
  if ((int64_t)tries * BUSY_POLL_MS >= limit_ms || is_cancelled(connection)) return 0;
  (void)sqlite3_sleep(BUSY_POLL_MS);
  return 1;
}

/* "sqlite:PATH" and "sqlite:///PATH" are paths too. */
static const char *path_of(const char *uri) {
  struct ig_str view = ig_str_from_cstr(uri);
  if (!ig_str_starts_ci(view, IG_STR("sqlite:"))) return uri;
  uri += strlen("sqlite:");
  return ig_str_starts(ig_str_from_cstr(uri), IG_STR("///")) ? uri + 2 : uri;
}

static int open_flags(const struct igs_connection *connection, const char *path) {
  int flags = SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  int mode = igs_database_of(connection)->mode;
  if (mode == IGS_MODE_READ_ONLY) return flags | SQLITE_OPEN_READONLY;
  flags |= SQLITE_OPEN_READWRITE;
  bool memory = strcmp(path, ":memory:") == 0;
  return mode == IGS_MODE_CREATE || memory ? flags | SQLITE_OPEN_CREATE : flags;
}

/* Asked when a statement is prepared. Pragmas that would loosen what harden() and the
 * options hold, or change the whole process, are refused when they are given a value. */
static int on_statement(void *ctx, int action, const char *name, const char *value,
                        const char *schema, const char *inside) {
  static const char *const kept[] = {
      "query_only",           "trusted_schema",  "writable_schema",
      "temp_store_directory", "hard_heap_limit", "data_store_directory",
      "soft_heap_limit",      "cell_size_check", "mmap_size"};
  const struct igs_connection *connection = ctx;
  (void)schema, (void)inside;
  if (action != SQLITE_PRAGMA || !value || connection->trusted) return SQLITE_OK;
  for (size_t i = 0; i < IG_ARRAY_LEN(kept); i++)
    if (ig_str_eq_cstr_ci(ig_str_from_cstr(name), kept[i])) return SQLITE_DENY;
  return SQLITE_OK;
}

/* A database file may be a stranger's: what its schema says is not trusted, and no
 * statement reaches another file. */
static igloo_status harden(struct igs_connection *connection, struct igd_error *reterr) {
  static const struct {
    int option, value;
  } settings[] = {
      {SQLITE_DBCONFIG_DEFENSIVE, 1},
      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
      {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
      {SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0},
      /* "x" is a name or an error, never a text: a column that went away must not read
       * as its own name in every row. */
      {SQLITE_DBCONFIG_DQS_DML, 0},
      {SQLITE_DBCONFIG_ENABLE_FKEY, 1},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(settings); i++) {
    int code =
        sqlite3_db_config(connection->db, settings[i].option, settings[i].value, NULL);
    if (code != SQLITE_OK) return igs_fail(connection->db, code, reterr);
  }
  (void)sqlite3_limit(connection->db, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_progress_handler(connection->db, PROGRESS_STEPS, on_progress, connection);
  (void)sqlite3_busy_handler(connection->db, on_busy, connection);
  (void)sqlite3_set_authorizer(connection->db, on_statement, connection);
  IG_TRY(run_trusted(connection, "PRAGMA cell_size_check = ON", reterr));
  return connection->read_only ? apply_read_only(connection, "true", reterr) : IGLOO_OK;
}

static igloo_status open_connection(struct igd_connection *base,
                                    struct igd_error *reterr) {
  struct igs_connection *connection = (struct igs_connection *)base;
  const char *path = path_of(igs_database_of(connection)->uri);
  igs_begin_work(connection);
  int code = sqlite3_open_v2(path, &connection->db, open_flags(connection, path), NULL);
  if (code != SQLITE_OK) return igs_fail_open(connection->db, code, path, reterr);
  IG_TRY(harden(connection, reterr));
  /* A file is only looked at when something is asked: what is no database shows here. */
  code = sqlite3_exec(connection->db, "SELECT 1 FROM main.sqlite_schema LIMIT 1", NULL,
                      NULL, NULL);
  return code == SQLITE_OK ? IGLOO_OK : igs_fail_open(connection->db, code, path, reterr);
}

static void close_connection(struct igd_connection *base) {
  struct igs_connection *connection = (struct igs_connection *)base;
  /* All statements are gone: they keep the connection. */
  (void)sqlite3_close(connection->db);
  connection->db = NULL;
}

/* ---- transactions --------------------------------------------------------------------
 */

static igloo_status run_now(struct igd_connection *base, const char *sql,
                            struct igd_error *reterr) {
  struct igs_connection *connection = (struct igs_connection *)base;
  igs_begin_work(connection);
  return igs_run(connection, sql, reterr);
}

static igloo_status begin(struct igd_connection *base, struct igd_error *reterr) {
  return run_now(base, "BEGIN", reterr);
}

static bool in_transaction(struct igd_connection *base) {
  return !sqlite3_get_autocommit(((struct igs_connection *)base)->db);
}

/* A statement of the caller's, or a severe error, may have ended it already. */
static igloo_status commit(struct igd_connection *base, struct igd_error *reterr) {
  return in_transaction(base) ? run_now(base, "COMMIT", reterr) : IGLOO_OK;
}

static igloo_status rollback(struct igd_connection *base, struct igd_error *reterr) {
  return in_transaction(base) ? run_now(base, "ROLLBACK", reterr) : IGLOO_OK;
}

static igloo_status tell_info(struct igd_connection *connection, igd_info *info,
                              struct igd_error *reterr) {
  (void)connection, (void)reterr;
  igd_info_text(info, ADBC_INFO_VENDOR_VERSION, sqlite3_libversion());
  igd_info_bool(info, ADBC_INFO_VENDOR_SQL, true);
  igd_info_bool(info, ADBC_INFO_VENDOR_SUBSTRAIT, false);
  return IGLOO_OK;
}

/* ---- the backend ---------------------------------------------------------------------
 */

static const char *const table_types[] = {"table", "view", NULL};

static const struct igd_backend backend = {
    .driver_name = "Igloo SQLite driver",
    .driver_version = IGD_VERSION,
    .vendor_name = "SQLite",
    .database_bytes = sizeof(struct igs_database),
    .connection_bytes = sizeof(struct igs_connection),
    .statement_bytes = sizeof(struct igs_statement),
    .database_options = database_options,
    .connection_options = connection_options,
    .statement_options = statement_options,
    .table_types = table_types,
    .database_init = init_database,
    .connection_open = open_connection,
    .connection_close = close_connection,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .info = tell_info,
    .objects = igs_objects,
    .table_schema = igs_table_schema,
    .statistics = igs_statistics,
    .statement_reset = igs_statement_reset,
    .prepare = igs_prepare_query,
    .parameters = igs_parameters,
    .schema = igs_schema,
    .execute = igs_execute,
    .ingest = igs_ingest,
};

IGD_DEFINE_INIT(AdbcDriverIglooSqliteInit, backend)
