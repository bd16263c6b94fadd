/*
 * fuzz_spool.c - bytes as the files of a spool: a byte of choices, then cursor, dead letters and up to three segments,
 * each ended by a form feed. A CRC written as ######## is put right, or no change would ever get behind it.
 *
 * Whatever the files say, a survey can be made and says what a reader hands out, the writer opens and what is put
 * then is handed out by the reader, and after repair a survey finds no damage and the records that it found before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/memory_disk.h"
#include "core/crc32c.h"
#include "spool/reader.h"
#include "spool/survey.h"

static void check(bool good)
{
    if (!good) abort();
}

enum { CRC = 8 };
static const char blank[] = "########";

/* Put the blank CRC of one line right: it is that of what stands around it, and of the cursor's what stands before its
 * space. */
static void mend_line(char *line, size_t n, bool cursor)
{
    char *at = memmem(line, n, blank, CRC), digits[CRC + 1];
    uint32_t crc;

    if (!at || at == line) return;
    if (cursor) crc = psa_crc32c(0, line, (size_t)(at - line) - 1);
    else if (at + CRC < line + n)
        crc = psa_crc32c(psa_crc32c(0, line, (size_t)(at - line)), at + CRC + 1, (size_t)(line + n - at) - CRC - 1);
    else return;
    snprintf(digits, sizeof digits, "%08x", crc);
    memcpy(at, digits, CRC);
}

static void put_file(struct memory_disk *m, const char *name, const char *text, size_t n)
{
    char *copy = malloc(n + 1), *end = copy + n;

    check(copy != NULL);
    memcpy(copy, text, n);
    for (char *line = copy, *lf; line < end && (lf = memchr(line, '\n', (size_t)(end - line))); line = lf + 1)
        mend_line(line, (size_t)(lf - line), strcmp(name, PSA_SPOOL_CURSOR) == 0);
    memory_disk_put(m, name, copy, n);
    free(copy);
}

/* The bits of the first byte: which of the cursor and the dead letters there are, and how the segments are called. */
static void put_files(struct memory_disk *m, const char *p, const char *end)
{
    static const uint64_t first[4][3] = { { 1, 4, 8 }, { 5, 6, 7 }, { 1, 100, PSA_SPOOL_SEQ_MAX }, { 3, 2, 1 } };
    unsigned choice = (unsigned char)*p++;

    for (int i = 0; i < 5 && p < end; i++) {
        const char *feed = memchr(p, '\f', (size_t)(end - p)), *stop = feed ? feed : end;
        char name[PSA_SPOOL_NAME_MAX] = PSA_SPOOL_CURSOR;

        if (i == 1) memcpy(name, PSA_SPOOL_DEAD, sizeof PSA_SPOOL_DEAD);
        if (i > 1) psa_spool_segment_name(first[choice >> 2 & 3][i - 2], name);
        if (i > 1 || choice >> i & 1) put_file(m, name, p, (size_t)(stop - p));
        p = stop + 1;
    }
}

static void hear(void *ctx, const char *cause, const char *text)
{
    (void)ctx;
    check(cause[0] != '\0' && text[0] != '\0');
}

static const struct psa_spool_say say = { NULL, hear };

static void settle(const struct psa_disk *disk, struct psa_spool_writer *writer)
{
    struct psa_spool_sync job;

    check(psa_spool_write(writer) == 0);
    while (psa_spool_sync_begin(writer, &job)) {
        psa_spool_sync_run(disk, &job);
        psa_spool_sync_end(writer, &job);
    }
    check(psa_spool_last_taken(writer) == psa_spool_last_put(writer));
}

static struct psa_spool_writer *open_writer(const struct psa_disk *disk)
{
    const struct psa_spool_limits limits = { .max_size = 1 << 20, .segment_size = 128 };
    struct psa_spool_writer *writer = NULL;
    struct psa_error error = { 0 };

    check(psa_spool_writer_open(&writer, disk, &limits, &say, &error) == 0);
    return writer;
}

