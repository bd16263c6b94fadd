/*
 * filter_chain.c - the chain of one key: which channels there are, each operation's design for the key's rate, and the way
 * of frames through the steps. See filter.h.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/glob.h"
#include "core/record.h"
#include "stage/filter.h"

/* ---- channels ----------------------------------------------------------------------------------------------------------- */

static size_t channel_named(const struct psa_filter_slot *slot, struct psa_str name)
{
    for (size_t c = 0; c < slot->width; c++)
        if (psa_str_is(slot->channel[c].name, name)) return c;
    return PSA_NO_INDEX;
}

/* The names of a channel's field and of the one that its result goes into. */
static bool name_channel(const struct psa_filter_config *config, struct psa_filter_slot *slot,
                         struct psa_filter_channel *channel, struct psa_str name, size_t maker)
{
    size_t n_suffix = config->suffix && maker == PSA_NO_INDEX ? strlen(config->suffix) : 0; /* one made has a name */
    char *out = psa_arena_take(&slot->arena, name.n + n_suffix + 1);

    if (!out) return false;
    if (name.n) memcpy(out, name.p, name.n);
    if (n_suffix) memcpy(out + name.n, config->suffix, n_suffix);
    *channel = (struct psa_filter_channel){ .name = { out, name.n }, .maker = maker, .overwriter = maker };
    channel->out_name = (struct psa_str){ out, name.n + n_suffix };
    channel->key = psa_field_key(&slot->arena, channel->name);
    channel->out_key = psa_field_key(&slot->arena, channel->out_name);
    return channel->key.p && channel->out_key.p;
}

/* Which channels the operation works on: those its globs name and that are there when it comes. Their number. */
static size_t choose_channels(const struct psa_node *node, struct psa_filter_slot *slot, size_t at, size_t *chosen)
{
    const struct psa_filter_config *config = node->config;
    const struct psa_filter *filter = node->state;
    const struct psa_operation *operation = &config->operation[at];
    bool makes = filter->trait[at] & PSA_MAKES_CHANNEL, resamples = filter->trait[at] & PSA_RESAMPLES;
    size_t n = 0, made = makes ? channel_named(slot, psa_str_of(operation->text)) : PSA_NO_INDEX;

    for (size_t c = 0; c < slot->width; c++) {
        struct psa_filter_channel *channel = &slot->channel[c];
        bool there = channel->maker == PSA_NO_INDEX || channel->maker < at;

        if (!resamples && (!there || c == made || !psa_glob_match(operation->fields, channel->name))) continue;
        chosen[n++] = c;
        if (!makes) channel->written = true;
    }
    if (!makes) return n;
    chosen[n++] = made;
    slot->channel[made].written = true;
    return n;
}

/* The channel that an operation makes; a field that records have already keeps its name all the same. */
static bool make_channel(const struct psa_filter_config *config, struct psa_filter_slot *slot, size_t at)
{
    struct psa_str name = psa_str_of(config->operation[at].text);
    size_t c = channel_named(slot, name);

    if (c == PSA_NO_INDEX) {
        c = slot->width++;
        if (!name_channel(config, slot, &slot->channel[c], name, at)) return false;
    }
    slot->channel[c].overwriter = at;
    slot->channel[c].out_name = slot->channel[c].name;
    slot->channel[c].out_key = slot->channel[c].key;
    return true;
}

/* May a field that results go into be there already, in a record that has only the key's fields? */
static void find_shared_names(const struct psa_filter_config *config, struct psa_filter_slot *slot)
{
    for (size_t c = 0; c < slot->width; c++)
        for (size_t d = 0; d < slot->width && (config->suffix || slot->channel[c].overwriter != PSA_NO_INDEX); d++)
            if ((d < slot->schema.n && psa_str_is(slot->channel[d].name, slot->channel[c].out_name)) ||
                (d != c && psa_str_is(slot->channel[d].out_name, slot->channel[c].out_name)))
                slot->channel[c].shares_name = true;
}

bool psa_filter_make_channels(struct psa_node *node, struct psa_filter_slot *slot)
{
    const struct psa_filter_config *config = node->config;
    struct psa_filter *filter = node->state;
    size_t most = slot->schema.n + config->n_operation;

    if (!slot->schema.n) return true;
    slot->channel = calloc(most, sizeof *slot->channel);
    slot->field = calloc(slot->schema.n, sizeof *slot->field);
    slot->of_step = calloc(most * config->n_operation, sizeof *slot->of_step);
    if (!slot->channel || !slot->field || !slot->of_step) return false;
    for (; slot->width < slot->schema.n; slot->width++)
        if (!name_channel(config, slot, &slot->channel[slot->width], slot->schema.name[slot->width], PSA_NO_INDEX))
            return false;
    for (size_t i = 0; i < config->n_operation; i++)
        if (filter->trait[i] & PSA_MAKES_CHANNEL && !make_channel(config, slot, i)) return false;
    find_shared_names(config, slot);
    slot->apart = calloc(slot->width + 1, sizeof *slot->apart);
    if (!slot->apart) return false;
    for (size_t c = 0; c < slot->width; c++) slot->n_made += slot->channel[c].overwriter != PSA_NO_INDEX;
    for (size_t i = 0; i < config->n_operation; i++) {
        size_t n = choose_channels(node, slot, i, slot->of_step + i * slot->width);

        filter->matched[i] |= n > (filter->trait[i] & PSA_MAKES_CHANNEL ? 1u : 0u);
    }
    slot->in.width = slot->spare.width = slot->extra.width = slot->done.width = slot->width;
    return true;
}

