/* registry.c -- see registry.h. A list of sessions, a map of their keys, a thread that
 * ends idle ones. */
#include "session/registry.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/thread.h"
#include "session/plans.h"

/* The idle clock looks this often: a tenth of the limit, within these. */
#define SWEEP_MIN_US (10 * IG_US_PER_MS)
#define SWEEP_MAX_US (10 * IG_US_PER_S)

struct ig_registry {
  int64_t idle_us;     /* fixed at creation; 0: never */
  int64_t last_id;     /* atomic */
  pthread_mutex_t mu;  /* a leaf lock */
  pthread_cond_t ends; /* `over` became true */
  ig_session *first;   /* guarded by mu */
  size_t count;        /* guarded by mu */
  struct ig_map keys;  /* guarded by mu: user and key to session, borrowed */
  pthread_t thread;    /* guarded by mu */
  bool has_thread;     /* guarded by mu */
  bool *gone;          /* guarded by mu: the thread's; set where it frees the registry */
  bool over;           /* guarded by mu */
  ig_plans *plans;     /* owned */
};

igloo_status ig_registry_new(int64_t idle_us, ig_registry **ret_registry,
                             struct igloo_error *reterr) {
  ig_registry *registry = ig_calloc(1, sizeof(*registry));
  if (!registry) return ig_fail_oom(reterr);
  registry->idle_us = idle_us;
  ig_running_count_all();
  ig_mutex_init(&registry->mu);
  ig_cond_init(&registry->ends);
  ig_map_init(&registry->keys, SIZE_MAX / 64, NULL); /* limits.sessions is the bound */
  igloo_status status = ig_plans_new(&registry->plans, reterr);
  if (status == IGLOO_OK)
    *ret_registry = registry;
  else
    (void)ig_registry_free(registry);
  return status;
}

/* The idle clock may drop the last reference of a session, and with it of everything:
 * then it cannot wait for itself. */
static void end_thread(ig_registry *registry) {
  ig_mutex_lock(&registry->mu);
  bool has_thread = registry->has_thread;
  registry->over = true;
  ig_cond_broadcast(&registry->ends);
  ig_mutex_unlock(&registry->mu);
  if (!has_thread) return;
  if (!pthread_equal(registry->thread, pthread_self())) {
    (void)ig_thread_join(registry->thread);
    return;
  }
  *registry->gone = true;
  (void)pthread_detach(registry->thread);
}

ig_registry *ig_registry_free(ig_registry *registry) {
  if (!registry) return NULL;
  IG_ASSERT(!registry->first);
  end_thread(registry);
  ig_map_done(&registry->keys);
  (void)ig_plans_free(registry->plans);
  ig_cond_done(&registry->ends);
  ig_mutex_done(&registry->mu);
  ig_free(registry);
  return NULL;
}

ig_plans *ig_registry_plans(ig_registry *registry) {
  return registry->plans;
}

int64_t ig_registry_new_id(ig_registry *registry) {
  return __atomic_add_fetch(&registry->last_id, 1, __ATOMIC_RELAXED);
}

/* ---- the list ---------------------------------------------------------------------- */

/* A user's key as the map has it: the user's number before it. */
struct map_key {
  char bytes[sizeof(int64_t) + IG_SESSION_KEY_BYTES_MAX];
  size_t len;
};

static struct map_key map_key(struct ig_str key, int64_t user_id) {
  struct map_key made = {.len = sizeof user_id + key.len};
  memcpy(made.bytes, &user_id, sizeof user_id);
  memcpy(made.bytes + sizeof user_id, key.data, key.len);
  return made;
}

static struct map_key key_of(const ig_session *session) {
  return map_key(session->who.key, session->who.identity.user_id);
}

static struct ig_str key_view(const struct map_key *key) {
  return ig_str_make(key->bytes, key->len);
}

