/*
 * arena.h - a bump allocator whose chunks never move, so that spans into it stay valid until it is reset.
 * A reset keeps the chunks: after warm-up nothing is allocated any more.
 */
#ifndef PSA_CORE_ARENA_H
#define PSA_CORE_ARENA_H

#include "psa.h"

/* n bytes aligned for any type, owned by the arena; NULL when memory is out. */
void *psa_arena_take(struct psa_arena *arena, size_t n);

/* A copy of the span; .p == NULL when memory is out. An empty span gives a non-NULL p. */
struct psa_str psa_arena_copy(struct psa_arena *arena, struct psa_str text);

/* Forget the content, keep the memory. */
void psa_arena_reset(struct psa_arena *arena);

/* Give the memory back; the arena can be used again. A zeroed arena is an empty one. */
void psa_arena_free(struct psa_arena *arena);

#endif
