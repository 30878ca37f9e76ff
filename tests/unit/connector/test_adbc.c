/* test_adbc.c -- finding, loading and completing drivers; their errors as ours. */
#include "sources.h"

static igloo_status load(const char *name, const char *entry,
                         const ig_driver **ret_driver) {
  const char *folders[] = {build_folder("made"), package_folder("adbc_driver_sqlite"),
                           package_folder("adbc_driver_postgresql"),
                           scratch[0] ? scratch : "/nonexistent"};
  return ig_driver_load(name, folders, IG_ARRAY_LEN(folders), entry, ret_driver,
                        &test_err);
}

static void a_driver_is_found_by_its_name_and_loaded_once(void **state) {
  (void)state;
  const ig_driver *first = NULL, *second = NULL, *other = NULL;
  assert_ok(load("sqlite", NULL, &first));
  assert_ok(load("sqlite", NULL, &second));
  assert_ok(load("postgresql", NULL, &other));
  assert_ptr_equal(first, second);
  assert_ptr_not_equal(first, other);
  assert_true(ig_driver_is_1_1(first));
  assert_non_null(strstr(ig_driver_path(first), "libadbc_driver_sqlite.so"));
}

static void a_path_is_taken_only_from_the_folders_of_drivers(void **state) {
  (void)state;
  const ig_driver *driver = NULL;
  char path[600];
  (void)snprintf(path, sizeof(path), "%s/libadbc_driver_sqlite.so",
                 package_folder("adbc_driver_sqlite"));
  assert_ok(load(path, NULL, &driver));
  (void)snprintf(path, sizeof(path), "%s/../made/../made/libadbc_driver_minimal.so",
                 build_folder("made"));
  assert_ok(load(path, NULL, &driver));
  assert_fails(load("/usr/lib/x86_64-linux-gnu/../../../bin/true", NULL, &driver),
               IGLOO_PERMISSION_DENIED, "42501");
  assert_fails(load("/nowhere/libadbc_driver_x.so", NULL, &driver), IGLOO_NOT_FOUND,
               "58P01");
}

static void a_missing_driver_says_where_it_was_looked_for(void **state) {
  (void)state;
  const ig_driver *driver = NULL;
  assert_fails(load("oracle", NULL, &driver), IGLOO_NOT_FOUND, "58P01");
  assert_message_has("there is no driver \"oracle\"");
  assert_non_null(strstr(test_err.detail, "/made\""));
}

static void every_function_that_a_driver_leaves_out_can_be_called(void **state) {
  (void)state;
  const char *const names[] = {"minimal", "only_1_0"};
  for (size_t i = 0; i < IG_ARRAY_LEN(names); i++) {
    const ig_driver *driver = NULL;
    assert_ok(load(names[i], NULL, &driver));
    assert_int_equal(ig_driver_is_1_1(driver), i == 0);
    const struct AdbcDriver *table = ig_driver_table(driver);
    /* Every slot but the two that are no functions of ours to call, and release. */
    void *const *slots = (void *const *)(const void *)table;
    for (size_t slot = 3; slot < sizeof(*table) / sizeof(void *); slot++)
      if (!slots[slot]) fail_msg("slot %zu of \"%s\" is empty", slot, names[i]);

    struct AdbcError error = ADBC_ERROR_INIT;
    struct AdbcConnection connection = {0};
    struct AdbcStatement statement = {0};
    int64_t number = 0;
    assert_int_equal(table->ConnectionCommit(&connection, &error),
                     ADBC_STATUS_NOT_IMPLEMENTED);
    assert_string_equal(error.message, "the driver does not implement ConnectionCommit");
    assert_int_equal(table->StatementCancel(&statement, &error),
                     ADBC_STATUS_NOT_IMPLEMENTED);
    assert_int_equal(table->StatementGetOptionInt(&statement, "x", &number, &error),
                     ADBC_STATUS_NOT_IMPLEMENTED);
    assert_string_equal(error.message,
                        "the driver does not implement StatementGetOptionInt");
    assert_int_equal(table->ConnectionGetObjects(&connection, 0, NULL, NULL, NULL, NULL,
                                                 NULL, NULL, NULL),
                     ADBC_STATUS_NOT_IMPLEMENTED);
    error.release(&error);
    assert_null(error.message);
    assert_int_equal(table->ErrorGetDetailCount(&error), 0);
    assert_null(table->ErrorGetDetail(&error, 0).key);
    assert_null(table->ErrorFromArrayStream(NULL, NULL));
  }
}

