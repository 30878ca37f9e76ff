/* types.c -- what a declared type stands for. Names that say what they mean come first;
 * the rest goes by SQLite's own rules of affinity, which look for parts of words. */
#include "base/parse.h"
#include "sqlite/sqlite.h"

/* Arrow's decimal128. */
enum { PRECISION_MAX = 38 };

struct name_kind {
  const char *name; /* upper case, without what stands in brackets */
  enum igs_kind kind;
};

static const struct name_kind names[] = {
    {"BOOLEAN", IGS_BOOL},
    {"BOOL", IGS_BOOL},
    {"DATE", IGS_DATE},
    {"TIME", IGS_TIME},
    {"TIME WITHOUT TIME ZONE", IGS_TIME},
    {"DATETIME", IGS_TIMESTAMP},
    {"TIMESTAMP", IGS_TIMESTAMP},
    {"TIMESTAMP WITHOUT TIME ZONE", IGS_TIMESTAMP},
    {"TIMESTAMPTZ", IGS_TIMESTAMP_UTC},
    {"TIMESTAMP WITH TIME ZONE", IGS_TIMESTAMP_UTC},
    {"DECIMAL", IGS_DECIMAL},
    {"NUMERIC", IGS_DECIMAL},
    {"DEC", IGS_DECIMAL},
    {"NUMBER", IGS_DECIMAL},
    {"DECIMALTEXT", IGS_DECIMAL},
    {"BINARY", IGS_BINARY},
    {"VARBINARY", IGS_BINARY},
    {"BYTEA", IGS_BINARY},
};

/* A declared type, taken apart: upper case, one space between words, without "(...)".
 * What is longer than any name of the table is cut, and is none of them. */
struct declared {
  char name[32];
  size_t length;
  int32_t args[2]; /* the numbers in brackets */
  int args_count;
};

static void add_char(struct declared *parts, char c) {
  if (parts->length < sizeof(parts->name)) parts->name[parts->length++] = c;
}

static void split_declared(const char *declared, struct declared *ret_parts) {
  bool gap = false;
  for (const char *at = declared; *at; at++) {
    if (*at == '(') {
      struct ig_str rest = ig_str_from_cstr(at + 1), inside, part;
      (void)ig_str_split(rest, ')', &inside, &rest);
      while (ret_parts->args_count < 2 && inside.len > 0) {
        int64_t number = -1;
        (void)ig_str_split(inside, ',', &part, &inside);
        if (ig_parse_i64(part, &number, NULL) != IGLOO_OK || number < 0 || number > 1000)
          number = 1000; /* fits no type */
        ret_parts->args[ret_parts->args_count++] = (int32_t)number;
      }
      if (rest.len == 0) break;
      at = rest.data - 1;
      gap = true;
    } else if (ig_ascii_is_space(*at)) {
      gap = true;
    } else {
      if (gap && ret_parts->length > 0) add_char(ret_parts, ' ');
      gap = false;
      add_char(ret_parts, ig_ascii_upper(*at));
    }
  }
}

enum igs_affinity igs_affinity_of(const char *declared) {
  static const struct {
    const char *part;
    enum igs_affinity affinity;
  } rules[] = {
      {"INT", IGS_AFFINITY_INTEGER}, {"CHAR", IGS_AFFINITY_TEXT},
      {"CLOB", IGS_AFFINITY_TEXT},   {"TEXT", IGS_AFFINITY_TEXT},
      {"BLOB", IGS_AFFINITY_NONE},   {"REAL", IGS_AFFINITY_REAL},
      {"FLOA", IGS_AFFINITY_REAL},   {"DOUB", IGS_AFFINITY_REAL},
  };
  if (!declared || !*declared) return IGS_AFFINITY_NONE;
  size_t length = strlen(declared);
  for (size_t r = 0; r < IG_ARRAY_LEN(rules); r++) {
    struct ig_str part = ig_str_from_cstr(rules[r].part);
    for (size_t i = 0; i + part.len <= length; i++)
      if (ig_str_eq_ci(ig_str_make(declared + i, part.len), part))
        return rules[r].affinity;
  }
  return IGS_AFFINITY_NUMERIC;
}

/* Of a type whose name says nothing to us. NUMERIC affinity is what SQLite gives to words
 * that it does not know ("STRING", "JSON", "UUID"): no type follows from it. */
