/* link.c -- see link.h. */
#include "postgresql/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/thread.h"
#include "postgresql/alive.h"

/* Read and thrown away before a running query is cancelled instead. */
#define DRAIN_BYTES_MAX (256 * IG_KIB)

/* A cancel request on its way: PQcancel() connects, and waits for the server to hang up.
 * Shared by the link and the thread that sends it. */
struct canceller {
  atomic_int refs;
  PGcancel *cancel;
  int done; /* an event */
};

struct igp_link {
  PGconn *pg;
  int event; /* set by igp_link_wake() */
  bool busy;
  bool tls;                        /* OpenSSL may hold bytes that poll() does not see */
  bool drained;                    /* it holds none: see wait_socket() */
  bool lost;                       /* the session cannot be used any more */
  bool silent;                     /* … since the server answers nobody */
  int64_t patience_ms;             /* with a server that says nothing: see alive.h */
  struct igd_statement *statement; /* at work; borrowed. NULL: something else */
  struct igd_connection *owner;    /* borrowed; NULL while connecting */
  uint_fast64_t cancels_seen;      /* of the owner, when the work began */
  struct canceller *canceller;     /* NULL: none was asked for in this work */
  int64_t last_us;                 /* after a cancel request: the end of all patience */
  int64_t deadline_us;             /* of waiting; IG_NEVER_US but for connecting and after
                                      a cancel request */
};

PGconn *igp_link_pg(igp_link *link) {
  return link->pg;
}

/* ---- errors --------------------------------------------------------------------------
 */

struct state_row {
  const char *prefix; /* of a SQLSTATE; the first that fits counts */
  igloo_status status;
};

static const struct state_row STATES[] = {
    {"08", IGLOO_UNAVAILABLE},          {"57014", IGLOO_CANCELLED},
    {"57P", IGLOO_UNAVAILABLE},         {"28", IGLOO_UNAUTHENTICATED},
    {"25006", IGLOO_PERMISSION_DENIED}, {"42501", IGLOO_PERMISSION_DENIED},
    {"42601", IGLOO_SYNTAX_ERROR},      {"42P01", IGLOO_NOT_FOUND},
    {"42703", IGLOO_NOT_FOUND},         {"42704", IGLOO_NOT_FOUND},
    {"42883", IGLOO_NOT_FOUND},         {"3D000", IGLOO_NOT_FOUND},
    {"3F000", IGLOO_NOT_FOUND},         {"42P07", IGLOO_ALREADY_EXISTS},
    {"42P06", IGLOO_ALREADY_EXISTS},    {"42P04", IGLOO_ALREADY_EXISTS},
    {"42710", IGLOO_ALREADY_EXISTS},    {"42701", IGLOO_ALREADY_EXISTS},
    {"42723", IGLOO_ALREADY_EXISTS},    {"42", IGLOO_INVALID_ARGUMENT},
    {"23", IGLOO_CONSTRAINT},           {"22", IGLOO_DATA_ERROR},
    {"21", IGLOO_DATA_ERROR},           {"P0", IGLOO_DATA_ERROR},
    {"0A", IGLOO_UNSUPPORTED},          {"53", IGLOO_RESOURCE_EXHAUSTED},
    {"54", IGLOO_RESOURCE_EXHAUSTED},   {"55", IGLOO_FAILED_PRECONDITION},
    {"40", IGLOO_FAILED_PRECONDITION},  {"25", IGLOO_FAILED_PRECONDITION},
    {"2D", IGLOO_FAILED_PRECONDITION},  {"3B", IGLOO_INVALID_ARGUMENT},
};

static igloo_status status_of_state(const char *sqlstate) {
  for (size_t i = 0; i < IG_ARRAY_LEN(STATES); i++)
    if (strncmp(sqlstate, STATES[i].prefix, strlen(STATES[i].prefix)) == 0)
      return STATES[i].status;
  return IGLOO_IO_ERROR;
}

/* Before a session has agreed on UTF-8, the server writes as it likes. */
static void make_printable(char *text) {
  bool valid = ig_utf8_valid(ig_str_from_cstr(text), NULL);
  for (; *text; text++)
    if ((!valid && (unsigned char)*text >= 0x80) || *text == '\n')
      *text = valid ? ' ' : '?';
}

