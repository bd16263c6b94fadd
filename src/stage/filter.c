/*
 * filter.c - psa-filter: an ordered chain of operations on the fields of each key.
 *
 * What an operation is says operation.h, how a record passes the chain filter.h. A chain is designed once a key's rate is
 * known, where it needs one: from --rate, else rate_hz, else the median of the key's first 16 intervals; records wait for
 * that and then leave in order.
 */
#include "stage/filter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/glob.h"
#include "core/number.h"
#include "core/record.h"
#include "dsp/iir.h"
#include "dsp/quantile.h"
#include "stage/stages.h"

/* A rate_hz that is fitted to a clock wanders a little; beyond this share it is another rate. */
static const double RATE_TOLERANCE = 0.01;

/* ---- options ------------------------------------------------------------------------------------------------------------ */

static const struct psa_operation_type *type_named(const char *name)
{
    const struct psa_operation_type *const *type = psa_operation_types;

    while (*type && strcmp((*type)->name, name) != 0) type++;
    return *type;
}

/* An option that stands behind every operation that could heed it would be ignored: it is refused. */
static int refuse_idle(const char *option, const char *value, struct psa_error *error)
{
    return psa_fail(error, PSA_EXIT_PERMANENT, "--%s %s means nothing here: no operation behind it heeds it", option,
                    value);
}

static bool heeds_fields(const struct psa_operation *operation)
{
    return !(operation->type->traits(operation) & (PSA_RESAMPLES | PSA_MAKES_CHANNEL));
}

static bool heeds_order(const struct psa_operation *operation)
{
    return operation->type->traits(operation) & PSA_HAS_ORDER;
}

static int take_operation(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct psa_filter_config *filter = config;
    struct psa_operation *operation = &filter->operation[filter->n_operation];

    if (filter->n_operation == PSA_FILTER_OPERATIONS_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: more than %d operations", option->name,
                        PSA_FILTER_OPERATIONS_MAX);
    *operation = (struct psa_operation){ .type = type_named(option->name), .text = value, .fields = filter->fields };
    operation->order = (int)filter->order;
    if (!operation->type) return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: there is no such operation", option->name);
    if (operation->type->parse(operation, value, error) != 0) return -1;
    if (heeds_fields(operation)) filter->idle_fields = NULL;
    if (heeds_order(operation)) filter->idle_order = NULL;
    filter->n_operation++;
    return 0;
}

/* The first call is the default's; the first one that is given holds for the operations before it too. */
static int take_order(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct psa_filter_config *filter = config;
    bool is_default = filter->order == 0;

    if (psa_parse_count(value, "--order", &filter->order, error) != 0) return -1;
    if (filter->order < 1 || filter->order > PSA_BUTTER_ORDER_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: '%s' is not within 1 to %d", option->name, value,
                        PSA_BUTTER_ORDER_MAX);
    if (is_default) return 0;
    if (filter->idle_order) return refuse_idle("order", filter->idle_order, error);
    filter->idle_order = value;
    for (size_t i = 0; !filter->order_given && i < filter->n_operation; i++) {
        filter->operation[i].order = (int)filter->order;
        if (heeds_order(&filter->operation[i])) filter->idle_order = NULL;
    }
    filter->order_given = true;
    return 0;
}

static int take_fields(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct psa_filter_config *filter = config;

    (void)option;
    if (!*value) return psa_fail(error, PSA_EXIT_PERMANENT, "--fields: an empty text names no field");
    if (filter->idle_fields) return refuse_idle("fields", filter->idle_fields, error);
    filter->idle_fields = value;
    for (size_t i = 0; !filter->fields && i < filter->n_operation; i++) {
        if (!filter->operation[i].fields) filter->operation[i].fields = value;
        if (heeds_fields(&filter->operation[i])) filter->idle_fields = NULL;
    }
    filter->fields = value;
    return 0;
}

static int take_suffix(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct psa_filter_config *filter = config;

    (void)option;
    if (!*value) return psa_fail(error, PSA_EXIT_PERMANENT, "--suffix: an empty text makes no new name");
    if (filter->suffix)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--suffix %s beside --suffix %s: it holds for all operations", value,
                        filter->suffix);
    filter->suffix = value;
    return 0;
}

