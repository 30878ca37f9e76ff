/*
 * driver_paths.h -- where drivers of sources lie.
 *
 * Owns:    struct ig_driver_paths its texts. Threads: no state. Blocks: never.
 */
#ifndef IG_INSTANCE_DRIVER_PATHS_H
#define IG_INSTANCE_DRIVER_PATHS_H

#include "base/error.h"
#include "base/mem.h"

#define IG_DRIVER_PATHS_MAX 32

struct ig_driver_paths {
  char *folders[IG_DRIVER_PATHS_MAX]; /* absolute */
  size_t count;
};

/* The folders of federation.driver_paths, or, where it is empty: `drivers` beside the
 * program and beside libigloo, and `lib/igloo/drivers` of the installation they belong
 * to. Gives *ret_paths (ig_driver_paths_done). Returns INVALID_ARGUMENT for a relative
 * folder: what is found would depend on where a process was started. */
IG_NODISCARD igloo_status ig_driver_paths_find(const char *configured,
                                               struct ig_driver_paths *ret_paths,
                                               struct igloo_error *reterr);
void ig_driver_paths_done(struct ig_driver_paths *paths);

#endif
