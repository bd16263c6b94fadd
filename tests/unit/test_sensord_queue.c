/* test_sensord_queue.c - the queue behind a slow reader (order, bounds, what is dropped), the notes that are said once a minute,
 * the histogram of lateness, and the offset between the clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/clock.h"
#include "io/sensord_hub.h"
#include "io/sensord_lateness.h"
#include "io/sensord_queue.h"

#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)

/* ---- the queue --------------------------------------------------------------------------------------------------- */

struct drops {
    uint64_t n, weight;
    uint16_t owner; /* of the last */
};

static void count(void *ctx, const struct psa_queue_entry *entry)
{
    struct drops *drops = ctx;

    drops->n++;
    drops->weight += entry->weight;
    drops->owner = entry->owner;
}

static bool push(struct psa_queue *queue, const char *line, uint16_t owner, int64_t at_ns)
{
    const struct psa_queue_entry entry = {
        .pushed_ns = at_ns, .weight = 1, .n = (uint32_t)strlen(line), .owner = owner, .kind = PSA_QUEUE_READING
    };

    return psa_queue_push(queue, &entry, line);
}

static void expect_front(struct psa_queue *queue, const char *line)
{
    struct psa_queue_entry entry;
    const char *p = psa_queue_front(queue, &entry);

    assert_non_null(p);
    assert_int_equal(entry.n, strlen(line));
    assert_memory_equal(p, line, entry.n);
    psa_queue_pop(queue);
}

static void test_order(void **state)
{
    struct psa_queue queue = { 0 };
    struct psa_queue_entry entry;

    (void)state;
    assert_int_equal(psa_queue_init(&queue, 4096, SECOND), 0);
    assert_null(psa_queue_front(&queue, &entry));
    psa_queue_pop(&queue); /* nothing happens */
    push(&queue, "a\n", 1, 0);
    push(&queue, "bcdefghij\n", 2, 0);
    expect_front(&queue, "a\n");
    push(&queue, "k\n", 3, 0);
    assert_non_null(psa_queue_front(&queue, &entry));
    assert_int_equal(entry.owner, 2);
    expect_front(&queue, "bcdefghij\n");
    expect_front(&queue, "k\n");
    assert_null(psa_queue_front(&queue, &entry));
    psa_queue_free(&queue);
}

/* While the reader keeps up, only the front of the ring is used. */
static void test_starts_again_at_the_front(void **state)
{
    struct psa_queue queue = { 0 };

    (void)state;
    assert_int_equal(psa_queue_init(&queue, 65536, SECOND), 0);
    for (int i = 0; i < 10000; i++) {
        push(&queue, "one line\n", 0, i);
        push(&queue, "and another\n", 0, i);
        assert_true(queue.tail <= 128);
        expect_front(&queue, "one line\n");
        expect_front(&queue, "and another\n");
    }
    psa_queue_free(&queue);
}

static void test_too_old(void **state)
{
    struct drops drops = { 0 };
    struct psa_queue queue = { .dropped = count, .ctx = &drops };

    (void)state;
    assert_int_equal(psa_queue_init(&queue, 65536, 10 * MS), 0);
    push(&queue, "a\n", 7, 0);
    push(&queue, "b\n", 8, 5 * MS);
    psa_queue_expire(&queue, 10 * MS); /* as old as may be */
    assert_int_equal(drops.n, 0);
    psa_queue_expire(&queue, 10 * MS + 1);
    assert_int_equal(drops.n, 1);
    assert_int_equal(drops.owner, 7);
    push(&queue, "c\n", 9, 15 * MS + 1); /* a push looks too */
    assert_int_equal(drops.n, 2);
    assert_int_equal(drops.owner, 8);
    expect_front(&queue, "c\n");
    psa_queue_free(&queue);
}

