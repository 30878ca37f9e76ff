/* Tests of src/rpc/tls.c and src/rpc/tls_session.c: our client and our server over TLS.
 */
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rpc/certificates.h"
#include "rpc/loopback.h"

/* A folder with two authorities and certificates of the first. */
struct place {
  char folder[64];
  struct authority good, other;
};

static int setup(void **state) {
  static struct place place;
  place = (struct place){.folder = "/tmp/igloo-tls-XXXXXX"};
  assert_non_null(mkdtemp(place.folder));
  place.good = make_authority(place.folder, "good");
  place.other = make_authority(place.folder, "other");
  issue(&place.good, place.folder, "server", "server", "DNS:localhost,IP:127.0.0.1", 2);
  issue(&place.good, place.folder, "anna", "anna",
        "DNS:anna.example,URI:spiffe://example/anna", 2);
  issue(&place.other, place.folder, "eve", "anna", "DNS:anna.example", 2);
  issue(&place.good, place.folder, "old", "server", "IP:127.0.0.1", -1);
  *state = &place;
  return 0;
}

static int teardown(void **state) {
  struct place *place = *state;
  free_authority(&place->good);
  free_authority(&place->other);
  DIR *folder = opendir(place->folder);
  assert_non_null(folder);
  for (struct dirent *entry; (entry = readdir(folder));)
    if (entry->d_name[0] != '.') (void)unlink(path_in(place->folder, entry->d_name));
  (void)closedir(folder);
  assert_int_equal(rmdir(place->folder), 0);
  return 0;
}

static ig_tls *server_tls(struct place *place, const char *cert, const char *key,
                          enum ig_tls_client_auth auth) {
  ig_tls *tls = NULL;
  const struct ig_tls_server_options options = {
      .cert_file = path_in(place->folder, cert),
      .key_file = path_in(place->folder, key),
      .client_ca_file = path_in(place->folder, "good.pem"),
      .client_auth = auth};
  assert_ok(ig_tls_new_server(&options, &tls, &test_err));
  return tls;
}

/* `name`: of our certificate; NULL: none. */
static ig_tls *client_tls(struct place *place, const char *ca, const char *name) {
  ig_tls *tls = NULL;
  char cert[64] = "", key[64] = "";
  (void)snprintf(cert, sizeof(cert), "%s.pem", name ? name : "");
  (void)snprintf(key, sizeof(key), "%s.key", name ? name : "");
  const struct ig_tls_client_options options = {
      .ca_file = ca ? path_in(place->folder, ca) : NULL,
      .cert_file = name ? path_in(place->folder, cert) : NULL,
      .key_file = name ? path_in(place->folder, key) : NULL,
      .is_insecure = !ca};
  assert_ok(ig_tls_new_client(&options, &tls, &test_err));
  return tls;
}

static void tls_carries_small_and_large_messages(void **state) {
  struct place *place = *state;
  IG_AUTO(ig_tls) *ours = server_tls(place, "server.pem", "server.key", 0);
  IG_AUTO(ig_tls) *theirs = client_tls(place, "good.pem", NULL);
  struct loopback here;
  loopback_open(&here,
                &(struct loopback_options){.server_tls = ours, .client_tls = theirs});
  assert_answers(&here, "/t/Echo", "hello", "hello");
  assert_answers(&here, "/t/Peer", "", "1 -1 - -");
  struct ig_rpc_call_options options = options_of("/t/Stream");
  struct ig_pieces request = pieces_of("60 1000000", 10);
  IG_AUTO(ig_rpc_call) *call = NULL;
  assert_ok(ig_rpc_server_stream(here.channel, &options, &request, &call, &test_err));
  bool got = true;
  uint64_t bytes = 0;
  while (got) {
    struct ig_rpc_message message = {0};
    assert_ok(ig_rpc_call_receive(call, &message, &got, &test_err));
    bytes += message.len;
    ig_rpc_message_done(&message);
  }
  assert_int_equal(bytes, 60 * 1000000);
  loopback_close(&here);
}

