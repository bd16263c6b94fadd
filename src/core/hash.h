/* hash.h - FNV-1a, 64 bits (Fowler, Noll and Vo, draft-eastlake-fnv): small, byte-wise, the same on every machine. */
#ifndef PSA_CORE_HASH_H
#define PSA_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define PSA_HASH_START UINT64_C(14695981039346656037)

/* The hash of what `hash` stands for followed by n bytes; begin with PSA_HASH_START. */
static inline uint64_t psa_hash(uint64_t hash, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++) hash = (hash ^ p[i]) * UINT64_C(1099511628211);
    return hash;
}

#endif
