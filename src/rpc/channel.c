/* channel.c -- see channel.h: connecting, and again. */
#include "rpc/channel.h"

#include <igloo/igloo.h>

#include "base/clock.h"
#include "base/limits.h"
#include "rpc/channel_private.h"
#include "rpc/connect.h"
#include "rpc/listener.h"
#include "rpc/reading.h"

#define SLICE_US (50 * IG_US_PER_MS) /* between two looks at a token */

struct ig_rpc_channel {
  char *host; /* owned, as all texts; NULL: a Unix socket */
  uint16_t port;
  char *unix_path;
  char *server_name;
  char *user_agent;
  char *authority;
  ig_tls *tls; /* shared; NULL: plaintext */
  int64_t connect_us;
  struct ig_conn_config config;
  struct ig_rpc_counters counters;
  ig_loop *loop;
  struct ig_loop_task end;
  ig_conn *conns; /* the loop's thread only, as the next */
  bool is_ending;
  pthread_mutex_t mu; /* before a connection's in the lock order */
  pthread_cond_t connected;
  ig_conn *conn;          /* guarded by mu; a reference; NULL: none yet */
  bool is_connecting;     /* guarded by mu: someone does, others wait */
  struct igloo_error why; /* guarded by mu: set before `end` is posted, by the first */
};

const char *ig_rpc_channel_authority(const ig_rpc_channel *channel) {
  return channel->authority;
}
const char *ig_rpc_channel_user_agent(const ig_rpc_channel *channel) {
  return channel->user_agent;
}
bool ig_rpc_channel_has_tls(const ig_rpc_channel *channel) {
  return channel->tls != NULL;
}

/* --- the loop's side */

static bool on_opened(void *ctx, ig_conn *conn) {
  ig_rpc_channel *channel = ctx;
  if (channel->is_ending) return false;
  ig_conn_list_add(&channel->conns, conn);
  return true;
}

static void on_closed(void *ctx, ig_conn *conn) {
  ig_rpc_channel *channel = ctx;
  ig_conn_list_remove(&channel->conns, conn);
}

static void end_conns(struct ig_loop_task *task) {
  ig_rpc_channel *channel =
      (ig_rpc_channel *)((char *)task - offsetof(ig_rpc_channel, end));
  channel->is_ending = true;
  struct igloo_error why;
  ig_mutex_lock(&channel->mu);
  why = channel->why;
  ig_mutex_unlock(&channel->mu);
  while (channel->conns) ig_conn_close(channel->conns, &why);
}

void ig_rpc_channel_shut(ig_rpc_channel *channel, const struct igloo_error *why) {
  ig_mutex_lock(&channel->mu);
  if (channel->why.status == IGLOO_OK) channel->why = *why;
  ig_mutex_unlock(&channel->mu);
  ig_loop_post(channel->loop, &channel->end);
}

/* --- connecting */

/* Wait until the other side has spoken HTTP/2. */
static igloo_status wait_for_settings(ig_conn *conn, int64_t deadline_us,
                                      const ig_cancel *cancel,
                                      struct igloo_error *reterr) {
  igloo_status status = IGLOO_OK;
  ig_mutex_lock(&conn->mu);
  while (status == IGLOO_OK && !conn->has_settings && conn->state != IG_CONN_CLOSED) {
    int64_t until_us = ig_deadline_in(SLICE_US);
    (void)ig_cond_wait_until(&conn->changed, &conn->mu,
                             until_us < deadline_us ? until_us : deadline_us);
    if (ig_cancel_is_set(cancel))
      status = ig_cancel_check(cancel, reterr);
    else if (ig_deadline_left_us(deadline_us) == 0)
      status = ig_fail(reterr, IGLOO_DEADLINE_EXCEEDED, "could not connect in time");
  }
  if (status == IGLOO_OK && !conn->has_settings) {
    status = ig_conn_fail_locked(conn, reterr);
    if (status == IGLOO_UNAVAILABLE) {
      if (reterr) memcpy(reterr->sqlstate, "08001", 6);
      ig_error_prefix(reterr, "could not connect");
    }
  }
  ig_conn_unlock(conn);
  return status;
}

