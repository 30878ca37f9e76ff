/*
 * run.c -- one execution: its places, its links, its snapshot of each source.
 *
 * When the first part is opened, the places for all that was planned are taken at once,
 * source by source in the order in which they were attached: two executions can never
 * hold what the other waits for. Each part then has a link of those; with more parts than
 * links they follow each other. Of several parts the first takes the snapshot, the others
 * join it; its link is a reader as the others are, and stays in its transaction until the
 * run ends.
 */
#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/clock.h"
#include "base/limits.h"
#include "connector/internal.h"

enum snapshot {
  SNAPSHOT_OPEN, /* nothing was decided */
  SNAPSHOT_NONE, /* one statement needs none */
  SNAPSHOT_TAKING,
  SNAPSHOT_TAKEN,
  SNAPSHOT_IMPOSSIBLE, /* the source has none, or the driver cannot */
};

struct ig_run_source {
  ig_source *source; /* shared; fixed */
  uint32_t planned;  /* parts; guarded by the run's mu, as all below */
  uint32_t opened;   /* of them, and others */
  uint32_t places;   /* of the pool */
  uint32_t links;    /* taken from it; at most `places` */
  ig_link **free;    /* of them, with room for `free_cap` */
  size_t free_count, free_cap;
  enum snapshot snapshot;
  char *name;                 /* of the snapshot; set once */
  ig_link *holder;            /* whose transaction took it; NULL: another process's */
  struct ig_run_source *next; /* in order of the sources */
};

struct ig_remote_run {
  atomic_uint refs;
  ig_sources *sources; /* shared */
  ig_cancel *cancel;   /* shared; NULL: none */
  struct ig_remote_settings settings;

  pthread_mutex_t mu;
  pthread_cond_t changed;
  struct ig_run_source *slots; /* guarded by mu, as all below */
  bool reserving, reserved;

  ig_remote_run *next_offered; /* guarded by the sources', as the next two */
  bool is_offered;
  uint8_t offer[IG_RUN_OFFER_BYTES];
};

igloo_status ig_remote_run_new(ig_sources *sources, ig_cancel *cancel,
                               const struct ig_remote_settings *settings,
                               ig_remote_run **ret_run, struct igloo_error *reterr) {
  ig_remote_run *run = ig_calloc(1, sizeof(*run));
  if (!run) return ig_fail_oom(reterr);
  atomic_init(&run->refs, 1);
  ig_mutex_init(&run->mu);
  ig_cond_init(&run->changed);
  run->sources = ig_sources_ref(sources);
  run->cancel = cancel ? ig_cancel_ref(cancel) : NULL;
  run->settings = *settings;
  *ret_run = run;
  return IGLOO_OK;
}

ig_remote_run *ig_remote_run_ref(ig_remote_run *run) {
  atomic_fetch_add(&run->refs, 1);
  return run;
}

const struct ig_remote_settings *ig_run_settings(const ig_remote_run *run) {
  return &run->settings;
}

ig_cancel *ig_run_peek_cancel(ig_remote_run *run) {
  return run->cancel;
}

ig_sources *ig_run_peek_sources(ig_remote_run *run) {
  return run->sources;
}

ig_source *ig_run_peek_source(struct ig_run_source *slot) {
  return slot->source;
}

/* ---- planning -------------------------------------------------------------------------
 */

static igloo_status find_slot_locked(ig_remote_run *run, ig_source *source,
                                     struct ig_run_source **ret_slot,
                                     struct igloo_error *reterr) {
  struct ig_run_source **at = &run->slots;
  while (*at && (*at)->source->order < source->order) at = &(*at)->next;
  if (!*at || (*at)->source != source) {
    struct ig_run_source *slot = ig_calloc(1, sizeof(*slot));
    if (!slot) return ig_fail_oom(reterr);
    slot->source = ig_source_ref(source);
    slot->next = *at;
    *at = slot;
  }
  *ret_slot = *at;
  return IGLOO_OK;
}

