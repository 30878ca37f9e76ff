/* link.c -- see link.h. */
#include "connector/link.h"

#include <sodium.h>

#include "arrow/stream.h"
#include "base/clock.h"
#include "base/limits.h"

igloo_status ig_waits_check(const struct ig_waits *waits, struct igloo_error *reterr) {
  IG_TRY(ig_cancel_check(waits->cancel, reterr));
  return ig_cancel_check(waits->stop, reterr);
}

/* ---- target ----------------------------------------------------------------------- */

struct ig_target *ig_target_ref(struct ig_target *target) {
  atomic_fetch_add(&target->refs, 1);
  return target;
}

static void wipe(char *text) {
  if (text) sodium_memzero(text, strlen(text));
  ig_free(text);
}

struct ig_target *ig_target_unref(struct ig_target *target) {
  if (!target || atomic_fetch_sub(&target->refs, 1) != 1) return NULL;
  for (size_t i = 0; i < target->settings_count; i++) {
    ig_free(target->settings[i].key);
    wipe(target->settings[i].value);
  }
  ig_free(target->settings);
  for (char **secret = target->secrets; secret && *secret; secret++) wipe(*secret);
  ig_free(target->secrets);
  ig_free(target->source);
  if (target->gone) target->gone(target->gone_ctx);
  ig_free(target);
  return NULL;
}

/* ---- group ------------------------------------------------------------------------ */

struct ig_link_group *ig_link_group_new(void) {
  struct ig_link_group *group = ig_calloc(1, sizeof(*group));
  if (!group) return NULL;
  atomic_init(&group->refs, 1);
  ig_mutex_init(&group->mu);
  ig_cond_init(&group->changed);
  return group;
}

struct ig_link_group *ig_link_group_unref(struct ig_link_group *group) {
  if (!group || atomic_fetch_sub(&group->refs, 1) != 1) return NULL;
  ig_cond_done(&group->changed);
  ig_mutex_done(&group->mu);
  ig_free(group);
  return NULL;
}

uint32_t ig_link_group_abandoned(struct ig_link_group *group) {
  IG_LOCK_SCOPE(&group->mu);
  return group->abandoned;
}

uint32_t ig_link_group_threads(struct ig_link_group *group) {
  IG_LOCK_SCOPE(&group->mu);
  return group->threads - group->abandoned;
}

void ig_link_group_drain(struct ig_link_group *group, int64_t deadline_us) {
  IG_LOCK_SCOPE(&group->mu);
  while (group->threads > group->abandoned)
    if (!ig_cond_wait_until(&group->changed, &group->mu, deadline_us)) return;
}

/* ---- link ------------------------------------------------------------------------- */

typedef void (*after_function)(void *ctx, ig_link *link, igloo_status status);

struct ig_link {
  atomic_uint refs; /* the thread, its holder, each thread that cancels */
  struct ig_target *target;
  struct ig_link_group *group;

  /* Used by the thread alone, but for `statement`, which cancellers use while
   * `cancellers` is not 0: the thread waits for them before it releases it. */
  struct AdbcDatabase database;
  struct AdbcConnection connection;
  struct AdbcStatement statement;
  struct ArrowArrayStream stream; /* of the statement; released: none */
  bool has_database, has_connection;
  bool reading, repeatable; /* a transaction is open, of this kind */
  atomic_uint calls;        /* made so far; the first one connects */

  pthread_mutex_t mu;
  pthread_cond_t work;  /* for the thread */
  pthread_cond_t done;  /* for the caller */
  struct ig_call *call; /* guarded by mu, as all below; held */
  after_function after; /* of the call; NULL: somebody waits */
  void *after_ctx;
  bool running;                /* the thread is in the call */
  const struct ig_waits *here; /* of a call that its caller makes; NULL: none */
  int64_t here_us;             /* when the last of those ended */
  bool watching;               /* the thread looks at them every IG_CONNECTOR_POLL_US */
  bool has_statement;
  uint32_t cancellers;
  bool closing; /* nobody holds it any more */
  bool abandoned;
  int64_t idle_since_us; /* parked; 0: not */
  void (*expire)(void *ctx, ig_link *link);
  void *expire_ctx;
};

const struct AdbcDriver *ig_link_driver(ig_link *link) {
  return ig_driver_table(link->target->driver);
}

