/*
 * test_score.c - stage/score_setup.c and score_verdict.c with a detector made for the test: what a stream tells its detector,
 * what a verdict's `top` says of contributions of any size, and which states it takes.
 */
#include "stage/score.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/chain.h"
#include "core/json.h"
#include "core/record.h"

enum { COLUMNS = 3 };

/* ---- a detector: raw is the first value, the contributions are what the test wishes --------------------------------- */

struct fake {
    double wished[COLUMNS];
    bool told[64]; /* what judged() said of each row */
    size_t n_told;
};

static struct fake *fake_at_hand;

static int fake_start(struct psa_detector *detector, struct psa_error *error)
{
    (void)error;
    detector->state = fake_at_hand;
    return 0;
}

static int fake_update(struct psa_detector *detector, const double *row, int64_t time_ns, double *raw)
{
    struct fake *fake = detector->state;

    (void)time_ns;
    *raw = row[0];
    if (detector->contribution != NULL) memcpy(detector->contribution, fake->wished, sizeof fake->wished);
    return 0;
}

static void fake_judged(struct psa_detector *detector, bool alarm)
{
    struct fake *fake = detector->state;

    fake->told[fake->n_told++] = alarm;
}

static void fake_stop(struct psa_detector *detector)
{
    (void)detector;
}

static void fake_save(const struct psa_detector *detector, struct psa_buf *out)
{
    (void)detector;
    psa_buf_member_int(out, "nothing", 0);
}

static bool fake_load(struct psa_detector *detector, struct psa_str name, struct psa_json *in)
{
    (void)detector;
    return psa_str_eq(name, "nothing") && psa_json_int(in) == 0;
}

static const struct psa_detector_type fake_type = {
    .name = "fake",
    .prefix = "fake",
    .traits = PSA_DETECTOR_STREAMS | PSA_DETECTOR_TRAINS,
    .on = 10.0,
    .off = 5.0,
    .start = fake_start,
    .update = fake_update,
    .judged = fake_judged,
    .stop = fake_stop,
    .save = fake_save,
    .load = fake_load,
};

/* ---- a stream of it ------------------------------------------------------------------------------------------------------ */

struct bench {
    struct fake fake;
    struct psa_score_config config;
    struct psa_score_setup setup;
    struct psa_score_stream stream;
    struct psa_str name[COLUMNS];
    struct psa_model model;
    double mean[COLUMNS], center[COLUMNS], scale[COLUMNS], level[2], score[2];
};

static void set_up(struct bench *bench, const char *running, bool by_model)
{
    static const char *const names[COLUMNS] = { "x", "y", "z" };
    struct psa_error error = { 0 };

    *bench = (struct bench){ .config = { .detector = &fake_type, .contamination = 0.05, .top = 3, .running = running },
                             .level = { 0.0, 1.0 },
                             .score = { 0.0, 20.0 } };
    fake_at_hand = &bench->fake;
    for (size_t j = 0; j < COLUMNS; j++) {
        bench->name[j] = psa_str_of(names[j]);
        bench->scale[j] = 1.0;
    }
    bench->model = (struct psa_model){ .id = "fake-1",
                                       .type = &fake_type,
                                       .n_features = COLUMNS,
                                       .feature = bench->name,
                                       .scaler = { PSA_SCALER_NONE, COLUMNS, bench->mean, bench->center, bench->scale },
                                       .threshold = 10.0,
                                       .contamination = 0.05,
                                       .reference = { 2, bench->level, bench->score, { 18.0, 1.0 } } };
    assert_int_equal(psa_score_setup_open(&bench->setup, &bench->config, by_model ? &bench->model : NULL, NULL, &error),
                     0);
    assert_int_equal(psa_score_stream_start(&bench->stream, &bench->setup, by_model ? NULL : bench->name,
                                            by_model ? 0 : COLUMNS, &error),
                     0);
}

static void tear_down(struct bench *bench)
{
    psa_score_stream_stop(&bench->stream);
    psa_score_setup_close(&bench->setup);
}

static struct psa_score_verdict score(struct bench *bench, double x, double y)
{
    const double row[COLUMNS] = { x, y, 1.0 };
    struct psa_score_verdict verdict;
    struct psa_error error = { 0 };

    assert_int_equal(psa_score_stream_row(&bench->stream, row, false, 0, &verdict, &error), 0);
    return verdict;
}

/* ---- what the detector hears --------------------------------------------------------------------------------------------- */

static void the_detector_hears_of_the_alarm_not_of_the_verdict(void **state)
{
    static const double raw[] = { 1, 12, 11, 7, 4, 1 };
    static const bool alarm[] = { false, true, true, true, false, false };
    static const bool anomaly[] = { false, true, false, false, false, false }; /* nothing exceeds 12 while it rests */
    struct bench bench;

    (void)state;
    set_up(&bench, NULL, false);
    bench.setup.rule.rest = 10;
    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++) {
        assert_int_equal(score(&bench, raw[i], 1.0).is_anomaly, anomaly[i]);
        assert_int_equal(bench.fake.n_told, i + 1);
        assert_int_equal(bench.fake.told[i], alarm[i]);
    }
    tear_down(&bench);
}

/* ---- top ----------------------------------------------------------------------------------------------------------------- */

