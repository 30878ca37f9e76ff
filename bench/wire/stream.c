/*
 * stream.c -- how fast batches in memory go to a client: our Flight stack and, as the
 * floor, the same chunks through bare sockets or bare OpenSSL.
 *
 *     stream serve flight|raw tcp|unix|tls [FOLDER]
 *     stream read  flight|raw tcp|unix|tls ADDRESS STREAMS COUNT BYTES [FOLDER]
 *
 * FOLDER holds what `igloo cert dev` made. The server prints its ADDRESS and ends with
 * stdin. Bodies lie in a pool of 64 MiB that is never copied by either server; each
 * stream has a connection of its own. Both readers keep every body, in turn, in memory of
 * their own and look at 8 bytes of each 4 KiB. The reader prints JSON: bytes, seconds and
 * both sides' seconds of processor time.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <nanoarrow/nanoarrow.h>

#include "arrow/ipc_encode.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/thread.h"
#include "rpc/openssl.h"
#include "rpc/server.h"
#include "wire/client.h"
#include "wire/flight.h"
#include "wire/flight_data.h"

#define POOL_BYTES (64 * IG_MIB)
#define HEADER_BYTES 500 /* what stands before a body on Flight's wire, more or less */
#define STREAMS_MAX 16
#define PAGE 4096

enum way { TCP, UNIX, TLS };

static enum way way;
static const char *folder;
static uint8_t *pool;
static volatile uint64_t seen; /* so that reading is not left out */

__attribute__((noreturn)) static void die(const char *what) {
  fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void must(igloo_status status, const struct igloo_error *error) {
  if (status == IGLOO_OK) return;
  fprintf(stderr, "stream: %s\n", error->message);
  exit(1);
}

static void fill_pool(void) {
  pool = aligned_alloc(64, POOL_BYTES);
  if (!pool) die("memory");
  uint64_t x = 88172645463325252u;
  for (size_t i = 0; i < POOL_BYTES; i += 8) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    memcpy(pool + i, &x, 8);
  }
}

static const uint8_t *body_at(uint64_t index, uint64_t bytes) {
  return pool + index % (POOL_BYTES / bytes) * bytes;
}

static void look(const uint8_t *body, uint64_t bytes) {
  uint64_t sum = 0, word;
  for (uint64_t at = 0; at + 8 <= bytes; at += PAGE) {
    memcpy(&word, body + at, 8);
    sum += word;
  }
  seen += sum;
}

