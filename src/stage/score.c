/*
 * score.c - psa-score: how unusual is this record? By a model that psa-train made from good days, or by a detector that
 * learns from each stream. Either way the record goes on with fields.anomaly_score, fields.anomaly_label and a member
 * `anomaly` that says by which model, against which threshold and because of which fields. The maths is in model/; here
 * records become rows, score_setup.c makes verdicts of these, score_verdict.c writes them.
 */
#include "stage/score.h"

#include <math.h>
#include <stdlib.h>

#include "core/chain.h"
#include "core/error.h"
#include "core/record.h"
#include "model/linear.h"
#include "model/model_file.h"
#include "stage/score_group.h"
#include "stage/score_history.h"
#include "stage/score_models.h"
#include "stage/slot.h"

/* ---- what a stream remembers ------------------------------------------------------------------------------------ */

static const struct psa_score_config *config_of(const struct psa_node *node)
{
    return node->config;
}

static struct psa_score *state_of(const struct psa_slot *slot)
{
    return ((const struct psa_node *)slot->owner)->state;
}

/* The stream goes before its model: its detector may look at that to the last. */
static void slot_drop(struct psa_slot *base)
{
    struct psa_score_slot *slot = (struct psa_score_slot *)base;

    psa_score_stream_stop(&slot->stream);
    psa_model_file_leave(state_of(base)->files, slot->file);
    psa_schema_free(&slot->schema);
}

/* "schema", of a stream that is scored for itself; with --models "model", null where a state was loaded but there is no model
 * any more; then what the stream remembers. */
static void slot_save(const struct psa_slot *base, struct psa_buf *out)
{
    const struct psa_score_slot *slot = (const struct psa_score_slot *)base;

    if (config_of(base->owner)->models != NULL) {
        psa_buf_name(out, "model");
        if (slot->started) psa_buf_quote(out, psa_str_of(slot->stream.setup->name));
        else psa_buf_puts(out, "null");
        if (!slot->started) return;
    }
    if (slot->stream.setup->model == NULL) {
        psa_buf_name(out, "schema");
        psa_schema_save(&slot->schema, out);
    }
    psa_score_stream_save(&slot->stream, out);
}

static int start_stream(struct psa_score_slot *slot, struct psa_score_setup *setup, struct psa_error *error)
{
    slot->started = psa_score_stream_start(&slot->stream, setup, slot->schema.name, slot->schema.n, error) == 0;
    return slot->started ? 0 : -1;
}

static void passing_drop(struct psa_slot *base)
{
    psa_model_file_leave(state_of(base)->files, ((struct psa_score_passing *)base)->file);
}

static const struct psa_slot_type passing_type = { .size = sizeof(struct psa_score_passing), .drop = passing_drop };

/* --models: the model of a key without one so far, with one user more, in *file; or, *file NULL, the stream in *passing: it has
 * none, which is looked up once. -1 with *error set when memory is out. */
static int ask_model(struct psa_node *node, struct psa_str key, struct psa_model_file **file,
                     struct psa_score_passing **passing, struct psa_error *error)
{
    struct psa_score *score = node->state;
    bool fresh, evicted;

    *file = NULL;
    if (psa_keyed_peek(score->passing, key) == NULL) {
        if (psa_score_models_find(node, key, file, error) != 0) return -1;
        if (*file != NULL && (*file)->model != NULL) return 0;
    }
    *passing = (struct psa_score_passing *)psa_keyed_get(score->passing, key, &fresh, &evicted);
    if (*passing == NULL) {
        psa_model_file_leave(score->files, *file);
        return psa_fail_memory(error, "opening a key");
    }
    if (fresh) (*passing)->file = *file;
    *file = NULL;
    return 0;
}

/* The file is the slot's from now on. */
static int start_by_file(struct psa_score_slot *slot, struct psa_model_file *file, struct psa_error *error)
{
    slot->file = file;
    return start_stream(slot, &file->setup, error);
}

/* A stream whose model is another now, or which has one only now, starts afresh: all others need not for that. */
static bool load_model_id(struct psa_score_slot *slot, struct psa_json *in)
{
    struct psa_node *node = slot->slot.owner;
    struct psa_score_passing *passing;
    struct psa_model_file *file;
    struct psa_error error = { 0 };
    struct psa_str id = { NULL, 0 };
    char shown[PSA_KEY_SHOWN];

    if (slot->started || slot->stale) return false;
    slot->stale = true;
    if (psa_json_peek(in) == 'n') return psa_json_skip(in).p != NULL;
    id = psa_json_text(in);
    if (id.p == NULL || ask_model(node, slot->slot.key, &file, &passing, &error) != 0) return false;
    if (file != NULL && start_by_file(slot, file, &error) != 0) return false;
    slot->stale = !slot->started || !psa_str_eq(id, slot->stream.setup->name);
    if (slot->stale)
        psa_say(node, "other_model", "%s: its model is not the one its state was kept under; it starts afresh",
                psa_key_show(slot->slot.key, shown));
    return true;
}

