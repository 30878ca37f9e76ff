/* lookup.c -- how long one row by its key takes out of PostgreSQL: by libpq itself, and
 * by a statement of an Igloo in this process that has the database attached.
 *
 *     lookup libpq URI COUNT ROWS
 *     lookup igloo|prepared URI COUNT ROWS
 *
 * The table is items (id bigint primary key, name text) with keys 1 to ROWS; each lookup
 * is of another key. A tenth of COUNT is done before, to warm up. The last line is JSON:
 * how many, and the microseconds within which half and 99 % were done. */
#include <igloo/igloo.h>
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static _Noreturn void give_up(const char *what, const char *why) {
  (void)fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static PGconn *pg;
static igloo_connection *con;
static igloo_statement *statement;

static void by_libpq(long long key) {
  char text[128];
  (void)snprintf(text, sizeof(text), "SELECT id, name FROM items WHERE id = %lld", key);
  PGresult *result = PQexec(pg, text);
  if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
    give_up("libpq", PQerrorMessage(pg));
  PQclear(result);
}

static void take_one_row(struct ArrowArrayStream *rows) {
  struct ArrowArray batch;
  int64_t count = 0;
  for (;;) {
    if (rows->get_next(rows, &batch) != 0) give_up("reading", rows->get_last_error(rows));
    if (!batch.release) break;
    count += batch.length;
    batch.release(&batch);
  }
  rows->release(rows);
  if (count != 1) give_up("reading", "not one row");
}

static void by_igloo(long long key) {
  char text[128];
  struct ArrowArrayStream rows;
  struct igloo_error error;
  (void)snprintf(text, sizeof(text), "SELECT id, name FROM pg.items WHERE id = %lld",
                 key);
  if (igloo_query(con, text, &rows, NULL, &error) != IGLOO_OK)
    give_up("query", error.message);
  take_one_row(&rows);
}

static void by_prepared(long long key) {
  struct ArrowArrayStream rows;
  struct igloo_error error;
  if (igloo_bind_int64(statement, 1, key, &error) != IGLOO_OK ||
      igloo_execute(statement, &rows, NULL, &error) != IGLOO_OK)
    give_up("execute", error.message);
  take_one_row(&rows);
}

static void open_igloo(const char *uri, int prepare) {
  char attach[512];
  igloo_database *database = NULL;
  struct ArrowArrayStream rows;
  struct igloo_error error;
  (void)snprintf(attach, sizeof(attach), "ATTACH '%s' AS pg (TYPE postgresql, READ_ONLY)",
                 uri);
  if (igloo_database_open(NULL, NULL, 0, &database, &error) != IGLOO_OK ||
      igloo_connect(database, &con, &error) != IGLOO_OK ||
      igloo_query(con, attach, &rows, NULL, &error) != IGLOO_OK)
    give_up("attaching", error.message);
  rows.release(&rows);
  if (prepare && igloo_prepare(con, "SELECT id, name FROM pg.items WHERE id = $1",
                               &statement, &error) != IGLOO_OK)
    give_up("preparing", error.message);
}

static int compare(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 5) give_up("usage", "lookup libpq|igloo|prepared URI COUNT ROWS");
  long count = strtol(argv[3], NULL, 10), keys = strtol(argv[4], NULL, 10);
  int64_t *ns = calloc((size_t)count + 1, sizeof(*ns));
  if (!ns || count < 10) give_up("usage", "COUNT");
  void (*look)(long long key) = by_libpq;
  if (strcmp(argv[1], "libpq") == 0) {
    pg = PQconnectdb(argv[2]);
    if (PQstatus(pg) != CONNECTION_OK) give_up("connecting", PQerrorMessage(pg));
  } else {
    look = strcmp(argv[1], "prepared") == 0 ? by_prepared : by_igloo;
    open_igloo(argv[2], look == by_prepared);
  }
  for (long i = -count / 10; i < count; i++) {
    int64_t began = now_ns();
    look(1 + (i + count) * 7919 % keys);
    if (i >= 0) ns[i] = now_ns() - began;
  }
  qsort(ns, (size_t)count, sizeof(*ns), compare);
  (void)printf("{\"count\": %ld, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", count,
               (double)ns[count / 2] / 1e3, (double)ns[count - 1 - count / 100] / 1e3);
  return 0;
}
