/* sensord - reads sensors on I2C, GPIO and in the kernel, and writes their readings, sensord(1). */
#include "io/sensord_main.h"

int main(int argc, char **argv)
{
    return psa_sensord_main(argc, argv);
}
