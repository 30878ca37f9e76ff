/* secrets.c -- see secrets.h: sealed rows of the catalog's database. */
#include "auth/secrets.h"

#include <sodium.h>
#include <sys/prctl.h>

#include "auth/key_file.h"
#include "base/buf.h"
#include "base/clock.h"

static const char *const migrations[] = {
    "CREATE TABLE secret ("
    " name TEXT PRIMARY KEY,"
    " type TEXT NOT NULL,"
    " key BLOB NOT NULL," /* which key sealed it */
    " nonce BLOB NOT NULL,"
    " sealed BLOB NOT NULL,"
    " created INTEGER NOT NULL) WITHOUT ROWID;"};

#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES

/* What is sealed: for each item its key and value, each ended by NUL. */
struct ig_secrets {
  ig_store *store; /* borrowed */
  char *key_file;  /* owned */
};

igloo_status ig_secrets_open(ig_store *store, const char *key_file,
                             ig_secrets **ret_secrets, struct igloo_error *reterr) {
  if (sodium_init() < 0)
    return ig_fail(reterr, IGLOO_INTERNAL, "could not start libsodium");
  IG_AUTO(ig_secrets) *secrets = ig_calloc(1, sizeof(*secrets));
  if (!secrets) return ig_fail_oom(reterr);
  secrets->store = store;
  secrets->key_file = ig_strdup(key_file);
  if (!secrets->key_file) return ig_fail_oom(reterr);
  IG_TRY(
      ig_store_migrate(store, "secrets", migrations, IG_ARRAY_LEN(migrations), reterr));
  *ret_secrets = IG_TAKE(secrets);
  return IGLOO_OK;
}

ig_secrets *ig_secrets_free(ig_secrets *secrets) {
  if (!secrets) return NULL;
  ig_free(secrets->key_file);
  ig_free(secrets);
  return NULL;
}

/* From here on this process may hold secrets in memory that is not ours: that of a client
 * library while it is connected. A core dump would hold them too. */
static void leave_no_cores(void) {
  if (ig_process_is_own()) (void)prctl(PR_SET_DUMPABLE, 0);
}

/* ---- names ------------------------------------------------------------------------- */

static igloo_status check_name(struct ig_str name, struct igloo_error *reterr) {
  bool good =
      name.len >= 1 && name.len <= IG_IDENTIFIER_BYTES_MAX && ig_utf8_valid(name, NULL);
  for (size_t i = 0; good && i < name.len; i++)
    good = (unsigned char)name.data[i] >= ' ' && name.data[i] != 0x7f;
  if (good) return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42602",
                       "invalid name for a secret: it has 1 to %d bytes of UTF-8 without "
                       "control characters",
                       IG_IDENTIFIER_BYTES_MAX);
}

static igloo_status fail_unknown(struct ig_str name, struct igloo_error *reterr) {
  return ig_fail(reterr, IGLOO_NOT_FOUND, "secret \"%.*s\" does not exist",
                 IG_STR_ARG(ig_str_sub(name, 0, ig_utf8_cut(name, 255))));
}

static igloo_status fail_damaged(const char *name, struct igloo_error *reterr) {
  return ig_fail(reterr, IGLOO_DATA_LOSS, "the stored secret \"%s\" is damaged", name);
}

static igloo_status count_rows(ig_tx *tx, int64_t *ret_count,
                               struct igloo_error *reterr) {
  IG_AUTO(ig_stmt) *row = NULL;
  bool found;
  IG_TRY(ig_tx_prepare(tx, &row, reterr, "SELECT count(*) FROM secret", ""));
  IG_TRY(ig_stmt_step(row, &found, reterr));
  *ret_count = found ? ig_stmt_i64(row, 0) : 0;
  return IGLOO_OK;
}

/* ---- sealing ----------------------------------------------------------------------- */

