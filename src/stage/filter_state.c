/*
 * filter_state.c - what psa-filter remembers of a key, as members of its state; see filter.h.
 *
 *     "fields": names of the first record's fields   "rate_hz": of the design, 0: none, or none needed
 *     "block_end_ns", "last_ns", "out_ns": where they are known
 *     "steps": [{"v":[...],"k":[...]},...]           the state of each step; [] before the design
 *     "held": [lines]                                records that wait
 *     "done_ns": [...], "done": [...]                frames that came out, of held records that are not complete
 *     "newest": line, "newest_is_block"              with resampling: what the next record will be made like
 *     "labels_upto_ns", "labels": [[first, last, object or null],...]
 *                                                    with resampling: where the last record out ended, runs of labels
 *     "apart": [channels]                            that the newest block had a number for beside its arrays
 *
 * It is valid if and only if the members go together: a design for that rate has v and k of these lengths, each operation
 * finds its counts and places within them, and every held record has this key's fields.
 */
#include <string.h>

#include "core/record.h"
#include "stage/filter.h"

/* ---- saving --------------------------------------------------------------------------------------------------------------- */

static void save_ints(struct psa_buf *out, const char *name, const int64_t *value, size_t n)
{
    psa_buf_name(out, name);
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < n; i++) {
        psa_buf_comma(out);
        psa_buf_int(out, value[i]);
    }
    psa_buf_puts(out, "]");
}

static void save_apart(const struct psa_filter_slot *slot, struct psa_buf *out)
{
    bool any = false;

    for (size_t c = 0; slot->n_made && c < slot->width; c++) {
        if (!slot->apart[c]) continue;
        if (any) psa_buf_comma(out);
        else psa_buf_name(out, "apart"), psa_buf_puts(out, "[");
        psa_buf_int(out, (int64_t)c);
        any = true;
    }
    if (any) psa_buf_puts(out, "]");
}

static void save_line(struct psa_buf *out, const struct psa_record *record, struct psa_buf *line)
{
    line->n = 0;
    psa_encode(record, line);
    psa_buf_comma(out);
    psa_buf_quote(out, (struct psa_str){ line->p, line->n ? line->n - 1 : 0 });
}

void psa_filter_save(const struct psa_slot *base, struct psa_buf *out)
{
    const struct psa_filter_slot *slot = (const struct psa_filter_slot *)base;
    const struct psa_node *node = slot->slot.owner;
    const struct psa_filter_config *config = node->config;
    struct psa_buf line = { 0 };

    psa_buf_name(out, "fields");
    psa_schema_save(&slot->schema, out);
    psa_buf_member_number(out, "rate_hz", slot->rate_hz);
    if (slot->has_block) psa_buf_member_int(out, "block_end_ns", slot->block_end_ns);
    if (slot->has_out) psa_buf_member_int(out, "out_ns", slot->out_ns);
    if (slot->has_last) psa_buf_member_int(out, "last_ns", slot->last_ns);
    psa_buf_name(out, "steps");
    psa_buf_puts(out, "[");
    for (size_t i = 0; slot->designed && i < config->n_operation; i++) {
        psa_buf_comma(out);
        psa_buf_puts(out, "{");
        psa_buf_member_numbers(out, "v", slot->step[i].v, slot->step[i].n_v);
        save_ints(out, "k", slot->step[i].k, slot->step[i].n_k);
        psa_buf_puts(out, "}");
    }
    psa_buf_puts(out, "]");
    psa_buf_name(out, "held");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < slot->n_held; i++) save_line(out, &psa_filter_held_at(slot, i)->record, &line);
    psa_buf_puts(out, "]");
    save_ints(out, "done_ns", slot->done.time_ns, slot->done.n);
    psa_buf_member_numbers(out, "done", slot->done.x, slot->done.n * slot->width);
    if (slot->has_newest) {
        line.n = 0;
        psa_encode(&slot->newest, &line);
        psa_buf_member_text(out, "newest", (struct psa_str){ line.p, line.n ? line.n - 1 : 0 });
        psa_buf_member_bool(out, "newest_is_block", slot->newest_is_block);
    }
    psa_filter_labels_save(&slot->labels, out);
    save_apart(slot, out);
    if (line.failed) out->failed = true;
    psa_buf_free(&line);
}

