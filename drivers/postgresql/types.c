/* types.c -- see types.h. Types whose numbers PostgreSQL fixes are a table here; the
 * others are entries of igp_types, never changed once they are there. */
#include "postgresql/types.h"

#include <inttypes.h>
#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/parse.h"
#include "base/thread.h"
#include "common/info.h"
#include "postgresql/link.h"

#define OID_TEXT 25
#define OID_NUMERIC 1700
#define OID_MONEY 790

/* What the server is not believed beyond: attributes of a composite type. */
#define ATTRIBUTES_MAX 1600

struct builtin {
  uint32_t oid;
  enum igp_kind kind;
  uint32_t element; /* of arrays */
};

static const struct builtin BUILTINS[] = {
    {16, IGP_BOOL, 0},          {17, IGP_BYTEA, 0},         {18, IGP_CHAR, 0},
    {19, IGP_TEXT, 0},          {20, IGP_INT8, 0},          {21, IGP_INT2, 0},
    {22, IGP_ARRAY, 21},        {23, IGP_INT4, 0},          {25, IGP_TEXT, 0},
    {26, IGP_UINT4, 0},         {28, IGP_UINT4, 0},         {29, IGP_UINT4, 0},
    {30, IGP_ARRAY, 26},        {114, IGP_JSON, 0},         {199, IGP_ARRAY, 114},
    {700, IGP_FLOAT4, 0},       {701, IGP_FLOAT8, 0},       {1000, IGP_ARRAY, 16},
    {1001, IGP_ARRAY, 17},      {1002, IGP_ARRAY, 18},      {1003, IGP_ARRAY, 19},
    {1005, IGP_ARRAY, 21},      {1007, IGP_ARRAY, 23},      {1009, IGP_ARRAY, 25},
    {1011, IGP_ARRAY, 28},      {1012, IGP_ARRAY, 29},      {1014, IGP_ARRAY, 1042},
    {1015, IGP_ARRAY, 1043},    {1016, IGP_ARRAY, 20},      {1021, IGP_ARRAY, 700},
    {1022, IGP_ARRAY, 701},     {1028, IGP_ARRAY, 26},      {1042, IGP_BPCHAR, 0},
    {1043, IGP_TEXT, 0},        {1082, IGP_DATE, 0},        {1083, IGP_TIME, 0},
    {1114, IGP_TIMESTAMP, 0},   {1115, IGP_ARRAY, 1114},    {1182, IGP_ARRAY, 1082},
    {1183, IGP_ARRAY, 1083},    {1184, IGP_TIMESTAMPTZ, 0}, {1185, IGP_ARRAY, 1184},
    {1186, IGP_INTERVAL, 0},    {1187, IGP_ARRAY, 1186},    {1231, IGP_ARRAY, 1700},
    {1700, IGP_NUMBER_TEXT, 0}, {1790, IGP_TEXT, 0},        {2201, IGP_ARRAY, 1790},
    {2950, IGP_UUID, 0},        {2951, IGP_ARRAY, 2950},    {3802, IGP_JSONB, 0},
    {3807, IGP_ARRAY, 3802},
};

struct attribute {
  char *name;
  uint32_t oid;
  int32_t modifier;
};

enum entry_kind { ENTRY_OTHER, ENTRY_ENUM, ENTRY_DOMAIN, ENTRY_ARRAY, ENTRY_COMPOSITE };

struct entry {
  enum entry_kind kind;
  uint32_t other; /* of a domain: its base type; of an array: the element */
  int32_t modifier;
  char *name; /* as SQL writes it */
  struct attribute *attributes;
  size_t attributes_count;
  struct entry *next; /* in igp_types.all */
};

struct igp_types {
  pthread_mutex_t mu;   /* a leaf */
  struct ig_map by_oid; /* guarded by mu; values are borrowed of `all` */
  struct entry *all;    /* guarded by mu: every entry ever made, so that readers keep
                           what they found */
};

/* ---- entries -------------------------------------------------------------------------
 */

