/* replay_table.c - see replay_table.h. */
#include "io/replay_table.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/error.h"
#include "core/json.h"
#include "core/number.h"
#include "core/time.h"

/* Names that columns of time usually have, the likeliest first, and of labels. */
static const char *const time_names[] = { "datetime", "timestamp", "timestamp_ns", "timestamp_ms", "ts_ns", "ts_ms",
                                          "time",     "time_ns",   "time_ms",      "ts",           "date",  "epoch" };
static const char usual_labels[] = "anomaly,changepoint,label,is_anomaly";

/* Longest cell that is normalised as a number, and the longest shown in a message. */
#define NUMBER_TEXT_MAX 400
#define SHOWN_MAX 40

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static struct psa_str trim(struct psa_str text)
{
    while (text.n > 0 && (*text.p == ' ' || *text.p == '\t')) {
        text.p++;
        text.n--;
    }
    while (text.n > 0 && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\t')) text.n--;
    return text;
}

void psa_table_put_quoted(struct psa_buf *out, struct psa_str text)
{
    const size_t from = out->n;
    struct psa_json_fault fault;

    psa_buf_quote(out, text);
    if (out->failed || psa_json_string(out->p + from, out->p + out->n, NULL, &fault) == out->p + out->n) return;
    for (size_t i = from; i < out->n; i++) {
        if ((unsigned char)out->p[i] >= 0x80) out->p[i] = '?';
    }
}

/* Does one of the comma-separated globs match the name? */
static bool matches(const char *globs, struct psa_str name)
{
    char text[256], glob[256];

    if (name.n >= sizeof text) return false;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    while (*globs != '\0') {
        const size_t n = strcspn(globs, ",");
        if (n > 0 && n < sizeof glob) {
            memcpy(glob, globs, n);
            glob[n] = '\0';
            if (fnmatch(glob, text, 0) == 0) return true;
        }
        globs += n + (globs[n] == ',');
    }
    return false;
}

static bool same_name(struct psa_str name, const char *text)
{
    return name.n == strlen(text) && strncasecmp(name.p, text, name.n) == 0;
}

static bool ends_in(struct psa_str name, const char *suffix)
{
    const size_t n = strlen(suffix);

    return name.n >= n && memcmp(name.p + name.n - n, suffix, n) == 0;
}

/* ---- the header -------------------------------------------------------------------------------------------------- */

/* No text's first line has control characters, or is in the main no ASCII without being UTF-8. */
static bool is_binary(struct psa_str line)
{
    size_t n_ascii = 0, n_bad = 0;

    for (size_t i = 0; i < line.n;) {
        const unsigned char c = (unsigned char)line.p[i];
        const size_t n = c < 0x80 ? 1 : psa_utf8_length(line.p + i, line.n - i);
        if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f) return true;
        n_ascii += c < 0x80;
        n_bad += n == 0;
        i += n == 0 ? 1 : n;
    }
    return n_bad > n_ascii;
}

static int find_time(struct psa_table *table, const struct psa_table_options *options, const char *file,
                     struct psa_error *error)
{
    if (options->time_column != NULL) {
        for (size_t i = 0; i < table->n_column; i++) {
            table->time_at = i;
            if (psa_str_eq(table->name[i], options->time_column)) return 0;
        }
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: no column '%s' in its header", file, options->time_column);
    }
    for (size_t usual = 0; usual < sizeof time_names / sizeof *time_names; usual++) {
        for (size_t i = 0; i < table->n_column; i++) {
            table->time_at = i;
            if (same_name(table->name[i], time_names[usual])) return 0;
        }
    }
    if (is_binary(table->header))
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "%s: neither records, nor a table, nor begins as sound that libsndfile knows; --format sound "
                        "tries what else it can open",
                        file);
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: no column of time in its header '%.*s'; name it with --time-column",
                    file, (int)(table->header.n < 200 ? table->header.n : 200), table->header.p);
}

static void settle_time_format(struct psa_table *table, const struct psa_table_options *options)
{
    const struct psa_str name = table->name[table->time_at];

    table->time_format = options->time_format;
    if (table->time_format == PSA_TABLE_AUTO && ends_in(name, "_ns")) table->time_format = PSA_TABLE_NS;
    if (table->time_format == PSA_TABLE_AUTO && ends_in(name, "_us")) table->time_format = PSA_TABLE_US;
    if (table->time_format == PSA_TABLE_AUTO && ends_in(name, "_ms")) table->time_format = PSA_TABLE_MS;
}

static enum psa_table_role role_of(const struct psa_table *table, const struct psa_table_options *options, size_t at)
{
    const struct psa_str name = table->name[at];

    if (at == table->time_at) return PSA_TABLE_TIME;
    if (name.n == 0) /* pandas' index */
        return PSA_TABLE_LEFT_OUT;
    if (matches(options->labels != NULL ? options->labels : usual_labels, name)) return PSA_TABLE_LABEL;
    if (options->drop != NULL && matches(options->drop, name)) return PSA_TABLE_LEFT_OUT;
    return options->columns == NULL || matches(options->columns, name) ? PSA_TABLE_FIELD : PSA_TABLE_LEFT_OUT;
}

