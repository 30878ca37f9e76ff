/* prepared.c -- prepared statements by handles: what they promise, and the rows that are
 * bound to them. */
#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "flight/private.h"

/* ---- what bound rows take ----------------------------------------------------------
 */

static void give_back(const struct ig_flight_prepared *prepared, uint64_t bytes) {
  struct ig_flight_session *own = ig_session_ctx(prepared->handle.session);
  IG_LOCK_SCOPE(&own->flight->mu);
  own->bound_bytes -= bytes;
  own->flight->bound_bytes -= bytes;
}

/* Rows that stay bound must not take the memory in which others send theirs. */
static igloo_status reserve(const struct ig_flight_prepared *prepared, uint64_t bytes,
                            struct igloo_error *reterr) {
  struct ig_flight_session *own = ig_session_ctx(prepared->handle.session);
  ig_flight *flight = own->flight;
  IG_LOCK_SCOPE(&flight->mu);
  uint64_t most = IG_FLIGHT_BOUND_BYTES_PER_SESSION_MAX;
  bool is_own = own->bound_bytes + bytes > most;
  bool is_all = bytes > IG_FLIGHT_BOUND_BYTES_FREE &&
                flight->bound_bytes + bytes > IG_FLIGHT_BOUND_BYTES_MAX;
  if (!is_own && !is_all) {
    own->bound_bytes += bytes;
    flight->bound_bytes += bytes;
    return IGLOO_OK;
  }
  if (!is_own) most = IG_FLIGHT_BOUND_BYTES_MAX;
  (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53400",
                      "too many parameters are bound: %s may keep %llu bytes of them",
                      is_own ? "a session" : "all sessions together",
                      (unsigned long long)most);
  ig_error_hint(reterr, "Close prepared statements that are not used any more.");
  return IGLOO_RESOURCE_EXHAUSTED;
}

static void free_prepared(struct ig_handle *handle) {
  struct ig_flight_prepared *prepared = (struct ig_flight_prepared *)handle;
  give_back(prepared, prepared->values_bytes);
  (void)ig_kept_unref(prepared->values);
  ig_flight_transaction_unref(&prepared->transaction);
  (void)ig_prepared_free(prepared->prepared);
  ig_mutex_done(&prepared->mu);
  ig_free(prepared);
}

/* The JDBC driver 18, which only says that it is gRPC of Java, writes the milliseconds
 * that java.sql has into a vector of any unit: unless milliseconds are asked for, what it
 * binds is wrong by a factor of a thousand or a million. */
static bool counts_milliseconds(const struct ig_flight_call *call) {
  struct ig_str agent;
  return ig_rpc_metadata_get(ig_rpc_call_metadata(call->rpc), "user-agent", &agent) &&
         ig_str_starts(agent, IG_STR("grpc-java-netty/"));
}

/* Times and timestamps in milliseconds, as in "ttm" for "ttn" and "tsm:UTC" for
 * "tsu:UTC". */
static igloo_status make_milliseconds(struct ArrowSchema *field,
                                      struct igloo_error *reterr) {
  const char *before = field->format;
  if (before[0] != 't' || (before[1] != 's' && before[1] != 't')) return IGLOO_OK;
  IG_AUTO_DONE(ig_buf) format = IG_BUF_INIT(IG_IDENTIFIER_BYTES_MAX);
  ig_buf_append_fmt(&format, "t%cm%s", before[1], before + 3);
  IG_TRY(ig_buf_check(&format, reterr));
  if (ArrowSchemaSetFormat(field, format.data) != NANOARROW_OK)
    return ig_fail_oom(reterr);
  return IGLOO_OK;
}

/* A type that every client can make a value of, and that takes NULL. */
static igloo_status make_bindable(struct ArrowSchema *field, struct igloo_error *reterr) {
  field->flags |= ARROW_FLAG_NULLABLE;
  if (strcmp(field->format, "n") != 0) return IGLOO_OK;
  if (ArrowSchemaSetType(field, NANOARROW_TYPE_STRING) != NANOARROW_OK)
    return ig_fail_oom(reterr);
  return IGLOO_OK;
}

static igloo_status parameter_schema(const struct ig_flight_call *call,
                                     ig_prepared *prepared, struct ig_buf *out,
                                     struct igloo_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  bool milliseconds = counts_milliseconds(call);
  IG_TRY(ig_prepared_parameters(prepared, &schema, reterr));
  for (int64_t i = 0; i < schema.n_children; i++) {
    IG_TRY(make_bindable(schema.children[i], reterr));
    if (milliseconds) IG_TRY(make_milliseconds(schema.children[i], reterr));
  }
  return ig_flight_schema_bytes(&schema, out, reterr);
}

