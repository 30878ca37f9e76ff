/* system.c -- see system.h. */
#include "scan/system.h"

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/thread.h"
#include "scan/information_schema.h"

/* ---- system tables ----------------------------------------------------------------- */

#define SYSTEM_TABLES_MAX 256

struct entry {
  const struct ig_system_table *table;
  void *ctx;
};

struct ig_system_tables {
  int32_t refs;
  ig_sources *sources; /* or NULL */
  struct entry *entries;
  size_t count, cap;
};

igloo_status ig_system_tables_new(ig_sources *sources, ig_system_tables **ret_tables,
                                  struct igloo_error *reterr) {
  IG_AUTO(ig_system_tables) *tables = ig_calloc(1, sizeof(*tables));
  if (!tables) return ig_fail_oom(reterr);
  tables->refs = 1;
  tables->sources = sources ? ig_sources_ref(sources) : NULL;
  size_t count;
  const struct ig_system_table *own = ig_information_schema(&count);
  IG_TRY(ig_system_tables_add(tables, own, count, tables, reterr));
  *ret_tables = IG_TAKE(tables);
  return IGLOO_OK;
}

ig_system_tables *ig_system_tables_ref(ig_system_tables *tables) {
  (void)__atomic_add_fetch(&tables->refs, 1, __ATOMIC_RELAXED);
  return tables;
}

ig_system_tables *ig_system_tables_unref(ig_system_tables *tables) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!tables || __atomic_sub_fetch(&tables->refs, 1, __ATOMIC_ACQ_REL) > 0) return NULL;
  (void)ig_sources_unref(tables->sources);
  ig_free(tables->entries);
  ig_free(tables);
  return NULL;
}

ig_sources *ig_system_tables_peek_sources(const ig_system_tables *tables) {
  return tables->sources;
}

igloo_status ig_system_tables_add(ig_system_tables *tables,
                                  const struct ig_system_table *add, size_t count,
                                  void *ctx, struct igloo_error *reterr) {
  IG_TRY(IG_RESERVE(tables->entries, tables->cap, tables->count + count,
                    SYSTEM_TABLES_MAX, "system tables", reterr));
  for (size_t i = 0; i < count; i++)
    tables->entries[tables->count++] = (struct entry){&add[i], ctx};
  return IGLOO_OK;
}

const struct ig_system_table *ig_system_tables_at(const ig_system_tables *tables,
                                                  size_t index) {
  return index < tables->count ? tables->entries[index].table : NULL;
}

/* One table in one statement: the entry, and what keeps it and its rows alive. */
struct system_scan {
  struct entry entry;
  ig_system_tables *tables;
  ig_snapshot *snapshot;
  struct ig_identity who;
};

static igloo_status open_system(void *ctx, struct ArrowArrayStream *ret_rows,
                                struct igloo_error *reterr) {
  const struct system_scan *scan = ctx;
  const struct ig_system_table *table = scan->entry.table;
  IG_AUTO(ig_rows) *rows = NULL;
  IG_TRY(ig_rows_new(table->columns, table->columns_count, &rows, reterr));
  IG_TRY(table->fill(scan->entry.ctx, &scan->who, scan->snapshot, rows, reterr));
  return ig_rows_finish(rows, ret_rows, reterr);
}

static void unref_system(void *ctx) {
  struct system_scan *scan = ctx;
  (void)ig_snapshot_unref(scan->snapshot);
  (void)ig_system_tables_unref(scan->tables);
  ig_free(scan);
}

static igloo_status describe_system(const struct ig_system_table *from,
                                    ig_scan_table *table, struct igloo_error *reterr) {
  table->catalog = IG_CATALOG_NAME;
  table->schema = from->schema;
  table->name = from->name;
  IG_AUTO(ig_rows) *rows = NULL;
  IG_TRY(ig_rows_new(from->columns, from->columns_count, &rows, reterr));
  return ig_rows_schema(rows, &table->columns, reterr);
}

igloo_status ig_system_tables_scan(ig_system_tables *tables, struct ig_str schema,
                                   struct ig_str name, ig_snapshot *snapshot,
                                   const struct ig_identity *who,
                                   ig_scan_table **ret_table,
                                   struct igloo_error *reterr) {
  for (size_t i = 0; i < tables->count; i++) {
    struct entry entry = tables->entries[i];
    if (!ig_str_eq_cstr(schema, entry.table->schema) ||
        !ig_str_eq_cstr(name, entry.table->name))
      continue;
    IG_AUTO(ig_scan_table) *table = NULL;
    IG_TRY(ig_scan_table_new(IG_SCAN_STREAM, &table, reterr));
    IG_TRY(describe_system(entry.table, table, reterr));
    struct system_scan *scan = ig_calloc(1, sizeof(*scan));
    if (!scan) return ig_fail_oom(reterr);
    *scan = (struct system_scan){entry, ig_system_tables_ref(tables),
                                 ig_snapshot_ref(snapshot), *who};
    table->rows = (struct ig_scan_rows){open_system, unref_system, scan};
    *ret_table = IG_TAKE(table);
    return IGLOO_OK;
  }
  return IGLOO_OK;
}

/* ---- streams of a session ---------------------------------------------------------- */

#define SESSION_TABLES_MAX 1024

