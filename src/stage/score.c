/*
 * score.c - psa-score: how unusual is this record? With --model an isolation forest answers that psa-train made from good
 * days; with --ecod each stream's own last rows do. Either way the record goes on with fields.anomaly_score,
 * fields.anomaly_label and a member `anomaly` that says by which model, against which threshold and because of which
 * fields. The maths is in model/; here fields become rows and verdicts become JSON.
 */
#include "stage/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/chain.h"
#include "core/error.h"
#include "core/json.h"
#include "core/keyed.h"
#include "core/record.h"
#include "core/schema.h"
#include "model/ecod.h"
#include "model/model_file.h"
#include "stage/slot.h"

#define THRESHOLD 0.5 /* of anomaly_score, by its definition */

struct score_config {
    const char *model;
    bool ecod;
    int64_t warmup;
    double contamination;
    int64_t horizon;
    int64_t top;
};

static const struct psa_option score_options[] = {
    { .name = "model",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct score_config, model),
      .metavar = "FILE",
      .help = "score by the model in FILE, made by psa-train" },
    { .name = "ecod",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct score_config, ecod),
      .help = "score by streaming ECOD: each stream against its own last rows, no model needed" },
    { .name = "warmup",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct score_config, warmup),
      .metavar = "N",
      .initial = "200",
      .min = 1,
      .max = 1e9,
      .free_of_state = true,
      .not_with = "model",
      .help = "with --ecod: rows of a stream that are learned before the first one is scored" },
    { .name = "contamination",
      .type = PSA_OPT_REAL,
      .offset = offsetof(struct score_config, contamination),
      .metavar = "SHARE",
      .initial = "0.05",
      .min = 1e-9,
      .max = 0.5,
      .free_of_state = true,
      .not_with = "model",
      .help = "with --ecod: share of the rows that the threshold leaves above it; a model has its own" },
    { .name = "horizon",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct score_config, horizon),
      .metavar = "N",
      .initial = "10000",
      .min = 0,
      .max = 4e9,
      .not_with = "model",
      .help = "with --ecod: rows of a stream that count, the newest included; 0: all" },
    { .name = "top",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct score_config, top),
      .metavar = "N",
      .initial = "3",
      .min = 0,
      .max = 4096,
      .free_of_state = true,
      .help = "fields named in anomaly.top, those that drove the score most; 0: none" },
    { .type = PSA_OPT_END },
};

/* What is remembered of a stream, --ecod. */
struct score_slot {
    struct psa_slot slot;
    struct psa_schema schema; /* without the fields that psa-score itself writes */
    struct psa_ecod ecod;
    bool ready;
};

struct score {
    bool has_model;
    struct psa_model model; /* its forest is freed once it is compiled */
    struct psa_iforest_scorer scorer;
    double ln_p_threshold;
    bool said_unmatched;
    /* Scratch, room for `room` columns. */
    size_t room;
    struct psa_field **field;
    double *row, *contribution;
    float *input;
    struct psa_buf json;
};

/* What is to be written about a record. */
struct verdict {
    const char *state;
    bool scored;
    bool is_anomaly;
    double score, raw, raw_threshold;
    const char *model;
    const struct psa_str *name; /* [n] of the columns */
    size_t n;
    const double *row;    /* [n], NaN: missing */
    double *contribution; /* [n], used up; NULL: no `top` */
    bool warming;
    uint64_t seen; /* said while warming */
};

/* ---- what a stream remembers ------------------------------------------------------------------------------------ */

static void slot_drop(struct psa_slot *base)
{
    struct score_slot *slot = (struct score_slot *)base;

    psa_schema_free(&slot->schema);
    if (slot->ready) psa_ecod_free(&slot->ecod);
}

/* "rows" is [[score, values ...], ...], the oldest first; "first" is how many rows came before them. */
static void slot_save(const struct psa_slot *base, struct psa_buf *out)
{
    const struct score_slot *slot = (const struct score_slot *)base;
    const struct psa_ecod *ecod = &slot->ecod;
    size_t held = psa_ecod_held(ecod);

    psa_buf_name(out, "schema");
    psa_schema_save(&slot->schema, out);
    psa_buf_member_int(out, "horizon", (int64_t)ecod->horizon);
    psa_buf_member_int(out, "first", (int64_t)(ecod->seen - held));
    psa_buf_name(out, "rows");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < held; i++) {
        psa_buf_comma(out);
        psa_buf_puts(out, "[");
        psa_buf_number(out, psa_ecod_past_score(ecod, i));
        for (size_t j = 0; j < ecod->n_columns; j++) {
            psa_buf_comma(out);
            psa_buf_number(out, psa_ecod_value(ecod, i, j));
        }
        psa_buf_puts(out, "]");
    }
    psa_buf_puts(out, "]");
}