static igloo_status fail_state(struct igd_error *reterr, const char *sqlstate,
                               const char *message) {
  igloo_status status = status_of_state(sqlstate);
  (void)ig_fail_state(&reterr->base, status, sqlstate, "%s", message);
  make_printable(reterr->base.message);
  if (strncmp(sqlstate, "40", 2) == 0 || strncmp(sqlstate, "53300", 5) == 0)
    reterr->base.retryable = 1;
  return status;
}

static void set_position(const PGresult *result, const char *query, size_t text_offset,
                         struct igd_error *reterr) {
  const char *text = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
  struct igloo_error ignored;
  uint64_t position = 0;
  if (!text || !query) return;
  if (ig_parse_u64(ig_str_from_cstr(text), &position, &ignored) != IGLOO_OK) return;
  if (position <= text_offset || position - text_offset > IG_SQL_BYTES_LIMIT) return;
  struct ig_str all = ig_str_from_cstr(query);
  int32_t line = 1, column = 1;
  size_t at = 0;
  for (uint64_t i = text_offset + 1; i < position && at < all.len; i++) {
    column++;
    if (ig_utf8_decode(all, &at) == '\n') {
      line++;
      column = 1;
    }
  }
  ig_error_position(&reterr->base, line, column);
}

igloo_status igp_fail_result(const PGresult *result, const char *query,
                             size_t text_offset, struct igd_error *reterr) {
  const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
  const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
  if (!sqlstate || !ig_sqlstate_is_valid(sqlstate)) sqlstate = "08006";
  if (!message) message = PQresultErrorMessage(result);
  igloo_status status =
      fail_state(reterr, sqlstate, message && *message ? message : "the query failed");
  if (detail) {
    ig_error_detail(&reterr->base, "%s", detail);
    make_printable(reterr->base.detail);
  }
  if (hint) {
    ig_error_hint(&reterr->base, "%s", hint);
    make_printable(reterr->base.hint);
  }
  set_position(result, query, text_offset, reterr);
  return status;
}

igloo_status igp_check_result(const PGresult *result, const char *query,
                              size_t text_offset, struct igd_error *reterr) {
  switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
    case PGRES_COPY_OUT:
    case PGRES_COPY_IN:
    case PGRES_PIPELINE_SYNC:
    case PGRES_EMPTY_QUERY:
      return IGLOO_OK;
    case PGRES_COPY_BOTH:
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
    case PGRES_FATAL_ERROR:
    case PGRES_PIPELINE_ABORTED:
      break;
  }
  return igp_fail_result(result, query, text_offset, reterr);
}

/* libpq's words, which are a sentence or not. */
static void tell_detail(struct ig_str text, struct igd_error *reterr) {
  if (text.len == 0) return;
  bool is_sentence = strchr(".?!", text.data[text.len - 1]) != NULL;
  ig_error_detail(&reterr->base, "%.*s%s", IG_STR_ARG(text), is_sentence ? "" : ".");
}

/* The session is gone; the server's last words say how, or libpq's. */
static igloo_status fail_lost(igp_link *link, struct igd_error *reterr) {
  IGP_AUTO_RESULT *last = NULL;
  if (!link->lost && PQstatus(link->pg) != CONNECTION_OK) last = PQgetResult(link->pg);
  struct ig_str text = ig_str_trim(ig_str_from_cstr(PQerrorMessage(link->pg)));
  size_t line = ig_str_find_char(text, '\n');
  if (line != IG_STR_NONE) text.len = line;
  link->lost = true;
  if (last && PQresultErrorField(last, PG_DIAG_SQLSTATE))
    return igp_fail_result(last, NULL, 0, reterr);
  if (link->silent) {
    (void)ig_fail_state(&reterr->base, IGLOO_UNAVAILABLE, "08006",
                        "the server does not answer any more");
    ig_error_detail(&reterr->base,
                    "It said nothing for %lld ms, and then answered no new connection "
                    "for as long.",
                    (long long)link->patience_ms);
    return IGLOO_UNAVAILABLE;
  }
  (void)ig_fail_state(&reterr->base, IGLOO_UNAVAILABLE, "08006",
                      "the connection to the server was lost");
  tell_detail(text, reterr);
  make_printable(reterr->base.message);
  make_printable(reterr->base.detail);
  return IGLOO_UNAVAILABLE;
}

