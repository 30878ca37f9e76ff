/* objects.c -- see objects.h. Each level of the answer is a list in the one outside; a
 * level is closed when the next one of its kind, or of an outer kind, begins. */
#include "common/objects.h"

#include <string.h>

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/mem.h"
#include "common/schema.h"

static const struct igd_field usage_fields[] = {
    {"fk_catalog", "u", false, NULL, 0},
    {"fk_db_schema", "u", false, NULL, 0},
    {"fk_table", "u", true, NULL, 0},
    {"fk_column_name", "u", true, NULL, 0},
};
static const struct igd_field usage_item[] = {
    {"item", "+s", false, IGD_CHILDREN(usage_fields)}};
static const struct igd_field text_item[] = {{"item", "u", false, NULL, 0}};
static const struct igd_field constraint_fields[] = {
    {"constraint_name", "u", false, NULL, 0},
    {"constraint_type", "u", true, NULL, 0},
    {"constraint_column_names", "+l", true, IGD_CHILDREN(text_item)},
    {"constraint_column_usage", "+l", false, IGD_CHILDREN(usage_item)},
};
static const struct igd_field constraint_item[] = {
    {"item", "+s", false, IGD_CHILDREN(constraint_fields)}};
static const struct igd_field column_fields[] = {
    {"column_name", "u", true, NULL, 0},
    {"ordinal_position", "i", false, NULL, 0},
    {"remarks", "u", false, NULL, 0},
    {"xdbc_data_type", "s", false, NULL, 0},
    {"xdbc_type_name", "u", false, NULL, 0},
    {"xdbc_column_size", "i", false, NULL, 0},
    {"xdbc_decimal_digits", "s", false, NULL, 0},
    {"xdbc_num_prec_radix", "s", false, NULL, 0},
    {"xdbc_nullable", "s", false, NULL, 0},
    {"xdbc_column_def", "u", false, NULL, 0},
    {"xdbc_sql_data_type", "s", false, NULL, 0},
    {"xdbc_datetime_sub", "s", false, NULL, 0},
    {"xdbc_char_octet_length", "i", false, NULL, 0},
    {"xdbc_is_nullable", "u", false, NULL, 0},
    {"xdbc_scope_catalog", "u", false, NULL, 0},
    {"xdbc_scope_schema", "u", false, NULL, 0},
    {"xdbc_scope_table", "u", false, NULL, 0},
    {"xdbc_is_autoincrement", "b", false, NULL, 0},
    {"xdbc_is_generatedcolumn", "b", false, NULL, 0},
};
static const struct igd_field column_item[] = {
    {"item", "+s", false, IGD_CHILDREN(column_fields)}};
static const struct igd_field table_fields[] = {
    {"table_name", "u", true, NULL, 0},
    {"table_type", "u", true, NULL, 0},
    {"table_columns", "+l", false, IGD_CHILDREN(column_item)},
    {"table_constraints", "+l", false, IGD_CHILDREN(constraint_item)},
};
static const struct igd_field table_item[] = {
    {"item", "+s", false, IGD_CHILDREN(table_fields)}};
static const struct igd_field schema_fields[] = {
    {"db_schema_name", "u", false, NULL, 0},
    {"db_schema_tables", "+l", false, IGD_CHILDREN(table_item)},
};
static const struct igd_field schema_item[] = {
    {"item", "+s", false, IGD_CHILDREN(schema_fields)}};
static const struct igd_field catalog_fields[] = {
    {"catalog_name", "u", false, NULL, 0},
    {"catalog_db_schemas", "+l", false, IGD_CHILDREN(schema_item)},
};
static const struct igd_field objects_field = {"", "+s", true,
                                               IGD_CHILDREN(catalog_fields)};

struct igd_objects {
  struct igd_objects_filter filter; /* borrowed */
  int depth;                        /* 1 to 4 */
  struct ArrowSchema schema;
  struct ArrowArray array;
  bool in_catalog, in_schema, in_table; /* an element of that level is open */
  int failed;                           /* the first failure of nanoarrow */
};

/* ---- filters -------------------------------------------------------------------------
 */

static size_t char_bytes(const char *at) {
  size_t bytes = 1;
  while (((unsigned char)at[bytes] & 0xc0) == 0x80) bytes++;
  return bytes;
}

bool igd_pattern_matches(const char *pattern, const char *name) {
  if (!pattern) return true;
  if (!name) return *pattern == '\0';
  const char *star = NULL, *mark = NULL; /* where to go on after the last % */
  while (*name) {
    if (*pattern == '%') {
      star = ++pattern;
      mark = name;
    } else if (*pattern == '_') {
      pattern++;
      name += char_bytes(name);
    } else if (*pattern == *name) {
      pattern++;
      name++;
    } else if (star) {
      pattern = star;
      mark += char_bytes(mark);
      name = mark;
    } else {
      return false;
    }
  }
  while (*pattern == '%') pattern++;
  return *pattern == '\0';
}

