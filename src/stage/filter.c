/*
 * filter.c - psa-filter: recursive filters on the fields of each key.
 *
 * All operations of the command line are one cascade of second-order sections. A key's channels (the fields of its first
 * record) are filtered side by side. The cascade is designed once the key's rate is known: from --rate, else rate_hz,
 * else the median of the key's first 16 intervals; records wait for that and then leave in order.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/glob.h"
#include "core/number.h"
#include "core/record.h"
#include "dsp/iir.h"
#include "dsp/quantile.h"
#include "stage/slot.h"
#include "stage/stages.h"

enum {
    OPERATIONS_MAX = 8,
    SECTIONS_MAX = OPERATIONS_MAX * PSA_SOS_MAX,
    INTERVALS = 16, /* that a rate is measured from */
    HELD_MAX = INTERVALS + 1
};

/* A rate_hz that is fitted to a clock wanders a little; beyond this share it is another rate. */
static const double RATE_TOLERANCE = 0.01;

struct operation {
    enum psa_band band;
    double low_hz, high_hz;
};

struct filter_config {
    struct operation operation[OPERATIONS_MAX];
    size_t n_operation;
    int64_t order;
    double rate_hz;
    const char *fields;
    const char *start;
};

struct filter_slot {
    struct psa_slot slot;
    struct psa_schema schema;
    double rate_hz;      /* 0: not known yet */
    struct psa_sos *sos; /* [n_sos] */
    double *zi;          /* [2 n_sos] of a constant input of 1 */
    size_t n_sos;
    double *z;                /* [n_sos][2][width], width = schema.n */
    bool *started;            /* [width] */
    struct psa_field **field; /* [width], of the record at hand */
    double *x;                /* [width] */
    double **block;           /* [width] filtered arrays */
    size_t *cap_block;
    bool has_block;
    int64_t block_end_ns;    /* where the last block ended */
    struct psa_record *held; /* [HELD_MAX] */
    size_t n_held;
};

struct filter {
    bool steady;
    bool matched; /* some key has a field to filter */
};

/* ---- options ------------------------------------------------------------------------------------------------------------ */

static int take_cutoff(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct filter_config *filter = config;
    struct operation operation = { option->name[0] == 'l' ? PSA_LOWPASS : PSA_HIGHPASS, 0, 0 };

    if (psa_parse_rate(value, option->name, &operation.low_hz, error) != 0) return -1;
    if (!(operation.low_hz > 0))
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: '%s' must be above zero", option->name, value);
    if (filter->n_operation == OPERATIONS_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: more than %d operations", option->name, OPERATIONS_MAX);
    filter->operation[filter->n_operation++] = operation;
    return 0;
}

static int take_band(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct filter_config *filter = config;
    struct operation operation = { option->name[4] == 'p' ? PSA_BANDPASS : PSA_BANDSTOP, 0, 0 };
    const char *colon = strchr(value, ':');
    char low[64];

    if (!colon || (size_t)(colon - value) >= sizeof low)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: '%s' is no band; write it like 10Hz:100Hz", option->name,
                        value);
    memcpy(low, value, (size_t)(colon - value));
    low[colon - value] = 0;
    if (psa_parse_rate(low, option->name, &operation.low_hz, error) != 0 ||
        psa_parse_rate(colon + 1, option->name, &operation.high_hz, error) != 0)
        return -1;
    if (!(operation.low_hz > 0) || !(operation.high_hz > operation.low_hz))
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: '%s' is no band: 0 < low < high", option->name, value);
    if (filter->n_operation == OPERATIONS_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: more than %d operations", option->name, OPERATIONS_MAX);
    filter->operation[filter->n_operation++] = operation;
    return 0;
}

static const struct psa_option options[] = {
    { .name = "lowpass",
      .type = PSA_OPT_CALL,
      .metavar = "HZ",
      .take = take_cutoff,
      .help = "Butterworth low-pass with its -3 dB point at HZ" },
    { .name = "highpass", .type = PSA_OPT_CALL, .metavar = "HZ", .take = take_cutoff, .help = "Butterworth high-pass" },
    { .name = "bandpass",
      .type = PSA_OPT_CALL,
      .metavar = "LOW:HIGH",
      .take = take_band,
      .help = "Butterworth band-pass" },
    { .name = "bandstop",
      .type = PSA_OPT_CALL,
      .metavar = "LOW:HIGH",
      .take = take_band,
      .help = "Butterworth band-stop" },
    { .name = "order",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct filter_config, order),
      .metavar = "N",
      .initial = "4",
      .min = 1,
      .max = PSA_BUTTER_ORDER_MAX,
      .help = "order of every filter" },
    { .name = "fields",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct filter_config, fields),
      .metavar = "GLOB,...",
      .help = "fields to filter; the others pass untouched. Without it all that are numbers" },
    { .name = "rate",
      .type = PSA_OPT_RATE,
      .offset = offsetof(struct filter_config, rate_hz),
      .metavar = "HZ",
      .min = 1e-9,
      .max = 1e12,
      .help = "sampling rate; without it rate_hz, else it is measured from the first 16 intervals" },
    { .name = "start",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct filter_config, start),
      .metavar = "HOW",
      .initial = "steady",
      .help = "start as if the first value had been there for ever (steady), or from rest (zero)" },
    { .type = PSA_OPT_END },
};

