/* mqtt.c - see mqtt.h. */
#include "io/mqtt.h"

#include <errno.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/error.h"
#include "core/time.h"

#define RETRY_FIRST_NS INT64_C(100000000)     /* the first wait after a connection broke */
#define STABLE_NS INT64_C(10000000000)        /* a connection that lived as long was a good one */
#define KEEPALIVE_LOOK_NS INT64_C(1000000000) /* libmosquitto counts its keepalive in seconds */

enum {
    PACKETS_AT_ONCE = 100 /* libmosquitto's max_packets, of which it makes its own */
};

/* ---- what libmosquitto calls ----------------------------------------------------------------------------------- */

static void on_connect(struct mosquitto *client, void *ctx, int code, int flags, const mosquitto_property *properties)
{
    struct psa_mqtt *mqtt = ctx;
    uint8_t byte = 0;

    mqtt->connack = true;
    mqtt->connack_code = code;
    mqtt->max_packet = 0;
    mqtt->max_qos = 2;
    mqtt->retain_available = true;
    (void)mosquitto_property_read_int32(properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, &mqtt->max_packet, false);
    if (mosquitto_property_read_byte(properties, MQTT_PROP_MAXIMUM_QOS, &byte, false)) mqtt->max_qos = byte;
    if (mosquitto_property_read_byte(properties, MQTT_PROP_RETAIN_AVAILABLE, &byte, false))
        mqtt->retain_available = byte != 0;
    if (code != 0 || !mqtt->resuming || (flags & 1)) return;
    /* The broker does not know the session any more. libmosquitto would now send the rest of what the old one had
     * begun, which means nothing to the broker; nothing may leave before this client is gone. */
    mqtt->session_gone = true;
    (void)shutdown(mosquitto_socket(client), SHUT_RDWR);
}

static void on_disconnect(struct mosquitto *client, void *ctx, int reason, const mosquitto_property *properties)
{
    struct psa_mqtt *mqtt = ctx;

    (void)client;
    (void)properties;
    /* The broker's reasons begin at 0x80, libmosquitto's own errors are small; more than one may come. */
    if (reason >= 0x80 && !mqtt->server_reason) mqtt->server_reason = reason;
}

static void on_publish(struct mosquitto *client, void *ctx, int mid, int reason, const mosquitto_property *properties)
{
    struct psa_mqtt *mqtt = ctx;
    char *text = NULL;

    (void)client;
    if (mqtt->session_gone || mqtt->failed) return;
    (void)mosquitto_property_read_string(properties, MQTT_PROP_REASON_STRING, &text, false);
    psa_mqtt_answered(mqtt, mid, reason, text);
    free(text);
}

static void on_log(struct mosquitto *client, void *ctx, int level, const char *text)
{
    struct psa_mqtt *mqtt = ctx;

    (void)client;
    if (level == MOSQ_LOG_ERR) psa_mqtt_tls_hear(&mqtt->tls, text);
}

/* ---- clients --------------------------------------------------------------------------------------------------- */

/* The session's life is a property of CONNECT, which only the blocking call takes. It keeps them, then sees that -1 is
 * no port, and does nothing else; the call that does not block sends what was kept. */
static int keep_properties(const struct psa_mqtt *mqtt, struct mosquitto *client)
{
    mosquitto_property *properties = NULL;
    int64_t expiry_s = mqtt->options.session_expiry_ns / PSA_NS_PER_SECOND;
    int rc = mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
                                          expiry_s > UINT32_MAX ? UINT32_MAX : (uint32_t)expiry_s);

    if (rc == MOSQ_ERR_SUCCESS) {
        rc = mosquitto_connect_bind_v5(client, mqtt->options.host, -1, mqtt->keepalive_s, NULL, properties);
        rc = rc == MOSQ_ERR_INVAL ? MOSQ_ERR_SUCCESS : MOSQ_ERR_UNKNOWN;
    }
    mosquitto_property_free_all(&properties);
    return rc;
}

