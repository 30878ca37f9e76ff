/*
 * dialect_core.h -- what the dialects share: reading types and literals, and the walk
 * over an expression.
 *
 * A dialect is a struct ig_language: rules, which say for every kind of column what may
 * be asked of it, and functions that write its names and literals. The walk classifies
 * and writes in one: without a text it does the same and writes nothing. What no rule
 * allows stays local.
 *
 * Nothing here allocates: an answer never depends on memory.
 *
 * Owns:    nothing.
 * Threads: no state.
 * Blocks:  never.
 */
#ifndef IG_CONNECTOR_DIALECT_CORE_H
#define IG_CONNECTOR_DIALECT_CORE_H

#include <igloo/connector.h>

#include "base/buf.h"
#include "base/str.h"

/* A conjunct of more is no filter that a source would be quick at, and SQLite takes
 * expressions at most 1,000 deep. Values of a list do not count. */
#define IG_DIALECT_NODES_MAX 256
#define IG_DIALECT_LIST_MAX 1000             /* so that classifying stays quick */
#define IG_DIALECT_CONJUNCT_MAX (128 * 1024) /* bytes of text: a full list fits */

#define IG_DIALECT_VALUE_BYTES 100 /* no number or time takes more */

/* ---- types and literals --------------------------------------------------------------
 */

/* Arrow types whose values compare alike. */
enum ig_class {
  IG_CLASS_OTHER = 0,
  IG_CLASS_BOOL,
  IG_CLASS_INT,
  IG_CLASS_FLOAT,
  IG_CLASS_DECIMAL,
  IG_CLASS_TEXT,
  IG_CLASS_BYTES,
  IG_CLASS_DATE,
  IG_CLASS_TIME,
  IG_CLASS_TIMESTAMP, /* without time zone */
  IG_CLASS_INSTANT,   /* with time zone */
};

struct ig_type {
  enum ig_class class;
  char format;              /* the letter of integers and floats */
  int32_t bits;             /* of a number */
  bool is_unsigned;         /* INT */
  int32_t precision, scale; /* DECIMAL */
  int64_t unit;             /* of times: parts of a second */
};

struct ig_type ig_type_of(const struct ArrowSchema *schema);

/* True where a cast from one to the other keeps every value, and so every comparison. */
bool ig_type_widens(const struct ig_type *from, const struct ig_type *to);

struct ig_value {
  struct ig_type type;
  bool is_null;
  __int128 whole;      /* BOOL, INT, DECIMAL without its point, times */
  double number;       /* FLOAT */
  struct ig_str bytes; /* TEXT, BYTES; borrowed from the array */
};

/* Read a literal; false where it is of no class above. */
bool ig_value_of(const struct igloo_expr *literal, struct ig_value *ret_value);

/* ---- the walk ------------------------------------------------------------------------
 */

/* What is asked of a column; index of a rule's answers. */
enum ig_ask {
  IG_ASK_EQUAL = 0, /* =, IN, IS NOT DISTINCT FROM */
  IG_ASK_UNEQUAL,   /* <>, NOT IN, IS DISTINCT FROM */
  IG_ASK_RANGE,     /* < <= > >= BETWEEN */
  IG_ASK_NULL,      /* IS NULL */
  IG_ASK_LIKE,
  IG_ASK_TRUTH, /* a boolean column that is itself the condition */
  IG_ASK_SORT,
  IG_ASKS,
};

/* Answers of a rule, one letter per question:
 *   E  the source does it as the engine does
 *   C  it does under the language's clause of collation
 *   I  it keeps more
 *   -  no */
struct ig_rule {
  enum ig_class class;
  const char *source_type; /* lower case, without what stands in parentheses; NULL: any */
  const char *collation;   /* NULL: any */
  char answers[IG_ASKS + 1];
  const char *suffix; /* of literals: "::date" */
  const char *reason; /* why not E */
};

/* How what was written compares with what was asked; later is stronger. */
enum ig_form {
  IG_FORM_NO = 0,
  IG_FORM_MORE, /* it keeps more rows */
  IG_FORM_ROWS, /* it keeps the same rows, but is not false where the engine's is */
  IG_FORM_SAME, /* it is true, false and NULL where the engine's is */
};

struct ig_walk {
  const struct ig_language *language;
  const struct igloo_table *table;
  struct igloo_text *text; /* NULL: only the answer is wanted */
  size_t bytes;            /* written; where nothing is, at least that many */
  uint32_t nodes;
  const char *reason; /* the last that kept something back */
};

/* A column, perhaps under casts that keep its values. */
struct ig_operand {
  const struct igloo_column *column;
  const struct ig_rule *rule; /* of the column */
  struct ig_type type;        /* after the casts */
  bool is_rounded;            /* a float that is compared as a decimal */
};

/* A pattern of LIKE, taken apart: an item is a piece of text or a wildcard. */
struct ig_pattern {
  struct ig_str text;
  int32_t escape;
};
enum ig_pattern_item { IG_PATTERN_END, IG_PATTERN_CHAR, IG_PATTERN_ONE, IG_PATTERN_MANY };
/* The item at *at, which moves past it; *ret_char is the bytes of a CHAR. */
enum ig_pattern_item ig_pattern_next(const struct ig_pattern *pattern, size_t *at,
                                     struct ig_str *ret_char);

