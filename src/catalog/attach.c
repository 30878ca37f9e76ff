/* attach.c -- attached sources: what ATTACH said, kept as objects are; see catalog.h. */
#include "base/limits.h"
#include "catalog/internal.h"

/* A URI and options; each text of SQL is shorter than a statement. */
#define ATTACHMENT_BYTES_MAX (4 * IG_MIB)

/* ---- one of them ------------------------------------------------------------------- */

struct attachment *attachment_ref(struct attachment *attachment) {
  atomic_fetch_add_explicit(&attachment->refs, 1, memory_order_relaxed);
  return attachment;
}

struct attachment *attachment_unref(struct attachment *attachment) {
  /* Release what this holder wrote; the last one acquires it all. */
  if (!attachment ||
      atomic_fetch_sub_explicit(&attachment->refs, 1, memory_order_acq_rel) != 1)
    return NULL;
  ig_arena_free(attachment->arena);
  ig_free(attachment);
  return NULL;
}

igloo_status attachment_new(const struct ig_attachment *source,
                            struct attachment **ret_attachment,
                            struct igloo_error *reterr) {
  IG_AUTO_STRUCT(attachment) *made = ig_calloc(1, sizeof(*made));
  if (!made) return ig_fail_oom(reterr);
  atomic_init(&made->refs, 1);
  made->pub = *source;
  made->arena = ig_arena_new(ATTACHMENT_BYTES_MAX);
  if (!made->arena) return ig_fail_oom(reterr);
  struct ig_attachment *pub = &made->pub;
  if (!copy_text(made->arena, &pub->name) || !copy_text(made->arena, &pub->type) ||
      !copy_text(made->arena, &pub->uri) || !copy_text(made->arena, &pub->secret) ||
      !copy_pairs(made->arena, &pub->options, pub->options_count))
    return ig_arena_fail(made->arena, reterr);
  *ret_attachment = IG_TAKE(made);
  return IGLOO_OK;
}

/* ---- in a snapshot ----------------------------------------------------------------- */

static int order_attachment(const ig_snapshot *snapshot, size_t at,
                            const struct snapshot_key *key) {
  return ig_str_cmp(ig_str_from_cstr(snapshot->attachments[at]->pub.name), key->name);
}

bool snapshot_attachment_place(const ig_snapshot *snapshot, struct ig_str name,
                               size_t *ret_at) {
  const struct snapshot_key key = {.name = name};
  return snapshot_place(snapshot, snapshot->attachments_count, order_attachment, &key,
                        ret_at);
}

igloo_status snapshot_insert_attachment(ig_snapshot *snapshot, size_t at,
                                        struct attachment *taken,
                                        struct igloo_error *reterr) {
  IG_AUTO_STRUCT(attachment) *attachment = taken;
  IG_TRY(IG_RESERVE(snapshot->attachments, snapshot->attachments_cap,
                    snapshot->attachments_count + 1, IG_ATTACHMENTS_MAX,
                    "attached catalogs", reterr));
  memmove(snapshot->attachments + at + 1, snapshot->attachments + at,
          (snapshot->attachments_count - at) * sizeof(struct attachment *));
  snapshot->attachments[at] = IG_TAKE(attachment);
  snapshot->attachments_count++;
  return IGLOO_OK;
}

struct attachment *snapshot_remove_attachment(ig_snapshot *snapshot, size_t at) {
  struct attachment *attachment = snapshot->attachments[at];
  snapshot->attachments_count--;
  memmove(snapshot->attachments + at, snapshot->attachments + at + 1,
          (snapshot->attachments_count - at) * sizeof(struct attachment *));
  return attachment;
}

size_t ig_snapshot_attachments_count(const ig_snapshot *snapshot) {
  return snapshot->attachments_count;
}

const struct ig_attachment *ig_snapshot_attachment(const ig_snapshot *snapshot,
                                                   size_t index) {
  return &snapshot->attachments[index]->pub;
}

const struct ig_attachment *ig_snapshot_find_attachment(const ig_snapshot *snapshot,
                                                        struct ig_str name) {
  size_t at;
  if (!snapshot_attachment_place(snapshot, name, &at)) return NULL;
  return &snapshot->attachments[at]->pub;
}

/* ---- changing ---------------------------------------------------------------------- */

const struct ig_attachment *ig_catalog_change_find_attachment(
    const ig_catalog_change *change, struct ig_str name) {
  return ig_snapshot_find_attachment(change->draft, name);
}

