/*
 * remote_run.c -- statements that run on a server, and the streams that they end in; see
 * remote.h.
 *
 * A statement's command is its ticket: DoGet plans it, runs it and gives its rows. Only a
 * prepared statement that writes is asked for by GetFlightInfo, which runs it; DoGet then
 * uses up the ticket.
 */
#include <errno.h>

#include "arrow/ipc_decode.h"
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "client/remote.h"
#include "wire/any.h"
#include "wire/flight_sql.h"

/* ---- runs -------------------------------------------------------------------------- */

igloo_status ig_served_run_begin(struct ig_served *remote, struct ig_served_run **ret_run,
                                 struct igloo_error *reterr) {
  IG_TRY(ig_served_choose_catalog(remote, reterr));
  struct ig_served_run *run = ig_calloc(1, sizeof(*run));
  if (!run) return ig_fail_oom(reterr);
  igloo_status status = ig_cancel_new(IG_NEVER_US, &run->cancel, reterr);
  if (status != IGLOO_OK) {
    ig_free(run);
    return status;
  }
  run->remote = ig_served_ref(remote);
  run->begin_us = ig_now_us();
  *ret_run = run;
  IG_LOCK_SCOPE(&remote->mu);
  run->next = remote->runs;
  if (run->next) run->next->link = &run->next;
  run->link = &remote->runs;
  remote->runs = run;
  return IGLOO_OK;
}

/* What is known here: what the server scans and holds is not. */
static struct igloo_progress progress_locked(const struct ig_served_run *run) {
  return (struct igloo_progress){.elapsed_us = ig_now_us() - run->begin_us,
                                 .rows_scanned = -1,
                                 .bytes_scanned = -1,
                                 .bytes_total = -1,
                                 .rows_returned = run->rows,
                                 .running = 1};
}

/* Out of the list, once; what it came to stays as the connection's last progress. */
static void leave_list(struct ig_served_run *run) {
  IG_LOCK_SCOPE(&run->remote->mu);
  if (!run->link) return;
  run->remote->last = progress_locked(run);
  run->remote->last.running = 0;
  *run->link = run->next;
  if (run->next) run->next->link = run->link;
  run->link = NULL;
}

struct ig_served_run *ig_served_run_end(struct ig_served_run *run) {
  if (!run) return NULL;
  leave_list(run);
  (void)ig_cancel_unref(run->cancel);
  (void)ig_served_unref(run->remote);
  ig_free(run);
  return NULL;
}

void ig_served_cancel(struct ig_served *remote) {
  ig_mutex_lock(&remote->mu);
  for (struct ig_served_run *run = remote->runs; run; run = run->next)
    ig_cancel_set(run->cancel);
  ig_mutex_unlock(&remote->mu);
  ig_flight_client_reset(remote->client);
}

void ig_served_progress(struct ig_served *remote, struct igloo_progress *ret_progress) {
  IG_LOCK_SCOPE(&remote->mu);
  *ret_progress = remote->runs ? progress_locked(remote->runs) : remote->last;
}

/* ---- rows -------------------------------------------------------------------------- */

struct rows {
  struct ArrowArrayStream inner;
  struct ig_served_run *run;
  struct igloo_error *told; /* borrowed, or NULL: gets a copy of the error */
  struct igloo_error error; /* last: it is not cleared */
};

static struct ig_spare spare_rows;

/* The end of the stream, good or bad: the statement runs no longer. */
static int end_rows(struct rows *rows, int errnum) {
  leave_list(rows->run);
  if (errnum == 0 || rows->error.status != IGLOO_OK) return errnum;
  if (ig_flight_stream_error(&rows->inner, &rows->error) == IGLOO_OK)
    (void)ig_fail(
        &rows->error, errnum == ENOMEM ? IGLOO_OUT_OF_MEMORY : IGLOO_INTERNAL,
        errnum == ENOMEM ? "out of memory" : "the result ended without a reason");
  if (rows->told) *rows->told = rows->error;
  return errnum;
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  struct rows *rows = stream->private_data;
  IG_AUTO_SCHEMA told = {0};
  int errnum = rows->inner.get_schema(&rows->inner, &told);
  if (errnum) return end_rows(rows, errnum);
  /* As the engine inside gives it: without what is for drivers. */
  if (ig_schema_copy(&told, out, NULL) != IGLOO_OK) return end_rows(rows, ENOMEM);
  if (ig_schema_drop_metadata(out, IG_STR(IG_COLUMN_METADATA), NULL) == IGLOO_OK)
    return 0;
  ig_schema_done(out);
  return end_rows(rows, ENOMEM);
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  struct rows *rows = stream->private_data;
  if (rows->error.status != IGLOO_OK) return EIO; /* an error stays */
  int errnum = rows->inner.get_next(&rows->inner, out);
  if (errnum || !out->release) return end_rows(rows, errnum);
  IG_LOCK_SCOPE(&rows->run->remote->mu);
  rows->run->rows += out->length;
  return 0;
}

static const char *get_last_error(struct ArrowArrayStream *stream) {
  const struct rows *rows = stream->private_data;
  return rows->error.status == IGLOO_OK ? NULL : rows->error.message;
}