static void client_certificate_is_who_calls(void **state) {
  struct place *place = *state;
  static const enum ig_tls_client_auth auths[] = {IG_TLS_CLIENT_AUTH_REQUIRED,
                                                  IG_TLS_CLIENT_AUTH_OPTIONAL};
  for (size_t i = 0; i < 2; i++) {
    IG_AUTO(ig_tls) *ours = server_tls(place, "server.pem", "server.key", auths[i]);
    IG_AUTO(ig_tls) *anna = client_tls(place, "good.pem", "anna");
    struct loopback here;
    struct loopback_options options = {.server_tls = ours, .client_tls = anna};
    loopback_open(&here, &options);
    assert_answers(&here, "/t/Peer", "", "1 -1 CN=anna DNS:anna.example");
    here.channel = ig_rpc_channel_free(here.channel);

    IG_AUTO(ig_tls) *nobody = client_tls(place, "good.pem", NULL);
    options.client_tls = nobody;
    if (auths[i] == IG_TLS_CLIENT_AUTH_OPTIONAL) {
      assert_ok(loopback_connect(&here, &options, &test_err));
      assert_answers(&here, "/t/Peer", "", "1 -1 - -");
      here.channel = ig_rpc_channel_free(here.channel);
    } else {
      assert_fails(loopback_connect(&here, &options, &test_err), IGLOO_UNAUTHENTICATED,
                   "28000");
    }
    IG_AUTO(ig_tls) *eve = client_tls(place, "good.pem", "eve");
    options.client_tls = eve;
    assert_fails(loopback_connect(&here, &options, &test_err), IGLOO_UNAUTHENTICATED,
                 "28000");
    loopback_close(&here);
  }
}

static void server_is_believed_only_with_a_good_certificate(void **state) {
  struct place *place = *state;
  IG_AUTO(ig_tls) *ours = server_tls(place, "server.pem", "server.key", 0);
  IG_AUTO(ig_tls) *trusting = client_tls(place, "good.pem", NULL);
  IG_AUTO(ig_tls) *doubting = client_tls(place, "other.pem", NULL);
  IG_AUTO(ig_tls) *insecure = client_tls(place, NULL, NULL);
  struct loopback here;
  struct loopback_options options = {.server_tls = ours, .client_tls = doubting};
  loopback_serve(&here, &options);
  assert_fails(loopback_connect(&here, &options, &test_err), IGLOO_UNAUTHENTICATED,
               "28000");
  options.client_tls = trusting;
  options.server_name = "elsewhere.example";
  assert_fails(loopback_connect(&here, &options, &test_err), IGLOO_UNAUTHENTICATED,
               "28000");
  options.server_name = "localhost";
  assert_ok(loopback_connect(&here, &options, &test_err));
  here.channel = ig_rpc_channel_free(here.channel);
  options.client_tls = insecure;
  options.server_name = "elsewhere.example";
  assert_ok(loopback_connect(&here, &options, &test_err));
  assert_answers(&here, "/t/Echo", "x", "x");
  here.channel = ig_rpc_channel_free(here.channel);
  options.client_tls = NULL;
  assert_fails(loopback_connect(&here, &options, &test_err), IGLOO_UNAVAILABLE, "08001");
  loopback_close(&here);
}

static void certificate_that_is_over_is_not_accepted(void **state) {
  struct place *place = *state;
  IG_AUTO(ig_tls) *ours = server_tls(place, "old.pem", "old.key", 0);
  IG_AUTO(ig_tls) *theirs = client_tls(place, "good.pem", NULL);
  struct loopback here;
  struct loopback_options options = {.server_tls = ours, .client_tls = theirs};
  loopback_serve(&here, &options);
  assert_fails(loopback_connect(&here, &options, &test_err), IGLOO_UNAUTHENTICATED,
               "28000");
  assert_message_has("expired");
  loopback_close(&here);
}

static void plain_server_is_no_tls_server(void **state) {
  struct place *place = *state;
  IG_AUTO(ig_tls) *theirs = client_tls(place, "good.pem", NULL);
  struct loopback here;
  struct loopback_options options = {.client_tls = theirs};
  loopback_serve(&here, &options);
  assert_fails(loopback_connect(&here, &options, &test_err), IGLOO_UNAVAILABLE, "08001");
  loopback_close(&here);
}

