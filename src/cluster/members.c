/* members.c -- see members.h. Entries behind one mutex, the list behind another. */
#include "cluster/members.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"

/* Texts of an entry, in one piece of memory. */
enum { NODE, ID, ADDRESS, UNIX_PATH, HOST, BUILD, TEXTS };

struct entry {
  char *texts[TEXTS]; /* texts[0] is owned, the others lie behind it */
  uint32_t plan_version, threads, processors;
  uint64_t memory_bytes;
  enum ig_member_role role;
  enum ig_member_state state;
  bool is_self;
  bool shall_drain;   /* an operator wishes it */
  bool tell_lost;     /* the listeners do not know yet */
  bool replaced;      /* dead, because its node came back */
  const char *reason; /* static: why it is not active; NULL: no reason */
  int64_t joined_us, seen_us, dead_us;
  struct ig_member_figures figures;
};

struct ig_members {
  enum ig_member_role role;
  int64_t heartbeat_us;

  pthread_mutex_t mu;
  struct entry *entries; /* guarded by mu; ordered: the coordinator, then by id */
  size_t count, cap;     /* guarded by mu */
  bool list_is_old;      /* guarded by mu: there was no memory for a new one */
  uint64_t version;      /* guarded by mu */
  char self_id[IG_MEMBER_ID_BYTES]; /* guarded by mu */

  pthread_mutex_t list_mu;     /* a leaf lock */
  struct ig_member_list *list; /* guarded by list_mu */

  struct ig_member_listener listeners[IG_MEMBER_LISTENERS_MAX];
  size_t listeners_count; /* before there are other threads */
};

const char *ig_member_state_name(enum ig_member_state state) {
  static const char *const names[] = {[IG_MEMBER_JOINING] = "joining",
                                      [IG_MEMBER_ACTIVE] = "active",
                                      [IG_MEMBER_SUSPECT] = "suspect",
                                      [IG_MEMBER_DRAINING] = "draining",
                                      [IG_MEMBER_DEAD] = "dead"};
  IG_ASSERT((size_t)state < IG_ARRAY_LEN(names));
  return names[state];
}

igloo_status ig_member_fail_lost(struct igloo_error *reterr, const char *id,
                                 const char *reason) {
  (void)ig_fail(reterr, IGLOO_UNAVAILABLE, "worker \"%s\" was lost", id);
  if (reason) ig_error_detail(reterr, "%s", reason);
  ig_error_hint(reterr,
                "Run the statement again: it is given to the members that are left.");
  return IGLOO_UNAVAILABLE;
}

/* ---- entries ----------------------------------------------------------------------- */

static void entry_done(struct entry *entry) {
  ig_free(entry->texts[0]);
}

static igloo_status entry_init(struct entry *entry, const struct ig_member_info *info,
                               struct igloo_error *reterr) {
  const struct ig_str texts[TEXTS] = {
      [NODE] = info->node,           [ID] = info->id,     [ADDRESS] = info->address,
      [UNIX_PATH] = info->unix_path, [HOST] = info->host, [BUILD] = info->build};
  size_t bytes = TEXTS;
  for (size_t i = 0; i < TEXTS; i++) bytes += texts[i].len;
  char *at = ig_malloc(bytes);
  if (!at) return ig_fail_oom(reterr);
  *entry = (struct entry){.plan_version = info->plan_version,
                          .threads = info->threads,
                          .processors = info->processors,
                          .memory_bytes = info->memory_bytes,
                          .role = IG_MEMBER_WORKER};
  for (size_t i = 0; i < TEXTS; i++) {
    entry->texts[i] = at;
    if (texts[i].len) memcpy(at, texts[i].data, texts[i].len);
    at[texts[i].len] = '\0';
    at += texts[i].len + 1;
  }
  return IGLOO_OK;
}

static int compare_entries(const void *a, const void *b) {
  const struct entry *left = a, *right = b;
  if (left->role != right->role) return left->role == IG_MEMBER_COORDINATOR ? -1 : 1;
  return strcmp(left->texts[ID], right->texts[ID]);
}

