/* witan help: what the tables say, as text, as manual pages and as completions for shells. */
#include "cli.h"

#include <string.h>

typedef struct opts { bool man; int32_t completion; } opts;

static const char *const shells[] = { "none", "bash", "zsh", "fish", NULL };

static const witan_param param[] = {
    WITAN_FLAG(opts, man, "print the manual page instead"),
    WITAN_CHOICE(opts, completion, CLI_NO_SHELL, shells, "print the completion script of a shell instead"),
    { 0 }
};

/* ---- words of the tables -------------------------------------------------------------------------------------------- */

const char *cli_dashed(const char *name, char buf[64])
{
    snprintf(buf, 64, "%s", name);
    for (char *c = buf; *c; c++) if (*c == '_') *c = '-';
    return buf;
}

const char *cli_value_name(const witan_param *p)
{
    static const char *const by_type[] = { "X", "X", "N", "N", "", "TEXT", "NAME" };
    return p->metavar ? p->metavar : by_type[p->type];
}

const char *cli_default_text(const witan_param *p, char buf[64])
{
    double space[2] = { 0 };                      /* room for one field at offset 0 */
    witan_param one[2] = { *p, { 0 } };
    if (p->type == WITAN_P_BOOL) return "";
    if (p->type == WITAN_P_STR) return p->def_text ? p->def_text : "";
    one[0].offset = 0;
    witan_opt_defaults(one, space);
    witan_opt_text(one, space, buf, 64);
    return buf;
}

/* ---- text ----------------------------------------------------------------------------------------------------------- */

/* Text in lines that fit, broken at spaces and continued at column `indent`. *at is the column reached. */
static void wrap(FILE *f, const char *s, int *at, int indent, int width)
{
    while (*s) {
        size_t n = strcspn(s, " \n");
        if (*at > indent && *at + 1 + (int)n > width) { fprintf(f, "\n%*s", indent, ""); *at = indent; }
        else if (*at > indent) { fputc(' ', f); ++*at; }
        fwrite(s, 1, n, f);
        *at += (int)n;
        s += n + strspn(s + n, " \n");
    }
}

/* Lines longer than these are hard to read, shorter ones hard to fill. */
static int text_width(FILE *f)
{
    int w = cli_width(f) - 1;
    return w > 110 ? 110 : w < 50 ? 50 : w;
}

static void print_option(const witan_param *p, FILE *f, int width)
{
    enum { COLUMN = 28 };
    char left[160], name[64], def[64], more[256] = "";
    const char *v = cli_value_name(p);
    bool single = p->alias && strlen(p->alias) == 1;
    snprintf(left, sizeof left, "%s%s%s--%s%s%s", single ? "-" : "", single ? p->alias : "", single ? ", " : "", cli_dashed(p->name, name), *v ? " " : "", v);
    int at = fprintf(f, "  %-*s", COLUMN - 3, left);
    if (at > COLUMN - 1) { fprintf(f, "\n%*s", COLUMN, ""); at = COLUMN; }
    else { fputc(' ', f); at++; }
    wrap(f, p->help, &at, COLUMN, width);
    if (p->type == WITAN_P_ENUM) {
        fputc(':', f);
        at++;
        for (int i = 0; p->choice[i]; i++) {
            snprintf(more, sizeof more, "%s%s", p->choice[i], p->choice[i + 1] ? "," : "");
            wrap(f, more, &at, COLUMN, width);
        }
    }
    if (*cli_default_text(p, def)) {
        snprintf(more, sizeof more, "(%s)", cli_default_text(p, def));
        wrap(f, more, &at, COLUMN, width);
    }
    fputc('\n', f);
}

void cli_help(const command *cmd, FILE *f)
{
    int width = text_width(f), at = 0;
    fprintf(f, "%sUsage:%s witan %s %s [OPTION ...]\n\n", cli_style(f, CLI_BOLD), cli_style(f, CLI_PLAIN), cmd->name, cmd->args);
    wrap(f, cmd->about, &at, 0, width);
    fprintf(f, "\n\n%sOptions%s, with defaults in brackets:\n", cli_style(f, CLI_BOLD), cli_style(f, CLI_PLAIN));
    for (int i = 0; i < CLI_N_TABLE; i++) {
        const char *title = cli_table_title(cmd, i);
        if (title) fprintf(f, "%s%s:\n", i ? "\n" : "", title);
        for (const witan_param *p = cli_table(cmd, i); p && p->name; p++) print_option(p, f, width);
    }
    fprintf(f, "\n%sExample:%s\n  %s\n", cli_style(f, CLI_BOLD), cli_style(f, CLI_PLAIN), cmd->example);
}

void cli_overview(FILE *f)
{
    size_t n;
    const command *const *cmd = cli_commands(&n);
    fprintf(f, "witan runs, measures, prunes and explains mixture-of-experts language models.\n\n%sUsage:%s witan COMMAND [ARGUMENT ...] [OPTION ...]\n\n",
            cli_style(f, CLI_BOLD), cli_style(f, CLI_PLAIN));
    for (size_t i = 0; i < n; i++) fprintf(f, "  %-11s %s\n", cmd[i]->name, cmd[i]->summary);
    fprintf(f, "\n%sExample:%s\n  %s\n\n`witan COMMAND --help` explains one. Results go to standard output, everything else to standard error.\n",
            cli_style(f, CLI_BOLD), cli_style(f, CLI_PLAIN), cmd[0]->example);
}

static int run(cli *c, const void *opts_)
{
    const opts *o = opts_;
    const command *cmd = c->n_arg ? cli_find(c->arg[0]) : NULL;
    if (c->n_arg && !cmd) return cli_unknown_command(c->arg[0]);
    if (o->completion && (cmd || o->man)) return cli_usage("help: --completion stands alone: one script knows all commands");
    if (o->completion) cli_completion((cli_shell)o->completion, stdout);
    else if (o->man) cli_man(cmd, stdout);
    else if (cmd) cli_help(cmd, stdout);
    else cli_overview(stdout);
    return EXIT_OK;
}

const command cmd_help = {
    .name = "help", .args = "[COMMAND]", .summary = "explain a command; manual pages and completions",
    .about = "Explains a command, or lists the commands. The same tables that read a command line are printed as manual pages and as\n"
             "completion scripts; `make install` puts both where they are found.",
    .example = "witan help specialize",
    .min_arg = 0, .max_arg = 1, .param = param, .opt_size = sizeof(opts), .run = run,
};