static void changed_files_are_read_again(void **state) {
  struct place *place = *state;
  IG_AUTO(ig_tls) *ours = server_tls(place, "server.pem", "server.key", 0);
  IG_AUTO(ig_tls) *good = client_tls(place, "good.pem", NULL);
  IG_AUTO(ig_tls) *other = client_tls(place, "other.pem", NULL);
  struct loopback here;
  struct loopback_options options = {.server_tls = ours, .client_tls = good};
  loopback_open(&here, &options);
  bool reloaded = true;
  assert_ok(ig_tls_reload_if_changed(ours, &reloaded, &test_err));
  assert_false(reloaded);

  issue(&place->other, place->folder, "server", "server", "IP:127.0.0.1", 2);
  assert_ok(ig_tls_reload_if_changed(ours, &reloaded, &test_err));
  assert_true(reloaded);
  assert_answers(&here, "/t/Echo", "open", "open");
  here.channel = ig_rpc_channel_free(here.channel);
  assert_fails(loopback_connect(&here, &options, &test_err), IGLOO_UNAUTHENTICATED,
               "28000");
  options.client_tls = other;
  assert_ok(loopback_connect(&here, &options, &test_err));
  here.channel = ig_rpc_channel_free(here.channel);

  /* A key that does not fit is not used, and is told once. */
  write_key(path_in(place->folder, "server.key"), place->good.key);
  assert_fails(ig_tls_reload_if_changed(ours, &reloaded, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_message_has("server.key");
  assert_ok(ig_tls_reload_if_changed(ours, &reloaded, &test_err));
  assert_fails(ig_tls_reload(ours, &test_err), IGLOO_INVALID_ARGUMENT, "22023");
  assert_ok(loopback_connect(&here, &options, &test_err));
  assert_answers(&here, "/t/Echo", "still", "still");
  loopback_close(&here);
}

static void files_that_are_no_good_are_named(void **state) {
  struct place *place = *state;
  ig_tls *tls = NULL;
  struct ig_tls_server_options options = {.cert_file = path_in(place->folder, "none.pem"),
                                          .key_file = path_in(place->folder, "none.key")};
  assert_fails(ig_tls_new_server(&options, &tls, &test_err), IGLOO_NOT_FOUND, "58P01");
  assert_message_has("none.pem");
  options.cert_file = path_in(place->folder, "server.pem");
  options.key_file = path_in(place->folder, "anna.key");
  assert_fails(ig_tls_new_server(&options, &tls, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  assert_message_has("anna.key");
  options.key_file = path_in(place->folder, "server.pem");
  assert_fails(ig_tls_new_server(&options, &tls, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  options.key_file = path_in(place->folder, "server.key");
  options.client_auth = IG_TLS_CLIENT_AUTH_REQUIRED;
  assert_fails(ig_tls_new_server(&options, &tls, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  options.client_ca_file = path_in(place->folder, "server.key");
  assert_fails(ig_tls_new_server(&options, &tls, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  const struct ig_tls_client_options half = {.cert_file =
                                                 path_in(place->folder, "anna.pem")};
  assert_fails(ig_tls_new_client(&half, &tls, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
}

static igloo_status make_tls(void *ctx, struct igloo_error *reterr) {
  struct place *place = ctx;
  IG_AUTO(ig_tls) *tls = NULL;
  const struct ig_tls_server_options options = {
      .cert_file = path_in(place->folder, "server.pem"),
      .key_file = path_in(place->folder, "server.key"),
      .client_ca_file = path_in(place->folder, "good.pem"),
      .client_auth = IG_TLS_CLIENT_AUTH_REQUIRED};
  return ig_tls_new_server(&options, &tls, reterr);
}

static void failed_allocation_is_told(void **state) {
  assert_survives_failed_allocations(make_tls, *state);
}

int main(void) {
#define TLS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TLS_TEST(tls_carries_small_and_large_messages),
      TLS_TEST(client_certificate_is_who_calls),
      TLS_TEST(server_is_believed_only_with_a_good_certificate),
      TLS_TEST(certificate_that_is_over_is_not_accepted),
      TLS_TEST(plain_server_is_no_tls_server),
      TLS_TEST(changed_files_are_read_again),
      TLS_TEST(files_that_are_no_good_are_named),
      TLS_TEST(failed_allocation_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