static enum igs_kind kind_of_affinity(const char *declared) {
  switch (igs_affinity_of(declared)) {
    case IGS_AFFINITY_INTEGER:
      return IGS_INT64;
    case IGS_AFFINITY_TEXT:
      return IGS_TEXT;
    case IGS_AFFINITY_REAL:
      return IGS_DOUBLE;
    case IGS_AFFINITY_NONE:
      return IGS_BINARY;
    case IGS_AFFINITY_NUMERIC:
      break;
  }
  return IGS_LOOSE;
}

struct igs_type igs_type_of(const char *declared) {
  struct igs_type type = {.kind = IGS_LOOSE};
  if (!declared || !*declared) return type;
  struct declared parts = {.length = 0};
  split_declared(declared, &parts);
  type.kind = kind_of_affinity(declared);
  for (size_t i = 0; i < IG_ARRAY_LEN(names); i++)
    if (ig_str_eq_cstr(ig_str_make(parts.name, parts.length), names[i].name))
      type.kind = names[i].kind;
  if (type.kind != IGS_DECIMAL) return type;

  /* Without a precision there is no scale to be exact to: SQLite's REAL is what it is. */
  if (parts.args_count == 0) {
    type.kind = IGS_DOUBLE;
  } else if (parts.args[0] < 1 || parts.args[0] > PRECISION_MAX ||
             parts.args[1] > parts.args[0]) {
    type.kind = IGS_LOOSE;
  } else {
    type.precision = parts.args[0];
    type.scale = parts.args[1];
  }
  return type;
}

const char *igs_kind_name(enum igs_kind kind) {
  static const char *const texts[] = {
      [IGS_LOOSE] = "text",          [IGS_INT64] = "integer",
      [IGS_DOUBLE] = "real",         [IGS_TEXT] = "text",
      [IGS_BINARY] = "blob",         [IGS_BOOL] = "boolean",
      [IGS_DATE] = "date",           [IGS_TIME] = "time",
      [IGS_TIMESTAMP] = "timestamp", [IGS_TIMESTAMP_UTC] = "timestamp with time zone",
      [IGS_DECIMAL] = "decimal"};
  return texts[kind];
}

static int set_type(const struct igs_type *type, struct ArrowSchema *field) {
  switch (type->kind) {
    case IGS_LOOSE:
    case IGS_TEXT:
      return ArrowSchemaSetType(field, NANOARROW_TYPE_STRING);
    case IGS_INT64:
      return ArrowSchemaSetType(field, NANOARROW_TYPE_INT64);
    case IGS_DOUBLE:
      return ArrowSchemaSetType(field, NANOARROW_TYPE_DOUBLE);
    case IGS_BINARY:
      return ArrowSchemaSetType(field, NANOARROW_TYPE_BINARY);
    case IGS_BOOL:
      return ArrowSchemaSetType(field, NANOARROW_TYPE_BOOL);
    case IGS_DATE:
      return ArrowSchemaSetType(field, NANOARROW_TYPE_DATE32);
    case IGS_TIME:
      return ArrowSchemaSetTypeDateTime(field, NANOARROW_TYPE_TIME64,
                                        NANOARROW_TIME_UNIT_MICRO, NULL);
    case IGS_TIMESTAMP:
      return ArrowSchemaSetTypeDateTime(field, NANOARROW_TYPE_TIMESTAMP,
                                        NANOARROW_TIME_UNIT_MICRO, NULL);
    case IGS_TIMESTAMP_UTC:
      return ArrowSchemaSetTypeDateTime(field, NANOARROW_TYPE_TIMESTAMP,
                                        NANOARROW_TIME_UNIT_MICRO, "UTC");
    case IGS_DECIMAL:
      break;
  }
  return ArrowSchemaSetTypeDecimal(field, NANOARROW_TYPE_DECIMAL128, type->precision,
                                   type->scale);
}

igloo_status igs_type_field(const struct igs_type *type, const char *name,
                            struct ArrowSchema *field, struct igd_error *reterr) {
  if (set_type(type, field) != NANOARROW_OK ||
      ArrowSchemaSetName(field, name) != NANOARROW_OK)
    return ig_fail_oom(&reterr->base);
  return IGLOO_OK;
}
