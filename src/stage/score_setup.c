/*
 * score_setup.c - one way of scoring, made ready from options and a model, and what one stream of rows remembers of it; see
 * score.h. No records here: rows come in, verdicts go out.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/chain.h"
#include "core/error.h"
#include "stage/score.h"

/* ---- the setup ------------------------------------------------------------------------------------------------------ */

/* Raw scores as people write them, and oriented. Turned twice it is the same. */
static double turned(const struct psa_detector_type *type, double raw)
{
    return type->traits & PSA_DETECTOR_REVERSED ? -raw : raw;
}

/* --on, else a wish, else a share given, else the limit of the type or the model. An alarm ends at --off, else at the type's
 * own off; the judge sees to it that it does not end above where it begins. */
static void choose_limits(struct psa_score_setup *setup)
{
    const struct psa_score_config *config = setup->config;
    const struct psa_model *model = setup->model;
    struct psa_judge_rule *rule = &setup->rule;

    rule->on = NAN;
    if (config->on_given) rule->on = turned(setup->type, config->on);
    else if (config->false_alarms_hz > 0.0) rule->false_alarms_hz = config->false_alarms_hz;
    else if (config->contamination_given && model != NULL)
        rule->on = psa_tail_table_quantile(&model->reference, 1.0 - config->contamination);
    else if (!config->contamination_given) rule->on = model != NULL ? model->threshold : setup->type->on;
    rule->off = config->off_given ? turned(setup->type, config->off) : setup->type->off;
}

static int make_rule(struct psa_score_setup *setup, struct psa_error *error)
{
    const struct psa_score_config *config = setup->config;
    const struct psa_detector_settings *settings = &config->settings;

    setup->rule = (struct psa_judge_rule){ .contamination = config->contamination, .rest = config->rest };
    choose_limits(setup);
    if (setup->model != NULL) {
        setup->rule.table = &setup->model->reference;
    } else {
        setup->rule.warmup = settings->warmup;
        setup->rule.horizon = settings->horizon;
        setup->rule.freeze = settings->freeze;
    }
    if (config->off_given && setup->rule.off > setup->rule.on)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--off: an alarm that begins at a raw score of %g cannot end at %g, where rows are odder",
                        turned(setup->type, setup->rule.on), config->off);
    return 0;
}

/* What only the kind of a model decides. */
static int check_model(const struct psa_score_setup *setup, struct psa_error *error)
{
    const struct psa_score_config *config = setup->config;
    const char *kind = setup->type->name;

    if (config->settings.adapt && !(setup->type->traits & PSA_DETECTOR_ADAPTS))
        return psa_fail(error, PSA_EXIT_PERMANENT, "--adapt: a model of kind %s cannot go on learning", kind);
    if (config->refit_given && strcmp(kind, "dynamic-pca") != 0)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--refit, --reference and --guard mean nothing with a model of kind %s", kind);
    return 0;
}

static int make_room(struct psa_score_setup *setup, size_t n, struct psa_error *error)
{
    double *grown;

    if (n <= setup->room) return 0;
    if ((grown = realloc(setup->scaled, n * sizeof *grown)) == NULL) return psa_fail_memory(error, "scoring");
    setup->scaled = grown;
    if ((grown = realloc(setup->contribution, n * sizeof *grown)) == NULL) return psa_fail_memory(error, "scoring");
    setup->contribution = grown;
    setup->room = n;
    return 0;
}

static struct psa_detector make_detector(struct psa_score_setup *setup, size_t n_columns)
{
    return (struct psa_detector){ .type = setup->type,
                                  .settings = &setup->config->settings,
                                  .model = setup->model,
                                  .n_columns = n_columns,
                                  .scratch = setup->scratch,
                                  .note = &setup->note };
}

static void stop_detector(struct psa_detector *detector)
{
    if (detector->state != NULL) detector->type->stop(detector);
    detector->state = NULL;
}

