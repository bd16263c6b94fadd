/*
 * csv.c - see csv.h.
 *
 * Quotes stand only around cells and doubled within them, so a row is whole exactly where its quotes are even in
 * number. That is all that is looked at while lines are joined; the joined row is then cut into cells and checked.
 */
#include "io/csv.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"

/* ---- lines, with those that are read again ----------------------------------------------------------------------- */

static bool has_odd_quotes(struct psa_str line)
{
    const char *p = line.p, *end = line.p + line.n;
    bool odd = false;

    for (; p != end && (p = memchr(p, '"', (size_t)(end - p))) != NULL; p++) odd = !odd;
    return odd;
}

/* The next line of text; *number is its place in the file. */
static enum psa_lines_got next_line(struct psa_csv *csv, struct psa_str *line, uint64_t *number,
                                    struct psa_error *error)
{
    enum psa_lines_got got;

    if (csv->again_at < csv->again.n) {
        const char *p = csv->again.p + csv->again_at;
        const char *newline = memchr(p, '\n', csv->again.n - csv->again_at); /* each of these lines has one */
        *line = (struct psa_str){ p, (size_t)(newline - p) };
        csv->again_at += line->n + 1;
        *number = csv->again_number++;
        return PSA_GOT_LINE;
    }
    if (csv->ended) return PSA_GOT_END;
    do got = psa_lines_next(csv->lines, line, error);
    while (got == PSA_GOT_FILE);
    *number = csv->lines->number;
    csv->ended = got == PSA_GOT_END;
    if (got == PSA_GOT_TOO_LONG) csv->long_bytes = csv->lines->skipped;
    return got;
}

static void join(struct psa_csv *csv, struct psa_str line)
{
    psa_buf_put(&csv->joined, line.p, line.n);
    psa_buf_put(&csv->joined, "\n", 1);
}

/* The row is none. If it has several lines (then it stands in `joined`), only its first is given up, and the others
 * will be read again. Whatever `again` held has been used up by then: its lines were part of a row that was too long,
 * too. */
static enum psa_csv_got give_up(struct psa_csv *csv, const char *why)
{
    const char *newline = csv->joined.n > 0 ? memchr(csv->joined.p, '\n', csv->joined.n) : NULL;

    csv->why = why;
    if (newline == NULL) return PSA_CSV_BAD;
    const size_t first = (size_t)(newline - csv->joined.p);
    struct psa_buf rest = { 0 };
    psa_buf_put(&rest, newline + 1, csv->joined.n - first - 1);
    psa_buf_put(&rest, csv->again.p + csv->again_at, csv->again.n - csv->again_at);
    psa_buf_free(&csv->again);
    csv->again = rest;
    csv->again_at = 0;
    csv->again_number = csv->number + 1;
    csv->text = (struct psa_str){ csv->joined.p, first };
    return PSA_CSV_BAD;
}

/* ---- cells ------------------------------------------------------------------------------------------------------- */

/* The content of a quoted cell with doubled quotes. */
static struct psa_str undouble(struct psa_csv *csv, const char *p, const char *end)
{
    char *out = psa_arena_take(&csv->arena, (size_t)(end - p) + 1);
    size_t n = 0;

    if (out == NULL) return (struct psa_str){ NULL, 0 };
    for (; p != end; p++) {
        out[n++] = *p;
        if (*p == '"') p++;
    }
    return (struct psa_str){ out, n };
}

/* One cell from p on. Returns the byte behind it, or NULL with csv->why set. */
static const char *take_cell(struct psa_csv *csv, const char *p, const char *end, struct psa_str *cell)
{
    bool doubled = false;

    if (p == end || *p != '"') {
        const char *behind = memchr(p, csv->separator, (size_t)(end - p));
        if (behind == NULL) behind = end;
        if (memchr(p, '"', (size_t)(behind - p)) != NULL) {
            csv->why = "a quote inside a cell that does not begin with one";
            return NULL;
        }
        *cell = (struct psa_str){ p, (size_t)(behind - p) };
        return behind;
    }
    const char *from = ++p;
    for (;; p += 2) { /* over each doubled quote */
        p = memchr(p, '"', (size_t)(end - p));
        if (p == NULL) {
            csv->why = "a quote that is never closed";
            return NULL;
        }
        if (p + 1 == end || p[1] != '"') break;
        doubled = true;
    }
    if (p + 1 != end && p[1] != csv->separator) {
        csv->why = "text behind a closing quote";
        return NULL;
    }
    *cell = doubled ? undouble(csv, from, p) : (struct psa_str){ from, (size_t)(p - from) };
    if (cell->p == NULL) csv->why = "out of memory";
    return cell->p == NULL ? NULL : p + 1;
}

