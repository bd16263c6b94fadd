/*
 * test_operations.c - stage/operation: every operation that keeps a state, by its descriptor. However the frames are cut
 * into batches, and wherever the state is copied into a new step, the frames that come out have the same bits; a state
 * that anyone may have written is refused or harmless.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/robust.h"
#include "golden.h"
#include "stage/operation.h"

enum { WIDTH = 3, FRAMES = 700 };

static const int64_t T0 = 1710000000000000000;

/* Every operation with a state; blocks only: `whole`. */
static const struct use {
    const struct psa_operation_type *type;
    const char *argument;
    bool centred, from_rest, whole;
} uses[] = {
    { &psa_median_operation, "1", false, false, false },
    { &psa_median_operation, "5", false, false, false },
    { &psa_median_operation, "6", true, false, false },
    { &psa_median_operation, "101", true, false, false },
    { &psa_hampel_operation, "7", false, false, false },
    { &psa_hampel_operation, "60,2", true, false, false },
    { &psa_detrend_operation, "constant,7", false, false, false },
    { &psa_detrend_operation, "linear,20", false, false, false },
    { &psa_kalman_operation, "level,2,0.1", false, false, false },
    { &psa_kalman_operation, "velocity,2,0.1", false, false, false },
    { &psa_resample_operation, "50", false, false, false },
    { &psa_resample_operation, "160", false, false, false },
    { &psa_resample_operation, "100", false, false, false },
    { &psa_resample_operation, "70,polyphase", false, false, false },
    { &psa_resample_operation, "33.3,linear", false, false, false },
    { &psa_resample_operation, "1000,previous", false, false, false },
    { &psa_resample_operation, "20,mean", false, false, false },
    { &psa_decimate_operation, "3", false, false, false },
    { &psa_decimate_operation, "5,fir", false, true, false },
    { &psa_decimate_operation, "4,fir", false, false, false },
    { &psa_detrend_operation, "linear", false, false, true },
    { &psa_decimate_operation, "3,iir", false, false, true },
    { &psa_decimate_operation, "3,fir", false, false, true },
};

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed >> 3;
}

static void fill_frames(struct psa_frames *frames)
{
    uint64_t seed = 88172645463325252u;
    *frames = (struct psa_frames){ .width = WIDTH };
    assert_int_equal(psa_frames_reserve(frames, FRAMES), 0);
    for (size_t i = 0; i < FRAMES; i++) {
        for (size_t c = 0; c < WIDTH; c++) {
            uint64_t bits = next_random(&seed);
            /* Holes in one stretch only: a filter's outputs are missing all around one. */
            bool hole = i >= 210 && i < 270 && bits % 5 == 0;
            frames->x[i * WIDTH + c] = hole ? NAN : (double)(bits % 2000) / 64.0 - 15.0;
        }
        frames->time_ns[i] = (i ? frames->time_ns[i - 1] : T0) + 10000000 + (int64_t)(next_random(&seed) % 1000);
        if (i == 300) frames->time_ns[i] += 123456789;
    }
    frames->n = FRAMES;
}

static const size_t channels[WIDTH] = { 0, 2, 1 };

static void open_operation(struct psa_operation *operation, const struct use *use)
{
    struct psa_error error = { 0 };
    *operation = (struct psa_operation){
        .type = use->type, .order = 4, .centred = use->centred, .zero_phase = use->whole, .from_rest = use->from_rest
    };
    if (use->type->parse(operation, use->argument, &error) != 0) fail_msg("%s", error.text);
}

static void open_step(struct psa_step *step, const struct psa_operation *operation)
{
    struct psa_error error = { 0 };
    bool all = operation->type->traits(operation) & PSA_RESAMPLES;
    *step = (struct psa_step){ .operation = operation,
                               .channel = channels,
                               .n_channel = all ? WIDTH : 2,
                               .width = WIDTH,
                               .rate_hz = 100.0,
                               .rate_out_hz = 100.0 };
    if (operation->type->design(step, &error) != 0) fail_msg("%s", error.text);
    step->v = calloc(step->n_v + 1, sizeof *step->v);
    step->k = calloc(step->n_k + 1, sizeof *step->k);
    assert_true(step->v && step->k);
    if (operation->type->start) operation->type->start(step);
}

static void close_step(struct psa_step *step)
{
    if (step->operation->type->drop) step->operation->type->drop(step);
    free(step->v);
    free(step->k);
}

