/*
 * store.h -- one SQLite database: migrations, one transaction object, statements.
 *
 * Durable state of Igloo lives in one database in WAL mode with
 * synchronous=FULL: a committed transaction survives a killed process and a
 * power cut. All work happens inside an ig_tx, of which a store has one at a
 * time: modules of higher layers get the same transaction passed, so that what
 * belongs together is one commit.
 *
 * Owns:    the connection and its prepared statements.
 * Threads: a store may be shared; ig_tx_begin waits for the other transaction
 *          to end. A transaction is used by one thread.
 * Blocks:  ig_tx_begin at most IG_STORE_WAIT_US; the others in the disk.
 */
#ifndef IG_STORE_STORE_H
#define IG_STORE_STORE_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

/* A transaction of ours takes milliseconds; longer is a defect or a stuck disk. */
#define IG_STORE_WAIT_US INT64_C(30000000)

/* Prepared statements kept; every SQL text is a literal in our code. */
#define IG_STORE_STATEMENTS_MAX 256

typedef struct ig_store ig_store;
typedef struct ig_tx ig_tx;
typedef struct ig_stmt ig_stmt; /* belongs to its transaction */

/* Open or create the database file, mode 0600. Gives *ret_store (free: ig_store_close).
 * One that is not `durable` is in memory alone: `path` is its name in messages.
 * Returns DATA_LOSS XX001 if it is no database or damaged, PERMISSION_DENIED,
 * RESOURCE_EXHAUSTED 53100, FAILED_PRECONDITION 55006 if another process writes. */
IG_NODISCARD igloo_status ig_store_open(const char *path, bool durable,
                                        ig_store **ret_store, struct igloo_error *reterr);

/* Every transaction must have ended. Takes NULL; returns NULL. */
ig_store *ig_store_close(ig_store *store);
IG_DEFINE_AUTO(ig_store, ig_store_close)

/* Bring the tables of one component ("catalog", "auth") to the newest version: step i of
 * `steps` (one or more SQL statements each) makes version i+1. All missing steps are one
 * transaction. Returns FAILED_PRECONDITION 55000 if the file is of a newer version. */
IG_NODISCARD igloo_status ig_store_migrate(ig_store *store, const char *component,
                                           const char *const *steps, size_t steps_count,
                                           struct igloo_error *reterr);

/* Begin to read and write. Gives *ret_tx, which ends by ig_tx_commit or ig_tx_rollback.
 * Returns DEADLINE_EXCEEDED if another transaction did not end in IG_STORE_WAIT_US. */
IG_NODISCARD igloo_status ig_tx_begin(ig_store *store, ig_tx **ret_tx,
                                      struct igloo_error *reterr);

/* Make it durable. Takes the transaction, also on failure. *ret_uncertain (may be NULL)
 * is true after a failure that does not tell whether the commit reached the disk (an
 * fsync failed): the next opening decides. */
IG_NODISCARD igloo_status ig_tx_commit(ig_tx *tx, bool *ret_uncertain,
                                       struct igloo_error *reterr);

/* Undo. Takes NULL; returns NULL. */
ig_tx *ig_tx_rollback(ig_tx *tx);
IG_DEFINE_AUTO(ig_tx, ig_tx_rollback)

/* A statement with its parameters `?1` … bound. The store keeps what it prepared:
 * `sql` is one of a few texts in our code, never made of data. `types` has one letter for
 * each following argument: s const char * (NULL is NULL), i int64_t, b struct ig_str as a
 * blob (NULL data is NULL). Gives *ret_stmt; end it by ig_stmt_end. Texts and blobs are
 * borrowed until then. */
IG_NODISCARD igloo_status ig_tx_prepare(ig_tx *tx, ig_stmt **ret_stmt,
                                        struct igloo_error *reterr, const char *sql,
                                        const char *types, ...);

/* Step to the next row; *ret_row is false at the end. Returns CONSTRAINT 23505 where a
 * unique value exists, RESOURCE_EXHAUSTED 53100, DATA_LOSS XX001, IO_ERROR. */
IG_NODISCARD igloo_status ig_stmt_step(ig_stmt *stmt, bool *ret_row,
                                       struct igloo_error *reterr);

/* Column `index` (from 0) of the row. Text and blob are borrowed until the next step;
 * NULL gives NULL data. */
int64_t ig_stmt_i64(ig_stmt *stmt, int index);
struct ig_str ig_stmt_str(ig_stmt *stmt, int index); /* text and blob alike */
bool ig_stmt_is_null(ig_stmt *stmt, int index);

void ig_stmt_end(ig_stmt *stmt); /* takes NULL */
static inline ig_stmt *ig_stmt_end_auto(ig_stmt *stmt) {
  ig_stmt_end(stmt);
  return NULL;
}
IG_DEFINE_AUTO(ig_stmt, ig_stmt_end_auto)

/* Prepare, step until the end, end: for statements without rows. *ret_changes (may be
 * NULL) is the number of rows changed. */
IG_NODISCARD igloo_status ig_tx_run(ig_tx *tx, int64_t *ret_changes,
                                    struct igloo_error *reterr, const char *sql,
                                    const char *types, ...);

/* The rowid of the last INSERT. */
int64_t ig_tx_last_id(const ig_tx *tx);

#endif
