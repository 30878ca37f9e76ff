/*
 * list.c -- see list.h. Every argument becomes a fixed folder and pattern
 * components below it; one walk serves patterns and folders alike, as a folder
 * is the pattern `**` that takes data files only.
 */
#include "files/list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "files/glob.h"

/* A pattern like `**` over a whole disk must end; entries are looked at, not kept. */
#define ENTRIES_MAX 10000000u

/* Two-digit components are deep already; each is a frame and a descriptor of the walk. */
#define COMPONENTS_MAX 64

#define NULL_PARTITION "__HIVE_DEFAULT_PARTITION__"

/* One argument on its way. */
struct walk {
  const ig_roots *roots;
  const struct ig_list_options *options;
  size_t files_max;
  struct ig_str argument; /* as the user wrote it */
  struct ig_file_list *list;
  struct ig_str parts[COMPONENTS_MAX]; /* pattern components below the fixed folder */
  size_t parts_count;
  bool data_only;       /* a folder: names that say no format are not data */
  size_t fixed_len;     /* of a path: what comes before cannot be a partition */
  bool partitions;      /* look for key=value at all */
  size_t entries_count; /* looked at */
};

static igloo_status walk_folder(struct walk *walk, struct ig_buf *path, size_t part,
                                size_t depth, struct igloo_error *reterr);

/* ---- partitions -------------------------------------------------------------------- */

static int hex_value(char c) {
  if (ig_ascii_is_digit(c)) return c - '0';
  c = ig_ascii_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hive escapes bytes as %XX; a % with anything else after it stands for itself. */
static igloo_status decode_partition(struct ig_str text, char **ret_text,
                                     struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(IG_PATH_BYTES_MAX);
  for (size_t i = 0; i < text.len; i++) {
    int high = text.data[i] == '%' && i + 2 < text.len ? hex_value(text.data[i + 1]) : -1;
    int low = high >= 0 ? hex_value(text.data[i + 2]) : -1;
    if (low >= 0) i += 2;
    ig_buf_append_char(&out, low >= 0 ? (char)(high * 16 + low) : text.data[i]);
  }
  IG_TRY(ig_buf_check(&out, reterr));
  if (!ig_utf8_valid(ig_buf_str(&out), NULL) ||
      memchr(ig_buf_str(&out).data, '\0', out.len))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "folder \"%.*s\" does not decode to UTF-8 text", IG_STR_ARG(text));
  return ig_buf_steal(&out, ret_text, reterr);
}

/* Length of `path` without the `key=value` components at its end. */
static size_t skip_partitions_back(struct ig_str path) {
  size_t len = path.len;
  while (len > 0) {
    size_t start = len;
    while (start > 0 && path.data[start - 1] != '/') start--;
    size_t equals = ig_str_find_char(ig_str_sub(path, start, len - start), '=');
    if (equals == IG_STR_NONE || equals == 0 || start == 0) break;
    len = start - 1;
  }
  return len;
}

static igloo_status fail_keys(struct walk *walk, struct igloo_error *reterr) {
  igloo_status status = ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                                "files of \"%.*s\" have different partition folders",
                                IG_STR_ARG(walk->argument));
  ig_error_hint(reterr, "Every file needs the same key=value folders in the same order.");
  return status;
}

/* Set key number `index` of the list, or compare with what the first file set. */
static igloo_status check_key(struct walk *walk, bool first, size_t index,
                              struct ig_str text, struct igloo_error *reterr) {
  struct ig_file_list *list = walk->list;
  IG_AUTO_CHAR *key = NULL;
  IG_TRY(decode_partition(text, &key, reterr));
  if (!first) {
    if (index < list->partition_keys_count &&
        strcmp(list->partition_keys[index], key) == 0)
      return IGLOO_OK;
    return fail_keys(walk, reterr);
  }
  for (size_t i = 0; i < index; i++)
    if (strcmp(list->partition_keys[i], key) == 0)
      return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                     "path of \"%.*s\" has the partition \"%s\" twice",
                     IG_STR_ARG(walk->argument), key);
  list->partition_keys[list->partition_keys_count++] = IG_TAKE(key);
  return IGLOO_OK;
}

