/*
 * dht_decode.c - what a DHT11 or DHT22 has said, from the times of the edges of its line.
 *
 *             ____        ______       __      ____             ___...
 *     (host) |    |______|      |_____|  |____|    |__ ... ____|
 *                   80     80     50   26  50   70         50      us
 *                  response       bit "0"  bit "1"         release
 *
 * Aosong, AM2302 Product Manual, section 7.2 and its table of times (typical, and limits): response 80 us low (75..85) and
 * 80 us high (75..85), each bit 50 us low (48..55) and then high, 26 us (22..30) for 0 and 70 us (68..75) for 1, at the end
 * 50 us low (45..55). Aosong, DHT11 data sheet, sections 5.2 to 5.4: the same, but 26 to 28 us and 70 us. Highest bit first.
 *
 * A kernel does not deliver 84 clean edges (edge_irq_thread() in Linux's gpiolib-cdev.c). The first are lost while it sets
 * up the interrupt. Two edges that are pending when its handler runs become one, with the time of the later. The direction
 * is read from the line later still. And any time may be late. Hence no counting of pulses. Bits are put to the edges from
 * the last edge back, since the end is always there: nothing comes after it that could hide it. A path stands for each row
 * of bits that explains the edges at a bearable cost, the sum of
 *
 *     an edge that should be there and is not     MISSING_COST
 *     an edge that should not be there            EXTRA_COST
 *     a direction that is wrong                   DIRECTION_COST
 *     a time that is off                          1 for each 3 us beyond EXACT_US, up to WINDOW_US
 *
 * A bit read wrongly costs edges missing and edges too many. What the next bit is measured from is the falling edge: these
 * intervals, 76 and 120 us, are drawn by the sensor at both ends, while the rising edge is made by a resistor and a cable.
 * Where the falling edge is missing, the rising one stands in for it.
 *
 * What remains are rows of 40 bits. Those within SAME_COST of the cheapest explain the edges about as well as it does, and
 * the checksum tells them apart: exactly one may have a right one. But the checksum is a weak judge. A wrong row passes it
 * once in 256 times, and what lateness does to a row, two neighbours that change places, or the whole row moved by a bit,
 * passes far more often: sums do not see the order of things. So at most CANDIDATES_MAX rows compete, and the winner may
 * have no more than DOUBTS_MAX places where the edges contradict it or say nothing. test_dht.c measures what comes of it.
 */
#include "sensor/dht.h"

#include <string.h>

#define BITS 40
#define EDGES_MAX (2 * PSA_DHT_EDGES)

/* Durations in us, from the tables above. */
#define RESPONSE_US 80
#define LOW_US 50
#define RELEASE_US 50
static const int32_t high_us[2] = { 26, 70 };

#define SILENCE_MAX 8 /* so many edges are a plug or a relay nearby, no answer */
#define WINDOW_US 15  /* an edge farther off is another one; a 0 and a 1 are 44 us apart */
#define EXACT_US 6    /* what the sensors' own tolerance explains */
#define RESPONSE_WINDOW_US 20
#define MISSING_COST 4
#define EXTRA_COST 5
#define DIRECTION_COST 5
#define RESPONSE_COST 1 /* for each edge of the response that is missing: the kernel is seldom ready for them */
#define SAME_COST 8     /* two rows that differ less are equally likely; with all edges there none comes so near */
#define PRUNE_COST 14   /* a path that is dearer than the cheapest by more never comes back to SAME_COST */
#define COST_MAX 120    /* 328 with no edge at all; noise costs more */
#define PATHS_MAX 64
#define CANDIDATES_MAX 8
#define DOUBTS_MAX 2

/* One way to read the edges, from the end of the answer to where it has come. */
struct path {
    int32_t at_us; /* the falling edge that the bits so far begin with */
    int16_t left;  /* edges not used yet: those before this index */
    uint16_t cost, doubts;
    bool seen; /* that falling edge is there; otherwise at_us is reckoned */
    uint8_t byte[5];
};

struct answer {
    int32_t at_us[EDGES_MAX]; /* before the last edge, so that all are 0 or less */
    bool rising[EDGES_MAX];
    int16_t n;
};

struct paths {
    struct path path[2 * PATHS_MAX];
    size_t n;
    uint16_t given_up; /* the cost above the cheapest of the best path that was given up for want of room */
};

/* ---- one path ---------------------------------------------------------------------------------------------------------- */

static int time_cost(int32_t off_us)
{
    if (off_us < 0) off_us = -off_us;
    return off_us <= EXACT_US ? 0 : (off_us - EXACT_US + 2) / 3;
}

static void doubt(struct path *path, int edges, int cost_each)
{
    path->doubts = (uint16_t)(path->doubts + edges);
    path->cost = (uint16_t)(path->cost + edges * cost_each);
}