struct ig_run_source *ig_run_find(ig_remote_run *run, struct ig_str name,
                                  int64_t version) {
  IG_LOCK_SCOPE(&run->mu);
  for (struct ig_run_source *slot = run->slots; slot; slot = slot->next)
    if (slot->source->version == version && ig_str_eq_cstr(name, slot->source->name))
      return slot;
  return NULL;
}

igloo_status ig_run_plan(ig_remote_run *run, ig_source *source, uint32_t parts,
                         struct ig_run_source **ret_slot, struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&run->mu);
  while (run->reserving) /* who reserves reads the slots without the lock */
    (void)ig_cond_wait_until(&run->changed, &run->mu, IG_NEVER_US);
  IG_TRY(find_slot_locked(run, source, ret_slot, reterr));
  (*ret_slot)->planned += parts;
  return IGLOO_OK;
}

void ig_run_unplan(ig_remote_run *run, struct ig_run_source *slot, uint32_t parts) {
  IG_LOCK_SCOPE(&run->mu);
  if (!run->reserved && !run->reserving) slot->planned -= parts;
}

bool ig_source_has_snapshots(const ig_source *source) {
  return source->dialect->snapshot_begin && source->dialect->snapshot_join;
}

const char *ig_run_snapshot(ig_remote_run *run, struct ig_run_source *slot) {
  IG_LOCK_SCOPE(&run->mu);
  if (slot->name) return slot->name;
  if (slot->planned <= 1) return "";
  if (slot->snapshot == SNAPSHOT_IMPOSSIBLE || !ig_source_has_snapshots(slot->source))
    return "not atomic";
  return "at execution";
}

/* ---- places ---------------------------------------------------------------------------
 */

static igloo_status reserve_slots(struct ig_run_source *slots,
                                  const struct ig_waits *waits,
                                  struct igloo_error *reterr) {
  for (struct ig_run_source *slot = slots; slot; slot = slot->next) {
    uint32_t most = ig_links_readers_max(slot->source->pool);
    uint32_t count = slot->planned < most ? slot->planned : most;
    if (count == 0) continue;
    IG_TRY(ig_links_reserve(slot->source->pool, IG_PLACE_READ, count, waits, reterr));
    slot->places = count;
  }
  return IGLOO_OK;
}

static void give_up_slots(struct ig_run_source *slots) {
  for (struct ig_run_source *slot = slots; slot; slot = slot->next) {
    if (slot->places) ig_links_unreserve(slot->source->pool, IG_PLACE_READ, slot->places);
    slot->places = 0;
  }
}

/* Become the one who reserves; false: there is nothing to reserve, or `waits` say stop.
 */
static bool begin_reserving(ig_remote_run *run, const struct ig_run_source *slot,
                            const struct ig_waits *waits, bool *ret_late,
                            igloo_status *ret_status, struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&run->mu);
  while (run->reserving) {
    *ret_status = ig_waits_check(waits, reterr);
    if (*ret_status != IGLOO_OK) return false;
    (void)ig_cond_wait_until(&run->changed, &run->mu, ig_now_us() + IG_CONNECTOR_POLL_US);
  }
  *ret_late = run->reserved || slot->planned == 0;
  if (run->reserved && slot->places > 0) return false;
  run->reserving = true;
  return true;
}

/* Places for everything, by one thread; the others wait for it. While `reserving` is set
 * nobody else looks at the slots that have no place yet. A part that nobody planned (its
 * bytes came from elsewhere), or that comes when all that were planned are gone, gets a
 * place of its own. */
static igloo_status reserve_all(ig_remote_run *run, struct ig_run_source *slot,
                                const struct ig_waits *waits,
                                struct igloo_error *reterr) {
  igloo_status status = IGLOO_OK;
  bool late = false;
  if (!begin_reserving(run, slot, waits, &late, &status, reterr)) return status;
  if (late) {
    status = ig_links_reserve(slot->source->pool, IG_PLACE_READ, 1, waits, reterr);
  } else {
    status = reserve_slots(run->slots, waits, reterr);
    if (status != IGLOO_OK) give_up_slots(run->slots);
  }
  IG_LOCK_SCOPE(&run->mu);
  if (late && status == IGLOO_OK) slot->places++;
  run->reserving = false;
  run->reserved = run->reserved || (!late && status == IGLOO_OK);
  ig_cond_broadcast(&run->changed);
  return status;
}

