/*
 * chain.c - see chain.h.
 *
 * A state file is one JSON object: {"psa_state":1,"stage":NAME,"options":TEXT,"kept":[ID,ID],"state":VALUE}. It is
 * valid for a run if and only if version, stage and options are the run's own; otherwise it is refused, never half used.
 * `kept` are the checkpoints that lay beside it when it was saved, older first, so that any run knows which to remove.
 */
#include "core/chain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/json.h"
#include "core/keyed.h"
#include "core/record.h"

enum { STATE_VERSION = 1, MESSAGE_MAX = 512 };

const struct psa_option psa_node_option_table[] = {
    { .name = "key",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_node_options, key),
      .metavar = "PATH",
      .help = "member that names the stream, dotted for inner ones (tags.host); without it sensor_type and sensor_id" },
    { .name = "max-keys",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct psa_node_options, max_keys),
      .metavar = "N",
      .initial = "10000",
      .min = 1,
      .max = 1e9,
      .free_of_state = true,
      .help = "streams remembered at once; the least recently seen is forgotten first" },
    { .name = "state",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_node_options, state),
      .metavar = "FILE",
      .free_of_state = true,
      .help = "remember across runs: load FILE at the start, save it at the end" },
    { .name = "state-every",
      .type = PSA_OPT_DURATION,
      .offset = offsetof(struct psa_node_options, state_every_ns),
      .metavar = "TIME",
      .initial = "0",
      .min = 0,
      .max = 9e18,
      .free_of_state = true,
      .needs = "state",
      .help = "save the state that often too; 0: only at the end" },
    { .name = "stats",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct psa_node_options, stats),
      .free_of_state = true,
      .help = "print what became of every record as one JSON line on stderr, at the end and on SIGUSR1" },
    { .name = "stats-file",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_node_options, stats_file),
      .metavar = "FILE",
      .free_of_state = true,
      .help = "write that line whole to FILE, for a collector" },
    { .type = PSA_OPT_END },
};

/* ---- making and ending a node --------------------------------------------------------------------------------------- */

int psa_node_parse(struct psa_node *node, const struct psa_stage *stage, int argc, char **argv,
                   const struct psa_option_set *extra, size_t n_extra, int *operand, char *asked,
                   struct psa_error *error)
{
    struct psa_option_set set[8] = { { NULL, NULL } };
    size_t n = 0;

    *node = (struct psa_node){ .stage = stage, .name = stage->name, .source = "stdin" };
    node->config = calloc(1, stage->config_size ? stage->config_size : 1);
    if (!node->config) return psa_fail_memory(error, "reading the options");
    set[n++] = (struct psa_option_set){ stage->options, node->config };
    set[n++] = (struct psa_option_set){ psa_node_option_table, &node->options };
    for (size_t i = 0; i < n_extra && n < sizeof set / sizeof *set; i++) set[n++] = extra[i];
    if (psa_options_parse(set, n, argc, argv, operand, asked, &node->canonical, error) != 0) return -1;
    return psa_key_check_path(node->options.key, error);
}

/* *loaded: it was there. */
static int load_file(struct psa_node *node, const char *path, bool must_exist, bool *loaded, struct psa_error *error)
{
    struct psa_buf text = { 0 };
    int status = node->world->file_read(node->world->ctx, path, &text, error);

    *loaded = status == 0;
    if (status == 0) status = psa_node_state_load(node, psa_buf_str(&text), error);
    else if (status == 1 && must_exist)
        status = psa_fail(error, PSA_EXIT_PERMANENT, "there is no state '%s' to restore", path);
    else if (status == 1) status = 0;
    psa_buf_free(&text);
    return status;
}

static int open_stage(struct psa_node *node, struct psa_error *error)
{
    if (node->stage->slot) {
        node->keyed = psa_keyed_new(node->stage->slot, node->options.max_keys);
        if (!node->keyed) return psa_fail_memory(error, "starting");
        psa_keyed_own(node->keyed, node);
    }
    return node->stage->open(node, error);
}

static void close_stage(struct psa_node *node)
{
    node->stage->close(node);
    psa_keyed_free(node->keyed);
    node->keyed = NULL;
    node->state = NULL;
}

