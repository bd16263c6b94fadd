/* buf.c - see buf.h. */
#include "core/buf.h"

#include <stdlib.h>
#include <string.h>

#include "core/number.h"

enum { FIRST_CAPACITY = 256 };

char *psa_buf_room(struct psa_buf *buf, size_t n)
{
    if (buf->failed) return NULL;
    if (buf->cap - buf->n < n) {
        size_t cap = buf->cap ? buf->cap : FIRST_CAPACITY;
        char *grown;

        while (cap - buf->n < n) cap *= 2;
        grown = realloc(buf->p, cap);
        if (!grown) {
            buf->failed = true;
            return NULL;
        }
        buf->p = grown;
        buf->cap = cap;
    }
    return buf->p + buf->n;
}

void psa_buf_put(struct psa_buf *buf, const char *p, size_t n)
{
    char *place = n ? psa_buf_room(buf, n) : NULL;

    if (!place) return;
    memcpy(place, p, n);
    buf->n += n;
}

void psa_buf_puts(struct psa_buf *buf, const char *text)
{
    psa_buf_put(buf, text, strlen(text));
}

void psa_buf_free(struct psa_buf *buf)
{
    free(buf->p);
    *buf = (struct psa_buf){ 0 };
}

static const char hex[] = "0123456789abcdef";

/* The 3 bytes that psa_json_unescape makes of a lone surrogate's escape: no UTF-8, so they leave as the escape again. */
static bool is_surrogate(struct psa_str text, size_t at)
{
    return text.n - at >= 3 && text.p[at] == '\xed' && (unsigned char)text.p[at + 1] >= 0xa0;
}

static size_t put_surrogate(char *out, const char *p)
{
    memcpy(out, "\\ud", 3);
    out[3] = hex[8 | ((unsigned char)p[1] >> 2 & 7)];
    out[4] = hex[((unsigned char)p[1] & 3) << 2 | ((unsigned char)p[2] >> 4 & 3)];
    out[5] = hex[p[2] & 15];
    return 6;
}

void psa_buf_quote(struct psa_buf *buf, struct psa_str text)
{
    char *p = psa_buf_room(buf, text.n * 6 + 2), *begin = p;

    if (!p) return;
    *p++ = '"';
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c == '"' || c == '\\') {
            *p++ = '\\';
            *p++ = (char)c;
        } else if (c == '\n') {
            *p++ = '\\';
            *p++ = 'n';
        } else if (c == '\t') {
            *p++ = '\\';
            *p++ = 't';
        } else if (is_surrogate(text, i)) {
            p += put_surrogate(p, text.p + i);
            i += 2;
        } else if (c < 0x20 || c == 0x7f) {
            memcpy(p, "\\u00", 4);
            p[4] = hex[c >> 4];
            p[5] = hex[c & 15];
            p += 6;
        } else {
            *p++ = (char)c;
        }
    }
    *p++ = '"';
    buf->n += (size_t)(p - begin);
}

void psa_buf_number(struct psa_buf *buf, double value)
{
    char *p = psa_buf_room(buf, PSA_NUMBER_MAX);

    if (p) buf->n += psa_number_format(value, p);
}

void psa_buf_int(struct psa_buf *buf, int64_t value)
{
    char *p = psa_buf_room(buf, PSA_NUMBER_MAX);

    if (p) buf->n += psa_int_format(value, p);
}

void psa_buf_numbers(struct psa_buf *buf, const double *value, size_t n)
{
    char *p = psa_buf_room(buf, n * (PSA_NUMBER_MAX + 1) + 2), *begin = p;

    if (!p) return;
    *p++ = '[';
    for (size_t i = 0; i < n; i++) {
        if (i) *p++ = ',';
        p += psa_number_format(value[i], p);
    }
    *p++ = ']';
    buf->n += (size_t)(p - begin);
}

void psa_buf_comma(struct psa_buf *buf)
{
    if (buf->n && buf->p[buf->n - 1] != '{' && buf->p[buf->n - 1] != '[') psa_buf_put(buf, ",", 1);
}

void psa_buf_name(struct psa_buf *buf, const char *name)
{
    psa_buf_comma(buf);
    psa_buf_quote(buf, psa_str_of(name));
    psa_buf_put(buf, ":", 1);
}

void psa_buf_member_int(struct psa_buf *buf, const char *name, int64_t value)
{
    psa_buf_name(buf, name);
    psa_buf_int(buf, value);
}

void psa_buf_member_number(struct psa_buf *buf, const char *name, double value)
{
    psa_buf_name(buf, name);
    psa_buf_number(buf, value);
}

void psa_buf_member_numbers(struct psa_buf *buf, const char *name, const double *value, size_t n)
{
    psa_buf_name(buf, name);
    psa_buf_numbers(buf, value, n);
}

void psa_buf_member_text(struct psa_buf *buf, const char *name, struct psa_str value)
{
    psa_buf_name(buf, name);
    psa_buf_quote(buf, value);
}

void psa_buf_member_bool(struct psa_buf *buf, const char *name, bool value)
{
    psa_buf_name(buf, name);
    psa_buf_puts(buf, value ? "true" : "false");
}

struct psa_str psa_str_of(const char *text)
{
    return (struct psa_str){ text, strlen(text) };
}
