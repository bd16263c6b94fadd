/* test_dynamic_pca.c - scores and refits against a transcription in NumPy, cuts, gaps, models, hostile states. */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lapacke.h>

#include "golden.h"

#include "core/buf.h"
#include "model/detector.h"
#include "model/dynamic_pca.h"
#include "model/model_file.h"

#include "detector_stream.h"

enum { ROWS = 640, COLUMNS = 5, WARMUP = 150, LONGEST = 7 };

static double rows[ROWS * COLUMNS], expected[ROWS];

/* Decompositions until one fails, and with it all that follow; -1: none does. */
static int eigen_left = -1;

/* Stands for LAPACKE's, which does the same but for the failure. */
lapack_int LAPACKE_dsyevd_work(int layout, char vectors, char triangle, lapack_int n, double *a, lapack_int lda,
                               double *w, double *work, lapack_int n_work, lapack_int *iwork, lapack_int n_iwork)
{
    lapack_int info = 0;

    assert_int_equal(layout, LAPACK_COL_MAJOR);
    if (eigen_left == 0) return 1;
    if (eigen_left > 0) eigen_left--;
    LAPACK_dsyevd(&vectors, &triangle, &n, a, &lda, w, work, &n_work, iwork, &n_iwork, &info);
    return info;
}

static struct psa_detector_settings golden_settings(void)
{
    struct psa_detector_settings settings = { .warmup = WARMUP,
                                              .n_lag = 3,
                                              .lag = { 2, 4, LONGEST },
                                              .variance = 0.85,
                                              .refit = 20,
                                              .reference = 120,
                                              .guard = 10 };

    return settings;
}

static const struct psa_detector_type *type = &psa_dynamic_pca_detector;

/* What a judge does by the type's own limits. */
static bool judge(bool alarm, double raw)
{
    return raw > type->on || (alarm && raw >= type->off);
}

static struct psa_detector started(const struct psa_detector_settings *settings, const struct psa_model *model)
{
    struct psa_detector detector = { .type = type, .settings = settings, .model = model, .n_columns = COLUMNS };
    struct psa_error error;

    assert_int_equal(type->start(&detector, &error), 0);
    return detector;
}

/* Rows from .. to - 1 into raw; the alarm is carried along. */
static void run(struct psa_detector *detector, size_t from, size_t to, bool *alarm, double *raw)
{
    for (size_t i = from; i < to; i++) {
        assert_int_equal(type->update(detector, rows + i * COLUMNS, 0, &raw[i]), 0);
        *alarm = judge(*alarm, raw[i]);
        type->judged(detector, *alarm);
    }
}

static bool load_text(struct psa_detector *detector, struct psa_str text)
{
    struct psa_arena arena = { 0 };
    struct psa_json in;
    struct psa_str name;
    bool fine = true;

    psa_json_open(&in, text, &arena);
    psa_json_enter_object(&in);
    while (fine && psa_json_next_member(&in, &name)) fine = type->load(detector, name, &in);
    fine = fine && psa_json_close(&in) && type->loaded(detector);
    psa_arena_free(&arena);
    return fine;
}

static void save_text(const struct psa_detector *detector, struct psa_buf *out)
{
    out->n = 0;
    psa_buf_puts(out, "{");
    type->save(detector, out);
    psa_buf_puts(out, "}");
    assert_false(out->failed);
}

static void assert_same_bits(const double *a, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i])))
            fail_msg("row %zu: %.17g, not %.17g", i, a[i], b[i]);
}

static int read_golden(void **state)
{
    struct golden file = golden_open("dynamic_pca.json");

    (void)state;
    assert_int_equal(golden_numbers(file.text, "rows", rows, COUNT(rows)), ROWS * COLUMNS);
    assert_int_equal(golden_numbers(file.text, "scores", expected, ROWS), ROWS);
    golden_close(&file);
    return 0;
}