/* False where the last reference is gone already: the session is about to leave. */
static bool try_ref(ig_session *session) {
  int32_t refs = __atomic_load_n(&session->refs, __ATOMIC_RELAXED);
  while (refs > 0)
    if (__atomic_compare_exchange_n(&session->refs, &refs, refs + 1, true,
                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
      return true;
  return false;
}

static void *run_clock(void *ctx);

static igloo_status add_locked(ig_registry *registry, ig_session *session,
                               struct igloo_error *reterr) {
  struct map_key key = key_of(session);
  if (session->who.key.len && ig_map_get(&registry->keys, key_view(&key)))
    return ig_fail_state(reterr, IGLOO_ALREADY_EXISTS, "42710",
                         "the session exists already");
  if (session->who.ends_idle && registry->idle_us && !registry->has_thread) {
    IG_TRY(ig_thread_start("ig-idle", 0, run_clock, registry, &registry->thread, reterr));
    registry->has_thread = true;
  }
  if (session->who.key.len)
    IG_TRY(ig_map_put(&registry->keys, key_view(&key), session, reterr));
  session->next = registry->first;
  if (session->next) session->next->link = &session->next;
  session->link = &registry->first;
  registry->first = session;
  registry->count++;
  return IGLOO_OK;
}

igloo_status ig_registry_add(ig_registry *registry, ig_session *session,
                             struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&registry->mu);
  return add_locked(registry, session, reterr);
}

static void forget_locked(ig_registry *registry, const ig_session *session) {
  if (session->who.key.len == 0) return;
  struct map_key key = key_of(session);
  if (ig_map_get(&registry->keys, key_view(&key)) == session)
    (void)ig_map_remove(&registry->keys, key_view(&key));
}

void ig_registry_forget(ig_registry *registry, const ig_session *session) {
  IG_LOCK_SCOPE(&registry->mu);
  forget_locked(registry, session);
}

void ig_registry_remove(ig_registry *registry, ig_session *session) {
  IG_LOCK_SCOPE(&registry->mu);
  if (!session->link) return;
  forget_locked(registry, session);
  *session->link = session->next;
  if (session->next) session->next->link = session->link;
  session->link = NULL;
  registry->count--;
}

ig_session *ig_registry_find(ig_registry *registry, struct ig_str key, int64_t user_id) {
  if (key.len == 0 || key.len > IG_SESSION_KEY_BYTES_MAX) return NULL;
  struct map_key wanted = map_key(key, user_id);
  IG_LOCK_SCOPE(&registry->mu);
  ig_session *session = ig_map_get(&registry->keys, key_view(&wanted));
  if (!session || !try_ref(session)) return NULL;
  ig_session_touch(session);
  return session;
}

igloo_status ig_registry_list(ig_registry *registry, struct ig_session_list *ret_list,
                              struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&registry->mu);
  ig_session **sessions = ig_calloc(registry->count + 1, sizeof(*sessions));
  if (!sessions) return ig_fail_oom(reterr);
  size_t count = 0;
  for (ig_session *session = registry->first; session; session = session->next)
    if (try_ref(session)) sessions[count++] = session;
  *ret_list = (struct ig_session_list){sessions, count};
  return IGLOO_OK;
}

void ig_session_list_done(struct ig_session_list *list) {
  for (size_t i = 0; i < list->count; i++) (void)ig_session_unref(list->sessions[i]);
  ig_free(list->sessions);
  *list = (struct ig_session_list){0};
}

void ig_registry_counts(ig_registry *registry, uint64_t *ret_sessions,
                        uint64_t *ret_statements) {
  IG_AUTO_DONE(ig_session_list) list = {0};
  uint64_t statements = 0;
  if (ig_registry_list(registry, &list, NULL) == IGLOO_OK)
    for (size_t i = 0; i < list.count; i++) {
      IG_LOCK_SCOPE(&list.sessions[i]->mu);
      for (const ig_running *at = list.sessions[i]->running; at; at = at->next)
        statements++;
    }
  *ret_sessions = list.count;
  *ret_statements = statements;
}

/* ---- ending sessions --------------------------------------------------------------- */

void ig_registry_end_sessions(ig_registry *registry, int64_t user_id) {
  IG_AUTO_DONE(ig_session_list) list = {0};
  /* Without memory for the list they end by themselves: each statement asks for its user.
   */
  if (ig_registry_list(registry, &list, NULL) != IGLOO_OK) return;
  for (size_t i = 0; i < list.count; i++) {
    ig_session *session = list.sessions[i];
    if (user_id == 0)
      (void)ig_session_end_for(session, IG_SESSION_STOPPED);
    else if (session->who.identity.user_id == user_id)
      (void)ig_session_end_for(session, IG_SESSION_DROPPED);
  }
}

