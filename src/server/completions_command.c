/* completions_command.c -- `igloo completions bash|zsh|fish`, made from the tables of the
 * commands. */
#include "arrow/out.h"
#include "base/limits.h"
#include "server/commands.h"
#include "shell/report.h"
#include "shell/shell.h"

static const struct ig_flag flags[] = {IG_FLAG_HELP, {0}};

static void append_words(struct ig_buf *dst, const struct ig_command *command) {
  for (const struct ig_flag *flag = command->flags; flag->id; flag++)
    ig_buf_append_fmt(dst, "%s%s", flag == command->flags ? "" : " ", flag->name);
}

static void append_command_names(struct ig_buf *dst) {
  for (size_t i = 0; ig_commands[i]; i++)
    ig_buf_append_fmt(dst, "%s%s", i == 0 ? "" : " ", ig_commands[i]->name);
}

/* Words that may follow a command's name without a dash. */
static const char *positional_words(const struct ig_command *command) {
  if (command == &ig_config_command) return "show check";
  if (command == &ig_completions_command) return "bash zsh fish";
  if (command == &ig_user_command) return "add list drop passwd";
  if (command == &ig_cert_command) return "dev";
  return "";
}

static void append_bash_values(struct ig_buf *dst, const struct ig_command *command) {
  for (const struct ig_flag *flag = command->flags; flag->id; flag++)
    if (flag->words)
      ig_buf_append_fmt(dst,
                        "  [ \"$command$prev\" = \"%s%s\" ] && "
                        "{ COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return; }\n",
                        command->name, flag->name, flag->words);
}

static void append_bash_case(struct ig_buf *dst, const struct ig_command *command) {
  ig_buf_append_fmt(dst, "    '%s') words='", command->name);
  append_words(dst, command);
  if (command == &ig_shell_command) {
    ig_buf_append_char(dst, ' ');
    append_command_names(dst);
  }
  ig_buf_append_fmt(dst, " %s' ;;\n", positional_words(command));
}

static void append_bash(struct ig_buf *dst) {
  ig_buf_append_cstr(dst,
                     "# bash completion of igloo; source it, or put it into\n"
                     "# ~/.local/share/bash-completion/completions/igloo\n"
                     "_igloo() {\n"
                     "  local cur=\"${COMP_WORDS[COMP_CWORD]}\" "
                     "prev=\"${COMP_WORDS[COMP_CWORD-1]}\" command='' words=''\n"
                     "  [ \"$COMP_CWORD\" -gt 1 ] && case \"${COMP_WORDS[1]}\" in\n    ");
  for (size_t i = 0; ig_commands[i]; i++)
    ig_buf_append_fmt(dst, "%s%s", i == 0 ? "" : "|", ig_commands[i]->name);
  ig_buf_append_cstr(dst, ") command=\"${COMP_WORDS[1]}\" ;;\n  esac\n");
  append_bash_values(dst, &ig_shell_command);
  for (size_t i = 0; ig_commands[i]; i++) append_bash_values(dst, ig_commands[i]);
  ig_buf_append_cstr(dst, "  case \"$command\" in\n");
  append_bash_case(dst, &ig_shell_command);
  for (size_t i = 0; ig_commands[i]; i++) append_bash_case(dst, ig_commands[i]);
  ig_buf_append_cstr(dst,
                     "  esac\n"
                     "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                     "}\n"
                     "complete -o default -F _igloo igloo\n");
}

/* zsh and fish quote alike here: help texts hold no single quote but as '\''. */
static void append_quoted(struct ig_buf *dst, const char *text, bool brackets) {
  for (; *text; text++) {
    if (*text == '\'') {
      ig_buf_append_cstr(dst, "'\\''");
    } else {
      if (brackets && strchr("[]:", *text)) ig_buf_append_char(dst, '\\');
      ig_buf_append_char(dst, *text);
    }
  }
}

static void append_zsh_flags(struct ig_buf *dst, const struct ig_command *command) {
  for (const struct ig_flag *flag = command->flags; flag->id; flag++) {
    ig_buf_append_fmt(dst, " \\\n      '%s[", flag->name);
    append_quoted(dst, flag->help, true);
    ig_buf_append_char(dst, ']');
    if (flag->value) ig_buf_append_fmt(dst, ":%s:", flag->value);
    if (flag->words) {
      ig_buf_append_fmt(dst, "(%s)", flag->words);
    } else if (flag->value) {
      ig_buf_append_cstr(dst, "_files");
    }
    ig_buf_append_char(dst, '\'');
  }
}

