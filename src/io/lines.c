/* lines.c - see lines.h. */
#include "io/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "io/clock.h"
#include "io/signals.h"

enum { READ_BYTES = 65536, MARK_BYTES = 3 };

/* Why nothing was read: a signal asks to stop; with no_wait, there is nothing now. */
enum { FILL_STOP = 1, FILL_NOTHING = 2 };

static const char byte_order_mark[] = "\xef\xbb\xbf";

void psa_lines_init(struct psa_lines *lines, char *const *file, size_t n_file, size_t max_line)
{
    *lines = (struct psa_lines){ .file = file, .n_file = n_file, .max_line = max_line, .fd = -1, .name = "stdin" };
}

void psa_lines_free(struct psa_lines *lines)
{
    if (lines->fd > STDIN_FILENO) close(lines->fd);
    free(lines->buffer);
    lines->buffer = NULL;
    lines->fd = -1;
}

/* Open the next file. 1: there is none. */
static int open_next(struct psa_lines *lines, struct psa_error *error)
{
    const char *name = lines->n_file ? NULL : "-";

    if (lines->fd > STDIN_FILENO) close(lines->fd);
    lines->fd = -1;
    if (lines->n_file) {
        if (lines->next_file == lines->n_file) return 1;
        name = lines->file[lines->next_file];
    } else if (lines->opened) {
        return 1;
    }
    lines->next_file++;
    lines->opened = true;
    lines->name = strcmp(name, "-") == 0 ? "stdin" : name;
    lines->fd = STDIN_FILENO;
    if (strcmp(name, "-") != 0) do
            lines->fd = open(name, O_RDONLY | O_CLOEXEC);
        while (lines->fd < 0 && errno == EINTR && !psa_stop_asked()); /* a FIFO waits for its writer */
    if (lines->fd < 0 && errno == EINTR) return 1;
    if (lines->fd < 0) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: cannot open: %s", name, strerror(errno));
    lines->number = lines->bytes = 0;
    lines->begin = lines->end = lines->searched = 0;
    lines->eof = false;
    return 0;
}

/* A stream that never waits must let idle be called too, when wake_every_ns asks for it. */
static bool wake_is_due(struct psa_lines *lines)
{
    int64_t now_ns;

    if (lines->wake_every_ns <= 0) return false;
    now_ns = psa_clock_ns();
    if (now_ns - lines->woken_at_ns < lines->wake_every_ns) return false;
    lines->woken_at_ns = now_ns;
    return true;
}

static int wake_timeout_ms(const struct psa_lines *lines)
{
    return lines->wake_every_ns > 0 ? psa_wait_ms(lines->wake_every_ns) : -1;
}

/* For an owner that does its own waiting. */
static int look_for_input(struct psa_lines *lines, struct psa_error *error)
{
    struct pollfd watch = { lines->fd, POLLIN, 0 };
    int ready;

    if (psa_stop_asked()) return FILL_STOP;
    do ready = poll(&watch, 1, 0);
    while (ready < 0 && errno == EINTR);
    if (ready < 0) return psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot poll: %s", lines->name, strerror(errno));
    return ready > 0 ? 0 : FILL_NOTHING;
}

/* Wait until the input can be read, having called idle. FILL_STOP: a signal asks to stop. */
static int wait_for_input(struct psa_lines *lines, struct psa_error *error)
{
    struct pollfd watch[2] = { { lines->fd, POLLIN, 0 }, { psa_signals_fd(), POLLIN, 0 } };
    int timeout = 0;

    if (wake_is_due(lines) && lines->idle && lines->idle(lines->ctx, error) != 0) return -1;
    for (;;) {
        int ready = poll(watch, 2, timeout);

        if (ready < 0 && errno != EINTR)
            return psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot poll: %s", lines->name, strerror(errno));
        if (psa_stop_asked()) return FILL_STOP;
        if (ready > 0 && watch[1].revents) {
            psa_signals_drain();
            if (lines->idle && lines->idle(lines->ctx, error) != 0) return -1;
        }
        if (ready > 0 && watch[0].revents) return 0;
        if (ready == 0 && lines->idle && lines->idle(lines->ctx, error) != 0) return -1;
        timeout = wake_timeout_ms(lines);
    }
}

/* Room for more bytes behind those that wait, up to a line of max_line and its end. */
static int make_room(struct psa_lines *lines, struct psa_error *error)
{
    size_t held = lines->end - lines->begin;

    if (lines->begin) {
        memmove(lines->buffer, lines->buffer + lines->begin, held);
        lines->searched -= lines->begin;
        lines->begin = 0;
        lines->end = held;
    }
    if (lines->cap - lines->end < READ_BYTES) {
        size_t cap = lines->cap ? lines->cap * 2 : 2 * READ_BYTES;
        char *grown = realloc(lines->buffer, cap);

        if (!grown) return psa_fail_memory(error, "reading");
        lines->buffer = grown;
        lines->cap = cap;
    }
    return 0;
}

