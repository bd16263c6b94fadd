/*
 * test_json.c - what is JSON and what is not (rfc8259_table.h), as a bare value, as a line, as a member and as a field;
 * unescaping; the pull reader. `test_json --table` prints the table for rfc8259_check.py.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/record.h"
#include "rfc8259_table.h"

static bool is_json(struct psa_str text, int depth)
{
    struct psa_json_fault fault = { NULL, NULL };
    const char *end = text.p + text.n, *behind = psa_json_value(psa_json_space(text.p, end), end, depth, &fault);

    if (!behind) {
        assert_non_null(fault.what);
        assert_in_range((uintptr_t)fault.at, (uintptr_t)text.p, (uintptr_t)end);
    }
    return behind && psa_json_space(behind, end) == end;
}

/* A copy at the very end of its own memory, so that the sanitizers see any look behind it. */
static struct psa_str exact_copy(const char *before, struct psa_str text, const char *after)
{
    struct psa_buf buf = { 0 };
    struct psa_str copy;

    psa_buf_puts(&buf, before);
    psa_buf_put(&buf, text.p, text.n);
    psa_buf_puts(&buf, after);
    copy.n = buf.n;
    copy.p = test_malloc(buf.n ? buf.n : 1);
    if (buf.n) memcpy((char *)copy.p, buf.p, buf.n);
    psa_buf_free(&buf);
    return copy;
}

static void show(const struct rfc8259_row *row, const char *where)
{
    print_error("row %zu, %s: should be %s: ", (size_t)(row - rfc8259_table), where,
                row->accepted ? "accepted" : "refused");
    for (size_t i = 0; i < row->n; i++)
        print_error(row->text[i] >= 0x20 && row->text[i] < 0x7f ? "%c" : "<%02x>", (unsigned char)row->text[i]);
    print_error("\n");
}

static void bare_values_are_judged_as_rfc8259_says(void **state)
{
    int wrong = 0;

    (void)state;
    for (const struct rfc8259_row *row = rfc8259_table; row < rfc8259_table + RFC8259_ROWS; row++) {
        struct psa_str text = exact_copy("", (struct psa_str){ row->text, row->n }, "");

        if (is_json(text, PSA_JSON_DEPTH) != row->accepted) {
            show(row, "bare");
            wrong++;
        }
        test_free((char *)text.p);
    }
    assert_int_equal(wrong, 0);
}

typedef enum psa_line_kind decode_fn(struct psa_decoder *decoder, struct psa_str line, struct psa_decoded *out);

/* Decode before + row + after, and say whether the verdict is right and the refusal one of syntax. */
static bool judged_right(decode_fn *decode, struct psa_decoder *decoder, const struct rfc8259_row *row,
                         const char *before, const char *after, enum psa_line_kind yes)
{
    struct psa_decoded out = { 0 };
    struct psa_str line = exact_copy(before, (struct psa_str){ row->text, row->n }, after);
    enum psa_line_kind kind = decode(decoder, line, &out);
    bool right = row->accepted ? kind == yes : kind == PSA_LINE_REFUSED;

    if (kind == PSA_LINE_REFUSED) {
        if (!row->accepted && out.refusal != PSA_REFUSED_SYNTAX) right = false;
        if (!out.why[0] || memchr(out.why, '\0', sizeof out.why) == NULL) right = false;
    } else if (kind == PSA_LINE_RECORD) {
        struct psa_buf again = { 0 };

        psa_encode(out.record, &again);
        right = right && again.n == line.n + 1 && memcmp(again.p, line.p, line.n) == 0 && again.p[line.n] == '\n';
        psa_buf_free(&again);
    }
    test_free((char *)line.p);
    return right;
}

/* Every row between before and after, decoded with a decoder that has just seen a line of that shape, so that the
 * predicted path is the first to try, and again with one that has just seen the row itself. */