static const struct psa_option options[] = {
    { .name = "lowpass",
      .type = PSA_OPT_CALL,
      .metavar = "HZ",
      .take = take_operation,
      .help = "Butterworth low-pass with its -3 dB point at HZ" },
    { .name = "highpass",
      .type = PSA_OPT_CALL,
      .metavar = "HZ",
      .take = take_operation,
      .help = "Butterworth high-pass" },
    { .name = "bandpass",
      .type = PSA_OPT_CALL,
      .metavar = "LOW:HIGH",
      .take = take_operation,
      .help = "Butterworth band-pass" },
    { .name = "bandstop",
      .type = PSA_OPT_CALL,
      .metavar = "LOW:HIGH",
      .take = take_operation,
      .help = "Butterworth band-stop" },
    { .name = "notch",
      .type = PSA_OPT_CALL,
      .metavar = "HZ[:Q]",
      .take = take_operation,
      .help = "take out HZ and HZ/Q around it; Q is 30 unless given" },
    { .name = "integrate",
      .type = PSA_OPT_CALL,
      .metavar = "HZ",
      .take = take_operation,
      .help = "integrate over time, and forget what lies below HZ; the unit becomes unit*s" },
    { .name = "ewma",
      .type = PSA_OPT_CALL,
      .metavar = "ALPHA|TIME",
      .take = take_operation,
      .help = "exponential smoothing with the weight ALPHA, or over TIME" },
    { .name = "difference",
      .type = PSA_OPT_CALL,
      .take = take_operation,
      .help = "the change since the sample before" },
    { .name = "scale",
      .type = PSA_OPT_CALL,
      .metavar = "FACTOR",
      .take = take_operation,
      .help = "multiply by FACTOR" },
    { .name = "offset", .type = PSA_OPT_CALL, .metavar = "VALUE", .take = take_operation, .help = "add VALUE" },
    { .name = "clip",
      .type = PSA_OPT_CALL,
      .metavar = "LOW:HIGH",
      .take = take_operation,
      .help = "keep within LOW to HIGH, either of which may be left out" },
    { .name = "magnitude",
      .type = PSA_OPT_CALL,
      .metavar = "GLOB=NAME",
      .take = take_operation,
      .help = "a new field NAME: the root of the sum of squares of the fields that GLOB names" },
    { .name = "fill",
      .type = PSA_OPT_CALL,
      .metavar = "HOW[,N]",
      .take = take_operation,
      .help = "fill missing values: none, hold the last one, linear between two; at most N in a run" },
    { .name = "median",
      .type = PSA_OPT_CALL,
      .metavar = "N",
      .take = take_operation,
      .help = "median of the last N samples" },
    { .name = "hampel",
      .type = PSA_OPT_CALL,
      .metavar = "N[,K]",
      .take = take_operation,
      .help = "replace what is further than K scaled MADs from the median of N samples by that median" },
    { .name = "detrend",
      .type = PSA_OPT_CALL,
      .metavar = "HOW[,N]",
      .take = take_operation,
      .help = "subtract the mean (constant) or line (linear) of each block, or of the last N samples" },
    { .name = "kalman",
      .type = PSA_OPT_CALL,
      .metavar = "MODEL,Q,R",
      .take = take_operation,
      .help = "Kalman filter: level or velocity, process and measurement variance" },
    { .name = "resample",
      .type = PSA_OPT_CALL,
      .metavar = "HZ[,HOW]",
      .take = take_operation,
      .help = "to another rate: polyphase, linear, previous, mean" },
    { .name = "decimate",
      .type = PSA_OPT_CALL,
      .metavar = "Q[,iir|fir]",
      .take = take_operation,
      .help = "keep one sample of Q behind an anti-alias filter" },
    { .name = "order",
      .type = PSA_OPT_CALL,
      .metavar = "N",
      .take = take_order,
      .initial = "4",
      .help = "order of the Butterworth filters behind it, and of those before the first --order" },
    { .name = "fields",
      .type = PSA_OPT_CALL,
      .metavar = "GLOB,...",
      .take = take_fields,
      .help = "fields for the operations behind it, and for those before the first --fields; without it all numbers" },
    { .name = "suffix",
      .type = PSA_OPT_CALL,
      .metavar = "TEXT",
      .take = take_suffix,
      .help = "write results into new fields, the old name and TEXT; the raw values stay" },
    { .name = "centred",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct psa_filter_config, centred),
      .help = "--median and --hampel look ahead as far as back, and delay" },
    { .name = "zero-phase",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct psa_filter_config, zero_phase),
      .help = "on blocks: run recursive filters forward and backward" },
    { .name = "max-gap",
      .type = PSA_OPT_DURATION,
      .offset = offsetof(struct psa_filter_config, max_gap_ns),
      .metavar = "TIME",
      .initial = "0",
      .min = 0,
      .max = 9e18,
      .help = "a longer time between two samples starts all operations anew, and is not filled; 0: no gap does" },
    { .name = "rate",
      .type = PSA_OPT_RATE,
      .offset = offsetof(struct psa_filter_config, rate_hz),
      .metavar = "HZ",
      .min = 1e-9,
      .max = 1e12,
      .help = "sampling rate; without it rate_hz, else it is measured from the first 16 intervals" },
    { .name = "start",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_filter_config, start),
      .metavar = "HOW",
      .initial = "steady",
      .help = "start as if the first value had been there for ever (steady), or from rest (zero)" },
    { .type = PSA_OPT_END },
};

