/* ddl.c -- statements that change the catalog and write no rows. */
#include "arrow/schema.h"
#include "base/limits.h"
#include "session/private.h"

/* ---- what several statements need -------------------------------------------------- */

/* Names, options and texts of one statement. */
#define ARENA_BYTES (8 * IG_MIB)

static igloo_status refuse_temporary(const struct ig_plan_description *description,
                                     struct igloo_error *reterr) {
  if (!(description->flags & IG_PLAN_TEMPORARY)) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_UNSUPPORTED,
                "temporary tables and views are not supported");
  ig_error_hint(reterr,
                "Without a data folder nothing outlives the process in any case.");
  return IGLOO_UNSUPPORTED;
}

igloo_status ig_ddl_check_columns(const struct ArrowSchema *columns,
                                  struct igloo_error *reterr) {
  if (columns->n_children == 0)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42P16",
                         "a table needs at least one column");
  for (int64_t i = 0; i < columns->n_children; i++) {
    struct ig_str name = ig_str_from_cstr(columns->children[i]->name);
    if (ig_schema_find(columns, name) != i)
      return ig_fail_state(reterr, IGLOO_ALREADY_EXISTS, "42701",
                           "column \"%.*s\" specified more than once", IG_STR_ARG(name));
  }
  return IGLOO_OK;
}

/* The texts as C strings in the arena. */
static igloo_status copy_texts(ig_arena *arena, const struct ig_str *from, size_t count,
                               const char *const **ret_texts,
                               struct igloo_error *reterr) {
  const char **out = ig_arena_alloc_array(arena, count + 1, sizeof(*out));
  if (!out) return ig_arena_fail(arena, reterr);
  for (size_t i = 0; i < count; i++) {
    out[i] = ig_arena_strdup(arena, from[i]);
    if (!out[i]) return ig_arena_fail(arena, reterr);
  }
  *ret_texts = out;
  return IGLOO_OK;
}

static igloo_status copy_text(ig_arena *arena, struct ig_str from, const char **ret_text,
                              struct igloo_error *reterr) {
  *ret_text = ig_arena_strdup(arena, from);
  return *ret_text ? IGLOO_OK : ig_arena_fail(arena, reterr);
}

/* Only the catalog's own objects are made and dropped here. */
static igloo_status refuse_source(const ig_session *session, ig_resolver *resolver,
                                  const struct ig_plan_description *description,
                                  const char *what, struct igloo_error *reterr) {
  struct ig_str schema, name;
  const ig_snapshot *snapshot = ig_resolver_peek_snapshot(resolver);
  IG_AUTO(ig_source) *source = ig_resolver_target_source(
      resolver, description->target, description->target_parts, &schema, &name);
  if (source) return ig_fail_of_source(source, what, reterr);
  /* One that is attached and not available. */
  if (description->target_parts < 2 ||
      !ig_attached_has(session->parts.attached, snapshot, description->target[0]) ||
      (description->target_parts == 2 &&
       ig_snapshot_has_schema(snapshot, description->target[0])))
    return IGLOO_OK;
  return ig_fail_catalog(session, description->target[0], reterr);
}

/* Names and definition of the object; *ret_exists says that IF NOT EXISTS has nothing to
 * do. */
static igloo_status begin_object(const ig_session *session, ig_resolver *resolver,
                                 const struct ig_plan_description *description,
                                 struct ig_str text, ig_arena *arena,
                                 struct ig_object *object, bool *ret_exists,
                                 struct igloo_error *reterr) {
  struct ig_str schema, name;
  IG_TRY(refuse_temporary(description, reterr));
  IG_TRY(refuse_source(session, resolver, description,
                       object->kind == IG_OBJECT_VIEW    ? "create a view"
                       : object->kind == IG_OBJECT_TABLE ? "create an empty table"
                                                         : "create an external table",
                       reterr));
  IG_TRY(ig_resolver_target(resolver, description->target, description->target_parts,
                            &schema, &name, reterr));
  *ret_exists = (description->flags & IG_PLAN_IF_NOT_EXISTS) &&
                ig_snapshot_find(ig_resolver_peek_snapshot(resolver), schema, name);
  IG_TRY(copy_text(arena, schema, &object->schema, reterr));
  IG_TRY(copy_text(arena, name, &object->name, reterr));
  return copy_text(arena, text, &object->definition, reterr);
}

