/* Manual pages, in the man macros of roff. */
#include "cli.h"

#include <ctype.h>
#include <string.h>

/* ---- text to roff --------------------------------------------------------------------------------------------------- */

/* One character of UTF-8 text at s; returns its length. Bytes that are no text are left out. */
static int put_wide(const unsigned char *s, FILE *f)
{
    int more = *s >= 0xF0 ? 3 : *s >= 0xE0 ? 2 : *s >= 0xC0 ? 1 : 0;
    unsigned u = *s & (0x3Fu >> more);
    for (int i = 1; i <= more; i++) {
        if ((s[i] & 0xC0) != 0x80) return i;
        u = u << 6 | (s[i] & 0x3F);
    }
    if (more) fprintf(f, "\\[u%04X]", u);
    return more + 1;
}

/* Characters that roff would take for something else. In running text `words in backquotes` become bold and long lines are cut. */
static void put(const char *s, bool running, FILE *f)
{
    static const char from[] = "\\-'`^~\"", *const to[] = { "\\e", "\\-", "\\(aq", "\\(ga", "\\(ha", "\\(ti", "\\(dq" };
    bool bold = false;
    int column = 0;
    if (*s == '.') fputs("\\&", f);
    for (; *s; column++) {
        const char *special = strchr(from, *s);
        if (running && (*s == '\n' || *s == ' ')) {
            fputs(column < 55 ? " " : s[1] == '.' ? "\n\\&" : "\n", f);
            if (column >= 55) column = 0;
            s++;
        }
        else if (*s == '`' && running) { fputs((bold = !bold) ? "\\fB" : "\\fR", f); s++; }
        else if ((unsigned char)*s >= 0x80) s += put_wide((const unsigned char *)s, f);
        else if (special) { fputs(to[special - from], f); s++; }
        else fputc(*s++, f);
    }
}

/* A clause as a sentence. */
static void sentence(const char *s, const char *end, FILE *f)
{
    char first[2] = { (char)toupper((unsigned char)*s), 0 };
    if (!strncmp(s, "witan", 5)) first[0] = *s;
    if (*s == '`' || (unsigned char)*s >= 0x80) put(s, true, f);
    else { put(first, false, f); put(s + 1, true, f); }
    fputs(end, f);
}

static void example(const char *s, FILE *f)
{
    fputs(".SH EXAMPLE\n.EX\n", f);
    put(s, false, f);
    fputs("\n.EE\n", f);
}

/* Usage pattern: what is to be typed in bold, what it stands for in italics. */
static void pattern(const char *s, FILE *f)
{
    while (*s) {
        size_t n = strcspn(s, " []");
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)n, s);
        bool stands = n && isupper((unsigned char)*s) && !islower((unsigned char)s[n > 1]);
        if (n) {
            fputs(stands ? "\\fI" : "\\fB", f);
            put(word, false, f);
            fputs("\\fR", f);
        }
        s += n;
        if (*s) fputc(*s++, f);
    }
}

/* ---- options -------------------------------------------------------------------------------------------------------- */

static void option(const witan_param *p, FILE *f)
{
    char name[64], def[64];
    const char *v = cli_value_name(p), *d = cli_default_text(p, def);
    fputs(".TP\n", f);
    if (p->alias && strlen(p->alias) == 1) { fputs("\\fB\\-", f); put(p->alias, false, f); fputs("\\fR, ", f); }
    fputs("\\fB\\-\\-", f);
    put(cli_dashed(p->name, name), false, f);
    fputs("\\fR", f);
    if (*v) { fputs(" \\fI", f); put(v, false, f); fputs("\\fR", f); }
    fputc('\n', f);
    sentence(p->help, p->type == WITAN_P_ENUM ? ": " : ".\n", f);
    if (p->type == WITAN_P_ENUM) {
        for (int i = 0; p->choice[i]; i++) { fputs(i ? ", \\fB" : "\\fB", f); put(p->choice[i], false, f); fputs("\\fR", f); }
        fputs(".\n", f);
    }
    if (*d) { fputs("Default: ", f); put(d, false, f); fputs(".\n", f); }
}

