/* judge.c - see judge.h. */
#include "model/judge.h"

#include <math.h>
#include <stdlib.h>

#define FIRST_SCORES 16 /* capacity to begin with: ten thousand keys shall not cost ten thousand horizons at once */
#define FIRST_PEAKS 64  /* at most; few streams ever need more */
#define COUNT_MAX (INT64_MAX / 2) /* in a state: it can still be counted on */

void psa_judge_init(struct psa_judge *judge, const struct psa_judge_rule *rule)
{
    *judge = (struct psa_judge){ .rule = rule, .known_on = NAN };
    psa_order_set_init(&judge->scores, true);
}

void psa_judge_free(struct psa_judge *judge)
{
    psa_order_set_free(&judge->scores);
    free(judge->peak);
    judge->peak = NULL;
}

bool psa_judge_remembers(const struct psa_judge_rule *rule)
{
    return rule->table == NULL || rule->rest > 0 || rule->false_alarms_hz > 0.0 ||
           (!isnan(rule->off) && rule->off < rule->on);
}

void psa_judge_reset(struct psa_judge *judge)
{
    judge->alarm = false;
}

static double cut(double raw)
{
    if (raw > PSA_JUDGE_RAW_MAX) return PSA_JUDGE_RAW_MAX;
    return raw < -PSA_JUDGE_RAW_MAX ? -PSA_JUDGE_RAW_MAX : raw;
}

/* ---- the reference ------------------------------------------------------------------------------------------------ */

static size_t slot_of(const struct psa_judge *judge, uint64_t score)
{
    return (size_t)(judge->rule->horizon > 0 ? score % (uint64_t)judge->rule->horizon : score);
}

/* Have a free slot for the next score: the oldest leaves when the horizon is full. */
static int make_place(struct psa_judge *judge)
{
    size_t slot = slot_of(judge, judge->entered), horizon = (size_t)judge->rule->horizon;
    size_t capacity = judge->scores.capacity > 0 ? judge->scores.capacity : FIRST_SCORES;

    if (slot >= judge->scores.capacity) {
        while (capacity <= slot) capacity *= 2;
        if (horizon > 0 && capacity > horizon) capacity = horizon;
        if (psa_order_set_reserve(&judge->scores, capacity) != 0) return -1;
    }
    if (!psa_order_set_has(&judge->scores, slot)) return 0;
    psa_order_set_erase(&judge->scores, slot);
    judge->held--;
    return 0;
}

static void enter(struct psa_judge *judge, double raw)
{
    psa_order_set_insert(&judge->scores, slot_of(judge, judge->entered), raw);
    judge->entered++;
    judge->held++;
}

/* Is the row at hand one to judge, if there is a limit? */
static bool is_due(const struct psa_judge *judge)
{
    return judge->rows > (uint64_t)judge->rule->warmup && (judge->rule->table != NULL || judge->held > 0);
}

/* The limit of the row at hand where an alarm begins above `on`. */
static double limit_now(const struct psa_judge *judge, double on)
{
    return judge->alarm && judge->rule->off < on ? judge->rule->off : on; /* false for an off of NaN */
}

/* Does the row at hand become part of the reference? */
static bool enters_reference(const struct psa_judge *judge, double raw)
{
    const struct psa_judge_rule *rule = judge->rule;

    if (rule->table != NULL) return false;
    if (!is_due(judge)) return true;
    return !rule->freeze && !(raw > limit_now(judge, rule->on)); /* an on of NaN is above nothing */
}

/* ---- the rest window ------------------------------------------------------------------------------------------------ */

static struct psa_judge_peak *peak_at(const struct psa_judge *judge, size_t i)
{
    return &judge->peak[(judge->first_peak + i) % judge->cap_peak];
}

/* Room for one more peak. */
static int make_peak_room(struct psa_judge *judge)
{
    size_t most = (size_t)judge->rule->rest + 1, cap = judge->cap_peak > 0 ? 2 * judge->cap_peak : FIRST_PEAKS;
    struct psa_judge_peak *grown;

    if (judge->rule->rest == 0 || judge->n_peak < judge->cap_peak) return 0;
    if (cap > most) cap = most;
    if ((grown = malloc(cap * sizeof *grown)) == NULL) return -1;
    for (size_t i = 0; i < judge->n_peak; i++) grown[i] = *peak_at(judge, i);
    free(judge->peak);
    judge->peak = grown;
    judge->cap_peak = cap;
    judge->first_peak = 0;
    return 0;
}

