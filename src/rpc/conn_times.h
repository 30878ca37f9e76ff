/*
 * conn_times.h -- what becomes due on a connection: deadlines, keepalive, idleness,
 * drain.
 *
 * Owns: nothing. Threads: the I/O thread, with the connection's mutex. Blocks: never.
 */
#ifndef IG_RPC_CONN_TIMES_H
#define IG_RPC_CONN_TIMES_H

#include "rpc/conn.h"

/* Set the connection's timer for what is due first. */
void ig_conn_schedule_locked(ig_conn *conn);

/* Do what is due; false where the connection must be closed, for the reason *ret_why. */
bool ig_conn_check_times_locked(ig_conn *conn, struct igloo_error *ret_why);

/* The first GOAWAY, then (nghttp2 would send it before) the PING whose answer brings the
 * second. */
void ig_conn_begin_drain_locked(ig_conn *conn);
void ig_conn_goaway_sent_locked(ig_conn *conn);
void ig_conn_ping_answered_locked(ig_conn *conn, const uint8_t opaque[8]);

#endif
