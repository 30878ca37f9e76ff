/* ipc_schema.c -- schemas as flatbuffers, both ways. The tables and their numbers are
 * those of Schema.fbs and Message.fbs of the Arrow format. */
#include <errno.h>
#include <nanoarrow/nanoarrow.h>

#include "arrow/flatbuf.h"
#include "arrow/ipc_decode.h"
#include "arrow/ipc_encode.h"
#include "arrow/ipc_layout.h"
#include "arrow/schema.h"
#include "base/limits.h"

/* The members of the union Type. */
enum type_number {
  TYPE_NULL = 1,
  TYPE_INT,
  TYPE_FLOAT,
  TYPE_BINARY,
  TYPE_UTF8,
  TYPE_BOOL,
  TYPE_DECIMAL,
  TYPE_DATE,
  TYPE_TIME,
  TYPE_TIMESTAMP,
  TYPE_INTERVAL,
  TYPE_LIST,
  TYPE_STRUCT,
  TYPE_UNION,
  TYPE_FIXED_BINARY,
  TYPE_FIXED_LIST,
  TYPE_MAP,
  TYPE_DURATION,
  TYPE_LARGE_BINARY,
  TYPE_LARGE_UTF8,
  TYPE_LARGE_LIST,
  TYPE_RUN_END_ENCODED,
  TYPE_BINARY_VIEW,
  TYPE_UTF8_VIEW,
  TYPE_LIST_VIEW,
  TYPE_LARGE_LIST_VIEW,
};

/* Slots of the tables. */
enum { MESSAGE_VERSION, MESSAGE_KIND, MESSAGE_HEADER, MESSAGE_BODY_BYTES };
enum { SCHEMA_ENDIAN, SCHEMA_FIELDS, SCHEMA_METADATA };
enum {
  FIELD_NAME,
  FIELD_NULLABLE,
  FIELD_TYPE_NUMBER,
  FIELD_TYPE,
  FIELD_DICTIONARY,
  FIELD_CHILDREN,
  FIELD_METADATA,
};
enum { DICTIONARY_ID, DICTIONARY_INDEX, DICTIONARY_ORDERED };
enum { PAIR_KEY, PAIR_VALUE };

#define VERSION_4 3
#define VERSION_5 4
#define KIND_TENSOR 4
#define KIND_SPARSE_TENSOR 5

/* ---- write ------------------------------------------------------------------------- */

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
    ig_flat_put_ref(builder, PAIR_KEY, key_ref);
    ig_flat_put_ref(builder, PAIR_VALUE, value_ref);
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

/* What is left: a number of the union and a table of at most two numbers. */
struct plain_type {
  enum ArrowType type;
  enum type_number number;
  int64_t first;
  size_t first_bytes;
  int64_t second;
  size_t second_bytes;
};

