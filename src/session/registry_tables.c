/* registry_tables.c -- igloo.system.queries and igloo.system.sessions. */
#include "base/clock.h"
#include "base/thread.h"
#include "scan/resolver.h"
#include "session/private.h"

static void add_id(ig_rows *rows, int64_t id) {
  char text[24];
  (void)snprintf(text, sizeof text, "%lld", (long long)id);
  ig_rows_cstr(rows, text);
}

/* ---- queries ----------------------------------------------------------------------- */

static const struct ig_rows_column queries_columns[] = {
    {"id", IG_CELL_TEXT, true},          {"session_id", IG_CELL_TEXT, true},
    {"user_name", IG_CELL_TEXT, true},   {"peer", IG_CELL_TEXT, true},
    {"state", IG_CELL_TEXT, true},       {"started_at", IG_CELL_TIMESTAMP, true},
    {"elapsed_ms", IG_CELL_INT64, true}, {"rows_returned", IG_CELL_INT64, true},
    {"query", IG_CELL_TEXT, true},
};

static const char *state_name(const ig_running *running) {
  switch ((enum ig_running_state)__atomic_load_n(&running->state, __ATOMIC_RELAXED)) {
    case IG_RUNNING_STARTS:
      return "starting";
    case IG_RUNNING_QUEUED:
      return "queued";
    case IG_RUNNING_PLANS:
      return "planning";
    case IG_RUNNING_RUNS:
      return "running";
    case IG_RUNNING_WAITS:
      return "waiting for its reader";
  }
  return "running";
}

/* With the session's mu held. */
static void add_query_locked(ig_rows *rows, const ig_session *session,
                             const ig_running *running) {
  struct ig_query_progress progress = {0};
  if (running->query) ig_query_progress(running->query, &progress);
  add_id(rows, running->id);
  add_id(rows, session->parts.id);
  ig_rows_cstr(rows, session->who.identity.name);
  ig_rows_cstr(rows, session->who.peer);
  ig_rows_cstr(rows, state_name(running));
  ig_rows_i64(rows, running->begin_wall_us);
  ig_rows_i64(rows, (ig_now_us() - running->begin_us) / IG_US_PER_MS);
  ig_rows_i64(rows, (int64_t)progress.rows_returned);
  ig_rows_cstr(rows, running->text);
}

static igloo_status fill_queries(void *ctx, const struct ig_identity *who,
                                 ig_snapshot *snapshot IG_UNUSED, ig_rows *rows,
                                 struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_session_list) list = {0};
  IG_TRY(ig_registry_list(ctx, &list, reterr));
  for (size_t i = 0; i < list.count; i++) {
    ig_session *session = list.sessions[i];
    if (!ig_session_is_seen_by(session, who)) continue;
    IG_LOCK_SCOPE(&session->mu);
    for (const ig_running *at = session->running; at; at = at->next)
      add_query_locked(rows, session, at);
  }
  return IGLOO_OK;
}

igloo_status ig_registry_show_queries(ig_registry *registry,
                                      const struct ig_identity *who,
                                      struct ArrowArrayStream *ret_rows,
                                      struct igloo_error *reterr) {
  IG_AUTO(ig_rows) *rows = NULL;
  IG_TRY(ig_rows_new(queries_columns, IG_ARRAY_LEN(queries_columns), &rows, reterr));
  IG_TRY(fill_queries(registry, who, NULL, rows, reterr));
  return ig_rows_finish(rows, ret_rows, reterr);
}

/* ---- sessions ---------------------------------------------------------------------- */

static const struct ig_rows_column sessions_columns[] = {
    {"id", IG_CELL_TEXT, true},
    {"user_name", IG_CELL_TEXT, true},
    {"peer", IG_CELL_TEXT, true},
    {"state", IG_CELL_TEXT, true},
    {"started_at", IG_CELL_TIMESTAMP, true},
    {"idle_ms", IG_CELL_INT64, true},
    {"queries", IG_CELL_INT64, true},
    {"certificate", IG_CELL_TEXT, false},
};

static int64_t count_queries(ig_session *session, bool *ret_over) {
  IG_LOCK_SCOPE(&session->mu);
  int64_t count = 0;
  *ret_over = session->over != IG_SESSION_OPEN;
  for (const ig_running *at = session->running; at; at = at->next) count++;
  return count;
}

static igloo_status fill_sessions(void *ctx, const struct ig_identity *who,
                                  ig_snapshot *snapshot IG_UNUSED, ig_rows *rows,
                                  struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_session_list) list = {0};
  IG_TRY(ig_registry_list(ctx, &list, reterr));
  for (size_t i = 0; i < list.count; i++) {
    ig_session *session = list.sessions[i];
    if (!ig_session_is_seen_by(session, who)) continue;
    bool over;
    int64_t queries = count_queries(session, &over);
    int64_t used_us = __atomic_load_n(&session->used_us, __ATOMIC_RELAXED);
    add_id(rows, session->parts.id);
    ig_rows_cstr(rows, session->who.identity.name);
    ig_rows_cstr(rows, session->who.peer);
    ig_rows_cstr(rows, over ? "ended" : queries ? "active" : "idle");
    ig_rows_i64(rows, session->begin_wall_us);
    ig_rows_i64(rows, queries ? 0 : (ig_now_us() - used_us) / IG_US_PER_MS);
    ig_rows_i64(rows, queries);
    if (session->who.certificate)
      ig_rows_cstr(rows, session->who.certificate);
    else
      ig_rows_null(rows);
  }
  return IGLOO_OK;
}

const struct ig_system_table *ig_registry_tables(size_t *ret_count) {
  static const struct ig_system_table tables[] = {
      {IG_SCHEMA_SYSTEM, "queries", queries_columns, IG_ARRAY_LEN(queries_columns),
       fill_queries},
      {IG_SCHEMA_SYSTEM, "sessions", sessions_columns, IG_ARRAY_LEN(sessions_columns),
       fill_sessions},
  };
  *ret_count = IG_ARRAY_LEN(tables);
  return tables;
}