static void scores_refits_and_contributions_are_numpys(void **state)
{
    struct golden file = golden_open("dynamic_pca.json");
    static double alarms[ROWS], learned[ROWS], contributions[ROWS];
    size_t n_learned = golden_numbers(file.text, "learned", learned, ROWS), n_contributions;
    struct psa_detector_settings settings = golden_settings();
    struct psa_detector detector = started(&settings, NULL);
    double contribution[COLUMNS], raw;
    bool alarm = false;

    (void)state;
    golden_numbers(file.text, "alarms", alarms, ROWS);
    n_contributions = golden_numbers(file.text, "contributions", contributions, COUNT(contributions)) / COLUMNS;
    detector.contribution = contribution;
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(type->update(&detector, rows + i * COLUMNS, 0, &raw), 0);
        assert_near(raw, expected[i], 1e-9);
        assert_int_equal(detector.n_learned, i + 1 == WARMUP ? n_learned : 0);
        for (size_t k = 0; k < detector.n_learned; k++) assert_near(detector.learned[k], learned[k], 1e-9);
        for (size_t j = 0; i >= WARMUP && (i - WARMUP) % 20 == 0 && j < COLUMNS; j++)
            assert_near(contribution[j], contributions[(i - WARMUP) / 20 * COLUMNS + j], 1e-9);
        alarm = judge(alarm, raw);
        assert_int_equal(alarm, alarms[i] != 0.0);
        type->judged(&detector, alarm);
    }
    assert_int_equal(n_contributions, (ROWS - WARMUP + 19) / 20);
    type->stop(&detector);
    golden_close(&file);
}

static void cut_anywhere_and_resumed_nothing_changes(void **state)
{
    static double whole[ROWS], resumed[ROWS];
    struct psa_detector_settings settings = golden_settings();

    (void)state;
    for (int freeze = 0; freeze < 2; freeze++) {
        struct psa_buf text = { 0 };
        struct psa_detector first, uncut;
        bool alarm = false, first_alarm = false;
        size_t at = 0;

        settings.freeze = freeze != 0;
        uncut = started(&settings, NULL);
        run(&uncut, 0, ROWS, &alarm, whole);
        type->stop(&uncut);
        first = started(&settings, NULL);
        for (size_t cut = 0; cut < ROWS;
             cut += cut < LONGEST || (cut > 145 && cut < 155) || (cut > 325 && cut < 342) ? 1 : 9) {
            struct psa_detector second = started(&settings, NULL);

            run(&first, at, cut, &first_alarm, resumed);
            at = cut;
            save_text(&first, &text);
            assert_true(load_text(&second, psa_buf_str(&text)));
            alarm = first_alarm;
            run(&second, cut, ROWS, &alarm, resumed);
            assert_same_bits(resumed, whole, ROWS);
            type->stop(&second);
        }
        type->stop(&first);
        psa_buf_free(&text);
    }
}

static void the_refit_makes_a_new_normal_of_what_lasts(void **state)
{
    static double moving[ROWS], frozen[ROWS];
    struct psa_detector_settings settings = golden_settings();
    bool alarm = false;
    struct psa_detector detector = started(&settings, NULL);
    double sum[2] = { 0.0 };

    (void)state;
    run(&detector, 0, ROWS, &alarm, moving);
    type->stop(&detector);
    settings.freeze = true;
    alarm = false;
    detector = started(&settings, NULL);
    run(&detector, 0, ROWS, &alarm, frozen);
    type->stop(&detector);
    for (size_t i = 560; i < ROWS; i++) {
        sum[0] += moving[i] > 1.5;
        sum[1] += frozen[i] > 1.5;
    }
    assert_true(sum[0] < sum[1] / 2);
}

static void no_window_reaches_over_a_gap(void **state)
{
    struct psa_detector_settings settings = golden_settings();
    struct psa_detector detector = started(&settings, NULL), resumed = started(&settings, NULL);
    static double raw[ROWS], again[ROWS];
    struct psa_buf text = { 0 };
    bool alarm = false, alarm_again;

    (void)state;
    run(&detector, 0, 200, &alarm, raw);
    type->gap(&detector);
    type->gap(&detector); /* twice is once */
    save_text(&detector, &text);
    assert_true(load_text(&resumed, psa_buf_str(&text)));
    alarm_again = alarm;
    run(&detector, 200, 400, &alarm, raw);
    run(&resumed, 200, 400, &alarm_again, again);
    assert_same_bits(raw + 200, again + 200, 200);
    for (size_t i = 200; i < 200 + LONGEST - 1; i++) assert_true(isnan(raw[i]));
    assert_false(isnan(raw[200 + LONGEST - 1]));
    type->stop(&detector);
    type->stop(&resumed);
    psa_buf_free(&text);
}

