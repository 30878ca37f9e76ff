/* information_schema.c -- see information_schema.h. */
#include "scan/information_schema.h"

#include "arrow/schema.h"
#include "scan/resolver.h"

/* A type's name in SQL is short; a deep struct's may be long. */
#define TYPE_NAME_BYTES_MAX (64 * 1024)

static const char *cell_type_name(enum ig_cell cell) {
  switch (cell) {
    case IG_CELL_TEXT:
      return "text";
    case IG_CELL_BINARY:
      return "bytea";
    case IG_CELL_BOOL:
      return "boolean";
    case IG_CELL_INT32:
      return "integer";
    case IG_CELL_INT64:
      return "bigint";
    case IG_CELL_DOUBLE:
      return "double precision";
    case IG_CELL_TIMESTAMP:
      return "timestamp with time zone";
  }
  return "unknown";
}

/* ---- attached databases ------------------------------------------------------------ */

/* One table of a source; `first`: no other of its schema came before. */
typedef void (*add_listed)(ig_rows *rows, const char *catalog,
                           const struct ig_source_listing *table, bool first);

/* Add what the source lists. One that cannot be reached now lists nothing: the others are
 * to be seen all the same. */
static igloo_status list_source(ig_source *source, ig_rows *rows, add_listed add,
                                struct igloo_error *reterr) {
  const struct ig_source_listing *list = NULL;
  size_t count = 0;
  void *hold = NULL;
  struct igloo_error error = {0};
  igloo_status status = ig_source_list(source, NULL, &list, &count, &hold, &error);
  if (status == IGLOO_OUT_OF_MEMORY) return ig_fail_oom(reterr);
  if (status != IGLOO_OK) return IGLOO_OK;
  for (size_t i = 0; i < count; i++)
    add(rows, ig_source_name(source), &list[i],
        i == 0 || strcmp(list[i].schema, list[i - 1].schema) != 0);
  ig_source_list_free(hold);
  return IGLOO_OK;
}

static igloo_status list_sources(const ig_system_tables *tables, ig_snapshot *snapshot,
                                 ig_rows *rows, add_listed add,
                                 struct igloo_error *reterr) {
  ig_sources *sources = ig_system_tables_peek_sources(tables);
  for (size_t i = 0; sources && i < ig_snapshot_attachments_count(snapshot); i++) {
    const char *name = ig_snapshot_attachment(snapshot, i)->name;
    IG_AUTO(ig_source) *source = ig_sources_find(sources, ig_str_from_cstr(name));
    if (source) IG_TRY(list_source(source, rows, add, reterr));
  }
  return IGLOO_OK;
}

/* ---- schemata ---------------------------------------------------------------------- */

static const struct ig_rows_column schemata_columns[] = {
    {"catalog_name", IG_CELL_TEXT, true},
    {"schema_name", IG_CELL_TEXT, true},
    {"schema_owner", IG_CELL_TEXT, false},
};

static void add_schema(ig_rows *rows, const char *catalog, const char *schema) {
  ig_rows_cstr(rows, catalog);
  ig_rows_cstr(rows, schema);
  ig_rows_null(rows); /* owners come with users */
}

static void add_source_schema(ig_rows *rows, const char *catalog,
                              const struct ig_source_listing *table, bool first) {
  if (first) add_schema(rows, catalog, table->schema);
}

static igloo_status fill_schemata(void *ctx, const struct ig_identity *who IG_UNUSED,
                                  ig_snapshot *snapshot, ig_rows *rows,
                                  struct igloo_error *reterr) {
  for (size_t i = 0; i < ig_snapshot_schemas_count(snapshot); i++)
    add_schema(rows, IG_CATALOG_NAME, ig_snapshot_schema(snapshot, i));
  add_schema(rows, IG_CATALOG_NAME, IG_SCHEMA_INFORMATION);
  add_schema(rows, IG_CATALOG_NAME, IG_SCHEMA_SYSTEM);
  return list_sources(ctx, snapshot, rows, add_source_schema, reterr);
}

/* ---- tables ------------------------------------------------------------------------ */

static const struct ig_rows_column tables_columns[] = {
    {"table_catalog", IG_CELL_TEXT, true},
    {"table_schema", IG_CELL_TEXT, true},
    {"table_name", IG_CELL_TEXT, true},
    {"table_type", IG_CELL_TEXT, true},
};

static void add_name(ig_rows *rows, const char *schema, const char *name) {
  ig_rows_cstr(rows, IG_CATALOG_NAME);
  ig_rows_cstr(rows, schema);
  ig_rows_cstr(rows, name);
}

static const char *table_type(enum ig_object_kind kind) {
  switch (kind) {
    case IG_OBJECT_TABLE:
      return "BASE TABLE";
    case IG_OBJECT_EXTERNAL_TABLE:
      return "FOREIGN";
    case IG_OBJECT_VIEW:
      return "VIEW";
  }
  return "";
}

static void add_source_table(ig_rows *rows, const char *catalog,
                             const struct ig_source_listing *table,
                             bool first IG_UNUSED) {
  ig_rows_cstr(rows, catalog);
  ig_rows_cstr(rows, table->schema);
  ig_rows_cstr(rows, table->name);
  ig_rows_cstr(rows, table->view ? "VIEW" : "BASE TABLE");
}

