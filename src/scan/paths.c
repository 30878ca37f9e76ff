/* paths.c -- see paths.h. */
#include "scan/paths.h"

#include "base/limits.h"
#include "base/parse.h"

/* ---- reader options ---------------------------------------------------------------- */

enum option_type {
  OPTION_BOOL,
  OPTION_CHAR,  /* one ASCII character; \t and 'tab' are a tab; empty is none */
  OPTION_COUNT, /* a positive number */
  OPTION_TEXT,
  OPTION_COMPRESSION, /* handled here: not passed on */
  OPTION_HIVE,        /* likewise */
};

#define PARQUET (1u << IG_FORMAT_PARQUET)
#define CSV (1u << IG_FORMAT_CSV)
#define JSON (1u << IG_FORMAT_JSON)
#define ARROW (1u << IG_FORMAT_ARROW)
#define ALL (PARQUET | CSV | JSON | ARROW)

/* `name` is what users and the engine say; `others` are what DuckDB, PostgreSQL and
 * DataFusion call the same, separated by spaces. */
static const struct option {
  const char *name, *others;
  enum option_type type;
  unsigned formats;
} option_table[] = {
    {"delim", "delimiter sep", OPTION_CHAR, CSV},
    {"header", "has_header", OPTION_BOOL, CSV},
    {"quote", "", OPTION_CHAR, CSV},
    {"escape", "", OPTION_CHAR, CSV},
    {"comment", "", OPTION_CHAR, CSV},
    {"null", "nullstr null_value", OPTION_TEXT, CSV},
    {"all_text", "all_varchar", OPTION_BOOL, CSV},
    {"newlines_in_values", "", OPTION_BOOL, CSV},
    {"sample_rows", "sample_size schema_infer_max_rec schema_infer_max_records",
     OPTION_COUNT, CSV | JSON},
    {"compression", "", OPTION_COMPRESSION, CSV | JSON},
    {"hive_partitioning", "hive", OPTION_HIVE, ALL},
};
#define OPTIONS_MAX IG_ARRAY_LEN(option_table)

static bool has_word(const char *words, struct ig_str word) {
  struct ig_str left, rest = ig_str_from_cstr(words);
  do {
    (void)ig_str_split(rest, ' ', &left, &rest);
    if (left.len && ig_str_eq_ci(left, word)) return true;
  } while (rest.len);
  return false;
}

static const struct option *find_option(struct ig_str name) {
  for (size_t i = 0; i < OPTIONS_MAX; i++)
    if (ig_str_eq_cstr_ci(name, option_table[i].name) ||
        has_word(option_table[i].others, name))
      return &option_table[i];
  return NULL;
}

static igloo_status fail_option(struct ig_str name, enum ig_file_format format,
                                struct igloo_error *reterr) {
  const char *names[OPTIONS_MAX];
  size_t count = 0;
  for (size_t i = 0; i < OPTIONS_MAX; i++)
    if (option_table[i].formats & (1u << format)) names[count++] = option_table[i].name;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unknown option \"%.*s\" for reading %s",
                IG_STR_ARG(name), ig_file_format_name(format));
  const char *near = ig_str_nearest(name, names, count);
  if (near) ig_error_hint(reterr, "Perhaps you meant \"%s\".", near);
  return IGLOO_INVALID_ARGUMENT;
}

/* The values that decide which files are read and how, before they are listed. */
struct reading {
  struct ig_list_options list;
  bool compression_set;
  enum ig_compression compression;
  struct ig_scan_pair pairs[OPTIONS_MAX + 1]; /* one more: the tab of .tsv files */
  size_t pairs_count;
};

static igloo_status check_value(const struct option *option, struct ig_str value,
                                struct ig_str *ret_value, struct igloo_error *reterr) {
  bool flag;
  int64_t count;
  igloo_status status = IGLOO_OK;
  switch (option->type) {
    case OPTION_BOOL:
    case OPTION_HIVE:
      /* HEADER alone, as in PostgreSQL, means on. */
      if (value.len == 0) value = IG_STR("true");
      status = ig_parse_bool(value, &flag, NULL);
      if (status == IGLOO_OK) value = flag ? IG_STR("true") : IG_STR("false");
      break;
    case OPTION_CHAR:
      if (ig_str_eq_cstr(value, "\\t") || ig_str_eq_cstr_ci(value, "tab"))
        value = IG_STR("\t");
      if (value.len > 1 || (value.len == 1 && (value.data[0] & 0x80) != 0))
        status = IGLOO_INVALID_ARGUMENT;
      break;
    case OPTION_COUNT:
      status = ig_parse_i64(value, &count, NULL);
      if (status == IGLOO_OK && count < 1) status = IGLOO_INVALID_ARGUMENT;
      break;
    case OPTION_TEXT:
    case OPTION_COMPRESSION:
      break;
  }
  if (status != IGLOO_OK) {
    static const char *const wanted[] = {[OPTION_BOOL] = "true or false",
                                         [OPTION_HIVE] = "true or false",
                                         [OPTION_CHAR] = "one character",
                                         [OPTION_COUNT] = "a positive number"};
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                  "invalid value for option \"%s\": \"%.*s\"", option->name,
                  IG_STR_ARG(value));
    ig_error_hint(reterr, "The value is %s.", wanted[option->type]);
    return IGLOO_INVALID_ARGUMENT;
  }
  *ret_value = value;
  return IGLOO_OK;
}

