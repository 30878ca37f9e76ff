/* dialect_value.c -- see dialect_core.h: Arrow types and one-row arrays as values. */
#include "base/parse.h"
#include "connector/dialect_core.h"

/* ---- types ----------------------------------------------------------------------------
 */

static const struct {
  const char *format;
  struct ig_type type;
} plain_types[] = {
    {"b", {.class = IG_CLASS_BOOL, .bits = 1}},
    {"c", {.class = IG_CLASS_INT, .bits = 8}},
    {"C", {.class = IG_CLASS_INT, .bits = 8, .is_unsigned = true}},
    {"s", {.class = IG_CLASS_INT, .bits = 16}},
    {"S", {.class = IG_CLASS_INT, .bits = 16, .is_unsigned = true}},
    {"i", {.class = IG_CLASS_INT, .bits = 32}},
    {"I", {.class = IG_CLASS_INT, .bits = 32, .is_unsigned = true}},
    {"l", {.class = IG_CLASS_INT, .bits = 64}},
    {"L", {.class = IG_CLASS_INT, .bits = 64, .is_unsigned = true}},
    {"f", {.class = IG_CLASS_FLOAT, .bits = 32}},
    {"g", {.class = IG_CLASS_FLOAT, .bits = 64}},
    {"u", {.class = IG_CLASS_TEXT}},
    {"U", {.class = IG_CLASS_TEXT}},
    {"vu", {.class = IG_CLASS_TEXT}},
    {"z", {.class = IG_CLASS_BYTES}},
    {"Z", {.class = IG_CLASS_BYTES}},
    {"vz", {.class = IG_CLASS_BYTES}},
    {"tdD", {.class = IG_CLASS_DATE, .bits = 32}},
    {"tts", {.class = IG_CLASS_TIME, .bits = 32, .unit = 1}},
    {"ttm", {.class = IG_CLASS_TIME, .bits = 32, .unit = 1000}},
    {"ttu", {.class = IG_CLASS_TIME, .bits = 64, .unit = 1000000}},
    {"ttn", {.class = IG_CLASS_TIME, .bits = 64, .unit = 1000000000}},
};

static bool read_number(struct ig_str text, int32_t *ret_number) {
  int64_t number = 0;
  if (ig_parse_i64(text, &number, NULL) != IGLOO_OK) return false;
  if (number < 0 || number > INT32_MAX) return false;
  *ret_number = (int32_t)number;
  return true;
}

/* "d:9,2" or "d:9,2,128". */
static struct ig_type decimal_of(struct ig_str parameters) {
  struct ig_type type = {.class = IG_CLASS_DECIMAL, .bits = 128};
  struct ig_str precision, scale, bits;
  bool whole = ig_str_split(parameters, ',', &precision, &parameters) &&
               read_number(precision, &type.precision);
  bool has_bits = ig_str_split(parameters, ',', &scale, &bits);
  whole = whole && read_number(scale, &type.scale);
  whole = whole && (!has_bits || read_number(bits, &type.bits));
  bool known = whole && type.precision >= 1 && type.precision <= 38 && type.bits <= 128 &&
               type.scale >= 0 && type.scale <= type.precision;
  return known ? type : (struct ig_type){.class = IG_CLASS_OTHER};
}

/* "tsu:" or "tsu:Europe/Berlin". */
static struct ig_type timestamp_of(struct ig_str format) {
  struct ig_type type = {.class = format.len > 4 ? IG_CLASS_INSTANT : IG_CLASS_TIMESTAMP,
                         .bits = 64};
  switch (format.data[2]) {
    case 's':
      type.unit = 1;
      break;
    case 'm':
      type.unit = 1000;
      break;
    case 'u':
      type.unit = 1000000;
      break;
    case 'n':
      type.unit = 1000000000;
      break;
    default:
      type.class = IG_CLASS_OTHER;
  }
  return type;
}

struct ig_type ig_type_of(const struct ArrowSchema *schema) {
  struct ig_type other = {.class = IG_CLASS_OTHER};
  if (!schema || !schema->format || !*schema->format || schema->dictionary) return other;
  struct ig_str format = ig_str_from_cstr(schema->format);
  if (ig_str_starts(format, IG_STR("ts")) && format.len >= 4 && format.data[3] == ':')
    return timestamp_of(format);
  for (size_t i = 0; i < IG_ARRAY_LEN(plain_types); i++)
    if (plain_types[i].format[0] == format.data[0] &&
        strcmp(plain_types[i].format, format.data) == 0)
      return plain_types[i].type;
  if (ig_str_starts(format, IG_STR("d:")))
    return decimal_of(ig_str_sub(format, 2, format.len));
  if (ig_str_starts(format, IG_STR("w:"))) {
    struct ig_type bytes = {.class = IG_CLASS_BYTES};
    return read_number(ig_str_sub(format, 2, format.len), &bytes.bits) ? bytes : other;
  }
  return other;
}

/* Decimal digits that every value of the integer type has room in. */
static int32_t digits_of(const struct ig_type *type) {
  switch (type->bits) {
    case 8:
      return 3;
    case 16:
      return 5;
    case 32:
      return 10;
    default:
      return type->is_unsigned ? 20 : 19;
  }
}

static bool int_widens(const struct ig_type *from, const struct ig_type *to) {
  if (from->is_unsigned == to->is_unsigned) return to->bits >= from->bits;
  return from->is_unsigned && to->bits > from->bits;
}

