/*
 * alert.c - psa-alert: from scored records to the few lines that a person should see.
 *
 * The state machine of a key. Its three parts, one a kind of event, go by themselves; all time is event time.
 *
 *   ANOMALY   each accepted record is anomalous, normal, or counts neither way:
 *             without --when   anomalous if anomaly.is_anomaly is true, normal if it is false; neither way if
 *                              anomaly.state is there and not "scoring" (warming, missing, stopped, settling), or if there is
 *                              no verdict
 *             with --when      anomalous if the condition holds, normal if not
 *             in maintenance   neither way; k of n, and the normals in a row, start anew at both ends of a window
 *
 *     quiet  --K of the last N counted records anomalous-->  active    writes `raised` at once
 *     active --anomalous, severity above all before------->  active    writes `ongoing` at once
 *     active --anomalous, cooldown over since the last---->  active    writes `ongoing`
 *     active --anomalous otherwise------------------------>  active    counted as suppressed
 *     active --C normal records in a row------------------>  quiet     writes `cleared` at once
 *
 *   SILENCE   of the key, by the time that others' records and heartbeats tell; alert_silence.c, alert_wait.c
 *
 *     heard  --the key's limit over, in no maintenance---->  silent    writes `raised`
 *     silent --worth more than before (it was down)------->  silent    writes `ongoing` at once
 *     silent --cooldown over since the last--------------->  silent    writes `ongoing`; nothing in maintenance
 *     silent --a record of the key------------------------>  heard     writes `cleared` at once
 *
 *   STATUS    what the sensor says of itself, alert_status.c
 *
 *     up     --fields.up 0, in no maintenance------------->  down      writes `raised` at once
 *     down   --fields.up 0, worth more than before-------->  down      writes `ongoing` at once
 *     down   --fields.up 0, cooldown over----------------->  down      writes `ongoing`; nothing in maintenance
 *     down   --fields.up 0 otherwise---------------------->  down      counted as suppressed
 *     down   --fields.up above 0-------------------------->  up        writes `cleared` at once
 *
 * So the cooldown never holds back `cleared` or a higher severity, an event has one id from `raised` to `cleared`, and
 * `cleared` always means what it says: maintenance ends no event. The score only grades: info, warning above --warning,
 * critical above --critical.
 */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/number.h"
#include "stage/alert.h"
#include "stage/stages.h"

