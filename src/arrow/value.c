/* value.c -- see value.h. A tree of nodes stands beside nanoarrow's tree of views. */
#include "arrow/value.h"

#include <nanoarrow/nanoarrow.h>

#include "arrow/numtext.h"
#include "arrow/timetext.h"
#include "base/limits.h"

#define NESTING_MAX 64 /* of types; the recursion here is as deep */

struct node {
  struct ArrowSchemaView type; /* of the values, for a dictionary of its indices */
  const char *name;            /* borrowed from the copied schema */
  struct node *children;
  size_t children_count;
  struct node *dictionary;
  ig_zone *zone; /* of a timestamp with time zone */
};

struct ig_value_printer {
  struct ArrowSchema schema; /* a copy: nodes point into it */
  struct ArrowArrayView view;
  struct node root;
};

/* One value: the node and view that it lies in after dictionaries, run ends and unions
 * were followed. */
struct place {
  const struct node *node;
  const struct ArrowArrayView *view;
  int64_t row; /* before the view's offset is added */
  bool null;
};

enum dialect { AS_JSON, AS_SPACED_JSON };

static void node_done(struct node *node) {
  for (size_t i = 0; i < node->children_count; i++) node_done(&node->children[i]);
  ig_free(node->children);
  if (node->dictionary) node_done(node->dictionary);
  ig_free(node->dictionary);
  ig_zone_free(node->zone);
}

static igloo_status node_init(struct node *node, const struct ArrowSchema *schema,
                              int depth, struct igloo_error *reterr) {
  if (depth > NESTING_MAX)
    return ig_fail(reterr, IGLOO_UNSUPPORTED, "types nested over %d deep cannot be shown",
                   NESTING_MAX);
  struct ArrowError error;
  if (ArrowSchemaViewInit(&node->type, schema, &error) != NANOARROW_OK)
    return ig_fail(
        reterr, IGLOO_UNSUPPORTED, "Arrow type \"%s\" of column \"%s\" cannot be shown",
        schema->format ? schema->format : "", schema->name ? schema->name : "");
  node->name = schema->name ? schema->name : "";
  if (node->type.type == NANOARROW_TYPE_TIMESTAMP && node->type.timezone[0] != '\0') {
    struct ig_str zone = ig_str_from_cstr(node->type.timezone);
    igloo_status status = ig_zone_open(zone, &node->zone, reterr);
    if (status == IGLOO_OUT_OF_MEMORY) return status;
    if (status != IGLOO_OK) /* still the same instant */
      IG_TRY(ig_zone_open(IG_STR("UTC"), &node->zone, reterr));
  }
  if (schema->dictionary) {
    node->dictionary = ig_calloc(1, sizeof(*node->dictionary));
    if (!node->dictionary) return ig_fail_oom(reterr);
    IG_TRY(node_init(node->dictionary, schema->dictionary, depth + 1, reterr));
  }
  if (schema->n_children == 0) return IGLOO_OK;
  node->children = ig_calloc((size_t)schema->n_children, sizeof(*node->children));
  if (!node->children) return ig_fail_oom(reterr);
  node->children_count = (size_t)schema->n_children;
  for (size_t i = 0; i < node->children_count; i++)
    IG_TRY(node_init(&node->children[i], schema->children[i], depth + 1, reterr));
  return IGLOO_OK;
}

ig_value_printer *ig_value_printer_free(ig_value_printer *printer) {
  if (!printer) return NULL;
  node_done(&printer->root);
  ArrowArrayViewReset(&printer->view);
  if (printer->schema.release) printer->schema.release(&printer->schema);
  ig_free(printer);
  return NULL;
}

igloo_status ig_value_printer_new(const struct ArrowSchema *schema,
                                  ig_value_printer **ret_printer,
                                  struct igloo_error *reterr) {
  IG_AUTO(ig_value_printer) *printer = ig_calloc(1, sizeof(*printer));
  if (!printer) return ig_fail_oom(reterr);
  ArrowArrayViewInitFromType(&printer->view, NANOARROW_TYPE_UNINITIALIZED);
  if (ArrowSchemaDeepCopy(schema, &printer->schema) != NANOARROW_OK)
    return ig_fail_oom(reterr);
  IG_TRY(node_init(&printer->root, &printer->schema, 0, reterr));
  struct ArrowError error;
  if (ArrowArrayViewInitFromSchema(&printer->view, &printer->schema, &error) !=
      NANOARROW_OK)
    return ig_fail(reterr, IGLOO_INTERNAL, "column \"%s\" cannot be read: %s",
                   printer->root.name, error.message);
  *ret_printer = IG_TAKE(printer);
  return IGLOO_OK;
}

