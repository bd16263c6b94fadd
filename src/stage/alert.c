/*
 * alert.c - psa-alert: from scored records to the few lines that a person should see.
 *
 * One state machine a key. A record is anomalous if its anomaly.is_anomaly is true, normal if it is false; while the
 * detector warms up, or nothing could be scored, it counts neither way.
 *
 *   quiet  --K of the last N counted records anomalous-->  active    writes `raised` at once
 *   active --anomalous, severity above all before------->  active    writes `ongoing` at once
 *   active --anomalous, cooldown over since the last---->  active    writes `ongoing`
 *   active --anomalous otherwise------------------------>  active    counted as suppressed
 *   active --C normal records in a row------------------>  quiet     writes `cleared` at once
 *
 * The score only grades: info, warning above --warning, critical above --critical.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/hash.h"
#include "core/number.h"
#include "core/record.h"
#include "stage/slot.h"
#include "stage/stages.h"

enum { HISTORY_MAX = 64, REASON_MAX = 512, TOP_SHOWN = 3, NAME_SHOWN = 80 };

enum severity { INFO, WARNING, CRITICAL };
static const char *const severity_name[] = { "info", "warning", "critical" };

struct alert_config {
    double warning, critical;
    int64_t cooldown_ns, clear;
    const char *raise;
};

struct alert_slot {
    struct psa_slot slot;
    uint64_t history;             /* the last counted records, newest in bit 0; 1: anomalous */
    int64_t time_ns[HISTORY_MAX]; /* of the records in history; nothing while active */
    int64_t normal_run;           /* normal records in a row */
    int64_t since_ns;             /* of the oldest anomalous record that led to the event */
    int64_t last_ns;              /* of the last line written for the event */
    int64_t suppressed;           /* anomalous records since then */
    bool active;
    int64_t severity; /* the highest of the event */
};

struct alert {
    int64_t raise_k, raise_n;
    struct psa_arena arena;
    struct psa_buf text;
};

/* What a scored record says. */
struct verdict {
    bool counts, anomalous;
    double score, threshold;
    struct psa_str model, top; /* top: its JSON text */
    enum severity severity;
};

static const struct psa_option options[] = {
    { .name = "warning",
      .type = PSA_OPT_REAL,
      .offset = offsetof(struct alert_config, warning),
      .metavar = "SCORE",
      .initial = "0.85",
      .min = 0,
      .max = 1,
      .help = "anomaly_score above which an alert is a warning" },
    { .name = "critical",
      .type = PSA_OPT_REAL,
      .offset = offsetof(struct alert_config, critical),
      .metavar = "SCORE",
      .initial = "0.95",
      .min = 0,
      .max = 1,
      .help = "anomaly_score above which an alert is critical" },
    { .name = "cooldown",
      .type = PSA_OPT_DURATION,
      .offset = offsetof(struct alert_config, cooldown_ns),
      .metavar = "TIME",
      .initial = "300s",
      .min = 0,
      .max = 9e18,
      .help = "event time between two lines about one event that goes on and gets no worse" },
    { .name = "raise",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct alert_config, raise),
      .metavar = "K/N",
      .initial = "1/1",
      .help = "raise once K of the last N records are anomalous" },
    { .name = "clear",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct alert_config, clear),
      .metavar = "N",
      .initial = "3",
      .min = 1,
      .max = 1e9,
      .help = "clear after N normal records in a row" },
    { .type = PSA_OPT_END },
};

/* ---- reading the verdict --------------------------------------------------------------------------------------------------- */

static enum severity grade(const struct alert_config *config, double score)
{
    if (score > config->critical) return CRITICAL;
    return score > config->warning ? WARNING : INFO;
}

/* The anomaly member and the score. false: the record has not been scored. */
static bool read_verdict(struct psa_node *node, const struct psa_record *record, struct verdict *verdict)
{
    struct alert *alert = node->state;
    const struct psa_member *anomaly = psa_record_member(record, PSA_M_ANOMALY);
    const struct psa_field *score = psa_record_field(record, psa_str_of("anomaly_score"), 0);
    struct psa_str name, state = { NULL, 0 };
    struct psa_json in;

    *verdict = (struct verdict){ .score = NAN, .threshold = NAN };
    if (!anomaly || *anomaly->text.p != '{') return false;
    psa_arena_reset(&alert->arena);
    psa_json_open(&in, anomaly->text, &alert->arena);
    psa_json_enter_object(&in);
    while (psa_json_next_member(&in, &name)) {
        if (psa_str_eq(name, "is_anomaly")) verdict->anomalous = psa_json_bool(&in);
        else if (psa_str_eq(name, "threshold")) verdict->threshold = psa_json_number(&in);
        else if (psa_str_eq(name, "model")) verdict->model = psa_json_text(&in);
        else if (psa_str_eq(name, "state")) state = psa_json_text(&in);
        else if (psa_str_eq(name, "top")) verdict->top = psa_json_skip(&in);
        else psa_json_skip(&in);
    }
    if (in.fault.what) return false;
    if (score && score->kind == PSA_NUMBER) verdict->score = score->number;
    verdict->severity = grade(node->config, verdict->score);
    verdict->counts = !state.p || psa_str_eq(state, "scoring");
    return true;
}

