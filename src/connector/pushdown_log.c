/* pushdown_log.c -- see pushdown_log.h. A ring of shared entries. */
#include "connector/pushdown_log.h"

#include "base/limits.h"
#include "base/thread.h"
#include "connector/internal.h"

/* An entry and its texts in one piece. */
struct shared {
  atomic_uint refs;
  size_t bytes;
  struct ig_pushdown_entry entry;
};

struct ig_pushdown_log {
  atomic_uint refs;
  pthread_mutex_t mu;                               /* a leaf lock */
  struct shared *ring[IG_PUSHDOWN_LOG_ENTRIES_MAX]; /* guarded by mu, as all below */
  size_t first, count;
  size_t bytes;
};

struct ig_pushdown_list {
  struct shared *items[IG_PUSHDOWN_LOG_ENTRIES_MAX];
  size_t count;
};

static void shared_unref(struct shared *shared) {
  if (atomic_fetch_sub(&shared->refs, 1) == 1) ig_free(shared);
}

ig_pushdown_log *ig_pushdown_log_new(void) {
  ig_pushdown_log *log = ig_calloc(1, sizeof(*log));
  if (!log) return NULL;
  atomic_init(&log->refs, 1);
  ig_mutex_init(&log->mu);
  return log;
}

ig_pushdown_log *ig_pushdown_log_ref(ig_pushdown_log *log) {
  atomic_fetch_add(&log->refs, 1);
  return log;
}

static struct shared *pop_locked(ig_pushdown_log *log) {
  struct shared *oldest = log->ring[log->first];
  log->first = (log->first + 1) % IG_PUSHDOWN_LOG_ENTRIES_MAX;
  log->count--;
  log->bytes -= oldest->bytes;
  return oldest;
}

ig_pushdown_log *ig_pushdown_log_unref(ig_pushdown_log *log) {
  if (!log || atomic_fetch_sub(&log->refs, 1) != 1) return NULL;
  while (log->count) shared_unref(pop_locked(log));
  ig_mutex_done(&log->mu);
  ig_free(log);
  return NULL;
}

/* ---- adding -------------------------------------------------------------------------
 */

/* The texts of an entry, by where they stand in it. */
static const size_t texts[] = {
    offsetof(struct ig_pushdown_entry, source),
    offsetof(struct ig_pushdown_entry, table),
    offsetof(struct ig_pushdown_entry, text),
    offsetof(struct ig_pushdown_entry, decisions),
    offsetof(struct ig_pushdown_entry, snapshot),
    offsetof(struct ig_pushdown_entry, sqlstate),
};

static const char **text_of(struct ig_pushdown_entry *entry, size_t index) {
  return (const char **)((char *)entry + texts[index]);
}

static size_t length_of(const char *text) {
  struct ig_str whole = ig_str_from_cstr(text);
  return ig_utf8_cut(whole, IG_PUSHDOWN_TEXT_BYTES_MAX);
}

static struct shared *copy_entry(const struct ig_pushdown_entry *entry) {
  struct ig_pushdown_entry from = *entry;
  size_t bytes = sizeof(struct shared);
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++)
    bytes += length_of(*text_of(&from, i)) + 1;
  struct shared *shared = ig_malloc(bytes);
  if (!shared) return NULL;
  atomic_init(&shared->refs, 1);
  shared->bytes = bytes;
  shared->entry = from;
  char *at = (char *)(shared + 1);
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    const char *text = *text_of(&from, i);
    size_t len = length_of(text);
    if (len) memcpy(at, text, len);
    at[len] = '\0';
    *text_of(&shared->entry, i) = at;
    at += len + 1;
  }
  return shared;
}

void ig_pushdown_log_add(ig_pushdown_log *log, const struct ig_pushdown_entry *entry) {
  struct shared *added = copy_entry(entry);
  if (!added) return;
  IG_LOCK_SCOPE(&log->mu);
  while (log->count && (log->count == IG_PUSHDOWN_LOG_ENTRIES_MAX ||
                        log->bytes + added->bytes > IG_PUSHDOWN_LOG_BYTES_MAX))
    shared_unref(pop_locked(log));
  log->ring[(log->first + log->count) % IG_PUSHDOWN_LOG_ENTRIES_MAX] = added;
  log->count++;
  log->bytes += added->bytes;
}

/* ---- reading ------------------------------------------------------------------------
 */

igloo_status ig_pushdown_log_list(ig_pushdown_log *log, ig_pushdown_list **ret_list,
                                  struct igloo_error *reterr) {
  ig_pushdown_list *list = ig_calloc(1, sizeof(*list));
  if (!list) return ig_fail_oom(reterr);
  IG_LOCK_SCOPE(&log->mu);
  for (size_t i = 0; i < log->count; i++) {
    struct shared *shared = log->ring[(log->first + i) % IG_PUSHDOWN_LOG_ENTRIES_MAX];
    atomic_fetch_add(&shared->refs, 1);
    list->items[list->count++] = shared;
  }
  *ret_list = list;
  return IGLOO_OK;
}

igloo_status ig_pushdown_list_new(ig_sources *sources, ig_pushdown_list **ret_list,
                                  struct igloo_error *reterr) {
  return ig_pushdown_log_list(ig_sources_peek_log(sources), ret_list, reterr);
}

ig_pushdown_list *ig_pushdown_list_free(ig_pushdown_list *list) {
  if (!list) return NULL;
  for (size_t i = 0; i < list->count; i++) shared_unref(list->items[i]);
  ig_free(list);
  return NULL;
}

size_t ig_pushdown_list_count(const ig_pushdown_list *list) {
  return list->count;
}

const struct ig_pushdown_entry *ig_pushdown_list_get(const ig_pushdown_list *list,
                                                     size_t index) {
  return &list->items[index]->entry;
}
