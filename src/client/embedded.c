/* embedded.c -- an engine in this process: databases are instances, connections sessions.
 */
#include <pwd.h>
#include <unistd.h>

#include "base/limits.h"
#include "client/backend.h"

static igloo_status check_options(const struct igloo_option *options,
                                  size_t options_count, struct igloo_error *reterr) {
  for (size_t i = 0; i < options_count; i++)
    if (!options[i].key || !options[i].value)
      return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "option %zu lacks its %s", i,
                     options[i].key ? "value" : "key");
  return IGLOO_OK;
}

igloo_status ig_embedded_open(const struct igloo_option *options, size_t options_count,
                              void **ret_database, struct igloo_error *reterr) {
  struct ig_config *config = NULL;
  IG_TRY(check_options(options, options_count, reterr));
  struct ig_config_override *overrides = ig_calloc(options_count + 1, sizeof(*overrides));
  if (!overrides) return ig_fail_oom(reterr);
  for (size_t i = 0; i < options_count; i++)
    overrides[i] = (struct ig_config_override){options[i].key, options[i].value};
  igloo_status status = ig_config_load(NULL, overrides, options_count, &config, reterr);
  ig_free(overrides);
  if (status != IGLOO_OK) return status;
  ig_instance *instance = NULL;
  IG_TRY(ig_instance_open(config, &instance, reterr));
  *ret_database = instance;
  return IGLOO_OK;
}

static void database_close(void *database) {
  (void)ig_instance_unref(database);
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

igloo_status ig_embedded_connect(ig_instance *instance, ig_session **ret_session,
                                 struct igloo_error *reterr) {
  struct ig_session_who who = {.peer = "embedded"};
  embedded_user(&who.identity);
  return ig_instance_connect(instance, &who, ret_session, reterr);
}

static igloo_status connect_session(void *database, void **ret_connection,
                                    struct igloo_error *reterr) {
  ig_session *session = NULL;
  IG_TRY(ig_embedded_connect(database, &session, reterr));
  *ret_connection = session;
  return IGLOO_OK;
}

static void disconnect(void *connection) {
  (void)ig_session_unref(connection);
}

static void cancel(void *connection) {
  ig_session_cancel(connection);
}

static void get_progress(void *connection, struct igloo_progress *ret_progress) {
  ig_session_progress(connection, ret_progress);
}

static igloo_status query(void *connection, struct ig_str sql,
                          struct ig_result *ret_result, struct igloo_error *reterr) {
  return ig_session_execute(connection, sql, NULL, ret_result, reterr);
}

static igloo_status register_stream(void *connection, struct ig_str name,
                                    struct ArrowArrayStream *rows,
                                    struct igloo_error *reterr) {
  return ig_session_register(connection, name, rows, reterr);
}

static igloo_status write_stream(void *connection, struct ArrowArrayStream *rows,
                                 struct ig_str path, struct ig_str format, bool overwrite,
                                 int64_t *ret_written, struct igloo_error *reterr) {
  return ig_session_write_file(connection, rows, path, format, overwrite, ret_written,
                               reterr);
}

/* ---- statements -------------------------------------------------------------------- */

struct statement {
  ig_session *session; /* one reference: it may be freed after its connection */
  ig_prepared *prepared;
};

static igloo_status prepare(void *connection, struct ig_str sql, void **ret_statement,
                            struct igloo_error *reterr) {
  IG_AUTO(ig_prepared) *prepared = NULL;
  IG_TRY(ig_session_prepare(connection, sql, NULL, &prepared, reterr));
  struct statement *statement = ig_calloc(1, sizeof(*statement));
  if (!statement) return ig_fail_oom(reterr);
  *statement = (struct statement){ig_session_ref(connection), IG_TAKE(prepared)};
  *ret_statement = statement;
  return IGLOO_OK;
}

static void statement_free(void *object) {
  struct statement *statement = object;
  (void)ig_prepared_free(statement->prepared);
  (void)ig_session_unref(statement->session);
  ig_free(statement);
}

static ig_prepared *prepared_of(void *statement) {
  return ((struct statement *)statement)->prepared;
}

static igloo_status get_schema(void *statement, struct ArrowSchema *ret_schema,
                               struct igloo_error *reterr) {
  return ig_prepared_schema(prepared_of(statement), ret_schema, reterr);
}

static igloo_status get_parameters(void *statement, struct ArrowSchema *ret_schema,
                                   struct igloo_error *reterr) {
  return ig_prepared_parameters(prepared_of(statement), ret_schema, reterr);
}

static int32_t parameter_number(void *statement, struct ig_str name) {
  return ig_prepared_number(prepared_of(statement), name);
}

static igloo_status bind_value(void *statement, int32_t number, struct ig_value value,
                               struct igloo_error *reterr) {
  return ig_prepared_bind(prepared_of(statement), number, value, reterr);
}

static igloo_status bind_stream(void *statement, struct ArrowArrayStream *rows,
                                struct igloo_error *reterr) {
  return ig_prepared_bind_stream(prepared_of(statement), rows, reterr);
}

static igloo_status execute(void *statement, struct ig_result *ret_result,
                            struct igloo_error *reterr) {
  return ig_prepared_execute(prepared_of(statement), NULL, ret_result, reterr);
}

const struct ig_backend ig_backend_embedded = {
    .database_close = database_close,
    .connect = connect_session,
    .disconnect = disconnect,
    .cancel = cancel,
    .progress = get_progress,
    .query = query,
    .register_stream = register_stream,
    .write_stream = write_stream,
    .prepare = prepare,
    .statement_free = statement_free,
    .schema = get_schema,
    .parameters = get_parameters,
    .parameter_number = parameter_number,
    .bind = bind_value,
    .bind_stream = bind_stream,
    .execute = execute,
};
