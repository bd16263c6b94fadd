/* slot.c - see slot.h. */
#include "stage/slot.h"

#include "core/error.h"
#include "core/record.h"

static void say_evicted(struct psa_node *node, bool evicted)
{
    if (!evicted) return;
    node->stats.evicted_keys++;
    psa_say(node, "max_keys", "more than --max-keys %lld streams; the one least recently seen was forgotten",
            (long long)node->options.max_keys);
}

int psa_slot_find(struct psa_node *node, struct psa_record *record, unsigned kinds, struct psa_slot **slot, bool *fresh,
                  struct psa_error *error)
{
    struct psa_str key = psa_node_key(node, record);
    bool evicted;
    char shown[128];

    *slot = NULL;
    if (!key.p)
        return psa_reject(node, record, "no_key", error, "there is no %s to tell the stream by; rejected",
                          node->options.key);
    if (kinds && !psa_record_has(record, kinds) && !psa_keyed_peek(node->keyed, key))
        return psa_reject(node, record, "no_fields", error, "no field is %s; rejected",
                          kinds >> PSA_ARRAY & 1 ? "a number or an array of numbers" : "a number");
    *slot = psa_keyed_get(node->keyed, key, fresh, &evicted);
    if (!*slot) return psa_fail_memory(error, "opening a key");
    say_evicted(node, evicted);
    if (!psa_slot_late(*slot, record)) return 0;
    psa_drop(node, "late", "%s: %lld ns older than the newest record; dropped", psa_key_show(key, shown),
             (long long)psa_ns_since((*slot)->newest_ns, record->timestamp_ns));
    *slot = NULL;
    return 0;
}

struct psa_slot *psa_slot_of(struct psa_node *node, struct psa_str key)
{
    bool fresh, evicted;
    struct psa_slot *slot = psa_keyed_get(node->keyed, key, &fresh, &evicted);

    say_evicted(node, evicted);
    return slot;
}

void psa_slot_extra(struct psa_node *node, struct psa_schema *schema, const struct psa_slot *slot,
                    const struct psa_field *extra, const char *fate)
{
    char shown[128];

    if (!extra || schema->said_extra) return;
    schema->said_extra = true;
    psa_say(node, "new_field", "%s: fields.%.*s was not in the first record; it %s", psa_key_show(slot->key, shown),
            (int)extra->name.n, extra->name.p, fate);
}

int psa_slot_check_kinds(struct psa_node *node, struct psa_record *record, struct psa_field *const *field, size_t n,
                         unsigned allowed, struct psa_error *error)
{
    for (size_t i = 0; i < n; i++) {
        if (!field[i] || (allowed >> field[i]->kind & 1)) continue;
        if (psa_reject(node, record, "type", error, "fields.%.*s is not %s; skipped", (int)field[i]->name.n,
                       field[i]->name.p, allowed >> PSA_NUMBER & 1 ? "a number" : "an array") != 0)
            return -1;
        return 1;
    }
    return 0;
}
