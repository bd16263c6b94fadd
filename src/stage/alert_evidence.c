/*
 * alert_evidence.c - --evidence DIR: what a person needs to judge an event, in one file an event. See alert.h.
 *
 *     DIR/20240309T160019Z-dht11+oven-0123456789abcdef.ndjson       when it was raised, the key, the event's id
 *
 *     {"psa_evidence":1,"id":..,"key":..,"kind":..,...,"before":n,"after":n,"left_out":n}
 *     the key's records before the event, as they came, at most --evidence-before of them and --evidence-size bytes
 *     the alert that raised it
 *     the records behind it, as they came, or as the alerts that they became, within the same kind of limits
 *     the alert that cleared it
 *
 * A file is always written whole: when the event is raised, at each further alert of it, when --evidence-after is reached,
 * when it is cleared, and at the end of the input. What is still to be written is of the state, so a run that was cut or
 * killed and resumed makes the same files. The oldest files beyond --evidence-max are removed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/path_name.h"
#include "core/time.h"
#include "stage/alert.h"

enum {
    KEY_SHOWN = 120, /* bytes of the key in a file's name, which has 255 */
    NAME_MAX_BYTES = 255,
    SLACK = 4 /* lines are moved to the front when this part of the memory is free there */
};

static const char probe_name[] = ".psa-alert";

static const struct psa_alert_config *config_of(const struct psa_node *node)
{
    return node->config;
}

static void fail(struct psa_node *node, const char *why)
{
    psa_note(node, "evidence_failed");
    psa_say(node, "evidence", "%s; the alert goes out, its evidence does not", why);
}

/* ---- lines --------------------------------------------------------------------------------------------------------------- */

static size_t live(const struct psa_alert_lines *lines)
{
    return lines->text.n - lines->begin;
}

static struct psa_str all(const struct psa_alert_lines *lines)
{
    return (struct psa_str){ live(lines) ? lines->text.p + lines->begin : "", live(lines) };
}

/* The oldest line, with its LF. */
static struct psa_str oldest(const struct psa_alert_lines *lines)
{
    struct psa_str text = all(lines);
    const char *stop = memchr(text.p, '\n', text.n);

    return (struct psa_str){ text.p, stop ? (size_t)(stop - text.p) + 1 : text.n };
}

static void forget_oldest(struct psa_alert_lines *lines)
{
    lines->begin += oldest(lines).n;
    lines->n--;
}

static void append_line(struct psa_alert_lines *lines, struct psa_str line)
{
    struct psa_buf *text = &lines->text;

    if (lines->begin && lines->begin >= text->cap / SLACK && text->n + line.n > text->cap) {
        memmove(text->p, text->p + lines->begin, live(lines));
        text->n = live(lines);
        lines->begin = 0;
    }
    psa_buf_put(text, line.p, line.n);
    lines->n++;
}

static void trim(struct psa_alert_lines *lines, int64_t most, int64_t bytes)
{
    while (lines->n > most || (lines->n && (int64_t)live(lines) > bytes)) forget_oldest(lines);
}

/* Whole lines. */
static bool load_lines(struct psa_alert_lines *lines, struct psa_json *in)
{
    struct psa_str text = psa_json_text(in);

    if (!text.p || (text.n && text.p[text.n - 1] != '\n')) return false;
    lines->text.n = lines->begin = 0;
    lines->n = 0;
    for (size_t i = 0; i < text.n; i++) lines->n += text.p[i] == '\n';
    psa_buf_put(&lines->text, text.p, text.n);
    return !lines->text.failed;
}

/* ---- files --------------------------------------------------------------------------------------------------------------- */

/* The path of a file in the folder, ended by NUL. */
static const char *path_of(struct psa_node *node, struct psa_str name)
{
    struct psa_alert *alert = node->state;

    alert->path.n = 0;
    psa_buf_puts(&alert->path, config_of(node)->evidence);
    psa_buf_puts(&alert->path, "/");
    psa_buf_put(&alert->path, name.p, name.n);
    psa_buf_put(&alert->path, "", 1);
    return alert->path.failed ? NULL : alert->path.p;
}