/* Take one option into `reading`; texts are copied into the table's arena. */
static igloo_status add_option(struct reading *reading, ig_scan_table *table,
                               struct ig_str name, struct ig_str value,
                               struct igloo_error *reterr) {
  struct ig_str word = name;
  if (ig_str_starts_ci(word, IG_STR("format."))) word = ig_str_sub(word, 7, word.len);
  const struct option *option = find_option(word);
  if (!option) return fail_option(name, reading->list.format, reterr);
  IG_TRY(check_value(option, value, &value, reterr));
  if (option->type == OPTION_HIVE) {
    reading->list.no_partitions = ig_str_eq_cstr(value, "false");
    return IGLOO_OK;
  }
  if (option->type == OPTION_COMPRESSION) {
    if (ig_str_eq_cstr_ci(value, "auto")) return IGLOO_OK;
    reading->compression_set = true;
    if (ig_compression_parse(value, &reading->compression)) return IGLOO_OK;
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                  "invalid value for option \"compression\": \"%.*s\"",
                  IG_STR_ARG(value));
    ig_error_hint(reterr, "The value is none, gzip, zstd, bzip2, xz or auto.");
    return IGLOO_INVALID_ARGUMENT;
  }
  for (size_t i = 0; i < reading->pairs_count; i++)
    if (ig_str_eq_cstr(ig_str_from_cstr(option->name), reading->pairs[i].key))
      return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "option \"%s\" is given twice",
                     option->name);
  char *text = ig_arena_strdup(table->arena, value);
  if (!text) return ig_arena_fail(table->arena, reterr);
  reading->pairs[reading->pairs_count++] = (struct ig_scan_pair){option->name, text};
  return IGLOO_OK;
}

/* Options that do not apply to the format that was found in the end. */
static igloo_status check_formats(const struct reading *reading,
                                  enum ig_file_format format,
                                  struct igloo_error *reterr) {
  for (size_t i = 0; i < reading->pairs_count; i++) {
    struct ig_str name = ig_str_from_cstr(reading->pairs[i].key);
    const struct option *option = find_option(name);
    IG_ASSERT(option); /* only known ones were taken */
    if (!(option->formats & (1u << format))) return fail_option(name, format, reterr);
  }
  if (reading->compression_set && !((CSV | JSON) & (1u << format)))
    return fail_option(IG_STR("compression"), format, reterr);
  return IGLOO_OK;
}

/* List the files and hand everything to the table. */
static igloo_status fill_table(const ig_roots *roots, struct reading *reading,
                               const struct ig_str *paths, size_t paths_count,
                               const ig_cancel *cancel, ig_scan_table *table,
                               struct igloo_error *reterr) {
  reading->list.cancel = cancel;
  IG_TRY(ig_file_list_expand(roots, paths, paths_count, &reading->list, &table->list,
                             reterr));
  if (table->list.format == IG_FORMAT_UNKNOWN) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "cannot tell the format of \"%.*s\"",
                  IG_STR_ARG(paths[0]));
    ig_error_hint(
        reterr,
        "Use read_parquet(), read_csv(), read_json() or read_arrow(), or a name "
        "that ends in .parquet, .csv, .json, .arrow or the like.");
    return IGLOO_INVALID_ARGUMENT;
  }
  IG_TRY(check_formats(reading, table->list.format, reterr));
  if (reading->compression_set) table->list.compression = reading->compression;
  bool has_delim = false;
  for (size_t i = 0; i < reading->pairs_count; i++)
    has_delim |= ig_str_eq_cstr(IG_STR("delim"), reading->pairs[i].key);
  if (table->list.tabs && !has_delim)
    reading->pairs[reading->pairs_count++] = (struct ig_scan_pair){"delim", "\t"};
  struct ig_scan_pair *pairs =
      ig_arena_alloc_array(table->arena, reading->pairs_count + 1, sizeof(*pairs));
  if (!pairs) return ig_arena_fail(table->arena, reterr);
  memcpy(pairs, reading->pairs, reading->pairs_count * sizeof(*pairs));
  table->options = pairs;
  table->options_count = reading->pairs_count;
  return IGLOO_OK;
}

/* ---- functions --------------------------------------------------------------------- */

