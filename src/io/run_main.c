/*
 * run_main.c - psa-run 'psa-filter ... | psa-window ... | psa-score ...': the stages of a pipe as one process.
 *
 * The pipeline is one argument in the shell's own spelling: words, '...', "...", backslashes and `|`. Records go from
 * stage to stage as values; nothing is printed and read again between them, and the bytes that come out are the same.
 */
#include "io/run_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/chain.h"
#include "core/error.h"
#include "core/words.h"
#include "io/filter_main.h"
#include "io/report.h"
#include "stage/stages.h"

enum { NODES_MAX = 32, WORDS_MAX = 256 };

struct pipeline {
    struct psa_node node[NODES_MAX];
    size_t n;
    char *text; /* its words, one behind the other */
    char *word[WORDS_MAX];
};

static const char summary[] =
    "run a pipeline of psa stages fused in one process: psa-run 'psa-filter ... | psa-window ...'";

static const struct psa_stage *stage_named(const char *name)
{
    const char *slash = strrchr(name, '/');

    if (slash) name = slash + 1;
    for (size_t i = 0; psa_stages[i]; i++)
        if (strcmp(psa_stages[i]->name, name) == 0) return psa_stages[i];
    return NULL;
}

/* The words of one command, up to `|` or the end. -1: bad quoting, or too many. */
static int cut_command(const char **p, char **out, char **word, size_t most)
{
    size_t n = 0;

    for (;;) {
        *p = psa_word_begin(*p, " \t\n");
        if (!**p || **p == '|') break;
        if (n + 1 >= most) return -1;
        word[n++] = *out;
        if (!psa_word_cut(p, out, " \t\n|")) return -1;
    }
    word[n] = NULL;
    return (int)n;
}

static int parse_node(struct psa_node *node, int n_word, char **word, struct psa_error *error)
{
    const struct psa_stage *stage;
    struct psa_error inner = { 0 };
    int operand;
    char asked;

    if (n_word == 0) return psa_fail(error, PSA_EXIT_PERMANENT, "the pipeline has an empty command");
    stage = stage_named(word[0]);
    if (!stage)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "'%s' cannot be fused: psa-filter, psa-window, psa-features, psa-score and psa-alert can",
                        word[0]);
    if (psa_node_parse(node, stage, n_word, word, NULL, 0, &operand, &asked, &inner) != 0)
        return psa_fail(error, inner.status, "%s: %s", word[0], inner.text);
    if (asked)
        return psa_fail(error, PSA_EXIT_PERMANENT, "ask %s itself for its %s", word[0],
                        asked == 'l' ? "--list" : "--help or --version");
    if (operand < n_word)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "%s: '%s': name files behind the pipeline, psa-run PIPELINE FILE ...", word[0], word[operand]);
    return 0;
}

/* Two stages cannot share a state file: the later would write over the earlier. */
static int check_states(const struct pipeline *pipeline, struct psa_error *error)
{
    for (size_t i = 0; i < pipeline->n; i++)
        for (size_t j = 0; j < i; j++) {
            const char *a = pipeline->node[i].options.state, *b = pipeline->node[j].options.state;

            if (a && b && strcmp(a, b) == 0)
                return psa_fail(error, PSA_EXIT_PERMANENT, "--state %s is given to two stages; each needs its own", a);
        }
    return 0;
}

static int parse_pipeline(struct pipeline *pipeline, const char *p, struct psa_error *error)
{
    size_t used = 0;
    char *out = pipeline->text = malloc(2 * strlen(p) + 2); /* each word grows by its NUL at most */

    if (!out) return psa_fail_memory(error, "reading the pipeline");
    for (;; p++) {
        char **word = pipeline->word + used;
        int n = cut_command(&p, &out, word, WORDS_MAX - used);

        if (n < 0)
            return psa_fail(error, PSA_EXIT_PERMANENT, "the pipeline has an open quote, or more than %d words",
                            WORDS_MAX);
        if (pipeline->n == NODES_MAX)
            return psa_fail(error, PSA_EXIT_PERMANENT, "the pipeline has more than %d stages", NODES_MAX);
        pipeline->n++;
        if (parse_node(&pipeline->node[pipeline->n - 1], n, word, error) != 0) return -1;
        used += (size_t)n + 1;
        if (*p != '|') return check_states(pipeline, error);
    }
}

/* The first operand is the pipeline, the others are files. */
static int run(struct pipeline *pipeline, int argc, char **argv, struct psa_error *error)
{
    static const char usage[] = "[options] 'STAGE [options] | STAGE [options] ...' [file ...]";
    struct psa_input_options input = { 0 };
    struct psa_option_set set[] = { { psa_flat_option_table, &input }, { psa_input_option_table, &input } };
    int operand;
    char asked;

    if (psa_options_parse(set, 2, argc, argv, &operand, &asked, NULL, error) != 0) return error->status;
    if (asked) return psa_print_help(asked, set, 2, "psa-run", usage, summary);
    if (operand == argc) {
        psa_fail(error, PSA_EXIT_PERMANENT, "no pipeline given; usage: psa-run %s", usage);
        return error->status;
    }
    if (parse_pipeline(pipeline, argv[operand], error) != 0) return error->status;
    return psa_chain_run("psa-run", pipeline->node, pipeline->n, &input, argv + operand + 1,
                         (size_t)(argc - operand - 1));
}

int psa_run_main(int argc, char **argv)
{
    struct psa_error error = { 0 };
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    int status;

    if (!pipeline) return PSA_EXIT_RUNTIME;
    status = run(pipeline, argc, argv, &error);
    if (error.status) {
        psa_report_error("psa-run", &error);
        for (size_t i = 0; i < pipeline->n; i++)
            if (pipeline->node[i].stage) psa_node_close(&pipeline->node[i]);
    }
    free(pipeline->text);
    free(pipeline);
    return status;
}
