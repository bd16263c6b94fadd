/*
 * mqtt_send.c - what psa-mqtt-pub sends while it is connected, and what the answers mean.
 *
 * Packet identifiers. libmosquitto gives each message the next of 1..65535 and does not look whether the one that had
 * it before is still on its way: `mosquitto_pub -l` loses messages for that reason. Here every message has a sequence
 * number that does not wrap, and none is sent that would be more than SEQUENCE_SPAN ahead of the oldest without an
 * answer. At most
 * --in-flight letters and PSA_MQTT_SIDES others are with libmosquitto at a time.
 *
 * Answers (MQTT 5.0, 3.4.2.1 and 3.5.2.1). Below 0x80 a message has arrived. 0x90, 0x95 and 0x99 say that it can never
 * pass: it is undeliverable. All others are about the moment: it is kept, nothing is sent until the backoff is over,
 * and then it goes first, being the oldest.
 *
 * Culprits. A broker may also end the connection because of a message. If it says so by one of those codes, and several
 * letters were on their way, they go one at a time on the next connection, until the one that was alone when it
 * happened again is found. A connection that just breaks buries nobody: if that happens again and again, the letters go
 * one at a time, so that all before the culprit pass, and the line is named.
 */
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "core/error.h"
#include "io/mqtt.h"

enum {
    IDENTIFIERS = 65535,
    SEQUENCE_SPAN = 60000, /* from the oldest on its way to the newest */
    BARREN_CONNECTIONS = 2 /* in a row that end with nothing finished: then one letter at a time */
};

#define PAYLOAD_MAX 268435455u /* bytes: the largest remaining length (MQTT 5.0, 1.5.5) */
#define REFUSAL_FIRST_NS INT64_C(100000000)

/* ---- sequence numbers ------------------------------------------------------------------------------------------ */

static uint64_t identifier_of(uint64_t sequence)
{
    return (sequence - 1) % IDENTIFIERS + 1;
}

/* The first sequence number behind `last` with that packet identifier. */
static uint64_t sequence_after(uint64_t last, int mid)
{
    uint64_t ahead = last ? ((uint64_t)mid + IDENTIFIERS - identifier_of(last)) % IDENTIFIERS : (uint64_t)mid;

    return last + (ahead ? ahead : IDENTIFIERS);
}

/* The last sequence number up to `last` with that packet identifier. */
static uint64_t sequence_until(uint64_t last, int mid)
{
    uint64_t back = last ? (identifier_of(last) + IDENTIFIERS - (uint64_t)mid) % IDENTIFIERS : 0;

    return back < last ? last - back : 0;
}

/* Is the next packet identifier free for sure? The oldest on its way is looked for only when it may not be. */
static bool identifier_is_free(struct psa_mqtt *mqtt)
{
    struct psa_outbox *outbox = &mqtt->run->outbox;
    uint64_t oldest = mqtt->last_sequence + 1;

    if (mqtt->last_sequence + 1 - mqtt->oldest_sequence < SEQUENCE_SPAN) return true;
    for (size_t i = 0; i < outbox->n; i++) {
        const struct psa_letter *letter = psa_outbox_at(outbox, i);

        if (letter->state == PSA_LETTER_SENT && letter->tag < oldest) oldest = letter->tag;
    }
    for (size_t i = 0; i < PSA_MQTT_SIDES; i++)
        if (mqtt->side[i].used && mqtt->side[i].sequence < oldest) oldest = mqtt->side[i].sequence;
    mqtt->oldest_sequence = oldest;
    return mqtt->last_sequence + 1 - oldest < SEQUENCE_SPAN;
}

/* ---- answers --------------------------------------------------------------------------------------------------- */

const char *psa_mqtt_hopeless(int reason)
{
    switch (reason) {
    case MQTT_RC_TOPIC_NAME_INVALID: return "topic";
    case MQTT_RC_PACKET_TOO_LARGE: return "too_large";
    case MQTT_RC_PAYLOAD_FORMAT_INVALID: return "payload_format";
    default: return NULL;
    }
}

