/* machine.c -- see machine.h. */
#include "config/machine.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/parse.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

/* Files of /proc and /sys that we read are a few lines. */
#define TEXT_BYTES_MAX 8192

/* Read a small file into `text`; an empty view where it cannot be read. */
static struct ig_str read_small(const char *folder, const char *name,
                                char text[TEXT_BYTES_MAX]) {
  char path[IG_PATH_BYTES_MAX];
  int len = snprintf(path, sizeof(path), "%s/%s", folder, name);
  IG_AUTO_FD fd = len < (int)sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  ssize_t n = fd >= 0 ? read(fd, text, TEXT_BYTES_MAX) : 0;
  return ig_str_trim(ig_str_make(text, n > 0 ? (size_t)n : 0));
}

/* The path of this process's group in version 2 ("0::/a/b"), or in the version 1
 * hierarchy that has `controller` ("4:cpu,cpuacct:/a/b"). */
static struct ig_str find_group(struct ig_str lines, const char *controller) {
  struct ig_str line, id, names, path, name;
  bool more = true;
  while (more) {
    more = ig_str_split(lines, '\n', &line, &lines);
    if (!ig_str_split(line, ':', &id, &names) || !ig_str_split(names, ':', &names, &path))
      continue;
    if (!controller && names.len == 0) return path;
    for (bool next = controller != NULL; next;) {
      next = ig_str_split(names, ',', &name, &names);
      if (ig_str_eq_cstr(name, controller)) return path;
    }
  }
  return (struct ig_str){0};
}

/* Read `root`[/controller]group/`file` for a group and those above it, and keep the least
 * that `parse` makes of them. A container may see its own group as the root of /sys, so
 * the walk ends there. */
static uint64_t least_of_groups(const char *root, const char *controller,
                                struct ig_str group, const char *file,
                                uint64_t (*parse)(struct ig_str text,
                                                  const char *folder)) {
  uint64_t least = UINT64_MAX;
  for (;;) {
    char text[TEXT_BYTES_MAX];
    char folder[IG_PATH_BYTES_MAX]; /* on the stack: a lack of memory must not lift a
                                       limit */
    (void)snprintf(folder, sizeof(folder), "%s%s%s%.*s", root, controller ? "/" : "",
                   controller ? controller : "", IG_STR_ARG(group));
    struct ig_str value = read_small(folder, file, text);
    uint64_t limit = value.len > 0 ? parse(value, folder) : UINT64_MAX;
    if (limit < least) least = limit;
    if (group.len == 0) return least;
    while (group.len > 0 && group.data[group.len - 1] != '/') group.len--;
    if (group.len > 0) group.len--;
  }
}

/* "max" and v1's huge number mean none; so does 0, which no process could live with. */
static uint64_t parse_bytes(struct ig_str text, const char *folder) {
  uint64_t value;
  (void)folder;
  if (ig_parse_u64(text, &value, NULL) != IGLOO_OK || value == 0) return UINT64_MAX;
  return value;
}

static uint64_t divide_up(struct ig_str quota, struct ig_str period) {
  uint64_t a, b;
  if (ig_parse_u64(quota, &a, NULL) != IGLOO_OK ||
      ig_parse_u64(period, &b, NULL) != IGLOO_OK || a == 0 || b == 0)
    return UINT64_MAX;
  return a / b + (a % b != 0);
}

/* v2: "150000 100000" or "max 100000". */
static uint64_t parse_cpu_max(struct ig_str text, const char *folder) {
  struct ig_str quota, period;
  (void)folder;
  (void)ig_str_split(text, ' ', &quota, &period);
  return divide_up(quota, period);
}

/* v1: the quota, or -1; the period lies in another file. */
static uint64_t parse_cpu_quota(struct ig_str text, const char *folder) {
  char period[TEXT_BYTES_MAX];
  return divide_up(text, read_small(folder, "cpu.cfs_period_us", period));
}

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

uint64_t ig_machine_cgroup_memory(const char *root, struct ig_str groups) {
  return least(
      least_of_groups(root, NULL, find_group(groups, NULL), "memory.max", parse_bytes),
      least_of_groups(root, "memory", find_group(groups, "memory"),
                      "memory.limit_in_bytes", parse_bytes));
}

uint32_t ig_machine_cgroup_processors(const char *root, struct ig_str groups) {
  uint64_t count = least(
      least_of_groups(root, NULL, find_group(groups, NULL), "cpu.max", parse_cpu_max),
      least_of_groups(root, "cpu", find_group(groups, "cpu"), "cpu.cfs_quota_us",
                      parse_cpu_quota));
  return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

/* Half of what `ulimit -v` leaves: stacks and the reserve of allocators take addresses
 * that are no memory. */
static uint64_t address_space(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
    return UINT64_MAX;
  return limit.rlim_cur / 2;
}

uint64_t ig_machine_memory_bytes(void) {
  char text[TEXT_BYTES_MAX];
  long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
  uint64_t physical = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes
                                                  : (uint64_t)1 << 30;
  uint64_t group =
      ig_machine_cgroup_memory(CGROUP_ROOT, read_small("/proc/self", "cgroup", text));
  return least(least(physical, group), address_space());
}

uint32_t ig_machine_processors(void) {
  char text[TEXT_BYTES_MAX];
  cpu_set_t set;
  CPU_ZERO(&set);
  /* It fails on machines of over 1,024 processors: then all of them count. */
  long count = sched_getaffinity(0, sizeof(set), &set) == 0
                   ? CPU_COUNT(&set)
                   : sysconf(_SC_NPROCESSORS_ONLN);
  uint32_t quota =
      ig_machine_cgroup_processors(CGROUP_ROOT, read_small("/proc/self", "cgroup", text));
  if (count < 1) count = 1;
  return (uint64_t)count < quota ? (uint32_t)count : quota;
}