static const struct plain_type plain_types[] = {
    {NANOARROW_TYPE_NA, TYPE_NULL, 0, 0, 0, 0},
    {NANOARROW_TYPE_BOOL, TYPE_BOOL, 0, 0, 0, 0},
    {NANOARROW_TYPE_HALF_FLOAT, TYPE_FLOAT, 0, 2, 0, 0},
    {NANOARROW_TYPE_FLOAT, TYPE_FLOAT, 1, 2, 0, 0},
    {NANOARROW_TYPE_DOUBLE, TYPE_FLOAT, 2, 2, 0, 0},
    {NANOARROW_TYPE_STRING, TYPE_UTF8, 0, 0, 0, 0},
    {NANOARROW_TYPE_BINARY, TYPE_BINARY, 0, 0, 0, 0},
    {NANOARROW_TYPE_LARGE_STRING, TYPE_LARGE_UTF8, 0, 0, 0, 0},
    {NANOARROW_TYPE_LARGE_BINARY, TYPE_LARGE_BINARY, 0, 0, 0, 0},
    {NANOARROW_TYPE_STRING_VIEW, TYPE_UTF8_VIEW, 0, 0, 0, 0},
    {NANOARROW_TYPE_BINARY_VIEW, TYPE_BINARY_VIEW, 0, 0, 0, 0},
    {NANOARROW_TYPE_DATE32, TYPE_DATE, 0, 2, 0, 0},
    {NANOARROW_TYPE_DATE64, TYPE_DATE, 1, 2, 0, 0},
    {NANOARROW_TYPE_INTERVAL_MONTHS, TYPE_INTERVAL, 0, 2, 0, 0},
    {NANOARROW_TYPE_INTERVAL_DAY_TIME, TYPE_INTERVAL, 1, 2, 0, 0},
    {NANOARROW_TYPE_INTERVAL_MONTH_DAY_NANO, TYPE_INTERVAL, 2, 2, 0, 0},
    {NANOARROW_TYPE_LIST, TYPE_LIST, 0, 0, 0, 0},
    {NANOARROW_TYPE_LARGE_LIST, TYPE_LARGE_LIST, 0, 0, 0, 0},
    {NANOARROW_TYPE_LIST_VIEW, TYPE_LIST_VIEW, 0, 0, 0, 0},
    {NANOARROW_TYPE_LARGE_LIST_VIEW, TYPE_LARGE_LIST_VIEW, 0, 0, 0, 0},
    {NANOARROW_TYPE_STRUCT, TYPE_STRUCT, 0, 0, 0, 0},
    {NANOARROW_TYPE_RUN_END_ENCODED, TYPE_RUN_END_ENCODED, 0, 0, 0, 0},
};

static bool write_plain(struct ig_flat_builder *builder, const struct plain_type *plain,
                        enum type_number *ret_number, ig_flat_ref *ret) {
  *ret_number = plain->number;
  *ret = write_numbers(builder, plain->first, plain->first_bytes, plain->second,
                       plain->second_bytes);
  return true;
}

/* Those whose numbers are parameters. */
static bool write_parametric(struct ig_flat_builder *builder,
                             const struct ArrowSchemaView *view,
                             enum type_number *ret_number, ig_flat_ref *ret) {
  struct plain_type plain = {.first_bytes = 2};
  plain.first = view->time_unit;
  switch ((int)view->type) {
    case NANOARROW_TYPE_TIME32:
    case NANOARROW_TYPE_TIME64:
      plain.number = TYPE_TIME;
      plain.second = view->type == NANOARROW_TYPE_TIME32 ? 32 : 64;
      plain.second_bytes = 4;
      break;
    case NANOARROW_TYPE_DURATION:
      plain.number = TYPE_DURATION;
      break;
    case NANOARROW_TYPE_FIXED_SIZE_BINARY:
    case NANOARROW_TYPE_FIXED_SIZE_LIST:
      plain.number = view->type == NANOARROW_TYPE_FIXED_SIZE_LIST ? TYPE_FIXED_LIST
                                                                  : TYPE_FIXED_BINARY;
      plain.first = view->fixed_size;
      plain.first_bytes = 4;
      break;
    case NANOARROW_TYPE_MAP:
      plain.number = TYPE_MAP;
      plain.first = (view->schema->flags & ARROW_FLAG_MAP_KEYS_SORTED) != 0;
      plain.first_bytes = 1;
      break;
    default:
      return false;
  }
  return write_plain(builder, &plain, ret_number, ret);
}

