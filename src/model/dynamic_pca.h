/*
 * dynamic_pca.h - dynamic PCA with a moving reference: rows that do not fit how the channels moved together lately.
 *
 * W. Ku, R. H. Storer, C. Georgakis, "Disturbance detection and isolation by dynamic principal component analysis",
 * Chemometrics and Intelligent Laboratory Systems 30(1), 1995, DOI 10.1016/0169-7439(95)00076-3: the last L rows
 * stacked into one let PCA model how channels follow each other in time. The squared prediction error (J. E.
 * Jackson, G. S. Mudholkar, "Control procedures for residuals associated with principal component analysis",
 * Technometrics 21(3), 1979, DOI 10.1080/00401706.1979.10489779) is what the components leave over:
 *
 *     z = (x - mean) / scale                        each channel, on the reference rows
 *     w = (stack of z(t), z(t-1) .. z(t-L+1) - mean_L) / scale_L      each stacked column, on the reference's windows
 *     P = eigenvectors of the correlation matrix of w, the fewest that hold `variance` of its trace
 *     s_L(t) = || w - P P' w || / its 99 % quantile over the reference's windows
 *     score(t) = (product over L of s_L)^(1/number of L) / its 99 % quantile over the reference's windows
 *
 * Several L at once: a short stack answers at once, a long one knows slow dynamics, and the geometric mean is high only
 * where they agree. The reference moves, so that drift of a healthy machine is no fault: every `refit` rows the fit is
 * made anew from the last `reference` rows judged normal which are at least `guard` rows old and `guard` rows away from
 * any alarm (after the moving-window PCA of X. Wang, U. Kruger, G. W. Irwin, Industrial & Engineering Chemistry
 * Research 44(15), 2005, DOI 10.1021/ie048873f). Fewer windows than half of `reference`: the fit stays as it is.
 *
 * A spike in the reference would stand in the windows of L rows, a few per cent of all: the components would turn to it and
 * the 99 % quantiles be its size, so that no fault is found for as long as it stays there. So values of a channel that lie
 * further beyond its 1 % and 99 % quantiles than these lie apart (7 standard deviations of normal values) count as missing
 * while fitting; at most 2 % of the values, and none where the two quantiles are equal.
 *
 * A fit of about as many rows as there are stacked columns knows its own rows by heart: their residuals are small, those of
 * any other rows are not, and all that follows is an alarm. psa_dpca_rows_needed says how many it takes.
 *
 * A window is L consecutive rows: of the stream while scoring, of the reference while fitting. Rows count, not time.
 *
 * Where places M of a window are missing (NaN), its scores t are those of the places O that are there: projection to the
 * model's plane, P. R. C. Nelson, P. A. Taylor, J. F. MacGregor, "Missing data methods in PCA and PLS: Score calculations with
 * incomplete observations", Chemometrics and Intelligent Laboratory Systems 35(1), 1996, DOI 10.1016/S0169-7439(96)00007-X,
 * with a little ridge because a component that lies in M alone cannot be told:
 *
 *     t = (P_O' P_O + ridge I)^-1 P_O' w_O        r = w_O - P_O t = (I - H) w_O
 *     || residual ||^2 = || r ||^2 (columns - components) / trace (I - H)^2, the factor 4 at most
 *
 * The factor is what white noise takes away with its places: the residual stays on the scale of complete windows. While
 * fitting, a missing value stands for its column's mean and its place in the residual is left out; a channel with values in
 * fewer than half of the rows has no part in the fit, and is not looked at.
 */
#ifndef PSA_MODEL_DYNAMIC_PCA_H
#define PSA_MODEL_DYNAMIC_PCA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/linear.h"

