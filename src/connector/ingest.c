/*
 * ingest.c -- rows into a table of a source, in one transaction, once.
 *
 * The driver reads the rows on the link's thread, through a gate: where the driver is
 * given up, the rows are taken away from it, so that nothing of the statement outlives
 * it.
 */
#include <errno.h>

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/clock.h"
#include "base/limits.h"
#include "connector/internal.h"

/* ---- the gate
 * --------------------------------------------------------------------------
 */

struct gate {
  atomic_uint refs; /* the call and the driver's stream */
  pthread_mutex_t mu;
  struct ArrowArrayStream inner; /* guarded by mu; released: taken away */
  ig_cancel *cancel;             /* shared; NULL: none */
  int64_t rows;                  /* guarded by mu */
  struct igloo_error error;      /* guarded by mu: of the rows; status OK: none */
};

static struct gate *gate_unref(struct gate *gate) {
  if (!gate || atomic_fetch_sub(&gate->refs, 1) != 1) return NULL;
  ig_stream_done(&gate->inner);
  ig_cancel_unref(gate->cancel);
  ig_mutex_done(&gate->mu);
  ig_free(gate);
  return NULL;
}

static igloo_status gate_check_locked(struct gate *gate) {
  if (!gate->inner.release)
    return ig_fail(&gate->error, IGLOO_CANCELLED, "the statement was cancelled");
  return ig_cancel_check(gate->cancel, &gate->error);
}

static int errno_of(igloo_status status) {
  return status == IGLOO_OK              ? 0
         : status == IGLOO_OUT_OF_MEMORY ? ENOMEM
         : status == IGLOO_CANCELLED     ? ECANCELED
                                         : EIO;
}

static int gate_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  struct gate *gate = stream->private_data;
  IG_LOCK_SCOPE(&gate->mu);
  igloo_status status = gate_check_locked(gate);
  if (status == IGLOO_OK) status = ig_stream_schema(&gate->inner, out, &gate->error);
  return errno_of(status);
}

static int gate_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  struct gate *gate = stream->private_data;
  out->release = NULL;
  IG_LOCK_SCOPE(&gate->mu);
  igloo_status status = gate_check_locked(gate);
  if (status == IGLOO_OK) status = ig_stream_next(&gate->inner, out, &gate->error);
  if (status == IGLOO_OK && out->release) gate->rows += out->length;
  return errno_of(status);
}

/* The text is not asked for with the lock: only the driver's thread writes it. */
static const char *gate_get_last_error(struct ArrowArrayStream *stream) {
  struct gate *gate = stream->private_data;
  return gate->error.status == IGLOO_OK ? NULL : gate->error.message;
}

static void gate_release(struct ArrowArrayStream *stream) {
  gate_unref(stream->private_data);
  stream->private_data = NULL;
  stream->release = NULL;
}

/* ---- on the link's thread -------------------------------------------------------------
 */

struct ingest_call {
  struct ig_call call;
  struct gate *gate;   /* held */
  char *schema, *name; /* owned; schema NULL: the driver's own */
  enum ig_ingest_mode mode;
  int64_t rows; /* the result */
};

static void ingest_call_free(struct ig_call *call) {
  struct ingest_call *self = (struct ingest_call *)call;
  gate_unref(self->gate);
  ig_free(self->schema);
  ig_free(self->name);
}

static const char *const modes[] = {
    [IG_INGEST_APPEND] = ADBC_INGEST_OPTION_MODE_APPEND,
    [IG_INGEST_CREATE] = ADBC_INGEST_OPTION_MODE_CREATE,
    [IG_INGEST_REPLACE] = ADBC_INGEST_OPTION_MODE_REPLACE,
};

static igloo_status set_option(ig_link *link, struct AdbcStatement *statement,
                               const char *key, const char *value,
                               struct igloo_error *reterr) {
  struct AdbcError error = ADBC_ERROR_INIT;
  return ig_link_fail(
      link, ig_link_driver(link)->StatementSetOption(statement, key, value, &error),
      &error, reterr);
}

static igloo_status write_rows(ig_link *link, struct ingest_call *self,
                               struct igloo_error *reterr) {
  const struct AdbcDriver *driver = ig_link_driver(link);
  struct AdbcStatement *statement = NULL;
  struct AdbcError error = ADBC_ERROR_INIT;
  IG_TRY(ig_link_statement_begin(link, NULL, &statement, reterr));
  IG_TRY(
      set_option(link, statement, ADBC_INGEST_OPTION_TARGET_TABLE, self->name, reterr));
  IG_TRY(set_option(link, statement, ADBC_INGEST_OPTION_MODE, modes[self->mode], reterr));
  if (self->schema)
    IG_TRY(set_option(link, statement, ADBC_INGEST_OPTION_TARGET_DB_SCHEMA, self->schema,
                      reterr));
  atomic_fetch_add(&self->gate->refs, 1);
  IG_AUTO_STREAM stream = {.get_schema = gate_get_schema,
                           .get_next = gate_get_next,
                           .get_last_error = gate_get_last_error,
                           .release = gate_release,
                           .private_data = self->gate};
  IG_TRY(ig_link_fail(link, driver->StatementBindStream(statement, &stream, &error),
                      &error, reterr));
  self->rows = -1;
  return ig_link_fail(link,
                      driver->StatementExecuteQuery(statement, NULL, &self->rows, &error),
                      &error, reterr);
}

