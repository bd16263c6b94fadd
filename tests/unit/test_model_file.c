/* test_model_file.c - models as text: written and read back, changed, cut short, out of bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "model/detector.h"
#include "model/isolation_forest.h"
#include "model/model_file.h"
#include "model/random.h"

enum { ROWS = 300, WIDTH = 3 };

/* The kinds that there are models of. */
#define EACH_KIND(type)                                                     \
    for (size_t t_ = 0; psa_detector_types[t_] != NULL; t_++)               \
        for (const struct psa_detector_type *type = psa_detector_types[t_]; \
             type != NULL && (type->traits & PSA_DETECTOR_TRAINS) != 0; type = NULL)

/* Rows with a slow wave in them, so that every kind has something to learn. */
static void make_rows(double *rows)
{
    struct psa_random random;

    psa_random_seed(&random, 2);
    for (size_t i = 0; i < ROWS; i++) {
        double wave = sin((double)i / 9.0);

        for (size_t j = 0; j < WIDTH; j++) rows[i * WIDTH + j] = wave * (double)(j + 1) + psa_random_uniform(&random);
    }
}

/* A small trained model. own: its threshold is the kind's. */
static void make_model(struct psa_model *model, const struct psa_detector_type *type, enum psa_scaler_kind kind,
                       bool own)
{
    const struct psa_str names[] = { psa_str_of("rms"), psa_str_of("a \"quoted\" name"), psa_str_of("t_C") };
    const struct psa_detector_settings settings = {
        .trees = 5, .samples = 32, .seed = 1, .variance = 0.85, .lag = { 2, 4 }, .n_lag = 2
    };
    const size_t run[] = { 0, ROWS / 2, ROWS };
    double rows[ROWS * WIDTH], scores[ROWS], reference[ROWS];
    struct psa_training training = {
        .settings = &settings, .rows = rows, .n_rows = ROWS, .n_columns = WIDTH, .run = run, .n_run = 2
    };
    struct psa_error error = { 0 };

    make_rows(rows);
    assert_int_equal(psa_model_init(model, type, names, WIDTH), 0);
    assert_int_equal(psa_scaler_fit(&model->scaler, kind, rows, ROWS, WIDTH), 0);
    for (size_t i = 0; i < ROWS; i++) psa_scaler_transform(&model->scaler, rows + i * WIDTH, rows + i * WIDTH);
    if (type->train(model, &training, scores, &error) != 0) print_error("%s: %s\n", type->name, error.text);
    assert_non_null(model->parameters);
    for (size_t i = 0; i < ROWS; i++) reference[i] = 0.3 + (double)i / 1000.0;
    psa_tail_table_make(&model->reference, reference, ROWS);
    model->contamination = own ? (double)NAN : 0.05;
    model->threshold = 0.5;
    model->trained.records = ROWS;
    model->trained.has_time = !own;
    model->trained.from_ns = own ? 0 : INT64_C(1710000000000000001);
    model->trained.to_ns = own ? 0 : INT64_C(1710000000000000009);
    for (size_t j = 0; j < WIDTH; j++) {
        model->trained.low[j] = 0.0;
        model->trained.high[j] = 1.0 / 3.0;
    }
    model->seed = 42;
}

/* The text of a model, ended by NUL for strstr. */
static char *text_of(const struct psa_detector_type *type, enum psa_scaler_kind kind)
{
    struct psa_buf out = { 0 };
    struct psa_model model;

    make_model(&model, type, kind, false);
    psa_model_write(&model, &out);
    psa_buf_put(&out, "", 1);
    assert_false(out.failed);
    psa_model_free(&model);
    return out.p;
}

static char *model_text(void)
{
    return text_of(&psa_isolation_forest_detector, PSA_SCALER_STANDARD);
}

static int read_text(struct psa_model *model, const char *text, struct psa_error *error)
{
    /* a copy of the exact size, so that the address sanitizer sees every byte too far */
    size_t n = strlen(text);
    char *copy = malloc(n > 0 ? n : 1);
    int status;

    memcpy(copy, text, n);
    status = psa_model_read(model, (struct psa_str){ copy, n }, error);
    free(copy);
    return status;
}