bool igd_objects_want_catalog(const igd_objects *objects, const char *name) {
  return igd_pattern_matches(objects->filter.catalog, name);
}

bool igd_objects_want_schema(const igd_objects *objects, const char *name) {
  return objects->depth >= 2 && igd_pattern_matches(objects->filter.schema, name);
}

bool igd_objects_want_table(const igd_objects *objects, const char *name,
                            const char *type) {
  if (objects->depth < 3 || !igd_pattern_matches(objects->filter.table, name))
    return false;
  const char *const *types = objects->filter.table_types;
  if (!types) return true;
  for (; *types; types++)
    if (strcmp(*types, type) == 0) return true;
  return false;
}

bool igd_objects_want_columns(const igd_objects *objects) {
  return objects->depth >= 4;
}

const struct igd_objects_filter *igd_objects_filter(const igd_objects *objects) {
  return &objects->filter;
}

/* ---- appending -----------------------------------------------------------------------
 */

static void note(igd_objects *objects, int code) {
  if (objects->failed == NANOARROW_OK) objects->failed = code;
}

static int append_text(struct ArrowArray *array, const char *text) {
  return text ? ArrowArrayAppendString(array, ArrowCharView(text))
              : ArrowArrayAppendNull(array, 1);
}

/* An int that is NULL below zero. */
static int append_size(struct ArrowArray *array, int64_t value) {
  return value < 0 ? ArrowArrayAppendNull(array, 1) : ArrowArrayAppendInt(array, value);
}

static struct ArrowArray *catalog_array(igd_objects *objects) {
  return &objects->array;
}
static struct ArrowArray *schema_array(igd_objects *objects) {
  return catalog_array(objects)->children[1]->children[0];
}
static struct ArrowArray *table_array(igd_objects *objects) {
  return schema_array(objects)->children[1]->children[0];
}

/* End an element of a list of lists: the inner list where the depth has it, else NULL. */
static int end_list(struct ArrowArray *list, bool there) {
  return there ? ArrowArrayFinishElement(list) : ArrowArrayAppendNull(list, 1);
}

static int end_table(igd_objects *objects) {
  struct ArrowArray *table = table_array(objects);
  NANOARROW_RETURN_NOT_OK(end_list(table->children[2], objects->depth >= 4));
  NANOARROW_RETURN_NOT_OK(end_list(table->children[3], objects->depth >= 4));
  return ArrowArrayFinishElement(table);
}

static int end_schema(igd_objects *objects) {
  struct ArrowArray *schema = schema_array(objects);
  NANOARROW_RETURN_NOT_OK(end_list(schema->children[1], objects->depth >= 3));
  return ArrowArrayFinishElement(schema);
}

static int end_catalog(igd_objects *objects) {
  struct ArrowArray *catalog = catalog_array(objects);
  NANOARROW_RETURN_NOT_OK(end_list(catalog->children[1], objects->depth >= 2));
  return ArrowArrayFinishElement(catalog);
}

static void close_table(igd_objects *objects) {
  if (objects->in_table && objects->failed == NANOARROW_OK)
    note(objects, end_table(objects));
  objects->in_table = false;
}

static void close_schema(igd_objects *objects) {
  close_table(objects);
  if (objects->in_schema && objects->failed == NANOARROW_OK)
    note(objects, end_schema(objects));
  objects->in_schema = false;
}

static void close_catalog(igd_objects *objects) {
  close_schema(objects);
  if (objects->in_catalog && objects->failed == NANOARROW_OK)
    note(objects, end_catalog(objects));
  objects->in_catalog = false;
}

void igd_objects_catalog(igd_objects *objects, const char *name) {
  close_catalog(objects);
  if (objects->failed || !igd_objects_want_catalog(objects, name)) return;
  objects->in_catalog = true;
  note(objects, append_text(catalog_array(objects)->children[0], name));
}

void igd_objects_schema(igd_objects *objects, const char *name) {
  close_schema(objects);
  if (objects->failed || !objects->in_catalog || !igd_objects_want_schema(objects, name))
    return;
  objects->in_schema = true;
  note(objects, append_text(schema_array(objects)->children[0], name));
}

void igd_objects_table(igd_objects *objects, const char *name, const char *type) {
  close_table(objects);
  if (objects->failed || !objects->in_schema ||
      !igd_objects_want_table(objects, name, type))
    return;
  objects->in_table = true;
  note(objects, append_text(table_array(objects)->children[0], name));
  note(objects, append_text(table_array(objects)->children[1], type));
}