static const char *explain_hopeless(int reason)
{
    switch (reason) {
    case MQTT_RC_TOPIC_NAME_INVALID: return "the broker does not accept its topic (0x90)";
    case MQTT_RC_PACKET_TOO_LARGE: return "larger than the broker accepts (0x95)";
    default: return "the broker does not accept its payload (0x99)";
    }
}

static void fail(struct psa_mqtt *mqtt, int status)
{
    mqtt->failed = mqtt->failed || status != 0;
}

static struct psa_mqtt_side *find_side(struct psa_mqtt *mqtt, uint64_t sequence)
{
    for (size_t i = 0; mqtt->sides && i < PSA_MQTT_SIDES; i++)
        if (mqtt->side[i].used && mqtt->side[i].sequence == sequence) return &mqtt->side[i];
    return NULL;
}

static void side_answered(struct psa_mqtt *mqtt, struct psa_mqtt_side *side, int reason)
{
    side->used = false;
    mqtt->sides--;
    if (reason >= 0x80)
        psa_sink_say(mqtt->run, side->status ? "status" : "discovery", 0,
                     "%s refuses the %s message: %s (0x%02x); tried again on the next connection", mqtt->place,
                     side->status ? "status" : "discovery", mosquitto_reason_string(reason), reason);
}

static void finish_letter(struct psa_mqtt *mqtt, struct psa_letter *letter)
{
    mqtt->progress = true;
    mqtt->stuck = 0;
    /* Letters sent before a refusal may still arrive during the pause that it made; they do not shorten it. */
    if (psa_backoff_over(&mqtt->refusal, mqtt->run->now_ns)) psa_backoff_reset(&mqtt->refusal);
    psa_sink_delivered(mqtt->run, letter);
}

static int refuse_letter(struct psa_mqtt *mqtt, struct psa_letter *letter, int reason, const char *reason_string)
{
    mqtt->refused++;
    psa_outbox_mark_waiting(&mqtt->run->outbox, letter);
    /* Answers to what was sent before the pause come in during it: they are part of the same refusal. */
    if (psa_backoff_over(&mqtt->refusal, mqtt->run->now_ns))
        psa_backoff_fail(&mqtt->refusal, mqtt->run->now_ns, REFUSAL_FIRST_NS, mqtt->run->options->retry_max_ns);
    return psa_sink_refused(mqtt->run, &mqtt->failure, "%s refuses line %llu: %s (0x%02x)%s%s", mqtt->place,
                            (unsigned long long)letter->line, mosquitto_reason_string(reason), reason,
                            reason_string ? ": " : "", reason_string ? reason_string : "");
}

void psa_mqtt_answered(struct psa_mqtt *mqtt, int mid, int reason, const char *reason_string)
{
    struct psa_outbox *outbox = &mqtt->run->outbox;
    uint64_t sequence = sequence_until(mqtt->last_sequence, mid);
    struct psa_mqtt_side *side = find_side(mqtt, sequence);
    struct psa_letter *letter;

    if (side) {
        side_answered(mqtt, side, reason);
        return;
    }
    /* QoS 0 is answered by being written, in order, some of it before its identifier is known here. */
    if (mqtt->options.qos == 0) {
        letter = psa_outbox_oldest_sent(outbox);
        if (letter) finish_letter(mqtt, letter);
        return;
    }
    letter = psa_outbox_sent(outbox, sequence);
    if (!letter) return;
    if (reason < 0x80) {
        finish_letter(mqtt, letter);
    } else if (psa_mqtt_hopeless(reason)) {
        mqtt->progress = true;
        fail(mqtt, psa_sink_undeliverable(mqtt->run, letter, psa_mqtt_hopeless(reason), explain_hopeless(reason),
                                          &mqtt->failure));
    } else {
        fail(mqtt, refuse_letter(mqtt, letter, reason, reason_string));
    }
}

/* ---- letters --------------------------------------------------------------------------------------------------- */

