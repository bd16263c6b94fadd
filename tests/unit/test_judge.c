/* test_judge.c - limit, hysteresis, rest, freeze, false alarms and calibration against a direct evaluation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "core/arena.h"
#include "model/judge.h"
#include "model/random.h"

enum { ROWS = 700 };

#define SECOND_NS INT64_C(1000000000)

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Raw scores with runs of high ones, ties and a few that cannot be told. */
static void make_scores(double *raw, uint64_t seed)
{
    struct psa_random random;

    psa_random_seed(&random, seed);
    for (size_t i = 0; i < ROWS; i++) {
        raw[i] = -log(1.0 - psa_random_uniform(&random));
        if (i / 20 % 5 == 3) raw[i] += 2.0;
        if (i % 7 == 0) raw[i] = floor(4.0 * raw[i]) / 4.0;
        if (i % 97 == 50) raw[i] = NAN;
    }
}

/* ---- the definition, straightforwardly ------------------------------------------------------------------------------ */

struct oracle {
    const struct psa_judge_rule *rule;
    double told[ROWS], entered[ROWS];
    size_t n_told, n_entered, rows;
    bool alarm;
};

static double greatest(const struct oracle *oracle)
{
    size_t rest = (size_t)oracle->rule->rest, from = oracle->n_told > rest ? oracle->n_told - rest : 0;
    double most = -INFINITY;

    for (size_t i = from; i < oracle->n_told; i++) most = fmax(most, oracle->told[i]);
    return rest > 0 ? most : -INFINITY;
}

/* What a generalised Pareto tail adds to q90, `rarity` = ln(0.1 / p): the moments by Simpson's rule, exact for a line times u. */
static double oracle_pareto(const double *sorted, size_t n, double rarity)
{
    static const double level[] = { 0.9,  0.91, 0.92,  0.93,  0.94,   0.95,   0.96, 0.97,
                                    0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0 };
    double start = psa_tail_quantile(sorted, n, 0.9), mean = 0.0, difference = 0.0, shape;

    for (size_t i = 1; i < COUNT(level); i++) {
        double u[] = { 10.0 * level[i - 1] - 9.0, 0.0, 10.0 * level[i] - 9.0 }, y[3];

        y[0] = psa_tail_quantile(sorted, n, level[i - 1]) - start;
        y[2] = psa_tail_quantile(sorted, n, level[i]) - start;
        u[1] = (u[0] + u[2]) / 2.0;
        y[1] = (y[0] + y[2]) / 2.0;
        for (size_t k = 0; k < 3; k++) {
            double weight = (u[2] - u[0]) * (k == 1 ? 4.0 : 1.0) / 6.0;

            mean += weight * y[k];
            difference += weight * y[k] * (2.0 * u[k] - 1.0);
        }
    }
    shape = 2.0 - mean / difference;
    return shape > 0.0 ? mean * (mean / difference - 1.0) * (exp(shape * rarity) - 1.0) / shape : 0.0;
}

/* The limit `on` from a sorted reference. */
static double oracle_on(const struct oracle *oracle, const double *sorted, size_t n, double interval_s)
{
    const struct psa_judge_rule *rule = oracle->rule;
    double level[PSA_TAIL_LEVELS], score[PSA_TAIL_LEVELS], p;
    struct psa_tail_table table = { .level = level, .score = score };

    if (!isnan(rule->on)) return rule->on;
    if (rule->false_alarms_hz == 0.0) return psa_tail_quantile(sorted, n, 1.0 - rule->contamination);
    if (oracle->rows <= PSA_JUDGE_INTERVALS) return NAN;
    p = fmin(rule->false_alarms_hz * interval_s, PSA_JUDGE_SHARE_MAX);
    psa_tail_table_make(&table, sorted, n);
    if (p > 0.1) return psa_tail_quantile(sorted, n, 1.0 - p);
    return fmax(psa_tail_quantile(sorted, n, 1.0 - p),
                table.tail.start + fmax(table.tail.scale * log(0.1 / p), oracle_pareto(sorted, n, log(0.1 / p))));
}