/* Split the folders of `path` into the keys of the list and the values of `file`. */
static igloo_status read_partitions(struct walk *walk, struct ig_file *file,
                                    struct igloo_error *reterr) {
  struct ig_file_list *list = walk->list;
  bool first = list->files_count == 0;
  struct ig_str rest =
      ig_str_sub(ig_str_from_cstr(file->path), walk->fixed_len, SIZE_MAX);
  struct ig_str folder;
  size_t count = 0;

  if (first) {
    list->partition_keys = ig_calloc(IG_PARTITION_KEYS_MAX, sizeof(char *));
    if (!list->partition_keys) return ig_fail_oom(reterr);
  }
  file->partition_values = ig_calloc(IG_PARTITION_KEYS_MAX, sizeof(char *));
  if (!file->partition_values) return ig_fail_oom(reterr);

  while (walk->partitions && ig_str_split(rest, '/', &folder, &rest)) {
    struct ig_str key, value;
    if (!ig_str_split(folder, '=', &key, &value) || key.len == 0) continue;
    if (count == IG_PARTITION_KEYS_MAX)
      return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                           "file \"%s\" lies below more than %d partition folders",
                           file->path, IG_PARTITION_KEYS_MAX);
    IG_TRY(check_key(walk, first, count, key, reterr));
    if (!ig_str_eq_cstr(value, NULL_PARTITION))
      IG_TRY(decode_partition(value, &file->partition_values[count], reterr));
    count++;
  }
  if (count != list->partition_keys_count) return fail_keys(walk, reterr);

  if (count == 0) {
    ig_free(file->partition_values);
    file->partition_values = NULL;
    return IGLOO_OK;
  }
  char **values = ig_realloc_array(file->partition_values, count, sizeof(char *));
  if (!values) return ig_fail_oom(reterr);
  file->partition_values = values;
  return IGLOO_OK;
}

/* ---- adding a file ------------------------------------------------------------------
 */

static void free_file(struct ig_file *file, size_t keys_count) {
  for (size_t i = 0; file->partition_values && i < keys_count; i++)
    ig_free(file->partition_values[i]);
  ig_free(file->partition_values);
  ig_free(file->path);
}

static igloo_status fail_mixed(struct walk *walk, const char *what, struct ig_str path,
                               struct igloo_error *reterr) {
  igloo_status status =
      ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "files of \"%.*s\" have different %s",
              IG_STR_ARG(walk->argument), what);
  ig_error_detail(reterr, "Among them are \"%s\" and \"%.*s\".",
                  walk->list->files[0].path, IG_STR_ARG(path));
  return status;
}

static bool is_tsv(struct ig_str path) {
  static const char *const ends[] = {".tsv", ".tsv.gz", ".tsv.zst", ".tsv.bz2",
                                     ".tsv.xz"};
  for (size_t i = 0; i < IG_ARRAY_LEN(ends); i++)
    if (ig_str_ends_ci(path, ig_str_from_cstr(ends[i]))) return true;
  return false;
}

/* Decide whether a file belongs to the list; sets the list's format by the first. */
static igloo_status check_format(struct walk *walk, struct ig_str path, bool *ret_take,
                                 struct igloo_error *reterr) {
  struct ig_file_list *list = walk->list;
  enum ig_file_format wanted = walk->options->format, format;
  enum ig_compression compression;
  bool tabs = is_tsv(path);

  ig_file_format_of(path, &format, &compression);
  if (walk->data_only && (format == IG_FORMAT_UNKNOWN ||
                          (wanted != IG_FORMAT_UNKNOWN && format != wanted))) {
    *ret_take = false;
    return IGLOO_OK;
  }
  if (wanted != IG_FORMAT_UNKNOWN) format = wanted;
  if (format == IG_FORMAT_UNKNOWN) {
    igloo_status status =
        ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                "cannot tell the format of file \"%.*s\" by its name", IG_STR_ARG(path));
    ig_error_hint(reterr,
                  "Use read_parquet(), read_csv(), read_json() or read_arrow(), or "
                  "ATTACH a database.");
    return status;
  }
  if (list->files_count == 0) {
    list->format = format;
    list->compression = compression;
    list->tabs = tabs;
  }
  if (list->format != format || (list->tabs != tabs && wanted == IG_FORMAT_UNKNOWN))
    return fail_mixed(walk, "formats", path, reterr);
  if (list->compression != compression)
    return fail_mixed(walk, "compressions", path, reterr);
  *ret_take = true;
  return IGLOO_OK;
}

static igloo_status add_file(struct walk *walk, struct ig_str path, struct ig_file_id id,
                             struct igloo_error *reterr) {
  struct ig_file_list *list = walk->list;
  bool take = false;
  IG_TRY(check_format(walk, path, &take, reterr));
  if (!take) return IGLOO_OK;
  IG_TRY(IG_RESERVE(list->files, list->files_cap, list->files_count + 1, walk->files_max,
                    "files of one table", reterr));

  struct ig_file file = {.path = ig_str_dup(path), .id = id};
  if (!file.path) return ig_fail_oom(reterr);
  igloo_status status = read_partitions(walk, &file, reterr);
  if (status != IGLOO_OK) {
    free_file(&file, walk->list->partition_keys_count);
    return status;
  }
  list->files[list->files_count++] = file;
  return IGLOO_OK;
}