/* ---- writing --------------------------------------------------------------------------------------------------------------------- */

struct sentence {
    char text[REASON_MAX];
    size_t n;
};

static void add(struct sentence *sentence, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* How much of a name to show: whole UTF-8 characters within NAME_SHOWN bytes. */
static int shown_of(struct psa_str name)
{
    size_t n = name.n;

    if (n <= NAME_SHOWN) return (int)n;
    for (n = NAME_SHOWN; n && ((unsigned char)name.p[n] & 0xc0) == 0x80; n--) continue;
    return (int)n;
}

static void add(struct sentence *sentence, const char *format, ...)
{
    __builtin_va_list arguments;
    int n;

    __builtin_va_start(arguments, format);
    n = vsnprintf(sentence->text + sentence->n, REASON_MAX - sentence->n, format, arguments);
    __builtin_va_end(arguments);
    if (n > 0) sentence->n += (size_t)n;
    if (sentence->n > REASON_MAX - 1) sentence->n = REASON_MAX - 1;
}

/* ": accel_z_kurtosis 61 %, accel_x_rms 20 %" from the top member. */
static void add_top(struct sentence *sentence, struct psa_str top, struct psa_arena *arena)
{
    struct psa_json in;

    if (!top.p) return;
    psa_json_open(&in, top, arena);
    if (!psa_json_enter_array(&in)) return;
    for (int i = 0; psa_json_next_item(&in) && i < TOP_SHOWN; i++) {
        struct psa_str name;
        double share;

        if (!psa_json_enter_array(&in) || !psa_json_next_item(&in)) return;
        name = psa_json_text(&in);
        if (!psa_json_next_item(&in)) return;
        share = psa_json_number(&in);
        if (psa_json_next_item(&in) || in.fault.what) return;
        add(sentence, "%s%.*s %.0f %%", i ? ", " : "; driven by ", shown_of(name), name.p, 100 * share);
    }
}

/* Drop what a cut left of a UTF-8 character at the sentence's end. */
static void end_whole(struct sentence *sentence)
{
    size_t n = sentence->n, back = 0;

    while (back < 4 && back < n && ((unsigned char)sentence->text[n - 1 - back] & 0xc0) == 0x80) back++;
    if (back < n && back < 4) {
        unsigned char first = (unsigned char)sentence->text[n - 1 - back];
        size_t want = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;

        if (want != back + 1) n -= want > back + 1 ? back + 1 : 0;
    }
    sentence->n = n;
}

static void explain(struct psa_node *node, const struct alert_slot *slot, const struct verdict *verdict, int64_t now_ns,
                    const char *state, struct sentence *sentence)
{
    struct alert *alert = node->state;
    double seconds = (double)psa_ns_since(now_ns, slot->since_ns) / 1e9;
    char shown[128];

    sentence->n = 0;
    add(sentence, "%s: ", psa_key_show(slot->slot.key, shown));
    if (strcmp(state, "cleared") == 0) {
        add(sentence, "normal again after %.1f s", seconds);
        return;
    }
    if (strcmp(state, "ongoing") == 0) add(sentence, "for %.1f s now, ", seconds);
    add(sentence, "anomaly score %.3f above its threshold %.3f", verdict->score, verdict->threshold);
    if (verdict->model.p) add(sentence, " by %.*s", shown_of(verdict->model), verdict->model.p);
    add_top(sentence, verdict->top, &alert->arena);
    end_whole(sentence);
}

/* 16 hex digits of FNV-1a over the key and the start: one for an event, the same for the same input. */
static void event_id(const struct alert_slot *slot, char id[17])
{
    uint64_t hash = psa_hash(PSA_HASH_START, slot->slot.key.p, slot->slot.key.n);
    unsigned char since[8];

    for (int i = 0; i < 8; i++) since[i] = (unsigned char)((uint64_t)slot->since_ns >> 8 * i & 0xff);
    hash = psa_hash(hash, since, sizeof since);
    snprintf(id, 17, "%016llx", (unsigned long long)hash);
}

static int write_alert(struct psa_node *node, struct alert_slot *slot, struct psa_record *record,
                       const struct verdict *verdict, const char *state, struct psa_error *error)
{
    struct alert *alert = node->state;
    struct psa_buf *text = &alert->text;
    struct sentence reason;
    char id[17];

    explain(node, slot, verdict, record->timestamp_ns, state, &reason);
    event_id(slot, id);
    text->n = 0;
    psa_buf_puts(text, "{");
    psa_buf_member_text(text, "kind", psa_str_of("anomaly"));
    psa_buf_member_text(text, "severity", psa_str_of(severity_name[slot->severity]));
    psa_buf_member_text(text, "state", psa_str_of(state));
    psa_buf_member_int(text, "since_ns", slot->since_ns);
    psa_buf_member_number(text, "score", verdict->score);
    psa_buf_member_number(text, "threshold", verdict->threshold);
    psa_buf_member_text(text, "reason", (struct psa_str){ reason.text, reason.n });
    psa_buf_name(text, "top");
    if (verdict->top.p) psa_buf_put(text, verdict->top.p, verdict->top.n);
    else psa_buf_puts(text, "[]");
    psa_buf_member_int(text, "suppressed", slot->suppressed);
    psa_buf_member_text(text, "id", psa_str_of(id));
    psa_buf_puts(text, "}");
    if (text->failed || psa_record_set(record, "alert", psa_buf_str(text)) != 0)
        return psa_fail_memory(error, "writing an alert");
    slot->last_ns = record->timestamp_ns;
    slot->suppressed = 0;
    return psa_pass(node, record, error);
}

/* ---- the state machine ------------------------------------------------------------------------------------------------------------ */

static uint64_t newest(const struct alert *alert, uint64_t history)
{
    return alert->raise_n == HISTORY_MAX ? history : history & ((UINT64_C(1) << alert->raise_n) - 1);
}

/* One more counted record in the history; its time too, as long as an event may begin with it. */
static void remember(const struct alert *alert, struct alert_slot *slot, const struct psa_record *record,
                     bool anomalous)
{
    slot->history = slot->history << 1 | anomalous;
    if (slot->active) return;
    memmove(slot->time_ns + 1, slot->time_ns, ((size_t)alert->raise_n - 1) * sizeof *slot->time_ns);
    slot->time_ns[0] = record->timestamp_ns;
}

static int on_anomalous(struct psa_node *node, struct alert_slot *slot, struct psa_record *record,
                        const struct verdict *verdict, struct psa_error *error)
{
    const struct alert_config *config = node->config;
    const struct alert *alert = node->state;

    slot->normal_run = 0;
    remember(alert, slot, record, true);
    if (!slot->active) {
        if (__builtin_popcountll(newest(alert, slot->history)) < alert->raise_k) return psa_absorb(node);
        slot->since_ns = slot->time_ns[63 - __builtin_clzll(newest(alert, slot->history))];
        slot->active = true;
        slot->severity = verdict->severity;
        slot->suppressed = 0;
        return write_alert(node, slot, record, verdict, "raised", error);
    }
    if ((int64_t)verdict->severity > slot->severity) {
        slot->severity = verdict->severity;
        return write_alert(node, slot, record, verdict, "ongoing", error);
    }
    if (psa_ns_since(record->timestamp_ns, slot->last_ns) >= config->cooldown_ns)
        return write_alert(node, slot, record, verdict, "ongoing", error);
    slot->suppressed++;
    return psa_absorb(node);
}

static int on_normal(struct psa_node *node, struct alert_slot *slot, struct psa_record *record,
                     const struct verdict *verdict, struct psa_error *error)
{
    const struct alert_config *config = node->config;

    remember(node->state, slot, record, false);
    if (!slot->active || ++slot->normal_run < config->clear) return psa_absorb(node);
    slot->active = false;
    slot->history = 0;
    slot->normal_run = 0;
    return write_alert(node, slot, record, verdict, "cleared", error);
}

static int push(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    struct verdict verdict;
    struct psa_slot *slot;
    bool fresh;
    int status;

    if (!record->has_time) return psa_reject(node, record, "no_time", error, "no timestamp_ns; rejected");
    status = psa_slot_find(node, record, 0, &slot, &fresh, error);
    if (status != 0 || !slot) return status;
    psa_slot_advance(slot, record);
    if (!read_verdict(node, record, &verdict)) {
        psa_note(node, "unscored");
        psa_say(node, "unscored", "the record has no anomaly member; put psa-score before psa-alert");
        return psa_absorb(node);
    }
    if (!verdict.counts) {
        psa_note(node, "not_scoring");
        return psa_absorb(node);
    }
    if (verdict.anomalous) return on_anomalous(node, (struct alert_slot *)slot, record, &verdict, error);
    return on_normal(node, (struct alert_slot *)slot, record, &verdict, error);
}

/* ---- the stage ---------------------------------------------------------------------------------------------------------------------- */

static void save_slot(const struct psa_slot *base, struct psa_buf *out)
{
    const struct alert_slot *slot = (const struct alert_slot *)base;

    psa_buf_member_int(out, "history", (int64_t)slot->history);
    psa_buf_name(out, "time_ns");
    psa_buf_puts(out, "[");
    for (size_t i = 0; !slot->active && i < HISTORY_MAX && slot->history >> i; i++) {
        psa_buf_comma(out);
        psa_buf_int(out, slot->time_ns[i]);
    }
    psa_buf_puts(out, "]");
    psa_buf_member_int(out, "normal_run", slot->normal_run);
    psa_buf_member_int(out, "since_ns", slot->since_ns);
    psa_buf_member_int(out, "last_ns", slot->last_ns);
    psa_buf_member_int(out, "suppressed", slot->suppressed);
    psa_buf_member_bool(out, "active", slot->active);
    psa_buf_member_int(out, "severity", slot->severity);
}

static bool load_times(struct alert_slot *slot, struct psa_json *in)
{
    size_t n = 0;

    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        if (n == HISTORY_MAX) return false;
        slot->time_ns[n++] = psa_json_int(in);
    }
    return !in->fault.what;
}