static struct entry *free_entry(struct entry *entry) {
  for (size_t i = 0; i < entry->attributes_count; i++) ig_free(entry->attributes[i].name);
  ig_free(entry->attributes);
  ig_free(entry->name);
  ig_free(entry);
  return NULL;
}
IG_DEFINE_AUTO_STRUCT(entry, free_entry)

igp_types *igp_types_new(void) {
  igp_types *types = ig_calloc(1, sizeof(*types));
  if (!types) return NULL;
  ig_mutex_init(&types->mu);
  ig_map_init(&types->by_oid, IGP_TYPES_MAX, NULL);
  return types;
}

igp_types *igp_types_free(igp_types *types) {
  if (!types) return NULL;
  while (types->all) {
    struct entry *next = types->all->next;
    (void)free_entry(types->all);
    types->all = next;
  }
  ig_map_done(&types->by_oid);
  ig_mutex_done(&types->mu);
  ig_free(types);
  return NULL;
}

static struct ig_str oid_key(const uint32_t *oid) {
  return (struct ig_str){(const char *)oid, sizeof(*oid)};
}

void igp_types_forget(igp_types *types, uint32_t oid) {
  IG_LOCK_SCOPE(&types->mu);
  (void)ig_map_remove(&types->by_oid, oid_key(&oid));
}

static const struct entry *find_entry(igp_types *types, uint32_t oid) {
  IG_LOCK_SCOPE(&types->mu);
  return ig_map_get(&types->by_oid, oid_key(&oid));
}

static const struct builtin *find_builtin(uint32_t oid) {
  for (size_t i = 0; i < IG_ARRAY_LEN(BUILTINS); i++)
    if (BUILTINS[i].oid == oid) return &BUILTINS[i];
  return NULL;
}

static igloo_status parse_cell(const PGresult *result, int row, int column, int64_t min,
                               int64_t max, int64_t *ret_value,
                               struct igd_error *reterr) {
  struct igloo_error ignored;
  int64_t value = 0;
  struct ig_str text = {PQgetvalue(result, row, column),
                        (size_t)PQgetlength(result, row, column)};
  if (ig_parse_i64(text, &value, &ignored) != IGLOO_OK || value < min || value > max)
    return ig_fail(&reterr->base, IGLOO_DATA_LOSS,
                   "the server sent a malformed row of pg_type");
  *ret_value = value;
  return IGLOO_OK;
}

static igloo_status read_attributes(const PGresult *result, struct entry *entry,
                                    struct igd_error *reterr) {
  int rows = PQntuples(result);
  if (rows > ATTRIBUTES_MAX)
    return ig_fail(&reterr->base, IGLOO_RESOURCE_EXHAUSTED,
                   "type %s has more than %d attributes", entry->name, ATTRIBUTES_MAX);
  if (!rows) return IGLOO_OK;
  entry->attributes = ig_calloc((size_t)rows, sizeof(*entry->attributes));
  if (!entry->attributes) return ig_fail_oom(&reterr->base);
  for (int i = 0; i < rows; i++) {
    struct attribute *attribute = &entry->attributes[i];
    int64_t oid = 0, modifier = 0;
    IG_TRY(parse_cell(result, i, 1, 0, UINT32_MAX, &oid, reterr));
    IG_TRY(parse_cell(result, i, 2, INT32_MIN, INT32_MAX, &modifier, reterr));
    attribute->name = ig_strdup(PQgetvalue(result, i, 0));
    entry->attributes_count++;
    if (!attribute->name) return ig_fail_oom(&reterr->base);
    attribute->oid = (uint32_t)oid;
    attribute->modifier = (int32_t)modifier;
  }
  return IGLOO_OK;
}

