/* test_spool_survey.c - spool/survey: what a survey says of good and bad spools, repair, dead letters given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "memory_disk.h"
#include "spool/survey.h"
#include "spool_lines.h"

struct bench {
    struct memory_disk memory;
    struct psa_buf text;
    struct psa_spool_survey survey;
    struct psa_error error;
};

static void begin(struct bench *b)
{
    *b = (struct bench){ 0 };
    memory_disk_init(&b->memory);
}

static void end(struct bench *b)
{
    psa_buf_free(&b->text);
    memory_disk_free(&b->memory);
}

static const struct psa_spool_survey *look(struct bench *b)
{
    if (psa_spool_survey(&b->memory.disk, NULL, &b->survey, &b->error) != 0) fail_msg("%s", b->error.text);
    return &b->survey;
}

static void repair(struct bench *b)
{
    if (psa_spool_repair(&b->memory.disk, NULL, &b->survey, &b->error) != 0) fail_msg("%s", b->error.text);
}

static void check_file(struct bench *b, const char *name, struct psa_buf *want)
{
    size_t n = 0;
    const char *content = memory_disk_content(&b->memory, name, &n);

    assert_non_null(content);
    assert_int_equal(n, want->n);
    assert_memory_equal(content, want->p, n);
    want->n = 0;
}

/* ---- surveys ----------------------------------------------------------------------------------------------------- */

static void an_empty_folder(void **state)
{
    struct bench b;
    static const struct psa_spool_survey nothing = { .cursor_state = PSA_SPOOL_CURSOR_NONE,
                                                     .oldest_taken_ms = PSA_SPOOL_UNSYNCED };

    (void)state;
    begin(&b);
    look(&b);
    assert_int_equal(b.survey.cursor_state, nothing.cursor_state);
    assert_memory_equal(&b.survey, &nothing, sizeof nothing);
    repair(&b);
    assert_null(memory_find(&b.memory.now, PSA_SPOOL_CURSOR));
    end(&b);
}

static void a_good_spool(void **state)
{
    struct bench b;
    const struct psa_spool_survey *s;
    size_t bytes;

    (void)state;
    begin(&b);
    add_lines(&b.text, 11, 20);
    bytes = b.text.n;
    put_segment(&b.memory, 11, &b.text);
    add_lines(&b.text, 3, 10);
    bytes += b.text.n;
    put_segment(&b.memory, 3, &b.text); /* the folder need not have them in order */
    put_segment(&b.memory, 21, &b.text);
    put_cursor(&b.memory, 12);
    memory_disk_put(&b.memory, PSA_SPOOL_RESERVE, "", 0);
    memory_disk_put(&b.memory, PSA_SPOOL_WRITER_LOCK, "1\n", 2);
    s = look(&b);
    assert_int_equal(s->cursor_state, PSA_SPOOL_CURSOR_GOOD);
    assert_int_equal(s->cursor.done, 12);
    assert_int_equal(s->first, 3);
    assert_int_equal(s->last, 20);
    assert_int_equal(s->records, 18);
    assert_int_equal(s->backlog, 8);
    assert_int_equal(s->oldest_taken_ms, 1013);
    assert_int_equal(s->segments, 3);
    assert_int_equal(s->bytes, bytes);
    assert_int_equal(s->repeated + s->missing + s->damaged + s->torn_bytes + s->strays + s->set_aside, 0);
    end(&b);
}

