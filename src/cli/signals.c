/* Signals: Ctrl-C and friends end a command tidily. */
#include "cli.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static witan_ctx *_Atomic active;                /* whose work is to stop */
static atomic_int got;                           /* the first signal; 0: none */

bool cli_interrupted(void) { return atomic_load(&got) != 0; }
int cli_interrupted_status(void) { return 128 + atomic_load(&got); }

/* The first signal asks the work to stop; whoever sends a second one does not want to wait.
 *
 * A system call that blocks (a pipe that nobody writes to) ends with EINTR when the signal comes while it waits. It may also come just
 * before; so from the first signal on, a timer interrupts again and again. */
static void on_signal(int sig)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&got, &none, sig)) _exit(128 + sig);
    witan_ctx *cx = atomic_load(&active);
    if (cx) witan_cancel(cx);
    setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 50000 }, { 0, 50000 } }, NULL);
}

static void on_alarm(int sig) { (void)sig; }

void cli_signals(void)
{
    struct sigaction act = { .sa_handler = on_signal }, alarm = { .sa_handler = on_alarm }, old;
    sigaction(SIGALRM, &alarm, NULL);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    if (!sigaction(SIGHUP, NULL, &old) && old.sa_handler != SIG_IGN) sigaction(SIGHUP, &act, NULL);   /* nohup stays in force */
    signal(SIGPIPE, SIG_IGN);                    /* a write that fails says so */
}

void cli_signals_stop(witan_ctx *cx)
{
    atomic_store(&active, cx);
    if (cx && cli_interrupted()) witan_cancel(cx);
}
