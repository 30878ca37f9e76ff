/*
 * sqlite.h -- what the files of the SQLite driver share. README.md has its rules.
 *
 * Owns:    as each struct says.
 * Threads: a connection of SQLite is opened without SQLite's own mutex: the frame's mutex
 *          of the connection (common/driver.h) is held around every use of it.
 * Blocks:  in the file system, and for another writer at most `busy_timeout_ms`.
 */
#ifndef IGD_SQLITE_SQLITE_H
#define IGD_SQLITE_SQLITE_H

#include <sqlite3.h>

#include "base/buf.h"
#include "common/driver.h"

/* ---- objects -------------------------------------------------------------------------
 */

enum igs_mode { IGS_MODE_READ_WRITE, IGS_MODE_READ_ONLY, IGS_MODE_CREATE };
enum igs_misfit { IGS_MISFIT_ERROR, IGS_MISFIT_NULL, IGS_MISFIT_TEXT };
enum igs_datetime { IGS_DATETIME_TEXT, IGS_DATETIME_UNIX, IGS_DATETIME_JULIAN };

struct igs_database {
  struct igd_database base;
  char *uri;
  int mode;     /* enum igs_mode */
  int misfit;   /* enum igs_misfit */
  int datetime; /* enum igs_datetime */
  int64_t busy_timeout_ms;
};

struct igs_connection {
  struct igd_connection base;
  bool read_only; /* option: refuse writes, whatever the database's mode is */
  bool trusted;   /* a text of our own is being prepared */
  sqlite3 *db;    /* NULL: not open */
  /* Whose cancelling interrupts the work at hand; NULL: the connection's alone. */
  const struct igd_statement *running;
  uint_fast64_t cancels_seen; /* of the connection, when that work began */
};

struct igs_column;
struct igs_statement {
  struct igd_statement base;
  int64_t batch_bytes, batch_rows;
  bool read_only;             /* option: refuse what writes */
  sqlite3_stmt *handle;       /* of the query; NULL: not prepared */
  struct igs_column *columns; /* of `handle`; NULL: not yet known */
  int columns_count;
  int reprepared; /* SQLite's count, when `columns` was made */
};

static inline const struct igs_database *igs_database_of(
    const struct igs_connection *connection) {
  return (const struct igs_database *)connection->base.database;
}
static inline struct igs_connection *igs_connection_of(
    const struct igs_statement *statement) {
  return (struct igs_connection *)statement->base.connection;
}

/* ---- errors --------------------------------------------------------------------------
 */

/* The last call on `db` failed with `code`. The vendor code is SQLite's extended one. */
igloo_status igs_fail(sqlite3 *db, int code, struct igd_error *reterr);
/* The same, where opening the file `path` failed. */
igloo_status igs_fail_open(sqlite3 *db, int code, const char *path,
                           struct igd_error *reterr);

/* ---- small queries -------------------------------------------------------------------
 */

/* Prepare a text of our own; free: sqlite3_finalize. */
IG_NODISCARD igloo_status igs_prepare(struct igs_connection *connection, const char *sql,
                                      sqlite3_stmt **ret_handle,
                                      struct igd_error *reterr);
/* Bind parameter `index` (from 1) to a text that outlives the statement; NULL: NULL. */
IG_NODISCARD igloo_status igs_bind_text(sqlite3_stmt *handle, int index, const char *text,
                                        struct igd_error *reterr);
/* Step; *ret_row is false at the end. */
IG_NODISCARD igloo_status igs_step(struct igs_connection *connection,
                                   sqlite3_stmt *handle, bool *ret_row,
                                   struct igd_error *reterr);
/* Run a text that gives no rows. */
IG_NODISCARD igloo_status igs_run(struct igs_connection *connection, const char *sql,
                                  struct igd_error *reterr);
/* Undo after an error, which stays the one that is told; a cancel does not stop it. */
void igs_undo(struct igs_connection *connection, const char *sql);
void igs_finalize(sqlite3_stmt **handle);
#define IGS_AUTO_STMT __attribute__((cleanup(igs_finalize))) sqlite3_stmt
/* Text of a column, "" for NULL; until the next step. */
const char *igs_text(sqlite3_stmt *handle, int column);

/* Work that no statement does begins: only cancelling the connection ends it. */
void igs_begin_work(struct igs_connection *connection);

/* A name as an identifier of SQL. */
void igs_append_name(struct ig_buf *sql, const char *name);

/* ---- types ---------------------------------------------------------------------------
 */

enum igs_kind {
  IGS_LOOSE, /* utf8 of whatever it is: no declared type, or one that says nothing */
  IGS_INT64,
  IGS_DOUBLE,
  IGS_TEXT,
  IGS_BINARY,
  IGS_BOOL,
  IGS_DATE,
  IGS_TIME,
  IGS_TIMESTAMP,
  IGS_TIMESTAMP_UTC,
  IGS_DECIMAL,
};

enum igs_affinity {
  IGS_AFFINITY_NONE,
  IGS_AFFINITY_TEXT,
  IGS_AFFINITY_NUMERIC,
  IGS_AFFINITY_INTEGER,
  IGS_AFFINITY_REAL,
};

