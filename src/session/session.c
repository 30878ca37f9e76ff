/* session.c -- see session.h: life of a session, its settings. */
#include "arrow/schema.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "scan/resolver.h"
#include "session/plans.h"

static void free_prepared(void *prepared) {
  (void)ig_prepared_free(prepared);
}

/* ---- state ------------------------------------------------------------------------- */

/* Takes *settings, also on failure. */
static igloo_status new_state(const ig_session *session, struct ig_settings *settings,
                              ig_session_state **ret_state, struct igloo_error *reterr) {
  struct ig_plan_settings from = {
      .time_zone = settings->time_zone,
      .user = session->who.identity.name,
      .catalog = settings->search_path_count ? settings->search_path[0].key : "",
      .schema = settings->search_path_count ? settings->search_path[0].value : "",
      .views = settings->views,
      .sources =
          session->parts.attached ? ig_attached_sources(session->parts.attached) : NULL,
      .remote = {.pushdown = settings->pushdown,
                 .strict = settings->strict_pushdown,
                 .strict_bytes = settings->strict_pushdown_bytes},
  };
  ig_plan_context *context = NULL;
  igloo_status status =
      ig_plan_context_new(session->parts.engine, &from, &context, reterr);
  ig_session_state *state = NULL;
  if (status == IGLOO_OK) {
    state = ig_calloc(1, sizeof(*state));
    if (!state) status = ig_fail_oom(reterr);
  }
  if (status != IGLOO_OK) {
    (void)ig_plan_context_unref(context);
    ig_settings_done(settings);
    return status;
  }
  *state = (ig_session_state){1, *settings, context};
  *ret_state = state;
  return IGLOO_OK;
}

ig_session_state *ig_session_state_get(ig_session *session) {
  IG_LOCK_SCOPE(&session->mu);
  (void)__atomic_add_fetch(&session->state->refs, 1, __ATOMIC_RELAXED);
  return session->state;
}

ig_session_state *ig_session_state_unref(ig_session_state *state) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!state || __atomic_sub_fetch(&state->refs, 1, __ATOMIC_ACQ_REL) > 0) return NULL;
  (void)ig_plan_context_unref(state->plan_context);
  ig_settings_done(&state->settings);
  ig_free(state);
  return NULL;
}

/* The state that `before` becomes by the change. */
static igloo_status changed_state(const ig_session *session,
                                  const ig_session_state *before, struct ig_str name,
                                  struct ig_str value, ig_session_state **ret_state,
                                  struct igloo_error *reterr) {
  struct ig_settings settings;
  IG_TRY(ig_settings_copy(&before->settings, &settings, reterr));
  igloo_status status = IGLOO_OK;
  const char *each, *doc;
  if (name.data) status = ig_settings_set(&settings, name, value, reterr);
  for (size_t i = 0; !name.data && status == IGLOO_OK && ig_settings_at(i, &each, &doc);
       i++)
    status = ig_settings_set(&settings, ig_str_from_cstr(each), value, reterr);
  if (status == IGLOO_OK) return new_state(session, &settings, ret_state, reterr);
  ig_settings_done(&settings);
  return status;
}

igloo_status ig_session_change(ig_session *session, struct ig_str name,
                               struct ig_str value, struct igloo_error *reterr) {
  /* Where another thread's change came between, this one is made over that. */
  for (bool done = false; !done;) {
    IG_AUTO(ig_session_state) *before = ig_session_state_get(session);
    IG_AUTO(ig_session_state) *after = NULL;
    IG_TRY(changed_state(session, before, name, value, &after, reterr));
    IG_LOCK_SCOPE(&session->mu);
    done = session->state == before;
    if (!done) continue;
    ig_session_state *old = session->state; /* `before` holds it too */
    session->state = IG_TAKE(after);
    (void)ig_session_state_unref(old);
  }
  ig_plans_forget(ig_registry_plans(session->parts.registry), session);
  return IGLOO_OK;
}

igloo_status ig_session_commit(ig_session *session, ig_catalog_change *change,
                               ig_snapshot **ret_snapshot, struct igloo_error *reterr) {
  igloo_status status = ig_catalog_commit(change, ret_snapshot, reterr);
  ig_plans_forget(ig_registry_plans(session->parts.registry), NULL);
  return status;
}

/* ---- life -------------------------------------------------------------------------- */

/* A copy without its hooks: they are called only once nothing can fail any more. */
static igloo_status copy_who(const struct ig_session_who *who,
                             struct ig_session_who *ret_copy,
                             struct igloo_error *reterr) {
  if (who->key.len > IG_SESSION_KEY_BYTES_MAX)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "the session's key is too long");
  ret_copy->identity = who->identity;
  ret_copy->ends_idle = who->ends_idle;
  ret_copy->ctx = who->ctx;
  ret_copy->peer = ig_strdup(who->peer);
  ret_copy->certificate = who->certificate ? ig_strdup(who->certificate) : NULL;
  ret_copy->key = ig_str_make(ig_str_dup(who->key), who->key.len);
  bool whole = ret_copy->peer && ret_copy->key.data &&
               (ret_copy->certificate || !who->certificate);
  return whole ? IGLOO_OK : ig_fail_oom(reterr);
}