static igloo_status read_entry(igp_link *link, const char *oid, struct entry *entry,
                               struct igd_error *reterr) {
  static const char about[] =
      "SELECT t.typtype, t.typbasetype, t.typtypmod, t.typelem, t.typcategory, "
      "pg_catalog.format_type(t.oid, NULL) FROM pg_catalog.pg_type t "
      "WHERE t.oid = $1::pg_catalog.oid";
  static const char attributes[] =
      "SELECT a.attname, a.atttypid, a.atttypmod FROM pg_catalog.pg_type t "
      "JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid "
      "WHERE t.oid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped "
      "ORDER BY a.attnum";
  IGP_AUTO_RESULT *found = NULL, *fields = NULL;
  IG_TRY(igp_link_run_params(link, about, &oid, 1, &found, reterr));
  if (PQntuples(found) < 1) return IGLOO_OK; /* dropped meanwhile: unknown */
  int64_t base = 0, modifier = 0, element = 0;
  IG_TRY(parse_cell(found, 0, 1, 0, UINT32_MAX, &base, reterr));
  IG_TRY(parse_cell(found, 0, 2, INT32_MIN, INT32_MAX, &modifier, reterr));
  IG_TRY(parse_cell(found, 0, 3, 0, UINT32_MAX, &element, reterr));
  entry->modifier = -1;
  entry->name = ig_strdup(PQgetvalue(found, 0, 5));
  if (!entry->name) return ig_fail_oom(&reterr->base);
  char kind = *PQgetvalue(found, 0, 0), category = *PQgetvalue(found, 0, 4);
  if (kind == 'e') {
    entry->kind = ENTRY_ENUM;
  } else if (kind == 'd') {
    entry->kind = ENTRY_DOMAIN;
    entry->other = (uint32_t)base;
    entry->modifier = (int32_t)modifier;
  } else if (kind == 'b' && category == 'A' && element) {
    entry->kind = ENTRY_ARRAY;
    entry->other = (uint32_t)element;
  } else if (kind == 'c') {
    entry->kind = ENTRY_COMPOSITE;
    IG_TRY(igp_link_run_params(link, attributes, &oid, 1, &fields, reterr));
    IG_TRY(read_attributes(fields, entry, reterr));
  }
  return IGLOO_OK;
}

/* The entry, asked of the server where it is not there. */
static igloo_status get_entry(igp_types *types, igp_link *link, uint32_t oid,
                              const struct entry **ret_entry, struct igd_error *reterr) {
  *ret_entry = find_entry(types, oid);
  if (*ret_entry) return IGLOO_OK;
  IG_AUTO_CHAR *text = ig_asprintf("%" PRIu32, oid);
  IG_AUTO_STRUCT(entry) *entry = ig_calloc(1, sizeof(*entry));
  if (!text || !entry) return ig_fail_oom(&reterr->base);
  IG_TRY(read_entry(link, text, entry, reterr));
  if (!entry->name) entry->name = IG_TAKE(text);

  IG_LOCK_SCOPE(&types->mu);
  IG_TRY(ig_map_put(&types->by_oid, oid_key(&oid), entry, &reterr->base));
  entry->next = types->all;
  types->all = entry;
  *ret_entry = IG_TAKE(entry);
  return IGLOO_OK;
}

static bool is_known(igp_types *types, uint32_t oid, int depth) {
  const struct builtin *builtin = find_builtin(oid);
  if (builtin || oid == OID_MONEY || depth > IGP_SHAPE_DEPTH_MAX) return true;
  const struct entry *entry = find_entry(types, oid);
  if (!entry) return false;
  if (entry->other && !is_known(types, entry->other, depth + 1)) return false;
  for (size_t i = 0; i < entry->attributes_count; i++)
    if (!is_known(types, entry->attributes[i].oid, depth + 1)) return false;
  return true;
}

bool igp_types_known(igp_types *types, const struct igp_column *columns, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!is_known(types, columns[i].oid, 0)) return false;
  return true;
}

/* ---- shapes --------------------------------------------------------------------------
 */

void igp_shape_done(struct igp_shape *shape) {
  for (size_t i = 0; i < shape->children_count; i++) igp_shape_done(&shape->children[i]);
  ig_free(shape->children);
  ig_free(shape->name);
  ig_free(shape->type_name);
  *shape = (struct igp_shape){0};
}