static void sort_locked(ig_members *members) {
  qsort(members->entries, members->count, sizeof *members->entries, compare_entries);
}

static struct entry *find_locked(const ig_members *members, struct ig_str id) {
  for (size_t i = 0; i < members->count; i++)
    if (ig_str_eq_cstr(id, members->entries[i].texts[ID])) return &members->entries[i];
  return NULL;
}

static struct entry *self_locked(const ig_members *members) {
  size_t at = 0;
  while (at < members->count && !members->entries[at].is_self) at++;
  IG_ASSERT(at < members->count);
  return &members->entries[at];
}

static void remove_locked(ig_members *members, struct entry *entry) {
  entry_done(entry);
  size_t at = (size_t)(entry - members->entries);
  memmove(entry, entry + 1, (members->count - at - 1) * sizeof *entry);
  members->count--;
}

/* Room for one more: at the ceiling somebody who is dead and told makes it. */
static igloo_status reserve_locked(ig_members *members, struct igloo_error *reterr) {
  struct entry *oldest = NULL;
  size_t alive = 0;
  for (size_t i = 0; i < members->count; i++) {
    struct entry *entry = &members->entries[i];
    if (entry->state != IG_MEMBER_DEAD) alive++;
    if (entry->state != IG_MEMBER_DEAD || entry->tell_lost) continue;
    if (!oldest || entry->dead_us < oldest->dead_us) oldest = entry;
  }
  if (alive >= IG_MEMBERS_MAX) {
    (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53300",
                        "the cluster has %d members already", IG_MEMBERS_MAX);
    return IGLOO_RESOURCE_EXHAUSTED;
  }
  if (members->count - alive >= IG_MEMBERS_DEAD_MAX && oldest)
    remove_locked(members, oldest);
  return IG_RESERVE(members->entries, members->cap, members->count + 1,
                    (size_t)4 * IG_MEMBERS_MAX, "members", reterr);
}

/* ---- the list ---------------------------------------------------------------------- */

struct ig_member_list *ig_member_list_ref(struct ig_member_list *list) {
  (void)__atomic_add_fetch(&list->refs, 1, __ATOMIC_RELAXED);
  return list;
}

struct ig_member_list *ig_member_list_unref(struct ig_member_list *list) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (list && __atomic_sub_fetch(&list->refs, 1, __ATOMIC_ACQ_REL) == 0) ig_free(list);
  return NULL;
}

const struct ig_member *ig_member_list_find(const struct ig_member_list *list,
                                            struct ig_str id) {
  for (size_t i = 0; i < list->count; i++)
    if (ig_str_eq_cstr(id, list->members[i].id)) return &list->members[i];
  return NULL;
}

static bool shares_host(const struct entry *self, const struct entry *entry) {
  return entry->texts[UNIX_PATH][0] && self->texts[HOST][0] &&
         strcmp(self->texts[HOST], entry->texts[HOST]) == 0;
}

static const char *put_text(char **at, const char *text) {
  size_t bytes = strlen(text) + 1;
  char *put = memcpy(*at, text, bytes);
  *at += bytes;
  return put;
}

