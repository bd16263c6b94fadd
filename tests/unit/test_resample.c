/* test_resample.c - dsp/resample: SciPy's numbers through the streaming filter, fractions, and grids of times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/resample.h"
#include "golden.h"

static const double pi = 3.14159265358979323846;

/* ---- fractions ---- */

static void fractions_are_found(void **state)
{
    (void)state;
    static const struct {
        double value;
        int64_t num, den;
    } exact[] = {
        { 0.5, 1, 2 },
        { 48000.0 / 44100.0, 160, 147 },
        { 1.0, 1, 1 },
        { 4096.0, 4096, 1 },
        { 1.0 / 4096, 1, 4096 },
        { 4095.0 / 4096, 4095, 4096 },
        { 2047.0 / 4095, 2047, 4095 },
        { 100 / 59.94, 5000, 2997 },
        { 0.1, 1, 10 },
        { 3.0, 3, 1 },
    };
    int64_t num, den;
    for (size_t i = 0; i < COUNT(exact); i++) {
        double off = psa_rational(exact[i].value, 5000, &num, &den);
        assert_true(off <= 1e-15);
        assert_int_equal(num, exact[i].num);
        assert_int_equal(den, exact[i].den);
    }
    assert_true(psa_rational(0.1, INT64_MAX, &num, &den) == 0.0 && num == 1 && den == 10);
    assert_near(psa_rational(pi, 4096, &num, &den) * pi, fabs(355.0 / 113.0 - pi), 1e-15);
    assert_int_equal(num, 355);
    assert_int_equal(den, 113);
    num = den = 7;
    assert_true(isinf(psa_rational(4097.0, 4096, &num, &den)));
    assert_true(isinf(psa_rational(1.0 / 4098, 4096, &num, &den)));
    assert_true(isinf(psa_rational(0.0, 4096, &num, &den)));
    assert_true(isinf(psa_rational(-1.0, 4096, &num, &den)));
    assert_true(isinf(psa_rational(NAN, 4096, &num, &den)));
    assert_true(isinf(psa_rational(INFINITY, 4096, &num, &den)));
    assert_true(num == 7 && den == 7);
}

/* No fraction with terms up to the limit lies nearer, by trying all. */
static void no_smaller_fraction_is_nearer(void **state)
{
    (void)state;
    for (int i = 1; i < 300; i++) {
        double value = exp(sin(i * 1.7) * 3.0);
        int64_t num, den;
        double off = psa_rational(value, 60, &num, &den);
        if (isinf(off)) continue;
        for (int64_t q = 1; q <= den; q++)
            for (int64_t p = (int64_t)(value * (double)q); p <= (int64_t)(value * (double)q) + 1; p++)
                assert_true(fabs((double)p / (double)q - value) >= off * value * (1.0 - 1e-9));
    }
}

/* ---- filters ---- */

static void taps_as_scipy_firwin(void **state)
{
    (void)state;
    struct golden file = golden_open("filters.json");
    struct psa_str cases = golden_at(file.text, "firwin"), one;
    static double h[2001], want[2001];
    size_t i = 0;
    for (; (one = golden_item(cases, i)).p; i++) {
        size_t n = (size_t)golden_number(one, "n");
        psa_fir_design(h, n, golden_number(one, "cutoff"),
                       golden_is(one, "window", "kaiser5") ? PSA_FIR_KAISER5 : PSA_FIR_HAMMING);
        assert_int_equal(golden_numbers(one, "h", want, 2001), n);
        for (size_t k = 0; k < n; k++) assert_near(h[k], want[k], 1e-14);
    }
    assert_int_equal(i, 6);
    golden_close(&file);
    file = golden_open("resample.json");
    cases = golden_at(file.text, "cases");
    size_t found = 0;
    for (i = 0; (one = golden_item(cases, i)).p; i++) {
        if (!golden_is(one, "fn", "resample_poly_h")) continue;
        size_t up = (size_t)golden_number(one, "up"), down = (size_t)golden_number(one, "down");
        size_t most = up > down ? up : down, n = golden_numbers(one, "h", want, 2001);
        assert_int_equal(n, 20 * most + 1);
        psa_fir_design(h, n, 1.0 / (double)most, PSA_FIR_KAISER5);
        for (size_t k = 0; k < n; k++) assert_near(h[k], want[k], 1e-14);
        found++;
    }
    assert_int_equal(found, 2);
    golden_close(&file);
}

