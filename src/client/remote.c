/* remote.c -- databases and connections on a server; see remote.h. */
#include "client/remote.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "arrow/stream.h"
#include "base/limits.h"
#include "base/thread.h"
#include "client/uri.h"
#include "wire/flight_sql.h"

/* ---- databases: how to connect ----------------------------------------------------- */

struct database {
  struct ig_uri uri;
  ig_tls *tls;
  char *user, *password, *token; /* or NULL */
};

static void forget(char *secret) {
  if (secret) explicit_bzero(secret, strlen(secret));
  ig_free(secret);
}

static void free_database(struct database *database) {
  ig_uri_done(&database->uri);
  (void)ig_tls_unref(database->tls);
  ig_free(database->user);
  forget(database->password);
  forget(database->token);
  ig_free(database);
}
IG_DEFINE_AUTO_STRUCT(database, free_database)

static void database_close(void *database) {
  free_database(database);
}

/* Where the options of a server are kept. */
static char **option_place(struct database *database, const char *key) {
  const struct {
    const char *key;
    char **place;
  } places[] = {{"user", &database->user},
                {"password", &database->password},
                {"token", &database->token},
                {"tls_ca", &database->uri.tls_ca}};
  for (size_t i = 0; i < IG_ARRAY_LEN(places); i++)
    if (strcmp(key, places[i].key) == 0) return places[i].place;
  return NULL;
}

static igloo_status take_option(struct database *database,
                                const struct igloo_option *option,
                                struct igloo_error *reterr) {
  if (!option->key || !option->value)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "an option lacks its %s",
                   option->key ? "value" : "key");
  char **place = option_place(database, option->key);
  if (!place) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                  "\"%s\" is no option of a connection to a server", option->key);
    ig_error_hint(reterr,
                  "These are user, password, token and tls_ca; a server has its own "
                  "configuration.");
    return IGLOO_INVALID_ARGUMENT;
  }
  ig_free(*place);
  *place = ig_strdup(option->value);
  return *place ? IGLOO_OK : ig_fail_oom(reterr);
}

/* What was not said may stand in the environment. */
static igloo_status take_environment(const char *name, char **place,
                                     struct igloo_error *reterr) {
  const char *value = getenv(name);
  if (*place || !value || !value[0]) return IGLOO_OK;
  *place = ig_strdup(value);
  return *place ? IGLOO_OK : ig_fail_oom(reterr);
}

/* A password without a name is that of the system's user, as with PostgreSQL's programs.
 */
static igloo_status take_system_user(char **place, struct igloo_error *reterr) {
  struct passwd entry, *found = NULL;
  char scratch[4096];
  if (getpwuid_r(geteuid(), &entry, scratch, sizeof scratch, &found) != 0 || !found)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "there is a password, but no user");
  *place = ig_strdup(entry.pw_name);
  return *place ? IGLOO_OK : ig_fail_oom(reterr);
}

static igloo_status take_credentials(struct database *database,
                                     struct igloo_error *reterr) {
  IG_TRY(take_environment("IGLOO_TLS_CA", &database->uri.tls_ca, reterr));
  if (database->token) return IGLOO_OK;
  IG_TRY(take_environment("IGLOO_USER", &database->user, reterr));
  IG_TRY(take_environment("IGLOO_PASSWORD", &database->password, reterr));
  if (database->password && !database->user)
    return take_system_user(&database->user, reterr);
  return IGLOO_OK;
}

static igloo_status load_tls(struct database *database, struct igloo_error *reterr) {
  const struct ig_uri *uri = &database->uri;
  if (uri->unix_path || uri->tls == IG_URI_TLS_OFF) return IGLOO_OK;
  const struct ig_tls_client_options options = {
      .ca_file = uri->tls_ca,
      .cert_file = uri->tls_cert,
      .key_file = uri->tls_key,
      .is_insecure = uri->tls == IG_URI_TLS_INSECURE,
  };
  return ig_tls_new_client(&options, &database->tls, reterr);
}