igloo_status ig_value_printer_set(ig_value_printer *printer,
                                  const struct ArrowArray *array,
                                  struct igloo_error *reterr) {
  struct ArrowError error;
  if (ArrowArrayViewSetArray(&printer->view, array, &error) != NANOARROW_OK)
    return ig_fail(reterr, IGLOO_INTERNAL, "column \"%s\" is damaged: %s",
                   printer->root.name, error.message);
  return IGLOO_OK;
}

/* ---- finding a value --------------------------------------------------------------- */

/* The run that holds logical position `at`: the first whose end lies behind it. */
static int64_t find_run(const struct ArrowArrayView *ends, int64_t at) {
  int64_t low = 0, high = ends->length;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (ArrowArrayViewGetIntUnsafe(ends, middle) > at) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

static struct place follow(const struct node *node, const struct ArrowArrayView *view,
                           int64_t row) {
  for (;;) {
    if (view->storage_type == NANOARROW_TYPE_RUN_END_ENCODED) {
      row = find_run(view->children[0], view->offset + row);
      node = &node->children[1];
      view = view->children[1];
    } else if (view->storage_type == NANOARROW_TYPE_DENSE_UNION ||
               view->storage_type == NANOARROW_TYPE_SPARSE_UNION) {
      int8_t child = ArrowArrayViewUnionChildIndex(view, row);
      row = ArrowArrayViewUnionChildOffset(view, row);
      node = &node->children[child];
      view = view->children[child];
    } else if (node->dictionary && !ArrowArrayViewIsNull(view, row)) {
      row = ArrowArrayViewGetIntUnsafe(view, row);
      node = node->dictionary;
      view = view->dictionary;
    } else {
      return (struct place){node, view, row, ArrowArrayViewIsNull(view, row)};
    }
  }
}

/* ---- scalars ----------------------------------------------------------------------- */

static void append_interval(struct ig_buf *dst, const struct place *at) {
  struct ArrowInterval value = {0};
  ArrowArrayViewGetIntervalUnsafe(at->view, at->row, &value);
  ig_text_interval(dst, value.months, value.days, value.ns + value.ms * INT64_C(1000000));
}

static void append_decimal(struct ig_buf *dst, const struct place *at) {
  size_t bytes = (size_t)at->node->type.decimal_bitwidth / 8;
  const uint8_t *data = at->view->buffer_views[1].data.as_uint8;
  ig_text_decimal(dst, data + (size_t)(at->view->offset + at->row) * bytes, bytes,
                  at->node->type.decimal_scale);
}

static void append_float(struct ig_buf *dst, const struct place *at) {
  int64_t index = at->view->offset + at->row;
  const union ArrowBufferViewData data = at->view->buffer_views[1].data;
  if (at->view->storage_type == NANOARROW_TYPE_HALF_FLOAT) {
    ig_text_half(dst, data.as_uint16[index]);
  } else if (at->view->storage_type == NANOARROW_TYPE_FLOAT) {
    ig_text_float(dst, data.as_float[index]);
  } else {
    ig_text_double(dst, data.as_double[index]);
  }
}

static void append_time(struct ig_buf *dst, const struct place *at,
                        enum ig_time_style style) {
  int64_t value = ArrowArrayViewGetIntUnsafe(at->view, at->row);
  const struct node *node = at->node;
  ig_time_unit unit = ig_time_unit_of(node->type.time_unit);
  if (node->type.type == NANOARROW_TYPE_DATE32) {
    ig_text_date(dst, value);
  } else if (node->type.type == NANOARROW_TYPE_DATE64) {
    int64_t days = value / 86400000 - (value % 86400000 < 0 ? 1 : 0);
    ig_text_date(dst, days);
  } else if (node->type.type == NANOARROW_TYPE_TIMESTAMP) {
    ig_text_timestamp(dst, value, unit, node->zone, style);
  } else if (node->type.type == NANOARROW_TYPE_DURATION) {
    ig_text_duration(dst, value, unit);
  } else {
    ig_text_time(dst, value, unit);
  }
}

/* What kind of text a type becomes; nested types are the last. */
enum kind {
  KIND_NULL,
  KIND_BOOL,
  KIND_SIGNED,
  KIND_UNSIGNED,
  KIND_FLOAT,
  KIND_DECIMAL,
  KIND_TIME,
  KIND_INTERVAL,
  KIND_TEXT,
  KIND_BINARY,
  KIND_LIST,
  KIND_STRUCT,
  KIND_MAP,
};

static enum kind kind_of(enum ArrowType type) {
  static const uint8_t kinds[] = {
      [NANOARROW_TYPE_NA] = KIND_NULL,
      [NANOARROW_TYPE_BOOL] = KIND_BOOL,
      [NANOARROW_TYPE_UINT8] = KIND_UNSIGNED,
      [NANOARROW_TYPE_INT8] = KIND_SIGNED,
      [NANOARROW_TYPE_UINT16] = KIND_UNSIGNED,
      [NANOARROW_TYPE_INT16] = KIND_SIGNED,
      [NANOARROW_TYPE_UINT32] = KIND_UNSIGNED,
      [NANOARROW_TYPE_INT32] = KIND_SIGNED,
      [NANOARROW_TYPE_UINT64] = KIND_UNSIGNED,
      [NANOARROW_TYPE_INT64] = KIND_SIGNED,
      [NANOARROW_TYPE_HALF_FLOAT] = KIND_FLOAT,
      [NANOARROW_TYPE_FLOAT] = KIND_FLOAT,
      [NANOARROW_TYPE_DOUBLE] = KIND_FLOAT,
      [NANOARROW_TYPE_STRING] = KIND_TEXT,
      [NANOARROW_TYPE_BINARY] = KIND_BINARY,
      [NANOARROW_TYPE_FIXED_SIZE_BINARY] = KIND_BINARY,
      [NANOARROW_TYPE_DATE32] = KIND_TIME,
      [NANOARROW_TYPE_DATE64] = KIND_TIME,
      [NANOARROW_TYPE_TIMESTAMP] = KIND_TIME,
      [NANOARROW_TYPE_TIME32] = KIND_TIME,
      [NANOARROW_TYPE_TIME64] = KIND_TIME,
      [NANOARROW_TYPE_INTERVAL_MONTHS] = KIND_INTERVAL,
      [NANOARROW_TYPE_INTERVAL_DAY_TIME] = KIND_INTERVAL,
      [NANOARROW_TYPE_DECIMAL128] = KIND_DECIMAL,
      [NANOARROW_TYPE_DECIMAL256] = KIND_DECIMAL,
      [NANOARROW_TYPE_LIST] = KIND_LIST,
      [NANOARROW_TYPE_STRUCT] = KIND_STRUCT,
      [NANOARROW_TYPE_MAP] = KIND_MAP,
      [NANOARROW_TYPE_FIXED_SIZE_LIST] = KIND_LIST,
      [NANOARROW_TYPE_DURATION] = KIND_TIME,
      [NANOARROW_TYPE_LARGE_STRING] = KIND_TEXT,
      [NANOARROW_TYPE_LARGE_BINARY] = KIND_BINARY,
      [NANOARROW_TYPE_LARGE_LIST] = KIND_LIST,
      [NANOARROW_TYPE_INTERVAL_MONTH_DAY_NANO] = KIND_INTERVAL,
      [NANOARROW_TYPE_BINARY_VIEW] = KIND_BINARY,
      [NANOARROW_TYPE_STRING_VIEW] = KIND_TEXT,
      [NANOARROW_TYPE_DECIMAL32] = KIND_DECIMAL,
      [NANOARROW_TYPE_DECIMAL64] = KIND_DECIMAL,
      [NANOARROW_TYPE_LIST_VIEW] = KIND_LIST,
      [NANOARROW_TYPE_LARGE_LIST_VIEW] = KIND_LIST,
  };
  return (size_t)type < sizeof(kinds) ? (enum kind)kinds[type] : KIND_NULL;
}

static struct ig_str text_of(const struct place *at) {
  struct ArrowStringView text = ArrowArrayViewGetStringUnsafe(at->view, at->row);
  return (struct ig_str){text.data, (size_t)text.size_bytes};
}

static void append_scalar(struct ig_buf *dst, const struct place *at,
                          enum ig_time_style style) {
  switch (kind_of(at->node->type.type)) {
    case KIND_BOOL:
      ig_buf_append_cstr(
          dst, ArrowArrayViewGetIntUnsafe(at->view, at->row) ? "true" : "false");
      return;
    case KIND_SIGNED:
      ig_text_i64(dst, ArrowArrayViewGetIntUnsafe(at->view, at->row));
      return;
    case KIND_UNSIGNED:
      ig_text_u64(dst, ArrowArrayViewGetUIntUnsafe(at->view, at->row));
      return;
    case KIND_FLOAT:
      append_float(dst, at);
      return;
    case KIND_DECIMAL:
      append_decimal(dst, at);
      return;
    case KIND_TIME:
      append_time(dst, at, style);
      return;
    case KIND_INTERVAL:
      append_interval(dst, at);
      return;
    case KIND_TEXT:
      ig_buf_append_str(dst, text_of(at));
      return;
    case KIND_BINARY:
      ig_text_bytes(dst, text_of(at));
      return;
    case KIND_NULL:
    case KIND_LIST:
    case KIND_STRUCT:
    case KIND_MAP:
      return;
  }
}

/* ---- JSON -------------------------------------------------------------------------- */

void ig_json_string(struct ig_buf *dst, struct ig_str text) {
  ig_buf_append_char(dst, '"');
  size_t done = 0;
  for (size_t at = 0; at < text.len;) {
    unsigned char c = (unsigned char)text.data[at];
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
      at++;
      continue;
    }
    size_t start = at;
    int32_t code_point = ig_utf8_decode(text, &at);
    if (code_point >= 0x80) continue;
    ig_buf_append(dst, text.data + done, start - done);
    done = at;
    switch (code_point) {
      case '"':
        ig_buf_append_cstr(dst, "\\\"");
        break;
      case '\\':
        ig_buf_append_cstr(dst, "\\\\");
        break;
      case '\n':
        ig_buf_append_cstr(dst, "\\n");
        break;
      case '\r':
        ig_buf_append_cstr(dst, "\\r");
        break;
      case '\t':
        ig_buf_append_cstr(dst, "\\t");
        break;
      case -1:
        ig_buf_append_cstr(dst, "\xEF\xBF\xBD");
        break;
      default:
        ig_buf_append_fmt(dst, "\\u%04x", (unsigned)code_point);
    }
  }
  ig_buf_append(dst, text.data + done, text.len - done);
  ig_buf_append_char(dst, '"');
}

