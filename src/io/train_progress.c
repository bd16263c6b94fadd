/* train_progress.c - signs of life of psa-train: see train.h. */
#include <stdio.h>
#include <unistd.h>

#include "io/signals.h"
#include "io/train.h"

void psa_train_progress(bool terminal, const char *what, size_t done, size_t total)
{
    if (psa_stop_asked()) { /* nothing is written before the end, so there is nothing to undo */
        psa_train_progress_end(terminal);
        fprintf(stderr, PSA_TRAIN ": stopped by a signal; no model was written\n");
        _exit(PSA_EXIT_RUNTIME);
    }
    if (!terminal) return;
    if (total > 0) fprintf(stderr, "\r" PSA_TRAIN ": %s %zu of %zu   ", what, done, total);
    else fprintf(stderr, "\r" PSA_TRAIN ": %s %zu   ", what, done);
}

void psa_train_progress_end(bool terminal)
{
    if (terminal) fprintf(stderr, "\r%60s\r", "");
}