int psa_score_setup_open(struct psa_score_setup *setup, const struct psa_score_config *config,
                         const struct psa_model *model, struct psa_scratch *scratch, struct psa_error *error)
{
    const struct psa_detector_type *type = model != NULL ? model->type : config->detector;

    *setup = (struct psa_score_setup){ .config = config, .type = type, .model = model, .scratch = scratch };
    setup->name = model != NULL ? model->id : type->name;
    if (model != NULL && check_model(setup, error) != 0) return -1;
    if (make_rule(setup, error) != 0) return -1;
    setup->own_detector = model == NULL || type->traits & PSA_DETECTOR_REMEMBERS || config->settings.adapt;
    setup->keyed = setup->own_detector || config->running != NULL || psa_judge_remembers(&setup->rule);
    setup->shared = make_detector(setup, model != NULL ? model->n_features : 1);
    if (type->start(&setup->shared, error) != 0) return -1;
    if (setup->own_detector)
        stop_detector(&setup->shared); /* settings it cannot work with are said before any record */
    setup->note.text[0] = '\0';        /* what it says is of a stream, and there is none yet */
    return 0;
}

void psa_score_setup_close(struct psa_score_setup *setup)
{
    stop_detector(&setup->shared);
    free(setup->scaled);
    free(setup->contribution);
    setup->scaled = setup->contribution = NULL;
    setup->room = 0;
}

/* ---- a stream ------------------------------------------------------------------------------------------------------- */

int psa_score_stream_start(struct psa_score_stream *stream, struct psa_score_setup *setup, const struct psa_str *name,
                           size_t n, struct psa_error *error)
{
    *stream = (struct psa_score_stream){ .setup = setup, .name = name, .n = n };
    if (setup->model != NULL) {
        stream->name = setup->model->feature;
        stream->n = setup->model->n_features;
    }
    if (make_room(setup, stream->n, error) != 0) return -1;
    psa_judge_init(&stream->judge, &setup->rule);
    if (!setup->own_detector) return 0;
    stream->own = make_detector(setup, stream->n);
    return setup->type->start(&stream->own, error);
}

void psa_score_stream_stop(struct psa_score_stream *stream)
{
    if (stream->setup == NULL) return;
    stop_detector(&stream->own);
    psa_judge_free(&stream->judge);
    stream->setup = NULL;
}

void psa_score_stream_pause(struct psa_score_stream *stream)
{
    psa_judge_reset(&stream->judge);
    if (stream->own.state != NULL && stream->own.type->gap != NULL) stream->own.type->gap(&stream->own);
}

void psa_score_verdict_of(struct psa_score_verdict *verdict, const struct psa_score_stream *stream, const char *state,
                          const double *values)
{
    *verdict = (struct psa_score_verdict){ .state = state,
                                           .threshold = 0.5,
                                           .model = stream->setup->name,
                                           .name = stream->name,
                                           .n = stream->n,
                                           .row = values };
}

/* The row as the model knows it. A missing value is its scaler's centre, except to a detector that asks. */
static const double *scale_row(struct psa_score_setup *setup, const double *values)
{
    psa_scaler_transform(&setup->model->scaler, values, setup->scaled);
    for (size_t j = 0; setup->type->traits & PSA_DETECTOR_NULLS && j < setup->model->n_features; j++)
        if (isnan(values[j])) setup->scaled[j] = NAN;
    return setup->scaled;
}

/* What drove a model's score cannot be a value that was not there: the mean stood for it. */
static void blank_missing(const double *values, double *contribution, size_t n)
{
    for (size_t j = 0; j < n; j++)
        if (isnan(values[j])) contribution[j] = 0.0;
}

/* The detector's raw score of a row, and its judgement. */
static int weigh(struct psa_score_stream *stream, const double *values, bool has_time, int64_t time_ns, double *raw,
                 struct psa_judgement *judgement)
{
    struct psa_score_setup *setup = stream->setup;
    struct psa_detector *detector = setup->own_detector ? &stream->own : &setup->shared;

    detector->contribution = setup->config->top > 0 ? setup->contribution : NULL;
    detector->n_learned = 0;
    if (setup->type->update(detector, setup->model != NULL ? scale_row(setup, values) : values, time_ns, raw) != 0)
        return -1;
    if (setup->model != NULL && setup->config->top > 0) blank_missing(values, setup->contribution, stream->n);
    if (detector->n_learned > 0 && psa_judge_learn(&stream->judge, detector->learned, detector->n_learned) != 0)
        return -1;
    if (psa_judge_row(&stream->judge, *raw, has_time, time_ns, judgement) != 0) return -1;
    if (setup->type->judged != NULL) setup->type->judged(detector, stream->judge.alarm);
    return 0;
}