/* ---- snapshots ------------------------------------------------------------------------
 */

struct snapshot_call {
  struct ig_call call;
  char *text; /* owned: to join; NULL: to take one */
  const char *begin;
  char *name; /* the result of taking */
};

static void snapshot_call_free(struct ig_call *call) {
  struct snapshot_call *self = (struct snapshot_call *)call;
  ig_free(self->text);
  ig_free(self->name);
}

static igloo_status fail_name(ig_link *link, struct igloo_error *reterr) {
  return ig_fail(reterr, IGLOO_UNSUPPORTED, "source \"%s\" gave no name of its snapshot",
                 ig_link_target(link)->source);
}

/* The text in the first column of the first row. */
static igloo_status read_name(ig_link *link, struct ArrowArrayStream *stream,
                              char **ret_name, struct igloo_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_ARRAY batch = {0};
  int code = stream->get_schema(stream, &schema);
  if (!code) code = stream->get_next(stream, &batch);
  if (code) return ig_link_fail_stream(link, code, stream, reterr);
  struct ArrowArrayView view = {0};
  ArrowArrayViewInitFromType(&view, NANOARROW_TYPE_UNINITIALIZED);
  igloo_status status = IGLOO_OK;
  if (!batch.release || batch.length < 1 || schema.n_children < 1 ||
      ArrowArrayViewInitFromSchema(&view, &schema, NULL) ||
      ArrowArrayViewSetArray(&view, &batch, NULL) ||
      view.children[0]->storage_type != NANOARROW_TYPE_STRING ||
      ArrowArrayViewIsNull(view.children[0], 0)) {
    status = fail_name(link, reterr);
  } else {
    struct ArrowStringView name = ArrowArrayViewGetStringUnsafe(view.children[0], 0);
    *ret_name = ig_strndup(name.data, (size_t)name.size_bytes);
    if (!*ret_name) status = ig_fail_oom(reterr);
  }
  ArrowArrayViewReset(&view);
  return status;
}

static igloo_status take_name(ig_link *link, const char *text, char **ret_name,
                              struct igloo_error *reterr) {
  struct ArrowArrayStream *stream = ig_link_stream(link);
  struct AdbcStatement *statement = NULL;
  struct AdbcError error = ADBC_ERROR_INIT;
  igloo_status status = ig_link_statement_begin(link, text, &statement, reterr);
  if (status == IGLOO_OK)
    status = ig_link_fail(
        link,
        ig_link_driver(link)->StatementExecuteQuery(statement, stream, NULL, &error),
        &error, reterr);
  if (status == IGLOO_OK) status = read_name(link, stream, ret_name, reterr);
  ig_link_statement_end(link, false);
  return status;
}

static igloo_status run_snapshot(ig_link *link, struct ig_call *call,
                                 struct igloo_error *reterr) {
  struct snapshot_call *self = (struct snapshot_call *)call;
  IG_TRY(ig_link_begin_reading(link, true, reterr));
  if (self->text)
    IG_TRY(ig_link_run_text(link, self->text, reterr));
  else
    IG_TRY(take_name(link, self->begin, &self->name, reterr));
  return ig_link_run_text(link, "SAVEPOINT " IG_RUN_SAVEPOINT, reterr);
}

static igloo_status join_text(const struct igloo_dialect *dialect, const char *name,
                              char **ret_text, struct igloo_error *reterr) {
  struct ig_str form = ig_str_from_cstr(dialect->snapshot_join), before, after;
  size_t at = ig_str_find(form, IG_STR("%s"));
  if (at == IG_STR_NONE)
    return ig_fail(reterr, IGLOO_INTERNAL, "dialect \"%s\" joins no snapshot",
                   dialect->name);
  before = ig_str_sub(form, 0, at);
  after = ig_str_sub(form, at + 2, form.len);
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_DIALECT_TEXT_MAX);
  struct igloo_text out = ig_dialect_text(&text);
  ig_buf_append_str(&text, before);
  dialect->literal(name, &out);
  ig_buf_append_str(&text, after);
  return ig_buf_steal(&text, ret_text, reterr);
}

