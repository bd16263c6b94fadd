#include "io/run_main.h"

int main(int argc, char **argv)
{
    return psa_run_main(argc, argv);
}
