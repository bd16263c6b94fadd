/*
 * replay_sound.c - sound files of psa-replay. See replay_sound.h.
 *
 * A file becomes block records of --block frames; a frame is one sample of every channel. Frame k was taken at
 *
 *     start + floor(k 10^9 / rate) ns
 *
 * in integers of 128 bits, so that a block's time is exact however long the recording. Samples are libsndfile's doubles:
 * an integer sample of b bits divided by 2^(b-1), a float one as it is; both are exact.
 *
 * A regular file is libsndfile's own to seek in, but FLAC and CAF, which it handles by their end (reads_to_the_end). A
 * pipe cannot seek, but libsndfile reads a file's head back and forth
 * and looks for what may stand behind the samples; so it is given a file that remembers its head and that seems to end
 * where it was not read yet (virtual_read). The samples themselves are then read strictly forward, and a recording shows
 * while it is being made.
 */
#include "io/replay_sound.h"

#include <errno.h>
#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/option.h"
#include "core/time.h"
#include "io/signals.h"

/* Of a pipe's first bytes so many are remembered: what stands before the samples must fit. */
#define HEAD_BYTES 65536
/* Sizes from here on in a header mean "not known" (arecord, sox and ffmpeg write them into pipes). */
#define UNKNOWN_BYTES INT64_C(0x7fff0000)
/* Samples that there is room for at first: half a megabyte of doubles. */
#define FIRST_SAMPLES 65536
/* libsndfile's notes on a header. */
#define LOG_BYTES 16384

struct psa_replay_sound {
    struct psa_replay_input *input;
    SNDFILE *file;
    SF_INFO info;
    int64_t start_ns, frame; /* frame: the next one */
    bool over;
    size_t n_channel;
    int64_t told;         /* frames that the header tells of; UNKNOWN_BYTES or more: it does not */
    bool *left_out;       /* [n_channel] */
    double *factor;       /* [n_channel] */
    size_t room;          /* frames there is room for: at most a block, and no more than twice what one needed */
    double *frames;       /* [room * n_channel] as in the file */
    double *sample;       /* [room] of one channel */
    struct psa_buf *lead; /* [n_channel] what stands before a channel's array */

    /* A pipe, or a file read like one. */
    int fd;         /* of that file; -1: a pipe */
    char *head;     /* [HEAD_BYTES] its first bytes */
    int64_t n_head; /* of them remembered */
    int64_t at;     /* where libsndfile believes to be */
    int64_t taken;  /* bytes read from the pipe */
    bool opening;   /* still in the head */
    bool beyond;    /* libsndfile asked for what lies behind the room for it */
    bool failed;    /* reading failed: error has it */
    struct psa_error error;
};

/* ---- what it is -------------------------------------------------------------------------------------------------- */

static const struct magic {
    const char *first; /* bytes 0-3 */
    const char *form;  /* bytes 8-11, NULL: any */
} magics[] = {
    { "RIFF", "WAVE" }, { "RIFX", "WAVE" }, { "RF64", "WAVE" }, { "FORM", "AIFF" }, { "FORM", "AIFC" },
    { "fLaC", NULL },   { "caff", NULL },   { ".snd", NULL },   { "OggS", NULL },   { "riff", "\xa5\xd6\x28\xdb" },
};

/* Do the bytes agree with `want` as far as both reach? */
static enum psa_sound_told agree(struct psa_str bytes, size_t at, const char *want)
{
    const size_t n = strlen(want), there = bytes.n <= at ? 0 : bytes.n - at;

    if (there > 0 && memcmp(bytes.p + at, want, there < n ? there : n) != 0) return PSA_SOUND_NO;
    return there < n ? PSA_SOUND_MAYBE : PSA_SOUND_YES;
}

enum psa_sound_told psa_replay_sound_told(struct psa_str bytes)
{
    enum psa_sound_told best = PSA_SOUND_NO;

    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        enum psa_sound_told told = agree(bytes, 0, magics[i].first);
        if (told == PSA_SOUND_YES && magics[i].form != NULL) told = agree(bytes, 8, magics[i].form);
        if (told > best) best = told;
    }
    return best;
}

