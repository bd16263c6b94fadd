/*
 * mqtt_tls.h - the TLS context of psa-mqtt-pub, and why a handshake failed.
 *
 * The context is made here and given to libmosquitto (MOSQ_OPT_SSL_CTX), which can set neither a least version above
 * its own nor a single one; with a context of one's own it checks no host name, so that is asked of OpenSSL itself.
 */
#ifndef PSA_IO_MQTT_TLS_H
#define PSA_IO_MQTT_TLS_H

#include <openssl/ssl.h>

#include "psa.h"

struct psa_mqtt_tls_options {
    bool on; /* --tls; any other option turns it on, too */
    const char *ca, *ca_path, *cert, *key, *version, *least;
};

struct psa_mqtt_tls {
    SSL_CTX *context; /* NULL: no TLS */
    const struct psa_mqtt_tls_options *options;
    const char *host;
    bool host_is_address;
    /* Of the handshake at hand. */
    int verify_error;    /* X509_V_... */
    unsigned long error; /* OpenSSL's first, 0: none */
};

bool psa_mqtt_tls_wanted(const struct psa_mqtt_tls_options *options);
int psa_mqtt_tls_open(struct psa_mqtt_tls *tls, const struct psa_mqtt_tls_options *options, const char *host,
                      struct psa_error *error);
void psa_mqtt_tls_close(struct psa_mqtt_tls *tls);

/* Another handshake begins. */
void psa_mqtt_tls_begin(struct psa_mqtt_tls *tls);
/* A line of libmosquitto's log: OpenSSL's errors are found in it. */
void psa_mqtt_tls_hear(struct psa_mqtt_tls *tls, const char *log);
/* Did TLS itself fail, rather than the network below it? Then why it did is put into `why`. */
bool psa_mqtt_tls_failed(const struct psa_mqtt_tls *tls, char *why, size_t size);

#endif
