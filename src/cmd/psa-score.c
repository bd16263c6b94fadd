/* psa-score.c - score how unusual each record is: see stage/score.c. */
#include "io/filter_main.h"
#include "stage/score.h"

int main(int argc, char **argv)
{
    return psa_filter_main(&psa_score_stage, argc, argv);
}
