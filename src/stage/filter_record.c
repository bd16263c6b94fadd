/*
 * filter_record.c - records to frames and frames to records; the records that wait for theirs. See filter.h.
 *
 * Without resampling frames come out as they went in, so the oldest held record is complete when as many frames have come
 * out as it has samples. With resampling the frames that come out are records of their own, made like the newest one.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/record.h"
#include "stage/filter.h"

/* ---- a record to frames ------------------------------------------------------------------------------------------------- */

size_t psa_filter_map(struct psa_filter_slot *slot, const struct psa_record *record, bool *is_block,
                      const struct psa_field **extra)
{
    size_t n = 1;

    *is_block = false;
    if (!record->n_field) { /* nor an array of them to look into */
        if (slot->field) memset(slot->field, 0, slot->schema.n * sizeof *slot->field);
        if (extra) *extra = NULL;
        slot->n_mapped = 0;
        return n;
    }
    slot->n_mapped = psa_schema_map(&slot->schema, record, slot->field, extra);
    for (size_t c = 0; c < slot->schema.n; c++) {
        const struct psa_field *field = slot->field[c];

        if (!field || field->kind != PSA_ARRAY) continue;
        if (*is_block && field->n_array != n) return PSA_NO_INDEX;
        *is_block = true;
        n = field->n_array;
    }
    return n;
}

/* The rate that a block's samples follow each other with; 0: not known. */
static double block_rate(const struct psa_filter_config *config, const struct psa_filter_slot *slot,
                         const struct psa_record *record)
{
    if (config->rate_hz > 0) return config->rate_hz;
    return record->rate_hz > 0 ? record->rate_hz : slot->rate_hz;
}

/* A block may begin this share of its own length before the end of the one before it: a clock that runs fast by as much
 * overlaps nothing. Half a sample it may in any case. */
static const double OVERLAP_SHARE = 0.01;

bool psa_filter_overlaps(const struct psa_node *node, const struct psa_filter_slot *slot,
                         const struct psa_record *record, size_t n, bool is_block)
{
    double rate_hz = is_block ? block_rate(node->config, slot, record) : 0;
    int64_t tolerance_ns;

    if (!record->has_time || !slot->has_block || !slot->designed || !n || !(rate_hz > 0)) return false;
    tolerance_ns = psa_ns_of_samples(fmax(0.5, OVERLAP_SHARE * (double)n), rate_hz);
    return record->timestamp_ns < psa_ns_add(slot->block_end_ns, -tolerance_ns) && psa_filter_remembers(node, slot);
}

static void load_reading(struct psa_filter_slot *slot, const struct psa_record *record)
{
    double *x = slot->in.x;

    for (size_t c = 0; c < slot->schema.n; c++) {
        const struct psa_field *field = slot->field[c];

        x[c] = field && field->kind == PSA_NUMBER ? field->number : NAN;
    }
    for (size_t c = slot->schema.n; c < slot->width; c++) x[c] = NAN;
    if (slot->n_made) memset(slot->apart, 0, slot->width * sizeof *slot->apart);
    slot->in.time_ns[0] = record->has_time ? record->timestamp_ns : 0;
}

static void load_block(struct psa_filter_slot *slot, const struct psa_record *record, size_t n, double rate_hz)
{
    for (size_t c = 0; c < slot->width; c++) {
        const struct psa_field *field = c < slot->schema.n ? slot->field[c] : NULL;
        const double *from = field && field->kind == PSA_ARRAY ? field->array : NULL;

        slot->apart[c] = field && field->kind == PSA_NUMBER;
        for (size_t i = 0; i < n; i++) slot->in.x[i * slot->width + c] = from ? from[i] : NAN;
    }
    for (size_t i = 0; i < n; i++) {
        slot->in.time_ns[i] = record->has_time ? record->timestamp_ns : 0;
        if (rate_hz > 0) slot->in.time_ns[i] = psa_ns_add(slot->in.time_ns[i], psa_ns_of_samples((double)i, rate_hz));
        if (slot->in.time_ns[i] < slot->floor_ns) slot->in.time_ns[i] = slot->floor_ns;
    }
}

static int load_frames(const struct psa_filter_config *config, struct psa_filter_slot *slot,
                       const struct psa_record *record, size_t n, bool is_block, struct psa_error *error)
{
    if (psa_frames_reserve(&slot->in, n ? n : 1) != 0) return psa_fail_memory(error, "filtering");
    slot->in.n = n;
    if (is_block) load_block(slot, record, n, block_rate(config, slot, record));
    else load_reading(slot, record);
    return 0;
}

/* ---- frames to a record --------------------------------------------------------------------------------------------------- */

