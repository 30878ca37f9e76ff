/*
 * statement.h -- which statements are Igloo's own, and what they say.
 *
 * The engine never sees these: session/ performs them or, where they are not
 * built yet, refuses them by name. Everything else is ENGINE and not looked
 * into. Run ig_sql_guard() first.
 *
 * Owns:    nothing; spans point into the text (or at constants).
 * Threads: no shared state.
 * Blocks:  never.
 */
#ifndef IG_SQL_STATEMENT_H
#define IG_SQL_STATEMENT_H

#include "base/error.h"
#include "base/str.h"

enum ig_sql_kind {
  IG_SQL_EMPTY,        /* blanks, comments and semicolons */
  IG_SQL_ENGINE,       /* not ours */
  IG_SQL_EXPLAIN,      /* explain_*, inner */
  IG_SQL_SHOW_SETTING, /* name */
  IG_SQL_SHOW_ALL,
  IG_SQL_SHOW_TABLES,    /* [FROM name], [LIKE pattern] */
  IG_SQL_SHOW_SCHEMAS,   /* [FROM name], [LIKE pattern] */
  IG_SQL_SHOW_CATALOGS,  /* [LIKE pattern] */
  IG_SQL_SHOW_COLUMNS,   /* FROM name, [LIKE pattern] */
  IG_SQL_SHOW_FUNCTIONS, /* [LIKE pattern] */
  IG_SQL_SHOW_SECRETS,   /* [LIKE pattern] */
  IG_SQL_SHOW_QUERIES,
  IG_SQL_SHOW_CREATE_TABLE, /* name; also SHOW CREATE VIEW */
  IG_SQL_DESCRIBE,          /* name, or inner */
  IG_SQL_SUMMARIZE,         /* name, or inner */
  IG_SQL_USE,               /* name */
  IG_SQL_SET,               /* name, value: see ig_sql_set_value */
  IG_SQL_RESET,             /* name; also SET name = DEFAULT */
  IG_SQL_RESET_ALL,
  IG_SQL_PREPARE,    /* name, types, inner */
  IG_SQL_EXECUTE,    /* name, arguments */
  IG_SQL_DEALLOCATE, /* name */
  IG_SQL_DEALLOCATE_ALL,
  IG_SQL_CREATE_SCHEMA,   /* name, if_not_exists */
  IG_SQL_DROP_SCHEMA,     /* name, if_exists, cascade */
  IG_SQL_CREATE_USER,     /* name, user */
  IG_SQL_ALTER_USER,      /* name, user */
  IG_SQL_DROP_USER,       /* name, if_exists */
  IG_SQL_KILL_QUERY,      /* pattern: the id */
  IG_SQL_KILL_SESSION,    /* pattern: the id */
  IG_SQL_DRAIN_WORKER,    /* pattern: the id */
  IG_SQL_ATTACH,          /* pattern: the uri; name, options, or_replace, if_not_exists */
  IG_SQL_DETACH,          /* name, if_exists */
  IG_SQL_REFRESH_CATALOG, /* name */
  IG_SQL_CREATE_SECRET,   /* name, options, or_replace, if_not_exists */
  IG_SQL_DROP_SECRET,     /* name, if_exists */
  IG_SQL_TRANSACTION,     /* BEGIN, COMMIT, …: feature says which */
  IG_SQL_NOT_BUILT,       /* feature */
};

enum ig_sql_explain_format {
  IG_EXPLAIN_DEFAULT, /* none was asked for */
  IG_EXPLAIN_TREE,
  IG_EXPLAIN_JSON,
};

/* The options of CREATE and ALTER USER. */
struct ig_sql_user {
  struct ig_str password; /* a string token; empty: not said */
  bool superuser, nosuperuser;
};

struct ig_sql_statement {
  enum ig_sql_kind kind;
  struct ig_str text;      /* first to last token, without semicolons */
  size_t offset;           /* of text in the text that was parsed */
  struct ig_str name;      /* a dotted name as written: ig_sql_name_parse */
  struct ig_str pattern;   /* a string token: ig_sql_string_value */
  struct ig_str value;     /* of SET, as written */
  struct ig_str types;     /* between the parentheses of PREPARE name (…) */
  struct ig_str arguments; /* between the parentheses of EXECUTE name (…) */

  /* The statement in PREPARE and EXPLAIN. Of DESCRIBE and SUMMARIZE all that
   * follows the word: a query if inner_is_query, else what may follow FROM
   * (where it is no plain name: a 'path' or a table function; name is empty). */
  struct ig_str inner;
  size_t inner_offset; /* of inner in the text that was parsed */
  bool inner_is_query;

  struct ig_sql_user user;
  struct ig_str options; /* between the parentheses: sql/option.h */

  bool or_replace;
  bool if_exists;
  bool if_not_exists;
  bool cascade;
  bool explain_analyze;
  bool explain_verbose;
  enum ig_sql_explain_format explain_format;
  /* What it is called, as in "CREATE SECRET": of TRANSACTION, NOT_BUILT, and the kinds
   * from CREATE_USER to DROP_SECRET; NULL of the others. */
  const char *feature;
};

/* Recognise and parse one statement; semicolons at its end are allowed.
 * Returns IGLOO_OK and fills *ret_statement; SYNTAX_ERROR 42601 with line and
 * column where one of ours is malformed or a second statement follows;
 * INVALID_ARGUMENT 22023 for an unknown EXPLAIN format. No error tells a string of a
 * statement about users, sources or secrets. */
IG_NODISCARD igloo_status ig_sql_statement_parse(struct ig_str sql,
                                                 struct ig_sql_statement *ret_statement,
                                                 struct igloo_error *reterr);

/* The value of SET as text: a string's contents, a word or number as it
 * stands; of a list the elements, as names, with ", " between them. Gives
 * *ret_value (free: ig_free). Returns as ig_sql_string_value. */
IG_NODISCARD igloo_status ig_sql_set_value(const struct ig_sql_statement *statement,
                                           char **ret_value, struct igloo_error *reterr);

#endif
