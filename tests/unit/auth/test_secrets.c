/* test_secrets.c -- secrets in the database, sealed, and the file of their key. */
#include "auth/secrets.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "support-files.h"

#define CANARY "canary-5b1f0e77"

static ig_store *store;
static ig_secrets *secrets;

static void open_secrets(void) {
  assert_ok(ig_store_open(in_scratch("c.db"), true, &store, &test_err));
  IG_AUTO_CHAR *key = ig_strdup(in_scratch("secrets.key"));
  assert_ok(ig_secrets_open(store, key, &secrets, &test_err));
}

static void close_secrets(void) {
  secrets = ig_secrets_free(secrets);
  store = ig_store_close(store);
}

static int set_up(void **state) {
  if (scratch_setup_in_memory(state) != 0) return -1;
  open_secrets();
  return 0;
}

static int tear_down(void **state) {
  close_secrets();
  return scratch_teardown(state);
}

static const struct ig_secret_item items[] = {
    {"user", "igloo"}, {"password", CANARY}, {"empty", ""}, {"wide", "\xC3\xA4 '\"\n"}};

static igloo_status put(const char *name, const char *type, bool replace) {
  IG_AUTO(ig_tx) *tx = NULL;
  IG_TRY(ig_tx_begin(store, &tx, &test_err));
  IG_TRY(ig_secrets_put(secrets, tx, ig_str_from_cstr(name), ig_str_from_cstr(type),
                        items, IG_ARRAY_LEN(items), replace, &test_err));
  return ig_tx_commit(IG_TAKE(tx), NULL, &test_err);
}

static igloo_status get(const char *name, ig_secret **ret_secret) {
  IG_AUTO(ig_tx) *tx = NULL;
  IG_TRY(ig_tx_begin(store, &tx, &test_err));
  return ig_secrets_get(secrets, tx, ig_str_from_cstr(name), ret_secret, &test_err);
}

static void assert_whole(const char *name, const char *type) {
  IG_AUTO(ig_secret) *secret = NULL;
  assert_ok(get(name, &secret));
  assert_string_equal(secret->type, type);
  assert_int_equal(secret->count, IG_ARRAY_LEN(items));
  for (size_t i = 0; i < secret->count; i++) {
    assert_string_equal(secret->items[i].key, items[i].key);
    assert_string_equal(secret->items[i].value, items[i].value);
  }
}

static void run_sql(const char *sql) {
  IG_AUTO(ig_tx) *tx = NULL;
  assert_ok(ig_tx_begin(store, &tx, &test_err));
  assert_ok(ig_tx_run(tx, NULL, &test_err, sql, ""));
  assert_ok(ig_tx_commit(IG_TAKE(tx), NULL, &test_err));
}

/* ---- what is kept ------------------------------------------------------------------ */

static void a_secret_opens_as_it_was_sealed_also_after_a_restart(void **state) {
  (void)state;
  assert_ok(put("s", "postgresql", false));
  assert_whole("s", "postgresql");
  close_secrets();
  open_secrets();
  assert_whole("s", "postgresql");
}

static bool file_has(const char *name, const char *text) {
  IG_AUTO(FILE) *file = fopen(in_scratch(name), "re");
  if (!file) return false;
  static char bytes[1 << 20];
  size_t len = fread(bytes, 1, sizeof bytes, file);
  return memmem(bytes, len, text, strlen(text)) != NULL;
}

static void no_value_lies_in_the_database(void **state) {
  (void)state;
  assert_ok(put("s", "postgresql", false));
  close_secrets();
  assert_true(file_has("c.db", "postgresql"));
  assert_false(file_has("c.db", CANARY));
  assert_false(file_has("c.db-wal", CANARY));
  open_secrets();
}