static int set_will(const struct psa_mqtt *mqtt, struct mosquitto *client)
{
    const struct psa_mqtt_options *options = &mqtt->options;
    const char *payload = options->will_payload ? options->will_payload : "";

    if (options->status_topic)
        return mosquitto_will_set(client, options->status_topic, (int)strlen("offline"), "offline", 1, true);
    if (!options->will_topic) return MOSQ_ERR_SUCCESS;
    return mosquitto_will_set(client, options->will_topic, (int)strlen(payload), payload, (int)options->qos,
                              options->retain);
}

static int configure(const struct psa_mqtt *mqtt, struct mosquitto *client, bool clean)
{
    int rc = mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, mqtt->v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);

    /* As many as there may be; a broker that takes fewer at a time says so, and libmosquitto obeys. */
    if (rc == 0) rc = mosquitto_int_option(client, MOSQ_OPT_SEND_MAXIMUM, UINT16_MAX);
    if (rc == 0) rc = mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
    if (rc == 0) rc = mosquitto_username_pw_set(client, mqtt->user, mqtt->password);
    if (rc == 0 && mqtt->tls.context) rc = mosquitto_int_option(client, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
    if (rc == 0 && mqtt->tls.context) rc = mosquitto_void_option(client, MOSQ_OPT_SSL_CTX, mqtt->tls.context);
    if (rc == 0 && !mqtt->wiping) rc = set_will(mqtt, client);
    if (rc == 0 && mqtt->v5 && !clean) rc = keep_properties(mqtt, client);
    return rc;
}

static void drop_client(struct psa_mqtt *mqtt)
{
    mosquitto_destroy(mqtt->client);
    mqtt->client = NULL;
    mqtt->resuming = false;
}

static int make_client(struct psa_mqtt *mqtt, struct psa_error *error)
{
    bool clean;
    int rc;

    mqtt->wiping = mqtt->options.persistent && !mqtt->wiped;
    clean = !mqtt->options.persistent || mqtt->wiping;
    mqtt->client = mosquitto_new(mqtt->client_id, clean, mqtt);
    if (!mqtt->client) return psa_fail_memory(error, "connecting");
    rc = configure(mqtt, mqtt->client, clean);
    if (rc != MOSQ_ERR_SUCCESS)
        return psa_fail(error, PSA_EXIT_PERMANENT, "cannot prepare the connection: %s", mosquitto_strerror(rc));
    mosquitto_connect_v5_callback_set(mqtt->client, on_connect);
    mosquitto_disconnect_v5_callback_set(mqtt->client, on_disconnect);
    mosquitto_publish_v5_callback_set(mqtt->client, on_publish);
    mosquitto_log_callback_set(mqtt->client, on_log);
    return 0;
}

/* ---- the end of a connection, or of a try ---------------------------------------------------------------------- */

/* The other side closed the connection, in whatever way that shows. */
static bool was_closed(int rc, int system_error)
{
    if (rc == MOSQ_ERR_ERRNO) return system_error == EPROTO || system_error == EPIPE || system_error == ECONNRESET;
    return rc == MOSQ_ERR_CONN_LOST || rc == MOSQ_ERR_NO_CONN || rc == MOSQ_ERR_TLS;
}

