/* webhook_options.c - see webhook_options.h. */
#include "io/webhook_options.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/error.h"
#include "io/writer.h"

enum {
    SMALL_FILE = 65536,      /* bytes; a token, a URL or headers */
    TEMPLATE_FILE = 1048576, /* bytes */
    SECRET_MIN = 6,          /* bytes; a shorter one would be found in any text */
    PARALLEL_MAX = 16 /* psa_sink_main polls 64 descriptors of ours; a request may have two and its resolver one */
};

#define TOKEN_VARIABLE "PSA_WEBHOOK_TOKEN"
#define AT(member) offsetof(struct psa_webhook_options, member)

static int take_header(void *config, const struct psa_option *option, const char *value, struct psa_error *error);

const struct psa_option psa_webhook_option_table[] = {
    { .name = "url-file",
      .type = PSA_OPT_TEXT,
      .offset = AT(url_file),
      .metavar = "FILE",
      .help = "read the URL from FILE, if it is a secret" },
    { .name = "method",
      .type = PSA_OPT_TEXT,
      .offset = AT(method),
      .metavar = "POST|PUT",
      .initial = "POST",
      .help = "method of the request" },
    { .name = "template",
      .letter = 't',
      .type = PSA_OPT_TEXT,
      .offset = AT(template_file),
      .metavar = "FILE",
      .not_with = "template-text",
      .help = "send the JSON template in FILE, its {PATH}s filled from the record, in place of the record" },
    { .name = "template-text",
      .type = PSA_OPT_TEXT,
      .offset = AT(template_text),
      .metavar = "TEXT",
      .help = "the template itself" },
    { .name = "header",
      .letter = 'H',
      .type = PSA_OPT_CALL,
      .metavar = "LINE",
      .take = take_header,
      .help = "add a header, 'Name: value'; may be given again" },
    { .name = "header-file",
      .type = PSA_OPT_TEXT,
      .offset = AT(header_file),
      .metavar = "FILE",
      .help = "add the headers in FILE, one a line; for those that are secret" },
    { .name = "bearer",
      .type = PSA_OPT_TEXT,
      .offset = AT(bearer_file),
      .metavar = "FILE",
      .help = "send the token in FILE (else in " TOKEN_VARIABLE "), which is read again when the server refuses it" },
    { .name = "parallel",
      .type = PSA_OPT_COUNT,
      .offset = AT(parallel),
      .metavar = "N",
      .initial = "1",
      .min = 1,
      .max = PARALLEL_MAX,
      .help = "requests at once; with more than 1 records may arrive out of order" },
    { .name = "tries",
      .type = PSA_OPT_COUNT,
      .offset = AT(tries),
      .metavar = "N",
      .initial = "0",
      .min = 0,
      .max = 1e9,
      .help = "give a record up after N failed tries; 0: never" },
    { .name = "retry-after-max",
      .type = PSA_OPT_DURATION,
      .offset = AT(retry_after_max_ns),
      .metavar = "TIME",
      .initial = "1h",
      .min = 0,
      .max = 30 * 86400e9,
      .help = "longest that the server's Retry-After is waited for" },
    { .name = "timeout",
      .type = PSA_OPT_DURATION,
      .offset = AT(timeout_ns),
      .metavar = "TIME",
      .initial = "30s",
      .min = 1e6,
      .max = 86400e9,
      .help = "longest that a request may take, connecting included" },
    { .name = "connect-timeout",
      .type = PSA_OPT_DURATION,
      .offset = AT(connect_timeout_ns),
      .metavar = "TIME",
      .initial = "10s",
      .min = 1e6,
      .max = 86400e9,
      .help = "longest that connecting may take, TLS included" },
    { .name = "ca",
      .type = PSA_OPT_TEXT,
      .offset = AT(ca),
      .metavar = "FILE",
      .help = "trust the authorities in FILE (PEM) instead of the system's" },
    { .name = "cert",
      .type = PSA_OPT_TEXT,
      .offset = AT(cert),
      .metavar = "FILE",
      .help = "show this client certificate (PEM)" },
    { .name = "key",
      .type = PSA_OPT_TEXT,
      .offset = AT(key),
      .metavar = "FILE",
      .needs = "cert",
      .help = "its private key (PEM), if not in the same file" },
    { .name = "tls-min",
      .type = PSA_OPT_TEXT,
      .offset = AT(tls_min),
      .metavar = "1.2|1.3",
      .initial = "1.2",
      .help = "least version of TLS" },
    { .type = PSA_OPT_END },
};

/* ---- headers ------------------------------------------------------------------------------------------------------ */

