/* pool.c -- see pool.h. */
#include "connector/pool.h"

#include <time.h>

#include "base/clock.h"
#include "base/limits.h"

/* A place in the line; on the stack of who waits. */
struct waiter {
  uint32_t count;
  bool granted;
  struct waiter *next;
};

/* Writers and readers each have a line; both compete for the same places. */
struct line {
  struct waiter *first, **last;
};

struct ig_links {
  atomic_uint refs;
  struct ig_target *target;
  struct ig_link_group *group;
  uint32_t places;
  uint32_t writers_max; /* of them at once; readers of one execution: the rest */

  pthread_mutex_t mu;     /* a leaf lock */
  pthread_cond_t changed; /* somebody was granted places */
  uint32_t used;          /* places; guarded by mu, as all below */
  uint32_t writers;       /* of them */
  uint32_t waiting;
  struct line lines[2]; /* by enum ig_place */
  ig_link **idle;       /* room for `places` */
  uint32_t idle_count;
  uint32_t links; /* idle and taken */
  uint32_t lent;  /* places on which other processes have a connection */
  bool closed;

  bool broken;
  int64_t probed_us;      /* the last attempt began, while broken */
  struct igloo_error why; /* what it said */
  uint64_t failures, refused;
};

igloo_status ig_links_new(struct ig_target *target, uint32_t places, ig_links **ret_pool,
                          struct igloo_error *reterr) {
  IG_ASSERT(places >= 1);
  ig_links *pool = ig_calloc(1, sizeof(*pool));
  struct ig_link_group *group = ig_link_group_new();
  ig_link **idle = ig_calloc(places, sizeof(ig_link *));
  if (!pool || !group || !idle) {
    ig_free(pool);
    ig_link_group_unref(group);
    ig_free(idle);
    return ig_fail_oom(reterr);
  }
  atomic_init(&pool->refs, 1);
  ig_mutex_init(&pool->mu);
  ig_cond_init(&pool->changed);
  pool->target = ig_target_ref(target);
  pool->group = group;
  pool->idle = idle;
  pool->places = places;
  pool->writers_max = places < 8 ? 1 : places / 4;
  for (size_t i = 0; i < IG_ARRAY_LEN(pool->lines); i++)
    pool->lines[i].last = &pool->lines[i].first;
  *ret_pool = pool;
  return IGLOO_OK;
}

ig_links *ig_links_ref(ig_links *pool) {
  atomic_fetch_add(&pool->refs, 1);
  return pool;
}

ig_links *ig_links_unref(ig_links *pool) {
  if (!pool || atomic_fetch_sub(&pool->refs, 1) != 1) return NULL;
  IG_ASSERT(pool->idle_count == 0);
  ig_target_unref(pool->target);
  ig_link_group_unref(pool->group);
  ig_free(pool->idle);
  ig_cond_done(&pool->changed);
  ig_mutex_done(&pool->mu);
  ig_free(pool);
  return NULL;
}

/* Close all idle links. The lock is left meanwhile: closing takes that of the link. */
static void end_idle(ig_links *pool) {
  for (;;) {
    ig_mutex_lock(&pool->mu);
    ig_link *link = pool->idle_count ? pool->idle[--pool->idle_count] : NULL;
    if (link) pool->links--;
    ig_mutex_unlock(&pool->mu);
    if (!link) return;
    ig_link_close(link);
    ig_links_unref(pool); /* each idle link holds it */
  }
}

void ig_links_close(ig_links *pool) {
  ig_mutex_lock(&pool->mu);
  pool->closed = true;
  ig_mutex_unlock(&pool->mu);
  ig_links_ref(pool);
  end_idle(pool);
  ig_links_unref(pool);
}

void ig_links_drain(ig_links *pool, int64_t deadline_us) {
  ig_link_group_drain(pool->group, deadline_us);
}

/* ---- places ----------------------------------------------------------------------- */

uint32_t ig_links_readers_max(const ig_links *pool) {
  return pool->places == 1 ? 1 : pool->places - pool->writers_max;
}

static bool grant_first_locked(ig_links *pool, enum ig_place place) {
  struct line *line = &pool->lines[place];
  struct waiter *first = line->first;
  if (!first || pool->used + first->count > pool->places) return false;
  if (place == IG_PLACE_WRITE && pool->writers == pool->writers_max) return false;
  pool->used += first->count;
  if (place == IG_PLACE_WRITE) pool->writers++;
  first->granted = true;
  line->first = first->next;
  if (!line->first) line->last = &line->first;
  return true;
}