/* ---- cancelling ----------------------------------------------------------------------
 */

static void free_canceller(struct canceller *canceller) {
  if (atomic_fetch_sub(&canceller->refs, 1) != 1) return;
  PQfreeCancel(canceller->cancel);
  if (canceller->done >= 0) (void)close(canceller->done);
  ig_free(canceller);
}

static void *send_cancel(void *context) {
  struct canceller *canceller = context;
  char words[256];
  uint64_t one = 1;
  (void)PQcancel(canceller->cancel, words, sizeof(words));
  /* Failing means that nobody can wait for it: the deadline does. */
  if (write(canceller->done, &one, sizeof(one)) < 0) {
  }
  free_canceller(canceller);
  return NULL;
}

static bool start_thread(struct canceller *canceller) {
  pthread_attr_t attributes;
  pthread_t thread;
  sigset_t all, old;
  if (pthread_attr_init(&attributes) != 0) return false;
  (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &old);
  int code = pthread_create(&thread, &attributes, send_cancel, canceller);
  (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
  (void)pthread_attr_destroy(&attributes);
  return code == 0;
}

/* Ask the server to stop what runs, once for each work, and wait only so long more. */
static void ask_to_stop(igp_link *link) {
  if (link->deadline_us != IG_NEVER_US) return;
  link->deadline_us = ig_deadline_in(IGP_CANCEL_GRACE_MS * IG_US_PER_MS);
  link->last_us = ig_deadline_in(IGP_CANCEL_LAST_MS * IG_US_PER_MS);
  struct canceller *canceller = ig_calloc(1, sizeof(*canceller));
  if (!canceller) return;
  atomic_init(&canceller->refs, 2);
  canceller->cancel = PQgetCancel(link->pg);
  canceller->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (canceller->cancel && canceller->done >= 0 && start_thread(canceller)) {
    link->canceller = canceller;
    return;
  }
  atomic_store(&canceller->refs, 1);
  free_canceller(canceller);
}

/* The request has reached the server, or the session is given up: otherwise it could stop
 * the next query. */
static void settle_cancel(igp_link *link) {
  struct canceller *canceller = IG_TAKE(link->canceller);
  if (!canceller) return;
  struct pollfd event = {.fd = canceller->done, .events = POLLIN};
  for (;;) {
    int64_t left = ig_deadline_left_us(link->deadline_us) / IG_US_PER_MS;
    int ready = poll(&event, 1, (int)left);
    if (ready > 0) break;
    if (ready < 0 && errno == EINTR) continue;
    link->lost = true;
    break;
  }
  free_canceller(canceller);
}

void igp_link_own(igp_link *link, struct igd_connection *owner) {
  link->owner = owner;
  link->cancels_seen = atomic_load(&owner->cancels);
}

void igp_link_wake(igp_link *link) {
  uint64_t one = 1;
  /* Full means that it is set. */
  if (write(link->event, &one, sizeof(one)) < 0) {
  }
}

/* ---- waiting -------------------------------------------------------------------------
 */

static bool is_stopped(const igp_link *link) {
  if (link->statement) return igd_statement_is_cancelled(link->statement);
  return link->owner && igd_connection_is_cancelled(link->owner, link->cancels_seen);
}

/* Take what OpenSSL holds. Each read takes 8 KiB at least and a record has 16 KiB at
 * most: after a second one nothing is left, and poll() tells the truth. */
static bool take_held(igp_link *link, bool *ret_taken) {
  *ret_taken = link->tls && !link->drained;
  link->drained = true;
  return !*ret_taken || PQconsumeInput(link->pg) == 1;
}

/* Whether there is something to read or room to write; reads it. */
static bool take_ready(igp_link *link, short events) {
  if (!(events & (POLLIN | POLLERR | POLLHUP | POLLNVAL))) return true;
  link->drained = false;
  if (link->last_us != IG_NEVER_US) { /* what was sent before still comes */
    int64_t more_us = ig_deadline_in(IGP_CANCEL_GRACE_MS * IG_US_PER_MS);
    link->deadline_us = more_us < link->last_us ? more_us : link->last_us;
  }
  return PQconsumeInput(link->pg) == 1;
}

static int wait_ms(const igp_link *link, const struct igp_alive *alive) {
  int64_t until_us =
      link->deadline_us < alive->due_us ? link->deadline_us : alive->due_us;
  int64_t left_us = ig_deadline_left_us(until_us);
  return left_us == IG_NEVER_US ? -1 : (int)(left_us / IG_US_PER_MS + 1);
}

static bool wait_ready(igp_link *link, short events, bool stoppable,
                       struct igp_alive *alive) {
  for (;;) {
    if (stoppable && is_stopped(link)) return true;
    if (ig_deadline_left_us(link->deadline_us) == 0) {
      link->lost = true;
      return false;
    }
    struct pollfd files[3] = {{.fd = PQsocket(link->pg), .events = events},
                              {.fd = stoppable ? link->event : -1, .events = POLLIN},
                              igp_alive_file(alive)};
    int ready = poll(files, IG_ARRAY_LEN(files), wait_ms(link, alive));
    if (ready < 0 && errno != EINTR) return false;
    if (ready < 0) continue;
    uint64_t ignored;
    if (files[1].revents && read(link->event, &ignored, sizeof(ignored)) > 0) continue;
    if (files[0].revents) return take_ready(link, files[0].revents);
    if (igp_alive_check(alive, PQsocket(link->pg), files[2].revents)) continue;
    link->lost = link->silent = true;
    return false;
  }
}

/* Wait until the socket is ready for `events` and read what is there. Returns false where
 * the session is lost, the deadline passed, or the server is silent. With `stoppable`, a
 * cancelled statement is looked for. */
static bool wait_socket(igp_link *link, short events, bool stoppable) {
  bool taken = false;
  if (!take_held(link, &taken)) return false;
  if (taken) return true;
  struct igp_alive alive;
  igp_alive_init(&alive, stoppable ? link->patience_ms : 0);
  bool ok = wait_ready(link, events, stoppable, &alive);
  igp_alive_done(&alive);
  return ok;
}

static bool flush(igp_link *link, bool stoppable) {
  for (;;) {
    int state = PQflush(link->pg);
    if (state <= 0) return state == 0;
    if (!wait_socket(link, POLLIN | POLLOUT, stoppable)) return false;
    if (stoppable && is_stopped(link)) return true;
  }
}

/* Read messages of COPY OUT and throw them away; false where none is at hand. */
static bool drop_copy(igp_link *link, size_t *dropped) {
  char *bytes = NULL;
  int count;
  while ((count = PQgetCopyData(link->pg, &bytes, 1)) > 0) {
    *dropped += (size_t)count;
    PQfreemem(bytes);
  }
  return count != 0;
}

static bool is_idle(const igp_link *link) {
  return PQtransactionStatus(link->pg) != PQTRANS_ACTIVE &&
         PQpipelineStatus(link->pg) == PQ_PIPELINE_OFF;
}

/* Read off what the server still says of the work, asking it to stop where that is more
 * than a little. */
static void finish_work(igp_link *link) {
  size_t dropped = 0;
  bool copying = false;
  while (!link->lost && PQstatus(link->pg) == CONNECTION_OK && !is_idle(link)) {
    if (is_stopped(link) || dropped > DRAIN_BYTES_MAX) ask_to_stop(link);
    if (copying && drop_copy(link, &dropped)) {
      copying = false;
      continue;
    }
    if (copying || PQisBusy(link->pg)) {
      /* Nothing has come yet: the query takes longer than is worth waiting for. */
      struct pollfd file = {.fd = PQsocket(link->pg), .events = POLLIN};
      if (!(link->tls && !link->drained) && poll(&file, 1, 0) <= 0) ask_to_stop(link);
      if (!flush(link, false) || !wait_socket(link, POLLIN, false)) link->lost = true;
      continue;
    }
    IGP_AUTO_RESULT *result = PQgetResult(link->pg);
    copying = result && PQresultStatus(result) == PGRES_COPY_OUT;
    if (result && PQresultStatus(result) == PGRES_COPY_IN)
      (void)PQputCopyEnd(link->pg, "the statement ended early");
    if (!result && PQpipelineStatus(link->pg) != PQ_PIPELINE_OFF)
      (void)PQexitPipelineMode(link->pg);
    if (result) dropped += 1024;
  }
  if (PQstatus(link->pg) != CONNECTION_OK) link->lost = true;
}

/* What a wait that was cut short ends with. */
static igloo_status stop_work(igp_link *link, struct igd_error *reterr) {
  if (is_stopped(link)) {
    finish_work(link);
    return igd_fail_cancelled(reterr);
  }
  return fail_lost(link, reterr);
}

igloo_status igp_link_flush(igp_link *link, struct igd_error *reterr) {
  if (!flush(link, true) || is_stopped(link)) return stop_work(link, reterr);
  return IGLOO_OK;
}

igloo_status igp_link_result(igp_link *link, PGresult **ret_result,
                             struct igd_error *reterr) {
  if (is_stopped(link) || !flush(link, true)) return stop_work(link, reterr);
  while (PQisBusy(link->pg))
    if (!wait_socket(link, POLLIN, true) || is_stopped(link))
      return stop_work(link, reterr);
  *ret_result = PQgetResult(link->pg);
  return IGLOO_OK;
}

igloo_status igp_link_copy_next(igp_link *link, uint8_t **ret_bytes, size_t *ret_count,
                                struct igd_error *reterr) {
  for (;;) {
    char *bytes = NULL;
    int count = PQgetCopyData(link->pg, &bytes, 1);
    if (count != 0) {
      *ret_bytes = (uint8_t *)bytes;
      *ret_count = count > 0 ? (size_t)count : 0;
      return IGLOO_OK;
    }
    if (!wait_socket(link, POLLIN, true)) {
      /* What came before the end is still to be had: perhaps why. */
      if (PQgetCopyData(link->pg, &bytes, 1) == 0) return stop_work(link, reterr);
      PQfreemem(bytes);
      *ret_bytes = NULL;
      return IGLOO_OK;
    }
    if (is_stopped(link)) return stop_work(link, reterr);
  }
}

igloo_status igp_link_copy_put(igp_link *link, struct ig_str bytes,
                               struct igd_error *reterr) {
  if (PQputCopyData(link->pg, bytes.data, (int)bytes.len) != 1)
    return fail_lost(link, reterr);
  return igp_link_flush(link, reterr);
}

/* ---- work ----------------------------------------------------------------------------
 */

igloo_status igp_link_begin(igp_link *link, struct igd_statement *statement,
                            struct igd_error *reterr) {
  uint64_t ignored;
  if (link->lost || PQstatus(link->pg) != CONNECTION_OK) return fail_lost(link, reterr);
  if (link->busy) {
    (void)ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION,
                  "the connection is busy with the result of another statement");
    ig_error_hint(
        &reterr->base,
        "Read that result to its end or release it, or use a second connection.");
    return IGLOO_FAILED_PRECONDITION;
  }
  /* An old wake-up may be left. */
  if (read(link->event, &ignored, sizeof(ignored)) < 0) {
  }
  link->busy = true;
  link->statement = statement;
  if (link->owner) link->cancels_seen = atomic_load(&link->owner->cancels);
  link->deadline_us = link->last_us = IG_NEVER_US;
  return IGLOO_OK;
}

