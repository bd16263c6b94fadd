/*
 * webhook.c - see webhook.h. The program's poll loop is psa_sink_main's: libcurl says by callbacks which descriptors and
 * which timer it waits for, and is told what happened to them.
 *
 * A request belongs to one letter from its begin to its answer; there are --parallel of them. After a failure no request
 * begins before the wait is over, and the oldest waiting letter goes first, so that one request at a time keeps the order.
 */
#include "io/webhook.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "core/error.h"
#include "core/time.h"
#include "io/sink_main.h"
#include "io/webhook_options.h"

enum {
    SOCKETS_MAX = 64,   /* psa_sink_main's room for descriptors */
    ANSWER_KEPT = 4096, /* bytes of an answer that are looked at: its first line, and secrets in it */
    ANSWER_MAX = 65536, /* bytes of an answer that are read; the connection is then given up */
    SHOWN = 200,        /* bytes of an answer's first line in a message */
    REDIRECTS_MAX = 5
};
#define RETRY_FIRST_NS INT64_C(500000000) /* the first wait after a failure */

struct request {
    CURL *easy;
    struct psa_letter *letter; /* NULL: idle */
    struct webhook *webhook;
    struct curl_slist *headers; /* libcurl keeps no copy */
    unsigned token_version;     /* that they were made with */
    int redirects;
    size_t received; /* bytes of the answer's body */
    char answer[ANSWER_KEPT + 1];
    char fault[CURL_ERROR_SIZE];
};

struct webhook {
    struct psa_webhook_options options; /* first: psa_webhook_take_url gets the transport's context */
    struct psa_sink_run *run;
    CURLM *multi;
    struct request *request; /* --parallel of them */
    struct {
        curl_socket_t fd;
        short events;
    } socket[SOCKETS_MAX];
    size_t n_socket;
    bool timer_set;
    int64_t timer_ns;
    struct psa_backoff backoff;
    bool curl_started;
    uint64_t requests, retries, redirects, connections, answers[6]; /* by the status' first digit; 0: none came */
};

/* ---- what libcurl calls ------------------------------------------------------------------------------------------- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *unused)
{
    struct webhook *webhook = ctx;
    size_t i = 0;

    (void)easy;
    (void)unused;
    while (i < webhook->n_socket && webhook->socket[i].fd != fd) i++;
    if (what == CURL_POLL_REMOVE) {
        if (i < webhook->n_socket) webhook->socket[i] = webhook->socket[--webhook->n_socket];
        return 0;
    }
    if (i == SOCKETS_MAX) return -1;
    if (i == webhook->n_socket) webhook->n_socket++;
    webhook->socket[i].fd = fd;
    webhook->socket[i].events = (short)((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0));
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct webhook *webhook = ctx;

    (void)multi;
    webhook->timer_set = timeout_ms >= 0;
    webhook->timer_ns = webhook->run->now_ns + timeout_ms * PSA_NS_PER_MS;
    return 0;
}

/* Part of an answer's body. All that matters of it is its first line, and that it ends. */
static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct request *request = ctx;

    n *= size;
    if (request->received < ANSWER_KEPT) {
        size_t room = ANSWER_KEPT - request->received, kept = n < room ? n : room;

        memcpy(request->answer + request->received, bytes, kept);
        request->answer[request->received + kept] = '\0';
    }
    request->received += n;
    return request->received <= ANSWER_MAX ? n : CURL_WRITEFUNC_ERROR;
}

/* ---- opening ------------------------------------------------------------------------------------------------------ */

