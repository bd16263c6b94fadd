/* path_name.h - any text as the name of a file, or a part of one. */
#ifndef PSA_CORE_PATH_NAME_H
#define PSA_CORE_PATH_NAME_H

#include "core/buf.h"
#include "psa.h"

/*
 * Append the text to a path: letters, digits, `_`, `-` and `.` stand for themselves, each other byte is %XX, and so is a `.`
 * with which a name would begin (behind nothing or a `/`): no text names a hidden file or another folder, and no two texts
 * become one name. What would go beyond `most` bytes is left out: then false.
 */
bool psa_path_name_put(struct psa_buf *path, struct psa_str text, size_t most);

#endif