/* ---- opening ------------------------------------------------------------------------------------------------------------ */

/* The settings that hold for all operations, wherever they stood. */
static int spread_settings(struct psa_filter_config *config, struct psa_error *error)
{
    if (!config->n_operation)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "no operation named; give --lowpass, --median, --resample or another of --help");
    if (strcmp(config->start, "steady") != 0 && strcmp(config->start, "zero") != 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--start: '%s' is neither steady nor zero", config->start);
    for (size_t i = 0; i < config->n_operation; i++) {
        struct psa_operation *operation = &config->operation[i];

        operation->centred = config->centred;
        operation->zero_phase = config->zero_phase;
        operation->from_rest = strcmp(config->start, "zero") == 0;
        operation->max_gap_ns = config->max_gap_ns;
    }
    return 0;
}

/* --centred and --zero-phase change what an operation asks for: what do they change here? */
static int check_modes(const struct psa_filter_config *config, struct psa_error *error)
{
    bool centred = false, zero_phase = false, windows = false;

    for (size_t i = 0; i < config->n_operation; i++) {
        struct psa_operation other = config->operation[i];
        unsigned trait = other.type->traits(&other);

        if (config->zero_phase && other.type == &psa_integrate_operation)
            return psa_fail(error, PSA_EXIT_PERMANENT,
                            "--integrate beside --zero-phase would integrate twice, forward and backward; give it to a "
                            "psa-filter of its own");
        windows |= other.type == &psa_median_operation || other.type == &psa_hampel_operation;
        other.centred = false;
        centred |= other.type->traits(&other) != trait;
        other.centred = config->centred;
        other.zero_phase = false;
        zero_phase |= (other.type->traits(&other) & PSA_WHOLE_BLOCKS) != (trait & PSA_WHOLE_BLOCKS);
    }
    if (config->centred && !centred)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--centred means nothing %s",
                        windows ? "to a --median of fewer than 3 samples" : "without --median or --hampel");
    if (config->zero_phase && !zero_phase)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--zero-phase means nothing without a recursive filter");
    return 0;
}

/* Is the rate, or the interval it tells, of any use? Where an operation remembers samples it shows which blocks overlap. */
static bool heeds_rate(const struct psa_filter_config *config, unsigned traits)
{
    if (config->max_gap_ns || traits & (PSA_NEEDS_RATE | PSA_NEEDS_TIME | PSA_RESAMPLES)) return true;
    for (size_t i = 0; i < config->n_operation; i++) {
        const struct psa_operation *operation = &config->operation[i];

        if (operation->type->design && !(operation->type->traits(operation) & PSA_WHOLE_BLOCKS)) return true;
    }
    return false;
}