void psa_table_put_head(struct psa_buf *out, const struct psa_table_options *options)
{
    psa_buf_puts(out, "{\"sensor_type\":");
    psa_table_put_quoted(out, psa_str_of(options->sensor_type));
    if (options->sensor_model != NULL) {
        psa_buf_puts(out, ",\"sensor_model\":");
        psa_table_put_quoted(out, psa_str_of(options->sensor_model));
    }
    psa_buf_puts(out, ",\"sensor_id\":");
    psa_table_put_quoted(out, psa_str_of(options->sensor_id));
    psa_buf_puts(out, ",\"fields\":{");
}

/* What stands before each value: the record's head before the first field, `,"name":` before the others. */
static bool make_leads(struct psa_table *table, const struct psa_table_options *options)
{
    struct psa_buf text = { 0 };
    bool ok = true;

    psa_table_put_head(&text, options);
    table->empty_head = psa_arena_copy(&table->arena, psa_buf_str(&text));
    for (size_t i = 0; i < table->n_column && ok; i++) {
        const bool field = table->role[i] == PSA_TABLE_FIELD;
        text.n = 0;
        if (field && table->n_field++ == 0) psa_table_put_head(&text, options);
        else if (!field && table->role[i] == PSA_TABLE_LABEL && table->n_label++ == 0)
            psa_buf_puts(&text, ",\"labels\":{");
        else psa_buf_puts(&text, ",");
        psa_table_put_quoted(&text, table->name[i]);
        psa_buf_puts(&text, ":");
        table->lead[i] = psa_arena_copy(&table->arena, psa_buf_str(&text));
        ok = !text.failed && table->lead[i].p != NULL;
    }
    psa_buf_free(&text);
    return ok && table->empty_head.p != NULL;
}

int psa_table_open(struct psa_table *table, const struct psa_table_options *options, const struct psa_csv *csv,
                   const char *file, struct psa_error *error)
{
    const size_t n = csv->n_cell;

    *table = (struct psa_table){ .n_column = n };
    table->role = psa_arena_take(&table->arena, n * sizeof *table->role);
    table->name = psa_arena_take(&table->arena, n * sizeof *table->name);
    table->lead = psa_arena_take(&table->arena, n * sizeof *table->lead);
    table->header = psa_arena_copy(&table->arena, csv->text);
    if (table->role == NULL || table->name == NULL || table->lead == NULL || table->header.p == NULL)
        return psa_fail_memory(error, "reading a header");
    for (size_t i = 0; i < n; i++) {
        table->name[i] = psa_arena_copy(&table->arena, trim(csv->cell[i]));
        if (table->name[i].p == NULL) return psa_fail_memory(error, "reading a header");
    }
    if (find_time(table, options, file, error) != 0) return -1;
    settle_time_format(table, options);
    for (size_t i = 0; i < n; i++) table->role[i] = role_of(table, options, i);
    return make_leads(table, options) ? 0 : psa_fail_memory(error, "reading a header");
}

void psa_table_free(struct psa_table *table)
{
    psa_arena_free(&table->arena);
}

/* ---- cells ------------------------------------------------------------------------------------------------------- */

static bool means_nothing(struct psa_str cell)
{
    static const char *const words[] = { "nan",  "null", "na",       "n/a",       "inf",
                                         "-inf", "+inf", "infinity", "-infinity", "-nan" };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (same_name(cell, words[i])) return true;
    }
    return cell.n == 0;
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p != end && *p >= '0' && *p <= '9') p++;
    return p;
}

/* Numbers that people and tools write but JSON does not know: `+1`, `.5`, `1.`, `007`. They are written as JSON would
 * have them, then read and printed in the shortest form. */
static bool put_odd_number(struct psa_buf *out, struct psa_str cell)
{
    char text[NUMBER_TEXT_MAX + 8];
    const char *p = cell.p, *end = cell.p + cell.n;
    double value;
    int n;

    if (cell.n > NUMBER_TEXT_MAX) return false;
    const bool minus = *p == '-';
    p += minus || *p == '+';
    const char *whole = p, *whole_end = skip_digits(p, end);
    const char *fraction = whole_end + (whole_end != end && *whole_end == '.'),
               *fraction_end = skip_digits(fraction, end);
    if (whole == whole_end && fraction == fraction_end) return false;
    while (whole != whole_end && *whole == '0') whole++;
    n = snprintf(text, sizeof text, "%s%s%.*s%s%.*s%.*s", minus ? "-" : "", whole == whole_end ? "0" : "",
                 (int)(whole_end - whole), whole, fraction == fraction_end ? "" : ".", (int)(fraction_end - fraction),
                 fraction, (int)(end - fraction_end), fraction_end);
    if (!psa_number_parse(text, text + n, &value)) return false;
    psa_buf_number(out, value);
    return true;
}