/* The greatest of the window, those before the score that comes next. */
static double greatest_before(const struct psa_judge *judge)
{
    return judge->n_peak > 0 ? peak_at(judge, 0)->raw : -INFINITY;
}

/* A score goes into the window, and what the next one's will not reach back to leaves it. */
static void tell(struct psa_judge *judge, double raw)
{
    uint64_t rest = (uint64_t)judge->rule->rest;

    if (rest == 0) return;
    while (judge->n_peak > 0 && peak_at(judge, judge->n_peak - 1)->raw <= raw) judge->n_peak--;
    *peak_at(judge, judge->n_peak++) = (struct psa_judge_peak){ judge->told++, raw };
    if (judge->told - peak_at(judge, 0)->at <= rest) return;
    judge->first_peak = (judge->first_peak + 1) % judge->cap_peak;
    judge->n_peak--;
}

/* ---- limits ----------------------------------------------------------------------------------------------------------- */

static void note_time(struct psa_judge *judge, int64_t time_ns)
{
    if (judge->timed == 0) judge->first_ns = judge->newest_ns = time_ns;
    if (time_ns > judge->newest_ns) judge->newest_ns = time_ns;
    judge->timed++;
}

/* ln of the share of rows that may lie above the limit so that the wish comes true; NaN while rows are too few to tell. */
static double wished_ln_p(const struct psa_judge *judge)
{
    double span_ns = (double)((uint64_t)judge->newest_ns - (uint64_t)judge->first_ns), share;

    if (judge->timed <= PSA_JUDGE_INTERVALS || judge->newest_ns == judge->first_ns) return NAN;
    share = judge->rule->false_alarms_hz * 1e-9 * span_ns / (double)(judge->timed - 1);
    return log(share < PSA_JUDGE_SHARE_MAX ? share : PSA_JUDGE_SHARE_MAX);
}

static double ln_p_of(const struct psa_judge *judge, const struct psa_tail *tail, double raw)
{
    const struct psa_tail_table *table = judge->rule->table;

    return table != NULL ? psa_tail_table_ln_p(table, raw) : psa_tail_set_ln_p(&judge->scores, tail, raw);
}

/* NaN: it cannot be told yet. */
static double limit_on(const struct psa_judge *judge, const struct psa_tail *tail)
{
    const struct psa_judge_rule *rule = judge->rule;
    double ln_p;

    if (!isnan(rule->on)) return rule->on;
    if (rule->false_alarms_hz > 0.0) {
        ln_p = wished_ln_p(judge);
        if (isnan(ln_p)) return NAN;
        return cut(rule->table != NULL ? psa_tail_table_rare(rule->table, ln_p)
                                       : psa_tail_set_rare(&judge->scores, tail, ln_p));
    }
    return psa_order_set_quantile(&judge->scores, 1.0 - rule->contamination);
}

/* ---- a row -------------------------------------------------------------------------------------------------------------- */

/* A model's fixed limit is looked up once. */
static double ln_p_of_on(struct psa_judge *judge, const struct psa_tail *tail, double on)
{
    if (judge->rule->table == NULL) return ln_p_of(judge, tail, on);
    if (on != judge->known_on) {
        judge->known_on = on;
        judge->known_ln_p = ln_p_of(judge, tail, on);
    }
    return judge->known_ln_p;
}

/* Is it no higher than anything in the reference? Only where the tail begins there p does not say so by itself. */
static bool is_least(const struct psa_judge *judge, const struct psa_tail *tail, double raw)
{
    const struct psa_tail_table *table = judge->rule->table;

    if (table != NULL) return raw == table->tail.start && raw <= table->score[0];
    return raw == tail->start && raw <= psa_order_set_select(&judge->scores, 0);
}

