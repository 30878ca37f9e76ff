/*
 * link.h -- one session of libpq, where every wait can be cancelled.
 *
 * libpq is only used without blocking; waiting is a poll() on its socket and on an event
 * that cancelling sets. Who waits then asks the server to stop, on a thread of its own
 * (PQcancel blocks), and goes on reading until the server has: the session is usable
 * afterwards. A server that does not answer within IGP_CANCEL_GRACE_MS loses the session.
 * One that is silent while it is waited for is asked whether it is there (alive.h).
 *
 * Owns:    the PGconn and the event.
 * Threads: one at a time, but for igp_link_wake(), which is for any.
 * Blocks:  as each function says.
 */
#ifndef IGP_LINK_H
#define IGP_LINK_H

#include <libpq-fe.h>

#include "base/buf.h"
#include "base/mem.h"
#include "common/driver.h"

typedef struct igp_link igp_link;

/* How long a server may be silent after it was asked to stop (a backend looks for that
 * between rows), and how long it may go on sending. */
#define IGP_CANCEL_GRACE_MS 3000
#define IGP_CANCEL_LAST_MS 30000

struct igp_link_target {
  const char *uri, *username, *password; /* NULL: not set */
  const char *application_name;
  int64_t timeout_ms;  /* for connecting */
  int64_t patience_ms; /* with silence, before the server is asked; 0: for ever */
};

/* Connect and set what reading depends on (UTF-8, UTC, string literals). Returns
 * UNAVAILABLE 08001; UNAUTHENTICATED 28P01 or 28000; what the server says. The password
 * is in no message. */
IG_NODISCARD igloo_status igp_link_open(const struct igp_link_target *target,
                                        igp_link **ret_link, struct igd_error *reterr);
igp_link *igp_link_close(igp_link *link); /* takes NULL */
IG_DEFINE_AUTO(igp_link, igp_link_close)

PGconn *igp_link_pg(igp_link *link); /* borrowed */

/* Whose cancelling ends work that is no statement's. */
void igp_link_own(igp_link *link, struct igd_connection *owner);

/* From any thread: whoever waits looks at its statement. */
void igp_link_wake(igp_link *link);

/* Work for `statement` (NULL: ConnectionCancel ends it) begins: no other may be in work.
 * Returns FAILED_PRECONDITION 55000 while a stream is open; UNAVAILABLE 08006 where the
 * session is lost. */
IG_NODISCARD igloo_status igp_link_begin(igp_link *link, struct igd_statement *statement,
                                         struct igd_error *reterr);
/* Work ends: cancel what still runs and read it off. */
void igp_link_end(igp_link *link);

/* Wait for room and send all that is queued. */
IG_NODISCARD igloo_status igp_link_flush(igp_link *link, struct igd_error *reterr);
/* The next result (NULL: no more of this query; free: PQclear). Fails only where the
 * session is lost, or the statement cancelled: what the server says of a query is in the
 * result. */
IG_NODISCARD igloo_status igp_link_result(igp_link *link, PGresult **ret_result,
                                          struct igd_error *reterr);
/* The next message of COPY OUT (free: PQfreemem). *ret_bytes is NULL at the end: results
 * follow. */
IG_NODISCARD igloo_status igp_link_copy_next(igp_link *link, uint8_t **ret_bytes,
                                             size_t *ret_count, struct igd_error *reterr);
/* Give bytes to COPY IN. */
IG_NODISCARD igloo_status igp_link_copy_put(igp_link *link, struct ig_str bytes,
                                            struct igd_error *reterr);

/* Text of one or more statements, by the simple protocol; the last result, or the first
 * error. With `params`, one statement by the extended one with text parameters. Gives
 * *ret_result, NULL if not wanted. Between igp_link_begin() and igp_link_end(). */
IG_NODISCARD igloo_status igp_link_run(igp_link *link, const char *text,
                                       PGresult **ret_result, struct igd_error *reterr);
IG_NODISCARD igloo_status igp_link_run_params(igp_link *link, const char *text,
                                              const char *const *params,
                                              size_t params_count, PGresult **ret_result,
                                              struct igd_error *reterr);

/* The error of a result, with `text_offset` characters before the user's text. */
igloo_status igp_fail_result(const PGresult *result, const char *query,
                             size_t text_offset, struct igd_error *reterr);
/* The same, unless the result says that all is well. */
IG_NODISCARD igloo_status igp_check_result(const PGresult *result, const char *query,
                                           size_t text_offset, struct igd_error *reterr);

static inline void igp_result_auto(PGresult **result) {
  PQclear(*result);
}
#define IGP_AUTO_RESULT __attribute__((cleanup(igp_result_auto))) PGresult

#endif
