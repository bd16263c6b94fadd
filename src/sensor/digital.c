/*
 * digital.c - a line that is high or low: switches, comparators (SW-420 vibration, KY-038 sound), light barriers, pulses.
 *
 *     edges=count   at even deadlines: how often the line changed since the deadline before, how often it rose, and for which
 *                   share of the time it was high. Edges belong to an interval by the kernel's time, whenever they are read.
 *     edges=each    the state at the beginning, then each change as it happens, with the kernel's time
 *
 * A count must not lie. The kernel numbers the edges of a line before it queues them, so that those that did not fit are
 * counted all the same; what is unknown of them (when they were, so which share of the time was high; and if a deadline lies
 * between, in which interval) is null. Edges so close that the kernel saw them as one show by the level: after a rising edge
 * another rising one means that the line fell between.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "sensor/drivers.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* How long after a deadline edges of before may still come in: from the interrupt to the thread that queues them. A later one
 * counts in the next interval. */
#define GRACE_NS (2 * NS_PER_MS)
/* A wait ends after so long, so that a stop, a chip that is gone, and lost edges are noticed. */
#define WAIT_NS NS_PER_S
/* While edges come, they are fetched so often rather than one by one: the default buffer has room for 100,000 a second. */
#define GATHER_NS (10 * NS_PER_MS)
/* edges=each: readings this young may still come. */
#define LATE_NS (50 * NS_PER_MS)
/* Interrupts of one pulse come within this time. */
#define PULSE_NS NS_PER_MS
#define EDGES_AT_ONCE 128
/* What goes on for hours is said so often. */
#define SAY_NS (60 * NS_PER_S)
#define BUFFER_MAX 1024 /* GPIO_V2_LINES_MAX * 16: the kernel takes more as this */

struct config {
    const char *edges, *active, *pull;
    int64_t debounce_ns, buffer;
    size_t pull_index; /* enum psa_gpio_pull */
    bool each, active_low;
};

struct state {
    bool begun; /* edges=each: the state at the beginning is written */
    bool high;
    int64_t start_ns; /* edges before are not counted */
    int64_t heard_ns; /* the last edge came, or the level was looked at */
    uint32_t seqno;
    int64_t same_ns; /* of the last edge that left the level as it was */
    int differs;     /* the level was another than the edges say so many times, and no edge came */

    /* of the interval that is under way, edges=count */
    uint64_t deadline; /* its number from start_ns on */
    int64_t mark_ns;   /* until here high_ns is summed */
    int64_t high_ns;
    uint64_t edges, rises;
    bool torn;      /* edges were lost that may belong to the interval before: no count */
    bool blurred;   /* edges were lost: no share */
    uint64_t lost;  /* since it was last said */
    int64_t say_ns; /* not to be said before */

    struct psa_edge edge[EDGES_AT_ONCE];
};

#define AT(member) offsetof(struct config, member)
static const struct psa_option options[] = {
    { .name = "edges",
      .type = PSA_OPT_TEXT,
      .offset = AT(edges),
      .metavar = "HOW",
      .initial = "count",
      .help = "count them, or each as it happens" },
    { .name = "active",
      .type = PSA_OPT_TEXT,
      .offset = AT(active),
      .metavar = "LEVEL",
      .initial = "high",
      .help = "which level is 1: high or low" },
    { .name = "pull",
      .type = PSA_OPT_TEXT,
      .offset = AT(pull),
      .metavar = "WAY",
      .initial = "as-is",
      .help = "the line's own resistor: up, down, none or as-is" },
    { .name = "debounce",
      .type = PSA_OPT_DURATION,
      .offset = AT(debounce_ns),
      .metavar = "TIME",
      .min = 1e3,
      .max = 10e9,
      .help = "a level counts when it has lasted so long (default: at once)" },
    { .name = "buffer",
      .type = PSA_OPT_COUNT,
      .offset = AT(buffer),
      .metavar = "N",
      .initial = "1024",
      .min = 16,
      .max = BUFFER_MAX,
      .help = "edges that the kernel keeps" },
    { .type = PSA_OPT_END },
};

