/* ipc_schema_write.c -- schemas to flatbuffers; ipc_schema.h has the numbers. */
#include "arrow/flatbuf.h"
#include "arrow/ipc_encode.h"
#include "arrow/ipc_layout.h"
#include "arrow/ipc_schema.h"

const struct ig_ipc_plain_type ig_ipc_plain_types[IG_IPC_PLAIN_TYPES] = {
    {NANOARROW_TYPE_NA, IG_IPC_TYPE_NULL, 0, 0, "n"},
    {NANOARROW_TYPE_BOOL, IG_IPC_TYPE_BOOL, 0, 0, "b"},
    {NANOARROW_TYPE_HALF_FLOAT, IG_IPC_TYPE_FLOAT, 0, 2, "e"},
    {NANOARROW_TYPE_FLOAT, IG_IPC_TYPE_FLOAT, 1, 2, "f"},
    {NANOARROW_TYPE_DOUBLE, IG_IPC_TYPE_FLOAT, 2, 2, "g"},
    {NANOARROW_TYPE_STRING, IG_IPC_TYPE_UTF8, 0, 0, "u"},
    {NANOARROW_TYPE_BINARY, IG_IPC_TYPE_BINARY, 0, 0, "z"},
    {NANOARROW_TYPE_LARGE_STRING, IG_IPC_TYPE_LARGE_UTF8, 0, 0, "U"},
    {NANOARROW_TYPE_LARGE_BINARY, IG_IPC_TYPE_LARGE_BINARY, 0, 0, "Z"},
    {NANOARROW_TYPE_STRING_VIEW, IG_IPC_TYPE_UTF8_VIEW, 0, 0, "vu"},
    {NANOARROW_TYPE_BINARY_VIEW, IG_IPC_TYPE_BINARY_VIEW, 0, 0, "vz"},
    {NANOARROW_TYPE_DATE32, IG_IPC_TYPE_DATE, 0, 2, "tdD"},
    {NANOARROW_TYPE_DATE64, IG_IPC_TYPE_DATE, 1, 2, "tdm"},
    {NANOARROW_TYPE_INTERVAL_MONTHS, IG_IPC_TYPE_INTERVAL, 0, 2, "tiM"},
    {NANOARROW_TYPE_INTERVAL_DAY_TIME, IG_IPC_TYPE_INTERVAL, 1, 2, "tiD"},
    {NANOARROW_TYPE_INTERVAL_MONTH_DAY_NANO, IG_IPC_TYPE_INTERVAL, 2, 2, "tin"},
    {NANOARROW_TYPE_LIST, IG_IPC_TYPE_LIST, 0, 0, "+l"},
    {NANOARROW_TYPE_LARGE_LIST, IG_IPC_TYPE_LARGE_LIST, 0, 0, "+L"},
    {NANOARROW_TYPE_LIST_VIEW, IG_IPC_TYPE_LIST_VIEW, 0, 0, "+vl"},
    {NANOARROW_TYPE_LARGE_LIST_VIEW, IG_IPC_TYPE_LARGE_LIST_VIEW, 0, 0, "+vL"},
    {NANOARROW_TYPE_STRUCT, IG_IPC_TYPE_STRUCT, 0, 0, "+s"},
    {NANOARROW_TYPE_RUN_END_ENCODED, IG_IPC_TYPE_RUN_END_ENCODED, 0, 0, "+r"},
};

static igloo_status write_field(const struct ArrowSchema *schema, int64_t *next_id,
                                struct ig_flat_builder *builder, ig_flat_ref *ret,
                                struct igloo_error *reterr);

static igloo_status write_children(const struct ArrowSchema *schema, int64_t *next_id,
                                   struct ig_flat_builder *builder, ig_flat_ref *ret,
                                   struct igloo_error *reterr) {
  size_t count = (size_t)schema->n_children;
  IG_AUTO(char) *memory = ig_calloc(count + 1, sizeof(ig_flat_ref));
  if (!memory) return ig_fail_oom(reterr);
  ig_flat_ref *refs = (void *)memory;
  for (size_t i = 0; i < count; i++)
    IG_TRY(write_field(schema->children[i], next_id, builder, &refs[i], reterr));
  *ret = ig_flat_vector_of_refs(builder, refs, count);
  return IGLOO_OK;
}

