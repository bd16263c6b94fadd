/*
 * eval_windows.c - NAB's windows.json: labelled spans of time for each file of a benchmark.
 *
 *     {"realKnownCause/file.csv":[["2013-12-10 06:25:00.000000","2013-12-12 05:35:00.000000"],...], "other.csv":[], ...}
 *
 * Both ends of a window belong to it. Times without a zone are UTC, as psa-replay reads them.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/time.h"
#include "io/eval.h"
#include "io/writer.h"

#define BYTES_MAX (64 << 20) /* of the file; NAB's whole corpus has 25 kB */

/* ---- reading ------------------------------------------------------------------------------------------------------------ */

static int compare_windows(const void *a, const void *b)
{
    int64_t x = ((const struct psa_eval_window *)a)->from_ns, y = ((const struct psa_eval_window *)b)->from_ns;

    return (x > y) - (x < y);
}

static bool read_time(struct psa_json *in, int64_t *ns)
{
    struct psa_str text;

    if (!psa_json_next_item(in)) return psa_json_refuse(in, "a window that is not a pair of times");
    text = psa_json_text(in);
    if (text.p == NULL) return psa_json_refuse(in, "a time that is no string");
    return psa_time_parse_iso(text.p, text.p + text.n, ns) ||
           psa_json_refuse(in, "no time as 2013-12-10 06:25:00 is one");
}

static bool read_window(struct psa_json *in, struct psa_eval_window *window)
{
    *window = (struct psa_eval_window){ 0, 0 };
    if (!psa_json_enter_array(in) || !read_time(in, &window->from_ns) || !read_time(in, &window->to_ns)) return false;
    if (psa_json_next_item(in)) return psa_json_refuse(in, "a window of more than two times");
    if (window->to_ns < window->from_ns) return psa_json_refuse(in, "a window that ends before it begins");
    return in->fault.what == NULL;
}

/* The list of one entry's windows. */
static bool read_list(struct psa_json *in, struct psa_eval_windows_entry *entry)
{
    size_t cap = 0;

    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        if (entry->n == cap) {
            struct psa_eval_window *grown;

            cap = cap > 0 ? 2 * cap : 8;
            grown = realloc(entry->window, cap * sizeof *grown);
            if (grown == NULL) return psa_json_refuse(in, "out of memory");
            entry->window = grown;
        }
        if (!read_window(in, &entry->window[entry->n])) return false;
        entry->n++;
    }
    if (entry->n < 2) return in->fault.what == NULL;
    qsort(entry->window, entry->n, sizeof *entry->window, compare_windows);
    for (size_t i = 1; i < entry->n; i++) {
        if (entry->window[i].from_ns <= entry->window[i - 1].to_ns)
            return psa_json_refuse(in, "windows that overlap, in the list that ends here");
    }
    return in->fault.what == NULL;
}

static bool read_entries(struct psa_json *in, struct psa_eval_windows *windows)
{
    struct psa_str name;
    size_t cap = 0;

    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        if (windows->n == cap) {
            struct psa_eval_windows_entry *grown;

            cap = cap > 0 ? 2 * cap : 16;
            grown = realloc(windows->entry, cap * sizeof *grown);
            if (grown == NULL) return psa_json_refuse(in, "out of memory");
            windows->entry = grown;
        }
        windows->entry[windows->n] = (struct psa_eval_windows_entry){ .name = name };
        if (!read_list(in, &windows->entry[windows->n++])) return false;
    }
    return psa_json_close(in);
}

int psa_eval_windows_read(struct psa_eval_windows *windows, const char *path, struct psa_error *error)
{
    struct psa_json in;
    int status;

    *windows = (struct psa_eval_windows){ .path = path };
    status = psa_file_read(path, BYTES_MAX, &windows->text, error);
    if (status == 1) return psa_fail(error, PSA_EXIT_PERMANENT, "--windows '%s': there is no such file", path);
    if (status != 0) return -1;
    psa_json_open(&in, psa_buf_str(&windows->text), &windows->arena);
    if (!read_entries(&in, windows))
        return psa_fail(error, PSA_EXIT_PERMANENT, "--windows '%s': byte %zu: %s", path,
                        (size_t)(in.fault.at - in.begin) + 1, in.fault.what);
    return windows->n > 0 ? 0 : psa_fail(error, PSA_EXIT_PERMANENT, "--windows '%s' has no entry", path);
}

void psa_eval_windows_free(struct psa_eval_windows *windows)
{
    for (size_t i = 0; i < windows->n; i++) free(windows->entry[i].window);
    free(windows->entry);
    psa_buf_free(&windows->text);
    psa_arena_free(&windows->arena);
    *windows = (struct psa_eval_windows){ .path = NULL };
}

/* ---- finding ------------------------------------------------------------------------------------------------------------ */

/* A path without the ending of its last part: `nab/file.csv` is `nab/file`. */
static struct psa_str without_ending(struct psa_str path)
{
    for (size_t n = path.n; n > 0 && path.p[n - 1] != '/'; n--)
        if (path.p[n - 1] == '.' && n > 1 && path.p[n - 2] != '/') return (struct psa_str){ path.p, n - 1 };
    return path;
}

/* Is `tail` the last part, or the last parts, of the path? */
static bool ends_in(struct psa_str path, struct psa_str tail)
{
    if (tail.n == 0 || tail.n > path.n) return false;
    if (!psa_bytes_are(path.p + path.n - tail.n, tail.p, tail.n)) return false;
    return tail.n == path.n || path.p[path.n - tail.n - 1] == '/';
}

/* The entry whose name, its ending left out, is `name`, or is the end of the path `name` or ends in it. */
static const struct psa_eval_windows_entry *find(const struct psa_eval_windows *windows, struct psa_str name,
                                                 size_t *matches)
{
    const struct psa_eval_windows_entry *found = NULL;
    struct psa_str stem = without_ending(name);

    *matches = 0;
    for (size_t i = 0; i < windows->n; i++) {
        struct psa_str entry = windows->entry[i].name, bare = without_ending(entry);

        if (psa_str_is(entry, name) || psa_str_is(bare, name)) {
            *matches = 1;
            return &windows->entry[i];
        }
        if (!ends_in(name, bare) && !ends_in(bare, name) && !ends_in(stem, bare) && !ends_in(bare, stem)) continue;
        found = &windows->entry[i];
        ++*matches;
    }
    return found;
}

const struct psa_eval_windows_entry *psa_eval_windows_named(const struct psa_eval_windows *windows, const char *name)
{
    size_t matches;
    const struct psa_eval_windows_entry *entry = find(windows, psa_str_of(name), &matches);

    return matches == 1 ? entry : NULL;
}

int psa_eval_windows_find(const struct psa_eval_windows *windows, const struct psa_eval_stream *stream,
                          const struct psa_eval_windows_entry **entry, struct psa_error *error)
{
    struct psa_str name = stream->id;
    size_t matches;

    *entry = find(windows, name, &matches);
    if (matches == 0) {
        name = psa_str_of(stream->source);
        *entry = find(windows, name, &matches);
    }
    if (matches > 1)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "%zu entries of --windows '%s' have the name of stream '%.*s'; --windows-for NAME chooses one",
                        matches, windows->path, name.n < 200 ? (int)name.n : 200, name.p);
    if (matches == 0 && windows->n == 1) *entry = &windows->entry[0];
    return 0;
}
