/*
 * plan_private.h -- the insides of plans, for query.c.
 *
 * Owns: as plan.h says. Threads: as plan.h says. Blocks: never.
 */
#ifndef IG_ENGINE_PLAN_PRIVATE_H
#define IG_ENGINE_PLAN_PRIVATE_H

#include "engine/bridge.h"
#include "engine/lookup.h"
#include "engine/plan.h"

struct ig_plan_context {
  int32_t refs;
  ig_engine *engine;
  igb_session *session; /* owned */
  ig_sources *sources;  /* or NULL */
  struct ig_remote_settings remote;
};

struct ig_plan {
  int32_t refs;
  ig_plan_context *context;
  igb_plan *bridge;  /* owned; NULL: `of` has it */
  ig_lookup *lookup; /* owned; NULL: it is none */
  /* With values for the parameters of another plan, which is a lookup: */
  ig_plan *of; /* shared; NULL: no such plan */
  struct ig_lookup_values *values;
  uint64_t number;
  struct {
    void *thing;               /* atomic: set once, with release, and read with acquire */
    void (*free)(void *thing); /* written by who set that */
  } kept[IG_PLAN_PLACES];
};

/* The plan for the bridge to run or explain: itself, or one in which the bridge has put
 * the values. Gives one reference. */
IG_NODISCARD igloo_status ig_plan_whole(ig_plan *plan, ig_plan **ret_plan,
                                        struct igloo_error *reterr);

/* One execution of a plan, for its tables of attached databases; NULL in *ret_run where
 * there can be none. Gives one reference. */
IG_NODISCARD igloo_status ig_plan_new_run(const ig_plan *plan, ig_cancel *cancel,
                                          ig_remote_run **ret_run,
                                          struct igloo_error *reterr);

#endif