static igloo_status write_metadata(const char *metadata, struct ig_flat_builder *builder,
                                   ig_flat_ref *ret, struct igloo_error *reterr) {
  struct ArrowMetadataReader reader;
  *ret = 0;
  if (!metadata || ArrowMetadataReaderInit(&reader, metadata) != NANOARROW_OK ||
      reader.remaining_keys <= 0)
    return IGLOO_OK;
  size_t count = (size_t)reader.remaining_keys;
  IG_AUTO(char) *memory = ig_calloc(count, sizeof(ig_flat_ref));
  if (!memory) return ig_fail_oom(reterr);
  ig_flat_ref *refs = (void *)memory;
  for (size_t i = 0; i < count; i++) {
    struct ArrowStringView key, value;
    (void)ArrowMetadataReaderRead(&reader, &key, &value);
    ig_flat_ref value_ref =
        ig_flat_string(builder, ig_str_make(value.data, (size_t)value.size_bytes));
    ig_flat_ref key_ref =
        ig_flat_string(builder, ig_str_make(key.data, (size_t)key.size_bytes));
    ig_flat_table_begin(builder);
    ig_flat_put_ref(builder, IG_IPC_PAIR_KEY, key_ref);
    ig_flat_put_ref(builder, IG_IPC_PAIR_VALUE, value_ref);
    refs[i] = ig_flat_table_end(builder);
  }
  *ret = ig_flat_vector_of_refs(builder, refs, count);
  return IGLOO_OK;
}

/* A table of up to two numbers; those of 0 bytes are left out. */
static ig_flat_ref write_numbers(struct ig_flat_builder *builder, int64_t first,
                                 size_t first_bytes, int64_t second,
                                 size_t second_bytes) {
  ig_flat_table_begin(builder);
  if (first_bytes > 0) ig_flat_put_int(builder, 0, first, first_bytes);
  if (second_bytes > 0) ig_flat_put_int(builder, 1, second, second_bytes);
  return ig_flat_table_end(builder);
}

static ig_flat_ref write_int(struct ig_flat_builder *builder, int bits, bool is_signed) {
  return write_numbers(builder, bits, 4, is_signed, 1);
}

static ig_flat_ref write_union(struct ig_flat_builder *builder,
                               const struct ArrowSchemaView *view) {
  int32_t ids[128] = {0};
  size_t count = 0;
  for (const char *at = view->union_type_ids; *at && count < IG_ARRAY_LEN(ids); count++) {
    for (; ig_ascii_is_digit(*at); at++) ids[count] = ids[count] * 10 + (*at - '0');
    if (*at == ',') at++;
  }
  ig_flat_ref ids_ref = ig_flat_vector(builder, ids, count, sizeof(ids[0]));
  ig_flat_table_begin(builder);
  ig_flat_put_int(builder, 0, view->type == NANOARROW_TYPE_DENSE_UNION, 2);
  ig_flat_put_ref(builder, 1, ids_ref);
  return ig_flat_table_end(builder);
}

static ig_flat_ref write_timestamp(struct ig_flat_builder *builder,
                                   const struct ArrowSchemaView *view) {
  ig_flat_ref zone = 0;
  if (view->timezone && view->timezone[0])
    zone = ig_flat_string(builder, ig_str_from_cstr(view->timezone));
  ig_flat_table_begin(builder);
  ig_flat_put_int(builder, 0, view->time_unit, 2);
  if (zone) ig_flat_put_ref(builder, 1, zone);
  return ig_flat_table_end(builder);
}

static ig_flat_ref write_decimal(struct ig_flat_builder *builder,
                                 const struct ArrowSchemaView *view) {
  ig_flat_table_begin(builder);
  ig_flat_put_int(builder, 0, view->decimal_precision, 4);
  ig_flat_put_int(builder, 1, view->decimal_scale, 4);
  ig_flat_put_int(builder, 2, view->decimal_bitwidth, 4);
  return ig_flat_table_end(builder);
}

/* The table of an integer type; false if the type is none. */
static bool write_integer(struct ig_flat_builder *builder, enum ArrowType type,
                          ig_flat_ref *ret) {
  static const struct {
    enum ArrowType type;
    int bits;
    bool is_signed;
  } integers[] = {
      {NANOARROW_TYPE_INT8, 8, true},   {NANOARROW_TYPE_UINT8, 8, false},
      {NANOARROW_TYPE_INT16, 16, true}, {NANOARROW_TYPE_UINT16, 16, false},
      {NANOARROW_TYPE_INT32, 32, true}, {NANOARROW_TYPE_UINT32, 32, false},
      {NANOARROW_TYPE_INT64, 64, true}, {NANOARROW_TYPE_UINT64, 64, false},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(integers); i++)
    if (integers[i].type == type) {
      *ret = write_int(builder, integers[i].bits, integers[i].is_signed);
      return true;
    }
  return false;
}

