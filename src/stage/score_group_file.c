/*
 * score_group_file.c - the file of --groups.
 *
 *     # what the press is doing, seen together
 *     press-07  --ecod --hold 5s  accel_gyro/press-07:accel_x_rms,accel_z_rms  pressure/press-07:pressure_Pa
 *
 * A group a line; a backslash at a line's end goes on with the next. Words are the shell's (core/words.h). The first word is the name, the
 * options are psa-score's own and may stand anywhere behind it, all other words are members: KEY:FIELD or KEY:FIELD,FIELD,
 * the last colon being the one that counts. KEY is TYPE/ID as messages show it, ID for a sensor without type; with --key it
 * is the value.
 */
#include <stdlib.h>
#include <string.h>

#include "core/chain.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/record.h"
#include "core/words.h"
#include "stage/score_group.h"

static const char blanks[] = " \t\r", ends[] = " \t\r\n";

/* Options that a line cannot have: they are the program's. */
static const char *const outer_options[] = { "groups", "models", "history", NULL };

/* One word more than there is room for would be a word too many for any group. */
enum { WORDS_MAX = 3 * PSA_GROUP_MEMBERS_MAX };

struct line {
    char **word; /* [WORDS_MAX + 1] */
    size_t n;
    uint64_t number;
};

/* ---- growing -------------------------------------------------------------------------------------------------------- */

static bool grow(void **array, size_t n, size_t *cap, size_t size)
{
    size_t want = *cap > 0 ? *cap * 2 : 8;
    void *grown;

    if (n < *cap) return true;
    grown = realloc(*array, want * size);
    if (grown == NULL) return false;
    *array = grown;
    *cap = want;
    return true;
}

static int fail_line(const struct psa_groups *groups, uint64_t line, const struct psa_error *inner,
                     struct psa_error *error)
{
    return psa_fail(error, inner->status, "%s:%llu: %s", groups->path, (unsigned long long)line, inner->text);
}

/* ---- words ------------------------------------------------------------------------------------------------------------ */

/* A copy with room for the words behind it. NULL: memory is out. */
static char *copy_text(struct psa_str text)
{
    char *copy = malloc(3 * text.n + 3);

    if (copy == NULL) return NULL;
    memcpy(copy, text.p, text.n);
    copy[text.n] = 0;
    return copy;
}

static uint64_t count_lines(const char *p, const char *end)
{
    uint64_t n = 0;

    for (; p < end; p++) n += *p == '\n';
    return n;
}

/* The words of the next line that has any, with *p moved behind it and *number to its own. line->n 0: there is none. */
static int cut_line(const char **p, char **out, uint64_t *number, struct line *line, struct psa_error *error)
{
    line->n = 0;
    for (;;) {
        const char *begin = *p;

        *p = psa_word_begin(*p, blanks);
        *number += count_lines(begin, *p);
        if (**p == '#') *p += strcspn(*p, "\n");
        if (**p == 0) return 0;
        if (**p == '\n') {
            if (line->n > 0) return 0;
            ++*p;
            ++*number;
            continue;
        }
        if (line->n == 0) line->number = *number;
        if (line->n == WORDS_MAX) return psa_fail(error, PSA_EXIT_PERMANENT, "more than %d words", WORDS_MAX);
        begin = *p;
        line->word[line->n++] = *out;
        if (!psa_word_cut(p, out, ends)) return psa_fail(error, PSA_EXIT_PERMANENT, "a quote is not closed");
        *number += count_lines(begin, *p);
    }
}

/* ---- members ---------------------------------------------------------------------------------------------------------- */

/* KEY as the node gives it for a record; .p NULL: memory is out; empty: it is none. */
static struct psa_str key_of(const struct psa_node *node, struct psa_arena *arena, struct psa_str shown)
{
    struct psa_str type, id, key;
    struct psa_buf made = { 0 };

    if (node->options.key != NULL) return psa_arena_copy(arena, shown);
    psa_key_read(shown, &type, &id);
    if (id.n == 0 || (type.p != NULL && type.n == 0)) return psa_str_of("");
    key = psa_key_make(&made, type, id);
    key = made.failed ? (struct psa_str){ NULL, 0 } : psa_arena_copy(arena, key);
    psa_buf_free(&made);
    return key;
}

/* The source of that key in the last group, made when there is none. NULL: memory is out. */
static struct psa_group_source *source_of(struct psa_groups *groups, struct psa_str key)
{
    struct psa_group_source *source;
    void *array = groups->source;
    size_t first = groups->n_source;