static bool load_rows(struct psa_ecod *ecod, double *row, struct psa_json *in)
{
    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        size_t n = 0;

        psa_json_enter_array(in);
        while (psa_json_next_item(in)) {
            if (n > ecod->n_columns) return false;
            row[n++] = psa_json_number(in);
        }
        if (in->fault.what != NULL || n != ecod->n_columns + 1 || isnan(row[0])) return false;
        if (psa_ecod_restore(ecod, row + 1, row[0]) != 0) return psa_json_refuse(in, "memory is out");
    }
    return in->fault.what == NULL;
}

static bool slot_load(struct psa_slot *base, struct psa_str name, struct psa_json *in)
{
    struct score_slot *slot = (struct score_slot *)base;
    int64_t number;
    double *row;
    bool ok;

    if (psa_str_eq(name, "schema")) return !slot->ready && slot->schema.n == 0 && psa_schema_load(&slot->schema, in);
    if (psa_str_eq(name, "horizon")) {
        number = psa_json_int(in);
        if (in->fault.what != NULL || slot->ready || slot->schema.n == 0 || number < 0) return false;
        slot->ready = psa_ecod_init(&slot->ecod, slot->schema.n, (size_t)number) == 0;
        return slot->ready;
    }
    if (psa_str_eq(name, "first")) {
        number = psa_json_int(in);
        if (in->fault.what != NULL || !slot->ready || slot->ecod.seen > 0 || number < 0) return false;
        slot->ecod.seen = (uint64_t)number;
        return true;
    }
    if (!psa_str_eq(name, "rows") || !slot->ready || psa_ecod_held(&slot->ecod) > 0) return false;
    row = calloc(slot->schema.n + 1, sizeof *row);
    ok = row != NULL && load_rows(&slot->ecod, row, in);
    free(row);
    return ok;
}

/* Rows left the horizon only if it is full. */
static bool slot_loaded(struct psa_slot *base)
{
    const struct score_slot *slot = (const struct score_slot *)base;
    const struct score_config *config = ((const struct psa_node *)base->owner)->config;
    size_t held = slot->ready ? psa_ecod_held(&slot->ecod) : 0;

    return slot->ready && slot->ecod.horizon == (size_t)config->horizon &&
           (slot->ecod.seen == held || held == slot->ecod.horizon);
}

static const char *const saved_members[] = { "schema", "horizon", "first", "rows", NULL };
static const struct psa_slot_type slot_type = { .size = sizeof(struct score_slot),
                                                .drop = slot_drop,
                                                .save = slot_save,
                                                .load = slot_load,
                                                .loaded = slot_loaded,
                                                .needs = saved_members };

/* ---- opening and closing ------------------------------------------------------------------------------------------ */

