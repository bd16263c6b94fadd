/* eval_report.c - psa-eval's figures as a table for people, or as one JSON object. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/number.h"
#include "io/eval.h"

#define VERSION 1 /* of the JSON object */
#define NAME_SHOWN 40

const char *psa_eval_stream_name(const struct psa_eval_stream *stream, const struct psa_eval_streams *streams,
                                 char out[300])
{
    const char *id = stream->id.n > 0 ? stream->id.p : "(no sensor_id)";
    size_t n = stream->id.n > 0 ? stream->id.n : strlen(id);

    snprintf(out, 300, "%.*s%s%.*s", streams->by_file ? 120 : 0, stream->source, streams->by_file ? ": " : "",
             n < 150 ? (int)n : 150, id);
    for (char *p = out; *p != '\0';) { /* a cut character and one that moves the cursor do not reach a terminal */
        size_t shown = psa_utf8_length(p, strlen(p));
        bool control =
            (unsigned char)*p < 0x20 || *p == 0x7f || ((unsigned char)*p == 0xc2 && (unsigned char)p[1] < 0xa0);

        if ((unsigned char)*p < 0x80) shown = 1;
        if (control || shown == 0) *p = '?', shown = 1;
        p += shown;
    }
    return out;
}

/* ---- the table ------------------------------------------------------------------------------------------------------------ */

static void put(struct psa_buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct psa_buf *out, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    psa_buf_puts(out, text);
}

/* A figure in `width` characters, - where it has no value. */
static void put_figure(struct psa_buf *out, int width, int digits, double value)
{
    if (isnan(value)) put(out, "%*s", width, "-");
    else put(out, "%*.*f", width, digits, value);
}

/* A number as short as it is plain to read: 4 significant digits, or all before the point. */
static void put_number(struct psa_buf *out, double value)
{
    if (isnan(value)) psa_buf_puts(out, "-");
    else put(out, fabs(value) < 1000.0 ? "%.4g" : "%.0f", value);
}

static void put_rates(struct psa_buf *out, const struct psa_confusion *counts)
{
    put_figure(out, 10, 3, psa_confusion_precision(counts));
    put_figure(out, 10, 3, psa_confusion_recall(counts));
    put_figure(out, 10, 3, psa_confusion_f1(counts));
    put_figure(out, 10, 3, psa_confusion_far(counts));
    put_figure(out, 10, 3, psa_confusion_mar(counts));
}

static void put_head(const struct psa_eval_result *result, const struct psa_eval_settings *settings,
                     const struct psa_reasons *left_out, struct psa_buf *out)
{
    const struct psa_eval_figures *all = &result->pooled;
    uint64_t lost = 0;

    for (size_t i = 0; i < left_out->n; i++) lost += left_out->of[i].n;
    put(out, "%zu stream%s, %" PRIu64 " rows: %" PRIu64 " skipped, %" PRIu64 " judged", result->streams,
        result->streams == 1 ? "" : "s", all->rows, all->skipped, all->rows - all->skipped);
    put(out, ", %" PRIu64 " of them anomalous (%" PRIu64 " range%s)\n", all->points.tp + all->points.fn,
        all->ranges.labelled, all->ranges.labelled == 1 ? "" : "s");
    if (settings->has_threshold)
        put(out, "predicted: %.200s at or above %.10g\n", settings->score, settings->threshold);
    if (all->unscored > 0) put(out, "judged rows without a score, which rank below all: %" PRIu64 "\n", all->unscored);
    if (lost > 0) put(out, "records left out: %" PRIu64 "\n", lost);
    if (all->empty_windows > 0) put(out, "windows without a row that is judged: %" PRIu64 "\n", all->empty_windows);
    if (all->points.tp + all->points.fn == 0) psa_buf_puts(out, "no row is anomalous by its label: nothing to find\n");
    psa_buf_puts(out, "\n");
}

