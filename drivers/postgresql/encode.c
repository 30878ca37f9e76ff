/* encode.c -- see encode.h. */
#include "postgresql/encode.h"

#include <string.h>

#include "postgresql/numeric.h"

#define EPOCH_DAYS 10957 /* as in decode.c */
#define EPOCH_US (INT64_C(86400000000) * EPOCH_DAYS)
#define DAY_US INT64_C(86400000000)

/* ---- types ---------------------------------------------------------------------------
 */

static bool has_extension(const struct ArrowSchemaView *type, const char *name) {
  struct ig_str extension = {type->extension_name.data,
                             (size_t)type->extension_name.size_bytes};
  return extension.data && ig_str_eq_cstr(extension, name);
}

/* Types without a parameter; NULL for the others. */
static const char *plain_name(const struct ArrowSchemaView *type) {
  switch ((int)type->type) {
    case NANOARROW_TYPE_BOOL:
      return "boolean";
    case NANOARROW_TYPE_INT8:
    case NANOARROW_TYPE_UINT8:
    case NANOARROW_TYPE_INT16:
      return "smallint";
    case NANOARROW_TYPE_UINT16:
    case NANOARROW_TYPE_INT32:
      return "integer";
    case NANOARROW_TYPE_UINT32:
    case NANOARROW_TYPE_INT64:
      return "bigint";
    case NANOARROW_TYPE_UINT64:
      return "numeric(20,0)";
    case NANOARROW_TYPE_HALF_FLOAT:
    case NANOARROW_TYPE_FLOAT:
      return "real";
    case NANOARROW_TYPE_DOUBLE:
      return "double precision";
    case NANOARROW_TYPE_NA:
      return "text";
    case NANOARROW_TYPE_STRING:
    case NANOARROW_TYPE_LARGE_STRING:
    case NANOARROW_TYPE_STRING_VIEW:
      return has_extension(type, "arrow.json") ? "json" : "text";
    case NANOARROW_TYPE_BINARY:
    case NANOARROW_TYPE_LARGE_BINARY:
    case NANOARROW_TYPE_BINARY_VIEW:
      return "bytea";
    case NANOARROW_TYPE_FIXED_SIZE_BINARY:
      return has_extension(type, "arrow.uuid") ? "uuid" : "bytea";
    case NANOARROW_TYPE_DATE32:
    case NANOARROW_TYPE_DATE64:
      return "date";
    case NANOARROW_TYPE_TIME32:
    case NANOARROW_TYPE_TIME64:
      return "time";
    case NANOARROW_TYPE_TIMESTAMP:
      return type->timezone && *type->timezone ? "timestamptz" : "timestamp";
    case NANOARROW_TYPE_DURATION:
    case NANOARROW_TYPE_INTERVAL_MONTHS:
    case NANOARROW_TYPE_INTERVAL_DAY_TIME:
    case NANOARROW_TYPE_INTERVAL_MONTH_DAY_NANO:
      return "interval";
    default:
      return NULL;
  }
}

static bool is_decimal(enum ArrowType type) {
  return type == NANOARROW_TYPE_DECIMAL32 || type == NANOARROW_TYPE_DECIMAL64 ||
         type == NANOARROW_TYPE_DECIMAL128 || type == NANOARROW_TYPE_DECIMAL256;
}

static bool is_list(enum ArrowType type) {
  return type == NANOARROW_TYPE_LIST || type == NANOARROW_TYPE_LARGE_LIST ||
         type == NANOARROW_TYPE_FIXED_SIZE_LIST;
}

static bool append_type(const struct ArrowSchemaView *type, struct ig_buf *out) {
  const char *name = plain_name(type);
  if (name) {
    ig_buf_append_cstr(out, name);
    return true;
  }
  if (!is_decimal(type->type)) return false;
  int scale = type->decimal_scale > 0 ? type->decimal_scale : 0;
  int precision =
      type->decimal_precision - (type->decimal_scale < 0 ? type->decimal_scale : 0);
  ig_buf_append_fmt(out, "numeric(%d,%d)", precision < scale ? scale : precision, scale);
  return true;
}

