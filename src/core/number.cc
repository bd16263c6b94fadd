/*
 * number.cc - see number.h. The one C++ file of psa: a C interface to libstdc++'s <charconv>, which has the best
 * conversions that Debian ships (Ryu for printing, fast_float for reading).
 */
#include "core/number.h"

#include <charconv>
#include <cmath>
#include <cstring>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace
{

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

/* Digits that one step of take_digits reads. */
const int digits_step = 8;
const uint64_t step_power[] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000 };

/*
 * Up to eight digits from p (eight bytes are readable) as a number: their count. A byte at a time each digit waits for
 * the multiplication of the one before; here all are found and joined in parallel within one word (D. Lemire, "Quickly
 * parsing eight digits", 2018). Digits come first in memory, so in a little-endian word the first non-digit is the lowest
 * byte whose difference to '0' is above 9.
 */
inline int eight_digits(const char *p, uint64_t *value)
{
    uint64_t word, above_nine;
    int n = digits_step;

    memcpy(&word, p, sizeof word);
    if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__) word = __builtin_bswap64(word);
    word ^= UINT64_C(0x3030303030303030);
    above_nine = (word | (word + UINT64_C(0x7676767676767676))) & UINT64_C(0x8080808080808080);
    if (above_nine) n = __builtin_ctzll(above_nine) / 8;
    if (n == 0) return 0;
    word <<= 8 * (digits_step - n); /* zeros in front, so that always eight are joined */
    word = word * 10 + (word >> 8);
    *value = (((word & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064)) +
              ((word >> 16 & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001))) >>
             32;
    return n;
}

/* Read digits from p on into the mantissa (modulo 2^64): the byte behind them. */
inline const char *take_digits(const char *p, const char *end, uint64_t *mantissa)
{
    while (end - p >= digits_step) {
        uint64_t value = 0;
        int n = eight_digits(p, &value);

        *mantissa = *mantissa * step_power[n] + value;
        p += n;
        if (n < digits_step) return p;
    }
    for (; p < end && is_digit(*p); p++) *mantissa = *mantissa * 10 + static_cast<uint64_t>(*p - '0');
    return p;
}

#ifdef __x86_64__
/*
 * Arrays of numbers: nearly all numbers of sensors are `-ddd.ddd` or `-ddd`, up to seven digits before the point and eight
 * behind it, without an exponent. Of 64 bytes at once it is found which are no digits (D. Lemire, G. Langdale, "Parsing
 * gigabytes of JSON per second", The VLDB Journal 28, 2019, doi:10.1007/s00778-019-00578-5): in a row of numbers these
 * are signs, points and commas, so that no branch depends on the digits, on how many there are, or on the sign. A number's
 * digits are put together at the end of sixteen bytes by one shuffle, and added up in pairs. The mantissa is below 10^15
 * and the power at most 10^8, so the one division is correctly rounded (Clinger 1990): the same double as by the other
 * ways, on every machine.
 */
const unsigned row_step = 64, row_whole_max = 7, row_part_max = 8;
const int row_reach = 64 + 16; /* readable bytes that a step needs: the last number's are loaded by sixteen */

/* What of the bytes at a number's first digit goes where: [digits before the point][behind it]; 0x80 puts a zero. */
struct row_shuffles {
    uint8_t of[row_whole_max + 1][row_part_max + 1][16];

    constexpr row_shuffles() : of()
    {
        for (unsigned whole = 0; whole <= row_whole_max; whole++)
            for (unsigned part = 0; part <= row_part_max; part++)
                for (unsigned i = 0; i < 16; i++) {
                    unsigned digit = i + whole + part - 16; /* number of the digit that stands here, if any */

                    of[whole][part][i] = static_cast<uint8_t>(i + whole + part < 16 ? 0x80
                                                              : digit < whole       ? digit
                                                                                    : digit + 1);
                }
    }
};
const row_shuffles shuffles;

/* 10^0 to 10^8, and the same for numbers below zero. */
const double row_power[2][row_part_max + 1] = { { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8 },
                                                { -1e0, -1e1, -1e2, -1e3, -1e4, -1e5, -1e6, -1e7, -1e8 } };