/* ---- views ------------------------------------------------------------------------- */

static igloo_status fill_view(const ig_session_state *state,
                              const struct ig_plan_description *description,
                              ig_arena *arena, struct ig_object *object,
                              struct igloo_error *reterr) {
  IG_TRY(copy_text(arena, description->definition, &object->sql, reterr));
  IG_TRY(copy_texts(arena, description->view_columns, description->view_columns_count,
                    &object->column_names, reterr));
  object->column_names_count = description->view_columns_count;
  object->search_path = state->settings.search_path; /* borrowed */
  object->search_path_count = state->settings.search_path_count;
  return IGLOO_OK;
}

/* ---- external tables --------------------------------------------------------------- */

static bool is_partition(const ig_scan_table *table, const char *name) {
  for (size_t i = 0; i < table->list.partition_keys_count; i++)
    if (strcmp(table->list.partition_keys[i], name) == 0) return true;
  return false;
}

/* Of all columns, those that are (not) partition columns, in their order. Gives
 * *ret_part, or leaves it released where there is none. */
static igloo_status take_columns(const struct ArrowSchema *all,
                                 const ig_scan_table *table, bool partitions,
                                 struct ArrowSchema *ret_part,
                                 struct igloo_error *reterr) {
  size_t count = 0;
  for (int64_t i = 0; i < all->n_children; i++)
    count += is_partition(table, all->children[i]->name) == partitions;
  if (count == 0) return IGLOO_OK;
  IG_AUTO_SCHEMA part = {0};
  IG_TRY(ig_schema_new_struct(count, &part, reterr));
  size_t next = 0;
  for (int64_t i = 0; i < all->n_children; i++) {
    if (is_partition(table, all->children[i]->name) != partitions) continue;
    struct ArrowSchema *child = part.children[next++];
    if (child->release) child->release(child);
    IG_TRY(ig_schema_copy(all->children[i], child, reterr));
  }
  *ret_part = part;
  part.release = NULL;
  return IGLOO_OK;
}

/* PARTITIONED BY must name the folders that the files lie in. */
static igloo_status check_partitions(const ig_scan_table *table,
                                     const struct ig_plan_description *description,
                                     struct igloo_error *reterr) {
  for (size_t i = 0; i < description->partition_columns_count; i++) {
    IG_AUTO_CHAR *name = ig_str_dup(description->partition_columns[i]);
    if (!name) return ig_fail_oom(reterr);
    if (!is_partition(table, name))
      return ig_fail_state(
          reterr, IGLOO_NOT_FOUND, "42703",
          "partition column \"%s\" is not a folder \"%s=...\" of \"%.*s\"", name, name,
          IG_STR_ARG(description->location));
  }
  return IGLOO_OK;
}

static igloo_status resolve_files(const ig_session_state *state, ig_cancel *cancel,
                                  ig_resolver *resolver, const ig_plan *plan,
                                  const struct ig_plan_description *description,
                                  ig_arena *arena, ig_scan_table **ret_table,
                                  struct ArrowSchema *ret_columns,
                                  struct igloo_error *reterr) {
  struct ig_scan_argument *options =
      ig_arena_alloc_array(arena, description->options_count + 1, sizeof(*options));
  if (!options) return ig_arena_fail(arena, reterr);
  for (size_t i = 0; i < description->options_count; i++)
    options[i] = (struct ig_scan_argument){.name = description->options[i].key,
                                           .text = description->options[i].value};
  IG_AUTO(ig_scan_table) *table = NULL;
  IG_TRY(ig_resolver_location(resolver, description->location, description->format,
                              options, description->options_count, cancel, &table,
                              reterr));
  IG_TRY(check_partitions(table, description, reterr));
  if (description->has_columns)
    IG_TRY(ig_plan_schema(plan, ret_columns, reterr));
  else
    IG_TRY(ig_plan_infer(state->plan_context, table, cancel, ret_columns, reterr));
  *ret_table = IG_TAKE(table);
  return IGLOO_OK;
}

