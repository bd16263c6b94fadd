/* sim_main.h - psa-sim: a source of synthetic readings, psa-sim(1). */
#ifndef PSA_IO_SIM_MAIN_H
#define PSA_IO_SIM_MAIN_H

/* The whole program; returns its exit status. */
int psa_sim_main(int argc, char **argv);

#endif
