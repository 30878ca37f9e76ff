/* resolver.c -- see resolver.h: names of the catalog. Paths are in paths.c. */
#include "scan/resolver.h"

#include "arrow/schema.h"
#include "base/limits.h"
#include "scan/paths.h"
#include "scan/remote.h"

/* Views of one statement, each with a search path of its own. */
#define SCOPES_MAX 4096

/* Files and columns of the tables of a statement whose plan may be kept. */
#define LASTING_PARTS_MAX 1000

struct ig_resolver {
  int32_t refs;
  ig_snapshot *snapshot;
  const ig_roots *roots; /* borrowed */
  ig_system_tables *system;
  ig_session_tables *own;
  ig_sources *sources;         /* NULL: none are attached */
  struct ig_pair *search_path; /* texts owned */
  size_t search_path_count;
  struct ig_identity who;
  const struct ig_object **views; /* scope n + 1 is the search path of views[n] */
  size_t views_count, views_cap;
  bool is_fleeting; /* gave, or looked for, what may be another thing the next time */
  ig_remote_table **remotes; /* one reference to each */
  size_t remotes_count, remotes_cap;
  size_t parts; /* files and columns of the tables that it gave */
};

/* The search path of a scope: the session's own tables are seen only in scope 0. */
struct scope {
  const struct ig_pair *schemas;
  size_t count;
  bool session;
};

igloo_status ig_resolver_new(const struct ig_resolver_parts *parts,
                             ig_resolver **ret_resolver, struct igloo_error *reterr) {
  IG_AUTO(ig_resolver) *resolver = ig_calloc(1, sizeof(*resolver));
  if (!resolver) return ig_fail_oom(reterr);
  resolver->refs = 1;
  resolver->snapshot = ig_snapshot_ref(parts->snapshot);
  resolver->roots = parts->roots;
  resolver->who = parts->who;
  resolver->system = ig_system_tables_ref(parts->system);
  resolver->own = ig_session_tables_ref(parts->own);
  resolver->sources = parts->sources ? ig_sources_ref(parts->sources) : NULL;
  resolver->search_path =
      ig_calloc(parts->search_path_count + 1, sizeof(*resolver->search_path));
  if (!resolver->search_path) return ig_fail_oom(reterr);
  for (size_t i = 0; i < parts->search_path_count; i++) {
    struct ig_pair *entry = &resolver->search_path[resolver->search_path_count++];
    entry->key = ig_strdup(parts->search_path[i].key);
    entry->value = ig_strdup(parts->search_path[i].value);
    if (!entry->key || !entry->value) return ig_fail_oom(reterr);
  }
  *ret_resolver = IG_TAKE(resolver);
  return IGLOO_OK;
}

ig_resolver *ig_resolver_ref(ig_resolver *resolver) {
  (void)__atomic_add_fetch(&resolver->refs, 1, __ATOMIC_RELAXED);
  return resolver;
}

ig_resolver *ig_resolver_unref(ig_resolver *resolver) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!resolver || __atomic_sub_fetch(&resolver->refs, 1, __ATOMIC_ACQ_REL) > 0)
    return NULL;
  for (size_t i = 0; i < resolver->search_path_count; i++) {
    ig_free((char *)(uintptr_t)resolver->search_path[i].key);
    ig_free((char *)(uintptr_t)resolver->search_path[i].value);
  }
  ig_free(resolver->search_path);
  if (resolver->sources) (void)ig_sources_unref(resolver->sources);
  ig_free(resolver->views);
  for (size_t i = 0; i < resolver->remotes_count; i++)
    (void)ig_remote_table_unref(resolver->remotes[i]);
  ig_free(resolver->remotes);
  (void)ig_session_tables_unref(resolver->own);
  (void)ig_system_tables_unref(resolver->system);
  (void)ig_snapshot_unref(resolver->snapshot);
  ig_free(resolver);
  return NULL;
}

ig_snapshot *ig_resolver_peek_snapshot(ig_resolver *resolver) {
  return resolver->snapshot;
}