/* The raw scores of 50 rows by a model, as the scored streams have them. */
static void score_rows(const struct psa_model *model, double *raw)
{
    const struct psa_detector_settings settings = { .horizon = 0 };
    struct psa_detector detector = {
        .type = model->type, .settings = &settings, .model = model, .n_columns = model->n_features
    };
    double rows[ROWS * WIDTH], row[WIDTH];
    struct psa_error error = { 0 };

    make_rows(rows);
    assert_int_equal(model->type->start(&detector, &error), 0);
    for (size_t i = 0; i < 50; i++) {
        psa_scaler_transform(&model->scaler, rows + i * WIDTH, row);
        assert_int_equal(model->type->update(&detector, row, (int64_t)i, &raw[i]), 0);
    }
    model->type->stop(&detector);
}

static void every_kind_comes_back_as_it_was(void **state)
{
    (void)state;
    EACH_KIND(type)
    {
        for (enum psa_scaler_kind kind = 0; kind < PSA_SCALER_KINDS; kind++) {
            bool own = kind % 2 == 0;
            struct psa_model a, b;
            struct psa_buf out = { 0 }, again = { 0 };
            struct psa_error error = { 0 };
            double before[50], after[50];

            make_model(&a, type, kind, own);
            psa_model_write(&a, &out);
            if (psa_model_read(&b, psa_buf_str(&out), &error) != 0) print_error("%s: %s\n", type->name, error.text);
            assert_int_equal(error.status, 0);
            assert_string_equal(a.id, b.id);
            assert_int_equal(strncmp(a.id, type->prefix, strlen(type->prefix)), 0);
            assert_true(b.type == type && b.scaler.kind == kind);
            assert_true(psa_str_eq(b.feature[1], "a \"quoted\" name"));
            assert_int_equal(b.trained.from_ns, own ? 0 : INT64_C(1710000000000000001));
            assert_memory_equal(a.scaler.mean, b.scaler.mean, WIDTH * sizeof(double));
            assert_memory_equal(a.scaler.center, b.scaler.center, WIDTH * sizeof(double));
            assert_memory_equal(a.scaler.scale, b.scaler.scale, WIDTH * sizeof(double));
            assert_true(b.threshold == 0.5 && isnan(b.contamination) == own);
            score_rows(&a, before);
            score_rows(&b, after);
            assert_memory_equal(before, after, sizeof before);
            psa_model_write(&b, &again);
            assert_int_equal(out.n, again.n);
            assert_memory_equal(out.p, again.p, out.n);
            psa_model_free(&a);
            psa_model_free(&b);
            psa_buf_free(&out);
            psa_buf_free(&again);
        }
    }
}

/* Every word of --describe is a line's. */
static void every_kind_is_described(void **state)
{
    (void)state;
    EACH_KIND(type)
    {
        struct psa_buf words = { 0 };
        struct psa_model model;

        make_model(&model, type, PSA_SCALER_STANDARD, false);
        type->describe(&model, &words);
        assert_true(words.n > 10 && words.p[words.n - 1] == '\n');
        psa_model_free(&model);
        psa_buf_free(&words);
    }
}