int psa_node_open(struct psa_node *node, const struct psa_world *world, struct psa_sink next, struct psa_error *error)
{
    bool resumed = false;

    node->world = world;
    node->next = next;
    node->opened = true;
    if (node->options.state && ((!node->stage->slot && !node->stage->save) || !world->file_read))
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s keeps no state; --state has no meaning here", node->stage->name);
    if (open_stage(node, error) != 0) return -1;
    if (node->options.state && load_file(node, node->options.state, false, &resumed, error) != 0) return -1;
    return node->stage->begin ? node->stage->begin(node, resumed, error) : 0;
}

void psa_node_close(struct psa_node *node)
{
    if (node->opened) close_stage(node);
    node->opened = false;
    free(node->config);
    psa_buf_free(&node->canonical);
    psa_buf_free(&node->key);
    psa_buf_free(&node->saved);
}

/* ---- states ------------------------------------------------------------------------------------------------------------ */

int psa_node_save_value(struct psa_node *node, struct psa_buf *out, struct psa_error *error)
{
    if (node->stage->save) return node->stage->save(node, out, error);
    psa_keyed_save(node->keyed, out);
    return out->failed ? psa_fail_memory(error, "saving the state") : 0;
}

int psa_node_load_value(struct psa_node *node, struct psa_json *in, struct psa_error *error)
{
    if (node->stage->load) return node->stage->load(node, in, error);
    (void)psa_keyed_load(node->keyed, in); /* a fault stays in `in`, where load_members finds it */
    return 0;
}

size_t psa_node_keys(const struct psa_node *node)
{
    if (!node->opened) return 0;
    if (node->stage->keys) return node->stage->keys(node);
    return node->keyed ? psa_keyed_count(node->keyed) : 0;
}

int psa_node_state_text(struct psa_node *node, struct psa_buf *out, struct psa_error *error)
{
    psa_buf_puts(out, "{");
    psa_buf_member_int(out, "psa_state", STATE_VERSION);
    psa_buf_member_text(out, "stage", psa_str_of(node->stage->name));
    psa_buf_member_text(out, "options", psa_buf_str(&node->canonical));
    psa_buf_name(out, "kept");
    psa_buf_puts(out, "[");
    for (int i = 0; i < 2; i++) {
        psa_buf_comma(out);
        psa_buf_quote(out, psa_str_of(node->checkpoints[i]));
    }
    psa_buf_puts(out, "]");
    psa_buf_name(out, "state");
    if (psa_node_save_value(node, out, error) != 0) return -1;
    psa_buf_puts(out, "}\n");
    return out->failed ? psa_fail_memory(error, "saving the state") : 0;
}

static int refuse_state(const struct psa_node *node, const char *what, struct psa_str was, struct psa_error *error)
{
    struct psa_str is = psa_buf_str(&node->canonical);

    return psa_fail(error, PSA_EXIT_PERMANENT,
                    "the state is of another %s: it was '%.*s', this is %s '%.*s'; move the file away to start afresh",
                    what, was.n < 300 ? (int)was.n : 300, was.p ? was.p : "", node->stage->name,
                    is.n < 300 ? (int)is.n : 300, is.p ? is.p : "");
}

/* The ids of the checkpoints that were kept when the state was saved, older first; "" is none. */
static void load_kept(struct psa_node *node, struct psa_json *in)
{
    size_t n = 0;

    psa_json_enter_array(in);
    while (psa_json_next_item(in)) {
        struct psa_str id = psa_json_text(in);

        if (n < 2) snprintf(node->checkpoints[n], sizeof node->checkpoints[n], "%.*s", (int)id.n, id.p ? id.p : "");
        n++;
    }
    if (n != 2) psa_json_refuse(in, "not two checkpoints kept");
}