igloo_status ig_catalog_check_attachment_name(struct ig_str name,
                                              struct igloo_error *reterr) {
  static const char *const reserved[] = {IG_CATALOG_NAME, "information_schema", "system",
                                         "temp", "pg_catalog"};
  IG_TRY(change_check_name(name, reterr));
  for (size_t i = 0; i < IG_ARRAY_LEN(reserved); i++)
    if (ig_str_eq_cstr(name, reserved[i]))
      return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42939",
                           "catalog name \"%s\" is reserved", reserved[i]);
  for (size_t i = 0; i < name.len; i++)
    if ((unsigned char)name.data[i] < ' ' || name.data[i] == 0x7f)
      return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42602",
                           "a catalog name cannot hold control characters");
  return IGLOO_OK;
}

/* Put a copy with this change's version at `at`, into the database too. */
static igloo_status insert_at(ig_catalog_change *change, size_t at,
                              const struct ig_attachment *source,
                              struct igloo_error *reterr) {
  struct ig_attachment copy = *source;
  struct attachment *attachment = NULL;
  copy.version = change->draft->version;
  IG_TRY(attachment_new(&copy, &attachment, reterr));
  igloo_status status = persist_insert_attachment(change->tx, &copy, reterr);
  if (status != IGLOO_OK) {
    attachment_unref(attachment);
    return status;
  }
  return snapshot_insert_attachment(change->draft, at, attachment, reterr);
}

static igloo_status remove_at(ig_catalog_change *change, size_t at,
                              struct igloo_error *reterr) {
  IG_TRY(persist_delete_attachment(change->tx, change->draft->attachments[at]->pub.name,
                                   reterr));
  attachment_unref(snapshot_remove_attachment(change->draft, at));
  return IGLOO_OK;
}

static igloo_status attach(ig_catalog_change *change,
                           const struct ig_attachment *attachment, bool replace,
                           struct igloo_error *reterr) {
  struct ig_str name = ig_str_from_cstr(attachment->name);
  size_t at;
  IG_TRY(ig_catalog_check_attachment_name(name, reterr));
  if (attachment->options_count > IG_SOURCE_OPTIONS_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "a catalog cannot have more than %d options",
                         IG_SOURCE_OPTIONS_MAX);
  if (snapshot_attachment_place(change->draft, name, &at)) {
    if (!replace)
      return ig_fail_state(reterr, IGLOO_ALREADY_EXISTS, "42P04",
                           "catalog \"%s\" already exists", attachment->name);
    IG_TRY(remove_at(change, at, reterr));
  }
  return insert_at(change, at, attachment, reterr);
}

igloo_status ig_catalog_attach(ig_catalog_change *change,
                               const struct ig_attachment *attachment, bool replace,
                               struct igloo_error *reterr) {
  IG_TRY(change_check_alive(change, reterr));
  return change_note(change, attach(change, attachment, replace, reterr));
}

static igloo_status detach(ig_catalog_change *change, struct ig_str name,
                           struct igloo_error *reterr) {
  size_t at;
  if (snapshot_attachment_place(change->draft, name, &at))
    return remove_at(change, at, reterr);
  return ig_fail_state(reterr, IGLOO_NOT_FOUND, "3D000",
                       "catalog \"%.*s\" does not exist", IG_STR_ARG(name));
}

igloo_status ig_catalog_detach(ig_catalog_change *change, struct ig_str name,
                               struct igloo_error *reterr) {
  IG_TRY(change_check_alive(change, reterr));
  return change_note(change, detach(change, name, reterr));
}

static igloo_status renew(ig_catalog_change *change, struct ig_str secret,
                          struct igloo_error *reterr) {
  for (size_t i = 0; i < change->draft->attachments_count; i++) {
    IG_AUTO_STRUCT(attachment) *old = attachment_ref(change->draft->attachments[i]);
    if (!old->pub.secret || !ig_str_eq_cstr(secret, old->pub.secret)) continue;
    IG_TRY(remove_at(change, i, reterr));
    IG_TRY(insert_at(change, i, &old->pub, reterr));
  }
  return IGLOO_OK;
}

igloo_status ig_catalog_renew_secret(ig_catalog_change *change, struct ig_str secret,
                                     struct igloo_error *reterr) {
  IG_TRY(change_check_alive(change, reterr));
  return change_note(change, renew(change, secret, reterr));
}
