/* psa-spool - a durable queue before a sink, psa-spool(1). */
#include "io/spool_main.h"

int main(int argc, char **argv)
{
    return psa_spool_main(argc, argv);
}