/* List, members and their texts in one piece of memory; NULL: there is none. */
static struct ig_member_list *make_list_locked(ig_members *members) {
  const struct entry *self = self_locked(members);
  size_t count = 0, bytes = sizeof(struct ig_member_list);
  for (size_t i = 0; i < members->count; i++) {
    const struct entry *entry = &members->entries[i];
    if (entry->state == IG_MEMBER_DEAD) continue;
    count++;
    bytes += sizeof(struct ig_member) + HOST + 2 + strlen(entry->texts[UNIX_PATH]);
    for (size_t text = NODE; text <= HOST; text++) bytes += strlen(entry->texts[text]);
  }
  struct ig_member_list *list = ig_malloc(bytes);
  if (!list) return NULL;
  *list = (struct ig_member_list){.version = ++members->version,
                                  .members = (struct ig_member *)(void *)(list + 1),
                                  .refs = 1};
  char *at = (char *)(list->members + count);
  for (size_t i = 0; i < members->count; i++) {
    const struct entry *entry = &members->entries[i];
    if (entry->state == IG_MEMBER_DEAD) continue;
    list->members[list->count++] = (struct ig_member){
        .id = put_text(&at, entry->texts[ID]),
        .node = put_text(&at, entry->texts[NODE]),
        .role = entry->role,
        .state = entry->state,
        .is_self = entry->is_self,
        .address = put_text(&at, entry->texts[ADDRESS]),
        .unix_path =
            put_text(&at, shares_host(self, entry) ? entry->texts[UNIX_PATH] : ""),
        .host = put_text(&at, entry->texts[HOST]),
        .told_unix_path = put_text(&at, entry->texts[UNIX_PATH]),
        .threads = entry->threads,
        .processors = entry->processors,
        .memory_bytes = entry->memory_bytes,
    };
  }
  return list;
}

/* False where there is no memory: the old list stays until the next change or tick. */
static bool publish_locked(ig_members *members) {
  struct ig_member_list *list = make_list_locked(members);
  members->list_is_old = !list;
  if (!list) return false;
  ig_mutex_lock(&members->list_mu);
  struct ig_member_list *old = members->list;
  members->list = list;
  ig_mutex_unlock(&members->list_mu);
  (void)ig_member_list_unref(old);
  return true;
}

struct ig_member_list *ig_members_list(ig_members *members) {
  IG_LOCK_SCOPE(&members->list_mu);
  return ig_member_list_ref(members->list);
}

igloo_status ig_members_set_self(ig_members *members, struct ig_str address,
                                 struct ig_str unix_path, struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&members->mu);
  struct entry *self = self_locked(members);
  struct ig_member_info info = {.node = ig_str_from_cstr(self->texts[NODE]),
                                .id = ig_str_from_cstr(self->texts[ID]),
                                .address = address,
                                .unix_path = unix_path,
                                .host = ig_str_from_cstr(self->texts[HOST]),
                                .build = ig_str_from_cstr(self->texts[BUILD]),
                                .plan_version = self->plan_version,
                                .threads = self->threads,
                                .processors = self->processors,
                                .memory_bytes = self->memory_bytes};
  struct entry made;
  IG_TRY(entry_init(&made, &info, reterr));
  made.role = self->role;
  made.state = self->state;
  made.is_self = true;
  entry_done(self);
  *self = made;
  return publish_locked(members) ? IGLOO_OK : ig_fail_oom(reterr);
}

void ig_members_self_id(ig_members *members, char ret_id[IG_MEMBER_ID_BYTES]) {
  IG_LOCK_SCOPE(&members->mu);
  memcpy(ret_id, members->self_id, IG_MEMBER_ID_BYTES);
}

/* ---- life -------------------------------------------------------------------------- */

/* Lower case letters, digits, hyphens. */
static bool is_name(struct ig_str name) {
  if (!name.len || name.len >= IG_MEMBER_ID_BYTES) return false;
  for (size_t i = 0; i < name.len; i++) {
    char c = name.data[i];
    if (!(c >= 'a' && c <= 'z') && !ig_ascii_is_digit(c) && c != '-') return false;
  }
  return true;
}

static void set_self_id_locked(ig_members *members, struct ig_str id) {
  IG_ASSERT(id.len < IG_MEMBER_ID_BYTES);
  memset(members->self_id, 0, sizeof members->self_id);
  memcpy(members->self_id, id.data, id.len);
}

