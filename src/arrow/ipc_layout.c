/* ipc_layout.c -- see ipc_layout.h. */
#include "arrow/ipc_layout.h"

#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"
#include "base/limits.h"

/* ---- one field --------------------------------------------------------------------- */

struct shape_of {
  enum ig_ipc_shape shape;
  uint32_t width;
  bool is_signed;
  bool utf8;
};

/* By the type that says how the buffers lie; width 0 is not known before. */
static bool find_shape(enum ArrowType storage, struct shape_of *ret) {
  static const struct shape_of shapes[] = {
      [NANOARROW_TYPE_NA] = {IG_IPC_SHAPE_NULL, 0, false, false},
      [NANOARROW_TYPE_BOOL] = {IG_IPC_SHAPE_BITS, 0, false, false},
      [NANOARROW_TYPE_UINT8] = {IG_IPC_SHAPE_FIXED, 1, false, false},
      [NANOARROW_TYPE_INT8] = {IG_IPC_SHAPE_FIXED, 1, true, false},
      [NANOARROW_TYPE_UINT16] = {IG_IPC_SHAPE_FIXED, 2, false, false},
      [NANOARROW_TYPE_INT16] = {IG_IPC_SHAPE_FIXED, 2, true, false},
      [NANOARROW_TYPE_UINT32] = {IG_IPC_SHAPE_FIXED, 4, false, false},
      [NANOARROW_TYPE_INT32] = {IG_IPC_SHAPE_FIXED, 4, true, false},
      [NANOARROW_TYPE_UINT64] = {IG_IPC_SHAPE_FIXED, 8, false, false},
      [NANOARROW_TYPE_INT64] = {IG_IPC_SHAPE_FIXED, 8, true, false},
      [NANOARROW_TYPE_HALF_FLOAT] = {IG_IPC_SHAPE_FIXED, 2, false, false},
      [NANOARROW_TYPE_FLOAT] = {IG_IPC_SHAPE_FIXED, 4, false, false},
      [NANOARROW_TYPE_DOUBLE] = {IG_IPC_SHAPE_FIXED, 8, false, false},
      [NANOARROW_TYPE_DECIMAL32] = {IG_IPC_SHAPE_FIXED, 4, false, false},
      [NANOARROW_TYPE_DECIMAL64] = {IG_IPC_SHAPE_FIXED, 8, false, false},
      [NANOARROW_TYPE_DECIMAL128] = {IG_IPC_SHAPE_FIXED, 16, false, false},
      [NANOARROW_TYPE_DECIMAL256] = {IG_IPC_SHAPE_FIXED, 32, false, false},
      [NANOARROW_TYPE_INTERVAL_MONTHS] = {IG_IPC_SHAPE_FIXED, 4, false, false},
      [NANOARROW_TYPE_INTERVAL_DAY_TIME] = {IG_IPC_SHAPE_FIXED, 8, false, false},
      [NANOARROW_TYPE_INTERVAL_MONTH_DAY_NANO] = {IG_IPC_SHAPE_FIXED, 16, false, false},
      [NANOARROW_TYPE_FIXED_SIZE_BINARY] = {IG_IPC_SHAPE_FIXED, 0, false, false},
      [NANOARROW_TYPE_STRING] = {IG_IPC_SHAPE_BYTES, 4, false, true},
      [NANOARROW_TYPE_BINARY] = {IG_IPC_SHAPE_BYTES, 4, false, false},
      [NANOARROW_TYPE_LARGE_STRING] = {IG_IPC_SHAPE_BYTES, 8, false, true},
      [NANOARROW_TYPE_LARGE_BINARY] = {IG_IPC_SHAPE_BYTES, 8, false, false},
      [NANOARROW_TYPE_STRING_VIEW] = {IG_IPC_SHAPE_VIEWS, 16, false, true},
      [NANOARROW_TYPE_BINARY_VIEW] = {IG_IPC_SHAPE_VIEWS, 16, false, false},
      [NANOARROW_TYPE_LIST] = {IG_IPC_SHAPE_LIST, 4, false, false},
      [NANOARROW_TYPE_MAP] = {IG_IPC_SHAPE_LIST, 4, false, false},
      [NANOARROW_TYPE_LARGE_LIST] = {IG_IPC_SHAPE_LIST, 8, false, false},
      [NANOARROW_TYPE_LIST_VIEW] = {IG_IPC_SHAPE_LIST_VIEW, 4, false, false},
      [NANOARROW_TYPE_LARGE_LIST_VIEW] = {IG_IPC_SHAPE_LIST_VIEW, 8, false, false},
      [NANOARROW_TYPE_FIXED_SIZE_LIST] = {IG_IPC_SHAPE_FIXED_LIST, 0, false, false},
      [NANOARROW_TYPE_STRUCT] = {IG_IPC_SHAPE_STRUCT, 0, false, false},
      [NANOARROW_TYPE_SPARSE_UNION] = {IG_IPC_SHAPE_SPARSE, 0, false, false},
      [NANOARROW_TYPE_DENSE_UNION] = {IG_IPC_SHAPE_DENSE, 4, false, false},
      [NANOARROW_TYPE_RUN_END_ENCODED] = {IG_IPC_SHAPE_RUN_ENDS, 0, false, false},
  };
  if ((size_t)storage >= IG_ARRAY_LEN(shapes)) return false;
  *ret = shapes[storage];
  return storage == NANOARROW_TYPE_NA || ret->shape != IG_IPC_SHAPE_NULL;
}