int psa_alert_evidence_open(struct psa_node *node, struct psa_error *error)
{
    const struct psa_world *world = node->world;
    struct psa_error why = { 0 };
    const char *path;

    if (!config_of(node)->evidence || !world || !world->file_write) return 0;
    path = path_of(node, psa_str_of(probe_name));
    if (!path) return psa_fail_memory(error, "starting");
    if (world->file_write(world->ctx, path, psa_str_of("\n"), &why) == 0 &&
        world->file_remove(world->ctx, path, &why) == 0)
        return 0;
    if (why.status == PSA_EXIT_PERMANENT)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--evidence: %s; give a folder that exists and may be written to",
                        why.text);
    /* A full disk must not keep alerts from people. */
    psa_note(node, "evidence_failed");
    psa_say(node, "evidence", "--evidence: %s; it is tried again with each event, alerts go out", why.text);
    return 0;
}

/* The oldest files beyond --evidence-max go. */
static void keep_newest(struct psa_node *node, struct psa_str name)
{
    struct psa_alert *alert = node->state;
    const struct psa_world *world = node->world;
    int64_t most = config_of(node)->evidence_max;
    struct psa_error why = { 0 };

    if (!most) return;
    append_line(&alert->bundles, name);
    append_line(&alert->bundles, psa_str_of("\n"));
    alert->bundles.n--; /* two pieces, one line */
    while (alert->bundles.n > most) {
        struct psa_str first = oldest(&alert->bundles);
        const char *path = path_of(node, (struct psa_str){ first.p, first.n - 1 });

        if (path && world && world->file_remove && world->file_remove(world->ctx, path, &why) != 0)
            fail(node, why.text);
        forget_oldest(&alert->bundles);
    }
}

/* Is it one of the files that are kept? One that was removed must not come back. */
static bool is_kept(const struct psa_node *node, struct psa_str name)
{
    const struct psa_alert *alert = node->state;
    struct psa_str names = all(&alert->bundles);

    return !config_of(node)->evidence_max || memmem(names.p, names.n, name.p, name.n);
}

static void put_first_line(struct psa_buf *file, const struct psa_alert_bundle *bundle,
                           const struct psa_alert_event *event, const char *state, int64_t cleared_ns)
{
    psa_buf_put(file, bundle->head.p, bundle->head.n);
    psa_buf_member_text(file, "severity", psa_str_of(psa_alert_severity_name[event->severity]));
    psa_buf_member_text(file, "state", psa_str_of(state));
    psa_buf_name(file, "cleared_ns");
    if (strcmp(state, "cleared") == 0) psa_buf_int(file, cleared_ns);
    else psa_buf_puts(file, "null");
    psa_buf_member_int(file, "before", bundle->before);
    psa_buf_member_int(file, "after", bundle->after);
    psa_buf_member_int(file, "left_out", bundle->left_out);
    psa_buf_puts(file, "}\n");
}

static void write_bundle(struct psa_node *node, struct psa_alert_bundle *bundle, const struct psa_alert_event *event,
                         const char *state, int64_t cleared_ns)
{
    struct psa_alert *alert = node->state;
    const struct psa_world *world = node->world;
    struct psa_error why = { 0 };
    const char *path;

    if (!world || !world->file_write || !is_kept(node, psa_buf_str(&bundle->name))) return;
    alert->file.n = 0;
    put_first_line(&alert->file, bundle, event, state, cleared_ns);
    psa_buf_put(&alert->file, bundle->text.p, bundle->text.n);
    path = path_of(node, psa_buf_str(&bundle->name));
    if (!path || alert->file.failed) {
        psa_buf_free(&alert->file);
        fail(node, "memory is out");
    } else if (world->file_write(world->ctx, path, psa_buf_str(&alert->file), &why) != 0) {
        fail(node, why.text);
    }
}

/* ---- bundles ------------------------------------------------------------------------------------------------------------- */

static void close_bundle(struct psa_alert_bundle *bundle)
{
    psa_buf_free(&bundle->name);
    psa_buf_free(&bundle->head);
    psa_buf_free(&bundle->text);
    *bundle = (struct psa_alert_bundle){ 0 };
}