    while (first > 0 && groups->source[first - 1].group == groups->n - 1) first--;
    for (size_t i = first; i < groups->n_source; i++)
        if (psa_str_is(groups->source[i].key, key)) return &groups->source[i];
    if (!grow(&array, groups->n_source, &groups->cap_source, sizeof *source)) return NULL;
    groups->source = array;
    source = &groups->source[groups->n_source++];
    *source = (struct psa_group_source){ .key = key,
                                         .hash = psa_hash(PSA_HASH_START, key.p, key.n),
                                         .group = groups->n - 1,
                                         .first = PSA_NO_INDEX,
                                         .last = PSA_NO_INDEX,
                                         .leads = first == groups->n_source - 1 };
    return source;
}

/* Names and columns grow together. */
static bool grow_columns(struct psa_group *group)
{
    size_t cap = group->cap;
    void *array = group->name_of;
    bool ok = grow(&array, group->n, &cap, sizeof *group->name_of);

    group->name_of = array;
    array = group->column;
    ok = ok && grow(&array, group->n, &group->cap, sizeof *group->column);
    group->column = array;
    return ok;
}

/* One column more, KEY:FIELD. */
static int add_column(struct psa_groups *groups, struct psa_group *group, struct psa_group_source *source,
                      struct psa_str shown, struct psa_str field, struct psa_error *error)
{
    struct psa_group_column *column;
    char *name;

    for (size_t i = source->first; i != PSA_NO_INDEX; i = group->column[i].next)
        if (psa_str_is(group->column[i].field, field))
            return psa_fail(error, PSA_EXIT_PERMANENT, "%.*s:%.*s stands there twice", (int)shown.n, shown.p,
                            (int)field.n, field.p);
    if (field.n == 0 || psa_field_is_verdict(field))
        return psa_fail(error, PSA_EXIT_PERMANENT, "'%.*s:' has %s; give KEY:FIELD,FIELD", (int)shown.n, shown.p,
                        field.n == 0 ? "an empty field" : "a field that psa-score writes itself");
    if (group->n == PSA_GROUP_MEMBERS_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "more than %d members", PSA_GROUP_MEMBERS_MAX);
    name = psa_arena_take(&groups->arena, shown.n + field.n + 1);
    if (name == NULL || !grow_columns(group)) return psa_fail_memory(error, "reading the groups");
    memcpy(name, shown.p, shown.n);
    name[shown.n] = ':';
    memcpy(name + shown.n + 1, field.p, field.n);
    column = &group->column[group->n];
    group->name_of[group->n] = (struct psa_str){ name, shown.n + field.n + 1 };
    *column = (struct psa_group_column){ .field = field, .next = PSA_NO_INDEX, .hint = PSA_NO_INDEX };
    column->key = psa_field_key(&groups->arena, group->name_of[group->n]);
    if (column->key.p == NULL) return psa_fail_memory(error, "reading the groups");
    if (source->first == PSA_NO_INDEX) source->first = group->n;
    else group->column[source->last].next = group->n;
    source->last = group->n++;
    return 0;
}

/* KEY:FIELD,FIELD */
static int add_members(const struct psa_node *node, struct psa_groups *groups, struct psa_group *group,
                       const char *word, struct psa_error *error)
{
    const char *colon = strrchr(word, ':'), *list = colon != NULL ? colon + 1 : NULL;
    struct psa_str shown = { word, colon != NULL ? (size_t)(colon - word) : 0 }, key, field;
    struct psa_group_source *source;

    if (shown.n == 0) return psa_fail(error, PSA_EXIT_PERMANENT, "'%s' is no member; give KEY:FIELD", word);
    key = key_of(node, &groups->arena, shown);
    if (key.p != NULL && key.n == 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "'%s' has an empty type or id; give TYPE/ID:FIELD", word);
    source = key.p != NULL ? source_of(groups, key) : NULL;
    if (source == NULL) return psa_fail_memory(error, "reading the groups");
    while ((field = psa_list_next(&list, NULL)).p != NULL)
        if (add_column(groups, group, source, shown, field, error) != 0) return -1;
    return 0;
}

/* ---- groups ----------------------------------------------------------------------------------------------------------- */

static bool is_outer(const char *name)
{
    for (size_t i = 0; outer_options[i] != NULL; i++)
        if (strcmp(outer_options[i], name) == 0) return true;
    return false;
}

/* psa-score's own table without what is the program's. */
static int make_table(struct psa_groups *groups, struct psa_error *error)
{
    size_t n = 0, kept = 0;

    while (psa_score_options[n].type != PSA_OPT_END) n++;
    groups->table = calloc(n + 1, sizeof *groups->table);
    if (groups->table == NULL) return psa_fail_memory(error, "reading the groups");
    for (size_t i = 0; i < n; i++) {
        struct psa_option *option = &groups->table[kept];

        if (is_outer(psa_score_options[i].name)) continue;
        *option = psa_score_options[i];
        if (strcmp(option->name, "hold") == 0) option->needs = NULL;
        kept++;
    }
    groups->table[kept] = (struct psa_option){ .type = PSA_OPT_END };
    return 0;
}