/* The type of a list's values; false where they cannot be written. */
static bool open_element(const struct ArrowSchema *list,
                         struct ArrowSchemaView *ret_view) {
  const struct ArrowSchema *item = list->n_children == 1 ? list->children[0] : NULL;
  return item && !item->dictionary &&
         ArrowSchemaViewInit(ret_view, item, NULL) == NANOARROW_OK;
}

igloo_status igp_encoding_type(const struct igd_rows_column *column,
                               struct ig_buf *ret_type, struct igd_error *reterr) {
  struct ArrowSchemaView element;
  if (append_type(&column->type, ret_type)) return IGLOO_OK;
  if (is_list(column->type.type) && open_element(column->schema, &element) &&
      append_type(&element, ret_type)) {
    ig_buf_append_cstr(ret_type, "[]");
    return IGLOO_OK;
  }
  return ig_fail(&reterr->base, IGLOO_UNSUPPORTED,
                 "column \"%s\" of type %s cannot be written to PostgreSQL", column->name,
                 ArrowTypeString(column->type.type));
}

/* ---- planning ------------------------------------------------------------------------
 */

/* Bits of a whole number with its sign; 0: it is none. */
static int whole_bits(enum ArrowType type) {
  switch ((int)type) {
    case NANOARROW_TYPE_INT8:
      return 8;
    case NANOARROW_TYPE_UINT8:
      return 9;
    case NANOARROW_TYPE_INT16:
      return 16;
    case NANOARROW_TYPE_UINT16:
      return 17;
    case NANOARROW_TYPE_INT32:
      return 32;
    case NANOARROW_TYPE_UINT32:
      return 33;
    case NANOARROW_TYPE_INT64:
      return 64;
    case NANOARROW_TYPE_UINT64:
      return 65;
    default:
      return 0;
  }
}

static bool is_text(enum ArrowType type) {
  return type == NANOARROW_TYPE_STRING || type == NANOARROW_TYPE_LARGE_STRING ||
         type == NANOARROW_TYPE_STRING_VIEW;
}

static bool is_binary(enum ArrowType type) {
  return type == NANOARROW_TYPE_BINARY || type == NANOARROW_TYPE_LARGE_BINARY ||
         type == NANOARROW_TYPE_BINARY_VIEW || type == NANOARROW_TYPE_FIXED_SIZE_BINARY;
}

/* Whether every value of the type has the binary form of `kind`. */
static bool fits(const struct ArrowSchemaView *type, enum igp_kind kind) {
  enum ArrowType id = type->type;
  int bits = whole_bits(id);
  bool zoned = type->timezone && *type->timezone;
  if (id == NANOARROW_TYPE_NA) return true;
  switch (kind) {
    case IGP_BOOL:
      return id == NANOARROW_TYPE_BOOL;
    case IGP_INT2:
      return bits && bits <= 16;
    case IGP_INT4:
      return bits && bits <= 32;
    case IGP_INT8:
      return bits && bits <= 64;
    case IGP_DECIMAL128:
    case IGP_DECIMAL256:
    case IGP_NUMBER_TEXT:
      return bits || is_decimal(id);
    case IGP_FLOAT4:
      return id == NANOARROW_TYPE_HALF_FLOAT || id == NANOARROW_TYPE_FLOAT;
    case IGP_FLOAT8:
      return id == NANOARROW_TYPE_HALF_FLOAT || id == NANOARROW_TYPE_FLOAT ||
             id == NANOARROW_TYPE_DOUBLE;
    case IGP_TEXT:
    case IGP_BPCHAR:
    case IGP_JSON:
    case IGP_JSONB:
      return is_text(id);
    case IGP_BYTEA:
      return is_binary(id);
    case IGP_UUID:
      return id == NANOARROW_TYPE_FIXED_SIZE_BINARY && type->fixed_size == 16;
    case IGP_DATE:
      return id == NANOARROW_TYPE_DATE32 || id == NANOARROW_TYPE_DATE64;
    case IGP_TIME:
      return id == NANOARROW_TYPE_TIME32 || id == NANOARROW_TYPE_TIME64;
    case IGP_TIMESTAMP:
      return id == NANOARROW_TYPE_TIMESTAMP && !zoned;
    case IGP_TIMESTAMPTZ:
      return id == NANOARROW_TYPE_TIMESTAMP && zoned;
    case IGP_INTERVAL:
      return id == NANOARROW_TYPE_DURATION || id == NANOARROW_TYPE_INTERVAL_MONTHS ||
             id == NANOARROW_TYPE_INTERVAL_DAY_TIME ||
             id == NANOARROW_TYPE_INTERVAL_MONTH_DAY_NANO;
    case IGP_CHAR:
    case IGP_UINT4:
    case IGP_ARRAY:
    case IGP_COMPOSITE:
    case IGP_OPAQUE:
      break;
  }
  return false;
}

