/*
 * random.h - a seeded generator for training: the same seed gives the same model on every machine.
 *
 * xoshiro256** 1.0 by D. Blackman and S. Vigna, "Scrambled Linear Pseudorandom Number Generators", ACM Transactions on
 * Mathematical Software 47(4), 2021, DOI 10.1145/3460772; its state is filled by splitmix64 (G. Steele, D. Lea, C. Flood,
 * "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014, DOI 10.1145/2660193.2660195), as its authors advise.
 */
#ifndef PSA_MODEL_RANDOM_H
#define PSA_MODEL_RANDOM_H

#include <stdint.h>

struct psa_random {
    uint64_t s[4];
};

/* Start the sequence that belongs to a seed; any seed is fine, 0 too. */
static inline void psa_random_seed(struct psa_random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        random->s[i] = z ^ (z >> 31);
    }
}

/* 64 random bits. */
static inline uint64_t psa_random_bits(struct psa_random *random)
{
    uint64_t *s = random->s;
    uint64_t scrambled = s[1] * 5, shifted = s[1] << 17;

    scrambled = ((scrambled << 7) | (scrambled >> 57)) * 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = (s[3] << 45) | (s[3] >> 19);
    return scrambled;
}

/* Uniform in [0, 1): 53 random bits. */
static inline double psa_random_uniform(struct psa_random *random)
{
    return (double)(psa_random_bits(random) >> 11) * 0x1p-53;
}

/* Uniform in 0 .. n-1 without bias, n >= 1: bits of the incomplete last interval are drawn again. */
static inline uint64_t psa_random_below(struct psa_random *random, uint64_t n)
{
    uint64_t incomplete;

    if (n < 2) return 0;
    incomplete = (UINT64_MAX - n + 1) % n; /* 2^64 mod n */
    for (;;) {
        uint64_t bits = psa_random_bits(random);

        if (bits >= incomplete) return bits % n;
    }
}

#endif