/* Settings that change no operation would be ignored: they are refused. */
static int check_settings(const struct psa_filter_config *config, unsigned traits, struct psa_error *error)
{
    if (config->order_given && !(traits & PSA_HAS_ORDER))
        return psa_fail(error, PSA_EXIT_PERMANENT, "--order means nothing without a Butterworth filter");
    if (config->idle_order) return refuse_idle("order", config->idle_order, error);
    if (config->idle_fields) return refuse_idle("fields", config->idle_fields, error);
    if (check_modes(config, error) != 0) return -1;
    if (strcmp(config->start, "zero") == 0 && !(traits & PSA_HAS_START))
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--start zero means nothing without a recursive filter or --decimate that runs forward only");
    if (config->rate_hz > 0 && !heeds_rate(config, traits))
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--rate means nothing here: every operation takes each sample or each block by itself");
    if (config->suffix && traits & PSA_RESAMPLES)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--suffix means nothing beside resampling: its records hold only results");
    return 0;
}

/* What the operations ask of records, one behind the other. */
static int gather_traits(const struct psa_filter_config *config, struct psa_filter *filter, struct psa_error *error)
{
    const char *delays = NULL;
    double rate_hz = 0; /* that is known whatever the key's is: behind a resampling onto a grid */

    for (size_t i = 0; i < config->n_operation; i++) {
        const struct psa_operation *operation = &config->operation[i];
        unsigned trait = filter->trait[i] = operation->type->traits(operation);

        filter->traits |= trait;
        if (trait & PSA_TOLD_RATE && !(rate_hz > 0)) filter->needs_told = operation;
        if (trait & PSA_NEEDS_RATE && !(rate_hz > 0)) filter->needs_rate = true;
        else if (psa_filter_probe(operation, rate_hz, false, &rate_hz, error) != 0) return -1;
        if (trait & PSA_NEEDS_TIME && !(config->rate_hz > 0 && !(trait & PSA_RESAMPLES))) filter->needs_time = true;
        if (trait & PSA_WHOLE_BLOCKS && delays)
            return psa_fail(error, PSA_EXIT_PERMANENT,
                            "--%s works on whole blocks here, but --%s before it delays samples; put it behind",
                            operation->type->name, delays);
        if (trait & PSA_LOOKS_AHEAD || (trait & PSA_RESAMPLES && !(trait & PSA_WHOLE_BLOCKS)))
            delays = operation->type->name;
    }
    return check_settings(config, filter->traits, error);
}

/* The globs of all operations as one list; none when an operation takes every field. */
static int gather_globs(const struct psa_filter_config *config, struct psa_filter *filter, struct psa_error *error)
{
    struct psa_buf globs = { 0 };

    for (size_t i = 0; i < config->n_operation; i++) {
        if (!config->operation[i].fields || filter->trait[i] & PSA_RESAMPLES) {
            psa_buf_free(&globs);
            return 0;
        }
        if (i) psa_buf_puts(&globs, ",");
        psa_buf_puts(&globs, config->operation[i].fields);
    }
    psa_buf_put(&globs, "", 1);
    filter->globs = globs.p;
    return globs.failed ? psa_fail_memory(error, "starting") : 0;
}

static int open_filter(struct psa_node *node, struct psa_error *error)
{
    struct psa_filter_config *config = node->config;
    struct psa_filter *filter;
    double rate_hz;

    if (spread_settings(config, error) != 0) return -1;
    filter = node->state = calloc(1, sizeof *filter);
    if (!filter) return psa_fail_memory(error, "starting");
    if (gather_traits(config, filter, error) != 0 || gather_globs(config, filter, error) != 0) return -1;
    if (filter->needs_rate && !(config->rate_hz > 0)) return 0;
    if (psa_filter_check(node, config->rate_hz, &rate_hz, error) != 0) return -1;
    return filter->needs_rate || rate_hz > 0 ? 0 : psa_filter_check(node, 1, &filter->rate_share, error);
}

static void close_filter(struct psa_node *node)
{
    struct psa_filter *filter = node->state;

    if (filter) {
        free(filter->globs);
        psa_record_free(&filter->out);
    }
    free(filter);
    node->state = NULL;
}

/* ---- slots --------------------------------------------------------------------------------------------------------------- */