/* As in any file's name, with a `+` between type and id. */
static void put_key(struct psa_buf *name, struct psa_str key)
{
    size_t end = name->n + KEY_SHOWN;

    for (;;) {
        const char *separator = memchr(key.p, PSA_KEY_SEPARATOR, key.n);
        size_t n = separator ? (size_t)(separator - key.p) : key.n;

        if (!psa_path_name_put(name, (struct psa_str){ key.p, n }, end - name->n) || !separator) return;
        if (name->n == end) return;
        psa_buf_puts(name, "+");
        key = (struct psa_str){ separator + 1, key.n - n - 1 };
    }
}

static void put_name(struct psa_buf *name, struct psa_str key, int64_t ns, const char *id)
{
    char iso[PSA_TIME_ISO_MAX];

    psa_time_format_iso(ns, iso);
    for (const char *p = iso; *p && *p != '.' && *p != 'Z'; p++)
        if (*p != ':' && *p != '-') psa_buf_put(name, p, 1);
    psa_buf_puts(name, "Z-");
    put_key(name, key);
    psa_buf_puts(name, "-");
    psa_buf_puts(name, id);
    psa_buf_puts(name, ".ndjson");
}

static void put_head(struct psa_buf *head, const struct psa_alert *alert, const struct psa_alert_slot *slot,
                     const struct psa_alert_words *words, const char *id, int64_t ns)
{
    char shown[128];

    psa_buf_puts(head, "{");
    psa_buf_member_int(head, "psa_evidence", 1);
    psa_buf_member_text(head, "id", psa_str_of(id));
    psa_buf_member_text(head, "key", psa_str_of(psa_key_show(slot->slot.key, shown)));
    psa_buf_member_text(head, "kind", psa_str_of(psa_alert_kind_name[words->kind]));
    psa_buf_member_int(head, "since_ns", words->since_ns);
    psa_buf_member_int(head, "raised_ns", ns);
    psa_buf_name(head, "model");
    if (words->model.p) psa_buf_quote(head, words->model);
    else psa_buf_puts(head, "null");
    psa_buf_name(head, "condition");
    if (alert->condition && words->kind == PSA_ALERT_ANOMALY)
        psa_buf_quote(head, psa_str_of(psa_condition_text(alert->condition)));
    else psa_buf_puts(head, "null");
    psa_buf_member_number(head, "score", words->score);
    psa_buf_member_number(head, "threshold", words->threshold);
    psa_buf_name(head, "top");
    if (words->top.p) psa_buf_put(head, words->top.p, words->top.n);
    else psa_buf_puts(head, "[]");
    psa_buf_member_text(head, "reason", (struct psa_str){ words->reason.text, words->reason.n });
}

static void open_bundle(struct psa_node *node, struct psa_alert_slot *slot, const struct psa_alert_words *words,
                        const char *id, int64_t ns)
{
    struct psa_alert_bundle *bundle = &slot->bundle[words->kind];
    struct psa_str past = all(&slot->past);

    close_bundle(bundle);
    bundle->open = true;
    put_name(&bundle->name, slot->slot.key, ns, id);
    put_head(&bundle->head, node->state, slot, words, id, ns);
    psa_buf_put(&bundle->text, past.p, past.n);
    bundle->before = slot->past.n;
    keep_newest(node, psa_buf_str(&bundle->name));
}

/* One more line behind the alert that raised it, if there is room for it. At the first for which there is none the file is
 * written, for the event may last. */
static void add_after(struct psa_node *node, struct psa_alert_bundle *bundle, const struct psa_alert_event *event,
                      struct psa_str line)
{
    const struct psa_alert_config *config = config_of(node);

    if (bundle->left_out || bundle->after >= config->evidence_after ||
        bundle->after_bytes + (int64_t)line.n > config->evidence_size) {
        if (!bundle->left_out++) write_bundle(node, bundle, event, "ongoing", 0);
        return;
    }
    psa_buf_put(&bundle->text, line.p, line.n);
    bundle->after++;
    bundle->after_bytes += (int64_t)line.n;
}