/* ---- design ------------------------------------------------------------------------------------------------------------- */

static const char *band_name(enum psa_band band)
{
    static const char *const name[] = { "lowpass", "highpass", "bandpass", "bandstop" };

    return name[band];
}

/* Append the sections of every operation for this rate. A sentence in *error when one cannot be. */
static int design(const struct filter_config *config, double rate_hz, struct psa_sos *sos, size_t *n_sos,
                  struct psa_error *error)
{
    char rate[PSA_NUMBER_MAX + 1];

    psa_number_text(rate_hz, rate);
    *n_sos = 0;
    for (size_t i = 0; i < config->n_operation; i++) {
        const struct operation *operation = &config->operation[i];
        double top = operation->high_hz > 0 ? operation->high_hz : operation->low_hz;
        size_t n = psa_butter_design((int)config->order, operation->band, operation->low_hz, operation->high_hz,
                                     rate_hz, sos + *n_sos);
        char cutoff[PSA_NUMBER_MAX + 1];

        psa_number_text(top, cutoff);
        if (n == 0)
            return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: %s Hz is not below half the sampling rate of %s Hz",
                            band_name(operation->band), cutoff, rate);
        if (!psa_sos_stable(sos + *n_sos, n))
            return psa_fail(
                error, PSA_EXIT_PERMANENT,
                "--%s: order %lld at %s Hz is not stable at %s Hz sampling; lower the order or resample first",
                band_name(operation->band), (long long)config->order, cutoff, rate);
        *n_sos += n;
    }
    return 0;
}

/* ---- slots --------------------------------------------------------------------------------------------------------------- */

static void free_held(struct filter_slot *slot)
{
    for (size_t i = 0; slot->held && i < HELD_MAX; i++) psa_record_free(&slot->held[i]);
    free(slot->held);
    slot->held = NULL;
}

static void drop_slot(struct psa_slot *base)
{
    struct filter_slot *slot = (struct filter_slot *)base;

    for (size_t i = 0; slot->block && i < slot->schema.n; i++) free(slot->block[i]);
    if (slot->n_held) psa_lose_held(slot->slot.owner, slot->n_held, "evicted");
    free_held(slot);
    free(slot->sos);
    free(slot->zi);
    free(slot->block);
    free(slot->cap_block);
    free(slot->z);
    free(slot->started);
    free(slot->field);
    free(slot->x);
    psa_schema_free(&slot->schema);
}

/* Storage for the channels of a learnt schema; none while it has none. */
static bool make_channels(struct filter_slot *slot)
{
    size_t width = slot->schema.n;

    if (!width) return true;
    slot->started = calloc(width, sizeof *slot->started);
    slot->field = calloc(width, sizeof *slot->field);
    slot->x = calloc(width, sizeof *slot->x);
    slot->block = calloc(width, sizeof *slot->block);
    slot->cap_block = calloc(width, sizeof *slot->cap_block);
    return slot->started && slot->field && slot->x && slot->block && slot->cap_block;
}

/* The rate is known: design the cascade and put it at rest. -1 with a sentence that says why there can be none; the slot
 * is then as it was. */
