/* test_csv.c - io/csv: RFC 4180's rules, what is refused, and that one stray quote costs one line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "io/csv.h"
#include "io/lines.h"

/* A file with some text, read as CSV from its first line on. */
struct fixture {
    char path[32];
    char *file[1];
    struct psa_lines lines;
    struct psa_csv csv;
};

static void begin(struct fixture *f, const char *text, size_t n, size_t max_line)
{
    struct psa_error error = { 0 };
    struct psa_str first;

    memset(f, 0, sizeof *f);
    strcpy(f->path, "/tmp/psa-test-csv-XXXXXX");
    const int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), (ssize_t)n);
    close(fd);
    f->file[0] = f->path;
    psa_lines_init(&f->lines, f->file, 1, max_line);
    assert_int_equal(psa_lines_next(&f->lines, &first, &error), PSA_GOT_FILE);
    assert_int_equal(psa_lines_next(&f->lines, &first, &error), PSA_GOT_LINE);
    assert_int_equal(psa_csv_begin(&f->csv, &f->lines, first, psa_csv_separator(first)), 0);
}

static void end(struct fixture *f)
{
    psa_csv_free(&f->csv);
    psa_lines_free(&f->lines);
    unlink(f->path);
}

/* All rows as text: cells in <>, bad lines as !number:why, lines too long as ~number. */
static char *rows(const char *text, size_t n, size_t max_line)
{
    struct psa_error error = { 0 };
    struct psa_buf out = { 0 };
    struct fixture f;
    enum psa_csv_got got;

    begin(&f, text, n, max_line);
    while ((got = psa_csv_next(&f.csv, &error)) != PSA_CSV_END) {
        assert_int_not_equal(got, PSA_CSV_ERROR);
        psa_buf_puts(&out, got == PSA_CSV_ROW ? "" : got == PSA_CSV_BAD ? "!" : "~");
        psa_buf_int(&out, (int64_t)f.csv.number);
        psa_buf_puts(&out, ":");
        if (got == PSA_CSV_BAD) psa_buf_puts(&out, f.csv.why);
        for (size_t i = 0; got == PSA_CSV_ROW && i < f.csv.n_cell; i++) {
            psa_buf_puts(&out, "<");
            psa_buf_put(&out, f.csv.cell[i].p, f.csv.cell[i].n);
            psa_buf_puts(&out, ">");
        }
        psa_buf_puts(&out, "\n");
    }
    psa_buf_put(&out, "", 1);
    assert_false(out.failed);
    end(&f);
    return out.p;
}

static void expect(const char *text, const char *wanted)
{
    char *got = rows(text, strlen(text), 4096);

    assert_string_equal(got, wanted);
    free(got);
}

static void plain_rows(void **state)
{
    (void)state;
    expect("a,b,c\n1,2,3\n", "1:<a><b><c>\n2:<1><2><3>\n");
    expect("a;b\r\n1,5;2\r\n", "1:<a><b>\n2:<1,5><2>\n");
    expect("a\tb\n\t\n", "1:<a><b>\n2:<><>\n");
    expect("a,b\n1,2", "1:<a><b>\n2:<1><2>\n");
    expect("a\n\n\n1\n", "1:<a>\n4:<1>\n");
    expect("a,b\n,\n1,\n", "1:<a><b>\n2:<><>\n3:<1><>\n");
    expect("a, b \n 1 ,2\n", "1:<a>< b >\n2:< 1 ><2>\n"); /* blanks are part of a cell */
}

static void quoted_cells(void **state)
{
    (void)state;
    expect("\"a\",\"b\"\n", "1:<a><b>\n");
    expect("\"a,b\",c\n", "1:<a,b><c>\n");
    expect("\"say \"\"hi\"\"\",\"\"\n", "1:<say \"hi\"><>\n");
    expect("a,b\n\"two\nlines\",2\n3,4\n", "1:<a><b>\n2:<two\nlines><2>\n4:<3><4>\n");
    expect("a,b\n1,\"x\n\n\ny\"\n", "1:<a><b>\n2:<1><x\n\n\ny>\n");
    expect("\"\"\"\"\n", "1:<\">\n");
}