void igp_link_end(igp_link *link) {
  finish_work(link);
  settle_cancel(link);
  link->busy = false;
  link->statement = NULL;
  link->deadline_us = link->last_us = IG_NEVER_US;
}

/* All results of what was sent: the last one, or the first error. */
static igloo_status collect(igp_link *link, const char *query, PGresult **ret_result,
                            struct igd_error *reterr) {
  IGP_AUTO_RESULT *last = NULL;
  igloo_status status = IGLOO_OK;
  for (;;) {
    PGresult *next = NULL;
    IG_TRY(igp_link_result(link, &next, reterr));
    if (!next) break;
    PQclear(last);
    last = next;
    if (status == IGLOO_OK) status = igp_check_result(next, query, 0, reterr);
    ExecStatusType kind = PQresultStatus(next);
    if (kind == PGRES_COPY_OUT || kind == PGRES_COPY_IN || kind == PGRES_COPY_BOTH)
      return ig_fail(&reterr->base, IGLOO_UNSUPPORTED, "COPY cannot be run like this");
  }
  if (status == IGLOO_OK && PQstatus(link->pg) != CONNECTION_OK)
    return fail_lost(link, reterr);
  if (status == IGLOO_OK && ret_result) *ret_result = IG_TAKE(last);
  return status;
}

