/* detector_chart.h - what the detectors ewma and cusum share: chart.h as a detector. */
#ifndef PSA_MODEL_DETECTOR_CHART_H
#define PSA_MODEL_DETECTOR_CHART_H

#include "model/chart.h"
#include "model/detector.h"

int psa_chart_detector_start(struct psa_detector *detector, enum psa_chart_kind kind, struct psa_error *error);
int psa_chart_detector_update(struct psa_detector *detector, const double *row, int64_t time_ns, double *raw);
void psa_chart_detector_judged(struct psa_detector *detector, bool alarm);
void psa_chart_detector_gap(struct psa_detector *detector);
void psa_chart_detector_stop(struct psa_detector *detector);
void psa_chart_detector_save(const struct psa_detector *detector, struct psa_buf *out);
bool psa_chart_detector_load(struct psa_detector *detector, struct psa_str name, struct psa_json *in);
bool psa_chart_detector_loaded(struct psa_detector *detector);

#endif
