/* test_spool_writer.c - the writing end of a spool: recovery, rotation, room, failures; one thing at a time. What
 * both ends do under power cuts is in test_spool_reader.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory_disk.h"
#include "spool/format.h"
#include "spool/writer.h"

#define FIRST "00000000000000000001.seg"

static const struct psa_spool_limits roomy = { .max_size = 1 << 20, .segment_size = 1 << 16 };

static struct psa_spool_writer *open_with(struct memory_disk *m, const struct psa_spool_limits *limits)
{
    struct psa_spool_writer *w;
    struct psa_error error = { 0 };

    assert_int_equal(psa_spool_writer_open(&w, &m->disk, limits, NULL, &error), 0);
    return w;
}

static uint64_t put(struct psa_spool_writer *w, const char *text)
{
    uint64_t seq = 0;

    assert_int_equal(psa_spool_put(w, psa_str_of(text), 5, &seq), PSA_SPOOL_PUT);
    return seq;
}

static bool sync_all(struct psa_spool_writer *w, struct memory_disk *m)
{
    struct psa_spool_sync job;

    if (!psa_spool_sync_begin(w, &job)) return false;
    psa_spool_sync_run(&m->disk, &job);
    psa_spool_sync_end(w, &job);
    return job.result == 0;
}

/* The numbers of the valid lines of a file, as "1 2 3"; "?" for a whole line that is not valid, "~" for a torn one. */
static const char *lines_of(struct memory_disk *m, const char *name)
{
    static char out[4096];
    size_t n = 0, used = 0;
    char *bytes = memory_disk_content(m, name, &n), *lf;
    struct psa_spool_record record;

    if (!bytes) return "none";
    out[0] = '\0';
    for (; (lf = memchr(bytes, '\n', n)) != NULL; n -= (size_t)(lf + 1 - bytes), bytes = lf + 1) {
        bool valid = psa_spool_parse_line((struct psa_str){ bytes, (size_t)(lf - bytes) }, false, &record);
        char number[24] = "?";

        if (valid) snprintf(number, sizeof number, "%d", (int)record.seq);
        used += (size_t)snprintf(out + used, sizeof out - used, "%s%s", used ? " " : "", number);
    }
    if (n) snprintf(out + used, sizeof out - used, "%s~", used ? " " : "");
    return out;
}

static void add_lines(struct psa_buf *out, uint64_t from, uint64_t to)
{
    for (uint64_t seq = from; seq <= to; seq++)
        psa_spool_format_line(out, &(struct psa_spool_record){ seq, 5, { NULL, 0 }, { "old", 3 } });
}

static void put_file(struct memory_disk *m, const char *name, uint64_t from, uint64_t to, const char *tail, size_t n)
{
    struct psa_buf lines = { 0 };

    add_lines(&lines, from, to);
    psa_buf_put(&lines, tail, n);
    memory_disk_put(m, name, lines.p, lines.n);
    psa_buf_free(&lines);
}

static void put_cursor(struct memory_disk *m, uint64_t done)
{
    struct psa_buf text = { 0 };

    psa_spool_format_cursor(&text, &(struct psa_spool_cursor){ .done = done });
    memory_disk_put(m, PSA_SPOOL_CURSOR, text.p, text.n);
    psa_buf_free(&text);
}

/* ---- the three steps ------------------------------------------------------------------------------------------- */

