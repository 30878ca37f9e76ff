/* test_list.c -- arguments to files; bash is the oracle for patterns. */
#include "files/list.h"

#include <errno.h>
#include <time.h>

#include "base/buf.h"
#include "support-files.h"

static ig_roots *roots;

static int group_setup(void **state) {
  (void)state;
  return ig_roots_new_everything(&roots, NULL) == IGLOO_OK ? 0 : -1;
}

static int group_teardown(void **state) {
  (void)state;
  roots = ig_roots_free(roots);
  return 0;
}

static igloo_status expand(const char *argument, const struct ig_list_options *options,
                           struct ig_file_list *list) {
  struct ig_str text = ig_str_from_cstr(argument);
  return ig_file_list_expand(roots, &text, 1, options, list, &test_err);
}

/* The paths below scratch, one per line. */
static char *names_of(const struct ig_file_list *list) {
  struct ig_buf out = IG_BUF_INIT(1 << 20);
  char *text = NULL;
  for (size_t i = 0; i < list->files_count; i++)
    ig_buf_append_fmt(&out, "%s\n", list->files[i].path + strlen(scratch) + 1);
  assert_ok(ig_buf_steal(&out, &text, &test_err));
  return text;
}

static void assert_lists(const char *argument, const char *expected) {
  struct ig_file_list list = {0};
  assert_ok(expand(in_scratch(argument), NULL, &list));
  char *names = names_of(&list);
  assert_string_equal(names, expected);
  ig_free(names);
  ig_file_list_done(&list);
}

static void assert_list_fails(const char *argument, igloo_status status,
                              const char *sqlstate) {
  struct ig_file_list list = {0};
  assert_fails(expand(in_scratch(argument), NULL, &list), status, sqlstate);
  assert_null(list.files);
}

static void files_patterns_and_folders_are_expanded(void **state) {
  (void)state;
  put_file("t/a.csv", "1");
  put_file("t/b.csv", "22");
  put_file("t/sub/c.csv", "333");
  put_file("t/.hidden.csv", "");
  put_file("t/_done.csv", "");
  put_file("t/_meta/d.csv", "");
  put_file("t/sub/README", "not data");
  assert_lists("t/a.csv", "t/a.csv\n");
  assert_lists("t/*.csv", "t/a.csv\nt/b.csv\n");
  assert_lists("t/{b,a}.csv", "t/a.csv\nt/b.csv\n");
  assert_lists("t/{a,a}.csv", "t/a.csv\n");
  assert_lists("t/**/*.csv", "t/a.csv\nt/b.csv\nt/sub/c.csv\n");
  assert_lists("t", "t/a.csv\nt/b.csv\nt/sub/c.csv\n");
  assert_lists("t/", "t/a.csv\nt/b.csv\nt/sub/c.csv\n");
  assert_lists("t/s*/", "t/sub/c.csv\n");
  assert_lists("t/[ab].csv", "t/a.csv\nt/b.csv\n");
  assert_lists("t/_*.csv", "t/_done.csv\n");
  assert_lists("t/_meta/*.csv", "t/_meta/d.csv\n");
  assert_lists("t/{sub/../a,b}.csv", "t/a.csv\nt/b.csv\n");
}

static void what_matches_nothing_says_so(void **state) {
  (void)state;
  put_file("t/a.csv", "1");
  assert_int_equal(mkdir(in_scratch("empty"), 0755), 0);
  assert_list_fails("t/*.parquet", IGLOO_NOT_FOUND, "58P01");
  assert_message_has("no files match \"");
  assert_list_fails("none/*.csv", IGLOO_NOT_FOUND, "58P01");
  assert_list_fails("t/a.csv/*.csv", IGLOO_NOT_FOUND, "58P01");
  assert_list_fails("none.csv", IGLOO_NOT_FOUND, "58P01");
  assert_list_fails("empty", IGLOO_NOT_FOUND, "58P01");
}

static void a_name_that_exists_is_no_pattern(void **state) {
  (void)state;
  put_file("t/a[1].csv", "x");
  put_file("t/a1.csv", "x");
  put_file("t/{x,y}.csv", "x");
  assert_lists("t/a[1].csv", "t/a[1].csv\n");
  assert_lists("t/{x,y}.csv", "t/{x,y}.csv\n");
}