void psa_alert_evidence_keep(struct psa_node *node, struct psa_alert_slot *slot)
{
    const struct psa_alert_config *config = config_of(node);
    struct psa_alert *alert = node->state;
    struct psa_str line = psa_buf_str(&alert->own);

    if (!config->evidence || alert->own.failed) return;
    for (int kind = 0; kind < PSA_ALERT_KINDS; kind++) {
        struct psa_alert_bundle *bundle = &slot->bundle[kind];

        if (bundle->open && !bundle->took)
            add_after(node, bundle, psa_alert_event_of(slot, (enum psa_alert_kind)kind), line);
        bundle->took = false;
    }
    if (config->evidence_before && (int64_t)line.n <= config->evidence_size) append_line(&slot->past, line);
    trim(&slot->past, config->evidence_before, config->evidence_size);
}

void psa_alert_evidence_note(struct psa_node *node, struct psa_alert_slot *slot, const struct psa_alert_words *words,
                             const char *id, const struct psa_record *record)
{
    struct psa_alert *alert = node->state;
    struct psa_alert_bundle *bundle = &slot->bundle[words->kind];
    const struct psa_alert_event *event = psa_alert_event_of(slot, words->kind);
    bool raised = strcmp(words->state, "raised") == 0, cleared = strcmp(words->state, "cleared") == 0;

    if (!config_of(node)->evidence) return;
    if (raised) open_bundle(node, slot, words, id, record->timestamp_ns);
    if (!bundle->open) return; /* it was raised when there was no --evidence */
    alert->file.n = 0;
    psa_encode(record, &alert->file);
    if (raised || cleared) psa_buf_put(&bundle->text, alert->file.p, alert->file.n);
    else add_after(node, bundle, event, psa_buf_str(&alert->file));
    bundle->took = words->kind == PSA_ALERT_ANOMALY;
    if (bundle->name.failed || bundle->head.failed || bundle->text.failed) {
        close_bundle(bundle);
        fail(node, "memory is out");
    } else if (raised || cleared || !bundle->left_out) {
        write_bundle(node, bundle, event, words->state, record->timestamp_ns);
    }
    if (cleared) close_bundle(bundle);
}

void psa_alert_evidence_flush(struct psa_node *node, struct psa_alert_slot *slot)
{
    for (int kind = 0; kind < PSA_ALERT_KINDS; kind++)
        if (slot->bundle[kind].open)
            write_bundle(node, &slot->bundle[kind], psa_alert_event_of(slot, (enum psa_alert_kind)kind), "ongoing", 0);
}

void psa_alert_evidence_drop(struct psa_alert_slot *slot)
{
    for (int kind = 0; kind < PSA_ALERT_KINDS; kind++) close_bundle(&slot->bundle[kind]);
    psa_buf_free(&slot->past.text);
    slot->past = (struct psa_alert_lines){ 0 };
}

/* ---- states -------------------------------------------------------------------------------------------------------------- */

static void save_bundle(const struct psa_alert_bundle *bundle, struct psa_buf *out)
{
    psa_buf_comma(out);
    if (!bundle->open) {
        psa_buf_puts(out, "null");
        return;
    }
    psa_buf_puts(out, "{");
    psa_buf_member_text(out, "name", psa_buf_str(&bundle->name));
    psa_buf_member_text(out, "head", psa_buf_str(&bundle->head));
    psa_buf_member_text(out, "text", psa_buf_str(&bundle->text));
    psa_buf_member_int(out, "before", bundle->before);
    psa_buf_member_int(out, "after", bundle->after);
    psa_buf_member_int(out, "after_bytes", bundle->after_bytes);
    psa_buf_member_int(out, "left_out", bundle->left_out);
    psa_buf_puts(out, "}");
}

void psa_alert_evidence_save(const struct psa_alert_slot *slot, struct psa_buf *out)
{
    const struct psa_node *node = slot->slot.owner;

    if (!config_of(node)->evidence) return;
    psa_buf_name(out, "evidence");
    psa_buf_puts(out, "[");
    psa_buf_quote(out, all(&slot->past));
    for (int kind = 0; kind < PSA_ALERT_KINDS; kind++) save_bundle(&slot->bundle[kind], out);
    psa_buf_puts(out, "]");
}