/* Replace the first `from` by `to`; the message must hold `message`. */
static void assert_refused(const char *text, const char *from, const char *to, const char *message)
{
    const char *at = strstr(text, from);
    char *changed = malloc(strlen(text) + strlen(to) + 1);
    struct psa_error error = { 0 };
    struct psa_model model;

    assert_non_null(at);
    sprintf(changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    assert_int_equal(read_text(&model, changed, &error), -1);
    assert_int_equal(error.status, PSA_EXIT_PERMANENT);
    if (strstr(error.text, message) == NULL) print_error("'%s' -> '%s': %s\n", from, to, error.text);
    assert_non_null(strstr(error.text, message));
    free(changed);
}

static void wrong_models_are_refused_by_name(void **state)
{
    char *text = model_text();

    (void)state;
    assert_refused(text, "\"psa_model\":2", "\"psa_model\":1",
                   "it is of version 1, and this psa reads version 2: train it again with this psa-train");
    assert_refused(text, "\"psa_model\":2", "\"psa_model\":3",
                   "it is of version 3, and this psa reads version 2: update psa");
    assert_refused(text, "\"psa_model\":2,", "", "\"psa_model\" must come before \"kind\"");
    assert_refused(text, "\"psa_model\":2,", "\"note\":1,\"psa_model\":2,", "its first member is not \"psa_model\"");
    assert_refused(text, "isolation-forest", "autoencoder",
                   "its kind 'autoencoder' is none that this psa knows: isolation-forest, ecod");
    assert_refused(text, "\"seed\":42", "\"seed\":43", "model file was changed: its id is iforest-");
    assert_refused(text, "rms", "RMS", "model file was changed");
    assert_refused(text, "\"rms\"", "\"t_C\"", "two features have one name");
    assert_refused(text, "a \\\"quoted", "a  \\\"quoted", "model file was changed");
    assert_refused(text, "\"threshold\":-0.5", "\"threshold\":null", "null where a number belongs");
    assert_refused(text, "\"threshold\":-0.5", "\"threshold\":1e999", "too large");
    assert_refused(text, "\"threshold\":-0.5", "\"threshold\":-0.5,\"threshold\":-0.5", "appears twice");
    assert_refused(text, "\"threshold\":-0.5,", "", "it has no \"threshold\"");
    assert_refused(text, "\"features\":[", "\"features\":[\"more\",", "shorter than it must be");
    assert_refused(text, "\"standard\"", "\"ranked\"", "its scaler's kind is none of");
    assert_refused(text, "\"scale\":", "\"scaly\":", "its scaler lacks scale");
    assert_refused(text, "\"mean\":", "\"meany\":", "its scaler lacks mean");
    assert_refused(text, "\"quantiles\":[[0,", "\"quantiles\":[[0.5,", "do not ascend");
    assert_refused(text, "\"quantiles\":[[0,", "\"quantiles\":[[0,0,", "no pair");
    assert_refused(text, "\"tail_scale\":", "\"tail_scale\":-", "tail_scale is below 0");
    assert_refused(text, "\"ranges\":[[0,", "\"ranges\":[[1,", "upside down");
    assert_refused(text, "\"records\":300", "\"records\":0", "out of range");
    assert_refused(text, "\"from_ns\":1710000000000000001", "\"from_ns\":null", "do not go together");
    assert_refused(text, "\"contamination\":0.05", "\"contamination\":\"much\"", "byte");
    assert_refused(text, "\"contamination\":0.05", "\"contamination\":1", "contamination is neither");
    assert_refused(text, "\"id\":\"iforest-", "\"id\":\"iforest-000000000000000000000000000000000000000000000000",
                   "no model's id");
    assert_refused(text, "}\n", "} x", "byte");
    free(text);
}

static void wrong_parameters_are_refused_by_name(void **state)
{
    char *text = model_text();

    (void)state;
    assert_refused(text, "\"children_left\":[1", "\"children_left\":[0", "a child is out of range");
    assert_refused(text, "\"children_left\":[1", "\"children_left\":[1.5", "byte");
    assert_refused(text, "\"children_left\":[1", "\"children_left\":[9999999999", "out of range");
    assert_refused(text, "\"children_left\":[1", "\"children_left\":[1,1", "differ in length");
    assert_refused(text, "\"children_left\"", "\"children_gone\"", "a member that none should have");
    assert_refused(text, "\"children_left\"", "\"children_right\"", "a member twice");
    assert_refused(text, "\"max_samples\":32", "\"max_samples\":0", "out of range");
    assert_refused(text, "\"max_samples\":32,", "", "max_samples is missing");
    assert_refused(text, "\"max_samples\":32", "\"max_samples\":32,\"max_samples\":32",
                   "parameters: 'max_samples' appears twice");
    assert_refused(text, "\"max_samples\":32", "\"most\":32", "parameters: 'most' is not known for this kind");
    free(text);
    text = text_of(&psa_ecod_detector, PSA_SCALER_NONE);
    assert_refused(text, "\"sample\":[[", "\"sample\":[[-99,", "shorter than it must be");
    assert_refused(text, "\"sample\":[[", "\"sample\":[[1,2],[", "longer than it may be");
    assert_refused(text, "\"sample\":[[", "\"sample\":[[2,1],[", "does not ascend");
    assert_refused(text, "\"sample\":[[", "\"sample\":[[1],[", "shorter than it must be");
    free(text);
}

/* A draft has no id, no training and no reference, and is a model in all else. */
static void a_draft_is_read_and_completed(void **state)
{
    static const char draft[] =
        "{\"psa_model\":2,\"kind\":\"isolation-forest\",\"features\":[\"x\"],"
        "\"scaler\":{\"kind\":\"none\",\"mean\":[0]},\"contamination\":null,\"threshold\":-0.5,"
        "\"parameters\":{\"max_samples\":2,\"trees\":[{\"children_left\":[-1],"
        "\"children_right\":[-1],\"feature\":[-2],\"n_node_samples\":[2],\"threshold\":[-2]}]}}";
    struct psa_error error = { 0 };
    struct psa_model model;

    (void)state;
    assert_int_equal(read_text(&model, draft, &error), -1);
    assert_non_null(strstr(error.text, "it has no \"id\""));
    assert_int_equal(psa_model_read_draft(&model, psa_str_of(draft), &error), 0);
    assert_true(model.threshold == 0.5);
    model.trained.low[0] = model.trained.high[0] = model.reference.level[PSA_TAIL_LEVELS - 1] = 1.0;
    psa_model_free(&model);
}

/* White space does not make another model; the order of the members neither, as long as features come first. */
static void white_space_is_no_change(void **state)
{
    char *text = model_text(), *spaced = malloc(2 * strlen(text) + 1), *to = spaced;
    struct psa_error error = { 0 };
    struct psa_model model;
    bool in_string = false, escaped = false;

    (void)state;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"' && !escaped) in_string = !in_string;
        escaped = in_string && *p == '\\' && !escaped;
        *to++ = *p;
        if (!in_string && (*p == ',' || *p == ':' || *p == '{')) *to++ = '\n';
    }
    *to = '\0';
    assert_int_equal(read_text(&model, spaced, &error), 0);
    psa_model_free(&model);
    free(spaced);
    free(text);
}

