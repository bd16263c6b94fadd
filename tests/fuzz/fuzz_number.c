/*
 * fuzz_number.c - numbers as text and as bits. A text is scanned if and only if it starts with RFC 8259's grammar, and to
 * what strtod makes of it (locale C); the input's first eight bytes as a double print as a number that reads back exactly.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/number.h"

static void check(bool good)
{
    if (!good) abort();
}

static size_t digits(const char *p)
{
    size_t n = 0;

    while (p[n] >= '0' && p[n] <= '9') n++;
    return n;
}

/* RFC 8259 section 6, on a text ended by NUL: the length of the number, 0 for none. An `e` or a point that starts no
 * exponent or fraction makes it none. */
static size_t grammar(const char *text)
{
    const char *p = text + (*text == '-');
    size_t n = digits(p);

    if (n == 0) return 0;
    p += *p == '0' ? 1 : n;
    if (*p == '.') {
        n = digits(p + 1);
        if (n == 0) return 0;
        p += 1 + n;
    }
    if (*p == 'e' || *p == 'E') {
        p += p[1] == '-' || p[1] == '+' ? 2 : 1;
        n = digits(p);
        if (n == 0) return 0;
        p += n;
    }
    return (size_t)(p - text);
}

static void check_text(const uint8_t *bytes, size_t n)
{
    char *exact = malloc(n ? n : 1), *ended = malloc(n + 1), *strtod_end;
    const char *behind;
    double value = 0, libc;
    bool finite = false;
    int64_t integer;

    check(exact && ended);
    if (n) memcpy(exact, bytes, n);
    memcpy(ended, exact, n);
    ended[n] = '\0';
    behind = psa_number_scan(exact, exact + n, &value, &finite);
    check((behind ? (size_t)(behind - exact) : 0) == grammar(ended));
    if (behind) {
        ended[behind - exact] = '\0'; /* strtod knows hexadecimal too */
        libc = strtod(ended, &strtod_end);
        check(*strtod_end == '\0' && finite == (bool)isfinite(libc) && memcmp(&value, &libc, sizeof value) == 0);
    }
    if (psa_int_parse(exact, exact + n, &integer)) {
        char text[PSA_NUMBER_MAX];
        size_t length = psa_int_format(integer, text);

        check(behind == exact + n);
        check((length == n && memcmp(text, exact, n) == 0) || (integer == 0 && n == 2 && *exact == '-'));
    }
    free(exact);
    free(ended);
}

/* What is read as a row of numbers is what scanning one number after the other gives. */
static void check_row(const uint8_t *bytes, size_t n)
{
    enum { ROOM = PSA_NUMBER_ROW + 7 };
    double row[ROOM], value;
    size_t n_row = 0;
    char *exact = malloc(n ? n : 1);
    const char *p = exact, *behind;
    bool finite;

    check(exact != NULL);
    if (n) memcpy(exact, bytes, n);
    behind = psa_number_row(exact, exact + n, row, ROOM, &n_row);
    check(n_row <= ROOM);
    for (size_t i = 0; i < n_row; i++) {
        p = psa_number_scan(p, exact + n, &value, &finite);
        check(p && finite && p < exact + n && *p == ',' && memcmp(&value, &row[i], sizeof value) == 0);
        p++;
    }
    check(behind == p);
    free(exact);
}

static void check_bits(const uint8_t *bytes)
{
    char text[PSA_NUMBER_MAX];
    double value, back = 0;
    bool finite = false;
    size_t n;

    memcpy(&value, bytes, sizeof value);
    n = psa_number_format(value, text);
    check(n > 0 && n <= PSA_NUMBER_MAX);
    if (!isfinite(value)) {
        check(n == 4 && memcmp(text, "null", 4) == 0);
        return;
    }
    check(psa_number_scan(text, text + n, &back, &finite) == text + n && finite);
    check(memcmp(&value, &back, sizeof value) == 0);
    check((memchr(text, 'e', n) != NULL) == (value != 0 && (fabs(value) < 1e-6 || fabs(value) >= 1e21)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    check_text(bytes, n);
    check_row(bytes, n);
    if (n >= sizeof(double)) check_bits(bytes);
    return 0;
}
