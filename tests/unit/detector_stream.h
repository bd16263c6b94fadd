/*
 * detector_stream.h - a detector that learns from its stream, run by its contract (model/detector.h): rows in, the verdict
 * raw > limit back; cut and resumed; loaded from damaged states. Include it after golden.h.
 */
#ifndef PSA_TESTS_DETECTOR_STREAM_H
#define PSA_TESTS_DETECTOR_STREAM_H

#include "core/buf.h"
#include "core/error.h"
#include "model/detector.h"
#include "model/random.h"

struct stream_case {
    const struct psa_detector_type *type;
    struct psa_detector_settings settings;
    double limit;
    const double *rows; /* [n_rows][n_columns] */
    size_t n_rows, n_columns;
    int64_t step_ns;
};

static inline struct psa_detector stream_start(const struct stream_case *stream, double *contribution)
{
    struct psa_detector detector = { .type = stream->type,
                                     .settings = &stream->settings,
                                     .n_columns = stream->n_columns,
                                     .contribution = contribution };
    struct psa_error error;

    assert_int_equal(detector.type->start(&detector, &error), 0);
    return detector;
}

/* Row i; its raw score. Contributions are finite, those of missing columns 0. */
static inline double stream_row(const struct stream_case *stream, struct psa_detector *detector, size_t i)
{
    const double *row = stream->rows + i * stream->n_columns;
    double raw = -1.0;

    assert_int_equal(detector->type->update(detector, row, (int64_t)i * stream->step_ns, &raw), 0);
    for (size_t j = 0; detector->contribution != NULL && j < stream->n_columns; j++) {
        assert_true(isfinite(detector->contribution[j]));
        if (isnan(row[j])) assert_true(detector->contribution[j] == 0.0);
    }
    if (detector->type->judged != NULL) detector->type->judged(detector, raw > stream->limit);
    return raw;
}

static inline void stream_save(const struct psa_detector *detector, struct psa_buf *out)
{
    psa_buf_puts(out, "{");
    detector->type->save(detector, out);
    psa_buf_puts(out, "}");
    assert_false(out->failed);
}

/* Into a fresh detector; false when the state is refused. */
static inline bool stream_load(struct psa_detector *detector, struct psa_str state)
{
    struct psa_arena arena = { 0 };
    struct psa_json in;
    struct psa_str name;
    bool ok;

    psa_json_open(&in, state, &arena);
    ok = psa_json_enter_object(&in);
    while (ok && psa_json_next_member(&in, &name)) ok = detector->type->load(detector, name, &in);
    ok = ok && psa_json_close(&in) && detector->type->loaded(detector);
    psa_arena_free(&arena);
    return ok;
}

static inline bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

/* Cut before every `every`-th row and resumed from the saved state, it gives the same bits, and saves the same bytes. */
static inline void stream_resumes(const struct stream_case *stream, size_t every)
{
    double contribution[64], resumed_contribution[64];
    struct psa_detector whole = stream_start(stream, contribution), cut = stream_start(stream, resumed_contribution);
    struct psa_buf state = { 0 }, again = { 0 };

    assert_true(stream->n_columns <= COUNT(contribution));
    for (size_t i = 0; i < stream->n_rows; i++) {
        if (i % every == 0) {
            state.n = again.n = 0;
            stream_save(&cut, &state);
            stream->type->stop(&cut);
            cut = stream_start(stream, resumed_contribution);
            assert_true(stream_load(&cut, psa_buf_str(&state)));
            stream_save(&cut, &again);
            assert_true(psa_str_is(psa_buf_str(&state), psa_buf_str(&again)));
        }
        assert_true(same_bits(stream_row(stream, &whole, i), stream_row(stream, &cut, i)));
        for (size_t j = 0; j < stream->n_columns; j++) assert_true(same_bits(contribution[j], resumed_contribution[j]));
        assert_int_equal(whole.n_learned, cut.n_learned);
        for (size_t k = 0; k < whole.n_learned; k++) assert_true(same_bits(whole.learned[k], cut.learned[k]));
    }
    stream->type->stop(&whole);
    stream->type->stop(&cut);
    psa_buf_free(&state);
    psa_buf_free(&again);
}

/* One damage: a byte changed to one of those that JSON is made of, some bytes taken out, or a number made another. */
static inline void damage(struct psa_random *random, char *text, size_t *n)
{
    static const char bytes[] = "0123456789-+.eE,:[]{}\"ntf ";
    static const char *const numbers[] = { "-1", "1e308", "-1e308", "null", "9223372036854775807", "0", "0.5", "true" };
    size_t at = psa_random_below(random, *n), k;

    switch (psa_random_below(random, 3)) {
    case 0: text[at] = bytes[psa_random_below(random, sizeof bytes - 1)]; return;
    case 1:
        k = 1 + psa_random_below(random, 20);
        if (k > *n - at) k = *n - at;
        memmove(text + at, text + at + k, *n - at - k);
        *n -= k;
        return;
    default:
        while (at < *n && !(text[at] >= '0' && text[at] <= '9')) at++;
        for (k = at; k < *n && strchr("0123456789.eE+-", text[k]) != NULL;) k++;
        const char *number = numbers[psa_random_below(random, COUNT(numbers))];
        memmove(text + at + strlen(number), text + k, *n - k);
        memcpy(text + at, number, strlen(number));
        *n += strlen(number) - (k - at);
    }
}