/* The object's columns and partitions are given to the caller beside it. */
static igloo_status fill_external(const ig_scan_table *table,
                                  const struct ig_plan_description *description,
                                  const struct ArrowSchema *all, ig_arena *arena,
                                  struct ig_object *object, struct ArrowSchema *columns,
                                  struct ArrowSchema *partitions,
                                  struct igloo_error *reterr) {
  IG_TRY(take_columns(all, table, false, columns, reterr));
  IG_TRY(take_columns(all, table, true, partitions, reterr));
  object->columns = columns->release ? columns : NULL;
  object->partition_types = partitions->release ? partitions : NULL;
  object->format = ig_file_format_name(table->list.format);
  /* A relative location means the same file wherever the next process starts. */
  IG_AUTO_CHAR *location = NULL;
  IG_TRY(ig_path_absolute(description->location, &location, reterr));
  const char **locations = ig_arena_alloc_array(arena, 1, sizeof(*locations));
  struct ig_pair *pairs =
      ig_arena_alloc_array(arena, description->options_count + 1, sizeof(*pairs));
  if (!locations || !pairs) return ig_arena_fail(arena, reterr);
  IG_TRY(copy_text(arena, ig_str_from_cstr(location), &locations[0], reterr));
  object->locations = locations;
  object->locations_count = 1;
  for (size_t i = 0; i < description->options_count; i++) {
    IG_TRY(copy_text(arena, description->options[i].key, &pairs[i].key, reterr));
    IG_TRY(copy_text(arena, description->options[i].value, &pairs[i].value, reterr));
  }
  object->options = pairs;
  object->options_count = description->options_count;
  object->partition_columns = (const char *const *)table->list.partition_keys;
  object->partition_columns_count =
      partitions->release ? table->list.partition_keys_count : 0;
  return IGLOO_OK;
}

/* ---- creating ---------------------------------------------------------------------- */

/* One change, one commit. */
static igloo_status commit_object(ig_session *session, const struct ig_object *object,
                                  bool replace, struct igloo_error *reterr) {
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_TRY(ig_catalog_begin(session->parts.catalog, &change, reterr));
  IG_TRY(ig_catalog_create(change, object, NULL, 0, replace, reterr));
  return ig_session_commit(session, IG_TAKE(change), NULL, reterr);
}

/* CREATE VIEW, CREATE TABLE (columns) and CREATE EXTERNAL TABLE. */
static igloo_status create(ig_session *session, ig_cancel *cancel, ig_resolver *resolver,
                           const ig_plan *plan,
                           const struct ig_plan_description *description,
                           enum ig_object_kind kind, struct ig_str text,
                           struct igloo_error *reterr) {
  IG_AUTO(ig_arena) *arena = ig_arena_new(ARENA_BYTES);
  if (!arena) return ig_fail_oom(reterr);
  struct ig_object object = {.kind = kind};
  bool exists;
  IG_TRY(begin_object(session, resolver, description, text, arena, &object, &exists,
                      reterr));
  if (exists) return IGLOO_OK;
  IG_AUTO(ig_scan_table) *table = NULL;
  IG_AUTO_SCHEMA all = {0};
  IG_AUTO_SCHEMA columns = {0};
  IG_AUTO_SCHEMA partitions = {0};
  char folder[IG_RANDOM_NAME_BYTES];
  IG_AUTO(ig_session_state) *state = ig_session_state_get(session);
  if (kind == IG_OBJECT_EXTERNAL_TABLE)
    IG_TRY(resolve_files(state, cancel, resolver, plan, description, arena, &table, &all,
                         reterr));
  else
    IG_TRY(ig_plan_schema(plan, &all, reterr));
  IG_TRY(ig_ddl_check_columns(&all, reterr));
  object.columns = &all;
  switch (kind) {
    case IG_OBJECT_VIEW:
      IG_TRY(fill_view(state, description, arena, &object, reterr));
      break;
    case IG_OBJECT_TABLE:
      IG_TRY(ig_random_name(folder, reterr));
      object.folder = folder;
      break;
    case IG_OBJECT_EXTERNAL_TABLE:
      IG_TRY(fill_external(table, description, &all, arena, &object, &columns,
                           &partitions, reterr));
      break;
  }
  return commit_object(session, &object, (description->flags & IG_PLAN_OR_REPLACE) != 0,
                       reterr);
}

