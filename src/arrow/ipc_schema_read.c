/* ipc_schema_read.c -- schemas and heads of messages from flatbuffers that anybody may
 * have made; ipc_schema.h has the numbers. */
#include <errno.h>

#include "arrow/flatbuf.h"
#include "arrow/ipc_decode.h"
#include "arrow/ipc_layout.h"
#include "arrow/ipc_schema.h"
#include "arrow/schema.h"
#include "base/limits.h"

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
    struct ig_str key = ig_flat_text(reading->flat, pair, IG_IPC_PAIR_KEY);
    struct ig_str value = ig_flat_text(reading->flat, pair, IG_IPC_PAIR_VALUE);
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

/* NULL: none without parameters. */
static const char *plain_format(struct reading *reading, enum ig_ipc_type number,
                                struct ig_flat_table type) {
  int64_t absent = number == IG_IPC_TYPE_DATE ? 1 : 0; /* milliseconds */
  for (size_t i = 0; i < IG_IPC_PLAIN_TYPES; i++) {
    const struct ig_ipc_plain_type *plain = &ig_ipc_plain_types[i];
    size_t bytes = plain->value_bytes;
    if (plain->number == number &&
        (bytes == 0 ||
         ig_flat_int(reading->flat, type, 0, bytes, absent) == plain->value))
      return plain->format;
  }
  return NULL;
}

/* `unit` is 0 to 3: s, ms, us, ns. */
static bool unit_letter(int64_t unit, char *ret) {
  if (unit < 0 || unit > 3) return false;
  *ret = "smun"[unit];
  return true;
}