static void judge_all(decode_fn *decode, const char *before, const char *after, const char *where)
{
    struct psa_decoder *decoder = psa_decoder_new(PSA_DECODE_LIMITS);
    static const char *const warm[] = { "1", "\"a\"", "null", "[1,2]", "{\"a\":1}" };
    int wrong = 0;

    for (const struct rfc8259_row *row = rfc8259_table; row < rfc8259_table + RFC8259_ROWS; row++) {
        for (size_t w = 0; w < sizeof warm / sizeof *warm; w++) {
            struct rfc8259_row first = { warm[w], strlen(warm[w]), true };

            if (!judged_right(decode, decoder, &first, before, after, PSA_LINE_RECORD)) wrong++, show(&first, where);
            if (!judged_right(decode, decoder, row, before, after, PSA_LINE_RECORD)) wrong++, show(row, where);
        }
        if (!judged_right(decode, decoder, row, before, after, PSA_LINE_RECORD)) wrong++, show(row, where);
    }
    psa_decoder_free(decoder);
    assert_int_equal(wrong, 0);
}

static void member_values_are_judged_as_rfc8259_says(void **state)
{
    (void)state;
    judge_all(psa_decode_general, "{\"v\":", "}", "member, general path");
    judge_all(psa_decode, "{\"v\":", "}", "member");
    judge_all(psa_decode, "{\"a\":1,\"v\":", ",\"b\":2}", "member in the middle");
}

static void field_values_are_judged_as_rfc8259_says(void **state)
{
    (void)state;
    judge_all(psa_decode_general, "{\"fields\":{\"v\":", "}}", "field, general path");
    judge_all(psa_decode, "{\"fields\":{\"v\":", "}}", "field");
    judge_all(psa_decode, "{\"sensor_id\":\"x\",\"fields\":{\"u\":1,\"v\":", ",\"w\":[]},\"timestamp_ns\":5}",
              "field in the middle");
}

/* A line that is an object is a record, another value is refused by name, and the rest is no JSON. */
static void lines_are_judged_as_rfc8259_says(void **state)
{
    struct psa_decoder *decoder = psa_decoder_new(PSA_DECODE_LIMITS);
    int wrong = 0;

    (void)state;
    for (const struct rfc8259_row *row = rfc8259_table; row < rfc8259_table + RFC8259_ROWS; row++) {
        struct psa_str text = exact_copy("", (struct psa_str){ row->text, row->n }, "");
        const char *first = psa_json_space(text.p, text.p + text.n);
        struct psa_decoded out = { 0 };
        enum psa_line_kind kind = psa_decode(decoder, text, &out), general;
        bool right;

        if (first == text.p + text.n) right = kind == PSA_LINE_BLANK;
        else if (!row->accepted) right = kind == PSA_LINE_REFUSED && out.refusal == PSA_REFUSED_SYNTAX;
        else if (*first != '{') right = kind == PSA_LINE_REFUSED && out.refusal == PSA_REFUSED_NOT_OBJECT;
        else right = kind == PSA_LINE_RECORD;
        general = psa_decode_general(decoder, text, &out);
        if (!right || general != kind) wrong++, show(row, "line");
        test_free((char *)text.p);
    }
    psa_decoder_free(decoder);
    assert_int_equal(wrong, 0);
}

static struct psa_str nested(char open, char close, size_t n)
{
    char *text = test_malloc(2 * n + 1);

    memset(text, open, n);
    memset(text + n, close, n);
    return (struct psa_str){ text, 2 * n };
}

static void depth_is_bounded(void **state)
{
    struct psa_str fits = nested('[', ']', 64), deep = nested('[', ']', 65), huge = nested('[', ']', 1000000);

    (void)state;
    assert_true(is_json(fits, 64));
    assert_false(is_json(deep, 64));
    assert_true(is_json(deep, 65));
    assert_false(is_json(huge, 64));
    test_free((char *)fits.p);
    test_free((char *)deep.p);
    test_free((char *)huge.p);
}

