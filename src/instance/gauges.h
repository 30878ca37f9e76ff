/*
 * gauges.h -- the metrics that are asked for when somebody looks.
 *
 * Owns: the metrics, static. Threads: thread-safe. Blocks: in reading /proc.
 */
#ifndef IG_INSTANCE_GAUGES_H
#define IG_INSTANCE_GAUGES_H

#include "connector/source.h"
#include "engine/engine.h"

struct ig_instance_numbers {
  uint64_t sessions, statements;
  uint32_t running, queued; /* places of limits.running, who waits for one */
  struct ig_engine_stats engine;
  uint64_t sources, sources_broken;
  struct ig_source_stats source; /* of all sources together */
  bool stuck;
};

/* Set the gauges to these and to what the system says of the process. */
void ig_instance_show_numbers(const struct ig_instance_numbers *numbers);

#endif