/* Take one (NULL `name`), or join that of this name. Gives *ret_name when taking. */
static igloo_status call_snapshot(ig_source *source, ig_link *link, const char *name,
                                  const struct ig_waits *waits, char **ret_name,
                                  struct igloo_error *reterr) {
  struct snapshot_call *call =
      ig_call_new(sizeof(*call), run_snapshot, snapshot_call_free);
  if (!call) return ig_fail_oom(reterr);
  call->begin = source->dialect->snapshot_begin;
  igloo_status status =
      name ? join_text(source->dialect, name, &call->text, reterr) : IGLOO_OK;
  if (status == IGLOO_OK) status = ig_link_call(link, &call->call, waits, reterr);
  if (status == IGLOO_OK && !name) *ret_name = IG_TAKE(call->name);
  ig_call_unref(call);
  return status;
}

static igloo_status run_leave(ig_link *link, struct ig_call *call IG_UNUSED,
                              struct igloo_error *reterr) {
  return ig_link_end_reading(link, reterr);
}

/* ---- links ------------------------------------------------------------------------ */

static void put_back(void *ctx, ig_link *link, igloo_status status) {
  ig_links *pool = ctx;
  ig_links_give(pool, link, status);
  ig_links_unreserve(pool, IG_PLACE_READ, 1);
  ig_links_unref(pool);
}

/* Give a link and its place back to the pool, out of the snapshot. Without the lock. */
static void release_link(struct ig_run_source *slot, ig_link *link, bool in_snapshot) {
  ig_links *pool = ig_links_ref(slot->source->pool);
  struct ig_call *call = in_snapshot ? ig_call_new(sizeof(*call), run_leave, NULL) : NULL;
  if (call)
    ig_link_post(link, call, put_back, pool);
  else
    put_back(pool, link, in_snapshot ? IGLOO_OUT_OF_MEMORY : IGLOO_OK);
}

/* Links and places that no part will use any more, out of the slot; at most one link a
 * call. True: call again. Parts may be opened again until the run ends (a recursive query
 * does), and then read the same snapshot: its holder stays. */
static bool release_surplus(ig_remote_run *run, struct ig_run_source *slot, bool all) {
  ig_mutex_lock(&run->mu);
  uint32_t left = !all && slot->planned > slot->opened ? slot->planned - slot->opened : 0;
  bool in_snapshot = slot->snapshot == SNAPSHOT_TAKEN;
  uint32_t kept = left == 0 && in_snapshot && !all ? 1 : left;
  ig_link *link = NULL;
  uint32_t places = 0;
  if (slot->free_count > kept) {
    size_t at = slot->free_count - 1;
    if (slot->free[at] == slot->holder && at > 0) at--;
    link = slot->free[at];
    slot->free[at] = slot->free[--slot->free_count];
    slot->links--;
    slot->places--;
    if (link == slot->holder) slot->holder = NULL;
  } else if (left == 0 && slot->places > slot->links) {
    places = slot->places - slot->links;
    slot->places = slot->links;
  }
  ig_mutex_unlock(&run->mu);
  if (link) release_link(slot, link, in_snapshot);
  if (places) ig_links_unreserve(slot->source->pool, IG_PLACE_READ, places);
  return link != NULL;
}

ig_remote_run *ig_remote_run_unref(ig_remote_run *run) {
  if (!run || atomic_fetch_sub(&run->refs, 1) != 1) return NULL;
  ig_sources_withdraw(run->sources, run);
  while (run->slots) {
    struct ig_run_source *slot = run->slots;
    while (release_surplus(run, slot, true)) {
    }
    run->slots = slot->next;
    ig_source_unref(slot->source);
    ig_free(slot->free);
    ig_free(slot->name);
    ig_free(slot);
  }
  ig_sources_unref(run->sources);
  ig_cancel_unref(run->cancel);
  ig_cond_done(&run->changed);
  ig_mutex_done(&run->mu);
  ig_free(run);
  return NULL;
}