static bool slot_load(struct psa_slot *base, struct psa_str name, struct psa_json *in)
{
    struct psa_score_slot *slot = (struct psa_score_slot *)base;
    struct psa_score *score = state_of(base);
    bool by_key = config_of(base->owner)->models != NULL;
    struct psa_error error = { 0 };

    if (by_key && psa_str_eq(name, "model")) return load_model_id(slot, in);
    if (slot->stale) return psa_json_skip(in).p != NULL;
    if (!by_key && score->setup.model == NULL && psa_str_eq(name, "schema"))
        return !slot->started && psa_schema_load(&slot->schema, in) && slot->schema.n > 0 &&
               start_stream(slot, &score->setup, &error) == 0;
    if (score->setup.model != NULL && !slot->started && start_stream(slot, &score->setup, &error) != 0) return false;
    return slot->started && psa_score_stream_load(&slot->stream, name, in);
}

static bool slot_loaded(struct psa_slot *base)
{
    struct psa_score_slot *slot = (struct psa_score_slot *)base;

    if (slot->stale) return true;
    return slot->started && psa_score_stream_loaded(&slot->stream);
}

static const struct psa_slot_type slot_type = { .size = sizeof(struct psa_score_slot),
                                                .drop = slot_drop,
                                                .save = slot_save,
                                                .load = slot_load,
                                                .loaded = slot_loaded };

/* By a model: {"model":ID,"streams":[...]}; else the streams, or groups, alone. */
static int score_save(struct psa_node *node, struct psa_buf *out, struct psa_error *error)
{
    const struct psa_score *score = node->state;

    if (score->groups != NULL) {
        psa_score_groups_save(score->groups, out);
        return out->failed ? psa_fail_memory(error, "saving the state") : 0;
    }
    if (score->file != NULL) {
        psa_buf_puts(out, "{");
        psa_buf_member_text(out, "model", psa_str_of(score->file->model->id));
        psa_buf_name(out, "streams");
    }
    psa_keyed_save(node->keyed, out);
    if (score->file != NULL) psa_buf_puts(out, "}");
    return out->failed ? psa_fail_memory(error, "saving the state") : 0;
}

static int score_load(struct psa_node *node, struct psa_json *in, struct psa_error *error)
{
    const struct psa_score *score = node->state;
    bool same_model = false, streams = false;
    struct psa_str name;

    if (score->groups != NULL) return psa_score_groups_load(node, score->groups, in, error);
    if (score->file == NULL) {
        (void)psa_keyed_load(node->keyed, in); /* a fault stays in `in`, where the node finds it */
        return 0;
    }
    if (!psa_json_enter_object(in)) return 0;
    while (psa_json_next_member(in, &name)) {
        if (psa_str_eq(name, "model") && !same_model) {
            struct psa_str id = psa_json_text(in);

            same_model = psa_str_eq(id, score->file->model->id);
            if (!same_model && in->fault.what == NULL)
                return psa_fail(
                    error, PSA_EXIT_PERMANENT,
                    "the state was kept under model '%.*s', this is '%s'; move the file away to start afresh",
                    id.n < PSA_MODEL_ID_MAX ? (int)id.n : PSA_MODEL_ID_MAX, id.p, score->file->model->id);
        } else if (psa_str_eq(name, "streams") && same_model && !streams) {
            streams = psa_keyed_load(node->keyed, in);
        } else {
            psa_json_refuse(in, "a member that no state of psa-score has at this place");
        }
    }
    if (!streams) psa_json_refuse(in, "a state of psa-score that lacks a member");
    return 0;
}

/* ---- opening and closing ------------------------------------------------------------------------------------------ */

/* Scratch for n columns. */
static int make_room(struct psa_score *score, size_t n, struct psa_error *error)
{
    void *grown;

    if (n <= score->room) return 0;
    if ((grown = realloc(score->field, n * sizeof(struct psa_field *))) == NULL)
        return psa_fail_memory(error, "scoring");
    score->field = grown;
    if ((grown = realloc(score->row, n * sizeof *score->row)) == NULL) return psa_fail_memory(error, "scoring");
    score->row = grown;
    score->room = n;
    return 0;
}

