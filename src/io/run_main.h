/* run_main.h - psa-run: a pipeline of stages fused in one process. */
#ifndef PSA_IO_RUN_MAIN_H
#define PSA_IO_RUN_MAIN_H

/* `int main(int argc, char **argv) { return psa_run_main(argc, argv); }` */
int psa_run_main(int argc, char **argv);

#endif