/* ---- the walk ---------------------------------------------------------------------- */

/* What an entry is. A file that went away meanwhile, and a link to nowhere or one that is
 * not to be followed, is OTHER. */
static igloo_status look_at(struct walk *walk, int folder_fd, const char *name,
                            struct ig_str path, bool follow, bool *ret_link,
                            enum ig_path_kind *ret_kind, struct ig_file_id *ret_id,
                            struct igloo_error *reterr) {
  struct stat st;
  if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno != ENOENT)
      return ig_fail_errno(reterr, errno, "could not look at file \"%s\"", path.data);
    *ret_kind = IG_PATH_OTHER;
    return IGLOO_OK;
  }
  *ret_link = S_ISLNK(st.st_mode);
  if (*ret_link && !follow) {
    *ret_kind = IG_PATH_OTHER;
    return IGLOO_OK;
  }
  if (*ret_link) {
    igloo_status status =
        ig_roots_stat(walk->roots, path.data, IG_ACCESS_READ, ret_kind, ret_id, reterr);
    if (status != IGLOO_NOT_FOUND) return status;
    *ret_kind = IG_PATH_OTHER;
    return IGLOO_OK;
  }
  *ret_kind = S_ISREG(st.st_mode)   ? IG_PATH_FILE
              : S_ISDIR(st.st_mode) ? IG_PATH_FOLDER
                                    : IG_PATH_OTHER;
  *ret_id = (struct ig_file_id){
      .size = (uint64_t)st.st_size,
      .mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
      .inode = st.st_ino,
      .device = st.st_dev};
  return IGLOO_OK;
}

static bool is_stars(struct ig_str part) {
  return ig_str_eq_cstr(part, "**");
}

/* One entry of the folder `path` against parts[part]; `path` has the entry appended. */
static igloo_status visit(struct walk *walk, int folder_fd, const char *name,
                          struct ig_buf *path, size_t part, size_t depth,
                          struct igloo_error *reterr) {
  struct ig_str pattern = walk->parts[part];
  bool last = part + 1 == walk->parts_count;
  bool stars = is_stars(pattern);
  bool link = false;
  enum ig_path_kind kind;
  struct ig_file_id id;

  bool hidden = name[0] == '.' || (name[0] == '_' && !strchr(name, '=')); /* _key=value */
  if (hidden && (pattern.len == 0 || pattern.data[0] != name[0])) return IGLOO_OK;
  if (!stars && !ig_glob_match(pattern, ig_str_from_cstr(name))) return IGLOO_OK;
  if (ig_roots_is_private(walk->roots, path->data)) return IGLOO_OK;
  IG_TRY(look_at(walk, folder_fd, name, ig_buf_str(path), last || !stars, &link, &kind,
                 &id, reterr));
  if (kind == IG_PATH_FILE && last) return add_file(walk, ig_buf_str(path), id, reterr);
  if (kind != IG_PATH_FOLDER) return IGLOO_OK;
  if (stars) return link ? IGLOO_OK : walk_folder(walk, path, part, depth + 1, reterr);
  return last ? IGLOO_OK : walk_folder(walk, path, part + 1, depth + 1, reterr);
}

static void close_dir(DIR **dir) {
  if (*dir) (void)closedir(*dir);
}

static igloo_status walk_entries(struct walk *walk, DIR *dir, struct ig_buf *path,
                                 size_t part, size_t depth, struct igloo_error *reterr) {
  size_t len = path->len;
  for (;;) {
    errno = 0;
    struct dirent *entry = readdir(dir);
    if (!entry && errno != 0)
      return ig_fail_errno(reterr, errno, "could not read folder \"%s\"", path->data);
    if (!entry) return IGLOO_OK;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (++walk->entries_count > ENTRIES_MAX)
      return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                           "\"%.*s\" looks at more than %u files",
                           IG_STR_ARG(walk->argument), ENTRIES_MAX);
    IG_TRY(ig_cancel_check(walk->options->cancel, reterr));

    if (len > 1) ig_buf_append_char(path, '/'); /* all but the root itself */
    ig_buf_append_cstr(path, entry->d_name);
    IG_TRY(ig_buf_check(path, reterr));
    IG_TRY(visit(walk, dirfd(dir), entry->d_name, path, part, depth, reterr));
    ig_buf_truncate(path, len);
  }
}