static enum psa_line_kind decode_once(decode_fn *decode, struct psa_decode_limits limits, const char *before,
                                      struct psa_str value, const char *after, struct psa_decoded *out)
{
    struct psa_decoder *decoder = psa_decoder_new(limits);
    struct psa_str line = exact_copy(before, value, after);
    enum psa_line_kind kind = decode(decoder, line, out);

    test_free((char *)line.p);
    psa_decoder_free(decoder);
    return kind;
}

/* The record is one level, fields another; what is too deep is counted as a limit, not as bad syntax. */
static void records_count_their_own_depth(void **state)
{
    struct psa_decoded out = { 0 };
    struct psa_decode_limits limits = PSA_DECODE_LIMITS;

    (void)state;
    for (size_t n = 60; n < 68; n++) {
        struct psa_str value = nested('[', ']', n);
        enum psa_line_kind kind = decode_once(psa_decode, limits, "{\"v\":", value, "}", &out);

        assert_int_equal(kind, n <= 63 ? PSA_LINE_RECORD : PSA_LINE_REFUSED);
        if (kind == PSA_LINE_REFUSED) assert_int_equal(out.refusal, PSA_REFUSED_LIMIT);
        kind = decode_once(psa_decode, limits, "{\"fields\":{\"v\":", value, "}}", &out);
        assert_int_equal(kind, n <= 62 ? PSA_LINE_RECORD : PSA_LINE_REFUSED);
        if (kind == PSA_LINE_REFUSED) assert_int_equal(out.refusal, PSA_REFUSED_LIMIT);
        test_free((char *)value.p);
    }
}

static void assert_unescaped(const char *inner, const char *expected, size_t n)
{
    struct psa_arena arena = { 0 };
    struct psa_str got = psa_json_unescape(psa_str_of(inner), &arena);

    assert_int_equal(got.n, n);
    assert_memory_equal(got.p, expected, n);
    psa_arena_free(&arena);
}

