/* options.c -- see options.h. */
#include "common/options.h"

#include <string.h>

#include "arrow/numtext.h"
#include "base/parse.h"

/* Names that "did you mean" looks at. */
enum { NAMES_MAX = 128 };

static void *slot_of(void *object, const struct igd_option *option) {
  return (char *)object + option->offset;
}

/* ---- finding -------------------------------------------------------------------------
 */

const struct igd_option *igd_options_find(const struct igd_option *table,
                                          const char *key) {
  for (; table && table->key; table++)
    if (strcmp(table->key, key) == 0) return table;
  return NULL;
}

igloo_status igd_fail_unknown_option(const struct igd_option *table, const char *key,
                                     bool setting, struct igd_error *reterr) {
  const char *names[NAMES_MAX];
  size_t count = 0;
  for (; table && table->key && count < NAMES_MAX; table++) names[count++] = table->key;
  const char *nearest = ig_str_nearest(ig_str_from_cstr(key), names, count);
  igloo_status status =
      setting ? ig_fail(&reterr->base, IGLOO_UNSUPPORTED, "unknown option \"%s\"", key)
              : ig_fail(&reterr->base, IGLOO_NOT_FOUND, "unknown option \"%s\"", key);
  if (nearest) ig_error_hint(&reterr->base, "Did you mean \"%s\"?", nearest);
  return status;
}

/* ---- setting -------------------------------------------------------------------------
 */

static igloo_status fail_value(const struct igd_option *option, const char *value,
                               struct igd_error *reterr) {
  igloo_status status =
      option->flags & IGD_OPTION_SECRET
          ? ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT,
                    "invalid value for option \"%s\"", option->key)
          : ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT,
                    "invalid value for option \"%s\": \"%s\"", option->key, value);
  if (option->kind == IGD_OPTION_INT)
    ig_error_hint(&reterr->base, "It is a whole number from %lld to %lld.",
                  (long long)option->min, (long long)option->max);
  if (option->kind == IGD_OPTION_BOOL)
    ig_error_hint(&reterr->base, "It is \"true\" or \"false\".");
  if (option->kind == IGD_OPTION_CHOICE) {
    struct ig_buf names = IG_BUF_INIT(512);
    for (size_t i = 0; option->choices[i]; i++)
      ig_buf_append_fmt(&names, "%s%s", i > 0 ? ", " : "", option->choices[i]);
    ig_error_hint(&reterr->base, "It is one of %s.", ig_buf_str(&names).data);
    ig_buf_done(&names);
  }
  return status;
}

/* A value of any kind, parsed. */
struct value {
  bool truth;
  int64_t number;
  double real;
};

static igloo_status parse_value(const struct igd_option *option, const char *text,
                                struct value *ret_value, struct igd_error *reterr) {
  struct ig_str view = ig_str_from_cstr(text);
  bool fits = true;
  switch (option->kind) {
    case IGD_OPTION_TEXT:
      break;
    case IGD_OPTION_BOOL:
      fits = ig_parse_bool(view, &ret_value->truth, NULL) == IGLOO_OK;
      break;
    case IGD_OPTION_INT:
      fits = ig_parse_i64(view, &ret_value->number, NULL) == IGLOO_OK &&
             ret_value->number >= option->min && ret_value->number <= option->max;
      break;
    case IGD_OPTION_DOUBLE:
      fits = ig_parse_double(view, &ret_value->real, NULL) == IGLOO_OK;
      break;
    case IGD_OPTION_CHOICE:
      fits = false;
      for (int i = 0; option->choices[i] && !fits; i++) {
        fits = ig_str_eq_cstr_ci(view, option->choices[i]);
        ret_value->number = i;
      }
      break;
  }
  return fits ? IGLOO_OK : fail_value(option, text, reterr);
}

static void forget_text(const struct igd_option *option, char *text) {
  if (text && option->flags & IGD_OPTION_SECRET) explicit_bzero(text, strlen(text));
  ig_free(text);
}

