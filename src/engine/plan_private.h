/*
 * plan_private.h -- the insides of plans, for query.c.
 *
 * Owns: as plan.h says. Threads: as plan.h says. Blocks: never.
 */
#ifndef IG_ENGINE_PLAN_PRIVATE_H
#define IG_ENGINE_PLAN_PRIVATE_H

#include "engine/bridge.h"
#include "engine/plan.h"

struct ig_plan_context {
  int32_t refs;
  ig_engine *engine;
  igb_session *session; /* owned */
};

struct ig_plan {
  int32_t refs;
  ig_plan_context *context;
  igb_plan *bridge; /* owned */
};

#endif