/* Use the edge that explains a change at want_us best, or none where that costs less. Edges that are jumped over are too
 * many. Returns the edge's time, or want_us, and whether there is one. */
static int32_t match(const struct answer *answer, struct path *path, int32_t want_us, bool rising, bool *found)
{
    int best_cost = MISSING_COST;
    int16_t best = -1;

    /* What comes after the window is no edge of any bit still to come either. */
    for (; path->left > 0 && answer->at_us[path->left - 1] > want_us + WINDOW_US; path->left--)
        doubt(path, 1, EXTRA_COST);
    for (int16_t k = (int16_t)(path->left - 1); k >= 0 && answer->at_us[k] >= want_us - WINDOW_US; k--) {
        const int cost = time_cost(answer->at_us[k] - want_us) + (answer->rising[k] != rising ? DIRECTION_COST : 0) +
                         EXTRA_COST * (path->left - 1 - k);
        if (cost < best_cost || (cost == best_cost && best < 0)) {
            best_cost = cost;
            best = k;
        }
    }
    *found = best >= 0;
    path->cost = (uint16_t)(path->cost + best_cost);
    if (best < 0) return want_us;
    doubt(path, (path->left - 1 - best) + (answer->rising[best] != rising), 0);
    path->left = best;
    return answer->at_us[best];
}

/* Put bit i in front. */
static void extend(const struct answer *answer, struct path *path, int i, int bit)
{
    const int32_t rise_want_us = path->at_us - high_us[bit];
    bool rise_found, fall_found;
    const int32_t rise_us = match(answer, path, rise_want_us, true, &rise_found);
    const int32_t from_us = path->seen || !rise_found ? rise_want_us : rise_us;

    path->at_us = match(answer, path, from_us - LOW_US, false, &fall_found);
    path->seen = fall_found;
    if (!fall_found && rise_found) path->at_us = rise_us - LOW_US;
    if (!fall_found && !rise_found) doubt(path, 1, 0);
    if (bit) path->byte[i / 8] = (uint8_t)(path->byte[i / 8] | 0x80 >> i % 8);
}

static bool is_near(int32_t at_us, int32_t want_us)
{
    return at_us >= want_us - RESPONSE_WINDOW_US && at_us <= want_us + RESPONSE_WINDOW_US;
}

/* What stands before the 40 bits must be the response, and before that one rising edge when the host let go of the line. */
static void finish(const struct answer *answer, struct path *path)
{
    const int32_t rise_us = path->at_us - RESPONSE_US, fall_us = rise_us - RESPONSE_US;
    bool rise = false, fall = false, host = false;

    for (int16_t k = (int16_t)(path->left - 1); k >= 0; k--) {
        const int32_t at_us = answer->at_us[k];
        const bool rising = answer->rising[k];
        if (!rise && rising && is_near(at_us, rise_us)) rise = true;
        else if (!fall && !rising && is_near(at_us, fall_us)) fall = true;
        else if (!host && rising && at_us < fall_us) host = true;
        else doubt(path, 1, EXTRA_COST);
    }
    path->cost = (uint16_t)(path->cost + RESPONSE_COST * (!rise + !fall));
}

/* ---- all of them --------------------------------------------------------------------------------------------------------- */

/*
 * The ways an answer may end. The direction of the very last edge can be trusted, for the line is quiet when it is read: a
 * rising edge is the release of the line. It may be late, or stand for the two edges before it as well.
 */
static void begin(const struct answer *answer, struct paths *paths)
{
    const int16_t last = (int16_t)(answer->n - 1);
    struct path path = { .left = last };

    paths->n = 0;
    paths->given_up = UINT16_MAX;
    if (!answer->rising[last]) {
        paths->path[paths->n++] = (struct path){ .left = last, .cost = MISSING_COST, .seen = true };
        return;
    }
    /* So long after the edge before it that two bits or more may be missing between: nobody knows how many. */
    const int32_t fall_us = answer->at_us[last - 1];
    const int32_t most_us = answer->rising[last - 1] ? high_us[1] + RELEASE_US + WINDOW_US
                                                     : 2 * (LOW_US + high_us[0]) + RELEASE_US - WINDOW_US;
    if (fall_us < -most_us) return;
    path.at_us = match(answer, &path, -RELEASE_US, false, &path.seen);
    paths->path[paths->n++] = path;
    if (path.seen || answer->rising[last - 1]) return;
    paths->path[paths->n++] =
        (struct path){ .at_us = fall_us, .left = (int16_t)(last - 1), .cost = MISSING_COST, .seen = true };
    for (int bit = 0; bit < 2; bit++) {
        path = (struct path){ .at_us = fall_us + LOW_US + high_us[bit], .left = last, .cost = 2 * MISSING_COST };
        if (path.at_us + RELEASE_US <= WINDOW_US) paths->path[paths->n++] = path;
    }
}