/* One read. FILL_STOP, FILL_NOTHING: there was none. At the end of the file sets eof. */
static int fill(struct psa_lines *lines, struct psa_error *error)
{
    ssize_t n;
    int status = lines->no_wait ? look_for_input(lines, error) : wait_for_input(lines, error);

    if (status != 0) return status;
    if (make_room(lines, error) != 0) return -1;
    do n = read(lines->fd, lines->buffer + lines->end, READ_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return psa_fail(error, errno == EISDIR ? PSA_EXIT_PERMANENT : PSA_EXIT_RUNTIME, "%s: cannot read: %s",
                        lines->name, strerror(errno));
    if (n == 0) lines->eof = true;
    lines->end += (size_t)n;
    lines->bytes += (uint64_t)n;
    return 0;
}

/* Hand out the bytes up to `newline` (or the end of the buffer when NULL). */
static enum psa_lines_got hand_out(struct psa_lines *lines, const char *newline, struct psa_str *line)
{
    const char *p = lines->buffer + lines->begin;
    size_t n = newline ? (size_t)(newline - p) : lines->end - lines->begin;

    lines->torn = !newline;
    lines->begin += n + (newline ? 1 : 0);
    lines->searched = lines->begin;
    if (lines->number++ == 0 && !lines->skipped && n >= MARK_BYTES && memcmp(p, byte_order_mark, MARK_BYTES) == 0) {
        p += MARK_BYTES;
        n -= MARK_BYTES;
    }
    if (lines->skipped) {
        lines->skipped += n;
        *line = (struct psa_str){ p, 0 };
        return PSA_GOT_TOO_LONG;
    }
    if (n && p[n - 1] == '\r') n--;
    *line = (struct psa_str){ p, n };
    if (n <= lines->max_line) return PSA_GOT_LINE;
    lines->skipped = n;
    return PSA_GOT_TOO_LONG;
}

/* What is held is longer than any line may be: forget it, but remember how much it was. */
static void skip_held(struct psa_lines *lines)
{
    lines->skipped += lines->end - lines->begin;
    lines->begin = lines->end = lines->searched = 0;
}

static enum psa_lines_got next_file(struct psa_lines *lines, struct psa_error *error)
{
    int status = open_next(lines, error);

    if (status == 0) return PSA_GOT_FILE;
    return status > 0 ? PSA_GOT_END : PSA_GOT_ERROR;
}

enum psa_lines_got psa_lines_next(struct psa_lines *lines, struct psa_str *line, struct psa_error *error)
{
    int status;

    lines->skipped = 0;
    if (lines->fd < 0) return next_file(lines, error);
    for (;;) {
        const char *newline = NULL;

        if (lines->end > lines->searched)
            newline = memchr(lines->buffer + lines->searched, '\n', lines->end - lines->searched);
        if (newline) return hand_out(lines, newline, line);
        lines->searched = lines->end;
        if (lines->eof) {
            if (lines->end > lines->begin || lines->skipped) return hand_out(lines, NULL, line);
            return next_file(lines, error);
        }
        if (lines->end - lines->begin > lines->max_line + MARK_BYTES + 1) skip_held(lines); /* + 1: a CR */
        status = fill(lines, error);
        if (status == FILL_NOTHING) return PSA_GOT_NOTHING;
        if (status == FILL_STOP) {
            lines->unfinished = lines->end > lines->begin;
            return PSA_GOT_END;
        }
        if (status < 0) return PSA_GOT_ERROR;
    }
}

enum psa_lines_got psa_lines_peek(struct psa_lines *lines, size_t beyond, struct psa_str *bytes,
                                  struct psa_error *error)
{
    *bytes = (struct psa_str){ NULL, 0 };
    if (lines->fd < 0) {
        const enum psa_lines_got got = next_file(lines, error);
        if (got != PSA_GOT_FILE) return got;
    }
    while (lines->end - lines->begin <= beyond && !lines->eof) {
        const int status = fill(lines, error);
        if (status < 0) return PSA_GOT_ERROR;
        if (status > 0) break; /* asked to stop: the next call for a line ends */
    }
    *bytes = (struct psa_str){ lines->buffer + lines->begin, lines->end - lines->begin };
    return bytes->n > beyond ? PSA_GOT_LINE : PSA_GOT_END;
}

ptrdiff_t psa_lines_read(struct psa_lines *lines, char *p, size_t n, struct psa_error *error)
{
    size_t held = lines->end - lines->begin;

    if (held == 0 && !lines->eof) {
        const int status = fill(lines, error);
        if (status < 0) return -1;
        held = lines->end - lines->begin;
    }
    if (n > held) n = held;
    if (n > 0) memcpy(p, lines->buffer + lines->begin, n);
    lines->begin += n;
    lines->searched = lines->begin;
    return (ptrdiff_t)n;
}

size_t psa_lines_buffered(const struct psa_lines *lines)
{
    size_t n = 0;

    for (size_t at = lines->begin; at < lines->end; at++) n += lines->buffer[at] == '\n';
    return n;
}