/* What is sealed in beside the values: type and name, with their ends. */
static igloo_status bind_name(const char *name, const char *type, struct ig_buf *bound,
                              struct igloo_error *reterr) {
  ig_buf_append_cstr(bound, "igloo secret 1");
  ig_buf_append(bound, "", 1);
  ig_buf_append_cstr(bound, type);
  ig_buf_append(bound, "", 1);
  ig_buf_append_cstr(bound, name);
  return ig_buf_check(bound, reterr);
}

static igloo_status plain_size(const struct ig_secret_item *items, size_t count,
                               size_t *ret_size, struct igloo_error *reterr) {
  size_t size = 0;
  for (size_t i = 0; i < count; i++)
    size += strlen(items[i].key) + strlen(items[i].value) + 2;
  *ret_size = size;
  if (size <= IG_SECRET_BYTES_MAX && count <= IG_SOURCE_OPTIONS_MAX) return IGLOO_OK;
  return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                 "a secret has at most %d items of %zu bytes together",
                 IG_SOURCE_OPTIONS_MAX, IG_SECRET_BYTES_MAX);
}

/* Copy a text with its end; gives what comes behind it. */
static char *write_text(char *to, const char *text) {
  size_t len = strlen(text) + 1;
  memcpy(to, text, len);
  return to + len;
}

static void write_plain(const struct ig_secret_item *items, size_t count, char *plain) {
  for (size_t i = 0; i < count; i++)
    plain = write_text(write_text(plain, items[i].key), items[i].value);
}

struct sealed {
  uint8_t nonce[NONCE_BYTES];
  struct ig_buf bytes;
};

static igloo_status seal(const struct ig_key *key, const char *name, const char *type,
                         const struct ig_secret_item *items, size_t count,
                         struct sealed *ret_sealed, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) bound = IG_BUF_INIT(IG_KIB);
  size_t size;
  IG_TRY(bind_name(name, type, &bound, reterr));
  IG_TRY(plain_size(items, count, &size, reterr));
  IG_AUTO(ig_locked) *plain = ig_locked_new(size + 1);
  IG_AUTO_CHAR *sealed = ig_malloc(size + TAG_BYTES);
  if (!plain || !sealed) return ig_fail_oom(reterr);
  write_plain(items, count, (char *)plain);
  randombytes_buf(ret_sealed->nonce, sizeof ret_sealed->nonce);
  (void)crypto_aead_xchacha20poly1305_ietf_encrypt(
      (unsigned char *)sealed, NULL, (const unsigned char *)plain, size,
      (const unsigned char *)bound.data, bound.len, NULL, ret_sealed->nonce, key->bytes);
  ig_buf_append(&ret_sealed->bytes, sealed, size + TAG_BYTES);
  return ig_buf_check(&ret_sealed->bytes, reterr);
}

static igloo_status insert(ig_tx *tx, const char *name, const char *type,
                           const struct ig_key *key, const struct sealed *sealed,
                           struct igloo_error *reterr) {
  struct ig_str id = {(const char *)key->id, sizeof key->id};
  struct ig_str nonce = {(const char *)sealed->nonce, sizeof sealed->nonce};
  return ig_tx_run(tx, NULL, reterr,
                   "INSERT OR REPLACE INTO secret (name, type, key, nonce, sealed,"
                   " created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                   "ssbbbi", name, type, id, nonce, ig_buf_str(&sealed->bytes),
                   ig_wall_us());
}

