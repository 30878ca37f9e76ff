/*
 * sources.h -- attached databases for the tests of sources: SQLite files, written by
 * SQLite itself, read through drivers of ours and of others.
 */
#ifndef IG_TESTS_CONNECTOR_SOURCES_H
#define IG_TESTS_CONNECTOR_SOURCES_H

#include <glob.h>
#include <sqlite3.h>
#include <sys/mman.h>

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "arrow/writer.h"
#include "base/clock.h"
#include "connector/internal.h"
#include "connector/pushdown_log.h"
#include "connector/source.h"
#include "expressions.h"
#include "support-files.h"

/* ---- where drivers are ------------------------------------------------------------ */

/* Beside the program: build/unit/connector/test_x, build/drivers, build/made. */
static IG_UNUSED const char *build_folder(const char *inside) {
  static char paths[4][512];
  static int next;
  char *path = paths[next++ % 4], self[400];
  ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
  assert_true(len > 0);
  self[len] = '\0';
  for (int up = 0; up < 3; up++) *strrchr(self, '/') = '\0';
  (void)snprintf(path, sizeof(paths[0]), "%s/%s", self, inside);
  return path;
}

/* The folder of a driver from a Python package. Tests run in the checkout. */
static IG_UNUSED const char *package_folder(const char *package) {
  static char paths[4][512];
  static int next;
  char *path = paths[next++ % 4], pattern[256];
  (void)snprintf(pattern, sizeof(pattern),
                 "build/venv/lib/python3*/site-packages/%s/lib%s.so", package, package);
  glob_t found;
  if (glob(pattern, 0, NULL, &found) != 0)
    fail_msg("%s is not in build/venv: run tools/setup.sh", package);
  char *resolved = realpath(found.gl_pathv[0], NULL);
  globfree(&found);
  assert_non_null(resolved);
  *strrchr(resolved, '/') = '\0';
  (void)snprintf(path, sizeof(paths[0]), "%s", resolved);
  free(resolved);
  return path;
}

static IG_UNUSED ig_sources *new_sources(uint32_t connections) {
  const char *folders[] = {build_folder("drivers"), build_folder("made"),
                           package_folder("adbc_driver_sqlite"),
                           package_folder("adbc_driver_postgresql")};
  struct ig_sources_settings settings = {.driver_paths = folders,
                                         .driver_paths_count = IG_ARRAY_LEN(folders),
                                         .max_connections = connections};
  ig_sources *sources = NULL;
  assert_ok(ig_sources_new(&settings, &sources, &test_err));
  return sources;
}

/* ---- SQLite files ----------------------------------------------------------------- */

