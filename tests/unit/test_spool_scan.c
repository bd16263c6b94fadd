/* test_spool_scan.c - spool/scan: lines, damage and tails of files, also of one that grows and shrinks meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "memory_disk.h"
#include "spool/scan.h"
#include "spool_lines.h"

/* A disk on which a read gives no more than a few bytes, so that every line lies across reads; or fails. */
static struct psa_disk short_disk;
static size_t most_bytes;
static int reads_until_failure;

static int64_t short_read(void *ctx, int fd, int64_t offset, char *to, size_t n)
{
    if (reads_until_failure > 0 && --reads_until_failure == 0) return -EIO;
    return memory_read(ctx, fd, offset, to, n < most_bytes ? n : most_bytes);
}

struct bench {
    struct memory_disk memory;
    struct psa_buf text;
    struct psa_spool_scan scan;
    int fd;
};

static void begin(struct bench *b)
{
    *b = (struct bench){ 0 };
    memory_disk_init(&b->memory);
    short_disk = b->memory.disk;
    short_disk.read = short_read;
    most_bytes = SIZE_MAX;
    reads_until_failure = 0;
    b->fd = short_disk.open(short_disk.ctx, "test", "file", PSA_DISK_FRESH);
    psa_spool_scan_start(&b->scan, &short_disk, b->fd, false, 0);
}

static void append_text(struct bench *b)
{
    assert_true(short_disk.write(short_disk.ctx, "test", b->fd, b->text.p, b->text.n) == (int64_t)b->text.n);
    b->text.n = 0;
}

static void end(struct bench *b)
{
    psa_spool_scan_free(&b->scan);
    psa_buf_free(&b->text);
    memory_disk_free(&b->memory);
}

static void expect(struct bench *b, enum psa_spool_scan_kind kind, int64_t at, int64_t bytes)
{
    assert_int_equal(psa_spool_scan_next(&b->scan), kind);
    assert_int_equal(b->scan.at, at);
    assert_int_equal(b->scan.bytes, bytes);
}

static void expect_line(struct bench *b, uint64_t seq)
{
    char text[64];

    assert_int_equal(psa_spool_scan_next(&b->scan), PSA_SPOOL_SCAN_LINE);
    assert_true(b->scan.record.seq == seq);
    snprintf(text, sizeof text, "{\"i\":%llu}", (unsigned long long)seq);
    assert_true(psa_str_eq(b->scan.record.text, text));
}

static void lines_damage_and_tail(void **state)
{
    struct bench b;
    int64_t damage, line, tail;

    (void)state;
    for (size_t most = 1; most < 200; most += most < 40 ? 1 : 37) {
        begin(&b);
        most_bytes = most;
        expect(&b, PSA_SPOOL_SCAN_END, 0, 0);
        add_lines(&b.text, 1, 20);
        damage = (int64_t)b.text.n;
        psa_buf_puts(&b.text, "garbage\n\n12 garbage\nmore");
        psa_buf_put(&b.text, "\0\0\n", 3);
        line = (int64_t)b.text.n;
        add_lines(&b.text, 21, 30);
        tail = (int64_t)b.text.n;
        psa_buf_puts(&b.text, "\n31 1031 00000000 x\n31 10");
        append_text(&b);
        for (uint64_t seq = 1; seq <= 20; seq++) expect_line(&b, seq);
        expect(&b, PSA_SPOOL_SCAN_DAMAGE, damage, line - damage);
        for (uint64_t seq = 21; seq <= 30; seq++) expect_line(&b, seq);
        expect(&b, PSA_SPOOL_SCAN_TAIL, tail, 25);
        expect(&b, PSA_SPOOL_SCAN_TAIL, tail, 25);
        add_lines(&b.text, 31, 31); /* what was a tail is damage now, for there is a valid line behind it */
        psa_buf_put(&b.text, "x", 1);
        assert_true(short_disk.write(short_disk.ctx, "test", b.fd, "\n", 1) == 1);
        append_text(&b);
        expect(&b, PSA_SPOOL_SCAN_DAMAGE, tail, 26);
        expect_line(&b, 31);
        assert_int_equal(psa_spool_scan_next(&b.scan), PSA_SPOOL_SCAN_TAIL);
        end(&b);
    }
}