/* Windows that hold a jump between runs would make a residual of it. */
static void runs_are_no_neighbours_in_training(void **state)
{
    int64_t apart[8] = { 0, 1, 2, 3, 5, 6, 7, 8 };
    struct psa_dpca_rows some = { rows, apart, 8 };

    (void)state;
    assert_int_equal(psa_dpca_windows(&some, 1), 8);
    assert_int_equal(psa_dpca_windows(&some, 3), 4);
    assert_int_equal(psa_dpca_windows(&some, 5), 0);
}

static void what_says_nothing_scores_zero_and_what_then_moves_does_not(void **state)
{
    struct psa_detector_settings settings = golden_settings();
    struct psa_detector detector = started(&settings, NULL);
    double row[COLUMNS] = { 0.1, 0.2, 0.2, NAN, 1e300 }, raw, contribution[COLUMNS];

    (void)state;
    detector.contribution = contribution;
    for (size_t i = 0; i < WARMUP + 50; i++) assert_int_equal(type->update(&detector, row, 0, &raw), 0);
    assert_true(raw == 0.0);
    row[3] = 5.0; /* never seen before: it cannot be judged */
    assert_int_equal(type->update(&detector, row, 0, &raw), 0);
    assert_true(raw == 0.0);
    row[1] = 0.3;
    assert_int_equal(type->update(&detector, row, 0, &raw), 0);
    assert_true(raw > 1000.0 && raw <= DBL_MAX);
    assert_true(contribution[1] > 2.9 && contribution[3] == 0.0);
    row[0] = -1e308;
    assert_int_equal(type->update(&detector, row, 0, &raw), 0);
    assert_true(raw > 1000.0 && raw <= DBL_MAX && contribution[0] >= 0.0);
    type->stop(&detector);
}

static void an_alarm_for_ever_keeps_the_fit(void **state)
{
    struct psa_detector_settings settings = golden_settings();
    struct psa_detector detector = started(&settings, NULL);
    struct psa_buf before = { 0 }, after = { 0 };
    double raw;

    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(type->update(&detector, rows + i * COLUMNS, 0, &raw), 0);
        type->judged(&detector, i >= WARMUP);
        if (i != WARMUP + 60 && i != ROWS - 1) continue;
        save_text(&detector, i == ROWS - 1 ? &after : &before);
    }
    psa_buf_put(&before, "", 1);
    psa_buf_put(&after, "", 1);
    assert_string_equal(strstr(after.p, "\"fit\""), strstr(before.p, "\"fit\""));
    type->stop(&detector);
    psa_buf_free(&before);
    psa_buf_free(&after);
}

/* No eigenvectors at any of the three lags: the row is scored by the fit there was, and the next refit makes a new one. */
static void a_refit_without_eigenvectors_keeps_the_fit(void **state)
{
    struct psa_detector_settings settings = golden_settings(), still = golden_settings();

    (void)state;
    still.freeze = true;
    for (int left = 0; left < 3; left++) {
        struct psa_detector detector = started(&settings, NULL), frozen = started(&still, NULL);
        static double raw[ROWS], expected_raw[ROWS];
        struct psa_buf before = { 0 }, after = { 0 };
        bool alarm = false, alarm_frozen = false;

        run(&detector, 0, WARMUP + 20, &alarm, raw);
        run(&frozen, 0, WARMUP + 40, &alarm_frozen, expected_raw);
        save_text(&detector, &before);
        eigen_left = left;
        run(&detector, WARMUP + 20, WARMUP + 21, &alarm, raw);
        assert_int_equal(eigen_left, 0);
        eigen_left = -1;
        run(&detector, WARMUP + 21, WARMUP + 40, &alarm, raw);
        assert_same_bits(raw, expected_raw, WARMUP + 40);
        save_text(&detector, &after);
        psa_buf_put(&before, "", 1);
        psa_buf_put(&after, "", 1);
        assert_string_equal(strstr(after.p, "\"fit\""), strstr(before.p, "\"fit\""));
        run(&detector, WARMUP + 40, WARMUP + 41, &alarm, raw);
        save_text(&detector, &after);
        psa_buf_put(&after, "", 1);
        assert_string_not_equal(strstr(after.p, "\"fit\""), strstr(before.p, "\"fit\""));
        type->stop(&detector);
        type->stop(&frozen);
        psa_buf_free(&before);
        psa_buf_free(&after);
    }
}

