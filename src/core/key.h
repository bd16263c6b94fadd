/*
 * key.h - the key of a stream: the bytes of sensor_type, a separator, sensor_id; or, with --key, the value that stands there.
 * People read and write it as TYPE/ID, and as ID where there is no type.
 */
#ifndef PSA_CORE_KEY_H
#define PSA_CORE_KEY_H

#include "core/buf.h"
#include "core/error.h"
#include "psa.h"

#define PSA_KEY_SEPARATOR 0x1f /* the unit separator of ASCII, which no name of a sensor has for a letter */
#define PSA_KEY_SHOWN 128      /* bytes of a key in a message, with the NUL */

/* The key of type and id into `key`, in place of what was there; valid as long as that. */
struct psa_str psa_key_make(struct psa_buf *key, struct psa_str type, struct psa_str id);
/* The key of a record: of the value at the dotted path, .p == NULL where there is none; path NULL: of its type and id, made
 * in `room`. Valid until the next call or until the record changes. */
struct psa_str psa_record_key(struct psa_record *record, const char *path, struct psa_buf *room);

/* Is that a path for --key? 0, or -1 with *error set. NULL, not given, is one. */
int psa_key_check_path(const char *path, struct psa_error *error);

/* The type, .p == NULL if there is none, and the id of a key that was made of them / of one that a person wrote. */
void psa_key_split(struct psa_str key, struct psa_str *type, struct psa_str *id);
void psa_key_read(struct psa_str shown, struct psa_str *type, struct psa_str *id);
/* The key for people, into out; a long one is cut. */
const char *psa_key_show(struct psa_str key, char out[PSA_KEY_SHOWN]);

#endif