/* Scratch for n columns. */
static int make_room(struct score *score, size_t n, struct psa_error *error)
{
    void *grown;

    if (n <= score->room) return 0;
    if ((grown = realloc(score->field, n * sizeof(struct psa_field *))) == NULL)
        return psa_fail_memory(error, "scoring");
    score->field = grown;
    if ((grown = realloc(score->row, n * sizeof *score->row)) == NULL) return psa_fail_memory(error, "scoring");
    score->row = grown;
    if ((grown = realloc(score->contribution, n * sizeof *score->contribution)) == NULL)
        return psa_fail_memory(error, "scoring");
    score->contribution = grown;
    if ((grown = realloc(score->input, n * sizeof *score->input)) == NULL) return psa_fail_memory(error, "scoring");
    score->input = grown;
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

static int load_model(struct psa_node *node, struct score *score, const char *path, struct psa_error *error)
{
    struct psa_error inner = { 0 };
    struct psa_buf text = { 0 };
    int status = fetch_model(node, path, &text, error);

    if (status == 0 && psa_model_read(&score->model, psa_buf_str(&text), &inner) != 0)
        status = psa_fail(error, inner.status, "model '%s': %s", path, inner.text);
    psa_buf_free(&text);
    if (status != 0) return -1;
    score->has_model = true;
    if (psa_iforest_compile(&score->scorer, &score->model.forest) != 0)
        return psa_fail_memory(error, "loading the model");
    psa_iforest_free(&score->model.forest);
    score->ln_p_threshold = psa_tail_table_ln_p(&score->model.reference, -score->model.threshold);
    return make_room(score, score->model.n_features, error);
}

static int score_open(struct psa_node *node, struct psa_error *error)
{
    const struct score_config *config = node->config;
    struct score *score = calloc(1, sizeof *score);

    node->state = score;
    if (score == NULL) return psa_fail_memory(error, "starting");
    if ((config->model != NULL) == config->ecod)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s",
                        config->ecod ? "--model and --ecod exclude each other" : "give --model FILE or --ecod");
    if (config->horizon == 1) return psa_fail(error, PSA_EXIT_PERMANENT, "--horizon 1 leaves no row to compare with");
    return config->model != NULL ? load_model(node, score, config->model, error) : 0;
}

static void score_close(struct psa_node *node)
{
    struct score *score = node->state;

    if (score == NULL) return;
    psa_iforest_scorer_free(&score->scorer);
    if (score->has_model) psa_model_free(&score->model);
    free(score->field);
    free(score->row);
    free(score->contribution);
    free(score->input);
    psa_buf_free(&score->json);
    free(score);
    node->state = NULL;
}

/* ---- writing the verdict ---------------------------------------------------------------------------------------------- */

/* [[name, share], ...]: the largest positive contributions, as shares of all positive ones. They are used up. */
static void write_top(const struct verdict *verdict, int64_t top, struct psa_buf *json)
{
    double total = 0.0;

    for (size_t j = 0; j < verdict->n; j++) total += verdict->contribution[j] > 0.0 ? verdict->contribution[j] : 0.0;
    psa_buf_name(json, "top");
    psa_buf_puts(json, "[");
    for (int64_t i = 0; i < top && i < (int64_t)verdict->n; i++) {
        size_t best = 0;

        for (size_t j = 1; j < verdict->n; j++)
            best = verdict->contribution[j] > verdict->contribution[best] ? j : best;
        if (!(verdict->contribution[best] > 0.0)) break;
        psa_buf_comma(json);
        psa_buf_puts(json, "[");
        psa_buf_quote(json, verdict->name[best]);
        psa_buf_puts(json, ",");
        psa_buf_number(json, verdict->contribution[best] / total);
        psa_buf_puts(json, "]");
        verdict->contribution[best] = 0.0;
    }
    psa_buf_puts(json, "]");
}

static void write_missing(const struct verdict *verdict, struct psa_buf *json)
{
    bool any = false;

    for (size_t j = 0; j < verdict->n; j++) {
        if (!isnan(verdict->row[j])) continue;
        if (!any) {
            psa_buf_name(json, "missing");
            psa_buf_puts(json, "[");
        }
        any = true;
        psa_buf_comma(json);
        psa_buf_quote(json, verdict->name[j]);
    }
    if (any) psa_buf_puts(json, "]");
}

static void write_anomaly(const struct verdict *verdict, int64_t top, struct psa_buf *json)
{
    json->n = 0;
    psa_buf_puts(json, "{");
    psa_buf_member_bool(json, "is_anomaly", verdict->is_anomaly);
    psa_buf_member_number(json, "threshold", THRESHOLD);
    if (verdict->scored) {
        psa_buf_member_number(json, "raw", verdict->raw);
        psa_buf_member_number(json, "raw_threshold", verdict->raw_threshold);
    }
    psa_buf_member_text(json, "model", psa_str_of(verdict->model));
    psa_buf_member_text(json, "state", psa_str_of(verdict->state));
    if (verdict->scored && top > 0) write_top(verdict, top, json);
    write_missing(verdict, json);
    if (verdict->warming) psa_buf_member_int(json, "observations_seen", (int64_t)verdict->seen);
    psa_buf_puts(json, "}");
}

static bool set_number(struct psa_record *record, const char *name, double value)
{
    struct psa_field *field = psa_record_put_field(record, psa_str_of(name));

    if (field != NULL) psa_field_set(field, value);
    return field != NULL;
}

