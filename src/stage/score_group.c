/* score_group.c - see score_group.h. */
#include "stage/score_group.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/chain.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/record.h"
#include "model/model_file.h"
#include "stage/score_models.h"
#include "stage/slot.h"

/* ---- opening ---------------------------------------------------------------------------------------------------------- */

static int fail_group(const struct psa_groups *groups, const struct psa_group *group, const struct psa_error *inner,
                      struct psa_error *error)
{
    return psa_fail(error, inner->status, "%s:%llu: group '%.*s': %s", groups->path, (unsigned long long)group->line,
                    (int)group->name.n, group->name.p, inner->text);
}

/* Each feature of the model is a member, and each member a feature. */
static int map_model(struct psa_groups *groups, struct psa_group *group, const struct psa_model *model,
                     struct psa_error *error)
{
    bool *used = calloc(group->n, sizeof *used);
    size_t lacking = model->n_features;

    group->order = psa_arena_take(&groups->arena, model->n_features * sizeof *group->order);
    if (used == NULL || group->order == NULL) {
        free(used);
        return psa_fail_memory(error, "opening a group");
    }
    for (size_t j = model->n_features; j-- > 0;) {
        size_t i = 0;

        while (i < group->n && !psa_str_is(group->name_of[i], model->feature[j])) i++;
        if (i == group->n) lacking = j;
        else used[i] = true;
        group->order[j] = i;
    }
    if (lacking < model->n_features) {
        struct psa_str name = model->feature[lacking];

        free(used);
        return psa_fail(error, PSA_EXIT_PERMANENT, "'%.*s', a feature of model '%s', is no member", (int)name.n, name.p,
                        group->config->model);
    }
    for (size_t i = 0; i < group->n; i++)
        if (!used[i]) lacking = i;
    free(used);
    if (model->n_features == group->n) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "'%.*s' is no feature of model '%s'", (int)group->name_of[lacking].n,
                    group->name_of[lacking].p, group->config->model);
}

static int take_model(struct psa_node *node, struct psa_groups *groups, struct psa_group *group,
                      struct psa_error *error)
{
    struct psa_score *score = node->state;

    if (psa_model_file_need(score->files, node, group->config->model, &group->file, error) != 0) return -1;
    psa_buf_puts(&group->canonical, " ");
    psa_buf_puts(&group->canonical, group->file->model->id);
    return map_model(groups, group, group->file->model, error);
}

/* With --key PATH whatever reads on finds the group's name there as well, where the path is none of psa's own members. */
static int put_key(struct psa_record *frame, const char *path, struct psa_str name)
{
    const char *dot = path != NULL ? strchr(path, '.') : NULL;
    struct psa_str outer = { path, path == NULL ? 0 : dot != NULL ? (size_t)(dot - path) : strlen(path) }, inner;
    struct psa_buf json = { 0 };
    char first[128];
    size_t depth = 0;
    int status;

    if (outer.n == 0 || outer.n >= sizeof first || psa_member_identify(outer) != PSA_M_OTHER) return 0;
    for (size_t i = 0; i < outer.n; i++)
        if (outer.p[i] == '"' || outer.p[i] == '\\' || (unsigned char)outer.p[i] < ' ') return 0;
    memcpy(first, outer.p, outer.n);
    first[outer.n] = 0;
    for (; dot != NULL; dot = strchr(dot + 1, '.'), depth++) {
        const char *end = strchr(dot + 1, '.');

        inner = (struct psa_str){ dot + 1, end != NULL ? (size_t)(end - dot - 1) : strlen(dot + 1) };
        psa_buf_puts(&json, "{");
        psa_buf_quote(&json, inner);
        psa_buf_puts(&json, ":");
    }
    psa_buf_quote(&json, name);
    while (depth-- > 0) psa_buf_puts(&json, "}");
    status = json.failed ? -1 : psa_record_set(frame, first, psa_buf_str(&json));
    psa_buf_free(&json);
    return status;
}

/* What all records of the group have in common. */
static int make_frame(const struct psa_node *node, struct psa_group *group, struct psa_error *error)
{
    struct psa_record *frame = &group->frame;
    struct psa_buf name = { 0 };
    int status;

    frame->fields_at = PSA_NO_INDEX;
    psa_buf_quote(&name, group->name);
    status = name.failed ? -1 : psa_record_set(frame, "sensor_type", psa_str_of("\"group\""));
    if (status == 0) status = psa_record_set(frame, "sensor_id", psa_buf_str(&name));
    if (status == 0) status = put_key(frame, node->options.key, group->name);
    if (status == 0) status = psa_record_clear_fields(frame);
    psa_buf_free(&name);
    frame->sensor_type = psa_str_of("group");
    frame->sensor_id = group->name;
    return status == 0 ? 0 : psa_fail_memory(error, "opening a group");
}

static int open_group(struct psa_node *node, struct psa_groups *groups, struct psa_group *group,
                      struct psa_error *error)
{
    struct psa_score *score = node->state;
    const struct psa_model *model = NULL;

