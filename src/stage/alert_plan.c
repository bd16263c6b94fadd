/* alert_plan.c - see alert_plan.h. */
#include "stage/alert_plan.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/error.h"
#include "core/glob.h"
#include "core/time.h"

enum {
    WEEK = 7,
    EVERY_DAY = (1 << WEEK) - 1,
    FIRST_DAY = 3,    /* 1970-01-01 was a Thursday; Monday is 0 */
    WORDS_MAX = 3,    /* of a line */
    FIRST_WINDOWS = 8 /* that there is room for at first */
};

#define MINUTE_NS (60 * PSA_NS_PER_SECOND)
#define DAY_NS (1440 * MINUTE_NS)

/* Once, or on days of the week. */
struct window {
    int64_t from, to; /* once; of a weekly one the time of day, and how long it lasts behind that */
    unsigned days;    /* 0: once; else a bit for each day */
    char *keys;       /* NULL: all */
};

struct psa_alert_plan {
    struct window *window;
    size_t n, room;
};

static const char *const day_name[WEEK] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of the line; a `#` at the begin of one ends the line. */
static struct psa_str next_word(struct psa_str *line)
{
    struct psa_str word;

    while (line->n && is_blank(*line->p)) line->p++, line->n--;
    if (line->n && *line->p == '#') line->n = 0;
    word = (struct psa_str){ line->p, 0 };
    while (word.n < line->n && !is_blank(line->p[word.n])) word.n++;
    line->p += word.n;
    line->n -= word.n;
    return word;
}

/* hh:mm or hh:mm:ss, up to 24:00. */
static bool parse_time_of_day(struct psa_str text, int64_t *ns)
{
    int part[3] = { 0, 0, 0 };
    int64_t seconds;

    if (text.n != 5 && text.n != 8) return false;
    for (size_t i = 0; i < text.n; i++) {
        if (i % 3 == 2 ? text.p[i] != ':' : text.p[i] < '0' || text.p[i] > '9') return false;
        if (i % 3 != 2) part[i / 3] = part[i / 3] * 10 + (text.p[i] - '0');
    }
    seconds = part[0] * INT64_C(3600) + part[1] * INT64_C(60) + part[2];
    if (part[1] > 59 || part[2] > 59 || seconds > 86400) return false;
    *ns = seconds * PSA_NS_PER_SECOND;
    return true;
}

/* The part of the word up to the first `c`, cut off it with the c; .p == NULL: there is none. */
static struct psa_str cut(struct psa_str *word, char c)
{
    const char *at = memchr(word->p, c, word->n);
    struct psa_str part = { at ? word->p : NULL, at ? (size_t)(at - word->p) : 0 };

    if (at) *word = (struct psa_str){ at + 1, word->n - part.n - 1 };
    return part;
}

static int day_of_name(struct psa_str name)
{
    for (int i = 0; i < WEEK; i++)
        if (name.n == 3 && strncasecmp(name.p, day_name[i], 3) == 0) return i;
    return -1;
}

/* daily, Sun, Mon-Fri, Mon,Wed,Fri. 0: none. */
static unsigned parse_days(struct psa_str word)
{
    unsigned days = 0;

    if (word.n == 5 && strncasecmp(word.p, "daily", 5) == 0) return EVERY_DAY;
    for (bool last = false; !last;) {
        struct psa_str item = cut(&word, ','), first;
        int from, to;

        last = !item.p;
        if (last) item = word;
        first = cut(&item, '-');
        to = day_of_name(item);
        from = first.p ? day_of_name(first) : to;
        if (from < 0 || to < 0) return 0;
        for (int day = from; day != to; day = (day + 1) % WEEK) days |= 1U << day;
        days |= 1U << to;
    }
    return days;
}

/* What is wrong with the line; NULL: nothing. */
static const char *parse_weekly(struct psa_str days, struct psa_str hours, struct window *window)
{
    struct psa_str from = cut(&hours, '-');

    window->days = parse_days(days);
    if (!window->days) return "neither a time nor days: give 2024-03-09T06:00:00Z, or daily, Sun, Mon-Fri, Mon,Wed";
    if (!from.p || !parse_time_of_day(from, &window->from) || !parse_time_of_day(hours, &window->to) ||
        window->from >= DAY_NS)
        return "behind the days there must be hours such as 22:00-06:30, in UTC";
    if (window->from == window->to) return "the window begins when it ends; a whole day is 00:00-24:00";
    window->to -= window->from;
    if (window->to < 0) window->to += DAY_NS;
    return NULL;
}

static bool parse_time(struct psa_str word, int64_t *ns)
{
    return word.n && psa_time_parse_iso(word.p, word.p + word.n, ns);
}

/* Digits where a date has them: what is wrong with it is the day, not the way it is written. */
static bool is_dated(struct psa_str word)
{
    static const char date[] = "0000-00-00";

    for (size_t i = 0; i < sizeof date - 1; i++)
        if (i >= word.n || (date[i] == '0' ? word.p[i] < '0' || word.p[i] > '9' : word.p[i] != date[i])) return false;
    return true;
}

