/* spool_main.h - psa-spool: a durable queue before a sink, psa-spool(1). */
#ifndef PSA_IO_SPOOL_MAIN_H
#define PSA_IO_SPOOL_MAIN_H

int psa_spool_main(int argc, char **argv);

#endif