static void drop_link(ig_remote_run *run, struct ig_run_source *slot, ig_link *link,
                      igloo_status status) {
  ig_mutex_lock(&run->mu);
  slot->links--;
  if (slot->holder == link) slot->holder = NULL;
  ig_cond_broadcast(&run->changed);
  ig_mutex_unlock(&run->mu);
  ig_links_give(slot->source->pool, link, status);
}

void ig_run_give(ig_remote_run *run, struct ig_run_source *slot, ig_link *link,
                 igloo_status status) {
  if (status != IGLOO_OK) {
    drop_link(run, slot, link, status);
  } else {
    ig_mutex_lock(&run->mu);
    slot->free[slot->free_count++] = link; /* room for all links was made */
    ig_cond_broadcast(&run->changed);
    ig_mutex_unlock(&run->mu);
  }
  while (release_surplus(run, slot, false)) {
  }
}

void ig_run_opened(ig_remote_run *run, struct ig_run_source *slot) {
  ig_mutex_lock(&run->mu);
  slot->opened++;
  ig_mutex_unlock(&run->mu);
  while (release_surplus(run, slot, false)) {
  }
}

bool ig_run_may_retry(ig_remote_run *run, struct ig_run_source *slot) {
  IG_LOCK_SCOPE(&run->mu);
  return slot->snapshot == SNAPSHOT_TAKEN || slot->planned <= 1;
}

/* Wait for a free link or a place for a new one. *ret_link is NULL for the latter: the
 * caller owes a link to the slot. *ret_lost: there are no places any more. */
static igloo_status get_place(ig_remote_run *run, struct ig_run_source *slot,
                              const struct ig_waits *waits, ig_link **ret_link,
                              bool *ret_lost, struct igloo_error *reterr) {
  int64_t until = ig_deadline_in(IG_CONNECTOR_WAIT_US);
  IG_LOCK_SCOPE(&run->mu);
  IG_TRY(IG_RESERVE(slot->free, slot->free_cap, slot->places,
                    IG_CONNECTOR_CONNECTIONS_LIMIT, "connections", reterr));
  for (;;) {
    if (slot->free_count > 0) {
      *ret_link = slot->free[--slot->free_count];
      return IGLOO_OK;
    }
    if (slot->links < slot->places) {
      slot->links++;
      *ret_link = NULL;
      return IGLOO_OK;
    }
    *ret_lost = slot->places == 0;
    if (*ret_lost) return IGLOO_OK;
    IG_TRY(ig_waits_check(waits, reterr));
    int64_t now = ig_now_us();
    if (now >= until) {
      ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53300",
                    "the query needs more than %u connections to source \"%s\" at once",
                    slot->places, slot->source->name);
      ig_error_hint(reterr, "Raise federation.max_connections.");
      return IGLOO_RESOURCE_EXHAUSTED;
    }
    (void)ig_cond_wait_until(&run->changed, &run->mu, now + IG_CONNECTOR_POLL_US);
  }
}

/* Decide once whether there is a snapshot; TAKING: the caller is to take it. */
static igloo_status decide_snapshot(ig_remote_run *run, struct ig_run_source *slot,
                                    struct ig_str given, const struct ig_waits *waits,
                                    enum snapshot *ret_snapshot,
                                    struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&run->mu);
  while (slot->snapshot == SNAPSHOT_TAKING) {
    IG_TRY(ig_waits_check(waits, reterr));
    (void)ig_cond_wait_until(&run->changed, &run->mu, ig_now_us() + IG_CONNECTOR_POLL_US);
  }
  if (slot->snapshot != SNAPSHOT_OPEN) {
    /* as it was decided */
  } else if (!ig_source_has_snapshots(slot->source)) {
    slot->snapshot = SNAPSHOT_IMPOSSIBLE;
  } else if (given.len) {
    slot->name = ig_str_dup(given);
    if (!slot->name) return ig_fail_oom(reterr);
    slot->snapshot = SNAPSHOT_TAKEN;
  } else if (slot->planned <= 1) {
    slot->snapshot = SNAPSHOT_NONE;
  } else {
    slot->snapshot = SNAPSHOT_TAKING;
  }
  *ret_snapshot = slot->snapshot;
  return IGLOO_OK;
}

