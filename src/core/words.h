/* words.h - words as the shell cuts them: blanks between, '...', "..." and backslashes that keep what would end one. */
#ifndef PSA_CORE_WORDS_H
#define PSA_CORE_WORDS_H

#include "psa.h"

/*
 * Cut the word at *p, which becomes the byte behind it: its quotes are taken off while it moves to *out, which becomes the
 * byte behind the NUL that ends it there; it needs no more room than it has now and one byte. It ends at a NUL, or at a
 * byte of `ends` that is not quoted. false: a quote is not closed.
 */
bool psa_word_cut(const char **p, char **out, const char *ends);

#endif
