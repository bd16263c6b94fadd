/*
 * format.c - see format.h. Lines are made and read by hand, a number at a time: it is done for every record that comes
 * through the spool, three times over.
 */
#include "spool/format.h"

#include <string.h>

#include "core/crc32c.h"
#include "core/json.h"

enum {
    DIGITS_MAX = 20, /* of a uint64_t */
    CRC_DIGITS = 8
};

static const char hex[] = "0123456789abcdef";
static const char cursor_head[] = "psa-spool-cursor 1 done=";

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static char *put_digits(char *out, uint64_t value)
{
    char digits[DIGITS_MAX];
    size_t n = 0;

    do digits[DIGITS_MAX - ++n] = (char)('0' + value % 10);
    while (value /= 10);
    memcpy(out, digits + DIGITS_MAX - n, n);
    return out + n;
}

static char *put_crc(char *out, uint32_t crc)
{
    for (int shift = 28; shift >= 0; shift -= 4) *out++ = hex[crc >> shift & 15];
    return out;
}

/* The byte behind the decimal number without leading zeros at p; NULL where there is none, or none that fits. */
static const char *scan_digits(const char *p, const char *end, uint64_t *value)
{
    const char *begin = p;
    uint64_t sum = 0;

    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');

        if (p - begin >= DIGITS_MAX - 1 && (sum > UINT64_MAX / 10 || sum * 10 > UINT64_MAX - digit)) return NULL;
        sum = sum * 10 + digit;
    }
    if (p == begin || (*begin == '0' && p - begin > 1)) return NULL;
    *value = sum;
    return p;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *scan_crc(const char *p, const char *end, uint32_t *crc)
{
    uint32_t sum = 0;

    if (end - p < CRC_DIGITS) return NULL;
    for (int i = 0; i < CRC_DIGITS; i++) {
        int digit = hex_digit(*p++);

        if (digit < 0) return NULL;
        sum = sum << 4 | (uint32_t)digit;
    }
    *crc = sum;
    return p;
}

