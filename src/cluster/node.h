/*
 * node.h -- what a process says of itself: the name of its node, its host, its build.
 *
 * Owns:    nothing. Threads: thread-safe. Blocks: ig_node_name, in the disk.
 */
#ifndef IG_CLUSTER_NODE_H
#define IG_CLUSTER_NODE_H

#include "cluster/members.h"

/* Of what members say to each other and of the plans that they send: raised with every
 * change of either. */
#define IG_CLUSTER_PLAN_VERSION 2

/* "w-3f2a90c1", "c-3f2a90c1" of a coordinator. Kept in `folder` (NULL or "": drawn anew),
 * which this process alone works in. Returns what the system says of the file. */
IG_NODISCARD igloo_status ig_node_name(enum ig_member_role role, const char *folder,
                                       char ret_name[IG_MEMBER_ID_BYTES],
                                       struct igloo_error *reterr);

/* The name and an incarnation that is drawn: the id of one membership. */
void ig_node_id(const char *name, char ret_id[IG_MEMBER_ID_BYTES]);

/* Equal for processes of one user that see the same files on the same machine: they can
 * open each other's Unix sockets. Empty where the system does not tell. */
#define IG_NODE_HOST_BYTES 33
void ig_node_host(char ret_host[IG_NODE_HOST_BYTES]);

/* The version, and what tells two builds of it apart: "0.1.0+29864c55bb92ca43". */
const char *ig_cluster_build(void);

#endif