struct AdbcConnection *ig_link_connection(ig_link *link) {
  return &link->connection;
}

const struct ig_target *ig_link_target(const ig_link *link) {
  return link->target;
}

static const char *const *secrets_of(const ig_link *link) {
  return (const char *const *)link->target->secrets;
}

igloo_status ig_link_fail(ig_link *link, AdbcStatusCode code, struct AdbcError *error,
                          struct igloo_error *reterr) {
  return ig_driver_fail(link->target->driver, link->target->source, secrets_of(link),
                        code, error, reterr);
}

igloo_status ig_link_fail_stream(ig_link *link, int errnum,
                                 struct ArrowArrayStream *stream,
                                 struct igloo_error *reterr) {
  return ig_driver_fail_stream(link->target->driver, link->target->source,
                               secrets_of(link), errnum, stream, reterr);
}

static void link_unref(ig_link *link) {
  if (atomic_fetch_sub(&link->refs, 1) != 1) return;
  ig_target_unref(link->target);
  ig_link_group_unref(link->group);
  ig_cond_done(&link->done);
  ig_cond_done(&link->work);
  ig_mutex_done(&link->mu);
  ig_free(link);
}

bool ig_link_is_fresh(const ig_link *link) {
  return atomic_load(&link->calls) <= 1;
}

/* ---- calls --------------------------------------------------------------------------
 */

void *ig_call_new(size_t bytes,
                  igloo_status (*run)(ig_link *, struct ig_call *, struct igloo_error *),
                  void (*free)(struct ig_call *)) {
  struct ig_call *call = ig_calloc(1, bytes);
  if (!call) return NULL;
  atomic_init(&call->refs, 1);
  call->run = run;
  call->free = free;
  return call;
}

void ig_call_unref(void *object) {
  struct ig_call *call = object;
  if (!call || atomic_fetch_sub(&call->refs, 1) != 1) return;
  if (call->free) call->free(call);
  ig_free(call);
}

/* ---- the thread ------------------------------------------------------------------- */

igloo_status ig_link_statement_begin(ig_link *link, const char *text,
                                     struct AdbcStatement **ret_statement,
                                     struct igloo_error *reterr) {
  const struct AdbcDriver *driver = ig_link_driver(link);
  struct AdbcError error = ADBC_ERROR_INIT;
  struct AdbcStatement statement = {0};
  IG_TRY(ig_link_fail(link, driver->StatementNew(&link->connection, &statement, &error),
                      &error, reterr));
  ig_mutex_lock(&link->mu);
  link->statement = statement;
  link->has_statement = true;
  ig_mutex_unlock(&link->mu);
  *ret_statement = &link->statement;
  if (!text) return IGLOO_OK;
  return ig_link_fail(link, driver->StatementSetSqlQuery(&link->statement, text, &error),
                      &error, reterr);
}

struct ArrowArrayStream *ig_link_stream(ig_link *link) {
  return &link->stream;
}

void ig_link_statement_end(ig_link *link, bool undrained) {
  ig_mutex_lock(&link->mu);
  bool had = link->has_statement;
  link->has_statement = false; /* no new cancellers */
  while (link->cancellers > 0)
    (void)ig_cond_wait_until(&link->work, &link->mu, IG_NEVER_US);
  ig_mutex_unlock(&link->mu);
  if (!had) return;
  struct AdbcError error = ADBC_ERROR_INIT;
  if (undrained) ig_link_driver(link)->StatementCancel(&link->statement, &error);
  if (error.release) error.release(&error);
  ig_stream_done(&link->stream);
  error = ADBC_ERROR_INIT;
  ig_link_driver(link)->StatementRelease(&link->statement, &error);
  if (error.release) error.release(&error);
}

igloo_status ig_link_run_text(ig_link *link, const char *text,
                              struct igloo_error *reterr) {
  struct AdbcStatement *statement = NULL;
  struct AdbcError error = ADBC_ERROR_INIT;
  igloo_status status = ig_link_statement_begin(link, text, &statement, reterr);
  if (status == IGLOO_OK)
    status = ig_link_fail(
        link, ig_link_driver(link)->StatementExecuteQuery(statement, NULL, NULL, &error),
        &error, reterr);
  ig_link_statement_end(link, false);
  return status;
}