/* ---- a pipe as libsndfile wants a file --------------------------------------------------------------------------- */

static sf_count_t virtual_length(void *ctx)
{
    (void)ctx;
    return SF_COUNT_MAX; /* nobody knows */
}

static sf_count_t virtual_seek(sf_count_t offset, int whence, void *ctx)
{
    struct psa_replay_sound *sound = ctx;

    if (whence == SEEK_CUR) offset += sound->at;
    if (whence == SEEK_END) offset = SF_COUNT_MAX;
    if (offset < 0) return -1;
    return sound->at = offset;
}

static sf_count_t virtual_tell(void *ctx)
{
    const struct psa_replay_sound *sound = ctx;

    return sound->at;
}

/* Take up to n bytes of the pipe; 0 at its end. */
static int64_t take(struct psa_replay_sound *sound, char *p, int64_t n)
{
    const ptrdiff_t got = psa_lines_read(&sound->input->lines, p, (size_t)n, &sound->error);

    if (got < 0) sound->failed = true;
    if (got <= 0) return 0;
    sound->taken += got;
    return got;
}

/* While the head is read all of it is remembered. What lies beyond the room for it is not waited for: there libsndfile
 * looks for what may stand behind the samples. */
static void remember_head(struct psa_replay_sound *sound, int64_t end)
{
    if (end > HEAD_BYTES) {
        sound->beyond = true;
        end = HEAD_BYTES;
    }
    if (sound->at >= HEAD_BYTES) return;
    while (sound->n_head < end) {
        const int64_t got = take(sound, sound->head + sound->n_head, end - sound->n_head);
        if (got == 0) return;
        sound->n_head += got;
    }
}

/* The same of a file whose length libsndfile is not to know. */
static sf_count_t read_file(struct psa_replay_sound *sound, char *p, sf_count_t n)
{
    sf_count_t got = 0;

    while (got < n) {
        const ssize_t more = pread(sound->fd, p + got, (size_t)(n - got), (off_t)sound->at);
        if (more < 0 && errno == EINTR) continue;
        if (more < 0 && errno != EINVAL) { /* EINVAL: far behind any end */
            sound->failed = true;
            psa_fail(&sound->error, PSA_EXIT_RUNTIME, "%s: cannot read: %s", sound->input->lines.name, strerror(errno));
        }
        if (more <= 0) break;
        got += more;
        sound->at += more;
    }
    return got;
}

static sf_count_t virtual_read(void *p, sf_count_t n, void *ctx)
{
    struct psa_replay_sound *sound = ctx;
    sf_count_t got = 0;

    if (sound->fd >= 0) return read_file(sound, p, n);
    if (sound->opening) remember_head(sound, n > SF_COUNT_MAX - sound->at ? SF_COUNT_MAX : sound->at + n);
    if (sound->at < sound->n_head) {
        got = n < sound->n_head - sound->at ? n : sound->n_head - sound->at;
        memcpy(p, sound->head + sound->at, (size_t)got);
        sound->at += got;
    }
    while (got < n && !sound->opening && sound->at == sound->taken) {
        const int64_t more = take(sound, (char *)p + got, n - got);
        if (more == 0) break;
        got += more;
        sound->at += more;
    }
    return got;
}

static SNDFILE *open_pipe(struct psa_replay_sound *sound)
{
    SF_VIRTUAL_IO file = { virtual_length, virtual_seek, virtual_read, NULL, virtual_tell };
    SNDFILE *opened;

    sound->opening = true;
    opened = sf_open_virtual(&file, SFM_READ, &sound->info, sound);
    sound->opening = false;
    return opened;
}

