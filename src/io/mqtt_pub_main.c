/* mqtt_pub_main.c - the options of psa-mqtt-pub, what they must agree with, and the credentials. mqtt.h has the rest.
 */
#include "io/mqtt_pub_main.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "core/error.h"
#include "core/time.h"
#include "io/mqtt.h"

#define PORT 1883
#define PORT_TLS 8883
#define SESSION_EXPIRY_NS (INT64_C(86400) * PSA_NS_PER_SECOND)
#define CREDENTIALS_MAX 131072 /* bytes: each of the two is 65,535 at most (MQTT 5.0, 1.5.4) */

#define AT(member) offsetof(struct psa_mqtt_options, member)
static const struct psa_option options[] = {
    { .name = "host",
      .type = PSA_OPT_TEXT,
      .offset = AT(host),
      .metavar = "HOST",
      .initial = "localhost",
      .help = "the broker" },
    { .name = "port",
      .type = PSA_OPT_COUNT,
      .offset = AT(port),
      .metavar = "N",
      .min = 1,
      .max = 65535,
      .help = "its port; without it 1883, or 8883 with TLS" },
    { .name = "topic",
      .letter = 't',
      .type = PSA_OPT_TEXT,
      .offset = AT(topic),
      .metavar = "TEMPLATE",
      .initial = "factory/sensor/{sensor_type}",
      .help = "the topic, {PATH} standing for a record's member; a record's publish_topic wins over it" },
    { .name = "no-suffix",
      .type = PSA_OPT_FLAG,
      .offset = AT(no_suffix),
      .help = "put no /alert or /inference behind the topic" },
    { .name = "qos",
      .letter = 'q',
      .type = PSA_OPT_COUNT,
      .offset = AT(qos),
      .metavar = "N",
      .initial = "1",
      .min = 0,
      .max = 2,
      .help = "quality of service: 0, 1 or 2" },
    { .name = "retain",
      .type = PSA_OPT_FLAG,
      .offset = AT(retain),
      .help = "let the broker keep the last message of each topic; the topic must have {sensor_id}" },
    { .name = "keepalive",
      .type = PSA_OPT_DURATION,
      .offset = AT(keepalive_ns),
      .metavar = "TIME",
      .initial = "60s",
      .min = 0,
      .max = 65535e9,
      .help = "a broker that is silent for twice as long is gone; 5s to 65535s, 0 turns it off" },
    { .name = "connect-timeout",
      .type = PSA_OPT_DURATION,
      .offset = AT(connect_timeout_ns),
      .metavar = "TIME",
      .initial = "10s",
      .min = 1e6,
      .max = 3600e9,
      .help = "longest wait for an address to answer, to the end of the handshakes" },
    { .name = "client-id",
      .type = PSA_OPT_TEXT,
      .offset = AT(client_id),
      .metavar = "ID",
      .help = "client id; without it a random one for each run" },
    { .name = "persistent",
      .type = PSA_OPT_FLAG,
      .offset = AT(persistent),
      .needs = "client-id",
      .help = "keep the session when the connection breaks, and go on with it" },
    { .name = "session-expiry",
      .type = PSA_OPT_DURATION,
      .offset = AT(session_expiry_ns),
      .metavar = "TIME",
      .min = 1e9,
      .max = 4294967295e9,
      .needs = "persistent",
      .help = "how long the broker keeps a session without a connection; without it 1d (MQTT 5)" },
    { .name = "protocol",
      .type = PSA_OPT_TEXT,
      .offset = AT(protocol),
      .metavar = "VERSION",
      .initial = "5",
      .help = "MQTT 5 or 3.1.1; a broker cannot say in 3.1.1 that it refused a message" },
    { .name = "credentials",
      .type = PSA_OPT_TEXT,
      .offset = AT(credentials),
      .metavar = "FILE",
      .help = "user name in the first line of FILE, password in the second" },
    { .name = "tls", .type = PSA_OPT_FLAG, .offset = AT(tls.on), .help = "use TLS, and the system's certificates" },
    { .name = "ca",
      .type = PSA_OPT_TEXT,
      .offset = AT(tls.ca),
      .metavar = "FILE",
      .help = "use TLS; the broker's certificate is signed by one in FILE" },
    { .name = "ca-path",
      .type = PSA_OPT_TEXT,
      .offset = AT(tls.ca_path),
      .metavar = "DIR",
      .help = "the same with a directory of certificates" },
    { .name = "cert",
      .type = PSA_OPT_TEXT,
      .offset = AT(tls.cert),
      .metavar = "FILE",
      .needs = "key",
      .help = "certificate to show to the broker" },
    { .name = "key",
      .type = PSA_OPT_TEXT,
      .offset = AT(tls.key),
      .metavar = "FILE",
      .needs = "cert",
      .help = "its key, without a passphrase" },
    { .name = "tls-version",
      .type = PSA_OPT_TEXT,
      .offset = AT(tls.version),
      .metavar = "VERSION",
      .not_with = "tls-min",
      .help = "use TLS, exactly this version: 1.2 or 1.3" },
    { .name = "tls-min",
      .type = PSA_OPT_TEXT,
      .offset = AT(tls.least),
      .metavar = "VERSION",
      .help = "use TLS, this version or a later one; without it 1.2" },
    { .name = "will-topic",
      .type = PSA_OPT_TEXT,
      .offset = AT(will_topic),
      .metavar = "TOPIC",
      .not_with = "status-topic",
      .help = "where the broker publishes a last word when the connection breaks" },
    { .name = "will-payload",
      .type = PSA_OPT_TEXT,
      .offset = AT(will_payload),
      .metavar = "TEXT",
      .needs = "will-topic",
      .help = "the last word" },
    { .name = "status-topic",
      .type = PSA_OPT_TEXT,
      .offset = AT(status_topic),
      .metavar = "TOPIC",
      .help = "keep `online` or `offline` there, retained" },
    { .name = "ha-discovery",
      .type = PSA_OPT_FLAG,
      .offset = AT(ha_discovery),
      .help = "announce each sensor's fields to Home Assistant; the topic must have {sensor_id}" },
    { .name = "ha-prefix",
      .type = PSA_OPT_TEXT,
      .offset = AT(ha_prefix),
      .metavar = "PREFIX",
      .initial = "homeassistant",
      .needs = "ha-discovery",
      .help = "where Home Assistant looks for announcements" },
    { .name = "max-sensors",
      .type = PSA_OPT_COUNT,
      .offset = AT(max_sensors),
      .metavar = "N",
      .initial = "10000",
      .min = 1,
      .max = 1e7,
      .needs = "ha-discovery",
      .help = "most sensors that are announced" },
    { .name = "flat",
      .type = PSA_OPT_FLAG,
      .offset = AT(flat),
      .needs = "ha-discovery",
      .help = "announce the number members of a record without fields" },
    { .type = PSA_OPT_END },
};