static struct psa_judgement oracle_row(struct oracle *oracle, double raw, double interval_s)
{
    const struct psa_judge_rule *rule = oracle->rule;
    struct psa_judgement out = { .warming = true };
    size_t horizon = (size_t)rule->horizon, n = oracle->n_entered, from;
    bool was_on = oracle->alarm, enters = true;
    double sorted[ROWS], on;

    oracle->rows++;
    oracle->alarm = false;
    if (isnan(raw)) return out;
    if (oracle->rows > (size_t)rule->warmup && n > 0)
        enters = !rule->freeze && !(raw > (was_on && rule->off < rule->on ? rule->off : rule->on));
    /* an entering row takes a place of the horizon from the earlier ones */
    from = horizon > 0 && n + enters > horizon ? n + enters - horizon : 0;
    memcpy(sorted, oracle->entered + from, (n - from) * sizeof *sorted);
    qsort(sorted, n - from, sizeof *sorted, ascending);
    on = n > from ? oracle_on(oracle, sorted, n - from, interval_s) : NAN;
    if (oracle->rows > (size_t)rule->warmup && !isnan(on)) {
        double limit = was_on && !isnan(rule->off) ? fmin(rule->off, on) : on;

        oracle->alarm = raw > limit;
        limit = fmax(limit, greatest(oracle));
        out = (struct psa_judgement){ .is_anomaly = raw > limit, .limit = limit };
    }
    oracle->told[oracle->n_told++] = raw;
    if (enters) oracle->entered[oracle->n_entered++] = raw;
    return out;
}

static void agrees(const struct psa_judge_rule *rule, uint64_t seed, size_t least_anomalies)
{
    struct oracle oracle = { .rule = rule };
    double raw[ROWS];
    struct psa_judge judge;
    size_t anomalies = 0;

    make_scores(raw, seed);
    psa_judge_init(&judge, rule);
    for (size_t i = 0; i < ROWS; i++) {
        int64_t time_ns = 1700000000 * SECOND_NS + (int64_t)(i * i) * SECOND_NS;
        double interval_s = i > 0 ? (double)(i * i) / (double)i : 0.0;
        struct psa_judgement expected = oracle_row(&oracle, raw[i], interval_s), got;

        assert_int_equal(psa_judge_row(&judge, raw[i], true, time_ns, &got), 0);
        assert_int_equal(got.warming, expected.warming);
        assert_int_equal(judge.alarm, oracle.alarm);
        assert_int_equal(judge.entered, oracle.n_entered);
        if (got.warming) continue;
        assert_near(got.limit, expected.limit, 1e-12);
        assert_int_equal(got.is_anomaly, raw[i] > got.limit);
        assert_true(got.score >= 0.0 && got.score <= 1.0);
        assert_true(got.is_anomaly ? got.score >= got.threshold : got.score <= got.threshold);
        anomalies += got.is_anomaly;
    }
    assert_in_range(anomalies, least_anomalies, ROWS / 2);
    psa_judge_free(&judge);
}

static void verdicts_are_by_the_definition(void **state)
{
    static const struct psa_judge_rule rules[] = {
        { .on = NAN, .off = NAN, .contamination = 0.1, .warmup = 1 },
        { .on = NAN, .off = NAN, .contamination = 0.05, .warmup = 30, .horizon = 50 },
        { .on = NAN, .off = NAN, .contamination = 0.05, .warmup = 30, .horizon = 50, .freeze = true },
        { .on = NAN, .off = NAN, .contamination = 0.05, .warmup = 80, .freeze = true },
        { .on = 3.0, .off = 1.0, .warmup = 10, .horizon = 100 },
        { .on = NAN, .off = 1.5, .contamination = 0.1, .warmup = 20, .horizon = 64 },
        { .on = 2.0, .off = NAN, .warmup = 10, .rest = 12 },
        { .on = 3.0, .off = 0.5, .warmup = 10, .horizon = 40, .rest = 3 },
        { .on = NAN, .off = NAN, .contamination = 0.2, .warmup = 10, .rest = 1 },
        { .on = NAN, .off = NAN, .false_alarms_hz = 1e-4, .warmup = 5, .horizon = 200 },
        { .on = NAN, .off = NAN, .false_alarms_hz = 1.0, .warmup = 40 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rules); i++)
        for (uint64_t seed = 1; seed < 4; seed++) agrees(&rules[i], seed, 5);
}

