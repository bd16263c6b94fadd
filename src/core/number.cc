/*
 * number.cc - see number.h. The one C++ file of psa: a C interface to libstdc++'s <charconv>, which has the best
 * conversions that Debian ships (Ryu for printing, fast_float for reading).
 */
#include "core/number.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace {

/* 10^0 .. 10^22 are doubles without error, so with a mantissa below 2^53 one multiplication or division is correctly
 * rounded (Clinger 1990, "How to read floating point numbers accurately", the fast path). */
const double exact_power[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                               1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
const int exact_power_max = 22;
const uint64_t exact_mantissa_max = UINT64_C(1) << 53;

/* No number of this many digits overflows 64 bits. */
const int mantissa_digits_max = 19;

/* Exponents beyond this are out of every double's range whatever the mantissa's length (1 MiB lines). */
const int exponent_max = 100000000;

inline bool is_digit(char c)
{
    return static_cast<unsigned char>(c - '0') < 10;
}

/* Did the number that std::from_chars found out of range overflow? Decided by the decimal exponent of its first
 * significant digit; anything between 1e-300 and 1e300 is in range and never comes here. */
bool overflows(const char *p, const char *end)
{
    long exponent = 0, written = 0;
    bool point = false, significant = false, negative = false;

    if (*p == '-') p++;
    for (; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        if (*p != '0') significant = true;
        if (significant && !point) exponent++;
        if (!significant && point) exponent--;
    }
    if (p < end) {
        p++;
        if (*p == '-' || *p == '+') negative = *p++ == '-';
        for (; p < end && written < exponent_max; p++) written = written * 10 + (*p - '0');
    }
    return exponent + (negative ? -written : written) > 0;
}

/* Lay out digits (n of them, the first one non-zero) with decimal exponent e (value = d.ddd * 10^e). */
size_t lay_out(const char *digits, int n, int e, char *out)
{
    char *p = out;

    if (e >= -6 && e < 0) {
        *p++ = '0';
        *p++ = '.';
        for (int i = -1; i > e; i--) *p++ = '0';
        memcpy(p, digits, static_cast<size_t>(n));
        return static_cast<size_t>(p + n - out);
    }
    if (e >= 0 && e < 21) {
        int whole = e + 1 < n ? e + 1 : n;

        memcpy(p, digits, static_cast<size_t>(whole));
        p += whole;
        for (int i = n; i <= e; i++) *p++ = '0';
        if (n > whole) {
            *p++ = '.';
            memcpy(p, digits + whole, static_cast<size_t>(n - whole));
            p += n - whole;
        }
        return static_cast<size_t>(p - out);
    }
    *p++ = digits[0];
    if (n > 1) {
        *p++ = '.';
        memcpy(p, digits + 1, static_cast<size_t>(n - 1));
        p += n - 1;
    }
    *p++ = 'e';
    *p++ = e < 0 ? '-' : '+';
    return static_cast<size_t>(std::to_chars(p, p + 4, e < 0 ? -e : e).ptr - out);
}

} // namespace

size_t psa_int_format(int64_t value, char out[PSA_NUMBER_MAX])
{
    return static_cast<size_t>(std::to_chars(out, out + PSA_NUMBER_MAX, value).ptr - out);
}

size_t psa_number_format(double value, char out[PSA_NUMBER_MAX])
{
    char text[PSA_NUMBER_MAX], *p = out;
    const char *from = text;
    int exponent = 0, n;

    if (!std::isfinite(value)) {
        memcpy(out, "null", 4);
        return 4;
    }
    if (std::signbit(value)) {
        *p++ = '-';
        value = -value;
    }
    if (value < 9007199254740992.0 && value == static_cast<double>(static_cast<int64_t>(value)))
        return static_cast<size_t>(std::to_chars(p, p + 20, static_cast<int64_t>(value)).ptr - out);

    /* The shortest digits come as d[.ddd]e(+|-)xx. Join them and take the exponent apart. */
    const char *end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
    const char *e = end - 4;

    while (*e != 'e') e--;
    for (const char *q = e + 2; q < end; q++) exponent = exponent * 10 + (*q - '0');
    if (e[1] == '-') exponent = -exponent;
    n = static_cast<int>(e - from);
    if (n > 1) {
        text[1] = text[0]; /* drop the point */
        from++;
        n--;
    }
    return static_cast<size_t>(p - out) + lay_out(from, n, exponent, p);
}

double psa_number_round(const char *p, const char *end, bool *finite)
{
    double value = 0;
    std::from_chars_result result = std::from_chars(p, end, value);

    *finite = true;
    if (result.ec == std::errc::result_out_of_range) {
        *finite = !overflows(p, end);
        value = std::copysign(*finite ? 0.0 : HUGE_VAL, *p == '-' ? -1.0 : 1.0);
    }
    return value;
}

const char *psa_number_scan(const char *p, const char *end, double *value, bool *finite)
{
    const char *begin = p;
    uint64_t mantissa = 0;
    int digits = 0, exponent = 0, written = 0;
    bool negative = p < end && *p == '-';

    p += negative;
    if (p == end || !is_digit(*p)) return nullptr;
    if (*p == '0') {
        p++;
    } else {
        const char *from = p;

        for (; p < end && is_digit(*p); p++) mantissa = mantissa * 10 + static_cast<uint64_t>(*p - '0');
        digits = p - from > mantissa_digits_max ? mantissa_digits_max + 1 : static_cast<int>(p - from);
    }
    if (p < end && *p == '.') {
        const char *from = ++p;

        for (; p < end && is_digit(*p); p++) mantissa = mantissa * 10 + static_cast<uint64_t>(*p - '0');
        if (p == from) return nullptr;
        if (p - from + digits > mantissa_digits_max) digits = mantissa_digits_max + 1;
        else exponent = -static_cast<int>(p - from), digits += static_cast<int>(p - from);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        bool down = ++p < end && *p == '-';

        if (p < end && (*p == '-' || *p == '+')) p++;
        if (p == end || !is_digit(*p)) return nullptr;
        for (; p < end && is_digit(*p); p++)
            if (written < exponent_max) written = written * 10 + (*p - '0');
        exponent += down ? -written : written;
    }
    /* digits counts leading zeros of a fraction too: that only sends a few numbers the long way. */
    if (digits <= mantissa_digits_max && mantissa <= exact_mantissa_max && exponent >= -exact_power_max &&
        exponent <= exact_power_max) {
        double magnitude = static_cast<double>(mantissa);

        if (exponent < 0) magnitude /= exact_power[-exponent];
        else magnitude *= exact_power[exponent];
        *value = negative ? -magnitude : magnitude;
        *finite = true;
        return p;
    }
    *value = psa_number_round(begin, p, finite);
    return p;
}

bool psa_int_parse(const char *p, const char *end, int64_t *value)
{
    const char *digits = p < end && *p == '-' ? p + 1 : p;

    if (digits == end || !is_digit(*digits) || (*digits == '0' && digits + 1 != end)) return false;
    std::from_chars_result result = std::from_chars(p, end, *value);

    return result.ec == std::errc() && result.ptr == end;
}

bool psa_number_parse(const char *p, const char *end, double *value)
{
    bool finite;

    return psa_number_scan(p, end, value, &finite) == end && p < end && finite;
}
