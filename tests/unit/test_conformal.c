/* test_conformal.c - conformal scores against their definition in NumPy, their properties, cut and resumed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "detector_stream.h"
#include "model/conformal.h"

enum { ROWS = 700, COLUMNS = 2 };

/* ---- golden -------------------------------------------------------------------------------------------------------- */

static void case_agrees(struct psa_str all, struct psa_str one)
{
    struct psa_conformal_options options = { .horizon = (size_t)golden_number(one, "horizon"),
                                             .smooth = (size_t)golden_number(one, "smooth"),
                                             .shingle = (size_t)golden_number(one, "shingle"),
                                             .nearest = (size_t)golden_number(one, "nearest"),
                                             .season_ns = (int64_t)golden_number(one, "season") };
    double x[ROWS * COLUMNS], time[ROWS], expected[ROWS], contribution[COLUMNS], raw;
    struct psa_conformal conformal;

    assert_int_equal(golden_numbers(all, "rows", x, COUNT(x)), COUNT(x));
    assert_int_equal(golden_numbers(all, "time", time, ROWS), ROWS); /* whole minutes: exact in a double */
    assert_int_equal(golden_numbers(one, "raw", expected, ROWS), ROWS);
    assert_int_equal(psa_conformal_init(&conformal, &options, COLUMNS), 0);
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(psa_conformal_update(&conformal, x + i * COLUMNS, (int64_t)time[i], contribution, &raw), 0);
        assert_near(raw, expected[i], 1e-9);
        assert_true(raw == fmax(contribution[0], contribution[1]));
    }
    psa_conformal_free(&conformal);
}

static void agrees_with_the_definition(void **state)
{
    struct golden file = golden_open("charts.json");
    struct psa_str all = golden_at(file.text, "conformal"), one;
    size_t n = 0;

    (void)state;
    for (; (one = golden_item(golden_at(all, "cases"), n)).p; n++) case_agrees(all, one);
    assert_int_equal(n, 2);
    golden_close(&file);
}

/* ---- distances by lag stay those of the definition ------------------------------------------------------------------ */

static void distances_are_exact(void **state)
{
    static const struct psa_conformal_options options = { .horizon = 100, .smooth = 3, .shingle = 9, .nearest = 2 };
    static const double spikes[] = { 0.0, 1e3, 1e9, -1e17, 1e150 };
    double x[2000], raw;
    struct psa_conformal conformal;
    struct psa_random random;

    (void)state;
    psa_random_seed(&random, 2);
    assert_int_equal(psa_conformal_init(&conformal, &options, 1), 0);
    for (size_t i = 0; i < COUNT(x); i++) {
        x[i] = psa_random_uniform(&random) + (i % 53 == 0 ? spikes[psa_random_below(&random, COUNT(spikes))] : 0.0);
        assert_int_equal(psa_conformal_update(&conformal, x + i, 0, NULL, &raw), 0);
        assert_int_equal(psa_conformal_lags(&conformal, conformal.column), i + 1 < 18     ? 0
                                                                           : i - 16 > 100 ? 100
                                                                                          : i - 16);
        for (size_t m = 0; m < psa_conformal_lags(&conformal, conformal.column); m++) {
            double sum = 0.0;

            for (size_t s = 0; s < 9; s++) sum += (x[i - s] - x[i - s - 9 - m]) * (x[i - s] - x[i - s - 9 - m]);
            assert_true(fabs(conformal.column[0].distance[m] - sum) <= 1e-6 * sum);
        }
    }
    psa_conformal_free(&conformal);
}

/* ---- what the p-values promise --------------------------------------------------------------------------------------- */

/* Of independent values, the profile's p-value is at most e in about e of the rows. */
static void p_values_are_valid(void **state)
{
    static const struct psa_conformal_options options = {
        .horizon = 500, .smooth = 1000000, .shingle = 1000000, .nearest = 1
    };
    struct psa_conformal conformal;
    struct psa_random random;
    size_t beyond = 0, n = 20000;

    (void)state;
    psa_random_seed(&random, 4);
    assert_int_equal(psa_conformal_init(&conformal, &options, 1), 0);
    for (size_t i = 0; i < n + 500; i++) {
        double x = psa_random_uniform(&random), raw;

        assert_int_equal(psa_conformal_update(&conformal, &x, 0, NULL, &raw), 0);
        /* The range measure is nearly always 0, which is p = 1. */
        beyond += i >= 500 && raw >= -log10(0.05);
    }
    assert_true(beyond > n * 4 / 100 && beyond < n * 6 / 100);
    psa_conformal_free(&conformal);
}