bool igp_encoding_plan(const struct igd_rows_column *column,
                       const struct igp_shape *target,
                       struct igp_encoding *ret_encoding) {
  *ret_encoding = (struct igp_encoding){.kind = target->kind};
  if (target->cast) return false;
  if (target->kind != IGP_ARRAY) return fits(&column->type, target->kind);
  ret_encoding->element_oid = target->children->oid;
  ret_encoding->element_kind = target->children->kind;
  return is_list(column->type.type) &&
         open_element(column->schema, &ret_encoding->element) &&
         fits(&ret_encoding->element, target->children->kind);
}

/* ---- writing -------------------------------------------------------------------------
 */

static void put_u32(struct ig_buf *out, uint32_t value) {
  value = __builtin_bswap32(value);
  ig_buf_append(out, &value, sizeof(value));
}

static void put_u64(struct ig_buf *out, uint64_t value) {
  value = __builtin_bswap64(value);
  ig_buf_append(out, &value, sizeof(value));
}

static void put_number(struct ig_buf *out, uint32_t width, int64_t value) {
  put_u32(out, width);
  uint64_t bytes = __builtin_bswap64((uint64_t)value);
  ig_buf_append(out, (const char *)&bytes + (8 - width), width);
}

static igloo_status fail_range(const char *what, struct igd_error *reterr) {
  return ig_fail_state(&reterr->base, IGLOO_DATA_ERROR, "22008",
                       "%s is outside of what PostgreSQL can hold", what);
}

static int64_t get_int(struct igd_cell cell) {
  return ArrowArrayViewGetIntUnsafe(cell.view, cell.index);
}

/* Microseconds of a value in the type's unit, to the nearest as PostgreSQL rounds. */
static bool to_us(struct igd_cell cell, int64_t value, int64_t *ret_us) {
  switch (cell.type->time_unit) {
    case NANOARROW_TIME_UNIT_SECOND:
      return !__builtin_mul_overflow(value, 1000000, ret_us);
    case NANOARROW_TIME_UNIT_MILLI:
      return !__builtin_mul_overflow(value, 1000, ret_us);
    case NANOARROW_TIME_UNIT_MICRO:
      *ret_us = value;
      return true;
    case NANOARROW_TIME_UNIT_NANO:
      break;
  }
  int64_t rest = value % 1000;
  *ret_us = value / 1000 + (rest >= 500) - (rest < -500);
  return true;
}

static igloo_status put_date(struct igd_cell cell, struct ig_buf *out,
                             struct igd_error *reterr) {
  int64_t days = get_int(cell);
  if (cell.type->type == NANOARROW_TYPE_DATE64)
    days = days / 86400000 - (days % 86400000 < 0);
  else if (days == INT32_MAX || days == INT32_MIN) { /* infinity, as it is read */
    put_number(out, 4, days);
    return IGLOO_OK;
  }
  days -= EPOCH_DAYS;
  if (days >= INT32_MAX || days <= INT32_MIN) return fail_range("a date", reterr);
  put_number(out, 4, days);
  return IGLOO_OK;
}

