/* sessions.c -- which session a call belongs to, and what is kept with it.
 *
 * A session is found by what the client shows: its own name for it, else its token, else
 * the cookie that we gave it, else its connection. It is made by the first call that
 * needs one. Several connections may show one token: each is counted by its first call
 * and leaves by CloseSession, and the session ends with the last.
 */
#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"
#include "flight/private.h"

/* One that was used so recently is not ended to make room for another. */
#define ROOM_IDLE_US (2 * IG_US_PER_S)

/* ---- what is kept with a session ----------------------------------------------------
 */

static void free_option(void *option) {
  ig_free(option);
}

/* Out of the list. Returns the reference that kept the session alive. */
static ig_session *leave_list(struct ig_flight_session *own) {
  IG_LOCK_SCOPE(&own->flight->mu);
  if (!own->link) return NULL;
  *own->link = own->next;
  if (own->next) own->next->link = own->link;
  own->link = NULL;
  if (own->connection[0])
    (void)ig_map_remove(&own->flight->connections, ig_str_from_cstr(own->connection));
  return IG_TAKE(own->session);
}

static void session_ended(void *ctx) {
  (void)ig_session_unref(leave_list(ctx)); /* whoever ends it has another */
}

static void session_freed(void *ctx) {
  struct ig_flight_session *own = ctx;
  (void)leave_list(own);
  ig_map_done(&own->options);
  ig_mutex_done(&own->mu);
  ig_free(own);
}

/* A connection may carry several users. */
static struct ig_str connection_name(const struct ig_flight_call *call, char name[64]) {
  int len = snprintf(name, 64, "%llu %lld",
                     (unsigned long long)ig_rpc_call_peer(call->rpc)->connection,
                     (long long)call->who.user_id);
  return (struct ig_str){name, (size_t)len};
}

static struct ig_flight_session *new_own(const struct ig_flight_call *call) {
  ig_flight *flight = call->flight;
  struct ig_flight_session *own = ig_calloc(1, sizeof(*own));
  if (!own) return NULL;
  own->flight = flight;
  own->user_id = call->who.user_id;
  own->used_us = ig_now_us();
  memcpy(own->key, call->key, sizeof own->key);
  if (own->key[0] == 'c') (void)connection_name(call, own->connection);
  ig_mutex_init(&own->mu);
  ig_map_init(&own->options, IG_FLIGHT_OPTIONS_MAX, free_option);
  ig_mutex_lock(&flight->mu);
  own->next = flight->sessions;
  own->link = &flight->sessions;
  if (own->next) own->next->link = &own->next;
  flight->sessions = own;
  ig_mutex_unlock(&flight->mu);
  return own;
}

void ig_flight_session_mark(ig_session *session) {
  struct ig_flight_session *own = ig_session_ctx(session);
  __atomic_store_n(&own->marked, true, __ATOMIC_RELAXED);
}

static void leave_session(struct ig_flight_call *call) {
  struct ig_flight_session *own = ig_session_ctx(call->session);
  ig_mutex_lock(&own->mu);
  *call->link = call->next;
  if (call->next) call->next->link = call->link;
  ig_mutex_unlock(&own->mu);
  (void)__atomic_sub_fetch(&own->calls, 1, __ATOMIC_RELAXED);
  call->session = ig_session_unref(call->session);
}

void ig_flight_enter_session(struct ig_flight_call *call, ig_session *session) {
  if (session && call->session == session) {
    (void)ig_session_unref(session);
    return;
  }
  if (call->session) leave_session(call);
  call->session = session;
  if (!session) return;
  struct ig_flight_session *own = ig_session_ctx(session);
  (void)__atomic_add_fetch(&own->calls, 1, __ATOMIC_RELAXED);
  __atomic_store_n(&own->used_us, ig_now_us(), __ATOMIC_RELAXED);
  IG_LOCK_SCOPE(&own->mu);
  call->next = own->running;
  if (call->next) call->next->link = &call->next;
  call->link = &own->running;
  own->running = call;
}

/* ---- connections that use it --------------------------------------------------------
 */

static uint64_t connection_of(const struct ig_flight_call *call) {
  return ig_rpc_call_peer(call->rpc)->connection;
}

/* Count the call's connection as one that uses its session. */
static void attach(const struct ig_flight_call *call) {
  struct ig_flight_session *own = ig_session_ctx(call->session);
  uint64_t connection = connection_of(call);
  IG_LOCK_SCOPE(&own->mu);
  for (size_t i = 0; i < own->connections_count; i++)
    if (own->connections[i] == connection) return;
  if (own->connections_count == IG_ARRAY_LEN(own->connections))
    own->has_many_connections = true;
  else
    own->connections[own->connections_count++] = connection;
}

/* Cancel what the call's connection runs, and count it no more. Returns true where no
 * other is left. */
