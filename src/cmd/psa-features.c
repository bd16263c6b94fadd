#include "io/filter_main.h"
#include "stage/stages.h"

int main(int argc, char **argv)
{
    return psa_filter_main(&psa_features_stage, argc, argv);
}