igloo_status igp_link_run(igp_link *link, const char *text, PGresult **ret_result,
                          struct igd_error *reterr) {
  if (PQsendQuery(link->pg, text) != 1) return fail_lost(link, reterr);
  return collect(link, text, ret_result, reterr);
}

igloo_status igp_link_run_params(igp_link *link, const char *text,
                                 const char *const *params, size_t params_count,
                                 PGresult **ret_result, struct igd_error *reterr) {
  if (PQsendQueryParams(link->pg, text, (int)params_count, NULL, params, NULL, NULL, 0) !=
      1)
    return fail_lost(link, reterr);
  return collect(link, text, ret_result, reterr);
}

/* ---- connecting ----------------------------------------------------------------------
 */

/* Notices are not ours to print. */
static void ignore_notice(void *context, const PGresult *result) {
  (void)context;
  (void)result;
}

/* libpq keeps the SQLSTATE of a refused connection only in its text, and only when it is
 * asked to be verbose: `FATAL:  28P01: password authentication failed`. */
static bool find_state(struct ig_str text, char sqlstate[6], struct ig_str *ret_message) {
  for (size_t i = 0; i + 9 < text.len; i++) {
    if (memcmp(text.data + i, ":  ", 3) != 0 || memcmp(text.data + i + 8, ": ", 2) != 0)
      continue;
    memcpy(sqlstate, text.data + i + 3, 5);
    sqlstate[5] = '\0';
    if (!ig_sqlstate_is_valid(sqlstate)) continue;
    *ret_message = ig_str_sub(text, i + 10, text.len);
    size_t line = ig_str_find_char(*ret_message, '\n');
    if (line != IG_STR_NONE) ret_message->len = line;
    return true;
  }
  return false;
}