static void repeated_and_missing(void **state)
{
    struct bench b;
    const struct psa_spool_survey *s;

    (void)state;
    begin(&b);
    add_lines(&b.text, 5, 10); /* 1 to 4 are finished or were never there: not missing any more */
    add_lines(&b.text, 8, 12);
    add_line(&b.text, 20, PSA_SPOOL_UNSYNCED);
    put_segment(&b.memory, 5, &b.text);
    add_lines(&b.text, 19, 23);
    put_segment(&b.memory, 19, &b.text);
    put_cursor(&b.memory, 14);
    s = look(&b);
    assert_int_equal(s->records, 6 + 2 + 1 + 3);
    assert_int_equal(s->repeated, 3 + 2);
    assert_int_equal(s->missing, 5); /* 15 to 19; 13 and 14 are finished */
    assert_int_equal(s->backlog, 4);
    assert_int_equal(s->oldest_taken_ms, PSA_SPOOL_UNSYNCED);
    put_cursor(&b.memory, 100);
    s = look(&b);
    assert_int_equal(s->missing + s->backlog, 0);
    assert_int_equal(s->cursor.done, 100);
    put_cursor(&b.memory, 2); /* the oldest segments were dropped */
    assert_int_equal(look(&b)->missing, 2 + 7);
    end(&b);
}

static void cursors_that_are_none(void **state)
{
    static const char *const text[] = {
        "", "x", "psa-spool-cursor 1 done=7 checkpoint=- missing=0 damaged=0 expired=0 00000000\n"
    };
    char large[2000];
    struct bench b;

    (void)state;
    begin(&b);
    add_lines(&b.text, 5, 10);
    put_segment(&b.memory, 5, &b.text);
    assert_int_equal(look(&b)->cursor_state, PSA_SPOOL_CURSOR_NONE);
    assert_int_equal(b.survey.backlog, 6);
    assert_int_equal(b.survey.missing, 0);
    for (size_t i = 0; i < 3; i++) {
        memory_disk_put(&b.memory, PSA_SPOOL_CURSOR, text[i], strlen(text[i]));
        assert_int_equal(look(&b)->cursor_state, PSA_SPOOL_CURSOR_DAMAGED);
        assert_int_equal(b.survey.cursor.done, 4);
        assert_int_equal(b.survey.backlog, 6);
    }
    memset(large, '1', sizeof large);
    memory_disk_put(&b.memory, PSA_SPOOL_CURSOR, large, sizeof large);
    assert_int_equal(look(&b)->cursor_state, PSA_SPOOL_CURSOR_DAMAGED);
    end(&b);
}

static void names_are_told_apart(void **state)
{
    static const char *const strays[] = { "notes",
                                          "lost.damaged",
                                          "1-2.damaged",
                                          "dead.damaged",
                                          "00000000000000000000.seg",
                                          "1.seg",
                                          "x-00000000000000000001.seg-1.damaged",
                                          ".damaged",
                                          "-.damaged" };
    static const char *const own[] = { PSA_SPOOL_CURSOR_TMP, PSA_SPOOL_RESERVE, PSA_SPOOL_READER_LOCK, "repair.tmp",
                                       PSA_SPOOL_SEGMENT_TMP };
    static const char *const aside[] = { "00000000000000000001.seg-77.damaged", "dead-0.damaged", "dead-0-2.damaged" };
    struct bench b;

    (void)state;
    begin(&b);
    for (size_t i = 0; i < 9; i++) memory_disk_put(&b.memory, strays[i], "x", 1);
    for (size_t i = 0; i < 5; i++) memory_disk_put(&b.memory, own[i], "x", 1);
    for (size_t i = 0; i < 3; i++) memory_disk_put(&b.memory, aside[i], "x", 1);
    look(&b);
    assert_int_equal(b.survey.strays, 9);
    assert_int_equal(b.survey.set_aside, 3);
    assert_int_equal(b.survey.segments, 0);
    end(&b);
}

/* Segment 1: 1 to 5, 8 bytes garbage, 7 to 9, a tail of 6; segment 10: 10 to 12, a tail of 4; dead: 2, garbage, 3. */
static void put_bad_spool(struct bench *b)
{
    add_lines(&b->text, 1, 5);
    psa_buf_puts(&b->text, "garbage\n");
    add_lines(&b->text, 7, 9);
    psa_buf_puts(&b->text, "10 10\n");
    put_segment(&b->memory, 1, &b->text);
    add_lines(&b->text, 10, 12);
    psa_buf_puts(&b->text, "13 1");
    put_segment(&b->memory, 10, &b->text);
    add_dead(&b->text, 2);
    psa_buf_puts(&b->text, "3\n");
    add_dead(&b->text, 3);
    psa_buf_puts(&b->text, "4");
    put_file(&b->memory, PSA_SPOOL_DEAD, &b->text);
}