static int set_rate(const struct filter_config *config, struct filter_slot *slot, double rate_hz,
                    struct psa_error *error)
{
    struct psa_sos sos[SECTIONS_MAX], *kept;
    double *zi, *z;
    size_t n;

    if (design(config, rate_hz, sos, &n, error) != 0) return -1;
    if (!n) return psa_fail(error, PSA_EXIT_PERMANENT, "no filter named");
    kept = realloc(slot->sos, n * sizeof *kept);
    if (kept) slot->sos = kept;
    zi = realloc(slot->zi, 2 * n * sizeof *zi);
    if (zi) slot->zi = zi;
    z = calloc(2 * n * slot->schema.n + 1, sizeof *z);
    if (!kept || !zi || !z) {
        free(z);
        return psa_fail_memory(error, "designing a filter");
    }
    memcpy(slot->sos, sos, n * sizeof *sos);
    psa_sos_zi(sos, n, zi);
    free(slot->z);
    slot->z = z;
    slot->n_sos = n;
    slot->rate_hz = rate_hz;
    return 0;
}

/* ---- filtering ------------------------------------------------------------------------------------------------------------ */

/* Copy one channel's state out of z[n_sos][2][width], or back into it. */
static void move_channel(struct filter_slot *slot, size_t channel, double *z, bool out)
{
    size_t width = slot->schema.n;

    for (size_t i = 0; i < 2 * slot->n_sos; i++) {
        double *place = &slot->z[i * width + channel];

        if (out) z[i] = *place;
        else *place = z[i];
    }
}

static void start_channel(const struct filter *filter, struct filter_slot *slot, size_t channel, double first)
{
    double z[2 * SECTIONS_MAX];

    for (size_t i = 0; i < 2 * slot->n_sos; i++) z[i] = filter->steady ? slot->zi[i] * first : 0;
    move_channel(slot, channel, z, false);
    slot->started[channel] = true;
}

/* A channel's output left the range of a double, and its state with it: it starts anew with the next sample. */
static void restart_overflown(struct psa_node *node, struct filter_slot *slot, size_t channel)
{
    char shown[128];

    slot->started[channel] = false;
    psa_note(node, "overflow");
    psa_say(node, "overflow", "%s: fields.%.*s left the range of a double; its filter starts anew",
            psa_key_show(slot->slot.key, shown), (int)slot->schema.name[channel].n, slot->schema.name[channel].p);
}

/* One sample of every channel that has one; the usual case is that all have. */
static void filter_reading(struct psa_node *node, struct filter_slot *slot)
{
    const struct filter *filter = node->state;
    size_t width = slot->schema.n, present = 0;
    double z[2 * SECTIONS_MAX];

    for (size_t i = 0; i < width; i++) {
        if (!slot->field[i] || slot->field[i]->kind != PSA_NUMBER) continue;
        slot->x[i] = slot->field[i]->number;
        if (!slot->started[i]) start_channel(filter, slot, i, slot->x[i]);
        present++;
    }
    if (present == width) {
        psa_sos_step_many(slot->sos, slot->n_sos, slot->z, slot->x, width);
        for (size_t i = 0; i < width; i++) {
            psa_field_set(slot->field[i], slot->x[i]);
            if (!isfinite(slot->x[i])) restart_overflown(node, slot, i);
        }
        return;
    }
    for (size_t i = 0; i < width; i++) {
        if (!slot->field[i] || slot->field[i]->kind != PSA_NUMBER) continue;
        move_channel(slot, i, z, true);
        psa_sos_run(slot->sos, slot->n_sos, z, &slot->x[i], &slot->x[i], 1);
        move_channel(slot, i, z, false);
        psa_field_set(slot->field[i], slot->x[i]);
        if (!isfinite(slot->x[i])) restart_overflown(node, slot, i);
    }
}