static igloo_status fail_connect(PGconn *pg, bool late, struct igd_error *reterr) {
  struct ig_str text = ig_str_trim(ig_str_from_cstr(pg ? PQerrorMessage(pg) : ""));
  struct ig_str message;
  char sqlstate[6];
  if (!late && find_state(text, sqlstate, &message)) {
    IG_AUTO_CHAR *copy = ig_str_dup(message);
    if (!copy) return ig_fail_oom(&reterr->base);
    return fail_state(reterr, sqlstate, copy);
  }
  if (late)
    return ig_fail_state(&reterr->base, IGLOO_UNAVAILABLE, "08001",
                         "could not connect to the server in time");
  (void)ig_fail_state(&reterr->base, IGLOO_UNAVAILABLE, "08001",
                      "could not connect to the server");
  tell_detail(text, reterr);
  make_printable(reterr->base.detail);
  return IGLOO_UNAVAILABLE;
}

/* What libpq says of a text that it cannot read holds the text, perhaps a password. */
static igloo_status check_uri(const char *uri, struct igd_error *reterr) {
  if (!uri || (!strstr(uri, "://") && !strchr(uri, '='))) return IGLOO_OK;
  PQconninfoOption *options = PQconninfoParse(uri, NULL);
  if (!options) {
    (void)ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT,
                  "the connection URI cannot be read");
    ig_error_hint(&reterr->base,
                  "Write postgresql://host:port/database?option=value, with special "
                  "characters as %%xx, or host=... dbname=...");
    return IGLOO_INVALID_ARGUMENT;
  }
  PQconninfoFree(options);
  return IGLOO_OK;
}

static PGconn *start_connecting(const struct igp_link_target *target) {
  /* What stands before dbname is the default for the URI, what stands after overrides
   * it. */
  const char *keys[16], *values[16];
  size_t count = 0;
#define PAIR(key, value) (keys[count] = (key), values[count++] = (value))
  PAIR("fallback_application_name", "igloo");
  PAIR("keepalives_idle", "30");
  PAIR("keepalives_interval", "10");
  PAIR("keepalives_count", "3");
  if (target->uri) PAIR("dbname", target->uri);
  if (target->username) PAIR("user", target->username);
  if (target->password) PAIR("password", target->password);
  if (target->application_name) PAIR("application_name", target->application_name);
  PAIR("client_encoding", "UTF8");
  PAIR(NULL, NULL);
#undef PAIR
  return PQconnectStartParams(keys, values, 1);
}

