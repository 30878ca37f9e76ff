/*
 * reading.h -- who reads what comes in on a connection.
 *
 * The I/O thread does, unless a thread that would only wait for it takes that over for
 * the while: it waits for the socket itself, so that no thread has to wake another. Epoll
 * then does not watch for input; writing, timers and closing stay where they are. Only
 * plaintext is read so, and only one thread reads at a time.
 *
 * Owns:    nothing.
 * Threads: as each function says; "_locked" need the connection's mutex.
 * Blocks:  ig_reading_wait_locked and ig_reading_linger, as they say.
 */
#ifndef IG_RPC_READING_H
#define IG_RPC_READING_H

#include "base/clock.h"
#include "rpc/conn.h"

/* What is read at once at first, and by a thread that took reading over. */
#define IG_READING_BYTES (16 * IG_KIB)

/* For one turn, where the bytes cost much; then the loop's other connections. */
#define IG_READING_TURN_US IG_US_PER_MS

/* What came, in memory that others will use: no password stays in it. */
void ig_reading_feed_locked(ig_conn *conn, uint8_t *buffer, size_t len);

/* On the I/O thread, in a turn: read plaintext as far as one turn goes, unless somebody
 * else does. The mutex is left meanwhile. */
void ig_reading_turn_locked(ig_conn *conn, uint8_t *buffer);

/* This thread is about to write, and then to wait for what comes: from now on the I/O
 * thread does not watch for it, unless nobody waits for a while. */
void ig_reading_expect_locked(ig_conn *conn);

/* Take reading over, until something came or a slice of time has passed: then the caller
 * looks what else has changed. The mutex is left meanwhile. False, at once, where it
 * cannot be taken over: the I/O thread, another thread or TLS reads, several calls run,
 * or it is over. */
bool ig_reading_wait_locked(ig_conn *conn);

/* Nobody waits any more: the I/O thread watches from now on or, where `comes_back` says
 * that the next wait is near, if that does not come in time. */
void ig_reading_rest_locked(ig_conn *conn, bool comes_back);

/* A client's connection is to be used again that nobody has read or watched for a while:
 * read what has come, which may be its end. The mutex is left meanwhile. */
void ig_reading_look_locked(ig_conn *conn);

/* The I/O thread watches, unless somebody reads. */
void ig_reading_watch_locked(ig_conn *conn);

/* On the I/O thread, in a turn: watch_due_us has come. */
void ig_reading_watch_due_locked(ig_conn *conn);

/* A connection is closed while somebody reads: the descriptor stays until that is over.
 */
void ig_reading_close_locked(ig_conn *conn);

/* A server's: wait until `until_us` for the connection's next call, if it has none, and
 * begin it on this thread. */
void ig_reading_linger(ig_conn *conn, int64_t until_us);

#endif
