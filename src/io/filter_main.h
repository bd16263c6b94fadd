/*
 * filter_main.h - the one loop of every filter: read line, decode, push, put, flush before the next read would block.
 * psa_filter_main is a whole program around one stage; psa_chain_main runs several fused in one process (psa-run).
 */
#ifndef PSA_IO_FILTER_MAIN_H
#define PSA_IO_FILTER_MAIN_H

#include "core/chain.h"
#include "psa.h"

/* Options of a filter that concern its input; psa_input_option_table. */
struct psa_input_options {
    bool flat;
    int64_t max_line, max_fields, max_depth;
    const char *rejects;
    bool strict;
};
extern const struct psa_option psa_input_option_table[];
extern const struct psa_option psa_flat_option_table[]; /* --flat, for those whom fields concern */

/* `int main(int argc, char **argv) { return psa_filter_main(&psa_window_stage, argc, argv); }` */
int psa_filter_main(const struct psa_stage *stage, int argc, char **argv);

/* Run n parsed nodes as a chain over the files. Closes them. Returns the exit status; `name` speaks for the whole. */
int psa_chain_run(const char *name, struct psa_node *node, size_t n, const struct psa_input_options *input,
                  char *const *file, size_t n_file);

/* Print --help or --version to stdout; the exit status. */
int psa_print_help(char asked, const struct psa_option_set *set, size_t n_set, const char *name, const char *usage,
                   const char *summary);

#endif