static void a_wrong_row_costs_its_first_line_only(void **state)
{
    (void)state;
    expect("a,b\n1,5\" pipe\n3,4\n", "1:<a><b>\n!2:a quote that is never closed\n3:<3><4>\n");
    expect("a,b\n1,\"open\n3,4\n5,6\n", "1:<a><b>\n!2:a quote that is never closed\n3:<3><4>\n4:<5><6>\n");
    expect("a,b\n1,\"x\"y\n3,4\n", "1:<a><b>\n!2:text behind a closing quote\n3:<3><4>\n");
    expect("a,b\n1,2\"\"\n3,4\n", "1:<a><b>\n!2:a quote inside a cell that does not begin with one\n3:<3><4>\n");
    expect("a,b\n\"1,2\n3,4\n\"5,6\n7,8\n", "1:<a><b>\n!2:text behind a closing quote\n3:<3><4>\n"
                                            "!4:a quote that is never closed\n5:<7><8>\n");
    expect("\"a,b\n1,2\n", "!1:a quote that is never closed\n2:<1><2>\n");
}

static void rows_are_bounded(void **state)
{
    char text[400] = "a,b\n1,\"";

    (void)state;
    for (int i = 0; i < 10; i++) strcat(text, "0123456789\n");
    strcat(text, "\"\n3,4\n");
    char *got = rows(text, strlen(text), 40);
    assert_ptr_equal(strstr(got, "1:<a><b>\n!2:a quote that is not closed within --max-line\n3:<0123456789>\n"), got);
    assert_non_null(strstr(got, "!12:a quote that is never closed\n13:<3><4>\n"));
    free(got);

    got = rows("a\n0123456789012345678901234567890123456789012345678901234567890123456789\n1\n", 75, 64);
    assert_string_equal(got, "1:<a>\n~2:\n3:<1>\n");
    free(got);
    got = rows("a\n\"b\n0123456789012345678901234567890123456789012345678901234567890123456789\n1\n", 78, 64);
    assert_string_equal(got, "1:<a>\n!2:a quote that is never closed\n~3:\n4:<1>\n");
    free(got);
}

static void cells_are_bounded(void **state)
{
    char *text = malloc(6000);

    (void)state;
    memset(text, ',', 5000);
    memcpy(text + 5000, "\n1\n", 3);
    char *got = rows(text, 5003, 8192);
    assert_string_equal(got, "!1:more than 4096 cells\n2:<1>\n");
    free(got);
    free(text);
}

static void the_separator_is_the_most_frequent(void **state)
{
    (void)state;
    assert_int_equal(psa_csv_separator(psa_str_of("a,b,c")), ',');
    assert_int_equal(psa_csv_separator(psa_str_of("a;b;c,d")), ';');
    assert_int_equal(psa_csv_separator(psa_str_of("a\tb")), '\t');
    assert_int_equal(psa_csv_separator(psa_str_of("\"a,b,c\";d")), ';');
    assert_int_equal(psa_csv_separator(psa_str_of("value")), ',');
}

/* Any bytes whatever: it ends, every line is accounted for once, and nothing is read out of bounds (ASan). */
static void noise_is_survived(void **state)
{
    static const char alphabet[] = "\"\"\",;\n\na1";
    uint64_t x = 88172645463325252u; /* xorshift64, Marsaglia 2003 */

    (void)state;
    for (int round = 0; round < 300; round++) {
        char text[301];
        text[0] = 'a';
        for (int i = 1; i < 300; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            text[i] = alphabet[x % (sizeof alphabet - 1)];
        }
        free(rows(text, 300, 50));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_rows),
        cmocka_unit_test(quoted_cells),
        cmocka_unit_test(a_wrong_row_costs_its_first_line_only),
        cmocka_unit_test(rows_are_bounded),
        cmocka_unit_test(cells_are_bounded),
        cmocka_unit_test(the_separator_is_the_most_frequent),
        cmocka_unit_test(noise_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
