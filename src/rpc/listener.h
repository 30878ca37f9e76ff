/*
 * listener.h -- sockets that wait for connections.
 *
 * Owns:    its descriptor, its share of the TLS context, the file of a Unix socket.
 * Threads: made before the server's threads; then its loop's thread only.
 * Blocks:  only while it is made (names are looked up).
 */
#ifndef IG_RPC_LISTENER_H
#define IG_RPC_LISTENER_H

#include "rpc/loop.h"
#include "rpc/server.h"

struct ig_rpc_listener {
  struct ig_loop_source source;
  struct ig_loop_timer timer;       /* set while accepting is paused */
  ig_rpc_server *server;            /* borrowed */
  ig_loop *loop;                    /* borrowed; NULL while it is not watched */
  ig_tls *tls;                      /* NULL: plaintext */
  char *unix_path;                  /* NULL: TCP */
  uint64_t unix_device, unix_inode; /* of the socket file that is ours */
  int fd;
};

/* One listener for each address of `address`, at most `max`; all with one port. */
IG_NODISCARD igloo_status ig_rpc_listen_tcp(const char *address, ig_tls *tls,
                                            struct ig_rpc_listener *ret_listeners,
                                            size_t max, size_t *ret_len,
                                            uint16_t *ret_port,
                                            struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_rpc_listen_unix(const char *path, uint32_t mode,
                                             struct ig_rpc_listener *ret_listener,
                                             struct igloo_error *reterr);
/* Close it; its file is removed. */
void ig_rpc_listener_done(struct ig_rpc_listener *listener);

/* Wait on `loop` from now on; stop. */
IG_NODISCARD igloo_status ig_rpc_listener_watch(struct ig_rpc_listener *listener,
                                                ig_loop *loop,
                                                struct igloo_error *reterr);
void ig_rpc_listener_unwatch(struct ig_rpc_listener *listener);

/* Who is on the other side of an accepted socket, and the socket's options. */
void ig_rpc_socket_prepare(int fd, bool is_unix, struct ig_rpc_peer *ret_peer);

#endif