igloo_status ig_secrets_put(ig_secrets *secrets, ig_tx *tx, struct ig_str name,
                            struct ig_str type, const struct ig_secret_item *items,
                            size_t count, bool replace, struct igloo_error *reterr) {
  bool exists;
  int64_t stored;
  leave_no_cores();
  IG_TRY(check_name(name, reterr));
  IG_TRY(ig_secrets_has(secrets, tx, name, &exists, reterr));
  if (exists && !replace)
    return ig_fail_state(reterr, IGLOO_ALREADY_EXISTS, "42710",
                         "secret \"%.*s\" already exists", IG_STR_ARG(name));
  IG_TRY(count_rows(tx, &stored, reterr));
  if (!exists && stored >= IG_SECRETS_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53400",
                         "cannot have more than %d secrets", IG_SECRETS_MAX);
  IG_AUTO_CHAR *name_text = ig_str_dup(name);
  IG_AUTO_CHAR *type_text = ig_str_dup(type);
  if (!name_text || !type_text) return ig_fail_oom(reterr);
  IG_AUTO(ig_key) *key = NULL;
  IG_TRY(ig_key_load(secrets->key_file, stored == 0, &key, reterr));
  struct sealed sealed = {.bytes = IG_BUF_INIT(IG_SECRET_BYTES_MAX + TAG_BYTES)};
  igloo_status status = seal(key, name_text, type_text, items, count, &sealed, reterr);
  if (status == IGLOO_OK) status = insert(tx, name_text, type_text, key, &sealed, reterr);
  ig_buf_done(&sealed.bytes);
  return status;
}

igloo_status ig_secrets_drop(ig_secrets *secrets IG_UNUSED, ig_tx *tx, struct ig_str name,
                             struct igloo_error *reterr) {
  IG_AUTO_CHAR *text = ig_str_dup(name);
  int64_t changes = 0;
  if (!text) return ig_fail_oom(reterr);
  IG_TRY(
      ig_tx_run(tx, &changes, reterr, "DELETE FROM secret WHERE name = ?1", "s", text));
  return changes ? IGLOO_OK : fail_unknown(name, reterr);
}

/* ---- look-ups ---------------------------------------------------------------------- */

igloo_status ig_secrets_has(ig_secrets *secrets IG_UNUSED, ig_tx *tx, struct ig_str name,
                            bool *ret_has, struct igloo_error *reterr) {
  IG_AUTO_CHAR *text = ig_str_dup(name);
  if (!text) return ig_fail_oom(reterr);
  IG_AUTO(ig_stmt) *row = NULL;
  IG_TRY(
      ig_tx_prepare(tx, &row, reterr, "SELECT 1 FROM secret WHERE name = ?1", "s", text));
  return ig_stmt_step(row, ret_has, reterr);
}

void ig_secret_names_free(struct ig_secret_name *list, size_t count) {
  for (size_t i = 0; list && i < count; i++) {
    ig_free(list[i].name);
    ig_free(list[i].type);
  }
  ig_free(list);
}

static igloo_status list_rows(ig_stmt *row, struct ig_secret_name **list, size_t *count,
                              struct igloo_error *reterr) {
  size_t cap = 0;
  for (bool found = true;;) {
    IG_TRY(ig_stmt_step(row, &found, reterr));
    if (!found) return IGLOO_OK;
    IG_TRY(IG_RESERVE(*list, cap, *count + 1, IG_SECRETS_MAX, "secrets", reterr));
    struct ig_secret_name *item = &(*list)[(*count)++];
    item->name = ig_str_dup(ig_stmt_str(row, 0));
    item->type = ig_str_dup(ig_stmt_str(row, 1));
    item->created_us = ig_stmt_i64(row, 2);
    if (!item->name || !item->type) return ig_fail_oom(reterr);
  }
}

igloo_status ig_secrets_list(ig_secrets *secrets IG_UNUSED, ig_tx *tx,
                             struct ig_secret_name **ret_list, size_t *ret_count,
                             struct igloo_error *reterr) {
  struct ig_secret_name *list = NULL;
  size_t count = 0;
  IG_AUTO(ig_stmt) *row = NULL;
  IG_TRY(ig_tx_prepare(tx, &row, reterr,
                       "SELECT name, type, created FROM secret ORDER BY name", ""));
  igloo_status status = list_rows(row, &list, &count, reterr);
  if (status != IGLOO_OK) {
    ig_secret_names_free(list, count);
    return status;
  }
  *ret_list = list;
  *ret_count = count;
  return IGLOO_OK;
}

/* ---- opening ----------------------------------------------------------------------- */

/* An ig_secret, room for its items, the plain text and the type: one piece of locked
 * memory, whose start is the ig_secret. */