igloo_status ig_members_new(const struct ig_members_options *options,
                            ig_members **ret_members, struct igloo_error *reterr) {
  IG_ASSERT(is_name(options->self.id) && is_name(options->self.node));
  IG_AUTO(ig_members) *members = ig_calloc(1, sizeof(*members));
  if (!members) return ig_fail_oom(reterr);
  ig_mutex_init(&members->mu);
  ig_mutex_init(&members->list_mu);
  members->role = options->role;
  members->heartbeat_us = options->heartbeat_us;
  IG_TRY(reserve_locked(members, reterr));
  IG_TRY(entry_init(&members->entries[0], &options->self, reterr));
  members->count = 1;
  members->entries[0].role = options->role;
  members->entries[0].is_self = true;
  members->entries[0].state =
      options->role == IG_MEMBER_COORDINATOR ? IG_MEMBER_ACTIVE : IG_MEMBER_JOINING;
  set_self_id_locked(members, options->self.id);
  if (!publish_locked(members)) return ig_fail_oom(reterr);
  *ret_members = IG_TAKE(members);
  return IGLOO_OK;
}

ig_members *ig_members_free(ig_members *members) {
  if (!members) return NULL;
  for (size_t i = 0; i < members->count; i++) entry_done(&members->entries[i]);
  ig_free(members->entries);
  (void)ig_member_list_unref(members->list);
  ig_mutex_done(&members->list_mu);
  ig_mutex_done(&members->mu);
  ig_free(members);
  return NULL;
}

void ig_members_listen(ig_members *members, const struct ig_member_listener *listener) {
  IG_ASSERT(members->listeners_count < IG_MEMBER_LISTENERS_MAX);
  members->listeners[members->listeners_count++] = *listener;
}

/* ---- changes of state -------------------------------------------------------------- */

static const char has_left[] = "It has left.";

static void log_state(const struct entry *entry) {
  bool is_lost = entry->state == IG_MEMBER_DEAD || entry->state == IG_MEMBER_SUSPECT;
  ig_log(is_lost && entry->reason != has_left ? IG_LOG_WARN : IG_LOG_INFO, "member",
         IG_LOG_STR("member", entry->texts[ID]),
         IG_LOG_STR("state", ig_member_state_name(entry->state)),
         IG_LOG_STR("address", entry->texts[ADDRESS]),
         IG_LOG_STR("reason", entry->reason ? entry->reason : ""));
}

static void set_state(struct entry *entry, enum ig_member_state state,
                      const char *reason) {
  if (entry->state == state) return;
  entry->state = state;
  entry->reason = reason;
  log_state(entry);
}

static void bury(struct entry *entry, const char *reason, int64_t now_us) {
  if (entry->state == IG_MEMBER_DEAD) return;
  set_state(entry, IG_MEMBER_DEAD, reason);
  entry->dead_us = now_us;
  entry->tell_lost = true;
  entry->figures.tasks_now = entry->figures.memory_used_bytes_now = 0;
}

/* Call the listeners for whoever is lost and not told yet; without the mutex. */
static void tell_lost(ig_members *members) {
  for (;;) {
    char id[IG_MEMBER_ID_BYTES] = "";
    const char *reason = NULL;
    ig_mutex_lock(&members->mu);
    for (size_t i = 0; i < members->count && !id[0]; i++) {
      struct entry *entry = &members->entries[i];
      if (!entry->tell_lost) continue;
      entry->tell_lost = false;
      memcpy(id, entry->texts[ID], strlen(entry->texts[ID]) + 1);
      reason = entry->reason;
    }
    ig_mutex_unlock(&members->mu);
    if (!id[0]) return;
    struct igloo_error why;
    (void)ig_member_fail_lost(&why, id, reason);
    for (size_t i = 0; i < members->listeners_count; i++)
      members->listeners[i].lost(members->listeners[i].ctx, id, &why);
  }
}

/* ---- the coordinator's side -------------------------------------------------------- */

static igloo_status check_build(const struct entry *self,
                                const struct ig_member_info *info,
                                struct igloo_error *reterr) {
  if (ig_str_eq_cstr(info->build, self->texts[BUILD]) &&
      info->plan_version == self->plan_version)
    return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_FAILED_PRECONDITION,
                "worker \"%.*s\" is of another build than its coordinator",
                IG_STR_ARG(info->id));
  ig_error_detail(reterr,
                  "The coordinator is %s with plan version %u, the worker %.*s with plan "
                  "version %u.",
                  self->texts[BUILD], self->plan_version, IG_STR_ARG(info->build),
                  info->plan_version);
  ig_error_hint(reterr,
                "Run the same program on all members; `igloo version --output json` "
                "tells builds apart.");
  return IGLOO_FAILED_PRECONDITION;
}