static double processor_seconds(void) {
  struct rusage used;
  (void)getrusage(RUSAGE_SELF, &used);
  return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void path_in_folder(char path[256], const char *name) {
  (void)snprintf(path, 256, "%s/%s", folder, name);
}

static bool is_number(struct ig_str text, uint64_t *ret_value) {
  return ig_parse_u64(text, ret_value, NULL) == IGLOO_OK;
}

/* "COUNT BYTES" */
static bool read_wish(struct ig_str text, uint64_t *ret_count, uint64_t *ret_bytes) {
  struct ig_str first, second;
  (void)ig_str_split(text, ' ', &first, &second);
  return is_number(first, ret_count) && is_number(ig_str_trim(second), ret_bytes) &&
         *ret_bytes > 0 && *ret_bytes <= POOL_BYTES;
}

/* ---- bare sockets ---------------------------------------------------------------------
 */

struct peer {
  int fd;
  SSL *ssl; /* NULL: none */
};

static SSL_CTX *raw_context(bool server) {
  char cert[256], key[256];
  if (ig_openssl_load(NULL) != IGLOO_OK) die("OpenSSL");
  SSL_CTX *context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
  if (!context) die("TLS");
  if (!server) return context;
  path_in_folder(cert, "server.crt");
  path_in_folder(key, "server.key");
  if (SSL_CTX_use_certificate_chain_file(context, cert) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
    die(cert);
  return context;
}

static void peer_write(struct peer *peer, const void *head, const void *body,
                       uint64_t bytes) {
  struct iovec parts[2] = {{(void *)(uintptr_t)head, HEADER_BYTES},
                           {(void *)(uintptr_t)body, bytes}};
  if (peer->ssl) {
    if (SSL_write(peer->ssl, head, HEADER_BYTES) <= 0 ||
        SSL_write(peer->ssl, body, (int)bytes) <= 0)
      die("SSL_write");
    return;
  }
  struct iovec *part = parts;
  for (int left = 2; left > 0;) {
    struct msghdr message = {.msg_iov = part, .msg_iovlen = (size_t)left};
    ssize_t sent = sendmsg(peer->fd, &message, MSG_NOSIGNAL);
    if (sent < 0) die("sendmsg");
    for (; left > 0 && (size_t)sent >= part->iov_len; part++, left--)
      sent -= (ssize_t)part->iov_len;
    if (left > 0)
      *part =
          (struct iovec){(uint8_t *)part->iov_base + sent, part->iov_len - (size_t)sent};
  }
}

static void peer_read(struct peer *peer, uint8_t *bytes, uint64_t len) {
  for (uint64_t at = 0; at < len;) {
    ssize_t got = peer->ssl ? SSL_read(peer->ssl, bytes + at, (int)(len - at))
                            : recv(peer->fd, bytes + at, len - at, 0);
    if (got <= 0) die("read");
    at += (uint64_t)got;
  }
}

static void *serve_peer(void *ctx) {
  struct peer *peer = ctx;
  char line[64] = {0};
  static const uint8_t head[HEADER_BYTES];
  uint64_t count, bytes;
  if (peer->ssl && SSL_accept(peer->ssl) != 1) die("SSL_accept");
  peer_read(peer, (uint8_t *)line, sizeof(line) - 1);
  if (!read_wish(ig_str_from_cstr(line), &count, &bytes)) die("wish");
  for (uint64_t i = 0; i < count; i++) peer_write(peer, head, body_at(i, bytes), bytes);
  if (peer->ssl) SSL_free(peer->ssl);
  (void)close(peer->fd);
  free(peer);
  return NULL;
}

static void *accept_peers(void *ctx) {
  int listener = *(int *)ctx;
  SSL_CTX *context = way == TLS ? raw_context(true) : NULL;
  for (;;) {
    struct peer *peer = calloc(1, sizeof(*peer));
    pthread_t thread;
    if (!peer || (peer->fd = accept(listener, NULL, NULL)) < 0) die("accept");
    int one = 1;
    if (way != UNIX)
      (void)setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (context) {
      peer->ssl = SSL_new(context);
      (void)SSL_set_fd(peer->ssl, peer->fd);
    }
    if (pthread_create(&thread, NULL, serve_peer, peer) != 0) die("thread");
    pthread_detach(thread);
  }
  return NULL;
}

static void serve_raw(char address[128]) {
  static int listener;
  pthread_t thread;
  if (way == UNIX) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s/raw.sock", folder);
    (void)unlink(name.sun_path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&name, sizeof(name)) != 0) die("bind");
    (void)snprintf(address, 128, "%s", name.sun_path);
  } else {
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(name);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&name, sizeof(name)) != 0 ||
        getsockname(listener, (struct sockaddr *)&name, &len) != 0)
      die("bind");
    (void)snprintf(address, 128, "%d", ntohs(name.sin_port));
  }
  if (listen(listener, STREAMS_MAX) != 0) die("listen");
  if (pthread_create(&thread, NULL, accept_peers, &listener) != 0) die("thread");
}

/* ---- Flight
 * ------------------------------------------------------------------------------ */

static void release_nothing(struct ArrowArray *array) {
  ig_free(array->buffers);
  ig_free(array->children);
  array->release = NULL;
}

/* A struct of one bigint column whose values lie at `body`. */
static igloo_status make_batch(const uint8_t *body, uint64_t bytes,
                               struct ArrowArray *ret_batch, struct igloo_error *reterr) {
  struct both {
    struct ArrowArray *children[1];
    struct ArrowArray column;
  } *both = ig_calloc(1, sizeof(*both));
  const void **buffers = ig_calloc(3, sizeof(void *));
  if (!both || !buffers) return ig_fail_oom(reterr);
  buffers[1] = body;
  int64_t rows = (int64_t)bytes / 8;
  both->column = (struct ArrowArray){
      .length = rows, .n_buffers = 2, .buffers = buffers, .release = release_nothing};
  both->children[0] = &both->column;
  *ret_batch = (struct ArrowArray){.length = rows,
                                   .n_buffers = 1,
                                   .n_children = 1,
                                   .buffers = ig_calloc(1, sizeof(void *)),
                                   .children = both->children,
                                   .release = release_nothing};
  return IGLOO_OK;
}

static void release_batch(struct ArrowArray *array) {
  struct ArrowArray *column = array->children[0];
  if (column->release) column->release(column);
  release_nothing(array);
}

static igloo_status send_all(ig_rpc_call *call, ig_ipc_encoder *encoder,
                             struct igloo_error *reterr) {
  for (bool more = true; more;) {
    struct ig_ipc_message message = {0};
    IG_TRY(ig_ipc_encoder_next(encoder, &message, &more, reterr));
    if (!more) break;
    IG_TRY(ig_flight_data_frame(&message, reterr));
    IG_TRY(ig_rpc_call_send(call, &message.pieces, reterr));
  }
  return IGLOO_OK;
}