/* 12 is ordinary at noon and strange at midnight: only a profile can tell. */
static void profile_tells_the_hour(void **state)
{
    struct psa_conformal_options options = { .horizon = 1000, .smooth = 2, .shingle = 4, .nearest = 1 };

    (void)state;
    for (int seasonal = 0; seasonal < 2; seasonal++) {
        struct psa_conformal conformal;
        struct psa_random random;
        double raw = 0.0;

        options.season_ns = seasonal ? (int64_t)86400 * 1000000000 : 0;
        psa_random_seed(&random, 4);
        assert_int_equal(psa_conformal_init(&conformal, &options, 1), 0);
        for (size_t i = 0; i <= 24 * 30; i++) {
            double x = (i % 24 >= 8 && i % 24 < 18 ? 12.0 : 2.0) + psa_random_uniform(&random);

            if (i == 24 * 30) x = 12.5;
            /* Before 1970 too: the hour is the same. */
            assert_int_equal(psa_conformal_update(&conformal, &x, ((int64_t)i - 480) * 3600 * 1000000000, NULL, &raw),
                             0);
        }
        if (seasonal) assert_true(raw > 2.0 * log10(700.0));
        else assert_true(raw < 2.0 * log10(700.0));
        psa_conformal_free(&conformal);
    }
}

/* ---- the contract ---------------------------------------------------------------------------------------------------- */

static void make_rows(double *x)
{
    struct psa_random random;

    psa_random_seed(&random, 3);
    for (size_t i = 0; i < ROWS; i++, x += COLUMNS) {
        x[0] = sin((double)i / 7.0) + 0.1 * psa_random_uniform(&random);
        x[1] = i % 5 == 2 ? NAN : floor(8.0 * psa_random_uniform(&random));
        if (i == 333) x[0] = 1e12;
        if (i == 366) x[1] = -1e308;
    }
}

static struct stream_case make_case(double *x)
{
    make_rows(x);
    return (struct stream_case){
        .type = &psa_conformal_detector,
        .settings = { .warmup = 50, .horizon = 150, .season_ns = 3600, .smooth = 5, .shingle = 12, .nearest = 3 },
        .limit = 4.0,
        .rows = x,
        .n_rows = 420,
        .n_columns = COLUMNS,
        .step_ns = 90
    };
}

static void resumes_bit_for_bit(void **state)
{
    double x[ROWS * COLUMNS];
    struct stream_case stream = make_case(x);

    (void)state;
    stream_resumes(&stream, 3);
    stream_resumes(&stream, 37);
    stream.settings.horizon = 5000;
    stream_resumes(&stream, 41);
}

static void survives_any_state(void **state)
{
    double x[ROWS * COLUMNS];
    struct stream_case stream = make_case(x);

    (void)state;
    stream_survives(&stream, 10, 2000);
    stream_survives(&stream, 300, 1500);
}

static void a_gap_joins_nothing(void **state)
{
    double x[ROWS * COLUMNS];
    struct stream_case stream = make_case(x);
    struct psa_detector detector = stream_start(&stream, NULL);
    struct psa_buf before = { 0 }, after = { 0 };

    (void)state;
    for (size_t i = 0; i < 200; i++) stream_row(&stream, &detector, i);
    detector.type->gap(&detector);
    for (size_t i = 200; i < 211; i++) {
        stream_row(&stream, &detector, i);
        before.n = 0;
        stream_save(&detector, &before);
        psa_buf_put(&before, "", 1);
        /* Neither a short mean of 5 nor a shape of 12 yet: the newest of both is null. */
        if (i < 204) assert_non_null(strstr(before.p, "null],\"shape\":["));
        assert_non_null(strstr(before.p, "null],\"range\":["));
    }
    stream_row(&stream, &detector, 212);
    stream_save(&detector, &after);
    psa_buf_put(&after, "", 1);
    *strchr(after.p, '}') = 0; /* the first column's */
    assert_null(strstr(after.p, "null],\"range\":["));
    detector.type->stop(&detector);
    psa_buf_free(&before);
    psa_buf_free(&after);
}

static void refuses_what_it_cannot_do(void **state)
{
    double x[ROWS * COLUMNS];
    struct stream_case stream = make_case(x);
    struct psa_detector detector = { .type = stream.type, .settings = &stream.settings, .n_columns = 1 };
    struct psa_error error;

    (void)state;
    stream.settings.horizon = 0;
    assert_int_equal(detector.type->start(&detector, &error), -1);
    assert_non_null(strstr(error.text, "--horizon 0 with --conformal"));
    stream.settings.horizon = 100;
    stream.settings.freeze = true;
    assert_int_equal(detector.type->start(&detector, &error), -1);
    assert_non_null(strstr(error.text, "--freeze with --conformal"));
}

static void refuses_what_does_not_fit(void **state)
{
    double x[ROWS * COLUMNS];
    struct stream_case stream = make_case(x);

    (void)state;
    stream_needs_each_member_once(&stream, 300);
    stream_refuses(&stream, 300, "\"short_mean\":", "\"profile\":");
    stream_refuses(&stream, 300, "\"values\":", "\"shape\":");
    stream_refuses(&stream, 300, "\"seen\":", "\"sene\":");
    stream_refuses(&stream, 300, "\"seen\":300", "\"seen\":299");
    stream_refuses(&stream, 300, "\"columns\":[", "\"columns\":[{},");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_definition), cmocka_unit_test(distances_are_exact),
        cmocka_unit_test(p_values_are_valid),         cmocka_unit_test(profile_tells_the_hour),
        cmocka_unit_test(resumes_bit_for_bit),        cmocka_unit_test(survives_any_state),
        cmocka_unit_test(refuses_what_does_not_fit),  cmocka_unit_test(a_gap_joins_nothing),
        cmocka_unit_test(refuses_what_it_cannot_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
