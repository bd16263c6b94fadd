/*
 * filter_labels.c - the labels of resampled records. See filter.h.
 *
 * Consecutive samples of the same labels are a run, from the time of its first sample to that of its last one. A record
 * out stands for the samples behind the record out before it, up to its own time, or for a mean up to the end of its
 * interval (covers() of an operation): it carries the labels of all of them. Where it stands for no sample, between two of
 * a slower stream, it has those of the sample before it. A run goes when no later record can ask for it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/record.h"
#include "stage/filter.h"
#include "stage/labels.h"

/* Runs that one key remembers; where there are more, neighbours are joined into one that has the labels of both. */
enum { RUNS_MAX = 4096 };

struct psa_filter_run {
    int64_t first_ns, last_ns;
    struct psa_buf text; /* a JSON object; empty: no labels. Its storage stays when the run goes. */
};

static struct psa_filter_run *run_at(const struct psa_filter_labels *labels, size_t i)
{
    return &labels->run[(labels->first + i) & (labels->cap - 1)];
}

static int grow(struct psa_filter_labels *labels)
{
    size_t cap = labels->cap ? 2 * labels->cap : 4;
    struct psa_filter_run *run = calloc(cap, sizeof *run);
    struct psa_str *text = realloc(labels->text, cap * sizeof *text);

    if (text) labels->text = text;
    if (!run || !text) {
        free(run);
        return -1;
    }
    for (size_t i = 0; i < labels->cap; i++) run[i] = *run_at(labels, i);
    free(labels->run);
    labels->run = run;
    labels->cap = cap;
    labels->first = 0;
    return 0;
}

/* Put the i-th run among the texts to be merged, of which there are n, unless it says nothing new. Their number. */
static size_t gather(const struct psa_filter_labels *labels, size_t i, size_t n)
{
    struct psa_str text = psa_buf_str(&run_at(labels, i)->text);

    if (!text.n || (n && psa_str_is(labels->text[n - 1], text))) return n;
    labels->text[n] = text;
    return n + 1;
}

/* Every two neighbours become one run. */
static int join_pairs(struct psa_filter_labels *labels)
{
    for (size_t i = 0; i + 1 < labels->n; i += 2) {
        struct psa_filter_run *to = run_at(labels, i / 2), *last = run_at(labels, i + 1);
        size_t n = gather(labels, i + 1, gather(labels, i, 0));

        labels->merged.n = 0;
        if (n) psa_labels_merge(labels->text, n, &labels->merged);
        to->first_ns = run_at(labels, i)->first_ns;
        to->last_ns = last->last_ns;
        to->text.n = 0;
        if (n) psa_buf_put(&to->text, labels->merged.p, labels->merged.n);
        if (to->text.failed || labels->merged.failed) return -1;
    }
    labels->n /= 2; /* RUNS_MAX is even */
    return 0;
}

static int add_run(struct psa_filter_labels *labels, int64_t first_ns, int64_t last_ns, struct psa_str text)
{
    struct psa_filter_run *run;

    if (labels->n == RUNS_MAX && join_pairs(labels) != 0) return -1;
    if (labels->n == labels->cap && grow(labels) != 0) return -1;
    run = run_at(labels, labels->n);
    run->first_ns = first_ns;
    run->last_ns = last_ns;
    run->text.n = 0;
    if (text.n) psa_buf_put(&run->text, text.p, text.n);
    if (run->text.failed) return -1;
    labels->n++;
    return 0;
}

/* The record's labels; empty when it has none, or something else in their place. */
static struct psa_str labels_of(const struct psa_record *record)
{
    const struct psa_member *member = psa_record_member(record, PSA_M_LABELS);

    return member && *member->text.p == '{' ? member->text : (struct psa_str){ NULL, 0 };
}

int psa_filter_labels_note(struct psa_filter_labels *labels, const struct psa_record *record, int64_t first_ns,
                           int64_t last_ns)
{
    struct psa_str text = labels_of(record);
    struct psa_filter_run *newest = labels->n ? run_at(labels, labels->n - 1) : NULL;

    if (!newest && !text.n) return 0;
    if (newest && psa_str_is(psa_buf_str(&newest->text), text)) {
        if (last_ns > newest->last_ns) newest->last_ns = last_ns;
        return 0;
    }
    return add_run(labels, first_ns, last_ns, text);
}

