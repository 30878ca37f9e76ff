/*
 * igloo.h -- query files, databases and warehouses with one SQL; results are Arrow.
 *
 * Open a database, connect, query, read the stream, release it:
 *
 *     igloo_database *db = NULL;
 *     igloo_connection *con = NULL;
 *     struct ArrowArrayStream rows;
 *     struct igloo_error err;
 *     if (igloo_database_open(NULL, NULL, 0, &db, &err) == IGLOO_OK &&
 *         igloo_connect(db, &con, &err) == IGLOO_OK &&
 *         igloo_query(con, "SELECT 42 AS answer", &rows, NULL, &err) == IGLOO_OK) {
 *       ... rows.get_next(&rows, &batch) ...
 *       rows.release(&rows);
 *     }
 *     igloo_disconnect(con);
 *     igloo_database_close(db);
 *
 * Every function that can fail returns a status and, where `reterr` is not NULL,
 * tells there what went wrong. Outputs (`ret_*`) are untouched on failure.
 *
 * Owns:    each handle is freed by the function its maker names. A result stream
 *          keeps what it needs alive: it may outlive its connection and database.
 * Threads: a database may be shared by threads. A connection and its statements are
 *          used by one thread at a time; igloo_cancel() and igloo_progress_get() may
 *          be called from any thread at any time while the connection exists.
 * Blocks:  igloo_database_open(), igloo_connect(), igloo_query(), igloo_prepare(),
 *          igloo_execute(), and get_next() of a result, all of them until done, cancelled
 *          or past the session's statement_timeout; with a server, igloo_disconnect()
 *          and igloo_statement_free() up to a second. Use after fork() is refused.
 */
#ifndef IGLOO_IGLOO_H
#define IGLOO_IGLOO_H

#include <stddef.h>
#include <stdint.h>

#include <igloo/arrow.h>
#include <igloo/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define IGLOO_API __attribute__((visibility("default")))
#define IGLOO_NODISCARD __attribute__((warn_unused_result))
#else
#define IGLOO_API
#define IGLOO_NODISCARD
#endif

typedef struct igloo_database igloo_database;
typedef struct igloo_connection igloo_connection;
typedef struct igloo_statement igloo_statement;

/* A configuration key of docs/configuration.md ("engine.memory_limit", "server.data_dir",
 * "files.roots" ...) and its value as text. */
struct igloo_option {
  const char *key;
  const char *value;
};

/* The version of this header and, of igloo_version(), of the library. Static. */
#define IGLOO_VERSION "0.1.0"
IGLOO_API const char *igloo_version(void);

/* ---- databases and connections ------------------------------------------------ */

/* Open a database. `uri` NULL is the embedded engine: it lives in this process and,
 * unless the option "server.data_dir" names a folder, keeps nothing. Otherwise it names a
 * server: "igloo://[user@]host[:port]/[catalog]?tls=on|off|insecure&tls_ca=FILE
 * &tls_cert=FILE&tls_key=FILE" or "igloo+unix:///path"; TLS is on unless the host is
 * this one (localhost, 127.…, ::1) and no tls_… is said. Every other call does the same
 * in both cases, but for igloo_register_stream().
 * Options are copied. For the embedded engine they are configuration keys; "config" names
 * a configuration file. For a server they are "user", "password", "token" and "tls_ca";
 * what is not given is taken from IGLOO_USER, IGLOO_PASSWORD and IGLOO_TLS_CA.
 * Returns IGLOO_OK and gives *ret_database (free: igloo_database_close);
 * IGLOO_INVALID_ARGUMENT for a malformed URI, an unknown key or a bad value, with
 * the nearest known key as hint; IGLOO_FAILED_PRECONDITION when another process holds the
 * data folder; IGLOO_NOT_FOUND for a file of TLS that is not there; IGLOO_IO_ERROR,
 * IGLOO_PERMISSION_DENIED, IGLOO_OUT_OF_MEMORY. A server is not asked before
 * igloo_connect(). */
