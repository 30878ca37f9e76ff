/* lookup.c -- see lookup.h. */
#include "rpc/lookup.h"

#include <sys/socket.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"

#define SLICE_US (50 * IG_US_PER_MS) /* between two looks at the token */

struct lookup {
  char *host; /* fixed */
  char port[8];
  pthread_mutex_t mu; /* a leaf lock */
  pthread_cond_t ended;
  int refs;              /* guarded by mu: the caller's, the thread's */
  bool done;             /* guarded by mu; what follows is set before */
  int failed;            /* of getaddrinfo */
  struct addrinfo *list; /* owned, until the caller takes it */
};

static uint32_t lookups_now; /* atomic, relaxed: threads that look up */

static void unref(struct lookup **place) {
  struct lookup *lookup = *place;
  if (!lookup) return;
  ig_mutex_lock(&lookup->mu);
  bool is_last = --lookup->refs == 0;
  ig_mutex_unlock(&lookup->mu);
  if (!is_last) return;
  if (lookup->list) freeaddrinfo(lookup->list);
  ig_cond_done(&lookup->ended);
  ig_mutex_done(&lookup->mu);
  ig_free(lookup->host);
  ig_free(lookup);
}

static int ask(const struct lookup *lookup, int flags, struct addrinfo **ret_list) {
  const struct addrinfo hints = {.ai_flags = AI_NUMERICSERV | flags,
                                 .ai_socktype = SOCK_STREAM};
  return getaddrinfo(lookup->host, lookup->port, &hints, ret_list);
}

static void *run(void *ctx) {
  struct lookup *lookup = ctx;
  struct addrinfo *list = NULL;
  int failed = ask(lookup, 0, &list);
  ig_mutex_lock(&lookup->mu);
  lookup->failed = failed;
  lookup->list = failed == 0 ? list : NULL;
  lookup->done = true;
  ig_cond_broadcast(&lookup->ended);
  ig_mutex_unlock(&lookup->mu);
  unref(&lookup);
  (void)__atomic_sub_fetch(&lookups_now, 1, __ATOMIC_RELAXED);
  return NULL;
}

static igloo_status start(struct lookup *lookup, struct igloo_error *reterr) {
  if (__atomic_add_fetch(&lookups_now, 1, __ATOMIC_RELAXED) > IG_RPC_LOOKUPS_MAX) {
    (void)__atomic_sub_fetch(&lookups_now, 1, __ATOMIC_RELAXED);
    return ig_fail(reterr, IGLOO_RESOURCE_EXHAUSTED,
                   "too many names are being looked up: at most %d at a time",
                   IG_RPC_LOOKUPS_MAX);
  }
  pthread_t thread;
  lookup->refs = 2;
  igloo_status status = ig_thread_start("ig-lookup", 0, run, lookup, &thread, reterr);
  if (status == IGLOO_OK) {
    (void)pthread_detach(thread);
    return IGLOO_OK;
  }
  lookup->refs = 1;
  (void)__atomic_sub_fetch(&lookups_now, 1, __ATOMIC_RELAXED);
  return status;
}

static igloo_status wait_for_end(struct lookup *lookup, const char *where,
                                 int64_t deadline_us, const ig_cancel *cancel,
                                 struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&lookup->mu);
  while (!lookup->done) {
    IG_TRY(ig_cancel_check(cancel, reterr));
    if (ig_deadline_left_us(deadline_us) == 0)
      return ig_fail(reterr, IGLOO_DEADLINE_EXCEEDED,
                     "could not connect to %s in time: its name is still looked up",
                     where);
    int64_t until_us = ig_deadline_in(SLICE_US);
    if (until_us > deadline_us) until_us = deadline_us;
    (void)ig_cond_wait_until(&lookup->ended, &lookup->mu, until_us);
  }
  return IGLOO_OK;
}

/* Takes what came of it. */
static igloo_status end(struct lookup *lookup, const char *where,
                        struct addrinfo **ret_list, struct igloo_error *reterr) {
  if (lookup->failed != 0)
    return ig_fail_state(reterr, IGLOO_UNAVAILABLE, "08001",
                         "could not connect to %s: %s", where,
                         gai_strerror(lookup->failed));
  *ret_list = IG_TAKE(lookup->list);
  return IGLOO_OK;
}

igloo_status ig_rpc_lookup(const char *host, uint16_t port, const char *where,
                           int64_t deadline_us, const ig_cancel *cancel,
                           struct addrinfo **ret_list, struct igloo_error *reterr) {
  __attribute__((cleanup(unref))) struct lookup *lookup = ig_calloc(1, sizeof(*lookup));
  if (!lookup) return ig_fail_oom(reterr);
  lookup->refs = 1;
  ig_mutex_init(&lookup->mu);
  ig_cond_init(&lookup->ended);
  (void)snprintf(lookup->port, sizeof lookup->port, "%u", port);
  lookup->host = ig_strdup(host);
  if (!lookup->host) return ig_fail_oom(reterr);
  lookup->failed = ask(lookup, AI_NUMERICHOST, &lookup->list);
  if (lookup->failed != EAI_NONAME) return end(lookup, where, ret_list, reterr);
  IG_TRY(start(lookup, reterr));
  IG_TRY(wait_for_end(lookup, where, deadline_us, cancel, reterr));
  return end(lookup, where, ret_list, reterr);
}
