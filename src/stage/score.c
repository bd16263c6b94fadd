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
#include "model/model_file.h"
#include "stage/score_group.h"
#include "stage/score_history.h"
#include "stage/score_models.h"
#include "stage/slot.h"

/* ---- what a stream remembers ------------------------------------------------------------------------------------ */

/* The stream goes before its model: its detector may look at that to the last. */
static void stop_stream(struct psa_score *score, struct psa_score_slot *slot)
{
    psa_score_stream_stop(&slot->stream);
    if (slot->file != NULL) psa_model_file_leave(score->files, slot->file);
    slot->file = NULL;
    slot->started = false;
}

static void slot_drop(struct psa_slot *base)
{
    struct psa_score_slot *slot = (struct psa_score_slot *)base;

    stop_stream(((const struct psa_node *)base->owner)->state, slot);
    psa_schema_free(&slot->schema);
}

/* "schema", of a stream that is scored for itself; with --models "model", which is null for a stream without; then what the
 * stream remembers. */
static void slot_save(const struct psa_slot *base, struct psa_buf *out)
{
    const struct psa_score_slot *slot = (const struct psa_score_slot *)base;

    if (((const struct psa_score *)((const struct psa_node *)base->owner)->state)->files != NULL) {
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

/* --models: find the slot's model, once a run. -1 with *error set when memory is out. */
static int ask_model(struct psa_node *node, struct psa_score_slot *slot, struct psa_error *error)
{
    if (slot->asked) return 0;
    slot->asked = true;
    if (psa_score_models_find(node, slot->slot.key, &slot->file, error) != 0) return -1;
    if (slot->file == NULL || slot->file->model == NULL) return 0;
    return start_stream(slot, &slot->file->setup, error);
}

/* A stream whose model is another now, or which has one only now, starts afresh: all others need not for that. */
static bool load_model_id(struct psa_score_slot *slot, struct psa_json *in)
{
    struct psa_node *node = slot->slot.owner;
    struct psa_error error = { 0 };
    struct psa_str id = { NULL, 0 };
    char shown[128];

    slot->stale = true;
    if (psa_json_peek(in) == 'n') return psa_json_skip(in).p != NULL;
    id = psa_json_text(in);
    if (id.p == NULL || ask_model(node, slot, &error) != 0) return false;
    slot->stale = !slot->started || !psa_str_eq(id, slot->stream.setup->name);
    if (slot->stale)
        psa_say(node, "other_model", "%s: its model is not the one its state was kept under; it starts afresh",
                psa_key_show(slot->slot.key, shown));
    return true;
}

static bool slot_load(struct psa_slot *base, struct psa_str name, struct psa_json *in)
{
    struct psa_score_slot *slot = (struct psa_score_slot *)base;
    struct psa_score *score = ((const struct psa_node *)base->owner)->state;
    struct psa_error error = { 0 };

    if (score->files != NULL && psa_str_eq(name, "model")) return load_model_id(slot, in);
    if (slot->stale) return psa_json_skip(in).p != NULL;
    if (score->files == NULL && score->setup.model == NULL && psa_str_eq(name, "schema"))
        return psa_schema_load(&slot->schema, in) && slot->schema.n > 0 &&
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
    if (score->model != NULL) {
        psa_buf_puts(out, "{");
        psa_buf_member_text(out, "model", psa_str_of(score->model->id));
        psa_buf_name(out, "streams");
    }
    psa_keyed_save(node->keyed, out);
    if (score->model != NULL) psa_buf_puts(out, "}");
    return out->failed ? psa_fail_memory(error, "saving the state") : 0;
}

static int score_load(struct psa_node *node, struct psa_json *in, struct psa_error *error)
{
    const struct psa_score *score = node->state;
    bool same_model = false, streams = false;
    struct psa_str name;

    if (score->groups != NULL) return psa_score_groups_load(node, score->groups, in, error);
    if (score->model == NULL) {
        (void)psa_keyed_load(node->keyed, in); /* a fault stays in `in`, where the node finds it */
        return 0;
    }
    if (!psa_json_enter_object(in)) return 0;
    while (psa_json_next_member(in, &name)) {
        if (psa_str_eq(name, "model") && !same_model) {
            struct psa_str id = psa_json_text(in);

            same_model = psa_str_eq(id, score->model->id);
            if (!same_model && in->fault.what == NULL)
                return psa_fail(
                    error, PSA_EXIT_PERMANENT,
                    "the state was kept under model '%.*s', this is '%s'; move the file away to start afresh",
                    id.n < PSA_MODEL_ID_MAX ? (int)id.n : PSA_MODEL_ID_MAX, id.p, score->model->id);
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

int psa_score_make_room(struct psa_score *score, size_t n, struct psa_error *error)
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

/* The text of the model file into *text. */
static int fetch_model(struct psa_node *node, const char *path, struct psa_buf *text, struct psa_error *error)
{
    int status;

    if (node->world == NULL || node->world->file_read == NULL)
        return psa_fail(error, PSA_EXIT_PERMANENT, "model '%s': files cannot be read here", path);
    status = node->world->file_read(node->world->ctx, path, text, error);
    if (status == 1) return psa_fail(error, PSA_EXIT_PERMANENT, "model '%s' does not exist", path);
    return status;
}

struct psa_model *psa_score_model_open(struct psa_node *node, const char *path, struct psa_error *error)
{
    struct psa_model *model = calloc(1, sizeof *model);
    struct psa_error inner = { 0 };
    struct psa_buf text = { 0 };
    int status = model == NULL ? psa_fail_memory(error, "loading a model") : fetch_model(node, path, &text, error);

    if (status == 0 && psa_model_read(model, psa_buf_str(&text), &inner) != 0)
        status = psa_fail(error, inner.status, "model '%s': %s", path, inner.text);
    psa_buf_free(&text);
    if (status == 0) return model;
    free(model);
    return NULL;
}

/* --models, --groups */
static int open_many(struct psa_node *node, struct psa_score *score, struct psa_error *error)
{
    const struct psa_score_config *config = node->config;

    if (config->groups != NULL) {
        score->groups = psa_score_groups_open(node, config->groups, error);
        return score->groups != NULL ? 0 : -1;
    }
    score->files = psa_model_files_new();
    if (score->files == NULL) return psa_fail_memory(error, "starting");
    return psa_score_models_check(node, config->models, error);
}

static int score_open(struct psa_node *node, struct psa_error *error)
{
    const struct psa_score_config *config = node->config;
    struct psa_score *score = calloc(1, sizeof *score);

    node->state = score;
    if (score == NULL) return psa_fail_memory(error, "starting");
    if (psa_score_config_check(config, error) != 0) return -1;
    if (config->models != NULL || config->groups != NULL) return open_many(node, score, error);
    if (config->model != NULL && (score->model = psa_score_model_open(node, config->model, error)) == NULL) return -1;
    if (psa_score_setup_open(&score->setup, config, score->model, &score->scratch, error) != 0) return -1;
    if (psa_score_setup_run(node, &score->setup, error) != 0) return -1;
    if (score->setup.keyed) return 0;
    return psa_score_stream_start(&score->common, &score->setup, NULL, 0, error);
}

static int score_begin(struct psa_node *node, bool resumed, struct psa_error *error)
{
    const struct psa_score_config *config = node->config;

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
    if (score->groups != NULL) psa_score_groups_close(node, score->groups);
    psa_model_files_free(score->files);
    psa_score_stream_stop(&score->common);
    psa_score_setup_close(&score->setup);
    psa_score_conditions_free(&score->conditions);
    if (score->model != NULL) psa_model_free(score->model);
    free(score->model);
    psa_scratch_free(&score->scratch);
    free(score->field);
    free(score->row);
    psa_buf_free(&score->json);
    free(score);
    node->state = NULL;
}

/* ---- from fields to a row --------------------------------------------------------------------------------------------- */

bool psa_score_is_own(struct psa_str name)
{
    return psa_str_eq(name, "anomaly_score") || psa_str_eq(name, "anomaly_label");
}

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
        usable = usable || ((PSA_READINGS >> field->kind & 1) && !psa_score_is_own(field->name));
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

/* The row in score->row, scored by its stream, whose verdict goes out with the record. */
static int push_row(struct psa_node *node, struct psa_record *record, struct psa_score_stream *stream,
                    struct psa_error *error)
{
    struct psa_score *score = node->state;
    struct psa_score_verdict verdict;

    if (stream->setup->rule.false_alarms_hz > 0.0 && !record->has_time) note_timeless(node);
    if (!psa_score_stream_waits(node, stream, record, score->row, &verdict) &&
        psa_score_stream_row(stream, score->row, record->has_time, record->timestamp_ns, &verdict, error) != 0)
        return -1;
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

int psa_score_pass_unmatched(struct psa_node *node, struct psa_record *record, struct psa_str feature,
                             struct psa_error *error)
{
    struct psa_score *score = node->state;

    psa_note(node, "unscored");
    if (!score->said_unmatched)
        psa_say(node, "unmatched",
                "fields.%.*s is missing, a feature of the model; this record and others that it does not match "
                "pass unscored",
                (int)feature.n, feature.p);
    score->said_unmatched = true;
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

/* By the setup's model, which the slot that is found works by. */
static int push_model(struct psa_node *node, struct psa_record *record, const struct psa_score_setup *setup,
                      struct psa_error *error)
{
    struct psa_score *score = node->state;
    const struct psa_model *model = setup->model;
    size_t n = model->n_features, lacking, wrong;
    struct psa_score_slot *slot;

    if (psa_score_make_room(score, n, error) != 0) return -1;
    lacking = map_features(score, model, record);
    if (lacking < n) return psa_score_pass_unmatched(node, record, model->feature[lacking], error);
    read_row(score, n, &wrong);
    if (wrong < n) return reject_type(node, record, score->field[wrong], error);
    if (score->files == NULL && !setup->keyed) return push_row(node, record, &score->common, error);
    if (find_model_stream(node, record, &slot, error) != 0) return -1;
    if (slot == NULL) return 0;
    psa_slot_advance(&slot->slot, record);
    return push_row(node, record, &slot->stream, error);
}

/* --models: a record without a model, or with one that is broken, passes. */
static int push_by_key(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    struct psa_str key = psa_node_key(node, record);
    struct psa_score_slot *slot;

    if (key.p == NULL)
        return psa_reject(node, record, "no_key", error, "there is no %s to tell the stream by; rejected",
                          node->options.key);
    slot = (struct psa_score_slot *)psa_slot_of(node, key);
    if (slot == NULL) return psa_fail_memory(error, "opening a key");
    if (ask_model(node, slot, error) != 0) return -1;
    if (slot->started) {
        struct psa_score *score = node->state;
        int status;

        score->said_unmatched = slot->file->said_unmatched; /* once a model */
        status = push_model(node, record, slot->stream.setup, error);
        slot->file->said_unmatched = score->said_unmatched;
        return status;
    }
    psa_note(node, slot->file != NULL ? "broken_model" : "unmodelled");
    return psa_pass(node, record, error);
}

/* ---- by the stream itself ----------------------------------------------------------------------------------------- */

/* A new stream: its columns are the fields of its first record, without those psa-score writes. */
static int learn_columns(struct psa_score_slot *slot, const struct psa_record *record, struct psa_error *error)
{
    size_t kept = 0;

    if (!psa_schema_learn(&slot->schema, record, PSA_READINGS, NULL))
        return psa_fail_memory(error, "learning the fields of a stream");
    for (size_t i = 0; i < slot->schema.n; i++) {
        if (!psa_score_is_own(slot->schema.name[i])) slot->schema.name[kept++] = slot->schema.name[i];
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
    if (psa_score_make_room(score, (*slot)->schema.n, error) != 0) return -1;
    *found = psa_schema_map(&(*slot)->schema, record, score->field, &extra);
    if (extra != NULL && !psa_score_is_own(extra->name))
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
    if (score->files != NULL) return push_by_key(node, record, error);
    known = model != NULL ? psa_record_field(record, model->feature[0], 0) != NULL
                          : psa_keyed_peek(node->keyed, psa_node_key(node, record)) != NULL;
    if (!is_usable(record, &array) && array != NULL) return reject_array(node, record, array->name, error);
    if (!known && !is_usable(record, &array))
        return psa_reject(node, record, "no_fields", error, "no number field to score; skipped");
    return model != NULL ? push_model(node, record, &score->setup, error) : push_stream(node, record, error);
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