/* A block's array along its samples; missing ones stay missing and leave the state alone. */
static int filter_array(struct psa_node *node, struct filter_slot *slot, size_t channel, struct psa_error *error)
{
    struct psa_field *field = slot->field[channel];
    double z[2 * SECTIONS_MAX], *y;
    size_t n = field->n_array;

    if (slot->cap_block[channel] < n) {
        double *grown = realloc(slot->block[channel], n * sizeof *grown);

        if (!grown) return psa_fail_memory(error, "filtering a block");
        slot->block[channel] = grown;
        slot->cap_block[channel] = n;
    }
    y = slot->block[channel];
    move_channel(slot, channel, z, true);
    for (size_t i = 0; i < n; i++) {
        y[i] = field->array[i];
        if (isnan(y[i])) continue;
        if (!slot->started[channel]) {
            start_channel(node->state, slot, channel, y[i]);
            move_channel(slot, channel, z, true);
        }
        psa_sos_run(slot->sos, slot->n_sos, z, &y[i], &y[i], 1);
        if (isfinite(y[i])) continue;
        y[i] = NAN; /* as it would leave a pipe */
        restart_overflown(node, slot, channel);
    }
    move_channel(slot, channel, z, false);
    psa_field_set_array(field, y, n);
    return 0;
}

/* Blocks that follow each other share their state. One that overlaps its predecessor (windows with a stride below their
 * length) is filtered by itself. */
static void continue_or_restart(struct psa_node *node, struct filter_slot *slot, const struct psa_record *record,
                                size_t n)
{
    int64_t half_sample = psa_ns_of_samples(0.5, slot->rate_hz);

    if (slot->has_block && record->has_time && record->timestamp_ns < psa_ns_add(slot->block_end_ns, -half_sample)) {
        memset(slot->started, 0, slot->schema.n * sizeof *slot->started);
        psa_note(node, "overlapping_block");
    }
    slot->has_block = true;
    slot->block_end_ns = psa_ns_add(record->timestamp_ns, psa_ns_of_samples((double)n, slot->rate_hz));
}

static int filter_record(struct psa_node *node, struct filter_slot *slot, struct psa_record *record,
                         struct psa_error *error)
{
    size_t longest = 0;

    filter_reading(node, slot);
    for (size_t i = 0; i < slot->schema.n; i++)
        if (slot->field[i] && slot->field[i]->kind == PSA_ARRAY && slot->field[i]->n_array > longest)
            longest = slot->field[i]->n_array;
    if (!longest) return 0;
    continue_or_restart(node, slot, record, longest);
    for (size_t i = 0; i < slot->schema.n; i++)
        if (slot->field[i] && slot->field[i]->kind == PSA_ARRAY && filter_array(node, slot, i, error) != 0) return -1;
    return 0;
}

/* ---- the rate, where it must be measured ------------------------------------------------------------------------------------ */

static int hold(struct psa_node *node, struct filter_slot *slot, struct psa_record *record, struct psa_error *error)
{
    if (!slot->held) slot->held = calloc(HELD_MAX, sizeof *slot->held);
    if (!slot->held || psa_record_copy(&slot->held[slot->n_held], record, true) != 0)
        return psa_fail_memory(error, "holding a record");
    slot->n_held++;
    return psa_absorb(node);
}

/* The median interval between the held records, in seconds; 0 when there is none above zero. */
static double median_interval_s(const struct filter_slot *slot)
{
    double interval[INTERVALS];
    size_t n = 0;

    for (size_t i = 1; i < slot->n_held; i++)
        interval[n++] = (double)psa_ns_since(slot->held[i].timestamp_ns, slot->held[i - 1].timestamp_ns);
    if (!n) return 0;
    psa_sort(interval, n);
    return psa_quantile_sorted(interval, n, 0.5) / 1e9;
}

/* Let the held records go, filtered at the rate told, else at the one that they show, or rejected when they show none. */
static int release(struct psa_node *node, struct filter_slot *slot, double told_hz, struct psa_error *error)
{
    double interval_s = median_interval_s(slot), rate_hz = told_hz > 0 ? told_hz : interval_s > 0 ? 1 / interval_s : 0;
    struct psa_error why = { PSA_EXIT_PERMANENT, "the sampling rate cannot be measured; give --rate" };
    size_t n = slot->n_held;
    char shown[128], rate[PSA_NUMBER_MAX + 1];

    slot->n_held = 0;
    if (rate_hz > 0 && set_rate(node->config, slot, rate_hz, &why) == 0 && !(told_hz > 0)) {
        psa_number_text(slot->rate_hz, rate);
        psa_say(node, "rate", "%s: sampled at %s Hz, measured over %zu intervals", psa_key_show(slot->slot.key, shown),
                rate, n - 1);
    }
    if (why.status == PSA_EXIT_RUNTIME) return psa_fail(error, why.status, "%s", why.text);
    for (size_t i = 0; i < n; i++) {
        struct psa_record *record = &slot->held[i];
        int status;

        if (slot->rate_hz > 0) {
            psa_schema_map(&slot->schema, record, slot->field, NULL);
            status = filter_record(node, slot, record, error);
            if (status == 0) status = psa_pass_held(node, record, error);
        } else {
            status = psa_reject_held(node, record, "no_rate", error, "%s: %s; rejected",
                                     psa_key_show(slot->slot.key, shown), why.text);
        }
        if (status != 0) return -1;
    }
    free_held(slot);
    return 0;
}