static int parse_options(const struct psa_node *node, struct psa_groups *groups, struct psa_group *group,
                         struct line *line, int *operand, struct psa_error *error)
{
    const struct psa_score_config *outer = node->config;
    struct psa_option_set set = { groups->table, group->config };
    char asked;

    line->word[line->n] = NULL;
    if (psa_options_parse(&set, 1, (int)line->n, line->word, operand, &asked, &group->canonical, error) != 0) return -1;
    if (asked) return psa_fail(error, PSA_EXIT_PERMANENT, "ask psa-score itself for its --help or --version");
    if (!group->config->hold_given) group->config->hold_ns = outer->hold_ns;
    return psa_score_config_check(group->config, error);
}

static int parse_group(const struct psa_node *node, struct psa_groups *groups, struct line *line,
                       struct psa_error *error)
{
    struct psa_group *group;
    void *array = groups->group;
    int operand;

    for (size_t i = 0; i < groups->n; i++)
        if (psa_str_eq(groups->group[i].name, line->word[0]))
            return psa_fail(error, PSA_EXIT_PERMANENT, "there is a group '%s' already, in line %llu", line->word[0],
                            (unsigned long long)groups->group[i].line);
    if (groups->n == PSA_GROUPS_MAX) return psa_fail(error, PSA_EXIT_PERMANENT, "more than %d groups", PSA_GROUPS_MAX);
    if (!grow(&array, groups->n, &groups->cap, sizeof *group)) return psa_fail_memory(error, "reading the groups");
    groups->group = array;
    group = &groups->group[groups->n++];
    *group = (struct psa_group){ .name = psa_str_of(line->word[0]), .line = line->number };
    group->config = calloc(1, sizeof *group->config);
    if (group->config == NULL) return psa_fail_memory(error, "reading the groups");
    if (group->name.n == 0 || line->word[0][0] == '-')
        return psa_fail(error, PSA_EXIT_PERMANENT, "'%s' is no name of a group; it comes before the options",
                        line->word[0]);
    if (parse_options(node, groups, group, line, &operand, error) != 0) return -1;
    if ((size_t)operand == line->n)
        return psa_fail(error, PSA_EXIT_PERMANENT, "group '%s' has no members; give KEY:FIELD", line->word[0]);
    for (size_t i = (size_t)operand; i < line->n; i++)
        if (add_members(node, groups, group, line->word[i], error) != 0) return -1;
    return 0;
}

static int parse_lines(const struct psa_node *node, struct psa_groups *groups, struct line *line,
                       struct psa_error *error)
{
    const char *p = groups->words;
    char *out = groups->words + strlen(groups->words) + 1;
    struct psa_error inner = { 0 };
    uint64_t number = 1;

    for (;;) {
        line->number = number;
        if (cut_line(&p, &out, &number, line, &inner) != 0) return fail_line(groups, line->number, &inner, error);
        if (line->n == 0) break;
        if (parse_group(node, groups, line, &inner) != 0) return fail_line(groups, line->number, &inner, error);
    }
    if (groups->n == 0) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: no group stands there", groups->path);
    return 0;
}

/* Where sources are found by their key; those of one bucket in the file's order. */
static int make_buckets(struct psa_groups *groups, struct psa_error *error)
{
    groups->n_bucket = 1;
    while (groups->n_bucket < 2 * groups->n_source) groups->n_bucket *= 2;
    groups->bucket = calloc(groups->n_bucket, sizeof *groups->bucket);
    groups->due = calloc(groups->n, sizeof *groups->due);
    if (groups->bucket == NULL || groups->due == NULL) return psa_fail_memory(error, "reading the groups");
    for (size_t i = groups->n_source; i-- > 0;) {
        struct psa_group_source *source = &groups->source[i];
        struct psa_group_source **bucket =
            &groups->bucket[(source->hash ^ source->hash >> 32) & (groups->n_bucket - 1)];

        source->chain = *bucket;
        *bucket = source;
    }
    return 0;
}

int psa_score_groups_parse(struct psa_node *node, struct psa_groups *groups, struct psa_str text,
                           struct psa_error *error)
{
    struct line line = { .word = NULL };
    int status;

    if (text.n > PSA_GROUPS_BYTES_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: larger than %d bytes", groups->path, PSA_GROUPS_BYTES_MAX);
    if (text.n > 0 && memchr(text.p, 0, text.n) != NULL)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: a NUL byte; this is no text", groups->path);
    groups->words = copy_text(text);
    line.word = calloc(WORDS_MAX + 1, sizeof *line.word);
    if (groups->words == NULL || line.word == NULL) {
        free(line.word);
        return psa_fail_memory(error, "reading the groups");
    }
    if (!psa_utf8_is(groups->words)) {
        free(line.word);
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: not UTF-8", groups->path);
    }
    status = make_table(groups, error);
    if (status == 0) status = parse_lines(node, groups, &line, error);
    free(line.word);
    return status == 0 ? make_buckets(groups, error) : -1;
}
