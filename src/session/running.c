/* running.c -- statements that run, and the streams that they end in. */
#include <errno.h>

#include "arrow/stream.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "session/admission.h"
#include "session/bound_rows.h"
#include "session/private.h"
#include "sql/redact.h"

#define SHOWN_BYTES IG_STATEMENT_SHOWN_BYTES_MAX

struct result {
  struct ArrowArrayStream rows;
  ig_running *running;
  ig_query *query;          /* NULL: rows that were there already */
  ig_plan *plan;            /* of the query */
  struct igloo_error *told; /* borrowed, or NULL: gets a copy of the error */
  struct igloo_error error; /* last: it is not cleared */
};

static struct ig_spare spare_results;

static struct result *new_result(void) {
  struct result *result = ig_spare_take(&spare_results, sizeof(*result));
  if (!result) return NULL;
  memset(result, 0, offsetof(struct result, error));
  ig_error_reset(&result->error);
  return result;
}

/* ---- what is counted --------------------------------------------------------------- */

static struct ig_metric started =
    IG_COUNTER("igloo_statements_started_total", NULL, "Statements that were begun.");
static struct ig_metric cancelled = IG_COUNTER(
    "igloo_statements_cancelled_total", NULL,
    "Statements that were cancelled or passed their time limit before they ended.");
static struct ig_metric planned =
    IG_COUNTER("igloo_statements_planned_total", NULL,
               "Texts of statements that were planned, as no plan of theirs was kept.");
static struct ig_metric times = IG_TIMES(
    "igloo_statement_seconds", NULL,
    "Time from the beginning of a statement to the end of its result, waits included.");

void ig_running_count_all(void) {
  ig_metrics_register(&started, 1);
  ig_metrics_register(&cancelled, 1);
  ig_metrics_register(&planned, 1);
  ig_metrics_register(&times, 1);
}

void ig_running_count_plan(void) {
  ig_metric_add(&planned, 1);
}

static void count_end(const ig_running *running) {
  ig_metric_observe(&times, ig_now_us() - running->begin_us);
  if (ig_cancel_check(running->cancel, NULL) != IGLOO_OK) ig_metric_add(&cancelled, 1);
}

/* ---- the list ---------------------------------------------------------------------- */

/* The statement's token: the caller's or a new one, with the session's timeout. */
static igloo_status take_token(ig_session *session, ig_cancel *cancel,
                               ig_cancel **ret_cancel, struct igloo_error *reterr) {
  IG_AUTO(ig_session_state) *state = ig_session_state_get(session);
  int64_t timeout_us = state->settings.statement_timeout_us;
  int64_t deadline_us = timeout_us ? ig_deadline_in(timeout_us) : IG_NEVER_US;
  if (!cancel) return ig_cancel_new(deadline_us, ret_cancel, reterr);
  if (deadline_us < ig_cancel_deadline_us(cancel))
    ig_cancel_set_deadline(cancel, deadline_us);
  *ret_cancel = ig_cancel_ref(cancel);
  return IGLOO_OK;
}

void ig_running_enter(ig_running *running, enum ig_running_state state) {
  __atomic_store_n(&running->state, state, __ATOMIC_RELAXED);
}

static igloo_status fail_over(enum ig_session_end over, struct igloo_error *reterr) {
  static const char *const reasons[] = {
      [IG_SESSION_OPEN] = "",
      [IG_SESSION_CLOSED] = "by its client",
      [IG_SESSION_KILLED] = "by KILL SESSION",
      [IG_SESSION_IDLE] = "because it was idle for limits.session_idle",
      [IG_SESSION_DROPPED] = "because its user was dropped",
      [IG_SESSION_STOPPED] = "because the server stops",
  };
  return ig_fail_state(reterr, IGLOO_CLOSED, over == IG_SESSION_IDLE ? "57P05" : "57P01",
                       "the session was ended %s", reasons[over]);
}

/* Into the list of a session that is not over. */
static igloo_status join_list(ig_running *running, struct igloo_error *reterr) {
  ig_session *session = running->session;
  IG_LOCK_SCOPE(&session->mu);
  if (session->over != IG_SESSION_OPEN) return fail_over(session->over, reterr);
  running->next = session->running;
  if (running->next) running->next->link = &running->next;
  running->link = &session->running;
  session->running = running;
  return IGLOO_OK;
}

