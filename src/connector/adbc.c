/* adbc.c -- see adbc.h. */
#include "connector/adbc.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/thread.h"
#include "connector/internal.h"

struct ig_driver {
  struct AdbcDriver table;
  char *path, *entry;
  bool is_1_1;
  ig_driver *next;
};

/* All loaded ones, newest first; they stay. `loading` is held while one is loaded, so
 * that none is twice. */
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;
static ig_driver *drivers;     /* guarded by loading */
static uint32_t drivers_count; /* guarded by loading */

const struct AdbcDriver *ig_driver_table(const ig_driver *driver) {
  return &driver->table;
}

const char *ig_driver_path(const ig_driver *driver) {
  return driver->path;
}

bool ig_driver_is_1_1(const ig_driver *driver) {
  return driver->is_1_1;
}

/* ---- finding ---------------------------------------------------------------------- */

static bool is_file(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* True where `path` is in `folder` itself or below it, both resolved. */
static igloo_status lies_in(const char *path, const char *folder, bool *ret_in,
                            struct igloo_error *reterr) {
  *ret_in = false;
  char *resolved = realpath(folder, NULL); /* of libc: freed by free() */
  if (!resolved) return errno == ENOMEM ? ig_fail_oom(reterr) : IGLOO_OK;
  size_t len = strlen(resolved);
  *ret_in = strncmp(path, resolved, len) == 0 && (path[len] == '/' || len == 1);
  free(resolved);
  return IGLOO_OK;
}

static igloo_status find_path(const char *name, const char *const *folders, size_t count,
                              char **ret_path, struct igloo_error *reterr) {
  char *resolved = realpath(name, NULL);
  if (!resolved && errno == ENOMEM) return ig_fail_oom(reterr);
  if (!resolved || !is_file(resolved)) {
    free(resolved);
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "58P01", "driver \"%s\" does not exist",
                         name);
  }
  bool in = false;
  igloo_status status = IGLOO_OK;
  for (size_t i = 0; i < count && !in && status == IGLOO_OK; i++)
    status = lies_in(resolved, folders[i], &in, reterr);
  if (status == IGLOO_OK && in) {
    *ret_path = ig_strdup(resolved);
    if (!*ret_path) status = ig_fail_oom(reterr);
  } else if (status == IGLOO_OK) {
    status = ig_fail(reterr, IGLOO_PERMISSION_DENIED,
                     "driver \"%s\" is in none of the driver folders", name);
    ig_error_hint(reterr, "Add its folder to federation.driver_paths.");
  }
  free(resolved);
  return status;
}

static igloo_status find_name(const char *name, const char *const *folders, size_t count,
                              char **ret_path, struct igloo_error *reterr) {
  static const char *const forms[] = {"%s/libadbc_driver_%s.so", "%s/lib%s.so",
                                      "%s/%s.so", "%s/%s.toml"};
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < IG_ARRAY_LEN(forms); j++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* one of the four above */
      IG_AUTO_CHAR *path = ig_asprintf(forms[j], folders[i], name);
#pragma GCC diagnostic pop
      if (!path) return ig_fail_oom(reterr);
      if (!is_file(path)) continue;
      *ret_path = IG_TAKE(path);
      return IGLOO_OK;
    }
  }
  IG_AUTO_DONE(ig_buf) looked = IG_BUF_INIT(64 * IG_KIB);
  for (size_t i = 0; i < count; i++)
    ig_buf_append_fmt(&looked, "%s\"%s\"", i ? ", " : "", folders[i]);
  IG_TRY(ig_buf_check(&looked, reterr));
  ig_fail_state(reterr, IGLOO_NOT_FOUND, "58P01", "there is no driver \"%s\"", name);
  ig_error_detail(
      reterr, "It was looked for in %s.",
      looked.len ? looked.data : "no folder: federation.driver_paths is empty");
  return IGLOO_NOT_FOUND;
}

/* ---- manifests -------------------------------------------------------------------- */