static uint16_t cheapest(const struct paths *paths)
{
    uint16_t cost = UINT16_MAX;

    for (size_t i = 0; i < paths->n; i++) {
        if (paths->path[i].cost < cost) cost = paths->path[i].cost;
    }
    return cost;
}

/* Two paths that have come to the same place go on at the same cost: what is dearer by SAME_COST now is so in the end. */
static bool is_beaten(const struct paths *paths, const struct path *path)
{
    for (size_t i = 0; i < paths->n; i++) {
        const struct path *other = &paths->path[i];
        if (other->left == path->left && other->at_us == path->at_us && other->seen == path->seen &&
            other->cost + SAME_COST < path->cost)
            return true;
    }
    return false;
}

/* Give up paths that cost too much, and the dearest of those that there is no room for. */
static void prune(struct paths *paths)
{
    const int least = cheapest(paths);
    int above = least + PRUNE_COST > COST_MAX ? COST_MAX - least : PRUNE_COST;
    size_t kept = 0;

    for (size_t i = 0; i < paths->n; i++) {
        if (!is_beaten(paths, &paths->path[i])) paths->path[kept++] = paths->path[i];
    }
    paths->n = kept;
    for (; above >= 0; above--) {
        kept = 0;
        for (size_t i = 0; i < paths->n; i++) {
            if (paths->path[i].cost <= least + above) paths->path[kept++] = paths->path[i];
        }
        paths->n = kept;
        if (kept <= PATHS_MAX) return;
        if (above < paths->given_up) paths->given_up = (uint16_t)above;
    }
    paths->n = 0;
}

static void put_bit(const struct answer *answer, struct paths *paths, int i)
{
    const size_t n = paths->n;

    memcpy(paths->path + n, paths->path, n * sizeof *paths->path);
    for (size_t k = 0; k < n; k++) {
        extend(answer, &paths->path[k], i, 0);
        extend(answer, &paths->path[n + k], i, 1);
    }
    paths->n = 2 * n;
    prune(paths);
}

static bool sum_is_right(const uint8_t byte[5])
{
    return ((byte[0] + byte[1] + byte[2] + byte[3]) & 0xff) == byte[4];
}

/* The verdict over the rows that fit. */
static enum psa_dht_result choose(const struct paths *paths, uint8_t byte[5])
{
    const int most = cheapest(paths) + SAME_COST;
    const struct path *row[CANDIDATES_MAX], *right = NULL;
    size_t n = 0;

    if (paths->n == 0 || paths->given_up <= SAME_COST) return PSA_DHT_FEW;
    for (size_t i = 0; i < paths->n; i++) {
        const struct path *path = &paths->path[i];
        bool known = path->cost > most;
        for (size_t k = 0; k < n && !known; k++) known = memcmp(row[k]->byte, path->byte, 5) == 0;
        if (known) continue;
        if (n == CANDIDATES_MAX) return PSA_DHT_FEW;
        row[n++] = path;
        if (!sum_is_right(path->byte)) continue;
        if (right != NULL) return PSA_DHT_FEW;
        right = path;
    }
    if (right == NULL) return PSA_DHT_CHECKSUM;
    if (right->doubts > DOUBTS_MAX) return PSA_DHT_FEW;
    memcpy(byte, right->byte, 5);
    return PSA_DHT_OK;
}

enum psa_dht_result psa_dht_decode(const struct psa_edge *edge, size_t n, uint8_t byte[5])
{
    struct answer answer;
    struct paths paths;

    if (n <= SILENCE_MAX) return PSA_DHT_SILENT;
    /* What is more than an answer has came before it: the end is what counts. */
    if (n > EDGES_MAX) edge += n - EDGES_MAX;
    answer.n = (int16_t)(n < EDGES_MAX ? n : EDGES_MAX);
    for (int16_t i = 0; i < answer.n; i++) {
        const int64_t before_us = (edge[answer.n - 1].at_ns - edge[i].at_ns + 500) / 1000;
        /* An answer takes 5 ms; a second keeps sums in range whatever the times are. */
        answer.at_us[i] = before_us < 0 ? 0 : before_us > 1000000 ? -1000000 : -(int32_t)before_us;
        answer.rising[i] = edge[i].rising;
    }
    begin(&answer, &paths);
    for (int i = BITS - 1; i >= 0 && paths.n > 0; i--) put_bit(&answer, &paths, i);
    for (size_t i = 0; i < paths.n; i++) finish(&answer, &paths.path[i]);
    return choose(&paths, byte);
}
