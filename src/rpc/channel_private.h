/*
 * channel_private.h -- what a call asks of its channel.
 *
 * Owns: nothing. Threads: thread-safe. Blocks: while it connects.
 */
#ifndef IG_RPC_CHANNEL_PRIVATE_H
#define IG_RPC_CHANNEL_PRIVATE_H

#include "rpc/channel.h"
#include "rpc/conn.h"

/* The connection for a new call, with a reference; connects where there is none. */
IG_NODISCARD igloo_status ig_rpc_channel_connection(ig_rpc_channel *channel,
                                                    int64_t deadline_us,
                                                    const ig_cancel *cancel,
                                                    ig_conn **ret_conn,
                                                    struct igloo_error *reterr);

/* Fixed texts of every request. */
const char *ig_rpc_channel_authority(const ig_rpc_channel *channel);
const char *ig_rpc_channel_user_agent(const ig_rpc_channel *channel);
bool ig_rpc_channel_has_tls(const ig_rpc_channel *channel);

#endif
