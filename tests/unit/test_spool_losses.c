/*
 * test_spool_losses.c - what a spool loses knowingly: the oldest segments of a full one, what has expired, what was
 * damaged. Random lives of a writer and a reader; in the end every number is delivered, missing or expired, and the
 * cursor's totals say so to the record, over rewinds and restarts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory_disk.h"
#include "spool/reader.h"
#include "spool/writer.h"

enum { NUMBERS = 4000, STEPS = 400, MAX_AGE_MS = 40 };

struct world {
    uint64_t seed;
    struct memory_disk m;
    bool drops, ages, damages;
    int64_t now_ms;
    struct psa_spool_writer *w;
    struct psa_spool_reader *r;
    bool handed[NUMBERS];               /* by the pass that is now */
    bool delivered[NUMBERS];            /* and finished; beyond the cursor on the disk a restart takes it back */
    uint64_t missing, expired, damaged; /* sums over all worlds: that something happened at all */
};

static void open_writer(struct world *world)
{
    const struct psa_spool_limits limits = { .max_size = world->drops ? 3000 : 1 << 20,
                                             .segment_size = 300,
                                             .drop_oldest = world->drops };
    struct psa_error error = { 0 };

    assert_int_equal(psa_spool_writer_open(&world->w, &world->m.disk, &limits, NULL, &error), 0);
}

static void begin_pass(struct world *world)
{
    for (uint64_t seq = psa_spool_cursor_of(world->r).done + 1; seq < NUMBERS; seq++) world->handed[seq] = false;
}

static void open_reader(struct world *world)
{
    struct psa_error error = { 0 };

    assert_int_equal(psa_spool_reader_open(&world->r, &world->m.disk, world->ages ? MAX_AGE_MS : 0, NULL, &error), 0);
    begin_pass(world);
    for (uint64_t seq = psa_spool_cursor_of(world->r).done + 1; seq < NUMBERS; seq++) world->delivered[seq] = false;
}

/* When it is full, which it can be of what is not written yet, nothing happens. */
static void put(struct world *world)
{
    static const char pad[] = "............................................................";
    bool unsynced = memory_between(&world->seed, 0, 9) == 0;
    size_t n = memory_between(&world->seed, 0, sizeof pad - 1);
    enum psa_spool_put put;

    if (psa_spool_last_put(world->w) + 2 >= NUMBERS) return;
    put = psa_spool_put(world->w, (struct psa_str){ pad, n }, unsynced ? PSA_SPOOL_UNSYNCED : world->now_ms, NULL);
    assert_true(put == PSA_SPOOL_PUT || (world->drops && put == PSA_SPOOL_FULL));
}

static void sync_all(struct world *world)
{
    struct psa_spool_sync job;

    while (psa_spool_sync_begin(world->w, &job)) {
        psa_spool_sync_run(&world->m.disk, &job);
        psa_spool_sync_end(world->w, &job);
        assert_int_equal(job.result, 0);
    }
    assert_int_equal(psa_spool_last_taken(world->w), psa_spool_last_put(world->w));
}

static void read_on(struct world *world, size_t n)
{
    struct psa_spool_record record;
    struct psa_error error;

    while (n--) {
        int got = psa_spool_next(world->r, world->now_ms, &record, &error);

        assert_true(got >= 0);
        if (got) return;
        assert_in_range(record.seq, 1, NUMBERS - 1);
        world->handed[record.seq] = true;
    }
}

static void finish(struct world *world, uint64_t seq)
{
    uint64_t done = psa_spool_cursor_of(world->r).done;

    psa_spool_finish(world->r, seq);
    for (; done < psa_spool_cursor_of(world->r).done; done++)
        if (world->handed[done + 1]) world->delivered[done + 1] = true;
}

static void commit(struct world *world)
{
    struct psa_error error;

    assert_int_equal(psa_spool_commit(world->r, &error), 0);
}

struct names {
    uint64_t first[400];
    size_t n;
};

static int note_segment(void *arg, const char *name, int64_t bytes)
{
    struct names *names = arg;

    if (bytes > 0 && names->n < 400 && psa_spool_is_segment(name, &names->first[names->n])) names->n++;
    return 0;
}

