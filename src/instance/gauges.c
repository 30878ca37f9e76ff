/* gauges.c -- see gauges.h. */
#include "instance/gauges.h"

#include <dirent.h>
#include <igloo/igloo.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metrics.h"

enum gauge {
  BUILD,
  SESSIONS,
  STATEMENTS,
  ADMITTED,
  QUEUED,
  MEMORY_USED,
  MEMORY_LIMIT,
  SPILLED,
  CACHED,
  STUCK,
  RESIDENT,
  DESCRIPTORS,
};

static struct ig_metric gauges[] = {
    [BUILD] = IG_GAUGE("igloo_build_info", "version=\"" IGLOO_VERSION "\"",
                       "Always 1; the label tells the version."),
    [SESSIONS] = IG_GAUGE("igloo_sessions", NULL, "Sessions that are open."),
    [STATEMENTS] =
        IG_GAUGE("igloo_statements", NULL,
                 "Statements that are queued, planned or run, results being read too."),
    [ADMITTED] = IG_GAUGE("igloo_statements_admitted", NULL,
                          "Statements that hold a place of limits.running."),
    [QUEUED] = IG_GAUGE("igloo_statements_queued", NULL,
                        "Statements that wait for a place of limits.running."),
    [MEMORY_USED] = IG_GAUGE("igloo_engine_memory_used_bytes", NULL,
                             "Memory that operators hold of the engine's pool."),
    [MEMORY_LIMIT] =
        IG_GAUGE("igloo_engine_memory_limit_bytes", NULL, "Size of the engine's pool."),
    [SPILLED] = IG_GAUGE("igloo_engine_spilled_bytes", NULL,
                         "Disk space that spilled data takes."),
    [CACHED] = IG_GAUGE("igloo_engine_cache_bytes", NULL,
                        "Memory of the caches of footers and listings."),
    [STUCK] = IG_GAUGE("igloo_engine_stuck", NULL,
                       "1 while the engine does not get work done."),
    [RESIDENT] =
        IG_GAUGE("process_resident_memory_bytes", NULL, "Resident memory size in bytes."),
    [DESCRIPTORS] =
        IG_GAUGE("process_open_fds", NULL, "Number of open file descriptors."),
};

static struct ig_metric cpu = {.name = "process_cpu_seconds_total",
                               .help = "Total user and system CPU time in seconds.",
                               .kind = IG_METRIC_COUNTER,
                               .is_time = true};

/* -1: the system does not say. */
static int64_t resident_bytes(void) {
  IG_AUTO(FILE) *file = fopen("/proc/self/statm", "re");
  long long pages = -1, resident = -1;
  if (!file || fscanf(file, "%lld %lld", &pages, &resident) != 2) return -1;
  return resident * sysconf(_SC_PAGESIZE);
}

static int64_t open_descriptors(void) {
  DIR *dir = opendir("/proc/self/fd");
  if (!dir) return -1;
  int64_t count = -3; /* ".", ".." and this one */
  while (readdir(dir)) count++;
  (void)closedir(dir);
  return count;
}

static int64_t cpu_us(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * IG_US_PER_S +
         usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

void ig_instance_show_numbers(const struct ig_instance_numbers *numbers) {
  ig_metrics_register(gauges, IG_ARRAY_LEN(gauges));
  ig_metrics_register(&cpu, 1);
  ig_metric_set(&gauges[BUILD], 1);
  ig_metric_set(&gauges[SESSIONS], (int64_t)numbers->sessions);
  ig_metric_set(&gauges[STATEMENTS], (int64_t)numbers->statements);
  ig_metric_set(&gauges[ADMITTED], numbers->running);
  ig_metric_set(&gauges[QUEUED], numbers->queued);
  ig_metric_set(&gauges[MEMORY_USED], (int64_t)numbers->engine.pool_used_bytes);
  ig_metric_set(&gauges[MEMORY_LIMIT], (int64_t)numbers->engine.pool_limit_bytes);
  ig_metric_set(&gauges[SPILLED], (int64_t)numbers->engine.spilled_bytes);
  ig_metric_set(&gauges[CACHED], (int64_t)numbers->engine.cache_used_bytes);
  ig_metric_set(&gauges[STUCK], numbers->stuck);
  ig_metric_set(&gauges[RESIDENT], resident_bytes());
  ig_metric_set(&gauges[DESCRIPTORS], open_descriptors());
  ig_metric_add(&cpu, cpu_us() - ig_metric_value(&cpu));
}
