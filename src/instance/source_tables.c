/* source_tables.c -- see source_tables.h. */
#include "instance/source_tables.h"

#include <dirent.h>

#include "connector/pushdown_log.h"
#include "instance/driver_paths.h"
#include "scan/resolver.h"
#include "session/attached.h"

/* ---- catalogs ---------------------------------------------------------------------- */

static const struct ig_rows_column catalogs_columns[] = {
    {"name", IG_CELL_TEXT, true},         {"type", IG_CELL_TEXT, true},
    {"uri", IG_CELL_TEXT, false},         {"secret", IG_CELL_TEXT, false},
    {"read_only", IG_CELL_BOOL, true},    {"origin", IG_CELL_TEXT, true},
    {"state", IG_CELL_TEXT, true},        {"error", IG_CELL_TEXT, false},
    {"connections", IG_CELL_INT64, true}, {"busy", IG_CELL_INT64, true},
    {"waiting", IG_CELL_INT64, true},     {"statements", IG_CELL_INT64, true},
    {"rows", IG_CELL_INT64, true},        {"bytes", IG_CELL_INT64, true},
    {"failures", IG_CELL_INT64, true},
};

static void add_stats(ig_rows *rows, const struct ig_source_stats *stats) {
  ig_rows_i64(rows, stats->connections);
  ig_rows_i64(rows, stats->busy);
  ig_rows_i64(rows, stats->waiting);
  ig_rows_i64(rows, (int64_t)stats->statements);
  ig_rows_i64(rows, (int64_t)stats->rows);
  ig_rows_i64(rows, (int64_t)stats->bytes);
  ig_rows_i64(rows, (int64_t)stats->failures);
}

static void add_own(ig_rows *rows) {
  static const struct ig_source_stats none;
  ig_rows_cstr(rows, IG_CATALOG_NAME);
  ig_rows_cstr(rows, "igloo");
  ig_rows_null(rows);
  ig_rows_null(rows);
  ig_rows_bool(rows, false);
  ig_rows_cstr(rows, "igloo");
  ig_rows_cstr(rows, "attached");
  ig_rows_null(rows);
  add_stats(rows, &none);
}

static void add_catalog(ig_rows *rows, ig_attached *attached,
                        const struct ig_attachment *attachment, const char *origin,
                        bool whole) {
  struct igloo_error error;
  struct ig_source_stats stats = {0};
  IG_AUTO(ig_source) *source =
      ig_sources_find(ig_attached_sources(attached), ig_str_from_cstr(attachment->name));
  if (source) ig_source_stats_get(source, &stats);
  ig_rows_cstr(rows, attachment->name);
  ig_rows_cstr(rows, attachment->type);
  ig_rows_cstr(rows, whole ? attachment->uri : NULL);
  ig_rows_cstr(rows, whole ? attachment->secret : NULL);
  ig_rows_bool(rows, attachment->read_only);
  ig_rows_cstr(rows, origin);
  ig_rows_cstr(rows, !source ? "unavailable" : stats.broken ? "unreachable" : "attached");
  bool failed = !source && ig_attached_failure(attached, attachment->name, &error);
  ig_rows_cstr(rows, failed && whole ? error.message : NULL);
  add_stats(rows, &stats);
}

static igloo_status fill_catalogs(void *ctx, const struct ig_identity *who,
                                  ig_snapshot *snapshot, ig_rows *rows,
                                  struct igloo_error *reterr IG_UNUSED) {
  ig_attached *attached = ctx;
  const struct ig_attachment *attachment;
  add_own(rows);
  for (size_t i = 0; i < ig_snapshot_attachments_count(snapshot); i++) {
    attachment = ig_snapshot_attachment(snapshot, i);
    if (!ig_attached_configured(attached, ig_str_from_cstr(attachment->name)))
      add_catalog(rows, attached, attachment, "attach", who->superuser);
  }
  for (size_t i = 0; (attachment = ig_attached_configured_at(attached, i)); i++)
    add_catalog(rows, attached, attachment, "configuration", who->superuser);
  return IGLOO_OK;
}

/* ---- pushdown_log --------------------------------------------------------------------
 */

static const struct ig_rows_column log_columns[] = {
    {"query_id", IG_CELL_TEXT, false},     {"started_at", IG_CELL_TIMESTAMP, true},
    {"duration_ms", IG_CELL_DOUBLE, true}, {"catalog_name", IG_CELL_TEXT, true},
    {"table_name", IG_CELL_TEXT, true},    {"part", IG_CELL_INT32, true},
    {"parts", IG_CELL_INT32, true},        {"remote_text", IG_CELL_TEXT, true},
    {"decisions", IG_CELL_TEXT, true},     {"snapshot", IG_CELL_TEXT, true},
    {"rows", IG_CELL_INT64, true},         {"bytes", IG_CELL_INT64, true},
    {"sqlstate", IG_CELL_TEXT, true},
};