/* A registered stream: the map, and each scan that found it, hold a reference. */
struct session_stream {
  int32_t refs;
  pthread_mutex_t mu;
  struct ArrowArrayStream rows; /* guarded by mu; released once it was opened */
  struct ArrowSchema columns;   /* immutable */
};

struct ig_session_tables {
  int32_t refs;
  pthread_mutex_t mu;
  struct ig_map streams; /* guarded by mu; of struct session_stream */
  uint64_t changes;      /* atomic; written with mu held */
};

static void unref_stream(void *ctx) {
  struct session_stream *stream = ctx;
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (__atomic_sub_fetch(&stream->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
  if (stream->rows.release) stream->rows.release(&stream->rows);
  if (stream->columns.release) stream->columns.release(&stream->columns);
  ig_mutex_done(&stream->mu);
  ig_free(stream);
}

igloo_status ig_session_tables_new(ig_session_tables **ret_tables,
                                   struct igloo_error *reterr) {
  ig_session_tables *tables = ig_calloc(1, sizeof(*tables));
  if (!tables) return ig_fail_oom(reterr);
  tables->refs = 1;
  ig_mutex_init(&tables->mu);
  ig_map_init(&tables->streams, SESSION_TABLES_MAX, unref_stream);
  *ret_tables = tables;
  return IGLOO_OK;
}

ig_session_tables *ig_session_tables_ref(ig_session_tables *tables) {
  (void)__atomic_add_fetch(&tables->refs, 1, __ATOMIC_RELAXED);
  return tables;
}

ig_session_tables *ig_session_tables_unref(ig_session_tables *tables) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!tables || __atomic_sub_fetch(&tables->refs, 1, __ATOMIC_ACQ_REL) > 0) return NULL;
  ig_map_done(&tables->streams);
  ig_mutex_done(&tables->mu);
  ig_free(tables);
  return NULL;
}

uint64_t ig_session_tables_changes(const ig_session_tables *tables) {
  /* Pairs with the release below: who reads a new number finds the tables of then. */
  return __atomic_load_n(&tables->changes, __ATOMIC_ACQUIRE);
}

static void count_change_locked(ig_session_tables *tables) {
  (void)__atomic_add_fetch(&tables->changes, 1, __ATOMIC_RELEASE);
}

igloo_status ig_session_tables_put(ig_session_tables *tables, struct ig_str name,
                                   struct ArrowArrayStream *rows,
                                   struct igloo_error *reterr) {
  struct session_stream *stream = ig_calloc(1, sizeof(*stream));
  if (!stream) {
    rows->release(rows);
    return ig_fail_oom(reterr);
  }
  stream->refs = 1;
  ig_mutex_init(&stream->mu);
  stream->rows = *rows;
  rows->release = NULL;
  igloo_status status = ig_stream_schema(&stream->rows, &stream->columns, reterr);
  if (status != IGLOO_OK) {
    unref_stream(stream);
    return status;
  }
  IG_LOCK_SCOPE(&tables->mu);
  status = ig_map_put(&tables->streams, name, stream, reterr);
  count_change_locked(tables);
  return status;
}

bool ig_session_tables_drop(ig_session_tables *tables, struct ig_str name) {
  struct session_stream *stream;
  {
    IG_LOCK_SCOPE(&tables->mu);
    stream = ig_map_steal(&tables->streams, name);
    count_change_locked(tables);
  }
  if (stream) unref_stream(stream); /* may release the caller's stream: not under mu */
  return stream != NULL;
}

static igloo_status open_stream(void *ctx, struct ArrowArrayStream *ret_rows,
                                struct igloo_error *reterr) {
  struct session_stream *stream = ctx;
  IG_LOCK_SCOPE(&stream->mu);
  if (!stream->rows.release) {
    (void)ig_fail(reterr, IGLOO_FAILED_PRECONDITION,
                  "cannot read a registered stream a second time");
    ig_error_hint(
        reterr,
        "Register it again, or keep its rows: CREATE TABLE t AS SELECT * FROM it.");
    return IGLOO_FAILED_PRECONDITION;
  }
  *ret_rows = stream->rows;
  stream->rows.release = NULL;
  return IGLOO_OK;
}

static struct session_stream *find_stream(ig_session_tables *tables, struct ig_str name) {
  IG_LOCK_SCOPE(&tables->mu);
  struct session_stream *stream = ig_map_get(&tables->streams, name);
  if (stream) (void)__atomic_add_fetch(&stream->refs, 1, __ATOMIC_RELAXED);
  return stream;
}

igloo_status ig_session_tables_scan(ig_session_tables *tables, struct ig_str name,
                                    ig_scan_table **ret_table,
                                    struct igloo_error *reterr) {
  struct session_stream *stream = find_stream(tables, name);
  if (!stream) return IGLOO_OK;
  IG_AUTO(ig_scan_table) *table = NULL;
  igloo_status status = ig_scan_table_new(IG_SCAN_STREAM, &table, reterr);
  if (status != IGLOO_OK) {
    unref_stream(stream);
    return status;
  }
  table->rows = (struct ig_scan_rows){open_stream, unref_stream, stream};
  table->catalog = IG_CATALOG_NAME;
  table->name = ig_arena_strdup(table->arena, name);
  if (!table->name) return ig_arena_fail(table->arena, reterr);
  IG_TRY(ig_schema_copy(&stream->columns, &table->columns, reterr));
  *ret_table = IG_TAKE(table);
  return IGLOO_OK;
}
