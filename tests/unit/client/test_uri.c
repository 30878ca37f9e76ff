/* Tests of src/client/uri.c. */
#include "base/limits.h"
#include "client/uri.h"
#include "support.h"

static struct ig_uri uri;

static void parse(const char *text) {
  ig_uri_done(&uri);
  assert_ok(ig_uri_parse(text, &uri, &test_err));
}

static int tear_down(void **state) {
  (void)state;
  ig_uri_done(&uri);
  return 0;
}

static void a_host_has_the_default_port(void **state) {
  (void)state;
  parse("igloo://db.example");
  assert_string_equal(uri.host, "db.example");
  assert_int_equal(uri.port, 50051);
  assert_null(uri.user);
  assert_null(uri.catalog);
  assert_null(uri.unix_path);
}

static void every_part_is_read(void **state) {
  (void)state;
  parse(
      "igloo://an%20na@[2001:db8::1]:4000/"
      "sales?tls=on&tls_ca=/a%2Fb&tls_cert=c.pem&tls_key=k.pem");
  assert_string_equal(uri.user, "an na");
  assert_string_equal(uri.host, "2001:db8::1");
  assert_int_equal(uri.port, 4000);
  assert_string_equal(uri.catalog, "sales");
  assert_int_equal(uri.tls, IG_URI_TLS_ON);
  assert_string_equal(uri.tls_ca, "/a/b");
  assert_string_equal(uri.tls_cert, "c.pem");
  assert_string_equal(uri.tls_key, "k.pem");
}

static void a_unix_socket_is_a_path(void **state) {
  (void)state;
  parse("igloo+unix:///run/ig%6coo.sock");
  assert_string_equal(uri.unix_path, "/run/igloo.sock");
  assert_null(uri.host);
}

static void only_loopback_goes_without_tls_by_itself(void **state) {
  (void)state;
  static const struct {
    const char *text;
    enum ig_uri_tls expected;
  } cases[] = {
      {"igloo://localhost", IG_URI_TLS_OFF},
      {"igloo://LOCALHOST:1/", IG_URI_TLS_OFF},
      {"igloo://127.0.0.1:50051", IG_URI_TLS_OFF},
      {"igloo://127.9.8.7", IG_URI_TLS_OFF},
      {"igloo://[::1]", IG_URI_TLS_OFF},
      {"igloo://10.0.0.1", IG_URI_TLS_ON},
      {"igloo://localhost.example.com", IG_URI_TLS_ON},
      {"igloo://127.example.org", IG_URI_TLS_ON},
      {"igloo://localhost?tls=on", IG_URI_TLS_ON},
      {"igloo://localhost?tls_ca=x", IG_URI_TLS_ON},
      {"igloo://10.0.0.1?tls=off", IG_URI_TLS_OFF},
      {"igloo://10.0.0.1/c?tls=insecure", IG_URI_TLS_INSECURE},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    parse(cases[i].text);
    assert_int_equal(uri.tls, cases[i].expected);
  }
}

static void what_is_no_uri_of_a_server_is_refused_with_the_form(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",
      "igloo",
      "grpc://localhost",
      "IGLOO://localhost",
      "igloo://",
      "igloo://:50051",
      "igloo://user@",
      "igloo://host:",
      "igloo://host:0",
      "igloo://host:65536",
      "igloo://host:50051x",
      "igloo://[::1",
      "igloo://[::1]x",
      "igloo://host?tls=yes",
      "igloo://host?tls_ca=",
      "igloo://host?tls_ca=a&tls_ca=b",
      "igloo://host?tls_cert=c",
      "igloo://host?timeout=3",
      "igloo://ho%zzst",
      "igloo://ho%0",
      "igloo://host/a%00b",
      "igloo+unix://run/x",
      "igloo+unix:///run/x?tls=on",
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++) {
    ig_uri_done(&uri);
    assert_fails(ig_uri_parse(bad[i], &uri, &test_err), IGLOO_INVALID_ARGUMENT, "22023");
    assert_non_null(strstr(test_err.hint, "igloo://[user@]host"));
  }
}

static void a_password_in_a_uri_is_refused_and_not_repeated(void **state) {
  (void)state;
  assert_fails(ig_uri_parse("igloo://anna:geheim@localhost", &uri, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_null(strstr(test_err.message, "geheim"));
  assert_non_null(strstr(test_err.hint, "IGLOO_PASSWORD"));
}

static void a_uri_that_is_too_long_is_refused(void **state) {
  (void)state;
  IG_AUTO_CHAR *text = ig_asprintf("igloo://%0*d", (int)IG_URI_BYTES_MAX, 1);
  assert_non_null(text);
  assert_fails(ig_uri_parse(text, &uri, &test_err), IGLOO_INVALID_ARGUMENT, "22023");
}

static igloo_status parse_and_free(void *ctx, struct igloo_error *reterr) {
  struct ig_uri other;
  igloo_status status = ig_uri_parse(ctx, &other, reterr);
  ig_uri_done(&other);
  return status;
}

static void each_failed_allocation_is_out_of_memory(void **state) {
  (void)state;
  char text[] = "igloo://u@host:1/c?tls_ca=a&tls_cert=b&tls_key=c";
  assert_survives_failed_allocations(parse_and_free, text);
}

#define test(name) cmocka_unit_test_teardown(name, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      test(a_host_has_the_default_port),
      test(every_part_is_read),
      test(a_unix_socket_is_a_path),
      test(only_loopback_goes_without_tls_by_itself),
      test(what_is_no_uri_of_a_server_is_refused_with_the_form),
      test(a_password_in_a_uri_is_refused_and_not_repeated),
      test(a_uri_that_is_too_long_is_refused),
      test(each_failed_allocation_is_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
