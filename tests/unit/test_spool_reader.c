/*
 * test_spool_reader.c - the reading end of a spool, and both ends under power cuts.
 *
 * The property, tried over thousands of cuts at every step: what was taken and is not finished by the cursor on the
 * disk is handed out, in order and unaltered; nothing is invented; the cursor is never beyond what was finished; dead
 * letters are there before the cursor is past them; nothing counts as missing or damaged; a survey says what a reader
 * then hands out; and a fresh record comes through. The table at the end leaves out one sync at a time and shows that
 * the property then breaks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory_disk.h"
#include "spool/format.h"
#include "spool/reader.h"
#include "spool/survey.h"
#include "spool/writer.h"

enum { NUMBERS = 6000, IDS = 12, LINE = 160 };

static const struct psa_spool_limits small = { .max_size = 1 << 20, .segment_size = 300 };

/* ---- helpers --------------------------------------------------------------------------------------------------- */

static void put_line(struct psa_buf *out, uint64_t seq, int64_t taken_ms, const char *text)
{
    psa_spool_format_line(out, &(struct psa_spool_record){ seq, taken_ms, { NULL, 0 }, { text, strlen(text) } });
}

/* A segment's file with records from..to, taken at 1000 + seq, then `tail`. */
static void put_segment(struct memory_disk *m, uint64_t from, uint64_t to, const char *tail)
{
    char name[PSA_SPOOL_NAME_MAX], text[32];
    struct psa_buf lines = { 0 };

    for (uint64_t seq = from; seq <= to; seq++) {
        snprintf(text, sizeof text, "text %d", (int)seq);
        put_line(&lines, seq, 1000 + (int64_t)seq, text);
    }
    psa_buf_puts(&lines, tail);
    psa_spool_segment_name(from, name);
    memory_disk_put(m, name, lines.p, lines.n);
    psa_buf_free(&lines);
}

static struct psa_spool_reader *open_reader(struct memory_disk *m, int64_t max_age_ms)
{
    struct psa_spool_reader *r;
    struct psa_error error = { 0 };

    assert_int_equal(psa_spool_reader_open(&r, &m->disk, max_age_ms, NULL, &error), 0);
    return r;
}

static struct psa_spool_writer *open_writer(struct memory_disk *m)
{
    struct psa_spool_writer *w;
    struct psa_error error = { 0 };

    assert_int_equal(psa_spool_writer_open(&w, &m->disk, &small, NULL, &error), 0);
    return w;
}

/* The number of the next record, 0: there is none now. */
static uint64_t next_number(struct psa_spool_reader *r, int64_t now_ms)
{
    struct psa_spool_record record;
    struct psa_error error = { 0 };
    int got = psa_spool_next(r, now_ms, &record, &error);

    assert_true(got >= 0);
    return got ? 0 : record.seq;
}

static void expect(struct psa_spool_reader *r, uint64_t from, uint64_t to)
{
    for (uint64_t seq = from; seq <= to; seq++) assert_int_equal(next_number(r, 0), seq);
}

static void commit(struct psa_spool_reader *r)
{
    struct psa_error error = { 0 };

    assert_int_equal(psa_spool_commit(r, &error), 0);
}

static bool is_there(struct memory_disk *m, const char *name)
{
    return memory_find(&m->now, name) != NULL;
}

static bool sync_all(struct psa_spool_writer *w, struct memory_disk *m)
{
    struct psa_spool_sync job;

    if (!psa_spool_sync_begin(w, &job)) return false;
    psa_spool_sync_run(&m->disk, &job);
    psa_spool_sync_end(w, &job);
    return job.result == 0;
}

static void put_text(struct psa_spool_writer *w, const char *text)
{
    assert_int_equal(psa_spool_put(w, psa_str_of(text), 5, NULL), PSA_SPOOL_PUT);
}

/* ---- one thing at a time --------------------------------------------------------------------------------------- */

