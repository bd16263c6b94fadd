/*
 * alert.h - what the files of psa-alert share.
 *
 * A stream key can have three events at a time, one of each kind: its scores are anomalous, nothing comes from it, it says
 * that it is down. alert.c states the state machine and is the stage; alert_anomaly.c, alert_silence.c and alert_status.c
 * hold its three parts, alert_wait.c whose silence is due, alert_calm.c maintenance (its windows are alert_plan.h's),
 * alert_event.c the words of an event, alert_evidence.c the bundles, alert_put.c what goes out, alert_state.c saving and
 * loading. Calls go one way: alert.c -> the three parts -> alert_put.c -> alert_evidence.c -> alert_event.c, and
 * alert_silence.c -> alert_wait.c -> alert_calm.c.
 */
#ifndef PSA_STAGE_ALERT_H
#define PSA_STAGE_ALERT_H

#include "core/record.h"
#include "stage/alert_plan.h"
#include "stage/condition.h"
#include "stage/slot.h"

enum {
    PSA_ALERT_HISTORY_MAX = 64, /* records that --raise looks back on */
    PSA_ALERT_INTERVALS = 8,    /* between records that a key's limit of silence looks back on */
    PSA_ALERT_REASON_MAX = 512, /* bytes of a sentence, its NUL included */
    PSA_ALERT_FAULT_MAX = 24    /* bytes kept of the name of a fault, its NUL included */
};

enum psa_alert_severity { PSA_ALERT_INFO, PSA_ALERT_WARNING, PSA_ALERT_CRITICAL };
enum psa_alert_kind { PSA_ALERT_ANOMALY, PSA_ALERT_SILENCE, PSA_ALERT_STATUS, PSA_ALERT_KINDS };

struct psa_alert_config {
    double warning, critical;
    int64_t cooldown_ns, clear, silent_ns, max_ahead_ns;
    bool max_ahead_given, when_severity_given;
    const char *raise, *expect, *lost, *when, *when_severity, *maintenance, *evidence;
    int64_t evidence_before, evidence_after, evidence_size, evidence_max;
};

/* From raised to cleared. */
struct psa_alert_event {
    bool active;
    int64_t since_ns;
    int64_t last_ns;    /* of its last line, by which the cooldown counts; of a silence in elapsed time */
    int64_t suppressed; /* what the cooldown held back since then */
    int64_t severity;   /* the highest of the event */
};

/* How far apart a key's records come, in elapsed time; see alert_wait.c. */
struct psa_alert_pace {
    int64_t interval_ns[PSA_ALERT_INTERVALS]; /* the n counted last, newest first */
    size_t n;
    int64_t stretch_ns; /* how long ago the last one was counted */
    int64_t usual_ns;   /* what the intervals come to; 0: none is known */
};

/* Lines, the oldest first, each with its LF; see alert_evidence.c. */
struct psa_alert_lines {
    struct psa_buf text;
    size_t begin; /* of what is still there */
    int64_t n;
};

/* The evidence of an event that is active. */
struct psa_alert_bundle {
    bool open;
    struct psa_buf name;   /* of its file */
    struct psa_buf head;   /* its first line, as far as it does not change */
    struct psa_buf text;   /* the lines behind it */
    int64_t before, after; /* records before and behind the one that raised it */
    int64_t after_bytes, left_out;
    bool took; /* the record at hand is in it, as an alert; not of the state */
};

/* Whether a key is in maintenance; kept by alert_calm.c, and worked out again after loading. */
struct psa_alert_calm {
    bool known, inside;
    bool passed;      /* a window, or its begin or end, lies between the record at hand and the one before */
    int64_t until_ns; /* when to look again */
};

struct psa_alert_slot {
    struct psa_slot slot;
    struct psa_alert_event anomaly, silence, status;
    struct psa_alert_calm calm;
    struct psa_alert_lines past; /* the last records */
    struct psa_alert_bundle bundle[PSA_ALERT_KINDS];

    uint64_t history;                       /* the last counted records, newest in bit 0; 1: anomalous */
    int64_t time_ns[PSA_ALERT_HISTORY_MAX]; /* of the records in history; nothing while an anomaly is active */
    int64_t normal_run;                     /* normal records in a row */

    bool known;                    /* a record has come; else it is only expected, or said that it is down */
    int64_t seen_ns, seen_elapsed; /* event time and elapsed time when the last record came, or counting began */
    struct psa_alert_pace pace;
    int64_t grace_ns; /* the elapsed time before which it is not silent, for everything had paused; 0: none */
    int64_t rest_ns;  /* the same for maintenance, or when to look again whether it is over */
    int64_t late;     /* its records dropped as late since then */
    int64_t
        turn; /* when it was heard last or, if silent, told of last, in the order of all keys; 0: nobody waits for it */
    size_t place;                                        /* in the heap of those that are heard */
    struct psa_alert_slot *before, *after;               /* in the list of the silent */
    struct psa_str sensor_type, sensor_model, sensor_id; /* for alerts that no record gives rise to; owned */