static bool load_text(struct psa_buf *place, struct psa_json *in)
{
    struct psa_str text = psa_json_text(in);

    if (!text.p || place->n) return false;
    psa_buf_put(place, text.p, text.n);
    return !place->failed;
}

/* A name that leads nowhere else. */
static bool is_name(struct psa_str name)
{
    return name.n && name.n <= NAME_MAX_BYTES && name.p[0] != '.' && !memchr(name.p, '/', name.n) &&
           !memchr(name.p, 0, name.n) && !memchr(name.p, '\n', name.n);
}

/* Each member once. */
static bool load_bundle(struct psa_alert_bundle *bundle, struct psa_json *in)
{
    enum { NAME = 1, HEAD = 2, TEXT = 4, BEFORE = 8, AFTER = 16, AFTER_BYTES = 32, LEFT_OUT = 64, WHOLE = 127 };
    struct psa_str name;
    int seen = 0, bit;

    if (psa_json_peek(in) == 'n') return psa_json_skip(in).p != NULL;
    if (bundle->open || !psa_json_enter_object(in)) return false;
    bundle->open = true;
    for (; psa_json_next_member(in, &name); seen |= bit) {
        bool good = true;

        if (psa_str_eq(name, "name")) good = load_text(&bundle->name, in), bit = NAME;
        else if (psa_str_eq(name, "head")) good = load_text(&bundle->head, in), bit = HEAD;
        else if (psa_str_eq(name, "text")) good = load_text(&bundle->text, in), bit = TEXT;
        else if (psa_str_eq(name, "before")) bundle->before = psa_json_int(in), bit = BEFORE;
        else if (psa_str_eq(name, "after")) bundle->after = psa_json_int(in), bit = AFTER;
        else if (psa_str_eq(name, "after_bytes")) bundle->after_bytes = psa_json_int(in), bit = AFTER_BYTES;
        else if (psa_str_eq(name, "left_out")) bundle->left_out = psa_json_int(in), bit = LEFT_OUT;
        else return false;
        if (!good || seen & bit) return false;
    }
    return seen == WHOLE && is_name(psa_buf_str(&bundle->name)) && bundle->head.n && bundle->text.n &&
           bundle->before >= 0 && bundle->after >= 0 && bundle->after_bytes >= 0 && bundle->left_out >= 0;
}

bool psa_alert_evidence_load(struct psa_alert_slot *slot, struct psa_json *in)
{
    if (!psa_json_enter_array(in) || !psa_json_next_item(in) || !load_lines(&slot->past, in)) return false;
    for (int kind = 0; kind < PSA_ALERT_KINDS; kind++)
        if (!psa_json_next_item(in) || !load_bundle(&slot->bundle[kind], in)) return false;
    return !psa_json_next_item(in) && !in->fault.what;
}

void psa_alert_evidence_save_names(const struct psa_node *node, struct psa_buf *out)
{
    const struct psa_alert *alert = node->state;

    if (config_of(node)->evidence) psa_buf_member_text(out, "bundles", all(&alert->bundles));
}

bool psa_alert_evidence_load_names(struct psa_node *node, struct psa_json *in)
{
    struct psa_alert *alert = node->state;
    struct psa_alert_lines *names = &alert->bundles;

    if (!load_lines(names, in)) return false;
    for (size_t at = 0; at < names->text.n;) {
        const char *name = names->text.p + at, *stop = memchr(name, '\n', names->text.n - at);
        size_t n = (size_t)(stop - name);

        if (!is_name((struct psa_str){ name, n })) return false;
        at += n + 1;
    }
    if (!config_of(node)->evidence) names->n = 0, names->text.n = 0;
    return true;
}

bool psa_alert_evidence_loaded(struct psa_node *node, struct psa_alert_slot *slot)
{
    const struct psa_alert_config *config = config_of(node);

    for (int kind = 0; kind < PSA_ALERT_KINDS; kind++)
        if (slot->bundle[kind].open && !psa_alert_event_of(slot, (enum psa_alert_kind)kind)->active) return false;
    if (config->evidence) trim(&slot->past, config->evidence_before, config->evidence_size);
    else psa_alert_evidence_drop(slot);
    return true;
}