struct seen {
    char text[4000];
    size_t n;
    uint64_t stop_at;
};

static int see_record(void *ctx, const struct psa_spool_record *record, bool finished)
{
    struct seen *seen = ctx;

    seen->n += (size_t)snprintf(seen->text + seen->n, sizeof seen->text - seen->n, "%d%c ", (int)record->seq,
                                finished ? 'f' : 'b');
    return record->seq == seen->stop_at ? 7 : 0;
}

static int see_dead(void *ctx, const struct psa_spool_record *record)
{
    struct seen *seen = ctx;

    seen->n += (size_t)snprintf(seen->text + seen->n, sizeof seen->text - seen->n, "dead%d %.*s ", (int)record->seq,
                                (int)record->reason.n, record->reason.p);
    return 0;
}

static int see_damage(void *ctx, const char *file, int64_t offset, int64_t bytes, const char *what)
{
    struct seen *seen = ctx;

    seen->n += (size_t)snprintf(seen->text + seen->n, sizeof seen->text - seen->n, "[%s %d+%d %s] ", file, (int)offset,
                                (int)bytes, what);
    return 0;
}

static void a_bad_spool(void **state)
{
    struct seen seen = { .stop_at = 0 };
    const struct psa_spool_visitor visitor = { &seen, see_record, see_dead, see_damage };
    struct bench b;

    (void)state;
    begin(&b);
    put_bad_spool(&b);
    put_cursor(&b.memory, 3);
    assert_int_equal(psa_spool_survey(&b.memory.disk, &visitor, &b.survey, &b.error), 0);
    assert_string_equal(seen.text, "1f 2f 3f 4b 5b [00000000000000000001.seg 120+8 damage] 7b 8b 9b "
                                   "[00000000000000000001.seg 200+6 torn tail] 10b 11b 12b "
                                   "[00000000000000000010.seg 78+4 torn tail] "
                                   "dead2 \"no\" [dead 29+2 damage] dead3 \"no\" [dead 60+1 torn tail] ");
    assert_int_equal(b.survey.damaged, 1);
    assert_int_equal(b.survey.damaged_bytes, 8);
    assert_int_equal(b.survey.torn_bytes, 10);
    assert_int_equal(b.survey.missing, 1);
    assert_int_equal(b.survey.dead, 2);
    assert_int_equal(b.survey.dead_damaged, 2);
    seen = (struct seen){ .stop_at = 8 };
    assert_int_equal(psa_spool_survey(&b.memory.disk, &visitor, &b.survey, &b.error), 7);
    assert_string_equal(seen.text + seen.n - 6, "7b 8b ");
    end(&b);
}

/* While the survey is at work the reader finishes what is in the first segments and unlinks them. */
static struct psa_disk busy_disk;
static struct memory_disk *busy_memory;
static int opens_until_busy;

static int busy_open(void *ctx, const char *point, const char *name, enum psa_disk_open how)
{
    if (--opens_until_busy == 0) {
        put_cursor(busy_memory, 20);
        memory_unlink(ctx, "test", "00000000000000000001.seg");
        memory_unlink(ctx, "test", "00000000000000000011.seg");
    }
    return memory_open(ctx, point, name, how);
}