/* ---- the stage --------------------------------------------------------------------------------------------------------------- */

static void save_slot(const struct psa_slot *base, struct psa_buf *out)
{
    const struct filter_slot *slot = (const struct filter_slot *)base;
    struct psa_buf line = { 0 };

    psa_buf_name(out, "fields");
    psa_schema_save(&slot->schema, out);
    psa_buf_member_number(out, "rate_hz", slot->rate_hz);
    if (slot->has_block) psa_buf_member_int(out, "block_end_ns", slot->block_end_ns);
    psa_buf_name(out, "started");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < slot->schema.n; i++) {
        psa_buf_comma(out);
        psa_buf_puts(out, slot->started[i] ? "true" : "false");
    }
    psa_buf_puts(out, "]");
    psa_buf_member_numbers(out, "z", slot->z, slot->rate_hz > 0 ? 2 * slot->n_sos * slot->schema.n : 0);
    psa_buf_name(out, "held");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < slot->n_held; i++) {
        line.n = 0;
        psa_encode(&slot->held[i], &line);
        psa_buf_comma(out);
        psa_buf_quote(out, (struct psa_str){ line.p, line.n ? line.n - 1 : 0 });
    }
    psa_buf_puts(out, "]");
    if (line.failed) out->failed = true;
    psa_buf_free(&line);
}

/* The held records, each a line in a string. */
static bool load_held(struct filter_slot *slot, struct psa_json *in)
{
    struct psa_decoder *decoder = psa_decoder_new((struct psa_decode_limits){ 1000000, 1000, false });
    struct psa_decoded decoded;
    bool ok = decoder && psa_json_enter_array(in);

    if (ok && !slot->held) slot->held = calloc(HELD_MAX, sizeof *slot->held);
    ok = ok && slot->held;
    while (ok && psa_json_next_item(in)) {
        struct psa_str line = psa_json_text(in);

        ok = line.p && slot->n_held < HELD_MAX && psa_decode(decoder, line, &decoded) == PSA_LINE_RECORD &&
             psa_record_copy(&slot->held[slot->n_held], decoded.record, true) == 0;
        slot->n_held += ok;
    }
    psa_decoder_free(decoder);
    return ok && !in->fault.what;
}

/* An array of at most `most` numbers; their count, or PSA_NO_INDEX when there are more or none. */
static size_t load_numbers(struct psa_json *in, double *value, size_t most)
{
    size_t n = 0;

    if (!psa_json_enter_array(in)) return PSA_NO_INDEX;
    while (psa_json_next_item(in)) {
        double number = psa_json_number(in);

        if (n == most) return PSA_NO_INDEX;
        value[n++] = number;
    }
    return in->fault.what ? PSA_NO_INDEX : n;
}

/* The rate that the cascade was designed for; it is designed again. */
static bool load_rate(struct filter_slot *slot, struct psa_json *in)
{
    const struct psa_node *node = slot->slot.owner;
    double rate_hz = psa_json_number(in);
    struct psa_error error;

    if (rate_hz == 0) return true;
    return rate_hz > 0 && slot->schema.n && set_rate(node->config, slot, rate_hz, &error) == 0;
}

static bool load_z(struct filter_slot *slot, struct psa_json *in)
{
    size_t want = slot->rate_hz > 0 ? 2 * slot->n_sos * slot->schema.n : 0;

    return load_numbers(in, slot->z, want) == want;
}

