/* folder.c - see folder.h. */
#include "spool/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "spool/writer.h"

static bool add_segment(struct psa_spool_folder *folder, uint64_t first)
{
    if (folder->n == folder->cap) {
        size_t cap = folder->cap ? folder->cap * 2 : 64;
        uint64_t *grown = realloc(folder->segment, cap * sizeof *grown);

        if (!grown) return false;
        folder->segment = grown;
        folder->cap = cap;
    }
    folder->segment[folder->n++] = first;
    return true;
}

/* `<segment>-<...>.damaged` or `dead-<...>.damaged` */
static bool is_set_aside(const char *name)
{
    static const char ending[] = ".damaged";
    size_t n = strlen(name);
    char segment[PSA_SPOOL_NAME_MAX];
    const char *dash = strchr(name, '-');
    uint64_t first;

    if (!dash || dash - name >= PSA_SPOOL_NAME_MAX || n < sizeof ending) return false;
    if (strcmp(name + n - (sizeof ending - 1), ending) != 0) return false;
    memcpy(segment, name, (size_t)(dash - name));
    segment[dash - name] = '\0';
    return strcmp(segment, PSA_SPOOL_DEAD) == 0 || psa_spool_is_segment(segment, &first);
}

static bool is_helper(const char *name)
{
    static const char *const helpers[] = { PSA_SPOOL_CURSOR,      PSA_SPOOL_CURSOR_TMP,  PSA_SPOOL_RESERVE,
                                           PSA_SPOOL_WRITER_LOCK, PSA_SPOOL_READER_LOCK, PSA_SPOOL_REPAIR_TMP,
                                           PSA_SPOOL_SEGMENT_TMP };

    for (size_t i = 0; i < sizeof helpers / sizeof *helpers; i++)
        if (strcmp(name, helpers[i]) == 0) return true;
    return false;
}

static int note(void *arg, const char *name, int64_t bytes)
{
    struct psa_spool_folder *folder = arg;
    uint64_t first;

    if (psa_spool_is_segment(name, &first)) {
        folder->bytes += (uint64_t)bytes;
        return add_segment(folder, first) ? 0 : -ENOMEM;
    }
    if (strcmp(name, PSA_SPOOL_DEAD) == 0) folder->has_dead = true;
    else if (is_set_aside(name)) folder->set_aside++;
    else if (!is_helper(name)) folder->strays++;
    return 0;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

int psa_spool_list(const struct psa_disk *disk, struct psa_spool_folder *folder, struct psa_error *error)
{
    int result = disk->list(disk->ctx, note, folder);

    if (result != 0) return psa_fail(error, PSA_EXIT_RUNTIME, "the folder cannot be listed: %s", strerror(-result));
    if (folder->n) qsort(folder->segment, folder->n, sizeof *folder->segment, ascending);
    return 0;
}

void psa_spool_folder_free(struct psa_spool_folder *folder)
{
    free(folder->segment);
    *folder = (struct psa_spool_folder){ 0 };
}
