/*
 * client.c -- libigloo: the functions of igloo.h over one of two backends.
 *
 * Every entry first asks whether this process is the one that opened the database:
 * neither threads nor locks survive fork().
 */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "arrow/stream.h"
#include "client/backend.h"

struct igloo_database {
  const struct ig_backend *backend;
  void *object;
  pid_t pid;
};

struct igloo_connection {
  const struct ig_backend *backend;
  void *object;
  pid_t pid;
};

struct igloo_statement {
  const struct ig_backend *backend;
  void *object;
  pid_t pid;
};

/* getpid() is a system call, and each entry asks. 0: not asked in this process. */
static _Atomic pid_t known_process;

static void forget_process(void) {
  atomic_store_explicit(&known_process, 0, memory_order_relaxed);
}

static bool is_watching; /* written once, before it is read */

static void watch_forks(void) {
  is_watching = pthread_atfork(NULL, NULL, forget_process) == 0;
}

/* Without memory for the watch a fork would go unnoticed, and so it is asked each time.
 */
static pid_t this_process(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pid_t pid = atomic_load_explicit(&known_process, memory_order_relaxed);
  if (pid != 0) return pid;
  (void)pthread_once(&once, watch_forks);
  pid = getpid();
  if (is_watching) atomic_store_explicit(&known_process, pid, memory_order_relaxed);
  return pid;
}

const char *igloo_version(void) {
  return IGLOO_VERSION;
}

static igloo_status check_process(pid_t pid, struct igloo_error *reterr) {
  if (pid == this_process()) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_CLOSED,
                "cannot use a database that was opened before fork()");
  ig_error_hint(reterr, "Open the database in the child process.");
  return IGLOO_CLOSED;
}

/* ---- databases and connections ----------------------------------------------------- */

igloo_status igloo_database_open(const char *uri, const struct igloo_option *options,
                                 size_t options_count, igloo_database **ret_database,
                                 struct igloo_error *reterr) {
  bool remote = uri && uri[0];
  void *object = NULL;
  IG_TRY(remote ? ig_served_open(uri, options, options_count, &object, reterr)
                : ig_embedded_open(options, options_count, &object, reterr));
  const struct ig_backend *backend = remote ? &ig_backend_remote : &ig_backend_embedded;
  igloo_database *database = ig_calloc(1, sizeof(*database));
  if (!database) {
    backend->database_close(object);
    return ig_fail_oom(reterr);
  }
  *database = (igloo_database){backend, object, this_process()};
  *ret_database = database;
  return IGLOO_OK;
}

igloo_database *igloo_database_close(igloo_database *database) {
  if (!database) return NULL;
  /* In a forked child the threads to wait for do not exist: leave it all behind. */
  if (database->pid == this_process())
    database->backend->database_close(database->object);
  ig_free(database);
  return NULL;
}

igloo_status igloo_connect(igloo_database *database, igloo_connection **ret_connection,
                           struct igloo_error *reterr) {
  IG_TRY(check_process(database->pid, reterr));
  void *object = NULL;
  IG_TRY(database->backend->connect(database->object, &object, reterr));
  igloo_connection *connection = ig_calloc(1, sizeof(*connection));
  if (!connection) {
    database->backend->disconnect(object);
    return ig_fail_oom(reterr);
  }
  *connection = (igloo_connection){database->backend, object, database->pid};
  *ret_connection = connection;
  return IGLOO_OK;
}

igloo_connection *igloo_disconnect(igloo_connection *connection) {
  if (!connection) return NULL;
  if (connection->pid == this_process())
    connection->backend->disconnect(connection->object);
  ig_free(connection);
  return NULL;
}

void igloo_cancel(igloo_connection *connection) {
  connection->backend->cancel(connection->object);
}

void igloo_progress_get(igloo_connection *connection,
                        struct igloo_progress *ret_progress) {
  connection->backend->progress(connection->object, ret_progress);
}

/* ---- statements -------------------------------------------------------------------- */

static void give_result(const struct ig_result *result, struct ArrowArrayStream *ret_rows,
                        int64_t *ret_affected) {
  *ret_rows = result->rows;
  if (ret_affected) *ret_affected = result->affected;
}

igloo_status igloo_query(igloo_connection *connection, const char *sql,
                         struct ArrowArrayStream *ret_rows, int64_t *ret_affected,
                         struct igloo_error *reterr) {
  IG_TRY(check_process(connection->pid, reterr));
  struct ig_result result;
  IG_TRY(connection->backend->query(connection->object, ig_str_from_cstr(sql), &result,
                                    reterr));
  give_result(&result, ret_rows, ret_affected);
  return IGLOO_OK;
}

igloo_status igloo_stream_error(struct ArrowArrayStream *rows,
                                struct igloo_error *reterr) {
  bool is_remote;
  igloo_status status = ig_served_stream_error(rows, &is_remote, reterr);
  return is_remote ? status : ig_result_error(rows, reterr);
}