static igloo_status check_info(const struct entry *self,
                               const struct ig_member_info *info,
                               struct igloo_error *reterr) {
  struct ig_str rest = ig_str_sub(info->id, info->node.len, info->id.len);
  bool fits = is_name(info->id) && is_name(info->node) && rest.len > 1 &&
              rest.data[0] == '-' && ig_str_starts(info->id, info->node) &&
              ig_str_starts(info->id, IG_STR("w-"));
  if (!fits || info->address.len > IG_URI_BYTES_MAX || info->build.len > 255 ||
      info->unix_path.len > IG_PATH_BYTES_MAX || info->host.len > 255 ||
      memchr(info->address.data ? info->address.data : "", '\0', info->address.len) ||
      memchr(info->unix_path.data ? info->unix_path.data : "", '\0', info->unix_path.len))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "a worker that wants to join says nonsense of itself");
  bool same_host = info->host.len && ig_str_eq_cstr(info->host, self->texts[HOST]);
  if (info->address.len || (info->unix_path.len && same_host)) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "worker \"%.*s\" cannot be reached",
                IG_STR_ARG(info->id));
  ig_error_detail(reterr, info->unix_path.len
                              ? "It has only a Unix socket and is on another host."
                              : "It tells no address.");
  ig_error_hint(
      reterr,
      "Set server.listen, and server.advertise where others see another address.");
  return IGLOO_INVALID_ARGUMENT;
}

static igloo_status join_locked(ig_members *members, const struct ig_member_info *info,
                                int64_t now_us, struct igloo_error *reterr) {
  const struct entry *self = self_locked(members);
  struct entry made;
  IG_TRY(check_build(self, info, reterr));
  IG_TRY(check_info(self, info, reterr));
  if (find_locked(members, info->id))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "worker \"%.*s\" has joined before",
                   IG_STR_ARG(info->id));
  IG_TRY(reserve_locked(members, reterr));
  IG_TRY(entry_init(&made, info, reterr));
  made.state = IG_MEMBER_JOINING;
  made.joined_us = made.seen_us = now_us;
  members->entries[members->count++] = made;
  sort_locked(members);
  if (!publish_locked(members)) {
    struct entry *entry = find_locked(members, info->id);
    if (entry) remove_locked(members, entry);
    return ig_fail_oom(reterr);
  }
  log_state(&made);
  bool replaces = false;
  for (size_t i = 0; i < members->count; i++) {
    struct entry *entry = &members->entries[i];
    if (entry->state == IG_MEMBER_DEAD || entry->texts[0] == made.texts[0] ||
        strcmp(entry->texts[NODE], made.texts[NODE]) != 0)
      continue;
    bury(entry, "It was started again.", now_us);
    entry->replaced = replaces = true;
  }
  if (replaces) (void)publish_locked(members);
  return IGLOO_OK;
}

igloo_status ig_members_join(ig_members *members, const struct ig_member_info *info,
                             int64_t now_us, struct igloo_error *reterr) {
  IG_ASSERT(members->role == IG_MEMBER_COORDINATOR);
  ig_mutex_lock(&members->mu);
  igloo_status status = join_locked(members, info, now_us, reterr);
  ig_mutex_unlock(&members->mu);
  tell_lost(members);
  return status;
}

static igloo_status fail_stranger(const struct entry *entry, struct ig_str id,
                                  struct igloo_error *reterr) {
  if (entry && entry->replaced)
    return ig_fail(reterr, IGLOO_ALREADY_EXISTS,
                   "another worker has the name of \"%.*s\"", IG_STR_ARG(id));
  return ig_fail(reterr, IGLOO_NOT_FOUND, "worker \"%.*s\" is no member", IG_STR_ARG(id));
}

igloo_status ig_members_fail_stranger(ig_members *members, struct ig_str id,
                                      struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&members->mu);
  return fail_stranger(find_locked(members, id), id, reterr);
}

