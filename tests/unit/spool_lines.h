/* spool_lines.h - texts of segments, dead letters and cursors for the tests of the spool. */
#ifndef PSA_TEST_SPOOL_LINES_H
#define PSA_TEST_SPOOL_LINES_H

#include <stdio.h>
#include <string.h>

#include "memory_disk.h"
#include "spool/format.h"

/* Append a line: the record's text names its number. */
static inline void add_line(struct psa_buf *out, uint64_t seq, int64_t taken_ms)
{
    char text[64];
    int n = snprintf(text, sizeof text, "{\"i\":%llu}", (unsigned long long)seq);

    psa_spool_format_line(out, &(struct psa_spool_record){ seq, taken_ms, { NULL, 0 }, { text, (size_t)n } });
}

static inline void add_lines(struct psa_buf *out, uint64_t from, uint64_t to)
{
    for (uint64_t seq = from; seq <= to; seq++) add_line(out, seq, 1000 + (int64_t)seq);
}

static inline void add_dead(struct psa_buf *out, uint64_t seq)
{
    char text[64];
    int n = snprintf(text, sizeof text, "{\"i\":%llu}", (unsigned long long)seq);

    psa_spool_format_line(
        out, &(struct psa_spool_record){ seq, 1000 + (int64_t)seq, psa_str_of("\"no\""), { text, (size_t)n } });
}

/* Make the file of what was gathered, and gather anew. */
static inline void put_file(struct memory_disk *m, const char *name, struct psa_buf *content)
{
    memory_disk_put(m, name, content->p, content->n);
    content->n = 0;
}

static inline void put_segment(struct memory_disk *m, uint64_t first, struct psa_buf *content)
{
    char name[PSA_SPOOL_NAME_MAX];

    psa_spool_segment_name(first, name);
    put_file(m, name, content);
}

static inline void put_cursor(struct memory_disk *m, uint64_t done)
{
    struct psa_buf text = { 0 };

    psa_spool_format_cursor(&text, &(struct psa_spool_cursor){ .done = done });
    put_file(m, PSA_SPOOL_CURSOR, &text);
    psa_buf_free(&text);
}

#endif