struct making {
  const int64_t *ids;
  size_t ids_count;
  size_t ids_next;
  size_t fields;
};

static igloo_status fail_schema(const struct ArrowSchema *schema, const char *what,
                                struct igloo_error *reterr) {
  return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                 "the Arrow schema is malformed: field \"%s\": %s",
                 schema->name ? schema->name : "", what);
}

static igloo_status set_type_ids(struct ig_ipc_field *field, const char *text,
                                 struct igloo_error *reterr) {
  field->child_of_id = ig_malloc(128);
  if (!field->child_of_id) return ig_fail_oom(reterr);
  memset(field->child_of_id, -1, 128);
  for (size_t child = 0; child < field->children_count; child++) {
    unsigned id = 0;
    for (; *text >= '0' && *text <= '9'; text++) id = id * 10 + (unsigned)(*text - '0');
    if (id > 127 || field->child_of_id[id] >= 0)
      return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                     "the Arrow schema is malformed: field \"%s\": its type ids",
                     field->name);
    field->child_of_id[id] = (int8_t)child;
    if (*text == ',') text++;
  }
  return IGLOO_OK;
}

/* The number of children that a shape must have; -1 for any. */
static int children_of_shape(enum ig_ipc_shape shape) {
  switch (shape) {
    case IG_IPC_SHAPE_LIST:
    case IG_IPC_SHAPE_LIST_VIEW:
    case IG_IPC_SHAPE_FIXED_LIST:
      return 1;
    case IG_IPC_SHAPE_RUN_ENDS:
      return 2;
    case IG_IPC_SHAPE_STRUCT:
    case IG_IPC_SHAPE_SPARSE:
    case IG_IPC_SHAPE_DENSE:
      return -1;
    case IG_IPC_SHAPE_NULL:
    case IG_IPC_SHAPE_BITS:
    case IG_IPC_SHAPE_FIXED:
    case IG_IPC_SHAPE_BYTES:
    case IG_IPC_SHAPE_VIEWS:
      break;
  }
  return 0;
}

static igloo_status make_field(const struct ArrowSchema *schema, int depth,
                               struct making *making, struct ig_ipc_field *field,
                               struct igloo_error *reterr);

static igloo_status make_children(const struct ArrowSchema *schema, int depth,
                                  struct making *making, struct ig_ipc_field *field,
                                  struct igloo_error *reterr) {
  if (schema->n_children == 0) return IGLOO_OK;
  field->children = ig_calloc((size_t)schema->n_children, sizeof(*field->children));
  if (!field->children) return ig_fail_oom(reterr);
  field->children_count = (size_t)schema->n_children;
  for (size_t i = 0; i < field->children_count; i++)
    IG_TRY(
        make_field(schema->children[i], depth + 1, making, &field->children[i], reterr));
  return IGLOO_OK;
}

static igloo_status make_dictionary(const struct ArrowSchema *schema, int depth,
                                    struct making *making, struct ig_ipc_field *field,
                                    struct igloo_error *reterr) {
  if (schema->dictionary->dictionary)
    return fail_schema(schema, "a dictionary of a dictionary", reterr);
  if (making->ids && making->ids_next >= making->ids_count)
    return fail_schema(schema, "a dictionary without id", reterr);
  size_t next = making->ids_next++;
  field->dictionary_id = making->ids ? making->ids[next] : (int64_t)next;
  field->dictionary = ig_calloc(1, sizeof(*field->dictionary));
  if (!field->dictionary) return ig_fail_oom(reterr);
  IG_TRY(make_field(schema->dictionary, depth + 1, making, field->dictionary, reterr));
  field->dictionary->name = field->name;
  return IGLOO_OK;
}

/* What a child must be to its parent. */
static igloo_status check_children(const struct ArrowSchema *schema,
                                   const struct ig_ipc_field *field,
                                   struct igloo_error *reterr) {
  const struct ig_ipc_field *children = field->children;
  if (field->is_map &&
      (children[0].shape != IG_IPC_SHAPE_STRUCT || children[0].children_count != 2))
    return fail_schema(schema, "a map is a list of keys and values", reterr);
  if (field->shape == IG_IPC_SHAPE_RUN_ENDS) {
    const char *format = schema->children[0]->format;
    if (children[0].dictionary || !format[0] || format[1] || !strchr("sil", format[0]))
      return fail_schema(schema, "run ends are 16, 32 or 64-bit integers", reterr);
  }
  return IGLOO_OK;
}

