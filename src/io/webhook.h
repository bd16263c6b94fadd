/*
 * webhook.h - psa-webhook: every record becomes an HTTP request, by libcurl's multi interface, which never blocks.
 *
 *     answer                          what becomes of the record
 *     2xx                             delivered
 *     307, 308 to the same host       asked again there, with the same method and body
 *     408, 425, 429, 5xx, no answer   tried again later
 *     401, 403, 407, any other 3xx    refused: the configuration is wrong, not the record
 *     any other 4xx                   can never be delivered
 */
#ifndef PSA_IO_WEBHOOK_H
#define PSA_IO_WEBHOOK_H

/* The whole program, psa-webhook(1). */
int psa_webhook_main(int argc, char **argv);

#endif
