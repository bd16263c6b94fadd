/* psa-sim - a source of synthetic readings with known faults, psa-sim(1). */
#include "io/sim_main.h"

int main(int argc, char **argv)
{
    return psa_sim_main(argc, argv);
}