static void drop_slot(struct psa_slot *base)
{
    struct psa_filter_slot *slot = (struct psa_filter_slot *)base;
    const struct psa_node *node = slot->slot.owner;
    const struct psa_filter_config *config = node->config;

    if (slot->n_held) psa_lose_held(slot->slot.owner, slot->n_held, "evicted");
    for (size_t i = 0; i < slot->cap_held; i++) psa_record_free(&slot->held[i].record);
    free(slot->held);
    psa_filter_drop_steps(slot->step, config->n_operation);
    psa_filter_labels_free(&slot->labels);
    free(slot->apart);
    psa_record_free(&slot->newest);
    psa_frames_free(&slot->in);
    psa_frames_free(&slot->spare);
    psa_frames_free(&slot->extra);
    psa_frames_free(&slot->done);
    free(slot->array);
    free(slot->of_step);
    free(slot->field);
    free(slot->channel);
    psa_arena_free(&slot->arena);
    psa_schema_free(&slot->schema);
}

static const char *const saved_members[] = { "fields", "rate_hz", "steps", "held", "done_ns", "done", NULL };
static const struct psa_slot_type slot_type = { .size = sizeof(struct psa_filter_slot),
                                                .drop = drop_slot,
                                                .save = psa_filter_save,
                                                .load = psa_filter_load,
                                                .loaded = psa_filter_loaded,
                                                .needs = saved_members };

/* ---- the rate, where it must be measured ------------------------------------------------------------------------------------ */

/* The median interval between the held records, in seconds; 0 when there is none above zero. */
static double median_interval_s(const struct psa_filter_slot *slot)
{
    double interval[PSA_FILTER_INTERVALS];
    size_t n = 0;

    for (size_t i = 1; i < slot->n_held; i++)
        interval[n++] = (double)psa_ns_since(psa_filter_held_at(slot, i)->record.timestamp_ns,
                                             psa_filter_held_at(slot, i - 1)->record.timestamp_ns);
    if (!n) return 0;
    psa_sort(interval, n);
    return psa_quantile_sorted(interval, n, 0.5) / 1e9;
}

/* The held records have no rate: they are rejected, each with the line it came from. */
static int reject_held(struct psa_node *node, struct psa_filter_slot *slot, const char *why, struct psa_error *error)
{
    const char *source = node->source;
    uint64_t line = node->line;
    char shown[128];
    int status = 0;

    while (status == 0 && slot->n_held) {
        struct psa_filter_held *held = psa_filter_held_at(slot, 0);

        psa_filter_pop(slot);
        node->line = held->line;
        if (held->line) node->source = held->source;
        status = psa_reject_held(node, &held->record, "no_rate", error, "%s: %s; rejected",
                                 psa_key_show(slot->slot.key, shown), why);
    }
    node->source = source;
    node->line = line;
    return status;
}

/* x to so many significant digits. */
static double rounded_to(double x, int digits)
{
    int place = (int)floor(log10(x)) - digits + 1;

    return place >= 0 ? round(x / pow(10, place)) * pow(10, place) : round(x * pow(10, -place)) / pow(10, -place);
}

/* The round number that a clock which measures `hz` was likely set to. */
static double plausible_rate(double hz)
{
    int digits = 1;

    while (digits < 3 && fabs(rounded_to(hz, digits) - hz) > RATE_TOLERANCE * hz) digits++;
    return rounded_to(hz, digits);
}

/* Why a rate that was measured will not do, and what to do: no clock is measured as exactly as a ratio must be. */
static void refuse_measured(struct psa_node *node, double hz, struct psa_error *why)
{
    const struct psa_filter *filter = node->state;
    double plausible_hz = plausible_rate(hz), rate_out_hz;
    char measured[PSA_NUMBER_MAX + 1], rate[PSA_NUMBER_MAX + 1], to[PSA_NUMBER_MAX + 1];
    bool fits = psa_filter_check(node, plausible_hz, &rate_out_hz, why) == 0;

    psa_number_text(rounded_to(hz, 3), measured);
    psa_number_text(plausible_hz, rate);
    psa_number_text(filter->needs_told->value[0], to);
    psa_fail(why, PSA_EXIT_PERMANENT, "measured about %s Hz; give --rate%s%s%s, or --resample %sHz,linear", measured,
             fits ? " " : "", fits ? rate : "", fits ? "Hz" : "", to);
}