/* Whatever is loaded, it is refused, or rows can follow; run it under a sanitizer. */
static inline void stream_survives(const struct stream_case *stream, size_t at, size_t rounds)
{
    double contribution[64];
    struct psa_detector detector = stream_start(stream, NULL);
    struct psa_buf state = { 0 };
    struct psa_random random;
    size_t refused = 0;
    char *text;

    psa_random_seed(&random, 7);
    for (size_t i = 0; i < at; i++) stream_row(stream, &detector, i);
    stream_save(&detector, &state);
    stream->type->stop(&detector);
    text = malloc(state.n + 100);
    assert_non_null(text);
    for (size_t round = 0; round < rounds; round++) {
        size_t n = state.n;
        bool ok;

        memcpy(text, state.p, n);
        for (size_t k = psa_random_below(&random, 3) + 1; k > 0 && n > 20; k--) damage(&random, text, &n);
        detector = stream_start(stream, contribution);
        ok = stream_load(&detector, (struct psa_str){ text, n });
        refused += ok ? 0 : 1;
        for (size_t i = at; ok && i < stream->n_rows && i < at + 20; i++) {
            double raw;

            detector.type->update(&detector, stream->rows + i * stream->n_columns, (int64_t)i, &raw);
            if (detector.type->judged != NULL) detector.type->judged(&detector, raw > stream->limit);
        }
        detector.type->stop(&detector);
    }
    assert_true(refused > rounds / 4);
    free(text);
    psa_buf_free(&state);
}

/* A state in which `to` stands for the first `from` is refused. */
static inline void stream_refuses(const struct stream_case *stream, size_t at, const char *from, const char *to)
{
    struct psa_detector detector = stream_start(stream, NULL);
    struct psa_buf state = { 0 }, changed = { 0 };
    char *place;

    for (size_t i = 0; i < at; i++) stream_row(stream, &detector, i);
    stream_save(&detector, &state);
    psa_buf_put(&state, "", 1);
    place = strstr(state.p, from);
    assert_non_null(place);
    psa_buf_put(&changed, state.p, (size_t)(place - state.p));
    psa_buf_puts(&changed, to);
    psa_buf_puts(&changed, place + strlen(from));
    stream->type->stop(&detector);
    detector = stream_start(stream, NULL);
    assert_false(stream_load(&detector, psa_buf_str(&changed)));
    stream->type->stop(&detector);
    psa_buf_free(&state);
    psa_buf_free(&changed);
}

/* The end of the member that begins at text[at]: the comma or brace behind it. Names and values hold no quoted brackets. */
static inline size_t member_end(const char *text, size_t at)
{
    for (int depth = 0; depth > 0 || (text[at] != ',' && text[at] != '}'); at++) {
        depth += text[at] == '[' || text[at] == '{';
        depth -= text[at] == ']' || text[at] == '}';
    }
    return at;
}

/* Is a state of these pieces refused? */
static inline void refuses_pieces(const struct stream_case *stream, const char *what, const struct psa_str *piece,
                                  size_t n)
{
    struct psa_detector detector = stream_start(stream, NULL);
    struct psa_buf text = { 0 };

    for (size_t i = 0; i < n; i++) psa_buf_put(&text, piece[i].p, piece[i].n);
    if (stream_load(&detector, psa_buf_str(&text))) fail_msg("accepted without, or with twice: %.40s", what);
    stream->type->stop(&detector);
    psa_buf_free(&text);
}

/* The state after `at` rows is refused without any one of its members, and with any one twice. */
static inline void stream_needs_each_member_once(const struct stream_case *stream, size_t at)
{
    struct psa_detector detector = stream_start(stream, NULL);
    struct psa_buf state = { 0 };
    size_t members = 0, end;

    for (size_t i = 0; i < at; i++) stream_row(stream, &detector, i);
    stream_save(&detector, &state);
    stream->type->stop(&detector);
    for (size_t from = 1; from < state.n; from = end + 1, members++) {
        bool is_last = state.p[end = member_end(state.p, from)] == '}';
        struct psa_str before = { state.p, from }, after = { state.p + end, state.n - end };
        struct psa_str member = { state.p + from, end - from }, comma = { ",", 1 };

        refuses_pieces(stream, member.p, (struct psa_str[]){ before, member, comma, member, after }, 5);
        /* One of the commas goes with it. */
        if (is_last) before.n--;
        else after = (struct psa_str){ after.p + 1, after.n - 1 };
        refuses_pieces(stream, member.p, (struct psa_str[]){ before, after }, 2);
    }
    assert_true(members > 0);
    psa_buf_free(&state);
}

#endif
