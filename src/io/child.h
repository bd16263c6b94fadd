/*
 * child.h - a command with pipes to its stdin and from its stdout, in a process group of its own, so that the whole of a
 * `sh -c 'a | b'` can be signalled and a Ctrl-C at the terminal does not reach it before its feeder has decided.
 */
#ifndef PSA_IO_CHILD_H
#define PSA_IO_CHILD_H

#include <sys/types.h>

#include "psa.h"

struct psa_child {
    pid_t pid;   /* 0: none runs */
    int exited;  /* a descriptor that is readable once it has exited (a pidfd), or -1 */
    int in, out; /* its stdin (to write, never blocking) and stdout (to read, never blocking), or -1 */
};

#define PSA_CHILD_NONE ((struct psa_child){ 0, -1, -1, -1 })

/* Start argv (ended by NULL; found along PATH). A command that cannot be executed is told on stderr and exits with 127. */
int psa_child_start(struct psa_child *child, char *const *argv, struct psa_error *error);
void psa_child_close_in(struct psa_child *child);
/* To its whole group. */
void psa_child_signal(const struct psa_child *child, int number);
/* Has it exited? Then *status is waitpid's, and pid, exited and in are gone; out stays open for what is still in the pipe. */
bool psa_child_reap(struct psa_child *child, int *status);
void psa_child_close_out(struct psa_child *child);
/* "exited with status 2", "was killed by signal 9 (Killed)" */
void psa_child_describe(int status, char text[96]);

#endif