/* Let the records that wait for a rate into the chain, designed for the rate told, else for the one that they show. */
static int release(struct psa_node *node, struct psa_filter_slot *slot, double told_hz, struct psa_error *error)
{
    const struct psa_filter *filter = node->state;
    double interval_s = median_interval_s(slot), rate_hz = told_hz > 0 ? told_hz : interval_s > 0 ? 1 / interval_s : 0;
    struct psa_error why = { PSA_EXIT_PERMANENT, "the sampling rate cannot be measured; give --rate" };
    char shown[128], rate[PSA_NUMBER_MAX + 1];
    size_t n = slot->n_held;

    if (rate_hz > 0 && !(told_hz > 0) && filter->needs_told) {
        refuse_measured(node, rate_hz, &why);
    } else if (rate_hz > 0 && psa_filter_design(node, slot, rate_hz, &why) == 0 && !(told_hz > 0)) {
        psa_number_text(slot->rate_hz, rate);
        psa_say(node, "rate", "%s: sampled at %s Hz, measured over %zu intervals", psa_key_show(slot->slot.key, shown),
                rate, n - 1);
    }
    if (why.status == PSA_EXIT_RUNTIME) return psa_fail(error, why.status, "%s", why.text);
    if (!slot->designed) return reject_held(node, slot, why.text, error);
    for (; n; n--) {
        struct psa_filter_held *held = psa_filter_held_at(slot, slot->n_fed);
        bool is_block;

        psa_filter_map(slot, &held->record, &is_block, NULL);
        if (psa_filter_feed(node, slot, &held->record, held->n, is_block, true, error) != 0) return -1;
    }
    return 0;
}

/* The rate that the options or the record tell; 0 when it must be measured. */
static double told_rate(const struct psa_filter_config *config, const struct psa_record *record)
{
    return config->rate_hz > 0 ? config->rate_hz : record->rate_hz;
}

static int reject_rate(struct psa_node *node, struct psa_filter_slot *slot, struct psa_record *record, const char *why,
                       struct psa_error *error)
{
    char shown[128];

    return psa_reject(node, record, "no_rate", error, "%s: %s; rejected", psa_key_show(slot->slot.key, shown), why);
}

/* A record of a key whose rate is needed and not known. */
static int push_unrated(struct psa_node *node, struct psa_filter_slot *slot, struct psa_record *record, size_t n,
                        bool is_block, struct psa_error *error)
{
    struct psa_error why = { 0 };
    double rate_hz = told_rate(node->config, record);

    if (rate_hz > 0) {
        if (slot->n_held) { /* those that came without a rate go first */
            if (release(node, slot, rate_hz, error) != 0) return -1;
            n = psa_filter_map(slot, record, &is_block, NULL);
        }
        if (!slot->designed && psa_filter_design(node, slot, rate_hz, &why) != 0) {
            if (why.status == PSA_EXIT_RUNTIME) return psa_fail(error, why.status, "%s", why.text);
            return reject_rate(node, slot, record, why.text, error);
        }
        return psa_filter_feed(node, slot, record, n, is_block, false, error);
    }
    if (!record->has_time)
        return reject_rate(node, slot, record, "neither a rate nor a time to measure it from; give --rate", error);
    if (is_block)
        return reject_rate(node, slot, record, "neither a rate nor single readings to measure it from; give --rate",
                           error);
    if (psa_filter_hold(slot, record, n, is_block, node->source, node->line, error) != 0 || psa_absorb(node) != 0)
        return -1;
    return slot->n_held == PSA_FILTER_HELD_MAX ? release(node, slot, 0, error) : 0;
}

static bool rate_differs(const struct psa_filter_slot *slot, double rate_hz)
{
    return fabs(rate_hz - slot->rate_hz) > RATE_TOLERANCE * slot->rate_hz;
}

/* The record tells another rate than the chain was designed for: what waits leaves, and the chain is designed anew. */
static int push_at_new_rate(struct psa_node *node, struct psa_filter_slot *slot, struct psa_record *record, size_t n,
                            bool is_block, struct psa_error *error)
{
    double rate_hz = told_rate(node->config, record), old_hz = slot->rate_hz, rate_out_hz;
    struct psa_error why = { 0 };
    char shown[128], old[PSA_NUMBER_MAX + 1], new[PSA_NUMBER_MAX + 1];

    if (psa_filter_check(node, rate_hz, &rate_out_hz, &why) != 0) {
        if (why.status == PSA_EXIT_RUNTIME) return psa_fail(error, why.status, "%s", why.text);
        return reject_rate(node, slot, record, why.text, error);
    }
    psa_number_text(old_hz, old);
    psa_number_text(rate_hz, new);
    psa_note(node, "rate_changed");
    psa_say(node, "rate_changed", "%s: the sampling rate changed from %s to %s Hz; the filter starts anew",
            psa_key_show(slot->slot.key, shown), old, new);
    if (psa_filter_finish(node, slot, error) != 0 || psa_filter_design(node, slot, rate_hz, error) != 0) return -1;
    slot->has_block = false;
    n = psa_filter_map(slot, record, &is_block, NULL);
    return psa_filter_feed(node, slot, record, n, is_block, false, error);
}