#define PSA_DPCA_LAGS_MAX 8     /* different L at once */
#define PSA_DPCA_WIDTH_MAX 1024 /* stacked columns, L times channels: a matrix of 8 MiB, a fit of about a second */
#define PSA_DPCA_LEVEL 0.99     /* the quantile that is 1 on the scale of s_L and of the score */
#define PSA_DPCA_TAIL 0.01      /* share of a channel's reference values on each side that may be outlying */
#define PSA_DPCA_OUTLYING 1.0   /* how far beyond the other values, in their width, a value is left out of a fit */
#define PSA_DPCA_RIDGE 0.1      /* against a component's length of 1: of all tried, the scores change the least */
#define PSA_DPCA_FACTOR_MAX 4.0 /* so that little that is seen does not become much */
#define PSA_DPCA_FLOOR 1e-6 /* least quantile: a reference that fits to the last bit would make rounding an anomaly */

/* ---- a fit ------------------------------------------------------------------------------------------------ */

/* The PCA of one L. */
struct psa_dpca_part {
    size_t lag, width;  /* L; L times channels */
    size_t n_component; /* 1 .. width */
    size_t capacity;    /* components that there is room for */
    double *mean;       /* [width], newest row first, in standard deviations of the channels */
    double *scale;      /* [width], > 0 */
    double *component;  /* [n_component][width], unit vectors, the largest eigenvalue first */
    double limit;       /* 99 % quantile of the residual's norm */
};

struct psa_dpca_fit {
    size_t n_columns, n_part;
    double *mean;  /* [n_columns], in the channels' units */
    double *scale; /* [n_columns]; 1 for a constant channel, 0 for one that has no part in it */
    double norm;   /* 99 % quantile of the geometric mean */
    struct psa_dpca_part part[PSA_DPCA_LAGS_MAX];
};

/* Room for a fit of n_columns channels and the lags given, 1 <= lag, the greatest times n_columns at most
 * PSA_DPCA_WIDTH_MAX. 0, or -1 when memory is out. The fit owns its arrays; a zeroed one may be freed. */
int psa_dpca_fit_init(struct psa_dpca_fit *fit, size_t n_columns, const size_t *lag, size_t n_lag);
void psa_dpca_fit_free(struct psa_dpca_fit *fit);
/* Room for n components in a part, keeping nothing unless there is room already. 0, or -1 when memory is out. */
int psa_dpca_part_room(struct psa_dpca_part *part, size_t n);
/* The greatest L of a fit. */
size_t psa_dpca_longest(const struct psa_dpca_fit *fit);

/* Rows to fit by: row i is value[i * n_columns ..], and follows row i - 1 when number[i] == number[i - 1] + 1. */
struct psa_dpca_rows {
    const double *value; /* [n][n_columns], NaN for a missing one */
    const int64_t *number;
    size_t n;
};

/* How many windows of L rows they hold. */
size_t psa_dpca_windows(const struct psa_dpca_rows *rows, size_t lag);

/*
 * Make the fit from rows, keeping at least `variance` (0 < variance < 1) of the variance. score[rows->n] (NULL: not
 * wanted) becomes the rows' own scores by it, NaN for those that the longest stack does not reach. 0; -1 when memory is
 * out; 1 when these rows give no fit: no window of the longest lag, no channel with values in half of the rows, or no
 * eigenvectors were found. The fit then stays as it was.
 */
int psa_dpca_fit_make(struct psa_dpca_fit *fit, const struct psa_dpca_rows *rows, double variance,
                      struct psa_scratch *scratch, double *score);

/*
 * How many rows a fit by these lags takes, for healthy rows behind it not to be an alarm: PSA_DPCA_ROWS for each stacked column,
 * by the mean of the lags, more where they are many. Found with independent normal columns, the hardest there are: 1 to 80
 * channels, lags of 3, 12 and 5, 8, 12, by their defaults; with half as many rows 20 channels were always in alarm.
 */
#define PSA_DPCA_ROWS 5.5
#define PSA_DPCA_ROWS_WIDE 8.0 /* from PSA_DPCA_WIDE columns of the longest stack on */
#define PSA_DPCA_WIDE 100
int64_t psa_dpca_rows_needed(size_t n_columns, const size_t *lag, size_t n_lag);