/* ---- by a model's table ---------------------------------------------------------------------------------------------- */

static void a_table_is_a_reference_that_nothing_enters(void **state)
{
    double raw[ROWS], sorted[ROWS], level[PSA_TAIL_LEVELS], score[PSA_TAIL_LEVELS];
    struct psa_tail_table table = { .level = level, .score = score };
    struct psa_judge_rule rule = { .on = 3.0, .off = NAN, .table = &table };
    struct psa_judgement got;
    struct psa_judge judge;
    size_t n = 0;

    (void)state;
    make_scores(raw, 6);
    for (size_t i = 0; i < ROWS; i++)
        if (!isnan(raw[i])) sorted[n++] = raw[i];
    qsort(sorted, n, sizeof *sorted, ascending);
    psa_tail_table_make(&table, sorted, n);
    assert_false(psa_judge_remembers(&rule));
    psa_judge_init(&judge, &rule);
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(psa_judge_row(&judge, raw[i], false, 0, &got), 0);
        assert_int_equal(got.warming, isnan(raw[i]));
        if (got.warming) continue;
        assert_int_equal(got.is_anomaly, raw[i] > 3.0);
        assert_true(got.limit == 3.0 && got.threshold == 0.5);
        assert_true(got.score == psa_tail_score(psa_tail_table_ln_p(&table, raw[i]), psa_tail_table_ln_p(&table, 3.0)));
    }
    assert_int_equal(psa_order_set_count(&judge.scores), 0);
    psa_judge_free(&judge);
    rule.off = 2.0;
    assert_true(psa_judge_remembers(&rule));
    rule = (struct psa_judge_rule){ .on = 3.0, .off = NAN, .table = &table, .rest = 1 };
    assert_true(psa_judge_remembers(&rule));
    rule = (struct psa_judge_rule){ .on = NAN, .off = NAN, .table = &table, .false_alarms_hz = 1 };
    assert_true(psa_judge_remembers(&rule));
}

/* What a detector learned by begins the reference; later ones change nothing. */
static void learned_scores_begin_the_reference(void **state)
{
    static const double learned[] = { 1.0, 2.0, NAN, 3.0, 4.0 }, later[] = { 100.0 };
    struct psa_judge_rule rule = { .on = NAN, .off = NAN, .contamination = 0.5, .warmup = 1 };
    struct psa_judgement got;
    struct psa_judge judge;

    (void)state;
    psa_judge_init(&judge, &rule);
    psa_judge_row(&judge, NAN, false, 0, &got);
    assert_true(got.warming);
    assert_int_equal(psa_judge_learn(&judge, learned, COUNT(learned)), 0);
    assert_int_equal(psa_judge_learn(&judge, later, COUNT(later)), 0);
    psa_judge_row(&judge, 2.6, false, 0, &got);
    assert_true(!got.warming && got.is_anomaly && got.limit == 2.5);
    psa_judge_free(&judge);
}

/* As many false alarms as were wished for, where rows are independent and the tail is exponential. */
static void the_wish_comes_true(void **state)
{
    enum { LEARNED = 20000, JUDGED = 200000 };
    struct psa_judge_rule rule = { .on = NAN, .off = NAN, .warmup = LEARNED, .horizon = LEARNED, .freeze = true };
    struct psa_judgement got;
    struct psa_random random;
    struct psa_judge judge;
    size_t alarms = 0;

    (void)state;
    rule.false_alarms_hz = 10.0 / 3600.0; /* ten an hour at 10 rows a second: one row in 3,600 */
    psa_random_seed(&random, 8);
    psa_judge_init(&judge, &rule);
    for (int64_t i = 0; i < LEARNED + JUDGED; i++) {
        psa_judge_row(&judge, -log(1.0 - psa_random_uniform(&random)), true, i * SECOND_NS / 10, &got);
        alarms += got.is_anomaly;
    }
    assert_in_range(alarms, 35, 80); /* 55.6 expected, with the tail's scale known to 2 % */
    psa_judge_free(&judge);
}