/* What all requests have in common. */
static bool prepare_easy(struct request *request)
{
    const struct psa_webhook_options *options = &request->webhook->options;
    long tls = strcmp(options->tls_min, "1.3") == 0 ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2;
    CURL *easy = curl_easy_init();
    unsigned bad = 0;

    request->easy = easy;
    if (!easy) return false;
    bad |= curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
    bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->fault);
    bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
    bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* do not wait for a name that is still looked up */
    bad |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    bad |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L); /* redirect() judges where to */
    bad |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "psa-webhook/" PSA_VERSION);
    bad |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, options->method);
    bad |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(options->timeout_ns / PSA_NS_PER_MS));
    bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(options->connect_timeout_ns / PSA_NS_PER_MS));
    bad |= curl_easy_setopt(easy, CURLOPT_SSLVERSION, tls);
    if (options->ca) {
        bad |= curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca);
        bad |= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (options->cert) {
        bad |= curl_easy_setopt(easy, CURLOPT_SSLCERT, options->cert);
        bad |= curl_easy_setopt(easy, CURLOPT_SSLKEY, options->key ? options->key : options->cert);
        bad |= curl_easy_setopt(easy, CURLOPT_KEYPASSWD, ""); /* or OpenSSL would ask the terminal for one */
    }
    return bad == 0;
}