static bool load_slot(struct psa_slot *base, struct psa_str name, struct psa_json *in)
{
    struct alert_slot *slot = (struct alert_slot *)base;

    if (psa_str_eq(name, "time_ns")) return load_times(slot, in);
    if (psa_str_eq(name, "history")) slot->history = (uint64_t)psa_json_int(in);
    else if (psa_str_eq(name, "normal_run")) slot->normal_run = psa_json_int(in);
    else if (psa_str_eq(name, "since_ns")) slot->since_ns = psa_json_int(in);
    else if (psa_str_eq(name, "last_ns")) slot->last_ns = psa_json_int(in);
    else if (psa_str_eq(name, "suppressed")) slot->suppressed = psa_json_int(in);
    else if (psa_str_eq(name, "active")) slot->active = psa_json_bool(in);
    else if (psa_str_eq(name, "severity")) slot->severity = psa_json_int(in);
    else return false;
    return true;
}

static bool loaded_slot(struct psa_slot *base)
{
    const struct alert_slot *slot = (const struct alert_slot *)base;

    return slot->severity >= INFO && slot->severity <= CRITICAL && slot->normal_run >= 0;
}

static const char *const saved_members[] = { "history",    "time_ns", "normal_run", "since_ns", "last_ns",
                                             "suppressed", "active",  "severity",   NULL };