static IG_UNUSED void sqlite_run(const char *path, const char *sql) {
  sqlite3 *db = NULL;
  char *why = NULL;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s: %s", sql, why);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Attach a file as "lite". `driver` NULL: our own. */
static IG_UNUSED igloo_status attach_sqlite(ig_sources *sources, const char *path,
                                            const char *driver, bool read_only,
                                            struct igloo_error *reterr) {
  struct ig_source_option option = {"driver", driver};
  struct ig_source_definition definition = {.name = "lite",
                                            .type = "sqlite",
                                            .uri = path,
                                            .read_only = read_only,
                                            .options = &option,
                                            .options_count = driver ? 1 : 0,
                                            .version = 7};
  return ig_sources_attach(sources, &definition, reterr);
}

static IG_UNUSED ig_source *find_source(ig_sources *sources, const char *name) {
  ig_source *source = ig_sources_find(sources, ig_str_from_cstr(name));
  assert_non_null(source);
  return source;
}

static IG_UNUSED ig_remote_table *find_table(ig_source *source, const char *name) {
  ig_remote_table *table = NULL;
  assert_ok(ig_source_table(source, ig_str_from_cstr(ig_source_default_schema(source)),
                            ig_str_from_cstr(name), NULL, &table, &test_err));
  return table;
}

/* ---- scans ------------------------------------------------------------------------ */

static const struct ig_remote_settings plain_settings = {
    .pushdown = true, .strict_bytes = 1000, .query_id = 42};

static IG_UNUSED ig_remote_run *new_run(ig_sources *sources, ig_cancel *cancel) {
  ig_remote_run *run = NULL;
  assert_ok(ig_remote_run_new(sources, cancel, &plain_settings, &run, &test_err));
  return run;
}

/* A stream as lines of CSV, without the line of names. Takes it. Free: ig_free. */
static IG_UNUSED igloo_status stream_text(struct ArrowArrayStream *stream,
                                          char **ret_text, struct igloo_error *reterr) {
  int fd = memfd_create("printed", MFD_CLOEXEC);
  assert_true(fd >= 0);
  struct ig_out out;
  struct ig_batches result;
  int64_t count = 0;
  ig_out_init(&out, fd);
  igloo_status status = ig_batches_open(stream, &result, reterr);
  if (status == IGLOO_OK)
    status = ig_write_result(&result, IG_OUTPUT_CSV, &(struct ig_box_limits){0}, &out,
                             &count, reterr);
  ig_batches_done(&result);
  ig_out_done(&out);
  if (status != IGLOO_OK) (void)ig_stream_error(stream, reterr);
  ig_stream_done(stream);
  off_t len = lseek(fd, 0, SEEK_END);
  char *text = calloc((size_t)len + 1, 1);
  assert_non_null(text);
  assert_int_equal(pread(fd, text, (size_t)len, 0), len);
  assert_int_equal(close(fd), 0);
  char *line = strchr(text, '\n');
  if (line) memmove(text, line + 1, strlen(line));
  if (status == IGLOO_OK)
    *ret_text = text;
  else
    free(text);
  return status;
}

/* What a scan is asked for, in words. */
struct asked {
  const char *columns; /* of the table, by letters: "ac"; NULL: none */
  const char *filters[4];
  int64_t limit; /* 0: none */
  const struct igloo_sort *sort;
  uint32_t parts;
};

static IG_UNUSED igloo_status try_plan(ig_remote_run *run, ig_remote_table *table,
                                       const struct asked *asked,
                                       ig_remote_scan **ret_scan,
                                       struct igloo_error *reterr) {
  const struct igloo_table *meta = &table->facts->meta;
  int32_t columns[26];
  size_t count = 0;
  static struct expressions made[4];
  const struct igloo_expr *filters[4];
  size_t filters_count = 0;
  for (const char *at = asked->columns; at && *at; at++) columns[count++] = *at - 'a';
  for (; filters_count < 4 && asked->filters[filters_count]; filters_count++)
    assert_non_null(filters[filters_count] = expressions_read(
                        &made[filters_count], meta, asked->filters[filters_count]));
  struct ig_scan_request request = {.columns = columns,
                                    .columns_count = count,
                                    .filters = filters,
                                    .filters_count = filters_count,
                                    .limit = asked->limit ? asked->limit : -1,
                                    .sort = asked->sort,
                                    .sort_count = asked->sort ? 1 : 0,
                                    .parts_wanted = asked->parts ? asked->parts : 1};
  igloo_status status = ig_remote_table_plan(table, &request, run, ret_scan, reterr);
  for (size_t i = 0; i < filters_count; i++) expressions_done(&made[i]);
  return status;
}

static IG_UNUSED ig_remote_scan *plan_scan(ig_remote_run *run, ig_remote_table *table,
                                           const struct asked *asked) {
  ig_remote_scan *scan = NULL;
  assert_ok(try_plan(run, table, asked, &scan, &test_err));
  return scan;
}

/* All parts, one after the other. */
static IG_UNUSED char *scan_text(ig_remote_run *run, ig_remote_scan *scan) {
  size_t count = 0;
  const struct ig_remote_part *parts = ig_remote_scan_parts(scan, &count);
  char *all = calloc(1, 1);
  for (size_t i = 0; i < count; i++) {
    struct ArrowArrayStream stream = {0};
    char *text = NULL;
    assert_ok(ig_remote_open(run, parts[i].bytes, NULL, &stream, &test_err));
    assert_ok(stream_text(&stream, &text, &test_err));
    all = realloc(all, strlen(all) + strlen(text) + 1);
    strcat(all, text);
    free(text);
  }
  return all;
}

#endif