int psa_score_stream_row(struct psa_score_stream *stream, const double *values, bool has_time, int64_t time_ns,
                         struct psa_score_verdict *verdict, struct psa_error *error)
{
    const struct psa_score_setup *setup = stream->setup;
    struct psa_judgement judgement;
    size_t there = 0;
    double raw;

    psa_score_verdict_of(verdict, stream, "missing", values);
    for (size_t j = 0; j < stream->n; j++) there += isnan(values[j]) ? 0 : 1;
    if (there == 0) return 0;
    if (weigh(stream, values, has_time, time_ns, &raw, &judgement) != 0) return psa_fail_memory(error, "scoring");
    verdict->warming = judgement.warming;
    verdict->scored = !judgement.warming;
    verdict->state = judgement.warming ? "warming" : "scoring";
    verdict->seen = stream->judge.rows;
    if (!verdict->scored) return 0;
    verdict->is_anomaly = judgement.is_anomaly;
    verdict->score = judgement.score;
    verdict->threshold = judgement.threshold;
    verdict->raw = turned(setup->type, raw);
    verdict->raw_threshold = turned(setup->type, judgement.limit);
    verdict->contribution = setup->config->top > 0 ? setup->contribution : NULL;
    verdict->top = setup->config->top;
    verdict->detector = setup->own_detector ? &stream->own : &setup->shared;
    return 0;
}

void psa_score_stream_note(struct psa_node *node, struct psa_score_stream *stream, struct psa_str who)
{
    struct psa_error *note = &stream->setup->note;
    char shown[PSA_KEY_SHOWN];

    if (note->text[0] == '\0') return;
    psa_say(node, "detector", "%s: %s", psa_key_show(who, shown), note->text);
    note->text[0] = '\0';
}

/* ---- saving and loading --------------------------------------------------------------------------------------------- */

enum { LOADED_DETECTOR = 1, LOADED_JUDGE = 2, LOADED_RUNNING = 4 };

static bool detector_is_saved(const struct psa_score_stream *stream)
{
    return stream->setup->own_detector && stream->setup->type->save != NULL;
}

/* "running":..,"detector":{...},"judge":{...} */
void psa_score_stream_save(const struct psa_score_stream *stream, struct psa_buf *out)
{
    if (stream->setup->running != NULL) psa_running_save(&stream->running, out);
    if (detector_is_saved(stream)) {
        psa_buf_name(out, "detector");
        psa_buf_puts(out, "{");
        stream->setup->type->save(&stream->own, out);
        psa_buf_puts(out, "}");
    }
    psa_buf_name(out, "judge");
    psa_buf_puts(out, "{");
    psa_judge_save(&stream->judge, out);
    psa_buf_puts(out, "}");
}

/* The parts that a stream of this setup has. */
static unsigned parts_of(const struct psa_score_stream *stream)
{
    return LOADED_JUDGE | (detector_is_saved(stream) ? LOADED_DETECTOR : 0u) |
           (stream->setup->running != NULL ? LOADED_RUNNING : 0u);
}

bool psa_score_stream_load(struct psa_score_stream *stream, struct psa_str name, struct psa_json *in)
{
    unsigned part = psa_str_eq(name, "judge")      ? LOADED_JUDGE
                    : psa_str_eq(name, "detector") ? LOADED_DETECTOR
                    : psa_str_eq(name, "running")  ? LOADED_RUNNING
                                                   : 0;
    struct psa_str member;

    stream->setup->note.text[0] = '\0'; /* it was said when the state was young */
    if (!(parts_of(stream) & part) || stream->loaded & part) return false;
    stream->loaded |= part;
    if (part == LOADED_RUNNING) return psa_running_load(&stream->running, in);
    if (!psa_json_enter_object(in)) return false;
    while (psa_json_next_member(in, &member)) {
        bool ok = part == LOADED_JUDGE ? psa_judge_load(&stream->judge, member, in)
                                       : stream->setup->type->load(&stream->own, member, in);

        if (!ok) return psa_json_refuse(in, "a member that this detector's state does not have, or a wrong one");
    }
    return in->fault.what == NULL;
}

bool psa_score_stream_loaded(struct psa_score_stream *stream)
{
    const struct psa_detector_type *type = stream->setup->type;

    if (stream->loaded != parts_of(stream) || !psa_judge_loaded(&stream->judge)) return false;
    return !(stream->loaded & LOADED_DETECTOR) || type->loaded == NULL || type->loaded(&stream->own);
}