/* Cut the row at csv->text into cells. */
static bool cut(struct psa_csv *csv)
{
    const char *p = csv->text.p, *end = csv->text.p + csv->text.n;

    psa_arena_reset(&csv->arena);
    csv->n_cell = 0;
    for (;;) {
        if (csv->n_cell == PSA_CSV_CELLS_MAX) {
            csv->why = "more than 4096 cells";
            return false;
        }
        p = take_cell(csv, p, end, &csv->cell[csv->n_cell]);
        if (p == NULL) return false;
        csv->n_cell++;
        if (p == end) return true;
        p++; /* the separator */
    }
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* Join lines to the one in `joined` until quotes are even. PSA_CSV_ROW: csv->text is the row. */
static enum psa_csv_got join_row(struct psa_csv *csv, struct psa_error *error)
{
    for (;;) {
        struct psa_str line;
        uint64_t number;
        const enum psa_lines_got got = next_line(csv, &line, &number, error);
        if (got == PSA_GOT_ERROR) return PSA_CSV_ERROR;
        if (got == PSA_GOT_TOO_LONG) csv->long_waits = true;
        if (got != PSA_GOT_LINE) return give_up(csv, "a quote that is never closed");
        join(csv, line);
        if (csv->joined.failed) {
            psa_fail_memory(error, "reading a row");
            return PSA_CSV_ERROR;
        }
        if (csv->joined.n > csv->lines->max_line + 1)
            return give_up(csv, "a quote that is not closed within --max-line");
        if (has_odd_quotes(line)) {
            csv->text = (struct psa_str){ csv->joined.p, csv->joined.n - 1 };
            return PSA_CSV_ROW;
        }
    }
}

enum psa_csv_got psa_csv_next(struct psa_csv *csv, struct psa_error *error)
{
    csv->joined.n = 0;
    do {
        enum psa_lines_got got;
        if (csv->long_waits && csv->again_at == csv->again.n) {
            csv->long_waits = false;
            csv->number = csv->lines->number;
            return PSA_CSV_TOO_LONG;
        }
        got = next_line(csv, &csv->text, &csv->number, error);
        if (got == PSA_GOT_TOO_LONG) return PSA_CSV_TOO_LONG;
        if (got != PSA_GOT_LINE) return got == PSA_GOT_ERROR ? PSA_CSV_ERROR : PSA_CSV_END;
    } while (csv->text.n == 0);
    if (has_odd_quotes(csv->text)) {
        join(csv, csv->text);
        const enum psa_csv_got got = join_row(csv, error);
        if (got != PSA_CSV_ROW) return got;
    }
    return cut(csv) ? PSA_CSV_ROW : give_up(csv, csv->why);
}

int psa_csv_begin(struct psa_csv *csv, struct psa_lines *lines, struct psa_str first, char separator)
{
    *csv = (struct psa_csv){ .lines = lines, .separator = separator, .again_number = lines->number };
    csv->cell = calloc(PSA_CSV_CELLS_MAX, sizeof *csv->cell);
    psa_buf_put(&csv->again, first.p, first.n);
    psa_buf_put(&csv->again, "\n", 1);
    return csv->cell == NULL || csv->again.failed ? -1 : 0;
}

void psa_csv_free(struct psa_csv *csv)
{
    free(csv->cell);
    csv->cell = NULL;
    psa_buf_free(&csv->joined);
    psa_buf_free(&csv->again);
    psa_arena_free(&csv->arena);
}

char psa_csv_separator(struct psa_str header)
{
    static const char candidates[] = { ',', ';', '\t' };
    size_t count[sizeof candidates] = { 0 }, best = 0;
    bool quoted = false;

    for (size_t i = 0; i < header.n; i++) {
        if (header.p[i] == '"') quoted = !quoted;
        for (size_t c = 0; c < sizeof candidates && !quoted; c++) count[c] += header.p[i] == candidates[c];
    }
    for (size_t c = 1; c < sizeof candidates; c++) {
        if (count[c] > count[best]) best = c;
    }
    return candidates[best];
}
