/* score_running.c - see score_running.h. */
#include "stage/score_running.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "stage/score.h"
#include "stage/slot.h"

enum psa_running_phase psa_running_step(struct psa_running *running, bool holds, const struct psa_record *record,
                                        int64_t settle_ns)
{
    if (!holds) {
        *running = (struct psa_running){ 0 };
        return PSA_RUNNING_STOPPED;
    }
    if (!running->on) *running = (struct psa_running){ .on = true, .since_ns = record->timestamp_ns };
    if (!record->has_time || psa_ns_since(record->timestamp_ns, running->since_ns) >= settle_ns)
        running->settled = true;
    return running->settled ? PSA_RUNNING_SETTLED : PSA_RUNNING_SETTLING;
}

bool psa_running_ask(struct psa_node *node, struct psa_condition *condition, const struct psa_record *record)
{
    const char *fault;
    bool holds = psa_condition_holds(condition, record, &fault);

    if (fault == NULL) return holds;
    psa_note(node, "condition");
    psa_say(node, "condition", "--running '%s': %s; taken for not running", psa_condition_text(condition), fault);
    return false;
}

void psa_running_save(const struct psa_running *running, struct psa_buf *out)
{
    psa_buf_name(out, "running");
    if (!running->on) psa_buf_puts(out, "null");
    else if (running->settled) psa_buf_puts(out, "true");
    else psa_buf_int(out, running->since_ns);
}

bool psa_running_load(struct psa_running *running, struct psa_json *in)
{
    char first = psa_json_peek(in);

    *running = (struct psa_running){ .on = first != 'n' };
    if (first == 'n') return psa_json_skip(in).p != NULL;
    running->settled = first == 't';
    if (running->settled) return psa_json_bool(in);
    running->since_ns = psa_json_int(in);
    return in->fault.what == NULL;
}

/* ---- a stream's ------------------------------------------------------------------------------------------------------- */

int psa_score_setup_run(struct psa_node *node, struct psa_score_setup *setup, struct psa_error *error)
{
    struct psa_score_conditions *all = &((struct psa_score *)node->state)->conditions;
    const char *expression = setup->config->running;

    if (expression == NULL) return 0;
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(psa_condition_text(all->of[i]), expression) == 0) setup->running = all->of[i];
    if (setup->running != NULL) return 0;
    if (all->n == all->cap) {
        size_t cap = all->cap > 0 ? 2 * all->cap : 4;
        struct psa_condition **grown = realloc(all->of, cap * sizeof *grown);

        if (grown == NULL) return psa_fail_memory(error, "starting");
        all->of = grown;
        all->cap = cap;
    }
    setup->running = all->of[all->n] = psa_condition_new("--running", expression, error);
    if (setup->running == NULL) return -1;
    all->n++;
    return 0;
}

void psa_score_conditions_free(struct psa_score_conditions *all)
{
    for (size_t i = 0; i < all->n; i++) psa_condition_free(all->of[i]);
    free(all->of);
    *all = (struct psa_score_conditions){ NULL, 0, 0 };
}

bool psa_score_stream_waits(struct psa_node *node, struct psa_score_stream *stream, const struct psa_record *record,
                            const double *values, struct psa_score_verdict *verdict)
{
    struct psa_condition *condition = stream->setup->running;
    bool was_on = stream->running.on;
    enum psa_running_phase phase;

    if (condition == NULL) return false;
    phase = psa_running_step(&stream->running, psa_running_ask(node, condition, record), record,
                             stream->setup->config->settle_ns);
    if (phase == PSA_RUNNING_SETTLED) return false;
    if (phase == PSA_RUNNING_STOPPED && was_on) psa_score_stream_pause(stream);
    psa_score_verdict_of(verdict, stream, phase == PSA_RUNNING_STOPPED ? "stopped" : "settling", values);
    return true;
}
