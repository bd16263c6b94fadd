/* sensord_main.h - the program that reads sensors, sensord(1). */
#ifndef PSA_IO_SENSORD_MAIN_H
#define PSA_IO_SENSORD_MAIN_H

int psa_sensord_main(int argc, char **argv);

#endif