struct igs_type {
  enum igs_kind kind;
  int32_t precision, scale; /* of IGS_DECIMAL */
};

/* What a declared type (NULL or "": none) stands for. */
struct igs_type igs_type_of(const char *declared);
/* How SQLite stores what goes into a column of that type. */
enum igs_affinity igs_affinity_of(const char *declared);
const char *igs_kind_name(enum igs_kind kind);

/* Make `field` a field of that type; it was initialised. Nullable. */
IG_NODISCARD igloo_status igs_type_field(const struct igs_type *type, const char *name,
                                         struct ArrowSchema *field,
                                         struct igd_error *reterr);

/* ---- columns of a statement
 * ------------------------------------------------------------
 */

struct igs_column {
  struct igs_type type;
  char *name;   /* owned */
  char *table;  /* owned; NULL: an expression */
  char *origin; /* owned; its name in the table; NULL: an expression */
};

/* Find out what the columns of the statement's handle are, unless that is known. */
IG_NODISCARD igloo_status igs_columns_find(struct igs_statement *statement,
                                           struct igd_error *reterr);
void igs_columns_forget(struct igs_statement *statement);
/* The struct of the columns. */
IG_NODISCARD igloo_status igs_columns_schema(const struct igs_statement *statement,
                                             struct ArrowSchema *ret_schema,
                                             struct igd_error *reterr);

/* ---- values ---------------------------------------------------------------------------
 */

/* Each is true where the text is a value of that kind, whole and in range. */
bool igs_parse_date(struct ig_str text, int32_t *ret_days);
bool igs_parse_time(struct ig_str text, int64_t *ret_us);
/* `with_zone`: an offset may follow, and moves it to UTC; else only "Z" may. */
bool igs_parse_timestamp(struct ig_str text, bool with_zone, int64_t *ret_us);
bool igs_parse_decimal(struct ig_str text, int32_t precision, int32_t scale,
                       __int128 *ret_value);

/* Bind row `rows` is at to the parameters of `handle`, first column to the first. */
IG_NODISCARD igloo_status igs_bind_row(sqlite3_stmt *handle, const struct igd_rows *rows,
                                       struct igd_error *reterr);
IG_NODISCARD igloo_status igs_bind_cell(sqlite3_stmt *handle, int index,
                                        struct igd_cell cell, const char *name,
                                        struct igd_error *reterr);

/* ---- what the backend does ------------------------------------------------------------
 */

igloo_status igs_prepare_query(struct igd_statement *statement, struct igd_error *reterr);
igloo_status igs_parameters(struct igd_statement *statement,
                            struct ArrowSchema *ret_schema, struct igd_error *reterr);
igloo_status igs_schema(struct igd_statement *statement, struct ArrowSchema *ret_schema,
                        struct igd_error *reterr);
igloo_status igs_execute(struct igd_statement *statement, struct ArrowArrayStream *rows,
                         bool want_rows, struct igd_result *ret_result,
                         struct igd_error *reterr);
void igs_statement_reset(struct igd_statement *statement);
igloo_status igs_ingest(struct igd_statement *statement, struct ArrowArrayStream *rows,
                        int64_t *ret_affected, struct igd_error *reterr);

/* Make a reader of the statement's rows, whose first step was taken (`has_row`); takes
 * `rows` (NULL: none), what is bound for the executions that follow. */
IG_NODISCARD igloo_status igs_reader_new(struct igs_statement *statement, bool has_row,
                                         struct igd_rows *rows,
                                         struct igd_reader **ret_reader,
                                         struct igd_error *reterr);
/* Step the statement's query. *ret_row is false at the end. */
IG_NODISCARD igloo_status igs_step_query(struct igs_statement *statement, bool *ret_row,
                                         struct igd_error *reterr);

igloo_status igs_table_schema(struct igd_connection *connection, const char *catalog,
                              const char *schema, const char *table,
                              struct ArrowSchema *ret_schema, struct igd_error *reterr);
igloo_status igs_objects(struct igd_connection *connection, igd_objects *objects,
                         struct igd_error *reterr);
igloo_status igs_statistics(struct igd_connection *connection,
                            const struct igd_objects_filter *filter, bool approximate,
                            igd_statistics *statistics, struct igd_error *reterr);

/* What is known of a table without reading it. */
struct igs_table {
  char *schema, *name; /* owned; as they are written where they are declared */
  bool view, virtual, without_rowid, strict;
  char *key;          /* owned; the integer that finds a row, or NULL */
  bool key_is_column; /* it is a column of the table, declared INTEGER PRIMARY KEY */
};
/* Returns NOT_FOUND 42P01. `schema` NULL: "main", then "temp". */
IG_NODISCARD igloo_status igs_table_find(struct igs_connection *connection,
                                         const char *schema, const char *name,
                                         struct igs_table *ret_table,
                                         struct igd_error *reterr);
void igs_table_done(struct igs_table *table);
/* The number of rows as the planner's statistics or the keys say; -1: unknown. */
IG_NODISCARD igloo_status igs_table_rows(struct igs_connection *connection,
                                         const struct igs_table *table, int64_t *ret_rows,
                                         int64_t *ret_key_min, int64_t *ret_key_max,
                                         struct igd_error *reterr);

#endif