static igloo_status read_file(const char *path, struct ig_buf *out,
                              struct igloo_error *reterr) {
  IG_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ig_fail_errno(reterr, errno, "could not open \"%s\"", path);
  for (;;) {
    char piece[4096];
    ssize_t got = read(fd, piece, sizeof(piece));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ig_fail_errno(reterr, errno, "could not read \"%s\"", path);
    if (got == 0) return ig_buf_check(out, reterr);
    ig_buf_append(out, piece, (size_t)got);
  }
}

static igloo_status open_manifest(const char *path, char **ret_library, char **ret_entry,
                                  struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_CONNECTOR_MANIFEST_BYTES_MAX);
  IG_TRY(read_file(path, &text, reterr));
  const char *slash = strrchr(path, '/');
  IG_AUTO_CHAR *folder = ig_strndup(path, slash ? (size_t)(slash - path) : 0);
  if (!folder) return ig_fail_oom(reterr);
  return ig_driver_manifest_read(ig_buf_str(&text), folder, path, ret_library, ret_entry,
                                 reterr);
}

/* ---- loading ---------------------------------------------------------------------- */

/* The init function that a file's name tells, as every driver manager derives it:
 * libadbc_driver_igloo_sqlite.so.1 → AdbcDriverIglooSqliteInit. */
static char *entry_of_path(const char *path) {
  const char *slash = strrchr(path, '/');
  struct ig_str name = ig_str_from_cstr(slash ? slash + 1 : path), rest;
  ig_str_split(name, '.', &name, &rest);
  if (ig_str_starts(name, IG_STR("lib"))) name = ig_str_sub(name, 3, name.len);
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(IG_PATH_BYTES_MAX);
  bool start = true;
  for (size_t i = 0; i < name.len; i++) {
    bool joint = name.data[i] == '_' || name.data[i] == '-';
    if (!joint)
      ig_buf_append_char(&out, start ? ig_ascii_upper(name.data[i]) : name.data[i]);
    start = joint;
  }
  bool named = ig_str_starts(ig_buf_str(&out), IG_STR("Adbc"));
  if (out.failed != IGLOO_OK) return NULL;
  return ig_asprintf("%s%sInit", named ? "" : "Adbc", ig_buf_str(&out).data);
}

static igloo_status find_init(void *library, const char *path, const char *entry,
                              AdbcDriverInitFunc *ret_init, struct igloo_error *reterr) {
  IG_AUTO_CHAR *derived = entry_of_path(path);
  if (!derived) return ig_fail_oom(reterr);
  const char *const names[] = {derived, "AdbcDriverInit"};
  void *symbol = NULL;
  if (entry) symbol = dlsym(library, entry);
  for (size_t i = 0; i < IG_ARRAY_LEN(names) && !entry && !symbol; i++)
    symbol = dlsym(library, names[i]);
  if (!symbol) {
    ig_fail(reterr, IGLOO_UNSUPPORTED, "\"%s\" is not an ADBC driver", path);
    ig_error_detail(reterr, "It has no function \"%s\".", entry ? entry : derived);
    return IGLOO_UNSUPPORTED;
  }
  memcpy(ret_init, &symbol, sizeof(symbol));
  return IGLOO_OK;
}

/* Call init with the newest version that it takes. Each try begins with an empty table:
 * what a try that failed left there is not trusted. */