static int load_members(struct psa_node *node, struct psa_json *in, struct psa_error *error)
{
    struct psa_str name, text;
    int64_t version;
    int seen = 0;

    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        if (psa_str_eq(name, "psa_state")) {
            version = psa_json_int(in);
            if (in->fault.what) break;
            if (version != STATE_VERSION)
                return psa_fail(
                    error, PSA_EXIT_PERMANENT,
                    "the state is of version %lld, and this psa keeps version %d; move the file away to start "
                    "afresh",
                    (long long)version, STATE_VERSION);
            seen |= 1;
        } else if (psa_str_eq(name, "stage")) {
            text = psa_json_text(in);
            if (in->fault.what) break;
            if (!psa_str_eq(text, node->stage->name)) return refuse_state(node, "program", text, error);
            seen |= 2;
        } else if (psa_str_eq(name, "options")) {
            text = psa_json_text(in);
            if (in->fault.what) break;
            if (!psa_str_is(text, psa_buf_str(&node->canonical)))
                return refuse_state(node, "configuration", text, error);
            seen |= 4;
        } else if (psa_str_eq(name, "kept")) {
            load_kept(node, in);
        } else if (psa_str_eq(name, "state") && seen == 7) {
            if (psa_node_load_value(node, in, error) != 0) return -1;
            seen |= 8;
        } else {
            psa_json_refuse(in, "a member that no state has at this place");
        }
    }
    if (!psa_json_close(in) || seen != 15)
        return psa_fail(error, PSA_EXIT_PERMANENT, "the state is damaged: %s at byte %zu",
                        in->fault.what ? in->fault.what : "it is not whole",
                        in->fault.what ? (size_t)(in->fault.at - in->begin) + 1 : (size_t)(in->end - in->begin));
    return 0;
}

int psa_node_state_load(struct psa_node *node, struct psa_str text, struct psa_error *error)
{
    struct psa_arena arena = { 0 };
    struct psa_error inner = { 0 };
    struct psa_json in;
    int status;

    psa_json_open(&in, text, &arena);
    status = load_members(node, &in, &inner);
    if (status != 0)
        psa_fail(error, inner.status ? inner.status : PSA_EXIT_PERMANENT, "%s%s%s",
                 node->options.state ? node->options.state : "", node->options.state ? ": " : "", inner.text);
    psa_arena_free(&arena);
    return status;
}

static int save_as(struct psa_node *node, const char *path, struct psa_error *error)
{
    node->saved.n = 0;
    if (psa_node_state_text(node, &node->saved, error) != 0) return -1;
    return node->world->file_write(node->world->ctx, path, psa_buf_str(&node->saved), error);
}

int psa_node_save(struct psa_node *node, struct psa_error *error)
{
    return node->options.state && !node->unready ? save_as(node, node->options.state, error) : 0;
}

/* FILE.ID of a checkpoint. */
static int checkpoint_path(const struct psa_node *node, const char *id, char path[4096], struct psa_error *error)
{
    int n = snprintf(path, 4096, "%s.%s", node->options.state, id);

    return n < 4096 ? 0 : psa_fail(error, PSA_EXIT_PERMANENT, "--state: the file name is too long");
}

/* Save as FILE.ID and keep the last two: the one before may be the last that reached the sink. */
static int checkpoint(struct psa_node *node, const char *id, struct psa_error *error)
{
    char path[4096];

    if (!node->options.state) return 0;
    if (checkpoint_path(node, id, path, error) != 0 || save_as(node, path, error) != 0) return -1;
    if (strcmp(node->checkpoints[1], id) == 0) return 0;
    if (node->checkpoints[0][0]) {
        if (checkpoint_path(node, node->checkpoints[0], path, error) != 0) return -1;
        if (node->world->file_remove(node->world->ctx, path, error) != 0) return -1;
    }
    memcpy(node->checkpoints[0], node->checkpoints[1], sizeof node->checkpoints[0]);
    snprintf(node->checkpoints[1], sizeof node->checkpoints[1], "%s", id);
    return 0;
}

