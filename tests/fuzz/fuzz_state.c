/*
 * fuzz_state.c - texts as the state of each stage. The first byte chooses the stage and its options, the rest stands where a
 * state file has the stage's own value. A state is refused with a sentence, or it is whole: the stage works on with it, and
 * what it saves loads again and saves to the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "core/chain.h"
#include "core/record.h"
#include "stage/stages.h"

static void check(bool good)
{
    if (!good) abort();
}

enum { WORDS_MAX = 16 };

/* tests/fuzz/seeds.sh has the same list. */
static const struct configuration {
    const struct psa_stage *stage;
    const char *word[WORDS_MAX];
} configurations[] = {
    { &psa_filter_stage, { "psa-filter", "--lowpass", "10Hz" } },
    { &psa_window_stage, { "psa-window", "--length", "4", "--stride", "2" } },
    { &psa_window_stage, { "psa-window", "--length", "100ms", "--stride", "30ms" } },
    { &psa_features_stage, { "psa-features", "--rolling", "mean,std@3,5" } },
    { &psa_features_stage, { "psa-features", "--length", "4", "--stride", "2" } },
    { &psa_score_stage, { "psa-score", "--ecod", "--warmup", "4", "--horizon", "6" } },
    { &psa_alert_stage, { "psa-alert", "--cooldown", "50ms" } },
    { &psa_window_stage, { "psa-window", "--session", "20ms", "--max-samples", "8" } },
    { &psa_features_stage,
      { "psa-features", "--rolling", "mean,slope,min,max,q05,ewma,zscore@5,40ms", "--max-samples", "8" } },
    { &psa_filter_stage,
      { "psa-filter", "--fill", "linear,4", "--median", "5", "--centred", "--magnitude", "accel_*=m", "--hampel", "4",
        "--difference" } },
    { &psa_filter_stage,
      { "psa-filter", "--hampel", "5", "--kalman", "velocity,1,1", "--resample", "40", "--rate", "100", "--fill",
        "hold", "--ewma", "50ms" } },
    { &psa_filter_stage,
      { "psa-filter", "--detrend", "linear,5", "--kalman", "level,1,1", "--resample", "30,mean", "--decimate", "2",
        "--median", "3" } },
    { &psa_filter_stage,
      { "psa-filter", "--decimate", "2,fir", "--resample", "70,linear", "--resample", "50,previous" } },
    { &psa_alert_stage, { "psa-alert", "--silent", "50ms", "--cooldown", "100ms", "--expect", "c,t/d" } },
    { &psa_alert_stage,
      { "psa-alert", "--raise", "2/3", "--cooldown", "50ms", "--evidence", "e", "--evidence-before", "3",
        "--evidence-after", "2", "--evidence-max", "2" } },
    { &psa_score_stage,
      { "psa-score", "--dynamic-pca", "--lags", "2", "--warmup", "12", "--refit", "3", "--reference", "12", "--guard",
        "2", "--rest", "3" } },
    { &psa_score_stage, { "psa-score", "--ewma", "--warmup", "4", "--false-alarms", "3/1s", "--off", "0.5" } },
    { &psa_score_stage, { "psa-score", "--cusum", "--warmup", "4", "--off", "1" } },
    { &psa_score_stage,
      { "psa-score", "--half-space-trees", "--trees", "2", "--depth", "3", "--samples", "4", "--warmup", "4" } },
    { &psa_score_stage,
      { "psa-score", "--conformal", "--warmup", "4", "--horizon", "12", "--shingle", "3", "--smooth", "2", "--nearest",
        "2", "--season", "100ms" } },
    { &psa_score_stage,
      { "psa-score", "--ecod", "--warmup", "4", "--horizon", "6", "--freeze", "--rest", "3", "--false-alarms",
        "3/1s" } },
    { &psa_score_stage, { "psa-score", "--groups", "groups" } },
};
enum { CONFIGURATIONS = sizeof configurations / sizeof *configurations };

static int swallow(void *ctx, const struct psa_item *item, struct psa_error *error)
{
    struct psa_buf buf = { 0 };

    (void)ctx;
    (void)error;
    if (item->kind == PSA_ITEM_RECORD) psa_encode(item->record, &buf);
    psa_buf_free(&buf);
    return 0;
}

/* The only file there is: that of --groups. seeds.sh has the same. */
static int read_groups(void *ctx, const char *path, struct psa_buf *text, struct psa_error *error)
{
    (void)ctx;
    (void)error;
    if (strcmp(path, "groups") != 0) return 1;
    psa_buf_puts(text, "g --ecod --warmup 4 --horizon 6 --hold 1s a:x,y b:x\nh --cusum --warmup 4 b:x a:y\n");
    return text->failed ? -1 : 0;
}

