/*
 * options.h -- the options of a driver's objects, as tables.
 *
 * A table names each option once: its kind, bounds, where its value lies in the object,
 * and what happens when it changes. Setting and getting by any of ADBC's types, refusing
 * unknown names with the nearest known one, and never giving a secret back follow from
 * it.
 *
 * Owns:    texts in the objects, freed and wiped by igd_options_done().
 * Threads: as the object.
 * Blocks:  as the table's own functions.
 */
#ifndef IGD_COMMON_OPTIONS_H
#define IGD_COMMON_OPTIONS_H

#include "base/buf.h"
#include "common/error.h"

enum igd_option_kind {
  IGD_OPTION_TEXT = 1, /* char *: NULL until it is set */
  IGD_OPTION_BOOL,     /* bool: "true", "false" and what ig_parse_bool takes */
  IGD_OPTION_INT,    /* int64_t in [min, max]; sizes and times in the unit that it says */
  IGD_OPTION_DOUBLE, /* double */
  IGD_OPTION_CHOICE, /* int: index in `choices` */
};

enum igd_option_flag {
  IGD_OPTION_EARLY = 1,     /* only before Init; 55000 later */
  IGD_OPTION_SECRET = 2,    /* cannot be read back, and is wiped */
  IGD_OPTION_READ_ONLY = 4, /* cannot be set: `get` tells it */
};

#define IGD_NOT_STORED SIZE_MAX /* `offset` of an option that only has functions */

struct igd_option {
  const char *key;
  enum igd_option_kind kind;
  uint32_t flags;             /* of enum igd_option_flag */
  size_t offset;              /* of the value in the object, or IGD_NOT_STORED */
  const char *initial;        /* as text; NULL: zero, false, none, the first choice */
  int64_t min, max;           /* of INT, both ends in */
  const char *const *choices; /* of CHOICE; NULL ends */

  /* The new value is fine as a value; do what it means, or refuse it. Called before it is
   * stored, only when the object was initialised. NULL: nothing to do. */
  igloo_status (*apply)(void *object, const char *value, struct igd_error *reterr);
  /* Append the value as text. NULL: the stored one. */
  igloo_status (*get)(void *object, struct ig_buf *ret_value, struct igd_error *reterr);
};

/* Store what the table says to start with. Returns OUT_OF_MEMORY. */
IG_NODISCARD igloo_status igd_options_init(void *object, const struct igd_option *table,
                                           struct igd_error *reterr);
void igd_options_done(void *object, const struct igd_option *table);

/* The option of that name in a table (NULL: none), or NULL. */
const struct igd_option *igd_options_find(const struct igd_option *table,
                                          const char *key);

/* Set one. `value` NULL is the initial value again. Returns INVALID_ARGUMENT 22023 for a
 * value that does not fit; UNSUPPORTED 0A000 for READ_ONLY; FAILED_PRECONDITION 55000 for
 * EARLY once `live`; what `apply` returns. */
IG_NODISCARD igloo_status igd_option_set(void *object, const struct igd_option *option,
                                         bool live, const char *value,
                                         struct igd_error *reterr);

/* Append the value as text. Returns NOT_FOUND where none is set, and for secrets. */
IG_NODISCARD igloo_status igd_option_get(void *object, const struct igd_option *option,
                                         struct ig_buf *ret_value,
                                         struct igd_error *reterr);

/* No such option: UNSUPPORTED 0A000 when it is set, NOT_FOUND when it is asked for. */
igloo_status igd_fail_unknown_option(const struct igd_option *table, const char *key,
                                     bool setting, struct igd_error *reterr);

#endif