static bool write_type(struct ig_flat_builder *builder,
                       const struct ArrowSchemaView *view, enum type_number *ret_number,
                       ig_flat_ref *ret) {
  *ret_number = TYPE_INT;
  if (write_integer(builder, view->type, ret)) return true;
  switch ((int)view->type) {
    case NANOARROW_TYPE_TIMESTAMP:
      *ret_number = TYPE_TIMESTAMP;
      *ret = write_timestamp(builder, view);
      return true;
    case NANOARROW_TYPE_DECIMAL32:
    case NANOARROW_TYPE_DECIMAL64:
    case NANOARROW_TYPE_DECIMAL128:
    case NANOARROW_TYPE_DECIMAL256:
      *ret_number = TYPE_DECIMAL;
      *ret = write_decimal(builder, view);
      return true;
    case NANOARROW_TYPE_SPARSE_UNION:
    case NANOARROW_TYPE_DENSE_UNION:
      *ret_number = TYPE_UNION;
      *ret = write_union(builder, view);
      return true;
    default:
      break;
  }
  for (size_t i = 0; i < IG_ARRAY_LEN(plain_types); i++)
    if (plain_types[i].type == view->type)
      return write_plain(builder, &plain_types[i], ret_number, ret);
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
  ig_flat_put_int(builder, DICTIONARY_ID, id, 8);
  ig_flat_put_ref(builder, DICTIONARY_INDEX, index);
  ig_flat_put_int(builder, DICTIONARY_ORDERED,
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
  enum type_number number = TYPE_NULL;
  if (ArrowSchemaViewInit(&view, values, NULL) != NANOARROW_OK ||
      !write_type(builder, &view, &number, &type))
    return fail_type(values, reterr);
  ig_flat_ref name = ig_flat_string(builder, ig_str_from_cstr(schema->name));

  ig_flat_table_begin(builder);
  ig_flat_put_ref(builder, FIELD_NAME, name);
  ig_flat_put_ref(builder, FIELD_TYPE, type);
  if (dictionary) ig_flat_put_ref(builder, FIELD_DICTIONARY, dictionary);
  ig_flat_put_ref(builder, FIELD_CHILDREN, children);
  if (metadata) ig_flat_put_ref(builder, FIELD_METADATA, metadata);
  ig_flat_put_int(builder, FIELD_NULLABLE, (schema->flags & ARROW_FLAG_NULLABLE) != 0, 1);
  ig_flat_put_int(builder, FIELD_TYPE_NUMBER, number, 1);
  *ret = ig_flat_table_end(builder);
  return IGLOO_OK;
}

igloo_status ig_ipc_message_finish(struct ig_flat_builder *builder, enum ig_ipc_kind kind,
                                   ig_flat_ref header, uint64_t body_bytes,
                                   struct igloo_error *reterr) {
  ig_flat_table_begin(builder);
  ig_flat_put_int(builder, MESSAGE_BODY_BYTES, (int64_t)body_bytes, 8);
  ig_flat_put_ref(builder, MESSAGE_HEADER, header);
  ig_flat_put_int(builder, MESSAGE_VERSION, VERSION_5, 2);
  ig_flat_put_int(builder, MESSAGE_KIND, kind, 1);
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
  ig_flat_put_ref(builder, SCHEMA_FIELDS, fields);
  if (metadata) ig_flat_put_ref(builder, SCHEMA_METADATA, metadata);
  ig_flat_put_int(builder, SCHEMA_ENDIAN, 0, 2);
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

/* ---- read -------------------------------------------------------------------------- */

struct reading {
  struct ig_flat *flat;
  size_t fields;     /* so far */
  size_t text_bytes; /* so far: what is referred to twice counts twice */
  int64_t *ids;      /* owned by the caller */
  size_t ids_count, ids_cap;
  struct igloo_error *reterr;
};

static igloo_status fail_oom_or_malformed(struct reading *reading, int code) {
  if (code == ENOMEM) return ig_fail_oom(reading->reterr);
  return ig_ipc_fail(reading->reterr, "the schema");
}

#define TRY_ARROW(reading, expr)                                                       \
  do {                                                                                 \
    int try_code_ = (expr);                                                            \
    if (try_code_ != NANOARROW_OK) return fail_oom_or_malformed((reading), try_code_); \
  } while (0)

static igloo_status count_text(struct reading *reading, size_t bytes) {
  reading->text_bytes += bytes;
  if (reading->text_bytes > IG_SCHEMA_TEXT_BYTES_MAX)
    return ig_fail_state(reading->reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "an Arrow schema is larger than %zu bytes",
                         IG_SCHEMA_TEXT_BYTES_MAX);
  return IGLOO_OK;
}

/* A text that becomes a C string. */
static igloo_status read_cstr(struct reading *reading, struct ig_str text, char **ret) {
  IG_TRY(count_text(reading, text.len));
  if (ig_str_find_char(text, '\0') != IG_STR_NONE || !ig_utf8_valid(text, NULL))
    return ig_ipc_fail(reading->reterr, "a name in the schema is not a text");
  *ret = ig_str_dup(text);
  return *ret ? IGLOO_OK : ig_fail_oom(reading->reterr);
}

static igloo_status read_metadata_pairs(struct reading *reading,
                                        struct ig_flat_items pairs,
                                        struct ArrowBuffer *buffer) {
  for (size_t i = 0; i < pairs.count; i++) {
    struct ig_flat_table pair = ig_flat_item_table(reading->flat, pairs, i);
    struct ig_str key = ig_flat_text(reading->flat, pair, PAIR_KEY);
    struct ig_str value = ig_flat_text(reading->flat, pair, PAIR_VALUE);
    IG_TRY(count_text(reading, key.len + value.len + 2 * sizeof(int32_t)));
    TRY_ARROW(
        reading,
        ArrowMetadataBuilderAppend(
            buffer, (struct ArrowStringView){key.data ? key.data : "", (int64_t)key.len},
            (struct ArrowStringView){value.data ? value.data : "", (int64_t)value.len}));
  }
  return IGLOO_OK;
}

static igloo_status read_metadata(struct reading *reading, struct ig_flat_table table,
                                  size_t slot, struct ArrowSchema *schema) {
  struct ig_flat_items pairs = ig_flat_items(reading->flat, table, slot, 4);
  if (pairs.count == 0) return IGLOO_OK;
  struct ArrowBuffer buffer;
  int code = ArrowMetadataBuilderInit(&buffer, NULL);
  igloo_status status = code == NANOARROW_OK
                            ? read_metadata_pairs(reading, pairs, &buffer)
                            : fail_oom_or_malformed(reading, code);
  if (status == IGLOO_OK &&
      ArrowSchemaSetMetadata(schema, (const char *)buffer.data) != NANOARROW_OK)
    status = ig_fail_oom(reading->reterr);
  ArrowBufferReset(&buffer);
  return status;
}

static const char *int_format(struct reading *reading, struct ig_flat_table type) {
  bool is_signed = ig_flat_int(reading->flat, type, 1, 1, 0) != 0;
  switch (ig_flat_int(reading->flat, type, 0, 4, 0)) {
    case 8:
      return is_signed ? "c" : "C";
    case 16:
      return is_signed ? "s" : "S";
    case 32:
      return is_signed ? "i" : "I";
    case 64:
      return is_signed ? "l" : "L";
    default:
      return NULL;
  }
}

static igloo_status read_union_format(struct reading *reading, struct ig_flat_table type,
                                      size_t children, struct ig_buf *format) {
  int64_t mode = ig_flat_int(reading->flat, type, 0, 2, 0);
  struct ig_flat_items ids = ig_flat_items(reading->flat, type, 1, 4);
  if (mode < 0 || mode > 1 || children > 128 || (ids.at != 0 && ids.count != children))
    return ig_ipc_fail(reading->reterr, "a union in the schema");
  ig_buf_append_cstr(format, mode == 1 ? "+ud:" : "+us:");
  for (size_t i = 0; i < children; i++) {
    int64_t id = ids.at ? ig_flat_item_int(reading->flat, ids, i, 4, 0, 4) : (int64_t)i;
    if (id < 0 || id > 127) return ig_ipc_fail(reading->reterr, "a union in the schema");
    ig_buf_append_fmt(format, "%s%d", i > 0 ? "," : "", (int)id);
  }
  return IGLOO_OK;
}

/* Of plain_types, the one with these numbers. */
static const char *plain_format(struct reading *reading, enum type_number number,
                                struct ig_flat_table type) {
  static const char *const formats[] = {
      "n",   "b",   "e",   "f",   "g",   "u",  "z",  "U",   "Z",   "vu", "vz",
      "tdD", "tdm", "tiM", "tiD", "tin", "+l", "+L", "+vl", "+vL", "+s", "+r"};
  static_assert(IG_ARRAY_LEN(formats) == IG_ARRAY_LEN(plain_types), "one for each");
  for (size_t i = 0; i < IG_ARRAY_LEN(plain_types); i++) {
    const struct plain_type *plain = &plain_types[i];
    int64_t absent = number == TYPE_DATE ? 1 : 0; /* milliseconds */
    if (plain->number == number &&
        (plain->first_bytes == 0 ||
         ig_flat_int(reading->flat, type, 0, plain->first_bytes, absent) == plain->first))
      return formats[i];
  }
  return NULL;
}

/* `unit` is 0 to 3: s, ms, us, ns. */
static bool unit_letter(int64_t unit, char *ret) {
  if (unit < 0 || unit > 3) return false;
  *ret = "smun"[unit];
  return true;
}

static igloo_status read_time_format(struct reading *reading, enum type_number number,
                                     struct ig_flat_table type, struct ig_buf *format) {
  char letter = 0;
  int64_t absent = number == TYPE_TIMESTAMP ? 0 : 1;
  if (!unit_letter(ig_flat_int(reading->flat, type, 0, 2, absent), &letter))
    return ig_ipc_fail(reading->reterr, "a unit of time in the schema");
  if (number == TYPE_TIME) {
    int64_t bits = ig_flat_int(reading->flat, type, 1, 4, 32);
    if (bits != (letter == 's' || letter == 'm' ? 32 : 64))
      return ig_ipc_fail(reading->reterr, "a type of time in the schema");
  }
  ig_buf_append_cstr(format, number == TYPE_TIME       ? "tt"
                             : number == TYPE_DURATION ? "tD"
                                                       : "ts");
  ig_buf_append_char(format, letter);
  if (number != TYPE_TIMESTAMP) return IGLOO_OK;
  ig_buf_append_char(format, ':');
  IG_AUTO_CHAR *zone = NULL;
  IG_TRY(read_cstr(reading, ig_flat_text(reading->flat, type, 1), &zone));
  ig_buf_append_cstr(format, zone);
  return IGLOO_OK;
}

static igloo_status read_decimal_format(struct reading *reading,
                                        struct ig_flat_table type,
                                        struct ig_buf *format) {
  int64_t precision = ig_flat_int(reading->flat, type, 0, 4, 0);
  int64_t scale = ig_flat_int(reading->flat, type, 1, 4, 0);
  int64_t bits = ig_flat_int(reading->flat, type, 2, 4, 128);
  int64_t digits = bits == 32 ? 9 : bits == 64 ? 18 : bits == 128 ? 38 : 76;
  if ((bits != 32 && bits != 64 && bits != 128 && bits != 256) || precision < 1 ||
      precision > digits || scale < -digits || scale > digits)
    return ig_ipc_fail(reading->reterr, "a decimal type in the schema");
  ig_buf_append_fmt(format, "d:%d,%d", (int)precision, (int)scale);
  if (bits != 128) ig_buf_append_fmt(format, ",%d", (int)bits);
  return IGLOO_OK;
}

static igloo_status read_format(struct reading *reading, enum type_number number,
                                struct ig_flat_table type, size_t children,
                                struct ig_buf *format) {
  const char *plain = number == TYPE_INT ? int_format(reading, type)
                                         : plain_format(reading, number, type);
  if (plain) {
    ig_buf_append_cstr(format, plain);
    return IGLOO_OK;
  }
  switch ((int)number) {
    case TYPE_TIME:
    case TYPE_TIMESTAMP:
    case TYPE_DURATION:
      return read_time_format(reading, number, type, format);
    case TYPE_DECIMAL:
      return read_decimal_format(reading, type, format);
    case TYPE_UNION:
      return read_union_format(reading, type, children, format);
    case TYPE_MAP:
      ig_buf_append_cstr(format, "+m");
      return IGLOO_OK;
    case TYPE_FIXED_BINARY:
    case TYPE_FIXED_LIST: {
      int64_t size = ig_flat_int(reading->flat, type, 0, 4, 0);
      if (size < 0) break;
      ig_buf_append_fmt(format, "%s:%d", number == TYPE_FIXED_LIST ? "+w" : "w",
                        (int)size);
      return IGLOO_OK;
    }
    default:
      break;
  }
  return ig_ipc_fail(reading->reterr, "a type in the schema");
}

static igloo_status add_id(struct reading *reading, int64_t id) {
  IG_TRY(IG_RESERVE(reading->ids, reading->ids_cap, reading->ids_count + 1,
                    IG_IPC_FIELDS_MAX, "dictionaries", reading->reterr));
  reading->ids[reading->ids_count++] = id;
  return IGLOO_OK;
}

/* The index type and the id; the field's type is then that of the values. */
static igloo_status read_dictionary(struct reading *reading,
                                    struct ig_flat_table dictionary,
                                    struct ArrowSchema *schema) {
  struct ig_flat_table index = ig_flat_sub(reading->flat, dictionary, DICTIONARY_INDEX);
  const char *format = index.at ? int_format(reading, index) : "i";
  if (!format || ig_flat_int(reading->flat, dictionary, 3, 2, 0) != 0)
    return ig_ipc_fail(reading->reterr, "a dictionary in the schema");
  IG_TRY(add_id(reading, ig_flat_int(reading->flat, dictionary, DICTIONARY_ID, 8, 0)));
  if (ig_flat_int(reading->flat, dictionary, DICTIONARY_ORDERED, 1, 0) != 0)
    schema->flags |= ARROW_FLAG_DICTIONARY_ORDERED;
  TRY_ARROW(reading, ArrowSchemaSetFormat(schema, format));
  TRY_ARROW(reading, ArrowSchemaAllocateDictionary(schema));
  ArrowSchemaInit(schema->dictionary);
  TRY_ARROW(reading, ArrowSchemaSetName(schema->dictionary, ""));
  return IGLOO_OK;
}

static igloo_status read_field(struct reading *reading, struct ig_flat_table table,
                               int depth, struct ArrowSchema *schema);

static igloo_status read_children(struct reading *reading, struct ig_flat_table table,
                                  size_t slot, int depth, struct ArrowSchema *schema) {
  struct ig_flat_items children = ig_flat_items(reading->flat, table, slot, 4);
  reading->fields += children.count;
  if (reading->fields > IG_IPC_FIELDS_MAX)
    return ig_fail_state(reading->reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "an Arrow schema has more than %d fields", IG_IPC_FIELDS_MAX);
  TRY_ARROW(reading, ArrowSchemaAllocateChildren(schema, (int64_t)children.count));
  for (size_t i = 0; i < children.count; i++) {
    ArrowSchemaInit(schema->children[i]);
    IG_TRY(read_field(reading, ig_flat_item_table(reading->flat, children, i), depth + 1,
                      schema->children[i]));
  }
  return IGLOO_OK;
}

static igloo_status set_format(struct reading *reading, enum type_number number,
                               struct ig_flat_table field, struct ArrowSchema *values) {
  struct ig_flat_table type = ig_flat_sub(reading->flat, field, FIELD_TYPE);
  size_t children = ig_flat_items(reading->flat, field, FIELD_CHILDREN, 4).count;
  IG_AUTO_DONE(ig_buf) format = IG_BUF_INIT(IG_SCHEMA_TEXT_BYTES_MAX);
  IG_TRY(read_format(reading, number, type, children, &format));
  IG_TRY(ig_buf_check(&format, reading->reterr));
  TRY_ARROW(reading, ArrowSchemaSetFormat(values, format.data));
  if (number == TYPE_MAP && ig_flat_int(reading->flat, type, 0, 1, 0) != 0)
    values->flags |= ARROW_FLAG_MAP_KEYS_SORTED;
  return IGLOO_OK;
}

static igloo_status read_field(struct reading *reading, struct ig_flat_table table,
                               int depth, struct ArrowSchema *schema) {
  if (depth > IG_SCHEMA_DEPTH_MAX)
    return ig_fail_state(reading->reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "a type is nested deeper than %d levels", IG_SCHEMA_DEPTH_MAX);
  IG_AUTO_CHAR *name = NULL;
  IG_TRY(read_cstr(reading, ig_flat_text(reading->flat, table, FIELD_NAME), &name));
  TRY_ARROW(reading, ArrowSchemaSetName(schema, name));
  schema->flags = ig_flat_int(reading->flat, table, FIELD_NULLABLE, 1, 0) != 0
                      ? ARROW_FLAG_NULLABLE
                      : 0;
  struct ig_flat_table dictionary = ig_flat_sub(reading->flat, table, FIELD_DICTIONARY);
  struct ArrowSchema *values = schema;
  if (dictionary.at) {
    IG_TRY(read_dictionary(reading, dictionary, schema));
    values = schema->dictionary;
  }
  int64_t number = ig_flat_int(reading->flat, table, FIELD_TYPE_NUMBER, 1, 0);
  IG_TRY(set_format(reading, (enum type_number)number, table, values));
  IG_TRY(read_children(reading, table, FIELD_CHILDREN, depth, values));
  IG_TRY(read_metadata(reading, table, FIELD_METADATA, schema));
  if (reading->flat->bad) return ig_ipc_fail(reading->reterr, "the schema");
  return IGLOO_OK;
}

static igloo_status read_schema(struct reading *reading, struct ig_flat_table table,
                                struct ArrowSchema *schema) {
  if (ig_flat_int(reading->flat, table, SCHEMA_ENDIAN, 2, 0) != 0)
    return ig_fail(reading->reterr, IGLOO_UNSUPPORTED,
                   "cannot read Arrow data in big-endian byte order");
  ArrowSchemaInit(schema);
  TRY_ARROW(reading, ArrowSchemaSetFormat(schema, "+s"));
  TRY_ARROW(reading, ArrowSchemaSetName(schema, ""));
  schema->flags = 0;
  IG_TRY(read_children(reading, table, SCHEMA_FIELDS, 0, schema));
  IG_TRY(read_metadata(reading, table, SCHEMA_METADATA, schema));
  if (reading->flat->bad) return ig_ipc_fail(reading->reterr, "the schema");
  return IGLOO_OK;
}

igloo_status ig_ipc_schema_read(struct ig_flat *flat, struct ig_flat_table table,
                                struct ArrowSchema *ret_schema, int64_t **ret_ids,
                                size_t *ret_ids_count, struct igloo_error *reterr) {
  struct reading reading = {.flat = flat, .reterr = reterr};
  struct ArrowSchema schema = {0};
  igloo_status status = read_schema(&reading, table, &schema);
  if (status != IGLOO_OK) {
    ig_schema_done(&schema);
    ig_free(reading.ids);
    return status;
  }
  *ret_schema = schema;
  *ret_ids = reading.ids;
  *ret_ids_count = reading.ids_count;
  return IGLOO_OK;
}

igloo_status ig_ipc_message_open(struct ig_flat *flat, struct ig_ipc_head *ret_head,
                                 struct igloo_error *reterr) {
  struct ig_flat_table message = ig_flat_root(flat);
  int64_t version = ig_flat_int(flat, message, MESSAGE_VERSION, 2, 0);
  int64_t kind = ig_flat_int(flat, message, MESSAGE_KIND, 1, 0);
  int64_t body = ig_flat_int(flat, message, MESSAGE_BODY_BYTES, 8, 0);
  struct ig_flat_table header = ig_flat_sub(flat, message, MESSAGE_HEADER);
  if (flat->bad || header.at == 0 || body < 0)
    return ig_ipc_fail(reterr, "the metadata of a message");
  if (version < VERSION_4 || version > VERSION_5)
    return ig_fail(reterr, IGLOO_UNSUPPORTED,
                   "cannot read Arrow data of metadata version %d", (int)version + 1);
  if (kind == KIND_TENSOR || kind == KIND_SPARSE_TENSOR)
    return ig_fail(reterr, IGLOO_UNSUPPORTED, "cannot read Arrow tensors");
  if (kind < IG_IPC_SCHEMA || kind > IG_IPC_BATCH)
    return ig_ipc_fail(reterr, "a message of kind %d", (int)kind);
  *ret_head = (struct ig_ipc_head){.table = header,
                                   .kind = (enum ig_ipc_kind)kind,
                                   .version = (int)version + 1,
                                   .body_bytes = (uint64_t)body};
  return IGLOO_OK;
}

bool ig_ipc_read_prefix(struct ig_str bytes, size_t *ret_prefix, size_t *ret_metadata) {
  uint32_t words[2] = {0};
  if (bytes.len < sizeof(words[0])) return false;
  memcpy(words, bytes.data, bytes.len < sizeof(words) ? sizeof(words[0]) : sizeof(words));
  bool old = words[0] != UINT32_MAX;
  if (!old && bytes.len < sizeof(words)) return false;
  *ret_prefix = old ? 4 : 8;
  *ret_metadata = old ? words[0] : words[1];
  return true;
}

igloo_status ig_ipc_body_bytes(struct ig_str metadata, uint64_t *ret_bytes,
                               struct igloo_error *reterr) {
  struct ig_flat flat = {.data = (const uint8_t *)metadata.data, .len = metadata.len};
  struct ig_ipc_head head = {0};
  IG_TRY(ig_ipc_message_open(&flat, &head, reterr));
  *ret_bytes = head.body_bytes;
  return IGLOO_OK;
}

igloo_status ig_ipc_schema_decode(struct ig_str bytes, struct ArrowSchema *ret_schema,
                                  struct igloo_error *reterr) {
  /* A flatbuffer begins with the place of its root, which is small, and a prefix of four
   * bytes with its length, which is large: read as what it says that it is. */
  size_t prefix = 0, metadata = bytes.len;
  uint32_t first = 0;
  if (bytes.len >= sizeof(first)) memcpy(&first, bytes.data, sizeof(first));
  if (first == UINT32_MAX || (first >= 48 && first <= bytes.len - sizeof(first)))
    if (!ig_ipc_read_prefix(bytes, &prefix, &metadata) || metadata > bytes.len - prefix)
      return ig_ipc_fail(reterr, "a schema that is cut off");

  struct ig_flat flat = {.data = (const uint8_t *)bytes.data + prefix, .len = metadata};
  struct ig_ipc_head head = {0};
  IG_TRY(ig_ipc_message_open(&flat, &head, reterr));
  if (head.kind != IG_IPC_SCHEMA) return ig_ipc_fail(reterr, "not a schema");
  IG_AUTO_SCHEMA schema = {0};
  int64_t *ids = NULL;
  size_t ids_count = 0;
  IG_TRY(ig_ipc_schema_read(&flat, head.table, &schema, &ids, &ids_count, reterr));
  struct ig_ipc_field *layout = NULL;
  igloo_status status = ig_ipc_layout_new(&schema, ids, ids_count, &layout, reterr);
  ig_ipc_layout_free(layout);
  ig_free(ids);
  IG_TRY(status);
  *ret_schema = schema;
  schema.release = NULL;
  return IGLOO_OK;
}