static void sizes_and_identities_are_those_of_stat(void **state) {
  (void)state;
  struct ig_file_list list = {0};
  struct stat st;
  put_file("a.csv", "12345");
  assert_int_equal(stat(in_scratch("a.csv"), &st), 0);
  for (int i = 0; i < 2; i++) {
    assert_ok(expand(in_scratch(i ? "a*.csv" : "a.csv"), NULL, &list));
    assert_int_equal(list.files[0].id.size, 5);
    assert_int_equal(list.files[0].id.inode, st.st_ino);
    assert_int_equal(list.files[0].id.device, st.st_dev);
    assert_int_equal(list.files[0].id.mtime_ns,
                     st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec);
    ig_file_list_done(&list);
  }
}

static void format_and_compression_come_from_the_name(void **state) {
  (void)state;
  static const struct {
    const char *name;
    enum ig_file_format format;
    enum ig_compression compression;
  } cases[] = {{"a.parquet", IG_FORMAT_PARQUET, IG_COMPRESSION_NONE},
               {"a.PQ", IG_FORMAT_PARQUET, IG_COMPRESSION_NONE},
               {"a.csv", IG_FORMAT_CSV, IG_COMPRESSION_NONE},
               {"a.b.tsv.gz", IG_FORMAT_CSV, IG_COMPRESSION_GZIP},
               {"a.txt.zst", IG_FORMAT_CSV, IG_COMPRESSION_ZSTD},
               {"a.json.bz2", IG_FORMAT_JSON, IG_COMPRESSION_BZIP2},
               {"a.jsonl.xz", IG_FORMAT_JSON, IG_COMPRESSION_XZ},
               {"a.ndjson", IG_FORMAT_JSON, IG_COMPRESSION_NONE},
               {"a.arrow", IG_FORMAT_ARROW, IG_COMPRESSION_NONE},
               {"a.ipc", IG_FORMAT_ARROW, IG_COMPRESSION_NONE},
               {"a.feather", IG_FORMAT_ARROW, IG_COMPRESSION_NONE},
               {"a.gz", IG_FORMAT_UNKNOWN, IG_COMPRESSION_GZIP},
               {"a", IG_FORMAT_UNKNOWN, IG_COMPRESSION_NONE},
               {".csv", IG_FORMAT_UNKNOWN, IG_COMPRESSION_NONE},
               {"x.csv/a", IG_FORMAT_UNKNOWN, IG_COMPRESSION_NONE},
               {"", IG_FORMAT_UNKNOWN, IG_COMPRESSION_NONE}};
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    enum ig_file_format format;
    enum ig_compression compression;
    ig_file_format_of(ig_str_from_cstr(cases[i].name), &format, &compression);
    assert_int_equal(format, cases[i].format);
    assert_int_equal(compression, cases[i].compression);
  }
  enum ig_file_format format;
  assert_true(ig_file_format_parse(IG_STR("JSONL"), &format));
  assert_string_equal(ig_file_format_name(format), "json");
  assert_false(ig_file_format_parse(IG_STR("orc"), &format));
}

static void mixed_formats_are_refused(void **state) {
  (void)state;
  put_file("t/a.csv", "");
  put_file("t/b.json", "");
  put_file("u/a.csv", "");
  put_file("u/b.csv.gz", "");
  put_file("v/a.csv", "");
  put_file("v/b.tsv", "");
  put_file("w/data.bin", "");
  assert_list_fails("t", IGLOO_INVALID_ARGUMENT, "22023");
  assert_message_has("different formats");
  assert_list_fails("u/*", IGLOO_INVALID_ARGUMENT, "22023");
  assert_message_has("different compressions");
  assert_list_fails("v/*", IGLOO_INVALID_ARGUMENT, "22023");
  assert_list_fails("w/data.bin", IGLOO_INVALID_ARGUMENT, "22023");

  struct ig_file_list list = {0};
  struct ig_list_options options = {.format = IG_FORMAT_CSV};
  assert_ok(expand(in_scratch("t"), &options, &list)); /* a folder: CSV files only */
  assert_int_equal(list.files_count, 1);
  ig_file_list_done(&list);
  assert_ok(expand(in_scratch("w/data.bin"), &options, &list)); /* a file: as asked */
  assert_int_equal(list.format, IG_FORMAT_CSV);
  ig_file_list_done(&list);
  assert_ok(expand(in_scratch("v/b.tsv"), NULL, &list));
  assert_true(list.tabs);
  ig_file_list_done(&list);
}