bool ig_resolver_is_lasting(const ig_resolver *resolver) {
  return !resolver->is_fleeting && resolver->parts <= LASTING_PARTS_MAX;
}

ig_remote_table *const *ig_resolver_peek_remotes(const ig_resolver *resolver,
                                                 size_t *ret_count) {
  *ret_count = resolver->remotes_count;
  return resolver->remotes;
}

/* ---- objects of the catalog become tables ------------------------------------------ */

/* Copy texts into the table's arena. */
static igloo_status copy_texts(ig_scan_table *table, const char *const *from,
                               size_t count, const char *const **ret_texts,
                               struct igloo_error *reterr) {
  const char **out = ig_arena_alloc_array(table->arena, count + 1, sizeof(*out));
  if (!out) return ig_arena_fail(table->arena, reterr);
  for (size_t i = 0; i < count; i++) {
    out[i] = ig_arena_strdup(table->arena, ig_str_from_cstr(from[i]));
    if (!out[i]) return ig_arena_fail(table->arena, reterr);
  }
  *ret_texts = out;
  return IGLOO_OK;
}

static igloo_status describe_managed(const struct ig_object *object, ig_scan_table *table,
                                     struct igloo_error *reterr) {
  struct ig_file_list *list = &table->list;
  list->format = IG_FORMAT_PARQUET;
  list->files = ig_calloc(object->files_count + 1, sizeof(*list->files));
  if (!list->files) return ig_fail_oom(reterr);
  for (size_t i = 0; i < object->files_count; i++) {
    const struct ig_data_file *file = object->files[i];
    /* Names are random and files are never changed: the size alone identifies one. */
    list->files[i].id.size = file->size;
    list->files[i].path = ig_strdup(file->path);
    list->files_count++;
    if (!list->files[i].path) return ig_fail_oom(reterr);
  }
  return ig_schema_copy(object->columns, &table->columns, reterr);
}

static igloo_status describe_external(const ig_resolver *resolver,
                                      const struct ig_object *object,
                                      const ig_cancel *cancel, ig_scan_table *table,
                                      struct igloo_error *reterr) {
  IG_TRY(ig_paths_external(resolver->roots, object, cancel, table, reterr));
  if (object->columns) IG_TRY(ig_schema_copy(object->columns, &table->columns, reterr));
  if (object->partition_types)
    IG_TRY(ig_schema_copy(object->partition_types, &table->partition_schema, reterr));
  return IGLOO_OK;
}

static igloo_status describe_view(ig_resolver *resolver, const struct ig_object *object,
                                  ig_scan_table *table, struct igloo_error *reterr) {
  IG_TRY(IG_RESERVE(resolver->views, resolver->views_cap, resolver->views_count + 1,
                    SCOPES_MAX, "views in one statement", reterr));
  resolver->views[resolver->views_count++] = object;
  table->scope = resolver->views_count;
  table->sql = ig_arena_strdup(table->arena, ig_str_from_cstr(object->sql));
  if (!table->sql) return ig_arena_fail(table->arena, reterr);
  table->view_columns_count = object->column_names_count;
  return copy_texts(table, object->column_names, object->column_names_count,
                    &table->view_columns, reterr);
}

static igloo_status describe_object(ig_resolver *resolver, const struct ig_object *object,
                                    const ig_cancel *cancel, ig_scan_table **ret_table,
                                    struct igloo_error *reterr) {
  IG_AUTO(ig_scan_table) *table = NULL;
  IG_TRY(ig_scan_table_new(object->kind == IG_OBJECT_VIEW ? IG_SCAN_VIEW : IG_SCAN_FILES,
                           &table, reterr));
  table->snapshot = ig_snapshot_ref(resolver->snapshot);
  /* Borrowed from the snapshot that the table now holds. */
  table->catalog = IG_CATALOG_NAME;
  table->schema = object->schema;
  table->name = object->name;
  table->version = (uint64_t)object->version;
  switch (object->kind) {
    case IG_OBJECT_TABLE:
      IG_TRY(describe_managed(object, table, reterr));
      resolver->parts += object->files_count + (size_t)object->columns->n_children;
      break;
    case IG_OBJECT_EXTERNAL_TABLE:
      resolver->is_fleeting = true;
      IG_TRY(describe_external(resolver, object, cancel, table, reterr));
      break;
    case IG_OBJECT_VIEW:
      IG_TRY(describe_view(resolver, object, table, reterr));
      break;
  }
  *ret_table = IG_TAKE(table);
  return IGLOO_OK;
}

