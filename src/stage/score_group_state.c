/*
 * score_group_state.c - what groups remember:
 *
 *     [{"group":NAME,"options":TEXT,"members":[KEY:FIELD,...],"newest_ns":n,"held":[[come,value,time_ns],...], and what
 *       the group's stream remembers},...]
 *
 * An item of `held` is null where nothing is held, time_ns null where the record had none. options and members come before
 * whatever depends on them.
 */
#include <math.h>

#include "core/chain.h"
#include "core/error.h"
#include "stage/score_group.h"

/* ---- saving ----------------------------------------------------------------------------------------------------------- */

static void save_held(const struct psa_group *group, struct psa_buf *out)
{
    psa_buf_name(out, "held");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < group->n; i++) {
        const struct psa_group_column *column = &group->column[i];

        psa_buf_comma(out);
        if (!column->held) {
            psa_buf_puts(out, "null");
            continue;
        }
        psa_buf_puts(out, column->come ? "[true," : "[false,");
        psa_buf_number(out, column->value);
        psa_buf_puts(out, ",");
        if (column->has_time) psa_buf_int(out, column->time_ns);
        else psa_buf_puts(out, "null");
        psa_buf_puts(out, "]");
    }
    psa_buf_puts(out, "]");
}

void psa_score_groups_save(const struct psa_groups *groups, struct psa_buf *out)
{
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < groups->n; i++) {
        const struct psa_group *group = &groups->group[i];

        psa_buf_puts(out, i == 0 ? "{" : ",\n{");
        psa_buf_member_text(out, "group", group->name);
        psa_buf_member_text(out, "options", psa_buf_str(&group->canonical));
        psa_buf_name(out, "members");
        psa_buf_puts(out, "[");
        for (size_t j = 0; j < group->n; j++) {
            psa_buf_comma(out);
            psa_buf_quote(out, group->name_of[j]);
        }
        psa_buf_puts(out, "]");
        if (group->has_time) psa_buf_member_int(out, "newest_ns", group->newest_ns);
        save_held(group, out);
        psa_score_stream_save(&group->stream, out);
        psa_buf_puts(out, "}");
    }
    psa_buf_puts(out, "]");
}

/* ---- loading ------------------------------------------------------------------------------------------------------------ */

enum { SEEN_OPTIONS = 1, SEEN_MEMBERS = 2, SEEN_HELD = 4, SEEN_NEWEST = 8 };

static struct psa_group *group_named(const struct psa_groups *groups, struct psa_str name)
{
    for (size_t i = 0; i < groups->n; i++)
        if (psa_str_is(groups->group[i].name, name)) return &groups->group[i];
    return NULL;
}

static bool load_column(struct psa_group *group, struct psa_group_column *column, struct psa_json *in)
{
    if (psa_json_peek(in) == 'n') return psa_json_skip(in).p != NULL;
    if (!psa_json_enter_array(in) || !psa_json_next_item(in)) return false;
    column->held = true;
    column->come = psa_json_bool(in);
    group->n_come += column->come;
    if (!psa_json_next_item(in)) return false;
    column->value = psa_json_number(in);
    if (!psa_json_next_item(in)) return false;
    column->has_time = psa_json_peek(in) != 'n';
    if (column->has_time) column->time_ns = psa_json_int(in);
    else (void)psa_json_skip(in);
    return !psa_json_next_item(in) && in->fault.what == NULL;
}

static bool load_held(struct psa_group *group, struct psa_json *in)
{
    size_t n = 0;

    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        if (n == group->n || !load_column(group, &group->column[n], in)) return false;
        n++;
    }
    return in->fault.what == NULL && n == group->n;
}

static bool same_members(const struct psa_group *group, struct psa_json *in)
{
    bool same = psa_json_enter_array(in);
    size_t n = 0;

    while (psa_json_next_item(in)) {
        struct psa_str name = psa_json_text(in);

        same = same && name.p != NULL && n < group->n && psa_str_is(group->name_of[n], name);
        n++;
    }
    return same && n == group->n;
}

