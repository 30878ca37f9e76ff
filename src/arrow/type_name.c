/* type_name.c -- the SQL name of an Arrow type; see schema.h. */
#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"

static void append_type(const struct ArrowSchema *field, int depth, struct ig_buf *out);

/* As it would have to be written: quoted unless all lower case. */
static void append_name(struct ig_str name, struct ig_buf *out) {
  bool plain = name.len > 0 && !ig_ascii_is_digit(name.data[0]);
  for (size_t i = 0; i < name.len && plain; i++) {
    char c = name.data[i];
    plain = c == '_' || ig_ascii_is_digit(c) || (c >= 'a' && c <= 'z');
  }
  if (plain) {
    ig_buf_append_str(out, name);
    return;
  }
  ig_buf_append_char(out, '"');
  for (size_t i = 0; i < name.len; i++) {
    if (name.data[i] == '"') ig_buf_append_char(out, '"');
    ig_buf_append_char(out, name.data[i]);
  }
  ig_buf_append_char(out, '"');
}

static void append_fields(const char *word, const struct ArrowSchema *field, int depth,
                          struct ig_buf *out) {
  ig_buf_append_fmt(out, "%s(", word);
  for (int64_t i = 0; i < field->n_children; i++) {
    if (i > 0) ig_buf_append_cstr(out, ", ");
    append_name(ig_str_from_cstr(field->children[i]->name), out);
    ig_buf_append_char(out, ' ');
    append_type(field->children[i], depth + 1, out);
  }
  ig_buf_append_char(out, ')');
}

/* A map is a list of structs of key and value. */
static void append_map(const struct ArrowSchema *field, int depth, struct ig_buf *out) {
  const struct ArrowSchema *entry = field->children[0];
  ig_buf_append_cstr(out, "map(");
  append_type(entry->children[0], depth + 2, out);
  ig_buf_append_cstr(out, ", ");
  append_type(entry->children[1], depth + 2, out);
  ig_buf_append_char(out, ')');
}

/* Types whose name is one word or a few; NULL for the others. */
static const char *fixed_name(enum ArrowType type) {
  static const char *const names[] = {
      [NANOARROW_TYPE_NA] = "null",
      [NANOARROW_TYPE_BOOL] = "boolean",
      [NANOARROW_TYPE_INT8] = "tinyint",
      [NANOARROW_TYPE_INT16] = "smallint",
      [NANOARROW_TYPE_INT32] = "integer",
      [NANOARROW_TYPE_INT64] = "bigint",
      [NANOARROW_TYPE_UINT8] = "tinyint unsigned",
      [NANOARROW_TYPE_UINT16] = "smallint unsigned",
      [NANOARROW_TYPE_UINT32] = "integer unsigned",
      [NANOARROW_TYPE_UINT64] = "bigint unsigned",
      [NANOARROW_TYPE_HALF_FLOAT] = "half",
      [NANOARROW_TYPE_FLOAT] = "real",
      [NANOARROW_TYPE_DOUBLE] = "double precision",
      [NANOARROW_TYPE_STRING] = "text",
      [NANOARROW_TYPE_LARGE_STRING] = "text",
      [NANOARROW_TYPE_STRING_VIEW] = "text",
      [NANOARROW_TYPE_BINARY] = "bytea",
      [NANOARROW_TYPE_LARGE_BINARY] = "bytea",
      [NANOARROW_TYPE_BINARY_VIEW] = "bytea",
      [NANOARROW_TYPE_DATE32] = "date",
      [NANOARROW_TYPE_DATE64] = "date",
      [NANOARROW_TYPE_TIME32] = "time",
      [NANOARROW_TYPE_TIME64] = "time",
      [NANOARROW_TYPE_INTERVAL_MONTHS] = "interval",
      [NANOARROW_TYPE_INTERVAL_DAY_TIME] = "interval",
      [NANOARROW_TYPE_INTERVAL_MONTH_DAY_NANO] = "interval",
      [NANOARROW_TYPE_DURATION] = "interval"};
  return (size_t)type < IG_ARRAY_LEN(names) ? names[type] : NULL;
}

static void append_view(const struct ArrowSchemaView *view, int depth,
                        struct ig_buf *out) {
  const struct ArrowSchema *field = view->schema;
  /* nanoarrow's list of types is long and grows: what is not named here is "unknown". */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
  switch (view->type) {
    case NANOARROW_TYPE_TIMESTAMP:
      ig_buf_append_cstr(out, view->timezone && view->timezone[0]
                                  ? "timestamp with time zone"
                                  : "timestamp");
      return;
    case NANOARROW_TYPE_DECIMAL32:
    case NANOARROW_TYPE_DECIMAL64:
    case NANOARROW_TYPE_DECIMAL128:
    case NANOARROW_TYPE_DECIMAL256:
      ig_buf_append_fmt(out, "numeric(%d,%d)", view->decimal_precision,
                        view->decimal_scale);
      return;
    case NANOARROW_TYPE_FIXED_SIZE_BINARY:
      ig_buf_append_fmt(out, "bytea(%d)", view->fixed_size);
      return;
    case NANOARROW_TYPE_LIST:
    case NANOARROW_TYPE_LARGE_LIST:
    case NANOARROW_TYPE_LIST_VIEW:
    case NANOARROW_TYPE_LARGE_LIST_VIEW:
      append_type(field->children[0], depth + 1, out);
      ig_buf_append_cstr(out, "[]");
      return;
    case NANOARROW_TYPE_FIXED_SIZE_LIST:
      append_type(field->children[0], depth + 1, out);
      ig_buf_append_fmt(out, "[%d]", view->fixed_size);
      return;
    case NANOARROW_TYPE_STRUCT:
      append_fields("struct", field, depth, out);
      return;
    case NANOARROW_TYPE_SPARSE_UNION:
    case NANOARROW_TYPE_DENSE_UNION:
      append_fields("union", field, depth, out);
      return;
    case NANOARROW_TYPE_MAP:
      append_map(field, depth, out);
      return;
    case NANOARROW_TYPE_DICTIONARY:
      append_type(field->dictionary, depth + 1, out);
      return;
    case NANOARROW_TYPE_RUN_END_ENCODED:
      append_type(field->children[1], depth + 1, out);
      return;
    default:
      ig_buf_append_cstr(out, "unknown");
  }
#pragma GCC diagnostic pop
}

static void append_type(const struct ArrowSchema *field, int depth, struct ig_buf *out) {
  struct ArrowSchemaView view;
  if (depth > IG_SCHEMA_DEPTH_MAX ||
      ArrowSchemaViewInit(&view, field, NULL) != NANOARROW_OK) {
    ig_buf_append_cstr(out, "unknown");
    return;
  }
  struct ig_str extension =
      ig_str_make(view.extension_name.data, (size_t)view.extension_name.size_bytes);
  const char *name = fixed_name(view.type);
  if (ig_str_eq_cstr(extension, "arrow.uuid"))
    name = "uuid";
  else if (ig_str_eq_cstr(extension, "arrow.json"))
    name = "json";
  if (name)
    ig_buf_append_cstr(out, name);
  else
    append_view(&view, depth, out);
}

void ig_arrow_type_name(const struct ArrowSchema *field, struct ig_buf *out) {
  append_type(field, 0, out);
}

igloo_status ig_arrow_type_name_dup(const struct ArrowSchema *field, char **ret_name,
                                    struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(IG_SCHEMA_TEXT_BYTES_MAX);
  ig_arrow_type_name(field, &out);
  return ig_buf_steal(&out, ret_name, reterr);
}