/* n frames from `at` on through the step, what comes out behind `out`. */
static void feed(struct psa_step *step, const struct psa_frames *all, size_t at, size_t n, struct psa_frames *out)
{
    struct psa_frames in = { .width = WIDTH }, spare = { .width = WIDTH };
    assert_int_equal(psa_frames_append(&in, all, at, n), 0);
    assert_int_equal(step->operation->type->run(step, &in, &spare), 0);
    assert_int_equal(psa_frames_append(out, &in, 0, in.n), 0);
    psa_frames_free(&in);
    psa_frames_free(&spare);
}

static void drain(struct psa_step *step, struct psa_frames *out)
{
    struct psa_frames last = { .width = WIDTH };
    if (!step->operation->type->drain) return;
    assert_int_equal(step->operation->type->drain(step, &last), 0);
    assert_int_equal(psa_frames_append(out, &last, 0, last.n), 0);
    psa_frames_free(&last);
}

/* Another step with the same state. */
static void copy_step(struct psa_step *to, const struct psa_step *from)
{
    open_step(to, from->operation);
    assert_int_equal(to->n_v, from->n_v);
    assert_int_equal(to->n_k, from->n_k);
    if (to->n_v) memcpy(to->v, from->v, to->n_v * sizeof *to->v);
    if (to->n_k) memcpy(to->k, from->k, to->n_k * sizeof *to->k);
    assert_true(!to->operation->type->valid || to->operation->type->valid(to));
}

static void assert_same_frames(const struct psa_frames *a, const struct psa_frames *b)
{
    assert_int_equal(a->n, b->n);
    if (!a->n) return;
    assert_memory_equal(a->time_ns, b->time_ns, a->n * sizeof *a->time_ns);
    for (size_t i = 0; i < a->n * WIDTH; i++)
        assert_true(isnan(a->x[i]) ? isnan(b->x[i]) : memcmp(&a->x[i], &b->x[i], sizeof a->x[i]) == 0);
}

static void batches_and_copies_change_no_bit(void **state)
{
    (void)state;
    struct psa_frames all;
    uint64_t seed = 12345;
    fill_frames(&all);
    for (size_t u = 0; u < COUNT(uses); u++) {
        struct psa_operation operation;
        struct psa_step step, copy;
        struct psa_frames want = { .width = WIDTH }, got = { .width = WIDTH };
        if (uses[u].whole) continue;
        open_operation(&operation, &uses[u]);
        open_step(&step, &operation);
        feed(&step, &all, 0, FRAMES, &want);
        drain(&step, &want);
        close_step(&step);
        assert_true(want.n > 0);

        for (int round = 0; round < 4; round++) {
            got.n = 0;
            open_step(&step, &operation);
            for (size_t at = 0, n; at < FRAMES; at += n) {
                n = round == 0 ? 1 : next_random(&seed) % 60;
                if (n > FRAMES - at) n = FRAMES - at;
                feed(&step, &all, at, n, &got);
                copy_step(&copy, &step);
                close_step(&step);
                step = copy;
            }
            drain(&step, &got);
            close_step(&step);
            assert_same_frames(&got, &want);
        }
        psa_frames_free(&want);
        psa_frames_free(&got);
    }
    psa_frames_free(&all);
}

/* A whole block does not depend on those before it. */
static void blocks_stand_by_themselves(void **state)
{
    (void)state;
    struct psa_frames all;
    fill_frames(&all);
    for (size_t u = 0; u < COUNT(uses); u++) {
        struct psa_operation operation;
        struct psa_step step;
        struct psa_frames first = { .width = WIDTH }, second = { .width = WIDTH };
        if (!uses[u].whole) continue;
        open_operation(&operation, &uses[u]);
        assert_true(operation.type->traits(&operation) & PSA_WHOLE_BLOCKS);
        open_step(&step, &operation);
        feed(&step, &all, 100, 200, &first);
        feed(&step, &all, 0, 100, &second);
        second.n = 0;
        feed(&step, &all, 100, 200, &second);
        assert_same_frames(&first, &second);
        close_step(&step);
        psa_frames_free(&first);
        psa_frames_free(&second);
    }
    psa_frames_free(&all);
}