/* ---- lookup ------------------------------------------------------------------------ */

static bool is_virtual_schema(struct ig_str schema) {
  return ig_str_eq_cstr(schema, IG_SCHEMA_INFORMATION) ||
         ig_str_eq_cstr(schema, IG_SCHEMA_SYSTEM);
}

/* The table `name` of one schema; *ret_table stays NULL where there is none. */
static igloo_status find_in_schema(ig_resolver *resolver, struct ig_str schema,
                                   struct ig_str name, const ig_cancel *cancel,
                                   ig_scan_table **ret_table,
                                   struct igloo_error *reterr) {
  if (is_virtual_schema(schema))
    return ig_system_tables_scan(resolver->system, schema, name, resolver->snapshot,
                                 &resolver->who, ret_table, reterr);
  const struct ig_object *object = ig_snapshot_find(resolver->snapshot, schema, name);
  if (!object) return IGLOO_OK;
  return describe_object(resolver, object, cancel, ret_table, reterr);
}

static struct scope find_scope(const ig_resolver *resolver, uint64_t scope) {
  if (scope == 0)
    return (struct scope){resolver->search_path, resolver->search_path_count, true};
  IG_ASSERT(scope <= resolver->views_count);
  const struct ig_object *view = resolver->views[scope - 1];
  return (struct scope){view->search_path, view->search_path_count, false};
}

static bool scope_has(struct scope scope, struct ig_str schema) {
  for (size_t i = 0; i < scope.count; i++)
    if (strcmp(scope.schemas[i].key, IG_CATALOG_NAME) == 0 &&
        ig_str_eq_cstr(schema, scope.schemas[i].value))
      return true;
  return false;
}

/* The nearest name among the tables that the name could have meant, or NULL. `schema` is
 * empty for an unqualified name. Borrowed from the snapshot or static. */
static const char *nearest_table(const ig_resolver *resolver, struct scope scope,
                                 struct ig_str schema, struct ig_str name) {
  const char *best = NULL;
  size_t best_distance = 0;
  for (size_t i = 0; i < ig_snapshot_objects_count(resolver->snapshot); i++) {
    const struct ig_object *object = ig_snapshot_object(resolver->snapshot, i);
    struct ig_str object_schema = ig_str_from_cstr(object->schema);
    if (schema.len ? !ig_str_eq(schema, object_schema) : !scope_has(scope, object_schema))
      continue;
    const char *candidate = ig_str_nearest(name, &object->name, 1);
    if (!candidate) continue;
    size_t distance = ig_str_distance(name, ig_str_from_cstr(candidate), 8);
    if (best && distance >= best_distance) continue;
    best = candidate;
    best_distance = distance;
  }
  for (size_t i = 0; schema.len; i++) {
    const struct ig_system_table *system = ig_system_tables_at(resolver->system, i);
    if (!system) break;
    if (!best && ig_str_eq_cstr(schema, system->schema))
      best = ig_str_nearest(name, &system->name, 1);
  }
  return best;
}

