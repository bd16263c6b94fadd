/* mqtt_tls.c - see mqtt_tls.h. */
#include "io/mqtt_tls.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "io/mqtt_resolve.h"

static int tls_version(const char *text, const char *option, int *version, struct psa_error *error)
{
    if (strcmp(text, "1.2") == 0) *version = TLS1_2_VERSION;
    else if (strcmp(text, "1.3") == 0) *version = TLS1_3_VERSION;
    else
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is no TLS version psa offers; 1.2 and 1.3 are", option,
                        text);
    return 0;
}

bool psa_mqtt_tls_wanted(const struct psa_mqtt_tls_options *options)
{
    return options->on || options->ca || options->ca_path || options->cert || options->version || options->least;
}

/* ---- what OpenSSL calls ---------------------------------------------------------------------------------------- */

/* The reason for which a certificate is refused is kept: the error that follows says only "certificate verify failed".
 */
static int note_verify(int ok, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct psa_mqtt_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (!ok && tls->verify_error == X509_V_OK) tls->verify_error = X509_STORE_CTX_get_error(store);
    return ok;
}

/* libmosquitto is given an address and would name that in the handshake; a server with several certificates wants the
 * host's name (RFC 6066, section 3), and none where there is only an address. */
static void name_server(const SSL *ssl, int where, int value)
{
    const struct psa_mqtt_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    (void)value;
    if (where & SSL_CB_HANDSHAKE_START)
        SSL_set_tlsext_host_name((SSL *)ssl, tls->host_is_address ? NULL : (void *)tls->host);
}

/* A key with a passphrase would make OpenSSL ask at the terminal, in the middle of the night. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

/* ---- making it ------------------------------------------------------------------------------------------------- */

static int fail_file(const char *option, const char *file, struct psa_error *error)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' cannot be used: %s", option, file,
                    reason ? reason : "it cannot be read");
}

static int load_files(SSL_CTX *context, const struct psa_mqtt_tls_options *options, struct psa_error *error)
{
    ERR_clear_error();
    if (options->ca && SSL_CTX_load_verify_file(context, options->ca) != 1)
        return fail_file("--ca", options->ca, error);
    if (options->ca_path && SSL_CTX_load_verify_dir(context, options->ca_path) != 1)
        return fail_file("--ca-path", options->ca_path, error);
    if (!options->ca && !options->ca_path && SSL_CTX_set_default_verify_paths(context) != 1)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--tls: the system's certificates cannot be used; give --ca FILE");
    if (!options->cert) return 0;
    if (SSL_CTX_use_certificate_chain_file(context, options->cert) != 1)
        return fail_file("--cert", options->cert, error);
    if (SSL_CTX_use_PrivateKey_file(context, options->key, SSL_FILETYPE_PEM) == 1) return 0;
    if (ERR_GET_REASON(ERR_peek_last_error()) != X509_R_KEY_VALUES_MISMATCH)
        return fail_file("--key", options->key, error);
    return psa_fail(error, PSA_EXIT_PERMANENT, "--key: '%s' does not belong to the certificate '%s'", options->key,
                    options->cert);
}

int psa_mqtt_tls_open(struct psa_mqtt_tls *tls, const struct psa_mqtt_tls_options *options, const char *host,
                      struct psa_error *error)
{
    X509_VERIFY_PARAM *check;
    int least = TLS1_2_VERSION, most = 0;

    *tls = (struct psa_mqtt_tls){ .options = options, .host = host, .host_is_address = psa_resolve_is_address(host) };
    if (options->version && tls_version(options->version, "--tls-version", &least, error) != 0) return -1;
    if (options->version) most = least;
    if (options->least && tls_version(options->least, "--tls-min", &least, error) != 0) return -1;
    tls->context = SSL_CTX_new(TLS_client_method());
    if (!tls->context) return psa_fail_memory(error, "preparing TLS");
    SSL_CTX_set_app_data(tls->context, tls);
    SSL_CTX_set_min_proto_version(tls->context, least);
    SSL_CTX_set_max_proto_version(tls->context, most);
    SSL_CTX_set_mode(tls->context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(tls->context, SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, note_verify);
    SSL_CTX_set_info_callback(tls->context, name_server);
    SSL_CTX_set_default_passwd_cb(tls->context, no_passphrase);
    check = SSL_CTX_get0_param(tls->context);
    X509_VERIFY_PARAM_set_hostflags(check, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if ((tls->host_is_address ? X509_VERIFY_PARAM_set1_ip_asc(check, host)
                              : X509_VERIFY_PARAM_set1_host(check, host, 0)) != 1)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--host: '%s' is no name that a certificate could be checked against", host);
    return load_files(tls->context, options, error);
}

void psa_mqtt_tls_close(struct psa_mqtt_tls *tls)
{
    SSL_CTX_free(tls->context);
    tls->context = NULL;
}

/* ---- what went wrong ------------------------------------------------------------------------------------------- */

void psa_mqtt_tls_begin(struct psa_mqtt_tls *tls)
{
    tls->verify_error = X509_V_OK;
    tls->error = 0;
}

void psa_mqtt_tls_hear(struct psa_mqtt_tls *tls, const char *log)
{
    const char *code = strstr(log, "OpenSSL Error");

    if (!code || tls->error) return;
    code = strstr(code, "error:");
    if (code) tls->error = strtoul(code + strlen("error:"), NULL, 16);
}

/* The certificate of the broker was not accepted. */
static void explain_certificate(const struct psa_mqtt_tls *tls, char *why, size_t size)
{
    const struct psa_mqtt_tls_options *options = tls->options;
    const char *reason = X509_verify_cert_error_string(tls->verify_error), *help = "";

    switch (tls->verify_error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: help = "; it was made out to another name than --host"; break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: help = "; is this machine's clock right?"; break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        help = options->ca || options->ca_path ? "; --ca or --ca-path is not the authority that signed it"
                                               : "; give the authority that signed it by --ca";
        break;
    default: break;
    }
    snprintf(why, size, "the broker's certificate is not accepted: %s%s", reason, help);
}

bool psa_mqtt_tls_failed(const struct psa_mqtt_tls *tls, char *why, size_t size)
{
    const char *reason = ERR_reason_error_string(tls->error), *help = "";
    int code = ERR_GET_REASON(tls->error);

    if (tls->verify_error != X509_V_OK) {
        explain_certificate(tls, why, size);
        return true;
    }
    if (!tls->error || code == SSL_R_UNEXPECTED_EOF_WHILE_READING) return false;
    if (code == SSL_R_WRONG_VERSION_NUMBER) help = "; does the broker speak TLS on this port?";
    if (code == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION || code == SSL_R_UNSUPPORTED_PROTOCOL)
        help = "; no version of TLS that both sides allow";
    if (code == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED || code == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE)
        help = "; does the broker want a certificate (--cert)?";
    if (code == SSL_R_TLSV1_ALERT_UNKNOWN_CA) help = "; the broker does not know the authority that signed --cert";
    snprintf(why, size, "TLS failed: %s%s", reason ? reason : "for a reason OpenSSL does not name", help);
    return true;
}
