/*
 * webhook_options.h - what psa-webhook is told: its option table, and what the options and the files they name come to. A
 * secret (a token, a header from a file, the URL's path) is never printed.
 */
#ifndef PSA_IO_WEBHOOK_OPTIONS_H
#define PSA_IO_WEBHOOK_OPTIONS_H

#include <curl/curl.h>

#include "core/buf.h"
#include "core/option.h"
#include "core/template.h"
#include "psa.h"

struct psa_webhook_options {
    /* As given. */
    const char *url_operand, *url_file, *method, *template_file, *template_text, *bearer_file;
    const char *ca, *cert, *key, *tls_min;
    int64_t parallel, tries, timeout_ns, connect_timeout_ns, retry_after_max_ns;
    struct curl_slist *given_headers;
    const char *header_file;

    /* What that comes to; psa_webhook_options_settle. */
    CURLU *url;
    char *url_text;
    char *where; /* scheme, host and port, for messages: the rest of a webhook's URL is often its password */
    struct psa_template *template;
    struct psa_buf token;        /* empty when there is none; ended by a NUL that is not counted */
    struct psa_buf token_before; /* the one before it, which answers may still repeat */
    unsigned token_version;      /* changes with it */
    struct psa_buf secrets;      /* the others, each ended by NUL */
};
extern const struct psa_option psa_webhook_option_table[];

/* The first operand is the URL, unless --url-file names it: how many operands are taken, or -1. */
int psa_webhook_take_url(void *options, char *const *operand, int n, struct psa_error *error);
/* Read the files and check everything. */
int psa_webhook_options_settle(struct psa_webhook_options *options, struct psa_error *error);
/* Read the token file again: 1 if there is another token now, 0 if not (or no file), -1 with *error: it cannot be read or
 * holds no token, and the old one stays. */
int psa_webhook_renew_token(struct psa_webhook_options *options, struct psa_error *error);
/* All headers of a request, with the token as it is now; the caller frees the list. NULL with *error. */
struct curl_slist *psa_webhook_headers(const struct psa_webhook_options *options, struct psa_error *error);
/* Does the text hold one of the secrets? */
bool psa_webhook_holds_secret(const struct psa_webhook_options *options, const char *text);
void psa_webhook_options_free(struct psa_webhook_options *options);

#endif