static void put_written_taken(void **state)
{
    struct memory_disk m;
    struct psa_spool_writer *w;
    struct psa_spool_sync job;

    (void)state;
    memory_disk_init(&m);
    w = open_with(&m, &roomy);
    assert_false(psa_spool_sync_begin(w, &job));
    assert_int_equal(put(w, "a"), 1);
    assert_int_equal(put(w, "b"), 2);
    assert_int_equal(psa_spool_last_written(w), 0);
    assert_int_equal(psa_spool_write(w), 0);
    assert_int_equal(psa_spool_last_written(w), 2);
    assert_int_equal(psa_spool_last_taken(w), 0);
    assert_true(psa_spool_untaken_bytes(w) > 0);
    assert_true(psa_spool_sync_begin(w, &job));
    assert_true(job.folder);
    assert_int_equal(job.through, 2);
    assert_false(psa_spool_sync_begin(w, &job)); /* one at a time */
    put(w, "c");
    assert_int_equal(psa_spool_write(w), 0);
    psa_spool_sync_run(&m.disk, &job);
    psa_spool_sync_end(w, &job);
    assert_int_equal(psa_spool_last_taken(w), 2);
    put(w, "d");
    assert_true(psa_spool_sync_begin(w, &job)); /* writes first */
    assert_false(job.folder);
    assert_int_equal(job.through, 4);
    psa_spool_sync_run(&m.disk, &job);
    psa_spool_sync_end(w, &job);
    assert_int_equal(psa_spool_last_taken(w), 4);
    assert_int_equal(psa_spool_untaken_bytes(w), 0);
    assert_int_equal(psa_spool_writer_totals(w).taken, 4);
    assert_string_equal(lines_of(&m, FIRST), "1 2 3 4");
    psa_spool_writer_close(w);
    memory_disk_free(&m);
}

static void refuses_what_never_fits(void **state)
{
    static const struct psa_spool_limits tiny = { .max_size = 4000, .segment_size = 4000 };
    struct memory_disk m;
    struct psa_spool_writer *w;
    char text[1001];

    (void)state;
    memset(text, 'x', sizeof text);
    memory_disk_init(&m);
    w = open_with(&m, &tiny);
    assert_int_equal(psa_spool_put(w, (struct psa_str){ text, 1001 }, 5, NULL), PSA_SPOOL_TOO_LONG);
    assert_int_equal(psa_spool_put(w, (struct psa_str){ text, 1000 }, 5, NULL), PSA_SPOOL_PUT);
    psa_spool_writer_close(w);
    memory_disk_free(&m);
}

/* However large the spool is, a line that no reader would call valid does not get in. */
static void refuses_what_is_never_valid(void **state)
{
    static const struct psa_spool_limits huge = { .max_size = INT64_MAX, .segment_size = 4000 };
    size_t n = PSA_SPOOL_TEXT_MAX + 1;
    char *text = calloc(n, 1);
    struct memory_disk m;
    struct psa_spool_writer *w;

    (void)state;
    assert_non_null(text);
    memory_disk_init(&m);
    w = open_with(&m, &huge);
    assert_int_equal(psa_spool_put(w, (struct psa_str){ text, n }, 5, NULL), PSA_SPOOL_TOO_LONG);
    assert_int_equal(psa_spool_last_put(w), 0);
    psa_spool_writer_close(w);
    memory_disk_free(&m);
    free(text);
}

static void one_writer_at_a_time(void **state)
{
    struct memory_disk m;
    struct psa_spool_writer *w, *second;
    struct psa_error error = { 0 };

    (void)state;
    memory_disk_init(&m);
    w = open_with(&m, &roomy);
    assert_int_equal(psa_spool_writer_open(&second, &m.disk, &roomy, NULL, &error), -1);
    psa_spool_writer_close(w);
    w = open_with(&m, &roomy);
    psa_spool_writer_close(w);
    memory_disk_free(&m);
}

/* ---- recovery -------------------------------------------------------------------------------------------------- */

/* What stood in the folder, and what the next record's number and the first segment are then. */
static const struct recovery {
    const char *what;
    uint64_t from, to; /* lines of the segment 1 */
    const char *tail;
    size_t n_tail;
    uint64_t done; /* of the cursor; 0: none */
    uint64_t next;
    const char *lines;
    const char *segment; /* that the next record goes to */
} recoveries[] = {
    { "whole", 1, 3, "", 0, 0, 4, "1 2 3 4", FIRST },
    { "torn", 1, 3, "4 5 abcd", 8, 0, 4, "1 2 3 4", FIRST },
    { "grown", 1, 3, "\0\0\0\0", 4, 0, 4, "1 2 3 4", FIRST },
    { "torn and grown", 1, 3, "4 5\0\0", 5, 0, 4, "1 2 3 4", FIRST },
    { "all torn", 1, 0, "1 5 abcd", 8, 0, 1, "1", FIRST },
    { "empty", 1, 0, "", 0, 0, 1, "1", FIRST },
    { "cursor ahead", 1, 3, "", 0, 9, 10, "1 2 3 10", FIRST },
    { "cursor ahead of an empty one", 1, 0, "", 0, 9, 10, "", "00000000000000000010.seg" },
    /* Lines that were whole may have been taken: their numbers are not given again. */
    { "damaged at the end", 1, 3, "4 5 x y\n5 5 x y\n", 16, 0, 6, "1 2 3 6", FIRST },
    { "all damaged", 1, 0, "1 5 x y\n", 8, 0, 2, "2", FIRST },
};