static void names_are_taken_once_unless_replaced_and_dropped_for_good(void **state) {
  (void)state;
  assert_ok(put("s", "sqlite", false));
  assert_fails(put("s", "postgresql", false), IGLOO_ALREADY_EXISTS, "42710");
  assert_ok(put("s", "postgresql", true));
  assert_whole("s", "postgresql");
  IG_AUTO(ig_tx) *tx = NULL;
  struct ig_secret_name *list;
  size_t count;
  assert_ok(ig_tx_begin(store, &tx, &test_err));
  assert_ok(ig_secrets_list(secrets, tx, &list, &count, &test_err));
  assert_int_equal(count, 1);
  assert_string_equal(list[0].name, "s");
  assert_string_equal(list[0].type, "postgresql");
  assert_true(list[0].created_us > 0);
  ig_secret_names_free(list, count);
  assert_ok(ig_secrets_drop(secrets, tx, IG_STR("s"), &test_err));
  assert_fails(ig_secrets_drop(secrets, tx, IG_STR("s"), &test_err), IGLOO_NOT_FOUND,
               "42704");
  ig_secret *secret;
  assert_fails(ig_secrets_get(secrets, tx, IG_STR("s"), &secret, &test_err),
               IGLOO_NOT_FOUND, "42704");
}

static void bad_names_are_refused(void **state) {
  (void)state;
  assert_fails(put("", "sqlite", false), IGLOO_INVALID_ARGUMENT, "42602");
  assert_fails(put("a\nb", "sqlite", false), IGLOO_INVALID_ARGUMENT, "42602");
  assert_fails(put("\xff", "sqlite", false), IGLOO_INVALID_ARGUMENT, "42602");
}

/* ---- what was changed by others ---------------------------------------------------- */

static void a_changed_row_is_refused(void **state) {
  (void)state;
  static const char *const changes[] = {
      "UPDATE secret SET type = 'sqlite'",
      "UPDATE secret SET name = 't'",
      "UPDATE secret SET nonce = zeroblob(24)",
      "UPDATE secret SET nonce = x'00'",
      "UPDATE secret SET sealed = zeroblob(length(sealed))",
      "UPDATE secret SET sealed = x''",
      "UPDATE secret SET key = x''",
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(changes); i++) {
    ig_secret *secret = NULL;
    run_sql("DELETE FROM secret");
    assert_ok(put("s", "postgresql", false));
    run_sql(changes[i]);
    assert_fails(get(strstr(changes[i], "name") ? "t" : "s", &secret), IGLOO_DATA_LOSS,
                 "XX001");
    assert_null(secret);
  }
}

/* ---- the key file ------------------------------------------------------------------ */

static void the_key_file_is_made_with_the_first_secret_for_its_owner_alone(void **state) {
  (void)state;
  struct stat st;
  assert_int_not_equal(stat(in_scratch("secrets.key"), &st), 0);
  assert_ok(put("s", "sqlite", false));
  assert_int_equal(stat(in_scratch("secrets.key"), &st), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  assert_int_equal(st.st_size, 65);
  ino_t inode = st.st_ino;
  assert_ok(put("t", "sqlite", false));
  assert_int_equal(stat(in_scratch("secrets.key"), &st), 0);
  assert_int_equal(st.st_ino, inode);
}

static void a_key_file_that_others_may_read_is_refused(void **state) {
  (void)state;
  static const mode_t modes[] = {0644, 0640, 0604, 0620, 0601, 0660};
  ig_secret *secret = NULL;
  assert_ok(put("s", "sqlite", false));
  for (size_t i = 0; i < IG_ARRAY_LEN(modes); i++) {
    assert_int_equal(chmod(in_scratch("secrets.key"), modes[i]), 0);
    assert_fails(get("s", &secret), IGLOO_PERMISSION_DENIED, "42501");
    assert_message_has("open to others");
    assert_fails(put("t", "sqlite", false), IGLOO_PERMISSION_DENIED, "42501");
  }
  assert_int_equal(chmod(in_scratch("secrets.key"), 0400), 0);
  assert_whole("s", "sqlite");
}

static void a_lost_key_is_not_made_anew_while_secrets_are_stored(void **state) {
  (void)state;
  ig_secret *secret = NULL;
  assert_ok(put("s", "sqlite", false));
  assert_int_equal(unlink(in_scratch("secrets.key")), 0);
  assert_fails(get("s", &secret), IGLOO_FAILED_PRECONDITION, "55000");
  assert_message_has("is missing");
  assert_fails(put("t", "sqlite", false), IGLOO_FAILED_PRECONDITION, "55000");
  assert_int_not_equal(access(in_scratch("secrets.key"), F_OK), 0);
  run_sql("DELETE FROM secret");
  assert_ok(put("s", "sqlite", false));
  assert_whole("s", "sqlite");
}

static void write_key(const char *text) {
  IG_AUTO_FD fd =
      open(in_scratch("secrets.key"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

#define HEX32 "0123456789abcdefABCDEF0123456789"

static void another_key_is_told_from_damage(void **state) {
  (void)state;
  ig_secret *secret = NULL;
  assert_ok(put("s", "sqlite", false));
  write_key(HEX32 HEX32 "\n");
  assert_fails(get("s", &secret), IGLOO_FAILED_PRECONDITION, "55000");
  assert_message_has("another key");
}

static void what_holds_no_key_is_refused(void **state) {
  (void)state;
  static const char *const texts[] = {"",
                                      "x",
                                      HEX32,
                                      HEX32 HEX32 "0",
                                      HEX32 HEX32 "\n\n\n",
                                      HEX32 "0123456789abcdefABCDEF012345678g",
                                      HEX32 HEX32 HEX32};
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    write_key(texts[i]);
    assert_fails(put("s", "sqlite", false), IGLOO_FAILED_PRECONDITION, "55000");
    assert_message_has("holds no key");
  }
  write_key(HEX32 HEX32);
  assert_ok(put("s", "sqlite", false));
  assert_int_equal(unlink(in_scratch("secrets.key")), 0);
  assert_int_equal(mkdir(in_scratch("secrets.key"), 0700), 0);
  assert_fails(put("t", "sqlite", false), IGLOO_INVALID_ARGUMENT, "42809");
}

/* ---- memory ------------------------------------------------------------------------ */

/* An address lies in memory that core dumps leave out: "dd" of its mapping. */
static bool is_left_out(const void *address) {
  IG_AUTO(FILE) *file = fopen("/proc/self/smaps", "re");
  char line[512];
  bool inside = false;
  unsigned long from, to;
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "%lx-%lx ", &from, &to) == 2 && strchr(line, '-'))
      inside = (uintptr_t)address >= from && (uintptr_t)address < to;
    if (inside && strncmp(line, "VmFlags:", 8) == 0) return strstr(line, " dd") != NULL;
  }
  return false;
}

