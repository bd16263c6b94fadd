/* json.c - see json.h. RFC 8259 for the grammar, RFC 3629 for UTF-8. */
#include "core/json.h"

#include <math.h>
#include <string.h>

#include "core/buf.h"
#include "core/number.h"

static const char *refuse(struct psa_json_fault *fault, const char *at, const char *what)
{
    if (fault) {
        fault->at = at;
        fault->what = what;
    }
    return NULL;
}

const char *psa_json_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;
    return p;
}

size_t psa_utf8_length(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xbf;
    size_t n;

    if (p[0] >= 0xc2 && p[0] <= 0xdf) n = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef) n = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4) n = 4;
    else return 0;
    if (p[0] == 0xe0) low = 0xa0;
    if (p[0] == 0xed) high = 0x9f;
    if (p[0] == 0xf0) low = 0x90;
    if (p[0] == 0xf4) high = 0x8f;
    if (left < n || p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < n; i++)
        if (p[i] < 0x80 || p[i] > 0xbf) return 0;
    return n;
}

bool psa_utf8_is(const char *text)
{
    const char *end = text + strlen(text);

    while (text < end) {
        const size_t n = (unsigned char)*text < 0x80 ? 1 : psa_utf8_length(text, (size_t)(end - text));
        if (n == 0) return false;
        text += n;
    }
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Bytes of the escape that starts at the backslash p, 0 when it is none. */
static size_t escape_length(const char *p, const char *end)
{
    if (end - p < 2) return 0;
    if (p[1] && strchr("\"\\/bfnrt", p[1])) return 2;
    if (p[1] != 'u' || end - p < 6) return 0;
    for (int i = 2; i < 6; i++)
        if (hex_value(p[i]) < 0) return 0;
    return 6;
}

const char *psa_json_string(const char *p, const char *end, bool *escaped, struct psa_json_fault *fault)
{
    if (escaped) *escaped = false;
    for (p++; p < end;) {
        unsigned char c = (unsigned char)*p;
        size_t n = 1;

        if (c == '"') return p + 1;
        if (c < 0x20) return refuse(fault, p, "a control character in a string");
        if (c == '\\') {
            n = escape_length(p, end);
            if (!n) return refuse(fault, p, "a backslash that starts no escape");
            if (escaped) *escaped = true;
        } else if (c >= 0x80) {
            n = psa_utf8_length(p, (size_t)(end - p));
            if (!n) return refuse(fault, p, "bytes that are not UTF-8");
        }
        p += n;
    }
    return refuse(fault, end, "a string without its closing quote");
}

static const char *literal(const char *p, const char *end, const char *word, struct psa_json_fault *fault)
{
    size_t n = strlen(word);

    if ((size_t)(end - p) >= n && memcmp(p, word, n) == 0) return p + n;
    return refuse(fault, p, "a word that is not true, false or null");
}

/* One member's name and colon, up to its value. */
static const char *member_name(const char *p, const char *end, struct psa_json_fault *fault)
{
    if (p == end || *p != '"') return refuse(fault, p, "no member name in quotes");
    p = psa_json_string(p, end, NULL, fault);
    if (!p) return NULL;
    p = psa_json_space(p, end);
    if (p == end || *p != ':') return refuse(fault, p, "no colon behind a member name");
    return psa_json_space(p + 1, end);
}

/* An object or an array, from its bracket. Recursion is bounded by depth. */
static const char *container(const char *p, const char *end, int depth, struct psa_json_fault *fault)
{
    bool object = *p == '{';
    char close = object ? '}' : ']';

    if (depth <= 0) return refuse(fault, p, "nesting deeper than --max-depth");
    p = psa_json_space(p + 1, end);
    if (p < end && *p == close) return p + 1;
    for (;;) {
        if (object) p = member_name(p, end, fault);
        if (p) p = psa_json_value(p, end, depth - 1, fault);
        if (!p) return NULL;
        p = psa_json_space(p, end);
        if (p < end && *p == close) return p + 1;
        if (p == end || *p != ',')
            return refuse(fault, p, object ? "no comma or } behind a member" : "no comma or ] behind an item");
        p = psa_json_space(p + 1, end);
    }
}

const char *psa_json_value(const char *p, const char *end, int depth, struct psa_json_fault *fault)
{
    const char *behind;
    double number;
    bool finite;

    if (p == end) return refuse(fault, p, "no value");
    switch (*p) {
    case '{':
    case '[': return container(p, end, depth, fault);
    case '"': return psa_json_string(p, end, NULL, fault);
    case 't': return literal(p, end, "true", fault);
    case 'f': return literal(p, end, "false", fault);
    case 'n': return literal(p, end, "null", fault);
    default: behind = psa_number_scan(p, end, &number, &finite); return behind ? behind : refuse(fault, p, "no value");
    }
}

/* Append code point c as UTF-8; a surrogate in its 3-byte form. */
static char *put_utf8(char *p, unsigned c)
{
    if (c < 0x80) {
        *p++ = (char)c;
    } else if (c < 0x800) {
        *p++ = (char)(0xc0 | c >> 6);
        *p++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *p++ = (char)(0xe0 | c >> 12);
        *p++ = (char)(0x80 | (c >> 6 & 0x3f));
        *p++ = (char)(0x80 | (c & 0x3f));
    } else {
        *p++ = (char)(0xf0 | c >> 18);
        *p++ = (char)(0x80 | (c >> 12 & 0x3f));
        *p++ = (char)(0x80 | (c >> 6 & 0x3f));
        *p++ = (char)(0x80 | (c & 0x3f));
    }
    return p;
}

static unsigned hex4(const char *p)
{
    unsigned c = 0;

    for (int i = 0; i < 4; i++) c = c << 4 | (unsigned)hex_value(p[i]);
    return c;
}

struct psa_str psa_json_unescape(struct psa_str inner, struct psa_arena *arena)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *p = inner.p, *end = inner.p + inner.n;
    char *out, *begin;

    if (!inner.n || !memchr(inner.p, '\\', inner.n)) return inner;
    begin = out = psa_arena_take(arena, inner.n);
    if (!out) return (struct psa_str){ NULL, 0 };
    while (p < end) {
        const char *named;

        if (*p != '\\') {
            *out++ = *p++;
            continue;
        }
        if (p[1] == 'u') {
            unsigned c = hex4(p + 2);

            p += 6;
            if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
                unsigned low = hex4(p + 2);

                if (low >= 0xdc00 && low < 0xe000) {
                    c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                    p += 6;
                }
            }
            out = put_utf8(out, c);
            continue;
        }
        named = strchr(from, p[1]);
        *out++ = named ? to[named - from] : p[1];
        p += 2;
    }
    return (struct psa_str){ begin, (size_t)(out - begin) };
}

