/* format.c -- what the end of a file's name says; see list.h. */
#include "files/list.h"

struct word {
  const char *word;
  int value;
};

/* The first word of each value is its name. */
static const struct word formats[] = {
    {"parquet", IG_FORMAT_PARQUET}, {"pq", IG_FORMAT_PARQUET},
    {"csv", IG_FORMAT_CSV},         {"tsv", IG_FORMAT_CSV},
    {"txt", IG_FORMAT_CSV},         {"json", IG_FORMAT_JSON},
    {"jsonl", IG_FORMAT_JSON},      {"ndjson", IG_FORMAT_JSON},
    {"arrow", IG_FORMAT_ARROW},     {"ipc", IG_FORMAT_ARROW},
    {"feather", IG_FORMAT_ARROW}};

static const struct word compressions[] = {
    {"none", IG_COMPRESSION_NONE},   {"uncompressed", IG_COMPRESSION_NONE},
    {"gzip", IG_COMPRESSION_GZIP},   {"gz", IG_COMPRESSION_GZIP},
    {"zstd", IG_COMPRESSION_ZSTD},   {"zst", IG_COMPRESSION_ZSTD},
    {"bzip2", IG_COMPRESSION_BZIP2}, {"bz2", IG_COMPRESSION_BZIP2},
    {"xz", IG_COMPRESSION_XZ}};

static bool find_word(const struct word *words, size_t count, struct ig_str word,
                      int *ret_value) {
  for (size_t i = 0; i < count; i++)
    if (ig_str_eq_cstr_ci(word, words[i].word)) {
      *ret_value = words[i].value;
      return true;
    }
  return false;
}

static const char *find_name(const struct word *words, size_t count, int value) {
  for (size_t i = 0; i < count; i++)
    if (words[i].value == value) return words[i].word;
  return "";
}

bool ig_file_format_parse(struct ig_str word, enum ig_file_format *ret_format) {
  int value;
  if (!find_word(formats, IG_ARRAY_LEN(formats), word, &value)) return false;
  *ret_format = (enum ig_file_format)value;
  return true;
}

const char *ig_file_format_name(enum ig_file_format format) {
  return find_name(formats, IG_ARRAY_LEN(formats), (int)format);
}

bool ig_compression_parse(struct ig_str word, enum ig_compression *ret_compression) {
  int value;
  if (!find_word(compressions, IG_ARRAY_LEN(compressions), word, &value)) return false;
  *ret_compression = (enum ig_compression)value;
  return true;
}

const char *ig_compression_name(enum ig_compression compression) {
  if (compression == IG_COMPRESSION_NONE) return "";
  return find_name(compressions, IG_ARRAY_LEN(compressions), (int)compression);
}

/* Cut the part after the last dot off `name`; false without a dot or with nothing before.
 */
static bool take_extension(struct ig_str *name, struct ig_str *ret_extension) {
  for (size_t i = name->len; i > 1; i--) {
    if (name->data[i - 1] == '/') return false;
    if (name->data[i - 1] != '.') continue;
    *ret_extension = ig_str_sub(*name, i, SIZE_MAX);
    name->len = i - 1;
    return true;
  }
  return false;
}

void ig_file_format_of(struct ig_str name, enum ig_file_format *ret_format,
                       enum ig_compression *ret_compression) {
  static const char *const packed[] = {"gz", "zst", "bz2", "xz"};
  enum ig_file_format format = IG_FORMAT_UNKNOWN;
  enum ig_compression compression = IG_COMPRESSION_NONE;
  struct ig_str extension;

  bool found = take_extension(&name, &extension);
  for (size_t i = 0; found && i < IG_ARRAY_LEN(packed); i++)
    if (ig_str_eq_cstr_ci(extension, packed[i])) {
      (void)ig_compression_parse(extension, &compression);
      found = take_extension(&name, &extension);
      break;
    }
  if (found) (void)ig_file_format_parse(extension, &format);
  if (ret_format) *ret_format = format;
  if (ret_compression) *ret_compression = compression;
}
