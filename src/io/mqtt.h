/*
 * mqtt.h - psa-mqtt-pub's transport: letters to an MQTT broker, over libmosquitto, in one thread.
 *
 *     DOWN -> RESOLVING -> CONNECTING -> UP -> (lost, refused) -> DOWN, after a wait
 *
 * mqtt.c is this machine, mqtt_send.c what is sent and answered while UP, mqtt_tls.c and mqtt_resolve.c what a
 * connection needs, mqtt_discovery.c what --ha-discovery announces, mqtt_pub_main.c the options and the program.
 *
 * A connection with a clean session has a client (struct mosquitto) of its own: what was on its way when it broke is
 * sent anew, in the order of the lines, on the next one. With --persistent the client is kept, and libmosquitto goes on
 * where both sides stopped, as long as the broker still has the session.
 */
#ifndef PSA_IO_MQTT_H
#define PSA_IO_MQTT_H

#include <mosquitto.h>

#include "core/backoff.h"
#include "core/template.h"
#include "io/mqtt_discovery.h"
#include "io/mqtt_resolve.h"
#include "io/mqtt_tls.h"
#include "io/sink_main.h"

/* Status and discovery messages on their way at once: few, so that they never hold up the records. */
#define PSA_MQTT_SIDES 8

struct psa_mqtt_options {
    const char *host, *topic, *protocol, *client_id, *credentials;
    const char *will_topic, *will_payload, *status_topic, *ha_prefix;
    int64_t port, qos, keepalive_ns, session_expiry_ns, connect_timeout_ns, max_sensors;
    bool no_suffix, retain, persistent, ha_discovery, flat;
    struct psa_mqtt_tls_options tls;
};

enum psa_mqtt_phase {
    PSA_MQTT_DOWN,       /* until backoff.until_ns */
    PSA_MQTT_RESOLVING,  /* looking the host's name up */
    PSA_MQTT_CONNECTING, /* TCP, TLS, CONNECT; until CONNACK or deadline_ns */
    PSA_MQTT_UP,
    PSA_MQTT_LEFT /* DISCONNECT has been sent */
};

/* A message that is no letter. */
struct psa_mqtt_side {
    bool used, status;
    uint64_t sequence;
};

struct psa_mqtt {
    struct psa_mqtt_options options;
    struct psa_sink_run *run;
    struct psa_template *topic;
    struct psa_mqtt_tls tls;
    struct psa_discovery *discovery; /* NULL: none */
    char *user, *password;
    const char *client_id;
    char own_id[24];
    char place[320]; /* host:port, for messages */
    int port, keepalive_s;
    bool v5;

    /* The connection. */
    enum psa_mqtt_phase phase;
    struct mosquitto *client;
    struct psa_resolve resolve;
    size_t address; /* index of the address that is being tried */
    bool tcp_done;  /* the TCP connection stands */
    int64_t deadline_ns, up_since_ns;
    struct psa_backoff backoff;
    char said[600]; /* the reason said last why there is no connection; "" while there is one */

    /* --persistent. */
    bool wiped;        /* no older session of this client id is left on the broker */
    bool wiping;       /* this connection is there to wipe one */
    bool resuming;     /* the client has been connected before: what it holds goes on if the session is present */
    bool session_gone; /* it was not */

    /* What the callbacks leave behind. */
    bool connack, failed;
    int connack_code, server_reason;
    struct psa_error failure; /* when failed */

    /* What the broker said it takes: CONNACK. */
    uint32_t max_packet; /* bytes; 0: no limit */
    int max_qos;
    bool retain_available;

    /* What is on its way. A sequence number is a packet identifier without its wrapping at 65,535. */
    uint64_t last_sequence, oldest_sequence;
    struct psa_mqtt_side side[PSA_MQTT_SIDES];
    size_t sides;
    bool online_due, last_due, offline_sent;
    bool sides_off; /* one of them made the broker end the connection */
    struct psa_buf side_topic, side_payload;
    bool progress;              /* a letter was finished on this connection */
    struct psa_backoff refusal; /* after a refusal nothing is sent until it is over */
    uint64_t
        probe_until; /* letters up to this line go one at a time: one of them makes the broker end the connection */
    unsigned stuck;  /* connections in a row that ended with letters on their way and none finished */

    uint64_t connections, refused;
};

/* ---- mqtt.c: psa_transport's functions; the context is a struct psa_mqtt --------------------------------------- */

int psa_mqtt_address(void *ctx, struct psa_record *record, struct psa_letter *letter, const char **why,
                     struct psa_error *error);
int psa_mqtt_work(void *ctx, struct psa_error *error);
size_t psa_mqtt_watch(void *ctx, struct pollfd *fd, size_t max, int64_t *wait_ns);
int psa_mqtt_ready(void *ctx, const struct pollfd *fd, size_t n, struct psa_error *error);
int psa_mqtt_goodbye(void *ctx, struct psa_error *error);
void psa_mqtt_put_stats(void *ctx, struct psa_buf *out);

/* ---- mqtt_send.c ----------------------------------------------------------------------------------------------- */

/* Send what may be sent now. 1: the connection broke (*rc says how); -1: the run ends. */
int psa_mqtt_send(struct psa_mqtt *mqtt, int *rc, struct psa_error *error);
/* The broker's answer to a packet identifier (QoS 0: it was written). A failure is left in mqtt->failed. */
void psa_mqtt_answered(struct psa_mqtt *mqtt, int mid, int reason, const char *reason_string);
/* The connection is gone: what becomes of what was on its way. `start_over`: nothing of it can be resumed. */
int psa_mqtt_recover(struct psa_mqtt *mqtt, bool start_over, struct psa_error *error);
/* Before leaving: send what is to be announced, then `offline` where --status-topic asks for it; last_due says whether
 * there is more to send. 1: the connection broke (*rc says how); -1: the run ends. */
int psa_mqtt_send_last(struct psa_mqtt *mqtt, int *rc, struct psa_error *error);

/* Can a message that is refused with this reason never pass? The constant it is counted under, or NULL. */
const char *psa_mqtt_hopeless(int reason);

#endif
