/* metrics.c -- see metrics.h. A list that only grows, relaxed atomics. */
#include "base/metrics.h"

#include "base/clock.h"
#include "base/mem.h"

const int64_t ig_metric_time_bounds[IG_METRIC_TIME_BOUNDS] = {
    1 * IG_US_PER_MS,   5 * IG_US_PER_MS,   10 * IG_US_PER_MS, 50 * IG_US_PER_MS,
    100 * IG_US_PER_MS, 500 * IG_US_PER_MS, 1 * IG_US_PER_S,   5 * IG_US_PER_S,
    10 * IG_US_PER_S,   30 * IG_US_PER_S,   60 * IG_US_PER_S,  300 * IG_US_PER_S,
};

static struct ig_metric *first; /* atomic; release pairs with acquire in readers */

static void register_one(struct ig_metric *metric) {
  IG_ASSERT(metric->bounds_count <= IG_METRIC_BOUNDS_MAX);
  if (__atomic_exchange_n(&metric->registered, 1, __ATOMIC_RELAXED)) return;
  struct ig_metric *head = __atomic_load_n(&first, __ATOMIC_RELAXED);
  do {
    metric->next = head;
  } while (!__atomic_compare_exchange_n(&first, &head, metric, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
}

void ig_metrics_register(struct ig_metric *metrics, size_t count) {
  for (size_t i = 0; i < count; i++) register_one(&metrics[i]);
}

void ig_metric_add(struct ig_metric *metric, int64_t n) {
  IG_ASSERT(metric->kind != IG_METRIC_HISTOGRAM);
  (void)__atomic_add_fetch(&metric->value, n, __ATOMIC_RELAXED);
}

void ig_metric_set(struct ig_metric *metric, int64_t value) {
  IG_ASSERT(metric->kind == IG_METRIC_GAUGE);
  __atomic_store_n(&metric->value, value, __ATOMIC_RELAXED);
}

void ig_metric_observe(struct ig_metric *metric, int64_t value) {
  IG_ASSERT(metric->kind == IG_METRIC_HISTOGRAM);
  size_t bucket = 0;
  while (bucket < metric->bounds_count && value > metric->bounds[bucket]) bucket++;
  (void)__atomic_add_fetch(&metric->buckets[bucket], 1, __ATOMIC_RELAXED);
  (void)__atomic_add_fetch(&metric->value, value, __ATOMIC_RELAXED);
}

const struct ig_metric *ig_metrics_first(void) {
  return __atomic_load_n(&first, __ATOMIC_ACQUIRE);
}

const struct ig_metric *ig_metrics_next(const struct ig_metric *metric) {
  return metric->next; /* written before the metric was linked */
}

int64_t ig_metric_value(const struct ig_metric *metric) {
  return __atomic_load_n(&metric->value, __ATOMIC_RELAXED);
}

uint64_t ig_metric_bucket(const struct ig_metric *metric, size_t index) {
  IG_ASSERT(index <= metric->bounds_count);
  return __atomic_load_n(&metric->buckets[index], __ATOMIC_RELAXED);
}
