/* test_spool_format.c - spool/format: lines, cursors and names, and what must not pass for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/crc32c.h"
#include "spool/format.h"

static struct psa_str str(const char *text)
{
    return psa_str_of(text);
}

/* A line with the right CRC around what it is given, valid or not. */
static struct psa_str with_crc(char line[512], const char *head, const char *rest)
{
    uint32_t crc = psa_crc32c(psa_crc32c(0, head, strlen(head)), rest, strlen(rest));

    snprintf(line, 512, "%s%08x %s", head, crc, rest);
    return str(line);
}

static void lines_as_documented(void **state)
{
    struct psa_buf out = { 0 };
    struct psa_spool_record record = { .seq = 42, .taken_ms = 1710000000123, .text = str("123456789") };

    (void)state;
    psa_spool_format_line(&out, &record);
    record = (struct psa_spool_record){ .seq = PSA_SPOOL_SEQ_MAX, .taken_ms = PSA_SPOOL_UNSYNCED, .text = { NULL, 0 } };
    psa_spool_format_line(&out, &record);
    record = (struct psa_spool_record){ .seq = 1, .taken_ms = 0, .reason = str("\"a b\""), .text = str("{}") };
    psa_spool_format_line(&out, &record);
    psa_buf_put(&out, "", 1);
    assert_string_equal(out.p, "42 1710000000123 2c7895ae 123456789\n"
                               "18446744073709551614 - 7dbc0e7b \n"
                               "1 0 cbcb1273 \"a b\" {}\n");
    psa_buf_free(&out);
}

static void check_round_trip(const struct psa_spool_record *record)
{
    struct psa_buf out = { 0 };
    struct psa_spool_record back;

    psa_spool_format_line(&out, record);
    assert_int_equal(out.p[out.n - 1], '\n');
    assert_true(psa_spool_parse_line((struct psa_str){ out.p, out.n - 1 }, record->reason.p != NULL, &back));
    assert_true(back.seq == record->seq);
    assert_true(back.taken_ms == record->taken_ms);
    assert_true(psa_str_is(back.text, record->text));
    assert_true((back.reason.p != NULL) == (record->reason.p != NULL));
    assert_true(psa_str_is(back.reason, record->reason));
    psa_buf_free(&out);
}

static void lines_come_back(void **state)
{
    static const uint64_t seq[] = { 1, 9, 10, 99, 100, 4711, UINT64_C(9999999999999999999), PSA_SPOOL_SEQ_MAX };
    static const int64_t taken[] = { PSA_SPOOL_UNSYNCED, 0, 7, 1710000000123, INT64_MAX };
    const struct psa_str text[] = { { "", 0 }, str("x"), str(" two  spaces "), { "a\0b\xff\xfe\r\x80", 7 }, str("-") };
    const struct psa_str reason[] = { { NULL, 0 }, str("\"\""), str("\"no \\\"way\\\" \xc3\xa9\"") };

    (void)state;
    for (size_t i = 0; i < 8; i++)
        for (size_t j = 0; j < 5; j++)
            for (size_t k = 0; k < 5; k++)
                for (size_t m = 0; m < 3; m++)
                    check_round_trip(&(struct psa_spool_record){ seq[i], taken[j], reason[m], text[k] });
}

static void every_byte_comes_back(void **state)
{
    char text[255];
    size_t n = 0;

    (void)state;
    for (int c = 0; c < 256; c++)
        if (c != '\n') text[n++] = (char)c;
    check_round_trip(&(struct psa_spool_record){ 5, 6, { NULL, 0 }, { text, n } });
    check_round_trip(&(struct psa_spool_record){ 5, 6, str("\"r\""), { text, n } });
}

