/* browse.c -- see browse.h. */
#include "session/browse.h"

#include <stdlib.h>

#include "base/limits.h"
#include "session/private.h"
#include "sql/quote.h"

#define SQL_BYTES_MAX (8 * IG_KIB) /* three quoted names */

/* Of all catalogs together: a listing of 10,000 tables in each of a hundred. */
#define NAMES_MAX 1000000

/* What keeps the names of one source. */
struct ig_browse_hold {
  ig_source *source;
  void *listing;
};

void ig_browse_names_done(struct ig_browse_names *names) {
  ig_free(names->items);
  for (size_t i = 0; i < names->holds_count; i++) {
    if (names->holds[i].listing) ig_source_list_free(names->holds[i].listing);
    (void)ig_source_unref(names->holds[i].source);
  }
  ig_free(names->holds);
  (void)ig_snapshot_unref(names->snapshot);
  *names = (struct ig_browse_names){0};
}

/* ---- a growing list ---------------------------------------------------------------- */

static igloo_status add(struct ig_browse_names *names, const char *catalog,
                        const char *schema, const char *name, enum ig_browse_kind kind,
                        struct igloo_error *reterr) {
  IG_TRY(IG_RESERVE(names->items, names->cap, names->count + 1, NAMES_MAX,
                    "names in one list", reterr));
  names->items[names->count++] = (struct ig_browse_name){catalog, schema, name, kind};
  return IGLOO_OK;
}

static int compare_texts(const char *a, const char *b) {
  return a && b ? strcmp(a, b) : 0;
}

static int compare(const void *left, const void *right) {
  const struct ig_browse_name *a = left, *b = right;
  int order = strcmp(a->catalog, b->catalog);
  if (!order) order = compare_texts(a->schema, b->schema);
  return order ? order : compare_texts(a->name, b->name);
}

/* Give the list sorted, or nothing. */
static igloo_status end(struct ig_browse_names *names, igloo_status status,
                        struct ig_browse_names *ret_names) {
  if (status != IGLOO_OK) {
    ig_browse_names_done(names);
    return status;
  }
  if (names->count) qsort(names->items, names->count, sizeof(*names->items), compare);
  *ret_names = *names;
  return IGLOO_OK;
}

/* ---- Igloo's own catalog ----------------------------------------------------------- */

static igloo_status add_own_schemas(struct ig_browse_names *names,
                                    struct igloo_error *reterr) {
  static const char *const made[] = {IG_SCHEMA_INFORMATION, IG_SCHEMA_SYSTEM};
  for (size_t i = 0; i < ig_snapshot_schemas_count(names->snapshot); i++)
    IG_TRY(add(names, IG_CATALOG_NAME, ig_snapshot_schema(names->snapshot, i), NULL,
               IG_BROWSE_TABLE, reterr));
  for (size_t i = 0; i < IG_ARRAY_LEN(made); i++)
    IG_TRY(add(names, IG_CATALOG_NAME, made[i], NULL, IG_BROWSE_SYSTEM, reterr));
  return IGLOO_OK;
}

static igloo_status add_own_tables(const ig_session *session,
                                   struct ig_browse_names *names,
                                   struct igloo_error *reterr) {
  const struct ig_system_table *table;
  for (size_t i = 0; i < ig_snapshot_objects_count(names->snapshot); i++) {
    const struct ig_object *object = ig_snapshot_object(names->snapshot, i);
    IG_TRY(add(names, IG_CATALOG_NAME, object->schema, object->name,
               object->kind == IG_OBJECT_VIEW ? IG_BROWSE_VIEW : IG_BROWSE_TABLE,
               reterr));
  }
  for (size_t i = 0; (table = ig_system_tables_at(session->parts.system, i)); i++)
    IG_TRY(add(names, IG_CATALOG_NAME, table->schema, table->name, IG_BROWSE_SYSTEM,
               reterr));
  return IGLOO_OK;
}

/* ---- sources ----------------------------------------------------------------------- */

/* Takes a reference on the source into the list. */
static igloo_status hold(struct ig_browse_names *names, ig_source *source,
                         struct ig_browse_hold **ret_hold, struct igloo_error *reterr) {
  IG_TRY(IG_RESERVE(names->holds, names->holds_cap, names->holds_count + 1,
                    (size_t)2 * IG_ATTACHMENTS_MAX, "attached catalogs", reterr));
  *ret_hold = &names->holds[names->holds_count++];
  **ret_hold = (struct ig_browse_hold){.source = ig_source_ref(source)};
  return IGLOO_OK;
}

static igloo_status add_source(ig_source *source, bool tables, ig_cancel *cancel,
                               struct ig_browse_names *names,
                               struct igloo_error *reterr) {
  const struct ig_source_listing *list;
  struct ig_browse_hold *held;
  size_t count;
  IG_TRY(hold(names, source, &held, reterr));
  IG_TRY(ig_source_list(source, cancel, &list, &count, &held->listing, reterr));
  for (size_t i = 0; i < count; i++) {
    bool repeated = i > 0 && strcmp(list[i].schema, list[i - 1].schema) == 0;
    if (!tables && repeated) continue;
    IG_TRY(add(names, ig_source_name(source), list[i].schema,
               tables ? list[i].name : NULL,
               list[i].view ? IG_BROWSE_VIEW : IG_BROWSE_TABLE, reterr));
  }
  return IGLOO_OK;
}