static bool load_started(struct filter_slot *slot, struct psa_json *in)
{
    size_t n = 0;

    if ((!slot->started && slot->schema.n) || !psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        if (n == slot->schema.n) return false;
        slot->started[n++] = psa_json_bool(in);
    }
    return n == slot->schema.n;
}

static bool load_slot(struct psa_slot *base, struct psa_str name, struct psa_json *in)
{
    struct filter_slot *slot = (struct filter_slot *)base;

    if (psa_str_eq(name, "fields")) return psa_schema_load(&slot->schema, in) && make_channels(slot);
    if (psa_str_eq(name, "started")) return load_started(slot, in);
    if (psa_str_eq(name, "z")) return load_z(slot, in);
    if (psa_str_eq(name, "held")) return load_held(slot, in);
    if (psa_str_eq(name, "rate_hz")) return load_rate(slot, in);
    if (psa_str_eq(name, "block_end_ns")) slot->has_block = true, slot->block_end_ns = psa_json_int(in);
    else return false;
    return true;
}

/* Is a loaded slot one that this stage could have saved? */
static bool loaded_slot(struct psa_slot *base)
{
    const struct filter_slot *slot = (const struct filter_slot *)base;

    return (slot->started || slot->schema.n == 0) && slot->n_held < HELD_MAX;
}

static const char *const saved_members[] = { "fields", "rate_hz", "started", "z", "held", NULL };
static const struct psa_slot_type slot_type = { .size = sizeof(struct filter_slot),
                                                .drop = drop_slot,
                                                .save = save_slot,
                                                .load = load_slot,
                                                .loaded = loaded_slot,
                                                .needs = saved_members };

static int open_filter(struct psa_node *node, struct psa_error *error)
{
    const struct filter_config *config = node->config;
    struct psa_sos sos[SECTIONS_MAX];
    struct filter *filter;
    size_t n;

    if (!config->n_operation)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "no filter named; give --lowpass, --highpass, --bandpass or --bandstop");
    if (strcmp(config->start, "steady") != 0 && strcmp(config->start, "zero") != 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--start: '%s' is neither steady nor zero", config->start);
    if (config->rate_hz > 0 && design(config, config->rate_hz, sos, &n, error) != 0) return -1;
    filter = node->state = calloc(1, sizeof *filter);
    if (!filter) return psa_fail_memory(error, "starting");
    filter->steady = strcmp(config->start, "steady") == 0;
    return 0;
}

/* The rate that the options or the record tell; 0 when it must be measured. */
static double told_rate(const struct filter_config *config, const struct psa_record *record)
{
    return config->rate_hz > 0 ? config->rate_hz : record->rate_hz;
}

static bool has_array(struct psa_field *const *field, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (field[i] && field[i]->kind == PSA_ARRAY) return true;
    return false;
}

/* A record of a key whose rate is not known yet. */
static int push_unrated(struct psa_node *node, struct filter_slot *slot, struct psa_record *record,
                        struct psa_error *error)
{
    struct psa_error why = { 0 };
    double rate_hz = told_rate(node->config, record);
    char shown[128];

    if (rate_hz > 0) {
        if (slot->n_held) { /* those that came without a rate go first */
            if (release(node, slot, rate_hz, error) != 0) return -1;
            psa_schema_map(&slot->schema, record, slot->field, NULL);
        }
        if (slot->rate_hz <= 0 && set_rate(node->config, slot, rate_hz, &why) != 0)
            return psa_reject(node, record, "no_rate", error, "%s: %s; rejected", psa_key_show(slot->slot.key, shown),
                              why.text);
        if (filter_record(node, slot, record, error) != 0) return -1;
        return psa_pass(node, record, error);
    }
    if (!record->has_time || has_array(slot->field, slot->schema.n))
        return psa_reject(node, record, "no_rate", error, "%s: neither a rate nor %s; give --rate; rejected",
                          psa_key_show(slot->slot.key, shown),
                          record->has_time ? "single readings to measure it from" : "a time to measure it from");
    if (hold(node, slot, record, error) != 0) return -1;
    return slot->n_held == HELD_MAX ? release(node, slot, 0, error) : 0;
}

static bool rate_differs(const struct filter_slot *slot, double rate_hz)
{
    return fabs(rate_hz - slot->rate_hz) > RATE_TOLERANCE * slot->rate_hz;
}

