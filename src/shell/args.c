/* args.c -- see args.h. */
#include "shell/args.h"

#include "arrow/out.h"
#include "base/limits.h"

#define FLAGS_MAX ((size_t)32)

static igloo_status fail_unknown(const struct ig_command *command, struct ig_str word,
                                 struct igloo_error *reterr) {
  const char *names[FLAGS_MAX];
  size_t count = 0;
  for (const struct ig_flag *flag = command->flags; flag->id && count < FLAGS_MAX; flag++)
    names[count++] = flag->name;
  const char *nearest = ig_str_nearest(word, names, count);
  igloo_status status = ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unknown option \"%.*s\"",
                                IG_STR_ARG(word));
  const char *space = command->name[0] ? " " : "";
  if (nearest) {
    ig_error_hint(reterr, "Did you mean \"%s\"? See `igloo%s%s --help`.", nearest, space,
                  command->name);
  } else {
    ig_error_hint(reterr, "See `igloo%s%s --help`%s.", space, command->name,
                  command->name[0] ? "" : "; `igloo sql` runs scripts");
  }
  return status;
}

static const struct ig_flag *find_flag(const struct ig_command *command,
                                       struct ig_str name) {
  for (const struct ig_flag *flag = command->flags; flag->id; flag++) {
    if (ig_str_eq_cstr(name, flag->name)) return flag;
    if (name.len == 2 && name.data[0] == '-' && flag->letter &&
        name.data[1] == flag->letter)
      return flag;
  }
  return NULL;
}

struct args {
  const struct ig_command *command;
  int argc;
  char **argv;
  int at;          /* the next word */
  bool flags_over; /* after `--` */
};

#define END 0 /* in place of an id: no word is left */

/* The next flag or word. */
static igloo_status read_next(struct args *args, int *ret_id, const char **ret_value,
                              struct igloo_error *reterr) {
  if (args->at >= args->argc) {
    *ret_id = END;
    return IGLOO_OK;
  }
  char *word = args->argv[args->at++];
  if (!args->flags_over && strcmp(word, "--") == 0) {
    args->flags_over = true;
    return read_next(args, ret_id, ret_value, reterr);
  }
  if (args->flags_over || word[0] != '-' || word[1] == '\0') {
    *ret_id = IG_ARGS_POSITIONAL;
    *ret_value = word;
    return IGLOO_OK;
  }

  bool is_long = word[1] == '-';
  char *equals = is_long ? strchr(word, '=') : NULL;
  size_t name_len = equals ? (size_t)(equals - word) : is_long ? strlen(word) : 2;
  struct ig_str name = ig_str_make(word, name_len);
  const struct ig_flag *flag = find_flag(args->command, name);
  if (!flag) return fail_unknown(args->command, name, reterr);

  const char *attached = equals ? equals + 1 : word[name_len] ? word + name_len : NULL;
  if (!flag->value) {
    if (attached)
      return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "option \"%s\" takes no value",
                     flag->name);
    *ret_value = NULL;
  } else if (attached) {
    *ret_value = attached;
  } else if (args->at < args->argc) {
    *ret_value = args->argv[args->at++];
  } else {
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "option \"%s\" needs a value (%s)",
                   flag->name, flag->value);
  }
  *ret_id = flag->id;
  return IGLOO_OK;
}

igloo_status ig_args_read(const struct ig_command *command, int argc, char **argv,
                          ig_args_take *take, void *request, bool *ret_help,
                          struct igloo_error *reterr) {
  struct args args = {.command = command, .argc = argc, .argv = argv, .at = 1};
  for (;;) {
    int id = END;
    const char *value = NULL;
    IG_TRY(read_next(&args, &id, &value, reterr));
    if (id == END || id == IG_FLAG_HELP_ID) {
      *ret_help = id == IG_FLAG_HELP_ID;
      return IGLOO_OK;
    }
    igloo_status status = take(request, id, value, reterr);
    if (status == IGLOO_OK) continue;
    if (status == IGLOO_INVALID_ARGUMENT && reterr && !reterr->hint[0])
      ig_error_hint(reterr, "See `igloo%s%s --help`.", command->name[0] ? " " : "",
                    command->name);
    return status;
  }
}

/* "-o, --output FILE" */
static void append_flag_names(const struct ig_flag *flag, struct ig_buf *dst) {
  if (flag->letter) {
    ig_buf_append_fmt(dst, "-%c, %s", flag->letter, flag->name);
  } else {
    ig_buf_append_fmt(dst, "    %s", flag->name);
  }
  if (flag->value) ig_buf_append_fmt(dst, " %s", flag->value);
}

void ig_command_help(const struct ig_command *command, struct ig_buf *dst) {
  ig_buf_append_fmt(dst, "%s\n\nUsage: igloo%s%s %s\n\nOptions:\n", command->summary,
                    command->name[0] ? " " : "", command->name, command->arguments);
  IG_AUTO_DONE(ig_buf) names = IG_BUF_INIT(IG_KIB);
  size_t width = 0;
  for (const struct ig_flag *flag = command->flags; flag->id; flag++) {
    ig_buf_clear(&names);
    append_flag_names(flag, &names);
    ig_buf_fail_with(dst, &names);
    if (names.len > width) width = names.len;
  }
  for (const struct ig_flag *flag = command->flags; flag->id; flag++) {
    ig_buf_clear(&names);
    append_flag_names(flag, &names);
    ig_buf_fail_with(dst, &names);
    ig_buf_append_cstr(dst, "  ");
    ig_buf_append_str(dst, ig_buf_str(&names));
    ig_buf_append_repeat(dst, ' ', width - names.len + 2);
    ig_buf_append_cstr(dst, flag->help);
    ig_buf_append_char(dst, '\n');
  }
  if (command->more) ig_buf_append_fmt(dst, "\n%s", command->more);
}

int ig_command_print_help(const struct ig_command *command) {
  struct ig_out out __attribute__((cleanup(ig_out_done)));
  ig_out_init(&out, 1);
  ig_command_help(command, &out.text);
  igloo_status status = ig_out_flush(&out, NULL);
  return status == IGLOO_OK || out.reader_gone ? 0 : 1;
}
