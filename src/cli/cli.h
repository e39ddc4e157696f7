/* What the commands share: option parsing from tables, messages, progress. Commands use witan.h and nothing else of the library. */
#ifndef WITAN_CLI_H
#define WITAN_CLI_H

#include "witan.h"

#include <stdio.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

typedef struct cli_common { int32_t threads; bool quiet, help; } cli_common;

typedef struct cli {
    witan_ctx *cx;
    cli_common o;
    char *line;                  /* the command line as typed, for reports */
    char **arg; int n_arg;       /* what is not an option */
    /* progress */
    bool tty, shown;
    const char *phase;
    double phase_start, last_time, last_share;
} cli;

typedef struct command {
    const char *name, *args, *summary, *about, *example;
    int min_arg, max_arg;
    const witan_param *param, *more;     /* two tables over one options struct; more may be NULL */
    size_t opt_size;
    int (*run)(cli *c, const void *opts);   /* returns the exit status */
} command;

extern const command cmd_specialize, cmd_run, cmd_eval, cmd_inspect, cmd_tokenize, cmd_convert, cmd_synth, cmd_bench, cmd_data, cmd_methods;

/* Parses argv[first..] into opts and c. Returns -1 to go on, else the exit status (help, wrong usage). */
int cli_parse(cli *c, const command *cmd, int argc, char **argv, int first, void *opts);
void cli_help(const command *cmd, FILE *f);

/* "witan: MESSAGE" on stderr; returns EXIT_FAILED (or 130 when interrupted). */
int cli_fail(cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int cli_failed(cli *c);          /* the library's last error */
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_note(cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));   /* to stderr unless --quiet */
bool cli_interrupted(void);

bool cli_progress(void *user, const witan_progress *p);
void cli_progress_end(cli *c);
double cli_now(void);

/* "7.6 MB", "4.19 M" */
const char *cli_bytes(double n, char buf[32]);
const char *cli_count(double n, char buf[32]);

/* "2G", "500M", "1.5GB", "65536": bytes, in powers of 1000. */
bool cli_size(const char *text, int64_t *bytes);

/* Reads a text argument: file (NULL: none), argument, or standard input. Free with free. Returns an exit status, -1 when it went well. */
int cli_read_text(cli *c, const char *file, const char *argument, char **text, size_t *n);

/* Loads a plan and checks that it fits the model. Returns an exit status, -1 when it went well; *plan is set as soon as it is loaded. */
int cli_load_plan(cli *c, const char *path, const witan_model *m, witan_plan **plan);

#endif
