/*
 * server_private.h -- what listeners tell their server.
 *
 * Owns: nothing. Threads: the first I/O thread. Blocks: never.
 */
#ifndef IG_RPC_SERVER_PRIVATE_H
#define IG_RPC_SERVER_PRIVATE_H

#include "rpc/listener.h"

/* A new connection; its descriptor is taken. */
void ig_rpc_server_accepted(ig_rpc_server *server, const struct ig_rpc_listener *listener,
                            int fd);

/* No descriptors are left: give up the reserve, accept one connection with it, close that
 * and take the reserve back. False where that did not work. */
bool ig_rpc_server_shed(ig_rpc_server *server, int listen_fd);

#endif
