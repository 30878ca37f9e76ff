/* step.c -- how fast SQLite gives rows to a program that looks at every value and keeps
 * none: what reading them as Arrow is held against.
 *
 *     step FILE QUERY
 *
 * The last line is JSON: seconds, rows, bytes of texts and blobs, peak memory, CPU time.
 */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static _Noreturn void give_up(const char *what, sqlite3 *db) {
  (void)fprintf(stderr, "%s: %s\n", what, db ? sqlite3_errmsg(db) : "see step.c");
  exit(1);
}

static double now(void) {
  struct timespec at;
  (void)clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* What cannot be left out: the sum depends on every value. */
struct seen {
  int64_t rows, bytes, numbers;
  double reals;
};

static void look(sqlite3_stmt *row, int column, struct seen *seen) {
  switch (sqlite3_column_type(row, column)) {
    case SQLITE_INTEGER:
      seen->numbers ^= sqlite3_column_int64(row, column);
      break;
    case SQLITE_FLOAT:
      seen->reals += sqlite3_column_double(row, column);
      break;
    case SQLITE_TEXT:
      seen->numbers ^= *sqlite3_column_text(row, column);
      seen->bytes += sqlite3_column_bytes(row, column);
      break;
    case SQLITE_BLOB:
      (void)sqlite3_column_blob(row, column);
      seen->bytes += sqlite3_column_bytes(row, column);
      break;
    default:
      break;
  }
}

int main(int argc, char **argv) {
  sqlite3 *db = NULL;
  sqlite3_stmt *rows = NULL;
  struct seen seen = {0};
  int code;
  if (argc != 3) give_up("usage", NULL);
  double began = now();
  if (sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
          SQLITE_OK ||
      sqlite3_prepare_v2(db, argv[2], -1, &rows, NULL) != SQLITE_OK)
    give_up("opening", db);
  int columns = sqlite3_column_count(rows);
  while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
    for (int i = 0; i < columns; i++) look(rows, i, &seen);
    seen.rows++;
  }
  if (code != SQLITE_DONE) give_up("reading", db);
  (void)sqlite3_finalize(rows);
  (void)sqlite3_close(db);
  double seconds = now() - began;
  struct rusage used;
  (void)getrusage(RUSAGE_SELF, &used);
  (void)fprintf(stderr, "%lld %f\n", (long long)seen.numbers, seen.reals);
  (void)printf("{\"seconds\": %.6f, \"rows\": %lld, \"bytes\": %lld, \"cpu\": %.3f}\n",
               seconds, (long long)seen.rows, (long long)seen.bytes,
               (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                   (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
  return 0;
}