/* A writer takes a torn write back and writes something else there: nothing of the first may be left in the buffer. */
static void a_tail_is_not_remembered(void **state)
{
    struct bench b;
    int64_t at;

    (void)state;
    begin(&b);
    add_lines(&b.text, 1, 2);
    at = (int64_t)b.text.n;
    add_lines(&b.text, 3, 3);
    b.text.n -= 5;
    append_text(&b);
    expect_line(&b, 1);
    expect_line(&b, 2);
    expect(&b, PSA_SPOOL_SCAN_TAIL, at, (int64_t)memory_of(&b.memory, b.fd)->n - at);
    assert_int_equal(short_disk.truncate(short_disk.ctx, "test", b.fd, at), 0);
    expect(&b, PSA_SPOOL_SCAN_END, at, 0);
    add_lines(&b.text, 7, 8);
    append_text(&b);
    expect_line(&b, 7);
    expect_line(&b, 8);
    expect(&b, PSA_SPOOL_SCAN_END, (int64_t)memory_of(&b.memory, b.fd)->n, 0);
    end(&b);
}

/* After a failed read the scan goes on where it was, wherever it failed; damage found half is found whole. */
static void a_failed_read_is_tried_again(void **state)
{
    struct bench b;

    (void)state;
    for (int reads = 1; reads < 60; reads++) {
        int lines = 0, damaged = 0, failed = 0;
        enum psa_spool_scan_kind kind = PSA_SPOOL_SCAN_LINE;

        begin(&b);
        add_lines(&b.text, 1, 5);
        psa_buf_puts(&b.text, "garbage which is longer than what one read gives\n1\n");
        add_lines(&b.text, 6, 9);
        append_text(&b);
        most_bytes = 16;
        reads_until_failure = reads;
        while (kind != PSA_SPOOL_SCAN_END) {
            kind = psa_spool_scan_next(&b.scan);
            lines += kind == PSA_SPOOL_SCAN_LINE;
            damaged += kind == PSA_SPOOL_SCAN_DAMAGE;
            failed += kind == PSA_SPOOL_SCAN_FAILED;
            if (kind == PSA_SPOOL_SCAN_FAILED) assert_int_equal(b.scan.result, -EIO);
            if (kind == PSA_SPOOL_SCAN_DAMAGE) assert_int_equal(b.scan.bytes, 51);
            assert_int_not_equal(kind, PSA_SPOOL_SCAN_TAIL);
        }
        assert_int_equal(lines, 9);
        assert_int_equal(damaged, 1);
        assert_int_equal(failed, reads_until_failure == 0);
        end(&b);
    }
}

static void long_lines(void **state)
{
    enum { LONG = 3000000 };
    struct bench b;
    char *text = malloc(LONG);

    (void)state;
    assert_non_null(text);
    memset(text, 'x', LONG);
    begin(&b);
    most_bytes = 70000;
    psa_spool_format_line(&b.text, &(struct psa_spool_record){ 1, 5, { NULL, 0 }, { text, LONG } });
    add_line(&b.text, 2, 5);
    append_text(&b);
    assert_int_equal(psa_spool_scan_next(&b.scan), PSA_SPOOL_SCAN_LINE);
    assert_int_equal(b.scan.record.text.n, LONG);
    expect_line(&b, 2);
    free(text);
    end(&b);
}