/* What libsndfile says, `Error : flac decoder lost sync.`, as our messages go. */
static const char *reason(const struct psa_replay_sound *sound, char out[128])
{
    static const char prefix[] = "Error : ";
    const char *text = sf_strerror(sound->file);
    size_t n;

    if (strncmp(text, prefix, strlen(prefix)) == 0) text += strlen(prefix);
    n = strlen(text);
    if (n > 0 && text[n - 1] == '.') n--;
    snprintf(out, 128, "%.*s", (int)(n < 127 ? n : 127), text);
    return out;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Of a file that ends too early libsndfile takes what is there, but not of these kinds: it has to find a CAF file's end,
 * and takes that of FLAC for damage. So they are read like a pipe, which may end anywhere. */
static bool reads_to_the_end(const struct psa_lines *lines)
{
    const char *p = lines->buffer + lines->begin;

    return lines->end - lines->begin >= 4 && (memcmp(p, "fLaC", 4) == 0 || memcmp(p, "caff", 4) == 0);
}

static int refuse(const struct psa_replay_sound *sound, struct psa_error *error)
{
    const char *file = sound->input->lines.name;
    char why[128];

    if (sound->beyond)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "%s: no sound that libsndfile can read from a pipe, of which the first %d bytes must hold what "
                        "stands before the samples (%s); give the file by its name",
                        file, HEAD_BYTES, reason(sound, why));
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: no sound that libsndfile can read%s: %s", file,
                    sound->head != NULL ? " from a pipe" : "", reason(sound, why));
}

static int open_file(struct psa_replay_sound *sound, struct psa_error *error)
{
    const struct psa_lines *lines = &sound->input->lines;
    const off_t begin = lseek(lines->fd, -(off_t)(lines->end - lines->begin), SEEK_CUR); /* it has looked ahead */

    if (begin == 0 && reads_to_the_end(lines)) {
        sound->fd = lines->fd;
        sound->file = open_pipe(sound);
    } else if (begin >= 0) {
        sound->file = sf_open_fd(lines->fd, SFM_READ, &sound->info, SF_FALSE);
    } else if ((sound->head = malloc(HEAD_BYTES)) != NULL) {
        sound->file = open_pipe(sound);
    } else {
        return psa_fail_memory(error, "reading sound");
    }
    if (sound->failed) {
        *error = sound->error;
        return -1;
    }
    if (sound->file == NULL && psa_stop_asked()) {
        sound->over = true;
        return 0;
    }
    if (sound->file == NULL) return refuse(sound, error);
    if (sound->info.channels < 1 || sound->info.samplerate < 1)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: %d channels at %d Hz are no sound", lines->name,
                        sound->info.channels, sound->info.samplerate);
    if (sound->info.channels > sound->input->replay->config.max_channels)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: %d channels, more than --max-channels %lld", lines->name,
                        sound->info.channels, (long long)sound->input->replay->config.max_channels);
    sound->n_channel = (size_t)sound->info.channels;
    return 0;
}

/* Two digits, or -1. */
static int digits(const char *p)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9') return -1;
    return (p[0] - '0') * 10 + p[1] - '0';
}

/* Is the text of n bytes empty or blank? Writers that know no date, or no time of day, leave it so. */
static bool left_open(const char *text, size_t n)
{
    for (size_t i = 0; i < n && text[i] != '\0'; i++)
        if (text[i] != ' ') return false;
    return true;
}

/* "2024-03-09" and "16:00:00" of a header, whatever stands between the digits, to nanoseconds; *clock == NULL: midnight. */
static bool civil_time(const char *date, const char *clock, int64_t *ns)
{
    const int century = digits(date), year = digits(date + 2), month = digits(date + 5), day = digits(date + 8);
    const bool whole = century >= 0 && year >= 0 && month >= 0 && day >= 0;
    const int hour = clock ? digits(clock) : 0, minute = clock ? digits(clock + 3) : 0,
              second = clock ? digits(clock + 6) : 0;
    char iso[64];

    if (!whole || hour < 0 || minute < 0 || second < 0) return false;
    const int n =
        snprintf(iso, sizeof iso, "%02d%02d-%02d-%02dT%02d:%02d:%02d", century, year, month, day, hour, minute, second);
    return psa_time_parse_iso(iso, iso + n, ns);
}

