/* test_config.c -- precedence, checks, and what is shown. */
#include "config/config.h"

#include "base/buf.h"
#include "base/limits.h"
#include "support-files.h"

static struct ig_config *load(const char *file_text, const char *key, const char *value) {
  struct ig_config *config = NULL;
  struct ig_config_override override = {key, value};
  if (file_text) put_file("x.conf", file_text);
  assert_ok(ig_config_load(file_text ? in_scratch("x.conf") : NULL, &override,
                           key ? 1 : 0, &config, &test_err));
  return config;
}

static void assert_bad_file(const char *text, igloo_status status, const char *sqlstate) {
  struct ig_config *config = NULL;
  put_file("x.conf", text);
  assert_fails(ig_config_load(in_scratch("x.conf"), NULL, 0, &config, &test_err), status,
               sqlstate);
  assert_null(config);
}

static void defaults_are_those_of_limits_h(void **state) {
  (void)state;
  IG_AUTO_STRUCT(ig_config) *config = load("", NULL, NULL);
  assert_int_equal(config->limits_sql_bytes, IG_SQL_BYTES_MAX);
  assert_int_equal(config->limits_sql_nesting, IG_SQL_NESTING_MAX);
  assert_int_equal(config->limits_sql_operators, IG_SQL_OPERATORS_MAX);
  assert_int_equal(config->limits_plan_nodes, IG_PLAN_NODES_MAX);
  assert_int_equal(config->limits_sessions, IG_SESSIONS_MAX);
  assert_int_equal(config->limits_running, IG_RUNNING_MAX);
  assert_int_equal(config->limits_statement_timeout, 0);
  assert_int_equal(config->limits_queue_wait, 30000000);
  assert_string_equal(config->server_data_dir, "");
  assert_string_equal(config->log_level, "warn");
  assert_true(config->engine_memory_limit >= 64 * IG_MIB);
  assert_true(config->engine_threads >= 1);
  assert_false(ig_config_is_set(config, "engine.threads"));
}

static void flag_wins_over_environment_over_file_over_default(void **state) {
  (void)state;
  struct ig_config *config =
      load("[engine]\nthreads = 3\nbatch_rows = 100\n", NULL, NULL);
  assert_int_equal(config->engine_threads, 3);
  assert_true(ig_config_is_set(config, "engine.threads"));
  ig_config_free(config);
  setenv("IGLOO_ENGINE_THREADS", "5", 1);
  config = load("[engine]\nthreads = 3\n", NULL, NULL);
  assert_int_equal(config->engine_threads, 5);
  ig_config_free(config);
  config = load("[engine]\nthreads = 3\n", "engine.threads", "7");
  assert_int_equal(config->engine_threads, 7);
  ig_config_free(config);
  setenv("IGLOO_ENGINE_THREADS", "", 1); /* empty is not set */
  config = load("[engine]\nthreads = 3\n", NULL, NULL);
  assert_int_equal(config->engine_threads, 3);
  ig_config_free(config);
  unsetenv("IGLOO_ENGINE_THREADS");
}

static void values_are_parsed_by_type(void **state) {
  (void)state;
  IG_AUTO_STRUCT(ig_config) *config = load(
      "[engine]\nmemory_limit = 1.5 GiB\nspill_dir = \"/tmp/a b\"\n"
      "[limits]\nstatement_timeout = 1500\n"
      "[files]\nroots = /a:ro, /b:rw\n[log]\nformat = json\n",
      NULL, NULL);
  assert_int_equal(config->engine_memory_limit, 1536 * IG_MIB);
  assert_string_equal(config->engine_spill_dir, "/tmp/a b");
  assert_int_equal(config->limits_statement_timeout, 1500000); /* milliseconds */
  assert_string_equal(config->files_roots, "/a:ro, /b:rw");
  assert_string_equal(config->log_format, "json");
}