/* `"top":[...]` of the verdict on a row with these contributions. */
static void tops(double y, const double *wished, const char *want)
{
    struct psa_score held = { 0 };
    struct psa_node node = { .state = &held };
    struct psa_record record = { .fields_at = PSA_NO_INDEX };
    struct psa_score_verdict verdict;
    struct psa_error error = { 0 };
    struct bench bench;
    char *top;

    set_up(&bench, NULL, true);
    memcpy(bench.fake.wished, wished, sizeof bench.fake.wished);
    verdict = score(&bench, 1.0, y);
    assert_true(verdict.scored);
    assert_int_equal(psa_record_clear_fields(&record), 0);
    assert_int_equal(psa_score_write(&node, &record, &verdict, &error), 0);
    psa_buf_put(&held.json, "", 1);
    top = strstr(held.json.p, "\"top\":[");
    assert_non_null(top);
    top[7 + strcspn(top + 7, "mo}")] = 0; /* before "missing", if that follows */
    assert_memory_equal(top + 6, want, strlen(want));
    psa_buf_free(&held.json);
    psa_record_free(&record);
    tear_down(&bench);
}

static void shares_are_of_what_drove_the_score_up(void **state)
{
    (void)state;
    tops(1.0, (const double[]){ 1.0, 3.0, -9.0 }, "[[\"y\",0.75],[\"x\",0.25]]");
    tops(1.0, (const double[]){ 0.0, 0.0, 0.0 }, "[]");
}

static void contributions_without_a_sum_have_shares_too(void **state)
{
    (void)state;
    tops(1.0, (const double[]){ 1.5e308, 1.5e308, 0.0 }, "[[\"x\",0.5],[\"y\",0.5]]");
    tops(1.0, (const double[]){ INFINITY, 1e300, 1.0 }, "[[\"x\",1]]");
    tops(1.0, (const double[]){ 7.0, INFINITY, INFINITY }, "[[\"y\",0.5],[\"z\",0.5]]");
    tops(1.0, (const double[]){ NAN, 3.0, 1.0 }, "[[\"y\",0.75],[\"z\",0.25]]");
    tops(1.0, (const double[]){ 3.0, NAN, 1.0 }, "[[\"x\",0.75],[\"z\",0.25]]");
    tops(1.0, (const double[]){ NAN, NAN, NAN }, "[]");
}

static void a_missing_value_drove_nothing(void **state)
{
    (void)state;
    tops(1.0, (const double[]){ 1.0, 8.0, 1.0 }, "[[\"y\",0.8],[\"x\",0.1],[\"z\",0.1]]");
    tops(NAN, (const double[]){ 1.0, 8.0, 1.0 }, "[[\"x\",0.5],[\"z\",0.5]]");
}

/* ---- states -------------------------------------------------------------------------------------------------------------- */

/* Is the state of these members taken? */
static bool takes(const char *running, const char *members)
{
    static struct psa_condition *const some = (struct psa_condition *)&fake_at_hand; /* never asked */
    struct psa_arena arena = { 0 };
    struct psa_json in;
    struct psa_str name;
    struct bench bench;
    bool ok = true;

    set_up(&bench, NULL, false);
    bench.config.running = running;
    bench.setup.running = running != NULL ? some : NULL;
    psa_json_open(&in, psa_str_of(members), &arena);
    assert_true(psa_json_enter_object(&in));
    while (ok && psa_json_next_member(&in, &name)) ok = psa_score_stream_load(&bench.stream, name, &in);
    ok = ok && in.fault.what == NULL && psa_score_stream_loaded(&bench.stream);
    psa_arena_free(&arena);
    tear_down(&bench);
    return ok;
}

static void a_state_has_each_of_its_parts_once(void **state)
{
    struct psa_buf judge = { 0 }, text = { 0 };
    struct bench bench;
    static const struct {
        const char *running, *before;
        bool detector, judge, ok;
    } cases[] = {
        { NULL, "", true, true, true },
        { NULL, "", false, true, false },
        { NULL, "", true, false, false },
        { NULL, "\"running\":null,", true, true, false },
        { ".on", "\"running\":null,", true, true, true },
        { ".on", "\"running\":true,", true, true, true },
        { ".on", "\"running\":17,", true, true, true },
        { ".on", "", true, true, false },
        { ".on", "\"running\":null,\"running\":true,", true, true, false },
        { ".on", "\"running\":\"x\",", true, true, false },
        { NULL, "\"detector\":{\"nothing\":0},", true, true, false },
        { NULL, "\"other\":1,", true, true, false },
    };

    (void)state;
    set_up(&bench, NULL, false);
    (void)score(&bench, 1.0, 1.0);
    psa_judge_save(&bench.stream.judge, &judge);
    psa_buf_put(&judge, "", 1);
    tear_down(&bench);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text.n = 0;
        psa_buf_puts(&text, "{");
        psa_buf_puts(&text, cases[i].before);
        if (cases[i].detector) psa_buf_puts(&text, "\"detector\":{\"nothing\":0}");
        if (cases[i].detector && cases[i].judge) psa_buf_puts(&text, ",");
        if (cases[i].judge) {
            psa_buf_puts(&text, "\"judge\":{");
            psa_buf_puts(&text, judge.p);
            psa_buf_puts(&text, "}");
        }
        psa_buf_put(&text, "}", 2);
        if (takes(cases[i].running, text.p) != cases[i].ok) fail_msg("%s, --running %s", text.p, cases[i].running);
    }
    psa_buf_free(&judge);
    psa_buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_detector_hears_of_the_alarm_not_of_the_verdict),
        cmocka_unit_test(shares_are_of_what_drove_the_score_up),
        cmocka_unit_test(contributions_without_a_sum_have_shares_too),
        cmocka_unit_test(a_missing_value_drove_nothing),
        cmocka_unit_test(a_state_has_each_of_its_parts_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
