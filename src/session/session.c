/* session.c -- see session.h: life of a session, its settings. */
#include "arrow/schema.h"
#include "base/limits.h"
#include "base/thread.h"
#include "scan/resolver.h"
#include "session/private.h"

static void free_prepared(void *prepared) {
  (void)ig_prepared_free(prepared);
}

igloo_status ig_session_new(const struct ig_session_parts *parts,
                            ig_session **ret_session, struct igloo_error *reterr) {
  ig_session *session = ig_calloc(1, sizeof(*session));
  if (!session) return ig_fail_oom(reterr);
  ig_mutex_init(&session->mu);
  ig_map_init(&session->prepared, IG_PREPARED_MAX, free_prepared);
  session->refs = 1;
  session->parts = *parts;
  session->parts.on_end = NULL; /* not before nothing can fail any more */
  igloo_status status = ig_settings_init(&session->settings,
                                         parts->config->limits_statement_timeout, reterr);
  if (status == IGLOO_OK) status = ig_session_tables_new(&session->own, reterr);
  if (status == IGLOO_OK) status = ig_session_apply_settings(session, reterr);
  if (status != IGLOO_OK) {
    (void)ig_session_unref(session);
    return status;
  }
  session->parts.on_end = parts->on_end;
  *ret_session = session;
  return IGLOO_OK;
}

void ig_session_forget_prepared(ig_session *session) {
  ig_map_done(&session->prepared);
  ig_map_init(&session->prepared, IG_PREPARED_MAX, free_prepared);
}

ig_session *ig_session_ref(ig_session *session) {
  (void)__atomic_add_fetch(&session->refs, 1, __ATOMIC_RELAXED);
  return session;
}

ig_session *ig_session_unref(ig_session *session) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!session || __atomic_sub_fetch(&session->refs, 1, __ATOMIC_ACQ_REL) > 0)
    return NULL;
  ig_map_done(&session->prepared);
  (void)ig_session_tables_unref(session->own);
  (void)ig_plan_context_unref(session->plan_context);
  ig_settings_done(&session->settings);
  ig_mutex_done(&session->mu);
  void (*on_end)(void *) = session->parts.on_end;
  void *ctx = session->parts.ctx;
  ig_free(session);
  if (on_end) on_end(ctx);
  return NULL;
}

igloo_status ig_session_apply_settings(ig_session *session, struct igloo_error *reterr) {
  const struct ig_settings *settings = &session->settings;
  struct ig_plan_settings from = {
      .time_zone = settings->time_zone,
      .user = session->parts.user,
      .catalog = IG_CATALOG_NAME,
      .schema = settings->search_path_count ? settings->search_path[0] : "",
      .views = settings->views,
  };
  ig_plan_context *context = NULL;
  IG_TRY(ig_plan_context_new(session->parts.engine, &from, &context, reterr));
  (void)ig_plan_context_unref(session->plan_context);
  session->plan_context = context;
  return IGLOO_OK;
}

igloo_status ig_session_register(ig_session *session, struct ig_str name,
                                 struct ArrowArrayStream *rows,
                                 struct igloo_error *reterr) {
  if (name.len >= 1 && name.len <= IG_IDENTIFIER_BYTES_MAX && ig_utf8_valid(name, NULL))
    return ig_session_tables_put(session->own, name, rows, reterr);
  rows->release(rows);
  return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42602",
                       "invalid name for a table: it has 1 to %d bytes of UTF-8",
                       IG_IDENTIFIER_BYTES_MAX);
}
