/* test_schema.c - fields of a record found by the names that a schema learnt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/record.h"
#include "core/schema.h"

static struct psa_field number(const char *name)
{
    return (struct psa_field){ .name = psa_str_of(name), .kind = PSA_NUMBER };
}

static void fields_are_found_in_any_order_and_others_are_told(void **state)
{
    struct psa_field learnt[] = { number("a"), number("b"), number("c") };
    struct psa_field moved[] = { number("c"), number("x"), number("a") };
    const struct psa_record first = { .field = learnt, .n_field = 3 }, second = { .field = moved, .n_field = 3 };
    struct psa_field *found[3];
    const struct psa_field *extra;
    struct psa_schema schema = { 0 };

    (void)state;
    assert_true(psa_schema_learn(&schema, &first, 1U << PSA_NUMBER, "*"));
    assert_int_equal(psa_schema_map(&schema, &first, found, &extra), 3);
    assert_null(extra);
    assert_int_equal(psa_schema_map(&schema, &second, found, &extra), 2);
    assert_ptr_equal(found[0], &moved[2]);
    assert_null(found[1]);
    assert_ptr_equal(found[2], &moved[0]);
    assert_ptr_equal(extra, &moved[1]);
    psa_schema_free(&schema);
}

/* Its array is NULL, from which clang's UBSan lets no address be formed. */
static void a_record_may_have_no_field(void **state)
{
    struct psa_field learnt[] = { number("a"), number("b") };
    const struct psa_record first = { .field = learnt, .n_field = 2 }, none = { .field = NULL };
    struct psa_field *found[2] = { learnt, learnt };
    const struct psa_field *extra = learnt;
    struct psa_schema schema = { 0 };

    (void)state;
    assert_true(psa_schema_learn(&schema, &first, 1U << PSA_NUMBER, "*"));
    assert_int_equal(psa_schema_map(&schema, &none, found, &extra), 0);
    assert_null(found[0]);
    assert_null(found[1]);
    assert_null(extra);
    psa_schema_free(&schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_found_in_any_order_and_others_are_told),
        cmocka_unit_test(a_record_may_have_no_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