static const struct psa_option options[] = {
    { .name = "warning",
      .type = PSA_OPT_REAL,
      .offset = offsetof(struct psa_alert_config, warning),
      .metavar = "SCORE",
      .initial = "0.85",
      .min = 0,
      .max = 1,
      .help = "anomaly_score above which an alert is a warning" },
    { .name = "critical",
      .type = PSA_OPT_REAL,
      .offset = offsetof(struct psa_alert_config, critical),
      .metavar = "SCORE",
      .initial = "0.95",
      .min = 0,
      .max = 1,
      .help = "anomaly_score above which an alert is critical" },
    { .name = "cooldown",
      .type = PSA_OPT_DURATION,
      .offset = offsetof(struct psa_alert_config, cooldown_ns),
      .metavar = "TIME",
      .initial = "300s",
      .min = 0,
      .max = 9e18,
      .help = "event time between two lines about one event that goes on and gets no worse" },
    { .name = "raise",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_alert_config, raise),
      .metavar = "K/N",
      .initial = "1/1",
      .help = "raise once K of the last N records are anomalous" },
    { .name = "clear",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct psa_alert_config, clear),
      .metavar = "N",
      .initial = "3",
      .min = 1,
      .max = 1e9,
      .help = "clear after N normal records in a row" },
    { .name = "silent",
      .type = PSA_OPT_DURATION,
      .offset = offsetof(struct psa_alert_config, silent_ns),
      .metavar = "TIME",
      .initial = "30s",
      .min = 0,
      .max = 9e18,
      .help = "raise when nothing came from a stream for so long, by event time of the others and heartbeats; slow "
              "streams have three times their usual interval; 0: never" },
    { .name = "expect",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_alert_config, expect),
      .metavar = "KEYS",
      .free_of_state = true,
      .help = "streams to wait for from the start, TYPE/ID,TYPE/ID..., though they may never have come" },
    { .name = "max-ahead",
      .type = PSA_OPT_DURATION,
      .offset = offsetof(struct psa_alert_config, max_ahead_ns),
      .given = offsetof(struct psa_alert_config, max_ahead_given),
      .metavar = "TIME",
      .initial = "60s",
      .min = 1e6,
      .max = 9e18,
      .help = "a record further than that from event time does not move it; at least --silent unless given" },
    { .name = "lost",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_alert_config, lost),
      .metavar = "SEVERITY",
      .initial = "warning",
      .help = "severity of a sensor that is silent or says that it is down: info, warning or critical" },
    { .name = "when",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_alert_config, when),
      .metavar = "JQ",
      .help = "a record is anomalous when this jq expression holds for it, whatever its scores say" },
    { .name = "when-severity",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_alert_config, when_severity),
      .given = offsetof(struct psa_alert_config, when_severity_given),
      .metavar = "SEVERITY",
      .initial = "warning",
      .needs = "when",
      .help = "severity of an alert by --when whose record has no score; given, it is also the least of one that has" },
    { .name = "maintenance",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_alert_config, maintenance),
      .metavar = "FILE",
      .free_of_state = true,
      .help = "windows of event time, one a line, in which nothing is raised" },
    { .name = "evidence",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_alert_config, evidence),
      .metavar = "DIR",
      .free_of_state = true,
      .help = "write a file for each event into DIR: the records around it, its alerts, model and contributions" },
    { .name = "evidence-before",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct psa_alert_config, evidence_before),
      .metavar = "N",
      .initial = "60",
      .min = 0,
      .max = 1e6,
      .free_of_state = true,
      .needs = "evidence",
      .help = "records of the stream kept from before an event" },
    { .name = "evidence-after",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct psa_alert_config, evidence_after),
      .metavar = "N",
      .initial = "60",
      .min = 0,
      .max = 1e6,
      .free_of_state = true,
      .needs = "evidence",
      .help = "most records of it kept from behind the one that raised the event, until it is cleared" },
    { .name = "evidence-size",
      .type = PSA_OPT_SIZE,
      .offset = offsetof(struct psa_alert_config, evidence_size),
      .metavar = "SIZE",
      .initial = "64KiB",
      .min = 64,
      .max = 1 << 30,
      .free_of_state = true,
      .needs = "evidence",
      .help = "most bytes of records kept on either side" },
    { .name = "evidence-max",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct psa_alert_config, evidence_max),
      .metavar = "N",
      .initial = "1000",
      .min = 0,
      .max = 1e6,
      .free_of_state = true,
      .needs = "evidence",
      .help = "files kept; the oldest is removed first; 0: all" },
    { .type = PSA_OPT_END },
};

/* ---- records -------------------------------------------------------------------------------------------------------------- */

/* The record's text, before anything is changed in it: for its evidence, and for --when to ask. */
static void take_text(const struct psa_node *node, const struct psa_alert_slot *slot, const struct psa_record *record)
{
    const struct psa_alert_config *config = node->config;
    struct psa_alert *alert = node->state;

    if (!config->evidence && (!alert->condition || slot->calm.inside)) return;
    if (alert->own.failed) psa_buf_free(&alert->own); /* memory was out for the one before */
    alert->own.n = 0;
    psa_encode(record, &alert->own);
}

static int push(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    struct psa_slot *slot;
    bool fresh;
    int status;

    if (!record->has_time) return psa_reject(node, record, "no_time", error, "no timestamp_ns; rejected");
    status = psa_slot_find(node, record, 0, &slot, &fresh, error);
    if (status != 0) return status;
    if (!slot) return psa_alert_late(node, record, error);
    psa_alert_calm_step(node, (struct psa_alert_slot *)slot, record->timestamp_ns);
    psa_slot_advance(slot, record);
    take_text(node, (struct psa_alert_slot *)slot, record);
    if (psa_alert_hear(node, slot->key, (struct psa_alert_slot *)slot, record, error) != 0 ||
        psa_alert_anomaly_push(node, (struct psa_alert_slot *)slot, record, error) != 0)
        return -1;
    psa_alert_evidence_keep(node, (struct psa_alert_slot *)slot);
    return 0;
}

/* ---- the stage ------------------------------------------------------------------------------------------------------------ */

