/*
 * alert_wait.c - how long each key may be silent, and whose silence is due. See alert.h.
 *
 * A key's limit is --silent, or three times its usual interval where that is longer: a sensor that measures once a minute is
 * not missed between two readings. Usual is the second longest of the last 8 intervals, so that one outage among them does
 * not make a fast sensor a slow one. Only intervals above a third of --silent can make a limit longer. Records closer to each
 * other would fill the 8 places within a burst, and between two bursts their pause would stand there alone: for an outage.
 * So they are taken together until a third of --silent has gone by, as one interval, the longest among them:
 *
 *   elapsed     0 .1 .2 .3                60 60.1 60.2 60.3                120     --silent 30s
 *   counted                               59.7                            59.7     limit 179.1 s from the second burst on
 *
 * Whose silence is due comes from a binary heap by due time, then by turn, which is the order of hearing. To move a key in it
 * for each of its records would cost more than all else that is done with the record. So a key that is heard stays where it
 * is: what the heap holds of it is then too early, never too late, and is put right when it comes to the top, which is once
 * a limit. Only a key whose limit got shorter may have to move up at once.
 *
 * The silent ones, whose next line is due a cooldown after their last, are a list in the order of these lines: the cooldown
 * is the same for all.
 */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "stage/alert.h"

enum {
    USUAL_TIMES = 3, /* the limit, in usual intervals */
    FIRST_ROOM = 16  /* keys that the heap has room for at first */
};

/* ---- limits ---------------------------------------------------------------------------------------------------------------- */

void psa_alert_pace_settle(struct psa_alert_pace *pace)
{
    int64_t longest = 0, second = 0;

    for (size_t i = 0; i < pace->n; i++) {
        int64_t interval = pace->interval_ns[i];

        if (interval > longest) {
            second = longest;
            longest = interval;
        } else if (interval > second) {
            second = interval;
        }
    }
    pace->usual_ns = pace->n == 1 ? longest : second;
}

void psa_alert_pace_step(struct psa_node *node, struct psa_alert_slot *slot)
{
    const struct psa_alert_config *config = node->config;
    const struct psa_alert *alert = node->state;
    struct psa_alert_pace *pace = &slot->pace;
    int64_t interval = psa_ns_since(alert->clock.elapsed_ns, slot->seen_elapsed);

    if (slot->calm.inside || slot->calm.passed) return; /* who is unplugged for an hour is not read once an hour */
    pace->stretch_ns = psa_ns_add(pace->stretch_ns, interval);
    if (pace->stretch_ns < config->silent_ns / USUAL_TIMES) return;
    memmove(pace->interval_ns + 1, pace->interval_ns, sizeof pace->interval_ns - sizeof pace->interval_ns[0]);
    pace->interval_ns[0] = interval; /* the longest of its stretch, if any of them is above a third */
    if (pace->n < PSA_ALERT_INTERVALS) pace->n++;
    pace->stretch_ns = 0;
    psa_alert_pace_settle(pace);
}

int64_t psa_alert_limit(const struct psa_node *node, const struct psa_alert_slot *slot)
{
    const struct psa_alert_config *config = node->config;
    int64_t limit;

    if (__builtin_mul_overflow(slot->pace.usual_ns, USUAL_TIMES, &limit)) limit = INT64_MAX;
    return limit > config->silent_ns ? limit : config->silent_ns;
}

/* ---- the heap of those that are heard -------------------------------------------------------------------------------- */

static bool is_before(const struct psa_alert_due *a, const struct psa_alert_due *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->turn < b->turn;
}

static struct psa_alert_due due_of(const struct psa_node *node, struct psa_alert_slot *slot)
{
    int64_t due_ns = psa_ns_add(slot->seen_elapsed, psa_alert_limit(node, slot));

    if (due_ns < slot->grace_ns) due_ns = slot->grace_ns;
    if (due_ns < slot->rest_ns) due_ns = slot->rest_ns;
    return (struct psa_alert_due){ due_ns, slot->turn, slot };
}