/* Bytes of the PUBLISH packet (MQTT 5.0, 3.3): libmosquitto's own check is off by a few. */
static uint64_t packet_bytes(const struct psa_mqtt *mqtt, size_t topic, size_t payload)
{
    uint64_t remaining = 2 + (uint64_t)topic + payload + (mqtt->options.qos ? 2 : 0) + (mqtt->v5 ? 1 : 0), n = 2;

    for (uint64_t left = remaining; left >= 128; left /= 128) n++;
    return n + remaining;
}

/* What libmosquitto says to a message that it does not take. -1: the run ends; 1: the connection broke. */
static int refused_by_library(struct psa_mqtt *mqtt, struct psa_letter *letter, int rc, struct psa_error *error)
{
    switch (rc) {
    case MOSQ_ERR_INVAL:
    case MOSQ_ERR_MALFORMED_UTF8:
        return psa_sink_undeliverable(mqtt->run, letter, "topic", "its topic is none that MQTT allows", error);
    case MOSQ_ERR_OVERSIZE_PACKET:
    case MOSQ_ERR_PAYLOAD_SIZE:
        return psa_sink_undeliverable(mqtt->run, letter, "too_large", "larger than the broker accepts", error);
    case MOSQ_ERR_NOMEM: return psa_fail_memory(error, "sending a line");
    default: return 1;
    }
}

static int send_letter(struct psa_mqtt *mqtt, struct psa_letter *letter, int *rc, struct psa_error *error)
{
    uint64_t bytes = packet_bytes(mqtt, letter->to.n, letter->text.n);
    int mid = 0, status;

    if (mqtt->max_packet && bytes > mqtt->max_packet)
        return refused_by_library(mqtt, letter, MOSQ_ERR_OVERSIZE_PACKET, error);
    if (letter->text.n + letter->to.n + 5 > PAYLOAD_MAX)
        return refused_by_library(mqtt, letter, MOSQ_ERR_PAYLOAD_SIZE, error);
    letter->tries++;
    /* Marked before it is sent: with QoS 0 it may be finished when the call returns, and its buffers gone. */
    psa_outbox_mark_sent(&mqtt->run->outbox, letter);
    *rc = mosquitto_publish_v5(mqtt->client, &mid, letter->to.p, (int)letter->text.n, letter->text.p,
                               (int)mqtt->options.qos, mqtt->options.retain, NULL);
    if (mid) { /* with QoS 1 and 2 libmosquitto has it, even if it could not be written */
        mqtt->last_sequence = sequence_after(mqtt->last_sequence, mid);
        if (letter->state == PSA_LETTER_SENT) letter->tag = mqtt->last_sequence;
    }
    if (*rc == MOSQ_ERR_SUCCESS) return 0;
    status = refused_by_library(mqtt, letter, *rc, error);
    /* With QoS 0, or without an identifier, libmosquitto has not kept it. */
    if (status == 1 && letter->state == PSA_LETTER_SENT && (!mid || mqtt->options.qos == 0))
        psa_outbox_mark_waiting(&mqtt->run->outbox, letter);
    return status;
}

/* May this letter be sent now? Never what libmosquitto could not yet write: it would keep it in memory once more. */
static bool may_send(struct psa_mqtt *mqtt, const struct psa_letter *letter)
{
    struct psa_outbox *outbox = &mqtt->run->outbox;

    if (!psa_backoff_over(&mqtt->refusal, mqtt->run->now_ns)) return false;
    if (letter->line <= mqtt->probe_until && (outbox->sent || mqtt->sides)) return false;
    if (letter->line > mqtt->probe_until && mqtt->probe_until && outbox->sent &&
        psa_outbox_at(outbox, 0)->line <= mqtt->probe_until)
        return false; /* the last one that is probed has no answer yet */
    return outbox->sent < outbox->window && !mosquitto_want_write(mqtt->client) && identifier_is_free(mqtt);
}