static void append_json(struct ig_buf *dst, const struct place *at, enum dialect dialect);

static void append_json_row(struct ig_buf *dst, const struct node *node,
                            const struct ArrowArrayView *view, int64_t row,
                            enum dialect dialect) {
  struct place at = follow(node, view, row);
  append_json(dst, &at, dialect);
}

static const char *comma(enum dialect dialect) {
  return dialect == AS_SPACED_JSON ? ", " : ",";
}

static const char *colon(enum dialect dialect) {
  return dialect == AS_SPACED_JSON ? ": " : ":";
}

/* Rows [*ret_from, *ret_from + *ret_count) of the child hold the elements. */
static void list_range(const struct place *at, int64_t *ret_from, int64_t *ret_count) {
  int64_t index = at->view->offset + at->row;
  const struct ArrowArrayView *view = at->view;
  if (view->storage_type == NANOARROW_TYPE_FIXED_SIZE_LIST) {
    *ret_count = view->layout.child_size_elements;
    *ret_from = index * *ret_count;
    return;
  }
  *ret_from = ArrowArrayViewListChildOffset(view, index);
  if (view->storage_type == NANOARROW_TYPE_LIST_VIEW) {
    *ret_count = view->buffer_views[2].data.as_int32[index];
  } else if (view->storage_type == NANOARROW_TYPE_LARGE_LIST_VIEW) {
    *ret_count = view->buffer_views[2].data.as_int64[index];
  } else {
    *ret_count = ArrowArrayViewListChildOffset(view, index + 1) - *ret_from;
  }
}