    bool has_status, down; /* down: the newest status record says so, told or not */
    int64_t status_ns;     /* time of the newest status record */
    char fault[PSA_ALERT_FAULT_MAX];
};

/* Event time, and how much of it has elapsed without the jumps; see alert_silence.c. */
struct psa_alert_clock {
    bool has_time, has_far;
    int64_t now_ns, elapsed_ns;
    int64_t far_first_ns, far_newest_ns; /* of the records far from now_ns that came since the last one near it */
    int64_t mover; /* what stands for the only key that has come near event time so far; 0: several, or a heartbeat */
    bool has_ahead, has_beat;
    int64_t ahead_ns; /* of the last record far ahead of now_ns */
    int64_t beat_ns;  /* of the last heartbeat */
    int64_t
        beat_step_ns; /* how far apart heartbeats come: the longest step, less as more shorter ones follow; 0: not known */
    int64_t strays; /* records in a row each of which is far ahead of all before */
    bool paused;    /* the move made last ended a pause of everything; not of the state, nobody asks later */
};

struct psa_alert_list {
    struct psa_alert_slot *first, *last;
};

/* A key that is heard: when its silence is due in elapsed time, as of that turn of it. */
struct psa_alert_due {
    int64_t due_ns, turn;
    struct psa_alert_slot *slot;
};

struct psa_alert_heap {
    struct psa_alert_due *at;
    size_t n, room;
};

struct psa_alert {
    int64_t raise_k, raise_n, max_ahead_ns;
    enum psa_alert_severity lost, when_severity;
    struct psa_condition *condition; /* --when; NULL: is_anomaly counts */
    struct psa_alert_plan *plan;     /* --maintenance; NULL: none */
    struct psa_alert_clock clock;
    struct psa_alert_heap heard;  /* keys that are waited for and not silent */
    struct psa_alert_list silent; /* those that are, the one told of longest ago first */
    int64_t turn;                 /* the last one given */
    bool said_strays;
    bool expecting;              /* the keys of --expect are waited for */
    struct psa_decoder *decoder; /* turns the line of a silence into a record */
    struct psa_arena arena;
    struct psa_buf text, line, key;
    struct psa_buf own;             /* the record at hand as it came, where --when or --evidence is given */
    struct psa_buf path, file;      /* evidence: a file's name and content */
    struct psa_alert_lines bundles; /* names of the newest --evidence-max */
};

/* ---- alert_event.c: the words of an event --------------------------------------------------------------------------- */

extern const char *const psa_alert_severity_name[], *const psa_alert_kind_name[];

struct psa_alert_sentence {
    char text[PSA_ALERT_REASON_MAX];
    size_t n;
};

/* The severity of that name into *severity; `option` is what names it. */
int psa_alert_severity_parse(const char *option, const char *text, enum psa_alert_severity *severity,
                             struct psa_error *error);

