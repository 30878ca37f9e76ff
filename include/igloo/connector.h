/*
 * connector.h -- what a dialect is: the part of a source that writes its language.
 *
 * A connector is an ADBC driver, which moves Arrow, and a dialect, which says what of a
 * query the source can do and writes the text that asks it to. Dialects do no I/O. One
 * may come from a shared library: it exports `igloo_dialect_init`.
 *
 * Everything here is borrowed for the call, unless it says otherwise. Structs grow at
 * their ends; `struct_size` and `abi_version` tell which fields are there.
 *
 * Owns:    nothing.
 * Threads: the functions of a dialect are called from any thread, several at once, and
 *          keep no state.
 * Blocks:  never; classifying a conjunct takes less than 100 microseconds.
 */
#ifndef IGLOO_CONNECTOR_H
#define IGLOO_CONNECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <igloo/arrow.h>
#include <igloo/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IGLOO_CONNECTOR_ABI_VERSION 1

/* ---- expressions ---------------------------------------------------------------- */

enum igloo_expr_kind {
  IGLOO_EXPR_COLUMN = 1, /* `column` */
  IGLOO_EXPR_LITERAL,    /* `value` */
  IGLOO_EXPR_CAST,       /* children[0] to `type`; IGLOO_EXPR_TRY: NULL where it fails */
  IGLOO_EXPR_COMPARE,    /* children[0] `op` children[1] */
  IGLOO_EXPR_AND,        /* two or more children */
  IGLOO_EXPR_OR,         /* two or more children */
  IGLOO_EXPR_NOT,        /* children[0] */
  IGLOO_EXPR_IS_NULL,    /* children[0]; NEGATED: IS NOT NULL */
  IGLOO_EXPR_IN_LIST,    /* children[0] among the others */
  IGLOO_EXPR_BETWEEN,    /* children[0] between children[1] and children[2] */
  IGLOO_EXPR_LIKE,       /* children[0] like children[1]; `escape`, IGNORE_CASE */
  IGLOO_EXPR_ARITHMETIC, /* children[0] `op` children[1]; one child: -children[0] */
  IGLOO_EXPR_FUNCTION,   /* `name`(children) */
  IGLOO_EXPR_CASE,       /* [operand,] when, then, ..., [else]; see flags */
  IGLOO_EXPR_OPAQUE,     /* what has no form here; `name` is its text */
};

enum igloo_expr_op {
  IGLOO_OP_NONE = 0,
  IGLOO_OP_EQ,
  IGLOO_OP_NE,
  IGLOO_OP_LT,
  IGLOO_OP_LE,
  IGLOO_OP_GT,
  IGLOO_OP_GE,
  IGLOO_OP_DISTINCT,     /* IS DISTINCT FROM */
  IGLOO_OP_NOT_DISTINCT, /* IS NOT DISTINCT FROM */
  IGLOO_OP_ADD,
  IGLOO_OP_SUBTRACT,
  IGLOO_OP_MULTIPLY,
  IGLOO_OP_DIVIDE,
  IGLOO_OP_MODULO,
};

enum igloo_expr_flag {
  IGLOO_EXPR_NEGATED = 1,     /* IS NOT NULL, NOT IN, NOT BETWEEN, NOT LIKE */
  IGLOO_EXPR_IGNORE_CASE = 2, /* ILIKE */
  IGLOO_EXPR_TRY = 4,
  IGLOO_EXPR_HAS_OPERAND = 16, /* CASE x WHEN: the first child is x */
  IGLOO_EXPR_HAS_ELSE = 32,    /* CASE: the last child is the ELSE */
};

/* A node. Comparisons and logic are those of SQL, with NULL; text is compared by its
 * bytes. Of floating point values NaN is above all and equal to itself; -0.0 and 0.0 are
 * one value, but for IN_LIST and sorting, where -0.0 is another and the lower one. */
struct igloo_expr {
  int32_t kind;                   /* enum igloo_expr_kind */
  int32_t op;                     /* enum igloo_expr_op */
  uint32_t flags;                 /* of enum igloo_expr_flag */
  int32_t column;                 /* COLUMN: index in the table's columns; else -1 */
  const struct ArrowSchema *type; /* of the node's values */
  const struct ArrowArray *value; /* LITERAL: one row of `type`; else NULL */
  const char *name; /* FUNCTION, OPAQUE, COLUMN: UTF-8, `name_length` bytes */
  size_t name_length;
  int32_t escape; /* LIKE: a Unicode character, or 0 for none */
  int32_t reserved0;
  const struct igloo_expr *const *children;
  size_t children_count;
};

