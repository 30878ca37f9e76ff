/*
 * lease.h -- parts of a scan that other processes read, on places of this one's budget.
 *
 * A run that offers its parts (ig_remote_run_offer) has their places. Whoever reads a
 * part elsewhere takes a lease on it first: a place, the snapshot to join, and the
 * definition of the source with its secrets, which is told then and at no other time. The
 * lease lasts until the reader's connection is closed.
 *
 * Owns:    leases share their source.
 * Threads: all functions are thread-safe.
 * Blocks:  take, while a connection of this process is closed for it; open, in the
 * source.
 */
#ifndef IG_CONNECTOR_LEASE_H
#define IG_CONNECTOR_LEASE_H

#include "base/buf.h"
#include "connector/source.h"

typedef struct ig_lease ig_lease;

/* A lease on a part (its bytes) of the run of this id; `stop` ends the wait for it.
 * Returns NOT_FOUND where no run offers that, or it has ended; as ig_remote_open(). */
IG_NODISCARD igloo_status ig_lease_take(ig_sources *sources,
                                        const uint8_t query_id[IG_RUN_OFFER_BYTES],
                                        struct ig_str part, ig_cancel *stop,
                                        ig_lease **ret_lease, struct igloo_error *reterr);
/* Append what its reader needs, secrets among it. A failure sticks in the buffer. */
void ig_lease_write(const ig_lease *lease, struct ig_buf *out);
/* What its reader read (of ig_lease_open's `gone`), for igloo.system.pushdown_log. Never
 * blocks. INVALID_ARGUMENT, OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_lease_told(ig_lease *lease, struct ig_str read,
                                        struct igloo_error *reterr);
/* The connection is closed: the place is free. Never blocks. Takes NULL; returns NULL. */
ig_lease *ig_lease_end(ig_lease *lease);
IG_DEFINE_AUTO(ig_lease, ig_lease_end)

/* The reader: open the part by what ig_lease_write() said, as ig_remote_open(), with the
 * drivers that `sources` find. `gone` is called once, on any thread, when its connection
 * is closed; also on failure, perhaps before this returns. `read` is for ig_lease_told(),
 * and empty where nothing came to be read. */
IG_NODISCARD igloo_status ig_lease_open(ig_sources *sources, struct ig_str said,
                                        struct ig_str part, ig_cancel *stop,
                                        void (*gone)(void *ctx, struct ig_str read),
                                        void *ctx, struct ArrowArrayStream *ret_rows,
                                        struct igloo_error *reterr);

#endif