static void hands_out_in_order_and_again(void **state)
{
    struct memory_disk m;
    struct psa_spool_reader *r;

    (void)state;
    memory_disk_init(&m);
    put_segment(&m, 1, 5, "");
    put_segment(&m, 6, 9, "");
    r = open_reader(&m, 0);
    expect(r, 1, 9);
    assert_int_equal(next_number(r, 0), 0);
    psa_spool_finish(r, 3);
    psa_spool_rewind(r);
    expect(r, 4, 6);
    psa_spool_rewind(r);
    expect(r, 4, 9);
    psa_spool_finish(r, 7);
    psa_spool_rewind(r);
    expect(r, 8, 9);
    psa_spool_finish(r, 100); /* not handed out: cut to what was */
    assert_int_equal(psa_spool_cursor_of(r).done, 9);
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

static void commits_in_this_order(void **state)
{
    static const char *const order[] = { "cursor.create", "cursor.write",       "cursor.sync",
                                         "cursor.rename", "cursor.folder-sync", "segment.unlink" };
    struct memory_disk m;
    struct psa_spool_reader *r;

    (void)state;
    memory_disk_init(&m);
    put_segment(&m, 1, 5, "");
    put_segment(&m, 6, 9, "");
    put_segment(&m, 10, 12, "");
    r = open_reader(&m, 0);
    expect(r, 1, 12);
    psa_spool_finish(r, 8);
    psa_spool_set_checkpoint(r, 77);
    m.n_log = 0;
    commit(r);
    assert_int_equal(m.n_log, 6);
    for (size_t i = 0; i < 6; i++) assert_string_equal(m.log[i], order[i]);
    assert_false(is_there(&m, "00000000000000000001.seg"));
    assert_true(is_there(&m, "00000000000000000006.seg"));
    commit(r);
    assert_int_equal(m.n_log, 6); /* nothing has changed */
    psa_spool_finish(r, 12);
    commit(r);
    assert_false(is_there(&m, "00000000000000000006.seg"));
    assert_true(is_there(&m, "00000000000000000010.seg")); /* the newest stays */
    psa_spool_reader_close(r);
    r = open_reader(&m, 0);
    assert_int_equal(psa_spool_cursor_of(r).done, 12);
    assert_int_equal(psa_spool_cursor_of(r).checkpoint, 77);
    assert_int_equal(next_number(r, 0), 0);
    commit(r); /* the cursor that was there may not have been synced */
    /* Finished already when a later segment comes: unlinked without another commit. */
    put_segment(&m, 13, 13, "");
    expect(r, 13, 13);
    assert_false(is_there(&m, "00000000000000000010.seg"));
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

static void counts_missing_once(void **state)
{
    struct memory_disk m;
    struct psa_spool_reader *r;

    (void)state;
    memory_disk_init(&m);
    put_segment(&m, 1, 3, "");
    put_segment(&m, 7, 8, "");
    r = open_reader(&m, 0);
    expect(r, 1, 3);
    expect(r, 7, 8);
    psa_spool_rewind(r);
    expect(r, 1, 3);
    expect(r, 7, 8);
    assert_int_equal(psa_spool_cursor_of(r).missing, 0); /* that is beyond what is finished */
    psa_spool_finish(r, 3);
    commit(r);
    psa_spool_reader_close(r);
    r = open_reader(&m, 0);
    expect(r, 7, 7);
    psa_spool_finish(r, 7);
    assert_int_equal(psa_spool_cursor_of(r).missing, 3);
    commit(r);
    psa_spool_reader_close(r);
    r = open_reader(&m, 0);
    expect(r, 8, 8);
    psa_spool_finish(r, 8);
    assert_int_equal(psa_spool_cursor_of(r).missing, 3);
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

/* The writer drops the segment being read; then one that was handed out and not finished. */
static void survives_dropping(void **state)
{
    struct memory_disk m;
    struct psa_spool_reader *r;

    (void)state;
    memory_disk_init(&m);
    put_segment(&m, 1, 3, "");
    r = open_reader(&m, 0);
    expect(r, 1, 3);
    put_segment(&m, 4, 6, "");
    put_segment(&m, 7, 9, "");
    m.disk.unlink(&m, "segment.drop", "00000000000000000001.seg");
    m.disk.unlink(&m, "segment.drop", "00000000000000000004.seg");
    expect(r, 7, 8);
    psa_spool_finish(r, 1);
    psa_spool_rewind(r);
    expect(r, 7, 9);
    psa_spool_finish(r, 9);
    assert_int_equal(psa_spool_cursor_of(r).missing, 5); /* 2 and 3 went after all, though they had been handed out */
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

static void counts_damage_once(void **state)
{
    struct memory_disk m;
    struct psa_spool_reader *r;
    size_t n;
    char *bytes;

    (void)state;
    memory_disk_init(&m);
    put_segment(&m, 1, 6, "");
    put_segment(&m, 7, 9, "");
    bytes = memory_disk_content(&m, "00000000000000000001.seg", &n);
    strstr(bytes, "text 3")[0] = 'T';
    r = open_reader(&m, 0);
    expect(r, 1, 2);
    expect(r, 4, 9);
    assert_true(is_there(&m, "00000000000000000001.seg-46.damaged"));
    psa_spool_rewind(r);
    expect(r, 1, 2);
    psa_spool_finish(r, 2);
    commit(r);
    psa_spool_reader_close(r);
    r = open_reader(&m, 0);
    assert_int_equal(psa_spool_cursor_of(r).damaged, 0);
    expect(r, 4, 5);
    psa_spool_finish(r, 4);
    assert_int_equal(psa_spool_cursor_of(r).damaged, 1);
    assert_int_equal(psa_spool_cursor_of(r).missing, 1);
    commit(r);
    psa_spool_reader_close(r);
    r = open_reader(&m, 0);
    expect(r, 5, 9);
    psa_spool_finish(r, 9);
    assert_int_equal(psa_spool_cursor_of(r).damaged, 1);
    assert_int_equal(psa_spool_cursor_of(r).missing, 1);
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

/* A tail in front of another segment: an append cut off, unless numbers are missing. */
static void knows_a_torn_tail_from_damage(void **state)
{
    struct memory_disk m;
    struct psa_spool_reader *r;

    (void)state;
    memory_disk_init(&m);
    put_segment(&m, 1, 3, "4 100 12");
    r = open_reader(&m, 0);
    expect(r, 1, 3);
    assert_int_equal(next_number(r, 0), 0);
    put_segment(&m, 4, 5, "6 100 12345678 lost");
    put_segment(&m, 8, 9, "");
    expect(r, 4, 5);
    expect(r, 8, 9);
    psa_spool_finish(r, 9);
    assert_int_equal(psa_spool_cursor_of(r).damaged, 1);
    assert_int_equal(psa_spool_cursor_of(r).missing, 2);
    assert_false(is_there(&m, "00000000000000000001.seg-69.damaged"));
    commit(r);
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

static void passes_over_the_expired(void **state)
{
    struct memory_disk m;
    struct psa_spool_reader *r;

    (void)state;
    memory_disk_init(&m);
    put_segment(&m, 1, 9, "");
    r = open_reader(&m, 100);
    assert_int_equal(next_number(r, 1106), 6); /* taken at 1006: 100 ms old is young enough */
    psa_spool_finish(r, 2);
    assert_int_equal(psa_spool_cursor_of(r).expired, 2);
    psa_spool_rewind(r);
    assert_int_equal(next_number(r, 1107), 7);
    psa_spool_finish(r, 7);
    assert_int_equal(psa_spool_cursor_of(r).expired, 6);
    assert_int_equal(next_number(r, 9999), 0);
    psa_spool_finish(r, psa_spool_looked_at(r));
    assert_int_equal(psa_spool_cursor_of(r).expired, 8);
    assert_int_equal(psa_spool_cursor_of(r).missing, 0);
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

/* Looked for once more, as for a dead letter, what has expired and is not finished stays counted. */
static void keeps_count_of_the_expired_over_a_rewind(void **state)
{
    struct memory_disk m;
    struct psa_spool_reader *r;

    (void)state;
    memory_disk_init(&m);
    put_segment(&m, 1, 9, "");
    r = open_reader(&m, 100);
    assert_int_equal(next_number(r, 1106), 6);
    psa_spool_rewind(r);
    expect(r, 1, 6);
    psa_spool_finish(r, 6);
    assert_int_equal(psa_spool_cursor_of(r).expired, 5);
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

static void begins_at_the_oldest_without_a_cursor(void **state)
{
    struct memory_disk m;
    struct psa_spool_reader *r;

    (void)state;
    memory_disk_init(&m);
    put_segment(&m, 50, 52, "");
    memory_disk_put(&m, PSA_SPOOL_CURSOR, "psa-spool-cursor 1 done=51", 26);
    r = open_reader(&m, 0);
    expect(r, 50, 52);
    psa_spool_finish(r, 50);
    assert_int_equal(psa_spool_cursor_of(r).missing, 0);
    commit(r);
    psa_spool_reader_close(r);
    r = open_reader(&m, 0);
    expect(r, 51, 52);
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

static void gives_the_reserve_for_the_cursor(void **state)
{
    struct memory_disk m;
    struct psa_spool_reader *r;

    (void)state;
    memory_disk_init(&m);
    put_segment(&m, 1, 3, "");
    assert_true(psa_spool_make_reserve(&m.disk) >= 0);
    r = open_reader(&m, 0);
    expect(r, 1, 3);
    psa_spool_finish(r, 2);
    m.space = memory_used(&m);
    commit(r);
    assert_int_equal(memory_disk_count(&m, "reserve.give"), 1);
    assert_false(is_there(&m, PSA_SPOOL_RESERVE)); /* there is no room for it yet */
    m.space = 0;
    psa_spool_finish(r, 3);
    commit(r);
    assert_true(is_there(&m, PSA_SPOOL_RESERVE));
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

/* What a reader before this one has finished and could not unlink makes room for the cursor, which it needs first. */
static void frees_a_full_disk(void **state)
{
    struct memory_disk m;
    struct psa_spool_reader *r;

    (void)state;
    memory_disk_init(&m);
    put_segment(&m, 1, 9, "");
    put_segment(&m, 10, 12, "");
    r = open_reader(&m, 0);
    expect(r, 1, 10);
    psa_spool_finish(r, 10);
    memory_disk_fault(&m, "segment.unlink", 1, 1, EIO);
    commit(r);
    assert_true(is_there(&m, "00000000000000000001.seg"));
    psa_spool_reader_close(r);
    r = open_reader(&m, 0);
    expect(r, 11, 11);
    psa_spool_finish(r, 11);
    memory_disk_calm(&m);
    m.space = memory_used(&m);
    commit(r);
    assert_int_equal(memory_disk_count(&m, "cursor.create"), 2);
    assert_false(is_there(&m, "00000000000000000001.seg"));
    assert_int_equal(psa_spool_cursor_of(r).done, 11);
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

static void unlinks_after_a_rewind(void **state)
{
    struct memory_disk m;
    struct psa_spool_reader *r;

    (void)state;
    memory_disk_init(&m);
    put_segment(&m, 1, 3, "");
    put_segment(&m, 4, 6, "");
    put_segment(&m, 7, 9, "");
    r = open_reader(&m, 0);
    expect(r, 1, 8);
    psa_spool_finish(r, 5);
    psa_spool_rewind(r);
    commit(r);
    assert_false(is_there(&m, "00000000000000000001.seg"));
    assert_true(is_there(&m, "00000000000000000004.seg"));
    expect(r, 6, 9);
    psa_spool_finish(r, 9);
    assert_int_equal(psa_spool_cursor_of(r).missing, 0);
    commit(r);
    assert_false(is_there(&m, "00000000000000000004.seg"));
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

/* The reader waits in front of what cannot be read: it may be readable again. */
static void waits_for_a_bad_sector(void **state)
{
    struct memory_disk m;
    struct psa_spool_reader *r;
    struct psa_spool_record record;
    struct psa_error error = { 0 };

    (void)state;
    memory_disk_init(&m);
    put_segment(&m, 1, 5, "");
    put_segment(&m, 6, 9, "");
    memory_disk_spoil(&m, "00000000000000000001.seg", 50, 60);
    r = open_reader(&m, 0);
    expect(r, 1, 2);
    for (int i = 0; i < 3; i++) assert_int_equal(psa_spool_next(r, 0, &record, &error), -1);
    assert_string_equal(error.text, "cannot read the spool: 00000000000000000001.seg: Input/output error");
    memory_disk_spoil(&m, "00000000000000000001.seg", 0, 0);
    expect(r, 3, 9);
    psa_spool_finish(r, 9);
    assert_int_equal(psa_spool_cursor_of(r).missing + psa_spool_cursor_of(r).damaged, 0);
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

static int bury(struct psa_spool_reader *r, uint64_t seq, int64_t max_bytes)
{
    struct psa_spool_record record = { seq, 7, { "\"no\"", 4 }, { "text", 4 } };
    struct psa_error error = { 0 };

    return psa_spool_bury(r, &record, max_bytes, &error);
}

static void buries_durably(void **state)
{
    struct memory_disk m, after;
    struct psa_spool_reader *r;
    struct psa_spool_record record;
    size_t n = 0;
    char *bytes;

    (void)state;
    memory_disk_init(&m);
    memory_disk_put(&m, PSA_SPOOL_DEAD, "torn", 4);
    r = open_reader(&m, 0);
    assert_int_equal(bury(r, 1, 1000), 0);
    memory_disk_fault(&m, "dead.sync", 2, 1, EIO);
    assert_int_equal(bury(r, 2, 1000), -1);
    assert_int_equal(bury(r, 2, 1000), 0);
    memory_disk_fault(&m, "dead.write", 4, 1, 0); /* short: it goes on */
    assert_int_equal(bury(r, 3, 1000), 0);
    assert_int_equal(bury(r, 4, 40), 1);
    memory_disk_cut(&after, &m, MEMORY_DATA_ABSENT, MEMORY_FOLDER_ABSENT, 1);
    bytes = memory_disk_content(&after, PSA_SPOOL_DEAD, &n);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        char *lf = memchr(bytes, '\n', n);

        assert_non_null(lf);
        assert_true(psa_spool_parse_line((struct psa_str){ bytes, (size_t)(lf - bytes) }, true, &record));
        assert_int_equal(record.seq, seq);
        n -= (size_t)(lf + 1 - bytes);
        bytes = lf + 1;
    }
    assert_int_equal(n, 0);
    psa_spool_reader_close(r);
    memory_disk_free(&m);
    memory_disk_free(&after);
}

/* The process dies in the middle of a dead letter, at either half of the write: the next one is whole. */
static void buries_behind_a_torn_letter(void **state)
{
    struct psa_spool_survey survey;
    struct psa_error error = { 0 };

    (void)state;
    for (int half = 0; half < 2; half++) {
        struct memory_disk m;
        struct psa_spool_reader *r;

        memory_disk_init(&m);
        r = open_reader(&m, 0);
        assert_int_equal(bury(r, 1, 1000), 0);
        m.freeze_at = m.n_log + 2; /* behind dead.open */
        m.freeze_half = half;
        assert_int_equal(bury(r, 2, 1000), -1);
        psa_spool_reader_close(r);
        memory_disk_kill(&m);
        r = open_reader(&m, 0);
        assert_int_equal(bury(r, 2, 1000), 0);
        assert_int_equal(bury(r, 3, 1000), 0);
        psa_spool_reader_close(r);
        assert_int_equal(psa_spool_survey(&m.disk, NULL, &survey, &error), 0);
        assert_int_equal(survey.dead, 3);
        assert_int_equal(survey.dead_damaged, 0);
        memory_disk_free(&m);
    }
}

/* The longest line that gets in comes out, and can become a dead letter, if need be without its reason. */
static void buries_the_longest(void **state)
{
    static const struct psa_spool_limits huge = { .max_size = INT64_MAX, .segment_size = 4000 };
    struct psa_str text = { calloc(PSA_SPOOL_TEXT_MAX, 1), PSA_SPOOL_TEXT_MAX };
    struct memory_disk m;
    struct psa_spool_writer *w;
    struct psa_spool_reader *r;
    struct psa_spool_record record;
    struct psa_spool_survey survey;
    struct psa_error error = { 0 };
    char reason[5000];

    (void)state;
    assert_non_null(text.p);
    memset(reason, '"', sizeof reason);
    memset(reason + 1, 'x', sizeof reason - 2);
    memory_disk_init(&m);
    assert_int_equal(psa_spool_writer_open(&w, &m.disk, &huge, NULL, &error), 0);
    assert_int_equal(psa_spool_put(w, text, INT64_MAX, NULL), PSA_SPOOL_PUT);
    assert_int_equal(psa_spool_write(w), 0);
    r = open_reader(&m, 0);
    assert_int_equal(psa_spool_next(r, 0, &record, &error), 0);
    assert_int_equal(record.text.n, PSA_SPOOL_TEXT_MAX);
    record.reason = (struct psa_str){ reason, sizeof reason };
    assert_int_equal(psa_spool_bury(r, &record, INT64_MAX, &error), 0);
    assert_int_equal(psa_spool_survey(&m.disk, NULL, &survey, &error), 0);
    assert_int_equal(survey.dead, 1);
    psa_spool_reader_close(r);
    psa_spool_writer_close(w);
    memory_disk_free(&m);
    free((void *)(uintptr_t)text.p);
}

static void gives_the_reserve_for_a_dead_letter(void **state)
{
    struct memory_disk m;
    struct psa_spool_reader *r;

    (void)state;
    memory_disk_init(&m);
    put_segment(&m, 1, 3, "");
    assert_true(psa_spool_make_reserve(&m.disk) >= 0);
    r = open_reader(&m, 0);
    expect(r, 1, 1);
    m.space = memory_used(&m);
    assert_int_equal(bury(r, 1, 1000), 0);
    assert_int_equal(memory_disk_count(&m, "reserve.give"), 1);
    assert_int_equal(bury(r, 2, 1000), 0);
    m.space = 0;
    psa_spool_finish(r, 1);
    commit(r);
    assert_true(is_there(&m, PSA_SPOOL_RESERVE));
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

/* The segment being read is written anew after a failed sync. */
static void follows_a_replaced_segment(void **state)
{
    struct memory_disk m;
    struct psa_spool_writer *w;
    struct psa_spool_reader *r;

    (void)state;
    memory_disk_init(&m);
    w = open_writer(&m);
    r = open_reader(&m, 0);
    put_text(w, "one");
    put_text(w, "two");
    assert_int_equal(psa_spool_write(w), 0);
    expect(r, 1, 2);
    memory_disk_fault(&m, "segment.sync", 1, 1, EIO);
    assert_false(sync_all(w, &m));
    assert_int_equal(memory_disk_count(&m, "segment.replace"), 1);
    put_text(w, "three");
    assert_true(sync_all(w, &m));
    expect(r, 3, 3);
    psa_spool_rewind(r);
    expect(r, 1, 3);
    psa_spool_reader_close(r);
    psa_spool_writer_close(w);
    memory_disk_free(&m);
}

static void one_reader_at_a_time(void **state)
{
    struct memory_disk m;
    struct psa_spool_reader *r, *second;
    struct psa_error error = { 0 };

    (void)state;
    memory_disk_init(&m);
    r = open_reader(&m, 0);
    assert_int_equal(psa_spool_reader_open(&second, &m.disk, 0, NULL, &error), -1);
    psa_spool_reader_close(r);
    r = open_reader(&m, 0);
    psa_spool_reader_close(r);
    memory_disk_free(&m);
}

/* ---- both ends under power cuts -------------------------------------------------------------------------------- */

/* What a world outside the spool knows. */
struct world {
    uint64_t seed;
    struct memory_disk m;
    const char *ignore_sync;
    bool faults;
    bool exact;         /* nothing may count as missing or damaged */
    const char *broken; /* the property that does not hold; NULL: all do */

    uint32_t last_id;
    struct number {
        uint32_t put[IDS]; /* ids of the records that ever had this number */
        uint32_t taken;    /* of the one that was taken */
        uint32_t handed;   /* of the one handed out by the reader that is now */
        bool dead;         /* buried, or at least tried to */
        bool delivered;    /* finished as delivered, by some reader */
    } number[NUMBERS];
    uint64_t finished;  /* the highest that any commit was tried with */
    uint64_t committed; /* the highest that a commit succeeded with */
    uint64_t highest;   /* number seen anywhere */
    size_t states;

    struct psa_spool_writer *w;
    struct psa_spool_reader *r;
    uint64_t counted; /* the writer's last taken as known here */
    uint64_t looked;  /* the number handed out last */
};

static void must(struct world *world, bool holds, const char *what)
{
    if (!holds && !world->broken) world->broken = what;
}

static bool ran_out(const struct world *world)
{
    return world->highest + 64 > NUMBERS;
}

static uint32_t id_of(struct psa_str text)
{
    char digits[16] = { 0 };

    if (text.n < 12 || memcmp(text.p, "id=", 3) != 0) return 0;
    memcpy(digits, text.p + 3, 8);
    return (uint32_t)strtoul(digits, NULL, 10);
}

static void world_put(struct world *world)
{
    char text[LINE];
    size_t pad = memory_between(&world->seed, 0, 60);
    int n = snprintf(text, sizeof text, "id=%08u %.*s", ++world->last_id, (int)pad,
                     "................................................................");
    uint64_t seq = 0;

    if (psa_spool_put(world->w, (struct psa_str){ text, (size_t)n }, 5, &seq) != PSA_SPOOL_PUT) return;
    if (seq >= NUMBERS) abort();
    if (seq > world->highest) world->highest = seq;
    for (int i = 0; i < IDS; i++) {
        if (world->number[seq].put[i] && i + 1 < IDS) continue;
        world->number[seq].put[i] = world->last_id;
        break;
    }
    must(world, !world->number[seq].taken, "a taken record's number was given again");
    must(world, seq > world->committed, "a finished number was given again");
}

/* The record that has the number now is the one that was put last with it. */
static void world_taken(struct world *world)
{
    uint64_t taken = psa_spool_last_taken(world->w);

    for (uint64_t seq = world->counted + 1; seq <= taken; seq++) {
        struct number *number = &world->number[seq];

        for (int i = 0; i < IDS && number->put[i]; i++) number->taken = number->put[i];
        if (world->r && seq <= psa_spool_looked_at(world->r))
            must(world, number->handed == number->taken, "a record was taken that the reader has gone past");
    }
    world->counted = taken;
}

static void world_handed(struct world *world, const struct psa_spool_record *record)
{
    uint32_t id = id_of(record->text);
    struct number *number;
    bool known = false;

    must(world, record->seq < NUMBERS && record->seq > world->looked, "out of order");
    if (world->broken) return;
    number = &world->number[record->seq];
    for (int i = 0; i < IDS; i++) known |= id && number->put[i] == id;
    must(world, known, "a record was invented or altered");
    must(world, !number->taken || number->taken == id, "another record was handed out than was taken");
    for (uint64_t seq = world->looked + 1; seq < record->seq; seq++)
        must(world, !world->number[seq].taken, "a taken record was passed over");
    number->handed = id;
    world->looked = record->seq;
}

/* Up to n records. true: there are no more now. */
static bool world_next(struct world *world, size_t n)
{
    struct psa_spool_record record;
    struct psa_error error;

    while (n-- && !world->broken) {
        int got = psa_spool_next(world->r, 0, &record, &error);

        if (got) return got > 0;
        world_handed(world, &record);
    }
    return false;
}

static void world_commit(struct world *world)
{
    size_t rewritten;
    struct psa_error error;
    uint64_t done = psa_spool_cursor_of(world->r).done;

    if (done > world->finished) world->finished = done;
    rewritten = memory_disk_count(&world->m, "cursor.rewrite-open");
    if (psa_spool_commit(world->r, &error) == 0) world->committed = done;
    /* On a disk without any room the cursor is written over: cut off there it is lost, and everything is handed out again. */
    else if (memory_disk_count(&world->m, "cursor.rewrite-open") > rewritten) world->committed = 0;
}

static void world_finish(struct world *world)
{
    uint64_t done = psa_spool_cursor_of(world->r).done;
    uint64_t seq = memory_between(&world->seed, (size_t)done, (size_t)world->looked);

    if (seq <= done) return;
    /* The last of them is a dead letter at times. */
    if (world->number[seq].handed && memory_between(&world->seed, 0, 2) == 0) {
        char text[LINE];
        int n = snprintf(text, sizeof text, "id=%08u ", world->number[seq].handed);
        struct psa_spool_record record = { seq, 5, { "\"no\"", 4 }, { text, (size_t)n } };
        struct psa_error error;

        if (psa_spool_bury(world->r, &record, 1 << 20, &error) == 0) world->number[seq].dead = true;
        else seq--;
    }
    for (uint64_t i = done + 1; i <= seq; i++) world->number[i].delivered |= !(i == seq && world->number[i].dead);
    psa_spool_finish(world->r, seq);
}

static void world_sync(struct world *world)
{
    struct psa_spool_sync job;

    if (!psa_spool_sync_begin(world->w, &job)) return;
    for (size_t n = memory_between(&world->seed, 0, 3); n; n--) {
        world_put(world);
        if (memory_random(&world->seed) & 1) (void)psa_spool_write(world->w);
    }
    psa_spool_sync_run(&world->m.disk, &job);
    if (memory_random(&world->seed) & 1) (void)psa_spool_write(world->w);
    psa_spool_sync_end(world->w, &job);
    world_taken(world);
}

static void world_open_writer(struct world *world)
{
    struct psa_error error;

    if (psa_spool_writer_open(&world->w, &world->m.disk, &small, NULL, &error) < 0) world->w = NULL;
    else world->counted = psa_spool_last_taken(world->w);
}

static void world_open_reader(struct world *world)
{
    struct psa_error error;

    if (psa_spool_reader_open(&world->r, &world->m.disk, 0, NULL, &error) < 0) world->r = NULL;
    else world->looked = psa_spool_cursor_of(world->r).done;
    for (uint64_t seq = world->looked + 1; seq < NUMBERS; seq++) world->number[seq].handed = 0;
}

static void world_close(struct world *world, bool writer, bool reader)
{
    if (writer) {
        psa_spool_writer_close(world->w);
        world->w = NULL;
    }
    if (reader) {
        psa_spool_reader_close(world->r);
        world->r = NULL;
    }
}

static void world_step(struct world *world)
{
    switch (memory_between(&world->seed, 0, 11)) {
    case 0:
    case 1:
        for (size_t n = memory_between(&world->seed, 1, 4); n; n--) world_put(world);
        break;
    case 2: (void)psa_spool_write(world->w); break;
    case 3:
    case 4: world_sync(world); break;
    case 5:
    case 6: (void)world_next(world, memory_between(&world->seed, 1, 8)); break;
    case 7: world_finish(world); break;
    case 8: world_commit(world); break;
    case 9:
        psa_spool_rewind(world->r);
        world->looked = psa_spool_cursor_of(world->r).done;
        break;
    case 10: /* one of the two processes is killed, the other lives on */
        if (memory_between(&world->seed, 0, 3)) break;
        world_close(world, true, false);
        world_open_writer(world);
        break;
    default:
        if (memory_between(&world->seed, 0, 3)) break;
        world_close(world, false, true);
        world_open_reader(world);
        break;
    }
}

static bool is_dead(struct memory_disk *m, uint64_t seq)
{
    size_t n = 0;
    char *bytes = memory_disk_content(m, PSA_SPOOL_DEAD, &n), *lf;
    struct psa_spool_record record;

    for (; bytes && (lf = memchr(bytes, '\n', n)) != NULL; n -= (size_t)(lf + 1 - bytes), bytes = lf + 1) {
        struct psa_str line = { bytes, (size_t)(lf - bytes) };

        if (psa_spool_parse_line(line, true, &record) && record.seq == seq) return true;
    }
    return false;
}

struct counted {
    uint64_t n, first, last, missing;
};

static int count_unfinished(void *ctx, const struct psa_spool_record *record, bool finished)
{
    struct counted *counted = ctx;

    if (finished) return 0;
    if (counted->n++ == 0) counted->first = record->seq;
    counted->last = record->seq;
    return 0;
}

/* A survey says what a reader hands out: from the cursor on, or, without one, of the whole folder. */
static void check_survey(struct world *world, struct memory_disk *m, bool with_cursor)
{
    struct counted said = { 0 }, given = { 0 };
    const struct psa_spool_visitor visitor = { .ctx = &said, .record = count_unfinished };
    struct psa_spool_survey survey;
    struct psa_error error = { 0 };
    struct psa_spool_reader *r;
    struct psa_spool_record record;
    uint64_t missing;

    if (!with_cursor) m->disk.unlink(m, "test", PSA_SPOOL_CURSOR);
    must(world, psa_spool_survey(&m->disk, &visitor, &survey, &error) == 0, "a survey fails");
    if (psa_spool_reader_open(&r, &m->disk, 0, NULL, &error) != 0) {
        must(world, false, "cannot open the reader");
        return;
    }
    missing = psa_spool_cursor_of(r).missing;
    while (psa_spool_next(r, 0, &record, &error) == 0) (void)count_unfinished(&given, &record, false);
    psa_spool_finish(r, psa_spool_looked_at(r));
    missing = psa_spool_cursor_of(r).missing - missing;
    psa_spool_reader_close(r);
    must(world, said.n == given.n && survey.backlog == given.n, "the survey's backlog is not what is handed out");
    must(world, said.first == given.first && said.last == given.last, "the survey names other records");
    must(world, survey.missing == missing, "the survey says that others are missing");
    if (with_cursor) return;
    must(world, survey.records == given.n, "the survey's records are not what is handed out");
    must(world, survey.first == given.first && survey.last == given.last, "the survey's first and last are others");
}

/* Everything the property says of a disk after a cut. The disk is used up. */
static void check_disk(struct world *world, struct memory_disk *m, bool exact)
{
    struct world now = *world; /* what this check sees is not what the world sees */
    uint64_t done, fresh;
    struct psa_spool_cursor cursor;

    now.m = *m;
    now.m.disk.ctx = &now.m;
    now.w = NULL;
    now.r = NULL;
    world->states++;
    if (memory_random(&now.seed) & 1) world_open_writer(&now);
    world_open_reader(&now);
    if (!now.w) world_open_writer(&now);
    must(&now, now.w && now.r, "cannot open");
    if (now.broken) goto out;
    done = psa_spool_cursor_of(now.r).done;
    must(&now, done <= now.finished, "the cursor is beyond what was finished");
    must(&now, done >= now.committed, "the cursor went back");
    for (uint64_t seq = 1; seq <= done && seq < NUMBERS; seq++)
        if (now.number[seq].dead && !now.number[seq].delivered)
            must(&now, is_dead(&now.m, seq), "a dead letter was lost");
    must(&now, world_next(&now, NUMBERS), "reading does not end");
    for (uint64_t seq = now.looked + 1; seq <= now.highest; seq++)
        must(&now, !now.number[seq].taken, "a taken record was not handed out");
    if (now.broken) goto out;
    world_put(&now);
    fresh = psa_spool_last_put(now.w);
    must(&now, sync_all(now.w, &now.m), "cannot sync a fresh record");
    must(&now, world_next(&now, 2) && now.looked == fresh, "a fresh record did not come through");
    psa_spool_finish(now.r, fresh);
    cursor = psa_spool_cursor_of(now.r);
    if (exact) must(&now, cursor.missing == 0, "something counts as missing");
    if (exact) must(&now, cursor.damaged == 0, "something counts as damaged");
out:
    world_close(&now, true, true);
    *m = now.m;
    world->broken = now.broken;
}

static void world_fault(struct world *world)
{
    static const char *const points[] = { "segment.sync",  "folder.sync",        "segment.write",   "segment.write",
                                          "segment.write", "segment.create",     "cursor.write",    "cursor.sync",
                                          "cursor.rename", "cursor.folder-sync", "segment.replace", "dead.sync",
                                          "segment.unlink" };
    static const int errors[] = { EIO, EIO, ENOSPC };
    const char *point = points[memory_between(&world->seed, 0, sizeof points / sizeof *points - 1)];
    bool writes = !strcmp(point, "segment.write") || !strcmp(point, "cursor.write");
    int error = errors[memory_between(&world->seed, 0, 2)];

    if (writes && memory_random(&world->seed) & 1) error = 0;
    /* After a failed sync the disk may hold a later line and not one before it, none of them taken. That is not to be
     * told from damage; only nothing taken may be lost. */
    if (!strcmp(point, "segment.sync") || !strcmp(point, "folder.sync")) world->exact = false;
    memory_disk_fault(&world->m, point, (int)memory_between(&world->seed, 1, 6),
                      (int)memory_between(&world->seed, 1, 3), error);
}

/* From one start of both processes to the cut: steps, stopped at any call; then every kind of cut is tried, and the
 * world goes on with one of them. */
static void world_live(struct world *world)
{
    enum memory_disk_data kept_data = memory_between(&world->seed, 0, MEMORY_DATA_ALL);
    enum memory_disk_folder kept_folder = memory_between(&world->seed, 0, MEMORY_FOLDER_ALL);
    struct memory_disk kept = { 0 };
    size_t steps = memory_between(&world->seed, 1, 60);

    world->m.ignore_sync = world->ignore_sync;
    if (memory_random(&world->seed) & 1) world->m.freeze_at = memory_between(&world->seed, 1, 60);
    world->m.freeze_half = memory_random(&world->seed) & 1;
    for (size_t n = world->faults ? memory_between(&world->seed, 0, 3) : 0; n; n--) world_fault(world);
    world_open_writer(world);
    if (world->w) world_open_reader(world);
    while (world->w && world->r && steps-- && !world->broken && !memory_frozen(&world->m)) world_step(world);
    world_close(world, true, true);
    for (int data = 0; data <= MEMORY_DATA_HOLES && !world->broken; data++) {
        for (int folder = 0; folder < MEMORY_FOLDER_KINDS && !world->broken; folder++) {
            struct memory_disk after;
            uint64_t seed = memory_random(&world->seed);

            if ((int)kept_data == data && (int)kept_folder == folder)
                memory_disk_cut(&kept, &world->m, data, folder, seed);
            for (int with_cursor = 0; with_cursor < 2; with_cursor++) {
                memory_disk_cut(&after, &world->m, data, folder, seed);
                check_survey(world, &after, with_cursor);
                memory_disk_free(&after);
            }
            memory_disk_cut(&after, &world->m, data, folder, seed);
            check_disk(world, &after, world->exact && data != MEMORY_DATA_HOLES);
            memory_disk_free(&after);
        }
    }
    if (world->broken) return;
    if (memory_between(&world->seed, 0, 4) == 0) {
        memory_disk_free(&kept);
        memory_disk_kill(&world->m); /* both are killed, the machine runs on */
        return;
    }
    memory_disk_free(&world->m);
    world->m = kept;
    world->m.disk.ctx = &world->m;
}

/* Run a world through so many lives; the property that broke, or NULL. */
static const char *run_world(uint64_t seed, size_t lives, const char *ignore_sync, bool faults, size_t *states)
{
    struct world *world = calloc(1, sizeof *world);
    const char *broken;

    assert_non_null(world);
    world->seed = seed;
    world->ignore_sync = ignore_sync;
    world->faults = faults;
    world->exact = true;
    memory_disk_init(&world->m);
    while (lives-- && !world->broken && !ran_out(world)) world_live(world);
    world_close(world, true, true);
    memory_disk_free(&world->m);
    *states += world->states;
    broken = world->broken;
    free(world);
    return broken;
}

static void nothing_is_lost_in_power_cuts(void **state)
{
    size_t states = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        const char *broken = run_world(seed, 15, NULL, false, &states);

        if (broken) fail_msg("seed %d: %s", (int)seed, broken);
    }
    assert_true(states > 10000);
}

static void nothing_is_lost_in_failures_and_power_cuts(void **state)
{
    size_t states = 0;

    (void)state;
    for (uint64_t seed = 1000; seed <= 1040; seed++) {
        const char *broken = run_world(seed, 15, NULL, true, &states);

        if (broken) fail_msg("seed %d: %s", (int)seed, broken);
    }
    assert_true(states > 10000);
}

static void every_sync_is_needed(void **state)
{
    static const char *const points[] = { "segment.sync",       "folder.sync", "cursor.sync",
                                          "cursor.folder-sync", "dead.sync",   "dead.folder-sync" };

    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        const char *broken = NULL;
        size_t states = 0;

        for (uint64_t seed = 1; seed <= 200 && !broken; seed++) broken = run_world(seed, 10, points[i], false, &states);
        if (!broken) fail_msg("without %s nothing breaks in %d states", points[i], (int)states);
        else print_message("without %-20s after %5d states: %s\n", points[i], (int)states, broken);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_out_in_order_and_again),
        cmocka_unit_test(commits_in_this_order),
        cmocka_unit_test(counts_missing_once),
        cmocka_unit_test(survives_dropping),
        cmocka_unit_test(counts_damage_once),
        cmocka_unit_test(knows_a_torn_tail_from_damage),
        cmocka_unit_test(passes_over_the_expired),
        cmocka_unit_test(keeps_count_of_the_expired_over_a_rewind),
        cmocka_unit_test(begins_at_the_oldest_without_a_cursor),
        cmocka_unit_test(gives_the_reserve_for_the_cursor),
        cmocka_unit_test(frees_a_full_disk),
        cmocka_unit_test(unlinks_after_a_rewind),
        cmocka_unit_test(waits_for_a_bad_sector),
        cmocka_unit_test(buries_durably),
        cmocka_unit_test(buries_behind_a_torn_letter),
        cmocka_unit_test(buries_the_longest),
        cmocka_unit_test(gives_the_reserve_for_a_dead_letter),
        cmocka_unit_test(follows_a_replaced_segment),
        cmocka_unit_test(one_reader_at_a_time),
        cmocka_unit_test(nothing_is_lost_in_power_cuts),
        cmocka_unit_test(nothing_is_lost_in_failures_and_power_cuts),
        cmocka_unit_test(every_sync_is_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