/* ---- what the options must agree with -------------------------------------------------------------------------- */

static int check_topic(const char *option, const char *topic, struct psa_error *error)
{
    if (topic && (topic[0] == '\0' || topic[0] == '$' || mosquitto_pub_topic_check(topic) != MOSQ_ERR_SUCCESS ||
                  mosquitto_validate_utf8(topic, (int)strlen(topic)) != MOSQ_ERR_SUCCESS))
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is no topic to publish to: no + or #, no $ at its begin",
                        option, topic);
    return 0;
}

static int check_texts(struct psa_mqtt *mqtt, struct psa_error *error)
{
    const struct psa_mqtt_options *opt = &mqtt->options;

    if (check_topic("--will-topic", opt->will_topic, error) != 0 ||
        check_topic("--status-topic", opt->status_topic, error) != 0 ||
        check_topic("--ha-prefix", opt->ha_prefix, error) != 0)
        return -1;
    mqtt->v5 = strcmp(opt->protocol, "5") == 0;
    if (!mqtt->v5 && strcmp(opt->protocol, "3.1.1") != 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--protocol: '%s' is no version psa speaks; 5 and 3.1.1 are",
                        opt->protocol);
    if (!mqtt->v5 && opt->session_expiry_ns)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--session-expiry means nothing in MQTT 3.1.1");
    if (opt->will_payload && strlen(opt->will_payload) > UINT16_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--will-payload is longer than 65535 bytes");
    if (opt->client_id && (!opt->client_id[0] || strlen(opt->client_id) > UINT16_MAX ||
                           mosquitto_validate_utf8(opt->client_id, (int)strlen(opt->client_id)) != MOSQ_ERR_SUCCESS))
        return psa_fail(error, PSA_EXIT_PERMANENT, "--client-id: 1 to 65535 bytes of UTF-8");
    if (!opt->host[0]) return psa_fail(error, PSA_EXIT_PERMANENT, "--host is empty");
    return 0;
}

static int check(struct psa_mqtt *mqtt, struct psa_error *error)
{
    struct psa_mqtt_options *opt = &mqtt->options;
    bool named;

    mqtt->run->flat = opt->flat;
    if (mqtt->run->options->ack && opt->qos == 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--ack with --qos 0: nothing is acknowledged at QoS 0");
    if (opt->keepalive_ns && opt->keepalive_ns < 5 * PSA_NS_PER_SECOND)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--keepalive is 0, or 5s and more");
    mqtt->keepalive_s = (int)((opt->keepalive_ns + PSA_NS_PER_SECOND - 1) / PSA_NS_PER_SECOND);
    if (check_texts(mqtt, error) != 0) return -1;
    if (!opt->session_expiry_ns) opt->session_expiry_ns = SESSION_EXPIRY_NS;
    if (psa_template_parse(&mqtt->topic, PSA_TEMPLATE_TOPIC, opt->topic, "--topic", error) != 0) return -1;
    named = psa_template_has(mqtt->topic, "sensor_id");
    if (!named && (opt->retain || opt->ha_discovery))
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "%s needs a --topic with {sensor_id}: sensors would overwrite each other's messages",
                        opt->retain ? "--retain" : "--ha-discovery");
    return 0;
}

/* ---- credentials ----------------------------------------------------------------------------------------------- */

static void forget(char *text)
{
    if (text) explicit_bzero(text, strlen(text));
    free(text);
}

/* The line at *at, which is moved behind it; NULL: there is none, or memory is out. */
static char *take_line(const char **at, const char *end)
{
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    size_t n = (size_t)((stop ? stop : end) - *at);
    const char *line = *at;

    if (line == end) return NULL;
    *at = stop ? stop + 1 : end;
    if (n && line[n - 1] == '\r') n--;
    return strndup(line, n);
}

static int read_credentials(struct psa_mqtt *mqtt, const char *path, struct psa_error *error)
{
    struct psa_buf text = { 0 };
    struct stat status;
    const char *at;
    int got;

    psa_buf_room(&text, CREDENTIALS_MAX + 1); /* so that it never moves and leaves a copy behind */
    got = psa_file_read(path, CREDENTIALS_MAX, &text, error);
    if (got > 0) got = psa_fail(error, PSA_EXIT_PERMANENT, "--credentials: %s: %s", path, strerror(ENOENT));
    if (got == 0) {
        at = text.p;
        if (text.n) mqtt->user = take_line(&at, text.p + text.n);
        if (mqtt->user) mqtt->password = take_line(&at, text.p + text.n);
        if (!mqtt->user || !mqtt->user[0])
            got =
                psa_fail(error, PSA_EXIT_PERMANENT, "--credentials: %s: there is no user name in its first line", path);
    }
    if (text.p) explicit_bzero(text.p, text.cap);
    psa_buf_free(&text);
    if (got == 0 && stat(path, &status) == 0 && (status.st_mode & (S_IRGRP | S_IROTH)))
        psa_sink_say(mqtt->run, "credentials", 0, "%s can be read by others; chmod 600 it", path);
    return got;
}

static int take_credentials(struct psa_mqtt *mqtt, struct psa_error *error)
{
    const char *user = getenv("PSA_MQTT_USER"), *password = getenv("PSA_MQTT_PASSWORD");

    if (mqtt->options.credentials) return read_credentials(mqtt, mqtt->options.credentials, error);
    if (password && !user)
        return psa_fail(error, PSA_EXIT_PERMANENT, "PSA_MQTT_PASSWORD is set and PSA_MQTT_USER is not");
    mqtt->user = user ? strdup(user) : NULL;
    mqtt->password = password ? strdup(password) : NULL;
    if ((user && !mqtt->user) || (password && !mqtt->password)) return psa_fail_memory(error, "reading credentials");
    return 0;
}

/* ---- opening and closing --------------------------------------------------------------------------------------- */

/* 19 letters: every MQTT 3.1.1 server must take 23 of them (3.1.3.1). */
static int make_client_id(struct psa_mqtt *mqtt, struct psa_error *error)
{
    uint64_t random[3] = { 0 };

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return psa_fail(error, PSA_EXIT_RUNTIME, "cannot get random numbers: %s", strerror(errno));
    mqtt->backoff.random = random[1];
    mqtt->refusal.random = random[2];
    mqtt->client_id = mqtt->options.client_id;
    if (mqtt->client_id) return 0;
    snprintf(mqtt->own_id, sizeof mqtt->own_id, "psa-%015llx", (unsigned long long)(random[0] >> 4));
    mqtt->client_id = mqtt->own_id;
    return 0;
}

static int open_mqtt(void *ctx, struct psa_sink_run *run, struct psa_error *error)
{
    struct psa_mqtt *mqtt = ctx;
    const struct psa_mqtt_options *opt = &mqtt->options;
    bool tls = psa_mqtt_tls_wanted(&opt->tls);

    mqtt->run = run;
    if (mosquitto_lib_init() != MOSQ_ERR_SUCCESS)
        return psa_fail(error, PSA_EXIT_RUNTIME, "libmosquitto cannot be used");
    if (check(mqtt, error) != 0 || take_credentials(mqtt, error) != 0 || make_client_id(mqtt, error) != 0) return -1;
    mqtt->port = opt->port ? (int)opt->port : tls ? PORT_TLS : PORT;
    snprintf(mqtt->place, sizeof mqtt->place, strchr(opt->host, ':') ? "[%s]:%d" : "%s:%d", opt->host, mqtt->port);
    if (tls && psa_mqtt_tls_open(&mqtt->tls, &opt->tls, opt->host, error) != 0) return -1;
    if (!opt->ha_discovery) return 0;
    mqtt->discovery = psa_discovery_new(opt->ha_prefix, opt->status_topic, (size_t)opt->max_sensors);
    return mqtt->discovery ? 0 : psa_fail_memory(error, "remembering sensors");
}

static void close_mqtt(void *ctx)
{
    struct psa_mqtt *mqtt = ctx;

    mosquitto_destroy(mqtt->client);
    psa_resolve_stop(&mqtt->resolve);
    psa_mqtt_tls_close(&mqtt->tls);
    psa_discovery_free(mqtt->discovery);
    psa_template_free(mqtt->topic);
    psa_buf_free(&mqtt->side_topic);
    psa_buf_free(&mqtt->side_payload);
    forget(mqtt->user);
    forget(mqtt->password);
    mosquitto_lib_cleanup();
}

int psa_mqtt_pub_main(int argc, char **argv)
{
    struct psa_mqtt mqtt = { .phase = PSA_MQTT_DOWN };
    const struct psa_transport transport = { .open = open_mqtt,
                                             .address = psa_mqtt_address,
                                             .work = psa_mqtt_work,
                                             .watch = psa_mqtt_watch,
                                             .ready = psa_mqtt_ready,
                                             .goodbye = psa_mqtt_goodbye,
                                             .close = close_mqtt,
                                             .stats = psa_mqtt_put_stats };
    const struct psa_sink_program program = { .name = "psa-mqtt-pub",
                                              .usage = "[options] [file ...]",
                                              .summary = "publish records to an MQTT broker",
                                              .options = options,
                                              .ctx = &mqtt,
                                              .transport = &transport };

    return psa_sink_main(&program, argc, argv);
}
