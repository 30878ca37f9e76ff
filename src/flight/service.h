/*
 * service.h -- Arrow Flight SQL over rpc/: what clients ask, answered by sessions.
 *
 * Gives the methods of arrow.flight.protocol.FlightService for a gRPC server. Each call
 * is handed to a thread of the service, which finds out who asks and in which session,
 * runs what is asked, and sends the answer while it is made: a slow reader blocks that
 * thread, never a queue that grows.
 *
 * Owns:    itself, its threads, statements behind tickets, prepared statements; borrows
 *          the instance.
 * Threads: all functions are thread-safe, except free.
 * Blocks:  ig_flight_free(), until the calls that run have ended.
 */
#ifndef IG_FLIGHT_SERVICE_H
#define IG_FLIGHT_SERVICE_H

#include "instance/instance.h"
#include "rpc/server.h"

typedef struct ig_flight ig_flight;

struct ig_flight_parts {
  ig_instance *instance; /* borrowed */
  bool authenticates;    /* auth.mode is password; otherwise everybody is welcome */
  uint32_t running, queued;
  uint64_t message_bytes, put_bytes; /* limits.message_bytes, limits.put_bytes */
};

/* Gives *ret_flight (free: ig_flight_free). OUT_OF_MEMORY; INTERNAL where libsodium
 * cannot start. */
IG_NODISCARD igloo_status ig_flight_new(const struct ig_flight_parts *parts,
                                        ig_flight **ret_flight,
                                        struct igloo_error *reterr);

/* After the rpc server was freed. Takes NULL; returns NULL. */
ig_flight *ig_flight_free(ig_flight *flight);
IG_DEFINE_AUTO(ig_flight, ig_flight_free)

/* The methods, for ig_rpc_server_options; borrowed as long as the service. */
const struct ig_rpc_method *ig_flight_methods(const ig_flight *flight, size_t *ret_count);

/* Forget statements whose time has passed; to be called every few seconds. */
void ig_flight_tick(ig_flight *flight);

#endif