static igloo_status make_children(struct igp_shape *shape, size_t count,
                                  struct igd_error *reterr) {
  if (!count) return IGLOO_OK;
  shape->children = ig_calloc(count, sizeof(*shape->children));
  if (!shape->children) return ig_fail_oom(&reterr->base);
  shape->children_count = count;
  return IGLOO_OK;
}

static void set_numeric(struct igp_shape *shape, int32_t modifier) {
  if (modifier < 4) return;
  int precision = ((modifier - 4) >> 16) & 0xffff;
  int scale = (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
  /* numeric(2,-3) and numeric(2,5) as Arrow's readers know decimals. */
  if (scale < 0) {
    precision -= scale;
    scale = 0;
  }
  if (precision < scale) precision = scale;
  if (precision > 76) return;
  shape->kind = precision <= 38 ? IGP_DECIMAL128 : IGP_DECIMAL256;
  shape->precision = precision;
  shape->scale = scale;
}

struct resolver {
  igp_types *types;
  igp_link *link;
};

/* Fill `shape` for a type; *ret_known is false where it, or a part of it, has no
 * decoder. */
static igloo_status resolve(const struct resolver *resolver, uint32_t oid,
                            int32_t modifier, int depth, struct igp_shape *shape,
                            bool *ret_known, struct igd_error *reterr) {
  *ret_known = false;
  shape->oid = oid;
  if (depth > IGP_SHAPE_DEPTH_MAX) return IGLOO_OK;
  const struct builtin *builtin = find_builtin(oid);
  uint32_t element = builtin ? builtin->element : 0;
  const struct entry *entry = NULL;
  if (builtin) {
    shape->kind = builtin->kind;
    if (oid == OID_NUMERIC) set_numeric(shape, modifier);
  } else if (oid != OID_MONEY) {
    IG_TRY(get_entry(resolver->types, resolver->link, oid, &entry, reterr));
    if (entry->kind == ENTRY_DOMAIN) {
      IG_TRY(resolve(resolver, entry->other, entry->modifier, depth + 1, shape, ret_known,
                     reterr));
      shape->oid = oid; /* elements and attributes are sent as of the domain */
      return IGLOO_OK;
    }
    if (entry->kind == ENTRY_ENUM) shape->kind = IGP_TEXT;
    if (entry->kind == ENTRY_ARRAY) {
      shape->kind = IGP_ARRAY;
      element = entry->other;
    }
    if (entry->kind == ENTRY_COMPOSITE && entry->attributes_count)
      shape->kind = IGP_COMPOSITE;
  }
  if (!shape->kind) return IGLOO_OK;
  *ret_known = true;
  if (shape->kind == IGP_ARRAY) {
    IG_TRY(make_children(shape, 1, reterr));
    return resolve(resolver, element, modifier, depth + 1, shape->children, ret_known,
                   reterr);
  }
  if (shape->kind != IGP_COMPOSITE || !entry) return IGLOO_OK;
  IG_TRY(make_children(shape, entry->attributes_count, reterr));
  for (size_t i = 0; i < entry->attributes_count && *ret_known; i++) {
    struct igp_shape *child = &shape->children[i];
    child->name = ig_strdup(entry->attributes[i].name);
    if (!child->name) return ig_fail_oom(&reterr->base);
    IG_TRY(resolve(resolver, entry->attributes[i].oid, entry->attributes[i].modifier,
                   depth + 1, child, ret_known, reterr));
  }
  return IGLOO_OK;
}

/* A type without a decoder: as what it is cast to, or as its bytes. */
static igloo_status resolve_other(const struct resolver *resolver, uint32_t oid,
                                  bool may_cast, struct igp_shape *shape,
                                  struct igd_error *reterr) {
  const struct entry *entry = NULL;
  if (oid != OID_MONEY && !find_builtin(oid))
    IG_TRY(get_entry(resolver->types, resolver->link, oid, &entry, reterr));
  shape->oid = oid;
  if (!may_cast) {
    shape->kind = IGP_OPAQUE;
    shape->type_name = ig_strdup(entry ? entry->name : "money");
    return shape->type_name ? IGLOO_OK : ig_fail_oom(&reterr->base);
  }
  bool array = entry && entry->kind == ENTRY_ARRAY;
  bool number = oid == OID_MONEY || (array && entry->other == OID_MONEY);
  shape->kind = number ? IGP_NUMBER_TEXT : IGP_TEXT;
  shape->oid = number ? OID_NUMERIC : OID_TEXT;
  if (!array) {
    shape->cast = number ? "pg_catalog.numeric" : "pg_catalog.text";
    return IGLOO_OK;
  }
  struct igp_shape item = *shape;
  shape->kind = IGP_ARRAY;
  shape->cast = number ? "pg_catalog.numeric[]" : "pg_catalog.text[]";
  IG_TRY(make_children(shape, 1, reterr));
  shape->children->kind = item.kind;
  shape->children->oid = item.oid;
  return IGLOO_OK;
}

igloo_status igp_shapes_resolve(igp_types *types, igp_link *link,
                                const struct igp_column *columns, size_t columns_count,
                                bool may_cast, struct igp_shape *ret_root,
                                struct igd_error *reterr) {
  const struct resolver resolver = {types, link};
  IGP_AUTO_SHAPE root = {.kind = IGP_COMPOSITE};
  IG_TRY(make_children(&root, columns_count, reterr));
  for (size_t i = 0; i < columns_count; i++) {
    struct igp_shape *shape = &root.children[i];
    bool known = false;
    IG_TRY(resolve(&resolver, columns[i].oid, columns[i].modifier, 0, shape, &known,
                   reterr));
    if (!known) {
      igp_shape_done(shape);
      IG_TRY(resolve_other(&resolver, columns[i].oid, may_cast, shape, reterr));
    }
    shape->name = ig_strdup(columns[i].name);
    if (!shape->name) return ig_fail_oom(&reterr->base);
  }
  *ret_root = root;
  root = (struct igp_shape){0};
  return IGLOO_OK;
}

/* ---- schemas -------------------------------------------------------------------------
 */

static enum ArrowType plain_type(enum igp_kind kind) {
  switch (kind) {
    case IGP_TEXT:
    case IGP_BPCHAR:
    case IGP_CHAR:
    case IGP_JSON:
    case IGP_JSONB:
    case IGP_NUMBER_TEXT:
      return NANOARROW_TYPE_STRING;
    case IGP_BYTEA:
    case IGP_OPAQUE:
      return NANOARROW_TYPE_BINARY;
    case IGP_BOOL:
      return NANOARROW_TYPE_BOOL;
    case IGP_INT2:
      return NANOARROW_TYPE_INT16;
    case IGP_INT4:
      return NANOARROW_TYPE_INT32;
    case IGP_INT8:
      return NANOARROW_TYPE_INT64;
    case IGP_UINT4:
      return NANOARROW_TYPE_UINT32;
    case IGP_FLOAT4:
      return NANOARROW_TYPE_FLOAT;
    case IGP_FLOAT8:
      return NANOARROW_TYPE_DOUBLE;
    case IGP_DATE:
      return NANOARROW_TYPE_DATE32;
    case IGP_INTERVAL:
      return NANOARROW_TYPE_INTERVAL_MONTH_DAY_NANO;
    case IGP_TIME:
    case IGP_TIMESTAMP:
    case IGP_TIMESTAMPTZ:
    case IGP_UUID:
    case IGP_DECIMAL128:
    case IGP_DECIMAL256:
    case IGP_ARRAY:
    case IGP_COMPOSITE:
      break;
  }
  return NANOARROW_TYPE_UNINITIALIZED;
}

static int set_type(const struct igp_shape *shape, struct ArrowSchema *schema) {
  switch (shape->kind) {
    case IGP_TIME:
      return ArrowSchemaSetTypeDateTime(schema, NANOARROW_TYPE_TIME64,
                                        NANOARROW_TIME_UNIT_MICRO, NULL);
    case IGP_TIMESTAMP:
    case IGP_TIMESTAMPTZ:
      return ArrowSchemaSetTypeDateTime(schema, NANOARROW_TYPE_TIMESTAMP,
                                        NANOARROW_TIME_UNIT_MICRO,
                                        shape->kind == IGP_TIMESTAMPTZ ? "UTC" : NULL);
    case IGP_UUID:
      return ArrowSchemaSetTypeFixedSize(schema, NANOARROW_TYPE_FIXED_SIZE_BINARY, 16);
    case IGP_DECIMAL128:
      return ArrowSchemaSetTypeDecimal(schema, NANOARROW_TYPE_DECIMAL128,
                                       shape->precision, shape->scale);
    case IGP_DECIMAL256:
      return ArrowSchemaSetTypeDecimal(schema, NANOARROW_TYPE_DECIMAL256,
                                       shape->precision, shape->scale);
    case IGP_ARRAY:
      return ArrowSchemaSetType(schema, NANOARROW_TYPE_LIST);
    case IGP_COMPOSITE:
      return ArrowSchemaSetTypeStruct(schema, (int64_t)shape->children_count);
    case IGP_TEXT:
    case IGP_BPCHAR:
    case IGP_CHAR:
    case IGP_JSON:
    case IGP_JSONB:
    case IGP_BYTEA:
    case IGP_BOOL:
    case IGP_INT2:
    case IGP_INT4:
    case IGP_INT8:
    case IGP_UINT4:
    case IGP_FLOAT4:
    case IGP_FLOAT8:
    case IGP_DATE:
    case IGP_INTERVAL:
    case IGP_NUMBER_TEXT:
    case IGP_OPAQUE:
      break;
  }
  return ArrowSchemaSetType(schema, plain_type(shape->kind));
}

/* The text between the quotes of a JSON string. */
static void append_json(struct ig_buf *out, const char *text) {
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') ig_buf_append_char(out, '\\');
    if ((unsigned char)*text < 0x20)
      ig_buf_append_fmt(out, "\\u%04x", (unsigned)*text);
    else
      ig_buf_append_char(out, *text);
  }
}

