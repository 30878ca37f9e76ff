/*
 * store.c -- see store.h. One connection, one mutex: a transaction holds the
 * mutex from begin to end, so SQLite never sees two threads at once.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

/* Another process writes only while it makes a backup; SQLite waits so long for it. */
#define BUSY_MS 10000

/* SQLite's own memory for pages; our database is a few MiB. */
#define CACHE_KIB 8192

struct ig_stmt {
  ig_store *store; /* borrowed */
  sqlite3_stmt *handle;
  bool in_use;
};

struct ig_tx {
  ig_store *store; /* borrowed */
};

struct ig_store {
  char *path; /* owned */
  sqlite3 *db;
  pthread_mutex_t mu;      /* guards `open`; held only for moments */
  pthread_cond_t tx_ended; /* open became false */
  bool open;               /* guarded by mu: a transaction has the connection */
  struct ig_tx tx;         /* the one transaction */
  ig_stmt *statements[IG_STORE_STATEMENTS_MAX]; /* of the holder of the transaction */
  size_t statements_count;
};

/* ---- errors ------------------------------------------------------------------------ */

/* `code` is SQLite's (extended) result of work on this store. */
static igloo_status fail_sqlite(const ig_store *store, int code,
                                struct igloo_error *reterr) {
  const char *text = store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(code);
  /* Where the system refused, its own reason tells more: no descriptors, no space. */
  int errnum = (code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR
                   ? sqlite3_system_errno(store->db)
                   : 0;
  if (errnum > 0)
    return ig_fail_errno(reterr, errnum, "could not use database \"%s\"", store->path);
  switch (code & 0xff) {
    case SQLITE_NOMEM:
      return ig_fail_oom(reterr);
    case SQLITE_FULL:
      return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53100",
                           "could not write database \"%s\": no space left", store->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ig_fail(reterr, IGLOO_DATA_LOSS, "database \"%s\" is damaged: %s",
                     store->path, text);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
      return ig_fail(reterr, IGLOO_PERMISSION_DENIED,
                     "could not write database \"%s\": %s", store->path, text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ig_fail_state(reterr, IGLOO_FAILED_PRECONDITION, "55006",
                           "database \"%s\" is in use by another process", store->path);
    case SQLITE_CONSTRAINT:
      return ig_fail_state(reterr, IGLOO_CONSTRAINT, "23505",
                           "database \"%s\" holds this value already: %s", store->path,
                           text);
    case SQLITE_IOERR:
      return ig_fail(reterr, IGLOO_IO_ERROR, "could not use database \"%s\": %s",
                     store->path, text);
    default:
      return ig_fail(reterr, IGLOO_INTERNAL, "database \"%s\" failed: %s", store->path,
                     text);
  }
}

static igloo_status run_text(ig_store *store, const char *sql,
                             struct igloo_error *reterr) {
  int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
  return code == SQLITE_OK ? IGLOO_OK : fail_sqlite(store, code, reterr);
}

/* ---- opening ----------------------------------------------------------------------- */

/* SQLite makes files with the umask's mode; what lies in here may be secret. */
static igloo_status make_private(const char *path, struct igloo_error *reterr) {
  IG_AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd >= 0) return IGLOO_OK;
  return ig_fail_errno(reterr, errno, "could not open database \"%s\"", path);
}

ig_store *ig_store_close(ig_store *store) {
  if (!store) return NULL;
  IG_ASSERT(!store->open);
  for (size_t i = 0; i < store->statements_count; i++) {
    (void)sqlite3_finalize(store->statements[i]->handle);
    ig_free(store->statements[i]);
  }
  if (store->db) (void)sqlite3_close(store->db);
  ig_mutex_done(&store->mu);
  ig_cond_done(&store->tx_ended);
  ig_free(store->path);
  ig_free(store);
  return NULL;
}

igloo_status ig_store_open(const char *path, bool durable, ig_store **ret_store,
                           struct igloo_error *reterr) {
  IG_AUTO(ig_store) *store = ig_calloc(1, sizeof(*store));
  if (!store) return ig_fail_oom(reterr);
  ig_mutex_init(&store->mu);
  ig_cond_init(&store->tx_ended);
  store->tx.store = store;
  store->path = ig_strdup(path);
  if (!store->path) return ig_fail_oom(reterr);
  if (durable) IG_TRY(make_private(path, reterr));

  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
              SQLITE_OPEN_EXRESCODE;
  int code = sqlite3_open_v2(durable ? path : ":memory:", &store->db, flags, NULL);
  if (code != SQLITE_OK) return fail_sqlite(store, code, reterr);
  (void)sqlite3_busy_timeout(store->db, BUSY_MS);
  /* Names in quotes are names, and the file's own schema is not trusted with functions.
   */
  (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_DQS_DML, 0, (int *)NULL);
  (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_DQS_DDL, 0, (int *)NULL);
  (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
  (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);

  IG_AUTO_CHAR *cache = ig_asprintf("PRAGMA cache_size = -%d", CACHE_KIB);
  if (!cache) return ig_fail_oom(reterr);
  if (durable) {
    IG_TRY(run_text(store, "PRAGMA synchronous = FULL", reterr));
    IG_TRY(run_text(store, "PRAGMA journal_mode = WAL", reterr));
  }
  IG_TRY(run_text(store, "PRAGMA foreign_keys = ON", reterr));
  IG_TRY(run_text(store, cache, reterr));
  IG_TRY(run_text(store,
                  "CREATE TABLE IF NOT EXISTS migration ("
                  " component TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID",
                  reterr));
  *ret_store = IG_TAKE(store);
  return IGLOO_OK;
}

/* ---- transactions ------------------------------------------------------------------ */

static void leave(ig_store *store) {
  IG_LOCK_SCOPE(&store->mu);
  store->open = false;
  ig_cond_signal(&store->tx_ended);
}

igloo_status ig_tx_begin(ig_store *store, ig_tx **ret_tx, struct igloo_error *reterr) {
  {
    IG_LOCK_SCOPE(&store->mu);
    int64_t deadline_us = ig_deadline_in(IG_STORE_WAIT_US);
    while (store->open) {
      bool in_time = ig_cond_wait_until(&store->tx_ended, &store->mu, deadline_us);
      if (!in_time && store->open)
        return ig_fail(reterr, IGLOO_DEADLINE_EXCEEDED,
                       "could not begin a transaction: another one did not end");
    }
    store->open = true;
  }
  igloo_status status = run_text(store, "BEGIN IMMEDIATE", reterr);
  if (status != IGLOO_OK) {
    leave(store);
    return status;
  }
  *ret_tx = &store->tx;
  return IGLOO_OK;
}

static void check_statements_ended(const ig_store *store) {
  for (size_t i = 0; i < store->statements_count; i++)
    IG_ASSERT(!store->statements[i]->in_use);
}

ig_tx *ig_tx_rollback(ig_tx *tx) {
  if (!tx) return NULL;
  ig_store *store = tx->store;
  check_statements_ended(store);
  /* Some failures (a full disk) have rolled back already; then there is nothing to do. */
  if (!sqlite3_get_autocommit(store->db))
    (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
  leave(store);
  return NULL;
}

igloo_status ig_tx_commit(ig_tx *tx, bool *ret_uncertain, struct igloo_error *reterr) {
  ig_store *store = tx->store;
  check_statements_ended(store);
  int code = sqlite3_get_autocommit(store->db)
                 ? SQLITE_ABORT_ROLLBACK
                 : sqlite3_exec(store->db, "COMMIT", 0, 0, 0);
  if (code == SQLITE_OK) {
    leave(store);
    return IGLOO_OK;
  }
  /* Written frames may stay in the log where a sync failed: the next opening reads them.
   */
  if (ret_uncertain) *ret_uncertain = (code & 0xff) == SQLITE_IOERR;
  igloo_status status = fail_sqlite(store, code, reterr);
  (void)ig_tx_rollback(tx);
  return status;
}

/* ---- statements -------------------------------------------------------------------- */

/* A statement for this text that nobody uses now; prepared once. */
static igloo_status get_statement(ig_store *store, const char *sql, ig_stmt **ret_stmt,
                                  struct igloo_error *reterr) {
  for (size_t i = 0; i < store->statements_count; i++)
    if (!store->statements[i]->in_use &&
        strcmp(sqlite3_sql(store->statements[i]->handle), sql) == 0) {
      *ret_stmt = store->statements[i];
      return IGLOO_OK;
    }
  if (store->statements_count == IG_STORE_STATEMENTS_MAX)
    return ig_fail(reterr, IGLOO_INTERNAL, "more than %d statements are kept prepared",
                   IG_STORE_STATEMENTS_MAX);
  ig_stmt *stmt = ig_calloc(1, sizeof(*stmt));
  if (!stmt) return ig_fail_oom(reterr);
  stmt->store = store;
  int code = sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                &stmt->handle, NULL);
  if (code != SQLITE_OK) {
    ig_free(stmt);
    return fail_sqlite(store, code, reterr);
  }
  store->statements[store->statements_count++] = stmt;
  *ret_stmt = stmt;
  return IGLOO_OK;
}

/* Bind argument number `index` (from 1) of kind `type`. */
static int bind_one(sqlite3_stmt *handle, int index, char type, va_list *args) {
  if (type == 'i') return sqlite3_bind_int64(handle, index, va_arg(*args, int64_t));
  if (type == 's') {
    const char *text = va_arg(*args, const char *);
    if (!text) return sqlite3_bind_null(handle, index);
    return sqlite3_bind_text64(handle, index, text, strlen(text), SQLITE_STATIC,
                               SQLITE_UTF8);
  }
  IG_ASSERT(type == 'b');
  struct ig_str blob = va_arg(*args, struct ig_str);
  if (!blob.data) return sqlite3_bind_null(handle, index);
  return sqlite3_bind_blob64(handle, index, blob.data, blob.len, SQLITE_STATIC);
}

static igloo_status prepare_va(ig_tx *tx, ig_stmt **ret_stmt, struct igloo_error *reterr,
                               const char *sql, const char *types, va_list *args) {
  ig_stmt *stmt = NULL;
  IG_TRY(get_statement(tx->store, sql, &stmt, reterr));
  IG_ASSERT(stmt);
  for (int i = 0; types[i]; i++) {
    int code = bind_one(stmt->handle, i + 1, types[i], args);
    if (code != SQLITE_OK) return fail_sqlite(tx->store, code, reterr);
  }
  stmt->in_use = true;
  *ret_stmt = stmt;
  return IGLOO_OK;
}

igloo_status ig_tx_prepare(ig_tx *tx, ig_stmt **ret_stmt, struct igloo_error *reterr,
                           const char *sql, const char *types, ...) {
  va_list args;
  va_start(args, types);
  igloo_status status = prepare_va(tx, ret_stmt, reterr, sql, types, &args);
  va_end(args);
  return status;
}

igloo_status ig_stmt_step(ig_stmt *stmt, bool *ret_row, struct igloo_error *reterr) {
  int code = sqlite3_step(stmt->handle);
  if (code != SQLITE_ROW && code != SQLITE_DONE)
    return fail_sqlite(stmt->store, code, reterr);
  *ret_row = code == SQLITE_ROW;
  return IGLOO_OK;
}

int64_t ig_stmt_i64(ig_stmt *stmt, int index) {
  return sqlite3_column_int64(stmt->handle, index);
}

struct ig_str ig_stmt_str(ig_stmt *stmt, int index) {
  /* The pointer of an empty blob is NULL, that of SQL NULL as well: the type tells. */
  if (ig_stmt_is_null(stmt, index)) return (struct ig_str){0};
  const void *data = sqlite3_column_type(stmt->handle, index) == SQLITE_BLOB
                         ? sqlite3_column_blob(stmt->handle, index)
                         : sqlite3_column_text(stmt->handle, index);
  int len = sqlite3_column_bytes(stmt->handle, index);
  return ig_str_make(data ? data : "", (size_t)len);
}

bool ig_stmt_is_null(ig_stmt *stmt, int index) {
  return sqlite3_column_type(stmt->handle, index) == SQLITE_NULL;
}

void ig_stmt_end(ig_stmt *stmt) {
  if (!stmt) return;
  (void)sqlite3_reset(stmt->handle);
  (void)sqlite3_clear_bindings(stmt->handle);
  stmt->in_use = false;
}

igloo_status ig_tx_run(ig_tx *tx, int64_t *ret_changes, struct igloo_error *reterr,
                       const char *sql, const char *types, ...) {
  IG_AUTO(ig_stmt) *stmt = NULL;
  bool row = true;
  va_list args;
  va_start(args, types);
  igloo_status status = prepare_va(tx, &stmt, reterr, sql, types, &args);
  va_end(args);
  IG_TRY(status);
  IG_ASSERT(stmt);
  while (row) IG_TRY(ig_stmt_step(stmt, &row, reterr));
  if (ret_changes) *ret_changes = sqlite3_changes64(tx->store->db);
  return IGLOO_OK;
}

int64_t ig_tx_last_id(const ig_tx *tx) {
  return sqlite3_last_insert_rowid(tx->store->db);
}

/* ---- migrations -------------------------------------------------------------------- */

static igloo_status read_version(ig_tx *tx, const char *component, int64_t *ret_version,
                                 struct igloo_error *reterr) {
  IG_AUTO(ig_stmt) *stmt = NULL;
  bool row = false;
  IG_TRY(ig_tx_prepare(tx, &stmt, reterr,
                       "SELECT version FROM migration WHERE component = ?1", "s",
                       component));
  IG_TRY(ig_stmt_step(stmt, &row, reterr));
  *ret_version = row ? ig_stmt_i64(stmt, 0) : 0;
  return IGLOO_OK;
}

igloo_status ig_store_migrate(ig_store *store, const char *component,
                              const char *const *steps, size_t steps_count,
                              struct igloo_error *reterr) {
  IG_AUTO(ig_tx) *tx = NULL;
  int64_t version = 0;
  IG_TRY(ig_tx_begin(store, &tx, reterr));
  IG_TRY(read_version(tx, component, &version, reterr));
  if (version < 0 || (uint64_t)version > steps_count) {
    igloo_status status =
        ig_fail(reterr, IGLOO_FAILED_PRECONDITION,
                "database \"%s\" was written by a newer version of Igloo", store->path);
    ig_error_detail(reterr, "Its part \"%s\" has version %lld, this program knows %zu.",
                    component, (long long)version, steps_count);
    return status;
  }
  if ((uint64_t)version == steps_count) return IGLOO_OK;
  for (size_t i = (size_t)version; i < steps_count; i++)
    IG_TRY(run_text(store, steps[i], reterr));
  IG_TRY(ig_tx_run(tx, NULL, reterr,
                   "INSERT INTO migration (component, version) VALUES (?1, ?2)"
                   " ON CONFLICT (component) DO UPDATE SET version = ?2",
                   "si", component, (int64_t)steps_count));
  return ig_tx_commit(IG_TAKE(tx), NULL, reterr);
}