/* Bytes of the header's name if the line is `name: value`, else 0 (RFC 9110, 5.1 and 5.5). */
static size_t header_name(const char *line)
{
    size_t n = strspn(line, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

    if (line[n] != ':') return 0;
    for (const char *p = line + n + 1; *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f) return 0;
    return n;
}

static bool is_header(const char *line, const char *name)
{
    size_t n = strlen(name);

    return strncasecmp(line, name, n) == 0 && (line[n] == ':' || line[n] == ';');
}

static bool has_header(const struct curl_slist *list, const char *name)
{
    for (; list; list = list->next)
        if (is_header(list->data, name)) return true;
    return false;
}

static int append(struct curl_slist **list, const char *line, struct psa_error *error)
{
    struct curl_slist *longer = curl_slist_append(*list, line);

    if (!longer) return psa_fail_memory(error, "reading the options");
    *list = longer;
    return 0;
}

/* Add a checked header line. libcurl takes `Name:` for "send no such header" and `Name;` for an empty one. */
static int add_header(struct curl_slist **list, const char *line, size_t name, struct psa_error *error)
{
    char *empty;
    int status;

    if (is_header(line, "Content-Length") || is_header(line, "Transfer-Encoding"))
        return psa_fail(error, PSA_EXIT_PERMANENT, "the header %.*s is made from what is sent; leave it out", (int)name,
                        line);
    if (line[name + 1 + strspn(line + name + 1, " \t")]) return append(list, line, error);
    empty = strndup(line, name + 1);
    if (!empty) return psa_fail_memory(error, "reading the options");
    empty[name] = ';';
    status = append(list, empty, error);
    free(empty);
    return status;
}

/* Does the header's name say that its value is a secret? */
static bool is_secret_header(const char *text, size_t n)
{
    static const char *const words[] = {
        "authorization", "cookie", "token", "secret", "password", "api-key", "apikey"
    };
    char name[128];

    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name - 1 ? n : sizeof name - 1), text);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(name, words[i])) return true;
    return false;
}

static int take_header(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct psa_webhook_options *options = config;
    size_t name = header_name(value);

    (void)option;
    if (!name)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--header: not a line like 'X-Site: north' without control characters");
    if (is_secret_header(value, name))
        return psa_fail(
            error, PSA_EXIT_PERMANENT,
            "--header: everybody can read %.*s on a command line; put it into a file for --header-file, or a "
            "token into one for --bearer",
            (int)name, value);
    return add_header(&options->given_headers, value, name, error);
}

/* ---- files -------------------------------------------------------------------------------------------------------- */

static void keep_secret(struct psa_webhook_options *options, const char *text)
{
    if (strlen(text) >= SECRET_MIN) psa_buf_put(&options->secrets, text, strlen(text) + 1);
}

static bool holds(const char *text, const struct psa_buf *token)
{
    return token->n >= SECRET_MIN && strstr(text, token->p);
}

bool psa_webhook_holds_secret(const struct psa_webhook_options *options, const char *text)
{
    const char *secret = options->secrets.p, *end = secret + options->secrets.n;

    for (; secret < end; secret += strlen(secret) + 1)
        if (strstr(text, secret)) return true;
    return holds(text, &options->token) || holds(text, &options->token_before);
}

/* A whole text file, ended by NUL. */
static int read_text(const char *path, int64_t max_bytes, const char *what, struct psa_buf *text,
                     struct psa_error *error)
{
    int status = psa_file_read(path, max_bytes, text, error);

    if (status < 0) return -1;
    if (status > 0) return psa_fail(error, PSA_EXIT_PERMANENT, "%s %s: there is no such file", what, path);
    if (text->n && memchr(text->p, '\0', text->n))
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s %s: holds a NUL byte; not a text file", what, path);
    psa_buf_put(text, "", 1);
    return text->failed ? psa_fail_memory(error, "reading a file") : 0;
}