/* True where the source turns out to have none. */
static bool note_snapshot(ig_remote_run *run, struct ig_run_source *slot, ig_link *link,
                          igloo_status status, char *name) {
  IG_LOCK_SCOPE(&run->mu);
  bool cannot = status == IGLOO_UNSUPPORTED || status == IGLOO_INVALID_ARGUMENT;
  slot->snapshot = status == IGLOO_OK ? SNAPSHOT_TAKEN
                   : cannot           ? SNAPSHOT_IMPOSSIBLE
                                      : SNAPSHOT_OPEN;
  if (status == IGLOO_OK) {
    slot->name = name;
    slot->holder = link;
  }
  ig_cond_broadcast(&run->changed);
  return cannot;
}

/* Bring a new link into the run's snapshot. *ret_again: it is of no use, and another may
 * do better. */
static igloo_status enter_snapshot(ig_remote_run *run, struct ig_run_source *slot,
                                   struct ig_str given, ig_link *link,
                                   const struct ig_waits *waits, bool *ret_again,
                                   struct igloo_error *reterr) {
  enum snapshot snapshot = SNAPSHOT_NONE;
  bool fresh = ig_link_is_fresh(link);
  IG_TRY(decide_snapshot(run, slot, given, waits, &snapshot, reterr));
  if (snapshot != SNAPSHOT_TAKING && snapshot != SNAPSHOT_TAKEN) return IGLOO_OK;
  bool take = snapshot == SNAPSHOT_TAKING;
  char *name = NULL;
  igloo_status status =
      call_snapshot(slot->source, link, take ? NULL : slot->name, waits, &name, reterr);
  *ret_again = status == IGLOO_UNAVAILABLE && !fresh;
  if (take && note_snapshot(run, slot, link, status, name)) *ret_again = true;
  return status;
}

static igloo_status take_once(ig_remote_run *run, struct ig_run_source *slot,
                              struct ig_str snapshot, const struct ig_waits *waits,
                              ig_link **ret_link, bool *ret_again,
                              struct igloo_error *reterr) {
  ig_link *link = NULL;
  *ret_again = false;
  for (bool lost = true; lost;) {
    lost = false;
    IG_TRY(reserve_all(run, slot, waits, reterr));
    IG_TRY(get_place(run, slot, waits, &link, &lost, reterr));
  }
  if (link) {
    *ret_link = link;
    return IGLOO_OK;
  }
  igloo_status status = ig_links_take(slot->source->pool, waits, &link, reterr);
  if (status == IGLOO_OK)
    status = enter_snapshot(run, slot, snapshot, link, waits, ret_again, reterr);
  if (status == IGLOO_OK)
    *ret_link = link;
  else
    drop_link(run, slot, link, status);
  return status;
}

igloo_status ig_run_take(ig_remote_run *run, struct ig_run_source *slot,
                         struct ig_str snapshot, const struct ig_waits *waits,
                         ig_link **ret_link, struct igloo_error *reterr) {
  bool again = false;
  igloo_status status = take_once(run, slot, snapshot, waits, ret_link, &again, reterr);
  if (status != IGLOO_OK && again)
    status = take_once(run, slot, snapshot, waits, ret_link, &again, reterr);
  return status;
}

bool ig_run_in_snapshot(ig_remote_run *run, struct ig_run_source *slot) {
  IG_LOCK_SCOPE(&run->mu);
  return slot->snapshot == SNAPSHOT_TAKEN;
}