static int restore(struct psa_node *node, const char *id, struct psa_error *error)
{
    char path[4096];
    bool loaded;

    if (!node->options.state) {
        if (node->stage->slot) psa_say(node, "restore", "restore '%s' without --state: this stage starts afresh", id);
        return 0;
    }
    if (node->stats.in)
        return psa_fail(error, PSA_EXIT_PERMANENT, "restore '%s' came after a record; it must be the first line", id);
    if (checkpoint_path(node, id, path, error) != 0) return -1;
    close_stage(node);
    if (open_stage(node, error) != 0) return -1;
    if (load_file(node, path, true, &loaded, error) != 0) return -1;
    /* States saved behind ID belong to a future that did not come: nobody will ask for them, and no list names them. */
    if (node->world->file_forget && node->world->file_forget(node->world->ctx, node->options.state, id, error) != 0)
        return -1;
    /* The state of ID was saved before ID itself was kept: what was the newest then comes before it now. Unless that is ID:
     * a feeder that died before it knew of ID has asked for it twice. */
    if (strcmp(node->checkpoints[1], id) == 0) return 0;
    memcpy(node->checkpoints[0], node->checkpoints[1], sizeof node->checkpoints[0]);
    snprintf(node->checkpoints[1], sizeof node->checkpoints[1], "%s", id);
    return 0;
}

/* ---- the sink ------------------------------------------------------------------------------------------------------------ */

static int hand_on(struct psa_node *node, const struct psa_item *item, struct psa_error *error)
{
    return node->next.put(node->next.ctx, item, error);
}

static int put_record(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    node->stats.in++;
    node->line++;
    if (psa_record_is_status(record))
        return node->stage->status ? node->stage->status(node, record, error) : psa_pass(node, record, error);
    return node->stage->push(node, record, error);
}

/* A heartbeat says that nothing older will come. A stage that holds older records back says so of an earlier time: else
 * whoever comes behind it would take them for late. */
static int hand_on_heartbeat(struct psa_node *node, const struct psa_item *item, struct psa_error *error)
{
    int64_t ns = item->control->heartbeat_ns, kept = node->stage->promise ? node->stage->promise(node, ns) : ns;
    struct psa_control control = *item->control;
    char text[64];

    if (kept >= ns) return hand_on(node, item, error);
    control.heartbeat_ns = kept;
    control.text.n = (size_t)snprintf(text, sizeof text, "{\"psa\":{\"heartbeat\":%lld}}", (long long)kept);
    control.text.p = text;
    return hand_on(node, &(struct psa_item){ .kind = PSA_ITEM_CONTROL, .control = &control }, error);
}

static int put_control(struct psa_node *node, const struct psa_item *item, struct psa_error *error)
{
    const struct psa_control *control = item->control;
    int status = 0;

    node->stats.control++;
    node->line++;
    if (control->kind == PSA_CHECKPOINT) status = checkpoint(node, control->id, error);
    if (control->kind == PSA_RESTORE) status = restore(node, control->id, error);
    if (control->kind == PSA_HEARTBEAT && node->stage->heartbeat)
        status = node->stage->heartbeat(node, control->heartbeat_ns, error);
    if (status != 0) return -1;
    return control->kind == PSA_HEARTBEAT ? hand_on_heartbeat(node, item, error) : hand_on(node, item, error);
}

/* The end: what is unfinished goes out, or with --state into the file, once everything before it has gone on. */
static int put_end(struct psa_node *node, const struct psa_item *item, struct psa_error *error)
{
    if (!node->options.state && node->stage->finish && node->stage->finish(node, error) != 0) return -1;
    if (hand_on(node, item, error) != 0) return -1;
    return psa_node_save(node, error);
}

static int node_put(void *ctx, const struct psa_item *item, struct psa_error *error)
{
    struct psa_node *node = ctx;

    if (item->kind == PSA_ITEM_RECORD) return put_record(node, item->record, error);
    if (item->kind == PSA_ITEM_CONTROL) return put_control(node, item, error);
    return put_end(node, item, error);
}

struct psa_sink psa_node_sink(struct psa_node *node)
{
    return (struct psa_sink){ node_put, node };
}

/* ---- accounting ------------------------------------------------------------------------------------------------------------ */

void psa_node_take_counts(struct psa_node *node, struct psa_node *inner)
{
    node->stats.absorbed += inner->stats.absorbed;
    node->stats.evicted_keys += inner->stats.evicted_keys;
    inner->stats.absorbed = inner->stats.evicted_keys = 0;
    psa_count_take(&node->stats.rejected, &inner->stats.rejected);
    psa_count_take(&node->stats.dropped, &inner->stats.dropped);
    psa_count_take(&node->stats.noted, &inner->stats.noted);
}

