/* plans.c -- see plans.h. Lists by hash of session and text, and one list by use.
 *
 * Many sessions ask the same text at the same time. To find a plan therefore touches no
 * other one: it is marked as used, and put before the others only when a place is needed.
 */
#include "session/plans.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/thread.h"

#define LISTS 256 /* a plan or so in each */
static_assert(LISTS >= IG_PLANS_KEPT_MAX, "lists stay short");

struct kept {
  struct kept *next, **link; /* of its list */
  struct kept *newer, *older;
  bool is_used;              /* since it was put before the others */
  const ig_session *session; /* borrowed: it forgets its plans before it ends */
  ig_session_state *state;
  ig_snapshot *snapshot;
  ig_plan *plan;             /* NULL: one is wanted */
  ig_remote_table **remotes; /* one reference to each */
  size_t remotes_count;
  uint64_t own;
  int64_t user_id;
  bool superuser;
  size_t sql_len;
  char sql[];
};

struct ig_plans {
  uint64_t changes;          /* atomic; written with mu held */
  pthread_mutex_t mu;        /* under it only a source's is taken */
  struct kept *lists[LISTS]; /* guarded by mu */
  struct kept *first, *last; /* guarded by mu: as they were put there */
  uint32_t count;            /* guarded by mu, <= IG_PLANS_KEPT_MAX */
};

igloo_status ig_plans_new(ig_plans **ret_plans, struct igloo_error *reterr) {
  ig_plans *plans = ig_calloc(1, sizeof(*plans));
  if (!plans) return ig_fail_oom(reterr);
  ig_mutex_init(&plans->mu);
  *ret_plans = plans;
  return IGLOO_OK;
}

ig_plans *ig_plans_free(ig_plans *plans) {
  if (!plans) return NULL;
  ig_plans_forget(plans, NULL);
  ig_mutex_done(&plans->mu);
  ig_free(plans);
  return NULL;
}

uint64_t ig_plans_changes(const ig_plans *plans) {
  /* Pairs with the release of forget: who reads the new number sees the new snapshot. */
  return __atomic_load_n(&plans->changes, __ATOMIC_ACQUIRE);
}

/* ---- lists ------------------------------------------------------------------------- */

static void free_kept(struct kept *kept) {
  (void)ig_plan_unref(kept->plan);
  for (size_t i = 0; i < kept->remotes_count; i++)
    (void)ig_remote_table_unref(kept->remotes[i]);
  ig_free(kept->remotes);
  (void)ig_snapshot_unref(kept->snapshot);
  (void)ig_session_state_unref(kept->state);
  ig_free(kept);
}

/* Without mu: what a plan holds may have files to remove. */
static void free_list(struct kept *list) {
  while (list) {
    struct kept *kept = list;
    list = kept->next;
    free_kept(kept);
  }
}

static struct kept **list_locked(ig_plans *plans, const struct ig_plan_basis *basis) {
  /* The upper bits of the product depend on all bits of the address. */
  uint64_t session = (uintptr_t)basis->session * UINT64_C(0x9e3779b97f4a7c15) >> 32;
  return &plans->lists[(ig_hash(basis->sql) ^ session) % LISTS];
}

static void leave_uses_locked(ig_plans *plans, struct kept *kept) {
  *(kept->newer ? &kept->newer->older : &plans->first) = kept->older;
  *(kept->older ? &kept->older->newer : &plans->last) = kept->newer;
}

static void enter_uses_locked(ig_plans *plans, struct kept *kept) {
  kept->newer = NULL;
  kept->older = plans->first;
  *(kept->older ? &kept->older->newer : &plans->last) = kept;
  plans->first = kept;
}

/* Out of its lists and into *dropped, to be freed later. */
static void drop_locked(ig_plans *plans, struct kept *kept, struct kept **dropped) {
  leave_uses_locked(plans, kept);
  *kept->link = kept->next;
  if (kept->next) kept->next->link = kept->link;
  plans->count--;
  kept->next = *dropped;
  *dropped = kept;
}

/* The one that was not used for long. */
static void drop_oldest_locked(ig_plans *plans, struct kept **dropped) {
  while (plans->last->is_used) {
    struct kept *kept = plans->last;
    kept->is_used = false;
    leave_uses_locked(plans, kept);
    enter_uses_locked(plans, kept);
  }
  drop_locked(plans, plans->last, dropped);
}