static void a_reader_at_work(void **state)
{
    struct bench b;

    (void)state;
    for (int opens = 0; opens < 6; opens++) { /* 0: nobody is at work; 1: before the cursor is read; ... */
        begin(&b);
        for (uint64_t first = 1; first <= 21; first += 10) {
            add_lines(&b.text, first, first + 9);
            put_segment(&b.memory, first, &b.text);
        }
        put_cursor(&b.memory, 5);
        busy_memory = &b.memory;
        busy_disk = b.memory.disk;
        busy_disk.open = busy_open;
        opens_until_busy = opens;
        assert_int_equal(psa_spool_survey(&busy_disk, NULL, &b.survey, &b.error), 0);
        assert_int_equal(b.survey.missing, 0);
        assert_int_equal(b.survey.last, 30);
        if (opens == 1 || opens == 2) assert_int_equal(b.survey.backlog, 10);
        end(&b);
    }
}

/* The writer is in the middle of a line; a moment later it has written it. */
static int64_t growing_read(void *ctx, int fd, int64_t offset, char *to, size_t n)
{
    int64_t got = memory_read(ctx, fd, offset, to, n);

    if (got == 0 && --opens_until_busy == 0) memory_append(memory_of(ctx, fd), "\n", 1);
    return got;
}

static void a_writer_at_work(void **state)
{
    struct bench b;

    (void)state;
    begin(&b);
    add_lines(&b.text, 1, 9);
    b.text.n--;
    put_segment(&b.memory, 1, &b.text);
    put_cursor(&b.memory, 0);
    busy_disk = b.memory.disk;
    busy_disk.read = growing_read;
    opens_until_busy = 2; /* the cursor's end, then the segment's */
    assert_int_equal(psa_spool_survey(&busy_disk, NULL, &b.survey, &b.error), 0);
    assert_int_equal(b.survey.torn_bytes, 0);
    assert_int_equal(b.survey.last, 9);
    end(&b);
}

static int64_t failing_read(void *ctx, int fd, int64_t offset, char *to, size_t n)
{
    (void)ctx;
    (void)fd;
    (void)offset;
    (void)to;
    (void)n;
    return -EIO;
}

static void a_failing_disk(void **state)
{
    struct bench b;

    (void)state;
    begin(&b);
    add_lines(&b.text, 1, 9);
    put_segment(&b.memory, 1, &b.text);
    busy_disk = b.memory.disk;
    busy_disk.read = failing_read;
    put_cursor(&b.memory, 0);
    assert_int_equal(psa_spool_survey(&busy_disk, NULL, &b.survey, &b.error), -1);
    assert_string_equal(b.error.text, "cursor: cannot be read: Input/output error");
    assert_int_equal(b.error.status, PSA_EXIT_RUNTIME);
    end(&b);
}

/* After a failed sync, 1.seg: 1 to 3 taken, 4 lost, 5 there, none of the two taken; 4.seg: 4 and 5 again, and 6. */
static void a_line_that_would_hide_others(void **state)
{
    struct seen seen = { .stop_at = 0 };
    const struct psa_spool_visitor visitor = { &seen, see_record, see_dead, see_damage };
    struct bench b;

    (void)state;
    begin(&b);
    add_lines(&b.text, 1, 3);
    psa_buf_puts(&b.text, "lost\n");
    add_line(&b.text, 5, 1005);
    add_line(&b.text, 6, 1006);
    put_segment(&b.memory, 1, &b.text);
    add_lines(&b.text, 4, 6);
    put_segment(&b.memory, 4, &b.text);
    put_cursor(&b.memory, 1);
    assert_int_equal(psa_spool_survey(&b.memory.disk, &visitor, &b.survey, &b.error), 0);
    assert_string_equal(seen.text, "1f 2b 3b [00000000000000000001.seg 72+5 damage] 4b 5b 6b ");
    assert_int_equal(b.survey.repeated, 2);
    assert_int_equal(b.survey.missing, 0);
    repair(&b);
    assert_int_equal(look(&b)->backlog, 5);
    assert_int_equal(b.survey.missing + b.survey.damaged, 0);
    put_cursor(&b.memory, 4); /* nothing is missing in front of 5 any more */
    assert_int_equal(look(&b)->backlog, 2);
    assert_int_equal(b.survey.repeated, 3);
    end(&b);
}

