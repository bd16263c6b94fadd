/* sensord_queue.c - see sensord_queue.h. */
#include "io/sensord_queue.h"

#include <stdlib.h>
#include <string.h>

/* Entries start at multiples of this, so that their heads can be read in place. */
#define ALIGN 8

/* Bytes that a line of n takes with its head. */
static size_t taken_by(size_t n)
{
    return sizeof(struct psa_queue_entry) + (n + ALIGN - 1) / ALIGN * ALIGN;
}

int psa_queue_init(struct psa_queue *queue, size_t bytes, int64_t max_age_ns)
{
    queue->cap = queue->wrap = bytes / ALIGN * ALIGN;
    queue->max_age_ns = max_age_ns;
    queue->ring = malloc(queue->cap);
    return queue->ring != NULL ? 0 : -1;
}

void psa_queue_free(struct psa_queue *queue)
{
    free(queue->ring);
    queue->ring = NULL;
}

static const struct psa_queue_entry *front_entry(const struct psa_queue *queue)
{
    return (const struct psa_queue_entry *)(const void *)(queue->ring + queue->head);
}

void psa_queue_pop(struct psa_queue *queue)
{
    if (queue->n == 0) return;
    queue->head += taken_by(front_entry(queue)->n);
    if (queue->head == queue->wrap) {
        queue->head = 0;
        queue->wrap = queue->cap;
    }
    if (--queue->n > 0) return;
    queue->head = queue->tail = 0;
    queue->wrap = queue->cap;
}

const char *psa_queue_front(struct psa_queue *queue, struct psa_queue_entry *entry)
{
    if (queue->n == 0) return NULL;
    memcpy(entry, front_entry(queue), sizeof *entry);
    return queue->ring + queue->head + sizeof *entry;
}

static void drop(struct psa_queue *queue)
{
    const struct psa_queue_entry entry = *front_entry(queue);

    psa_queue_pop(queue);
    if (queue->dropped != NULL) queue->dropped(queue->ctx, &entry);
}

void psa_queue_expire(struct psa_queue *queue, int64_t now_ns)
{
    while (queue->n > 0 && now_ns - front_entry(queue)->pushed_ns > queue->max_age_ns) drop(queue);
}

/* Room for `need` bytes at the tail, which may move to the front. */
static bool make_way(struct psa_queue *queue, size_t need)
{
    const bool wrapped = queue->n > 0 && queue->tail <= queue->head;

    if (wrapped) return queue->head - queue->tail >= need;
    if (queue->cap - queue->tail >= need) return true;
    if (queue->head < need) return false;
    queue->wrap = queue->tail;
    queue->tail = 0;
    return true;
}

bool psa_queue_push(struct psa_queue *queue, const struct psa_queue_entry *entry, const char *line)
{
    const size_t need = taken_by(entry->n);

    psa_queue_expire(queue, entry->pushed_ns);
    if (need > queue->cap / 4) return false;
    while (!make_way(queue, need)) drop(queue);
    memcpy(queue->ring + queue->tail, entry, sizeof *entry);
    memcpy(queue->ring + queue->tail + sizeof *entry, line, entry->n);
    queue->tail += need;
    queue->n++;
    return true;
}

bool psa_queue_is_easy(const struct psa_queue *queue, int64_t now_ns)
{
    size_t used;

    if (queue->n == 0) return true;
    used = queue->tail > queue->head ? queue->tail - queue->head : queue->wrap - queue->head + queue->tail;
    return used <= queue->cap / 2 && now_ns - front_entry(queue)->pushed_ns <= queue->max_age_ns / 2;
}