/* ---- the stage --------------------------------------------------------------------------------------------------------------- */

/* A record that the chain cannot take: 1, and it was rejected; 0: it can; -1 with *error set. */
static int refuse_record(struct psa_node *node, struct psa_filter_slot *slot, struct psa_record *record, size_t n,
                         bool is_block, struct psa_error *error)
{
    const struct psa_filter *filter = node->state;
    const struct psa_filter_config *config = node->config;
    const char *reason = NULL, *why = NULL;
    char shown[128];

    if (n == PSA_NO_INDEX) {
        reason = "blocks";
        why = "the arrays differ in length";
    } else if (!is_block && filter->traits & PSA_WHOLE_BLOCKS) {
        reason = "blocks";
        why = config->zero_phase ? "--zero-phase works on whole blocks of samples, and this is a reading"
                                 : "--detrend without a count works on whole blocks, and this is a reading";
    } else if (filter->needs_time && !record->has_time) {
        reason = "no_time";
        why = "there is no time, and the operations need it";
    } else if (filter->needs_time && is_block && !(told_rate(config, record) > 0) && !(slot->rate_hz > 0)) {
        reason = "no_rate";
        why = "a block without a rate has no times; give --rate";
    } else if (filter->traits & PSA_RESAMPLES && psa_filter_overlaps(node, slot, record, n, is_block)) {
        reason = "overlapping_block";
        why = "the block begins before the end of the one before it; put psa-filter before psa-window";
    }
    if (!reason) return 0;
    return psa_reject(node, record, reason, error, "%s: %s; rejected", psa_key_show(slot->slot.key, shown), why) == 0
               ? 1
               : -1;
}

/* The key's fields, from its first record that has any. */
static int learn(struct psa_node *node, struct psa_filter_slot *slot, const struct psa_record *record,
                 struct psa_error *error)
{
    const struct psa_filter *filter = node->state;

    if (slot->schema.n) return 0;
    if (!psa_schema_learn(&slot->schema, record, PSA_SAMPLES, filter->globs) || !psa_filter_make_channels(node, slot))
        return psa_fail_memory(error, "opening a key");
    return 0;
}

static int push(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    const struct psa_filter *filter = node->state;
    const struct psa_filter_config *config = node->config;
    const struct psa_field *extra;
    struct psa_filter_slot *slot;
    struct psa_slot *base;
    bool fresh = false, is_block;
    size_t n;
    int status = psa_slot_find(node, record, 0, &base, &fresh, error);

    if (status != 0 || !base) return status;
    slot = (struct psa_filter_slot *)base;
    if (learn(node, slot, record, error) != 0) return -1;
    n = psa_filter_map(slot, record, &is_block, &extra);
    if (extra && psa_glob_match(filter->globs, extra->name))
        psa_slot_extra(node, &slot->schema, base, extra,
                       filter->traits & PSA_RESAMPLES ? "is left out" : "passes untouched");
    status = psa_slot_check_kinds(node, record, slot->field, slot->schema.n, PSA_SAMPLES, error);
    if (status == 0 && slot->schema.n) status = refuse_record(node, slot, record, n, is_block, error);
    if (status != 0) return status < 0 ? -1 : 0;
    psa_slot_advance(base, record);
    if (slot->schema.n == 0) return psa_pass(node, record, error);
    if (!slot->designed && filter->needs_rate) return push_unrated(node, slot, record, n, is_block, error);
    if (!slot->designed && psa_filter_design(node, slot, config->rate_hz, error) != 0) return -1;
    if (filter->needs_rate && told_rate(config, record) > 0 && rate_differs(slot, told_rate(config, record)))
        return push_at_new_rate(node, slot, record, n, is_block, error);
    return psa_filter_feed(node, slot, record, n, is_block, false, error);
}