/* ---- repair ------------------------------------------------------------------------------------------------------ */

static void check_repaired(struct bench *b)
{
    const struct psa_spool_survey *s = look(b);

    assert_int_equal(s->damaged + s->damaged_bytes + s->torn_bytes + s->dead_damaged, 0);
    assert_int_equal(s->cursor_state, PSA_SPOOL_CURSOR_GOOD);
    assert_int_equal(s->records, 11);
    assert_int_equal(s->dead, 2);
    assert_int_equal(s->set_aside, 3);
    assert_null(memory_find(&b->memory.now, "repair.tmp"));
    assert_null(memory_find(&b->memory.now, PSA_SPOOL_CURSOR_TMP));
    psa_buf_puts(&b->text, "garbage\n");
    check_file(b, "00000000000000000001.seg-120.damaged", &b->text);
    psa_buf_puts(&b->text, "10 10\n"); /* a tail, but a whole line: it may have been taken once */
    check_file(b, "00000000000000000001.seg-200.damaged", &b->text);
    psa_buf_puts(&b->text, "3\n");
    check_file(b, "dead-29.damaged", &b->text);
    add_lines(&b->text, 1, 5);
    add_lines(&b->text, 7, 9);
    check_file(b, "00000000000000000001.seg", &b->text);
    add_lines(&b->text, 10, 12);
    check_file(b, "00000000000000000010.seg", &b->text);
    add_dead(&b->text, 2);
    add_dead(&b->text, 3);
    check_file(b, PSA_SPOOL_DEAD, &b->text);
}

static void repairs(void **state)
{
    struct bench b;

    (void)state;
    begin(&b);
    put_bad_spool(&b);
    put_cursor(&b.memory, 3);
    memory_disk_put(&b.memory, PSA_SPOOL_CURSOR_TMP, "x", 1);
    repair(&b);
    assert_int_equal(b.survey.damaged, 1); /* what was found before */
    check_repaired(&b);
    assert_int_equal(b.survey.cursor.done, 3);
    b.memory.n_log = 0;
    repair(&b);
    assert_int_equal(memory_disk_count(&b.memory, "repair.write"), 0);
    assert_int_equal(memory_disk_count(&b.memory, "repair.truncate"), 0);
    end(&b);
}

/* A bad sector is damage of the file it is in; the survey goes on with the next one, and so does repair. */
static void a_bad_sector(void **state)
{
    struct seen seen = { .stop_at = 0 };
    const struct psa_spool_visitor visitor = { &seen, see_record, see_dead, see_damage };
    struct bench b;

    (void)state;
    begin(&b);
    put_bad_spool(&b);
    put_cursor(&b.memory, 3);
    memory_disk_spoil(&b.memory, "00000000000000000001.seg", 50, 60);
    memory_disk_spoil(&b.memory, PSA_SPOOL_DEAD, 0, 1);
    assert_int_equal(psa_spool_survey(&b.memory.disk, &visitor, &b.survey, &b.error), 0);
    assert_string_equal(seen.text, "1f 2f [00000000000000000001.seg 48+158 cannot be read: Input/output error] "
                                   "10b 11b 12b [00000000000000000010.seg 78+4 torn tail] "
                                   "[dead 0+61 cannot be read: Input/output error] ");
    assert_int_equal(b.survey.damaged, 1);
    assert_int_equal(b.survey.damaged_bytes, 158);
    assert_int_equal(b.survey.dead_damaged, 1);
    assert_int_equal(b.survey.backlog, 3);
    assert_int_equal(psa_spool_repair(&b.memory.disk, NULL, &b.survey, &b.error), -1);
    assert_string_equal(b.error.text, "dead: cannot be repaired: Input/output error");
    assert_int_equal(look(&b)->torn_bytes, 0);
    memory_disk_spoil(&b.memory, "00000000000000000001.seg", 0, 0);
    memory_disk_spoil(&b.memory, PSA_SPOOL_DEAD, 0, 0);
    repair(&b);
    check_repaired(&b);
    end(&b);
}