static void an_opened_secret_is_left_out_of_core_dumps(void **state) {
  (void)state;
  IG_AUTO(ig_secret) *secret = NULL;
  assert_ok(put("s", "sqlite", false));
  assert_ok(get("s", &secret));
  assert_true(is_left_out(secret));
  assert_true(is_left_out(secret->items[1].value));
  int other = 0;
  assert_false(is_left_out(&other));
}

static igloo_status put_and_get(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_tx) *tx = NULL;
  IG_AUTO(ig_secret) *secret = NULL;
  struct ig_secret_name *list = NULL;
  size_t count = 0;
  (void)unlink(in_scratch("secrets.key"));
  IG_TRY(ig_tx_begin(store, &tx, reterr));
  IG_TRY(ig_secrets_put(secrets, tx, IG_STR("s"), IG_STR("sqlite"), items,
                        IG_ARRAY_LEN(items), false, reterr));
  IG_TRY(ig_secrets_get(secrets, tx, IG_STR("s"), &secret, reterr));
  IG_TRY(ig_secrets_list(secrets, tx, &list, &count, reterr));
  ig_secret_names_free(list, count);
  return ig_secrets_drop(secrets, tx, IG_STR("s"), reterr);
}

static igloo_status open_again(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_secrets) *again = NULL;
  return ig_secrets_open(store, "/nowhere", &again, reterr);
}

static void failed_allocations_are_reported(void **state) {
  (void)state;
  assert_survives_failed_allocations(open_again, NULL);
  assert_survives_failed_allocations(put_and_get, NULL);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_secret_opens_as_it_was_sealed_also_after_a_restart),
      CASE(no_value_lies_in_the_database),
      CASE(names_are_taken_once_unless_replaced_and_dropped_for_good),
      CASE(bad_names_are_refused),
      CASE(a_changed_row_is_refused),
      CASE(the_key_file_is_made_with_the_first_secret_for_its_owner_alone),
      CASE(a_key_file_that_others_may_read_is_refused),
      CASE(a_lost_key_is_not_made_anew_while_secrets_are_stored),
      CASE(another_key_is_told_from_damage),
      CASE(what_holds_no_key_is_refused),
      CASE(an_opened_secret_is_left_out_of_core_dumps),
      CASE(failed_allocations_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
