/*
 * keyed.h - what a stage remembers, per stream key: a hash table of slots with least-recently-seen eviction.
 *
 * A stage's slot type starts with struct psa_slot. Slots never move.
 */
#ifndef PSA_CORE_KEYED_H
#define PSA_CORE_KEYED_H

#include "core/json.h"
#include "psa.h"

struct psa_slot {
    struct psa_str key; /* owned by the slot */
    void *owner;        /* what psa_keyed_own named */
    uint64_t hash;
    struct psa_slot *chain;         /* next of the same bucket */
    struct psa_slot *older, *newer; /* order of last use */
    bool has_time;
    int64_t newest_ns; /* event time never runs backwards within a key */
};

struct psa_slot_type {
    size_t size;                         /* of the stage's slot, struct psa_slot included; zeroed when made */
    void (*drop)(struct psa_slot *slot); /* release what the slot owns; may be NULL */
    /* Append the slot's content as JSON members (psa_buf_member_..., the object is already open) / read one member.
     * load returns false for a name it does not know (the state is refused). */
    void (*save)(const struct psa_slot *slot, struct psa_buf *out);
    bool (*load)(struct psa_slot *slot, struct psa_str name, struct psa_json *in);
    const char *const *needs; /* optional: names that every saved slot has, ended by NULL */
    /* Optional: after the last member of a loaded slot: check that they go together. */
    bool (*loaded)(struct psa_slot *slot);
};

struct psa_keyed;

struct psa_keyed *psa_keyed_new(const struct psa_slot_type *type, int64_t max_keys);
void psa_keyed_free(struct psa_keyed *keyed);
/* Every slot made from now on points at its owner, the stage's state, which loading a slot may need. */
void psa_keyed_own(struct psa_keyed *keyed, void *owner);

/* The slot of a key, made when new (*fresh says so) and now the most recently seen. At max_keys the least recently seen
 * slot is dropped first and *evicted is set. NULL when memory is out. */
struct psa_slot *psa_keyed_get(struct psa_keyed *keyed, struct psa_str key, bool *fresh, bool *evicted);
/* The slot of a key without making or touching it; NULL when there is none. */
struct psa_slot *psa_keyed_peek(const struct psa_keyed *keyed, struct psa_str key);
size_t psa_keyed_count(const struct psa_keyed *keyed);
/* Least recently seen first: start with NULL. */
struct psa_slot *psa_keyed_next(const struct psa_keyed *keyed, const struct psa_slot *slot);

/* Is the record older than the key's newest? A record without time is never late. */
bool psa_slot_late(const struct psa_slot *slot, const struct psa_record *record);
/* The record is accepted: the key's newest becomes its time. A rejected one must not move the key's clock. */
void psa_slot_advance(struct psa_slot *slot, const struct psa_record *record);

/* All slots as one JSON array, least recently seen first, so that loading restores the order. */
void psa_keyed_save(const struct psa_keyed *keyed, struct psa_buf *out);
/* false at a fault (in->fault says what) or when memory is out. */
bool psa_keyed_load(struct psa_keyed *keyed, struct psa_json *in);

#endif
