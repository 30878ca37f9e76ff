/* schema.c -- copies, comparison and the text form; see schema.h. */
#include "arrow/schema.h"

#include <nanoarrow/nanoarrow.h>

#include "arrow/numtext.h"
#include "base/limits.h"
#include "base/parse.h"

/* The text form: this line, then one node.
 *   node  = "(" flags ";" bytes(format) bytes(name) bytes(metadata)
 *           count ";" node* ("-" | node of the dictionary) ")"
 *   bytes = length ":" the bytes, or "-" where the pointer is NULL */
#define HEADER "igloo schema 1\n"

void ig_schema_done(struct ArrowSchema *schema) {
  if (schema->release) schema->release(schema);
}

igloo_status ig_schema_copy(const struct ArrowSchema *schema,
                            struct ArrowSchema *ret_copy, struct igloo_error *reterr) {
  if (!schema->release || !schema->format)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "the Arrow schema is released");
  if (ArrowSchemaDeepCopy(schema, ret_copy) != NANOARROW_OK) return ig_fail_oom(reterr);
  return IGLOO_OK;
}

igloo_status ig_schema_new_struct(size_t columns_count, struct ArrowSchema *ret_schema,
                                  struct igloo_error *reterr) {
  struct ArrowSchema schema;
  ArrowSchemaInit(&schema);
  if (ArrowSchemaSetTypeStruct(&schema, (int64_t)columns_count) != NANOARROW_OK) {
    ig_schema_done(&schema);
    return ig_fail_oom(reterr);
  }
  schema.flags &= ~(int64_t)ARROW_FLAG_NULLABLE; /* a row is never NULL */
  *ret_schema = schema;
  return IGLOO_OK;
}

int64_t ig_schema_find(const struct ArrowSchema *schema, struct ig_str name) {
  for (int64_t i = 0; i < schema->n_children; i++)
    if (ig_str_eq(ig_str_from_cstr(schema->children[i]->name), name)) return i;
  return -1;
}

/* ---- metadata ---------------------------------------------------------------------- */

/* Without the keys that begin so. */
static int copy_metadata(const char *metadata, struct ig_str prefix,
                         struct ArrowBuffer *kept, bool *ret_any) {
  struct ArrowMetadataReader reader;
  struct ArrowStringView key, value;
  NANOARROW_RETURN_NOT_OK(ArrowMetadataReaderInit(&reader, metadata));
  while (reader.remaining_keys > 0) {
    NANOARROW_RETURN_NOT_OK(ArrowMetadataReaderRead(&reader, &key, &value));
    if (ig_str_starts(ig_str_make(key.data, (size_t)key.size_bytes), prefix)) continue;
    NANOARROW_RETURN_NOT_OK(ArrowMetadataBuilderAppend(kept, key, value));
    *ret_any = true;
  }
  return NANOARROW_OK;
}

static igloo_status drop_metadata(struct ArrowSchema *field, struct ig_str prefix,
                                  struct igloo_error *reterr) {
  if (!field->metadata) return IGLOO_OK;
  struct ArrowBuffer kept;
  bool any = false;
  int code = ArrowMetadataBuilderInit(&kept, NULL);
  if (code == NANOARROW_OK) code = copy_metadata(field->metadata, prefix, &kept, &any);
  if (code == NANOARROW_OK)
    code = ArrowSchemaSetMetadata(field, any ? (const char *)kept.data : NULL);
  ArrowBufferReset(&kept);
  return code == NANOARROW_OK ? IGLOO_OK : ig_fail_oom(reterr);
}

igloo_status ig_schema_drop_metadata(struct ArrowSchema *schema, struct ig_str prefix,
                                     struct igloo_error *reterr) {
  IG_TRY(drop_metadata(schema, prefix, reterr));
  for (int64_t i = 0; i < schema->n_children; i++)
    IG_TRY(drop_metadata(schema->children[i], prefix, reterr));
  return IGLOO_OK;
}

/* ---- comparison -------------------------------------------------------------------- */

static struct ig_str metadata_bytes(const char *metadata) {
  return ig_str_make(metadata, metadata ? (size_t)ArrowMetadataSizeOf(metadata) : 0);
}

static bool equal_at(const struct ArrowSchema *a, const struct ArrowSchema *b,
                     bool with_metadata, int depth) {
  if (depth > IG_SCHEMA_DEPTH_MAX || strcmp(a->format, b->format) != 0 ||
      !ig_str_eq(ig_str_from_cstr(a->name), ig_str_from_cstr(b->name)) ||
      a->flags != b->flags || a->n_children != b->n_children ||
      (a->dictionary == NULL) != (b->dictionary == NULL))
    return false;
  if (with_metadata &&
      !ig_str_eq(metadata_bytes(a->metadata), metadata_bytes(b->metadata)))
    return false;
  for (int64_t i = 0; i < a->n_children; i++)
    if (!equal_at(a->children[i], b->children[i], with_metadata, depth + 1)) return false;
  return !a->dictionary ||
         equal_at(a->dictionary, b->dictionary, with_metadata, depth + 1);
}

