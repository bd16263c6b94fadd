/* test_key.c - core/key.c and core/path_name.c: keys of streams, and how they become names of files. */
#include "core/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/path_name.h"

static struct psa_str text_of(const char *text)
{
    return (struct psa_str){ text, strlen(text) };
}

static void is(struct psa_str text, const char *want)
{
    if (want == NULL) {
        assert_null(text.p);
        return;
    }
    assert_int_equal(text.n, strlen(want));
    assert_memory_equal(text.p, want, text.n);
}

static void a_key_comes_apart_as_it_was_made(void **state)
{
    struct psa_buf room = { 0 };
    struct psa_str type, id;

    (void)state;
    is(psa_key_make(&room, text_of("imu"), text_of("a/b")), "imu\x1f"
                                                            "a/b");
    psa_key_split(psa_buf_str(&room), &type, &id);
    is(type, "imu");
    is(id, "a/b");
    psa_key_split(psa_key_make(&room, (struct psa_str){ NULL, 0 }, text_of("x")), &type, &id);
    is(type, "");
    is(id, "x");
    psa_key_split(text_of("press-07"), &type, &id);
    is(type, NULL);
    is(id, "press-07");
    psa_buf_free(&room);
}

static void people_part_it_by_the_first_slash(void **state)
{
    char shown[PSA_KEY_SHOWN];
    struct psa_buf room = { 0 };
    struct psa_str type, id;

    (void)state;
    psa_key_read(text_of("imu/a/b"), &type, &id);
    is(type, "imu");
    is(id, "a/b");
    psa_key_read(text_of("x"), &type, &id);
    is(type, NULL);
    is(id, "x");
    assert_string_equal(psa_key_show(psa_key_make(&room, text_of("imu"), text_of("a")), shown), "imu/a");
    assert_string_equal(psa_key_show(psa_key_make(&room, text_of(""), text_of("a")), shown), "a");
    assert_string_equal(psa_key_show(psa_key_make(&room, text_of(""), text_of("")), shown), "(no sensor_id)");
    psa_buf_free(&room);
}

static void named(const char *before, const char *text, size_t most, bool whole, const char *want)
{
    struct psa_buf path = { 0 };

    psa_buf_puts(&path, before);
    assert_int_equal(psa_path_name_put(&path, text_of(text), most), whole);
    is(psa_buf_str(&path), want);
    psa_buf_free(&path);
}

static void no_text_names_another_folder_or_a_hidden_file(void **state)
{
    (void)state;
    named("", "Az09_-.", 99, true, "Az09_-.");
    named("", "..", 99, true, "%2E.");
    named("dir/", ".x", 99, true, "dir/%2Ex");
    named("dir/2024-", ".x", 99, true, "dir/2024-.x");
    named("dir/", "a/b c%\xc3\xa9", 99, true, "dir/a%2Fb%20c%25%C3%A9");
}

static void what_has_no_room_is_left_out_by_whole_bytes(void **state)
{
    (void)state;
    named("", "abc", 3, true, "abc");
    named("", "abc", 2, false, "ab");
    named("", "a/b", 4, false, "a%2F");
    named("", "a/b", 3, false, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_comes_apart_as_it_was_made),
        cmocka_unit_test(people_part_it_by_the_first_slash),
        cmocka_unit_test(no_text_names_another_folder_or_a_hidden_file),
        cmocka_unit_test(what_has_no_room_is_left_out_by_whole_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
