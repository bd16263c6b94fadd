/* arena.c - see arena.h. */
#include "core/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 4096 };

struct psa_arena_chunk {
    struct psa_arena_chunk *next;
    size_t used, size;
    alignas(max_align_t) char bytes[];
};

/* Move on to a chunk with room for n bytes, making one behind the current chunk where the next is too small. */
static struct psa_arena_chunk *chunk_with_room(struct psa_arena *arena, size_t n)
{
    struct psa_arena_chunk *chunk = arena->current ? arena->current->next : arena->first;

    if (!chunk || chunk->size < n) {
        size_t size = n > CHUNK_BYTES ? n + n / 2 : CHUNK_BYTES;
        struct psa_arena_chunk *made = malloc(sizeof *made + size);

        if (!made) return NULL;
        made->size = size;
        made->next = chunk;
        if (arena->current) arena->current->next = made;
        else arena->first = made;
        chunk = made;
    }
    chunk->used = 0;
    arena->current = chunk;
    return chunk;
}

void *psa_arena_take(struct psa_arena *arena, size_t n)
{
    struct psa_arena_chunk *chunk = arena->current;
    char *place;

    n = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (!chunk || chunk->size - chunk->used < n) chunk = chunk_with_room(arena, n);
    if (!chunk) return NULL;
    place = chunk->bytes + chunk->used;
    chunk->used += n;
    return place;
}

struct psa_str psa_arena_copy(struct psa_arena *arena, struct psa_str text)
{
    char *copy = psa_arena_take(arena, text.n ? text.n : 1);

    if (!copy) return (struct psa_str){ NULL, 0 };
    if (text.n) memcpy(copy, text.p, text.n);
    return (struct psa_str){ copy, text.n };
}

void psa_arena_reset(struct psa_arena *arena)
{
    arena->current = NULL;
}

void psa_arena_free(struct psa_arena *arena)
{
    struct psa_arena_chunk *chunk = arena->first;

    while (chunk) {
        struct psa_arena_chunk *next = chunk->next;

        free(chunk);
        chunk = next;
    }
    arena->first = arena->current = NULL;
}