bool ig_schema_equal(const struct ArrowSchema *a, const struct ArrowSchema *b,
                     bool with_metadata) {
  return equal_at(a, b, with_metadata, 0);
}

bool ig_schema_same_type(const struct ArrowSchema *a, const struct ArrowSchema *b) {
  if (strcmp(a->format, b->format) != 0 || a->n_children != b->n_children ||
      !a->dictionary != !b->dictionary)
    return false;
  for (int64_t i = 0; i < a->n_children; i++)
    if (!ig_schema_same_type(a->children[i], b->children[i])) return false;
  return !a->dictionary || ig_schema_same_type(a->dictionary, b->dictionary);
}

/* ---- to text ----------------------------------------------------------------------- */

static void append_bytes(struct ig_buf *out, struct ig_str bytes) {
  if (!bytes.data) {
    ig_buf_append_char(out, '-');
    return;
  }
  ig_text_u64(out, bytes.len);
  ig_buf_append_char(out, ':');
  ig_buf_append_str(out, bytes);
}

static igloo_status append_node(const struct ArrowSchema *node, int depth,
                                struct ig_buf *out, struct igloo_error *reterr) {
  if (depth > IG_SCHEMA_DEPTH_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "a type is nested deeper than %d levels", IG_SCHEMA_DEPTH_MAX);
  if (!node || !node->release || !node->format)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "the Arrow schema is released");
  ig_buf_append_char(out, '(');
  ig_text_i64(out, node->flags);
  ig_buf_append_char(out, ';');
  append_bytes(out, ig_str_from_cstr(node->format));
  append_bytes(out, ig_str_from_cstr(node->name));
  append_bytes(out, metadata_bytes(node->metadata));
  ig_text_i64(out, node->n_children);
  ig_buf_append_char(out, ';');
  for (int64_t i = 0; i < node->n_children; i++)
    IG_TRY(append_node(node->children[i], depth + 1, out, reterr));
  if (node->dictionary)
    IG_TRY(append_node(node->dictionary, depth + 1, out, reterr));
  else
    ig_buf_append_char(out, '-');
  ig_buf_append_char(out, ')');
  return IGLOO_OK;
}

igloo_status ig_schema_to_text(const struct ArrowSchema *schema, char **ret_text,
                               size_t *ret_len, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(IG_SCHEMA_TEXT_BYTES_MAX);
  ig_buf_append_cstr(&out, HEADER);
  IG_TRY(append_node(schema, 0, &out, reterr));
  size_t len = out.len;
  IG_TRY(ig_buf_steal(&out, ret_text, reterr));
  *ret_len = len;
  return IGLOO_OK;
}

/* ---- from text --------------------------------------------------------------------- */

static igloo_status fail_damaged(struct igloo_error *reterr) {
  return ig_fail(reterr, IGLOO_DATA_LOSS, "a stored schema is damaged");
}

static igloo_status read_char(struct ig_str *rest, char c, struct igloo_error *reterr) {
  if (rest->len == 0 || rest->data[0] != c) return fail_damaged(reterr);
  *rest = ig_str_sub(*rest, 1, SIZE_MAX);
  return IGLOO_OK;
}

/* A number that `end` follows. */
static igloo_status read_number(struct ig_str *rest, char end, int64_t max,
                                int64_t *ret_value, struct igloo_error *reterr) {
  struct ig_str digits;
  int64_t value;
  if (!ig_str_split(ig_str_sub(*rest, 0, 24), end, &digits, &(struct ig_str){0}) ||
      ig_parse_i64(digits, &value, NULL) != IGLOO_OK || value < 0 || value > max)
    return fail_damaged(reterr);
  *rest = ig_str_sub(*rest, digits.len + 1, SIZE_MAX);
  *ret_value = value;
  return IGLOO_OK;
}

static igloo_status read_bytes(struct ig_str *rest, struct ig_str *ret_bytes,
                               struct igloo_error *reterr) {
  int64_t len;
  if (rest->len > 0 && rest->data[0] == '-') {
    *ret_bytes = (struct ig_str){0};
    return read_char(rest, '-', reterr);
  }
  IG_TRY(read_number(rest, ':', (int64_t)rest->len, &len, reterr));
  if ((size_t)len > rest->len) return fail_damaged(reterr);
  *ret_bytes = ig_str_sub(*rest, 0, (size_t)len);
  *rest = ig_str_sub(*rest, (size_t)len, SIZE_MAX);
  return IGLOO_OK;
}