static const struct psa_slot_type slot_type = { .size = sizeof(struct alert_slot),
                                                .save = save_slot,
                                                .load = load_slot,
                                                .loaded = loaded_slot,
                                                .needs = saved_members };

static int parse_raise(struct alert *alert, const char *text, struct psa_error *error)
{
    const char *slash = strchr(text, '/');

    if (!slash || !psa_int_parse(text, slash, &alert->raise_k) ||
        !psa_int_parse(slash + 1, text + strlen(text), &alert->raise_n) || alert->raise_k < 1 ||
        alert->raise_k > alert->raise_n || alert->raise_n > HISTORY_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--raise: '%s' is no K/N with 1 <= K <= N <= %d, such as 3/5", text,
                        HISTORY_MAX);
    return 0;
}

static int open_alert(struct psa_node *node, struct psa_error *error)
{
    const struct alert_config *config = node->config;
    struct alert *alert = node->state = calloc(1, sizeof *alert);

    if (!alert) return psa_fail_memory(error, "starting");
    if (config->warning > config->critical)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--warning must not be above --critical");
    return parse_raise(alert, config->raise, error);
}

static void close_alert(struct psa_node *node)
{
    struct alert *alert = node->state;

    if (!alert) return;
    psa_arena_free(&alert->arena);
    psa_buf_free(&alert->text);
    free(alert);
    node->state = NULL;
}

const struct psa_stage psa_alert_stage = {
    .name = "psa-alert",
    .summary = "turn scores into alerts: raised, ongoing, cleared",
    .options = options,
    .config_size = sizeof(struct alert_config),
    .slot = &slot_type,
    .open = open_alert,
    .push = push,
    .close = close_alert,
};
