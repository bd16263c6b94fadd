/* labels.h - ground truth on its way through stages that join records. */
#ifndef PSA_STAGE_LABELS_H
#define PSA_STAGE_LABELS_H

#include "core/buf.h"
#include "psa.h"

/*
 * The labels of a window from those of its samples, given as n texts of JSON objects, oldest first, each different from
 * its neighbours: a number is the largest of its name (a window is labelled if any sample is), anything else is that of
 * the text with the largest number in it, the newest of equals; members of other texts follow. Appends one JSON object;
 * a single text is appended as it came.
 */
void psa_labels_merge(const struct psa_str *text, size_t n, struct psa_buf *out);

#endif