static void set_cork(struct psa_mqtt *mqtt, int on)
{
    int fd = mosquitto_socket(mqtt->client);

    if (fd >= 0) (void)setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

static int send_letters(struct psa_mqtt *mqtt, int *rc, struct psa_error *error)
{
    struct psa_outbox *outbox = &mqtt->run->outbox;
    struct psa_letter *letter;
    bool corked = outbox->waiting > 1;
    int status = 0;

    /* libmosquitto writes each message by itself; the kernel puts them together. */
    if (corked) set_cork(mqtt, 1);
    while (status == 0 && (letter = psa_outbox_waiting(outbox)) != NULL && may_send(mqtt, letter))
        status = send_letter(mqtt, letter, rc, error);
    if (corked) set_cork(mqtt, 0);
    return status;
}

/* ---- status and discovery -------------------------------------------------------------------------------------- */

/* Publish what stands in side_topic and side_payload, retained. 1: the connection broke. */
static int send_side(struct psa_mqtt *mqtt, bool status, int *rc, struct psa_error *error)
{
    struct psa_mqtt_side *side = mqtt->side;
    uint64_t before = mqtt->last_sequence;
    int mid = 0;

    while (side->used) side++;
    psa_buf_put(&mqtt->side_topic, "", 1);
    if (mqtt->side_topic.failed || mqtt->side_payload.failed) return psa_fail_memory(error, "sending a status message");
    /* On the list before it is sent: a broker without QoS 1 answers by the message being written. */
    *side = (struct psa_mqtt_side){ .used = true, .status = status, .sequence = ++mqtt->last_sequence };
    mqtt->sides++;
    *rc = mosquitto_publish_v5(mqtt->client, &mid, mqtt->side_topic.p, (int)mqtt->side_payload.n, mqtt->side_payload.p,
                               mqtt->max_qos ? 1 : 0, true, NULL);
    mqtt->last_sequence = mid ? sequence_after(before, mid) : before;
    if (side->used) side->sequence = mqtt->last_sequence;
    if (*rc == MOSQ_ERR_SUCCESS) return 0;
    if (side->used && !mid) side_answered(mqtt, side, 0);
    if (*rc == MOSQ_ERR_NOMEM) return psa_fail_memory(error, "sending a status message");
    if (*rc != MOSQ_ERR_INVAL && *rc != MOSQ_ERR_MALFORMED_UTF8 && *rc != MOSQ_ERR_OVERSIZE_PACKET) return 1;
    psa_sink_say(mqtt->run, status ? "status" : "discovery", 0, "the message for '%s' cannot be sent: %s",
                 mqtt->side_topic.p, mosquitto_strerror(*rc));
    return 0;
}

static int send_status(struct psa_mqtt *mqtt, const char *status, int *rc, struct psa_error *error)
{
    mqtt->side_topic.n = mqtt->side_payload.n = 0;
    psa_buf_puts(&mqtt->side_topic, mqtt->options.status_topic);
    psa_buf_puts(&mqtt->side_payload, status);
    return send_side(mqtt, true, rc, error);
}

static int send_sides(struct psa_mqtt *mqtt, int *rc, struct psa_error *error)
{
    int status = 0;

    if (mqtt->sides_off) return 0;
    if (mqtt->online_due && mqtt->sides < PSA_MQTT_SIDES) {
        mqtt->online_due = false;
        status = send_status(mqtt, "online", rc, error);
    }
    /* While a culprit is looked for, nothing else goes beside. One place is left for the status. */
    while (status == 0 && mqtt->discovery && mqtt->sides < PSA_MQTT_SIDES - 1 && !mqtt->probe_until &&
           !mosquitto_want_write(mqtt->client) && identifier_is_free(mqtt)) {
        mqtt->side_topic.n = mqtt->side_payload.n = 0;
        if (!psa_discovery_next(mqtt->discovery, &mqtt->side_topic, &mqtt->side_payload)) break;
        status = send_side(mqtt, false, rc, error);
    }
    return status;
}

int psa_mqtt_send_last(struct psa_mqtt *mqtt, int *rc, struct psa_error *error)
{
    int status = send_sides(mqtt, rc, error);

    mqtt->last_due = false;
    if (status != 0 || mqtt->sides_off) return status;
    mqtt->last_due = mqtt->discovery && psa_discovery_due(mqtt->discovery);
    if (mqtt->last_due || mqtt->offline_sent || !mqtt->options.status_topic) return 0;
    mqtt->offline_sent = true;
    return send_status(mqtt, "offline", rc, error);
}

int psa_mqtt_send(struct psa_mqtt *mqtt, int *rc, struct psa_error *error)
{
    struct psa_outbox *outbox = &mqtt->run->outbox;
    const struct psa_letter *oldest = outbox->n ? psa_outbox_at(outbox, 0) : NULL;
    int status;

    if (mqtt->probe_until && (!oldest || oldest->line > mqtt->probe_until)) mqtt->probe_until = 0;
    status = send_sides(mqtt, rc, error);
    return status != 0 ? status : send_letters(mqtt, rc, error);
}

/* ---- the connection is gone ------------------------------------------------------------------------------------ */

/* The newest letter on its way, or NULL. */
static struct psa_letter *newest_sent(struct psa_outbox *outbox)
{
    for (size_t i = outbox->sent ? outbox->n : 0; i > 0; i--)
        if (psa_outbox_at(outbox, i - 1)->state == PSA_LETTER_SENT) return psa_outbox_at(outbox, i - 1);
    return NULL;
}

/* The broker ended the connection because of a message: the one letter that was on its way, or one of several. */
static int find_culprit(struct psa_mqtt *mqtt, struct psa_letter *newest, struct psa_error *error)
{
    const char *reason = psa_mqtt_hopeless(mqtt->server_reason);

    if (mqtt->run->outbox.sent == 1 && !mqtt->sides) {
        mqtt->progress = true;
        return psa_sink_undeliverable(mqtt->run, newest, reason, explain_hopeless(mqtt->server_reason), error);
    }
    mqtt->probe_until = newest->line;
    return 0;
}

static void look_for_pattern(struct psa_mqtt *mqtt, const struct psa_letter *newest)
{
    if (mqtt->progress || mqtt->phase != PSA_MQTT_UP) return;
    mqtt->stuck++;
    if (mqtt->stuck < BARREN_CONNECTIONS) return;
    if (mqtt->run->outbox.sent > 1) mqtt->probe_until = newest->line;
    else if (mqtt->stuck > BARREN_CONNECTIONS)
        psa_sink_say(mqtt->run, "barren", newest->line,
                     "the connection breaks each time it is sent (%zu bytes); is it larger than the broker accepts?",
                     newest->text.n);
}

int psa_mqtt_recover(struct psa_mqtt *mqtt, bool start_over, struct psa_error *error)
{
    struct psa_outbox *outbox = &mqtt->run->outbox;
    struct psa_letter *newest = newest_sent(outbox);

    if (newest && psa_mqtt_hopeless(mqtt->server_reason)) {
        if (find_culprit(mqtt, newest, error) != 0) return -1;
    } else if (newest) {
        look_for_pattern(mqtt, newest);
    } else if (mqtt->sides && psa_mqtt_hopeless(mqtt->server_reason) && !mqtt->sides_off) {
        mqtt->sides_off = true;
        psa_sink_say(mqtt->run, "sides", 0,
                     "%s ends the connection because of a status or discovery message: none is sent any more",
                     mqtt->place);
    }
    if (start_over) {
        for (size_t i = 0; i < PSA_MQTT_SIDES; i++) mqtt->side[i].used = false;
        mqtt->sides = 0;
        for (size_t i = 0; outbox->sent && i < outbox->n; i++)
            if (psa_outbox_at(outbox, i)->state == PSA_LETTER_SENT)
                psa_outbox_mark_waiting(outbox, psa_outbox_at(outbox, i));
        mqtt->last_sequence = mqtt->oldest_sequence = 0;
    }
    return 0;
}
