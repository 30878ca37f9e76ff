/* test_metrics.c -- counters, gauges and histograms, from many threads. */
#include "base/metrics.h"

#include "base/thread.h"
#include "support.h"

static struct ig_metric metrics[] = {
    IG_COUNTER("test_total", "kind=\"a\"", "A."),
    IG_GAUGE("test_gauge", NULL, "B."),
    IG_TIMES("test_seconds", NULL, "C."),
};

static size_t count_registered(const struct ig_metric *wanted) {
  size_t count = 0;
  for (const struct ig_metric *at = ig_metrics_first(); at; at = ig_metrics_next(at))
    count += at == wanted;
  return count;
}

static void a_metric_is_listed_once_however_often_it_is_registered(void **state) {
  (void)state;
  assert_int_equal(count_registered(&metrics[1]), 0);
  ig_metrics_register(metrics, IG_ARRAY_LEN(metrics));
  ig_metrics_register(metrics, IG_ARRAY_LEN(metrics));
  for (size_t i = 0; i < IG_ARRAY_LEN(metrics); i++)
    assert_int_equal(count_registered(&metrics[i]), 1);
}

static void a_gauge_goes_up_and_down_and_is_set(void **state) {
  (void)state;
  ig_metric_add(&metrics[1], 5);
  ig_metric_add(&metrics[1], -7);
  assert_int_equal(ig_metric_value(&metrics[1]), -2);
  ig_metric_set(&metrics[1], 40);
  assert_int_equal(ig_metric_value(&metrics[1]), 40);
}

static void a_value_falls_into_the_first_bucket_that_holds_it(void **state) {
  (void)state;
  static const int64_t bounds[] = {10, 20};
  static struct ig_metric metric = {.name = "test_sizes",
                                    .help = "D.",
                                    .kind = IG_METRIC_HISTOGRAM,
                                    .bounds = bounds,
                                    .bounds_count = 2};
  static const int64_t values[] = {0, 10, 11, 20, 21, 1000, -5};
  for (size_t i = 0; i < IG_ARRAY_LEN(values); i++) ig_metric_observe(&metric, values[i]);
  assert_int_equal(ig_metric_bucket(&metric, 0), 3);
  assert_int_equal(ig_metric_bucket(&metric, 1), 2);
  assert_int_equal(ig_metric_bucket(&metric, 2), 2);
  assert_int_equal(ig_metric_value(&metric), 1057);
}

#define THREADS 4
#define ROUNDS 20000

static void *count_up(void *ctx) {
  static struct ig_metric own[THREADS] = {
      IG_COUNTER("test_threads_total", "n=\"0\"", "E."),
      IG_COUNTER("test_threads_total", "n=\"1\"", "E."),
      IG_COUNTER("test_threads_total", "n=\"2\"", "E."),
      IG_COUNTER("test_threads_total", "n=\"3\"", "E.")};
  const size_t *number = ctx;
  ig_metrics_register(&own[*number], 1);
  for (int i = 0; i < ROUNDS; i++) {
    ig_metric_add(&metrics[0], 1);
    ig_metric_observe(&metrics[2], i);
  }
  assert_int_equal(count_registered(&own[*number]), 1);
  return NULL;
}

static void no_count_of_any_thread_is_lost(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  size_t numbers[THREADS];
  for (size_t i = 0; i < THREADS; i++) {
    numbers[i] = i;
    assert_ok(ig_thread_start("count", 0, count_up, &numbers[i], &threads[i], &test_err));
  }
  for (size_t i = 0; i < THREADS; i++) (void)ig_thread_join(threads[i]);
  assert_int_equal(ig_metric_value(&metrics[0]), THREADS * ROUNDS);
  uint64_t observed = 0;
  for (size_t i = 0; i <= metrics[2].bounds_count; i++)
    observed += ig_metric_bucket(&metrics[2], i);
  assert_int_equal(observed, THREADS * ROUNDS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_metric_is_listed_once_however_often_it_is_registered),
      cmocka_unit_test(a_gauge_goes_up_and_down_and_is_set),
      cmocka_unit_test(a_value_falls_into_the_first_bucket_that_holds_it),
      cmocka_unit_test(no_count_of_any_thread_is_lost),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