/* Why it ended, as a sentence. */
static void explain(const struct psa_mqtt *mqtt, int rc, int system_error, char *why, size_t size)
{
    const char *hint = "";

    if (mqtt->phase == PSA_MQTT_CONNECTING)
        hint = mqtt->tls.context ? " before it answered; is this its TLS port, and does it want a certificate (--cert)?"
                                 : " before it answered; is this its port, and does it want TLS?";
    if (mqtt->server_reason == MQTT_RC_SESSION_TAKEN_OVER)
        snprintf(why, size, "another client connected with the client id '%s'", mqtt->client_id);
    else if (mqtt->server_reason)
        snprintf(why, size, "the broker ended it: %s (0x%02x)", mosquitto_reason_string(mqtt->server_reason),
                 mqtt->server_reason);
    else if (was_closed(rc, system_error)) snprintf(why, size, "the broker closed it%s", hint);
    else if (rc == MOSQ_ERR_KEEPALIVE)
        snprintf(why, size, "no sign of life within the keepalive of %d s", mqtt->keepalive_s);
    else if (rc == MOSQ_ERR_ERRNO) snprintf(why, size, "%s", strerror(system_error));
    else snprintf(why, size, "%s", mosquitto_strerror(rc));
}

static void back_off(struct psa_mqtt *mqtt)
{
    static const char *const causes[] = { "lost", "connect", "connected", "session" };
    struct psa_sink_run *run = mqtt->run;
    bool good = mqtt->phase == PSA_MQTT_UP && mqtt->server_reason != MQTT_RC_SESSION_TAKEN_OVER &&
                (mqtt->progress || run->now_ns - mqtt->up_since_ns > STABLE_NS);

    if (good) psa_backoff_reset(&mqtt->backoff);
    for (size_t i = 0; good && i < sizeof causes / sizeof *causes; i++)
        psa_report_mended(&run->report, run->name, causes[i]);
    psa_backoff_fail(&mqtt->backoff, run->now_ns, RETRY_FIRST_NS, run->options->retry_max_ns);
}

/* There is no connection any more: decide what is sent anew, and wait before the next try. */
static int go_down(struct psa_mqtt *mqtt, struct psa_error *error)
{
    bool start_over = !mqtt->options.persistent || mqtt->wiping || mqtt->session_gone || !mqtt->resuming ||
                      psa_mqtt_hopeless(mqtt->server_reason);

    /* What a client holds half-way can be resumed by that client only. If it goes, so must the broker's half, unless
     * the broker has just said that there is none. */
    if (psa_mqtt_hopeless(mqtt->server_reason) && mqtt->resuming) mqtt->wiped = false;
    if (psa_mqtt_recover(mqtt, start_over, error) != 0) return -1;
    if (start_over) drop_client(mqtt);
    else (void)shutdown(mosquitto_socket(mqtt->client), SHUT_RDWR);
    if (mqtt->session_gone) psa_backoff_reset(&mqtt->backoff);
    else back_off(mqtt);
    mqtt->phase = PSA_MQTT_DOWN;
    psa_resolve_stop(&mqtt->resolve);
    return 0;
}

/* The network failed, which is nobody's decision: tried again forever. Said when the reason is another than before. */
static int lose(struct psa_mqtt *mqtt, const char *why, struct psa_error *error)
{
    bool was_up = mqtt->phase == PSA_MQTT_UP;

    if (mqtt->session_gone)
        psa_sink_say(mqtt->run, "session", 0, "%s has lost the session; what was on its way is sent anew", mqtt->place);
    else if (was_up) psa_sink_say(mqtt->run, "lost", 0, "connection to %s lost: %s; trying again", mqtt->place, why);
    else if (strcmp(mqtt->said, why) != 0)
        psa_sink_say(mqtt->run, "connect", 0, "cannot connect to %s: %s; trying again", mqtt->place, why);
    snprintf(mqtt->said, sizeof mqtt->said, "%s", why);
    return go_down(mqtt, error);
}

/* The broker, or TLS, does not want us. */
static int be_refused(struct psa_mqtt *mqtt, const char *why, struct psa_error *error)
{
    mqtt->refused++;
    snprintf(mqtt->said, sizeof mqtt->said, "%s", why);
    if (psa_sink_refused(mqtt->run, error, "cannot connect to %s: %s", mqtt->place, why) != 0) return -1;
    return go_down(mqtt, error);
}

