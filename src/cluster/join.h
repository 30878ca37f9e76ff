/*
 * join.h -- a worker's side of membership: join, heartbeats, join again.
 *
 * One thread. It joins the coordinator (mutual proof, identity.h), then sends a heartbeat
 * each cluster.heartbeat, whose answer brings the list of members. After ten heartbeats
 * without an answer, or where the coordinator does not know this worker any more, it is
 * cut off (every member is lost) and joins again, waiting longer between attempts, up to
 * IG_JOIN_BACKOFF_MAX_US, with jitter.
 *
 * Owns:    its thread and one channel; borrows registry and prover.
 * Threads: all functions are thread-safe, except new and free.
 * Blocks:  ig_joiner_wait; ig_joiner_leave and free, until the thread has ended.
 */
#ifndef IG_CLUSTER_JOIN_H
#define IG_CLUSTER_JOIN_H

#include "cluster/identity.h"

typedef struct ig_joiner ig_joiner;

struct ig_joiner_options {
  const char *coordinator; /* where it is: address.h */
  ig_tls *tls;             /* shared; NULL: plaintext */
  int64_t heartbeat_us;
  struct ig_member_info self; /* copied; its id is drawn for each join */
  /* What to tell with each heartbeat; must not block. */
  void (*figures)(void *ctx, struct ig_member_figures *ret_figures);
  void *ctx;
};

IG_NODISCARD igloo_status ig_joiner_new(const struct ig_joiner_options *options,
                                        ig_members *members, ig_prover *prover,
                                        ig_joiner **ret_joiner,
                                        struct igloo_error *reterr);
ig_joiner *ig_joiner_free(ig_joiner *joiner); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_joiner, ig_joiner_free)

/* Wait until it is a member. Returns IGLOO_OK; DEADLINE_EXCEEDED with the last failure in
 * the detail; the coordinator's refusal (token, build), after which nothing is tried any
 * more. */
IG_NODISCARD igloo_status ig_joiner_wait(ig_joiner *joiner, int64_t deadline_us,
                                         struct igloo_error *reterr);

/* Whether the coordinator has refused for good: *reterr says why. */
bool ig_joiner_is_refused(ig_joiner *joiner, struct igloo_error *reterr);

/* Whether the coordinator wishes that this worker drains. */
bool ig_joiner_shall_drain(ig_joiner *joiner);

/* Tell the coordinator at once that no more tasks are taken, and go on with heartbeats.
 */
void ig_joiner_drain(ig_joiner *joiner);

/* Whether it knows, or there is none. */
bool ig_joiner_drain_is_told(ig_joiner *joiner);

/* Say good-bye, at the latest until `deadline_us`, and end the thread. */
void ig_joiner_leave(ig_joiner *joiner, int64_t deadline_us);

#endif