/* Nanoseconds of n samples, rounded down. false: they do not fit. */
static bool duration_of(const struct psa_replay_sound *sound, uint64_t n, int64_t *ns)
{
    const uint64_t rate = (uint64_t)sound->info.samplerate;
    const uint64_t rest_ns = n % rate * (uint64_t)PSA_NS_PER_SECOND / rate;
    int64_t whole_ns;

    return !__builtin_mul_overflow(n / rate, PSA_NS_PER_SECOND, &whole_ns) &&
           !__builtin_add_overflow(whole_ns, (int64_t)rest_ns, ns);
}

/* The time of a broadcast wave file's first sample (EBU Tech 3285, section 2.3): samples since midnight of the date it
 * was made, else the time of day beside it. It names no zone: UTC. What stands between the digits is not prescribed.
 * 1970 where there is none, and where it makes no sense, which is said. */
static int64_t broadcast_time(struct psa_replay_sound *sound)
{
    SF_BROADCAST_INFO info = { 0 };
    const char *date = info.origination_date, *clock = info.origination_time;
    char why[160];
    int64_t ns, of_day_ns;

    if (sf_command(sound->file, SFC_GET_BROADCAST_INFO, &info, sizeof info) != SF_TRUE) return 0;
    if (left_open(date, sizeof info.origination_date)) return 0;
    const uint64_t samples = (uint64_t)info.time_reference_high << 32 | info.time_reference_low;
    const bool by_clock = samples == 0 && !left_open(clock, sizeof info.origination_time);
    if (civil_time(date, by_clock ? clock : NULL, &ns) && duration_of(sound, samples, &of_day_ns) &&
        !__builtin_add_overflow(ns, of_day_ns, &ns))
        return ns;
    snprintf(why, sizeof why, "its time, '%.*s %.*s' and %llu samples since midnight, is none; taken as 1970",
             (int)sizeof info.origination_date, date, (int)sizeof info.origination_time, clock,
             (unsigned long long)samples);
    psa_replay_note(sound->input, "no_start", 1, why);
    return 0;
}

/* One factor, or one for each channel. */
static int take_factors(struct psa_replay_sound *sound, struct psa_error *error)
{
    const char *text = sound->input->replay->config.scale;
    size_t n = 0;

    for (const char *p = text;; p++) {
        char part[64];
        const size_t length = strcspn(p, ",");
        snprintf(part, sizeof part, "%.*s", (int)(length < sizeof part ? length : sizeof part - 1), p);
        if (n < sound->n_channel && psa_parse_real(part, "--scale", &sound->factor[n], error) != 0) return -1;
        n++;
        p += length;
        if (*p == '\0') break;
    }
    for (size_t i = 1; n == 1 && i < sound->n_channel; i++) sound->factor[i] = sound->factor[0];
    if (n == 1 || n == sound->n_channel) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: %zu channels, but --scale has %zu factors",
                    sound->input->lines.name, sound->n_channel, n);
}

/* The name of channel i of those that --channels names, `ch1`, `ch2` ... without it. */
static struct psa_str channel_name(const struct psa_replay_sound *sound, size_t i, char own[24])
{
    const char *p = sound->input->replay->config.channels;

    if (p == NULL) return (struct psa_str){ own, (size_t)snprintf(own, 24, "ch%zu", i + 1) };
    for (; i > 0; i--) p += strcspn(p, ",") + 1;
    return (struct psa_str){ p, strcspn(p, ",") };
}

static int check_names(const struct psa_replay_sound *sound, struct psa_error *error)
{
    const char *names = sound->input->replay->config.channels;
    char own[24];
    size_t n = 1;

    if (names == NULL) return 0;
    for (const char *p = names; *p != '\0'; p++) n += *p == ',';
    if (n != sound->n_channel)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: %zu channels, but --channels names %zu",
                        sound->input->lines.name, sound->n_channel, n);
    for (size_t i = 0; i < n; i++) {
        const struct psa_str name = channel_name(sound, i, own);
        for (size_t k = 0; k < i && name.n > 0; k++) {
            if (psa_str_is(name, channel_name(sound, k, own)))
                return psa_fail(error, PSA_EXIT_PERMANENT, "--channels: '%.*s' twice", (int)name.n, name.p);
        }
    }
    return 0;
}