static bool open_node(struct psa_node *node, const struct configuration *configuration)
{
    static const struct psa_world world = { .file_read = read_groups };
    char *argv[WORDS_MAX + 1] = { NULL };
    struct psa_error error = { 0 };
    int argc = 0, operand;
    char asked;

    while (argc < WORDS_MAX && configuration->word[argc]) {
        argv[argc] = (char *)configuration->word[argc];
        argc++;
    }
    check(psa_node_parse(node, configuration->stage, argc, argv, NULL, 0, &operand, &asked, &error) == 0);
    return psa_node_open(node, &world, (struct psa_sink){ swallow, NULL }, &error) == 0;
}

#define SCORED                                                                                                \
    "{\"sensor_id\":\"a\",\"fields\":{\"anomaly_score\":0.97,\"anomaly_label\":-1,\"x\":1},\"timestamp_ns\":" \
    "2020000000,"                                                                                             \
    "\"anomaly\":{\"is_anomaly\":true,\"threshold\":0.5,\"model\":\"m\",\"top\":[[\"x\",1]]}}"

/* Readings of the two keys that the seeds know and of a new one, a late one, a status, a heartbeat. */
static void work_on(struct psa_node *node)
{
    static const char *const lines[] = {
        "{\"sensor_id\":\"a\",\"fields\":{\"x\":1,\"y\":2},\"timestamp_ns\":2000000000}",
        "{\"sensor_id\":\"b\",\"fields\":{\"x\":-1.5},\"timestamp_ns\":2000000001}",
        "{\"sensor_id\":\"a\",\"fields\":{\"y\":null,\"x\":3},\"timestamp_ns\":2010000000}",
        "{\"sensor_id\":\"a\",\"fields\":{\"x\":1,\"y\":2},\"timestamp_ns\":1}",
        "{\"sensor_id\":\"new\",\"fields\":{\"z\":[1,2,3]},\"rate_hz\":100,\"timestamp_ns\":3000000000}",
        SCORED,
        "{\"sensor_type\":\"status\",\"sensor_id\":\"a\",\"fields\":{\"up\":0},\"timestamp_ns\":2030000000,\"fault\":"
        "\"io\"}",
        "{\"psa\":{\"heartbeat\":4000000000}}",
    };
    struct psa_decoder *decoder = psa_decoder_new(PSA_DECODE_LIMITS);
    struct psa_sink sink = psa_node_sink(node);

    for (int i = 0; i < 24; i++) {
        struct psa_decoded out = { 0 };
        struct psa_error error = { 0 };
        enum psa_line_kind kind = psa_decode(decoder, psa_str_of(lines[i % 8]), &out);
        struct psa_item item = { kind == PSA_LINE_CONTROL ? PSA_ITEM_CONTROL : PSA_ITEM_RECORD, out.record,
                                 &out.control };

        check(sink.put(sink.ctx, &item, &error) == 0);
    }
    psa_decoder_free(decoder);
}

/* A state file around the fuzzer's value. */
static void wrap(const struct psa_node *node, struct psa_str value, struct psa_buf *out)
{
    psa_buf_puts(out, "{");
    psa_buf_member_int(out, "psa_state", 1);
    psa_buf_member_text(out, "stage", psa_str_of(node->stage->name));
    psa_buf_member_text(out, "options", psa_buf_str(&node->canonical));
    psa_buf_name(out, "state");
    psa_buf_put(out, value.p, value.n);
    psa_buf_puts(out, "}");
}

static void check_saves_back(struct psa_node *node, const struct configuration *configuration)
{
    struct psa_node again;
    struct psa_buf once = { 0 }, twice = { 0 };
    struct psa_error error = { 0 };

    check(psa_node_state_text(node, &once, &error) == 0);
    check(open_node(&again, configuration));
    check(psa_node_state_load(&again, psa_buf_str(&once), &error) == 0);
    check(psa_node_state_text(&again, &twice, &error) == 0);
    check(psa_str_is(psa_buf_str(&once), psa_buf_str(&twice)));
    psa_node_close(&again);
    psa_buf_free(&once);
    psa_buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const struct configuration *configuration;
    struct psa_buf text = { 0 };
    struct psa_error error = { 0 };
    struct psa_node node;

    if (n == 0) return 0;
    if (*bytes < '0' || *bytes >= '0' + CONFIGURATIONS) return -1; /* keep it out of the corpus */
    configuration = &configurations[*bytes - '0'];
    check(open_node(&node, configuration));
    wrap(&node, (struct psa_str){ (const char *)bytes + 1, n - 1 }, &text);
    if (psa_node_state_load(&node, psa_buf_str(&text), &error) == 0) {
        check_saves_back(&node, configuration);
        work_on(&node);
        check_saves_back(&node, configuration);
    } else {
        check(error.text[0] != '\0');
    }
    psa_node_close(&node);
    psa_buf_free(&text);
    return 0;
}
