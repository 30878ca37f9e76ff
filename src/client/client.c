/*
 * client.c -- libigloo: the functions of igloo.h over an instance in this process.
 *
 * Every entry first asks whether this process is the one that opened the database:
 * neither threads nor locks survive fork().
 */
#include <igloo/igloo.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "arrow/stream.h"
#include "base/limits.h"
#include "instance/instance.h"

struct igloo_database {
  ig_instance *instance;
  pid_t pid;
};

struct igloo_connection {
  ig_session *session;
  pid_t pid;
};

struct igloo_statement {
  ig_session
      *session; /* one reference: the statement may be freed after its connection */
  ig_prepared *prepared;
  pid_t pid;
};

const char *igloo_version(void) {
  return IGLOO_VERSION;
}

static igloo_status check_process(pid_t pid, struct igloo_error *reterr) {
  if (pid == getpid()) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_CLOSED,
                "cannot use a database that was opened before fork()");
  ig_error_hint(reterr, "Open the database in the child process.");
  return IGLOO_CLOSED;
}

/* ---- databases --------------------------------------------------------------------- */

static igloo_status check_uri(const char *uri, struct igloo_error *reterr) {
  if (!uri || !uri[0]) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_UNSUPPORTED,
                "feature not supported: connecting to a server");
  ig_error_hint(reterr, "Leave the URI out to use the embedded engine.");
  return IGLOO_UNSUPPORTED;
}

static igloo_status load_config(const struct igloo_option *options, size_t options_count,
                                struct ig_config **ret_config,
                                struct igloo_error *reterr) {
  struct ig_config_override *overrides = ig_calloc(options_count + 1, sizeof(*overrides));
  if (!overrides) return ig_fail_oom(reterr);
  igloo_status status = IGLOO_OK;
  for (size_t i = 0; i < options_count; i++) {
    if (!options[i].key || !options[i].value)
      status = ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "option %zu lacks its %s", i,
                       options[i].key ? "value" : "key");
    overrides[i] = (struct ig_config_override){options[i].key, options[i].value};
  }
  if (status == IGLOO_OK)
    status = ig_config_load(NULL, overrides, options_count, ret_config, reterr);
  ig_free(overrides);
  return status;
}

igloo_status igloo_database_open(const char *uri, const struct igloo_option *options,
                                 size_t options_count, igloo_database **ret_database,
                                 struct igloo_error *reterr) {
  IG_TRY(check_uri(uri, reterr));
  struct ig_config *config = NULL;
  IG_TRY(load_config(options, options_count, &config, reterr));
  ig_instance *instance = NULL;
  IG_TRY(ig_instance_open(config, &instance, reterr));
  igloo_database *database = ig_calloc(1, sizeof(*database));
  if (!database) {
    (void)ig_instance_unref(instance);
    return ig_fail_oom(reterr);
  }
  *database = (igloo_database){instance, getpid()};
  *ret_database = database;
  return IGLOO_OK;
}

igloo_database *igloo_database_close(igloo_database *database) {
  if (!database) return NULL;
  /* In a forked child the threads to wait for do not exist: leave it all behind. */
  if (database->pid == getpid()) (void)ig_instance_unref(database->instance);
  ig_free(database);
  return NULL;
}

/* ---- connections ------------------------------------------------------------------- */

/* The system's user by name, as PostgreSQL's programs take it: in this process nobody
 * stands above them. */
static void embedded_user(struct ig_identity *ret_identity) {
  struct passwd entry, *found = NULL;
  char scratch[4096];
  if (getpwuid_r(geteuid(), &entry, scratch, sizeof scratch, &found) != 0 || !found)
    found = NULL;
  struct ig_str name = found ? ig_str_from_cstr(entry.pw_name) : IG_STR("igloo");
  *ret_identity = (struct ig_identity){.superuser = true};
  memcpy(ret_identity->name, name.data, ig_utf8_cut(name, IG_IDENTIFIER_BYTES_MAX));
}

igloo_status igloo_connect(igloo_database *database, igloo_connection **ret_connection,
                           struct igloo_error *reterr) {
  IG_TRY(check_process(database->pid, reterr));
  IG_AUTO(ig_session) *session = NULL;
  struct ig_session_who who = {.peer = "embedded"};
  embedded_user(&who.identity);
  IG_TRY(ig_instance_connect(database->instance, &who, &session, reterr));
  igloo_connection *connection = ig_calloc(1, sizeof(*connection));
  if (!connection) return ig_fail_oom(reterr);
  *connection = (igloo_connection){IG_TAKE(session), database->pid};
  *ret_connection = connection;
  return IGLOO_OK;
}