/* `{"sensor_type":...,"fields":{"ch1":` before the first channel, `,"ch2":` before the others. */
static int make_leads(struct psa_replay_sound *sound, struct psa_error *error)
{
    const struct psa_table_options identity = psa_replay_identity(sound->input);
    bool first = true;
    char own[24];

    if (check_names(sound, error) != 0) return -1;
    for (size_t i = 0; i < sound->n_channel; i++) {
        const struct psa_str name = channel_name(sound, i, own);
        sound->left_out[i] = name.n == 0;
        if (sound->left_out[i]) continue;
        if (first) psa_table_put_head(&sound->lead[i], &identity);
        else psa_buf_puts(&sound->lead[i], ",");
        psa_table_put_quoted(&sound->lead[i], name);
        psa_buf_puts(&sound->lead[i], ":");
        if (sound->lead[i].failed) return psa_fail_memory(error, "reading sound");
        first = false;
    }
    return first ? psa_fail(error, PSA_EXIT_PERMANENT, "--channels names none") : 0;
}

/* libsndfile's notes on the header, ended by NUL; NULL without memory. To be freed. */
static char *header_notes(const struct psa_replay_sound *sound)
{
    char *log = malloc(LOG_BYTES);

    if (log == NULL) return NULL;
    const int n = sf_command(sound->file, SFC_GET_LOG_INFO, log, LOG_BYTES);
    log[n > 0 && n < LOG_BYTES ? n : 0] = '\0';
    return log;
}

/* libsndfile shortens what a header tells of to what is there and only notes it: `data : 80000 (should be 39978)`. */
static void note_cut_short(struct psa_replay_sound *sound)
{
    char *log = header_notes(sound), why[120];
    static const char words[] = " (should be ";

    if (log == NULL) return; /* the note is lost, nothing else */
    for (const char *p = strstr(log, words); p != NULL; p = strstr(p + 1, words)) {
        const char *begin = p;
        while (begin != log && begin[-1] >= '0' && begin[-1] <= '9') begin--;
        const long long told = strtoll(begin, NULL, 10), there = strtoll(p + strlen(words), NULL, 10);
        if (told <= there || told >= UNKNOWN_BYTES) continue;
        snprintf(why, sizeof why, "cut short: its header tells of %lld bytes, %lld are there", told, there);
        psa_replay_note(sound->input, "truncated", 1, why);
        break;
    }
    free(log);
}

/* Bytes of a frame where samples lie side by side as they are; 0: they are packed. */
static int64_t frame_bytes(const SF_INFO *info)
{
    switch (info->format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_PCM_S8:
    case SF_FORMAT_PCM_U8: return info->channels;
    case SF_FORMAT_PCM_16: return 2 * (int64_t)info->channels;
    case SF_FORMAT_PCM_24: return 3 * (int64_t)info->channels;
    case SF_FORMAT_PCM_32:
    case SF_FORMAT_FLOAT: return 4 * (int64_t)info->channels;
    case SF_FORMAT_DOUBLE: return 8 * (int64_t)info->channels;
    default: return 0;
    }
}

/* How many frames the header tells of. Of W64 libsndfile goes by the file's length, which a pipe has not, and takes what
 * stands behind the samples for samples; the length of their chunk, of which 24 bytes are its own head, it only notes:
 * `data : 100024`. */
static int64_t frames_told(const struct psa_replay_sound *sound)
{
    const int64_t bytes = frame_bytes(&sound->info);
    static const char word[] = "\ndata : ";
    int64_t told = sound->info.frames;

    if (bytes == 0 || (sound->info.format & SF_FORMAT_TYPEMASK) != SF_FORMAT_W64) return told;
    char *log = header_notes(sound);
    const char *p = log != NULL ? strstr(log, word) : NULL;
    const int64_t chunk = p != NULL ? strtoll(p + strlen(word), NULL, 10) : 0;
    if (chunk > 24 && chunk < UNKNOWN_BYTES && (chunk - 24) / bytes < told) told = (chunk - 24) / bytes;
    free(log);
    return told;
}

