/*
 * remote_statement.c -- prepared statements on a server; see remote.h.
 *
 * Values are kept here until the statement is executed: then they are sent, a row or as
 * many as were bound, and the statement runs. What writes gets its rows and runs in one
 * call.
 */
#include "arrow/ipc_decode.h"
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/clock.h"
#include "base/limits.h"
#include "client/remote.h"
#include "wire/any.h"
#include "wire/flight_sql.h"

#define CLOSE_US (1 * IG_US_PER_S)
#define BODY_BYTES_MAX (IG_SQL_BYTES_LIMIT + IG_MIB)

struct statement {
  struct ig_served *remote; /* one reference */
  struct ig_buf handle;     /* the server's name for it */
  uint32_t session;         /* the number of the one that it is in … */
  bool is_held;             /* … once it is */
  bool writes;
  struct ArrowSchema schema;     /* of the result */
  struct ArrowSchema parameters; /* with their names */
  struct ig_values values;
  struct ArrowArrayStream rows; /* bound rows, or released */
};

static void statement_free(struct statement *statement) {
  if (statement->is_held)
    ig_flight_client_let_go(statement->remote->client, statement->session);
  ig_stream_done(&statement->rows);
  ig_values_done(&statement->values);
  ig_schema_done(&statement->schema);
  ig_schema_done(&statement->parameters);
  ig_buf_done(&statement->handle);
  (void)ig_served_unref(statement->remote);
  ig_free(statement);
}
IG_DEFINE_AUTO_STRUCT(statement, statement_free)

/* ---- actions ----------------------------------------------------------------------- */

/* One of Flight SQL's own actions: message in an Any, result in an Any. `result` NULL: it
 * has none. */
static igloo_status act(struct ig_served *remote, const char *type,
                        const struct ig_protobuf_message *message, const void *value,
                        ig_cancel *cancel, const struct ig_protobuf_message *result,
                        struct ig_flight_reply *ret_reply, void *ret_value,
                        struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) body = IG_BUF_INIT(BODY_BYTES_MAX);
  struct ig_str bytes;
  ig_any_encode(message, value, &body);
  IG_TRY(ig_buf_check(&body, reterr));
  IG_TRY(ig_flight_client_act(remote->client, type, ig_buf_str(&body), cancel, ret_reply,
                              &bytes, reterr));
  if (!result) return IGLOO_OK;
  return ig_any_decode_as(bytes, ret_reply->arena, result, ret_value, reterr);
}

/* A schema that may be left out: no columns then. */
static igloo_status read_schema(struct ig_str bytes, struct ArrowSchema *ret_schema,
                                struct igloo_error *reterr) {
  if (bytes.len == 0) return ig_schema_new_struct(0, ret_schema, reterr);
  IG_TRY(ig_ipc_schema_decode(bytes, ret_schema, reterr));
  return ig_schema_drop_metadata(ret_schema, IG_STR(IG_COLUMN_METADATA), reterr);
}

static igloo_status read_result(
    struct statement *statement,
    const struct ig_action_create_prepared_statement_result *result,
    struct igloo_error *reterr) {
  statement->session = ig_flight_client_hold(statement->remote->client);
  statement->is_held = true;
  ig_buf_append_str(&statement->handle, result->prepared_statement_handle);
  IG_TRY(ig_buf_check(&statement->handle, reterr));
  IG_TRY(read_schema(result->dataset_schema, &statement->schema, reterr));
  IG_TRY(read_schema(result->parameter_schema, &statement->parameters, reterr));
  statement->writes = result->has_is_update && result->is_update;
  int64_t count = statement->parameters.n_children;
  if (count > IG_SQL_PARAMETERS_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "the server tells of %lld parameters", (long long)count);
  return ig_values_init(&statement->values, (uint32_t)count, reterr);
}

igloo_status ig_served_prepare(void *connection, struct ig_str sql, void **ret_statement,
                               struct igloo_error *reterr) {
  IG_AUTO_STRUCT(ig_served_run) *run = NULL;
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  struct statement *made = ig_calloc(1, sizeof(*made));
  if (!made) return ig_fail_oom(reterr);
  IG_AUTO_STRUCT(statement) *statement = made;
  statement->remote = ig_served_ref(connection);
  ig_buf_init(&statement->handle, IG_MIB);
  struct ig_action_create_prepared_statement_request request = {.query = sql};
  struct ig_action_create_prepared_statement_result result;
  IG_TRY(ig_served_run_begin(connection, &run, reterr));
  IG_TRY(act(statement->remote, "CreatePreparedStatement",
             &ig_action_create_prepared_statement_request_message, &request, run->cancel,
             &ig_action_create_prepared_statement_result_message, &reply, &result,
             reterr));
  IG_TRY(read_result(statement, &result, reterr));
  *ret_statement = IG_TAKE(statement);
  return IGLOO_OK;
}