/* Writers first: their reads wait for nothing that they hold up. */
static void grant_locked(ig_links *pool) {
  bool any = false;
  while (grant_first_locked(pool, IG_PLACE_WRITE)) any = true;
  while (grant_first_locked(pool, IG_PLACE_READ)) any = true;
  if (any) ig_cond_broadcast(&pool->changed);
}

static void leave_locked(ig_links *pool, enum ig_place place, struct waiter *self) {
  struct line *line = &pool->lines[place];
  for (struct waiter **at = &line->first; *at; at = &(*at)->next) {
    if (*at != self) continue;
    *at = self->next;
    if (!self->next) line->last = at;
    break;
  }
  grant_locked(pool); /* whoever stood behind may fit */
}

igloo_status ig_links_reserve(ig_links *pool, enum ig_place place, uint32_t count,
                              const struct ig_waits *waits, struct igloo_error *reterr) {
  IG_ASSERT(count >= 1 && count <= pool->places);
  int64_t until = ig_deadline_in(IG_CONNECTOR_WAIT_US);
  if (waits->deadline_us < until) until = waits->deadline_us;
  struct waiter self = {.count = count};
  IG_LOCK_SCOPE(&pool->mu);
  *pool->lines[place].last = &self;
  pool->lines[place].last = &self.next;
  grant_locked(pool);
  pool->waiting++;
  igloo_status status = IGLOO_OK;
  while (!self.granted && status == IGLOO_OK) {
    int64_t now = ig_now_us(), wake = now + IG_CONNECTOR_POLL_US;
    status = ig_waits_check(waits, reterr);
    if (status == IGLOO_OK && now >= until) {
      status = ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53300",
                             "could not get a connection to source \"%s\": all %u stayed "
                             "in use",
                             pool->target->source, pool->places);
      ig_error_hint(reterr, "Raise federation.max_connections, or run less at once.");
      if (reterr) reterr->retryable = 1;
    }
    if (status == IGLOO_OK)
      (void)ig_cond_wait_until(&pool->changed, &pool->mu, wake < until ? wake : until);
  }
  pool->waiting--;
  if (self.granted) return IGLOO_OK; /* in the very instant of giving up, perhaps */
  leave_locked(pool, place, &self);
  return status;
}

void ig_links_unreserve(ig_links *pool, enum ig_place place, uint32_t count) {
  IG_LOCK_SCOPE(&pool->mu);
  IG_ASSERT(pool->used >= count);
  pool->used -= count;
  if (place == IG_PLACE_WRITE) pool->writers -= count;
  grant_locked(pool);
}

/* ---- connections ------------------------------------------------------------------ */

/* Whether this caller may try to connect now. */
static igloo_status pass_breaker(ig_links *pool, struct igloo_error *reterr) {
  uint32_t abandoned = ig_link_group_abandoned(pool->group);
  IG_LOCK_SCOPE(&pool->mu);
  if (abandoned >= IG_CONNECTOR_ABANDONED_MAX) {
    pool->refused++;
    return ig_fail_state(reterr, IGLOO_UNAVAILABLE, "08001",
                         "could not connect to source \"%s\": %u calls did not come back",
                         pool->target->source, abandoned);
  }
  int64_t now = ig_now_us();
  if (!pool->broken || now >= pool->probed_us + IG_CONNECTOR_PROBE_US) {
    pool->probed_us = now;
    return IGLOO_OK;
  }
  pool->refused++;
  if (reterr) *reterr = pool->why;
  return pool->why.status;
}

static void note_attempt(ig_links *pool, igloo_status status,
                         const struct igloo_error *error) {
  IG_LOCK_SCOPE(&pool->mu);
  if (status == IGLOO_OK) {
    pool->broken = false;
    return;
  }
  pool->failures++;
  /* Wrong passwords and cancelled statements say nothing of the source. */
  if (status != IGLOO_UNAVAILABLE) return;
  if (!pool->broken) pool->probed_us = ig_now_us();
  pool->broken = true;
  pool->why = *error;
}

igloo_status ig_links_take(ig_links *pool, const struct ig_waits *waits,
                           ig_link **ret_link, struct igloo_error *reterr) {
  ig_mutex_lock(&pool->mu);
  ig_link *link = pool->idle_count ? pool->idle[--pool->idle_count] : NULL;
  ig_mutex_unlock(&pool->mu);
  if (link) {
    *ret_link = link; /* its reference to the pool is the taker's now */
    return IGLOO_OK;
  }
  IG_TRY(pass_breaker(pool, reterr));
  struct igloo_error error = {0};
  igloo_status status = ig_link_open(pool->target, pool->group, waits, &link, &error);
  note_attempt(pool, status, &error);
  if (status != IGLOO_OK) {
    if (reterr) *reterr = error;
    return status;
  }
  ig_mutex_lock(&pool->mu);
  pool->links++;
  ig_mutex_unlock(&pool->mu);
  ig_links_ref(pool);
  *ret_link = link;
  return IGLOO_OK;
}