static void what_is_no_usable_driver_is_refused_by_name(void **state) {
  (void)state;
  const ig_driver *driver = NULL;
  assert_fails(load("empty", NULL, &driver), IGLOO_UNSUPPORTED, "0A000");
  assert_message_has("has no function DatabaseNew");
  assert_fails(load("not_a_driver", NULL, &driver), IGLOO_UNSUPPORTED, "0A000");
  assert_message_has("is not an ADBC driver");
  assert_fails(load("refusing", NULL, &driver), IGLOO_UNSUPPORTED, "0A000");
  assert_string_equal(test_err.detail, "It says: the licence ran out.");
  assert_fails(load("named", NULL, &driver), IGLOO_UNSUPPORTED, "0A000");
  assert_string_equal(test_err.detail, "It has no function \"AdbcDriverNamedInit\".");
  assert_ok(load("named", "start_here", &driver));
  assert_fails(load("minimal", "no_such_entry", &driver), IGLOO_UNSUPPORTED, "0A000");
  put_file("libadbc_driver_text.so", "this is no library");
  assert_fails(load("text", NULL, &driver), IGLOO_NOT_FOUND, "58P01");
}

/* ---- manifests -------------------------------------------------------------------- */

static igloo_status read_manifest(const char *text, char **ret_path, char **ret_entry) {
  return ig_driver_manifest_read(ig_str_from_cstr(text), "/folder", "x.toml", ret_path,
                                 ret_entry, &test_err);
}

static void a_manifest_names_the_library_of_this_platform(void **state) {
  (void)state;
  static const struct {
    const char *text, *path, *entry;
  } cases[] = {
      {"[Driver.shared]\nlinux_amd64 = '/a/b.so'\n", "/a/b.so", NULL},
      {"[Driver]\nshared = \"/one.so\"\nentrypoint = \"Go\"", "/one.so", "Go"},
      {"Driver.shared.linux_amd64 = \"rel/x.so\"", "/folder/rel/x.so", NULL},
      {"# a comment\r\nname = \"x\"\nversion = '1'\nmanifest_version = 1\n\n"
       "[ADBC]\nversion = \"1.1.0\"\nfeatures = [ \"a]\", # no end\n 'b' ]\n"
       "[ADBC.features]\nsupported = []\n[Driver]\n  [Driver.shared] # here\n"
       "macos_arm64 = 'no'\n\"linux_amd64\" = \"/p\\u00e4th\\t\\\"q\\\".so\"\n",
       "/p\xc3\xa4th\t\"q\".so", NULL},
      {"[Driver.shared]\nlinux_amd64 = \"\"\"\n/long\\\n   .so\"\"\"", "/long.so", NULL},
      {"x = { a = 1, b = [1, 2] }\n[[list]]\ny = 1979-05-27T07:32:00Z\n[Driver]\n"
       "shared = '/s.so'",
       "/s.so", NULL},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    IG_AUTO_CHAR *path = NULL;
    IG_AUTO_CHAR *entry = NULL;
    assert_ok(read_manifest(cases[i].text, &path, &entry));
    assert_string_equal(path, cases[i].path);
    if (cases[i].entry)
      assert_string_equal(entry, cases[i].entry);
    else
      assert_null(entry);
  }
}

