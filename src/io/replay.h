/*
 * replay.h - the parts of psa-replay. A run has inputs, one per file; each holds its next record ready, and the one
 * whose record is due first is printed next (replay_main.c). An input knows what its file is (replay_input.c).
 */
#ifndef PSA_IO_REPLAY_H
#define PSA_IO_REPLAY_H

#include "core/chain.h"
#include "core/record.h"
#include "io/csv.h"
#include "io/lines.h"
#include "io/replay_table.h"
#include "io/report.h"
#include "io/source.h"
#include "io/writer.h"
#include "psa.h"

enum psa_replay_format { PSA_REPLAY_UNKNOWN, PSA_REPLAY_NDJSON, PSA_REPLAY_CSV };

struct psa_replay_config {
    const char *format, *separator, *time_column, *time_format, *columns, *drop, *labels;
    const char *sensor_type, *sensor_id, *sensor_model, *id_from;
    const char *from, *to, *speed, *restamp_to, *rejects, *stats_file;
    bool restamp, strict, stats;
    int64_t max_line;
};

struct psa_replay;

/* One file. What it points to is valid until its next record is asked for. */
struct psa_replay_input {
    struct psa_replay *replay;
    struct psa_lines lines;
    char *file[1];
    enum psa_replay_format format;
    char id[256]; /* sensor_id of a table */

    struct psa_decoder *decoder; /* NDJSON */
    struct psa_csv csv;
    struct psa_table table;
    bool table_open;

    /* The record at hand. */
    struct psa_str line;       /* as it stands in the file, for NDJSON and --rejects */
    uint64_t number;           /* its line */
    struct psa_record *record; /* NDJSON; NULL: a control line */
    struct psa_table_row row;  /* CSV */
    bool has_time;
    int64_t time_ns;
    int64_t due_ns; /* its place among the inputs: the newest time of this file so far */
};

/* A run. */
struct psa_replay {
    struct psa_replay_config config;
    enum psa_replay_format format;
    char separator; /* 0: by the header */
    enum psa_table_time time_format;
    bool has_from, has_to;
    int64_t from_ns, to_ns;

    struct psa_replay_input *input; /* [n_input] */
    size_t n_input;
    size_t *heap; /* [n_heap] inputs with a record at hand, the one due first (then first named) at 0 */
    size_t n_heap;

    struct psa_writer out, rejects;
    struct psa_report report;
    struct psa_stats stats;
    struct psa_reasons noted;
    struct psa_pace pace;
    bool restamped; /* shift_ns is known */
    int64_t shift_ns, restamp_ns;
    bool progress, progress_shown;
    int64_t progress_due_ns, newest_ns;
};

enum psa_replay_got { PSA_REPLAY_RECORD, PSA_REPLAY_END, PSA_REPLAY_ERROR };

/* file: one name, "-" is stdin. Nothing is opened yet. */
void psa_replay_input_init(struct psa_replay_input *input, struct psa_replay *replay, char *file);
/* Read on to the next record or control line; bad lines are reported, counted and kept. */
enum psa_replay_got psa_replay_input_next(struct psa_replay_input *input, struct psa_error *error);
void psa_replay_input_free(struct psa_replay_input *input);

/* The line at hand is no record, or cannot be one here. */
int psa_replay_reject(struct psa_replay_input *input, const char *reason, const char *why, struct psa_error *error);
/* Something about the line at hand is worth counting and saying, but it passes. */
void psa_replay_note(struct psa_replay_input *input, const char *reason, uint64_t n, const char *why);
void psa_replay_count(struct psa_reasons *reasons, const char *reason, uint64_t n);

#endif
