/*
 * list.h -- from a path argument to the sorted list of files it means.
 *
 * An argument is a file, a pattern or a folder. A pattern knows `*`, `?`,
 * `[a-z]`, `[!a-z]`, `{a,b}` and, as a whole component, `**` (any number of
 * folders, none included). An argument that exists under its very name is
 * never taken as a pattern. A folder stands for all data files below it.
 * Names that start with `.` or `_` are seen only by a pattern component that
 * starts with the same character; `**` and folders do not follow links to folders.
 *
 * Components `key=value` below the fixed part of a pattern, or below a folder,
 * are hive partitions; `key=value` components at the end of the fixed part
 * count as well (`t/year=2024/` and `t/year=2024/x*.csv` have a column year). A
 * plain file has none.
 *
 * Owns:    struct ig_file_list owns everything in it.
 * Threads: no state; a list that is not changed may be read by all.
 * Blocks:  in reading folders, until the token says stop.
 */
#ifndef IG_FILES_LIST_H
#define IG_FILES_LIST_H

#include "base/cancel.h"
#include "files/roots.h"

/* Partition columns; each is a level of folders. */
#define IG_PARTITION_KEYS_MAX 32

/* Alternatives of all `{a,b}` of one argument together. */
#define IG_GLOB_BRACES_MAX 1024

/* The numbers are those of the bridge's IGB_FORMAT_*. */
enum ig_file_format {
  IG_FORMAT_UNKNOWN = 0,
  IG_FORMAT_PARQUET = 1,
  IG_FORMAT_CSV = 2, /* .csv .tsv .txt */
  IG_FORMAT_JSON = 3,
  IG_FORMAT_ARROW = 4,
};

enum ig_compression {
  IG_COMPRESSION_NONE = 0,
  IG_COMPRESSION_GZIP,
  IG_COMPRESSION_ZSTD,
  IG_COMPRESSION_BZIP2,
  IG_COMPRESSION_XZ,
};

struct ig_file {
  char *path; /* absolute */
  struct ig_file_id id;
  char **partition_values; /* one for each key of the list; NULL is SQL NULL */
};

struct ig_file_list {
  struct ig_file *files; /* at least one */
  size_t files_count;
  size_t files_cap;
  char **partition_keys; /* the same, in this order, for every file */
  size_t partition_keys_count;
  enum ig_file_format format; /* as asked for, else by extension */
  enum ig_compression compression;
  bool tabs; /* .tsv: fields are separated by tabs unless an option says otherwise */
};

struct ig_list_options {
  enum ig_file_format format; /* UNKNOWN: by extension; a folder then takes data files of
                                 any one format and skips names of no format */
  bool no_partitions;         /* do not look for key=value */
  size_t files_max;           /* 0: IG_FILES_PER_TABLE_MAX */
  const ig_cancel *cancel;    /* may be NULL */
};

/* Expand arguments, each relative to the working folder as in ig_path_absolute. Files of
 * one argument are sorted by the bytes of their paths, without repetition; arguments stay
 * in their order. `options` may be NULL. Gives *ret_list (free: ig_file_list_done).
 * Returns NOT_FOUND 58P01 where an argument matches no file; PERMISSION_DENIED 42501;
 * INVALID_ARGUMENT 42809 for a plain argument that is no regular file, 22023 for a bad
 * pattern, different formats or compressions, or different partition keys;
 * RESOURCE_EXHAUSTED 54000 over files_max, IG_GLOB_DEPTH_MAX or IG_GLOB_BRACES_MAX;
 * CANCELLED, DEADLINE_EXCEEDED; as ig_path_absolute. */
IG_NODISCARD igloo_status ig_file_list_expand(const ig_roots *roots,
                                              const struct ig_str *arguments,
                                              size_t arguments_count,
                                              const struct ig_list_options *options,
                                              struct ig_file_list *ret_list,
                                              struct igloo_error *reterr);

/* Free the contents; an all-zero list is allowed. */
void ig_file_list_done(struct ig_file_list *list);

/* Format and compression by the end of a name (`x.csv.gz`), any case. Outputs may be
 * NULL; UNKNOWN where the name says nothing. */
void ig_file_format_of(struct ig_str name, enum ig_file_format *ret_format,
                       enum ig_compression *ret_compression);

/* Words: "parquet" (also "pq"), "csv", "tsv" (is CSV), "json" (also "jsonl", "ndjson"),
 * "arrow" (also "ipc", "feather"); any case. Returns false for others. */
bool ig_file_format_parse(struct ig_str word, enum ig_file_format *ret_format);
const char *ig_file_format_name(enum ig_file_format format);

/* "none" or "uncompressed", "gzip" or "gz", "zstd" or "zst", "bzip2" or "bz2", "xz". */
bool ig_compression_parse(struct ig_str word, enum ig_compression *ret_compression);
const char *ig_compression_name(enum ig_compression compression); /* "" for none */

/* One name against one pattern component (`*`, `?`, `[…]`), as list expansion does it
 * after braces. For tests and for completion. */
bool ig_glob_match(struct ig_str pattern, struct ig_str name);

#endif