/* Order by one column. */
struct igloo_sort {
  int32_t column;
  bool descending;
  bool nulls_first;
};

/* ---- what the dialect is told ------------------------------------------------------ */

struct igloo_column {
  const char *name;
  const struct ArrowSchema *type; /* the promise: what a query sees */
  const char *source_type; /* as the source writes it, "" if unknown: "numeric(9,2)" */
  const char *collation;   /* of text, as the driver tells it; "" if unknown */
  bool nullable;
  bool fits; /* the source cannot hold a value of another type here */
};

enum igloo_table_kind {
  IGLOO_TABLE_BASE = 1,
  IGLOO_TABLE_VIEW,
  IGLOO_TABLE_PARTITIONED,
  IGLOO_TABLE_FOREIGN,
  IGLOO_TABLE_QUERY, /* remote_query(): `name` is the text of the query */
};

struct igloo_table {
  size_t struct_size;
  int32_t kind;                        /* enum igloo_table_kind */
  const char *catalog, *schema, *name; /* as the source knows them; NULL: none */
  const struct igloo_column *columns;
  size_t columns_count;
  int64_t rows, pages; /* estimates; -1: unknown */
  const char *key;     /* a whole-number key that may be split by ranges, or NULL */
  int64_t key_min, key_max;
  int32_t server_version; /* as the dialect counts; 0 unknown */
  const char *misfit;   /* what the driver makes of a value that does not fit its column:
                           "error", "null", "text"; "" if unknown */
  const char *datetime; /* how a source without types for them holds dates and times, as
                           the driver tells it; "" if unknown */
};

/* Text that grows. `append` is the caller's; a failure is remembered there. */
struct igloo_text {
  void *ctx;
  void (*append)(void *ctx, const char *bytes, size_t length);
};

enum igloo_push {
  IGLOO_PUSH_NO = 0,
  IGLOO_PUSH_INEXACT, /* the text keeps every row that the conjunct keeps, perhaps more */
  IGLOO_PUSH_EXACT,   /* the text keeps just those */
};

/* One part of a scan, to be written. */
struct igloo_select {
  size_t struct_size;
  const int32_t *columns; /* in the order of the result; none: rows are only counted, and
                             what columns the statement gives is not looked at */
  size_t columns_count;
  const char *where; /* the accepted conjuncts joined by AND; NULL: all rows */
  const char *split; /* a condition that `splits` gave; NULL: all of it */
  const struct igloo_sort *sort;
  size_t sort_count;
  int64_t limit; /* -1: none */
};

/* ---- the dialect ------------------------------------------------------------------- */

struct igloo_dialect {
  uint32_t abi_version;
  size_t struct_size;
  const char *name;           /* the TYPE of ATTACH */
  const char *snapshot_begin; /* gives one text: the snapshot's name; NULL: no snapshots.
                                 Runs in a transaction that stays open */
  const char *snapshot_join;  /* `%s` is the name, already a literal; NULL: none */
  const char *const *session_init; /* statements for each new connection; NULL ends */

  /* Say how the source can do `conjunct`, and, unless the answer is NO, write it to
   * `text` (NULL: only the answer is wanted, which is the same). On NO and INEXACT
   * *ret_reason is why, static and short, in the words of EXPLAIN. */
  enum igloo_push (*conjunct)(const struct igloo_table *table,
                              const struct igloo_expr *conjunct, struct igloo_text *text,
                              const char **ret_reason);
  /* True where ORDER BY this in the source is the order of the engine, for all values. */
  bool (*sorts)(const struct igloo_table *table, const struct igloo_sort *sort,
                size_t sort_count, const char **ret_reason);
  /* Write the statement that reads a part. */
  void (*select)(const struct igloo_table *table, const struct igloo_select *what,
                 struct igloo_text *text);
  /* Write the condition of part `index` of `count`; together they hold each row once.
   * Returns false where the table cannot be split; where `text` is NULL, only that is
   * wanted. */
  bool (*split)(const struct igloo_table *table, uint32_t index, uint32_t count,
                struct igloo_text *text);
  void (*identifier)(const char *name, struct igloo_text *text);    /* quoted */
  void (*literal)(const char *text_value, struct igloo_text *text); /* a text, quoted */
  bool limits; /* `select` can write a limit */
};

/* What a shared library exports; NULL where `abi_version` is not one of its own. */
#define IGLOO_DIALECT_INIT "igloo_dialect_init"
typedef const struct igloo_dialect *(*igloo_dialect_init_function)(uint32_t abi_version);

#ifdef __cplusplus
}
#endif

#endif
