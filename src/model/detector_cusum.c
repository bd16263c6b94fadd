/* detector_cusum.c - two-sided CUSUM control charts, chart.h, as a detector. */
#include "model/detector_chart.h"

static int start(struct psa_detector *detector, struct psa_error *error)
{
    return psa_chart_detector_start(detector, PSA_CHART_CUSUM, error);
}

/* The textbook's decision interval h = 5. */
const struct psa_detector_type psa_cusum_detector = {
    .name = "cusum",
    .prefix = "cusum",
    .summary = "CUSUM control charts: a small shift of any field's mean that stays",
    .traits = PSA_DETECTOR_STREAMS,
    .on = 5.0,
    .off = 5.0,
    .start = start,
    .update = psa_chart_detector_update,
    .judged = psa_chart_detector_judged,
    .gap = psa_chart_detector_gap,
    .stop = psa_chart_detector_stop,
    .save = psa_chart_detector_save,
    .load = psa_chart_detector_load,
    .loaded = psa_chart_detector_loaded,
};
