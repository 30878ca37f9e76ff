/* handles.c -- tickets, prepared statements and transactions, by handles that nobody can
 * make up. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "flight/private.h"

static void free_listed(void *handle) {
  (void)ig_handle_unref(handle);
}

igloo_status ig_handles_init(struct ig_handles *handles, struct igloo_error *reterr) {
  ig_mutex_init(&handles->mu);
  ig_map_init(&handles->map, IG_FLIGHT_HANDLES_MAX, free_listed);
  return ig_ticket_key_init(&handles->key, reterr);
}

void ig_handles_done(struct ig_handles *handles) {
  ig_map_done(&handles->map);
  ig_ticket_key_done(&handles->key);
  ig_mutex_done(&handles->mu);
}

struct ig_handle *ig_handle_unref(struct ig_handle *handle) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!handle || __atomic_sub_fetch(&handle->refs, 1, __ATOMIC_ACQ_REL) > 0) return NULL;
  ig_session *session = handle->session;
  handle->free(handle);
  (void)ig_session_unref(session);
  return NULL;
}

static struct ig_str id_text(const struct ig_ticket_id *id) {
  return (struct ig_str){(const char *)id->bytes, sizeof id->bytes};
}

/* How many of its kind its session has. Changed under the lock, asked without. */
static size_t *count_of(const struct ig_handle *handle) {
  struct ig_flight_session *own = ig_session_ctx(handle->session);
  return &own->handles[handle->kind];
}

static struct ig_handle *steal_locked(struct ig_handles *handles,
                                      struct ig_ticket_id id) {
  struct ig_handle *handle = ig_map_steal(&handles->map, id_text(&id));
  if (handle) (void)__atomic_sub_fetch(count_of(handle), 1, __ATOMIC_RELAXED);
  return handle;
}

/* ---- taking out -------------------------------------------------------------------- */

/* Of those to be dropped, as many as there is room for, each with the list's reference.
 */
#define DROPPED_AT_ONCE ((size_t)256)
static size_t steal_some(struct ig_handles *handles, const ig_session *session,
                         uint64_t connection,
                         struct ig_handle *ret_dropped[DROPPED_AT_ONCE]) {
  int64_t now_us = ig_now_us();
  size_t at = 0, count = 0;
  void *value;
  IG_LOCK_SCOPE(&handles->mu);
  while (count < DROPPED_AT_ONCE && ig_map_next(&handles->map, &at, NULL, &value)) {
    struct ig_handle *handle = value;
    bool is_meant = handle->session == session && handle->connection == connection;
    if (is_meant && handle->cancel) ig_cancel_set(handle->cancel);
    if (handle->expires_us <= now_us || is_meant || ig_session_has_ended(handle->session))
      ret_dropped[count++] = handle;
  }
  for (size_t i = 0; i < count; i++) (void)steal_locked(handles, ret_dropped[i]->id);
  return count;
}

void ig_handles_drop(struct ig_handles *handles, const ig_session *session,
                     uint64_t connection) {
  struct ig_handle *dropped[DROPPED_AT_ONCE];
  size_t count;
  do {
    count = steal_some(handles, session, connection, dropped);
    for (size_t i = 0; i < count; i++)
      (void)ig_handle_unref(dropped[i]); /* without the lock: it frees plans */
  } while (count == DROPPED_AT_ONCE);
}

void ig_handles_sweep(struct ig_handles *handles) {
  ig_handles_drop(handles, NULL, 0);
}

bool ig_handles_remove(struct ig_handles *handles, const struct ig_handle *handle) {
  ig_mutex_lock(&handles->mu);
  struct ig_handle *listed = steal_locked(handles, handle->id);
  ig_mutex_unlock(&handles->mu);
  if (listed) (void)ig_handle_unref(listed);
  return listed != NULL;
}

/* ---- putting in -------------------------------------------------------------------- */

static igloo_status check_room(struct ig_handles *handles, const struct ig_handle *handle,
                               struct igloo_error *reterr) {
  static const char *const names[] = {"", "tickets", "prepared statements",
                                      "transactions", "polled statements"};
  IG_LOCK_SCOPE(&handles->mu);
  if (__atomic_load_n(count_of(handle), __ATOMIC_RELAXED) <
          IG_FLIGHT_HANDLES_PER_SESSION_MAX &&
      handles->map.count < IG_FLIGHT_HANDLES_MAX)
    return IGLOO_OK;
  (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53400",
                      "too many open %s: a session may have %d of them",
                      names[handle->kind], IG_FLIGHT_HANDLES_PER_SESSION_MAX);
  ig_error_hint(reterr, "Read results to their end, and close what is prepared.");
  return IGLOO_RESOURCE_EXHAUSTED;
}

igloo_status ig_handles_add(const struct ig_flight_call *call, struct ig_handle *handle,
                            uint8_t ret_ticket[IG_TICKET_BYTES],
                            struct igloo_error *reterr) {
  struct ig_handles *handles = &call->flight->handles;
  int64_t user_id = handle->user_id = call->who.user_id;
  handle->connection = ig_rpc_call_peer(call->rpc)->connection;
  igloo_status status = check_room(handles, handle, reterr);
  if (status != IGLOO_OK) {
    (void)ig_handle_unref(handle);
    return status;
  }
  ig_ticket_new(&handles->key, handle->kind, user_id, &handle->id, ret_ticket);
  (void)__atomic_add_fetch(&handle->refs, 1, __ATOMIC_RELAXED); /* freed unlocked */
  ig_mutex_lock(&handles->mu);
  status = ig_map_put(&handles->map, id_text(&handle->id), handle, reterr);
  if (status == IGLOO_OK) (void)__atomic_add_fetch(count_of(handle), 1, __ATOMIC_RELAXED);
  ig_mutex_unlock(&handles->mu);
  (void)ig_handle_unref(handle);
  return status;
}

void ig_handles_extend(struct ig_handles *handles, struct ig_handle *handle,
                       int64_t expires_us) {
  IG_LOCK_SCOPE(&handles->mu);
  handle->expires_us = expires_us;
}

/* ---- finding ----------------------------------------------------------------------- */

struct ig_handle *ig_handles_find(struct ig_handles *handles, enum ig_handle_kind kind,
                                  int64_t user_id, struct ig_str ticket) {
  struct ig_ticket_id id;
  if (!ig_ticket_open(&handles->key, kind, user_id, ticket, &id)) return NULL;
  IG_LOCK_SCOPE(&handles->mu);
  struct ig_handle *handle = ig_map_get(&handles->map, id_text(&id));
  if (!handle || handle->kind != kind || handle->expires_us <= ig_now_us() ||
      ig_session_has_ended(handle->session))
    return NULL;
  (void)__atomic_add_fetch(&handle->refs, 1, __ATOMIC_RELAXED);
  return handle;
}
