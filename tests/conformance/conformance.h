/*
 * conformance.h -- what the checks share.
 *
 * Each check runs in a process of its own, forked before the driver was loaded: a crash
 * or a hang is the failure of that check and of nothing else. So a check simply stops at
 * what is wrong, and cleans up only where that is what it looks at.
 *
 * Owns:    nothing.
 * Threads: a check makes the threads that it needs.
 * Blocks:  at most CHECK_SECONDS; the parent ends what takes longer.
 */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <arrow-adbc/adbc.h>
#include <nanoarrow/nanoarrow.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECK_SECONDS 30

typedef void (*check_function)(void);
struct check {
  const char *name; /* a sentence */
  check_function run;
};
/* Each file has one, ended by a NULL name. */
extern const struct check load_checks[], life_checks[], error_checks[], row_checks[],
    cancel_checks[], option_checks[], write_checks[], metadata_checks[];

/* ---- the driver ----------------------------------------------------------------------
 */

struct pair {
  const char *key, *value;
};

/* What the command line and the profile say. */
struct setup {
  const char *library, *entry;
  struct pair options[64]; /* of the database */
  size_t options_count;
  struct pair profile[128];
  size_t profile_count;
};
extern struct setup setup;
extern struct AdbcDriver driver; /* loaded, but in load_checks */

/* The profile's text; stops where there is none. `_or` gives what stands in. */
const char *profile(const char *key);
const char *profile_or(const char *key, const char *other);
long long profile_number(const char *key);

/* The init function of the library. */
AdbcDriverInitFunc load_library(void);

/* ---- saying what is wrong
 * -------------------------------------------------------------- */

_Noreturn void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define EXPECT(condition, ...)           \
  do {                                   \
    if (!(condition)) fail(__VA_ARGS__); \
  } while (0)

/* An error that is there to be filled; what it says, for messages. */
extern struct AdbcError error;
void expect_ok(AdbcStatusCode code, const char *what);
/* `code` is `expected` and an error was filled. */
void expect_code(AdbcStatusCode code, AdbcStatusCode expected, const char *what);
void expect_failure(AdbcStatusCode code, const char *what);
void expect_sqlstate(const char *sqlstate, const char *what);
void forget_error(void);
const char *code_name(AdbcStatusCode code);

/* ---- objects --------------------------------------------------------------------------
 */

void open_database(struct AdbcDatabase *database);
void open_connection(struct AdbcDatabase *database, struct AdbcConnection *connection);
void open_statement(struct AdbcConnection *connection, struct AdbcStatement *statement);
/* All three; the simple case. */
struct world {
  struct AdbcDatabase database;
  struct AdbcConnection connection;
  struct AdbcStatement statement;
};
void open_world(struct world *world);
void close_world(struct world *world);

/* Run a text that gives no rows (on a statement of its own). */
void run(struct AdbcConnection *connection, const char *sql);
/* Set the statement's query and execute it. */
void query(struct AdbcStatement *statement, const char *sql,
           struct ArrowArrayStream *ret_stream);
/* Make a table anew: `create` has "$table" for its name. */
void make_table(struct AdbcConnection *connection, const char *table, const char *create);
/* `text` with "$table" replaced by `table`. Never freed. */
const char *with_table(const char *text, const char *table);
/* Both as one text. Never freed. */
const char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- streams --------------------------------------------------------------------------
 */

struct ArrowSchema stream_schema(struct ArrowArrayStream *stream);
/* The next batch, checked in full against the schema; false at the end. */
bool next_batch(struct ArrowArrayStream *stream, const struct ArrowSchema *schema,
                struct ArrowArray *ret_batch);
/* Read to the end, checking each batch, and release. */
int64_t drain(struct ArrowArrayStream *stream);
/* The one row and column of a query, as a whole number of any type. */
int64_t query_number(struct AdbcConnection *connection, const char *sql);
/* Names, types and nullability of nested types are the same; metadata does not count, nor
 * whether top-level columns may be NULL where `loose`. */
void expect_same_schema(const struct ArrowSchema *a, const struct ArrowSchema *b,
                        bool loose, const char *what);
/* The text form of a schema. Never freed. */
const char *show_schema(const struct ArrowSchema *schema);

/* A stream of two columns (id int64, name utf8) and `rows` rows in batches of `batch`;
 * every third name is NULL. With `fail_after` >= 0 it fails after so many rows.
 * *ret_releases counts calls of release. */
void make_rows(struct ArrowArrayStream *ret_stream, int64_t rows, int64_t batch,
               int64_t fail_after, int *ret_releases);

#endif