igloo_status ig_members_beat(ig_members *members, struct ig_str id,
                             const struct ig_member_figures *figures, bool drains,
                             int64_t now_us, bool *ret_drain,
                             struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&members->mu);
  struct entry *entry = find_locked(members, id);
  if (!entry || entry->is_self || entry->state == IG_MEMBER_DEAD)
    return fail_stranger(entry, id, reterr);
  enum ig_member_state before = entry->state;
  entry->seen_us = now_us;
  entry->figures = *figures;
  if (drains)
    set_state(entry, IG_MEMBER_DRAINING, "It is being stopped.");
  else if (!entry->shall_drain)
    set_state(entry, IG_MEMBER_ACTIVE, NULL);
  if (entry->state != before) (void)publish_locked(members);
  *ret_drain = entry->shall_drain;
  return IGLOO_OK;
}

void ig_members_leave(ig_members *members, struct ig_str id, int64_t now_us) {
  ig_mutex_lock(&members->mu);
  struct entry *entry = find_locked(members, id);
  if (entry && !entry->is_self && entry->state != IG_MEMBER_DEAD) {
    bury(entry, has_left, now_us);
    (void)publish_locked(members);
  }
  ig_mutex_unlock(&members->mu);
  tell_lost(members);
}

igloo_status ig_members_drain(ig_members *members, struct ig_str id,
                              struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&members->mu);
  struct entry *entry = find_locked(members, id);
  if (!entry || entry->state == IG_MEMBER_DEAD)
    return ig_fail(reterr, IGLOO_NOT_FOUND, "there is no worker \"%.*s\"",
                   IG_STR_ARG(id));
  if (entry->role == IG_MEMBER_COORDINATOR)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "\"%.*s\" is the coordinator",
                   IG_STR_ARG(id));
  entry->shall_drain = true;
  if (entry->state != IG_MEMBER_DRAINING) {
    set_state(entry, IG_MEMBER_DRAINING, "An operator drains it.");
    (void)publish_locked(members);
  }
  return IGLOO_OK;
}

void ig_members_doubt(ig_members *members, struct ig_str id) {
  IG_LOCK_SCOPE(&members->mu);
  struct entry *entry = find_locked(members, id);
  if (members->role != IG_MEMBER_COORDINATOR || !entry || entry->is_self ||
      entry->state != IG_MEMBER_ACTIVE)
    return;
  set_state(entry, IG_MEMBER_SUSPECT, "It could not be reached.");
  (void)publish_locked(members);
}

void ig_members_drain_self(ig_members *members) {
  IG_LOCK_SCOPE(&members->mu);
  struct entry *self = self_locked(members);
  set_state(self, IG_MEMBER_DRAINING, "It is being stopped.");
  (void)publish_locked(members);
}

/* ---- time -------------------------------------------------------------------------- */

/* When the entry is to be looked at again. */
static int64_t look_at(ig_members *members, struct entry *entry, int64_t now_us) {
  int64_t suspect_us = entry->seen_us + IG_MEMBER_SUSPECT_BEATS * members->heartbeat_us;
  int64_t dead_us = entry->seen_us + IG_MEMBER_DEAD_BEATS * members->heartbeat_us;
  if (now_us >= dead_us) {
    bury(entry, "No sign of life came for ten heartbeats.", now_us);
    return now_us + IG_MEMBER_FORGET_US;
  }
  if (now_us < suspect_us) return suspect_us;
  if (entry->state == IG_MEMBER_ACTIVE)
    set_state(entry, IG_MEMBER_SUSPECT, "No sign of life came for three heartbeats.");
  return dead_us;
}