static void transpose(double *array, const struct psa_frames *frames, size_t channel, size_t n)
{
    for (size_t i = 0; i < n; i++) array[i] = frames->x[i * frames->width + channel];
}

/* Room for arrays of n samples of every channel. */
static int reserve_arrays(struct psa_filter_slot *slot, size_t n, struct psa_error *error)
{
    double *grown;

    if (n <= slot->cap_array) return 0;
    grown = realloc(slot->array, slot->width * n * sizeof *grown);
    if (!grown) return psa_fail_memory(error, "filtering a block");
    slot->array = grown;
    slot->cap_array = n;
    return 0;
}

/* Give the field channel c of the first n frames. */
static void set_field(struct psa_filter_slot *slot, struct psa_field *field, size_t c, const struct psa_frames *frames,
                      size_t n, bool is_block)
{
    double *array;

    if (!is_block) {
        psa_field_set(field, frames->x[c]);
        return;
    }
    array = slot->array + c * slot->cap_array;
    transpose(array, frames, c, n);
    psa_field_set_array(field, array, n);
}

/* Has the record at hand a value, or a missing one, in channel c, so that a result has its place? */
static bool takes_part(const struct psa_filter_slot *slot, size_t c, bool is_block)
{
    const struct psa_field *field = slot->field[c];

    return field && (is_block ? field->kind == PSA_ARRAY : field->kind == PSA_NUMBER || field->kind == PSA_NULL);
}

/* Is the result what came, to the bit? Then it leaves with the text that it came with. */
static bool unchanged(const struct psa_field *field, const struct psa_frames *frames, size_t c, size_t n, bool is_block)
{
    if (!is_block) {
        if (field->kind == PSA_NULL) return isnan(frames->x[c]); /* be it 1e999 */
        return frames->x[c] == field->number && signbit(frames->x[c]) == signbit(field->number);
    }
    for (size_t i = 0; i < n; i++) {
        double x = frames->x[i * frames->width + c], y = field->array[i];

        if (!(x == y && signbit(x) == signbit(y)) && !(isnan(x) && isnan(y))) return false;
    }
    return true;
}

/* Results in the place of what they were made from. */
static void replace_values(struct psa_filter_slot *slot, const struct psa_frames *frames, size_t n, bool is_block)
{
    for (size_t c = 0; c < slot->schema.n; c++)
        if (slot->channel[c].written && slot->channel[c].overwriter == PSA_NO_INDEX && takes_part(slot, c, is_block) &&
            !unchanged(slot->field[c], frames, c, n, is_block))
            set_field(slot, slot->field[c], c, frames, n, is_block);
}

/* A result in a field of its own: behind the others, or in the place of one that has its name. */
static int add_value(struct psa_filter_slot *slot, struct psa_record *record, size_t c, const struct psa_frames *frames,
                     size_t n, bool is_block, bool may_be_there)
{
    const struct psa_filter_channel *channel = &slot->channel[c];
    struct psa_field *field = may_be_there ? psa_record_field(record, channel->out_name, PSA_NO_INDEX) : NULL;

    if (!field) field = psa_record_add_field(record, channel->out_key, channel->out_name);
    if (!field) return -1;
    set_field(slot, field, c, frames, n, is_block);
    return 0;
}

/* Which channels have a value in this record, into channel->there: its fields, and what magnitudes make of any of those, step
 * by step. */
static void find_made(struct psa_filter_slot *slot, size_t n_step, bool is_block)
{
    for (size_t c = 0; c < slot->width; c++)
        slot->channel[c].there = c < slot->schema.n && takes_part(slot, c, is_block);
    for (size_t i = 0; i < n_step; i++) {
        const struct psa_step *step = &slot->step[i];
        bool any = false;

        if (step->operation->type != &psa_magnitude_operation) continue;
        for (size_t k = 0; k + 1 < step->n_channel; k++) any |= slot->channel[step->channel[k]].there;
        slot->channel[step->channel[step->n_channel - 1]].there = any;
    }
}

/* The first n frames become the values of the record, which has just been mapped. */
static int write_record(const struct psa_filter_config *config, struct psa_filter_slot *slot, struct psa_record *record,
                        const struct psa_frames *frames, size_t n, bool is_block, struct psa_error *error)
{
    bool has_others = slot->n_mapped != record->n_field;

    if (is_block && reserve_arrays(slot, n, error) != 0) return -1;
    if (!config->suffix) replace_values(slot, frames, n, is_block);
    if (!config->suffix && !slot->n_made) return 0;
    /* Adding may move the record's fields: which of them take part is asked before. */
    find_made(slot, config->n_operation, is_block);
    for (size_t c = 0; c < slot->width; c++)
        if (slot->channel[c].overwriter == PSA_NO_INDEX)
            slot->channel[c].there = config->suffix && slot->channel[c].written && slot->channel[c].there;
    for (size_t c = 0; c < slot->width; c++)
        if (slot->channel[c].there &&
            add_value(slot, record, c, frames, n, is_block, has_others || slot->channel[c].shares_name) != 0)
            return psa_fail_memory(error, "adding a field");
    return 0;
}