/* The same of heavy tails, Student's t with three degrees of freedom: an exponential one would give ten times as many. */
static void a_heavy_tail_makes_few_false_alarms_too(void **state)
{
    enum { LEARNED = 10000, JUDGED = 300000 };
    struct psa_judge_rule rule = { .on = NAN, .off = NAN, .warmup = LEARNED, .horizon = LEARNED, .freeze = true };
    struct psa_judgement got;
    struct psa_random random;
    struct psa_judge judge;
    size_t alarms = 0;

    (void)state;
    rule.false_alarms_hz = 1.0 / 3600.0;
    psa_random_seed(&random, 5);
    psa_judge_init(&judge, &rule);
    for (int64_t i = 0; i < LEARNED + JUDGED; i++) {
        double square[4];

        for (size_t k = 0; k < 4; k++) {
            double radius = sqrt(-2.0 * log(1.0 - psa_random_uniform(&random)));

            square[k] = radius * cos(6.283185307179586 * psa_random_uniform(&random));
            square[k] *= square[k];
        }
        psa_judge_row(&judge, sqrt(square[0] / ((square[1] + square[2] + square[3]) / 3.0)), true, i * SECOND_NS, &got);
        alarms += got.is_anomaly;
    }
    assert_in_range(alarms, 20, 200); /* 83 expected, were the tail known */
    psa_judge_free(&judge);
}

/* A fault that outlasts the horizon stays as odd as it was on its first day. */
static void a_lasting_fault_does_not_become_usual(void **state)
{
    struct psa_judge_rule rule = { .on = 5.0, .off = NAN, .warmup = 100, .horizon = 500 };
    double raw[ROWS];
    struct psa_judgement got;
    struct psa_judge judge;
    double first = 0.0;

    (void)state;
    make_scores(raw, 4);
    psa_judge_init(&judge, &rule);
    for (size_t i = 0; i < ROWS; i++) psa_judge_row(&judge, raw[i] < 4.0 ? raw[i] : 4.0, false, 0, &got);
    for (int i = 0; i < 2000; i++) {
        psa_judge_row(&judge, 7.0, false, 0, &got);
        if (i == 0) first = got.score;
        assert_true(got.is_anomaly && got.score > 0.5 && got.score == first);
    }
    psa_judge_row(&judge, 1.0, false, 0, &got);
    assert_true(!got.is_anomaly && got.score < 0.5 && got.score > 0.0);
    psa_judge_free(&judge);
}

/* A limit below everything that was: the row is beyond it, and less odd than any. */
static void an_anomaly_scores_no_less_than_the_limit(void **state)
{
    struct psa_judge_rule rule = { .on = 0.5, .off = NAN, .warmup = 50 };
    struct psa_judgement got;
    struct psa_judge judge;

    (void)state;
    psa_judge_init(&judge, &rule);
    for (int i = 0; i < 50; i++) psa_judge_row(&judge, 1.0 + i, false, 0, &got);
    psa_judge_row(&judge, 0.75, false, 0, &got);
    assert_true(got.is_anomaly && got.score >= got.threshold && got.threshold == 0.5);
    psa_judge_free(&judge);
}

/* Where everything scores the same nothing is unusual, and what is above it is. */
static void a_constant_reference_makes_the_same_ordinary(void **state)
{
    struct psa_judge_rule rule = { .on = NAN, .off = NAN, .contamination = 0.05, .warmup = 10, .horizon = 50 };
    struct psa_judgement got;
    struct psa_judge judge;

    (void)state;
    psa_judge_init(&judge, &rule);
    for (int i = 0; i < 200; i++) {
        psa_judge_row(&judge, 2.0, false, 0, &got);
        assert_int_equal(got.warming, i < 10);
        assert_false(got.is_anomaly);
        assert_true(got.score == 0.0);
    }
    psa_judge_row(&judge, 2.1, false, 0, &got);
    assert_true(got.is_anomaly && got.score > 0.99);
    psa_judge_free(&judge);
}

static void without_time_a_wish_cannot_be_granted(void **state)
{
    struct psa_judge_rule rule = { .on = NAN, .off = NAN, .false_alarms_hz = 1.0, .warmup = 1 };
    struct psa_judgement got;
    struct psa_judge judge;

    (void)state;
    psa_judge_init(&judge, &rule);
    for (int i = 0; i < 100; i++) {
        psa_judge_row(&judge, i % 10, i % 2 == 0, 5, &got); /* half without time, the rest all of the same */
        assert_true(got.warming && !judge.alarm);
    }
    judge.alarm = true; /* resumed from a run that had another limit */
    psa_judge_row(&judge, 100.0, false, 0, &got);
    assert_true(got.warming && !judge.alarm);
    psa_judge_free(&judge);
}