/* The record tells another rate than the filter was designed for: it is designed and started anew. */
static int push_at_new_rate(struct psa_node *node, struct filter_slot *slot, struct psa_record *record,
                            struct psa_error *error)
{
    double rate_hz = told_rate(node->config, record), old_hz = slot->rate_hz;
    struct psa_error why = { 0 };
    char shown[128], old[PSA_NUMBER_MAX + 1], new[PSA_NUMBER_MAX + 1];

    if (set_rate(node->config, slot, rate_hz, &why) != 0)
        return psa_reject(node, record, "no_rate", error, "%s: %s; rejected", psa_key_show(slot->slot.key, shown),
                          why.text);
    psa_number_text(old_hz, old);
    psa_number_text(rate_hz, new);
    psa_note(node, "rate_changed");
    psa_say(node, "rate_changed", "%s: the sampling rate changed from %s to %s Hz; the filter starts anew",
            psa_key_show(slot->slot.key, shown), old, new);
    memset(slot->started, 0, slot->schema.n * sizeof *slot->started);
    slot->has_block = false;
    if (filter_record(node, slot, record, error) != 0) return -1;
    return psa_pass(node, record, error);
}

static int push(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    struct filter *filter = node->state;
    const struct filter_config *config = node->config;
    const struct psa_field *extra;
    struct filter_slot *slot;
    struct psa_slot *base;
    bool fresh = false;
    int status = psa_slot_find(node, record, 0, &base, &fresh, error);

    if (status != 0 || !base) return status;
    slot = (struct filter_slot *)base;
    if (slot->schema.n == 0 &&
        (!psa_schema_learn(&slot->schema, record, PSA_SAMPLES, config->fields) || !make_channels(slot)))
        return psa_fail_memory(error, "opening a key");
    psa_schema_map(&slot->schema, record, slot->field, &extra);
    if (extra && psa_glob_match(config->fields, extra->name))
        psa_slot_extra(node, &slot->schema, base, extra, "passes untouched");
    status = psa_slot_check_kinds(node, record, slot->field, slot->schema.n, PSA_SAMPLES, error);
    if (status != 0) return status < 0 ? -1 : 0;
    psa_slot_advance(base, record);
    if (slot->schema.n == 0) return psa_pass(node, record, error);
    filter->matched = true;
    if (slot->rate_hz <= 0) return push_unrated(node, slot, record, error);
    if (told_rate(config, record) > 0 && rate_differs(slot, told_rate(config, record)))
        return push_at_new_rate(node, slot, record, error);
    if (filter_record(node, slot, record, error) != 0) return -1;
    return psa_pass(node, record, error);
}

/* Records may not be overtaken by the word that their time has passed: those that show a rate leave now. */
static int heartbeat(struct psa_node *node, int64_t ns, struct psa_error *error)
{
    (void)ns;
    for (struct psa_slot *base = psa_keyed_next(node->keyed, NULL); base; base = psa_keyed_next(node->keyed, base)) {
        struct filter_slot *slot = (struct filter_slot *)base;

        if (slot->n_held > 1 && release(node, slot, 0, error) != 0) return -1;
    }
    return 0;
}

static int finish(struct psa_node *node, struct psa_error *error)
{
    const struct filter_config *config = node->config;
    const struct filter *filter = node->state;

    if (!filter->matched && node->stats.passed)
        psa_say(node, "no_match", "nothing was filtered: no number field %s%s",
                config->fields ? "matches --fields " : "came", config->fields ? config->fields : "");
    for (struct psa_slot *base = psa_keyed_next(node->keyed, NULL); base; base = psa_keyed_next(node->keyed, base)) {
        struct filter_slot *slot = (struct filter_slot *)base;

        if (slot->n_held && release(node, slot, 0, error) != 0) return -1;
    }
    return 0;
}

static void close_filter(struct psa_node *node)
{
    struct filter *filter = node->state;

    free(filter);
    node->state = NULL;
}

const struct psa_stage psa_filter_stage = {
    .name = "psa-filter",
    .summary = "filter the fields of readings or blocks",
    .options = options,
    .config_size = sizeof(struct filter_config),
    .slot = &slot_type,
    .open = open_filter,
    .push = push,
    .heartbeat = heartbeat,
    .finish = finish,
    .close = close_filter,
};