/* Records may not be overtaken by the word that their time has passed: those that show a rate leave now, and those that a
 * gap is sure to follow. */
static int heartbeat(struct psa_node *node, int64_t ns, struct psa_error *error)
{
    const struct psa_filter_config *config = node->config;

    for (struct psa_slot *base = psa_keyed_next(node->keyed, NULL); base; base = psa_keyed_next(node->keyed, base)) {
        struct psa_filter_slot *slot = (struct psa_filter_slot *)base;

        if (!base->has_time || base->newest_ns < ns) base->newest_ns = ns;
        base->has_time = true; /* what is older and comes now is late */
        if (!slot->designed && slot->n_held > 1 && release(node, slot, 0, error) != 0) return -1;
        if (!slot->designed) continue;
        if (psa_filter_tell_time(node, slot, ns, error) != 0) return -1;
        if (!config->max_gap_ns || !slot->has_last || psa_ns_since(ns, slot->last_ns) <= config->max_gap_ns) continue;
        slot->has_last = false;
        psa_note(node, "gap");
        if (psa_filter_finish(node, slot, error) != 0) return -1;
    }
    return 0;
}

/* The option that named the fields, as it was typed. */
static const char *globs_of(const struct psa_filter *filter, const struct psa_operation *operation, char *shown,
                            size_t size)
{
    if (operation->type == &psa_magnitude_operation)
        snprintf(shown, size, "--magnitude %s=%s", operation->fields, operation->text);
    else snprintf(shown, size, "--fields %s", filter->globs);
    return shown;
}

static int64_t promise(const struct psa_node *node, int64_t ns)
{
    for (struct psa_slot *base = psa_keyed_next(node->keyed, NULL); base; base = psa_keyed_next(node->keyed, base))
        ns = psa_filter_owes((struct psa_filter_slot *)base, ns);
    return ns;
}

/* An operation that found no field in any key: a glob with a slip in it. */
static void say_unmatched(struct psa_node *node)
{
    const struct psa_filter_config *config = node->config;
    const struct psa_filter *filter = node->state;
    char shown[512];
    size_t n = 0;

    for (size_t i = 0; i < config->n_operation; i++) n += filter->matched[i];
    if (n == config->n_operation || node->stats.passed + node->stats.absorbed == 0) return;
    if (n == 0 && (config->n_operation == 1 || !(filter->traits & PSA_MAKES_CHANNEL))) {
        psa_say(node, "no_match", "nothing was filtered: no number field %s%s", filter->globs ? "matches " : "came",
                filter->globs ? globs_of(filter, &config->operation[0], shown, sizeof shown) : "");
        return;
    }
    for (size_t i = 0; i < config->n_operation; i++) {
        const struct psa_operation *operation = &config->operation[i];
        bool makes = filter->trait[i] & PSA_MAKES_CHANNEL;

        if (!filter->matched[i])
            psa_say(node, "no_match", "--%s%s%s%s%s found nothing to work on: no number field matches %s",
                    operation->type->name, makes ? " " : "", makes ? operation->fields : "", makes ? "=" : "",
                    makes ? operation->text : "", operation->fields ? operation->fields : "it");
    }
}

static int finish(struct psa_node *node, struct psa_error *error)
{
    say_unmatched(node);
    for (struct psa_slot *base = psa_keyed_next(node->keyed, NULL); base; base = psa_keyed_next(node->keyed, base)) {
        struct psa_filter_slot *slot = (struct psa_filter_slot *)base;

        if (!slot->designed && slot->n_held && release(node, slot, 0, error) != 0) return -1;
        if (psa_filter_finish(node, slot, error) != 0) return -1;
    }
    return 0;
}

const struct psa_stage psa_filter_stage = {
    .name = "psa-filter",
    .summary = "filter the fields of readings or blocks",
    .options = options,
    .config_size = sizeof(struct psa_filter_config),
    .slot = &slot_type,
    .open = open_filter,
    .push = push,
    .heartbeat = heartbeat,
    .promise = promise,
    .finish = finish,
    .close = close_filter,
};
