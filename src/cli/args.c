/* Options from tables: parsing. */
#include "cli.h"

#include <string.h>

static const char *const logs[] = { "text", "json", NULL };

static const witan_param common[] = {
    { .name = "threads", .type = WITAN_P_I32, .offset = offsetof(cli_common, threads), .max = 256, .alias = "t",
      .help = "worker threads; 0: WITAN_THREADS, else all processors this process may use" },
    { .name = "exact", .type = WITAN_P_BOOL, .offset = offsetof(cli_common, exact), .max = 1,
      .help = "keep activations float where weights are in blocks, instead of rounding them to bytes: several times slower" },
    { .name = "pin", .type = WITAN_P_BOOL, .offset = offsetof(cli_common, pin), .max = 1, .help = "keep each thread on a processor of its own" },
    { .name = "quiet", .type = WITAN_P_BOOL, .offset = offsetof(cli_common, quiet), .max = 1, .alias = "q", .help = "no progress and no notes" },
    { .name = "log", .type = WITAN_P_ENUM, .offset = offsetof(cli_common, log), .choice = logs,
      .help = "progress and messages on standard error, for people or as JSON lines" },
    { .name = "help", .type = WITAN_P_BOOL, .offset = offsetof(cli_common, help), .max = 1, .alias = "h", .help = "this text" },
    { 0 }
};

const witan_param *cli_table(const command *cmd, int i)
{
    const witan_param *const table[CLI_N_TABLE] = { cmd->param, cmd->more, cmd->extra, common };
    return table[i];
}

const char *cli_table_title(const command *cmd, int i) { return i + 1 < CLI_N_TABLE ? cmd->title[i] : cmd->title[0] ? "for every command" : NULL; }

/* The part of the options that the i-th table is about. */
static void *part(const command *cmd, cli *c, void *opts, int i)
{
    const size_t at[CLI_N_TABLE] = { 0, cmd->more_at, cmd->extra_at, 0 };
    return i + 1 == CLI_N_TABLE ? (void *)&c->o : (char *)opts + at[i];
}

typedef struct place { const witan_param *table, *row; void *opts; } place;

static bool look_up(const command *cmd, cli *c, void *opts, const char *name, place *at)
{
    for (int i = 0; i < CLI_N_TABLE; i++) {
        at->table = cli_table(cmd, i);
        at->opts = part(cmd, c, opts, i);
        if (at->table && (at->row = witan_opt_find(at->table, name))) return true;
    }
    return false;
}

/* `-file x`, meant as --file. */
static bool one_dash_too_few(const command *cmd, const char *arg)
{
    for (int i = 0; arg[1] != '-' && arg[2] && i < CLI_N_TABLE; i++)
        if (cli_table(cmd, i) && witan_opt_find(cli_table(cmd, i), arg + 1)) return true;
    return false;
}

static int unknown_option(const command *cmd, const char *arg, const char *name)
{
    const char *word[128];
    char shown[64];
    size_t n = 0;
    for (int i = 0; i < CLI_N_TABLE; i++)
        for (const witan_param *p = cli_table(cmd, i); p && p->name && n < 128; p++) word[n++] = p->name;
    const char *near = witan_did_you_mean(name, word, n);
    if (one_dash_too_few(cmd, arg)) return cli_usage("%s: unknown option %s; did you mean -%s?", cmd->name, arg, arg);
    if (near) return cli_usage("%s: unknown option %s; did you mean --%s?", cmd->name, arg, cli_dashed(near, shown));
    return cli_usage("%s: unknown option %s; `witan %s --help` lists them", cmd->name, arg, cmd->name);
}

/* One option at argv[*i]; moves *i over its value. */
static int option(cli *c, const command *cmd, int argc, char **argv, int *i, void *opts)
{
    const char *arg = argv[*i], *value = NULL;
    char name[64];
    place at;
    if (arg[1] == '-') {
        const char *eq = strchr(arg, '=');
        size_t n = eq ? (size_t)(eq - arg - 2) : strlen(arg + 2);
        if (n < 2 || n >= sizeof name) return cli_usage("%s: unknown option %.60s", cmd->name, arg);
        snprintf(name, sizeof name, "%.*s", (int)n, arg + 2);
        if (eq) value = eq + 1;
    } else {
        snprintf(name, sizeof name, "%c", arg[1]);
        if (arg[2]) value = arg + 2;
    }
    if (one_dash_too_few(cmd, arg) || !look_up(cmd, c, opts, name, &at)) return unknown_option(cmd, arg, name);
    if (!value && at.row->type == WITAN_P_BOOL) value = "";
    if (!value && *i + 1 >= argc) return cli_usage("%s: %s expects a value", cmd->name, arg);
    if (!value) value = argv[++*i];
    if (witan_opt_set(c->cx, at.table, at.opts, at.row->name, value)) return cli_usage("%s: --%s", cmd->name, witan_error(c->cx));
    return -1;
}

/* An empty name is a variable that was not set; what a file of that name would mean is better not tried. Text may be empty. */
static int no_name(const cli *c, const command *cmd)
{
    char word[32];
    for (int i = 0; i < c->n_arg && cli_place(cmd, i, word); i++)
        if (!*c->arg[i] && strcmp(word, "PROMPT") && strcmp(word, "TEXT")) return cli_usage("%s: %s is empty", cmd->name, word);
    return -1;
}

/* How messages are wanted must be known before the first option can be wrong. */
static bool wants_json_log(int argc, char **argv, int first)
{
    bool json = false;
    for (int i = first; i < argc && strcmp(argv[i], "--"); i++) {
        if (!strcmp(argv[i], "--log") && i + 1 < argc) json = !strcmp(argv[i + 1], "json");
        else if (!strncmp(argv[i], "--log=", 6)) json = !strcmp(argv[i] + 6, "json");
    }
    return json;
}

/* All words after the command: options into opts, the others into c->arg. */
static int words(cli *c, const command *cmd, int argc, char **argv, int first, void *opts)
{
    bool only_args = false;
    c->n_arg = 0;
    for (int i = first; i < argc; i++) {
        if (!only_args && !strcmp(argv[i], "--")) { only_args = true; continue; }
        if (only_args || argv[i][0] != '-' || !argv[i][1]) { c->arg[c->n_arg++] = argv[i]; continue; }
        int status = option(c, cmd, argc, argv, &i, opts);
        if (status >= 0) return status;
    }
    return -1;
}

static void defaults(cli *c, const command *cmd, void *opts)
{
    for (int i = 0; i < CLI_N_TABLE; i++) witan_opt_defaults(cli_table(cmd, i), part(cmd, c, opts, i));
}

int cli_parse(cli *c, const command *cmd, int argc, char **argv, int first, void *opts)
{
    cli_log_json(wants_json_log(argc, argv, first));
    defaults(c, cmd, opts);
    int status = words(c, cmd, argc, argv, first, opts);
    if (status >= 0) return status;
    if (c->o.help) { cli_help(cmd, stdout); return EXIT_OK; }
    if (c->n_arg < cmd->min_arg) return cli_usage("%s expects: witan %s %s", cmd->name, cmd->name, cmd->args);
    if (c->n_arg > cmd->max_arg) return cli_usage("%s: \"%s\" is one argument too many; expected: witan %s %s", cmd->name, c->arg[cmd->max_arg], cmd->name, cmd->args);
    if ((status = no_name(c, cmd)) >= 0 || !cmd->file || !c->n_arg) return status;
    defaults(c, cmd, opts);                       /* anew, with the file in between: what was typed counts more */
    status = cmd->file(c, opts);
    return status >= 0 ? status : words(c, cmd, argc, argv, first, opts);
}
