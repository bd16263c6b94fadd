/* detector_ewma.c - EWMA control charts, chart.h, as a detector. */
#include "model/detector_chart.h"

static int start(struct psa_detector *detector, struct psa_error *error)
{
    return psa_chart_detector_start(detector, PSA_CHART_EWMA, error);
}

/* The textbook's limit is 3 standard deviations for one chart of independent values; several columns, each with a chart of
 * its own, and noise with heavier tails than the normal distribution's ask for 4. */
const struct psa_detector_type psa_ewma_detector = {
    .name = "ewma",
    .prefix = "ewma",
    .summary = "EWMA control charts: a lasting shift of any field's mean",
    .traits = PSA_DETECTOR_STREAMS,
    .on = 4.0,
    .off = 4.0,
    .start = start,
    .update = psa_chart_detector_update,
    .judged = psa_chart_detector_judged,
    .gap = psa_chart_detector_gap,
    .stop = psa_chart_detector_stop,
    .save = psa_chart_detector_save,
    .load = psa_chart_detector_load,
    .loaded = psa_chart_detector_loaded,
};