struct ig_language {
  /* The rule of a column; never NULL. `type` is that of its Arrow type. */
  const struct ig_rule *(*rule)(const struct igloo_table *table,
                                const struct igloo_column *column,
                                const struct ig_type *type);
  /* True where the source may hold values here that its driver does not read as values
   * of the column's type: NULL is read where table->misfit is "null". */
  bool (*may_misfit)(const struct igloo_column *column, enum ig_class class);
  void (*identifier)(const char *name, struct igloo_text *text);
  /* For a column whose values need not fit: append ` AND ` and what is true for those
   * that do. NULL: no source of this language has such columns. */
  void (*guard)(struct ig_walk *walk, const struct ig_operand *operand);
  /* Write a literal to compare with a column of this rule; false, with a reason in the
   * walk, where it has no exact form. */
  bool (*literal)(struct ig_walk *walk, const struct ig_rule *rule,
                  const struct ig_value *value);
  /* Write a comparison that is more than `column operator literal` and say what it is;
   * IG_FORM_SAME with *ret_written false where it is no more. NULL: none is. */
  enum ig_form (*compare)(struct ig_walk *walk, const struct ig_operand *operand,
                          int32_t op, const struct ig_value *value, bool *ret_written);
  /* Write the whole condition. `collate` is the clause that the rule asks for, or "". */
  enum ig_form (*like)(struct ig_walk *walk, const struct ig_operand *operand,
                       const char *collate, const struct ig_pattern *pattern,
                       bool negated);
  const char *truths[2]; /* what makes a boolean column a condition: false, true */
  const char *collate;   /* the clause that makes text compare by bytes */
  const char *distinct;  /* the operators */
  const char *not_distinct;
  const char *is_null_of_any; /* that also holds for types of class OTHER; and its NOT */
  const char *is_not_null_of_any;
};

/* The function `conjunct` of a dialect of this language. */
enum igloo_push ig_walk_conjunct(const struct ig_language *language,
                                 const struct igloo_table *table,
                                 const struct igloo_expr *conjunct,
                                 struct igloo_text *text, const char **ret_reason);
/* The function `sorts`. */
bool ig_walk_sorts(const struct ig_language *language, const struct igloo_table *table,
                   const struct igloo_sort *sort, size_t sort_count,
                   const char **ret_reason);
/* The columns of a result, or `nothing` where there are none. */
void ig_write_columns(const struct ig_language *language, const struct igloo_table *table,
                      const struct igloo_select *what, const char *nothing,
                      struct igloo_text *text);
/* What stands behind FROM: WHERE, ORDER BY, LIMIT. */
void ig_write_clauses(const struct ig_language *language, const struct igloo_table *table,
                      const struct igloo_select *what, struct igloo_text *text);

/* Open and close what a guard may follow. */
bool ig_walk_begin_guarded(struct ig_walk *walk, const struct ig_operand *operand);
void ig_walk_end_guarded(struct ig_walk *walk, const struct ig_operand *operand,
                         bool guarded);

/* Bounds of the floats that stand for a decimal: those that are it in 15 digits and,
 * where the operand is rounded, when rounded to its scale. */
void ig_bounds_of_decimal(const struct ig_operand *operand, const struct ig_value *value,
                          double *ret_low, double *ret_high);
/* `column low_op low`, `column high_op high`, or both, as the operator `op` needs. */
void ig_walk_append_bounds(struct ig_walk *walk, const struct ig_operand *operand,
                           int32_t op, const struct ig_buf *low, const char *low_op,
                           const struct ig_buf *high, const char *high_op);

/* Append to the walk's text, if there is one, and count. */
void ig_walk_append(struct ig_walk *walk, struct ig_str part);
void ig_walk_append_cstr(struct ig_walk *walk, const char *part);
void ig_walk_append_hex(struct ig_walk *walk, struct ig_str bytes); /* two digits each */
/* True where nothing is written: a number or a time is then counted, not formatted. */
bool ig_walk_only_asks(struct ig_walk *walk);
void ig_walk_append_name(struct ig_walk *walk, const struct igloo_column *column);

/* ---- writing -------------------------------------------------------------------------
 */

/* To no text: nothing. */
void ig_text_append(struct igloo_text *text, struct ig_str part);
void ig_text_append_cstr(struct igloo_text *text, const char *part);
/* In quotes of this kind, doubled inside. */
void ig_text_append_quoted(struct igloo_text *text, struct ig_str part, char quote);

/* Boundary `index` of `count` ranges over [first, last]; `index` 1 to count - 1. */
int64_t ig_split_boundary(int64_t first, int64_t last, uint32_t index, uint32_t count);

/* A place on the stack for what the functions of numtext.h and timetext.h write: at most
 * 64 bytes, so that it never grows. */
#define IG_SMALL_TEXT(name) \
  char name##_room[128];    \
  struct ig_buf name = {    \
      .data = name##_room, .cap = sizeof(name##_room), .max = SIZE_MAX / 4}

extern const struct igloo_dialect ig_dialect_postgresql;
extern const struct igloo_dialect ig_dialect_sqlite;
extern const struct igloo_dialect ig_dialect_adbc;

#endif