static void add_entry(ig_rows *rows, const struct ig_pushdown_entry *entry) {
  char id[24];
  (void)snprintf(id, sizeof id, "%lld", (long long)entry->query_id);
  ig_rows_cstr(rows, entry->query_id ? id : NULL);
  ig_rows_i64(rows, entry->started_us);
  ig_rows_double(rows, (double)entry->duration_us / 1000.0);
  ig_rows_cstr(rows, entry->source);
  ig_rows_cstr(rows, entry->table);
  ig_rows_i64(rows, entry->part);
  ig_rows_i64(rows, entry->parts);
  ig_rows_cstr(rows, entry->text);
  ig_rows_cstr(rows, entry->decisions);
  ig_rows_cstr(rows, entry->snapshot);
  ig_rows_i64(rows, entry->rows);
  ig_rows_i64(rows, entry->bytes);
  ig_rows_cstr(rows, entry->sqlstate);
}

static igloo_status fill_log(void *ctx, const struct ig_identity *who,
                             ig_snapshot *snapshot IG_UNUSED, ig_rows *rows,
                             struct igloo_error *reterr) {
  IG_AUTO(ig_pushdown_list) *list = NULL;
  if (!who->superuser) return IGLOO_OK;
  IG_TRY(ig_pushdown_list_new(ig_attached_sources(ctx), &list, reterr));
  for (size_t i = 0; i < ig_pushdown_list_count(list); i++)
    add_entry(rows, ig_pushdown_list_get(list, i));
  return IGLOO_OK;
}

const struct ig_system_table *ig_instance_source_tables(size_t *ret_count) {
  static const struct ig_system_table tables[] = {
      {IG_SCHEMA_SYSTEM, "catalogs", catalogs_columns, IG_ARRAY_LEN(catalogs_columns),
       fill_catalogs},
      {IG_SCHEMA_SYSTEM, "pushdown_log", log_columns, IG_ARRAY_LEN(log_columns),
       fill_log},
  };
  *ret_count = IG_ARRAY_LEN(tables);
  return tables;
}

/* ---- drivers -------------------------------------------------------------------------
 */

static const struct ig_rows_column drivers_columns[] = {
    {"name", IG_CELL_TEXT, true},
    {"path", IG_CELL_TEXT, false},
};

/* "libadbc_driver_x.so" and "x.toml" are the driver x; other files are none. */
static struct ig_str driver_name(struct ig_str file) {
  static const char *const prefixes[] = {"libadbc_driver_", "lib"};
  if (ig_str_ends(file, IG_STR(".toml"))) return ig_str_sub(file, 0, file.len - 5);
  if (!ig_str_ends(file, IG_STR(".so"))) return IG_STR("");
  file.len -= 3;
  for (size_t i = 0; i < IG_ARRAY_LEN(prefixes); i++) {
    struct ig_str prefix = ig_str_from_cstr(prefixes[i]);
    if (ig_str_starts(file, prefix)) return ig_str_sub(file, prefix.len, SIZE_MAX);
  }
  return file;
}

static void close_dir(DIR **dir) {
  if (*dir) (void)closedir(*dir);
}

static igloo_status list_folder(const char *folder, bool whole, ig_rows *rows,
                                struct igloo_error *reterr) {
  /* A folder that is not there holds no drivers. */
  __attribute__((cleanup(close_dir))) DIR *dir = opendir(folder);
  for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
    struct ig_str name = driver_name(ig_str_from_cstr(entry->d_name));
    if (!name.len) continue;
    IG_AUTO_CHAR *path = ig_asprintf("%s/%s", folder, entry->d_name);
    if (!path) return ig_fail_oom(reterr);
    ig_rows_text(rows, name);
    ig_rows_cstr(rows, whole ? path : NULL);
  }
  return IGLOO_OK;
}

static igloo_status fill_drivers(void *ctx, const struct ig_identity *who,
                                 ig_snapshot *snapshot IG_UNUSED, ig_rows *rows,
                                 struct igloo_error *reterr) {
  const struct ig_driver_paths *paths = ctx;
  for (size_t i = 0; i < paths->count; i++)
    IG_TRY(list_folder(paths->folders[i], who->superuser, rows, reterr));
  return IGLOO_OK;
}

const struct ig_system_table *ig_instance_driver_tables(size_t *ret_count) {
  static const struct ig_system_table tables[] = {
      {IG_SCHEMA_SYSTEM, "drivers", drivers_columns, IG_ARRAY_LEN(drivers_columns),
       fill_drivers},
  };
  *ret_count = IG_ARRAY_LEN(tables);
  return tables;
}