/* The digits of a number from p on, as one. */
__attribute__((target("avx2,bmi,bmi2"))) inline int64_t row_mantissa(const char *p, unsigned whole, unsigned part)
{
    __m128i shuffle = _mm_loadu_si128(reinterpret_cast<const __m128i *>(shuffles.of[whole][part]));
    __m128i text = _mm_loadu_si128(reinterpret_cast<const __m128i *>(p));
    __m128i digits = _mm_shuffle_epi8(_mm_sub_epi8(text, _mm_set1_epi8('0')), shuffle);
    __m128i pairs = _mm_maddubs_epi16(digits, _mm_set1_epi16(10 | 1 << 8));
    __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(100 | 1 << 16));
    __m128i eights = _mm_madd_epi16(_mm_packus_epi32(fours, fours), _mm_set1_epi32(10000 | 1 << 16));
    uint64_t two = static_cast<uint64_t>(_mm_cvtsi128_si64(eights));

    return static_cast<int64_t>((two & 0xffffffff) * 100000000 + (two >> 32));
}

/* Bytes at p that are no digits, one bit each: c - '0' < 10 without sign is c - '0' - 128 < 10 - 128 with it. */
__attribute__((target("avx2,bmi,bmi2"))) inline uint64_t row_others(const char *p)
{
    const __m256i shift = _mm256_set1_epi8(static_cast<char>(128 - '0')), ten = _mm256_set1_epi8(10 - 128);
    __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p));
    __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p + 32));
    __m256i low_digits = _mm256_cmpgt_epi8(ten, _mm256_add_epi8(low, shift));
    __m256i high_digits = _mm256_cmpgt_epi8(ten, _mm256_add_epi8(high, shift));

    return ~(static_cast<uint64_t>(static_cast<unsigned>(_mm256_movemask_epi8(low_digits))) |
             static_cast<uint64_t>(static_cast<unsigned>(_mm256_movemask_epi8(high_digits))) << 32);
}

/* The numbers that have their commas within the 64 bytes at p: how many, into value; *next is where the next one starts.
 * row_reach bytes are readable. */
__attribute__((target("avx2,bmi,bmi2"))) inline size_t scan_block(const char *p, double *value, const char **next)
{
    uint64_t others = row_others(p);
    unsigned start = 0;
    size_t n = 0;

    while (start < row_step) {
        uint64_t rest = others & ~(UINT64_C(1) << start);
        unsigned negative = others >> start & 1; /* the first byte is no digit: a sign, or this is no number */
        unsigned point, behind, whole, part = 0;

        if (!rest) break;
        point = behind = static_cast<unsigned>(__builtin_ctzll(rest));
        rest &= rest - 1;
        if (p[point] == '.') {
            if (!rest) break;
            behind = static_cast<unsigned>(__builtin_ctzll(rest));
            rest &= rest - 1;
            part = behind - point - 1;
            if (part - 1 >= row_part_max) break;
        }
        whole = point - start - negative;
        if ((p[behind] != ',') | (negative & (p[start] != '-')) | (whole - 1 >= row_whole_max) |
            ((p[start + negative] == '0') & (whole > 1)))
            break;
        value[n++] = static_cast<double>(row_mantissa(p + start + negative, whole, part)) / row_power[negative][part];
        others = rest;
        start = behind + 1;
    }
    *next = p + start;
    return n;
}

__attribute__((target("avx2,bmi,bmi2"))) const char *scan_row(const char *p, const char *end, double *value,
                                                              size_t room, size_t *n)
{
    size_t read = 0, more;

    /* A block has at most PSA_NUMBER_ROW numbers: a digit and a comma each. */
    while (room - read >= PSA_NUMBER_ROW && end - p >= row_reach) {
        more = scan_block(p, value + read, &p);
        read += more;
        if (!more) break;
    }
    *n = read;
    return p;
}
#endif

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

/* Characters of d[.ddd]e(+|-)xx[x] at most. */
const int scientific_max = 24;

/* p holds `d.ddd` (n digits, or `d`) with decimal exponent 0 <= e < 21: put the point where it belongs. */
inline size_t lay_out_large(char *p, int n, int e)
{
    int whole = e + 1;

    if (e == 0) return static_cast<size_t>(n > 1 ? n + 1 : 1);
    for (int i = 1; i < whole; i++) p[i] = i < n ? p[i + 1] : '0';
    if (n <= whole) return static_cast<size_t>(whole);
    p[whole] = '.';
    return static_cast<size_t>(n + 1);
}