static void test_too_long(void **state)
{
    struct drops drops = { 0 };
    struct psa_queue queue = { .dropped = count, .ctx = &drops };
    char line[1100];

    (void)state;
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\0';
    assert_int_equal(psa_queue_init(&queue, 4096, SECOND), 0);
    assert_false(push(&queue, line, 1, 0)); /* whoever gave it is to be told why: no reader was too slow for it */
    assert_int_equal(drops.n, 0);
    assert_int_equal(queue.n, 0);
    psa_queue_free(&queue);
}

/* Lines of all lengths in and out at random, against an array: order and content are kept, only the oldest go, and whatever
 * went in came out or was dropped. */
static void test_random(void **state)
{
    enum { N = 200000, KEPT = 4096 };
    struct drops drops = { 0 };
    struct psa_queue queue = { .dropped = count, .ctx = &drops };
    uint64_t in = 0, out = 0, seed = 1;
    char line[512];

    (void)state;
    assert_int_equal(psa_queue_init(&queue, KEPT, SECOND), 0);
    for (int i = 0; i < N; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const unsigned draw = (unsigned)(seed >> 33);
        const unsigned phase = (unsigned)(i / 5000 % 3); /* filling, draining, both */
        if (draw % 4 < (phase == 0 ? 3 : phase == 1 ? 1 : 2)) {
            const int n = snprintf(line, sizeof line, "%llu:", (unsigned long long)in);
            const size_t pad = draw / 4 % 300;
            memset(line + n, 'a' + (int)(in % 26), pad);
            line[(size_t)n + pad] = '\0';
            push(&queue, line, 0, 0);
            in++;
        } else if (queue.n > 0) {
            struct psa_queue_entry entry;
            const char *p = psa_queue_front(&queue, &entry);
            const uint64_t number = strtoull(p, NULL, 10);
            assert_int_equal(number, out + drops.n); /* those before came out, or were dropped */
            const char *pad = memchr(p, ':', entry.n);
            assert_non_null(pad);
            for (const char *c = pad + 1; c < p + entry.n; c++) assert_int_equal(*c, 'a' + (int)(number % 26));
            psa_queue_pop(&queue);
            out++;
        }
        assert_int_equal(in, out + drops.n + queue.n);
    }
    assert_true(drops.n > 1000);
    assert_int_equal(drops.n, drops.weight);
    psa_queue_free(&queue);
}

static void test_easy(void **state)
{
    struct psa_queue queue = { 0 };

    (void)state;
    assert_int_equal(psa_queue_init(&queue, 4096, 10 * MS), 0);
    assert_true(psa_queue_is_easy(&queue, 0));
    push(&queue, "a\n", 0, 0);
    assert_true(psa_queue_is_easy(&queue, 5 * MS));
    assert_false(psa_queue_is_easy(&queue, 5 * MS + 1));
    for (int i = 0; i < 70; i++) push(&queue, "a\n", 0, 5 * MS);
    assert_false(psa_queue_is_easy(&queue, 5 * MS));
    psa_queue_free(&queue);
}

/* ---- notes, lateness, clocks ------------------------------------------------------------------------------------- */

static void test_notes(void **state)
{
    struct psa_note note = { 0 }, told;

    (void)state;
    assert_false(psa_note_due(&note, 0, true, &told));
    psa_note_add(&note, 1, 5, 0);
    assert_true(psa_note_due(&note, 0, false, &told)); /* the first at once */
    assert_int_equal(told.n, 1);
    assert_int_equal(told.said, 0);
    psa_note_add(&note, 2, 7, SECOND);
    psa_note_add(&note, 3, 6, 2 * SECOND);
    assert_false(psa_note_due(&note, 59 * SECOND, false, &told));
    assert_true(psa_note_due(&note, 60 * SECOND, false, &told));
    assert_int_equal(told.n, 5);
    assert_int_equal(told.worst, 7);
    assert_int_equal(told.said, 1);
    assert_false(psa_note_due(&note, 1000 * SECOND, false, &told));
    psa_note_add(&note, 1, -3, 61 * SECOND);
    assert_true(psa_note_due(&note, 61 * SECOND, true, &told)); /* the end does not wait */
    assert_int_equal(told.worst, -3);
}

