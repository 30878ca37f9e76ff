/* fuzz_options.c -- options of readers, as read_csv(…, name => value), CREATE EXTERNAL
 * TABLE and their kin give them. The first line is the function or the format, each
 * following line is `name=value`. */
#include <fcntl.h>
#include <unistd.h>

#include "base/parse.h"
#include "fuzz.h"
#include "scan/paths.h"

#define ARGUMENTS_MAX 64 /* as the engine's face has it */

static char path[64];
static ig_roots *roots;

static void remove_file(void) {
  (void)unlink(path);
  ig_roots_free(roots);
}

/* One small file: what is fuzzed is how it is read, not what it holds. */
static void set_up(void) {
  if (roots) return;
  (void)snprintf(path, sizeof(path), "igloo-fuzz-XXXXXX.csv");
  int fd = mkstemps(path, 4);
  fuzz_assert(fd >= 0 && write(fd, "a,b\n1,2\n", 8) == 8);
  close(fd);
  fuzz_assert(ig_roots_new_everything(&roots, NULL) == IGLOO_OK);
  (void)atexit(remove_file);
}

/* Every option that the table tells has one of these names, once, and such a value. */
static void check_options(const ig_scan_table *table) {
  static const char *const chars[] = {"delim", "quote", "escape", "comment"};
  static const char *const flags[] = {"header", "all_text", "newlines_in_values"};
  for (size_t i = 0; i < table->options_count; i++) {
    const struct ig_scan_pair *pair = &table->options[i];
    struct ig_str value = ig_str_from_cstr(pair->value);
    bool known = strcmp(pair->key, "null") == 0;
    int64_t rows = 0;
    for (size_t k = 0; k < IG_ARRAY_LEN(chars); k++)
      known |= strcmp(pair->key, chars[k]) == 0 && value.len <= 1 &&
               (value.len == 0 || (unsigned char)value.data[0] < 0x80);
    for (size_t k = 0; k < IG_ARRAY_LEN(flags); k++)
      known |= strcmp(pair->key, flags[k]) == 0 &&
               (ig_str_eq_cstr(value, "true") || ig_str_eq_cstr(value, "false"));
    known |= strcmp(pair->key, "sample_rows") == 0 &&
             ig_parse_i64(value, &rows, NULL) == IGLOO_OK && rows > 0;
    fuzz_assert(known);
    for (size_t k = 0; k < i; k++)
      fuzz_assert(strcmp(pair->key, table->options[k].key) != 0);
  }
}

static void assert_same_options(const ig_scan_table *a, const ig_scan_table *b) {
  fuzz_assert(a->options_count == b->options_count);
  fuzz_assert(a->list.compression == b->list.compression);
  for (size_t i = 0; i < a->options_count; i++) {
    fuzz_assert(strcmp(a->options[i].key, b->options[i].key) == 0);
    fuzz_assert(strcmp(a->options[i].value, b->options[i].value) == 0);
  }
}

/* What came out is put in again. */
static void check_again(const ig_scan_table *table) {
  struct ig_scan_argument options[ARGUMENTS_MAX];
  size_t count = 0;
  ig_scan_table *again = NULL;
  for (; count < table->options_count; count++)
    options[count] =
        (struct ig_scan_argument){.name = ig_str_from_cstr(table->options[count].key),
                                  .text = ig_str_from_cstr(table->options[count].value)};
  if (table->list.compression != IG_COMPRESSION_NONE)
    options[count++] = (struct ig_scan_argument){
        .name = IG_STR("compression"),
        .text = ig_str_from_cstr(ig_compression_name(table->list.compression))};
  fuzz_assert(ig_paths_location(roots, ig_str_from_cstr(path),
                                ig_str_from_cstr(ig_file_format_name(table->list.format)),
                                options, count, NULL, &again, NULL) == IGLOO_OK);
  assert_same_options(table, again);
  ig_scan_table_unref(again);
}

static void check_result(igloo_status status, ig_scan_table *table,
                         const struct igloo_error *error) {
  fuzz_assert((table != NULL) == (status == IGLOO_OK));
  if (!table) {
    fuzz_check_error(status, error);
    return;
  }
  check_options(table);
  check_again(table);
  ig_scan_table_unref(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  set_up();
  struct ig_scan_argument arguments[ARGUMENTS_MAX] = {{.text = ig_str_from_cstr(path)}};
  struct ig_str first, line, rest = ig_str_make((const char *)data, size);
  struct igloo_error error;
  size_t count = 1;
  (void)ig_str_split(rest, '\n', &first, &rest);
  while (rest.len > 0 && count < ARGUMENTS_MAX) {
    struct ig_scan_argument *argument = &arguments[count++];
    (void)ig_str_split(rest, '\n', &line, &rest);
    (void)ig_str_split(line, '=', &argument->name, &argument->text);
  }
  ig_scan_table *table = NULL;
  igloo_status status =
      ig_paths_function(roots, first, arguments, count, NULL, &table, &error);
  check_result(status, table, &error);
  table = NULL;
  status = ig_paths_location(roots, ig_str_from_cstr(path), first, arguments + 1,
                             count - 1, NULL, &table, &error);
  check_result(status, table, &error);
  return 0;
}
