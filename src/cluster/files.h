/*
 * files.h -- whether members have the files of a table: CheckFiles, both sides.
 *
 * A part of a file may run on a member only where that has the file with the size and
 * time that the coordinator listed, under its own files.roots. All members are asked at
 * once; answers are kept for IG_CLUSTER_FILES_KEPT_US, by member and the whole list.
 *
 * Owns:    struct ig_files_asker its kept answers.
 * Threads: all functions are thread-safe, except new and free.
 * Blocks:  ask, for IG_CLUSTER_FILES_US at most; look, in the disk.
 */
#ifndef IG_CLUSTER_FILES_H
#define IG_CLUSTER_FILES_H

#include "cluster/channel.h"
#include "cluster/worker_messages.h"
#include "files/roots.h"

typedef struct ig_files_asker ig_files_asker;

IG_NODISCARD igloo_status ig_files_asker_new(ig_channels *channels,
                                             ig_files_asker **ret_asker,
                                             struct igloo_error *reterr);
ig_files_asker *ig_files_asker_free(ig_files_asker *asker);
IG_DEFINE_AUTO(ig_files_asker, ig_files_asker_free)

/* As `files` of struct ig_cluster_channel for `members`; this process has what it listed.
 * *ret_reason (free: ig_free) is NULL where all have all. Only OUT_OF_MEMORY is an
 * error. */
IG_NODISCARD igloo_status ig_files_ask(ig_files_asker *asker,
                                       const struct ig_cluster_member *members,
                                       size_t members_count,
                                       const struct ig_cluster_file *files, size_t count,
                                       bool *ret_has, char **ret_reason,
                                       struct igloo_error *reterr);

/* The worker's side: the first file that is not there as it should be. */
struct ig_check_files_answer ig_files_look(const ig_roots *roots,
                                           const struct ig_check_files *request);

#endif
