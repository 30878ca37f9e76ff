/* heartbeat.c -- see heartbeat.h. */
#include "instance/heartbeat.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

struct ig_heartbeat {
  struct ig_heartbeat_config config; /* fixed at creation */
  int64_t last_us;                   /* atomic, relaxed: the last beat that counted */
  pthread_mutex_t mu;                /* a leaf lock */
  pthread_cond_t ends;
  bool over;         /* guarded by mu */
  ig_cancel *cancel; /* guarded by mu: of the beat under way; owned by the thread */
  pthread_t thread;
};

/* The token under way, where ig_heartbeat_free finds it; NULL: none. False: the end. */
static bool show_token(ig_heartbeat *heartbeat, ig_cancel *cancel) {
  IG_LOCK_SCOPE(&heartbeat->mu);
  heartbeat->cancel = cancel;
  return !heartbeat->over;
}

static igloo_status beat(ig_heartbeat *heartbeat, struct igloo_error *reterr) {
  const struct ig_heartbeat_config *config = &heartbeat->config;
  IG_AUTO(ig_cancel) *cancel = NULL;
  IG_TRY(ig_cancel_new(ig_deadline_in(config->stuck_us), &cancel, reterr));
  igloo_status status = IGLOO_OK;
  if (show_token(heartbeat, cancel)) status = config->beat(config->ctx, cancel, reterr);
  (void)show_token(heartbeat, NULL);
  return status;
}

static void beat_once(ig_heartbeat *heartbeat) {
  struct igloo_error error = {0};
  bool was_stuck = ig_heartbeat_is_stuck(heartbeat);
  igloo_status status = beat(heartbeat, &error);
  if (status == IGLOO_OK || status == IGLOO_OUT_OF_MEMORY)
    __atomic_store_n(&heartbeat->last_us, ig_now_us(), __ATOMIC_RELAXED);
  bool is_stuck = ig_heartbeat_is_stuck(heartbeat);
  if (is_stuck && !was_stuck)
    ig_log(IG_LOG_ERROR, "engine.stuck", IG_LOG_STR("error", error.message));
  if (was_stuck && !is_stuck) ig_log(IG_LOG_WARN, "engine.alive");
}

/* Wait for the next beat; false: the end. */
static bool wait_next(ig_heartbeat *heartbeat) {
  IG_LOCK_SCOPE(&heartbeat->mu);
  int64_t until_us = ig_deadline_in(heartbeat->config.every_us);
  while (!heartbeat->over && ig_now_us() < until_us)
    (void)ig_cond_wait_until(&heartbeat->ends, &heartbeat->mu, until_us);
  return !heartbeat->over;
}

static void *run(void *ctx) {
  ig_heartbeat *heartbeat = ctx;
  while (wait_next(heartbeat)) beat_once(heartbeat);
  return NULL;
}

igloo_status ig_heartbeat_new(const struct ig_heartbeat_config *config,
                              ig_heartbeat **ret_heartbeat, struct igloo_error *reterr) {
  ig_heartbeat *heartbeat = ig_calloc(1, sizeof(*heartbeat));
  if (!heartbeat) return ig_fail_oom(reterr);
  heartbeat->config = *config;
  heartbeat->last_us = ig_now_us();
  ig_mutex_init(&heartbeat->mu);
  ig_cond_init(&heartbeat->ends);
  igloo_status status =
      ig_thread_start("ig-heartbeat", 0, run, heartbeat, &heartbeat->thread, reterr);
  if (status != IGLOO_OK) {
    ig_cond_done(&heartbeat->ends);
    ig_mutex_done(&heartbeat->mu);
    ig_free(heartbeat);
    return status;
  }
  *ret_heartbeat = heartbeat;
  return IGLOO_OK;
}

ig_heartbeat *ig_heartbeat_free(ig_heartbeat *heartbeat) {
  if (!heartbeat) return NULL;
  ig_mutex_lock(&heartbeat->mu);
  heartbeat->over = true;
  if (heartbeat->cancel) ig_cancel_set(heartbeat->cancel);
  ig_cond_broadcast(&heartbeat->ends);
  ig_mutex_unlock(&heartbeat->mu);
  (void)ig_thread_join(heartbeat->thread);
  ig_cond_done(&heartbeat->ends);
  ig_mutex_done(&heartbeat->mu);
  ig_free(heartbeat);
  return NULL;
}

bool ig_heartbeat_is_stuck(const ig_heartbeat *heartbeat) {
  int64_t last_us = __atomic_load_n(&heartbeat->last_us, __ATOMIC_RELAXED);
  int64_t late_us = heartbeat->config.every_us + heartbeat->config.stuck_us;
  return ig_now_us() - last_us > late_us;
}
