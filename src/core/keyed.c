/* keyed.c - see keyed.h. Chained hashing; the table doubles when it is full. */
#include "core/keyed.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/hash.h"

enum {
    FIRST_BUCKETS = 16,
    MEMBERS_MAX = 32 /* of one slot in a state; no stage has as many */
};

struct psa_keyed {
    const struct psa_slot_type *type;
    void *owner;
    size_t max_keys, n, n_bucket;
    struct psa_slot **bucket;
    struct psa_slot *oldest, *newest;
};

static uint64_t hash_of(struct psa_str key)
{
    return psa_hash(PSA_HASH_START, key.p, key.n);
}

struct psa_keyed *psa_keyed_new(const struct psa_slot_type *type, int64_t max_keys)
{
    struct psa_keyed *keyed = calloc(1, sizeof *keyed);

    if (!keyed) return NULL;
    keyed->type = type;
    keyed->max_keys = max_keys > 0 ? (size_t)max_keys : 1;
    keyed->n_bucket = FIRST_BUCKETS;
    keyed->bucket = calloc(keyed->n_bucket, sizeof *keyed->bucket);
    if (keyed->bucket) return keyed;
    free(keyed);
    return NULL;
}

void psa_keyed_own(struct psa_keyed *keyed, void *owner)
{
    keyed->owner = owner;
}

static void slot_free(struct psa_keyed *keyed, struct psa_slot *slot)
{
    if (keyed->type->drop) keyed->type->drop(slot);
    free((char *)slot->key.p);
    free(slot);
}

void psa_keyed_free(struct psa_keyed *keyed)
{
    struct psa_slot *slot, *newer;

    if (!keyed) return;
    for (slot = keyed->oldest; slot; slot = newer) {
        newer = slot->newer;
        slot_free(keyed, slot);
    }
    free(keyed->bucket);
    free(keyed);
}

/* ---- order of last use ------------------------------------------------------------------------------------------------ */

static void unlink_order(struct psa_keyed *keyed, struct psa_slot *slot)
{
    if (slot->older) slot->older->newer = slot->newer;
    else keyed->oldest = slot->newer;
    if (slot->newer) slot->newer->older = slot->older;
    else keyed->newest = slot->older;
}

static void link_newest(struct psa_keyed *keyed, struct psa_slot *slot)
{
    slot->older = keyed->newest;
    slot->newer = NULL;
    if (keyed->newest) keyed->newest->newer = slot;
    else keyed->oldest = slot;
    keyed->newest = slot;
}

/* ---- buckets ------------------------------------------------------------------------------------------------------------ */

static struct psa_slot **bucket_of(const struct psa_keyed *keyed, uint64_t hash)
{
    return &keyed->bucket[(hash ^ hash >> 32) & (keyed->n_bucket - 1)];
}

static struct psa_slot *find(const struct psa_keyed *keyed, struct psa_str key, uint64_t hash)
{
    struct psa_slot *slot = *bucket_of(keyed, hash);

    while (slot && (slot->hash != hash || !psa_str_is(slot->key, key))) slot = slot->chain;
    return slot;
}

/* Twice the buckets. Without memory for them the chains grow longer, and nothing else happens. */
static void grow(struct psa_keyed *keyed)
{
    struct psa_slot **wider = calloc(keyed->n_bucket * 2, sizeof *wider);

    if (!wider) return;
    free(keyed->bucket);
    keyed->bucket = wider;
    keyed->n_bucket *= 2;
    for (struct psa_slot *slot = keyed->oldest; slot; slot = slot->newer) {
        struct psa_slot **bucket = bucket_of(keyed, slot->hash);

        slot->chain = *bucket;
        *bucket = slot;
    }
}

static void drop_oldest(struct psa_keyed *keyed)
{
    struct psa_slot *slot = keyed->oldest, **link = bucket_of(keyed, slot->hash);

    while (*link != slot) link = &(*link)->chain;
    *link = slot->chain;
    unlink_order(keyed, slot);
    slot_free(keyed, slot);
    keyed->n--;
}

static struct psa_slot *make(struct psa_keyed *keyed, struct psa_str key, uint64_t hash)
{
    struct psa_slot *slot = calloc(1, keyed->type->size);
    char *copy = malloc(key.n + 1);
    struct psa_slot **bucket;

    if (!slot || !copy) {
        free(slot);
        free(copy);
        return NULL;
    }
    memcpy(copy, key.p, key.n);
    slot->key = (struct psa_str){ copy, key.n };
    slot->hash = hash;
    slot->owner = keyed->owner;
    if (keyed->n >= keyed->n_bucket) grow(keyed);
    bucket = bucket_of(keyed, hash);
    slot->chain = *bucket;
    *bucket = slot;
    link_newest(keyed, slot);
    keyed->n++;
    return slot;
}