igloo_status ig_link_set_option(ig_link *link, const char *key, const char *value,
                                struct igloo_error *reterr) {
  struct AdbcError error = ADBC_ERROR_INIT;
  return ig_link_fail(
      link,
      ig_link_driver(link)->ConnectionSetOption(&link->connection, key, value, &error),
      &error, reterr);
}

/* What a driver does not know, or takes only earlier. */
static bool is_unknown(igloo_status status) {
  return status == IGLOO_UNSUPPORTED || status == IGLOO_INVALID_ARGUMENT ||
         status == IGLOO_NOT_FOUND || status == IGLOO_FAILED_PRECONDITION;
}

static igloo_status set_if_known(ig_link *link, const char *key, const char *value,
                                 struct igloo_error *reterr) {
  igloo_status status = ig_link_set_option(link, key, value, reterr);
  return is_unknown(status) ? IGLOO_OK : status;
}

igloo_status ig_link_begin_reading(ig_link *link, bool repeatable,
                                   struct igloo_error *reterr) {
  if (repeatable) {
    igloo_status status =
        ig_link_set_option(link, ADBC_CONNECTION_OPTION_ISOLATION_LEVEL,
                           ADBC_OPTION_ISOLATION_LEVEL_REPEATABLE_READ, reterr);
    if (is_unknown(status))
      return ig_fail(reterr, IGLOO_UNSUPPORTED,
                     "the driver of source \"%s\" knows no isolation levels",
                     link->target->source);
    IG_TRY(status);
  }
  link->repeatable = repeatable;
  IG_TRY(set_if_known(link, ADBC_CONNECTION_OPTION_READ_ONLY, ADBC_OPTION_VALUE_ENABLED,
                      reterr));
  igloo_status status = ig_link_set_option(link, ADBC_CONNECTION_OPTION_AUTOCOMMIT,
                                           ADBC_OPTION_VALUE_DISABLED, reterr);
  link->reading = status == IGLOO_OK;
  return is_unknown(status) && !repeatable ? IGLOO_OK : status;
}

igloo_status ig_link_end_reading(ig_link *link, struct igloo_error *reterr) {
  struct AdbcError error = ADBC_ERROR_INIT;
  if (!link->reading) return IGLOO_OK;
  link->reading = false;
  IG_TRY(ig_link_fail(link,
                      ig_link_driver(link)->ConnectionRollback(&link->connection, &error),
                      &error, reterr));
  IG_TRY(ig_link_set_option(link, ADBC_CONNECTION_OPTION_AUTOCOMMIT,
                            ADBC_OPTION_VALUE_ENABLED, reterr));
  if (link->repeatable)
    IG_TRY(set_if_known(link, ADBC_CONNECTION_OPTION_ISOLATION_LEVEL,
                        ADBC_OPTION_ISOLATION_LEVEL_DEFAULT, reterr));
  if (link->target->read_only) return IGLOO_OK;
  return set_if_known(link, ADBC_CONNECTION_OPTION_READ_ONLY, ADBC_OPTION_VALUE_DISABLED,
                      reterr);
}

static igloo_status open_database(ig_link *link, struct igloo_error *reterr) {
  const struct AdbcDriver *driver = ig_link_driver(link);
  struct AdbcError error = ADBC_ERROR_INIT;
  IG_TRY(
      ig_link_fail(link, driver->DatabaseNew(&link->database, &error), &error, reterr));
  link->has_database = true;
  for (size_t i = 0; i < link->target->settings_count; i++) {
    const struct ig_setting *setting = &link->target->settings[i];
    IG_TRY(ig_link_fail(
        link,
        driver->DatabaseSetOption(&link->database, setting->key, setting->value, &error),
        &error, reterr));
  }
  return ig_link_fail(link, driver->DatabaseInit(&link->database, &error), &error,
                      reterr);
}

static igloo_status open_connection(ig_link *link, struct igloo_error *reterr) {
  const struct AdbcDriver *driver = ig_link_driver(link);
  struct AdbcError error = ADBC_ERROR_INIT;
  IG_TRY(open_database(link, reterr));
  IG_TRY(ig_link_fail(link, driver->ConnectionNew(&link->connection, &error), &error,
                      reterr));
  link->has_connection = true;
  /* What cannot promise it is not written to all the same: only ingest writes. */
  if (link->target->read_only)
    IG_TRY(set_if_known(link, ADBC_CONNECTION_OPTION_READ_ONLY, ADBC_OPTION_VALUE_ENABLED,
                        reterr));
  IG_TRY(ig_link_fail(link,
                      driver->ConnectionInit(&link->connection, &link->database, &error),
                      &error, reterr));
  for (const char *const *text = link->target->statements; text && *text; text++)
    IG_TRY(ig_link_run_text(link, *text, reterr));
  return IGLOO_OK;
}

