/* Completion for bash; the other shells have files of their own. A script is a fixed frame around what the tables say. */
#include "complete.h"

#include <string.h>

bool complete_takes_value(const witan_param *p) { return p->type != WITAN_P_BOOL; }

void complete_names(const witan_param *p, char text[160])
{
    char name[64];
    bool single = p->alias && strlen(p->alias) == 1;
    snprintf(text, 160, "--%s%s%s", cli_dashed(p->name, name), single ? " -" : "", single ? p->alias : "");
}

/* The words or the call that fill one value. */
static void fill(const cli_value *v, FILE *f)
{
    if (v->fill == CLI_FILL_FILE) fprintf(f, "_witan_files '%s'", v->ext ? v->ext : "");
    else if (v->fill == CLI_FILL_DIR) fputs("_witan_files /", f);
    else {
        fputs("words='", f);
        for (size_t i = 0; i < v->n_word; i++) fprintf(f, "%s%s", i ? " " : "", v->word[i]);
        fputc('\'', f);
    }
}

static void option_cases(const command *cmd, FILE *f)
{
    char names[160];
    cli_value v;
    for (int i = 0; i < CLI_N_TABLE; i++)
        for (const witan_param *p = cli_table(cmd, i); p && p->name; p++) {
            cli_value_of_option(p, &v);
            if (v.fill == CLI_FILL_NOTHING) continue;
            complete_names(p, names);
            char *space = strchr(names, ' ');
            if (space) *space = '|';
            if (space) fprintf(f, "        %s:%.*s|%s:%s) ", cmd->name, (int)(space - names), names, cmd->name, space + 1);
            else fprintf(f, "        %s:%s) ", cmd->name, names);
            fill(&v, f);
            fputs(" ;;\n", f);
        }
}

static void place_cases(const command *cmd, FILE *f)
{
    char word[32];
    cli_value v;
    for (int i = 0; cli_place(cmd, i, word); i++) {
        cli_value_of_place(word, &v);
        if (v.fill == CLI_FILL_NOTHING) continue;
        fprintf(f, "        %s:%d) ", cmd->name, i);
        fill(&v, f);
        fputs(" ;;\n", f);
    }
}

static void names(const command *cmd, bool with_value, FILE *f)
{
    char text[160];
    fprintf(f, with_value ? "    %s) valued='" : "        %s) words='", cmd->name);
    for (int i = 0, n = 0; i < CLI_N_TABLE; i++)
        for (const witan_param *p = cli_table(cmd, i); p && p->name; p++) {
            if (with_value && !complete_takes_value(p)) continue;
            complete_names(p, text);
            fprintf(f, "%s%s", n++ ? " " : "", text);
        }
    fputs("' ;;\n", f);
}

static const char head[] =
    "# Completion of witan for bash, printed by `witan help --completion bash`.\n"
    "\n"
    "# Folders, and the files that end in .$1: all when it is empty, none when it is '/'.\n"
    "_witan_files() {\n"
    "    local f plain=${cur//\\\\/}\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    while IFS= read -r f; do\n"
    "        if [[ -d ${f/#\\~\\//$HOME/} || -z $1 || $f == *.\"$1\" ]]; then COMPREPLY+=(\"$f\"); fi\n"
    "    done < <(compgen -f -- \"$plain\")\n"
    "}\n"
    "\n"
    "_witan() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words='' valued='' place=0 i\n"
    "    COMPREPLY=()\n"
    "    if ((COMP_CWORD == 1)); then\n"
    "        COMPREPLY=($(compgen -W '";

static const char middle[] =
    "    # --name=value reaches us as three words\n"
    "    if [[ $cur == = ]]; then cur=''; elif [[ $prev == = ]] && ((COMP_CWORD > 2)); then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
    "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
    "        case ${COMP_WORDS[i]} in\n"
    "        =) ;;\n"
    "        -?*) if [[ \" $valued \" == *\" ${COMP_WORDS[i]} \"* ]]; then ((i++)); [[ ${COMP_WORDS[i]} == = ]] && ((i++)); fi ;;\n"
    "        *) ((place++)) ;;\n"
    "        esac\n"
    "    done\n"
    "    if [[ \" $valued \" == *\" $prev \"* ]]; then\n"
    "        case $command:$prev in\n";

void complete_bash(FILE *f)
{
    size_t n;
    const command *const *cmd = cli_commands(&n);
    fputs(head, f);
    for (size_t i = 0; i < n; i++) fprintf(f, "%s ", cmd[i]->name);
    fputs("--help --version' -- \"$cur\"))\n        return\n    fi\n    case $command in\n", f);
    for (size_t i = 0; i < n; i++) names(cmd[i], true, f);
    fputs("    esac\n", f);
    fputs(middle, f);
    for (size_t i = 0; i < n; i++) option_cases(cmd[i], f);
    fputs("        esac\n    elif [[ $cur == -* ]]; then\n        case $command in\n", f);
    for (size_t i = 0; i < n; i++) names(cmd[i], false, f);
    fputs("        esac\n    else\n        case $command:$place in\n", f);
    for (size_t i = 0; i < n; i++) place_cases(cmd[i], f);
    fputs("        esac\n    fi\n    [[ -z $words ]] || COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n\ncomplete -F _witan witan\n", f);
}

void cli_completion(cli_shell shell, FILE *f)
{
    if (shell == CLI_BASH) complete_bash(f);
    if (shell == CLI_ZSH) complete_zsh(f);
    if (shell == CLI_FISH) complete_fish(f);
}