static igloo_status put_timestamp(struct igd_cell cell, struct ig_buf *out,
                                  struct igd_error *reterr) {
  int64_t value = get_int(cell), us = 0;
  bool micro = cell.type->time_unit == NANOARROW_TIME_UNIT_MICRO;
  if (micro && (value == INT64_MAX || value == INT64_MIN)) {
    put_number(out, 8, value);
    return IGLOO_OK;
  }
  if (!to_us(cell, value, &us) || __builtin_sub_overflow(us, EPOCH_US, &us) ||
      us == INT64_MIN)
    return fail_range("a timestamp", reterr);
  put_number(out, 8, us);
  return IGLOO_OK;
}

static igloo_status put_time(struct igd_cell cell, struct ig_buf *out,
                             struct igd_error *reterr) {
  int64_t us = 0;
  if (!to_us(cell, get_int(cell), &us) || us < 0 || us > DAY_US)
    return fail_range("a time", reterr);
  put_number(out, 8, us);
  return IGLOO_OK;
}

static igloo_status put_interval(struct igd_cell cell, struct ig_buf *out,
                                 struct igd_error *reterr) {
  struct ArrowInterval value = {0};
  int64_t us = 0;
  if (cell.type->type == NANOARROW_TYPE_DURATION) {
    if (!to_us(cell, get_int(cell), &us)) return fail_range("a duration", reterr);
  } else {
    ArrowIntervalInit(&value, cell.type->type);
    ArrowArrayViewGetIntervalUnsafe(cell.view, cell.index, &value);
    us = cell.type->type == NANOARROW_TYPE_INTERVAL_DAY_TIME
             ? (int64_t)value.ms * 1000
             : value.ns / 1000 + (value.ns % 1000 >= 500) - (value.ns % 1000 < -500);
  }
  put_u32(out, 16);
  put_u64(out, (uint64_t)us);
  put_u32(out, (uint32_t)value.days);
  put_u32(out, (uint32_t)value.months);
  return IGLOO_OK;
}

static void put_numeric(struct igd_cell cell, struct ig_buf *out) {
  uint64_t limbs[IGP_LIMBS] = {0};
  int scale = 0;
  if (is_decimal(cell.type->type)) {
    struct ArrowDecimal value;
    ArrowDecimalInit(&value, cell.type->decimal_bitwidth, cell.type->decimal_precision,
                     cell.type->decimal_scale);
    ArrowArrayViewGetDecimalUnsafe(cell.view, cell.index, &value);
    scale = cell.type->decimal_scale;
    bool narrow = cell.type->decimal_bitwidth < 64;
    uint8_t sign = ArrowDecimalSign(&value) < 0 ? 0xff : 0;
    memset(limbs, sign, sizeof(limbs));
    memcpy(limbs, value.words, narrow ? 4 : (size_t)cell.type->decimal_bitwidth / 8);
  } else if (cell.type->type == NANOARROW_TYPE_UINT64) {
    limbs[0] = ArrowArrayViewGetUIntUnsafe(cell.view, cell.index);
  } else {
    int64_t value = get_int(cell);
    memset(limbs, value < 0 ? 0xff : 0, sizeof(limbs));
    limbs[0] = (uint64_t)value;
  }
  size_t at = out->len;
  put_u32(out, 0);
  igp_numeric_write(limbs, scale, out);
  if (ig_buf_check(out, NULL) != IGLOO_OK) return;
  uint32_t length = __builtin_bswap32((uint32_t)(out->len - at - 4));
  memcpy(out->data + at, &length, sizeof(length));
}

static void put_float(struct igd_cell cell, bool wide, struct ig_buf *out) {
  double value = ArrowArrayViewGetDoubleUnsafe(cell.view, cell.index);
  put_u32(out, wide ? 8 : 4);
  if (wide) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    put_u64(out, bits);
    return;
  }
  float narrow = (float)value;
  uint32_t bits;
  memcpy(&bits, &narrow, sizeof(bits));
  put_u32(out, bits);
}