static void an_unknown_key_names_file_line_and_the_nearest(void **state) {
  (void)state;
  assert_bad_file("[engine]\n\nthreds = 3\n", IGLOO_INVALID_ARGUMENT, "22023");
  assert_message_has("x.conf:3: unknown key \"engine.threds\"");
  assert_non_null(strstr(test_err.hint, "\"engine.threads\""));
  assert_bad_file("[engin]\nthreads = 3\n", IGLOO_INVALID_ARGUMENT, "22023");
  assert_non_null(strstr(test_err.hint, "\"engine.threads\""));
}

static void bad_values_are_refused(void **state) {
  (void)state;
  static const char *const bad[] = {"[engine]\nthreads = many",
                                    "[engine]\nthreads = 0",
                                    "[engine]\nthreads = -1",
                                    "[engine]\nmemory_limit = 1",
                                    "[engine]\nmemory_limit = 5 XiB",
                                    "[limits]\nstatement_timeout = soon",
                                    "[log]\nlevel = loud",
                                    "[log]\nlevel =",
                                    "[limits]\nsql_nesting = 100000",
                                    "[engine]\nthreads = 99999999999999999999"};
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++) {
    assert_bad_file(bad[i], IGLOO_INVALID_ARGUMENT, "22023");
    assert_message_has("x.conf:2: ");
  }
  assert_bad_file("[engine]\nthreads = 1\nthreads = 2\n", IGLOO_INVALID_ARGUMENT,
                  "22023");
  assert_message_has("line 2 already");
}

static void what_is_not_built_is_refused_by_name(void **state) {
  (void)state;
  assert_bad_file("[cache]\nmax_bytes = 1GiB\n", IGLOO_UNSUPPORTED, "0A000");
  assert_message_has("\"cache.max_bytes\"");
  /* Its default may be written down. */
  ig_config_free(load("[cluster]\nretries = 3\n[cache]\nttl = 0s\n", NULL, NULL));
}

static void a_secret_is_no_flag_and_is_not_repeated(void **state) {
  (void)state;
  const struct ig_config_override flag = {"cluster.join_token", "correct horse"};
  struct ig_config *config = NULL;
  assert_int_equal(ig_config_load("/dev/null", &flag, 1, &config, &test_err),
                   IGLOO_INVALID_ARGUMENT);
  assert_non_null(strstr(test_err.message, "\"cluster.join_token\""));
  assert_null(strstr(test_err.message, "horse"));
  assert_non_null(strstr(test_err.hint, "environment"));
  setenv("IGLOO_CLUSTER_JOIN_TOKEN", "correct horse", 1);
  assert_ok(ig_config_load("/dev/null", NULL, 0, &config, &test_err));
  assert_string_equal(config->cluster_join_token, "correct horse");
  unsetenv("IGLOO_CLUSTER_JOIN_TOKEN");
  ig_config_free(config);
}

static void catalogs_have_sections_of_their_own(void **state) {
  (void)state;
  IG_AUTO_STRUCT(ig_config) *config = load(
      "[catalog.pg]\ntype = postgresql\nuri = postgresql://h/d\nsecret = s\n"
      "[catalog.lite]\nuri = /x.db\nadbc.some.key = 1\n",
      "catalog.pg.uri", "postgresql://other/d");
  assert_int_equal(config->catalogs_count, 2);
  const struct ig_config_catalog *pg = &config->catalogs[0];
  assert_string_equal(pg->name, "pg");
  assert_int_equal(pg->items_count, 3);
  assert_string_equal(pg->items[1].key, "uri");
  assert_string_equal(pg->items[1].value, "postgresql://other/d");
  assert_string_equal(pg->items[1].origin, "flag");
  assert_non_null(strstr(pg->items[2].origin, "x.conf:4"));
  assert_string_equal(config->catalogs[1].items[1].key, "adbc.some.key");
}

static void a_password_in_a_catalog_is_refused_and_not_told(void **state) {
  (void)state;
  static const char *const texts[] = {
      "[catalog.pg]\nuri = postgresql://u:geheim@h/d\n",
      "[catalog.pg]\npassword = geheim\n",
      "[catalog.pg]\nuri = host=h password=geheim\n",
      "[catalog.pg]\nadbc.auth_token = geheim\n",
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    assert_bad_file(texts[i], IGLOO_INVALID_ARGUMENT, "22023");
    assert_message_has("x.conf:2");
    assert_null(strstr(test_err.message, "geheim"));
    assert_non_null(strstr(test_err.hint, "CREATE SECRET"));
  }
  assert_bad_file("[catalog]\nuri = x\n", IGLOO_INVALID_ARGUMENT, "22023");
}