/* ---- parts that other processes read ----------------------------------------------- */

/* What a run offers is found by its id for as long as somebody has the run: who looks for
 * it takes no reference of one that is just ending. */
static bool try_ref(ig_remote_run *run) {
  unsigned refs = atomic_load(&run->refs);
  while (refs > 0)
    if (atomic_compare_exchange_weak(&run->refs, &refs, refs + 1)) return true;
  return false;
}

ig_remote_run **ig_run_next_offered(ig_remote_run *run) {
  return &run->next_offered;
}

bool ig_run_begin_offer(ig_remote_run *run, const uint8_t id[IG_RUN_OFFER_BYTES]) {
  bool is_new = !run->is_offered;
  run->is_offered = true;
  memcpy(run->offer, id, sizeof(run->offer));
  return is_new;
}

bool ig_run_is_offer(ig_remote_run *run, const uint8_t id[IG_RUN_OFFER_BYTES]) {
  return memcmp(run->offer, id, sizeof(run->offer)) == 0 && try_ref(run);
}

/* The first source after `before` (NULL: of all) that is read in several parts; NULL:
 * none.
 */
static struct ig_run_source *find_several(ig_remote_run *run,
                                          const struct ig_run_source *before) {
  IG_LOCK_SCOPE(&run->mu);
  struct ig_run_source *slot = before ? before->next : run->slots;
  while (slot && (slot->planned < 2 || !ig_source_has_snapshots(slot->source)))
    slot = slot->next;
  return slot;
}

/* The link that takes it stays with the run: a part that is opened here reads by it. */
static igloo_status take_snapshot(ig_remote_run *run, struct ig_run_source *slot,
                                  struct igloo_error *reterr) {
  struct ig_waits waits = {.cancel = run->cancel, .deadline_us = IG_NEVER_US};
  ig_link *link = NULL;
  {
    IG_LOCK_SCOPE(&run->mu);
    if (slot->snapshot == SNAPSHOT_TAKEN || slot->snapshot == SNAPSHOT_IMPOSSIBLE)
      return IGLOO_OK;
  }
  IG_TRY(ig_run_take(run, slot, IG_STR(""), &waits, &link, reterr));
  ig_run_give(run, slot, link, IGLOO_OK);
  return IGLOO_OK;
}

igloo_status ig_remote_run_offer(ig_remote_run *run, const uint8_t id[IG_RUN_OFFER_BYTES],
                                 struct igloo_error *reterr) {
  struct ig_run_source *slot = find_several(run, NULL);
  while (slot) {
    IG_TRY(take_snapshot(run, slot, reterr));
    slot = find_several(run, slot);
  }
  ig_sources_offer(run->sources, run, id);
  return IGLOO_OK;
}

/* A place of the slot that has no link; false: there is none. */
static bool take_spare(ig_remote_run *run, struct ig_run_source *slot) {
  IG_LOCK_SCOPE(&run->mu);
  if (slot->places <= slot->links) return false;
  slot->places--;
  return true;
}

igloo_status ig_run_lend(ig_remote_run *run, struct ig_run_source *slot,
                         const struct ig_waits *waits, char **ret_snapshot,
                         struct igloo_error *reterr) {
  ig_links *pool = slot->source->pool;
  IG_AUTO_CHAR *snapshot = NULL;
  {
    IG_LOCK_SCOPE(&run->mu);
    snapshot = ig_strdup(slot->name ? slot->name : "");
  }
  if (!snapshot) return ig_fail_oom(reterr);
  /* Only a part that is read again finds none. */
  if (!take_spare(run, slot))
    IG_TRY(ig_links_reserve(pool, IG_PLACE_READ, 1, waits, reterr));
  igloo_status status = ig_links_lend(pool, waits, reterr);
  if (status != IGLOO_OK) ig_links_unreserve(pool, IG_PLACE_READ, 1);
  ig_run_opened(run, slot);
  if (status == IGLOO_OK) *ret_snapshot = IG_TAKE(snapshot);
  return status;
}