igloo_connection *igloo_disconnect(igloo_connection *connection) {
  if (!connection) return NULL;
  if (connection->pid == getpid()) (void)ig_session_unref(connection->session);
  ig_free(connection);
  return NULL;
}

void igloo_cancel(igloo_connection *connection) {
  ig_session_cancel(connection->session);
}

void igloo_progress_get(igloo_connection *connection,
                        struct igloo_progress *ret_progress) {
  ig_session_progress(connection->session, ret_progress);
}

/* ---- statements ------------------------------------------------------------------ */

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
  IG_TRY(ig_session_execute(connection->session, ig_str_from_cstr(sql), NULL, &result,
                            reterr));
  give_result(&result, ret_rows, ret_affected);
  return IGLOO_OK;
}

igloo_status igloo_stream_error(struct ArrowArrayStream *rows,
                                struct igloo_error *reterr) {
  return ig_result_error(rows, reterr);
}

igloo_status igloo_prepare(igloo_connection *connection, const char *sql,
                           igloo_statement **ret_statement, struct igloo_error *reterr) {
  IG_TRY(check_process(connection->pid, reterr));
  IG_AUTO(ig_prepared) *prepared = NULL;
  IG_TRY(ig_session_prepare(connection->session, ig_str_from_cstr(sql), NULL, &prepared,
                            reterr));
  igloo_statement *statement = ig_calloc(1, sizeof(*statement));
  if (!statement) return ig_fail_oom(reterr);
  *statement = (igloo_statement){ig_session_ref(connection->session), IG_TAKE(prepared),
                                 connection->pid};
  *ret_statement = statement;
  return IGLOO_OK;
}

igloo_statement *igloo_statement_free(igloo_statement *statement) {
  if (!statement) return NULL;
  if (statement->pid == getpid()) {
    (void)ig_prepared_free(statement->prepared);
    (void)ig_session_unref(statement->session);
  }
  ig_free(statement);
  return NULL;
}

igloo_status igloo_statement_schema(igloo_statement *statement,
                                    struct ArrowSchema *ret_schema,
                                    struct igloo_error *reterr) {
  IG_TRY(check_process(statement->pid, reterr));
  return ig_prepared_schema(statement->prepared, ret_schema, reterr);
}

igloo_status igloo_statement_parameters(igloo_statement *statement,
                                        struct ArrowSchema *ret_schema,
                                        struct igloo_error *reterr) {
  IG_TRY(check_process(statement->pid, reterr));
  return ig_prepared_parameters(statement->prepared, ret_schema, reterr);
}

static igloo_status bind(igloo_statement *statement, int32_t number,
                         struct ig_value value, struct igloo_error *reterr) {
  IG_TRY(check_process(statement->pid, reterr));
  return ig_prepared_bind(statement->prepared, number, value, reterr);
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
  return ig_prepared_number(statement->prepared, ig_str_from_cstr(name));
}

igloo_status igloo_bind_stream(igloo_statement *statement, struct ArrowArrayStream *rows,
                               struct igloo_error *reterr) {
  return ig_prepared_bind_stream(statement->prepared, rows, reterr);
}

igloo_status igloo_execute(igloo_statement *statement, struct ArrowArrayStream *ret_rows,
                           int64_t *ret_affected, struct igloo_error *reterr) {
  IG_TRY(check_process(statement->pid, reterr));
  struct ig_result result;
  IG_TRY(ig_prepared_execute(statement->prepared, NULL, &result, reterr));
  give_result(&result, ret_rows, ret_affected);
  return IGLOO_OK;
}

/* ---- streams --------------------------------------------------------------------- */

igloo_status igloo_register_stream(igloo_connection *connection, const char *name,
                                   struct ArrowArrayStream *rows,
                                   struct igloo_error *reterr) {
  igloo_status status = check_process(connection->pid, reterr);
  if (status == IGLOO_OK)
    return ig_session_register(connection->session, ig_str_from_cstr(name), rows, reterr);
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
  IG_TRY(ig_session_write_file(connection->session, rows, ig_str_from_cstr(path),
                               ig_str_from_cstr(format), overwrite != 0, &written,
                               reterr));
  if (ret_written) *ret_written = written;
  return IGLOO_OK;
}
