/* psa-train.c - learn a model of normal operation from feature records: see io/train_main.c. */
#include "io/train_main.h"

int main(int argc, char **argv)
{
    return psa_train_main(argc, argv);
}