static void hive_partitions_are_read_from_folders(void **state) {
  (void)state;
  struct ig_file_list list = {0};
  put_file("k=v/t/year=2023/city=S%C3%A3o%20Paulo/a.csv", "");
  put_file("k=v/t/year=2024/city=__HIVE_DEFAULT_PARTITION__/b.csv", "");
  assert_ok(expand(in_scratch("k=v/t"), NULL, &list));
  assert_int_equal(list.partition_keys_count, 2);
  assert_string_equal(list.partition_keys[0], "year");
  assert_string_equal(list.partition_keys[1], "city");
  assert_string_equal(list.files[0].partition_values[0], "2023");
  assert_string_equal(list.files[0].partition_values[1], "S\xc3\xa3o Paulo");
  assert_string_equal(list.files[1].partition_values[0], "2024");
  assert_null(list.files[1].partition_values[1]);
  ig_file_list_done(&list);

  assert_ok(expand(in_scratch("k=v/t/year=2024/*/*.csv"), NULL, &list));
  assert_int_equal(list.partition_keys_count, 2);
  assert_string_equal(list.files[0].partition_values[0], "2024");
  ig_file_list_done(&list);

  struct ig_list_options options = {.no_partitions = true};
  assert_ok(expand(in_scratch("k=v/t"), &options, &list));
  assert_int_equal(list.partition_keys_count, 0);
  ig_file_list_done(&list);

  /* A plain file has none, wherever it lies. */
  assert_ok(
      expand(in_scratch("k=v/t/year=2023/city=S%C3%A3o%20Paulo/a.csv"), NULL, &list));
  assert_int_equal(list.partition_keys_count, 0);
  ig_file_list_done(&list);
}

static void different_partitions_are_refused(void **state) {
  (void)state;
  put_file("t/year=2023/a.csv", "");
  put_file("t/month=1/b.csv", "");
  put_file("u/year=2023/a.csv", "");
  put_file("u/b.csv", "");
  put_file("v/x=1/x=2/a.csv", "");
  put_file("w/x=%FF/a.csv", "");
  assert_list_fails("t", IGLOO_INVALID_ARGUMENT, "22023");
  assert_list_fails("u", IGLOO_INVALID_ARGUMENT, "22023");
  assert_list_fails("v", IGLOO_INVALID_ARGUMENT, "22023");
  assert_list_fails("w", IGLOO_INVALID_ARGUMENT, "22023");
}

static void arguments_stay_in_order(void **state) {
  (void)state;
  put_file("b.csv", "");
  put_file("a1.csv", "");
  put_file("a2.csv", "");
  struct ig_str arguments[] = {ig_str_from_cstr(in_scratch("b.csv")),
                               ig_str_from_cstr(in_scratch("a*.csv")),
                               ig_str_from_cstr(in_scratch("b.csv"))};
  struct ig_file_list list = {0};
  assert_ok(ig_file_list_expand(roots, arguments, 3, NULL, &list, &test_err));
  char *names = names_of(&list);
  assert_string_equal(names, "b.csv\na1.csv\na2.csv\nb.csv\n");
  ig_free(names);
  ig_file_list_done(&list);
}

static void limits_are_errors_that_name_them(void **state) {
  (void)state;
  struct ig_file_list list = {0};
  struct ig_list_options options = {.files_max = 2};
  char path[512] = "d";
  put_file("t/a.csv", "");
  put_file("t/b.csv", "");
  put_file("t/c.csv", "");
  assert_fails(expand(in_scratch("t"), &options, &list), IGLOO_RESOURCE_EXHAUSTED,
               "54000");
  for (int i = 0; i < 40; i++) strcat(path, "/d");
  strcat(path, "/x.csv");
  put_file(path, "");
  assert_list_fails("d", IGLOO_RESOURCE_EXHAUSTED, "54000");
  assert_list_fails("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}",
                    IGLOO_RESOURCE_EXHAUSTED, "54000");
  char braces[200];
  memset(braces, '{', sizeof(braces) - 1);
  braces[sizeof(braces) - 1] = '\0';
  assert_list_fails(braces, IGLOO_RESOURCE_EXHAUSTED, "54000");
}