static void a_manifest_that_names_none_says_what_is_wrong(void **state) {
  (void)state;
  static const struct {
    const char *text, *message;
    igloo_status status;
  } cases[] = {
      {"", "names no library in [Driver.shared]", IGLOO_INVALID_ARGUMENT},
      {"[Driver.shared]\nlinux_sparc = 'x'", "names no library for linux_amd64",
       IGLOO_NOT_FOUND},
      {"[Driver]\nshared = ''", "names no library", IGLOO_INVALID_ARGUMENT},
      {"manifest_version = 2\n[Driver]\nshared = '/x'", "is of version 2",
       IGLOO_UNSUPPORTED},
      {"[Driver]\nentrypoint = 7\nshared = '/x'",
       "no text in driver manifest \"x.toml\", "
       "line 2",
       IGLOO_INVALID_ARGUMENT},
      {"[Driver\nshared = 'x'", "an unfinished table name", IGLOO_INVALID_ARGUMENT},
      {"[Driver]\nshared = 'x", "an unfinished text", IGLOO_INVALID_ARGUMENT},
      {"[Driver]\nshared = 'x' 'y'", "an unexpected character", IGLOO_INVALID_ARGUMENT},
      {"[Driver]\nshared = 'x'\nshared = 'y'", "a key that comes twice",
       IGLOO_INVALID_ARGUMENT},
      {"[Driver]\nshared", "a key without a value", IGLOO_INVALID_ARGUMENT},
      {"[Driver]\nshared = \"\\q\"", "an unknown escape", IGLOO_INVALID_ARGUMENT},
      {"a = [1, [2]\n", "an unfinished list", IGLOO_INVALID_ARGUMENT},
      {"a = ]\n", "an unexpected character", IGLOO_INVALID_ARGUMENT},
      {"a = \xff", "is not a driver manifest", IGLOO_INVALID_ARGUMENT},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    char *path = NULL, *entry = NULL;
    ig_error_reset(&test_err);
    assert_int_equal(read_manifest(cases[i].text, &path, &entry), cases[i].status);
    assert_message_has(cases[i].message);
    assert_null(path);
    assert_null(entry);
  }
}

static void a_manifest_in_a_folder_of_drivers_is_a_driver(void **state) {
  (void)state;
  char text[700];
  const ig_driver *driver = NULL;
  (void)snprintf(text, sizeof(text),
                 "[Driver]\nentrypoint = 'start_here'\n[Driver.shared]\nlinux_amd64 = "
                 "'%s/libadbc_driver_named.so'\n",
                 build_folder("made"));
  put_file("manifested.toml", text);
  assert_ok(load("manifested", NULL, &driver));
  put_file("dangling.toml", "[Driver]\nshared = '/nowhere/x.so'");
  assert_fails(load("dangling", NULL, &driver), IGLOO_NOT_FOUND, "58P01");
}

static igloo_status read_a_manifest(void *ctx, struct igloo_error *reterr) {
  IG_AUTO_CHAR *path = NULL;
  IG_AUTO_CHAR *entry = NULL;
  return ig_driver_manifest_read(ig_str_from_cstr(ctx), "/folder", "x.toml", &path,
                                 &entry, reterr);
}

static void reading_a_manifest_survives_each_failed_allocation(void **state) {
  (void)state;
  char text[] = "a = [ \"x\" ]\n[Driver]\nentrypoint = 'e'\nshared = 'x.so'\n";
  assert_survives_failed_allocations(read_a_manifest, text);
}

/* ---- errors ----------------------------------------------------------------------- */

static void release_text(struct AdbcError *error) {
  free(error->message);
  error->release = NULL;
}

static igloo_status fail_with(AdbcStatusCode code, const char *sqlstate,
                              const char *message) {
  static const char *const secrets[] = {"hunter2", "hunter2/long", NULL};
  struct AdbcError error = {.message = strdup(message), .release = release_text};
  if (sqlstate) memcpy(error.sqlstate, sqlstate, 5);
  ig_error_reset(&test_err);
  return ig_driver_fail(NULL, "pg", secrets, code, &error, &test_err);
}