static const char *parse_once(struct psa_str from, struct psa_str to, struct window *window)
{
    bool good = parse_time(from, &window->from) && parse_time(to, &window->to);

    if (!good && is_dated(from) && is_dated(to))
        return "a time that does not exist, or none between 1677-09-22 and 2262-04-11; one is 2024-03-09T06:00:00Z";
    if (!good) return "a window is FROM TO, two times such as 2024-03-09T06:00:00Z";
    if (window->from >= window->to) return "the window ends before it begins";
    return NULL;
}

static const char *parse_line(struct psa_str line, struct window *window, struct psa_str *keys)
{
    struct psa_str word[WORDS_MAX + 2];
    size_t n = 0, used = 2;
    const char *wrong;

    while (n < WORDS_MAX + 2 && (word[n] = next_word(&line)).n) n++;
    *keys = (struct psa_str){ NULL, 0 };
    if (!n) return NULL;
    if (*word[0].p >= '0' && *word[0].p <= '9') {
        struct psa_str from = cut(&word[0], '/');

        used = from.p ? 1 : 2;
        if (n < used) return "a window is FROM TO, two times such as 2024-03-09T06:00:00Z";
        wrong = from.p ? parse_once(from, word[0], window) : parse_once(word[0], word[1], window);
    } else {
        wrong = parse_weekly(word[0], n > 1 ? word[1] : word[0], window);
    }
    if (wrong) return wrong;
    if (n > used + 1) return "more words than a window, and the streams it is for, have; a comment begins with #";
    if (n > used) *keys = word[used];
    return NULL;
}

static bool add_window(struct psa_alert_plan *plan, struct window window, struct psa_str keys)
{
    if (plan->n == plan->room) {
        size_t room = plan->room ? plan->room * 2 : FIRST_WINDOWS;
        struct window *wider = realloc(plan->window, room * sizeof *wider);

        if (!wider) return false;
        plan->window = wider;
        plan->room = room;
    }
    if (keys.p && !(window.keys = strndup(keys.p, keys.n))) return false;
    plan->window[plan->n++] = window;
    return true;
}

struct psa_alert_plan *psa_alert_plan_read(const char *name, struct psa_str text, struct psa_error *error)
{
    struct psa_alert_plan *plan = calloc(1, sizeof *plan);
    const char *p = text.p, *end = text.p + text.n;

    for (long number = 1; plan && p < end; number++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        struct psa_str line = { p, (size_t)((stop ? stop : end) - p) }, keys;
        struct window window = { 0 };
        const char *wrong = parse_line(line, &window, &keys);

        if (wrong) {
            psa_fail(error, PSA_EXIT_PERMANENT, "%s:%ld: %s", name, number, wrong);
            psa_alert_plan_free(plan);
            return NULL;
        }
        if ((window.days || window.from < window.to) && !add_window(plan, window, keys)) {
            psa_alert_plan_free(plan);
            plan = NULL;
        }
        p = stop ? stop + 1 : end;
    }
    if (!plan) psa_fail_memory(error, "reading the maintenance windows");
    return plan;
}

void psa_alert_plan_free(struct psa_alert_plan *plan)
{
    if (!plan) return;
    for (size_t i = 0; i < plan->n; i++) free(plan->window[i].keys);
    free(plan->window);
    free(plan);
}

/* ---- looking ------------------------------------------------------------------------------------------------------------- */

/* Days since 1970, of a time before it too. */
static int64_t day_of(int64_t ns)
{
    return ns / DAY_NS - (ns % DAY_NS < 0);
}

/* The window as it is on that day; false: it is not. */
static bool is_on(const struct window *window, int64_t day, int64_t *from, int64_t *to)
{
    int64_t weekday = (day % WEEK + WEEK + FIRST_DAY) % WEEK;

    if (!(window->days >> weekday & 1)) return false;
    return !__builtin_mul_overflow(day, DAY_NS, from) && !__builtin_add_overflow(*from, window->from, from) &&
           !__builtin_add_overflow(*from, window->to, to);
}

struct look {
    bool covered;
    int64_t ns, until, ended;
};

static void look_at(struct look *look, int64_t from, int64_t to)
{
    if (from <= look->ns && look->ns < to) look->covered = true;
    if (from > look->ns && from < look->until) look->until = from;
    if (to > look->ns && to < look->until) look->until = to;
    if (to <= look->ns && to > look->ended) look->ended = to;
}

/* A window lasts a day at most and comes back after a week at most: a day and a week to both sides show all that counts. */
static struct look look_around(const struct psa_alert_plan *plan, struct psa_str key, int64_t ns)
{
    struct look look = { .ns = ns, .until = INT64_MAX, .ended = INT64_MIN };
    int64_t today = day_of(ns), from, to;

    for (size_t i = 0; i < plan->n; i++) {
        const struct window *window = &plan->window[i];

        if (!psa_glob_match(window->keys, key)) continue;
        if (!window->days) look_at(&look, window->from, window->to);
        for (int64_t day = today - WEEK - 1; window->days && day <= today + WEEK + 1; day++)
            if (is_on(window, day, &from, &to)) look_at(&look, from, to);
    }
    return look;
}

bool psa_alert_plan_covers(const struct psa_alert_plan *plan, struct psa_str key, int64_t ns, int64_t *until)
{
    struct look look = look_around(plan, key, ns);

    *until = look.until;
    return look.covered;
}

int64_t psa_alert_plan_ended(const struct psa_alert_plan *plan, struct psa_str key, int64_t ns)
{
    return look_around(plan, key, ns).ended;
}
