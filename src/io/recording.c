/* recording.c - see recording.h. */
#include "io/recording.h"

#include <stdio.h>

#include "core/error.h"
#include "io/lines.h"
#include "io/signals.h"

static int take_line(struct psa_decoder *decoder, struct psa_str line, uint64_t number, psa_take_recorded *take,
                     void *taker, struct psa_error *error)
{
    struct psa_recorded recorded = { .line = number };
    struct psa_decoded decoded;

    switch (psa_decode(decoder, line, &decoded)) {
    case PSA_LINE_RECORD: recorded.record = decoded.record; break;
    case PSA_LINE_REFUSED:
        recorded.reason = psa_refusal_name(decoded.refusal);
        recorded.why = decoded.why;
        break;
    default: return 0;
    }
    return take(taker, &recorded, error);
}

static int take_long_line(const struct psa_lines *lines, psa_take_recorded *take, void *taker, struct psa_error *error)
{
    char why[160];
    struct psa_recorded recorded = { .reason = "max_line", .why = why, .line = lines->number };

    snprintf(why, sizeof why, "a line of %llu bytes, longer than --max-line %zu", (unsigned long long)lines->skipped,
             lines->max_line);
    return take(taker, &recorded, error);
}

static int read_lines(struct psa_lines *lines, struct psa_decoder *decoder, psa_take_recorded *take, void *taker,
                      struct psa_error *error)
{
    struct psa_str line = { NULL, 0 };
    int status = 0;

    while (status == 0) {
        switch (psa_lines_next(lines, &line, error)) {
        case PSA_GOT_LINE: status = take_line(decoder, line, lines->number, take, taker, error); break;
        case PSA_GOT_TOO_LONG: status = take_long_line(lines, take, taker, error); break;
        case PSA_GOT_ERROR: return -1;
        case PSA_GOT_END: return psa_stop_asked() ? 1 : 0;
        case PSA_GOT_FILE:
        case PSA_GOT_NOTHING: break; /* never nothing: this reader waits */
        }
    }
    return status;
}

int psa_recording_read(const char *path, struct psa_decode_limits limits, size_t max_line, psa_take_recorded *take,
                       void *taker, struct psa_error *error)
{
    char *const file[] = { (char *)path };
    struct psa_decoder *decoder = psa_decoder_new(limits);
    struct psa_lines lines;
    int status;

    if (!decoder) return psa_fail_memory(error, "reading a recording");
    psa_lines_init(&lines, file, 1, max_line);
    status = read_lines(&lines, decoder, take, taker, error);
    psa_lines_free(&lines);
    psa_decoder_free(decoder);
    return status;
}
