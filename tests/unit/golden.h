/*
 * golden.h - reading the golden vectors of tests/golden (or $PSA_GOLDEN) in unit tests. Any trouble fails the test.
 *
 *     struct golden file = golden_open("features.json");
 *     struct psa_str windows = golden_at(file.text, "windows"), window;
 *     for (size_t i = 0; (window = golden_item(windows, i)).p; i++) {
 *         size_t n = golden_numbers(window, "x", x, COUNT(x));
 *         assert_near(psa_x(x, n), golden_number(window, "expected.mean"), 1e-12);
 *     }
 *     golden_close(&file);
 *
 * Include it after cmocka.h.
 */
#ifndef PSA_TESTS_GOLDEN_H
#define PSA_TESTS_GOLDEN_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* a == b within `tolerance` relative to the larger of |b| and 1; NaN is near NaN only. */
#define assert_near(a, b, tolerance) assert_near_at(a, b, tolerance, #a, __FILE__, __LINE__)

static inline void assert_near_at(double a, double b, double tolerance, const char *what, const char *file, int line)
{
    double scale = fabs(b) > 1.0 ? fabs(b) : 1.0;
    if ((isnan(a) && isnan(b)) || fabs(a - b) <= tolerance * scale) return;
    print_error("%s is %.17g, expected %.17g within %g\n", what, a, b, tolerance);
    _fail(file, line);
}

struct golden {
    char *content;
    struct psa_str text;
};

static inline struct golden golden_open(const char *name)
{
    const char *folder = getenv("PSA_GOLDEN");
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "tests/golden", name);
    FILE *in = fopen(path, "rb");
    if (!in) print_error("%s: cannot be opened\n", path);
    assert_non_null(in);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    size_t n = (size_t)ftell(in);
    rewind(in);
    struct golden file = { malloc(n + 1), { NULL, 0 } };
    assert_non_null(file.content);
    assert_int_equal(fread(file.content, 1, n, in), n);
    fclose(in);
    file.text = (struct psa_str){ file.content, n };
    return file;
}

static inline void golden_close(struct golden *file)
{
    free(file->content);
    *file = (struct golden){ 0 };
}

/* The text of the value at a dotted path of an object. */
static inline struct psa_str golden_at(struct psa_str object, const char *path)
{
    struct psa_str value = psa_json_find(object, path);
    if (!value.p) print_error("golden: nothing at %s\n", path);
    assert_non_null(value.p);
    return value;
}

/* The text of item i of an array; .p == NULL behind the last. */
static inline struct psa_str golden_item(struct psa_str array, size_t i)
{
    struct psa_arena arena = { 0 };
    struct psa_json in;
    struct psa_str item = { NULL, 0 };
    psa_json_open(&in, array, &arena);
    assert_true(psa_json_enter_array(&in));
    for (size_t at = 0; psa_json_next_item(&in); at++) {
        item = psa_json_skip(&in);
        if (at == i) break;
        item.p = NULL;
    }
    assert_null(in.fault.what);
    psa_arena_free(&arena);
    return item;
}

/* The number at a path; null is NaN. */
static inline double golden_number(struct psa_str object, const char *path)
{
    struct psa_json in;
    psa_json_open(&in, golden_at(object, path), NULL);
    double value = psa_json_number(&in);
    assert_true(psa_json_close(&in));
    return value;
}

static inline bool golden_is(struct psa_str object, const char *path, const char *text)
{
    struct psa_str value = golden_at(object, path); /* in its quotes */
    return value.n == strlen(text) + 2 && memcmp(value.p + 1, text, value.n - 2) == 0;
}

static inline void golden_take(struct psa_json *in, double *out, size_t *n, size_t cap)
{
    if (psa_json_peek(in) == '[') {
        psa_json_enter_array(in);
        while (psa_json_next_item(in)) golden_take(in, out, n, cap);
        return;
    }
    assert_true(*n < cap);
    out[(*n)++] = psa_json_number(in);
}

/* All numbers of the array at a path, nested ones row after row, null as NaN; returns how many. A lone number is 1. */
static inline size_t golden_numbers(struct psa_str object, const char *path, double *out, size_t cap)
{
    struct psa_json in;
    size_t n = 0;
    psa_json_open(&in, golden_at(object, path), NULL);
    golden_take(&in, out, &n, cap);
    assert_true(psa_json_close(&in));
    return n;
}

#endif
