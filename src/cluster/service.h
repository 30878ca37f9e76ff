/*
 * service.h -- what other members ask of this one: igloo.cluster.v1.Worker.
 *
 * RunTask sets a task up in the engine and ends it with the query, ReadPartition streams
 * what a task makes, CheckFiles compares files. Nothing waits: the engine's threads
 * encode and send; where a reader is slow its partition's stream is not polled until
 * there is room. A call that is reset, or whose member is lost, frees its task or read at
 * once.
 *
 * Owns:    calls, tasks and reads until they have ended; one thread that frees them, and
 *          up to IG_CLUSTER_FILES_THREADS that look at files. Borrows the cluster.
 * Threads: all functions are thread-safe, except new and free.
 * Blocks:  free, until every task and read is freed.
 */
#ifndef IG_CLUSTER_SERVICE_H
#define IG_CLUSTER_SERVICE_H

#include "cluster/cluster.h"

typedef struct ig_worker_service ig_worker_service;

/* Listens to the cluster's registry: before that has other members. Shares the engine.
 * Gives *ret_service (free: ig_worker_service_free, after the rpc server, and before the
 * registry). OUT_OF_MEMORY; RESOURCE_EXHAUSTED 53000 for a thread. */
IG_NODISCARD igloo_status ig_worker_service_new(ig_cluster *cluster, ig_engine *engine,
                                                ig_worker_service **ret_service,
                                                struct igloo_error *reterr);
ig_worker_service *ig_worker_service_free(ig_worker_service *service);
IG_DEFINE_AUTO(ig_worker_service, ig_worker_service_free)

/* For ig_rpc_server_options; borrowed as long as the service, which is their ctx. */
const struct ig_rpc_method *ig_worker_service_methods(const ig_worker_service *service,
                                                      size_t *ret_count);

/* Refuse new tasks; those that are here end with their queries. */
void ig_worker_service_drain(ig_worker_service *service);

/* Tasks that have not been freed yet. */
size_t ig_worker_service_tasks_now(ig_worker_service *service);

#endif