static igloo_status init_table(AdbcDriverInitFunc init, const char *path,
                               ig_driver *driver, struct igloo_error *reterr) {
  static const int versions[] = {ADBC_VERSION_1_1_0, ADBC_VERSION_1_0_0};
  AdbcStatusCode code = ADBC_STATUS_NOT_IMPLEMENTED;
  struct AdbcError error = ADBC_ERROR_INIT;
  for (size_t i = 0; i < IG_ARRAY_LEN(versions); i++) {
    if (error.release) error.release(&error);
    error = ADBC_ERROR_INIT;
    driver->table = (struct AdbcDriver){0};
    code = init(versions[i], &driver->table, &error);
    driver->is_1_1 = versions[i] == ADBC_VERSION_1_1_0;
    if (code != ADBC_STATUS_NOT_IMPLEMENTED) break;
  }
  if (code == ADBC_STATUS_OK) {
    if (error.release) error.release(&error);
    return IGLOO_OK;
  }
  /* The table is not to be trusted, so the error's details are not asked for. */
  char *text = error.message && *error.message ? ig_strdup(error.message) : NULL;
  if (error.release) error.release(&error);
  if (code == ADBC_STATUS_NOT_IMPLEMENTED)
    ig_fail(reterr, IGLOO_UNSUPPORTED,
            "driver \"%s\" knows neither ADBC 1.1 nor ADBC 1.0", path);
  else
    ig_fail(reterr, IGLOO_UNSUPPORTED, "driver \"%s\" cannot be initialised", path);
  if (text) ig_error_detail(reterr, "It says: %s.", text);
  ig_free(text);
  return IGLOO_UNSUPPORTED;
}

static igloo_status open_library(const char *path, const char *entry, ig_driver *driver,
                                 struct igloo_error *reterr) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *why = dlerror();
    ig_fail_state(reterr, IGLOO_NOT_FOUND, "58P01", "driver \"%s\" cannot be loaded",
                  path);
    if (why) ig_error_detail(reterr, "The linker says: %s.", why);
    return IGLOO_NOT_FOUND;
  }
  AdbcDriverInitFunc init = NULL;
  IG_TRY(find_init(library, path, entry, &init, reterr));
  IG_TRY(init_table(init, path, driver, reterr));
  return ig_driver_complete(&driver->table, driver->is_1_1, path, reterr);
}

static ig_driver *driver_free(ig_driver *driver) {
  ig_free(driver->path);
  ig_free(driver->entry);
  ig_free(driver);
  return NULL;
}
IG_DEFINE_AUTO(ig_driver, driver_free)

static bool same_entry(const char *a, const char *b) {
  return a && b ? strcmp(a, b) == 0 : a == b;
}

static igloo_status load_library(const char *path, const char *entry,
                                 const ig_driver **ret_driver,
                                 struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&loading);
  for (ig_driver *known = drivers; known; known = known->next) {
    if (strcmp(known->path, path) != 0 || !same_entry(known->entry, entry)) continue;
    *ret_driver = known;
    return IGLOO_OK;
  }
  if (drivers_count >= IG_CONNECTOR_DRIVERS_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "cannot load more than %d drivers", IG_CONNECTOR_DRIVERS_MAX);
  IG_AUTO(ig_driver) *driver = ig_calloc(1, sizeof(*driver));
  if (!driver) return ig_fail_oom(reterr);
  driver->path = ig_strdup(path);
  driver->entry = entry ? ig_strdup(entry) : NULL;
  if (!driver->path || (entry && !driver->entry)) return ig_fail_oom(reterr);
  IG_TRY(open_library(path, entry, driver, reterr));
  driver->next = drivers;
  drivers_count++;
  *ret_driver = drivers = IG_TAKE(driver);
  return IGLOO_OK;
}

igloo_status ig_driver_load(const char *name, const char *const *folders,
                            size_t folders_count, const char *entry,
                            const ig_driver **ret_driver, struct igloo_error *reterr) {
  IG_AUTO_CHAR *path = NULL;
  IG_AUTO_CHAR *library = NULL;
  IG_AUTO_CHAR *said = NULL;
  if (strchr(name, '/'))
    IG_TRY(find_path(name, folders, folders_count, &path, reterr));
  else
    IG_TRY(find_name(name, folders, folders_count, &path, reterr));
  if (ig_str_ends(ig_str_from_cstr(path), IG_STR(".toml")))
    IG_TRY(open_manifest(path, &library, &said, reterr));
  return load_library(library ? library : path, entry ? entry : said, ret_driver, reterr);
}