/* ---- the pull reader ------------------------------------------------------------------------------------------- */

void psa_json_open(struct psa_json *in, struct psa_str text, struct psa_arena *arena)
{
    *in = (struct psa_json){ .p = text.p, .begin = text.p, .end = text.p + text.n, .arena = arena, .fresh = true };
}

bool psa_json_refuse(struct psa_json *in, const char *what)
{
    if (!in->fault.what) in->fault = (struct psa_json_fault){ what, in->p };
    return false;
}

char psa_json_peek(struct psa_json *in)
{
    if (in->fault.what) return 0;
    in->p = psa_json_space(in->p, in->end);
    return in->p < in->end ? *in->p : 0;
}

static bool enter(struct psa_json *in, char bracket, const char *what)
{
    if (psa_json_peek(in) != bracket) return psa_json_refuse(in, what);
    if (++in->depth > PSA_JSON_DEPTH) return psa_json_refuse(in, "nesting too deep");
    in->p++;
    in->fresh = true;
    return true;
}

bool psa_json_enter_object(struct psa_json *in)
{
    return enter(in, '{', "an object was expected");
}

bool psa_json_enter_array(struct psa_json *in)
{
    return enter(in, '[', "an array was expected");
}

/* Go to the next element of the container that closes with `close`; false at its end, which is left. */
static bool next(struct psa_json *in, char close)
{
    char c = psa_json_peek(in);

    if (in->fault.what) return false;
    if (c == close) {
        in->p++;
        in->depth--;
        in->fresh = false;
        return false;
    }
    if (!in->fresh) {
        if (c != ',') return psa_json_refuse(in, "a comma or a closing bracket was expected");
        in->p++;
        psa_json_peek(in);
    }
    in->fresh = false;
    return true;
}

