/* prometheus.c -- see prometheus.h. */
#include "console/prometheus.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/metrics.h"

/* Metrics of one process; each is a static object in our code. */
#define METRICS_MAX 4096

static int compare(const void *a, const void *b) {
  const struct ig_metric *left = *(const struct ig_metric *const *)a;
  const struct ig_metric *right = *(const struct ig_metric *const *)b;
  int by_name = strcmp(left->name, right->name);
  if (by_name != 0) return by_name;
  return strcmp(left->labels ? left->labels : "", right->labels ? right->labels : "");
}

static void write_value(struct ig_buf *out, bool is_time, int64_t value) {
  if (!is_time) {
    ig_buf_append_fmt(out, "%lld", (long long)value);
    return;
  }
  ig_buf_append_fmt(out, "%s%lld.%06lld", value < 0 ? "-" : "",
                    llabs(value / IG_US_PER_S), llabs(value % IG_US_PER_S));
}

/* name_suffix{labels} and a blank; `bound` ("": none) is the label `le`. */
static void write_name(struct ig_buf *out, const struct ig_metric *metric,
                       const char *suffix, const char *bound) {
  bool has_labels = metric->labels != NULL;
  ig_buf_append_fmt(out, "%s%s", metric->name, suffix);
  if (has_labels || bound[0])
    ig_buf_append_fmt(out, "{%s%s", has_labels ? metric->labels : "",
                      has_labels && bound[0] ? "," : "");
  if (bound[0]) ig_buf_append_fmt(out, "le=\"%s\"", bound);
  ig_buf_append_cstr(out, has_labels || bound[0] ? "} " : " ");
}

static void write_histogram(struct ig_buf *out, const struct ig_metric *metric) {
  /* Buckets first: a value that comes between is then missing from the sum at most. */
  uint64_t count = 0;
  for (size_t i = 0; i <= metric->bounds_count; i++) {
    IG_AUTO_DONE(ig_buf) bound = IG_BUF_INIT(64);
    if (i < metric->bounds_count)
      write_value(&bound, metric->is_time, metric->bounds[i]);
    else
      ig_buf_append_cstr(&bound, "+Inf");
    ig_buf_fail_with(out, &bound);
    count += ig_metric_bucket(metric, i);
    write_name(out, metric, "_bucket", bound.data ? bound.data : "");
    ig_buf_append_fmt(out, "%llu\n", (unsigned long long)count);
  }
  write_name(out, metric, "_sum", "");
  write_value(out, metric->is_time, ig_metric_value(metric));
  ig_buf_append_char(out, '\n');
  write_name(out, metric, "_count", "");
  ig_buf_append_fmt(out, "%llu\n", (unsigned long long)count);
}

static void write_metric(struct ig_buf *out, const struct ig_metric *metric) {
  if (metric->kind == IG_METRIC_HISTOGRAM) {
    write_histogram(out, metric);
    return;
  }
  write_name(out, metric, "", "");
  write_value(out, metric->is_time, ig_metric_value(metric));
  ig_buf_append_char(out, '\n');
}

void ig_prometheus_write(struct ig_buf *out) {
  static const char *const kinds[] = {[IG_METRIC_COUNTER] = "counter",
                                      [IG_METRIC_GAUGE] = "gauge",
                                      [IG_METRIC_HISTOGRAM] = "histogram"};
  const struct ig_metric *list[METRICS_MAX];
  size_t count = 0;
  for (const struct ig_metric *at = ig_metrics_first(); at && count < METRICS_MAX;
       at = ig_metrics_next(at))
    list[count++] = at;
  qsort(list, count, sizeof list[0], compare);
  for (size_t i = 0; i < count; i++) {
    const struct ig_metric *metric = list[i];
    if (i == 0 || strcmp(list[i - 1]->name, metric->name) != 0)
      ig_buf_append_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
                        metric->name, kinds[metric->kind]);
    write_metric(out, metric);
  }
}