/* ---- loading -------------------------------------------------------------------------------------------------------------- */

/* Exactly n numbers, or whole numbers. */
static bool load_numbers(struct psa_json *in, double *value, size_t n)
{
    size_t i = 0;

    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        double number = psa_json_number(in);

        if (i == n) return false;
        value[i++] = number;
    }
    return i == n && !in->fault.what;
}

static bool load_ints(struct psa_json *in, int64_t *value, size_t n)
{
    size_t i = 0;

    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        int64_t number = psa_json_int(in);

        if (i == n) return false;
        value[i++] = number;
    }
    return i == n && !in->fault.what;
}

/* The rate that the chain was designed for; it is designed again. */
static bool load_rate(struct psa_filter_slot *slot, struct psa_json *in)
{
    struct psa_node *node = slot->slot.owner;
    const struct psa_filter_config *config = node->config;
    const struct psa_filter *filter = node->state;
    double rate_hz = psa_json_number(in);
    struct psa_error error;

    if (!(rate_hz >= 0) || in->fault.what) return false;
    if (!slot->schema.n || (filter->needs_rate && rate_hz == 0)) return rate_hz == 0;
    if (!filter->needs_rate && rate_hz != config->rate_hz) return false;
    return psa_filter_design(node, slot, rate_hz, &error) == 0;
}

static bool load_step(struct psa_step *step, struct psa_json *in)
{
    struct psa_str name;
    int seen = 0;

    if (!psa_json_enter_object(in)) return false;
    while (psa_json_next_member(in, &name)) {
        if (psa_str_eq(name, "v") && !(seen & 1) && load_numbers(in, step->v, step->n_v)) seen |= 1;
        else if (psa_str_eq(name, "k") && !(seen & 2) && load_ints(in, step->k, step->n_k)) seen |= 2;
        else return false;
    }
    if (seen != 3 || in->fault.what) return false;
    return !step->operation->type->valid || !step->n_channel || step->operation->type->valid(step);
}

static bool load_steps(struct psa_filter_slot *slot, struct psa_json *in)
{
    const struct psa_node *node = slot->slot.owner;
    const struct psa_filter_config *config = node->config;
    size_t n = 0, want = slot->designed ? config->n_operation : 0;

    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in))
        if (n == want || !load_step(&slot->step[n++], in)) return false;
    return n == want && !in->fault.what;
}

/* Has the record only what this key's channels can be? Its frames in *n. */
static bool fits(struct psa_filter_slot *slot, const struct psa_record *record, size_t *n, bool *is_block)
{
    *n = psa_filter_map(slot, record, is_block, NULL);
    if (*n == PSA_NO_INDEX) return false;
    for (size_t c = 0; c < slot->schema.n; c++)
        if (slot->field[c] && !(PSA_SAMPLES >> slot->field[c]->kind & 1)) return false;
    return true;
}

/* A line's record, by a decoder that the caller frees. */
static const struct psa_record *decode_line(struct psa_decoder *decoder, struct psa_json *in)
{
    struct psa_decoded decoded;
    struct psa_str line = psa_json_text(in);

    return decoder && line.p && psa_decode(decoder, line, &decoded) == PSA_LINE_RECORD ? decoded.record : NULL;
}

static struct psa_decoder *new_decoder(void)
{
    return psa_decoder_new((struct psa_decode_limits){ 1000000, 1000, false });
}

/* The held records, each a line in a string. */
static bool load_held(struct psa_filter_slot *slot, struct psa_json *in)
{
    struct psa_decoder *decoder = new_decoder();
    struct psa_error error;
    bool ok = decoder && psa_json_enter_array(in), is_block;

    while (ok && psa_json_next_item(in)) {
        const struct psa_record *record = decode_line(decoder, in);
        size_t n;

        ok = record && slot->field && fits(slot, record, &n, &is_block) &&
             psa_filter_hold(slot, record, n, is_block, NULL, 0, &error) == 0;
    }
    psa_decoder_free(decoder);
    return ok && !in->fault.what;
}

