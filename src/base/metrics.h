/*
 * metrics.h -- numbers about this process, for whoever watches it.
 *
 * A metric is a static object, registered once by the module that counts. Names follow
 * Prometheus: igloo_ and a unit at the end, _total for counters. Several of one name
 * differ in their labels. console/ pulls them; nothing here knows how they are shown.
 *
 * Owns:    nothing; metrics are static and stay registered for as long as the process.
 * Threads: all functions are thread-safe and take no lock.
 * Blocks:  never.
 */
#ifndef IG_BASE_METRICS_H
#define IG_BASE_METRICS_H

#include "base/macros.h"

enum ig_metric_kind {
  IG_METRIC_COUNTER,   /* goes up */
  IG_METRIC_GAUGE,     /* goes up and down */
  IG_METRIC_HISTOGRAM, /* counts values by their size */
};

/* Bounds of a histogram: Prometheus' own has eleven. */
#define IG_METRIC_BOUNDS_MAX 16

struct ig_metric {
  const char *name;   /* igloo_logins_total */
  const char *help;   /* one sentence, the same for all of one name */
  const char *labels; /* `result="ok"`, several with commas, or NULL */
  enum ig_metric_kind kind;
  bool is_time;          /* values are microseconds and shown as seconds */
  const int64_t *bounds; /* of a histogram: rising, static */
  size_t bounds_count;

  /* The rest starts as zero and is set by the functions below, atomically. */
  int64_t value;                              /* of a histogram: the sum */
  uint64_t buckets[IG_METRIC_BOUNDS_MAX + 1]; /* each alone; the last has no bound */
  uint32_t registered;
  struct ig_metric *next;
};

#define IG_COUNTER(metric_name, metric_labels, metric_help)                  \
  {                                                                          \
    .name = (metric_name), .labels = (metric_labels), .help = (metric_help), \
    .kind = IG_METRIC_COUNTER                                                \
  }
#define IG_GAUGE(metric_name, metric_labels, metric_help)                    \
  {                                                                          \
    .name = (metric_name), .labels = (metric_labels), .help = (metric_help), \
    .kind = IG_METRIC_GAUGE                                                  \
  }
/* Of times, with bounds from 1 ms to 5 min. */
#define IG_TIMES(metric_name, metric_labels, metric_help)                          \
  {                                                                                \
    .name = (metric_name), .labels = (metric_labels), .help = (metric_help),       \
    .kind = IG_METRIC_HISTOGRAM, .is_time = true, .bounds = ig_metric_time_bounds, \
    .bounds_count = IG_METRIC_TIME_BOUNDS                                          \
  }
#define IG_METRIC_TIME_BOUNDS 12
extern const int64_t ig_metric_time_bounds[IG_METRIC_TIME_BOUNDS];

/* Make them known; again for the same ones does nothing. */
void ig_metrics_register(struct ig_metric *metrics, size_t count);

void ig_metric_add(struct ig_metric *metric, int64_t n);         /* counter, gauge */
void ig_metric_set(struct ig_metric *metric, int64_t value);     /* gauge */
void ig_metric_observe(struct ig_metric *metric, int64_t value); /* histogram */

/* The first registered metric, then `next`; newest first. */
const struct ig_metric *ig_metrics_first(void);
const struct ig_metric *ig_metrics_next(const struct ig_metric *metric);

/* What it holds now. The count of a histogram is the sum of its buckets. */
int64_t ig_metric_value(const struct ig_metric *metric);
uint64_t ig_metric_bucket(const struct ig_metric *metric, size_t index);

#endif