/* false: the cell is no number, and null was printed. */
static bool put_number(struct psa_buf *out, struct psa_str cell)
{
    double value;
    bool finite;

    cell = trim(cell);
    if (cell.n > 0 && psa_number_scan(cell.p, cell.p + cell.n, &value, &finite) == cell.p + cell.n) {
        psa_buf_put(out, cell.p, cell.n);
        return true;
    }
    if (means_nothing(cell)) {
        psa_buf_put(out, "null", 4);
        return true;
    }
    if (put_odd_number(out, cell)) return true;
    psa_buf_put(out, "null", 4);
    return false;
}

static void put_label(struct psa_buf *out, struct psa_str cell)
{
    const size_t from = out->n;

    if (put_number(out, cell)) return;
    out->n = from;
    psa_table_put_quoted(out, trim(cell));
}

/* The unit of a bare number under AUTO: by how far it lies from 1970. Seconds stay below 1e11 until the year 5138,
 * milliseconds below 1e14, microseconds below 1e17. */
static enum psa_table_time guess_unit(struct psa_str cell)
{
    double value = 0;

    (void)psa_number_parse(cell.p, cell.p + cell.n, &value);
    value = value < 0 ? -value : value;
    return value < 1e11 ? PSA_TABLE_S : value < 1e14 ? PSA_TABLE_MS : value < 1e17 ? PSA_TABLE_US : PSA_TABLE_NS;
}

static bool read_time(struct psa_table *table, struct psa_str cell, int64_t *ns)
{
    static const int64_t unit_ns[] = {
        [PSA_TABLE_S] = 1000000000, [PSA_TABLE_MS] = 1000000, [PSA_TABLE_US] = 1000, [PSA_TABLE_NS] = 1
    };
    enum psa_table_time format = table->time_format;

    cell = trim(cell);
    if (format <= PSA_TABLE_ISO && psa_time_parse_iso(cell.p, cell.p + cell.n, ns)) {
        table->time_format = PSA_TABLE_ISO;
        return true;
    }
    if (format == PSA_TABLE_ISO) return false;
    if (format == PSA_TABLE_AUTO) format = guess_unit(cell);
    if (!psa_time_parse_epoch(cell.p, cell.p + cell.n, unit_ns[format], ns)) return false;
    table->time_format = format;
    return true;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static int shown(struct psa_str text)
{
    return (int)(text.n < SHOWN_MAX ? text.n : SHOWN_MAX);
}

/* More cells than columns are forgiven where they are empty: a separator at the line's end. */
static bool fits(const struct psa_table *table, const struct psa_csv *csv)
{
    for (size_t i = table->n_column; i < csv->n_cell; i++) {
        if (trim(csv->cell[i]).n > 0) return false;
    }
    return csv->n_cell >= table->n_column;
}

static void put_fields(const struct psa_table *table, const struct psa_csv *csv, struct psa_table_row *row)
{
    if (table->n_field == 0) psa_buf_put(&row->text, table->empty_head.p, table->empty_head.n);
    for (size_t i = 0; i < table->n_column; i++) {
        if (table->role[i] != PSA_TABLE_FIELD) continue;
        psa_buf_put(&row->text, table->lead[i].p, table->lead[i].n);
        if (put_number(&row->text, csv->cell[i]) || row->n_bad++ > 0) continue;
        snprintf(row->why, sizeof row->why, "'%.*s' in column '%.*s' is not a number; null printed",
                 shown(csv->cell[i]), csv->cell[i].p, shown(table->name[i]), table->name[i].p);
    }
}

const char *psa_table_take(struct psa_table *table, const struct psa_csv *csv, struct psa_table_row *row)
{
    row->text.n = 0;
    row->n_bad = 0;
    if (!fits(table, csv)) {
        snprintf(row->why, sizeof row->why, "%zu cells, but the header has %zu", csv->n_cell, table->n_column);
        return "columns";
    }
    if (!read_time(table, csv->cell[table->time_at], &row->time_ns)) {
        snprintf(row->why, sizeof row->why, "'%.*s' in column '%.*s' is no time", shown(csv->cell[table->time_at]),
                 csv->cell[table->time_at].p, shown(table->name[table->time_at]), table->name[table->time_at].p);
        return "time";
    }
    put_fields(table, csv, row);
    psa_buf_puts(&row->text, "},\"timestamp_ns\":");
    row->split = row->text.n;
    for (size_t i = 0; i < table->n_column; i++) {
        if (table->role[i] != PSA_TABLE_LABEL) continue;
        psa_buf_put(&row->text, table->lead[i].p, table->lead[i].n);
        put_label(&row->text, csv->cell[i]);
    }
    psa_buf_puts(&row->text, table->n_label > 0 ? "}}\n" : "}\n");
    return NULL;
}
