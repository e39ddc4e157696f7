/* Completion for fish: one `complete` line per command, option and place. */
#include "complete.h"

#include <string.h>

static void put(const char *s, FILE *f)
{
    fputc('\'', f);
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\') fputc('\\', f);
        fputc(*s, f);
    }
    fputc('\'', f);
}

/* What follows -a, and whether file names are candidates too. */
static void fill(const cli_value *v, FILE *f)
{
    if (v->fill == CLI_FILL_FILE && v->ext) fprintf(f, " -k -a '(__fish_complete_suffix .%s)'", v->ext);
    else if (v->fill == CLI_FILL_FILE) fputs(" -F", f);
    else if (v->fill == CLI_FILL_DIR) fputs(" -a '(__fish_complete_directories)'", f);
    else if (v->fill == CLI_FILL_WORDS) {
        fputs(" -a '", f);
        for (size_t i = 0; i < v->n_word; i++) fprintf(f, "%s%s", i ? " " : "", v->word[i]);
        fputc('\'', f);
    }
}

static void option(const command *cmd, const witan_param *p, FILE *f)
{
    char name[64];
    cli_value v;
    fprintf(f, "complete -c witan -n '__witan_is %s' -l %s", cmd->name, cli_dashed(p->name, name));
    if (p->alias && strlen(p->alias) == 1) fprintf(f, " -s %s", p->alias);
    fputs(" -d ", f);
    put(p->help, f);
    if (complete_takes_value(p)) {
        fputs(" -r", f);
        cli_value_of_option(p, &v);
        fill(&v, f);
    }
    fputc('\n', f);
}

/* The options whose value is no argument, so that arguments can be counted. */
static void valued(const command *cmd, FILE *f)
{
    char names[160];
    for (int i = 0; i < CLI_N_TABLE; i++)
        for (const witan_param *p = cli_table(cmd, i); p && p->name; p++) {
            if (!complete_takes_value(p)) continue;
            complete_names(p, names);
            fprintf(f, " %s", names);
        }
}

static void one(const command *cmd, FILE *f)
{
    char word[32];
    cli_value v;
    fprintf(f, "\ncomplete -c witan -n __witan_is_first -a %s -d ", cmd->name);
    put(cmd->summary, f);
    fputc('\n', f);
    for (int i = 0; i < CLI_N_TABLE; i++)
        for (const witan_param *p = cli_table(cmd, i); p && p->name; p++) option(cmd, p, f);
    for (int i = 0; cli_place(cmd, i, word); i++) {
        cli_value_of_place(word, &v);
        if (v.fill == CLI_FILL_NOTHING) continue;
        fprintf(f, "complete -c witan -n '__witan_at %s %d", cmd->name, i);
        valued(cmd, f);
        fputc('\'', f);
        fill(&v, f);
        fputc('\n', f);
    }
}

static const char head[] =
    "# Completion of witan for fish, printed by `witan help --completion fish`.\n"
    "\n"
    "function __witan_is_first\n"
    "    test (count (commandline -opc)) -eq 1\n"
    "end\n"
    "\n"
    "function __witan_is\n"
    "    set -l typed (commandline -opc)\n"
    "    test (count $typed) -gt 1; and test $typed[2] = $argv[1]\n"
    "end\n"
    "\n"
    "# COMMAND PLACE OPTION...: the next argument of COMMAND is number PLACE; the options take a value\n"
    "function __witan_at\n"
    "    __witan_is $argv[1]; or return 1\n"
    "    set -l typed (commandline -opc)\n"
    "    set -l place 0\n"
    "    set -l skip 0\n"
    "    for word in $typed[3..-1]\n"
    "        if test $skip -eq 1\n"
    "            set skip 0\n"
    "        else if contains -- $word $argv[3..-1]\n"
    "            set skip 1\n"
    "        else if not string match -q -- '-?*' $word\n"
    "            set place (math $place + 1)\n"
    "        end\n"
    "    end\n"
    "    test $skip -eq 0 -a $place -eq $argv[2]\n"
    "end\n"
    "\n"
    "complete -c witan -f\n"
    "complete -c witan -n __witan_is_first -l help -d 'list the commands'\n"
    "complete -c witan -n __witan_is_first -l version -d 'print the version'\n";

void complete_fish(FILE *f)
{
    size_t n;
    const command *const *cmd = cli_commands(&n);
    fputs(head, f);
    for (size_t i = 0; i < n; i++) one(cmd[i], f);
}