static void append_zsh(struct ig_buf *dst) {
  ig_buf_append_cstr(
      dst,
      "#compdef igloo\n"
      "# zsh completion of igloo; put it as _igloo into a folder of $fpath\n"
      "_igloo() {\n"
      "  local -a commands\n  commands=(");
  for (size_t i = 0; ig_commands[i]; i++) {
    ig_buf_append_fmt(dst, "\n    '%s:", ig_commands[i]->name);
    append_quoted(dst, ig_commands[i]->summary, true);
    ig_buf_append_char(dst, '\'');
  }
  ig_buf_append_cstr(dst,
                     ")\n  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n"
                     "    _describe command commands\n    return\n  fi\n"
                     "  case $words[2] in\n");
  for (size_t i = 0; ig_commands[i]; i++) {
    ig_buf_append_fmt(dst, "    %s) shift words; (( CURRENT-- )); _arguments",
                      ig_commands[i]->name);
    append_zsh_flags(dst, ig_commands[i]);
    if (positional_words(ig_commands[i])[0])
      ig_buf_append_fmt(dst, " \\\n      '1: :(%s)'", positional_words(ig_commands[i]));
    ig_buf_append_cstr(dst, " ;;\n");
  }
  ig_buf_append_cstr(dst, "    *) _arguments");
  append_zsh_flags(dst, &ig_shell_command);
  ig_buf_append_cstr(dst, " ;;\n  esac\n}\n_igloo \"$@\"\n");
}

static void append_fish_flags(struct ig_buf *dst, const struct ig_command *command) {
  for (const struct ig_flag *flag = command->flags; flag->id; flag++) {
    ig_buf_append_cstr(dst, "complete -c igloo -n '");
    if (command->name[0]) {
      ig_buf_append_fmt(dst, "__fish_seen_subcommand_from %s", command->name);
    } else {
      ig_buf_append_cstr(dst, "__fish_use_subcommand");
    }
    ig_buf_append_fmt(dst, "' -l %s", flag->name + 2);
    if (flag->letter) ig_buf_append_fmt(dst, " -s %c", flag->letter);
    if (flag->value) ig_buf_append_cstr(dst, " -r");
    if (flag->words) ig_buf_append_fmt(dst, " -f -a '%s'", flag->words);
    ig_buf_append_cstr(dst, " -d '");
    append_quoted(dst, flag->help, false);
    ig_buf_append_cstr(dst, "'\n");
  }
}

static void append_fish(struct ig_buf *dst) {
  ig_buf_append_cstr(dst,
                     "# fish completion of igloo; put it into "
                     "~/.config/fish/completions/igloo.fish\n");
  append_fish_flags(dst, &ig_shell_command);
  for (size_t i = 0; ig_commands[i]; i++) {
    const struct ig_command *command = ig_commands[i];
    ig_buf_append_fmt(dst, "complete -c igloo -f -n __fish_use_subcommand -a %s -d '",
                      command->name);
    append_quoted(dst, command->summary, false);
    ig_buf_append_cstr(dst, "'\n");
    append_fish_flags(dst, command);
    if (positional_words(command)[0])
      ig_buf_append_fmt(
          dst, "complete -c igloo -f -n '__fish_seen_subcommand_from %s' -a '%s'\n",
          command->name, positional_words(command));
  }
}

static const struct {
  const char *shell;
  void (*append)(struct ig_buf *dst);
} makers[] = {{"bash", append_bash}, {"zsh", append_zsh}, {"fish", append_fish}};

static igloo_status take_word(void *ret_shell, int id IG_UNUSED, const char *value,
                              struct igloo_error *reterr IG_UNUSED) {
  *(const char **)ret_shell = value;
  return IGLOO_OK;
}

static igloo_status parse(int argc, char **argv, const char **ret_shell, bool *ret_help,
                          struct igloo_error *reterr) {
  IG_TRY(ig_args_read(&ig_completions_command, argc, argv, take_word, ret_shell, ret_help,
                      reterr));
  if (*ret_help || *ret_shell) return IGLOO_OK;
  return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                 "say for which shell: bash, zsh or fish");
}

static int completions_main(int argc, char **argv) {
  struct igloo_error error;
  const char *shell = NULL;
  bool help = false;
  if (parse(argc, argv, &shell, &help, &error) != IGLOO_OK)
    return ig_report_usage(&error);
  if (help) return ig_command_print_help(&ig_completions_command);
  for (size_t i = 0; i < IG_ARRAY_LEN(makers); i++) {
    if (strcmp(shell, makers[i].shell) != 0) continue;
    struct ig_out out __attribute__((cleanup(ig_out_done)));
    ig_out_init(&out, 1);
    makers[i].append(&out.text);
    igloo_status status = ig_out_flush(&out, &error);
    if (status == IGLOO_OK || out.reader_gone) return 0;
    return ig_report_failure(&error);
  }
  (void)ig_fail(&error, IGLOO_INVALID_ARGUMENT, "unknown shell \"%s\"", shell);
  ig_error_hint(&error, "There are completions for bash, zsh and fish.");
  return ig_report_usage(&error);
}

const struct ig_command ig_completions_command = {
    .name = "completions",
    .arguments = "bash|zsh|fish",
    .summary = "Print the completions of the program for a shell.",
    .more = "Example: source <(igloo completions bash)\n",
    .flags = flags,
    .run = completions_main,
};
