/* late.c -- see late.h. */
#include "base/late.h"

#include <dlfcn.h>
#include <string.h>

#include "base/thread.h"

static igloo_status fail(const struct ig_late_library *library,
                         struct igloo_error *reterr) {
  const char *why = dlerror();
  (void)ig_fail_state(reterr, IGLOO_NOT_FOUND, "58P01", "library \"%s\" cannot be loaded",
                      library->file);
  if (why) ig_error_detail(reterr, "The linker says: %s.", why);
  return IGLOO_NOT_FOUND;
}

igloo_status ig_late_load(struct ig_late_library *library, struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&library->mu);
  if (library->is_loaded) return IGLOO_OK;
  void *handle = dlopen(library->file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!handle) return fail(library, reterr);
  for (size_t i = 0; i < library->functions_count; i++) {
    void *found = dlsym(handle, library->functions[i].name);
    if (!found) return fail(library, reterr);
    /* ISO C has no cast between the two. */
    memcpy(library->functions[i].slot, &found, sizeof(found));
  }
  library->is_loaded = true;
  return IGLOO_OK;
}

void ig_late_missing(void) {
  ig_assert_failed("a library is loaded before it is called", __FILE__, __LINE__,
                   __func__);
}