static igloo_status connect_once(ig_rpc_channel *channel, int64_t deadline_us,
                                 const ig_cancel *cancel, ig_conn **ret_conn,
                                 struct igloo_error *reterr) {
  int64_t latest_us = ig_deadline_in(channel->connect_us);
  if (latest_us < deadline_us) deadline_us = latest_us;
  int fd = -1;
  if (channel->unix_path)
    IG_TRY(ig_rpc_connect_unix(channel->unix_path, &fd, reterr));
  else
    IG_TRY(ig_rpc_connect_tcp(channel->host, channel->port, deadline_us, cancel, &fd,
                              reterr));
  IG_AUTO(ig_conn) *conn = NULL;
  struct ig_rpc_peer peer = {0};
  ig_rpc_socket_prepare(fd, channel->unix_path != NULL, &peer);
  IG_TRY(ig_conn_new(&channel->config, fd, channel->tls, channel->server_name,
                     channel->loop, &conn, reterr));
  ig_conn_adopt(conn);
  igloo_status status = wait_for_settings(conn, deadline_us, cancel, reterr);
  if (status == IGLOO_OK)
    *ret_conn = IG_TAKE(conn);
  else if (status == IGLOO_UNAVAILABLE && !channel->tls && !channel->unix_path)
    ig_error_hint(reterr, "The other side may want TLS: tls=on in a server's URI.");
  return status;
}

/* Without the channel's mutex: what has come is read here. */
static bool is_usable(ig_conn *conn) {
  if (!conn) return false;
  IG_LOCK_SCOPE(&conn->mu);
  ig_reading_look_locked(conn);
  return conn->state == IG_CONN_OPEN && !conn->is_broken && !conn->is_going_away;
}

bool ig_rpc_channel_is_lost(ig_rpc_channel *channel) {
  IG_LOCK_SCOPE(&channel->mu);
  ig_conn *conn = channel->conn;
  if (!conn) return false;
  ig_mutex_lock(&conn->mu);
  bool is_lost = !conn->is_going_away && (conn->state != IG_CONN_OPEN || conn->is_broken);
  ig_mutex_unlock(&conn->mu);
  return is_lost;
}

/* The connection of now, with a reference, once no other thread connects; NULL: there is
 * none yet. */
static igloo_status current_conn(ig_rpc_channel *channel, int64_t deadline_us,
                                 const ig_cancel *cancel, ig_conn **ret_conn,
                                 struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&channel->mu);
  while (channel->is_connecting) {
    int64_t until_us = ig_deadline_in(SLICE_US);
    (void)ig_cond_wait_until(&channel->connected, &channel->mu,
                             until_us < deadline_us ? until_us : deadline_us);
    if (ig_cancel_is_set(cancel)) return ig_cancel_check(cancel, reterr);
    if (ig_deadline_left_us(deadline_us) == 0)
      return ig_fail(reterr, IGLOO_DEADLINE_EXCEEDED, "could not connect in time");
  }
  *ret_conn = channel->conn ? ig_conn_ref(channel->conn) : NULL;
  return IGLOO_OK;
}

/* Connect in place of `old` (NULL: none), and give a reference; nothing happens where
 * another thread does or did so. */
static igloo_status replace_conn(ig_rpc_channel *channel, const ig_conn *old,
                                 int64_t deadline_us, const ig_cancel *cancel,
                                 ig_conn **ret_conn, struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&channel->mu);
  if (channel->is_connecting || channel->conn != old) return IGLOO_OK;
  channel->is_connecting = true;
  ig_mutex_unlock(&channel->mu);
  ig_conn *conn = NULL;
  igloo_status status = connect_once(channel, deadline_us, cancel, &conn, reterr);
  ig_mutex_lock(&channel->mu);
  channel->is_connecting = false;
  ig_cond_broadcast(&channel->connected);
  if (status != IGLOO_OK) return status;
  (void)ig_conn_unref(channel->conn); /* not the last: whoever asked has `old` */
  channel->conn = conn;
  *ret_conn = ig_conn_ref(conn);
  return IGLOO_OK;
}

