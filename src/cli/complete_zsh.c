/* Completion for zsh: one _arguments call per command. */
#include "complete.h"

#include <string.h>

/* Text inside single quotes of the shell and inside a specification of _arguments. */
static void put(const char *s, FILE *f)
{
    for (; *s; s++) {
        if (*s == '\'') { fputs("'\\''", f); continue; }
        if (strchr("\\:[]", *s)) fputc('\\', f);
        fputc(*s, f);
    }
}

static void fill(const char *what, const cli_value *v, FILE *f)
{
    fputc(':', f);
    put(what, f);
    fputc(':', f);
    if (v->fill == CLI_FILL_FILE && v->ext) fprintf(f, "_files -g \"*.%s\"", v->ext);
    else if (v->fill == CLI_FILL_FILE) fputs("_files", f);
    else if (v->fill == CLI_FILL_DIR) fputs("_files -/", f);
    else if (v->fill == CLI_FILL_WORDS) {
        fputc('(', f);
        for (size_t i = 0; i < v->n_word; i++) fprintf(f, "%s%s", i ? " " : "", v->word[i]);
        fputc(')', f);
    } else fputc(' ', f);
}

static void option(const witan_param *p, FILE *f)
{
    char name[64];
    cli_value v;
    const char *value = complete_takes_value(p) ? "=" : "";
    bool single = p->alias && strlen(p->alias) == 1;
    cli_dashed(p->name, name);
    fputs(" \\\n            ", f);
    if (single) fprintf(f, "'(-%s --%s)'{-%s%s,--%s%s}'[", p->alias, name, p->alias, *value ? "+" : "", name, value);
    else fprintf(f, "'--%s%s[", name, value);
    put(p->help, f);
    fputc(']', f);
    cli_value_of_option(p, &v);
    if (*value) fill(cli_value_name(p), &v, f);
    fputc('\'', f);
}

static void one(const command *cmd, FILE *f)
{
    char word[32];
    cli_value v;
    fprintf(f, "    %s)\n        _arguments -s -S", cmd->name);
    for (int i = 0; i < CLI_N_TABLE; i++)
        for (const witan_param *p = cli_table(cmd, i); p && p->name; p++) option(p, f);
    for (int i = 0; cli_place(cmd, i, word); i++) {
        cli_value_of_place(word, &v);
        fprintf(f, " \\\n            '%d%s", i + 1, i >= cmd->min_arg ? ":" : "");
        fill(word, &v, f);
        fputc('\'', f);
    }
    fputs(" ;;\n", f);
}

void complete_zsh(FILE *f)
{
    size_t n;
    const command *const *cmd = cli_commands(&n);
    fputs("#compdef witan\n# Completion of witan for zsh, printed by `witan help --completion zsh`.\n\n_witan() {\n    local -a commands\n    commands=(\n", f);
    for (size_t i = 0; i < n; i++) {
        fprintf(f, "        '%s:", cmd[i]->name);
        put(cmd[i]->summary, f);
        fputs("'\n", f);
    }
    fputs("        '--help:list the commands'\n        '--version:print the version'\n    )\n"
          "    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n    fi\n"
          "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in\n", f);
    for (size_t i = 0; i < n; i++) one(cmd[i], f);
    fputs("    esac\n}\n\nif [[ $funcstack[1] == _witan ]]; then _witan \"$@\"; else compdef _witan witan; fi\n", f);
}