static struct kept *find_locked(ig_plans *plans, const struct ig_plan_basis *basis) {
  struct kept *kept = *list_locked(plans, basis);
  while (kept && !(kept->session == basis->session &&
                   ig_str_eq(ig_str_make(kept->sql, kept->sql_len), basis->sql)))
    kept = kept->next;
  return kept;
}

/* ---- finding and keeping ----------------------------------------------------------- */

static bool is_as_before(const struct kept *kept, const struct ig_plan_basis *basis) {
  for (size_t i = 0; i < kept->remotes_count; i++)
    if (!ig_remote_table_is_current(kept->remotes[i])) return false;
  /* What is held cannot have become another at the same address. */
  return kept->state == basis->state && kept->snapshot == basis->snapshot &&
         kept->own == basis->own && kept->user_id == basis->user_id &&
         kept->superuser == basis->superuser;
}

ig_plan *ig_plans_find(ig_plans *plans, const struct ig_plan_basis *basis,
                       bool *ret_is_wanted) {
  if (ret_is_wanted) *ret_is_wanted = false;
  IG_LOCK_SCOPE(&plans->mu);
  struct kept *kept = find_locked(plans, basis);
  if (!kept || !is_as_before(kept, basis)) return NULL;
  kept->is_used = true;
  if (ret_is_wanted) *ret_is_wanted = !kept->plan;
  return kept->plan ? ig_plan_ref(kept->plan) : NULL;
}

static struct kept *new_kept(const struct ig_plan_basis *basis,
                             const ig_resolver *resolver, ig_plan *plan) {
  size_t count;
  ig_remote_table *const *remotes = ig_resolver_peek_remotes(resolver, &count);
  struct kept *kept = ig_calloc(1, sizeof(*kept) + basis->sql.len);
  if (!kept) return NULL;
  kept->remotes = ig_calloc(count + 1, sizeof(ig_remote_table *));
  if (!kept->remotes) {
    ig_free(kept);
    return NULL;
  }
  for (size_t i = 0; i < count; i++) kept->remotes[i] = ig_remote_table_ref(remotes[i]);
  kept->remotes_count = count;
  kept->session = basis->session;
  (void)__atomic_add_fetch(&basis->state->refs, 1, __ATOMIC_RELAXED);
  kept->state = basis->state;
  kept->snapshot = ig_snapshot_ref(basis->snapshot);
  kept->plan = plan ? ig_plan_ref(plan) : NULL;
  kept->own = basis->own;
  kept->user_id = basis->user_id;
  kept->superuser = basis->superuser;
  kept->sql_len = basis->sql.len;
  memcpy(kept->sql, basis->sql.data, basis->sql.len);
  return kept;
}

igloo_status ig_plans_keep(ig_plans *plans, const struct ig_plan_basis *basis,
                           const ig_resolver *resolver, ig_plan *plan,
                           struct igloo_error *reterr) {
  if (basis->sql.len > IG_PLANS_KEPT_SQL_BYTES_MAX) return IGLOO_OK;
  struct kept *kept = new_kept(basis, resolver, plan), *dropped = NULL;
  if (!kept) return ig_fail_oom(reterr);
  ig_mutex_lock(&plans->mu);
  if (plans->changes == basis->changes) {
    struct kept *before = find_locked(plans, basis);
    if (before) drop_locked(plans, before, &dropped);
    if (plans->count == IG_PLANS_KEPT_MAX) drop_oldest_locked(plans, &dropped);
    struct kept **list = list_locked(plans, basis);
    kept->next = *list;
    if (kept->next) kept->next->link = &kept->next;
    kept->link = list;
    *list = kept;
    enter_uses_locked(plans, kept);
    plans->count++;
  } else {
    dropped = kept;
  }
  ig_mutex_unlock(&plans->mu);
  free_list(dropped);
  return IGLOO_OK;
}

void ig_plans_forget(ig_plans *plans, const ig_session *session) {
  struct kept *dropped = NULL;
  ig_mutex_lock(&plans->mu);
  if (!session) (void)__atomic_add_fetch(&plans->changes, 1, __ATOMIC_RELEASE);
  for (struct kept *kept = plans->first, *older; kept; kept = older) {
    older = kept->older;
    if (!session || kept->session == session) drop_locked(plans, kept, &dropped);
  }
  ig_mutex_unlock(&plans->mu);
  free_list(dropped);
}