/* The file's only line, without white space around it. */
static int read_line(const char *path, const char *what, struct psa_buf *text, struct psa_error *error)
{
    size_t skip;

    if (read_text(path, SMALL_FILE, what, text, error) != 0) return -1;
    skip = strspn(text->p, " \t\r\n");
    for (text->n--; text->n > skip && strchr(" \t\r\n", text->p[text->n - 1]);) text->n--;
    memmove(text->p, text->p + skip, text->n - skip);
    text->n -= skip;
    text->p[text->n] = '\0';
    if (!text->n) return psa_fail(error, PSA_EXIT_PERMANENT, "%s %s: is empty", what, path);
    for (const char *p = text->p; *p; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            return psa_fail(error, PSA_EXIT_PERMANENT,
                            "%s %s: must hold one line of printable ASCII without white space", what, path);
    return 0;
}

static int read_headers(struct psa_webhook_options *options, struct psa_error *error)
{
    struct psa_buf text = { 0 };
    const char *path = options->header_file;
    int status = read_text(path, SMALL_FILE, "--header-file", &text, error), number = 0;

    for (char *line = text.p, *next = NULL; status == 0 && line; line = next) {
        size_t n = strcspn(line, "\n"), name;

        next = line[n] ? line + n + 1 : NULL;
        line[n] = '\0';
        if (n && line[n - 1] == '\r') line[n - 1] = '\0';
        number++;
        if (!*line) continue;
        name = header_name(line);
        if (name) {
            keep_secret(options, line + name + 1 + strspn(line + name + 1, " \t"));
            status = add_header(&options->given_headers, line, name, error);
        } else {
            status =
                psa_fail(error, PSA_EXIT_PERMANENT, "--header-file %s: line %d is not 'Name: value'", path, number);
        }
    }
    psa_buf_free(&text);
    return status;
}

/* ---- the token and the headers of a request ------------------------------------------------------------------------- */

struct curl_slist *psa_webhook_headers(const struct psa_webhook_options *options, struct psa_error *error)
{
    const struct curl_slist *given = options->given_headers;
    struct curl_slist *list = NULL;
    int status = 0;

    for (const struct curl_slist *each = given; status == 0 && each; each = each->next)
        status = append(&list, each->data, error);
    if (status == 0 && !has_header(given, "Content-Type"))
        status = append(&list, "Content-Type: application/json", error);
    /* libcurl would ask before it sends much, and wait a second for the leave that many servers never give. */
    if (status == 0 && !has_header(given, "Expect")) status = append(&list, "Expect:", error);
    if (status == 0 && options->token.n) {
        struct psa_buf line = { 0 };

        psa_buf_puts(&line, "Authorization: Bearer ");
        psa_buf_put(&line, options->token.p, options->token.n + 1);
        status = line.failed ? psa_fail_memory(error, "reading the token") : append(&list, line.p, error);
        psa_buf_free(&line);
    }
    if (status == 0) return list;
    curl_slist_free_all(list);
    return NULL;
}

int psa_webhook_renew_token(struct psa_webhook_options *options, struct psa_error *error)
{
    struct psa_buf fresh = { 0 };

    if (!options->bearer_file) return 0;
    if (read_line(options->bearer_file, "--bearer", &fresh, error) != 0) {
        psa_buf_free(&fresh);
        return -1;
    }
    if (options->token.n && psa_str_is(psa_buf_str(&fresh), psa_buf_str(&options->token))) {
        psa_buf_free(&fresh);
        return 0;
    }
    psa_buf_free(&options->token_before);
    options->token_before = options->token;
    options->token = fresh;
    options->token_version++;
    return 1;
}

static int settle_token(struct psa_webhook_options *options, struct psa_error *error)
{
    const char *variable = getenv(TOKEN_VARIABLE);

    if (options->bearer_file) {
        if (psa_webhook_renew_token(options, error) < 0) return -1;
    } else if (variable && *variable) {
        for (const char *p = variable; *p; p++)
            if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
                return psa_fail(error, PSA_EXIT_PERMANENT,
                                TOKEN_VARIABLE " must be printable ASCII without white space");
        psa_buf_put(&options->token, variable, strlen(variable) + 1);
        if (options->token.failed) return psa_fail_memory(error, "reading the token");
        options->token.n--;
    }
    if (options->token.n && has_header(options->given_headers, "Authorization"))
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "a bearer token and an Authorization header mean the same; give one");
    return 0;
}

/* ---- the URL ------------------------------------------------------------------------------------------------------ */

int psa_webhook_take_url(void *options, char *const *operand, int n, struct psa_error *error)
{
    struct psa_webhook_options *mine = options;

    if (mine->url_file) return 0;
    if (n == 0)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "no URL to send to; name it, or a file that holds it with --url-file");
    mine->url_operand = operand[0];
    return 1;
}

static bool url_has(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;

    curl_free(text);
    return has;
}