/* The texts of what a record stands for that ends at upto_ns; their number. */
static size_t gather_until(const struct psa_filter_labels *labels, int64_t upto_ns)
{
    size_t n = 0, before = PSA_NO_INDEX;
    bool any = false;

    for (size_t i = 0; i < labels->n && run_at(labels, i)->first_ns <= upto_ns; i++) {
        before = i;
        if (labels->has_upto && run_at(labels, i)->last_ns <= labels->upto_ns) continue;
        any = true;
        n = gather(labels, i, n);
    }
    return any || before == PSA_NO_INDEX ? n : gather(labels, before, 0);
}

int psa_filter_labels_give(struct psa_filter_labels *labels, struct psa_record *record, int64_t upto_ns)
{
    struct psa_str old = labels_of(record), now;
    int64_t end_ns = record->has_time ? upto_ns : INT64_MAX;
    size_t n = gather_until(labels, end_ns);

    labels->merged.n = 0;
    if (n) psa_labels_merge(labels->text, n, &labels->merged);
    if (labels->merged.failed) return -1;
    while (labels->n > 1 && run_at(labels, 1)->first_ns <= end_ns) {
        labels->first = (labels->first + 1) & (labels->cap - 1);
        labels->n--;
    }
    if (!record->has_time) labels->n = 0; /* what came is all that this one stands for */
    labels->has_upto = record->has_time;
    labels->upto_ns = record->has_time ? upto_ns : 0;
    now = psa_buf_str(&labels->merged);
    if (now.n && !psa_str_is(now, old)) return psa_record_set(record, "labels", now);
    if (!now.n && old.n) psa_record_unset(record, PSA_M_LABELS);
    return 0;
}

void psa_filter_labels_restart(struct psa_filter_labels *labels)
{
    labels->n = 0;
    labels->has_upto = false;
}

void psa_filter_labels_free(struct psa_filter_labels *labels)
{
    for (size_t i = 0; i < labels->cap; i++) psa_buf_free(&labels->run[i].text);
    free(labels->run);
    free(labels->text);
    psa_buf_free(&labels->merged);
}

void psa_filter_labels_save(const struct psa_filter_labels *labels, struct psa_buf *out)
{
    if (labels->has_upto) psa_buf_member_int(out, "labels_upto_ns", labels->upto_ns);
    if (!labels->n) return;
    psa_buf_name(out, "labels");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < labels->n; i++) {
        const struct psa_filter_run *run = run_at(labels, i);

        psa_buf_comma(out);
        psa_buf_puts(out, "[");
        psa_buf_int(out, run->first_ns);
        psa_buf_puts(out, ",");
        psa_buf_int(out, run->last_ns);
        psa_buf_puts(out, ",");
        if (run->text.n) psa_buf_put(out, run->text.p, run->text.n);
        else psa_buf_puts(out, "null");
        psa_buf_puts(out, "]");
    }
    psa_buf_puts(out, "]");
}

bool psa_filter_labels_load(struct psa_filter_labels *labels, struct psa_json *in)
{
    bool ok = psa_json_enter_array(in);

    while (ok && psa_json_next_item(in)) {
        int64_t first_ns, last_ns;
        struct psa_str text;

        ok = psa_json_enter_array(in) && psa_json_next_item(in);
        first_ns = psa_json_int(in);
        ok = ok && psa_json_next_item(in);
        last_ns = psa_json_int(in);
        ok = ok && psa_json_next_item(in);
        text = psa_json_skip(in);
        ok = ok && !psa_json_next_item(in) && !in->fault.what && text.n && labels->n < RUNS_MAX;
        if (ok && psa_str_eq(text, "null")) text = (struct psa_str){ NULL, 0 };
        ok = ok && (!text.n || *text.p == '{') && first_ns <= last_ns;
        ok = ok && add_run(labels, first_ns, last_ns, text) == 0;
    }
    return ok && !in->fault.what;
}
