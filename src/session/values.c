/* values.c -- see values.h. */
#include "session/values.h"

#include "arrow/rows.h"

static void clear_value(struct ig_value *value) {
  if (value->kind == IG_VALUE_TEXT) ig_free((char *)(uintptr_t)value->text.data);
  value->kind = IG_VALUE_UNBOUND;
}

igloo_status ig_values_init(struct ig_values *values, uint32_t count,
                            struct igloo_error *reterr) {
  struct ig_value *items = ig_calloc((size_t)count + 1, sizeof(*items));
  if (!items) return ig_fail_oom(reterr);
  *values = (struct ig_values){items, count};
  return IGLOO_OK;
}

void ig_values_done(struct ig_values *values) {
  for (uint32_t i = 0; i < values->count; i++) clear_value(&values->items[i]);
  ig_free(values->items);
  *values = (struct ig_values){0};
}

igloo_status ig_values_set(struct ig_values *values, int32_t number,
                           struct ig_value value, struct igloo_error *reterr) {
  if (number < 1 || (uint32_t)number > values->count)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42P02",
                         "there is no parameter $%d: the statement has %u", number,
                         values->count);
  if (value.kind == IG_VALUE_TEXT) {
    if (!ig_utf8_valid(value.text, NULL))
      return ig_fail_state(reterr, IGLOO_DATA_ERROR, "22021",
                           "the value of parameter $%d is not valid UTF-8", number);
    char *copy = ig_str_dup(value.text);
    if (!copy) return ig_fail_oom(reterr);
    value.text.data = copy;
  }
  clear_value(&values->items[number - 1]);
  values->items[number - 1] = value;
  return IGLOO_OK;
}

static enum ig_cell cell_of(enum ig_value_kind kind) {
  switch (kind) {
    case IG_VALUE_BOOL:
      return IG_CELL_BOOL;
    case IG_VALUE_INT64:
      return IG_CELL_INT64;
    case IG_VALUE_DOUBLE:
      return IG_CELL_DOUBLE;
    case IG_VALUE_UNBOUND:
    case IG_VALUE_NULL:
    case IG_VALUE_TEXT:
      break;
  }
  return IG_CELL_TEXT;
}

static void add_value(ig_rows *rows, const struct ig_value *value) {
  switch (value->kind) {
    case IG_VALUE_UNBOUND:
    case IG_VALUE_NULL:
      ig_rows_null(rows);
      break;
    case IG_VALUE_BOOL:
      ig_rows_bool(rows, value->flag);
      break;
    case IG_VALUE_INT64:
      ig_rows_i64(rows, value->int64);
      break;
    case IG_VALUE_DOUBLE:
      ig_rows_double(rows, value->number);
      break;
    case IG_VALUE_TEXT:
      ig_rows_text(rows, value->text);
      break;
  }
}

static void release_nothing(struct ArrowArray *array) {
  array->release = NULL;
}

static void release_no_schema(struct ArrowSchema *schema) {
  schema->release = NULL;
}

/* Value `at` of the row; false where it has no place there. */
static bool place_value(const struct ig_value *value, uint32_t at,
                        struct ig_values_row *row) {
  bool text = value->kind == IG_VALUE_TEXT;
  if ((!text && value->kind != IG_VALUE_INT64) || (text && value->text.len > INT32_MAX))
    return false;
  row->buffers[at][1] = text ? (const void *)row->offsets[at] : &value->int64;
  if (text) row->offsets[at][1] = (int32_t)value->text.len;
  if (text) row->buffers[at][2] = value->text.data;
  row->columns[at] = (struct ArrowArray){.length = 1,
                                         .n_buffers = text ? 3 : 2,
                                         .buffers = row->buffers[at],
                                         .release = release_nothing};
  row->types[at] = (struct ArrowSchema){.format = text ? "u" : "l",
                                        .name = "",
                                        .flags = ARROW_FLAG_NULLABLE,
                                        .release = release_no_schema};
  row->column_list[at] = &row->columns[at];
  row->type_list[at] = &row->types[at];
  return true;
}

bool ig_values_row(const struct ig_value *values, uint32_t count,
                   struct ig_values_row *ret_row) {
  if (count > IG_VALUES_ROW_MAX) return false;
  *ret_row = (struct ig_values_row){0};
  for (uint32_t i = 0; i < count; i++)
    if (!place_value(&values[i], i, ret_row)) return false;
  ret_row->row = (struct ArrowArray){.length = 1,
                                     .n_buffers = 1,
                                     .n_children = count,
                                     .buffers = &ret_row->no_buffer,
                                     .children = ret_row->column_list,
                                     .release = release_nothing};
  ret_row->schema = (struct ArrowSchema){.format = "+s",
                                         .name = "",
                                         .n_children = count,
                                         .children = ret_row->type_list,
                                         .release = release_no_schema};
  return true;
}

igloo_status ig_values_rows(const struct ig_values *values,
                            const struct ArrowSchema *parameters,
                            struct ArrowArrayStream *ret_rows,
                            struct igloo_error *reterr) {
  struct ig_rows_column *columns = ig_calloc((size_t)values->count + 1, sizeof(*columns));
  if (!columns) return ig_fail_oom(reterr);
  IG_AUTO(ig_rows) *rows = NULL;
  igloo_status status = IGLOO_OK;
  for (uint32_t i = 0; status == IGLOO_OK && i < values->count; i++) {
    columns[i] = (struct ig_rows_column){parameters->children[i]->name,
                                         cell_of(values->items[i].kind), false};
    if (values->items[i].kind == IG_VALUE_UNBOUND)
      status = ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                             "parameter \"%s\" has no value", columns[i].name);
  }
  if (status == IGLOO_OK) status = ig_rows_new(columns, values->count, &rows, reterr);
  ig_free(columns);
  if (status != IGLOO_OK) return status;
  for (uint32_t i = 0; i < values->count; i++) add_value(rows, &values->items[i]);
  return ig_rows_finish(rows, ret_rows, reterr);
}