IGLOO_API IGLOO_NODISCARD igloo_status igloo_database_open(
    const char *uri, const struct igloo_option *options, size_t options_count,
    igloo_database **ret_database, struct igloo_error *reterr);

/* Close the handle; what open connections and streams still need stays until they are
 * released. NULL is allowed. Returns NULL. */
IGLOO_API igloo_database *igloo_database_close(igloo_database *database);

/* Start a session; with a server, over a connection of its own, logged in. Returns
 * IGLOO_OK and gives *ret_connection (free: igloo_disconnect);
 * IGLOO_RESOURCE_EXHAUSTED at limits.sessions; IGLOO_UNAVAILABLE where no server answers;
 * IGLOO_UNAUTHENTICATED; IGLOO_NOT_FOUND for the URI's catalog; IGLOO_OUT_OF_MEMORY. */
IGLOO_API IGLOO_NODISCARD igloo_status igloo_connect(igloo_database *database,
                                                     igloo_connection **ret_connection,
                                                     struct igloo_error *reterr);

/* End the session: drops its registered streams and prepared statements; result streams
 * that were given out go on. NULL is allowed. Returns NULL. */
IGLOO_API igloo_connection *igloo_disconnect(igloo_connection *connection);

/* Cancel the statement that runs on the connection, if any; it fails with
 * IGLOO_CANCELLED (57014). Safe from any thread at any time; never blocks. */
IGLOO_API void igloo_cancel(igloo_connection *connection);

/* How far the running (or last) statement of a connection has come. A server tells none
 * of what it scans and holds: -1 and 0. */
struct igloo_progress {
  int64_t elapsed_us;   /* since the statement began */
  int64_t rows_scanned; /* rows that left the sources; -1 unknown */
  int64_t bytes_scanned;
  int64_t bytes_total;   /* what the plan expects to read; -1 unknown */
  int64_t rows_returned; /* rows handed to the caller */
  uint64_t memory_bytes; /* held by the engine now, all statements together */
  uint64_t spilled_bytes;
  uint8_t running; /* 1 while a statement runs */
  uint8_t reserved[31];
};

/* Fill *ret_progress. Safe from any thread; never blocks. */
IGLOO_API void igloo_progress_get(igloo_connection *connection,
                                  struct igloo_progress *ret_progress);

/* ---- statements ----------------------------------------------------------------- */

/* Run one statement (a trailing semicolon is allowed; more than one is a syntax error).
 * Gives *ret_rows, a stream of struct arrays; a statement without a result gives a stream
 * with no columns and no batches. *ret_affected (may be NULL) is the number of rows that
 * INSERT, COPY or CREATE TABLE AS wrote, -1 where none is counted.
 * A failure after the first batch is reported by get_next(); igloo_stream_error() tells
 * the rest. Returns IGLOO_OK or the statement's error with its SQLSTATE. */
IGLOO_API IGLOO_NODISCARD igloo_status igloo_query(igloo_connection *connection,
                                                   const char *sql,
                                                   struct ArrowArrayStream *ret_rows,
                                                   int64_t *ret_affected,
                                                   struct igloo_error *reterr);

/* Prepare one statement. Parameters are `$1`, `?` or `:name` (one style in a statement).
 * Gives *ret_statement (free: igloo_statement_free). */
IGLOO_API IGLOO_NODISCARD igloo_status igloo_prepare(igloo_connection *connection,
                                                     const char *sql,
                                                     igloo_statement **ret_statement,
                                                     struct igloo_error *reterr);

/* Give the schema of the result (a struct; no children where there is no result). */
IGLOO_API IGLOO_NODISCARD igloo_status
igloo_statement_schema(igloo_statement *statement, struct ArrowSchema *ret_schema,
                       struct igloo_error *reterr);

/* Give the schema of the parameters: a struct with one child for each, named "$1" ... or
 * as in the text; a parameter whose type cannot be inferred has the null type. */