void psa_node_stats(const struct psa_node *node, struct psa_buf *out)
{
    psa_stats_put(out, node->stage->name, &node->stats);
    psa_buf_member_int(out, "keys", (int64_t)psa_node_keys(node));
    psa_buf_member_int(out, "keys_evicted", (int64_t)node->stats.evicted_keys);
    psa_reasons_put(out, "noted", &node->stats.noted);
    psa_buf_puts(out, "}\n");
}

/* ---- what a stage calls ---------------------------------------------------------------------------------------------------- */

static int put_on(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    struct psa_item item = { PSA_ITEM_RECORD, record, NULL };

    return hand_on(node, &item, error);
}

int psa_pass(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    node->stats.passed++;
    return put_on(node, record, error);
}

int psa_pass_held(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    if (node->stats.absorbed) { /* zero: it was held by the run whose state this one loaded */
        node->stats.absorbed--;
        node->stats.passed++;
    } else {
        node->stats.emitted++;
    }
    return put_on(node, record, error);
}

int psa_emit(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    node->stats.emitted++;
    return put_on(node, record, error);
}

int psa_absorb(struct psa_node *node)
{
    node->stats.absorbed++;
    return 0;
}

static void say_list(struct psa_node *node, const char *cause, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void say_list(struct psa_node *node, const char *cause, const char *format, va_list arguments)
{
    char text[MESSAGE_MAX];

    if (!node->world || !node->world->say) return;
    vsnprintf(text, sizeof text, format, arguments);
    node->world->say(node->world->ctx, node, cause, text);
}

int psa_drop(struct psa_node *node, const char *reason, const char *format, ...)
{
    va_list arguments;

    psa_count(&node->stats.dropped, reason, 1);
    va_start(arguments, format);
    say_list(node, reason, format, arguments);
    va_end(arguments);
    return 0;
}

static int keep_rejected(struct psa_node *node, const struct psa_record *record, struct psa_error *error)
{
    return node->world && node->world->reject ? node->world->reject(node->world->ctx, record, error) : 0;
}

int psa_reject(struct psa_node *node, struct psa_record *record, const char *reason, struct psa_error *error,
               const char *format, ...)
{
    va_list arguments;

    psa_count(&node->stats.rejected, reason, 1);
    va_start(arguments, format);
    say_list(node, reason, format, arguments);
    va_end(arguments);
    return keep_rejected(node, record, error);
}

int psa_reject_held(struct psa_node *node, struct psa_record *record, const char *reason, struct psa_error *error,
                    const char *format, ...)
{
    va_list arguments;

    if (node->stats.absorbed) {
        node->stats.absorbed--;
        psa_count(&node->stats.rejected, reason, 1);
    } else {
        psa_note(node, "rejected_of_state"); /* it was counted as in by the run whose state this one loaded */
    }
    va_start(arguments, format);
    say_list(node, reason, format, arguments);
    va_end(arguments);
    return keep_rejected(node, record, error);
}

void psa_lose_held(struct psa_node *node, size_t n, const char *reason)
{
    for (; node && n; node = node->holder) {
        size_t here = n < node->stats.absorbed ? n : (size_t)node->stats.absorbed;

        if (!here) continue;
        node->stats.absorbed -= here;
        psa_count(&node->stats.dropped, reason, here);
        n -= here;
    }
}

void psa_say(struct psa_node *node, const char *cause, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_list(node, cause, format, arguments);
    va_end(arguments);
}

void psa_node_refuse(struct psa_node *node, const char *reason, const char *why)
{
    node->stats.in++;
    node->line++;
    psa_count(&node->stats.rejected, reason, 1);
    psa_say(node, reason, "%s; rejected", why);
}

void psa_node_skip_line(struct psa_node *node)
{
    node->line++;
}

void psa_note(struct psa_node *node, const char *reason)
{
    psa_count(&node->stats.noted, reason, 1);
}

struct psa_str psa_node_key(struct psa_node *node, struct psa_record *record)
{
    return psa_record_key(record, node->options.key, &node->key);
}