igloo_status igloo_prepare(igloo_connection *connection, const char *sql,
                           igloo_statement **ret_statement, struct igloo_error *reterr) {
  IG_TRY(check_process(connection->pid, reterr));
  void *object = NULL;
  IG_TRY(connection->backend->prepare(connection->object, ig_str_from_cstr(sql), &object,
                                      reterr));
  igloo_statement *statement = ig_calloc(1, sizeof(*statement));
  if (!statement) {
    connection->backend->statement_free(object);
    return ig_fail_oom(reterr);
  }
  *statement = (igloo_statement){connection->backend, object, connection->pid};
  *ret_statement = statement;
  return IGLOO_OK;
}

igloo_statement *igloo_statement_free(igloo_statement *statement) {
  if (!statement) return NULL;
  if (statement->pid == this_process())
    statement->backend->statement_free(statement->object);
  ig_free(statement);
  return NULL;
}

igloo_status igloo_statement_schema(igloo_statement *statement,
                                    struct ArrowSchema *ret_schema,
                                    struct igloo_error *reterr) {
  IG_TRY(check_process(statement->pid, reterr));
  return statement->backend->schema(statement->object, ret_schema, reterr);
}

igloo_status igloo_statement_parameters(igloo_statement *statement,
                                        struct ArrowSchema *ret_schema,
                                        struct igloo_error *reterr) {
  IG_TRY(check_process(statement->pid, reterr));
  return statement->backend->parameters(statement->object, ret_schema, reterr);
}

static igloo_status bind(igloo_statement *statement, int32_t number,
                         struct ig_value value, struct igloo_error *reterr) {
  IG_TRY(check_process(statement->pid, reterr));
  return statement->backend->bind(statement->object, number, value, reterr);
}

igloo_status igloo_bind_null(igloo_statement *statement, int32_t number,
                             struct igloo_error *reterr) {
  return bind(statement, number, (struct ig_value){.kind = IG_VALUE_NULL}, reterr);
}

igloo_status igloo_bind_bool(igloo_statement *statement, int32_t number, int value,
                             struct igloo_error *reterr) {
  return bind(statement, number,
              (struct ig_value){.kind = IG_VALUE_BOOL, .flag = value != 0}, reterr);
}

igloo_status igloo_bind_int64(igloo_statement *statement, int32_t number, int64_t value,
                              struct igloo_error *reterr) {
  return bind(statement, number,
              (struct ig_value){.kind = IG_VALUE_INT64, .int64 = value}, reterr);
}

igloo_status igloo_bind_double(igloo_statement *statement, int32_t number, double value,
                               struct igloo_error *reterr) {
  return bind(statement, number,
              (struct ig_value){.kind = IG_VALUE_DOUBLE, .number = value}, reterr);
}

igloo_status igloo_bind_text(igloo_statement *statement, int32_t number, const char *data,
                             size_t len, struct igloo_error *reterr) {
  return bind(statement, number,
              (struct ig_value){.kind = IG_VALUE_TEXT, .text = {data, len}}, reterr);
}

int32_t igloo_parameter_number(igloo_statement *statement, const char *name) {
  return statement->backend->parameter_number(statement->object, ig_str_from_cstr(name));
}

igloo_status igloo_bind_stream(igloo_statement *statement, struct ArrowArrayStream *rows,
                               struct igloo_error *reterr) {
  igloo_status status = check_process(statement->pid, reterr);
  if (status == IGLOO_OK)
    return statement->backend->bind_stream(statement->object, rows, reterr);
  ig_stream_done(rows);
  return status;
}

igloo_status igloo_execute(igloo_statement *statement, struct ArrowArrayStream *ret_rows,
                           int64_t *ret_affected, struct igloo_error *reterr) {
  IG_TRY(check_process(statement->pid, reterr));
  struct ig_result result;
  IG_TRY(statement->backend->execute(statement->object, &result, reterr));
  give_result(&result, ret_rows, ret_affected);
  return IGLOO_OK;
}

/* ---- streams ----------------------------------------------------------------------- */

igloo_status igloo_register_stream(igloo_connection *connection, const char *name,
                                   struct ArrowArrayStream *rows,
                                   struct igloo_error *reterr) {
  igloo_status status = check_process(connection->pid, reterr);
  if (status == IGLOO_OK)
    return connection->backend->register_stream(connection->object,
                                                ig_str_from_cstr(name), rows, reterr);
  ig_stream_done(rows);
  return status;
}

igloo_status igloo_write_stream(igloo_connection *connection,
                                struct ArrowArrayStream *rows, const char *path,
                                const char *format, int overwrite, int64_t *ret_written,
                                struct igloo_error *reterr) {
  int64_t written = 0;
  igloo_status status = check_process(connection->pid, reterr);
  if (status != IGLOO_OK) {
    ig_stream_done(rows);
    return status;
  }
  IG_TRY(connection->backend->write_stream(
      connection->object, rows, ig_str_from_cstr(path), ig_str_from_cstr(format),
      overwrite != 0, &written, reterr));
  if (ret_written) *ret_written = written;
  return IGLOO_OK;
}
