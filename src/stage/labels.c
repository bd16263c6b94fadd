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
static struct psa_str largest_of(const struct psa_str *text, size_t n, struct psa_str name, struct psa_str own)
{
    struct psa_str best = own;

    if (isnan(number_of(own))) return own;
    for (size_t i = 0; i < n; i++) {
        struct psa_str value = psa_json_member(text[i], name);

        if (value.p && number_of(value) > number_of(best)) best = value;
    }
    return best;
}

/* Has the heaviest text, or one newer than text[at], a member of that name? Then it has been written. */
static bool written(const struct psa_str *text, size_t n, size_t heaviest, size_t at, struct psa_str name)
{
    if (at == heaviest) return false;
    if (psa_json_member(text[heaviest], name).p) return true;
    for (size_t i = at + 1; i < n; i++)
        if (psa_json_member(text[i], name).p) return true;
    return false;
}

/* Append the members of text[at] that are not written yet. */
static void put_members(const struct psa_str *text, size_t n, size_t heaviest, size_t at, struct psa_buf *out)
{
    struct psa_arena arena = { 0 };
    struct psa_str name;
    struct psa_json in;

    psa_json_open(&in, text[at], &arena);
    psa_json_enter_object(&in);
    while (psa_json_next_member(&in, &name)) {
        struct psa_str value = psa_json_skip(&in);

        if (in.fault.what || written(text, n, heaviest, at, name)) continue;
        value = largest_of(text, n, name, value);
        psa_buf_comma(out);
        psa_buf_quote(out, name);
        psa_buf_puts(out, ":");
        psa_buf_put(out, value.p, value.n);
    }
    psa_arena_free(&arena);
}

void psa_labels_merge(const struct psa_str *text, size_t n, struct psa_buf *out)
{
    size_t heaviest = 0;

    if (n == 1) {
        psa_buf_put(out, text[0].p, text[0].n);
        return;
    }
    for (size_t i = 1; i < n; i++)
        if (weight(text[i]) >= weight(text[heaviest])) heaviest = i;
    psa_buf_puts(out, "{");
    if (n) put_members(text, n, heaviest, heaviest, out);
    for (size_t i = n; i-- > 0;)
        if (i != heaviest) put_members(text, n, heaviest, i, out);
    psa_buf_puts(out, "}");
}
