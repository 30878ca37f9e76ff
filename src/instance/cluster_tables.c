/* cluster_tables.c -- see cluster_tables.h. */
#include "instance/cluster_tables.h"

#include <sodium.h>

#include "base/clock.h"
#include "cluster/node.h"
#include "scan/resolver.h"

/* ---- workers ----------------------------------------------------------------------- */

static const struct ig_rows_column workers_columns[] = {
    {"id", IG_CELL_TEXT, true},
    {"role", IG_CELL_TEXT, true},
    {"state", IG_CELL_TEXT, true},
    {"reason", IG_CELL_TEXT, false},
    {"address", IG_CELL_TEXT, false},
    {"is_self", IG_CELL_BOOL, true},
    {"threads", IG_CELL_INT32, true},
    {"memory_bytes", IG_CELL_INT64, true},
    {"memory_used_bytes", IG_CELL_INT64, true},
    {"tasks", IG_CELL_INT64, true},
    {"tasks_total", IG_CELL_INT64, true},
    {"tasks_failed", IG_CELL_INT64, true},
    {"rows_sent", IG_CELL_INT64, true},
    {"bytes_sent", IG_CELL_INT64, true},
    {"bytes_received", IG_CELL_INT64, true},
    {"build", IG_CELL_TEXT, true},
    {"plan_version", IG_CELL_INT32, true},
    {"joined_at", IG_CELL_TIMESTAMP, false},
    {"last_heartbeat_at", IG_CELL_TIMESTAMP, false},
};

/* When a point of the monotonic clock was; the process itself has joined nobody. */
static void add_time(ig_rows *rows, int64_t at_us) {
  if (at_us)
    ig_rows_i64(rows, ig_wall_us() - (ig_now_us() - at_us));
  else
    ig_rows_null(rows);
}

static void add_worker(ig_rows *rows, const struct ig_member_view *view) {
  const struct ig_member_figures *figures = &view->figures;
  const char *unix_path = view->unix_path[0] ? view->unix_path : NULL;
  ig_rows_cstr(rows, view->id);
  ig_rows_cstr(rows, view->role == IG_MEMBER_COORDINATOR ? "coordinator" : "worker");
  ig_rows_cstr(rows, ig_member_state_name(view->state));
  ig_rows_cstr(rows, view->reason);
  ig_rows_cstr(rows, view->address[0] ? view->address : unix_path);
  ig_rows_bool(rows, view->is_self);
  ig_rows_i64(rows, view->threads);
  ig_rows_i64(rows, (int64_t)view->memory_bytes);
  ig_rows_i64(rows, (int64_t)figures->memory_used_bytes_now);
  ig_rows_i64(rows, (int64_t)figures->tasks_now);
  ig_rows_i64(rows, (int64_t)figures->tasks);
  ig_rows_i64(rows, (int64_t)figures->tasks_failed);
  ig_rows_i64(rows, (int64_t)figures->rows_out);
  ig_rows_i64(rows, (int64_t)figures->bytes_out);
  ig_rows_i64(rows, (int64_t)figures->bytes_in);
  ig_rows_cstr(rows, view->build);
  ig_rows_i64(rows, view->plan_version);
  add_time(rows, view->joined_us);
  add_time(rows, view->seen_us);
}

/* The process itself, where there is no cluster. */
static void add_alone(ig_rows *rows, const struct ig_config *config) {
  char none[] = "", build[128];
  (void)snprintf(build, sizeof build, "%s", ig_cluster_build());
  struct ig_member_view view = {.id = "self",
                                .role = IG_MEMBER_COORDINATOR,
                                .state = IG_MEMBER_ACTIVE,
                                .is_self = true,
                                .address = none,
                                .unix_path = none,
                                .build = build,
                                .plan_version = IG_CLUSTER_PLAN_VERSION,
                                .threads = (uint32_t)config->engine_threads,
                                .memory_bytes = config->engine_memory_limit};
  add_worker(rows, &view);
}

static igloo_status fill_workers(void *ctx, const struct ig_identity *who IG_UNUSED,
                                 ig_snapshot *snapshot IG_UNUSED, ig_rows *rows,
                                 struct igloo_error *reterr) {
  const struct ig_cluster_tables *tables = ctx;
  struct ig_member_view *views = NULL;
  size_t count = 0;
  if (!tables->cluster) {
    add_alone(rows, tables->config);
    return IGLOO_OK;
  }
  IG_TRY(ig_cluster_view(tables->cluster, &views, &count, reterr));
  for (size_t i = 0; i < count; i++) add_worker(rows, &views[i]);
  ig_member_views_free(views, count);
  return IGLOO_OK;
}

/* ---- tasks ------------------------------------------------------------------------- */

static const struct ig_rows_column tasks_columns[] = {
    {"query_id", IG_CELL_TEXT, true},       {"stage", IG_CELL_INT64, true},
    {"task", IG_CELL_INT64, true},          {"worker", IG_CELL_TEXT, true},
    {"state", IG_CELL_TEXT, true},          {"started_at", IG_CELL_TIMESTAMP, true},
    {"ended_at", IG_CELL_TIMESTAMP, false},
};

static void add_task(ig_rows *rows, const struct ig_task_view *view) {
  char hex[2 * sizeof view->task.query_id + 1];
  (void)sodium_bin2hex(hex, sizeof hex, view->task.query_id, sizeof view->task.query_id);
  ig_rows_cstr(rows, hex);
  ig_rows_i64(rows, view->task.stage);
  ig_rows_i64(rows, view->task.number);
  ig_rows_cstr(rows, view->member);
  ig_rows_cstr(rows, ig_task_state_name(view->state));
  ig_rows_i64(rows, view->started_us);
  if (view->ended_us)
    ig_rows_i64(rows, view->ended_us);
  else
    ig_rows_null(rows);
}

static igloo_status fill_tasks(void *ctx, const struct ig_identity *who IG_UNUSED,
                               ig_snapshot *snapshot IG_UNUSED, ig_rows *rows,
                               struct igloo_error *reterr) {
  const struct ig_cluster_tables *tables = ctx;
  struct ig_task_view *views = NULL;
  size_t count = 0;
  if (!tables->cluster) return IGLOO_OK;
  IG_TRY(ig_task_log_view(ig_cluster_tasks(tables->cluster), &views, &count, reterr));
  for (size_t i = 0; i < count; i++) add_task(rows, &views[i]);
  ig_free(views);
  return IGLOO_OK;
}

const struct ig_system_table *ig_instance_cluster_tables(size_t *ret_count) {
  static const struct ig_system_table tables[] = {
      {IG_SCHEMA_SYSTEM, "workers", workers_columns, IG_ARRAY_LEN(workers_columns),
       fill_workers},
      {IG_SCHEMA_SYSTEM, "tasks", tasks_columns, IG_ARRAY_LEN(tasks_columns), fill_tasks},
  };
  *ret_count = IG_ARRAY_LEN(tables);
  return tables;
}