/* One of all: left out where it does not answer. */
static igloo_status try_source(ig_session *session, const char *catalog, bool tables,
                               ig_cancel *cancel, struct ig_browse_names *names,
                               struct igloo_error *reterr) {
  IG_AUTO(ig_source) *source = ig_sources_find(
      ig_attached_sources(session->parts.attached), ig_str_from_cstr(catalog));
  if (!source) return IGLOO_OK;
  igloo_status status = add_source(source, tables, cancel, names, reterr);
  if (status == IGLOO_OK || status == IGLOO_OUT_OF_MEMORY ||
      status == IGLOO_RESOURCE_EXHAUSTED)
    return status;
  return ig_cancel_check(cancel, reterr);
}

/* Call `each` for every attached catalog. */
static igloo_status each_catalog(ig_session *session, const struct ig_browse_names *names,
                                 igloo_status (*each)(void *ctx, const char *catalog,
                                                      struct igloo_error *reterr),
                                 void *ctx, struct igloo_error *reterr) {
  const struct ig_attached *attached = session->parts.attached;
  const struct ig_attachment *attachment;
  for (size_t i = 0; i < ig_snapshot_attachments_count(names->snapshot); i++) {
    attachment = ig_snapshot_attachment(names->snapshot, i);
    if (!ig_attached_configured(attached, ig_str_from_cstr(attachment->name)))
      IG_TRY(each(ctx, attachment->name, reterr));
  }
  for (size_t i = 0; (attachment = ig_attached_configured_at(attached, i)); i++)
    IG_TRY(each(ctx, attachment->name, reterr));
  return IGLOO_OK;
}

struct browsing {
  ig_session *session;
  ig_cancel *cancel;
  struct ig_browse_names *names;
  bool tables;
};

static igloo_status browse_one(void *ctx, const char *catalog,
                               struct igloo_error *reterr) {
  const struct browsing *browsing = ctx;
  return try_source(browsing->session, catalog, browsing->tables, browsing->cancel,
                    browsing->names, reterr);
}

static igloo_status name_one(void *ctx, const char *catalog, struct igloo_error *reterr) {
  return add(ctx, catalog, NULL, NULL, IG_BROWSE_TABLE, reterr);
}

/* ---- lists ------------------------------------------------------------------------- */

igloo_status ig_session_browse_catalogs(ig_session *session,
                                        struct ig_browse_names *ret_names,
                                        struct igloo_error *reterr) {
  struct ig_browse_names names = {.snapshot =
                                      ig_catalog_snapshot(session->parts.catalog)};
  igloo_status status = name_one(&names, IG_CATALOG_NAME, reterr);
  if (status == IGLOO_OK)
    status = each_catalog(session, &names, name_one, &names, reterr);
  return end(&names, status, ret_names);
}

static igloo_status fill(struct browsing *browsing, const struct ig_str *catalog,
                         struct igloo_error *reterr) {
  ig_session *session = browsing->session;
  if (!catalog || ig_str_eq_cstr(*catalog, IG_CATALOG_NAME)) {
    if (browsing->tables)
      IG_TRY(add_own_tables(session, browsing->names, reterr));
    else
      IG_TRY(add_own_schemas(browsing->names, reterr));
  }
  if (!catalog)
    return each_catalog(session, browsing->names, browse_one, browsing, reterr);
  IG_AUTO(ig_source) *source =
      ig_sources_find(ig_attached_sources(session->parts.attached), *catalog);
  if (!source) return IGLOO_OK;
  return add_source(source, browsing->tables, browsing->cancel, browsing->names, reterr);
}

static igloo_status browse(ig_session *session, const struct ig_str *catalog, bool tables,
                           ig_cancel *cancel, struct ig_browse_names *ret_names,
                           struct igloo_error *reterr) {
  struct ig_browse_names names = {.snapshot =
                                      ig_catalog_snapshot(session->parts.catalog)};
  struct browsing browsing = {session, cancel, &names, tables};
  return end(&names, fill(&browsing, catalog, reterr), ret_names);
}

igloo_status ig_session_browse_schemas(ig_session *session, const struct ig_str *catalog,
                                       ig_cancel *cancel,
                                       struct ig_browse_names *ret_names,
                                       struct igloo_error *reterr) {
  return browse(session, catalog, false, cancel, ret_names, reterr);
}

igloo_status ig_session_browse_tables(ig_session *session, const struct ig_str *catalog,
                                      ig_cancel *cancel,
                                      struct ig_browse_names *ret_names,
                                      struct igloo_error *reterr) {
  return browse(session, catalog, true, cancel, ret_names, reterr);
}

igloo_status ig_session_browse_columns(ig_session *session,
                                       const struct ig_browse_name *name,
                                       ig_cancel *cancel, struct ArrowSchema *ret_columns,
                                       struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(SQL_BYTES_MAX);
  ig_buf_append_cstr(&sql, "SELECT * FROM ");
  ig_sql_append_name(&sql, ig_str_from_cstr(name->catalog));
  ig_buf_append_char(&sql, '.');
  ig_sql_append_name(&sql, ig_str_from_cstr(name->schema));
  ig_buf_append_char(&sql, '.');
  ig_sql_append_name(&sql, ig_str_from_cstr(name->name));
  IG_TRY(ig_buf_check(&sql, reterr));
  IG_AUTO(ig_running) *running = NULL;
  IG_TRY(ig_running_begin(session, ig_buf_str(&sql), cancel, &running, reterr));
  return ig_session_columns(session, ig_buf_str(&sql), running, ret_columns, reterr);
}