igloo_status ig_served_open(const char *uri, const struct igloo_option *options,
                            size_t options_count, void **ret_database,
                            struct igloo_error *reterr) {
  struct database *made = ig_calloc(1, sizeof(*made));
  if (!made) return ig_fail_oom(reterr);
  IG_AUTO_STRUCT(database) *database = made;
  IG_TRY(ig_uri_parse(uri, &database->uri, reterr));
  for (size_t i = 0; i < options_count; i++)
    IG_TRY(take_option(database, &options[i], reterr));
  if (database->uri.user) {
    ig_free(database->user);
    database->user = IG_TAKE(database->uri.user);
  }
  IG_TRY(take_credentials(database, reterr));
  IG_TRY(load_tls(database, reterr));
  *ret_database = IG_TAKE(database);
  return IGLOO_OK;
}

/* ---- connections ------------------------------------------------------------------- */

struct ig_served *ig_served_ref(struct ig_served *remote) {
  (void)__atomic_add_fetch(&remote->refs, 1, __ATOMIC_RELAXED);
  return remote;
}

struct ig_served *ig_served_unref(struct ig_served *remote) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!remote || __atomic_sub_fetch(&remote->refs, 1, __ATOMIC_ACQ_REL) > 0) return NULL;
  if (remote->client) ig_flight_client_close_session(remote->client);
  (void)ig_flight_client_free(remote->client);
  (void)ig_session_unref(remote->writer_session);
  (void)ig_instance_unref(remote->writer);
  ig_mutex_done(&remote->mu);
  ig_free(remote->catalog);
  ig_free(remote);
  return NULL;
}
IG_DEFINE_AUTO_STRUCT(ig_served, ig_served_unref)

static igloo_status set_catalog(struct ig_served *remote, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) body = IG_BUF_INIT(IG_URI_BYTES_MAX);
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  struct ig_session_option option = {
      .key = IG_STR("catalog"),
      .value = {.which = IG_SESSION_VALUE_STRING,
                .string_value = ig_str_from_cstr(remote->catalog)}};
  struct ig_session_options options = {.session_options = {&option, 1}};
  struct ig_set_session_options_result result;
  struct ig_str bytes;
  ig_protobuf_encode(&ig_set_session_options_request_message, &options, &body);
  IG_TRY(ig_buf_check(&body, reterr));
  IG_TRY(ig_flight_client_act(remote->client, "SetSessionOptions", ig_buf_str(&body),
                              NULL, &reply, &bytes, reterr));
  IG_TRY(ig_protobuf_decode(&ig_set_session_options_result_message, bytes, reply.arena,
                            &result, reterr));
  if (result.errors.len == 0) return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_NOT_FOUND, "3D000", "catalog \"%s\" does not exist",
                       remote->catalog);
}

igloo_status ig_served_choose_catalog(struct ig_served *remote,
                                      struct igloo_error *reterr) {
  uint32_t session = ig_flight_client_session(remote->client);
  ig_mutex_lock(&remote->mu);
  bool is_chosen = !remote->catalog || remote->session == session;
  ig_mutex_unlock(&remote->mu);
  if (is_chosen) return IGLOO_OK;
  IG_TRY(set_catalog(remote, reterr));
  IG_LOCK_SCOPE(&remote->mu);
  remote->session = session;
  return IGLOO_OK;
}

static igloo_status connect_server(void *object, void **ret_connection,
                                   struct igloo_error *reterr) {
  const struct database *database = object;
  const struct ig_flight_client_options options = {.host = database->uri.host,
                                                   .port = database->uri.port,
                                                   .unix_path = database->uri.unix_path,
                                                   .tls = database->tls,
                                                   .token = database->token,
                                                   .user = database->user,
                                                   .password = database->password};
  struct ig_served *made = ig_calloc(1, sizeof(*made));
  if (!made) return ig_fail_oom(reterr);
  made->refs = 1;
  ig_mutex_init(&made->mu);
  IG_AUTO_STRUCT(ig_served) *remote = made;
  IG_TRY(ig_flight_client_open(&options, NULL, &remote->client, reterr));
  if (database->uri.catalog) {
    remote->catalog = ig_strdup(database->uri.catalog);
    if (!remote->catalog) return ig_fail_oom(reterr);
    IG_TRY(set_catalog(remote, reterr));
  }
  *ret_connection = IG_TAKE(remote);
  return IGLOO_OK;
}