static int name_width(const struct psa_eval_result *result, const struct psa_eval_streams *streams)
{
    size_t width = 6;
    char name[300];

    for (size_t i = 0; i < streams->n; i++) {
        size_t n = strlen(psa_eval_stream_name(streams->of[i], streams, name));

        if (result->each[i].rows > 0 && n > width) width = n;
    }
    return (int)(width < NAME_SHOWN ? width : NAME_SHOWN);
}

static void put_each_line(const struct psa_eval_figures *figures, const char *name, int width, struct psa_buf *out)
{
    char found[64];
    int shown = (int)strlen(name);

    if (shown > width) /* cut, but no character in two */
        for (shown = width; shown > 0 && ((unsigned char)name[shown] & 0xc0) == 0x80;) shown--;
    put(out, "%-*.*s%10" PRIu64 "%10" PRIu64, width, shown, name, figures->rows - figures->skipped,
        figures->points.tp + figures->points.fn);
    put_rates(out, &figures->points);
    put_figure(out, 10, 3, figures->roc_area);
    put_figure(out, 10, 3, figures->pr_area);
    snprintf(found, sizeof found, "%" PRIu64 "/%" PRIu64, figures->found, figures->ranges.labelled);
    put(out, "%10s%13" PRIu64 "\n", found, figures->false_alarms);
}

static void put_each(const struct psa_eval_result *result, const struct psa_eval_streams *streams, struct psa_buf *out)
{
    const int width = name_width(result, streams);
    char name[300];

    put(out, "%-*s%10s%10s%10s%10s%10s%10s%10s%10s%10s%10s%13s\n", width, "stream", "judged", "anomalous", "precision",
        "recall", "F1", "FAR", "MAR", "ROC area", "PR area", "found", "false alarms");
    for (size_t i = 0; i < streams->n; i++) {
        if (result->each[i].rows > 0)
            put_each_line(&result->each[i], psa_eval_stream_name(streams->of[i], streams, name), width, out);
    }
    put_each_line(&result->pooled, "all", width, out);
    psa_buf_puts(out, "\n");
}

static void put_points(const struct psa_eval_figures *all, struct psa_buf *out)
{
    put(out, "%-12s%10s%10s%10s%10s%10s\n", "", "precision", "recall", "F1", "FAR", "MAR");
    put(out, "%-12s", "points");
    put_rates(out, &all->points);
    put(out, "   TP %" PRIu64 ", FP %" PRIu64 ", FN %" PRIu64 ", TN %" PRIu64 "\n%-12s", all->points.tp, all->points.fp,
        all->points.fn, all->points.tn, "ranges");
    put_figure(out, 10, 3, psa_range_precision(&all->ranges));
    put_figure(out, 10, 3, psa_range_recall(&all->ranges));
    put_figure(out, 10, 3, psa_range_f1(&all->ranges));
    put(out, "%10s%10s   %" PRIu64 " predicted, %" PRIu64 " labelled\n\n", "", "", all->ranges.predicted,
        all->ranges.labelled);
}

static void put_delay(const struct psa_eval_figures *all, struct psa_buf *out)
{
    const bool seconds = !isnan(all->delay_s.mean);
    const struct psa_summary *delay = seconds ? &all->delay_s : &all->delay_rows;
    const char *unit = seconds ? "s" : "rows";

    put(out, "%-14s%" PRIu64 " of %" PRIu64 " ranges, %" PRIu64 " missed\n", "found", all->found, all->ranges.labelled,
        all->ranges.labelled - all->found);
    put(out, "%-14s", "delay");
    if (all->found == 0) {
        psa_buf_puts(out, "-\n");
        return;
    }
    psa_buf_puts(out, "mean ");
    put_number(out, delay->mean);
    put(out, " %s, median ", unit);
    put_number(out, delay->median);
    put(out, " %s, longest ", unit);
    put_number(out, delay->max);
    put(out, " %s\n", unit);
}

