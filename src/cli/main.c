/* The witan command: finds the sub-command, parses its options from its table, runs it. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const command *const commands[] = {
    &cmd_specialize, &cmd_run, &cmd_eval, &cmd_profile, &cmd_inspect, &cmd_tokenize, &cmd_convert, &cmd_synth, &cmd_bench, &cmd_data, &cmd_train, &cmd_methods, &cmd_help,
};
enum { N_COMMAND = sizeof commands / sizeof *commands };

const command *const *cli_commands(size_t *n)
{
    *n = N_COMMAND;
    return commands;
}

const command *cli_find(const char *name)
{
    for (int i = 0; i < N_COMMAND; i++) if (!strcmp(commands[i]->name, name)) return commands[i];
    return NULL;
}

int cli_unknown_command(const char *name)
{
    const char *word[N_COMMAND];
    for (int i = 0; i < N_COMMAND; i++) word[i] = commands[i]->name;
    const char *near = witan_did_you_mean(name, word, N_COMMAND);
    if (near) return cli_usage("no command \"%s\"; did you mean \"%s\"?", name, near);
    return cli_usage("no command \"%s\"; `witan --help` lists them", name);
}

/* The command line with quotes where a shell needs them. */
static char *command_line(int argc, char **argv)
{
    size_t n = 8;
    for (int i = 1; i < argc; i++) n += 4 * strlen(argv[i]) + 4;
    char *s = malloc(n), *p = s;
    if (!s) return NULL;
    p += sprintf(p, "witan");
    for (int i = 1; i < argc; i++) {
        bool plain = *argv[i] && strspn(argv[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/=,:+@%") == strlen(argv[i]);
        *p++ = ' ';
        if (!plain) *p++ = '\'';
        for (const char *c = argv[i]; *c; c++)
            if (*c == '\'') p += sprintf(p, "'\\''"); else *p++ = *c;
        if (!plain) *p++ = '\'';
    }
    *p = 0;
    return s;
}

static void on_log(void *user, witan_level level, const char *line)
{
    cli *c = user;
    if (level == WITAN_WARN) cli_warn(c, "%s", line);
    else if (level == WITAN_INFO) cli_note(c, "%s", line);
}

static int work(cli *c, const command *cmd, const void *opts)
{
    witan_config config = { .progress = cli_progress, .progress_user = c, .log = on_log, .log_user = c, .threads = c->o.threads,
                            .exact = c->o.exact, .pin = c->o.pin };
    c->cx = witan_ctx_new(&config);
    if (!c->cx) return cli_fail(c, "out of memory");
    cli_signals_stop(c->cx);
    int status = cmd->run(c, opts);
    cli_signals_stop(NULL);
    cli_progress_end(c);
    return status;
}

static int run(const command *cmd, int argc, char **argv)
{
    cli c = { .tty = cli_terminal(stderr), .line = command_line(argc, argv), .arg = calloc((size_t)argc, sizeof *c.arg) };
    void *opts = calloc(1, cmd->opt_size + 1);
    c.cx = witan_ctx_new(NULL);                   /* to parse with: how to report is not known yet */
    if (!c.cx || !c.line || !c.arg || !opts) return cli_fail(&c, "out of memory");
    int status = cli_parse(&c, cmd, argc, argv, 2, opts);
    witan_ctx_free(c.cx);
    c.cx = NULL;
    if (status < 0) status = work(&c, cmd, opts);
    witan_ctx_free(c.cx);
    free(c.line);
    free(c.arg);
    if (cmd->tidy) cmd->tidy(opts);
    free(opts);
    return status;
}

/* Results that could not be written are a failure, whatever else went well. */
static int close_output(int status)
{
    errno = 0;
    bool bad = fflush(stdout) != 0;               /* tries again what failed before, and so learns why */
    int reason = errno;
    bad |= ferror(stdout) != 0;
    if (fclose(stdout)) { bad = true; if (!reason) reason = errno; }
    return bad && !status ? cli_output_failed(NULL, reason) : status;
}

/* A closed standard stream must not become the number of the next file that is opened: what is meant for a reader would end up in a model.
 * Each is replaced by one that fails in use, or that swallows messages. */
static void claim_streams(void)
{
    static const int mode[3] = { O_WRONLY, O_RDONLY, O_WRONLY };
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", mode[fd]);
}

int main(int argc, char **argv)
{
    claim_streams();
    cli_signals();
    if (argc < 2) { cli_overview(stderr); return EXIT_USAGE; }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) { cli_overview(stdout); return close_output(EXIT_OK); }
    if (!strcmp(argv[1], "--version")) { printf("witan %s\n", witan_version()); return close_output(EXIT_OK); }
    if (argv[1][0] == '-') return cli_usage("expected a command before %s: options come after it", argv[1]);
    const command *cmd = cli_find(argv[1]);
    return cmd ? close_output(run(cmd, argc, argv)) : cli_unknown_command(argv[1]);
}