static void a_set_token_stops_the_walk(void **state) {
  (void)state;
  IG_AUTO(ig_cancel) *cancel = NULL;
  struct ig_file_list list = {0};
  put_file("t/a.csv", "");
  assert_ok(ig_cancel_new(INT64_MAX, &cancel, &test_err));
  ig_cancel_set(cancel);
  struct ig_list_options options = {.cancel = cancel};
  assert_fails(expand(in_scratch("t"), &options, &list), IGLOO_CANCELLED, "57014");
}

static void special_files_and_links_are_treated_with_care(void **state) {
  (void)state;
  put_file("t/a.csv", "");
  put_file("outside.csv", "");
  assert_int_equal(mkfifo(in_scratch("t/fifo.csv"), 0600), 0);
  assert_int_equal(symlink("nowhere", in_scratch("t/dangling.csv")), 0);
  assert_int_equal(symlink(".", in_scratch("t/loop")), 0);
  assert_int_equal(symlink("a.csv", in_scratch("t/link.csv")), 0);
  assert_lists("t", "t/a.csv\nt/link.csv\n");
  assert_lists("t/loop/*.csv", "t/loop/a.csv\nt/loop/link.csv\n");
  assert_list_fails("t/fifo.csv", IGLOO_INVALID_ARGUMENT, "42809");

  IG_AUTO(ig_roots) *narrow = NULL;
  assert_ok(ig_roots_new(ig_str_from_cstr(in_scratch("t")), &narrow, &test_err));
  struct ig_file_list list = {0};
  struct ig_str argument = ig_str_from_cstr(in_scratch("t"));
  assert_ok(ig_file_list_expand(narrow, &argument, 1, NULL, &list, &test_err));
  ig_file_list_done(&list);
  assert_int_equal(symlink("../outside.csv", in_scratch("t/out.csv")), 0);
  assert_fails(ig_file_list_expand(narrow, &argument, 1, NULL, &list, &test_err),
               IGLOO_PERMISSION_DENIED, "42501");
  argument = ig_str_from_cstr(in_scratch("*.csv"));
  assert_fails(ig_file_list_expand(narrow, &argument, 1, NULL, &list, &test_err),
               IGLOO_PERMISSION_DENIED, "42501");
}

/* ---- bash as the oracle ------------------------------------------------------------ */

static unsigned seed;
static unsigned pick(unsigned n) {
  seed = seed * 1103515245u + 12345u;
  return (seed >> 16) % n;
}

static void append_component(struct ig_buf *out) {
  static const char *const elements[] = {"a",     "b",     "c",      "x",        "*",
                                         "?",     "[ab]",  "[!a]",   "[a-c]",    "{a,b}",
                                         "a{b,}", "[^bc]", "{b*,?}", "{a,{b,c}}"};
  for (unsigned i = 0, n = 1 + pick(3); i < n; i++)
    ig_buf_append_cstr(out, elements[pick(IG_ARRAY_LEN(elements))]);
}

static void append_pattern(struct ig_buf *out) {
  for (unsigned i = 0, n = pick(3); i < n; i++) {
    if (pick(4) == 0)
      ig_buf_append_cstr(out, "**");
    else
      append_component(out);
    ig_buf_append_char(out, '/');
  }
  if (pick(6) == 0)
    ig_buf_append_cstr(out, "**");
  else
    append_component(out);
}

static void make_tree(void) {
  char path[64];
  for (int i = 0; i < 60; i++) {
    (void)snprintf(path, sizeof(path), "tree/");
    for (unsigned level = 0, depth = pick(3); level <= depth; level++) {
      if (level > 0) strcat(path, "/");
      if (pick(12) == 0) strcat(path, ".");
      for (unsigned n = 1 + pick(3); n > 0; n--) strncat(path, &"abcx"[pick(4)], 1);
      if (level < depth) strcat(path, "D"); /* folders and files never share a name */
    }
    put_file(path, "");
  }
}