/* A failure to connect that has no SQLSTATE of its own is one of connecting. */
static igloo_status run_connect(ig_link *link, struct ig_call *call IG_UNUSED,
                                struct igloo_error *reterr) {
  struct igloo_error error = {0};
  igloo_status status = open_connection(link, &error);
  if (status == IGLOO_UNAVAILABLE && strcmp(error.sqlstate, "08006") == 0)
    memcpy(error.sqlstate, "08001", 5);
  if (status != IGLOO_OK && reterr) *reterr = error;
  return status;
}

static void release_objects(ig_link *link) {
  ig_link_statement_end(link, true);
  const struct AdbcDriver *driver = ig_link_driver(link);
  struct AdbcError error = ADBC_ERROR_INIT;
  if (link->has_connection) driver->ConnectionRelease(&link->connection, &error);
  if (error.release) error.release(&error);
  error = ADBC_ERROR_INIT;
  if (link->has_database) driver->DatabaseRelease(&link->database, &error);
  if (error.release) error.release(&error);
}

static void cancel_statement(ig_link *link) {
  struct AdbcError error = ADBC_ERROR_INIT;
  ig_link_driver(link)->StatementCancel(&link->statement, &error);
  if (error.release) error.release(&error);
}

/* The tokens of a call that its caller makes. Before its statement is there, and should
 * the driver forget it, the next look cancels. The mutex is left meanwhile. */
static void watch_here_locked(ig_link *link) {
  if (!link->here || !link->has_statement ||
      (ig_waits_check(link->here, NULL) == IGLOO_OK &&
       ig_now_us() < link->here->deadline_us))
    return;
  link->cancellers++;
  ig_mutex_unlock(&link->mu);
  cancel_statement(link);
  ig_mutex_lock(&link->mu);
  link->cancellers--;
  ig_cond_broadcast(&link->work);
}

static void expire_locked(ig_link *link) {
  void (*expire)(void *, ig_link *) = link->expire;
  void *ctx = link->expire_ctx;
  link->idle_since_us = 0;
  ig_mutex_unlock(&link->mu);
  expire(ctx, link);
  ig_mutex_lock(&link->mu);
}

/* Calls that callers make come in rows: as long after one the next needs not wake the
 * thread for its tokens to be looked at. */
#define WATCH_US INT64_C(1000000)

/* Until something is to be done. Who parks the link wakes nobody: the wait ends before it
 * is to expire. */
static void wait_locked(ig_link *link) {
  int64_t now = ig_now_us();
  int64_t since_us = link->idle_since_us ? link->idle_since_us : now;
  int64_t until = since_us + IG_CONNECTOR_IDLE_US;
  if (now >= until) {
    expire_locked(link);
    return;
  }
  link->watching = link->here || (link->here_us && now < link->here_us + WATCH_US);
  if (link->watching && now + IG_CONNECTOR_POLL_US < until)
    until = now + IG_CONNECTOR_POLL_US;
  (void)ig_cond_wait_until(&link->work, &link->mu, until);
}

/* Wait for work; NULL: the link ends. */
static struct ig_call *next_call(ig_link *link) {
  IG_LOCK_SCOPE(&link->mu);
  for (;;) {
    if (link->call && !link->running) {
      link->running = true;
      return link->call;
    }
    if (link->closing) return NULL;
    watch_here_locked(link);
    wait_locked(link);
  }
}

static void finish_call(ig_link *link, struct ig_call *call) {
  ig_mutex_lock(&link->mu);
  after_function after = link->after;
  void *ctx = link->after_ctx;
  link->call = NULL;
  link->after = NULL;
  link->running = false;
  ig_mutex_unlock(&link->mu);
  ig_cond_broadcast(&link->done); /* not under the mutex, which is what they wait for */
  igloo_status status = call->status;
  ig_call_unref(call);
  if (after) after(ctx, link, status);
}