static const char *connack_text(const struct psa_mqtt *mqtt)
{
    static const char *const old[] = { "",
                                       "it does not speak this version of MQTT (--protocol)",
                                       "it does not accept the client id",
                                       "it is not available",
                                       "bad user name or password",
                                       "not authorised" };
    int code = mqtt->connack_code;

    if (code == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION) return old[1];
    if (code > 0 && code < (int)(sizeof old / sizeof *old)) return old[code];
    return mosquitto_reason_string(code);
}

/* An address did not answer, or not well: the next one, if there is one. */
static bool has_next_address(struct psa_mqtt *mqtt)
{
    return mqtt->phase == PSA_MQTT_CONNECTING && !mqtt->tcp_done && mqtt->address + 1 < mqtt->resolve.n;
}

static int connect_to_address(struct psa_mqtt *mqtt, struct psa_error *error);

/* A call to libmosquitto has said rc, or the connection is gone. */
static int connection_ended(struct psa_mqtt *mqtt, int rc, int system_error, struct psa_error *error)
{
    char why[512];

    if (mqtt->connack && mqtt->connack_code != 0 && mqtt->phase == PSA_MQTT_CONNECTING) {
        snprintf(why, sizeof why, "the broker refuses: %s (0x%02x)", connack_text(mqtt), mqtt->connack_code);
        return be_refused(mqtt, why, error);
    }
    if (mqtt->phase == PSA_MQTT_CONNECTING && psa_mqtt_tls_failed(&mqtt->tls, why, sizeof why))
        return be_refused(mqtt, why, error);
    if (has_next_address(mqtt)) {
        mqtt->address++;
        return connect_to_address(mqtt, error);
    }
    explain(mqtt, rc, system_error, why, sizeof why);
    return lose(mqtt, why, error);
}

/* ---- connecting ------------------------------------------------------------------------------------------------ */

static int connect_to_address(struct psa_mqtt *mqtt, struct psa_error *error)
{
    int rc;

    if (!mqtt->client && make_client(mqtt, error) != 0) return -1;
    mqtt->phase = PSA_MQTT_CONNECTING;
    mqtt->connack = mqtt->tcp_done = mqtt->progress = mqtt->session_gone = false;
    mqtt->server_reason = 0;
    mqtt->deadline_ns = mqtt->run->now_ns + mqtt->options.connect_timeout_ns;
    psa_mqtt_tls_begin(&mqtt->tls);
    errno = 0;
    rc = mosquitto_connect_async(mqtt->client, mqtt->resolve.address[mqtt->address], mqtt->port, mqtt->keepalive_s);
    if (rc == MOSQ_ERR_NOMEM) return psa_fail_memory(error, "connecting");
    return rc > 0 ? connection_ended(mqtt, rc, errno, error) : 0;
}

static int resolve_and_connect(struct psa_mqtt *mqtt, struct psa_error *error)
{
    const char *why = NULL;
    char text[400];
    int status;

    if (mqtt->phase == PSA_MQTT_DOWN) {
        if (!psa_backoff_over(&mqtt->backoff, mqtt->run->now_ns)) return 0;
        if (psa_resolve_start(&mqtt->resolve, mqtt->options.host, error) != 0) return -1;
        mqtt->phase = PSA_MQTT_RESOLVING;
        mqtt->server_reason = 0;
    }
    status = psa_resolve_look(&mqtt->resolve, &why);
    if (status == 0) return 0;
    if (status > 0) {
        mqtt->address = 0;
        return connect_to_address(mqtt, error);
    }
    snprintf(text, sizeof text, "the host cannot be found: %s", why);
    return lose(mqtt, text, error);
}

/* The old session is wiped: hang up, and connect anew at once. */
static int end_wiping(struct psa_mqtt *mqtt)
{
    (void)mosquitto_disconnect(mqtt->client);
    drop_client(mqtt);
    mqtt->wiping = false;
    mqtt->wiped = true;
    mqtt->phase = PSA_MQTT_DOWN;
    mqtt->backoff.until_ns = 0;
    return 0;
}