igloo_status ig_running_begin_as(ig_session *session, const char *text, ig_cancel *cancel,
                                 ig_running **ret_running, struct igloo_error *reterr) {
  struct ig_identity identity;
  IG_TRY(ig_session_right(session, &identity, reterr));
  IG_AUTO(ig_running) *running = ig_calloc(1, sizeof(*running));
  if (!running) return ig_fail_oom(reterr);
  running->session = ig_session_ref(session);
  running->text = ig_strdup(text);
  running->result = new_result();
  if (!running->text || !running->result) return ig_fail_oom(reterr);
  IG_TRY(take_token(session, cancel, &running->cancel, reterr));
  running->id = ig_registry_new_id(session->parts.registry);
  ig_cancel_set_id(running->cancel, running->id);
  running->begin_us = ig_now_us();
  running->begin_wall_us = ig_wall_us();
  ig_session_touch(session);
  IG_TRY(join_list(running, reterr));
  ig_metric_add(&started, 1);
  *ret_running = IG_TAKE(running);
  return IGLOO_OK;
}

igloo_status ig_running_show(struct ig_str sql, char **ret_text,
                             struct igloo_error *reterr) {
  bool readable = ig_utf8_valid(ig_str_sub(sql, 0, ig_utf8_cut(sql, SHOWN_BYTES)), NULL);
  return ig_sql_redact(readable ? sql : IG_STR("(not UTF-8)"), SHOWN_BYTES, ret_text,
                       reterr);
}

igloo_status ig_running_begin(ig_session *session, struct ig_str sql, ig_cancel *cancel,
                              ig_running **ret_running, struct igloo_error *reterr) {
  IG_AUTO_CHAR *text = NULL;
  IG_TRY(ig_running_show(sql, &text, reterr));
  return ig_running_begin_as(session, text, cancel, ret_running, reterr);
}

/* With the session's mu held. */
static struct igloo_progress progress_locked(const ig_running *running) {
  struct igloo_progress progress = {.elapsed_us = ig_now_us() - running->begin_us,
                                    .rows_scanned = -1,
                                    .bytes_scanned = -1,
                                    .bytes_total = -1,
                                    .running = 1};
  if (!running->query) return progress;
  struct ig_query_progress query;
  ig_query_progress(running->query, &query);
  progress.rows_scanned = query.rows_scanned;
  progress.bytes_scanned = query.bytes_scanned;
  progress.bytes_total = query.bytes_total;
  progress.rows_returned = query.rows_returned;
  progress.spilled_bytes = query.spilled_bytes;
  return progress;
}

void ig_running_set_query(ig_running *running, ig_query *query) {
  IG_LOCK_SCOPE(&running->session->mu);
  running->query = query;
}

igloo_status ig_running_admit(ig_running *running, struct igloo_error *reterr) {
  if (running->admitted) return IGLOO_OK;
  ig_running_enter(running, IG_RUNNING_QUEUED);
  IG_TRY(ig_admission_enter(running->session->parts.admission, running->cancel, reterr));
  running->admitted = true;
  ig_running_enter(running, IG_RUNNING_PLANS);
  return IGLOO_OK;
}

void ig_running_leave(ig_running *running) {
  if (running->admitted) ig_admission_leave(running->session->parts.admission);
  running->admitted = false;
}

/* Out of the list, once; what it came to stays as the session's last progress. */
static void leave_list(ig_running *running) {
  ig_running_leave(running);
  IG_LOCK_SCOPE(&running->session->mu);
  if (!running->link) return;
  running->session->last = progress_locked(running);
  running->session->last.running = 0;
  running->query = NULL;
  count_end(running);
  *running->link = running->next;
  if (running->next) running->next->link = running->link;
  running->link = NULL;
}

ig_running *ig_running_end(ig_running *running) {
  if (!running) return NULL;
  leave_list(running);
  (void)ig_cancel_unref(running->cancel);
  (void)ig_session_unref(running->session);
  ig_free(running->text);
  ig_spare_give(&spare_results, running->result, sizeof(*running->result));
  ig_free(running);
  return NULL;
}

ig_cancel *ig_running_cancel(const ig_running *running) {
  return running->cancel;
}

void ig_session_cancel(ig_session *session) {
  IG_LOCK_SCOPE(&session->mu);
  for (ig_running *running = session->running; running; running = running->next)
    ig_cancel_set(running->cancel);
}

void ig_session_progress(ig_session *session, struct igloo_progress *ret_progress) {
  struct ig_engine_stats stats;
  ig_engine_stats_get(session->parts.engine, &stats);
  IG_LOCK_SCOPE(&session->mu);
  *ret_progress = session->running ? progress_locked(session->running) : session->last;
  ret_progress->memory_bytes = stats.pool_used_bytes;
}

/* ---- result streams ---------------------------------------------------------------- */

static void find_error(struct result *result, int errnum) {
  struct igloo_error *error = &result->error;
  if (error->status != IGLOO_OK) return;
  if (result->query && ig_query_error(result->query, error) != IGLOO_OK) return;
  if (ig_bound_rows_error(&result->rows, error) != IGLOO_OK) return;
  const char *text = result->rows.get_last_error(&result->rows);
  (void)ig_fail(error, errnum == ENOMEM ? IGLOO_OUT_OF_MEMORY : IGLOO_INTERNAL, "%s",
                text ? text : "the result ended without a reason");
}