static int64_t tick_locked(ig_members *members, int64_t now_us) {
  int64_t next_us = IG_NEVER_US;
  bool changed = members->list_is_old;
  for (size_t i = 0; i < members->count;) {
    struct entry *entry = &members->entries[i];
    enum ig_member_state before = entry->state;
    int64_t due_us = IG_NEVER_US;
    if (entry->state == IG_MEMBER_DEAD)
      due_us = entry->dead_us + IG_MEMBER_FORGET_US;
    else if (!entry->is_self)
      due_us = look_at(members, entry, now_us);
    if (entry->state != before) changed = true;
    if (entry->state == IG_MEMBER_DEAD && !entry->tell_lost && due_us <= now_us) {
      remove_locked(members, entry);
      continue;
    }
    if (due_us < next_us) next_us = due_us;
    i++;
  }
  if (changed && !publish_locked(members)) next_us = now_us + 100 * IG_US_PER_MS;
  return next_us;
}

int64_t ig_members_tick(ig_members *members, int64_t now_us) {
  IG_ASSERT(members->role == IG_MEMBER_COORDINATOR);
  ig_mutex_lock(&members->mu);
  int64_t next_us = tick_locked(members, now_us);
  ig_mutex_unlock(&members->mu);
  tell_lost(members);
  return next_us;
}

/* ---- a worker's side --------------------------------------------------------------- */

/* States of a newer program cannot come: members are of one build. */
static enum ig_member_state told_state(int32_t number) {
  bool is_known = number >= IG_MEMBER_JOINING && number <= IG_MEMBER_DEAD;
  return is_known ? (enum ig_member_state)number : IG_MEMBER_SUSPECT;
}

/* Everybody's entry anew, in `fresh`, which has room; what is known of them stays. */
static igloo_status fill_entries(struct entry *fresh, size_t *ret_count,
                                 const struct ig_told_member *told, size_t count,
                                 struct ig_str id, struct ig_str coordinator,
                                 struct igloo_error *reterr) {
  for (size_t i = 0; i < count; i++) {
    const struct ig_member_info *info = &told[i].info;
    enum ig_member_state state = told_state(told[i].state);
    if (state == IG_MEMBER_DEAD || !is_name(info->id)) continue;
    struct entry *entry = &fresh[*ret_count];
    IG_TRY(entry_init(entry, info, reterr));
    ++*ret_count;
    entry->state = state;
    entry->is_self = ig_str_eq(info->id, id);
    if (ig_str_eq(info->id, coordinator)) entry->role = IG_MEMBER_COORDINATOR;
  }
  return IGLOO_OK;
}

static bool is_among(const struct entry *entries, size_t count, const char *id) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(entries[i].texts[ID], id) == 0) return true;
  return false;
}

/* Those who are not in `fresh` are kept as dead until the listeners know. */
static void keep_lost(ig_members *members, struct entry *fresh, size_t *fresh_count,
                      const char *reason) {
  for (size_t i = 0; i < members->count; i++) {
    struct entry *entry = &members->entries[i];
    bool is_lost = !entry->is_self && !is_among(fresh, *fresh_count, entry->texts[ID]) &&
                   (entry->state != IG_MEMBER_DEAD || entry->tell_lost);
    if (!is_lost) {
      entry_done(entry);
      continue;
    }
    bury(entry, reason, 0);
    fresh[(*fresh_count)++] = *entry;
  }
}

static igloo_status take_locked(ig_members *members, struct ig_str id,
                                struct ig_str coordinator,
                                const struct ig_told_member *told, size_t count,
                                struct igloo_error *reterr) {
  struct entry *fresh = NULL;
  size_t fresh_cap = 0, fresh_count = 0;
  IG_TRY(IG_RESERVE(fresh, fresh_cap, count + members->count + 1,
                    (size_t)4 * IG_MEMBERS_MAX, "members", reterr));
  igloo_status status =
      fill_entries(fresh, &fresh_count, told, count, id, coordinator, reterr);
  bool has_self = false;
  for (size_t i = 0; i < fresh_count; i++) has_self = has_self || fresh[i].is_self;
  if (status == IGLOO_OK && !has_self)
    status =
        ig_fail(reterr, IGLOO_NOT_FOUND, "this worker is not in the list of members");
  if (status != IGLOO_OK) {
    for (size_t i = 0; i < fresh_count; i++) entry_done(&fresh[i]);
    ig_free(fresh);
    return status;
  }
  keep_lost(members, fresh, &fresh_count, "The coordinator has lost it.");
  ig_free(members->entries);
  members->entries = fresh;
  members->cap = fresh_cap;
  members->count = fresh_count;
  set_self_id_locked(members, id);
  sort_locked(members);
  return publish_locked(members) ? IGLOO_OK : ig_fail_oom(reterr);
}

