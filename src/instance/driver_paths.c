/* driver_paths.c -- see driver_paths.h. */
#include "instance/driver_paths.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/str.h"

void ig_driver_paths_done(struct ig_driver_paths *paths) {
  for (size_t i = 0; i < paths->count; i++) ig_free(paths->folders[i]);
  *paths = (struct ig_driver_paths){.count = 0};
}

/* Takes the folder; one that is there already is not added again. */
static igloo_status add(struct ig_driver_paths *paths, char *folder,
                        struct igloo_error *reterr) {
  if (!folder) return ig_fail_oom(reterr);
  bool known = paths->count == IG_DRIVER_PATHS_MAX;
  for (size_t i = 0; i < paths->count && !known; i++)
    known = strcmp(folder, paths->folders[i]) == 0;
  if (known)
    ig_free(folder);
  else
    paths->folders[paths->count++] = folder;
  return IGLOO_OK;
}

static igloo_status add_configured(const char *configured, struct ig_driver_paths *paths,
                                   struct igloo_error *reterr) {
  struct ig_str folder, rest = ig_str_from_cstr(configured);
  for (bool more = true; more;) {
    more = ig_str_split(rest, ',', &folder, &rest);
    folder = ig_str_trim(folder);
    if (!folder.len) continue;
    if (folder.data[0] != '/')
      return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                     "folder \"%.*s\" of federation.driver_paths is not absolute",
                     IG_STR_ARG(folder));
    if (paths->count == IG_DRIVER_PATHS_MAX)
      return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                     "federation.driver_paths has more than %d folders",
                     IG_DRIVER_PATHS_MAX);
    IG_TRY(add(paths, ig_str_dup(folder), reterr));
  }
  return IGLOO_OK;
}

/* The places that belong to a file of ours: the program or the library. */
static igloo_status add_beside(const char *file, struct ig_driver_paths *paths,
                               struct igloo_error *reterr) {
  char *real = realpath(file, NULL);
  if (!real) return IGLOO_OK;
  char *slash = strrchr(real, '/');
  *slash = '\0';
  igloo_status status = add(paths, ig_asprintf("%s/drivers", real), reterr);
  if (status == IGLOO_OK)
    status = add(paths, ig_asprintf("%s/igloo/drivers", real), reterr);
  slash = strrchr(real, '/'); /* from bin/ */
  if (slash) *slash = '\0';
  if (status == IGLOO_OK)
    status = add(paths, ig_asprintf("%s/lib/igloo/drivers", real), reterr);
  free(real);
  return status;
}

static igloo_status find(const char *configured, struct ig_driver_paths *paths,
                         struct igloo_error *reterr) {
  if (configured[0]) return add_configured(configured, paths, reterr);
  Dl_info info;
  IG_TRY(add_beside("/proc/self/exe", paths, reterr));
  /* In another program this code lies in the library. */
  if (dladdr((const void *)ig_driver_paths_done, &info) && info.dli_fname &&
      strchr(info.dli_fname, '/'))
    IG_TRY(add_beside(info.dli_fname, paths, reterr));
  return IGLOO_OK;
}

igloo_status ig_driver_paths_find(const char *configured,
                                  struct ig_driver_paths *ret_paths,
                                  struct igloo_error *reterr) {
  struct ig_driver_paths paths = {.count = 0};
  igloo_status status = find(configured, &paths, reterr);
  if (status == IGLOO_OK)
    *ret_paths = paths;
  else
    ig_driver_paths_done(&paths);
  return status;
}