static igloo_status read_time_format(struct reading *reading, enum ig_ipc_type number,
                                     struct ig_flat_table type, struct ig_buf *format) {
  char letter = 0;
  int64_t absent = number == IG_IPC_TYPE_TIMESTAMP ? 0 : 1;
  if (!unit_letter(ig_flat_int(reading->flat, type, 0, 2, absent), &letter))
    return ig_ipc_fail(reading->reterr, "a unit of time in the schema");
  if (number == IG_IPC_TYPE_TIME) {
    int64_t bits = ig_flat_int(reading->flat, type, 1, 4, 32);
    if (bits != (letter == 's' || letter == 'm' ? 32 : 64))
      return ig_ipc_fail(reading->reterr, "a type of time in the schema");
  }
  ig_buf_append_cstr(format, number == IG_IPC_TYPE_TIME       ? "tt"
                             : number == IG_IPC_TYPE_DURATION ? "tD"
                                                              : "ts");
  ig_buf_append_char(format, letter);
  if (number != IG_IPC_TYPE_TIMESTAMP) return IGLOO_OK;
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

static igloo_status read_format(struct reading *reading, enum ig_ipc_type number,
                                struct ig_flat_table type, size_t children,
                                struct ig_buf *format) {
  const char *plain = number == IG_IPC_TYPE_INT ? int_format(reading, type)
                                                : plain_format(reading, number, type);
  if (plain) {
    ig_buf_append_cstr(format, plain);
    return IGLOO_OK;
  }
  switch ((int)number) {
    case IG_IPC_TYPE_TIME:
    case IG_IPC_TYPE_TIMESTAMP:
    case IG_IPC_TYPE_DURATION:
      return read_time_format(reading, number, type, format);
    case IG_IPC_TYPE_DECIMAL:
      return read_decimal_format(reading, type, format);
    case IG_IPC_TYPE_UNION:
      return read_union_format(reading, type, children, format);
    case IG_IPC_TYPE_MAP:
      ig_buf_append_cstr(format, "+m");
      return IGLOO_OK;
    case IG_IPC_TYPE_FIXED_BINARY:
    case IG_IPC_TYPE_FIXED_LIST: {
      int64_t size = ig_flat_int(reading->flat, type, 0, 4, 0);
      if (size < 0) break;
      ig_buf_append_fmt(format, "%s:%d", number == IG_IPC_TYPE_FIXED_LIST ? "+w" : "w",
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
  struct ig_flat_table index =
      ig_flat_sub(reading->flat, dictionary, IG_IPC_DICTIONARY_INDEX);
  const char *format = index.at ? int_format(reading, index) : "i";
  if (!format || ig_flat_int(reading->flat, dictionary, 3, 2, 0) != 0)
    return ig_ipc_fail(reading->reterr, "a dictionary in the schema");
  IG_TRY(add_id(reading,
                ig_flat_int(reading->flat, dictionary, IG_IPC_DICTIONARY_ID, 8, 0)));
  if (ig_flat_int(reading->flat, dictionary, IG_IPC_DICTIONARY_ORDERED, 1, 0) != 0)
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

static igloo_status set_format(struct reading *reading, enum ig_ipc_type number,
                               struct ig_flat_table field, struct ArrowSchema *values) {
  struct ig_flat_table type = ig_flat_sub(reading->flat, field, IG_IPC_FIELD_TYPE);
  size_t children = ig_flat_items(reading->flat, field, IG_IPC_FIELD_CHILDREN, 4).count;
  IG_AUTO_DONE(ig_buf) format = IG_BUF_INIT(IG_SCHEMA_TEXT_BYTES_MAX);
  IG_TRY(read_format(reading, number, type, children, &format));
  IG_TRY(ig_buf_check(&format, reading->reterr));
  TRY_ARROW(reading, ArrowSchemaSetFormat(values, format.data));
  if (number == IG_IPC_TYPE_MAP && ig_flat_int(reading->flat, type, 0, 1, 0) != 0)
    values->flags |= ARROW_FLAG_MAP_KEYS_SORTED;
  return IGLOO_OK;
}

static igloo_status read_field(struct reading *reading, struct ig_flat_table table,
                               int depth, struct ArrowSchema *schema) {
  if (depth > IG_SCHEMA_DEPTH_MAX)
    return ig_fail_state(reading->reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "a type is nested deeper than %d levels", IG_SCHEMA_DEPTH_MAX);
  IG_AUTO_CHAR *name = NULL;
  IG_TRY(
      read_cstr(reading, ig_flat_text(reading->flat, table, IG_IPC_FIELD_NAME), &name));
  TRY_ARROW(reading, ArrowSchemaSetName(schema, name));
  schema->flags = ig_flat_int(reading->flat, table, IG_IPC_FIELD_NULLABLE, 1, 0) != 0
                      ? ARROW_FLAG_NULLABLE
                      : 0;
  struct ig_flat_table dictionary =
      ig_flat_sub(reading->flat, table, IG_IPC_FIELD_DICTIONARY);
  struct ArrowSchema *values = schema;
  if (dictionary.at) {
    IG_TRY(read_dictionary(reading, dictionary, schema));
    values = schema->dictionary;
  }
  int64_t number = ig_flat_int(reading->flat, table, IG_IPC_FIELD_TYPE_NUMBER, 1, 0);
  IG_TRY(set_format(reading, (enum ig_ipc_type)number, table, values));
  IG_TRY(read_children(reading, table, IG_IPC_FIELD_CHILDREN, depth, values));
  IG_TRY(read_metadata(reading, table, IG_IPC_FIELD_METADATA, schema));
  if (reading->flat->bad) return ig_ipc_fail(reading->reterr, "the schema");
  return IGLOO_OK;
}

static igloo_status read_schema(struct reading *reading, struct ig_flat_table table,
                                struct ArrowSchema *schema) {
  if (ig_flat_int(reading->flat, table, IG_IPC_SCHEMA_ENDIAN, 2, 0) != 0)
    return ig_fail(reading->reterr, IGLOO_UNSUPPORTED,
                   "cannot read Arrow data in big-endian byte order");
  ArrowSchemaInit(schema);
  TRY_ARROW(reading, ArrowSchemaSetFormat(schema, "+s"));
  TRY_ARROW(reading, ArrowSchemaSetName(schema, ""));
  schema->flags = 0;
  IG_TRY(read_children(reading, table, IG_IPC_SCHEMA_FIELDS, 0, schema));
  IG_TRY(read_metadata(reading, table, IG_IPC_SCHEMA_METADATA, schema));
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
  int64_t version = ig_flat_int(flat, message, IG_IPC_MESSAGE_VERSION, 2, 0);
  int64_t kind = ig_flat_int(flat, message, IG_IPC_MESSAGE_KIND, 1, 0);
  int64_t body = ig_flat_int(flat, message, IG_IPC_MESSAGE_BODY_BYTES, 8, 0);
  struct ig_flat_table header = ig_flat_sub(flat, message, IG_IPC_MESSAGE_HEADER);
  if (flat->bad || header.at == 0 || body < 0)
    return ig_ipc_fail(reterr, "the metadata of a message");
  if (version < IG_IPC_VERSION_4 || version > IG_IPC_VERSION_5)
    return ig_fail(reterr, IGLOO_UNSUPPORTED,
                   "cannot read Arrow data of metadata version %d", (int)version + 1);
  if (kind == IG_IPC_KIND_TENSOR || kind == IG_IPC_KIND_SPARSE_TENSOR)
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
