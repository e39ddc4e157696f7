/* What the commands share: option parsing from tables, messages, progress. Commands use witan.h and nothing else of the library. */
#ifndef WITAN_CLI_H
#define WITAN_CLI_H

#include "witan.h"

#include <jansson.h>
#include <stdio.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NO_READER = 141 /* as if ended by SIGPIPE */ };

typedef struct cli_common { int32_t threads, log; bool exact, pin, quiet, help; } cli_common;   /* log: 1 for JSON */

typedef struct cli {
    witan_ctx *cx;
    cli_common o;
    char *line;                  /* the command line as typed, for reports */
    char **arg; int n_arg;       /* what is not an option */
    /* progress */
    bool tty, shown;
    const char *phase;
    double phase_start, phase_first, last_time, last_share, last_done;   /* phase_first: what was done when the phase began, by a run that is resumed */
} cli;

typedef struct command {
    const char *name, *args, *summary, *about, *example;
    int min_arg, max_arg;
    const witan_param *param, *more, *extra;   /* tables over one options struct; more and extra may be NULL */
    size_t more_at, extra_at;            /* where the part begins that a table is about */
    const char *title[3];                /* what the options of each table are for, NULL: nothing special */
    size_t opt_size;
    int (*run)(cli *c, const void *opts);   /* returns the exit status */
    /* Sets options from the file that the first argument names, if there is one: they stand above defaults and below the command line. Returns -1 to go
     * on, else the exit status. NULL: options have no file. */
    int (*file)(cli *c, void *opts);
    void (*tidy)(void *opts);               /* gives back what `file` took; also after an error. NULL: nothing */
} command;

extern const command cmd_specialize, cmd_run, cmd_eval, cmd_profile, cmd_inspect, cmd_tokenize, cmd_convert, cmd_synth, cmd_bench, cmd_data, cmd_methods, cmd_train, cmd_help;
const command *const *cli_commands(size_t *n);   /* in the order of the overview */
const command *cli_find(const char *name);       /* NULL: no such command */
int cli_unknown_command(const char *name);       /* says so with the nearest one; EXIT_USAGE */

/* Parses argv[first..] into opts and c. Returns -1 to go on, else the exit status (help, wrong usage). */
int cli_parse(cli *c, const command *cmd, int argc, char **argv, int first, void *opts);

/* ---- documentation: everything below comes from the tables that parse -------------------------------------------- */

enum { CLI_N_TABLE = 4 };
/* The option tables of a command: its own three, and the options that every command has. May be NULL. */
const witan_param *cli_table(const command *cmd, int i);
const char *cli_table_title(const command *cmd, int i);       /* NULL: none */
const char *cli_dashed(const char *name, char buf[64]);       /* '_' as '-', as options are typed */
const char *cli_value_name(const witan_param *p);             /* "N", "FILE" ...; "" for a flag */
/* "0.8", "easy-ep"; "" when there is nothing to tell. */
const char *cli_default_text(const witan_param *p, char buf[64]);
/* The i-th place of an argument pattern such as "MODEL [PROMPT]" as one word without brackets; options in it are no places. */
bool cli_place(const command *cmd, int i, char word[32]);
void cli_help(const command *cmd, FILE *f);                   /* as text */
void cli_overview(FILE *f);
void cli_man(const command *cmd, FILE *f);                    /* as a manual page; NULL: the page of witan itself */
typedef enum cli_shell { CLI_NO_SHELL, CLI_BASH, CLI_ZSH, CLI_FISH } cli_shell;
void cli_completion(cli_shell shell, FILE *f);

/* What can stand in the place of a value. Metavariables are the rule: FILE, FILE.ext, MODEL, DIR, METHOD, COMMAND. */
typedef enum cli_fill { CLI_FILL_NOTHING, CLI_FILL_FILE, CLI_FILL_DIR, CLI_FILL_WORDS } cli_fill;
enum { CLI_MOST_WORDS = 128 };
typedef struct cli_value { cli_fill fill; const char *ext; const char *word[CLI_MOST_WORDS]; size_t n_word; } cli_value;
void cli_value_of_option(const witan_param *p, cli_value *v);
void cli_value_of_place(const char *name, cli_value *v);
extern const char *const cli_data_actions[];                  /* of `witan data`; NULL at the end */

/* ---- talking ------------------------------------------------------------------------------------------------------ */