static bool load_newest(struct psa_filter_slot *slot, struct psa_json *in)
{
    struct psa_decoder *decoder = new_decoder();
    const struct psa_record *record = decode_line(decoder, in);

    slot->has_newest = record && psa_record_copy(&slot->newest, record, false) == 0;
    psa_decoder_free(decoder);
    return slot->has_newest;
}

static bool load_done_times(struct psa_filter_slot *slot, struct psa_json *in)
{
    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        int64_t ns = psa_json_int(in);

        if (!slot->width || psa_frames_reserve(&slot->done, slot->done.n + 1) != 0) return false;
        memset(slot->done.x + slot->done.n * slot->width, 0, slot->width * sizeof *slot->done.x);
        slot->done.time_ns[slot->done.n++] = ns;
    }
    return !in->fault.what;
}

static bool load_apart(struct psa_filter_slot *slot, struct psa_json *in)
{
    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        int64_t c = psa_json_int(in);

        if (c < 0 || (uint64_t)c >= slot->width) return false;
        slot->apart[c] = true;
    }
    return !in->fault.what;
}

static bool load_fields(struct psa_filter_slot *slot, struct psa_json *in)
{
    return psa_schema_load(&slot->schema, in) && psa_filter_make_channels(slot->slot.owner, slot);
}

bool psa_filter_load(struct psa_slot *base, struct psa_str name, struct psa_json *in)
{
    struct psa_filter_slot *slot = (struct psa_filter_slot *)base;

    if (psa_str_eq(name, "fields")) return load_fields(slot, in);
    if (psa_str_eq(name, "rate_hz")) return load_rate(slot, in);
    if (psa_str_eq(name, "steps")) return load_steps(slot, in);
    if (psa_str_eq(name, "held")) return load_held(slot, in);
    if (psa_str_eq(name, "done_ns")) return load_done_times(slot, in);
    if (psa_str_eq(name, "done")) return load_numbers(in, slot->done.x, slot->done.n * slot->width);
    if (psa_str_eq(name, "newest")) return load_newest(slot, in);
    if (psa_str_eq(name, "labels")) return psa_filter_labels_load(&slot->labels, in);
    if (psa_str_eq(name, "apart")) return load_apart(slot, in);
    if (psa_str_eq(name, "newest_is_block")) slot->newest_is_block = psa_json_bool(in);
    else if (psa_str_eq(name, "block_end_ns")) slot->has_block = true, slot->block_end_ns = psa_json_int(in);
    else if (psa_str_eq(name, "labels_upto_ns")) slot->labels.has_upto = true, slot->labels.upto_ns = psa_json_int(in);
    else if (psa_str_eq(name, "out_ns")) slot->has_out = true, slot->out_ns = psa_json_int(in);
    else if (psa_str_eq(name, "last_ns")) slot->has_last = true, slot->last_ns = psa_json_int(in);
    else return false;
    return true;
}

bool psa_filter_loaded(struct psa_slot *base)
{
    struct psa_filter_slot *slot = (struct psa_filter_slot *)base;
    const struct psa_node *node = slot->slot.owner;
    const struct psa_filter *filter = node->state;
    bool resamples = filter->traits & PSA_RESAMPLES;

    /* A member out of its place reads as one that is missing: the design and the fields were not there yet. */
    if (slot->schema.n && !slot->field) return false;
    if (!resamples && (slot->labels.n || slot->labels.has_upto)) return false;
    if (!slot->designed) {
        if ((slot->schema.n && !filter->needs_rate) || slot->n_held >= PSA_FILTER_HELD_MAX) return false;
        return slot->done.n == 0 && !slot->has_newest && (slot->n_held == 0 || slot->schema.n);
    }
    if (resamples && (slot->n_held || slot->done.n)) return false;
    if (resamples != slot->has_newest) return false;
    slot->n_fed = slot->n_held;
    return slot->n_held || slot->done.n == 0;
}