/* --models, --groups */
static int open_many(struct psa_node *node, struct psa_score *score, struct psa_error *error)
{
    const struct psa_score_config *config = config_of(node);

    if (config->groups != NULL) {
        score->groups = psa_score_groups_open(node, config->groups, error);
        return score->groups != NULL ? 0 : -1;
    }
    score->passing = psa_keyed_new(&passing_type, node->options.max_keys);
    if (score->passing == NULL) return psa_fail_memory(error, "starting");
    psa_keyed_own(score->passing, node);
    return psa_score_models_check(node, config->models, error);
}

static int score_open(struct psa_node *node, struct psa_error *error)
{
    const struct psa_score_config *config = config_of(node);
    const struct psa_model *model = NULL;
    struct psa_score *score = calloc(1, sizeof *score);

    node->state = score;
    if (score == NULL || (score->files = psa_model_files_new()) == NULL) return psa_fail_memory(error, "starting");
    if (psa_score_config_check(config, error) != 0) return -1;
    if (config->models != NULL || config->groups != NULL) return open_many(node, score, error);
    if (config->model != NULL) {
        if (psa_model_file_need(score->files, node, config->model, &score->file, error) != 0) return -1;
        model = score->file->model;
    }
    if (psa_score_setup_open(&score->setup, config, model, &score->scratch, error) != 0) return -1;
    if (psa_score_setup_run(node, &score->setup, error) != 0) return -1;
    if (score->setup.keyed) return 0;
    if (config->history != NULL)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--history means nothing with model '%s': by it no record depends on those before", model->id);
    return psa_score_stream_start(&score->common, &score->setup, NULL, 0, error);
}

static int score_begin(struct psa_node *node, bool resumed, struct psa_error *error)
{
    const struct psa_score_config *config = config_of(node);

    return config->history != NULL && !resumed ? psa_score_history(node, config->history, error) : 0;
}

static size_t score_keys(const struct psa_node *node)
{
    const struct psa_score *score = node->state;

    return score != NULL && score->groups != NULL ? score->groups->n : psa_keyed_count(node->keyed);
}

/* The streams go first: their detectors may look at the model to the last. */
static void score_close(struct psa_node *node)
{
    struct psa_score *score = node->state;

    psa_keyed_free(node->keyed);
    node->keyed = NULL;
    if (score == NULL) return;
    psa_keyed_free(score->passing);
    if (score->groups != NULL) psa_score_groups_close(node, score->groups);
    psa_score_stream_stop(&score->common);
    psa_score_setup_close(&score->setup);
    psa_score_conditions_free(&score->conditions);
    psa_model_file_leave(score->files, score->file);
    psa_model_files_free(score->files);
    psa_scratch_free(&score->scratch);
    free(score->field);
    free(score->row);
    psa_buf_free(&score->json);
    free(score);
    node->state = NULL;
}

/* ---- from fields to a row --------------------------------------------------------------------------------------------- */

static int reject_array(struct psa_node *node, struct psa_record *record, struct psa_str name, struct psa_error *error)
{
    return psa_reject(node, record, "array", error,
                      "fields.%.*s is an array, a window rather than features; put psa-features before psa-score",
                      (int)name.n, name.p);
}

/* A column's field is no number: the record cannot be scored. */
static int reject_type(struct psa_node *node, struct psa_record *record, const struct psa_field *field,
                       struct psa_error *error)
{
    if (field->kind == PSA_ARRAY) return reject_array(node, record, field->name, error);
    return psa_reject(node, record, "type", error, "fields.%.*s is not a number; skipped", (int)field->name.n,
                      field->name.p);
}

/* Is there a number or null to score? *array: the first field that is an array, if any. */
static bool is_usable(const struct psa_record *record, const struct psa_field **array)
{
    bool usable = false;

    *array = NULL;
    for (size_t i = 0; i < record->n_field; i++) {
        const struct psa_field *field = &record->field[i];

        if (field->shadowed) continue;
        if (field->kind == PSA_ARRAY && *array == NULL) *array = field;
        usable = usable || ((PSA_READINGS >> field->kind & 1) && !psa_field_is_verdict(field->name));
    }
    return usable;
}

/* score->field[0 .. n) to score->row, NaN where there is no value. *wrong becomes the index of the first field that is no
 * number, n if there is none. */
static void read_row(struct psa_score *score, size_t n, size_t *wrong)
{
    *wrong = n;
    for (size_t j = 0; j < n; j++) {
        const struct psa_field *field = score->field[j];

        score->row[j] = field != NULL && field->kind == PSA_NUMBER ? field->number : NAN;
        if (field != NULL && !(PSA_READINGS >> field->kind & 1) && *wrong == n) *wrong = j;
    }
}