/* Change a byte of a segment that is not the newest: nobody writes to it any more. */
static void damage(struct world *world)
{
    struct names names = { .n = 0 };
    char name[PSA_SPOOL_NAME_MAX], *bytes;
    uint64_t newest = 0, chosen;
    size_t n = 0;

    (void)world->m.disk.list(&world->m, note_segment, &names);
    for (size_t i = 0; i < names.n; i++)
        if (names.first[i] > newest) newest = names.first[i];
    if (names.n < 2) return;
    chosen = names.first[memory_between(&world->seed, 0, names.n - 1)];
    if (chosen == newest) return;
    psa_spool_segment_name(chosen, name);
    bytes = memory_disk_content(&world->m, name, &n);
    bytes[memory_between(&world->seed, 0, n - 1)] ^= 1;
}

static void step(struct world *world)
{
    world->now_ms += (int64_t)memory_between(&world->seed, 0, 3);
    switch (memory_between(&world->seed, 0, 11)) {
    case 0:
    case 1:
    case 2:
        for (size_t n = memory_between(&world->seed, 1, 12); n; n--) put(world);
        break;
    case 3: sync_all(world); break;
    case 4:
    case 5: read_on(world, memory_between(&world->seed, 1, 20)); break;
    case 6:
        finish(world, memory_between(&world->seed, (size_t)psa_spool_cursor_of(world->r).done,
                                     (size_t)psa_spool_looked_at(world->r)));
        break;
    case 7: commit(world); break;
    case 8:
        psa_spool_rewind(world->r);
        begin_pass(world);
        break;
    case 9:
        if (world->damages) damage(world);
        break;
    case 10:
        if (memory_between(&world->seed, 0, 3)) break;
        psa_spool_reader_close(world->r);
        open_reader(world);
        break;
    default:
        if (memory_between(&world->seed, 0, 3)) break;
        sync_all(world);
        psa_spool_writer_close(world->w);
        open_writer(world);
        break;
    }
}

/* A last record comes through, all is finished, and every number is accounted for. */
static void settle(struct world *world)
{
    struct psa_spool_cursor cursor;
    uint64_t delivered = 0, last;

    sync_all(world);
    last = psa_spool_last_put(world->w) + 1;
    put(world);
    assert_int_equal(psa_spool_last_put(world->w), last);
    sync_all(world);
    read_on(world, NUMBERS);
    assert_int_equal(psa_spool_looked_at(world->r), last);
    finish(world, last);
    commit(world);
    cursor = psa_spool_cursor_of(world->r);
    for (uint64_t seq = 1; seq <= last; seq++) delivered += world->delivered[seq];
    if (delivered + cursor.missing + cursor.expired != last)
        fail_msg("%d delivered, %d missing, %d expired of %d", (int)delivered, (int)cursor.missing, (int)cursor.expired,
                 (int)last);
    if (!world->ages) assert_int_equal(cursor.expired, 0);
    if (!world->damages) assert_int_equal(cursor.damaged, 0);
    if (!world->damages && !world->drops) assert_int_equal(cursor.missing, 0);
    world->missing += cursor.missing;
    world->expired += cursor.expired;
    world->damaged += cursor.damaged;
}

static void every_number_is_accounted_for(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    (void)state;
    assert_non_null(world);
    for (uint64_t seed = 1; seed <= 400; seed++) {
        world->seed = seed;
        world->drops = seed & 1;
        world->ages = seed & 2;
        world->damages = seed & 4;
        world->now_ms = 1000;
        memory_disk_init(&world->m);
        open_writer(world);
        open_reader(world);
        memset(world->delivered, 0, sizeof world->delivered);
        /* Without a cursor a reader begins with the oldest segment, whatever was dropped before it. */
        put(world);
        sync_all(world);
        read_on(world, 1);
        finish(world, 1);
        commit(world);
        for (int i = 0; i < STEPS; i++) step(world);
        settle(world);
        psa_spool_writer_close(world->w);
        psa_spool_reader_close(world->r);
        memory_disk_free(&world->m);
    }
    print_message("%d missing, %d expired, %d damaged\n", (int)world->missing, (int)world->expired,
                  (int)world->damaged);
    assert_true(world->missing > 1000 && world->expired > 1000 && world->damaged > 100);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_number_is_accounted_for) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