/* Channels that the operation was not given, and the frames' times, go through as they are. */
static void other_channels_pass(void **state)
{
    (void)state;
    struct psa_frames all;
    fill_frames(&all);
    for (size_t u = 0; u < COUNT(uses); u++) {
        struct psa_operation operation;
        struct psa_step step;
        struct psa_frames out = { .width = WIDTH };
        open_operation(&operation, &uses[u]);
        if (operation.type->traits(&operation) & PSA_RESAMPLES) continue;
        open_step(&step, &operation);
        feed(&step, &all, 0, FRAMES, &out);
        drain(&step, &out);
        assert_int_equal(out.n, FRAMES);
        assert_memory_equal(out.time_ns, all.time_ns, FRAMES * sizeof *out.time_ns);
        for (size_t i = 0; i < FRAMES; i++)
            assert_memory_equal(&out.x[i * WIDTH + 1], &all.x[i * WIDTH + 1], sizeof *out.x);
        close_step(&step);
        psa_frames_free(&out);
    }
    psa_frames_free(&all);
}

/* Numbers that a state file could hold; the sanitizers watch. */
static int64_t hostile(uint64_t *seed)
{
    static const int64_t often[] = { -1, 0,  1,  2,   3,    4,         5,         7,
                                     19, 20, 21, 101, 1000, INT64_MAX, INT64_MIN, INT64_C(1) << 40 };
    uint64_t bits = next_random(seed);
    return bits % 3 ? often[bits / 3 % COUNT(often)] : T0 + (int64_t)(bits % 20000000000u);
}

static void a_hostile_state_is_refused_or_harmless(void **state)
{
    (void)state;
    struct psa_frames all;
    uint64_t seed = 777;
    size_t refused = 0, taken = 0;
    fill_frames(&all);
    for (size_t u = 0; u < COUNT(uses); u++) {
        struct psa_operation operation;
        open_operation(&operation, &uses[u]);
        for (int round = 0; round < 200; round++) {
            struct psa_step step;
            struct psa_frames out = { .width = WIDTH };
            open_step(&step, &operation);
            feed(&step, &all, 0, next_random(&seed) % 300, &out);
            for (int change = 0; change < 1 + round % 3; change++) {
                if (step.n_k && round % 2) step.k[next_random(&seed) % (step.n_k < 8 ? step.n_k : 8)] = hostile(&seed);
                else if (step.n_v) step.v[next_random(&seed) % step.n_v] = round % 4 ? 1e300 : NAN;
            }
            bool valid = !step.operation->type->valid || step.operation->type->valid(&step);
            if (valid) {
                taken++;
                feed(&step, &all, 300, 200, &out);
                if (step.operation->type->advance) {
                    struct psa_frames more = { .width = WIDTH };
                    assert_int_equal(step.operation->type->advance(&step, all.time_ns[499] + 1000000000, &more), 0);
                    psa_frames_free(&more);
                }
                drain(&step, &out);
            } else refused++;
            close_step(&step);
            psa_frames_free(&out);
        }
    }
    assert_true(refused > 100 && taken > 100);
    psa_frames_free(&all);
}

/* --hampel counts what it replaces, --kalman what it fills; both say so once for each value. */
static void changes_are_counted(void **state)
{
    (void)state;
    struct psa_frames all, out = { .width = WIDTH };
    struct psa_operation operation;
    struct psa_step step;
    size_t changed = 0, missing = 0;
    fill_frames(&all);
    for (size_t i = 30; i < FRAMES; i += 50) all.x[i * WIDTH] = 1e6;
    open_operation(&operation, &(struct use){ &psa_hampel_operation, "9", false, false, false });
    open_step(&step, &operation);
    feed(&step, &all, 0, FRAMES, &out);
    for (size_t i = 0; i < FRAMES * WIDTH; i++) changed += !isnan(all.x[i]) && out.x[i] != all.x[i];
    assert_true(changed >= 14 && step.replaced == changed);
    close_step(&step);

    out.n = 0;
    open_operation(&operation, &(struct use){ &psa_kalman_operation, "level,1,1", false, false, false });
    open_step(&step, &operation);
    feed(&step, &all, 0, FRAMES, &out);
    for (size_t i = 0; i < FRAMES * WIDTH; i++) missing += isnan(all.x[i]) && !isnan(out.x[i]);
    assert_true(missing > 10 && step.filled == missing);
    close_step(&step);
    psa_frames_free(&out);
    psa_frames_free(&all);
}