/* A tail in front of numbers that are missing is what is left of them. */
static void keeps_a_lost_tail(void **state)
{
    struct bench b;

    (void)state;
    for (int finished = 0; finished < 2; finished++) {
        begin(&b);
        add_lines(&b.text, 1, 3);
        psa_buf_puts(&b.text, "4 1004 lost");
        put_segment(&b.memory, 1, &b.text);
        add_lines(&b.text, 5, 6);
        put_segment(&b.memory, 5, &b.text);
        put_cursor(&b.memory, finished ? 4 : 1);
        look(&b);
        assert_int_equal(b.survey.damaged, finished ? 0 : 1);
        assert_int_equal(b.survey.torn_bytes, finished ? 11 : 0);
        repair(&b);
        look(&b);
        assert_int_equal(b.survey.damaged + b.survey.torn_bytes, 0);
        assert_int_equal(b.survey.set_aside, 1);
        end(&b);
    }
}

static void repairs_the_cursor(void **state)
{
    struct bench b;

    (void)state;
    for (int damaged = 0; damaged < 2; damaged++) {
        begin(&b);
        add_lines(&b.text, 7, 9);
        put_segment(&b.memory, 7, &b.text);
        if (damaged) memory_disk_put(&b.memory, PSA_SPOOL_CURSOR, "psa", 3);
        repair(&b);
        assert_int_equal(look(&b)->cursor_state, PSA_SPOOL_CURSOR_GOOD);
        assert_int_equal(b.survey.cursor.done, 6);
        assert_int_equal(b.survey.backlog, 3);
        end(&b);
    }
}

static void repair_takes_both_locks(void **state)
{
    static const char *const locks[] = { PSA_SPOOL_WRITER_LOCK, PSA_SPOOL_READER_LOCK };
    struct bench b;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int fd;

        begin(&b);
        put_bad_spool(&b);
        fd = b.memory.disk.lock(b.memory.disk.ctx, locks[i], NULL);
        assert_int_equal(psa_spool_repair(&b.memory.disk, NULL, &b.survey, &b.error), -1);
        assert_non_null(strstr(b.error.text, "held by another process; stop it first"));
        assert_int_equal(memory_disk_count(&b.memory, "repair.open"), 0);
        b.memory.disk.close(b.memory.disk.ctx, fd);
        repair(&b);
        check_repaired(&b);
        end(&b);
    }
}

/* Killed, or cut off from power, at every call: the next repair finishes, and no valid line is ever lost. */
static void repair_can_be_cut_off_anywhere(void **state)
{
    size_t calls;
    struct bench b, cut;

    (void)state;
    begin(&b);
    put_bad_spool(&b);
    repair(&b);
    calls = b.memory.n_log;
    end(&b);
    assert_true(calls > 15);
    for (size_t i = 1; i <= calls * 2; i++) {
        for (int data = 0; data < MEMORY_DATA_KINDS; data++) {
            for (int folder = 0; folder < MEMORY_FOLDER_KINDS; folder++) {
                begin(&b);
                put_bad_spool(&b);
                b.memory.freeze_at = (i + 1) / 2;
                b.memory.freeze_half = i % 2;
                (void)psa_spool_repair(&b.memory.disk, NULL, &b.survey, &b.error);
                cut = (struct bench){ 0 };
                memory_disk_cut(&cut.memory, &b.memory, (enum memory_disk_data)data, (enum memory_disk_folder)folder,
                                i * 100 + (size_t)data * 10 + (size_t)folder);
                assert_int_equal(look(&cut)->records, 11);
                assert_int_equal(cut.survey.dead, 2);
                repair(&cut);
                assert_int_equal(look(&cut)->records, 11);
                assert_int_equal(cut.survey.damaged + cut.survey.torn_bytes + cut.survey.dead_damaged, 0);
                end(&cut);
                memory_disk_kill(&b.memory);
                repair(&b);
                check_repaired(&b);
                end(&b);
            }
        }
    }
}

