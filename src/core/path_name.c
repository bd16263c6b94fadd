/* path_name.c - see path_name.h. */
#include "core/path_name.h"

static bool is_plain(unsigned char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           (c == '.' && !first);
}

bool psa_path_name_put(struct psa_buf *path, struct psa_str text, size_t most)
{
    static const char digit[] = "0123456789ABCDEF";
    bool first = path->n == 0 || path->p[path->n - 1] == '/';

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        const char hex[3] = { '%', digit[c >> 4], digit[c & 15] };
        size_t n = is_plain(c, first && i == 0) ? 1 : sizeof hex;

        if (n > most) return false;
        most -= n;
        psa_buf_put(path, n == 1 ? &text.p[i] : hex, n);
    }
    return true;
}