struct psa_slot *psa_keyed_get(struct psa_keyed *keyed, struct psa_str key, bool *fresh, bool *evicted)
{
    struct psa_slot *slot = keyed->newest;
    uint64_t hash;

    *fresh = *evicted = false;
    if (slot && psa_str_is(slot->key, key)) return slot;
    hash = hash_of(key);
    slot = find(keyed, key, hash);
    if (slot) {
        unlink_order(keyed, slot);
        link_newest(keyed, slot);
        return slot;
    }
    if (keyed->n >= keyed->max_keys) {
        drop_oldest(keyed);
        *evicted = true;
    }
    *fresh = true;
    return make(keyed, key, hash);
}

struct psa_slot *psa_keyed_peek(const struct psa_keyed *keyed, struct psa_str key)
{
    return find(keyed, key, hash_of(key));
}

size_t psa_keyed_count(const struct psa_keyed *keyed)
{
    return keyed->n;
}

struct psa_slot *psa_keyed_next(const struct psa_keyed *keyed, const struct psa_slot *slot)
{
    return slot ? slot->newer : keyed->oldest;
}

bool psa_slot_late(const struct psa_slot *slot, const struct psa_record *record)
{
    return record->has_time && slot->has_time && record->timestamp_ns < slot->newest_ns;
}

void psa_slot_advance(struct psa_slot *slot, const struct psa_record *record)
{
    if (!record->has_time) return;
    slot->has_time = true;
    slot->newest_ns = record->timestamp_ns;
}

/* ---- states ---------------------------------------------------------------------------------------------------------------- */

void psa_keyed_save(const struct psa_keyed *keyed, struct psa_buf *out)
{
    psa_buf_puts(out, "[");
    for (const struct psa_slot *slot = keyed->oldest; slot; slot = slot->newer) {
        psa_buf_puts(out, slot == keyed->oldest ? "{" : ",\n{");
        psa_buf_member_text(out, "key", slot->key);
        if (slot->has_time) psa_buf_member_int(out, "newest_ns", slot->newest_ns);
        keyed->type->save(slot, out);
        psa_buf_puts(out, "}");
    }
    psa_buf_puts(out, "]");
}

static bool stands_in(struct psa_str name, const struct psa_str *seen, size_t n_seen)
{
    for (size_t i = 0; i < n_seen; i++)
        if (psa_str_is(seen[i], name)) return true;
    return false;
}

/* Each member once: a stage's load makes what it reads into, and need not ask whether it has made it already. */
static bool load_slot(struct psa_keyed *keyed, struct psa_json *in)
{
    struct psa_slot *slot = NULL;
    struct psa_str name, seen[MEMBERS_MAX];
    size_t n_seen = 0;
    bool fresh, evicted;

    if (!psa_json_enter_object(in)) return false;
    while (psa_json_next_member(in, &name)) {
        if (stands_in(name, seen, n_seen) || n_seen == MEMBERS_MAX)
            return psa_json_refuse(in, "a member that stands there twice");
        seen[n_seen++] = name;
        if (psa_str_eq(name, "key") && !slot) {
            struct psa_str key = psa_json_text(in);

            if (!key.p) return false;
            slot = psa_keyed_get(keyed, key, &fresh, &evicted);
            if (!slot) return psa_json_refuse(in, "out of memory");
            if (!fresh) return psa_json_refuse(in, "a key that stands there twice");
        } else if (!slot) {
            return psa_json_refuse(in, "a slot that does not start with its key");
        } else if (psa_str_eq(name, "newest_ns")) {
            slot->has_time = true;
            slot->newest_ns = psa_json_int(in);
        } else if (!keyed->type->load(slot, name, in)) {
            return psa_json_refuse(in, "a member that this stage's state does not have, or a wrong one");
        }
    }
    if (in->fault.what) return false;
    if (!slot) return psa_json_refuse(in, "a slot without its key");
    for (const char *const *need = keyed->type->needs; need && *need; need++)
        if (!stands_in(psa_str_of(*need), seen, n_seen)) return psa_json_refuse(in, "a slot that lacks a member");
    if (keyed->type->loaded && !keyed->type->loaded(slot)) return psa_json_refuse(in, "a slot that is not whole");
    return true;
}

bool psa_keyed_load(struct psa_keyed *keyed, struct psa_json *in)
{
    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in))
        if (!load_slot(keyed, in)) return false;
    return !in->fault.what;
}
