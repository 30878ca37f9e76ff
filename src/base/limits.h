/*
 * limits.h -- every bound, with why it is what it is.
 *
 * Reaching one is an error that names it. Those marked (default) can be
 * changed by a configuration key; the constant is then the key's default.
 */
#ifndef IG_BASE_LIMITS_H
#define IG_BASE_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#define IG_KIB ((size_t)1024)
#define IG_MIB (1024 * IG_KIB)
#define IG_GIB (1024 * IG_MIB)

/* SQL text */

/* (default) Tools generate up to some 100 KiB; Trino allows about as much. */
#define IG_SQL_BYTES_MAX IG_MIB

/* Offsets and columns stay far inside int32. */
#define IG_SQL_BYTES_LIMIT (64 * IG_MIB)

/* (default) 50 refuses real generated SQL; each level takes parser stack. */
#define IG_SQL_NESTING_MAX 200

/* What planning stacks of 64 MiB carry in a debug build. */
#define IG_SQL_NESTING_LIMIT 1000

/* (default) Weighed as in sql/guard.h, what plans in half a second: 400 `+`, 1,000
 * comparisons joined by OR, 200 joins. */
#define IG_SQL_OPERATORS_MAX 2000

/* One operator is at least one plan node: IG_PLAN_NODES_MAX. */
#define IG_SQL_OPERATORS_LIMIT 20000

/* An IN list that fills 1 MiB; the parser holds about 100 bytes per token. */
#define IG_SQL_TOKENS_MAX 400000

/* PostgreSQL's protocol has the same. */
#define IG_SQL_PARAMETERS_MAX 65535

/* Statements of one script: 1 MiB of short ones. */
#define IG_SQL_STATEMENTS_MAX 100000

/* catalog.schema.table.column has four; settings of the engine, which are refused by
 * name, have up to five. */
#define IG_SQL_NAME_PARTS_MAX 8

/* Names and values */

/* A file name's limit: schemas and tables are folders. */
#define IG_IDENTIFIER_BYTES_MAX 255

/* The longest is a search_path. */
#define IG_SETTING_BYTES_MAX (4 * IG_KIB)

/* Linux' PATH_MAX. */
#define IG_PATH_BYTES_MAX 4096

/* Common limit of HTTP software. */
#define IG_URI_BYTES_MAX (8 * IG_KIB)

/* Planning */

/* (default) Views and CTEs multiply; memory per node is about 1 KiB. */
#define IG_PLAN_NODES_MAX 20000

/* Views on views; deeper is a mistake, not a model. */
#define IG_VIEW_DEPTH_MAX 32

/* Cancelled while planning and not yet done: 8 x 64 MiB of stack. */
#define IG_PLANS_ABANDONED_MAX 8

/* Lazily touched; the SQL limits above are measured on it. */
#define IG_PLAN_STACK_BYTES (64 * IG_MIB)

/* Sessions and statements */

/* (default) As many connections as a server accepts. */
#define IG_SESSIONS_MAX 1024

/* Per session; a client that leaks handles shows early. */
#define IG_PREPARED_MAX 1024

/* (default) Planning threads, each with IG_PLAN_STACK_BYTES. */
#define IG_RUNNING_MAX 64

/* Of a result or table; a Parquet footer of some MiB. */
#define IG_COLUMNS_MAX 16384

/* Users and logins */

/* All are in memory, half a KiB each. */
#define IG_USERS_MAX 10000

/* Longer than any sentence; it travels in a header of 64 KiB at most. */
#define IG_PASSWORD_BYTES_MAX 1024

/* Two checks a 0.1 s: whoever waits longer than three seconds has given up. */
#define IG_LOGINS_QUEUED_MAX 64

/* Logins that share the checks of those: one for each session of a server. */
#define IG_LOGINS_WAITING_MAX 1024

/* How long a right password is known again without another check. */
#define IG_PASSWORD_REMEMBERED_US INT64_C(60000000)

/* Different right passwords within that minute; the oldest goes. */
#define IG_PASSWORDS_REMEMBERED_MAX 256

/* Peers whose wrong passwords are counted; the one that was right or quiet for longest
 * goes. */
#define IG_LOGIN_PEERS_MAX 1024

/* One for each connection of a large pool; the one unused for longest ends. */
#define IG_TOKENS_PER_USER_MAX 1024
#define IG_TOKENS_MAX 65536

/* A day without use, a month at most: pools live long, laptops get lost. */
#define IG_TOKEN_IDLE_US INT64_C(86400000000)
#define IG_TOKEN_AGE_US INT64_C(2592000000000)

/* Files */

/* Listing takes 10 s on a slow disk; more wants a catalog. */
#define IG_FILES_PER_TABLE_MAX 100000

/* Folders below the fixed part of a pattern. */
#define IG_GLOB_DEPTH_MAX 32

/* Log */

/* Log collectors cut lines there. */
#define IG_LOG_LINE_MAX (8 * IG_KIB)

#endif
