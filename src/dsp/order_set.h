/*
 * order_set.h - an order-statistic multiset of doubles: insert, erase, rank and select in O(log n) expected.
 *
 * A treap: a binary search tree by (value, slot) that is a heap by priority (C. Aragon, R. Seidel, "Randomized Search
 * Trees", FOCS 1989, DOI 10.1109/SFCS.1989.63531), each node counting its subtree. The caller names the slot of every
 * value, a ring's place for example; the node's number is the slot, and its priority is a bijective hash of the slot. So
 * the shape depends only on which values are in which slots, not on the order they came in: a set that was saved and
 * filled again adds its sums in the same order, to the last bit.
 *
 * Memory: 20 bytes a slot (28 with sums). Slots not in use keep their value, NaN unless one was there.
 */
#ifndef PSA_DSP_ORDER_SET_H
#define PSA_DSP_ORDER_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Slots at most; the number above all marks "no node". */
#define PSA_ORDER_SET_SLOTS_MAX ((size_t)UINT32_MAX - 1)

struct psa_order_link {
    uint32_t child[2]; /* smaller, greater */
    uint32_t size;     /* nodes of the subtree, its root included; 0: the slot is not in the set */
};

struct psa_order_set {
    bool with_sums;
    uint32_t root;
    size_t capacity;
    double *value;               /* [capacity], by slot */
    struct psa_order_link *link; /* [capacity] */
    double *sum;                 /* [capacity], of the subtree's values; NULL without sums */
};

void psa_order_set_init(struct psa_order_set *set, bool with_sums);
void psa_order_set_free(struct psa_order_set *set);

/* Make room for slots 0 .. capacity-1; never shrinks. 0, or -1 when memory is out or capacity above
 * PSA_ORDER_SET_SLOTS_MAX; the set is then unchanged. */
int psa_order_set_reserve(struct psa_order_set *set, size_t capacity);

/* Put a value (finite) into a free slot below the capacity / take out what the slot holds. */
void psa_order_set_insert(struct psa_order_set *set, size_t slot, double value);
void psa_order_set_erase(struct psa_order_set *set, size_t slot);
static inline bool psa_order_set_has(const struct psa_order_set *set, size_t slot)
{
    return slot < set->capacity && set->link[slot].size > 0;
}

size_t psa_order_set_count(const struct psa_order_set *set);

/* How many values are < x / <= x. */
size_t psa_order_set_below(const struct psa_order_set *set, double x);
size_t psa_order_set_up_to(const struct psa_order_set *set, double x);
/* Both at once, quicker than one after the other. */
void psa_order_set_ranks(const struct psa_order_set *set, double x, size_t *below, size_t *up_to);

/* The value of rank k = 0 .. count-1 in ascending order. NaN outside. */
double psa_order_set_select(const struct psa_order_set *set, size_t k);

/* The sum of the values of rank >= k. Only with sums. */
double psa_order_set_sum_from(const struct psa_order_set *set, size_t k);

/* The value a fraction (0 .. 1) of the way from a to b, rounded as numpy's percentile rounds it. */
static inline double psa_order_between(double a, double b, double fraction)
{
    return fraction < 0.5 ? a + (b - a) * fraction : b - (b - a) * (1.0 - fraction);
}

/* The quantile at level 0 .. 1, linearly interpolated (h = (n-1) level, numpy's default). NaN of an empty set. */
double psa_order_set_quantile(const struct psa_order_set *set, double level);

#endif