static igloo_status fill_session(ig_session *session, const struct ig_session_who *who,
                                 struct igloo_error *reterr) {
  struct ig_settings settings;
  struct ig_settings_defaults defaults = ig_settings_defaults_of(session->parts.config);
  IG_TRY(copy_who(who, &session->who, reterr));
  if (who->token) {
    session->token = *who->token;
    session->who.token = &session->token;
  }
  IG_TRY(ig_settings_init(&settings, &defaults, reterr));
  IG_TRY(new_state(session, &settings, &session->state, reterr));
  IG_TRY(ig_session_tables_new(&session->own, reterr));
  return ig_registry_add(session->parts.registry, session, reterr);
}

igloo_status ig_session_new(const struct ig_session_parts *parts,
                            const struct ig_session_who *who, ig_session **ret_session,
                            struct igloo_error *reterr) {
  ig_session *session = ig_calloc(1, sizeof(*session));
  if (!session) return ig_fail_oom(reterr);
  ig_mutex_init(&session->mu);
  ig_map_init(&session->prepared, IG_PREPARED_MAX, free_prepared);
  session->refs = 1;
  session->parts = *parts;
  session->parts.on_end = NULL; /* not before nothing can fail any more */
  session->begin_wall_us = ig_wall_us();
  ig_session_touch(session);
  igloo_status status = fill_session(session, who, reterr);
  if (status != IGLOO_OK) {
    (void)ig_session_unref(session);
    return status;
  }
  session->parts.on_end = parts->on_end;
  ig_mutex_lock(&session->mu); /* whoever ends it already now sees hooks or none */
  session->who.ended = session->over == IG_SESSION_OPEN ? who->ended : NULL;
  session->who.freed = who->freed;
  ig_mutex_unlock(&session->mu);
  *ret_session = session;
  return IGLOO_OK;
}

void ig_session_forget_prepared(ig_session *session) {
  ig_mutex_lock(&session->mu);
  struct ig_map forgotten = session->prepared;
  ig_map_init(&session->prepared, IG_PREPARED_MAX, free_prepared);
  ig_mutex_unlock(&session->mu);
  ig_map_done(&forgotten);
}

ig_session *ig_session_ref(ig_session *session) {
  (void)__atomic_add_fetch(&session->refs, 1, __ATOMIC_RELAXED);
  return session;
}

ig_session *ig_session_unref(ig_session *session) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!session || __atomic_sub_fetch(&session->refs, 1, __ATOMIC_ACQ_REL) > 0)
    return NULL;
  ig_registry_remove(session->parts.registry, session);
  ig_plans_forget(ig_registry_plans(session->parts.registry), session);
  ig_map_done(&session->prepared);
  (void)ig_session_tables_unref(session->own);
  (void)ig_session_state_unref(session->state);
  ig_mutex_done(&session->mu);
  void (*on_end)(void *) = session->parts.on_end;
  void *ctx = session->parts.ctx;
  if (session->who.freed) session->who.freed(session->who.ctx);
  ig_free((char *)(uintptr_t)session->who.peer);
  ig_free((char *)(uintptr_t)session->who.certificate);
  ig_free((char *)(uintptr_t)session->who.key.data);
  ig_free(session);
  if (on_end) on_end(ctx);
  return NULL;
}

/* ---- who it is, and its end -------------------------------------------------------- */

const struct ig_identity *ig_session_identity(const ig_session *session) {
  return &session->who.identity;
}

int64_t ig_session_id(const ig_session *session) {
  return session->parts.id;
}

void *ig_session_ctx(const ig_session *session) {
  return session->who.ctx;
}

igloo_status ig_session_right(const ig_session *session, struct ig_identity *ret_identity,
                              struct igloo_error *reterr) {
  const struct ig_identity *began = &session->who.identity;
  if (began->user_id == 0) {
    *ret_identity = *began;
    return IGLOO_OK;
  }
  if (ig_users_get(session->parts.users, began->user_id, ret_identity)) return IGLOO_OK;
  return ig_fail(reterr, IGLOO_UNAUTHENTICATED, "user \"%s\" does not exist any more",
                 began->name);
}

bool ig_session_is_seen_by(const ig_session *session, const struct ig_identity *who) {
  return who->superuser || who->user_id == session->who.identity.user_id;
}

void ig_session_touch(ig_session *session) {
  __atomic_store_n(&session->used_us, ig_now_us(), __ATOMIC_RELAXED);
}

bool ig_session_end_for(ig_session *session, enum ig_session_end why) {
  void (*ended)(void *);
  {
    IG_LOCK_SCOPE(&session->mu);
    if (session->over != IG_SESSION_OPEN) return false;
    session->over = why;
    ended = session->who.ended;
    for (ig_running *running = session->running; running; running = running->next)
      ig_cancel_set(running->cancel);
  }
  ig_registry_forget(session->parts.registry, session);
  if (ended) ended(session->who.ctx);
  return true;
}

void ig_session_end(ig_session *session) {
  (void)ig_session_end_for(session, IG_SESSION_CLOSED);
}

bool ig_session_has_ended(ig_session *session) {
  IG_LOCK_SCOPE(&session->mu);
  return session->over != IG_SESSION_OPEN;
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