/* anomaly_score */
static double normalised(const struct psa_judge *judge, const struct psa_tail *tail, double raw, double ln_p_on)
{
    return is_least(judge, tail, raw) ? 0.0 : psa_tail_score(ln_p_of(judge, tail, raw), ln_p_on);
}

static void weigh(struct psa_judge *judge, double raw, struct psa_judgement *judgement)
{
    const struct psa_judge_rule *rule = judge->rule;
    struct psa_tail tail = { 0.0, 0.0 };
    double on, ln_p_on, greatest;

    judgement->warming = true;
    if (!is_due(judge)) return;
    if (rule->table == NULL) tail = psa_tail_of_set(&judge->scores);
    on = limit_on(judge, &tail);
    if (isnan(on)) return;
    judgement->warming = false;
    judgement->limit = limit_now(judge, on);
    judge->alarm = raw > judgement->limit;
    greatest = rule->rest > 0 ? greatest_before(judge) : -INFINITY;
    if (greatest > judgement->limit) judgement->limit = greatest;
    judgement->is_anomaly = raw > judgement->limit;
    ln_p_on = ln_p_of_on(judge, &tail, on);
    judgement->score = normalised(judge, &tail, raw, ln_p_on);
    judgement->threshold = judgement->limit == on ? 0.5 : normalised(judge, &tail, judgement->limit, ln_p_on);
    if (judgement->is_anomaly && judgement->score < judgement->threshold) judgement->score = judgement->threshold;
}

int psa_judge_row(struct psa_judge *judge, double raw, bool has_time, int64_t time_ns, struct psa_judgement *judgement)
{
    bool enters;

    *judgement = (struct psa_judgement){ .warming = true };
    judge->rows++;
    if (has_time) note_time(judge, time_ns);
    if (isnan(raw)) {
        judge->alarm = false;
        return 0;
    }
    raw = cut(raw);
    enters = enters_reference(judge, raw);
    if ((enters && make_place(judge) != 0) || make_peak_room(judge) != 0) return -1;
    weigh(judge, raw, judgement);
    if (judgement->warming) judge->alarm = false;
    if (enters) enter(judge, raw);
    tell(judge, raw);
    return 0;
}

int psa_judge_learn(struct psa_judge *judge, const double *raw, size_t n)
{
    if (judge->rule->table != NULL || judge->held > 0) return 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(raw[i])) continue;
        if (make_place(judge) != 0 || make_peak_room(judge) != 0) return -1;
        enter(judge, cut(raw[i]));
        tell(judge, cut(raw[i]));
    }
    return 0;
}

/* ---- saving and loading --------------------------------------------------------------------------------------------------- */

/* "scores": the reference, oldest first; "first" of them have left. "rest": [how many scores ago, raw], oldest first. */
void psa_judge_save(const struct psa_judge *judge, struct psa_buf *out)
{
    psa_buf_member_int(out, "rows", (int64_t)judge->rows);
    psa_buf_member_bool(out, "alarm", judge->alarm);
    if (judge->timed > 0) {
        psa_buf_member_int(out, "timed", (int64_t)judge->timed);
        psa_buf_member_int(out, "first_ns", judge->first_ns);
        psa_buf_member_int(out, "newest_ns", judge->newest_ns);
    }
    if (judge->rule->table == NULL) {
        psa_buf_member_int(out, "first", (int64_t)(judge->entered - judge->held));
        psa_buf_name(out, "scores");
        psa_buf_puts(out, "[");
        for (uint64_t i = judge->entered - judge->held; i < judge->entered; i++) {
            psa_buf_comma(out);
            psa_buf_number(out, judge->scores.value[slot_of(judge, i)]);
        }
        psa_buf_puts(out, "]");
    }
    if (judge->rule->rest == 0) return;
    psa_buf_name(out, "rest");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < judge->n_peak; i++) {
        psa_buf_comma(out);
        psa_buf_puts(out, "[");
        psa_buf_int(out, (int64_t)(judge->told - peak_at(judge, i)->at));
        psa_buf_puts(out, ",");
        psa_buf_number(out, peak_at(judge, i)->raw);
        psa_buf_puts(out, "]");
    }
    psa_buf_puts(out, "]");
}