/* Those whose numbers are parameters. */
static bool write_parametric(struct ig_flat_builder *builder,
                             const struct ArrowSchemaView *view,
                             enum ig_ipc_type *ret_number, ig_flat_ref *ret) {
  switch ((int)view->type) {
    case NANOARROW_TYPE_TIME32:
    case NANOARROW_TYPE_TIME64:
      *ret_number = IG_IPC_TYPE_TIME;
      *ret = write_numbers(builder, view->time_unit, 2,
                           view->type == NANOARROW_TYPE_TIME32 ? 32 : 64, 4);
      return true;
    case NANOARROW_TYPE_DURATION:
      *ret_number = IG_IPC_TYPE_DURATION;
      *ret = write_numbers(builder, view->time_unit, 2, 0, 0);
      return true;
    case NANOARROW_TYPE_FIXED_SIZE_BINARY:
    case NANOARROW_TYPE_FIXED_SIZE_LIST:
      *ret_number = view->type == NANOARROW_TYPE_FIXED_SIZE_LIST
                        ? IG_IPC_TYPE_FIXED_LIST
                        : IG_IPC_TYPE_FIXED_BINARY;
      *ret = write_numbers(builder, view->fixed_size, 4, 0, 0);
      return true;
    case NANOARROW_TYPE_MAP:
      *ret_number = IG_IPC_TYPE_MAP;
      *ret = write_numbers(
          builder, (view->schema->flags & ARROW_FLAG_MAP_KEYS_SORTED) != 0, 1, 0, 0);
      return true;
    default:
      return false;
  }
}

static bool write_type(struct ig_flat_builder *builder,
                       const struct ArrowSchemaView *view, enum ig_ipc_type *ret_number,
                       ig_flat_ref *ret) {
  *ret_number = IG_IPC_TYPE_INT;
  if (write_integer(builder, view->type, ret)) return true;
  switch ((int)view->type) {
    case NANOARROW_TYPE_TIMESTAMP:
      *ret_number = IG_IPC_TYPE_TIMESTAMP;
      *ret = write_timestamp(builder, view);
      return true;
    case NANOARROW_TYPE_DECIMAL32:
    case NANOARROW_TYPE_DECIMAL64:
    case NANOARROW_TYPE_DECIMAL128:
    case NANOARROW_TYPE_DECIMAL256:
      *ret_number = IG_IPC_TYPE_DECIMAL;
      *ret = write_decimal(builder, view);
      return true;
    case NANOARROW_TYPE_SPARSE_UNION:
    case NANOARROW_TYPE_DENSE_UNION:
      *ret_number = IG_IPC_TYPE_UNION;
      *ret = write_union(builder, view);
      return true;
    default:
      break;
  }
  for (size_t i = 0; i < IG_IPC_PLAIN_TYPES; i++) {
    const struct ig_ipc_plain_type *plain = &ig_ipc_plain_types[i];
    if (plain->type != view->type) continue;
    *ret_number = plain->number;
    *ret = write_numbers(builder, plain->value, plain->value_bytes, 0, 0);
    return true;
  }
  return write_parametric(builder, view, ret_number, ret);
}

static igloo_status fail_type(const struct ArrowSchema *schema,
                              struct igloo_error *reterr) {
  return ig_fail(reterr, IGLOO_UNSUPPORTED, "cannot send a column of Arrow type \"%s\"",
                 schema->format ? schema->format : "");
}

static igloo_status write_dictionary(const struct ArrowSchema *schema, int64_t id,
                                     struct ig_flat_builder *builder, ig_flat_ref *ret,
                                     struct igloo_error *reterr) {
  struct ArrowSchema indexes = *schema;
  indexes.dictionary = NULL;
  indexes.flags &= ~(int64_t)ARROW_FLAG_DICTIONARY_ORDERED;
  struct ArrowSchemaView view;
  ig_flat_ref index = 0;
  if (ArrowSchemaViewInit(&view, &indexes, NULL) != NANOARROW_OK ||
      !write_integer(builder, view.type, &index))
    return fail_type(schema, reterr);
  ig_flat_table_begin(builder);
  ig_flat_put_int(builder, IG_IPC_DICTIONARY_ID, id, 8);
  ig_flat_put_ref(builder, IG_IPC_DICTIONARY_INDEX, index);
  ig_flat_put_int(builder, IG_IPC_DICTIONARY_ORDERED,
                  (schema->flags & ARROW_FLAG_DICTIONARY_ORDERED) != 0, 1);
  *ret = ig_flat_table_end(builder);
  return IGLOO_OK;
}