static void put_at(struct psa_alert_heap *heap, size_t place, struct psa_alert_due due)
{
    heap->at[place] = due;
    due.slot->place = place;
}

static void move_up(struct psa_alert_heap *heap, size_t place, struct psa_alert_due due)
{
    for (; place > 0 && is_before(&due, &heap->at[(place - 1) / 2]); place = (place - 1) / 2)
        put_at(heap, place, heap->at[(place - 1) / 2]);
    put_at(heap, place, due);
}

static void move_down(struct psa_alert_heap *heap, size_t place, struct psa_alert_due due)
{
    for (size_t below = 2 * place + 1; below < heap->n; below = 2 * place + 1) {
        if (below + 1 < heap->n && is_before(&heap->at[below + 1], &heap->at[below])) below++;
        if (!is_before(&heap->at[below], &due)) break;
        put_at(heap, place, heap->at[below]);
        place = below;
    }
    put_at(heap, place, due);
}

static bool add(struct psa_alert_heap *heap, struct psa_alert_due due)
{
    if (heap->n == heap->room) {
        size_t room = heap->room ? heap->room * 2 : FIRST_ROOM;
        struct psa_alert_due *wider = realloc(heap->at, room * sizeof *wider);

        if (!wider) return false;
        heap->at = wider;
        heap->room = room;
    }
    move_up(heap, heap->n++, due);
    return true;
}

static void take_out(struct psa_alert_heap *heap, size_t place)
{
    struct psa_alert_due last = heap->at[--heap->n];

    if (place == heap->n) return;
    if (is_before(&last, &heap->at[place])) move_up(heap, place, last);
    else move_down(heap, place, last);
}

/* ---- waiting --------------------------------------------------------------------------------------------------------------- */

static void append(struct psa_alert_list *list, struct psa_alert_slot *slot)
{
    slot->before = list->last;
    slot->after = NULL;
    if (list->last) list->last->after = slot;
    else list->first = slot;
    list->last = slot;
}

static void unlink_from(struct psa_alert_list *list, struct psa_alert_slot *slot)
{
    if (slot->before) slot->before->after = slot->after;
    else list->first = slot->after;
    if (slot->after) slot->after->before = slot->before;
    else list->last = slot->before;
}

void psa_alert_forget(struct psa_alert *alert, struct psa_alert_slot *slot)
{
    if (!slot->turn) return;
    if (slot->silence.active) unlink_from(&alert->silent, slot);
    else if (slot->place < alert->heard.n && alert->heard.at[slot->place].slot == slot) /* not while a state loads */
        take_out(&alert->heard, slot->place);
    slot->turn = 0;
}

int psa_alert_listen(struct psa_node *node, struct psa_alert_slot *slot, struct psa_error *error)
{
    struct psa_alert *alert = node->state;
    struct psa_alert_due due;

    slot->seen_ns = alert->clock.now_ns;
    slot->seen_elapsed = alert->clock.elapsed_ns;
    slot->grace_ns = slot->rest_ns = slot->late = 0;
    if (slot->silence.active) psa_alert_forget(alert, slot);
    slot->silence.active = false;
    if (slot->turn) {
        slot->turn = ++alert->turn;
        due = due_of(node, slot);
        if (is_before(&due, &alert->heard.at[slot->place])) move_up(&alert->heard, slot->place, due);
        return 0;
    }
    slot->turn = ++alert->turn;
    if (add(&alert->heard, due_of(node, slot))) return 0;
    slot->turn = 0; /* it is in neither */
    return psa_fail_memory(error, "opening a key");
}

void psa_alert_wait_on(struct psa_alert *alert, struct psa_alert_slot *slot)
{
    psa_alert_forget(alert, slot);
    slot->silence.active = true;
    slot->turn = ++alert->turn;
    append(&alert->silent, slot);
}