/* The inner stream belongs to the client, which the run's reference keeps. */
static void free_rows(struct rows *rows) {
  ig_stream_done(&rows->inner);
  (void)ig_served_run_end(rows->run);
  ig_spare_give(&spare_rows, rows, sizeof(*rows));
}

static void release(struct ArrowArrayStream *stream) {
  struct rows *rows = stream->private_data;
  stream->release = NULL;
  free_rows(rows);
}

static void give_rows(struct rows *rows, struct ArrowArrayStream *ret_rows) {
  *ret_rows = (struct ArrowArrayStream){.get_schema = get_schema,
                                        .get_next = get_next,
                                        .get_last_error = get_last_error,
                                        .release = release,
                                        .private_data = rows};
}

igloo_status ig_served_stream_error(const struct ArrowArrayStream *stream,
                                    bool *ret_is_ours, struct igloo_error *reterr) {
  *ret_is_ours = stream->release == release;
  if (!*ret_is_ours) return IGLOO_OK;
  const struct rows *rows = stream->private_data;
  if (rows->error.status != IGLOO_OK && reterr) *reterr = rows->error;
  return rows->error.status;
}

void ig_served_tell(struct ArrowArrayStream *stream, struct igloo_error *told) {
  if (stream->release == release) ((struct rows *)stream->private_data)->told = told;
}

/* ---- commands ---------------------------------------------------------------------- */

/* A server that gives no endpoint gives no rows, but says their schema. */
static igloo_status rows_of_schema(struct ig_str schema_bytes,
                                   struct ArrowArrayStream *ret_rows,
                                   struct igloo_error *reterr) {
  struct ArrowSchema schema;
  *ret_rows = ig_stream_empty();
  if (schema_bytes.len == 0) return IGLOO_OK;
  IG_TRY(ig_ipc_schema_decode(schema_bytes, &schema, reterr));
  return ig_stream_new_batch(&schema, NULL, ret_rows, reterr);
}

static igloo_status fetch(struct ig_served_run *run, const struct ig_flight_info *info,
                          struct ArrowArrayStream *ret_rows, struct igloo_error *reterr) {
  if (info->endpoint.len == 0) return rows_of_schema(info->schema, ret_rows, reterr);
  const struct ig_flight_endpoint *endpoint = &info->endpoint.items[0];
  if (info->endpoint.len > 1 || endpoint->location.len > 0 || !endpoint->ticket)
    return ig_fail(reterr, IGLOO_UNSUPPORTED,
                   "feature not supported: a result in parts, or from another server");
  return ig_flight_client_get(run->remote->client, endpoint->ticket->ticket, run->cancel,
                              ret_rows, reterr);
}

static igloo_status run_command(struct ig_served_run *run,
                                const struct ig_protobuf_message *command,
                                const void *value, struct ArrowArrayStream *ret_rows,
                                int64_t *ret_affected, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  struct ig_flight_info info;
  IG_TRY(ig_flight_client_info(run->remote->client, command, value, run->cancel, &reply,
                               &info, reterr));
  *ret_affected = info.total_records;
  return fetch(run, &info, ret_rows, reterr);
}

static igloo_status get_command(struct ig_served_run *run,
                                const struct ig_protobuf_message *command,
                                const void *value, struct ArrowArrayStream *ret_rows,
                                int64_t *ret_affected, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) ticket = IG_BUF_INIT(IG_SQL_BYTES_LIMIT + IG_MIB);
  ig_any_encode(command, value, &ticket);
  IG_TRY(ig_buf_check(&ticket, reterr));
  IG_TRY(ig_flight_client_get(run->remote->client, ig_buf_str(&ticket), run->cancel,
                              ret_rows, reterr));
  *ret_affected = ig_flight_stream_affected(ret_rows);
  return IGLOO_OK;
}

igloo_status ig_served_run_command(struct ig_served_run *run,
                                   const struct ig_protobuf_message *command,
                                   const void *value, bool is_ticket,
                                   struct ig_result *ret_result,
                                   struct igloo_error *reterr) {
  IG_AUTO_STRUCT(ig_served_run) *held = run;
  struct rows *rows = ig_spare_take(&spare_rows, sizeof(*rows));
  int64_t affected = -1;
  if (!rows) return ig_fail_oom(reterr);
  memset(rows, 0, offsetof(struct rows, error));
  ig_error_reset(&rows->error);
  igloo_status status =
      is_ticket ? get_command(held, command, value, &rows->inner, &affected, reterr)
                : run_command(held, command, value, &rows->inner, &affected, reterr);
  if (status != IGLOO_OK) {
    ig_spare_give(&spare_rows, rows, sizeof(*rows));
    return status;
  }
  rows->run = IG_TAKE(held);
  give_rows(rows, &ret_result->rows);
  ret_result->affected = affected;
  return IGLOO_OK;
}

void ig_served_no_rows(struct ig_served_run *run, int64_t affected,
                       struct ig_result *ret_result) {
  (void)ig_served_run_end(run);
  *ret_result = (struct ig_result){ig_stream_empty(), affected};
}