static bool detach(const struct ig_flight_call *call) {
  struct ig_flight_session *own = ig_session_ctx(call->session);
  uint64_t connection = connection_of(call);
  IG_LOCK_SCOPE(&own->mu);
  for (struct ig_flight_call *each = own->running; each; each = each->next)
    if (each != call && connection_of(each) == connection) ig_cancel_set(each->cancel);
  for (size_t i = 0; i < own->connections_count; i++) {
    if (own->connections[i] != connection) continue;
    own->connections[i] = own->connections[--own->connections_count];
    break;
  }
  return own->connections_count == 0 && !own->has_many_connections;
}

/* ---- making room ------------------------------------------------------------------- */

static bool has_handles(const struct ig_flight_session *own) {
  size_t count = 0;
  for (size_t i = 0; i < IG_ARRAY_LEN(own->handles); i++)
    count += __atomic_load_n(&own->handles[i], __ATOMIC_RELAXED);
  return count > 0;
}

/* The key of the session that was unused for longest and has nothing but its name, so
 * that its client would not notice a new one; false: there is none. */
static bool choose_session(ig_flight *flight, char key[80], int64_t *ret_user_id) {
  int64_t oldest_us = ig_now_us() - ROOM_IDLE_US;
  bool found = false;
  IG_LOCK_SCOPE(&flight->mu);
  for (const struct ig_flight_session *own = flight->sessions; own; own = own->next) {
    int64_t used_us = __atomic_load_n(&own->used_us, __ATOMIC_RELAXED);
    if (used_us >= oldest_us || has_handles(own)) continue;
    if (__atomic_load_n(&own->calls, __ATOMIC_RELAXED) > 0) continue;
    if (__atomic_load_n(&own->marked, __ATOMIC_RELAXED)) continue;
    oldest_us = used_us;
    memcpy(key, own->key, sizeof own->key);
    *ret_user_id = own->user_id;
    found = true;
  }
  return found;
}

static bool make_room(ig_flight *flight) {
  char key[80];
  int64_t user_id;
  if (!choose_session(flight, key, &user_id)) return false;
  ig_registry *registry = ig_instance_registry(flight->parts.instance);
  IG_AUTO(ig_session) *session =
      ig_registry_find(registry, ig_str_from_cstr(key), user_id);
  if (session) ig_session_end(session);
  return session != NULL;
}

/* ---- making one -------------------------------------------------------------------- */

/* Whom the client's certificate names, or NULL: shown, and nothing more. */
static const char *certificate_of(const struct ig_rpc_peer *peer) {
  bool has_subject = peer->subject && peer->subject[0];
  return has_subject || peer->names_len == 0 ? peer->subject : peer->names[0];
}

static void log_certificate(const struct ig_session_who *who, const ig_session *session) {
  if (who->certificate)
    ig_log(IG_LOG_INFO, "session.certificate",
           IG_LOG_I64("session", ig_session_id(session)),
           IG_LOG_STR("user", who->identity.name), IG_LOG_STR("peer", who->peer),
           IG_LOG_STR("certificate", who->certificate));
}

static igloo_status connect(struct ig_flight_call *call, struct igloo_error *reterr) {
  ig_flight *flight = call->flight;
  struct ig_flight_session *own = new_own(call);
  if (!own) return ig_fail_oom(reterr);
  struct ig_session_who who = {
      .identity = call->who,
      .peer = ig_rpc_call_peer(call->rpc)->address,
      .certificate = certificate_of(ig_rpc_call_peer(call->rpc)),
      .key = ig_str_from_cstr(call->key),
      .token = call->has_token ? &call->token : NULL,
      .ends_idle = true,
      .ended = session_ended,
      .freed = session_freed,
      .ctx = own,
  };
  ig_session *session;
  igloo_status status =
      ig_instance_connect(flight->parts.instance, &who, &session, reterr);
  if (status != IGLOO_OK) {
    session_freed(own);
    return status;
  }
  ig_flight_enter_session(call, session);
  attach(call);
  log_certificate(&who, session);
  /* Until it ends. Where it has, already, the call finds that out. */
  IG_LOCK_SCOPE(&flight->mu);
  if (own->link) own->session = ig_session_ref(session);
  return IGLOO_OK;
}

static bool find(struct ig_flight_call *call) {
  if (!call->key[0]) return false;
  ig_registry *registry = ig_instance_registry(call->flight->parts.instance);
  ig_session *session =
      ig_registry_find(registry, ig_str_from_cstr(call->key), call->who.user_id);
  if (!session) return false;
  ig_flight_enter_session(call, session);
  attach(call);
  return true;
}

/* Another call of the client may make it at the same time: one of them does. */
static igloo_status find_or_connect(struct ig_flight_call *call,
                                    struct igloo_error *reterr) {
  for (int tries = 0;; tries++) {
    if (find(call)) return IGLOO_OK;
    struct igloo_error error;
    igloo_status status = connect(call, &error);
    if (status == IGLOO_OK) return IGLOO_OK;
    bool again = status == IGLOO_ALREADY_EXISTS ||
                 (status == IGLOO_RESOURCE_EXHAUSTED && make_room(call->flight));
    if (again && tries < 16) continue;
    if (reterr) *reterr = error;
    return status;
  }
}