static igloo_status fail_no_table(const ig_resolver *resolver, struct scope scope,
                                  struct ig_str schema, struct ig_str name,
                                  struct igloo_error *reterr) {
  enum ig_file_format format;
  if (schema.len) {
    (void)ig_fail_state(reterr, IGLOO_NOT_FOUND, "42P01",
                        "relation \"%.*s.%.*s\" does not exist", IG_STR_ARG(schema),
                        IG_STR_ARG(name));
    /* FROM data.parquet: a file whose name lacks its quotes. */
    IG_AUTO_CHAR *file = ig_asprintf("%.*s.%.*s", IG_STR_ARG(schema), IG_STR_ARG(name));
    if (file) ig_file_format_of(ig_str_from_cstr(file), &format, NULL);
    if (file && format != IG_FORMAT_UNKNOWN) {
      ig_error_hint(reterr, "To read a file, quote its name: FROM '%s'.", file);
      return IGLOO_NOT_FOUND;
    }
  } else {
    (void)ig_fail_state(reterr, IGLOO_NOT_FOUND, "42P01",
                        "relation \"%.*s\" does not exist", IG_STR_ARG(name));
    ig_file_format_of(name, &format, NULL);
    if (format != IG_FORMAT_UNKNOWN) {
      ig_error_hint(reterr,
                    "To read a file, write its name in single quotes: FROM '%.*s'.",
                    IG_STR_ARG(name));
      return IGLOO_NOT_FOUND;
    }
  }
  const char *near = nearest_table(resolver, scope, schema, name);
  if (near) ig_error_hint(reterr, "Perhaps you meant \"%s\".", near);
  return IGLOO_NOT_FOUND;
}

/* Attached, but its driver or secret was not to be had. */
static bool is_unavailable(const ig_resolver *resolver, struct ig_str catalog) {
  return ig_snapshot_find_attachment(resolver->snapshot, catalog) != NULL;
}

static igloo_status fail_unavailable(struct ig_str catalog, struct igloo_error *reterr) {
  (void)ig_fail(reterr, IGLOO_FAILED_PRECONDITION, "catalog \"%.*s\" is not available",
                IG_STR_ARG(catalog));
  ig_error_hint(reterr, "igloo.system.catalogs tells why; REFRESH CATALOG tries again.");
  return IGLOO_FAILED_PRECONDITION;
}

/* Our own catalog, or an error: it has no source. */
static igloo_status check_catalog(const ig_resolver *resolver, struct ig_str catalog,
                                  struct igloo_error *reterr) {
  if (ig_str_eq_cstr(catalog, IG_CATALOG_NAME)) return IGLOO_OK;
  if (is_unavailable(resolver, catalog)) return fail_unavailable(catalog, reterr);
  return ig_scan_fail_catalog(catalog, reterr);
}

static igloo_status check_schema(const ig_resolver *resolver, struct ig_str schema,
                                 struct igloo_error *reterr) {
  if (is_virtual_schema(schema) || ig_snapshot_has_schema(resolver->snapshot, schema))
    return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_NOT_FOUND, "3F000", "schema \"%.*s\" does not exist",
                       IG_STR_ARG(schema));
}

static ig_source *find_source(const ig_resolver *resolver, struct ig_str name) {
  return resolver->sources ? ig_sources_find(resolver->sources, name) : NULL;
}

static bool is_own(const struct ig_pair *place) {
  return strcmp(place->key, IG_CATALOG_NAME) == 0;
}

/* `table` by its place on a search path; *ret_table stays NULL where there is none. A
 * catalog that was detached has none. */
static igloo_status find_in_place(ig_resolver *resolver, const struct ig_pair *place,
                                  struct ig_str schema, struct ig_str name,
                                  ig_cancel *cancel, ig_scan_table **ret_table,
                                  struct igloo_error *reterr) {
  if (is_own(place))
    return find_in_schema(resolver, schema, name, cancel, ret_table, reterr);
  struct ig_str catalog = ig_str_from_cstr(place->key);
  IG_AUTO(ig_source) *source = find_source(resolver, catalog);
  if (!source)
    return is_unavailable(resolver, catalog) ? fail_unavailable(catalog, reterr)
                                             : IGLOO_OK;
  IG_TRY(ig_scan_remote_find(source, schema, name, cancel, ret_table, reterr));
  if (!*ret_table) resolver->is_fleeting = true; /* it may be there the next time */
  return IGLOO_OK;
}

