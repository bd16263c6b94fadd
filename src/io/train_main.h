/* train_main.h - psa-train: feature records in, a model as JSON out. See train_main.c and psa-train(1). */
#ifndef PSA_IO_TRAIN_MAIN_H
#define PSA_IO_TRAIN_MAIN_H

/* The whole program; returns the exit status. */
int psa_train_main(int argc, char **argv);

#endif
