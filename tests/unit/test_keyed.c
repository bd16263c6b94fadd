/* test_keyed.c - keyed state: finding, order of use, eviction, lateness, saving and loading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/keyed.h"

struct counter {
    struct psa_slot slot;
    int64_t n;
    char *owned;
};

static int dropped;

static void drop(struct psa_slot *slot)
{
    free(((struct counter *)slot)->owned);
    dropped++;
}

static void save(const struct psa_slot *slot, struct psa_buf *out)
{
    psa_buf_member_int(out, "n", ((const struct counter *)slot)->n);
}

static bool load(struct psa_slot *slot, struct psa_str name, struct psa_json *in)
{
    if (!psa_str_eq(name, "n")) return false;
    ((struct counter *)slot)->n = psa_json_int(in);
    return true;
}

static bool loaded(struct psa_slot *slot)
{
    return ((struct counter *)slot)->n >= 0;
}

static const char *const saved_members[] = { "n", NULL };
static const struct psa_slot_type type = {
    .size = sizeof(struct counter), .drop = drop, .save = save, .load = load, .loaded = loaded, .needs = saved_members
};

static struct counter *get(struct psa_keyed *keyed, const char *key, bool *fresh, bool *evicted)
{
    return (struct counter *)psa_keyed_get(keyed, psa_str_of(key), fresh, evicted);
}

static void slots_stay_where_they_are(void **state)
{
    struct psa_keyed *keyed = psa_keyed_new(&type, 100000);
    struct counter **slot = calloc(20000, sizeof *slot);
    char key[32];
    bool fresh, evicted;

    (void)state;
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 20000; i++) {
            struct counter *c;

            snprintf(key, sizeof key, "accel\x1fpress-%d", i);
            c = get(keyed, key, &fresh, &evicted);
            assert_non_null(c);
            assert_int_equal(fresh, round == 0);
            assert_false(evicted);
            if (round == 0) slot[i] = c;
            assert_ptr_equal(c, slot[i]);
            assert_int_equal(c->n++, round);
        }
    assert_int_equal(psa_keyed_count(keyed), 20000);
    free(slot);
    dropped = 0;
    psa_keyed_free(keyed);
    assert_int_equal(dropped, 20000);
    psa_keyed_free(NULL);
}

static void the_least_recently_seen_goes_first(void **state)
{
    struct psa_keyed *keyed = psa_keyed_new(&type, 3);
    bool fresh, evicted;

    (void)state;
    get(keyed, "a", &fresh, &evicted)->owned = strdup("x");
    get(keyed, "b", &fresh, &evicted);
    get(keyed, "c", &fresh, &evicted);
    assert_false(evicted);
    get(keyed, "a", &fresh, &evicted);
    assert_false(fresh);
    get(keyed, "d", &fresh, &evicted);
    assert_true(fresh && evicted);
    assert_null(psa_keyed_peek(keyed, psa_str_of("b")));
    assert_non_null(psa_keyed_peek(keyed, psa_str_of("a")));
    assert_int_equal(psa_keyed_count(keyed), 3);
    assert_int_equal(get(keyed, "b", &fresh, &evicted)->n, 0);
    assert_true(fresh && evicted);
    assert_null(psa_keyed_peek(keyed, psa_str_of("c")));
    psa_keyed_free(keyed);
}

static void peeking_does_not_touch(void **state)
{
    struct psa_keyed *keyed = psa_keyed_new(&type, 2);
    bool fresh, evicted;

    (void)state;
    get(keyed, "a", &fresh, &evicted);
    get(keyed, "b", &fresh, &evicted);
    psa_keyed_peek(keyed, psa_str_of("a"));
    get(keyed, "c", &fresh, &evicted);
    assert_null(psa_keyed_peek(keyed, psa_str_of("a")));
    psa_keyed_free(keyed);
}

static void keys_may_be_any_bytes(void **state)
{
    struct psa_keyed *keyed = psa_keyed_new(&type, 10);
    bool fresh, evicted;
    struct psa_slot *nul = psa_keyed_get(keyed, (struct psa_str){ "a\0b", 3 }, &fresh, &evicted);
    struct psa_slot *empty = psa_keyed_get(keyed, (struct psa_str){ "", 0 }, &fresh, &evicted);

    (void)state;
    assert_ptr_not_equal(nul, empty);
    assert_true(fresh);
    assert_null(psa_keyed_peek(keyed, (struct psa_str){ "a\0c", 3 }));
    assert_ptr_equal(psa_keyed_peek(keyed, (struct psa_str){ "a\0b", 3 }), nul);
    assert_ptr_equal(psa_keyed_peek(keyed, (struct psa_str){ "", 0 }), empty);
    psa_keyed_free(keyed);
}

static void time_never_runs_backwards(void **state)
{
    struct psa_slot slot = { .hash = 0 };
    struct psa_record record = { .has_time = true, .timestamp_ns = 100 };

    (void)state;
    assert_false(psa_slot_late(&slot, &record));
    psa_slot_advance(&slot, &record);
    assert_false(psa_slot_late(&slot, &record)); /* an equal time is fine */
    record.timestamp_ns = 99;
    assert_true(psa_slot_late(&slot, &record));
    assert_int_equal(slot.newest_ns, 100);
    record.timestamp_ns = 101;
    assert_false(psa_slot_late(&slot, &record));
    psa_slot_advance(&slot, &record);
    record.has_time = false;
    record.timestamp_ns = 0;
    assert_false(psa_slot_late(&slot, &record));
    psa_slot_advance(&slot, &record);
    assert_int_equal(slot.newest_ns, 101);
}

