/* test_machine.c -- limits of control groups, on folders that look like them. */
#include "config/machine.h"

#include <sys/resource.h>

#include "support-files.h"

static void without_groups_there_is_no_limit(void **state) {
  (void)state;
  assert_true(ig_machine_cgroup_memory(scratch, IG_STR("")) == UINT64_MAX);
  assert_true(ig_machine_cgroup_processors(scratch, IG_STR("0::/a")) == UINT32_MAX);
  assert_true(ig_machine_memory_bytes() > 0);
  assert_true(ig_machine_processors() >= 1);
}

static void no_more_memory_than_half_of_the_address_space(void **state) {
  (void)state;
  struct rlimit before, less;
  assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
  less = before;
  less.rlim_cur = (rlim_t)1 << 30;
  if (less.rlim_cur > before.rlim_max) less.rlim_cur = before.rlim_max;
  assert_int_equal(setrlimit(RLIMIT_AS, &less), 0);
  assert_true(ig_machine_memory_bytes() <= less.rlim_cur / 2);
  assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
}

static void the_least_limit_on_the_way_up_counts(void **state) {
  (void)state;
  put_file("memory.max", "max\n");
  put_file("a/memory.max", "1000000000\n");
  put_file("a/b/memory.max", "2000000000\n");
  put_file("a/b/c/memory.max", "max\n");
  put_file("a/cpu.max", "150000 100000\n");
  put_file("a/b/cpu.max", "max 100000\n");
  assert_int_equal(ig_machine_cgroup_memory(scratch, IG_STR("0::/a/b/c\n")), 1000000000);
  assert_int_equal(ig_machine_cgroup_processors(scratch, IG_STR("0::/a/b/c")), 2);
  assert_true(ig_machine_cgroup_memory(scratch, IG_STR("0::/")) == UINT64_MAX);
}

static void a_container_sees_its_limit_at_the_root(void **state) {
  (void)state;
  put_file("memory.max", "500000000\n");
  put_file("cpu.max", "50000 100000\n");
  assert_int_equal(ig_machine_cgroup_memory(scratch, IG_STR("0::/docker/x")), 500000000);
  assert_int_equal(ig_machine_cgroup_processors(scratch, IG_STR("0::/docker/x")), 1);
}

static void version_1_is_understood(void **state) {
  (void)state;
  put_file("memory/g/memory.limit_in_bytes", "700000000\n");
  put_file("cpu/g/cpu.cfs_quota_us", "300000\n");
  put_file("cpu/g/cpu.cfs_period_us", "100000\n");
  put_file("cpu/h/cpu.cfs_quota_us", "-1\n");
  assert_int_equal(
      ig_machine_cgroup_memory(scratch, IG_STR("5:memory:/g\n4:cpu,cpuacct:/g\n")),
      700000000);
  assert_int_equal(
      ig_machine_cgroup_processors(scratch, IG_STR("5:memory:/g\n4:cpuacct,cpu:/g\n")),
      3);
  assert_true(ig_machine_cgroup_processors(scratch, IG_STR("4:cpu:/h")) == UINT32_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_more_memory_than_half_of_the_address_space),
      scratch_test(without_groups_there_is_no_limit),
      scratch_test(the_least_limit_on_the_way_up_counts),
      scratch_test(a_container_sees_its_limit_at_the_root),
      scratch_test(version_1_is_understood),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
