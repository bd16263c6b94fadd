/*
 * mqtt_resolve.h - the addresses of a host, looked up without blocking.
 *
 * libmosquitto would look the name up itself, but blocks while it does, and tries only the first address when it
 * connects without blocking: `localhost` would then be ::1 only. So it is given one address after the other.
 */
#ifndef PSA_IO_MQTT_RESOLVE_H
#define PSA_IO_MQTT_RESOLVE_H

#include <netdb.h>
#include <netinet/in.h>

#include "psa.h"

#define PSA_RESOLVE_MAX 8                           /* addresses of a host that are tried */
#define PSA_RESOLVE_ADDRESS (INET6_ADDRSTRLEN + 20) /* as text, with an interface's name behind it */
#define PSA_RESOLVE_LOOK_NS INT64_C(5000000)        /* look again that often whether the answer is there */

struct psa_resolve {
    struct gaicb *request; /* on its way */
    char address[PSA_RESOLVE_MAX][PSA_RESOLVE_ADDRESS];
    size_t n;
};

/* Is that an address rather than a name? */
bool psa_resolve_is_address(const char *host);
/* Start looking. -1: memory is out. `host` must stay. */
int psa_resolve_start(struct psa_resolve *resolve, const char *host, struct psa_error *error);
/* 1: the addresses are there; 0: not yet; -1: there are none, and *why says so. */
int psa_resolve_look(struct psa_resolve *resolve, const char **why);
/* Give up, if it is on its way, and release what can be released. */
void psa_resolve_stop(struct psa_resolve *resolve);

#endif