/* ---- resampled records ---------------------------------------------------------------------------------------------------- */

/* One record of the n frames from `at` on, made like the newest. */
static int emit_one(struct psa_node *node, struct psa_filter_slot *slot, size_t at, size_t n, struct psa_error *error)
{
    struct psa_filter *filter = node->state;
    struct psa_record *record = &filter->out;
    struct psa_frames part = { slot->in.width, n, n, slot->in.x + at * slot->in.width, slot->in.time_ns + at };
    double rate_hz = psa_filter_rate_out(node, slot);

    if (psa_record_copy(record, &slot->newest, false) != 0) return psa_fail_memory(error, "copying a record");
    if (slot->newest.has_time && psa_record_set_time(record, part.time_ns[0]) != 0)
        return psa_fail_memory(error, "copying a record");
    if (rate_hz > 0 && psa_record_set_rate(record, rate_hz) != 0) return psa_fail_memory(error, "copying a record");
    if (slot->newest_is_block && reserve_arrays(slot, n, error) != 0) return -1;
    for (size_t c = 0; c < slot->width; c++)
        if (add_value(slot, record, c, &part, n, slot->newest_is_block, false) != 0)
            return psa_fail_memory(error, "adding a field");
    if (psa_filter_labels_give(&slot->labels, record, psa_filter_covers(node, slot, part.time_ns[n - 1])) != 0)
        return psa_fail_memory(error, "joining labels");
    return psa_emit(node, record, error);
}

/* The frames in slot->in as records of their own; blocks of at most PSA_FILTER_BLOCK_MAX values. */
static int emit(struct psa_node *node, struct psa_filter_slot *slot, struct psa_error *error)
{
    size_t most = slot->newest_is_block ? PSA_FILTER_BLOCK_MAX / slot->width : 1;

    if (!most) most = 1;
    if (slot->in.n) slot->out_ns = slot->in.time_ns[slot->in.n - 1];
    for (size_t i = 0; i < slot->in.n; i += most)
        if (emit_one(node, slot, i, slot->in.n - i < most ? slot->in.n - i : most, error) != 0) return -1;
    return 0;
}

/* ---- records that wait ------------------------------------------------------------------------------------------------------ */

struct psa_filter_held *psa_filter_held_at(const struct psa_filter_slot *slot, size_t i)
{
    return &slot->held[(slot->first_held + i) & (slot->cap_held - 1)];
}

/* A larger ring with the same records at its start; the others' storage goes along. */
static int grow_ring(struct psa_filter_slot *slot, struct psa_error *error)
{
    size_t cap = slot->cap_held ? 2 * slot->cap_held : 4;
    struct psa_filter_held *grown = calloc(cap, sizeof *grown);

    if (!grown) return psa_fail_memory(error, "holding a record");
    for (size_t i = 0; i < slot->cap_held; i++) grown[i] = *psa_filter_held_at(slot, i);
    free(slot->held);
    slot->held = grown;
    slot->cap_held = cap;
    slot->first_held = 0;
    return 0;
}

int psa_filter_hold(struct psa_filter_slot *slot, const struct psa_record *record, size_t n, bool is_block,
                    const char *source, uint64_t line, struct psa_error *error)
{
    struct psa_filter_held *held;

    if (slot->n_held == slot->cap_held && grow_ring(slot, error) != 0) return -1;
    held = psa_filter_held_at(slot, slot->n_held);
    held->n = n;
    held->is_block = is_block;
    held->source = source;
    held->line = line;
    if (psa_record_copy(&held->record, record, true) != 0) return psa_fail_memory(error, "holding a record");
    slot->n_held++;
    return 0;
}

void psa_filter_pop(struct psa_filter_slot *slot)
{
    slot->first_held =
        slot->n_held == 1 ? 0 : (slot->first_held + 1) & (slot->cap_held - 1); /* the same few places again */
    slot->n_held--;
    if (slot->n_fed) slot->n_fed--;
}