static void disconnect(void *connection) {
  (void)ig_served_unref(connection);
}

static void cancel(void *connection) {
  ig_served_cancel(connection);
}

static void get_progress(void *connection, struct igloo_progress *ret_progress) {
  ig_served_progress(connection, ret_progress);
}

static igloo_status query(void *connection, struct ig_str sql,
                          struct ig_result *ret_result, struct igloo_error *reterr) {
  struct ig_served_run *run = NULL;
  struct ig_command_statement command = {.query = sql};
  IG_TRY(ig_served_run_begin(connection, &run, reterr));
  return ig_served_run_command(run, &ig_command_statement_query_message, &command, true,
                               ret_result, reterr);
}

static igloo_status register_stream(void *connection, struct ig_str name,
                                    struct ArrowArrayStream *rows,
                                    struct igloo_error *reterr) {
  (void)connection;
  ig_stream_done(rows);
  (void)ig_fail(reterr, IGLOO_UNSUPPORTED,
                "feature not supported: stream \"%.*s\" as a table of a server",
                IG_STR_ARG(name));
  ig_error_hint(reterr, "Insert the rows into a table: prepare INSERT, bind the stream.");
  return IGLOO_UNSUPPORTED;
}

/* ---- local files ------------------------------------------------------------------- */

/* Files are written by an engine in this process, which keeps nothing. The configuration
 * of a server on the same host is not for it. */
static igloo_status open_writer(struct ig_served *remote, struct igloo_error *reterr) {
  const struct ig_config_override overrides[] = {{"config", "/dev/null"},
                                                 {"server.data_dir", ""}};
  struct ig_config *config = NULL;
  if (remote->writer_session) return IGLOO_OK;
  IG_TRY(ig_config_load(NULL, overrides, IG_ARRAY_LEN(overrides), &config, reterr));
  IG_AUTO(ig_instance) *instance = NULL;
  IG_TRY(ig_instance_open(config, &instance, reterr));
  IG_TRY(ig_embedded_connect(instance, &remote->writer_session, reterr));
  remote->writer = IG_TAKE(instance);
  return IGLOO_OK;
}

static igloo_status write_stream(void *connection, struct ArrowArrayStream *rows,
                                 struct ig_str path, struct ig_str format, bool overwrite,
                                 int64_t *ret_written, struct igloo_error *reterr) {
  struct ig_served *remote = connection;
  igloo_status status = open_writer(remote, reterr);
  if (status != IGLOO_OK) {
    ig_stream_done(rows);
    return status;
  }
  struct igloo_error told = {0};
  ig_served_tell(rows, &told);
  status = ig_session_write_file(remote->writer_session, rows, path, format, overwrite,
                                 ret_written, reterr);
  if (status == IGLOO_OK || told.status == IGLOO_OK) return status;
  if (reterr) *reterr = told; /* the writer was told no more than its text */
  return told.status;
}

const struct ig_backend ig_backend_remote = {
    .database_close = database_close,
    .connect = connect_server,
    .disconnect = disconnect,
    .cancel = cancel,
    .progress = get_progress,
    .query = query,
    .register_stream = register_stream,
    .write_stream = write_stream,
    .prepare = ig_served_prepare,
    .statement_free = ig_served_statement_free,
    .schema = ig_served_statement_schema,
    .parameters = ig_served_statement_parameters,
    .parameter_number = ig_served_parameter_number,
    .bind = ig_served_bind,
    .bind_stream = ig_served_bind_stream,
    .execute = ig_served_execute,
};