/* The end of the stream, good or bad: the statement runs no longer. */
static int end_result(struct result *result, int errnum) {
  leave_list(result->running);
  if (errnum == 0) return 0;
  find_error(result, errnum);
  if (result->told) *result->told = result->error;
  return errnum;
}

static int result_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  struct result *result = stream->private_data;
  int errnum = result->rows.get_schema(&result->rows, out);
  return errnum ? end_result(result, errnum) : 0;
}

static int result_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  struct result *result = stream->private_data;
  if (result->error.status != IGLOO_OK) return EIO; /* an error stays */
  ig_running_enter(result->running, IG_RUNNING_RUNS);
  int errnum = result->rows.get_next(&result->rows, out);
  ig_running_enter(result->running, IG_RUNNING_WAITS);
  ig_session_touch(result->running->session);
  if (errnum || !out->release) return end_result(result, errnum);
  return 0;
}

static const char *result_get_last_error(struct ArrowArrayStream *stream) {
  const struct result *result = stream->private_data;
  return result->error.status == IGLOO_OK ? NULL : result->error.message;
}

static void free_result(struct result *result) {
  leave_list(result->running);
  if (result->rows.release) result->rows.release(&result->rows);
  (void)ig_query_free(result->query);
  (void)ig_plan_unref(result->plan);
  (void)ig_running_end(result->running);
  ig_spare_give(&spare_results, result, sizeof(*result));
}

static void result_release(struct ArrowArrayStream *stream) {
  struct result *result = stream->private_data;
  stream->release = NULL;
  free_result(result);
}

igloo_status ig_result_error(struct ArrowArrayStream *rows, struct igloo_error *reterr) {
  if (rows->release != result_release)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "this stream was not made by Igloo");
  const struct result *result = rows->private_data;
  if (result->error.status != IGLOO_OK && reterr) *reterr = result->error;
  return result->error.status;
}

bool ig_result_is_small(const struct ArrowArrayStream *rows) {
  if (rows->release != result_release) return false;
  const struct result *result = rows->private_data;
  return result->query && ig_query_is_small(result->query);
}

ig_plan *ig_result_plan(const struct ArrowArrayStream *rows) {
  if (rows->release != result_release) return NULL;
  const struct result *result = rows->private_data;
  return result->plan;
}

bool ig_result_is_fixed(const struct ArrowArrayStream *rows) {
  if (rows->release != result_release) return false;
  const struct result *result = rows->private_data;
  return result->query && ig_query_is_fixed(result->query);
}

int64_t ig_result_query_id(const struct ArrowArrayStream *rows) {
  if (rows->release != result_release) return 0;
  const struct result *result = rows->private_data;
  return result->running->id;
}

void ig_result_tell(struct ArrowArrayStream *rows, struct igloo_error *told) {
  if (rows->release != result_release) return;
  struct result *result = rows->private_data;
  result->told = told;
}

static void give_result(struct result *result, int64_t affected,
                        struct ig_result *ret_result) {
  ig_running_enter(result->running, IG_RUNNING_WAITS);
  ret_result->affected = affected;
  ret_result->rows = (struct ArrowArrayStream){.get_schema = result_get_schema,
                                               .get_next = result_get_next,
                                               .get_last_error = result_get_last_error,
                                               .release = result_release,
                                               .private_data = result};
}

static struct result *take_result(ig_running *running) {
  struct result *result = IG_TAKE(running->result);
  result->running = running;
  return result;
}

void ig_result_of_rows(ig_running *running, struct ArrowArrayStream *rows,
                       struct ig_result *ret_result) {
  struct result *result = take_result(running);
  result->rows = *rows;
  rows->release = NULL;
  give_result(result, -1, ret_result);
}

igloo_status ig_result_of_plan(ig_running *running, ig_plan *plan,
                               struct ig_result *ret_result, struct igloo_error *reterr) {
  struct result *result = take_result(running);
  result->plan = ig_plan_ref(plan);
  igloo_status status = ig_query_start(plan, running->cancel, &result->query, reterr);
  if (status == IGLOO_OK) status = ig_query_stream(result->query, &result->rows, reterr);
  if (status != IGLOO_OK) {
    free_result(result);
    return status;
  }
  ig_running_set_query(running, result->query);
  give_result(result, -1, ret_result);
  return IGLOO_OK;
}

void ig_result_of_nothing(ig_running *running, int64_t affected,
                          struct ig_result *ret_result) {
  struct ArrowArrayStream rows = ig_stream_empty();
  leave_list(running);
  ig_result_of_rows(running, &rows, ret_result);
  ret_result->affected = affected;
}