/* ---- configuration ------------------------------------------------------------------------------------------------------- */

static int configure(struct psa_sensor *sensor, struct psa_error *error)
{
    static const char *const modes[] = { "count", "each", NULL };
    static const char *const levels[] = { "high", "low", NULL };
    static const char *const pulls[] = { "as-is", "none", "up", "down", NULL };
    struct config *config = sensor->config;
    size_t mode, level;

    if (psa_sensor_choose(sensor, "edges", config->edges, modes, &mode, error) != 0) return -1;
    if (psa_sensor_choose(sensor, "active", config->active, levels, &level, error) != 0) return -1;
    if (psa_sensor_choose(sensor, "pull", config->pull, pulls, &config->pull_index, error) != 0) return -1;
    config->each = mode == 1;
    config->active_low = level == 1;
    sensor->own_seq = true;
    if (config->each) {
        if (sensor->common.every_ns > 0 || sensor->common.rate_hz > 0)
            return psa_sensor_refuse(sensor, error,
                                     "edges=each gives a reading when one happens; every and rate mean nothing");
        if (sensor->common.block > 0)
            return psa_sensor_refuse(sensor, error, "edges=each gives readings at odd times; block needs even ones");
        sensor->field[0] = "state";
        sensor->n_field = 1;
        sensor->rate_hz = 0;
    } else {
        sensor->field[0] = "edges";
        sensor->field[1] = "rises";
        sensor->field[2] = "high_pct";
        sensor->n_field = 3;
        if (sensor->period_ns < 20 * NS_PER_MS)
            return psa_sensor_refuse(sensor, error,
                                     "every: intervals have 20 ms at least; edges=each gives each change");
    }
    /* period_exact_ns stays: the deadlines are this driver's own, for it must empty the kernel's queue meanwhile. */
    sensor->period_ns = 0;
    return 0;
}

static void gpio_setup(const struct psa_sensor *sensor, struct psa_gpio_setup *setup)
{
    const struct config *config = sensor->config;

    setup->pull = (enum psa_gpio_pull)config->pull_index;
    setup->active_low = config->active_low;
    setup->debounce_ns = config->debounce_ns;
    setup->buffer = (uint32_t)config->buffer;
}

/* ---- counting -------------------------------------------------------------------------------------------------------------- */

static int64_t deadline_ns(const struct psa_sensor *sensor)
{
    const struct state *state = sensor->state;

    return state->start_ns + (int64_t)((double)state->deadline * sensor->period_exact_ns + 0.5);
}

/* The time until at_ns was spent at the level. */
static void sum_until(struct state *state, int64_t at_ns)
{
    if (at_ns <= state->mark_ns) return;
    if (state->high) state->high_ns += at_ns - state->mark_ns;
    state->mark_ns = at_ns;
}

static void say_lost(struct psa_sensor *sensor, bool at_once)
{
    const struct config *config = sensor->config;
    struct state *state = sensor->state;
    const int64_t now_ns = sensor->world->now_ns(sensor);
    char text[160];

    if (state->lost == 0 || (now_ns < state->say_ns && !at_once)) return;
    state->say_ns = now_ns + SAY_NS;
    snprintf(text, sizeof text,
             "%" PRIu64 " edges came faster than the kernel's buffer of %" PRId64
             " holds: counted, but when they were is unknown; debounce=TIME helps",
             state->lost, config->buffer);
    state->lost = 0;
    sensor->world->warn(sensor, text);
}

/* The deadline has come: a reading. */
static void close_interval(struct psa_sensor *sensor)
{
    struct state *state = sensor->state;
    const int64_t end_ns = deadline_ns(sensor);

    sum_until(state, end_ns);
    const double value[3] = {
        state->torn ? NAN : (double)state->edges,
        state->torn ? NAN : (double)state->rises,
        state->blurred ? NAN : 100.0 * (double)state->high_ns / sensor->period_exact_ns,
    };
    sensor->world->emit(sensor, end_ns, value);
    say_lost(sensor, false);
    state->deadline++;
    state->edges = state->rises = 0;
    state->high_ns = 0;
    state->torn = state->blurred = false;
}