static igloo_status put_text(struct igd_cell cell, bool version, struct ig_buf *out,
                             struct igd_error *reterr) {
  struct ig_str bytes = igd_cell_bytes(cell);
  if (bytes.len >= INT32_MAX)
    return ig_fail_state(&reterr->base, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "a value of more than 2 GiB cannot be written to PostgreSQL");
  put_u32(out, (uint32_t)bytes.len + version);
  if (version) ig_buf_append_char(out, 1);
  ig_buf_append_str(out, bytes);
  return IGLOO_OK;
}

/* Where the values of a list begin among those of its child. */
static int64_t list_start(const struct ArrowArrayView *view, int64_t index) {
  if (view->storage_type == NANOARROW_TYPE_FIXED_SIZE_LIST)
    return (view->offset + index) * view->layout.child_size_elements;
  return ArrowArrayViewListChildOffset(view, index);
}

static igloo_status put_array(const struct igp_encoding *encoding, struct igd_cell cell,
                              struct ig_buf *out, struct igd_error *reterr) {
  const struct igp_encoding element = {.kind = encoding->element_kind};
  struct igd_cell item = {.view = cell.view->children[0], .type = &encoding->element};
  int64_t at = list_start(cell.view, cell.index);
  int64_t end = list_start(cell.view, cell.index + 1);
  size_t start = out->len;
  put_u32(out, 0);
  put_u32(out, end > at); /* dimensions */
  put_u32(out, 1);        /* perhaps NULLs */
  put_u32(out, encoding->element_oid);
  if (end > at) {
    put_u32(out, (uint32_t)(end - at));
    put_u32(out, 1); /* the first index */
  }
  for (; at < end; at++) {
    item.index = at;
    IG_TRY(igp_encode(&element, item, out, reterr));
    IG_TRY(ig_buf_check(out, &reterr->base));
  }
  IG_TRY(ig_buf_check(out, &reterr->base));
  uint32_t length = __builtin_bswap32((uint32_t)(out->len - start - 4));
  memcpy(out->data + start, &length, sizeof(length));
  return IGLOO_OK;
}

igloo_status igp_encode(const struct igp_encoding *encoding, struct igd_cell cell,
                        struct ig_buf *out, struct igd_error *reterr) {
  if (igd_cell_is_null(cell)) {
    put_u32(out, UINT32_MAX);
    return IGLOO_OK;
  }
  switch (encoding->kind) {
    case IGP_BOOL:
      put_number(out, 1, get_int(cell));
      return IGLOO_OK;
    case IGP_INT2:
      put_number(out, 2, get_int(cell));
      return IGLOO_OK;
    case IGP_INT4:
      put_number(out, 4, get_int(cell));
      return IGLOO_OK;
    case IGP_INT8:
      put_number(out, 8, get_int(cell));
      return IGLOO_OK;
    case IGP_DECIMAL128:
    case IGP_DECIMAL256:
    case IGP_NUMBER_TEXT:
      put_numeric(cell, out);
      return IGLOO_OK;
    case IGP_FLOAT4:
    case IGP_FLOAT8:
      put_float(cell, encoding->kind == IGP_FLOAT8, out);
      return IGLOO_OK;
    case IGP_TEXT:
    case IGP_BPCHAR:
    case IGP_JSON:
    case IGP_JSONB:
    case IGP_BYTEA:
    case IGP_UUID:
      return put_text(cell, encoding->kind == IGP_JSONB, out, reterr);
    case IGP_DATE:
      return put_date(cell, out, reterr);
    case IGP_TIME:
      return put_time(cell, out, reterr);
    case IGP_TIMESTAMP:
    case IGP_TIMESTAMPTZ:
      return put_timestamp(cell, out, reterr);
    case IGP_INTERVAL:
      return put_interval(cell, out, reterr);
    case IGP_ARRAY:
      return put_array(encoding, cell, out, reterr);
    case IGP_CHAR:
    case IGP_UINT4:
    case IGP_COMPOSITE:
    case IGP_OPAQUE:
      break;
  }
  return ig_fail(&reterr->base, IGLOO_INTERNAL, "there is no such encoding");
}