/* Append to the sentence; what does not fit is left out. */
void psa_alert_add(struct psa_alert_sentence *sentence, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* How much of a text to show: whole UTF-8 characters within `most` bytes. */
int psa_alert_shown_of(struct psa_str text, size_t most);
/* Drop what a cut left of a UTF-8 character at the sentence's end. */
void psa_alert_end_whole(struct psa_alert_sentence *sentence);
double psa_alert_seconds(int64_t now_ns, int64_t then_ns);

/* What the alert says besides its event. */
struct psa_alert_words {
    enum psa_alert_kind kind;
    const char *state;         /* raised, ongoing, cleared */
    int64_t since_ns;          /* no later than the record */
    double score, threshold;   /* NaN: none */
    struct psa_str model, top; /* top: JSON text; .p == NULL: none */
    struct psa_alert_sentence reason;
};

struct psa_alert_event *psa_alert_event_of(struct psa_alert_slot *slot, enum psa_alert_kind kind);

/* ---- alert_anomaly.c, alert_silence.c, alert_status.c ------------------------------------------------------------------ */

/* A record of the key: accounts for it. */
int psa_alert_anomaly_push(struct psa_node *node, struct psa_alert_slot *slot, struct psa_record *record,
                           struct psa_error *error);

/* A status record: accounts for it. */
int psa_alert_status_push(struct psa_node *node, struct psa_record *record, struct psa_error *error);

/* --expect has whole names, and --max-keys room for them. */
int psa_alert_check_expected(const struct psa_node *node, struct psa_error *error);
/* A record of the key came (slot may be NULL: something else of that key): move event time, end the key's silence, raise
 * those of others. Accounts for nothing. */
int psa_alert_hear(struct psa_node *node, struct psa_str key, struct psa_alert_slot *slot, struct psa_record *record,
                   struct psa_error *error);
/* A record was dropped as late: no sign of life of its key, but of what time it is. Accounts for nothing. */
int psa_alert_late(struct psa_node *node, struct psa_record *record, struct psa_error *error);
int psa_alert_heartbeat(struct psa_node *node, int64_t ns, struct psa_error *error);
/* The sensor is not down any more: if it is silent, and that is worth more now, say so at once. */
int psa_alert_silence_worse(struct psa_node *node, struct psa_alert_slot *slot, struct psa_error *error);
/* Make *place an own copy of the text. false: memory is out. */
bool psa_alert_keep(struct psa_str *place, struct psa_str text);

/* ---- alert_wait.c: how long each key may be silent, and whose silence is due -------------------------------------------- */

/* How long the key may be silent, from its last record on. */
int64_t psa_alert_limit(const struct psa_node *node, const struct psa_alert_slot *slot);
/* A record of the key came, not its first: count the interval since the one before. Before psa_alert_listen. */
void psa_alert_pace_step(struct psa_node *node, struct psa_alert_slot *slot);
/* What the intervals come to, after they were loaded. */
void psa_alert_pace_settle(struct psa_alert_pace *pace);

/* The key was heard, or is expected from now on: it is not silent, and is waited for until its limit is over. */
int psa_alert_listen(struct psa_node *node, struct psa_alert_slot *slot, struct psa_error *error);
/* The key is silent, and told of now. */
void psa_alert_wait_on(struct psa_alert *alert, struct psa_alert_slot *slot);
/* A key whose limit is over, the one that was due first; NULL: none. Whoever became due in a pause of everything is given
 * the benefit of --silent, once. */
struct psa_alert_slot *psa_alert_next_due(struct psa_node *node);
/* Event time has gone far by a heartbeat: keys that were heard ahead of it, up to where it is now, count from their own
 * time on. */
void psa_alert_catch_up(struct psa_node *node);
/* The slot goes: nobody waits for it any more. */
void psa_alert_forget(struct psa_alert *alert, struct psa_alert_slot *slot);
/* Slots were loaded: wait for them again, by their turns. false: they do not go together, or memory is out. */
bool psa_alert_listen_again(struct psa_node *node);

/* ---- alert_calm.c: maintenance ----------------------------------------------------------------------------------------- */

/* A record of the key is accepted, before psa_slot_advance: into a window, or out of one. */
void psa_alert_calm_step(struct psa_node *node, struct psa_alert_slot *slot, int64_t ns);
/* Is the key in maintenance at ns? */
bool psa_alert_calm_at(const struct psa_node *node, struct psa_str key, int64_t ns);
/* How much longer, in elapsed time, nothing is to be said of the key's silence, though it is due; 0: it is to be said.
 * limit: of psa_alert_limit. */
int64_t psa_alert_calm_wait(const struct psa_node *node, const struct psa_alert_slot *slot, int64_t limit);
/* The window that ended last, if it ended after since_ns; else INT64_MIN. */
int64_t psa_alert_calm_ended(const struct psa_node *node, const struct psa_alert_slot *slot, int64_t since_ns);

/* ---- alert_evidence.c: bundles. Nothing without --evidence. Whatever fails is said and counted, and the alert goes out. -- */

/* Can files be made in the folder? */
int psa_alert_evidence_open(struct psa_node *node, struct psa_error *error);
/* The record whose text is psa_alert.own has been dealt with: it belongs to the past of its key, and to its open bundles. */
void psa_alert_evidence_keep(struct psa_node *node, struct psa_alert_slot *slot);
/* An alert goes out: its record, with the member alert. */
void psa_alert_evidence_note(struct psa_node *node, struct psa_alert_slot *slot, const struct psa_alert_words *words,
                             const char *id, const struct psa_record *record);
/* Write the open bundles as they are: nothing more will come. */
void psa_alert_evidence_flush(struct psa_node *node, struct psa_alert_slot *slot);
void psa_alert_evidence_drop(struct psa_alert_slot *slot);
void psa_alert_evidence_save(const struct psa_alert_slot *slot, struct psa_buf *out);
bool psa_alert_evidence_load(struct psa_alert_slot *slot, struct psa_json *in);
/* After all members of the slot: do they go together? Cuts what is above the limits. */
bool psa_alert_evidence_loaded(struct psa_node *node, struct psa_alert_slot *slot);
/* The names of the bundles that are kept. */
void psa_alert_evidence_save_names(const struct psa_node *node, struct psa_buf *out);
bool psa_alert_evidence_load_names(struct psa_node *node, struct psa_json *in);

/* ---- alert_put.c ---------------------------------------------------------------------------------------------------------- */

/* Put the member alert of the key's event of that kind into the record, and count the event's line as written at `now`. */
int psa_alert_put(struct psa_node *node, struct psa_alert_slot *slot, const struct psa_alert_words *words, int64_t now,
                  struct psa_record *record, struct psa_error *error);

/* ---- alert_state.c ------------------------------------------------------------------------------------------------------ */

extern const struct psa_slot_type psa_alert_slot_type;
int psa_alert_save(struct psa_node *node, struct psa_buf *out, struct psa_error *error);
int psa_alert_load(struct psa_node *node, struct psa_json *in, struct psa_error *error);

#endif
