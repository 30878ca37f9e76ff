/* dialect.c -- see dialect.h. */
#include "connector/dialect.h"

#include <dlfcn.h>
#include <unistd.h>

#include "base/thread.h"
#include "connector/dialect_core.h"

/* More is not a list of databases. */
#define LOADED_MAX 64

static const struct igloo_dialect *const built_in[] = {
    &ig_dialect_postgresql, &ig_dialect_sqlite, &ig_dialect_adbc};

static pthread_mutex_t loaded_mu = PTHREAD_MUTEX_INITIALIZER; /* a leaf lock */
static const struct igloo_dialect *loaded[LOADED_MAX];        /* guarded by loaded_mu */
static size_t loaded_count;                                   /* guarded by loaded_mu */

static const struct igloo_dialect *find_loaded_locked(struct ig_str name) {
  for (size_t i = 0; i < loaded_count; i++)
    if (ig_str_eq_cstr_ci(name, loaded[i]->name)) return loaded[i];
  return NULL;
}

static const struct igloo_dialect *find_built_in(struct ig_str name) {
  for (size_t i = 0; i < IG_ARRAY_LEN(built_in); i++)
    if (ig_str_eq_cstr_ci(name, built_in[i]->name)) return built_in[i];
  return NULL;
}

const struct igloo_dialect *ig_dialect_find(struct ig_str name) {
  const struct igloo_dialect *found = find_built_in(name);
  if (found) return found;
  IG_LOCK_SCOPE(&loaded_mu);
  return find_loaded_locked(name);
}

/* ---- from outside ---------------------------------------------------------------------
 */

/* A TYPE is written as a word. */
static bool is_word(struct ig_str name) {
  for (size_t i = 0; i < name.len; i++)
    if (!ig_ascii_is_alpha(name.data[i]) && !ig_ascii_is_digit(name.data[i]) &&
        name.data[i] != '_')
      return false;
  return name.len > 0 && name.len <= 63;
}

static bool is_whole(const struct igloo_dialect *dialect) {
  return dialect && dialect->abi_version == IGLOO_CONNECTOR_ABI_VERSION &&
         dialect->struct_size >= sizeof(*dialect) &&
         is_word(ig_str_from_cstr(dialect->name)) && dialect->conjunct &&
         dialect->sorts && dialect->select && dialect->split && dialect->identifier &&
         dialect->literal;
}

static igloo_status take_up(const struct igloo_dialect *dialect,
                            struct igloo_error *reterr) {
  struct ig_str name = ig_str_from_cstr(dialect->name);
  IG_LOCK_SCOPE(&loaded_mu);
  const struct igloo_dialect *same = find_loaded_locked(name);
  if (same == dialect) return IGLOO_OK;
  if (same || find_built_in(name))
    return ig_fail_state(reterr, IGLOO_ALREADY_EXISTS, "42710",
                         "there is a dialect \"%s\" already", dialect->name);
  if (loaded_count == LOADED_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "more than %d dialects are loaded", LOADED_MAX);
  loaded[loaded_count++] = dialect;
  return IGLOO_OK;
}

igloo_status ig_dialect_load(const char *path, const struct igloo_dialect **ret_dialect,
                             struct igloo_error *reterr) {
  if (path[0] != '/')
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "58P01",
                         "could not load dialect \"%s\": the path is not absolute", path);
  /* It stays: its functions may be running in any thread. */
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library)
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "58P01",
                         "could not load dialect \"%s\": %s", path, dlerror());
  void *symbol = dlsym(library, IGLOO_DIALECT_INIT);
  if (!symbol)
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "58P01",
                         "could not load dialect \"%s\": it has no %s", path,
                         IGLOO_DIALECT_INIT);
  igloo_dialect_init_function init;
  memcpy(&init, &symbol, sizeof(init)); /* ISO C has no cast between the two */
  const struct igloo_dialect *dialect = init(IGLOO_CONNECTOR_ABI_VERSION);
  if (!is_whole(dialect))
    return ig_fail_state(reterr, IGLOO_UNSUPPORTED, "0A000",
                         "dialect \"%s\" is not one for this version of Igloo", path);
  IG_TRY(take_up(dialect, reterr));
  *ret_dialect = dialect;
  return IGLOO_OK;
}

static igloo_status load_named(struct ig_str name, const char *path,
                               const struct igloo_dialect **ret_dialect,
                               struct igloo_error *reterr) {
  const struct igloo_dialect *loaded_dialect = NULL;
  IG_TRY(ig_dialect_load(path, &loaded_dialect, reterr));
  if (!ig_str_eq_cstr_ci(name, loaded_dialect->name))
    return ig_fail_state(reterr, IGLOO_UNSUPPORTED, "0A000",
                         "dialect \"%s\" calls itself \"%s\"", path,
                         loaded_dialect->name);
  *ret_dialect = loaded_dialect;
  return IGLOO_OK;
}

igloo_status ig_dialect_find_in(struct ig_str name, const char *const *folders,
                                size_t folders_count,
                                const struct igloo_dialect **ret_dialect,
                                struct igloo_error *reterr) {
  const struct igloo_dialect *found = ig_dialect_find(name);
  if (found) {
    *ret_dialect = found;
    return IGLOO_OK;
  }
  for (size_t i = 0; is_word(name) && i < folders_count; i++) {
    IG_AUTO_CHAR *path =
        ig_asprintf("%s/libigloo_dialect_%.*s.so", folders[i], IG_STR_ARG(name));
    if (!path) return ig_fail_oom(reterr);
    if (access(path, F_OK) == 0) return load_named(name, path, ret_dialect, reterr);
  }
  ig_fail_state(reterr, IGLOO_NOT_FOUND, "58P01", "there is no dialect \"%.*s\"",
                IG_STR_ARG(name));
  ig_error_hint(reterr,
                "It is postgresql, sqlite, adbc, or libigloo_dialect_NAME.so in "
                "federation.driver_paths.");
  return IGLOO_NOT_FOUND;
}

/* ---- with our buffers -----------------------------------------------------------------
 */

static void append_to_buf(void *ctx, const char *bytes, size_t length) {
  ig_buf_append(ctx, bytes, length);
}

struct igloo_text ig_dialect_text(struct ig_buf *buf) {
  return (struct igloo_text){buf, append_to_buf};
}

enum igloo_push ig_dialect_conjunct(const struct igloo_dialect *dialect,
                                    const struct igloo_table *table,
                                    const struct igloo_expr *conjunct,
                                    struct ig_buf *where, const char **ret_reason) {
  struct igloo_text text = {where, append_to_buf};
  size_t before = where ? where->len : 0;
  const char *reason = NULL;
  enum igloo_push push =
      dialect->conjunct(table, conjunct, where ? &text : NULL, &reason);
  /* What a dialect from outside answers is held to the contract. */
  if (push != IGLOO_PUSH_EXACT && push != IGLOO_PUSH_INEXACT) push = IGLOO_PUSH_NO;
  if (where && push == IGLOO_PUSH_NO) ig_buf_truncate(where, before);
  if (!reason || !*reason) reason = "the dialect gives no reason";
  *ret_reason = push == IGLOO_PUSH_EXACT ? "" : reason;
  return push;
}