static void repair_says_what_fails(void **state)
{
    static const char *const points[] = { "damaged.open",        "damaged.write",      "damaged.sync",
                                          "damaged.sync-folder", "repair.open",        "repair.create",
                                          "repair.write",        "repair.sync",        "repair.rename",
                                          "repair.truncate",     "repair.sync-folder", "repair.unlink" };
    struct bench b;

    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        begin(&b);
        put_bad_spool(&b);
        memory_disk_put(&b.memory, PSA_SPOOL_CURSOR_TMP, "x", 1);
        memory_disk_fault(&b.memory, points[i], 1, 1, ENOSPC);
        assert_int_equal(psa_spool_repair(&b.memory.disk, NULL, &b.survey, &b.error), -1);
        assert_non_null(strstr(b.error.text, "No space left on device"));
        repair(&b);
        check_repaired(&b);
        end(&b);
    }
}

/* ---- dead letters ------------------------------------------------------------------------------------------------ */

static struct psa_spool_writer *open_writer(struct bench *b, int64_t max_size)
{
    const struct psa_spool_limits limits = { .max_size = max_size, .segment_size = 4096 };
    struct psa_spool_writer *writer = NULL;

    if (psa_spool_writer_open(&writer, &b->memory.disk, &limits, NULL, &b->error) != 0) fail_msg("%s", b->error.text);
    return writer;
}

static void gives_dead_letters_back(void **state)
{
    struct seen seen = { .stop_at = 0 };
    const struct psa_spool_visitor visitor = { &seen, see_record, see_dead, see_damage };
    struct psa_spool_writer *writer;
    struct bench b;
    uint64_t n;

    (void)state;
    begin(&b);
    add_lines(&b.text, 7, 8);
    put_segment(&b.memory, 7, &b.text);
    add_dead(&b.text, 3);
    add_dead(&b.text, 2);
    psa_buf_puts(&b.text, "x\n");
    add_dead(&b.text, 3);
    add_dead(&b.text, 5);
    psa_buf_puts(&b.text, "torn");
    put_file(&b.memory, PSA_SPOOL_DEAD, &b.text);
    put_cursor(&b.memory, 6);
    writer = open_writer(&b, 1 << 20);
    assert_int_equal(psa_spool_retry_dead(&b.memory.disk, writer, NULL, &n, &b.error), 0);
    assert_int_equal(n, 3);
    assert_int_equal(psa_spool_last_taken(writer), 11);
    psa_spool_writer_close(writer);
    assert_null(memory_find(&b.memory.now, PSA_SPOOL_DEAD));
    assert_int_equal(psa_spool_survey(&b.memory.disk, &visitor, &b.survey, &b.error), 0);
    assert_string_equal(seen.text, "7b 8b 9b 10b 11b ");
    assert_int_equal(b.survey.set_aside, 2);
    end(&b);
}

static void no_dead_letters(void **state)
{
    struct psa_spool_writer *writer;
    struct bench b;
    uint64_t n = 9;
    int fd;

    (void)state;
    begin(&b);
    writer = open_writer(&b, 1 << 20);
    assert_int_equal(psa_spool_retry_dead(&b.memory.disk, writer, NULL, &n, &b.error), 0);
    assert_int_equal(n, 0);
    fd = b.memory.disk.lock(b.memory.disk.ctx, PSA_SPOOL_READER_LOCK, NULL);
    assert_true(fd >= 0);
    assert_int_equal(psa_spool_retry_dead(&b.memory.disk, writer, NULL, &n, &b.error), -1);
    psa_spool_writer_close(writer);
    end(&b);
}