static igloo_status set_extension(const struct igp_shape *shape,
                                  struct ArrowSchema *schema, struct igd_error *reterr) {
  const char *name = NULL;
  IG_AUTO_DONE(ig_buf) about;
  ig_buf_init(&about, 16 * IG_KIB);
  if (shape->kind == IGP_UUID) name = "arrow.uuid";
  if (shape->kind == IGP_JSON || shape->kind == IGP_JSONB) name = "arrow.json";
  if (shape->kind == IGP_OPAQUE) {
    name = "arrow.opaque";
    ig_buf_append_cstr(&about, "{\"type_name\": \"");
    append_json(&about, shape->type_name);
    ig_buf_append_cstr(&about, "\", \"vendor_name\": \"PostgreSQL\"}");
  }
  if (!name) return IGLOO_OK;
  IG_TRY(ig_buf_check(&about, &reterr->base));
  IG_TRY(igd_metadata_put(schema, "ARROW:extension:name", name, reterr));
  return igd_metadata_put(schema, "ARROW:extension:metadata", ig_buf_str(&about).data,
                          reterr);
}

static igloo_status fill_schema(const struct igp_shape *shape, const char *name,
                                struct ArrowSchema *schema, struct igd_error *reterr) {
  int code = set_type(shape, schema);
  if (code == NANOARROW_OK && name) code = ArrowSchemaSetName(schema, name);
  if (code != NANOARROW_OK)
    return igd_fail_arrow(reterr, code, "could not build a schema", NULL);
  for (size_t i = 0; i < shape->children_count; i++)
    IG_TRY(fill_schema(&shape->children[i],
                       shape->kind == IGP_ARRAY ? "item" : shape->children[i].name,
                       schema->children[i], reterr));
  return set_extension(shape, schema, reterr);
}

igloo_status igp_shape_schema(const struct igp_shape *shape,
                              struct ArrowSchema *ret_schema, struct igd_error *reterr) {
  IG_AUTO_SCHEMA schema;
  ArrowSchemaInit(&schema);
  IG_TRY(fill_schema(shape, shape->name, &schema, reterr));
  ArrowSchemaMove(&schema, ret_schema);
  return IGLOO_OK;
}