static igloo_status new_handle(struct ig_flight_call *call, ig_prepared *prepared,
                               struct ig_flight_transaction *transaction,
                               uint8_t ret_handle[IG_TICKET_BYTES],
                               struct igloo_error *reterr) {
  IG_AUTO(ig_prepared) *taken = prepared;
  struct ig_flight_prepared *made = ig_calloc(1, sizeof(*made));
  if (!made) return ig_fail_oom(reterr);
  made->handle = (struct ig_handle){
      .refs = 1,
      .kind = IG_HANDLE_PREPARED,
      .session = ig_session_ref(call->session),
      .expires_us = IG_NEVER_US,
      .free = free_prepared,
  };
  ig_mutex_init(&made->mu);
  made->prepared = IG_TAKE(taken);
  if (transaction) {
    (void)__atomic_add_fetch(&transaction->handle.refs, 1, __ATOMIC_RELAXED);
    made->transaction = transaction;
  }
  return ig_handles_add(call, &made->handle, ret_handle, reterr);
}

igloo_status ig_flight_prepare(struct ig_flight_call *call, struct ig_str sql,
                               struct ig_flight_transaction *transaction,
                               struct ig_buf *ret_result, struct igloo_error *reterr) {
  IG_AUTO(ig_prepared) *prepared = NULL;
  IG_AUTO_SCHEMA rows = {0};
  IG_AUTO_DONE(ig_buf) dataset = IG_BUF_INIT(IG_FLIGHT_REPLY_BYTES_MAX);
  IG_AUTO_DONE(ig_buf) parameters = IG_BUF_INIT(IG_FLIGHT_REPLY_BYTES_MAX);
  IG_TRY(ig_flight_join_session(call, reterr));
  IG_TRY(ig_session_prepare(call->session, sql, call->cancel, &prepared, reterr));
  IG_TRY(ig_prepared_schema(prepared, &rows, reterr));
  IG_TRY(parameter_schema(call, prepared, &parameters, reterr));
  bool gives_rows = ig_prepared_gives_rows(prepared, &rows);
  /* Absent, it tells older clients that this is an update. */
  if (gives_rows) {
    IG_TRY(ig_flight_describe(&rows, NULL, reterr));
    IG_TRY(ig_flight_schema_bytes(&rows, &dataset, reterr));
  }
  uint8_t handle[IG_TICKET_BYTES];
  IG_TRY(new_handle(call, IG_TAKE(prepared), transaction, handle, reterr));
  struct ig_action_create_prepared_statement_result result = {
      .prepared_statement_handle = {(const char *)handle, sizeof handle},
      .dataset_schema = gives_rows ? ig_buf_str(&dataset) : (struct ig_str){NULL, 0},
      .parameter_schema = ig_buf_str(&parameters),
      .has_is_update = true,
      .is_update = !gives_rows,
  };
  ig_any_encode(&ig_action_create_prepared_statement_result_message, &result, ret_result);
  return ig_buf_check(ret_result, reterr);
}

/* ---- by handle --------------------------------------------------------------------- */

igloo_status ig_flight_find_prepared(struct ig_flight_call *call, struct ig_str handle,
                                     struct ig_flight_prepared **ret,
                                     struct igloo_error *reterr) {
  struct ig_handle *found = ig_handles_find(&call->flight->handles, IG_HANDLE_PREPARED,
                                            call->who.user_id, handle);
  if (!found)
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "26000",
                         "the prepared statement does not exist (any more)");
  *ret = (struct ig_flight_prepared *)found;
  return IGLOO_OK;
}

ig_kept *ig_flight_prepared_values(struct ig_flight_prepared *prepared) {
  IG_LOCK_SCOPE(&prepared->mu);
  return prepared->values ? ig_kept_ref(prepared->values) : NULL;
}

static void put_values(struct ig_flight_prepared *prepared, ig_kept *values,
                       uint64_t bytes) {
  ig_mutex_lock(&prepared->mu);
  ig_kept *before = prepared->values;
  uint64_t before_bytes = prepared->values_bytes;
  prepared->values = values;
  prepared->values_bytes = bytes;
  ig_mutex_unlock(&prepared->mu);
  (void)ig_kept_unref(before);
  give_back(prepared, before_bytes);
}

igloo_status ig_flight_prepared_bind(struct ig_flight_prepared *prepared, ig_kept *values,
                                     uint64_t bytes, struct igloo_error *reterr) {
  put_values(prepared, NULL, 0); /* those of before make room */
  igloo_status status = reserve(prepared, bytes, reterr);
  if (status == IGLOO_OK)
    put_values(prepared, values, bytes);
  else
    (void)ig_kept_unref(values);
  return status;
}
