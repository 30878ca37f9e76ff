/* complete.c -- see complete.h. */
#include "shell/complete.h"

#include <dirent.h>
#include <sys/stat.h>

#include "arrow/batches.h"
#include "base/limits.h"
#include "shell/dot.h"
#include "sql/quote.h"

#define NAMES_MAX ((size_t)50000)

static const char *const keywords[] = {
    "ALL",         "ALTER",     "ANALYZE",   "AND",       "ANTI",      "AS",
    "ASC",         "ATTACH",    "BETWEEN",   "BIGINT",    "BOOLEAN",   "BY",
    "CASE",        "CAST",      "COLUMNS",   "COPY",      "CREATE",    "CROSS",
    "CSV",         "CURRENT",   "DATE",      "DECIMAL",   "DELETE",    "DESC",
    "DESCRIBE",    "DISTINCT",  "DOUBLE",    "DROP",      "ELSE",      "END",
    "EXCEPT",      "EXCLUDE",   "EXECUTE",   "EXISTS",    "EXPLAIN",   "EXTERNAL",
    "EXTRACT",     "FALSE",     "FILTER",    "FIRST",     "FOLLOWING", "FORMAT",
    "FROM",        "FULL",      "FUNCTIONS", "GROUP",     "GROUPING",  "HAVING",
    "ILIKE",       "IN",        "INNER",     "INSERT",    "INTEGER",   "INTERSECT",
    "INTERVAL",    "INTO",      "IS",        "JOIN",      "LAST",      "LATERAL",
    "LEFT",        "LIKE",      "LIMIT",     "LOCATION",  "NATURAL",   "NOT",
    "NULL",        "NULLS",     "NUMERIC",   "OFFSET",    "ON",        "OR",
    "ORDER",       "OUTER",     "OVER",      "OVERWRITE", "PARQUET",   "PARTITION",
    "PARTITIONED", "PRECEDING", "PREPARE",   "QUALIFY",   "RANGE",     "RECURSIVE",
    "REPLACE",     "RESET",     "RIGHT",     "ROLLUP",    "ROWS",      "SCHEMA",
    "SCHEMAS",     "SELECT",    "SEMI",      "SET",       "SHOW",      "SMALLINT",
    "STORED",      "SUMMARIZE", "TABLE",     "TABLES",    "TEXT",      "THEN",
    "TIME",        "TIMESTAMP", "TO",        "TRUE",      "UNBOUNDED", "UNION",
    "UNNEST",      "USE",       "USING",     "VALUES",    "VARCHAR",   "VERBOSE",
    "VIEW",        "WHEN",      "WHERE",     "WINDOW",    "WITH",
};

void ig_names_done(struct ig_names *names) {
  for (size_t i = 0; i < names->count; i++) ig_free(names->items[i]);
  ig_free(names->items);
  names->items = NULL;
  names->count = names->cap = 0;
  names->fresh = false;
}

static igloo_status keep_name(struct ig_names *names, struct ig_str name,
                              struct igloo_error *reterr) {
  if (names->count == NAMES_MAX) return IGLOO_OK; /* the rest has to be typed */
  IG_TRY(
      IG_RESERVE(names->items, names->cap, names->count + 1, NAMES_MAX, "names", reterr));
  char *copy = ig_str_dup(name);
  if (!copy) return ig_fail_oom(reterr);
  names->items[names->count++] = copy;
  return IGLOO_OK;
}

/* Operators are functions too, but nobody completes them. */
static bool is_word(struct ig_str name) {
  unsigned char first = name.len > 0 ? (unsigned char)name.data[0] : 0;
  return ig_ascii_is_alpha((char)first) || ig_ascii_is_digit((char)first) ||
         first == '_' || first >= 0x80;
}

/* Names that need quotes are offered with them. */
static igloo_status keep_rows(struct ig_names *names, struct ig_batches *result,
                              struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) name = IG_BUF_INIT(IG_KIB), quoted = IG_BUF_INIT(4 * IG_KIB);
  for (bool more = true; more;) {
    IG_TRY(ig_batches_next(result, &more, reterr));
    for (int64_t i = 0; i < result->batch_rows; i++) {
      ig_buf_clear(&name);
      ig_buf_clear(&quoted);
      ig_value_text(result->columns[0].printer, result->batch_first + i, &name);
      ig_sql_append_name(&quoted, ig_buf_str(&name));
      ig_buf_fail_with(&quoted, &name);
      if (quoted.failed == IGLOO_OUT_OF_MEMORY) return ig_fail_oom(reterr);
      bool is_offered = quoted.failed == IGLOO_OK && is_word(ig_buf_str(&name));
      if (is_offered) IG_TRY(keep_name(names, ig_buf_str(&quoted), reterr));
    }
  }
  return IGLOO_OK;
}

static igloo_status ask(struct ig_names *names, const char *sql,
                        struct igloo_error *reterr) {
  IG_AUTO_STREAM rows = {0};
  IG_TRY(igloo_query(names->connection, sql, &rows, NULL, reterr));
  struct ig_batches result __attribute__((cleanup(ig_batches_done)));
  IG_TRY(ig_batches_open(&rows, &result, reterr));
  return result.columns_count > 0 ? keep_rows(names, &result, reterr) : IGLOO_OK;
}