/* The first fit fails: it is tried again, and nothing is scored until there is one. */
static void a_first_fit_that_fails_is_tried_again(void **state)
{
    struct psa_detector_settings settings = golden_settings();
    struct psa_detector detector = started(&settings, NULL);
    static double raw[ROWS];
    bool alarm = false;

    (void)state;
    eigen_left = 1;
    run(&detector, 0, WARMUP, &alarm, raw);
    eigen_left = -1;
    run(&detector, WARMUP, WARMUP + 21, &alarm, raw);
    for (size_t i = 0; i < WARMUP + 20; i++) assert_true(isnan(raw[i]));
    assert_false(isnan(raw[WARMUP + 20]));
    type->stop(&detector);
}

/* An alarm just before a gap keeps the rows around it out of the reference as any other does. */
static void an_alarm_before_a_gap_is_not_forgotten(void **state)
{
    struct psa_detector_settings settings = golden_settings();
    struct psa_detector detector = started(&settings, NULL);
    struct psa_buf text = { 0 };
    char number[32];
    double raw;

    (void)state;
    for (size_t i = 0; i < 300; i++) {
        assert_int_equal(type->update(&detector, rows + i * COLUMNS, 0, &raw), 0);
        type->judged(&detector, i == 199);
        if (i == 199) type->gap(&detector);
    }
    save_text(&detector, &text);
    psa_buf_put(&text, "", 1);
    /* Rows are numbered as they come, the gap counting as one: the alarm is 199, the row behind the gap 201. */
    assert_non_null(strstr(text.p, "\"last_alarm\":199,"));
    for (int i = 180; i < 220; i++) {
        bool is_near = i >= 189 && i <= 209;

        snprintf(number, sizeof number, ",%d,", i);
        if (i != 200) assert_int_equal(strstr(strstr(text.p, "\"normal\""), number) == NULL, is_near);
    }
    type->stop(&detector);
    psa_buf_free(&text);
}

/* As soon as half a reference of windows is there, and not before: 60 windows of 7 rows that are 10 rows old. */
static void half_a_reference_is_enough(void **state)
{
    struct psa_dpca_settings settings = { .n_columns = COLUMNS,
                                          .lag = { LONGEST },
                                          .n_lag = 1,
                                          .variance = 0.85,
                                          .refit = 1,
                                          .reference = 120,
                                          .guard = 10 };
    struct psa_scratch scratch = { 0 };
    struct psa_dpca_fit given;
    struct psa_dpca dpca;
    double raw;

    (void)state;
    assert_int_equal(psa_dpca_fit_init(&given, COLUMNS, settings.lag, 1), 0);
    assert_int_equal(psa_dpca_fit_make(&given,
                                       &(struct psa_dpca_rows){ rows, (int64_t[]){ 0, 1, 2, 3, 4, 5, 6, 7 }, 8 }, 0.85,
                                       &scratch, NULL),
                     0);
    assert_int_equal(psa_dpca_start(&dpca, &settings, &given), 0);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(psa_dpca_update(&dpca, rows + i * COLUMNS, &scratch, NULL, &raw), 0);
        assert_int_equal(dpca.has_fit, i >= 60 + LONGEST - 1 + 10);
    }
    psa_dpca_stop(&dpca);
    psa_dpca_fit_free(&given);
    psa_scratch_free(&scratch);
}

/* A channel that moved in the first row alone is constant in the stack's later columns, but for rounding: a residual is
 * not measured in units of that. */
static void what_is_constant_but_for_rounding_is_constant(void **state)
{
    enum { N = 113, C = 2, L = 3 };
    static double x[N * C];
    static int64_t number[N];
    struct psa_scratch scratch = { 0 };
    struct psa_dpca_fit fit;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        number[i] = (int64_t)i;
        x[i * C] = sin(1.7 * (double)i);
        x[i * C + 1] = i == 0 ? 1.0 : 0.3;
    }
    assert_int_equal(psa_dpca_fit_init(&fit, C, (size_t[]){ L }, 1), 0);
    assert_int_equal(psa_dpca_fit_make(&fit, &(struct psa_dpca_rows){ x, number, N }, 0.85, &scratch, NULL), 0);
    assert_true(fit.part[0].scale[1] == 1.0 && fit.part[0].scale[C + 1] == 1.0);
    assert_true(fit.part[0].scale[2 * C + 1] != 1.0);
    psa_dpca_fit_free(&fit);
    psa_scratch_free(&scratch);
}

