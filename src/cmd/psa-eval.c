/* psa-eval.c - judge scored records by their labels: see io/eval_main.c. */
#include "io/eval_main.h"

int main(int argc, char **argv)
{
    return psa_eval_main(argc, argv);
}