/* Match parts[part] and what follows with the entries of the folder `path`. */
static igloo_status walk_folder(struct walk *walk, struct ig_buf *path, size_t part,
                                size_t depth, struct igloo_error *reterr) {
  if (depth > IG_GLOB_DEPTH_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "\"%.*s\" leads more than %d folders deep",
                         IG_STR_ARG(walk->argument), IG_GLOB_DEPTH_MAX);

  /* `**` also stands for no folder at all. */
  bool last = part + 1 == walk->parts_count;
  if (is_stars(walk->parts[part]) && !last)
    IG_TRY(walk_folder(walk, path, part + 1, depth, reterr));

  IG_AUTO_FD fd = -1;
  struct igloo_error error;
  igloo_status status =
      ig_roots_open_folder(walk->roots, path->data, IG_ACCESS_READ, &fd, &error);
  if (status == IGLOO_NOT_FOUND ||
      (status == IGLOO_INVALID_ARGUMENT && strcmp(error.sqlstate, "42809") == 0))
    return IGLOO_OK; /* it went away, or the fixed part is no folder: nothing matches */
  if (status != IGLOO_OK) {
    if (reterr) *reterr = error;
    return status;
  }
  __attribute__((cleanup(close_dir))) DIR *dir = fdopendir(fd);
  if (!dir)
    return ig_fail_errno(reterr, errno, "could not read folder \"%s\"", path->data);
  (void)IG_TAKE_FD(fd); /* closedir closes it */
  return walk_entries(walk, dir, path, part, depth, reterr);
}

/* ---- arguments --------------------------------------------------------------------- */

static igloo_status push_part(struct walk *walk, struct ig_str part,
                              struct igloo_error *reterr) {
  if (walk->parts_count > 0 && is_stars(part) &&
      is_stars(walk->parts[walk->parts_count - 1]))
    return IGLOO_OK; /* `**` twice says nothing more */
  if (walk->parts_count == COMPONENTS_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "pattern \"%.*s\" has more than %d components",
                         IG_STR_ARG(walk->argument), COMPONENTS_MAX);
  walk->parts[walk->parts_count++] = part;
  return IGLOO_OK;
}

/* Walk `pattern`, an absolute path without braces: a fixed folder, then components. */
static igloo_status walk_pattern(struct walk *walk, struct ig_str pattern,
                                 struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) path = IG_BUF_INIT(IG_PATH_BYTES_MAX - 1);
  struct ig_str part, rest = pattern;
  bool more = true;

  walk->parts_count = 0;
  walk->data_only = pattern.data[pattern.len - 1] == '/';
  while (more) {
    more = ig_str_split(rest, '/', &part, &rest);
    if (part.len == 0) continue;
    if (walk->parts_count > 0 || ig_glob_has_magic(part)) {
      IG_TRY(push_part(walk, part, reterr));
    } else {
      ig_buf_append_char(&path, '/');
      ig_buf_append_str(&path, part);
    }
  }
  if (walk->data_only) IG_TRY(push_part(walk, IG_STR("**"), reterr));
  if (path.len == 0) ig_buf_append_char(&path, '/');
  IG_TRY(ig_buf_check(&path, reterr));

  walk->partitions = !walk->options->no_partitions;
  walk->fixed_len = skip_partitions_back(ig_buf_str(&path));
  return walk_folder(walk, &path, 0, 0, reterr);
}

/* A path without magic, or one that exists under its very name. */
static igloo_status add_literal(struct walk *walk, const char *path,
                                enum ig_path_kind kind, struct ig_file_id id,
                                struct igloo_error *reterr) {
  struct ig_str name = ig_str_from_cstr(path);
  if (kind == IG_PATH_OTHER)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42809",
                         "\"%s\" is not a regular file", path);
  if (kind == IG_PATH_FILE) {
    walk->data_only = false;
    walk->partitions = false;
    return add_file(walk, name, id, reterr);
  }

  IG_AUTO_DONE(ig_buf) folder = IG_BUF_INIT(IG_PATH_BYTES_MAX - 1);
  bool slash = name.len > 1 && name.data[name.len - 1] == '/';
  ig_buf_append_str(&folder, ig_str_sub(name, 0, slash ? name.len - 1 : name.len));
  IG_TRY(ig_buf_check(&folder, reterr));
  walk->parts_count = 0;
  walk->data_only = true;
  walk->partitions = !walk->options->no_partitions;
  walk->fixed_len = skip_partitions_back(ig_buf_str(&folder));
  IG_TRY(push_part(walk, IG_STR("**"), reterr));
  return walk_folder(walk, &folder, 0, 0, reterr);
}