static void options(const command *cmd, FILE *f)
{
    fputs(".SH OPTIONS\n", f);
    for (int i = 0; i < CLI_N_TABLE; i++) {
        const char *title = cli_table_title(cmd, i);
        if (title) { fputs(".SS ", f); sentence(title, "\n", f); }
        for (const witan_param *p = cli_table(cmd, i); p && p->name; p++) option(p, f);
    }
}

/* ---- pages ---------------------------------------------------------------------------------------------------------- */

typedef struct entry { const char *name, *text; } entry;

static void entries(const char *title, const entry *e, FILE *f)
{
    fprintf(f, ".SH %s\n", title);
    for (; e->name; e++) {
        fputs(".TP\n\\fB", f);
        put(e->name, false, f);
        fputs("\\fR\n", f);
        sentence(e->text, ".\n", f);
    }
}

static const entry statuses[] = {
    { "0", "done" }, { "1", "the operation failed or its input was refused" }, { "2", "wrong usage" },
    { "130, 141, 143", "interrupted, the reader of the output went away, terminated: 128 and the number of the signal" },
    { 0 }
};

static const entry environment[] = {
    { "WITAN_THREADS", "worker threads where `--threads` is not given" },
    { "WITAN_TIER", "the best kernels to use: ref, neon, avx2, avx512f (AVX-512 without VNNI) or avx512" },
    { "WITAN_EXACT", "1: as with \\-\\-exact" },
    { "NO_COLOR", "no colours, also on a terminal; TERM=dumb does the same and keeps progress to whole lines" },
    { 0 }
};

static const char dated[] = "2026-11-23";        /* of this version */

static void title(const char *name, const char *summary, FILE *f)
{
    fprintf(f, ".\\\" Printed by `witan help --man` from the tables that read the command line.\n.TH WITAN");
    if (name) { fputs("\\-", f); for (const char *c = name; *c; c++) fputc(toupper((unsigned char)*c), f); }
    fprintf(f, " 1 \"%s\" \"witan %s\" \"witan commands\"\n.nh\n.ad l\n.SH NAME\nwitan", dated, witan_version());
    if (name) fprintf(f, "\\-%s", name);
    fputs(" \\- ", f);
    put(summary, false, f);
    fputc('\n', f);
}

static void overview(FILE *f)
{
    size_t n;
    const command *const *cmd = cli_commands(&n);
    title(NULL, "run, measure, prune and explain mixture-of-experts language models", f);
    fputs(".SH SYNOPSIS\n\\fBwitan\\fR \\fICOMMAND\\fR [\\fIARGUMENT\\fR ...] [\\fIOPTION\\fR ...]\n.SH DESCRIPTION\n", f);
    put("witan opens a mixture-of-experts model in a GGUF file, runs it, shows what its experts do, and makes it smaller for a domain.\n"
        "Results go to standard output; progress, notes and errors go to standard error. An error is one line that says what was expected.\n"
        "Whatever happens, original files stay as they are, and nothing stands under the name of an output that is not complete.\n", true, f);
    fputs(".SH COMMANDS\n", f);
    for (size_t i = 0; i < n; i++) {
        fprintf(f, ".TP\n\\fBwitan %s\\fR ", cmd[i]->name);
        pattern(cmd[i]->args, f);
        fputc('\n', f);
        sentence(cmd[i]->summary, ".\n", f);
    }
    entries("EXIT STATUS", statuses, f);
    entries("ENVIRONMENT", environment, f);
    example(cmd[0]->example, f);
    fputs(".SH SEE ALSO\n", f);
    for (size_t i = 0, first = 1; i < n; i++) {
        if (cmd[i] == &cmd_help) continue;
        fprintf(f, "%s\\%%\\fBwitan\\-%s\\fR(1)", first ? "" : ",\n", cmd[i]->name);
        first = 0;
    }
    fputc('\n', f);
}

void cli_man(const command *cmd, FILE *f)
{
    if (!cmd) { overview(f); return; }
    title(cmd->name, cmd->summary, f);
    fprintf(f, ".SH SYNOPSIS\n\\fBwitan %s\\fR ", cmd->name);
    pattern(cmd->args, f);
    fputs(" [\\fIOPTION\\fR ...]\n.SH DESCRIPTION\n", f);
    put(cmd->about, true, f);
    fputc('\n', f);
    options(cmd, f);
    example(cmd->example, f);
    fputs(".SH SEE ALSO\n\\fBwitan\\fR(1)\n", f);
}
