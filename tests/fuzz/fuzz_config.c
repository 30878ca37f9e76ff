/* fuzz_config.c -- the configuration file: the grammar, and each key with its type. What
 * was read is written out and read again, and must be the same. */
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"
#include "config/ini.h"
#include "fuzz.h"

/* ---- the grammar ------------------------------------------------------------------- */

struct entries {
  struct ig_buf text;   /* the file again, every value in quotes */
  struct ig_buf values; /* section, key and value, each ended by NUL */
  size_t count;
};

static void append_quoted(struct ig_buf *text, struct ig_str value) {
  ig_buf_append_char(text, '"');
  for (size_t i = 0; i < value.len; i++) {
    char c = value.data[i];
    if (c == '"' || c == '\\') ig_buf_append_char(text, '\\');
    if (c == '\n') {
      ig_buf_append_cstr(text, "\\n");
    } else if (c == '\t') {
      ig_buf_append_cstr(text, "\\t");
    } else {
      ig_buf_append_char(text, c);
    }
  }
  ig_buf_append_cstr(text, "\"\n");
}

static igloo_status keep(void *ctx, const struct ig_ini_entry *entry,
                         struct igloo_error *reterr) {
  struct entries *entries = ctx;
  (void)reterr;
  fuzz_assert(entry->line > 0);
  fuzz_assert(entry->section.len > 0 && entry->section.len <= IG_INI_NAME_BYTES_MAX);
  fuzz_assert(entry->key.len > 0 && entry->key.len <= IG_INI_NAME_BYTES_MAX);
  fuzz_assert(entry->value.len <= IG_INI_LINE_BYTES_MAX);
  fuzz_assert(ig_str_find_char(entry->value, '\0') == IG_STR_NONE);
  ig_buf_append_fmt(&entries->text, "[%.*s]\n%.*s = ", IG_STR_ARG(entry->section),
                    IG_STR_ARG(entry->key));
  append_quoted(&entries->text, entry->value);
  ig_buf_append_str(&entries->values, entry->section);
  ig_buf_append_char(&entries->values, '\0');
  ig_buf_append_str(&entries->values, entry->key);
  ig_buf_append_char(&entries->values, '\0');
  ig_buf_append_str(&entries->values, entry->value);
  ig_buf_append_char(&entries->values, '\0');
  entries->count++;
  return IGLOO_OK;
}

static struct entries new_entries(void) {
  return (struct entries){.text = IG_BUF_INIT(16 * IG_MIB),
                          .values = IG_BUF_INIT(16 * IG_MIB)};
}

static void entries_done(struct entries *entries) {
  ig_buf_done(&entries->text);
  ig_buf_done(&entries->values);
}

/* Returns true where the text follows the grammar. */
static bool check_grammar(struct ig_str text) {
  struct entries first = new_entries(), again = new_entries();
  struct igloo_error error;
  igloo_status status = ig_ini_parse(text, "a.conf", keep, &first, &error);
  if (status != IGLOO_OK) {
    fuzz_assert(status == IGLOO_INVALID_ARGUMENT);
    fuzz_check_error(status, &error);
    fuzz_assert(ig_str_starts(ig_str_from_cstr(error.message), IG_STR("a.conf:")) ||
                text.len > IG_INI_BYTES_MAX);
  } else if (first.text.len < IG_INI_BYTES_MAX) {
    igloo_status second =
        ig_ini_parse(ig_buf_str(&first.text), "b.conf", keep, &again, &error);
    /* A value in quotes may have become too long for its line. */
    if (second != IGLOO_OK) fuzz_assert(text.len > IG_INI_LINE_BYTES_MAX / 4);
    if (second == IGLOO_OK) {
      fuzz_assert(first.count == again.count);
      fuzz_assert(ig_str_eq(ig_buf_str(&first.values), ig_buf_str(&again.values)));
    }
  }
  entries_done(&first);
  entries_done(&again);
  return status == IGLOO_OK;
}

/* ---- the keys ---------------------------------------------------------------------- */

/* What the loaded configuration says, as flags that say it again. */
struct flags {
  struct ig_config_override *items;
  size_t count, cap;
};

static igloo_status add_flag(void *ctx, const struct ig_config_entry *entry,
                             struct igloo_error *reterr) {
  struct flags *flags = ctx;
  if (strcmp(entry->type, "secret") == 0) return IGLOO_OK; /* never told */
  if (entry->source == IG_CONFIG_DEFAULT) return IGLOO_OK;
  if (!entry->built) fuzz_assert(strcmp(entry->value, entry->fallback) == 0);
  IG_TRY(IG_RESERVE(flags->items, flags->cap, flags->count + 1, 1000, "flags", reterr));
  char *key = ig_strdup(entry->key), *value = ig_strdup(entry->value);
  flags->items[flags->count++] = (struct ig_config_override){key, value};
  return IGLOO_OK;
}

struct pair {
  const struct flags *flags;
  size_t at;
};

static igloo_status compare_flag(void *ctx, const struct ig_config_entry *entry,
                                 struct igloo_error *reterr) {
  struct pair *pair = ctx;
  (void)reterr;
  for (size_t i = 0; i < pair->flags->count; i++) {
    if (strcmp(pair->flags->items[i].key, entry->key) != 0) continue;
    fuzz_assert(strcmp(pair->flags->items[i].value, entry->value) == 0);
    pair->at++;
  }
  return IGLOO_OK;
}

static void flags_done(struct flags *flags) {
  for (size_t i = 0; i < flags->count; i++) {
    free((void *)(uintptr_t)flags->items[i].key);
    free((void *)(uintptr_t)flags->items[i].value);
  }
  free(flags->items);
}

/* Write what was loaded as flags, load those, and compare. */
static void check_again(const struct ig_config *config) {
  struct flags flags = {0};
  struct ig_config *again = NULL;
  struct igloo_error error;
  fuzz_assert(ig_config_each(config, add_flag, &flags, NULL) == IGLOO_OK);
  igloo_status status =
      ig_config_load("/dev/null", flags.items, flags.count, &again, &error);
  if (status != IGLOO_OK) (void)fprintf(stderr, "%s\n", error.message);
  fuzz_assert(status == IGLOO_OK);
  struct pair pair = {&flags, 0};
  fuzz_assert(ig_config_each(again, compare_flag, &pair, NULL) == IGLOO_OK);
  fuzz_assert(pair.at == flags.count);
  ig_config_free(again);
  flags_done(&flags);
}

static void check_keys(struct ig_str text) {
  int fd = memfd_create("config", MFD_CLOEXEC);
  char path[64];
  struct ig_config *config = NULL;
  struct igloo_error error;
  fuzz_assert(fd >= 0 && write(fd, text.data, text.len) == (ssize_t)text.len);
  (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  igloo_status status = ig_config_load(path, NULL, 0, &config, &error);
  close(fd);
  if (status != IGLOO_OK) {
    fuzz_assert(status == IGLOO_INVALID_ARGUMENT || status == IGLOO_UNSUPPORTED);
    fuzz_check_error(status, &error);
    return;
  }
  check_again(config);
  ig_config_free(config);
}

static void parse_whole(struct ig_str text) {
  struct entries entries = new_entries();
  igloo_status ignored = ig_ini_parse(text, "a.conf", keep, &entries, NULL);
  (void)ignored;
  entries_done(&entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ig_str text = ig_str_make((const char *)data, size);
  if (check_grammar(text)) check_keys(text);
  fuzz_in_time(text, parse_whole);
  return 0;
}