static igloo_status fill_tables(void *ctx, const struct ig_identity *who IG_UNUSED,
                                ig_snapshot *snapshot, ig_rows *rows,
                                struct igloo_error *reterr) {
  for (size_t i = 0; i < ig_snapshot_objects_count(snapshot); i++) {
    const struct ig_object *object = ig_snapshot_object(snapshot, i);
    add_name(rows, object->schema, object->name);
    ig_rows_cstr(rows, table_type(object->kind));
  }
  const struct ig_system_table *table;
  for (size_t i = 0; (table = ig_system_tables_at(ctx, i)) != NULL; i++) {
    add_name(rows, table->schema, table->name);
    ig_rows_cstr(rows, "SYSTEM VIEW");
  }
  return list_sources(ctx, snapshot, rows, add_source_table, reterr);
}

/* ---- columns --------------------------------------------------------------------- */

static const struct ig_rows_column columns_columns[] = {
    {"table_catalog", IG_CELL_TEXT, true},     {"table_schema", IG_CELL_TEXT, true},
    {"table_name", IG_CELL_TEXT, true},        {"column_name", IG_CELL_TEXT, true},
    {"ordinal_position", IG_CELL_INT32, true}, {"column_default", IG_CELL_TEXT, false},
    {"is_nullable", IG_CELL_TEXT, true},       {"data_type", IG_CELL_TEXT, true},
};

/* The rest of a row after the table's name. */
static void add_column(ig_rows *rows, struct ig_str name, int64_t position, bool nullable,
                       struct ig_str type) {
  ig_rows_text(rows, name);
  ig_rows_i64(rows, position);
  ig_rows_null(rows); /* no defaults */
  ig_rows_cstr(rows, nullable ? "YES" : "NO");
  ig_rows_text(rows, type);
}

static igloo_status add_fields(ig_rows *rows, const struct ig_object *object,
                               const struct ArrowSchema *fields, int64_t *position,
                               struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) type = IG_BUF_INIT(TYPE_NAME_BYTES_MAX);
  for (int64_t i = 0; fields && i < fields->n_children; i++) {
    const struct ArrowSchema *field = fields->children[i];
    ig_buf_clear(&type);
    ig_arrow_type_name(field, &type);
    IG_TRY(ig_buf_check(&type, reterr));
    add_name(rows, object->schema, object->name);
    add_column(rows, ig_str_from_cstr(field->name), ++*position,
               (field->flags & ARROW_FLAG_NULLABLE) != 0, ig_buf_str(&type));
  }
  return IGLOO_OK;
}

static igloo_status fill_columns(void *ctx, const struct ig_identity *who IG_UNUSED,
                                 ig_snapshot *snapshot, ig_rows *rows,
                                 struct igloo_error *reterr) {
  for (size_t i = 0; i < ig_snapshot_objects_count(snapshot); i++) {
    const struct ig_object *object = ig_snapshot_object(snapshot, i);
    int64_t position = 0;
    IG_TRY(add_fields(rows, object, object->columns, &position, reterr));
    IG_TRY(add_fields(rows, object, object->partition_types, &position, reterr));
  }
  const struct ig_system_table *table;
  for (size_t i = 0; (table = ig_system_tables_at(ctx, i)) != NULL; i++) {
    for (size_t c = 0; c < table->columns_count; c++) {
      const struct ig_rows_column *column = &table->columns[c];
      add_name(rows, table->schema, table->name);
      add_column(rows, ig_str_from_cstr(column->name), (int64_t)c + 1, !column->required,
                 ig_str_from_cstr(cell_type_name(column->type)));
    }
  }
  return IGLOO_OK;
}

/* ---- views ----------------------------------------------------------------------- */

static const struct ig_rows_column views_columns[] = {
    {"table_catalog", IG_CELL_TEXT, true},
    {"table_schema", IG_CELL_TEXT, true},
    {"table_name", IG_CELL_TEXT, true},
    {"view_definition", IG_CELL_TEXT, true},
};

static igloo_status fill_views(void *ctx IG_UNUSED,
                               const struct ig_identity *who IG_UNUSED,
                               ig_snapshot *snapshot, ig_rows *rows,
                               struct igloo_error *reterr IG_UNUSED) {
  for (size_t i = 0; i < ig_snapshot_objects_count(snapshot); i++) {
    const struct ig_object *object = ig_snapshot_object(snapshot, i);
    if (object->kind != IG_OBJECT_VIEW) continue;
    add_name(rows, object->schema, object->name);
    ig_rows_cstr(rows, object->sql);
  }
  return IGLOO_OK;
}

const struct ig_system_table *ig_information_schema(size_t *ret_count) {
  static const struct ig_system_table tables[] = {
      {IG_SCHEMA_INFORMATION, "schemata", schemata_columns,
       IG_ARRAY_LEN(schemata_columns), fill_schemata},
      {IG_SCHEMA_INFORMATION, "tables", tables_columns, IG_ARRAY_LEN(tables_columns),
       fill_tables},
      {IG_SCHEMA_INFORMATION, "columns", columns_columns, IG_ARRAY_LEN(columns_columns),
       fill_columns},
      {IG_SCHEMA_INFORMATION, "views", views_columns, IG_ARRAY_LEN(views_columns),
       fill_views},
  };
  *ret_count = IG_ARRAY_LEN(tables);
  return tables;
}