static void saved_states_load(void **state)
{
    struct psa_keyed *keyed = psa_keyed_new(&type, 4), *copy = psa_keyed_new(&type, 4);
    struct psa_record record = { .has_time = true, .timestamp_ns = 1710000000000000001 };
    struct psa_arena arena = { 0 };
    struct psa_buf text = { 0 }, again = { 0 };
    struct psa_json in;
    bool fresh, evicted;

    (void)state;
    get(keyed, "one\x1fx\"y\\", &fresh, &evicted)->n = 5;
    get(keyed, "two", &fresh, &evicted)->n = 6;
    psa_slot_advance(psa_keyed_peek(keyed, psa_str_of("two")), &record);
    get(keyed, "", &fresh, &evicted)->n = 7;
    get(keyed, "two", &fresh, &evicted);
    psa_keyed_save(keyed, &text);
    psa_json_open(&in, psa_buf_str(&text), &arena);
    assert_true(psa_keyed_load(copy, &in));
    assert_true(psa_json_close(&in));
    assert_int_equal(((struct counter *)psa_keyed_peek(copy, psa_str_of("one\x1fx\"y\\")))->n, 5);
    assert_true(psa_keyed_peek(copy, psa_str_of("two"))->newest_ns == record.timestamp_ns);
    psa_keyed_save(copy, &again);
    assert_true(psa_str_is(psa_buf_str(&text), psa_buf_str(&again))); /* the order of use too */
    psa_buf_free(&text);
    psa_buf_free(&again);
    psa_arena_free(&arena);
    psa_keyed_free(keyed);
    psa_keyed_free(copy);
}

static void damaged_states_are_refused(void **state)
{
    static const char *const bad[] = { "",
                                       "{}",
                                       "[",
                                       "[{}]",
                                       "[{\"n\":1,\"key\":\"a\"}]",
                                       "[{\"key\":\"a\",\"n\":1},{\"key\":\"a\",\"n\":2}]",
                                       "[{\"key\":\"a\",\"m\":1}]",
                                       "[{\"key\":\"a\",\"n\":1,\"n\":1}]",
                                       "[{\"key\":\"a\",\"key\":\"b\",\"n\":1}]",
                                       "[{\"key\":\"a\",\"n\":-1}]",
                                       "[{\"key\":\"a\",\"n\":1.5}]",
                                       "[{\"key\":1}]",
                                       "[{\"key\":\"a\",\"newest_ns\":\"x\"}]",
                                       "[{\"key\":\"a\"",
                                       "[{\"key\":\"a\"},]",
                                       "[{\"key\":\"a\"}]", /* not whole: it lacks n */
                                       "[1]" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct psa_keyed *keyed = psa_keyed_new(&type, 4);
        struct psa_arena arena = { 0 };
        struct psa_json in;

        psa_json_open(&in, psa_str_of(bad[i]), &arena);
        if (psa_keyed_load(keyed, &in)) fail_msg("loaded: %s", bad[i]);
        assert_non_null(in.fault.what);
        psa_keyed_free(keyed);
        psa_arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_stay_where_they_are),  cmocka_unit_test(the_least_recently_seen_goes_first),
        cmocka_unit_test(peeking_does_not_touch),     cmocka_unit_test(keys_may_be_any_bytes),
        cmocka_unit_test(time_never_runs_backwards),  cmocka_unit_test(saved_states_load),
        cmocka_unit_test(damaged_states_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