/* What the broker cannot do for us is not worth another try. */
static int check_abilities(const struct psa_mqtt *mqtt, struct psa_error *error)
{
    const struct psa_mqtt_options *options = &mqtt->options;

    if (options->qos > mqtt->max_qos)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s offers no QoS above %d; give --qos %d", mqtt->place,
                        mqtt->max_qos, mqtt->max_qos);
    if (!mqtt->retain_available && (options->retain || options->status_topic || options->ha_discovery))
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s keeps no retained messages; %s needs them", mqtt->place,
                        options->retain         ? "--retain"
                        : options->status_topic ? "--status-topic"
                                                : "--ha-discovery");
    return 0;
}

/* CONNACK has come, and is good. */
static int come_up(struct psa_mqtt *mqtt, struct psa_error *error)
{
    if (mqtt->wiping) return end_wiping(mqtt);
    if (check_abilities(mqtt, error) != 0) return -1;
    mqtt->phase = PSA_MQTT_UP;
    mqtt->up_since_ns = mqtt->run->now_ns;
    mqtt->resuming = mqtt->options.persistent;
    mqtt->connections++;
    mqtt->online_due = mqtt->options.status_topic != NULL;
    if (mqtt->discovery) psa_discovery_restart(mqtt->discovery);
    if (mqtt->said[0]) psa_sink_say(mqtt->run, "connected", 0, "connected to %s", mqtt->place);
    mqtt->said[0] = '\0';
    return 0;
}

/* ---- turning the wheel ----------------------------------------------------------------------------------------- */

static bool is_live(const struct psa_mqtt *mqtt)
{
    return mqtt->client && (mqtt->phase == PSA_MQTT_CONNECTING || mqtt->phase == PSA_MQTT_UP);
}

/* After a call to libmosquitto: what its callbacks have left, and whether the connection still stands. */
static int look_after(struct psa_mqtt *mqtt, int rc, struct psa_error *error)
{
    int system_error = errno;

    if (mqtt->failed) {
        *error = mqtt->failure;
        return -1;
    }
    if (rc == MOSQ_ERR_NOMEM) return psa_fail_memory(error, "talking to the broker");
    if (rc != MOSQ_ERR_SUCCESS || mosquitto_socket(mqtt->client) < 0)
        return connection_ended(mqtt, rc != MOSQ_ERR_SUCCESS ? rc : MOSQ_ERR_CONN_LOST, system_error, error);
    if (mqtt->phase == PSA_MQTT_CONNECTING && mqtt->connack && mqtt->connack_code == 0) return come_up(mqtt, error);
    return 0;
}

static bool in_handshake(const struct psa_mqtt *mqtt)
{
    const SSL *ssl = mqtt->tls.context ? mosquitto_ssl_get(mqtt->client) : NULL;

    return ssl && !SSL_is_init_finished(ssl);
}

static int loop_read(struct psa_mqtt *mqtt, struct psa_error *error)
{
    errno = 0;
    return look_after(mqtt, mosquitto_loop_read(mqtt->client, PACKETS_AT_ONCE), error);
}

/* The socket can be used: first of all, does the TCP connection stand? */
static int use_socket(struct psa_mqtt *mqtt, short events, struct psa_error *error)
{
    int fault = 0;
    socklen_t size = sizeof fault;

    if (!mqtt->tcp_done) {
        if (getsockopt(mosquitto_socket(mqtt->client), SOL_SOCKET, SO_ERROR, &fault, &size) != 0) fault = errno;
        if (fault) return connection_ended(mqtt, MOSQ_ERR_ERRNO, fault, error);
        mqtt->tcp_done = true;
    }
    if (in_handshake(
            mqtt)) { /* only reading goes on with it; libmosquitto takes a broken connection for no reason to end */
        if (loop_read(mqtt, error) != 0) return -1;
        if (is_live(mqtt) && in_handshake(mqtt) && (events & (POLLERR | POLLHUP)))
            return connection_ended(mqtt, MOSQ_ERR_CONN_LOST, 0, error);
        return 0;
    }
    /* Reading comes first, and always until CONNACK: a broker that hangs up may have said why, and in TLS 1.3 it
     * refuses our certificate only when the handshake is over here. */
    if (((events & (POLLIN | POLLERR | POLLHUP)) || mqtt->phase == PSA_MQTT_CONNECTING) && loop_read(mqtt, error) != 0)
        return -1;
    if (!is_live(mqtt) || !(events & POLLOUT)) return 0;
    errno = 0;
    return look_after(mqtt, mosquitto_loop_write(mqtt->client, PACKETS_AT_ONCE), error);
}