/* A score from an earlier psa-score must not stand beside a verdict that has none. */
static void blank_number(struct psa_record *record, const char *name)
{
    struct psa_field *field = psa_record_field(record, psa_str_of(name), PSA_NO_INDEX);

    if (field != NULL) psa_field_set(field, NAN);
}

/* Put the verdict into the record and let it go on. */
static int pass_on(struct psa_node *node, struct psa_record *record, const struct verdict *verdict,
                   struct psa_error *error)
{
    const struct score_config *config = node->config;
    struct score *score = node->state;

    write_anomaly(verdict, config->top, &score->json);
    if (score->json.failed || psa_record_set(record, "anomaly", psa_buf_str(&score->json)) != 0)
        return psa_fail_memory(error, "scoring");
    if (!verdict->scored) {
        blank_number(record, "anomaly_score");
        blank_number(record, "anomaly_label");
    } else if (!set_number(record, "anomaly_score", verdict->score) ||
               !set_number(record, "anomaly_label", verdict->is_anomaly ? -1.0 : 1.0)) {
        return psa_fail_memory(error, "scoring");
    }
    return psa_pass(node, record, error);
}

/* ---- from fields to a row --------------------------------------------------------------------------------------------- */

/* The fields that psa-score writes are never scored. */
static bool is_own(struct psa_str name)
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
        usable = usable || ((PSA_READINGS >> field->kind & 1) && !is_own(field->name));
    }
    return usable;
}

/* score->field[0 .. n) to score->row, NaN where there is no value. Returns how many values there are. *wrong becomes the
 * index of the first field that is no number, n if there is none. */
static size_t read_row(struct score *score, size_t n, size_t *wrong)
{
    size_t values = 0;

    *wrong = n;
    for (size_t j = 0; j < n; j++) {
        const struct psa_field *field = score->field[j];

        score->row[j] = field != NULL && field->kind == PSA_NUMBER ? field->number : NAN;
        values += isnan(score->row[j]) ? 0 : 1;
        if (field != NULL && !(PSA_READINGS >> field->kind & 1) && *wrong == n) *wrong = j;
    }
    return values;
}

/* ---- by a model ------------------------------------------------------------------------------------------------------- */

/* Find the model's features; returns the index of the first that the record lacks, n_features if it has all. */
static size_t map_features(struct score *score, const struct psa_record *record)
{
    size_t hint = 0;

    for (size_t j = 0; j < score->model.n_features; j++) {
        score->field[j] = psa_record_field(record, score->model.feature[j], hint);
        if (score->field[j] == NULL) return j;
        hint = (size_t)(score->field[j] - record->field) + 1;
    }
    return score->model.n_features;
}

static int push_model(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    const struct score_config *config = node->config;
    struct score *score = node->state;
    struct verdict verdict = { .state = "scoring", .model = score->model.id };
    size_t n = score->model.n_features, lacking = map_features(score, record), wrong;

    if (lacking < n) {
        struct psa_str name = score->model.feature[lacking];

        psa_note(node, "unscored");
        if (!score->said_unmatched)
            psa_say(node, "unmatched",
                    "fields.%.*s is missing, a feature of the model; this record and others that it does not match "
                    "pass unscored",
                    (int)name.n, name.p);
        score->said_unmatched = true;
        return psa_pass(node, record, error);
    }
    verdict.name = score->model.feature;
    verdict.n = n;
    verdict.row = score->row;
    verdict.scored = read_row(score, n, &wrong) > 0;
    if (wrong < n) return reject_type(node, record, score->field[wrong], error);
    if (verdict.scored) {
        verdict.contribution = score->contribution;
        psa_scaler_transform(&score->model.scaler, score->row, score->contribution);
        for (size_t j = 0; j < n; j++) score->input[j] = (float)score->contribution[j];
        verdict.raw = psa_iforest_score(&score->scorer, score->input, config->top > 0 ? score->contribution : NULL);
        verdict.raw_threshold = score->model.threshold;
        verdict.is_anomaly = verdict.raw < verdict.raw_threshold;
        verdict.score =
            psa_tail_score(psa_tail_table_ln_p(&score->model.reference, -verdict.raw), score->ln_p_threshold);
    } else {
        verdict.state = "missing";
    }
    return pass_on(node, record, &verdict, error);
}