/* An idle link for which there is no place any more, with its reference to the pool. */
static ig_link *take_surplus(ig_links *pool) {
  IG_LOCK_SCOPE(&pool->mu);
  if (pool->idle_count == 0 || pool->links + pool->lent <= pool->places) return NULL;
  pool->links--;
  return pool->idle[--pool->idle_count];
}

static bool is_over(ig_links *pool) {
  uint32_t threads = ig_link_group_threads(pool->group);
  IG_LOCK_SCOPE(&pool->mu);
  return threads + pool->lent > pool->places;
}

igloo_status ig_links_lend(ig_links *pool, const struct ig_waits *waits,
                           struct igloo_error *reterr) {
  ig_mutex_lock(&pool->mu);
  pool->lent++;
  ig_mutex_unlock(&pool->mu);
  for (ig_link *link; (link = take_surplus(pool));) {
    ig_link_close(link);
    ig_links_unref(pool);
  }
  igloo_status status = IGLOO_OK;
  while (status == IGLOO_OK && is_over(pool)) {
    status = ig_waits_check(waits, reterr);
    struct timespec pause = {.tv_nsec = 1000000};
    if (status == IGLOO_OK) (void)nanosleep(&pause, NULL);
  }
  if (status != IGLOO_OK) ig_links_take_back(pool);
  return status;
}

void ig_links_take_back(ig_links *pool) {
  IG_LOCK_SCOPE(&pool->mu);
  IG_ASSERT(pool->lent > 0);
  pool->lent--;
}

void ig_links_on_gone(ig_links *pool, void (*gone)(void *ctx), void *ctx) {
  pool->target->gone = gone;
  pool->target->gone_ctx = ctx;
}

/* On the link's thread. Where it is no longer idle somebody took it in time. */
static void expire(void *ctx, ig_link *link) {
  ig_links *pool = ctx;
  bool found = false;
  ig_mutex_lock(&pool->mu);
  for (uint32_t i = 0; i < pool->idle_count; i++) {
    if (pool->idle[i] != link) continue;
    memmove(&pool->idle[i], &pool->idle[i + 1],
            (pool->idle_count - i - 1) * sizeof(ig_link *));
    pool->idle_count--;
    pool->links--;
    found = true;
    break;
  }
  ig_mutex_unlock(&pool->mu);
  if (!found) return;
  ig_link_close(link);
  ig_links_unref(pool);
}

void ig_links_give(ig_links *pool, ig_link *link, igloo_status status) {
  if (!link) return;
  /* Before it is in the list: from then on it is anybody's. */
  if (status == IGLOO_OK) ig_link_park(link, expire, pool);
  ig_mutex_lock(&pool->mu);
  if (status != IGLOO_OK) pool->failures++;
  bool keep = status == IGLOO_OK && !pool->closed && pool->idle_count < pool->places;
  if (keep)
    pool->idle[pool->idle_count++] = link;
  else
    pool->links--;
  ig_mutex_unlock(&pool->mu);
  if (keep) return; /* with the taker's reference to the pool */
  if (status == IGLOO_UNAVAILABLE) end_idle(pool);
  ig_link_close(link);
  ig_links_unref(pool);
}

igloo_status ig_links_call(ig_links *pool, struct ig_call *call,
                           const struct ig_waits *waits, struct igloo_error *reterr) {
  IG_TRY(ig_links_reserve(pool, IG_PLACE_READ, 1, waits, reterr));
  igloo_status status = IGLOO_OK;
  for (bool again = true; again;) {
    ig_link *link = NULL;
    again = false;
    status = ig_links_take(pool, waits, &link, reterr);
    if (status != IGLOO_OK) break;
    bool fresh = ig_link_is_fresh(link);
    status = ig_link_call(link, call, waits, reterr);
    again = status == IGLOO_UNAVAILABLE && !fresh;
    ig_links_give(pool, link, status); /* the other idle ones go with it */
  }
  ig_links_unreserve(pool, IG_PLACE_READ, 1);
  return status;
}

void ig_links_stats(ig_links *pool, struct ig_source_stats *ret_stats) {
  IG_LOCK_SCOPE(&pool->mu);
  ret_stats->connections = pool->links + pool->lent;
  ret_stats->busy = pool->links + pool->lent - pool->idle_count;
  ret_stats->waiting = pool->waiting;
  ret_stats->failures = pool->failures;
  ret_stats->refused = pool->refused;
  ret_stats->broken = pool->broken;
}
