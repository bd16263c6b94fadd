/* eval_main.h - psa-eval: scored, labelled records in, figures out. See eval_main.c and psa-eval(1). */
#ifndef PSA_IO_EVAL_MAIN_H
#define PSA_IO_EVAL_MAIN_H

/* The whole program; returns the exit status. */
int psa_eval_main(int argc, char **argv);

#endif
