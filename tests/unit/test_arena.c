/* test_arena.c - the bump allocator, and the growing buffer with its JSON writers. */
#include <math.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/buf.h"

static void arena_gives_aligned_disjoint_memory(void **state)
{
    struct psa_arena arena = { 0 };
    char *piece[600];

    (void)state;
    for (size_t i = 0; i < 600; i++) {
        piece[i] = psa_arena_take(&arena, i);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % alignof(max_align_t), 0);
        memset(piece[i], (int)(i & 0xff), i);
    }
    for (size_t i = 0; i < 600; i++)
        for (size_t k = 0; k < i; k++) assert_int_equal((unsigned char)piece[i][k], i & 0xff);
    psa_arena_free(&arena);
    assert_null(arena.first);
}

static void arena_takes_more_than_a_chunk(void **state)
{
    struct psa_arena arena = { 0 };
    char *small = psa_arena_take(&arena, 10);
    char *large = psa_arena_take(&arena, 1 << 20);

    (void)state;
    memset(small, 1, 10);
    memset(large, 2, 1 << 20);
    assert_int_equal(small[9], 1);
    psa_arena_free(&arena);
}

/* Promise 6: after warm-up nothing is allocated, so the chunks are the same ones round after round. */
static void arena_reset_keeps_its_chunks(void **state)
{
    struct psa_arena arena = { 0 };
    void *seen[64];

    (void)state;
    for (int round = 0; round < 5; round++) {
        psa_arena_reset(&arena);
        for (size_t i = 0; i < 64; i++) {
            void *place = psa_arena_take(&arena, 500);

            if (round == 0) seen[i] = place;
            else assert_ptr_equal(place, seen[i]);
        }
    }
    psa_arena_free(&arena);
}

static void arena_copies_spans(void **state)
{
    struct psa_arena arena = { 0 };
    struct psa_str copy = psa_arena_copy(&arena, psa_str_of("press-07"));
    struct psa_str empty = psa_arena_copy(&arena, (struct psa_str){ NULL, 0 });

    (void)state;
    assert_true(psa_str_eq(copy, "press-07"));
    assert_non_null(empty.p);
    assert_int_equal(empty.n, 0);
    psa_arena_free(&arena);
}

static void buf_grows(void **state)
{
    struct psa_buf buf = { 0 };

    (void)state;
    for (int i = 0; i < 100000; i++) psa_buf_put(&buf, "0123456789", 10);
    assert_false(buf.failed);
    assert_int_equal(buf.n, 1000000);
    for (size_t i = 0; i < buf.n; i++) assert_int_equal(buf.p[i], '0' + (int)(i % 10));
    psa_buf_free(&buf);
    assert_null(buf.p);
    assert_int_equal(buf.n, 0);
}

static void buf_room_is_not_yet_content(void **state)
{
    struct psa_buf buf = { 0 };
    char *room = psa_buf_room(&buf, 100);

    (void)state;
    assert_non_null(room);
    assert_int_equal(buf.n, 0);
    memset(room, 'x', 100);
    buf.n += 100;
    psa_buf_puts(&buf, "y");
    assert_int_equal(buf.n, 101);
    assert_int_equal(buf.p[99], 'x');
    assert_int_equal(buf.p[100], 'y');
    psa_buf_free(&buf);
}

static void assert_buf(struct psa_buf *buf, const char *expected)
{
    assert_int_equal(buf->n, strlen(expected));
    assert_memory_equal(buf->p, expected, buf->n);
    buf->n = 0;
}

static void buf_writes_json(void **state)
{
    static const double three[] = { 1.5, NAN, -2 };
    struct psa_buf buf = { 0 };

    (void)state;
    psa_buf_puts(&buf, "{");
    psa_buf_member_int(&buf, "i", -7);
    psa_buf_member_number(&buf, "x", 0.1);
    psa_buf_member_number(&buf, "nan", NAN);
    psa_buf_member_number(&buf, "inf", -INFINITY);
    psa_buf_member_numbers(&buf, "three", three, 3);
    psa_buf_member_numbers(&buf, "none", three, 0);
    psa_buf_member_text(&buf, "t", psa_str_of("a\"b"));
    psa_buf_member_bool(&buf, "yes", true);
    psa_buf_member_bool(&buf, "no", false);
    psa_buf_puts(&buf, "}");
    assert_buf(&buf, "{\"i\":-7,\"x\":0.1,\"nan\":null,\"inf\":null,\"three\":[1.5,null,-2],\"none\":[],"
                     "\"t\":\"a\\\"b\",\"yes\":true,\"no\":false}");
    psa_buf_free(&buf);
}

static void buf_puts_commas_where_due(void **state)
{
    struct psa_buf buf = { 0 };

    (void)state;
    psa_buf_comma(&buf);
    assert_int_equal(buf.n, 0);
    psa_buf_puts(&buf, "[");
    psa_buf_comma(&buf);
    psa_buf_int(&buf, 1);
    psa_buf_comma(&buf);
    psa_buf_puts(&buf, "{");
    psa_buf_comma(&buf);
    assert_buf(&buf, "[1,{");
    psa_buf_free(&buf);
}

/* RFC 8259 section 7: the quote, the backslash and every control character must be escaped; DEL is too, for people. */
static void buf_escapes_what_must_be(void **state)
{
    struct psa_buf buf = { 0 };

    (void)state;
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;

        buf.n = 0;
        psa_buf_quote(&buf, (struct psa_str){ &byte, 1 });
        assert_false(buf.failed);
        assert_int_equal(buf.p[0], '"');
        assert_int_equal(buf.p[buf.n - 1], '"');
        if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f) assert_int_equal(buf.p[1], '\\');
        else assert_int_equal(buf.n, 3);
    }
    buf.n = 0;
    psa_buf_quote(&buf, (struct psa_str){ "a\0b\x1f\n\xc3\xa9", 7 });
    assert_buf(&buf, "\"a\\u0000b\\u001f\\n\xc3\xa9\"");
    psa_buf_quote(&buf, psa_str_of("\xed\xa0\x80\xed\xbf\xbfx\xed\x9f\xbf")); /* lone surrogates, and a Hangul letter */
    assert_buf(&buf, "\"\\ud800\\udfffx\xed\x9f\xbf\"");
    psa_buf_free(&buf);
}

static void spans_compare(void **state)
{
    (void)state;
    assert_true(psa_str_eq(psa_str_of("abc"), "abc"));
    assert_false(psa_str_eq(psa_str_of("abc"), "ab"));
    assert_false(psa_str_eq(psa_str_of("ab"), "abc"));
    assert_true(psa_str_eq(psa_str_of(""), ""));
    assert_false(psa_str_is(psa_str_of("abd"), psa_str_of("abc")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_gives_aligned_disjoint_memory),
        cmocka_unit_test(arena_takes_more_than_a_chunk),
        cmocka_unit_test(arena_reset_keeps_its_chunks),
        cmocka_unit_test(arena_copies_spans),
        cmocka_unit_test(buf_grows),
        cmocka_unit_test(buf_room_is_not_yet_content),
        cmocka_unit_test(buf_writes_json),
        cmocka_unit_test(buf_puts_commas_where_due),
        cmocka_unit_test(buf_escapes_what_must_be),
        cmocka_unit_test(spans_compare),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