static double per_day(const struct psa_eval_figures *figures)
{
    return figures->normal_days > 0.0 ? (double)figures->false_alarms / figures->normal_days : NAN;
}

static void put_alarms(const struct psa_eval_figures *all, struct psa_buf *out)
{
    put(out, "%-14s%" PRIu64, "false alarms", all->false_alarms);
    if (!isnan(all->normal_days)) {
        psa_buf_puts(out, " in ");
        put_number(out, all->normal_days);
        psa_buf_puts(out, " days of normal operation, ");
        put_number(out, per_day(all));
        psa_buf_puts(out, " a day");
    }
    psa_buf_puts(out, "\n");
}

static void put_ranks(const struct psa_eval_figures *all, struct psa_buf *out)
{
    char number[PSA_NUMBER_MAX + 1];

    put(out, "%-14s", "ROC area");
    put_figure(out, 0, 3, all->roc_area);
    put(out, "\n%-14s", "PR area");
    put_figure(out, 0, 3, all->pr_area);
    psa_buf_puts(out, "\n");
    if (!all->has_best) return;
    put(out, "%-14s", "best F1");
    put_figure(out, 0, 3, psa_confusion_f1(&all->best.counts));
    put(out, " (FAR ");
    put_figure(out, 0, 3, psa_confusion_far(&all->best.counts));
    put(out, ") at threshold %s: with hindsight, the labels chose it\n", psa_number_text(all->best.threshold, number));
}

static void put_nab(const struct psa_eval_figures *all, struct psa_buf *out)
{
    char number[PSA_NUMBER_MAX + 1];

    put(out, "\n%-20s%10s%12s%18s%14s   %s\n", "NAB", "score", "normalised", "best (hindsight)", "normalised",
        "at threshold");
    for (size_t p = 0; p < PSA_NAB_PROFILES; p++) {
        const struct psa_eval_nab *nab = &all->nab[p];

        put(out, "%-20s", psa_nab_profile[p].name);
        put_figure(out, 10, 3, nab->score);
        put_figure(out, 12, 2, nab->normalised);
        put_figure(out, 18, 3, nab->best);
        put_figure(out, 14, 2, nab->best_normalised);
        put(out, "   %s\n", isinf(nab->best_threshold) ? "above all" : psa_number_text(nab->best_threshold, number));
    }
}

static void put_sweep(const struct psa_eval_result *result, struct psa_buf *out)
{
    char number[PSA_NUMBER_MAX + 1];

    put(out, "\n%-24s%10s%10s%10s%10s%10s\n", "threshold", "precision", "recall", "F1", "FAR", "MAR");
    for (size_t i = 0; i < result->n_sweep; i++) {
        const struct psa_operating_point *point = &result->sweep[i];

        put(out, "%-24s", psa_number_text(point->threshold, number));
        put_rates(out, &point->counts);
        if (result->pooled.has_best && point->threshold == result->pooled.best.threshold)
            psa_buf_puts(out, "   best F1, with hindsight");
        psa_buf_puts(out, "\n");
    }
}