ig_secret *ig_secret_free(ig_secret *secret) {
  sodium_free(secret); /* wipes it; takes NULL */
  return NULL;
}

/* Cut the plain text of `size` bytes into items; false if it is not what write_plain()
 * makes. */
static bool read_plain(const char *plain, size_t size, struct ig_secret_item *items,
                       size_t *ret_count) {
  size_t count = 0;
  const char *end = plain + size;
  while (plain < end) {
    const char *key_end = memchr(plain, 0, (size_t)(end - plain));
    if (!key_end || key_end + 1 == end || count == IG_SOURCE_OPTIONS_MAX) return false;
    const char *value = key_end + 1;
    const char *value_end = memchr(value, 0, (size_t)(end - value));
    if (!value_end) return false;
    items[count++] = (struct ig_secret_item){plain, value};
    plain = value_end + 1;
  }
  *ret_count = count;
  return true;
}

static igloo_status open_row(ig_stmt *row, const char *name, const struct ig_key *key,
                             ig_secret **ret_secret, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) bound = IG_BUF_INIT(IG_KIB);
  struct ig_str type = ig_stmt_str(row, 0), id = ig_stmt_str(row, 1);
  struct ig_str nonce = ig_stmt_str(row, 2), sealed = ig_stmt_str(row, 3);
  if (id.len != sizeof key->id || nonce.len != NONCE_BYTES || sealed.len < TAG_BYTES ||
      sealed.len > IG_SECRET_BYTES_MAX + TAG_BYTES)
    return fail_damaged(name, reterr);
  if (memcmp(id.data, key->id, id.len) != 0) return ig_key_fail_other(name, reterr);
  IG_TRY(bind_name(name, type.data, &bound, reterr));
  size_t size = sealed.len - TAG_BYTES;
  size_t items_bytes = IG_SOURCE_OPTIONS_MAX * sizeof(struct ig_secret_item);
  /* libsodium aligns the end of its memory: a multiple of what a pointer needs. */
  size_t bytes = sizeof(ig_secret) + items_bytes + size + type.len + 1;
  bytes = (bytes + 15) / 16 * 16;
  IG_AUTO(ig_locked) *memory = ig_locked_new(bytes);
  if (!memory) return ig_fail_oom(reterr);
  ig_secret *secret = (ig_secret *)(void *)memory;
  struct ig_secret_item *items = (struct ig_secret_item *)(void *)(secret + 1);
  char *plain = (char *)(items + IG_SOURCE_OPTIONS_MAX), *type_copy = plain + size;
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          (unsigned char *)plain, NULL, NULL, (const unsigned char *)sealed.data,
          sealed.len, (const unsigned char *)bound.data, bound.len,
          (const unsigned char *)nonce.data, key->bytes) != 0)
    return fail_damaged(name, reterr);
  memcpy(type_copy, type.data, type.len + 1);
  *secret = (ig_secret){.type = type_copy, .items = items};
  if (!read_plain(plain, size, items, &secret->count)) return fail_damaged(name, reterr);
  *ret_secret = (ig_secret *)(void *)IG_TAKE(memory);
  return IGLOO_OK;
}

igloo_status ig_secrets_get(ig_secrets *secrets, ig_tx *tx, struct ig_str name,
                            ig_secret **ret_secret, struct igloo_error *reterr) {
  IG_AUTO_CHAR *text = ig_str_dup(name);
  bool found;
  leave_no_cores();
  if (!text) return ig_fail_oom(reterr);
  IG_AUTO(ig_stmt) *row = NULL;
  IG_TRY(ig_tx_prepare(tx, &row, reterr,
                       "SELECT type, key, nonce, sealed FROM secret WHERE name = ?1", "s",
                       text));
  IG_TRY(ig_stmt_step(row, &found, reterr));
  if (!found) return fail_unknown(name, reterr);
  IG_AUTO(ig_key) *key = NULL;
  IG_TRY(ig_key_load(secrets->key_file, false, &key, reterr));
  return open_row(row, text, key, ret_secret, reterr);
}