static void recovers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof recoveries / sizeof *recoveries; i++) {
        const struct recovery *r = &recoveries[i];
        bool aside = memchr(r->tail, '\n', r->n_tail) != NULL;
        struct memory_disk m;
        struct psa_spool_writer *w;
        char name[PSA_SPOOL_NAME_MAX];
        size_t n;

        memory_disk_init(&m);
        memory_disk_put(&m, "stray", "x", 1);
        memory_disk_put(&m, PSA_SPOOL_CURSOR_TMP, "x", 1);
        memory_disk_put(&m, PSA_SPOOL_SEGMENT_TMP, "x", 1);
        put_file(&m, FIRST, r->from, r->to, r->tail, r->n_tail);
        if (r->done) put_cursor(&m, r->done);
        w = open_with(&m, &roomy);
        if (put(w, "new") != r->next) fail_msg("%s: the next number is %d", r->what, (int)psa_spool_last_put(w));
        assert_int_equal(psa_spool_write(w), 0);
        if (strcmp(lines_of(&m, FIRST), r->lines) != 0) fail_msg("%s: %s", r->what, lines_of(&m, FIRST));
        assert_non_null(memory_disk_content(&m, r->segment, &n));
        assert_non_null(memory_disk_content(&m, "stray", &n));
        assert_non_null(memory_disk_content(&m, PSA_SPOOL_CURSOR_TMP, &n));
        assert_null(memory_disk_content(&m, PSA_SPOOL_SEGMENT_TMP, &n));
        snprintf(name, sizeof name, "%s-%d.damaged", FIRST,
                 (int)(r->to >= r->from ? 3 * strlen("1 5 12345678 old\n") : 0));
        assert_int_equal(memory_disk_content(&m, name, &n) != NULL, aside);
        if (aside) assert_int_equal(n, r->n_tail);
        psa_spool_writer_close(w);
        memory_disk_free(&m);
    }
}

/* The number is behind every line of every segment, also where one goes on beyond the next one's name. */
static void looks_at_the_end_of_every_segment(void **state)
{
    struct memory_disk m;
    struct psa_spool_writer *w;

    (void)state;
    memory_disk_init(&m);
    put_file(&m, FIRST, 1, 2000, "2001 5 torn", 11);
    put_file(&m, "00000000000000001999.seg", 1999, 1999, "20", 2);
    w = open_with(&m, &roomy);
    assert_int_equal(put(w, "new"), 2001);
    psa_spool_writer_close(w);
    memory_disk_free(&m);
}

/* Damage in the middle stays for the reader, and nothing is written behind it. */
static void leaves_a_damaged_segment(void **state)
{
    struct memory_disk m;
    struct psa_spool_writer *w;
    struct psa_buf lines = { 0 };

    (void)state;
    memory_disk_init(&m);
    add_lines(&lines, 1, 1);
    psa_buf_puts(&lines, "2 5 damaged\n");
    add_lines(&lines, 3, 3);
    memory_disk_put(&m, FIRST, lines.p, lines.n);
    w = open_with(&m, &roomy);
    put(w, "new");
    assert_int_equal(psa_spool_write(w), 0);
    assert_string_equal(lines_of(&m, FIRST), "1 ? 3");
    assert_string_equal(lines_of(&m, "00000000000000000004.seg"), "4");
    psa_spool_writer_close(w);
    psa_buf_free(&lines);
    memory_disk_free(&m);
}

/* Bytes that cannot be read, of segments 1 (1 to 100) and 101 (101 to 600): a number that may be in them is not given
 * again. A line of the second is 19 bytes long. */