/* catalog.schema.table */
static igloo_status find_whole(ig_resolver *resolver, struct scope scope,
                               const struct ig_str *parts, ig_cancel *cancel,
                               ig_scan_table **ret_table, struct igloo_error *reterr) {
  IG_AUTO(ig_source) *source = find_source(resolver, parts[0]);
  if (source)
    return ig_scan_remote_table(source, parts[1], parts[2], cancel, ret_table, reterr);
  IG_TRY(check_catalog(resolver, parts[0], reterr));
  IG_TRY(check_schema(resolver, parts[1], reterr));
  IG_TRY(find_in_schema(resolver, parts[1], parts[2], cancel, ret_table, reterr));
  return *ret_table ? IGLOO_OK
                    : fail_no_table(resolver, scope, parts[1], parts[2], reterr);
}

/* a.b: the table of a schema of one of the search path's catalogs, else of our own; else
 * of an attached database, in the schema that it takes where none is named. */
static igloo_status find_qualified(ig_resolver *resolver, struct scope scope,
                                   const struct ig_str *parts, ig_cancel *cancel,
                                   ig_scan_table **ret_table,
                                   struct igloo_error *reterr) {
  if (is_virtual_schema(parts[0])) {
    IG_TRY(find_in_schema(resolver, parts[0], parts[1], cancel, ret_table, reterr));
    return *ret_table ? IGLOO_OK
                      : fail_no_table(resolver, scope, parts[0], parts[1], reterr);
  }
  for (size_t i = 0; !*ret_table && i < scope.count; i++)
    if (i == 0 || strcmp(scope.schemas[i].key, scope.schemas[i - 1].key) != 0)
      IG_TRY(find_in_place(resolver, &scope.schemas[i], parts[0], parts[1], cancel,
                           ret_table, reterr));
  if (!*ret_table)
    IG_TRY(find_in_schema(resolver, parts[0], parts[1], cancel, ret_table, reterr));
  if (*ret_table) return IGLOO_OK;
  IG_AUTO(ig_source) *source = find_source(resolver, parts[0]);
  bool is_schema = ig_snapshot_has_schema(resolver->snapshot, parts[0]);
  if (!source && !is_schema && is_unavailable(resolver, parts[0]))
    return fail_unavailable(parts[0], reterr);
  if (!source || is_schema)
    return fail_no_table(resolver, scope, parts[0], parts[1], reterr);
  return ig_scan_remote_table(source, IG_STR(""), parts[1], cancel, ret_table, reterr);
}

static igloo_status note_remote(ig_resolver *resolver, ig_remote_table *remote,
                                struct igloo_error *reterr) {
  resolver->parts += (size_t)ig_remote_table_schema(remote)->n_children;
  IG_TRY(IG_RESERVE(resolver->remotes, resolver->remotes_cap, resolver->remotes_count + 1,
                    SCOPES_MAX, "tables in one statement", reterr));
  resolver->remotes[resolver->remotes_count++] = ig_remote_table_ref(remote);
  return IGLOO_OK;
}

igloo_status ig_resolver_table(ig_resolver *resolver, uint64_t scope_id,
                               const struct ig_str *parts, size_t parts_count,
                               ig_cancel *cancel, ig_scan_table **ret_table,
                               struct igloo_error *reterr) {
  struct scope scope = find_scope(resolver, scope_id);
  IG_AUTO(ig_scan_table) *found = NULL;
  if (parts_count > 3)
    return ig_fail(reterr, IGLOO_SYNTAX_ERROR,
                   "improper qualified name (too many dotted names)");
  if (parts_count == 3) {
    IG_TRY(find_whole(resolver, scope, parts, cancel, &found, reterr));
  } else if (parts_count == 2) {
    IG_TRY(find_qualified(resolver, scope, parts, cancel, &found, reterr));
  } else {
    if (scope.session)
      IG_TRY(ig_session_tables_scan(resolver->own, parts[0], &found, reterr));
    for (size_t i = 0; !found && i < scope.count; i++)
      IG_TRY(find_in_place(resolver, &scope.schemas[i],
                           ig_str_from_cstr(scope.schemas[i].value), parts[0], cancel,
                           &found, reterr));
    if (!found) return fail_no_table(resolver, scope, IG_STR(""), parts[0], reterr);
  }
  IG_ASSERT(found); /* whoever finds none has failed */
  if (found->kind == IG_SCAN_STREAM) resolver->is_fleeting = true;
  if (found->kind == IG_SCAN_REMOTE) IG_TRY(note_remote(resolver, found->remote, reterr));
  *ret_table = IG_TAKE(found);
  return IGLOO_OK;
}

