/* key.c - see key.h. */
#include "core/key.h"

#include <string.h>

#include "core/record.h"

struct psa_str psa_key_make(struct psa_buf *key, struct psa_str type, struct psa_str id)
{
    static const char separator = PSA_KEY_SEPARATOR;

    key->n = 0;
    psa_buf_put(key, type.p, type.n);
    psa_buf_put(key, &separator, 1);
    psa_buf_put(key, id.p, id.n);
    return psa_buf_str(key);
}

struct psa_str psa_record_key(struct psa_record *record, const char *path, struct psa_buf *room)
{
    if (path != NULL) return psa_record_path(record, path);
    return psa_key_make(room, record->sensor_type, record->sensor_id);
}

int psa_key_check_path(const char *path, struct psa_error *error)
{
    if (path == NULL || *path != 0) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT,
                    "--key: the path is empty; without --key sensor_type and sensor_id tell streams apart");
}

/* At the first byte that parts them; without one it is all id. */
static void split(struct psa_str key, char at, struct psa_str *type, struct psa_str *id)
{
    const char *found = key.n > 0 ? memchr(key.p, at, key.n) : NULL;

    *type = (struct psa_str){ NULL, 0 };
    *id = key;
    if (found == NULL) return;
    *type = (struct psa_str){ key.p, (size_t)(found - key.p) };
    *id = (struct psa_str){ found + 1, key.n - type->n - 1 };
}

void psa_key_split(struct psa_str key, struct psa_str *type, struct psa_str *id)
{
    split(key, PSA_KEY_SEPARATOR, type, id);
}

void psa_key_read(struct psa_str shown, struct psa_str *type, struct psa_str *id)
{
    split(shown, '/', type, id);
}

const char *psa_key_show(struct psa_str key, char out[PSA_KEY_SHOWN])
{
    size_t n;

    if (key.n && key.p[0] == PSA_KEY_SEPARATOR) key.p++, key.n--; /* no sensor_type */
    if (key.n && key.p[key.n - 1] == PSA_KEY_SEPARATOR) key.n--;  /* no sensor_id */
    if (!key.n) key = psa_str_of("(no sensor_id)");
    n = key.n < PSA_KEY_SHOWN - 1 ? key.n : PSA_KEY_SHOWN - 1;
    while (n && n < key.n && ((unsigned char)key.p[n] & 0xc0) == 0x80) n--; /* a whole UTF-8 character */
    for (size_t i = 0; i < n; i++) out[i] = key.p[i] == PSA_KEY_SEPARATOR ? '/' : key.p[i];
    out[n] = 0;
    return out;
}