/* Whoever tells of an alarm need not tell of its end. */
static void not_told_of_an_alarm_there_is_none(void **state)
{
    struct psa_detector_settings settings = golden_settings();
    struct psa_detector told = started(&settings, NULL), untold = started(&settings, NULL);
    struct psa_buf text = { 0 }, untold_text = { 0 };
    double raw;

    (void)state;
    for (size_t i = 0; i < WARMUP + 40; i++) {
        bool alarm = i == WARMUP + 5;

        assert_int_equal(type->update(&told, rows + i * COLUMNS, 0, &raw), 0);
        type->judged(&told, alarm);
        assert_int_equal(type->update(&untold, rows + i * COLUMNS, 0, &raw), 0);
        if (alarm) type->judged(&untold, true);
    }
    save_text(&told, &text);
    save_text(&untold, &untold_text);
    assert_int_equal(text.n, untold_text.n);
    assert_memory_equal(text.p, untold_text.p, text.n);
    type->stop(&told);
    type->stop(&untold);
    psa_buf_free(&text);
    psa_buf_free(&untold_text);
}

/* ---- models ----------------------------------------------------------------------------------------------------- */

static void new_model(struct psa_model *model)
{
    struct psa_str names[COLUMNS] = { { "a", 1 }, { "b", 1 }, { "c", 1 }, { "d", 1 }, { "e", 1 } };

    assert_int_equal(psa_model_init(model, type, names, COLUMNS), 0);
}

/* A model of the rows up to `n`, missing values set to 0, in two runs. */
static void train(struct psa_model *model, size_t n, double *scores)
{
    static double finite[ROWS * COLUMNS];
    struct psa_detector_settings settings = golden_settings();
    size_t run_of[3] = { 0, n / 2, n };
    struct psa_training training = {
        .settings = &settings, .rows = finite, .n_rows = n, .n_columns = COLUMNS, .run = run_of, .n_run = 2
    };
    struct psa_error error;

    for (size_t k = 0; k < n * COLUMNS; k++) finite[k] = isnan(rows[k]) ? 0.0 : rows[k];
    new_model(model);
    assert_int_equal(type->train(model, &training, scores, &error), 0);
    assert_null(type->check(model));
}

static bool read_parameters(struct psa_model *model, struct psa_str text)
{
    struct psa_json in;
    struct psa_str name;
    bool fine = true;

    psa_json_open(&in, text, &model->arena);
    psa_json_enter_object(&in);
    while (fine && psa_json_next_member(&in, &name)) fine = type->read(model, name, &in);
    return fine && psa_json_close(&in) && type->check(model) == NULL;
}

static void a_model_scores_the_same_after_it_was_written(void **state)
{
    static double scores[ROWS], raw[ROWS], again[ROWS];
    struct psa_detector_settings settings = { .adapt = false, .refit = 20, .reference = 120, .guard = 10 };
    struct psa_model trained, read;
    struct psa_detector detector, reader;
    struct psa_buf text = { 0 };
    bool alarm = false, alarm_again = false;

    (void)state;
    train(&trained, 300, scores);
    for (size_t i = 0; i < 300; i++) assert_int_equal(isnan(scores[i]), i % 150 < LONGEST - 1);
    psa_buf_puts(&text, "{");
    type->write(&trained, &text);
    psa_buf_puts(&text, "}");
    new_model(&read);
    assert_true(read_parameters(&read, psa_buf_str(&text)));
    detector = started(&settings, &trained);
    reader = started(&settings, &read);
    run(&detector, 0, ROWS, &alarm, raw);
    run(&reader, 0, ROWS, &alarm_again, again);
    assert_same_bits(raw, again, ROWS);
    for (size_t i = 0; i < 40; i++) assert_near(raw[i], scores[i], 1e-9);
    type->stop(&detector);
    type->stop(&reader);
    psa_model_free(&trained);
    psa_model_free(&read);
    psa_buf_free(&text);
}

