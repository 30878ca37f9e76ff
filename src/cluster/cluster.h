/*
 * cluster.h -- this process as a member: everything of the folder, wired.
 *
 * In this order: ig_cluster_new, ig_engine_new, ig_cluster_serve with the engine, an
 * rpc server with ig_cluster_methods, and, once it listens,
 * ig_cluster_start. At the end: ig_cluster_leave, the rpc server freed, ig_cluster_stop,
 * the engine closed, ig_cluster_free.
 *
 * Owns:    itself: registry, key, channels to other members, the worker's service.
 * Threads: all functions are thread-safe, except new, serve, start, stop and free.
 * Blocks:  leave, until its deadline; stop and free, for its threads.
 */
#ifndef IG_CLUSTER_CLUSTER_H
#define IG_CLUSTER_CLUSTER_H

#include "cluster/identity.h"
#include "cluster/tasks.h"
#include "connector/source.h"
#include "engine/engine.h"

struct ig_cluster_options {
  enum ig_member_role role;
  struct ig_str token;     /* cluster.join_token; copied into locked memory */
  int64_t heartbeat_us;    /* cluster.heartbeat */
  const char *coordinator; /* of a worker: where to join (address.h) */
  const char *data_dir;    /* where the node's name is kept; "" or NULL: nowhere */
  uint32_t threads;        /* engine.threads */
  uint32_t processors;     /* that this process may use */
  uint64_t memory_bytes;   /* engine.memory_limit */
  uint64_t local_bytes;    /* cluster.local_bytes */
  uint32_t host_members;   /* cluster.host_members */
  ig_sources *sources;     /* borrowed; NULL: none, and no leases on their parts */
  /* What members show each other and trust: the files of tls.cert, tls.key and
   * tls.client_ca. NULL or "": plaintext. */
  const char *tls_cert, *tls_key, *tls_ca;
  const char *build; /* NULL: that of the program (node.h) */
};

/* Texts are copied. Returns as ig_prover_new, ig_members_new, ig_tls_new_client,
 * ig_certificate_check_role; INVALID_ARGUMENT for TLS without tls_ca; what the disk says
 * of the data folder. Gives *ret_cluster (free: ig_cluster_free). */
IG_NODISCARD igloo_status ig_cluster_new(const struct ig_cluster_options *options,
                                         ig_cluster **ret_cluster,
                                         struct igloo_error *reterr);
ig_cluster *ig_cluster_free(ig_cluster *cluster); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_cluster, ig_cluster_free)

/* The engine that runs what other members send, and gives them tasks; borrowed until
 * ig_cluster_stop. Before the methods are given to a server. */
IG_NODISCARD igloo_status ig_cluster_serve(ig_cluster *cluster, ig_engine *engine,
                                           struct igloo_error *reterr);

/* The methods of this role, borrowed as long as the cluster. */
const struct ig_rpc_method *ig_cluster_methods(const ig_cluster *cluster,
                                               size_t *ret_count);

/* Be a member: a coordinator takes joins from now on, a worker joins. `address` is
 * "host:port" where others reach this process (server.advertise, else what it listens
 * on), `unix_path` its socket; "" where there is none. */
IG_NODISCARD igloo_status ig_cluster_start(ig_cluster *cluster, const char *address,
                                           const char *unix_path,
                                           struct igloo_error *reterr);

/* Every call to and from other members ends, threads too; tasks of the engine are freed.
 */
void ig_cluster_stop(ig_cluster *cluster);

/* ---- the end ----------------------------------------------------------------------- */

/* A worker tells the coordinator that it wants no more tasks; a coordinator gives none
 * any more. */
void ig_cluster_drain(ig_cluster *cluster);
bool ig_cluster_shall_drain(ig_cluster *cluster); /* the coordinator wishes it */
/* No task is left, here or elsewhere, and a worker's coordinator knows. To be asked by
 * one thread now and then. */
bool ig_cluster_is_drained(ig_cluster *cluster);
/* A worker refuses tasks, and says good-bye. */
void ig_cluster_leave(ig_cluster *cluster, int64_t deadline_us);

/* A worker's, see join.h. */
IG_NODISCARD igloo_status ig_cluster_wait_joined(ig_cluster *cluster, int64_t deadline_us,
                                                 struct igloo_error *reterr);
bool ig_cluster_is_refused(ig_cluster *cluster, struct igloo_error *reterr);

/* ---- for the parts of the folder, and those above ---------------------------------- */

ig_members *ig_cluster_members(ig_cluster *cluster); /* borrowed */
ig_prover *ig_cluster_prover(ig_cluster *cluster);   /* borrowed */
ig_engine *ig_cluster_engine(ig_cluster *cluster);   /* borrowed; NULL before serve */
ig_sources *ig_cluster_sources(ig_cluster *cluster); /* borrowed; NULL: none */
/* For channels to other members; borrowed; NULL: plaintext. */
ig_tls *ig_cluster_tls(ig_cluster *cluster);
enum ig_member_role ig_cluster_role(const ig_cluster *cluster);

/* Figures of this process; channel.c and service.c add to them. */
struct ig_member_figures *ig_cluster_figures(ig_cluster *cluster); /* atomic fields */

/* Where channel.c writes down whom it gave which task. */
ig_task_log *ig_cluster_tasks(ig_cluster *cluster);

/* Read certificates again where their files have changed. */
void ig_cluster_reload(ig_cluster *cluster);

/* Set the metrics igloo_cluster_… (base/metrics.h). */
void ig_cluster_collect(ig_cluster *cluster);

/* What igloo.system.workers shows (ig_member_views_free). */
IG_NODISCARD igloo_status ig_cluster_view(ig_cluster *cluster,
                                          struct ig_member_view **ret_views,
                                          size_t *ret_count, struct igloo_error *reterr);

#endif