/* ---- connections ------------------------------------------------------------------- */

/* The key of the connection's session; a new one where there is none (any more). */
static igloo_status key_of_connection(struct ig_flight_call *call, bool make,
                                      struct igloo_error *reterr) {
  ig_flight *flight = call->flight;
  char name_text[64];
  struct ig_str name = connection_name(call, name_text);
  IG_LOCK_SCOPE(&flight->mu);
  const char *key = ig_map_get(&flight->connections, name);
  if (key) {
    memcpy(call->key, key, strlen(key) + 1);
    return IGLOO_OK;
  }
  if (!make) return IGLOO_OK;
  unsigned char bytes[16];
  randombytes_buf(bytes, sizeof bytes);
  call->key[0] = 'c';
  (void)sodium_bin2hex(call->key + 1, sizeof call->key - 1, bytes, sizeof bytes);
  char *copy = ig_strdup(call->key);
  if (!copy) return ig_fail_oom(reterr);
  return ig_map_put(&flight->connections, name, copy, reterr);
}

static igloo_status set_cookie(struct ig_flight_call *call, struct igloo_error *reterr) {
  char cookie[160];
  int len = snprintf(cookie, sizeof cookie, "arrow_flight_session_id=%s; HttpOnly",
                     call->key + 1);
  return ig_rpc_call_add_header(call->rpc, "set-cookie",
                                (struct ig_str){cookie, (size_t)len}, reterr);
}

/* ---- entry ----------------------------------------------------------------------- */

/* By what does not depend on us: it finds no other session, and makes one by its name. */
static bool is_named(const struct ig_flight_call *call) {
  return call->key[0] == 't' || call->key[0] == 'i';
}

igloo_status ig_flight_find_session(struct ig_flight_call *call, bool *ret_found,
                                    struct igloo_error *reterr) {
  *ret_found = call->session || find(call);
  if (*ret_found || is_named(call)) return IGLOO_OK;
  IG_TRY(key_of_connection(call, false, reterr));
  *ret_found = find(call);
  return IGLOO_OK;
}

igloo_status ig_flight_join_session(struct ig_flight_call *call,
                                    struct igloo_error *reterr) {
  bool found;
  IG_TRY(ig_flight_find_session(call, &found, reterr));
  if (found) return IGLOO_OK;
  if (is_named(call)) return find_or_connect(call, reterr);
  call->key[0] = '\0'; /* a cookie of a session that has ended is no key for a new one */
  IG_TRY(key_of_connection(call, true, reterr));
  if (!find(call)) {
    IG_TRY(find_or_connect(call, reterr));
    IG_TRY(set_cookie(call, reterr));
  }
  return IGLOO_OK;
}

igloo_status ig_flight_check_session(struct ig_flight_call *call,
                                     struct igloo_error *reterr) {
  if (!call->expects_session || find(call)) return IGLOO_OK;
  IG_TRY(ig_rpc_call_add_header(call->rpc, IG_SESSION_HEADER, IG_STR(IG_SESSION_LOST),
                                reterr));
  (void)ig_fail_state(reterr, IGLOO_UNAVAILABLE, "08006", "the session was lost");
  ig_error_detail(reterr,
                  "It was ended, or the server was started anew: its settings and its "
                  "prepared statements are gone.");
  ig_error_hint(reterr, "The next statement runs in a new session.");
  return IGLOO_UNAVAILABLE;
}

igloo_status ig_flight_tell_session(struct ig_flight_call *call,
                                    struct igloo_error *reterr) {
  if (call->key[0] != 'i' || call->expects_session || !call->session) return IGLOO_OK;
  struct ig_flight_session *own = ig_session_ctx(call->session);
  if (!__atomic_load_n(&own->marked, __ATOMIC_RELAXED)) return IGLOO_OK;
  call->expects_session = true; /* once is enough */
  return ig_rpc_call_add_header(call->rpc, IG_SESSION_HEADER, IG_STR(IG_SESSION_KEPT),
                                reterr);
}

igloo_status ig_flight_close_session(struct ig_flight_call *call,
                                     struct igloo_error *reterr) {
  bool found;
  IG_TRY(ig_flight_find_session(call, &found, reterr));
  if (found && !detach(call) && call->key[0] == 't') {
    ig_handles_drop(&call->flight->handles, call->session, connection_of(call));
    return IGLOO_OK;
  }
  if (found) {
    ig_session_end(call->session);
    ig_handles_sweep(&call->flight->handles);
  }
  char name[64];
  ig_mutex_lock(&call->flight->mu);
  (void)ig_map_remove(&call->flight->connections, connection_name(call, name));
  ig_mutex_unlock(&call->flight->mu);
  if (is_named(call)) return IGLOO_OK;
  return ig_rpc_call_add_header(call->rpc, "set-cookie",
                                IG_STR("arrow_flight_session_id=; Max-Age=0"), reterr);
}
