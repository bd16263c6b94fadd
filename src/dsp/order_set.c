/* order_set.c - see order_set.h. */
#include "dsp/order_set.h"

#include <math.h>
#include <stdlib.h>

#define NONE UINT32_MAX

void psa_order_set_init(struct psa_order_set *set, bool with_sums)
{
    *set = (struct psa_order_set){ .with_sums = with_sums, .root = NONE };
}

void psa_order_set_free(struct psa_order_set *set)
{
    free(set->value);
    free(set->link);
    free(set->sum);
    psa_order_set_init(set, set->with_sums);
}

int psa_order_set_reserve(struct psa_order_set *set, size_t capacity)
{
    void *grown;

    if (capacity <= set->capacity) return 0;
    if (capacity > PSA_ORDER_SET_SLOTS_MAX) return -1;
    if ((grown = realloc(set->value, capacity * sizeof *set->value)) == NULL) return -1;
    set->value = grown;
    if ((grown = realloc(set->link, capacity * sizeof *set->link)) == NULL) return -1;
    set->link = grown;
    if (set->with_sums) {
        if ((grown = realloc(set->sum, capacity * sizeof *set->sum)) == NULL) return -1;
        set->sum = grown;
    }
    for (size_t slot = set->capacity; slot < capacity; slot++) {
        set->value[slot] = NAN;
        set->link[slot].size = 0;
    }
    set->capacity = capacity;
    return 0;
}

/* A bijection of 32-bit numbers, so that no two slots share a priority (C. Wellons' lowbias32). */
static inline uint32_t priority(uint32_t slot)
{
    uint32_t x = slot;

    x = (x ^ (x >> 16)) * UINT32_C(0x7feb352d);
    x = (x ^ (x >> 15)) * UINT32_C(0x846ca68b);
    return x ^ (x >> 16);
}

/* Which comes first: by value, equal values by slot. */
static inline bool before(const struct psa_order_set *set, uint32_t a, uint32_t b)
{
    double x = set->value[a], y = set->value[b];

    return x < y || (x == y && a < b);
}

static inline uint32_t size_of(const struct psa_order_set *set, uint32_t at)
{
    return at == NONE ? 0 : set->link[at].size;
}

/* Bring a node's counts up to date with its children. */
static inline void pull(struct psa_order_set *set, uint32_t at)
{
    struct psa_order_link *link = &set->link[at];

    link->size = size_of(set, link->child[0]) + 1 + size_of(set, link->child[1]);
    if (set->with_sums) {
        double smaller = link->child[0] == NONE ? 0.0 : set->sum[link->child[0]];
        double greater = link->child[1] == NONE ? 0.0 : set->sum[link->child[1]];

        set->sum[at] = smaller + set->value[at] + greater;
    }
}

/* Cut the tree `at` into what comes before slot and what comes after it. Recursion as deep as the tree: O(log n)
 * expected, whatever the values are, because priorities do not depend on them. */
static void split(struct psa_order_set *set, uint32_t at, uint32_t slot, uint32_t *smaller, uint32_t *greater)
{
    if (at == NONE) {
        *smaller = *greater = NONE;
        return;
    }
    if (before(set, at, slot)) {
        split(set, set->link[at].child[1], slot, &set->link[at].child[1], greater);
        *smaller = at;
    } else {
        split(set, set->link[at].child[0], slot, smaller, &set->link[at].child[0]);
        *greater = at;
    }
    pull(set, at);
}

/* Join two trees, every node of a before every node of b. */
static uint32_t join(struct psa_order_set *set, uint32_t a, uint32_t b)
{
    if (a == NONE || b == NONE) return a == NONE ? b : a;
    if (priority(a) > priority(b)) {
        set->link[a].child[1] = join(set, set->link[a].child[1], b);
        pull(set, a);
        return a;
    }
    set->link[b].child[0] = join(set, a, set->link[b].child[0]);
    pull(set, b);
    return b;
}

/* With sums the way back up adds every subtree anew, so that a sum depends on the shape alone. */
static uint32_t insert_summed(struct psa_order_set *set, uint32_t at, uint32_t slot)
{
    struct psa_order_link *link = &set->link[slot];
    bool side;

    if (at == NONE || priority(slot) > priority(at)) {
        split(set, at, slot, &link->child[0], &link->child[1]);
        pull(set, slot);
        return slot;
    }
    side = before(set, at, slot);
    set->link[at].child[side] = insert_summed(set, set->link[at].child[side], slot);
    pull(set, at);
    return at;
}

static uint32_t erase_summed(struct psa_order_set *set, uint32_t at, uint32_t slot)
{
    bool side;

    if (at == slot) return join(set, set->link[at].child[0], set->link[at].child[1]);
    side = before(set, at, slot);
    set->link[at].child[side] = erase_summed(set, set->link[at].child[side], slot);
    pull(set, at);
    return at;
}