static int refuse_group(const struct psa_groups *groups, const struct psa_group *group, const char *what,
                        struct psa_error *error)
{
    return psa_fail(error, PSA_EXIT_PERMANENT,
                    "the state of group '%.*s' was kept with other %s than %s has in line %llu; move the file away to "
                    "start afresh",
                    (int)group->name.n, group->name.p, what, groups->path, (unsigned long long)group->line);
}

/* One member of a group that is known. A fault is left in `in`. -1: the group was another. */
static int load_member(struct psa_groups *groups, struct psa_group *group, struct psa_str name, unsigned *seen,
                       struct psa_json *in, struct psa_error *error)
{
    unsigned is = psa_str_eq(name, "options")     ? SEEN_OPTIONS
                  : psa_str_eq(name, "members")   ? SEEN_MEMBERS
                  : psa_str_eq(name, "held")      ? SEEN_HELD
                  : psa_str_eq(name, "newest_ns") ? SEEN_NEWEST
                                                  : 0;
    bool ok = !(*seen & is);

    if (is == SEEN_OPTIONS && ok) {
        struct psa_str options = psa_json_text(in);

        if (options.p != NULL && !psa_str_is(options, psa_buf_str(&group->canonical)))
            return refuse_group(groups, group, "options or another model", error);
    } else if (is == SEEN_MEMBERS && ok) {
        if (!same_members(group, in) && in->fault.what == NULL) return refuse_group(groups, group, "members", error);
    } else if (!(*seen & SEEN_OPTIONS) || !(*seen & SEEN_MEMBERS)) {
        ok = false;
    } else if (is == SEEN_HELD && ok) {
        ok = load_held(group, in);
    } else if (is == SEEN_NEWEST && ok) {
        group->has_time = true;
        group->newest_ns = psa_json_int(in);
    } else if (ok) {
        ok = psa_score_stream_load(&group->stream, name, in);
    }
    *seen |= is;
    if (!ok) psa_json_refuse(in, "a member that no group's state has at this place, or a wrong one");
    return 0;
}

/* A group that the file does not have any more: its members are passed over. */
static void forget_group(struct psa_node *node, struct psa_str name, struct psa_json *in)
{
    struct psa_str member;

    psa_say(node, "forgotten", "group '%.*s' of the state is not in %s any more; it is forgotten", (int)name.n, name.p,
            ((const struct psa_score_config *)node->config)->groups);
    while (psa_json_next_member(in, &member)) (void)psa_json_skip(in);
}

static int load_group(struct psa_node *node, struct psa_groups *groups, struct psa_json *in, struct psa_error *error)
{
    struct psa_group *group;
    struct psa_str name;
    unsigned seen = 0;

    if (!psa_json_enter_object(in)) return 0;
    if (!psa_json_next_member(in, &name) || !psa_str_eq(name, "group")) {
        psa_json_refuse(in, "a group that does not start with its name");
        return 0;
    }
    name = psa_json_text(in);
    if (name.p == NULL) return 0;
    group = group_named(groups, name);
    if (group == NULL) {
        forget_group(node, name, in);
        return 0;
    }
    if (group->stream.loaded != 0) {
        psa_json_refuse(in, "a group that stands there twice");
        return 0;
    }
    while (psa_json_next_member(in, &name))
        if (load_member(groups, group, name, &seen, in, error) != 0) return -1;
    if (in->fault.what == NULL && (!(seen & SEEN_HELD) || !psa_score_stream_loaded(&group->stream)))
        psa_json_refuse(in, "a group that is not whole");
    return 0;
}

int psa_score_groups_load(struct psa_node *node, struct psa_groups *groups, struct psa_json *in,
                          struct psa_error *error)
{
    if (!psa_json_enter_array(in)) return 0;
    while (psa_json_next_item(in))
        if (load_group(node, groups, in, error) != 0) return -1;
    return 0;
}