/* Text that becomes a C string. NULL data stays NULL. */
static igloo_status read_cstr(struct ig_str *rest, char **ret_text,
                              struct igloo_error *reterr) {
  struct ig_str bytes;
  IG_TRY(read_bytes(rest, &bytes, reterr));
  if (!bytes.data) return IGLOO_OK;
  if (memchr(bytes.data, '\0', bytes.len)) return fail_damaged(reterr);
  char *text = ig_str_dup(bytes);
  if (!text) return ig_fail_oom(reterr);
  *ret_text = text;
  return IGLOO_OK;
}

/* True if the lengths inside Arrow metadata (count, then pairs) end where it does. */
static bool metadata_is_valid(struct ig_str bytes) {
  int32_t count, len;
  if (bytes.len < sizeof(count)) return false;
  memcpy(&count, bytes.data, sizeof(count));
  bytes = ig_str_sub(bytes, sizeof(count), SIZE_MAX);
  if (count < 0 || (size_t)count > bytes.len / (2 * sizeof(len))) return false;
  for (int64_t i = 0; i < (int64_t)count * 2; i++) {
    if (bytes.len < sizeof(len)) return false;
    memcpy(&len, bytes.data, sizeof(len));
    bytes = ig_str_sub(bytes, sizeof(len), SIZE_MAX);
    if (len < 0 || (size_t)len > bytes.len) return false;
    bytes = ig_str_sub(bytes, (size_t)len, SIZE_MAX);
  }
  return bytes.len == 0;
}

static igloo_status read_node(struct ig_str *rest, int depth, struct ArrowSchema *node,
                              struct igloo_error *reterr);

static igloo_status read_children(struct ig_str *rest, int depth,
                                  struct ArrowSchema *node, struct igloo_error *reterr) {
  int64_t count;
  IG_TRY(read_number(rest, ';', IG_COLUMNS_MAX, &count, reterr));
  if ((size_t)count > rest->len) return fail_damaged(reterr);
  if (count > 0 && ArrowSchemaAllocateChildren(node, count) != NANOARROW_OK)
    return ig_fail_oom(reterr);
  for (int64_t i = 0; i < count; i++)
    IG_TRY(read_node(rest, depth + 1, node->children[i], reterr));
  return IGLOO_OK;
}

static igloo_status read_parts(struct ig_str *rest, int depth, struct ArrowSchema *node,
                               struct igloo_error *reterr) {
  IG_AUTO_CHAR *format = NULL;
  IG_AUTO_CHAR *name = NULL;
  struct ig_str metadata;
  int64_t flags;

  IG_TRY(read_char(rest, '(', reterr));
  IG_TRY(read_number(rest, ';', 7, &flags, reterr));
  IG_TRY(read_cstr(rest, &format, reterr));
  IG_TRY(read_cstr(rest, &name, reterr));
  IG_TRY(read_bytes(rest, &metadata, reterr));
  if (!format || (metadata.data && !metadata_is_valid(metadata)))
    return fail_damaged(reterr);
  if (ArrowSchemaSetFormat(node, format) != NANOARROW_OK ||
      ArrowSchemaSetName(node, name) != NANOARROW_OK ||
      ArrowSchemaSetMetadata(node, metadata.data) != NANOARROW_OK)
    return ig_fail_oom(reterr);
  node->flags = flags;

  IG_TRY(read_children(rest, depth, node, reterr));
  if (rest->len > 0 && rest->data[0] == '(') {
    if (ArrowSchemaAllocateDictionary(node) != NANOARROW_OK) return ig_fail_oom(reterr);
    IG_TRY(read_node(rest, depth + 1, node->dictionary, reterr));
  } else {
    IG_TRY(read_char(rest, '-', reterr));
  }
  return read_char(rest, ')', reterr);
}

/* Fill `node`, which is not initialised; on failure the caller's top node is released. */
static igloo_status read_node(struct ig_str *rest, int depth, struct ArrowSchema *node,
                              struct igloo_error *reterr) {
  struct ArrowSchemaView view;
  ArrowSchemaInit(node);
  if (depth > IG_SCHEMA_DEPTH_MAX) return fail_damaged(reterr);
  IG_TRY(read_parts(rest, depth, node, reterr));
  if (ArrowSchemaViewInit(&view, node, NULL) != NANOARROW_OK) return fail_damaged(reterr);
  return IGLOO_OK;
}

igloo_status ig_schema_from_text(struct ig_str text, struct ArrowSchema *ret_schema,
                                 struct igloo_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  if (!ig_str_starts(text, IG_STR(HEADER))) return fail_damaged(reterr);
  struct ig_str rest = ig_str_sub(text, sizeof(HEADER) - 1, SIZE_MAX);
  IG_TRY(read_node(&rest, 0, &schema, reterr));
  if (rest.len != 0) return fail_damaged(reterr);
  *ret_schema = schema;
  schema.release = NULL;
  return IGLOO_OK;
}