/* Zeros without a line end, which file systems leave after a power cut, need no memory. */
static void garbage_is_not_kept(void **state)
{
    enum { ZEROS = 4000000 };
    struct bench b;
    char *zeros = calloc(ZEROS, 1);

    (void)state;
    assert_non_null(zeros);
    begin(&b);
    add_line(&b.text, 1, 5);
    append_text(&b);
    psa_buf_put(&b.text, zeros, ZEROS);
    append_text(&b);
    expect_line(&b, 1);
    assert_int_equal(psa_spool_scan_next(&b.scan), PSA_SPOOL_SCAN_TAIL);
    assert_int_equal(b.scan.bytes, ZEROS);
    assert_true(b.scan.buf.cap <= 256 * 1024);
    psa_buf_puts(&b.text, "\n");
    add_line(&b.text, 2, 5);
    append_text(&b);
    assert_int_equal(psa_spool_scan_next(&b.scan), PSA_SPOOL_SCAN_DAMAGE);
    assert_int_equal(b.scan.bytes, ZEROS + 1);
    expect_line(&b, 2);
    free(zeros);
    end(&b);
}

static void starts_in_the_middle(void **state)
{
    struct bench b;
    size_t at;

    (void)state;
    begin(&b);
    add_lines(&b.text, 1, 5);
    at = b.text.n;
    add_lines(&b.text, 6, 8);
    append_text(&b);
    psa_spool_scan_start(&b.scan, &short_disk, b.fd, false, (int64_t)at);
    expect_line(&b, 6);
    assert_true(b.scan.at == (int64_t)at);
    psa_spool_scan_start(&b.scan, &short_disk, b.fd, false, 0);
    expect_line(&b, 1);
    end(&b);
}

/* ---- setting aside ----------------------------------------------------------------------------------------------- */

static void check_content(struct bench *b, const char *name, const char *want)
{
    size_t n = 0;
    const char *content = memory_disk_content(&b->memory, name, &n);

    if (!want) {
        assert_null(content);
        return;
    }
    assert_non_null(content);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(content, want, n);
}

static void sets_aside(void **state)
{
    struct bench b;

    (void)state;
    begin(&b);
    most_bytes = 3;
    psa_buf_puts(&b.text, "0123456789");
    append_text(&b);
    assert_int_equal(psa_spool_set_aside(&short_disk, "file", b.fd, 2, 5), 0);
    check_content(&b, "file-2.damaged", "23456");
    assert_int_equal(memory_disk_count(&b.memory, "damaged.sync"), 1);
    assert_int_equal(memory_disk_count(&b.memory, "damaged.sync-folder"), 1);
    assert_int_equal(psa_spool_set_aside(&short_disk, "file", b.fd, 2, 5), 0); /* done before */
    check_content(&b, "file-2.damaged", "23456");
    check_content(&b, "file-2-2.damaged", NULL);
    memory_disk_put(&b.memory, "file-1.damaged", "12", 2); /* cut short */
    assert_int_equal(psa_spool_set_aside(&short_disk, "file", b.fd, 1, 4), 0);
    check_content(&b, "file-1.damaged", "1234");
    memory_disk_put(&b.memory, "file-4.damaged", "other", 5); /* another stretch, before the file was rewritten */
    assert_int_equal(psa_spool_set_aside(&short_disk, "file", b.fd, 4, 4), 0);
    check_content(&b, "file-4.damaged", "other");
    check_content(&b, "file-4-2.damaged", "4567");
    end(&b);
}

static void setting_aside_fails(void **state)
{
    static const char *const points[] = { "damaged.open", "damaged.write", "damaged.sync", "damaged.sync-folder" };

    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        struct bench b;

        begin(&b);
        psa_buf_puts(&b.text, "0123456789");
        append_text(&b);
        memory_disk_fault(&b.memory, points[i], 1, 1, ENOSPC);
        assert_int_equal(psa_spool_set_aside(&short_disk, "file", b.fd, 2, 5), -ENOSPC);
        assert_int_equal(psa_spool_set_aside(&short_disk, "file", b.fd, 2, 5), 0);
        check_content(&b, "file-2.damaged", "23456");
        end(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_damage_and_tail),
        cmocka_unit_test(a_tail_is_not_remembered),
        cmocka_unit_test(a_failed_read_is_tried_again),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(garbage_is_not_kept),
        cmocka_unit_test(starts_in_the_middle),
        cmocka_unit_test(sets_aside),
        cmocka_unit_test(setting_aside_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