/* A terminal that can move its cursor: not a file, not a pipe, not TERM=dumb. */
bool cli_terminal(FILE *f);
int cli_width(FILE *f);              /* columns; 80 when unknown */
typedef enum cli_look { CLI_PLAIN, CLI_BOLD, CLI_RED, CLI_YELLOW } cli_look;
/* The escape sequence of a look; "" where there is no terminal, or the user has set NO_COLOR. */
const char *cli_style(FILE *f, cli_look look);

/* "witan: MESSAGE" on stderr; returns EXIT_FAILED, or what an interrupted program returns. */
int cli_fail(cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int cli_failed(cli *c);                          /* the library's last error */
int cli_output_failed(cli *c, int reason);       /* standard output: errno, 0 when unknown; c may be NULL */
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_note(cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));   /* to stderr unless --quiet */
void cli_warn(cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));   /* the same after "warning: " */
void cli_log_json(bool on);                      /* from now on stderr is JSON lines */

/* SIGINT, SIGTERM, SIGHUP: the work of the context that stands here is canceled. */
void cli_signals(void);
void cli_signals_stop(witan_ctx *cx);            /* NULL: none */
bool cli_interrupted(void);
int cli_interrupted_status(void);                /* 128 and the number of the signal */

bool cli_progress(void *user, const witan_progress *p);
void cli_progress_end(cli *c);
double cli_now(void);

/* Text as a JSON string; bytes that are no UTF-8 become U+FFFD. NULL when out of memory. */
json_t *cli_text(const char *s, size_t n);
/* Print an object on standard output and take it over: the only one, indented; or one of several, as a line. Return the exit status. */
int cli_print(cli *c, json_t *o);
int cli_print_line(cli *c, json_t *o);
void cli_print_indented(const char *json);       /* JSON without white space */
json_t *cli_number(double x);                    /* null when it is not finite */

/* "7.6 MB", "4.19 M" */
const char *cli_bytes(double n, char buf[32]);
const char *cli_count(double n, char buf[32]);

/* "2G", "500M", "1.5GB", "65536": bytes, in powers of 1000. */
bool cli_size(const char *text, int64_t *bytes);

/* Reads a text argument: file (NULL: none), argument, or standard input. Free with free. Returns an exit status, -1 when it went well. */
int cli_read_text(cli *c, const char *file, const char *argument, char **text, size_t *n);

/* The row of --pre in the table of a command that opens a model; its options have a `const char *pre`. */
#define CLI_PRE_HELP "splitting rule of the tokenizer where the file names one that is unknown, or none"
#define CLI_PRE(T) WITAN_TEXT(T, pre, NULL, "NAME", CLI_PRE_HELP)

/* Rows that say where weights are, for commands that are about speed; their options have these flags, and `pre`. */
#define CLI_WEIGHTS_FIELDS bool resident, repack, huge_pages, prefault
#define CLI_WEIGHTS(T) \
    WITAN_FLAG(T, resident, "copy expert weights into memory instead of using the mapped file"), \
    WITAN_FLAG(T, repack, "copy weights in blocks into memory, rows interleaved for the kernels (`witan convert --repack` does it once on disk)"), \
    WITAN_FLAG(T, huge_pages, "ask for huge pages where weights are copied (--repack always does)"), \
    WITAN_FLAG(T, prefault, "read the whole file before starting")
#define CLI_MODEL_OPTIONS(o) (&(witan_model_options){ .resident = (o)->resident, .repack = (o)->repack, .huge_pages = (o)->huge_pages, .prefault = (o)->prefault, .pre = (o)->pre })

/* The row of --kv-type in the table of a command that makes a session; its options have an `int32_t kv_type`. */
extern const char *const cli_kv_types[];         /* in the order of witan_kv */
#define CLI_KV_TYPE_HELP "what keys and values are kept as; auto: f16, with --exact f32"
#define CLI_KV_TYPE(T) WITAN_CHOICE(T, kv_type, WITAN_KV_AUTO, cli_kv_types, CLI_KV_TYPE_HELP)

/* Loads a plan and checks that it fits the model. Returns an exit status, -1 when it went well; *plan is set as soon as it is loaded. */
int cli_load_plan(cli *c, const char *path, const witan_model *m, witan_plan **plan);
/* Opens the model that the first argument names, and the plan (NULL: none), for as long as work takes. Returns its exit status, or that of what failed. */
int cli_with_model(cli *c, const char *pre, const char *plan, int (*work)(cli *c, const void *opts, witan_model *m, witan_plan *p), const void *opts);

#endif
