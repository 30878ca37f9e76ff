/* test_sensitive.c -- what looks like a password. */
#include "base/sensitive.h"

#include "support.h"

static void keys_of_passwords_are_found_however_they_are_written(void **state) {
  (void)state;
  static const char *const yes[] = {"password",     "PASSWORD",      "ssl_password",
                                    "pass-word",    "pwd",           "auth.token",
                                    "clientSecret", "private_key",   "api-key",
                                    "p%61ssword",   "adbc.password", "sslPassphrase"};
  static const char *const no[] = {"user", "host",   "passfile",         "sslmode",
                                   "port", "",       "application_name", "options",
                                   "key",  "compass"};
  for (size_t i = 0; i < IG_ARRAY_LEN(yes); i++)
    if (!ig_key_is_sensitive(ig_str_from_cstr(yes[i]))) fail_msg("%s", yes[i]);
  for (size_t i = 0; i < IG_ARRAY_LEN(no); i++)
    if (ig_key_is_sensitive(ig_str_from_cstr(no[i]))) fail_msg("%s", no[i]);
}

static void passwords_in_connection_texts_are_found(void **state) {
  (void)state;
  static const char *const yes[] = {
      "postgresql://u:p@h/d",
      "postgresql://u:@h/d",
      "postgresql://u:a/b@h/d",
      "postgresql://u:p@h1:1,h2:2/d",
      "postgresql://h/d?password=x",
      "postgresql://h/d?sslmode=require&pass%77ord=x",
      "postgresql://h/d?sslpassword=",
      "host=h password=x",
      "host=h password = x",
      "password=x",
      "Server=h;Pwd=x;",
      "mongodb://u:p@h",
  };
  static const char *const no[] = {
      "postgresql://h/d",
      "postgresql://u@h:5432/d",
      "postgresql://h:5432/d?sslmode=require",
      "host=h user=u dbname=d port=5432",
      "",
      "/data/x.db",
      "postgresql:///d?host=/run/postgresql",
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(yes); i++)
    if (!ig_uri_has_password(ig_str_from_cstr(yes[i]))) fail_msg("%s", yes[i]);
  for (size_t i = 0; i < IG_ARRAY_LEN(no); i++)
    if (ig_uri_has_password(ig_str_from_cstr(no[i]))) fail_msg("%s", no[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keys_of_passwords_are_found_however_they_are_written),
      cmocka_unit_test(passwords_in_connection_texts_are_found),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