/* n edges, seen by no one, before `edge`. */
static void count_lost(struct psa_sensor *sensor, const struct psa_edge *edge, uint32_t n)
{
    struct state *state = sensor->state;
    const bool torn = edge->at_ns >= deadline_ns(sensor);

    state->lost += n;
    /* In which of the intervals that are ending they were, nobody knows. */
    while (edge->at_ns >= deadline_ns(sensor)) {
        state->torn = state->blurred = true;
        close_interval(sensor);
    }
    state->torn |= torn;
    state->blurred = true;
    state->edges += n;
    state->rises += n / 2; /* they alternate; one that is left over shows by the level, below */
    if (n % 2 == 1) {
        state->high = !state->high;
        state->rises += state->high;
    }
}

static void count(struct psa_sensor *sensor, const struct psa_edge *edge)
{
    struct state *state = sensor->state;

    while (edge->at_ns >= deadline_ns(sensor)) close_interval(sensor);
    sum_until(state, edge->at_ns);
    if (edge->rising != state->high) {
        state->edges++;
        state->rises += edge->rising;
    } else if (state->same_ns == 0 || edge->at_ns - state->same_ns > PULSE_NS) {
        /* A pulse so short that both its edges were one interrupt, or its first was told with the second's direction: then
         * the second comes now. */
        state->edges += 2;
        state->rises++;
        state->same_ns = edge->at_ns;
    } else {
        state->same_ns = 0;
    }
}

/* ---- edges ------------------------------------------------------------------------------------------------------------------ */

static void take(struct psa_sensor *sensor, const struct psa_edge *edge)
{
    const struct config *config = sensor->config;
    struct state *state = sensor->state;
    const uint32_t lost = edge->seqno - state->seqno - 1;
    const double value = edge->rising;

    state->seqno = edge->seqno;
    state->differs = 0;
    if (edge->at_ns < state->start_ns) {
        /* It was on its way while the level was read. */
        state->high = edge->rising;
        return;
    }
    if (config->each) {
        if (lost > 0) sensor->world->lost(sensor, lost, "edges came faster than the kernel's buffer holds");
        sensor->world->emit(sensor, edge->at_ns, &value);
    } else {
        if (lost > 0) count_lost(sensor, edge, lost);
        count(sensor, edge);
    }
    state->high = edge->rising;
}

/* Fetch what comes until then_ns; what can be had at once if that is past. */
static int fetch(struct psa_sensor *sensor, int64_t then_ns, size_t *n, struct psa_fault *fault)
{
    struct state *state = sensor->state;

    if (sensor->gpio->calls->edges(sensor->gpio, state->edge, EDGES_AT_ONCE, then_ns, n, fault) != 0) return -1;
    for (size_t i = 0; i < *n; i++) take(sensor, &state->edge[i]);
    if (*n > 0) state->heard_ns = sensor->world->now_ns(sensor);
    return 0;
}

/* Nothing has come for a while. Is the chip still there, and the level what it should be? */
static int look(struct psa_sensor *sensor, struct psa_fault *fault)
{
    struct state *state = sensor->state;
    const int64_t now_ns = sensor->world->now_ns(sensor);
    bool high;

    if (now_ns - state->heard_ns < WAIT_NS) return 0;
    state->heard_ns = now_ns;
    if (sensor->gpio->calls->value(sensor->gpio, &high, fault) != 0) return -1;
    if (high == state->high) {
        state->differs = 0;
    } else if (++state->differs > 1) {
        /* An edge may just be on its way, but not for a second. */
        const struct psa_edge edge = { now_ns, state->seqno + 1, high };
        sensor->world->warn(sensor,
                            "the line changed and the kernel told of no edge; the time of the change is a guess");
        take(sensor, &edge);
        state->seqno--;
    }
    return 0;
}

