/* buf.h - a growing byte buffer, and the few ways psa writes JSON text into one. */
#ifndef PSA_CORE_BUF_H
#define PSA_CORE_BUF_H

#include "psa.h"

/* Zeroed is empty. After memory ran out `failed` is set, appends do nothing, and the owner checks it once at the end. */
struct psa_buf {
    char *p;
    size_t n, cap;
    bool failed;
};

/* Room for n more bytes: the place to write them, or NULL. The caller adds what it wrote to buf->n. */
char *psa_buf_room(struct psa_buf *buf, size_t n);
void psa_buf_put(struct psa_buf *buf, const char *p, size_t n);
void psa_buf_puts(struct psa_buf *buf, const char *text);
void psa_buf_free(struct psa_buf *buf);

/* The span of everything in the buffer. */
static inline struct psa_str psa_buf_str(const struct psa_buf *buf)
{
    return (struct psa_str){ buf->p, buf->n };
}

/* JSON: a quoted and escaped string (RFC 8259 section 7; the bytes are UTF-8 and stay as they are), a number in its
 * shortest form (NaN and infinity as null), an integer, an array of numbers. */
void psa_buf_quote(struct psa_buf *buf, struct psa_str text);
void psa_buf_number(struct psa_buf *buf, double value);
void psa_buf_int(struct psa_buf *buf, int64_t value);
void psa_buf_numbers(struct psa_buf *buf, const double *value, size_t n);

/* `"name":` with a comma before it unless the last byte is `{`, `[` or the buffer is empty; then the value. */
void psa_buf_name(struct psa_buf *buf, const char *name);
void psa_buf_member_int(struct psa_buf *buf, const char *name, int64_t value);
void psa_buf_member_number(struct psa_buf *buf, const char *name, double value);
void psa_buf_member_numbers(struct psa_buf *buf, const char *name, const double *value, size_t n);
void psa_buf_member_text(struct psa_buf *buf, const char *name, struct psa_str value);
void psa_buf_member_bool(struct psa_buf *buf, const char *name, bool value);

/* A comma unless the last byte is `{`, `[` or the buffer is empty. */
void psa_buf_comma(struct psa_buf *buf);

/* Spans. */
struct psa_str psa_str_of(const char *text);
/* Are n bytes the same? Names are short: a word at a time beats a call. */
static inline bool psa_bytes_are(const char *a, const char *b, size_t n)
{
    uint64_t x, y;

    for (; n >= 8; n -= 8, a += 8, b += 8) {
        __builtin_memcpy(&x, a, 8);
        __builtin_memcpy(&y, b, 8);
        if (x != y) return false;
    }
    for (; n; n--)
        if (*a++ != *b++) return false;
    return true;
}

static inline bool psa_str_is(struct psa_str a, struct psa_str b)
{
    return a.n == b.n && psa_bytes_are(a.p, b.p, a.n);
}
static inline bool psa_str_eq(struct psa_str a, const char *text)
{
    size_t n = __builtin_strlen(text);

    return a.n == n && psa_bytes_are(a.p, text, n);
}

#endif
