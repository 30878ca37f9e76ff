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
  SOURCES,
  SOURCES_BROKEN,
  LINKS,
  LINKS_BUSY,
  LINKS_WAITED,
  /* Of the sources that are attached now: one that goes takes its share with it. */
  REMOTE_STATEMENTS,
  REMOTE_ROWS,
  REMOTE_BYTES,
  REMOTE_FAILURES,
  REMOTE_REFUSED,
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
    [SOURCES] = IG_GAUGE("igloo_sources", NULL, "Sources that are attached."),
    [SOURCES_BROKEN] = IG_GAUGE("igloo_sources_unreachable", NULL,
                                "Sources that are not asked until a probe succeeds."),
    [LINKS] = IG_GAUGE("igloo_source_connections", NULL,
                       "Connections to sources that are open."),
    [LINKS_BUSY] = IG_GAUGE("igloo_source_connections_busy", NULL,
                            "Connections to sources that work for a statement."),
    [LINKS_WAITED] = IG_GAUGE("igloo_source_statements_waiting", NULL,
                              "Statements that wait for a connection to a source."),
    [REMOTE_STATEMENTS] = IG_GAUGE("igloo_source_statements", NULL,
                                   "Statements that the attached sources were sent."),
    [REMOTE_ROWS] =
        IG_GAUGE("igloo_source_rows", NULL, "Rows that the attached sources gave."),
    [REMOTE_BYTES] = IG_GAUGE("igloo_source_bytes", NULL,
                              "Bytes of Arrow that the attached sources gave."),
    [REMOTE_FAILURES] = IG_GAUGE("igloo_source_failures", NULL,
                                 "Statements to the attached sources that failed."),
    [REMOTE_REFUSED] =
        IG_GAUGE("igloo_source_refused", NULL,
                 "Statements that were not sent because a source is unreachable."),
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
  ig_metric_set(&gauges[SOURCES], (int64_t)numbers->sources);
  ig_metric_set(&gauges[SOURCES_BROKEN], (int64_t)numbers->sources_broken);
  ig_metric_set(&gauges[LINKS], numbers->source.connections);
  ig_metric_set(&gauges[LINKS_BUSY], numbers->source.busy);
  ig_metric_set(&gauges[LINKS_WAITED], numbers->source.waiting);
  ig_metric_set(&gauges[REMOTE_STATEMENTS], (int64_t)numbers->source.statements);
  ig_metric_set(&gauges[REMOTE_ROWS], (int64_t)numbers->source.rows);
  ig_metric_set(&gauges[REMOTE_BYTES], (int64_t)numbers->source.bytes);
  ig_metric_set(&gauges[REMOTE_FAILURES], (int64_t)numbers->source.failures);
  ig_metric_set(&gauges[REMOTE_REFUSED], (int64_t)numbers->source.refused);
  ig_metric_set(&gauges[RESIDENT], resident_bytes());
  ig_metric_set(&gauges[DESCRIPTORS], open_descriptors());
  ig_metric_add(&cpu, cpu_us() - ig_metric_value(&cpu));
}