static void sqlstates_decide_the_status_before_codes_do(void **state) {
  (void)state;
  static const struct {
    AdbcStatusCode code;
    const char *sqlstate;
    igloo_status status;
    const char *expected;
    bool retryable;
  } cases[] = {
      {ADBC_STATUS_IO, NULL, IGLOO_UNAVAILABLE, "08006", true},
      {ADBC_STATUS_IO, "42P01", IGLOO_NOT_FOUND, "42P01", false},
      {ADBC_STATUS_IO, "08001", IGLOO_UNAVAILABLE, "08001", true},
      {ADBC_STATUS_INVALID_ARGUMENT, "28P01", IGLOO_UNAUTHENTICATED, "28P01", false},
      {ADBC_STATUS_INTERNAL, "57P01", IGLOO_UNAVAILABLE, "57P01", true},
      {ADBC_STATUS_INTERNAL, "57014", IGLOO_CANCELLED, "57014", false},
      {ADBC_STATUS_INTERNAL, "53300", IGLOO_RESOURCE_EXHAUSTED, "53300", true},
      {ADBC_STATUS_INTERNAL, "22012", IGLOO_DATA_ERROR, "22012", false},
      {ADBC_STATUS_INTERNAL, "23505", IGLOO_CONSTRAINT, "23505", false},
      {ADBC_STATUS_INTERNAL, "42501", IGLOO_PERMISSION_DENIED, "42501", false},
      {ADBC_STATUS_INTERNAL, "XX000", IGLOO_IO_ERROR, "XX000", false},
      {ADBC_STATUS_INTERNAL, "25006", IGLOO_PERMISSION_DENIED, "25006", false},
      {ADBC_STATUS_ALREADY_EXISTS, NULL, IGLOO_ALREADY_EXISTS, "42P07", false},
      {ADBC_STATUS_CANCELLED, NULL, IGLOO_CANCELLED, "57014", false},
      {99, NULL, IGLOO_IO_ERROR, "58030", false},
      {ADBC_STATUS_UNKNOWN, "no!!!", IGLOO_IO_ERROR, "58030", false},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    assert_int_equal(fail_with(cases[i].code, cases[i].sqlstate, "it broke."),
                     cases[i].status);
    assert_string_equal(test_err.sqlstate, cases[i].expected);
    assert_string_equal(test_err.message, "source \"pg\": it broke");
    assert_int_equal(test_err.retryable, cases[i].retryable);
  }
}

static void secrets_and_controls_never_reach_a_message(void **state) {
  (void)state;
  (void)fail_with(ADBC_STATUS_IO, NULL,
                  "FATAL:  could not open hunter2/long, hunter2 and hunter2!\x1b[1m\xff\n"
                  "LINE 1: with hunter2\n");
  assert_string_equal(test_err.message,
                      "source \"pg\": could not open ..., ... and ...! [1m?");
  assert_string_equal(test_err.detail, "LINE 1: with ...");
  char longer[5000];
  memset(longer, 'x', sizeof(longer));
  memcpy(longer + 2000, "hunter2", 7);
  longer[sizeof(longer) - 1] = '\0';
  (void)fail_with(ADBC_STATUS_IO, NULL, longer);
  assert_null(strstr(test_err.message, "hunter"));
}

static void a_driver_without_a_reason_still_gives_a_message(void **state) {
  (void)state;
  struct AdbcError error = ADBC_ERROR_INIT;
  assert_fails(ig_driver_fail(NULL, "pg", NULL, ADBC_STATUS_UNKNOWN, &error, &test_err),
               IGLOO_IO_ERROR, "58030");
  assert_string_equal(test_err.message, "source \"pg\": the driver gives no reason");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_driver_is_found_by_its_name_and_loaded_once),
      cmocka_unit_test(a_path_is_taken_only_from_the_folders_of_drivers),
      cmocka_unit_test(a_missing_driver_says_where_it_was_looked_for),
      cmocka_unit_test(every_function_that_a_driver_leaves_out_can_be_called),
      scratch_test(what_is_no_usable_driver_is_refused_by_name),
      cmocka_unit_test(a_manifest_names_the_library_of_this_platform),
      cmocka_unit_test(a_manifest_that_names_none_says_what_is_wrong),
      scratch_test(a_manifest_in_a_folder_of_drivers_is_a_driver),
      cmocka_unit_test(reading_a_manifest_survives_each_failed_allocation),
      cmocka_unit_test(sqlstates_decide_the_status_before_codes_do),
      cmocka_unit_test(secrets_and_controls_never_reach_a_message),
      cmocka_unit_test(a_driver_without_a_reason_still_gives_a_message),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
