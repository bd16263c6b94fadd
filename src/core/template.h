/*
 * template.h - a text with places for a record's values: `factory/sensor/{sensor_type}`, `{"text":"{alert.reason}"}`.
 *
 * A place is `{PATH}`: a name of letters, digits, _ and -, beginning with a letter or _, with dots between the names of
 * nested objects (psa_record_path); `{.}` is the whole record. Any other brace is itself, so JSON needs no escaping.
 *
 * How a value is written:
 *
 *     PSA_TEMPLATE_TOPIC  a level of an MQTT topic: + # / $, control characters and what is no character become _; a
 *                         value that is absent, null or empty is `unknown` (OASIS MQTT 5.0, 1.5.4 and 4.7: wildcards
 *                         must not be there, the others should not)
 *     PSA_TEMPLATE_JSON   between the quotes of a JSON string: a string's content or anything else's text, escaped, and
 *                         nothing when absent; elsewhere: the value's JSON text, null when absent
 */
#ifndef PSA_CORE_TEMPLATE_H
#define PSA_CORE_TEMPLATE_H

#include "core/buf.h"
#include "psa.h"

enum psa_template_kind { PSA_TEMPLATE_TOPIC, PSA_TEMPLATE_JSON };

struct psa_template;

/* Parse. `what` names it in messages ("--topic"). A topic's template may hold no + # or control character, no brace
 * that is not of a place, no $ at its begin, and not be empty; a JSON template must be JSON once its places are filled.
 * A brace that is text although it looks like a place is \u007b there. */
int psa_template_parse(struct psa_template **template, enum psa_template_kind kind, const char *text, const char *what,
                       struct psa_error *error);
void psa_template_free(struct psa_template *template);

/* Does it have a place for that path? */
bool psa_template_has(const struct psa_template *template, const char *path);
/* Append it, filled from the record. Memory that runs out shows in out->failed. */
void psa_template_fill(const struct psa_template *template, struct psa_record *record, struct psa_buf *out);

/*
 * The topic of a record: its publish_topic when it has one; else the template filled, with `/alert` behind it when the
 * record has an alert, else `/inference` when it has an anomaly, if `suffix`. false, with *why a sentence and nothing
 * appended: the record can have no topic: publish_topic is no string, empty, begins with $ (it could command the
 * broker), or holds what a template may not hold; or the topic is longer than 65535 bytes.
 */
bool psa_topic_of(const struct psa_template *template, bool suffix, struct psa_record *record, struct psa_buf *out,
                  const char **why);

#endif
