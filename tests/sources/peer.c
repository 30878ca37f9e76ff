/* peer.c -- the dialects as a small library, so that Python can hold what they write
 * against real servers. Tables come as lines of tab-separated fields, expressions in the
 * notation of tests/unit/connector/expressions.h. */
#include "connector/dialect.h"
#include "unit/connector/expressions.h"

#define COLUMNS_MAX 64
#define TEXT_BYTES (1024 * 1024)

struct peer_table {
  char *lines; /* the fields point into it */
  struct igloo_table table;
  struct igloo_column columns[COLUMNS_MAX];
  struct ArrowSchema types[COLUMNS_MAX];
};

struct peer_table *peer_table_new(const char *lines);
void peer_table_free(struct peer_table *peer);
int peer_conjunct(const char *dialect, const struct peer_table *peer,
                  const char *notation, char *text, const char **ret_reason);
int peer_sorts(const char *dialect, const struct peer_table *peer, int column,
               const char **ret_reason);
int peer_select(const char *dialect, const struct peer_table *peer, const char *columns,
                const char *where, const char *split, const char *sort, int64_t limit,
                char *text);
int peer_split(const char *dialect, const struct peer_table *peer, uint32_t index,
               uint32_t count, char *text);
void peer_identifier(const char *dialect, const char *name, char *text);
void peer_literal(const char *dialect, const char *value, char *text);

static char *field(char **rest) {
  char *start = *rest, *end = strchr(start, '\t');
  *rest = end ? end + 1 : start + strlen(start);
  if (end) *end = '\0';
  return start;
}

/* First line: kind, schema, name, key, key_min, key_max, pages, version, misfit,
 * datetime; then for each column name, format, source type, collation, fits. */
struct peer_table *peer_table_new(const char *lines) {
  struct peer_table *peer = calloc(1, sizeof(*peer));
  if (!peer) abort();
  peer->lines = strdup(lines);
  struct igloo_table *table = &peer->table;
  char *rest = peer->lines, *line = strsep(&rest, "\n");
  table->struct_size = sizeof(*table);
  table->kind = (int32_t)strtol(field(&line), NULL, 10);
  table->schema = field(&line);
  table->name = field(&line);
  table->key = field(&line);
  table->key = *table->key ? table->key : NULL;
  table->key_min = strtoll(field(&line), NULL, 10);
  table->key_max = strtoll(field(&line), NULL, 10);
  table->pages = strtoll(field(&line), NULL, 10);
  table->server_version = (int32_t)strtol(field(&line), NULL, 10);
  table->misfit = field(&line);
  table->datetime = field(&line);
  table->rows = -1;
  table->columns = peer->columns;
  while (rest && *rest && table->columns_count < COLUMNS_MAX) {
    size_t i = table->columns_count++;
    line = strsep(&rest, "\n");
    struct igloo_column *column = &peer->columns[i];
    *column = (struct igloo_column){
        .name = field(&line), .type = &peer->types[i], .nullable = true};
    peer->types[i] = (struct ArrowSchema){.format = field(&line), .name = column->name};
    column->source_type = field(&line);
    column->collation = field(&line);
    column->fits = *field(&line) == '1';
  }
  return peer;
}

void peer_table_free(struct peer_table *peer) {
  free(peer->lines);
  free(peer);
}

static const struct igloo_dialect *find(const char *name) {
  const struct igloo_dialect *dialect = ig_dialect_find(ig_str_from_cstr(name));
  if (!dialect) abort();
  return dialect;
}

static void give(struct ig_buf *buf, char *text) {
  if (ig_buf_check(buf, NULL) != IGLOO_OK) abort();
  if (buf->len > 0) memcpy(text, buf->data, buf->len);
  text[buf->len] = '\0';
  ig_buf_done(buf);
}

/* The push, or -1 where the notation is wrong, or -2 where asking and writing differ. */
int peer_conjunct(const char *dialect, const struct peer_table *peer,
                  const char *notation, char *text, const char **ret_reason) {
  static struct expressions made;
  const struct igloo_expr *expr = expressions_read(&made, &peer->table, notation);
  int push = -1;
  if (expr) {
    struct ig_buf where = IG_BUF_INIT(TEXT_BYTES - 1);
    const char *asked_reason = NULL;
    push =
        (int)ig_dialect_conjunct(find(dialect), &peer->table, expr, &where, ret_reason);
    int asked =
        (int)ig_dialect_conjunct(find(dialect), &peer->table, expr, NULL, &asked_reason);
    if (asked != push || asked_reason != *ret_reason) push = -2;
    give(&where, text);
  }
  expressions_done(&made);
  return push;
}

int peer_sorts(const char *dialect, const struct peer_table *peer, int column,
               const char **ret_reason) {
  struct igloo_sort sort = {.column = column};
  return find(dialect)->sorts(&peer->table, &sort, 1, ret_reason);
}

/* Columns as "0 2"; sort as "1d 0af": index, a or d, f where NULLs come first. */
int peer_select(const char *dialect, const struct peer_table *peer, const char *columns,
                const char *where, const char *split, const char *sort, int64_t limit,
                char *text) {
  int32_t list[COLUMNS_MAX];
  struct igloo_sort sorts[COLUMNS_MAX];
  struct igloo_select what = {.struct_size = sizeof(what),
                              .columns = list,
                              .where = *where ? where : NULL,
                              .split = *split ? split : NULL,
                              .sort = sorts,
                              .limit = limit};
  char *end = NULL;
  for (const char *at = columns; *at; at = end + (*end == ' '))
    list[what.columns_count++] = (int32_t)strtol(at, &end, 10);
  for (const char *at = sort; *at; at = end + (*end == ' ')) {
    struct igloo_sort *one = &sorts[what.sort_count++];
    one->column = (int32_t)strtol(at, &end, 10);
    one->descending = *end++ == 'd';
    one->nulls_first = *end == 'f';
    end += *end == 'f';
  }
  struct ig_buf buf = IG_BUF_INIT(TEXT_BYTES - 1);
  struct igloo_text out = ig_dialect_text(&buf);
  find(dialect)->select(&peer->table, &what, &out);
  give(&buf, text);
  return 0;
}

int peer_split(const char *dialect, const struct peer_table *peer, uint32_t index,
               uint32_t count, char *text) {
  struct ig_buf buf = IG_BUF_INIT(TEXT_BYTES - 1);
  struct igloo_text out = ig_dialect_text(&buf);
  bool can = find(dialect)->split(&peer->table, index, count, &out);
  give(&buf, text);
  return can;
}

void peer_identifier(const char *dialect, const char *name, char *text) {
  struct ig_buf buf = IG_BUF_INIT(TEXT_BYTES - 1);
  struct igloo_text out = ig_dialect_text(&buf);
  find(dialect)->identifier(name, &out);
  give(&buf, text);
}

void peer_literal(const char *dialect, const char *value, char *text) {
  struct ig_buf buf = IG_BUF_INIT(TEXT_BYTES - 1);
  struct igloo_text out = ig_dialect_text(&buf);
  find(dialect)->literal(value, &out);
  give(&buf, text);
}
