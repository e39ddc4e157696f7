/* The witan command: finds the sub-command, parses its options from its table, runs it. */
#include "cli.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const command *const commands[] = { &cmd_specialize, &cmd_run, &cmd_eval, &cmd_inspect, &cmd_tokenize, &cmd_convert, &cmd_synth, &cmd_bench, &cmd_data, &cmd_methods };
enum { N_COMMAND = sizeof commands / sizeof *commands };

static witan_ctx *_Atomic active;                /* for the signal handler */
static atomic_bool interrupted;

bool cli_interrupted(void) { return atomic_load(&interrupted); }

static void on_signal(int sig)
{
    (void)sig;
    if (atomic_exchange(&interrupted, true)) _exit(EXIT_INTERRUPTED);
    witan_ctx *cx = atomic_load(&active);
    if (cx) witan_cancel(cx);
}

static void overview(FILE *f)
{
    fputs("witan runs, measures, prunes and explains mixture-of-experts language models.\n\nUsage: witan COMMAND [ARGUMENT ...] [OPTION ...]\n\n", f);
    for (int i = 0; i < N_COMMAND; i++) fprintf(f, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n`witan COMMAND --help` explains one. Results go to standard output, everything else to standard error.\n", f);
}

static const command *find(const char *name)
{
    for (int i = 0; i < N_COMMAND; i++) if (!strcmp(commands[i]->name, name)) return commands[i];
    return NULL;
}

static int unknown(const char *name)
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
    if (level == WITAN_WARN) cli_note(c, "warning: %s", line);
    else if (level == WITAN_INFO) cli_note(c, "%s", line);
}

static int run(const command *cmd, int argc, char **argv)
{
    cli c = { .tty = isatty(STDERR_FILENO) };
    void *opts = calloc(1, cmd->opt_size + 1);
    witan_config config = { .progress = cli_progress, .progress_user = &c, .log = on_log, .log_user = &c };
    c.cx = opts ? witan_ctx_new(&config) : NULL;
    c.line = command_line(argc, argv);
    c.arg = calloc((size_t)argc, sizeof *c.arg);
    if (!c.cx || !c.line || !c.arg) return cli_fail(&c, "out of memory");
    int status = cli_parse(&c, cmd, argc, argv, 2, opts);
    if (status < 0) {
        witan_set_threads(c.cx, c.o.threads);
        atomic_store(&active, c.cx);
        status = cmd->run(&c, opts);
        atomic_store(&active, NULL);
        cli_progress_end(&c);
    }
    witan_ctx_free(c.cx);
    free(c.line);
    free(c.arg);
    free(opts);
    return status;
}

/* Results that could not be written are a failure, whatever else went well. */
static int close_output(int status)
{
    bool bad = ferror(stdout) != 0;
    bad |= fclose(stdout) != 0;
    if (!bad || status) return status;
    fputs("witan: standard output: cannot write\n", stderr);
    return EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct sigaction act = { .sa_handler = on_signal };
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) { overview(stderr); return EXIT_USAGE; }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || (!strcmp(argv[1], "help") && argc == 2)) { overview(stdout); return close_output(EXIT_OK); }
    if (!strcmp(argv[1], "--version")) { printf("witan %s\n", witan_version()); return close_output(EXIT_OK); }
    if (!strcmp(argv[1], "help")) {
        const command *cmd = find(argv[2]);
        if (!cmd) return unknown(argv[2]);
        cli_help(cmd, stdout);
        return close_output(EXIT_OK);
    }
    const command *cmd = find(argv[1]);
    return cmd ? close_output(run(cmd, argc, argv)) : unknown(argv[1]);
}
