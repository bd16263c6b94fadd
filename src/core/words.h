/* words.h - words as the shell cuts them: POSIX.1-2017, XCU 2.2 (quoting), without anything that expands. */
#ifndef PSA_CORE_WORDS_H
#define PSA_CORE_WORDS_H

#include "psa.h"

/* The first byte that is none of `blanks`, nor a backslash with the line end behind it, which together are nothing. */
const char *psa_word_begin(const char *p, const char *blanks);

/*
 * Cut the word at *p, which becomes the byte behind it: its quotes are taken off while it moves to *out, which becomes the
 * byte behind the NUL that ends it there; it needs no more room than it has now and one byte. It ends at a NUL, or at a
 * byte of `ends` that is not quoted. false: a quote is not closed.
 *
 * '...' keeps every byte. A backslash keeps the byte behind it; within "..." only a $, `, ", or backslash, and before any
 * other byte it is one itself. A backslash and a line end go, but within '...'.
 */
bool psa_word_cut(const char **p, char **out, const char *ends);

#endif
