/*
 * synced_clock.c - preloaded into a program: its kernel's clock is synchronised, whatever this machine's is. With -DREFUSED: a
 * sandbox does not let the program ask.
 */
#include <errno.h>
#include <string.h>
#include <sys/timex.h>

int adjtimex(struct timex *state);

int adjtimex(struct timex *state)
{
    memset(state, 0, sizeof *state);
#ifdef REFUSED
    errno = EPERM;
    return -1;
#else
    return TIME_OK;
#endif
}