static int open_webhook(void *ctx, struct psa_sink_run *run, struct psa_error *error)
{
    struct webhook *webhook = ctx;
    size_t parallel = (size_t)webhook->options.parallel;

    webhook->run = run;
    /* A connection that the server has closed is an answer like others. A gone stdout is told by EPIPE. */
    signal(SIGPIPE, SIG_IGN);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) return psa_fail(error, PSA_EXIT_RUNTIME, "libcurl cannot start");
    webhook->curl_started = true;
    if (psa_webhook_options_settle(&webhook->options, error) != 0) return -1;
    webhook->multi = curl_multi_init();
    webhook->request = calloc(parallel, sizeof *webhook->request);
    if (!webhook->multi || !webhook->request) return psa_fail_memory(error, "starting");
    for (size_t i = 0; i < parallel; i++) {
        webhook->request[i].webhook = webhook;
        if (!prepare_easy(&webhook->request[i]))
            return psa_fail(error, PSA_EXIT_RUNTIME,
                            "libcurl cannot make a request; is it as new as the one built with?");
    }
    curl_multi_setopt(webhook->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(webhook->multi, CURLMOPT_SOCKETDATA, webhook);
    curl_multi_setopt(webhook->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(webhook->multi, CURLMOPT_TIMERDATA, webhook);
    if (getrandom(&webhook->backoff.random, sizeof webhook->backoff.random, GRND_NONBLOCK) < 0)
        webhook->backoff.random = (uint64_t)run->now_ns;
    return 0;
}

/* The line stays in letter->text, for --rejects; what is sent instead is letter->to. */
static int address(void *ctx, struct psa_record *record, struct psa_letter *letter, const char **why,
                   struct psa_error *error)
{
    const struct webhook *webhook = ctx;

    (void)why;
    (void)error;
    if (webhook->options.template) psa_template_fill(webhook->options.template, record, &letter->to);
    return 0;
}

/* ---- requests ----------------------------------------------------------------------------------------------------- */

static int fail_curl(const char *fault, struct psa_error *error)
{
    return psa_fail(error, PSA_EXIT_RUNTIME, "libcurl: %s", fault);
}

/* Only an idle request's headers can be made anew. */
static int renew_headers(struct request *request, struct psa_error *error)
{
    const struct psa_webhook_options *options = &request->webhook->options;

    if (request->headers && request->token_version == options->token_version) return 0;
    curl_slist_free_all(request->headers);
    request->headers = psa_webhook_headers(options, error);
    request->token_version = options->token_version;
    return request->headers ? 0 : -1;
}

/* Send the request's letter to that URL. */
static int send_to(struct request *request, const char *url, struct psa_error *error)
{
    struct webhook *webhook = request->webhook;
    const struct psa_buf *body = webhook->options.template ? &request->letter->to : &request->letter->text;
    unsigned bad = 0;
    CURLMcode added;

    if (renew_headers(request, error) != 0) return -1;
    request->received = 0;
    request->answer[0] = request->fault[0] = '\0';
    bad |= curl_easy_setopt(request->easy, CURLOPT_URL, url);
    bad |= curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
    bad |= curl_easy_setopt(request->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->n);
    bad |= curl_easy_setopt(request->easy, CURLOPT_POSTFIELDS, body->p);
    if (bad) return fail_curl("a request cannot be made", error);
    webhook->requests++;
    added = curl_multi_add_handle(webhook->multi, request->easy);
    return added ? fail_curl(curl_multi_strerror(added), error) : 0;
}

static int begin_requests(struct webhook *webhook, struct psa_error *error)
{
    struct psa_letter *letter;

    if (!psa_backoff_over(&webhook->backoff, webhook->run->now_ns)) return 0;
    for (int64_t i = 0; i < webhook->options.parallel; i++) {
        struct request *request = &webhook->request[i];

        if (request->letter) continue;
        letter = psa_outbox_waiting(&webhook->run->outbox);
        if (!letter) return 0;
        request->letter = letter;
        request->redirects = 0;
        psa_outbox_mark_sent(&webhook->run->outbox, letter);
        if (send_to(request, webhook->options.url_text, error) != 0) return -1;
    }
    return 0;
}

/* ---- what became of a request ------------------------------------------------------------------------------------- */

/* ": " and the first line of the answer's body, fit for a message: printable ASCII, and none of our secrets, which some
 * servers repeat. Empty when there is none. */
static const char *first_line(const struct request *request, char text[SHOWN + 3])
{
    const char *p = request->answer + strspn(request->answer, " \t\r\n");
    size_t n = strcspn(p, "\r\n");

    if (!n) return "";
    if (psa_webhook_holds_secret(&request->webhook->options, request->answer))
        return ": (what it says repeats a secret)";
    if (n > SHOWN) n = SHOWN;
    text[0] = ':';
    text[1] = ' ';
    for (size_t i = 0; i < n; i++) text[2 + i] = p[i] >= 0x20 && p[i] < 0x7f ? p[i] : '?';
    text[2 + n] = '\0';
    return text;
}

/* The request is over, its letter is not. Wait before anything is sent; a failure of a request that was on its way when
 * the wait began says nothing new. */
static void keep(struct request *request)
{
    struct webhook *webhook = request->webhook;
    int64_t now_ns = webhook->run->now_ns, most_ns = webhook->options.retry_after_max_ns, asked_ns;
    curl_off_t retry_after = 0;

    psa_outbox_mark_waiting(&webhook->run->outbox, request->letter);
    request->letter = NULL;
    webhook->retries++;
    if (psa_backoff_over(&webhook->backoff, now_ns))
        psa_backoff_fail(&webhook->backoff, now_ns, RETRY_FIRST_NS, webhook->run->options->retry_max_ns);
    curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &retry_after);
    if (retry_after <= 0) return;
    asked_ns = retry_after < most_ns / PSA_NS_PER_SECOND ? retry_after * PSA_NS_PER_SECOND : most_ns;
    if (now_ns + asked_ns > webhook->backoff.until_ns) webhook->backoff.until_ns = now_ns + asked_ns;
}

static int deliver(struct request *request)
{
    struct webhook *webhook = request->webhook;
    struct psa_sink_run *run = webhook->run;

    if (webhook->backoff.tries && psa_backoff_over(&webhook->backoff, run->now_ns)) {
        psa_sink_say(run, "again", 0, "%s takes records again", webhook->options.where);
        psa_backoff_reset(&webhook->backoff);
        psa_report_mended(&run->report, run->name, "retry");
    }
    psa_sink_delivered(run, request->letter);
    request->letter = NULL;
    return 0;
}

