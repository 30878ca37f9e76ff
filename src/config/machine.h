/*
 * machine.h -- how much of this machine the process may use.
 *
 * A container's limit counts, not the host's memory and processors.
 *
 * Owns: nothing. Threads: no state. Blocks: in reading /proc and /sys.
 */
#ifndef IG_CONFIG_MACHINE_H
#define IG_CONFIG_MACHINE_H

#include <stdint.h>

#include "base/str.h"

/* Bytes of memory: physical, or the cgroup's limit (v2 or v1, of this group or one above)
 * or half of the limit of its address space (`ulimit -v`), where that is less. Never 0.
 */
uint64_t ig_machine_memory_bytes(void);

/* Processors this process may run on: its affinity, or the cgroup's quota rounded up
 * where that is less. At least 1. */
uint32_t ig_machine_processors(void);

/* The least memory limit among `root`/<group>/memory.max and those of the groups above,
 * as `proc_self_cgroup` (the text of /proc/self/cgroup) names the group. UINT64_MAX for
 * none. For tests; the functions above call it with "/sys/fs/cgroup". */
uint64_t ig_machine_cgroup_memory(const char *root, struct ig_str proc_self_cgroup);

/* The least quota / period, rounded up, in the same way; UINT32_MAX for none. */
uint32_t ig_machine_cgroup_processors(const char *root, struct ig_str proc_self_cgroup);

#endif