igloo_status ig_resolver_target(ig_resolver *resolver, const struct ig_str *parts,
                                size_t parts_count, struct ig_str *ret_schema,
                                struct ig_str *ret_name, struct igloo_error *reterr) {
  if (parts_count < 1 || parts_count > 3)
    return ig_fail(reterr, IGLOO_SYNTAX_ERROR,
                   "improper qualified name (too many dotted names)");
  if (parts_count == 3) IG_TRY(check_catalog(resolver, parts[0], reterr));
  struct ig_str schema;
  if (parts_count >= 2) {
    schema = parts[parts_count - 2];
  } else {
    if (resolver->search_path_count == 0)
      return ig_fail_state(reterr, IGLOO_NOT_FOUND, "3F000",
                           "no schema has been selected to create in");
    schema = ig_str_from_cstr(resolver->search_path[0].value);
  }
  IG_TRY(check_schema(resolver, schema, reterr));
  if (is_virtual_schema(schema))
    return ig_fail(reterr, IGLOO_PERMISSION_DENIED,
                   "permission denied for schema \"%.*s\": its tables are made by Igloo",
                   IG_STR_ARG(schema));
  *ret_schema = schema;
  *ret_name = parts[parts_count - 1];
  return IGLOO_OK;
}

ig_source *ig_resolver_target_source(ig_resolver *resolver, const struct ig_str *parts,
                                     size_t parts_count, struct ig_str *ret_schema,
                                     struct ig_str *ret_name) {
  if (!resolver->sources || parts_count < 1 || parts_count > 3) return NULL;
  struct ig_str catalog = parts[0], schema = {0};
  const struct ig_pair *first =
      resolver->search_path_count ? &resolver->search_path[0] : NULL;
  if (parts_count == 3) {
    schema = parts[1];
  } else if (parts_count == 2 && ig_snapshot_has_schema(resolver->snapshot, parts[0])) {
    return NULL;
  } else if (parts_count == 1) {
    if (!first) return NULL;
    catalog = ig_str_from_cstr(first->key);
    schema = ig_str_from_cstr(first->value);
  }
  IG_AUTO(ig_source) *source = ig_sources_find(resolver->sources, catalog);
  if (!source && parts_count == 2 && first) {
    /* schema.table in the catalog that USE chose */
    source = ig_sources_find(resolver->sources, ig_str_from_cstr(first->key));
    schema = parts[0];
  }
  if (!source) return NULL;
  if (!schema.len) schema = ig_str_from_cstr(ig_source_default_schema(source));
  *ret_schema = schema;
  *ret_name = parts[parts_count - 1];
  return IG_TAKE(source);
}

/* ---- paths ------------------------------------------------------------------------- */

igloo_status ig_resolver_function(ig_resolver *resolver, struct ig_str name,
                                  const struct ig_scan_argument *arguments,
                                  size_t arguments_count, ig_cancel *cancel,
                                  ig_scan_table **ret_table, struct igloo_error *reterr) {
  resolver->is_fleeting = true;
  if (ig_str_eq_cstr(name, "remote_query"))
    return ig_scan_remote_query(resolver->sources, &resolver->who, arguments,
                                arguments_count, cancel, ret_table, reterr);
  return ig_paths_function(resolver->roots, name, arguments, arguments_count, cancel,
                           ret_table, reterr);
}

igloo_status ig_resolver_location(ig_resolver *resolver, struct ig_str location,
                                  struct ig_str format,
                                  const struct ig_scan_argument *options,
                                  size_t options_count, ig_cancel *cancel,
                                  ig_scan_table **ret_table, struct igloo_error *reterr) {
  resolver->is_fleeting = true;
  return ig_paths_location(resolver->roots, location, format, options, options_count,
                           cancel, ret_table, reterr);
}
