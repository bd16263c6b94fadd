/* dht.h - what DHT11 and DHT22 answer: 40 bits out of the edges of a line, and readings out of the bits. */
#ifndef PSA_SENSOR_DHT_H
#define PSA_SENSOR_DHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sensor/bus.h"

#define PSA_DHT_EDGES \
    84 /* of a whole answer: 2 of the response, 80 of the bits, 2 of the end, the last being the release */

enum psa_dht_result {
    PSA_DHT_OK,
    PSA_DHT_SILENT,   /* nothing that could be an answer */
    PSA_DHT_FEW,      /* an answer, but edges of it are missing or late: several values are as likely */
    PSA_DHT_CHECKSUM, /* 40 bits, and their sum is wrong */
};

/*
 * The five bytes that the n edges, in the order of their times, spell. `rising` and the times need not be right, and edges
 * may be missing: what still fits is weighed, and a value comes out only if no second one with a right checksum fits about
 * as well. `byte` is set with PSA_DHT_OK alone.
 */
enum psa_dht_result psa_dht_decode(const struct psa_edge *edge, size_t n, uint8_t byte[5]);

/* Readings out of the first four bytes; false: no such sensor says that. */
bool psa_dht11_convert(const uint8_t byte[4], double *temperature_C, double *humidity_pct);
bool psa_dht22_convert(const uint8_t byte[4], double *temperature_C, double *humidity_pct);

#endif