void psa_eval_table(const struct psa_eval_result *result, const struct psa_eval_streams *streams,
                    const struct psa_eval_settings *settings, const struct psa_reasons *left_out, struct psa_buf *out)
{
    put_head(result, settings, left_out, out);
    if (result->each != NULL) put_each(result, streams, out);
    put_points(&result->pooled, out);
    put_delay(&result->pooled, out);
    put_alarms(&result->pooled, out);
    put_ranks(&result->pooled, out);
    if (settings->nab) put_nab(&result->pooled, out);
    if (settings->sweep > 0) put_sweep(result, out);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------------- */

static void json_open(struct psa_buf *out, const char *name)
{
    psa_buf_name(out, name);
    psa_buf_puts(out, "{");
}

static void json_counts(struct psa_buf *out, const struct psa_confusion *counts)
{
    psa_buf_member_int(out, "tp", (int64_t)counts->tp);
    psa_buf_member_int(out, "fp", (int64_t)counts->fp);
    psa_buf_member_int(out, "fn", (int64_t)counts->fn);
    psa_buf_member_int(out, "tn", (int64_t)counts->tn);
    psa_buf_member_number(out, "precision", psa_confusion_precision(counts));
    psa_buf_member_number(out, "recall", psa_confusion_recall(counts));
    psa_buf_member_number(out, "f1", psa_confusion_f1(counts));
    psa_buf_member_number(out, "far", psa_confusion_far(counts));
    psa_buf_member_number(out, "mar", psa_confusion_mar(counts));
}

static void json_summary(struct psa_buf *out, const char *name, const struct psa_summary *summary)
{
    json_open(out, name);
    psa_buf_member_number(out, "mean", summary->mean);
    psa_buf_member_number(out, "median", summary->median);
    psa_buf_member_number(out, "max", summary->max);
    psa_buf_puts(out, "}");
}

static void json_ranges(struct psa_buf *out, const struct psa_eval_figures *figures)
{
    json_open(out, "ranges");
    psa_buf_member_int(out, "labelled", (int64_t)figures->ranges.labelled);
    psa_buf_member_int(out, "predicted", (int64_t)figures->ranges.predicted);
    psa_buf_member_number(out, "precision", psa_range_precision(&figures->ranges));
    psa_buf_member_number(out, "recall", psa_range_recall(&figures->ranges));
    psa_buf_member_number(out, "f1", psa_range_f1(&figures->ranges));
    psa_buf_member_number(out, "alpha", 0.0);
    psa_buf_member_text(out, "bias", psa_str_of("flat"));
    psa_buf_member_text(out, "cardinality", psa_str_of("reciprocal"));
    psa_buf_puts(out, "}");
    json_open(out, "delay");
    psa_buf_member_int(out, "found", (int64_t)figures->found);
    psa_buf_member_int(out, "missed", (int64_t)(figures->ranges.labelled - figures->found));
    json_summary(out, "rows", &figures->delay_rows);
    json_summary(out, "seconds", &figures->delay_s);
    psa_buf_puts(out, "}");
    json_open(out, "false_alarms");
    psa_buf_member_int(out, "events", (int64_t)figures->false_alarms);
    psa_buf_member_number(out, "normal_days", figures->normal_days);
    psa_buf_member_number(out, "per_day", per_day(figures));
    psa_buf_puts(out, "}");
}

static void json_nab(struct psa_buf *out, const struct psa_eval_figures *figures)
{
    json_open(out, "nab");
    psa_buf_member_int(out, "windows", (int64_t)figures->nab_windows);
    for (size_t p = 0; p < PSA_NAB_PROFILES; p++) {
        const struct psa_eval_nab *nab = &figures->nab[p];

        json_open(out, psa_nab_profile[p].name);
        psa_buf_member_number(out, "score", nab->score);
        psa_buf_member_number(out, "normalised", nab->normalised);
        json_open(out, "best");
        psa_buf_member_bool(out, "hindsight", true);
        psa_buf_member_number(out, "score", nab->best);
        psa_buf_member_number(out, "normalised", nab->best_normalised);
        psa_buf_member_number(out, "threshold", nab->best_threshold); /* null: above every score */
        psa_buf_puts(out, "}}");
    }
    psa_buf_puts(out, "}");
}

/* The members that a stream and all streams have alike. */
static void json_figures(struct psa_buf *out, const struct psa_eval_figures *figures,
                         const struct psa_eval_settings *settings)
{
    json_open(out, "rows");
    psa_buf_member_int(out, "read", (int64_t)figures->rows);
    psa_buf_member_int(out, "skipped", (int64_t)figures->skipped);
    psa_buf_member_int(out, "judged", (int64_t)(figures->rows - figures->skipped));
    psa_buf_member_int(out, "anomalous", (int64_t)(figures->points.tp + figures->points.fn));
    psa_buf_member_int(out, "unscored", (int64_t)figures->unscored);
    psa_buf_puts(out, "}");
    if (settings->windows_path != NULL)
        psa_buf_member_int(out, "windows_without_rows", (int64_t)figures->empty_windows);
    json_open(out, "points");
    json_counts(out, &figures->points);
    psa_buf_puts(out, "}");
    json_ranges(out, figures);
    psa_buf_member_number(out, "roc_area", figures->roc_area);
    psa_buf_member_number(out, "pr_area", figures->pr_area);
    psa_buf_name(out, "best");
    if (figures->has_best) {
        psa_buf_puts(out, "{\"hindsight\":true");
        psa_buf_member_number(out, "threshold", figures->best.threshold);
        json_counts(out, &figures->best.counts);
        psa_buf_puts(out, "}");
    } else {
        psa_buf_puts(out, "null");
    }
    if (settings->nab) json_nab(out, figures);
}

static void json_settings(struct psa_buf *out, const struct psa_eval_settings *settings)
{
    if (settings->label != NULL) psa_buf_member_text(out, "label", psa_str_of(settings->label));
    else psa_buf_member_text(out, "windows", psa_str_of(settings->windows_path));
    psa_buf_member_text(out, "predicted", psa_str_of(settings->has_threshold ? "threshold" : "is_anomaly"));
    if (settings->has_threshold) psa_buf_member_number(out, "threshold", settings->threshold);
    psa_buf_member_text(out, "score", psa_str_of(settings->score));
    if (settings->skip_by == PSA_EVAL_SKIP_ROWS) psa_buf_member_number(out, "skip", settings->skip);
    else if (settings->skip_by == PSA_EVAL_SKIP_PERCENT) psa_buf_member_number(out, "skip_percent", settings->skip);
    else psa_buf_member_text(out, "skip", psa_str_of("nab"));
}

static void json_each(const struct psa_eval_result *result, const struct psa_eval_streams *streams,
                      const struct psa_eval_settings *settings, struct psa_buf *out)
{
    psa_buf_name(out, "each");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < streams->n; i++) {
        const struct psa_eval_stream *stream = streams->of[i];

        if (result->each[i].rows == 0) continue;
        psa_buf_comma(out);
        psa_buf_puts(out, "{");
        psa_buf_member_text(out, "stream", stream->id);
        psa_buf_member_text(out, "source", psa_str_of(stream->source));
        if (stream->entry != NULL) psa_buf_member_text(out, "windows", stream->entry->name);
        json_figures(out, &result->each[i], settings);
        psa_buf_puts(out, "}");
    }
    psa_buf_puts(out, "]");
}

void psa_eval_json(const struct psa_eval_result *result, const struct psa_eval_streams *streams,
                   const struct psa_eval_settings *settings, const struct psa_reasons *left_out, struct psa_buf *out)
{
    psa_buf_puts(out, "{");
    psa_buf_member_int(out, "psa_eval", VERSION);
    json_settings(out, settings);
    psa_buf_member_int(out, "streams", (int64_t)result->streams);
    psa_reasons_put(out, "left_out", left_out);
    json_figures(out, &result->pooled, settings);
    if (settings->sweep > 0) {
        psa_buf_name(out, "sweep");
        psa_buf_puts(out, "[");
        for (size_t i = 0; i < result->n_sweep; i++) {
            psa_buf_comma(out);
            psa_buf_puts(out, "{");
            psa_buf_member_number(out, "threshold", result->sweep[i].threshold);
            json_counts(out, &result->sweep[i].counts);
            psa_buf_puts(out, "}");
        }
        psa_buf_puts(out, "]");
    }
    if (result->each != NULL) json_each(result, streams, settings, out);
    psa_buf_puts(out, "}\n");
}