/* The caller has made a layout of the schema: it is well-formed and not too deep. */
static igloo_status write_field(const struct ArrowSchema *schema, int64_t *next_id,
                                struct ig_flat_builder *builder, ig_flat_ref *ret,
                                struct igloo_error *reterr) {
  ig_flat_ref dictionary = 0, children = 0, metadata = 0, type = 0;
  const struct ArrowSchema *values = schema->dictionary ? schema->dictionary : schema;
  if (schema->dictionary)
    IG_TRY(write_dictionary(schema, (*next_id)++, builder, &dictionary, reterr));
  IG_TRY(write_children(values, next_id, builder, &children, reterr));
  IG_TRY(write_metadata(schema->metadata, builder, &metadata, reterr));

  struct ArrowSchemaView view;
  enum ig_ipc_type number = IG_IPC_TYPE_NULL;
  if (ArrowSchemaViewInit(&view, values, NULL) != NANOARROW_OK ||
      !write_type(builder, &view, &number, &type))
    return fail_type(values, reterr);
  ig_flat_ref name = ig_flat_string(builder, ig_str_from_cstr(schema->name));

  ig_flat_table_begin(builder);
  ig_flat_put_ref(builder, IG_IPC_FIELD_NAME, name);
  ig_flat_put_ref(builder, IG_IPC_FIELD_TYPE, type);
  if (dictionary) ig_flat_put_ref(builder, IG_IPC_FIELD_DICTIONARY, dictionary);
  ig_flat_put_ref(builder, IG_IPC_FIELD_CHILDREN, children);
  if (metadata) ig_flat_put_ref(builder, IG_IPC_FIELD_METADATA, metadata);
  ig_flat_put_int(builder, IG_IPC_FIELD_NULLABLE,
                  (schema->flags & ARROW_FLAG_NULLABLE) != 0, 1);
  ig_flat_put_int(builder, IG_IPC_FIELD_TYPE_NUMBER, number, 1);
  *ret = ig_flat_table_end(builder);
  return IGLOO_OK;
}

igloo_status ig_ipc_message_finish(struct ig_flat_builder *builder, enum ig_ipc_kind kind,
                                   ig_flat_ref header, uint64_t body_bytes,
                                   struct igloo_error *reterr) {
  ig_flat_table_begin(builder);
  ig_flat_put_int(builder, IG_IPC_MESSAGE_BODY_BYTES, (int64_t)body_bytes, 8);
  ig_flat_put_ref(builder, IG_IPC_MESSAGE_HEADER, header);
  ig_flat_put_int(builder, IG_IPC_MESSAGE_VERSION, IG_IPC_VERSION_5, 2);
  ig_flat_put_int(builder, IG_IPC_MESSAGE_KIND, kind, 1);
  return ig_flat_finish(builder, ig_flat_table_end(builder), reterr);
}

igloo_status ig_ipc_schema_write(const struct ArrowSchema *schema,
                                 struct ig_flat_builder *builder,
                                 struct igloo_error *reterr) {
  int64_t next_id = 0;
  ig_flat_ref fields = 0, metadata = 0;
  IG_TRY(write_children(schema, &next_id, builder, &fields, reterr));
  IG_TRY(write_metadata(schema->metadata, builder, &metadata, reterr));
  ig_flat_table_begin(builder);
  ig_flat_put_ref(builder, IG_IPC_SCHEMA_FIELDS, fields);
  if (metadata) ig_flat_put_ref(builder, IG_IPC_SCHEMA_METADATA, metadata);
  ig_flat_put_int(builder, IG_IPC_SCHEMA_ENDIAN, 0, 2);
  return ig_ipc_message_finish(builder, IG_IPC_SCHEMA, ig_flat_table_end(builder), 0,
                               reterr);
}

igloo_status ig_ipc_schema_encode(const struct ArrowSchema *schema, bool framed,
                                  struct ig_buf *out, struct igloo_error *reterr) {
  IG_AUTO_STRUCT(ig_ipc_field) *layout = NULL;
  IG_TRY(ig_ipc_layout_new(schema, NULL, 0, &layout, reterr));

  IG_AUTO_DONE(ig_flat_builder) builder;
  ig_flat_init(&builder, 1024);
  IG_TRY(ig_ipc_schema_write(schema, &builder, reterr));
  if (framed) {
    uint32_t prefix[2] = {UINT32_MAX, (uint32_t)builder.len};
    ig_buf_append(out, prefix, sizeof(prefix));
  }
  ig_buf_append(out, builder.data + builder.cap - builder.len, builder.len);
  return ig_buf_check(out, reterr);
}
