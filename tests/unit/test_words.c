/* test_words.c - core/words.c: words as the shell cuts them. */
#include "core/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Cut all words of a text that has blanks for ends, and join them with `|`; "?" for a quote that is not closed. */
static void cuts_to(const char *text, const char *want)
{
    char words[256], joined[256] = "", *out = words;
    const char *p = text;

    for (;;) {
        char *word = out;

        p = psa_word_begin(p, " \n");
        if (!*p) break;
        if (word != words) strcat(joined, "|");
        if (!psa_word_cut(&p, &out, " \n")) {
            strcat(joined, "?");
            break;
        }
        assert_int_equal(out[-1], 0);
        assert_true(out - word <= (p - text) + 1);
        strcat(joined, word);
    }
    assert_string_equal(joined, want);
}

static void blanks_part_words(void **state)
{
    (void)state;
    cuts_to("", "");
    cuts_to("a", "a");
    cuts_to("  ab  c\nd ", "ab|c|d");
}

static void quotes_keep_what_would_end_a_word(void **state)
{
    (void)state;
    cuts_to("'a b' \"c  d\"", "a b|c  d");
    cuts_to("a'b c'd", "ab cd");
    cuts_to("'' \"\"", "|");
    cuts_to("'\"' \"'\"", "\"|'");
    cuts_to("'a\nb'", "a\nb");
    cuts_to("'a", "?");
    cuts_to("b \"a'", "b|?");
}

static void a_backslash_keeps_one_character(void **state)
{
    (void)state;
    cuts_to("a\\ b c\\\\d", "a b|c\\d");
    cuts_to("\"a\\\"b\"", "a\"b");
    cuts_to("'a\\' b", "a\\|b");
    cuts_to("a\\", "a\\");
}

/* POSIX.1-2017, XCU 2.2.3: the same by `printf '%s|' WORDS` in a shell. */
static void within_double_quotes_it_keeps_only_what_would_mean_something(void **state)
{
    (void)state;
    cuts_to("\"\\d+\\.\\\\d\"", "\\d+\\.\\d");
    cuts_to("\"\\$a \\`b \\'c\"", "$a `b \\'c");
    cuts_to("'\\d' \\d", "\\d|d");
    cuts_to("\"a\\", "?");
}

static void a_backslash_and_a_line_end_go(void **state)
{
    (void)state;
    cuts_to("a \\\n b", "a|b");
    cuts_to("a\\\nb", "ab");
    cuts_to("\"a \\\nb\"", "a b");
    cuts_to("'a\\\nb'", "a\\\nb");
    cuts_to("\\\n \\\n", "");
    cuts_to("a \\\n", "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blanks_part_words),
        cmocka_unit_test(quotes_keep_what_would_end_a_word),
        cmocka_unit_test(a_backslash_keeps_one_character),
        cmocka_unit_test(within_double_quotes_it_keeps_only_what_would_mean_something),
        cmocka_unit_test(a_backslash_and_a_line_end_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