/* Room for the first frames, then for twice as many, up to a block. false: no memory. */
static bool make_room(struct psa_replay_sound *sound)
{
    const size_t block = (size_t)sound->input->replay->config.block, first = FIRST_SAMPLES / sound->n_channel;
    const size_t wanted = sound->room == 0 ? (first > 0 ? first : 1) : 2 * sound->room;
    const size_t room = wanted < block ? wanted : block;
    double *frames = reallocarray(sound->frames, room, sound->n_channel * sizeof *frames);

    if (frames == NULL) return false;
    sound->frames = frames;
    double *sample = reallocarray(sound->sample, room, sizeof *sample);
    if (sample == NULL) return false;
    sound->sample = sample;
    sound->room = room;
    return true;
}

static int begin(struct psa_replay_input *input, struct psa_error *error)
{
    struct psa_replay_sound *sound = calloc(1, sizeof *sound);

    input->sound = sound;
    input->line = (struct psa_str){ NULL, 0 };
    input->number = 0;
    if (sound == NULL) return psa_fail_memory(error, "reading sound");
    sound->input = input;
    sound->fd = -1;
    if (open_file(sound, error) != 0) return -1;
    if (sound->n_channel == 0) return 0; /* asked to stop */
    sound->left_out = calloc(sound->n_channel, sizeof *sound->left_out);
    sound->factor = calloc(sound->n_channel, sizeof *sound->factor);
    sound->lead = calloc(sound->n_channel, sizeof *sound->lead);
    if (sound->left_out == NULL || sound->factor == NULL || sound->lead == NULL || !make_room(sound))
        return psa_fail_memory(error, "reading sound");
    if (take_factors(sound, error) != 0 || make_leads(sound, error) != 0) return -1;
    if (input->replay->has_start) sound->start_ns = input->replay->start_ns;
    else sound->start_ns = broadcast_time(sound);
    sound->told = frames_told(sound);
    if (sound->head == NULL && sound->fd < 0) note_cut_short(sound);
    return 0;
}

