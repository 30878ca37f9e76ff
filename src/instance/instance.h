/*
 * instance.h -- one running Igloo: every part of it, wired from one configuration.
 *
 * Has no main and takes no signals: the embedded library and, later, servers hold one.
 *
 * Owns:    itself, counted: its maker's reference and one for each session, whose results
 *          may outlive everything else.
 * Threads: all functions are thread-safe.
 * Blocks:  opening and the last unref, in the disk and for planning threads to end.
 */
#ifndef IG_INSTANCE_INSTANCE_H
#define IG_INSTANCE_INSTANCE_H

#include "auth/login.h"
#include "cluster/cluster.h"
#include "config/config.h"
#include "session/session.h"

typedef struct ig_instance ig_instance;

/* Start from a configuration (taken, also on failure). Gives one reference. Errors are
 * those of ig_catalog_open, ig_engine_new, ig_roots_new and ig_tmpdir_new. */
IG_NODISCARD igloo_status ig_instance_open(struct ig_config *config,
                                           ig_instance **ret_instance,
                                           struct igloo_error *reterr);
/* What a process is to others. Without cluster.join_token nobody is a coordinator. */
enum ig_instance_role { IG_INSTANCE_ALONE, IG_INSTANCE_COORDINATOR, IG_INSTANCE_WORKER };

/* The same as a member of a cluster; errors also those of ig_cluster_new. */
IG_NODISCARD igloo_status ig_instance_open_as(enum ig_instance_role role,
                                              struct ig_config *config,
                                              ig_instance **ret_instance,
                                              struct igloo_error *reterr);
ig_instance *ig_instance_unref(ig_instance *instance); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_instance, ig_instance_unref)

/* Start a session. RESOURCE_EXHAUSTED 53300 at limits.sessions; others as
 * ig_session_new. */
IG_NODISCARD igloo_status ig_instance_connect(ig_instance *instance,
                                              const struct ig_session_who *who,
                                              ig_session **ret_session,
                                              struct igloo_error *reterr);

/* Watch that the engine gets work done, for as long as the instance lives: for servers.
 * Once, before anyone asks ig_instance_is_stuck. */
IG_NODISCARD igloo_status ig_instance_watch(ig_instance *instance,
                                            struct igloo_error *reterr);
bool ig_instance_is_stuck(const ig_instance *instance); /* never blocks */

/* Set the gauges of base/metrics.h that are asked for, not counted. Takes short locks. */
void ig_instance_collect(ig_instance *instance);

/* Its parts, borrowed for as long as a reference is held. */
const struct ig_config *ig_instance_config(const ig_instance *instance);
ig_users *ig_instance_users(ig_instance *instance);
ig_tokens *ig_instance_tokens(ig_instance *instance);
ig_logins *ig_instance_logins(ig_instance *instance);
ig_registry *ig_instance_registry(ig_instance *instance);
ig_cluster *ig_instance_cluster(ig_instance *instance); /* NULL: it is alone */

#endif