/* ---- cut and resumed --------------------------------------------------------------------------------------------------- */

static void resume(const struct psa_judge *from, struct psa_judge *to)
{
    struct psa_buf first = { 0 }, second = { 0 };
    struct psa_arena arena = { 0 };
    struct psa_json in;
    struct psa_str name;

    psa_buf_puts(&first, "{");
    psa_judge_save(from, &first);
    psa_buf_puts(&first, "}");
    psa_judge_init(to, from->rule);
    psa_json_open(&in, psa_buf_str(&first), &arena);
    assert_true(psa_json_enter_object(&in));
    while (psa_json_next_member(&in, &name)) assert_true(psa_judge_load(to, name, &in));
    assert_true(psa_json_close(&in) && psa_judge_loaded(to));
    assert_int_equal(to->alarm, from->alarm);
    psa_buf_puts(&second, "{");
    psa_judge_save(to, &second);
    psa_buf_puts(&second, "}");
    assert_int_equal(first.n, second.n);
    assert_memory_equal(first.p, second.p, first.n);
    psa_buf_free(&first);
    psa_buf_free(&second);
    psa_arena_free(&arena);
}

static void a_cut_changes_no_bit(void **state)
{
    static const struct psa_judge_rule rules[] = {
        { .on = NAN, .off = NAN, .contamination = 0.05, .warmup = 30, .horizon = 50, .rest = 9 },
        { .on = 2.0, .off = 1.0, .warmup = 10, .rest = 40, .freeze = true },
        { .on = NAN, .off = 0.5, .false_alarms_hz = 1e-3, .warmup = 5, .horizon = 64 },
    };
    double raw[ROWS];

    (void)state;
    make_scores(raw, 11);
    for (size_t r = 0; r < COUNT(rules); r++) {
        for (size_t cut = 0; cut < ROWS; cut += 23) {
            struct psa_judge whole, resumed;
            struct psa_judgement a, b;

            psa_judge_init(&whole, &rules[r]);
            for (size_t i = 0; i < cut; i++) psa_judge_row(&whole, raw[i], true, (int64_t)i * 77, &a);
            resume(&whole, &resumed);
            for (size_t i = cut; i < ROWS && i < cut + 90; i++) {
                psa_judge_row(&whole, raw[i], true, (int64_t)i * 77, &a);
                psa_judge_row(&resumed, raw[i], true, (int64_t)i * 77, &b);
                assert_int_equal(a.warming, b.warming);
                assert_int_equal(a.is_anomaly, b.is_anomaly);
                assert_memory_equal(&a.score, &b.score, 3 * sizeof a.score);
            }
            psa_judge_free(&whole);
            psa_judge_free(&resumed);
        }
    }
}

#define GOOD_STATE                                                                                               \
    "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1,2],\"rest\":[[2,5],[1,4]],\"timed\":2,\"first_ns\":4," \
    "\"newest_ns\":4}"