static void variables_are_checked_like_keys(void **state) {
  (void)state;
  struct ig_config *config = NULL;
  setenv("IGLOO_ENGINE_THREDS", "3", 1);
  assert_fails(ig_config_load(NULL, NULL, 0, &config, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  assert_message_has("environment variable IGLOO_ENGINE_THREDS");
  assert_non_null(strstr(test_err.hint, "\"engine.threads\""));
  unsetenv("IGLOO_ENGINE_THREDS");
  setenv("IGLOO_ENGINE_THREADS", "x", 1);
  assert_fails(ig_config_load(NULL, NULL, 0, &config, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  assert_message_has("IGLOO_ENGINE_THREADS");
  unsetenv("IGLOO_ENGINE_THREADS");

  /* These are no keys, and others' variables are none of our business. */
  setenv("IGLOO_TLS_CA", "/ca.pem", 1);
  setenv("IGLOO_PASSWORD", "x", 1);
  setenv("IGLOO_SOMETHING_ELSE", "x", 1);
  ig_config_free(load(NULL, NULL, NULL));
  unsetenv("IGLOO_TLS_CA");
  unsetenv("IGLOO_PASSWORD");
  unsetenv("IGLOO_SOMETHING_ELSE");
}

static void the_file_is_found_by_flag_then_variable(void **state) {
  (void)state;
  struct ig_config *config = NULL;
  put_file("env.conf", "[engine]\nthreads = 11\n");
  put_file("flag.conf", "[engine]\nthreads = 12\n");
  setenv("IGLOO_CONFIG", in_scratch("env.conf"), 1);
  config = load(NULL, NULL, NULL);
  assert_int_equal(config->engine_threads, 11);
  ig_config_free(config);
  config = load(NULL, "config", in_scratch("flag.conf"));
  assert_int_equal(config->engine_threads, 12);
  ig_config_free(config);
  setenv("IGLOO_CONFIG", in_scratch("none.conf"), 1);
  config = NULL;
  assert_fails(ig_config_load(NULL, NULL, 0, &config, &test_err), IGLOO_NOT_FOUND,
               "58P01");
  unsetenv("IGLOO_CONFIG");
  assert_fails(ig_config_load(scratch, NULL, 0, &config, &test_err), IGLOO_IO_ERROR,
               "58030");
}

static void an_unknown_override_names_the_nearest(void **state) {
  (void)state;
  struct ig_config *config = NULL;
  struct ig_config_override override = {"engine.memry_limit", "1GiB"};
  assert_fails(ig_config_load(NULL, &override, 1, &config, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_non_null(strstr(test_err.hint, "\"engine.memory_limit\""));
}

static igloo_status check_entry(void *ctx, const struct ig_config_entry *entry,
                                struct igloo_error *reterr) {
  (void)reterr;
  int *count = ctx;
  ++*count;
  assert_non_null(strchr(entry->key, '.'));
  assert_true(strlen(entry->doc) > 10);
  if (strcmp(entry->key, "engine.threads") == 0) {
    assert_string_equal(entry->value, "3");
    assert_non_null(strstr(entry->origin, "x.conf:2"));
    assert_int_equal(entry->source, IG_CONFIG_FILE);
  }
  if (strcmp(entry->key, "cluster.join_token") == 0)
    assert_string_equal(entry->type, "secret");
  return IGLOO_OK;
}

static void every_key_is_shown_with_its_origin(void **state) {
  (void)state;
  int count = 0;
  IG_AUTO_STRUCT(ig_config) *config = load("[engine]\nthreads = 3\n", NULL, NULL);
  assert_ok(ig_config_each(config, check_entry, &count, &test_err));
  assert_true(count > 50);

  char *page = NULL;
  size_t len = 0;
  FILE *out = open_memstream(&page, &len);
  assert_ok(ig_config_write_markdown(out, &test_err));
  fclose(out);
  assert_non_null(strstr(page, "## [engine]"));
  assert_non_null(strstr(page, "| `memory_limit` | size |"));
  assert_non_null(strstr(page, "| `join_token` | secret |"));
  free(page);
}

static char *read_whole(const char *path) {
  struct ig_buf text = IG_BUF_INIT(1 << 20);
  char bytes[4096], *whole = NULL;
  FILE *file = fopen(path, "r");
  for (size_t n; file && (n = fread(bytes, 1, sizeof(bytes), file)) > 0;)
    ig_buf_append(&text, bytes, n);
  if (file) fclose(file);
  assert_ok(ig_buf_steal(&text, &whole, &test_err));
  return whole;
}

static void the_page_in_docs_is_what_keys_def_says(void **state) {
  (void)state;
  char *page = NULL;
  size_t len = 0;
  FILE *out = open_memstream(&page, &len);
  assert_ok(ig_config_write_markdown(out, &test_err));
  fclose(out);
  char *committed = read_whole("docs/configuration.md");
  if (strcmp(page, committed) != 0)
    fail_msg("write it again: build/unit/config/test_config docs/configuration.md");
  free(page);
  ig_free(committed);
}

/* What is shown loads again and gives the same. */
struct again {
  struct ig_config_override overrides[128];
  size_t count;
};

static igloo_status collect(void *ctx, const struct ig_config_entry *entry,
                            struct igloo_error *reterr) {
  (void)reterr;
  struct again *again = ctx;
  again->overrides[again->count++] =
      (struct ig_config_override){entry->key, entry->value};
  return IGLOO_OK;
}

static void shown_values_load_again(void **state) {
  (void)state;
  struct again again = {0};
  struct ig_config *second = NULL;
  IG_AUTO_STRUCT(ig_config) *first = load(
      "[limits]\nstatement_timeout = 90 s\n[engine]\nspill_limit = 5GB\n", NULL, NULL);
  assert_ok(ig_config_each(first, collect, &again, &test_err));
  assert_ok(ig_config_load(NULL, again.overrides, again.count, &second, &test_err));
  assert_int_equal(second->limits_statement_timeout, first->limits_statement_timeout);
  assert_int_equal(second->engine_memory_limit, first->engine_memory_limit);
  assert_int_equal(second->engine_spill_limit, 5000000000);
  ig_config_free(second);
}

static igloo_status load_with_failures(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  struct ig_config *config = NULL;
  IG_TRY(ig_config_load(in_scratch("x.conf"), NULL, 0, &config, reterr));
  ig_config_free(config);
  return IGLOO_OK;
}

static void loading_survives_failed_allocations(void **state) {
  (void)state;
  put_file("x.conf", "[engine]\nthreads = 3\n");
  assert_survives_failed_allocations(load_with_failures, NULL);
}

/* With an argument: write the page there instead. */
int main(int argc, char **argv) {
  if (argc > 1) {
    FILE *out = fopen(argv[1], "w");
    return !out || ig_config_write_markdown(out, NULL) != IGLOO_OK || fclose(out) != 0;
  }
  const struct CMUnitTest tests[] = {
      scratch_test(defaults_are_those_of_limits_h),
      scratch_test(flag_wins_over_environment_over_file_over_default),
      scratch_test(values_are_parsed_by_type),
      scratch_test(an_unknown_key_names_file_line_and_the_nearest),
      scratch_test(bad_values_are_refused),
      scratch_test(what_is_not_built_is_refused_by_name),
      scratch_test(a_secret_is_no_flag_and_is_not_repeated),
      scratch_test(catalogs_have_sections_of_their_own),
      scratch_test(a_password_in_a_catalog_is_refused_and_not_told),
      scratch_test(variables_are_checked_like_keys),
      scratch_test(the_file_is_found_by_flag_then_variable),
      scratch_test(an_unknown_override_names_the_nearest),
      scratch_test(every_key_is_shown_with_its_origin),
      cmocka_unit_test(the_page_in_docs_is_what_keys_def_says),
      scratch_test(shown_values_load_again),
      scratch_test(loading_survives_failed_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
