/*
 * score_verdict.c - a verdict into its record: fields.anomaly_score and anomaly_label, and the member
 *
 *     "anomaly":{"is_anomaly":b,"threshold":t,"raw":r,"raw_threshold":l,"model":id,"state":s,"top":[[name,share],..],
 *                "missing":[name,..],"observations_seen":n}
 *
 * raw, raw_threshold and top where there is a score, missing where something is, observations_seen while warming.
 */
#include <math.h>

#include "core/chain.h"
#include "core/error.h"
#include "core/record.h"
#include "stage/score.h"

static double sum_of(const double *value, size_t n)
{
    double sum = 0.0;

    for (size_t j = 0; j < n; j++) sum += value[j];
    return sum;
}

/* Make each contribution one whose shares can be told: what is negative or no number drove nothing; where their sum is beyond
 * a double they become shares of the largest, beside infinite ones all others nothing. Returns their sum. */
static double make_sound(double *contribution, size_t n)
{
    double total, largest = 0.0;

    for (size_t j = 0; j < n; j++) {
        if (!(contribution[j] > 0.0)) contribution[j] = 0.0;
        largest = fmax(largest, contribution[j]);
    }
    total = sum_of(contribution, n);
    if (isfinite(total)) return total;
    for (size_t j = 0; j < n; j++) contribution[j] = isinf(contribution[j]) ? 1.0 : contribution[j] / largest;
    return sum_of(contribution, n);
}

/* [[name, share], ...]: the largest positive contributions, as shares of all positive ones. They are used up. */
static void write_top(const struct psa_score_verdict *verdict, struct psa_buf *json)
{
    double total = make_sound(verdict->contribution, verdict->n);

    psa_buf_name(json, "top");
    psa_buf_puts(json, "[");
    for (int64_t i = 0; i < verdict->top && i < (int64_t)verdict->n; i++) {
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

static void write_missing(const struct psa_score_verdict *verdict, struct psa_buf *json)
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

static void write_anomaly(const struct psa_score_verdict *verdict, struct psa_buf *json)
{
    json->n = 0;
    psa_buf_puts(json, "{");
    psa_buf_member_bool(json, "is_anomaly", verdict->is_anomaly);
    psa_buf_member_number(json, "threshold", verdict->threshold);
    if (verdict->scored) {
        psa_buf_member_number(json, "raw", verdict->raw);
        psa_buf_member_number(json, "raw_threshold", verdict->raw_threshold);
    }
    psa_buf_member_text(json, "model", psa_str_of(verdict->model));
    psa_buf_member_text(json, "state", psa_str_of(verdict->state));
    if (verdict->scored && verdict->contribution != NULL) write_top(verdict, json);
    write_missing(verdict, json);
    if (verdict->warming) psa_buf_member_int(json, "observations_seen", (int64_t)verdict->seen);
    if (verdict->detector != NULL && verdict->detector->type->tell != NULL)
        verdict->detector->type->tell(verdict->detector, json);
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

int psa_score_write(struct psa_node *node, struct psa_record *record, const struct psa_score_verdict *verdict,
                    struct psa_error *error)
{
    struct psa_buf *json = &((struct psa_score *)node->state)->json;

    write_anomaly(verdict, json);
    if (json->failed || psa_record_set(record, "anomaly", psa_buf_str(json)) != 0)
        return psa_fail_memory(error, "scoring");
    if (!verdict->scored) {
        blank_number(record, "anomaly_score");
        blank_number(record, "anomaly_label");
    } else if (!set_number(record, "anomaly_score", verdict->score) ||
               !set_number(record, "anomaly_label", verdict->is_anomaly ? -1.0 : 1.0)) {
        return psa_fail_memory(error, "scoring");
    }
    return 0;
}