static bool is_idle(ig_session *session, int64_t idle_us) {
  if (!session->who.ends_idle) return false;
  int64_t used_us = __atomic_load_n(&session->used_us, __ATOMIC_RELAXED);
  if (ig_now_us() - used_us < idle_us) return false;
  IG_LOCK_SCOPE(&session->mu);
  for (const ig_running *at = session->running; at; at = at->next)
    if (__atomic_load_n(&at->state, __ATOMIC_RELAXED) != IG_RUNNING_WAITS) return false;
  return session->over == IG_SESSION_OPEN;
}

static void end_idle(ig_registry *registry) {
  IG_AUTO_DONE(ig_session_list) list = {0};
  int64_t idle_us = registry->idle_us;
  if (ig_registry_list(registry, &list, NULL) != IGLOO_OK) return; /* the next time */
  for (size_t i = 0; i < list.count; i++)
    if (is_idle(list.sessions[i], idle_us) &&
        ig_session_end_for(list.sessions[i], IG_SESSION_IDLE))
      ig_log(IG_LOG_INFO, "session.idle",
             IG_LOG_I64("session", list.sessions[i]->parts.id),
             IG_LOG_STR("user", list.sessions[i]->who.identity.name));
}

static int64_t sweep_every_us(int64_t idle_us) {
  int64_t every_us = idle_us / 10;
  if (every_us < SWEEP_MIN_US) return SWEEP_MIN_US;
  return every_us > SWEEP_MAX_US ? SWEEP_MAX_US : every_us;
}

static void *run_clock(void *ctx) {
  ig_registry *registry = ctx;
  bool gone = false;
  ig_mutex_lock(&registry->mu);
  registry->gone = &gone;
  while (!registry->over) {
    int64_t until_us = ig_deadline_in(sweep_every_us(registry->idle_us));
    if (ig_cond_wait_until(&registry->ends, &registry->mu, until_us)) continue;
    ig_mutex_unlock(&registry->mu);
    end_idle(registry);
    if (gone) return NULL;
    ig_mutex_lock(&registry->mu);
  }
  ig_mutex_unlock(&registry->mu);
  return NULL;
}

/* ---- KILL -------------------------------------------------------------------------- */

static bool kill_statement(ig_session *session, int64_t id) {
  IG_LOCK_SCOPE(&session->mu);
  for (ig_running *at = session->running; at; at = at->next) {
    if (at->id != id) continue;
    ig_cancel_set(at->cancel);
    return true;
  }
  return false;
}

static void log_kill(const char *event, const struct ig_identity *who, int64_t id) {
  ig_log(IG_LOG_INFO, event, IG_LOG_I64("id", id), IG_LOG_STR("by", who->name));
}

igloo_status ig_registry_kill_query(ig_registry *registry, const struct ig_identity *who,
                                    struct ig_str id, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_session_list) list = {0};
  int64_t number = 0;
  IG_TRY(ig_registry_list(registry, &list, reterr));
  bool is_number = ig_parse_i64(id, &number, NULL) == IGLOO_OK;
  for (size_t i = 0; is_number && i < list.count; i++) {
    if (!ig_session_is_seen_by(list.sessions[i], who)) continue;
    if (!kill_statement(list.sessions[i], number)) continue;
    log_kill("query.kill", who, number);
    return IGLOO_OK;
  }
  return ig_fail(reterr, IGLOO_NOT_FOUND, "query \"%.*s\" does not exist",
                 IG_STR_ARG(ig_str_sub(id, 0, ig_utf8_cut(id, 64))));
}

igloo_status ig_registry_kill_session(ig_registry *registry,
                                      const struct ig_identity *who, struct ig_str id,
                                      struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_session_list) list = {0};
  int64_t number = 0;
  IG_TRY(ig_registry_list(registry, &list, reterr));
  bool is_number = ig_parse_i64(id, &number, NULL) == IGLOO_OK;
  for (size_t i = 0; is_number && i < list.count; i++) {
    ig_session *session = list.sessions[i];
    if (session->parts.id != number || !ig_session_is_seen_by(session, who)) continue;
    if (!ig_session_end_for(session, IG_SESSION_KILLED)) break;
    log_kill("session.kill", who, number);
    return IGLOO_OK;
  }
  return ig_fail(reterr, IGLOO_NOT_FOUND, "session \"%.*s\" does not exist",
                 IG_STR_ARG(ig_str_sub(id, 0, ig_utf8_cut(id, 64))));
}
