/*
 * heartbeat.h -- does the work still get done?
 *
 * A thread lets something small be done again and again, each time with a deadline. Where
 * nothing came back for IG_HEARTBEAT_STUCK_US, whatever does it is stuck.
 *
 * Owns:    its thread.
 * Threads: ig_heartbeat_is_stuck from any thread.
 * Blocks:  only ig_heartbeat_free, until the beat under way has ended.
 */
#ifndef IG_INSTANCE_HEARTBEAT_H
#define IG_INSTANCE_HEARTBEAT_H

#include "base/cancel.h"

/* Longer than any plan that the limits let in; shorter than a probe's patience. */
#define IG_HEARTBEAT_STUCK_US INT64_C(10000000)

typedef struct ig_heartbeat ig_heartbeat;

struct ig_heartbeat_config {
  /* One beat: returns by the token's deadline, or soon after it was set. It counts where
   * it returns OK or OUT_OF_MEMORY: who can tell that is not stuck. */
  igloo_status (*beat)(void *ctx, ig_cancel *cancel, struct igloo_error *reterr);
  void *ctx;
  int64_t every_us, stuck_us;
};

/* Start. Gives *ret_heartbeat (free: ig_heartbeat_free). */
IG_NODISCARD igloo_status ig_heartbeat_new(const struct ig_heartbeat_config *config,
                                           ig_heartbeat **ret_heartbeat,
                                           struct igloo_error *reterr);
ig_heartbeat *ig_heartbeat_free(ig_heartbeat *heartbeat); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_heartbeat, ig_heartbeat_free)

/* Never blocks. */
bool ig_heartbeat_is_stuck(const ig_heartbeat *heartbeat);

#endif