static void wrong_states_are_refused(void **state)
{
    static const char *const texts[] = {
        "{\"rows\":-1,\"alarm\":true,\"first\":0,\"scores\":[1,2],\"rest\":[[2,5],[1,4]]}",
        "{\"rows\":9e18,\"alarm\":true,\"first\":0,\"scores\":[1,2],\"rest\":[[2,5],[1,4]]}",
        "{\"rows\":9000000000000000000,\"alarm\":true,\"first\":0,\"scores\":[1,2],\"rest\":[[2,5],[1,4]]}",
        "{\"rows\":1,\"alarm\":1,\"first\":0,\"scores\":[1,2],\"rest\":[[2,5],[1,4]]}",
        "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1,2],\"rest\":[[2,5],[1,4]],\"unknown\":2}",
        "{\"rows\":1,\"alarm\":true,\"first\":5,\"scores\":[1,2],\"rest\":[[2,5],[1,4]]}",
        "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1,2,3,4,5],\"rest\":[[2,5],[1,4]]}",
        "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1,null],\"rest\":[[2,5],[1,4]]}",
        "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1e301],\"rest\":[[2,5],[1,4]]}",
        "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1,2],\"rest\":[[2,5],[1,4]],\"scores\":[2]}",
        "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1,2],\"rest\":[[0,5]]}",
        "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1,2],\"rest\":[[4,5]]}",
        "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1,2],\"rest\":[[2,5],[2,4]]}",
        "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1,2],\"rest\":[[2,5],[1,5]]}",
        "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1,2],\"rest\":[[2,5],[1]]}",
        "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1,2],\"rest\":[[2,5,1]]}",
        "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1,2],\"rest\":[[2,5],[1,4]],\"first_ns\":5,\"newest_ns\":"
        "4}",
        "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1,2],\"rest\":[[2,5],[1,4]],\"timed\":2,\"first_ns\":5,"
        "\"newest_ns\":4}",
        "{\"rows\":1,\"alarm\":true,\"first\":0,\"scores\":[1]}",
        "{\"rows\":1,\"first\":0,\"scores\":[1],\"rest\":[]}",
        "{\"alarm\":false,\"first\":0,\"scores\":[1],\"rest\":[]}",
        "{\"rows\":1,\"alarm\":false,\"first\":0,\"rest\":[]}",
        "{\"rows\":1,\"alarm\":false,\"scores\":[],\"rest\":[]}",
        "{}",
    };
    static const struct psa_judge_rule rule = { .on = NAN, .off = NAN, .contamination = 0.1, .horizon = 4, .rest = 3 };

    (void)state;
    for (size_t i = 0; i <= COUNT(texts); i++) {
        const char *text = i < COUNT(texts) ? texts[i] : GOOD_STATE;
        struct psa_arena arena = { 0 };
        struct psa_judge judge;
        struct psa_json in;
        struct psa_str name;
        bool ok = true;

        psa_judge_init(&judge, &rule);
        psa_json_open(&in, psa_str_of(text), &arena);
        psa_json_enter_object(&in);
        while (ok && psa_json_next_member(&in, &name)) ok = psa_judge_load(&judge, name, &in);
        ok = ok && psa_json_close(&in) && psa_judge_loaded(&judge);
        if (ok != (i == COUNT(texts))) fail_msg("%s was %s", text, ok ? "taken" : "refused");
        psa_judge_free(&judge);
        psa_arena_free(&arena);
    }
}

static void extreme_scores_do_no_harm(void **state)
{
    static const double raw[] = { 1e308, -1e308, INFINITY, -INFINITY, 0.0, 5e-324, -0.0, NAN, 1.0 };
    struct psa_judge_rule rule = { .on = NAN, .off = NAN, .contamination = 0.3, .warmup = 2, .horizon = 5, .rest = 2 };
    struct psa_judgement got;
    struct psa_judge judge;

    (void)state;
    psa_judge_init(&judge, &rule);
    for (size_t i = 0; i < 20 * COUNT(raw); i++) {
        assert_int_equal(psa_judge_row(&judge, raw[i % COUNT(raw)], true, (int64_t)i, &got), 0);
        if (got.warming) continue;
        assert_true(got.score >= 0.0 && got.score <= 1.0 && got.threshold >= 0.0 && got.threshold <= 1.0);
        assert_true(isfinite(got.limit));
    }
    psa_judge_free(&judge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_are_by_the_definition),
        cmocka_unit_test(a_table_is_a_reference_that_nothing_enters),
        cmocka_unit_test(learned_scores_begin_the_reference),
        cmocka_unit_test(the_wish_comes_true),
        cmocka_unit_test(a_heavy_tail_makes_few_false_alarms_too),
        cmocka_unit_test(a_lasting_fault_does_not_become_usual),
        cmocka_unit_test(an_anomaly_scores_no_less_than_the_limit),
        cmocka_unit_test(a_constant_reference_makes_the_same_ordinary),
        cmocka_unit_test(without_time_a_wish_cannot_be_granted),
        cmocka_unit_test(a_cut_changes_no_bit),
        cmocka_unit_test(wrong_states_are_refused),
        cmocka_unit_test(extreme_scores_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
