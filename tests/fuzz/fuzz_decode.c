/*
 * fuzz_decode.c - lines of any kind through the decoder's two paths.
 *
 * The first byte chooses limits and --flat; the rest is cut at LF into lines that go through one decoder, so that shapes
 * are learnt and predicted. Each line: both paths say the same and fill the same record; the record encodes to the very
 * line (to a line that decodes alike under --flat); its numbers changed and printed decode to the same numbers.
 */
#include <stdlib.h>
#include <string.h>

#include "core/record.h"
#include "same_record.h"

static void check(bool good)
{
    if (!good) abort();
}

static struct psa_str exact_copy(struct psa_str text)
{
    char *copy = malloc(text.n ? text.n : 1);

    check(copy != NULL);
    if (text.n) memcpy(copy, text.p, text.n);
    return (struct psa_str){ copy, text.n };
}

static void check_same_outcome(enum psa_line_kind kind, const struct psa_decoded *a, enum psa_line_kind other,
                               const struct psa_decoded *b)
{
    check(kind == other);
    if (kind == PSA_LINE_REFUSED) check(a->refusal == b->refusal && strcmp(a->why, b->why) == 0 && a->why[0]);
    if (kind == PSA_LINE_RECORD) check(same_record(a->record, b->record));
    if (kind == PSA_LINE_CONTROL)
        check(a->control.kind == b->control.kind && strcmp(a->control.id, b->control.id) == 0 &&
              a->control.heartbeat_ns == b->control.heartbeat_ns && psa_str_is(a->control.text, b->control.text));
}

/* Encode, decode that with `decoder`: the same again, since an encoded record is as good as the one that came. */
static void check_encoding(struct psa_decoder *decoder, const struct psa_record *record, struct psa_str line, bool flat)
{
    struct psa_buf once = { 0 }, twice = { 0 };
    struct psa_decoded out = { 0 };
    struct psa_str text;

    psa_encode(record, &once);
    check(once.n > 0 && once.p[once.n - 1] == '\n');
    text = (struct psa_str){ once.p, once.n - 1 };
    if (!flat) check(psa_str_is(text, line));
    check(psa_decode(decoder, text, &out) == PSA_LINE_RECORD);
    psa_encode(out.record, &twice);
    check(psa_str_is(psa_buf_str(&once), psa_buf_str(&twice)));
    psa_buf_free(&once);
    psa_buf_free(&twice);
}

/* Print every number anew: what is printed reads back as the same double. */
static void check_numbers(struct psa_decoder *decoder, struct psa_record *record)
{
    struct psa_buf buf = { 0 };
    struct psa_record before = { 0 };
    struct psa_decoded out = { 0 };

    check(psa_record_copy(&before, record, true) == 0);
    for (size_t i = 0; i < record->n_field; i++)
        if (record->field[i].kind == PSA_NUMBER) psa_field_set(&record->field[i], record->field[i].number);
    psa_encode(record, &buf);
    check(psa_decode(decoder, (struct psa_str){ buf.p, buf.n - 1 }, &out) == PSA_LINE_RECORD);
    check(out.record->n_field == before.n_field && out.record->n_member == before.n_member);
    for (size_t i = 0; i < before.n_field; i++) {
        check(out.record->field[i].kind == before.field[i].kind);
        if (before.field[i].kind == PSA_NUMBER)
            check(memcmp(&before.field[i].number, &out.record->field[i].number, sizeof(double)) == 0);
    }
    psa_record_free(&before);
    psa_buf_free(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct psa_decode_limits limits = PSA_DECODE_LIMITS;
    const char *p = (const char *)bytes, *end = p + n;
    struct psa_decoder *both, *general, *again;

    if (n == 0) return 0;
    limits.flat = *p & 1;
    if (*p & 2) limits = (struct psa_decode_limits){ .fields = 6, .depth = 4, .flat = limits.flat };
    both = psa_decoder_new(limits);
    general = psa_decoder_new(limits);
    again = psa_decoder_new(PSA_DECODE_LIMITS);
    check(both && general && again);
    for (p++; p < end;) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        struct psa_str line = exact_copy((struct psa_str){ p, (size_t)((lf ? lf : end) - p) });
        struct psa_decoded out = { 0 }, other = { 0 };
        enum psa_line_kind kind = psa_decode(both, line, &out);

        check_same_outcome(kind, &out, psa_decode_general(general, line, &other), &other);
        if (kind == PSA_LINE_RECORD) {
            check_encoding(again, out.record, line, limits.flat);
            check_numbers(again, out.record);
        }
        free((char *)line.p);
        if (!lf) break;
        p = lf + 1;
    }
    psa_decoder_free(both);
    psa_decoder_free(general);
    psa_decoder_free(again);
    return 0;
}