static igloo_status wait_connected(igp_link *link, struct igd_error *reterr) {
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  if (!link->pg || PQstatus(link->pg) == CONNECTION_BAD)
    return fail_connect(link->pg, false, reterr);
  (void)PQsetErrorVerbosity(link->pg, PQERRORS_VERBOSE);
  (void)PQsetNoticeReceiver(link->pg, ignore_notice, NULL);
  while (state != PGRES_POLLING_OK) {
    int64_t left = ig_deadline_left_us(link->deadline_us);
    if (!left) return fail_connect(link->pg, true, reterr);
    struct pollfd file = {
        .fd = PQsocket(link->pg),
        .events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT,
    };
    int ready = poll(&file, 1, (int)(left / IG_US_PER_MS + 1));
    if (ready < 0 && errno != EINTR) return fail_connect(link->pg, false, reterr);
    if (ready <= 0) continue;
    state = PQconnectPoll(link->pg);
    if (state == PGRES_POLLING_FAILED) return fail_connect(link->pg, false, reterr);
  }
  return IGLOO_OK;
}

igloo_status igp_link_open(const struct igp_link_target *target, igp_link **ret_link,
                           struct igd_error *reterr) {
  /* What the texts of casts and of our queries depend on. */
  static const char settings[] =
      "SET TimeZone TO 'UTC'; SET DateStyle TO 'ISO, YMD'; "
      "SET IntervalStyle TO 'postgres'; SET standard_conforming_strings TO on; "
      "SET extra_float_digits TO 3; SET bytea_output TO 'hex'";
  IG_TRY(check_uri(target->uri, reterr));
  IG_AUTO(igp_link) *link = ig_calloc(1, sizeof(*link));
  if (!link) return ig_fail_oom(&reterr->base);
  link->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (link->event < 0)
    return ig_fail_errno(&reterr->base, errno, "could not make an event");
  link->last_us = IG_NEVER_US;
  link->deadline_us = ig_deadline_in(target->timeout_ms * IG_US_PER_MS);
  link->pg = start_connecting(target);
  IG_TRY(wait_connected(link, reterr));
  (void)PQsetErrorVerbosity(link->pg, PQERRORS_DEFAULT);
  link->tls = PQsslInUse(link->pg) == 1;
  if (PQsetnonblocking(link->pg, 1) != 0) return fail_lost(link, reterr);
  igloo_status status = igp_link_run(link, settings, NULL, reterr);
  if (status == IGLOO_UNAVAILABLE) return fail_connect(link->pg, link->lost, reterr);
  if (status != IGLOO_OK) return status;
  link->deadline_us = IG_NEVER_US;
  link->patience_ms = target->patience_ms;
  *ret_link = IG_TAKE(link);
  return IGLOO_OK;
}

/* The server ends its process a moment after it was told to, and counts it until then:
 * who closes a connection to make room for another waits for the server's own end. */
#define GOODBYE_MS 500

static void wait_gone(int socket) {
  int64_t deadline_us = ig_deadline_in(GOODBYE_MS * IG_US_PER_MS);
  struct pollfd wait = {.fd = socket, .events = POLLIN};
  char unread[4096];
  for (;;) {
    int64_t left_us = deadline_us - ig_now_us();
    if (left_us <= 0 || poll(&wait, 1, (int)(left_us / IG_US_PER_MS) + 1) <= 0) break;
    if (read(socket, unread, sizeof(unread)) <= 0) break;
  }
  (void)close(socket);
}

igp_link *igp_link_close(igp_link *link) {
  if (!link) return NULL;
  if (link->canceller) free_canceller(link->canceller);
  bool is_open = link->pg && PQstatus(link->pg) == CONNECTION_OK;
  int socket = is_open ? fcntl(PQsocket(link->pg), F_DUPFD_CLOEXEC, 0) : -1;
  PQfinish(link->pg);
  if (socket >= 0) wait_gone(socket);
  if (link->event >= 0) (void)close(link->event);
  ig_free(link);
  return NULL;
}