/* Zeros between the point and the first digit of 1e-6 <= value < 1. Exact: a shortest decimal reads back as its double,
 * so it is below 0.1 if and only if the double is below the double 0.1. */
inline int zeros_behind_point(double value)
{
    if (value >= 0.1) return 0;
    if (value >= 0.01) return 1;
    if (value >= 0.001) return 2;
    if (value >= 0.0001) return 3;
    return value >= 0.00001 ? 4 : 5;
}

} // namespace

size_t psa_int_format(int64_t value, char out[PSA_NUMBER_MAX])
{
    return static_cast<size_t>(std::to_chars(out, out + PSA_NUMBER_MAX, value).ptr - out);
}

/*
 * The shortest digits come as d[.ddd]e(+|-)xx[x]. Between 1e-6 and 1 they are written where they will stand, behind
 * `0.000`, so that nothing has to be moved but the first digit, over the point behind it.
 */
size_t psa_number_format(double value, char out[PSA_NUMBER_MAX])
{
    char *p = out, *text, *end, *e;
    bool small;
    int exponent, n, zeros = 0;

    if (!std::isfinite(value)) {
        memcpy(out, "null", 4);
        return 4;
    }
    if (std::signbit(value)) {
        *p++ = '-';
        value = -value;
    }
    small = value < 1 && value >= 1e-6;
    if (!small && value < 9007199254740992.0 && value == static_cast<double>(static_cast<int64_t>(value)))
        return static_cast<size_t>(std::to_chars(p, p + 20, static_cast<int64_t>(value)).ptr - out);

    text = p;
    if (small) {
        zeros = zeros_behind_point(value);
        memcpy(p, "0.000000", 8);
        text = p + 1 + zeros;
    }
    end = std::to_chars(text, text + scientific_max, value, std::chars_format::scientific).ptr;
    e = end[-4] == 'e' ? end - 4 : end - 5;
    n = e == text + 1 ? 1 : static_cast<int>(e - text) - 1;
    if (small) {
        text[1] = text[0];
        text[0] = zeros ? '0' : '.';
        return static_cast<size_t>(text + 1 + n - out);
    }
    exponent = (end[-2] - '0') * 10 + (end[-1] - '0') + (e == end - 5 ? (end[-3] - '0') * 100 : 0);
    if (e[1] == '+' && exponent < 21) return static_cast<size_t>(p - out) + lay_out_large(p, n, exponent);
    return static_cast<size_t>(std::to_chars(e + 2, e + 6, exponent).ptr - out); /* 1e-7, not 1e-07 */
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

        p = take_digits(p, end, &mantissa);
        digits = p - from > mantissa_digits_max ? mantissa_digits_max + 1 : static_cast<int>(p - from);
    }
    if (p < end && *p == '.') {
        const char *from = ++p;

        p = take_digits(p, end, &mantissa);
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

const char *psa_number_row(const char *p, const char *end, double *value, size_t room, size_t *n)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
        return scan_row(p, end, value, room, n);
#else
    (void)end;
    (void)value;
    (void)room;
#endif
    *n = 0;
    return p;
}

bool psa_int_parse(const char *p, const char *end, int64_t *value)
{
    const char *digits = p < end && *p == '-' ? p + 1 : p;
    uint64_t magnitude = 0, limit = static_cast<uint64_t>(INT64_MAX) + (digits > p ? 1 : 0);

    if (digits == end || !is_digit(*digits) || (*digits == '0' && digits + 1 != end)) return false;
    if (end - digits > mantissa_digits_max || take_digits(digits, end, &magnitude) != end || magnitude > limit)
        return false;
    *value = static_cast<int64_t>(digits > p ? 0 - magnitude : magnitude);
    return true;
}

const char *psa_digits_skip(const char *p, const char *end)
{
    uint64_t mantissa = 0;

    return take_digits(p, end, &mantissa);
}

bool psa_number_parse(const char *p, const char *end, double *value)
{
    bool finite;

    return psa_number_scan(p, end, value, &finite) == end && p < end && finite;
}