static igloo_status make_schema(struct ArrowSchema *schema, struct igloo_error *reterr) {
  ArrowSchemaInit(schema);
  if (ArrowSchemaSetTypeStruct(schema, 1) != NANOARROW_OK ||
      ArrowSchemaSetType(schema->children[0], NANOARROW_TYPE_INT64) != NANOARROW_OK ||
      ArrowSchemaSetName(schema->children[0], "x") != NANOARROW_OK)
    return ig_fail_oom(reterr);
  return IGLOO_OK;
}

static igloo_status answer(ig_rpc_call *call, struct igloo_error *reterr) {
  struct ig_rpc_message request = {0};
  struct ig_flight_ticket ticket = {0};
  struct ArrowSchema schema;
  struct ig_ipc_message first = {0};
  uint64_t count, bytes;
  bool got;
  IG_AUTO(ig_arena) *arena = ig_arena_new(4096);
  IG_AUTO(ig_ipc_encoder) *encoder = NULL;
  IG_TRY(ig_rpc_call_receive(call, &request, &got, reterr));
  struct ig_str text = {(const char *)request.data, request.len};
  IG_TRY(ig_protobuf_decode(&ig_flight_ticket_message, text, arena, &ticket, reterr));
  if (!read_wish(ticket.ticket, &count, &bytes))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "COUNT BYTES is wanted");
  ig_rpc_message_done(&request);
  IG_TRY(make_schema(&schema, reterr));
  struct ig_ipc_options options = {.target_bytes = bytes + PAGE};
  IG_TRY(ig_ipc_encoder_new(&schema, &options, &encoder, reterr));
  schema.release(&schema);
  IG_TRY(ig_ipc_encoder_schema(encoder, &first, reterr));
  IG_TRY(ig_flight_data_frame(&first, reterr));
  IG_TRY(ig_rpc_call_send(call, &first.pieces, reterr));
  for (uint64_t i = 0; i < count; i++) {
    struct ArrowArray batch;
    IG_TRY(make_batch(body_at(i, bytes), bytes, &batch, reterr));
    batch.release = release_batch;
    IG_TRY(ig_ipc_encoder_batch(encoder, &batch, reterr));
    IG_TRY(send_all(call, encoder, reterr));
  }
  return IGLOO_OK;
}

static void *run_call(void *ctx) {
  ig_rpc_call *call = ctx;
  struct igloo_error error = {0};
  igloo_status status = answer(call, &error);
  ig_rpc_call_finish(call, status == IGLOO_OK ? NULL : &error);
  (void)ig_rpc_call_unref(call);
  return NULL;
}

static void begin(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  pthread_t thread;
  if (pthread_create(&thread, NULL, run_call, call) != 0) die("thread");
  pthread_detach(thread);
}

static void serve_flight(char address[128]) {
  static const struct ig_rpc_method method = {
      "/arrow.flight.protocol.FlightService/DoGet", IG_RPC_SINGLE_REQUEST, 0, begin,
      NULL};
  struct ig_rpc_server_options options = {.methods = &method, .methods_len = 1};
  ig_rpc_server *server = NULL;
  ig_tls *tls = NULL;
  struct igloo_error error;
  uint16_t port = 0;
  must(ig_rpc_server_new(&options, &server, &error), &error);
  if (way == TLS) {
    char cert[256], key[256];
    path_in_folder(cert, "server.crt");
    path_in_folder(key, "server.key");
    struct ig_tls_server_options files = {.cert_file = cert, .key_file = key};
    must(ig_tls_new_server(&files, &tls, &error), &error);
  }
  if (way == UNIX) {
    (void)snprintf(address, 128, "%s/flight.sock", folder);
    must(ig_rpc_server_listen_unix(server, address, 0600, &error), &error);
  } else {
    must(ig_rpc_server_listen_tcp(server, "127.0.0.1:0", tls, &port, &error), &error);
    (void)snprintf(address, 128, "%u", port);
  }
  must(ig_rpc_server_start(server, &error), &error);
}

/* ---- readers
 * --------------------------------------------------------------------------- */

struct reading {
  pthread_t thread;
  const char *address;
  char wish[64];
  uint64_t count, bytes, got;
};