/* Not now; or, after --tries, never. */
static int try_again(struct request *request, const char *why, struct psa_error *error)
{
    struct webhook *webhook = request->webhook;
    struct psa_letter *letter = request->letter;
    char text[400];

    letter->tries++;
    keep(request);
    if (webhook->options.tries && letter->tries >= webhook->options.tries) {
        snprintf(text, sizeof text, "%u failed tries, the last: %s", (unsigned)letter->tries, why);
        return psa_sink_undeliverable(webhook->run, letter, "tries", text, error);
    }
    psa_sink_say(webhook->run, "retry", letter->line, "%s; tried again in %.1f s", why,
                 (double)(webhook->backoff.until_ns - webhook->run->now_ns) / 1e9);
    return 0;
}

/* The other side does not want us, whatever the record. */
static int refused(struct request *request, const char *why, struct psa_error *error)
{
    if (psa_sink_refused(request->webhook->run, error, "%s", why) != 0) return -1;
    keep(request);
    return 0;
}

/* 401: perhaps the token was changed while this was running, by what another request has found out just now or in the
 * file. Then the letter goes out again at once. */
static int unauthorised(struct request *request, const char *why, struct psa_error *error)
{
    struct webhook *webhook = request->webhook;
    struct psa_error fault;

    if (request->token_version == webhook->options.token_version) {
        int renewed = psa_webhook_renew_token(&webhook->options, &fault);

        if (renewed < 0) psa_sink_say(webhook->run, "bearer", 0, "%s; the old token stays", fault.text);
        if (renewed <= 0) return refused(request, why, error);
        psa_sink_say(webhook->run, "bearer", 0, "%s; there is a new token, which is tried at once", why);
    }
    psa_outbox_mark_waiting(&webhook->run->outbox, request->letter);
    request->letter = NULL;
    webhook->retries++;
    return 0;
}

/* ---- redirects ---------------------------------------------------------------------------------------------------- */

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
    char *in_a = NULL, *in_b = NULL;
    bool same;

    curl_url_get(a, part, &in_a, CURLU_DEFAULT_PORT);
    curl_url_get(b, part, &in_b, CURLU_DEFAULT_PORT);
    same = in_a && in_b ? strcasecmp(in_a, in_b) == 0 : in_a == in_b;
    curl_free(in_a);
    curl_free(in_b);
    return same;
}

static bool is_scheme(CURLU *url, const char *name)
{
    char *scheme = NULL;
    bool is;

    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
    is = scheme && strcmp(scheme, name) == 0;
    curl_free(scheme);
    return is;
}

/* May what was meant for one URL be sent to the other? The same server, or the same host by HTTPS instead of HTTP. */
static bool is_same_server(CURLU *from, CURLU *to)
{
    if (!same_part(from, to, CURLUPART_HOST) || !same_part(from, to, CURLUPART_USER)) return false;
    if (is_scheme(from, "http") && is_scheme(to, "https")) return true;
    return same_part(from, to, CURLUPART_SCHEME) && same_part(from, to, CURLUPART_PORT);
}

/* A 3xx. Following 301, 302 and 303 would turn POST into GET (RFC 9110, 15.4). */
static int redirect(struct request *request, long status, struct psa_error *error)
{
    struct webhook *webhook = request->webhook;
    bool keeps_method = status == 307 || status == 308, same = false;
    CURLU *to = curl_url();
    char *url = NULL, *host = NULL, why[400];

    curl_easy_getinfo(request->easy, CURLINFO_REDIRECT_URL, &url);
    if (to && url && curl_url_set(to, CURLUPART_URL, url, 0) == CURLUE_OK) {
        same = is_same_server(webhook->options.url, to);
        curl_url_get(to, CURLUPART_HOST, &host, 0);
    }
    if (!host) snprintf(why, sizeof why, "%s answered %ld, to nowhere", webhook->options.where, status);
    else if (!keeps_method)
        snprintf(why, sizeof why, "%s answered %ld, moved to %.200s, which would turn the request into a GET; %s",
                 webhook->options.where, status, host, "give the new URL");
    else if (!same)
        snprintf(why, sizeof why, "%s answered %ld, moved to another server, %.200s; give the new URL, if it is right",
                 webhook->options.where, status, host);
    else
        snprintf(why, sizeof why, "%s answered more than %d redirects in a row", webhook->options.where, REDIRECTS_MAX);
    curl_free(host);
    curl_url_cleanup(to);
    if (!keeps_method || !same || request->redirects == REDIRECTS_MAX) return refused(request, why, error);
    request->redirects++;
    webhook->redirects++;
    return send_to(request, url, error);
}