static const struct bad_sector {
    const char *what, *name;
    size_t from, to;
    uint64_t next;
} bad_sectors[] = {
    { "the newest, its end can be read", "00000000000000000101.seg", 500, 600, 601 },
    { "the newest, its end", "00000000000000000101.seg", 9470, 9500, 599 + 38 / 14 },
    { "the newest, all of it", "00000000000000000101.seg", 0, 9500, 101 + 9500 / 14 },
    { "an old one", FIRST, 500, 600, 601 },
    { "the end of an old one", FIRST, 1780, 1792, 601 },
    { "all of an old one", FIRST, 0, 1792, 601 },
};

static void goes_on_behind_a_bad_sector(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_sectors / sizeof *bad_sectors; i++) {
        const struct bad_sector *bad = &bad_sectors[i];
        struct memory_disk m;
        struct psa_spool_writer *w;
        char name[PSA_SPOOL_NAME_MAX];
        size_t n, before, after;

        memory_disk_init(&m);
        put_file(&m, FIRST, 1, 100, "", 0);
        put_file(&m, "00000000000000000101.seg", 101, 600, "", 0);
        assert_non_null(memory_disk_content(&m, bad->name, &before));
        memory_disk_spoil(&m, bad->name, bad->from, bad->to);
        w = open_with(&m, &roomy);
        if (put(w, "new") != bad->next) fail_msg("%s: the next number is %d", bad->what, (int)psa_spool_last_put(w));
        assert_true(sync_all(w, &m));
        assert_non_null(memory_disk_content(&m, bad->name, &after));
        if (strcmp(bad->name, FIRST) != 0) {
            assert_int_equal(before, after);
            psa_spool_segment_name(bad->next, name);
            assert_non_null(memory_disk_content(&m, name, &n));
        }
        psa_spool_writer_close(w);
        memory_disk_free(&m);
    }
}

/* 1.seg holds 1 to 5, of which 4 and 5 were not taken; they were to be written again to 4.seg when the machine died. */
static void gives_no_number_of_an_unreadable_tail(void **state)
{
    struct memory_disk m;
    struct psa_spool_writer *w;

    (void)state;
    memory_disk_init(&m);
    put_file(&m, FIRST, 1, 5, "", 0);
    put_file(&m, "00000000000000000004.seg", 1, 0, "", 0);
    memory_disk_spoil(&m, FIRST, 60, 70);
    w = open_with(&m, &roomy);
    assert_true(put(w, "new") > 5);
    assert_true(sync_all(w, &m));
    assert_string_equal(lines_of(&m, "00000000000000000004.seg"), "");
    psa_spool_writer_close(w);
    memory_disk_free(&m);
}

/* ---- rotation and room ------------------------------------------------------------------------------------------ */