int psa_mqtt_ready(void *ctx, const struct pollfd *fd, size_t n, struct psa_error *error)
{
    struct psa_mqtt *mqtt = ctx;
    int status = 0;

    if (n && fd->revents && is_live(mqtt) && fd->fd == mosquitto_socket(mqtt->client))
        status = use_socket(mqtt, fd->revents, error);
    if (status == 0 && mqtt->phase == PSA_MQTT_UP) {
        errno = 0;
        status = look_after(mqtt, mosquitto_loop_misc(mqtt->client), error);
    }
    return status;
}

/* Sending found the connection broken. What the broker said before it hung up may still be there to be read. */
static int broken_while_sending(struct psa_mqtt *mqtt, int rc, struct psa_error *error)
{
    int system_error = errno;

    if (mosquitto_socket(mqtt->client) >= 0) (void)mosquitto_loop_read(mqtt->client, PACKETS_AT_ONCE);
    if (mqtt->failed) {
        *error = mqtt->failure;
        return -1;
    }
    return connection_ended(mqtt, rc, system_error, error);
}

int psa_mqtt_work(void *ctx, struct psa_error *error)
{
    struct psa_mqtt *mqtt = ctx;
    int rc = 0, status;
    char why[80];

    if (mqtt->phase == PSA_MQTT_DOWN || mqtt->phase == PSA_MQTT_RESOLVING) return resolve_and_connect(mqtt, error);
    if (mqtt->phase == PSA_MQTT_CONNECTING && mqtt->run->now_ns >= mqtt->deadline_ns) {
        snprintf(why, sizeof why, "no answer within %g s", (double)mqtt->options.connect_timeout_ns / 1e9);
        if (!has_next_address(mqtt)) return lose(mqtt, why, error);
        mqtt->address++;
        return connect_to_address(mqtt, error);
    }
    if (mqtt->phase != PSA_MQTT_UP) return 0;
    status = psa_mqtt_send(mqtt, &rc, error);
    if (mqtt->failed) {
        *error = mqtt->failure;
        return -1;
    }
    return status == 1 ? broken_while_sending(mqtt, rc, error) : status;
}

/* ---- waiting --------------------------------------------------------------------------------------------------- */

static void wake_at(const struct psa_mqtt *mqtt, int64_t at_ns, int64_t *wait_ns)
{
    int64_t in_ns = at_ns - mqtt->run->now_ns;

    if (in_ns < 0) in_ns = 0;
    if (in_ns < *wait_ns) *wait_ns = in_ns;
}

