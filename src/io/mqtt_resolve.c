/* mqtt_resolve.c - see mqtt_resolve.h. */
#include "io/mqtt_resolve.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"

/* What the C library works on; it must not move or go before the library is done with it. */
struct request {
    struct gaicb gaicb; /* first */
    struct addrinfo hints;
};

bool psa_resolve_is_address(const char *host)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM }, *found = NULL;
    bool is_address = getaddrinfo(host, NULL, &hints, &found) == 0;

    if (found) freeaddrinfo(found);
    return is_address;
}

int psa_resolve_start(struct psa_resolve *resolve, const char *host, struct psa_error *error)
{
    struct request *request;
    struct gaicb *list[1];

    psa_resolve_stop(resolve);
    resolve->n = 0;
    if (psa_resolve_is_address(host)) {
        snprintf(resolve->address[resolve->n++], PSA_RESOLVE_ADDRESS, "%s", host);
        return 0;
    }
    request = calloc(1, sizeof *request);
    if (!request) return psa_fail_memory(error, "looking a name up");
    request->hints.ai_socktype = SOCK_STREAM;
    request->gaicb.ar_name = host;
    request->gaicb.ar_request = &request->hints;
    list[0] = &request->gaicb;
    if (getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) != 0) {
        free(request);
        return psa_fail_memory(error, "looking a name up");
    }
    resolve->request = &request->gaicb;
    return 0;
}

/* The addresses as text, each once, in the order that the system prefers (RFC 6724). */
static void take_addresses(struct psa_resolve *resolve, const struct addrinfo *found)
{
    for (; found && resolve->n < PSA_RESOLVE_MAX; found = found->ai_next) {
        char *address = resolve->address[resolve->n];
        bool known = false;

        if (getnameinfo(found->ai_addr, found->ai_addrlen, address, PSA_RESOLVE_ADDRESS, NULL, 0, NI_NUMERICHOST) != 0)
            continue;
        for (size_t i = 0; i < resolve->n; i++) known = known || strcmp(resolve->address[i], address) == 0;
        if (!known) resolve->n++;
    }
}

int psa_resolve_look(struct psa_resolve *resolve, const char **why)
{
    int status;

    if (resolve->request) {
        status = gai_error(resolve->request);
        if (status == EAI_INPROGRESS) return 0;
        if (status == 0) take_addresses(resolve, resolve->request->ar_result);
        psa_resolve_stop(resolve);
        if (status != 0) {
            *why = gai_strerror(status);
            return -1;
        }
    }
    if (resolve->n) return 1;
    *why = "it has no address";
    return -1;
}

void psa_resolve_stop(struct psa_resolve *resolve)
{
    if (!resolve->request) return;
    /* A request that cannot be cancelled is still written to: it stays behind until the process ends. */
    if (gai_cancel(resolve->request) != EAI_NOTCANCELED) {
        if (resolve->request->ar_result) freeaddrinfo(resolve->request->ar_result);
        free(resolve->request);
    }
    resolve->request = NULL;
}