/* Held records whose frames have all come out go on. */
static int pass_complete(struct psa_node *node, struct psa_filter_slot *slot, struct psa_error *error)
{
    size_t used = 0;
    int status = 0;

    while (status == 0 && slot->n_fed && slot->done.n - used >= psa_filter_held_at(slot, 0)->n) {
        struct psa_filter_held *held = psa_filter_held_at(slot, 0);
        struct psa_frames frames = slot->done;
        bool is_block;

        frames.n -= used;
        if (frames.x) frames.x += used * frames.width;
        psa_filter_map(slot, &held->record, &is_block, NULL);
        used += held->n;
        psa_filter_pop(slot);
        status = write_record(node->config, slot, &held->record, &frames, held->n, held->is_block, error);
        if (status == 0) status = psa_pass_held(node, &held->record, error);
    }
    if (!slot->n_fed) used = slot->done.n; /* frames beyond come only of a state that nobody saved */
    psa_frames_shift(&slot->done, used);
    return status;
}

/* Whatever the steps have let go into slot->in leaves. */
static int hand_out(struct psa_node *node, struct psa_filter_slot *slot, struct psa_error *error)
{
    const struct psa_filter *filter = node->state;

    if (filter->traits & PSA_RESAMPLES) return emit(node, slot, error);
    if (psa_frames_append(&slot->done, &slot->in, 0, slot->in.n) != 0) return psa_fail_memory(error, "filtering");
    return pass_complete(node, slot, error);
}

int psa_filter_finish(struct psa_node *node, struct psa_filter_slot *slot, struct psa_error *error)
{
    size_t want = 0; /* frames of records that still wait: of such a state there may be too few */

    if (!slot->designed) return 0;
    if (psa_filter_drain(node, slot, error) != 0 || hand_out(node, slot, error) != 0) return -1;
    psa_filter_labels_restart(&slot->labels);
    slot->has_out = false;
    for (size_t i = 0; i < slot->n_fed; i++) want += psa_filter_held_at(slot, i)->n;
    if (psa_frames_reserve(&slot->done, want) != 0) return psa_fail_memory(error, "filtering");
    for (; slot->done.n < want; slot->done.n++) {
        for (size_t c = 0; c < slot->width; c++) slot->done.x[slot->done.n * slot->width + c] = NAN;
        slot->done.time_ns[slot->done.n] = 0;
    }
    return pass_complete(node, slot, error);
}

int psa_filter_tell_time(struct psa_node *node, struct psa_filter_slot *slot, int64_t now_ns, struct psa_error *error)
{
    if (psa_filter_advance(node, slot, now_ns, error) != 0) return -1;
    return hand_out(node, slot, error);
}

/* The time of the oldest that may still come of this key, at most ns. */
int64_t psa_filter_owes(struct psa_filter_slot *slot, int64_t ns)
{
    if (slot->n_held && psa_filter_held_at(slot, 0)->record.has_time) {
        int64_t held_ns = psa_filter_held_at(slot, 0)->record.timestamp_ns;

        if (held_ns < ns) ns = held_ns;
    }
    return slot->has_out && slot->out_ns < ns ? slot->out_ns : ns;
}

/* ---- a record's way ------------------------------------------------------------------------------------------------------- */

/* Once a stream: windows with a stride below their length overlap each time. */
static void say_overlap(struct psa_node *node, struct psa_filter_slot *slot)
{
    char shown[128];

    if (slot->said_overlap) return;
    slot->said_overlap = true;
    psa_say(node, "overlapping_block",
            "%s: a block begins before the end of the one before it; such blocks are filtered each by itself; put "
            "psa-filter before psa-window",
            psa_key_show(slot->slot.key, shown));
}

/* All starts anew before this record: it follows a longer gap than --max-gap, or it is a block that overlaps the one before
 * it, as windows with a stride below their length do. */
static int restart_if_broken(struct psa_node *node, struct psa_filter_slot *slot, const struct psa_record *record,
                             size_t n, bool is_block, struct psa_error *error)
{
    const struct psa_filter_config *config = node->config;
    double rate_hz = is_block ? block_rate(config, slot, record) : 0;
    int64_t last_ns = record->timestamp_ns;
    const char *broken = NULL;

    slot->floor_ns = INT64_MIN;
    if (!record->has_time) return 0;
    if (config->max_gap_ns > 0 && slot->has_last &&
        psa_ns_since(record->timestamp_ns, slot->last_ns) > config->max_gap_ns)
        broken = "gap";
    if (is_block && psa_filter_overlaps(node, slot, record, n, is_block)) broken = "overlapping_block";
    if (!broken && slot->has_last) slot->floor_ns = slot->last_ns;
    if (rate_hz > 0 && n) {
        slot->has_block = true;
        slot->block_end_ns = psa_ns_add(record->timestamp_ns, psa_ns_of_samples((double)n, rate_hz));
        last_ns = psa_ns_add(record->timestamp_ns, psa_ns_of_samples((double)(n - 1), rate_hz));
    }
    slot->has_last = true;
    slot->last_ns = last_ns;
    if (!broken) return 0;
    psa_note(node, broken);
    if (strcmp(broken, "overlapping_block") == 0) say_overlap(node, slot);
    return psa_filter_finish(node, slot, error);
}

