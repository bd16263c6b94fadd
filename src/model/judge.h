/*
 * judge.h - from raw scores to verdicts, the same for every detector: limit, hysteresis, rest, calibration.
 *
 * Of one stream, rows come in order, each with an oriented raw score r (higher is more anomalous). With the limits `on` and
 * `off` <= `on`, and M the greatest raw score of the last `rest` rows before it (minus infinity when rest is 0):
 *
 *     alarm      = r > (alarm was on ? off : on)                         hysteresis
 *     limit      = max(alarm was on ? off : on, M)                       what this row had to exceed
 *     is_anomaly = r > limit
 *     score      = 1 - 2^(-ln p(r) / ln p(on))                           tail.h, p by the reference
 *
 * and where is_anomaly, score is no less than the limit's own: the two never contradict each other.
 *
 * `on` is a fixed number, or the quantile of the reference at 1 - contamination, or, for a wish of f false alarms a second
 * where rows come every d seconds on average, tail.h's rare(f d): were rows independent and like the reference, and its tail
 * known, f of them a second would lie above it. Rows above it in a run are one alarm.
 *
 * The reference is a model's table of quantiles, or the stream's own earlier scores: the last `horizon` of them, the row
 * to judge included where it enters, which is after it was judged. Where `on` is a quantile of them all rows enter, or it
 * would be one of something else. Where it is fixed, rows in alarm do not: else a fault that lasts would soon be what is
 * usual, and score 0 while it alarms. The mean d is taken over the stream's whole event time.
 *
 * Each row costs O(log horizon) expected and amortised. Memory: 28 bytes a score held, 16 a row of the rest window that
 * may still be its greatest.
 */
#ifndef PSA_MODEL_JUDGE_H
#define PSA_MODEL_JUDGE_H

#include "core/buf.h"
#include "core/json.h"
#include "model/tail.h"
#include "psa.h"

#define PSA_JUDGE_INTERVALS 16       /* between rows, that a mean interval needs */
#define PSA_JUDGE_SHARE_MAX 0.5      /* of rows above the limit that a wish may come to */
#define PSA_JUDGE_RAW_MAX 1e300      /* raw scores are cut here, so that sums of them stay finite */
#define PSA_JUDGE_REST_MAX 100000000 /* rows */

/* How a stream is judged; many streams may share one. */
struct psa_judge_rule {
    double on, off;                     /* oriented; on NaN: not fixed; off NaN: as on */
    double false_alarms_hz;             /* on is not fixed: wished for so many a second; 0: not wished */
    double contamination;               /* on is not fixed, nothing wished: share of the reference above it */
    const struct psa_tail_table *table; /* the reference; NULL: the stream's own earlier scores */
    int64_t warmup;                     /* rows before the first that is judged */
    int64_t horizon;                    /* rows; 0: all */
    bool freeze;                        /* after the warm-up nothing enters the reference */
    int64_t rest;                       /* rows */
};

struct psa_judge {
    const struct psa_judge_rule *rule;
    uint64_t rows; /* so far */
    bool alarm;
    struct psa_order_set scores; /* the reference, without a table; score i lies in slot i, or i modulo horizon */
    uint64_t entered;            /* scores */
    size_t held;                 /* scores still there */
    /* The rest window: rows that no later row exceeds, oldest first, so the first is the greatest. A ring. */
    struct psa_judge_peak {
        uint64_t at; /* number of the score */
        double raw;
    } * peak;
    size_t n_peak, first_peak, cap_peak;
    uint64_t told; /* raw scores so far */
    /* Event time. */
    uint64_t timed; /* rows that had one */
    int64_t first_ns, newest_ns;
    double known_on, known_ln_p; /* the last limit that was looked up in the table */
    unsigned loaded;             /* members of a state */
};

struct psa_judgement {
    bool warming; /* not judged yet; the rest means nothing then */
    bool is_anomaly;
    double score;     /* anomaly_score, 0 .. 1; 0.5 at `on`; at least `threshold` where is_anomaly */
    double limit;     /* the raw score that this row had to exceed */
    double threshold; /* the same as anomaly_score */
};

/* The rule must outlive the judge. */
void psa_judge_init(struct psa_judge *judge, const struct psa_judge_rule *rule);
void psa_judge_free(struct psa_judge *judge);

/* Does a row's verdict depend on earlier rows of its stream? If not, one judge may serve any streams. */
bool psa_judge_remembers(const struct psa_judge_rule *rule);

/*
 * The next row. raw NaN: its detector cannot tell yet, which ends an alarm. Afterwards judge->alarm says whether the alarm is
 * on. 0, or -1 when memory is out.
 */
int psa_judge_row(struct psa_judge *judge, double raw, bool has_time, int64_t time_ns, struct psa_judgement *judgement);

/* Scores that the detector told of rows before (psa_detector.learned): they begin the reference; one that has begun stays as
 * it is. 0, or -1 when memory is out. */
int psa_judge_learn(struct psa_judge *judge, const double *raw, size_t n);

/* The machine stopped: the alarm ends. */
void psa_judge_reset(struct psa_judge *judge);

/* Append the state as members of an open object / read one member into a fresh judge; false at a fault / check after the
 * last that they go together. What follows is bit for bit what would have followed the save. */
void psa_judge_save(const struct psa_judge *judge, struct psa_buf *out);
bool psa_judge_load(struct psa_judge *judge, struct psa_str name, struct psa_json *in);
bool psa_judge_loaded(const struct psa_judge *judge);

#endif