/* One text of an expanded `{…}`. */
static igloo_status walk_alternative(struct walk *walk, const char *text,
                                     struct igloo_error *reterr) {
  IG_AUTO_CHAR *path = NULL;
  IG_TRY(ig_path_absolute(ig_str_from_cstr(text), &path, reterr));
  struct ig_str view = ig_str_from_cstr(path);
  if (ig_glob_has_magic(view)) return walk_pattern(walk, view, reterr);

  enum ig_path_kind kind;
  struct ig_file_id id;
  igloo_status status =
      ig_roots_stat(walk->roots, path, IG_ACCESS_READ, &kind, &id, reterr);
  if (status == IGLOO_NOT_FOUND) return IGLOO_OK; /* another alternative may exist */
  IG_TRY(status);
  return add_literal(walk, path, kind, id, reterr);
}

/* Braces come before `..`, as in a shell: `{a/../b,c}` is cut at its comma. */
static igloo_status walk_braces(struct walk *walk, struct igloo_error *reterr) {
  char **texts = NULL;
  size_t count = 0;
  IG_TRY(ig_glob_braces(walk->argument, &texts, &count, reterr));
  igloo_status status = IGLOO_OK;
  for (size_t i = 0; i < count && status == IGLOO_OK; i++)
    status = walk_alternative(walk, texts[i], reterr);
  ig_glob_free(texts, count);
  return status;
}

static int compare_files(const void *a, const void *b) {
  const struct ig_file *left = a, *right = b;
  return strcmp(left->path, right->path);
}

/* Sort what one argument added from `first` on, and drop repetitions. */
static void sort_files(struct ig_file_list *list, size_t first) {
  if (list->files_count - first < 2) return;
  qsort(list->files + first, list->files_count - first, sizeof(*list->files),
        compare_files);
  size_t kept = first + 1;
  for (size_t i = first + 1; i < list->files_count; i++) {
    if (compare_files(&list->files[i], &list->files[kept - 1]) == 0)
      free_file(&list->files[i], list->partition_keys_count);
    else
      list->files[kept++] = list->files[i];
  }
  list->files_count = kept;
}

static igloo_status walk_argument(struct walk *walk, struct igloo_error *reterr) {
  IG_AUTO_CHAR *path = NULL;
  size_t first = walk->list->files_count;
  enum ig_path_kind kind;
  struct ig_file_id id;

  IG_TRY(ig_path_absolute(walk->argument, &path, reterr));
  bool magic = ig_glob_has_magic(ig_str_from_cstr(path)) ||
               ig_glob_has_magic(walk->argument); /* `{a/../b,c}` */
  igloo_status status =
      ig_roots_stat(walk->roots, path, IG_ACCESS_READ, &kind, &id, reterr);
  if (status == IGLOO_OK)
    IG_TRY(add_literal(walk, path, kind, id, reterr));
  else if (magic)
    IG_TRY(walk_braces(walk, reterr));
  else
    return status;

  if (walk->list->files_count == first)
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "58P01", "no files match \"%.*s\"",
                         IG_STR_ARG(walk->argument));
  sort_files(walk->list, first);
  return IGLOO_OK;
}

void ig_file_list_done(struct ig_file_list *list) {
  for (size_t i = 0; i < list->files_count; i++)
    free_file(&list->files[i], list->partition_keys_count);
  for (size_t i = 0; i < list->partition_keys_count; i++)
    ig_free(list->partition_keys[i]);
  ig_free(list->files);
  ig_free(list->partition_keys);
  *list = (struct ig_file_list){0};
}

igloo_status ig_file_list_expand(const ig_roots *roots, const struct ig_str *arguments,
                                 size_t arguments_count,
                                 const struct ig_list_options *options,
                                 struct ig_file_list *ret_list,
                                 struct igloo_error *reterr) {
  static const struct ig_list_options defaults = {0};
  IG_AUTO_DONE(ig_file_list) list = {0};
  struct walk walk = {.roots = roots, .options = options ? options : &defaults};
  walk.list = &list;
  walk.files_max =
      walk.options->files_max ? walk.options->files_max : IG_FILES_PER_TABLE_MAX;

  if (arguments_count == 0)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "no path is given");
  for (size_t i = 0; i < arguments_count; i++) {
    walk.argument = arguments[i];
    IG_TRY(walk_argument(&walk, reterr));
  }
  *ret_list = list;
  list = (struct ig_file_list){0};
  return IGLOO_OK;
}