/* Completion is help: what cannot be asked is not offered, and asked again next time. */
static void refresh(struct ig_names *names) {
  static const char *const questions[] = {
      "SELECT table_name FROM information_schema.tables",
      "SELECT DISTINCT table_schema FROM information_schema.tables",
      "SELECT DISTINCT column_name FROM information_schema.columns", "SHOW FUNCTIONS"};
  if (names->fresh || !names->connection) return;
  ig_names_done(names);
  names->fresh = true;
  for (size_t i = 0; i < IG_ARRAY_LEN(questions); i++)
    if (ask(names, questions[i], NULL) != IGLOO_OK) names->fresh = false;
}

typedef void (*add_fn)(void *ctx, struct ig_str candidate);

/* `path` ends with the word that is completed; `end` follows the name of a file. */
static void offer_files(struct ig_str path, struct ig_str word, const char *end,
                        add_fn add, void *ctx) {
  size_t name_at = 0;
  for (size_t i = 0; i < path.len; i++)
    if (path.data[i] == '/') name_at = i + 1;
  struct ig_str start = ig_str_sub(path, name_at, SIZE_MAX);
  size_t typed = start.len - (word.len < start.len ? word.len : start.len);
  IG_AUTO_CHAR *folder =
      name_at == 0 ? ig_strdup(".") : ig_str_dup(ig_str_sub(path, 0, name_at));
  DIR *entries = folder ? opendir(folder) : NULL;
  if (!entries) return;
  for (struct dirent *entry; (entry = readdir(entries));) {
    struct ig_str name = ig_str_from_cstr(entry->d_name);
    if (!ig_str_starts(name, start) || (name.data[0] == '.' && start.len == 0)) continue;
    struct stat info;
    bool is_folder =
        fstatat(dirfd(entries), entry->d_name, &info, 0) == 0 && S_ISDIR(info.st_mode);
    IG_AUTO_CHAR *offered =
        ig_asprintf("%s%s", entry->d_name + typed, is_folder ? "/" : end);
    if (offered) add(ctx, ig_str_from_cstr(offered));
  }
  (void)closedir(entries);
}

/* The start of the text that is open at the end of `line`, or IG_STR_NONE. */
static size_t open_quote(struct ig_str line) {
  size_t start = IG_STR_NONE;
  for (size_t i = 0; i < line.len; i++)
    if (line.data[i] == '\'') start = start == IG_STR_NONE ? i + 1 : IG_STR_NONE;
  return start;
}

static void offer_keywords(struct ig_str word, add_fn add, void *ctx) {
  bool lower = word.len > 0 && ig_ascii_lower(word.data[0]) == word.data[0];
  for (size_t i = 0; i < IG_ARRAY_LEN(keywords); i++) {
    if (!ig_str_starts_ci(ig_str_from_cstr(keywords[i]), word)) continue;
    IG_AUTO_CHAR *cased = ig_strdup(keywords[i]);
    for (char *at = cased; lower && at && *at; at++) *at = ig_ascii_lower(*at);
    if (cased) add(ctx, ig_str_from_cstr(cased));
  }
}

/* After `table.` the part after the dot is completed, and the rest given back as typed.
 */
static void offer_names(const struct ig_names *names, struct ig_str word, add_fn add,
                        void *ctx) {
  size_t dot = 0;
  for (size_t i = 0; i < word.len; i++)
    if (word.data[i] == '.') dot = i + 1;
  struct ig_str start = ig_str_sub(word, dot, SIZE_MAX);
  for (size_t i = 0; i < names->count; i++) {
    if (!ig_str_starts_ci(ig_str_from_cstr(names->items[i]), start)) continue;
    IG_AUTO_CHAR *whole =
        ig_asprintf("%.*s%s", IG_STR_ARG(ig_str_sub(word, 0, dot)), names->items[i]);
    if (whole) add(ctx, ig_str_from_cstr(whole));
  }
}

void ig_names_complete(struct ig_names *names, struct ig_str before, struct ig_str word,
                       add_fn add, void *ctx) {
  size_t path_at = open_quote(before);
  const char *end = "'";
  if (path_at == IG_STR_NONE && ig_dot_takes_file(before)) {
    path_at = ig_str_find_char(before, ' ') + 1;
    end = "";
  }
  if (path_at != IG_STR_NONE) {
    struct ig_str folder = ig_str_sub(before, path_at, SIZE_MAX);
    IG_AUTO_CHAR *path = ig_asprintf("%.*s%.*s", IG_STR_ARG(folder), IG_STR_ARG(word));
    if (path) offer_files(ig_str_from_cstr(path), word, end, add, ctx);
    return;
  }
  if (before.len == 0 && word.len > 0 && (word.data[0] == '.' || word.data[0] == '\\')) {
    ig_dot_names(word, add, ctx);
    return;
  }
  refresh(names);
  offer_keywords(word, add, ctx);
  offer_names(names, word, add, ctx);
}