static void append_list(struct ig_buf *dst, const struct place *at,
                        enum dialect dialect) {
  int64_t from = 0, count = 0;
  list_range(at, &from, &count);
  ig_buf_append_char(dst, '[');
  for (int64_t i = 0; i < count; i++) {
    if (i > 0) ig_buf_append_cstr(dst, comma(dialect));
    append_json_row(dst, at->node->children, at->view->children[0], from + i, dialect);
  }
  ig_buf_append_char(dst, ']');
}

static void append_struct(struct ig_buf *dst, const struct place *at,
                          enum dialect dialect) {
  ig_buf_append_char(dst, '{');
  for (size_t i = 0; i < at->node->children_count; i++) {
    const struct node *child = &at->node->children[i];
    if (i > 0) ig_buf_append_cstr(dst, comma(dialect));
    ig_json_string(dst, ig_str_from_cstr(child->name));
    ig_buf_append_cstr(dst, colon(dialect));
    append_json_row(dst, child, at->view->children[i], at->view->offset + at->row,
                    dialect);
  }
  ig_buf_append_char(dst, '}');
}

/* A key of an object is text: numbers get quotes, nested keys their JSON in quotes. */
static void append_key(struct ig_buf *dst, const struct place *key) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_GIB);
  if (kind_of(key->node->type.type) >= KIND_LIST) {
    append_json(&text, key, AS_JSON);
  } else if (!key->null) {
    append_scalar(&text, key, IG_TIME_SQL);
  }
  ig_buf_fail_with(dst, &text);
  ig_json_string(dst, ig_buf_str(&text));
}