/* ---- answers ------------------------------------------------------------------------------------------------------ */

/* No answer, or none that is whole. */
static int unanswered(struct request *request, CURLcode result, struct psa_error *error)
{
    const char *fault = request->fault[0] ? request->fault : curl_easy_strerror(result);
    struct webhook *webhook = request->webhook;
    char why[400];

    snprintf(why, sizeof why, "%s: %.300s", webhook->options.where, fault);
    /* Our own files; later they may be half replaced. */
    if ((result == CURLE_SSL_CERTPROBLEM || result == CURLE_SSL_CACERT_BADFILE) && !webhook->run->stats.passed)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s", why);
    return try_again(request, why, error);
}

static int judge(struct request *request, CURLcode result, struct psa_error *error)
{
    struct webhook *webhook = request->webhook;
    struct psa_letter *letter = request->letter;
    char why[400], line[SHOWN + 3];
    long status = 0, connects = 0;

    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(request->easy, CURLINFO_NUM_CONNECTS, &connects);
    webhook->connections += (uint64_t)connects;
    /* An answer that goes on and on was cut by us; its status stands. */
    if (result == CURLE_WRITE_ERROR && request->received > ANSWER_MAX) result = CURLE_OK;
    if (result != CURLE_OK || status < 200 || status > 599) {
        webhook->answers[0]++;
        return unanswered(request, result == CURLE_OK ? CURLE_WEIRD_SERVER_REPLY : result, error);
    }
    webhook->answers[status / 100]++;
    if (status < 300) return deliver(request);
    if (status < 400) return redirect(request, status, error);
    snprintf(why, sizeof why, "%s answered %ld%s", webhook->options.where, status, first_line(request, line));
    switch (status) {
    case 401: return unauthorised(request, why, error);
    case 403:
    case 407: return refused(request, why, error);
    case 408:
    case 425:
    case 429: return try_again(request, why, error);
    default: break;
    }
    if (status >= 500) return try_again(request, why, error);
    request->letter = NULL;
    return psa_sink_undeliverable(webhook->run, letter, "http_4xx", why, error);
}

static int take_answers(struct webhook *webhook, struct psa_error *error)
{
    const CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(webhook->multi, &left))) {
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result;
        struct request *request;

        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &request);
        curl_multi_remove_handle(webhook->multi, easy);
        if (judge(request, result, error) != 0) return -1;
    }
    return 0;
}

/* ---- turns -------------------------------------------------------------------------------------------------------- */

static int act(struct webhook *webhook, curl_socket_t fd, int events, struct psa_error *error)
{
    int running;
    CURLMcode status = curl_multi_socket_action(webhook->multi, fd, events, &running);

    if (status == CURLM_OK || status == CURLM_BAD_SOCKET || status == CURLM_ABORTED_BY_CALLBACK) return 0;
    return fail_curl(curl_multi_strerror(status), error);
}

static int work(void *ctx, struct psa_error *error)
{
    struct webhook *webhook = ctx;

    if (webhook->timer_set && webhook->run->now_ns >= webhook->timer_ns) {
        webhook->timer_set = false;
        if (act(webhook, CURL_SOCKET_TIMEOUT, 0, error) != 0) return -1;
    }
    if (take_answers(webhook, error) != 0) return -1;
    return begin_requests(webhook, error);
}