/* A line that never fits stays dead, the others go back; a spool without room leaves all of them. */
static void dead_letters_without_room(void **state)
{
    char *text = malloc(100000);
    struct psa_spool_writer *writer;
    struct bench b;
    uint64_t n;

    (void)state;
    assert_non_null(text);
    memset(text, 'x', 100000);
    begin(&b);
    add_dead(&b.text, 2);
    psa_spool_format_line(&b.text, &(struct psa_spool_record){ 3, 5, psa_str_of("\"long\""), { text, 100000 } });
    add_dead(&b.text, 4);
    put_file(&b.memory, PSA_SPOOL_DEAD, &b.text);
    writer = open_writer(&b, 65536);
    assert_int_equal(psa_spool_retry_dead(&b.memory.disk, writer, NULL, &n, &b.error), 0);
    assert_int_equal(n, 2);
    psa_spool_format_line(&b.text, &(struct psa_spool_record){ 3, 5, psa_str_of("\"long\""), { text, 100000 } });
    check_file(&b, PSA_SPOOL_DEAD, &b.text);
    for (uint64_t seq = 1; seq < 30; seq++)
        psa_spool_format_line(&b.text, &(struct psa_spool_record){ seq, 5, psa_str_of("\"\""), { text, 10000 } });
    put_file(&b.memory, PSA_SPOOL_DEAD, &b.text);
    assert_int_equal(psa_spool_retry_dead(&b.memory.disk, writer, NULL, &n, &b.error), -1);
    assert_non_null(strstr(b.error.text, "the spool is full"));
    assert_int_equal(look(&b)->dead, 29);
    psa_spool_writer_close(writer);
    free(text);
    end(&b);
}

/* The dead letters are removed only when the writer has them durably. */
static void giving_back_can_be_cut_off_anywhere(void **state)
{
    struct bench b, cut;
    size_t calls = 1;

    (void)state;
    for (size_t i = 1; i <= calls; i++) {
        for (int data = 0; data < MEMORY_DATA_KINDS; data++) {
            for (int folder = 0; folder < MEMORY_FOLDER_KINDS; folder++) {
                struct psa_spool_writer *writer;
                uint64_t n;

                begin(&b);
                for (uint64_t seq = 1; seq <= 5; seq++) add_dead(&b.text, seq);
                put_file(&b.memory, PSA_SPOOL_DEAD, &b.text);
                writer = open_writer(&b, 1 << 20);
                b.memory.n_log = 0;
                b.memory.freeze_at = i;
                (void)psa_spool_retry_dead(&b.memory.disk, writer, NULL, &n, &b.error);
                if (b.memory.n_log > calls) calls = b.memory.n_log;
                cut = (struct bench){ 0 };
                memory_disk_cut(&cut.memory, &b.memory, (enum memory_disk_data)data, (enum memory_disk_folder)folder,
                                i);
                look(&cut);
                assert_true(cut.survey.dead == 5 || cut.survey.records == 5);
                psa_spool_writer_close(writer);
                end(&cut);
                end(&b);
            }
        }
    }
    assert_true(calls > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_folder),
        cmocka_unit_test(a_good_spool),
        cmocka_unit_test(repeated_and_missing),
        cmocka_unit_test(cursors_that_are_none),
        cmocka_unit_test(names_are_told_apart),
        cmocka_unit_test(a_bad_spool),
        cmocka_unit_test(a_reader_at_work),
        cmocka_unit_test(a_writer_at_work),
        cmocka_unit_test(a_failing_disk),
        cmocka_unit_test(a_bad_sector),
        cmocka_unit_test(a_line_that_would_hide_others),
        cmocka_unit_test(repairs),
        cmocka_unit_test(keeps_a_lost_tail),
        cmocka_unit_test(repairs_the_cursor),
        cmocka_unit_test(repair_takes_both_locks),
        cmocka_unit_test(repair_can_be_cut_off_anywhere),
        cmocka_unit_test(repair_says_what_fails),
        cmocka_unit_test(gives_dead_letters_back),
        cmocka_unit_test(no_dead_letters),
        cmocka_unit_test(dead_letters_without_room),
        cmocka_unit_test(giving_back_can_be_cut_off_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