/* One bit wrong, a byte missing or too many: not valid. */
static void check_damage(const struct psa_spool_record *record)
{
    bool dead = record->reason.p != NULL;
    struct psa_buf out = { 0 };
    struct psa_spool_record back;
    size_t n;

    psa_spool_format_line(&out, record);
    n = out.n - 1;
    for (size_t bit = 0; bit < n * 8; bit++) {
        out.p[bit / 8] = (char)(out.p[bit / 8] ^ 1 << bit % 8);
        assert_false(psa_spool_parse_line((struct psa_str){ out.p, n }, dead, &back));
        out.p[bit / 8] = (char)(out.p[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t cut = 0; cut < n; cut++) {
        assert_false(psa_spool_parse_line((struct psa_str){ out.p, cut }, dead, &back));
        if (cut) assert_false(psa_spool_parse_line((struct psa_str){ out.p + cut, n - cut }, dead, &back));
    }
    assert_false(psa_spool_parse_line((struct psa_str){ out.p, n + 1 }, dead, &back));
    assert_true(psa_spool_parse_line((struct psa_str){ out.p, n }, dead, &back));
    psa_buf_free(&out);
}

static void damaged_lines_are_not_valid(void **state)
{
    (void)state;
    check_damage(&(struct psa_spool_record){ 42, 1710000000123, { NULL, 0 }, str("{\"fields\":{\"x\":1.5}}") });
    check_damage(&(struct psa_spool_record){ 9, PSA_SPOOL_UNSYNCED, { NULL, 0 }, { "\0\xff", 2 } });
    check_damage(&(struct psa_spool_record){ 1, 0, str("\"the broker said no\""), str("{}") });
}

/* The CRC is right, the form is not. */
static void other_forms_are_not_valid(void **state)
{
    static const char *const head[] = {
        "",
        "1 ",
        "0 0 ",
        "01 5 ",
        "1 05 ",
        "1 00 ",
        " 1 5 ",
        "1  5 ",
        "1 5  ",
        "1 5\t",
        "1\t5 ",
        "+1 5 ",
        "-1 5 ",
        "1 -5 ",
        "1 +5 ",
        "1 -- ",
        "1 5",
        "x 5 ",
        "1 x ",
        "1 5x ",
        "1x 5 ",
        "1 1e3 ",
        "1.0 5 ",
        "- 5 ",
        "1 5 5 ",
        "1 ",
        " ",
        "1 9223372036854775808 ",
        "18446744073709551615 5 ",
        "18446744073709551616 5 ",
        "99999999999999999999 5 ",
        "184467440737095516150 5 ",
        "000000000000000000001 5 ",
    };
    char line[512];
    struct psa_spool_record back;

    (void)state;
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        assert_false(psa_spool_parse_line(with_crc(line, head[i], "text"), false, &back));
    assert_true(psa_spool_parse_line(with_crc(line, "1 9223372036854775807 ", "text"), false, &back));
    assert_true(psa_spool_parse_line(with_crc(line, "18446744073709551614 - ", "text"), false, &back));
    assert_false(psa_spool_parse_line((struct psa_str){ NULL, 0 }, false, &back));
}

static void the_crc_is_lower_case(void **state)
{
    char line[512];
    struct psa_spool_record back;

    (void)state;
    assert_true(psa_spool_parse_line(with_crc(line, "1 5 ", "text"), false, &back));
    for (char *p = line; *p; p++)
        if (*p >= 'a' && *p <= 'f' && p - line < 12) *p = (char)(*p - 32);
    assert_false(psa_spool_parse_line(str(line), false, &back));
}

static void reasons_are_json_strings(void **state)
{
    static const char *const rest[] = {
        "no {}", "\"no {}", "\"no\"{}", "\"no\"", "", "\"\t\" {}", "{} {}", " \"no\" {}"
    };
    char line[512];
    struct psa_spool_record back;

    (void)state;
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
        assert_false(psa_spool_parse_line(with_crc(line, "1 5 ", rest[i]), true, &back));
        assert_true(psa_spool_parse_line(with_crc(line, "1 5 ", rest[i]), false, &back));
    }
    assert_true(psa_spool_parse_line(with_crc(line, "1 5 ", "\"a \\\" b\" "), true, &back));
    assert_int_equal(back.text.n, 0);
}

static void cursors_come_back(void **state)
{
    static const struct psa_spool_cursor cursors[] = {
        { 0, false, 0, 0, 0, 0 },
        { 42, true, 7, 3, 2, 1 },
        { PSA_SPOOL_SEQ_MAX, true, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX },
        { 10, true, 0, 0, 0, 100 },
    };
    struct psa_buf out = { 0 };
    struct psa_spool_cursor back;

    (void)state;
    for (size_t i = 0; i < sizeof cursors / sizeof *cursors; i++) {
        out.n = 0;
        psa_spool_format_cursor(&out, &cursors[i]);
        assert_true(psa_spool_parse_cursor(psa_buf_str(&out), &back));
        assert_true(back.done == cursors[i].done && back.has_checkpoint == cursors[i].has_checkpoint);
        assert_true(back.checkpoint == cursors[i].checkpoint && back.missing == cursors[i].missing);
        assert_true(back.damaged == cursors[i].damaged && back.expired == cursors[i].expired);
    }
    out.n = 0;
    psa_spool_format_cursor(&out, &cursors[1]);
    psa_buf_put(&out, "", 1);
    assert_string_equal(out.p, "psa-spool-cursor 1 done=42 checkpoint=7 missing=3 damaged=2 expired=1 fb3f6bf7\n");
    psa_buf_free(&out);
}

static void damaged_cursors_are_not_valid(void **state)
{
    struct psa_buf out = { 0 };
    struct psa_spool_cursor back, cursor = { 42, true, 7, 3, 2, 1 };

    (void)state;
    psa_spool_format_cursor(&out, &cursor);
    for (size_t bit = 0; bit < out.n * 8; bit++) {
        out.p[bit / 8] = (char)(out.p[bit / 8] ^ 1 << bit % 8);
        assert_false(psa_spool_parse_cursor(psa_buf_str(&out), &back));
        out.p[bit / 8] = (char)(out.p[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t n = 0; n < out.n; n++) assert_false(psa_spool_parse_cursor((struct psa_str){ out.p, n }, &back));
    psa_buf_put(&out, "\n", 1);
    assert_false(psa_spool_parse_cursor(psa_buf_str(&out), &back));
    assert_false(psa_spool_parse_cursor((struct psa_str){ NULL, 0 }, &back));
    psa_buf_free(&out);
}

static void other_cursors_are_not_valid(void **state)
{
    static const char *const text[] = {
        "psa-spool-cursor 2 done=42 checkpoint=7 missing=3 damaged=2 expired=1",
        "psa-spool-cursor 1 done=042 checkpoint=7 missing=3 damaged=2 expired=1",
        "psa-spool-cursor 1 done=42 checkpoint=-7 missing=3 damaged=2 expired=1",
        "psa-spool-cursor 1 done=42 checkpoint= missing=3 damaged=2 expired=1",
        "psa-spool-cursor 1 done=42 checkpoint=7 damaged=2 missing=3 expired=1",
        "psa-spool-cursor 1 done=42  checkpoint=7 missing=3 damaged=2 expired=1",
        "psa-spool-cursor 1 done=18446744073709551615 checkpoint=7 missing=3 damaged=2 expired=1",
        "psa-spool-cursor 1 done=18446744073709551616 checkpoint=7 missing=3 damaged=2 expired=1",
        "psa-spool-cursor 1 done=42 checkpoint=7 missing=3 damaged=2",
    };
    char line[512];
    struct psa_spool_cursor back;

    (void)state;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        snprintf(line, sizeof line, "%s %08x\n", text[i], psa_crc32c(0, text[i], strlen(text[i])));
        assert_false(psa_spool_parse_cursor(str(line), &back));
    }
}

static void names_come_back(void **state)
{
    static const char *const not_names[] = {
        "",
        "00000000000000000000.seg",
        "0000000000000000001.seg",
        "000000000000000000001.seg",
        "00000000000000000001",
        "00000000000000000001.se",
        "00000000000000000001.segs",
        "00000000000000000001.seg-0.damaged",
        "18446744073709551615.seg",
        "18446744073709551616.seg",
        "99999999999999999999.seg",
        "+0000000000000000001.seg",
        "0000000000000000000x.seg",
        "cursor",
    };
    static const uint64_t first[] = { 1, 10, 4711, UINT64_C(10000000000000000000), PSA_SPOOL_SEQ_MAX };
    char name[PSA_SPOOL_NAME_MAX];
    uint64_t back;

    (void)state;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        psa_spool_segment_name(first[i], name);
        assert_true(psa_spool_is_segment(name, &back));
        assert_true(back == first[i]);
    }
    psa_spool_segment_name(4711, name);
    assert_string_equal(name, "00000000000000004711.seg");
    for (size_t i = 0; i < sizeof not_names / sizeof *not_names; i++)
        assert_false(psa_spool_is_segment(not_names[i], &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_as_documented),
        cmocka_unit_test(lines_come_back),
        cmocka_unit_test(every_byte_comes_back),
        cmocka_unit_test(damaged_lines_are_not_valid),
        cmocka_unit_test(other_forms_are_not_valid),
        cmocka_unit_test(the_crc_is_lower_case),
        cmocka_unit_test(reasons_are_json_strings),
        cmocka_unit_test(cursors_come_back),
        cmocka_unit_test(damaged_cursors_are_not_valid),
        cmocka_unit_test(other_cursors_are_not_valid),
        cmocka_unit_test(names_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
