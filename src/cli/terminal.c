/* The terminal: whether there is one, its width, its looks. NO_COLOR and TERM are read here and nowhere else. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool cli_terminal(FILE *f)
{
    const char *term = getenv("TERM");
    return isatty(fileno(f)) && (!term || strcmp(term, "dumb"));
}

int cli_width(FILE *f)
{
    struct winsize w;
    bool known = cli_terminal(f) && ioctl(fileno(f), TIOCGWINSZ, &w) == 0 && w.ws_col > 0;
    return known ? w.ws_col : 80;
}

const char *cli_style(FILE *f, cli_look look)
{
    static const char *const code[] = { "\033[0m", "\033[1m", "\033[1;31m", "\033[33m" };
    const char *no = getenv("NO_COLOR");
    return (no && *no) || !cli_terminal(f) ? "" : code[look];
}