struct psa_alert_slot *psa_alert_next_due(struct psa_node *node)
{
    const struct psa_alert_config *config = node->config;
    struct psa_alert *alert = node->state;
    struct psa_alert_heap *heap = &alert->heard;
    int64_t now = alert->clock.elapsed_ns;

    while (heap->n && heap->at[0].due_ns <= now) {
        struct psa_alert_due due = due_of(node, heap->at[0].slot);

        if (due.turn == heap->at[0].turn && due.due_ns == heap->at[0].due_ns) {
            int64_t rest = psa_ns_add(now, psa_alert_calm_wait(node, due.slot, psa_alert_limit(node, due.slot)));

            if (rest > now) due.slot->rest_ns = rest;
            else if (!alert->clock.paused || due.slot->grace_ns) return due.slot;
            else due.slot->grace_ns = psa_ns_add(now, config->silent_ns);
            due = due_of(node, due.slot);
        }
        move_down(heap, 0, due);
    }
    return NULL;
}

void psa_alert_catch_up(struct psa_node *node)
{
    const struct psa_alert *alert = node->state;
    const struct psa_alert_clock *clock = &alert->clock;

    for (struct psa_slot *base = NULL; (base = psa_keyed_next(node->keyed, base));) {
        struct psa_alert_slot *slot = (struct psa_alert_slot *)base;
        int64_t ago = psa_ns_since(clock->now_ns, base->newest_ns), elapsed = psa_ns_since(clock->elapsed_ns, ago);

        if (!slot->turn || slot->silence.active || !slot->known || ago < 0 || base->newest_ns <= slot->seen_ns)
            continue;
        slot->seen_ns = base->newest_ns;
        if (elapsed > slot->seen_elapsed) slot->seen_elapsed = elapsed; /* due later: the heap will see */
    }
}

/* ---- after loading ------------------------------------------------------------------------------------------------------- */

static int by_turn(const void *a, const void *b)
{
    int64_t x = (*(struct psa_alert_slot *const *)a)->turn, y = (*(struct psa_alert_slot *const *)b)->turn;

    return x < y ? -1 : x > y;
}

/* Where the slot belongs. *since: when the silent one put back before was told of, which is no later. */
static bool put_back(struct psa_node *node, struct psa_alert_slot *slot, int64_t *since)
{
    struct psa_alert *alert = node->state;
    bool silent = slot->silence.active;
    int64_t begin = silent ? slot->silence.last_ns : slot->seen_elapsed;

    if (slot->turn > alert->turn || (silent && begin < *since) || begin > alert->clock.elapsed_ns ||
        slot->seen_elapsed > alert->clock.elapsed_ns)
        return false;
    if (!silent) return add(&alert->heard, due_of(node, slot));
    *since = begin;
    append(&alert->silent, slot);
    return true;
}

bool psa_alert_listen_again(struct psa_node *node)
{
    struct psa_alert *alert = node->state;
    int64_t since = INT64_MIN;
    size_t n = 0, n_slot = psa_keyed_count(node->keyed);
    struct psa_alert_slot **slot = calloc(n_slot + 1, sizeof(struct psa_alert_slot *));
    bool good = slot != NULL;

    for (struct psa_slot *s = NULL; good && (s = psa_keyed_next(node->keyed, s));)
        if (((struct psa_alert_slot *)s)->turn) slot[n++] = (struct psa_alert_slot *)s;
    if (good) qsort(slot, n, sizeof *slot, by_turn);
    for (size_t i = 0; good && i < n; i++)
        good = (i == 0 || slot[i]->turn > slot[i - 1]->turn) && put_back(node, slot[i], &since);
    for (size_t i = 0; !good && i < n; i++) slot[i]->turn = 0; /* in neither */
    if (!good) {
        alert->heard.n = 0;
        alert->silent = (struct psa_alert_list){ NULL, NULL };
    }
    free(slot);
    return good;
}