static int parse_raise(struct psa_alert *alert, const char *text, struct psa_error *error)
{
    const char *slash = strchr(text, '/');

    if (!slash || !psa_int_parse(text, slash, &alert->raise_k) ||
        !psa_int_parse(slash + 1, text + strlen(text), &alert->raise_n) || alert->raise_k < 1 ||
        alert->raise_k > alert->raise_n || alert->raise_n > PSA_ALERT_HISTORY_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--raise: '%s' is no K/N with 1 <= K <= N <= %d, such as 3/5", text,
                        PSA_ALERT_HISTORY_MAX);
    return 0;
}

/* --when: what counts instead of is_anomaly. */
static int open_condition(struct psa_alert *alert, const struct psa_alert_config *config, struct psa_error *error)
{
    if (!config->when) return 0;
    if (psa_alert_severity_parse("--when-severity", config->when_severity, &alert->when_severity, error) != 0)
        return -1;
    alert->condition = psa_condition_new("--when", config->when, error);
    return alert->condition ? 0 : -1;
}

static int open_plan(struct psa_node *node, const struct psa_alert_config *config, struct psa_error *error)
{
    struct psa_alert *alert = node->state;
    struct psa_buf text = { 0 };
    int status;

    if (!config->maintenance) return 0;
    if (!node->world || !node->world->file_read)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--maintenance: there are no files here");
    status = node->world->file_read(node->world->ctx, config->maintenance, &text, error);
    if (status == 1)
        status = psa_fail(error, PSA_EXIT_PERMANENT, "--maintenance: there is no file '%s'", config->maintenance);
    if (status == 0) alert->plan = psa_alert_plan_read(config->maintenance, psa_buf_str(&text), error);
    psa_buf_free(&text);
    return alert->plan ? 0 : -1;
}

static int open_alert(struct psa_node *node, struct psa_error *error)
{
    const struct psa_alert_config *config = node->config;
    struct psa_alert *alert = node->state = calloc(1, sizeof *alert);

    if (!alert) return psa_fail_memory(error, "starting");
    alert->decoder = psa_decoder_new(PSA_DECODE_LIMITS);
    if (!alert->decoder) return psa_fail_memory(error, "starting");
    /* A step that is shorter than --silent makes nobody silent who was heard just before it. */
    alert->max_ahead_ns = config->max_ahead_ns;
    if (!config->max_ahead_given && config->silent_ns > alert->max_ahead_ns) alert->max_ahead_ns = config->silent_ns;
    if (config->warning > config->critical)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--warning must not be above --critical");
    if (parse_raise(alert, config->raise, error) != 0 ||
        psa_alert_severity_parse("--lost", config->lost, &alert->lost, error) != 0 ||
        open_condition(alert, config, error) != 0 || open_plan(node, config, error) != 0 ||
        psa_alert_evidence_open(node, error) != 0)
        return -1;
    return psa_alert_check_expected(node, error);
}

/* The end, without --state: events that are open stay so, and their bundles are written as they are. */
static int finish(struct psa_node *node, struct psa_error *error)
{
    (void)error;
    for (struct psa_slot *slot = NULL; (slot = psa_keyed_next(node->keyed, slot));)
        psa_alert_evidence_flush(node, (struct psa_alert_slot *)slot);
    return 0;
}

static void close_alert(struct psa_node *node)
{
    struct psa_alert *alert = node->state;

    if (!alert) return;
    psa_condition_free(alert->condition);
    psa_alert_plan_free(alert->plan);
    free(alert->heard.at);
    psa_arena_free(&alert->arena);
    psa_buf_free(&alert->text);
    psa_buf_free(&alert->line);
    psa_buf_free(&alert->key);
    psa_buf_free(&alert->own);
    psa_buf_free(&alert->path);
    psa_buf_free(&alert->file);
    psa_buf_free(&alert->bundles.text);
    psa_decoder_free(alert->decoder);
    free(alert);
    node->state = NULL;
}

const struct psa_stage psa_alert_stage = {
    .name = "psa-alert",
    .summary = "turn scores into alerts: raised, ongoing, cleared",
    .options = options,
    .config_size = sizeof(struct psa_alert_config),
    .slot = &psa_alert_slot_type,
    .open = open_alert,
    .push = push,
    .status = psa_alert_status_push,
    .heartbeat = psa_alert_heartbeat,
    .finish = finish,
    .close = close_alert,
    .save = psa_alert_save,
    .load = psa_alert_load,
};
