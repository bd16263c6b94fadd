/*
 * score_history.c - see score_history.h. The stage's own push() does the work, with a sink behind it that forgets and a
 * world that keeps no rejected lines; so what the detectors know afterwards is what they would know had the recording been
 * the begin of the input.
 */
#include "stage/score_history.h"

#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/record.h"
#include "stage/score.h"

static int forget(void *ctx, const struct psa_item *item, struct psa_error *error)
{
    (void)ctx;
    (void)item;
    (void)error;
    return 0;
}

static int take(void *taker, const struct psa_recorded *recorded, struct psa_error *error)
{
    struct psa_node *node = taker;

    node->line = recorded->line;
    node->stats.in++;
    if (recorded->record == NULL) {
        psa_count(&node->stats.rejected, recorded->reason, 1);
        psa_say(node, recorded->reason, "%s; not learned", recorded->why);
        return 0;
    }
    if (psa_record_is_status(recorded->record)) return psa_pass(node, recorded->record, error);
    return node->stage->push(node, recorded->record, error);
}

static uint64_t total(const struct psa_reasons *reasons)
{
    uint64_t n = 0;

    for (size_t i = 0; i < reasons->n; i++) n += reasons->of[i].n;
    return n;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* One sentence, with no line number: it is about the whole recording. */
static void say_learned(struct psa_node *node, const char *path)
{
    uint64_t keys = psa_node_keys(node), rejected = total(&node->stats.rejected), dropped = total(&node->stats.dropped);
    bool groups = ((const struct psa_score_config *)node->config)->groups != NULL;
    char more[96] = "";

    if (rejected > 0 || dropped > 0)
        snprintf(more, sizeof more, "; %llu rejected, %llu late", (unsigned long long)rejected,
                 (unsigned long long)dropped);
    node->line = 0;
    psa_say(node, "history", "--history %s: learned from %llu record%s of %llu %s%s%s", path,
            (unsigned long long)node->stats.passed, plural(node->stats.passed), (unsigned long long)keys,
            groups ? "group" : "stream", plural(keys), more);
}

int psa_score_history(struct psa_node *node, const char *path, struct psa_error *error)
{
    const struct psa_world *world = node->world;
    struct psa_world quiet = *world;
    struct psa_sink next = node->next;
    struct psa_stats stats = node->stats;
    const char *source = node->source;
    uint64_t line = node->line;
    int status;

    if (strcmp(path, "-") == 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--history: stdin is the input; name a file");
    if (world->recording_read == NULL)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--history: files cannot be read here");
    quiet.reject = NULL;
    node->world = &quiet; /* cppcheck-suppress autoVariables ; until the recording is read */
    node->next = (struct psa_sink){ forget, NULL };
    node->stats = (struct psa_stats){ 0 };
    node->source = path;
    status = world->recording_read(world->ctx, path, take, node, error);
    node->world = world;
    if (status == 0) say_learned(node, path);
    if (status == 1) {
        node->unready = true;
        node->line = 0;
        psa_say(node, "history", "stopped while --history %s was read; no state is saved", path);
    }
    node->next = next;
    node->stats = stats;
    node->source = source;
    node->line = line;
    return status < 0 ? -1 : 0;
}
