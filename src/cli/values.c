/* What can stand in the place of a value: the one place that knows what metavariables mean. */
#include "cli.h"

#include <string.h>

static void methods(cli_value *v, const char *kind)
{
    witan_method m;
    v->fill = CLI_FILL_WORDS;
    for (size_t i = 0; witan_method_get(i, &m) && v->n_word < CLI_MOST_WORDS; i++)
        if (!kind || !strcmp(m.kind, kind)) v->word[v->n_word++] = m.name;
}

static void checkpoints(cli_value *v)
{
    const char *name;
    v->fill = CLI_FILL_WORDS;
    for (size_t i = 0; (name = witan_random_name(i)) && v->n_word < CLI_MOST_WORDS; i++) v->word[v->n_word++] = name;
}

static void commands(cli_value *v)
{
    size_t n;
    const command *const *cmd = cli_commands(&n);
    v->fill = CLI_FILL_WORDS;
    for (size_t i = 0; i < n; i++) v->word[v->n_word++] = cmd[i]->name;
}

/* Of `witan data`. */
static void actions(cli_value *v)
{
    v->fill = CLI_FILL_WORDS;
    for (size_t i = 0; cli_data_actions[i]; i++) v->word[v->n_word++] = cli_data_actions[i];
}

void cli_value_of_place(const char *name, cli_value *v)
{
    const char *dot = strrchr(name, '.');
    *v = (cli_value){ 0 };
    if (!strcmp(name, "MODEL")) { v->fill = CLI_FILL_FILE; v->ext = "gguf"; }
    else if (dot && dot[1]) { v->fill = CLI_FILL_FILE; v->ext = dot + 1; }
    else if (!strcmp(name, "FILE") || !strcmp(name, "PATH...")) v->fill = CLI_FILL_FILE;
    else if (!strcmp(name, "DIR")) v->fill = CLI_FILL_DIR;
    else if (!strcmp(name, "METHOD")) methods(v, NULL);
    else if (!strcmp(name, "COMMAND")) commands(v);
    else if (!strcmp(name, "ACTION")) actions(v);
    else if (!strcmp(name, "CHECKPOINT")) checkpoints(v);
    else if (*name >= 'a' && *name <= 'z') { v->fill = CLI_FILL_WORDS; v->word[v->n_word++] = name; }   /* to be typed as it stands */
}

void cli_value_of_option(const witan_param *p, cli_value *v)
{
    *v = (cli_value){ 0 };
    bool spec = p->type == WITAN_P_STR && p->metavar && !strncmp(p->metavar, "METHOD:", 7);   /* such options are called as their kind of method */
    if (p->type == WITAN_P_STR && !strcmp(p->name, "score")) methods(v, "importance");
    else if (spec) methods(v, p->name);
    else if (p->type == WITAN_P_STR) cli_value_of_place(cli_value_name(p), v);
    else if (p->type == WITAN_P_ENUM) {
        v->fill = CLI_FILL_WORDS;
        for (int i = 0; p->choice[i] && v->n_word < CLI_MOST_WORDS; i++) v->word[v->n_word++] = p->choice[i];
    }
}

bool cli_place(const command *cmd, int i, char word[32])
{
    for (const char *s = cmd->args; *(s += strspn(s, " []"));) {
        size_t n = strcspn(s, " []");
        bool option = *s == '-';
        if (option) {                             /* its value follows */
            s += n + strspn(s + n, " ");
            n = strcspn(s, " []");
        } else if (!i--) {
            snprintf(word, 32, "%.*s", (int)n, s);
            return true;
        }
        s += n;
    }
    return false;
}