igloo_status ig_members_take(ig_members *members, struct ig_str id,
                             struct ig_str coordinator, const struct ig_told_member *told,
                             size_t count, struct igloo_error *reterr) {
  IG_ASSERT(members->role == IG_MEMBER_WORKER);
  if (!is_name(id) || count > IG_MEMBERS_MAX)
    return ig_fail(reterr, IGLOO_RESOURCE_EXHAUSTED, "the list of members is too long");
  ig_mutex_lock(&members->mu);
  igloo_status status = take_locked(members, id, coordinator, told, count, reterr);
  ig_mutex_unlock(&members->mu);
  tell_lost(members);
  return status;
}

void ig_members_cut_off(ig_members *members, const char *reason) {
  ig_mutex_lock(&members->mu);
  for (size_t i = 0; i < members->count; i++) {
    struct entry *entry = &members->entries[i];
    if (!entry->is_self) bury(entry, reason, 0);
    if (entry->is_self && entry->state != IG_MEMBER_DRAINING)
      set_state(entry, IG_MEMBER_JOINING, reason);
  }
  (void)publish_locked(members);
  ig_mutex_unlock(&members->mu);
  tell_lost(members);
}

/* ---- views ------------------------------------------------------------------------- */

static igloo_status view_entry(const struct entry *entry, struct ig_member_view *view,
                               struct igloo_error *reterr) {
  *view = (struct ig_member_view){.role = entry->role,
                                  .state = entry->state,
                                  .is_self = entry->is_self,
                                  .plan_version = entry->plan_version,
                                  .threads = entry->threads,
                                  .memory_bytes = entry->memory_bytes,
                                  .joined_us = entry->joined_us,
                                  .seen_us = entry->seen_us,
                                  .figures = entry->figures};
  memcpy(view->id, entry->texts[ID], strlen(entry->texts[ID]) + 1);
  view->address = ig_strdup(entry->texts[ADDRESS]);
  view->unix_path = ig_strdup(entry->texts[UNIX_PATH]);
  view->build = ig_strdup(entry->texts[BUILD]);
  view->reason = entry->reason ? ig_strdup(entry->reason) : NULL;
  if (!view->address || !view->unix_path || !view->build ||
      (entry->reason && !view->reason))
    return ig_fail_oom(reterr);
  return IGLOO_OK;
}

static igloo_status view_locked(const ig_members *members, struct ig_member_view **views,
                                struct igloo_error *reterr) {
  *views = ig_calloc(members->count, sizeof **views);
  if (!*views) return ig_fail_oom(reterr);
  for (size_t i = 0; i < members->count; i++)
    IG_TRY(view_entry(&members->entries[i], &(*views)[i], reterr));
  return IGLOO_OK;
}

igloo_status ig_members_view(ig_members *members, struct ig_member_view **ret_views,
                             size_t *ret_count, struct igloo_error *reterr) {
  struct ig_member_view *views = NULL;
  ig_mutex_lock(&members->mu);
  size_t count = members->count;
  igloo_status status = view_locked(members, &views, reterr);
  ig_mutex_unlock(&members->mu);
  if (status != IGLOO_OK) {
    ig_member_views_free(views, views ? count : 0);
    return status;
  }
  *ret_views = views;
  *ret_count = count;
  return IGLOO_OK;
}

void ig_member_views_free(struct ig_member_view *views, size_t count) {
  for (size_t i = 0; i < count; i++) {
    ig_free(views[i].address);
    ig_free(views[i].unix_path);
    ig_free(views[i].build);
    ig_free(views[i].reason);
  }
  ig_free(views);
}