static void syncs_before_the_next_segment(void **state)
{
    static const struct psa_spool_limits limits = { .max_size = 1 << 20, .segment_size = 40 };
    struct memory_disk m, after;
    struct psa_spool_writer *w;
    struct psa_spool_sync job;

    (void)state;
    memory_disk_init(&m);
    w = open_with(&m, &limits);
    put(w, "a");
    put(w, "b");
    put(w, "c");
    assert_int_equal(psa_spool_write(w), 0);
    put(w, "d");
    assert_int_equal(psa_spool_write(w), 0);
    assert_int_equal(psa_spool_last_taken(w), 3);
    assert_string_equal(lines_of(&m, "00000000000000000004.seg"), "4");
    memory_disk_cut(&after, &m, MEMORY_DATA_ABSENT, MEMORY_FOLDER_ABSENT, 1);
    assert_string_equal(lines_of(&after, FIRST), "1 2 3");
    /* Not while a job holds it: it grows. */
    put(w, "eeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
    assert_true(psa_spool_sync_begin(w, &job));
    put(w, "f");
    assert_int_equal(psa_spool_write(w), 0);
    psa_spool_sync_run(&m.disk, &job);
    psa_spool_sync_end(w, &job);
    assert_string_equal(lines_of(&m, "00000000000000000004.seg"), "4 5 6");
    put(w, "g");
    assert_int_equal(psa_spool_write(w), 0);
    assert_string_equal(lines_of(&m, "00000000000000000007.seg"), "7");
    psa_spool_writer_close(w);
    memory_disk_free(&after);
    memory_disk_free(&m);
}

static void is_full_until_the_reader_frees(void **state)
{
    static const struct psa_spool_limits limits = { .max_size = 400, .segment_size = 400 };
    struct memory_disk m;
    struct psa_spool_writer *w;
    uint64_t last = 0;
    char name[PSA_SPOOL_NAME_MAX];

    (void)state;
    memory_disk_init(&m);
    w = open_with(&m, &limits);
    while (psa_spool_put(w, psa_str_of("abcdefghij"), 5, &last) == PSA_SPOOL_PUT) assert_true(sync_all(w, &m));
    assert_true(last > 5);
    /* The only segment cannot be freed, so there is another now. */
    psa_spool_segment_name(last + 1, name);
    assert_string_equal(lines_of(&m, name), "");
    assert_int_equal(psa_spool_put(w, psa_str_of("abcdefghij"), 5, NULL), PSA_SPOOL_FULL);
    m.disk.unlink(&m, "segment.unlink", FIRST);
    psa_spool_writer_look(w);
    assert_int_equal(put(w, "abcdefghij"), last + 1);
    assert_int_equal(psa_spool_write(w), 0);
    psa_spool_writer_close(w);
    memory_disk_free(&m);
}

/* The same when the segment that fills the spool is of a process before: it makes way, or no reader could free it. */
static void makes_way_after_a_restart(void **state)
{
    (void)state;
    for (int drop = 0; drop < 2; drop++) {
        const struct psa_spool_limits limits = { .max_size = 400, .segment_size = 300, .drop_oldest = drop };
        struct memory_disk m;
        struct psa_spool_writer *w;
        uint64_t seq = 0;

        memory_disk_init(&m);
        put_file(&m, FIRST, 1, 22, "", 0);
        w = open_with(&m, &limits);
        assert_int_equal(psa_spool_put(w, psa_str_of("new"), 5, &seq), drop ? PSA_SPOOL_PUT : PSA_SPOOL_FULL);
        assert_string_equal(lines_of(&m, "00000000000000000023.seg"), "");
        if (!drop) m.disk.unlink(&m, "segment.unlink", FIRST);
        psa_spool_writer_look(w);
        if (!drop) assert_int_equal(put(w, "new"), 23);
        assert_true(sync_all(w, &m));
        assert_string_equal(lines_of(&m, "00000000000000000023.seg"), "23");
        psa_spool_writer_close(w);
        memory_disk_free(&m);
    }
}

static void drops_the_oldest(void **state)
{
    static const struct psa_spool_limits limits = { .max_size = 400, .segment_size = 100, .drop_oldest = true };
    struct memory_disk m;
    struct psa_spool_writer *w;
    uint64_t last = 0, first = 0, there = 0;

    (void)state;
    memory_disk_init(&m);
    put_cursor(&m, 0);
    w = open_with(&m, &limits);
    for (int i = 0; i < 200; i++) {
        last = put(w, "abcdefghij");
        assert_true(sync_all(w, &m));
    }
    assert_int_equal(last, 200);
    for (uint64_t seq = 1; seq <= 200; seq++) {
        char name[PSA_SPOOL_NAME_MAX];
        size_t n;

        psa_spool_segment_name(seq, name);
        if (!memory_disk_content(&m, name, &n)) continue;
        if (!first) first = seq;
        there += n;
    }
    assert_true(there <= 400);
    assert_true(first > 150);
    assert_int_equal(psa_spool_writer_totals(w).dropped, first - 1);
    psa_spool_writer_close(w);
    memory_disk_free(&m);
}

/* What the reader has finished is no loss when it is dropped. */
static void counts_only_the_unfinished_as_dropped(void **state)
{
    static const struct psa_spool_limits limits = { .max_size = 400, .segment_size = 400, .drop_oldest = true };
    struct memory_disk m;
    struct psa_spool_writer *w;

    (void)state;
    memory_disk_init(&m);
    w = open_with(&m, &limits);
    for (int i = 0; i < 9; i++) {
        put(w, "abcdefghij");
        assert_true(sync_all(w, &m));
        if (i == 4) put_cursor(&m, 3);
    }
    while (psa_spool_writer_totals(w).dropped_segments == 0) {
        put(w, "abcdefghij");
        assert_true(sync_all(w, &m));
    }
    assert_int_equal(psa_spool_writer_totals(w).dropped, psa_spool_last_put(w) - 1 - 3);
    psa_spool_writer_close(w);
    memory_disk_free(&m);
}

/* ---- failures --------------------------------------------------------------------------------------------------- */

static void goes_on_where_a_write_stopped(void **state)
{
    struct memory_disk m;
    struct psa_spool_writer *w;

    (void)state;
    memory_disk_init(&m);
    w = open_with(&m, &roomy);
    put(w, "aaaaaaaaaaaaaaaaaaaa");
    put(w, "bbbbbbbbbbbbbbbbbbbb");
    memory_disk_fault(&m, "segment.write", 1, 1, 0); /* short */
    memory_disk_fault(&m, "segment.write", 2, 1, ENOSPC);
    assert_int_equal(psa_spool_write(w), 1);
    assert_string_equal(lines_of(&m, FIRST), "1");
    assert_int_equal(psa_spool_put(w, psa_str_of("c"), 5, NULL), PSA_SPOOL_FULL);
    /* The line that is whole was taken, and the only segment has made way, so that the reader can free it. */
    assert_int_equal(psa_spool_last_taken(w), 1);
    assert_int_equal(psa_spool_write(w), 0);
    assert_string_equal(lines_of(&m, FIRST), "1");
    assert_string_equal(lines_of(&m, "00000000000000000002.seg"), "2");
    /* With two, the write goes on where it stopped. */
    put(w, "cccccccccccccccccccc");
    put(w, "dddddddddddddddddddd");
    memory_disk_fault(&m, "segment.write", 4, 1, 0);
    memory_disk_fault(&m, "segment.write", 5, 1, ENOSPC);
    assert_int_equal(psa_spool_write(w), 1);
    assert_int_equal(psa_spool_last_written(w), 3);
    assert_string_equal(lines_of(&m, "00000000000000000002.seg"), "2 3");
    assert_int_equal(psa_spool_write(w), 0);
    assert_true(sync_all(w, &m));
    assert_string_equal(lines_of(&m, "00000000000000000002.seg"), "2 3 4");
    assert_int_equal(psa_spool_last_taken(w), 4);
    psa_spool_writer_close(w);
    memory_disk_free(&m);
}

static void drops_when_the_disk_is_full(void **state)
{
    static const struct psa_spool_limits limits = { .max_size = 1 << 20, .segment_size = 100, .drop_oldest = true };
    struct memory_disk m;
    struct psa_spool_writer *w;

    (void)state;
    memory_disk_init(&m);
    w = open_with(&m, &limits);
    m.space = memory_used(&m) + 500;
    for (int i = 0; i < 100; i++) {
        put(w, "abcdefghij");
        assert_int_equal(psa_spool_write(w), 0);
        assert_true(sync_all(w, &m));
    }
    assert_int_equal(psa_spool_last_taken(w), 100);
    assert_true(psa_spool_writer_totals(w).dropped > 50);
    psa_spool_writer_close(w);
    memory_disk_free(&m);
}

static void leaves_a_segment_that_cannot_be_written(void **state)
{
    struct memory_disk m;
    struct psa_spool_writer *w;

    (void)state;
    memory_disk_init(&m);
    w = open_with(&m, &roomy);
    put(w, "a");
    assert_true(sync_all(w, &m));
    put(w, "b");
    memory_disk_fault(&m, "segment.write", 2, 1, EIO);
    assert_int_equal(psa_spool_write(w), 0);
    assert_string_equal(lines_of(&m, FIRST), "1");
    assert_string_equal(lines_of(&m, "00000000000000000002.seg"), "2");
    /* Twice: stuck, and tried again later. Nothing is taken in the segment: it is replaced. */
    put(w, "c");
    memory_disk_fault(&m, "segment.write", 4, 3, EIO);
    assert_int_equal(psa_spool_write(w), 1);
    assert_int_equal(psa_spool_write(w), 0);
    assert_true(sync_all(w, &m));
    assert_int_equal(psa_spool_last_taken(w), 3);
    psa_spool_writer_close(w);
    w = open_with(&m, &roomy);
    assert_int_equal(put(w, "d"), 4);
    psa_spool_writer_close(w);
    memory_disk_free(&m);
}

/* The first sync fails: nothing is taken, a new file takes the segment's place. A later one: a new segment. */
static void goes_on_after_a_failed_sync(void **state)
{
    struct memory_disk m, after;
    struct psa_spool_writer *w;

    (void)state;
    memory_disk_init(&m);
    w = open_with(&m, &roomy);
    put(w, "a");
    put(w, "b");
    memory_disk_fault(&m, "segment.sync", 1, 1, EIO);
    memory_disk_fault(&m, "segment.sync", 3, 1, EIO);
    assert_false(sync_all(w, &m));
    assert_int_equal(psa_spool_last_taken(w), 0);
    assert_string_equal(lines_of(&m, FIRST), "1 2");
    assert_true(sync_all(w, &m));
    assert_int_equal(psa_spool_last_taken(w), 2);
    put(w, "c");
    assert_false(sync_all(w, &m));
    assert_string_equal(lines_of(&m, FIRST), "1 2 3");
    assert_string_equal(lines_of(&m, "00000000000000000003.seg"), "3");
    assert_true(sync_all(w, &m));
    memory_disk_cut(&after, &m, MEMORY_DATA_ABSENT, MEMORY_FOLDER_ABSENT, 1);
    assert_string_equal(lines_of(&after, FIRST), "1 2");
    assert_string_equal(lines_of(&after, "00000000000000000003.seg"), "3");
    assert_int_equal(psa_spool_writer_totals(w).sync_errors, 2);
    psa_spool_writer_close(w);
    memory_disk_free(&after);
    memory_disk_free(&m);
}

static void moves_a_file_in_its_way(void **state)
{
    struct memory_disk m;
    struct psa_spool_writer *w;
    size_t n;

    (void)state;
    memory_disk_init(&m);
    w = open_with(&m, &roomy);
    memory_disk_put(&m, FIRST, "?", 1);
    put(w, "a");
    assert_int_equal(psa_spool_write(w), 0);
    assert_string_equal(lines_of(&m, FIRST), "1");
    assert_non_null(memory_disk_content(&m, FIRST "-0.damaged", &n));
    psa_spool_writer_close(w);
    memory_disk_free(&m);
}

/* A spool of any size has segments that can be freed. */
static void sizes_segments(void **state)
{
    (void)state;
    assert_int_equal(psa_spool_segment_size(1), 64 * 1024);
    assert_int_equal(psa_spool_segment_size(8 << 20), 1 << 20);
    assert_int_equal(psa_spool_segment_size(INT64_MAX), 16 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_written_taken),
        cmocka_unit_test(refuses_what_never_fits),
        cmocka_unit_test(refuses_what_is_never_valid),
        cmocka_unit_test(one_writer_at_a_time),
        cmocka_unit_test(recovers),
        cmocka_unit_test(looks_at_the_end_of_every_segment),
        cmocka_unit_test(leaves_a_damaged_segment),
        cmocka_unit_test(goes_on_behind_a_bad_sector),
        cmocka_unit_test(gives_no_number_of_an_unreadable_tail),
        cmocka_unit_test(syncs_before_the_next_segment),
        cmocka_unit_test(is_full_until_the_reader_frees),
        cmocka_unit_test(makes_way_after_a_restart),
        cmocka_unit_test(drops_the_oldest),
        cmocka_unit_test(counts_only_the_unfinished_as_dropped),
        cmocka_unit_test(goes_on_where_a_write_stopped),
        cmocka_unit_test(drops_when_the_disk_is_full),
        cmocka_unit_test(leaves_a_segment_that_cannot_be_written),
        cmocka_unit_test(goes_on_after_a_failed_sync),
        cmocka_unit_test(moves_a_file_in_its_way),
        cmocka_unit_test(sizes_segments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
