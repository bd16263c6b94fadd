/* test_model_file.c - models as text: written and read back, changed, cut short, out of bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "model/model_file.h"
#include "model/random.h"

enum { ROWS = 300, WIDTH = 3 };

/* A small trained model. */
static void make_model(struct psa_model *model, bool identity)
{
    const struct psa_str names[] = { psa_str_of("rms"), psa_str_of("a \"quoted\" name"), psa_str_of("t_C") };
    struct psa_iforest_training training = { 5, 32, 1, NULL, NULL };
    double rows[ROWS * WIDTH], scores[ROWS];
    float as_float[ROWS * WIDTH];
    struct psa_random random;

    psa_random_seed(&random, 2);
    for (size_t i = 0; i < COUNT(rows); i++) as_float[i] = (float)(rows[i] = psa_random_uniform(&random));
    for (size_t i = 0; i < ROWS; i++) scores[i] = 0.3 + (double)i / 1000.0;
    assert_int_equal(psa_model_init(model, names, WIDTH), 0);
    assert_int_equal(psa_scaler_fit(&model->scaler, rows, ROWS, WIDTH), 0);
    model->scaler.identity = identity;
    assert_int_equal(psa_iforest_train(&model->forest, as_float, ROWS, WIDTH, &training), 0);
    psa_tail_table_make(&model->reference, scores, ROWS);
    model->contamination = 0.05;
    model->contamination_auto = identity;
    model->threshold = -0.5;
    model->trained.records = ROWS;
    model->trained.has_time = !identity;
    model->trained.from_ns = INT64_C(1710000000000000001);
    model->trained.to_ns = INT64_C(1710000000000000009);
    for (size_t j = 0; j < WIDTH; j++) {
        model->trained.low[j] = 0.0;
        model->trained.high[j] = 1.0 / 3.0;
    }
    model->seed = 42;
}

/* The text of a model, ended by NUL for strstr. */
static char *model_text(bool identity)
{
    struct psa_buf out = { 0 };
    struct psa_model model;

    make_model(&model, identity);
    psa_model_write(&model, &out);
    psa_buf_put(&out, "", 1);
    assert_false(out.failed);
    psa_model_free(&model);
    return out.p;
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

static void comes_back_as_it_was(void **state)
{
    (void)state;
    for (int identity = 0; identity < 2; identity++) {
        struct psa_model a, b;
        struct psa_buf out = { 0 }, again = { 0 };
        struct psa_error error;

        make_model(&a, identity);
        psa_model_write(&a, &out);
        assert_int_equal(psa_model_read(&b, psa_buf_str(&out), &error), 0);
        assert_string_equal(a.id, b.id);
        assert_int_equal(strncmp(a.id, "iforest-", 8), 0);
        assert_true(psa_str_eq(b.feature[1], "a \"quoted\" name"));
        assert_int_equal(b.trained.from_ns, identity ? 0 : INT64_C(1710000000000000001));
        assert_memory_equal(a.scaler.mean, b.scaler.mean, WIDTH * sizeof(double));
        for (size_t t = 0; t < a.forest.n_trees; t++)
            assert_memory_equal(a.forest.tree[t].node, b.forest.tree[t].node,
                                a.forest.tree[t].n * sizeof *a.forest.tree[t].node);
        psa_model_write(&b, &again);
        assert_int_equal(out.n, again.n);
        assert_memory_equal(out.p, again.p, out.n);
        psa_model_free(&a);
        psa_model_free(&b);
        psa_buf_free(&out);
        psa_buf_free(&again);
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
    char *text = model_text(false);

    (void)state;
    assert_refused(text, "\"psa_model\":1", "\"psa_model\":2", "another version");
    assert_refused(text, "\"psa_model\":1,", "", "it has no \"psa_model\"");
    assert_refused(text, "isolation-forest", "pca", "its kind is not");
    assert_refused(text, "\"seed\":42", "\"seed\":43", "model file was changed: its id is iforest-");
    assert_refused(text, "rms", "RMS", "model file was changed");
    assert_refused(text, "a \\\"quoted", "a  \\\"quoted", "model file was changed");
    assert_refused(text, "\"threshold\":-0.5", "\"threshold\":null", "null where a number belongs");
    assert_refused(text, "\"threshold\":-0.5", "\"threshold\":1e999", "too large");
    assert_refused(text, "\"threshold\":-0.5", "\"threshold\":-0.5,\"threshold\":-0.5", "appears twice");
    assert_refused(text, "\"features\":[", "\"features\":[\"more\",", "an entry for every feature");
    assert_refused(text, "\"standard\"", "\"robust\"", "its scaler is neither");
    assert_refused(text, "\"children_left\":[1", "\"children_left\":[0", "a child is out of range");
    assert_refused(text, "\"children_left\":[1", "\"children_left\":[1.5", "no whole number");
    assert_refused(text, "\"children_left\":[1", "\"children_left\":[1,1", "differ in length");
    assert_refused(text, "\"max_samples\":32", "\"max_samples\":0", "max_samples is out of range");
    assert_refused(text, "\"quantiles\":[[0,", "\"quantiles\":[[0.5,", "do not ascend");
    assert_refused(text, "\"quantiles\":[[0,", "\"quantiles\":[[0,0,", "no pair");
    assert_refused(text, "\"contamination\":0.05", "\"contamination\":\"much\"", "contamination is neither");
    assert_refused(text, "\"id\":\"iforest-", "\"id\":\"iforest-0000000000000000000000000000", "no model's id");
    assert_refused(text, "}\n", "} x", "byte");
    free(text);
}

/* White space does not make another model; the order of the members neither, as long as features come first. */
static void white_space_is_no_change(void **state)
{
    char *text = model_text(false), *spaced = malloc(2 * strlen(text) + 1), *to = spaced;
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
    char *text = model_text(false);
    size_t n = strlen(text);
    struct psa_error error;
    struct psa_model model;
    struct psa_random random;

    (void)state;
    psa_random_seed(&random, 6);
    for (size_t cut = 0; cut + 2 < n; cut += 1 + cut / 200) {
        char kept = text[cut];

        text[cut] = '\0';
        assert_int_equal(read_text(&model, text, &error), -1);
        text[cut] = kept;
    }
    for (int i = 0; i < 2000; i++) {
        size_t at = (size_t)psa_random_below(&random, n);
        char kept = text[at];

        text[at] = "0123456789[]{},:\"-e.\\ x"[psa_random_below(&random, 23)];
        if (read_text(&model, text, &error) == 0) psa_model_free(&model);
        text[at] = kept;
    }
    free(text);
}

static void no_model_at_all(void **state)
{
    static const char *const texts[] = { "", " ", "[]", "{}", "null", "{\"psa_model\":", "\xff", "{\"psa_model\":1}" };
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
        cmocka_unit_test(comes_back_as_it_was),     cmocka_unit_test(wrong_models_are_refused_by_name),
        cmocka_unit_test(white_space_is_no_change), cmocka_unit_test(damaged_texts_do_no_harm),
        cmocka_unit_test(no_model_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