/* ---- designs ------------------------------------------------------------------------------------------------------------ */

void psa_filter_drop_steps(struct psa_step *step, size_t n)
{
    for (size_t i = 0; step && i < n; i++) {
        if (step[i].operation && step[i].operation->type->drop) step[i].operation->type->drop(&step[i]);
        free(step[i].v);
        free(step[i].k);
    }
    free(step);
}

static void start_step(struct psa_step *step)
{
    const struct psa_operation_type *type = step->operation->type;

    if (step->n_v) memset(step->v, 0, step->n_v * sizeof *step->v);
    if (step->n_k) memset(step->k, 0, step->n_k * sizeof *step->k);
    if (type->start && step->n_channel) type->start(step);
}

/* Design step[at] behind the one before it. */
static int design_step(const struct psa_node *node, struct psa_filter_slot *slot, struct psa_step *step, size_t at,
                       double rate_hz, bool told, struct psa_error *error)
{
    const struct psa_filter_config *config = node->config;

    *step = (struct psa_step){ .operation = &config->operation[at], .rate_hz = rate_hz, .rate_out_hz = rate_hz };
    step->told_interval_s = told && rate_hz > 0 ? 1 / rate_hz : 0;
    step->width = slot->width;
    step->apart = slot->apart;
    step->channel = slot->of_step + at * slot->width;
    step->n_channel = choose_channels(node, slot, at, slot->of_step + at * slot->width);
    if (!step->n_channel) return 0;
    if (step->operation->type->design && step->operation->type->design(step, error) != 0) {
        step->operation = NULL; /* nothing to drop */
        return -1;
    }
    if (step->n_v > PSA_FILTER_STATE_MAX || step->n_k > PSA_FILTER_STATE_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--%s: too many samples of %zu fields to remember; give a shorter length, or --fields",
                        step->operation->type->name, step->n_channel);
    step->v = calloc(step->n_v + 1, sizeof *step->v);
    step->k = calloc(step->n_k + 1, sizeof *step->k);
    if (!step->v || !step->k) return psa_fail_memory(error, "designing a filter");
    start_step(step);
    return 0;
}

int psa_filter_design(struct psa_node *node, struct psa_filter_slot *slot, double rate_hz, struct psa_error *error)
{
    const struct psa_filter_config *config = node->config;
    const struct psa_filter *filter = node->state;
    struct psa_step *step = calloc(config->n_operation, sizeof *step);
    double rate_at_hz = rate_hz;
    bool told = config->rate_hz > 0;

    if (!step) return psa_fail_memory(error, "designing a filter");
    for (size_t i = 0; i < config->n_operation; i++) {
        if (design_step(node, slot, &step[i], i, rate_at_hz, told, error) != 0) {
            psa_filter_drop_steps(step, config->n_operation);
            return -1;
        }
        rate_at_hz = step[i].rate_out_hz;
        told |= (filter->trait[i] & PSA_RESAMPLES) != 0;
    }
    psa_filter_drop_steps(slot->step, config->n_operation);
    slot->step = step;
    slot->rate_hz = rate_hz;
    slot->designed = true;
    return 0;
}

int psa_filter_probe(const struct psa_operation *operation, double rate_hz, bool told, double *rate_out_hz,
                     struct psa_error *error)
{
    static const size_t channel[2] = { 0, 1 };
    struct psa_step step = { .operation = operation,
                             .channel = channel,
                             .n_channel = operation->type->traits(operation) & PSA_MAKES_CHANNEL ? 2 : 1,
                             .width = 2,
                             .rate_hz = rate_hz,
                             .rate_out_hz = rate_hz,
                             .told_interval_s = told && rate_hz > 0 ? 1 / rate_hz : 0 };

    if (operation->type->design && operation->type->design(&step, error) != 0) return -1;
    if (operation->type->drop) operation->type->drop(&step);
    *rate_out_hz = step.rate_out_hz;
    return 0;
}

int psa_filter_check(struct psa_node *node, double rate_hz, double *rate_out_hz, struct psa_error *error)
{
    const struct psa_filter_config *config = node->config;
    const struct psa_filter *filter = node->state;
    bool told = config->rate_hz > 0;

    *rate_out_hz = rate_hz;
    for (size_t i = 0; i < config->n_operation; i++) {
        if (psa_filter_probe(&config->operation[i], *rate_out_hz, told, rate_out_hz, error) != 0) return -1;
        told |= (filter->trait[i] & PSA_RESAMPLES) != 0;
    }
    return 0;
}

