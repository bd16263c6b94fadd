/* labels.c - see labels.h. */
#include "stage/labels.h"

#include <math.h>

#include "core/json.h"
#include "core/number.h"

/* The number that a label's text is; NaN for anything else. */
static double number_of(struct psa_str text)
{
    double value;

    return text.n && psa_number_parse(text.p, text.p + text.n, &value) ? value : NAN;
}

/* The largest number among a text's members, -inf without one. */
static double weight(struct psa_str text)
{
    struct psa_arena arena = { 0 };
    struct psa_str name;
    struct psa_json in;
    double largest = -INFINITY;

    psa_json_open(&in, text, &arena);
    psa_json_enter_object(&in);
    while (psa_json_next_member(&in, &name)) {
        double value = number_of(psa_json_skip(&in));

        if (value > largest) largest = value;
    }
    psa_arena_free(&arena);
    return largest;
}

/* The text of the member `name` with the largest number in any of the texts, or `own` when that is no number. */
static struct psa_str largest_of(const struct psa_str *text, size_t n, const char *name, struct psa_str own)
{
    struct psa_str best = own;

    if (isnan(number_of(own))) return own;
    for (size_t i = 0; i < n; i++) {
        struct psa_str value = psa_json_find(text[i], name);

        if (value.p && number_of(value) > number_of(best)) best = value;
    }
    return best;
}

/* Append the members of text[at] whose names no text in `before` has. */
static void put_members(const struct psa_str *text, size_t n, size_t at, const size_t *before, size_t n_before,
                        struct psa_buf *out)
{
    struct psa_arena arena = { 0 };
    struct psa_buf name = { 0 };
    struct psa_str member;
    struct psa_json in;

    psa_json_open(&in, text[at], &arena);
    psa_json_enter_object(&in);
    while (psa_json_next_member(&in, &member)) {
        struct psa_str value = psa_json_skip(&in);
        bool known = false;

        name.n = 0;
        psa_buf_put(&name, member.p, member.n);
        psa_buf_put(&name, "", 1);
        if (name.failed || in.fault.what) break;
        for (size_t i = 0; i < n_before && !known; i++) known = psa_json_find(text[before[i]], name.p).p != NULL;
        if (known) continue;
        value = largest_of(text, n, name.p, value);
        psa_buf_comma(out);
        psa_buf_quote(out, member);
        psa_buf_puts(out, ":");
        psa_buf_put(out, value.p, value.n);
    }
    psa_buf_free(&name);
    psa_arena_free(&arena);
}

void psa_labels_merge(const struct psa_str *text, size_t n, struct psa_buf *out)
{
    size_t best = 0, done[3], n_done = 0, order[3];

    if (n == 0) {
        psa_buf_puts(out, "{}");
        return;
    }
    if (n == 1) {
        psa_buf_put(out, text[0].p, text[0].n);
        return;
    }
    for (size_t i = 1; i < n; i++)
        if (weight(text[i]) >= weight(text[best])) best = i;
    /* Names that only a middle text has are rare; the heaviest, the newest and the oldest are asked for theirs. */
    order[0] = best;
    order[1] = n - 1;
    order[2] = 0;
    psa_buf_puts(out, "{");
    for (size_t i = 0; i < 3; i++) {
        put_members(text, n, order[i], done, n_done, out);
        done[n_done++] = order[i];
    }
    psa_buf_puts(out, "}");
}