static igloo_status store_value(void *object, const struct igd_option *option,
                                const char *text, const struct value *value,
                                struct igd_error *reterr) {
  void *slot = slot_of(object, option);
  switch (option->kind) {
    case IGD_OPTION_TEXT: {
      char *copy = text ? ig_strdup(text) : NULL;
      if (text && !copy) return ig_fail_oom(&reterr->base);
      forget_text(option, *(char **)slot);
      *(char **)slot = copy;
      break;
    }
    case IGD_OPTION_BOOL:
      *(bool *)slot = value->truth;
      break;
    case IGD_OPTION_INT:
      *(int64_t *)slot = value->number;
      break;
    case IGD_OPTION_DOUBLE:
      *(double *)slot = value->real;
      break;
    case IGD_OPTION_CHOICE:
      *(int *)slot = (int)value->number;
      break;
  }
  return IGLOO_OK;
}

igloo_status igd_option_set(void *object, const struct igd_option *option, bool live,
                            const char *value, struct igd_error *reterr) {
  if (option->flags & IGD_OPTION_READ_ONLY)
    return ig_fail(&reterr->base, IGLOO_UNSUPPORTED, "option \"%s\" cannot be set",
                   option->key);
  if (option->flags & IGD_OPTION_EARLY && live)
    return ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION,
                   "option \"%s\" can only be set before it is initialized", option->key);
  const char *text = value ? value : option->initial;
  struct value parsed = {0};
  if (text) IG_TRY(parse_value(option, text, &parsed, reterr));
  if (live && option->apply) IG_TRY(option->apply(object, text, reterr));
  if (option->offset == IGD_NOT_STORED) return IGLOO_OK;
  return store_value(object, option, text, &parsed, reterr);
}

igloo_status igd_options_init(void *object, const struct igd_option *table,
                              struct igd_error *reterr) {
  for (; table && table->key; table++)
    if (table->offset != IGD_NOT_STORED && table->initial) {
      struct value value = {0};
      IG_TRY(parse_value(table, table->initial, &value, reterr));
      IG_TRY(store_value(object, table, table->initial, &value, reterr));
    }
  return IGLOO_OK;
}

void igd_options_done(void *object, const struct igd_option *table) {
  for (; table && table->key; table++) {
    if (table->offset == IGD_NOT_STORED || table->kind != IGD_OPTION_TEXT) continue;
    char **slot = slot_of(object, table);
    forget_text(table, *slot);
    *slot = NULL;
  }
}

/* ---- getting -------------------------------------------------------------------------
 */

igloo_status igd_option_get(void *object, const struct igd_option *option,
                            struct ig_buf *ret_value, struct igd_error *reterr) {
  if (option->flags & IGD_OPTION_SECRET)
    return ig_fail(&reterr->base, IGLOO_NOT_FOUND, "option \"%s\" cannot be read",
                   option->key);
  if (option->get) return option->get(object, ret_value, reterr);
  if (option->offset == IGD_NOT_STORED)
    return ig_fail(&reterr->base, IGLOO_NOT_FOUND, "option \"%s\" is not set",
                   option->key);
  const void *slot = slot_of(object, option);
  switch (option->kind) {
    case IGD_OPTION_TEXT:
      if (!*(char *const *)slot)
        return ig_fail(&reterr->base, IGLOO_NOT_FOUND, "option \"%s\" is not set",
                       option->key);
      ig_buf_append_cstr(ret_value, *(char *const *)slot);
      break;
    case IGD_OPTION_BOOL:
      ig_buf_append_cstr(ret_value, *(const bool *)slot ? ADBC_OPTION_VALUE_ENABLED
                                                        : ADBC_OPTION_VALUE_DISABLED);
      break;
    case IGD_OPTION_INT:
      ig_buf_append_fmt(ret_value, "%lld", (long long)*(const int64_t *)slot);
      break;
    case IGD_OPTION_DOUBLE:
      ig_text_double(ret_value, *(const double *)slot);
      break;
    case IGD_OPTION_CHOICE:
      ig_buf_append_cstr(ret_value, option->choices[*(const int *)slot]);
      break;
  }
  return ig_buf_check(ret_value, &reterr->base);
}
