/*
 * replay.h - the parts of psa-replay. A run has inputs, one per file; each holds its next record ready, and the one
 * whose record is due first is printed next (replay_main.c). An input tells by its first bytes what its file is
 * (replay_input.c); each kind of file is a descriptor: replay_text.c has NDJSON and tables, replay_sound.c sound.
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

struct psa_replay;
struct psa_replay_input;
struct psa_replay_sound; /* replay_sound.c */

enum psa_replay_got {
    PSA_REPLAY_ERROR = -1,
    PSA_REPLAY_ON, /* nothing to show for it: read on */
    PSA_REPLAY_RECORD,
    PSA_REPLAY_END
};

/* A kind of file. */
struct psa_replay_format {
    const char *name; /* --format's word for it */
    bool text;        /* begins with its first line at hand, else with nothing read */
    /* May be NULL. 0, or -1 with *error set. */
    int (*begin)(struct psa_replay_input *input, struct psa_error *error);
    /* The next record or control line into *input. */
    enum psa_replay_got (*next)(struct psa_replay_input *input, struct psa_error *error);
    /* The record at hand as a line, its time being time_ns. */
    int (*print)(const struct psa_replay_input *input, int64_t time_ns, struct psa_buf *out, struct psa_error *error);
};
extern const struct psa_replay_format psa_replay_ndjson, psa_replay_csv, psa_replay_sound;

struct psa_replay_config {
    const char *format, *separator, *time_column, *time_format, *columns, *drop, *labels;
    const char *channels, *scale, *start_time;
    const char *sensor_type, *sensor_id, *sensor_model, *id_from;
    const char *from, *to, *speed, *restamp_to, *rejects, *stats_file;
    bool restamp, strict, stats;
    int64_t max_line, block, max_channels;
};

/* One file. What it points to is valid until its next record is asked for. */
struct psa_replay_input {
    struct psa_replay *replay;
    struct psa_lines lines;
    char *file[1];
    const struct psa_replay_format *format; /* NULL: not yet told */
    bool begun;
    char id[256]; /* sensor_id of a table, of a sound file */

    struct psa_decoder *decoder; /* NDJSON */
    struct psa_csv csv;
    struct psa_table table;
    bool table_open;
    struct psa_replay_sound *sound;

    /* The record at hand. */
    struct psa_str line;       /* as it stands in the file, for NDJSON and --rejects; of sound there is none */
    uint64_t number;           /* its line; 0: none */
    bool control;              /* a control line */
    struct psa_record *record; /* NDJSON */
    struct psa_table_row row;  /* the others */
    bool has_time;
    int64_t time_ns;
    int64_t due_ns; /* its place among the inputs: the newest time of this file so far */
};

/* A run. */
struct psa_replay {
    struct psa_replay_config config;
    const struct psa_replay_format *format; /* NULL: by each file's content */
    char separator;                         /* 0: by the header */
    enum psa_table_time time_format;
    bool has_from, has_to;
    int64_t from_ns, to_ns;
    bool has_start;
    int64_t start_ns;

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

/* file: one name, "-" is stdin. Nothing is opened yet. */
void psa_replay_input_init(struct psa_replay_input *input, struct psa_replay *replay, char *file);
/* Read on to the next record or control line; bad lines are reported, counted and kept. Never PSA_REPLAY_ON. */
enum psa_replay_got psa_replay_input_next(struct psa_replay_input *input, struct psa_error *error);
void psa_replay_input_free(struct psa_replay_input *input);

/* For the formats: who the records are of, from the options and the file's name (written to input->id). */
struct psa_table_options psa_replay_identity(struct psa_replay_input *input);
/* The next line that is no blank one and not too long, into input->line. */
enum psa_replay_got psa_replay_next_line(struct psa_replay_input *input, struct psa_error *error);
/* The record at hand is input->row's text with the time in between. */
int psa_replay_print_row(const struct psa_replay_input *input, int64_t time_ns, struct psa_buf *out,
                         struct psa_error *error);

/* The line at hand is no record, or cannot be one here. */
int psa_replay_reject(struct psa_replay_input *input, const char *reason, const char *why, struct psa_error *error);
/* Something about the line at hand is worth counting and saying, but it passes. */
void psa_replay_note(struct psa_replay_input *input, const char *reason, uint64_t n, const char *why);
void psa_replay_count(struct psa_reasons *reasons, const char *reason, uint64_t n);

#endif