size_t psa_mqtt_watch(void *ctx, struct pollfd *fd, size_t max, int64_t *wait_ns)
{
    struct psa_mqtt *mqtt = ctx;
    int64_t now_ns = mqtt->run->now_ns;

    switch (mqtt->phase) {
    case PSA_MQTT_DOWN: wake_at(mqtt, mqtt->backoff.until_ns, wait_ns); return 0;
    case PSA_MQTT_RESOLVING: wake_at(mqtt, now_ns + PSA_RESOLVE_LOOK_NS, wait_ns); return 0;
    case PSA_MQTT_CONNECTING: wake_at(mqtt, mqtt->deadline_ns, wait_ns); break;
    case PSA_MQTT_UP:
        wake_at(mqtt, now_ns + KEEPALIVE_LOOK_NS, wait_ns);
        if (mqtt->run->outbox.waiting && !psa_backoff_over(&mqtt->refusal, now_ns))
            wake_at(mqtt, mqtt->refusal.until_ns, wait_ns);
        break;
    case PSA_MQTT_LEFT: break;
    }
    if (!max || !mqtt->client || mosquitto_socket(mqtt->client) < 0) return 0;
    *fd = (struct pollfd){ .fd = mosquitto_socket(mqtt->client), .events = POLLIN };
    if (!mqtt->tcp_done) fd->events = POLLOUT;
    else if (in_handshake(mqtt)) fd->events = SSL_want_write((SSL *)mosquitto_ssl_get(mqtt->client)) ? POLLOUT : POLLIN;
    else if (mosquitto_want_write(mqtt->client)) fd->events |= POLLOUT;
    return 1;
}

/* ---- the rest -------------------------------------------------------------------------------------------------- */

/* A persistent session was for this process only: nobody else could go on with it, so the broker need not keep it. */
static void disconnect(struct psa_mqtt *mqtt)
{
    mosquitto_property *properties = NULL;

    if (mqtt->v5 && mqtt->options.persistent)
        (void)mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 0);
    (void)mosquitto_disconnect_v5(mqtt->client, 0, properties);
    mosquitto_property_free_all(&properties);
    mqtt->phase = PSA_MQTT_LEFT;
}

int psa_mqtt_goodbye(void *ctx, struct psa_error *error)
{
    struct psa_mqtt *mqtt = ctx;
    int rc = 0;

    if (mqtt->phase == PSA_MQTT_LEFT) {
        if (mosquitto_socket(mqtt->client) < 0 || !mosquitto_want_write(mqtt->client)) return 1;
        return mosquitto_loop_write(mqtt->client, PACKETS_AT_ONCE) != MOSQ_ERR_SUCCESS;
    }
    if (mqtt->phase != PSA_MQTT_UP) return 1;
    if (psa_mqtt_send_last(mqtt, &rc, error) < 0) return -1;
    if (rc != MOSQ_ERR_SUCCESS) return 1;
    if (mqtt->last_due || mqtt->sides || mosquitto_want_write(mqtt->client)) return 0;
    disconnect(mqtt);
    return mosquitto_socket(mqtt->client) < 0;
}

int psa_mqtt_address(void *ctx, struct psa_record *record, struct psa_letter *letter, const char **why,
                     struct psa_error *error)
{
    struct psa_mqtt *mqtt = ctx;

    if (!psa_topic_of(mqtt->topic, !mqtt->options.no_suffix, record, &letter->to, why)) return 1;
    psa_buf_put(&letter->to, "", 1); /* libmosquitto wants a NUL behind it, which is not part of it */
    if (letter->to.failed) return psa_fail_memory(error, "keeping a topic");
    letter->to.n--;
    if (!mqtt->discovery) return 0;
    switch (psa_discovery_see(mqtt->discovery, record, psa_buf_str(&letter->to))) {
    case PSA_SEEN: return 0;
    case PSA_SEEN_TOO_MANY:
        psa_sink_say(mqtt->run, "sensors", letter->line,
                     "more than --max-sensors %lld sensors; this one is published but not announced",
                     (long long)mqtt->options.max_sensors);
        return 0;
    default: return psa_fail_memory(error, "remembering a sensor");
    }
}

void psa_mqtt_put_stats(void *ctx, struct psa_buf *out)
{
    const struct psa_mqtt *mqtt = ctx;

    psa_buf_member_int(out, "reconnects", mqtt->connections ? (int64_t)mqtt->connections - 1 : 0);
    psa_buf_member_int(out, "refused", (int64_t)mqtt->refused);
}