    if (group->config->model != NULL) {
        if (take_model(node, groups, group, error) != 0) return -1;
        model = group->file->model;
    }
    group->row = psa_arena_take(&groups->arena, group->n * sizeof *group->row);
    if (group->row == NULL) return psa_fail_memory(error, "opening a group");
    if (psa_score_setup_open(&group->setup, group->config, model, &score->scratch, error) != 0) return -1;
    if (psa_score_setup_run(node, &group->setup, error) != 0) return -1;
    if (psa_score_stream_start(&group->stream, &group->setup, model != NULL ? NULL : group->name_of,
                               model != NULL ? 0 : group->n, error) != 0)
        return -1;
    return make_frame(node, group, error);
}

static int read_file(struct psa_node *node, struct psa_groups *groups, struct psa_error *error)
{
    struct psa_buf text = { 0 };
    int status;

    if (node->world == NULL || node->world->file_read == NULL)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--groups: files cannot be read here");
    status = node->world->file_read(node->world->ctx, groups->path, &text, error);
    if (status == 1) status = psa_fail(error, PSA_EXIT_PERMANENT, "--groups: '%s' does not exist", groups->path);
    if (status == 0) status = psa_score_groups_parse(node, groups, psa_buf_str(&text), error);
    psa_buf_free(&text);
    return status;
}

struct psa_groups *psa_score_groups_open(struct psa_node *node, const char *path, struct psa_error *error)
{
    struct psa_groups *groups = calloc(1, sizeof *groups);
    struct psa_error inner = { 0 };

    if (groups == NULL) {
        (void)psa_fail_memory(error, "opening the groups");
        return NULL;
    }
    groups->path = path;
    if (read_file(node, groups, error) != 0) {
        psa_score_groups_close(node, groups);
        return NULL;
    }
    for (size_t i = 0; i < groups->n; i++) {
        if (open_group(node, groups, &groups->group[i], &inner) == 0) continue;
        (void)fail_group(groups, &groups->group[i], &inner, error);
        psa_score_groups_close(node, groups);
        return NULL;
    }
    return groups;
}

/* ---- closing ---------------------------------------------------------------------------------------------------------- */

/* A group for which one of its members was waited for in vain. */
static void say_unscored(struct psa_node *node, const struct psa_group *group)
{
    size_t i = 0;

    while (i < group->n && group->column[i].come) i++;
    node->line = 0;
    psa_say(node, "unscored_group", "group '%.*s' was never scored: %.*s has not come%s", (int)group->name.n,
            group->name.p, (int)group->name_of[i].n, group->name_of[i].p,
            group->n - group->n_come > 1 ? ", nor have others of its members" : "");
}

void psa_score_groups_close(struct psa_node *node, struct psa_groups *groups)
{
    struct psa_score *score = node->state;

    for (size_t i = 0; i < groups->n; i++) {
        struct psa_group *group = &groups->group[i];

        if (node->stats.in > 0 && group->n_come < group->n) say_unscored(node, group);
        psa_score_stream_stop(&group->stream);
        psa_score_setup_close(&group->setup);
        psa_model_file_leave(score->files, group->file);
        psa_record_free(&group->frame);
        psa_record_free(&group->record);
        psa_buf_free(&group->canonical);
        free(group->config);
        free(group->column);
        free(group->name_of);
    }
    free(groups->group);
    free(groups->source);
    free(groups->bucket);
    free(groups->due);
    free(groups->table);
    free(groups->words);
    psa_arena_free(&groups->arena);
    free(groups);
}

/* ---- values ------------------------------------------------------------------------------------------------------------- */

/* A field that is no number holds none; that is said. */
static double value_of(struct psa_node *node, const struct psa_group *group, size_t i, const struct psa_field *field)
{
    if (field->kind == PSA_NUMBER) return field->number;
    if (field->kind != PSA_NULL) {
        psa_note(node, "type");
        psa_say(node, "type", "fields.%.*s is %s; group '%.*s' takes %.*s for null", (int)field->name.n, field->name.p,
                field->kind == PSA_ARRAY ? "an array" : "not a number", (int)group->name.n, group->name.p,
                (int)group->name_of[i].n, group->name_of[i].p);
    }
    return NAN;
}

/* Hold the record's values of a source. Is there any? *late: one that is older than what is held, which stays. */
static bool take_values(struct psa_node *node, struct psa_group *group, const struct psa_group_source *source,
                        const struct psa_record *record, bool *late)
{
    bool any = false;

    for (size_t i = source->first; i != PSA_NO_INDEX; i = group->column[i].next) {
        struct psa_group_column *column = &group->column[i];
        const struct psa_field *field = psa_record_field(record, column->field, column->hint);

        if (field == NULL) continue;
        column->hint = (size_t)(field - record->field);
        if (column->held && column->has_time && record->has_time && record->timestamp_ns < column->time_ns) {
            *late = true;
            continue;
        }
        column->value = value_of(node, group, i, field);
        column->held = any = true;
        column->has_time = record->has_time;
        column->time_ns = record->timestamp_ns;
        if (column->come || isnan(column->value)) continue;
        column->come = true;
        group->n_come++;
    }
    return any;
}