enum { WIDTH = 3 };

/* Run x[n] through as channel 1 of three, of which 0 holds its negative and 2 its double; returns the number of outputs. */
static size_t stream(const struct psa_polyphase *polyphase, const double *x, size_t n, bool flush, double *y,
                     size_t most)
{
    double *ring = calloc(polyphase->span * WIDTH, sizeof *ring), frame[WIDTH], out[WIDTH];
    struct psa_polyphase_place place;
    int64_t at[2];
    size_t n_y = 0, pushed = 0;
    psa_polyphase_start(polyphase, at);
    for (size_t i = 0; i <= n; i++) {
        if (i < n) {
            frame[0] = -x[i], frame[1] = x[i], frame[2] = 2.0 * x[i];
            psa_polyphase_push(polyphase, ring, at, frame, WIDTH);
            pushed++;
        }
        while (psa_polyphase_pull(polyphase, ring, at, i == n && flush, out, WIDTH, &place)) {
            assert_true(n_y < most);
            assert_true(out[0] == -out[1] || (isnan(out[0]) && isnan(out[1])));
            assert_true(out[2] == 2.0 * out[1] || isnan(out[2]));
            /* The output's time in parts of 1 / up: of input `pushed - 1 - back`, and part. */
            assert_int_equal((pushed - 1 - place.back) * polyphase->up + place.part, n_y * polyphase->down);
            assert_int_equal(place.slot, (pushed - 1 - place.back) % polyphase->span);
            assert_true(i == n || place.back <= polyphase->lead / polyphase->up + 1);
            y[n_y++] = out[1];
        }
        assert_true(i == n || psa_polyphase_valid(polyphase, at));
    }
    free(ring);
    return n_y;
}

static void check_stream(struct psa_polyphase *polyphase, struct psa_str one, const double *x, size_t n)
{
    static double y[2000], want[2000];
    size_t n_want = golden_numbers(one, "y", want, 2000);
    assert_non_null(polyphase);
    assert_int_equal(stream(polyphase, x, n, true, y, 2000), n_want);
    for (size_t k = 0; k < n_want; k++) assert_near(y[k], want[k], 1e-9);
    psa_polyphase_free(polyphase);
}

static void streams_as_scipy_resample_poly(void **state)
{
    (void)state;
    double x[400];
    struct golden file = golden_open("resample.json");
    struct psa_str cases = golden_at(file.text, "cases"), one;
    size_t tried = 0;
    assert_int_equal(golden_numbers(file.text, "x", x, 400), 400);
    for (size_t i = 0; (one = golden_item(cases, i)).p; i++) {
        if (!golden_is(one, "fn", "resample_poly")) continue;
        check_stream(psa_polyphase_resampler((size_t)golden_number(one, "up"), (size_t)golden_number(one, "down")), one,
                     x, 400);
        tried++;
    }
    assert_int_equal(tried, 6);
    golden_close(&file);

    file = golden_open("filters.json");
    cases = golden_at(file.text, "resample");
    assert_int_equal(golden_numbers(file.text, "x", x, 400), 150);
    for (tried = 0; (one = golden_item(cases, tried)).p; tried++)
        check_stream(psa_polyphase_resampler((size_t)golden_number(one, "up"), (size_t)golden_number(one, "down")), one,
                     x, (size_t)golden_number(one, "n"));
    assert_int_equal(tried, 12);
    golden_close(&file);
}