/* Scheme, host and port for messages; what stands behind them is kept from messages. */
static int name_place(struct psa_webhook_options *options, struct psa_error *error)
{
    char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL, *query = NULL;
    struct psa_buf where = { 0 };
    bool http;

    curl_url_get(options->url, CURLUPART_SCHEME, &scheme, 0);
    curl_url_get(options->url, CURLUPART_HOST, &host, 0);
    curl_url_get(options->url, CURLUPART_PORT, &port, 0);
    if (curl_url_get(options->url, CURLUPART_PATH, &path, 0) == CURLUE_OK) keep_secret(options, path);
    if (curl_url_get(options->url, CURLUPART_QUERY, &query, 0) == CURLUE_OK) keep_secret(options, query);
    http = scheme && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    if (scheme && host) {
        psa_buf_puts(&where, scheme);
        psa_buf_puts(&where, "://");
        psa_buf_puts(&where, host);
        if (port) psa_buf_puts(&where, ":");
        if (port) psa_buf_puts(&where, port);
        psa_buf_put(&where, "", 1);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    curl_free(query);
    if (where.failed) return psa_fail_memory(error, "reading the URL");
    options->where = where.p;
    if (!http || !where.p)
        return psa_fail(error, PSA_EXIT_PERMANENT, "the URL begins with neither http:// nor https://");
    return 0;
}

static int settle_url(struct psa_webhook_options *options, struct psa_error *error)
{
    struct psa_buf line = { 0 };
    CURLUcode fault;

    if (options->url_file && read_line(options->url_file, "--url-file", &line, error) != 0) {
        psa_buf_free(&line);
        return -1;
    }
    options->url_text = options->url_file ? line.p : strdup(options->url_operand);
    options->url = curl_url();
    if (!options->url || !options->url_text) return psa_fail_memory(error, "reading the URL");
    fault = curl_url_set(options->url, CURLUPART_URL, options->url_text, 0);
    if (fault == CURLUE_OUT_OF_MEMORY) return psa_fail_memory(error, "reading the URL");
    if (fault == CURLUE_UNSUPPORTED_SCHEME || fault == CURLUE_BAD_SCHEME)
        return psa_fail(error, PSA_EXIT_PERMANENT, "the URL begins with neither http:// nor https://");
    if (fault) return psa_fail(error, PSA_EXIT_PERMANENT, "the URL cannot be used: %s", curl_url_strerror(fault));
    if (url_has(options->url, CURLUPART_USER) || url_has(options->url, CURLUPART_PASSWORD))
        return psa_fail(
            error, PSA_EXIT_PERMANENT,
            "the URL holds a user or a password; put an Authorization line into a file for --header-file, or "
            "a token into one for --bearer");
    return name_place(options, error);
}

/* ---- everything --------------------------------------------------------------------------------------------------- */

static int settle_template(struct psa_webhook_options *options, struct psa_error *error)
{
    struct psa_buf text = { 0 };
    int status;

    if (options->template_text)
        return psa_template_parse(&options->template, PSA_TEMPLATE_JSON, options->template_text, "--template-text",
                                  error);
    if (!options->template_file) return 0;
    status = read_text(options->template_file, TEMPLATE_FILE, "--template", &text, error);
    if (status == 0)
        status = psa_template_parse(&options->template, PSA_TEMPLATE_JSON, text.p, options->template_file, error);
    psa_buf_free(&text);
    return status;
}

/* libcurl opens these at the first request only; that they can be read is better known at the start. */
static int check_readable(const char *path, const char *what, struct psa_error *error)
{
    if (!path || access(path, R_OK) == 0) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s %s: cannot be read", what, path);
}

int psa_webhook_options_settle(struct psa_webhook_options *options, struct psa_error *error)
{
    if (strcmp(options->method, "POST") != 0 && strcmp(options->method, "PUT") != 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--method: '%s' is neither POST nor PUT", options->method);
    if (strcmp(options->tls_min, "1.2") != 0 && strcmp(options->tls_min, "1.3") != 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--tls-min: '%s' is neither 1.2 nor 1.3", options->tls_min);
    if (check_readable(options->ca, "--ca", error) != 0 || check_readable(options->cert, "--cert", error) != 0 ||
        check_readable(options->key, "--key", error) != 0)
        return -1;
    if (settle_url(options, error) != 0 || settle_template(options, error) != 0) return -1;
    if (options->header_file && read_headers(options, error) != 0) return -1;
    if (settle_token(options, error) != 0) return -1;
    return options->secrets.failed ? psa_fail_memory(error, "reading the options") : 0;
}

void psa_webhook_options_free(struct psa_webhook_options *options)
{
    curl_url_cleanup(options->url);
    free(options->url_text);
    free(options->where);
    psa_template_free(options->template);
    psa_buf_free(&options->token);
    psa_buf_free(&options->token_before);
    psa_buf_free(&options->secrets);
    curl_slist_free_all(options->given_headers);
}