static void a_model_that_adapts_goes_on_from_its_fit(void **state)
{
    static double scores[ROWS], frozen[ROWS], adapting[ROWS], resumed[ROWS];
    struct psa_detector_settings still = { .refit = 20, .reference = 120, .guard = 10 }, moving = still;
    struct psa_detector detector, second;
    struct psa_buf text = { 0 };
    struct psa_model model;
    bool alarm = false, half_way = false;
    size_t same = 0;

    (void)state;
    moving.adapt = true;
    train(&model, 300, scores);
    detector = started(&still, &model);
    run(&detector, 0, ROWS, &alarm, frozen);
    type->stop(&detector);
    alarm = false;
    detector = started(&moving, &model);
    run(&detector, 0, 333, &alarm, adapting);
    half_way = alarm;
    save_text(&detector, &text);
    run(&detector, 333, ROWS, &alarm, adapting);
    type->stop(&detector);
    while (same < ROWS && (frozen[same] == adapting[same] || isnan(frozen[same]))) same++;
    assert_in_range(same, 60, 200); /* as soon as half a reference of windows is there */
    second = started(&moving, &model);
    assert_true(load_text(&second, psa_buf_str(&text)));
    run(&second, 333, ROWS, &half_way, resumed);
    assert_same_bits(resumed + 333, adapting + 333, ROWS - 333);
    type->stop(&second);
    psa_model_free(&model);
    psa_buf_free(&text);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void states_that_cannot_be_are_refused(void **state)
{
    static const char *const bad[] = {
        "{\"seen\":-1}",
        "{\"seen\":1e9}",
        "{\"seen\":9,\"number\":3}",
        "{\"seen\":1,\"number\":5,\"last_alarm\":6}",
        "{\"stack\":[1,2,3]}",
        "{\"seen\":1,\"number\":0,\"stack\":[1,2,3,4,5,1,2,3,4,5]}",
        "{\"waiting\":{\"rows\":[1,2,3,4,5],\"numbers\":[1]}}",
        "{\"waiting\":{\"numbers\":[1]}}",
        "{\"waiting\":{\"numbers\":[1],\"rows\":[1,2,3,4]}}",
        "{\"waiting\":{\"numbers\":[1,1],\"rows\":[1,2,3,4,5,1,2,3,4,5]},\"seen\":9,\"number\":9}",
        "{\"waiting\":{\"numbers\":[0,1,2,3,4,5,6,7,8,9,10,11],\"rows\":[]}}",
        "{\"normal\":{\"numbers\":[4],\"rows\":[1,2,3,4,5]},\"seen\":2,\"number\":2}",
        "{\"fit\":{}}",
        "{\"fit\":{\"mean\":[1]}}",
        "{\"fit\":{\"lags\":[2,4]}}",
        "{\"fit\":{\"lags\":[0]}}",
        "{\"fit\":{\"lags\":[1000000]}}",
        "{\"fit\":{\"lags\":[1,1,1,1,1,1,1,1,1]}}",
        "{\"fit\":{\"lags\":[1],\"mean\":[0,0,0,0,0],\"scale\":[1,1,1,1,1],\"norm\":0,\"parts\":[]}}",
        "{\"fit\":{\"lags\":[1],\"mean\":[0,0,0,0,0],\"scale\":[1,1,1,1,1],\"norm\":1,\"parts\":[{\"components\":[1,2]}"
        "]}}",
        "{\"fit\":{\"lags\":[1],\"mean\":[0,0,0,0,0],\"scale\":[1,1,1,1,1],\"norm\":1,\"parts\":[{\"limit\":1,"
        "\"limit\":1}]}}",
        "{\"unheard_of\":1}",
    };
    struct psa_detector_settings settings = golden_settings();

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct psa_detector detector = started(&settings, NULL);

        if (load_text(&detector, psa_str_of(bad[i]))) fail_msg("accepted: %s", bad[i]);
        type->stop(&detector);
    }
}

static void components_of_a_model_are_unit_vectors(void **state)
{
    static const char *const components[] = { "0,1,0,0,0", "1,1,0,0,0", "0,1e300,0,0,0", "0,1,0,0,0,0,0,0,0,0" };

    (void)state;
    for (size_t i = 0; i < COUNT(components); i++) {
        struct psa_buf text = { 0 };
        struct psa_model model;

        psa_buf_puts(&text, "{\"variance\":0.85,\"lags\":[1],\"mean\":[0,0,0,0,0],\"scale\":[1,1,1,1,1],\"norm\":1,"
                            "\"parts\":[{\"limit\":1,\"mean\":[0,0,0,0,0],\"scale\":[1,1,1,1,1],\"components\":[");
        psa_buf_puts(&text, components[i]);
        psa_buf_puts(&text, "]}]}");
        new_model(&model);
        assert_int_equal(read_parameters(&model, psa_buf_str(&text)), i == 0);
        psa_model_free(&model);
        psa_buf_free(&text);
    }
}