static void test_lateness(void **state)
{
    struct psa_lateness lateness = { 0 };

    (void)state;
    assert_int_equal(psa_lateness_quantile_ns(&lateness, 0.5), 0);
    for (int64_t i = 1; i <= 100000; i++) psa_lateness_add(&lateness, i * 1000);
    const int64_t p50 = psa_lateness_quantile_ns(&lateness, 0.5), p99 = psa_lateness_quantile_ns(&lateness, 0.99);
    assert_true(p50 >= 50000000 && p50 <= 50000000 * 17 / 16);
    assert_true(p99 >= 99000000 && p99 <= 100000000);
    assert_int_equal(lateness.max_ns, 100000000);
    assert_int_equal(psa_lateness_quantile_ns(&lateness, 1), 100000000);
    psa_lateness_add(&lateness, -5);        /* early: counts as in time */
    psa_lateness_add(&lateness, INT64_MAX); /* beyond the last bucket */
    assert_int_equal(psa_lateness_quantile_ns(&lateness, 0), 0);
}

/* Every value falls into a bucket whose upper end is not below it and at most 1/16 above. */
static void test_lateness_buckets(void **state)
{
    (void)state;
    for (int64_t value = 0; value < INT64_C(1) << 39; value += 1 + value / 37) {
        struct psa_lateness lateness = { 0 };
        psa_lateness_add(&lateness, value);
        lateness.max_ns = INT64_MAX;
        const int64_t upper = psa_lateness_quantile_ns(&lateness, 0.5);
        assert_true(upper >= value && upper - value <= value / 16);
    }
}

static void test_offset(void **state)
{
    _Atomic int64_t offset_ns = INT64_MIN;

    (void)state;
    const int64_t first_ns = psa_clock_offset_ns(&offset_ns);
    for (int i = 0; i < 100000; i++) assert_int_equal(psa_clock_offset_ns(&offset_ns), first_ns);
    offset_ns = first_ns + 5000; /* as if the clock had been set back by 5 us */
    const int64_t next_ns = psa_clock_offset_ns(&offset_ns);
    assert_true(llabs(next_ns - first_ns) <= 2000);
}

/* What waits for a stderr that nobody reads: in order, bounded, and how many there was no room for. */
static void test_messages(void **state)
{
    struct psa_messages messages = { 0 };
    struct psa_message message;
    int out = 0;

    (void)state;
    assert_false(psa_messages_take(&messages, &message));
    for (int i = 0; i < 5; i++) psa_messages_put(&messages, "a", NULL, "%d", i);
    for (; out < 3; out++) {
        assert_true(psa_messages_take(&messages, &message));
        assert_int_equal(atoi(message.text), out);
    }
    for (int i = 5; i < 5 + PSA_MESSAGES_MAX; i++) psa_messages_put(&messages, "a", NULL, "%d", i);
    for (; out < 3 + PSA_MESSAGES_MAX; out++) {
        assert_true(psa_messages_take(&messages, &message));
        assert_int_equal(atoi(message.text), out);
    }
    assert_true(psa_messages_wait(&messages));
    assert_true(psa_messages_take(&messages, &message));
    assert_string_equal(message.source, "a");
    assert_string_equal(message.text, "2 more messages could not be written, for stderr was not read");
    assert_false(psa_messages_take(&messages, &message));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),    cmocka_unit_test(test_starts_again_at_the_front),
        cmocka_unit_test(test_too_old),  cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_messages), cmocka_unit_test(test_random),
        cmocka_unit_test(test_easy),     cmocka_unit_test(test_notes),
        cmocka_unit_test(test_lateness), cmocka_unit_test(test_lateness_buckets),
        cmocka_unit_test(test_offset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