/* Drivers without transactions write what they write: some sources have none. */
static igloo_status run_ingest(ig_link *link, struct ig_call *call,
                               struct igloo_error *reterr) {
  struct ingest_call *self = (struct ingest_call *)call;
  const struct AdbcDriver *driver = ig_link_driver(link);
  struct AdbcError error = ADBC_ERROR_INIT;
  igloo_status status = ig_link_set_option(link, ADBC_CONNECTION_OPTION_AUTOCOMMIT,
                                           ADBC_OPTION_VALUE_DISABLED, reterr);
  bool transaction = status == IGLOO_OK;
  if (status != IGLOO_OK && status != IGLOO_UNSUPPORTED) return status;

  status = write_rows(link, self, reterr);
  ig_link_statement_end(link, false);
  if (!transaction) return status;
  if (status == IGLOO_OK)
    status = ig_link_fail(
        link, driver->ConnectionCommit(ig_link_connection(link), &error), &error, reterr);
  else
    driver->ConnectionRollback(ig_link_connection(link), &error);
  if (error.release) error.release(&error);
  if (status != IGLOO_OK) return status; /* the link is closed: no need to tidy up */
  return ig_link_set_option(link, ADBC_CONNECTION_OPTION_AUTOCOMMIT,
                            ADBC_OPTION_VALUE_ENABLED, reterr);
}

/* ---- calling ---------------------------------------------------------------------- */

static igloo_status gate_new(struct ArrowArrayStream *rows, ig_cancel *cancel,
                             struct gate **ret_gate, struct igloo_error *reterr) {
  struct gate *gate = ig_calloc(1, sizeof(*gate));
  if (!gate) {
    ig_stream_done(rows);
    return ig_fail_oom(reterr);
  }
  atomic_init(&gate->refs, 1);
  ig_mutex_init(&gate->mu);
  gate->inner = *rows;
  rows->release = NULL;
  gate->cancel = cancel ? ig_cancel_ref(cancel) : NULL;
  *ret_gate = gate;
  return IGLOO_OK;
}

static igloo_status ingest(ig_source *source, struct ingest_call *call, ig_cancel *cancel,
                           struct igloo_error *reterr) {
  struct ig_waits waits = {.cancel = cancel, .deadline_us = IG_NEVER_US};
  IG_TRY(ig_links_reserve(source->pool, IG_PLACE_WRITE, 1, &waits, reterr));
  ig_link *link = NULL;
  igloo_status status = ig_links_take(source->pool, &waits, &link, reterr);
  if (status == IGLOO_OK) {
    atomic_fetch_add(&source->statements, 1);
    status = ig_link_call(link, &call->call, &waits, reterr);
    ig_links_give(source->pool, link, status);
  }
  ig_links_unreserve(source->pool, IG_PLACE_WRITE, 1);
  return status;
}

igloo_status ig_source_ingest(ig_source *source, struct ig_str schema, struct ig_str name,
                              enum ig_ingest_mode mode, struct ArrowArrayStream *rows,
                              ig_cancel *cancel, int64_t *ret_rows_count,
                              struct igloo_error *reterr) {
  struct gate *gate = NULL;
  IG_TRY(gate_new(rows, cancel, &gate, reterr));
  struct ingest_call *call = ig_call_new(sizeof(*call), run_ingest, ingest_call_free);
  if (!call) {
    gate_unref(gate);
    return ig_fail_oom(reterr);
  }
  call->gate = gate;
  call->mode = mode;
  call->name = ig_str_dup(name);
  bool plain = !source->type->schemas ||
               (source->any_schema && ig_str_eq_cstr(schema, source->default_schema));
  if (!plain) call->schema = ig_str_dup(schema);
  igloo_status status = IGLOO_OK;
  if (source->read_only)
    status = ig_fail_state(reterr, IGLOO_PERMISSION_DENIED, "25006",
                           "catalog \"%s\" is attached read-only", source->name);
  else if (!call->name || (!plain && !call->schema))
    status = ig_fail_oom(reterr);
  else
    status = ingest(source, call, cancel, reterr);

  /* Whatever the driver still does, it gets no more rows; and what was wrong with them
   * says more than what it made of that. */
  ig_mutex_lock(&gate->mu);
  ig_stream_done(&gate->inner);
  if (status != IGLOO_OK && gate->error.status != IGLOO_OK) {
    status = gate->error.status;
    if (reterr) *reterr = gate->error;
  }
  int64_t pulled = gate->rows;
  ig_mutex_unlock(&gate->mu);
  if (status == IGLOO_OK) *ret_rows_count = call->rows >= 0 ? call->rows : pulled;
  ig_call_unref(call);
  if (status == IGLOO_OK) ig_source_refresh(source);
  return status;
}