void ig_served_statement_free(void *object) {
  IG_AUTO_STRUCT(statement) *statement = object;
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  IG_AUTO(ig_cancel) *cancel = NULL;
  struct ig_action_close_prepared_statement_request request = {
      .prepared_statement_handle = ig_buf_str(&statement->handle)};
  /* What goes wrong does not matter: it goes with its session. */
  if (ig_cancel_new(ig_deadline_in(CLOSE_US), &cancel, NULL) != IGLOO_OK) return;
  (void)!act(statement->remote, "ClosePreparedStatement",
             &ig_action_close_prepared_statement_request_message, &request, cancel, NULL,
             &reply, NULL, NULL);
}

igloo_status ig_served_statement_schema(void *object, struct ArrowSchema *ret_schema,
                                        struct igloo_error *reterr) {
  struct statement *statement = object;
  return ig_schema_copy(&statement->schema, ret_schema, reterr);
}

igloo_status ig_served_statement_parameters(void *object, struct ArrowSchema *ret_schema,
                                            struct igloo_error *reterr) {
  struct statement *statement = object;
  return ig_schema_copy(&statement->parameters, ret_schema, reterr);
}

int32_t ig_served_parameter_number(void *object, struct ig_str name) {
  struct statement *statement = object;
  return (int32_t)(1 + ig_schema_find(&statement->parameters, name));
}

/* ---- binding ----------------------------------------------------------------------- */

igloo_status ig_served_bind(void *object, int32_t number, struct ig_value value,
                            struct igloo_error *reterr) {
  struct statement *statement = object;
  IG_TRY(ig_values_set(&statement->values, number, value, reterr));
  ig_stream_done(&statement->rows);
  return IGLOO_OK;
}

igloo_status ig_served_bind_stream(void *object, struct ArrowArrayStream *rows,
                                   struct igloo_error *reterr) {
  struct statement *statement = object;
  if (statement->values.count == 0) {
    ig_stream_done(rows);
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "the statement has no parameters to bind rows to");
  }
  ig_stream_done(&statement->rows);
  statement->rows = *rows;
  rows->release = NULL;
  return IGLOO_OK;
}

/* What is bound, as rows: those of a stream are used up. */
static igloo_status take_rows(struct statement *statement,
                              struct ArrowArrayStream *ret_rows,
                              struct igloo_error *reterr) {
  if (!statement->rows.release)
    return ig_values_rows(&statement->values, &statement->parameters, ret_rows, reterr);
  *ret_rows = statement->rows;
  statement->rows.release = NULL;
  return IGLOO_OK;
}

/* ---- executing --------------------------------------------------------------------- */

/* Send rows to a statement that writes: it runs with them. */
static igloo_status write_rows(struct statement *statement, struct ig_served_run *run,
                               struct ArrowArrayStream *rows, int64_t *ret_affected,
                               struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  struct ig_command_prepared_statement command = {ig_buf_str(&statement->handle)};
  struct ig_do_put_update_result result;
  struct ig_str metadata;
  IG_TRY(ig_flight_client_put(statement->remote->client,
                              &ig_command_prepared_statement_update_message, &command,
                              rows, run->cancel, &reply, &metadata, reterr));
  IG_TRY(ig_protobuf_decode(&ig_do_put_update_result_message, metadata, NULL, &result,
                            reterr));
  *ret_affected = result.record_count;
  return IGLOO_OK;
}

/* Send the rows that a query is to run with. The server may give the statement another
 * handle that holds them. */
static igloo_status bind_rows(struct statement *statement, struct ig_served_run *run,
                              struct ArrowArrayStream *rows, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  struct ig_command_prepared_statement command = {ig_buf_str(&statement->handle)};
  struct ig_do_put_prepared_statement_result result;
  struct ig_str metadata;
  IG_TRY(ig_flight_client_put(statement->remote->client,
                              &ig_command_prepared_statement_query_message, &command,
                              rows, run->cancel, &reply, &metadata, reterr));
  IG_TRY(ig_protobuf_decode(&ig_do_put_prepared_statement_result_message, metadata, NULL,
                            &result, reterr));
  if (!result.has_prepared_statement_handle) return IGLOO_OK;
  ig_buf_clear(&statement->handle);
  ig_buf_append_str(&statement->handle, result.prepared_statement_handle);
  return ig_buf_check(&statement->handle, reterr);
}

igloo_status ig_served_execute(void *object, struct ig_result *ret_result,
                               struct igloo_error *reterr) {
  struct statement *statement = object;
  IG_AUTO_STRUCT(ig_served_run) *run = NULL;
  IG_AUTO_STREAM rows = {0};
  int64_t affected = -1;
  IG_TRY(ig_served_run_begin(statement->remote, &run, reterr));
  if (statement->values.count > 0) IG_TRY(take_rows(statement, &rows, reterr));
  if (rows.release && statement->writes) {
    IG_TRY(write_rows(statement, run, &rows, &affected, reterr));
    ig_served_no_rows(IG_TAKE(run), affected, ret_result);
    return IGLOO_OK;
  }
  if (rows.release) IG_TRY(bind_rows(statement, run, &rows, reterr));
  struct ig_command_prepared_statement command = {ig_buf_str(&statement->handle)};
  return ig_served_run_command(IG_TAKE(run), &ig_command_prepared_statement_query_message,
                               &command, !statement->writes, ret_result, reterr);
}