/* A wish for so many false alarms in a time needs to know how often rows come. */
static void note_timeless(struct psa_node *node)
{
    psa_note(node, "no_time");
    psa_say(node, "no_time", "a record without time; --false-alarms learns from times how often rows come");
}

void psa_score_leave_out_beyond(struct psa_node *node, const struct psa_score_stream *stream, double *values)
{
    size_t n = 0;

    if (stream->setup->model != NULL) return;
    for (size_t j = 0; j < stream->n; j++) {
        if (!(fabs(values[j]) > PSA_VALUE_MAX)) continue;
        psa_say(node, "beyond", "fields.%.*s is %g; beyond +-%g a value counts as missing", (int)stream->name[j].n,
                stream->name[j].p, values[j], PSA_VALUE_MAX);
        values[j] = NAN;
        n++;
    }
    if (n > 0) psa_note(node, "beyond");
}

/* The row in score->row, scored by its stream, whose verdict goes out with the record. */
static int push_row(struct psa_node *node, struct psa_record *record, struct psa_score_stream *stream,
                    struct psa_error *error)
{
    struct psa_score *score = node->state;
    struct psa_score_verdict verdict;

    if (stream->setup->rule.false_alarms_hz > 0.0 && !record->has_time) note_timeless(node);
    psa_score_leave_out_beyond(node, stream, score->row);
    if (!psa_score_stream_waits(node, stream, record, score->row, &verdict) &&
        psa_score_stream_row(stream, score->row, record->has_time, record->timestamp_ns, &verdict, error) != 0)
        return -1;
    if (stream->setup->note.text[0] != '\0') psa_score_stream_note(node, stream, psa_node_key(node, record));
    if (psa_score_write(node, record, &verdict, error) != 0) return -1;
    return psa_pass(node, record, error);
}

/* ---- by a model --------------------------------------------------------------------------------------------------- */

/* Find the model's features; returns the index of the first that the record lacks, n_features if it has all. */
static size_t map_features(struct psa_score *score, const struct psa_model *model, const struct psa_record *record)
{
    size_t hint = 0;

    for (size_t j = 0; j < model->n_features; j++) {
        score->field[j] = psa_record_field(record, model->feature[j], hint);
        if (score->field[j] == NULL) return j;
        hint = (size_t)(score->field[j] - record->field) + 1;
    }
    return model->n_features;
}

/* The record lacks a feature of the model: it passes unscored; the model's first such record is said. */
static int pass_unmatched(struct psa_node *node, struct psa_record *record, struct psa_str feature, bool *said,
                          struct psa_error *error)
{
    psa_note(node, "unscored");
    if (!*said)
        psa_say(node, "unmatched",
                "fields.%.*s is missing, a feature of the model; this record and others that it does not match "
                "pass unscored",
                (int)feature.n, feature.p);
    *said = true;
    return psa_pass(node, record, error);
}

/* The stream of the record's key, where the setup needs one. *slot == NULL: the record is dealt with already. */
static int find_model_stream(struct psa_node *node, struct psa_record *record, struct psa_score_slot **slot,
                             struct psa_error *error)
{
    struct psa_score *score = node->state;
    struct psa_slot *base;
    bool fresh = false;
    int status = psa_slot_find(node, record, 0, &base, &fresh, error);

    *slot = (struct psa_score_slot *)base;
    if (status != 0 || base == NULL) return status;
    return fresh ? start_stream(*slot, &score->setup, error) : 0;
}

/* By the file's model, which the slot that is found works by. */
static int push_model(struct psa_node *node, struct psa_record *record, struct psa_model_file *file,
                      struct psa_error *error)
{
    struct psa_score *score = node->state;
    const struct psa_model *model = file->model;
    size_t n = model->n_features, lacking, wrong;
    struct psa_score_slot *slot;

    if (make_room(score, n, error) != 0) return -1;
    lacking = map_features(score, model, record);
    if (lacking < n) return pass_unmatched(node, record, model->feature[lacking], &file->said_unmatched, error);
    read_row(score, n, &wrong);
    if (wrong < n) return reject_type(node, record, score->field[wrong], error);
    if (score->file != NULL && !score->setup.keyed) return push_row(node, record, &score->common, error);
    if (find_model_stream(node, record, &slot, error) != 0) return -1;
    if (slot == NULL) return 0;
    psa_slot_advance(&slot->slot, record);
    return push_row(node, record, &slot->stream, error);
}