/* Cut at every byte, and single bytes changed at random: refused or, where the change means nothing, read; never worse. */
static void damaged_texts_do_no_harm(void **state)
{
    struct psa_error error;
    struct psa_model model;
    struct psa_random random;

    (void)state;
    psa_random_seed(&random, 6);
    EACH_KIND(type)
    {
        char *text = text_of(type, PSA_SCALER_ROBUST);
        size_t n = strlen(text);

        for (size_t cut = 0; cut + 2 < n; cut += 1 + cut / 100) {
            char kept = text[cut];

            text[cut] = '\0';
            assert_int_equal(read_text(&model, text, &error), -1);
            text[cut] = kept;
        }
        for (int i = 0; i < 1000; i++) {
            size_t at = (size_t)psa_random_below(&random, n);
            char kept = text[at];

            text[at] = "0123456789[]{},:\"-e.\\ x"[psa_random_below(&random, 23)];
            if (read_text(&model, text, &error) == 0) psa_model_free(&model);
            text[at] = kept;
        }
        free(text);
    }
}

static void no_model_at_all(void **state)
{
    static const char *const texts[] = { "", " ", "[]", "{}", "null", "{\"psa_model\":", "\xff", "{\"psa_model\":2}" };
    struct psa_error error;
    struct psa_model model;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_int_equal(read_text(&model, texts[i], &error), -1);
        assert_int_equal(error.status, PSA_EXIT_PERMANENT);
        assert_int_equal(strncmp(error.text, "not a model: ", 13), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back_as_it_was),  cmocka_unit_test(every_kind_is_described),
        cmocka_unit_test(wrong_models_are_refused_by_name), cmocka_unit_test(wrong_parameters_are_refused_by_name),
        cmocka_unit_test(a_draft_is_read_and_completed),    cmocka_unit_test(white_space_is_no_change),
        cmocka_unit_test(damaged_texts_do_no_harm),         cmocka_unit_test(no_model_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