/* What a column counts as at the time of the leader's record. */
static double held_value(const struct psa_group *group, const struct psa_group_column *column,
                         const struct psa_record *leader)
{
    if (!column->held) return NAN;
    if (leader->has_time && column->has_time &&
        psa_ns_since(leader->timestamp_ns, column->time_ns) > group->config->hold_ns)
        return NAN;
    return column->value;
}

/* ---- the group's record --------------------------------------------------------------------------------------------- */

static int carry(struct psa_record *to, const struct psa_record *from, enum psa_member_id id, const char *name)
{
    const struct psa_member *member = psa_record_member(from, id);

    return member != NULL ? psa_record_set(to, name, member->text) : 0;
}

/* The record, with the values as fields; and the row, as the detector has its columns. */
static int make_record(struct psa_group *group, const struct psa_record *leader, struct psa_error *error)
{
    struct psa_record *record = &group->record;
    int status = psa_record_copy(record, &group->frame, false);

    for (size_t i = 0; i < group->n && status == 0; i++) {
        const struct psa_group_column *column = &group->column[i];
        struct psa_field *field = psa_record_add_field(record, column->key, group->name_of[i]);

        if (field == NULL) status = -1;
        else psa_field_set(field, held_value(group, column, leader));
    }
    if (status == 0 && leader->has_time) status = psa_record_set_time(record, leader->timestamp_ns);
    if (status == 0) status = carry(record, leader, PSA_M_CLOCK, "clock");
    if (status == 0) status = carry(record, leader, PSA_M_LABELS, "labels");
    if (status != 0) return psa_fail_memory(error, "making a group's record");
    for (size_t j = 0; j < group->n; j++) {
        const struct psa_field *field = &record->field[group->order != NULL ? group->order[j] : j];

        group->row[j] = field->kind == PSA_NUMBER ? field->number : NAN;
    }
    return 0;
}

/* Until each member has come the row is not one of this group yet: it teaches nothing. */
static int score_record(struct psa_node *node, struct psa_group *group, struct psa_error *error)
{
    const struct psa_record *record = &group->record;
    struct psa_score_verdict verdict;

    psa_score_leave_out_beyond(node, &group->stream, group->row);
    if (!psa_score_stream_waits(node, &group->stream, record, group->row, &verdict)) {
        if (group->n_come < group->n) {
            psa_note(node, "incomplete");
            psa_score_verdict_of(&verdict, &group->stream, "missing", group->row);
        } else if (psa_score_stream_row(&group->stream, group->row, record->has_time, record->timestamp_ns, &verdict,
                                        error) != 0) {
            return -1;
        }
    }
    psa_score_stream_note(node, &group->stream, group->name);
    return psa_score_write(node, &group->record, &verdict, error);
}

/* The leader's record is there: the group's is made, unless it would go back in time. */
static int lead(struct psa_node *node, struct psa_group *group, const struct psa_record *leader, bool *due, bool *late,
                struct psa_error *error)
{
    *due = false;
    if (leader->has_time && group->has_time && leader->timestamp_ns < group->newest_ns) {
        *late = true;
        return 0;
    }
    if (leader->has_time) {
        group->has_time = true;
        group->newest_ns = leader->timestamp_ns;
    }
    if (make_record(group, leader, error) != 0 || score_record(node, group, error) != 0) return -1;
    *due = true;
    return 0;
}

/* ---- at work -------------------------------------------------------------------------------------------------------- */

static int take_record(struct psa_node *node, struct psa_groups *groups, struct psa_str key,
                       const struct psa_record *record, size_t *n_due, struct psa_error *error)
{
    uint64_t hash = psa_hash(PSA_HASH_START, key.p, key.n);
    const struct psa_group_source *source = groups->bucket[(hash ^ hash >> 32) & (groups->n_bucket - 1)];
    bool late = false;

    for (; source != NULL; source = source->chain) {
        struct psa_group *group = &groups->group[source->group];
        bool due = false;

        if (source->hash != hash || !psa_str_is(source->key, key)) continue;
        if (take_values(node, group, source, record, &late) && source->leads &&
            lead(node, group, record, &due, &late, error) != 0)
            return -1;
        if (due) groups->due[(*n_due)++] = source->group;
    }
    if (late) {
        char shown[128];

        psa_note(node, "late");
        psa_say(node, "late", "%s: older than what its group holds; it passes, and the group ignores it",
                psa_key_show(key, shown));
    }
    return 0;
}

/* Everything is taken from the record before it goes on: whoever gets it may change it. */
int psa_score_groups_push(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    struct psa_groups *groups = ((struct psa_score *)node->state)->groups;
    struct psa_str key = psa_node_key(node, record);
    size_t n_due = 0;

    if (key.p != NULL && take_record(node, groups, key, record, &n_due, error) != 0) return -1;
    if (psa_pass(node, record, error) != 0) return -1;
    for (size_t i = 0; i < n_due; i++)
        if (psa_emit(node, &groups->group[groups->due[i]].record, error) != 0) return -1;
    return 0;
}
