/* errors.c -- SQLite's results as ours. For SQLITE_ERROR, which stands for nearly
 * everything that a statement can do wrong, only its text tells more. */
#include "base/str.h"
#include "sqlite/sqlite.h"

struct mapping {
  int code; /* extended where there is one of interest, else primary */
  igloo_status status;
  const char *sqlstate;
};

/* Extended codes stand before the primary ones that they refine. */
static const struct mapping codes[] = {
    {SQLITE_CONSTRAINT_UNIQUE, IGLOO_CONSTRAINT, "23505"},
    {SQLITE_CONSTRAINT_PRIMARYKEY, IGLOO_CONSTRAINT, "23505"},
    {SQLITE_CONSTRAINT_ROWID, IGLOO_CONSTRAINT, "23505"},
    {SQLITE_CONSTRAINT_NOTNULL, IGLOO_CONSTRAINT, "23502"},
    {SQLITE_CONSTRAINT_FOREIGNKEY, IGLOO_CONSTRAINT, "23503"},
    {SQLITE_CONSTRAINT_CHECK, IGLOO_CONSTRAINT, "23514"},
    {SQLITE_CONSTRAINT_DATATYPE, IGLOO_DATA_ERROR, "42804"},
    {SQLITE_CONSTRAINT, IGLOO_CONSTRAINT, "23000"},
    {SQLITE_BUSY, IGLOO_FAILED_PRECONDITION, "55P03"},
    {SQLITE_LOCKED, IGLOO_FAILED_PRECONDITION, "55P03"},
    {SQLITE_READONLY, IGLOO_PERMISSION_DENIED, "25006"},
    {SQLITE_PERM, IGLOO_PERMISSION_DENIED, "42501"},
    {SQLITE_AUTH, IGLOO_PERMISSION_DENIED, "42501"},
    {SQLITE_INTERRUPT, IGLOO_CANCELLED, "57014"},
    {SQLITE_IOERR, IGLOO_IO_ERROR, "58030"},
    {SQLITE_CORRUPT, IGLOO_DATA_LOSS, "XX001"},
    {SQLITE_NOTADB, IGLOO_DATA_LOSS, "XX001"},
    {SQLITE_FULL, IGLOO_RESOURCE_EXHAUSTED, "53100"},
    {SQLITE_TOOBIG, IGLOO_RESOURCE_EXHAUSTED, "54000"},
    {SQLITE_MISMATCH, IGLOO_DATA_ERROR, "42804"},
    {SQLITE_RANGE, IGLOO_INVALID_ARGUMENT, "22023"},
    {SQLITE_SCHEMA, IGLOO_FAILED_PRECONDITION, "0A000"},
    {SQLITE_CANTOPEN, IGLOO_IO_ERROR, "58030"},
    {SQLITE_PROTOCOL, IGLOO_FAILED_PRECONDITION, "55P03"},
    {SQLITE_ERROR, IGLOO_INVALID_ARGUMENT, "42000"},
};

struct text_mapping {
  const char *part;
  igloo_status status;
  const char *sqlstate;
};

static const struct text_mapping texts[] = {
    {"no such table", IGLOO_NOT_FOUND, "42P01"},
    {"no such column", IGLOO_NOT_FOUND, "42703"},
    {"has no column named", IGLOO_NOT_FOUND, "42703"},
    {"no such function", IGLOO_NOT_FOUND, "42883"},
    {"no such module", IGLOO_UNSUPPORTED, "0A000"},
    {"already exists", IGLOO_ALREADY_EXISTS, "42P07"},
    {"ambiguous column name", IGLOO_INVALID_ARGUMENT, "42702"},
    {"syntax error", IGLOO_SYNTAX_ERROR, "42601"},
    {"unrecognized token", IGLOO_SYNTAX_ERROR, "42601"},
    {"incomplete input", IGLOO_SYNTAX_ERROR, "42601"},
    {"not authorized", IGLOO_PERMISSION_DENIED, "42501"},
    {"too many attached databases", IGLOO_PERMISSION_DENIED, "42501"},
    {"unsafe use of", IGLOO_PERMISSION_DENIED, "42501"},
    {"may not be modified", IGLOO_PERMISSION_DENIED, "42501"},
    {"integer overflow", IGLOO_DATA_ERROR, "22003"},
};

static struct mapping find_mapping(int code, const char *text) {
  struct mapping found = {code, IGLOO_INTERNAL, "XX000"};
  for (size_t i = 0; i < IG_ARRAY_LEN(codes); i++)
    if (codes[i].code == code || codes[i].code == (code & 0xff)) {
      found = codes[i];
      break;
    }
  if ((code & 0xff) != SQLITE_ERROR) return found;
  struct ig_str view = ig_str_from_cstr(text);
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++)
    if (ig_str_find(view, ig_str_from_cstr(texts[i].part)) != IG_STR_NONE) {
      found.status = texts[i].status;
      found.sqlstate = texts[i].sqlstate;
      break;
    }
  return found;
}

igloo_status igs_fail(sqlite3 *db, int code, struct igd_error *reterr) {
  int extended = db ? sqlite3_extended_errcode(db) : code;
  if ((extended & 0xff) != (code & 0xff)) extended = code;
  const char *text = db ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  reterr->vendor_code = extended;
  if ((code & 0xff) == SQLITE_NOMEM) return ig_fail_oom(&reterr->base);
  if ((code & 0xff) == SQLITE_INTERRUPT) return igd_fail_cancelled(reterr);
  struct mapping found = find_mapping(extended, text);
  igloo_status status =
      ig_fail_state(&reterr->base, found.status, found.sqlstate, "%s", text);
  if (ig_str_eq_cstr(IG_STR("55P03"), found.sqlstate)) reterr->base.retryable = 1;
  return status;
}

igloo_status igs_fail_open(sqlite3 *db, int code, const char *path,
                           struct igd_error *reterr) {
  int errnum = db ? sqlite3_system_errno(db) : 0;
  if ((code & 0xff) != SQLITE_CANTOPEN || errnum <= 0) {
    igloo_status status = igs_fail(db, code, reterr);
    ig_error_prefix(&reterr->base, "could not open database \"%s\"", path);
    return status;
  }
  reterr->vendor_code = sqlite3_extended_errcode(db);
  return ig_fail_errno(&reterr->base, errnum, "could not open database \"%s\"", path);
}