/* ---- dropping -------------------------------------------------------------------- */

static igloo_status drop(ig_session *session, ig_resolver *resolver,
                         const struct ig_plan_description *description, bool view,
                         struct igloo_error *reterr) {
  if (!view && description->target_parts == 1 &&
      ig_session_tables_drop(session->own, description->target[0]))
    return IGLOO_OK;
  IG_TRY(refuse_source(session, resolver, description,
                       view ? "drop a view" : "drop a table", reterr));
  bool if_exists = (description->flags & IG_PLAN_IF_EXISTS) != 0;
  struct ig_str schema, name;
  struct igloo_error missing;
  igloo_status status = ig_resolver_target(
      resolver, description->target, description->target_parts, &schema, &name, &missing);
  if (status == IGLOO_NOT_FOUND && if_exists) return IGLOO_OK;
  if (status != IGLOO_OK) {
    if (reterr) *reterr = missing;
    return status;
  }
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_TRY(ig_catalog_begin(session->parts.catalog, &change, reterr));
  if (if_exists && !ig_catalog_change_find(change, schema, name)) return IGLOO_OK;
  IG_TRY(ig_catalog_drop(change, schema, name, view, reterr));
  return ig_session_commit(session, IG_TAKE(change), NULL, reterr);
}

/* ---- entries --------------------------------------------------------------------- */

igloo_status ig_ddl_run(ig_session *session, ig_cancel *cancel, ig_resolver *resolver,
                        const ig_plan *plan,
                        const struct ig_plan_description *description, struct ig_str text,
                        struct igloo_error *reterr) {
  enum ig_object_kind kind = IG_OBJECT_TABLE;
  switch (description->kind) {
    case IG_PLAN_CREATE_VIEW:
      kind = IG_OBJECT_VIEW;
      break;
    case IG_PLAN_CREATE_TABLE:
      break;
    case IG_PLAN_CREATE_EXTERNAL_TABLE:
      kind = IG_OBJECT_EXTERNAL_TABLE;
      break;
    case IG_PLAN_DROP_TABLE:
      return drop(session, resolver, description, false, reterr);
    case IG_PLAN_DROP_VIEW:
      return drop(session, resolver, description, true, reterr);
    case IG_PLAN_QUERY:
    case IG_PLAN_INSERT:
    case IG_PLAN_COPY:
    case IG_PLAN_CREATE_TABLE_AS:
      return ig_fail(reterr, IGLOO_INTERNAL,
                     "a statement that is no DDL came to the catalog");
  }
  return create(session, cancel, resolver, plan, description, kind, text, reterr);
}

igloo_status ig_ddl_create_schema(ig_session *session, struct ig_str name,
                                  bool if_not_exists, struct igloo_error *reterr) {
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_TRY(ig_catalog_begin(session->parts.catalog, &change, reterr));
  if (if_not_exists && ig_catalog_change_has_schema(change, name)) return IGLOO_OK;
  IG_TRY(ig_catalog_create_schema(change, name, reterr));
  return ig_session_commit(session, IG_TAKE(change), NULL, reterr);
}

igloo_status ig_ddl_drop_schema(ig_session *session, struct ig_str name, bool if_exists,
                                bool cascade, struct igloo_error *reterr) {
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_TRY(ig_catalog_begin(session->parts.catalog, &change, reterr));
  if (if_exists && !ig_catalog_change_has_schema(change, name)) return IGLOO_OK;
  IG_TRY(ig_catalog_drop_schema(change, name, cascade, reterr));
  return ig_session_commit(session, IG_TAKE(change), NULL, reterr);
}
