/*
 * json.h - strict RFC 8259: checking a text, and a pull reader for the JSON that psa keeps itself (models, states,
 * control lines, the anomaly member).
 */
#ifndef PSA_CORE_JSON_H
#define PSA_CORE_JSON_H

#include "core/arena.h"
#include "psa.h"

/* Nesting that the checks accept unless told otherwise; --max-depth. */
#define PSA_JSON_DEPTH 64

/* Why a text was refused, and where. */
struct psa_json_fault {
    const char *what; /* "a control character in a string" */
    const char *at;
};

/* The byte behind the white space that starts at p. */
const char *psa_json_space(const char *p, const char *end);

/* Bytes of the UTF-8 character at text, `left` > 0 bytes being there (RFC 3629 section 4's table, above ASCII); 0: none. */
size_t psa_utf8_length(const char *text, size_t left);
/* Is all of it UTF-8? */
bool psa_utf8_is(const char *text);

/* Check one string that starts at the quote p: the byte behind its closing quote, or NULL. UTF-8 is checked, lone
 * surrogate escapes pass. *escaped (may be NULL) says that it holds a backslash, so that its text is not its content. */
const char *psa_json_string(const char *p, const char *end, bool *escaped, struct psa_json_fault *fault);

/* Check one value of any kind that starts at p (no white space before it): the byte behind it, or NULL. */
const char *psa_json_value(const char *p, const char *end, int depth, struct psa_json_fault *fault);

/* The content of a checked string, given without its quotes. Without escapes it is the span itself, else decoded into
 * the arena (a lone surrogate becomes its 3-byte form, so that different names stay different); .p == NULL when memory
 * is out. */
struct psa_str psa_json_unescape(struct psa_str inner, struct psa_arena *arena);

/*
 * The pull reader. It checks as it goes; after any mistake `fault.what` is set and every call returns at once with
 * false, 0 or an empty span, so that a caller may check once at the end. To read {"a":1,"b":[2,3]}:
 *
 *     psa_json_open(&in, text, arena);
 *     psa_json_enter_object(&in);
 *     while (psa_json_next_member(&in, &name)) ... psa_json_number(&in) / psa_json_enter_array(&in) ...
 *     if (!psa_json_close(&in)) ... in.fault
 */
struct psa_json {
    const char *p, *begin, *end;
    struct psa_arena *arena; /* for strings with escapes */
    struct psa_json_fault fault;
    bool fresh; /* just behind a { or [: no comma is due */
    int depth;
};

void psa_json_open(struct psa_json *in, struct psa_str text, struct psa_arena *arena);
bool psa_json_enter_object(struct psa_json *in);
bool psa_json_enter_array(struct psa_json *in);
/* The next member's name; its value must then be read or skipped. false: the object has ended (and was left). */
bool psa_json_next_member(struct psa_json *in, struct psa_str *name);
/* true: there is another item, to be read or skipped. false: the array has ended (and was left). */
bool psa_json_next_item(struct psa_json *in);
double psa_json_number(struct psa_json *in); /* null reads as NaN; a number too large is a fault */
int64_t psa_json_int(struct psa_json *in);
bool psa_json_bool(struct psa_json *in);
struct psa_str psa_json_text(struct psa_json *in); /* a string's content */
struct psa_str psa_json_skip(struct psa_json *in); /* any value, checked; its text */
/* The first byte of the value that comes next ('{', '"', '-', ...), 0 at a fault or the end. */
char psa_json_peek(struct psa_json *in);
/* Record a fault at the reader's place, for what the caller finds wrong in content. Always returns false. */
bool psa_json_refuse(struct psa_json *in, const char *what);
/* true when nothing was wrong and only white space is left. */
bool psa_json_close(struct psa_json *in);

/* The text of the value of the member of that very name (dots are letters) in a checked object's text. */
struct psa_str psa_json_member(struct psa_str object, struct psa_str name);

/* The text of the value at a dotted path ("tags.host") within a checked object's text; .p == NULL when absent. With
 * duplicates the last one counts. */
struct psa_str psa_json_find(struct psa_str object, const char *path);

#endif