/* ---- by the stream itself --------------------------------------------------------------------------------------------- */

/* A new stream: its columns are the fields of its first record, without those psa-score writes. */
static int start_stream(struct psa_node *node, struct score_slot *slot, const struct psa_record *record,
                        struct psa_error *error)
{
    const struct score_config *config = node->config;
    size_t kept = 0;

    if (!psa_schema_learn(&slot->schema, record, PSA_READINGS, NULL))
        return psa_fail_memory(error, "learning the fields of a stream");
    for (size_t i = 0; i < slot->schema.n; i++) {
        if (!is_own(slot->schema.name[i])) slot->schema.name[kept++] = slot->schema.name[i];
    }
    slot->schema.n = kept;
    if (psa_ecod_init(&slot->ecod, kept, (size_t)config->horizon) != 0)
        return psa_fail_memory(error, "starting a stream");
    slot->ready = true;
    return 0;
}

/* The stream of a record, its fields mapped to score->field; *found: how many of its columns the record has. *slot ==
 * NULL: the record is dealt with already, as psa_slot_find says. */
static int find_stream(struct psa_node *node, struct psa_record *record, struct score_slot **slot, size_t *found,
                       struct psa_error *error)
{
    struct score *score = node->state;
    const struct psa_field *extra;
    struct psa_slot *base;
    bool fresh = false;
    int status = psa_slot_find(node, record, 0, &base, &fresh, error);

    *slot = (struct score_slot *)base;
    if (status != 0 || base == NULL) return status;
    if (fresh && start_stream(node, *slot, record, error) != 0) return -1;
    if (make_room(score, (*slot)->schema.n, error) != 0) return -1;
    *found = psa_schema_map(&(*slot)->schema, record, score->field, &extra);
    if (extra != NULL && !is_own(extra->name)) psa_slot_extra(node, &(*slot)->schema, base, extra, "is not scored");
    return 0;
}

static int push_ecod(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    const struct score_config *config = node->config;
    struct score *score = node->state;
    struct verdict verdict = { .state = "missing", .model = "ecod" };
    struct psa_ecod_verdict judged;
    struct score_slot *slot;
    size_t found, wrong, values;

    if (find_stream(node, record, &slot, &found, error) != 0) return -1;
    if (slot == NULL) return 0;
    values = read_row(score, slot->schema.n, &wrong);
    if (wrong < slot->schema.n) return reject_type(node, record, score->field[wrong], error);
    if (found == 0)
        return psa_reject(node, record, "no_fields", error, "no field of its stream's first record; skipped");
    psa_slot_advance(&slot->slot, record);
    verdict.name = slot->schema.name;
    verdict.n = slot->schema.n;
    verdict.row = score->row;
    if (values > 0) {
        if (psa_ecod_update(&slot->ecod, score->row, config->contamination, &judged) != 0)
            return psa_fail_memory(error, "scoring");
        verdict.seen = slot->ecod.seen;
        verdict.warming = verdict.seen <= (uint64_t)config->warmup;
        verdict.scored = !verdict.warming;
        verdict.state = verdict.warming ? "warming" : "scoring";
        verdict.is_anomaly = verdict.scored && judged.is_anomaly;
        verdict.raw = judged.raw;
        verdict.raw_threshold = judged.threshold;
        verdict.score = judged.score;
        verdict.contribution = slot->ecod.contribution;
    }
    return pass_on(node, record, &verdict, error);
}

static int score_push(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    struct score *score = node->state;
    const struct psa_field *array;
    bool known = score->has_model ? psa_record_field(record, score->model.feature[0], 0) != NULL
                                  : psa_keyed_peek(node->keyed, psa_node_key(node, record)) != NULL;

    if (!is_usable(record, &array) && array != NULL) return reject_array(node, record, array->name, error);
    if (!known && !is_usable(record, &array))
        return psa_reject(node, record, "no_fields", error, "no number field to score; skipped");
    return score->has_model ? push_model(node, record, error) : push_ecod(node, record, error);
}

const struct psa_stage psa_score_stage = {
    .name = "psa-score",
    .summary = "score how unusual each record is",
    .options = score_options,
    .config_size = sizeof(struct score_config),
    .slot = &slot_type,
    .open = score_open,
    .push = score_push,
    .close = score_close,
};
