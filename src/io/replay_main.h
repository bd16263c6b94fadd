/* replay_main.h - psa-replay: a source that plays recordings, psa-replay(1). */
#ifndef PSA_IO_REPLAY_MAIN_H
#define PSA_IO_REPLAY_MAIN_H

/* The whole program; returns its exit status. */
int psa_replay_main(int argc, char **argv);

#endif