/* --models: a record without a model, or with one that is broken, passes. */
static int push_by_key(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    struct psa_str key = psa_node_key(node, record);
    struct psa_score_passing *passing;
    struct psa_model_file *file = NULL;
    struct psa_score_slot *slot;

    if (key.p == NULL)
        return psa_reject(node, record, "no_key", error, "there is no %s to tell the stream by; rejected",
                          node->options.key);
    slot = (struct psa_score_slot *)psa_keyed_peek(node->keyed, key);
    if (slot == NULL || !slot->started) {
        if (ask_model(node, key, &file, &passing, error) != 0) return -1;
        if (file == NULL) {
            psa_note(node, passing->file != NULL ? "broken_model" : "unmodelled");
            return psa_pass(node, record, error);
        }
    }
    slot = (struct psa_score_slot *)psa_slot_of(node, key); /* found or made, the newest now */
    if (slot == NULL) {
        psa_model_file_leave(((struct psa_score *)node->state)->files, file);
        return psa_fail_memory(error, "opening a key");
    }
    if (file != NULL && start_by_file(slot, file, error) != 0) return -1;
    return push_model(node, record, slot->file, error);
}

/* ---- by the stream itself ----------------------------------------------------------------------------------------- */

/* A new stream: its columns are the fields of its first record, without those psa-score writes. */
static int learn_columns(struct psa_score_slot *slot, const struct psa_record *record, struct psa_error *error)
{
    size_t kept = 0;

    if (!psa_schema_learn(&slot->schema, record, PSA_READINGS, NULL))
        return psa_fail_memory(error, "learning the fields of a stream");
    for (size_t i = 0; i < slot->schema.n; i++) {
        if (!psa_field_is_verdict(slot->schema.name[i])) slot->schema.name[kept++] = slot->schema.name[i];
    }
    slot->schema.n = kept;
    return 0;
}

/* The stream of a record, its fields mapped to score->field; *found: how many of its columns the record has. *slot ==
 * NULL: the record is dealt with already, as psa_slot_find says. */
static int find_stream(struct psa_node *node, struct psa_record *record, struct psa_score_slot **slot, size_t *found,
                       struct psa_error *error)
{
    struct psa_score *score = node->state;
    const struct psa_field *extra;
    struct psa_slot *base;
    bool fresh = false;
    int status = psa_slot_find(node, record, 0, &base, &fresh, error);

    *slot = (struct psa_score_slot *)base;
    if (status != 0 || base == NULL) return status;
    if (fresh && (learn_columns(*slot, record, error) != 0 || start_stream(*slot, &score->setup, error) != 0))
        return -1;
    if (make_room(score, (*slot)->schema.n, error) != 0) return -1;
    *found = psa_schema_map(&(*slot)->schema, record, score->field, &extra);
    if (extra != NULL && !psa_field_is_verdict(extra->name))
        psa_slot_extra(node, &(*slot)->schema, base, extra, "is not scored");
    return 0;
}

static int push_stream(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    struct psa_score *score = node->state;
    struct psa_score_slot *slot;
    size_t found, wrong;

    if (find_stream(node, record, &slot, &found, error) != 0) return -1;
    if (slot == NULL) return 0;
    read_row(score, slot->schema.n, &wrong);
    if (wrong < slot->schema.n) return reject_type(node, record, score->field[wrong], error);
    if (found == 0)
        return psa_reject(node, record, "no_fields", error, "no field of its stream's first record; skipped");
    psa_slot_advance(&slot->slot, record);
    return push_row(node, record, &slot->stream, error);
}

static int score_push(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    struct psa_score *score = node->state;
    const struct psa_model *model = score->setup.model;
    const struct psa_field *array;
    bool known;

    if (score->groups != NULL) return psa_score_groups_push(node, record, error);
    if (score->passing != NULL) return push_by_key(node, record, error);
    known = model != NULL ? psa_record_field(record, model->feature[0], 0) != NULL
                          : psa_keyed_peek(node->keyed, psa_node_key(node, record)) != NULL;
    if (!is_usable(record, &array) && array != NULL) return reject_array(node, record, array->name, error);
    if (!known && !is_usable(record, &array))
        return psa_reject(node, record, "no_fields", error, "no number field to score; skipped");
    return model != NULL ? push_model(node, record, score->file, error) : push_stream(node, record, error);
}

const struct psa_stage psa_score_stage = {
    .name = "psa-score",
    .summary = "score how unusual each record is",
    .options = psa_score_options,
    .config_size = sizeof(struct psa_score_config),
    .slot = &slot_type,
    .open = score_open,
    .begin = score_begin,
    .push = score_push,
    .close = score_close,
    .save = score_save,
    .load = score_load,
    .keys = score_keys,
};