static size_t watch(void *ctx, struct pollfd *fd, size_t max, int64_t *wait_ns)
{
    struct webhook *webhook = ctx;
    int64_t now_ns = webhook->run->now_ns;
    size_t n = webhook->n_socket < max ? webhook->n_socket : max;

    for (size_t i = 0; i < n; i++) fd[i] = (struct pollfd){ webhook->socket[i].fd, webhook->socket[i].events, 0 };
    if (webhook->timer_set && webhook->timer_ns - now_ns < *wait_ns) *wait_ns = webhook->timer_ns - now_ns;
    if (!psa_backoff_over(&webhook->backoff, now_ns) && webhook->run->outbox.waiting &&
        webhook->backoff.until_ns - now_ns < *wait_ns)
        *wait_ns = webhook->backoff.until_ns - now_ns;
    return n;
}

static int ready(void *ctx, const struct pollfd *fd, size_t n, struct psa_error *error)
{
    for (size_t i = 0; i < n; i++) {
        int events = 0;

        if (fd[i].revents & (POLLIN | POLLHUP)) events |= CURL_CSELECT_IN;
        if (fd[i].revents & POLLOUT) events |= CURL_CSELECT_OUT;
        if (fd[i].revents & (POLLERR | POLLNVAL)) events |= CURL_CSELECT_ERR;
        if (events && act(ctx, fd[i].fd, events, error) != 0) return -1;
    }
    return 0;
}

static int goodbye(void *ctx, struct psa_error *error)
{
    (void)ctx;
    (void)error;
    return 1; /* HTTP has no word for it */
}

static void close_webhook(void *ctx)
{
    struct webhook *webhook = ctx;

    for (int64_t i = 0; webhook->request && i < webhook->options.parallel; i++) {
        struct request *request = &webhook->request[i];

        if (request->letter) curl_multi_remove_handle(webhook->multi, request->easy);
        curl_easy_cleanup(request->easy);
        curl_slist_free_all(request->headers);
    }
    curl_multi_cleanup(webhook->multi);
    free(webhook->request);
    webhook->multi = NULL;
    webhook->request = NULL;
}

static void put_stats(void *ctx, struct psa_buf *out)
{
    static const char *const name[] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };
    const struct webhook *webhook = ctx;

    psa_buf_member_int(out, "requests", (int64_t)webhook->requests);
    psa_buf_member_int(out, "retries", (int64_t)webhook->retries);
    psa_buf_member_int(out, "redirects", (int64_t)webhook->redirects);
    psa_buf_member_int(out, "connections", (int64_t)webhook->connections);
    psa_buf_name(out, "answers");
    psa_buf_puts(out, "{");
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        if (webhook->answers[i]) psa_buf_member_int(out, name[i], (int64_t)webhook->answers[i]);
    psa_buf_puts(out, "}");
}

/* ---- the program -------------------------------------------------------------------------------------------------- */

int psa_webhook_main(int argc, char **argv)
{
    static const struct psa_transport transport = {
        .open = open_webhook,
        .address = address,
        .work = work,
        .watch = watch,
        .ready = ready,
        .goodbye = goodbye,
        .close = close_webhook,
        .stats = put_stats,
    };
    struct webhook *webhook = calloc(1, sizeof *webhook);
    int status;

    if (!webhook) return PSA_EXIT_RUNTIME;
    status = psa_sink_main(&(struct psa_sink_program){ .name = "psa-webhook",
                                                       .usage = "[options] URL [FILE...]",
                                                       .summary = "post every record to a URL",
                                                       .options = psa_webhook_option_table,
                                                       .ctx = webhook,
                                                       .transport = &transport,
                                                       .operands = psa_webhook_take_url },
                           argc, argv);
    psa_webhook_options_free(&webhook->options);
    if (webhook->curl_started) curl_global_cleanup();
    free(webhook);
    return status;
}