static void escapes_are_decoded(void **state)
{
    (void)state;
    assert_unescaped("plain", "plain", 5);
    assert_unescaped("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8);
    assert_unescaped("a\\u0041\\u00e9\\u20AC", "aA\xc3\xa9\xe2\x82\xac", 7);
    assert_unescaped("\\u0000", "\0", 1);
    assert_unescaped("\\ud83d\\ude00!", "\xf0\x9f\x98\x80!", 5);
    assert_unescaped("\\uDBFF\\uDFFF", "\xf4\x8f\xbf\xbf", 4);
    assert_unescaped("\\ud800", "\xed\xa0\x80", 3);
    assert_unescaped("\\udc00\\ud800", "\xed\xb0\x80\xed\xa0\x80", 6);
    assert_unescaped("\\ud800\\ud83d\\ude00", "\xed\xa0\x80\xf0\x9f\x98\x80", 7);
    assert_unescaped("\\ud83d\\\\", "\xed\xa0\xbd\\", 4);
    assert_unescaped("\\u005cn", "\\n", 2);
    assert_unescaped("", "", 0);
}

/* quote() and the reader are inverse to each other, for every byte a decoded text can hold. */
static void quoting_survives_reading(void **state)
{
    static const char all[] = "\x01\x02\b\t\n\v\f\r\x1f \"\\/\x7f\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 end";
    struct psa_buf buf = { 0 };
    struct psa_arena arena = { 0 };
    struct psa_json in;

    (void)state;
    psa_buf_quote(&buf, (struct psa_str){ all, sizeof all }); /* the final NUL too */
    assert_true(is_json(psa_buf_str(&buf), 1));
    psa_json_open(&in, psa_buf_str(&buf), &arena);
    assert_true(psa_str_is(psa_json_text(&in), (struct psa_str){ all, sizeof all }));
    assert_true(psa_json_close(&in));
    psa_buf_free(&buf);
    psa_arena_free(&arena);
}

/* ---- the pull reader ---- */

static void reader_reads(void **state)
{
    static const char text[] = " { \"a\" : 1.5 , \"b\":[2,null,-9223372036854775808],\"c\":{},\"d\":[ ],"
                               "\"e\\u0041\":\"x\\ny\",\"f\":true,\"g\":[[1],{\"h\":2}],\"i\":false} ";
    struct psa_arena arena = { 0 };
    struct psa_json in;
    struct psa_str name = { NULL, 0 };

    (void)state;
    psa_json_open(&in, psa_str_of(text), &arena);
    assert_true(psa_json_enter_object(&in));
    assert_true(psa_json_next_member(&in, &name));
    assert_true(psa_str_eq(name, "a"));
    assert_true(psa_json_number(&in) == 1.5);
    assert_true(psa_json_next_member(&in, &name));
    assert_true(psa_json_enter_array(&in));
    assert_true(psa_json_next_item(&in));
    assert_int_equal(psa_json_int(&in), 2);
    assert_true(psa_json_next_item(&in));
    assert_true(isnan(psa_json_number(&in)));
    assert_true(psa_json_next_item(&in));
    assert_true(psa_json_int(&in) == INT64_MIN);
    assert_false(psa_json_next_item(&in));
    assert_true(psa_json_next_member(&in, &name));
    assert_true(psa_json_enter_object(&in));
    assert_false(psa_json_next_member(&in, &name));
    assert_true(psa_json_next_member(&in, &name));
    assert_true(psa_json_enter_array(&in));
    assert_false(psa_json_next_item(&in));
    assert_true(psa_json_next_member(&in, &name));
    assert_true(psa_str_eq(name, "eA"));
    assert_true(psa_str_eq(psa_json_text(&in), "x\ny"));
    assert_true(psa_json_next_member(&in, &name));
    assert_true(psa_json_bool(&in));
    assert_true(psa_json_next_member(&in, &name));
    assert_int_equal(psa_json_peek(&in), '[');
    assert_true(psa_str_eq(psa_json_skip(&in), "[[1],{\"h\":2}]"));
    assert_true(psa_json_next_member(&in, &name));
    assert_false(psa_json_bool(&in));
    assert_false(psa_json_next_member(&in, &name));
    assert_true(psa_json_close(&in));
    psa_arena_free(&arena);
}

/* Read a text as an array of numbers and tell whether nothing was wrong. */
static bool reads_numbers(const char *text)
{
    struct psa_arena arena = { 0 };
    struct psa_json in;
    int n = 0;
    bool good;

    psa_json_open(&in, psa_str_of(text), &arena);
    psa_json_enter_array(&in);
    while (psa_json_next_item(&in) && n++ < 100) psa_json_number(&in);
    good = psa_json_close(&in);
    psa_arena_free(&arena);
    return good;
}

static bool reads_members(const char *text)
{
    struct psa_arena arena = { 0 };
    struct psa_json in;
    struct psa_str name;
    int n = 0;
    bool good;

    psa_json_open(&in, psa_str_of(text), &arena);
    psa_json_enter_object(&in);
    while (psa_json_next_member(&in, &name) && n++ < 100) psa_json_skip(&in);
    good = psa_json_close(&in);
    psa_arena_free(&arena);
    return good;
}

static void reader_refuses(void **state)
{
    static const char *const bad_arrays[] = { "",    "[",    "[1",      "[1,",    "[1,]",    "[,1]",  "[1 2]",
                                              "[1}", "[1]]", "[\"1\"]", "[true]", "[1e999]", "[01]",  "{}",
                                              "1",   "[1],", "[-]",     "[nul]",  "[nulL]",  "[[1]]", "[1;2]" };
    static const char *const bad_objects[] = { "",
                                               "{",
                                               "{\"a\"",
                                               "{\"a\":",
                                               "{\"a\":1",
                                               "{\"a\":1,",
                                               "{\"a\":1,}",
                                               "{,}",
                                               "{a:1}",
                                               "{\"a\" 1}",
                                               "[]",
                                               "{\"a\":1]",
                                               "{\"a\":1}}",
                                               "{1:2}",
                                               "{\"a\":1 \"b\":2}",
                                               "{\"\\x\":1}",
                                               "{\"a\":+1}",
                                               "{\"a\":\"\n\"}" };

    (void)state;
    assert_true(reads_numbers(" [ 1 , 2.5 , null , -3e4 ] "));
    assert_true(reads_numbers("[]"));
    for (size_t i = 0; i < sizeof bad_arrays / sizeof *bad_arrays; i++) {
        if (reads_numbers(bad_arrays[i])) print_error("read: %s\n", bad_arrays[i]);
        assert_false(reads_numbers(bad_arrays[i]));
    }
    assert_true(reads_members(" { \"a\" : 1 , \"b\" : [ { } ] } "));
    for (size_t i = 0; i < sizeof bad_objects / sizeof *bad_objects; i++) {
        if (reads_members(bad_objects[i])) print_error("read: %s\n", bad_objects[i]);
        assert_false(reads_members(bad_objects[i]));
    }
}

static void reader_keeps_its_first_fault(void **state)
{
    struct psa_json in;
    struct psa_arena arena = { 0 };
    struct psa_str name;

    (void)state;
    psa_json_open(&in, psa_str_of("{\"a\":1.5}"), &arena);
    psa_json_enter_object(&in);
    assert_true(psa_json_next_member(&in, &name));
    assert_int_equal(psa_json_int(&in), 0);
    assert_non_null(in.fault.what);
    assert_string_equal(in.fault.what, "an integer of 64 bits was expected");
    assert_false(psa_json_refuse(&in, "another"));
    assert_string_equal(in.fault.what, "an integer of 64 bits was expected");
    assert_int_equal(psa_json_peek(&in), 0);
    assert_false(psa_json_next_member(&in, &name));
    assert_false(psa_json_enter_array(&in));
    assert_null(psa_json_text(&in).p);
    assert_false(psa_json_close(&in));
    psa_arena_free(&arena);
}

static void find_follows_dotted_paths(void **state)
{
    struct psa_str object = psa_str_of("{\"a\":{\"b\":1,\"b\":2,\"c\\u0064\":{\"e\":[]}},\"s\":\"x\"}");

    (void)state;
    assert_true(psa_str_eq(psa_json_find(object, "a.b"), "2"));
    assert_true(psa_str_eq(psa_json_find(object, "a.cd.e"), "[]"));
    assert_true(psa_str_eq(psa_json_find(object, "s"), "\"x\""));
    assert_null(psa_json_find(object, "a.x").p);
    assert_null(psa_json_find(object, "s.x").p);
    assert_null(psa_json_find(object, "a.b.c").p);
    assert_null(psa_json_find(object, "").p);
    assert_null(psa_json_find(psa_str_of("[1]"), "a").p);
}

static int print_table(void)
{
    for (const struct rfc8259_row *row = rfc8259_table; row < rfc8259_table + RFC8259_ROWS; row++) {
        printf("%d ", row->accepted);
        for (size_t i = 0; i < row->n; i++) printf("%02x", (unsigned char)row->text[i]);
        putchar('\n');
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bare_values_are_judged_as_rfc8259_says),
        cmocka_unit_test(member_values_are_judged_as_rfc8259_says),
        cmocka_unit_test(field_values_are_judged_as_rfc8259_says),
        cmocka_unit_test(lines_are_judged_as_rfc8259_says),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(records_count_their_own_depth),
        cmocka_unit_test(escapes_are_decoded),
        cmocka_unit_test(quoting_survives_reading),
        cmocka_unit_test(reader_reads),
        cmocka_unit_test(reader_refuses),
        cmocka_unit_test(reader_keeps_its_first_fault),
        cmocka_unit_test(find_follows_dotted_paths),
    };

    if (argc > 1 && strcmp(argv[1], "--table") == 0) return print_table();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