static igloo_status find_function(struct ig_str name, enum ig_file_format *ret_format,
                                  struct igloo_error *reterr) {
  static const struct {
    const char *name;
    enum ig_file_format format;
  } functions[] = {
      {"read_file", IG_FORMAT_UNKNOWN}, {"read_parquet", IG_FORMAT_PARQUET},
      {"read_csv", IG_FORMAT_CSV},      {"read_json", IG_FORMAT_JSON},
      {"read_arrow", IG_FORMAT_ARROW},  {"parquet_scan", IG_FORMAT_PARQUET},
      {"read_csv_auto", IG_FORMAT_CSV}, {"read_json_auto", IG_FORMAT_JSON},
      {"read_ndjson", IG_FORMAT_JSON},
  };
  const char *names[IG_ARRAY_LEN(functions)];
  for (size_t i = 0; i < IG_ARRAY_LEN(functions); i++) {
    names[i] = functions[i].name;
    if (!ig_str_eq_cstr_ci(name, functions[i].name)) continue;
    *ret_format = functions[i].format;
    return IGLOO_OK;
  }
  (void)ig_fail_state(reterr, IGLOO_NOT_FOUND, "42883",
                      "table function \"%.*s\" does not exist", IG_STR_ARG(name));
  const char *near = ig_str_nearest(name, names, IG_ARRAY_LEN(names));
  if (near) ig_error_hint(reterr, "Perhaps you meant %s().", near);
  return IGLOO_NOT_FOUND;
}

/* The name by which a path table is known: its first path. */
static igloo_status name_table(ig_scan_table *table, struct ig_str path,
                               struct igloo_error *reterr) {
  table->name = ig_arena_strdup(table->arena, path);
  return table->name ? IGLOO_OK : ig_arena_fail(table->arena, reterr);
}

igloo_status ig_paths_function(const ig_roots *roots, struct ig_str name,
                               const struct ig_scan_argument *arguments,
                               size_t arguments_count, const ig_cancel *cancel,
                               ig_scan_table **ret_table, struct igloo_error *reterr) {
  struct reading reading = {0};
  IG_TRY(find_function(name, &reading.list.format, reterr));
  if (arguments_count == 0 || arguments[0].name.len ||
      (!arguments[0].text.len && !arguments[0].items_count))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "%.*s() needs a path, or a list of paths, as its first argument",
                   IG_STR_ARG(name));
  IG_AUTO(ig_scan_table) *table = NULL;
  IG_TRY(ig_scan_table_new(IG_SCAN_FILES, &table, reterr));
  for (size_t i = 1; i < arguments_count; i++) {
    if (!arguments[i].name.len)
      return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                     "%.*s() takes one path or list of paths; options are given as "
                     "name => value",
                     IG_STR_ARG(name));
    IG_TRY(add_option(&reading, table, arguments[i].name, arguments[i].text, reterr));
  }
  const struct ig_str *paths = &arguments[0].text;
  size_t paths_count = 1;
  if (arguments[0].items_count) {
    paths = arguments[0].items;
    paths_count = arguments[0].items_count;
  }
  IG_TRY(name_table(table, paths[0], reterr));
  IG_TRY(fill_table(roots, &reading, paths, paths_count, cancel, table, reterr));
  *ret_table = IG_TAKE(table);
  return IGLOO_OK;
}

static igloo_status parse_format(struct ig_str word, enum ig_file_format *ret_format,
                                 struct igloo_error *reterr) {
  *ret_format = IG_FORMAT_UNKNOWN;
  if (word.len == 0 || ig_file_format_parse(word, ret_format)) return IGLOO_OK;
  (void)ig_fail_state(reterr, IGLOO_UNSUPPORTED, "0A000",
                      "file format \"%.*s\" is not supported", IG_STR_ARG(word));
  ig_error_hint(reterr, "The formats are parquet, csv, json and arrow.");
  return IGLOO_UNSUPPORTED;
}

igloo_status ig_paths_location(const ig_roots *roots, struct ig_str location,
                               struct ig_str format,
                               const struct ig_scan_argument *options,
                               size_t options_count, const ig_cancel *cancel,
                               ig_scan_table **ret_table, struct igloo_error *reterr) {
  struct reading reading = {0};
  IG_TRY(parse_format(format, &reading.list.format, reterr));
  IG_AUTO(ig_scan_table) *table = NULL;
  IG_TRY(ig_scan_table_new(IG_SCAN_FILES, &table, reterr));
  for (size_t i = 0; i < options_count; i++)
    IG_TRY(add_option(&reading, table, options[i].name, options[i].text, reterr));
  IG_TRY(name_table(table, location, reterr));
  IG_TRY(fill_table(roots, &reading, &location, 1, cancel, table, reterr));
  *ret_table = IG_TAKE(table);
  return IGLOO_OK;
}

igloo_status ig_paths_external(const ig_roots *roots, const struct ig_object *object,
                               const ig_cancel *cancel, ig_scan_table *table,
                               struct igloo_error *reterr) {
  struct reading reading = {0};
  IG_TRY(parse_format(ig_str_from_cstr(object->format), &reading.list.format, reterr));
  for (size_t i = 0; i < object->options_count; i++)
    IG_TRY(add_option(&reading, table, ig_str_from_cstr(object->options[i].key),
                      ig_str_from_cstr(object->options[i].value), reterr));
  struct ig_str *paths =
      ig_arena_alloc_array(table->arena, object->locations_count + 1, sizeof(*paths));
  if (!paths) return ig_arena_fail(table->arena, reterr);
  for (size_t i = 0; i < object->locations_count; i++)
    paths[i] = ig_str_from_cstr(object->locations[i]);
  return fill_table(roots, &reading, paths, object->locations_count, cancel, table,
                    reterr);
}