static size_t decimate_file(const char *name, size_t n_x)
{
    double x[400];
    struct golden file = golden_open(name);
    struct psa_str cases = golden_at(file.text, strcmp(name, "resample.json") == 0 ? "cases" : "decimate"), one;
    size_t tried = 0;
    assert_int_equal(golden_numbers(file.text, "x", x, 400), n_x);
    for (size_t i = 0; (one = golden_item(cases, i)).p; i++) {
        if (n_x == 400 && !golden_is(one, "fn", "decimate")) continue;
        if (!golden_is(one, "ftype", "fir")) continue;
        check_stream(psa_polyphase_decimator((size_t)golden_number(one, "q"), golden_at(one, "zero_phase").p[0] == 't'),
                     one, x, n_x);
        tried++;
    }
    golden_close(&file);
    return tried;
}

static void streams_as_scipy_decimate_fir(void **state)
{
    (void)state;
    assert_int_equal(decimate_file("resample.json", 400), 4);
    assert_int_equal(decimate_file("filters.json", 150), 4);
}

static void tones_below_the_new_half_rate_pass_and_others_do_not(void **state)
{
    (void)state;
    static double x[6000], y[6000];
    struct psa_polyphase *polyphase = psa_polyphase_resampler(2, 3);
    for (int high = 0; high < 2; high++) {
        double hz = high ? 0.45 : 0.1; /* of the old rate; half the new one is 1/3 */
        for (size_t t = 0; t < 6000; t++) x[t] = sin(2.0 * pi * hz * (double)t);
        size_t n = stream(polyphase, x, 6000, false, y, 6000);
        assert_true(n > 3900 && n < 4000);
        for (size_t k = 100; k < n; k++)
            assert_near(y[k], high ? 0.0 : sin(2.0 * pi * hz * 1.5 * (double)k), high ? 2e-3 : 2e-3);
    }
    psa_polyphase_free(polyphase);
}

static void a_missing_sample_is_missing_wherever_it_takes_part(void **state)
{
    (void)state;
    static double x[400], y[400];
    struct psa_polyphase *polyphase = psa_polyphase_resampler(1, 2);
    for (size_t t = 0; t < 400; t++) x[t] = t == 200 ? NAN : 1.0;
    assert_int_equal(stream(polyphase, x, 400, true, y, 400), 200);
    for (size_t k = 0; k < 200; k++) assert_int_equal(isnan(y[k]), k >= 90 && k <= 110); /* 2 k within 20 of 200 */
    psa_polyphase_free(polyphase);
}

static void impossible_ratios_are_refused(void **state)
{
    (void)state;
    assert_null(psa_polyphase_resampler(4097, 1));
    assert_null(psa_polyphase_resampler(1, 4097));
    assert_null(psa_polyphase_resampler(0, 1));
    assert_null(psa_polyphase_decimator(0, false));
    assert_null(psa_polyphase_decimator(4097, true));
    struct psa_polyphase *polyphase = psa_polyphase_resampler(8192, 4096); /* 2 to 1 */
    assert_non_null(polyphase);
    assert_int_equal(polyphase->up, 2);
    int64_t at[2];
    psa_polyphase_start(polyphase, at);
    assert_true(psa_polyphase_valid(polyphase, at));
    const int64_t wrong[][2] = { { 2, -1 },        { 2, (int64_t)polyphase->span },
                                 { 3, 0 },         { -19, 0 },
                                 { INT64_MAX, 0 }, { INT64_MIN, 0 } };
    for (size_t i = 0; i < COUNT(wrong); i++) assert_false(psa_polyphase_valid(polyphase, wrong[i]));
    psa_polyphase_free(polyphase);
}

/* ---- grids ---- */

