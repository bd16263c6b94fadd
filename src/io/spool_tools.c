/* spool_tools.c - see spool_tools.h. */
#include "io/spool_tools.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"

/* Dead letters are few; they may go beyond the spool's size. */
static const struct psa_spool_limits no_limits = { .max_size = INT64_MAX, .segment_size = 16777216 };

static int print(struct psa_writer *out, struct psa_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int print(struct psa_writer *out, struct psa_error *error, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    psa_buf_puts(&out->buf, text);
    return psa_writer_added(out, error);
}

static const char *cursor_word(enum psa_spool_cursor_state state)
{
    return state == PSA_SPOOL_CURSOR_GOOD ? "good" : state == PSA_SPOOL_CURSOR_NONE ? "none" : "damaged";
}

int psa_spool_stat(const struct psa_disk *disk, const char *folder, struct psa_writer *out, struct psa_error *error)
{
    struct psa_spool_survey survey;
    struct psa_buf *buf = &out->buf;

    if (psa_spool_survey(disk, NULL, &survey, error) != 0) return -1;
    psa_buf_puts(buf, "{");
    psa_buf_member_text(buf, "psa_spool", psa_str_of(folder));
    psa_buf_member_int(buf, "first", (int64_t)survey.first);
    psa_buf_member_int(buf, "last", (int64_t)survey.last);
    psa_buf_member_int(buf, "done", (int64_t)survey.cursor.done);
    if (survey.cursor.has_checkpoint) psa_buf_member_int(buf, "checkpoint", (int64_t)survey.cursor.checkpoint);
    psa_buf_member_int(buf, "records", (int64_t)survey.records);
    psa_buf_member_int(buf, "backlog", (int64_t)survey.backlog);
    if (survey.oldest_taken_ms != PSA_SPOOL_UNSYNCED)
        psa_buf_member_int(buf, "oldest_taken_ms", survey.oldest_taken_ms);
    psa_buf_member_int(buf, "bytes", (int64_t)survey.bytes);
    psa_buf_member_int(buf, "segments", (int64_t)survey.segments);
    psa_buf_member_int(buf, "dead", (int64_t)survey.dead);
    psa_buf_member_text(buf, "cursor", psa_str_of(cursor_word(survey.cursor_state)));
    psa_buf_member_int(buf, "missing_now", (int64_t)survey.missing);
    psa_buf_member_int(buf, "damaged_now", (int64_t)survey.damaged);
    psa_buf_member_int(buf, "torn_bytes", (int64_t)survey.torn_bytes);
    psa_buf_member_int(buf, "repeated", (int64_t)survey.repeated);
    psa_buf_member_int(buf, "missing", (int64_t)survey.cursor.missing);
    psa_buf_member_int(buf, "damaged", (int64_t)survey.cursor.damaged);
    psa_buf_member_int(buf, "expired", (int64_t)survey.cursor.expired);
    psa_buf_member_int(buf, "set_aside", (int64_t)survey.set_aside);
    psa_buf_member_int(buf, "strays", (int64_t)survey.strays);
    psa_buf_puts(buf, "}\n");
    return psa_writer_added(out, error);
}

/* ---- dump ------------------------------------------------------------------------------------------------------------ */

struct dump {
    struct psa_writer *out;
    bool all;
    struct psa_error *error;
};

static int dump_text(const struct dump *dump, struct psa_str text)
{
    psa_buf_put(&dump->out->buf, text.p, text.n);
    psa_buf_put(&dump->out->buf, "\n", 1);
    return psa_writer_added(dump->out, dump->error);
}

static int dump_record(void *ctx, const struct psa_spool_record *record, bool finished)
{
    const struct dump *dump = ctx;

    return finished && !dump->all ? 0 : dump_text(dump, record->text);
}

static int dump_dead(void *ctx, const struct psa_spool_record *record)
{
    return dump_text(ctx, record->text);
}

int psa_spool_dump(const struct psa_disk *disk, bool all, bool dead, struct psa_writer *out, struct psa_error *error)
{
    struct dump dump = { out, all, error };
    struct psa_spool_visitor visitor = { .ctx = &dump };
    struct psa_spool_survey survey;

    if (dead) visitor.dead = dump_dead;
    else visitor.record = dump_record;
    return psa_spool_survey(disk, &visitor, &survey, error);
}

/* ---- check, repair, retry-dead --------------------------------------------------------------------------------------- */

struct check {
    struct psa_writer *out;
    uint64_t faults;
    struct psa_error *error;
};

static int tell_damage(void *ctx, const char *file, int64_t offset, int64_t bytes, const char *what)
{
    struct check *check = ctx;

    if (strcmp(what, PSA_SPOOL_TORN) == 0) return 0; /* the trace of a kill, not a fault */
    check->faults++;
    return print(check->out, check->error, "%s: byte %lld: %lld bytes: %s\n", file, (long long)offset, (long long)bytes,
                 what);
}

int psa_spool_check(const struct psa_disk *disk, struct psa_writer *out, uint64_t *faults, struct psa_error *error)
{
    struct check check = { out, 0, error };
    struct psa_spool_visitor visitor = { .ctx = &check, .damage = tell_damage };
    struct psa_spool_survey survey;

    if (psa_spool_survey(disk, &visitor, &survey, error) != 0) return -1;
    if (survey.cursor_state == PSA_SPOOL_CURSOR_DAMAGED) {
        check.faults++;
        if (print(out, error, "cursor: damaged; a reader begins with the oldest record\n") != 0) return -1;
    }
    if (survey.missing) {
        check.faults++;
        if (print(out, error, "%llu records that nobody has finished are not there\n",
                  (unsigned long long)survey.missing) != 0)
            return -1;
    }
    *faults = check.faults;
    return print(out, error, "%llu records, %llu of them wait; %llu dead letters; %llu faults\n",
                 (unsigned long long)survey.records, (unsigned long long)survey.backlog,
                 (unsigned long long)survey.dead, (unsigned long long)check.faults);
}

int psa_spool_mend(const struct psa_disk *disk, const struct psa_spool_say *say, struct psa_writer *out,
                   struct psa_error *error)
{
    struct psa_spool_survey survey;
    unsigned long long damaged;

    if (psa_spool_repair(disk, say, &survey, error) != 0) return -1;
    damaged = survey.damaged + survey.dead_damaged;
    return print(out, error,
                 "set aside %llu damaged stretches (%llu bytes), cut %llu torn bytes%s; %llu records wait\n", damaged,
                 (unsigned long long)survey.damaged_bytes, (unsigned long long)survey.torn_bytes,
                 survey.cursor_state == PSA_SPOOL_CURSOR_GOOD ? "" : ", wrote the cursor anew",
                 (unsigned long long)survey.backlog);
}

int psa_spool_revive(const struct psa_disk *disk, const struct psa_spool_say *say, struct psa_writer *out,
                     struct psa_error *error)
{
    struct psa_spool_writer *writer = NULL;
    uint64_t n = 0;
    int status = psa_spool_writer_open(&writer, disk, &no_limits, say, error);

    if (status == 0) status = psa_spool_retry_dead(disk, writer, say, &n, error);
    if (writer) psa_spool_writer_close(writer);
    return status == 0 ? print(out, error, "put %llu dead letters back into the queue\n", (unsigned long long)n) : -1;
}