/* Read to the end: in order, each number once, and the last one is the fresh one, unless the numbers are used up. */
static void read_all(const struct psa_disk *disk, uint64_t fresh, bool commit_each)
{
    struct psa_spool_reader *reader = NULL;
    struct psa_spool_record record = { 0 };
    struct psa_error error = { 0 };
    uint64_t last = 0;
    int result;

    check(psa_spool_reader_open(&reader, disk, 0, &say, &error) == 0);
    while ((result = psa_spool_next(reader, 0, &record, &error)) == 0) {
        check(record.seq > last);
        last = record.seq;
        if (last == fresh) check(psa_str_eq(record.text, "fresh"));
        psa_spool_finish(reader, last);
        if (commit_each) check(psa_spool_commit(reader, &error) == 0);
    }
    check(result == 1);
    if (fresh) check(last == fresh);
    psa_spool_finish(reader, psa_spool_looked_at(reader));
    check(psa_spool_commit(reader, &error) == 0);
    psa_spool_reader_close(reader);
}

static void survey(const struct psa_disk *disk, struct psa_spool_survey *found)
{
    struct psa_error error = { 0 };

    check(psa_spool_survey(disk, NULL, found, &error) == 0);
    check(found->backlog <= found->records);
    check((found->records == 0) == (found->last == 0));
}

/* The survey names as many records as a reader finds now; the reader leaves no trace but damage set aside. */
static void compare(const struct psa_disk *disk)
{
    struct psa_spool_reader *reader = NULL;
    struct psa_spool_record record = { 0 };
    struct psa_spool_survey found;
    struct psa_error error = { 0 };
    uint64_t n = 0, missing;
    int result;

    survey(disk, &found);
    check(psa_spool_reader_open(&reader, disk, 0, &say, &error) == 0);
    missing = psa_spool_cursor_of(reader).missing;
    while ((result = psa_spool_next(reader, 0, &record, &error)) == 0) n++;
    check(result == 1 && n == found.backlog);
    psa_spool_finish(reader, psa_spool_looked_at(reader));
    check(psa_spool_cursor_of(reader).missing - missing == found.missing);
    psa_spool_reader_close(reader);
}

static void repair(const struct psa_disk *disk)
{
    struct psa_spool_survey before, found, after;
    struct psa_error error = { 0 };

    survey(disk, &before);
    check(psa_spool_repair(disk, &say, &found, &error) == 0);
    check(found.records == before.records && found.damaged == before.damaged);
    survey(disk, &after);
    check(after.records == before.records && after.dead == before.dead && after.repeated == before.repeated);
    check(after.backlog == before.backlog && after.missing == before.missing);
    check(after.damaged == 0 && after.torn_bytes == 0 && after.dead_damaged == 0);
    check(after.cursor_state == PSA_SPOOL_CURSOR_GOOD || after.segments == 0);
    check(after.set_aside >= before.set_aside && (after.set_aside > 0 || before.damaged == 0));
}

static void retry_dead(const struct psa_disk *disk)
{
    struct psa_spool_writer *writer = open_writer(disk);
    struct psa_spool_survey after;
    struct psa_error error = { 0 };
    uint64_t n = 0;

    if (psa_spool_retry_dead(disk, writer, &say, &n, &error) == 0) {
        survey(disk, &after);
        check(after.dead == 0);
    } else {
        check(psa_spool_last_put(writer) >= PSA_SPOOL_SEQ_MAX - 1 &&
              error.text[0] != '\0'); /* the numbers are used up */
    }
    psa_spool_writer_close(writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct psa_spool_survey found;
    struct psa_spool_writer *writer;
    struct memory_disk m;
    uint64_t fresh = 0;
    unsigned choice;

    if (n == 0) return 0;
    choice = *bytes;
    memory_disk_init(&m);
    put_files(&m, (const char *)bytes, (const char *)bytes + n);
    compare(&m.disk);
    if (choice & 16) repair(&m.disk);
    survey(&m.disk, &found);
    writer = open_writer(&m.disk);
    if (psa_spool_put(writer, psa_str_of("fresh"), 1, &fresh) != PSA_SPOOL_PUT) fresh = 0;
    check(fresh > found.last || found.repeated > 0 || psa_spool_last_put(writer) >= PSA_SPOOL_SEQ_MAX - 1);
    /* No writer's segment ends in a number lower than one before it, so it need not see through such a forgery. */
    if (fresh <= found.last) fresh = 0;
    settle(&m.disk, writer);
    read_all(&m.disk, fresh, choice & 32);
    psa_spool_writer_close(writer);
    survey(&m.disk, &found);
    check(found.backlog == 0 || fresh == 0);
    check(found.cursor_state == PSA_SPOOL_CURSOR_GOOD || fresh == 0);
    repair(&m.disk);
    retry_dead(&m.disk);
    repair(&m.disk);
    memory_disk_free(&m);
    return 0;
}