bool psa_json_next_member(struct psa_json *in, struct psa_str *name)
{
    if (!next(in, '}')) return false;
    *name = psa_json_text(in);
    if (in->fault.what) return false;
    if (psa_json_peek(in) != ':') return psa_json_refuse(in, "a colon was expected");
    in->p++;
    return true;
}

bool psa_json_next_item(struct psa_json *in)
{
    return next(in, ']');
}

struct psa_str psa_json_skip(struct psa_json *in)
{
    struct psa_str text = { in->p, 0 };
    const char *behind;

    psa_json_peek(in);
    if (in->fault.what) return text;
    behind = psa_json_value(in->p, in->end, PSA_JSON_DEPTH, &in->fault);
    if (!behind) return text;
    text = (struct psa_str){ in->p, (size_t)(behind - in->p) };
    in->p = behind;
    in->fresh = false;
    return text;
}

double psa_json_number(struct psa_json *in)
{
    struct psa_str text;
    double value;
    char c = psa_json_peek(in);

    if (c != 'n' && c != '-' && (c < '0' || c > '9')) return psa_json_refuse(in, "a number was expected"), NAN;
    text = psa_json_skip(in);
    if (in->fault.what || c == 'n') return NAN;
    if (!psa_number_parse(text.p, text.p + text.n, &value)) {
        psa_json_refuse(in, "a number too large");
        return NAN;
    }
    return value;
}

int64_t psa_json_int(struct psa_json *in)
{
    struct psa_str text;
    int64_t value = 0;
    char c = psa_json_peek(in);

    if (c != '-' && (c < '0' || c > '9')) return psa_json_refuse(in, "an integer was expected"), 0;
    text = psa_json_skip(in);
    if (in->fault.what || psa_int_parse(text.p, text.p + text.n, &value)) return value;
    psa_json_refuse(in, "an integer of 64 bits was expected");
    return 0;
}

bool psa_json_bool(struct psa_json *in)
{
    char c = psa_json_peek(in);

    if (c != 't' && c != 'f') return psa_json_refuse(in, "true or false was expected");
    psa_json_skip(in);
    return !in->fault.what && c == 't';
}

struct psa_str psa_json_text(struct psa_json *in)
{
    struct psa_str text = { NULL, 0 };

    if (psa_json_peek(in) != '"') return psa_json_refuse(in, "a string was expected"), text;
    text = psa_json_skip(in);
    if (in->fault.what) return (struct psa_str){ NULL, 0 };
    text = psa_json_unescape((struct psa_str){ text.p + 1, text.n - 2 }, in->arena);
    if (!text.p) psa_json_refuse(in, "out of memory");
    return text;
}

bool psa_json_close(struct psa_json *in)
{
    if (in->fault.what) return false;
    if (psa_json_peek(in)) return psa_json_refuse(in, "something stands behind the value");
    return true;
}

/* ---- finding a value -------------------------------------------------------------------------------------------- */

struct psa_str psa_json_member(struct psa_str object, struct psa_str name)
{
    struct psa_str found = { NULL, 0 }, member, text;
    struct psa_arena arena = { 0 };
    struct psa_json in;

    psa_json_open(&in, object, &arena);
    psa_json_enter_object(&in);
    while (psa_json_next_member(&in, &member)) {
        text = psa_json_skip(&in);
        if (!in.fault.what && psa_str_is(member, name)) found = text;
    }
    psa_arena_free(&arena);
    return found;
}

struct psa_str psa_json_find(struct psa_str object, const char *path)
{
    while (object.p && object.n && *object.p == '{') {
        const char *dot = strchr(path, '.');
        struct psa_str name = { path, dot ? (size_t)(dot - path) : strlen(path) };

        object = psa_json_member(object, name);
        if (!dot) return object;
        path = dot + 1;
    }
    return (struct psa_str){ NULL, 0 };
}
