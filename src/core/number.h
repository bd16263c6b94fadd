/*
 * number.h - numbers to text and back: correctly rounded, shortest, independent of the locale.
 *
 * Printing: the shortest decimal that reads back as the same double (Ryu, through libstdc++'s std::to_chars), laid out
 * without an exponent where 1e-6 <= |x| < 1e21 and as d.ddde-7 outside (ECMA-262 Number::toString's limits).
 * Reading: texts that match RFC 8259's grammar, rounded to nearest even (std::from_chars: fast_float).
 */
#ifndef PSA_CORE_NUMBER_H
#define PSA_CORE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that psa_number_format and psa_int_format never exceed. */
#define PSA_NUMBER_MAX 32

/* Write value, not NUL-ended; NaN and infinity become `null`. Returns the number of bytes. */
size_t psa_number_format(double value, char out[PSA_NUMBER_MAX]);
size_t psa_int_format(int64_t value, char out[PSA_NUMBER_MAX]);

/*
 * Scan a JSON number that starts at p. Returns the byte behind it, or NULL where RFC 8259 has no number. *value is the
 * nearest double; *finite is false where the number is too large for one (then *value is an infinity of its sign); one
 * too small is a signed zero.
 */
const char *psa_number_scan(const char *p, const char *end, double *value, bool *finite);

/* Room that psa_number_row needs to read anything. */
#define PSA_NUMBER_ROW 32

/*
 * The numbers of an array that starts at p, each with a comma behind it and no space between, as far as they are short and
 * plain (-1.25, 7) and there is room for them: into value[*n], *n <= room. Returns where the next value starts, of which
 * nothing is known: psa_number_scan says what it is. *n may be 0 of any text, and is on processors without the means.
 */
const char *psa_number_row(const char *p, const char *end, double *value, size_t room, size_t *n);

/* Read all of [p, end) as an int64 in JSON's grammar for integers (`-?(0|[1-9][0-9]*)`): false otherwise, or on
 * overflow. */
bool psa_int_parse(const char *p, const char *end, int64_t *value);

/* Read all of [p, end) as a JSON number: false otherwise or when it is too large. */
bool psa_number_parse(const char *p, const char *end, double *value);

/* Round to the nearest double the decimal number in [p, end), already known to match the grammar. Used by the scanner
 * where its own exact path does not reach. */
double psa_number_round(const char *p, const char *end, bool *finite);

/* The byte behind the decimal digits that start at p. */
const char *psa_digits_skip(const char *p, const char *end);

/* The same as a string for a message: out ends in NUL, and is returned. */
static inline const char *psa_number_text(double value, char out[PSA_NUMBER_MAX + 1])
{
    out[psa_number_format(value, out)] = 0;
    return out;
}

#ifdef __cplusplus
}
#endif

#endif