static void *serve(void *ctx) {
  ig_link *link = ctx;
  for (struct ig_call *call; (call = next_call(link));) {
    call->status = call->run(link, call, &call->error);
    finish_call(link, call);
  }
  release_objects(link);
  struct ig_link_group *group = link->group;
  atomic_fetch_add(&group->refs, 1);
  bool abandoned = link->abandoned; /* written before closing was, which was seen */
  link_unref(link);
  ig_mutex_lock(&group->mu);
  group->threads--;
  if (abandoned) group->abandoned--;
  ig_cond_broadcast(&group->changed);
  ig_mutex_unlock(&group->mu);
  ig_link_group_unref(group);
  return NULL;
}

/* ---- waiting ---------------------------------------------------------------------- */

static void *cancel_call(void *ctx) {
  ig_link *link = ctx;
  ig_mutex_lock(&link->mu);
  bool statement = link->has_statement && link->running;
  if (statement) link->cancellers++;
  ig_mutex_unlock(&link->mu);
  if (statement) {
    cancel_statement(link);
    ig_mutex_lock(&link->mu);
    link->cancellers--;
    ig_cond_broadcast(&link->work);
    ig_mutex_unlock(&link->mu);
  }
  link_unref(link);
  return NULL;
}

/* On a thread of its own, since it may block. Without one the call is given up later. */
static void start_cancel(ig_link *link) {
  pthread_t thread;
  atomic_fetch_add(&link->refs, 1);
  if (ig_thread_start("igloo-cancel", 0, cancel_call, link, &thread, NULL) != IGLOO_OK) {
    link_unref(link);
    return;
  }
  pthread_detach(thread); /* instead of the join that is owed */
}

static void abandon_locked(ig_link *link) {
  link->abandoned = true;
  ig_mutex_lock(&link->group->mu);
  link->group->abandoned++;
  ig_cond_broadcast(&link->group->changed);
  ig_mutex_unlock(&link->group->mu);
}

static void put_call_locked(ig_link *link, struct ig_call *call) {
  IG_ASSERT(!link->call && !link->here && !link->closing);
  link->call = call;
  atomic_fetch_add(&link->calls, 1);
  link->idle_since_us = 0;
  ig_cond_broadcast(&link->work);
}

/* True once the call at hand is done. */
static bool wait_done(ig_link *link, const struct ig_call *call, int64_t until_us,
                      const struct ig_waits *waits, struct igloo_error *reterr,
                      igloo_status *ret_stop) {
  IG_LOCK_SCOPE(&link->mu);
  while (link->call == call) {
    int64_t now = ig_now_us();
    if (now >= until_us) return false;
    if (waits && (*ret_stop = ig_waits_check(waits, reterr)) != IGLOO_OK) return false;
    int64_t wake = now + IG_CONNECTOR_POLL_US;
    (void)ig_cond_wait_until(&link->done, &link->mu, wake < until_us ? wake : until_us);
  }
  return true;
}

igloo_status ig_link_call(ig_link *link, struct ig_call *call,
                          const struct ig_waits *waits, struct igloo_error *reterr) {
  IG_TRY(ig_waits_check(waits, reterr));
  atomic_fetch_add(&call->refs, 1);
  ig_mutex_lock(&link->mu);
  put_call_locked(link, call);
  ig_mutex_unlock(&link->mu);

  igloo_status stop = IGLOO_OK;
  bool done = wait_done(link, call, waits->deadline_us, waits, reterr, &stop);
  if (!done) {
    if (stop == IGLOO_OK)
      stop = ig_fail(reterr, IGLOO_DEADLINE_EXCEEDED,
                     "source \"%s\" did not answer in time", link->target->source);
    start_cancel(link);
    igloo_status ignored = IGLOO_OK;
    done =
        wait_done(link, call, ig_now_us() + IG_CONNECTOR_CANCEL_US, NULL, NULL, &ignored);
    IG_LOCK_SCOPE(&link->mu);
    if (!done && link->call == call) abandon_locked(link);
    return stop;
  }
  if (call->status != IGLOO_OK && reterr) *reterr = call->error;
  return call->status;
}