igloo_status ig_rpc_channel_connection(ig_rpc_channel *channel, int64_t deadline_us,
                                       const ig_cancel *cancel, ig_conn **ret_conn,
                                       struct igloo_error *reterr) {
  ig_conn *usable = NULL;
  while (!usable) {
    IG_AUTO(ig_conn) *conn = NULL;
    IG_TRY(current_conn(channel, deadline_us, cancel, &conn, reterr));
    if (is_usable(conn))
      usable = IG_TAKE(conn);
    else
      IG_TRY(replace_conn(channel, conn, deadline_us, cancel, &usable, reterr));
  }
  *ret_conn = usable;
  return IGLOO_OK;
}

/* --- life */

static igloo_status copy_text(const char *text, char **ret_copy,
                              struct igloo_error *reterr) {
  if (!text) return IGLOO_OK;
  *ret_copy = ig_strdup(text);
  return *ret_copy ? IGLOO_OK : ig_fail_oom(reterr);
}

static igloo_status copy_options(ig_rpc_channel *channel,
                                 const struct ig_rpc_channel_options *options,
                                 struct igloo_error *reterr) {
  if (!options->host == !options->unix_path)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "a connection needs a host or the path of a Unix socket");
  channel->port = options->port;
  channel->tls = options->tls ? ig_tls_ref(options->tls) : NULL;
  channel->connect_us = options->connect_us > 0 ? options->connect_us : IG_RPC_CONNECT_US;
  IG_TRY(copy_text(options->host, &channel->host, reterr));
  IG_TRY(copy_text(options->unix_path, &channel->unix_path, reterr));
  IG_TRY(copy_text(options->server_name ? options->server_name : options->host,
                   &channel->server_name, reterr));
  IG_TRY(copy_text(options->user_agent ? options->user_agent : "igloo/" IGLOO_VERSION,
                   &channel->user_agent, reterr));
  bool is_v6 = options->host && strchr(options->host, ':');
  channel->authority = options->host ? ig_asprintf(is_v6 ? "[%s]:%u" : "%s:%u",
                                                   options->host, options->port)
                                     : ig_strdup("localhost");
  if (!channel->authority) return ig_fail_oom(reterr);
  channel->config = (struct ig_conn_config){
      .counters = &channel->counters,
      .handshake_us = channel->connect_us,
      .keepalive_us =
          options->keepalive_us > 0 ? options->keepalive_us : IG_RPC_KEEPALIVE_US,
      .message_bytes_max = options->message_bytes_max > 0 ? options->message_bytes_max
                                                          : IG_RPC_PUT_BYTES_MAX,
      .is_member = options->is_member,
      .on_opened = on_opened,
      .on_closed = on_closed,
      .ctx = channel};
  return IGLOO_OK;
}

igloo_status ig_rpc_channel_open(const struct ig_rpc_channel_options *options,
                                 const ig_cancel *cancel, ig_rpc_channel **ret_channel,
                                 struct igloo_error *reterr) {
  IG_AUTO(ig_rpc_channel) *channel = ig_calloc(1, sizeof(*channel));
  if (!channel) return ig_fail_oom(reterr);
  ig_mutex_init(&channel->mu);
  ig_cond_init(&channel->connected);
  channel->end.run = end_conns;
  IG_TRY(copy_options(channel, options, reterr));
  IG_TRY(ig_loop_new(&channel->loop, reterr));
  IG_TRY(ig_loop_start(channel->loop, "ig-channel", reterr));
  ig_conn *conn = NULL;
  IG_TRY(ig_rpc_channel_connection(channel, IG_NEVER_US, cancel, &conn, reterr));
  (void)ig_conn_unref(conn); /* the channel has its own reference */
  *ret_channel = IG_TAKE(channel);
  return IGLOO_OK;
}

ig_rpc_channel *ig_rpc_channel_free(ig_rpc_channel *channel) {
  if (!channel) return NULL;
  if (channel->loop) {
    struct igloo_error why;
    (void)ig_fail(&why, IGLOO_UNAVAILABLE, "the connection was closed");
    ig_rpc_channel_shut(channel, &why);
    ig_loop_stop(channel->loop);
  }
  (void)ig_conn_unref(channel->conn);
  (void)ig_loop_free(channel->loop);
  (void)ig_tls_unref(channel->tls);
  ig_free(channel->host);
  ig_free(channel->unix_path);
  ig_free(channel->server_name);
  ig_free(channel->user_agent);
  ig_free(channel->authority);
  ig_cond_done(&channel->connected);
  ig_mutex_done(&channel->mu);
  ig_free(channel);
  return NULL;
}
