/*
 * replay_table.h - a table of recorded values (CSV) as records: what each column of the header is, and a row as the
 * text of a record. Number texts that JSON knows pass byte for byte.
 */
#ifndef PSA_IO_REPLAY_TABLE_H
#define PSA_IO_REPLAY_TABLE_H

#include "core/arena.h"
#include "core/buf.h"
#include "io/csv.h"
#include "psa.h"

/* How a time cell is read. AUTO is settled by the column's name or the first row's cell. */
enum psa_table_time { PSA_TABLE_AUTO, PSA_TABLE_ISO, PSA_TABLE_S, PSA_TABLE_MS, PSA_TABLE_US, PSA_TABLE_NS };

struct psa_table_options {
    const char *time_column; /* NULL: by the usual names */
    enum psa_table_time time_format;
    const char *columns, *drop, *labels;                /* comma-separated globs; NULL: all, none, the usual names */
    const char *sensor_type, *sensor_id, *sensor_model; /* model may be NULL */
};

enum psa_table_role { PSA_TABLE_LEFT_OUT, PSA_TABLE_TIME, PSA_TABLE_FIELD, PSA_TABLE_LABEL };

struct psa_table {
    struct psa_arena arena; /* owns all texts below */
    struct psa_str header;  /* the header's line: repeated within a file it is no row */
    size_t n_column, n_field, n_label;
    enum psa_table_role *role; /* [n_column] */
    struct psa_str *name;      /* [n_column] as in the header, valid UTF-8 */
    struct psa_str *lead;      /* [n_column] fields and labels: what is printed before the value */
    struct psa_str empty_head; /* what is printed before "},"timestamp_ns": if there is no field */
    size_t time_at;
    enum psa_table_time time_format;
};

/* A row as a record's text in two parts, between which the time goes. */
struct psa_table_row {
    struct psa_buf text;
    size_t split;
    int64_t time_ns;
    uint64_t n_bad; /* cells that are no numbers, printed as null; `why` tells of the first */
    char why[256];
};

/* `{"sensor_type":"recording","sensor_id":"0","fields":{`: how the records of a recording begin that has none itself. */
void psa_table_put_head(struct psa_buf *out, const struct psa_table_options *options);
/* text as a JSON string. Bytes that are no UTF-8 (an old spreadsheet's Latin-1) make every byte beyond ASCII a question
 * mark: a record is always valid. */
void psa_table_put_quoted(struct psa_buf *out, struct psa_str text);
/* Settle the columns from the header at hand in csv. -1 with *error set; psa_table_free in any case. */
int psa_table_open(struct psa_table *table, const struct psa_table_options *options, const struct psa_csv *csv,
                   const char *file, struct psa_error *error);
/* The row at hand in csv as a record. NULL, or the reason for which it is none ("time", "columns"), said in row->why.
 * */
const char *psa_table_take(struct psa_table *table, const struct psa_csv *csv, struct psa_table_row *row);
void psa_table_free(struct psa_table *table);

#endif