static void grid_times_are_exact(void **state)
{
    (void)state;
    struct psa_grid grid;
    assert_true(psa_grid_of(20.0, &grid));
    assert_int_equal(psa_grid_time(grid, 34200000000), 1710000000000000000);
    assert_true(psa_grid_of(0.1, &grid)); /* one in ten seconds, not 0.1000000000000000055 */
    assert_true(grid.num == 1 && grid.den == 10);
    assert_int_equal(psa_grid_time(grid, 171000000), 1710000000000000000);
    assert_true(psa_grid_of(3.0, &grid));
    assert_int_equal(psa_grid_time(grid, 1), 333333333);
    assert_int_equal(psa_grid_time(grid, 2), 666666667);
    assert_int_equal(psa_grid_time(grid, -1), -333333333);
    assert_int_equal(psa_grid_time(grid, INT64_C(5130000000)), 1710000000000000000);
    assert_true(psa_grid_of(33.3333, &grid));
    assert_int_equal(psa_grid_time(grid, 333333), 10000000000000);
    assert_true(psa_grid_of(44100.0, &grid) && psa_grid_of(1e8, &grid) && psa_grid_of(1e-9, &grid));
    assert_true(psa_grid_of(pi, &grid) && (double)grid.num / (double)grid.den == pi);
    assert_false(psa_grid_of(1.1e8, &grid));
    assert_false(psa_grid_of(0.0, &grid));
    assert_false(psa_grid_of(NAN, &grid));
}

static void points_before_and_after_a_time(void **state)
{
    (void)state;
    static const double rates[] = { 20.0, 3.0, 44100.0, 0.1, 33.3333, 1e8, 1e-9, 59.94, 7e7 };
    static const int64_t times[] = {
        0, 1, -1, 333333333, 333333334, 1710000000000000000, -1710000000123456789, INT64_MAX, INT64_MIN
    };
    for (size_t r = 0; r < COUNT(rates); r++) {
        struct psa_grid grid;
        assert_true(psa_grid_of(rates[r], &grid));
        for (size_t i = 0; i < COUNT(times); i++) {
            int64_t before = psa_grid_at_or_before(grid, times[i]), after = psa_grid_at_or_after(grid, times[i]);
            assert_true(psa_grid_time(grid, before) <= times[i] && psa_grid_time(grid, after) >= times[i]);
            if (times[i] == INT64_MIN || times[i] == INT64_MAX) continue; /* the points' own times may lie beyond */
            assert_true(after - before == (psa_grid_time(grid, before) != times[i]));
            /* A point's own time leads back to it. */
            int64_t own = psa_grid_time(grid, before);
            assert_int_equal(psa_grid_at_or_before(grid, own), before);
            assert_int_equal(psa_grid_at_or_after(grid, own), before);
        }
    }
}

static void a_line_goes_through_its_ends(void **state)
{
    (void)state;
    assert_true(psa_line_between(10, 1.0, 20, 2.0, 10) == 1.0 && psa_line_between(10, 1.0, 20, 2.0, 20) == 2.0);
    assert_true(psa_line_between(10, 1.0, 20, 2.0, 15) == 1.5);
    assert_true(psa_line_between(10, 1.0, 20, NAN, 10) == 1.0 && psa_line_between(10, NAN, 20, 2.0, 20) == 2.0);
    assert_true(isnan(psa_line_between(10, 1.0, 20, NAN, 11)) && isnan(psa_line_between(10, NAN, 20, 2.0, 19)));
    assert_true(psa_line_between(5, 1.0, 5, 2.0, 5) == 2.0);
    assert_near(psa_line_between(INT64_MIN, 0.0, INT64_MAX, 1.0, 0), 0.5, 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fractions_are_found),
        cmocka_unit_test(no_smaller_fraction_is_nearer),
        cmocka_unit_test(taps_as_scipy_firwin),
        cmocka_unit_test(streams_as_scipy_resample_poly),
        cmocka_unit_test(streams_as_scipy_decimate_fir),
        cmocka_unit_test(tones_below_the_new_half_rate_pass_and_others_do_not),
        cmocka_unit_test(a_missing_sample_is_missing_wherever_it_takes_part),
        cmocka_unit_test(impossible_ratios_are_refused),
        cmocka_unit_test(grid_times_are_exact),
        cmocka_unit_test(points_before_and_after_a_time),
        cmocka_unit_test(a_line_goes_through_its_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