/* Without sums the counts change on the way down, which leaves the siblings' memory alone. */
static void insert_counted(struct psa_order_set *set, uint32_t slot)
{
    struct psa_order_link *link = &set->link[slot];
    uint32_t *at = &set->root;

    while (*at != NONE && priority(*at) > priority(slot)) {
        set->link[*at].size++;
        at = &set->link[*at].child[before(set, *at, slot)];
    }
    split(set, *at, slot, &link->child[0], &link->child[1]);
    pull(set, slot);
    *at = slot;
}

static void erase_counted(struct psa_order_set *set, uint32_t slot)
{
    uint32_t *at = &set->root;

    while (*at != slot) {
        set->link[*at].size--;
        at = &set->link[*at].child[before(set, *at, slot)];
    }
    *at = join(set, set->link[slot].child[0], set->link[slot].child[1]);
}

void psa_order_set_insert(struct psa_order_set *set, size_t slot, double value)
{
    set->value[slot] = value;
    if (set->with_sums) set->root = insert_summed(set, set->root, (uint32_t)slot);
    else insert_counted(set, (uint32_t)slot);
}

void psa_order_set_erase(struct psa_order_set *set, size_t slot)
{
    if (set->with_sums) set->root = erase_summed(set, set->root, (uint32_t)slot);
    else erase_counted(set, (uint32_t)slot);
    set->link[slot].size = 0;
}

size_t psa_order_set_count(const struct psa_order_set *set)
{
    return size_of(set, set->root);
}

/* How many values of the subtree are < x. */
static size_t below_in(const struct psa_order_set *set, uint32_t at, double x)
{
    size_t rank = 0;

    while (at != NONE) {
        bool after = set->value[at] < x;

        if (after) rank += size_of(set, set->link[at].child[0]) + 1;
        at = set->link[at].child[after];
    }
    return rank;
}

/* How many values of the subtree are <= x. */
static size_t up_to_in(const struct psa_order_set *set, uint32_t at, double x)
{
    size_t rank = 0;

    while (at != NONE) {
        bool after = set->value[at] <= x;

        if (after) rank += size_of(set, set->link[at].child[0]) + 1;
        at = set->link[at].child[after];
    }
    return rank;
}

size_t psa_order_set_below(const struct psa_order_set *set, double x)
{
    return below_in(set, set->root, x);
}

size_t psa_order_set_up_to(const struct psa_order_set *set, double x)
{
    return up_to_in(set, set->root, x);
}

void psa_order_set_ranks(const struct psa_order_set *set, double x, size_t *below, size_t *up_to)
{
    size_t rank = 0;
    uint32_t at = set->root;

    while (at != NONE && set->value[at] != x) { /* one way for both, as far as it goes */
        bool after = set->value[at] < x;

        if (after) rank += size_of(set, set->link[at].child[0]) + 1;
        at = set->link[at].child[after];
    }
    *below = *up_to = rank;
    if (at == NONE) return;
    *below += below_in(set, set->link[at].child[0], x);
    *up_to += size_of(set, set->link[at].child[0]) + 1 + up_to_in(set, set->link[at].child[1], x);
}

double psa_order_set_select(const struct psa_order_set *set, size_t k)
{
    uint32_t at = set->root;

    while (at != NONE) {
        size_t smaller = size_of(set, set->link[at].child[0]);

        if (k == smaller) return set->value[at];
        if (k < smaller) {
            at = set->link[at].child[0];
        } else {
            k -= smaller + 1;
            at = set->link[at].child[1];
        }
    }
    return NAN;
}

double psa_order_set_sum_from(const struct psa_order_set *set, size_t k)
{
    double total = 0.0;

    for (uint32_t at = set->root; at != NONE;) {
        const struct psa_order_link *link = &set->link[at];
        size_t smaller = size_of(set, link->child[0]);

        if (k > smaller) {
            k -= smaller + 1;
            at = link->child[1];
            continue;
        }
        total += set->value[at] + (link->child[1] == NONE ? 0.0 : set->sum[link->child[1]]);
        at = link->child[0];
    }
    return total;
}

double psa_order_set_quantile(const struct psa_order_set *set, double level)
{
    size_t n = psa_order_set_count(set), k;
    double at;

    if (n == 0) return NAN;
    at = (double)(n - 1) * level;
    k = (size_t)at;
    if (k + 1 >= n) return psa_order_set_select(set, n - 1);
    return psa_order_between(psa_order_set_select(set, k), psa_order_set_select(set, k + 1), at - (double)k);
}