IGLOO_API IGLOO_NODISCARD igloo_status
igloo_statement_parameters(igloo_statement *statement, struct ArrowSchema *ret_schema,
                           struct igloo_error *reterr);

/* Bind one parameter (`number` counts from 1); the others keep their values. Text and
 * binary are copied. IGLOO_INVALID_ARGUMENT for a number that the text does not hold. */
IGLOO_API IGLOO_NODISCARD igloo_status igloo_bind_null(igloo_statement *statement,
                                                       int32_t number,
                                                       struct igloo_error *reterr);
IGLOO_API IGLOO_NODISCARD igloo_status igloo_bind_bool(igloo_statement *statement,
                                                       int32_t number, int value,
                                                       struct igloo_error *reterr);
IGLOO_API IGLOO_NODISCARD igloo_status igloo_bind_int64(igloo_statement *statement,
                                                        int32_t number, int64_t value,
                                                        struct igloo_error *reterr);
IGLOO_API IGLOO_NODISCARD igloo_status igloo_bind_double(igloo_statement *statement,
                                                         int32_t number, double value,
                                                         struct igloo_error *reterr);
IGLOO_API IGLOO_NODISCARD igloo_status igloo_bind_text(igloo_statement *statement,
                                                       int32_t number, const char *data,
                                                       size_t len,
                                                       struct igloo_error *reterr);

/* The number (from 1) of the parameter `name`, without its colon; 0 if there is none. */
IGLOO_API int32_t igloo_parameter_number(igloo_statement *statement, const char *name);

/* Bind rows of parameters: columns by position, or by name where the statement has named
 * parameters. Takes *rows, also on failure. A query runs once for each row, its results
 * one after the other; the rows are read as it goes. */
IGLOO_API IGLOO_NODISCARD igloo_status igloo_bind_stream(igloo_statement *statement,
                                                         struct ArrowArrayStream *rows,
                                                         struct igloo_error *reterr);

/* Run a prepared statement with what is bound; outputs as igloo_query(). A statement
 * whose tables changed is planned again; IGLOO_UNSUPPORTED (0A000) if its result type
 * changed. */
IGLOO_API IGLOO_NODISCARD igloo_status igloo_execute(igloo_statement *statement,
                                                     struct ArrowArrayStream *ret_rows,
                                                     int64_t *ret_affected,
                                                     struct igloo_error *reterr);

/* NULL is allowed. Returns NULL. */
IGLOO_API igloo_statement *igloo_statement_free(igloo_statement *statement);

/* The error that ended a result stream: fills *reterr and returns its status, IGLOO_OK
 * where none did; IGLOO_INVALID_ARGUMENT for a stream that Igloo did not make. */
IGLOO_API IGLOO_NODISCARD igloo_status igloo_stream_error(struct ArrowArrayStream *rows,
                                                          struct igloo_error *reterr);

/* ---- streams in and out ----------------------------------------------------------- */

/* Make a stream a table `name` of this connection, read once by the first query that
 * scans it. Takes *rows, also on failure. Embedded only. */
IGLOO_API IGLOO_NODISCARD igloo_status
igloo_register_stream(igloo_connection *connection, const char *name,
                      struct ArrowArrayStream *rows, struct igloo_error *reterr);

/* Write a stream to a local file. `format` is "csv", "tsv", "jsonl" (or "json", the same
 * lines), "markdown", "box", "arrow" or "parquet"; others are IGLOO_UNSUPPORTED. An
 * existing file is replaced only when `overwrite` is not 0; the file is visible whole or
 * not at all. Takes *rows, also on failure. *ret_written (may be NULL) is the number of
 * rows. */
IGLOO_API IGLOO_NODISCARD igloo_status igloo_write_stream(
    igloo_connection *connection, struct ArrowArrayStream *rows, const char *path,
    const char *format, int overwrite, int64_t *ret_written, struct igloo_error *reterr);

#ifdef __cplusplus
}
#endif
#endif /* IGLOO_IGLOO_H */