/* The first L whose components are all there can be, so that nothing is left to score by; 0: none. */
size_t psa_dpca_blind(const struct psa_dpca_fit *fit);

/*
 * The score of the newest row of a stack [longest L][n_columns], newest first, in the channels' units, NaN for a
 * missing value. contribution[n_columns] (NULL: not wanted): for each L the channel's share of the squared residual,
 * summed over L; >= 0. space: 3 * longest L * n_columns doubles; scratch is for values that are missing. 0, or -1 when
 * memory is out.
 */
int psa_dpca_fit_score(const struct psa_dpca_fit *fit, const double *stack, double *contribution, double *space,
                       struct psa_scratch *scratch, double *score);

/* ---- a stream --------------------------------------------------------------------------------------------- */

struct psa_dpca_settings {
    size_t n_columns;
    size_t lag[PSA_DPCA_LAGS_MAX], n_lag;
    double variance;
    int64_t warmup;    /* rows of the first fit; 0: it begins with a fit, `given` */
    int64_t refit;     /* rows between two fits; 0: the first one stays */
    int64_t reference; /* rows of a fit */
    int64_t guard;     /* rows: least age of a reference row, and its least distance to an alarm */
};

/* The last rows of a kind, each with its number, oldest first and in one piece: value[first * n_columns ..]. */
struct psa_dpca_queue {
    size_t capacity, n;
    size_t first,
        room;      /* where they begin in the arrays, which are a little longer, so that they move down only at times */
    double *value; /* [room][n_columns] */
    int64_t *number; /* [room] */
};

/* Memory: 5/4 (max(reference, warmup) + guard) rows, and a fit: for each L L n_columns (components + 2) doubles. */
struct psa_dpca {
    struct psa_dpca_settings settings;
    size_t longest;                   /* L */
    const struct psa_dpca_fit *given; /* the fit it began with, the caller's; NULL: none */
    struct psa_dpca_fit fit;          /* its own */
    bool has_fit;                     /* its own is made and is used instead of `given` */
    bool fresh;                       /* the last update made it */
    bool barren;                      /* the last update was to make the first one, and its rows gave none */
    int64_t seen;                     /* rows so far */
    int64_t number;                   /* of the newest row: rows and gaps so far */
    bool alarm;                       /* of the newest row */
    int64_t last_alarm;               /* number of the newest row with an alarm; -1: none */
    size_t n_stack;                   /* rows in the stack */
    double *stack;                    /* [longest][n_columns], newest first */
    struct psa_dpca_queue waiting;    /* too young to be judged normal */
    struct psa_dpca_queue normal;     /* judged normal */
    double *space;                    /* of psa_dpca_fit_score */
    double *learned;                  /* scores of the rows of the first fit, in the update that made it; else NULL */
    size_t n_learned;
};

/* 0, or -1 when memory is out. given must outlive it. */
int psa_dpca_start(struct psa_dpca *dpca, const struct psa_dpca_settings *settings, const struct psa_dpca_fit *given);
void psa_dpca_stop(struct psa_dpca *dpca);

/* Take in the next row, n_columns values, NaN for a missing one: *raw is its score, NaN while there is none. Fits are
 * made here, in scratch. 0, or -1 when memory is out. */
int psa_dpca_update(struct psa_dpca *dpca, const double *row, struct psa_scratch *scratch, double *contribution,
                    double *raw);
/* Is the alarm on, after the row just scored? Not told: it is off. */
void psa_dpca_judged(struct psa_dpca *dpca, bool alarm);
/* The next row does not follow the last. */
void psa_dpca_gap(struct psa_dpca *dpca);

/* Does it keep rows to learn from: is its first fit still to be made, or will there be others? */
bool psa_dpca_learns(const struct psa_dpca *dpca);

/* Put a row behind a queue's newest; the oldest leaves a full one. For reading a saved state. */
void psa_dpca_put(struct psa_dpca_queue *queue, size_t n_columns, const double *row, int64_t number);

#endif