double psa_filter_rate_out(const struct psa_node *node, const struct psa_filter_slot *slot)
{
    const struct psa_filter_config *config = node->config;
    const struct psa_filter *filter = node->state;
    double rate_hz = slot->step[config->n_operation - 1].rate_out_hz;

    return rate_hz > 0 ? rate_hz : slot->newest.rate_hz * filter->rate_share;
}

int64_t psa_filter_covers(const struct psa_node *node, const struct psa_filter_slot *slot, int64_t time_ns)
{
    const struct psa_filter_config *config = node->config;

    for (size_t i = config->n_operation; i-- > 0;) {
        const struct psa_step *step = &slot->step[i];

        if (step->n_channel && step->operation->type->covers) time_ns = step->operation->type->covers(step, time_ns);
    }
    return time_ns;
}

bool psa_filter_remembers(const struct psa_node *node, const struct psa_filter_slot *slot)
{
    const struct psa_filter_config *config = node->config;
    const struct psa_filter *filter = node->state;

    for (size_t i = 0; i < config->n_operation; i++)
        if (!(filter->trait[i] & PSA_WHOLE_BLOCKS) && (slot->step[i].n_v || slot->step[i].n_k)) return true;
    return false;
}

/* ---- running ------------------------------------------------------------------------------------------------------------ */

/* A channel's output left the range of a double, and its state with it. */
static void say_overflow(struct psa_node *node, const struct psa_filter_slot *slot, const struct psa_step *step)
{
    struct psa_str name = slot->channel[step->overflown_channel].name;
    char shown[128];

    psa_say(node, "overflow", "%s: fields.%.*s left the range of a double; its filter starts anew",
            psa_key_show(slot->slot.key, shown), (int)name.n, name.p);
}

/* What the step has counted goes into `noted`. */
static void take_counts(struct psa_node *node, const struct psa_filter_slot *slot, struct psa_step *step)
{
    char shown[128];

    if (!(step->replaced | step->filled | step->overflown | step->too_short | step->leapt)) return;
    if (step->replaced) psa_count(&node->stats.noted, "outlier", step->replaced);
    if (step->filled) psa_count(&node->stats.noted, "filled", step->filled);
    if (step->overflown) psa_count(&node->stats.noted, "overflow", step->overflown);
    if (step->overflown) say_overflow(node, slot, step);
    if (step->too_short) psa_count(&node->stats.noted, "too_short", step->too_short);
    if (step->too_short)
        psa_say(node, "too_short", "%s: too few samples in a block for --%s with --zero-phase; the result is null",
                psa_key_show(slot->slot.key, shown), step->operation->type->name);
    if (step->leapt) psa_count(&node->stats.noted, "gap", step->leapt);
    if (step->leapt)
        psa_say(node, "gap", "%s: more steps of --%s between two samples than it takes; it starts anew",
                psa_key_show(slot->slot.key, shown), step->operation->type->name);
    step->replaced = step->filled = step->overflown = step->too_short = step->leapt = 0;
}

static int run_step(struct psa_node *node, struct psa_filter_slot *slot, struct psa_step *step, struct psa_error *error)
{
    const struct psa_filter *filter = node->state;

    if (!step->n_channel || !slot->in.n) return 0;
    if (step->operation->type->run(step, &slot->in, &slot->spare) != 0) return psa_fail_memory(error, "filtering");
    take_counts(node, slot, step);
    if (filter->trait[step - slot->step] & PSA_WHOLE_BLOCKS) start_step(step); /* the next block is by itself */
    return 0;
}

int psa_filter_run(struct psa_node *node, struct psa_filter_slot *slot, struct psa_error *error)
{
    const struct psa_filter_config *config = node->config;

    for (size_t i = 0; i < config->n_operation; i++)
        if (run_step(node, slot, &slot->step[i], error) != 0) return -1;
    return 0;
}

/* Frames that a step lets go run through those behind it, and then these are asked. */
static int let_go(struct psa_node *node, struct psa_filter_slot *slot, bool all, int64_t now_ns,
                  struct psa_error *error)
{
    const struct psa_filter_config *config = node->config;

    slot->in.n = 0;
    for (size_t i = 0; i < config->n_operation; i++) {
        struct psa_step *step = &slot->step[i];
        const struct psa_operation_type *type = step->operation->type;
        int status = 0;

        if (run_step(node, slot, step, error) != 0) return -1;
        if (!step->n_channel) continue;
        slot->extra.n = 0;
        if (all && type->drain) status = type->drain(step, &slot->extra);
        else if (!all && type->advance) status = type->advance(step, now_ns, &slot->extra);
        if (status != 0 || psa_frames_append(&slot->in, &slot->extra, 0, slot->extra.n) != 0)
            return psa_fail_memory(error, "filtering");
        take_counts(node, slot, step);
        if (all) start_step(step);
    }
    return 0;
}

int psa_filter_advance(struct psa_node *node, struct psa_filter_slot *slot, int64_t now_ns, struct psa_error *error)
{
    return let_go(node, slot, false, now_ns, error);
}

int psa_filter_drain(struct psa_node *node, struct psa_filter_slot *slot, struct psa_error *error)
{
    return let_go(node, slot, true, 0, error);
}