/* ---- the driver ------------------------------------------------------------------------------------------------------------ */

static int start(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct psa_gpio_calls *calls = sensor->gpio->calls;
    struct state *state = sensor->state;
    size_t n;

    if (calls->listen(sensor->gpio, fault) != 0) return -1;
    if (calls->value(sensor->gpio, &state->high, fault) != 0) return -1;
    state->start_ns = INT64_MAX;
    do {
        if (fetch(sensor, 0, &n, fault) != 0) return -1;
    } while (n == EDGES_AT_ONCE);
    state->start_ns = state->mark_ns = state->heard_ns = sensor->world->now_ns(sensor);
    state->deadline = 1;
    sensor->upto_ns = state->start_ns;
    return 0;
}

static int read_each(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct psa_world *world = sensor->world;
    struct state *state = sensor->state;
    const double value = state->high;
    const int64_t begin_ns = world->now_ns(sensor);
    int64_t upto_ns = begin_ns - LATE_NS;
    size_t n;

    if (!state->begun) world->emit(sensor, state->start_ns, &value);
    state->begun = true;
    if (fetch(sensor, begin_ns + WAIT_NS, &n, fault) != 0) return -1;
    if (n == 0 && look(sensor, fault) != 0) return -1;
    /* There are more, and they may be old. */
    if (n == EDGES_AT_ONCE) upto_ns = state->edge[n - 1].at_ns;
    if (upto_ns > sensor->upto_ns) sensor->upto_ns = upto_ns;
    return 0;
}

static int read_count(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct psa_world *world = sensor->world;
    const int64_t begin_ns = world->now_ns(sensor), close_ns = deadline_ns(sensor) + GRACE_NS;
    const int64_t then_ns = begin_ns + WAIT_NS < close_ns ? begin_ns + WAIT_NS : close_ns;
    int64_t emptied_ns = begin_ns; /* no edge of before is in the kernel's queue */
    size_t n;

    if (fetch(sensor, then_ns, &n, fault) != 0) return -1;
    if (n == EDGES_AT_ONCE) return 0;
    const int64_t now_ns = world->now_ns(sensor);
    if (n == 0 && now_ns >= then_ns && then_ns > begin_ns) emptied_ns = then_ns;
    if (n == 0 && look(sensor, fault) != 0) return -1;
    while (deadline_ns(sensor) + GRACE_NS <= emptied_ns) close_interval(sensor);
    const int64_t next_ns = deadline_ns(sensor);
    sensor->upto_ns = emptied_ns < next_ns ? emptied_ns : next_ns;
    /* Where edges come, they come in numbers. */
    if (n > 0)
        (void)world->sleep_until(sensor,
                                 now_ns + GATHER_NS < next_ns + GRACE_NS ? now_ns + GATHER_NS : next_ns + GRACE_NS);
    return 0;
}

static int read_edges(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct config *config = sensor->config;

    return config->each ? read_each(sensor, fault) : read_count(sensor, fault);
}

static void stop(struct psa_sensor *sensor)
{
    say_lost(sensor, true);
}

const struct psa_sensor_driver psa_driver_digital = {
    .name = "digital",
    .summary = "switches, comparators, pulses (SW-420 vibration, KY-038 sound), GPIO",
    .usage = "digital:gpiochipN/LINE",
    .sensor_type = "digital",
    .sensor_model = "GPIO",
    .bus = PSA_BUS_GPIO,
    .options = options,
    .config_size = sizeof(struct config),
    .state_size = sizeof(struct state),
    .needs_line = true,
    .every_ns = NS_PER_S,
    .failures = 1,
    .configure = configure,
    .gpio_setup = gpio_setup,
    .start = start,
    .read = read_edges,
    .stop = stop,
    .notes = "fields: edges, rises, high_pct with edges=count; state with edges=each",
};
