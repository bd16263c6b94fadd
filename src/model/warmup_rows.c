/* warmup_rows.c - see warmup_rows.h. */
#include "model/warmup_rows.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROWS 16 /* memory to begin with */

void psa_warmup_rows_init(struct psa_warmup_rows *rows, size_t n_columns, size_t most)
{
    *rows = (struct psa_warmup_rows){ .n_columns = n_columns, .most = most };
}

void psa_warmup_rows_free(struct psa_warmup_rows *rows)
{
    free(rows->value);
    rows->value = NULL;
    rows->capacity = 0;
}

const double *psa_warmup_row(const struct psa_warmup_rows *rows, size_t i)
{
    return rows->value + i * rows->n_columns;
}

static int reserve(struct psa_warmup_rows *rows)
{
    size_t capacity = rows->capacity > 0 ? 2 * rows->capacity : FIRST_ROWS, size = rows->n_columns + 1;
    double *value;

    if (rows->n < rows->capacity) return 0;
    if (capacity > rows->most) capacity = rows->most;
    if (capacity <= rows->n || capacity > SIZE_MAX / sizeof *value / size) return -1;
    value = realloc(rows->value, capacity * size * sizeof *value);
    if (value == NULL) return -1;
    rows->value = value;
    rows->capacity = capacity;
    return 0;
}

int psa_warmup_rows_add(struct psa_warmup_rows *rows, const double *row)
{
    if (reserve(rows) != 0) return -1;
    memcpy(rows->value + rows->n * rows->n_columns, row, rows->n_columns * sizeof *row);
    rows->n++;
    return 0;
}

void psa_warmup_rows_save(const struct psa_warmup_rows *rows, struct psa_buf *out)
{
    psa_buf_name(out, "rows");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < rows->n; i++) {
        psa_buf_comma(out);
        psa_buf_numbers(out, psa_warmup_row(rows, i), rows->n_columns);
    }
    psa_buf_puts(out, "]");
}

bool psa_row_load(double *row, size_t n, struct psa_json *in)
{
    size_t i = 0;

    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        if (i == n) return false;
        row[i++] = psa_json_number(in);
    }
    return in->fault.what == NULL && i == n;
}

bool psa_warmup_rows_load(struct psa_warmup_rows *rows, double *row, struct psa_json *in)
{
    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        if (!psa_row_load(row, rows->n_columns, in) || psa_warmup_rows_add(rows, row) != 0) return false;
    }
    return in->fault.what == NULL;
}