/* What bash makes of the patterns, one block of paths and a "--" for each. */
static char *ask_bash(const char *patterns_file) {
  char command[1024];
  snprintf(
      command, sizeof(command),
      "cd '%s' && LC_ALL=C bash -c 'shopt -s globstar nullglob; set +H; "
      "while IFS= read -r p; do eval \"set -- $p\"; "
      "for f in \"$@\"; do [ -f \"$f\" ] && printf \"%%s\\n\" \"$f\"; done | sort -u; "
      "echo --; done' < '%s'",
      in_scratch("tree"), patterns_file);
  FILE *pipe = popen(command, "r");
  struct ig_buf out = IG_BUF_INIT(16 << 20);
  char bytes[4096], *text = NULL;
  for (size_t n; (n = fread(bytes, 1, sizeof(bytes), pipe)) > 0;)
    ig_buf_append(&out, bytes, n);
  assert_int_equal(pclose(pipe), 0);
  assert_ok(ig_buf_steal(&out, &text, &test_err));
  return text;
}

static void append_ours(const char *pattern, struct ig_buf *out) {
  struct ig_file_list list = {0};
  struct ig_list_options options = {.format = IG_FORMAT_CSV};
  char argument[512];
  snprintf(argument, sizeof(argument), "%s/tree/%.127s", scratch, pattern);
  igloo_status status = expand(argument, &options, &list);
  if (status != IGLOO_OK && status != IGLOO_NOT_FOUND)
    fail_msg("%s: %s", pattern, test_err.message);
  for (size_t i = 0; i < list.files_count; i++)
    ig_buf_append_fmt(out, "%s\n", list.files[i].path + strlen(scratch) + 6);
  ig_buf_append_cstr(out, "--\n");
  ig_file_list_done(&list);
}

static void patterns_match_what_bash_matches(void **state) {
  (void)state;
  seed = (unsigned)time(NULL);
  print_message("seed %u\n", seed);
  make_tree();

  enum { PATTERNS = 400 };
  FILE *file = fopen(in_scratch("patterns"), "w");
  static char patterns[PATTERNS][128];
  struct ig_buf ours = IG_BUF_INIT(16 << 20);
  for (int i = 0; i < PATTERNS; i++) {
    struct ig_buf pattern = IG_BUF_INIT(120);
    append_pattern(&pattern);
    snprintf(patterns[i], sizeof(patterns[i]), "%s", ig_buf_str(&pattern).data);
    ig_buf_done(&pattern);
    fprintf(file, "%s\n", patterns[i]);
    append_ours(patterns[i], &ours);
  }
  fclose(file);
  char *bash = ask_bash(in_scratch("patterns"));
  char *a = ours.data, *b = bash;
  for (int i = 0; i < PATTERNS; i++) {
    char *a_end = strstr(a, "--\n"), *b_end = strstr(b, "--\n");
    assert_non_null(b_end);
    if (a_end - a != b_end - b || memcmp(a, b, (size_t)(a_end - a)) != 0)
      fail_msg("pattern %s\nours:\n%.*sbash:\n%.*s", patterns[i], (int)(a_end - a), a,
               (int)(b_end - b), b);
    a = a_end + 3;
    b = b_end + 3;
  }
  ig_free(bash);
  ig_buf_done(&ours);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      scratch_test(files_patterns_and_folders_are_expanded),
      scratch_test(what_matches_nothing_says_so),
      scratch_test(a_name_that_exists_is_no_pattern),
      scratch_test(sizes_and_identities_are_those_of_stat),
      cmocka_unit_test(format_and_compression_come_from_the_name),
      scratch_test(mixed_formats_are_refused),
      scratch_test(hive_partitions_are_read_from_folders),
      scratch_test(different_partitions_are_refused),
      scratch_test(arguments_stay_in_order),
      scratch_test(limits_are_errors_that_name_them),
      scratch_test(a_set_token_stops_the_walk),
      scratch_test(special_files_and_links_are_treated_with_care),
      scratch_test(patterns_match_what_bash_matches),
  };
  return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