bool ig_type_widens(const struct ig_type *from, const struct ig_type *to) {
  if (from->class == IG_CLASS_INT && to->class == IG_CLASS_DECIMAL)
    return to->precision - to->scale >= digits_of(from);
  if (from->class == IG_CLASS_INT && to->class == IG_CLASS_FLOAT)
    return from->bits <= (to->bits == 64 ? 32 : 16);
  if (from->class != to->class) return false;
  switch (from->class) {
    case IG_CLASS_INT:
      return int_widens(from, to);
    case IG_CLASS_FLOAT:
      return to->bits >= from->bits;
    case IG_CLASS_DECIMAL:
      return to->scale >= from->scale &&
             to->precision - to->scale >= from->precision - from->scale;
    case IG_CLASS_TIME: /* a day has room in every unit */
      return to->unit >= from->unit;
    case IG_CLASS_TIMESTAMP:
    case IG_CLASS_INSTANT:
      return from->unit == to->unit;
    case IG_CLASS_BOOL:
    case IG_CLASS_TEXT:
    case IG_CLASS_DATE:
      return true;
    case IG_CLASS_BYTES:
      return from->bits == to->bits;
    case IG_CLASS_OTHER:
      break;
  }
  return false;
}

/* ---- values ---------------------------------------------------------------------------
 */

/* Row 0 of an array of one row; the formats of the C data interface. */
struct row {
  const struct ArrowArray *array;
  int64_t at; /* in the buffers */
};

static const void *buffer_of(struct row row, int64_t index) {
  return index < row.array->n_buffers ? row.array->buffers[index] : NULL;
}

static bool bit_at(const void *bits, int64_t at) {
  return (((const uint8_t *)bits)[at / 8] >> (at % 8) & 1) != 0;
}

static bool read_whole(struct row row, const struct ig_type *type, __int128 *ret_whole) {
  const uint8_t *data = buffer_of(row, 1);
  if (!data) return false;
  size_t width = (size_t)type->bits / 8;
  unsigned __int128 raw = 0;
  memcpy(&raw, data + (size_t)row.at * width, width);
  int unused = 128 - type->bits;
  *ret_whole = (__int128)(raw << unused) >> unused; /* extends the sign */
  if (type->is_unsigned) *ret_whole = (__int128)raw;
  return true;
}

static bool read_number_value(struct row row, const struct ig_type *type,
                              double *ret_number) {
  const void *data = buffer_of(row, 1);
  if (!data) return false;
  *ret_number = type->bits == 64 ? ((const double *)data)[row.at]
                                 : (double)((const float *)data)[row.at];
  return true;
}

/* A view is inline up to 12 bytes, else it names a buffer and an offset. */
static bool read_view(struct row row, struct ig_str *ret_bytes) {
  const char *views = buffer_of(row, 1);
  if (!views) return false;
  const char *view = views + row.at * 16;
  int32_t parts[4];
  memcpy(parts, view, sizeof(parts));
  if (parts[0] < 0) return false;
  if (parts[0] <= 12) {
    *ret_bytes = ig_str_make(view + 4, (size_t)parts[0]);
    return true;
  }
  const char *data = parts[2] < 0 ? NULL : buffer_of(row, 2 + (int64_t)parts[2]);
  if (!data || parts[3] < 0) return false;
  *ret_bytes = ig_str_make(data + parts[3], (size_t)parts[0]);
  return true;
}

static bool read_bytes(struct row row, const char *format, struct ig_str *ret_bytes) {
  if (format[0] == 'v') return read_view(row, ret_bytes);
  const void *first = buffer_of(row, 1);
  if (!first) return false;
  if (format[0] == 'w') {
    int32_t width = 0;
    if (!read_number(ig_str_from_cstr(format + 2), &width) || width < 0) return false;
    *ret_bytes = ig_str_make((const char *)first + row.at * width, (size_t)width);
    return true;
  }
  bool large = format[0] == 'U' || format[0] == 'Z';
  int64_t start =
      large ? ((const int64_t *)first)[row.at] : ((const int32_t *)first)[row.at];
  int64_t end =
      large ? ((const int64_t *)first)[row.at + 1] : ((const int32_t *)first)[row.at + 1];
  const char *data = buffer_of(row, 2);
  if (start < 0 || end < start || (end > start && !data)) return false;
  *ret_bytes = ig_str_make(end > start ? data + start : "", (size_t)(end - start));
  return true;
}

bool ig_value_of(const struct igloo_expr *literal, struct ig_value *ret_value) {
  const struct ArrowArray *array = literal->value;
  *ret_value = (struct ig_value){.type = ig_type_of(literal->type)};
  if (!array || array->length < 1 || !literal->type || !literal->type->format)
    return false;
  struct row row = {array, array->offset};
  const void *validity = buffer_of(row, 0);
  if (literal->type->format[0] == 'n' || (validity && !bit_at(validity, row.at))) {
    ret_value->is_null = true;
    return true;
  }
  switch (ret_value->type.class) {
    case IG_CLASS_BOOL:
      if (!buffer_of(row, 1)) return false;
      ret_value->whole = bit_at(buffer_of(row, 1), row.at);
      return true;
    case IG_CLASS_INT:
    case IG_CLASS_DECIMAL:
    case IG_CLASS_DATE:
    case IG_CLASS_TIME:
    case IG_CLASS_TIMESTAMP:
    case IG_CLASS_INSTANT:
      return read_whole(row, &ret_value->type, &ret_value->whole);
    case IG_CLASS_FLOAT:
      return read_number_value(row, &ret_value->type, &ret_value->number);
    case IG_CLASS_TEXT:
    case IG_CLASS_BYTES:
      return read_bytes(row, literal->type->format, &ret_value->bytes);
    case IG_CLASS_OTHER:
      break;
  }
  return false;
}