static void *read_raw(void *ctx) {
  struct reading *reading = ctx;
  struct peer peer = {0};
  uint64_t port = 0;
  if (way == UNIX) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", reading->address);
    peer.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(peer.fd, (struct sockaddr *)&name, sizeof(name)) != 0) die("connect");
  } else {
    if (!is_number(ig_str_from_cstr(reading->address), &port)) die("address");
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    peer.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(peer.fd, (struct sockaddr *)&name, sizeof(name)) != 0) die("connect");
  }
  if (way == TLS) {
    peer.ssl = SSL_new(raw_context(false));
    (void)SSL_set_fd(peer.ssl, peer.fd);
    if (SSL_connect(peer.ssl) != 1) die("SSL_connect");
    if (SSL_write(peer.ssl, reading->wish, sizeof(reading->wish) - 1) <= 0) die("write");
  } else if (send(peer.fd, reading->wish, sizeof(reading->wish) - 1, 0) < 0) {
    die("send");
  }
  uint8_t head[HEADER_BYTES];
  uint8_t *body = aligned_alloc(64, (reading->bytes + 63) / 64 * 64);
  if (!body) die("memory");
  for (uint64_t i = 0; i < reading->count; i++) {
    peer_read(&peer, head, sizeof(head));
    peer_read(&peer, body, reading->bytes);
    look(body, reading->bytes);
    reading->got += reading->bytes;
  }
  free(body);
  return NULL;
}

static void *read_flight(void *ctx) {
  struct reading *reading = ctx;
  struct ig_flight_client_options options = {0};
  struct igloo_error error;
  ig_flight_client *client = NULL;
  struct ArrowArrayStream rows;
  uint64_t port = 0;
  if (way == UNIX) {
    options.unix_path = reading->address;
  } else {
    if (!is_number(ig_str_from_cstr(reading->address), &port)) die("address");
    options.host = "127.0.0.1";
    options.port = (uint16_t)port;
  }
  if (way == TLS) {
    struct ig_tls_client_options trust = {.is_insecure = true};
    must(ig_tls_new_client(&trust, &options.tls, &error), &error);
  }
  must(ig_flight_client_open(&options, NULL, &client, &error), &error);
  must(ig_flight_client_get(client, ig_str_from_cstr(reading->wish), NULL, &rows, &error),
       &error);
  for (;;) {
    struct ArrowArray batch;
    if (rows.get_next(&rows, &batch) != 0) die(rows.get_last_error(&rows));
    if (!batch.release) break;
    look(batch.children[0]->buffers[1], (uint64_t)batch.length * 8);
    reading->got += (uint64_t)batch.length * 8;
    batch.release(&batch);
  }
  rows.release(&rows);
  (void)ig_flight_client_free(client);
  return NULL;
}

static int read_streams(bool raw, char **words, int words_count) {
  static struct reading readings[STREAMS_MAX];
  uint64_t streams, count, bytes, got = 0;
  if (words_count < 4 || !is_number(ig_str_from_cstr(words[1]), &streams) ||
      !is_number(ig_str_from_cstr(words[2]), &count) ||
      !is_number(ig_str_from_cstr(words[3]), &bytes) || streams > STREAMS_MAX)
    return 2;
  int64_t begin_us = ig_now_us();
  for (uint64_t i = 0; i < streams; i++) {
    readings[i] =
        (struct reading){.address = words[0], .count = count / streams, .bytes = bytes};
    (void)snprintf(readings[i].wish, sizeof(readings[i].wish), "%llu %llu",
                   (unsigned long long)(count / streams), (unsigned long long)bytes);
    if (pthread_create(&readings[i].thread, NULL, raw ? read_raw : read_flight,
                       &readings[i]) != 0)
      die("thread");
  }
  for (uint64_t i = 0; i < streams; i++) {
    (void)pthread_join(readings[i].thread, NULL);
    got += readings[i].got;
  }
  printf("{\"bytes\": %llu, \"seconds\": %.6f, \"cpu\": %.6f}\n", (unsigned long long)got,
         (double)(ig_now_us() - begin_us) / 1e6, processor_seconds());
  return got == count / streams * streams * bytes ? 0 : 1;
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: stream serve|read flight|raw tcp|unix|tls ...\n");
    return 2;
  }
  bool raw = strcmp(argv[2], "raw") == 0;
  way = strcmp(argv[3], "tcp") == 0 ? TCP : strcmp(argv[3], "unix") == 0 ? UNIX : TLS;
  if (strcmp(argv[1], "read") == 0) return read_streams(raw, argv + 4, argc - 4);
  char address[128];
  folder = argc > 4 ? argv[4] : ".";
  fill_pool();
  if (raw)
    serve_raw(address);
  else
    serve_flight(address);
  printf("%s\n", address);
  (void)fflush(stdout);
  while (getchar() != EOF) {
  }
  fprintf(stderr, "%.6f\n", processor_seconds());
  _exit(0);
}