static int add_column(struct ArrowArray *array, const struct igd_object_column *column) {
  struct ArrowArray **cells = array->children;
  NANOARROW_RETURN_NOT_OK(append_text(cells[0], column->name));
  NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(cells[1], column->position));
  NANOARROW_RETURN_NOT_OK(append_text(cells[2], column->remarks));
  NANOARROW_RETURN_NOT_OK(column->data_type
                              ? ArrowArrayAppendInt(cells[3], column->data_type)
                              : ArrowArrayAppendNull(cells[3], 1));
  NANOARROW_RETURN_NOT_OK(append_text(cells[4], column->type));
  NANOARROW_RETURN_NOT_OK(append_size(cells[5], column->size));
  NANOARROW_RETURN_NOT_OK(append_size(cells[6], column->digits));
  NANOARROW_RETURN_NOT_OK(append_size(cells[7], column->size >= 0 ? 10 : -1));
  NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(cells[8], column->nullable));
  NANOARROW_RETURN_NOT_OK(append_text(cells[9], column->initial));
  for (int i = 10; i <= 12; i++)
    NANOARROW_RETURN_NOT_OK(ArrowArrayAppendNull(cells[i], 1));
  NANOARROW_RETURN_NOT_OK(append_text(cells[13], column->nullable ? "YES" : "NO"));
  for (int i = 14; i <= 16; i++)
    NANOARROW_RETURN_NOT_OK(ArrowArrayAppendNull(cells[i], 1));
  NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(cells[17], column->autoincrement));
  NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(cells[18], column->generated));
  return ArrowArrayFinishElement(array);
}

void igd_objects_column(igd_objects *objects, const struct igd_object_column *column) {
  if (objects->failed || !objects->in_table || objects->depth < 4 ||
      !igd_pattern_matches(objects->filter.column, column->name))
    return;
  note(objects, add_column(table_array(objects)->children[2]->children[0], column));
}

static int add_usage(struct ArrowArray *array, const struct igd_object_usage *usage) {
  NANOARROW_RETURN_NOT_OK(append_text(array->children[0], usage->catalog));
  NANOARROW_RETURN_NOT_OK(append_text(array->children[1], usage->schema));
  NANOARROW_RETURN_NOT_OK(append_text(array->children[2], usage->table));
  NANOARROW_RETURN_NOT_OK(append_text(array->children[3], usage->column));
  return ArrowArrayFinishElement(array);
}

static int add_constraint(struct ArrowArray *array,
                          const struct igd_object_constraint *constraint) {
  struct ArrowArray **cells = array->children;
  NANOARROW_RETURN_NOT_OK(append_text(cells[0], constraint->name));
  NANOARROW_RETURN_NOT_OK(append_text(cells[1], constraint->type));
  for (size_t i = 0; i < constraint->columns_count; i++)
    NANOARROW_RETURN_NOT_OK(append_text(cells[2]->children[0], constraint->columns[i]));
  NANOARROW_RETURN_NOT_OK(ArrowArrayFinishElement(cells[2]));
  for (size_t i = 0; i < constraint->usage_count; i++)
    NANOARROW_RETURN_NOT_OK(add_usage(cells[3]->children[0], &constraint->usage[i]));
  NANOARROW_RETURN_NOT_OK(end_list(cells[3], constraint->usage_count > 0));
  return ArrowArrayFinishElement(array);
}

void igd_objects_constraint(igd_objects *objects,
                            const struct igd_object_constraint *constraint) {
  if (objects->failed || !objects->in_table || objects->depth < 4) return;
  note(objects,
       add_constraint(table_array(objects)->children[3]->children[0], constraint));
}

/* ---- the frame -----------------------------------------------------------------------
 */

igloo_status igd_objects_new(const struct igd_objects_filter *filter,
                             igd_objects **ret_objects, struct igd_error *reterr) {
  if (filter->depth < ADBC_OBJECT_DEPTH_ALL || filter->depth > ADBC_OBJECT_DEPTH_TABLES)
    return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT, "invalid depth %d",
                   filter->depth);
  igd_objects *objects = ig_calloc(1, sizeof(*objects));
  if (!objects) return ig_fail_oom(&reterr->base);
  objects->filter = *filter;
  objects->depth = filter->depth == ADBC_OBJECT_DEPTH_ALL ? 4 : filter->depth;
  igloo_status status =
      igd_schema_build(&objects_field, &objects->schema, &objects->array, reterr);
  if (status != IGLOO_OK) {
    igd_objects_free(objects);
    return status;
  }
  *ret_objects = objects;
  return IGLOO_OK;
}

igd_objects *igd_objects_free(igd_objects *objects) {
  if (!objects) return NULL;
  ig_schema_done(&objects->schema);
  ig_array_done(&objects->array);
  ig_free(objects);
  return NULL;
}

igloo_status igd_objects_finish(igd_objects *objects, struct ArrowArrayStream *ret_stream,
                                struct igd_error *reterr) {
  close_catalog(objects);
  struct ArrowError error = {{0}};
  if (objects->failed == NANOARROW_OK)
    objects->failed = ArrowArrayFinishBuildingDefault(&objects->array, &error);
  if (objects->failed != NANOARROW_OK)
    return igd_fail_arrow(reterr, objects->failed, "could not list objects",
                          error.message);
  return ig_stream_new_batch(&objects->schema, &objects->array, ret_stream,
                             &reterr->base);
}