static bool load_count(struct psa_json *in, uint64_t *count)
{
    int64_t number = psa_json_int(in);

    *count = (uint64_t)number;
    return in->fault.what == NULL && number >= 0 && number <= COUNT_MAX;
}

static bool load_scores(struct psa_judge *judge, struct psa_json *in)
{
    if (judge->rule->table != NULL || !psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        double raw = psa_json_number(in);

        if (in->fault.what != NULL || isnan(raw) || raw != cut(raw)) return false;
        if (judge->rule->horizon > 0 && judge->held == (size_t)judge->rule->horizon) return false;
        if (make_place(judge) != 0) return psa_json_refuse(in, "memory is out");
        enter(judge, raw);
    }
    return in->fault.what == NULL;
}

/* Peaks fall, and their ages too. The ages count back from the score that comes next, whose number may be any. */
static bool load_rest(struct psa_judge *judge, struct psa_json *in)
{
    uint64_t rest = (uint64_t)judge->rule->rest, last = rest + 1, ago;

    if (rest == 0 || !psa_json_enter_array(in)) return false;
    judge->told = rest;
    while (psa_json_next_item(in)) {
        double raw;

        if (!psa_json_enter_array(in) || !psa_json_next_item(in) || !load_count(in, &ago)) return false;
        if (!psa_json_next_item(in)) return false;
        raw = psa_json_number(in);
        if (psa_json_next_item(in) || in->fault.what != NULL || isnan(raw) || raw != cut(raw)) return false;
        if (ago == 0 || ago >= last) return false;
        if (judge->n_peak > 0 && raw >= peak_at(judge, judge->n_peak - 1)->raw) return false;
        if (make_peak_room(judge) != 0) return psa_json_refuse(in, "memory is out");
        *peak_at(judge, judge->n_peak++) = (struct psa_judge_peak){ judge->told - ago, raw };
        last = ago;
    }
    return in->fault.what == NULL;
}

/* Members of a state, as bits. */
enum { ROWS = 1, ALARM = 2, TIMED = 4, FIRST_NS = 8, NEWEST_NS = 16, FIRST = 32, SCORES = 64, REST = 128 };

static unsigned member_of(struct psa_str name)
{
    static const struct {
        const char *name;
        unsigned member;
    } members[] = { { "rows", ROWS },           { "alarm", ALARM }, { "timed", TIMED },   { "first_ns", FIRST_NS },
                    { "newest_ns", NEWEST_NS }, { "first", FIRST }, { "scores", SCORES }, { "rest", REST } };

    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (psa_str_eq(name, members[i].name)) return members[i].member;
    return 0;
}

bool psa_judge_load(struct psa_judge *judge, struct psa_str name, struct psa_json *in)
{
    unsigned member = member_of(name);

    if (judge->loaded & member) return false;
    judge->loaded |= member;
    switch (member) {
    case ROWS: return load_count(in, &judge->rows);
    case ALARM: judge->alarm = psa_json_bool(in); break;
    case TIMED: return load_count(in, &judge->timed) && judge->timed > 0;
    case FIRST_NS: judge->first_ns = psa_json_int(in); break;
    case NEWEST_NS: judge->newest_ns = psa_json_int(in); break;
    case FIRST:
        return judge->held == 0 && load_count(in, &judge->entered) && (judge->entered == 0 || judge->rule->horizon > 0);
    case SCORES: return load_scores(judge, in);
    case REST: return load_rest(judge, in);
    default: return false;
    }
    return in->fault.what == NULL;
}

/* Scores left the horizon only if it is full; of the times there are all or none. */
bool psa_judge_loaded(const struct psa_judge *judge)
{
    unsigned needed =
        ROWS | ALARM | (judge->rule->table == NULL ? FIRST | SCORES : 0) | (judge->rule->rest > 0 ? REST : 0);
    unsigned times = judge->loaded & (TIMED | FIRST_NS | NEWEST_NS);

    if ((judge->loaded & needed) != needed || (times != 0 && times != (TIMED | FIRST_NS | NEWEST_NS))) return false;
    return (judge->entered == judge->held || judge->held == (size_t)judge->rule->horizon) &&
           judge->newest_ns >= judge->first_ns;
}
