/* remote.c -- see remote.h. */
#include "scan/remote.h"

/* `remote` is taken, also on failure. */
static igloo_status describe(ig_source *source, ig_remote_table *remote,
                             struct ig_str schema, struct ig_str name,
                             ig_scan_table **ret_table, struct igloo_error *reterr) {
  IG_AUTO(ig_scan_table) *table = NULL;
  igloo_status status = ig_scan_table_new(IG_SCAN_REMOTE, &table, reterr);
  if (status != IGLOO_OK) {
    (void)ig_remote_table_unref(remote);
    return status;
  }
  table->remote = remote;
  table->catalog =
      ig_arena_strdup(table->arena, ig_str_from_cstr(ig_source_name(source)));
  table->schema = ig_arena_strdup(table->arena, schema);
  table->name = ig_arena_strdup(table->arena, name);
  if (!table->catalog || !table->schema || !table->name)
    return ig_arena_fail(table->arena, reterr);
  table->version = (uint64_t)ig_source_version(source);
  *ret_table = IG_TAKE(table);
  return IGLOO_OK;
}

igloo_status ig_scan_remote_table(ig_source *source, struct ig_str schema,
                                  struct ig_str name, ig_cancel *cancel,
                                  ig_scan_table **ret_table, struct igloo_error *reterr) {
  if (!schema.len) schema = ig_str_from_cstr(ig_source_default_schema(source));
  ig_remote_table *remote = NULL;
  IG_TRY(ig_source_table(source, schema, name, cancel, &remote, reterr));
  return describe(source, remote, schema, name, ret_table, reterr);
}

igloo_status ig_scan_remote_find(ig_source *source, struct ig_str schema,
                                 struct ig_str name, ig_cancel *cancel,
                                 ig_scan_table **ret_table, struct igloo_error *reterr) {
  *ret_table = NULL;
  struct igloo_error error = {0};
  igloo_status status =
      ig_scan_remote_table(source, schema, name, cancel, ret_table, &error);
  if (status == IGLOO_OK) return IGLOO_OK;
  /* A database that is not there is no table that is not there. */
  if (status == IGLOO_NOT_FOUND &&
      (strcmp(error.sqlstate, "42P01") == 0 || strcmp(error.sqlstate, "3F000") == 0))
    return IGLOO_OK;
  if (reterr) *reterr = error;
  return status;
}

igloo_status ig_scan_fail_catalog(struct ig_str catalog, struct igloo_error *reterr) {
  (void)ig_fail_state(reterr, IGLOO_NOT_FOUND, "3D000", "catalog \"%.*s\" does not exist",
                      IG_STR_ARG(catalog));
  ig_error_hint(reterr,
                "Databases become catalogs by ATTACH; this one's own is "
                "\"" IG_CATALOG_NAME "\".");
  return IGLOO_NOT_FOUND;
}

igloo_status ig_scan_remote_query(ig_sources *sources, const struct ig_identity *who,
                                  const struct ig_scan_argument *arguments,
                                  size_t arguments_count, ig_cancel *cancel,
                                  ig_scan_table **ret_table, struct igloo_error *reterr) {
  if (!who->superuser && who->user_id != 0) {
    (void)ig_fail(reterr, IGLOO_PERMISSION_DENIED,
                  "permission denied for function remote_query");
    ig_error_hint(reterr,
                  "It takes a superuser: the query may do whatever the source's "
                  "user may.");
    return IGLOO_PERMISSION_DENIED;
  }
  bool fits = arguments_count == 2;
  for (size_t i = 0; fits && i < arguments_count; i++)
    fits = arguments[i].name.len == 0 && arguments[i].text.data &&
           arguments[i].items_count == 0;
  if (!fits) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                  "remote_query() takes a catalog and a query, both texts");
    ig_error_hint(reterr, "Write FROM remote_query('pg', $$SELECT 1$$).");
    return IGLOO_INVALID_ARGUMENT;
  }
  IG_AUTO(ig_source) *source =
      sources ? ig_sources_find(sources, arguments[0].text) : NULL;
  if (!source) return ig_scan_fail_catalog(arguments[0].text, reterr);
  ig_remote_table *remote = NULL;
  IG_TRY(ig_source_query(source, arguments[1].text, cancel, &remote, reterr));
  return describe(source, remote, IG_STR(""), IG_STR("remote_query"), ret_table, reterr);
}