/* An overflow costs the values that it touches and none behind them. */
static void an_overflow_is_counted_and_over(void **state)
{
    (void)state;
    struct psa_frames all;
    fill_frames(&all);
    for (size_t i = 0; i < FRAMES; i++)
        for (size_t c = 0; c < WIDTH; c++)
            all.x[i * WIDTH + c] = i < 100 || i >= 160 ? (double)(i % 7) : i % 20 < 10 ? 1.79e308 : -1.79e308;
    for (size_t u = 0; u < COUNT(uses); u++) {
        struct psa_operation operation;
        struct psa_step step;
        struct psa_frames out = { .width = WIDTH };
        open_operation(&operation, &uses[u]);
        if (uses[u].whole) continue;
        open_step(&step, &operation);
        for (size_t at = 0; at < FRAMES; at += 7) {
            feed(&step, &all, at, 7, &out);
            /* A recursive filter's state may be infinite for a sample; NaN in its place gives the same outputs. */
            for (size_t i = 0; i < step.n_v && operation.type != &psa_decimate_operation; i++)
                assert_true(!isinf(step.v[i]));
        }
        drain(&step, &out);
        for (size_t i = out.n / 2; i < out.n; i++)
            for (size_t c = 0; c < WIDTH; c++)
                assert_true(isfinite(out.x[i * WIDTH + c]) || out.time_ns[i] < all.time_ns[400]);
        close_step(&step);
        psa_frames_free(&out);
    }
    psa_frames_free(&all);
}

/* The window around a sample of a stream that is shorter than the delay. */
static void short_streams_have_short_windows(void **state)
{
    (void)state;
    struct psa_operation operation;
    struct psa_frames all;
    fill_frames(&all);
    open_operation(&operation, &(struct use){ &psa_median_operation, "9", true, false, false });
    for (size_t n = 1; n < 14; n++) {
        struct psa_frames out = { .width = WIDTH };
        struct psa_step step;
        open_step(&step, &operation);
        feed(&step, &all, 0, n, &out);
        assert_int_equal(out.n, n > 4 ? n - 4 : 0);
        drain(&step, &out);
        assert_int_equal(out.n, n);
        for (size_t i = 0; i < n; i++) {
            double sorted[9];
            size_t count = 0;
            for (size_t j = i < 4 ? 0 : i - 4; j < n && j <= i + 4; j++)
                psa_sorted_insert(sorted, count++, all.x[j * WIDTH]);
            assert_true(out.x[i * WIDTH] == psa_sorted_median(sorted, count));
            assert_true(out.time_ns[i] == all.time_ns[i]);
        }
        close_step(&step);
        psa_frames_free(&out);
    }
    psa_frames_free(&all);
}

/* 1e16 + 1 is 1e16: a plain sum would lose both ones. */
static void means_lose_nothing(void **state)
{
    (void)state;
    static const double x[4] = { 1e16, 1.0, -1e16, 1.0 };
    struct psa_operation operation;
    struct psa_frames all, out = { .width = WIDTH };
    struct psa_step step;
    fill_frames(&all);
    for (size_t i = 0; i < 4 * WIDTH; i++) all.x[i] = x[i / WIDTH];
    for (size_t i = 0; i < 4; i++) all.time_ns[i] = T0 + (int64_t)i;
    open_operation(&operation, &(struct use){ &psa_resample_operation, "20,mean", false, false, false });
    open_step(&step, &operation);
    feed(&step, &all, 0, 4, &out);
    drain(&step, &out);
    assert_int_equal(out.n, 1);
    assert_true(out.x[0] == 0.5 && out.time_ns[0] == T0);
    close_step(&step);
    psa_frames_free(&out);
    psa_frames_free(&all);
}

static void unsorted_windows_are_refused(void **state)
{
    (void)state;
    struct psa_operation operation;
    struct psa_frames all, out = { .width = WIDTH };
    struct psa_step step;
    fill_frames(&all);
    open_operation(&operation, &(struct use){ &psa_median_operation, "5", false, false, false });
    open_step(&step, &operation);
    feed(&step, &all, 0, 50, &out);
    assert_true(operation.type->valid(&step));
    double *sorted = step.v + 5, kept = sorted[2];
    sorted[2] = sorted[4] + 1.0;
    assert_false(operation.type->valid(&step));
    sorted[2] = NAN;
    assert_false(operation.type->valid(&step));
    sorted[2] = kept;
    assert_true(operation.type->valid(&step));
    close_step(&step);
    psa_frames_free(&out);
    psa_frames_free(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_and_copies_change_no_bit),
        cmocka_unit_test(blocks_stand_by_themselves),
        cmocka_unit_test(other_channels_pass),
        cmocka_unit_test(a_hostile_state_is_refused_or_harmless),
        cmocka_unit_test(changes_are_counted),
        cmocka_unit_test(an_overflow_is_counted_and_over),
        cmocka_unit_test(short_streams_have_short_windows),
        cmocka_unit_test(unsorted_windows_are_refused),
        cmocka_unit_test(means_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