void psa_replay_sound_free(struct psa_replay_sound *sound)
{
    if (sound == NULL) return;
    if (sound->file != NULL) sf_close(sound->file);
    for (size_t i = 0; sound->lead != NULL && i < sound->n_channel; i++) psa_buf_free(&sound->lead[i]);
    free(sound->left_out);
    free(sound->factor);
    free(sound->lead);
    free(sound->frames);
    free(sound->sample);
    free(sound->head);
    free(sound);
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

/* Nanoseconds of frame k from the start, rounded down. false: it does not fit. */
static bool time_of(const struct psa_replay_sound *sound, int64_t k, int64_t *ns)
{
    return duration_of(sound, (uint64_t)k, ns) && !__builtin_add_overflow(sound->start_ns, *ns, ns);
}

/* Were there fewer frames than the header tells of? It may not have known: a pipe's writer, a FLAC encoder's. */
static bool frames_missing(const struct psa_replay_sound *sound)
{
    const int64_t bytes = frame_bytes(&sound->info);

    return sound->frame < sound->told && !psa_stop_asked() && sound->told < UNKNOWN_BYTES / (bytes > 0 ? bytes : 1);
}

/* The end of the samples: was it that of the recording? */
static enum psa_replay_got end(struct psa_replay_sound *sound, struct psa_error *error)
{
    char why[300], said[128];

    sound->over = true;
    if (sound->failed) {
        *error = sound->error;
        return PSA_REPLAY_ERROR;
    }
    if (sf_error(sound->file) != SF_ERR_NO_ERROR) {
        snprintf(why, sizeof why, "behind frame %lld: %s; what follows is left out", (long long)sound->frame,
                 reason(sound, said));
        return psa_replay_reject(sound->input, "sound", why, error) == 0 ? PSA_REPLAY_END : PSA_REPLAY_ERROR;
    }
    if (frames_missing(sound)) {
        snprintf(why, sizeof why, "cut short: its header tells of %lld frames, %lld are there", (long long)sound->told,
                 (long long)sound->frame);
        psa_replay_note(sound->input, "truncated", 1, why);
    } else if (sound->frame == 0 && !psa_stop_asked()) {
        psa_replay_note(sound->input, "empty", 1, "no samples in it");
    }
    return PSA_REPLAY_END;
}

/* One channel's array; samples that are no numbers are null and counted. */
static uint64_t put_channel(struct psa_replay_sound *sound, size_t channel, size_t n, struct psa_buf *out)
{
    uint64_t bad = 0;

    for (size_t i = 0; i < n; i++) {
        const double x = sound->frames[i * sound->n_channel + channel] * sound->factor[channel];
        sound->sample[i] = x;
        bad += isfinite(x) ? 0 : 1;
    }
    psa_buf_put(out, sound->lead[channel].p, sound->lead[channel].n);
    psa_buf_numbers(out, sound->sample, n);
    return bad;
}

static void put_block(struct psa_replay_sound *sound, size_t n)
{
    struct psa_replay_input *input = sound->input;
    struct psa_buf *out = &input->row.text;
    uint64_t bad = 0;
    char why[120];

    out->n = 0;
    for (size_t i = 0; i < sound->n_channel; i++) {
        if (!sound->left_out[i]) bad += put_channel(sound, i, n, out);
    }
    psa_buf_puts(out, "},\"rate_hz\":");
    psa_buf_int(out, sound->info.samplerate);
    psa_buf_puts(out, ",\"timestamp_ns\":");
    input->row.split = out->n;
    psa_buf_puts(out, "}\n");
    if (bad == 0) return;
    snprintf(why, sizeof why, "%llu samples from frame %lld on are not numbers; null printed", (unsigned long long)bad,
             (long long)sound->frame);
    psa_replay_note(input, "not_a_number", bad, why);
}

/* The next block's frames; fewer only where no more come. 0: none; -1: no memory. */
static sf_count_t read_block(struct psa_replay_sound *sound)
{
    const sf_count_t left = sound->told - sound->frame;
    sf_count_t want = (sf_count_t)sound->input->replay->config.block, n = 0;

    if (sound->told < sound->info.frames && left < want) want = left; /* libsndfile does not know where they end */
    while (n < want) {
        if ((size_t)n == sound->room && !make_room(sound)) return -1;
        const sf_count_t room = (sf_count_t)sound->room < want ? (sf_count_t)sound->room : want;
        const sf_count_t got = sf_readf_double(sound->file, sound->frames + (size_t)n * sound->n_channel, room - n);
        if (got > 0) n += got;
        if (n < room) break;
    }
    return n;
}

static enum psa_replay_got next(struct psa_replay_input *input, struct psa_error *error)
{
    struct psa_replay_sound *sound = input->sound;

    if (sound->over) return PSA_REPLAY_END;
    const sf_count_t n = read_block(sound);
    if (n == 0) return end(sound, error);
    if (n < 0) {
        psa_fail_memory(error, "reading sound");
        return PSA_REPLAY_ERROR;
    }
    if (!time_of(sound, sound->frame, &input->time_ns)) {
        sound->over = true;
        return psa_replay_reject(input, "time", "its samples' time does not fit int64 nanoseconds", error) == 0
                   ? PSA_REPLAY_END
                   : PSA_REPLAY_ERROR;
    }
    input->has_time = true;
    put_block(sound, (size_t)n);
    if (input->row.text.failed) {
        psa_fail_memory(error, "reading sound");
        return PSA_REPLAY_ERROR;
    }
    sound->frame += n;
    return PSA_REPLAY_RECORD;
}

const struct psa_replay_format psa_replay_sound = {
    .name = "sound",
    .begin = begin,
    .next = next,
    .print = psa_replay_print_row,
};