static const char *scan_space(const char *p, const char *end)
{
    return p && p < end && *p == ' ' ? p + 1 : NULL;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

void psa_spool_format_line(struct psa_buf *out, const struct psa_spool_record *record)
{
    size_t reason = record->reason.p ? record->reason.n + 1 : 0;
    size_t most = 2 * (DIGITS_MAX + 1) + CRC_DIGITS + 1 + reason + record->text.n + 1;
    char *begin = psa_buf_room(out, most), *p = begin, *checked;

    if (!p) return;
    p = put_digits(p, record->seq);
    *p++ = ' ';
    if (record->taken_ms < 0) *p++ = '-';
    else p = put_digits(p, (uint64_t)record->taken_ms);
    *p++ = ' ';
    checked = p;
    p += CRC_DIGITS;
    *p++ = ' ';
    if (record->reason.p) {
        memcpy(p, record->reason.p, record->reason.n);
        p += record->reason.n;
        *p++ = ' ';
    }
    if (record->text.n) memcpy(p, record->text.p, record->text.n);
    p += record->text.n;
    /* The CRC skips its own nine bytes: it is that of what stands before them, gone on with behind them. */
    uint32_t crc = psa_crc32c(0, begin, (size_t)(checked - begin));
    char *rest = checked + CRC_DIGITS + 1;
    put_crc(checked, psa_crc32c(crc, rest, (size_t)(p - rest)));
    *p++ = '\n';
    out->n += (size_t)(p - begin);
}

static const char *scan_taken(const char *p, const char *end, int64_t *taken_ms)
{
    uint64_t value;

    if (p < end && *p == '-') {
        *taken_ms = PSA_SPOOL_UNSYNCED;
        return p + 1;
    }
    p = scan_digits(p, end, &value);
    if (!p || value > INT64_MAX) return NULL;
    *taken_ms = (int64_t)value;
    return p;
}

bool psa_spool_parse_line(struct psa_str line, bool dead, struct psa_spool_record *record)
{
    const char *end = line.p + line.n, *checked, *p, *reason;
    struct psa_json_fault fault;
    uint32_t crc;

    if (line.n == 0 || line.n > PSA_SPOOL_LINE_MAX) return false;
    p = scan_space(scan_digits(line.p, end, &record->seq), end);
    if (!p || record->seq == 0 || record->seq > PSA_SPOOL_SEQ_MAX) return false;
    checked = scan_space(scan_taken(p, end, &record->taken_ms), end);
    if (!checked) return false;
    p = scan_space(scan_crc(checked, end, &crc), end);
    if (!p) return false;
    if (psa_crc32c(psa_crc32c(0, line.p, (size_t)(checked - line.p)), p, (size_t)(end - p)) != crc) return false;

    record->reason = (struct psa_str){ NULL, 0 };
    if (dead) {
        reason = p;
        p = p < end && *p == '"' ? psa_json_string(p, end, NULL, &fault) : NULL;
        if (p) record->reason = (struct psa_str){ reason, (size_t)(p - reason) };
        p = scan_space(p, end);
        if (!p) return false;
    }
    record->text = (struct psa_str){ p, (size_t)(end - p) };
    return true;
}

/* ---- the cursor -------------------------------------------------------------------------------------------------- */

static void put_member(struct psa_buf *out, const char *name, uint64_t value)
{
    char digits[DIGITS_MAX];

    psa_buf_puts(out, name);
    psa_buf_put(out, digits, (size_t)(put_digits(digits, value) - digits));
}

void psa_spool_format_cursor(struct psa_buf *out, const struct psa_spool_cursor *cursor)
{
    size_t begin = out->n;
    char crc[CRC_DIGITS];

    put_member(out, cursor_head, cursor->done);
    if (cursor->has_checkpoint) put_member(out, " checkpoint=", cursor->checkpoint);
    else psa_buf_puts(out, " checkpoint=-");
    put_member(out, " missing=", cursor->missing);
    put_member(out, " damaged=", cursor->damaged);
    put_member(out, " expired=", cursor->expired);
    if (out->failed) return;
    put_crc(crc, psa_crc32c(0, out->p + begin, out->n - begin));
    psa_buf_puts(out, " ");
    psa_buf_put(out, crc, sizeof crc);
    psa_buf_puts(out, "\n");
}

static const char *scan_word(const char *p, const char *end, const char *word)
{
    size_t n = strlen(word);

    return p && (size_t)(end - p) >= n && memcmp(p, word, n) == 0 ? p + n : NULL;
}

static const char *scan_member(const char *p, const char *end, const char *name, uint64_t *value)
{
    p = scan_word(p, end, name);
    return p ? scan_digits(p, end, value) : NULL;
}

bool psa_spool_parse_cursor(struct psa_str text, struct psa_spool_cursor *cursor)
{
    const char *end = text.p + text.n, *p, *checked;
    uint32_t crc;

    *cursor = (struct psa_spool_cursor){ 0 };
    if (text.n == 0) return false;
    p = scan_member(text.p, end, cursor_head, &cursor->done);
    checked = scan_word(p, end, " checkpoint=-");
    if (!checked) {
        checked = scan_member(p, end, " checkpoint=", &cursor->checkpoint);
        cursor->has_checkpoint = checked != NULL;
    }
    checked = scan_member(checked, end, " missing=", &cursor->missing);
    checked = scan_member(checked, end, " damaged=", &cursor->damaged);
    checked = scan_member(checked, end, " expired=", &cursor->expired);
    p = scan_space(checked, end);
    p = p && cursor->done <= PSA_SPOOL_SEQ_MAX ? scan_crc(p, end, &crc) : NULL;
    return p && scan_word(p, end, "\n") == end && psa_crc32c(0, text.p, (size_t)(checked - text.p)) == crc;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

void psa_spool_segment_name(uint64_t first, char name[PSA_SPOOL_NAME_MAX])
{
    for (int i = DIGITS_MAX - 1; i >= 0; i--, first /= 10) name[i] = (char)('0' + first % 10);
    memcpy(name + DIGITS_MAX, ".seg", 5);
}

bool psa_spool_is_segment(const char *name, uint64_t *first)
{
    const char *end = name + strspn(name, "0123456789"), *digits = name;

    if (end - name != DIGITS_MAX || strcmp(end, ".seg") != 0) return false;
    while (*digits == '0') digits++;                                       /* padding, which no number in a line has */
    return scan_digits(digits, end, first) && *first <= PSA_SPOOL_SEQ_MAX; /* no digits are left of zeros */
}

bool psa_spool_is_continued(uint64_t last, uint64_t seq, uint64_t later)
{
    return seq > last && seq - last > 1 && later > 0 && later - 1 <= last;
}

bool psa_spool_is_lost_tail(uint64_t before, uint64_t later)
{
    return later > 0 && later - 1 > before;
}