static void every_member_of_a_state_comes_once(void **state)
{
    struct stream_case stream = { .type = type,
                                  .settings = golden_settings(),
                                  .limit = type->on,
                                  .rows = rows,
                                  .n_rows = ROWS,
                                  .n_columns = COLUMNS };

    (void)state;
    stream_needs_each_member_once(&stream, 30);
    stream_needs_each_member_once(&stream, 230);
    stream.settings.freeze = true;
    stream_needs_each_member_once(&stream, 230);
}

/* Any byte of a state changed: refused, or taken and scored with; ASan and UBSan watch. */
static void damaged_states_do_no_harm(void **state)
{
    struct psa_detector_settings settings = golden_settings();
    struct psa_detector first = started(&settings, NULL);
    struct psa_buf text = { 0 };
    bool alarm = false;
    static double raw[ROWS];

    (void)state;
    run(&first, 0, 175, &alarm, raw);
    save_text(&first, &text);
    type->stop(&first);
    for (size_t i = 0; i < text.n; i += 97) {
        struct psa_detector detector = started(&settings, NULL);
        char kept = text.p[i];

        text.p[i] = "0-9,]e}"[i % 7];
        if (load_text(&detector, psa_buf_str(&text))) run(&detector, 175, 185, &alarm, raw);
        type->stop(&detector);
        text.p[i] = kept;
    }
    psa_buf_free(&text);
}

static void settings_it_cannot_work_with_are_said(void **state)
{
    struct psa_detector_settings settings = golden_settings();
    struct psa_detector detector = { .type = type, .settings = &settings, .n_columns = COLUMNS };
    struct psa_error error;

    (void)state;
    settings.warmup = 27;
    assert_int_equal(type->start(&detector, &error), -1);
    assert_non_null(strstr(error.text, "--warmup 27 is too short for --lags up to 7; at least 28"));
    settings = golden_settings();
    settings.reference = 10;
    assert_int_equal(type->start(&detector, &error), -1);
    assert_non_null(strstr(error.text, "--reference 10"));
    settings = golden_settings();
    detector.n_columns = 200;
    assert_int_equal(type->start(&detector, &error), -1);
    assert_non_null(strstr(error.text, "have 1400 columns, the limit is 1024"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_refits_and_contributions_are_numpys),
        cmocka_unit_test(cut_anywhere_and_resumed_nothing_changes),
        cmocka_unit_test(the_refit_makes_a_new_normal_of_what_lasts),
        cmocka_unit_test(no_window_reaches_over_a_gap),
        cmocka_unit_test(runs_are_no_neighbours_in_training),
        cmocka_unit_test(what_says_nothing_scores_zero_and_what_then_moves_does_not),
        cmocka_unit_test(an_alarm_for_ever_keeps_the_fit),
        cmocka_unit_test(a_refit_without_eigenvectors_keeps_the_fit),
        cmocka_unit_test(a_first_fit_that_fails_is_tried_again),
        cmocka_unit_test(an_alarm_before_a_gap_is_not_forgotten),
        cmocka_unit_test(half_a_reference_is_enough),
        cmocka_unit_test(what_is_constant_but_for_rounding_is_constant),
        cmocka_unit_test(not_told_of_an_alarm_there_is_none),
        cmocka_unit_test(a_model_scores_the_same_after_it_was_written),
        cmocka_unit_test(a_model_that_adapts_goes_on_from_its_fit),
        cmocka_unit_test(states_that_cannot_be_are_refused),
        cmocka_unit_test(components_of_a_model_are_unit_vectors),
        cmocka_unit_test(every_member_of_a_state_comes_once),
        cmocka_unit_test(damaged_states_do_no_harm),
        cmocka_unit_test(settings_it_cannot_work_with_are_said),
    };

    return cmocka_run_group_tests(tests, read_golden, NULL);
}