static void append_map(struct ig_buf *dst, const struct place *at, enum dialect dialect) {
  int64_t from = 0, count = 0;
  list_range(at, &from, &count);
  const struct node *entry = at->node->children;
  const struct ArrowArrayView *entries = at->view->children[0];
  ig_buf_append_char(dst, '{');
  for (int64_t i = 0; i < count; i++) {
    int64_t row = entries->offset + from + i;
    if (i > 0) ig_buf_append_cstr(dst, comma(dialect));
    struct place key = follow(&entry->children[0], entries->children[0], row);
    append_key(dst, &key);
    ig_buf_append_cstr(dst, colon(dialect));
    append_json_row(dst, &entry->children[1], entries->children[1], row, dialect);
  }
  ig_buf_append_char(dst, '}');
}

static void append_json(struct ig_buf *dst, const struct place *at,
                        enum dialect dialect) {
  if (at->null) {
    ig_buf_append_cstr(dst, "null");
    return;
  }
  switch (kind_of(at->node->type.type)) {
    case KIND_LIST:
      append_list(dst, at, dialect);
      return;
    case KIND_STRUCT:
      append_struct(dst, at, dialect);
      return;
    case KIND_MAP:
      append_map(dst, at, dialect);
      return;
    case KIND_TEXT:
      ig_json_string(dst, text_of(at));
      return;
    case KIND_BOOL:
    case KIND_SIGNED:
    case KIND_UNSIGNED:
    case KIND_DECIMAL:
      append_scalar(dst, at, IG_TIME_ISO);
      return;
    case KIND_FLOAT: {
      size_t before = dst->len;
      append_scalar(dst, at, IG_TIME_ISO);
      if (dst->len <= before) return; /* NULL, or the buffer failed */
      char last = dst->data[dst->len - 1];
      if (last != 'N' && last != 'y') return;
      /* JSON has no NaN and no Infinity: they are texts. */
      char word[sizeof("-Infinity")];
      size_t len = dst->len - before;
      IG_ASSERT(len < sizeof(word));
      memcpy(word, dst->data + before, len);
      ig_buf_truncate(dst, before);
      ig_json_string(dst, ig_str_make(word, len));
      return;
    }
    case KIND_BINARY:
      ig_buf_append_cstr(dst, "\"\\");
      append_scalar(dst, at, IG_TIME_ISO);
      ig_buf_append_char(dst, '"');
      return;
    case KIND_NULL:
    case KIND_TIME:
    case KIND_INTERVAL:
      ig_buf_append_char(dst, '"');
      append_scalar(dst, at, IG_TIME_ISO);
      ig_buf_append_char(dst, '"');
      return;
  }
}

/* ---- what others call -------------------------------------------------------------- */

bool ig_value_is_null(const ig_value_printer *printer, int64_t row) {
  return follow(&printer->root, &printer->view, row).null;
}

void ig_value_text(const ig_value_printer *printer, int64_t row, struct ig_buf *dst) {
  struct place at = follow(&printer->root, &printer->view, row);
  if (at.null) return;
  if (kind_of(at.node->type.type) >= KIND_LIST) {
    append_json(dst, &at, AS_SPACED_JSON);
  } else {
    append_scalar(dst, &at, IG_TIME_SQL);
  }
}

void ig_value_json(const ig_value_printer *printer, int64_t row, struct ig_buf *dst) {
  append_json_row(dst, &printer->root, &printer->view, row, AS_JSON);
}

bool ig_value_is_number(const ig_value_printer *printer) {
  const struct node *node = &printer->root;
  for (;;) {
    if (node->dictionary) {
      node = node->dictionary;
    } else if (node->type.type == NANOARROW_TYPE_RUN_END_ENCODED) {
      node = &node->children[1];
    } else {
      enum kind kind = kind_of(node->type.type);
      return kind >= KIND_SIGNED && kind <= KIND_DECIMAL;
    }
  }
}
