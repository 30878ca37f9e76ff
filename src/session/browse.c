/* browse.c -- see browse.h. */
#include "session/browse.h"

#include <stdlib.h>

#include "base/limits.h"
#include "session/private.h"
#include "sql/quote.h"

#define SQL_BYTES_MAX (8 * IG_KIB) /* three quoted names */

void ig_browse_names_done(struct ig_browse_names *names) {
  ig_free(names->items);
  (void)ig_snapshot_unref(names->snapshot);
  *names = (struct ig_browse_names){0};
}

static int compare(const void *left, const void *right) {
  const struct ig_browse_name *a = left, *b = right;
  int order = strcmp(a->schema, b->schema);
  return order || !a->name ? order : strcmp(a->name, b->name);
}

static igloo_status begin(ig_session *session, size_t more,
                          struct ig_browse_names *ret_names, struct igloo_error *reterr) {
  ret_names->snapshot = ig_catalog_snapshot(session->parts.catalog);
  size_t count = ig_snapshot_schemas_count(ret_names->snapshot) +
                 ig_snapshot_objects_count(ret_names->snapshot) + more;
  ret_names->count = 0;
  ret_names->items = ig_calloc(count, sizeof(*ret_names->items));
  if (ret_names->items) return IGLOO_OK;
  ig_browse_names_done(ret_names);
  return ig_fail_oom(reterr);
}

static void end(struct ig_browse_names *names) {
  qsort(names->items, names->count, sizeof(*names->items), compare);
}

igloo_status ig_session_browse_schemas(ig_session *session,
                                       struct ig_browse_names *ret_names,
                                       struct igloo_error *reterr) {
  IG_TRY(begin(session, 2, ret_names, reterr));
  ig_snapshot *snapshot = ret_names->snapshot;
  for (size_t i = 0; i < ig_snapshot_schemas_count(snapshot); i++)
    ret_names->items[ret_names->count++].schema = ig_snapshot_schema(snapshot, i);
  ret_names->items[ret_names->count++].schema = IG_SCHEMA_INFORMATION;
  ret_names->items[ret_names->count++].schema = IG_SCHEMA_SYSTEM;
  end(ret_names);
  return IGLOO_OK;
}

igloo_status ig_session_browse_tables(ig_session *session,
                                      struct ig_browse_names *ret_names,
                                      struct igloo_error *reterr) {
  const struct ig_system_table *table;
  size_t systems = 0;
  while (ig_system_tables_at(session->parts.system, systems)) systems++;
  IG_TRY(begin(session, systems + 1, ret_names, reterr));
  ig_snapshot *snapshot = ret_names->snapshot;
  for (size_t i = 0; i < ig_snapshot_objects_count(snapshot); i++) {
    const struct ig_object *object = ig_snapshot_object(snapshot, i);
    ret_names->items[ret_names->count++] = (struct ig_browse_name){
        object->schema, object->name,
        object->kind == IG_OBJECT_VIEW ? IG_BROWSE_VIEW : IG_BROWSE_TABLE};
  }
  for (size_t i = 0; (table = ig_system_tables_at(session->parts.system, i)); i++)
    ret_names->items[ret_names->count++] =
        (struct ig_browse_name){table->schema, table->name, IG_BROWSE_SYSTEM};
  end(ret_names);
  return IGLOO_OK;
}

igloo_status ig_session_browse_columns(ig_session *session,
                                       const struct ig_browse_name *name,
                                       ig_cancel *cancel, struct ArrowSchema *ret_columns,
                                       struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(SQL_BYTES_MAX);
  ig_buf_append_cstr(&sql, "SELECT * FROM " IG_CATALOG_NAME ".");
  ig_sql_append_name(&sql, ig_str_from_cstr(name->schema));
  ig_buf_append_char(&sql, '.');
  ig_sql_append_name(&sql, ig_str_from_cstr(name->name));
  IG_TRY(ig_buf_check(&sql, reterr));
  IG_AUTO(ig_running) *running = NULL;
  IG_TRY(ig_running_begin(session, ig_buf_str(&sql), cancel, &running, reterr));
  return ig_session_columns(session, ig_buf_str(&sql), running, ret_columns, reterr);
}
