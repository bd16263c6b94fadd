/*
 * alert_calm.c - maintenance: windows in which nothing new is told of a key. See alert.h and alert_plan.h.
 *
 *   a record within a window           counts neither way; what was counted before is forgotten when the next record
 *                                      behind the window's begin or end comes: k of n and the normals in a row start anew
 *   an event that is active            stays so, and nothing is told of it; it ends as always: an anomaly by normal records
 *                                      behind the window, a silence by a record, a status by one that says up
 *   the time since the record before   is no interval of the key's pace, if any of it was maintenance
 *   silence                            is due no sooner than the key's limit after the window's end
 *
 * A record's window is that of its own time, a silence's that of event time.
 */
#include "core/error.h"
#include "stage/alert.h"

static bool covers(const struct psa_node *node, struct psa_str key, int64_t ns, int64_t *until)
{
    const struct psa_alert *alert = node->state;
    char shown[128];

    return psa_alert_plan_covers(alert->plan, psa_str_of(psa_key_show(key, shown)), ns, until);
}

void psa_alert_calm_step(struct psa_node *node, struct psa_alert_slot *slot, int64_t ns)
{
    const struct psa_alert *alert = node->state;
    struct psa_alert_calm *calm = &slot->calm;

    if (!alert->plan) return;
    if (!calm->known && slot->slot.has_time) {
        calm->inside = covers(node, slot->slot.key, slot->slot.newest_ns, &calm->until_ns);
        calm->known = true;
    }
    calm->passed = calm->known && ns >= calm->until_ns;
    if (calm->known && !calm->passed) return;
    if (calm->passed) {
        slot->history = 0;
        slot->normal_run = 0;
    }
    calm->inside = covers(node, slot->slot.key, ns, &calm->until_ns);
    calm->known = true;
}

bool psa_alert_calm_at(const struct psa_node *node, struct psa_str key, int64_t ns)
{
    const struct psa_alert *alert = node->state;
    int64_t until;

    return alert->plan && covers(node, key, ns, &until);
}

int64_t psa_alert_calm_wait(const struct psa_node *node, const struct psa_alert_slot *slot, int64_t limit)
{
    const struct psa_alert *alert = node->state;
    int64_t now = alert->clock.now_ns, ended, wait;

    if (!alert->plan) return 0;
    /* Not to the window's end at once: event time may jump over it. */
    if (psa_alert_calm_at(node, slot->slot.key, now)) return limit;
    ended = psa_alert_calm_ended(node, slot, INT64_MIN);
    if (ended == INT64_MIN) return 0;
    wait = psa_ns_since(limit, psa_ns_since(now, ended));
    return wait > 0 ? wait : 0;
}

int64_t psa_alert_calm_ended(const struct psa_node *node, const struct psa_alert_slot *slot, int64_t since_ns)
{
    const struct psa_alert *alert = node->state;
    char shown[128];
    int64_t ended;

    if (!alert->plan) return INT64_MIN;
    ended = psa_alert_plan_ended(alert->plan, psa_str_of(psa_key_show(slot->slot.key, shown)), alert->clock.now_ns);
    return ended > since_ns ? ended : INT64_MIN;
}