igloo_status ig_link_call_here(ig_link *link, struct ig_call *call,
                               const struct ig_waits *waits, struct igloo_error *reterr) {
  IG_TRY(ig_waits_check(waits, reterr));
  ig_mutex_lock(&link->mu);
  IG_ASSERT(!link->call && !link->here && !link->closing);
  link->here = waits;
  link->idle_since_us = 0;
  bool watching = link->watching;
  ig_mutex_unlock(&link->mu);
  atomic_fetch_add(&link->calls, 1);
  if (!watching) ig_cond_broadcast(&link->work);

  call->status = call->run(link, call, &call->error);

  ig_mutex_lock(&link->mu);
  link->here = NULL;
  link->here_us = ig_now_us();
  ig_mutex_unlock(&link->mu);
  if (call->status == IGLOO_OK) return IGLOO_OK;
  IG_TRY(ig_waits_check(waits, reterr));
  if (ig_now_us() >= waits->deadline_us)
    return ig_fail(reterr, IGLOO_DEADLINE_EXCEEDED,
                   "source \"%s\" did not answer in time", link->target->source);
  if (reterr) *reterr = call->error;
  return call->status;
}

void ig_link_post(ig_link *link, struct ig_call *call, after_function after, void *ctx) {
  IG_LOCK_SCOPE(&link->mu);
  link->after = after;
  link->after_ctx = ctx;
  put_call_locked(link, call);
}

void ig_link_park(ig_link *link, void (*expire)(void *ctx, ig_link *link), void *ctx) {
  IG_LOCK_SCOPE(&link->mu);
  link->expire = expire;
  link->expire_ctx = ctx;
  link->idle_since_us = ig_now_us();
}

/* ---- opening and closing ------------------------------------------------------------
 */

static igloo_status start_link(struct ig_target *target, struct ig_link_group *group,
                               ig_link **ret_link, struct igloo_error *reterr) {
  ig_link *link = ig_calloc(1, sizeof(*link));
  if (!link) return ig_fail_oom(reterr);
  atomic_init(&link->refs, 2);
  ig_mutex_init(&link->mu);
  ig_cond_init(&link->work);
  ig_cond_init(&link->done);
  link->target = ig_target_ref(target);
  atomic_fetch_add(&group->refs, 1);
  link->group = group;
  ig_mutex_lock(&group->mu);
  group->threads++;
  ig_mutex_unlock(&group->mu);

  pthread_t thread;
  igloo_status status = ig_thread_start("igloo-source", 0, serve, link, &thread, reterr);
  if (status != IGLOO_OK) {
    ig_mutex_lock(&group->mu);
    group->threads--;
    ig_cond_broadcast(&group->changed);
    ig_mutex_unlock(&group->mu);
    link_unref(link);
    link_unref(link);
    return status;
  }
  pthread_detach(thread); /* instead of the join that is owed: its group counts it */
  *ret_link = link;
  return IGLOO_OK;
}

ig_link *ig_link_close(ig_link *link) {
  if (!link) return NULL;
  ig_mutex_lock(&link->mu);
  link->closing = true;
  ig_cond_broadcast(&link->work);
  ig_mutex_unlock(&link->mu);
  link_unref(link);
  return NULL;
}

igloo_status ig_link_open(struct ig_target *target, struct ig_link_group *group,
                          const struct ig_waits *waits, ig_link **ret_link,
                          struct igloo_error *reterr) {
  struct ig_call *call = ig_call_new(sizeof(*call), run_connect, NULL);
  if (!call) return ig_fail_oom(reterr);
  IG_AUTO(ig_link) *link = NULL;
  igloo_status status = start_link(target, group, &link, reterr);
  if (status == IGLOO_OK) {
    IG_ASSERT(link);
    int64_t until = ig_deadline_in(IG_CONNECTOR_CONNECT_US);
    struct ig_waits bounded = *waits;
    if (until < bounded.deadline_us) bounded.deadline_us = until;
    status = ig_link_call(link, call, &bounded, reterr);
    /* The tokens' own deadline says 57014 by itself; this one was ours. */
    if (status == IGLOO_DEADLINE_EXCEEDED && ig_waits_check(waits, NULL) == IGLOO_OK)
      status =
          ig_fail_state(reterr, IGLOO_UNAVAILABLE, "08001",
                        "could not connect to source \"%s\" within %d s", target->source,
                        (int)(IG_CONNECTOR_CONNECT_US / IG_US_PER_S));
  }
  ig_call_unref(call);
  if (status == IGLOO_OK) *ret_link = IG_TAKE(link);
  return status;
}