static igloo_status make_field(const struct ArrowSchema *schema, int depth,
                               struct making *making, struct ig_ipc_field *field,
                               struct igloo_error *reterr) {
  if (depth > IG_SCHEMA_DEPTH_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "a type is nested deeper than %d levels", IG_SCHEMA_DEPTH_MAX);
  if (++making->fields > IG_IPC_FIELDS_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "an Arrow schema has more than %d fields", IG_IPC_FIELDS_MAX);
  if (!schema || !schema->release || !schema->format)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "the Arrow schema is released");

  struct ArrowSchemaView view;
  struct ArrowError why;
  if (ArrowSchemaViewInit(&view, schema, &why) != NANOARROW_OK)
    return fail_schema(schema, why.message, reterr);

  struct shape_of shape;
  if (!find_shape(view.storage_type, &shape))
    return ig_fail(reterr, IGLOO_UNSUPPORTED, "cannot send a column of Arrow type \"%s\"",
                   schema->format);
  field->shape = shape.shape;
  field->width = shape.width;
  field->utf8 = shape.utf8;
  field->is_signed = shape.is_signed;
  field->is_map = view.storage_type == NANOARROW_TYPE_MAP;
  field->nullable = (schema->flags & ARROW_FLAG_NULLABLE) != 0;
  field->name = schema->name ? schema->name : "";
  if (view.storage_type == NANOARROW_TYPE_FIXED_SIZE_BINARY ||
      view.storage_type == NANOARROW_TYPE_FIXED_SIZE_LIST) {
    if (view.fixed_size < 0) return fail_schema(schema, "a negative size", reterr);
    field->list_size = view.fixed_size;
    if (field->shape == IG_IPC_SHAPE_FIXED) field->width = (uint32_t)view.fixed_size;
  }

  int children = children_of_shape(field->shape);
  if (schema->n_children < 0 || (children >= 0 && schema->n_children != children))
    return fail_schema(schema, "the number of its children", reterr);
  if (schema->dictionary) return make_dictionary(schema, depth, making, field, reterr);
  IG_TRY(make_children(schema, depth, making, field, reterr));
  if (field->shape == IG_IPC_SHAPE_SPARSE || field->shape == IG_IPC_SHAPE_DENSE)
    IG_TRY(set_type_ids(field, view.union_type_ids, reterr));
  return check_children(schema, field, reterr);
}

/* ---- the tree ---------------------------------------------------------------------- */

static void empty_field(struct ig_ipc_field *field) {
  for (size_t i = 0; i < field->children_count; i++) empty_field(&field->children[i]);
  ig_free(field->children);
  ig_free(field->child_of_id);
  if (field->dictionary) empty_field(field->dictionary);
  ig_free(field->dictionary);
}

struct ig_ipc_field *ig_ipc_layout_free(struct ig_ipc_field *layout) {
  if (layout) empty_field(layout);
  ig_free(layout);
  return NULL;
}

igloo_status ig_ipc_layout_new(const struct ArrowSchema *schema, const int64_t *ids,
                               size_t ids_count, struct ig_ipc_field **ret_layout,
                               struct igloo_error *reterr) {
  struct making making = {.ids = ids, .ids_count = ids_count};
  IG_AUTO_STRUCT(ig_ipc_field) *layout = ig_calloc(1, sizeof(*layout));
  if (!layout) return ig_fail_oom(reterr);
  IG_TRY(make_field(schema, 0, &making, layout, reterr));
  if (layout->shape != IG_IPC_SHAPE_STRUCT || layout->dictionary)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "the Arrow schema is not a struct");
  if (layout->children_count > IG_COLUMNS_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "a relation has %zu columns, more than %d",
                         layout->children_count, IG_COLUMNS_MAX);
  *ret_layout = IG_TAKE(layout);
  return IGLOO_OK;
}

size_t ig_ipc_buffers_of(enum ig_ipc_shape shape) {
  switch (shape) {
    case IG_IPC_SHAPE_NULL:
    case IG_IPC_SHAPE_RUN_ENDS:
      return 0;
    case IG_IPC_SHAPE_STRUCT:
    case IG_IPC_SHAPE_FIXED_LIST:
    case IG_IPC_SHAPE_SPARSE:
      return 1;
    case IG_IPC_SHAPE_BITS:
    case IG_IPC_SHAPE_FIXED:
    case IG_IPC_SHAPE_LIST:
    case IG_IPC_SHAPE_DENSE:
      return 2;
    case IG_IPC_SHAPE_BYTES:
    case IG_IPC_SHAPE_LIST_VIEW:
    case IG_IPC_SHAPE_VIEWS:
      break;
  }
  return 3;
}

size_t ig_ipc_layout_dictionaries(const struct ig_ipc_field *layout) {
  size_t count = 0;
  for (size_t i = 0; i < layout->children_count; i++)
    count += ig_ipc_layout_dictionaries(&layout->children[i]);
  if (layout->dictionary) count += 1 + ig_ipc_layout_dictionaries(layout->dictionary);
  return count;
}

igloo_status ig_ipc_fail(struct igloo_error *reterr, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  igloo_status status = ig_fail_va(reterr, IGLOO_DATA_ERROR, NULL, fmt, args);
  va_end(args);
  ig_error_prefix(reterr, "malformed Arrow data");
  return status;
}
