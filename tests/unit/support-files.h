/*
 * support-files.h -- a folder of its own for each test of files, stores and catalogs.
 */
#ifndef IG_TESTS_SUPPORT_FILES_H
#define IG_TESTS_SUPPORT_FILES_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

static char scratch[64]; /* "/tmp/igloo-test-XXXXXX" */

/* In memory, where fsync takes no time: for tests of killed processes, not of power cuts.
 */
static IG_UNUSED int scratch_setup_in_memory(void **state) {
  (void)state;
  (void)snprintf(scratch, sizeof(scratch), "/dev/shm/igloo-test-XXXXXX");
  return mkdtemp(scratch) ? 0 : -1;
}

static IG_UNUSED int scratch_setup(void **state) {
  (void)state;
  (void)snprintf(scratch, sizeof(scratch), "/tmp/igloo-test-XXXXXX");
  return mkdtemp(scratch) ? 0 : -1;
}

static IG_UNUSED int scratch_teardown(void **state) {
  (void)state;
  char command[128];
  (void)snprintf(command, sizeof(command), "rm -rf '%s'", scratch);
  return system(command);
}

#define scratch_test_in_memory(name) \
  cmocka_unit_test_setup_teardown(name, scratch_setup_in_memory, scratch_teardown)
#define scratch_test(name) \
  cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

/* scratch/`relative`; a few may be in use at the same time. */
static IG_UNUSED const char *in_scratch(const char *relative) {
  static char paths[8][512];
  static int next;
  char *path = paths[next++ % 8];
  (void)snprintf(path, sizeof(paths[0]), "%s/%s", scratch, relative);
  return path;
}

/* Write a file with its folders. */
static IG_UNUSED void put_file(const char *relative, const char *text) {
  char path[512];
  (void)snprintf(path, sizeof(path), "%s", in_scratch(relative));
  for (char *slash = strchr(path + strlen(scratch) + 1, '/'); slash;
       slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    (void)mkdir(path, 0755);
    *slash = '/';
  }
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

/* The text of a file, or NULL where there is none; valid until the next call. */
static IG_UNUSED const char *get_file(const char *relative) {
  static char text[4096];
  FILE *file = fopen(in_scratch(relative), "r");
  if (!file) return NULL;
  text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
  fclose(file);
  return text;
}

/* Number of entries of a folder, hidden ones included; -1 where there is none. */
static IG_UNUSED int count_entries(const char *relative) {
  char command[600], text[32] = "-1";
  (void)snprintf(command, sizeof(command), "ls -A '%s' 2>/dev/null | wc -l",
                 in_scratch(relative));
  if (access(in_scratch(relative), F_OK) != 0) return -1;
  FILE *pipe = popen(command, "r");
  assert_non_null(fgets(text, sizeof(text), pipe));
  pclose(pipe);
  return atoi(text);
}

#endif
