/*
 * condition.h - a condition on records: one jq expression, compiled once and asked of each record. psa-alert --when,
 * psa-score --running.
 *
 * It holds where the first output of the expression is neither false nor null (the sense of `jq -e`). No output, and an error
 * of the expression's own, do not hold. What the expression sees is the record as it is at the stage, numbers rounded to
 * doubles as jq 1.6 has them, the version that the tests know; from 1.7 on jq keeps a number as it was written until it
 * calculates with it, so integers above 2^53 may compare otherwise. The record itself is not touched.
 *
 * Replay equals live: whatever would look at a clock, the environment, a time zone, files or further input is refused when
 * the condition is made. jq allocates as it runs, and gives all of it back; nothing bounds how long an expression may run.
 */
#ifndef PSA_STAGE_CONDITION_H
#define PSA_STAGE_CONDITION_H

#include "psa.h"

struct psa_condition;

/* Compile the expression. `option` names it in messages: "--when". NULL with *error set, permanent, when it is no jq
 * expression or looks at the world; or when memory is out. The caller frees it. */
struct psa_condition *psa_condition_new(const char *option, const char *expression, struct psa_error *error);
void psa_condition_free(struct psa_condition *condition);

/* Does it hold for the record? *fault becomes NULL, or jq's own sentence of why it could not be asked, which does not hold;
 * the text is the condition's, valid until it is asked again. */
bool psa_condition_holds(struct psa_condition *condition, const struct psa_record *record, const char **fault);
/* The same of a record that has been encoded already, the text that psa_encode made of it. */
bool psa_condition_holds_text(struct psa_condition *condition, struct psa_str text, const char **fault);

/* What follows `"--when 'EXPRESSION': "` in a sentence for people: the expression as it was given, the caller's own text. */
const char *psa_condition_text(const struct psa_condition *condition);

#endif
