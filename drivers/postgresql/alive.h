/*
 * alive.h -- asking a server that says nothing whether it is still there.
 *
 * A query may take hours before its first byte, and a server that was paused or cut off
 * says as little: TCP does not tell them apart, since the kernel of a paused server goes
 * on acknowledging. So who waits asks, now and then, at the address of its session: a
 * connection of its own sends the 8 bytes that ask for TLS (protocol 3, SSLRequest),
 * which every server answers with one byte before any login, and without a place among
 * its sessions. Any answer will do, a refusal too: only silence is one.
 *
 * Owns:    the socket of a question.
 * Threads: one at a time.
 * Blocks:  never; the caller polls.
 */
#ifndef IGP_ALIVE_H
#define IGP_ALIVE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

/* Between two questions at most; the first pause is the given one, and each is twice the
 * one before. */
#define IGP_ALIVE_PAUSE_MAX_MS 60000

struct igp_alive {
  int fd;              /* of the question; -1: none is open */
  bool sent;           /* the bytes are on their way */
  bool full;           /* nobody took the last question: its queue was full */
  int64_t patience_us; /* for an answer, and before the first question */
  int64_t pause_us;    /* before the next question */
  int64_t due_us;      /* the next question, or the end of patience with this one */
};

/* Wait for `patience_ms` before the first question (0: never ask). */
void igp_alive_init(struct igp_alive *alive, int64_t patience_ms);
void igp_alive_done(struct igp_alive *alive);

/* What to poll, until due_us at the latest. */
struct pollfd igp_alive_file(const struct igp_alive *alive);

/* After each poll, with what came of that file. `session` is the socket of the session.
 * False where the server has not answered in time. */
bool igp_alive_check(struct igp_alive *alive, int session, short revents);

#endif
