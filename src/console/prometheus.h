/*
 * prometheus.h -- metrics in Prometheus' text format, version 0.0.4.
 *
 * Owns: nothing. Threads: no state of its own. Blocks: never.
 */
#ifndef IG_CONSOLE_PROMETHEUS_H
#define IG_CONSOLE_PROMETHEUS_H

#include "base/buf.h"

#define IG_PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Append every registered metric, sorted by name and labels. Failures stick in `out`. */
void ig_prometheus_write(struct ig_buf *out);

#endif