/* A restart may have mapped the records that waited. */
static void map_again(struct psa_filter_slot *slot, const struct psa_record *record)
{
    bool is_block;

    (void)psa_filter_map(slot, record, &is_block, NULL);
}

/* The first frames are in slot->in: no output will be older, but by an interval, that a mean begins with. */
static void begin_output(const struct psa_node *node, struct psa_filter_slot *slot)
{
    double rate_hz = psa_filter_rate_out(node, slot);

    slot->has_out = true;
    slot->out_ns = psa_ns_add(slot->in.time_ns[0], rate_hz > 0 ? -psa_ns_of_samples(1, rate_hz) : 0);
}

/* Would the block grow beyond what one record may become? Its samples; 0 when not. */
static double too_long(const struct psa_node *node, const struct psa_filter_slot *slot, const struct psa_record *record,
                       size_t n)
{
    const struct psa_filter *filter = node->state;
    double rate_hz = block_rate(node->config, slot, record), rate_out_hz = psa_filter_rate_out(node, slot), grown;

    if (!(filter->traits & PSA_RESAMPLES) || !(rate_hz > 0) || !(rate_out_hz > 0)) return 0;
    grown = (double)n * rate_out_hz / rate_hz;
    return grown * (double)slot->width > PSA_FILTER_GROWTH_MAX ? grown : 0;
}

/* A block that is refused: it would grow beyond measure, or holds nothing and waits with too many others that do. 1: it is
 * dealt with. */
static int refuse_block(struct psa_node *node, struct psa_filter_slot *slot, struct psa_record *record, size_t n,
                        struct psa_error *error)
{
    double grown = too_long(node, slot, record, n);

    if (grown > 0)
        return psa_reject(node, record, "too_long", error,
                          "%zu samples would become %.0f at the new rate, in one record; rejected", n, grown) != 0
                   ? -1
                   : 1;
    if (n == 0 && slot->n_held >= PSA_FILTER_EMPTY_MAX)
        return psa_reject(node, record, "blocks", error,
                          "more than %d blocks wait, and this one holds no sample; rejected", PSA_FILTER_EMPTY_MAX) != 0
                   ? -1
                   : 1;
    return 0;
}

int psa_filter_feed(struct psa_node *node, struct psa_filter_slot *slot, struct psa_record *record, size_t n,
                    bool is_block, bool held, struct psa_error *error)
{
    const struct psa_filter_config *config = node->config;
    const struct psa_filter *filter = node->state;
    bool waiting = slot->n_fed > 0;
    int refused = is_block && !held ? refuse_block(node, slot, record, n, error) : 0;

    if (refused != 0) return refused < 0 ? -1 : 0;
    if (restart_if_broken(node, slot, record, n, is_block, error) != 0) return -1;
    if (waiting) map_again(slot, record);
    if (load_frames(config, slot, record, n, is_block, error) != 0) return -1;
    if (filter->traits & PSA_RESAMPLES) {
        if (psa_record_copy(&slot->newest, record, false) != 0) return psa_fail_memory(error, "copying a record");
        psa_record_unset(&slot->newest, PSA_M_WINDOW); /* which spoke of other samples */
        if (n && psa_filter_labels_note(&slot->labels, record, slot->in.time_ns[0], slot->in.time_ns[n - 1]) != 0)
            return psa_fail_memory(error, "noting labels");
        slot->has_newest = true;
        slot->newest_is_block = is_block;
        if (n && !slot->has_out) begin_output(node, slot);
        if (held) psa_filter_pop(slot);
        else psa_absorb(node);
        if (psa_filter_run(node, slot, error) != 0) return -1;
        return emit(node, slot, error);
    }
    if (psa_filter_run(node, slot, error) != 0) return -1;
    if (!held && !slot->n_held && !slot->done.n && slot->in.n == n) { /* nothing waits, nor need it */
        if (write_record(config, slot, record, &slot->in, n, is_block, error) != 0) return -1;
        return psa_pass(node, record, error);
    }
    if (!held && psa_filter_hold(slot, record, n, is_block, node->source, node->line, error) != 0) return -1;
    if (!held) psa_absorb(node);
    slot->n_fed++;
    return hand_out(node, slot, error);
}
